//! The realm that the lab of a user without root stands on.
//!
//! The kernel lets anybody be root of a user namespace, and of a network namespace and mounts that belong to it: there the
//! lab does all that it does elsewhere. One process holds these namespaces for as long as there is anything in them, and
//! whoever works in the lab enters them, but for the network: so the program reaches what its user reaches, and only
//! what must be among the servers goes there, a thread or a helper at a time. The way outside is a program of the user's
//! (slirp4netns, or pasta), as nobody but root may connect a namespace with this machine's interfaces.
//!
//! Root inside is the user, and the other numbers are those that `/etc/subuid` and `/etc/subgid` give to the user
//! (user_namespaces(7), newuidmap(1)). Where the user's processes are in a control group that the user may write to, as
//! with `Delegate=` of systemd.resource-control(5), servers have groups below it; elsewhere processes are known by a list
//! of their numbers, there are no limits, and no server runs systemd.

mod hold;
mod lost;
mod note;
mod numbers;
mod obstacle;
mod outside;
mod scope;
mod witness;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use andon_schema::Failure;
use andon_value::Value;
use nix::sched::{CloneFlags, setns};

use crate::aside::aside;
use crate::cgroup::{Hierarchies, nothing_to_limit, own_group};
use crate::failure::{OrFail, sentence};
use crate::helper;
use crate::kind::Kind;
use crate::records::{Lock, Records, make_private};
use hold::Held;
use note::Note;
use witness::Witness;

pub(crate) use hold::helper;
pub(crate) use note::started;
pub(crate) use numbers::same_as_here;
pub(crate) use outside::helper as outside_helper;
pub use witness::SeenOutside;

/// What servers can be limited by.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// The attributes that say so.
const LIMITS: [&str; 3] = ["memory", "cpus", "processes"];

/// Why this process could not enter its user's realm.
static REFUSED: OnceLock<Failure> = OnceLock::new();
/// Says, for as long as this process lives, that it is in the realm.
static GUEST: OnceLock<Guest> = OnceLock::new();
/// Looks at this machine's files for this process where it is in a realm.
static WITNESS: OnceLock<Witness> = OnceLock::new();

/// The namespaces that are entered, in this order: the first gives the right to enter the others.
const ENTERED: [(&str, CloneFlags); 3] =
    [("user", CloneFlags::CLONE_NEWUSER), ("cgroup", CloneFlags::CLONE_NEWCGROUP), ("mnt", CloneFlags::CLONE_NEWNS)];

/// Gives a process of a user without root the realm on which it can run a lab; root needs none. To be called while the
/// process has one thread, and before it opens a lab with this data directory. Where it fails the process is as it was,
/// and the lab gives the reason to whoever needs it.
///
/// What still runs on a network that nobody can enter any more is ended by who changes something in the lab, and only then.
/// Gives what is to be said of it.
pub fn enter(data: &Path, program: &Path) -> Result<Option<String>, Failure> {
    if nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    attempt(data, program).inspect_err(|failure| {
        let _ = REFUSED.set(failure.clone());
    })
}

/// Whether this process is in a realm: root here is a user of this machine, and nobody more.
pub fn is_entered() -> bool {
    GUEST.get().is_some()
}

/// The number of this process's user on this machine, also in a realm, where it is root.
pub fn user() -> u32 {
    GUEST.get().map_or_else(|| nix::unistd::geteuid().as_raw(), |guest| guest.user)
}

/// The numbers of the user and the group that this process has on this machine, where it is root of a realm.
pub fn user_outside() -> Option<(u32, u32)> {
    GUEST.get().map(|guest| (guest.user, guest.user_group))
}

/// What is at a path of this machine, seen as it is outside of the realm that this process is in: in there, the files of
/// users that have no number in it look like those of nobody. `None` in no realm, where all is seen as it is.
pub fn seen_outside(path: &Path) -> Option<io::Result<SeenOutside>> {
    WITNESS.get().map(|witness| witness.ask(path))
}

/// Ends the realm that this process is in where there is nothing in it: no object of the lab, and nobody else. To be called
/// when the process has done its work.
pub fn leave(data: &Path) {
    let Ok(data) = std::path::absolute(data) else { return };
    let records = Records::new(data);
    if !is_entered() || !records.all().is_empty() {
        return;
    }
    if let Some(realm) = Realm::of(records.data()) {
        realm.leave(records.data());
        records.remove_empty();
        // It may hold images.
        let _ = fs::remove_dir(records.data());
    }
}

