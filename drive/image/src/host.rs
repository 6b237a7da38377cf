//! This machine's own packages as the root file system of a base: no download at all, and nothing that this machine is beside its
//! packages. What they brought is taken as they brought it: a file that was changed here is left out, and so is all that no
//! package knows. Accounts are those of the system, without passwords.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use andon_schema::Failure;

use crate::RecipeKey;
use crate::clean::{Keys, remake};
use crate::oci::tarball::{alike, copy};
use crate::owners::Owners;
use crate::patience::{output_of, stopped, stopped_working};
use crate::trouble::Trouble;

/// What dpkg knows.
const STATUS: &str = "var/lib/dpkg/status";
const INFO: &str = "var/lib/dpkg/info";

/// What ucf(1) knows: the sums of files as packages brought them.
const UCF: &str = "var/lib/ucf/hashfile";

/// Records of package managers, which go as they are.
const RECORDS: [&str; 5] =
    ["var/lib/dpkg", "var/lib/ucf", "var/lib/pam", "var/lib/systemd/deb-systemd-helper-enabled", "var/lib/python"];

/// What packages' scripts make in /etc: files, or all that is in a directory.
const MADE: [&str; 15] = [
    "etc/alternatives",
    "etc/apt/keyrings",
    "etc/apt/trusted.gpg.d",
    "etc/ca-certificates.conf",
    "etc/dpkg/origins",
    "etc/ld.so.cache",
    "etc/localtime",
    "etc/pam.d/common-account",
    "etc/pam.d/common-auth",
    "etc/pam.d/common-password",
    "etc/pam.d/common-session",
    "etc/pam.d/common-session-noninteractive",
    "etc/shells",
    "etc/timezone",
    "etc/ucf.conf",
];

/// Where links to what packages brought stand.
const LINKS: [&str; 11] = [
    "etc/pam.d",
    "etc/rc0.d",
    "etc/rc1.d",
    "etc/rc2.d",
    "etc/rc3.d",
    "etc/rc4.d",
    "etc/rc5.d",
    "etc/rc6.d",
    "etc/rcS.d",
    "etc/ssl/certs",
    "etc/systemd",
];

/// How those of them begin by which services start, and the record of that.
const STARTS: [&str; 3] = ["etc/rc", "etc/systemd", "var/lib/systemd"];

/// Files as they are before anybody changes them, and where packages keep them.
const PRISTINE: [(&str, &str); 3] = [
    ("etc/profile", "usr/share/base-files/profile"),
    ("etc/nsswitch.conf", "usr/share/libc-bin/nsswitch.conf"),
    ("etc/nsswitch.conf", "usr/share/base-files/nsswitch.conf"),
];

/// Where nothing is taken from but directories.
const OWN: [&str; 8] = ["boot", "home", "root", "tmp", "run", "usr/local", "var/cache", "var/log"];

/// Directories that every root file system has, and their modes.
const PLACES: [(&str, u32); 16] = [
    ("boot", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

/// At most so many files that are left out are named.
const SHOWN: usize = 40;

/// 2024-01-01 in days since 1970: when every password is said to have changed last.
const DAY: u32 = 19_723;

/// A key that changes when the packages do.
pub(crate) fn key(host: &Path) -> Result<RecipeKey, Failure> {
    let status = host.join(STATUS);
    let text = fs::read(&status).map_err(|error| {
        Failure::new(
            "this machine cannot be a base",
            format!("A base is made of what dpkg has installed here; {} cannot be read: {error}.", status.display()),
        )
        .help("Use a release, such as `debian:bookworm`, a directory, or an image of a registry.")
    })?;
    let ucf = fs::read(host.join(UCF)).unwrap_or_default();
    Ok(RecipeKey::of([&b"andon host 2"[..], &text, &ucf]))
}

/// How much of a machine is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that packages brought.
    Whole,
    /// All but `/usr`, for servers that see the machine's own there; and none of its services starts by itself.
    Settings,
}

/// What is taken from a machine, and by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taking<'a> {
    /// The machine's root file system.
    pub host: &'a Path,
    /// How much of it.
    pub extent: Extent,
    /// Whose its files are.
    pub owners: &'a Owners,
    /// Ends the work soon after it is set.
    pub interrupt: &'a AtomicBool,
}

