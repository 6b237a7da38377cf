//! What differs between plans and states of the two.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::support::{unknown_in, without_nulls};

/// Whether a plan of Terraform does anything.
pub fn has_changes(theirs: &Json) -> bool {
    changes(theirs).any(|change| change["change"]["actions"] != json!(["no-op"]))
}

fn changes(theirs: &Json) -> impl Iterator<Item = &Json> {
    theirs["resource_changes"].as_array().into_iter().flatten()
}

/// The differences between our plan and theirs.
pub fn plans(ours: &Json, theirs: &Json, looks_only: bool) -> Vec<String> {
    let mut found = Vec::new();
    let key = |change: &Json| {
        let deposed =
            if change["deposed"].is_string() || change["action"] == "delete_deposed" { " (deposed)" } else { "" };
        format!("{}{deposed}", change["address"].as_str().unwrap_or_default())
    };
    let theirs_all: BTreeMap<String, &Json> =
        changes(theirs).filter(|it| it["change"]["actions"] != json!(["no-op"])).map(|it| (key(it), it)).collect();
    let ours_all: BTreeMap<String, &Json> =
        ours["changes"].as_array().into_iter().flatten().map(|it| (key(it), it)).collect();
    for address in theirs_all.keys().chain(ours_all.keys()).collect::<BTreeSet<_>>() {
        match (ours_all.get(address), theirs_all.get(address)) {
            (Some(ours), Some(theirs)) => change(address, ours, &theirs["change"], &mut found),
            (ours, theirs) => found.push(format!(
                "{address}: {}, {}",
                ours.map_or("nothing".to_owned(), |it| it["action"].to_string()),
                theirs.map_or("nothing".to_owned(), |it| it["change"]["actions"].to_string())
            )),
        }
    }
    outputs(ours, theirs, looks_only, &mut found);
    found
}

fn change(address: &str, ours: &Json, theirs: &Json, found: &mut Vec<String>) {
    let action = match (ours["action"].as_str().unwrap_or_default(), ours["order"].as_str()) {
        ("replace", Some("create_before_destroy" | "create-before-destroy")) => json!(["create", "delete"]),
        ("replace", _) => json!(["delete", "create"]),
        ("delete_deposed", _) => json!(["delete"]),
        ("data" | "read", _) => json!(["read"]),
        (other, _) => json!([other]),
    };
    // What only might read something does not make it be replaced in another order.
    let order_only = action == json!(["delete", "create"]) && theirs["actions"] == json!(["create", "delete"]);
    if action != theirs["actions"] && !order_only {
        found.push(format!("{address}: {action} {:?}, {}", ours["order"], theirs["actions"]));
        return;
    }
    value(
        &format!("{address} after"),
        action == json!(["read"]),
        [&ours["after"], &ours["after_unknown"]],
        [&theirs["after"], &theirs["after_unknown"]],
        found,
    );
}

fn outputs(ours: &Json, theirs: &Json, looks_only: bool, found: &mut Vec<String>) {
    for output in ours["outputs"].as_array().into_iter().flatten() {
        let name = output["name"].as_str().unwrap_or_default();
        let theirs = &theirs["output_changes"][name];
        let changes = theirs["actions"] != json!(["no-op"]) && !theirs.is_null();
        // A plan that only looks makes nothing that an output could wait for; we leave such outputs as they are.
        let mut unknown = BTreeSet::new();
        unknown_in(&theirs["after_unknown"], "", |at| format!(".{at}"), &mut unknown);
        if looks_only && !unknown.is_empty() {
            continue;
        }
        if output["changes"].as_bool() != Some(changes) {
            found.push(format!("output {name}: changes {}, {}", output["changes"], theirs["actions"]));
        }
    }
}

/// A value and the places in it that are unknown.
fn value(at: &str, reads: bool, ours: [&Json; 2], theirs: [&Json; 2], found: &mut Vec<String>) {
    let mut unknown = BTreeSet::new();
    unknown_in(theirs[1], "", |at| format!(".{at}"), &mut unknown);
    let written = |it: &Json| it.as_str().unwrap_or_default().replace([']', '"'], "").replace('[', ".");
    let own: BTreeSet<String> = ours[1].as_array().into_iter().flatten().map(written).collect();
    let (mut one, mut other) = (without_nulls(ours[0]), without_nulls(theirs[0]));
    for path in &own {
        // What is computed inside nested attributes of what will be read is null to Terraform, and so known.
        if !(reads && path.contains('.') && !unknown.contains(path)) {
            put_unknown(&mut one, path);
        }
    }
    unknown.iter().for_each(|path| put_unknown(&mut other, path));
    differences(at, &one, &other, found);
}

/// Notes in a value that something in it is unknown.
fn put_unknown(value: &mut Json, path: &str) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    if *value == "(sensitive value)" {
        return;
    }
    if path.is_empty() {
        *value = json!("(unknown)");
        return;
    }
    let place = match value {
        Json::Array(elements) => {
            let at = name.parse::<usize>().unwrap_or(0);
            while elements.len() <= at {
                elements.push(Json::Null);
            }
            &mut elements[at]
        }
        other => {
            if !other.is_object() {
                *other = json!({});
            }
            &mut other[name]
        }
    };
    put_unknown(place, rest.unwrap_or_default());
}

