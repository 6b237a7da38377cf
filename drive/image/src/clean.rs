//! Removes from a root file system what depends on the time, the machine and the run.
//!
//! Paths are walked without following links, so that nothing in an image can lead out of it.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
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
const REMOVED: [(&str, &str, &str); 19] = [
    ("etc", "group-", ""),
    ("etc", "gshadow-", ""),
    ("etc", "passwd-", ""),
    ("etc", "shadow-", ""),
    ("etc", "subgid-", ""),
    ("etc", "subuid-", ""),
    ("etc/ssh", "ssh_host_", "_key"),
    ("etc/ssh", "ssh_host_", "_key.pub"),
    ("etc/ssl/private", "ssl-cert-snakeoil.key", ""),
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

/// Keys that each server makes for itself: how it does so, as files of an image that has lost them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Those of its ssh server.
    Ssh,
    /// That of the certificate that the package ssl-cert makes when it is installed, for services that have no other.
    Snakeoil,
}

impl Keys {
    /// Files, and what is in them: what makes the keys at the first start.
    pub(crate) fn makers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Keys::Ssh => &[(SSH_UNIT, SSH_UNIT_CONTENT)],
            Keys::Snakeoil => &SNAKEOIL_UNITS,
        }
    }

    /// The keys that a file holds.
    pub(crate) fn in_file(path: &[u8]) -> Option<Keys> {
        match path {
            path if path.starts_with(b"etc/ssh/") => Some(Keys::Ssh),
            path if path == SNAKEOIL_KEY.as_bytes() => Some(Keys::Snakeoil),
            _ => None,
        }
    }
}

const SSH_UNIT: &str = "etc/systemd/system/ssh.service.d/host-keys.conf";
const SSH_UNIT_CONTENT: &str = "# Each server makes host keys of its own when it has none.\n\
    [Service]\n\
    ExecStartPre=\n\
    ExecStartPre=/usr/bin/ssh-keygen -A\n\
    ExecStartPre=/usr/sbin/sshd -t\n";

const SNAKEOIL_KEY: &str = "etc/ssl/private/ssl-cert-snakeoil.key";
const SNAKEOIL: &str = "ssl-cert-snakeoil.pem";
const SNAKEOIL_UNITS: [(&str, &str); 2] = [
    (
        "etc/systemd/system/ssl-cert-snakeoil.service",
        "# Each server makes a key and a certificate of its own when it has none.\n\
        [Unit]\n\
        DefaultDependencies=no\n\
        RequiresMountsFor=/etc/ssl /usr /tmp\n\
        Conflicts=shutdown.target\n\
        Before=basic.target shutdown.target\n\
        ConditionPathExists=!/etc/ssl/private/ssl-cert-snakeoil.key\n\
        ConditionPathExists=/usr/sbin/make-ssl-cert\n\
        ConditionPathIsReadWrite=/etc/ssl\n\
        [Service]\n\
        Type=oneshot\n\
        ExecStart=/usr/sbin/make-ssl-cert generate-default-snakeoil\n",
    ),
    ("etc/systemd/system/basic.target.d/ssl-cert-snakeoil.conf", "[Unit]\nWants=ssl-cert-snakeoil.service\n"),
];

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
    let mut keys = Vec::new();
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
                keys.extend(Keys::in_file(format!("{directory}/{name}").as_bytes()));
            }
        }
    }
    if let Some(certificates) = inside(root, "etc/ssl/certs") {
        for entry in fs::read_dir(certificates)? {
            let entry = entry?;
            if entry.file_name() == SNAKEOIL
                || fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(SNAKEOIL))
            {
                fs::remove_file(entry.path())?;
            }
        }
    }
    remake(root, keys)?;
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

/// What becomes of a path that a server has made for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes, with all that is below it.
    Gone,
    /// It stays, with this in it.
    Holds(&'static str),
}

