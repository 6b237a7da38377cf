use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{
    Action, Entry, EnvironmentState, Event, Fault, FileOrigin, InstanceState, Intent, OutcomeRecord, Result as Tried,
    RunId, RunStatus, State, Timestamp,
};
use andon_schema::{Identity, InstanceAddress, Object, ObjectStatus};

/// An entry that cannot follow the entries before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {sequence} of the ledger{} cannot follow those before it: {reason}", about(.address))]
pub struct ReplayError {
    /// The place of the entry in the ledger.
    pub sequence: u64,
    /// The instance that it is about, where it is about one.
    pub address: Option<Box<InstanceAddress>>,
    /// Why.
    pub reason: Illegal,
}

/// Why an event cannot follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// An entry is missing, or is there twice.
    #[error("the entry after {after} must be {}", after + 1)]
    Sequence {
        /// The last entry before it.
        after: u64,
    },
    /// A run began while another one was open.
    #[error("run {0} has not ended")]
    RunIsOpen(RunId),
    /// Something happened, or a run ended, and no run was open.
    #[error("no run is open in the environment")]
    NoRun,
    /// An event of one run came while another one was open.
    #[error("run {0} is open, and only its events can come")]
    OtherRun(RunId),
    /// A run ended well with an intent whose outcome is not known.
    #[error("the run cannot have succeeded, as the outcome of object {0} is not known")]
    OpenIntent(Identity),
    /// An effect on an object was to be tried while the outcome of the one before it was not known.
    #[error("object {0} has an intent already, whose outcome is not known")]
    AlreadyPending(Identity),
    /// An object was to be made under the name of another.
    #[error("there is an object {0} already")]
    NotNew(Identity),
    /// The event is about an object that the instance does not have.
    #[error("the instance has no object {0}")]
    NoObject(Identity),
    /// An outcome came for which there is no intent.
    #[error("there is no intent for object {0} that it answers")]
    NoIntent(Identity),
    /// An outcome tells of another instance, or of another action, than its intent.
    #[error("the intent for object {identity} was to {} {address}", verb(*.action))]
    OtherIntent {
        /// The object.
        identity: Identity,
        /// The intent's instance.
        address: Box<InstanceAddress>,
        /// The intent's action.
        action: Action,
    },
    /// An outcome for one object brings another.
    #[error("the outcome for object {expected} brings object {found}")]
    OtherObject {
        /// The object of the outcome.
        expected: Identity,
        /// The object that it brings.
        found: Identity,
    },
    /// A creation or update worked, and there is no object.
    #[error("it worked, and yet there is no object {0}")]
    NothingLeft(Identity),
    /// A deletion worked, and there is an object.
    #[error("it worked, and yet object {0} is still there")]
    StillThere(Identity),
    /// An instance moved to an address that is in use.
    #[error("{0} has objects of its own")]
    Occupied(Box<InstanceAddress>),
    /// An instance that has no object moved.
    #[error("there is nothing to move")]
    NothingToMove,
    /// Progress is never stored.
    #[error("progress is shown, not stored")]
    Progress,
}

/// Folds one entry into a state. A refused entry leaves the state as it was.
///
/// The cost is that of a few look-ups by name, whatever the size of the state.
pub fn apply(state: &mut State, entry: &Entry) -> Result<(), ReplayError> {
    check(state, entry)?;
    perform(state, entry);
    state.sequence = entry.sequence;
    Ok(())
}

/// Whether an entry can follow those that are in a state.
pub fn check(state: &State, entry: &Entry) -> Result<(), ReplayError> {
    let verdict = if entry.sequence == state.sequence.saturating_add(1) {
        legal(state, &entry.environment, &entry.run, &entry.event)
    } else {
        Err(Illegal::Sequence { after: state.sequence })
    };
    verdict.map_err(|reason| ReplayError {
        sequence: entry.sequence,
        address: address_of(&entry.event).cloned().map(Box::new),
        reason,
    })
}

/// The state that entries fold into, from nothing.
pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<State, ReplayError> {
    let mut state = State::default();
    for entry in entries {
        apply(&mut state, entry)?;
    }
    Ok(state)
}

/// Whether events can happen next in an environment, one after the other: what a writer asks before it appends several
/// at once. Its cost follows the events, not the state.
pub fn legal_in_order(state: &State, environment: &str, run: &RunId, events: &[Event]) -> Result<(), ReplayError> {
    let mut scratch = excerpt(state, environment, events);
    let environment: Arc<str> = environment.into();
    for event in events {
        let sequence = scratch.sequence.saturating_add(1);
        let (run, event) = (run.clone(), event.clone());
        let entry = Entry { sequence, at: Timestamp(0), run, environment: Arc::clone(&environment), event };
        apply(&mut scratch, &entry)?;
    }
    Ok(())
}

