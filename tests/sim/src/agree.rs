//! Whether world and ledger agree.

use andon_ledger::EnvironmentState;
use andon_schema::Identity;

use crate::earth::Earth;
use crate::kinds::{HOST, bare};

/// Everything in which they do not: each object of the world is in the state under its identity with equal attributes,
/// and each object of the state is in the world. Of what an open intent is about, nobody knows.
pub(crate) fn differences(state: &EnvironmentState, earth: &Earth) -> Vec<String> {
    let mut problems = Vec::new();
    let mut known: Vec<&Identity> = Vec::new();
    for (address, object) in state.objects().filter(|(address, _)| &*address.resource.kind != HOST) {
        let identity = &object.identity;
        known.push(identity);
        if state.pending.contains_key(identity) {
            continue;
        }
        match earth.things.get(identity) {
            None => problems.push(format!("the state has {address} ({identity}), and the world does not")),
            Some(thing) if thing.value != bare(&object.value) => {
                problems.push(format!(
                    "{address} ({identity}) is {:?} in the world, and {:?} in the state",
                    thing.value, object.value
                ));
            }
            Some(_) => {}
        }
    }
    known.sort();
    for (identity, thing) in &earth.things {
        if !thing.free && known.binary_search(&identity).is_err() && !state.pending.contains_key(identity) {
            problems.push(format!("the world has {} ({identity}), and the state does not", thing.address));
        }
    }
    problems
}

/// Every object of the world that is neither in the state nor announced by an open intent: it would be lost.
pub(crate) fn lost(state: &EnvironmentState, earth: &Earth) -> Vec<String> {
    let known = |identity: &Identity| {
        state.pending.contains_key(identity) || state.objects().any(|(_, object)| object.identity == *identity)
    };
    let unknown = earth.things.iter().filter(|(identity, thing)| !thing.free && !known(identity));
    unknown.map(|(identity, thing)| format!("{} ({identity}) is lost: no record tells of it", thing.address)).collect()
}
