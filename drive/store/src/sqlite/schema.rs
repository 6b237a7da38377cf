//! The file: how it is opened, and what tables are in it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::StoreError;
use crate::error::BUSY_SECONDS;

/// The version of the tables, kept in the file's `user_version`.
const VERSION: i64 = 2;

/// Tells a ledger from other SQLite files: `andn`, in the file's `application_id`.
const APPLICATION: i64 = 0x616e_646e;

/// Entries are whole records; the columns beside them are those by which they are looked for.
const TABLES: &str = "
    CREATE TABLE entries (
        sequence    INTEGER PRIMARY KEY,
        at          INTEGER NOT NULL,
        run         TEXT NOT NULL,
        environment TEXT NOT NULL,
        event       ANY NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_run ON entries (run);
    CREATE INDEX entries_by_environment ON entries (environment);
    CREATE TABLE snapshot (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        sequence INTEGER NOT NULL,
        checksum BLOB NOT NULL,
        state    ANY NOT NULL
    ) STRICT;
    CREATE TABLE ledger (
        only    INTEGER PRIMARY KEY CHECK (only = 1),
        id      BLOB NOT NULL,
        key_id  BLOB NOT NULL,
        wrapped BLOB NOT NULL
    ) STRICT;
    CREATE TABLE locks (
        environment TEXT PRIMARY KEY,
        id          TEXT NOT NULL,
        machine     TEXT NOT NULL,
        pid         INTEGER NOT NULL,
        started     INTEGER NOT NULL,
        expires     INTEGER NOT NULL,
        holder      BLOB NOT NULL
    ) STRICT;
    INSERT INTO ledger (only, id, key_id, wrapped) VALUES (1, randomblob(16), x'', x'');
";

/// From version 1, which had neither keys nor locks, and records that could only be text: its entries move over.
const FROM_1: (&str, &str) = (
    "DROP INDEX entries_by_run;
    DROP INDEX entries_by_environment;
    ALTER TABLE entries RENAME TO entries_1;
    DROP TABLE snapshot;",
    "INSERT INTO entries SELECT * FROM entries_1;
    DROP TABLE entries_1;",
);

/// Opens the one connection that writes, making the file where it is missing.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        create(path)?;
    }
    not_empty(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let mut connection = connect(path, flags)?;
        prepare(&mut connection)?;
        Ok(connection)
    };
    let mut connection = open().map_err(|error: rusqlite::Error| StoreError::sqlite(path, &error))?;
    known(path, tables(path, &mut connection)?)?;
    Ok(connection)
}

/// Opens a connection that only reads; the writer has opened the file before.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| StoreError::sqlite(path, &error))
}

/// Opens a connection that only reads a file that nobody can write here. What others have written and not yet brought
/// into the file itself can be read only where the files beside it are there; where nobody has, none of those is needed.
pub(crate) fn open_frozen(path: &Path) -> Result<Connection, StoreError> {
    // SQLite says of all that it cannot open the same.
    fs::File::open(path)
        .map_err(|error| StoreError::Unreadable { path: path.to_owned(), detail: error.to_string() })?;
    not_empty(path)?;
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if fs::metadata(beside(path, "-wal")).is_ok_and(|file| file.len() > 0) {
            return connect(path, flags);
        }
        let mut address = "file:".to_owned();
        for byte in path.as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => address.push(char::from(*byte)),
                other => address.push_str(&format!("%{other:02x}")),
            }
        }
        connect(Path::new(&format!("{address}?immutable=1")), flags | OpenFlags::SQLITE_OPEN_URI)
    };
    let connection = open().map_err(|error| StoreError::sqlite(path, &error))?;
    let version = version(path, &connection)?;
    known(path, version)?;
    match version < VERSION {
        // Reading it takes tables that it does not have.
        true => Err(StoreError::ReadOnly { path: path.to_owned(), detail: "it has an older format".to_owned() }),
        false => Ok(connection),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS))?;
    Ok(connection)
}

/// Makes the file, for its owner's eyes only, as it holds secrets. SQLite gives its other files the same mode.
///
/// It appears with its tables or not at all, so that an empty file is never a new ledger. Where another process is
/// faster, its file is the one.
fn create(path: &Path) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::io(path, &error);
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else {
        return Err(io(std::io::Error::new(ErrorKind::InvalidInput, "the path names no file in a directory")));
    };
    fs::create_dir_all(directory).map_err(io)?;
    // What is left of a file that is gone would be taken for a part of the new one.
    if beside(path, "-wal").exists() && !path.exists() {
        return Err(StoreError::Lost { path: path.to_owned() });
    }
    let new = beside(path, &format!("-new-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let made = (|| {
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(io)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
        let mut connection = connect(&new, flags).map_err(sqlite)?;
        let transaction = connection.transaction().map_err(sqlite)?;
        transaction.execute_batch(TABLES).map_err(sqlite)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(sqlite)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
        connection.close().map_err(|(_, error)| sqlite(error))?;
        match fs::hard_link(&new, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            // Not every file system has links.
            Err(_) => fs::rename(&new, path),
            Ok(()) => Ok(()),
        }
        .and_then(|()| fs::File::open(directory)?.sync_all())
        .map_err(io)
    })();
    let _ = fs::remove_file(&new);
    made
}

/// Tells the files apart that one process makes at the same time.
static NEXT: AtomicU64 = AtomicU64::new(0);

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

/// The file is not opened for that: closing it would drop the locks that SQLite holds on it elsewhere in this process.
fn not_empty(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(file) if file.is_file() && file.len() == 0 => Err(StoreError::Lost { path: path.to_owned() }),
        _ => Ok(()),
    }
}

fn known(path: &Path, found: i64) -> Result<(), StoreError> {
    match found > VERSION {
        true => Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION }),
        false => Ok(()),
    }
}

/// Makes commits durable one by one (`FULL`), and lets readers go on meanwhile (`WAL`).
fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(BUSY_SECONDS);
    // The step from another journal mode to WAL does not wait for other processes by itself.
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0)) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    connection.pragma_update(None, "synchronous", "full")
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Brings the tables of an older file up to date; tells the version of the file.
fn tables(path: &Path, connection: &mut Connection) -> Result<i64, StoreError> {
    let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
    if version(path, connection)? == 1 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        // Another process may have done so since.
        if version(path, &transaction)? == 1 {
            let (before, after) = FROM_1;
            transaction.execute_batch(&[before, TABLES, after].concat()).map_err(sqlite)?;
            transaction.pragma_update(None, "user_version", VERSION).map_err(sqlite)?;
        }
        transaction.commit().map_err(sqlite)?;
    }
    version(path, connection)
}

/// The version of a ledger's tables.
fn version(path: &Path, connection: &Connection) -> Result<i64, StoreError> {
    let pragma = |name: &str| {
        let value: rusqlite::Result<i64> = connection.pragma_query_value(None, name, |row| row.get(0));
        value.map_err(|error| StoreError::sqlite(path, &error))
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if application == APPLICATION {
        return Ok(version);
    }
    let count = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    match count.map_err(|error| StoreError::sqlite(path, &error))? {
        0 => Err(StoreError::Lost { path: path.to_owned() }),
        _ => {
            let detail = "it is the database of another program".to_owned();
            Err(StoreError::NotALedger { path: path.to_owned(), detail })
        }
    }
}
