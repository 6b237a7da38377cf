//! What pipelines that were written for Terraform do, as they do it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::{Project, Ran};

fn project(name: &str, definitions: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", definitions);
    project
}

/// Runs the binary with a text on standard input.
fn told(project: &Project, words: &[&str], input: &str) -> Ran {
    let mut child = project.command(words);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Ran::new(words, &child.wait_with_output().unwrap(), std::time::Duration::ZERO)
}

#[test]
fn a_pipeline_runs_to_its_end() {
    let project = project("pipeline", "variable \"a\" {}\nresource \"terraform_data\" \"a\" { input = var.a }\n");
    project.ok(&["init", "-input=false", "-reconfigure", "-backend-config=key=x", "-lock-timeout=1m"]);
    project.ok(&["workspace", "select", "-or-create=true", "side"]);
    project.ok(&["plan", "-input=false", "-lock=false", "-compact-warnings", "-no-color", "-var=a=1", "-out=tfplan"]);
    project.ok(&["apply", "-input=false", "-auto-approve=true", "-lock-timeout=1m", "tfplan"]);
    project.ok(&["refresh", "-input=false", "-var=a=1"]);
    let locked = "provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.1.0\"\n}\n";
    project.write(".terraform.lock.hcl", locked);
    let version: serde_json::Value = serde_json::from_str(&project.ok(&["version", "-json"]).out).unwrap();
    assert_eq!(version["terraform_version"], "1.11.4");
    let selected = serde_json::json!({ "registry.terraform.io/hashicorp/aws": "5.1.0" });
    assert_eq!((&version["provider_selections"], &version["terraform_outdated"]), (&selected, &false.into()));
    let said = project.ok(&["version"]).out;
    assert!(said.contains("+ provider registry.terraform.io/hashicorp/aws v5.1.0\n"), "{said}");
    std::fs::remove_file(project.directory.join(".terraform.lock.hcl")).unwrap();
    project.ok(&["get", "-update"]);
    project.write("one.tfvars", "a = \"1\"\n");
    project.write("two.tfvars", "a = \"2\"\n");
    project.ok(&["plan", "-var=a=1", "-out=again"]);
    project.ok(&["apply", "-var-file=one.tfvars", "again"]);
    project.ok(&["plan", "-var=a=1", "-out=again"]);
    let ran = project.command(&["apply"]).env("TF_CLI_ARGS_apply", "-input=false -var 'a=2'").output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stderr).contains("Nothing may be asked"), "{ran:?}");
    for (words, said) in [
        (["apply", "-var=a=2", "again"].as_slice(), "it has its own values: The command line gives \"a\" another one"),
        (
            &["apply", "-var-file=two.tfvars", "again"],
            "it has its own values: The command line gives \"a\" another one",
        ),
        (&["apply", "-state=x", "again"], "tip: the state is in the ledger: leave it out"),
        (&["apply", "-input=false", "-var=a=2"], "Nothing may be asked"),
        (&["apply", "-lock=false", "-auto-approve", "-var=a=2"], "under its environment's lock"),
        (&["apply", "nope.plan"], "there is no file `nope.plan`"),
        (&["apply", "main.tf"], "`main.tf` is no plan that `andon plan -out` saved"),
        (&["apply", "nope"], "there is no file `nope`"),
        (&["plan", "-refresh-only", "-replace=terraform_data.a"], "-replace and -refresh-only exclude each other"),
        (&["apply", "-refresh-only", "-refresh=false"], "-refresh=false and -refresh-only exclude each other"),
        (&["destroy", "-replace=terraform_data.a"], "-replace and a plan to delete everything exclude each other"),
        (&["plan", "-inptu=false"], "'-inptu' found\n\n  tip: a similar argument exists: '-input'"),
    ] {
        let refused = project.exits(1, words);
        assert!(refused.err.contains(said), "{said}: {refused}");
    }
    project.ok(&["destroy", "-input=false", "-auto-approve", "-var=a=1"]);
}

#[test]
fn what_is_defined_no_more_is_seen_and_destroyed() {
    let project = project("undefined", "resource \"terraform_data\" \"a\" {}\n");
    project.ok(&["apply", "-y"]);
    std::fs::remove_file(project.directory.join("main.tf")).unwrap();
    for words in [["plan", "-refresh-only"], ["apply", "-y"]] {
        let refused = project.exits(1, &words);
        assert!(refused.err.contains("holds no definitions any more"), "{refused}");
    }
    assert_eq!(project.ok(&["state", "list"]).out, "terraform_data.a\n");
    assert!(project.ok(&["show"]).out.contains("terraform_data"));
    project.ok(&["destroy", "-y"]);
    assert_eq!(project.ok(&["state", "list"]).out, "");
}

