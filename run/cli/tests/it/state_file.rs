//! `state pull` and `state push` beside the real Terraform: work goes from one to the other, and neither finds anything
//! to do.

use std::path::PathBuf;
use std::process::Command;

use crate::support::Project;

const DEFINITIONS: &str = r#"
variable "token" {
  default   = "hush"
  sensitive = true
}
resource "terraform_data" "base" {
  for_each         = toset(["a b", "c"])
  input            = { name = each.key, ports = [80, "x"] }
  triggers_replace = null
}
resource "terraform_data" "middle" {
  count = 2
  input = terraform_data.base["c"].output.name
}
resource "terraform_data" "top" {
  input            = [terraform_data.middle[0].output, var.token]
  triggers_replace = tolist(["x", "y"])
  lifecycle {
    create_before_destroy = true
  }
}
module "inner" {
  source   = "./inner"
  for_each = toset(["k"])
  value    = terraform_data.top.id
}
output "names" { value = { for key, it in terraform_data.base : key => it.output.name } }
output "numbers" { value = tolist([1.5, 2]) }
output "token" {
  value     = var.token
  sensitive = true
}
"#;

const INNER: &str = "variable \"value\" {}\nresource \"terraform_data\" \"in\" { input = var.value }\n";

fn project(name: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", DEFINITIONS);
    project.write("inner/main.tf", INNER);
    project
}

/// Runs the real Terraform in the project; `None` where there is none here. What it said, and its exit code.
fn terraform(project: &Project, words: &[&str]) -> Option<(i32, String)> {
    let program = std::env::var_os("ANDON_TERRAFORM").map_or_else(|| PathBuf::from("terraform"), PathBuf::from);
    let ran =
        Command::new(&program).args(words).current_dir(&project.directory).env("CHECKPOINT_DISABLE", "1").output();
    let Ok(ran) = ran else {
        println!("skipped: {} cannot be run; set ANDON_TERRAFORM to a terraform", program.display());
        return None;
    };
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    Some((ran.status.code().unwrap_or(-1), said))
}

