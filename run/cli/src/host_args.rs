//! What the user typed of commands that reach into servers.

use std::path::PathBuf;
use std::time::Duration;

use andon_fleet::{Amount, Strategy};
use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The role: its name, or the path of its file; where none is given, each server gets those that it has
    pub role: Option<String>,
    #[command(flatten)]
    pub many: ManyArguments,
    /// Show what would change, with unified diffs, and change nothing
    #[arg(long)]
    pub plan: bool,
    #[command(flatten)]
    pub params: ParamArguments,
    /// Exit 2 where something changed, or would
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Do not ask; without a terminal nothing is asked
    #[arg(long, short = 'y')]
    pub yes: bool,
}

#[derive(Debug, Clone, Args)]
pub struct UndoArguments {
    /// The run: its name, or enough of its beginning; on one server also its number there. Without it, the runs that can
    /// be undone are listed
    pub run: Option<String>,
    /// List the runs that can be undone, the last first
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub servers: ServersArguments,
    /// Put back what was changed since, too
    #[arg(long)]
    pub force: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub yes: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ParamArguments {
    /// Give a parameter of the role a value; text, or an expression where the parameter is no text, number or truth
    #[arg(long, value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// Give parameters the values of a file, of the form of a *.tfvars or a *.tfvars.json
    #[arg(long, value_name = "FILE")]
    pub params_file: Vec<PathBuf>,
}

/// The servers that are looked at.
#[derive(Debug, Clone, Args)]
pub struct ServersArguments {
    /// The servers, as for `run`; `local` is this machine
    #[arg(long, value_name = "SERVERS", default_value = "local")]
    pub on: Vec<String>,
    /// Ask at most so many servers at the same time
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub parallelism: usize,
}

impl ServersArguments {
    /// The same for whoever decides.
    pub fn strategy(&self) -> Strategy {
        Strategy { canary: 0, batch: None, max_fail: None, parallelism: self.parallelism }
    }

    /// Whether this machine alone is meant.
    pub fn is_local(&self) -> bool {
        self.on.iter().all(|on| on == andon_engine::hosts::LOCAL)
    }
}

/// How many servers at once, and when to stop.
#[derive(Debug, Clone, Args)]
pub struct ManyArguments {
    /// The servers: names, patterns such as `web-*`, or terms that must hold together such as `role=web,env=dev`;
    /// `!` before one leaves out; `all`; `local` is this machine. May be given several times
    #[arg(long, value_name = "SERVERS", required = true)]
    pub on: Vec<String>,
    /// Begin with so many servers, and go on where none of them failed
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub canary: usize,
    /// Work on so many servers, or so much percent of them, one batch after another
    #[arg(long, value_name = "N|P%", value_parser = amount)]
    pub batch: Option<Amount>,
    /// Begin no more where more than so many, or so much percent, failed
    #[arg(long, value_name = "N|P%", value_parser = amount)]
    pub max_fail: Option<Amount>,
    /// Begin no more where one failed
    #[arg(long, conflicts_with = "max_fail")]
    pub stop_on_first: bool,
    /// Work on at most so many servers at the same time
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub parallelism: usize,
}

impl ManyArguments {
    /// The same for whoever decides.
    pub fn strategy(&self) -> Strategy {
        Strategy {
            canary: self.canary,
            batch: self.batch,
            max_fail: if self.stop_on_first { Some(Amount::Count(0)) } else { self.max_fail },
            parallelism: self.parallelism,
        }
    }
}

fn amount(text: &str) -> Result<Amount, String> {
    Amount::parse(text).ok_or_else(|| "a number of servers, such as 3, or a part of them, such as 25%".to_owned())
}

#[derive(Debug, Clone, Args)]
pub struct ExecArguments {
    /// The command: a line for a shell
    pub command: String,
    #[command(flatten)]
    pub many: ManyArguments,
    /// End it where it takes longer: 30s, 5m
    #[arg(long, value_name = "TIME", value_parser = crate::args::duration)]
    pub timeout: Option<Duration>,
}

#[derive(Debug, Clone, Args)]
pub struct SshArguments {
    /// The server: its name, or its address in the state
    pub server: String,
    /// A command and its arguments; a shell where none is given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}
