//! Terraform's JSON views, against a real `terraform show -json` where this machine has one.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "Terraform is asked"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use andon_ledger::state_file::{Attributes, StateFile};
use andon_ledger::{EnvironmentState, InstanceState, ReadData};
use andon_plan::{
    Plan, PlanMode, PlannedAction, PlannedChange, PlannedOutput, Repetition, ReplaceOrder, ReplaceReason, Undefined,
};
use andon_schema::{
    Attribute, Block, CheckStatus, Checked, CheckedKind, Identity, InstanceAddress, Kept, Mode, Object, ObjectStatus,
    ProviderConfigAddress, Schemas, TypeSchema,
};
use andon_text::Diagnostics;
use andon_value::{Kind, Marks, Path, PathStep, Type, Value, from_json_implied};
use andon_view::terraform::{Shown, configuration_json, terraform_plan_json, terraform_state_json};
use serde_json::{Value as Json, json};

use crate::project;

/// The schemas of what Terraform has built in.
pub fn schemas() -> Schemas {
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

/// The state that a file of Terraform's says there is, in a project of one stack.
fn state_of(text: &str) -> EnvironmentState {
    let file = StateFile::read(text).unwrap();
    let schemas = schemas();
    let mut state = EnvironmentState::default();
    let addresses: Vec<_> = file.resources.iter().map(|resource| resource.address("").unwrap()).collect();
    let plain = |text: &str| {
        let mut parts = text.split(['[', ']']).enumerate();
        let plain: String = parts.by_ref().filter(|(index, _)| index % 2 == 0).map(|(_, part)| part).collect();
        plain
    };
    let mut count = 0;
    for (resource, address) in file.resources.iter().zip(&addresses) {
        let provider = ProviderConfigAddress::parse(&resource.provider).map(Arc::new);
        for instance in &resource.instances {
            let types = if address.mode == Mode::Data { &schemas.data } else { &schemas.resources };
            let ty = types[&*address.kind].block.implied_type();
            let Attributes::Json(raw) = &instance.attributes else { panic!() };
            let mut value = raw.decode(&ty).unwrap();
            for path in &instance.sensitive {
                value = marked(&value, path.steps());
            }
            let at = address.instance(instance.key.clone());
            if address.mode == Mode::Data {
                state.data.insert(at, ReadData { value, provider: provider.clone(), schema_version: 0 });
                continue;
            }
            count += 1;
            let read =
                |text: &String| addresses.iter().filter(|it| plain(&it.within_stack()) == **text).cloned().collect();
            let object = Object {
                identity: Identity::from_random(count),
                value,
                status: if instance.tainted { ObjectStatus::Tainted } else { ObjectStatus::Ready },
                dependencies: instance.dependencies.iter().flat_map(|text| -> Vec<_> { read(text) }).collect(),
                create_before_destroy: instance.create_before_destroy,
                provider: provider.clone(),
                kept: Kept::default(),
            };
            state.instances.insert(at, InstanceState { current: Some(object), deposed: Vec::new() });
        }
    }
    let outputs = file.outputs.into_iter().map(|(name, output)| {
        let marks = Marks { sensitive: output.sensitive, ephemeral: false };
        (Arc::from(name), output.value.mark(marks))
    });
    state.published.insert("".into(), outputs.collect());
    let checks = file.checks.unwrap_or_default();
    let results = checks.iter().flat_map(|check| {
        check.objects.iter().flatten().map(|object| Checked {
            kind: match &*check.kind {
                "resource" => CheckedKind::Resource,
                "output" => CheckedKind::Output,
                "check" => CheckedKind::Check,
                _ => CheckedKind::Variable,
            },
            config: check.address.clone(),
            object: object.address.clone(),
            status: if object.status == "pass" { CheckStatus::Pass } else { CheckStatus::Fail },
            problems: object.messages.clone(),
        })
    });
    state.checked.insert("".into(), results.collect());
    state
}

fn marked(value: &Value, way: &[PathStep]) -> Value {
    let Some((first, rest)) = way.split_first() else { return value.clone().mark(Marks::SENSITIVE) };
    match value.kind() {
        Kind::Object(entries) => Value::object(entries.iter().map(|(name, value)| {
            let here = PathStep::Attribute(name.clone()) == *first;
            (name.clone(), if here { marked(value, rest) } else { value.clone() })
        })),
        Kind::Tuple(elements) => {
            Value::tuple(elements.iter().enumerate().map(|(index, value)| {
                if PathStep::Index(index) == *first { marked(value, rest) } else { value.clone() }
            }))
        }
        _ => panic!("{value:?}"),
    }
}

/// The value of which Terraform shows what is known, what is unknown and what is a secret.
fn value_of(known: &Json, unknown: &Json, sensitive: &Json) -> Value {
    let inside = |of: &Json, step: &str| match of {
        Json::Object(entries) => entries.get(step).cloned().unwrap_or(Json::Bool(false)),
        Json::Array(elements) => elements[step.parse::<usize>().unwrap()].clone(),
        _ => Json::Bool(false),
    };
    let value = match (known, unknown) {
        (_, Json::Bool(true)) => Value::unknown(match sensitive {
            Json::Object(_) => Type::object::<&str>([]),
            Json::Array(_) => Type::tuple([]),
            _ => Type::Dynamic,
        }),
        (Json::Object(entries), _) => {
            let more = unknown.as_object().into_iter().flat_map(|entries| entries.keys());
            let names: std::collections::BTreeSet<&String> = entries.keys().chain(more).collect();
            Value::object(names.into_iter().map(|name| {
                let known = entries.get(name).unwrap_or(&Json::Null);
                (name.as_str(), value_of(known, &inside(unknown, name), &inside(sensitive, name)))
            }))
        }
        (Json::Array(elements), _) => Value::tuple(elements.iter().enumerate().map(|(index, known)| {
            let step = index.to_string();
            value_of(known, &inside(unknown, &step), &inside(sensitive, &step))
        })),
        _ => from_json_implied(known).unwrap(),
    };
    if *sensitive == Json::Bool(true) { value.mark(Marks::SENSITIVE) } else { value }
}

/// The plan that Terraform shows, as a plan of ours.
pub fn plan_of(shown: &Json) -> Plan {
    let mut changes = Vec::new();
    for resource in shown["resource_changes"].as_array().unwrap() {
        let change = &resource["change"];
        let because = match resource["action_reason"].as_str() {
            Some("replace_because_tainted") => ReplaceReason::Tainted,
            Some("replace_by_triggers") => ReplaceReason::Triggered("x".to_owned()),
            _ => ReplaceReason::Fixed(Path::new()),
        };
        let replace = |order| PlannedAction::Replace { order, because: vec![because.clone()] };
        let undefined = match resource["action_reason"].as_str() {
            Some("delete_because_no_resource_config") => Some(Undefined::Resource),
            Some("delete_because_no_module") => Some(Undefined::ModuleInstance([].into(), Repetition::One)),
            Some("delete_because_count_index") => Some(Undefined::Instance(Repetition::Count(0))),
            Some("delete_because_each_key") => Some(Undefined::Instance(Repetition::Each(0))),
            Some("delete_because_wrong_repetition") => Some(Undefined::Instance(Repetition::One)),
            _ => None,
        };
        let actions: Vec<&str> = change["actions"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let action = match actions.as_slice() {
            ["no-op"] => continue,
            ["create"] => PlannedAction::Create,
            ["update"] => PlannedAction::Update,
            ["read"] => PlannedAction::Read,
            ["delete"] => PlannedAction::Delete,
            ["delete", "create"] => replace(ReplaceOrder::DeleteFirst),
            ["create", "delete"] => replace(ReplaceOrder::CreateFirst),
            other => panic!("{other:?}"),
        };
        let value = |known: &Json, unknown: &Json, sensitive: &Json| {
            (!known.is_null()).then(|| value_of(known, unknown, sensitive))
        };
        let after = value(&change["after"], &change["after_unknown"], &change["after_sensitive"]);
        let steps = |path: &Json| -> Path {
            let steps = path.as_array().unwrap().iter();
            steps.map(|step| PathStep::Attribute(step.as_str().unwrap().into())).collect()
        };
        let replace = change["replace_paths"].as_array().map(|paths| paths.iter().map(steps).collect());
        let before = value(&change["before"], &Json::Bool(false), &change["before_sensitive"]);
        changes.push(PlannedChange {
            // Only whether it is known counts here.
            config: Some(Value::UNKNOWN),
            replace: replace.unwrap_or_default(),
            undefined,
            previous: resource["previous_address"].as_str().map(|text| InstanceAddress::parse(text).unwrap()),
            ..crate::plan::change(resource["address"].as_str().unwrap(), action, before, after)
        });
    }
    let typed = |name: &str| shown["planned_values"]["outputs"][name]["type"].clone();
    let outputs = shown["output_changes"].as_object().unwrap().iter().map(|(name, change)| {
        let actions = change["actions"][0].as_str().unwrap();
        let after = || match &change["after_unknown"] {
            Json::Bool(false) if !typed(name).is_null() => {
                let ty = andon_value::type_from_json(&typed(name)).unwrap();
                andon_value::from_typed_json(&change["after"], &ty).unwrap()
            }
            unknown => value_of(&change["after"], unknown, &Json::Bool(false)),
        };
        let before = || value_of(&change["before"], &Json::Bool(false), &Json::Bool(false));
        PlannedOutput {
            stack: "".into(),
            name: name.as_str().into(),
            before: match actions {
                "create" => None,
                "no-op" => Some(after()),
                _ => Some(before()),
            },
            after: (actions != "delete").then(after),
            sensitive: change["after_sensitive"] == json!(true) || change["before_sensitive"] == json!(true),
            outside: false,
        }
    });
    Plan {
        deferred: Vec::new(),
        adopted: Vec::new(),
        environment: "default".into(),
        mode: PlanMode::Normal,
        stacks: vec!["".into()],
        outputs: outputs.collect(),
        changes,
        moves: Vec::new(),
        steps: Vec::new(),
        drift: Vec::new(),
        settled: Vec::new(),
        depends: Vec::new(),
        data: Vec::new(),
        notes: Vec::new(),
        checks: BTreeMap::new(),
        unchanged: 0,
        outside: BTreeSet::new(),
        partial: false,
        unasked: Vec::new(),
        warnings: Diagnostics::new(),
        based_on: 0,
    }
}

/// Resources by their addresses, everywhere, as their order means nothing.
fn sorted(json: &Json) -> Json {
    match json {
        Json::Array(elements) if elements.iter().all(|element| element["address"].is_string()) => {
            let by_address = elements.iter().map(|it| (it["address"].as_str().unwrap().to_owned(), sorted(it)));
            Json::Object(by_address.collect())
        }
        Json::Array(elements) if elements.iter().all(|it| it["address"]["to_display"].is_string()) => {
            let key = |it: &Json| it["address"]["to_display"].as_str().unwrap().to_owned();
            Json::Object(elements.iter().map(|it| (key(it), sorted(it))).collect())
        }
        Json::Array(elements) => elements.iter().map(sorted).collect(),
        Json::Object(entries) => {
            let mut entries = entries.clone();
            if let Some(Json::Array(relevant)) = entries.get_mut("relevant_attributes") {
                relevant.sort_by_key(Json::to_string);
            }
            Json::Object(entries.iter().map(|(name, json)| (name.clone(), sorted(json))).collect())
        }
        other => other.clone(),
    }
}

const BEFORE: &str = r#"
variable "secret" {
  default   = "s3cret"
  sensitive = true
}
variable "gone" {
  default = true
  validation {
    condition     = var.gone
    error_message = "not gone"
  }
}
check "many" {
  assert {
    condition     = length(terraform_data.count) > 100
    error_message = "too few"
  }
}
resource "terraform_data" "plain" {
  input = { a = [1, 2.5, "x", null, true], "b c" = {}, "é" = "<\u0001>" }
}
resource "terraform_data" "secret" {
  input            = { k = var.secret, l = [var.secret, "x"], m = { n = var.secret } }
  triggers_replace = [terraform_data.plain.id, sensitive("t")]
}
resource "terraform_data" "each" {
  for_each   = toset(["b", "é", "Z"])
  input      = each.key
  depends_on = [terraform_data.plain]
}
resource "terraform_data" "count" {
  count = 3
  input = count.index
  lifecycle {
    create_before_destroy = true
  }
}
resource "terraform_data" "first" {
  input            = "x"
  triggers_replace = "x"
  lifecycle {
    create_before_destroy = true
  }
}
resource "terraform_data" "tainted" {}
resource "terraform_data" "undefined" {}
resource "terraform_data" "single" {}
module "m" {
  source   = "./mod"
  for_each = toset(["k.1", "l"])
  x        = terraform_data.count[0].output
}
module "gone" {
  source = "./mod"
  x      = 1
}
data "terraform_remote_state" "d" {
  backend = "local"
  config  = { path = "${path.module}/d.tfstate" }
}
output "list" {
  value = tolist(["a", "b"])
}
output "secret" {
  value     = var.secret
  sensitive = true
}
output "id" {
  value = terraform_data.first.id
}
output "dropped" {
  value = 1e3
}
"#;

const NESTED: &str = r#"
variable "x" {}
resource "terraform_data" "in" {
  count = 2
  input = "${var.x}-${count.index}"
  lifecycle {
    precondition {
      condition     = count.index < 9
      error_message = "too many"
    }
  }
}
module "deep" {
  source = "./deep"
  x      = terraform_data.in[0].output
}
"#;

const DEEP: &str = r#"
variable "x" {}
resource "terraform_data" "deep" {
  input = var.x
}
"#;

/// What is defined after the apply.
fn after() -> String {
    let mut text = BEFORE.to_owned();
    for (from, to) in [
        ("s3cret", "other"),
        ("toset([\"b\", \"é\", \"Z\"])", "toset([\"b\", \"new\"])"),
        ("count = 3", "count = 2"),
        ("triggers_replace = \"x\"", "triggers_replace = \"y\""),
        (
            "resource \"terraform_data\" \"undefined\" {}",
            "resource \"terraform_data\" \"more\" {\n  input = [terraform_data.first.id]\n}",
        ),
        (
            "resource \"terraform_data\" \"single\" {}",
            "resource \"terraform_data\" \"single\" {\n  for_each = toset([])\n}",
        ),
        ("[\"k.1\", \"l\"]", "[\"k.1\"]"),
        ("module \"gone\" {\n  source = \"./mod\"\n  x      = 1\n}", ""),
        (
            "data \"terraform_remote_state\" \"d\" {",
            "data \"terraform_remote_state\" \"d\" {\n  defaults = terraform_data.first.id",
        ),
        ("tolist([\"a\", \"b\"])", "tolist([\"a\", terraform_data.first.id])"),
        ("output \"dropped\" {\n  value = 1e3\n}", "output \"added\" {\n  value = { a = 1 }\n}"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

#[test]
fn states_and_plans_are_as_terraform_shows_them() {
    let files = [("main.tf", BEFORE), ("mod/main.tf", NESTED), ("mod/deep/main.tf", DEEP), ("d.tfstate", STATE)];
    let Some(terraform) = Terraform::of("shown", &files) else { return };
    terraform.run(&["apply", "-auto-approve", "-no-color"]);
    terraform.run(&["taint", "terraform_data.tainted"]);
    let theirs = terraform.show(&[]);
    let version = theirs["terraform_version"].as_str().unwrap();
    let state = state_of(&std::fs::read_to_string(terraform.directory.join("terraform.tfstate")).unwrap());
    same(&sorted(&terraform_state_json(&state, "", version)), &sorted(&theirs));
    let empty = terraform_state_json(&EnvironmentState::default(), "", version);
    assert_eq!(empty, json!({ "format_version": "1.0" }));

    let after = after();
    std::fs::write(terraform.directory.join("main.tf"), &after).unwrap();
    terraform.run(&["init", "-no-color"]);
    terraform.run(&["plan", "-out=saved", "-no-color"]);
    let mut theirs = terraform.show(&["saved"]);
    // What conditions come to is the planner's to find; how it is shown is the same as in a state.
    theirs.as_object_mut().unwrap().remove("checks");
    let project = project(&[("main.tf", &after), ("mod/main.tf", NESTED), ("mod/deep/main.tf", DEEP)]);
    let variables: BTreeMap<Arc<str>, Value> =
        [("secret".into(), Value::from("other").mark(Marks::SENSITIVE)), ("gone".into(), Value::from(true))].into();
    let schemas = schemas();
    let shown = Shown {
        project: &project,
        schemas: &schemas,
        state: &state,
        stack: "",
        variables: &variables,
        terraform_version: version,
        timestamp: theirs["timestamp"].as_str().unwrap(),
        generated: &[],
        checks: &[],
    };
    let mut ours = terraform_plan_json(&plan_of(&theirs), shown);
    ours.as_object_mut().unwrap().remove("checks");
    same(&sorted(&ours), &sorted(&theirs));
}

#[test]
fn arguments_that_are_written_as_blocks_are_shown() {
    let text = "resource \"terraform_data\" \"a\" {\n  input {\n    port = 80\n  }\n  input {\n    port = var.x\n  }\n}\nvariable \"x\" {}\n";
    let project = project(&[("main.tf", text)]);
    let json = configuration_json(&project.stacks[""].module, &schemas());
    let expected = json!({ "input": [
        { "port": { "constant_value": 80 } },
        { "port": { "references": ["var.x"] } },
    ] });
    assert_eq!(json["root_module"]["resources"][0]["expressions"], expected);
}

#[test]
fn what_a_resource_reads_is_shown_with_what_that_reads() {
    let mut state = EnvironmentState::default();
    for (name, reads) in [("a", vec![]), ("b", vec!["a"]), ("c", vec!["b"])] {
        let address = |name: &str| InstanceAddress::parse(&format!("terraform_data.{name}")).unwrap();
        let object = Object {
            identity: Identity::from_random(1),
            value: Value::object::<Arc<str>>([]),
            status: ObjectStatus::Ready,
            dependencies: reads.into_iter().map(|name| address(name).resource).collect(),
            create_before_destroy: false,
            provider: None,
            kept: Kept::default(),
        };
        state.instances.insert(address(name), InstanceState { current: Some(object), ..InstanceState::default() });
    }
    let json = terraform_state_json(&state, "", "1.11.4");
    let shown = &json["values"]["root_module"]["resources"][2]["depends_on"];
    assert_eq!(*shown, json!(["terraform_data.a", "terraform_data.b"]));
}
