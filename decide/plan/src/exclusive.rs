//! What cannot be there twice: an object that holds it cannot be made before the one that it replaces is deleted, and
//! none can take it before whoever has it has given it up.

use std::collections::{BTreeMap, BTreeSet};

use andon_lang::definitions::ResourceDefinition;
use andon_lang::place_in;
use andon_schema::{Attribute, Mode};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Path, PathStep, Value};

use crate::plan::ReplaceOrder;
use crate::{PlanInput, PlannedAction, PlannedChange};

/// Complaints about objects that the plan would make before it deletes what they replace, and that could not be made while
/// that is there: both hold the same. A new object is complained about, too, where its own definition says that its
/// replacement comes first and gives it what it could do without: no replacement of it would ever work.
pub(crate) fn unreplaceable<'a>(
    input: &PlanInput,
    changes: impl IntoIterator<Item = &'a PlannedChange>,
) -> Diagnostics {
    let mut problems = Diagnostics::new();
    let first = changes.into_iter().filter(|change| change.create_before_destroy && change.provider.is_none());
    for change in first {
        let schema = input.schemas.built_in(Mode::Managed).get(&*change.address.resource.kind);
        let definition = input.definition(&change.address.resource);
        let (Some(schema), Some(definition)) = (schema, definition) else { continue };
        let held = schema.block.attributes.iter().filter(|(_, attribute)| attribute.exclusive);
        for (name, attribute) in held.filter(|(name, attribute)| holds(change, definition, name, attribute)) {
            problems.push(complaint(change, definition, name, attribute));
        }
    }
    problems
}

/// The changes that give up what another change takes, such as a volume that goes from one server to another: the one that
/// gives and the one that takes, by their places.
pub(crate) fn handovers(input: &PlanInput, changes: &[PlannedChange]) -> BTreeSet<(usize, usize)> {
    let mut given: BTreeMap<(&str, &str, String), Vec<usize>> = BTreeMap::new();
    let mut taken: Vec<((&str, &str, String), usize)> = Vec::new();
    for (at, change) in changes.iter().enumerate().filter(|(_, change)| change.provider.is_none()) {
        let kind = &*change.address.resource.kind;
        let Some(schema) = input.schemas.built_in(Mode::Managed).get(kind) else { continue };
        if change.action == PlannedAction::Forget {
            continue;
        }
        for (name, _) in schema.block.attributes.iter().filter(|(_, attribute)| attribute.exclusive) {
            let of = |value: &Option<Value>| texts(value.as_ref().and_then(|value| value.get(name)));
            let (before, after) = (of(&change.before), of(&change.after));
            let of_kind = |text: &String| (kind, name.as_str(), text.clone());
            before.difference(&after).for_each(|text| given.entry(of_kind(text)).or_default().push(at));
            taken.extend(after.difference(&before).map(|text| (of_kind(text), at)));
        }
    }
    let givers = taken.iter().flat_map(|(what, taker)| {
        let givers = given.get(what).into_iter().flatten();
        givers.map(move |giver| (*giver, *taker))
    });
    givers.filter(|(giver, taker)| giver != taker).collect()
}

/// What a value holds that is known.
fn texts(value: Option<&Value>) -> BTreeSet<String> {
    let elements = value.map(elements).unwrap_or_default();
    elements.iter().filter_map(|element| Some(element.as_str()?.to_string())).collect()
}

/// Whether it is for this attribute that the replacement of an object cannot be made first.
fn holds(change: &PlannedChange, definition: &ResourceDefinition, name: &str, attribute: &Attribute) -> bool {
    let of = |value: &Option<Value>| value.as_ref().and_then(|value| value.get(name)).map(elements).unwrap_or_default();
    match &change.action {
        PlannedAction::Create => {
            definition.lifecycle.create_before_destroy && attribute.optional && !of(&change.config).is_empty()
        }
        PlannedAction::Replace { order: ReplaceOrder::CreateFirst, .. } => {
            let before = of(&change.before);
            of(&change.after).iter().any(|now| now.is_wholly_known() && before.contains(now))
        }
        _ => false,
    }
}

/// A value by itself, or those in a collection: each is had by one object alone. None of what is not known at all.
fn elements(value: &Value) -> Vec<Value> {
    let plain = value.unmark_deep().0;
    match (plain.as_elements(), plain.as_entries()) {
        (Some(elements), _) => elements.to_vec(),
        (_, Some(entries)) => entries.values().cloned().collect(),
        _ if plain.is_null() || plain.is_unknown() => Vec::new(),
        _ => vec![plain],
    }
}

fn complaint(change: &PlannedChange, definition: &ResourceDefinition, name: &str, attribute: &Attribute) -> Diagnostic {
    let place =
        place_in(&definition.body, &Path::new().within(PathStep::Attribute(name.into()))).unwrap_or(definition.span);
    let kind = &change.address.resource.kind;
    let problem = Diagnostic::error(format!("`{name}` and `create_before_destroy` exclude each other"))
        .subject(change.address.to_string())
        .at(place)
        .detail(format!(
            "Its replacement would be made while the old `{kind}` is there, and no two can have the same `{name}` at once."
        ));
    let problem = if definition.lifecycle.create_before_destroy {
        problem.help("Without `create_before_destroy` the old one is deleted first, also where it is replaced for its age or its drift.")
    } else {
        problem.help("`create_before_destroy` comes here from what depends on it: take it out there, and the old one is deleted first.")
    };
    match attribute.optional {
        true => problem.help(format!("Or leave `{name}` out.")),
        false => problem.help(format!("Or have the new one have another `{name}`.")),
    }
}
