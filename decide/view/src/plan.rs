use std::collections::BTreeSet;

use andon_plan::{
    DeferReason, Deferred, Drift, Plan, PlanMode, PlannedAction, PlannedChange, PlannedOutput, ReplaceOrder,
};
use andon_schema::Checked;
use andon_text::deeper;
use andon_value::{Kind, Value, encode};
use serde_json::{Value as Json, json};

use crate::difference::difference;
use crate::{Paint, report, report_json};

/// A whole plan, as the user agrees to it: every change with its attributes and what happens inside servers, what is
/// published, what will not be done and why, and a count. One line where it would do nothing.
pub fn plan(plan: &Plan, paint: Paint) -> String {
    let mut text = String::new();
    let told: Vec<&Drift> =
        plan.drift.iter().filter(|drift| plan.mode != PlanMode::RefreshOnly && !drift.background).collect();
    for drift in &told {
        text.push_str(&drift_text(drift, paint));
    }
    if !told.is_empty() {
        text.push('\n');
    }
    text.push_str(&moves_text(plan, paint));
    for adoption in plan.adopted.iter().filter(|adoption| adoption.by.is_some()) {
        text.push_str(&format!("{} import {}\n", paint.cyan("<="), paint.bold(&adoption.address.to_string())));
    }
    for change in &plan.changes {
        let change = change_text(change, paint);
        text.push_str(&change);
        // What has more to say than one line stands apart.
        if change.lines().count() > 1 {
            text.push('\n');
        }
    }
    let outputs: Vec<String> =
        plan.outputs.iter().filter(|output| output.changes()).map(|output| output_line(output, paint)).collect();
    if !outputs.is_empty() {
        text.push_str(&format!("{}\n{}\n", paint.bold("Outputs:"), outputs.concat()));
    }
    for note in &plan.notes {
        text.push_str(&paint.dim(&format!("note: {note}\n")));
    }
    for deferred in &plan.deferred {
        text.push_str(&paint.dim(&format!("later: {deferred}\n")));
    }
    match plan.drift.iter().filter(|drift| drift.background).count() {
        0 => {}
        1 => text
            .push_str(&paint.dim("note: 1 object differs in what no definition speaks of; `andon drift` shows it\n")),
        count => {
            text.push_str(&paint.dim(&format!(
                "note: {count} objects differ in what no definition speaks of; `andon drift` shows it\n"
            )))
        }
    }
    text.push_str(&summary(plan, paint));
    text.push('\n');
    text
}

/// How a plan counts: `Plan for dev: 4 to create, 1 to update, 3 unchanged.`
pub fn summary(plan: &Plan, paint: Paint) -> String {
    let count =
        |wanted: fn(&PlannedAction) -> bool| plan.changes.iter().filter(|change| wanted(&change.action)).count();
    let counts = [
        (count(|action| *action == PlannedAction::Create), "to create"),
        (count(|action| *action == PlannedAction::Update), "to update"),
        (count(|action| matches!(action, PlannedAction::Replace { .. })), "to replace"),
        (count(|action| matches!(action, PlannedAction::Delete | PlannedAction::DeleteDeposed)), "to delete"),
        (count(|action| *action == PlannedAction::Forget), "to forget"),
        (count(|action| *action == PlannedAction::Read), "to read"),
        (plan.moves.len(), "moved"),
        (plan.adopted.iter().filter(|adoption| adoption.by.is_some()).count(), "to import"),
    ];
    let mut parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}")).collect();
    if parts.is_empty() {
        let only_outputs = plan.outputs.iter().any(PlannedOutput::changes);
        parts.push(if only_outputs { "only outputs change".to_owned() } else { "no changes".to_owned() });
    }
    if !plan.deferred.is_empty() {
        parts.push(format!("{} not planned yet", plan.deferred.len()));
    }
    if plan.unchanged > 0 {
        parts.push(format!("{} unchanged", plan.unchanged));
    }
    paint.bold(&format!("Plan for {}: {}.", plan.environment, parts.join(", ")))
}

/// What a plan to see drift found, an item each: what is gone, what is different, and what differs inside servers.
pub fn drift(plan: &Plan, paint: Paint) -> String {
    plan.drift.iter().map(|drift| drift_text(drift, paint)).collect()
}

