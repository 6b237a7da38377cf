//! The storage in one SQLite file.

mod schema;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, TransactionBehavior};

use crate::StoreError;
use crate::backend::{Head, LockRow, Reader, Reads, Row, Rows, SnapshotRow, Work, Writer, Writes};

/// One connection to the file.
pub(crate) struct Sqlite {
    path: PathBuf,
    connection: Connection,
}

/// The tables, as one connection sees them; inside a transaction or not.
struct Tables<'a> {
    path: &'a Path,
    connection: &'a Connection,
}

impl Sqlite {
    /// Opens the file to write it, and makes it where there is none.
    pub(crate) fn writer(path: &Path) -> Result<Sqlite, StoreError> {
        Ok(Sqlite { path: path.to_owned(), connection: schema::open_writer(path)? })
    }

    /// Opens the file to read it; a writer has opened it before.
    pub(crate) fn reader(path: &Path) -> Result<Sqlite, StoreError> {
        Ok(Sqlite { path: path.to_owned(), connection: schema::open_reader(path)? })
    }
}

/// What stands for the writer of a file that cannot be written.
pub(crate) struct Frozen(StoreError);

impl Sqlite {
    /// Opens the file where it can only be read, as `why` says: one to read, and one that refuses to write.
    pub(crate) fn frozen(path: &Path, why: StoreError) -> Result<(Sqlite, Frozen), StoreError> {
        Ok((Sqlite { path: path.to_owned(), connection: schema::open_frozen(path)? }, Frozen(why)))
    }
}

impl Writer for Frozen {
    fn transact(&mut self, _: &mut Work<'_>) -> Result<(), StoreError> {
        Err(self.0.clone())
    }

    fn scrub(&mut self) -> Result<(), StoreError> {
        Err(self.0.clone())
    }
}

impl Reader for Sqlite {
    fn read(&mut self, work: &mut dyn FnMut(&mut dyn Reads) -> Result<(), StoreError>) -> Result<(), StoreError> {
        work(&mut Tables { path: &self.path, connection: &self.connection })
    }
}

impl Writer for Sqlite {
    fn transact(&mut self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let Sqlite { path, connection } = self;
        let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        work(&mut Tables { path, connection: &transaction }, false)?;
        transaction.commit().map_err(sqlite)
    }

    fn scrub(&mut self) -> Result<(), StoreError> {
        let work = "VACUUM; PRAGMA wal_checkpoint(TRUNCATE);";
        self.connection.execute_batch(work).map_err(|error| StoreError::sqlite(&self.path, &error))
    }
}

impl Tables<'_> {
    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::sqlite(self.path, error)
    }

    fn execute(&self, text: &str, parameters: &[&dyn ToSql]) -> Result<(), StoreError> {
        let execute = || self.connection.prepare(text)?.execute(parameters);
        execute().map(drop).map_err(|error| self.failed(&error))
    }
}

