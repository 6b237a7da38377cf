//! The handle on a ledger, whatever it is stored in.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use andon_ledger::codec::{CodecError, decode_event, decode_snapshot, encode_event, encode_snapshot};
use andon_ledger::{Entry, Event, RunId, State, Timestamp};
use sha2::{Digest, Sha256};

use crate::backend::{Head, Reader, Reads, Row, Rows, SnapshotRow, Writer};
use crate::postgres::{Database, Postgres};
use crate::seal::{Belongs, Sealer};
use crate::sqlite::Sqlite;
use crate::writer::{self, Append, Done, Fence, Keeper, Request};
use crate::{Key, LockError, StoreError};

/// Where a ledger is stored.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a file of SQLite.
    File(PathBuf),
    /// In a PostgreSQL database.
    Database(Database),
}

/// A handle on a ledger; clones share it. Other processes may append to the same one: the numbers of their entries lie
/// between those of one's own.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    fence: Option<Arc<Fence>>,
}

/// Events on their way to the disk.
#[must_use = "the events are not durable before `wait` says so"]
pub struct Appending {
    answer: mpsc::Receiver<Result<Vec<Entry>, StoreError>>,
}

/// Which entries are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those of one run.
    Run(RunId),
    /// Those about one environment.
    Environment(Arc<str>),
}

/// Entries in their order, read a page at a time: the memory that they take does not grow with the ledger. It ends
/// with the last entry that there is when it gets there, or after an error.
pub struct Entries {
    ledger: Ledger,
    which: Which,
    next: u64,
    page: VecDeque<Entry>,
    ended: bool,
}

/// New entries, as they come.
pub struct Follow {
    ledger: Ledger,
    after: u64,
}

struct Shared {
    keeper: Arc<Keeper>,
    requests: Sender<Request>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// `None` while the last handle goes.
    reader: Mutex<Option<Box<dyn Reader>>>,
}

/// Entries in one page.
const PAGE: u32 = 1000;

impl Ledger {
    /// Opens the ledger in a file, in clear; makes the file, and its directory, where there is none.
    ///
    /// Every process that opens it so must be able to write it.
    pub fn open(path: &Path) -> Result<Ledger, StoreError> {
        Ledger::open_at(&Place::File(path.to_owned()), None)
    }

    /// Opens a ledger, and makes it where there is none. With a key, what it holds is sealed: one that was clear until
    /// now is sealed at once, unless someone holds a lock of it.
    pub fn open_at(place: &Place, key: Option<&Key>) -> Result<Ledger, StoreError> {
        Ledger::at(place, key, true)?.ok_or(StoreError::Closed)
    }

    /// As [`Ledger::open_at`], where there is one; makes none. One that cannot be written here can be read all the same,
    /// and says so to whoever appends to it.
    pub fn find(place: &Place, key: Option<&Key>) -> Result<Option<Ledger>, StoreError> {
        Ledger::at(place, key, false)
    }

    fn at(place: &Place, key: Option<&Key>, make: bool) -> Result<Option<Ledger>, StoreError> {
        match place {
            Place::File(path) if !make && !path.exists() => Ok(None),
            Place::File(path) => {
                let (reader, writer): (_, Box<dyn Writer>) = match Sqlite::writer(path) {
                    Ok(writer) => (Sqlite::reader(path)?, Box::new(writer)),
                    // Whoever only looks can do without writing.
                    Err(why @ StoreError::ReadOnly { .. }) if !make => {
                        let (reader, writer) = Sqlite::frozen(path, why)?;
                        (reader, Box::new(writer))
                    }
                    Err(error) => return Err(error),
                };
                Ledger::begin(path.display().to_string(), true, writer, Box::new(reader), key).map(Some)
            }
            Place::Database(database) => {
                let Some((reader, writer)) = Postgres::open(database, make)? else { return Ok(None) };
                Ledger::begin(database.to_string(), false, Box::new(writer), Box::new(reader), key).map(Some)
            }
        }
    }

