//! The commands that look at the state, and that change what it says, as whole terminals.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use crate::plugins::{run, with_toy};
use crate::support::{Project, eventually, snapshot};

fn project(name: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write(
        "main.tf",
        "resource \"terraform_data\" \"a\" {\n  count = 2\n  input = count.index\n}\n\
         resource \"terraform_data\" \"user\" { input = terraform_data.a[0].input }\n",
    );
    project.ok(&["apply", "-y"]);
    project
}

/// What was said without what is told meanwhile, which comes in any order, and without how long it took.
pub fn calm(text: &str) -> String {
    let meanwhile = ["✓ ", "  creating ", "  updating ", "  deleting ", "  replacing "];
    let lines = text.lines().filter(|line| !meanwhile.iter().any(|start| line.starts_with(start)));
    // How long it took, and what was made up, is something else each time.
    let calm = |line: &str| match line.split_once(" in ") {
        Some((done, _)) if line.starts_with("Done: ") || line.starts_with("Gone: ") => format!("{done}.\n"),
        _ if line.starts_with("      id = ") && line.len() == 49 => "      id = \"ID\"\n".to_owned(),
        _ => format!("{line}\n"),
    };
    lines.map(calm).collect()
}

/// The answers of some command lines, one after the other, with what the last apply named masked.
pub fn told(project: &Project, lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = project.andon(&words);
        text.push_str(&format!("$ andon {line}\n{}{}", ran.out, ran.err));
    }
    text
}

#[test]
fn objects_are_listed_moved_and_forgotten() {
    let project = project("state");
    let text = told(
        &project,
        &[
            "state list",
            "state list terraform_data.a[1]",
            "state list terraform_data.b",
            "state mv -dry-run terraform_data.a terraform_data.b",
            "state mv terraform_data.a terraform_data.b",
            "state mv terraform_data.user terraform_data.b[1]",
            "state mv terraform_data.b terraform_data.user",
            "state mv terraform_data.nothing terraform_data.c",
            "state mv terraform_data.b[1] module.m.terraform_data.b",
            "state list module.m",
            "taint terraform_data.user",
            "untaint terraform_data.user",
            "untaint terraform_data.user",
            "taint -allow-missing terraform_data.gone",
            "state rm -dry-run terraform_data.b",
            "state rm terraform_data.b module.m",
            "state rm terraform_data.b",
            "state list -json",
            "state resolve terraform_data.user --absent",
            "state replace-provider -auto-approve hashicorp/aws example.net/a/b",
            "workspace show",
            "workspace list",
        ],
    );
    let id = text.split("\"id\":\"").nth(1).or_else(|| text.split("\"id\": \"").nth(1)).unwrap();
    let id = id.split('"').next().unwrap();
    let text = text.replace(id, "ID");
    snapshot("state.txt", &text);
    // Each of them is a run that the ledger tells of.
    let logs = project.ok(&["logs", "--runs"]).out;
    assert!(logs.contains("state mv terraform_data.a terraform_data.b"), "{logs}");
    assert!(logs.contains("untaint terraform_data.user"), "{logs}");
}

