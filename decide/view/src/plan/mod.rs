//! The plan as people agree to it: everything that will be done and why, nothing twice, what is alike together, what asks
//! for most care last, beside the question that it is for.

mod alike;
mod body;
pub(crate) mod echoed;
mod names;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use andon_plan::{Drift, Note, Plan, PlanMode, PlannedAction, PlannedChange, PlannedOutput, Reason};
use andon_schema::InstanceAddress;
use andon_value::Value;

use crate::difference::{difference, shown};
use crate::fold::{fold, inline};
use crate::{Look, Paint};
use alike::{Group, Item, Sort, Why, grouped};
pub(crate) use names::{Room, family, listed, name, number, together};
use why::Whole;

/// A plan of more lines than this ends with the names of what is deleted and replaced.
const LONG: usize = 30;

/// A whole plan: what is not as it was left, every change with its reasons and attributes and what happens inside
/// servers, what is published, what will not be done and why, and a count. One line where it would do nothing.
pub fn plan(plan: &Plan, look: impl Into<Look>) -> String {
    let look = look.into();
    let paint = look.paint;
    let plan = &*echoed::hidden(plan);
    let whole = Whole::of(plan);
    let mut text = drift_text(plan.drift.iter().filter(|drift| !drift.background), &whole, look);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&moves_text(plan, look));
    // What is imported and changed is said once, with the change.
    let adopted = plan.adopted.iter().filter(|adoption| adoption.by.is_some() && !whole.changes(&adoption.address));
    let imports: Vec<Item<'_>> = adopted
        .map(|adoption| Item {
            address: &adoption.address,
            sort: Sort::Import,
            why: adoption.by.iter().map(|by| Why::Keyed(why::imported(by))).collect(),
            before: None,
            after: Some(&adoption.object.value),
            fixed: &[],
            report: None,
        })
        .collect();
    let changes: Vec<Item<'_>> = plan.changes.iter().map(|change| item(change, &whole)).collect();
    for group in grouped(&imports, look).iter().chain(&grouped(&changes, look)) {
        let group = group_text(group, look);
        // What has more to say than one line stands apart.
        let apart = if group.lines().count() > 1 { "\n" } else { "" };
        text.push_str(&group);
        text.push_str(apart);
    }
    let outputs: String =
        plan.outputs.iter().filter(|output| output.changes()).map(|output| output_text(output, look)).collect();
    if !outputs.is_empty() {
        let _ = write!(text, "{}\n{outputs}\n", paint.bold("Outputs:"));
    }
    for line in notes(plan, look) {
        text.push_str(&paint.dim(&line));
        text.push('\n');
    }
    if plan.mode != PlanMode::Destroy && text.lines().count() > LONG {
        text.push_str(&dangers(plan, look));
    }
    text.push_str(&summary(plan, paint));
    text.push('\n');
    fold(&text, look.width, paint.colour)
}

/// How a plan counts: `Plan for dev: 4 to create, 1 to update, 3 unchanged.`
pub fn summary(plan: &Plan, paint: Paint) -> String {
    let count =
        |wanted: fn(&PlannedAction) -> bool| plan.changes.iter().filter(|change| wanted(&change.action)).count();
    let drifted = |gone: bool| {
        let drift = plan.drift.iter().filter(|drift| plan.mode == PlanMode::RefreshOnly && !drift.background);
        drift.filter(|drift| drift.after.is_none() == gone).count()
    };
    let counts = [
        (plan.moves.len(), "moved", false),
        (plan.adopted.iter().filter(|adoption| adoption.by.is_some()).count(), "to import", false),
        (count(|action| *action == PlannedAction::Create), "to create", false),
        (count(|action| *action == PlannedAction::Update), "to update", false),
        (count(|action| matches!(action, PlannedAction::Replace { .. })), "to replace", true),
        (count(|action| matches!(action, PlannedAction::Delete | PlannedAction::DeleteDeposed)), "to delete", true),
        (count(|action| *action == PlannedAction::Forget), "to forget", false),
        (count(|action| *action == PlannedAction::Read), "to read", false),
        (drifted(false), "not as left", false),
        (drifted(true), "gone", false),
    ];
    let told = counts.iter().filter(|(count, ..)| *count > 0);
    let mut parts: Vec<String> = told
        .map(|(count, words, danger)| {
            let words = format!("{} {words}", number(*count));
            if *danger { paint.red(&words) } else { paint.bold(&words) }
        })
        .collect();
    if parts.is_empty() {
        let only_outputs = plan.outputs.iter().any(PlannedOutput::changes);
        parts.push(paint.bold(if only_outputs { "only outputs change" } else { "no changes" }));
    }
    if !plan.deferred.is_empty() {
        parts.push(paint.bold(&format!("{} not planned yet", number(plan.deferred.len()))));
    }
    let unchanged = plan.unchanged.saturating_sub(plan.outside.len() + drifted(false));
    if unchanged > 0 {
        parts.push(format!("{} unchanged", number(unchanged)));
    }
    let head = paint.bold(&format!("Plan for {}:", plan.environment));
    format!("{head} {}.", parts.join(", "))
}

