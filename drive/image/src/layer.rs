//! A layer as the kernel's overlay writes it: what it holds, what of that says nothing, and its digest.
//! The form: <https://docs.kernel.org/filesystems/overlayfs.html>.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};

use crate::Digest;
use crate::digest::count;

/// Says of a directory that nothing below it shows through.
const OPAQUE: &CStr = c"trusted.overlay.opaque";

/// More threads than this gain nothing on one disk.
const THREADS_MAX: usize = 4;

/// Everything in a layer, sorted by path.
#[derive(Debug)]
pub(crate) struct Layer {
    root: PathBuf,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    metadata: Metadata,
    attributes: Attributes,
}

/// The extended attributes that belong to the content, sorted by name, and whether a directory is opaque.
#[derive(Debug, PartialEq, Eq)]
struct Attributes {
    kept: Vec<(CString, Vec<u8>)>,
    opaque: bool,
}

impl Layer {
    /// Reads a layer, after removing from it what says the same as the layers below, topmost first. How a file came to
    /// be there (written anew, copied up and changed back, deleted and made again) leaves no mark.
    pub(crate) fn settle(root: &Path, lower: &[PathBuf]) -> io::Result<Layer> {
        let mut layer = Layer { root: root.to_owned(), entries: Vec::new() };
        layer.take(Path::new(""), fs::symlink_metadata(root)?, lower)?;
        layer.entries.sort_by(|left, right| left.path.as_os_str().cmp(right.path.as_os_str()));
        Ok(layer)
    }

    /// Reads a directory as it is.
    pub(crate) fn read(root: &Path) -> io::Result<Layer> {
        Layer::settle(root, &[])
    }

    /// The size of its files, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.metadata.is_file()).map(|entry| entry.metadata.len()).sum()
    }

    /// The digest of its content over that of its parent: paths, kinds, modes, owners, sizes, the content of files, the
    /// targets of links, the numbers of devices, extended attributes. Never times or inode numbers.
    pub(crate) fn digest(&self, parent: Option<&Digest>) -> io::Result<Digest> {
        let contents = self.contents()?;
        let mut hash = Sha256::new();
        hash.update(b"andon image layer 1\n");
        count(&mut hash, parent.map_or("", Digest::as_str).as_bytes());
        for (entry, content) in self.entries.iter().zip(contents) {
            let Entry { path, metadata, attributes } = entry;
            count(&mut hash, path.as_os_str().as_bytes());
            for number in [metadata.mode(), metadata.uid(), metadata.gid(), u32::from(attributes.opaque)] {
                hash.update(number.to_le_bytes());
            }
            let kind = metadata.file_type();
            if kind.is_block_device() || kind.is_char_device() {
                hash.update(metadata.rdev().to_le_bytes());
            }
            if kind.is_file() {
                hash.update(metadata.len().to_le_bytes());
            }
            count(&mut hash, &content);
            for (name, value) in &attributes.kept {
                count(&mut hash, name.to_bytes());
                count(&mut hash, value);
            }
            hash.update([0xFF]);
        }
        Ok(Digest::of(hash))
    }

    /// For each entry the hash of a file, the target of a link, or nothing. Files are read by several threads.
    fn contents(&self) -> io::Result<Vec<Vec<u8>>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let next = AtomicUsize::new(0);
        let work = || -> io::Result<Vec<(usize, Vec<u8>)>> {
            let mut done = Vec::new();
            let mut buffer = vec![0; 256 << 10];
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(entry) = self.entries.get(at) else { return Ok(done) };
                let path = self.root.join(&entry.path);
                let kind = entry.metadata.file_type();
                if kind.is_file() {
                    done.push((at, hash_file(&path, &mut buffer)?));
                } else if kind.is_symlink() {
                    done.push((at, fs::read_link(path)?.as_os_str().as_bytes().to_owned()));
                }
            }
        };
        let parts: Vec<_> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let ended = |_| Err(io::Error::other("a reading thread ended"));
            handles.into_iter().map(|handle| handle.join().unwrap_or_else(ended)).collect()
        });
        let mut contents = vec![Vec::new(); self.entries.len()];
        for part in parts {
            for (at, content) in part? {
                if let Some(slot) = contents.get_mut(at) {
                    *slot = content;
                }
            }
        }
        Ok(contents)
    }

    /// Takes in a path and what is below it. Returns whether it stays.
    fn take(&mut self, path: &Path, metadata: Metadata, lower: &[PathBuf]) -> io::Result<bool> {
        let full = self.root.join(path);
        let mut attributes = Attributes::read(&full)?;
        let below = find(lower, path)?;
        if !metadata.is_dir() {
            let says_nothing = match &below {
                Some(below) => same(&full, &metadata, &attributes, below)?,
                None => is_whiteout(&metadata),
            };
            // A base has nothing below it: its entries are all its own.
            if says_nothing && !lower.is_empty() {
                fs::remove_file(&full)?;
                return Ok(false);
            }
            self.entries.push(Entry { path: path.to_owned(), metadata, attributes });
            return Ok(true);
        }
        let below = below.filter(|below| below.is_dir() && !below.is_symlink());
        if attributes.opaque && below.is_none() && !lower.is_empty() {
            // The kernel also marks what has nothing below it, depending on how it was made.
            remove_attribute(&full, OPAQUE)?;
            attributes.opaque = false;
        }
        // Nothing shows through an opaque directory, so nothing in it can say the same.
        let seen: &[PathBuf] = if attributes.opaque { &[] } else { lower };
        let mut stays = path.as_os_str().is_empty() || attributes.opaque;
        let mut names: Vec<_> = fs::read_dir(&full)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            let child = path.join(name);
            let metadata = fs::symlink_metadata(self.root.join(&child))?;
            stays |= self.take(&child, metadata, seen)?;
        }
        stays |= match &below {
            Some(below) => !same(&full, &metadata, &attributes, below)?,
            None => true,
        };
        match stays {
            true => self.entries.push(Entry { path: path.to_owned(), metadata, attributes }),
            false => fs::remove_dir(&full)?,
        }
        Ok(stays)
    }
}

