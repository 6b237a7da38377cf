//! `undo`: what a run replaced on servers is put back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use andon_engine::errand::{Errand, PastRun, runs_of, undo_on};
use andon_fleet::group;
use andon_ledger::Timestamp;
use andon_reach::Target;
use andon_schema::Failure;
use andon_text::Diagnostic;
use andon_view::UndoOutcome;
use nix::sys::stat::{Mode, umask};
use serde_json::json;

use crate::clock::date_and_time;
use crate::commands::run::run_name;
use crate::context::{Context, Stop, interrupt};
use crate::host_args::UndoArguments;
use crate::realm::is_root;
use crate::servers::{Chosen, STOPPED, Work, helper, on_all, refused, stopped_by_hand};
use crate::terminal::{ask, print_json};

/// What is known of one server's runs, or why nothing is.
type Runs = Result<Vec<PastRun>, Failure>;

/// `andon undo [RUN]`
pub fn run(context: &Context, arguments: &UndoArguments) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &arguments.servers.on)?;
    let is_here = chosen.hosts.iter().any(|host| matches!(chosen.target(host), Ok(Target::Local)));
    if is_here && !is_root() {
        return Err(Diagnostic::error("what runs kept is root's alone, and you are another user")
            .help("Run the same command with sudo.")
            .into());
    }
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let Some(run) = arguments.run.as_deref().filter(|_| !arguments.list) else {
        return list(context, &chosen, arguments);
    };
    // Names are of twelve letters, and four tell one: what is shorter, or could be a number, is another run on each
    // server, which gives out its numbers by itself.
    let may_be_number = run.len() < 12 && run.bytes().all(|byte| byte.is_ascii_digit());
    if chosen.hosts.len() > 1 && (run.len() < 4 || may_be_number) {
        return Err(Diagnostic::error(format!("`{run}` is another run on each server"))
            .help("Name the run as its report does; `andon undo --list --on …` shows the names.")
            .into());
    }
    let errand = Errand::Undo { run: run.into(), name: None, force: arguments.force };
    let foreseen = on_each(context, &chosen, arguments, &errand);
    if foreseen.iter().all(|(_, outcome)| *outcome == UndoOutcome::Unknown) {
        return Err(Diagnostic::error(format!("nothing is known of run {run}"))
            .help("`andon undo --list` shows the runs that can be undone.")
            .into());
    }
    let changes = foreseen.iter().map(|(_, outcome)| outcome.changes()).sum::<usize>();
    let asks = changes > 0 && !arguments.yes && !context.arguments.json;
    if changes == 0 || asks {
        show(context, &foreseen, true);
    }
    if changes == 0 {
        return verdict(&foreseen);
    }
    if asks && !ask(context, &format!("Undo run {run}? Only `yes` goes on:"), "yes") {
        context.say("Nothing was done.");
        return Err(Stop::Code(1));
    }
    let name = run_name();
    let errand = Errand::Undo { run: run.into(), name: Some(name.as_str().into()), force: arguments.force };
    let outcomes = on_each(context, &chosen, arguments, &errand);
    show(context, &outcomes, false);
    if !context.arguments.json && outcomes.iter().any(|(_, outcome)| outcome.changes() > 0) {
        context.print(&format!("This was run {name}.\n"));
    }
    verdict(&outcomes)
}

fn on_each(
    context: &Context,
    chosen: &Chosen,
    arguments: &UndoArguments,
    errand: &Errand,
) -> Vec<(Arc<str>, UndoOutcome)> {
    let planned = matches!(errand, Errand::Undo { name: None, .. });
    let interrupted = interrupt();
    let go_on = || !interrupted.load(Ordering::Relaxed);
    let undo = |place: usize, say: &dyn Fn(&str)| {
        let Some(host) = chosen.hosts.get(place) else { return UndoOutcome::NotStarted(String::new()) };
        let undone =
            chosen.target(host).and_then(|target| undo_on(&target, helper(), errand, &mut |line| say(line), &go_on));
        match undone {
            Ok(Some(undone)) => UndoOutcome::Report { report: undone.report, stays: undone.stays },
            Ok(None) => UndoOutcome::Unknown,
            Err(failure) => UndoOutcome::Failed(failure),
        }
    };
    let work = Work {
        on: &undo,
        has_failed: &UndoOutcome::has_failed,
        words: &|outcome: &UndoOutcome| andon_view::undo_words(outcome, planned, context.err),
    };
    let names = chosen.names();
    let outcomes = on_all(context, &names, arguments.servers.strategy(), &work).into_iter();
    names.into_iter().zip(outcomes.map(|outcome| outcome.unwrap_or_else(UndoOutcome::NotStarted))).collect()
}

