//! `agent`: keeps this server as its roles say.
//!
//! The agent itself only waits. Each sync is a process of its own, so that one that fails, or that is killed, takes
//! nothing with it, that the agent stays small, and that a newer program takes over with the next sync.

use std::os::unix::process::CommandExt;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use andon_engine::agent::Ways;
use andon_engine::upkeep::{Origin, Record, Records, Sort, Synced, Upkeep};
use andon_engine::{now, random};
use andon_lang::together;
use andon_ledger::Timestamp;
use andon_schema::Failure;
use andon_source::{Hosts, Settings, Web};
use andon_text::Diagnostic;
use nix::sys::stat::{Mode, umask};
use serde_json::{Value as Json, json};

use crate::agent_args::AgentArguments;
use crate::clock::rfc3339_seconds;
use crate::context::{Context, Stop, interrupt};
use crate::jobs::given;

/// Has a process of the agent's be one sync.
const SYNC: &str = "--once";

/// `andon agent`
pub fn run(context: &Context, arguments: &AgentArguments) -> Result<(), Stop> {
    if arguments.status || arguments.history {
        return show(context, arguments);
    }
    if arguments.roles.is_empty() {
        return Err(Diagnostic::error("no role is named")
            .detail("An agent keeps a server as its roles say.")
            .help("Name them: andon agent web --from SOURCE")
            .into());
    }
    if let [_, _, ..] = arguments.roles.as_slice()
        && let Some(file) = arguments.roles.iter().find(|role| role.ends_with(".role.hcl"))
    {
        return Err(Diagnostic::error("several roles are named, and one of them by its file")
            .detail(format!("`{file}` could lie anywhere, and the roles of one server lie beside each other."))
            .help("Name each by its name.")
            .into());
    }
    let origin = Origin::parse(arguments.from.as_deref().unwrap_or_default()).map_err(stop)?;
    if arguments.once { sync(context, arguments, origin) } else { keep(context, arguments) }
}

fn sync(context: &Context, arguments: &AgentArguments, origin: Origin) -> Result<(), Stop> {
    let upkeep = Upkeep {
        origin,
        role: together(arguments.roles.iter().map(String::as_str)),
        given: given(context, &arguments.params)?,
        kept: arguments.state.clone(),
        look_only: arguments.plan,
    };
    let web = || Web::new(Hosts::read(&Settings::from_environment()).0, interrupt());
    let interrupted = interrupt();
    // What is made must not depend on who started the agent.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let go_on = || !interrupted.load(Ordering::Relaxed);
    let mut say = |line: &str| context.say(line);
    let synced = upkeep.sync(&web, now(), &mut Ways { say: &mut say, go_on: &go_on }).map_err(stop)?;
    if context.arguments.json {
        context.print(&format!("{}\n", data(&synced)));
    } else {
        tell(context, &synced, arguments.plan);
    }
    match (synced.has_failed(), arguments.plan && synced.changes() > 0) {
        (true, _) => Err(Stop::Code(1)),
        (_, true) => Err(Stop::Code(2)),
        _ => Ok(()),
    }
}

/// Says what there is to say: nothing where all is as it should be.
fn tell(context: &Context, synced: &Synced, looked_only: bool) {
    if let Some(why) = &synced.stale {
        context.say(&format!("{} the definitions of before are used: {why}", context.err.yellow("warning:")));
    }
    let role = &synced.role;
    match &synced.outcome {
        Err(reason) => context.say(&format!("{} role {role}: {reason}", context.err.red("error:"))),
        Ok(report) if !report.is_clean() => {
            let what = match (synced.sort, looked_only) {
                (_, true) => "differs",
                (Sort::Drift, false) => "drifted, and was put right",
                (Sort::Definition, false) => "changed",
            };
            context.print(&format!("role {role} {what}:\n{}", andon_view::report(report, context.out, 2)));
        }
        Ok(_) => {}
    }
}

fn data(synced: &Synced) -> Json {
    let sort = if synced.sort == Sort::Drift { "drift" } else { "definition" };
    let (report, error) = match &synced.outcome {
        Ok(report) => (andon_view::report_json(report), Json::Null),
        Err(reason) => (Json::Null, Json::from(reason.as_str())),
    };
    json!({ "stale": synced.stale, "sort": sort, "role": synced.role, "report": report, "error": error })
}

/// Syncs again and again, until it is told to end: an interrupt ends it after the sync that is under way, a hangup has
/// it sync at once.
fn keep(context: &Context, arguments: &AgentArguments) -> Result<(), Stop> {
    let signals = Signals::block();
    let every = arguments.every.max(Duration::from_secs(1));
    context.say(&format!(
        "Keeping {} in sync with {}.",
        arguments.roles.join(", "),
        arguments.from.as_deref().unwrap_or_default()
    ));
    loop {
        let mut child = start()?;
        let mut ends = false;
        // The sync that is under way is told, too, and ends where it is sound to.
        while child.try_wait().is_ok_and(|status| status.is_none()) {
            if signals.wait(None).is_some_and(|signal| matches!(signal, libc::SIGTERM | libc::SIGINT)) {
                ends = true;
                tell_to_end(&child);
            }
        }
        if ends {
            return Ok(());
        }
        let deadline = Instant::now() + wait_for(every, arguments.jitter, random());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match signals.wait(Some(left)) {
                Some(libc::SIGTERM | libc::SIGINT) => return Ok(()),
                Some(libc::SIGHUP) => break,
                _ if Instant::now() >= deadline => break,
                _ => {}
            }
        }
    }
}

