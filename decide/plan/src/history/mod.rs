//! The history of objects: what `moved`, `removed` and `import` blocks say of those that are there.

mod moved_state;
mod moves;
mod removed;
mod statement;

use std::sync::Arc;

use andon_ledger::{EnvironmentState, Event};

use crate::{Depends, Plan};

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
    moves.chain(depends).collect()
}

/// The state once [`records`] are written.
pub(crate) fn settled(state: &Arc<EnvironmentState>, plan: &Plan) -> Arc<EnvironmentState> {
    if plan.moves.is_empty() { Arc::clone(state) } else { Arc::new(after_moves(state, &plan.moves)) }
}
