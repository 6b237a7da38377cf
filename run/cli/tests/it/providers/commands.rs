//! `andon providers`: who needs which, what they offer, and packages for other platforms. Beside a real `terraform`,
//! where there is one.

use std::fs;
use std::process::Command;

use serde_json::Value as Json;

use super::registry::{Registry, sha256};
use super::{fails, forget, lock, ok, run, terraform, within};
use crate::plugins::with_toy;
use crate::support::Project;

const NESTED: &str = r#"
terraform {
  required_providers {
    one = {
      source  = "registry.example/shop/one"
      version = ">= 1.0, < 3"
    }
  }
}
resource "terraform_data" "a" {}
module "m" { source = "./m" }
"#;

const INNER: &str = r#"
terraform {
  required_providers {
    one = {
      source  = "registry.example/shop/one"
      version = "~> 1.2"
    }
    two = { source = "registry.example/shop/two" }
  }
}
module "deep" { source = "../d" }
module "again" { source = "../d" }
"#;

#[test]
fn who_needs_which_is_shown_as_a_tree() {
    let project = Project::empty("providers-tree");
    project.write("main.tf", NESTED);
    project.write("m/main.tf", INNER);
    project.write("d/main.tf", "resource \"null_resource\" \"x\" {}\n");
    let said = ok(&project, &["providers"]);
    let expected = "\nProviders required by configuration:\n\
        .\n\
        ├── provider[registry.example/shop/one] >= 1.0.0, < 3.0.0\n\
        ├── provider[terraform.io/builtin/terraform]\n\
        └── module.m\n    \
        ├── provider[registry.example/shop/one] ~> 1.2\n    \
        ├── provider[registry.example/shop/two]\n    \
        ├── module.again\n    \
        │   └── provider[registry.terraform.io/hashicorp/null]\n    \
        └── module.deep\n        \
        └── provider[registry.terraform.io/hashicorp/null]\n\n";
    assert_eq!(said, expected);
    let data: Json = serde_json::from_str(&ok(&project, &["providers", "-json"])).unwrap();
    assert_eq!(data.pointer("/stacks//modules/m/providers/0/versions").unwrap(), "~> 1.2", "{data}");
}

fn theirs(project: &Project, words: &[&str]) -> Option<String> {
    let mut command = within(project, Command::new(terraform()?));
    let output = command.args(words).current_dir(&project.directory).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Terraform itself cannot read all that the toy offers; that what both can read comes out the same, the AWS provider
/// shows.
#[test]
fn schemas_are_printed_as_data() {
    let definitions = "resource \"toy_thing\" \"a\" { name = \"a\" }\nresource \"terraform_data\" \"b\" {}\n";
    let Some(project) = with_toy("providers-schema", &["1.0.0"], definitions) else { return };
    fails(&project, &["providers", "schema"], &["-json"]);
    let own: Json = serde_json::from_str(&ok(&project, &["providers", "schema", "-json"])).unwrap();
    let toy = "/provider_schemas/registry.terraform.io~1hashicorp~1toy";
    let at = |path: &str| own.pointer(&format!("{toy}/{path}")).unwrap_or(&Json::Null);
    assert_eq!(at("resource_schemas/toy_thing/block/attributes/name/required"), true, "{own}");
    assert_eq!(at("resource_schemas/toy_thing/block/attributes/many/nested_type/nesting_mode"), "list", "{own}");
    assert_eq!(at("provider/block/attributes/region/type"), "string", "{own}");
    let built_in =
        "/provider_schemas/terraform.io~1builtin~1terraform/resource_schemas/terraform_data/block/attributes";
    assert_eq!(own.pointer(&format!("{built_in}/input/type")).unwrap(), "dynamic");
    assert_eq!(own["format_version"], "1.0");
    fs::remove_dir_all(project.directory.join(".terraform")).unwrap();
    let ran = run(&project, &["providers", "schema", "-json"]);
    assert!(ran.code == Some(1) && ran.out.contains("is not installed") && ran.out.contains("andon init"), "{ran}");
    // What needs what is shown as Terraform shows it, whatever is installed.
    project.write("main.tf", "terraform {\n  required_version = \">= 1.0\"\n}\nresource \"terraform_data\" \"b\" {}\n");
    fs::remove_file(project.directory.join(".terraform.lock.hcl")).unwrap();
    if let Some(their) = theirs(&project, &["providers"]) {
        assert_eq!(ok(&project, &["providers"]), their);
    }
}

#[test]
fn schemas_of_the_aws_provider_are_those_that_terraform_prints() {
    let Some(mirror) = std::env::var_os("ANDON_PLUGIN_MIRROR") else {
        println!("skipped: ANDON_PLUGIN_MIRROR names no mirror with the AWS provider");
        return;
    };
    let project = Project::empty("providers-schema-aws");
    project.write("main.tf", "resource \"aws_vpc\" \"a\" { cidr_block = \"10.0.0.0/16\" }\n");
    let path = std::path::Path::new(&mirror).display().to_string();
    project.write(
        "settings/rc",
        &format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{path}\"\n  }}\n}}\n"),
    );
    if theirs(&project, &["init", "-input=false"]).is_none() {
        return;
    }
    let own: Json = serde_json::from_str(&ok(&project, &["providers", "schema", "-json"])).unwrap();
    let their: Json = serde_json::from_str(&theirs(&project, &["providers", "schema", "-json"]).unwrap()).unwrap();
    let aws = "/provider_schemas/registry.terraform.io~1hashicorp~1aws";
    assert!(own.pointer(aws).is_some() && own.pointer(aws) == their.pointer(aws), "they differ");
}

