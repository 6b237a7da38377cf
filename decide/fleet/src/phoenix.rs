//! Servers that are replaced rather than repaired: which is next, and why.
//!
//! *Infrastructure as Code* calls a server that is made anew again and again, so that nothing can gather in it, a phoenix
//! server, and one that is never changed after it was made an immutable server.

use std::path::Path;
use std::time::Duration;

/// A server, as far as its replacement goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    /// How old it is; `None` where nobody knows.
    pub age: Option<Duration>,
    /// How old it may become.
    pub max_age: Option<Duration>,
    /// Whether it is replaced where it has drifted.
    pub replaces_drift: bool,
    /// How many of the files of its image are no longer as the image has them.
    pub changed: usize,
}

/// Why a server is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It is no longer what its image says, in so many files.
    Drifted(usize),
    /// It is older than it may be.
    TooOld {
        /// Its age.
        age: Duration,
        /// The age that it may have.
        max_age: Duration,
    },
}

/// Whether a server is to be replaced, and why.
pub fn due(server: &Living) -> Option<Due> {
    if server.replaces_drift && server.changed > 0 {
        return Some(Due::Drifted(server.changed));
    }
    let (age, max_age) = (server.age?, server.max_age?);
    (age > max_age).then_some(Due::TooOld { age, max_age })
}

/// Which server is replaced next, by its place, and why: one that has drifted before one that is old, and of old ones the
/// one that is the longest over its time.
pub fn next(servers: &[Living]) -> Option<(usize, Due)> {
    let urgency = |due: &Due| match due {
        Due::Drifted(_) => (1, Duration::ZERO),
        Due::TooOld { age, max_age } => (0, age.saturating_sub(*max_age)),
    };
    let all = servers.iter().enumerate().filter_map(|(place, server)| Some((place, due(server)?)));
    all.reduce(|first, other| if urgency(&other.1) > urgency(&first.1) { other } else { first })
}

/// Where services write by design: whatever is there, and whatever the image has there, is no drift.
pub const WRITTEN: [&str; 17] = [
    "/var/log",
    "/var/cache",
    "/var/lib",
    "/var/spool",
    "/var/mail",
    "/var/tmp",
    "/var/backups",
    "/var/crash",
    "/var/run",
    "/var/lock",
    "/mnt",
    "/media",
    "/tmp",
    "/run",
    "/proc",
    "/sys",
    "/dev",
];

/// Directories of data that an image may bring files for: such a file is drift where it is another or gone, all else is not.
const DATA: [&str; 4] = ["/var", "/srv", "/home", "/root"];

/// What programs and the lab write in the home of whoever uses them.
const PERSONAL: [&str; 8] =
    [".ssh", ".cache", ".local", ".bash_history", ".python_history", ".lesshst", ".viminfo", ".wget-hsts"];

/// Directories in which also what the image does not have is drift: nothing is put there but by installing it.
const INSTALLED: [&str; 6] = ["/usr/", "/opt/", "/boot/", "/bin/", "/sbin/", "/lib/"];

/// Files that differ from server to server, or that any start of a server writes.
const OWN: [&str; 10] = [
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/machine-id",
    "/etc/mtab",
    "/etc/.updated",
    "/usr/.updated",
    "/var/.updated",
    "/etc/.pwd.lock",
    "/etc/adjtime",
];

/// Whether what is not as in the image is drift. `is_new`: the image does not have it. `is_file`: it is a regular file, in the
/// image where that has it.
pub fn is_drift(path: &str, is_new: bool, is_file: bool) -> bool {
    let is_in = |places: &[&str]| places.iter().any(|place| Path::new(path).starts_with(place));
    let is_compiled = path.split('/').any(|part| part == "__pycache__");
    if is_in(&WRITTEN) || is_compiled || OWN.contains(&path) {
        return false;
    }
    if is_in(&DATA) {
        let is_personal = is_in(&["/home", "/root"]) && path.split('/').any(|part| PERSONAL.contains(&part));
        return is_file && !is_new && !is_personal;
    }
    !is_new || INSTALLED.iter().any(|place| path.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn server(age: u32, max_age: Option<u32>, changed: usize, replaces_drift: bool) -> Living {
        Living { age: Some(DAY * age), max_age: max_age.map(|days| DAY * days), replaces_drift, changed }
    }

    #[test]
    fn the_next_to_go() {
        let check = |servers: &[Living], expected: Option<usize>| {
            assert_eq!(next(servers).map(|(place, _)| place), expected, "{servers:?}");
        };
        check(&[], None);
        check(&[server(100, None, 3, false)], None);
        check(&[server(30, Some(30), 0, true)], None);
        check(&[server(31, Some(30), 0, false)], Some(0));
        check(
            &[server(31, Some(30), 0, false), server(20, Some(5), 0, false), server(40, Some(30), 0, false)],
            Some(1),
        );
        check(&[server(90, Some(30), 0, false), server(1, None, 1, true)], Some(1));
        check(&[server(40, Some(30), 0, false), server(40, Some(30), 0, false)], Some(0));
        check(&[Living { age: None, ..server(0, Some(1), 0, false) }], None);
    }

    #[test]
    fn what_counts_as_drift() {
        let check =
            |path: &str, is_new: bool, expected: bool| assert_eq!(is_drift(path, is_new, true), expected, "{path}");
        check("/etc/motd", false, true);
        check("/etc/nginx/nginx.conf", false, true);
        check("/usr/bin/tool", false, true);
        check("/usr/bin/tool", true, true);
        check("/opt/app/run", true, true);
        check("/etc/ssh/ssh_host_rsa_key", true, false);
        check("/etc/machine-id", false, false);
        check("/usr/lib/python3/__pycache__/a.pyc", true, false);
        check("/var/log/messages", false, false);
        check("/variable", false, true);
        check("/root/.bashrc", false, true);
        check("/root/.bash_history", false, false);
        check("/home/deploy/.ssh/authorized_keys", false, false);
        check("/home/deploy/run.sh", false, true);
        check("/home/deploy/run.sh", true, false);
        check("/var/www/html/index.html", false, true);
        check("/var/www/html/upload.png", true, false);
        check("/srv/shop/index.html", false, true);
        check("/srv/.cache", false, true);
        check("/var/lib/shop/orders", false, false);
        check("/var/library", false, true);
        check("/var/log", false, false);
        check("/var/.updated", false, false);
        check("/usrlocal", true, false);
        assert!(!is_drift("/var/www", false, false), "that a directory of data has another mode is no drift");
        assert!(is_drift("/etc/nginx", false, false));
    }
}
