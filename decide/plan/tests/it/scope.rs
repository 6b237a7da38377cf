//! What a plan that is held to a part touches, over generated definitions; and what no plan holds.

use std::collections::BTreeSet;
use std::fmt::Write;

use andon_plan::{Plan, PlanMode};
use andon_schema::TargetAddress;

use crate::world::World;

/// Numbers that are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    /// A number below another.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Servers that read some of those before them: which ones, by number.
fn generate(dice: &mut Dice, count: usize) -> Vec<(usize, Vec<usize>)> {
    let all = (0..count).map(|at| {
        let reads = (0..at).filter(|_| dice.below(3) == 0).collect();
        (dice.below(2), reads)
    });
    all.collect()
}

fn text(servers: &[(usize, Vec<usize>)]) -> String {
    let mut text = String::new();
    for (at, (name, reads)) in servers.iter().enumerate() {
        let reads: Vec<String> = reads.iter().map(|read| format!("\"{read}\" = lab_server.s{read}.address")).collect();
        let _ = writeln!(
            text,
            "resource \"lab_server\" \"s{at}\" {{\n  name = \"{name}\"\n  tags = {{ {} }}",
            reads.join(", ")
        );
        let _ = writeln!(text, "  image = \"{name}\"\n}}\noutput \"o{at}\" {{ value = lab_server.s{at}.address }}");
    }
    text
}

fn number(name: &str) -> usize {
    name.trim_start_matches('s').parse().unwrap()
}

fn unasked(plan: &Plan) -> BTreeSet<usize> {
    plan.unasked.iter().map(|address| number(&address.resource.name)).collect()
}

fn touched(plan: &Plan) -> BTreeSet<usize> {
    let mut touched: BTreeSet<usize> =
        plan.changes.iter().map(|change| number(&change.address.resource.name)).collect();
    touched.extend(plan.drift.iter().map(|drift| number(&drift.address.resource.name)));
    touched
}

/// All that can be reached from one, itself included.
fn reach(from: usize, next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if seen.insert(at) {
            open.extend(next(at));
        }
    }
    seen
}

#[test]
fn a_plan_of_a_part_touches_nothing_else() {
    let mut dice = Dice(7);
    let (mut held, mut left) = (0, 0);
    for _ in 0..60 {
        let count = 2 + dice.below(6);
        let mut world = World::default();
        if dice.below(3) > 0 {
            world.up(&text(&generate(&mut dice, count)));
        }
        let servers = generate(&mut dice, count);
        let definitions = text(&servers);
        let one = dice.below(count);
        let target = TargetAddress::parse(&format!("lab_server.s{one}")).unwrap();
        let whole = touched(&world.plan(&definitions, PlanMode::Normal).unwrap());

        world.scope.targets.push(target.clone());
        let needed = reach(one, |at| servers[at].1.clone());
        let plan = world.plan(&definitions, PlanMode::Normal).unwrap();
        assert_eq!(touched(&plan), &whole & &needed, "{definitions}");
        let outputs = plan.outputs.iter().filter(|output| output.changes());
        assert!(outputs.clone().all(|output| needed.contains(&output.name[1..].parse().unwrap())), "{definitions}");
        let known: BTreeSet<usize> = world.state.instances.keys().map(|it| number(&it.resource.name)).collect();
        assert_eq!(unasked(&plan), &known - &needed, "{definitions}");
        held += touched(&plan).len();

        world.scope.targets.clear();
        world.scope.excludes.push(target);
        let users = |at: usize| (0..count).filter(|user| servers[*user].1.contains(&at)).collect();
        let excluded = reach(one, users);
        let plan = world.plan(&definitions, PlanMode::Normal).unwrap();
        assert_eq!(touched(&plan), &whole - &excluded, "{definitions}");
        assert_eq!(unasked(&plan), &known & &BTreeSet::from([one]), "{definitions}");
        left += whole.len() - touched(&plan).len();

        // What is left out is there for the next plan, whole again.
        let report = world.apply(plan, &definitions);
        assert!(report.is_success(), "{report:#?}");
        world.scope.excludes.clear();
        world.up(&definitions);
        let plan = world.plan(&definitions, PlanMode::Normal).unwrap();
        assert!(plan.is_empty(), "{definitions}");
    }
    assert!(held > 20 && left > 20, "{held} {left}");
}

#[test]
fn a_partial_destroy_deletes_what_uses_the_target_or_keeps_what_the_excluded_needs() {
    let mut dice = Dice(11);
    for _ in 0..40 {
        let count = 2 + dice.below(6);
        let mut world = World::default();
        let servers = generate(&mut dice, count);
        let definitions = text(&servers);
        world.up(&definitions);
        let one = dice.below(count);
        let target = TargetAddress::parse(&format!("lab_server.s{one}")).unwrap();
        world.scope.targets.push(target.clone());
        let users = |at: usize| (0..count).filter(|user| servers[*user].1.contains(&at)).collect();
        assert_eq!(touched(&world.plan(&definitions, PlanMode::Destroy).unwrap()), reach(one, users), "{definitions}");
        world.scope.targets.clear();
        world.scope.excludes.push(target);
        let kept = reach(one, |at| servers[at].1.clone());
        let plan = world.plan(&definitions, PlanMode::Destroy).unwrap();
        assert_eq!(touched(&plan), &(0..count).collect::<BTreeSet<usize>>() - &kept, "{definitions}");
    }
}

#[test]
fn no_plan_and_no_record_holds_what_is_ephemeral() {
    let definitions = r#"
        terraform {
          required_providers {
            toy = { source = "toy/toy" }
          }
        }
        ephemeral "toy_secret" "s" { name = "n" }
        resource "toy_thing" "t" {
          name     = "t"
          password = ephemeral.toy_secret.s.value
        }
        resource "toy_thing" "u" {
          name     = toy_thing.t.id
          password = ephemeral.toy_secret.s.value
        }
    "#;
    let mut world = World::default();
    let plan = world.plan(definitions, PlanMode::Normal).unwrap();
    assert!(!format!("{plan:?}").contains("secret of"), "{plan:#?}");
    let report = world.apply(plan, definitions);
    assert!(report.is_success(), "{report:#?}");
    assert_eq!(world.objects.len(), 2);
    let kept = format!("{:?} {report:?} {:?}", world.entries, world.objects);
    assert!(!kept.contains("secret of"), "{kept}");
}