/// Whether an event can happen next in an environment: what a writer asks before it appends one.
pub fn legal(state: &State, environment: &str, run: &RunId, event: &Event) -> Result<(), Illegal> {
    let nothing = EnvironmentState::default();
    let here = state.environments.get(environment).unwrap_or(&nothing);
    match (event, &here.open_run) {
        (Event::Progress(_), _) => return Err(Illegal::Progress),
        (Event::RunBegan { .. }, Some(open)) => return Err(Illegal::RunIsOpen(open.clone())),
        (Event::RunBegan { .. }, None) => return Ok(()),
        (_, None) => return Err(Illegal::NoRun),
        (_, Some(open)) if open != run => return Err(Illegal::OtherRun(open.clone())),
        (_, Some(_)) => {}
    }
    match event {
        Event::RunEnded { status: RunStatus::Succeeded, .. } => match here.pending.keys().next() {
            Some(identity) => Err(Illegal::OpenIntent(identity.clone())),
            None => Ok(()),
        },
        Event::Intent(intent) => legal_intent(state, here, intent),
        Event::Outcome(outcome) => legal_outcome(here, outcome),
        Event::Observed { address, identity, .. }
        | Event::Depends { address, identity, .. }
        | Event::Marked { address, identity, .. } => {
            not_pending(here, identity)?;
            exists(here, address, identity)
        }
        Event::Forgotten { address, identity } => match here.pending.get(identity) {
            Some(intent) if intent.address == *address => Ok(()),
            _ => exists(here, address, identity),
        },
        Event::Adopted { address, object, deposed } => legal_adoption(state, here, address, object, *deposed),
        Event::Moved { from, to } => legal_move(here, from, to),
        Event::RunBegan { .. }
        | Event::RunEnded { .. }
        | Event::Published { .. }
        | Event::Withdrawn { .. }
        | Event::DataRead { .. }
        | Event::DataDropped { .. }
        | Event::Drifted { .. }
        | Event::Faulted { .. }
        | Event::Checked { .. }
        | Event::WentOn { .. }
        | Event::Progress(_) => Ok(()),
    }
}

fn legal_adoption(
    state: &State,
    here: &EnvironmentState,
    address: &InstanceAddress,
    object: &Object,
    deposed: bool,
) -> Result<(), Illegal> {
    let identity = &object.identity;
    not_pending(here, identity)?;
    let there = here.instances.get(address);
    let current = there.and_then(|there| there.current.as_ref());
    match current {
        Some(current) if current.identity == *identity && deposed => Err(Illegal::NotNew(identity.clone())),
        Some(current) if current.identity == *identity => Ok(()),
        Some(_) if !deposed => Err(Illegal::Occupied(Box::new(address.clone()))),
        _ if here.object(address, identity).is_some() => Ok(()),
        _ if state.identities.contains(identity) => Err(Illegal::NotNew(identity.clone())),
        _ => Ok(()),
    }
}

fn legal_intent(state: &State, here: &EnvironmentState, intent: &Intent) -> Result<(), Illegal> {
    not_pending(here, &intent.identity)?;
    match intent.action {
        Action::Create if state.identities.contains(&intent.identity) => Err(Illegal::NotNew(intent.identity.clone())),
        Action::Create => Ok(()),
        Action::Update | Action::Delete => exists(here, &intent.address, &intent.identity),
    }
}

fn legal_outcome(here: &EnvironmentState, outcome: &OutcomeRecord) -> Result<(), Illegal> {
    let identity = &outcome.identity;
    let Some(intent) = here.pending.get(identity) else {
        return Err(Illegal::NoIntent(identity.clone()));
    };
    if intent.address != outcome.address || intent.action != outcome.action {
        return Err(Illegal::OtherIntent {
            identity: identity.clone(),
            address: Box::new(intent.address.clone()),
            action: intent.action,
        });
    }
    match (&outcome.result, outcome.action, &outcome.object) {
        (_, _, Some(object)) if object.identity != *identity => {
            Err(Illegal::OtherObject { expected: identity.clone(), found: object.identity.clone() })
        }
        (Tried::Done, Action::Create | Action::Update, None) => Err(Illegal::NothingLeft(identity.clone())),
        (Tried::Done, Action::Delete, Some(_)) => Err(Illegal::StillThere(identity.clone())),
        _ => Ok(()),
    }
}

