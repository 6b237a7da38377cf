//! Whose this machine's files are, which nobody in a realm can see: a number that the realm has not looks there like that
//! of nobody, and of what root gave a file beside it nothing is told (user_namespaces(7), "Unmapped user and group IDs").
//!
//! A process of the user's stays outside for as long as the one in the realm lives, and is asked. It sees what its user may
//! see, and only says of paths whose they are.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use rustix::fs::lgetxattr;
use serde_json::{Value as Json, json};

use super::numbers::inside;
use crate::helper::die_with;
use crate::message;

/// The attribute that has a program's capabilities, capabilities(7), and the most bytes that it has.
const CAPABILITIES: &str = "security.capability";
const CAPABILITIES_MOST: usize = 64;
/// The longest message: a path is shorter, open(2).
const LONGEST: usize = 8 << 10;
/// The highest number that servers have users for.
const HIGHEST: u32 = u16::MAX as u32;

/// A path of this machine, as it is seen outside of a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenOutside {
    /// Whose it is: by the realm's number where that user has one, else by this machine's.
    pub user: u32,
    /// Its group, in the same way.
    pub group: u32,
    /// What its capabilities are, as the kernel keeps them; `None` where it has none.
    pub capabilities: Option<Vec<u8>>,
}

/// The process that is asked.
#[derive(Debug)]
pub(super) struct Witness {
    way: Mutex<OwnedFd>,
    process: i32,
}

impl Witness {
    /// Starts it. To be called outside, while this process has one thread, and no lock that others wait for.
    pub fn start() -> io::Result<Witness> {
        let (way, theirs) = message::pair()?;
        let this = std::process::id() as i32;
        // SAFETY: this process has one thread, so the child may go on as it likes.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(way);
                let code = if die_with(this) && alone(&theirs).is_ok() { answer() } else { 1 };
                // SAFETY: ends this process without running what belongs to its parent.
                unsafe { libc::_exit(code) }
            }
            process => Ok(Witness { way: Mutex::new(way), process }),
        }
    }

    /// Its number.
    pub fn process(&self) -> i32 {
        self.process
    }

    /// What is at a path, of which the last step is not followed.
    pub fn ask(&self, path: &Path) -> io::Result<SeenOutside> {
        // It is elsewhere.
        let path = std::path::absolute(path)?;
        let way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        message::send(&*way, path.as_os_str().as_bytes(), &[])?;
        let mut room = [0; LONGEST];
        let gone = || io::Error::other("the process that looks at this machine's files has ended");
        let answer: Json = serde_json::from_slice(receive(&*way, &mut room)?.ok_or_else(gone)?)?;
        let number = |name: &str| answer.get(name).and_then(Json::as_u64).and_then(|it| u32::try_from(it).ok());
        if let Some(error) = number("error") {
            return Err(io::Error::from_raw_os_error(error as i32));
        }
        let bytes = |list: &Vec<Json>| list.iter().map(|it| it.as_u64().and_then(|it| u8::try_from(it).ok())).collect();
        let (Some(user), Some(group)) = (number("user"), number("group")) else { return Err(gone()) };
        Ok(SeenOutside {
            user: here("uid_map", "user", user)?,
            group: here("gid_map", "group", group)?,
            capabilities: answer.get("capabilities").and_then(Json::as_array).and_then(bytes),
        })
    }
}

/// The number that a user of this machine has here, or is to have.
fn here(map: &str, what: &str, number: u32) -> io::Result<u32> {
    let map = fs::read_to_string(Path::new("/proc/self").join(map))?;
    let own = inside(&map, number).or(Some(number).filter(|number| *number <= HIGHEST));
    own.ok_or_else(|| {
        let kind = ErrorKind::InvalidData;
        io::Error::new(kind, format!("it belongs to the {what} {number}, a number that no server of this user has"))
    })
}

/// Leaves the child nothing of its parent's but the way.
fn alone(way: &OwnedFd) -> io::Result<()> {
    let null = fs::File::options().read(true).write(true).open("/dev/null")?.into_raw_fd();
    // SAFETY: the descriptors are open; what is closed is used by nobody, as this process does nothing but to answer. Signals
    // of the terminal are its parent's.
    unsafe {
        libc::dup2(way.as_raw_fd(), 0);
        libc::dup2(null, 1);
        libc::dup2(null, 2);
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::prctl(libc::PR_SET_NAME, c"andon-witness".as_ptr());
    }
    std::env::set_current_dir("/")
}

/// Answers until nobody can ask any more.
fn answer() -> i32 {
    let way = io::stdin();
    let mut room = [0; LONGEST];
    while let Ok(Some(asked)) = receive(&way, &mut room) {
        let path = Path::new(std::ffi::OsStr::from_bytes(asked));
        let answer = look(path).unwrap_or_else(|error| json!({ "error": error.raw_os_error().unwrap_or(libc::EIO) }));
        if message::send(&way, answer.to_string().as_bytes(), &[]).is_err() {
            return 0;
        }
    }
    0
}

/// Waits for a message; `None` once nobody can send one any more. There are many, and none has a file beside it.
fn receive<'a>(way: &impl AsFd, room: &'a mut [u8; LONGEST]) -> io::Result<Option<&'a [u8]>> {
    let length = loop {
        match recv(way.as_fd().as_raw_fd(), room.as_mut_slice(), MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            got => break got?,
        }
    };
    Ok(room.get(..length).filter(|bytes| !bytes.is_empty()))
}

fn look(path: &Path) -> io::Result<Json> {
    let metadata = fs::symlink_metadata(path)?;
    let mut bytes = [0; CAPABILITIES_MOST];
    let capabilities = match metadata.is_file() {
        true => lgetxattr(path, CAPABILITIES, bytes.as_mut_slice()).ok().and_then(|length| bytes.get(..length)),
        false => None,
    };
    Ok(json!({ "user": metadata.uid(), "group": metadata.gid(), "capabilities": capabilities }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_said_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let metadata = fs::metadata(&file).unwrap();
        let (user, group) = (metadata.uid(), metadata.gid());
        assert_eq!(look(&file).unwrap(), json!({ "user": user, "group": group, "capabilities": null }));
        // A link is not followed.
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        assert!(look(&folder.path().join("link")).is_ok());
        assert_eq!(look(&folder.path().join("gone")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
