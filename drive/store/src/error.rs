use std::path::{Path, PathBuf};

use andon_ledger::codec::CodecError;
use rusqlite::ErrorCode;

use crate::KeyError;

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
    /// There is nothing in the file, or it is gone while files that belong to it are left.
    #[error(
        "the ledger `{}` has lost all that it held: a copy of it was cut short, or something else emptied or removed it. \
         Restore it from a copy, with the files beside it that begin with its name. To begin anew, with nothing known of \
         what there is, remove them all", .path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
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
    /// The file may not be read.
    #[error(
        "the ledger `{}` cannot be read: {detail}. Have its owner let you read both the file and its directory, \
         or run the command as its owner", .path.display()
    )]
    Unreadable {
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
    /// The lock was taken by force, or after its lease was over: someone else may be at work in the environment.
    #[error(
        "the lock of environment `{environment}` was lost, and nothing more is recorded: it was taken by force, or this \
         process did not renew it in time. What was begun is looked at by the next run"
    )]
    LockLost {
        /// The environment.
        environment: String,
    },
    /// It is sealed, and no key is given.
    #[error("the ledger `{place}` is encrypted: give its key in ANDON_LEDGER_KEY or ANDON_LEDGER_KEY_FILE")]
    NeedsKey {
        /// Where it is.
        place: String,
    },
    /// It is sealed with another key.
    #[error(
        "the ledger `{place}` is encrypted with another key than the one in ANDON_LEDGER_KEY or ANDON_LEDGER_KEY_FILE"
    )]
    WrongKey {
        /// Where it is.
        place: String,
    },
    /// It was given another key while it was open.
    #[error(
        "the ledger `{place}` was given another key meanwhile, and nothing was recorded. Run it again with that key"
    )]
    KeyChanged {
        /// Where it is.
        place: String,
    },
    /// One entry was not written with the ledger's key, or was changed or moved since.
    #[error(
        "entry {sequence} of the ledger `{place}` is not what was recorded: it was changed, moved or not sealed by Andon"
    )]
    Foreign {
        /// Where it is.
        place: String,
        /// The entry's place.
        sequence: u64,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It cannot be sealed now.
    #[error("the ledger is to be encrypted, which has to wait: {held}")]
    InUse {
        /// Who holds a lock of it.
        held: String,
    },
    /// The system gave no thread.
    #[error("the ledger cannot be used: {detail}")]
    Thread {
        /// Why.
        detail: String,
    },
    /// The database's address cannot be read.
    #[error("the address of the ledger is wrong: {detail}. It looks like `postgres://user@host/database`")]
    Address {
        /// What is wrong.
        detail: String,
    },
    /// The database cannot be reached. Nothing of what was to be recorded is there.
    #[error("the ledger `{place}` cannot be reached: {detail}. Nothing was recorded")]
    Unreachable {
        /// Where it is.
        place: String,
        /// Why.
        detail: String,
    },
    /// The connection was lost at the one moment at which it cannot be known what came of it.
    #[error(
        "the connection to the ledger `{place}` was lost while it recorded, and cannot be made again: {detail}. Whether \
         the last entries are there is not known; the next run sees it"
    )]
    Unknown {
        /// Where it is.
        place: String,
        /// Why.
        detail: String,
    },
    /// The database refused.
    #[error("the ledger `{place}` refuses: {detail}")]
    Refused {
        /// Where it is.
        place: String,
        /// What it said.
        detail: String,
    },
    /// The database has a ledger of this name from another directory, and nothing says that it is the same project.
    #[error(
        "the ledger `{place}` is that of another directory, `{origin}`. If this is the same project, say so: with \
         `project \"{project}\" {{}}` in andon.hcl. Else give this one a name of its own there, or with `?project=NAME` \
         in the address"
    )]
    OtherProject {
        /// Where it is.
        place: String,
        /// The project's name.
        project: String,
        /// The directory that made it.
        origin: String,
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
