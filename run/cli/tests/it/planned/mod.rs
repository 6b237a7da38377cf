//! What is known before an apply, and what comes of it: our plans held against those of a real `terraform`
//! (`ANDON_TERRAFORM` or `PATH`), over `terraform_data`, which needs no provider from anywhere.

mod applied;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value as Json;

use crate::support::{Project, unknown_in, without_nulls};

const EXPRESSIONS: &str = include_str!("expressions.txt");
const RESOURCES: &str = include_str!("main.tf");
const MODULE: &str = r#"
variable "name" {}
resource "terraform_data" "in" { input = var.name }
output "id" { value = terraform_data.in.id }
output "input" { value = terraform_data.in.input }
output "out" { value = terraform_data.in.output }
"#;

/// Expressions of which the two know different things before an apply.
const DIFFERENT: &[(&str, &[&str])] = &[
    (
        "what one side decides needs no other side, as in newer versions of Terraform",
        &[
            "terraform_data.b.output && false",
            "false && terraform_data.b.output",
            "true || terraform_data.b.output",
            "terraform_data.b.output || true",
        ],
    ),
    (
        "of what is made with something unknown, we foresee the type and the length only",
        &["formatlist(\"%s-x\", [\"a\", terraform_data.s.id])", "setproduct([\"a\"], [terraform_data.s.id])"],
    ),
    (
        "Terraform says that nothing matches, which the apply may show to be wrong",
        &["matchkeys([\"a\"], [\"b\"], [terraform_data.s.id])"],
    ),
];

/// Runs `terraform` in a project; `None` where there is none.
fn terraform(project: &Project, words: &[&str]) -> Option<String> {
    let program = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    let mut command = Command::new(program);
    command.args(words).current_dir(&project.directory).env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1");
    project.write(".terraformrc", "");
    command.env("TF_CLI_CONFIG_FILE", project.directory.join(".terraformrc"));
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: no terraform to compare with: {error}");
            return None;
        }
    };
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "terraform {words:?}: {told}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_is_known_before_an_apply_is_what_terraform_knows() {
    let project = Project::empty("planned-unknowns");
    let expressions: Vec<&str> = EXPRESSIONS.lines().filter(|line| !line.is_empty()).collect();
    let outputs = expressions.iter().enumerate();
    let outputs: String = outputs.map(|(at, it)| format!("output \"o{at}\" {{\n  value = {it}\n}}\n")).collect();
    project.write("main.tf", &format!("{RESOURCES}{outputs}"));
    project.write("m/main.tf", MODULE);
    project.write("gen.txt", "gen\n");
    if terraform(&project, &["init", "-input=false"]).is_none() {
        return;
    }
    terraform(&project, &["plan", "-input=false", "-out=planned"]);
    let theirs = json(&terraform(&project, &["show", "-json", "planned"]).unwrap());
    let ours = json(&project.ok(&["plan", "--json"]).out);
    let ours: BTreeMap<&str, &Json> =
        ours["outputs"].as_array().unwrap().iter().map(|it| (it["name"].as_str().unwrap(), it)).collect();
    let mut different = BTreeSet::new();
    for (at, expression) in expressions.iter().enumerate() {
        let name = format!("o{at}");
        let planned = &theirs["output_changes"][&name];
        let (mut unknown, mut own) = (BTreeSet::new(), BTreeSet::new());
        unknown_in(&planned["after_unknown"], "", |at| format!("[{at}]"), &mut unknown);
        let empty = Json::Null;
        let here = ours.get(&*name).copied().unwrap_or(&empty);
        own.extend(here["after_unknown"].as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()));
        if (without_nulls(&planned["after"]), unknown) != (without_nulls(&here["after"]), own) {
            different.insert(*expression);
        }
    }
    let expected: BTreeSet<&str> = DIFFERENT.iter().flat_map(|(_, expressions)| expressions.iter().copied()).collect();
    assert_eq!(different, expected, "of {} expressions", expressions.len());
    println!("{} expressions compared", expressions.len());
}
