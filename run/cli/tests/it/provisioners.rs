//! Provisioners and the state of other configurations through the real binary, beside a real `terraform`
//! (`ANDON_TERRAFORM` or `PATH`) over `terraform_data`.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::support::Project;

/// What happens to one directory, one after the other: a variable's value, and what is said. Every provisioner writes
/// a line into `log`, with the name of its object before the first space.
const LIFE: &[(&str, [&str; 3], &str)] = &[
    ("made", ["v=1", "fail=none", "many=3"], "apply"),
    ("nothing to do", ["v=1", "fail=none", "many=3"], "apply"),
    ("one fails while all are replaced", ["v=2", "fail=b", "many=3"], "apply"),
    ("what is tainted is replaced without its leave", ["v=2", "fail=none", "many=3"], "apply"),
    ("fewer", ["v=2", "fail=none", "many=1"], "apply"),
    ("one cannot leave", ["v=3", "fail=leave", "many=1"], "apply"),
    ("now it can", ["v=3", "fail=none", "many=1"], "apply"),
    ("one cannot leave for good", ["v=3", "fail=leave", "many=1"], "destroy"),
    ("now all do", ["v=3", "fail=none", "many=1"], "destroy"),
];

const LIVING: &str = r#"
variable "v" {}
variable "fail" {}
variable "many" { type = number }

locals { greeting = "hello" }

resource "terraform_data" "first" {
  input            = var.v
  triggers_replace = var.v
  lifecycle { create_before_destroy = true }
  provisioner "local-exec" { command = "echo first ${local.greeting} ${self.input} >> log" }
  provisioner "local-exec" {
    when    = destroy
    command = "echo first never >> log"
  }
}

resource "terraform_data" "b" {
  input            = { fail = var.fail }
  triggers_replace = var.v
  depends_on       = [terraform_data.first]
  provisioner "local-exec" {
    command    = "echo b 1 ${terraform_data.first.input} >> log; exit 9"
    on_failure = continue
  }
  provisioner "local-exec" { command = "echo b 2 >> log; test ${var.fail} != b" }
  provisioner "local-exec" { command = "echo b 3 ${path.module} >> log" }
  provisioner "local-exec" {
    when    = destroy
    command = "echo b bye >> log; test ${self.input.fail} != leave"
  }
  provisioner "local-exec" {
    when    = destroy
    command = "echo b bye again >> log"
  }
}

resource "terraform_data" "many" {
  count = var.many
  provisioner "local-exec" {
    command     = "echo many${count.index} $A >> log"
    environment = { A = "a${count.index}" }
  }
  provisioner "local-exec" {
    when    = destroy
    command = "echo many${count.index} bye >> log"
  }
}

resource "terraform_data" "keyed" {
  for_each   = toset(["x", "y"])
  input      = each.key
  depends_on = [terraform_data.b]
  provisioner "local-exec" {
    command     = "echo keyed-${each.value} made >> ../log"
    working_dir = "sub"
  }
  provisioner "local-exec" {
    when        = destroy
    interpreter = ["/bin/bash", "-ec"]
    command     = "echo keyed-${each.key} bye ${self.output} >> log"
  }
}

output "made" { value = terraform_data.b.id != "" }
"#;

fn terraform(project: &Project, words: &[&str]) -> Option<Output> {
    let program = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    let mut command = Command::new(program);
    project.write(".terraformrc", "");
    command.args(words).current_dir(&project.directory).env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1");
    command.env("TF_CLI_CONFIG_FILE", project.directory.join(".terraformrc"));
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: no terraform to compare with: {error}");
            None
        }
    }
}

/// The lines of the log, each object's together and in their order.
fn log(project: &Project) -> Vec<String> {
    let path = project.directory.join("log");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_by_key(|line| line.split(' ').next().unwrap_or_default().to_owned());
    lines
}

