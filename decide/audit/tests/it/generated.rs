//! Properties of plans and applies over generated graphs, answers in any order, and failures.

use std::collections::BTreeSet;
use std::fmt::Write;

use andon_audit::{audit, audit_run};
use andon_plan::{PlanMode, PlannedAction, ReplaceOrder};
use proptest::prelude::*;

use crate::world::{World, render};

/// One resource of a generated project.
#[derive(Debug, Clone)]
struct Part {
    present: bool,
    count: Option<u8>,
    image: u8,
    create_first: bool,
    /// Which others it reads, how, and into what.
    reads: Vec<(usize, u8)>,
}

const PARTS: usize = 7;

fn parts() -> impl Strategy<Value = (Vec<Part>, bool)> {
    let read = (0..PARTS, 0..7u8);
    let part = (0..5u8, prop::option::of(0..3u8), 0..2u8, any::<bool>(), prop::collection::vec(read, 0..3));
    let part = part.prop_map(|(present, count, image, create_first, reads)| Part {
        present: present > 0,
        count,
        image,
        create_first,
        reads,
    });
    (prop::collection::vec(part, PARTS), any::<bool>())
}

/// The definitions. Each reads only those before it, or those after it: over two versions, references may turn round.
fn definitions(parts: &[Part], backwards: bool, all_create_first: bool) -> String {
    // A directory without any definition is none of a stack.
    let mut text = "locals {}\n".to_owned();
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| part.present) {
        let count = part.count.map(|count| format!("  count = {count}\n")).unwrap_or_default();
        let (mut tags, mut waits, mut image) = (Vec::new(), Vec::new(), format!("\"v{}\"", part.image));
        for (other, how) in &part.reads {
            let other = if backwards {
                (*other).max(at + 1)
            } else {
                at.checked_sub(1).map_or(PARTS, |last| (*other).min(last))
            };
            let Some(read) = parts.get(other).filter(|read| read.present) else { continue };
            let name = format!("lab_server.p{other}");
            let one = match read.count {
                None => Some(format!("{name}.address")),
                Some(0) => None,
                Some(count) => Some(format!("{name}[{}].address", u8::try_from(at).unwrap() % count)),
            };
            match (how, one) {
                (0 | 1, Some(one)) => tags.push(one),
                (2, Some(one)) => image = one,
                (3, _) => waits.push(name),
                (4, _) => tags.push(format!("local.l{other}")),
                (5, _) => tags.push(format!("try(join(\",\", {name}[*].address), \"none\")")),
                (_, Some(one)) => tags.push(format!("{one} == \"\" ? \"none\" : {one}")),
                _ => {}
            }
        }
        let tags: Vec<String> = tags.iter().enumerate().map(|(at, tag)| format!("t{at} = {tag}")).collect();
        let first = part.create_first || all_create_first;
        let _ = write!(
            text,
            "resource \"lab_server\" \"p{at}\" {{\n{count}  image = {image}\n  tags = {{ {} }}\n  depends_on = [{}]\n  \
             lifecycle {{\n    create_before_destroy = {first}\n  }}\n}}\n",
            tags.join(", "),
            waits.join(", "),
        );
        let read = if part.count.is_some() {
            format!("join(\",\", lab_server.p{at}[*].address)")
        } else {
            format!("lab_server.p{at}.address")
        };
        let _ = write!(text, "locals {{\n  l{at} = {read}\n}}\noutput \"o{at}\" {{\n  value = local.l{at}\n}}\n");
    }
    text
}

/// Picks in an order that hangs on a seed.
fn picker(seed: u64) -> Option<Box<dyn FnMut(usize) -> usize>> {
    let mut state = seed | 1;
    Some(Box::new(move |count| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(count).unwrap()).unwrap()
    }))
}

/// Plans, has the plan judged, applies it, and has the run judged. Whether all was done.
fn round(world: &mut World, definitions: &str, mode: PlanMode, seed: u64) -> Result<bool, TestCaseError> {
    world.pick = picker(seed);
    let plan = match world.plan(definitions, mode) {
        Ok(plan) => plan,
        Err(problems) => return Err(TestCaseError::fail(format!("{}\n{definitions}", world.complaints(&problems)))),
    };
    world.pick = picker(seed.wrapping_mul(31));
    prop_assert_eq!(&plan, &world.plan(definitions, mode).unwrap(), "the plan hangs on the order of the answers");
    let findings = audit(&plan, &world.input(definitions, mode).unwrap());
    prop_assert!(findings.is_empty(), "{:#?}\n{}\n{}", findings, render(&plan), definitions);
    let from = world.entries.len();
    let with_early_removals = plan
        .changes
        .iter()
        .any(|change| matches!(change.action, PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, .. }));
    world.strict = world.may_be_strict && !with_early_removals;
    let report = world.apply(plan.clone(), definitions);
    let findings = audit_run(&plan, &world.entries[from..]);
    prop_assert!(findings.is_empty(), "{:#?}\n{}\n{}", findings, render(&plan), definitions);
    let told = report.done.len() + report.failed.len() + report.skipped.len() + report.unneeded.len();
    prop_assert_eq!(told, plan.changes.len(), "every change has one end: {:#?}", report);
    let there: BTreeSet<String> = world.objects.keys().cloned().collect();
    prop_assert_eq!(world.known(), there, "the state knows what there is");
    prop_assert!(world.state.pending.is_empty());
    Ok(report.is_success())
}

/// How many projects are tried; `CASES` asks for more.
fn cases() -> u32 {
    std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_the_next_run_finishes(
        (first, one_way) in parts(),
        (second, other_way) in parts(),
        all_create_first in any::<bool>(),
        failing in prop::collection::vec((0..PARTS, 0..4u8, prop::option::of(0..2u8)), 0..3),
        cancel in prop::option::of(1..6usize),
        seed in any::<u64>(),
    ) {
        let before = definitions(&first, one_way, all_create_first);
        let after = definitions(&second, other_way, all_create_first);
        // While references turn round, what is there and what is wanted may make a circle, and then no order is right.
        let mut world = World { may_be_strict: one_way == other_way, ..World::default() };
        prop_assert!(round(&mut world, &before, PlanMode::Normal, seed)?);
        for (part, how, key) in &failing {
            let key = key.map(|key| format!("[{key}]")).unwrap_or_default();
            let how = ["create", "update", "delete", "half create"][usize::from(*how)];
            world.failing.insert(format!("{how} lab_server.p{part}{key}"));
        }
        world.cancel_after = cancel;
        round(&mut world, &after, PlanMode::Normal, seed ^ 1)?;
        world.cancel_after = None;
        world.failing.clear();
        prop_assert!(round(&mut world, &after, PlanMode::Normal, seed ^ 2)?);
        let plan = world.plan(&after, PlanMode::Normal).unwrap();
        prop_assert!(plan.is_empty(), "a second plan is empty: {}\n{}", render(&plan), after);
        prop_assert!(plan.depends.is_empty(), "what it depends on is known: {}\n{}", render(&plan), after);
        world.may_be_strict = true;
        prop_assert!(round(&mut world, &after, PlanMode::Destroy, seed ^ 3)?);
        prop_assert!(world.objects.is_empty() && world.state.is_empty());
    }
}
