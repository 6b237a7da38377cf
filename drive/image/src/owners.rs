//! Whose the files are that an image is made of, where this process cannot see it: in a user namespace, whatever belongs to
//! a user without a number in it looks like nobody's (user_namespaces(7), "Unmapped user and group IDs"). An image would
//! have no root; so somebody outside is asked.

use std::collections::HashMap;
use std::ffi::{CStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use andon_schema::Failure;

use crate::oci::tarball::{alike, copy};
use crate::patience::stopped;
use crate::trouble::Trouble;

/// What a path belongs to, in the numbers that it is to have in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
    /// The attribute `security.capability`, of a program that has one.
    pub capabilities: Option<Vec<u8>>,
}

type Ask = dyn Fn(&Path) -> io::Result<Owner> + Send + Sync;

/// Whoever knows whose files are; by default they are as they are seen.
#[derive(Clone, Default)]
pub(crate) struct Owners(Option<Arc<Ask>>);

/// Whom the kernel shows where it has no number to show (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65_534;
/// The attribute that has a program's capabilities, which the kernel hides from whoever is not their root.
const CAPABILITIES: &CStr = c"security.capability";

impl Owners {
    pub(crate) fn asked_of(ask: impl Fn(&Path) -> io::Result<Owner> + Send + Sync + 'static) -> Owners {
        Owners(Some(Arc::new(ask)))
    }

    /// Whether files may belong to others than it seems.
    pub(crate) fn are_hidden(&self) -> bool {
        self.0.is_some()
    }

    /// The user and the group of a path.
    pub(crate) fn of(&self, path: &Path, metadata: &Metadata) -> io::Result<(u32, u32)> {
        let seen = (metadata.uid(), metadata.gid());
        match &self.0 {
            Some(ask) if seen.0 == NOBODY || seen.1 == NOBODY => ask(path).map(|owner| (owner.user, owner.group)),
            _ => Ok(seen),
        }
    }

    /// The value of an extended attribute that the kernel refused to show.
    pub(crate) fn hidden(&self, path: &Path, name: &CStr, error: io::Error) -> io::Result<Option<Vec<u8>>> {
        match &self.0 {
            Some(ask) if name == CAPABILITIES => ask(path).map(|owner| owner.capabilities),
            _ => Err(error),
        }
    }

    /// Copies all that is in a directory to an empty one, but for devices below `dev`, which no user without root makes.
    pub(crate) fn copy_all(&self, from: &Path, to: &Path, interrupt: &AtomicBool) -> Result<(), Failure> {
        let mut links: HashMap<(u64, u64), PathBuf> = HashMap::new();
        let mut open = vec![PathBuf::new()];
        while let Some(path) = open.pop() {
            if interrupt.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            let place = from.join(&path);
            let metadata = fs::symlink_metadata(&place).doing("read", &place)?;
            for below in self.copy_one(&place, &metadata, &path, &to.join(&path), &mut links).doing("copy", &place)? {
                open.push(path.join(below));
            }
        }
        Ok(())
    }

    /// Copies one path; gives what is in it, where it is a directory.
    fn copy_one(
        &self,
        from: &Path,
        metadata: &Metadata,
        path: &Path,
        to: &Path,
        links: &mut HashMap<(u64, u64), PathBuf>,
    ) -> io::Result<Vec<OsString>> {
        let kind = metadata.file_type();
        if kind.is_dir() {
            if !path.as_os_str().is_empty() {
                fs::create_dir(to)?;
            }
            alike(from, to, self)?;
            return fs::read_dir(from)?.map(|entry| Ok(entry?.file_name())).collect();
        }
        // A socket is nothing without whoever listens on it.
        let is_device = kind.is_char_device() || kind.is_block_device();
        if kind.is_socket() || (is_device && path.starts_with("dev")) {
            return Ok(Vec::new());
        }
        if metadata.nlink() > 1 {
            if let Some(same) = links.get(&(metadata.dev(), metadata.ino())) {
                fs::hard_link(same, to)?;
                return Ok(Vec::new());
            }
            links.insert((metadata.dev(), metadata.ino()), to.to_owned());
        }
        if kind.is_fifo() {
            nix::unistd::mkfifo(to, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
            alike(from, to, self)?;
        } else if is_device {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "only this machine's root makes devices"));
        } else {
            copy(from, to, self)?;
        }
        if kind.is_file() {
            // Programs that keep what they compiled know by it what they compiled.
            File::open(to)?.set_modified(metadata.modified()?)?;
        }
        Ok(Vec::new())
    }
}

impl fmt::Debug for Owners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.are_hidden() { "Owners(asked for)" } else { "Owners(seen)" })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn whoever_is_hidden_is_asked_for() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let place = std::env::temp_dir().join(format!("andon-owners-{}", std::process::id()));
        let (from, to) = (place.join("from"), place.join("to"));
        fs::create_dir_all(from.join("dev")).unwrap();
        fs::create_dir_all(&to).unwrap();
        let put = |name: &str, owner: u32, mode: u32| {
            fs::write(from.join(name), name).unwrap();
            chown(from.join(name), Some(owner), Some(owner)).unwrap();
            fs::set_permissions(from.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        put("own", 7, 0o640);
        put("program", NOBODY, 0o4755);
        fs::hard_link(from.join("program"), from.join("program-too")).unwrap();
        symlink("own", from.join("link")).unwrap();
        std::os::unix::fs::lchown(from.join("link"), Some(NOBODY), Some(NOBODY)).unwrap();
        nix::unistd::mkfifo(&from.join("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        nix::sys::stat::mknod(
            &from.join("dev/null"),
            nix::sys::stat::SFlag::S_IFCHR,
            nix::sys::stat::Mode::from_bits_truncate(0o666),
            nix::sys::stat::makedev(1, 3),
        )
        .unwrap();
        let owners = Owners::asked_of(|_| Ok(Owner { user: 0, group: 42, capabilities: None }));
        owners.copy_all(&from, &to, &AtomicBool::new(false)).unwrap();
        let is = |name: &str| {
            let found = fs::symlink_metadata(to.join(name)).unwrap();
            (found.uid(), found.gid(), found.mode() & 0o7777)
        };
        assert_eq!(is("own"), (7, 7, 0o640));
        assert_eq!(is("program"), (0, 42, 0o4755));
        assert_eq!((is("link").0, is("link").1), (0, 42));
        assert_eq!(is("pipe").2, 0o600);
        let number = |name: &str| fs::metadata(to.join(name)).unwrap().ino();
        assert_eq!(number("program"), number("program-too"));
        assert_eq!(fs::metadata(to.join("own")).unwrap().mtime(), fs::metadata(from.join("own")).unwrap().mtime());
        assert!(to.join("dev").is_dir() && !to.join("dev/null").exists());
        // What it cannot be told of is no image.
        let nobody = Owners::asked_of(|_| Err(io::Error::other("it belongs to somebody else")));
        fs::remove_dir_all(&to).unwrap();
        fs::create_dir(&to).unwrap();
        let failure = nobody.copy_all(&from, &to, &AtomicBool::new(false)).unwrap_err();
        assert!(failure.detail.contains("somebody else"), "{failure:?}");
        fs::remove_dir_all(place).unwrap();
    }
}
