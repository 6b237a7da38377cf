//! `run`: servers converged with a role, now.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::sync::atomic::Ordering;

use andon_engine::agent::{AgentReply, Task, Ways, converge};
use andon_engine::hosts::{Host, LOCAL};
use andon_engine::random;
use andon_fleet::{Outcome, Standing, tally};
use andon_reach::Target;
use andon_schema::EntryStatus;
use andon_text::Diagnostic;
use andon_view::HostOutcome;
use nix::sys::stat::{Mode, umask};
use serde_json::json;

use crate::context::{Context, Stop, interrupt};
use crate::host_args::RunArguments;
use crate::jobs::{Job, Roles};
use crate::realm::is_root;
use crate::servers::{Chosen, STOPPED, Work, on_all, stopped_by_hand, wrong};
use crate::terminal::{ask, print_json};

/// `andon run ROLE --on SERVERS`
pub fn run(context: &Context, arguments: &RunArguments) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &arguments.many.on)?;
    let is_here = |host: &Host| host.connection.get_str("kind") == Some(LOCAL);
    if chosen.hosts.iter().any(is_here) && !is_root() && !arguments.plan {
        return Err(Diagnostic::error("this machine is converged by root, and you are another user")
            .help("Run the same command with sudo; `--plan` shows what you may see of what would change.")
            .into());
    }
    // What is made must not depend on who asked for it.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let mut roles = Roles::new(context, arguments.role.as_deref(), &arguments.params);
    let jobs = chosen.hosts.iter().map(|host| roles.of(host)).collect::<Result<Vec<_>, Stop>>()?;
    let name = run_name();
    let fleet = Fleet { context, arguments, chosen: &chosen, jobs: &jobs, name: &name };
    let asks = !arguments.yes && !arguments.plan && std::io::stdin().is_terminal() && context.live;
    if arguments.plan || asks {
        let outcomes = fleet.converge(Task::Plan)?;
        show(context, &outcomes, None);
        let tally = tally(outcomes.iter().map(|(_, outcome)| outcome));
        if arguments.plan || tally.failed > 0 || tally.changed == 0 {
            return verdict(arguments, &outcomes);
        }
        if !ask(context, "Do it? Only `yes` goes on:", "yes") {
            context.say("Nothing was done.");
            return Err(Stop::Code(1));
        }
    }
    let outcomes = fleet.converge(Task::Apply)?;
    show(context, &outcomes, Some((&name, &arguments.many.on)));
    verdict(arguments, &outcomes)
}

/// The servers, each with what it is to be.
struct Fleet<'a> {
    context: &'a Context,
    arguments: &'a RunArguments,
    chosen: &'a Chosen,
    jobs: &'a [Vec<Job>],
    /// What the run is called.
    name: &'a str,
}

impl Fleet<'_> {
    fn converge(&self, task: Task) -> Result<Vec<HostOutcome>, Stop> {
        if let ([host], [jobs]) = (self.chosen.hosts.as_slice(), self.jobs)
            && let (Ok(Target::Local), [job]) = (self.chosen.target(host), jobs.as_slice())
        {
            return Ok(vec![(host.server.name.clone(), alone(self.context, host, job, task, self.name)?)]);
        }
        let planned = task == Task::Plan;
        let work = |place: usize, say: &dyn Fn(&str)| match (self.chosen.hosts.get(place), self.jobs.get(place)) {
            (Some(host), Some(jobs)) => self.one(host, jobs, task, say),
            _ => Outcome::NotStarted(String::new()),
        };
        let work = Work {
            on: &work,
            has_failed: &|outcome: &Outcome| outcome.standing() == Standing::Failed,
            words: &|outcome: &Outcome| andon_view::host_words(outcome, planned, self.context.err),
        };
        let names = self.chosen.names();
        let outcomes = on_all(self.context, &names, self.arguments.many.strategy(), &work).into_iter();
        let outcomes = outcomes.map(|outcome| outcome.unwrap_or_else(Outcome::NotStarted));
        Ok(names.into_iter().zip(outcomes).collect())
    }

    /// One of several servers: its roles one after another, as far as they succeed.
    fn one(&self, host: &Host, jobs: &[Job], task: Task, say: &dyn Fn(&str)) -> Outcome {
        let target = match self.chosen.target(host) {
            Ok(target) => target,
            Err(failure) => return Outcome::Failed(failure),
        };
        let mut whole: Option<AgentReply> = None;
        for job in jobs {
            match job.converge(&target, task, self.name, say) {
                Err(failure) => return Outcome::Failed(failure),
                Ok(reply) => whole = Some(whole.map_or(reply.clone(), |whole| after(whole, reply))),
            }
            if whole.as_ref().is_some_and(|reply| reply.report.has_failed()) {
                break;
            }
        }
        match whole {
            Some(AgentReply { report, catalog }) => Outcome::Report { report, catalog },
            None => Outcome::NotStarted("it has no role".to_owned()),
        }
    }
}

