//! `andon check`: what it says, and that its data has the shape of Terraform's.

use std::process::Command;

use serde_json::Value as Json;

use crate::support::Project;

const WRONG: &str = "variable \"x\" {\n  type = list(string)\n  default = [\"é😀\"]\n}\noutput \"é\" { value = \"😀e\u{301}${var.x.foo}\" }\n\
    resource \"terraform_data\" \"a\" {\n  input = {\n    a = upper(1, 2)\n  }\n}\noutput \"c\" { value = [1][length([\"a\"])] }\n\
    output \"d\" {\n  value = 1\n  vlaue = 2\n}\nvariable \"x\" {}\n";

/// What `terraform validate -json` says; `None` where there is no Terraform.
fn terraform(project: &Project) -> Option<Json> {
    let terraform = std::env::var("ANDON_TERRAFORM").unwrap_or_else(|_| "terraform".to_owned());
    let mut command = Command::new(terraform);
    command.args(["validate", "-json"]).current_dir(&project.directory);
    let output = command.env("TF_CLI_CONFIG_FILE", "/dev/null").env("CHECKPOINT_DISABLE", "1").output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

fn diagnostics(said: &Json) -> &Vec<Json> {
    said["diagnostics"].as_array().expect("diagnostics")
}

/// Everything that is in `theirs` has its like in `ours`, by name and by kind.
fn has_shape(ours: &Json, theirs: &Json, at: &str) {
    match (ours, theirs) {
        (Json::Object(ours), Json::Object(theirs)) => {
            for (key, value) in theirs.iter().filter(|(key, _)| *key != "function_call") {
                let own = ours.get(key).unwrap_or_else(|| panic!("{at} has no {key}"));
                has_shape(own, value, &format!("{at}.{key}"));
            }
        }
        (Json::Array(ours), Json::Array(theirs)) => {
            for (own, value) in ours.iter().zip(theirs) {
                has_shape(own, value, at);
            }
        }
        // Terraform finds no context for what begins a block.
        (_, Json::Null) => {}
        (ours, theirs) => {
            assert_eq!(std::mem::discriminant(ours), std::mem::discriminant(theirs), "{at}: {ours} and {theirs}");
        }
    }
}

#[test]
fn the_data_has_the_fields_of_terraform() {
    // Syntax and types are looked at one after the other by Terraform: each of these has one kind of mistake.
    let lines: Vec<&str> = WRONG.lines().collect();
    let (typed, shaped) = (lines.get(..11).unwrap().join("\n"), lines.get(11..).unwrap().join("\n"));
    for text in [format!("{typed}\n"), format!("variable \"x\" {{}}\n{shaped}\n")] {
        let project = Project::empty("check-json");
        project.write("main.tf", &text);
        let ran = project.exits(1, &["check", "--json"]);
        let ours: Json = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&ours["format_version"], &ours["valid"]), (&"1.0".into(), &false.into()), "{ran}");
        assert_eq!(ours["error_count"].as_u64(), Some(diagnostics(&ours).len() as u64), "{ran}");
        let Some(theirs) = terraform(&project) else {
            println!("skipped: no terraform on this machine");
            return;
        };
        assert_eq!(ours["error_count"], theirs["error_count"], "{ran}{theirs:#}");
        has_shape(
            &ours,
            &serde_json::json!({ "format_version": "", "valid": true, "error_count": 0, "warning_count": 0 }),
            "",
        );
        for theirs in diagnostics(&theirs) {
            let line = &theirs["range"]["start"]["line"];
            let ours = diagnostics(&ours).iter().find(|ours| ours["range"]["start"]["line"] == *line);
            let ours = ours.unwrap_or_else(|| panic!("nothing of line {line}: {ran}"));
            has_shape(ours, theirs, "a diagnostic");
            let fields = ["context", "code", "start_line"].into_iter();
            for field in fields.filter(|field| !theirs["snippet"][*field].is_null()) {
                assert_eq!(ours["snippet"][field], theirs["snippet"][field], "{field}\n{ours:#}\n{theirs:#}");
            }
        }
    }
}

