//! The lock of an environment: a row of the ledger that says who holds it, and until when.
//!
//! Its holder renews it while it lives. It is taken from a holder whose process is known to be gone, at once; from one
//! on another machine only after the lease is over. Appends through [`Lock::ledger`] are fenced: in the transaction that
//! stores them the lock must still be there, so that a holder that lost it can store nothing more.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use andon_ledger::Timestamp;
use serde_json::{Value as Json, json};

use crate::backend::{LockRow, Writer, Writes};
use crate::process::{Fate, Process};
use crate::seal::{Belongs, Sealer, random};
use crate::writer::{Fence, Keeper, Request};
use crate::{Ledger, StoreError};

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// `user@host`.
    pub who: String,
    /// The command: `up`, `apply web`.
    pub command: String,
    /// Since when.
    pub since: Timestamp,
}

/// A lock that someone holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Names it, for [`Ledger::force_unlock`].
    pub id: String,
    /// What is locked.
    pub environment: String,
    /// Who holds it.
    pub holder: Holder,
    /// When it ends unless it is renewed before, by the ledger's own clock.
    pub expires: Timestamp,
    /// Whether its process can be seen from here: then it runs, and the lock ends with it.
    pub here: bool,
}

/// A lock, held until this is dropped or the process ends.
pub struct Lock {
    ledger: Ledger,
    fence: Arc<Fence>,
    beat: Arc<Beat>,
    heart: Option<JoinHandle<()>>,
}

/// Why there is no lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another one holds it.
    #[error("{0}. {advice}", advice = .0.advice())]
    Held(Box<Held>),
    /// There is no lock of this name.
    #[error("there is no lock `{id}`; {}", there(.held))]
    Unknown {
        /// The name.
        id: String,
        /// The locks that there are.
        held: Vec<Held>,
    },
    /// The ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long a lock lasts that nobody renews.
pub const LEASE: Duration = Duration::from_secs(60);

/// How often [`Ledger::wait_for_lock`] looks.
const POLL: Duration = Duration::from_millis(50);

impl Ledger {
    /// Takes the lock of an environment, at once or not at all.
    pub fn lock(&self, environment: &str, holder: &Holder) -> Result<Lock, LockError> {
        self.lock_for(environment, holder, LEASE)
    }

    /// As [`Ledger::lock`], with a lease of one's own.
    pub fn lock_for(&self, environment: &str, holder: &Holder, lease: Duration) -> Result<Lock, LockError> {
        let row = new_row(environment)?;
        let fence = Arc::new(Fence { environment: environment.to_owned(), id: row.id.clone() });
        let holder = holder.clone();
        let held = self.ask(move |writer, keeper| take(writer, keeper, row, &holder, lease))?;
        match held {
            Some(held) => Err(LockError::Held(Box::new(held))),
            None => Ok(Lock::begin(self, fence, lease)),
        }
    }

    /// Takes the lock of an environment as [`Ledger::lock`] does, and waits for it until `limit` is over. `waiting` is
    /// called with the holder before each wait (20 times a second), and may put an end to it.
    pub fn wait_for_lock(
        &self,
        environment: &str,
        holder: &Holder,
        limit: Duration,
        mut waiting: impl FnMut(&Held) -> ControlFlow<()>,
    ) -> Result<Lock, LockError> {
        let deadline = Instant::now().checked_add(limit);
        loop {
            let mut held = match self.lock(environment, holder) {
                Err(LockError::Held(held)) => held,
                result => return result,
            };
            loop {
                let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if over || waiting(&held).is_break() {
                    return Err(LockError::Held(held));
                }
                sleep(POLL);
                match self.locks()?.into_iter().find(|held| held.environment == environment) {
                    Some(other) => held = Box::new(other),
                    None => break,
                }
            }
        }
    }

    /// The locks that are held: those that the next one to ask would not get.
    pub fn locks(&self) -> Result<Vec<Held>, StoreError> {
        let sealer = self.keeper().sealer();
        let on_one_machine = self.keeper().on_one_machine;
        self.read(|tables| {
            let rows = tables.locks()?;
            // An idle ledger need not tell the time.
            let now = if rows.is_empty() { 0 } else { tables.now()? };
            Ok(rows.iter().filter_map(|row| held(row, now, on_one_machine, &sealer)).collect())
        })
    }

