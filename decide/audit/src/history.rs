//! What moves, and what is forgotten.

use std::borrow::Cow;
use std::collections::BTreeMap;

use andon_lang::definitions::{Module, Target};
use andon_ledger::EnvironmentState;
use andon_plan::{Plan, PlanInput, PlannedAction};
use andon_schema::{InstanceAddress, ResourceAddress};

use crate::{Finding, Rule};

/// The state after the plan's moves, each of which must be one that can be done then.
pub(crate) fn moved<'a>(plan: &Plan, input: &'a PlanInput, findings: &mut Vec<Finding>) -> Cow<'a, EnvironmentState> {
    if plan.moves.is_empty() && plan.adopted.is_empty() {
        return Cow::Borrowed(&input.state);
    }
    let mut state = EnvironmentState::clone(&input.state);
    let mut names: BTreeMap<ResourceAddress, ResourceAddress> = BTreeMap::new();
    for (from, to) in &plan.moves {
        let mut wrong = |message: String| findings.push(Finding::about(to, Rule::Moved, message));
        if from.resource.stack != to.resource.stack || !plan.stacks.contains(&to.resource.stack) {
            wrong(format!("{from} moves to it, and the plan does not cover both"));
        }
        if state.instances.contains_key(to) {
            wrong(format!("{from} moves to it, and it has an object"));
        } else if let Some(instance) = state.instances.remove(from) {
            state.instances.insert(to.clone(), instance);
        } else {
            wrong(format!("{from} moves to it, and has no object"));
        }
        if !is_defined_twice(from, to) && !some_block_moves(input, to) {
            wrong(format!("{from} moves to it, and no definition says so"));
        }
        names.insert(from.resource.clone(), to.resource.clone());
    }
    for instance in state.instances.values_mut() {
        for object in instance.current.iter_mut().chain(&mut instance.deposed) {
            for used in &mut object.dependencies {
                if let Some(name) = names.get(used) {
                    used.clone_from(name);
                }
            }
        }
    }
    adopt(plan, input, &mut state, findings);
    Cow::Owned(state)
}

/// Takes up what is imported, each where nothing is and where a block says so; and what is of another type now.
fn adopt(plan: &Plan, input: &PlanInput, state: &mut EnvironmentState, findings: &mut Vec<Finding>) {
    for adoption in &plan.adopted {
        let address = &adoption.address;
        let mut wrong = |message: &str| findings.push(Finding::about(address, Rule::Adopted, message));
        let current = state.current(address).map(|object| &object.identity);
        if !plan.stacks.contains(&address.resource.stack) {
            wrong("it is imported into, and the plan does not cover it");
        }
        match &adoption.by {
            Some(_) if current.is_some() => wrong("it is imported into, and it has an object"),
            Some(_) if !some_block_imports(input, address) => wrong("it is imported into, and no definition says so"),
            None if current != Some(&adoption.object.identity) => wrong("another object than its own changes its type"),
            _ => {}
        }
        state.instances.entry(address.clone()).or_default().current = Some(adoption.object.clone());
    }
}

fn some_block_imports(input: &PlanInput, address: &InstanceAddress) -> bool {
    let stack = input.project.stacks.get(&address.resource.stack);
    stack.is_some_and(|stack| {
        stack.module.imports.iter().any(|import| {
            let (to, resource) = (&import.to, &address.resource);
            to.resource.kind == resource.kind
                && to.resource.name == resource.name
                && to.module.len() == resource.module.len()
                && to.module.iter().zip(resource.module.iter()).all(|((name, _), step)| name.name == step.name)
        })
    })
}

/// Whether a `count` that came or went may be the reason: only the key differs.
fn is_defined_twice(from: &InstanceAddress, to: &InstanceAddress) -> bool {
    from.resource == to.resource && from.key.is_some() != to.key.is_some()
}

/// Whether a `moved` block of the stack ends at an address or around it.
fn some_block_moves(input: &PlanInput, to: &InstanceAddress) -> bool {
    let Some(stack) = input.project.stacks.get(&to.resource.stack) else { return false };
    let mut module: &Module = &stack.module;
    let mut way = &*to.resource.module;
    loop {
        if module.moved.iter().any(|moved| names(&moved.to, way, to)) {
            return true;
        }
        let Some((step, rest)) = way.split_first() else { return false };
        let Some(call) = module.calls.get(&step.name) else { return false };
        (module, way) = (&call.module, rest);
    }
}

/// Whether what a block names, from a module, is an instance or a module around it; whatever the keys.
fn names(target: &Target, way: &[andon_schema::ModuleStep], address: &InstanceAddress) -> bool {
    let same = target.module.iter().zip(way).all(|(one, other)| one.name == other.name);
    match &target.resource {
        Some((key, _)) => {
            let ResourceAddress { mode, kind, name, .. } = &address.resource;
            same && target.module.len() == way.len() && key.mode == *mode && key.kind == *kind && key.name == *name
        }
        None => same && target.module.len() <= way.len(),
    }
}

/// Only what a `removed` block says is forgotten, and what is defined never.
pub(crate) fn forgotten(plan: &Plan, input: &PlanInput, findings: &mut Vec<Finding>) {
    for change in plan.changes.iter().filter(|change| change.action == PlannedAction::Forget) {
        if !some_block_forgets(input, &change.address) {
            let message = "it is forgotten, and no definition says so";
            findings.push(Finding::about(&change.address, Rule::Accounted, message));
        }
    }
}

fn some_block_forgets(input: &PlanInput, address: &InstanceAddress) -> bool {
    let Some(stack) = input.project.stacks.get(&address.resource.stack) else { return false };
    let mut module: &Module = &stack.module;
    let mut way = &*address.resource.module;
    let mut found = false;
    loop {
        found |= module.removed.iter().any(|removed| !removed.destroy && names(&removed.from, way, address));
        let Some((step, rest)) = way.split_first() else { break };
        let Some(call) = module.calls.get(&step.name) else { return found };
        (module, way) = (&call.module, rest);
    }
    let ResourceAddress { mode, kind, name, .. } = &address.resource;
    found && !module.resources.keys().any(|key| key.mode == *mode && key.kind == *kind && key.name == *name)
}
