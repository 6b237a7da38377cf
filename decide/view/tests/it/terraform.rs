//! Terraform's JSON views, against a real `terraform show -json` where this machine has one.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "Terraform is asked"
)]

use std::path::PathBuf;
use std::process::Command;

use andon_schema::{Attribute, Block, Schemas, TypeSchema};
use andon_value::Type;
use andon_view::terraform::configuration_json;
use serde_json::Value as Json;

use crate::project;

/// The schemas of what Terraform has built in.
fn schemas() -> Schemas {
    let of = |attributes: &[(&str, Attribute)]| {
        let attributes = attributes.iter().map(|(name, attribute)| ((*name).to_owned(), attribute.clone())).collect();
        TypeSchema { block: Block { attributes, ..Block::default() }, ..TypeSchema::default() }
    };
    let data = of(&[
        ("input", Attribute::optional(Type::Dynamic, "")),
        ("output", Attribute::computed(Type::Dynamic, "")),
        ("triggers_replace", Attribute::optional(Type::Dynamic, "")),
        ("id", Attribute::computed(Type::String, "")),
    ]);
    let remote = of(&[
        ("backend", Attribute::required(Type::String, "")),
        ("config", Attribute::optional(Type::Dynamic, "")),
        ("defaults", Attribute::optional(Type::Dynamic, "")),
        ("workspace", Attribute::optional(Type::String, "")),
        ("outputs", Attribute::computed(Type::Dynamic, "")),
    ]);
    Schemas {
        resources: [("terraform_data".to_owned(), data)].into(),
        data: [("terraform_remote_state".to_owned(), remote)].into(),
        ..Schemas::default()
    }
}

/// A directory with files in which Terraform works; `None`, and the reason said, where there is none.
struct Terraform {
    program: PathBuf,
    directory: PathBuf,
}

impl Terraform {
    fn of(name: &str, files: &[(&str, &str)]) -> Option<Terraform> {
        let program = std::env::var_os("ANDON_TERRAFORM").map_or_else(|| PathBuf::from("terraform"), PathBuf::from);
        if let Err(error) = Command::new(&program).arg("version").output() {
            println!("skipped: {} cannot be run ({error}); set ANDON_TERRAFORM to a terraform", program.display());
            return None;
        }
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let terraform = Terraform { program, directory };
        terraform.run(&["init", "-no-color"]);
        Some(terraform)
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.program).args(arguments).current_dir(&self.directory).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn show(&self, arguments: &[&str]) -> Json {
        serde_json::from_str(&self.run(&[&["show", "-json"], arguments].concat())).unwrap()
    }
}