#[test]
fn what_terraform_made_goes_on_here() {
    let project = project("push");
    let Some((0, _)) = terraform(&project, &["init", "-no-color"]) else { return };
    let (code, said) = terraform(&project, &["apply", "-auto-approve", "-no-color"]).unwrap();
    assert_eq!(code, 0, "{said}");
    project.ok(&["state", "push", "terraform.tfstate"]);
    let plan = project.ok(&["plan"]).out;
    assert!(plan.contains("no changes, 6 unchanged"), "{plan}");
    assert!(!project.ok(&["state", "show", "terraform_data.top"]).out.contains("hush"));
    assert_eq!(project.ok(&["output", "token"]).out.trim(), "\"hush\"");
    let same = project.ok(&["state", "push", "terraform.tfstate"]).out;
    assert!(same.contains("nothing is to be done"), "{same}");
    project.ok(&["state", "push", "-force", "terraform.tfstate"]);
    let plan = project.ok(&["plan"]).out;
    assert!(plan.contains("no changes, 6 unchanged"), "{plan}");
    // And back again, as if nobody had been here.
    let there: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(project.directory.join("terraform.tfstate")).unwrap()).unwrap();
    let pull = || serde_json::from_str::<serde_json::Value>(&project.ok(&["state", "pull"]).out).unwrap();
    assert_eq!(pull(), there);
    // What is changed here goes on from it, so that Terraform takes it without being forced.
    project.edit("main.tf", "[80, \"x\"]", "[80]");
    project.ok(&["apply", "-y"]);
    let now = pull();
    assert!(now["lineage"] == there["lineage"] && now["serial"].as_u64() > there["serial"].as_u64(), "{now}");
    project.write("pulled.tfstate", &now.to_string());
    let (code, said) = terraform(&project, &["state", "push", "pulled.tfstate"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let (code, said) = terraform(&project, &["plan", "-detailed-exitcode", "-no-color"]).unwrap();
    assert_eq!(code, 0, "{said}");
}

/// Everything that a file can say of an object, in one: what was replaced, what is to be, what a module in a module
/// calls by keys that want quoting, what was read, what conditions came to.
#[test]
fn all_that_a_file_says_goes_through() {
    let mut project = Project::empty("push-whole");
    project.data_dir = project.directory.join(".data");
    let module = |inner: &str| {
        format!("variable \"keys\" {{}}\nmodule \"in\" {{\n  source = \"{inner}\"\n  for_each = var.keys\n}}\n")
    };
    let keys = "toset([\"a \\\"quoted\\\" key\", \"$${dollar}\", \"é\\\\\"])";
    project.write(
        "main.tf",
        &format!(
            "module \"out\" {{\n  source = \"./out\"\n  keys = {keys}\n}}\nresource \"terraform_data\" \"kept\" {{\n  \
             for_each = {keys}\n  input = each.key\n  lifecycle {{\n    postcondition {{\n      condition = \
             self.input != \"\"\n      error_message = \"is empty\"\n    }}\n  }}\n}}\ndata \
             \"terraform_remote_state\" \"other\" {{\n  backend = \"local\"\n  config = {{ path = \
             \"other.tfstate\" }}\n}}\noutput \"nothing\" {{ value = [null, {{ a = null }}] }}\n"
        ),
    );
    project.write("out/main.tf", &module("./in"));
    project.write("out/in/main.tf", "resource \"terraform_data\" \"deep\" {\n  count = 2\n}\n");
    project.write("other.tfstate", "{\"version\":4,\"serial\":1,\"lineage\":\"x\",\"outputs\":{},\"resources\":[]}");
    let Some((0, _)) = terraform(&project, &["init", "-no-color"]) else { return };
    let (code, said) = terraform(&project, &["apply", "-auto-approve", "-no-color"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(project.directory.join(name)).unwrap()).unwrap()
    };
    let mut file = read("terraform.tfstate");
    file["serial"] = 100.into();
    let resources = file["resources"].as_array_mut().unwrap();
    let kept = resources.iter_mut().find(|it| it["name"] == "kept").unwrap()["instances"].as_array_mut().unwrap();
    kept[0]["status"] = "tainted".into();
    kept[1]["private"] = "AP8=".into();
    for (place, key) in ["0badcafe", "ffffffff"].into_iter().enumerate() {
        let mut left = kept[0].clone();
        left["deposed"] = key.into();
        left["attributes"]["id"] = key.into();
        kept.insert(1 + place, left);
    }
    project.write("whole.tfstate", &file.to_string());
    project.ok(&["init"]);
    project.ok(&["state", "push", "whole.tfstate"]);
    let pulled = project.ok(&["state", "pull"]).out;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&pulled).unwrap(), file);
    // Terraform takes it, and both find the same to do.
    project.write("pulled.tfstate", &pulled);
    let (code, said) = terraform(&project, &["state", "push", "pulled.tfstate"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let (_, theirs) = terraform(&project, &["plan", "-no-color"]).unwrap();
    assert!(theirs.contains("Plan: 1 to add, 0 to change, 3 to destroy."), "{theirs}");
    let ours = project.ok(&["apply", "-y"]);
    assert!(ours.all().contains("1 to replace") && ours.all().contains("2 to delete"), "{ours}");
    project.write("pulled.tfstate", &project.ok(&["state", "pull"]).out);
    let (code, said) = terraform(&project, &["state", "push", "pulled.tfstate"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let (code, said) = terraform(&project, &["plan", "-detailed-exitcode", "-no-color"]).unwrap();
    assert_eq!(code, 0, "{said}");
}

#[test]
fn what_is_made_here_goes_on_with_terraform() {
    let project = project("pull");
    project.ok(&["apply", "-y"]);
    let pulled = project.ok(&["state", "pull"]).out;
    assert_eq!(project.ok(&["state", "pull"]).out, pulled);
    let Some((0, _)) = terraform(&project, &["init", "-no-color"]) else { return };
    project.write("terraform.tfstate", &pulled);
    let (code, said) = terraform(&project, &["plan", "-detailed-exitcode", "-no-color"]).unwrap();
    assert_eq!(code, 0, "{said}");
    // Terraform finds nothing in it to write otherwise.
    let (code, said) = terraform(&project, &["apply", "-auto-approve", "-no-color"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let after: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(project.directory.join("terraform.tfstate")).unwrap()).unwrap();
    let before: serde_json::Value = serde_json::from_str(&pulled).unwrap();
    assert_eq!(after, before);
}

#[test]
fn a_file_must_go_on_from_what_is_there() {
    let mut project = Project::empty("push-lineage");
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", "resource \"terraform_data\" \"a\" { input = terraform.workspace }\n");
    project.ok(&["apply", "-y"]);
    let first = project.ok(&["state", "pull"]).out;
    let changed = |from: &str, serial: u64, lineage: Option<&str>| {
        let mut file: serde_json::Value = serde_json::from_str(from).unwrap();
        file["serial"] = serial.into();
        if let Some(lineage) = lineage {
            file["lineage"] = lineage.into();
        }
        file["resources"][0]["instances"][0]["attributes"]["id"] = "changed".into();
        project.write("changed.tfstate", &file.to_string());
    };
    let serial = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["serial"].as_u64().unwrap();
    project.write("same.tfstate", &first);
    let same = project.ok(&["state", "push", "same.tfstate"]).out;
    assert!(same.contains("nothing is to be done"), "{same}");
    let now = serial(&first);
    for (number, lineage, why) in [
        (now, None, "has the same serial"),
        (now - 1, None, "is older"),
        (now + 1, Some(""), "another lineage: none"),
        (now + 1, Some("d8b1b4b2-0000-4000-a000-000000000000"), "another lineage: d8b1"),
    ] {
        changed(&first, number, lineage);
        let refused = project.exits(1, &["state", "push", "changed.tfstate"]);
        assert!(refused.err.contains(why) && refused.err.contains("-force"), "{why}: {refused}");
    }
    let mut file: serde_json::Value = serde_json::from_str(&first).unwrap();
    file["serial"] = (now + 1).into();
    file["resources"] = serde_json::json!([]);
    project.write("changed.tfstate", &file.to_string());
    let pushed = project.ok(&["state", "push", "changed.tfstate"]).out;
    assert!(pushed.contains("terraform_data.a is forgotten: `changed.tfstate` does not know it."), "{pushed}");
    assert_eq!(project.ok(&["state", "list"]).out, "");
    // One that has another address there keeps its object.
    file = serde_json::from_str(&first).unwrap();
    file["serial"] = (serial(&project.ok(&["state", "pull"]).out) + 1).into();
    project.write("back.tfstate", &file.to_string());
    project.ok(&["state", "push", "back.tfstate"]);
    file["serial"] = (serial(&project.ok(&["state", "pull"]).out) + 1).into();
    file["resources"][0]["name"] = "b".into();
    project.write("moved.tfstate", &file.to_string());
    let pushed = project.ok(&["state", "push", "moved.tfstate"]).out;
    assert!(!pushed.contains("forgotten"), "{pushed}");
    let id = file["resources"][0]["instances"][0]["attributes"]["id"].as_str().unwrap();
    assert!(project.ok(&["state", "show", "terraform_data.b"]).out.contains(id));
    let now = serial(&project.ok(&["state", "pull"]).out);
    // Another project's file is of another lineage, whatever both are called.
    std::fs::rename(project.directory.join(".andon"), project.directory.join("before")).unwrap();
    project.ok(&["apply", "-y"]);
    let refused = project.exits(1, &["state", "push", "same.tfstate"]);
    assert!(refused.err.contains("another lineage"), "{refused}");
    std::fs::remove_dir_all(project.directory.join(".andon")).unwrap();
    std::fs::rename(project.directory.join("before"), project.directory.join(".andon")).unwrap();
    changed(&first, now + 1, None);
    project.ok(&["state", "push", "changed.tfstate"]);
    assert!(project.ok(&["state", "show", "terraform_data.a"]).out.contains("changed"));
    // What is recorded of another environment is no reason to refuse.
    let pulled = project.ok(&["state", "pull"]).out;
    assert!(serial(&pulled) > now);
    project.ok(&["workspace", "new", "other"]);
    project.ok(&["apply", "-y"]);
    project.ok(&["workspace", "select", "default"]);
    assert_eq!(project.ok(&["state", "pull"]).out, pulled);
    changed(&pulled, serial(&pulled) + 1, None);
    project.ok(&["state", "push", "changed.tfstate"]);
    // Forced, anything goes.
    changed(&first, 1, Some("x"));
    project.ok(&["state", "push", "-force", "changed.tfstate"]);
}

#[test]
fn odd_files_are_refused_whole() {
    let project = project("push-odd");
    for (text, said) in [
        ("", "it is not JSON"),
        ("{}", "it has no format version"),
        ("{\"version\":3}", "it has format version 3"),
        (
            r#"{"version":4,"resources":[{"mode":"managed","type":"a","name":"b","provider":"x","instances":[]}]}"#,
            "a.b has a provider that cannot be read: x",
        ),
        (
            r#"{"version":4,"resources":[{"mode":"managed","type":"a_b","name":"b",
               "provider":"provider[\"registry.terraform.io/hashicorp/a\"]",
               "instances":[{"schema_version":0,"attributes_flat":{"id":"x"}}]}]}"#,
            "the attributes of a_b.b are as Terraform before 0.12 wrote them",
        ),
    ] {
        project.write("odd.tfstate", text);
        let refused = project.exits(1, &["state", "push", "odd.tfstate"]);
        assert!(refused.err.contains(said) && refused.err.contains("Nothing was done."), "{said}: {refused}");
    }
    assert_eq!(project.ok(&["state", "list"]).out, "");
    let missing = project.exits(1, &["state", "push", "no.tfstate"]);
    assert!(missing.err.contains("`no.tfstate` cannot be read"), "{missing}");
}

