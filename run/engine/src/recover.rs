//! After a crash: each intent whose outcome nobody wrote down is resolved by looking, never by assuming.

use std::collections::BTreeMap;

use andon_ledger::{Action, EnvironmentState, Event, Intent, OutcomeRecord, Result as Tried};
use andon_schema::{Failure, InstanceAddress, Object, ObjectStatus};

use crate::planning::TICK;
use crate::{Completion, Found, Job, Journal, JournalError, Sink, Ticket, World};

/// Why a crash could not be resolved.
#[derive(Debug)]
pub enum RecoverError {
    /// The ledger could not be written.
    Journal(JournalError),
    /// Nobody says what came of these intents, and why not; at least one.
    Unresolved(Vec<(InstanceAddress, Failure)>),
    /// The user asked for an end.
    Interrupted,
}

impl From<JournalError> for RecoverError {
    fn from(error: JournalError) -> RecoverError {
        RecoverError::Journal(error)
    }
}

/// What is known of what was left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// How many intents were looked into, each with its outcome appended.
    pub resolved: usize,
    /// The outcomes of those that only a plan can look into, as only it has their providers: each object is as it was,
    /// as far as anybody knows. They are to be appended with what the plan finds, and not before: a run that comes to
    /// no apply leaves their intents open.
    pub presumed: Vec<OutcomeRecord>,
}

/// Resolves every pending intent of the journal's environment that it can, all at once, and appends what was found.
/// What could not be resolved stays pending, and is the error.
pub fn recover(
    world: &mut dyn World,
    journal: &mut dyn Journal,
    sink: &mut dyn Sink,
) -> Result<Recovered, RecoverError> {
    let pending: Vec<Intent> = journal.state().pending.values().cloned().collect();
    let mut open: BTreeMap<Ticket, Intent> = BTreeMap::new();
    let mut recovered = Recovered::default();
    let mut unresolved = Vec::new();
    for (number, intent) in pending.into_iter().enumerate() {
        let object = journal.state().object(&intent.address, &intent.identity).cloned();
        if intent.provider.is_some() {
            match object {
                Some(object) => {
                    recovered.presumed.push(resolution(journal.state(), &intent, Found::There(object.value)));
                }
                None => unresolved.push(unknowable(&intent)),
            }
            continue;
        }
        let ticket = Ticket(number as u64);
        world.start(ticket, Job::Resolve { intent: intent.clone(), object });
        open.insert(ticket, intent);
    }
    while !open.is_empty() {
        match world.wait(TICK) {
            Completion::Resolved(ticket, found) => {
                let Some(intent) = open.remove(&ticket) else { continue };
                match found {
                    Ok(found) => {
                        let event = Event::Outcome(resolution(journal.state(), &intent, found));
                        sink.event(&event);
                        journal.append(vec![event])?;
                        recovered.resolved += 1;
                    }
                    Err(reason) => unresolved.push((intent.address, reason)),
                }
            }
            Completion::Progress(progress) => sink.event(&Event::Progress(progress)),
            Completion::Interrupted => return Err(RecoverError::Interrupted),
            Completion::Answered(..) | Completion::Finished(..) => {}
            Completion::Quiet => sink.tick(),
        }
    }
    if unresolved.is_empty() { Ok(recovered) } else { Err(RecoverError::Unresolved(unresolved)) }
}

/// The state for who only looks and records nothing: plugins' objects that something was being done to are as they were,
/// until their providers are asked. What else is open stays so.
pub fn presumed(state: &EnvironmentState) -> EnvironmentState {
    let plugins = state.pending.values().filter(|intent| intent.provider.is_some());
    let outcomes: Vec<OutcomeRecord> = plugins
        .filter_map(|intent| {
            let object = state.object(&intent.address, &intent.identity)?;
            Some(resolution(state, intent, Found::There(object.value.clone())))
        })
        .collect();
    presume(state, &outcomes)
}

/// The state as it is once these outcomes are appended, each of an object that is there.
pub(crate) fn presume(state: &EnvironmentState, outcomes: &[OutcomeRecord]) -> EnvironmentState {
    let mut state = state.clone();
    for OutcomeRecord { address, identity, object, .. } in outcomes {
        state.pending.remove(identity);
        let Some(instance) = state.instances.get_mut(address) else { continue };
        let known = instance.current.iter_mut().chain(&mut instance.deposed).find(|known| known.identity == *identity);
        if let (Some(known), Some(object)) = (known, object) {
            known.clone_from(object);
        }
    }
    state
}

/// A plugin was told to make something, and nobody knows whether it did: only the user can find out.
fn unknowable(intent: &Intent) -> (InstanceAddress, Failure) {
    let address = &intent.address;
    let detail = format!(
        "An earlier run was to have the provider make it, and did not get the answer. It may be there and it may not; \
         only its provider's id finds {}.",
        address.resource.kind
    );
    let wanted = intent
        .planned
        .as_ref()
        .map(|planned| format!("It was to be: {}.", andon_value::render(planned, 0)))
        .unwrap_or_default();
    let failure = Failure::new("nobody knows whether it was made", format!("{detail} {wanted}").trim_end())
        .help("Look for it where the provider makes it.")
        .help(format!("If it is there, say what `andon import` would call it: andon state resolve '{address}' --id ID"))
        .help(format!("If it is not there: andon state resolve '{address}' --absent"));
    (address.clone(), failure)
}

/// The outcome that takes the place of the one that was never written.
fn resolution(state: &EnvironmentState, intent: &Intent, found: Found) -> OutcomeRecord {
    let (value, status) = match found {
        // What its provisioners came to, nobody knows.
        Found::There(value) if intent.provisioned => (Some(value), ObjectStatus::Tainted),
        Found::There(value) => (Some(value), ObjectStatus::Ready),
        Found::Broken(value) => (Some(value), ObjectStatus::Tainted),
        Found::Absent => (None, ObjectStatus::Ready),
    };
    let before = state.object(&intent.address, &intent.identity);
    let object = value.map(|value| match (intent.action, before) {
        // A delete says nothing new of what its object reads; what it left half is to be replaced.
        (Action::Delete, Some(before)) => Object { value, status: status.max(before.status), ..before.clone() },
        _ => {
            // After an update it may use what it used before, what it was to use now, or both.
            let mut dependencies = intent.dependencies.clone();
            dependencies.extend(before.into_iter().flat_map(|before| before.dependencies.iter().cloned()));
            dependencies.sort_unstable();
            dependencies.dedup();
            Object {
                identity: intent.identity.clone(),
                value,
                status,
                dependencies,
                create_before_destroy: intent.create_before_destroy,
                provider: intent.provider.clone(),
                kept: before.map(|before| before.kept.clone()).unwrap_or_default(),
            }
        }
    });
    OutcomeRecord {
        address: intent.address.clone(),
        action: intent.action,
        identity: intent.identity.clone(),
        result: Tried::Resolved,
        object,
        report: None,
    }
}
