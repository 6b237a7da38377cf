//! A ledger in memory that stores what the real codec writes, and can die at any append.

use std::rc::Rc;
use std::sync::Arc;

use andon_engine::{Journal, JournalError};
use andon_ledger::codec::{decode_event, decode_state, encode_event, encode_state};
use andon_ledger::{Action, Entry, EnvironmentState, Event, Intent, OutcomeRecord, RunId, RunStatus, State, Timestamp};

use crate::dice::Dice;
use crate::faults::Faults;
use crate::trace::{Owned, Shared};
use crate::{ENVIRONMENT, Mistake};

/// What outlives a process.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Every entry, as read back from its record.
    pub entries: Vec<Entry>,
    /// A state as it was stored.
    snapshot: Option<String>,
}

/// The ledger of one process.
pub(crate) struct SimJournal<'a> {
    disk: &'a mut Disk,
    state: State,
    none: EnvironmentState,
    run: RunId,
    trace: Shared,
    faults: Faults,
    appends: usize,
}

impl Disk {
    /// The state that the entries fold into, from nothing.
    pub fn fold(&self) -> Result<State, String> {
        andon_fold::fold(&self.entries).map_err(|error| error.to_string())
    }

    /// The state as a new process finds it: from the snapshot where there is one.
    fn open(&self) -> Result<State, String> {
        let mut state = match &self.snapshot {
            Some(record) => decode_state(record).map_err(|error| error.to_string())?,
            None => State::default(),
        };
        let known = usize::try_from(state.sequence).unwrap_or(usize::MAX);
        for entry in self.entries.iter().skip(known) {
            andon_fold::apply(&mut state, entry).map_err(|error| error.to_string())?;
        }
        Ok(state)
    }
}

impl<'a> SimJournal<'a> {
    /// Opens the ledger under the name of a new run. `Err` where what is stored cannot be folded.
    pub fn open(
        disk: &'a mut Disk,
        run: RunId,
        trace: &Shared,
        faults: Faults,
        dice: &mut Dice,
    ) -> Result<SimJournal<'a>, String> {
        let state = disk.open()?;
        if dice.chance(20) {
            disk.snapshot = Some(encode_state(&state).map_err(|error| error.to_string())?);
        }
        let trace = Rc::clone(trace);
        let mut journal = SimJournal { disk, state, none: EnvironmentState::default(), run, trace, faults, appends: 0 };
        journal.forget_creation().map_err(|error| error.to_string())?;
        Ok(journal)
    }

    /// Makes the planted mistake of taking a lost creation to have made nothing.
    fn forget_creation(&mut self) -> Result<(), JournalError> {
        let here = self.state();
        let lost = here.pending.values().find(|it| it.provider.is_some() && it.action == Action::Create);
        let (Some(lost), Some(open)) = (lost.cloned(), here.open_run.clone()) else { return Ok(()) };
        if self.trace.borrow_mut().strikes(Mistake::LostCreationIsForgotten) {
            let own = std::mem::replace(&mut self.run, open);
            let Intent { address, action, identity, .. } = lost;
            let result = andon_ledger::Result::Resolved;
            let outcome = OutcomeRecord { address, action, identity, result, object: None, report: None };
            self.store(vec![Event::Outcome(outcome)])?;
            self.run = own;
        }
        Ok(())
    }

    /// The state as this process has it.
    pub fn into_state(self) -> State {
        self.state
    }

    fn store(&mut self, events: Vec<Event>) -> Result<Vec<Entry>, JournalError> {
        let broken = |error: andon_ledger::codec::CodecError| JournalError::Store(error.to_string());
        let mut entries = Vec::new();
        for event in events {
            let Some(event) = self.spoil(event) else { continue };
            let record = encode_event(&event).map_err(broken)?;
            let mut trace = self.trace.borrow_mut();
            trace.say(format!("ledger  {}", line(&event)));
            match &event {
                Event::Intent(intent) => drop(trace.intents.insert(intent.identity.clone(), intent.action)),
                Event::Outcome(outcome) => drop(trace.intents.remove(&outcome.identity)),
                Event::Forgotten { identity, .. } => trace.owned.push(Owned::Free(identity.clone())),
                Event::Adopted { address, object, .. } => {
                    let id = object.value.get_str("id").unwrap_or_default().to_owned();
                    let (kind, identity) = (Arc::clone(&address.resource.kind), object.identity.clone());
                    trace.owned.push(Owned::Known { kind, id, identity });
                }
                _ => {}
            }
            let entry = Entry {
                sequence: self.disk.entries.len() as u64 + 1,
                at: Timestamp(i64::try_from(trace.now_ms).unwrap_or(i64::MAX)),
                run: self.run.clone(),
                environment: ENVIRONMENT.into(),
                event: decode_event(&record).map_err(broken)?,
            };
            if entry.event != as_stored(event) {
                trace.violation(format!("the codec does not give back what it was given: {record}"));
            }
            self.disk.entries.push(entry.clone());
            entries.push(entry);
        }
        for entry in &entries {
            andon_fold::apply(&mut self.state, entry).map_err(|error| JournalError::Order(error.to_string()))?;
        }
        Ok(entries)
    }

    /// Makes the planted mistake, where its time has come.
    fn spoil(&self, event: Event) -> Option<Event> {
        let mut trace = self.trace.borrow_mut();
        match event {
            Event::Outcome(_) if trace.strikes(Mistake::LedgerDropsAnOutcome) => None,
            Event::Intent(_) if trace.strikes(Mistake::EngineSkipsAnIntent) => None,
            Event::Outcome(mut outcome) if trace.mistake == Some(Mistake::LedgerForgetsWhatIsKept) => {
                outcome.object.iter_mut().for_each(|object| object.kept.private = [].into());
                Some(Event::Outcome(outcome))
            }
            Event::Outcome(mut outcome) if trace.mistake == Some(Mistake::LedgerForgetsDependencies) => {
                // Made in every outcome: one alone may be of no consequence.
                outcome.object.iter_mut().for_each(|object| object.dependencies.clear());
                Some(Event::Outcome(outcome))
            }
            event => Some(event),
        }
    }

    fn die(&self, when: &'static str) -> JournalError {
        let mut trace = self.trace.borrow_mut();
        trace.dead = true;
        trace.fault(when);
        trace.say(format!("CRASH   {when}"));
        JournalError::Crashed
    }
}

