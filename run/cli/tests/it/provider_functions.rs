//! `provider::NAME::FUNCTION(…)` of plugins: judged by `check`, and called by `check`, `plan`, `apply` and `console`.

use std::collections::BTreeSet;
use std::fs;

use crate::plugins::{run, starts, with_toy};

const REQUIRED: &str = r#"
terraform {
  required_providers {
    toy = {
      source = "hashicorp/toy"
    }
  }
}
"#;

const CALLS: &str = r#"
variable "secret" {
  default   = "hush"
  sensitive = true
}

resource "terraform_data" "one" {
  input = provider::toy::shout("made")
}

module "inner" {
  source = "./inner"
  count  = 2
  name   = "n${count.index}"
}

output "loud" { value = provider::toy::shout("hi") }
output "nested" { value = provider::toy::shout("${provider::toy::shout("a")}b") }
output "sum" { value = provider::toy::sum([1, 2, 3.5]...) }
output "none" { value = provider::toy::sum() }
output "same" { value = provider::toy::echo({ a = [1, "x", true] }) }
output "forgiven" { value = try(provider::toy::shout(""), "quiet") }
output "inner" { value = module.inner[*].loud }
output "each" { value = [for word in ["a", "b"] : provider::toy::shout(word)] }
output "later" { value = provider::toy::shout(terraform_data.one.id) != "" }
output "hidden" {
  value     = provider::toy::shout(var.secret)
  sensitive = true
}
"#;

fn definitions(project: &crate::support::Project) {
    project.write(
        "inner/main.tf",
        &format!("{REQUIRED}\nvariable \"name\" {{}}\noutput \"loud\" {{ value = provider::toy::shout(var.name) }}\n"),
    );
}

