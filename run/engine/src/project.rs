//! Reading a project's files, once, before any decision.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use andon_lang::FileSet;

/// A larger file is left out: it is no definition, and a template of that size is a mistake.
const LARGEST_FILE_BYTES: u64 = 16 << 20;

/// Directories that hold no definitions. Every name that begins with a dot is left out, too.
const LEFT_OUT: [&str; 2] = ["node_modules", "target"];

/// Why a project could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read: {source}")]
pub struct ReadError {
    /// The file or directory.
    pub path: String,
    /// Why.
    pub source: io::Error,
}

/// Whether a directory holds a project: an `andon.hcl` or a `*.tf` file, or `stacks/`.
pub fn is_project(directory: &Path) -> bool {
    let has_stack_files = || {
        fs::read_dir(directory).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.ends_with(".tf") || name.ends_with(".tf.json")
            })
        })
    };
    directory.join("andon.hcl").is_file() || directory.join("stacks").is_dir() || has_stack_files()
}

/// Reads every file below a project's directory that a definition could be in or read: links are followed to files but
/// not to directories; names that begin with a dot, `node_modules`, `target` and files over 16 MiB are left out.
pub fn read_files(directory: &Path) -> Result<FileSet, ReadError> {
    let mut files = FileSet::new();
    let mut open: Vec<(PathBuf, String)> = vec![(directory.to_owned(), String::new())];
    while let Some((path, relative)) = open.pop() {
        let failed = |source| ReadError { path: path.display().to_string(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') || LEFT_OUT.contains(&&*name) {
                continue;
            }
            let relative = if relative.is_empty() { name } else { format!("{relative}/{name}") };
            let path = entry.path();
            let failed = |source| ReadError { path: path.display().to_string(), source };
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                open.push((path, relative));
                continue;
            }
            // A dangling link is not a file of the project.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_file() && metadata.len() <= LARGEST_FILE_BYTES {
                let content: Arc<[u8]> = fs::read(&path).map_err(failed)?.into();
                files.insert(relative, content);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_foreign_directories_are_left_out() {
        let directory = std::env::temp_dir().join(format!("andon-project-{}", std::process::id()));
        for path in ["a.tf", "stacks/web/main.tf", ".andon/ledger.db", "roles/.hidden", "node_modules/x/y.tf"] {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let files = read_files(&directory).unwrap();
        let paths: Vec<_> = files.paths().map(|path| path.to_string()).collect();
        assert_eq!(paths, ["a.tf", "stacks/web/main.tf"]);
        assert!(is_project(&directory) && !is_project(&directory.join("roles")));
        fs::remove_dir_all(&directory).unwrap();
        assert!(read_files(&directory).is_err());
    }
}
