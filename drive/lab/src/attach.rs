//! What is attached to servers: volumes and shares, each at a path.
//!
//! A volume has one server at a time: a symbolic link in its directory names who. A server that starts is given its mounts
//! before its init runs; to one that runs they are brought, and taken from, by a thread that enters its mount namespace.
//! They are in no other mount table, so they go with the server.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use andon_schema::{Attribute, Exclusive, Failure, Format, Identity};
use andon_value::{Path as ValuePath, PathStep, Type, Value};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

use crate::aside::aside;
use crate::block::{loops_of, mount_directory, mount_image};
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::layers::{AsUser, map};
use crate::plan::complete;
use crate::records::{Lock, Records, absent_is_fine};
use crate::{as_made, share, volume};

/// How long the kernel may take to let go of a volume whose server has ended or given it back.
const LET_GO_LIMIT: Duration = Duration::from_secs(10);
/// The attributes of a server that name what is attached to it, by path.
pub(crate) const ATTRIBUTES: [&str; 3] = ["volumes", "shares", "read_only_shares"];

const ID: Format = Format {
    name: "the id of what is there",
    example: "lab_volume.data.id",
    check: |it| {
        it.as_str()
            .filter(|id| id.is_empty())
            .map_or(Ok(()), |_| Err(Failure::new("this is empty", "An id is needed.")))
    },
};

/// One thing at one path of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attached {
    pub path: String,
    pub id: String,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Volume,
    Share { read_only: bool },
}

impl Attached {
    /// Where in the definition of its server it is.
    fn place(&self) -> ValuePath {
        let steps = [PathStep::Attribute(self.what.attribute().into()), PathStep::Key(self.path.as_str().into())];
        ValuePath::from_iter(steps)
    }
}

impl What {
    /// The attribute of a server that names such.
    fn attribute(self) -> &'static str {
        let [volumes, shares, read_only] = ATTRIBUTES;
        match self {
            What::Volume => volumes,
            What::Share { read_only: false } => shares,
            What::Share { read_only: true } => read_only,
        }
    }
}

/// The attributes of a server.
pub(crate) fn schema() -> Vec<(&'static str, Attribute)> {
    let map = |what: &str| Attribute::optional(Type::map(Type::String), what).format(ID);
    vec![
        (
            "volumes",
            map(
                "The `id` of a `lab_volume` for each path at which one is to be: `{ \"/srv\" = lab_volume.data.id }`. A volume \
                 has one server at a time, so it does not go with `create_before_destroy`. Attached and detached while the server runs. A machine (`vm`) has each as a disk, \
                 `/dev/disk/by-id/virtio-ID`, which is mounted there.",
            )
            .exclusive(Exclusive::SAME),
        ),
        ("shares", map("The `id` of a `lab_share` for each path at which one is to be, to be read and written.")),
        ("read_only_shares", map("The same, to be read only.")),
    ]
}

/// The most that a server has attached: each is an open file in a message, of which the kernel takes 253.
const MOST: usize = 200;
/// The most bytes of their paths, which are in one message, too.
const MOST_BYTES: usize = 64 << 10;