/// Two replies of one server as one.
fn after(mut first: AgentReply, then: AgentReply) -> AgentReply {
    first.report.entries.extend(then.report.entries);
    first.report.checks.extend(then.report.checks);
    first.report.stopped = first.report.stopped.or(then.report.stopped);
    first.catalog = format!("{},{}", first.catalog, then.catalog);
    first
}

/// Converges this machine alone, in this process: it ends between two acts where that is asked for.
fn alone(context: &Context, host: &Host, job: &Job, task: Task, run: &str) -> Result<Outcome, Stop> {
    let interrupted = interrupt();
    let told = RefCell::new(false);
    let name = &host.server.name;
    let mut say = |line: &str| match context.arguments.json {
        true => print_json(&json!({ "type": "note", "host": &**name, "text": line })),
        false => context.say(&format!("{name}: {}", andon_view::inline(line))),
    };
    let go_on = || {
        let stop = interrupted.load(Ordering::Relaxed);
        if stop && !told.replace(true) {
            context.say("Stopping after what is under way. Ctrl-C again ends at once.");
        }
        !stop
    };
    match converge(&job.wanted(run), task, &mut Ways { say: &mut say, go_on: &go_on }) {
        Ok(AgentReply { report, catalog }) => Ok(Outcome::Report { report, catalog }),
        Err(diagnostics) => Err(wrong(context, &diagnostics, job.role.bundle.sources())),
    }
}

/// What a run is called on every server that it goes over.
pub fn run_name() -> String {
    format!("{:012x}", random() & 0xFFFF_FFFF_FFFF)
}

/// Shows what came of it; of a run that was no plan, its name and the servers that it was for.
fn show(context: &Context, outcomes: &[HostOutcome], run: Option<(&str, &[String])>) {
    let planned = run.is_none();
    let changed = outcomes.iter().any(|(_, outcome)| match outcome {
        Outcome::Report { report, .. } => report.changes().any(|entry| entry.status == EntryStatus::Done),
        _ => false,
    });
    let run = run.filter(|_| changed);
    if context.arguments.json {
        outcomes.iter().for_each(|outcome| print_json(&andon_view::host_json(outcome, planned)));
        let mut summary = andon_view::hosts_json(outcomes);
        if let (Some((name, _)), Some(summary)) = (run, summary.as_object_mut()) {
            summary.insert("run".to_owned(), name.into());
        }
        print_json(&summary);
        return;
    }
    context.print(&andon_view::hosts(outcomes, planned, context.look(false)));
    if outcomes.len() > 1 {
        context.print(&format!("\n{}\n", andon_view::hosts_summary(outcomes, planned, context.out)));
    }
    if let Some((name, on)) = run {
        let on: String = on.iter().filter(|on| *on != LOCAL).map(|on| format!(" --on {}", quoted(on))).collect();
        context.print(&format!("Run {name}: `andon undo {name}{on}` takes it back.\n"));
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.,=/:@%+".contains(letter);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn verdict(arguments: &RunArguments, outcomes: &[HostOutcome]) -> Result<(), Stop> {
    let tally = tally(outcomes.iter().map(|(_, outcome)| outcome));
    if stopped_by_hand() && tally.cut_short + tally.not_started > 0 {
        return Err(Stop::Code(STOPPED));
    }
    match tally.failed + tally.cut_short + tally.not_started {
        0 if arguments.detailed_exitcode && tally.changed > 0 => Err(Stop::Code(2)),
        0 => Ok(()),
        _ => Err(Stop::Code(1)),
    }
}
