//! What servers say of themselves: those of equal facts together.

use std::sync::Arc;

use andon_fleet::group;
use andon_schema::Failure;
use andon_value::{Value, render};
use serde_json::{Value as Json, json};

use crate::hosts::{failure_lines, names};
use crate::{Look, value_json};

/// The facts of one server: an object; or why there are none.
pub type FactsOutcome = Result<Value, Failure>;

/// Facts, a line or more each.
pub fn facts_lines(facts: &Value) -> String {
    let entries = || facts.as_entries().into_iter().flat_map(|entries| entries.iter());
    let width = entries().map(|(name, _)| name.len()).max().unwrap_or(0);
    entries().map(|(name, value)| format!("{name:width$} = {}\n", render(value, 0))).collect()
}

/// The facts of each server, those of equal ones together, in their order.
pub fn facts_grouped(all: &[(Arc<str>, FactsOutcome)], look: Look) -> String {
    group(all, PartialEq::eq)
        .into_iter()
        .map(|group| {
            let name = look.paint.bold(&names(&group.hosts));
            match group.said {
                Ok(facts) => {
                    let lines = facts_lines(facts);
                    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
                    format!("{name}:\n{lines}")
                }
                Err(failure) => format!("{name}: {}\n{}", look.paint.red(&failure.summary), failure_lines(failure)),
            }
        })
        .collect()
}

/// One server's facts as data.
pub fn facts_json((host, outcome): &(Arc<str>, FactsOutcome)) -> Json {
    match outcome {
        Ok(facts) => json!({ "type": "host", "host": &**host, "status": "done", "facts": value_json(facts) }),
        Err(failure) => json!({
            "type": "host", "host": &**host, "status": "failed",
            "failure": { "summary": failure.summary, "detail": failure.detail, "help": failure.help },
        }),
    }
}