/// The differences between our state and theirs, save what counts and names states.
pub fn states(ours: &Json, theirs: &Json, with_outputs: bool) -> Vec<String> {
    let mut found = Vec::new();
    let instances = |state: &Json| {
        let mut all = BTreeMap::new();
        for resource in state["resources"].as_array().into_iter().flatten() {
            for instance in resource["instances"].as_array().into_iter().flatten() {
                let deposed = if instance["deposed"].is_string() { " deposed" } else { "" };
                let address = format!(
                    "{}.{} {}.{}{}{deposed}",
                    resource["module"], resource["mode"], resource["type"], resource["name"], instance["index_key"]
                );
                let mut instance = instance.clone();
                if let Some(entries) = instance.as_object_mut() {
                    entries.remove("deposed");
                    // A secret that is null is none to us.
                    let attributes = entries.get("attributes").cloned().unwrap_or(Json::Null);
                    if let Some(paths) = entries.get_mut("sensitive_attributes").and_then(Json::as_array_mut) {
                        paths.retain(|path| !at_path(&attributes, path).is_null());
                    }
                    for name in ["dependencies", "sensitive_attributes"] {
                        if let Some(list) = entries.get_mut(name).and_then(Json::as_array_mut) {
                            list.sort_by_key(Json::to_string);
                        }
                    }
                }
                all.insert(address, instance);
            }
        }
        all
    };
    let (one, other) = (instances(ours), instances(theirs));
    for address in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
        let at = |all: &BTreeMap<String, Json>| all.get(address).cloned().unwrap_or(Json::Null);
        let (one, mut other) = (at(&one), at(&other));
        // We note what was read; Terraform what might have been.
        let within = |one: &[Json], other: &[Json]| one.iter().all(|it| other.contains(it));
        if let (Some(less), Some(more)) = (one["dependencies"].as_array(), other["dependencies"].as_array())
            && within(less, more)
        {
            other["dependencies"] = one["dependencies"].clone();
        }
        if one["dependencies"].is_null() && other.is_object() && one.is_object() {
            other["dependencies"] = Json::Null;
        }
        // The same is so of what must be replaced in that order, because what might read it is.
        if one.is_object() && other.is_object() {
            other["create_before_destroy"] = one["create_before_destroy"].clone();
        }
        differences(address, &one, &other, &mut found);
    }
    if with_outputs {
        differences("outputs", &ours["outputs"], &theirs["outputs"], &mut found);
    }
    // Before anything was judged there is nothing to say.
    let judged = |state: &Json| {
        let all = state["check_results"].as_array().into_iter().flatten();
        let judged = all.filter(|check| check["objects"].is_array());
        judged.map(|check| (check["config_addr"].to_string(), check.clone())).collect::<BTreeMap<_, _>>()
    };
    differences("check_results", &json!(judged(ours)), &json!(judged(theirs)), &mut found);
    found
}

/// What a path of a state file leads to.
fn at_path<'a>(value: &'a Json, path: &Json) -> &'a Json {
    path.as_array().into_iter().flatten().fold(value, |value, step| {
        // A value of a type that only it knows is in a wrapping.
        let value = match value.as_object() {
            Some(wrapped) if wrapped.len() == 2 && wrapped.contains_key("type") => &value["value"],
            _ => value,
        };
        let key = if step["type"] == "index" { &step["value"]["value"] } else { &step["value"] };
        match key.as_u64() {
            Some(index) => &value[index as usize],
            None => &value[key.as_str().unwrap_or_default()],
        }
    })
}

/// The places in which two texts of JSON differ. What we do not show is no difference.
fn differences(at: &str, ours: &Json, theirs: &Json, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Json::String(secret), _) if secret == "(sensitive value)" => {}
        (Json::Object(one), Json::Object(other)) => {
            for name in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                let of = |all: &serde_json::Map<String, Json>| all.get(name).cloned().unwrap_or(Json::Null);
                differences(&format!("{at}.{name}"), &of(one), &of(other), found);
            }
        }
        (Json::Array(one), Json::Array(other)) => {
            // Elements of sets have no order where something in them is unknown.
            let sorted = |all: &[Json]| {
                let mut all: Vec<String> = all.iter().map(Json::to_string).collect();
                all.sort();
                // To us, two elements of a set of which nothing is known are one.
                all.dedup_by(|one, other| one == other && one.contains("(unknown)"));
                all
            };
            if sorted(one) == sorted(other) {
                return;
            }
            if one.len() != other.len() {
                return found.push(format!("{at}: {ours}, {theirs}"));
            }
            for (index, (ours, theirs)) in one.iter().zip(other).enumerate() {
                differences(&format!("{at}[{index}]"), ours, theirs, found);
            }
        }
        _ if ours == theirs => {}
        (Json::Number(one), Json::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ => found.push(format!("{at}: {ours}, {theirs}")),
    }
}
