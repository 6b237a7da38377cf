//! Every object is accounted for, and every change is about one.

use std::collections::{BTreeMap, BTreeSet};

use andon_ledger::EnvironmentState;
use andon_plan::{Plan, PlanInput, PlanMode, PlannedAction};
use andon_schema::{Identity, InstanceAddress, Object};

use crate::{Finding, Rule};

pub(crate) fn accounted(plan: &Plan, state: &EnvironmentState, input: &PlanInput, findings: &mut Vec<Finding>) {
    let whole = !input.scope.is_partial() && plan.deferred.is_empty();
    let changed: BTreeSet<&Identity> = plan.changes.iter().filter_map(|change| change.identity.as_ref()).collect();
    let found = plan.drift.iter().chain(&plan.settled);
    let gone: BTreeSet<&Identity> = found.filter(|drift| drift.after.is_none()).map(|drift| &drift.identity).collect();
    let mut kept = 0;
    for (address, instance) in &state.instances {
        if !plan.stacks.contains(&address.resource.stack) {
            continue;
        }
        if let Some(object) = &instance.current
            && !changed.contains(&object.identity)
            && !gone.contains(&object.identity)
        {
            kept += 1;
            if plan.mode == PlanMode::Destroy && whole {
                findings.push(Finding::about(address, Rule::Accounted, "it is not deleted, and everything should be"));
            }
        }
        let left = |object: &&Object| !changed.contains(&object.identity) && !gone.contains(&object.identity);
        let forgotten = instance.deposed.iter().filter(left);
        if plan.mode != PlanMode::RefreshOnly && whole {
            findings.extend(forgotten.map(|object| {
                let message = format!("the replaced object {} is left", object.identity);
                Finding::about(address, Rule::Accounted, message)
            }));
        }
    }
    if kept != plan.unchanged {
        let message = format!("{} objects should stay as they are, and {kept} do", plan.unchanged);
        findings.push(Finding::general(Rule::Accounted, message));
    }
}

pub(crate) fn one_object(plan: &Plan, state: &EnvironmentState, findings: &mut Vec<Finding>) {
    let mut identities: BTreeSet<&Identity> = BTreeSet::new();
    let mut made: BTreeSet<&InstanceAddress> = BTreeSet::new();
    let gone: BTreeSet<&Identity> =
        plan.drift.iter().filter(|drift| drift.after.is_none()).map(|drift| &drift.identity).collect();
    for change in &plan.changes {
        let about = |message: &str| Finding::about(&change.address, Rule::OneObject, message);
        let instance = state.instances.get(&change.address);
        let current = instance.and_then(|instance| instance.current.as_ref()).map(|object| &object.identity);
        if !plan.stacks.contains(&change.address.resource.stack) {
            findings.push(about("it is of a stack that the plan does not cover"));
        }
        if change.identity.as_ref().is_some_and(|identity| !identities.insert(identity)) {
            findings.push(about("its object is changed twice"));
        }
        let one_of_several = matches!(change.action, PlannedAction::DeleteDeposed | PlannedAction::Forget);
        if !one_of_several && !made.insert(&change.address) {
            findings.push(about("it is changed twice"));
        }
        match &change.action {
            PlannedAction::Create => {
                if current.is_some_and(|identity| !gone.contains(identity)) {
                    findings.push(about("it is to be created, and it is there"));
                }
            }
            PlannedAction::Read => {}
            PlannedAction::DeleteDeposed => {
                let mut deposed = instance.into_iter().flat_map(|instance| &instance.deposed);
                if !deposed.any(|object| Some(&object.identity) == change.identity.as_ref()) {
                    findings.push(about("it has no such replaced object"));
                }
            }
            PlannedAction::Forget => {
                let mut objects = instance.into_iter().flat_map(|instance| instance.objects());
                if !objects.any(|object| Some(&object.identity) == change.identity.as_ref()) {
                    findings.push(about("it has no such object to forget"));
                }
            }
            PlannedAction::Update | PlannedAction::Replace { .. } | PlannedAction::Delete => {
                if current != change.identity.as_ref() || current.is_none() {
                    findings.push(about("its object is not the one in use"));
                }
                if current.is_some_and(|identity| gone.contains(identity)) {
                    findings.push(about("its object is gone"));
                }
            }
        }
    }
    for depends in &plan.depends {
        let about = |message: &str| Finding::about(&depends.address, Rule::OneObject, message);
        if state.current(&depends.address).map(|object| &object.identity) != Some(&depends.identity) {
            findings.push(about("what it depends on is said of an object that is not the one in use"));
        }
        if !plan.stacks.contains(&depends.address.resource.stack) {
            findings.push(about("it is of a stack that the plan does not cover"));
        }
        if !identities.insert(&depends.identity) {
            findings.push(about("it stays as it is, and it is changed or named twice"));
        }
    }
    let known: BTreeMap<&Identity, &InstanceAddress> =
        state.objects().map(|(address, object)| (&object.identity, address)).collect();
    for drift in plan.drift.iter().filter(|drift| known.get(&drift.identity) != Some(&&drift.address)) {
        findings.push(Finding::about(
            &drift.address,
            Rule::OneObject,
            "the state does not have the object that drifted",
        ));
    }
}

pub(crate) fn shape(plan: &Plan, findings: &mut Vec<Finding>) {
    for change in &plan.changes {
        let (object, result) = match &change.action {
            PlannedAction::Create | PlannedAction::Read => (false, true),
            PlannedAction::Update | PlannedAction::Replace { .. } => (true, true),
            PlannedAction::Delete | PlannedAction::DeleteDeposed | PlannedAction::Forget => (true, false),
        };
        let mut say = |wrong: bool, message: &str| {
            if wrong {
                findings.push(Finding::about(&change.address, Rule::Shape, message));
            }
        };
        say(object && change.before.is_none(), "it does not say how the object is");
        say(object && change.identity.is_none(), "it does not say which object");
        say(!object && change.before.is_some(), "it says how the object is, and there should be none");
        say(!object && change.identity.is_some(), "it names an object, and there should be none");
        say(result && change.after.is_none(), "it does not say how the object will be");
        say(result && change.config.is_none(), "it has no configuration");
        say(!result && change.after.is_some(), "it says how the object will be, and there should be none");
        let reasons = match &change.action {
            PlannedAction::Replace { because, .. } => because.len(),
            _ => 1,
        };
        say(reasons == 0, "it does not say why the object is replaced");
    }
}

pub(crate) fn mode(plan: &Plan, findings: &mut Vec<Finding>) {
    for change in &plan.changes {
        let deletes =
            matches!(change.action, PlannedAction::Delete | PlannedAction::DeleteDeposed | PlannedAction::Forget);
        let allowed = match plan.mode {
            PlanMode::Normal => true,
            PlanMode::Destroy => deletes,
            PlanMode::RefreshOnly => false,
        };
        if !allowed {
            let message = format!("to {} it is not for such a plan", change.action);
            findings.push(Finding::about(&change.address, Rule::Mode, message));
        }
    }
    if plan.mode != PlanMode::Normal {
        let message = "what it depends on is not for such a plan to say";
        findings.extend(plan.depends.iter().map(|depends| Finding::about(&depends.address, Rule::Mode, message)));
    }
}
