//! The program's hidden commands: what the lab runs as processes of its own.

use std::io::Error;

use crate::{names, proxy, realm, spawn, store};

/// Starts servers; see [`spawn`].
pub(crate) const SPAWN: &str = "__lab-spawn";
/// Is a balancer; see [`proxy`].
pub(crate) const BALANCER: &str = "__lab-balancer";
/// Is an object store; see [`store`].
pub(crate) const STORE: &str = "__lab-store";

/// Holds the realm of a user without root; see [`realm`].
pub(crate) const REALM: &str = "__lab-realm";
/// Is a realm's way outside; see [`realm`].
pub(crate) const OUTSIDE: &str = "__lab-outside";
/// Answers for the names of a network; see [`names`].
pub(crate) const NAMES: &str = "__lab-names";

/// Runs a hidden command of the lab and returns the exit status; `None` where the arguments (without the program's
/// name) are none. To be called first thing in `main`, while the process has one thread.
pub fn helper_main(arguments: &[String]) -> Option<i32> {
    match arguments {
        [command] if command == SPAWN => Some(spawn::helper()),
        [command, order] if command == BALANCER => Some(proxy::helper(order)),
        [command, order] if command == STORE => Some(store::helper(order)),
        [command, order] if command == NAMES => Some(names::helper(order)),
        [command, order] if command == REALM => Some(realm::helper(order)),
        [command, process] if command == OUTSIDE => Some(realm::outside_helper(process)),
        _ => None,
    }
}

/// Has the calling process killed when its parent ends, and says whether the parent is still there.
pub(crate) fn die_with(parent: i32) -> bool {
    // SAFETY: neither call touches memory of ours.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 && libc::getppid() == parent }
}

/// Lets the calling process live on after its parent.
pub(crate) fn outlive_parent() {
    // SAFETY: touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
}

/// The result of a system call that gives -1 for an error.
pub(crate) fn check(result: libc::c_long) -> Result<libc::c_long, Error> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}
