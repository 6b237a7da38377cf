//! `run`: servers converged with a role, now.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use andon_engine::agent::{AgentReply, AgentRequest, Task, Wanted, Ways, converge, lines};
use andon_engine::hosts::{Host, LOCAL};
use andon_engine::roles::{FoundRole, find_role, secrets_of};
use andon_fleet::{Outcome, Standing, tally};
use andon_lang::{Bundle, GivenArgument, apart};
use andon_reach::{Target, run_agent};
use andon_schema::{Failure, Secrets};
use andon_secret::Vault;
use andon_text::Diagnostic;
use andon_value::Value;
use andon_view::HostOutcome;
use nix::sys::stat::{Mode, umask};
use serde_json::json;

use crate::context::{Context, Stop, interrupt};
use crate::host_args::{ParamArguments, RunArguments};
use crate::servers::{Chosen, Work, helper, on_all, unreadable, wrong};
use crate::terminal::{ask, print_json};

/// `andon run ROLE --on SERVERS`
pub fn run(context: &Context, arguments: &RunArguments) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &arguments.many.on)?;
    let is_here = |host: &Host| host.connection.get_str("kind") == Some(LOCAL);
    if chosen.hosts.iter().any(is_here) && !nix::unistd::geteuid().is_root() && !arguments.plan {
        return Err(Diagnostic::error("this machine is converged by root, and you are another user")
            .help("Run the same command with sudo; `--plan` shows what you may see of what would change.")
            .into());
    }
    // What is made must not depend on who asked for it.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let mut roles = Roles { context, arguments, found: BTreeMap::new() };
    let jobs = chosen.hosts.iter().map(|host| roles.of(host)).collect::<Result<Vec<_>, Stop>>()?;
    let fleet = Fleet { context, arguments, chosen: &chosen, jobs: &jobs };
    let asks = !arguments.yes && !arguments.plan && std::io::stdin().is_terminal() && context.live;
    if arguments.plan || asks {
        let outcomes = fleet.converge(Task::Plan)?;
        show(context, &outcomes, true);
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
    show(context, &outcomes, false);
    verdict(arguments, &outcomes)
}

/// A role, ready to be evaluated anywhere.
struct Role {
    name: Arc<str>,
    bundle: Bundle,
    bytes: Arc<[u8]>,
    /// What the command line gives its parameters.
    given: Value,
    vault: Vault,
}

/// One role of one server.
struct Job {
    role: Arc<Role>,
    params: Value,
    secrets: Secrets,
}

/// The roles that were read, by the words that mean them.
struct Roles<'a> {
    context: &'a Context,
    arguments: &'a RunArguments,
    found: BTreeMap<String, Arc<Role>>,
}

impl Roles<'_> {
    /// What a server is to be: the role that was named, or those that it has.
    fn of(&mut self, host: &Host) -> Result<Vec<Job>, Stop> {
        let named = self.arguments.role.as_deref();
        let wanted: Vec<(&str, &Value)> = match named {
            Some(role) => {
                let duty = host.duties.iter().find(|duty| apart(&duty.role).any(|name| name == role));
                vec![(role, duty.map_or(&host.params, |duty| &duty.params))]
            }
            None => host.duties.iter().map(|duty| (&*duty.role, &duty.params)).collect(),
        };
        if wanted.is_empty() {
            return Err(Diagnostic::error(format!("{} has no role of its own", host.server.name))
                .help("Name a role: andon run ROLE --on SERVERS; or give the server one where it is listed.")
                .into());
        }
        wanted.into_iter().map(|(role, params)| self.job(role, params)).collect()
    }

    fn job(&mut self, name: &str, of_host: &Value) -> Result<Job, Stop> {
        let role = self.role(name)?;
        let entries = |value: &Value| value.as_entries().map(|entries| (**entries).clone()).unwrap_or_default();
        let mut params = entries(of_host);
        // A server has the parameters of all of its roles.
        params.retain(|param, _| role.bundle.has_param(&role.name, param));
        params.extend(entries(&role.given));
        let params = Value::object(params);
        let secrets = secrets_of(&role.bundle, &role.name, &params, &role.vault)
            .map_err(|diagnostics| wrong(self.context, &diagnostics, role.bundle.sources()))?;
        Ok(Job { role, params, secrets })
    }

    fn role(&mut self, name: &str) -> Result<Arc<Role>, Stop> {
        if let Some(role) = self.found.get(name) {
            return Ok(role.clone());
        }
        let FoundRole { name: own, mut bundle, directory } =
            find_role(&self.context.arguments.directory, name).map_err(|no_role| unreadable(self.context, &no_role))?;
        let mut given = given(self.context, &self.arguments.params)?;
        if self.arguments.role.is_none() {
            // It may be one of another role's.
            given.retain(|it| !matches!(it, GivenArgument::Text { name, .. } if !bundle.has_param(&own, name)));
        }
        let given =
            bundle.give(&own, &given).map_err(|diagnostics| wrong(self.context, &diagnostics, bundle.sources()))?;
        let role = Role { name: own, bytes: bundle.encode().into(), bundle, given, vault: Vault::at(&directory) };
        let role = Arc::new(role);
        self.found.insert(name.to_owned(), role.clone());
        Ok(role)
    }
}

