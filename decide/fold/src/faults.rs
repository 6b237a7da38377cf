use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{Action, EnvironmentState, Event, Fault, OutcomeRecord};
use andon_schema::{Identity, InstanceAddress};
use andon_value::Value;

/// Events, each followed by what it means for the faults that are known: an object that tells of one for the first time
/// has one from then on, and one that no longer does has none. `here` is the state before them.
pub fn with_faults(here: &EnvironmentState, events: Vec<Event>) -> Vec<Event> {
    let mut known: BTreeMap<InstanceAddress, bool> = BTreeMap::new();
    let mut all = Vec::with_capacity(events.len());
    for event in events {
        let told =
            told(here, &event).map(|(address, value)| (address.clone(), Fault::told(address, value).map(Arc::from)));
        all.push(event);
        let Some((address, fault)) = told else { continue };
        let was_known = known.get(&address).copied().unwrap_or_else(|| here.faults.contains_key(&address));
        if was_known != fault.is_some() {
            known.insert(address.clone(), fault.is_some());
            all.push(Event::Faulted { address, fault });
        }
    }
    all
}

/// What an event says of the object that is in use from then on.
fn told<'e>(here: &EnvironmentState, event: &'e Event) -> Option<(&'e InstanceAddress, &'e Value)> {
    let is_used = |address: &InstanceAddress, identity: &Identity| {
        here.current(address).is_none_or(|current| current.identity == *identity)
    };
    match event {
        Event::Outcome(OutcomeRecord { action: Action::Create, address, object: Some(object), .. }) => {
            Some((address, &object.value))
        }
        Event::Outcome(OutcomeRecord { address, object: Some(object), .. })
        | Event::Adopted { address, object, deposed: false }
            if is_used(address, &object.identity) =>
        {
            Some((address, &object.value))
        }
        Event::Observed { address, identity, value: Some(value), .. } if is_used(address, identity) => {
            Some((address, value))
        }
        _ => None,
    }
}
