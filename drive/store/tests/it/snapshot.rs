use std::collections::BTreeMap;

use andon_ledger::{EnvironmentState, State};
use rusqlite::Connection;

use crate::spots::{Spot, spots};
use crate::{append, ledger};

fn state(sequence: u64) -> State {
    let environment = EnvironmentState { open_run: Some(crate::run()), ..EnvironmentState::default() };
    State::new(sequence, BTreeMap::from([("dev".into(), environment)]))
}

#[test]
fn a_snapshot_is_read_back_and_replaced() {
    for spot in spots() {
        a_snapshot_is_read_back_and_replaced_on(&spot);
    }
}

fn a_snapshot_is_read_back_and_replaced_on(spot: &Spot) {
    let ledger = spot.open();
    assert_eq!(ledger.snapshot(), None);
    append(&ledger, "dev", &["a", "b", "c"]);
    for sequence in [2, 3] {
        ledger.write_snapshot(&state(sequence)).unwrap();
        assert_eq!(ledger.snapshot(), Some((sequence, state(sequence))));
    }
    append(&ledger, "dev", &["d"]);
    drop(ledger);
    assert_eq!(spot.open().snapshot(), Some((3, state(3))));
}

#[test]
fn a_snapshot_that_is_not_of_these_entries_is_ignored() {
    let check = |damage: &str| {
        let (_directory, path, ledger) = ledger();
        append(&ledger, "dev", &["a", "b"]);
        ledger.write_snapshot(&state(2)).unwrap();
        assert!(Connection::open(&path).unwrap().execute(damage, []).unwrap() > 0, "{damage}");
        assert_eq!(ledger.snapshot(), None, "{damage}");
        ledger.write_snapshot(&state(2)).unwrap();
    };
    check("UPDATE snapshot SET state = replace(state, 'dev', 'dew')");
    check("UPDATE snapshot SET sequence = 1");
    check("UPDATE snapshot SET checksum = x'00'");
    check("UPDATE entries SET event = replace(event, 'b', 'x') WHERE sequence = 2");
    check("DELETE FROM entries WHERE sequence = 2");
    check("DELETE FROM snapshot");
}

#[test]
fn a_snapshot_of_what_is_to_come_is_ignored() {
    for spot in spots() {
        a_snapshot_of_what_is_to_come_is_ignored_on(&spot);
    }
}

fn a_snapshot_of_what_is_to_come_is_ignored_on(spot: &Spot) {
    let ledger = spot.open();
    append(&ledger, "dev", &["a"]);
    ledger.write_snapshot(&state(2)).unwrap();
    assert_eq!(ledger.snapshot(), None);
}