/// What a command line says of parameters.
pub fn given(context: &Context, arguments: &ParamArguments) -> Result<Vec<GivenArgument>, Stop> {
    let mut given = Vec::new();
    for path in &arguments.params_file {
        let content = std::fs::read(context.arguments.directory.join(path)).map_err(|error| {
            Diagnostic::error(format!("the file of parameters `{}` cannot be read", path.display()))
                .detail(format!("{error}."))
                .help("Name a file of `NAME = VALUE` lines after --params-file.")
        })?;
        given.push(GivenArgument::File { path: path.display().to_string(), content: content.into() });
    }
    for argument in &arguments.param {
        // It may be a secret, without the name in front of it.
        let Some((name, text)) = argument.split_once('=') else {
            return Err(Diagnostic::error("an argument of `--param` has no \"=\" in it")
                .help("Write a name and a value, like: --param 'NAME=VALUE'")
                .into());
        };
        given.push(GivenArgument::Text { name: name.trim().to_owned(), text: text.to_owned() });
    }
    Ok(given)
}

/// The servers, each with what it is to be.
struct Fleet<'a> {
    context: &'a Context,
    arguments: &'a RunArguments,
    chosen: &'a Chosen,
    jobs: &'a [Vec<Job>],
}

impl Fleet<'_> {
    fn converge(&self, task: Task) -> Result<Vec<HostOutcome>, Stop> {
        if let ([host], [jobs]) = (self.chosen.hosts.as_slice(), self.jobs)
            && let (Ok(Target::Local), [job]) = (self.chosen.target(host), jobs.as_slice())
        {
            return Ok(vec![(host.server.name.clone(), alone(self.context, host, job, task)?)]);
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
        let outcomes = on_all(self.context, &names, &self.arguments.many, &work).into_iter();
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
            match job.converge(&target, task, say) {
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

impl Job {
    fn wanted(&self) -> Wanted<'_> {
        Wanted { bundle: &self.role.bundle, role: &self.role.name, params: &self.params, secrets: &self.secrets }
    }

    fn converge(&self, target: &Target, task: Task, say: &dyn Fn(&str)) -> Result<AgentReply, Failure> {
        let failed = |said: String| Failure::new(format!("role `{}` could not be converged", self.role.name), said);
        if *target == Target::Local {
            let mut say = |line: &str| say(line);
            return converge(&self.wanted(), task, &mut Ways { say: &mut say, go_on: &|| true })
                .map_err(|diagnostics| failed(lines(&diagnostics, self.role.bundle.sources())));
        }
        let request = AgentRequest {
            task,
            role: self.role.name.to_string(),
            params: self.params.clone(),
            bundle: self.role.bytes.clone(),
            secrets: self.secrets.clone(),
        };
        let reply =
            run_agent(target, helper(), &request.encode(), &mut |line| say(line)).map_err(|error| error.failure())?;
        AgentReply::decode(&reply).map_err(failed)
    }
}

/// Converges this machine alone, in this process: it ends between two acts where that is asked for.
fn alone(context: &Context, host: &Host, job: &Job, task: Task) -> Result<Outcome, Stop> {
    let interrupted = interrupt();
    let told = RefCell::new(false);
    let name = &host.server.name;
    let mut say = |line: &str| match context.arguments.json {
        true => print_json(&json!({ "type": "note", "host": &**name, "text": line })),
        false => context.say(&format!("{name}: {line}")),
    };
    let go_on = || {
        let stop = interrupted.load(Ordering::Relaxed);
        if stop && !told.replace(true) {
            context.say("Stopping: what runs is finished, nothing new begins. Ctrl-C again ends at once.");
        }
        !stop
    };
    match converge(&job.wanted(), task, &mut Ways { say: &mut say, go_on: &go_on }) {
        Ok(AgentReply { report, catalog }) => Ok(Outcome::Report { report, catalog }),
        Err(diagnostics) => Err(wrong(context, &diagnostics, job.role.bundle.sources())),
    }
}

fn show(context: &Context, outcomes: &[HostOutcome], planned: bool) {
    if context.arguments.json {
        outcomes.iter().for_each(|outcome| print_json(&andon_view::host_json(outcome, planned)));
        print_json(&andon_view::hosts_json(outcomes));
        return;
    }
    context.print(&andon_view::hosts(outcomes, planned, context.look(false)));
    if outcomes.len() > 1 {
        context.print(&format!("\n{}\n", andon_view::hosts_summary(outcomes, planned, context.out)));
    }
}

fn verdict(arguments: &RunArguments, outcomes: &[HostOutcome]) -> Result<(), Stop> {
    let tally = tally(outcomes.iter().map(|(_, outcome)| outcome));
    match tally.failed + tally.not_started {
        0 if arguments.detailed_exitcode && tally.changed > 0 => Err(Stop::Code(2)),
        0 => Ok(()),
        _ => Err(Stop::Code(1)),
    }
}
