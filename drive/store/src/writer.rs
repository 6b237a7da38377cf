//! The one thread of a process that writes. It takes all appends that wait into one commit: while one commit reaches
//! the disk, the next one gathers, so that a thousand appends at once cost a few commits, and a lonely one waits for
//! none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};

use andon_ledger::{Entry, Event, RunId, Timestamp};

use crate::StoreError;
use crate::backend::{Row, Rows, Writer, Writes};
use crate::seal::{Belongs, Sealer};

/// What the writer is asked to do.
pub(crate) enum Request {
    Append(Append),
    /// Anything else, in its turn.
    Other(Box<Other>),
    Close,
}

/// Who waits for a request. They are told in any case: where nobody answers, that the ledger is closed.
pub(crate) struct Done<T>(Option<Box<Callback<T>>>);

type Other = dyn FnOnce(&mut dyn Writer, &Keeper) + Send;
type Callback<T> = dyn FnOnce(Result<T, StoreError>) + Send;

pub(crate) struct Append {
    pub(crate) at: Timestamp,
    pub(crate) run: RunId,
    pub(crate) environment: Arc<str>,
    /// The events, each with its record.
    pub(crate) events: Vec<(Event, String)>,
    /// The lock without which nothing is stored.
    pub(crate) fence: Option<Arc<Fence>>,
    pub(crate) done: Done<Vec<Entry>>,
}

/// A lock that someone holds, or once held.
#[derive(Debug)]
pub(crate) struct Fence {
    pub(crate) environment: String,
    pub(crate) id: String,
}

/// What the writer shares with those who read.
pub(crate) struct Keeper {
    /// Where the ledger is, for messages.
    pub(crate) place: String,
    /// Whether only processes of one machine can have it open.
    pub(crate) on_one_machine: bool,
    sealer: RwLock<Arc<Sealer>>,
    /// Commits of appends.
    pub(crate) commits: AtomicU64,
}

/// As many events as one commit takes, and as many bytes: those of its last request may exceed it.
const GROUP: usize = 4096;
const GROUP_BYTES: usize = 32 << 20;

pub(crate) fn run(mut writer: Box<dyn Writer>, keeper: &Keeper, requests: &Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let mut appends = Vec::new();
        let mut other = None;
        let mut open = true;
        let (mut events, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(request) = next.take() {
            match request {
                Request::Append(append) => {
                    events += append.events.len();
                    bytes += append.events.iter().map(|(_, record)| record.len()).sum::<usize>();
                    appends.push(append);
                    if events < GROUP && bytes < GROUP_BYTES {
                        next = requests.try_recv().ok();
                    }
                }
                Request::Other(work) => other = Some(work),
                Request::Close => open = false,
            }
        }
        if !appends.is_empty() {
            commit(&mut *writer, keeper, appends);
        }
        if let Some(work) = other {
            work(&mut *writer, keeper);
        }
        if !open {
            break;
        }
    }
}

/// Stores some appends in one transaction: each of them whole or not at all. Tells those who wait.
fn commit(writer: &mut dyn Writer, keeper: &Keeper, appends: Vec<Append>) {
    let mut group = Group::default();
    let stored = writer.transact(&mut |tables, again| group.store(tables, again, keeper, &appends));
    keeper.commits.fetch_add(1, Ordering::Relaxed);
    let mut refused = group.refused.into_iter();
    let mut sequence = group.before;
    for append in appends {
        match (&stored, refused.next().flatten()) {
            (Err(error), _) => append.done.tell(Err(error.clone())),
            (Ok(()), Some(error)) => append.done.tell(Err(error)),
            (Ok(()), None) => {
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
    }
}

/// What one transaction stores.
#[derive(Default)]
struct Group {
    /// The number of the entry before.
    before: u64,
    rows: Vec<Row>,
    /// Of each append, why it is not stored.
    refused: Vec<Option<StoreError>>,
}

impl Group {
    /// The numbers are given inside the transaction, which holds off other writers: there is no gap and none twice.
    fn store(
        &mut self,
        tables: &mut dyn Writes,
        again: bool,
        keeper: &Keeper,
        appends: &[Append],
    ) -> Result<(), StoreError> {
        if again && self.is_there(tables)? {
            return Ok(());
        }
        let head = tables.head()?;
        let sealer = keeper.sealer();
        if head.key_id != sealer.key_id() {
            return Err(StoreError::KeyChanged { place: keeper.place.clone() });
        }
        let locks = match appends.iter().any(|append| append.fence.is_some()) {
            true => tables.locks()?,
            false => Vec::new(),
        };
        *self = Group { before: head.last, ..Group::default() };
        let mut sequence = head.last;
        for append in appends {
            let lost = append.fence.as_ref().filter(|fence| locks.iter().all(|lock| lock.id != fence.id));
            self.refused.push(lost.map(|fence| StoreError::LockLost { environment: fence.environment.clone() }));
            if lost.is_some() {
                continue;
            }
            for (_, record) in &append.events {
                sequence += 1;
                let mut row = Row {
                    sequence,
                    at: append.at.0,
                    run: append.run.0.to_string(),
                    environment: append.environment.to_string(),
                    record: Vec::new(),
                };
                row.record = sealer.seal(&Belongs::Entry(&row), record.clone().into_bytes())?;
                self.rows.push(row);
            }
        }
        match self.rows.is_empty() {
            true => Ok(()),
            false => tables.insert(&self.rows),
        }
    }

    /// Whether the transaction before was committed after all: then its rows are there, and nobody else's in their
    /// place.
    fn is_there(&self, tables: &mut dyn Writes) -> Result<bool, StoreError> {
        let (Some(first), Ok(count)) = (self.rows.first(), u32::try_from(self.rows.len())) else { return Ok(false) };
        let there =
            tables.rows(&Rows { run: None, environment: None, from: first.sequence, count, backwards: false })?;
        Ok(there == self.rows)
    }
}

impl Keeper {
    pub(crate) fn new(place: String, on_one_machine: bool, sealer: Sealer) -> Keeper {
        Keeper { place, on_one_machine, sealer: RwLock::new(Arc::new(sealer)), commits: AtomicU64::new(0) }
    }

    pub(crate) fn sealer(&self) -> Arc<Sealer> {
        Arc::clone(&self.sealer.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_sealer(&self, sealer: Sealer) {
        *self.sealer.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sealer);
    }
}

impl<T> Done<T> {
    pub(crate) fn new(done: impl FnOnce(Result<T, StoreError>) + Send + 'static) -> Done<T> {
        Done(Some(Box::new(done)))
    }

    pub(crate) fn tell(mut self, result: Result<T, StoreError>) {
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