impl Taking<'_> {
    /// Copies what packages brought to the empty directory `root`, and says what it leaves out.
    pub(crate) fn copy_to(self, root: &Path, log: &dyn Fn(&str)) -> Result<(), Failure> {
        let taken = take(self, root, log);
        match self.interrupt.load(Ordering::Relaxed) {
            true => Err(stopped()),
            false => taken,
        }
    }
}

fn take(taking: Taking<'_>, root: &Path, log: &dyn Fn(&str)) -> Result<(), Failure> {
    let Taking { host, extent, interrupt, .. } = taking;
    for (place, mode) in PLACES {
        make(root, place, mode).doing("make", &root.join(place))?;
    }
    let host = &host.canonicalize().doing("find", host)?;
    let (taken, real, closed) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    let mut taker = Taker { from: Taking { host, ..taking }, root, taken, real, closed };
    taker.top_links().doing("read", host)?;
    let mut sums = sums(host).doing("read", &host.join(STATUS))?;
    if extent == Extent::Settings {
        sums.retain(|path, _| !taker.is_in_usr(Path::new(path)));
    }
    log("comparing files with what their packages brought");
    let changed = changed(host, &sums, interrupt).doing("read", host)?;
    let info = host.join(INFO);
    let mut listed: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(&info).doing("read", &info)?.flatten() {
        if entry.path().extension().is_some_and(|end| end == "list") {
            let text = fs::read(entry.path()).doing("read", &entry.path())?;
            let text = String::from_utf8_lossy(&text).into_owned();
            listed.extend(text.lines().map(|path| path.trim_start_matches('/').to_owned()));
        }
    }
    listed.extend(sums.keys().cloned());
    let file = |path: &str| fs::symlink_metadata(host.join(path)).ok().filter(fs::Metadata::is_file);
    // Nobody knows how its package brought it: what is no program may have been written by hand, and what not all may
    // read may be a secret.
    let is_program = |path: &str| taker.is_in_usr(Path::new(path));
    let is_unknown = |path: &&String| {
        let may_all_read = |metadata: fs::Metadata| metadata.mode() & 0o004 != 0;
        let is_own = OWN.iter().any(|own| Path::new(path).starts_with(own));
        !(is_own || sums.contains_key(*path) || extent == Extent::Settings && is_program(path))
            && file(path).is_some_and(|metadata| !(is_program(path) && may_all_read(metadata)))
    };
    let changed: BTreeSet<String> = changed.into_iter().chain(listed.iter().filter(is_unknown).cloned()).collect();
    let closed: BTreeSet<String> = changed.iter().filter(|path| is_closed(host, Path::new(path))).cloned().collect();
    let left: Vec<String> =
        changed.iter().filter(|path| file(path).is_some() && !closed.contains(*path)).cloned().collect();
    taker.closed = closed;
    for path in listed.difference(&changed) {
        taker.take(path).doing("take over", &host.join(path))?;
    }
    let is_start = |path: &str| extent == Extent::Settings && STARTS.iter().any(|start| path.starts_with(start));
    for path in RECORDS.iter().chain(&MADE).filter(|path| !is_start(path)) {
        taker.take_all(path, &|_| true).doing("take over", &host.join(path))?;
    }
    taker.alternatives().doing("take over", &host.join("etc/alternatives"))?;
    for path in LINKS.into_iter().filter(|path| !is_start(path)) {
        let known = taker.taken.clone();
        let leads_to_known = |path: &Path| leads_to(host, path).is_some_and(|target| known.contains(&target));
        taker.take_all(path, &leads_to_known).doing("take over", &host.join(path))?;
    }
    taker.sources().doing("take over", &host.join("etc/apt"))?;
    taker.certificates().doing("write", &root.join("etc/ssl"))?;
    for (path, pristine) in PRISTINE {
        let from = host.join(pristine);
        if from.is_file() && !root.join(path).exists() {
            fs::copy(&from, root.join(path)).doing("take over", &from)?;
        }
    }
    accounts(host, root).doing("write", &root.join("etc/passwd"))?;
    for (path, text) in [
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"),
        ("etc/fstab", ""),
        ("etc/hostname", "localhost\n"),
        ("etc/machine-id", ""),
        ("etc/resolv.conf", ""),
    ] {
        write(&root.join(path), text, 0o644).doing("write", &root.join(path))?;
    }
    match extent {
        // Packages make keys when they are installed, which they are already.
        Extent::Whole => remake(root, &Keys::needed(root)).doing("write", &root.join("etc/systemd"))?,
        Extent::Settings => servers_own(host, root).doing("write", &root.join("etc/systemd"))?,
    }
    tell(&left, "left out, changed here or not known to be as packaged", log);
    let closed: Vec<String> = taker.closed.into_iter().collect();
    tell(&closed, "left out, as this user may not read them", log);
    Ok(())
}

