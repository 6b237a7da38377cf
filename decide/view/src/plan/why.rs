//! Reasons in words.

use std::collections::{BTreeMap, BTreeSet};

use andon_plan::{
    Drift, Plan, PlanMode, PlannedAction, PlannedChange, Reason, Repetition, ReplaceOrder, ReplaceReason, Undefined,
};
use andon_schema::{ImportBy, InstanceAddress, InstanceKey, ResourceAddress};
use andon_value::{Value, quote};

use super::alike::Why;
use super::names::{Room, listed, name, way};
use crate::difference::shown;
use crate::fold::inline;

/// What the reasons of single changes are found with: made once for a plan.
pub(crate) struct Whole<'a> {
    plan: &'a Plan,
    /// The resources that something is done to.
    changed: BTreeSet<&'a ResourceAddress>,
    /// What the reading of data waits for.
    waits: BTreeMap<&'a InstanceAddress, &'a [ResourceAddress]>,
    by_address: BTreeMap<&'a InstanceAddress, &'a PlannedChange>,
    imported: BTreeMap<&'a InstanceAddress, &'a ImportBy>,
}

impl<'a> Whole<'a> {
    pub fn of(plan: &'a Plan) -> Whole<'a> {
        let waits = plan.notes.iter().filter_map(|note| match &note.reason {
            Reason::Deferred { on } => Some((&note.address, on.as_slice())),
            _ => None,
        });
        let current = plan.changes.iter().filter(|change| change.action != PlannedAction::DeleteDeposed);
        Whole {
            plan,
            changed: plan.changes.iter().map(|change| &change.address.resource).collect(),
            waits: waits.collect(),
            by_address: current.map(|change| (&change.address, change)).collect(),
            imported: plan.adopted.iter().filter_map(|it| Some((&it.address, it.by.as_ref()?))).collect(),
        }
    }

    /// Whether something is done to the object in use of an instance.
    pub fn changes(&self, address: &InstanceAddress) -> bool {
        self.by_address.contains_key(address)
    }

    /// Why something is done to an instance, a line each; empty where the definitions ask for it and that is all.
    pub fn of_change(&self, change: &PlannedChange) -> Vec<Why> {
        let mut why = Vec::new();
        match &change.action {
            PlannedAction::Delete => why.extend(undefined(change)),
            PlannedAction::Forget => {
                let block = "because a `removed` block says so: it stays as it is, and nobody looks after it";
                why.push(Why::Plain(block.to_owned()));
            }
            PlannedAction::DeleteDeposed => {
                let words = "because another object took its place, and it could not be deleted then";
                why.push(Why::Plain(words.to_owned()));
            }
            PlannedAction::Replace { order, because } => {
                why.push(Why::Keyed(format!("because {}", replaced(because))));
                why.push(Why::Plain(order_words(*order).to_owned()));
            }
            PlannedAction::Read => why.extend(self.read_late(change).map(Why::Plain)),
            PlannedAction::Create | PlannedAction::Update => {}
        }
        let imported = self.imported.get(&change.address).filter(|_| change.action != PlannedAction::DeleteDeposed);
        why.extend(imported.map(|by| Why::Keyed(format!("imported {}", self::imported(by)))));
        if let Some(previous) = &change.previous {
            why.push(Why::Keyed(format!("it was {}", name(previous))));
        }
        why
    }

    /// Why data is read only by the apply.
    fn read_late(&self, change: &PlannedChange) -> Option<String> {
        let config = change.config.as_ref().and_then(Value::as_entries);
        let unknown = config.into_iter().flat_map(|entries| entries.iter());
        let unknown: Vec<String> =
            unknown.filter(|(_, value)| !value.is_wholly_known()).map(|(name, _)| format!("`{name}`")).collect();
        let reads = self.waits.get(&change.address).copied().unwrap_or_default();
        let on: Vec<String> = reads
            .iter()
            .filter(|resource| self.changed.contains(resource))
            .map(|resource| inline(&resource.to_string()).into_owned())
            .collect();
        let on = listed(on.iter().cloned(), on.len(), Room::SHORT.names);
        Some(match (unknown.as_slice(), on.is_empty()) {
            ([], true) => "when applying: something that it needs is known, or done, only then".to_owned(),
            ([], false) => format!("when applying: it waits for {on}, which change"),
            (names, true) => format!("when applying: {} is known only then", names.join(", ")),
            (names, false) => format!("when applying: {} comes from {on}", names.join(", ")),
        })
    }

    /// Why it matters that an object is not as it was left.
    pub fn of_drift(&self, drift: &Drift) -> Vec<Why> {
        if self.plan.mode == PlanMode::RefreshOnly {
            return Vec::new();
        }
        let plain = |text: &str| Why::Plain(text.to_owned());
        let mut why = Vec::new();
        let change = self.by_address.get(&drift.address);
        let names = drifted(drift);
        let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match (change.map(|change| &change.action), &drift.after) {
            (Some(PlannedAction::Create), None) => why.push(plain("this plan makes it again")),
            (None, None) => why.push(plain("nothing is left to delete")),
            (Some(PlannedAction::Update), Some(_)) => {
                let back: Vec<&str> = names.iter().copied().filter(|name| goes_back(change, name, drift)).collect();
                let other: Vec<&str> =
                    names.iter().copied().filter(|name| !back.contains(name) && differs(change, name)).collect();
                why.extend((!back.is_empty()).then(|| plain(&format!("this plan puts back {}", quoted(&back)))));
                why.extend((!other.is_empty()).then(|| plain(&format!("this plan changes {}", quoted(&other)))));
            }
            (Some(PlannedAction::Replace { because, .. }), Some(_)) => {
                let fixed = |name: &&str| {
                    because.iter().any(|it| matches!(it, ReplaceReason::Fixed(path) if path.to_string().trim_start_matches('.').starts_with(*name)))
                };
                let forced: Vec<&str> = names.iter().copied().filter(fixed).collect();
                why.push(match forced.is_empty() {
                    true => plain("this plan replaces it"),
                    false => plain(&format!("this plan replaces it, because of {}", quoted(&forced))),
                });
            }
            (Some(PlannedAction::Delete), Some(_)) => why.push(plain("this plan deletes it")),
            _ => {}
        }
        if !drift.feeds.is_empty() {
            let readers = drift.feeds.iter().map(name);
            let readers = listed(readers, drift.feeds.len(), Room::SHORT.names);
            why.push(Why::Keyed(format!("it is read by {readers}, which this plan changes")));
        }
        if why.is_empty() && drift.report.is_none() {
            why.push(plain("nothing is done about it: an apply takes it over into the state"));
        }
        why
    }
}

/// By what an object is found that is imported.
pub(crate) fn imported(by: &ImportBy) -> String {
    match by {
        ImportBy::Id(id) => format!("by the id {}", quote(id)),
        ImportBy::Identity(identity) => {
            let entries = identity.as_entries().cloned().unwrap_or_default();
            let given = entries.iter().filter(|(_, value)| !value.is_null());
            let given: Vec<String> = given.map(|(name, value)| format!("{name} = {}", shown(value, 8))).collect();
            format!("by {}", given.join(", "))
        }
    }
}

/// The attributes that drifted.
fn drifted(drift: &Drift) -> Vec<&str> {
    let telling = drift.telling();
    let Some((old, new)) = drift.before.as_entries().zip(telling.as_ref().and_then(Value::as_entries)) else {
        return Vec::new();
    };
    old.iter().filter(|(name, was)| new.get(*name) != Some(was)).map(|(name, _)| &**name).collect()
}

fn differs(change: Option<&&PlannedChange>, name: &str) -> bool {
    change.is_some_and(|change| {
        let one = |value: &Option<Value>| value.as_ref().and_then(|value| value.get(name)).cloned();
        one(&change.before) != one(&change.after)
    })
}

/// Whether a change gives an attribute what it had before it drifted.
fn goes_back(change: Option<&&PlannedChange>, name: &str, drift: &Drift) -> bool {
    differs(change, name)
        && change
            .is_some_and(|change| change.after.as_ref().and_then(|value| value.get(name)) == drift.before.get(name))
}

fn order_words(order: ReplaceOrder) -> &'static str {
    match order {
        ReplaceOrder::CreateFirst => "the new one is made before the old one is deleted",
        ReplaceOrder::DeleteFirst => "the old one is deleted before the new one is made",
    }
}