#[test]
fn an_apply_with_nothing_to_do_records_what_conditions_come_to() {
    let project = Project::empty("checked-again");
    let definitions = |bound: u32| {
        format!(
            "resource \"terraform_data\" \"it\" {{\n  count = 3\n  input = count.index\n}}\ncheck \"small\" {{\n  assert \
             {{\n    condition     = length(terraform_data.it) < {bound}\n    error_message = \"there are many\"\n  }}\n}}\n"
        )
    };
    let statuses = || {
        let pulled: serde_json::Value = serde_json::from_str(&project.ok(&["state", "pull"]).out).unwrap();
        pulled["check_results"][0]["status"].as_str().map(str::to_owned)
    };
    project.write("main.tf", &definitions(5));
    project.ok(&["apply", "-y"]);
    assert_eq!(statuses().as_deref(), Some("pass"));
    project.write("main.tf", &definitions(3));
    let ran = project.ok(&["apply", "-y"]);
    assert!(ran.all().contains("there are many"), "{ran}");
    assert_eq!(statuses().as_deref(), Some("fail"));
    // Where nothing is new, nothing is recorded: there is no run to be shown.
    let runs = project.ok(&["logs", "--runs"]).out;
    project.ok(&["apply", "-y"]);
    assert_eq!(project.ok(&["logs", "--runs"]).out, runs);
}
