//! Files below a directory that somebody else may fill with what they like: no link of theirs leads out of it, and nothing
//! of theirs is waited for.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path};

use nix::fcntl::{AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, openat2, renameat2};
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// The longest file that is looked into, in bytes.
const LONGEST: u64 = 64 << 10;

/// What is below a directory.
pub(crate) struct Below {
    root: OwnedFd,
    links: ResolveFlag,
}

impl Below {
    /// The layer of a server that does not run: what it links to is not to be seen here, so links on the way are refused.
    pub fn layer(root: &Path) -> io::Result<Below> {
        Ok(Below {
            root: File::open(root)?.into(),
            links: ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH,
        })
    }

    /// A root file system as whoever is in it sees it: links lead to where they lead there.
    pub fn root(root: &Path) -> io::Result<Below> {
        Ok(Below {
            root: File::open(root)?.into(),
            links: ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS,
        })
    }

    /// Whether anything is at a path.
    pub fn has(&self, path: &str) -> io::Result<bool> {
        let (parent, name) = split(path)?;
        let Some(parent) = self.directory(parent)? else { return Ok(false) };
        match fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(nix::errno::Errno::ENOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a directory, and those above it. Each that is made has the attributes of the one that it lies over, if there
    /// is one, else a mode.
    pub fn make_directory(
        &self,
        path: &Path,
        below: impl Fn(&Path) -> Option<Metadata>,
        mode: impl Fn(&Path) -> u32,
    ) -> io::Result<()> {
        let mut so_far = std::path::PathBuf::new();
        for step in path.components() {
            let Component::Normal(name) = step else { return Err(ErrorKind::InvalidInput.into()) };
            let parent = self.directory(&so_far)?.ok_or(ErrorKind::NotFound)?;
            so_far.push(name);
            match mkdirat(&parent, name, Mode::from_bits_truncate(0o700)) {
                Ok(()) => {}
                Err(nix::errno::Errno::EEXIST) => continue,
                Err(error) => return Err(error.into()),
            }
            let made = File::from(self.directory(&so_far)?.ok_or(ErrorKind::NotFound)?);
            match below(&so_far) {
                Some(found) => {
                    std::os::unix::fs::fchown(&made, Some(found.uid()), Some(found.gid()))?;
                    made.set_permissions(found.permissions())?;
                }
                None => made.set_permissions(fs::Permissions::from_mode(mode(&so_far)))?,
            }
        }
        Ok(())
    }

    /// Puts a file in the place of whatever is there, in one step.
    pub fn replace(&self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let (parent, name) = split(path)?;
        let parent = self.directory(parent)?.ok_or(ErrorKind::NotFound)?;
        let mut unfinished = name.to_owned();
        unfinished.push(".andon");
        match unlinkat(&parent, unfinished.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let how = OpenHow::new()
            .flags(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .mode(Mode::from_bits_truncate(mode))
            .resolve(self.links);
        let mut file = File::from(openat2(parent.as_fd(), unfinished.as_os_str(), how)?);
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        renameat2(&parent, unfinished.as_os_str(), &parent, name, RenameFlags::empty()).map_err(io::Error::from)
    }

    /// Gives a file that is there another content, where what it has is `old`. False where it is not, or no file.
    pub fn rewrite(&self, path: &str, old: impl FnOnce(&str) -> bool, content: &str) -> io::Result<bool> {
        let how = OpenHow::new()
            // A pipe of the server's that nobody reads is not waited for.
            .flags(OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
            .resolve(self.links);
        let mut file = match openat2(self.root.as_fd(), path, how) {
            Ok(file) => File::from(file),
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ELOOP) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            return Ok(false);
        }
        let mut text = Vec::new();
        Read::by_ref(&mut file).take(LONGEST).read_to_end(&mut text)?;
        if !std::str::from_utf8(&text).is_ok_and(|text| text != content && old(text)) {
            return Ok(false);
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(content.as_bytes())?;
        Ok(true)
    }

    /// A directory that is there; `None` where nothing is.
    fn directory(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new().flags(OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC).resolve(self.links);
        match openat2(self.root.as_fd(), path, how) {
            Ok(directory) => Ok(Some(directory)),
            Err(nix::errno::Errno::ENOENT) => Ok(None),
            Err(nix::errno::Errno::ELOOP | nix::errno::Errno::EXDEV) => {
                Err(io::Error::other(format!("/{} is, or is below, a link that the server made", path.display())))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The directory and the name of a path.
fn split(path: &str) -> io::Result<(&Path, &OsStr)> {
    let path = Path::new(path.trim_start_matches('/'));
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    Ok((path.parent().unwrap_or(Path::new("")), name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("hosts"), "the machine's").unwrap();
        symlink(outside.join("hosts"), root.join("etc/hosts")).unwrap();
        symlink(&outside, root.join("linked")).unwrap();
        symlink(outside.join("none"), root.join("etc/dangling")).unwrap();
        let below = Below::layer(&root).unwrap();
        assert!(
            below.has("etc/hosts").unwrap() && below.has("/etc/dangling").unwrap() && !below.has("etc/none").unwrap()
        );
        below.replace("etc/hosts", 0o644, b"the server's").unwrap();
        assert_eq!(fs::read_to_string(outside.join("hosts")).unwrap(), "the machine's");
        assert_eq!(fs::read_to_string(root.join("etc/hosts")).unwrap(), "the server's");
        for refused in [below.replace("linked/hosts", 0o644, b"x"), below.has("linked/hosts").map(drop)] {
            assert!(refused.unwrap_err().to_string().contains("a link that the server made"));
        }
        let made = below.make_directory(Path::new("linked/new"), |_| None, |_| 0o755);
        assert!(made.is_err() && !outside.join("new").exists());
        // A pipe that nobody reads is replaced, and not waited for.
        nix::unistd::mkfifo(&root.join("etc/pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        nix::unistd::mkfifo(&root.join("etc/pipe.andon"), Mode::from_bits_truncate(0o600)).unwrap();
        below.replace("etc/pipe", 0o600, b"x").unwrap();
        assert_eq!(fs::read_to_string(root.join("etc/pipe")).unwrap(), "x");
        below
            .make_directory(Path::new("root/.ssh"), |_| None, |path| if path.ends_with(".ssh") { 0o700 } else { 0o755 })
            .unwrap();
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("root"), mode("root/.ssh"), mode("etc/pipe")), (0o755, 0o700, 0o600));
        assert!(below.replace("../outside/x", 0o644, b"x").is_err() && !outside.join("x").exists());
    }

    #[test]
    fn only_what_is_known_is_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir_all(&root).unwrap();
        fs::write(&outside, "old").unwrap();
        fs::write(root.join("own"), "old").unwrap();
        symlink(&outside, root.join("out")).unwrap();
        symlink("/own", root.join("linked")).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        let (layer, seen) = (Below::layer(&root).unwrap(), Below::root(&root).unwrap());
        let rewritten = |below: &Below, path: &str| below.rewrite(path, |text| text == "old", "new!").unwrap();
        for path in ["out", "linked", "pipe", "none"] {
            assert!(!rewritten(&layer, path), "{path}");
        }
        assert!(!rewritten(&seen, "out") && !rewritten(&seen, "pipe"));
        assert!(rewritten(&seen, "linked") && !rewritten(&layer, "own"));
        assert_eq!(fs::read_to_string(root.join("own")).unwrap(), "new!");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "old");
    }
}
