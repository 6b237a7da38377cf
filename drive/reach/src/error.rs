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
    /// The work on an image was cut off, as nobody awaited it any more.
    #[error("the run was stopped before its end")]
    Stopped,
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
    /// This machine has no `ssh`.
    #[error("this machine has no `ssh`")]
    NoSsh,
    /// `ssh` did not get to the server, or lost it.
    #[error("{name} cannot be reached: {}", last(said))]
    Connect {
        /// The server: `deploy@web-1:22`.
        name: String,
        /// What `ssh` said.
        said: String,
    },
    /// The connection broke while the work was under way.
    #[error("the connection to {name} broke")]
    Lost {
        /// The server.
        name: String,
        /// What `ssh` said.
        said: String,
    },
    /// The login may not become root.
    #[error("the login on {name} may not become root: {}", last(said))]
    NotRoot {
        /// The server.
        name: String,
        /// What `sudo` said.
        said: String,
    },
    /// The server is of a kind on which this program does not run.
    #[error("{name} is of another kind ({machine}): this program needs {needs}")]
    Foreign {
        /// The server.
        name: String,
        /// What it says of itself.
        machine: String,
        /// What this program needs.
        needs: String,
    },
    /// This program could not be put on the server.
    #[error("this program could not be put on {name}: {}", last(said))]
    NotStored {
        /// The server.
        name: String,
        /// What it said.
        said: String,
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
                    ("Resource temporarily unavailable", _) => failure.help(
                        "It has as many processes as its `processes` lets it have: end some, or let it have more.",
                    ),
                    (_, true) => failure.help("Keep the data directory on a file system such as ext4, xfs or btrfs."),
                    _ => failure,
                }
            }
            ReachError::Stopped => Failure::new(self.to_string(), "What it was at was ended, too."),
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
            ReachError::NoSsh => Failure::new("this machine has no `ssh`", "Servers are reached by OpenSSH's client.")
                .help("Install it: apt-get install openssh-client."),
            ReachError::Connect { name, said } => {
                let failure = Failure::new(format!("{name} cannot be reached"), trimmed(said));
                match () {
                    () if said.contains("IDENTIFICATION HAS CHANGED") => failure.help(
                        "Another key is known of it. Where it was made anew, remove the old one as `ssh` says; else find out who answers.",
                    ),
                    () if said.contains("Host key verification failed") || said.contains("host key is known") => failure
                        .help("Log in once by hand with `ssh` and look at the key, or add it to your known_hosts."),
                    () if said.contains("Permission denied") => failure
                        .help("Give the server your public key, name the user or the key in its connection, or load the key into an agent."),
                    () if said.contains("Could not resolve") => failure.help("Mend its address."),
                    () if said.contains("refused") || said.contains("timed out") || said.contains("No route") => {
                        failure.help("Is it up, and is the address right? `ssh -v` shows more.")
                    }
                    () => failure.help("The next converge goes on from what was done; `ssh -v` shows more."),
                }
            }
            ReachError::Lost { name, said } => {
                let said = if said.trim().is_empty() { String::new() } else { format!(" {}", trimmed(said)) };
                let detail = format!("What was done until then stays; of the last act nothing is known.{said}");
                Failure::new(format!("the connection to {name} broke midway"), detail)
                    .help("The next run goes on from there.")
            }
            ReachError::NotRoot { name, said } => {
                Failure::new(format!("the login on {name} may not become root"), trimmed(said))
                    .help("Allow it `sudo` without a password, or log in as root.")
                    .help("`become = false` in its connection has the login itself do the work.")
            }
            ReachError::Foreign { name, .. } => {
                Failure::new(format!("this program does not run on {name}"), format!("{}.", capital(self)))
                    .help("Run Andon from a machine of the same kind.")
            }
            ReachError::NotStored { name, said } => {
                Failure::new(format!("this program could not be put on {name}"), trimmed(said))
                    .help("It goes to `andon` below $XDG_CACHE_HOME, or below ~/.cache of the login.")
            }
            ReachError::Garbled { .. } => Failure::new("the agent was not understood", format!("{}.", capital(self))),
            ReachError::Talk { source } => {
                Failure::new("the agent cannot be reached", format!("{}: {source}.", capital(self)))
            }
        }
    }
}

/// What was said, without empty lines.
fn trimmed(said: &str) -> String {
    let is_words = |line: &&str| !line.is_empty() && !line.starts_with('@');
    let lines: Vec<&str> = said.lines().map(str::trim).filter(is_words).collect();
    if lines.is_empty() { "Nothing was said about why.".to_owned() } else { lines.join("\n") }
}

/// The last line that says something.
fn last(said: &str) -> &str {
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing was said about why")
}

fn capital(text: &impl ToString) -> String {
    let text = text.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}
