//! The few calls on processes that the standard library does not have.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, fork, getppid};

/// What every failing step of an entry reports: what was being done, and what the system said.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) step: String,
    pub(crate) cause: String,
    /// The server has ended: there is nothing to enter.
    pub(crate) gone: bool,
}

/// Names the step of an entry that failed.
pub(crate) trait Step<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Refusal>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Refusal> {
        self.map_err(|error| Refusal { step: step(), cause: plain(&error.into()), gone: false })
    }
}

/// What the system says, without the number that the standard library puts after it.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

/// Has this process get a signal when its parent ends. Returns whether that parent is still there.
pub(crate) fn follow(parent: Pid, signal: Signal) -> io::Result<bool> {
    nix::sys::prctl::set_pdeathsig(signal)?;
    Ok(getppid() == parent)
}

/// Starts a copy of this process, which runs `child` and ends with the status that it returns.
///
/// This process must have one thread only: a helper has.
pub(crate) fn fork_into(child: impl FnOnce() -> i32) -> nix::Result<Pid> {
    // SAFETY: there is one thread, so the copy has no lock that another thread held.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: ends the process at once, without the destructors that belong to the original.
            unsafe { libc::_exit(status) }
        }
    }
}

/// The status with which a process hands on the end of its child, as a shell does; `None` while it runs.
pub(crate) fn status_of(end: WaitStatus) -> Option<i32> {
    match end {
        WaitStatus::Exited(_, status) => Some(status),
        WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32),
        _ => None,
    }
}

/// Signals that are held back, to be read from a descriptor.
pub(crate) fn block(signals: &[Signal]) -> nix::Result<SigSet> {
    let set: SigSet = signals.iter().copied().collect();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(set)
}

/// Lets every signal through again.
pub(crate) fn unblock_all() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Capabilities as the kernel counts them: bit n is capability n, capabilities(7).
pub(crate) type Capabilities = u64;

/// Gives up, for this process and all that it starts, every capability that is not in `keep`.
pub(crate) fn keep_capabilities(keep: Capabilities) -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: prctl takes numbers.
        let has = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) };
        // The first number that the kernel does not know ends the list.
        if has < 0 {
            break;
        }
        // SAFETY: prctl takes numbers.
        let drop = || unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        if has == 1 && keep & (1 << capability) == 0 && drop() < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // The second version of the header has two words of 32 capabilities each: capget(2).
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Default, Clone, Copy)]
    struct Words {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let mut words = [Words::default(); 2];
    // SAFETY: the header is of the version that has two words, and both live through the call.
    if unsafe { libc::syscall(libc::SYS_capget, &raw const header, words.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let halves = [keep as u32, (keep >> 32) as u32];
    for (word, half) in words.iter_mut().zip(halves) {
        word.effective &= half;
        word.permitted &= half;
        word.inheritable &= half;
    }
    // SAFETY: as above.
    match unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_lose_their_numbers() {
        assert_eq!(plain(&io::Error::from_raw_os_error(libc::ENOSPC)), "No space left on device");
        assert_eq!(plain(&io::Error::other("odd")), "odd");
    }
}