/// Checks what is attached, as far as it is known.
pub(crate) fn agree(planned: &Value) -> Result<(), Failure> {
    let all = all(planned);
    let bytes: usize = all.iter().map(|attached| attached.path.len()).sum();
    if all.len() > MOST || bytes > MOST_BYTES {
        let detail = format!(
            "They are {}, whose paths have {bytes} bytes together. A server has at most {MOST}, whose paths have at most \
             {MOST_BYTES} bytes together.",
            all.len()
        );
        let failure = Failure::new("too many volumes and shares for one server", detail)
            .help("Attach a directory that holds several of them.");
        return Err(match all.last() {
            Some(last) => failure.about(last.what.attribute()),
            None => failure,
        });
    }
    for (at, one) in all.iter().enumerate() {
        check_path(&one.path).map_err(|failure| failure.at(one.place()))?;
        let others = all.iter().skip(at + 1);
        if let Some(other) = others.clone().find(|other| other.path == one.path) {
            return Err(Failure::new(
                format!("two things are at `{}`", other.path),
                "A path has one volume or one share.",
            )
            .at(other.place()));
        }
        let twice =
            others.clone().find(|other| one.what == What::Volume && other.what == What::Volume && other.id == one.id);
        if let Some(other) = twice.filter(|other| !other.id.is_empty()) {
            let detail = format!("It is at `{}` and at `{}`.", one.path, other.path);
            let failure = Failure::new("a volume is attached twice", detail).help("A volume has one path.");
            return Err(failure.at(other.place()));
        }
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), Failure> {
    let wrong = |detail: &str| {
        Failure::new(format!("nothing can be attached at `{path}`"), detail).help("Write a path such as `/srv/data`.")
    };
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if !path.starts_with('/') || parts.iter().any(|part| part.is_empty() || matches!(*part, "." | "..")) {
        return Err(wrong("It is an absolute path without `.`, `..` and needless `/`."));
    }
    if path.contains(['\n', '\0']) || path.len() > 1024 {
        return Err(wrong("It has a line break, or is too long."));
    }
    match parts.as_slice() {
        ["proc" | "sys" | "dev" | "run" | "etc" | "usr" | "bin" | "sbin" | "lib", ..] if parts.len() == 1 => {
            Err(wrong("The system itself is there."))
        }
        ["proc" | "sys" | "dev" | "run", ..] => Err(wrong("The kernel, or the init, keeps that directory.")),
        _ => Ok(()),
    }
}

/// What a server has attached, those within others last. An unknown id is an empty one.
pub(crate) fn all(server: &Value) -> Vec<Attached> {
    let of = |name: &str, what: What| {
        let entries = server.get(name).and_then(Value::as_entries).cloned().unwrap_or_default();
        let attached = move |(path, id): (&std::sync::Arc<str>, &Value)| Attached {
            path: path.to_string(),
            id: id.as_str().map(ToString::to_string).unwrap_or_default(),
            what,
        };
        entries.iter().map(attached).collect::<Vec<_>>()
    };
    let [volumes, shares, read_only] = ATTRIBUTES;
    let mut all = of(volumes, What::Volume);
    all.extend(of(shares, What::Share { read_only: false }));
    all.extend(of(read_only, What::Share { read_only: true }));
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all
}

/// Fails where something is not there, or is another server's. Changes nothing.
pub(crate) fn check(records: &Records, server: &Identity, all: &[Attached]) -> Result<(), Failure> {
    all.iter().try_for_each(|attached| {
        exists(records, attached)?;
        let taken = taken(records, server, &attached.id).filter(|_| attached.what == What::Volume);
        taken.map_or(Ok(()), |failure| Err(failure.at(attached.place())))
    })
}

/// Fails where an id is not that of a volume, or of a share.
pub(crate) fn exists(records: &Records, attached: &Attached) -> Result<(), Failure> {
    let found = match attached.what {
        What::Volume => volume::directory(records, &attached.id).map(drop),
        What::Share { .. } => share::directory(records, &attached.id).map(drop),
    };
    found.map_err(|failure| failure.at(attached.place()))
}

/// Why a server cannot have a volume: another one has it.
fn taken(records: &Records, server: &Identity, id: &str) -> Option<Failure> {
    let holder = holder(records, id).filter(|holder| holder != server.as_str())?;
    let name = |id: &str| records.read(id).and_then(|record| Some(record.value.get_str("name")?.to_owned()));
    let volume = name(id).unwrap_or_else(|| id.to_owned());
    let detail = format!("The server `{}` has it.", name(&holder).unwrap_or(holder));
    let help = "A volume has one server at a time: take it out of the other's `volumes` first. A server that is replaced \
                with `create_before_destroy` cannot hand its volume on.";
    Some(Failure::new(format!("the volume `{volume}` is attached to another server"), detail).help(help))
}

/// Makes the volumes of a server its own. Fails where one is another server's.
pub(crate) fn claim(records: &Records, server: &Identity, all: &[Attached]) -> Result<(), Failure> {
    for attached in all {
        let claimed = match attached.what {
            What::Volume => claim_volume(records, server, &attached.id),
            What::Share { .. } => share::directory(records, &attached.id).map(drop),
        };
        claimed.map_err(|failure| failure.at(attached.place()))?;
    }
    let directory = records.directory(Kind::Server, server.as_str());
    let places: Vec<&str> = all.iter().map(|attached| attached.path.as_str()).collect();
    as_made::remember_places(&directory, &places).or_fail(|| format!("cannot write into {}", directory.display()))
}

fn claim_volume(records: &Records, server: &Identity, id: &str) -> Result<(), Failure> {
    let directory = volume::directory(records, id)?;
    let link = directory.join("server");
    let failed = || format!("cannot attach the volume {id}");
    let _lock = Lock::take(&directory.join("lock")).or_fail(failed)?;
    if let Some(failure) = taken(records, server, id) {
        return Err(failure);
    }
    absent_is_fine(fs::remove_file(&link)).or_fail(failed)?;
    symlink(server.as_str(), &link).or_fail(failed)
}

/// The server that has a volume: one that the link names, and that itself says so.
pub(crate) fn holder(records: &Records, volume: &str) -> Option<String> {
    let link = fs::read_link(records.directory(Kind::Volume, volume).join("server")).ok()?;
    let server = link.to_str()?.to_owned();
    let record = records.read(&server).filter(|record| record.kind == Kind::Server)?;
    all(&record.value).iter().any(|attached| attached.what == What::Volume && attached.id == volume).then_some(server)
}

/// Gives volumes back that a server no longer has.
pub(crate) fn release(records: &Records, server: &Identity, all: &[Attached]) -> Result<(), Failure> {
    for attached in all.iter().filter(|attached| attached.what == What::Volume) {
        let directory = records.directory(Kind::Volume, &attached.id);
        if Identity::parse(&attached.id).is_none() || !directory.is_dir() {
            continue;
        }
        let failed = || format!("cannot detach the volume {}", attached.id);
        let _lock = Lock::take(&directory.join("lock")).or_fail(failed)?;
        let link = directory.join("server");
        if fs::read_link(&link).is_ok_and(|holder| holder.as_os_str() == server.as_str()) {
            absent_is_fine(fs::remove_file(link)).or_fail(failed)?;
        }
    }
    Ok(())
}

/// Mounts for a server that starts, in the order of what is attached.
pub(crate) fn mounts(records: &Records, all: &[Attached]) -> Result<Vec<OwnedFd>, Failure> {
    all.iter().map(|attached| mount(records, attached)).collect()
}

fn mount(records: &Records, attached: &Attached) -> Result<OwnedFd, Failure> {
    match attached.what {
        What::Volume => {
            let directory = volume::directory(records, &attached.id)?;
            let image = directory.join(volume::IMAGE);
            let failed = || format!("cannot mount the volume {}", attached.id);
            let _lock = Lock::take(&directory.join("lock")).or_fail(failed)?;
            await_free(&image)?;
            mount_image(&image, volume::file_system(records, &attached.id)).or_fail(failed)
        }
        What::Share { read_only } => {
            let directory = share::directory(records, &attached.id)?;
            mount_directory(&directory, read_only).or_fail(|| format!("cannot mount the share {}", attached.id))
        }
    }
}

/// Waits until nothing has a volume mounted: two at once would destroy it.
pub(crate) fn await_free(image: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + LET_GO_LIMIT;
    loop {
        let loops = loops_of(image);
        let Some(device) = loops.first() else { return Ok(()) };
        if Instant::now() > deadline {
            let detail = format!("{} is a device of {}, and still in use.", device.display(), image.display());
            return Err(Failure::new("the volume is still mounted somewhere", detail)
                .help("A process that has files in it open keeps it: end that, or restart its server."));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes a path in a root file system, and opens it. No link leads out of it.
fn open_place(root: &impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let how = || {
        OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT)
    };
    let mut at = openat2(root.as_fd(), ".", how())?;
    let mut so_far = PathBuf::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        so_far.push(part);
        at = match openat2(root.as_fd(), &so_far, how()) {
            Err(nix::errno::Errno::ENOENT) => {
                match mkdirat(&at, part, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                openat2(root.as_fd(), &so_far, how())?
            }
            opened => opened?,
        };
    }
    Ok(at)
}

/// Makes the directories at which something will be.
pub(crate) fn make_places(root: &impl AsFd, paths: &[String]) -> io::Result<()> {
    paths.iter().try_for_each(|path| open_place(root, path).map(drop))
}

/// Puts a mount at a path of a root file system.
pub(crate) fn put(root: &impl AsFd, mount: &impl AsFd, path: &str) -> io::Result<()> {
    use rustix::mount::{MoveMountFlags, move_mount};
    let place = open_place(root, path)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", &place, "", flags)?)
}

/// Does something in a server's mount namespace, in whose root a thread then is.
pub(crate) fn within<T: Send>(init: i32, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let namespace = File::open(format!("/proc/{init}/ns/mnt"))?;
    aside(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)?;
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNS)?;
        work()
    })
}