#[test]
fn other_platforms_are_locked_from_the_registry() {
    let registry = Registry::start();
    registry.publish("one", &["1.0.0", "1.2.0"]);
    let project = registry.project("providers-lock", &[("one", "~> 1.0")]);
    let said = ok(&project, &["providers", "lock"]);
    assert!(said.contains("Locked registry.example/shop/one 1.2.0 for linux_amd64\n"), "{said}");
    let first = lock(&project).unwrap();
    assert!(first.contains("h1:") && first.contains("zh:") && first.contains("version     = \"1.2.0\""), "{first}");
    assert!(!project.directory.join(".terraform/providers/registry.example").exists(), "nothing is installed");
    let said = ok(&project, &["providers", "lock", "-platform=linux_amd64"]);
    assert!(said.contains("already") && said.contains("says all of it"), "{said}");
    assert_eq!(lock(&project).unwrap(), first);
    fails(&project, &["providers", "lock", "-platform=plan9_mips"], &["plan9_mips"]);
    fails(
        &project,
        &["providers", "lock", "registry.example/shop/two"],
        &["does not need the provider", "andon providers"],
    );
    // What was locked so is what is installed then.
    ok(&project, &["init", "-lockfile=readonly"]);
}

#[test]
fn a_mirror_is_installed_from() {
    let registry = Registry::start();
    registry.publish("one", &["1.0.0", "1.2.0"]);
    let project = registry.project("providers-mirror", &[("one", "")]);
    let said = ok(&project, &["providers", "mirror", "kept"]);
    assert!(said.contains("Mirrored registry.example/shop/one 1.2.0 for linux_amd64, signed with the key"), "{said}");
    let place = project.directory.join("kept/registry.example/shop/one");
    let archive = fs::read(place.join("terraform-provider-one_1.2.0_linux_amd64.zip")).unwrap();
    let page = |name: &str| -> Json { serde_json::from_str(&fs::read_to_string(place.join(name)).unwrap()).unwrap() };
    assert_eq!(page("index.json"), serde_json::json!({ "versions": { "1.2.0": {} } }));
    let of_it = page("1.2.0.json");
    let of_it = of_it.pointer("/archives/linux_amd64").unwrap();
    assert_eq!(of_it["url"], "terraform-provider-one_1.2.0_linux_amd64.zip");
    assert!(of_it["hashes"].as_array().unwrap().contains(&format!("zh:{}", sha256(&archive)).into()), "{of_it}");
    let mut left: Vec<_> = fs::read_dir(&place).unwrap().flatten().map(|it| it.file_name()).collect();
    left.sort();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(ok(&project, &["providers", "mirror", "kept"]).contains("already"));
    // From here on the registry is not asked.
    let path = project.directory.join("kept").display().to_string();
    project.write(
        "settings/rc",
        &format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{path}\"\n  }}\n}}\n"),
    );
    registry.pages.lock().unwrap().clear();
    ok(&project, &["init"]);
    let locked = ok(&project, &["providers", "lock", "-json", &format!("-fs-mirror={path}")]);
    assert!(locked.contains("\"complete\":true"), "{locked}");
    forget(&project, true);
    assert!(run(&project, &["init"]).code == Some(0));
    if terraform().is_some() {
        forget(&project, true);
        theirs(&project, &["init", "-input=false"]);
    }
}

#[test]
fn what_only_the_state_needs_is_installed_and_a_lock_is_asked_for() {
    let definitions = "resource \"toy_thing\" \"a\" {\n  name = \"a\"\n}\n";
    let Some(project) = with_toy("providers-kept", &["1.0.0"], definitions) else { return };
    ok(&project, &["apply", "-y"]);
    fs::remove_file(project.directory.join(".terraform.lock.hcl")).unwrap();
    for words in [vec!["plan"], vec!["apply", "-y"], vec!["destroy", "-y"]] {
        fails(&project, &words, &["the dependency lock file is inconsistent", "selects no version", "andon init"]);
    }
    project
        .write(".terraform.lock.hcl", "provider \"registry.terraform.io/hashicorp/toy\" {\n  version = \"1.0.0\"\n}\n");
    project.write(
        "versions.tf",
        "terraform {\n  required_providers {\n    toy = {\n      source  = \"hashicorp/toy\"\n      version = \"> 1\"\n    }\n  }\n}\n",
    );
    fails(&project, &["plan"], &["the dependency lock file is inconsistent", "> 1", "versions.tf:5"]);
    // Nothing defines it any more, and it is still there.
    for gone in ["versions.tf", ".terraform.lock.hcl"] {
        fs::remove_file(project.directory.join(gone)).unwrap();
    }
    project.write("main.tf", "output \"x\" { value = 1 }\n");
    fs::rename(project.directory.join(".terraform/providers"), project.directory.join("mirror")).unwrap();
    let path = project.directory.join("mirror").display().to_string();
    project.write(
        "settings/rc",
        &format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{path}\"\n  }}\n}}\n"),
    );
    let said = ok(&project, &["init"]);
    assert!(said.contains("Installed hashicorp/toy 1.0.0"), "{said}");
    let said = ok(&project, &["providers"]);
    assert!(said.contains("required by state:\n\n    provider[registry.terraform.io/hashicorp/toy]"), "{said}");
    assert!(ok(&project, &["plan"]).contains("delete toy_thing.a"));
    ok(&project, &["apply", "-y"]);
}