/// Of a root file system that was a server's: what made that server one of its own, or tells of its time. Of its paths, not
/// of its layers: a path below a link is none.
pub(crate) fn trace(path: &[u8]) -> Option<Fate> {
    let path = std::str::from_utf8(path).ok()?;
    let (directory, name) = path.rsplit_once('/')?;
    let in_home = directory == "root" || directory.strip_prefix("home/").is_some_and(|user| !user.contains('/'));
    let is_gone = match directory {
        "etc" => match name {
            "hostname" => return Some(Fate::Holds("localhost\n")),
            "machine-id" | "resolv.conf" => return Some(Fate::Holds("")),
            "hostid" | "krb5.keytab" => true,
            _ => false,
        },
        "etc/iscsi" if name == "initiatorname.iscsi" => return Some(Fate::Holds("GenerateName=yes\n")),
        "etc/ssh" => {
            let key = name.strip_prefix("ssh_host_").map(|key| key.trim_end_matches(".pub"));
            key.is_some_and(|key| key.ends_with("_key"))
        }
        "etc/ssl/private" => path == SNAKEOIL_KEY,
        "etc/ssl/certs" => name == SNAKEOIL,
        "etc/udev/rules.d" => name == "70-persistent-net.rules",
        "var/lib/dbus" => name == "machine-id",
        "var/lib/systemd" => matches!(name, "random-seed" | "credential.secret"),
        "var/lib/systemd/timesync" => name == "clock",
        "var/lib/urandom" => name == "random-seed",
        "var/lib/logrotate" => name == "status",
        "var/lib/cloud" => matches!(name, "data" | "instance" | "instances" | "sem"),
        "var/lib/dhcp"
        | "var/lib/dhclient"
        | "var/lib/dhcpcd"
        | "var/lib/NetworkManager"
        | "var/lib/systemd/timers"
        | "var/lib/systemd/coredump"
        | "var/lib/apt/periodic"
        | "var/crash"
        | "var/mail"
        | "var/spool/mail" => true,
        _ => {
            in_home && (name.starts_with('.') && name.ends_with("_history") || matches!(name, ".viminfo" | ".lesshst"))
        }
    };
    is_gone.then_some(Fate::Gone)
}

/// Removes from a root file system what made it a certain server.
pub(crate) fn forget(root: &Path) -> io::Result<()> {
    let mut keys = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let (path, kind) = (directory.join(entry.file_name()), entry.file_type()?);
            match trace(path.as_os_str().as_bytes()) {
                Some(Fate::Gone) if kind.is_dir() => fs::remove_dir_all(entry.path())?,
                Some(Fate::Gone) => {
                    keys.extend(Keys::in_file(path.as_os_str().as_bytes()));
                    fs::remove_file(entry.path())?;
                }
                Some(Fate::Holds(text)) if kind.is_file() => {
                    let is_same = entry.metadata()?.len() <= 64 && fs::read(entry.path())? == text.as_bytes();
                    if !is_same {
                        // Anew, as other names of it are other files.
                        let metadata = entry.metadata()?;
                        fs::remove_file(entry.path())?;
                        fs::write(entry.path(), text)?;
                        lchown(entry.path(), Some(metadata.uid()), Some(metadata.gid()))?;
                        fs::set_permissions(entry.path(), metadata.permissions())?;
                    }
                }
                _ if kind.is_dir() => open.push(path),
                _ => {}
            }
        }
    }
    remake(root, keys)
}

/// Has each server make keys that are its own.
fn remake(root: &Path, mut keys: Vec<Keys>) -> io::Result<()> {
    keys.dedup();
    keys.iter().flat_map(|keys| keys.makers()).try_for_each(|(path, text)| put(root, path, text))
}

/// Writes a file, unless a link is on the way: one may lead out of the root, to this machine's own.
fn put(root: &Path, path: &str, text: &str) -> io::Result<()> {
    let mut place = root.to_owned();
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    for step in directory.split('/') {
        place.push(step);
        match fs::create_dir(&place) {
            Ok(()) => fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        if !fs::symlink_metadata(&place)?.is_dir() {
            return Ok(());
        }
    }
    let file = place.join(name);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::write(&file, text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))
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
            ("etc/ssl/private/ssl-cert-snakeoil.key", None),
            ("etc/ssl/private/own.key", Some("x")),
            ("etc/ssl/certs/ssl-cert-snakeoil.pem", None),
            ("etc/ssl/certs/own.pem", Some("x")),
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
        for (link, target) in [("snake", SNAKEOIL), ("own", "own.pem")] {
            std::os::unix::fs::symlink(target, root.join("etc/ssl/certs").join(link)).unwrap();
        }
        clean(&root).unwrap();
        clean(&root).unwrap();
        let links = ["snake", "own"].map(|link| fs::symlink_metadata(root.join("etc/ssl/certs").join(link)).is_ok());
        assert_eq!(links, [false, true]);
        for (path, text) in SNAKEOIL_UNITS {
            check(path, Some(text));
        }
        for (path, expected) in cases {
            check(path, *expected);
        }
        check(SSH_UNIT, Some(SSH_UNIT_CONTENT));
        assert!(root.join("var/log/nginx").is_dir() && root.join("var/lib/apt/lists").is_dir());
        fs::remove_dir_all(root).unwrap();
    }
}
