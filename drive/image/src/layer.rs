//! A layer as the kernel's overlay writes it: what it holds, what of that says nothing, and its digest.
//! The form: <https://docs.kernel.org/filesystems/overlayfs.html>.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::digest::{count, hex};
use crate::owners::Owners;
use crate::patience::{Watched, stopped_working};
use crate::tree::{DIRECTORY, OPAQUE_DIRECTORY, Tree, WHITEOUT};

/// The attribute that says of a directory that nothing below it shows through. Root of a user namespace may set none but
/// those of users, and the overlay is told to look for these (`userxattr`).
pub(crate) fn opaque_attribute() -> &'static CStr {
    static IN_USER_NAMESPACE: OnceLock<bool> = OnceLock::new();
    let is_in_one = || {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        map.split_whitespace().nth(2).is_some_and(|count| count != u32::MAX.to_string())
    };
    if *IN_USER_NAMESPACE.get_or_init(is_in_one) { c"user.overlay.opaque" } else { c"trusted.overlay.opaque" }
}

/// More threads than this gain nothing on one disk.
const THREADS_MAX: usize = 4;

/// What was found in a directory.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    metadata: Metadata,
    /// Its user and its group.
    owner: (u32, u32),
    attributes: Attributes,
}

/// The extended attributes that belong to the content, sorted by name, and whether a directory is opaque.
#[derive(Debug, PartialEq, Eq)]
struct Attributes {
    kept: Vec<(CString, Vec<u8>)>,
    opaque: bool,
}

/// Reads a layer, after removing from it what says the same as what is below. How a file came to be there (written
/// anew, copied up and changed back, deleted and made again) leaves no mark. Fails soon after an end is asked for.
pub(crate) fn settle(root: &Path, below: &Tree, interrupt: &AtomicBool) -> io::Result<Tree> {
    let entries = walk(root, &Owners::default())?;
    let mut found = describe(root, &entries, interrupt)?;
    let mut opaque: Vec<Vec<u8>> = Vec::new();
    let mut hidden = vec![false; entries.len()];
    for ((entry, line), hidden) in entries.iter().zip(&mut found).zip(&mut hidden) {
        let path = entry.path.as_os_str().as_bytes();
        *hidden = opaque.iter().any(|above| is_beneath(path, above));
        if !line.starts_with(OPAQUE_DIRECTORY) {
            continue;
        }
        // The kernel also marks what has nothing below it, depending on how it was made.
        if *hidden || !below.has_beneath(path) {
            remove_attribute(&root.join(&entry.path), opaque_attribute())?;
            line.replace_range(..1, DIRECTORY);
        } else {
            opaque.push(path.to_owned());
        }
    }
    let mut tree = Tree::default();
    // Backwards, so that what is in a directory is settled before the directory itself.
    for ((entry, line), hidden) in entries.iter().zip(found).zip(hidden).rev() {
        let path = entry.path.as_os_str().as_bytes();
        let shown = below.line(path).filter(|_| !hidden);
        let says_nothing = match shown {
            Some(shown) => shown == line,
            None => line == WHITEOUT,
        };
        if !says_nothing || path.is_empty() || tree.has_beneath(path) {
            tree.insert(path, line);
        } else if entry.metadata.is_dir() {
            fs::remove_dir(root.join(&entry.path))?;
        } else {
            fs::remove_file(root.join(&entry.path))?;
        }
    }
    Ok(tree)
}

/// Reads a directory as it is, which may be one of this machine's. Fails soon after an end is asked for.
pub(crate) fn read(root: &Path, owners: &Owners, interrupt: &AtomicBool) -> io::Result<Tree> {
    let entries = walk(root, owners)?;
    let found = describe(root, &entries, interrupt)?;
    let mut tree = Tree::default();
    for (entry, line) in entries.iter().zip(found) {
        tree.insert(entry.path.as_os_str().as_bytes(), line);
    }
    Ok(tree)
}

fn is_beneath(path: &[u8], above: &[u8]) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// All that a directory holds, what is above before what is below.
fn walk(root: &Path, owners: &Owners) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let full = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(&path) };
        let at = |error: io::Error| at(&full, &error);
        let metadata = fs::symlink_metadata(&full).map_err(at)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&full).map_err(at)? {
                open.push(path.join(entry?.file_name()));
            }
        }
        let owner = owners.of(&full, &metadata).map_err(at)?;
        entries.push(Entry { attributes: Attributes::read(&full, owners).map_err(at)?, path, metadata, owner });
    }
    entries.sort_by(|left, right| left.path.as_os_str().cmp(right.path.as_os_str()));
    Ok(entries)
}

