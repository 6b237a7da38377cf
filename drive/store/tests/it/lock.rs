use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use andon_ledger::Timestamp;
use andon_store::{Holder, LockError, LockGuard, lock, wait};

fn holder(who: &str) -> Holder {
    Holder { pid: std::process::id(), who: who.into(), command: "apply web".into(), since: Timestamp(12) }
}

fn held_by(result: Result<LockGuard, LockError>) -> Option<String> {
    match result {
        Ok(_) => None,
        Err(LockError::Held(holder)) => Some(holder.who),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn one_holds_an_environment_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let ann = lock(path, "dev", &holder("ann@desk")).unwrap();
    let error = lock(path, "dev", &holder("bob@desk")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the environment is in use: `apply web` by ann@desk (process {})", std::process::id())
    );
    let production = lock(path, "production", &holder("bob@desk")).unwrap();
    assert_eq!(held_by(lock(path, "production", &holder("ann@desk"))).as_deref(), Some("bob@desk"));
    drop(ann);
    let bob = lock(path, "dev", &holder("bob@desk")).unwrap();
    assert_eq!(held_by(lock(path, "dev", &holder("ann@desk"))).as_deref(), Some("bob@desk"));
    drop((bob, production));
    assert_eq!(fs::read_to_string(path.join("locks/dev")).unwrap(), "", "nobody holds it, and nobody is named");
}

#[test]
fn any_name_has_a_lock_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["dev", "Dev", "a/b", "a%2fb", "..", ".", "é", "", "a b", "-x", "a.b"];
    let guards: Vec<LockGuard> =
        names.iter().map(|name| lock(directory.path(), name, &holder("ann@desk")).unwrap()).collect();
    for name in names {
        assert!(held_by(lock(directory.path(), name, &holder("bob@desk"))).is_some(), "{name}");
    }
    drop(guards);
    assert_eq!(fs::read_dir(directory.path().join("locks")).unwrap().count(), names.len());
}

#[test]
fn what_is_left_in_a_file_holds_nothing() {
    let check = |left: &[u8]| {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("locks")).unwrap();
        fs::write(directory.path().join("locks/dev"), left).unwrap();
        let guard = lock(directory.path(), "dev", &holder("ann@desk")).unwrap();
        assert_eq!(held_by(lock(directory.path(), "dev", &holder("bob@desk"))).as_deref(), Some("ann@desk"));
        drop(guard);
    };
    check(b"");
    check(b"\xff not JSON");
    check(br#"{"pid":1,"who":"eve@desk","command":"up","since":1}"#);
    check("x".repeat(10_000).as_bytes());
}

#[test]
fn who_waits_gets_the_lock_when_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let waits = AtomicUsize::new(0);
    let ann = lock(directory.path(), "dev", &holder("ann@desk")).unwrap();
    thread::scope(|scope| {
        let bob = scope.spawn(|| {
            wait(directory.path(), "dev", &holder("bob@desk"), Duration::from_secs(60), |other| {
                assert_eq!(other.who, "ann@desk");
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

#[test]
fn who_waits_gives_up_in_time_or_when_told() {
    let directory = tempfile::tempdir().unwrap();
    let _ann = lock(directory.path(), "dev", &holder("ann@desk")).unwrap();
    let check = |limit: Duration, waiting: &mut dyn FnMut(&Holder) -> ControlFlow<()>| {
        let start = Instant::now();
        let result = wait(directory.path(), "dev", &holder("bob@desk"), limit, waiting);
        assert_eq!(held_by(result).as_deref(), Some("ann@desk"));
        start.elapsed()
    };
    assert!(check(Duration::from_millis(120), &mut |_| ControlFlow::Continue(())) >= Duration::from_millis(120));
    let mut waits = 0;
    let told = |_: &Holder| {
        waits += 1;
        if waits == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(check(Duration::MAX, &mut { told }) < Duration::from_secs(50));
    check(Duration::ZERO, &mut |_| panic!("there is no time to wait"));
}

#[test]
fn only_one_of_many_threads_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..6 {
            let (directory, inside) = (directory.path(), &inside);
            scope.spawn(move || {
                for _ in 0..4 {
                    let who = holder(&format!("user{number}@desk"));
                    let limit = Duration::from_secs(60);
                    let guard = wait(directory, "dev", &who, limit, |_| ControlFlow::Continue(())).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(guard);
                }
            });
        }
    });
}

#[test]
fn a_lock_that_cannot_be_taken_says_where() {
    let error = lock(Path::new("/proc/nowhere"), "dev", &holder("ann@desk")).unwrap_err();
    assert!(error.to_string().starts_with("the lock `/proc/nowhere/locks/dev` cannot be taken: "), "{error}");
}
