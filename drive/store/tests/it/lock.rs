use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use andon_ledger::Timestamp;
use andon_store::{Holder, Key, Ledger, Lock, LockError, Place, StoreError};
use rusqlite::Connection;

use crate::spots::{Spot, client, spots};
use crate::{append, event, run};

fn holder(who: &str) -> Holder {
    Holder { pid: std::process::id(), who: who.into(), command: "apply web".into(), since: Timestamp(12_000) }
}

fn held_by(result: Result<Lock, LockError>) -> Option<String> {
    match result {
        Ok(_) => None,
        Err(LockError::Held(held)) => Some(held.holder.who),
        Err(error) => panic!("{error}"),
    }
}

/// Changes the rows of locks by hand, as only another machine could have written them.
fn update(spot: &Spot, change: &str) {
    match &spot.place {
        Place::File(path) => drop(Connection::open(path).unwrap().execute(&format!("UPDATE locks {change}"), [])),
        Place::Database(_) => {
            let ledger = "ledger = (SELECT ledger FROM andon_ledgers WHERE project = $1)";
            let project = spot.text.rsplit('=').next().unwrap();
            client().execute(&format!("UPDATE andon_locks {change} WHERE {ledger}"), &[&project]).unwrap();
        }
    }
}

#[test]
fn one_holds_an_environment_at_a_time() {
    for spot in spots() {
        let (ledger, other) = (spot.open(), spot.open());
        let ann = ledger.lock("dev", &holder("ann@desk")).unwrap();
        let error = other.lock("dev", &holder("bob@desk")).unwrap_err();
        let pid = std::process::id();
        let expected = format!(
            "environment `dev` is locked by ann@desk (process {pid}), running `andon apply web` since 1970-01-01 \
             00:00:12 UTC. Wait for it to end, or end process {pid}. Its lock is `{}`",
            ann.id()
        );
        assert_eq!(error.to_string(), expected, "{}", spot.name);
        let production = ledger.lock("production", &holder("bob@desk")).unwrap();
        assert_eq!(held_by(other.lock("production", &holder("ann@desk"))).as_deref(), Some("bob@desk"));
        assert_eq!(other.locks().unwrap().len(), 2);
        drop(ann);
        let bob = other.lock("dev", &holder("bob@desk")).unwrap();
        assert_eq!(held_by(ledger.lock("dev", &holder("ann@desk"))).as_deref(), Some("bob@desk"));
        drop((bob, production));
        assert!(ledger.locks().unwrap().is_empty(), "nobody holds it, and nobody is named");
    }
}

#[test]
fn any_name_has_a_lock_of_its_own() {
    for spot in spots() {
        let ledger = spot.open();
        let names = ["dev", "Dev", "a/b", "a%2fb", "..", ".", "é", "", "a b", "-x", "a.b"];
        let locks: Vec<Lock> = names.iter().map(|name| ledger.lock(name, &holder("ann@desk")).unwrap()).collect();
        for name in names {
            assert!(held_by(ledger.lock(name, &holder("bob@desk"))).is_some(), "{name}");
        }
        assert_eq!(ledger.locks().unwrap().len(), names.len());
        drop(locks);
    }
}

#[test]
fn another_machines_lock_ends_with_its_lease() {
    for spot in spots() {
        let ledger = spot.open();
        let ann = ledger.lock("dev", &holder("ann@desk")).unwrap();
        update(&spot, "SET machine = 'elsewhere 1 pid:[2]'");
        match ledger.lock("dev", &holder("bob@desk")) {
            Err(LockError::Held(held)) => {
                assert!(!held.here);
                let advice = held.advice();
                assert!(advice.ends_with(&format!("or at once with `andon force-unlock {}`", ann.id())), "{advice}");
            }
            other => panic!("{other:?}"),
        }
        update(&spot, "SET expires = 1");
        let bob = ledger.lock("dev", &holder("bob@desk")).unwrap();
        // The one who lost it can store nothing, while others can.
        let lost = ann.ledger().append(Timestamp(0), &run(), "dev", vec![event("late")]);
        assert_eq!(lost, Err(StoreError::LockLost { environment: "dev".into() }));
        assert_eq!(append(bob.ledger(), "dev", &["a"]), [1]);
        assert_eq!(append(&ledger, "dev", &["b"]), [2]);
        drop(ann);
        assert_eq!(held_by(ledger.lock("dev", &holder("eve@desk"))).as_deref(), Some("bob@desk"), "it is bob's still");
    }
}

#[test]
fn the_fence_stops_one_append_and_not_its_neighbours() {
    for spot in spots() {
        let ledger = spot.open();
        let (dev, production) =
            (ledger.lock("dev", &holder("ann@desk")).unwrap(), ledger.lock("production", &holder("ann@desk")).unwrap());
        ledger.force_unlock(dev.id()).unwrap();
        let all: Vec<_> = [dev.ledger(), production.ledger(), dev.ledger(), &ledger]
            .map(|ledger| ledger.append_async(Timestamp(0), &run(), "any", vec![event("a"), event("b")]))
            .into_iter()
            .map(|appending| appending.wait().map(|entries| entries.iter().map(|entry| entry.sequence).collect()))
            .collect();
        let lost = Err(StoreError::LockLost { environment: "dev".into() });
        assert_eq!(all, [lost.clone(), Ok(vec![1, 2]), lost, Ok(vec![3, 4])], "{}", spot.name);
        assert_eq!(ledger.last_sequence(), Ok(4));
    }
}

