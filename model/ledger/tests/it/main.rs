//! The stored format: its golden files, and that nothing is lost in it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once, and so may what helps it"
)]
#![allow(clippy::disallowed_methods, reason = "golden files are files")]

mod cases;
mod generate;
mod state_file;

use std::fs;
use std::path::PathBuf;

use andon_ledger::codec::{
    CodecError, decode_event, decode_report, decode_snapshot, decode_state, encode_event, encode_report,
    encode_snapshot, encode_state,
};
use andon_ledger::{Event, Progress};
use andon_schema::InstanceAddress;
use andon_value::{Marks, Type, Value};
use proptest::prelude::*;

/// Compares a record with its golden file, which `UPDATE_GOLDEN=1` writes.
fn golden(name: &str, record: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{record}\n")).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(stored.trim_end(), record, "{name}: a change of the format needs a new version of it");
    stored
}

#[test]
fn every_kind_of_event_has_its_golden_record() {
    for (name, event) in cases::events() {
        let stored = golden(name, &encode_event(&event).unwrap());
        assert_eq!(decode_event(&stored), Ok(event), "{name}");
    }
}

/// What was written by earlier versions of the format is read for ever.
#[test]
fn records_of_the_first_format_mean_what_they_did() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut read = 0;
    for file in fs::read_dir(golden.join("v1")).unwrap() {
        let file = file.unwrap();
        let (old, new) = (fs::read_to_string(file.path()), fs::read_to_string(golden.join(file.file_name())));
        let (old, new) = (old.unwrap(), new.unwrap());
        match file.file_name().to_string_lossy().as_ref() {
            "state.json" => {
                let mut new = decode_state(&new).unwrap();
                for environment in new.environments.values_mut() {
                    environment.data.clear();
                    environment.checked.clear();
                    environment.files.clear();
                    environment.drifted.clear();
                    environment.faults.clear();
                }
                assert_eq!(decode_state(&old), Ok(new));
            }
            "report.json" => assert_eq!(decode_report(&old), decode_report(&new)),
            name => assert_eq!(decode_event(&old), decode_event(&new), "{name}"),
        }
        read += 1;
    }
    assert_eq!(read, 20);
}

#[test]
fn a_state_has_its_golden_record() {
    let state = cases::state();
    let stored = golden("state", &encode_state(&state).unwrap());
    assert_eq!(decode_snapshot(stored.trim_end().as_bytes()), Ok(state.clone()), "snapshots were records once");
    assert_eq!(decode_snapshot(&encode_snapshot(&state).unwrap()), Ok(state.clone()));
    assert_eq!(decode_state(&stored), Ok(state));
}

#[test]
fn a_report_has_its_golden_record() {
    let report = cases::report();
    let stored = golden("report", &encode_report(&report));
    assert_eq!(decode_report(&stored), Ok(report));
}

#[test]
fn records_that_cannot_be_read_say_why() {
    let check = |text: &str, expected: &str| {
        let error = decode_event(text).unwrap_err().to_string();
        assert_eq!(error, expected, "{text}");
    };
    check(
        r#"{"event":"teleported","v":3}"#,
        "the record has format 3, and this version of Andon knows formats up to 2: use the version of Andon that wrote \
         it, or a later one",
    );
    check(r#"{"event":"withdrawn","stack":"web"}"#, "the record is damaged: `v` is not a version");
    check(r#"{"v":0,"event":"withdrawn","stack":"web"}"#, "the record is damaged: `v` is not a version");
    check(r#"{"v":1,"event":"teleported"}"#, "the record is damaged: `event` is not a kind of event");
    check(r#"{"v":1,"event":"withdrawn"}"#, "the record is damaged: `stack` is not there");
    check(r#"{"v":1,"event":"withdrawn","stack":3}"#, "the record is damaged: `stack` is not a text");
    check(
        r#"{"v":1,"event":"run_ended","status":"well"}"#,
        "the record is damaged: `status` is not the status of a run",
    );
    check(r#"[]"#, "the record is damaged: `v` is not a version");
    check("", "the record is damaged: it is empty");
    check(r#"{"v":1,"event":"withdrawn","stack":"web"} {}"#, "the record is damaged: something follows it");
    assert!(matches!(decode_event(r#"{"v":1,"event":"withd"#), Err(CodecError::Syntax(_))));
}

#[test]
fn what_must_not_be_stored_is_refused() {
    let address = InstanceAddress::parse("lab_server.web").unwrap();
    let note = Event::Progress(Progress::Note { address, text: "installing nginx".to_owned() });
    assert_eq!(encode_event(&note), Err(CodecError::NotStored("progress")));
    let ephemeral = Value::from("once").mark(Marks { ephemeral: true, ..Marks::NONE });
    let event = cases::observed(Value::object([("token", ephemeral)]));
    assert_eq!(encode_event(&event), Err(CodecError::NotStored("an ephemeral value")));
}

#[test]
fn a_deeply_nested_value_is_read_back() {
    let deep = (0..120).fold(Value::from(1), |value, _| Value::list(Type::Dynamic, [value]));
    let event = cases::observed(deep);
    assert_eq!(decode_event(&encode_event(&event).unwrap()), Ok(event));
}

#[test]
fn sensitive_values_are_stored_with_their_mark() {
    let event = cases::observed(Value::object([("password", Value::from("hunter2").mark(Marks::SENSITIVE))]));
    let record = encode_event(&event).unwrap();
    assert!(record.contains("hunter2") && record.contains("sensitive"), "{record}");
    assert_eq!(decode_event(&record), Ok(event));
}

proptest! {
    #[test]
    fn an_event_reads_back_as_it_was_written(event in generate::event()) {
        let record = encode_event(&event).unwrap();
        prop_assert!(!record.contains('\n'));
        prop_assert_eq!(decode_event(&record), Ok(event));
    }

    #[test]
    fn a_state_reads_back_as_it_was_written(state in generate::state()) {
        prop_assert_eq!(decode_state(&encode_state(&state).unwrap()), Ok(state));
    }

    #[test]
    fn a_state_unpacks_as_it_was_packed(state in generate::state()) {
        prop_assert_eq!(decode_snapshot(&encode_snapshot(&state).unwrap()), Ok(state));
    }

    #[test]
    fn a_damaged_snapshot_never_panics(state in generate::state(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut packed = encode_snapshot(&state).unwrap();
        let at = at.index(packed.len());
        prop_assert!(decode_snapshot(&packed[..at]).is_err());
        packed[at] = byte;
        let _ = decode_snapshot(&packed);
    }

    #[test]
    fn a_damaged_record_never_panics(event in generate::event(), at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let mut record = encode_event(&event).unwrap().into_bytes();
        let at = at.index(record.len());
        record[at] = byte;
        if let Ok(text) = String::from_utf8(record) {
            let _ = decode_event(&text);
            let _ = decode_state(&text);
        }
    }
}
