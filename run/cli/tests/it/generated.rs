//! `plan -generate-config-out`: definitions of what is imported and not defined, beside the real Terraform's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::support::Project;

fn project(name: &str, definitions: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", definitions);
    project
}

const IMPORTS: &str = r#"
locals { id = "two" }
import {
  to = terraform_data.one
  id = "a $${b} \"c\""
}
import {
  to = terraform_data.two
  id = local.id
}
resource "terraform_data" "three" {
  input = local.id
}
"#;

/// What a file says, without remarks, blank lines and the order of its blocks.
fn said(text: &str) -> Vec<String> {
    let mut blocks: Vec<String> = text.split("\n\n").map(|block| block.trim().to_owned()).collect();
    blocks.retain(|block| !block.is_empty() && !block.contains("them into") && !block.contains("them to"));
    blocks.iter_mut().for_each(|block| *block = block.replace("by Terraform", "by Andon"));
    blocks.sort();
    blocks
}

/// The definitions in a plan that is shown, by what they are of.
fn generated(plan: &str) -> BTreeMap<String, String> {
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
    let changes = plan["resource_changes"].as_array().unwrap().iter();
    let of = |it: &serde_json::Value| {
        Some((it["address"].as_str()?.into(), it["change"]["generated_config"].as_str()?.into()))
    };
    let all: BTreeMap<String, String> = changes.filter_map(of).collect();
    assert_eq!(all.len(), 2, "{plan:#}");
    all
}

#[test]
fn what_is_imported_gets_a_definition() {
    let project = project("generated", IMPORTS);
    let ran = project.ok(&["plan", "-generate-config-out=new.tf", "-out=saved"]);
    assert!(ran.err.contains("Wrote the definitions of 2 objects to new.tf"), "{ran}");
    assert!(ran.out.contains("2 to import") && ran.out.contains("1 to create"), "{ran}");
    assert!(!ran.out.contains("to update"), "{ran}");
    let ours = std::fs::read_to_string(project.directory.join("new.tf")).unwrap();
    project.ok(&["fmt", "-check", "new.tf"]);
    let shown = project.ok(&["show", "-json", "saved"]).out;
    // The file is a part of what was planned.
    project.ok(&["apply", "saved"]);
    project.exits(0, &["plan", "-detailed-exitcode"]);
    // A file that is there is not written again.
    let ran = project.exits(1, &["plan", "-generate-config-out=new.tf"]);
    assert!(ran.err.contains("`new.tf` is there already"), "{ran}");
    // There is nothing to define any more.
    project.ok(&["plan", "-generate-config-out=other.tf"]);
    assert!(!project.directory.join("other.tf").exists());

    std::fs::remove_file(project.directory.join("new.tf")).unwrap();
    let program = std::env::var_os("ANDON_TERRAFORM").map_or_else(|| PathBuf::from("terraform"), PathBuf::from);
    let mut terraform = Command::new(&program);
    let words = ["plan", "-no-color", "-input=false", "-generate-config-out=new.tf", "-out=theirs"];
    terraform.args(words).current_dir(&project.directory).env("CHECKPOINT_DISABLE", "1");
    let Ok(ran) = terraform.output() else {
        return println!("skipped: {} cannot be run; set ANDON_TERRAFORM to a terraform", program.display());
    };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let theirs = std::fs::read_to_string(project.directory.join("new.tf")).unwrap();
    assert_eq!(said(&ours), said(&theirs));
    let show =
        Command::new(&program).args(["show", "-json", "theirs"]).current_dir(&project.directory).output().unwrap();
    assert_eq!(generated(&shown), generated(&String::from_utf8_lossy(&show.stdout)));
}

#[test]
fn what_cannot_be_generated_is_refused_and_no_file_is_written() {
    let check = |import: &str, file: &str, expected: &str| {
        let project = project("ungenerated", import);
        let ran = project.exits(1, &["plan", &format!("-generate-config-out={file}")]);
        assert!(ran.err.contains(expected), "{ran}");
        assert!(!project.directory.join(file).exists());
    };
    let several = "no definition can be generated for this import";
    check("import {\n  to = terraform_data.x[\"a\"]\n  id = \"b\"\n}\n", "new.tf", several);
    check("import {\n  for_each = toset([\"a\"])\n  to = terraform_data.x\n  id = each.key\n}\n", "new.tf", several);
    let import = "import {\n  to = terraform_data.x\n  id = \"b\"\n}\n";
    check(import, "new.txt", "would be no part of the stack");
    check(import, "below/new.tf", "would be no part of the stack");
    check(&format!("{import}resource \"terraform_data\" \"y\" {{\n  input = var.none\n}}\n"), "new.tf", "none");
    // What is defined is nothing to this, and nobody asked for a part.
    let defined = "import {\n  to = terraform_data.n[\"a\"]\n  id = \"a\"\n}\nresource \"terraform_data\" \"n\" {\n  for_each = toset([\"a\"])\n}\n";
    let beside = project("beside", &format!("{import}{defined}"));
    let ran = beside.ok(&["plan", "-generate-config-out=new.tf"]);
    assert!(!ran.err.contains("-target") && ran.out.contains("2 to import"), "{ran}");
    // Without the option, it is said what to do.
    let undefined = project("undefined", import);
    let ran = undefined.exits(1, &["plan"]);
    assert!(ran.err.contains("-generate-config-out=FILE"), "{ran}");
}
