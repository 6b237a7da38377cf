//! Tests of stacks: each case is a small project with `*.tftest.hcl` files, of which it is known how every run ends. The
//! real `terraform test` has to agree where it is at hand.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::Value as Json;

use crate::support::Project;

/// Files by path: `== PATH` and then the text.
fn files(text: &str) -> Vec<(String, String)> {
    let parts = text.split("\n== ").skip(1);
    parts.map(|part| part.split_once('\n').unwrap()).map(|(path, text)| (path.trim().into(), text.into())).collect()
}

pub fn project(name: &str, text: &str) -> Project {
    let project = Project::empty(name);
    for (path, text) in files(text) {
        project.write(&path, &text);
    }
    project
}

/// How each run of each file ended, from lines of JSON in the shape that both programs give.
fn ended(lines: &str) -> BTreeMap<String, String> {
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let runs = lines.filter(|line| line["type"] == "test_run" && line["test_run"]["progress"] == "complete");
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    runs.map(|line| {
        let run = &line["test_run"];
        (format!("{} {}", text(&run["path"]), text(&run["run"])), text(&run["status"]))
    })
    .collect()
}

/// The lines of JSON that terraform has for the same files; `None` where there is no terraform.
pub fn asked(project: &Project) -> Option<String> {
    let program = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    let terraform = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).current_dir(&project.directory).stdin(Stdio::null());
        command.env("TF_CLI_CONFIG_FILE", "/dev/null").env("CHECKPOINT_DISABLE", "1").output().ok()
    };
    terraform(&["init", "-input=false"])?;
    let output = terraform(&["test", "-json"])?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The project and how its runs end: `FILE RUN: STATUS` lines.
#[track_caller]
pub fn check(name: &str, text: &str, expected: &str) {
    let project = project(name, text);
    let ran = project.andon(&["test", "--json"]);
    let expected: BTreeMap<String, String> =
        expected.lines().filter_map(|line| line.trim().split_once(": ")).map(|(a, b)| (a.into(), b.into())).collect();
    assert_eq!(ended(&ran.out), expected, "{ran}");
    let fails = expected.values().any(|status| status == "fail" || status == "error");
    assert_eq!(ran.code, Some(i32::from(fails)), "{ran}");
    assert!(!project.directory.join(".andon/ledger.db").exists(), "a test leaves a ledger");
    match asked(&project).map(|lines| ended(&lines)) {
        Some(theirs) => assert_eq!(theirs, expected, "terraform says otherwise"),
        None => println!("skipped: no terraform to compare with; set ANDON_TERRAFORM"),
    }
}

const WEB: &str = r#"
== main.tf
variable "n" {
  type    = number
  default = 1
  validation {
    condition     = var.n < 10
    error_message = "too big"
  }
}
variable "names" {
  type    = set(string)
  default = ["a", "b"]
}
locals {
  label = "v${var.n}"
}
resource "terraform_data" "a" {
  input = local.label
  lifecycle {
    precondition {
      condition     = var.n != 6
      error_message = "no six"
    }
    postcondition {
      condition     = self.input != "v7"
      error_message = "no seven"
    }
  }
}
resource "terraform_data" "each" {
  for_each = var.names
  input    = each.key
}
module "inner" {
  source = "./inner"
  x      = terraform_data.a.output
}
output "label" {
  value = terraform_data.a.output
  precondition {
    condition     = var.n != 4
    error_message = "no four"
  }
}
output "id" { value = terraform_data.a.id }
output "inner" { value = module.inner.y }
== inner/main.tf
variable "x" {}
resource "terraform_data" "in" { input = var.x }
output "y" { value = terraform_data.in.input == null ? "none" : "<${terraform_data.in.input}>" }
output "z" { value = 1 }
"#;

