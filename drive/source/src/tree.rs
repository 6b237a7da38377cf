//! Trees of files: taking a copy, finding links that lead out, and the digests of what is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::digest;
use crate::error::FetchError;

/// The most files that a package may have.
pub(crate) const MOST_FILES: usize = 100_000;

/// A file of a tree: its path from the root, and the SHA-256 of its content, or of where a link leads.
pub type TreeFile = (String, [u8; 32]);

/// Every file below a directory, in order of path.
///
/// # Errors
/// Where a file cannot be read.
pub fn tree(root: &Path) -> Result<Vec<TreeFile>, FetchError> {
    let mut found = BTreeMap::new();
    walk(root, &mut |path, relative, kind| {
        let name = relative.to_string_lossy().into_owned();
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(FetchError::file(path))?;
            found.insert(name, Sha256::digest(target.as_os_str().as_encoded_bytes()).to_vec());
        } else if kind.is_file() {
            found.insert(name, digest::of::<Sha256>(path)?);
        }
        Ok(())
    })?;
    let whole = |(path, digest): (String, Vec<u8>)| Some((path, digest.try_into().ok()?));
    Ok(found.into_iter().filter_map(whole).collect())
}

/// Copies what is below a directory, without version control's own files and without links that lead out of it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), FetchError> {
    fs::create_dir_all(to).map_err(FetchError::file(to))?;
    walk(from, &mut |path, relative, kind| {
        let target = to.join(relative);
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(FetchError::file(&target))?;
        } else if kind.is_symlink() {
            let link = fs::read_link(path).map_err(FetchError::file(path))?;
            if stays_inside(relative, &link) {
                std::os::unix::fs::symlink(&link, &target).map_err(FetchError::file(&target))?;
            }
        } else if kind.is_file() {
            fs::copy(path, &target).map_err(FetchError::file(path))?;
        }
        Ok(())
    })
}

/// Removes version control's own files, and links that lead out of the tree.
pub(crate) fn tidy(root: &Path) -> Result<(), FetchError> {
    let mut out = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let place = root.join(&relative);
        for entry in fs::read_dir(&place).map_err(FetchError::file(&place))? {
            let entry = entry.map_err(FetchError::file(&place))?;
            let (path, name) = (relative.join(entry.file_name()), entry.file_name());
            let kind = entry.file_type().map_err(FetchError::file(&place))?;
            let link = kind.is_symlink().then(|| fs::read_link(entry.path()).unwrap_or_default());
            if name.eq_ignore_ascii_case(".git") || link.is_some_and(|link| !stays_inside(&path, &link)) {
                out.push(entry.path());
            } else if kind.is_dir() {
                open.push(path);
            }
        }
    }
    for path in out {
        let is_directory = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(FetchError::file(&path))?;
    }
    Ok(())
}

/// Whether a link at `at` (a path from the root of a tree) leads to a place in that tree.
pub(crate) fn stays_inside(at: &Path, target: &Path) -> bool {
    let mut depth = at.parent().map_or(0, |parent| parent.components().count());
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

/// Visits everything below a directory, directories before what is in them, without following links.
fn walk(
    root: &Path,
    visit: &mut dyn FnMut(&Path, &Path, fs::FileType) -> Result<(), FetchError>,
) -> Result<(), FetchError> {
    let mut open = vec![PathBuf::new()];
    let mut count = 0;
    while let Some(relative) = open.pop() {
        let place = root.join(&relative);
        for entry in fs::read_dir(&place).map_err(FetchError::file(&place))? {
            let entry = entry.map_err(FetchError::file(&place))?;
            if entry.file_name() == ".git" || entry.file_name() == ".andon" || entry.file_name() == ".terraform" {
                continue;
            }
            count += 1;
            if count > MOST_FILES {
                return Err(FetchError::Archive(format!("it has more than {MOST_FILES} files")));
            }
            let kind = entry.file_type().map_err(FetchError::file(&place))?;
            let relative = relative.join(entry.file_name());
            visit(&entry.path(), &relative, kind)?;
            if kind.is_dir() {
                open.push(relative);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_or_not() {
        for (at, target, expected) in [
            ("a", "b", true),
            ("a/b", "../c", true),
            ("a/b", "../../c", false),
            ("a", "/etc/passwd", false),
            ("a/b/c", "../../d/../e", true),
            ("a", "x/../../y", false),
        ] {
            assert_eq!(stays_inside(Path::new(at), Path::new(target)), expected, "{at} -> {target}");
        }
    }
}
