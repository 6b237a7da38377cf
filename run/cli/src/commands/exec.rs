//! `exec`: one command on many servers, now.

use std::sync::Arc;

use andon_reach::run_command;
use andon_view::CommandOutcome;
use nix::sys::stat::{Mode, umask};

use crate::context::{Context, Stop};
use crate::host_args::ExecArguments;
use crate::servers::{Chosen, STOPPED, Work, helper, on_all, stopped_by_hand};
use crate::terminal::print_json;

/// `andon exec COMMAND --on SERVERS`
pub fn run(context: &Context, arguments: &ExecArguments) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &arguments.many.on)?;
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let ask = |place: usize, _: &dyn Fn(&str)| -> CommandOutcome {
        let Some(host) = chosen.hosts.get(place) else { return CommandOutcome::NotStarted(String::new()) };
        let target = match chosen.target(host) {
            Ok(target) => target,
            Err(failure) => return CommandOutcome::Failed(failure),
        };
        match run_command(&target, helper(), &arguments.command, arguments.timeout) {
            Ok(answer) => CommandOutcome::Answered {
                status: answer.status,
                output: String::from_utf8_lossy(&answer.output).into_owned(),
                errors: String::from_utf8_lossy(&answer.errors).into_owned(),
            },
            Err(error) => CommandOutcome::Failed(error.failure()),
        }
    };
    let names = chosen.names();
    let work = Work {
        on: &ask,
        has_failed: &|outcome: &CommandOutcome| !outcome.is_fine(),
        words: &|outcome: &CommandOutcome| if outcome.is_fine() { "done".to_owned() } else { "failed".to_owned() },
    };
    let answers = on_all(context, &names, arguments.many.strategy(), &work);
    let outcomes: Vec<(Arc<str>, CommandOutcome)> = names
        .into_iter()
        .zip(answers)
        .map(|(name, it)| (name, it.unwrap_or_else(CommandOutcome::NotStarted)))
        .collect();
    if context.arguments.json {
        outcomes.iter().for_each(|outcome| print_json(&andon_view::answer_json(outcome)));
    } else if let [(_, CommandOutcome::Answered { status: Some(status), output, errors })] = outcomes.as_slice() {
        // One server answers as its command would here.
        context.print(output);
        if !errors.is_empty() {
            context.say(errors.trim_end_matches('\n'));
        }
        return match u8::try_from(*status).unwrap_or(1) {
            0 => Ok(()),
            status => Err(Stop::Code(status)),
        };
    } else {
        context.print(&andon_view::answers(&outcomes, context.look(false)));
    }
    let not_begun = |outcome: &CommandOutcome| matches!(outcome, CommandOutcome::NotStarted(_));
    if stopped_by_hand() && outcomes.iter().any(|(_, outcome)| not_begun(outcome)) {
        return Err(Stop::Code(STOPPED));
    }
    match outcomes.iter().all(|(_, outcome)| outcome.is_fine()) {
        true => Ok(()),
        false => Err(Stop::Code(1)),
    }
}
