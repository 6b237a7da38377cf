use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use andon_ledger::codec::CodecError;
use andon_ledger::{Event, Progress, RunId, State, Timestamp};
use andon_schema::InstanceAddress;
use andon_store::{Ledger, Place, StoreError, Which};

use crate::spots::{Spot, file, spots};
use crate::{append, event, run, text};

#[test]
fn what_is_appended_is_read_back() {
    for spot in spots() {
        what_is_appended_is_read_back_on(&spot);
    }
}

fn what_is_appended_is_read_back_on(spot: &Spot) {
    let ledger = spot.open();
    assert_eq!(ledger.last_sequence(), Ok(0));
    assert_eq!(ledger.read_from(0), Ok(Vec::new()));
    let first = ledger.append(Timestamp(-7), &run(), "dev", vec![event("a"), event("b")]).unwrap();
    let second = ledger.append(Timestamp(8), &RunId("other".into()), "é/1", vec![event("c")]).unwrap();
    assert_eq!(ledger.append(Timestamp(9), &run(), "dev", Vec::new()), Ok(Vec::new()));
    let all = [first, second].concat();
    assert_eq!(all.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    let read = |ledger: &Ledger| {
        assert_eq!(ledger.read_from(0).unwrap(), all);
        assert_eq!(ledger.read_from(1).unwrap(), all);
        assert_eq!(ledger.read_from(3).unwrap(), all[2..]);
        assert_eq!(ledger.read_from(4).unwrap(), []);
        assert_eq!(ledger.read_from(u64::MAX).unwrap(), []);
        assert_eq!(ledger.last_sequence(), Ok(3));
    };
    read(&ledger);
    drop(ledger);
    read(&spot.open());
}

#[test]
fn entries_are_read_by_run_by_environment_and_from_the_end() {
    for spot in spots() {
        entries_are_read_by_run_by_environment_and_from_the_end_on(&spot);
    }
}

fn entries_are_read_by_run_by_environment_and_from_the_end_on(spot: &Spot) {
    let ledger = spot.open();
    for number in 0..2500 {
        let environment = if number % 2 == 0 { "dev" } else { "production" };
        let run = RunId(format!("run{}", number / 1000).into());
        let _ = ledger.append_async(Timestamp(0), &run, environment, vec![event(&number.to_string())]);
    }
    assert_eq!(append(&ledger, "dev", &["last"]), [2501]);
    let sequences = |which: Which, from: u64| -> Vec<u64> {
        ledger.stream(which, from).map(|entry| entry.unwrap().sequence).collect()
    };
    assert_eq!(sequences(Which::All, 1), (1..=2501).collect::<Vec<_>>());
    assert_eq!(sequences(Which::Run(RunId("run1".into())), 0), (1001..=2000).collect::<Vec<_>>());
    assert_eq!(sequences(Which::Run(RunId("run1".into())), 1990), (1990..=2000).collect::<Vec<_>>());
    assert!(sequences(Which::Run(RunId("run9".into())), 0).is_empty());
    assert_eq!(sequences(Which::Environment("production".into()), 0), (2..=2500).step_by(2).collect::<Vec<_>>());
    let last = |which: Which, count: u32| -> Vec<u64> {
        ledger.last(&which, count).unwrap().iter().map(|entry| entry.sequence).collect()
    };
    assert_eq!(last(Which::All, 3), [2499, 2500, 2501]);
    assert_eq!(last(Which::Environment("production".into()), 2), [2498, 2500]);
    assert_eq!(last(Which::Run(RunId("run0".into())), 1), [1000]);
    assert!(last(Which::All, 0).is_empty());
    assert_eq!(last(Which::All, u32::MAX).len(), 2501);
}

#[test]
fn followers_see_each_entry_once() {
    for spot in spots() {
        followers_see_each_entry_once_on(&spot);
    }
}

fn followers_see_each_entry_once_on(spot: &Spot) {
    let ledger = spot.open();
    append(&ledger, "dev", &["a", "b"]);
    let mut follow = spot.open().follow(1);
    let mut poll = || follow.poll().unwrap().iter().map(|entry| text(&entry.event).to_owned()).collect::<Vec<_>>();
    assert_eq!(poll(), ["b"]);
    assert_eq!(poll(), [""; 0]);
    append(&ledger, "production", &["c"]);
    append(&ledger, "dev", &["d"]);
    assert_eq!(poll(), ["c", "d"]);
    assert_eq!(poll(), [""; 0]);
}

#[test]
fn what_cannot_be_stored_stops_the_whole_append() {
    for spot in spots() {
        what_cannot_be_stored_stops_the_whole_append_on(&spot);
    }
}

fn what_cannot_be_stored_stops_the_whole_append_on(spot: &Spot) {
    let ledger = spot.open();
    let address = InstanceAddress::parse("lab_server.web").unwrap();
    let progress = Event::Progress(Progress::Note { address, text: "installing nginx".to_owned() });
    let result = ledger.append(Timestamp(0), &run(), "dev", vec![event("a"), progress]);
    assert_eq!(result, Err(StoreError::Event(CodecError::NotStored("progress"))));
    assert_eq!(ledger.last_sequence(), Ok(0));
}

#[test]
fn threads_share_the_ledger_without_gaps() {
    for spot in spots() {
        threads_share_the_ledger_without_gaps_on(&spot);
    }
}

fn threads_share_the_ledger_without_gaps_on(spot: &Spot) {
    let ledger = spot.open();
    let told = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let (ledger, told) = (&ledger, &told);
            scope.spawn(move || {
                for turn in 0..25 {
                    let name = format!("{number}.{turn}");
                    let sequences = append(ledger, "dev", &[&name, &name]);
                    assert_eq!(sequences[1], sequences[0] + 1);
                    told.lock().unwrap().extend(sequences.into_iter().map(|sequence| (sequence, name.clone())));
                }
            });
        }
    });
    let mut told = told.into_inner().unwrap();
    told.sort();
    let stored: Vec<(u64, String)> =
        ledger.read_from(1).unwrap().iter().map(|entry| (entry.sequence, text(&entry.event).to_owned())).collect();
    assert_eq!(stored, told);
    assert_eq!(stored.last().map(|(sequence, _)| *sequence), Some(400));
}

