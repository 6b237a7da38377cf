//! Secrets that a provider repeats where its schema does not call them so: people do not get to see them there either.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use andon_plan::{Drift, Plan, PlannedChange};
use andon_text::deeper;
use andon_value::{Marks, Value};

/// The plan, with every text of an object hidden that is a secret elsewhere in the same object.
pub(crate) fn hidden(plan: &Plan) -> Cow<'_, Plan> {
    let changes = plan.changes.iter().enumerate().filter_map(|(at, change)| {
        let PlannedChange { before, after, config, .. } = change;
        let (old, new) = (secrets(before), secrets(after.iter().chain(config)));
        (!old.is_empty() || !new.is_empty()).then(|| {
            let before = before.as_ref().map(|value| hide(value, &old));
            (at, before, after.as_ref().map(|value| hide(value, &new)))
        })
    });
    let drift = plan.drift.iter().enumerate().filter_map(|(at, drift)| {
        let Drift { before, after, .. } = drift;
        let texts = secrets(std::iter::once(before).chain(after));
        (!texts.is_empty()).then(|| (at, hide(before, &texts), after.as_ref().map(|value| hide(value, &texts))))
    });
    let (changes, drift): (Vec<_>, Vec<_>) = (changes.collect(), drift.collect());
    if changes.is_empty() && drift.is_empty() {
        return Cow::Borrowed(plan);
    }
    let mut plan = plan.clone();
    for (at, before, after) in changes {
        if let Some(change) = plan.changes.get_mut(at) {
            (change.before, change.after) = (before, after);
        }
    }
    for (at, before, after) in drift {
        if let Some(drift) = plan.drift.get_mut(at) {
            (drift.before, drift.after) = (before, after);
        }
    }
    Cow::Owned(plan)
}

/// An object's value, with every text in it hidden that is a secret elsewhere in it.
pub fn without_echoes(value: &Value) -> Value {
    hide(value, &secrets([value]))
}

/// The texts that are secrets in some values.
fn secrets<'v>(values: impl IntoIterator<Item = &'v Value>) -> BTreeSet<Arc<str>> {
    fn collect(value: &Value, within: bool, texts: &mut BTreeSet<Arc<str>>) {
        let within = within || value.marks().sensitive;
        match value.as_str().filter(|text| within && !text.is_empty()) {
            Some(text) => drop(texts.insert(Arc::clone(text))),
            None => value.children().for_each(|child| deeper(|| collect(child, within, texts))),
        }
    }
    let mut texts = BTreeSet::new();
    for value in values.into_iter().filter(|value| value.is_sensitive()) {
        collect(value, false, &mut texts);
    }
    texts
}

fn hide(value: &Value, texts: &BTreeSet<Arc<str>>) -> Value {
    if texts.is_empty() {
        return value.clone();
    }
    value.map_deep(&mut |part| match part.as_str().is_some_and(|text| texts.contains(text)) {
        true => part.mark(Marks::SENSITIVE),
        false => part,
    })
}