/// Says what was left out, and why.
fn tell(left: &[String], why: &str, log: &dyn Fn(&str)) {
    if left.is_empty() {
        return;
    }
    let noun = if left.len() == 1 { "file of a package is" } else { "files of packages are" };
    log(&format!("{} {noun} {why}:", left.len()));
    left.iter().take(SHOWN).for_each(|path| log(&format!("  /{path}")));
    if left.len() > SHOWN {
        log(&format!("  and {} more", left.len() - SHOWN));
    }
}

/// Whether nothing is taken from a place but directories.
fn is_own(path: &Path) -> bool {
    OWN.iter().any(|own| path.starts_with(own))
}

/// Whether there is something to be taken that this user may not read.
fn is_closed(host: &Path, path: &Path) -> bool {
    let is_denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    if is_own(path) {
        return false;
    }
    let path = host.join(path);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => fs::File::open(path).is_err_and(|error| is_denied(&error)),
        Ok(_) => false,
        Err(error) => is_denied(&error),
    }
}

struct Taker<'a> {
    from: Taking<'a>,
    root: &'a Path,
    /// What is there now, without a leading slash.
    taken: BTreeSet<PathBuf>,
    /// Directories by the names that packages have for them.
    real: BTreeMap<PathBuf, Option<PathBuf>>,
    /// What packages brought that this user may not read.
    closed: BTreeSet<String>,
}

