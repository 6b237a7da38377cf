//! Files that only this user reads, and that are gone with their directory.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

/// A directory of files for one connection.
pub(crate) struct Secrets(TempDir);

impl Secrets {
    pub(crate) fn new() -> io::Result<Secrets> {
        // tempfile makes directories that only their owner enters.
        tempfile::Builder::new().prefix("andon-").tempdir().map(Secrets)
    }

    /// Writes a file; its path.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> io::Result<PathBuf> {
        let path = self.path(name);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
