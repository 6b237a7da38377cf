use andon_schema::{Change, CheckResult, EntryStatus, HostEntry, HostReport};
use serde_json::{Value as Json, json};

use crate::Paint;

/// What changes inside one server, a line for each host resource that changes, with the diffs of files; indented by
/// `indent` spaces. Empty where nothing changes and every check holds.
pub fn report(report: &HostReport, paint: Paint, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut text = String::new();
    let mut line = |more: &str, line: &str| {
        for part in [&margin, more, line, "\n"] {
            text.push_str(part);
        }
    };
    for entry in report.entries.iter().filter(|entry| is_worth_telling(entry)) {
        line("", &entry_line(entry, paint));
        entry.differences.iter().for_each(|difference| line("    ", difference));
        if let EntryStatus::Failed(reason) = &entry.status {
            reason.lines().for_each(|reason| line("", &paint.red(&format!("    {reason}"))));
        }
        if let Some(diff) = &entry.diff {
            diff.lines().for_each(|diff| line("    ", &paint.diff_line(diff)));
        }
    }
    let failed = report.checks.iter().filter(|check| check.failure.is_some());
    failed.for_each(|check| line("", &check_line(check, paint)));
    if let Some(reason) = &report.stopped {
        line("", &paint.red(&format!("stopped: {reason}")));
    }
    text
}

/// One assertion and how it came out.
pub fn check_line(check: &CheckResult, paint: Paint) -> String {
    match &check.failure {
        None => format!("{} check \"{}\": {}", paint.green("✓"), check.check, check.assertion),
        Some(reason) => {
            format!("{} check \"{}\": {}: {reason}", paint.red("✗"), check.check, check.assertion)
        }
    }
}

fn is_worth_telling(entry: &HostEntry) -> bool {
    entry.change != Change::None || matches!(entry.status, EntryStatus::Failed(_))
}

fn entry_line(entry: &HostEntry, paint: Paint) -> String {
    let sign = match entry.change {
        Change::None => " ".to_owned(),
        Change::Create => paint.green("+"),
        Change::Update => paint.yellow("~"),
        Change::Remove => paint.red("-"),
        Change::Reload | Change::Restart | Change::Run => paint.yellow("↻"),
    };
    let verb = match entry.change {
        Change::Reload => "reload ",
        Change::Restart => "restart ",
        Change::Run => "run ",
        _ => "",
    };
    let note = match &entry.status {
        EntryStatus::Failed(_) => paint.red("  failed"),
        EntryStatus::Skipped(reason) => paint.dim(&format!("  not done: {reason}")),
        EntryStatus::Planned | EntryStatus::Done => String::new(),
    };
    format!("{sign} {verb}{}{note}", entry.address)
}

/// A report as data.
pub fn report_json(report: &HostReport) -> Json {
    let change = |change: Change| match change {
        Change::None => "none",
        Change::Create => "create",
        Change::Update => "update",
        Change::Remove => "remove",
        Change::Reload => "reload",
        Change::Restart => "restart",
        Change::Run => "run",
    };
    let entries = report.entries.iter().map(|entry| {
        let (status, reason) = match &entry.status {
            EntryStatus::Planned => ("planned", None),
            EntryStatus::Done => ("done", None),
            EntryStatus::Failed(reason) => ("failed", Some(reason)),
            EntryStatus::Skipped(reason) => ("skipped", Some(reason)),
        };
        json!({
            "address": entry.address, "origin": entry.origin, "change": change(entry.change),
            "differences": entry.differences, "diff": entry.diff, "status": status, "reason": reason,
        })
    });
    let checks = report.checks.iter().map(|check| {
        json!({
            "check": check.check, "assertion": check.assertion, "origin": check.origin,
            "holds": check.failure.is_none(), "reason": check.failure,
        })
    });
    json!({
        "entries": entries.collect::<Vec<_>>(),
        "checks": checks.collect::<Vec<_>>(),
        "stopped": report.stopped,
    })
}