/// What a plan to see drift found: what is gone, what is different, and what differs inside servers.
pub fn drift(plan: &Plan, look: impl Into<Look>) -> String {
    let look = look.into();
    let plan = &*echoed::hidden(plan);
    fold(&drift_text(plan.drift.iter(), &Whole::of(plan), look), look.width, look.paint.colour)
}

fn drift_text<'a>(drift: impl Iterator<Item = &'a Drift>, whole: &Whole<'_>, look: Look) -> String {
    let drift: Vec<(&Drift, Option<Value>)> = drift.map(|drift| (drift, drift.telling())).collect();
    let items: Vec<Item<'_>> = drift
        .iter()
        .map(|(drift, telling)| {
            let differs = drift.after.as_ref() != Some(&drift.before);
            let sort = match &drift.after {
                None => Sort::Gone,
                Some(_) if differs => Sort::Drifted,
                Some(_) => Sort::NotAsDefined,
            };
            Item {
                address: &drift.address,
                sort,
                why: whole.of_drift(drift),
                before: Some(&drift.before),
                after: telling.as_ref(),
                fixed: &[],
                report: drift.report.as_ref(),
            }
        })
        .collect();
    grouped(&items, look).iter().map(|group| group_text(group, look)).collect()
}

fn item<'a>(change: &'a PlannedChange, whole: &Whole<'_>) -> Item<'a> {
    let sort = match &change.action {
        PlannedAction::Create => Sort::Create,
        PlannedAction::Update => Sort::Update,
        PlannedAction::Delete => Sort::Delete,
        PlannedAction::DeleteDeposed => Sort::DeleteDeposed,
        PlannedAction::Forget => Sort::Forget,
        PlannedAction::Read => Sort::Read,
        PlannedAction::Replace { order, .. } => Sort::Replace(*order),
    };
    Item {
        address: &change.address,
        sort,
        why: whole.of_change(change),
        before: change.before.as_ref(),
        after: change.after.as_ref(),
        fixed: &change.replace,
        report: change.report.as_ref(),
    }
}

fn group_text(group: &Group<'_>, look: Look) -> String {
    let (paint, members) = (look.paint, group.addresses());
    let Some(sort) = group.items.first().map(|item| item.sort) else { return String::new() };
    let is_removal = matches!(sort, Sort::Delete | Sort::DeleteDeposed | Sort::Replace(_) | Sort::Gone);
    let names = together(&members, if is_removal { Room::LONG } else { Room::SHORT });
    let (sign, verb) = body::sign(sort, paint);
    let many = match members.len() {
        1 => String::new(),
        count => format!(" ({} instances)", number(count)),
    };
    let words = match (sort, members.len()) {
        (Sort::Gone, 1) => " is gone",
        (Sort::Gone, _) => " are gone",
        (Sort::Drifted, 1) => " is not as it was left",
        (Sort::Drifted, _) => " are not as they were left",
        (Sort::NotAsDefined, 1) => " is not as defined",
        (Sort::NotAsDefined, _) => " are not as defined",
        _ => "",
    };
    let mut text = format!("{sign} {verb}{}{words}{many}\n", paint.bold(&names));
    for why in &group.why {
        let (Why::Plain(why) | Why::Keyed(why)) = why;
        let _ = writeln!(text, "    {}", Group::with_keys(why, &members));
    }
    match sort {
        Sort::Delete | Sort::DeleteDeposed | Sort::Forget | Sort::Gone | Sort::Import => {
            text.push_str(&body::identification(group, look));
        }
        _ => text.push_str(&body::changes(group, look)),
    }
    text.push_str(&group.report);
    text
}

/// The moves of objects that are not shown with their change.
fn moves_text(plan: &Plan, look: Look) -> String {
    let shown: BTreeSet<_> = plan.changes.iter().filter_map(|change| change.previous.as_ref()).collect();
    let mut all: BTreeMap<(String, String), Vec<(&InstanceAddress, &InstanceAddress)>> = BTreeMap::new();
    for (from, to) in plan.moves.iter().filter(|(from, _)| !shown.contains(from)) {
        let same = from.key == to.key && !look.full;
        let key = if same { (family(from), family(to)) } else { (name(from), name(to)) };
        all.entry(key).or_default().push((from, to));
    }
    let mut text = String::new();
    for moves in all.values() {
        let (from, to): (Vec<_>, Vec<_>) = moves.iter().copied().unzip();
        let (verb, many) = match moves.len() {
            1 => ("is", String::new()),
            count => ("are", format!(" ({} alike)", number(count))),
        };
        let (from, to) = (together(&from, Room::SHORT), look.paint.bold(&together(&to, Room::SHORT)));
        let _ = writeln!(text, "{} {from} {verb} now {to}{many}", look.paint.cyan(">"));
    }
    text
}