#[test]
fn a_process_that_is_gone_holds_nothing() {
    let check = |change: &str, expected: Option<&str>| {
        for spot in spots() {
            let ledger = spot.open();
            let _ann = ledger.lock("dev", &holder("ann@desk")).unwrap();
            update(&spot, change);
            let got = held_by(ledger.lock("dev", &holder("bob@desk")));
            assert_eq!(got.as_deref(), expected, "{change} on {}", spot.name);
        }
    };
    check("SET pid = 4194305", None);
    check("SET pid = -1", None);
    check("SET started = started + 1", None);
    check("SET expires = 1", Some("ann@desk"));
    check("SET machine = 'elsewhere 1 pid:[2]'", Some("ann@desk"));
}

#[test]
fn what_another_boot_left_in_a_file_is_gone() {
    let spot = crate::spots::file();
    let ledger = spot.open();
    let _ann = ledger.lock("dev", &holder("ann@desk")).unwrap();
    let host = nix::unistd::gethostname().unwrap();
    update(&spot, &format!("SET machine = '{} another-boot pid:[2]'", host.to_string_lossy()));
    assert_eq!(held_by(ledger.lock("dev", &holder("bob@desk"))), None);
}

#[test]
fn a_lease_is_renewed() {
    for spot in spots() {
        let ledger = spot.open();
        let _ann = ledger.lock_for("dev", &holder("ann@desk"), Duration::from_millis(200)).unwrap();
        let first = ledger.locks().unwrap()[0].expires;
        let start = Instant::now();
        while ledger.locks().unwrap()[0].expires <= first {
            assert!(start.elapsed() < Duration::from_secs(60), "nobody renews it on {}", spot.name);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_lock_is_taken_by_force() {
    for spot in spots() {
        let ledger = spot.open();
        let unknown = ledger.force_unlock("0123").unwrap_err();
        assert_eq!(unknown.to_string(), "there is no lock `0123`; nothing is locked");
        let ann = ledger.lock_for("dev", &holder("ann@desk"), Duration::from_millis(200)).unwrap();
        let error = ledger.force_unlock("0123").unwrap_err().to_string();
        assert!(error.starts_with(&format!("there is no lock `0123`; there is `{}`: ", ann.id())), "{error}");
        assert!(error.contains("locked by ann@desk"), "{error}");
        assert_eq!(append(ann.ledger(), "dev", &["a"]), [1]);
        let taken = spot.open().force_unlock(ann.id()).unwrap();
        assert_eq!((taken.holder, &*taken.environment), (holder("ann@desk"), "dev"));
        let late = ann.ledger().append(Timestamp(0), &run(), "dev", vec![event("late")]);
        assert_eq!(late, Err(StoreError::LockLost { environment: "dev".into() }));
        let start = Instant::now();
        while !ann.is_lost() {
            assert!(start.elapsed() < Duration::from_secs(60), "it is not told on {}", spot.name);
            thread::sleep(Duration::from_millis(10));
        }
        assert!(ledger.lock("dev", &holder("bob@desk")).is_ok());
    }
}

#[test]
fn who_waits_gets_the_lock_when_it_is_free() {
    for spot in spots() {
        let ledger = spot.open();
        let waits = AtomicUsize::new(0);
        let ann = ledger.lock("dev", &holder("ann@desk")).unwrap();
        thread::scope(|scope| {
            let bob = scope.spawn(|| {
                ledger.wait_for_lock("dev", &holder("bob@desk"), Duration::from_secs(60), |other| {
                    assert_eq!(other.holder.who, "ann@desk");
                    waits.fetch_add(1, Ordering::SeqCst);
                    ControlFlow::Continue(())
                })
            });
            while waits.load(Ordering::SeqCst) < 3 {
                thread::sleep(Duration::from_millis(5));
            }
            drop(ann);
            assert!(bob.join().unwrap().is_ok());
        });
    }
}

#[test]
fn who_waits_gives_up_in_time_or_when_told() {
    for spot in spots() {
        let ledger = spot.open();
        let _ann = ledger.lock("dev", &holder("ann@desk")).unwrap();
        let mut waits = 0;
        let told = ledger.wait_for_lock("dev", &holder("bob@desk"), Duration::MAX, |_| {
            waits += 1;
            if waits == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(held_by(told).as_deref(), Some("ann@desk"));
        let late =
            ledger.wait_for_lock("dev", &holder("bob@desk"), Duration::from_millis(120), |_| ControlFlow::Continue(()));
        assert_eq!(held_by(late).as_deref(), Some("ann@desk"));
        let no_time = ledger.wait_for_lock("dev", &holder("bob@desk"), Duration::ZERO, |_| panic!("there is no time"));
        assert_eq!(held_by(no_time).as_deref(), Some("ann@desk"));
    }
}

#[test]
fn only_one_of_many_threads_holds_it() {
    for spot in spots() {
        let inside = AtomicUsize::new(0);
        let ledgers: Vec<Ledger> = (0..4).map(|_| spot.open()).collect();
        thread::scope(|scope| {
            for (number, ledger) in ledgers.iter().enumerate() {
                let inside = &inside;
                scope.spawn(move || {
                    for _ in 0..3 {
                        let who = holder(&format!("user{number}@desk"));
                        let limit = Duration::from_secs(60);
                        let lock = ledger.wait_for_lock("dev", &who, limit, |_| ControlFlow::Continue(())).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}

#[test]
fn who_holds_a_sealed_ledger_is_sealed() {
    for spot in spots() {
        let key = Key::parse("swordfish", "a key").unwrap();
        let ledger = spot.open_with(&key);
        let lock = ledger.lock("dev", &holder("sentinel@desk")).unwrap();
        assert!(!spot.bytes().windows(8).any(|part| part == b"sentinel"), "{}", spot.name);
        assert_eq!(ledger.locks().unwrap()[0].holder.who, "sentinel@desk");
        drop(lock);
    }
}
