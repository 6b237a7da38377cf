//! The one thread of a process that writes. It takes all that waits into one commit: while one commit reaches the
//! disk, the next one gathers, so that a thousand appends at once cost a few commits, and a lonely one waits for none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use andon_ledger::{Entry, Event, RunId, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{StoreError, rows};

/// What the writer is asked to do.
pub(crate) enum Request {
    Append(Append),
    Snapshot(Snapshot),
    Close,
}

/// Who waits for a request. They are told in any case: where nobody answers, that the ledger is closed.
pub(crate) struct Done<T>(Option<Box<Callback<T>>>);

type Callback<T> = dyn FnOnce(Result<T, StoreError>) + Send;

pub(crate) struct Append {
    pub(crate) at: Timestamp,
    pub(crate) run: RunId,
    pub(crate) environment: Arc<str>,
    /// The events, each with its record.
    pub(crate) events: Vec<(Event, String)>,
    pub(crate) done: Done<Vec<Entry>>,
}

pub(crate) struct Snapshot {
    pub(crate) sequence: u64,
    /// The record.
    pub(crate) state: String,
    pub(crate) done: Done<()>,
}

/// As many events as one commit takes: those of its last request may exceed it.
const GROUP: usize = 4096;

pub(crate) fn run(path: PathBuf, mut connection: Connection, requests: &Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let mut appends = Vec::new();
        let mut snapshots = Vec::new();
        let mut open = true;
        let mut events = 0;
        let mut next = Some(first);
        while let Some(request) = next.take() {
            match request {
                Request::Append(append) => {
                    events += append.events.len();
                    appends.push(append);
                }
                Request::Snapshot(snapshot) => snapshots.push(snapshot),
                Request::Close => {
                    open = false;
                    break;
                }
            }
            if events < GROUP {
                next = requests.try_recv().ok();
            }
        }
        if !appends.is_empty() {
            commit(&path, &mut connection, appends);
        }
        for snapshot in snapshots {
            let result = keep(&mut connection, &snapshot).map_err(|error| StoreError::sqlite(&path, &error));
            snapshot.done.tell(result);
        }
        if !open {
            break;
        }
    }
}

/// Stores all of some appends or none, and tells those who wait.
fn commit(path: &Path, connection: &mut Connection, appends: Vec<Append>) {
    match store(connection, &appends) {
        Ok(mut sequence) => {
            for append in appends {
                let entries = append.events.into_iter().map(|(event, _)| {
                    sequence += 1;
                    Entry {
                        sequence,
                        at: append.at,
                        run: append.run.clone(),
                        environment: Arc::clone(&append.environment),
                        event,
                    }
                });
                append.done.tell(Ok(entries.collect()));
            }
        }
        Err(error) => {
            let error = StoreError::sqlite(path, &error);
            for append in appends {
                append.done.tell(Err(error.clone()));
            }
        }
    }
}

/// Stores events in one transaction, and tells the sequence number before theirs. The numbers are given inside the
/// transaction, which holds off other processes: there is no gap and none twice.
fn store(connection: &mut Connection, appends: &[Append]) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = rows::last_sequence(&transaction)?;
    insert(&transaction, before, appends)?;
    transaction.commit()?;
    Ok(before)
}

fn insert(transaction: &Transaction<'_>, before: u64, appends: &[Append]) -> rusqlite::Result<()> {
    let mut statement = transaction
        .prepare("INSERT INTO entries (sequence, at, run, environment, event) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let events = appends.iter().flat_map(|append| append.events.iter().map(move |(_, record)| (append, record)));
    for ((append, record), sequence) in events.zip(before + 1..) {
        statement.execute((sequence as i64, append.at.0, &*append.run.0, &*append.environment, record))?;
    }
    Ok(())
}

/// Replaces the snapshot.
fn keep(connection: &mut Connection, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let checksum = rows::snapshot_checksum(&transaction, snapshot.sequence, &snapshot.state)?;
    transaction.execute(
        "INSERT OR REPLACE INTO snapshot (only, sequence, checksum, state) VALUES (1, ?1, ?2, ?3)",
        (snapshot.sequence as i64, checksum, &snapshot.state),
    )?;
    transaction.commit()
}

impl<T> Done<T> {
    pub(crate) fn new(done: impl FnOnce(Result<T, StoreError>) + Send + 'static) -> Done<T> {
        Done(Some(Box::new(done)))
    }

    fn tell(mut self, result: Result<T, StoreError>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(StoreError::Closed));
        }
    }
}