    /// Takes a lock from its holder, whoever that is: from then on it can store nothing, and its environment can be
    /// locked again. What the holder still does to the world is not stopped by this.
    pub fn force_unlock(&self, id: &str) -> Result<Held, LockError> {
        let id = id.to_owned();
        self.ask(move |writer, keeper| {
            let mut found = Ok(None);
            writer.transact(&mut |tables, _| {
                let now = tables.now()?;
                let rows = tables.locks()?;
                let sealer = keeper.sealer();
                found = match rows.iter().find(|row| row.id == id) {
                    Some(row) => {
                        tables.remove_lock(&id)?;
                        Ok(Some(describe(row, keeper.on_one_machine, &sealer)))
                    }
                    None => Err(rows.iter().filter_map(|row| held(row, now, keeper.on_one_machine, &sealer)).collect()),
                };
                Ok(())
            })?;
            match found {
                Ok(Some(held)) => Ok(held),
                Ok(None) => Err(LockError::Unknown { id, held: Vec::new() }),
                Err(held) => Err(LockError::Unknown { id, held }),
            }
        })
    }

    /// Asks the writer for something in its turn, and waits for the answer.
    pub(crate) fn ask<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Writer, &Keeper) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (sender, answer) = mpsc::channel();
        self.request(Request::Other(Box::new(move |writer, keeper| {
            // Whoever no longer waits does not want to know.
            let _ = sender.send(work(writer, keeper));
        })));
        answer.recv().unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }
}

/// A lock of this process, not yet taken.
fn new_row(environment: &str) -> Result<LockRow, StoreError> {
    let own = Process::own();
    Ok(LockRow {
        environment: environment.to_owned(),
        id: format!("{:032x}", u128::from_ne_bytes(random()?)),
        machine: own.machine,
        pid: own.pid,
        started: own.started,
        expires: 0,
        holder: Vec::new(),
    })
}

/// Takes a lock, or tells who holds it.
fn take(
    writer: &mut dyn Writer,
    keeper: &Keeper,
    mut row: LockRow,
    holder: &Holder,
    lease: Duration,
) -> Result<Option<Held>, LockError> {
    let sealer = keeper.sealer();
    row.holder = sealer.seal(&Belongs::Lock(&row.id), write(holder).into_bytes())?;
    let mut other = None;
    writer.transact(&mut |tables, _| {
        if tables.head()?.key_id != sealer.key_id() {
            return Err(StoreError::KeyChanged { place: keeper.place.clone() });
        }
        let now = tables.now()?;
        let there = tables.locks()?.into_iter().find(|there| there.environment == row.environment);
        // One's own may be there where an answer was lost.
        other = there
            .filter(|there| there.id != row.id)
            .and_then(|there| held(&there, now, keeper.on_one_machine, &sealer));
        if other.is_none() {
            row.expires = now.saturating_add(lease.as_millis() as i64);
            tables.put_lock(&row)?;
        }
        Ok(())
    })?;
    Ok(other)
}

/// Says that a lock's holder lives. `false` where the lock is someone else's by now, or nobody's.
fn renew(tables: &mut dyn Writes, id: &str, lease: Duration) -> Result<bool, StoreError> {
    let Some(mut row) = tables.locks()?.into_iter().find(|row| row.id == id) else { return Ok(false) };
    row.expires = tables.now()?.saturating_add(lease.as_millis() as i64);
    tables.put_lock(&row).map(|()| true)
}

/// A lock, if it is one that counts.
pub(crate) fn held(row: &LockRow, now: i64, on_one_machine: bool, sealer: &Sealer) -> Option<Held> {
    let counts = match Process::of(row).fate(on_one_machine) {
        Fate::Lives => true,
        Fate::Gone => false,
        Fate::Unknown => row.expires > now,
    };
    counts.then(|| describe(row, on_one_machine, sealer))
}

fn describe(row: &LockRow, on_one_machine: bool, sealer: &Sealer) -> Held {
    let text = sealer.open(&Belongs::Lock(&row.id), row.holder.clone()).unwrap_or_default();
    let unknown = || Holder {
        pid: u32::try_from(row.pid).unwrap_or_default(),
        who: "someone whose name cannot be read".to_owned(),
        command: "?".to_owned(),
        since: Timestamp(0),
    };
    Held {
        id: row.id.clone(),
        environment: row.environment.clone(),
        holder: read(&text).unwrap_or_else(unknown),
        expires: Timestamp(row.expires),
        here: Process::of(row).fate(on_one_machine) == Fate::Lives,
    }
}

