//! Nothing is touched that the plan is not to touch.

use std::collections::{BTreeMap, BTreeSet};

use andon_plan::{Plan, PlanInput, PlannedAction, PlannedChange};
use andon_schema::{ResourceAddress, TargetAddress};

use crate::{Finding, Rule};

pub(crate) fn scope(plan: &Plan, input: &PlanInput, findings: &mut Vec<Finding>) {
    excluded(plan, input, findings);
    deferred(plan, findings);
    targeted(plan, input, findings);
}

fn excluded(plan: &Plan, input: &PlanInput, findings: &mut Vec<Finding>) {
    for exclude in &input.scope.excludes {
        let whole = exclude.resource.as_ref().is_none_or(|resource| resource.key.is_none());
        for change in &plan.changes {
            let needs = |change: &PlannedChange| change.dependencies.iter().any(|resource| exclude.names(resource));
            if exclude.has(&change.address) {
                findings.push(Finding::about(&change.address, Rule::Scope, "it is excluded, and changes"));
            } else if whole && !removes(&change.action) && needs(change) {
                findings.push(Finding::about(&change.address, Rule::Scope, "it changes, and needs what is excluded"));
            }
        }
    }
}

fn deferred(plan: &Plan, findings: &mut Vec<Finding>) {
    for deferred in &plan.deferred {
        let stack = if deferred.stack.is_empty() { None } else { Some(deferred.stack.clone()) };
        let Ok(target) = TargetAddress::parse(&deferred.address) else { continue };
        let target = TargetAddress { stack, ..target };
        for change in plan.changes.iter().filter(|change| target.has(&change.address)) {
            findings.push(Finding::about(&change.address, Rule::Scope, "it is not planned yet, and changes"));
        }
    }
}

fn targeted(plan: &Plan, input: &PlanInput, findings: &mut Vec<Finding>) {
    let targets = &input.scope.targets;
    if targets.is_empty() {
        return;
    }
    // What each resource needs: by the plan, and by the state where the plan does not change it.
    let mut needs: BTreeMap<&ResourceAddress, BTreeSet<&ResourceAddress>> = BTreeMap::new();
    let stated = input.state.objects().map(|(address, object)| (&address.resource, &object.dependencies));
    let planned = plan.changes.iter().map(|change| (&change.address.resource, &change.dependencies));
    let kept = plan.depends.iter().map(|depends| (&depends.address.resource, &depends.dependencies));
    for (resource, dependencies) in stated.chain(planned).chain(kept) {
        needs.entry(resource).or_default().extend(dependencies);
    }
    // Of what has no instances there is no saying what it needs.
    let is_open = |target: &&TargetAddress| !needs.keys().any(|resource| target.names(resource));
    if targets.iter().any(|target| is_open(&target)) || !plan.deferred.is_empty() {
        return;
    }
    let mut allowed: BTreeSet<&ResourceAddress> = BTreeSet::new();
    let mut open: Vec<&ResourceAddress> =
        needs.keys().copied().filter(|resource| targets.iter().any(|target| target.names(resource))).collect();
    while let Some(resource) = open.pop() {
        if allowed.insert(resource) {
            open.extend(needs.get(resource).into_iter().flatten());
        }
    }
    let removed: BTreeSet<&ResourceAddress> =
        plan.changes.iter().filter(|change| removes(&change.action)).map(|change| &change.address.resource).collect();
    for change in &plan.changes {
        let uses_removed = removes(&change.action) && change.dependencies.iter().any(|it| removed.contains(it));
        let is_fine =
            change.action == PlannedAction::Read || uses_removed || allowed.contains(&change.address.resource);
        if !is_fine {
            findings.push(Finding::about(
                &change.address,
                Rule::Scope,
                "it changes, and nothing that is targeted needs it",
            ));
        }
    }
}

fn removes(action: &PlannedAction) -> bool {
    matches!(action, PlannedAction::Delete | PlannedAction::DeleteDeposed)
}