fn output_text(output: &PlannedOutput, look: Look) -> String {
    let paint = look.paint;
    let name = match output.stack.is_empty() {
        true => output.name.to_string(),
        false => format!("{}.{}", output.stack, output.name),
    };
    let secret = |value: &Value| output.sensitive || value.marks().sensitive;
    let said = |value: &Value| if secret(value) { "(sensitive value)".to_owned() } else { shown(value, 4) };
    match (&output.before, &output.after) {
        (None, Some(after)) => format!("  {} {name} = {}\n", paint.green("+"), said(after)),
        (Some(before), None) => format!("  {} {name} = {}\n", paint.red("-"), said(before)),
        (None, None) => String::new(),
        (Some(before), Some(after)) => {
            let text = match output.sensitive {
                true => {
                    let same = before.unmark_deep().0 == after.unmark_deep().0;
                    let words = if same { "only its secrecy changes" } else { "changes" };
                    format!("{name} = (sensitive value)  # {words}\n")
                }
                false => difference(&name, before, after, 4, "", look),
            };
            format!("  {} {}", paint.yellow("~"), text.trim_start())
        }
    }
}

/// What will not be done, and why: what is said of several instances in the same words, once.
fn notes(plan: &Plan, look: Look) -> Vec<String> {
    let mut same: BTreeMap<(String, &Reason), Vec<&Note>> = BTreeMap::new();
    let planned: BTreeSet<&InstanceAddress> = plan
        .changes
        .iter()
        .filter(|change| change.action == PlannedAction::Read)
        .map(|change| &change.address)
        .collect();
    for note in &plan.notes {
        // Why data is read by the apply is said where that is.
        if matches!(note.reason, Reason::Deferred { .. }) && planned.contains(&note.address) {
            continue;
        }
        let whose = if look.full { name(&note.address) } else { family(&note.address) };
        same.entry((whose, &note.reason)).or_default().push(note);
    }
    let mut lines: Vec<String> = same
        .values()
        .filter_map(|notes| {
            let first = notes.first()?;
            let addresses: Vec<&InstanceAddress> = notes.iter().map(|note| &note.address).collect();
            let words = first.to_string();
            let words = words.strip_prefix(&first.address.to_string()).unwrap_or(&words).to_owned();
            match notes.len() {
                1 => Some(format!("note: {}", inline(&first.to_string()))),
                count => Some(format!(
                    "note: {} ({} instances){}",
                    together(&addresses, Room::SHORT),
                    number(count),
                    inline(&words)
                )),
            }
        })
        .collect();
    let mut later: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for deferred in &plan.deferred {
        let whole = deferred.to_string();
        let stack = if deferred.stack.is_empty() { String::new() } else { format!("{}/", deferred.stack) };
        let address = format!("{stack}{}", deferred.address);
        let words = whole.strip_prefix(&address).unwrap_or(&whole).to_owned();
        let words = if look.full { whole } else { words };
        later.entry(words).or_default().push(address);
    }
    for (words, mut addresses) in later {
        if look.full {
            lines.push(format!("later: {}", inline(&words)));
            continue;
        }
        addresses.sort();
        let names = listed(addresses.iter().cloned(), addresses.len(), 8);
        let words = if addresses.len() == 1 { words } else { words.replacen(" is not planned", " are not planned", 1) };
        lines.push(format!("later: {}{}", inline(&names), inline(&words)));
    }
    match plan.drift.iter().filter(|drift| drift.background).count() {
        0 => {}
        1 => lines.push("note: 1 object differs in what no definition speaks of; `andon drift` shows it".to_owned()),
        count => lines.push(format!(
            "note: {} objects differ in what no definition speaks of; `andon drift` shows it",
            number(count)
        )),
    }
    lines
}

/// The names of all that is deleted and replaced: of a plan that does not fit a screen, what must not be overlooked.
fn dangers(plan: &Plan, look: Look) -> String {
    let mut text = String::new();
    for (words, replaced) in [("Replaces", true), ("Deletes", false)] {
        let wanted = |action: &PlannedAction| match action {
            PlannedAction::Replace { .. } => replaced,
            PlannedAction::Delete | PlannedAction::DeleteDeposed => !replaced,
            _ => false,
        };
        let mut families: BTreeMap<String, Vec<&InstanceAddress>> = BTreeMap::new();
        for change in plan.changes.iter().filter(|change| wanted(&change.action)) {
            families.entry(family(&change.address)).or_default().push(&change.address);
        }
        if families.is_empty() {
            continue;
        }
        let room = if look.full { Room::ALL } else { Room { keys: 12, names: 12 } };
        let names = listed(families.values().map(|members| together(members, room)), families.len(), room.names);
        let _ = writeln!(text, "{} {names}", look.paint.red(&format!("{words}:")));
    }
    text
}
