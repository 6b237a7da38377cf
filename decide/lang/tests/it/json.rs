//! Definitions in JSON: the same project as the native syntax gives.

use andon_lang::{check as check_project, load};

use crate::schemas::schemas;
use crate::{files, render};

fn check(of: &str, expected: &str) {
    let (project, mut diagnostics) = load(files(of), "shop");
    diagnostics.extend(check_project(&project, &schemas()));
    assert_eq!(render(&diagnostics, &project.sources).trim(), expected.trim(), "{of}");
}

#[test]
fn every_block_has_a_json_form() {
    let of = r#"
== main.tf.json
{
  "//": "a comment",
  "terraform": {
    "required_version": ">= 1.0",
    "required_providers": { "lab": { "source": "terraform.io/builtin/lab", "configuration_aliases": ["lab.x"] }, "aws": "~> 5.0" },
    "backend": { "s3": { "bucket": "${not evaluated}" } }
  },
  "provider": { "lab": { "alias": "x" }, "aws": [{ "region": "a" }, { "alias": "west", "region": "b" }] },
  "variable": {
    "size": { "type": "list(object({ a = optional(string, \"x\") }))", "default": [{ "a": "${not evaluated}" }], "nullable": false,
      "validation": { "condition": "${length(var.size) > 0}", "error_message": "empty" } },
    "plain": {}
  },
  "locals": [{ "a": "${var.plain}-x" }, { "b": { "c": "${local.a}" } }],
  "resource": {
    "lab_network": { "app": { "name": "n" } },
    "lab_server": {
      "web": {
        "count": 2,
        "name": "web-${count.index}",
        "image": "x",
        "network": "${lab_network.app.id}",
        "provider": "lab.x",
        "depends_on": ["lab_network.app"],
        "lifecycle": { "ignore_changes": ["image"], "create_before_destroy": true, "precondition": [{ "condition": "${var.plain != 1}", "error_message": "no" }] },
        "provisioner": [{ "local-exec": { "when": "destroy", "command": "x" } }]
      }
    },
    "aws_instance": {
      "a": [{ "provider": "aws.west", "ebs": [{ "size": 1 }], "dynamic": { "nic": { "for_each": ["${var.plain}"], "content": { "a": "${nic.value}" } } } }]
    }
  },
  "data": { "andon_stack": [{ "other": { "name": "x" } }] },
  "output": { "o": { "value": "${lab_server.web[0].id}", "sensitive": true, "description": "${x}" } },
  "module": { "m": { "source": "./m", "providers": { "aws": "aws.west" }, "v": [1, "${local.a}"] } },
  "moved": [{ "from": "lab_server.old", "to": "lab_server.web[0]" }],
  "removed": { "from": "module.gone", "lifecycle": { "destroy": false } },
  "import": { "to": "lab_network.app", "id": "net-${var.plain}" },
  "check": { "c": { "assert": { "condition": "${local.a != \"\"}", "error_message": "x" } } }
}
== m/main.tf.json
{ "variable": { "v": {} }, "output": { "v": { "value": "${var.v}" } } }
== x_override.tf.json
{ "locals": { "a": "${var.plain}-y" } }
== terraform.tfvars.json
{ "plain": "${as it is}" }
== a.auto.tfvars.json
{ "//": "a comment", "size": [{ "a": "1" }] }
"#;
    let (project, diagnostics) = load(files(of), "shop");
    assert!(diagnostics.is_empty(), "{}", render(&diagnostics, &project.sources));
    let stack = &project.stacks[""];
    let module = &stack.module;
    assert_eq!(module.resources.len(), 4);
    assert_eq!(module.variables["size"].ty.to_string(), "list(object({a=optional(string)}))");
    assert_eq!(project.sources.text(module.locals["a"].value.span), "\"${var.plain}-y\"");
    let server = module.resources.values().find(|resource| &*resource.key.kind == "lab_server").unwrap();
    assert_eq!(server.provider.as_ref().unwrap().alias.as_ref().map(|alias| &*alias.name), Some("x"));
    assert!(server.provisioners[0].on_destroy && server.lifecycle.create_before_destroy);
    assert_eq!((server.depends_on.len(), server.lifecycle.preconditions.len()), (1, 1));
    assert_eq!((module.moved.len(), module.removed.len(), module.imports.len(), module.checks.len()), (1, 1, 1, 1));
    assert_eq!(module.providers.len(), 3);
    assert_eq!(module.settings.required_providers["lab"].aliases.len(), 1);
    assert_eq!(module.calls["m"].providers.len(), 1);
    assert_eq!(stack.assignments.len(), 2);
    let said = check_project(&project, &schemas());
    let said = render(&said, &project.sources);
    // Nothing passes the configuration to a stack's own module.
    let expected = |line: &str| ["andon_stack", "there is no stack", "\"lab.x\""].iter().any(|it| line.contains(it));
    assert!(said.lines().all(expected), "{said}");
}

#[test]
fn bodies_are_read_by_their_schemas() {
    for (given, expected) in [
        (r#"{ "resource": { "lab_network": { "a": { "name": "n" } } } }"#, ""),
        (
            r#"{ "resource": { "lab_network": { "a": { "nmae": "n" } } } }"#,
            "main.tf.json:1:41 unsupported argument or block \"nmae\"",
        ),
        (
            r#"{ "resource": { "lab_network": { "a": { "name": "${var.x}" } } } }"#,
            "main.tf.json:1:52 there is no variable \"x\"",
        ),
        (r#"{ "resourc": {} }"#, "main.tf.json:1:3 unsupported argument \"resourc\""),
        (r#"{ "variable": { "a": { "typ": "string" } } }"#, "main.tf.json:1:24 unsupported argument \"typ\""),
        (r#"{ "output": { "a": { } } }"#, "main.tf.json:1:15 missing argument \"value\""),
        (r#"{ "variable": { "a": { }, "a": { } } }"#, "main.tf.json:1:27 duplicate variable \"a\""),
        (r#"{ "locals": { "a": "${1 +}" } }"#, "main.tf.json:1:25 value is missing after `+`"),
    ] {
        check(&format!("== main.tf.json\n{given}\n"), expected);
    }
}
