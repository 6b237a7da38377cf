//! `run`: servers converged with a role, now.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use andon_engine::agent::{AgentReply, Task, Wanted, Ways, converge};
use andon_engine::roles::{FoundRole, NoRole, find_role, secrets_of};
use andon_fleet::{Outcome, tally};
use andon_lang::GivenArgument;
use andon_schema::Secrets;
use andon_secret::Vault;
use andon_text::Diagnostic;
use andon_value::Value;
use andon_view::HostOutcome;
use nix::sys::stat::{Mode, umask};
use serde_json::json;

use crate::context::{Context, Stop, interrupt};
use crate::host_args::{ParamArguments, RunArguments};
use crate::terminal::{ask, print_json};

/// The name of this machine among servers.
const LOCAL: &str = "local";

/// `andon run ROLE --on SERVERS`
pub fn run(context: &Context, arguments: &RunArguments) -> Result<(), Stop> {
    let refused = |no_role: NoRole| {
        context.say_diagnostics(&no_role.diagnostics, &no_role.sources);
        Stop::Code(1)
    };
    let FoundRole { name, mut bundle, directory } =
        find_role(&context.arguments.directory, &arguments.role).map_err(refused)?;
    let given = given(context, &arguments.params)?;
    let params = bundle.give(&name, &given).map_err(|diagnostics| {
        context.say_diagnostics(&diagnostics, bundle.sources());
        Stop::Code(1)
    })?;
    if let Some(other) = arguments.on.iter().find(|on| *on != LOCAL) {
        return Err(Diagnostic::error(format!("there is no server `{other}`")).help("`local` is this machine.").into());
    }
    let root = nix::unistd::geteuid().is_root();
    if !root && !arguments.plan {
        return Err(Diagnostic::error("this machine is converged by root, and you are another user")
            .help("Run the same command with sudo; `--plan` shows what you may see of what would change.")
            .into());
    }
    let vault = Vault::at(&directory);
    let secrets = secrets_of(&bundle, &name, &params, &vault).map_err(|diagnostics| {
        context.say_diagnostics(&diagnostics, bundle.sources());
        Stop::Code(1)
    })?;
    let role = Role { name: &name, bundle: &bundle, params: &params, secrets: &secrets };
    let asks = !arguments.yes && !arguments.plan && std::io::stdin().is_terminal() && context.live;
    if arguments.plan || asks {
        let outcomes = vec![here(context, &role, Task::Plan)?];
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
    let outcomes = vec![here(context, &role, Task::Apply)?];
    show(context, &outcomes, false);
    verdict(arguments, &outcomes)
}

/// A role, ready to be evaluated.
struct Role<'a> {
    name: &'a str,
    bundle: &'a andon_lang::Bundle,
    params: &'a Value,
    secrets: &'a Secrets,
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

/// Converges this machine, in this process.
fn here(context: &Context, role: &Role<'_>, task: Task) -> Result<HostOutcome, Stop> {
    // What is made must not depend on who asked for it.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let interrupted = interrupt();
    let told = RefCell::new(false);
    let mut say = |line: &str| match context.arguments.json {
        true => print_json(&json!({ "type": "note", "host": LOCAL, "text": line })),
        false => context.say(&format!("{LOCAL}: {line}")),
    };
    let go_on = || {
        let stop = interrupted.load(Ordering::Relaxed);
        if stop && !told.replace(true) {
            context.say("Stopping: what runs is finished, nothing new begins. Ctrl-C again ends at once.");
        }
        !stop
    };
    let Role { name, bundle, params, secrets } = *role;
    let wanted = Wanted { bundle, role: name, params, secrets };
    match converge(&wanted, task, &mut Ways { say: &mut say, go_on: &go_on }) {
        Ok(AgentReply { report, catalog }) => Ok((Arc::from(LOCAL), Outcome::Report { report, catalog })),
        Err(diagnostics) => {
            context.say_diagnostics(&diagnostics, role.bundle.sources());
            Err(Stop::Code(1))
        }
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
