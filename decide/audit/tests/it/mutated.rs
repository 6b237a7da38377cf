//! The checker refuses plans that have been tampered with.

use andon_audit::{Rule, RunAudit, audit, audit_run};
use andon_ledger::{EnvironmentState, Event};
use andon_plan::{
    ApplyReport, Depends, Plan, PlanInput, PlanMode, PlannedAction, ReplaceOrder, ReplaceReason, StepKind,
};
use andon_schema::Identity;
use andon_value::{Type, Value};

use crate::world::World;

const BEFORE: &str = r#"
resource "lab_network" "n" { name = "a" }
resource "lab_server" "s" {
  count    = 2
  image    = "v1"
  network  = lab_network.n.id
  password = "secret"
  lifecycle { create_before_destroy = true }
}
resource "lab_server" "kept" { name = "x" }
resource "andon_host" "h" { connection = lab_server.s[0].connection }
resource "lab_server" "old" { network = lab_network.n.id }
"#;

const AFTER: &str = r#"
resource "lab_network" "n" { name = "b" }
resource "lab_server" "s" {
  count    = 2
  image    = "v2"
  network  = lab_network.n.id
  password = "secret"
  lifecycle { create_before_destroy = true }
}
resource "lab_server" "kept" { name = "x" }
resource "andon_host" "h" { connection = lab_server.s[0].connection }
resource "lab_server" "new" { name = "y" }
"#;

fn setting() -> (World, PlanInput, Plan) {
    let mut world = World::default();
    world.up(BEFORE);
    let input = world.input(AFTER, PlanMode::Normal).unwrap();
    let plan = world.plan_input(input.clone()).unwrap_or_else(|problems| panic!("{}", world.complaints(&problems)));
    assert_eq!(audit(&plan, &input), []);
    (world, input, plan)
}

#[track_caller]
fn refused(rule: Rule, tamper: impl FnOnce(&mut Plan)) {
    let (_, input, mut plan) = setting();
    tamper(&mut plan);
    let findings = audit(&plan, &input);
    assert!(findings.iter().any(|finding| finding.rule == rule), "{rule:?}: {findings:#?}");
}

fn at(plan: &Plan, address: &str) -> usize {
    plan.changes.iter().position(|change| change.address.to_string() == address).unwrap()
}

fn step(plan: &Plan, kind: StepKind) -> usize {
    plan.steps.iter().position(|step| step.kind == kind).unwrap()
}

