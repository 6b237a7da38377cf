//! What waits for what.

use std::collections::{BTreeMap, BTreeSet};

use andon_ledger::EnvironmentState;
use andon_plan::{Plan, PlannedAction, PlannedChange, ReplaceOrder, StepKind};
use andon_schema::{InstanceAddress, ResourceAddress};

use crate::{Finding, Rule};

pub(crate) fn steps(plan: &Plan, findings: &mut Vec<Finding>) {
    let mut seen: BTreeSet<StepKind> = BTreeSet::new();
    for (at, step) in plan.steps.iter().enumerate() {
        if step.after.iter().any(|before| *before >= at) {
            findings.push(Finding::general(Rule::Steps, format!("step {at} waits for itself or a later step")));
        }
        if step.kind == StepKind::Gather {
            continue;
        }
        if step.kind.change().is_none_or(|change| change >= plan.changes.len()) {
            findings.push(Finding::general(Rule::Steps, format!("step {at} is of no change")));
        }
        if !seen.insert(step.kind) {
            findings.push(Finding::general(Rule::Steps, format!("step {at} is there twice")));
        }
    }
    for (at, change) in plan.changes.iter().enumerate() {
        let (makes, removes) = match change.action {
            PlannedAction::Create | PlannedAction::Update | PlannedAction::Read => (true, false),
            PlannedAction::Replace { .. } => (true, true),
            PlannedAction::Delete | PlannedAction::DeleteDeposed | PlannedAction::Forget => (false, true),
        };
        for (kind, expected) in [(StepKind::Make(at), makes), (StepKind::Remove(at), removes)] {
            if seen.contains(&kind) != expected {
                let message =
                    if expected { "a step of it is missing" } else { "it has a step that it should not have" };
                findings.push(Finding::about(&change.address, Rule::Steps, message));
            }
        }
    }
}

pub(crate) fn replace_order(plan: &Plan, state: &EnvironmentState, findings: &mut Vec<Finding>) {
    let places = places(plan);
    let held = held(plan, state);
    for (at, change) in plan.changes.iter().enumerate() {
        let PlannedAction::Replace { order, .. } = &change.action else { continue };
        let (first, second) = match order {
            ReplaceOrder::CreateFirst => (StepKind::Make(at), StepKind::Remove(at)),
            ReplaceOrder::DeleteFirst => (StepKind::Remove(at), StepKind::Make(at)),
        };
        let (Some(first), Some(second)) = (places.get(&first), places.get(&second)) else { continue };
        if !waits_for_all(plan, *second, &BTreeSet::from([*first])) {
            findings.push(Finding::about(
                &change.address,
                Rule::ReplaceOrder,
                "its parts are not in the order it says",
            ));
        }
        let creates_first = *order == ReplaceOrder::CreateFirst;
        if creates_first != change.create_before_destroy && !(creates_first && held.contains(&change.address.resource))
        {
            findings.push(Finding::about(
                &change.address,
                Rule::ReplaceOrder,
                "its order is not that of its definition",
            ));
        }
    }
}

/// What something that must be left before it goes uses or used, and the resources of which two such instances are; and all
/// that these use or used in turn, whether they change or not.
fn held<'a>(plan: &'a Plan, state: &'a EnvironmentState) -> BTreeSet<&'a ResourceAddress> {
    let mut open: Vec<&ResourceAddress> = Vec::new();
    let mut first: BTreeMap<&ResourceAddress, &InstanceAddress> = BTreeMap::new();
    let mut uses: BTreeMap<&ResourceAddress, Vec<&[ResourceAddress]>> = BTreeMap::new();
    for (address, object) in state.objects() {
        uses.entry(&address.resource).or_default().push(&object.dependencies);
    }
    for change in &plan.changes {
        let resource = &change.address.resource;
        uses.entry(resource).or_default().push(&change.dependencies);
        let left_first = match &change.action {
            PlannedAction::Replace { order, .. } => *order == ReplaceOrder::CreateFirst,
            action => action.is_removal() && change.create_before_destroy,
        };
        if left_first {
            open.extend(change.dependencies.iter().chain(stored(change, state)));
            open.extend((*first.entry(resource).or_insert(&change.address) != &change.address).then_some(resource));
        }
    }
    let mut held = BTreeSet::new();
    while let Some(resource) = open.pop() {
        if held.insert(resource) {
            open.extend(uses.get(resource).into_iter().flatten().copied().flatten());
        }
    }
    held
}