fn legal_move(here: &EnvironmentState, from: &InstanceAddress, to: &InstanceAddress) -> Result<(), Illegal> {
    if !here.instances.contains_key(from) {
        return Err(Illegal::NothingToMove);
    }
    if here.instances.contains_key(to) {
        return Err(Illegal::Occupied(Box::new(to.clone())));
    }
    // Only what is being tried right now is pending, so this look at each of them is short.
    match here.pending.values().find(|intent| intent.address == *from || intent.address == *to) {
        Some(intent) => Err(Illegal::AlreadyPending(intent.identity.clone())),
        None => Ok(()),
    }
}

fn not_pending(here: &EnvironmentState, identity: &Identity) -> Result<(), Illegal> {
    if here.pending.contains_key(identity) { Err(Illegal::AlreadyPending(identity.clone())) } else { Ok(()) }
}

fn exists(here: &EnvironmentState, address: &InstanceAddress, identity: &Identity) -> Result<(), Illegal> {
    here.object(address, identity).map(|_| ()).ok_or_else(|| Illegal::NoObject(identity.clone()))
}

/// Of a state, all that decides whether events are legal.
fn excerpt(state: &State, environment: &str, events: &[Event]) -> State {
    let mut excerpt = EnvironmentState::default();
    if let Some(here) = state.environments.get(environment) {
        excerpt.open_run.clone_from(&here.open_run);
        let addresses = events.iter().flat_map(|event| match event {
            Event::Moved { from, to } => [Some(from), Some(to)],
            event => [address_of(event), None],
        });
        for address in addresses.flatten() {
            excerpt
                .instances
                .extend(here.instances.get_key_value(address).map(|(key, there)| (key.clone(), there.clone())));
        }
        if events.iter().any(|event| matches!(event, Event::Moved { .. } | Event::RunEnded { .. })) {
            excerpt.pending.clone_from(&here.pending);
        }
        for identity in events.iter().filter_map(identity_of) {
            excerpt
                .pending
                .extend(here.pending.get_key_value(identity).map(|(key, there)| (key.clone(), there.clone())));
        }
    }
    let mut excerpt = State::new(state.sequence, BTreeMap::from([(environment.into(), excerpt)]));
    let identities = events.iter().filter_map(identity_of);
    excerpt.identities.extend(identities.filter(|identity| state.identities.contains(*identity)).cloned());
    excerpt
}