/// Why this process is not in the realm that it asked for.
pub(crate) fn refused() -> Option<&'static Failure> {
    REFUSED.get()
}

/// Fails where this process should be in a realm and is not, or is in one whose holder has ended.
pub(crate) fn check(realm: Option<&Realm>) -> Result<(), Failure> {
    match (realm, refused()) {
        (None, Some(refused)) => Err(refused.clone()),
        (Some(realm), _) if !realm.note.is_held() => {
            Err(Failure::new("the lab's realm was lost", "The process that holds it has ended.")
                .help("Run this again."))
        }
        _ => Ok(()),
    }
}

/// Refuses what only this machine's root can make, where that is not who asks.
pub(crate) fn check_may_make(kind: Kind, planned: &Value) -> Result<(), Failure> {
    let refused =
        |what: &str, detail: &str, help: &str| Err(Failure::new(format!("{what} needs root"), detail).help(help));
    if kind.needs_root() {
        return refused(
            &format!("a `{}`", kind.name()),
            "The kernel lets nobody but this machine's root mount what is on a block device.",
            "Use a `lab_share`, which is a directory, or run this with sudo.",
        );
    }
    if kind == Kind::Server && planned.get_str("on_host").is_some() {
        return refused(
            "a server that is `on_host`",
            "It sees this machine's own /usr, which is root's: in a lab without root its files would be nobody's, and no \
             program there would have the rights of its owner.",
            "Make an `andon_image` with `from = \"host\"`, which copies what is installed here, and give the server its \
             `digest` as `image`. Or run this with sudo.",
        );
    }
    Ok(())
}

/// Refuses limits that are new, where nothing has a control group.
pub(crate) fn check_limits(prior: Option<&Value>, planned: &Value) -> Result<(), Failure> {
    let is_new = |name: &&str| {
        let given = planned.get(name).filter(|given| !given.is_null());
        given.is_some() && prior.and_then(|prior| prior.get(name)) != given
    };
    let any = LIMITS.iter().any(is_new);
    match any && Hierarchies::find().is_ok_and(|found| found.are_listed()) {
        true => Err(nothing_to_limit()),
        false => Ok(()),
    }
}

/// Why no limits are to be had in this realm, where that is known.
pub(crate) fn no_limits() -> Option<&'static str> {
    GUEST.get()?.no_limits.as_deref()
}

fn attempt(data: &Path, program: &Path) -> Result<Option<String>, Failure> {
    let failed = || "cannot make a realm for the lab of a user without root".to_owned();
    let data = std::path::absolute(data).or_fail(failed)?;
    let is_new = !data.exists();
    // Before there is any lock that it could go on to hold.
    let witness = Witness::start().or_fail(failed)?;
    for directory in [data.clone(), data.join("lab")] {
        own(&directory)?;
    }
    let _lock = Lock::take(&lock_path(&data)).or_fail(failed)?;
    let come = come(&data, program, &witness);
    if come.is_ok() {
        let _ = WITNESS.set(witness);
    }
    come.inspect_err(|_| {
        // Nothing is left of the attempt.
        if Note::read(&data).is_none() {
            remove_files(&data);
            let _ = fs::remove_dir(data.join("lab"));
            if is_new {
                let _ = fs::remove_dir(&data);
            }
        }
    })
}

/// Makes a directory that is nobody else's to read, unless it is there: then it stays as its user wants it, who must be
/// this one.
fn own(directory: &Path) -> Result<(), Failure> {
    let Ok(found) = fs::metadata(directory) else {
        return make_private(directory).or_fail(|| format!("cannot make {}", directory.display())).map_err(|failure| {
            failure
                .help("Images and servers are kept there: choose another directory with --data-dir or ANDON_DATA_DIR.")
        });
    };
    let owner = nix::unistd::Uid::from_raw(found.uid());
    if owner == nix::unistd::geteuid() {
        return Ok(());
    }
    let name = nix::unistd::User::from_uid(owner).ok().flatten().map_or_else(|| owner.to_string(), |user| user.name);
    let detail = format!("It belongs to `{name}`, and each user has a lab of its own.");
    Err(Failure::new(format!("{} is another user's", directory.display()), detail)
        .help(format!("Run this as `{name}`, or choose another directory with --data-dir or ANDON_DATA_DIR.")))
}

