//! Containers against an engine that does what Docker's documents, in ways that Podman differs in or that no real engine can
//! be made to: `run/cli/tests/it/containers.rs` has a real one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on ends there")]

mod fake;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use andon_docker::{Docker, Found};
use andon_schema::{Failure, Identity};
use andon_value::{Type, Value};
use fake::{Fake, IMAGE};

fn identity(number: u64) -> Identity {
    Identity::from_random(number)
}

/// The configuration of a server of an engine.
fn config(engine: &Fake, given: &[(&str, Value)]) -> Value {
    let own = [("name", Value::from("web")), ("image", IMAGE.into()), ("host", engine.host().into())];
    let schema = Docker::schemas().remove("docker_server").unwrap();
    Value::object(schema.block.attributes.into_iter().map(|(name, attribute)| {
        let given = given.iter().chain(&own).find(|(given, _)| *given == name);
        let value = given.map_or_else(|| Value::null(attribute.ty), |(_, value)| value.clone());
        (name, value)
    }))
}

fn plan(engine: &Fake, prior: Option<&Value>, given: &[(&str, Value)]) -> (Value, Vec<String>) {
    Docker::default().plan(prior, &config(engine, given)).unwrap()
}

fn create(engine: &Fake, given: &[(&str, Value)]) -> Result<Value, (Failure, Option<Value>)> {
    Docker::default().create(&identity(1), &plan(engine, None, given).0, &|_| {})
}

#[test]
fn every_limit_can_be_changed_and_lifted() {
    let engine = Fake::start();
    let limits = [
        ("memory", Value::from("64M")),
        ("cpus", Value::from(1)),
        ("processes", Value::from(50)),
        ("restart", Value::from("always")),
    ];
    let made = create(&engine, &limits).unwrap();
    let docker = Docker::default();
    let host = engine.container("web").host;
    assert_eq!((&host["Memory"], &host["MemorySwap"]), (&(64 << 20).into(), &(64 << 20).into()));
    assert_eq!((&host["CpuQuota"], &host["PidsLimit"]), (&100_000.into(), &50.into()));
    assert_eq!(docker.read(&identity(1), &made).unwrap().as_ref(), Some(&made));

    // Each alone to another value: it alone is asked for, and the container stays.
    let others = [
        ("memory", Value::from("128M"), "Memory"),
        ("cpus", 2.into(), "CpuQuota"),
        ("processes", 60.into(), "PidsLimit"),
        ("restart", "on-failure".into(), "RestartPolicy"),
    ];
    for (name, value, told) in others {
        let given: Vec<(&str, Value)> =
            limits.iter().map(|it| if it.0 == name { (name, value.clone()) } else { it.clone() }).collect();
        let (planned, replace) = plan(&engine, Some(&made), &given);
        assert!(replace.is_empty(), "{name}: {replace:?}");
        let now = docker.update(&identity(1), &made, &planned).unwrap();
        let asked = engine.last_update();
        assert!(asked.contains_key(told) && asked.len() <= 2, "{name}: {asked:?}");
        assert_eq!(now, planned, "{name}");
        assert_eq!(docker.read(&identity(1), &now).unwrap().as_ref(), Some(&now));
        docker.update(&identity(1), &now, &plan(&engine, Some(&now), &limits).0).unwrap();
    }

    // Each alone taken away: nothing is planned any more after it.
    for (name, _) in &limits {
        let fewer: Vec<(&str, Value)> = limits.iter().filter(|(other, _)| other != name).cloned().collect();
        let (planned, replace) = plan(&engine, Some(&made), &fewer);
        let now = if replace.is_empty() {
            docker.update(&identity(1), &made, &planned).unwrap()
        } else {
            assert_eq!((&*replace[0], replace.len()), (*name, 1));
            docker.create(&identity(1), &planned, &|_| {}).unwrap()
        };
        let read = docker.read(&identity(1), &now).unwrap().unwrap();
        assert_eq!(plan(&engine, Some(&read), &fewer), (read.clone(), vec![]), "{name}");
        docker.create(&identity(1), &plan(&engine, None, &limits).0, &|_| {}).unwrap();
    }
    // A limit that somebody set by hand is seen, and goes in the same way.
    let bare = create(&engine, &[]).unwrap();
    engine.with("web", |container| container.host["Memory"] = (32 << 20).into());
    let read = docker.read(&identity(1), &bare).unwrap().unwrap();
    assert_eq!((read.get_str("memory"), plan(&engine, Some(&read), &[]).1), (Some("32M"), vec!["memory".to_owned()]));
    engine.with("web", |container| container.host["Memory"] = 0.into());
    let stopped = docker.read(&identity(1), &bare).unwrap().unwrap();
    assert_eq!(stopped, bare);
}

