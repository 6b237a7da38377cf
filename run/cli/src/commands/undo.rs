//! `undo`: what a run replaced on this machine is put back.

use std::sync::Arc;

use andon_engine::undo::{foresee, runs, undo};
use andon_fleet::Outcome;
use andon_ledger::Timestamp;
use andon_schema::{EntryStatus, HostReport, KeptRun};
use andon_text::Diagnostic;
use andon_view::HostOutcome;
use serde_json::json;

use crate::clock::date_and_time;
use crate::context::{Context, Stop};
use crate::host_args::UndoArguments;
use crate::terminal::{ask, print_json};

/// The name of this machine among servers.
const LOCAL: &str = "local";

/// `andon undo [RUN]`
pub fn run(context: &Context, arguments: &UndoArguments) -> Result<(), Stop> {
    if arguments.on != LOCAL {
        return Err(Diagnostic::error(format!("there is no server `{}`", arguments.on))
            .help("`local` is this machine; on another, run this command there.")
            .into());
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Diagnostic::error("what runs kept is root's alone, and you are another user")
            .help("Run the same command with sudo.")
            .into());
    }
    let failed = |error: String| Diagnostic::error("what runs kept cannot be read").detail(format!("{error}."));
    let Some(number) = arguments.run.filter(|_| !arguments.list) else {
        list(context, &runs().map_err(failed)?);
        return Ok(());
    };
    let Some((run, plan)) = foresee(number).map_err(failed)? else {
        return Err(Diagnostic::error(format!("nothing is known of run {number}"))
            .help("`andon undo --list` shows the runs that can be undone.")
            .into());
    };
    if context.arguments.json || !plan.report.entries.is_empty() {
        show(context, plan.report.clone(), true);
    }
    if plan.acts.is_empty() {
        if !context.arguments.json && plan.report.entries.is_empty() {
            context.print(&format!("All is as it was before run {number}.\n"));
        }
        return if plan.report.entries.is_empty() { Ok(()) } else { Err(Stop::Code(1)) };
    }
    if !arguments.yes && !ask(context, &format!("Undo run {number}? Only `yes` goes on:"), "yes") {
        context.say("Nothing was done.");
        return Err(Stop::Code(1));
    }
    let report = undo(&run, plan);
    let left = report.has_failed() || report.entries.iter().any(|it| matches!(it.status, EntryStatus::Skipped(_)));
    show(context, report, false);
    if left { Err(Stop::Code(1)) } else { Ok(()) }
}

fn show(context: &Context, report: HostReport, planned: bool) {
    let outcome: HostOutcome = (Arc::from(LOCAL), Outcome::Report { report, catalog: String::new() });
    if context.arguments.json {
        return print_json(&andon_view::host_json(&outcome, planned));
    }
    context.print(&andon_view::hosts(&[outcome], planned, context.look(false)));
}

fn list(context: &Context, runs: &[KeptRun]) {
    if context.arguments.json {
        for run in runs {
            let paths: Vec<&str> = run.paths.iter().map(|path| &*path.path).collect();
            print_json(&json!({ "run": run.number, "title": &*run.title, "began": run.began, "paths": paths }));
        }
        return;
    }
    if runs.is_empty() {
        return context.print("No run has changed a file of this machine.\n");
    }
    for run in runs {
        let paths = if run.paths.len() == 1 { "path" } else { "paths" };
        let time = date_and_time(Timestamp(i64::try_from(run.began).unwrap_or(i64::MAX).saturating_mul(1000)));
        context.print(&format!("{:>5}  {time}  {} ({} {paths})\n", run.number, run.title, run.paths.len()));
    }
}
