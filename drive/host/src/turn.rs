use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::places;

/// What is locked. A reboot forgets it, and a lock on it goes with the process that has it.
fn lock() -> String {
    format!("{}/converge.lock", places::passing())
}

/// How long is waited between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// A converge's turn on a server: there is one at a time, as two would undo each other's work.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Takes the turn. While another converge has it, `waits` is asked again and again whether to go on waiting; `None`
    /// where it says no.
    ///
    /// # Errors
    /// Where the lock cannot be made.
    pub fn take(waits: &mut dyn FnMut() -> bool) -> Result<Option<Turn>, String> {
        let place = lock();
        let failed = |error: std::io::Error| format!("{place} could not be locked: {error}");
        if let Some(parent) = Path::new(&place).parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&place).map_err(failed)?;
        loop {
            // SAFETY: the descriptor is open for as long as `lock` is.
            if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
                return Ok(Some(Turn { _lock: lock }));
            }
            let error = std::io::Error::last_os_error();
            if error.kind() != std::io::ErrorKind::WouldBlock {
                return Err(failed(error));
            }
            if !waits() {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}
