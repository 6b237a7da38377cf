//! Several processes at one ledger, and processes that are killed. A process is this test program once more, asked
//! for one of the tests below whose names begin with `child`, which do nothing unless they are told where.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use andon_ledger::Timestamp;
use andon_store::{Holder, Ledger, LockError, Place};

use crate::spots::{Spot, read, spots};
use crate::{append, event, run, text};

const PLACE: &str = "ANDON_STORE_TEST_PLACE";
const NAME: &str = "ANDON_STORE_TEST_NAME";

fn spawn(job: &str, spot: &Spot, name: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", job])
        .env(PLACE, &spot.text)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn place() -> Option<(Place, String)> {
    Some((read(&env::var(PLACE).ok()?), env::var(NAME).ok()?))
}

/// A line for the parent, in one write: it is there whole, whatever comes next.
fn tell(line: &str) {
    std::io::stdout().write_all(format!("\n!{line}\n").as_bytes()).unwrap();
}

/// What a child told, without what the test harness says around it.
fn told(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| line.strip_prefix('!').map(str::to_owned))
}

#[test]
fn child_appends_until_killed() {
    let Some((place, name)) = place() else { return };
    let ledger = Ledger::open_at(&place, None).unwrap();
    thread::scope(|scope| {
        for number in 0..4 {
            let (ledger, name) = (&ledger, &name);
            scope.spawn(move || {
                for turn in 0_u64.. {
                    let word = format!("{name}.{number}.{turn}");
                    let sequences = append(ledger, "dev", &[&word, &word, &word]);
                    tell(&format!("{} {word}", sequences[0]));
                }
            });
        }
    });
}

#[test]
fn child_appends_some() {
    let Some((place, name)) = place() else { return };
    let ledger = Ledger::open_at(&place, None).unwrap();
    for turn in 0..TURNS {
        let handed_in: Vec<_> = (0..3)
            .map(|part| {
                let word = format!("{turn}.{part}");
                ledger.append_async(Timestamp(0), &run(), &name, vec![event(&word), event(&word)])
            })
            .collect();
        for appending in handed_in {
            let entries = appending.wait().unwrap();
            assert_eq!(entries[0].sequence + 1, entries[1].sequence);
        }
    }
}

#[test]
fn child_holds_a_lock() {
    let Some((place, name)) = place() else { return };
    let ledger = Ledger::open_at(&place, None).unwrap();
    let holder = Holder { pid: std::process::id(), who: "ann@desk".into(), command: "up".into(), since: Timestamp(77) };
    let _guard = ledger.lock(&name, &holder).unwrap();
    tell("held");
    loop {
        thread::park();
    }
}

const TURNS: usize = 60;

#[test]
fn what_append_returned_survives_kill_9() {
    for spot in spots() {
        what_append_returned_survives_kill_9_on(&spot);
    }
}

