//! What differs between plans and states of the two.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

/// Whether a plan of Terraform does anything.
pub fn has_changes(theirs: &Json) -> bool {
    changes(theirs).any(|change| change["change"]["actions"] != json!(["no-op"]))
}

fn changes(theirs: &Json) -> impl Iterator<Item = &Json> {
    theirs["resource_changes"].as_array().into_iter().flatten()
}

/// The differences between two documents of `show -json`, be they plans or states.
pub fn shown(ours: &Json, theirs: &Json) -> Vec<String> {
    let mut found = Vec::new();
    differences("", &by_address(ours), &by_address(theirs), &mut found);
    found
}

/// Takes out of the differences of plans what is meant in plans of their options; whether there was any such.
pub fn without_meant(found: &mut Vec<String>, options: &[&str]) -> bool {
    let before = found.len();
    let mut drop = |places: &[&str]| found.retain(|it| !places.iter().any(|at| it.starts_with(at)));
    let outputs = [".output_changes", ".planned_values.outputs", ".prior_state.values.outputs"];
    match options.first() {
        // What is not there yet is not known to us, and left out by Terraform.
        Some(&"-refresh-only") => drop(&[outputs[0], outputs[1], outputs[2], ".prior_state: ", ".relevant_attributes"]),
        // Terraform makes a plan first of what there would be without the end, and keeps what comes of that.
        Some(&"-destroy") => {
            drop(&[".prior_state", outputs[0]]);
            found.retain(|it| !(it.starts_with(".relevant_attributes") && it.ends_with(": null, true")));
        }
        // We note what was read; Terraform what might have been. What is not a part of the plan is as it was.
        Some(option) if option.starts_with("-target") => {
            drop(&[".checks.", ".prior_state.values.root_module", ".relevant_attributes"]);
            let beside =
                |it: &str| it.contains(": null, {") && (it.contains("[\"no-op\"]") || it.contains(".planned_"));
            found.retain(|it| !beside(it));
            // An output of a whole module is one of what it reads; to Terraform, of all in the module.
            let of_module = |it: &str| it.starts_with(".output_changes.module: ") && it.contains("[\"no-op\"]");
            found.retain(|it| {
                !(it.ends_with("}, null") && (of_module(it) || it.starts_with(".planned_values.outputs.module: ")))
            });
        }
        _ => {}
    }
    let any = found.len() < before;
    // Terraform has something to write where anything in the file would be another, and else nothing has.
    found.retain(|it| it != ".applyable: false, true" || options.first() != Some(&"-refresh-only"));
    any
}

/// The document without what is another one each time, and with lists of what has an address by that.
fn by_address(json: &Json) -> Json {
    let key = |it: &Json| {
        let address = it["address"]["to_display"].as_str().or(it["address"].as_str())?;
        let deposed = if it["deposed"].is_string() || it["deposed_key"].is_string() { " (deposed)" } else { "" };
        Some(format!("{address}{deposed}"))
    };
    match json {
        Json::Array(elements) if !elements.is_empty() && elements.iter().all(|it| key(it).is_some()) => {
            Json::Object(elements.iter().filter_map(|it| Some((key(it)?, by_address(it)))).collect())
        }
        Json::Array(elements) => elements.iter().map(by_address).collect(),
        Json::Object(entries) => {
            let mut entries = entries.clone();
            if let Some(relevant) = entries.get_mut("relevant_attributes") {
                let each = relevant.as_array().into_iter().flatten();
                *relevant = each.map(|it| (format!("{}{}", it["resource"], it["attribute"]), json!(true))).collect();
            }
            let known = entries.iter().filter(|(name, _)| !["timestamp", "deposed", "deposed_key"].contains(&&***name));
            Json::Object(known.map(|(name, json)| (name.clone(), by_address(json))).collect())
        }
        other => other.clone(),
    }
}

/// Whether a difference is one that is meant, each of which `docs/terraform-differences.md` gives reasons for.
fn is_meant(at: &str, ours: &Json, theirs: &Json) -> bool {
    let within = |one: &[Json], other: &[Json]| one.iter().all(|it| other.contains(it));
    match at.rsplit('.').next() {
        // What only might read something does not make it be replaced in another order.
        Some("actions") => *ours == json!(["delete", "create"]) && *theirs == json!(["create", "delete"]),
        // We note what was read; Terraform what might have been.
        Some("depends_on") => {
            within(ours.as_array().map_or(&[], Vec::as_slice), theirs.as_array().map_or(&[], Vec::as_slice))
        }
        // What a provider computes in elements of a map or a set is not known before it is read.
        // What keeps a secret is one: Terraform forgets some on the way.
        _ if at.contains("sensitive") => *ours == json!(true),
        _ if at.contains(".after_unknown.nested.") => *ours == json!(true) && theirs.is_null(),
        _ => false,
    }
}

/// The differences between our state and theirs, save what counts and names states.
pub fn states(ours: &Json, theirs: &Json, with_outputs: bool) -> Vec<String> {
    let mut found = Vec::new();
    // A file that nobody wrote is one of nothing.
    if theirs.is_null() && ours["resources"].as_array().is_none_or(Vec::is_empty) && ours["outputs"] == json!({}) {
        return found;
    }
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
        // All that is a secret to Terraform is one, or is in one.
        let paths = |it: &Json| it["sensitive_attributes"].as_array().cloned().unwrap_or_default();
        let starts = |path: &Json, with: &Json| {
            path.as_array().zip(with.as_array()).is_some_and(|(path, with)| path.starts_with(with))
        };
        if one.is_object() && paths(&other).iter().all(|path| paths(&one).iter().any(|own| starts(path, own))) {
            other["sensitive_attributes"] = one["sensitive_attributes"].clone();
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
        let judged = all.filter_map(|check| Some((check["config_addr"].to_string(), check["objects"].as_array()?)));
        let by_address = |objects: &Vec<Json>| {
            objects.iter().map(|it| (it["object_addr"].to_string(), it.clone())).collect::<BTreeMap<_, _>>()
        };
        judged.map(|(check, objects)| (check, by_address(objects))).collect::<BTreeMap<_, _>>()
    };
    differences("check_results", &json!(judged(ours)), &json!(judged(theirs)), &mut found);
    found
}

/// The places in which two texts of JSON differ.
fn differences(at: &str, ours: &Json, theirs: &Json, found: &mut Vec<String>) {
    match (ours, theirs) {
        _ if ours == theirs || is_meant(at, ours, theirs) => {}
        (Json::Object(one), Json::Object(other)) => {
            for name in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                let of = |all: &serde_json::Map<String, Json>| all.get(name).cloned().unwrap_or(Json::Null);
                differences(&format!("{at}.{name}"), &of(one), &of(other), found);
            }
        }
        (Json::Array(one), Json::Array(other)) if one.len() == other.len() => {
            for (index, (ours, theirs)) in one.iter().zip(other).enumerate() {
                differences(&format!("{at}[{index}]"), ours, theirs, found);
            }
        }
        (Json::Number(one), Json::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ => found.push(format!("{at}: {ours}, {theirs}")),
    }
}
