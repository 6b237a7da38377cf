//! The history of objects: what `moved`, `removed` and `import` blocks say of those that are there.

mod by_hand;
mod files;
mod imports;
mod moved_state;
mod moves;
mod removed;
mod statement;

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{EnvironmentState, Event};
use andon_schema::Identity;

use crate::{Adoption, Depends, Plan};

pub use by_hand::{HandError, StateAddress, moved_by_hand};
pub use files::{Closure, TakeOverError, state_file, state_of_file, taken_over};
pub(crate) use imports::Imports;
use moved_state::{after_moves, redirected};
pub(crate) use moves::{Moves, moves};

/// What an apply writes down before anything else, so that the ledger knows each object as the plan does.
pub(crate) fn records(state: &EnvironmentState, plan: &Plan) -> Vec<Event> {
    let moves = plan.moves.iter().map(|(from, to)| Event::Moved { from: from.clone(), to: to.clone() });
    let depends = redirected(state, &plan.moves).into_iter().map(
        |Depends { address, identity, dependencies, create_before_destroy }| Event::Depends {
            address,
            identity,
            dependencies,
            create_before_destroy,
        },
    );
    let adopted = plan.adopted.iter().map(|Adoption { address, object, .. }| {
        let (address, object) = (address.clone(), object.clone());
        Event::Adopted { address, object, deposed: false }
    });
    moves.chain(depends).chain(adopted).collect()
}

/// The state once [`records`] are written.
pub(crate) fn settled(state: &Arc<EnvironmentState>, plan: &Plan) -> Arc<EnvironmentState> {
    if plan.moves.is_empty() && plan.adopted.is_empty() {
        return Arc::clone(state);
    }
    let mut after = after_moves(state, &plan.moves);
    for Adoption { address, object, .. } in &plan.adopted {
        after.instances.entry(address.clone()).or_default().current = Some(object.clone());
    }
    Arc::new(after)
}

/// Gives what a plan imports names that no object ever had, throughout the plan.
pub(crate) fn name_adopted(plan: &mut Plan, identities: &mut dyn FnMut() -> Identity) {
    let mut names: BTreeMap<Identity, Identity> = BTreeMap::new();
    for adoption in plan.adopted.iter_mut().filter(|adoption| adoption.by.is_some()) {
        let name = identities();
        let old = std::mem::replace(&mut adoption.object.identity, name.clone());
        names.insert(old, name);
    }
    let changed = plan.changes.iter_mut().filter_map(|change| change.identity.as_mut());
    for identity in changed.chain(plan.depends.iter_mut().map(|depends| &mut depends.identity)) {
        if let Some(name) = names.get(identity) {
            identity.clone_from(name);
        }
    }
}