/// What a plan would do, by address.
fn planned(ours: bool, project: &Project, variables: &[String]) -> BTreeMap<String, String> {
    let mut words = vec!["plan"];
    words.extend(variables.iter().map(String::as_str));
    let changes: Vec<Json> = match ours {
        true => {
            words.push("--json");
            let plan: Json = serde_json::from_str(&project.ok(&words).out).unwrap();
            plan["changes"].as_array().unwrap().clone()
        }
        false => {
            words.extend(["-out=planned", "-input=false"]);
            let ran = terraform(project, &words).unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            let shown = terraform(project, &["show", "-json", "planned"]).unwrap().stdout;
            let plan: Json = serde_json::from_slice(&shown).unwrap();
            plan["resource_changes"].as_array().unwrap().clone()
        }
    };
    let action = |change: &Json| match &change["change"]["actions"] {
        Json::Array(actions) if actions.len() == 2 => "replace".to_owned(),
        Json::Array(actions) => actions[0].as_str().unwrap().to_owned(),
        _ => change["action"].as_str().unwrap().replace("delete_deposed", "delete"),
    };
    let named = changes.iter().map(|change| (change["address"].as_str().unwrap().to_owned(), action(change)));
    named.filter(|(_, action)| action != "no-op").collect()
}

#[test]
fn provisioners_live_as_terraforms_do() {
    let (theirs, ours) = (Project::empty("provision-theirs"), Project::empty("provision-ours"));
    for project in [&theirs, &ours] {
        project.write("main.tf", LIVING);
        project.write("sub/keep", "");
    }
    if terraform(&theirs, &["init", "-input=false"]).is_none() {
        return;
    }
    for (about, given, verb) in LIFE {
        let variables: Vec<String> = given.iter().map(|it| format!("-var={it}")).collect();
        let mut words = vec![*verb];
        words.extend(variables.iter().map(String::as_str));
        let ran = terraform(&theirs, &[&words[..], &["-input=false", "-auto-approve"]].concat()).unwrap();
        let our = ours.andon(&[&words[..], &["-y"]].concat());
        let their = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.status.success(), our.code == Some(0), "{about}: {our}{their}");
        assert_eq!(log(&ours), log(&theirs), "{about}: {our}{their}");
        assert_eq!(planned(true, &ours, &variables), planned(false, &theirs, &variables), "{about}: {our}{their}");
    }
}

#[test]
fn output_is_shown_and_failures_say_what_to_expect() {
    let project = Project::empty("provision-output");
    project.write(
        "main.tf",
        r#"
variable "secret" {
  default   = "hunter2"
  sensitive = true
}
resource "terraform_data" "a" {
  provisioner "local-exec" { command = "echo out; echo err >&2" }
  provisioner "local-exec" { command = "echo ${var.secret}; exit 3" }
}
"#,
    );
    let ran = project.exits(1, &["apply", "-y"]);
    let all = ran.all();
    for words in ["local-exec: out", "local-exec: err", "local-exec failed: exit status 3", "marked as tainted"] {
        assert!(all.contains(words), "no {words:?} in {ran}");
    }
    assert!(!all.contains("hunter2"), "{ran}");
    assert_eq!(planned(true, &project, &[]), [("terraform_data.a".to_owned(), "replace".to_owned())].into());
}

