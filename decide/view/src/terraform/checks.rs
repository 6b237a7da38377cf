use andon_schema::{Checked, CheckedKind};
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
    groups.into_iter().map(|(first, group)| definition(first, &group)).collect()
}

fn definition(first: &Checked, group: &[&Checked]) -> Json {
    // The worst that came of any of them.
    let status = group.iter().map(|result| result.status).max_by_key(|status| severity(&status.to_string()));
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
        let (module, own) = split(&result.object);
        let key = own.split_once('[').and_then(|(_, key)| serde_json::from_str(key.strip_suffix(']')?).ok());
        let address = Members::default()
            .put("to_display", result.object.as_str())
            .unless_empty("module", module)
            .some("instance_key", key.filter(|_: &Json| first.kind.to_string() == "resource"));
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
        .put("status", status.map(|status| status.to_string()).unwrap_or_default())
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

fn severity(status: &str) -> u8 {
    match status {
        "error" => 3,
        "fail" => 2,
        "unknown" => 1,
        _ => 0,
    }
}

/// The module of an address, and the rest.
fn split(address: &str) -> (String, &str) {
    let mut rest = address;
    let mut end = 0;
    while let Some(after) = rest.strip_prefix("module.") {
        // A key may have dots and brackets in it.
        let mut quoted = false;
        let dot = after.char_indices().find(|(_, letter)| {
            quoted ^= *letter == '"';
            *letter == '.' && !quoted
        });
        let Some((dot, _)) = dot else { break };
        rest = after.get(dot + 1..).unwrap_or_default();
        end = address.len() - rest.len();
    }
    (address.get(..end.saturating_sub(1)).unwrap_or_default().to_owned(), rest)
}
