//! What came of servers that were converged by hand: those alike together.

use std::sync::Arc;

use andon_fleet::{Outcome, Standing, group, tally};
use andon_schema::{EntryStatus, Failure, HostReport};
use serde_json::{Value as Json, json};

use crate::fold::{clean, inline};
use crate::{Look, Paint, report, report_json};

/// A server and what came of it.
pub type HostOutcome = (Arc<str>, Outcome);

/// What came of each server, those alike together, in their order; `planned` where nothing was to be done.
pub fn hosts(all: &[HostOutcome], planned: bool, look: Look) -> String {
    group(all, |one, other| shown(one) == shown(other))
        .into_iter()
        .map(|group| match (group.said, group.hosts.len()) {
            (Outcome::Failed(failure), 2..) => {
                one_group(&names(&group.hosts), &Outcome::Failed(nameless(failure)), planned, look)
            }
            _ => one_group(&names(&group.hosts), group.said, planned, look),
        })
        .collect()
}

/// Why a server cannot be reached, without its address: so the same can be said of many.
pub(crate) fn nameless(failure: &Failure) -> Failure {
    let Some(name) = failure.summary.strip_suffix(" cannot be reached") else { return failure.clone() };
    let host = name.rsplit_once('@').map_or(name, |(_, host)| host);
    let address = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(host, _)| host);
    if address.is_empty() {
        return failure.clone();
    }
    let without = |text: &str| text.replace(name, "…").replace(address, "…");
    Failure {
        summary: "cannot be reached".to_owned(),
        detail: without(&failure.detail),
        help: failure.help.iter().map(|help| without(help)).collect(),
        ..failure.clone()
    }
}

