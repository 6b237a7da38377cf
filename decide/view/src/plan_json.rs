//! A plan, and what is in one, as data for people's scripts.

use andon_plan::{DeferReason, Deferred, Drift, Plan, PlannedAction, Repetition, ReplaceOrder, Undefined};
use andon_schema::Checked;
use andon_text::deeper;
use andon_value::{Kind, Value, encode};
use serde_json::{Value as Json, json};

use crate::report_json;

/// A plan as data. Unknown values are null, their paths in `after_unknown`; sensitive values are the text
/// `(sensitive value)`, their paths in `before_sensitive` and `after_sensitive`.
pub fn plan_json(plan: &Plan) -> Json {
    let plan = &*crate::plan::echoed::hidden(plan);
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
            "undefined": change.undefined.as_ref().map(undefined_word),
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
        "feeds": drift.feeds.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "before": value_json(&drift.before),
        "after": drift.after.as_ref().map(value_json),
        "report": drift.report.as_ref().map(report_json),
    })
}

/// Why no definition asks for what is deleted or forgotten.
fn undefined_word(undefined: &Undefined) -> &'static str {
    match undefined {
        Undefined::Everything => "everything",
        Undefined::Stack => "stack",
        Undefined::Call(_) => "module",
        Undefined::ModuleInstance(..) => "module_instance",
        Undefined::Resource => "resource",
        Undefined::Instance(Repetition::One) => "repetition",
        Undefined::Instance(Repetition::Count(_)) => "count",
        Undefined::Instance(Repetition::Each(_)) => "for_each",
    }
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