    fn begin(
        place: String,
        on_one_machine: bool,
        mut writer: Box<dyn Writer>,
        mut reader: Box<dyn Reader>,
        key: Option<&Key>,
    ) -> Result<Ledger, StoreError> {
        let mut sealer = Sealer::new(&head(&mut *reader)?, key, &place)?;
        if key.is_some() && sealer.key_id().is_empty() {
            sealer = match crate::rekey::rekey(&mut *writer, &sealer, key, &place, on_one_machine) {
                // Another process did so at the same time.
                Err(LockError::Store(StoreError::KeyChanged { .. })) => Sealer::new(&head(&mut *reader)?, key, &place)?,
                Err(LockError::Held(held)) => return Err(StoreError::InUse { held: held.to_string() }),
                Err(LockError::Store(error)) => return Err(error),
                Err(error) => return Err(StoreError::InUse { held: error.to_string() }),
                Ok(sealer) => sealer,
            };
        }
        let keeper = Arc::new(Keeper::new(place, on_one_machine, sealer));
        let (requests, inbox) = mpsc::channel();
        let kept = Arc::clone(&keeper);
        let writer = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer::run(writer, &kept, &inbox))
            .map_err(|error| StoreError::Thread { detail: error.to_string() })?;
        let shared = Shared { keeper, requests, writer: Mutex::new(Some(writer)), reader: Mutex::new(Some(reader)) };
        Ok(Ledger { shared: Arc::new(shared), fence: None })
    }

    /// Appends events, all or none, and returns their entries once they are durable. Callers on several threads share
    /// commits.
    pub fn append(
        &self,
        at: Timestamp,
        run: &RunId,
        environment: &str,
        events: Vec<Event>,
    ) -> Result<Vec<Entry>, StoreError> {
        self.append_async(at, run, environment, events).wait()
    }

    /// As [`Ledger::append`], without waiting: whoever has several things to append hands them all in and then waits,
    /// and they share a commit. They are stored in the order in which they were handed in.
    pub fn append_async(&self, at: Timestamp, run: &RunId, environment: &str, events: Vec<Event>) -> Appending {
        let (sender, answer) = mpsc::channel();
        self.append_then(at, run, environment, events, move |result| {
            // Whoever no longer waits does not want to know.
            let _ = sender.send(result);
        });
        Appending { answer }
    }

    /// As [`Ledger::append_async`], for those who cannot block: `done` is called in any case, mostly on the writer's
    /// thread, which does nothing else meanwhile.
    pub fn append_then(
        &self,
        at: Timestamp,
        run: &RunId,
        environment: &str,
        events: Vec<Event>,
        done: impl FnOnce(Result<Vec<Entry>, StoreError>) + Send + 'static,
    ) {
        let encode = |event: Event| encode_event(&event).map(|record| (event, record));
        match events.into_iter().map(encode).collect() {
            Ok(events) => self.request(Request::Append(Append {
                at,
                run: run.clone(),
                environment: environment.into(),
                events,
                fence: self.fence.clone(),
                done: Done::new(done),
            })),
            Err(error) => done(Err(StoreError::Event(error))),
        }
    }

    /// The number of the last entry; 0 where there is none.
    pub fn last_sequence(&self) -> Result<u64, StoreError> {
        self.read(|tables| tables.head().map(|head| head.last))
    }

    /// All entries from a number on.
    pub fn read_from(&self, sequence: u64) -> Result<Vec<Entry>, StoreError> {
        self.stream(Which::All, sequence).collect()
    }

    /// Some of the entries from a number on, a page at a time.
    pub fn stream(&self, which: Which, from: u64) -> Entries {
        Entries { ledger: self.clone(), which, next: from, page: VecDeque::new(), ended: false }
    }

    /// The last so many of some of the entries, in their order.
    pub fn last(&self, which: &Which, count: u32) -> Result<Vec<Entry>, StoreError> {
        let mut entries = self.select(which, 0, count, true)?;
        entries.reverse();
        Ok(entries)
    }

    /// The new entries after a number, as they come.
    pub fn follow(&self, after: u64) -> Follow {
        Follow { ledger: self.clone(), after }
    }

    /// The state as it was written last, with the number of the last entry in it. `None` where there is none, or none
    /// that is sound: then the entries tell.
    pub fn snapshot(&self) -> Option<(u64, State)> {
        let (row, expected, last) = self
            .read(|tables| {
                let Some(row) = tables.snapshot()? else { return Ok(None) };
                let expected = checksum(tables, row.sequence, &row.state)?;
                Ok(Some((row, expected, tables.head()?.last)))
            })
            .ok()??;
        let sound = expected == row.checksum && row.sequence <= last;
        let text = self.keeper().sealer().open(&Belongs::Snapshot(row.sequence), row.state).ok()?;
        let state = decode_snapshot(&text).ok()?;
        (sound && state.sequence == row.sequence).then_some((row.sequence, state))
    }

    /// Writes a state down, in place of the one before, so that it need not be folded from the first entry on. It
    /// costs as much as the state is large: worth it after many entries, not after each.
    pub fn write_snapshot(&self, state: &State) -> Result<(), StoreError> {
        let packed = encode_snapshot(state).map_err(StoreError::Event)?;
        let sequence = state.sequence;
        self.ask(move |writer, keeper| {
            let sealer = keeper.sealer();
            let state = sealer.seal(&Belongs::Snapshot(sequence), packed)?;
            writer.transact(&mut |tables, _| {
                if tables.head()?.key_id != sealer.key_id() {
                    return Err(StoreError::KeyChanged { place: keeper.place.clone() });
                }
                let checksum = checksum(tables, sequence, &state)?;
                tables.put_snapshot(&SnapshotRow { sequence, checksum, state: state.clone() })
            })
        })
    }

    /// Seals everything anew with a new key, or leaves it clear where none is given; refused while someone holds a lock.
    /// Other processes that have the ledger open must open it again. What a file held before is overwritten; of what
    /// a database, its log and its backups keep of it, its keeper must take care.
    pub fn rekey(&self, key: Option<Key>) -> Result<(), LockError> {
        self.ask(move |writer, keeper| {
            let sealer = keeper.sealer();
            let new = crate::rekey::rekey(writer, &sealer, key.as_ref(), &keeper.place, keeper.on_one_machine)?;
            keeper.set_sealer(new);
            Ok(())
        })
    }

    /// Whether what it holds is sealed.
    pub fn is_sealed(&self) -> bool {
        !self.keeper().sealer().key_id().is_empty()
    }

    /// Where it is, for messages: a file, or an address without its password.
    pub fn place(&self) -> &str {
        &self.shared.keeper.place
    }

    /// Whether it is in a file of this machine.
    pub fn is_file(&self) -> bool {
        self.keeper().on_one_machine
    }

    /// Bytes that it takes where it is stored.
    pub fn size(&self) -> Result<u64, StoreError> {
        self.read(|tables| tables.size())
    }

    /// How many transactions its appends took so far, through this handle and its clones.
    pub fn commits(&self) -> u64 {
        self.shared.keeper.commits.load(Ordering::Relaxed)
    }

    /// Stores what was handed in, and closes the ledger for writing, for all clones; reading goes on. Dropping the last
    /// clone does the same.
    pub fn close(&self) {
        self.shared.close();
    }

    pub(crate) fn fenced(&self, fence: &Arc<Fence>) -> Ledger {
        Ledger { shared: Arc::clone(&self.shared), fence: Some(Arc::clone(fence)) }
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.shared.keeper
    }

    pub(crate) fn request(&self, request: Request) {
        // What a closed ledger does not take is dropped, and says so to whoever waits for it.
        let _ = self.shared.requests.send(request);
    }

    pub(crate) fn read<T>(&self, work: impl FnMut(&mut dyn Reads) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut reader = self.shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
        read(&mut **reader.as_mut().ok_or(StoreError::Closed)?, work)
    }

    fn page(&self, which: &Which, from: u64) -> Result<Vec<Entry>, StoreError> {
        self.select(which, from, PAGE, false)
    }

    fn select(&self, which: &Which, from: u64, count: u32, backwards: bool) -> Result<Vec<Entry>, StoreError> {
        let (run, environment) = match which {
            Which::All => (None, None),
            Which::Run(run) => (Some(&*run.0), None),
            Which::Environment(environment) => (None, Some(&**environment)),
        };
        let rows = self.read(|tables| tables.rows(&Rows { run, environment, from, count, backwards }))?;
        let sealer = self.keeper().sealer();
        rows.into_iter().map(|row| self.entry(row, &sealer)).collect()
    }

    fn entry(&self, mut row: Row, sealer: &Sealer) -> Result<Entry, StoreError> {
        let sequence = row.sequence;
        let stored = std::mem::take(&mut row.record);
        let Ok(record) = sealer.open(&Belongs::Entry(&row), stored) else {
            let place = self.place().to_owned();
            return match self.read(|tables| tables.head())?.key_id == sealer.key_id() {
                true => Err(StoreError::Foreign { place, sequence }),
                false => Err(StoreError::KeyChanged { place }),
            };
        };
        let text = std::str::from_utf8(&record).map_err(|error| CodecError::Syntax(error.to_string()));
        let event = text.and_then(decode_event).map_err(|source| StoreError::Record { sequence, source })?;
        Ok(Entry {
            sequence,
            at: Timestamp(row.at),
            run: RunId(row.run.into()),
            environment: row.environment.into(),
            event,
        })
    }
}

