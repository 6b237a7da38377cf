//! What the user typed for the agent.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::duration;
use crate::host_args::ParamArguments;

#[derive(Debug, Clone, Args)]
pub struct AgentArguments {
    /// The roles that this server must have, in this order
    #[arg(value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Where the project is: a directory, an archive on a web server, or a git repository, as
    /// git::https://example.com/shop.git?ref=main
    #[arg(long, value_name = "SOURCE", required_unless_present_any = ["status", "history"])]
    pub from: Option<String>,
    #[command(flatten)]
    pub params: ParamArguments,
    /// Sync once, and end
    #[arg(long)]
    pub once: bool,
    /// The time from one sync to the next
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub every: Duration,
    /// Have each wait be shorter or longer by up to this part of it, so that many servers do not ask at once
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub jitter: u8,
    /// Only say what differs, and change nothing
    #[arg(long)]
    pub plan: bool,
    /// Where the agent keeps what it fetched and what it did
    #[arg(long, value_name = "DIR", default_value = "/var/lib/andon/agent")]
    pub state: PathBuf,
    /// Show how this server was when it was synced last, and end
    #[arg(long, conflicts_with_all = ["once", "plan", "history"])]
    pub status: bool,
    /// Show everything that differed, when it was first seen, and what put it right, and end
    #[arg(long, conflicts_with_all = ["once", "plan"])]
    pub history: bool,
}
