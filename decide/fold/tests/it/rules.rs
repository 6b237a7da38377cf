use andon_fold::{ReplayError, apply, fold};
use andon_ledger::{Event, Progress, State};
use andon_schema::ObjectStatus;

use crate::story::{address, story};

/// What a state holds in `dev`, in short: `web=1! (2 3)` is an instance with a tainted object 1 in use and the deposed
/// objects 2 and 3; `?4` is a pending intent; `@a` an open run; `web:x` a published value.
fn picture(state: &State) -> String {
    let dev = state.environment("dev");
    let mut parts: Vec<String> = dev
        .instances
        .iter()
        .map(|(address, instance)| {
            let mark = |object: &andon_schema::Object| {
                let taint = if object.status == ObjectStatus::Tainted { "!" } else { "" };
                format!("{}{taint}", object.identity)
            };
            let current = instance.current.as_ref().map(mark).unwrap_or_default();
            let deposed: Vec<String> = instance.deposed.iter().map(mark).collect();
            let deposed = if deposed.is_empty() { String::new() } else { format!(" ({})", deposed.join(" ")) };
            format!("{}={current}{deposed}", address.resource.name)
        })
        .collect();
    parts.extend(dev.published.iter().map(|(stack, outputs)| {
        format!("{stack}:{}", outputs["value"].as_str().map(|text| text.to_string()).unwrap_or_default())
    }));
    parts.extend(dev.pending.keys().map(|identity| format!("?{identity}")));
    parts.extend(dev.open_run.iter().map(|run| format!("@{run}")));
    parts.join(", ")
}