#[test]
fn columns_count_what_is_seen_as_one_character() {
    let project = Project::empty("check-columns");
    project.write("main.tf", WRONG);
    let said: Json = serde_json::from_str(&project.exits(1, &["check", "--json"]).out).unwrap();
    let place = diagnostics(&said).iter().find(|it| it["range"]["start"]["line"] == 5).unwrap();
    // After `output "é" { value = "😀é${var.x.`, whose last é is two characters to a computer.
    assert_eq!(place["range"]["start"]["column"], 33, "{place:#}");
}

#[test]
fn a_directory_or_stacks_can_be_named() {
    let project = Project::empty("check-named");
    project.write("stacks/a/main.tf", "output \"x\" { value = var.nope }\n");
    project.write("stacks/b/main.tf", "output \"x\" { value = 1 }\nvariable \"needed\" {}\n");
    project.write("empty/readme.txt", "nothing\n");
    project.exits(1, &["check"]);
    project.exits(1, &["check", "a"]);
    project.exits(1, &["check", "a", "b"]);
    assert_eq!(project.ok(&["check", "b"]).out, "The definitions of b are sound.\n");
    project.ok(&["check", "stacks/b"]);
    project.exits(1, &["check", "stacks/a"]);
    assert_eq!(project.ok(&["check", "empty"]).out, "Nothing is defined in this directory.\n");
    let ran = project.exits(1, &["check", "bb"]);
    assert!(
        ran.err.contains("there is no stack or directory \"bb\"") && ran.err.contains("Did you mean \"b\"?"),
        "{ran}"
    );
}

#[test]
fn what_is_missing_is_said_once_with_every_place() {
    let project = Project::empty("check-many");
    let uses: String = (0..50).map(|at| format!("  a{at} = var.nope\n")).collect();
    project.write("main.tf", &format!("locals {{\n{uses}}}\n"));
    let ran = project.exits(1, &["check"]);
    assert_eq!(ran.err.matches("error: ").count(), 1, "{ran}");
    assert!(ran.err.contains("and 43 more such places"), "{ran}");
}

#[test]
fn whoever_only_looks_leaves_nothing_behind() {
    let project = Project::empty("looks");
    project.write("main.tf", "output \"one\" {\n  value = 1\n}\n");
    let looks: [&[&str]; 10] = [
        &["check"],
        &["graph"],
        &["docs"],
        &["plan"],
        &["console", "-c", "1"],
        &["fmt", "--check"],
        &["output"],
        &["status"],
        &["logs"],
        &["logs", "--runs"],
    ];
    for words in looks {
        project.ok(words);
        let names: Vec<_> =
            std::fs::read_dir(&project.directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["main.tf"], "after `andon {}`", words.join(" "));
    }
}

#[test]
fn lints_have_names_and_fail_nothing() {
    let project = Project::empty("check-lints");
    project.write("main.tf", "variable \"size\" {}\noutput \"x\" { value = \"${path.module}\" }\n");
    let ran = project.ok(&["check"]);
    assert!(ran.err.contains("warning[unused-variable]: variable \"size\" is never used"), "{ran}");
    assert!(ran.err.contains("warning[interpolation-only]"), "{ran}");
    assert_eq!(ran.out, "The definitions are sound: 1 stack, 1 environment.\n");
    let said: Json = serde_json::from_str(&project.ok(&["check", "--json"]).out).unwrap();
    assert_eq!((&said["valid"], &said["error_count"], &said["warning_count"]), (&true.into(), &0.into(), &2.into()));
    let names: Vec<&str> = diagnostics(&said).iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["unused-variable", "interpolation-only"]);
    project.write(
        "andon.hcl",
        "project \"x\" {\n  lint {\n    disable = [\"unused-variable\", \"interpolation-only\"]\n  }\n}\n",
    );
    assert_eq!(project.ok(&["check"]).err, "");
    // What is misspelt is an error; and what is no error is not said beside one.
    project.write("andon.hcl", "project \"x\" {\n  lint {\n    disable = [\"unused-variables\"]\n  }\n}\n");
    let ran = project.exits(1, &["check"]);
    assert!(ran.err.contains("Did you mean \"unused-variable\"?") && !ran.err.contains("warning["), "{ran}");
}
