//! What cannot be there twice: an object that holds it cannot be made before the one that it replaces is deleted, none can
//! take it before whoever has it has given it up, and no two can have it once all is done.

use std::collections::{BTreeMap, BTreeSet};

use andon_lang::definitions::ResourceDefinition;
use andon_lang::place_in;
use andon_schema::{Attribute, Exclusive, Extent, InstanceAddress, Mode};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Path, PathStep, Value};

use crate::plan::ReplaceOrder;
use crate::{PlanInput, PlanMode, PlannedAction, PlannedChange};

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
        let Some(definition) = input.definition(&change.address.resource) else { continue };
        for (name, attribute, exclusive) in exclusives(input, &change.address) {
            if holds(input, change, definition, name, attribute, exclusive) {
                problems.push(complaint(change, definition, name, attribute));
            }
        }
    }
    problems
}

/// The changes that give up what another change takes, such as a volume that goes from one server to another: the one that
/// gives and the one that takes, by their places.
pub(crate) fn handovers(input: &PlanInput, changes: &[PlannedChange]) -> BTreeSet<(usize, usize)> {
    let mut given: BTreeMap<Of<'_>, BTreeMap<(u128, u128), Vec<usize>>> = BTreeMap::new();
    let mut taken: Vec<(Thing<'_>, usize)> = Vec::new();
    for (at, change) in changes.iter().enumerate().filter(|(_, change)| change.provider.is_none()) {
        if change.action == PlannedAction::Forget {
            continue;
        }
        let things = |value: &Option<Value>| -> BTreeSet<Thing<'_>> {
            value.iter().flat_map(|value| things(input, &change.address, value)).map(|(thing, _)| thing).collect()
        };
        let (before, after) = (things(&change.before), things(&change.after));
        for Thing { of, first, last } in before.difference(&after).cloned() {
            given.entry(of).or_default().entry((first, last)).or_default().push(at);
        }
        taken.extend(after.difference(&before).map(|thing| (thing.clone(), at)));
    }
    let givers = taken.iter().flat_map(|(Thing { of, first, last }, taker)| {
        // What was given up was there at once, so it has nothing in common.
        let before = given.get(of).into_iter().flat_map(|given| given.range(..=(*last, u128::MAX)).rev());
        let givers = before.take_while(|((_, given_last), _)| given_last >= first).flat_map(|(_, givers)| givers);
        givers.map(move |giver| (*giver, *taker))
    });
    givers.filter(|(giver, taker)| giver != taker).collect()
}

/// Complaints about objects that would have what another one has as well, once all is done. Of what nothing is changed,
/// nothing is said, nor of what turned out to be gone.
pub(crate) fn clashes<'a>(
    input: &'a PlanInput,
    changes: impl Iterator<Item = &'a PlannedChange>,
    is_gone: impl Fn(&InstanceAddress) -> bool,
) -> Diagnostics {
    let mut problems = Diagnostics::new();
    if input.mode != PlanMode::Normal {
        return problems;
    }
    let mut held: Vec<Held<'_>> = Vec::new();
    let mut touched: BTreeSet<&InstanceAddress> = BTreeSet::new();
    for change in changes.filter(|change| change.action != PlannedAction::DeleteDeposed) {
        touched.insert(&change.address);
        if change.provider.is_some() {
            continue;
        }
        let left = change.before.as_ref().filter(|_| change.action == PlannedAction::Forget);
        let Some(value) = change.after.as_ref().or(left) else { continue };
        let before = change.before.as_ref();
        let before: BTreeSet<Thing<'a>> = before
            .into_iter()
            .flat_map(|value| things(input, &change.address, value))
            .map(|(thing, _)| thing)
            .collect();
        let given = |name: &str| change.config.as_ref().and_then(|it| it.get(name)).is_some_and(|it| !it.is_null());
        held.extend(things(input, &change.address, value).into_iter().map(|(thing, path)| {
            let is_new = given(thing.of.name) && !before.contains(&thing);
            Held { thing, address: &change.address, value, path, is_new }
        }));
    }
    let unchanged = input.state.instances.iter().filter(|(address, _)| !touched.contains(address) && !is_gone(address));
    for (address, instance) in unchanged {
        let Some(object) = instance.current.as_ref().filter(|object| object.provider.is_none()) else { continue };
        let things = things(input, address, &object.value).into_iter();
        held.extend(things.map(|(thing, path)| Held { thing, address, value: &object.value, path, is_new: false }));
    }
    held.sort_by(|one, other| (&one.thing, one.is_new, one.address).cmp(&(&other.thing, other.is_new, other.address)));
    let mut furthest: Option<&Held<'_>> = None;
    for held in &held {
        let reaches = furthest.filter(|it| it.thing.of == held.thing.of && it.thing.last >= held.thing.first);
        if let Some(other) = reaches.filter(|it| it.address != held.address && (it.is_new || held.is_new)) {
            problems.push(clash(input, held, other));
        }
        furthest = Some(reaches.filter(|it| it.thing.last >= held.thing.last).unwrap_or(held));
    }
    problems
}

/// Of what something is a stretch: of a type's attribute, where, and of which of such.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Of<'a> {
    kind: &'a str,
    name: &'a str,
    within: Option<String>,
    of: String,
}

/// Something that one object alone can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Thing<'a> {
    of: Of<'a>,
    first: u128,
    last: u128,
}

impl Thing<'_> {
    /// Whether they have something in common.
    fn meets(&self, other: &Thing<'_>) -> bool {
        self.of == other.of && self.first <= other.last && other.first <= self.last
    }
}

