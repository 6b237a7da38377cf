//! Ends everything that descends from this process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

/// Kills all descendants of this process and waits until none is left.
///
/// This process must be their subreaper (prctl(2)), so that the children of a descendant that ends become its own, and
/// none slips away between two looks.
pub(crate) fn end_descendants() {
    loop {
        let below = descendants();
        for &pid in &below {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        // Waits for one, takes what else has ended, and looks again: those killed may have had time to start others.
        match waitpid(None::<Pid>, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
        while matches!(waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)), Ok(end) if end != WaitStatus::StillAlive) {}
    }
}

fn descendants() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        if let Some(parent) = parent_in(&String::from_utf8_lossy(&stat)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![getpid().as_raw()];
    while let Some(pid) = open.pop() {
        open.extend(children.get(&pid).into_iter().flatten().filter(|child| found.insert(**child)));
    }
    found.into_iter().collect()
}

/// The fourth field of `/proc/<pid>/stat`, proc(5).
fn parent_in(stat: &str) -> Option<i32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("12 (sh) S 7 12"), Some(7));
        assert_eq!(parent_in("12 (a) b) S 1) S 9 12"), Some(9));
        assert_eq!(parent_in(""), None);
    }
}
