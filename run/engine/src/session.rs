//! An open project: its definitions, its ledger, and the state that the ledger folds into.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use andon_fold::ReplayError;
use andon_lang::Given;
use andon_lang::definitions::{Environment, Project};
use andon_ledger::{Entry, EnvironmentState, Event, RunId, RunStatus, State, Timestamp};
use andon_schema::{Failure, Identity};
use andon_store::{Database, Held, Holder, Key, Ledger, Lock, LockError, Place, StoreError};
use andon_text::Diagnostics;

use crate::project::{ReadError, read_files};
use crate::provider::lab_place::name_of;
use crate::workspaces::{Workspaces, named_by_variable};
use crate::{Journal, JournalError};

/// The variable with the address of a database, where the ledger is not in a file of the project.
pub const LEDGER_VARIABLE: &str = "ANDON_LEDGER";

/// Entries after which a new snapshot is worth its cost.
const SNAPSHOT_AFTER: u64 = 500;

/// What the ways in settle before anything is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The project's directory.
    pub directory: PathBuf,
    /// Where images and servers are kept.
    pub data_dir: PathBuf,
    /// The program that helpers run: this one.
    pub helper: PathBuf,
    /// The package mirror that bases are made from; the machine's own where none is given.
    pub mirror: Option<String>,
    /// Where Debian's security updates come from; empty where they come from nowhere.
    pub security_mirror: Option<String>,
    /// The same as `mirror` of Ubuntu.
    pub ubuntu_mirror: Option<String>,
    /// The name of the directories that tests of stacks are in.
    pub tests: String,
    /// Set when the user asks for an end.
    pub interrupt: Arc<AtomicBool>,
}

/// Why a project could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger could not be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger holds what cannot have happened.
    #[error("the ledger is damaged: {0}")]
    Replay(#[from] ReplayError),
    /// The environment's lock could not be had.
    #[error(transparent)]
    Lock(LockError),
    /// What is remembered of environments cannot be read.
    #[error("{0}")]
    Workspaces(Failure),
    /// An event could not be recorded.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<LockError> for OpenError {
    fn from(error: LockError) -> OpenError {
        match error {
            LockError::Store(error) => OpenError::Store(error),
            error => OpenError::Lock(error),
        }
    }
}

impl From<andon_store::KeyError> for OpenError {
    fn from(error: andon_store::KeyError) -> OpenError {
        OpenError::Store(error.into())
    }
}

/// An open project.
pub struct Session {
    settings: Settings,
    project: Arc<Project>,
    diagnostics: Diagnostics,
    given: Given,
    workspaces: Workspaces,
    ledger: Option<Ledger>,
    state: State,
    snapshot_at: u64,
}

/// The right to change one environment, until it is dropped: its lock, and a run of the ledger.
pub struct Recorder {
    ledger: Ledger,
    state: State,
    none: EnvironmentState,
    environment: Arc<str>,
    run: RunId,
    snapshot_at: u64,
    _lock: Lock,
}