/// Enters the realm, which is made where there is none. Whoever calls this has the lock. Gives what is to be said of it.
fn come(data: &Path, program: &Path, witness: &Witness) -> Result<Option<String>, Failure> {
    let note = Note::read(data);
    let known = note.as_ref().filter(|note| note.is_held() || note.is_of_this_boot() && note.group.is_some());
    let asks = || scope::is_needed(known, scope::lingers());
    let home = own_group().or_else(|| if asks() { scope::enter() } else { None });
    let Held { note, is_new } = match note.filter(Note::is_held) {
        Some(note) => Held { note: reach_outside(data, program, note), is_new: false },
        None => hold::start(data, program)?,
    };
    let lost = note.lost.iter().map(|lost| lost.count(lost.group.as_deref())).sum();
    let entered = go_in(data, &note, home, witness);
    if entered.is_err() && is_new {
        note.end();
        // The failure that matters is the first one.
        let _ = note.clear(data);
        note.forget(data);
    }
    entered.map(|()| lost::said(lost))
}

/// Has a realm whose way outside has ended by itself get another one, and one that has none the one that is to be had by now.
fn reach_outside(data: &Path, program: &Path, note: Note) -> Note {
    if !note.lacks_its_way_outside() && (note.alone.is_none() || !outside::is_to_be_had()) {
        return note;
    }
    // Its holder has the end that lives as long as it does; this is the other one, again.
    let log = data.join("lab/realm.log");
    let life = File::open(format!("/proc/{}/fd/2", note.process)).map_err(|error| error.to_string());
    let made =
        life.and_then(|life| outside::connect(note.process as u32, life.into(), program, &log, note.group.as_deref()));
    // Where there is none, whoever comes next tries it again.
    let note = match made {
        Ok(outside) => Note { outside: Some(outside), alone: None, ..note },
        Err(why) => Note { alone: Some(why), ..note },
    };
    // What is not written down is made again, and ends as it finds the network taken.
    let _ = note.write(data);
    note
}

fn go_in(data: &Path, note: &Note, home: Option<PathBuf>, witness: &Witness) -> Result<(), Failure> {
    let failed = || "cannot enter the lab's realm".to_owned();
    let here = std::env::current_dir().or_fail(failed)?;
    // All that this process may be refused is done before it is anywhere else.
    let namespace = |(name, kind): (&str, CloneFlags)| {
        let path = format!("/proc/{}/ns/{name}", note.process);
        File::open(&path).or_fail(|| format!("cannot open {path}")).map(|file| (file, kind))
    };
    let namespaces = ENTERED.into_iter().map(namespace).collect::<Result<Vec<_>, Failure>>()?;
    let mut guest = Guest::come(data, home, note).or_fail(failed)?;
    if let Some(group) = &note.group {
        // By this machine's name of it: from within, nobody may take a process in from elsewhere (cgroups(7), "nsdelegate").
        fs::write(group.join("guests/cgroup.procs"), "0").map_err(|error| {
            Failure::new("this process may not join the control groups of the lab's realm", format!("{error}."))
                .help("The realm was made by a process whose control groups were its user's. Run this in the same way: `systemd-run --user --scope -p Delegate=yes andon …`.")
        })?;
        // It stays behind where it is in a group that is not the user's, and keeps nothing from that of the realm.
        let _ = fs::write(group.join("guests/cgroup.procs"), witness.process().to_string());
        guest.no_limits = group.parent().and_then(|parent| hand_on(parent).err());
    }
    for (namespace, kind) in namespaces {
        setns(namespace, kind).map_err(io::Error::from).or_fail(failed).inspect_err(|_| {
            if !is_entered() {
                guest.go_home();
            }
        })?;
        if !is_entered() {
            // From here on, root is no more than the user.
            let _ = GUEST.set(guest.clone());
        }
    }
    std::env::set_current_dir(&here).or_fail(|| format!("cannot go back to {}", here.display()))
}

