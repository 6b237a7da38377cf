//! Checking with provider plugins: the toy of `drive/provider/examples`, and the real AWS plugin where a mirror has it
//! (`ANDON_PLUGIN_MIRROR`, a directory as in Terraform's `filesystem_mirror`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use crate::support::{ANDON, Project, Ran};

const INSTALLED: &str = ".terraform/providers/registry.terraform.io/hashicorp/toy";

/// A project with the toy installed; it notes in `started` whenever it is started. `None` where the toy is not built.
pub fn with_toy(name: &str, versions: &[&str], definitions: &str) -> Option<Project> {
    let toy = Path::new(ANDON).parent().unwrap().join("examples/toy");
    if !toy.is_file() {
        println!("skipped: the toy plugin is not built: cargo build -p andon-provider --example toy");
        return None;
    }
    let project = Project::empty(name);
    for version in versions {
        let path = format!("{INSTALLED}/{version}/linux_amd64/terraform-provider-toy_v{version}");
        let started = project.directory.join("started");
        project.write(&path, &format!("#!/bin/sh\necho {version} >> {}\nexec {}\n", started.display(), toy.display()));
        fs::set_permissions(project.directory.join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
    if let [version] = versions {
        let entry = format!("provider \"registry.terraform.io/hashicorp/toy\" {{\n  version = \"{version}\"\n}}\n");
        project.write(".terraform.lock.hcl", &entry);
    }
    project.write("main.tf", definitions);
    Some(project)
}

fn check(project: &Project, words: &[&str]) -> Ran {
    run(project, &[&["check"], words].concat())
}

/// Runs a command that knows of no plugins but the project's own.
pub fn run(project: &Project, words: &[&str]) -> Ran {
    let mut command = project.command(words);
    command.env("XDG_CACHE_HOME", project.directory.join("cache")).env("HOME", &project.directory);
    command.env("TF_CLI_CONFIG_FILE", project.directory.join("none")).env_remove("TF_PLUGIN_CACHE_DIR");
    let output = command.output().unwrap();
    Ran::new(words, &output, std::time::Duration::ZERO)
}

pub fn starts(project: &Project) -> String {
    fs::read_to_string(project.directory.join("started")).unwrap_or_default().trim().replace('\n', " ")
}

const SOUND: &str = r#"
provider "toy" {
  region = "here"
}

resource "toy_thing" "one" {
  name = "one"
  size = 3
  many = [{ port = 1 }]
  listed {
    port = 80
  }
  keyed "web" {
    port = 80
  }
}

data "toy_thing" "two" {
  name = toy_thing.one.id
}

output "two" { value = data.toy_thing.two.id }
"#;

#[test]
fn sound_definitions_ask_once() {
    let Some(project) = with_toy("plugin-sound", &["1.0.0"], SOUND) else { return };
    for _ in 0..3 {
        let ran = check(&project, &[]);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert_eq!(ran.err, "", "{ran}");
        assert_eq!(starts(&project), "1.0.0");
    }
    // What changed is asked about, and the schema is known.
    project.edit("main.tf", "size = 3", "size = 4");
    assert_eq!(check(&project, &[]).code, Some(0));
    assert_eq!(starts(&project), "1.0.0 1.0.0");
}

#[test]
fn what_is_wrong_is_said_at_its_place() {
    let wrong = r#"
provider "toy" {
  region = "nowhere"
}

resource "toy_thing" "one" {
  name   = "bad"
  secret = "hunter2"
  listed {
    port = 80
  }
  listed {
    port = 80000
  }
}

resource "toy_thing" "two" {
  nam = "x"
}

resource "toy_thin" "three" {}

data "toy_thing" "large" {
  name = "x"
  size = 1000
}
"#;
    let Some(project) = with_toy("plugin-wrong", &["1.0.0"], wrong) else { return };
    let ran = check(&project, &["--json"]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(!ran.out.contains("hunter2") && ran.out.contains("The secret is (sensitive value)."), "{ran}");
    assert!(ran.out.contains("Did you mean \\\"toy_thing\\\"?"), "{ran}");
    let report: Json = serde_json::from_str(&ran.out).unwrap();
    let said: Vec<String> = report["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let line = it["range"]["start"]["line"].as_u64().unwrap_or(0);
            let severity = it["severity"].as_str().unwrap();
            format!("{line} {severity}: {}", it["summary"].as_str().unwrap())
        })
        .collect();
    for expected in [
        "3 error: there is no region \"nowhere\"",
        "7 error: the name is bad",
        "13 error: no such port",
        "18 error: unsupported argument or block \"nam\"",
        "25 warning: that is large",
    ] {
        assert!(said.iter().any(|said| said == expected), "no `{expected}`:\n{}", said.join("\n"));
    }
    assert!(said.iter().any(|said| said.starts_with("21 error: ") && said.contains("toy_thin")), "{}", said.join("\n"));
}

#[test]
fn the_version_that_will_do_is_asked() {
    let definitions = |version: &str| {
        format!(
            "terraform {{\n  required_providers {{\n    toy = {{\n      source = \"hashicorp/toy\"\n      version = \"{version}\"\n    }}\n  }}\n}}\n\nresource \"toy_thing\" \"one\" {{\n  name = \"x\"\n}}\n"
        )
    };
    let versions = ["1.0.0", "1.2.0", "1.10.0", "2.0.0-beta1"];
    let Some(project) = with_toy("plugin-versions", &versions, &definitions("~> 1.0")) else { return };
    for (version, lock, expected) in [
        ("~> 1.0", None, "1.10.0"),
        ("< 1.10", None, "1.2.0"),
        ("2.0.0-beta1", None, "2.0.0-beta1"),
        (">= 1.0", Some("1.0.0"), "1.0.0"),
        ("~> 3.0", None, ""),
        (">= 1.0", Some("1.1.0"), ""),
    ] {
        let _ = fs::remove_file(project.directory.join("started"));
        let _ = fs::remove_dir_all(project.directory.join("cache"));
        let _ = fs::remove_file(project.directory.join(".terraform.lock.hcl"));
        project.write("main.tf", &definitions(version));
        if let Some(lock) = lock {
            let text = format!("provider \"registry.terraform.io/hashicorp/toy\" {{\n  version = \"{lock}\"\n}}\n");
            project.write(".terraform.lock.hcl", &text);
        }
        let ran = check(&project, &[]);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert_eq!(starts(&project), expected, "{version} {lock:?} {ran}");
        assert_eq!(ran.err.contains("the provider hashicorp/toy is not at hand"), expected.is_empty(), "{ran}");
    }
}

/// Each stack has its own requirements, but what a provider offers is the same for a whole project.
#[test]
fn all_stacks_use_one_version_of_a_provider() {
    let versions = ["1.0.0", "2.0.0"];
    let Some(project) = with_toy("plugin-two-versions", &versions, "") else { return };
    fs::remove_file(project.directory.join("main.tf")).unwrap();
    project.write("andon.hcl", "project \"p\" {}\n");
    let stack = |version: &str, size: &str| {
        format!(
            "terraform {{\n  required_providers {{\n    toy = {{\n      source  = \"hashicorp/toy\"\n      version = \"{version}\"\n    }}\n  }}\n}}\n\nresource \"toy_thing\" \"one\" {{\n  name = \"x\"\n  size = {size}\n}}\n"
        )
    };
    project.write("stacks/a/main.tf", &stack("~> 1.0", "1"));
    project.write("stacks/b/main.tf", &stack("~> 2.0", "2"));
    let ran = check(&project, &[]);
    assert_eq!((ran.code, starts(&project)), (Some(0), String::new()), "{ran}");
    assert!(ran.err.contains("1.0.0, 2.0.0 are installed, and ~> 2.0, ~> 1.0 is wanted"), "{ran}");
    assert!(ran.err.contains("All stacks of a project use one version of a provider"), "{ran}");
    project.write("stacks/b/main.tf", &stack(">= 1.0", "2"));
    let ran = check(&project, &[]);
    assert_eq!((ran.code, ran.err.as_str(), starts(&project).as_str()), (Some(0), "", "1.0.0"), "{ran}");
}

#[test]
fn a_plugin_that_breaks_is_an_error_with_its_words() {
    let crash = "resource \"toy_thing\" \"one\" {\n  name = \"crash\"\n}\n";
    let Some(project) = with_toy("plugin-breaks", &["1.0.0"], crash) else { return };
    let ran = check(&project, &[]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.err.contains("the provider hashicorp/toy cannot be asked"), "{ran}");
    assert!(ran.err.contains("panic: a thing called crash"), "{ran}");
    let path = format!("{INSTALLED}/1.0.0/linux_amd64/terraform-provider-toy_v1.0.0");
    project.write(&path, "#!/bin/sh\necho hello\n");
    let ran = check(&project, &[]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.err.contains("its first line is no handshake: \"hello\""), "{ran}");
}

/// Bodies of AWS resources; what a case has wrong is in its name.
const AWS: &[(&str, &str)] = &[
    ("vpc", r#"resource "aws_vpc" "a" { cidr_block = "10.0.0.0/16" }"#),
    ("vpc: bad range", r#"resource "aws_vpc" "a" { cidr_block = "10.0.0.0/99" }"#),
    ("vpc: unknown argument", r#"resource "aws_vpc" "a" { cidr = "10.0.0.0/16" }"#),
    ("vpc: wrong type", r#"resource "aws_vpc" "a" { tags = "x" }"#),
    (
        "subnet",
        r#"resource "aws_subnet" "a" {
  count      = 2
  vpc_id     = aws_vpc.v.id
  cidr_block = cidrsubnet(aws_vpc.v.cidr_block, 8, count.index)
}
resource "aws_vpc" "v" { cidr_block = "10.0.0.0/16" }"#,
    ),
    ("subnet: missing vpc", r#"resource "aws_subnet" "a" { cidr_block = "10.0.1.0/24" }"#),
    (
        "reference to no attribute",
        r#"resource "aws_vpc" "v" { cidr_block = "10.0.0.0/16" }
output "x" { value = aws_vpc.v.colour }"#,
    ),
    (
        "security group, blocks",
        r#"resource "aws_security_group" "a" {
  name = "a"
  ingress {
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
  dynamic "egress" {
    for_each = [80, 81]
    content {
      from_port   = egress.value
      to_port     = egress.value
      protocol    = "tcp"
      cidr_blocks = ["10.0.0.0/8"]
    }
  }
}"#,
    ),
    ("security group, none", r#"resource "aws_security_group" "a" { ingress = [] }"#),
    (
        "security group: bad range",
        r#"resource "aws_security_group" "a" {
  ingress {
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["nonsense"]
  }
}"#,
    ),
    (
        "security group: missing port",
        r#"resource "aws_security_group" "a" {
  ingress {
    to_port  = 443
    protocol = "tcp"
  }
}"#,
    ),
    (
        "role",
        r#"resource "aws_iam_role" "a" {
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [] })
}"#,
    ),
    ("role: no JSON", r#"resource "aws_iam_role" "a" { assume_role_policy = "{nonsense" }"#),
    (
        "policy document",
        r#"data "aws_iam_policy_document" "a" {
  statement {
    actions   = ["s3:*"]
    resources = ["*"]
  }
}"#,
    ),
    (
        "policy document: bad effect",
        r#"data "aws_iam_policy_document" "a" {
  statement { effect = "Perhaps" }
}"#,
    ),
    (
        "bucket",
        r#"resource "aws_s3_bucket" "a" { bucket_prefix = "x-" }
resource "aws_s3_bucket_versioning" "a" {
  bucket = aws_s3_bucket.a.id
  versioning_configuration { status = "Enabled" }
}"#,
    ),
    (
        "bucket: both names",
        r#"resource "aws_s3_bucket" "a" {
  bucket        = "x"
  bucket_prefix = "x-"
}"#,
    ),
    (
        "bucket: bad status",
        r#"resource "aws_s3_bucket_versioning" "a" {
  bucket = "b"
  versioning_configuration { status = "Perhaps" }
}"#,
    ),
    (
        "bucket: two blocks",
        r#"resource "aws_s3_bucket_versioning" "a" {
  bucket = "b"
  versioning_configuration { status = "Enabled" }
  versioning_configuration { status = "Enabled" }
}"#,
    ),
    ("queue", r#"resource "aws_sqs_queue" "a" { delay_seconds = 10 }"#),
    ("queue: too long", r#"resource "aws_sqs_queue" "a" { delay_seconds = 1000 }"#),
    ("queue: computed argument", r#"resource "aws_sqs_queue" "a" { url = "x" }"#),
    (
        "table",
        r#"resource "aws_dynamodb_table" "a" {
  name         = "a"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"
  attribute {
    name = "id"
    type = "S"
  }
}"#,
    ),
    (
        "table: bad kind",
        r#"resource "aws_dynamodb_table" "a" {
  name     = "a"
  hash_key = "id"
  attribute {
    name = "id"
    type = "X"
  }
}"#,
    ),
    (
        "function",
        r#"resource "aws_iam_role" "r" { assume_role_policy = "{}" }
resource "aws_lambda_function" "a" {
  function_name = "a"
  role          = aws_iam_role.r.arn
  handler       = "x.y"
  runtime       = "python3.12"
  filename      = "a.zip"
}"#,
    ),
    ("function: no role", r#"resource "aws_lambda_function" "a" { function_name = "a" }"#),
    (
        "function: bad role",
        r#"resource "aws_lambda_function" "a" {
  function_name = "a"
  role          = "nobody"
  filename      = "a.zip"
  handler       = "x.y"
  runtime       = "python3.12"
}"#,
    ),
    ("unknown type", r#"resource "aws_vcp" "a" {}"#),
    ("unknown data source", r#"data "aws_nothing" "a" {}"#),
    (
        "provider: bad argument",
        r#"provider "aws" { regoin = "eu-west-1" }
resource "aws_sqs_queue" "a" {}"#,
    ),
    (
        "provider: alias",
        r#"provider "aws" {
  alias  = "west"
  region = "eu-west-1"
}
resource "aws_sqs_queue" "a" { provider = aws.west }"#,
    ),
    (
        "nested attributes",
        r#"resource "aws_vpc_security_group_ingress_rule" "a" {
  security_group_id = "sg-1"
  cidr_ipv4         = "10.0.0.0/8"
  ip_protocol       = "tcp"
  from_port         = 1
  to_port           = 2
}"#,
    ),
    (
        "known only later",
        r#"resource "aws_vpc" "v" { cidr_block = "10.0.0.0/16" }
resource "aws_security_group" "a" {
  dynamic "ingress" {
    for_each = aws_vpc.v.tags_all
    content {
      from_port = 1
      to_port   = 2
      protocol  = "tcp"
    }
  }
}"#,
    ),
];