fn drift_text(drift: &Drift, paint: Paint) -> String {
    let address = paint.bold(&drift.address.to_string());
    let mut text = match &drift.after {
        None => format!("{} {address} is gone\n", paint.red("!")),
        Some(after) if *after != drift.before => {
            let head = format!("{} {address} is not as it was left\n", paint.yellow("!"));
            head + &attributes(Some(&drift.before), Some(after), &[], paint)
        }
        Some(_) => format!("{} {address} is not as defined\n", paint.yellow("!")),
    };
    if let Some(inside) = &drift.report {
        text.push_str(&report(inside, paint, 4));
    }
    text
}

/// The moves of objects that are not shown with their change.
fn moves_text(plan: &Plan, paint: Paint) -> String {
    let shown: BTreeSet<_> = plan.changes.iter().filter_map(|change| change.previous.as_ref()).collect();
    let mut text = String::new();
    for (from, to) in plan.moves.iter().filter(|(from, _)| !shown.contains(from)) {
        text.push_str(&format!("{} {from} is now {}\n", paint.cyan(">"), paint.bold(&to.to_string())));
    }
    text
}

fn change_text(change: &PlannedChange, paint: Paint) -> String {
    let address = paint.bold(&change.address.to_string());
    let mut because: Vec<String> = Vec::new();
    let head = match &change.action {
        PlannedAction::Create => format!("{} create {address}", paint.green("+")),
        PlannedAction::Update => format!("{} update {address}", paint.yellow("~")),
        PlannedAction::Delete => format!("{} delete {address}", paint.red("-")),
        PlannedAction::DeleteDeposed => format!("{} delete the replaced object of {address}", paint.red("-")),
        PlannedAction::Forget => format!("{} forget {address} (it stays as it is)", paint.cyan(".")),
        PlannedAction::Read => format!("{} read {address}", paint.cyan("<")),
        PlannedAction::Replace { order, because: reasons } => {
            because = reasons.iter().map(ToString::to_string).collect();
            let (sign, words) = match order {
                ReplaceOrder::CreateFirst => ("+/-", "the new one is made before the old one is deleted"),
                ReplaceOrder::DeleteFirst => ("-/+", "the old one is deleted before the new one is made"),
            };
            let why = if because.is_empty() { String::new() } else { format!("because of {}; ", because.join(", ")) };
            format!("{} replace {address} ({why}{words})", paint.yellow(sign))
        }
    };
    let was = change.previous.as_ref().map(|previous| format!(" (it was {previous})")).unwrap_or_default();
    let head = format!("{head}{was}");
    let body = match &change.action {
        action if action.is_removal() => String::new(),
        _ => attributes(change.before.as_ref(), change.after.as_ref(), &because, paint),
    };
    let inside = change.report.as_ref().map(|inside| report(inside, paint, 4)).unwrap_or_default();
    format!("{head}\n{body}{inside}")
}

/// The attributes that differ, a line each; all that are given, for something new.
/// The attributes that change; of an object that is made, those that there will be. What is known only later is named in
/// one line where it is much.
fn attributes(before: Option<&Value>, after: Option<&Value>, because: &[String], paint: Paint) -> String {
    const LISTED: usize = 6;
    let entries = |value: Option<&Value>| value.and_then(Value::as_entries).cloned().unwrap_or_default();
    let (old, new) = (entries(before), entries(after));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let none = Value::NULL;
    let later: Vec<&str> = match before {
        None => new.iter().filter(|(_, value)| value.is_unknown()).map(|(name, _)| &**name).collect(),
        Some(_) => Vec::new(),
    };
    let folded = later.len() > LISTED;
    let mut text = String::new();
    for name in names {
        let (was, is) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        if was == is || (was.is_null() && is.is_null()) || folded && is.is_unknown() {
            continue;
        }
        if folded && is_empty(is) {
            continue;
        }
        let mark = match because.iter().any(|reason| is_about(reason, name)) {
            true => paint.red("  # replaces"),
            false => String::new(),
        };
        text.push_str(&difference(name, was, is, 6, &mark, paint));
    }
    if folded {
        for line in wrapped("known after the apply: ", &later) {
            text.push_str(&format!("      {}\n", paint.dim(&line)));
        }
    }
    text
}