/// Has the groups below one have the controllers that it has. Gives the reason where it cannot.
fn hand_on(group: &Path) -> Result<(), String> {
    let has = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in CONTROLLERS.iter().filter(|name| has.split_whitespace().any(|it| it == **name)) {
        match fs::write(group.join("cgroup.subtree_control"), format!("+{controller}")) {
            // cgroups(7), "no internal processes".
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                return Err(format!(
                    "There are other processes in {}, so the groups below it have no controllers. Run this in a scope of its own: `systemd-run --user --scope -p Delegate=yes andon …`.",
                    group.display()
                ));
            }
            Err(error) => {
                return Err(sentence(&format!("{} has no {controller} to hand on: {error}", group.display())));
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Removes what there is of a realm that nobody holds and nobody is in, and the lock at last: whoever waits for it takes
/// another one.
fn remove_files(data: &Path) {
    for name in ["realm", "realm.guests", "realm.log", "groups/.andon", "network"] {
        let _ = fs::remove_file(data.join("lab").join(name));
    }
    let _ = fs::remove_dir(data.join("lab/groups"));
    let _ = fs::remove_file(lock_path(data));
}

fn lock_path(data: &Path) -> PathBuf {
    data.join("lab/realm.lock")
}

/// This process, in the realm.
#[derive(Debug, Clone)]
struct Guest {
    /// Who this process's user is outside, and its group.
    user: u32,
    user_group: u32,
    /// A shared lock that says that somebody is in the realm.
    lock: Arc<File>,
    groups: Option<Arc<Groups>>,
    /// The control groups of realms that were lost: the directory that each is in, opened while it could be named.
    lost: Arc<Vec<(PathBuf, File)>>,
    /// Why the realm's groups have no controllers.
    no_limits: Option<String>,
}

/// The control groups around a realm, opened while they could be named.
#[derive(Debug)]
struct Groups {
    /// The processes of the one where this process was.
    home: File,
    /// The directory that has the realm's.
    parent: File,
    /// What that hands on to the groups below it.
    controllers: File,
}

impl Guest {
    fn come(data: &Path, home: Option<PathBuf>, note: &Note) -> io::Result<Guest> {
        let realm = note.group.as_deref();
        let lock = guests(data)?;
        flock(&lock, libc::LOCK_SH)?;
        let write = |path: PathBuf| File::options().write(true).open(path);
        let groups = match (home, realm.and_then(Path::parent)) {
            (Some(home), Some(parent)) => Some(Arc::new(Groups {
                home: write(home.join("cgroup.procs"))?,
                parent: File::open(parent)?,
                controllers: write(parent.join("cgroup.subtree_control"))?,
            })),
            _ => None,
        };
        let parent = |group: &PathBuf| Some((group.clone(), File::open(group.parent()?).ok()?));
        let lost = note.lost.iter().filter_map(|lost| parent(lost.group.as_ref()?)).collect();
        let (user, user_group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Ok(Guest { user, user_group, lock: Arc::new(lock), groups, lost: Arc::new(lost), no_limits: None })
    }

    /// Where the control group of a realm that was lost is to be found from within another one.
    fn lost_group(&self, group: &Path) -> Option<PathBuf> {
        let (_, parent) = self.lost.iter().find(|(known, _)| known == group)?;
        Some(Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(group.file_name()?))
    }

    /// Goes back to the control group where this process was.
    fn go_home(&self) -> bool {
        self.groups.as_ref().is_some_and(|groups| (&groups.home).write_all(b"0").is_ok())
    }

    /// Leaves the control groups of a realm that has ended, and removes them.
    fn leave(&self, realm: Option<&Path>) {
        let (Some(groups), Some(name)) = (&self.groups, realm.and_then(Path::file_name)) else { return };
        let own = Path::new("/proc/self/fd").join(groups.parent.as_raw_fd().to_string()).join(name);
        // A group that hands controllers on takes no process.
        for controller in CONTROLLERS {
            let _ = fs::write(own.join("cgroup.subtree_control"), format!("-{controller}"));
            let _ = (&groups.controllers).write_all(format!("-{controller}").as_bytes());
        }
        if self.go_home() {
            // The way outside ends with the realm, in its own time.
            let _ = lost::end_group(&own);
        }
    }
}

/// The file that whoever is in the realm has locked.
fn guests(data: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(data.join("lab/realm.guests"))
}

/// Whether somebody is in the realm.
fn has_guests(data: &Path) -> bool {
    guests(data).is_ok_and(|file| flock(&file, libc::LOCK_EX | libc::LOCK_NB).is_err())
}

fn flock(file: &File, operation: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open, and flock touches no memory.
    helper::check(unsafe { libc::flock(file.as_raw_fd(), operation) }.into()).map(drop)
}

/// The realm that this process is on.
#[derive(Debug)]
pub(crate) struct Realm {
    note: Note,
    network: File,
}

impl Realm {
    /// The realm of a data directory, where this process is on it.
    pub fn of(data: &Path) -> Option<Realm> {
        if !is_entered() || refused().is_some() {
            return None;
        }
        let note = Note::read(data)?;
        let user = |process: &str| fs::read_link(format!("/proc/{process}/ns/user")).ok();
        let number = note.process.to_string();
        if !note.is_held() || user(&number)? != user("self")? {
            return None;
        }
        let network = File::open(note.network()).ok()?;
        Some(Realm { note, network })
    }

    /// Does something on the network of the servers.
    pub fn on_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        let done = aside(|| {
            setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        });
        done.or_fail(|| "cannot work in the network namespace of the lab's realm".into())
    }

    /// Where the network of the servers can be opened.
    pub fn network(&self) -> PathBuf {
        self.note.network()
    }

    /// Whom names are asked of, that are not the lab's; and why nothing outside can be reached, where that is so.
    pub fn outside(&self) -> Result<std::net::IpAddr, &str> {
        self.note.alone.as_deref().map_or(Ok(outside::RESOLVER.into()), Err)
    }

    /// Ends what is left of realms that were lost before this one: on a network that nobody can enter any more. Its servers are
    /// then started again as after a reboot. To be called before anything is changed.
    pub fn end_lost(&self, data: &Path) -> Result<(), Failure> {
        let Some(guest) = GUEST.get().filter(|_| !self.note.lost.is_empty()) else { return Ok(()) };
        let failed = || "cannot end what is left of the lab's former realm".to_owned();
        let _lock = Lock::take(&lock_path(data)).or_fail(failed)?;
        let Some(mut note) = Note::read(data).filter(|note| note.mark == self.note.mark) else { return Ok(()) };
        for lost in std::mem::take(&mut note.lost) {
            let group = lost.group.as_deref().and_then(|group| guest.lost_group(group));
            lost.end(group.as_deref()).or_fail(failed)?;
        }
        note.write(data).or_fail(failed)
    }

    /// Gives the realm up, unless others are on it.
    pub fn leave(&self, data: &Path) {
        // With no object left, they are nobody's.
        if self.end_lost(data).is_err() {
            return;
        }
        let Ok(_lock) = Lock::take(&lock_path(data)) else { return };
        let Some(guest) = GUEST.get() else { return };
        if flock(&guest.lock, libc::LOCK_EX | libc::LOCK_NB).is_err() {
            let _ = flock(&guest.lock, libc::LOCK_SH);
            return;
        }
        self.note.end();
        guest.leave(self.note.group.as_deref());
        remove_files(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_handed_on_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (has, gives) = (folder.path().join("cgroup.controllers"), folder.path().join("cgroup.subtree_control"));
        let check = |controllers: Option<&str>, expected: Option<&str>| {
            let _ = fs::remove_file(&gives);
            if let Some(controllers) = controllers {
                fs::write(&has, controllers).unwrap();
            }
            assert_eq!(hand_on(folder.path()), Ok(()));
            // The kernel adds each; a plain file has the last.
            assert_eq!(fs::read_to_string(&gives).ok().as_deref(), expected, "{controllers:?}");
        };
        check(None, None);
        check(Some("cpuset io\n"), None);
        check(Some("memory\n"), Some("+memory"));
        check(Some("cpuset cpu io memory pids\n"), Some("+pids"));
        fs::remove_file(&gives).unwrap();
        fs::create_dir(&gives).unwrap();
        assert!(hand_on(folder.path()).unwrap_err().contains("has no memory to hand on"));
    }

    #[test]
    fn what_only_root_can_make_is_refused_with_a_way_out() {
        let check = |kind: Kind, given: &[(&'static str, Value)], expected: Option<(&str, &str)>| {
            let failure = check_may_make(kind, &Value::object(given.iter().cloned())).err();
            match expected {
                None => assert_eq!(failure, None),
                Some((summary, help)) => {
                    let failure = failure.unwrap();
                    assert_eq!(failure.summary, summary);
                    assert!(failure.help.join(" ").contains(help), "{failure:?}");
                }
            }
        };
        check(Kind::Network, &[], None);
        check(Kind::Share, &[], None);
        check(Kind::Server, &[("image", "sha256:00".into())], None);
        check(Kind::Volume, &[], Some(("a `lab_volume` needs root", "lab_share")));
        check(Kind::Snapshot, &[], Some(("a `lab_snapshot` needs root", "lab_share")));
        let on_host = [("on_host", Value::from("host"))];
        check(Kind::Server, &on_host, Some(("a server that is `on_host` needs root", "from = \"host\"")));
    }
}