/// Puts a mount at a path of a running server, seen in the numbers of its users.
pub(crate) fn put_within(init: i32, mount: &OwnedFd, path: &str) -> io::Result<()> {
    let first = first_user(init)?;
    // In a realm, what is mapped already is seen as it is.
    if first.is_some_and(|first| first != 0) {
        map(mount, &File::open(format!("/proc/{init}/ns/user"))?)?;
    }
    within(init, || {
        // Directories that are made on the way are its root's.
        let _as_its_root = first.map(AsUser::take).transpose()?;
        put(&File::open("/")?, mount, path)
    })
}

/// The number that this machine counts the root of a process's users under, where that is another one than 0.
pub(crate) fn first_user(process: i32) -> io::Result<Option<u32>> {
    let map = fs::read_to_string(format!("/proc/{process}/uid_map"))?;
    let first = map.split_whitespace().nth(1).and_then(|first| first.parse().ok());
    Ok(first.filter(|first| *first != 0))
}

/// Where something is mounted in a running server, and the options of the mount.
fn mounted(records: &Records, init: i32, attached: &Attached) -> Vec<(String, bool)> {
    let table = fs::read_to_string(format!("/proc/{init}/mountinfo")).unwrap_or_default();
    let devices = match attached.what {
        What::Volume => loops_of(&records.directory(Kind::Volume, &attached.id).join(volume::IMAGE)),
        What::Share { .. } => Vec::new(),
    };
    let share = Path::new(&attached.id).join(share::FILES);
    let found = |line: &str| {
        let (fields, behind) = line.split_once(" - ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let [_, _, _, root, place, options, ..] = fields.as_slice() else { return None };
        let is_it = match attached.what {
            What::Volume => {
                behind.split(' ').nth(1).is_some_and(|source| devices.iter().any(|device| device.as_os_str() == source))
            }
            // What is mounted is this directory of the file system where it is.
            What::Share { .. } => Path::new(&unescaped(root)).ends_with(&share),
        };
        is_it.then(|| (unescaped(place), options.split(',').any(|option| option == "ro")))
    };
    table.lines().filter_map(found).collect()
}

/// A path of a mount table as it is: blanks and backslashes are written as octal numbers there (proc(5)).
fn unescaped(path: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(path.to_owned(), |path, (from, to)| path.replace(from, to))
}

fn is_there(records: &Records, init: i32, attached: &Attached) -> bool {
    let read_only = attached.what == What::Share { read_only: true };
    let places = own(init, attached, mounted(records, init, attached));
    places.iter().any(|(_, ro)| *ro == read_only || attached.what == What::Volume)
}

/// Of where something is mounted, what is there for this path: a volume has one, and a share may be at several.
fn own(init: i32, attached: &Attached, mut places: Vec<(String, bool)>) -> Vec<(String, bool)> {
    if attached.what == What::Volume || places.is_empty() {
        return places;
    }
    if places.iter().all(|(place, _)| *place != attached.path) {
        // Links of the server may lead to it.
        let led = within(init, || fs::canonicalize(&attached.path)).unwrap_or_default();
        places.retain(|(place, _)| Path::new(place) == led);
    } else {
        places.retain(|(place, _)| *place == attached.path);
    }
    places
}

/// Takes from a running server what it no longer has. What lies in that, or where something new will be, is taken off, too,
/// until it is attached again. Where something is in use, all is as it was.
pub(crate) fn detach(records: &Records, init: i32, before: &[Attached], after: &[Attached]) -> Result<(), Failure> {
    let gone = before.iter().filter(|attached| !after.contains(attached));
    let changed: Vec<&Attached> = gone.chain(after.iter().filter(|attached| !before.contains(attached))).collect();
    let is_off = |attached: &&Attached| {
        !after.contains(attached) || changed.iter().any(|changed| Path::new(&attached.path).starts_with(&changed.path))
    };
    take_off(records, init, before.iter().filter(is_off)).inspect_err(|_| {
        // The failure says enough: what does not come back now is seen by the next look.
        let _ = attach(records, init, before);
    })
}

fn take_off<'a>(
    records: &Records,
    init: i32,
    off: impl DoubleEndedIterator<Item = &'a Attached>,
) -> Result<(), Failure> {
    for attached in off.rev() {
        for (place, _) in &own(init, attached, mounted(records, init, attached)) {
            let unmounted =
                within(init, || Ok(nix::mount::umount2(Path::new(place), nix::mount::MntFlags::UMOUNT_NOFOLLOW)?));
            unmounted.map_err(|error| match error.kind() {
                ErrorKind::ResourceBusy => Failure::new(
                    format!("`{place}` is in use"),
                    "A process of the server has a file there open, or is in that directory.",
                )
                .help("Stop what uses it, then try again. `fuser -vm PATH` in the server shows what that is."),
                _ => Failure::new(format!("cannot detach `{place}`"), crate::failure::sentence(&error.to_string())),
            })?;
        }
        if attached.what == What::Volume {
            await_free(&records.directory(Kind::Volume, &attached.id).join(volume::IMAGE))?;
        }
    }
    Ok(())
}