#[test]
fn history_in_definitions_is_followed_once() {
    let project = project("history");
    project.write(
        "main.tf",
        "moved {\n  from = terraform_data.a\n  to   = terraform_data.b\n}\n\
         removed {\n  from = terraform_data.user\n  lifecycle { destroy = false }\n}\n\
         import {\n  to = terraform_data.c\n  id = \"any\"\n}\n\
         resource \"terraform_data\" \"b\" {\n  count = 2\n  input = count.index\n}\n\
         resource \"terraform_data\" \"c\" { input = \"x\" }\n",
    );
    let plan = project.ok(&["plan"]).out;
    for line in [
        "terraform_data.a[0, 1] are now terraform_data.b[0, 1]",
        "forget terraform_data.user",
        "~ update terraform_data.c\n    imported by the id \"any\"\n",
        "2 moved, 1 to import, 1 to update, 1 to forget",
    ] {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    project.ok(&["apply", "-y"]);
    let listed = "terraform_data.b[0]\nterraform_data.b[1]\nterraform_data.c\n";
    assert_eq!(project.ok(&["state", "list"]).out, listed);
    let again = project.ok(&["plan"]).out;
    assert!(again.contains("no changes, 3 unchanged"), "{again}");
    let shown = project.ok(&["state", "show", "terraform_data.c"]).out;
    assert_eq!(
        shown,
        "# terraform_data.c:\nresource \"terraform_data\" \"c\" {\n    id     = \"any\"\n    input  = \"x\"\n    output = \"x\"\n}\n"
    );
}

#[test]
fn what_is_there_already_is_imported() {
    let project = project("import");
    project.write(
        "main.tf",
        "variable \"input\" {}\nresource \"terraform_data\" \"a\" { input = var.input }\n\
         resource \"terraform_data\" \"b\" {\n  for_each = { \"x.${1}\" = terraform_data.a.output }\n  input    = each.value\n}\n",
    );
    let (given, b) = ("-var=input=x", "terraform_data.b[\"x.1\"]");
    project.ok(&["apply", "-y", given]);
    project.ok(&["state", "rm", b]);
    let odd = "a \"${x}\" \\ %{b}\n";
    let ran = project.ok(&["import", given, b, odd]);
    assert!(!ran.err.contains("-target"), "{ran}");
    let shown = project.ok(&["state", "show", "-json", b]).out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["attributes"]["id"], odd);
    // What is defined otherwise is left to the next apply.
    let plan = project.ok(&["plan", given]).out;
    assert!(plan.contains("1 to update"), "{plan}");
    for (words, said) in [
        ([given, b, "y"], "there is an object at terraform_data.b[\"x.1\"] already"),
        ([given, "terraform_data.b[\"y\"]", "y"], "there is no instance terraform_data.b[\"y\"] to import into"),
        ([given, "terraform_data.c", "y"], "terraform_data.c is not defined"),
        ([given, "data.terraform_remote_state.c", "y"], "nothing can be imported into data.terraform_remote_state.c"),
    ] {
        let refused = project.exits(1, &[&["import"], &words[..]].concat());
        assert!(refused.err.contains(said), "{said}: {refused}");
        assert!(!refused.err.contains("the command line") && !refused.err.contains("-target"), "{refused}");
    }
    assert_eq!(project.ok(&["state", "list"]).out.lines().count(), 2);
    let refused = project.exits(1, &["state", "show", "terraform_data.b"]);
    assert!(refused.err.contains("It has instances: `terraform_data.b[\"x.1\"]`."), "{refused}");
    assert!(project.ok(&["logs", "--runs"]).out.contains("import terraform_data.b"));
}

#[test]
fn what_is_to_move_is_in_the_way_of_no_import() {
    let project = project("import-beside-a-move");
    project.write("main.tf", "resource \"terraform_data\" \"a\" {}\n");
    project.ok(&["apply", "-y"]);
    project.write(
        "main.tf",
        "resource \"terraform_data\" \"b\" {}\nresource \"terraform_data\" \"c\" {}\n\
         moved {\n  from = terraform_data.a\n  to   = terraform_data.b\n}\n",
    );
    project.ok(&["import", "terraform_data.c", "any"]);
    assert_eq!(project.ok(&["state", "list"]).out, "terraform_data.a\nterraform_data.c\n");
    project.ok(&["apply", "-y"]);
    assert_eq!(project.ok(&["state", "list"]).out, "terraform_data.b\nterraform_data.c\n");
}