fn write(holder: &Holder) -> String {
    let members = json!({
        "pid": holder.pid,
        "who": holder.who,
        "command": holder.command,
        "since": holder.since.0,
    });
    members.to_string()
}

fn read(text: &[u8]) -> Option<Holder> {
    let members: Json = serde_json::from_slice(text).ok()?;
    let text = |name: &str| members.get(name).and_then(Json::as_str).map(str::to_owned);
    Some(Holder {
        pid: members.get("pid")?.as_u64()?.try_into().ok()?,
        who: text("who")?,
        command: text("command")?,
        since: Timestamp(members.get("since")?.as_i64()?),
    })
}

fn there(held: &[Held]) -> String {
    match held {
        [] => "nothing is locked".to_owned(),
        held => {
            let each: Vec<String> = held.iter().map(|held| format!("`{}`: {held}", held.id)).collect();
            format!("there is {}", each.join("; "))
        }
    }
}

impl Held {
    /// What can be done about it.
    pub fn advice(&self) -> String {
        let (pid, id) = (self.holder.pid, &self.id);
        match self.here {
            true => format!("Wait for it to end, or end process {pid}. Its lock is `{id}`"),
            false => format!(
                "Wait for it to end; if nothing is left of it, its lock ends by itself at {}, or at once with \
                 `andon force-unlock {id}`",
                clock(self.expires)
            ),
        }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Holder { pid, who, command, since } = &self.holder;
        let environment = &self.environment;
        write!(
            to,
            "environment `{environment}` is locked by {who} (process {pid}), running `andon {command}` since {}",
            clock(*since)
        )
    }
}

fn clock(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| "?".to_owned(), |at| at.strftime("%F %T UTC").to_string())
}

/// What a lock and the thread that renews it tell each other.
#[derive(Default)]
struct Beat {
    ended: Mutex<bool>,
    end: Condvar,
    lost: AtomicBool,
}

impl Lock {
    fn begin(ledger: &Ledger, fence: Arc<Fence>, lease: Duration) -> Lock {
        let beat = Arc::new(Beat::default());
        let (own, fenced) = (ledger.fenced(&fence), Arc::clone(&beat));
        let renewing = (ledger.clone(), Arc::clone(&fence));
        // Without a thread to renew it the lock is still there for one lease, and for as long as the process is seen.
        let heart = thread::Builder::new()
            .name("lock".to_owned())
            .spawn(move || fenced.run(&renewing.0, &renewing.1.id, lease))
            .ok();
        Lock { ledger: own, fence, beat, heart }
    }

    /// The ledger, for the holder: appends through it are refused once the lock is lost.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.fence.id
    }

    /// Whether it was found to be lost: taken by force, or after the lease was over. Nothing more can be stored then.
    pub fn is_lost(&self) -> bool {
        self.beat.lost.load(Ordering::Relaxed)
    }
}

impl Beat {
    fn run(&self, ledger: &Ledger, id: &str, lease: Duration) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ended {
            let (guard, _) = self.end.wait_timeout(ended, lease / 4).unwrap_or_else(PoisonError::into_inner);
            ended = guard;
            if *ended {
                break;
            }
            drop(ended);
            let id = id.to_owned();
            let renewed = ledger.ask(move |writer, _| {
                let mut renewed = false;
                writer.transact(&mut |tables, _| {
                    renewed = renew(tables, &id, lease)?;
                    Ok(())
                })?;
                Ok::<bool, StoreError>(renewed)
            });
            // What could not be asked is asked again: only the ledger says that a lock is lost.
            if renewed == Ok(false) {
                self.lost.store(true, Ordering::Relaxed);
                return;
            }
            ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        *self.beat.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.beat.end.notify_all();
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
        let id = self.fence.id.clone();
        // One that cannot be given back now ends with this process, or with its lease.
        let _ = self.ledger.ask(move |writer, _| writer.transact(&mut |tables, _| tables.remove_lock(&id)));
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Lock({} of {})", self.fence.id, self.fence.environment)
    }
}
