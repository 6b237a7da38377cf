//! The `andon` program: arguments → engine; prints views.

mod agent_args;
mod args;
mod checking;
mod clock;
mod commands;
mod context;
mod dashes;
mod host_args;
mod image_args;
mod jobs;
mod look_args;
mod realm;
mod scope_args;
mod secret_args;
mod servers;
mod state_args;
mod terminal;
mod variables;

use std::process::ExitCode;

use andon_text::SourceMap;
use clap::{CommandFactory, Parser};

use crate::args::{Arguments, Command};
use crate::context::Context;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    // The program also serves as its own helper: what it does inside a server, and as a balancer.
    if let Some(code) = helper(&words) {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let command = Arguments::command();
    let mut typed: Vec<_> = std::env::args_os().collect();
    let needs_realm = realm::is_forced(&mut typed);
    let typed = dashes::with_variables(typed, &command, |name| std::env::var(name).ok());
    let arguments = match Arguments::try_parse_from(dashes::doubled(typed.clone(), &command)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let error = dashes::unknown(error, typed, &command);
            let _ = error.print();
            // 2 would say that there is drift.
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    realm::enter(&arguments, needs_realm);
    let context = Context::new(arguments);
    let code = match run(&context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => context.stopped(stop, &SourceMap::new()),
    };
    // Whoever exits elsewhere leaves a realm that nothing is in: a process that waits, which the next command finds and,
    // having nothing in it either, ends.
    andon_lab::leave_realm(&context.arguments.data_dir);
    code
}

fn helper(words: &[String]) -> Option<i32> {
    if words.get(1).is_some_and(|word| word == andon_reach::AGENT_ARGUMENT) {
        return Some(andon_reach::agent_main(std::env::args_os().skip(2), andon_engine::agent::run));
    }
    andon_lab::helper_main(words.get(1..)?)
}

fn run(context: &Context) -> Result<(), context::Stop> {
    match &context.arguments.command {
        Command::New(arguments) => commands::new::run(context, arguments),
        Command::Init(arguments) => commands::init::run(context, arguments),
        Command::Get(arguments) => commands::init::get(context, arguments),
        Command::Fmt(arguments) => commands::fmt::run(context, arguments),
        Command::Check(arguments) => commands::check::run(context, arguments),
        Command::Test(arguments) => commands::test::run(context, arguments),
        Command::Plan(arguments) => commands::plan::run(context, arguments),
        Command::Apply(arguments) => commands::change::apply(context, arguments),
        Command::Refresh(arguments) => commands::change::refresh(context, arguments),
        Command::Destroy(arguments) => commands::change::destroy(context, arguments),
        Command::Up(arguments) => commands::change::up(context, arguments),
        Command::Down(arguments) => commands::change::down(context, arguments),
        Command::Drift(arguments) => commands::drift::run(context, arguments),
        Command::Sync(arguments) => commands::change::sync(context, arguments),
        Command::Status(arguments) => commands::status::run(context, arguments),
        Command::Ssh(arguments) => commands::ssh::run(context, arguments),
        Command::Restart(arguments) => commands::restart::run(context, arguments),
        Command::Run(arguments) => commands::run::run(context, arguments),
        Command::Exec(arguments) => commands::exec::run(context, arguments),
        Command::Bake(arguments) => commands::bake::run(context, arguments),
        Command::Image(arguments) => commands::image::run(context, &arguments.command),
        Command::Undo(arguments) => commands::undo::run(context, arguments),
        Command::Console(arguments) => commands::console::run(context, arguments),
        Command::Docs(arguments) => commands::docs::run(context, arguments),
        Command::Graph(arguments) => commands::graph::run(context, arguments),
        Command::Output(arguments) => commands::output::run(context, arguments),
        Command::Show(arguments) => commands::show::run(context, arguments),
        Command::State { command } => commands::state::run(context, command),
        Command::Import(arguments) => commands::import::run(context, arguments),
        Command::Taint(arguments) => commands::state::taint(context, arguments),
        Command::Untaint(arguments) => commands::state::untaint(context, arguments),
        Command::Workspace { command } => commands::workspace::run(context, command),
        Command::Providers { command } => commands::providers::run(context, command.as_ref()),
        Command::Agent(arguments) => commands::agent::run(context, arguments),
        Command::CheckServer(arguments) => commands::check_server::run(context, arguments),
        Command::Facts(arguments) => commands::facts::run(context, arguments),
        Command::Secret(arguments) => commands::secret::run(context, &arguments.command),
        Command::Rekey(arguments) => commands::rekey::run(context, arguments),
        Command::ForceUnlock(arguments) => commands::force_unlock::run(context, arguments),
        Command::Logs(arguments) => commands::logs::run(context, arguments),
        Command::Version => {
            commands::version::run(context);
            Ok(())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "andon", &mut script);
            context.print(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}
