//! The commands that look at the state, and that change what it says, as whole terminals.

use crate::support::{Project, snapshot};

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

/// What was said without what is told meanwhile, which comes in any order.
pub fn calm(text: &str) -> String {
    let meanwhile = ["✓ ", "  creating ", "  updating ", "  deleting ", "  replacing "];
    let lines = text.lines().filter(|line| !meanwhile.iter().any(|start| line.starts_with(start)));
    lines.map(|line| format!("{line}\n")).collect()
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
    project.ok(&["import", given, b, odd]);
    let shown = project.ok(&["state", "show", "-json", b]).out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["attributes"]["id"], odd);
    // What is defined otherwise is left to the next apply.
    let plan = project.ok(&["plan", given]).out;
    assert!(plan.contains("1 to update"), "{plan}");
    for (words, said) in [
        ([given, b, "y"], "there is an object at terraform_data.b[\"x.1\"] already"),
        ([given, "terraform_data.b[\"y\"]", "y"], "there is no instance terraform_data.b[\"y\"] to import into"),
        ([given, "terraform_data.c", "y"], "terraform_data.c is imported into, and not defined"),
        ([given, "data.terraform_remote_state.c", "y"], "nothing can be imported into data.terraform_remote_state.c"),
    ] {
        let refused = project.exits(1, &[&["import"], &words[..]].concat());
        assert!(refused.err.contains(said), "{said}: {refused}");
    }
    assert_eq!(project.ok(&["state", "list"]).out.lines().count(), 2);
    assert!(project.ok(&["logs", "--runs"]).out.contains("import terraform_data.b"));
}