impl Taker<'_> {
    /// Whether a path is below `/usr`, also by the name that it had before; the links at the top are known.
    fn is_in_usr(&self, path: &Path) -> bool {
        path.starts_with("usr") || self.taken.iter().any(|link| path.starts_with(link))
    }

    /// `/bin` and its like, where these are links.
    fn top_links(&mut self) -> io::Result<()> {
        for entry in fs::read_dir(self.from.host)? {
            let entry = entry?;
            let name = PathBuf::from(entry.file_name());
            if entry.file_type()?.is_symlink() && fs::read_link(entry.path())?.starts_with("usr") {
                copy(&entry.path(), &self.root.join(&name), self.from.owners)?;
                self.taken.insert(name);
            }
        }
        Ok(())
    }

    /// Takes over one path that a package names, and the directories that it is in.
    fn take(&mut self, named: &str) -> io::Result<()> {
        if self.from.interrupt.load(Ordering::Relaxed) {
            return Err(stopped_working());
        }
        let path = Path::new(named);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let known = self.real.entry(parent.to_owned());
        let path = known.or_insert_with(|| directory(self.from.host, parent)).as_ref().map(|it| it.join(name));
        if self.from.owners.are_hidden() && is_closed(self.from.host, path.as_deref().unwrap_or(Path::new(named))) {
            self.closed.insert(named.to_owned());
            return Ok(());
        }
        let Some(path) = path else { return Ok(()) };
        let from = self.from.host.join(&path);
        let Ok(metadata) = fs::symlink_metadata(&from) else { return Ok(()) };
        let kind = metadata.file_type();
        let is_own = is_own(&path);
        if (is_own && !kind.is_dir()) || !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
            return Ok(());
        }
        if self.from.extent == Extent::Settings && path.starts_with("usr") {
            if !kind.is_dir() {
                self.taken.insert(path);
            }
            return Ok(());
        }
        self.directories(path.parent().unwrap_or(Path::new("")))?;
        if kind.is_dir() {
            return self.directories(&path);
        }
        if self.taken.insert(path.clone()) {
            copy(&from, &self.root.join(&path), self.from.owners)?;
        }
        Ok(())
    }

    fn directories(&mut self, path: &Path) -> io::Result<()> {
        let mut place = PathBuf::new();
        for part in path.components() {
            place.push(part);
            let to = self.root.join(&place);
            if fs::symlink_metadata(&to).is_err() {
                fs::create_dir(&to)?;
                alike(&self.from.host.join(&place), &to, self.from.owners)?;
            }
        }
        Ok(())
    }

    /// Takes over all that is at a path and below it and that is wanted.
    fn take_all(&mut self, path: &str, wanted: &dyn Fn(&Path) -> bool) -> io::Result<()> {
        let mut open = vec![PathBuf::from(path)];
        while let Some(path) = open.pop() {
            let from = self.from.host.join(&path);
            let Ok(metadata) = fs::symlink_metadata(&from) else { continue };
            if metadata.is_dir() {
                // One that is not everybody's to read has what is not everybody's to have.
                let entries = match fs::read_dir(&from) {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                    entries => entries?,
                };
                for entry in entries {
                    open.push(path.join(entry?.file_name()));
                }
                continue;
            }
            let is_secret = metadata.is_file() && metadata.mode() & 0o004 == 0;
            let is_lock = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lock"));
            if !is_secret
                && !is_lock
                && wanted(&path)
                && let Some(path) = path.to_str()
            {
                self.take(path)?;
            }
        }
        Ok(())
    }

    /// The links that stand for the programs that were chosen.
    fn alternatives(&mut self) -> io::Result<()> {
        for (_, path) in files(&self.from.host.join("var/lib/dpkg/alternatives"))? {
            for link in fs::read_to_string(path)?.lines().filter_map(|line| line.strip_prefix('/')) {
                if fs::read_link(self.from.host.join(link)).is_ok_and(|target| target.starts_with("/etc/alternatives"))
                {
                    self.take(link)?;
                }
            }
        }
        Ok(())
    }

    /// Where packages come from, but for places that are named with a password.
    fn sources(&mut self) -> io::Result<()> {
        let more = files(&self.from.host.join("etc/apt/sources.list.d"))?;
        let more = more.into_iter().map(|(name, _)| format!("etc/apt/sources.list.d/{name}"));
        for path in more.chain(["etc/apt/sources.list".to_owned()]) {
            let Ok(text) = fs::read_to_string(self.from.host.join(&path)) else { continue };
            if !text.split_whitespace().any(|word| word.contains("://") && word.contains('@')) {
                self.take(&path)?;
            }
        }
        Ok(())
    }

    /// One file of all certificates that packages brought, as update-ca-certificates(8) makes it.
    fn certificates(&mut self) -> io::Result<()> {
        let Ok(list) = fs::read_to_string(self.from.host.join("etc/ca-certificates.conf")) else { return Ok(()) };
        let mut all = String::new();
        for name in list.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])) {
            let place = Path::new("usr/share/ca-certificates").join(name);
            if self.taken.contains(&place) {
                let text = fs::read_to_string(self.from.host.join(place))?;
                all.push_str(&text);
                all.push_str(if text.ends_with('\n') { "" } else { "\n" });
            }
        }
        make(self.root, "etc/ssl", 0o755)?;
        make(self.root, "etc/ssl/certs", 0o755)?;
        write(&self.root.join("etc/ssl/certs/ca-certificates.crt"), &all, 0o644)
    }
}

/// What servers that see the machine's own `/usr` have of their own: a target without a desktop, and a way to keys.
fn servers_own(host: &Path, root: &Path) -> io::Result<()> {
    make(root, "etc/systemd", 0o755)?;
    make(root, "etc/systemd/system", 0o755)?;
    std::os::unix::fs::symlink(
        "/usr/lib/systemd/system/multi-user.target",
        root.join("etc/systemd/system/default.target"),
    )?;
    let own: Vec<Keys> = Keys::needed(host).into_iter().filter(|keys| *keys == Keys::Ssh).collect();
    remake(root, &own)
}

