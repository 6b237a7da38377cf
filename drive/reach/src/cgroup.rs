//! Puts work into the control groups of a server, so that the server's limits hold for it and the server's end is
//! its end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The name, before the helper's number, of the group for work inside a server's own group: version 2 allows no process
/// in a group with groups below it whose resources are shared out, so the work needs a leaf. Each helper has its own, so
/// that none removes another's.
const LEAF: &str = "andon";

/// Groups to join, opened while their files can still be named.
#[derive(Debug)]
pub(crate) struct Groups {
    members: Vec<File>,
    leaves: Vec<PathBuf>,
}

impl Groups {
    /// The groups of the server whose first process is `init`, in every hierarchy.
    pub(crate) fn of(init: i32) -> io::Result<Groups> {
        let membership = fs::read_to_string(format!("/proc/{init}/cgroup"))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mut groups = Groups { members: Vec::new(), leaves: Vec::new() };
        for (directory, needs_leaf) in directories(&membership, &mounts) {
            let directory = match needs_leaf {
                true => {
                    let leaf = directory.join(format!("{LEAF}-{}", std::process::id()));
                    match fs::create_dir(&leaf) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        Err(error) => return Err(error),
                    }
                    groups.leaves.push(leaf.clone());
                    leaf
                }
                false => directory,
            };
            groups.members.push(File::options().write(true).open(directory.join("cgroup.procs"))?);
        }
        Ok(groups)
    }

    /// Moves this process, and so all that it will start, into the groups.
    pub(crate) fn join(&mut self) -> io::Result<()> {
        self.members.iter_mut().try_for_each(|members| members.write_all(b"0"))
    }

    /// Removes the leaves, unless something that the work started goes on in them.
    pub(crate) fn leave(&self) {
        for leaf in &self.leaves {
            let _ = fs::remove_dir(leaf);
        }
    }
}

/// The directory of each group of a server, and whether work needs a leaf there.
fn directories(membership: &str, mounts: &str) -> Vec<(PathBuf, bool)> {
    let mut found = Vec::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        // Version 2 and systemd's own hierarchy are the ones in which systemd sets up groups below the server's.
        let needs_leaf = controllers.is_empty() || controllers == "name=systemd";
        let path = match needs_leaf {
            true => path.strip_suffix("/init.scope").unwrap_or(path),
            false => path,
        };
        // A server without a group of its own here has nothing to join.
        if path.is_empty() || path == "/" || path.starts_with("/..") {
            continue;
        }
        if let Some(directory) = mounts.lines().find_map(|mount| directory(mount, controllers, path)) {
            found.push((directory, needs_leaf));
        }
    }
    found
}

/// Where a group of a hierarchy is, by one line of `/proc/self/mountinfo`, if that line is the hierarchy's.
fn directory(mount: &str, controllers: &str, path: &str) -> Option<PathBuf> {
    let (place, kind) = mount.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (name, _source, options) = (kind.next()?, kind.next()?, kind.next()?);
    let right = match controllers {
        "" => name == "cgroup2",
        _ => name == "cgroup" && controllers.split(',').all(|one| options.split(',').any(|option| option == one)),
    };
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let below = Path::new(path).strip_prefix(root).ok()?;
    right.then(|| Path::new(point).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_both_versions() {
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            36 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let pure = "30 23 0:26 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let check = |membership: &str, mounts: &str, expected: &[(&str, bool)]| {
            let found = directories(membership, mounts);
            let found: Vec<_> = found.iter().map(|(path, leaf)| (path.to_str().unwrap(), *leaf)).collect();
            assert_eq!(found, expected, "{membership}");
        };
        check(
            "4:memory:/a/s1\n3:cpu,cpuacct:/\n9:name=systemd:/a/s1/init.scope\n0::/a/s1/init.scope\n",
            hybrid,
            &[
                ("/sys/fs/cgroup/memory/a/s1", false),
                ("/sys/fs/cgroup/systemd/a/s1", true),
                ("/sys/fs/cgroup/unified/a/s1", true),
            ],
        );
        check("0::/outer/s1", pure, &[("/sys/fs/cgroup/s1", true)]);
        check("0::/init.scope", hybrid, &[]);
        check("0::/../other", pure, &[]);
        check("0::/elsewhere", pure, &[]);
    }
}