impl Attributes {
    fn read(path: &Path) -> io::Result<Attributes> {
        let mut attributes = Attributes { kept: Vec::new(), opaque: false };
        for name in attribute_names(path)? {
            let text = name.to_bytes();
            if name.as_c_str() == OPAQUE {
                attributes.opaque = attribute(path, &name)? == b"y";
            } else if text != b"security.selinux"
                && [&b"security."[..], b"user.", b"system.posix_acl_"].iter().any(|start| text.starts_with(start))
            {
                // The label of SELinux is this machine's; the others travel with the file.
                let value = attribute(path, &name)?;
                attributes.kept.push((name, value));
            }
        }
        attributes.kept.sort();
        Ok(attributes)
    }
}

/// What shows at a path through these layers, topmost first.
fn find(lower: &[PathBuf], path: &Path) -> io::Result<Option<PathBuf>> {
    'layers: for layer in lower {
        let mut place = layer.clone();
        let mut hidden = false;
        let mut steps = path.iter().peekable();
        while let Some(step) = steps.next() {
            hidden |= Attributes::read(&place)?.opaque;
            place.push(step);
            let metadata = match fs::symlink_metadata(&place) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !hidden => continue 'layers,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            if is_whiteout(&metadata) || (steps.peek().is_some() && !metadata.is_dir()) {
                return Ok(None);
            }
        }
        return Ok(Some(place));
    }
    Ok(None)
}

fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Whether a path says nothing that the one below it does not say. Of directories only what they are themselves counts.
fn same(path: &Path, metadata: &Metadata, attributes: &Attributes, below: &Path) -> io::Result<bool> {
    let other = fs::symlink_metadata(below)?;
    let alike = metadata.mode() == other.mode()
        && metadata.uid() == other.uid()
        && metadata.gid() == other.gid()
        && metadata.rdev() == other.rdev()
        && attributes.kept == Attributes::read(below)?.kept;
    let kind = metadata.file_type();
    Ok(alike
        && if kind.is_file() {
            metadata.len() == other.len() && same_bytes(path, below)?
        } else if kind.is_symlink() {
            fs::read_link(path)? == fs::read_link(below)?
        } else {
            true
        })
}

fn same_bytes(left: &Path, right: &Path) -> io::Result<bool> {
    let (mut left, mut right) = (File::open(left)?, File::open(right)?);
    let (mut left_buffer, mut right_buffer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = left.read(&mut left_buffer)?;
        if count == 0 {
            return Ok(right.read(&mut right_buffer)? == 0);
        }
        let Some(part) = right_buffer.get_mut(..count) else { return Ok(false) };
        match right.read_exact(part) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if left_buffer.get(..count) != Some(&*part) {
            return Ok(false);
        }
    }
}

/// The SHA-256 of a file.
pub(crate) fn hash_file(path: &Path, buffer: &mut [u8]) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    loop {
        match file.read(buffer)? {
            0 => return Ok(hash.finalize().to_vec()),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

fn attribute_names(path: &Path) -> io::Result<Vec<CString>> {
    let path = c_path(path)?;
    // SAFETY: the path ends in a zero byte; each call is given a buffer and its true length.
    let list = sized(|buffer, size| unsafe { libc::llistxattr(path.as_ptr(), buffer.cast(), size) })?;
    Ok(list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| CString::new(name).ok())
        .collect())
}

fn attribute(path: &Path, name: &CStr) -> io::Result<Vec<u8>> {
    let path = c_path(path)?;
    // SAFETY: the path and the name end in a zero byte; each call is given a buffer and its true length.
    sized(|buffer, size| unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer, size) })
}

fn remove_attribute(path: &Path, name: &CStr) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: the path and the name end in a zero byte.
    match unsafe { libc::lremovexattr(path.as_ptr(), name.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Asks for the size, then for the bytes. A file system without extended attributes has none.
fn sized(call: impl Fn(*mut libc::c_void, usize) -> isize) -> io::Result<Vec<u8>> {
    loop {
        let size = match usize::try_from(call(std::ptr::null_mut(), 0)) {
            Ok(0) => return Ok(Vec::new()),
            Ok(size) => size,
            Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::ENOTSUP) => return Ok(Vec::new()),
            Err(_) => return Err(io::Error::last_os_error()),
        };
        let mut bytes = vec![0; size];
        match usize::try_from(call(bytes.as_mut_ptr().cast(), size)) {
            Ok(size) => {
                bytes.truncate(size);
                return Ok(bytes);
            }
            // It grew in between.
            Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::ERANGE) => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    let path: &OsStr = path.as_os_str();
    CString::new(path.as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}
