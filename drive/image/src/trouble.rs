//! Failures of the file system in plain words.

use std::io;
use std::path::Path;

use andon_schema::Failure;

/// Says which file it was, and what was to be done with it.
pub(crate) trait Trouble<T> {
    fn doing(self, what: &str, path: &Path) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Trouble<T> for Result<T, E> {
    fn doing(self, what: &str, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| {
            let error = error.into();
            let failure = Failure::new(format!("cannot {what} {}", path.display()), format!("{error}."));
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.help(FREE_SPACE),
                io::ErrorKind::PermissionDenied => failure.help("Run as root: images hold files of many owners."),
                _ => failure,
            }
        })
    }
}

pub(crate) const FREE_SPACE: &str =
    "Free some space on the disk, then run the same command again: nothing half made was kept.";