#[test]
fn every_rule_bites() {
    refused(Rule::Accounted, |plan| plan.unchanged += 1);
    refused(Rule::Accounted, |plan| {
        let gone = at(plan, "lab_server.old");
        plan.changes[gone].identity = None;
    });
    refused(Rule::OneObject, |plan| {
        let one = at(plan, "lab_server.s[0]");
        let other = at(plan, "lab_server.s[1]");
        plan.changes[other].identity = plan.changes[one].identity.clone();
    });
    refused(Rule::OneObject, |plan| {
        let one = at(plan, "andon_host.h");
        plan.changes[one].address = plan.changes[at(plan, "lab_server.new")].address.clone();
    });
    refused(Rule::OneObject, |plan| {
        let one = at(plan, "lab_server.old");
        plan.changes[one].action = PlannedAction::Create;
    });
    refused(Rule::Shape, |plan| {
        let one = at(plan, "lab_server.new");
        plan.changes[one].before = Some(Value::NULL);
    });
    refused(Rule::Shape, |plan| {
        let one = at(plan, "andon_host.h");
        plan.changes[one].after = None;
    });
    let depends = |plan: &Plan, address: &str| Depends {
        address: plan.changes[at(plan, address)].address.clone(),
        identity: plan.changes[at(plan, address)].identity.clone().unwrap(),
        dependencies: Vec::new(),
        create_before_destroy: false,
    };
    refused(Rule::OneObject, |plan| plan.depends.push(depends(plan, "lab_server.old")));
    refused(Rule::OneObject, |plan| {
        let identity = Identity::from_random(7);
        plan.depends.push(Depends { identity, ..depends(plan, "lab_server.old") });
    });
    refused(Rule::Mode, |plan| {
        plan.depends.push(depends(plan, "lab_server.old"));
        plan.mode = PlanMode::RefreshOnly;
    });
    refused(Rule::Mode, |plan| plan.mode = PlanMode::Destroy);
    refused(Rule::Mode, |plan| plan.mode = PlanMode::RefreshOnly);
    refused(Rule::Steps, |plan| drop(plan.steps.pop()));
    refused(Rule::Steps, |plan| {
        let last = plan.steps.len() - 1;
        plan.steps[0].after.push(last);
    });
    refused(Rule::Steps, |plan| plan.steps.push(plan.steps[0].clone()));
    refused(Rule::ReplaceOrder, |plan| {
        let one = at(plan, "lab_server.s[0]");
        let because = vec![ReplaceReason::Requested];
        plan.changes[one].action = PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, because };
    });
    refused(Rule::ReplaceOrder, |plan| {
        let one = at(plan, "lab_server.s[0]");
        let removal = step(plan, StepKind::Remove(one));
        plan.steps[removal].after.clear();
    });
    refused(Rule::MadeBeforeUse, |plan| {
        let one = at(plan, "lab_server.s[0]");
        let making = step(plan, StepKind::Make(one));
        plan.steps[making].after.clear();
    });
    refused(Rule::DeletedAfterUse, |plan| {
        let one = at(plan, "lab_network.n");
        let (making, removal) = (step(plan, StepKind::Make(one)), step(plan, StepKind::Remove(one)));
        plan.steps[removal].after = vec![making];
    });
    refused(Rule::Known, |plan| {
        let one = at(plan, "andon_host.h");
        plan.changes[one].before = Some(Value::unknown(Type::Dynamic));
    });
    refused(Rule::Secret, |plan| {
        let one = at(plan, "lab_server.s[1]");
        plan.changes[one].before = plan.changes[one].before.as_ref().map(|before| before.unmark_deep().0);
    });
    refused(Rule::Secret, |plan| {
        let one = at(plan, "lab_server.s[1]");
        plan.changes[one].after = plan.changes[one].after.as_ref().map(|after| after.unmark_deep().0);
    });
}

/// The definitions forbid it only after the plan was made: the planner itself refuses it.
#[test]
fn what_is_protected_is_not_deleted() {
    let guard = "lifecycle { prevent_destroy = true }";
    let module = |guard: &str, image: &str| {
        format!(
            "module \"m\" {{\n  source = \"./m\"\n  count = 1\n}}\n== m/main.tf\n\
             resource \"lab_server\" \"s\" {{\n  image = \"{image}\"\n  {guard}\n}}\n"
        )
    };
    for (mode, image) in [(PlanMode::Normal, "v2"), (PlanMode::Destroy, "v1")] {
        let mut world = World::default();
        world.up(&module("", "v1"));
        let plan = world.plan(&module("", image), mode).unwrap();
        assert_eq!(audit(&plan, &world.input(&module("", image), mode).unwrap()), []);
        let findings = audit(&plan, &world.input(&module(guard, image), mode).unwrap());
        let rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, [Rule::Protected]);
        assert!(world.plan(&module(guard, image), mode).is_err());
    }
}

