//! The life of an AWS configuration, with the real provider plugin against an imitation of the cloud on loopback: made,
//! looked at, changed, replaced, deleted; and beside a real `terraform`, where there is one. Needs a mirror with the
//! plugin (`ANDON_PLUGIN_MIRROR`) and `moto_server` (of Python).

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

use crate::support::{Project, eventually};

/// The imitation of the cloud; it ends with the test.
struct Cloud {
    server: Child,
    port: u16,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Cloud {
    fn start() -> Option<Cloud> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(server) = command.spawn() else {
            println!("skipped: moto_server is not installed (pip install 'moto[server]')");
            return None;
        };
        let cloud = Cloud { server, port };
        eventually("the imitation of the cloud answers", Duration::from_secs(60), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(cloud)
    }
}

fn mirror() -> Option<PathBuf> {
    let mirror = std::env::var_os("ANDON_PLUGIN_MIRROR").map(PathBuf::from);
    if mirror.is_none() {
        println!("skipped: no mirror has the AWS plugin; name one in ANDON_PLUGIN_MIRROR");
    }
    mirror
}

/// The provider's block, with every service at the imitation.
fn provider(port: u16) -> String {
    let services = ["sqs", "s3", "iam", "dynamodb", "ec2", "sts", "lambda", "ssm"];
    let endpoints: String =
        services.iter().map(|service| format!("    {service} = \"http://127.0.0.1:{port}\"\n")).collect();
    format!(
        "terraform {{\n  required_providers {{\n    aws = {{ source = \"hashicorp/aws\" }}\n  }}\n}}\n\
         provider \"aws\" {{\n  region = \"us-east-1\"\n  access_key = \"nobody\"\n  secret_key = \"nothing\"\n  \
         skip_credentials_validation = true\n  skip_requesting_account_id = true\n  skip_metadata_api_check = true\n  \
         s3_use_path_style = true\n  default_tags {{\n    tags = {{ team = \"a\" }}\n  }}\n  endpoints {{\n{endpoints}  }}\n}}\n"
    )
}

const NETWORK: &str = r#"
variable "cidr" { type = string }
variable "zones" { type = list(string) }
variable "tags" {
  type    = map(string)
  default = {}
}
resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  tags                 = merge(var.tags, { Name = "main" })
}
resource "aws_subnet" "private" {
  count             = length(var.zones)
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(var.cidr, 8, count.index)
  availability_zone = var.zones[count.index]
  tags              = merge(var.tags, { Name = "private-${count.index}" })
}
resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}
resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}
resource "aws_route_table_association" "private" {
  for_each       = { for at, subnet in aws_subnet.private : tostring(at) => subnet.id }
  subnet_id      = each.value
  route_table_id = aws_route_table.public.id
}
output "vpc_id" { value = aws_vpc.this.id }
output "subnets" { value = aws_subnet.private[*].id }
"#;