/// The same path without links on the way to its last part, below a root; `None` where there is no such place.
fn real(host: &Path, path: &Path) -> Option<PathBuf> {
    Some(directory(host, path.parent()?)?.join(path.file_name()?))
}

/// The same of a directory, with its last part.
fn directory(host: &Path, path: &Path) -> Option<PathBuf> {
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let place = if is_plain { host.join(path).canonicalize().ok()? } else { return None };
    place.strip_prefix(host).ok().map(Path::to_owned)
}

/// Where a link leads to in the end, below a root.
fn leads_to(host: &Path, path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..10 {
        let from = host.join(&path);
        if !fs::symlink_metadata(&from).ok()?.is_symlink() {
            return Some(path);
        }
        let target = fs::read_link(&from).ok()?;
        let target = match target.strip_prefix("/") {
            Ok(target) => target.to_owned(),
            Err(_) => path.parent()?.join(target),
        };
        let mut plain = PathBuf::new();
        for part in target.components() {
            match part {
                Component::Normal(name) => plain.push(name),
                Component::ParentDir => drop(plain.pop()),
                _ => {}
            }
        }
        path = real(host, &plain)?;
    }
    None
}

/// The MD5 sums of files, by path. One that is diverted for another package has those of both.
type Sums = BTreeMap<String, Vec<String>>;

/// The sums of all files as packages brought them, configuration files included.
fn sums(host: &Path) -> io::Result<Sums> {
    let status = fs::read(host.join(STATUS))?;
    let mut sums = Sums::new();
    let mut put = |path: &str, sum: &str| sums.entry(path.to_owned()).or_default().push(sum.to_owned());
    for line in String::from_utf8_lossy(&status).lines() {
        let mut words = line.split(' ');
        if let (Some(""), Some(path), Some(sum)) = (words.next(), words.next(), words.next())
            && let Some(path) = path.strip_prefix("/etc/")
            && sum.len() == 32
        {
            put(&format!("etc/{path}"), sum);
        }
    }
    let ucf = fs::read_to_string(host.join(UCF)).unwrap_or_default();
    for line in ucf.lines() {
        if let Some((sum, path)) = line.split_once("  ")
            && let Some(path) = path.strip_prefix('/')
        {
            put(path, sum);
        }
    }
    for (name, path) in files(&host.join(INFO))? {
        if !name.ends_with(".md5sums") {
            continue;
        }
        let text = fs::read(path)?;
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some((sum, path)) = line.split_once("  ") {
                put(path, sum);
            }
        }
    }
    Ok(sums)
}

/// The files that are not what these sums say.
fn changed(host: &Path, sums: &Sums, interrupt: &AtomicBool) -> io::Result<BTreeSet<String>> {
    let there = |path: &&String| fs::symlink_metadata(host.join(path)).is_ok_and(|metadata| metadata.is_file());
    let mut same: BTreeSet<String> = BTreeSet::new();
    let paths: Vec<&String> = sums.keys().filter(there).collect();
    for some in paths.chunks(500) {
        let mut command = Command::new("md5sum");
        command.arg("--").args(some).current_dir(host).stdin(Stdio::null());
        let output = output_of(&mut command, interrupt)?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((sum, path)) = line.split_once("  ")
                && sums.get(path).is_some_and(|wanted| wanted.iter().any(|wanted| wanted == sum))
            {
                same.insert(path.to_owned());
            }
        }
    }
    Ok(sums.keys().filter(|path| !same.contains(*path)).cloned().collect())
}

