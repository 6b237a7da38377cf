//! A thousand stories; more, or one of them, on request.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at once, and so may what helps it")]

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use andon_sim::{Mistake, Tally, simulate};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn after_every_fault_world_and_ledger_agree() {
    let seeds = match number("ANDON_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ANDON_SIM_SEEDS").unwrap_or(1000),
    };
    let next = AtomicU64::new(seeds.start);
    let tally = Mutex::new(Tally::default());
    let broken = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    match simulate(seed, None) {
                        Ok(told) => tally.lock().unwrap().add(told),
                        Err(story) => broken.lock().unwrap().push(story),
                    }
                }
            });
        }
    });
    let mut broken = broken.into_inner().unwrap();
    broken.sort_by_key(|story| story.seed);
    println!("{:#?}", tally.into_inner().unwrap());
    if let Some(first) = broken.first() {
        let others: Vec<u64> = broken.iter().map(|story| story.seed).collect();
        for story in &broken {
            eprintln!("seed {}: {}", story.seed, story.problems.first().map_or("", String::as_str));
        }
        panic!("{first}\n\n{} broken seeds: {others:?}", broken.len());
    }
}

/// Plants a mistake in one story after another, until one in which it is made: that one must be broken, and say how, in
/// one of these ways.
fn check_planted(mistake: Mistake, expected: &[&str]) {
    let broken = (0..200).find_map(|seed| simulate(seed, Some(mistake)).err());
    let Some(broken) = broken else { panic!("{mistake:?} is never found") };
    let told = broken.problems.join("\n");
    assert!(
        expected.iter().any(|expected| told.contains(expected)),
        "{mistake:?} is found, and not for what it is:\n{told}"
    );
}

#[test]
fn planted_mistakes_are_found() {
    for (mistake, expected) in [
        (Mistake::WorldForgetsAnEffect, &["and the world does not"][..]),
        (Mistake::DriverLosesAnObject, &["is lost: no record tells of it"][..]),
        (Mistake::RecoveryDoesNotLook, &["is lost: no record tells of it"][..]),
        (Mistake::LedgerDropsAnOutcome, &["the outcome of object", "something that it waits for is not done"]),
        (Mistake::EngineSkipsAnIntent, &["no durable intent says so"][..]),
        // Every run finds the order missing and writes it down anew.
        (Mistake::LedgerForgetsDependencies, &["a run that had nothing to do did something"][..]),
        (Mistake::StrangerInTheWorld, &["a stranger"][..]),
        (Mistake::CrashTakenForRefusal, &["is lost: no record tells of it", "and the world does not"]),
        (Mistake::HostCallsTwice, &["is lost: no record tells of it"][..]),
        (Mistake::LedgerForgetsWhatIsKept, &["the plugin is given back"][..]),
        (Mistake::LostCreationIsForgotten, &["is lost: no record tells of it"][..]),
    ] {
        check_planted(mistake, expected);
    }
}

#[test]
fn a_story_is_told_again_from_its_seed() {
    for seed in [3, 7] {
        assert_eq!(
            simulate(seed, None).map_err(|broken| broken.to_string()),
            simulate(seed, None).map_err(|broken| broken.to_string())
        );
    }
}
