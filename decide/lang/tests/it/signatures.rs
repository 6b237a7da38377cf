//! The table of functions against what the `terraform` at hand says of its own.

use std::process::Command;

use andon_lang::functions::{Function, Parameter, functions};
use andon_value::{Type, type_from_json};
use serde_json::Value as Json;

/// What Terraform says of its functions; `None` where there is no Terraform.
fn theirs() -> Option<serde_json::Map<String, Json>> {
    let terraform = std::env::var("ANDON_TERRAFORM").unwrap_or_else(|_| "terraform".to_owned());
    let asked = Command::new(&terraform)
        .args(["metadata", "functions", "-json"])
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .env("CHECKPOINT_DISABLE", "1")
        .output();
    let Ok(output) = asked else {
        println!("skipped: no {terraform} on this machine");
        return None;
    };
    let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    json["function_signatures"].as_object().cloned()
}

/// A parameter's name, and its type where theirs is not open: ours may say more.
fn same(ours: &Parameter, theirs: &Json) -> bool {
    let wanted = type_from_json(&theirs["type"]).expect("a type");
    let open = |ty: &Type| ty.has_dynamic();
    theirs["name"] == ours.name && (ours.ty == wanted || open(&wanted) && open(&ours.ty) || wanted == Type::Dynamic)
}

fn differs(ours: &Function, theirs: &Json) -> Option<String> {
    let none = Vec::new();
    let parameters = theirs["parameters"].as_array().unwrap_or(&none);
    let rest = theirs.get("variadic_parameter").filter(|rest| !rest.is_null());
    // What may be left out is, with them, any number of further arguments.
    let required = || ours.parameters.iter().filter(|parameter| !parameter.optional);
    let more = ours.rest.as_ref().or(ours.parameters.iter().find(|parameter| parameter.optional));
    let returns = type_from_json(&theirs["return_type"]).expect("a type");
    let equal = required().count() == parameters.len()
        && required().zip(parameters).all(|(ours, theirs)| same(ours, theirs))
        && more.is_some() == rest.is_some()
        && more.zip(rest).is_none_or(|(ours, theirs)| same(ours, theirs))
        && (ours.returns == returns || returns.has_dynamic());
    (!equal).then(|| format!("{}: {theirs}", ours.signature()))
}

#[test]
fn every_function_of_terraform_is_there_with_its_signature() {
    let Some(theirs) = theirs() else { return };
    let mut wrong = Vec::new();
    for (name, signature) in &theirs {
        let plain = name.strip_prefix("core::").unwrap_or(name);
        match functions().iter().find(|function| function.name == plain) {
            Some(function) => wrong.extend(differs(function, signature)),
            None => wrong.push(format!("{name} is missing")),
        }
    }
    // One is this language's own.
    for function in functions().iter().filter(|function| function.name != "secret") {
        if !theirs.contains_key(function.name) {
            wrong.push(format!("{} is no function of Terraform", function.name));
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
