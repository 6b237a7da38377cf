//! What was put back on servers, or would be: those alike together.

use std::sync::Arc;

use andon_fleet::group;
use andon_schema::{EntryStatus, Failure, HostReport};
use serde_json::{Value as Json, json};

use crate::fold::inline;
use crate::hosts::{failure_lines, names};
use crate::{Look, Paint, report, report_json};

/// What came of taking a run back on one server.
#[derive(Debug, Clone, PartialEq)]
pub enum UndoOutcome {
    /// It was put back, or would be.
    Report {
        /// A line for each path.
        report: HostReport,
        /// What that run did that is not taken back.
        stays: Vec<Arc<str>>,
    },
    /// The server knows nothing of that run.
    Unknown,
    /// It could not be asked, or did not answer.
    Failed(Failure),
    /// Nothing was tried, and why.
    NotStarted(String),
}

impl UndoOutcome {
    /// Whether something is left that should have been put back.
    pub fn has_failed(&self) -> bool {
        match self {
            UndoOutcome::Report { report, .. } => {
                report.has_failed() || report.entries.iter().any(|it| matches!(it.status, EntryStatus::Skipped(_)))
            }
            UndoOutcome::Unknown => false,
            UndoOutcome::Failed(_) | UndoOutcome::NotStarted(_) => true,
        }
    }

    /// How much is put back.
    pub fn changes(&self) -> usize {
        match self {
            UndoOutcome::Report { report, .. } => {
                let put_back = |status: &EntryStatus| matches!(status, EntryStatus::Planned | EntryStatus::Done);
                report.changes().filter(|entry| put_back(&entry.status)).count()
            }
            _ => 0,
        }
    }
}

/// What came of each server, those alike together.
pub fn undone(all: &[(Arc<str>, UndoOutcome)], planned: bool, look: Look) -> String {
    group(all, PartialEq::eq)
        .into_iter()
        .map(|group| {
            let words = undo_words(group.said, planned, look.paint);
            let head = format!("{}: {words}\n", look.paint.bold(&names(&group.hosts)));
            head + &match group.said {
                UndoOutcome::Report { report, stays } => lines(report, stays, look.paint),
                UndoOutcome::Failed(failure) => failure_lines(failure),
                UndoOutcome::Unknown | UndoOutcome::NotStarted(_) => String::new(),
            }
        })
        .collect()
}

fn lines(it: &HostReport, stays: &[Arc<str>], paint: Paint) -> String {
    let left = it.entries.iter().filter_map(|entry| match &entry.status {
        EntryStatus::Skipped(reason) => {
            Some(format!("  {} {}: {}\n", paint.yellow("!"), inline(&entry.address), inline(reason)))
        }
        _ => None,
    });
    let told = HostReport {
        entries: it.entries.iter().filter(|it| !matches!(it.status, EntryStatus::Skipped(_))).cloned().collect(),
        ..it.clone()
    };
    let stays = stays.iter().map(|what| format!("  not taken back: {}\n", inline(what)));
    report(&told, paint, 2) + &left.chain(stays).collect::<String>()
}

/// What came of one server, in some words.
pub fn undo_words(outcome: &UndoOutcome, planned: bool, paint: Paint) -> String {
    let left = match outcome {
        UndoOutcome::Report { report, .. } if !report.has_failed() => {
            report.entries.iter().filter(|it| matches!(it.status, EntryStatus::Skipped(_))).count()
        }
        _ => 0,
    };
    let left = if left > 0 { format!(", {left} left alone") } else { String::new() };
    match (outcome, outcome.changes()) {
        (UndoOutcome::Unknown, _) => "knows nothing of that run".to_owned(),
        (UndoOutcome::Failed(failure), _) => paint.red(&failure.summary),
        (UndoOutcome::NotStarted(reason), _) => format!("not tried: {reason}"),
        (UndoOutcome::Report { report, .. }, count) if report.has_failed() => {
            paint.red(&format!("failed, {count} put back"))
        }
        (UndoOutcome::Report { .. }, 0) if left.is_empty() => "nothing is to be put back".to_owned(),
        (UndoOutcome::Report { .. }, count) if planned => paint.yellow(&format!("{count} would be put back{left}")),
        (UndoOutcome::Report { .. }, count) => paint.yellow(&format!("{count} put back{left}")),
    }
}

/// One server as data.
pub fn undo_json((host, outcome): &(Arc<str>, UndoOutcome), planned: bool) -> Json {
    let (status, more) = match outcome {
        UndoOutcome::Report { report, stays } => {
            let status = match (outcome.has_failed(), outcome.changes(), planned) {
                (true, ..) => "failed",
                (_, 0, _) => "unchanged",
                (_, _, true) => "would_change",
                (_, _, false) => "changed",
            };
            let stays: Vec<&str> = stays.iter().map(|what| &**what).collect();
            (status, json!({ "report": report_json(report), "not_taken_back": stays }))
        }
        UndoOutcome::Unknown => ("unknown_run", json!({})),
        UndoOutcome::Failed(failure) => (
            "failed",
            json!({ "failure": { "summary": failure.summary, "detail": failure.detail, "help": failure.help } }),
        ),
        UndoOutcome::NotStarted(reason) => ("not_started", json!({ "reason": reason })),
    };
    let mut json = json!({ "type": "host", "host": &**host, "status": status });
    if let (Some(json), Json::Object(more)) = (json.as_object_mut(), more) {
        json.extend(more);
    }
    json
}