impl Session {
    /// Reads a project's files, and folds its ledger where there is one; makes none. What is wrong in the definitions
    /// is in [`Session::diagnostics`]; only what cannot be read is an error.
    pub fn open(settings: Settings) -> Result<Session, OpenError> {
        // Neither has to wait for the other, but where the definitions say which part of a database is the project's.
        let file = address_of_ledger().is_none().then(|| Place::File(ledger_file(&settings.directory)));
        let (session, read) = std::thread::scope(|scope| {
            let reading = file.map(|place| scope.spawn(move || read_ledger(&place)));
            let session = Session::definitions(settings);
            (session, reading.map(|reading| reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
        });
        let mut session = session?;
        let read = match read {
            Some(read) => read?,
            None => read_ledger(&session.ledger_place()?)?,
        };
        if let Some(ReadLedger { ledger, state, snapshot_at }) = read {
            session.ledger = Some(ledger);
            session.state = state;
            session.snapshot_at = snapshot_at;
        }
        // An environment that something is in may have been made elsewhere.
        let used =
            session.state.environments.iter().filter(|(_, state)| !state.is_empty()).map(|(name, _)| name.clone());
        know(Arc::make_mut(&mut session.project), used);
        Ok(session)
    }

    /// Reads a project's files and nothing else: for whoever asks only what is defined.
    pub fn definitions(settings: Settings) -> Result<Session, OpenError> {
        let files = read_files(&settings.directory)?;
        let directory = settings.directory.canonicalize().ok();
        let name = directory.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let (mut project, mut diagnostics) =
            andon_lang::load_with_tests(Arc::new(files), name.as_deref().unwrap_or("project"), &settings.tests);
        diagnostics.extend(crate::init::changed(&settings.directory));
        project.directory = directory.map(|path| path.to_string_lossy().into()).unwrap_or_default();
        project.home = std::env::var("HOME").unwrap_or_default().into();
        let workspaces = Workspaces::read(&settings.directory).map_err(OpenError::Workspaces)?;
        know(&mut project, workspaces.made.iter().cloned().chain(named_by_variable()));
        let state = State::default();
        Ok(Session {
            settings,
            project: Arc::new(project),
            diagnostics,
            given: Given::default(),
            workspaces,
            ledger: None,
            state,
            snapshot_at: 0,
        })
    }

    /// Gives values to the stacks' input variables. What is wrong with them is in [`Session::diagnostics`].
    pub fn give(&mut self, given: &Given) {
        let found = andon_lang::give(Arc::make_mut(&mut self.project), given);
        self.given.environment.extend(given.environment.iter().cloned());
        self.given.arguments.extend(given.arguments.iter().cloned());
        self.diagnostics.extend(found);
    }

    /// The values that were given to the stacks' input variables.
    pub fn given(&self) -> &Given {
        &self.given
    }

    /// What is remembered of the project's environments.
    pub fn workspaces(&self) -> &Workspaces {
        &self.workspaces
    }

    /// What was settled.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The definitions.
    pub fn project(&self) -> &Arc<Project> {
        &self.project
    }

    /// What the definitions' shape has wrong.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// The ledger, if the project has one by now: the first run that changes something makes it.
    pub fn ledger(&self) -> Result<Option<Ledger>, StoreError> {
        match &self.ledger {
            Some(ledger) => Ok(Some(ledger.clone())),
            None => Ledger::find(&self.ledger_place()?, Key::from_environment()?.as_ref()),
        }
    }

    /// Where the ledger is, or will be.
    fn ledger_place(&self) -> Result<Place, StoreError> {
        let Some(address) = address_of_ledger() else {
            return Ok(Place::File(ledger_file(&self.settings.directory)));
        };
        let project = &self.project;
        let origin = format!("{}:{}", host(), project.directory);
        Database::new(&address.to_string_lossy(), &project.name, &origin, project.named).map(Place::Database)
    }

    /// All that the ledger says there is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All that the ledger says by now: others append to it meanwhile.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn state_now(&self) -> Result<State, OpenError> {
        let mut state = self.state.clone();
        if let Some(ledger) = self.ledger()? {
            catch_up(&ledger, &mut state)?;
        }
        Ok(state)
    }

    /// Who is changing an environment at this moment, if anybody is.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn holder(&self, environment: &str) -> Result<Option<Held>, StoreError> {
        let Some(ledger) = self.ledger()? else { return Ok(None) };
        Ok(ledger.locks()?.into_iter().find(|held| held.environment == environment))
    }

