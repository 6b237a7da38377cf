//! What `test` says of its runs: as data, and where something is wrong beside the runs.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::stack_tests::{asked, project};

/// What a run may come to, and what is left at the end.
const RUNS: &str = r#"
== main.tf
variable "n" { default = 1 }
resource "terraform_data" "a" { input = var.n }
output "n" { value = terraform_data.a.output }
== h/main.tf
variable "must" {}
resource "terraform_data" "h" { input = 1 }
== tests/a.tftest.hcl
run "holds" {}
run "module" {
  module { source = "./h" }
  variables { must = 1 }
}
run "breaks" {
  assert {
    condition     = output.n == 2
    error_message = "no two"
  }
}
run "cannot" {
  module { source = "./h" }
}
run "after" {}
== tests/b.tftest.hcl
run "fine" { command = plan }
"#;

/// Lines by what a program would go by, each with the names of its members.
fn lines(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    lines
        .map(|line| {
            let kind = line["type"].as_str().unwrap_or_default().to_owned();
            let of = |name: &str| line[&kind][name].as_str().unwrap_or_default().to_owned();
            let words = [of("path"), of("run"), of("progress"), of("status"), of("severity")];
            let level = line["@level"].as_str().unwrap_or_default();
            let members = |json: &Json| json.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
            let mut names: BTreeSet<String> = members(&line);
            let inner: Vec<String> = members(&line[&kind]).into_iter().collect();
            names.extend(inner);
            (format!("{level} {kind} {}", words.join(" ")), names)
        })
        .collect()
}

#[test]
fn lines_of_json_have_all_that_terraforms_have() {
    let broken = "\n== main.tf\noutput \"a\" { value = 1 }\n== tests/a.tftest.hcl\nrun \"x\" {\n";
    for (name, text) in [("tests-lines", RUNS), ("tests-lines-broken", broken)] {
        let project = project(name, text);
        let ran = project.exits(1, &["test", "-json"]);
        let ours = lines(&ran.out);
        assert!(ours.len() > 1 && ours.iter().all(|(_, names)| names.contains("@timestamp")), "{ran}");
        let Some(theirs) = asked(&project) else {
            println!("skipped: no terraform to compare with; set ANDON_TERRAFORM");
            return;
        };
        let theirs = lines(&theirs);
        let kinds =
            |lines: &[(String, BTreeSet<String>)]| lines.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds(&ours), kinds(&theirs), "{ran}");
        for ((kind, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            let lacking: Vec<_> = theirs.difference(ours).collect();
            assert!(lacking.is_empty(), "{kind} lacks {lacking:?}");
        }
    }
}

#[test]
fn what_cannot_be_deleted_is_no_failed_run() {
    let project = project(
        "tests-left",
        r#"
== main.tf
resource "terraform_data" "a" {
  lifecycle { prevent_destroy = true }
}
== a.tftest.hcl
run "holds" {}
"#,
    );
    let ran = project.exits(1, &["test"]);
    assert!(ran.out.contains("1 passed, 0 failed, 1 not cleaned up"), "{ran}");
    assert!(ran.err.contains("terraform_data.a (run \"holds\")"), "{ran}");
}

#[test]
fn results_that_cannot_be_written_are_found_before_any_run() {
    let project = project("tests-nowhere", RUNS);
    let ran = project.exits(1, &["test", "-junit-xml=none/out.xml"]);
    assert!(ran.out.is_empty() && ran.err.contains("none/out.xml"), "{ran}");
}

#[test]
fn values_that_do_not_fit_are_shown_where_they_are_given() {
    let mock =
        "mock_provider \"terraform\" {\n  mock_resource \"terraform_data\" {\n    defaults = { id = [] }\n  }\n}\n";
    let over = "override_resource {\n  target = terraform_data.a\n  values = { id = [] }\n}\n";
    for (name, given, place) in
        [("tests-unfit-mock", mock, "a.tftest.hcl:3:16"), ("tests-unfit-override", over, "a.tftest.hcl:3:12")]
    {
        let text =
            format!("\n== main.tf\nresource \"terraform_data\" \"a\" {{}}\n== a.tftest.hcl\n{given}run \"a\" {{}}\n");
        let ran = project(name, &text).exits(1, &["test"]);
        assert!(ran.err.contains(place), "{ran}");
    }
}