#[test]
fn a_closed_ledger_is_still_read() {
    for spot in spots() {
        a_closed_ledger_is_still_read_on(&spot);
    }
}

fn a_closed_ledger_is_still_read_on(spot: &Spot) {
    let ledger = spot.open();
    let other = ledger.clone();
    let handed_in = ledger.append_async(Timestamp(0), &run(), "dev", vec![event("a")]);
    other.close();
    assert_eq!(handed_in.wait().unwrap().len(), 1);
    assert_eq!(ledger.append(Timestamp(0), &run(), "dev", vec![event("b")]), Err(StoreError::Closed));
    assert_eq!(ledger.read_from(1).unwrap().len(), 1);
    other.close();
}

#[test]
fn the_last_handle_may_be_dropped_on_the_writers_thread() {
    for spot in spots() {
        the_last_handle_may_be_dropped_on_the_writers_thread_on(&spot);
    }
}

fn the_last_handle_may_be_dropped_on_the_writers_thread_on(spot: &Spot) {
    let ledger = spot.open();
    let (sender, answer) = std::sync::mpsc::channel();
    let last = ledger.clone();
    ledger.append_then(Timestamp(0), &run(), "dev", vec![event("a")], move |result| {
        drop(last);
        sender.send(result).unwrap();
    });
    drop(ledger);
    assert_eq!(answer.recv().unwrap().unwrap().len(), 1);
    assert_eq!(spot.open().last_sequence(), Ok(1));
}

