//! Unpacking. An archive comes from anywhere: nothing of it is written outside of its directory, and it is no larger
//! than a package may be.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Component, Path, PathBuf};

use andon_schema::source::ArchiveFormat;

use crate::error::FetchError;
use crate::tree::{MOST_FILES, stays_inside};

/// The most that an archive may unpack to.
const LARGEST_MEBIBYTES: u64 = 2048;

/// Unpacks an archive into a new directory.
pub(crate) fn unpack(archive: &Path, format: ArchiveFormat, to: &Path) -> Result<(), FetchError> {
    fs::create_dir_all(to).map_err(FetchError::file(to))?;
    let file = BufReader::new(File::open(archive).map_err(FetchError::file(archive))?);
    let mut unpacking = Unpacking { to, left: LARGEST_MEBIBYTES << 20, entries: 0 };
    match format {
        ArchiveFormat::Zip => unpacking.zip(file),
        ArchiveFormat::Tar => unpacking.tar(file),
        ArchiveFormat::TarGzip => unpacking.tar(flate2::bufread::MultiGzDecoder::new(file)),
        ArchiveFormat::TarBzip2 => unpacking.tar(bzip2::bufread::MultiBzDecoder::new(file)),
        ArchiveFormat::TarXz => unpacking.tar(lzma_rust2::XzReader::new(file, true)),
    }?;
    match unpacking.entries {
        0 => Err(FetchError::Archive("it is empty".to_owned())),
        _ => Ok(()),
    }
}

struct Unpacking<'a> {
    to: &'a Path,
    /// Bytes that may still be written.
    left: u64,
    entries: usize,
}

impl Unpacking<'_> {
    fn zip(&mut self, file: impl Read + Seek) -> Result<(), FetchError> {
        let broken = |error: zip::result::ZipError| FetchError::Archive(error.to_string());
        let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
        for at in 0..archive.len() {
            let mut entry = archive.by_index(at).map_err(broken)?;
            let path = self.place(entry.name())?;
            let mode = entry.unix_mode();
            if entry.is_dir() {
                self.directory(&path)?;
            } else if mode.is_some_and(|mode| mode & 0o170_000 == 0o120_000) {
                let mut target = String::new();
                (&mut entry).take(4096).read_to_string(&mut target).map_err(cut)?;
                self.link(&path, Path::new(&target))?;
            } else {
                self.file(&path, &mut entry, mode.is_some_and(|mode| mode & 0o111 != 0))?;
            }
        }
        Ok(())
    }

    fn tar(&mut self, stream: impl Read) -> Result<(), FetchError> {
        let mut archive = tar::Archive::new(stream);
        for entry in archive.entries().map_err(cut)? {
            let mut entry = entry.map_err(cut)?;
            let kind = entry.header().entry_type();
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match kind {
                tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => {}
                tar::EntryType::Directory => {
                    let path = self.place(&name)?;
                    self.directory(&path)?;
                }
                tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                    let path = self.place(&name)?;
                    let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                    self.file(&path, &mut entry, executable)?;
                }
                tar::EntryType::Symlink => {
                    let path = self.place(&name)?;
                    let target = entry.link_name().map_err(cut)?.map(|it| it.into_owned()).unwrap_or_default();
                    self.link(&path, &target)?;
                }
                tar::EntryType::Link => {
                    // A second name for a file that was unpacked before: a copy does as well.
                    let path = self.place(&name)?;
                    let target = entry.link_name().map_err(cut)?.map(|it| it.into_owned()).unwrap_or_default();
                    let target = self.to.join(self.place(&target.to_string_lossy())?);
                    let whole = fs::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_file());
                    if !whole {
                        return Err(FetchError::Unsafe(format!("`{name}` is a name for what is not in it")));
                    }
                    let mut file = File::open(&target).map_err(FetchError::file(&target))?;
                    self.file(&path, &mut file, false)?;
                }
                _ => return Err(FetchError::Unsafe(format!("`{name}` is neither a file, a directory nor a link"))),
            }
        }
        Ok(())
    }

    /// The path of an entry from the root of the package.
    fn place(&mut self, name: &str) -> Result<PathBuf, FetchError> {
        self.entries += 1;
        if self.entries > MOST_FILES {
            return Err(FetchError::Archive(format!("it has more than {MOST_FILES} entries")));
        }
        let mut path = PathBuf::new();
        for part in Path::new(&name.replace('\\', "/")).components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                _ => return Err(FetchError::Unsafe(format!("`{name}` leads out of the package"))),
            }
        }
        // What was unpacked before may be a link: nothing is written through one.
        let mut above = PathBuf::new();
        for part in path.parent().into_iter().flat_map(Path::components) {
            above.push(part);
            if fs::symlink_metadata(self.to.join(&above)).is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(FetchError::Unsafe(format!("`{name}` goes through a link")));
            }
        }
        Ok(path)
    }

    fn directory(&self, path: &Path) -> Result<(), FetchError> {
        let place = self.to.join(path);
        fs::create_dir_all(&place).map_err(FetchError::file(&place))
    }

    fn link(&self, path: &Path, target: &Path) -> Result<(), FetchError> {
        if !stays_inside(path, target) {
            let (path, target) = (path.display(), target.display());
            return Err(FetchError::Unsafe(format!("the link `{path}` leads out of the package, to `{target}`")));
        }
        path.parent().map_or(Ok(()), |parent| self.directory(parent))?;
        let place = self.to.join(path);
        let _ = fs::remove_file(&place);
        std::os::unix::fs::symlink(target, &place).map_err(FetchError::file(&place))
    }

    fn file(&mut self, path: &Path, from: &mut dyn Read, executable: bool) -> Result<(), FetchError> {
        path.parent().map_or(Ok(()), |parent| self.directory(parent))?;
        let place = self.to.join(path);
        // A link of the same name must not be written through.
        let _ = fs::remove_file(&place);
        let mut file = File::create(&place).map_err(FetchError::file(&place))?;
        let written = io::copy(&mut from.take(self.left.saturating_add(1)), &mut file).map_err(cut)?;
        if written > self.left {
            return Err(FetchError::TooLarge {
                what: "what is in the archive".to_owned(),
                limit_mebibytes: LARGEST_MEBIBYTES,
            });
        }
        self.left -= written;
        if executable {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&place, mode).map_err(FetchError::file(&place))?;
        }
        Ok(())
    }
}

fn cut(error: io::Error) -> FetchError {
    FetchError::Archive(error.to_string())
}