fn what_append_returned_survives_kill_9_on(spot: &Spot) {
    let mut promised: BTreeMap<u64, String> = BTreeMap::new();
    // Moments spread over the first tenth of a second, the same each time.
    let moments = (0..25_u64).map(|turn| Duration::from_micros(turn * turn * 7919 % 100_000));
    for (turn, moment) in moments.enumerate() {
        let mut child = spawn("processes::child_appends_until_killed", spot, &turn.to_string());
        let pid = child.id();
        let mut lines = told(&mut child);
        let first = lines.next().expect("a child that appends");
        let killer = thread::spawn(move || {
            thread::sleep(moment);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for line in std::iter::once(first).chain(lines) {
            let (sequence, word) = line.split_once(' ').unwrap();
            let sequence: u64 = sequence.parse().unwrap();
            assert_eq!(promised.insert(sequence, word.to_owned()), None, "entry {sequence} twice, in process {pid}");
        }
        killer.join().unwrap();

        let entries = spot.open().read_from(1).unwrap();
        for (place, entry) in entries.iter().enumerate() {
            assert_eq!(entry.sequence, place as u64 + 1);
        }
        for (sequence, word) in &promised {
            for part in 0..3 {
                let entry = entries.get((sequence + part - 1) as usize);
                assert_eq!(entry.map(|entry| text(&entry.event)), Some(&**word), "entry {sequence}+{part}");
            }
        }
        assert_eq!(entries.len() % 3, 0, "an append is there whole or not at all");
        assert!(entries.chunks(3).all(|part| part.iter().all(|entry| entry.event == part[0].event)));
    }
    println!("{}: {} appends were promised", spot.name, promised.len());
}

/// Counts what reaches the disk, from outside of the process.
#[test]
fn a_thousand_intents_and_outcomes_make_tens_of_syncs() {
    let spot = crate::spots::file();
    drop(spot.open());
    let log = tempfile::NamedTempFile::new().unwrap();
    let child = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,sync", "-o"])
        .arg(log.path())
        .arg(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", "processes::child_appends_in_batches"])
        .env(PLACE, &spot.text)
        .env(NAME, "dev")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let output = match child.map(Child::wait_with_output) {
        Ok(Ok(output)) if output.status.success() => output,
        Ok(Ok(output)) if String::from_utf8_lossy(&output.stderr).contains("ptrace") => {
            return println!("skipped: this machine does not let strace look");
        }
        Err(error) => return println!("skipped: there is no strace ({error})"),
        other => panic!("{other:?}"),
    };
    drop(output);
    let calls = std::fs::read_to_string(log.path()).unwrap();
    let syncs = calls.lines().filter(|line| line.contains("sync")).count();
    assert_eq!(spot.open().last_sequence(), Ok(2000));
    println!("2,000 events: {syncs} syncs");
    // Twenty batches, each of them durable before the next, and what opening and closing take: not one for each event.
    assert!((20..50).contains(&syncs), "{syncs} syncs\n{calls}");
}

#[test]
fn child_appends_in_batches() {
    let Some((place, name)) = place() else { return };
    let ledger = Ledger::open_at(&place, None).unwrap();
    for batch in 0..20 {
        let events = (0..100).map(|part| event(&format!("{batch}.{part}"))).collect();
        ledger.append(Timestamp(0), &run(), &name, events).unwrap();
    }
}

#[test]
fn processes_append_at_once_without_gaps() {
    for spot in spots() {
        processes_append_at_once_without_gaps_on(&spot);
    }
}

fn processes_append_at_once_without_gaps_on(spot: &Spot) {
    // They also make it at once.
    let names = ["dev", "staging", "production"];
    let children: Vec<Child> = names.iter().map(|name| spawn("processes::child_appends_some", spot, name)).collect();
    for mut child in children {
        told(&mut child).for_each(drop);
        assert!(child.wait().unwrap().success());
    }
    let ledger = spot.open();
    let entries = ledger.read_from(1).unwrap();
    let sequences: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (1..=(names.len() * TURNS * 6) as u64).collect::<Vec<_>>());
    let expected: Vec<String> =
        (0..TURNS).flat_map(|turn| (0..6).map(move |part| format!("{turn}.{}", part / 2))).collect();
    for name in names {
        let own: Vec<&str> =
            entries.iter().filter(|entry| &*entry.environment == name).map(|entry| text(&entry.event)).collect();
        assert_eq!(own, expected, "{name}");
    }
}

#[test]
fn a_killed_holder_holds_no_lock() {
    for spot in spots() {
        a_killed_holder_holds_no_lock_on(&spot);
    }
}

fn a_killed_holder_holds_no_lock_on(spot: &Spot) {
    let ledger = spot.open();
    let mine = Holder { pid: std::process::id(), who: "bob@desk".into(), command: "down".into(), since: Timestamp(1) };
    let mut child = spawn("processes::child_holds_a_lock", spot, "dev");
    assert_eq!(told(&mut child).next().as_deref(), Some("held"));
    match ledger.lock("dev", &mine) {
        Err(LockError::Held(held)) => {
            let holder = Holder { pid: child.id(), who: "ann@desk".into(), command: "up".into(), since: Timestamp(77) };
            assert_eq!((&held.holder, held.here, &*held.environment), (&holder, true, "dev"));
        }
        other => panic!("{other:?}"),
    }
    drop(ledger.lock("production", &mine).unwrap());
    child.kill().unwrap();
    // Not even while nobody has noticed that it is dead.
    let taken = ledger.wait_for_lock("dev", &mine, Duration::from_secs(20), |_| ControlFlow::Continue(()));
    drop(taken.unwrap());
    child.wait().unwrap();
    assert!(ledger.locks().unwrap().is_empty());
}
