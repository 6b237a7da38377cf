use std::path::{Path, PathBuf};

use andon_ledger::codec::CodecError;
use rusqlite::ErrorCode;

/// Why the ledger could not be opened, read or written. Cheap to clone: all the appends of one commit get the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file is something else.
    #[error("`{}` is not a ledger: {detail}. Move it away, or name another file", .path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What it is.
        detail: String,
    },
    /// A later Andon made the file.
    #[error(
        "the ledger `{}` has format {found}, and this version of Andon knows formats up to {known}: use the version \
         of Andon that wrote it, or a later one", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The last format that is known.
        known: i64,
    },
    /// The file is damaged.
    #[error("the ledger `{}` is damaged: {detail}. Restore it from a copy", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// One record cannot be read.
    #[error("entry {sequence} of the ledger cannot be read")]
    Record {
        /// The entry's place.
        sequence: u64,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// An event cannot be written.
    #[error("an event cannot be stored")]
    Event(#[source] CodecError),
    /// The file or its directory cannot be written.
    #[error("the ledger `{}` cannot be written: {detail}. Andon needs to write both the file and its directory", .path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The disk is full. Nothing of what was to be appended is there.
    #[error("the disk that holds the ledger `{}` is full. Make room, and try again", .path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process keeps writing.
    #[error("another process has been writing to the ledger `{}` for more than {seconds} seconds. Try again", .path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The system refused.
    #[error("the ledger `{}` cannot be used: {detail}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        detail: String,
    },
    /// The ledger was closed before.
    #[error("the ledger is closed")]
    Closed,
}

/// How long one process waits for another one's commit.
pub(crate) const BUSY_SECONDS: u64 = 30;

impl StoreError {
    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> StoreError {
        let path = path.to_owned();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StoreError::NotALedger { path, detail },
            Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { path, detail },
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if is_full(&path) => StoreError::Full { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                StoreError::ReadOnly { path, detail }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Busy { path, seconds: BUSY_SECONDS }
            }
            _ => StoreError::Io { path, detail },
        }
    }

    pub(crate) fn io(path: &Path, error: &std::io::Error) -> StoreError {
        let path = path.to_owned();
        let detail = error.to_string();
        match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full { path },
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::ReadOnly { path, detail }
            }
            _ => StoreError::Io { path, detail },
        }
    }
}

/// Whether the disk below a file has no room for even a few pages: SQLite says of some files only that writing them
/// failed.
fn is_full(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(path);
    nix::sys::statvfs::statvfs(directory)
        .is_ok_and(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()) < 64 << 10)
}