    /// All that the ledger said there was, up to an entry.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn state_at(&self, sequence: u64) -> Result<State, OpenError> {
        if self.state.sequence == sequence {
            return Ok(self.state.clone());
        }
        let mut state = State::default();
        let Some(ledger) = self.ledger()? else { return Ok(state) };
        for entry in ledger.stream(andon_store::Which::All, 1) {
            let entry = entry?;
            if entry.sequence > sequence {
                break;
            }
            andon_fold::apply(&mut state, &entry)?;
        }
        Ok(state)
    }

    /// The planned name of every object that any environment has or is about to have, as of now.
    pub fn identities(&self) -> Result<BTreeSet<Identity>, OpenError> {
        let state = self.state_now()?;
        let of = |here: &EnvironmentState| -> Vec<Identity> {
            here.objects().map(|(_, object)| object.identity.clone()).chain(here.pending.keys().cloned()).collect()
        };
        Ok(state.environments.values().flat_map(of).collect())
    }

    /// The objects that were ever forgotten on purpose, with nothing done to them, and the environment of each.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn forgotten(&self) -> Result<BTreeMap<Identity, Arc<str>>, OpenError> {
        let Some(ledger) = self.ledger()? else { return Ok(BTreeMap::new()) };
        let mut forgotten = BTreeMap::new();
        for entry in ledger.stream(andon_store::Which::All, 1) {
            let entry = entry?;
            if let Event::Forgotten { identity, .. } = entry.event {
                forgotten.insert(identity, entry.environment);
            }
        }
        Ok(forgotten)
    }

    /// Takes an environment's lock: at once, or waiting at most `limit`, with `waiting` called meanwhile. The state is
    /// read again, as another run may have ended just before.
    pub fn lock(
        &self,
        environment: &str,
        command: &str,
        limit: Duration,
        mut waiting: impl FnMut(&Held),
    ) -> Result<Recorder, OpenError> {
        let holder = Holder { pid: std::process::id(), who: who(), command: command.to_owned(), since: now() };
        let interrupt = Arc::clone(&self.settings.interrupt);
        let ledger = match &self.ledger {
            Some(ledger) => ledger.clone(),
            None => Ledger::open_at(&self.ledger_place()?, Key::from_environment()?.as_ref())?,
        };
        let lock = ledger.wait_for_lock(environment, &holder, limit, |other| {
            waiting(other);
            if interrupt.load(Ordering::Relaxed) {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        })?;
        // What is appended through it is refused once the lock is lost.
        let ledger = lock.ledger().clone();
        let mut state = self.state.clone();
        catch_up(&ledger, &mut state)?;
        Ok(Recorder {
            ledger,
            state,
            none: EnvironmentState::default(),
            environment: environment.into(),
            run: RunId(format!("{:012x}", random() & 0xFFFF_FFFF_FFFF).into()),
            snapshot_at: self.snapshot_at,
            _lock: lock,
        })
    }
}

impl Recorder {
    /// The run that it records.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Writes a snapshot where enough was appended since the last one. One that fails costs only time.
    pub fn snapshot(&mut self) {
        if self.state.sequence >= self.snapshot_at.saturating_add(SNAPSHOT_AFTER)
            && self.ledger.write_snapshot(&self.state).is_ok()
        {
            self.snapshot_at = self.state.sequence;
        }
    }
}

impl Journal for Recorder {
    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Entry>, JournalError> {
        let events = andon_fold::with_faults(self.state(), events);
        // What is once on the disk is replayed for ever: nothing gets there that replay would refuse.
        andon_fold::legal_in_order(&self.state, &self.environment, &self.run, &events)
            .map_err(|error| JournalError::Order(error.to_string()))?;
        let entries = self
            .ledger
            .append(now(), &self.run, &self.environment, events)
            .map_err(|error| JournalError::Store(error.to_string()))?;
        let next = self.state.sequence.saturating_add(1);
        let folded = match entries.first().is_none_or(|first| first.sequence == next) {
            true => entries.iter().try_for_each(|entry| Ok(andon_fold::apply(&mut self.state, entry)?)),
            // Others have appended meanwhile.
            false => catch_up(&self.ledger, &mut self.state),
        };
        folded.map_err(|error: OpenError| JournalError::Order(error.to_string()))?;
        Ok(entries)
    }

    fn state(&self) -> &EnvironmentState {
        self.state.environments.get(&self.environment).unwrap_or(&self.none)
    }

    fn sequence(&self) -> u64 {
        self.state.sequence
    }

    fn take_over(&mut self) -> Option<RunId> {
        let open = self.state().open_run.clone()?;
        Some(std::mem::replace(&mut self.run, open))
    }

