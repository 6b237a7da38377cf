use std::io;
use std::path::PathBuf;

use andon_schema::Failure;

/// Why work did not run where it should, or did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The program to start again could not be started.
    #[error("cannot start {}", helper.display())]
    Start {
        /// The program.
        helper: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server's first process has ended.
    #[error("the server is not running: its first process, {init}, has ended")]
    Gone {
        /// The process.
        init: i32,
    },
    /// The target was there, but could not be entered.
    #[error("{step}: {cause}")]
    Enter {
        /// What was being done.
        step: String,
        /// What the system said.
        cause: String,
    },
    /// The work ended without an answer.
    #[error("the agent ended before it had answered: {how}")]
    Died {
        /// How it ended: `exit status 1`, `killed by signal 9`.
        how: String,
        /// The end of what it, and the programs that it ran, wrote to standard error.
        said: String,
    },
    /// The helper wrote what no agent writes: it is some other program.
    #[error("{} did not answer as an agent does", helper.display())]
    Garbled {
        /// The program.
        helper: PathBuf,
    },
    /// The conversation with the helper broke.
    #[error("cannot talk with the agent")]
    Talk {
        /// Why.
        source: io::Error,
    },
}

impl ReachError {
    /// As the failure of the command that needed the target.
    pub fn failure(&self) -> Failure {
        match self {
            ReachError::Start { source, .. } => {
                Failure::new("the agent could not be started", format!("{self}: {source}."))
                    .help("The program that is running may have been moved or replaced; start it again.")
            }
            ReachError::Gone { .. } => Failure::new("the server does not run", format!("{}.", capital(self)))
                .help("Run `andon sync` to bring the server back."),
            ReachError::Enter { step, cause } => {
                let failure = Failure::new("the target cannot be entered", format!("{}: {cause}.", capital(step)));
                match (cause.as_str(), step.starts_with("mount the overlay")) {
                    ("Operation not permitted", _) => failure.help("Run the same command as root."),
                    (_, true) => failure.help("Keep the data directory on a file system such as ext4, xfs or btrfs."),
                    _ => failure,
                }
            }
            ReachError::Died { how, said } => {
                let failure = Failure::new(
                    "the agent ended midway",
                    match said.trim() {
                        "" => format!("The agent ended before it had answered: {how}."),
                        said => format!("The agent ended before it had answered: {how}. It said:\n{said}"),
                    },
                );
                match how.contains("signal 9") {
                    true => failure.help("Something killed it: if the memory of the server ran out, give it more."),
                    false => failure,
                }
            }
            ReachError::Garbled { .. } => Failure::new("the agent was not understood", format!("{}.", capital(self))),
            ReachError::Talk { source } => {
                Failure::new("the agent cannot be reached", format!("{}: {source}.", capital(self)))
            }
        }
    }
}

fn capital(text: &impl ToString) -> String {
    let text = text.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}
