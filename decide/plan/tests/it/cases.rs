//! Every file of `tests/cases` is one case: what is defined and what happens, and what comes of it.
//!
//! A line `>>> command` begins a step. The lines after it are the definitions (those of the step before it, where
//! there are none), and the lines after `<<<` what is expected. With `BLESS=1` what is found is written there.

use std::fmt::Write;
use std::path::Path;

use andon_plan::{ApplyReport, PlanMode, Scope};
use andon_schema::{InstanceAddress, TargetAddress};
use andon_value::Value;

use crate::world::{World, render};

#[test]
fn cases() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut failures = String::new();
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let found = run(&text);
        count += 1;
        if found == text {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &found).unwrap();
        } else {
            let _ = writeln!(failures, "{}: found\n{found}", path.display());
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(count > 10, "the cases are not where they should be");
}

/// The text of a case with what is found in the place of what is expected.
fn run(text: &str) -> String {
    let mut world = World::default();
    let mut found = String::new();
    let mut definitions = String::new();
    let mut parts = text.split(">>> ");
    found.push_str(parts.next().unwrap());
    for part in parts {
        let (command, rest) = part.split_once('\n').unwrap();
        let given = rest.split("<<<\n").next().unwrap();
        if !given.trim().is_empty() {
            given.trim_start_matches('\n').clone_into(&mut definitions);
        }
        let _ = write!(found, ">>> {command}\n{given}");
        let output = step(&mut world, command, &definitions);
        if let Some(output) = output {
            let _ = write!(found, "<<<\n{output}\n");
        }
    }
    format!("{}\n", found.trim_end())
}

fn step(world: &mut World, command: &str, definitions: &str) -> Option<String> {
    let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
    match verb {
        "up" => world.up(definitions),
        "plan" => return Some(plan(world, definitions, PlanMode::Normal)),
        "destroy" => return Some(plan(world, definitions, PlanMode::Destroy)),
        "drift" => return Some(plan(world, definitions, PlanMode::RefreshOnly)),
        "apply" => return Some(apply(world, definitions, PlanMode::Normal)),
        "down" => return Some(apply(world, definitions, PlanMode::Destroy)),
        "whole" => world.scope = Scope::default(),
        "target" => world.scope.targets.push(TargetAddress::parse(rest).unwrap()),
        "exclude" => world.scope.excludes.push(TargetAddress::parse(rest).unwrap()),
        "replace" => world.scope.replace.push(InstanceAddress::parse(rest).unwrap()),
        "refresh" => return Some(apply(world, definitions, PlanMode::RefreshOnly)),
        "trust" => world.no_refresh = rest != "not",
        "cancel" => world.cancel_after = Some(rest.parse().unwrap()),
        "stacks" => {
            world.stacks =
                rest.split(' ').map(|name| &*name.to_owned().leak()).filter(|name| !name.is_empty()).collect()
        }
        "environment" => world.environment = Some(rest.to_owned().leak()),
        "fail" => drop(world.failing.insert(rest.to_owned())),
        "mend" => world.failing.clear(),
        "unclean" => drop(world.unclean.insert(rest.to_owned())),
        "lose" => {
            let identity = world.state.current(&InstanceAddress::parse(rest).unwrap()).unwrap().identity.to_string();
            world.objects.remove(&identity).unwrap();
        }
        "set" => {
            let [address, attribute, value] = rest.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let identity = world.state.current(&InstanceAddress::parse(address).unwrap()).unwrap().identity.to_string();
            let object = &mut world.objects.get_mut(&identity).unwrap().1;
            let mut entries = (**object.as_entries().unwrap()).clone();
            entries.insert(attribute.into(), Value::from(value));
            *object = Value::object(entries);
        }
        other => panic!("there is no {other}"),
    }
    None
}

fn plan(world: &mut World, definitions: &str, mode: PlanMode) -> String {
    match world.plan(definitions, mode) {
        Ok(plan) => render(&plan),
        Err(problems) => world.complaints(&problems),
    }
}

fn apply(world: &mut World, definitions: &str, mode: PlanMode) -> String {
    let plan = match world.plan(definitions, mode) {
        Ok(plan) => plan,
        Err(problems) => return world.complaints(&problems),
    };
    world.log.clear();
    let report = world.apply(plan, definitions);
    world.cancel_after = None;
    format!("{}\n{}", world.log.join("\n"), summary(world, &report))
}

fn summary(world: &World, report: &ApplyReport) -> String {
    let mut text = String::new();
    for done in &report.done {
        let _ = writeln!(text, "done: {} {}", done.action, done.address);
    }
    for unneeded in &report.unneeded {
        let _ = writeln!(text, "not needed: {} {}", unneeded.action, unneeded.address);
    }
    for failed in &report.failed {
        let _ = write!(text, "failed: {} {}: {}", failed.action, failed.address, world.complaints(&failed.diagnostics));
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "skipped: {} {}: {}", skipped.action, skipped.address, skipped.reason);
    }
    for (stack, outputs) in &report.published {
        let names: Vec<String> =
            outputs.iter().map(|(name, value)| format!("{name} = {}", crate::world::shown(value))).collect();
        let _ = writeln!(text, "published {stack:?}: {}", names.join(", "));
    }
    let _ = write!(text, "{}", world.complaints(&report.diagnostics));
    if report.cancelled {
        text.push_str("cancelled\n");
    }
    text
}