/// The time to the next sync: shorter or longer than the one that is asked for by up to a part of it.
fn wait_for(every: Duration, jitter: u8, random: u64) -> Duration {
    let span = every * u32::from(jitter) / 100;
    // The top 32 bits of a random number, as a part of one.
    let part = (random >> 32) as f64 / f64::from(u32::MAX);
    (every + span.mul_f64(2.0 * part)).saturating_sub(span)
}

fn start() -> Result<Child, Stop> {
    let mut words = std::env::args_os();
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg0(words.next().unwrap_or_else(|| "andon".into())).args(words).arg(SYNC);
    // SAFETY: the closure makes one system call, on a set that it makes itself, and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            Ok(())
        });
    }
    command.process_group(0).spawn().map_err(|error| {
        Diagnostic::error("no sync could be started")
            .detail(format!("{error}."))
            .help("Look whether the program is still where it was.")
            .into()
    })
}

fn tell_to_end(child: &Child) {
    if let Ok(process) = libc::pid_t::try_from(child.id()) {
        // SAFETY: the child was not waited for yet, so that the number is still its own.
        unsafe { libc::kill(process, libc::SIGTERM) };
    }
}

/// The signals that the agent waits for, and nothing else does.
struct Signals(libc::sigset_t);

impl Signals {
    fn block() -> Signals {
        // SAFETY: the set is plain data, made by the first call and only read by the last.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD] {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            Signals(set)
        }
    }

    /// The next signal; `None` where the time was up before.
    fn wait(&self, limit: Option<Duration>) -> Option<libc::c_int> {
        let signal = match limit {
            None => {
                let mut signal = 0;
                // SAFETY: both arguments live as long as the call.
                unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
                signal
            }
            Some(limit) => {
                let time = libc::timespec {
                    tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
                    tv_nsec: libc::c_long::from(limit.subsec_nanos()),
                };
                // SAFETY: the arguments live as long as the call, and nothing is asked for of the sender.
                unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), &raw const time) }
            }
        };
        (signal > 0).then_some(signal)
    }
}

fn show(context: &Context, arguments: &AgentArguments) -> Result<(), Stop> {
    let records = Records::read(&arguments.state);
    if arguments.history {
        return show_history(context, &records);
    }
    let status = records.status();
    if context.arguments.json {
        context.print(&format!("{status}\n"));
        return Ok(());
    }
    let Some(at) = status.get("at").and_then(Json::as_i64) else {
        context.print(&format!("No sync of this server is recorded in {}.\n", arguments.state.display()));
        return Ok(());
    };
    let texts = |name: &str, inner: Option<&str>| -> Vec<String> {
        let all = status.get(name).and_then(Json::as_array).into_iter().flatten();
        all.filter_map(|one| inner.map_or(Some(one), |inner| one.get(inner))?.as_str().map(str::to_owned)).collect()
    };
    let result = status.get("result").and_then(Json::as_str).unwrap_or_default();
    let mut text = format!(
        "{} at {}: {result}\n",
        status.get("role").and_then(Json::as_str).unwrap_or_default(),
        rfc3339_seconds(Timestamp(at))
    );
    if let Some(why) = status.get("stale").and_then(Json::as_str) {
        text.push_str(&format!("  the definitions of before are used: {why}\n"));
    }
    for line in texts("errors", None).iter().chain(&texts("differs", Some("what"))) {
        text.push_str(&format!("  {line}\n"));
    }
    context.print(&text);
    Ok(())
}

fn show_history(context: &Context, records: &Records) -> Result<(), Stop> {
    let history = records.history();
    if context.arguments.json {
        let all: Vec<Json> = history.iter().map(|record| record.encode()).collect();
        context.print(&format!("{}\n", Json::Array(all)));
        return Ok(());
    }
    if history.is_empty() {
        context.print("Nothing differed so far.\n");
    }
    for (at, record) in history.iter().enumerate() {
        // What was put right later is told once, with when it was first seen.
        let told = |later: &Record| {
            (&later.role, &later.what, later.first_seen) == (&record.role, &record.what, record.first_seen)
        };
        if !record.mended && history.iter().skip(at + 1).any(|later| later.mended && told(later)) {
            continue;
        }
        let by = match (record.sort, record.mended) {
            (Sort::Drift, true) => "drift, put right by the agent",
            (Sort::Drift, false) => "drift, not put right",
            (Sort::Definition, true) => "new definition, done",
            (Sort::Definition, false) => "new definition, not done",
        };
        let seen = match record.first_seen == record.at {
            true => String::new(),
            false => format!(", first seen {}", rfc3339_seconds(record.first_seen)),
        };
        context.print(&format!("{} {} {}\n    {by}{seen}\n", rfc3339_seconds(record.at), record.role, record.what));
    }
    Ok(())
}

fn stop(failure: Failure) -> Stop {
    let diagnostic = Diagnostic::error(&failure.summary).detail(&failure.detail);
    failure.help.iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_around_the_time_that_is_asked_for() {
        let minute = Duration::from_secs(60);
        for (jitter, random, expected) in
            [(10, 0, 54_000), (10, u64::MAX, 66_000), (10, 1 << 63, 60_000), (0, 7, 60_000), (100, 0, 0)]
        {
            let wait = wait_for(minute, jitter, random).as_millis();
            assert!(wait.abs_diff(expected) <= 1, "{jitter} {random} {wait}");
        }
    }
}
