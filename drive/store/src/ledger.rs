use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use andon_ledger::codec::{encode_event, encode_state};
use andon_ledger::{Entry, Event, RunId, State, Timestamp};
use rusqlite::Connection;

use crate::writer::{self, Append, Done, Request, Snapshot};
use crate::{StoreError, rows, schema};

/// A handle on the ledger in one SQLite file; clones share it. Other processes may append to the same file: the
/// numbers of their entries lie between those of one's own.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
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
    path: PathBuf,
    requests: Sender<Request>,
    writer: Mutex<Option<JoinHandle<()>>>,
    reader: Mutex<Connection>,
}

/// Entries in one page.
const PAGE: u32 = 1000;

impl Ledger {
    /// Opens the ledger in a file; makes the file, and its directory, where there is none.
    ///
    /// Every process that opens it must be able to write it, also to only read.
    pub fn open(path: &Path) -> Result<Ledger, StoreError> {
        let connection = schema::open_writer(path)?;
        let reader = schema::open_reader(path)?;
        let (requests, inbox) = mpsc::channel();
        let place = path.to_owned();
        let writer = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer::run(place, connection, &inbox))
            .map_err(|error| StoreError::io(path, &error))?;
        let shared =
            Shared { path: path.to_owned(), requests, writer: Mutex::new(Some(writer)), reader: Mutex::new(reader) };
        Ok(Ledger { shared: Arc::new(shared) })
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
                done: Done::new(done),
            })),
            Err(error) => done(Err(StoreError::Event(error))),
        }
    }

    /// The number of the last entry; 0 where there is none.
    pub fn last_sequence(&self) -> Result<u64, StoreError> {
        rows::last_sequence(&self.reader()).map_err(|error| StoreError::sqlite(&self.shared.path, &error))
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
        let rest = |filter: &str| format!("WHERE sequence >= ?1 {filter} ORDER BY sequence DESC LIMIT ?2");
        let mut entries = self.select(which, 0, count, rest)?;
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
        let state = rows::snapshot(&self.reader())?;
        Some((state.sequence, state))
    }

    /// Writes a state down, in place of the one before, so that it need not be folded from the first entry on. It
    /// costs as much as the state is large: worth it after many entries, not after each.
    pub fn write_snapshot(&self, state: &State) -> Result<(), StoreError> {
        let text = encode_state(state).map_err(StoreError::Event)?;
        let (sender, answer) = mpsc::channel();
        self.request(Request::Snapshot(Snapshot {
            sequence: state.sequence,
            state: text,
            done: Done::new(move |result| {
                let _ = sender.send(result);
            }),
        }));
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Bytes on the disk.
    pub fn size(&self) -> Result<u64, StoreError> {
        let length = |suffix: &str| {
            let mut path = self.shared.path.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map(|file| file.len())
        };
        let file = length("").map_err(|error| StoreError::io(&self.shared.path, &error))?;
        Ok(file + length("-wal").unwrap_or(0))
    }

    /// Stores what was handed in, and closes the file for writing, for all clones; reading goes on. Dropping the last
    /// clone does the same.
    pub fn close(&self) {
        self.shared.close();
    }

    fn request(&self, request: Request) {
        // What a closed ledger does not take is dropped, and says so to whoever waits for it.
        let _ = self.shared.requests.send(request);
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.shared.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self, which: &Which, from: u64) -> Result<Vec<Entry>, StoreError> {
        let rest = |filter: &str| format!("WHERE sequence >= ?1 {filter} ORDER BY sequence LIMIT ?2");
        self.select(which, from, PAGE, rest)
    }

    fn select(
        &self,
        which: &Which,
        from: u64,
        count: u32,
        rest: impl Fn(&str) -> String,
    ) -> Result<Vec<Entry>, StoreError> {
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let (filter, name) = match which {
            Which::All => ("", None),
            Which::Run(run) => ("AND run = ?3", Some(&*run.0)),
            Which::Environment(environment) => ("AND environment = ?3", Some(&**environment)),
        };
        let rest = rest(filter);
        match name {
            None => rows::entries(&self.shared.path, &self.reader(), &rest, &[&from, &count]),
            Some(name) => rows::entries(&self.shared.path, &self.reader(), &rest, &[&from, &count, &name]),
        }
    }
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
        self.close();
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Ledger({})", self.shared.path.display())
    }
}
