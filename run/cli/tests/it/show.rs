//! `show` beside the real `terraform show`: whole documents of states and plans, and the text of states. A case is a file:
//! what is defined first and applied by Terraform, what is defined then and planned by both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use crate::support::Project;

/// What a case's file has, by the names of its parts.
fn parts(name: &str) -> BTreeMap<String, String> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/shown/{name}.txt"));
    let text = std::fs::read_to_string(place).unwrap();
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut part = String::new();
    for line in text.lines() {
        match line.strip_prefix("== ") {
            Some(name) => part = name.to_owned(),
            None => parts.entry(part.clone()).or_default().push_str(&format!("{line}\n")),
        }
    }
    parts
}

/// Replaces the definitions with those of a part of the case.
fn write(project: &Project, parts: &BTreeMap<String, String>, part: &str) {
    let _ = std::fs::remove_file(project.directory.join("main.tf"));
    for (name, text) in parts {
        if let Some(path) = name.strip_prefix(part).and_then(|rest| rest.strip_prefix('/')) {
            project.write(path, text);
        }
    }
}

fn terraform(project: &Project, words: &[&str]) -> Option<String> {
    let program = std::env::var_os("ANDON_TERRAFORM").map_or_else(|| PathBuf::from("terraform"), PathBuf::from);
    let mut command = Command::new(&program);
    command.args(words).current_dir(&project.directory).env("CHECKPOINT_DISABLE", "1");
    let Ok(ran) = command.output() else {
        println!("skipped: {} cannot be run; set ANDON_TERRAFORM to a terraform", program.display());
        return None;
    };
    assert!(ran.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&ran.stderr));
    Some(String::from_utf8(ran.stdout).unwrap())
}

/// Lists of what has an address by that, as their order means nothing.
fn sorted(json: &Json) -> Json {
    let address = |it: &Json| it["address"]["to_display"].as_str().or(it["address"].as_str()).map(str::to_owned);
    match json {
        Json::Array(elements) if !elements.is_empty() && elements.iter().all(|it| address(it).is_some()) => {
            Json::Object(elements.iter().filter_map(|it| Some((address(it)?, sorted(it)))).collect())
        }
        Json::Array(elements) => elements.iter().map(sorted).collect(),
        Json::Object(entries) => {
            let mut entries = entries.clone();
            if let Some(Json::Array(relevant)) = entries.get_mut("relevant_attributes") {
                relevant.sort_by_key(Json::to_string);
            }
            entries.iter().map(|(name, json)| (name.clone(), sorted(json))).collect()
        }
        other => other.clone(),
    }
}

#[track_caller]
fn same(ours: &str, theirs: &str, unlike: &[&str]) {
    let read = |text: &str| {
        let mut json: Json = serde_json::from_str(text).unwrap();
        let entries = json.as_object_mut().unwrap();
        unlike.iter().for_each(|name| drop(entries.remove(*name)));
        serde_json::to_string_pretty(&sorted(&json)).unwrap()
    };
    same_lines(&read(ours), &read(theirs));
}

#[track_caller]
fn same_lines(ours: &str, theirs: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (lines(ours), lines(theirs));
    let at = one.iter().zip(&other).position(|(one, other)| one != other);
    if let Some(at) = at.or((one.len() != other.len()).then_some(one.len().min(other.len()))) {
        let around =
            |lines: &[String]| lines[at.saturating_sub(12).min(lines.len())..(at + 6).min(lines.len())].join("\n");
        panic!("they differ from line {at}:\n--- ours\n{}\n--- theirs\n{}", around(&one), around(&other));
    }
}

/// What differs: both are made at another time.
const UNLIKE: &[&str] = &["timestamp"];

#[track_caller]
fn check(name: &str) {
    let parts = parts(name);
    let mut project = Project::empty("shown");
    project.data_dir = project.directory.join(".data");
    if parts.keys().any(|part| part.starts_with("before/")) {
        write(&project, &parts, "before");
        let Some(_) = terraform(&project, &["init", "-no-color"]) else { return };
        terraform(&project, &["apply", "-auto-approve", "-no-color"]);
        for address in parts.get("taint").into_iter().flat_map(|text| text.lines()) {
            terraform(&project, &["taint", address]);
        }
        project.ok(&["state", "push", "terraform.tfstate"]);
        let theirs = terraform(&project, &["show", "-json"]).unwrap();
        same(&project.ok(&["show", "-json"]).out, &theirs, &[]);
        same(&project.ok(&["show", "-json", "terraform.tfstate"]).out, &theirs, &[]);
        same_lines(&project.ok(&["show"]).out, &terraform(&project, &["show", "-no-color"]).unwrap());
    }
    write(&project, &parts, "after");
    let flags: Vec<&str> = parts.get("flags").map_or(Vec::new(), |text| text.split_whitespace().collect());
    let Some(_) = terraform(&project, &["init", "-no-color"]) else { return };
    terraform(&project, &[&["plan", "-no-color", "-out=theirs"], flags.as_slice()].concat());
    let planned = project.ok(&[&["plan", "-out=ours"], flags.as_slice()].concat());
    let theirs = terraform(&project, &["show", "-json", "theirs"]).unwrap();
    let ours = project.ok(&["show", "-json", "ours"]).out;
    same(&ours, &theirs, UNLIKE);
    // For people, a saved plan is what was shown when it was made.
    assert_eq!(project.ok(&["show", "ours"]).out, planned.out);
    // It can be looked at when it has been applied, too.
    project.ok(&["apply", "ours"]);
    assert_eq!(project.ok(&["show", "-json", "ours"]).out, ours);
}