const MAIN: &str = r#"
data "aws_caller_identity" "me" {}
data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}
data "aws_iam_policy_document" "read" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.files.arn}/*"]
  }
}
module "network" {
  source = "./network"
  cidr   = "10.0.0.0/16"
  zones  = ["us-east-1a", "us-east-1b"]
  tags   = { env = "test" }
}
resource "aws_security_group" "web" {
  name   = "web"
  vpc_id = module.network.vpc_id
  dynamic "ingress" {
    for_each = [80, 443]
    content {
      from_port   = ingress.value
      to_port     = ingress.value
      protocol    = "tcp"
      cidr_blocks = ["0.0.0.0/0"]
    }
  }
}
resource "aws_s3_bucket" "files" {
  bucket        = "files-of-the-test"
  force_destroy = true
}
resource "aws_s3_bucket_versioning" "files" {
  bucket = aws_s3_bucket.files.id
  versioning_configuration { status = "Enabled" }
}
resource "aws_s3_object" "hello" {
  bucket  = aws_s3_bucket.files.id
  key     = "hello.txt"
  content = "hello ${module.network.vpc_id}"
}
resource "aws_iam_role" "function" {
  name               = "function"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}
resource "aws_iam_role_policy" "read" {
  name   = "read"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.read.json
}
resource "aws_lambda_function" "f" {
  function_name    = "f"
  role             = aws_iam_role.function.arn
  filename         = "${path.module}/f.zip"
  source_code_hash = filebase64sha256("${path.module}/f.zip")
  handler          = "f.handle"
  runtime          = "python3.12"
}
resource "aws_dynamodb_table" "items" {
  name         = "items"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"
  attribute {
    name = "id"
    type = "S"
  }
}
resource "aws_iam_user" "bot" { name = "bot" }
resource "aws_iam_access_key" "bot" { user = aws_iam_user.bot.name }
output "account" { value = data.aws_caller_identity.me.account_id }
output "subnets" { value = module.network.subnets }
output "secret" {
  value     = aws_iam_access_key.bot.secret
  sensitive = true
}
"#;

/// Writes the configuration, for a cloud at a port.
fn write(project: &Project, directory: &str, port: u16, mirror: &Path) {
    let settings =
        format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n", mirror.display());
    project.write("settings/rc", &settings);
    project.write(&format!("{directory}main.tf"), &format!("{}{MAIN}", provider(port)));
    project.write(&format!("{directory}network/main.tf"), NETWORK);
    // An archive with no file in it, as short as one can be: what the imitation does with it is its own business.
    let archive = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
    std::fs::write(project.directory.join(format!("{directory}f.zip")), archive).unwrap();
}

fn andon(project: &Project, words: &[&str]) -> (Option<i32>, String) {
    let mut command = project.command(words);
    command
        .env("TF_CLI_CONFIG_FILE", project.directory.join("settings/rc"))
        .env("XDG_CACHE_HOME", project.directory.join("settings/cache"))
        .env_remove("ANDON_PLUGIN_MIRROR");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn exits(code: i32, project: &Project, words: &[&str]) -> String {
    let (found, text) = andon(project, words);
    assert_eq!(found, Some(code), "{words:?}\n{text}");
    text
}

#[test]
fn an_aws_configuration_lives_its_life() {
    let Some(mirror) = mirror() else { return };
    let Some(cloud) = Cloud::start() else { return };
    let project = Project::empty("aws-life");
    write(&project, "", cloud.port, &mirror);
    exits(0, &project, &["init"]);
    let text = exits(0, &project, &["apply", "-y"]);
    assert!(text.contains("Done: "), "{text}");
    assert!(!text.contains("wJalrXUtnFEMI") && text.contains("(sensitive value)"), "{text}");
    // Nothing is left to do, whoever asks.
    exits(0, &project, &["plan", "--detailed-exitcode"]);

    // A change in place, and a replacement with what hangs on it.
    project.edit("main.tf", "env = \"test\"", "env = \"changed\"");
    let text = exits(2, &project, &["plan", "--detailed-exitcode"]);
    assert!(text.contains("3 to update") && !text.contains("to replace"), "{text}");
    exits(0, &project, &["apply", "-y"]);
    project.edit("main.tf", "name   = \"web\"", "name   = \"web2\"");
    let text = exits(2, &project, &["plan", "--detailed-exitcode"]);
    assert!(text.contains("to replace"), "{text}");
    exits(0, &project, &["apply", "-y"]);
    exits(0, &project, &["plan", "--detailed-exitcode"]);

    // Fewer subnets; what was saved is done and nothing else.
    project.edit("main.tf", "[\"us-east-1a\", \"us-east-1b\"]", "[\"us-east-1a\"]");
    exits(0, &project, &["plan", "-out", "saved.plan"]);
    let sealed = std::fs::read(project.directory.join("saved.plan")).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("us-east-1a"), "it is sealed");
    let text = exits(0, &project, &["apply", "saved.plan"]);
    assert!(text.contains("deleted module.network.aws_subnet.private[1]"), "{text}");
    let text = exits(1, &project, &["apply", "saved.plan"]);
    assert!(text.contains("what the plan was made from has moved"), "{text}");

    exits(0, &project, &["destroy", "-y"]);
    let text = exits(2, &project, &["plan", "--detailed-exitcode"]);
    assert!(!text.contains("to update") && !text.contains("to delete"), "{text}");
}

/// What a plan would do with every resource: the actions by address.
fn actions(plan: &Json) -> BTreeMap<String, Json> {
    let changes = plan["resource_changes"].as_array().cloned().unwrap_or_default();
    changes
        .into_iter()
        .filter(|change| change["mode"] == "managed")
        .map(|change| (change["address"].as_str().unwrap().to_owned(), change["change"]["actions"].clone()))
        .collect()
}

#[test]
fn terraform_plans_the_same() {
    let Some(mirror) = mirror() else { return };
    let terraform = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    if Command::new(&terraform).arg("version").output().is_err() {
        return println!("skipped: terraform is not installed; name it in ANDON_TERRAFORM");
    }
    let Some(cloud) = Cloud::start() else { return };
    let project = Project::empty("aws-same");
    write(&project, "", cloud.port, &mirror);
    exits(0, &project, &["init"]);
    let theirs = |words: &[&str]| {
        let mut command = Command::new(&terraform);
        command
            .args(words)
            .current_dir(&project.directory)
            .env("TF_CLI_CONFIG_FILE", project.directory.join("settings/rc"))
            .env("CHECKPOINT_DISABLE", "1");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    theirs(&["init", "-input=false"]);
    theirs(&["plan", "-input=false", "-out", "theirs.plan"]);
    let their_plan: Json = serde_json::from_slice(&theirs(&["show", "-json", "theirs.plan"])).unwrap();
    let (code, text) = andon(&project, &["plan", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let line = text.lines().find(|line| line.starts_with('{')).unwrap();
    let our_plan: Json = serde_json::from_str(line).unwrap();
    let ours: Vec<&str> =
        our_plan["changes"].as_array().unwrap().iter().map(|it| it["address"].as_str().unwrap()).collect();
    let (theirs, mut expected) = (actions(&their_plan), Vec::new());
    for (address, actions) in &theirs {
        assert_eq!(actions, &serde_json::json!(["create"]), "{address}");
        expected.push(address.as_str());
    }
    let mut managed: Vec<&str> = ours.into_iter().filter(|address| !address.contains("data.")).collect();
    managed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(managed, expected);
    // What is known of each object while planning is the same, too.
    for change in their_plan["resource_changes"].as_array().unwrap().iter().filter(|it| it["mode"] == "managed") {
        let address = change["address"].as_str().unwrap();
        let own = our_plan["changes"].as_array().unwrap().iter().find(|it| it["address"] == address).unwrap();
        let after = change["change"]["after"].as_object().unwrap();
        for (name, value) in
            after.iter().filter(|(_, value)| value.is_string() || value.is_number() || value.is_boolean())
        {
            let found = &own["after"][name];
            let secret = found == "(sensitive value)";
            assert!(secret || found == value, "{address}.{name}: {found} is not {value}");
        }
    }
}

/// What is imported: type and name, and what AWS calls it.
const EXISTING: &str = r#"
resource "aws_vpc" "main" {
  cidr_block = "10.1.0.0/16"
  tags       = { Name = "main" }
}
resource "aws_security_group" "web" {
  name        = "web"
  description = "of the web"
  vpc_id      = aws_vpc.main.id
  ingress {
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0", "10.0.0.0/8"]
  }
}
resource "aws_iam_role" "function" {
  name               = "imported"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [] })
}
resource "aws_s3_bucket" "files" {
  bucket = "imported-files"
}
"#;

/// Runs a real `terraform` in the project, with the plugin of the mirror; what it said. `None` where there is none here.
fn theirs(project: &Project, words: &[&str]) -> Option<String> {
    let terraform = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    let mut command = Command::new(&terraform);
    let settings = project.directory.join("settings/rc");
    command
        .args(words)
        .current_dir(&project.directory)
        .env("TF_CLI_CONFIG_FILE", settings)
        .env("CHECKPOINT_DISABLE", "1");
    let Ok(output) = command.output() else {
        println!("skipped: terraform is not installed; name it in ANDON_TERRAFORM");
        return None;
    };
    assert!(output.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A state file's resources, without what is another one in each history of a state, or has no order.
fn resources(text: &str) -> Json {
    let mut state: Json = serde_json::from_str(text).unwrap();
    for resource in state["resources"].as_array_mut().unwrap() {
        for instance in resource["instances"].as_array_mut().unwrap() {
            let instance = instance.as_object_mut().unwrap();
            if let Some(secrets) = instance.get_mut("sensitive_attributes").and_then(Json::as_array_mut) {
                secrets.sort_by_key(Json::to_string);
            }
        }
    }
    serde_json::json!({ "resources": state["resources"], "outputs": state["outputs"], "version": state["version"] })
}

#[test]
fn the_state_file_is_terraforms_and_goes_both_ways() {
    let Some(mirror) = mirror() else { return };
    let Some(cloud) = Cloud::start() else { return };
    let project = Project::empty("aws-state");
    write(&project, "", cloud.port, &mirror);
    let Some(_) = theirs(&project, &["init", "-input=false"]) else { return };
    theirs(&project, &["apply", "-input=false", "-auto-approve"]);
    // What Terraform made is as it should be here, and what it says of it is said here, too.
    exits(0, &project, &["init"]);
    exits(0, &project, &["state", "push", "terraform.tfstate"]);
    exits(0, &project, &["plan", "--detailed-exitcode"]);
    let pulled = exits(0, &project, &["state", "pull"]);
    assert_eq!(resources(&pulled), resources(&theirs(&project, &["state", "pull"]).unwrap()));
    // What is changed here is as it should be there.
    project.edit("main.tf", "env = \"test\"", "env = \"changed\"");
    exits(0, &project, &["apply", "-y"]);
    project.write("terraform.tfstate", &exits(0, &project, &["state", "pull"]));
    theirs(&project, &["plan", "-input=false", "-detailed-exitcode"]);
}

#[test]
fn what_is_there_is_imported_by_blocks_and_by_the_command() {
    let Some(mirror) = mirror() else { return };
    let Some(cloud) = Cloud::start() else { return };
    let maker = Project::empty("aws-maker");
    write(&maker, "", cloud.port, &mirror);
    let definitions = format!("{}{EXISTING}", provider(cloud.port));
    maker.write("main.tf", &definitions);
    exits(0, &maker, &["init"]);
    exits(0, &maker, &["apply", "-y"]);
    let shown = exits(0, &maker, &["show", "-json"]);
    let shown: Json = serde_json::from_str(shown.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    let there = shown["values"]["root_module"]["resources"].as_array().unwrap();
    let ids: Vec<(String, String)> = there
        .iter()
        .map(|it| (it["address"].as_str().unwrap().to_owned(), it["values"]["id"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(ids.len(), 4, "{ids:?}");

    // With the command, into what is defined.
    let project = Project::empty("aws-import");
    write(&project, "", cloud.port, &mirror);
    project.write("main.tf", &definitions);
    exits(0, &project, &["init"]);
    for (address, id) in &ids {
        let text = exits(0, &project, &["import", address, id]);
        assert!(text.contains("is known from now on"), "{text}");
    }
    let text = exits(1, &project, &["import", &ids[0].0, &ids[0].1]);
    assert!(text.contains("there is an object at"), "{text}");
    let text = exits(1, &project, &["state", "rm", "aws_vpc.none"]);
    assert!(text.contains("there is no object at"), "{text}");
    let plan = |project: &Project| exits(0, project, &["plan", "--json"]);
    let actions_of = |text: String| {
        let line = text.lines().find(|line| line.starts_with('{')).unwrap().to_owned();
        let plan: Json = serde_json::from_str(&line).unwrap();
        plan["changes"].as_array().unwrap().iter().map(|it| it["action"].to_string()).collect::<Vec<_>>()
    };
    assert!(actions_of(plan(&project)).iter().all(|action| action == "\"update\""), "{}", plan(&project));

    // With blocks, where definitions are written for what is found: nothing is to change.
    let blocks: String = ids
        .iter()
        .filter(|(address, _)| !address.contains("vpc"))
        .map(|(address, id)| format!("import {{\n  to = {address}\n  id = \"{id}\"\n}}\n"))
        .collect();
    let project = Project::empty("aws-generated");
    write(&project, "", cloud.port, &mirror);
    project.write("main.tf", &format!("{}{blocks}", provider(cloud.port)));
    exits(0, &project, &["init"]);
    let text = exits(2, &project, &["plan", "-generate-config-out=new.tf", "-out=saved", "-detailed-exitcode"]);
    assert!(text.contains("3 to import"), "{text}");
    let ours = std::fs::read_to_string(project.directory.join("new.tf")).unwrap();
    assert!(ours.contains("jsonencode({") && ours.contains("[\"0.0.0.0/0\", \"10.0.0.0/8\"]"), "{ours}");
    exits(0, &project, &["apply", "saved"]);
    exits(0, &project, &["plan", "--detailed-exitcode"]);

    // Terraform writes the same.
    std::fs::remove_file(project.directory.join("new.tf")).unwrap();
    let Some(_) = theirs(&project, &["init", "-input=false"]) else { return };
    theirs(&project, &["plan", "-input=false", "-generate-config-out=new.tf"]);
    let theirs = std::fs::read_to_string(project.directory.join("new.tf")).unwrap();
    let blocks = |text: &str| {
        let text = text.replace("by Terraform", "by Andon");
        let mut blocks: Vec<String> = text.split("\n\n").skip(1).map(|block| block.trim().to_owned()).collect();
        blocks.sort();
        blocks
    };
    assert_eq!(blocks(&ours), blocks(&theirs));
}
