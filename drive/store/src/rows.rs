//! Rows of the tables, read.

use std::path::Path;
use std::sync::Arc;

use andon_ledger::codec::{decode_event, decode_state};
use andon_ledger::{Entry, RunId, State, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use sha2::{Digest, Sha256};

use crate::StoreError;

/// The number of the last entry; 0 where there is none.
pub(crate) fn last_sequence(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = connection.prepare("SELECT max(sequence) FROM entries")?.query_row([], |row| row.get(0))?;
    Ok(last.unwrap_or(0) as u64)
}

/// Entries, by the rest of a query after `SELECT … FROM entries`.
pub(crate) fn entries(
    path: &Path,
    connection: &Connection,
    rest: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<Entry>, StoreError> {
    let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
    let query = format!("SELECT sequence, at, run, environment, event FROM entries {rest}");
    let mut statement = connection.prepare(&query).map_err(sqlite)?;
    let mut rows = statement.query(parameters).map_err(sqlite)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let (entry, record) = read(row).map_err(sqlite)?;
        let event = decode_event(&record).map_err(|source| StoreError::Record { sequence: entry.sequence, source })?;
        entries.push(Entry {
            sequence: entry.sequence,
            at: entry.at,
            run: entry.run,
            environment: entry.environment,
            event,
        });
    }
    Ok(entries)
}

struct Columns {
    sequence: u64,
    at: Timestamp,
    run: RunId,
    environment: Arc<str>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Columns, String)> {
    let columns = Columns {
        sequence: row.get::<_, i64>(0)? as u64,
        at: Timestamp(row.get(1)?),
        run: RunId(row.get::<_, String>(2)?.into()),
        environment: row.get::<_, String>(3)?.into(),
    };
    Ok((columns, row.get(4)?))
}

/// The snapshot, if there is a sound one of these entries.
pub(crate) fn snapshot(connection: &Connection) -> Option<State> {
    let (sequence, checksum, text): (i64, Vec<u8>, String) = connection
        .query_row("SELECT sequence, checksum, state FROM snapshot", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .ok()?;
    let sequence = sequence as u64;
    let expected = snapshot_checksum(connection, sequence, &text).ok()?;
    let sound = expected == checksum && sequence <= last_sequence(connection).ok()?;
    decode_state(&text).ok().filter(|state| sound && state.sequence == sequence)
}

/// The checksum of a snapshot covers the entry that it ends with: one of other entries is never taken for one of these.
pub(crate) fn snapshot_checksum(connection: &Connection, sequence: u64, state: &str) -> rusqlite::Result<Vec<u8>> {
    let entry: Option<(i64, String, String)> = connection
        .query_row("SELECT at, run, event FROM entries WHERE sequence = ?1", [sequence as i64], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let mut hash = Sha256::new();
    hash.update(sequence.to_be_bytes());
    if let Some((at, run, event)) = entry {
        hash.update(at.to_be_bytes());
        for text in [run, event] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
    }
    hash.update(state);
    Ok(hash.finalize().to_vec())
}
