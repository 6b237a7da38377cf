//! Messages between the lab's processes of one machine, with open files beside them.
//!
//! A message arrives whole or not at all, and a file in it stays open while it is under way: a lock that was sent is
//! held until whoever gets it lets go of it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};

/// The longest message. Layers are named in one, and an image has few.
const LONGEST: usize = 128 << 10;
/// The most files in one message, which is the kernel's own limit (`SCM_MAX_FD`): a lock, a way for answers, and what is
/// attached to a server.
const MOST_FILES: usize = 253;

/// A message: its bytes, and the files that came with it.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub bytes: Vec<u8>,
    pub files: Vec<OwnedFd>,
}

/// Two ends of a way for messages. Neither is inherited by a program that is run.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends a message. An error where nobody can receive it any more.
pub(crate) fn send(way: &impl AsFd, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let files: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
    let beside = if files.is_empty() { vec![] } else { vec![ControlMessage::ScmRights(&files)] };
    let bytes = [IoSlice::new(bytes)];
    loop {
        match sendmsg::<()>(way.as_fd().as_raw_fd(), &bytes, &beside, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            sent => return Ok(sent.map(drop)?),
        }
    }
}

/// Waits for a message; `None` once nobody can send one any more.
pub(crate) fn receive(way: &impl AsFd) -> io::Result<Option<Message>> {
    let mut buffer = vec![0; LONGEST];
    let mut beside = nix::cmsg_space!([RawFd; MOST_FILES]);
    loop {
        let mut room = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let got = match recvmsg::<()>(way.as_fd().as_raw_fd(), &mut room, Some(&mut beside), flags) {
            Err(Errno::EINTR) => continue,
            got => got?,
        };
        let rights = got.cmsgs()?.filter_map(|message| match message {
            ControlMessageOwned::ScmRights(files) => Some(files),
            _ => None,
        });
        // SAFETY: the kernel has just opened them for this process, and nothing else knows of them.
        let files: Vec<OwnedFd> = rights.flatten().map(|file| unsafe { OwnedFd::from_raw_fd(file) }).collect();
        let length = got.bytes;
        if length == 0 && files.is_empty() {
            return Ok(None);
        }
        buffer.truncate(length);
        return Ok(Some(Message { bytes: buffer, files }));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    #[test]
    fn messages_arrive_whole_with_their_files_until_the_other_end_is_closed() {
        let (here, there) = pair().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        send(&here, b"one", &[]).unwrap();
        send(&here, &vec![b'x'; 100_000], &[file.as_fd()]).unwrap();
        drop((here, file));
        let first = receive(&there).unwrap().unwrap();
        assert_eq!((&*first.bytes, first.files.len()), (&b"one"[..], 0));
        let second = receive(&there).unwrap().unwrap();
        assert_eq!((second.bytes.len(), second.files.len()), (100_000, 1));
        File::from(second.files.into_iter().next().unwrap()).write_all(b"through").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"through");
        assert!(receive(&there).unwrap().is_none());
        assert!(send(&there, b"late", &[]).is_err());
    }
}