impl Reads for Tables<'_> {
    fn head(&mut self) -> Result<Head, StoreError> {
        let read = || -> rusqlite::Result<Head> {
            let last: Option<i64> =
                self.connection.prepare("SELECT max(sequence) FROM entries")?.query_row([], |row| row.get(0))?;
            self.connection.prepare("SELECT id, key_id, wrapped FROM ledger")?.query_row([], |row| {
                Ok(Head { id: row.get(0)?, last: last.unwrap_or(0) as u64, key_id: row.get(1)?, wrapped: row.get(2)? })
            })
        };
        read().map_err(|error| self.failed(&error))
    }

    fn rows(&mut self, which: &Rows<'_>) -> Result<Vec<Row>, StoreError> {
        let from = i64::try_from(which.from).unwrap_or(i64::MAX);
        let (filter, name) = match (which.run, which.environment) {
            (Some(run), _) => ("AND run = ?3", Some(run)),
            (None, Some(environment)) => ("AND environment = ?3", Some(environment)),
            (None, None) => ("", None),
        };
        let order = if which.backwards { "DESC" } else { "ASC" };
        let query = format!(
            "SELECT sequence, at, run, environment, event FROM entries WHERE sequence >= ?1 {filter} \
             ORDER BY sequence {order} LIMIT ?2"
        );
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut statement = self.connection.prepare(&query)?;
            let mut rows = match name {
                Some(name) => statement.query((from, which.count, name))?,
                None => statement.query((from, which.count))?,
            };
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(Row {
                    sequence: row.get::<_, i64>(0)? as u64,
                    at: row.get(1)?,
                    run: row.get(2)?,
                    environment: row.get(3)?,
                    record: bytes(row.get_ref(4)?),
                });
            }
            Ok(found)
        };
        read().map_err(|error| self.failed(&error))
    }

    fn snapshot(&mut self) -> Result<Option<SnapshotRow>, StoreError> {
        let read = || {
            self.connection
                .query_row("SELECT sequence, checksum, state FROM snapshot", [], |row| {
                    Ok(SnapshotRow {
                        sequence: row.get::<_, i64>(0)? as u64,
                        checksum: row.get(1)?,
                        state: bytes(row.get_ref(2)?),
                    })
                })
                .optional()
        };
        read().map_err(|error| self.failed(&error))
    }

    fn locks(&mut self) -> Result<Vec<LockRow>, StoreError> {
        let read = || -> rusqlite::Result<Vec<LockRow>> {
            let mut statement =
                self.connection.prepare("SELECT environment, id, machine, pid, started, expires, holder FROM locks")?;
            let rows = statement.query_map([], |row| {
                Ok(LockRow {
                    environment: row.get(0)?,
                    id: row.get(1)?,
                    machine: row.get(2)?,
                    pid: row.get(3)?,
                    started: row.get(4)?,
                    expires: row.get(5)?,
                    holder: row.get(6)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| self.failed(&error))
    }

    fn now(&mut self) -> Result<i64, StoreError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn size(&mut self) -> Result<u64, StoreError> {
        let length = |suffix: &str| {
            let mut path = self.path.to_owned().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map(|file| file.len())
        };
        let file = length("").map_err(|error| StoreError::io(self.path, &error))?;
        Ok(file + length("-wal").unwrap_or(0))
    }
}

impl Writes for Tables<'_> {
    fn insert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let insert = || -> rusqlite::Result<()> {
            let mut statement = self
                .connection
                .prepare("INSERT INTO entries (sequence, at, run, environment, event) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for row in rows {
                statement.execute((row.sequence as i64, row.at, &row.run, &row.environment, readable(&row.record)))?;
            }
            Ok(())
        };
        insert().map_err(|error| self.failed(&error))
    }

    fn replace_records(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let replace = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare("UPDATE entries SET event = ?2 WHERE sequence = ?1")?;
            for row in rows {
                statement.execute((row.sequence as i64, readable(&row.record)))?;
            }
            Ok(())
        };
        replace().map_err(|error| self.failed(&error))
    }

    fn put_snapshot(&mut self, snapshot: &SnapshotRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO snapshot (only, sequence, checksum, state) VALUES (1, ?1, ?2, ?3)",
            &[&(snapshot.sequence as i64), &snapshot.checksum, &readable(&snapshot.state)],
        )
    }

    fn remove_snapshot(&mut self) -> Result<(), StoreError> {
        self.execute("DELETE FROM snapshot", &[])
    }

    fn put_lock(&mut self, lock: &LockRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO locks (environment, id, machine, pid, started, expires, holder) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &[&lock.environment, &lock.id, &lock.machine, &lock.pid, &lock.started, &lock.expires, &lock.holder],
        )
    }

    fn remove_lock(&mut self, id: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM locks WHERE id = ?1", &[&id])
    }

    fn put_key(&mut self, key_id: &[u8], wrapped: &[u8]) -> Result<(), StoreError> {
        self.execute("UPDATE ledger SET key_id = ?1, wrapped = ?2", &[&key_id, &wrapped])
    }
}

/// A record as a column holds it: a clear one as text, so that any SQLite tool shows it.
fn readable(record: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match record.first() {
        Some(b'{') => ValueRef::Text(record),
        _ => ValueRef::Blob(record),
    })
}

fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        // What is neither is no record, and is found to be none.
        _ => Vec::new(),
    }
}