/// The system's own users and groups, none of which has a password.
fn accounts(host: &Path, root: &Path) -> io::Result<()> {
    let text = |name: &str| fs::read_to_string(host.join("etc").join(name)).unwrap_or_default();
    let field = |line: &str, at: usize| line.split(':').nth(at).unwrap_or_default().to_owned();
    let is_system = |line: &&str| field(line, 2).parse::<u32>().is_ok_and(|id| id < 1000 || id == 65_534);
    let (mut passwd, mut shadow) = (String::new(), String::new());
    let mut users = BTreeSet::new();
    let all = text("passwd");
    for line in all.lines().filter(is_system).filter(|line| !field(line, 5).starts_with("/home/")) {
        let (name, id, group) = (field(line, 0), field(line, 2), field(line, 3));
        let (home, shell) = (field(line, 5), field(line, 6));
        passwd.push_str(&format!("{name}:x:{id}:{group}:{name}:{home}:{shell}\n"));
        shadow.push_str(&format!("{name}:*:{DAY}:0:99999:7:::\n"));
        users.insert(name);
    }
    let (mut group, mut gshadow) = (String::new(), String::new());
    let mut shadow_group = 0;
    for line in text("group").lines().filter(is_system) {
        let (name, id) = (field(line, 0), field(line, 2));
        let members = field(line, 3);
        let members: Vec<&str> = members.split(',').filter(|member| users.contains(*member)).collect();
        let members = members.join(",");
        group.push_str(&format!("{name}:x:{id}:{members}\n"));
        gshadow.push_str(&format!("{name}:*::{members}\n"));
        if name == "shadow" {
            shadow_group = id.parse().unwrap_or(0);
        }
    }
    let etc = root.join("etc");
    write(&etc.join("passwd"), &passwd, 0o644)?;
    write(&etc.join("group"), &group, 0o644)?;
    for (name, text) in [("shadow", shadow), ("gshadow", gshadow)] {
        write(&etc.join(name), &text, 0o640)?;
        chown(etc.join(name), Some(0), Some(shadow_group))?;
    }
    Ok(())
}

