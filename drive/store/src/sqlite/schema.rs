//! The file: how it is opened, and what tables are in it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
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

/// Opens the one connection that writes, making the file and its tables where they are missing.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    create(path).map_err(|error| StoreError::io(path, &error))?;
    let sqlite = |error: &rusqlite::Error| StoreError::sqlite(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| sqlite(&error))?;
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS)).map_err(|error| sqlite(&error))?;
    prepare(&mut connection).map_err(|error| sqlite(&error))?;
    let version = tables(path, &mut connection)?;
    if version > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    Ok(connection)
}

/// Opens a connection that only reads; the writer has opened the file before.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(BUSY_SECONDS))?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| StoreError::sqlite(path, &error))
}

/// Makes the file, for its owner's eyes only, as it holds secrets. SQLite gives its other files the same mode.
///
/// An existing file is never opened here: closing it would drop the locks that SQLite holds on it elsewhere in this
/// process.
fn create(path: &Path) -> std::io::Result<()> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "the path names no file in a directory"));
    };
    fs::create_dir_all(directory)?;
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => fs::File::open(directory)?.sync_all(),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
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

/// Makes the tables of a new file; tells the version of the file.
fn tables(path: &Path, connection: &mut Connection) -> Result<i64, StoreError> {
    let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
    let pragma = |connection: &Connection, name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
    let version: i64 = pragma(connection, "user_version").map_err(sqlite)?;
    if version == 0 || version == 1 && pragma(connection, "application_id").map_err(sqlite)? == APPLICATION {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        // Another process may have made the tables since.
        match pragma(&transaction, "user_version").map_err(sqlite)? {
            0 => {
                let others: i64 = transaction
                    .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
                    .map_err(sqlite)?;
                if others > 0 {
                    return Err(StoreError::NotALedger {
                        path: path.to_owned(),
                        detail: "it is the database of another program".to_owned(),
                    });
                }
                transaction.execute_batch(TABLES).map_err(sqlite)?;
                transaction.pragma_update(None, "application_id", APPLICATION).map_err(sqlite)?;
            }
            1 => {
                let (before, after) = FROM_1;
                transaction.execute_batch(&[before, TABLES, after].concat()).map_err(sqlite)?;
            }
            _ => {}
        }
        if pragma(&transaction, "user_version").map_err(sqlite)? < VERSION {
            transaction.pragma_update(None, "user_version", VERSION).map_err(sqlite)?;
        }
        transaction.commit().map_err(sqlite)?;
    }
    if pragma(connection, "application_id").map_err(sqlite)? != APPLICATION {
        let detail = "it is the database of another program".to_owned();
        return Err(StoreError::NotALedger { path: path.to_owned(), detail });
    }
    pragma(connection, "user_version").map_err(sqlite)
}
