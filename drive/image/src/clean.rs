//! Removes from a root file system what depends on the time, the machine and the run: one list, for every layer that is baked
//! and for bases of every kind.
//!
//! Paths are walked without following links, so that nothing in an image can lead out of it.

use std::fs::{self, File};
use std::io::{self, Write};
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

    /// Notes the keys that a file which goes holds.
    pub(crate) fn note(lost: &mut Vec<Keys>, path: &[u8]) {
        let keys = match path {
            path if path.starts_with(b"etc/ssh/") => Keys::Ssh,
            path if path == SNAKEOIL_KEY.as_bytes() => Keys::Snakeoil,
            _ => return,
        };
        if !lost.contains(&keys) {
            lost.push(keys);
        }
    }

    /// Those that whoever starts in a root file system needs, by the programs that are there to make them.
    pub(crate) fn needed(root: &Path) -> Vec<Keys> {
        let programs = [(Keys::Ssh, "usr/sbin/sshd"), (Keys::Snakeoil, "usr/sbin/make-ssl-cert")];
        let is_there = |(_, program): &(Keys, &str)| fs::symlink_metadata(root.join(program)).is_ok();
        programs.into_iter().filter(is_there).map(|(keys, _)| keys).collect()
    }
}

const SSH_UNIT: &str = "etc/systemd/system/ssh.service.d/host-keys.conf";
const SSH_UNIT_CONTENT: &str = "# Each server makes host keys of its own when it has none.\n\
    [Service]\n\
    ExecStartPre=\n\
    ExecStartPre=/usr/bin/ssh-keygen -A\n\
    ExecStartPre=/usr/sbin/sshd -t\n";

const SNAKEOIL_KEY: &str = "etc/ssl/private/ssl-cert-snakeoil.key";
const CERTIFICATES: &str = "etc/ssl/certs";
const SNAKEOIL: &str = "ssl-cert-snakeoil.pem";

/// Where links lead that are to that certificate.
pub(crate) const TO_SNAKEOIL: [&str; 2] = [SNAKEOIL, "/etc/ssl/certs/ssl-cert-snakeoil.pem"];
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

/// Whose files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A bake wrote them: what its run left goes, and what its roles say stays.
    Bake,
    /// They may be a copy of a server that ran.
    Server,
    /// They were made for containers, for which the directories in `/run` are there before anything starts.
    Container,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// A link to the certificate that goes.
    LinkToSnakeoil,
    Other,
}

/// What becomes of a path that tells of a time, a run or a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes, with all that is below it.
    Gone,
    /// It stays, with this in it.
    Holds(&'static str),
}

/// What becomes of a path: the one list of what no image has, for layers that were baked and for bases of every kind. `None`
/// where it stays as it is. Of a root file system's paths, not of its layers': a path below a link is none.
pub(crate) fn fate(origin: Origin, path: &[u8], kind: Kind) -> Option<Fate> {
    let path = String::from_utf8_lossy(path);
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if origin == Origin::Container && path.starts_with("run/") {
        return (kind != Kind::Directory).then_some(Fate::Gone);
    }
    left_by_a_run(directory, name, kind).or_else(|| match origin {
        Origin::Bake => None,
        Origin::Server | Origin::Container => left_by_a_server(directory, name, kind),
    })
}

fn left_by_a_run(directory: &str, name: &str, kind: Kind) -> Option<Fate> {
    let matches = |(place, start, end): &(&str, &str, &str)| {
        *place == directory
            && match *end {
                "" => name == *start,
                end => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
            }
    };
    let is_file = kind == Kind::File;
    if EMPTIED.contains(&directory)
        || is_file && REMOVED.iter().any(matches)
        || directory == CERTIFICATES && (kind == Kind::LinkToSnakeoil || is_file && name == SNAKEOIL)
    {
        return Some(Fate::Gone);
    }
    // That a log is there, with its owner and mode, may be some daemon's need. A machine's id is an empty file, not none:
    // without one, systemd takes the next start for the first of a machine whose services were never set up, and changes
    // which are enabled.
    let is_emptied = (directory, name) == ("etc", "machine-id") || Path::new(directory).starts_with("var/log");
    (is_file && is_emptied).then_some(Fate::Holds(""))
}

/// What made a server one of its own, or tells of its time.
fn left_by_a_server(directory: &str, name: &str, kind: Kind) -> Option<Fate> {
    let in_home = directory == "root" || directory.strip_prefix("home/").is_some_and(|user| !user.contains('/'));
    let holds = |text| (kind == Kind::File).then_some(Fate::Holds(text));
    let is_gone = match directory {
        // What was in its memory, and what says that it is a container of Docker.
        "" => matches!(name, "swapfile" | "swap.img" | ".dockerenv"),
        "etc" => match name {
            "hostname" => return holds("localhost\n"),
            "resolv.conf" => return holds(""),
            "hostid" | "krb5.keytab" => true,
            _ => false,
        },
        "etc/iscsi" if name == "initiatorname.iscsi" => return holds("GenerateName=yes\n"),
        "etc/ssh" => name.strip_prefix("ssh_host_").is_some_and(|key| key.contains("_key")),
        "etc/ssl/private" => format!("{directory}/{name}") == SNAKEOIL_KEY,
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
        | "var/lib/lastlog"
        | "var/lib/wtmpdb"
        | "var/lib/systemd/timers"
        | "var/lib/systemd/coredump"
        | "var/lib/systemd/pstore"
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

/// Cleans a layer, or a whole root file system.
pub(crate) fn clean(root: &Path, origin: Origin) -> io::Result<()> {
    let mut keys = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let (path, kind) = (directory.join(entry.file_name()), entry.file_type()?);
            let kind = match kind {
                kind if kind.is_dir() => Kind::Directory,
                kind if kind.is_file() => Kind::File,
                kind if kind.is_symlink() && is_to_snakeoil(&fs::read_link(entry.path())?) => Kind::LinkToSnakeoil,
                _ => Kind::Other,
            };
            match fate(origin, path.as_os_str().as_bytes(), kind) {
                Some(Fate::Gone) if kind == Kind::Directory => fs::remove_dir_all(entry.path())?,
                Some(Fate::Gone) => {
                    Keys::note(&mut keys, path.as_os_str().as_bytes());
                    fs::remove_file(entry.path())?;
                }
                Some(Fate::Holds(text)) => hold(&entry.path(), text)?,
                None if kind == Kind::Directory => open.push(path),
                None => {}
            }
        }
    }
    remake(root, &keys)
}