/// A failure that says of which file it is.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What each entry is, as a line of a [`Tree`]. Files are read by several threads.
fn describe(root: &Path, entries: &[Entry], interrupt: &AtomicBool) -> io::Result<Vec<String>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let threads = threads.min(entries.len() / 16 + 1);
    let next = AtomicUsize::new(0);
    let shared = Shared::default();
    let work = || -> io::Result<Vec<(usize, String)>> {
        let mut done = Vec::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = entries.get(at) else { return Ok(done) };
            if interrupt.load(Ordering::Relaxed) {
                return Err(stopped_working());
            }
            done.push((at, entry.line(root, &mut buffer, &shared, interrupt)?));
        }
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = |_| Err(io::Error::other("a reading thread ended"));
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(ended)).collect()
    });
    let mut lines = vec![String::new(); entries.len()];
    for part in parts {
        for (at, line) in part? {
            if let Some(slot) = lines.get_mut(at) {
                *slot = line;
            }
        }
    }
    Ok(lines)
}

/// The hashes of files that have several names: each is read once, or at most once by each thread.
#[derive(Debug, Default)]
struct Shared(Mutex<HashMap<(u64, u64), String>>);

impl Shared {
    fn hash(&self, metadata: &Metadata, read: impl FnOnce() -> io::Result<String>) -> io::Result<String> {
        if metadata.nlink() < 2 {
            return read();
        }
        let (key, known) = ((metadata.dev(), metadata.ino()), || self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(hash) = known().get(&key) {
            return Ok(hash.clone());
        }
        let hash = read()?;
        known().insert(key, hash.clone());
        Ok(hash)
    }
}

impl Entry {
    /// Its kind; its mode, owner, group; its size, or the number of its device; the hash of what is in it, or where it
    /// leads to; the hash of its extended attributes. Never times or inode numbers.
    fn line(&self, root: &Path, buffer: &mut [u8], shared: &Shared, interrupt: &AtomicBool) -> io::Result<String> {
        let Entry { path, metadata, owner, attributes } = self;
        if is_whiteout(metadata) {
            return Ok(WHITEOUT.to_owned());
        }
        let full = root.join(path);
        let kind = metadata.file_type();
        let nothing = || "-".to_owned();
        let (letter, number, content) = if kind.is_dir() {
            (if attributes.opaque { OPAQUE_DIRECTORY } else { DIRECTORY }, 0, nothing())
        } else if kind.is_file() {
            let mut hash = || hash_file(&full, buffer, interrupt).map_err(|error| at(&full, &error));
            ("f", metadata.len(), shared.hash(metadata, || Ok(hex(&hash()?)))?)
        } else if kind.is_symlink() {
            ("l", 0, hex(&Sha256::digest(fs::read_link(&full)?.as_os_str().as_bytes())))
        } else if kind.is_block_device() {
            ("b", metadata.rdev(), nothing())
        } else if kind.is_char_device() {
            ("c", metadata.rdev(), nothing())
        } else {
            (if kind.is_fifo() { "p" } else { "s" }, 0, nothing())
        };
        let more = match &*attributes.kept {
            [] => nothing(),
            kept => {
                let mut hash = Sha256::new();
                for (name, value) in kept {
                    count(&mut hash, name.to_bytes());
                    count(&mut hash, value);
                }
                hex(&hash.finalize())
            }
        };
        let (mode, (user, group)) = (metadata.mode() & 0o7777, owner);
        Ok(format!("{letter} {mode:o} {user} {group} {number} {content} {more}"))
    }
}

impl Attributes {
    fn read(path: &Path, owners: &Owners) -> io::Result<Attributes> {
        let mut attributes = Attributes { kept: Vec::new(), opaque: false };
        for name in attribute_names(path)? {
            let text = name.to_bytes();
            if name.as_c_str() == opaque_attribute() {
                attributes.opaque = attribute(path, &name)? == b"y";
            } else if text.starts_with(b"user.overlay.") {
                // The overlay's own.
            } else if text != b"security.selinux"
                && [&b"security."[..], b"user.", b"system.posix_acl_"].iter().any(|start| text.starts_with(start))
            {
                // The label of SELinux is this machine's; the others travel with the file.
                let value = match attribute(path, &name) {
                    Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => owners.hidden(path, &name, error)?,
                    value => Some(value?),
                };
                attributes.kept.extend(value.map(|value| (name, value)));
            }
        }
        attributes.kept.sort();
        Ok(attributes)
    }
}

/// The extended attributes of a path that belong to its content, sorted by name.
pub(crate) fn attributes_of(path: &Path, owners: &Owners) -> io::Result<Vec<(CString, Vec<u8>)>> {
    Ok(Attributes::read(path, owners)?.kept)
}

/// Whether a path says that what is below it is gone.
pub(crate) fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// The SHA-256 of a file. Fails soon after an end is asked for.
pub(crate) fn hash_file(path: &Path, buffer: &mut [u8], interrupt: &AtomicBool) -> io::Result<Vec<u8>> {
    let mut file = Watched::new(File::open(path)?, interrupt);
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

pub(crate) fn set_attribute(path: &Path, name: &CStr, value: &[u8]) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: the path and the name end in a zero byte, and the value has the length that is given.
    match unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
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
