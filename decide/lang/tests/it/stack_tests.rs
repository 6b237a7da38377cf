//! Tests of stacks in Terraform's test language: what is said of them. `stack_tests.txt` has the cases, each after a line
//! `---`: a `*.tftest.hcl` file, then lines `=> SUMMARY` with the errors. Terraform, where it is there, must find errors in
//! the same cases.

use std::fmt::Write as _;
use std::process::Command;

use crate::{files, render};

const STACK: &str = "variable \"v\" {\n  type    = string\n  default = \"x\"\n}\noutput \"o\" {\n  value = var.v\n}\n\
                     resource \"terraform_data\" \"d\" {\n  input = var.v\n}\n";

/// The cases: text and expected lines.
fn cases() -> Vec<(String, String)> {
    let all = include_str!("stack_tests.txt");
    let case = |text: &str| {
        let (mut body, mut expected) = (String::new(), String::new());
        for line in text.lines() {
            match line.strip_prefix("=> ") {
                Some(summary) => expected.extend([summary, "\n"]),
                None => body.extend([line, "\n"]),
            }
        }
        (body, expected)
    };
    all.split("---\n").skip(1).map(case).collect()
}

/// The lines that are said of a file, errors only, without the file's name.
fn said(name: &str, text: &str) -> String {
    let (project, found) =
        andon_lang::load(files(&format!("== main.tf\n{STACK}== m/main.tf\n{STACK}== {name}\n{text}\n")), "case");
    let found = found.into_iter().filter(|diagnostic| diagnostic.is_error()).collect();
    render(&found, &project.sources).replace(&format!("{name}:"), "")
}

#[test]
fn what_is_said_of_tests_of_stacks() {
    let mut wrong = String::new();
    for (text, expected) in cases() {
        for name in ["a.tftest.hcl", "tests/a.tftest.hcl"] {
            let actual = said(name, &text);
            if actual != expected {
                let lines: String = actual.lines().fold(String::new(), |mut all, line| {
                    let _ = writeln!(all, "=> {line}");
                    all
                });
                let _ = write!(wrong, "---\n{text}{lines}");
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn json_is_held_against_the_same_shape() {
    let fine = r#"{"variables": {"v": "a"}, "run": {"a": {"command": "plan", "assert": {"condition": "${output.o == \"a\"}",
        "error_message": "no"}, "expect_failures": ["var.v"], "plan_options": {"mode": "normal"}}},
        "mock_provider": {"null": {"mock_resource": {"x": {"defaults": {"id": "a"}, "override_during": "plan"}}}},
        "override_resource": {"target": "terraform_data.d", "values": {}}}"#;
    assert_eq!(said("a.tftest.json", fine), "");
    let wrong = r#"{"run": {"a": {"command": "foo", "lifecycle": {}}}}"#;
    assert_eq!(
        said("a.tftest.json", wrong),
        "1:28 \"command\" is one of the words apply and plan\n1:34 unsupported argument \"lifecycle\"\n"
    );
}

/// What Terraform has since 1.12.
#[test]
fn runs_may_say_that_they_are_made_side_by_side() {
    for (text, expected) in [
        ("test {\n parallel = true\n}\nrun \"a\" {\n parallel = false\n}", ""),
        ("test {}\nrun \"a\" {}", ""),
        ("test {\n foo = true\n}\nrun \"a\" {}", "2:2 unsupported argument \"foo\"\n"),
        ("run \"a\" {\n parallel = 3\n}", "2:13 \"parallel\" must be written out as true or false\n"),
    ] {
        assert_eq!(said("a.tftest.hcl", text), expected, "{text}");
    }
}

/// One run of Terraform judges the files of all cases; what it does not come to, as others stop it before, is asked alone.
#[test]
fn terraform_finds_errors_in_the_same_tests() {
    let program = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    let ask = |cases: &[(String, String)]| -> Option<Vec<Vec<String>>> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("main.tf"), STACK).unwrap();
        for (index, (text, _)) in cases.iter().enumerate() {
            std::fs::write(directory.path().join(format!("case_{index}.tftest.hcl")), text).unwrap();
        }
        let output = Command::new(&program).args(["validate", "-json"]).current_dir(&directory).output();
        let output = output.inspect_err(|error| {
            println!("skipped: {} cannot be run ({error}); set ANDON_TERRAFORM to a terraform", program.display());
        });
        let answer: serde_json::Value = serde_json::from_slice(&output.ok()?.stdout).unwrap();
        let mut errors = vec![Vec::new(); cases.len()];
        for one in answer["diagnostics"].as_array().unwrap().iter().filter(|one| one["severity"] == "error") {
            let name = one["range"]["filename"].as_str().unwrap_or_default();
            let index = name.trim_start_matches("case_").trim_end_matches(".tftest.hcl").parse::<usize>();
            errors[index.unwrap()].push(one["summary"].to_string());
        }
        Some(errors)
    };
    let cases = cases();
    let Some(together) = ask(&cases) else { return };
    let mut wrong = String::new();
    for (case, mut errors) in cases.into_iter().zip(together) {
        let (text, expected) = &case;
        if errors.is_empty() && !expected.is_empty() {
            errors = ask(std::slice::from_ref(&case)).unwrap().remove(0);
        }
        if errors.is_empty() != expected.is_empty() {
            let _ = writeln!(wrong, "{text}terraform: {errors:?}\nhere: {expected}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