fn is_to_snakeoil(target: &Path) -> bool {
    TO_SNAKEOIL.iter().any(|it| Path::new(it) == target)
}

/// Has a file say this, and nothing else.
fn hold(path: &Path, text: &str) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.len() == text.len() as u64 && fs::read(path)? == text.as_bytes() {
        return Ok(());
    }
    if metadata.nlink() == 1 {
        return File::options().write(true).truncate(true).open(path)?.write_all(text.as_bytes());
    }
    // Anew, as other names of it are other files.
    fs::remove_file(path)?;
    fs::write(path, text)?;
    lchown(path, Some(metadata.uid()), Some(metadata.gid()))?;
    fs::set_permissions(path, metadata.permissions())
}

/// Has each server make keys that are its own.
pub(crate) fn remake(root: &Path, keys: &[Keys]) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_a_path_depends_on_whose_files_they_are() {
        use Fate::{Gone, Holds};
        use Kind::{Directory, File, LinkToSnakeoil, Other};
        use Origin::{Bake, Container, Server};
        let everywhere = [Bake, Server, Container];
        let elsewhere = [Server, Container];
        let check = |origins: &[Origin], path: &str, kind: Kind, expected: Option<Fate>| {
            for origin in origins {
                assert_eq!(fate(*origin, path.as_bytes(), kind), expected, "{origin:?} {path} {kind:?}");
            }
        };
        for (path, kind) in [
            ("etc/shadow-", File),
            ("etc/subuid-", File),
            ("etc/ssh/ssh_host_rsa_key", File),
            ("etc/ssl/certs/ssl-cert-snakeoil.pem", File),
            ("etc/ssl/certs/1234abcd.0", LinkToSnakeoil),
            ("var/lib/dpkg/status-old", File),
            ("var/cache/apt/pkgcache.bin", File),
            ("var/cache/debconf/config.dat-old", File),
            ("var/lib/apt/lists/partial", Directory),
            ("var/log/dpkg.log", File),
            ("var/log/journal/0123", Directory),
            ("tmp/x", Other),
            ("var/tmp/x", Directory),
            ("run/nginx.pid", File),
            ("dev/null", Other),
        ] {
            check(&everywhere, path, kind, Some(Gone));
        }
        for (path, kind) in [
            ("etc/shadow", File),
            ("etc/ssl/certs/1234abcd.0", Other),
            ("etc/group-notes-", File),
            ("var/log/nginx", Directory),
            ("var/log", Directory),
            ("var/logs/x", File),
            ("srv/tmp/x", File),
            ("tmp", Directory),
            ("etc/ssh/sshd_config", File),
            ("var/lib/cloud/seed", Directory),
        ] {
            check(&everywhere, path, kind, None);
        }
        check(&everywhere, "etc/machine-id", File, Some(Holds("")));
        check(&everywhere, "etc/machine-id", Other, None);
        check(&everywhere, "var/log/nginx/access.log", File, Some(Holds("")));
        assert_eq!(fate(Bake, b"var/log/\xff", File), Some(Holds("")));
        for (path, kind) in [
            ("etc/ssh/ssh_host_rsa_key", Other),
            ("etc/ssh/ssh_host_ed25519_key-cert.pub", File),
            ("root/.bash_history", File),
            ("home/a/.python_history", File),
            ("var/lib/cloud/instances", Directory),
            ("var/lib/dhcp/dhclient.leases", File),
            ("swap.img", File),
            (".dockerenv", File),
        ] {
            check(&elsewhere, path, kind, Some(Gone));
            check(&[Bake], path, kind, None);
        }
        for (path, text) in [("etc/hostname", "localhost\n"), ("etc/resolv.conf", "")] {
            check(&elsewhere, path, File, Some(Holds(text)));
            check(&elsewhere, path, Other, None);
            check(&[Bake], path, File, None);
        }
        // A container has nobody who makes it anew.
        for path in ["run/postgresql", "run/postgresql/data"] {
            check(&[Container], path, Directory, None);
        }
        check(&[Bake, Server], "run/postgresql", Directory, Some(Gone));
        check(&[Container], "run/postgresql/.s.PGSQL.5432.lock", File, Some(Gone));
    }

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
        clean(&root, Origin::Bake).unwrap();
        clean(&root, Origin::Bake).unwrap();
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
