//! Entries, told in short: `story(&["begin a", "create web 1", "made web 1"])`.

use andon_ledger::{
    Action, Difference, Entry, Event, Intent, OutcomeRecord, Outputs, Result, RunId, RunStatus, Timestamp,
};
use andon_schema::{
    Change, EntryStatus, Failure, HostEntry, HostReport, Identity, InstanceAddress, Kept, Object, ObjectStatus,
};
use andon_value::Value;

/// Entries from lines, a second apart. A line is a verb and its arguments; the run is that of the last `begin` or
/// `as`, the environment that of the last `in` (`dev` at first); neither of the latter makes an entry.
pub fn story(lines: &[&str]) -> Vec<Entry> {
    let mut run = RunId("none".into());
    let mut environment = "dev".into();
    let mut entries: Vec<Entry> = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let event = match words[..] {
            ["as", name] => {
                run = RunId(name.into());
                continue;
            }
            ["in", name] => {
                environment = name.into();
                continue;
            }
            ["begin", name] => {
                run = RunId(name.into());
                Event::RunBegan { command: "up".into(), who: "ann@desk".into(), version: "0.1.0".into() }
            }
            _ => event(&words),
        };
        let sequence = entries.len() as u64 + 1;
        let at = Timestamp(sequence as i64 * 1000);
        entries.push(Entry { sequence, at, run: run.clone(), environment: std::sync::Arc::clone(&environment), event });
    }
    entries
}

fn event(words: &[&str]) -> Event {
    match *words {
        ["end", status] => Event::RunEnded { status: run_status(status), summary: status.into() },
        ["create", at, name] => intent(Action::Create, at, name),
        ["update", at, name] => intent(Action::Update, at, name),
        ["delete", at, name] => intent(Action::Delete, at, name),
        // An object came of it, or none did.
        ["done", action, at, name] => outcome(action, at, name, Result::Done, action != "delete"),
        ["failed", action, at, name, what] => outcome(action, at, name, failure(), what == "something"),
        ["resolved", action, at, name, what] => outcome(action, at, name, Result::Resolved, what == "something"),
        ["done-yet", action, at, name] => outcome(action, at, name, Result::Done, action == "delete"),
        ["swapped", at, name, other] => match outcome("create", at, name, Result::Done, true) {
            Event::Outcome(record) => Event::Outcome(OutcomeRecord { object: Some(object(other)), ..record }),
            other => other,
        },
        // What differs: `file=content`. Without any, nothing does.
        ["drifted", at, ref differences @ ..] => Event::Drifted {
            address: address(at),
            differences: differences
                .iter()
                .map(|one| one.split_once('=').unwrap())
                .map(|(what, how)| Difference { what: what.into(), how: how.into() })
                .collect(),
        },
        // What it fails at, in one word; nothing any more without one.
        ["faulted", at] => Event::Faulted { address: address(at), fault: None },
        ["faulted", at, fault] => Event::Faulted { address: address(at), fault: Some(fault.into()) },
        // A server that is to be as a catalog says, and what an update changed in it.
        ["converged", at, name, catalog, ref changed @ ..] => match outcome("update", at, name, Result::Done, true) {
            Event::Outcome(record) => {
                let value = Value::object([("catalog", Value::from(catalog))]);
                let report =
                    HostReport { entries: changed.iter().map(|what| entry(what)).collect(), ..HostReport::default() };
                Event::Outcome(OutcomeRecord {
                    object: Some(Object { value, ..object(name) }),
                    report: Some(report),
                    ..record
                })
            }
            other => other,
        },
        ["saw", at, name, value] => Event::Observed {
            address: address(at),
            identity: identity(name),
            value: Some(Value::from(value)),
            kept: Kept::default(),
        },
        ["gone", at, name] => {
            Event::Observed { address: address(at), identity: identity(name), value: None, kept: Kept::default() }
        }
        ["forget", at, name] => Event::Forgotten { address: address(at), identity: identity(name) },
        ["depends", at, name, on] => Event::Depends {
            address: address(at),
            identity: identity(name),
            dependencies: vec![address(on).resource],
            create_before_destroy: true,
        },
        ["move", from, to] => Event::Moved { from: address(from), to: address(to) },
        ["publish", stack, value] => {
            Event::Published { stack: stack.into(), outputs: Outputs::from([("value".into(), Value::from(value))]) }
        }
        ["withdraw", stack] => Event::Withdrawn { stack: stack.into() },
        _ => panic!("no such line: {words:?}"),
    }
}

pub fn address(name: &str) -> InstanceAddress {
    InstanceAddress::parse(&format!("lab_server.{name}")).unwrap()
}

pub fn identity(name: &str) -> Identity {
    Identity::parse(name).unwrap()
}

fn entry(what: &str) -> HostEntry {
    HostEntry {
        address: what.to_owned(),
        origin: String::new(),
        change: Change::Update,
        differences: Vec::new(),
        diff: None,
        status: EntryStatus::Done,
    }
}

pub fn failure() -> Result {
    Result::Failed(Failure::new("it did not work", "The disk is full."))
}

pub fn object(name: &str) -> Object {
    Object {
        identity: identity(name),
        value: Value::from("new"),
        status: ObjectStatus::Ready,
        dependencies: Vec::new(),
        create_before_destroy: false,
        provider: None,
        kept: Kept::default(),
    }
}

pub fn intent(action: Action, at: &str, name: &str) -> Event {
    Event::Intent(Intent {
        address: address(at),
        action,
        identity: identity(name),
        dependencies: Vec::new(),
        create_before_destroy: false,
        provider: None,
        planned: None,
        provisioned: false,
    })
}

fn outcome(action: &str, at: &str, name: &str, result: Result, something: bool) -> Event {
    let action = match action {
        "create" => Action::Create,
        "update" => Action::Update,
        "delete" => Action::Delete,
        _ => panic!("no such action: {action}"),
    };
    Event::Outcome(OutcomeRecord {
        address: address(at),
        action,
        identity: identity(name),
        result,
        object: something.then(|| object(name)),
        report: None,
    })
}

fn run_status(status: &str) -> RunStatus {
    match status {
        "succeeded" => RunStatus::Succeeded,
        "failed" => RunStatus::Failed,
        "cancelled" => RunStatus::Cancelled,
        "interrupted" => RunStatus::Interrupted,
        _ => panic!("no such status: {status}"),
    }
}
