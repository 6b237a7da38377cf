use andon_schema::{Change, CheckResult, EntryStatus, HostEntry, HostReport};
use serde_json::{Value as Json, json};

use crate::Paint;
use crate::fold::{clean, inline};

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
        entry.differences.iter().for_each(|difference| line("    ", &inline(difference)));
        if let EntryStatus::Failed(reason) = &entry.status {
            reason.lines().for_each(|reason| line("", &paint.red(&format!("    {}", clean(reason)))));
        }
        if let Some(diff) = &entry.diff {
            diff_lines(diff).for_each(|diff| line("    ", &paint.diff_line(&diff)));
        }
    }
    let failed = report.checks.iter().filter(|check| check.failure.is_some());
    failed.for_each(|check| line("", &check_line(check, paint)));
    if let Some(reason) = &report.stopped {
        line("", &paint.red(&format!("stopped: {}", inline(reason))));
    }
    text
}

/// The lines of a diff as they are shown. The carriage return at the end of each line of a text from elsewhere says
/// nothing; where some of the changed lines have one and others do not, it is what changes, and is seen.
fn diff_lines(diff: &str) -> impl Iterator<Item = String> {
    let changed = || diff.split('\n').filter(|line| line.starts_with(['+', '-']));
    let with_return = changed().filter(|line| line.ends_with('\r')).count();
    let tells = (1..changed().count()).contains(&with_return);
    diff.split_terminator('\n').map(move |line| match line.strip_suffix('\r') {
        Some(bare) if !(tells && line.starts_with(['+', '-'])) => clean(bare).into_owned(),
        _ => clean(line).into_owned(),
    })
}

/// One assertion and how it came out.
pub fn check_line(check: &CheckResult, paint: Paint) -> String {
    let (name, assertion) = (inline(&check.check), inline(&check.assertion));
    match &check.failure {
        None => format!("{} check \"{name}\": {assertion}", paint.green("✓")),
        Some(reason) => {
            let (reason, place) = (clean(reason), place_of(&check.origin));
            format!("{} check \"{name}\": {assertion}: {reason}{place}", paint.red("✗"))
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
        EntryStatus::Failed(_) => paint.red(&format!("  failed{}", place_of(&entry.origin))),
        EntryStatus::Skipped(reason) => paint.dim(&format!("  not done: {}", inline(reason))),
        EntryStatus::Planned | EntryStatus::Done => String::new(),
    };
    format!("{sign} {verb}{}{note}", inline(&entry.address))
}

/// Where something is defined, after what is said of it.
fn place_of(origin: &str) -> String {
    if origin.is_empty() { String::new() } else { format!(" ({origin})") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_shown_where_it_changes_something_and_nothing_is_obeyed() {
        for (diff, expected) in [
            ("-a\n+b\n", "-a|+b"),
            ("-a\r\n+a\n", "-a\\r|+a"),
            (" x\r\n-a\r\n+b\r\n", " x|-a|+b"),
            (" x\r\n-a\r\n+a\n+c\r\n", " x|-a\\r|+a|+c\\r"),
            ("-a\n+\u{feff}a\n", "-a|+\\ufeffa"),
            ("-a\tb\n+a\u{1b}]0;x\u{7}\n", "-a\tb|+a\\u001b]0;x\\u0007"),
        ] {
            assert_eq!(diff_lines(diff).collect::<Vec<_>>().join("|"), expected, "{diff:?}");
        }
        let entry = HostEntry {
            address: "file \"/a\u{1b}[2J\nb\"".to_owned(),
            origin: String::new(),
            change: Change::Update,
            differences: vec!["owner a\u{7} → b".to_owned()],
            diff: None,
            status: EntryStatus::Failed("no\n\u{1b}c".to_owned()),
        };
        let all = HostReport { entries: vec![entry], ..HostReport::default() };
        let expected = "~ file \"/a\\u001b[2J\\nb\"  failed\n    owner a\\u0007 → b\n    no\n    \\u001bc\n";
        assert_eq!(report(&all, Paint::PLAIN, 0), expected);
    }
}