#[test]
fn plugins_functions_are_called_while_planning_and_applying() {
    let Some(project) = with_toy("functions-called", &["1.0.0"], &format!("{REQUIRED}{CALLS}")) else { return };
    definitions(&project);
    let checked = run(&project, &["check"]);
    assert_eq!((checked.code, &*checked.err), (Some(0), ""), "{checked}");
    let planned = run(&project, &["plan"]);
    assert_eq!(planned.code, Some(0), "{planned}");
    for line in [
        r#"+ loud = "HI""#,
        r#"+ nested = "AB""#,
        "+ sum = 6.5",
        "+ none = 0",
        r#"+ forgiven = "quiet""#,
        "+ later = (known after apply)",
        "+ hidden = (sensitive value)",
        r#""N1","#,
        r#"input = "MADE""#,
    ] {
        assert!(planned.out.contains(line), "{line}\n{planned}");
    }
    assert_eq!(run(&project, &["apply", "-y"]).code, Some(0));
    let given = run(&project, &["output", "--json"]);
    let given: serde_json::Value = serde_json::from_str(&given.out).unwrap();
    let value = |name: &str| given[name].get("value").unwrap_or(&given[name]).clone();
    assert_eq!(value("later"), true, "{given}");
    assert_eq!(value("each"), serde_json::json!(["A", "B"]), "{given}");
    assert_eq!(value("same"), serde_json::json!({ "a": [1, "x", true] }), "{given}");
    for (expression, expected) in [
        (r#"provider::toy::shout("x")"#, r#""X""#),
        (r#"can(provider::toy::shout(""))"#, "false"),
        ("output_is_no_name", ""),
        ("provider::toy::shout(var.secret)", "(sensitive value)"),
        (r#"provider::toy::sum(1, provider::toy::sum(2, 3))"#, "6"),
        (r#"terraform_data.one.output"#, r#""MADE""#),
    ] {
        let ran = run(&project, &["console", "-c", expression]);
        assert_eq!(ran.out.trim_end(), expected, "{expression}: {ran}");
    }
}

#[test]
fn wrong_calls_are_found_by_check() {
    for (call, line) in [
        (r#"provider::toy::shot("x")"#, r#"Did you mean "provider::toy::shout"?"#),
        ("provider::toy::shout()", "1 is required, and 0 given"),
        (r#"provider::toy::shout("a", "b")"#, "It is called as `provider::toy::shout(text)`."),
        ("provider::toy::shout([])", "a string is required, but this is an empty tuple"),
        ("provider::toy::shout(null)", "must not be null"),
        (r#"provider::toy::shout("")"#, r#"invalid argument "text" of "provider::toy::shout""#),
        (r#"provider::toy::shout(provider::toy::shout(""))"#, "there is nothing to shout"),
        (r#"provider::toy::sum(1, "x")"#, r#"invalid argument "numbers" of "provider::toy::sum""#),
        (r#"provider::tou::shout("x")"#, "no provider has the local name"),
        ("provider::toy::shout(sensitive(\"\"))", "an argument is sensitive"),
    ] {
        let text = format!("{REQUIRED}\noutput \"x\" {{ value = {call} }}\n");
        let Some(project) = with_toy("functions-wrong", &["1.0.0"], &text) else { return };
        let ran = run(&project, &["check"]);
        assert!(ran.code == Some(1) && ran.err.contains(line), "{call}: {ran}");
        assert_eq!(ran.err.matches("error:").count(), 1, "{call}: {ran}");
    }
}

#[test]
fn a_plugin_that_is_not_at_hand_leaves_calls_unchecked_and_stops_a_plan() {
    let text = format!("{REQUIRED}\noutput \"x\" {{ value = provider::toy::shout(\"x\") }}\n");
    let Some(project) = with_toy("functions-absent", &[], &text) else { return };
    let checked = run(&project, &["check"]);
    assert_eq!(checked.code, Some(0), "{checked}");
    assert!(checked.err.contains("the provider hashicorp/toy is not at hand"), "{checked}");
    let planned = run(&project, &["plan"]);
    assert_eq!(planned.code, Some(1), "{planned}");
    assert!(planned.err.contains("is not at hand") && planned.err.contains("andon init"), "{planned}");
    assert_eq!(starts(&project), "");
}

/// The same console lines to Terraform and to us, with the real AWS plugin.
#[test]
fn functions_of_the_aws_provider_are_as_terraform_says() {
    let mirror = std::env::var_os("ANDON_PLUGIN_MIRROR");
    let Some(mirror) = mirror else { return println!("skipped: ANDON_PLUGIN_MIRROR names no plugins") };
    let terraform = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    let project = crate::support::Project::empty("functions-aws");
    project.write("main.tf", &REQUIRED.replace("toy", "aws"));
    let rc = format!("provider_installation {{\n  filesystem_mirror {{\n    path = {mirror:?}\n  }}\n}}\n");
    project.write("terraform.rc", &rc);
    let ask = |words: &[&str], input: &str| {
        project.write("input", input);
        let mut command = std::process::Command::new(&terraform);
        command.args(words).current_dir(&project.directory);
        command.env("TF_CLI_CONFIG_FILE", project.directory.join("terraform.rc"));
        command.stdin(fs::File::open(project.directory.join("input")).unwrap()).output()
    };
    match ask(&["init", "-no-color"], "") {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => return println!("skipped: no terraform: {error}"),
    }
    let arn = "arn:aws:iam::444455556666:role/path/to/example";
    let sound = [
        format!("provider::aws::arn_parse({arn:?})"),
        format!("issensitive(provider::aws::arn_parse(sensitive({arn:?})))"),
        format!("provider::aws::trim_iam_role_path({arn:?})"),
        r#"provider::aws::arn_build("aws", "iam", "", 444455556666, "role/x")"#.to_owned(),
        r#"provider::aws::arn_build(["aws", "iam", "", "1", "role/x"]...)"#.to_owned(),
        format!("try(provider::aws::arn_parse(\"x\"), provider::aws::arn_parse({arn:?}).service)"),
        "can(provider::aws::trim_iam_role_path(1))".to_owned(),
        "can(provider::aws::arn_parse(null))".to_owned(),
    ];
    let all = format!("jsonencode([{}])", sound.join(", "));
    let theirs = ask(&["console"], &format!("{all}\n")).unwrap();
    let ours = run(&project, &["console", "-c", &all]);
    assert_eq!(String::from_utf8_lossy(&theirs.stdout), ours.out, "{ours}");
    let broken = [
        r#"provider::aws::arn_parse("nope")"#,
        r#"provider::aws::arn_parse("")"#,
        "provider::aws::arn_parse(null)",
        "provider::aws::arn_parse()",
        r#"provider::aws::arn_parze("x")"#,
        r#"provider::aws::trim_iam_role_path("arn:aws:s3:::bucket")"#,
        r#"provider::aws::arn_build("a", "b", "c", "d", "e", "f")"#,
        r#"provider::aws::arn_build("a", "b", "c", "d", {})"#,
        r#"provider::nobody::arn_parse("x")"#,
        "provider::terraform::encode_expr(1)",
    ];
    let outputs = broken.iter().enumerate().map(|(at, call)| format!("output \"o{at}\" {{\n  value = {call}\n}}\n"));
    project.write("outputs.tf", &outputs.collect::<String>());
    let lines = |json: &str| -> BTreeSet<u64> {
        let report: serde_json::Value = serde_json::from_str(json).unwrap();
        let all = report["diagnostics"].as_array().unwrap().iter();
        all.map(|it| it["range"]["start"]["line"].as_u64().unwrap()).collect()
    };
    let theirs = lines(&String::from_utf8_lossy(&ask(&["validate", "-json"], "").unwrap().stdout));
    let ours = lines(&run(&project, &["check", "--json"]).out);
    assert_eq!((theirs.len(), &theirs), (broken.len(), &ours));
}