fn show(context: &Context, outcomes: &[(Arc<str>, UndoOutcome)], planned: bool) {
    if context.arguments.json {
        return outcomes.iter().for_each(|outcome| print_json(&andon_view::undo_json(outcome, planned)));
    }
    context.print(&andon_view::undone(outcomes, planned, context.look(false)));
    if planned && outcomes.iter().any(|(_, outcome)| outcome.has_failed()) {
        context.say("`--force` puts back what was changed since, too.");
    }
}

fn verdict(outcomes: &[(Arc<str>, UndoOutcome)]) -> Result<(), Stop> {
    match outcomes.iter().any(|(_, outcome)| outcome.has_failed()) {
        true if stopped_by_hand() => Err(Stop::Code(STOPPED)),
        true => Err(Stop::Code(1)),
        false => Ok(()),
    }
}

fn list(context: &Context, chosen: &Chosen, arguments: &UndoArguments) -> Result<(), Stop> {
    let look = |place: usize, say: &dyn Fn(&str)| -> Runs {
        let host = chosen.hosts.get(place).ok_or_else(|| Failure::new("there is no such server", ""))?;
        runs_of(&chosen.target(host)?, helper(), &mut |line| say(line))
    };
    let words = |runs: &Runs| match runs {
        Ok(runs) => format!("{} {}", runs.len(), if runs.len() == 1 { "run" } else { "runs" }),
        Err(failure) => failure.summary.clone(),
    };
    let work = Work { on: &look, has_failed: &Result::is_err, words: &words };
    let names = chosen.names();
    let answers = on_all(context, &names, arguments.servers.strategy(), &work).into_iter();
    let mut failed = false;
    let mut known: Vec<(Arc<str>, PastRun)> = Vec::new();
    for (host, answer) in names.into_iter().zip(answers) {
        match answer.unwrap_or_else(|why| Err(Failure::new("it was not asked", why))) {
            Ok(runs) => known.extend(runs.into_iter().map(|run| (host.clone(), run))),
            Err(failure) if chosen.hosts.len() == 1 => return Err(refused(&failure)),
            Err(failure) => {
                failed = true;
                context.say(&format!("{host}: {}: {}", failure.summary, failure.detail));
            }
        }
    }
    if context.arguments.json {
        for (host, run) in &known {
            let texts = |list: &[Arc<str>]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
            print_json(&json!({
                "host": &**host, "run": run.number, "name": &*run.name, "title": &*run.title, "began": run.began,
                "paths": texts(&run.paths), "not_taken_back": texts(&run.stays),
            }));
        }
    } else if known.is_empty() && !failed {
        context.print("No run has changed anything here.\n");
    } else {
        // One run over many servers is told once.
        known.sort_by(|(_, one), (_, other)| other.began.cmp(&one.began).then(other.number.cmp(&one.number)));
        let same = |one: &PastRun, other: &PastRun| !one.name.is_empty() && one.name == other.name;
        for group in group(&known, same) {
            context.print(&line(group.said, &group.hosts, chosen.hosts.len() > 1));
        }
    }
    if failed { Err(Stop::Code(1)) } else { Ok(()) }
}

fn line(run: &PastRun, hosts: &[&Arc<str>], several: bool) -> String {
    let time = date_and_time(Timestamp(i64::try_from(run.began).unwrap_or(i64::MAX).saturating_mul(1000)));
    let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let stays = if run.stays.is_empty() { String::new() } else { format!(", {} not kept", run.stays.len()) };
    let on = match (several, hosts) {
        (false, _) => String::new(),
        (true, [host]) => format!(" on {host}"),
        (true, hosts) => format!(" on {}", count(hosts.len(), "server")),
    };
    let name = if run.name.is_empty() { run.number.to_string() } else { run.name.to_string() };
    format!("{name:>12}  {time}  {} ({}{stays}){on}\n", run.title, count(run.paths.len(), "path"))
}