/// `dynamic` blocks of AWS resources: `=== name`, and below it the definitions.
fn dynamic_cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("dynamic.txt").split("=== ").skip(1).filter_map(|case| case.split_once('\n'))
}

#[test]
fn aws_definitions_are_judged_as_terraform_judges_them() {
    let Some(mirror) = std::env::var_os("ANDON_PLUGIN_MIRROR").map(PathBuf::from) else {
        println!("skipped: no mirror has the AWS plugin; name one in ANDON_PLUGIN_MIRROR");
        return;
    };
    let terraform = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    if Command::new(&terraform).arg("version").output().is_err() {
        println!("skipped: terraform is not installed; name it in ANDON_TERRAFORM");
        return;
    }
    let project = Project::empty("plugin-aws");
    let mirrored =
        format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n", mirror.display());
    project.write("rc", &mirrored);
    let run = |mut command: Command| {
        command.env("TF_CLI_CONFIG_FILE", project.directory.join("rc")).env("CHECKPOINT_DISABLE", "1");
        command.env("XDG_CACHE_HOME", project.directory.join("cache")).current_dir(&project.directory);
        command.output().unwrap()
    };
    let theirs = |words: &[&str]| {
        let mut command = Command::new(&terraform);
        command.args(words);
        run(command)
    };
    let cases: Vec<(&str, &str)> = AWS.iter().copied().chain(dynamic_cases()).collect();
    // Each is a module of one project, so that each side starts the plugin once. What its variables are is not known.
    let calls = cases.iter().enumerate().map(|(at, (_, text))| {
        let declared = text.split("variable \"").skip(1).filter_map(|rest| rest.split('"').next());
        let given: String = declared.map(|name| format!("  {name} = var.unknown\n")).collect();
        format!("module \"case{at:02}\" {{\n  source = \"./cases/{at:02}\"\n{given}}}\n")
    });
    project.write("main.tf", &format!("variable \"unknown\" {{}}\n{}", calls.collect::<String>()));
    for (at, (_, text)) in cases.iter().enumerate() {
        project.write(&format!("cases/{at:02}/main.tf"), text);
    }
    let output = theirs(&["init", "-input=false"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let errors = |json: &[u8]| -> Vec<Vec<u64>> {
        let report: Json = serde_json::from_slice(json).unwrap();
        let errors = report["diagnostics"].as_array().unwrap().iter().filter(|it| it["severity"] == "error");
        let mut lines = vec![Vec::new(); cases.len()];
        for error in errors {
            let at = error["range"]["filename"].as_str().and_then(|name| name.get(6..8)?.parse::<usize>().ok());
            lines[at.unwrap_or_else(|| panic!("{error}"))].push(error["range"]["start"]["line"].as_u64().unwrap());
        }
        lines
    };
    let ours = errors(&run(project.command(&["check", "--json"])).stdout);
    let theirs = errors(&theirs(&["validate", "-json"]).stdout);
    let mut differences = Vec::new();
    for (((name, _), ours), theirs) in cases.iter().zip(ours).zip(theirs) {
        // Where they point at a block, we may point into it; how many there are is the same.
        if ours.len() != theirs.len() {
            differences.push(format!("{name}: errors in lines {ours:?}, and Terraform's in {theirs:?}"));
        }
    }
    println!("{} definitions were judged by both", cases.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_configuration_that_a_provider_refuses_is_told_once_and_at_its_block() {
    let text = "variable \"region\" {}\nprovider \"toy\" {\n  region = var.region\n}\nresource \"toy_thing\" \"one\" {\n  count = 3\n  name  = \"x${count.index}\"\n}\nresource \"toy_thing\" \"two\" {\n  name = \"y\"\n}\n";
    let Some(project) = with_toy("plugin-refuses", &["1.0.0"], text) else { return };
    let ran = run(&project, &["plan", "-var=region=nowhere"]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert_eq!(ran.err.matches("there is no region").count(), 1, "{ran}");
    assert!(ran.err.contains("main.tf:3:") && !ran.err.contains("toy_thing"), "{ran}");
}

#[test]
fn one_that_it_refuses_at_the_apply_is_told_once_too() {
    let text = "resource \"terraform_data\" \"region\" {\n  input = \"nowhere\"\n}\nprovider \"toy\" {\n  region = terraform_data.region.output\n}\nresource \"toy_thing\" \"one\" {\n  count = 3\n  name  = \"x${count.index}\"\n}\n";
    let Some(project) = with_toy("plugin-refuses-late", &["1.0.0"], text) else { return };
    let ran = run(&project, &["apply", "-y"]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert_eq!(ran.err.matches("there is no region").count(), 1, "{ran}");
    assert!(ran.err.contains("main.tf:5:") && ran.err.contains("3 failed"), "{ran}");
}

#[test]
fn one_process_judges_and_plans() {
    let text = "provider \"toy\" {\n  region = \"here\"\n}\nresource \"toy_thing\" \"one\" {\n  count = 3\n  name  = \"x${count.index}\"\n}\n";
    let Some(project) = with_toy("plugin-one", &["1.0.0"], text) else { return };
    let ran = run(&project, &["plan"]);
    assert_eq!((ran.code, starts(&project).as_str()), (Some(0), "1.0.0"), "{ran}");
}

#[test]
fn what_is_empty_instead_of_left_out_is_recorded_and_not_told() {
    let text = |input: &str| {
        format!(
            "resource \"toy_thing\" \"one\" {{\n  name = \"emptied\"\n  lifecycle {{\n    ignore_changes = [named]\n  }}\n}}\nresource \"terraform_data\" \"a\" {{\n  input = {input}\n}}\n"
        )
    };
    let Some(project) = with_toy("plugin-empty", &["1.0.0"], &text("1")) else { return };
    let ok = |words: &[&str]| {
        let ran = run(&project, words);
        assert_eq!(ran.code, Some(0), "{ran}");
        ran
    };
    let named = || {
        let state: Json = serde_json::from_str(&ok(&["state", "pull"]).out).unwrap();
        let resources = state["resources"].as_array().unwrap();
        let thing = resources.iter().find(|it| it["type"] == "toy_thing").unwrap();
        thing["instances"][0]["attributes"]["named"].clone()
    };
    ok(&["apply", "-y"]);
    assert_eq!(named(), Json::Null);
    ok(&["drift"]);
    let ran = ok(&["apply", "-y"]);
    assert!(!ran.out.contains("as it was left") && !ran.out.contains("no definition speaks"), "{ran}");
    assert_eq!(named(), Json::Null);
    project.write("main.tf", &text("2"));
    let ran = ok(&["plan", "-out=saved"]);
    assert!(!ran.out.contains("as it was left") && !ran.out.contains("no definition speaks"), "{ran}");
    let shown: Json = serde_json::from_str(&ok(&["show", "-json", "saved"]).out).unwrap();
    let prior = shown["prior_state"]["values"]["root_module"]["resources"].as_array().unwrap();
    let thing = prior.iter().find(|it| it["type"] == "toy_thing").unwrap();
    assert_eq!(thing["values"]["named"], serde_json::json!({}));
    ok(&["apply", "-y"]);
    assert_eq!(named(), serde_json::json!({}));
}