#[test]
fn legal_orders_fold() {
    let check = |lines: &[&str], expected: &str| {
        let state = fold(&story(lines)).unwrap_or_else(|error| panic!("{lines:?}: {error}"));
        assert_eq!(picture(&state), expected, "{lines:?}");
        assert_eq!(state, State::new(state.sequence, state.environments.clone()), "{lines:?}");
    };
    check(&[], "");
    check(&["begin a"], "@a");
    check(&["begin a", "end succeeded"], "");
    check(&["begin a", "create web 1"], "?1, @a");
    check(&["begin a", "create web 1", "done create web 1"], "web=1, @a");
    check(&["begin a", "create web 1", "failed create web 1 nothing"], "@a");
    check(&["begin a", "create web 1", "failed create web 1 something"], "web=1!, @a");
    let made = ["begin a", "create web 1", "done create web 1"];
    let then = |lines: &[&'static str]| [&made[..], lines].concat();
    // Replaced: the old one first, or the new one first.
    check(&then(&["delete web 1", "done delete web 1", "create web 2", "done create web 2"]), "web=2, @a");
    check(&then(&["create web 2", "done create web 2"]), "web=2 (1), @a");
    check(&then(&["create web 2", "done create web 2", "delete web 1", "done delete web 1"]), "web=2, @a");
    check(&then(&["create web 2", "failed create web 2 something"]), "web=2! (1), @a");
    check(&then(&["create web 2", "failed create web 2 nothing"]), "web=1, @a");
    check(&then(&["create web 2", "done create web 2", "create web 3", "done create web 3"]), "web=3 (1 2), @a");
    check(&then(&["create web 2", "done create web 2", "delete web 2", "done delete web 2"]), "web= (1), @a");
    // Changed and removed.
    check(&then(&["update web 1", "done update web 1"]), "web=1, @a");
    check(&then(&["update web 1", "failed update web 1 something"]), "web=1, @a");
    check(&then(&["depends web 1 net"]), "web=1, @a");
    check(&then(&["update web 1", "failed update web 1 nothing"]), "@a");
    check(&then(&["delete web 1", "done delete web 1"]), "@a");
    check(&then(&["delete web 1", "failed delete web 1 something"]), "web=1, @a");
    check(&then(&["delete web 1", "failed delete web 1 nothing"]), "@a");
    // Seen, forgotten, moved.
    check(&then(&["saw web 1 other"]), "web=1, @a");
    check(&then(&["gone web 1"]), "@a");
    check(&then(&["forget web 1"]), "@a");
    check(&then(&["create web 2", "forget web 2"]), "web=1, @a");
    check(&then(&["move web app"]), "app=1, @a");
    check(&then(&["move web app", "move app web"]), "web=1, @a");
    // The registry.
    check(&then(&["publish web x", "publish web y"]), "web=1, web:y, @a");
    check(&then(&["publish web x", "withdraw web", "withdraw web"]), "web=1, @a");
    // Cut short, and looked into by a later run.
    let cut = ["begin a", "create web 1", "end interrupted", "begin b"];
    check(&cut, "?1, @b");
    check(&[&cut[..], &["resolved create web 1 something"]].concat(), "web=1, @b");
    check(&[&cut[..], &["resolved create web 1 nothing", "end succeeded"]].concat(), "");
    check(&["begin a", "create web 1", "end failed"], "?1");
    check(&["begin a", "create web 1", "end cancelled"], "?1");
    // A name may come again once its object is gone.
    check(&then(&["delete web 1", "done delete web 1", "create app 1", "done create app 1"]), "app=1, @a");
    // Environments do not meet.
    check(&then(&["in production", "begin b", "create web 2", "in dev", "as a", "end succeeded"]), "web=1");
}

#[test]
fn illegal_orders_are_refused() {
    let check = |lines: &[&str], reason: &str| {
        let entries = story(lines);
        let (last, before) = entries.split_last().unwrap();
        let mut state = fold(before).unwrap_or_else(|error| panic!("{lines:?}: {error}"));
        let as_it_was = state.clone();
        let error = apply(&mut state, last).unwrap_err();
        assert_eq!(error.sequence, last.sequence);
        assert_eq!(error.reason.to_string(), reason, "{lines:?}");
        assert_eq!(state, as_it_was, "{lines:?}");
    };
    check(&["begin a", "begin b"], "run a has not ended");
    check(&["begin a", "begin a"], "run a has not ended");
    check(&["create web 1"], "no run is open in the environment");
    check(&["end succeeded"], "no run is open in the environment");
    check(&["publish web x"], "no run is open in the environment");
    check(&["withdraw web"], "no run is open in the environment");
    check(&["begin a", "end failed", "create web 1"], "no run is open in the environment");
    check(&["begin a", "end failed", "end failed"], "no run is open in the environment");
    check(&["begin a", "in production", "create web 1"], "no run is open in the environment");
    check(&["begin a", "as b", "create web 1"], "run a is open, and only its events can come");
    check(&["begin a", "as b", "end interrupted"], "run a is open, and only its events can come");
    check(
        &["begin a", "create web 1", "end succeeded"],
        "the run cannot have succeeded, as the outcome of object 1 is not known",
    );
    check(&["begin a", "create web 1", "create web 1"], "object 1 has an intent already, whose outcome is not known");
    check(&["begin a", "update web 1"], "the instance has no object 1");
    check(&["begin a", "delete web 1"], "the instance has no object 1");
    check(&["begin a", "saw web 1 x"], "the instance has no object 1");
    check(&["begin a", "gone web 1"], "the instance has no object 1");
    check(&["begin a", "forget web 1"], "the instance has no object 1");
    check(&["begin a", "depends web 1 net"], "the instance has no object 1");
    check(&["begin a", "move web app"], "there is nothing to move");
    check(&["begin a", "done create web 1"], "there is no intent for object 1 that it answers");
    let made = ["begin a", "create web 1", "done create web 1"];
    let check_then = |lines: &[&'static str], reason| check(&[&made[..], lines].concat(), reason);
    check_then(&["create web 1"], "there is an object 1 already");
    check_then(&["create app 1"], "there is an object 1 already");
    check_then(&["in production", "begin b", "create web 1"], "there is an object 1 already");
    check_then(&["update app 1"], "the instance has no object 1");
    check_then(&["done create web 1"], "there is no intent for object 1 that it answers");
    check_then(&["update web 1", "delete web 1"], "object 1 has an intent already, whose outcome is not known");
    check_then(&["update web 1", "depends web 1 net"], "object 1 has an intent already, whose outcome is not known");
    check_then(&["update web 1", "gone web 1"], "object 1 has an intent already, whose outcome is not known");
    check_then(&["update web 1", "move web app"], "object 1 has an intent already, whose outcome is not known");
    check_then(&["update web 1", "done delete web 1"], "the intent for object 1 was to update lab_server.web");
    check_then(&["update web 1", "done update app 1"], "the intent for object 1 was to update lab_server.web");
    check_then(&["create app 2", "forget web 2"], "the instance has no object 2");
    check_then(&["update web 1", "done-yet update web 1"], "it worked, and yet there is no object 1");
    check_then(&["create web 2", "done-yet create web 2"], "it worked, and yet there is no object 2");
    check_then(&["delete web 1", "done-yet delete web 1"], "it worked, and yet object 1 is still there");
    check_then(&["create web 2", "swapped web 2 3"], "the outcome for object 2 brings object 3");
    check_then(&["create app 2", "done create app 2", "move web app"], "lab_server.app has objects of its own");
    check_then(&["move web web"], "lab_server.web has objects of its own");
    check_then(&["create app 2", "move web app"], "object 2 has an intent already, whose outcome is not known");
}

#[test]
fn a_refusal_names_the_entry_the_instance_and_the_reason() {
    let error = fold(&story(&["begin a", "update web 1"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry 2 of the ledger, about lab_server.web, cannot follow those before it: the instance has no object 1"
    );
    let error = fold(&story(&["begin a", "begin b"])).unwrap_err();
    assert_eq!(error.to_string(), "entry 2 of the ledger cannot follow those before it: run a has not ended");
}

#[test]
fn gaps_and_repetitions_are_refused() {
    let check = |sequences: &[u64], expected: Option<u64>| {
        let mut entries = story(&["begin a", "publish web x", "publish web y", "publish web z"]);
        entries.truncate(sequences.len());
        for (entry, sequence) in entries.iter_mut().zip(sequences) {
            entry.sequence = *sequence;
        }
        assert_eq!(fold(&entries).err().map(|error: ReplayError| error.sequence), expected, "{sequences:?}");
    };
    check(&[1, 2, 3, 4], None);
    check(&[2, 3, 4, 5], Some(2));
    check(&[0, 1, 2], Some(0));
    check(&[1, 3, 4], Some(3));
    check(&[1, 2, 2], Some(2));
    check(&[1, 2, u64::MAX], Some(u64::MAX));
}

#[test]
fn progress_is_no_part_of_the_ledger() {
    let mut entries = story(&["begin a", "end failed"]);
    entries[1].event = Event::Progress(Progress::Skipped { address: address("web"), reason: "it was stopped".into() });
    assert_eq!(fold(&entries).unwrap_err().reason.to_string(), "progress is shown, not stored");
}

#[test]
fn what_an_object_depends_on_is_as_said_last() {
    let state = fold(&story(&["begin a", "create web 1", "done create web 1", "depends web 1 net"])).unwrap();
    let dev = state.environment("dev");
    let object = dev.current(&address("web")).unwrap();
    assert_eq!(object.dependencies, [address("net").resource]);
    assert!(object.create_before_destroy);
}