#[test]
fn runs_that_break_the_order_are_refused() {
    let (mut world, _, plan) = setting();
    let from = world.entries.len();
    assert!(world.apply(plan.clone(), AFTER).is_success());
    let entries = world.entries[from..].to_vec();
    assert_eq!(audit_run(&plan, &entries), []);
    let rules = |entries: &[andon_ledger::Entry]| -> Vec<Rule> {
        audit_run(&plan, entries).into_iter().map(|finding| finding.rule).collect()
    };
    let mut turned = entries.clone();
    turned.reverse();
    assert!(rules(&turned).contains(&Rule::Recorded));
    assert!(rules(&turned).contains(&Rule::RunOrder));
    let twice: Vec<_> = entries.iter().chain(&entries).cloned().collect();
    assert!(rules(&twice).contains(&Rule::Recorded));
    // An outcome without its intent, or a step after one whose outcome never came.
    for lost in 0..entries.len() - 1 {
        let mut fewer = entries.clone();
        let is_intent = matches!(fewer.remove(lost).event, andon_ledger::Event::Intent(_));
        assert!(!is_intent || rules(&fewer).contains(&Rule::Recorded));
    }
}

#[test]
fn a_run_after_which_the_ledger_the_state_and_the_report_differ_is_refused() {
    let (mut world, _, plan) = setting();
    let from = world.entries.len();
    let report = world.apply(plan.clone(), AFTER);
    let conclude = |entries: &[andon_ledger::Entry], state: &EnvironmentState, report: &ApplyReport| -> Vec<Rule> {
        let mut audit = RunAudit::new(&plan);
        entries.iter().for_each(|entry| audit.see(&entry.event));
        audit.conclude(state, report).into_iter().map(|finding| finding.rule).collect()
    };
    let entries = &world.entries[from..];
    assert_eq!(conclude(entries, &world.state, &report), []);
    let touched: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Outcome(outcome) => Some((outcome.address.clone(), outcome.object.is_some())),
            _ => None,
        })
        .collect();
    assert!(touched.len() > 5, "{touched:?}");
    for (address, _) in touched.iter().filter(|(_, is_there)| *is_there) {
        let mut state = world.state.clone();
        let lost = state.instances.remove(address);
        assert!(lost.is_none() || conclude(entries, &state, &report).contains(&Rule::Agreed), "{address} is lost");
        let mut state = world.state.clone();
        let Some(object) = state.instances.get_mut(address).and_then(|it| it.current.as_mut()) else { continue };
        object.value = Value::object([("id", Value::from("another"))]);
        assert_eq!(conclude(entries, &state, &report), [Rule::Agreed], "{address} is another");
    }
    // An outcome that is not in the ledger.
    for lost in 0..entries.len() {
        let Event::Outcome(outcome) = &entries[lost].event else { continue };
        let mut fewer = entries.to_vec();
        fewer.remove(lost);
        assert!(conclude(&fewer, &world.state, &report).contains(&Rule::Agreed), "{}", outcome.address);
    }
    assert!(conclude(&[], &world.state, &report).contains(&Rule::Agreed), "the report says more than the ledger");
}

#[test]
fn nothing_is_touched_that_a_plan_leaves_out() {
    let (_, input, mut plan) = setting();
    let refused = |input: &PlanInput, plan: &Plan| {
        audit(plan, input)
            .iter()
            .filter(|finding| finding.rule == Rule::Scope)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let target = |text: &str| vec![andon_schema::TargetAddress::parse(text).unwrap()];
    let mut held = input.clone();
    held.scope.targets = target("lab_server.new");
    assert!(refused(&held, &plan).iter().any(|it| it.starts_with("lab_network.n:")), "{:?}", refused(&held, &plan));
    assert!(!refused(&held, &plan).iter().any(|it| it.starts_with("lab_server.new:")));
    held.scope.targets.clear();
    held.scope.excludes = target("lab_network.n");
    let found = refused(&held, &plan);
    assert!(
        found.iter().any(|it| it.starts_with("lab_network.n:"))
            && found.iter().any(|it| it.starts_with("lab_server.s"))
    );
    let reason = andon_plan::DeferReason::Needs { on: Vec::new() };
    plan.deferred.push(andon_plan::Deferred { stack: "".into(), address: "lab_server.new".to_owned(), reason });
    assert_eq!(refused(&input, &plan), ["lab_server.new: it is not planned yet, and changes"]);
}
