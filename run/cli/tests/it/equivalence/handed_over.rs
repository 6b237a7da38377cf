//! One state goes from Terraform to Andon and back, with all that an apply that failed midway leaves in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use super::{Side, server};
use crate::support::{ANDON, Project};

const DEFINITIONS: &str = r#"
terraform {
  required_providers {
    sky = { source = "example.com/test/sky" }
  }
}
variable "cloud" {}
variable "forced" { default = "one" }
variable "fail" { default = null }
provider "sky" { cloud = var.cloud }
resource "sky_steady" "first" {
  for_each = toset(["a \"q\"", "$${x}", "b"])
  name     = "first-${length(each.key)}"
  forced   = var.forced
  fail     = var.fail
  lifecycle { create_before_destroy = true }
}
resource "sky_legacy" "careless" {
  name = "careless"
  text = " t "
}
resource "sky_old" "old" {
  name   = "old"
  labels = ["x"]
}
data "sky_find" "found" {
  name     = sky_legacy.careless.name
  optional = true
}
data "sky_echo" "echo" {
  count  = 2
  text   = "echo"
  secret = "hush"
}
module "m" {
  source   = "./m"
  for_each = toset(["k/1", "$${z}"])
  text     = each.key
}
output "found" { value = data.sky_find.found }
output "secret" {
  value     = sky_steady.first["b"].id
  sensitive = true
}
check "count" {
  assert {
    condition     = length(sky_steady.first) == 3
    error_message = "There are others."
  }
}
"#;

const MODULE: &str = r#"
terraform {
  required_providers {
    sky = { source = "example.com/test/sky" }
  }
}
variable "text" {}
resource "sky_steady" "in" {
  count = 2
  name  = "in-${count.index}-${length(var.text)}"
  text  = var.text
}
"#;

#[test]
fn a_state_with_everything_in_it_is_handed_over_and_back() {
    let terraform = PathBuf::from(std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into()));
    if let Err(error) = Command::new(&terraform).arg("version").output() {
        return println!("skipped: no terraform to compare with: {error}");
    }
    let Some(server) = server::directory() else { return };
    let project = Project::empty("handed-over");
    let overrides = format!("    \"example.com/test/sky\" = \"{}\"\n", server.display());
    project.write(
        "settings",
        &format!("provider_installation {{\n  dev_overrides {{\n{overrides}  }}\n  direct {{}}\n}}\n"),
    );
    let side = |program: &Path, ours: bool| {
        let (directory, settings) = (project.directory.clone(), project.directory.join("settings"));
        Side { program: program.to_owned(), ours, directory, settings }
    };
    let (theirs, ours) = (side(&terraform, false), side(Path::new(ANDON), true));
    let run = |side: &Side, code: i32, words: &[&str]| {
        let ran = side.run(words);
        assert_eq!(ran.code, Some(code), "{words:?}: {}", ran.told);
        ran
    };
    project.write("main.tf", DEFINITIONS);
    project.write("m/main.tf", MODULE);
    run(&theirs, 0, &["get"]);
    run(&theirs, 0, &["apply", "-auto-approve", "-var=fail=delete"]);
    // What was replaced cannot be deleted.
    run(&theirs, 1, &["apply", "-auto-approve", "-var=fail=delete", "-var=forced=two"]);
    run(&theirs, 0, &["taint", "module.m[\"k/1\"].sky_steady.in[1]"]);
    run(&ours, 0, &["init"]);
    run(&ours, 0, &["state", "push", "terraform.tfstate"]);
    let text = fs::read_to_string(project.directory.join("terraform.tfstate")).unwrap();
    assert!(text.contains("\"deposed\"") && text.contains("\"private\"") && text.contains("\"tainted\""), "{text}");
    assert_eq!(ours.state(), serde_json::from_str::<Json>(&text).unwrap());
    let plan = run(&ours, 0, &["plan", "-var=fail=delete", "-var=forced=two"]).out;
    assert!(plan.contains("1 to replace, 3 to delete, 8 unchanged"), "{plan}");
    // Now they can be deleted, and one of them is gone already.
    let state = ours.state();
    let all = state["resources"].as_array().unwrap().iter().flat_map(|it| it["instances"].as_array().unwrap());
    let left = all.filter(|it| it["deposed"].is_string()).map(|it| it["attributes"]["id"].as_str().unwrap().to_owned());
    let place = |id: &String| project.directory.join("cloud").join(format!("{id}.json"));
    fs::remove_file(place(&left.collect::<Vec<_>>()[0])).unwrap();
    for id in ours.cloud().into_keys().filter(|name| name.ends_with(".json")) {
        let file = project.directory.join("cloud").join(id);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("\"fail\": \"delete\"", "\"fail\": null")).unwrap();
    }
    let ended = run(&ours, 0, &["apply", "-y", "-var=forced=two"]).told;
    assert!(ended.contains("1 replaced, 2 deleted"), "{ended}");
    project.write("pulled.tfstate", &run(&ours, 0, &["state", "pull"]).out);
    run(&theirs, 0, &["state", "push", "pulled.tfstate"]);
    run(&theirs, 0, &["plan", "-detailed-exitcode", "-var=forced=two"]);
    run(&theirs, 0, &["destroy", "-auto-approve", "-var=forced=two"]);
}
