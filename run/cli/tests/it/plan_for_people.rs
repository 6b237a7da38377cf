//! The plan as people approve it, whole terminals: what there is to say in the situations that a plan meets, at three
//! widths. What only a provider brings about (drift, and why it matters) is told in the tests of the view.

use crate::support::Project;

/// Runs a plan in a terminal of so many columns: what it says, without what differs from run to run.
fn planned(project: &Project, words: &[&str], columns: Option<&str>) -> String {
    let mut command = project.command(words);
    command.env_remove("COLUMNS");
    if let Some(columns) = columns {
        command.env("COLUMNS", columns);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    if let Some(columns) = columns {
        let most: usize = columns.parse().unwrap();
        for line in text.lines() {
            assert!(unicode_width::UnicodeWidthStr::width(line) <= most, "{line:?}");
        }
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    // A name that no other has is shown as zeros, wherever its line was broken.
    regex::Regex::new(r"(?:[0-9a-f]\s*){8}-\s*(?:(?:[0-9a-f]\s*){4}-\s*){3}(?:[0-9a-f]\s*){11}[0-9a-f]")
        .unwrap()
        .replace_all(&text, |name: &regex::Captures<'_>| name[0].replace(|it: char| it.is_ascii_hexdigit(), "0"))
        .into_owned()
}

fn project(name: &str, definitions: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", definitions);
    project
}

const MODULE: &str = r#"
variable "name" {}
resource "terraform_data" "in" {
  count = 3
  input = "${var.name}-${count.index}"
}
"#;

/// A thousand instances, a module, keys that mean ill, long and wide texts, secrets.
const FIRST: &str = r#"
resource "terraform_data" "web" {
  count = 1000
  input = "web-${count.index}"
}
resource "terraform_data" "each" {
  for_each = { a = 1, b = 2, "c\u001b[2J" = 3 }
  input    = { name = each.key, conf = jsonencode({ a = [1, each.value], who = "all" }) }
}
module "m" {
  source   = "./m"
  for_each = toset(["x", "y"])
  name     = each.key
}
resource "terraform_data" "solo" {
  input            = "one\ntwo\nthree\n"
  triggers_replace = ["a"]
}
resource "terraform_data" "wide" {
  input = "漢字と絵文字 👩‍👩‍👧‍👦 e\u0301 ${join("", [for i in range(30) : "long-text-${i}"])}"
}
variable "password" {
  default   = "hunter2"
  sensitive = true
}
resource "terraform_data" "secret" { input = { user = "u", pass = var.password } }
output "first" { value = terraform_data.web[0].output }
"#;

const SECOND: &str = r#"
resource "terraform_data" "web" {
  count = 997
  input = count.index == 17 ? "odd one" : "new-${count.index}"
}
resource "terraform_data" "each" {
  for_each = { a = 1, b = 7 }
  input    = { name = each.key, conf = jsonencode({ a = [1, each.value, 3], who = "all" }) }
}
module "m" {
  source   = "./m"
  for_each = toset(["x"])
  name     = each.key
}
resource "terraform_data" "solo" {
  input            = "one\ntwo changed\nthree\n"
  triggers_replace = ["b"]
}
resource "terraform_data" "wide" {
  input = "漢字と絵文字 👩‍👩‍👧‍👦 e\u0301 ${join("", [for i in range(30) : i == 20 ? "other" : "long-text-${i}"])}"
}
variable "password" {
  default   = "hunter3"
  sensitive = true
}
resource "terraform_data" "secret" { input = { user = "u2", pass = var.password } }
resource "terraform_data" "follow" { input = terraform_data.solo.id }
output "first" { value = terraform_data.web[0].output }
"#;

#[test]
fn what_is_alike_is_said_once_at_every_width() {
    let project = project("plan-alike", FIRST);
    project.write("m/main.tf", MODULE);
    for columns in ["40", "80", "160"] {
        insta::assert_snapshot!(format!("first_{columns}"), planned(&project, &["plan"], Some(columns)));
    }
    project.ok(&["apply", "-y"]);
    insta::assert_snapshot!("nothing", planned(&project, &["plan"], None));
    project.write("main.tf", SECOND);
    for columns in ["40", "80", "160"] {
        insta::assert_snapshot!(format!("second_{columns}"), planned(&project, &["plan"], Some(columns)));
    }
    for words in [["plan", "--full"], ["plan", "-full"]] {
        let full = planned(&project, &words, None);
        assert!(full.lines().count() > 3_000, "{}", full.lines().count());
        assert!(full.contains("~ update terraform_data.web[500]\n"), "{full}");
    }
    insta::assert_snapshot!("all_goes", planned(&project, &["plan", "-destroy"], None));
    for words in [&["plan"][..], &["plan", "--full"], &["plan", "-destroy"], &["plan", "-destroy", "-full"]] {
        assert!(!planned(&project, words, None).contains("hunter"));
    }
}

const BEFORE: &str = r#"
resource "terraform_data" "a" { input = "a" }
resource "terraform_data" "old" { input = 1 }
resource "terraform_data" "gone" {
  for_each = toset(["k1", "k2"])
  input    = each.key
}
resource "terraform_data" "kept" { input = "kept" }
resource "terraform_data" "ignored" {
  count = 3
  input = "t"
}
resource "terraform_data" "repeated" { count = 2 }
resource "terraform_data" "nested" {
  count = 2
  input = { list = [1, 2, 3], set = toset(["a", "b"]), map = { a = "x", b = "y" } }
}
resource "terraform_data" "trigger" { input = 1 }
resource "terraform_data" "triggered" {
  lifecycle { create_before_destroy = true }
}
output "o" { value = terraform_data.nested[0].input }
output "s" {
  value     = "top"
  sensitive = true
}
"#;

const AFTER: &str = r#"
resource "terraform_data" "a" { input = "a" }
moved {
  from = terraform_data.old
  to   = terraform_data.new
}
moved {
  from = terraform_data.gone["k1"]
  to   = terraform_data.nowhere["k1"]
}
removed {
  from = terraform_data.kept
  lifecycle { destroy = false }
}
resource "terraform_data" "new" { input = 1 }
resource "terraform_data" "ignored" {
  count = 3
  input = "changed"
  lifecycle { ignore_changes = [input] }
}
resource "terraform_data" "repeated" {
  for_each = toset(["x"])
}
resource "terraform_data" "nested" {
  count = 2
  input = { list = [1, 3], set = toset(["a", "c"]), map = { a = "x2", c = "z" } }
}
resource "terraform_data" "trigger" { input = 2 }
resource "terraform_data" "triggered" {
  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.trigger]
  }
}
resource "terraform_data" "made" {}
resource "terraform_data" "later" {
  for_each = { for id in [terraform_data.made.id] : id => id }
}
resource "terraform_data" "needs" { input = [for x in terraform_data.later : x.id] }
import {
  to = terraform_data.imported
  id = "some-id"
}
resource "terraform_data" "imported" {}
data "terraform_remote_state" "unknown" {
  backend = "local"
  config  = { path = "/tmp/${terraform_data.made.id}" }
}
data "terraform_remote_state" "waits" {
  backend    = "local"
  config     = { path = "/tmp/x" }
  depends_on = [terraform_data.made]
}
output "o" { value = terraform_data.nested[0].input }
output "s" {
  value     = "top2"
  sensitive = true
}
"#;

#[test]
fn every_reason_is_said() {
    let project = project("plan-reasons", BEFORE);
    project.ok(&["apply", "-y"]);
    project.ok(&["taint", "terraform_data.a"]);
    project.write("main.tf", AFTER);
    let words = ["plan", "-replace", "terraform_data.new"];
    for columns in ["40", "80", "160"] {
        insta::assert_snapshot!(format!("reasons_{columns}"), planned(&project, &words, Some(columns)));
    }
}

#[test]
fn an_apply_says_what_it_did_and_what_it_did_not() {
    let project = project(
        "plan-ended",
        r#"
resource "terraform_data" "fine" {
  count = 2
  provisioner "local-exec" { command = "printf 'out\\033[2J\\n'" }
}
resource "terraform_data" "fails" {
  provisioner "local-exec" { command = "exit 3" }
}
resource "terraform_data" "needs" {
  count = 3
  input = terraform_data.fails.id
}
"#,
    );
    let ran = project.exits(1, &["apply", "-y"]);
    let said: Vec<&str> = ran.err.lines().collect();
    let at = |part: &str| said.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {ran}"));
    for number in 0..2 {
        let made = at(&format!("made terraform_data.fine[{number}]"));
        let provisioned = at(&format!("terraform_data.fine[{number}]: local-exec: out\\u001b[2J"));
        let created = at(&format!("✓ created terraform_data.fine[{number}]"));
        assert!(made < provisioned && provisioned < created, "{ran}");
    }
    at("✗ creating terraform_data.fails failed");
    assert!(!ran.err.contains("✓ created terraform_data.fails"), "{ran}");
    at("not done: create terraform_data.needs[0..2] (3 instances): it needs terraform_data.fails");
    at(": 2 done, 1 failed, 3 not done. Run it again to go on from here.");

    let ran = project.exits(1, &["apply", "-y", "--json"]);
    let events: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = events.last().unwrap();
    assert!(result["elapsed_ms"].is_number() && result["status"] == "failed", "{result}");
    assert!(events.iter().any(|event| event["type"] == "failed" && event["address"] == "terraform_data.fails"));
    assert!(events.iter().any(|event| event["type"] == "outcome" && event["elapsed_ms"].is_number()), "{ran}");

    project.edit("main.tf", "exit 3", "true");
    let ran = project.ok(&["apply", "-y"]);
    let last = ran.err.lines().find(|line| line.starts_with("Done: ")).unwrap_or_else(|| panic!("{ran}"));
    assert!(last.starts_with("Done: 3 created, 1 replaced in "), "{ran}");
}
