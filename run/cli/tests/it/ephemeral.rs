//! Ephemeral values through the real binary, with the toy plugin: they come to where they may, and are in no file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::plugins::{run, with_toy};
use crate::support::{ANDON, Project};

const DEFINITIONS: &str = r#"
variable "pass" {
  type      = string
  ephemeral = true
}

ephemeral "toy_thing" "where" {
  provider = toy.plain
  name     = "lasting"
  secret   = "region-${var.pass}"
}

provider "toy" {
  alias = "plain"
}

provider "toy" {
  region = ephemeral.toy_thing.where.secret
}

resource "toy_thing" "first" {
  name  = "first"
  token = var.pass
}

ephemeral "toy_thing" "later" {
  name   = "lasting"
  secret = "hush-${toy_thing.first.id}"
}

module "passing" {
  source = "./passing"
  token  = ephemeral.toy_thing.later.secret
}

resource "toy_thing" "second" {
  name  = "second"
  token = module.passing.token
  provisioner "local-exec" {
    command     = "test \"$SECRET\" = hush-id-first && echo yes > came"
    environment = { SECRET = ephemeral.toy_thing.later.secret }
  }
}

output "null" { value = ephemeralasnull(var.pass) == null && ephemeralasnull(terraform.applying) == null }
"#;

const PASSING: &str = r#"
variable "token" {
  type      = string
  ephemeral = true
}

output "token" {
  value     = "${var.token}!"
  ephemeral = true
}
"#;

/// What the toy said since it was asked last: what it opened and closed, and which tokens came.
fn said(project: &Project) -> Vec<String> {
    let said = project.directory.join("said");
    let text = fs::read_to_string(&said).unwrap_or_default();
    let _ = fs::remove_file(said);
    let mut lines: Vec<String> =
        text.lines().filter(|line| line.contains("ed") || line.contains("token")).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The files of a project that hold a text, but for its definitions and what the toy said.
fn holding(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if path.is_file() && path.extension().is_none_or(|extension| extension != "tf") {
            let held = fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes());
            found.extend(held.then(|| path.display().to_string()));
        }
    }
    found
}

fn project(name: &str, definitions: &str) -> Option<Project> {
    let project = with_toy(name, &["1.0.0"], definitions)?;
    let toy = Path::new(ANDON).parent().unwrap().join("examples/toy");
    let path =
        ".terraform/providers/registry.terraform.io/hashicorp/toy/1.0.0/linux_amd64/terraform-provider-toy_v1.0.0";
    let said = project.directory.join("said");
    project.write(path, &format!("#!/bin/sh\nexec {} 2>> {}\n", toy.display(), said.display()));
    fs::set_permissions(project.directory.join(path), fs::Permissions::from_mode(0o755)).unwrap();
    Some(project)
}

#[test]
fn they_are_given_again_to_a_saved_plan_and_are_in_no_file() {
    let Some(project) = project("ephemeral-saved", DEFINITIONS) else { return };
    project.write("passing/main.tf", PASSING);

    let ran = run(&project, &["plan", "-var", "pass=sesame-1", "-out", "saved"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(said(&project), ["closed", "opened region-sesame-1"]);

    let ran = run(&project, &["apply", "saved"]);
    assert!(ran.code == Some(1) && ran.err.contains("the variable \"pass\" has no value"), "{ran}");

    // It is another one by now, as what a vault gives out for minutes is.
    let ran = run(&project, &["apply", "saved", "-var", "pass=sesame-2"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let said_by_apply = said(&project);
    for expected in ["first has the token sesame-2", "second has the token hush-id-first!", "opened hush-id-first"] {
        assert!(said_by_apply.iter().any(|line| line == expected), "{expected}: {said_by_apply:#?}");
    }
    let count = |word: &str| said_by_apply.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!(count("opened"), count("closed"), "{said_by_apply:#?}");
    assert_eq!(fs::read_to_string(project.directory.join("came")).unwrap(), "yes\n");

    let ran = run(&project, &["plan", "-var", "pass=sesame-3"]);
    assert!(ran.code == Some(0) && ran.out.contains("no changes, 2 unchanged"), "{ran}");
    said(&project);

    let ran = run(&project, &["destroy", "-y", "-var", "pass=sesame-4"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    said(&project);
    for text in ["sesame", "hush"] {
        assert_eq!(holding(&project.directory, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_is_kept_takes_none() {
    for (argument, place) in [
        ("secret = var.pass", "secret"),
        ("listed {\n    port = length(var.pass)\n  }", "listed"),
        (
            "dynamic \"listed\" {\n    for_each = [1]\n    content {\n      port = length(var.pass)\n    }\n  }",
            "listed",
        ),
        ("many = [{ port = length(var.pass) }]", "many"),
    ] {
        let definitions = format!(
            "variable \"pass\" {{\n  default   = \"sesame\"\n  ephemeral = true\n}}\n\nresource \"toy_thing\" \"a\" {{\n  name = \"a\"\n  {argument}\n}}\n"
        );
        let Some(project) = project("ephemeral-kept", &definitions) else { return };
        let ran = run(&project, &["plan"]);
        assert_eq!(ran.code, Some(1), "{argument}: {ran}");
        assert!(ran.err.contains(&format!("argument \"{place}\" is kept, and this value must not be")), "{ran}");
    }
}