#[test]
fn runs_plan_and_apply_and_their_conditions_are_judged() {
    check(
        "tests-basic",
        &format!(
            r#"{WEB}
== tests/a.tftest.hcl
variables {{ n = 2 }}
run "planned" {{
  command = plan
  assert {{
    condition     = terraform_data.a.input == "v2" && local.label == "v2" && var.n == 2
    error_message = "wrong"
  }}
}}
run "applied" {{
  assert {{
    condition     = output.label == "v2" && output.inner == "<v2>" && module.inner.z == 1
    error_message = "wrong"
  }}
  assert {{
    condition     = length(terraform_data.each) == 2 && terraform_data.each["a"].output == "a"
    error_message = "wrong"
  }}
}}
run "changed" {{
  variables {{
    n     = length(run.applied.id) - 31
    names = ["c"]
  }}
  assert {{
    condition     = output.label == "v5" && output.id == run.applied.id && keys(terraform_data.each) == ["c"]
    error_message = "state is kept between runs"
  }}
}}
run "broken" {{
  assert {{
    condition     = output.label == "v3"
    error_message = "it is ${{output.label}}"
  }}
}}
run "goes_on" {{
  assert {{
    condition     = output.label == "v2"
    error_message = "after a failure the next run is made"
  }}
}}
run "unknown" {{
  command = plan
  variables {{ n = 3 }}
  assert {{
    condition     = output.label == "v3"
    error_message = "it is not known"
  }}
}}
run "skipped" {{}}
== tests/b.tftest.hcl
run "other_file" {{
  assert {{
    condition     = output.label == "v1"
    error_message = "the variables of a file are its own"
  }}
}}
"#
        ),
        "tests/a.tftest.hcl planned: pass
         tests/a.tftest.hcl applied: pass
         tests/a.tftest.hcl changed: pass
         tests/a.tftest.hcl broken: fail
         tests/a.tftest.hcl goes_on: pass
         tests/a.tftest.hcl unknown: error
         tests/a.tftest.hcl skipped: skip
         tests/b.tftest.hcl other_file: pass",
    );
}

#[test]
fn what_is_expected_to_fail_has_to() {
    check(
        "tests-expected",
        &format!(
            r#"{WEB}
== variables.tftest.hcl
run "refused" {{
  command = plan
  variables {{ n = 20 }}
  expect_failures = [var.n]
}}
run "six" {{
  command = plan
  variables {{ n = 6 }}
  expect_failures = [terraform_data.a]
}}
run "four" {{
  command = plan
  variables {{ n = 4 }}
  expect_failures = [output.label]
}}
run "missed" {{
  command = plan
  expect_failures = [var.n]
}}
run "skipped" {{}}
== tests/apply.tftest.hcl
run "too_early" {{
  variables {{ n = 20 }}
  expect_failures = [var.n]
}}
== tests/seven.tftest.hcl
run "other" {{
  command = plan
  variables {{ n = 20 }}
  expect_failures = [output.label]
}}
"#
        ),
        "variables.tftest.hcl refused: pass
         variables.tftest.hcl six: pass
         variables.tftest.hcl four: pass
         variables.tftest.hcl missed: error
         variables.tftest.hcl skipped: skip
         tests/apply.tftest.hcl too_early: error
         tests/seven.tftest.hcl other: error",
    );
}

#[test]
fn mocks_and_overrides_take_the_place_of_the_world() {
    check(
        "tests-mocks",
        &format!(
            r#"{WEB}
== tests/mock.tftest.hcl
mock_provider "terraform" {{
  mock_resource "terraform_data" {{
    defaults = {{ id = "mocked" }}
  }}
  override_resource {{
    target = terraform_data.each["b"]
    values = {{ id = "single" }}
  }}
}}
run "mocked" {{
  assert {{
    condition     = output.id == "mocked" && terraform_data.a.output == null
    error_message = "wrong"
  }}
  assert {{
    condition     = terraform_data.each["a"].id == "mocked" && terraform_data.each["b"].id == "single"
    error_message = "wrong"
  }}
}}
run "overridden" {{
  state_key = "own"
  override_resource {{
    target = terraform_data.a
    values = {{ id = "of the run" }}
  }}
  override_module {{
    target  = module.inner
    outputs = {{ y = "over" }}
  }}
  assert {{
    condition     = output.id == "of the run" && output.inner == "over" && module.inner.z == null
    error_message = "wrong"
  }}
}}
== tests/during.tftest.hcl
override_resource {{
  target          = terraform_data.a
  override_during = plan
  values          = {{ id = "early" }}
}}
override_resource {{
  target = module.inner.terraform_data.in
  values = {{ id = "inner" }}
}}
run "early" {{
  command = plan
  assert {{
    condition     = output.id == "early"
    error_message = "wrong"
  }}
}}
run "real_beside" {{
  assert {{
    condition     = terraform_data.each["a"].output == "a"
    error_message = "wrong"
  }}
}}
== tests/made_up.tftest.hcl
mock_provider "terraform" {{}}
run "made_up" {{
  assert {{
    condition     = length(output.id) == 8
    error_message = "wrong"
  }}
}}
"#
        ),
        "tests/mock.tftest.hcl mocked: pass
         tests/mock.tftest.hcl overridden: pass
         tests/during.tftest.hcl early: pass
         tests/during.tftest.hcl real_beside: pass
         tests/made_up.tftest.hcl made_up: pass",
    );
}