fn replaced(because: &[ReplaceReason]) -> String {
    let fixed: Vec<String> = because
        .iter()
        .filter_map(|reason| match reason {
            ReplaceReason::Fixed(_) => Some(format!("`{}`", inline(&reason.to_string()))),
            _ => None,
        })
        .collect();
    let mut parts: Vec<String> = because
        .iter()
        .filter_map(|reason| match reason {
            ReplaceReason::Fixed(_) => None,
            ReplaceReason::Tainted => Some("it is tainted: it was not made to its end, or was marked so".to_owned()),
            ReplaceReason::Requested => Some("-replace asks for it".to_owned()),
            ReplaceReason::Triggered(by) => {
                Some(format!("its replace_triggered_by names {}, which changes", inline(by)))
            }
        })
        .collect();
    if !fixed.is_empty() {
        parts.push(format!("{} cannot be changed in place", fixed.join(", ")));
    }
    parts.join("; ")
}

/// Why no definition asks for what is deleted; `None` where all is to go.
fn undefined(change: &PlannedChange) -> Option<Why> {
    let has = |repetition: &Repetition| match repetition {
        Repetition::One => "neither `count` nor `for_each`".to_owned(),
        Repetition::Count(count) => format!("`count` = {count}"),
        Repetition::Each(_) => "`for_each`".to_owned(),
    };
    let plain = |reason: String| Why::Plain(format!("because {reason}"));
    let no_key = |key: &str, whose: &str| {
        Why::Keyed(format!("because {} is no key of {whose} `for_each` any more", inline(&quote(key))))
    };
    Some(match change.undefined.as_ref()? {
        Undefined::Everything => return None,
        Undefined::Stack => plain(format!("the stack {} is defined no more", &*change.address.resource.stack)),
        Undefined::Call(path) => Why::Keyed(format!("because {} is called no more", way(path))),
        Undefined::ModuleInstance(path, repetition) => {
            let call = path.last().map(|step| format!("module {}", step.name)).unwrap_or_default();
            match (path.last().and_then(|step| step.key.as_ref()), repetition) {
                (Some(InstanceKey::Index(_)), Repetition::Count(count)) => {
                    plain(format!("the `count` of {call} is {count} now"))
                }
                (Some(InstanceKey::Name(key)), Repetition::Each(_)) => no_key(key, &format!("{call}'s")),
                _ => plain(format!("{call} has {} now", has(repetition))),
            }
        }
        Undefined::Resource if change.previous.is_some() => {
            plain("nothing is defined where it was moved to".to_owned())
        }
        Undefined::Resource => plain("no definition has it any more".to_owned()),
        Undefined::Instance(repetition) => match (&change.address.key, repetition) {
            (Some(InstanceKey::Index(_)), Repetition::Count(count)) => plain(format!("its `count` is {count} now")),
            (Some(InstanceKey::Name(key)), Repetition::Each(_)) => no_key(key, "its"),
            _ => plain(format!("its block has {} now", has(repetition))),
        },
    })
}
