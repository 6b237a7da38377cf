//! The state that a plan was made against: what there was, as planning found it to be.

use std::collections::BTreeSet;

use andon_ledger::{EnvironmentState, InstanceState};
use andon_schema::{InstanceAddress, Object};

use crate::{Drift, Plan, PlanInput, PlanMode};

/// What there is according to a plan, before it is applied: moved, adopted, and as it was found in the world.
pub fn prior_state(input: &PlanInput, plan: &Plan) -> EnvironmentState {
    let mut prior = EnvironmentState::clone(&input.state);
    for (from, to) in &plan.moves {
        if let Some(instance) = prior.instances.remove(from) {
            prior.instances.insert(to.clone(), instance);
        }
    }
    let changed: BTreeSet<&InstanceAddress> = plan.changes.iter().map(|change| &change.address).collect();
    for adoption in &plan.adopted {
        let mut object = adoption.object.clone();
        // What is imported reads what its definition does once it is as that says, and Terraform shows it so.
        if adoption.by.is_some() && changed.contains(&adoption.address) {
            object.dependencies.clear();
        }
        prior.instances.entry(adoption.address.clone()).or_default().current = Some(object);
    }
    for drift in plan.drift.iter().chain(&plan.settled) {
        let Some(instance) = prior.instances.get_mut(&drift.address) else { continue };
        if instance.deposed.iter().any(|object| object.identity == drift.identity) {
            // Only what is gone is said of one that was replaced.
            instance.deposed.retain(|object| object.identity != drift.identity);
        } else {
            observe(drift, instance);
        }
        if instance.is_empty() {
            prior.instances.remove(&drift.address);
        }
    }
    for depends in &plan.depends {
        let current = prior.instances.get_mut(&depends.address).and_then(|instance| instance.current.as_mut());
        if let Some(object) = current {
            object.dependencies.clone_from(&depends.dependencies);
        }
    }
    // What was read while planning is all the data that there is; of a plan of a part, what was not read stays.
    if plan.mode == PlanMode::Normal && !input.scope.is_partial() {
        prior.data.retain(|address, _| !plan.stacks.contains(&address.resource.stack));
    }
    prior.data.extend(plan.data.iter().cloned());
    prior
}

/// How the object in use was found to be.
fn observe(drift: &Drift, instance: &mut InstanceState) {
    match (&drift.after, &mut instance.current) {
        (Some(value), Some(object)) => {
            *object = Object { value: value.clone(), kept: drift.kept.clone(), ..object.clone() };
        }
        _ => instance.current = None,
    }
}