#[test]
fn what_a_crash_left_open_is_resolved_under_a_run_of_its_own() {
    let lost = "name = \"crash at ApplyResourceChange\"";
    let text = format!("resource \"toy_thing\" \"a\" {{ {lost} }}\nresource \"toy_thing\" \"b\" {{ {lost} }}\n");
    let Some(project) = with_toy("state-crash", &["1.0.0"], &text) else { return };
    let crashed = run(&project, &["apply", "-y", "-parallelism=1"]);
    assert_eq!(crashed.code, Some(1), "{crashed}");
    for (words, code, said) in [
        ("plan", 1, "became of toy_thing.a, toy_thing.b."),
        ("plan", 1, "andon state resolve 'toy_thing.a' 'toy_thing.b' --absent"),
        ("state mv toy_thing.a toy_thing.c", 1, "became of toy_thing.a, toy_thing.b."),
        ("apply -y", 1, "andon state resolve 'toy_thing.a' --absent"),
        ("apply -y", 1, "andon state resolve 'toy_thing.b' --absent"),
        ("status", 0, "toy_thing.b  it is not known yet what became of it"),
        ("state resolve toy_thing.a toy_thing.c --absent", 1, "nothing is unknown of toy_thing.c"),
        ("state resolve toy_thing.a toy_thing.b --id x", 1, "an id is of one object"),
        ("state resolve toy_thing.a --absent", 0, "There is nothing of toy_thing.a"),
        ("state resolve toy_thing.a --absent", 1, "It is of toy_thing.b."),
        ("state resolve toy_thing.b --absent", 0, "There is nothing of toy_thing.b"),
        ("plan", 0, "2 to create"),
        ("logs --runs", 0, "`state resolve toy_thing.b` by"),
    ] {
        let ran = run(&project, &words.split(' ').collect::<Vec<_>>());
        assert!(ran.code == Some(code) && ran.all().contains(said), "{words}: {said}: {ran}");
    }
}

/// A run that has come so far, and goes on until it is ended; what it says is in `said`.
fn going_on(project: &Project, words: &[&str], until: &str) -> Child {
    let mut command = project.command(words);
    command.env("XDG_CACHE_HOME", project.directory.join("cache")).env("HOME", &project.directory);
    command.env("TF_CLI_CONFIG_FILE", project.directory.join("none")).env_remove("TF_PLUGIN_CACHE_DIR");
    let said = File::create(project.directory.join("said")).unwrap();
    let child = command.stdout(Stdio::null()).stderr(said).spawn().unwrap();
    eventually("the run came as far", std::time::Duration::from_secs(60), || {
        fs::read_to_string(project.directory.join("said")).unwrap().contains(until)
    });
    child
}

fn send(child: &Child, signal: i32) {
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id() as i32, signal) };
}

#[test]
fn a_plan_is_made_while_another_run_changes_the_environment() {
    let wait = "resource \"toy_thing\" \"a\" { name = \"wait at ApplyResourceChange\" }\n";
    let Some(project) = with_toy("state-live", &["1.0.0"], wait) else { return };
    let mut child = going_on(&project, &["apply", "-y"], "creating toy_thing.a");
    for (words, said) in
        [("plan", "1 to create"), ("drift", "No drift"), ("status", "toy_thing.a  it is not known yet")]
    {
        let ran = run(&project, &[words]);
        assert!(ran.code == Some(0) && ran.all().contains(said), "{words}: {ran}");
        assert!(ran.all().contains("running `andon apply"), "{words}: {ran}");
    }
    send(&child, libc::SIGKILL);
    child.wait().unwrap();
    for (words, code, said) in [
        (&["plan"][..], 1, "became of toy_thing.a."),
        (&["status"], 0, "was cut short: the next `andon apply` goes on"),
        (&["state", "resolve", "toy_thing.a", "--absent"], 0, "There is nothing of toy_thing.a"),
        (&["plan"], 0, "1 to create"),
        (&["logs"], 0, "the run was cut short: a later run closed it"),
    ] {
        let ran = run(&project, words);
        assert!(ran.code == Some(code) && ran.all().contains(said), "{words:?}: {ran}");
    }
}