fn perform(state: &mut State, entry: &Entry) {
    let here = state.environments.entry(Arc::clone(&entry.environment)).or_default();
    match &entry.event {
        Event::RunBegan { .. } => here.open_run = Some(entry.run.clone()),
        Event::RunEnded { .. } => here.open_run = None,
        Event::Intent(intent) => {
            here.pending.insert(intent.identity.clone(), intent.clone());
            state.identities.insert(intent.identity.clone());
        }
        Event::Outcome(outcome) => {
            here.pending.remove(&outcome.identity);
            if outcome.result == Tried::Done {
                here.drifted.remove(&outcome.address);
            }
            match &outcome.object {
                Some(object) => put(here, outcome, object.clone()),
                None => {
                    remove(here, &outcome.address, &outcome.identity);
                    state.identities.remove(&outcome.identity);
                }
            }
        }
        Event::Observed { address, identity, value: Some(value), kept } => {
            if let Some(object) = here.instances.get_mut(address).and_then(|instance| find(instance, identity)) {
                (object.value, object.kept) = (value.clone(), kept.clone());
            }
        }
        Event::Adopted { address, object, deposed } => {
            let instance = here.instances.entry(address.clone()).or_default();
            match (find(instance, &object.identity), deposed) {
                (Some(known), _) => *known = object.clone(),
                (None, true) => instance.deposed.push(object.clone()),
                (None, false) => instance.current = Some(object.clone()),
            }
            state.identities.insert(object.identity.clone());
        }
        Event::Marked { address, identity, status } => {
            if let Some(object) = here.instances.get_mut(address).and_then(|instance| find(instance, identity)) {
                object.status = *status;
            }
        }
        Event::DataRead { address, data } => {
            here.data.insert(address.clone(), data.clone());
        }
        Event::DataDropped { address } => {
            here.data.remove(address);
        }
        Event::Drifted { address, differences } if differences.is_empty() => {
            here.drifted.remove(address);
        }
        Event::Drifted { address, differences } => {
            here.drifted.insert(address.clone(), differences.clone());
        }
        Event::Faulted { address, fault: None } => {
            here.faults.remove(address);
        }
        Event::Faulted { address, fault: Some(what) } => {
            let fault = || Fault { what: Arc::clone(what), since: entry.at };
            here.faults.entry(address.clone()).or_insert_with(fault);
        }
        Event::Checked { stack, results } if results.is_empty() => {
            here.checked.remove(stack);
        }
        Event::Checked { stack, results } => {
            here.checked.insert(Arc::clone(stack), results.clone());
        }
        Event::Observed { address, identity, value: None, .. } => {
            remove(here, address, identity);
            state.identities.remove(identity);
        }
        Event::Forgotten { address, identity } => {
            here.pending.remove(identity);
            here.drifted.remove(address);
            remove(here, address, identity);
            state.identities.remove(identity);
        }
        Event::Depends { address, identity, dependencies, create_before_destroy } => {
            let instance = here.instances.get_mut(address);
            if let Some(object) = instance.and_then(|instance| find(instance, identity)) {
                object.dependencies.clone_from(dependencies);
                object.create_before_destroy = *create_before_destroy;
            }
        }
        Event::Moved { from, to } => {
            if let Some(instance) = here.instances.remove(from) {
                here.instances.insert(to.clone(), instance);
            }
            if let Some(differences) = here.drifted.remove(from) {
                here.drifted.insert(to.clone(), differences);
            }
            if let Some(fault) = here.faults.remove(from) {
                here.faults.insert(to.clone(), fault);
            }
        }
        Event::Published { stack, outputs } => {
            here.published.insert(Arc::clone(stack), outputs.clone());
        }
        Event::Withdrawn { stack } => {
            here.published.remove(stack);
        }
        Event::WentOn { stack, lineage, serial } => {
            let through = entry.sequence.saturating_add(1);
            let origin = FileOrigin { lineage: Arc::clone(lineage), serial: *serial, through };
            here.files.insert(Arc::clone(stack), origin);
        }
        Event::Progress(_) => {}
    }
}

/// Takes up an object as an outcome left it. Where it is new, it is the one in use, and the one that was is deposed.
fn put(here: &mut EnvironmentState, outcome: &OutcomeRecord, mut object: Object) {
    if outcome.action == Action::Create && matches!(outcome.result, Tried::Failed(_)) {
        object.status = ObjectStatus::Tainted;
    }
    let instance = here.instances.entry(outcome.address.clone()).or_default();
    match find(instance, &object.identity) {
        Some(known) => *known = object,
        None => instance.deposed.extend(instance.current.replace(object)),
    }
}

fn remove(here: &mut EnvironmentState, address: &InstanceAddress, identity: &Identity) {
    let Some(instance) = here.instances.get_mut(address) else { return };
    instance.current.take_if(|object| object.identity == *identity);
    instance.deposed.retain(|object| object.identity != *identity);
    if instance.current.is_none() {
        here.faults.remove(address);
    }
    if instance.is_empty() {
        here.instances.remove(address);
    }
}

fn find<'a>(instance: &'a mut InstanceState, identity: &Identity) -> Option<&'a mut Object> {
    instance.current.iter_mut().chain(&mut instance.deposed).find(|object| object.identity == *identity)
}

fn address_of(event: &Event) -> Option<&InstanceAddress> {
    match event {
        Event::Intent(Intent { address, .. })
        | Event::Outcome(OutcomeRecord { address, .. })
        | Event::Observed { address, .. }
        | Event::Forgotten { address, .. }
        | Event::Depends { address, .. }
        | Event::Adopted { address, .. }
        | Event::Marked { address, .. }
        | Event::DataRead { address, .. }
        | Event::DataDropped { address }
        | Event::Drifted { address, .. }
        | Event::Faulted { address, .. }
        | Event::Moved { from: address, .. } => Some(address),
        _ => None,
    }
}

fn identity_of(event: &Event) -> Option<&Identity> {
    match event {
        Event::Intent(Intent { identity, .. })
        | Event::Outcome(OutcomeRecord { identity, .. })
        | Event::Observed { identity, .. }
        | Event::Forgotten { identity, .. }
        | Event::Marked { identity, .. }
        | Event::Depends { identity, .. } => Some(identity),
        Event::Adopted { object, .. } => Some(&object.identity),
        _ => None,
    }
}

fn about(address: &Option<Box<InstanceAddress>>) -> String {
    address.as_ref().map(|address| format!(", about {address},")).unwrap_or_default()
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
    }
}
