//! Modules that tests have in the place of a stack: their providers, and where the values of their variables come from.

use crate::plugins::{run, with_toy};
use crate::stack_tests::{check, project};

#[test]
fn a_module_in_the_place_of_a_stack_has_providers_of_its_own() {
    let stack = "resource \"terraform_data\" \"a\" { input = 1 }\n";
    let Some(project) = with_toy("tests-own-provider", &["1.0.0"], stack) else { return };
    project.write(
        "h/main.tf",
        "resource \"toy_thing\" \"t\" { name = \"t\" }\noutput \"id\" { value = toy_thing.t.id }\n",
    );
    project.write(
        "tests/a.tftest.hcl",
        r#"
mock_provider "toy" {
  mock_resource "toy_thing" {
    defaults = { id = "mocked" }
  }
}
run "h" {
  module { source = "./h" }
  assert {
    condition     = output.id == "mocked"
    error_message = "wrong"
  }
}
"#,
    );
    let ran = run(&project, &["test"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    // A plan asks nothing of a provider that only a test needs.
    project.write(".terraform.lock.hcl", "");
    let ran = run(&project, &["plan"]);
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn what_is_imported_may_be_overridden() {
    let stack = r#"
resource "toy_thing" "t" { name = "t" }
import {
  to = toy_thing.t
  id = "real"
}
output "id" { value = toy_thing.t.id }
"#;
    let Some(project) = with_toy("tests-import", &["1.0.0"], stack) else { return };
    let overrides = "override_resource {\n  target = toy_thing.t\n  values = { id = \"given\", name = \"t\" }\n}\n";
    let test = r#"
mock_provider "toy" {}
run "plans" {
  command = plan
  assert {
    condition     = output.id == "given"
    error_message = "it is ${output.id}"
  }
}
run "imports" {
  assert {
    condition     = output.id == "given"
    error_message = "it is ${output.id}"
  }
}
"#;
    project.write("tests/a.tftest.hcl", &format!("{overrides}{test}"));
    let ran = run(&project, &["test"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    project.write("tests/a.tftest.hcl", test);
    let ran = run(&project, &["test"]);
    assert!(ran.code == Some(1) && ran.err.contains("a mocked provider cannot do that"), "{ran}");
}

const VALUES: &str = r#"
== main.tf
variable "n" { default = "own" }
output "n" { value = var.n }
== h/main.tf
variable "pre" {}
output "pre" { value = var.pre }
"#;

const RUNS: &str = r#"
run "stack" {
  assert {
    condition     = output.n == "beside"
    error_message = "n is ${output.n}"
  }
}
run "module" {
  module { source = "./h" }
  assert {
    condition     = output.pre == "p"
    error_message = "pre is ${output.pre}"
  }
}
run "reads" {
  variables { n = "<${var.pre}>" }
  assert {
    condition     = output.n == "<p>"
    error_message = "n is ${output.n}"
  }
}
"#;

#[test]
fn files_of_values_beside_tests_count_for_those() {
    let own = RUNS.replace("\"beside\"", "\"own\"").split("run \"module\"").next().unwrap_or_default().to_owned();
    check(
        "tests-values",
        &format!(
            "{VALUES}\n== own.tftest.hcl\n{own}\n== tests/terraform.tfvars\nn = \"weaker\"\npre = \"p\"\n\
             == tests/a.auto.tfvars\nn = \"beside\"\n== tests/a.tftest.hcl\n{RUNS}"
        ),
        "own.tftest.hcl stack: pass
         tests/a.tftest.hcl stack: pass
         tests/a.tftest.hcl module: pass
         tests/a.tftest.hcl reads: pass",
    );
}

#[test]
fn variables_of_modules_in_the_place_of_a_stack_take_values_from_outside() {
    let text = format!("{VALUES}\n== tests/terraform.tfvars\nn = \"beside\"\n== tests/a.tftest.hcl\n{RUNS}");
    let project = project("tests-outside", &text);
    project.ok(&["test", "-var", "pre=p"]);
    project.write("p.tfvars", "pre = \"p\"\n");
    let ran = project.ok(&["test", "-var-file=p.tfvars"]);
    assert_eq!(ran.err, "", "{ran}");
    let output = project.command(&["test"]).env("TF_VAR_pre", "p").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (words, why) in [
        (["test", "-var", "prefix=p"], "no stack has a variable"),
        // Nothing but a test has such a variable.
        (["plan", "-var", "pre=p"], "no stack has a variable"),
    ] {
        let ran = project.exits(1, &words);
        assert!(ran.err.contains(why), "{ran}");
    }
}