#[test]
fn what_may_be_left_of_a_create_stays_known() {
    let engine = Fake::start();
    let docker = Docker::default();
    // It does not start, and then cannot be removed.
    engine.behave(|behaviour| (behaviour.refuses_starts, behaviour.refuses_removals) = (true, true));
    let (failure, left) = create(&engine, &[]).unwrap_err();
    assert!(failure.summary.contains("cannot start") && failure.help[0].contains("could not be removed"), "{failure}");
    let left = left.unwrap();
    assert_eq!(left.get_str("id"), Some(&*engine.container("web").id));
    assert_eq!(docker.resolve(&identity(1), &left).unwrap(), Found::Partial);
    assert!(docker.delete(&identity(1), &left).is_err());
    engine.behave(|behaviour| behaviour.refuses_removals = false);
    docker.delete(&identity(1), &left).unwrap();
    assert_eq!((engine.names(), docker.resolve(&identity(1), &left).unwrap()), (vec![], Found::Absent));

    // It does not start, and is removed: nothing is left, and nothing is said to be.
    assert_eq!(create(&engine, &[]).unwrap_err().1, None);
    assert!(engine.names().is_empty());

    // The engine makes it, and goes away before it says so.
    engine.behave(|behaviour| (behaviour.refuses_starts, behaviour.loses_answers) = (false, true));
    let (failure, left) = create(&engine, &[]).unwrap_err();
    assert!(failure.help.join(" ").contains("may have made it all the same"), "{failure}");
    engine.behave(|behaviour| behaviour.loses_answers = false);
    let left = left.unwrap();
    assert_eq!((engine.names(), left.get_str("id")), (vec!["web".to_owned()], Some("")));
    // Whoever makes it anew finds it by its label.
    let made = create(&engine, &[]).unwrap();
    assert_eq!(engine.names().len(), 1);
    docker.delete(&identity(1), &made).unwrap();
    assert_eq!(docker.resolve(&identity(1), &left).unwrap(), Found::Absent);
}

#[test]
fn a_pull_says_little_and_ends_when_it_is_told_to() {
    let engine = Fake::start();
    let said = Mutex::new(Vec::new());
    let say = |line: &str| said.lock().unwrap().push(line.to_owned());
    let far = [("image", Value::from("far.example/web:1"))];
    Docker::default().create(&identity(1), &plan(&engine, None, &far).0, &say).unwrap();
    let lines = std::mem::take(&mut *said.lock().unwrap());
    assert!(lines[0] == "pulling far.example/web:1" && lines.len() <= 4, "{lines:?}");

    engine.behave(|behaviour| behaviour.pulls_without_end = true);
    let interrupt = Arc::new(AtomicBool::new(false));
    let docker = Docker::interrupted_by(Arc::clone(&interrupt));
    let (planned, _) = plan(&engine, None, &[("name", "other".into()), ("image", "far.example/endless:1".into())]);
    let began = Instant::now();
    let (failure, left) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !engine.is_pulling() {
                assert!(began.elapsed() < Duration::from_secs(30));
                std::thread::sleep(Duration::from_millis(5));
            }
            interrupt.store(true, Ordering::Relaxed);
        });
        docker.create(&identity(2), &planned, &say).unwrap_err()
    });
    assert_eq!((&*failure.detail, left), ("It was stopped.", None));
    assert_eq!(engine.names(), ["web"]);
    // The engine is told that nobody waits for it any more.
    while engine.is_pulling() {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_goes_wrong_says_what_to_do() {
    let engine = Fake::start();
    let says = |given: &[(&str, Value)], expected: &[&str]| {
        let (failure, left) = create(&engine, given).unwrap_err();
        let all = format!("{} {} {}", failure.summary, failure.detail, failure.help.join(" "));
        for words in expected {
            assert!(all.contains(words), "no `{words}` in {all}");
        }
        assert_eq!((left, engine.names()), (None, vec![]), "{all}");
    };
    says(&[("image", "far.example/none:1".into())], &["cannot pull", "Manifest unknown.", "docker pull"]);
    says(&[("network", "shop".into())], &["shop not found", "docker network create"]);
    let ports = Value::list(Type::String, ["8080:80".into()]);
    engine.behave(|behaviour| behaviour.taken_port = Some("8080".to_owned()));
    says(&[("ports", ports)], &["cannot start", "already allocated", "give the server another one"]);
    engine.with_new("web", "somebody's");
    let (failure, left) = create(&engine, &[]).unwrap_err();
    assert!(failure.help[0].contains("Another container has the name"), "{failure}");
    assert_eq!((left, engine.names()), (None, vec!["web".to_owned()]));
}

#[test]
fn one_that_is_frozen_does_not_run_and_is_thawed() {
    let engine = Fake::start();
    let made = create(&engine, &[]).unwrap();
    engine.with("web", |container| container.paused = true);
    let docker = Docker::default();
    let read = docker.read(&identity(1), &made).unwrap().unwrap();
    assert_eq!(read.get("running"), Some(&Value::from(false)));
    let connection = made.get("connection").unwrap();
    assert_eq!(docker.init(connection).unwrap_err().summary, "the container does not run");
    let (planned, replace) = plan(&engine, Some(&read), &[]);
    assert!(replace.is_empty());
    let now = docker.update(&identity(1), &read, &planned).unwrap();
    assert_eq!((now.get("running"), engine.container("web").paused), (Some(&Value::from(true)), false));
}

#[test]
fn one_with_volumes_is_told_to_end_before_it_is_removed() {
    let engine = Fake::start();
    for (volumes, expected) in [(&["data:/data"][..], true), (&[], false)] {
        let volumes = Value::list(Type::String, volumes.iter().map(|it| Value::from(*it)));
        let made = create(&engine, &[("volumes", volumes)]).unwrap();
        engine.forget_calls();
        Docker::default().delete(&identity(1), &made).unwrap();
        assert_eq!(engine.calls().iter().any(|call| call.ends_with("/stop")), expected);
        assert!(engine.names().is_empty());
    }
}