#[test]
fn what_is_made_is_shown_as_by_terraform() {
    check("create");
}

#[test]
fn every_reason_is_shown_as_by_terraform() {
    check("reasons");
}

#[test]
fn checks_and_data_are_shown_as_by_terraform() {
    check("checks");
}

#[test]
fn imports_and_what_is_forgotten_are_shown_as_by_terraform() {
    check("import");
}

#[test]
fn what_had_a_part_in_a_plan_is_shown_as_by_terraform() {
    check("relevant");
}

#[test]
fn what_had_a_part_in_an_end_is_shown_as_by_terraform() {
    check("relevant_to_end");
}

#[test]
fn what_is_put_off_is_shown_with_its_reason() {
    let mut project = Project::empty("put-off");
    project.data_dir = project.directory.join(".data");
    project.write(
        "main.tf",
        "resource \"terraform_data\" \"a\" {}\n\
         resource \"terraform_data\" \"b\" {\n  for_each = toset([terraform_data.a.id])\n}\n\
         resource \"terraform_data\" \"c\" {\n  input = keys(terraform_data.b)\n}\n\
         output \"o\" {\n  value = terraform_data.c.id\n}\n",
    );
    project.ok(&["plan", "-out=saved"]);
    let json: Json = serde_json::from_str(&project.ok(&["show", "-json", "saved"]).out).unwrap();
    assert_eq!(json["complete"], false);
    let deferred = json["deferred_changes"].as_array().unwrap().iter();
    let deferred: Vec<_> = deferred
        .map(|it| {
            let change = &it["resource_change"];
            assert_eq!(change["provider_name"], "terraform.io/builtin/terraform");
            assert_eq!(change["change"]["actions"], serde_json::json!(["create"]));
            assert_eq!(change["change"]["after_unknown"], true);
            (change["address"].as_str().unwrap(), it["reason"].as_str().unwrap())
        })
        .collect();
    let expected = [("terraform_data.b", "instance_count_unknown"), ("terraform_data.c", "deferred_prereq")];
    assert_eq!(deferred, expected, "{json:#}");
}

#[test]
fn there_may_be_nothing_to_show() {
    let mut project = Project::empty("show-nothing");
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", "output \"x\" { value = 1 }\n");
    assert_eq!(project.ok(&["show"]).out, "There is nothing.\n");
    let json: Json = serde_json::from_str(&project.ok(&["show", "--json"]).out).unwrap();
    assert_eq!(json, serde_json::json!({ "format_version": "1.0" }));
    project.write("odd", "{}");
    for file in ["odd", "none", "main.tf"] {
        let ran = project.exits(1, &["show", file]);
        assert!(ran.err.contains("can be shown neither as a plan nor as a state"), "{ran}");
    }
    // What a plan was made from is needed to show it.
    project.ok(&["plan", "-out=saved"]);
    project.edit("main.tf", "1", "2");
    let ran = project.exits(1, &["show", "saved"]);
    assert!(ran.err.contains("main.tf changed"), "{ran}");
}

#[test]
fn an_assertion_that_cannot_be_judged_is_an_error_as_in_terraform() {
    let mut project = Project::empty("unjudged");
    project.data_dir = project.directory.join(".data");
    let definitions = |condition: &str| {
        format!(
            "variable \"l\" {{ default = [\"a\"] }}\ncheck \"c\" {{\n  assert {{\n    condition     = {condition}\n    \
             error_message = \"no\"\n  }}\n}}\n"
        )
    };
    project.write("main.tf", &definitions("var.l[3] == \"a\""));
    let ran = project.exits(1, &["plan"]);
    assert!(ran.err.contains("error: invalid index"), "{ran}");
    // What does not hold is only warned of.
    project.write("main.tf", &definitions("var.l[0] == \"b\""));
    let ran = project.exits(0, &["plan"]);
    assert!(ran.err.contains("warning: an assertion of check.c does not hold"), "{ran}");
}