#[test]
fn a_module_may_take_the_place_of_the_stack() {
    check(
        "tests-module",
        &format!(
            r#"{WEB}
== tests/setup/main.tf
variable "n" {{ default = 3 }}
resource "terraform_data" "made" {{ input = var.n + 1 }}
output "n" {{ value = terraform_data.made.output }}
== tests/a.tftest.hcl
run "setup" {{
  module {{
    source = "./tests/setup"
  }}
  assert {{
    condition     = output.n == 4 && terraform_data.made.input == 4
    error_message = "wrong"
  }}
}}
run "uses" {{
  variables {{
    n = run.setup.n
  }}
  command = plan
  assert {{
    condition     = var.n == 4 && run.setup.n == 4
    error_message = "wrong"
  }}
  expect_failures = [output.label]
}}
run "again" {{
  variables {{ n = run.setup.n + 1 }}
  assert {{
    condition     = output.label == "v5" && run.setup.n == 4
    error_message = "wrong"
  }}
}}
== tests/json.tftest.json
{{
  "variables": {{ "n": 3 }},
  "run": {{
    "json": {{
      "command": "plan",
      "assert": [{{ "condition": "${{var.n == 3}}", "error_message": "wrong" }}]
    }}
  }}
}}
"#
        ),
        "tests/a.tftest.hcl setup: pass
         tests/a.tftest.hcl uses: pass
         tests/a.tftest.hcl again: pass
         tests/json.tftest.json json: pass",
    );
}

#[test]
fn plans_may_be_held_to_a_part_and_replace() {
    check(
        "tests-options",
        &format!(
            r#"{WEB}
== tests/a.tftest.hcl
run "part" {{
  plan_options {{
    target = [terraform_data.a]
  }}
  assert {{
    condition     = terraform_data.a.output == "v1"
    error_message = "wrong"
  }}
}}
run "whole" {{
  assert {{
    condition     = terraform_data.a.id == run.part.id && length(terraform_data.each) == 2
    error_message = "wrong"
  }}
}}
run "replaced" {{
  plan_options {{
    replace = [terraform_data.a]
  }}
  assert {{
    condition     = output.id != run.whole.id
    error_message = "wrong"
  }}
}}
run "looked" {{
  command = plan
  plan_options {{
    mode = refresh-only
  }}
  assert {{
    condition     = terraform_data.a.output == "v1"
    error_message = "wrong"
  }}
}}
"#
        ),
        "tests/a.tftest.hcl part: pass
         tests/a.tftest.hcl whole: pass
         tests/a.tftest.hcl replaced: pass
         tests/a.tftest.hcl looked: pass",
    );
}

