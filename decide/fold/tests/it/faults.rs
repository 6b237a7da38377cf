//! What objects fail at: when that is an event, and what the state says of it.

use andon_fold::{apply, fold, legal_in_order, with_faults};
use andon_ledger::{
    Action, Entry, EnvironmentState, Event, Fault, OutcomeRecord, Result as Tried, RunId, State, Timestamp,
};
use andon_schema::{InstanceAddress, Kept, Object};
use andon_value::{Type, Value};

use crate::story::{self, failure, identity, object, story};

fn pool() -> InstanceAddress {
    InstanceAddress::parse("lab_pool.web").unwrap()
}

fn telling(fault: &str) -> Value {
    let fault = if fault == "-" { Value::null(Type::String) } else { Value::from(fault) };
    Value::object([("name", Value::from("web")), ("fault", fault)])
}

/// Events of the pool, in short: a verb, the object, and what it says of itself, `-` for nothing.
fn event(line: &str) -> Event {
    let words: Vec<&str> = line.split(' ').collect();
    let outcome = |action, name: &str, result, object: Option<Object>| {
        Event::Outcome(OutcomeRecord {
            address: pool(),
            action,
            identity: identity(name),
            result,
            object,
            report: None,
        })
    };
    let telling = |name: &str, fault: &str| Some(Object { value: telling(fault), ..object(name) });
    match words[..] {
        ["create", name] => about_pool(story::intent(Action::Create, "web", name)),
        ["update", name] => about_pool(story::intent(Action::Update, "web", name)),
        ["delete", name] => about_pool(story::intent(Action::Delete, "web", name)),
        ["made", name, fault] => outcome(Action::Create, name, Tried::Done, telling(name, fault)),
        ["changed", name, fault] => outcome(Action::Update, name, Tried::Done, telling(name, fault)),
        ["not-changed", name, fault] => outcome(Action::Update, name, failure(), telling(name, fault)),
        ["not-removed", name, fault] => outcome(Action::Delete, name, failure(), telling(name, fault)),
        ["removed", name] => outcome(Action::Delete, name, Tried::Done, None),
        ["saw", name, fault] => Event::Observed {
            address: pool(),
            identity: identity(name),
            value: Some(self::telling(fault)),
            kept: Kept::default(),
        },
        ["move", to] => Event::Moved { from: pool(), to: InstanceAddress::parse(to).unwrap() },
        _ => panic!("no such line: {line}"),
    }
}

fn about_pool(event: Event) -> Event {
    match event {
        Event::Intent(intent) => Event::Intent(andon_ledger::Intent { address: pool(), ..intent }),
        event => event,
    }
}

/// What follows from batches of events, as whoever appends them does it: each event of a fault, and what is known at the
/// end.
fn check(batches: &[&[&str]], raised: &[Option<&str>], known: &[(&str, &str)]) {
    let mut state = fold(&story(&["begin a"])).unwrap();
    let mut found = Vec::new();
    for batch in batches {
        let here = state.environment("dev");
        let events = with_faults(&here, batch.iter().map(|line| event(line)).collect());
        legal_in_order(&state, "dev", &RunId("a".into()), &events).unwrap();
        for event in events {
            if let Event::Faulted { address, fault } = &event {
                assert_eq!(*address, pool());
                found.push(fault.clone());
            }
            let sequence = state.sequence + 1;
            let at = Timestamp(sequence as i64);
            let entry = Entry { sequence, at, run: RunId("a".into()), environment: "dev".into(), event };
            apply(&mut state, &entry).unwrap();
        }
    }
    let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, raised, "{batches:?}");
    let here = state.environment("dev");
    let faults: Vec<(String, &str)> =
        here.faults.iter().map(|(address, fault)| (address.to_string(), &*fault.what)).collect();
    let expected: Vec<(String, &str)> = known.iter().map(|(address, what)| ((*address).to_owned(), *what)).collect();
    assert_eq!(faults, expected, "{batches:?}");
}

#[test]
fn a_fault_is_an_event_when_it_begins_and_when_it_is_over() {
    let made: &[&str] = &["create 1", "made 1 -"];
    let failed: &[&str] = &["update 1", "not-changed 1 dying"];
    let web = [("lab_pool.web", "dying")];
    check(&[made], &[], &[]);
    check(&[made, failed], &[Some("dying")], &web);
    // Once for each fault, not for each look, and as it was when it began.
    check(&[made, failed, failed, &["saw 1 worse"]], &[Some("dying")], &web);
    check(&[made, &["saw 1 dying", "update 1", "not-changed 1 dying"]], &[Some("dying")], &web);
    check(&[made, &["saw 1 dying", "update 1", "changed 1 -"]], &[Some("dying"), None], &[]);
    check(&[made, failed, &["update 1", "changed 1 -"], failed], &[Some("dying"), None, Some("dying")], &web);
    // It goes with the object, and moves with it.
    check(&[made, failed, &["delete 1", "removed 1"]], &[Some("dying")], &[]);
    check(&[made, failed, &["delete 1", "not-removed 1 dying"]], &[Some("dying")], &web);
    check(&[made, failed, &["move lab_pool.app"]], &[Some("dying")], &[("lab_pool.app", "dying")]);
    // One that takes its place is well, whatever is left of the old one says of itself.
    let replaced: &[&str] = &["create 2", "made 2 -"];
    check(&[made, failed, replaced], &[Some("dying"), None], &[]);
    check(
        &[made, failed, replaced, &["delete 1", "not-removed 1 dying"], &["saw 1 dying"]],
        &[Some("dying"), None],
        &[],
    );
    check(
        &[made, failed, replaced, &["delete 1", "removed 1", "saw 2 dying"]],
        &[Some("dying"), None, Some("dying")],
        &web,
    );
}

#[test]
fn only_pools_tell_of_themselves() {
    let value = telling("dying");
    for (address, told) in [("lab_pool.web", Some("dying")), ("lab_server.web", None), ("cloud_motor.web", None)] {
        assert_eq!(Fault::told(&InstanceAddress::parse(address).unwrap(), &value), told, "{address}");
    }
    assert_eq!(Fault::told(&pool(), &telling("-")), None);
    assert_eq!(Fault::told(&pool(), &Value::NULL), None);
}

#[test]
fn a_fault_is_known_since_it_was_found() {
    let entries = story(&["begin a", "faulted web dying", "faulted web worse"]);
    let state: State = fold(&entries).unwrap();
    let here: EnvironmentState = state.environment("dev");
    let fault = here.faults.values().next().unwrap();
    assert_eq!((&*fault.what, fault.since), ("dying", entries[1].at));
    let over = fold(&story(&["begin a", "faulted web dying", "faulted web"])).unwrap();
    assert!(over.environment("dev").faults.is_empty());
}
