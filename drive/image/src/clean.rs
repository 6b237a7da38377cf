//! Removes from a root file system what depends on the time, the machine and the run.
//!
//! Paths are walked without following links, so that nothing in an image can lead out of it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Directories that stay, without what is in them.
const EMPTIED: [&str; 12] = [
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/backups",
    "var/cache/apt/archives",
    "var/cache/ldconfig",
    "var/lib/apt/lists",
    "var/log/apt",
    "var/log/journal",
    "var/tmp",
];

/// Files that go: a directory, and their name; or the start and the end of their names.
const REMOVED: [(&str, &str, &str); 18] = [
    ("etc", "group-", ""),
    ("etc", "gshadow-", ""),
    ("etc", "passwd-", ""),
    ("etc", "shadow-", ""),
    ("etc", "subgid-", ""),
    ("etc", "subuid-", ""),
    ("etc/ssh", "ssh_host_", "_key"),
    ("etc/ssh", "ssh_host_", "_key.pub"),
    ("var/cache/apt", "", ".bin"),
    ("var/cache/debconf", "", "-old"),
    ("var/lib/dbus", "machine-id", ""),
    ("var/lib/dpkg", "", "-old"),
    ("var/lib/systemd", "random-seed", ""),
    ("var/lib/apt", "daily_lock", ""),
    ("var/log", "alternatives.log", ""),
    ("var/log", "bootstrap.log", ""),
    ("var/log", "dpkg.log", ""),
    ("var/log", "fontconfig.log", ""),
];

/// Makes the keys that were removed anew, at the first start of each server.
const SSH_UNIT: &str = "etc/systemd/system/ssh.service.d/host-keys.conf";
const SSH_UNIT_CONTENT: &str = "# Each server makes host keys of its own when it has none.\n\
    [Service]\n\
    ExecStartPre=\n\
    ExecStartPre=/usr/bin/ssh-keygen -A\n\
    ExecStartPre=/usr/sbin/sshd -t\n";

/// Cleans a layer, or a whole root file system.
pub(crate) fn clean(root: &Path) -> io::Result<()> {
    for directory in EMPTIED {
        if let Some(directory) = inside(root, directory) {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => fs::remove_dir_all(entry.path())?,
                    false => fs::remove_file(entry.path())?,
                }
            }
        }
    }
    let mut keys = false;
    for (directory, start, end) in REMOVED {
        let Some(place) = inside(root, directory) else { continue };
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let matches = match end {
                "" => name == start,
                _ => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
            };
            if matches && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
                keys |= directory == "etc/ssh";
            }
        }
    }
    if keys {
        let unit = root.join(SSH_UNIT);
        for directory in ["etc/systemd", "etc/systemd/system", "etc/systemd/system/ssh.service.d"] {
            let directory = root.join(directory);
            match fs::create_dir(&directory) {
                Ok(()) => fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        fs::write(&unit, SSH_UNIT_CONTENT)?;
        fs::set_permissions(&unit, fs::Permissions::from_mode(0o644))?;
    }
    // An empty file, not none: without one, systemd takes the next start for the first of a machine whose services were
    // never set up, and changes which are enabled.
    if let Some(id) = inside(root, "etc").map(|etc| etc.join("machine-id"))
        && fs::symlink_metadata(&id).is_ok_and(|metadata| metadata.is_file())
    {
        File::create(id)?;
    }
    if let Some(logs) = inside(root, "var/log") {
        empty_files(&logs)?;
    }
    Ok(())
}

/// A directory of an image, if it is there and no link is on the way.
fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let mut place = root.to_owned();
    for step in path.split('/') {
        place.push(step);
        if !fs::symlink_metadata(&place).ok()?.is_dir() {
            return None;
        }
    }
    Some(place)
}

/// Empties every file: that it is there, with its owner and mode, may be some daemon's need.
fn empty_files(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            empty_files(&entry.path())?;
        } else if kind.is_file() {
            File::options().write(true).truncate(true).open(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_leaves_goes_and_what_a_server_needs_stays() {
        let root = std::env::temp_dir().join(format!("andon-clean-{}", std::process::id()));
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(fs::read_to_string(root.join(path)).ok().as_deref(), expected, "{path}");
        };
        let cases: &[(&str, Option<&str>)] = &[
            ("etc/machine-id", Some("")),
            ("etc/passwd", Some("x")),
            ("etc/passwd-", None),
            ("etc/group-notes-", Some("x")),
            ("etc/ssh/ssh_host_rsa_key", None),
            ("etc/ssh/ssh_host_rsa_key.pub", None),
            ("etc/ssh/sshd_config", Some("x")),
            ("var/lib/apt/lists/partial/a", None),
            ("var/lib/dpkg/status", Some("x")),
            ("var/lib/dpkg/status-old", None),
            ("var/cache/apt/pkgcache.bin", None),
            ("var/log/dpkg.log", None),
            ("var/log/nginx/access.log", Some("")),
            ("tmp/left", None),
            ("usr/bin/true", Some("x")),
        ];
        for (path, _) in cases {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "x").unwrap();
        }
        let outside = root.join("usr/bin");
        fs::create_dir_all(root.join("var/tmp/d")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("run")).unwrap();
        clean(&root).unwrap();
        clean(&root).unwrap();
        for (path, expected) in cases {
            check(path, *expected);
        }
        check(SSH_UNIT, Some(SSH_UNIT_CONTENT));
        assert!(root.join("var/log/nginx").is_dir() && root.join("var/lib/apt/lists").is_dir());
        fs::remove_dir_all(root).unwrap();
    }
}