/// Where a resource has one instance, without a key, whatever reads the resource waits for what makes it. (Which of
/// several instances is read is not said in the plan.)
pub(crate) fn made_before_use(plan: &Plan, findings: &mut Vec<Finding>) {
    let places = places(plan);
    let mut makers: BTreeMap<&ResourceAddress, usize> = BTreeMap::new();
    for (at, change) in plan.changes.iter().enumerate().filter(|(_, change)| change.address.key.is_none()) {
        if let Some(place) = places.get(&StepKind::Make(at)) {
            makers.insert(&change.address.resource, *place);
        }
    }
    for (at, change) in plan.changes.iter().enumerate() {
        let Some(place) = places.get(&StepKind::Make(at)) else { continue };
        let makers = change.dependencies.iter().filter_map(|resource| Some((resource, makers.get(resource)?)));
        for (resource, maker) in makers {
            if !waits_for_all(plan, *place, &BTreeSet::from([*maker])) {
                let message = format!("it does not wait for {resource}, which it reads");
                findings.push(Finding::about(&change.address, Rule::MadeBeforeUse, message));
            }
        }
    }
}

pub(crate) fn deleted_after_use(plan: &Plan, state: &EnvironmentState, findings: &mut Vec<Finding>) {
    let places = places(plan);
    let mut removers: BTreeMap<&ResourceAddress, BTreeSet<usize>> = BTreeMap::new();
    let mut links: BTreeMap<&ResourceAddress, BTreeSet<&ResourceAddress>> = BTreeMap::new();
    for (at, change) in plan.changes.iter().enumerate() {
        let Some(place) = places.get(&StepKind::Remove(at)) else { continue };
        let own = &change.address.resource;
        for used in stored(change, state).iter().filter(|used| *used != own) {
            removers.entry(used).or_default().insert(*place);
            links.entry(own).or_default().insert(used);
        }
    }
    // Of many instances of a resource, all wait for the same gathering of steps: one look at it serves all.
    let mut covering: BTreeMap<(&ResourceAddress, usize), bool> = BTreeMap::new();
    for (at, change) in plan.changes.iter().enumerate() {
        let resource = &change.address.resource;
        let (Some(place), Some(needed)) = (places.get(&StepKind::Remove(at)), removers.get(resource)) else { continue };
        let after = plan.steps.get(*place).map_or(&[][..], |step| step.after.as_slice());
        let gathers = after.iter().filter(|at| plan.steps.get(**at).is_some_and(|step| step.kind == StepKind::Gather));
        let gathered =
            gathers.copied().collect::<Vec<_>>().into_iter().any(|gather| {
                *covering.entry((resource, gather)).or_insert_with(|| waits_for_all(plan, gather, needed))
            });
        if !gathered && !waits_for_all(plan, *place, needed) && !is_circular(resource, &links) {
            let message = "it is deleted before something that uses it";
            findings.push(Finding::about(&change.address, Rule::DeletedAfterUse, message));
        }
    }
}

/// What an object that is removed was last known to use.
fn stored<'a>(change: &'a PlannedChange, state: &'a EnvironmentState) -> &'a [ResourceAddress] {
    let objects = state.instances.get(&change.address).into_iter();
    let mut objects = objects.flat_map(|instance| instance.current.iter().chain(&instance.deposed));
    objects.find(|object| Some(&object.identity) == change.identity.as_ref()).map_or(&[], |object| &object.dependencies)
}

/// Whether objects of a resource used each other in a circle, over several applies: then no order is right.
fn is_circular(resource: &ResourceAddress, links: &BTreeMap<&ResourceAddress, BTreeSet<&ResourceAddress>>) -> bool {
    let mut seen: BTreeSet<&ResourceAddress> = BTreeSet::new();
    let mut open: Vec<&ResourceAddress> = links.get(resource).into_iter().flatten().copied().collect();
    while let Some(at) = open.pop() {
        if at == resource {
            return true;
        }
        if seen.insert(at) {
            open.extend(links.get(at).into_iter().flatten().copied());
        }
    }
    // A circle further up holds its users up as well.
    links.iter().filter(|(_, used)| used.contains(resource)).any(|(user, _)| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&ResourceAddress> = links.get(*user).into_iter().flatten().copied().collect();
        while let Some(at) = open.pop() {
            if at == *user {
                return true;
            }
            if seen.insert(at) {
                open.extend(links.get(at).into_iter().flatten().copied());
            }
        }
        false
    })
}

fn places(plan: &Plan) -> BTreeMap<StepKind, usize> {
    plan.steps.iter().enumerate().map(|(at, step)| (step.kind, at)).collect()
}

/// Whether a step waits for all of these, through others or not.
fn waits_for_all(plan: &Plan, step: usize, needed: &BTreeSet<usize>) -> bool {
    let after = |at: usize| plan.steps.get(at).into_iter().flat_map(|step| step.after.iter().copied());
    let mut left: BTreeSet<usize> = needed.clone();
    left.remove(&step);
    let mut seen = BTreeSet::new();
    let mut open: std::collections::VecDeque<usize> = after(step).collect();
    while let (Some(at), false) = (open.pop_front(), left.is_empty()) {
        if seen.insert(at) {
            left.remove(&at);
            open.extend(after(at));
        }
    }
    left.is_empty()
}
