use andon_ledger::{Action, Difference, Entry, Event, Progress, Result as Tried, RunStatus};
use andon_schema::{CheckStatus, Failure, ObjectStatus};
use andon_value::Value;
use serde_json::{Value as Json, json};

use crate::fold::inline;
use crate::{report_json, value_json, without_echoes};

/// An event as data for people's scripts. Secrets are the text `(sensitive value)`.
pub fn event_json(event: &Event) -> Json {
    match event {
        Event::RunBegan { command, who, version } => {
            json!({ "type": "run_began", "command": command, "who": who, "version": version })
        }
        Event::RunEnded { status, summary } => {
            json!({ "type": "run_ended", "status": status_word(*status), "summary": summary })
        }
        Event::Intent(intent) => json!({
            "type": "intent", "address": intent.address.to_string(), "action": action_word(intent.action),
            "identity": intent.identity.as_str(),
        }),
        Event::Outcome(record) => {
            let (result, failure) = match &record.result {
                Tried::Done => ("done", Json::Null),
                Tried::Resolved => ("resolved", Json::Null),
                Tried::Failed(failure) => {
                    let Failure { summary, detail, help, .. } = failure;
                    ("failed", json!({ "summary": summary, "detail": detail, "help": help }))
                }
            };
            json!({
                "type": "outcome", "address": record.address.to_string(), "action": action_word(record.action),
                "identity": record.identity.as_str(), "result": result, "failure": failure,
                "value": record.object.as_ref().map(|object| object_json(&object.value)),
                "report": record.report.as_ref().map(report_json),
            })
        }
        Event::Observed { address, identity, value, .. } => json!({
            "type": "observed", "address": address.to_string(), "identity": identity.as_str(),
            "value": value.as_ref().map(object_json),
        }),
        Event::Adopted { address, object, deposed } => json!({
            "type": "adopted", "address": address.to_string(), "identity": object.identity.as_str(),
            "value": object_json(&object.value), "deposed": deposed,
        }),
        Event::Marked { address, identity, status } => json!({
            "type": "marked", "address": address.to_string(), "identity": identity.as_str(),
            "tainted": *status == ObjectStatus::Tainted,
        }),
        Event::DataRead { address, data } => {
            json!({ "type": "data_read", "address": address.to_string(), "value": object_json(&data.value) })
        }
        Event::Drifted { address, differences } => json!({
            "type": "drifted", "address": address.to_string(),
            "differences": differences.iter().map(|one| json!({ "what": &*one.what, "how": &*one.how })).collect::<Vec<_>>(),
        }),
        Event::Faulted { address, fault } => {
            json!({ "type": "faulted", "address": address.to_string(), "fault": fault.as_deref() })
        }
        Event::DataDropped { address } => json!({ "type": "data_dropped", "address": address.to_string() }),
        Event::Checked { stack, results } => {
            let results = results.iter().map(|result| {
                json!({ "object": result.object, "status": result.status.to_string(), "problems": result.problems })
            });
            json!({ "type": "checked", "stack": &**stack, "results": results.collect::<Vec<_>>() })
        }
        Event::Forgotten { address, identity } => {
            json!({ "type": "forgotten", "address": address.to_string(), "identity": identity.as_str() })
        }
        Event::Depends { address, identity, dependencies, create_before_destroy } => json!({
            "type": "depends", "address": address.to_string(), "identity": identity.as_str(),
            "dependencies": dependencies.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "create_before_destroy": create_before_destroy,
        }),
        Event::Moved { from, to } => json!({ "type": "moved", "from": from.to_string(), "to": to.to_string() }),
        Event::Published { stack, outputs } => {
            let outputs: serde_json::Map<String, Json> =
                outputs.iter().map(|(name, value)| (name.to_string(), value_json(value))).collect();
            json!({ "type": "published", "stack": &**stack, "outputs": outputs })
        }
        Event::Withdrawn { stack } => json!({ "type": "withdrawn", "stack": &**stack }),
        Event::WentOn { stack, lineage, serial } => {
            json!({ "type": "went_on", "stack": &**stack, "lineage": &**lineage, "serial": serial })
        }
        Event::Progress(Progress::Note { address, text }) => {
            json!({ "type": "note", "address": address.to_string(), "text": text })
        }
        Event::Progress(Progress::Waiting { address, on }) => json!({
            "type": "waiting", "address": address.to_string(),
            "on": on.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Event::Progress(Progress::Failed { address, reason }) => {
            json!({ "type": "failed", "address": address.to_string(), "reason": reason })
        }
        Event::Progress(Progress::Skipped { address, reason }) => {
            json!({ "type": "skipped", "address": address.to_string(), "reason": reason })
        }
    }
}

/// An object's attributes, without what a provider repeats of a secret.
fn object_json(value: &Value) -> Json {
    value_json(&without_echoes(value))
}

/// An entry as data: its event, with `sequence`, `at` (as given), `run` and `environment`.
pub fn entry_json(entry: &Entry, at: &str) -> Json {
    let mut json = event_json(&entry.event);
    if let Some(object) = json.as_object_mut() {
        object.insert("sequence".to_owned(), entry.sequence.into());
        object.insert("at".to_owned(), at.into());
        object.insert("run".to_owned(), entry.run.to_string().into());
        object.insert("environment".to_owned(), (&*entry.environment).into());
    }
    json
}

/// An event in one line; `None` for what only lasts while it happens.
pub fn event_line(event: &Event) -> Option<String> {
    line(event).map(|line| inline(&line).into_owned())
}

fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::RunBegan { command, who, .. } => format!("{who} began `{command}`"),
        Event::RunEnded { status, summary } if summary.is_empty() => format!("the run {}", status_word(*status)),
        Event::RunEnded { status, summary } => format!("the run {}: {summary}", status_word(*status)),
        Event::Intent(intent) => format!("{} {}", action_word(intent.action), intent.address),
        Event::Outcome(record) => {
            let (word, address) = (action_word(record.action), &record.address);
            match &record.result {
                Tried::Done => format!("{word} {address}: done"),
                Tried::Failed(failure) => format!("{word} {address}: failed: {}", failure.summary),
                Tried::Resolved if record.object.is_some() => format!("{word} {address}: found to be there"),
                Tried::Resolved => format!("{word} {address}: found not to be there"),
            }
        }
        Event::Observed { address, value: Some(_), .. } => format!("{address} was found to be different"),
        Event::Observed { address, value: None, .. } => format!("{address} was found to be gone"),
        Event::Adopted { address, .. } => format!("{address} is known as it is now"),
        Event::Marked { address, status: ObjectStatus::Tainted, .. } => format!("{address} is to be replaced"),
        Event::Marked { address, .. } => format!("{address} may be kept"),
        Event::DataRead { address, .. } => format!("{address} was read"),
        Event::Drifted { address, differences } if differences.is_empty() => {
            format!("{address} is as defined again")
        }
        Event::Drifted { address, differences } => {
            let told = |one: &Difference| format!("{} {}", one.what, one.how).trim().to_owned();
            format!("{address} drifted: {}", differences.iter().map(told).collect::<Vec<_>>().join("; "))
        }
        Event::Faulted { address, fault: Some(fault) } => format!("{address} is at fault: {fault}"),
        Event::Faulted { address, fault: None } => format!("{address} is no longer at fault"),
        Event::DataDropped { address } => format!("{address} is no longer read"),
        Event::Checked { stack, results } => {
            let failed = results.iter().filter(|result| !matches!(result.status, CheckStatus::Pass)).count();
            format!("{} conditions of {stack} were judged, of which {failed} do not hold", results.len())
        }
        Event::Forgotten { address, .. } => format!("{address} is no longer ours"),
        Event::Depends { address, dependencies, .. } if dependencies.is_empty() => {
            format!("{address} now depends on nothing")
        }
        Event::Depends { address, dependencies, .. } => {
            let names: Vec<String> = dependencies.iter().map(ToString::to_string).collect();
            format!("{address} now depends on {}", names.join(", "))
        }
        Event::Moved { from, to } => format!("{from} is now {to}"),
        Event::Published { stack, outputs } => {
            let names: Vec<&str> = outputs.keys().map(|name| &**name).collect();
            format!("published {stack}: {}", names.join(", "))
        }
        Event::Withdrawn { stack } => format!("withdrew the outputs of {stack}"),
        Event::WentOn { stack, serial, .. } => {
            format!("{stack} goes on from a state file, serial {serial}").trim().to_owned()
        }
        Event::Progress(_) => return None,
    })
}

/// How a run ended, in a word.
pub fn status_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "was stopped",
        RunStatus::Interrupted => "was cut short",
    }
}

pub(crate) fn action_word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
    }
}
