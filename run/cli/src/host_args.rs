//! What the user typed of commands that reach into servers.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The role: its name, or the path of its file
    pub role: String,
    /// The servers; `local` is this machine
    #[arg(long, value_name = "SERVERS", required = true)]
    pub on: Vec<String>,
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
pub struct ParamArguments {
    /// Give a parameter of the role a value; text, or an expression where the parameter is no text, number or truth
    #[arg(long, value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// Give parameters the values of a file, of the form of a *.tfvars or a *.tfvars.json
    #[arg(long, value_name = "FILE")]
    pub params_file: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct SshArguments {
    /// The server: its name, or its address in the state
    pub server: String,
    /// A command and its arguments; a shell where none is given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}