#[test]
fn the_answer_is_read_from_standard_input() {
    let project = project("answers", "resource \"terraform_data\" \"a\" {}\n");
    for (input, code, said) in
        [("", 1, "There is nobody to ask"), ("no\n", 1, "Nothing was done."), ("yes\n", 0, "Done: 1 created")]
    {
        let ran = told(&project, &["apply"], input);
        assert!(ran.code == Some(code) && ran.err.contains(said), "{input:?}: {ran}");
    }
}

#[test]
fn outputs_are_given_to_programs_as_they_are() {
    let project = project(
        "given",
        "output \"half\" { value = 1.5 }\noutput \"yes\" { value = true }\noutput \"list\" { value = [1] }\n\
         output \"secret\" {\n  value     = { word = sensitive(\"hush\"), plain = 1 }\n  sensitive = true\n}\n\
         output \"pin\" {\n  value     = 99\n  sensitive = true\n}\n",
    );
    project.ok(&["apply", "-y"]);
    for (name, expected) in [("half", "1.5"), ("yes", "true"), ("pin", "99")] {
        assert_eq!(project.ok(&["output", "-raw", name]).out, expected);
    }
    let refused = project.exits(1, &["output", "-raw", "list"]).err;
    assert!(refused.contains("only a string, a number or a bool"), "{refused}");
    let all: serde_json::Value = serde_json::from_str(&project.ok(&["output", "-json"]).out).unwrap();
    assert_eq!(all["secret"]["value"], serde_json::json!({ "word": "hush", "plain": 1 }));
    assert_eq!((&all["pin"]["value"], &all["pin"]["sensitive"]), (&99.into(), &true.into()));
    assert!(!project.ok(&["output"]).out.contains("hush"));
}

#[test]
fn what_terraform_left_is_not_made_once_more() {
    let managed = r#"{"version":4,"serial":3,"lineage":"l","resources":[{"mode":"managed","type":"terraform_data","name":"a",
        "provider":"provider[\"terraform.io/builtin/terraform\"]",
        "instances":[{"schema_version":0,"attributes":{"id":"x","input":null,"output":null,"triggers_replace":null}}]}]}"#;
    let data = r#"{"version":4,"resources":[{"mode":"data","instances":[{}]}]}"#;
    for (path, text, refused) in [
        ("terraform.tfstate", managed, true),
        ("terraform.tfstate", data, false),
        ("terraform.tfstate", r#"{"version":4,"resources":[]}"#, false),
        ("terraform.tfstate", "", false),
        ("terraform.tfstate", r#"{"version":3,"modules":[{"resources":{"a.b":{}}}]}"#, true),
        ("terraform.tfstate.d/other/terraform.tfstate", managed, false),
        (".terraform/terraform.tfstate", r#"{"version":3,"backend":{"type":"s3","config":{}}}"#, true),
        (".terraform/terraform.tfstate", r#"{"version":3}"#, false),
    ] {
        let project = project("left", "resource \"terraform_data\" \"a\" {}\n");
        project.write(path, text);
        let code = i32::from(refused);
        let plan = project.exits(code, &["plan"]);
        assert_eq!(plan.err.contains(&format!("move `{path}` away")), refused, "{plan}");
        project.exits(code, &["apply", "-y"]);
        if text == managed && refused {
            project.ok(&["state", "push", path]);
            assert!(project.ok(&["plan"]).out.contains("no changes, 1 unchanged"));
            // Once something was recorded, the file is of the past.
            project.ok(&["destroy", "-y"]);
            project.ok(&["plan"]);
        }
    }
    let side = project("left-aside", "resource \"terraform_data\" \"a\" {}\n");
    side.write("terraform.tfstate.d/side/terraform.tfstate", managed);
    side.ok(&["workspace", "new", "side"]);
    let refused = side.exits(1, &["plan"]);
    assert!(refused.err.contains("andon state push terraform.tfstate.d/side/terraform.tfstate"), "{refused}");
}

#[test]
fn a_backend_is_told_of_when_the_project_is_made_ready() {
    let project = project("backend", "terraform {\n  backend \"local\" {}\n}\n");
    let said = project.ok(&["init"]).err;
    assert!(said.contains("warning: state is kept in the ledger, and nowhere else"), "{said}");
    assert!(project.exits(1, &["plan"]).err.contains("error: state is kept in the ledger, and nowhere else"));
}

#[test]
fn a_directory_that_nobody_may_read_is_no_empty_one() {
    let project = project("closed", "");
    std::fs::set_permissions(&project.directory, std::fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads everything.
    let readable = std::fs::read_dir(&project.directory).is_ok();
    let directory = project.directory.display().to_string();
    let mut command = project.command(&["-C", &directory, "status"]);
    let output = command.current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    std::fs::set_permissions(&project.directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(said.contains("cannot be read: Permission denied"), !readable, "{said}");
}
