//! What the user typed of commands that only look at servers.

use std::path::PathBuf;

use clap::Args;

use crate::host_args::{ParamArguments, ServersArguments};

#[derive(Debug, Clone, Args)]
pub struct CheckServerArguments {
    /// The role: its name, or the path of its file; where none is given, each server's own, or the only one there is
    pub role: Option<String>,
    #[command(flatten)]
    pub servers: ServersArguments,
    #[command(flatten)]
    pub params: ParamArguments,
    /// Write the results to FILE, too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct FactsArguments {
    /// Only these facts, such as `os` or `memory_mb`; all where none is named
    #[arg(value_name = "FACT")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub servers: ServersArguments,
}
