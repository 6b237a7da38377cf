//! The lock of an environment: an advisory lock of the system on a file, so that it is gone with its holder, however
//! that ends. The file says who holds it; a file that nobody has locked says nothing.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use andon_ledger::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value as Json, json};

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// `user@host`.
    pub who: String,
    /// The command: `up`, `apply web`.
    pub command: String,
    /// Since when.
    pub since: Timestamp,
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct LockGuard {
    file: Flock<File>,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another one holds it.
    #[error("the environment is in use: `{}` by {} (process {})", .0.command, .0.who, .0.pid)]
    Held(Holder),
    /// The system refused.
    #[error("the lock `{}` cannot be taken: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How often [`wait`] tries.
const POLL: Duration = Duration::from_millis(50);

/// How long a holder has to write down who it is.
const INTRODUCTION: Duration = Duration::from_millis(500);

/// Takes the lock of an environment, at once or not at all. `dir` is the project's `.andon` directory; the file is
/// `locks/<environment>` in it.
///
/// The lock is on the open file, which a child process that is forked and never executes anything shares.
pub fn lock(dir: &Path, environment: &str, holder: &Holder) -> Result<LockGuard, LockError> {
    let path = dir.join("locks").join(file_name(environment));
    let patience = Instant::now() + INTRODUCTION;
    loop {
        match attempt(&path, holder) {
            Ok(Attempt::Taken(guard)) => return Ok(guard),
            // What is written there may still be from the holder before: then its process is gone.
            Ok(Attempt::Held(Some(other))) if is_alive(other.pid) || Instant::now() >= patience => {
                return Err(LockError::Held(other));
            }
            Ok(Attempt::Held(None)) if Instant::now() >= patience => {
                let source = io::Error::new(ErrorKind::WouldBlock, "another process holds it, and does not say who");
                return Err(LockError::Io { path, source });
            }
            Ok(Attempt::Held(_)) => sleep(Duration::from_millis(5)),
            Ok(Attempt::Removed) => {}
            Err(source) => return Err(LockError::Io { path, source }),
        }
    }
}

/// Takes the lock of an environment as [`lock`] does, and waits for it until `limit` is over. `waiting` is called
/// with the holder before each wait (20 times a second), and may put an end to it.
pub fn wait(
    dir: &Path,
    environment: &str,
    holder: &Holder,
    limit: Duration,
    mut waiting: impl FnMut(&Holder) -> ControlFlow<()>,
) -> Result<LockGuard, LockError> {
    let deadline = Instant::now().checked_add(limit);
    loop {
        match lock(dir, environment, holder) {
            Err(LockError::Held(other)) => {
                let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if over || waiting(&other).is_break() {
                    return Err(LockError::Held(other));
                }
                sleep(POLL);
            }
            result => return result,
        }
    }
}

enum Attempt {
    Taken(LockGuard),
    Held(Option<Holder>),
    /// Someone removed the file between its opening and its locking.
    Removed,
}

fn attempt(path: &Path, holder: &Holder) -> io::Result<Attempt> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => {
            let opened = file.metadata()?;
            match fs::metadata(path) {
                Ok(there) if (there.dev(), there.ino()) == (opened.dev(), opened.ino()) => {}
                Ok(_) => return Ok(Attempt::Removed),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Attempt::Removed),
                Err(error) => return Err(error),
            }
            let text = write(holder);
            file.write_all_at(text.as_bytes(), 0)?;
            file.set_len(text.len() as u64)?;
            Ok(Attempt::Taken(LockGuard { file }))
        }
        Err((_, Errno::EWOULDBLOCK)) => Ok(Attempt::Held(read(&fs::read(path).unwrap_or_default()))),
        Err((_, error)) => Err(error.into()),
    }
}

fn write(holder: &Holder) -> String {
    let members = json!({
        "pid": holder.pid,
        "who": holder.who,
        "command": holder.command,
        "since": holder.since.0,
    });
    format!("{members}\n")
}

/// Reads the first value alone: the rest of a longer text may follow for a moment.
fn read(text: &[u8]) -> Option<Holder> {
    let members: Json = serde_json::Deserializer::from_slice(text).into_iter().next()?.ok()?;
    let text = |name: &str| members.get(name).and_then(Json::as_str).map(str::to_owned);
    Some(Holder {
        pid: members.get("pid")?.as_u64()?.try_into().ok()?,
        who: text("who")?,
        command: text("command")?,
        since: Timestamp(members.get("since")?.as_i64()?),
    })
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// A file name for any name of an environment: what is not plain is written as `%` and two hexadecimal digits. The
/// empty name is `%` alone.
fn file_name(environment: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let written: String = environment
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect();
    if written.is_empty() { "%".to_owned() } else { written }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Nobody holds it from here on, and so nobody is named.
        let _ = self.file.set_len(0);
    }
}
