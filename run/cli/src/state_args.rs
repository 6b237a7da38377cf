//! What the user typed for the commands that look at the state, and that change what it says.

use clap::{Args, Subcommand};

use crate::args::LockArguments;

#[derive(Debug, Clone, Subcommand)]
pub enum StateCommand {
    /// List what there is
    List(ListArguments),
    /// Show one object: all its attributes
    Show(ShowArguments),
    /// Have objects known by another address
    #[command(alias = "move")]
    Mv(MoveArguments),
    /// Forget objects; nothing is done to them
    #[command(alias = "remove")]
    Rm(ForgetArguments),
    /// Have the objects of a provider be those of another one
    ReplaceProvider(ReplaceProviderArguments),
    /// Print what there is as a state file of Terraform's
    Pull(PullArguments),
    /// Take over what a state file of Terraform's has
    Push(PushArguments),
    /// Say what became of an object whose making was cut short
    Resolve(ResolveArguments),
}

#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    /// Only what is at these addresses: instances, resources, or modules with all that is in them
    #[arg(value_name = "ADDRESS")]
    pub addresses: Vec<String>,
    /// Only objects whose attribute `id` is this
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    /// The instance
    pub address: String,
}

#[derive(Debug, Clone, Args)]
pub struct MoveArguments {
    /// The instance, the resource with all its instances, or the module with all that is in it
    pub source: String,
    /// The address that it has from now on
    pub destination: String,
    /// Only say what would move
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct ForgetArguments {
    /// Instances, resources, or modules with all that is in them
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Only say what would be forgotten
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct ReplaceProviderArguments {
    /// The provider whose objects they are: `hashicorp/aws`, `registry.example.net/team/cloud`
    pub from: String,
    /// The provider whose they are from now on
    pub to: String,
    /// Do not ask
    #[arg(long, visible_alias = "yes")]
    pub auto_approve: bool,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct PullArguments {
    /// The stack; needed where the project has several
    pub stack: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct PushArguments {
    /// The state file, of version 4; `-` reads it from standard input
    pub file: std::path::PathBuf,
    /// The stack; needed where the project has several
    pub stack: Option<String>,
    /// Take over any file: what there is of the stack is forgotten, and nothing is done to it
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct ResolveArguments {
    /// The instances; with --id just one
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// There is nothing of them
    #[arg(long, required_unless_present = "id", conflicts_with = "id")]
    pub absent: bool,
    /// It is there: what its provider calls it
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct TaintArguments {
    /// The instance
    pub address: String,
    /// It is no mistake where there is no such object
    #[arg(long)]
    pub allow_missing: bool,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Subcommand)]
pub enum WorkspaceCommand {
    /// List the environments, the one in use with a star
    List,
    /// Print the environment in use
    Show,
    /// Make an environment, and use it from now on
    New(NewWorkspaceArguments),
    /// Use another environment from now on, wherever none is named
    Select(SelectArguments),
    /// Delete an environment that was made with `new`
    Delete(DeleteArguments),
}

#[derive(Debug, Clone, Args)]
pub struct NewWorkspaceArguments {
    /// What it is called
    pub name: String,
    /// Take over what a state file of Terraform's has
    #[arg(long, value_name = "FILE")]
    pub state: Option<std::path::PathBuf>,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct SelectArguments {
    /// The environment
    pub name: String,
    /// Make it where there is none of that name
    #[arg(long)]
    pub or_create: bool,
}

#[derive(Debug, Clone, Args)]
pub struct DeleteArguments {
    /// The environment
    pub name: String,
    /// Also where it has objects: they are forgotten, and nothing is done to them
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub lock: LockArguments,
}