/// Times are not the same twice.
fn timeless(text: &str) -> String {
    let text = Regex::new(r"\((\d+ ms|[\d.]+ ?s)\)").unwrap().replace_all(text, "(TIME)").into_owned();
    let text = Regex::new(r#"time="[\d.]+""#).unwrap().replace_all(&text, "time=\"TIME\"").into_owned();
    Regex::new(r#"timestamp="[^"]+""#).unwrap().replace_all(&text, "timestamp=\"WHEN\"").into_owned()
}

const SMALL: &str = r#"
== main.tf
variable "n" { default = 1 }
resource "terraform_data" "a" { input = "v${var.n}" }
output "label" { value = terraform_data.a.output }
== tests/a.tftest.hcl
run "holds" {
  assert {
    condition     = output.label == "v1"
    error_message = "wrong"
  }
}
run "breaks" {
  assert {
    condition     = output.label == "v2"
    error_message = "the label is ${output.label}"
  }
}
run "cannot" {
  variables { n = run.later.n }
}
run "later" {}
== tests/b.tftest.hcl
run "fine" {}
"#;

#[test]
fn the_terminal_shows_runs_and_what_was_wrong() {
    let project = project("tests-terminal", SMALL);
    let ran = project.exits(1, &["test"]);
    insta::assert_snapshot!("stack_tests_terminal", timeless(&format!("{}--\n{}", ran.out, ran.err)));
    let ran = project.ok(&["test", "-filter=tests/b.tftest.hcl", "-verbose"]);
    assert!(ran.out.contains("terraform_data.a") && ran.out.contains("1 passed, 0 failed"), "{ran}");
    project.exits(1, &["test", "-filter=tests/none.tftest.hcl"]);
}

#[test]
fn results_are_junit_xml_too() {
    let project = project("tests-junit", SMALL);
    project.exits(1, &["test", "-junit-xml=out.xml"]);
    let text = std::fs::read_to_string(project.directory.join("out.xml")).unwrap();
    insta::assert_snapshot!("stack_tests_junit", timeless(&text));
}

#[test]
fn values_come_from_the_command_line_and_tests_from_elsewhere() {
    let project = project(
        "tests-elsewhere",
        r#"
== main.tf
variable "n" { type = number }
output "n" { value = var.n }
== checks/a.tftest.hcl
run "given" {
  assert {
    condition     = output.n == 5
    error_message = "wrong"
  }
}
"#,
    );
    project.exits(1, &["test"]);
    project.ok(&["test", "-test-directory=checks", "-var", "n=5"]);
    project.exits(1, &["test", "-test-directory=checks", "-var", "n=4"]);
    project.exits(1, &["test", "-test-directory=checks"]);
}

#[test]
fn each_file_belongs_to_a_stack() {
    let project = project(
        "tests-stacks",
        r#"
== andon.hcl
project "p" {}
== stacks/net/main.tf
output "o" { value = "net" }
== stacks/web/main.tf
output "o" { value = "web" }
== stacks/web/tests/a.tftest.hcl
run "in_stack" {
  assert {
    condition     = output.o == "web"
    error_message = "wrong"
  }
}
== tests/net.tftest.hcl
run "by_name" {
  assert {
    condition     = output.o == "net"
    error_message = "wrong"
  }
}
== tests/web_more.tftest.hcl
run "by_beginning" {
  assert {
    condition     = output.o == "web"
    error_message = "wrong"
  }
}
"#,
    );
    let ran = project.ok(&["test"]);
    assert!(ran.out.contains("3 passed, 0 failed"), "{ran}");
    project.write("tests/other.tftest.hcl", "run \"a\" {}\n");
    let ran = project.exits(1, &["test"]);
    assert!(ran.err.contains("which stack"), "{ran}");
}

#[test]
fn what_another_stack_published_may_be_overridden() {
    let project = project(
        "tests-published",
        r#"
== andon.hcl
project "p" {}
== stacks/net/main.tf
output "o" { value = "net" }
== stacks/web/main.tf
data "andon_stack" "net" { name = "net" }
output "o" { value = data.andon_stack.net.outputs.o }
== tests/web.tftest.hcl
run "over" {
  override_data {
    target = data.andon_stack.net
    values = { outputs = { o = "overridden" } }
  }
  assert {
    condition     = output.o == "overridden"
    error_message = "it is ${output.o}"
  }
}
"#,
    );
    project.ok(&["test"]);
}

#[test]
fn runs_may_be_made_side_by_side() {
    let runs: String = (0..20)
        .map(|n| {
            format!(
                "run \"r{n}\" {{\n  state_key = \"{n}\"\n  variables {{ n = {n} }}\n  assert {{\n    \
                 condition     = output.label == \"v{n}\"\n    error_message = \"wrong\"\n  }}\n}}\n"
            )
        })
        .collect();
    let project = project("tests-parallel", SMALL);
    project.write("tests/p.tftest.hcl", &format!("test {{ parallel = true }}\n{runs}"));
    let ran = project.ok(&["test", "-filter=tests/p.tftest.hcl"]);
    assert!(ran.out.contains("20 passed, 0 failed"), "{ran}");
    let order: Vec<&str> = ran.out.lines().filter_map(|line| line.trim().strip_prefix("ok   ")).collect();
    assert!(order.iter().enumerate().all(|(at, line)| line.starts_with(&format!("r{at} "))), "{ran}");
}

#[test]
fn ctrl_c_ends_the_runs_and_leaves_nothing() {
    use std::io::{BufRead, BufReader, Read};
    let project = project("tests-stopped", SMALL);
    let runs: String = (0..3000).map(|n| format!("run \"r{n}\" {{}}\n")).collect();
    project.write("tests/many.tftest.hcl", &runs);
    let mut command = project.command(&["test", "-filter=tests/many.tftest.hcl"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    while !first.contains("r0 ") {
        assert!(out.read_line(&mut first).unwrap() > 0, "{first}");
    }
    // SAFETY: the process is ours, and not waited for yet.
    unsafe { libc::kill(i32::try_from(child.id()).unwrap(), libc::SIGINT) };
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    assert!(rest.contains("  skip r2999"), "the last run is not made any more");
    assert!(said.contains("Stopped."), "{said}");
    assert!(!project.directory.join(".andon").exists());
}

/// What the real AWS plugin offers is mocked whole: it is not started for any run.
#[test]
fn a_plugin_is_mocked_by_its_schemas() {
    passes_mocked(
        "tests-aws",
        3,
        r#"
== main.tf
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" { region = "eu-west-1" }
variable "name" { default = "bucket" }
data "aws_caller_identity" "me" {}
data "aws_iam_policy_document" "p" {
  statement {
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.b.arn]
  }
}
resource "aws_s3_bucket" "b" {
  bucket = "${var.name}-${data.aws_caller_identity.me.account_id}"
  tags   = { a = "b" }
}
resource "aws_s3_bucket_policy" "p" {
  bucket = aws_s3_bucket.b.id
  policy = data.aws_iam_policy_document.p.json
}
resource "aws_instance" "i" {
  count         = 2
  ami           = "x"
  instance_type = "t3.micro"
  root_block_device { volume_size = 10 }
}
output "arn" { value = aws_s3_bucket.b.arn }
output "ids" { value = aws_instance.i[*].id }
output "bucket" { value = aws_s3_bucket.b.bucket }
== tests/a.tftest.hcl
mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "1234" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::x" }
  }
}
run "planned" {
  command = plan
  assert {
    condition     = aws_s3_bucket.b.bucket == "bucket-1234"
    error_message = "wrong"
  }
}
run "applied" {
  assert {
    condition     = output.arn == "arn:aws:s3:::x" && output.ids[0] != output.ids[1]
    error_message = "wrong"
  }
  assert {
    condition     = length(aws_instance.i[0].root_block_device[0].volume_id) == 8
    error_message = "wrong"
  }
  assert {
    condition     = aws_s3_bucket_policy.p.policy == "{}"
    error_message = "wrong"
  }
}
run "changed" {
  variables { name = "other" }
  assert {
    condition     = output.bucket == "other-1234" && output.arn == run.applied.arn
    error_message = "wrong"
  }
}
"#,
    );
}

#[test]
fn configurations_of_one_provider_are_mocked_apart() {
    passes_mocked(
        "tests-aliases",
        2,
        r#"
== main.tf
terraform {
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      configuration_aliases = [aws.west]
    }
  }
}
resource "aws_sqs_queue" "q" { name = "q" }
resource "aws_sqs_queue" "w" {
  provider = aws.west
  name     = "w"
}
module "m" {
  source    = "./m"
  providers = { aws = aws.west }
}
output "u" { value = [aws_sqs_queue.q.url, aws_sqs_queue.w.url, module.m.u] }
== m/main.tf
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
resource "aws_sqs_queue" "in" { name = "in" }
output "u" { value = aws_sqs_queue.in.url }
== mocks/a.tfmock.hcl
mock_resource "aws_sqs_queue" {
  defaults = { url = "west" }
}
== tests/a.tftest.hcl
mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = { url = "main" }
  }
}
mock_provider "aws" {
  alias           = "west"
  source          = "./mocks"
  override_during = plan
}
run "both" {
  assert {
    condition     = jsonencode(output.u) == jsonencode(["main", "west", "west"])
    error_message = jsonencode(output.u)
  }
}
run "mapped" {
  providers = {
    aws      = aws.west
    aws.west = aws.west
  }
  state_key = "other"
  command   = plan
  assert {
    condition     = jsonencode(output.u) == jsonencode(["west", "west", "west"])
    error_message = jsonencode(output.u)
  }
}
"#,
    );
}

/// Installs the plugins of a project from the mirror; then all of so many runs pass.
fn passes_mocked(name: &str, runs: usize, text: &str) {
    let Some(mirror) = std::env::var_os("ANDON_PLUGIN_MIRROR") else {
        println!("skipped: no mirror has the AWS plugin; name one in ANDON_PLUGIN_MIRROR");
        return;
    };
    let project = project(name, text);
    let mirror = std::path::Path::new(&mirror).display();
    project
        .write("rc", &format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n"));
    let run = |words: &[&str]| {
        let mut command = project.command(words);
        command.env("TF_CLI_CONFIG_FILE", project.directory.join("rc"));
        command.env("XDG_CACHE_HOME", project.directory.join("cache")).output().unwrap()
    };
    let output = run(&["init"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = run(&["test"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(&format!("{runs} passed, 0 failed")), "{said}");
}
