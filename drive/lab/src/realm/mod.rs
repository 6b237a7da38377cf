//! The realm that the lab of a user without root stands on.
//!
//! The kernel lets anybody be root of a user namespace, and of a network namespace and mounts that belong to it: there the
//! lab does all that it does elsewhere. One process holds these namespaces for as long as there is anything in them, and
//! whoever works in the lab enters them, but for the network: so the program reaches what its user reaches, and only
//! what must be among the servers goes there, a thread or a helper at a time. The way outside is a program of the user's
//! (slirp4netns), as nobody but root may connect a namespace with this machine's interfaces.
//!
//! Root inside is the user, and the other numbers are those that `/etc/subuid` and `/etc/subgid` give to the user
//! (user_namespaces(7), newuidmap(1)). Where the user's processes are in a control group that the user may write to, as
//! with `Delegate=` of systemd.resource-control(5), servers have groups below it; elsewhere processes are known by a list
//! of their numbers, there are no limits, and no server runs systemd.

mod hold;
mod note;
mod numbers;
mod outside;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use andon_schema::Failure;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use crate::cgroup::{own_group, remove_tree};
use crate::failure::OrFail;
use crate::helper::check;
use crate::records::{Lock, Records, make_private};
use note::Note;

pub(crate) use hold::helper;
pub(crate) use note::started;
pub(crate) use numbers::same_as_here;

/// Why this process could not enter its user's realm.
static REFUSED: OnceLock<Failure> = OnceLock::new();
/// Says, for as long as this process lives, that it is in the realm.
static GUEST: OnceLock<Guest> = OnceLock::new();

/// The namespaces that are entered, in this order: the first gives the right to enter the others.
const ENTERED: [(&str, CloneFlags); 3] =
    [("user", CloneFlags::CLONE_NEWUSER), ("cgroup", CloneFlags::CLONE_NEWCGROUP), ("mnt", CloneFlags::CLONE_NEWNS)];

/// Gives a process of a user without root the realm on which it can run a lab; root needs none. To be called while the
/// process has one thread, and before it opens a lab with this data directory. Where it fails the process is as it was,
/// and the lab gives the reason to whoever needs it.
pub fn enter(data: &Path, program: &Path) -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    attempt(data, program).inspect_err(|failure| {
        let _ = REFUSED.set(failure.clone());
        // Nothing is left of the attempt.
        if Note::read(data).is_none() {
            let _ = fs::remove_file(lock_path(data));
            let _ = fs::remove_file(data.join("lab/realm.log"));
            let _ = fs::remove_dir(data.join("lab"));
            let _ = fs::remove_dir(data);
        }
    })
}

/// Whether this process is in a realm: root here is a user of this machine, and nobody more.
pub fn is_entered() -> bool {
    GUEST.get().is_some()
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

fn attempt(data: &Path, program: &Path) -> Result<(), Failure> {
    let failed = || "cannot make a realm for the lab of a user without root".to_owned();
    let data = std::path::absolute(data).or_fail(failed)?;
    let lab = data.join("lab");
    make_private(&data).or_fail(|| format!("cannot make {}", data.display()))?;
    make_private(&lab).or_fail(|| format!("cannot make {}", lab.display()))?;
    let lock = Lock::take(&lock_path(&data)).or_fail(failed)?;
    let home = own_group();
    let note = match Note::read(&data).filter(Note::is_held) {
        Some(note) => note,
        None => hold::start(&data, program)?,
    };
    let here = std::env::current_dir().or_fail(failed)?;
    let guest = Guest::come(&data, home, note.group.as_deref()).or_fail(failed)?;
    for (name, kind) in ENTERED {
        let failed = || format!("cannot enter the {name} namespace of the lab's realm");
        let namespace = File::open(format!("/proc/{}/ns/{name}", note.process)).or_fail(failed)?;
        setns(namespace, kind).map_err(std::io::Error::from).or_fail(failed)?;
    }
    std::env::set_current_dir(&here).or_fail(|| format!("cannot go back to {}", here.display()))?;
    if note.group.is_some() {
        fs::write("/sys/fs/cgroup/guests/cgroup.procs", "0").map_err(|error| {
            Failure::new("this process may not join the control groups of the lab's realm", format!("{error}."))
                .help("The realm was made by a process whose control groups were its user's. Run this in the same way: `systemd-run --user --scope -p Delegate=yes andon …`.")
        })?;
    }
    let _ = GUEST.set(guest);
    drop(lock);
    Ok(())
}

fn lock_path(data: &Path) -> PathBuf {
    data.join("lab/realm.lock")
}

/// This process, in the realm.
#[derive(Debug)]
struct Guest {
    /// A shared lock that says that somebody is in the realm.
    lock: File,
    /// Where this process's control group was, and the directory that has that of the realm, opened while they could be named.
    groups: Option<(File, File)>,
}

impl Guest {
    fn come(data: &Path, home: Option<PathBuf>, realm: Option<&Path>) -> io::Result<Guest> {
        let lock = File::options().create(true).append(true).open(data.join("lab/realm.guests"))?;
        flock(&lock, libc::LOCK_SH)?;
        let groups = match (home, realm.and_then(Path::parent)) {
            (Some(home), Some(parent)) => {
                Some((File::options().write(true).open(home.join("cgroup.procs"))?, File::open(parent)?))
            }
            _ => None,
        };
        Ok(Guest { lock, groups })
    }

    /// Leaves the control groups of a realm that has ended, and removes them.
    fn leave(&self, realm: Option<&Path>) {
        let (Some((home, parent)), Some(name)) = (&self.groups, realm.and_then(Path::file_name)) else { return };
        if (&*home).write_all(b"0").is_ok() {
            let _ = remove_tree(&Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name));
        }
    }
}

fn flock(file: &File, operation: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open, and flock touches no memory.
    check(unsafe { libc::flock(file.as_raw_fd(), operation) }.into()).map(drop)
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
        let done = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET)?;
                Ok::<T, Errno>(work())
            });
            thread.join()
        });
        match done {
            Ok(done) => done
                .map_err(std::io::Error::from)
                .or_fail(|| "cannot enter the network namespace of the lab's realm".into()),
            // What went wrong in there goes wrong here.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Where the network of the servers can be opened.
    pub fn network(&self) -> PathBuf {
        self.note.network()
    }

    /// Whom names are asked of, that are not the lab's; and why nothing outside can be reached, where that is so.
    pub fn outside(&self) -> Result<std::net::IpAddr, &str> {
        self.note.alone.as_deref().map_or(Ok(outside::RESOLVER.into()), Err)
    }

    /// Gives the realm up, unless others are on it.
    pub fn leave(&self, data: &Path) {
        let Ok(_lock) = Lock::take(&lock_path(data)) else { return };
        let Some(guest) = GUEST.get() else { return };
        if flock(&guest.lock, libc::LOCK_EX | libc::LOCK_NB).is_err() {
            let _ = flock(&guest.lock, libc::LOCK_SH);
            return;
        }
        self.note.end();
        guest.leave(self.note.group.as_deref());
        for name in ["realm", "realm.guests", "realm.log", "groups/.andon", "network"] {
            let _ = fs::remove_file(data.join("lab").join(name));
        }
        let _ = fs::remove_dir(data.join("lab/groups"));
        // Whoever waits for the lock takes another one.
        let _ = fs::remove_file(lock_path(data));
    }
}
