//! Packages of plugins on the disk: unpacked, and put in their place whole or not at all.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use andon_schema::{ProviderAddress, Version};

use crate::platform::Platform;

/// The most that a package may unpack to.
const LARGEST_BYTES: u64 = 4 << 30;

/// More files than this are no package.
const MOST_FILES: usize = 10_000;

/// Where the unpacked package of a provider is, below a directory of packages.
pub fn package_path(base: &Path, address: &ProviderAddress, version: &Version, platform: &Platform) -> PathBuf {
    let directory = base.join(&*address.host).join(&*address.namespace).join(&*address.name);
    directory.join(version.to_string()).join(platform.to_string())
}

/// What the archive of a package is called.
pub fn archive_name(address: &ProviderAddress, version: &Version, platform: &Platform) -> String {
    format!("terraform-provider-{}_{version}_{platform}.zip", address.name)
}

/// Unpacks an archive into a directory that is not there yet. Names that lead out of it are refused, and so is what is
/// neither a file nor a directory.
///
/// # Errors
/// Where the archive is not whole, or refused; what was unpacked until then is the caller's to remove.
pub fn unpack(archive: &Path, directory: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(archive)?).map_err(io::Error::other)?;
    if archive.len() > MOST_FILES {
        return Err(io::Error::other(format!("it has more than {MOST_FILES} files")));
    }
    let mut left = LARGEST_BYTES;
    fs::create_dir_all(directory)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(io::Error::other)?;
        let refused = |why: &str| io::Error::other(format!("{:?} in it {why}", entry.name()));
        let name = entry.enclosed_name().filter(|_| !entry.name().starts_with('/') && !entry.name().contains('\\'));
        let name = name.ok_or_else(|| refused("leads out of the archive"))?;
        let kind = entry.unix_mode().unwrap_or(0) & 0o170_000;
        if !matches!(kind, 0 | 0o100_000 | 0o040_000) {
            return Err(refused("is neither a file nor a directory"));
        }
        let path = directory.join(name);
        if entry.is_dir() {
            fs::create_dir_all(&path)?;
            continue;
        }
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        let mut file = File::create(&path)?;
        let written = io::copy(&mut io::Read::take(&mut entry, left.saturating_add(1)), &mut file)?;
        left = left.checked_sub(written).ok_or_else(|| io::Error::other("it unpacks to more than 4 GiB"))?;
        // Some archives do not say that a program is one.
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Puts an unpacked package in its place, whatever was there before.
///
/// # Errors
/// Where it cannot be moved.
pub fn place(unpacked: &Path, place: &Path) -> io::Result<()> {
    fs::create_dir_all(place.parent().unwrap_or(place))?;
    clear(place)?;
    fs::rename(unpacked, place)
}

/// Puts a link to a package elsewhere in a place, whatever was there before.
///
/// # Errors
/// Where it cannot be made.
pub fn link(package: &Path, place: &Path) -> io::Result<()> {
    let package = package.canonicalize()?;
    // The first may be a link that was put there before.
    if fs::read_link(place).is_ok_and(|there| there == package) {
        return Ok(());
    }
    fs::create_dir_all(place.parent().unwrap_or(place))?;
    clear(place)?;
    std::os::unix::fs::symlink(package, place)
}

/// Removes what is at a path: a link without what it leads to.
///
/// # Errors
/// Where it cannot be removed.
pub fn clear(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// A turn at a directory that several runs may change, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Takes the turn where nobody else has it.
    ///
    /// # Errors
    /// Where the lock file cannot be made.
    pub fn take(lock: &Path) -> io::Result<Option<Turn>> {
        fs::create_dir_all(lock.parent().unwrap_or(lock))?;
        let file = File::options().create(true).append(true).open(lock)?;
        // SAFETY: the descriptor is open as long as the file is.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(Turn { _lock: file }));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        }
    }
}