    fn hand_back(&mut self, own: RunId) -> Result<(), JournalError> {
        let summary = "a later run closed it".to_owned();
        self.append(vec![Event::RunEnded { status: RunStatus::Interrupted, summary }])?;
        self.run = own;
        Ok(())
    }
}

impl Settings {
    /// Seals what holds secrets, such as a saved plan, with the key of the process's environment or the project's own.
    pub fn seal(&self, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let records = records(&self.directory);
        let unsealed = |error: String| Failure::new("it cannot be sealed", error);
        let key = Key::from_environment().map_err(|error| unsealed(error.to_string()))?;
        andon_store::seal(key.as_ref(), &records, bytes).map_err(|error| unsealed(error.to_string()))
    }

    /// Opens what [`Settings::seal`] sealed.
    pub fn unseal(&self, sealed: &[u8]) -> Result<Vec<u8>, Failure> {
        let records = records(&self.directory);
        let unopened = |error: String| Failure::new("it cannot be opened", error);
        let key = Key::from_environment().map_err(|error| unopened(error.to_string()))?;
        andon_store::open(key.as_ref(), &records, sealed).map_err(|error| unopened(error.to_string()))
    }
}

/// The directory of a project's records.
pub fn records(directory: &Path) -> PathBuf {
    directory.join(".andon")
}

fn ledger_file(directory: &Path) -> PathBuf {
    records(directory).join("ledger.db")
}

/// The database that holds the ledger, where it is not in a file of the project.
fn address_of_ledger() -> Option<OsString> {
    std::env::var_os(LEDGER_VARIABLE).filter(|address| !address.is_empty())
}

/// A ledger, and what it folds into.
struct ReadLedger {
    ledger: Ledger,
    state: State,
    /// The entry that the snapshot goes up to.
    snapshot_at: u64,
}

/// `None` where there is no ledger yet.
fn read_ledger(place: &Place) -> Result<Option<ReadLedger>, OpenError> {
    let Some(ledger) = Ledger::find(place, Key::from_environment()?.as_ref())? else { return Ok(None) };
    let mut state = ledger.snapshot().map(|(_, state)| state).unwrap_or_default();
    let snapshot_at = state.sequence;
    catch_up(&ledger, &mut state)?;
    Ok(Some(ReadLedger { ledger, state, snapshot_at }))
}

/// The clock, read once.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// 64 bits that nobody can guess.
pub fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is as long as said. With no flags and eight bytes the call cannot fail or come up short.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    u64::from_ne_bytes(bytes)
}

/// `user@host`.
pub fn who() -> String {
    let own = || name_of(andon_lab::user());
    format!("{}@{}", login(|name| std::env::var(name).ok()).unwrap_or_else(own), host())
}

/// Who works here, by the environment of the process; not every one says so.
fn login(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(variable).find(|name| !name.is_empty())
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// Gives a project environments that no `andon.hcl` defines.
fn know(project: &mut Project, names: impl Iterator<Item = Arc<str>>) {
    for name in names {
        let environment = Environment { name: name.clone(), variables: None, protected: false, span: None };
        project.environments.entry(name).or_insert(environment);
    }
}

/// Folds in every entry that the state does not have yet.
fn catch_up(ledger: &Ledger, state: &mut State) -> Result<(), OpenError> {
    for entry in ledger.stream(andon_store::Which::All, state.sequence.saturating_add(1)) {
        andon_fold::apply(state, &entry?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_works_here_is_told_by_the_environment() {
        let check = |given: &[(&str, &str)], expected: Option<&str>| {
            let variable = |name: &str| given.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(login(variable).as_deref(), expected, "{given:?}");
        };
        check(&[("SUDO_USER", "ann"), ("USER", "root")], Some("ann"));
        check(&[("SUDO_USER", ""), ("USER", "ann")], Some("ann"));
        check(&[("LOGNAME", "ann")], Some("ann"));
        check(&[("USER", "")], None);
        check(&[], None);
    }
}
