use andon_plan::PlanMode;

use crate::world::{World, render};

/// Plans definitions against what earlier ones left.
#[track_caller]
fn check_after(earlier: &[&str], definitions: &str, expected: &str) {
    let mut world = World::default();
    earlier.iter().for_each(|definitions| world.up(definitions));
    check_in(&mut world, definitions, PlanMode::Normal, expected);
}

#[track_caller]
fn check_in(world: &mut World, definitions: &str, mode: PlanMode, expected: &str) {
    let found = match world.plan(definitions, mode) {
        Ok(plan) => render(&plan),
        Err(problems) => world.complaints(&problems),
    };
    let lines = |text: &str| {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert!(lines(&found) == lines(expected), "found:\n{found}\nexpected:\n{expected}");
}

#[track_caller]
fn check(definitions: &str, expected: &str) {
    check_after(&[], definitions, expected);
}

#[test]
fn nothing_defined_is_nothing_done() {
    check("locals {}", "no changes; 0 unchanged");
}

#[test]
fn what_is_defined_is_made_after_what_it_reads() {
    check(
        r#"
        resource "lab_server" "web" {
          name    = "web"
          network = lab_network.app.id
        }
        resource "lab_network" "app" { name = "app" }
        output "address" { value = lab_server.web.address }
        output "name" { value = "${lab_server.web.name}!" }
        "#,
        r#"
        create lab_network.app
        create lab_server.web
        make lab_server.web after make lab_network.app
        output address = (unknown)
        output name = "web!"
        "#,
    );
}