impl Journal for SimJournal<'_> {
    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Entry>, JournalError> {
        if self.trace.borrow().dead {
            return Err(JournalError::Crashed);
        }
        if self.trace.borrow().refused {
            self.trace.borrow_mut().violation("the ledger is written to after it had refused".to_owned());
        }
        andon_fold::legal_in_order(&self.state, ENVIRONMENT, &self.run, &events).map_err(|error| {
            self.trace.borrow_mut().violation(format!("an entry out of order: {error}"));
            JournalError::Order(error.to_string())
        })?;
        self.appends += 1;
        if self.faults.full_at_append == Some(self.appends) {
            let mut trace = self.trace.borrow_mut();
            trace.refused = true;
            trace.fault("a full disk");
            trace.say("FAULT   the disk is full");
            return Err(JournalError::Store("the disk is full".to_owned()));
        }
        if self.faults.crash_before_append == Some(self.appends) {
            return Err(self.die("a crash before entries are durable"));
        }
        let entries = self.store(events)?;
        if self.faults.crash_after_append == Some(self.appends) {
            return Err(self.die("a crash after entries are durable"));
        }
        Ok(entries)
    }

    fn state(&self) -> &EnvironmentState {
        self.state.environments.get(ENVIRONMENT).unwrap_or(&self.none)
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

/// The event without what is shown and not stored.
fn as_stored(mut event: Event) -> Event {
    if let Event::Outcome(OutcomeRecord { result: andon_ledger::Result::Failed(failure), .. }) = &mut event {
        failure.complaints.clear();
    }
    event
}

/// An event in one line, for a reader.
pub(crate) fn line(event: &Event) -> String {
    match event {
        Event::RunBegan { command, .. } => format!("run began: {command}"),
        Event::RunEnded { status, summary } => format!("run ended: {status:?}, {summary}"),
        Event::Intent(intent) => format!("intent  {:?} {} {}", intent.action, intent.address, intent.identity),
        Event::Outcome(outcome) => {
            let object = outcome.object.as_ref().map(|object| object.status);
            let result = match &outcome.result {
                andon_ledger::Result::Failed(failure) => format!("failed, {}", failure.summary),
                other => format!("{other:?}"),
            };
            let (action, address, identity) = (outcome.action, &outcome.address, &outcome.identity);
            format!("outcome {action:?} {address} {identity}: {result}, object {object:?}")
        }
        Event::Observed { address, identity, value, .. } => {
            format!("observed {address} {identity}: {}", if value.is_some() { "changed" } else { "gone" })
        }
        Event::Published { stack, outputs } => {
            let names: Vec<Arc<str>> = outputs.keys().cloned().collect();
            format!("published {stack}: {}", names.join(", "))
        }
        other => format!("{other:?}"),
    }
}
