//! What servers answered to a command: those of equal answers together.

use std::sync::Arc;

use andon_fleet::group;
use andon_schema::Failure;
use serde_json::{Value as Json, json};

use crate::Look;
use crate::hosts::{failure_lines, nameless, names};

/// What came of a command on one server.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandOutcome {
    /// It ran.
    Answered {
        /// Its exit status; `None` for one that took too long.
        status: Option<i32>,
        /// What it wrote to standard output.
        output: String,
        /// What it wrote to standard error.
        errors: String,
    },
    /// It could not be run.
    Failed(Failure),
    /// It was not tried, and why.
    NotStarted(String),
}

impl CommandOutcome {
    /// Whether it ran and ended with 0.
    pub fn is_fine(&self) -> bool {
        matches!(self, CommandOutcome::Answered { status: Some(0), .. })
    }

    fn status_word(&self) -> String {
        match self {
            CommandOutcome::Answered { status: Some(status), .. } => format!("exit status {status}"),
            CommandOutcome::Answered { status: None, .. } => "took too long, and was ended".to_owned(),
            CommandOutcome::Failed(failure) => failure.summary.clone(),
            CommandOutcome::NotStarted(reason) => format!("not tried: {reason}"),
        }
    }
}

/// What each server answered, those of equal answers together, in their order.
pub fn answers(all: &[(Arc<str>, CommandOutcome)], look: Look) -> String {
    let paint = look.paint;
    let mut text = String::new();
    for group in group(all, |one, other| one == other || is_alike(one, other)) {
        let nameless = match group.said {
            CommandOutcome::Failed(failure) if group.hosts.len() > 1 => CommandOutcome::Failed(nameless(failure)),
            said => said.clone(),
        };
        let said = &nameless;
        let word = said.status_word();
        let word = if said.is_fine() { word } else { paint.red(&word) };
        text += &format!("{}: {word}\n", paint.bold(&names(&group.hosts)));
        match said {
            CommandOutcome::Answered { output, errors, .. } => {
                text.extend(output.lines().map(|line| format!("  {line}\n")));
                if !errors.is_empty() {
                    text += "  standard error:\n";
                    text.extend(errors.lines().map(|line| format!("    {line}\n")));
                }
            }
            CommandOutcome::Failed(failure) => text += &failure_lines(failure),
            CommandOutcome::NotStarted(_) => {}
        }
    }
    text
}

/// Whether the same keeps both from being reached.
fn is_alike(one: &CommandOutcome, other: &CommandOutcome) -> bool {
    match (one, other) {
        (CommandOutcome::Failed(one), CommandOutcome::Failed(other)) => nameless(one) == nameless(other),
        _ => false,
    }
}

/// One server's answer as data.
pub fn answer_json((host, outcome): &(Arc<str>, CommandOutcome)) -> Json {
    match outcome {
        CommandOutcome::Answered { status, output, errors } => json!({
            "type": "host", "host": &**host, "status": if status.is_some() { "done" } else { "timed_out" },
            "exit_status": status, "stdout": output, "stderr": errors,
        }),
        CommandOutcome::Failed(failure) => json!({
            "type": "host", "host": &**host, "status": "failed",
            "failure": { "summary": failure.summary, "detail": failure.detail, "help": failure.help },
        }),
        CommandOutcome::NotStarted(reason) => {
            json!({ "type": "host", "host": &**host, "status": "not_started", "reason": reason })
        }
    }
}
