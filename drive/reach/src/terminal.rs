//! A terminal of the target's own for an interactive command, joined to the terminal of this process.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, unlockpt};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, read, setsid};

/// How long the last of a command's output may take to come, in milliseconds, where something keeps its side open.
const LAST_WORDS: u16 = 1000;

/// This process's terminal, handing on every key unread, until dropped.
#[derive(Debug)]
pub(crate) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    pub(crate) fn set() -> io::Result<RawTerminal> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(RawTerminal { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

/// The two sides of a new terminal.
#[derive(Debug)]
pub(crate) struct Pair {
    master: File,
    to_master: Vec<u8>,
    input_open: bool,
}

impl Pair {
    /// A new terminal, of the size of this process's own, and its other side for [`adopt`].
    pub(crate) fn open() -> io::Result<(Pair, OwnedFd)> {
        let master: PtyMaster = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        // By descriptor, not by name: the name may be another terminal's where /dev/pts is not the one of this /dev/ptmx.
        // SAFETY: the call returns a new descriptor that nothing else owns.
        let other = unsafe {
            libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC)
        };
        if other < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: see above.
        let other = unsafe { OwnedFd::from_raw_fd(other) };
        let master = File::from(master.as_fd().try_clone_to_owned()?);
        let pair = Pair { master, to_master: Vec::new(), input_open: io::stdin().is_terminal() };
        pair.resize();
        Ok((pair, other))
    }

    /// Takes over the size of this process's terminal.
    pub(crate) fn resize(&self) {
        // SAFETY: a winsize is plain numbers, which the first call fills and the second reads.
        unsafe {
            let mut size: libc::winsize = std::mem::zeroed();
            if libc::ioctl(libc::STDIN_FILENO, libc::TIOCGWINSZ, &raw mut size) == 0 {
                libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size);
            }
        }
    }

    /// Whether keys can be taken now: not while earlier ones wait to be read.
    pub(crate) fn wants_input(&self) -> bool {
        self.input_open && self.to_master.is_empty()
    }

    /// Whether keys wait to be read by the command.
    pub(crate) fn has_input(&self) -> bool {
        !self.to_master.is_empty()
    }

    /// The side on which the command's output can be waited for.
    pub(crate) fn master(&self) -> &File {
        &self.master
    }

    /// Takes what was typed, once there is something.
    pub(crate) fn take_input(&mut self) {
        let mut buffer = [0; 4096];
        // Not through the standard library, whose own buffer poll(2) does not know of.
        match read(io::stdin(), &mut buffer) {
            Ok(0) | Err(_) => self.input_open = false,
            Ok(count) => self.to_master.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }

    /// Hands on the last of what was written, once the command has ended. The kernel passes that on in its own time: all
    /// of it has come when it says that the command's side is closed, which it does as that was the session's leader.
    pub(crate) fn finish(&mut self) {
        while self.exchange() {
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(LAST_WORDS)) != Ok(1) {
                return;
            }
        }
    }

    /// Hands on what was typed and what was written, as far as it goes without waiting. `false` when the command's side
    /// is closed and all that it wrote has been handed on.
    pub(crate) fn exchange(&mut self) -> bool {
        if let Ok(count) = (&self.master).write(&self.to_master) {
            self.to_master.drain(..count);
        }
        let mut buffer = [0; 64 << 10];
        loop {
            match (&self.master).read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    let mut output = io::stdout();
                    let written = output.write_all(buffer.get(..count).unwrap_or_default());
                    if written.and_then(|()| output.flush()).is_err() {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel's word for a terminal whose other side nobody has open.
                Err(_) => return false,
            }
        }
    }
}

/// Makes a terminal this process's own, and its standard input, output and error.
pub(crate) fn adopt(terminal: OwnedFd) -> io::Result<()> {
    setsid()?;
    // SAFETY: the call takes a descriptor, which is open, and a number.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    dup2_stdin(&terminal)?;
    dup2_stdout(&terminal)?;
    dup2_stderr(&terminal)?;
    Ok(())
}
