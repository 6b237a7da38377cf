use std::fmt::Write;
use std::time::Instant;

use andon_audit::{audit, audit_run};
use andon_plan::PlanMode;

use crate::world::World;

/// Prints how long large plans take; asserts only that they come to an end.
fn measure(what: &str, definitions: &str) {
    let mut world = World::default();
    let begin = Instant::now();
    let plan = world
        .plan(definitions, PlanMode::Normal)
        .unwrap_or_else(|problems| panic!("{}", problems.iter().next().unwrap().summary));
    let planned = begin.elapsed();
    let changes = plan.changes.len();
    let input = world.input(definitions, PlanMode::Normal).unwrap();
    let begin = Instant::now();
    assert_eq!(audit(&plan, &input), []);
    let audited = begin.elapsed();
    let begin = Instant::now();
    let report = world.apply(plan.clone(), definitions);
    let applied = begin.elapsed();
    assert!(report.is_success());
    assert_eq!(audit_run(&plan, &world.entries), []);
    let begin = Instant::now();
    let again = world.plan(definitions, PlanMode::Normal).unwrap();
    let unchanged = begin.elapsed();
    assert!(again.is_empty());
    println!(
        "{what}: {changes} changes: plan {planned:?}, audit {audited:?}, apply {applied:?}, plan again {unchanged:?}"
    );
    let begin = Instant::now();
    let plan = world.plan(definitions, PlanMode::Destroy).unwrap();
    assert_eq!(audit(&plan, &world.input(definitions, PlanMode::Destroy).unwrap()), []);
    println!("{what}: destroy planned and audited in {:?}", begin.elapsed());
}

#[test]
fn large_plans_come_to_an_end() {
    let scale = std::env::var("SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1000);
    measure(
        "pairs",
        &format!(
            r#"
        resource "lab_network" "n" {{ name = "n" }}
        resource "lab_server" "web" {{
          count   = {half}
          name    = "web-${{count.index}}"
          network = lab_network.n.id
        }}
        resource "andon_host" "web" {{
          count      = {half}
          connection = lab_server.web[count.index].connection
        }}
        resource "lab_balancer" "b" {{
          listen  = "1"
          targets = [for s in lab_server.web : s.address]
        }}
        output "all" {{ value = lab_server.web[*].address }}
        "#,
            half = scale / 2
        ),
    );
    measure(
        "all read all",
        &format!(
            r#"
        resource "lab_server" "web" {{ count = {half} }}
        locals {{ all = join(",", lab_server.web[*].address) }}
        resource "lab_server" "reader" {{
          count      = {half}
          name       = local.all
          depends_on = [lab_server.web]
        }}
        "#,
            half = scale / 2
        ),
    );
    let mut chain = String::from("locals {\n  l0 = \"x\"\n}\n");
    for at in 1..scale {
        let _ = writeln!(chain, "locals {{\n  l{at} = local.l{}\n}}", at - 1);
    }
    let _ = writeln!(chain, "resource \"lab_server\" \"end\" {{ name = local.l{} }}", scale - 1);
    measure("a chain of local values", &chain);
    measure(
        "a chain of instances",
        &format!(
            r#"
        resource "lab_server" "s" {{
          count = {scale}
          name  = count.index == 0 ? "first" : lab_server.s[count.index - 1].name
        }}
        "#
        ),
    );
}

#[test]
fn many_blocks_come_to_an_end() {
    let scale: usize = std::env::var("SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1000);
    let mut blocks = String::new();
    for at in 0..scale {
        let read = if at % 10 == 0 { "\"first\"".to_owned() } else { format!("terraform_data.r{}.output", at - 1) };
        let _ = writeln!(blocks, "resource \"terraform_data\" \"r{at}\" {{\n  input = {read}\n}}");
    }
    measure("blocks of terraform_data", &blocks);
}
