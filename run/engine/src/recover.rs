//! After a crash: each intent whose outcome nobody wrote down is resolved by looking, never by assuming.

use std::collections::BTreeMap;

use andon_ledger::{Action, Event, Intent, OutcomeRecord, Result as Tried};
use andon_schema::{Failure, InstanceAddress, Object, ObjectStatus};

use crate::planning::TICK;
use crate::{Completion, Found, Job, Journal, JournalError, Sink, Ticket, World};

/// Why a crash could not be resolved.
#[derive(Debug)]
pub enum RecoverError {
    /// The ledger could not be written.
    Journal(JournalError),
    /// The world did not say what came of an intent.
    Unresolved(Box<(InstanceAddress, Failure)>),
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
/// What could not be resolved stays pending, and the first such is the error.
pub fn recover(
    world: &mut dyn World,
    journal: &mut dyn Journal,
    sink: &mut dyn Sink,
) -> Result<Recovered, RecoverError> {
    let pending: Vec<Intent> = journal.state().pending.values().cloned().collect();
    let mut open: BTreeMap<Ticket, Intent> = BTreeMap::new();
    let mut recovered = Recovered::default();
    let mut lost = None;
    for (number, intent) in pending.into_iter().enumerate() {
        let object = known_object(journal, &intent).cloned();
        if intent.provider.is_some() {
            match object {
                Some(object) => {
                    recovered.presumed.push(resolution(journal, &intent, Found::There(object.value)));
                }
                None => lost = lost.or_else(|| Some(RecoverError::Unresolved(Box::new(unknowable(&intent))))),
            }
            continue;
        }
        let ticket = Ticket(number as u64);
        world.start(ticket, Job::Resolve { intent: intent.clone(), object });
        open.insert(ticket, intent);
    }
    let mut failure = lost;
    while !open.is_empty() {
        match world.wait(TICK) {
            Completion::Resolved(ticket, found) => {
                let Some(intent) = open.remove(&ticket) else { continue };
                match found {
                    Ok(found) => {
                        let event = Event::Outcome(resolution(journal, &intent, found));
                        sink.event(&event);
                        journal.append(vec![event])?;
                        recovered.resolved += 1;
                    }
                    Err(reason) => {
                        failure = failure.or_else(|| Some(RecoverError::Unresolved(Box::new((intent.address, reason)))))
                    }
                }
            }
            Completion::Progress(progress) => sink.event(&Event::Progress(progress)),
            Completion::Interrupted => return Err(RecoverError::Interrupted),
            Completion::Answered(..) | Completion::Finished(..) => {}
            Completion::Quiet => sink.tick(),
        }
    }
    failure.map_or(Ok(recovered), Err)
}

/// A plugin was told to make something, and nobody knows whether it did: only the user can find out.
fn unknowable(intent: &Intent) -> (InstanceAddress, Failure) {
    let address = &intent.address;
    let detail = format!(
        "An earlier run told the provider to make it, and was cut short before the answer came. It may be there and it \
         may not; {} cannot be looked for without knowing its name.",
        address.resource.kind
    );
    let wanted = intent
        .planned
        .as_ref()
        .map(|planned| format!("It was to be: {}.", andon_value::render(planned, 0)))
        .unwrap_or_default();
    let failure = Failure::new("nobody knows whether it was made", format!("{detail} {wanted}").trim_end())
        .help("Look for it where the provider makes it.")
        .help(format!("If it is there, say what its provider calls it: andon state resolve '{address}' --id ID"))
        .help(format!("If it is not there: andon state resolve '{address}' --absent"));
    (address.clone(), failure)
}

fn known_object<'a>(journal: &'a dyn Journal, intent: &Intent) -> Option<&'a Object> {
    let instance = journal.state().instances.get(&intent.address)?;
    instance.current.iter().chain(&instance.deposed).find(|object| object.identity == intent.identity)
}

/// The outcome that takes the place of the one that was never written.
fn resolution(journal: &dyn Journal, intent: &Intent, found: Found) -> OutcomeRecord {
    let (value, status) = match found {
        // What its provisioners came to, nobody knows.
        Found::There(value) if intent.provisioned => (Some(value), ObjectStatus::Tainted),
        Found::There(value) => (Some(value), ObjectStatus::Ready),
        Found::Broken(value) => (Some(value), ObjectStatus::Tainted),
        Found::Absent => (None, ObjectStatus::Ready),
    };
    let before = known_object(journal, intent);
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