/// Names in lines of at most so many characters, where no name is longer.
fn wrapped(head: &str, names: &[&str]) -> Vec<String> {
    const LONGEST: usize = 90;
    let mut lines = vec![head.to_owned()];
    for (at, name) in names.iter().enumerate() {
        let comma = if at + 1 == names.len() { "" } else { ", " };
        match lines.last_mut() {
            Some(line) if line.len() + name.len() + comma.len() <= LONGEST => *line += &format!("{name}{comma}"),
            _ => lines.push(format!("  {name}{comma}")),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Whether a reason to replace an object is about an attribute: its name, or a way into its value.
fn is_about(reason: &str, name: &str) -> bool {
    reason.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Whether a collection has nothing in it.
fn is_empty(value: &Value) -> bool {
    match value.kind() {
        Kind::List(_, elements) => elements.is_empty(),
        Kind::Tuple(elements) => elements.is_empty(),
        Kind::Set(_, elements) => elements.is_empty(),
        Kind::Map(_, entries) => entries.is_empty(),
        _ => false,
    }
}

fn output_line(output: &PlannedOutput, paint: Paint) -> String {
    let name =
        if output.stack.is_empty() { output.name.to_string() } else { format!("{}.{}", output.stack, output.name) };
    let shown = |value: &Value| {
        if output.sensitive { "(sensitive value)".to_owned() } else { andon_value::render(value, 2) }
    };
    match (&output.before, &output.after) {
        (None, Some(after)) => format!("  {} {name} = {}\n", paint.green("+"), shown(after)),
        (Some(_), None) | (None, None) => format!("  {} {name}\n", paint.red("-")),
        (Some(before), Some(after)) => {
            format!("  {} {name} = {} → {}\n", paint.yellow("~"), shown(before), shown(after))
        }
    }
}

/// A plan as data. Unknown values are null, their paths in `after_unknown`; sensitive values are the text
/// `(sensitive value)`, their paths in `before_sensitive` and `after_sensitive`.
pub fn plan_json(plan: &Plan) -> Json {
    let changes = plan.changes.iter().map(|change| {
        let (order, because) = match &change.action {
            PlannedAction::Replace { order: ReplaceOrder::CreateFirst, because } => {
                ("create_first".into(), because.iter().map(ToString::to_string).collect())
            }
            PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, because } => {
                ("delete_first".into(), because.iter().map(ToString::to_string).collect())
            }
            _ => (Json::Null, Vec::new()),
        };
        json!({
            "address": change.address.to_string(),
            "previous_address": change.previous.as_ref().map(ToString::to_string),
            "action": action_word(&change.action),
            "order": order,
            "because": because,
            "before": change.before.as_ref().map(value_json),
            "after": change.after.as_ref().map(value_json),
            "after_unknown": change.after.as_ref().map(unknown_paths),
            "before_sensitive": change.before.as_ref().map(sensitive_paths),
            "after_sensitive": change.after.as_ref().map(sensitive_paths),
            "report": change.report.as_ref().map(report_json),
        })
    });
    let outputs = plan.outputs.iter().map(|output| {
        let shown = |value: &Value| if output.sensitive { "(sensitive value)".into() } else { value_json(value) };
        json!({
            "stack": &*output.stack, "name": &*output.name, "changes": output.changes(),
            "before": output.before.as_ref().map(shown), "after": output.after.as_ref().map(shown),
            "after_unknown": output.after.as_ref().map(unknown_paths), "sensitive": output.sensitive,
        })
    });
    json!({
        "format_version": 1,
        "environment": &*plan.environment,
        "imports": plan.adopted.iter().filter(|it| it.by.is_some()).map(|it| it.address.to_string()).collect::<Vec<_>>(),
        "moves": plan.moves.iter().map(|(from, to)| json!({ "from": from.to_string(), "to": to.to_string() })).collect::<Vec<_>>(),
        "changes": changes.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
        "drift": plan.drift.iter().map(drift_json).collect::<Vec<_>>(),
        "notes": plan.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "checks": plan.checks.iter().map(|(stack, results)| checks_json(stack, results)).collect::<Vec<_>>(),
        "deferred": plan.deferred.iter().map(deferred_json).collect::<Vec<_>>(),
        "unchanged": plan.unchanged,
        "based_on": plan.based_on,
    })
}

fn checks_json(stack: &str, results: &[Checked]) -> Json {
    let results = results.iter().map(|checked| {
        json!({
            "kind": checked.kind.to_string(), "address": checked.object,
            "status": checked.status.to_string(), "problems": checked.problems,
        })
    });
    json!({ "stack": stack, "results": results.collect::<Vec<_>>() })
}

/// What is not planned yet, and why, as data.
pub fn deferred_json(deferred: &Deferred) -> Json {
    let (argument, needs) = match &deferred.reason {
        DeferReason::Unknown { argument, reads } => (Some(*argument), reads),
        DeferReason::Needs { on } => (None, on),
    };
    json!({
        "stack": &*deferred.stack,
        "address": deferred.address,
        "unknown": argument,
        "needs": needs.iter().map(|name| name.trim_matches('`')).collect::<Vec<_>>(),
    })
}

fn drift_json(drift: &Drift) -> Json {
    json!({
        "address": drift.address.to_string(),
        "identity": drift.identity.as_str(),
        "gone": drift.after.is_none(),
        "background": drift.background,
        "before": value_json(&drift.before),
        "after": drift.after.as_ref().map(value_json),
        "report": drift.report.as_ref().map(report_json),
    })
}

fn action_word(action: &PlannedAction) -> &'static str {
    match action {
        PlannedAction::Create => "create",
        PlannedAction::Update => "update",
        PlannedAction::Replace { .. } => "replace",
        PlannedAction::Delete => "delete",
        PlannedAction::DeleteDeposed => "delete_deposed",
        PlannedAction::Forget => "forget",
        PlannedAction::Read => "read",
    }
}

/// A value as data for people's scripts: unknown is null, a secret is the text `(sensitive value)`.
pub fn value_json(value: &Value) -> Json {
    deeper(|| value_json_here(value))
}

fn value_json_here(value: &Value) -> Json {
    if value.marks().sensitive {
        return "(sensitive value)".into();
    }
    if value.marks().ephemeral {
        return "(ephemeral value)".into();
    }
    match value.kind() {
        Kind::Unknown(..) => Json::Null,
        Kind::List(_, elements) | Kind::Tuple(elements) => elements.iter().map(value_json).collect(),
        Kind::Set(_, elements) => elements.iter().map(value_json).collect(),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            entries.iter().map(|(name, value)| (name.to_string(), value_json(value))).collect()
        }
        _ => andon_value::to_json(value).unwrap_or_else(|_| encode(value)),
    }
}

/// The paths of unknown values, written `a.b[0]`.
fn unknown_paths(value: &Value) -> Vec<String> {
    paths(value, Value::is_unknown)
}

/// The paths of secrets, written `a.b[0]`; the empty path where all of it is one.
pub fn sensitive_paths(value: &Value) -> Vec<String> {
    paths(value, |value| value.marks().sensitive)
}

fn paths(value: &Value, wanted: impl Copy + Fn(&Value) -> bool) -> Vec<String> {
    fn walk(value: &Value, path: &str, wanted: impl Copy + Fn(&Value) -> bool, found: &mut Vec<String>) {
        if wanted(value) {
            return found.push(path.to_owned());
        }
        match value.kind() {
            Kind::List(_, elements) | Kind::Tuple(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    deeper(|| walk(element, &format!("{path}[{index}]"), wanted, found));
                }
            }
            Kind::Set(_, elements) => {
                for (index, element) in elements.iter().enumerate() {
                    deeper(|| walk(element, &format!("{path}[{index}]"), wanted, found));
                }
            }
            Kind::Map(_, entries) | Kind::Object(entries) => {
                for (name, value) in entries.iter() {
                    let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
                    deeper(|| walk(value, &path, wanted, found));
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", wanted, &mut found);
    found
}