impl Drop for Terraform {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The places in which two texts of JSON differ, a line each.
fn differences(at: &str, ours: &Json, theirs: &Json, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Json::Object(one), Json::Object(other)) => {
            for (name, ours) in one {
                match other.get(name) {
                    Some(theirs) => differences(&format!("{at}.{name}"), ours, theirs, found),
                    None => found.push(format!("{at}.{name}: only ours: {ours}")),
                }
            }
            let theirs = other.iter().filter(|(name, _)| !one.contains_key(*name));
            found.extend(theirs.map(|(name, theirs)| format!("{at}.{name}: only theirs: {theirs}")));
        }
        (Json::Array(one), Json::Array(other)) if one.len() == other.len() => {
            for (index, (ours, theirs)) in one.iter().zip(other).enumerate() {
                differences(&format!("{at}[{index}]"), ours, theirs, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{at}: {ours}, theirs {theirs}")),
    }
}

#[track_caller]
fn same(ours: &Json, theirs: &Json) {
    let mut found = Vec::new();
    differences("", ours, theirs, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

const MAIN: &str = r#"
terraform {
  required_providers {
    tf = { source = "terraform.io/builtin/terraform" }
  }
}
provider "tf" {}
provider "tf" {
  alias = "west"
}
variable "a" {
  type        = object({ x = optional(string), y = list(number) })
  default     = { y = [1] }
  description = "An a"
}
variable "keys" {
  type    = set(string)
  default = ["k"]
}
variable "nul" {
  default = null
}
variable "secret" {
  type      = string
  default   = "<&>"
  sensitive = true
}
locals {
  l = { a = 1 }
}
resource "terraform_data" "count" {
  count            = length(var.keys)
  provider         = tf.west
  input            = [var.a.y[0], local.l["a"], local.l.a, path.module, terraform.workspace, "${count.index}-x", [for k in var.keys : k], { (var.nul == null ? "a" : "b") = 1 }]
  triggers_replace = !true
  depends_on       = [terraform_data.each, data.terraform_remote_state.d]
  provisioner "local-exec" {
    command     = "echo ${self.id}"
    environment = { A = 1 }
    when        = destroy
  }
  provisioner "local-exec" {
    command = "echo"
  }
  lifecycle {
    precondition {
      condition     = var.nul == null
      error_message = "x"
    }
  }
}
resource "terraform_data" "each" {
  for_each = var.keys
  provider = tf
  input    = each.value
}
resource "terraform_data" "few" {
  for_each = toset(["b"])
  provider = tf
  input    = { a = { "b c" = [1, -2.50, null, "é<"] } }
}
resource "terraform_data" "refs" {
  provider = tf
  input    = [terraform_data.each["k"].output.x.y[0], terraform_data.each["k"], terraform_data.each, terraform_data.count[0].id, terraform_data.count[*].id, terraform_data.count[var.a.y[0]].id, module.m.o.z, module.m.o, module.n["k"].o, module.n["k"], module.n, data.terraform_remote_state.d.outputs.x, terraform_data.count.0.id, 1 + 2, -1]
}
data "terraform_remote_state" "d" {
  provider = tf.west
  backend  = "local"
  config   = { path = "${path.module}/d.tfstate" }
}
module "m" {
  source    = "./mod"
  providers = { tf = tf.west }
  x         = var.a
}
module "n" {
  source     = "./mod"
  for_each   = var.keys
  x          = each.key
  providers  = { tf = tf }
  depends_on = [terraform_data.each]
}
module "c" {
  source    = "./mod"
  count     = 2
  x         = "${1}"
  providers = { tf = tf }
}
output "o" {
  value       = "a${1}"
  description = "An o"
  depends_on  = [terraform_data.each]
}
output "e" {
  value     = upper("x")
  sensitive = true
}
output "t" {
  value = true ? 1 : 2
}
output "f" {
  value = [for x in [1, 2] : x * 2]
}
output "h" {
  value = <<-EOT
    a
      b
  EOT
}
output "nothing" {
  value = null
}
check "c" {
  data "terraform_remote_state" "nested" {
    provider = tf
    backend  = "local"
    config   = { path = "${path.module}/d.tfstate" }
  }
  assert {
    condition     = data.terraform_remote_state.nested.backend == "local"
    error_message = "x"
  }
}
"#;

const MOD: &str = r#"
terraform {
  required_providers {
    tf = { source = "terraform.io/builtin/terraform" }
  }
}
variable "x" {}
resource "terraform_data" "in" {
  provider = tf
  input    = var.x
}
output "o" {
  value = terraform_data.in
}
"#;

const STATE: &str = r#"{"version":4,"terraform_version":"1.11.4","serial":1,"lineage":"x",
    "outputs":{"x":{"value":["1"],"type":["list","string"]}},"resources":[],"check_results":null}"#;

#[test]
fn definitions_are_as_terraform_shows_them() {
    let files = [("main.tf", MAIN), ("mod/main.tf", MOD), ("d.tfstate", STATE)];
    let Some(terraform) = Terraform::of("configuration", &files) else { return };
    // What is written is shown whether or not it can be carried out.
    let _ = Command::new(&terraform.program)
        .args(["plan", "-out=saved"])
        .current_dir(&terraform.directory)
        .output()
        .unwrap();
    let theirs = terraform.show(&["saved"]);
    let project = project(&[("main.tf", MAIN), ("mod/main.tf", MOD)]);
    let stack = project.stacks.values().next().unwrap();
    same(&configuration_json(&stack.module, &schemas()), &theirs["configuration"]);
}