/// What came of all of them, in one line: `3 servers: 2 changed, 1 as it should be.`
pub fn hosts_summary(all: &[HostOutcome], planned: bool, paint: Paint) -> String {
    let tally = tally(all.iter().map(|(_, outcome)| outcome));
    let counts = [
        (tally.changed, if planned { "would change" } else { "changed" }),
        (tally.unchanged, if tally.unchanged == 1 { "as it should be" } else { "as they should be" }),
        (tally.failed, "failed"),
        (tally.cut_short, "cut short"),
        (tally.not_started, "not tried"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let noun = if all.len() == 1 { "server" } else { "servers" };
    let line = format!("{} {noun}: {}.", all.len(), counts.join(", "));
    if tally.failed > 0 { paint.red(&line) } else { line }
}

/// One server as data.
pub fn host_json((host, outcome): &HostOutcome, planned: bool) -> Json {
    let status = match outcome.standing() {
        Standing::Unchanged => "unchanged",
        Standing::Changed if planned => "would_change",
        Standing::Changed => "changed",
        Standing::Failed => "failed",
        Standing::CutShort => "cut_short",
        Standing::NotStarted => "not_started",
    };
    let mut json = json!({ "type": "host", "host": &**host, "status": status });
    let more = match outcome {
        Outcome::Report { report, catalog } => json!({ "catalog": catalog, "report": report_json(report) }),
        Outcome::Failed(failure) => json!({
            "failure": { "summary": failure.summary, "detail": failure.detail, "help": failure.help },
        }),
        Outcome::NotStarted(reason) => json!({ "reason": reason }),
    };
    if let (Some(json), Json::Object(more)) = (json.as_object_mut(), more) {
        json.extend(more);
    }
    json
}

/// The summary as data.
pub fn hosts_json(all: &[HostOutcome]) -> Json {
    let tally = tally(all.iter().map(|(_, outcome)| outcome));
    json!({
        "type": "summary", "hosts": all.len(), "changed": tally.changed, "unchanged": tally.unchanged,
        "failed": tally.failed, "cut_short": tally.cut_short, "not_started": tally.not_started,
    })
}

/// What is shown of an outcome: servers that differ in it are not alike.
fn shown(outcome: &Outcome) -> (Standing, String) {
    let plain = Paint { colour: false };
    let text = match outcome {
        // Where nothing is to be said of them, those with more or fewer resources are alike, too.
        Outcome::Report { report: it, .. } => report(it, plain, 0),
        Outcome::Failed(failure) => {
            let failure = nameless(failure);
            format!("{}\0{}", failure.summary, failure.detail)
        }
        Outcome::NotStarted(reason) => reason.clone(),
    };
    (outcome.standing(), text)
}

pub(crate) fn names(hosts: &[&Arc<str>]) -> String {
    let names: Vec<&str> = hosts.iter().map(|host| &***host).collect();
    match names.len() {
        1..=8 => names.join(", "),
        count => format!("{}, … ({count} servers)", names.iter().take(7).copied().collect::<Vec<_>>().join(", ")),
    }
}

fn one_group(names: &str, outcome: &Outcome, planned: bool, look: Look) -> String {
    let paint = look.paint;
    let name = paint.bold(names);
    match outcome {
        Outcome::Report { report: it, .. } => {
            format!("{name}: {}\n{}", standing_of(it, planned, paint), report(it, paint, 2))
        }
        Outcome::Failed(failure) => {
            format!("{name}: {}\n{}", paint.red(&failure.summary), failure_lines(failure))
        }
        Outcome::NotStarted(reason) => format!("{name}: not tried: {reason}\n"),
    }
}

/// Why, and what to do, below a line that says what failed.
pub(crate) fn failure_lines(failure: &Failure) -> String {
    let said = failure.detail.lines().map(|line| format!("  {}\n", clean(line)));
    said.chain(failure.help.iter().map(|help| format!("  help: {}\n", inline(help)))).collect()
}

/// What came of one server, in some words.
pub fn host_words(outcome: &Outcome, planned: bool, paint: Paint) -> String {
    match outcome {
        Outcome::Report { report, .. } => standing_of(report, planned, paint),
        Outcome::Failed(failure) => paint.red(&failure.summary),
        Outcome::NotStarted(reason) => format!("not tried: {reason}"),
    }
}

fn standing_of(report: &HostReport, planned: bool, paint: Paint) -> String {
    let changes = report.changes().filter(|entry| !matches!(entry.status, EntryStatus::Skipped(_))).count();
    let failed = report.entries.iter().filter(|entry| matches!(entry.status, EntryStatus::Failed(_))).count()
        + report.checks.iter().filter(|check| check.failure.is_some()).count();
    if report.is_cut_short() {
        return paint.yellow(&format!("cut short, {changes} changed"));
    }
    if report.has_failed() {
        let done = if changes > failed && !planned { format!(", {} changed", changes - failed) } else { String::new() };
        return paint.red(&format!("failed{done}"));
    }
    match (changes, planned) {
        (0, _) => {
            let checks = report.checks.len();
            let noun = |count, one: &'static str, several: &'static str| if count == 1 { one } else { several };
            let resources = report.entries.len();
            let checked = match checks {
                0 => String::new(),
                count => format!(", {count} {} {}", noun(count, "check", "checks"), noun(count, "holds", "hold")),
            };
            format!("as it should be ({resources} {}{checked})", noun(resources, "resource", "resources"))
        }
        (count, true) => paint.yellow(&format!("{count} would change")),
        (count, false) => paint.yellow(&format!("{count} changed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_cannot_be_reached_for_one_reason_are_said_of_together() {
        let outcome = |name: &str, why: &str| {
            let failure = Failure::new(format!("{name} cannot be reached"), why).help("Mend its address.");
            (Arc::from(name.split('.').next().unwrap()), Outcome::Failed(failure))
        };
        let all = [
            outcome("a.test", "ssh: Could not resolve hostname a.test: unknown"),
            outcome("me@b.test:22", "ssh: Could not resolve hostname b.test: unknown"),
            outcome("c.test", "ssh: connect to host c.test port 22: Connection refused"),
        ];
        let expected = "a, me@b: cannot be reached
  ssh: Could not resolve hostname …: unknown
  help: Mend its address.
c: c.test cannot be reached
  ssh: connect to host c.test port 22: Connection refused
  help: Mend its address.
";
        assert_eq!(hosts(&all, false, Paint { colour: false }.into()), expected);
    }
}
