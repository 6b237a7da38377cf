//! How the checks of servers came out: those alike together.

use std::sync::Arc;

use andon_fleet::group;
use andon_schema::{CheckResult, Failure};
use serde_json::{Value as Json, json};

use crate::hosts::{failure_lines, names};
use crate::{Look, Paint, check_line};

/// What came of the checks of one server.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckOutcome {
    /// They were made: each with the role that it is of.
    Checked(Vec<(Arc<str>, CheckResult)>),
    /// They could not be made.
    Failed(Failure),
    /// They were not tried, and why.
    NotStarted(String),
}

impl CheckOutcome {
    /// Whether all were made and hold.
    pub fn holds(&self) -> bool {
        matches!(self, CheckOutcome::Checked(results) if results.iter().all(|(_, result)| result.failure.is_none()))
    }
}

/// What does not hold on each server, those alike together, in their order.
pub fn checked(all: &[(Arc<str>, CheckOutcome)], look: Look) -> String {
    // What is not shown of them makes them no different.
    let shown: Vec<(Arc<str>, (String, String))> =
        all.iter().map(|(host, outcome)| (host.clone(), shown(outcome, look.paint))).collect();
    group(&shown, PartialEq::eq)
        .into_iter()
        .map(|group| format!("{}: {}\n{}", look.paint.bold(&names(&group.hosts)), group.said.0, group.said.1))
        .collect()
}

fn shown(outcome: &CheckOutcome, paint: Paint) -> (String, String) {
    let lines = match outcome {
        CheckOutcome::Checked(results) => {
            let failed = results.iter().filter(|(_, result)| result.failure.is_some());
            failed.map(|(_, result)| format!("  {}\n", check_line(result, paint))).collect()
        }
        CheckOutcome::Failed(failure) => failure_lines(failure),
        CheckOutcome::NotStarted(_) => String::new(),
    };
    (checked_words(outcome, paint), lines)
}

/// What came of one server, in some words.
pub fn checked_words(outcome: &CheckOutcome, paint: Paint) -> String {
    match outcome {
        CheckOutcome::Checked(results) => {
            let failed = results.iter().filter(|(_, result)| result.failure.is_some()).count();
            match (results.len(), failed) {
                (0, _) => "the role has no checks".to_owned(),
                (all, 0) => format!("{all} of {all} hold"),
                (all, failed) => paint.red(&format!("{failed} of {all} do not hold")),
            }
        }
        CheckOutcome::Failed(failure) => paint.red(&failure.summary),
        CheckOutcome::NotStarted(reason) => format!("not tried: {reason}"),
    }
}

/// One server's checks as data.
pub fn checked_json((host, outcome): &(Arc<str>, CheckOutcome)) -> Json {
    match outcome {
        CheckOutcome::Checked(results) => {
            let checks = results.iter().map(|(role, result)| {
                json!({
                    "role": &**role, "check": result.check, "assertion": result.assertion, "origin": result.origin,
                    "holds": result.failure.is_none(), "reason": result.failure,
                })
            });
            let status = if outcome.holds() { "holds" } else { "does_not_hold" };
            json!({ "type": "host", "host": &**host, "status": status, "checks": checks.collect::<Vec<_>>() })
        }
        CheckOutcome::Failed(failure) => json!({
            "type": "host", "host": &**host, "status": "failed",
            "failure": { "summary": failure.summary, "detail": failure.detail, "help": failure.help },
        }),
        CheckOutcome::NotStarted(reason) => {
            json!({ "type": "host", "host": &**host, "status": "not_started", "reason": reason })
        }
    }
}
