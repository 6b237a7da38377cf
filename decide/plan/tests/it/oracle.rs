//! What would be done to generated `terraform_data` resources, beside what the real `terraform` would do: replacements
//! and their order, what triggers them, what is ignored, targets and replacements asked for.
//!
//! `CASES=100` puts more to it; `SEED=7` begins elsewhere. Where there is no `terraform`, nothing is compared.

#![allow(clippy::disallowed_types, clippy::disallowed_macros, reason = "Terraform itself is asked, where it is there")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use andon_plan::{PlanMode, PlannedAction, ReplaceOrder};
use andon_schema::{InstanceAddress, TargetAddress};
use serde_json::Value as Json;

use crate::scope::Dice;
use crate::world::World;

/// One resource: what it reads of those before it, and how its life is.
#[derive(Clone)]
struct Data {
    count: Option<usize>,
    input: String,
    triggers: Option<String>,
    first: bool,
    ignore: Option<&'static str>,
    triggered_by: Option<String>,
}

fn reference(dice: &mut Dice, before: &[Data], attributes: &[&str]) -> Option<String> {
    let at = (!before.is_empty()).then(|| dice.below(before.len()))?;
    let key = before[at].count.map(|_| "[0]").unwrap_or_default();
    let attribute = attributes[dice.below(attributes.len())];
    Some(format!("terraform_data.r{at}{key}{attribute}"))
}

fn generate(dice: &mut Dice) -> Vec<Data> {
    let mut all: Vec<Data> = Vec::new();
    for _ in 0..2 + dice.below(4) {
        let literal = |dice: &mut Dice| format!("\"{}\"", dice.below(2));
        let value = |dice: &mut Dice, all: &[Data]| match dice.below(2) {
            0 => literal(dice),
            _ => reference(dice, all, &[".output", ".id", ".input"]).unwrap_or_else(|| literal(dice)),
        };
        let data = Data {
            count: (dice.below(4) == 0).then(|| 1 + dice.below(2)),
            input: value(dice, &all),
            triggers: (dice.below(2) == 0).then(|| value(dice, &all)),
            first: dice.below(4) == 0,
            ignore: (dice.below(5) == 0).then(|| ["[input]", "[triggers_replace]", "all"][dice.below(3)]),
            triggered_by: match dice.below(3) {
                0 => reference(dice, &all, &["", ".input", ".output", ".triggers_replace"]),
                _ => None,
            },
        };
        all.push(data);
    }
    all
}

/// The same with some literals changed, some counts, and perhaps without the last.
fn change(dice: &mut Dice, all: &[Data]) -> Vec<Data> {
    let mut changed = all.to_vec();
    for data in &mut changed {
        let literal = format!("\"{}\"", dice.below(3));
        for value in std::iter::once(&mut data.input).chain(&mut data.triggers) {
            if value.starts_with('"') && dice.below(2) == 0 {
                value.clone_from(&literal);
            }
        }
        if let Some(count) = data.count.as_mut().filter(|_| dice.below(3) == 0) {
            *count = 1 + dice.below(2);
        }
    }
    if dice.below(3) == 0 {
        changed.pop();
    }
    changed
}

fn text(all: &[Data]) -> String {
    let mut text = String::new();
    for (at, data) in all.iter().enumerate() {
        let _ = writeln!(text, "resource \"terraform_data\" \"r{at}\" {{");
        let mut line = |name: &str, value: Option<String>| {
            let _ = value.map(|value| writeln!(text, "  {name} = {value}"));
        };
        line("count", data.count.map(|count| count.to_string()));
        line("input", Some(data.input.clone()));
        line("triggers_replace", data.triggers.clone());
        let _ = writeln!(text, "  lifecycle {{");
        let mut line = |name: &str, value: Option<String>| {
            let _ = value.map(|value| writeln!(text, "    {name} = {value}"));
        };
        line("create_before_destroy", data.first.then(|| "true".to_owned()));
        line("ignore_changes", data.ignore.map(str::to_owned));
        line("replace_triggered_by", data.triggered_by.as_ref().map(|reference| format!("[{reference}]")));
        let _ = writeln!(text, "  }}\n}}");
    }
    text
}

