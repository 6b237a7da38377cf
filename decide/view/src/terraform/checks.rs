use andon_lang::definitions::Module;
use andon_schema::{CheckStatus, Checked, CheckedKind, InstanceAddress, InstanceKey};
use andon_text::deeper;
use serde_json::{Value as Json, json};

use super::values::Members;

/// What came of the conditions of a stack's definitions: `checks`. Results of one definition stand together.
pub fn checks_json(results: &[Checked]) -> Json {
    let mut groups: Vec<(&Checked, Vec<&Checked>)> = Vec::new();
    for result in results {
        match groups.iter_mut().find(|(first, _)| (first.kind, &first.config) == (result.kind, &result.config)) {
            Some((_, group)) => group.push(result),
            None => groups.push((result, vec![result])),
        }
    }
    groups.into_iter().map(|(first, group)| definition(first, worst(&group), &group)).collect()
}

/// The same for a plan of definitions: those that have conditions and no results are named, too. Nobody judges them where
/// that is `unknown`, and else there is nothing to judge.
pub fn plan_checks_json(results: &[Checked], root: &Module, without: CheckStatus) -> Json {
    let mut all = Vec::new();
    unjudged(root, "", &mut all);
    all.retain(|one| results.iter().all(|result| (result.kind, &result.config) != (one.kind, &one.config)));
    let without = all.iter().map(|one| {
        // Of the outputs of the root module there is one each.
        let is_one = one.kind == CheckedKind::Output && !one.config.starts_with("module.");
        definition(one, without, is_one.then_some(one).as_slice())
    });
    let Json::Array(mut found) = checks_json(results) else { return Json::Null };
    found.extend(without);
    Json::Array(found)
}

/// The worst that came of any of them.
fn worst(group: &[&Checked]) -> CheckStatus {
    group.iter().map(|result| result.status).max_by_key(|status| severity(*status)).unwrap_or(CheckStatus::Pass)
}

fn unjudged(module: &Module, path: &str, found: &mut Vec<Checked>) {
    let resources = module.resources.values().filter(|resource| {
        !resource.lifecycle.preconditions.is_empty() || !resource.lifecycle.postconditions.is_empty()
    });
    let resources = resources.map(|resource| {
        let key = &resource.key;
        (CheckedKind::Resource, format!("{}{}.{}", key.mode.prefix(), key.kind, key.name))
    });
    let outputs = module.outputs.iter().filter(|(_, output)| !output.preconditions.is_empty());
    let outputs = outputs.map(|(name, _)| (CheckedKind::Output, format!("output.{name}")));
    let checks = module.checks.keys().map(|name| (CheckedKind::Check, format!("check.{name}")));
    let variables = module.variables.iter().filter(|(_, variable)| !variable.validations.is_empty());
    let variables = variables.map(|(name, _)| (CheckedKind::Variable, format!("var.{name}")));
    found.extend(resources.chain(outputs).chain(checks).chain(variables).map(|(kind, name)| {
        let config = format!("{path}{name}");
        Checked { kind, object: config.clone(), config, status: CheckStatus::Unknown, problems: Vec::new() }
    }));
    for (name, call) in &module.calls {
        deeper(|| unjudged(&call.module, &format!("{path}module.{name}."), found));
    }
}

fn definition(first: &Checked, status: CheckStatus, group: &[&Checked]) -> Json {
    let (module, own) = split(&first.config);
    let name = own.rsplit('.').next().unwrap_or_default();
    let mut parts = own.split('.').rev().skip(1);
    let address = Members::default()
        .put("kind", kind(first.kind))
        .put("to_display", first.config.as_str())
        .put("name", name)
        .unless_empty("module", module);
    let address = match first.kind.to_string().as_str() {
        "resource" => {
            let kind = parts.next().unwrap_or_default();
            address.put("type", kind).put("mode", if parts.next() == Some("data") { "data" } else { "managed" })
        }
        _ => address,
    };
    let instances = group.iter().map(|result| {
        let (module, _) = split(&result.object);
        let of_resource = (result.kind == CheckedKind::Resource).then_some(result.object.as_str());
        let key = of_resource.and_then(|object| InstanceAddress::parse(object).ok()?.key);
        let key = key.map(|key| match key {
            InstanceKey::Index(index) => json!(index),
            InstanceKey::Name(name) => json!(&*name),
        });
        let address = Members::default()
            .put("to_display", result.object.as_str())
            .unless_empty("module", module)
            .some("instance_key", key);
        let problems = result.problems.iter().map(|message| json!({ "message": message }));
        Members::default()
            .put("address", address.json())
            .put("status", result.status.to_string())
            .unless_empty("problems", problems.collect::<Vec<_>>())
            .json()
    });
    let instances: Vec<Json> = instances.collect();
    Members::default()
        .put("address", address.json())
        .put("status", status.to_string())
        .unless_empty("instances", instances)
        .json()
}

/// As this format names it, and no other.
fn kind(kind: CheckedKind) -> String {
    match kind {
        CheckedKind::Output => "output_value".to_owned(),
        _ => kind.to_string(),
    }
}

fn severity(status: CheckStatus) -> u8 {
    match status {
        CheckStatus::Error => 3,
        CheckStatus::Fail => 2,
        CheckStatus::Unknown => 1,
        CheckStatus::Pass => 0,
    }
}

/// The module of an address, and the rest.
fn split(address: &str) -> (String, &str) {
    let mut rest = address;
    let mut end = 0;
    while let Some(after) = rest.strip_prefix("module.") {
        // A key may have dots and brackets in it, and quotes that do not end it.
        let (mut quoted, mut escaped) = (false, false);
        let dot = after.char_indices().find(|(_, letter)| {
            quoted ^= *letter == '"' && !escaped;
            escaped = *letter == '\\' && !escaped;
            *letter == '.' && !quoted
        });
        let Some((dot, _)) = dot else { break };
        rest = after.get(dot + 1..).unwrap_or_default();
        end = address.len() - rest.len();
    }
    (address.get(..end.saturating_sub(1)).unwrap_or_default().to_owned(), rest)
}
