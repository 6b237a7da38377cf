//! What the definitions protect is left where it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_plan::{Plan, PlanInput, PlannedAction};
use andon_schema::{Mode, ResourceAddress};

use crate::{Finding, Rule};

/// A resource without the keys of the modules around it: what one block defines.
type Defined = (Arc<str>, Vec<Arc<str>>, Mode, Arc<str>, Arc<str>);

pub(crate) fn protected(plan: &Plan, input: &PlanInput, findings: &mut Vec<Finding>) {
    let protected = definitions(input);
    for change in &plan.changes {
        let goes = matches!(change.action, PlannedAction::Delete | PlannedAction::Replace { .. });
        if goes && protected.contains(&defined(&change.address.resource)) {
            let message = format!("to {} it is forbidden by prevent_destroy", change.action);
            findings.push(Finding::about(&change.address, Rule::Protected, message));
        }
    }
}

/// All blocks that say `prevent_destroy`.
fn definitions(input: &PlanInput) -> BTreeSet<Defined> {
    let mut found = BTreeSet::new();
    let stacks = input.project.stacks.iter();
    let mut open: Vec<_> = stacks.map(|(name, stack)| (name, Vec::new(), &stack.module)).collect();
    while let Some((stack, path, module)) = open.pop() {
        for (key, definition) in &module.resources {
            if definition.lifecycle.prevent_destroy {
                let (kind, name) = (Arc::clone(&key.kind), Arc::clone(&key.name));
                found.insert((Arc::clone(stack), path.clone(), key.mode, kind, name));
            }
        }
        for (name, call) in &module.calls {
            let path = path.iter().chain([name]).cloned().collect();
            open.push((stack, path, &call.module));
        }
    }
    found
}

fn defined(address: &ResourceAddress) -> Defined {
    let ResourceAddress { stack, module, mode, kind, name } = address.clone();
    (stack, module.iter().map(|step| Arc::clone(&step.name)).collect(), mode, kind, name)
}