/// Whose something is.
struct Held<'a> {
    thing: Thing<'a>,
    address: &'a InstanceAddress,
    /// The whole object.
    value: &'a Value,
    /// What of it says so.
    path: Path,
    /// Whether the plan gives it to that object.
    is_new: bool,
}

/// The attributes of an object of which only one can have the same.
fn exclusives<'a>(
    input: &'a PlanInput,
    address: &InstanceAddress,
) -> impl Iterator<Item = (&'a str, &'a Attribute, Exclusive)> + use<'a> {
    let schemas = input.schemas.built_in(Mode::Managed);
    let schema = schemas.get(&*address.resource.kind).filter(|_| address.resource.mode == Mode::Managed);
    let attributes = schema.into_iter().flat_map(|schema| &schema.block.attributes);
    attributes.filter_map(|(name, attribute)| Some((name.as_str(), attribute, attribute.exclusive?)))
}

/// What an object has that no other one can have, as far as it is known, with what of it says so.
fn things<'a>(input: &'a PlanInput, address: &'a InstanceAddress, object: &Value) -> Vec<(Thing<'a>, Path)> {
    let mut things = Vec::new();
    for (name, _, exclusive) in exclusives(input, address) {
        let Some(value) = object.get(name).map(|value| value.unmark_deep().0) else { continue };
        let within = match exclusive.within.map(|within| object.get(within).map(|it| it.unmark_deep().0)) {
            Some(Some(within)) if within.is_unknown() => continue,
            Some(Some(within)) => within.as_str().map(|text| text.to_string()),
            _ => None,
        };
        let of_all = |extent: Extent| {
            let of = Of { kind: &address.resource.kind, name, within: within.clone(), of: extent.of };
            Thing { of, first: extent.first, last: extent.last }
        };
        let at = |step: Option<PathStep>| Path::from_iter([PathStep::Attribute(name.into())].into_iter().chain(step));
        let takes = |value: &Value| value.as_str().and_then(|text| (exclusive.takes)(text)).map(of_all);
        things.extend(takes(&value).map(|thing| (thing, at(None))));
        things.extend(value.steps().filter_map(|(step, element)| Some((takes(element)?, at(Some(step))))));
    }
    things
}

/// Whether it is for this attribute that the replacement of an object cannot be made first.
fn holds(
    input: &PlanInput,
    change: &PlannedChange,
    definition: &ResourceDefinition,
    name: &str,
    attribute: &Attribute,
    exclusive: Exclusive,
) -> bool {
    match &change.action {
        PlannedAction::Create => {
            let given = change.config.as_ref().and_then(|config| config.get(name)).map(|it| it.unmark_deep().0);
            let is_empty = |value: &Value| {
                value.is_null()
                    || value.is_unknown()
                    || value.as_elements().is_some_and(|all| all.is_empty())
                    || value.as_entries().is_some_and(|all| all.is_empty())
            };
            definition.lifecycle.create_before_destroy
                && exclusive.stays
                && attribute.optional
                && given.is_some_and(|given| !is_empty(&given))
        }
        PlannedAction::Replace { order: ReplaceOrder::CreateFirst, .. } => {
            let of = |value: &Option<Value>| -> Vec<Thing<'_>> {
                let all = value.iter().flat_map(|value| things(input, &change.address, value));
                all.map(|(thing, _)| thing).filter(|thing| thing.of.name == name).collect()
            };
            let before = of(&change.before);
            of(&change.after).iter().any(|now| before.iter().any(|before| before.meets(now)))
        }
        _ => false,
    }
}

/// Two objects that cannot both have what they have.
fn clash(input: &PlanInput, one: &Held<'_>, other: &Held<'_>) -> Diagnostic {
    let place = |held: &Held<'_>| {
        let definition = input.definition(&held.address.resource)?;
        Some(place_in(&definition.body, &held.path).unwrap_or(definition.span))
    };
    // It is said at the one that the plan brings it to; of two, at the later one.
    let is_later = |one: &Held<'_>, other: &Held<'_>| (place(one), one.address) > (place(other), other.address);
    let (at, before) = match (one.is_new, other.is_new) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        _ if is_later(one, other) => (one, other),
        _ => (other, one),
    };
    let Of { kind, name, .. } = &at.thing.of;
    let text = |held: &Held<'_>| {
        let shown =
            held.value.get(name).filter(|value| !value.is_secret()).and_then(|_| held.value.at(&held.path)?.as_str());
        shown.map_or_else(|| "what is a secret".to_owned(), |text| format!("`{text}`"))
    };
    let (holder, here, there) = (before.address, text(at), text(before));
    let has = if before.is_new { "would have" } else { "has" };
    let is_same = (at.thing.first, at.thing.last) == (before.thing.first, before.thing.last);
    let problem = if is_same {
        Diagnostic::error(format!("`{name}` is taken by {holder}"))
            .detail(format!("It {has} {there}, which only one `{kind}` can have at once."))
    } else {
        Diagnostic::error(format!("`{name}` overlaps that of {holder}"))
            .detail(format!("That {has} {there}, and this {here}: only one `{kind}` can have what is in both."))
    };
    let is_optional = exclusives(input, at.address).any(|(it, attribute, _)| it == *name && attribute.optional);
    let problem = problem.subject(at.address.to_string()).help(match is_optional {
        true => format!("Give one of them another `{name}`, or leave it out."),
        false => format!("Give one of them another `{name}`."),
    });
    match (place(at), place(before)) {
        (Some(span), Some(other)) if other != span => {
            problem.at(span).related(other, format!("{holder} {has} it here"))
        }
        (span, _) => Diagnostic { span, ..problem },
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