fn read<T>(
    reader: &mut dyn Reader,
    mut work: impl FnMut(&mut dyn Reads) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut result = Err(StoreError::Closed);
    reader.read(&mut |tables| {
        result = Ok(work(tables)?);
        Ok(())
    })?;
    result
}

fn head(reader: &mut dyn Reader) -> Result<Head, StoreError> {
    read(reader, |tables| tables.head())
}

/// The checksum of a snapshot covers the entry that it ends with: one of other entries is never taken for one of these.
fn checksum<T: Reads + ?Sized>(tables: &mut T, sequence: u64, state: &[u8]) -> Result<Vec<u8>, StoreError> {
    let ends = tables.rows(&Rows { run: None, environment: None, from: sequence, count: 1, backwards: false })?;
    let mut hash = Sha256::new();
    hash.update(sequence.to_be_bytes());
    if let Some(row) = ends.first().filter(|row| row.sequence == sequence) {
        hash.update(row.at.to_be_bytes());
        for part in [row.run.as_bytes(), &row.record] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.update(state);
    Ok(hash.finalize().to_vec())
}

impl Appending {
    /// Waits until the events are durable.
    pub fn wait(self) -> Result<Vec<Entry>, StoreError> {
        self.answer.recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.ended {
            match self.ledger.page(&self.which, self.next) {
                Ok(page) => {
                    self.ended = page.len() < PAGE as usize;
                    self.next = page.last().map_or(self.next, |entry| entry.sequence + 1);
                    self.page = page.into();
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

impl Follow {
    /// The entries since the last poll, at most a page of them; none where nothing is new. It does not wait.
    pub fn poll(&mut self) -> Result<Vec<Entry>, StoreError> {
        let entries = self.ledger.page(&Which::All, self.after.saturating_add(1))?;
        self.after = entries.last().map_or(self.after, |entry| entry.sequence);
        Ok(entries)
    }
}

impl Shared {
    fn close(&self) {
        let _ = self.requests.send(Request::Close);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last clone may be dropped by a caller's function on the writer's own thread, which ends by itself.
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != thread::current().id()) {
            let _ = writer.join();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The writer goes last: only it can tidy up what SQLite keeps beside the file.
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.close();
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Ledger({})", self.shared.keeper.place)
    }
}