#[test]
fn nothing_that_was_started_is_left_after_a_kill() {
    for signal in [libc::SIGKILL, libc::SIGINT] {
        let project = Project::empty("provision-kill");
        let text = r#"resource "terraform_data" "a" {
  provisioner "local-exec" { command = "sleep 300 & echo $! > pid.new; mv pid.new pid; wait" }
}
"#;
        project.write("main.tf", text);
        let mut child = project.command(&["apply", "-y"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        let wait = |what: &str, done: &mut dyn FnMut() -> bool| {
            while !done() {
                assert!(Instant::now() < patience, "{what}");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        let pid = project.directory.join("pid");
        wait("nothing was started", &mut || pid.exists());
        let sleeping: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let send = |to: i32, signal| {
            // SAFETY: kill takes numbers.
            unsafe { libc::kill(to, signal) == 0 }
        };
        wait("it did not end", &mut || {
            send(child.id() as i32, signal);
            child.try_wait().unwrap().is_some()
        });
        wait("what was started is there still", &mut || !send(sleeping, 0) || is_zombie(sleeping));
        // What was not wholly made is replaced.
        assert_eq!(planned(true, &project, &[]), [("terraform_data.a".to_owned(), "replace".to_owned())].into());
    }
}

fn is_zombie(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z'))
}

const WRITER: &str = r#"
output "text" { value = "words" }
output "deep" { value = { list = [1, "two", null], set = toset(["x"]) } }
output "secret" {
  value     = "hunter2"
  sensitive = true
}
"#;

const READER: &str = r#"
data "terraform_remote_state" "other" {
  backend  = "local"
  config   = { path = "writer/terraform.tfstate" }
  defaults = { text = "not this", more = "but this" }
}
data "terraform_remote_state" "side" {
  backend   = "local"
  workspace = "side"
  config    = { workspace_dir = "writer/terraform.tfstate.d" }
}
resource "terraform_data" "reads" { input = data.terraform_remote_state.other.outputs.deep.list[1] }
output "all" { value = { for name, value in data.terraform_remote_state.other.outputs : name => value if name != "secret" } }
output "side" { value = data.terraform_remote_state.side.outputs.text }
output "hidden" {
  value     = data.terraform_remote_state.other.outputs.secret
  sensitive = true
}
output "is_secret" { value = issensitive(data.terraform_remote_state.other.outputs.secret) }
"#;

#[test]
fn states_of_other_configurations_are_read_as_terraform_reads_them() {
    let (theirs, ours) = (Project::empty("remote-theirs"), Project::empty("remote-ours"));
    for project in [&theirs, &ours] {
        project.write("main.tf", READER);
        project.write("writer/main.tf", WRITER);
    }
    let (directory, program) = (theirs.directory.join("writer"), ours.program.clone());
    let writer = Project { program, directory, data_dir: ours.data_dir.clone(), port: 0 };
    if terraform(&writer, &["init", "-input=false"]).is_none() {
        return;
    }
    let run = |project: &Project, words: &[&str]| {
        let ran = terraform(project, words).unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    let missing = ours.exits(1, &["apply", "-y"]);
    assert!(missing.err.contains("there is no state to be read"), "{missing}");
    run(&writer, &["apply", "-auto-approve"]);
    run(&writer, &["workspace", "new", "side"]);
    run(&writer, &["apply", "-auto-approve"]);
    for file in ["terraform.tfstate", "terraform.tfstate.d/side/terraform.tfstate"] {
        ours.write(&format!("writer/{file}"), &fs::read_to_string(writer.directory.join(file)).unwrap());
    }
    run(&theirs, &["init"]);
    run(&theirs, &["apply", "-auto-approve"]);
    let applied = ours.ok(&["apply", "-y"]);
    assert!(!applied.all().contains("hunter2"), "{applied}");
    let theirs: BTreeMap<String, Json> = serde_json::from_str(&run(&theirs, &["output", "-json"])).unwrap();
    let given: BTreeMap<String, Json> = serde_json::from_str(&ours.ok(&["output", "--json"]).out).unwrap();
    assert_eq!(given, theirs);
    assert!(planned(true, &ours, &[]).is_empty());
}

#[test]
fn what_other_environments_have_published_is_read_from_the_ledger() {
    let project = Project::empty("remote-ledger");
    project.write("andon.hcl", "project \"p\" {}\nenvironment \"dev\" {}\nenvironment \"prod\" {}\n");
    project.write("stacks/net/main.tf", "output \"name\" { value = \"net of ${terraform.workspace}\" }\n");
    project.write(
        "stacks/web/main.tf",
        r#"
data "terraform_remote_state" "net" {
  backend = "andon"
  config  = { environment = "prod", stack = "net" }
}
output "seen" { value = data.terraform_remote_state.net.outputs.name }
"#,
    );
    let early = project.exits(1, &["apply", "-y", "-e", "dev", "web"]);
    assert!(early.err.contains("the environment \"prod\" has published nothing"), "{early}");
    project.ok(&["apply", "-y", "-e", "prod", "net"]);
    let ran = project.ok(&["apply", "-y", "-e", "dev", "web"]);
    assert!(project.ok(&["output", "-e", "dev", "--json"]).out.contains("net of prod"), "{ran}");
    project.edit("stacks/web/main.tf", "backend = \"andon\"", "backend = \"http\"");
    let refused = project.exits(1, &["plan", "-e", "dev", "web"]);
    assert!(refused.err.contains("the state that the backend \"http\" keeps cannot be read"), "{refused}");
}
