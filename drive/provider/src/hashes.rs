//! What packages come to: `zh:` is the SHA-256 of an archive; `h1:` is that of a list of its files, each with its own
//! SHA-256, so that a package comes to the same packed and unpacked
//! (<https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash>).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::cache;

/// Deeper than this a package has no files.
const DEEPEST: usize = 32;

/// Whether any of these hashes is of a kind that can be checked.
pub fn can_be_checked(hashes: &BTreeSet<String>) -> bool {
    hashes.iter().any(|hash| hash.starts_with("h1:") || hash.starts_with("zh:"))
}

/// The `h1:` hash of an unpacked package.
///
/// # Errors
/// Where a file cannot be read.
pub fn hash_directory(directory: &Path) -> io::Result<String> {
    let files = files(directory)?.into_iter().map(|(name, path, _)| Ok((name, digest(File::open(path)?)?)));
    hash_of(files.collect::<io::Result<_>>()?)
}

/// The `h1:` hash of a packed package.
///
/// # Errors
/// Where the archive cannot be read.
pub fn hash_archive(archive: &Path) -> io::Result<String> {
    let mut archive = zip::ZipArchive::new(File::open(archive)?).map_err(io::Error::other)?;
    let mut files = Vec::new();
    for at in 0..archive.len() {
        let entry = archive.by_index(at).map_err(io::Error::other)?;
        if !entry.is_dir() {
            files.push((entry.name().to_owned(), digest(entry)?));
        }
    }
    hash_of(files)
}

/// The `zh:` hash of a packed package.
///
/// # Errors
/// Where the archive cannot be read.
pub fn digest_archive(archive: &Path) -> io::Result<String> {
    Ok(format!("zh:{}", hexadecimal(&digest(File::open(archive)?)?)))
}

fn hash_of(mut files: Vec<(String, [u8; 32])>) -> io::Result<String> {
    files.sort();
    let mut all = Sha256::new();
    for (name, digest) in &files {
        if name.contains('\n') {
            return Err(io::Error::other("the name of a file in it has more than one line"));
        }
        all.update(format!("{}  {name}\n", hexadecimal(digest)));
    }
    Ok(format!("h1:{}", base64(&all.finalize())))
}

/// The files below a directory: name from there, path, and what is known of each.
fn files(directory: &Path) -> io::Result<Vec<(String, PathBuf, fs::Metadata)>> {
    let (mut files, mut open) = (Vec::new(), vec![(String::new(), directory.to_owned(), 0)]);
    while let Some((prefix, directory, depth)) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let metadata = fs::metadata(&path)?;
            if metadata.is_dir() && depth < DEEPEST {
                open.push((format!("{prefix}{name}/"), path, depth + 1));
            } else {
                files.push((format!("{prefix}{name}"), path, metadata));
            }
        }
    }
    files.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(files)
}

fn digest(mut from: impl Read) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// `h1:` hashes that were computed before. A package is known by its path and by each file's size, inode and times of
/// change: hashing some hundred megabytes takes longer than most plans.
#[derive(Debug, Clone)]
pub struct HashCache {
    directory: Option<PathBuf>,
}

impl HashCache {
    /// One in a directory, which is made where it is missing; it may be the one of [`crate::SchemaCache`]. Without a
    /// directory nothing is kept.
    pub fn new(directory: Option<PathBuf>) -> HashCache {
        HashCache { directory }
    }

    /// The `h1:` hash of an unpacked package.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn hash(&self, package: &Path) -> io::Result<String> {
        let Some(kept) = self.file(package)? else { return hash_directory(package) };
        if let Some(hash) = fs::read_to_string(&kept).ok().filter(|hash| hash.starts_with("h1:") && hash.len() == 47) {
            cache::touch(&kept);
            return Ok(hash);
        }
        let hash = hash_directory(package)?;
        // A file that was written meanwhile has another key by now. A run without a cache is slower, and right.
        if self.file(package)?.as_ref() == Some(&kept) {
            let _ = cache::replace(&kept, hash.as_bytes());
        }
        Ok(hash)
    }

    /// Keeps what an unpacked package is known to come to.
    pub fn keep(&self, package: &Path, hash: &str) {
        if let Ok(Some(kept)) = self.file(package) {
            let _ = cache::replace(&kept, hash.as_bytes());
        }
    }

    fn file(&self, package: &Path) -> io::Result<Option<PathBuf>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let package = package.canonicalize()?;
        let mut key = Sha256::new();
        key.update(package.as_os_str().as_encoded_bytes());
        for (name, _, metadata) in files(&package)? {
            let numbers = [metadata.dev(), metadata.ino(), metadata.size()];
            let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
            key.update(format!("\n{name}\n{numbers:?}\n{times:?}"));
        }
        let name: String = key.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(directory.join(format!("{name}.h1"))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod tests {
    use super::*;

    #[test]
    fn packages_come_to_what_terraform_says() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(hash_directory(root.path()).unwrap(), "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        fs::write(root.path().join("terraform-provider-fake_v1.2.5"), "#!/bin/sh\necho fake 1.2.5\n").unwrap();
        fs::write(root.path().join("LICENSE"), "license\n").unwrap();
        // What `terraform init` 1.11 locked of the same files.
        assert_eq!(hash_directory(root.path()).unwrap(), "h1:9J+lXnoaywDpWGc06xACYgyxuNXZMAMlyXBK5VoxH0Y=");
    }

    #[test]
    fn a_hash_is_kept_until_something_changes() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("package/sub");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("a"), "one").unwrap();
        let cache = HashCache::new(Some(root.path().join("cache")));
        let first = cache.hash(&root.path().join("package")).unwrap();
        // Whatever is kept is believed.
        let kept = fs::read_dir(root.path().join("cache")).unwrap().next().unwrap().unwrap().path();
        let other = first.replace(&first[3..7], "AAAA");
        fs::write(&kept, &other).unwrap();
        assert_eq!(cache.hash(&root.path().join("package")).unwrap(), other);
        fs::write(&kept, "torn").unwrap();
        assert_eq!(cache.hash(&root.path().join("package")).unwrap(), first);
        fs::write(package.join("a"), "two").unwrap();
        assert_ne!(cache.hash(&root.path().join("package")).unwrap(), first);
        assert_eq!(HashCache::new(None).hash(&package).unwrap(), hash_directory(&package).unwrap());
    }
}
