//! What an apply makes of small configurations: each is a module of one project, which both apply.

use std::collections::BTreeMap;

use super::{json, terraform};
use crate::support::Project;

const CASES: &str = include_str!("cases.tf");

const INNER: &str = r#"
variable "name" { type = string }
resource "terraform_data" "in" { input = "hi ${var.name}" }
output "said" { value = terraform_data.in.output }
output "place" { value = basename(path.module) }
"#;

const OUTER: &str = r#"
variable "names" { type = list(string) }
module "each" {
  source   = "../inner"
  for_each = toset(var.names)
  name     = each.key
}
output "all" { value = [for name in var.names : module.each[name].said] }
"#;

/// The cases: what each is about, and its text.
fn cases() -> Vec<(&'static str, &'static str)> {
    CASES.split("### ").filter_map(|case| case.split_once('\n')).collect()
}

fn write(project: &Project) {
    project.write("inner/main.tf", INNER);
    project.write("outer/main.tf", OUTER);
    project.write("hello.tftpl", "hello ${name}\n");
    let mut root = String::new();
    for (at, (_, text)) in cases().into_iter().enumerate() {
        project.write(&format!("case{at}/main.tf"), text);
        root += &format!("module \"case{at}\" {{\n  source = \"./case{at}\"\n}}\n");
        root += &format!("output \"case{at}\" {{\n  value = module.case{at}.v\n}}\n");
    }
    project.write("main.tf", &root);
}

#[test]
fn outputs_of_an_apply_are_those_of_terraform() {
    let (theirs, ours) = (Project::empty("applied-theirs"), Project::empty("applied-ours"));
    write(&theirs);
    write(&ours);
    if terraform(&theirs, &["init", "-input=false"]).is_none() {
        return;
    }
    terraform(&theirs, &["apply", "-input=false", "-auto-approve"]);
    let outputs = json(&terraform(&theirs, &["output", "-json"]).unwrap());
    let theirs: BTreeMap<String, serde_json::Value> = serde_json::from_value(outputs).unwrap();
    ours.ok(&["apply", "-y"]);
    let given: BTreeMap<String, serde_json::Value> = serde_json::from_str(&ours.ok(&["output", "--json"]).out).unwrap();
    let mut different = Vec::new();
    for (at, (about, _)) in cases().into_iter().enumerate() {
        let name = format!("case{at}");
        if theirs.get(&name) != given.get(&name) {
            different.push(format!("{about}: {:?} for {:?}", given.get(&name), theirs.get(&name)));
        }
    }
    assert!(different.is_empty(), "{different:#?}");
    // Nothing is left to be done but what is new each time.
    let again = json(&ours.ok(&["plan", "--json"]).out);
    let about = cases();
    for change in again["changes"].as_array().unwrap() {
        let address = change["address"].as_str().unwrap();
        let case = address.strip_prefix("module.case").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        let (about, _) = about[case.unwrap()];
        assert!(["timestamp", "plantimestamp", "uuid"].contains(&about), "{about}: {change}");
    }
}
