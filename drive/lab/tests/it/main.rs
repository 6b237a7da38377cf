//! The lab on a real machine: namespaces, bridges, control groups and a root file system with systemd.
//!
//! `ANDON_TEST_ROOT` names a directory with a Debian root file system that has systemd and nginx. What this machine
//! cannot do is skipped with a reason. This program is also what the lab runs as its helper, and, under commands of its
//! own, a process to be killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once; the configuration that says so does not see tests without the usual harness"
)]

mod backend;
mod balancers;
mod balancing;
mod buckets;
mod hosted;
mod keys;
mod machines;
mod names;
mod networks;
mod pooled;
mod realms;
mod seeds;
mod servers;
mod supervised;
mod survival;
mod volumes;
mod world;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

use world::World;

type Test = (&'static str, fn(&World));

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(status) = andon_lab::helper_main(&arguments) {
        return ExitCode::from(status as u8);
    }
    if let Some(status) = world::victim(&arguments) {
        return status;
    }
    if let Some(status) = realms::step(&arguments) {
        return status;
    }
    let wanted = |name: &str| {
        let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        filters.peek().is_none() || filters.any(|filter| name.contains(filter.as_str()))
    };
    let tests: Vec<Test> = [
        names::TESTS,
        networks::TESTS,
        realms::TESTS,
        servers::TESTS,
        machines::TESTS,
        supervised::TESTS,
        hosted::TESTS,
        balancers::TESTS,
        balancing::TESTS,
        keys::TESTS,
        buckets::TESTS,
        volumes::TESTS,
        seeds::TESTS,
        survival::TESTS,
        pooled::TESTS,
    ]
    .concat();
    if arguments.iter().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let missing = andon_lab::Lab::requirements();
    if let Some(missing) = missing.first() {
        println!("skipped: this machine lacks {}. {}", missing.what, missing.how);
        return ExitCode::SUCCESS;
    }
    let mut failed = Vec::new();
    for (name, test) in tests.into_iter().filter(|(name, _)| wanted(name)) {
        println!("test {name} ...");
        let start = Instant::now();
        // A world that is left takes along what is in it, so that the next test finds none of it.
        let passed = catch_unwind(|| {
            let world = World::new();
            test(&world);
            world.assert_nothing_left();
        });
        let word = if passed.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {word} ({:.2} s)", start.elapsed().as_secs_f64());
        failed.extend(passed.is_err().then_some(name));
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}