fn terraform() -> Option<PathBuf> {
    let named = std::env::var_os("ANDON_TERRAFORM").map(PathBuf::from);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    named.or_else(|| std::env::split_paths(&paths).map(|path| path.join("terraform")).find(|path| path.is_file()))
}

/// What it says; `None` where it finds a circle that is none: it makes one of a deletion and what it expands to.
fn run(program: &Path, directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(directory).env("CHECKPOINT_DISABLE", "1").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("Cycle: ") {
        return None;
    }
    let definitions = std::fs::read_to_string(directory.join("main.tf")).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}\n{definitions}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn theirs(json: &str) -> BTreeMap<String, String> {
    let plan: Json = serde_json::from_str(json).unwrap();
    let changes = plan["resource_changes"].as_array().cloned().unwrap_or_default();
    let actions = changes.iter().map(|change| {
        let actions = change["change"]["actions"].as_array().unwrap();
        let actions: Vec<&str> = actions.iter().map(|action| action.as_str().unwrap()).collect();
        (change["address"].as_str().unwrap().to_owned(), actions.join(" "))
    });
    actions.filter(|(_, actions)| actions != "no-op").collect()
}

#[test]
fn terraform_would_do_the_same() {
    let Some(program) = terraform() else {
        eprintln!("skipped: there is no terraform on PATH, and ANDON_TERRAFORM names none");
        return;
    };
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default);
    let first = number("SEED", 1);
    for seed in first..first + number("CASES", 6) {
        let mut dice = Dice(seed * 7919);
        let (before, directory) = (generate(&mut dice), std::env::temp_dir());
        let directory = directory.join(format!("andon-plan-oracle-{}-{seed}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("main.tf");
        std::fs::write(&file, text(&before)).unwrap();
        run(&program, &directory, &["apply", "-auto-approve", "-input=false"]).unwrap();
        let mut world = World::default();
        world.up(&text(&before));

        let after = change(&mut dice, &before);
        let definitions = text(&after);
        std::fs::write(&file, &definitions).unwrap();
        let at = dice.below(after.len());
        let key = after[at].count.map(|_| "[0]").unwrap_or_default();
        let option = match dice.below(4) {
            0 => {
                world.scope.targets.push(TargetAddress::parse(&format!("terraform_data.r{at}")).unwrap());
                Some(format!("-target=terraform_data.r{at}"))
            }
            1 => {
                world.scope.replace.push(InstanceAddress::parse(&format!("terraform_data.r{at}{key}")).unwrap());
                Some(format!("-replace=terraform_data.r{at}{key}"))
            }
            _ => None,
        };
        let mut arguments = vec!["plan", "-input=false", "-out=it.tfplan"];
        arguments.extend(option.as_deref());
        let said = run(&program, &directory, &arguments);
        let shown = said.and_then(|_| run(&program, &directory, &["show", "-json", "it.tfplan"]));
        std::fs::remove_dir_all(&directory).unwrap();
        let Some(expected) = shown.map(|json| theirs(&json)) else { continue };
        let plan = world.plan(&definitions, PlanMode::Normal);
        let plan = plan.unwrap_or_else(|problems| panic!("{}", world.complaints(&problems)));
        let ours: BTreeMap<String, String> = (plan.changes.iter())
            .map(|change| {
                let action = match &change.action {
                    PlannedAction::Replace { order: ReplaceOrder::CreateFirst, .. } => "create delete".to_owned(),
                    PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, .. } => "delete create".to_owned(),
                    action => action.to_string(),
                };
                (change.address.to_string(), action)
            })
            .collect();
        assert_eq!(ours, expected, "SEED={seed} {option:?}\n{}\n---\n{definitions}", text(&before));
    }
}