/// Gives a running server what it does not have yet.
pub(crate) fn attach(records: &Records, init: i32, all: &[Attached]) -> Result<(), Failure> {
    for attached in all.iter().filter(|attached| !is_there(records, init, attached)) {
        let mount = mount(records, attached)?;
        let put = put_within(init, &mount, &attached.path);
        put.or_fail(|| format!("cannot attach `{}`", attached.path))?;
    }
    Ok(())
}

/// A server's value with only what is really there. `init` is its first process, if it runs.
pub(crate) fn read(records: &Records, init: Option<i32>, value: Value) -> Value {
    match init {
        Some(init) => only(value, |attached| is_there(records, init, attached)),
        None => value,
    }
}

/// A server's value with only those of its volumes and shares that are there.
pub(crate) fn only(value: Value, is_there: impl Fn(&Attached) -> bool) -> Value {
    let absent: Vec<Attached> = all(&value).into_iter().filter(|attached| !is_there(attached)).collect();
    if absent.is_empty() {
        return value;
    }
    let without = |name: &'static str| {
        let entries = value.get(name).and_then(Value::as_entries).cloned().unwrap_or_default();
        let there = entries.iter().filter(|(path, _)| absent.iter().all(|absent| absent.path != ***path));
        let there: Vec<_> = there.map(|(path, id)| (path.clone(), id.clone())).collect();
        let was = value.get(name).filter(|was| was.is_null()).cloned();
        (name, was.unwrap_or_else(|| Value::map(Type::String, there)))
    };
    complete(&value, ATTRIBUTES.map(without))
}