fn make(root: &Path, place: &str, mode: u32) -> io::Result<()> {
    let place = root.join(place);
    match fs::create_dir(&place) {
        Ok(()) => fs::set_permissions(place, Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a file in place of whatever is there.
fn write(place: &Path, text: &str, mode: u32) -> io::Result<()> {
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::write(place, text)?;
    fs::set_permissions(place, Permissions::from_mode(mode))
}

/// The plain files in a directory, if there is one: their names and where they are.
fn files(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.file_type()?.is_file()
        {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let place = std::env::temp_dir().join(format!("andon-host-{name}-{}", std::process::id()));
            fs::create_dir_all(&place).unwrap();
            Place(place)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn take_from(host: &Path, root: &Path, extent: Extent, is_ended: bool, log: &dyn Fn(&str)) -> Result<(), Failure> {
        let (owners, interrupt) = (Owners::default(), AtomicBool::new(is_ended));
        Taking { host, extent, owners: &owners, interrupt: &interrupt }.copy_to(root, log)
    }

    #[test]
    fn what_packages_brought_is_taken_and_nothing_else() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let (host, root) = (Place::new("from"), Place::new("to"));
        let (host, root) = (&host.0, &root.0);
        let put = |path: &str, text: &str| {
            let path = host.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let link = |path: &str, target: &str| {
            fs::create_dir_all(host.join(path).parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, host.join(path)).unwrap();
        };
        // MD5 of "as packaged".
        let sum = "6e8fe0e10fb1fa70ebec6dd15f5a2e2c";
        let real_sum = {
            put("sum", "as packaged");
            let output = Command::new("md5sum").arg(host.join("sum")).output().unwrap();
            String::from_utf8_lossy(&output.stdout).get(..32).unwrap().to_owned()
        };
        put(
            "var/lib/dpkg/status",
            &format!("Package: web\nConffiles:\n /etc/web.conf {real_sum}\n /etc/changed.conf {sum}\n\n"),
        );
        put("var/lib/ucf/hashfile", &format!("{real_sum}  /etc/ucf.conf\n{sum}  /etc/ucf-changed.conf\n"));
        put(
            "var/lib/dpkg/info/web.list",
            "/.\n/etc\n/usr/sbin/sshd\n/usr/sbin/make-ssl-cert\n/etc/web.conf\n/etc/changed.conf\n/usr\n/usr/bin\n/bin/web\n/usr/lib/systemd/web.service\n/usr/lib/systemd/edited.service\n/usr/share/web/settings.py\n/usr/share/web/key\n/opt/web.conf\n/root/.profile\n/usr/local/bin\n/gone\n",
        );
        put(
            "var/lib/dpkg/info/web.md5sums",
            &format!(
                "{real_sum}  usr/lib/systemd/web.service\n{real_sum}  usr/sbin/sshd\n{real_sum}  usr/sbin/make-ssl-cert\n{sum}  usr/lib/systemd/edited.service\n{sum}  usr/share/web/settings.py\n{sum}  gone\n"
            ),
        );
        put("usr/lib/systemd/edited.service", "secret");
        put("usr/share/web/settings.py", "secret");
        link("bin", "usr/bin");
        put("usr/bin/web", "program");
        put("usr/bin/by-hand", "secret");
        put("opt/web.conf", "secret");
        put("usr/share/web/key", "secret");
        fs::set_permissions(host.join("usr/share/web/key"), Permissions::from_mode(0o600)).unwrap();
        put("usr/sbin/sshd", "as packaged");
        put("usr/sbin/make-ssl-cert", "as packaged");
        put("etc/ssh/ssh_host_rsa_key", "secret");
        put("usr/local/bin/tool", "secret");
        put("usr/lib/systemd/web.service", "as packaged");
        put("usr/lib/systemd/by-hand.service", "secret");
        put("etc/web.conf", "as packaged");
        put("etc/changed.conf", "secret");
        put("etc/ucf.conf", "as packaged");
        put("etc/ucf-changed.conf", "secret");
        put("etc/by-hand.conf", "secret");
        put("etc/hosts", "10.0.0.1 secret");
        put("root/.profile", "secret");
        put("home/somebody/x", "secret");
        put("var/log/web.log", "secret");
        put("etc/apt/sources.list", "deb http://m.example/debian bookworm main\n");
        put("etc/apt/sources.list.d/own.list", "deb https://me:secret@p.example/debian bookworm main\n");
        put(
            "etc/passwd",
            "root:x:0:0:Secret Name:/root:/bin/sh\nweb:x:101:101::/srv:/bin/false\nsomebody:x:1000:1000:secret:/home/somebody:/bin/sh\nadm:x:999:999::/home/adm:/bin/sh\n",
        );
        put("etc/group", "root:x:0:\nsudo:x:27:somebody,web\nshadow:x:42:\nsomebody:x:1000:\n");
        put("etc/shadow", "root:$6$secret:1:::::\n");
        link("etc/systemd/system/multi-user.target.wants/web.service", "/lib/systemd/web.service");
        link("lib", "usr/lib");
        link("etc/systemd/system/multi-user.target.wants/by-hand.service", "/lib/systemd/by-hand.service");
        link("usr/bin/vi", "/etc/alternatives/vi");
        link("etc/alternatives/vi", "/usr/bin/web");
        put("var/lib/dpkg/alternatives/vi", "auto\n/usr/bin/vi\n\n/usr/bin/web\n10\n");
        let said = std::sync::Mutex::new(Vec::new());
        take_from(host, root, Extent::Whole, false, &|line| said.lock().unwrap().push(line.to_owned())).unwrap();
        assert_eq!(
            said.lock().unwrap()[1..],
            [
                "6 files of packages are left out, changed here or not known to be as packaged:",
                "  /etc/changed.conf",
                "  /etc/ucf-changed.conf",
                "  /opt/web.conf",
                "  /usr/lib/systemd/edited.service",
                "  /usr/share/web/key",
                "  /usr/share/web/settings.py",
            ]
        );
        let secrets = Command::new("grep").args(["-ril", "-e", "secret", "-e", "somebody"]).arg(root).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&secrets.stdout), "");
        for (path, content) in [
            ("bin/web", "program"),
            ("etc/web.conf", "as packaged"),
            ("etc/ucf.conf", "as packaged"),
            ("lib/systemd/web.service", "as packaged"),
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:101:101:web:/srv:/bin/false\n"),
            ("etc/group", "root:x:0:\nsudo:x:27:web\nshadow:x:42:\n"),
            ("etc/shadow", "root:*:19723:0:99999:7:::\nweb:*:19723:0:99999:7:::\n"),
            ("etc/apt/sources.list", "deb http://m.example/debian bookworm main\n"),
        ] {
            assert_eq!(fs::read_to_string(root.join(path)).unwrap_or_default(), content, "{path}");
        }
        let wants = |name: &str| root.join("etc/systemd/system/multi-user.target.wants").join(name);
        assert!(
            fs::symlink_metadata(wants("web.service")).is_ok()
                && fs::symlink_metadata(wants("by-hand.service")).is_err()
        );
        for link in ["usr/bin/vi", "etc/alternatives/vi", "bin"] {
            assert!(fs::symlink_metadata(root.join(link)).unwrap().is_symlink(), "{link}");
        }
        for gone in ["usr/bin/by-hand", "usr/local/bin/tool", "etc/by-hand.conf", "home/somebody", "root/.profile"] {
            assert!(!root.join(gone).exists(), "{gone}");
        }
        assert_eq!(fs::metadata(root.join("etc/shadow")).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::metadata(root.join("etc/shadow")).unwrap().gid(), 42);
        // Nobody makes the keys of packages that are installed already.
        for made in ["ssh.service.d/host-keys.conf", "ssl-cert-snakeoil.service"] {
            assert!(root.join("etc/systemd/system").join(made).exists(), "{made}");
        }
        let ended = Place::new("ended");
        let failure = take_from(host, &ended.0, Extent::Whole, true, &|_| ()).unwrap_err();
        assert_eq!(failure.summary, "it was stopped");
        // For servers that see the rest: nothing of /usr, and nothing that starts a service.
        let settings = Place::new("settings");
        take_from(host, &settings.0, Extent::Settings, false, &|_| ()).unwrap();
        assert_eq!(fs::read_dir(settings.0.join("usr")).unwrap().count(), 0);
        let read = |path: &str| fs::read_to_string(settings.0.join(path)).unwrap_or_default();
        assert_eq!((&*read("etc/web.conf"), &*read("etc/ucf.conf")), ("as packaged", "as packaged"));
        assert!(read("etc/systemd/system/ssh.service.d/host-keys.conf").contains("ssh-keygen -A"));
        let system = settings.0.join("etc/systemd/system");
        assert!(!system.join("multi-user.target.wants").exists());
        assert!(fs::read_link(system.join("default.target")).unwrap().ends_with("multi-user.target"));
        assert!(fs::symlink_metadata(settings.0.join("etc/alternatives/vi")).unwrap().is_symlink());
        let secrets = Command::new("grep").args(["-ril", "-e", "secret", "-e", "somebody"]).arg(&settings.0).output();
        assert_eq!(String::from_utf8_lossy(&secrets.unwrap().stdout), "");
    }

    #[test]
    fn a_real_machine_is_a_base_that_works() {
        let Some(host) = std::env::var_os("ANDON_TEST_ROOT").filter(|_| nix::unistd::geteuid().is_root()) else {
            println!("skipped: needs root, and ANDON_TEST_ROOT to name the root file system of a Debian");
            return;
        };
        let root = Place::new("real");
        take_from(Path::new(&host), &root.0, Extent::Whole, false, &|line| println!("{line}")).unwrap();
        let inside = |script: &str| {
            let output = Command::new("chroot").arg(&root.0).args(["sh", "-c", script]).output().unwrap();
            let said = [&output.stdout[..], &output.stderr].concat();
            assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&said));
            String::from_utf8_lossy(&said).into_owned()
        };
        assert_eq!(inside("dpkg --audit"), "");
        inside("systemctl --version && apt-get --version && perl -e 1 && getent passwd root && su - -c true");
        let verified = inside("dpkg --verify || true");
        let changed: Vec<&str> = verified.lines().filter(|line| !line.starts_with("??5?????? c")).collect();
        let missing = changed.iter().filter(|line| !line.contains("/usr/share/") && !line.contains("/boot/")).count();
        assert!(missing < 20, "{changed:#?}");
    }
}
