//! Locks that end with the process that holds them, however it ends: flock(2).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How often somebody who waits looks again.
const TICK: Duration = Duration::from_millis(20);

/// A lock that is held until dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its end")] Flock<File>);

impl Lock {
    /// The lock, if nobody has it.
    pub(crate) fn attempt(path: &Path) -> io::Result<Option<Lock>> {
        match Flock::lock(open(path)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Lock(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error.into()),
        }
    }

    /// Whether somebody has the lock. Nothing is made where it is not, as its directory may be removed meanwhile.
    pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
        let file = match File::options().write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(_) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, error)) => Err(error.into()),
        }
    }

    /// The lock, once nobody else has it.
    pub(crate) fn wait(path: &Path) -> io::Result<Lock> {
        Lock::have(open(path)?)
    }

    /// The same where that may last: `None` where an end is asked for before.
    pub(crate) fn wait_unless(path: &Path, interrupt: &AtomicBool) -> io::Result<Option<Lock>> {
        loop {
            if let Some(lock) = Lock::attempt(path)? {
                return Ok(Some(lock));
            }
            if interrupt.load(Ordering::Relaxed) {
                return Ok(None);
            }
            std::thread::sleep(TICK);
        }
    }

    /// The lock of a file or a directory itself, once nobody else has it and it is what is at that path: whoever had it may have
    /// given it another name. A link is what it leads to; `open` says whether one counts. It leaves nothing there. `None`
    /// where an end is asked for before.
    pub(crate) fn of_what_is_at(
        path: &Path,
        open: impl Fn() -> io::Result<File>,
        interrupt: &AtomicBool,
    ) -> io::Result<Option<Lock>> {
        loop {
            match Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => {
                    let (held, there) = (lock.metadata()?, fs::metadata(path));
                    if there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
                        return Ok(Some(Lock(lock)));
                    }
                }
                Err((_, Errno::EWOULDBLOCK)) => {}
                Err((_, error)) => return Err(error.into()),
            }
            if interrupt.load(Ordering::Relaxed) {
                return Ok(None);
            }
            std::thread::sleep(TICK);
        }
    }

    fn have(mut file: File) -> io::Result<Lock> {
        loop {
            match Flock::lock(file, FlockArg::LockExclusive) {
                Ok(lock) => return Ok(Lock(lock)),
                Err((again, Errno::EINTR)) => file = again,
                Err((_, error)) => return Err(error.into()),
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    File::options().create(true).truncate(false).write(true).open(path)
}