/// The root directory of a mount that a running server has of a volume, opened.
pub(crate) fn open_volume(records: &Records, volume: &str) -> Option<(i32, String, File)> {
    let server = Identity::parse(&holder(records, volume)?)?;
    let init = crate::server::running_init(&server)?;
    let attached = Attached { path: String::new(), id: volume.to_owned(), what: What::Volume };
    let (place, _) = mounted(records, init, &attached).into_iter().next()?;
    let root = within(init, || File::open(&place)).ok()?;
    Some((init, place, root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |path: &str, sound: bool| assert_eq!(check_path(path).is_ok(), sound, "{path}");
        for sound in ["/srv", "/srv/data", "/var/lib/a b", "/data", "/usr/local/x", "/home"] {
            check(sound, true);
        }
        for wrong in [
            "",
            "/",
            "srv",
            "/srv/",
            "//srv",
            "/srv/../etc",
            "/./a",
            "/proc",
            "/proc/x",
            "/dev/x",
            "/run/x",
            "/etc",
            "/a\nb",
        ] {
            check(wrong, false);
        }
    }

    #[test]
    fn what_is_attached_is_one_thing_at_one_path() {
        let server = |volumes: &[(&str, &str)], shares: &[(&str, &str)]| {
            let map = |entries: &[(&str, &str)]| {
                Value::map(Type::String, entries.iter().map(|(path, id)| (*path, Value::from(*id))))
            };
            Value::object([("volumes", map(volumes)), ("shares", map(shares))])
        };
        assert!(agree(&server(&[("/a", "1"), ("/a/b", "2")], &[("/c", "3"), ("/d", "3")])).is_ok());
        assert!(agree(&server(&[("/a", "1"), ("/b", "1")], &[])).is_err());
        assert!(agree(&server(&[("/a", "1")], &[("/a", "3")])).is_err());
        let unknown =
            Value::map(Type::String, [("/a", Value::unknown(Type::String)), ("/b", Value::unknown(Type::String))]);
        assert!(agree(&Value::object([("volumes", unknown)])).is_ok());
    }

    #[test]
    fn no_link_leads_out_of_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a")).unwrap();
        symlink("/../../outside", root.join("out")).unwrap();
        symlink("/a", root.join("in")).unwrap();
        let opened = File::open(&root).unwrap();
        make_places(&opened, &["/in/b/c".to_owned()]).unwrap();
        assert!(root.join("a/b/c").is_dir());
        let made = make_places(&opened, &["/out/x".to_owned()]);
        assert!(!folder.path().join("outside").exists(), "{made:?}");
    }
}
