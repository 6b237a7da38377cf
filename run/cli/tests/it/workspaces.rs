//! `workspace`: environments that are made, selected and deleted from the command line.

use crate::state::{calm, told};
use crate::support::{Project, Ran, snapshot};

fn project(name: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", "resource \"terraform_data\" \"a\" { input = terraform.workspace }\noutput \"at\" { value = terraform_data.a.output }\n");
    project
}

#[test]
fn environments_are_made_selected_and_deleted() {
    let project = project("workspaces");
    let text = told(
        &project,
        &[
            "workspace list",
            "workspace new dev",
            "workspace new dev",
            "workspace new ../bad",
            "workspace show",
            "apply -y",
            "workspace list -json",
            "workspace select default",
            "plan -json -e dev",
            "workspace delete dev",
            "workspace delete -force dev",
            "workspace list",
            "workspace delete dev",
            "workspace delete default",
            "workspace select staging",
            "workspace select -or-create staging",
            "workspace delete staging",
            "workspace select defalt",
            "workspace select default",
            "workspace delete -json staging",
            "workspace list",
        ],
    );
    snapshot("workspaces.txt", &calm(&text));
}

#[test]
fn those_of_andon_hcl_are_selected_and_not_deleted() {
    let project = project("workspaces-defined");
    project.write(
        "andon.hcl",
        "project \"shop\" {}\nenvironment \"dev\" {}\nenvironment \"live\" {\n  protected = true\n}\n",
    );
    let text = told(
        &project,
        &[
            "workspace list",
            "workspace select live",
            "apply -y",
            "workspace delete dev",
            "workspace select dev",
            "workspace new trial",
            "workspace list",
            "workspace show -e live",
        ],
    );
    snapshot("workspaces_defined.txt", &text);
    // Taken out of andon.hcl, it can no longer be in use; the way on is said.
    project.ok(&["workspace", "select", "live"]);
    project.write("andon.hcl", "project \"shop\" {}\nenvironment \"dev\" {}\n");
    let ran = project.andon(&["plan"]);
    assert!(ran.err.contains("there is no environment `live`") && ran.err.contains("workspace select"), "{}", ran.err);
    project.ok(&["workspace", "select", "dev"]);
}

#[test]
fn the_variable_of_terraform_goes_before_what_is_selected() {
    let project = project("workspaces-variable");
    let run = |words: &[&str]| {
        let output = project.command(words).env("TF_WORKSPACE", "abc").output().unwrap();
        Ran::new(words, &output, std::time::Duration::ZERO)
    };
    assert_eq!(run(&["workspace", "show"]).out, "abc\n");
    assert!(run(&["apply", "-y"]).out.contains("abc"));
    for words in [["workspace", "select", "default"], ["workspace", "new", "other"]] {
        let ran = run(&words);
        assert!(ran.code == Some(1) && ran.err.contains("Unset TF_WORKSPACE"), "{words:?}: {}", ran.err);
    }
    assert!(run(&["workspace", "delete", "abc"]).err.contains("It is the one in use"));
    // What is in it makes it one of the project's.
    assert_eq!(project.ok(&["workspace", "list"]).out, "  abc\n* default\n");
    project.ok(&["workspace", "select", "abc"]);
    assert!(project.ok(&["output", "at"]).out.contains("abc"));
    assert!(project.ok(&["plan"]).out.contains("no changes"));
}

#[test]
fn a_state_is_taken_over_into_a_new_one() {
    let project = project("workspaces-state");
    project.ok(&["apply", "-y"]);
    let state = project.ok(&["state", "pull"]).out;
    project.write("kept.tfstate", &state);
    project.ok(&["workspace", "new", "-state=kept.tfstate", "copy"]);
    assert_eq!(project.ok(&["state", "list"]).out, "terraform_data.a\n");
    assert_eq!(project.ok(&["workspace", "show"]).out, "copy\n");
}

/// What is remembered of environments is of one copy of the project; the ledger is of all.
#[test]
fn one_that_was_made_elsewhere_is_known_by_what_is_in_it() {
    let project = project("workspaces-elsewhere");
    project.ok(&["workspace", "new", "staging"]);
    project.ok(&["apply", "-y"]);
    std::fs::remove_file(project.directory.join(".andon/workspaces.json")).unwrap();
    assert_eq!(project.ok(&["workspace", "show"]).out, "default\n");
    assert!(project.ok(&["plan"]).out.contains("1 to create"));
    for (words, expected) in [
        (["plan", "-e", "staging"], "no changes"),
        (["workspace", "show", "-estaging"], "staging"),
        (["output", "at", "-estaging"], "staging"),
    ] {
        let ran = project.ok(&words);
        assert!(ran.out.contains(expected), "{ran}");
    }
    project.exits(1, &["plan", "-e", "stagin"]);
    // Once it is selected it stays known, when nothing is in it any more.
    project.ok(&["workspace", "select", "staging"]);
    project.ok(&["destroy", "-y"]);
    assert!(project.ok(&["plan"]).out.contains("1 to create"));
}

#[test]
fn a_damaged_record_is_said_of() {
    let project = project("workspaces-damaged");
    project.write(".andon/workspaces.json", "{");
    let ran = project.andon(&["plan"]);
    assert!(ran.code == Some(1) && ran.err.contains("workspaces.json") && ran.err.contains("delete it"), "{}", ran.err);
}