#[test]
fn handed_in_at_once_is_committed_at_once() {
    for spot in spots() {
        let ledger = spot.open();
        // While one append is told of, on the writer's own thread, the others gather.
        let (release, released) = std::sync::mpsc::channel();
        ledger.append_then(Timestamp(0), &run(), "dev", vec![event("first")], move |_| released.recv().unwrap());
        let handed_in: Vec<_> = (0..2000)
            .map(|turn| ledger.append_async(Timestamp(0), &run(), "dev", vec![event(&turn.to_string())]))
            .collect();
        release.send(()).unwrap();
        for appending in handed_in {
            appending.wait().unwrap();
        }
        assert_eq!(ledger.last_sequence(), Ok(2001));
        assert!(ledger.commits() <= 3, "{} commits on {}", ledger.commits(), spot.name);
        println!("{}: 2000 appends in {} commits", spot.name, ledger.commits());
    }
}

#[test]
fn an_append_costs_the_same_however_long_the_ledger_is() {
    // Counted, not timed: pages of the file that an append writes, after ten entries and after ten thousand.
    let spot = file();
    let Place::File(path) = &spot.place else { return };
    let log = path.with_file_name("ledger-wal");
    let ledger = spot.open();
    let grows = |ledger: &Ledger| {
        // Everything before is in the file itself, and the log begins anew.
        let tidy = "PRAGMA wal_checkpoint(TRUNCATE)";
        rusqlite::Connection::open(path).unwrap().query_row(tidy, [], |_| Ok(())).unwrap();
        append(ledger, "dev", &["word"]);
        std::fs::metadata(&log).unwrap().len()
    };
    append(&ledger, "dev", &["word"; 10]);
    let short = grows(&ledger);
    append(&ledger, "dev", &["word"; 10_000]);
    let long = grows(&ledger);
    assert!(long <= short + 6 * 4096, "{short} bytes at first, {long} bytes later");
}

#[test]
fn a_long_ledger_opens_at_its_snapshot() {
    for spot in spots() {
        let ledger = spot.open();
        let words = vec!["word"; 1000];
        let events = || words.iter().map(|word| event(word)).collect::<Vec<_>>();
        let all: Vec<_> = (0..100).map(|_| ledger.append_async(Timestamp(0), &run(), "dev", events())).collect();
        for appending in all {
            appending.wait().unwrap();
        }
        ledger.write_snapshot(&State::new(99_990, BTreeMap::new())).unwrap();
        append(&ledger, "dev", &["after"]);
        drop(ledger);
        let start = Instant::now();
        let ledger = spot.open();
        let (at, _) = ledger.snapshot().unwrap();
        let rest = ledger.stream(Which::All, at + 1).count();
        assert_eq!((at, rest), (99_990, 11));
        println!("{}: 100,000 entries, opened at the snapshot in {:?}", spot.name, start.elapsed());
    }
}

/// Prints what an append costs; run with `--nocapture`.
#[test]
fn throughput() {
    const APPENDS: u32 = 100_000;
    let spot = file();
    let ledger = spot.open();
    let start = Instant::now();
    for turn in 0..100 {
        append(&ledger, "dev", &[&turn.to_string()]);
    }
    let alone = start.elapsed() / 100;
    let start = Instant::now();
    let failed = Arc::new(Mutex::new(None));
    for turn in 0..APPENDS {
        let failed = Arc::clone(&failed);
        ledger.append_then(Timestamp(0), &run(), "dev", vec![event(&turn.to_string())], move |result| {
            if let Err(error) = result {
                *failed.lock().unwrap() = Some(error);
            }
        });
    }
    append(&ledger, "dev", &["last"]);
    let together = start.elapsed();
    assert_eq!(*failed.lock().unwrap(), None);
    assert_eq!(ledger.last_sequence(), Ok(u64::from(APPENDS) + 101));
    let start = Instant::now();
    assert_eq!(ledger.read_from(1).unwrap().len(), APPENDS as usize + 101);
    println!(
        "one append alone: {alone:?}; {APPENDS} at once: {together:?}; read back in {:?}; {} bytes",
        start.elapsed(),
        ledger.size().unwrap()
    );
}
