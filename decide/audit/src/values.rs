//! What is known, and what is secret.

use andon_ledger::EnvironmentState;
use andon_plan::Plan;
use andon_value::Value;

use crate::{Finding, Rule};

pub(crate) fn known(plan: &Plan, findings: &mut Vec<Finding>) {
    for change in &plan.changes {
        if change.before.as_ref().is_some_and(|before| !before.is_wholly_known()) {
            findings.push(Finding::about(&change.address, Rule::Known, "something of how the object is, is unknown"));
        }
    }
    for drift in &plan.drift {
        if drift.after.as_ref().is_some_and(|after| !after.is_wholly_known()) {
            findings.push(Finding::about(&drift.address, Rule::Known, "something of how the object is, is unknown"));
        }
    }
    for (address, data) in &plan.data {
        if !data.value.is_wholly_known() {
            findings.push(Finding::about(address, Rule::Known, "something of the data that was read is unknown"));
        }
    }
}

pub(crate) fn secret(plan: &Plan, state: &EnvironmentState, findings: &mut Vec<Finding>) {
    for change in &plan.changes {
        let stored = state.instances.get(&change.address).into_iter().flat_map(|instance| {
            instance
                .current
                .iter()
                .chain(&instance.deposed)
                .filter(|object| Some(&object.identity) == change.identity.as_ref())
        });
        for object in stored {
            if let Some(attribute) = change.before.as_ref().and_then(|before| shown(&object.value, before)) {
                let message = format!("{attribute} is a secret in the state and none in the plan");
                findings.push(Finding::about(&change.address, Rule::Secret, message));
            }
        }
        if let (Some(config), Some(after)) = (&change.config, &change.after)
            && let Some(attribute) = shown(config, after)
        {
            let message = format!("{attribute} is a secret in the definition and none in what is planned");
            findings.push(Finding::about(&change.address, Rule::Secret, message));
        }
    }
    for output in &plan.outputs {
        let shows = output.after.as_ref().is_some_and(Value::is_sensitive);
        if shows && !output.sensitive {
            let message = format!("the output {:?} of the stack {:?} shows a secret", &*output.name, &*output.stack);
            findings.push(Finding::general(Rule::Secret, message));
        }
    }
}

/// The first attribute that has a secret in `secret` and none in `open`.
fn shown<'a>(secret: &'a Value, open: &Value) -> Option<&'a str> {
    if open.marks().sensitive {
        return None;
    }
    let mut attributes = secret.as_entries()?.iter();
    let leak = attributes
        .find(|(name, value)| value.is_sensitive() && open.get(name).is_some_and(|open| !open.is_sensitive()));
    leak.map(|(name, _)| &**name)
}