/// Once is an end that loses nothing: what runs is finished, and what waits for room has never begun.
#[test]
fn an_end_leaves_what_waits_undone() {
    let project = Project::empty("state-once");
    project.write(
        "main.tf",
        "resource \"terraform_data\" \"a\" {\n  count = 6\n  provisioner \"local-exec\" {\n    command = \"until [ -e go ]; do sleep \
         0.02; done\"\n  }\n}\nresource \"terraform_data\" \"after\" {\n  input = terraform_data.a[5].id\n}\n",
    );
    let mut child = going_on(&project, &["apply", "-y", "-parallelism=2"], "runs until");
    send(&child, libc::SIGINT);
    let said = || fs::read_to_string(project.directory.join("said")).unwrap();
    eventually("it is stopping", std::time::Duration::from_secs(60), || said().contains("Stopping"));
    project.write("go", "");
    assert_eq!(child.wait().unwrap().code(), Some(1), "{}", said());
    assert!(said().contains("2 done, 0 failed, 5 not done"), "{}", said());
    assert_eq!(project.ok(&["state", "list"]).out, "terraform_data.a[0]\nterraform_data.a[1]\n");
    let status = project.ok(&["status"]);
    assert!(!status.all().contains("tainted") && !status.all().contains("not known"), "{status}");
    let plan = project.ok(&["plan"]);
    assert!(plan.out.contains("5 to create, 2 unchanged") && !plan.err.contains("cut short"), "{plan}");
    let ended = project.ok(&["apply", "-y", "-parallelism=2"]);
    assert!(ended.err.contains("5 created"), "{ended}");
}

/// What a kill leaves open of objects that there were before is looked at by every plan, and settled by the next apply.
#[test]
fn plans_are_made_of_what_a_kill_left_in_the_middle() {
    let text = |secret: &str| {
        format!(
            "resource \"toy_thing\" \"a\" {{\n  count = 3\n  name = \"n${{count.index}}\"\n  secret = {secret}\n}}\n"
        )
    };
    let Some(project) = with_toy("state-middle", &["1.0.0"], &text("null")) else { return };
    assert_eq!(run(&project, &["apply", "-y"]).code, Some(0));
    let kill = || {
        project.write("main.tf", &text("\"wait at ApplyResourceChange\""));
        let mut child = going_on(&project, &["apply", "-y", "-parallelism=2"], "updating toy_thing.a[1]");
        send(&child, libc::SIGKILL);
        child.wait().unwrap();
        project.write("main.tf", &text("\"other\""));
    };
    kill();
    let ran = run(&project, &["status"]);
    assert_eq!(ran.out.matches("it is not known yet what became of it").count(), 2, "{ran}");
    for (word, said) in [
        ("-refresh-only", "no changes"),
        ("-refresh=false", "3 to update"),
        ("-destroy", "3 to delete"),
        ("-out=saved", "3 to update"),
    ] {
        let ran = run(&project, &["plan", word]);
        assert!(ran.code == Some(0) && ran.out.contains(said) && ran.err.contains("was cut short"), "{word}: {ran}");
    }
    let ran = run(&project, &["apply", "saved"]);
    assert!(ran.code == Some(0) && ran.err.contains("3 updated"), "{ran}");
    let ran = run(&project, &["plan"]);
    assert!(ran.out.contains("no changes, 3 unchanged") && !ran.err.contains("cut short"), "{ran}");
    // So does an apply that only looks.
    project.write("main.tf", &text("null"));
    kill();
    let ran = run(&project, &["apply", "-refresh-only", "-y"]);
    assert!(ran.code == Some(0) && ran.err.matches("after a run that was cut short").count() == 2, "{ran}");
    let ran = run(&project, &["plan"]);
    assert!(ran.code == Some(0) && !ran.err.contains("cut short"), "{ran}");
}

#[test]
fn an_end_at_once_is_said() {
    let project = Project::empty("state-twice");
    project.write(
        "main.tf",
        "resource \"terraform_data\" \"a\" {\n  provisioner \"local-exec\" { command = \"sleep 300\" }\n}\n",
    );
    let mut child = going_on(&project, &["apply", "-y"], "runs sleep 300");
    send(&child, libc::SIGINT);
    let said = || fs::read_to_string(project.directory.join("said")).unwrap();
    eventually("it is stopping", std::time::Duration::from_secs(60), || said().contains("Stopping"));
    send(&child, libc::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", said());
    assert!(said().ends_with("\nStopped at once.\n"), "{}", said());
    let status = project.ok(&["status"]);
    assert!(status.out.contains("bad   terraform_data.a") && status.out.contains("tainted"), "{status}");
    let plan = project.ok(&["plan"]);
    assert!(plan.err.contains("was cut short; the next `andon apply`") && !plan.err.contains("0 effects"), "{plan}");
}
