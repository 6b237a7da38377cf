//! `restart`: servers of the lab and containers, stopped and started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use andon_engine::connection::Power;
use andon_engine::{Journal, Recorder};
use andon_ledger::{Event, RunStatus};
use andon_schema::Failure;
use andon_text::Diagnostic;
use serde_json::json;

use super::state::{began, close_cut_short, unrecorded};
use crate::args::RestartArguments;
use crate::context::{Context, Stop};
use crate::servers::{Chosen, STOPPED, refused, stopped_by_hand};
use crate::terminal::print_json;

/// So many servers are named in the ledger's summary; more are counted.
const NAMED: usize = 8;

/// `andon restart SERVER…`: one after the other, and none after one that failed. Each environment that has one of them is
/// locked meanwhile, and its ledger says what was done.
pub fn run(context: &Context, arguments: &RestartArguments) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &arguments.servers)?;
    let servers = chosen.powers()?;
    let environments: Vec<Option<Arc<str>>> = chosen.hosts.iter().map(|host| host.environment.clone()).collect();
    let mut runs = Runs::begin(context, arguments, environments.iter().flatten())?;
    let (mut failed, mut begun) = (None, 0);
    for ((name, power), environment) in servers.iter().zip(&environments) {
        let wrong: Option<&Failure> = failed.as_ref();
        if wrong.is_some() || stopped_by_hand() {
            let reason = if wrong.is_some() { "another one failed" } else { "stopped by hand" };
            if context.arguments.json {
                print_json(&json!({ "type": "host", "host": name, "status": "not_started", "reason": reason }));
            }
            continue;
        }
        begun += 1;
        let began = Instant::now();
        let restarted = power.restart();
        let elapsed_ms = began.elapsed().as_millis();
        runs.note(environment.as_ref(), name, restarted.as_ref().err());
        match (restarted, context.arguments.json) {
            (Ok(notes), true) => {
                let elapsed_ms = u64::try_from(elapsed_ms).unwrap_or(u64::MAX);
                print_json(&json!({
                    "type": "host", "host": name, "status": "done", "elapsed_ms": elapsed_ms, "notes": notes,
                }));
            }
            (Ok(notes), false) => {
                notes.iter().for_each(|note| context.say(note));
                context.say(&format!("{name}: restarted ({elapsed_ms} ms)"));
            }
            (Err(failure), is_json) => {
                if is_json {
                    let Failure { summary, detail, help, .. } = &failure;
                    let failure = json!({ "summary": summary, "detail": detail, "help": help });
                    print_json(&json!({ "type": "host", "host": name, "status": "failed", "failure": failure }));
                }
                failed = Some(failure);
            }
        }
    }
    let is_stopped = begun < servers.len() && failed.is_none();
    runs.end(is_stopped)?;
    match failed {
        Some(_) if context.arguments.json => Err(Stop::Code(1)),
        Some(failure) => Err(refused(&failure)),
        None if is_stopped => Err(Stop::Code(STOPPED)),
        None => Ok(()),
    }
}

/// What the ledger is told, of each environment.
#[derive(Default)]
struct Runs(BTreeMap<Arc<str>, Run>);

struct Run {
    recorder: Recorder,
    restarted: Vec<String>,
    failed: Option<String>,
}

impl Runs {
    /// Locks the environments, always in the same order, and begins a run in each.
    fn begin<'a>(
        context: &Context,
        arguments: &RestartArguments,
        environments: impl Iterator<Item = &'a Arc<str>>,
    ) -> Result<Runs, Stop> {
        let command = format!("restart {}", arguments.servers.join(" "));
        let mut runs = Runs::default();
        let mut environments: Vec<&Arc<str>> = environments.collect();
        environments.sort();
        environments.dedup();
        let Some(_) = environments.first() else { return Ok(runs) };
        let project = context.open()?;
        for environment in environments {
            let mut recorder = context.lock(&project, environment, &command, &arguments.lock)?;
            close_cut_short(&mut recorder)?;
            runs.0.insert(Arc::clone(environment), Run { recorder, restarted: Vec::new(), failed: None });
        }
        for run in runs.0.values_mut() {
            run.recorder.append(vec![began(&command)]).map_err(unrecorded)?;
        }
        Ok(runs)
    }

    fn note(&mut self, environment: Option<&Arc<str>>, name: &str, failure: Option<&Failure>) {
        let Some(run) = environment.and_then(|environment| self.0.get_mut(environment)) else { return };
        match failure {
            None => run.restarted.push(name.to_owned()),
            Some(failure) => run.failed = Some(format!("{name} was not restarted: {}", failure.summary)),
        }
    }

    /// Ends the runs, and says in each what was done.
    fn end(self, is_stopped: bool) -> Result<(), Stop> {
        for Run { mut recorder, restarted, failed } in self.0.into_values() {
            let status = match &failed {
                Some(_) => RunStatus::Failed,
                None if is_stopped => RunStatus::Cancelled,
                None => RunStatus::Succeeded,
            };
            let done = match restarted.len() {
                0 => None,
                1..=NAMED => Some(format!("restarted {}", restarted.join(", "))),
                count => Some(format!("restarted {count} servers")),
            };
            let summary = done.into_iter().chain(failed).collect::<Vec<_>>().join("; ");
            recorder.append(vec![Event::RunEnded { status, summary }]).map_err(|error| {
                Diagnostic::error(error.to_string()).help("The servers were restarted; the ledger does not say so.")
            })?;
            recorder.snapshot();
        }
        Ok(())
    }
}

/// `andon logs --console SERVER`: what a server wrote to its console.
pub fn console(context: &Context, server: &str) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &[server.to_owned()])?;
    let servers = chosen.powers()?;
    let [(name, power)] = servers.as_slice() else {
        return Err(Diagnostic::error(format!("several servers are meant by `{server}`")).help("Name one.").into());
    };
    match power.console().map_err(|failure| refused(&failure))? {
        said if !said.is_empty() => context.print(&said),
        _ => context.say(&format!("{name} has said nothing on its console.")),
    }
    Ok(())
}

impl Chosen {
    /// All of them, each with the power over it, or a refusal that names one that has its own.
    fn powers(&self) -> Result<Vec<(String, Power<'_>)>, Stop> {
        let servers = self.hosts.iter().map(|host| {
            let name = host.server.name.to_string();
            match Power::over(&host.connection, self.lab()) {
                Some(power) => Ok((name, power)),
                None => Err(Diagnostic::error(format!("`{name}` is no server of the lab, and no container"))
                    .detail("Only a `lab_server` and a `docker_server` have their power and their console here.")
                    .into()),
            }
        });
        servers.collect()
    }
}
