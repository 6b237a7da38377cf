//! What the user typed.

use std::path::PathBuf;
use std::time::Duration;

use andon_engine::init::Platform;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::agent_args::AgentArguments;
use crate::host_args::{ExecArguments, RunArguments, SshArguments, UndoArguments};
use crate::image_args::{BakeArguments, ImageArguments};
use crate::look_args::{CheckServerArguments, FactsArguments};
use crate::scope_args::ScopeArguments;
use crate::secret_args::SecretArguments;
use crate::state_args::{StateCommand, TaintArguments, WorkspaceCommand};
use crate::variables::VariableArguments;

/// Where `--help` lists the options that every command has.
const GLOBAL: &str = "Options of every command";

/// What the process's environment settles beside the options that name their own variable.
const ENVIRONMENT: &str = "\
Environment variables:
  ANDON_LEDGER           The address of a PostgreSQL database for the ledger: postgres://user@host/database
  ANDON_LEDGER_KEY       An age identity or a passphrase: the ledger is encrypted with it
  ANDON_LEDGER_KEY_FILE  A file that holds one
  TF_WORKSPACE           The environment, where -e and ANDON_ENVIRONMENT name none";

/// Takes a change from a definition file to a healthy, watched server.
#[derive(Debug, Clone, Parser)]
#[command(name = "andon", version, max_term_width = 100, disable_help_subcommand = true, after_help = ENVIRONMENT)]
pub struct Arguments {
    /// Work in DIR instead of the current directory
    #[arg(
        short = 'C',
        long = "directory",
        global = true,
        help_heading = GLOBAL,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    pub directory: PathBuf,

    /// The environment; the selected one, or the first unprotected one of andon.hcl, where none is given
    #[arg(short, long, global = true, help_heading = GLOBAL, value_name = "ENV", env = "ANDON_ENVIRONMENT")]
    pub environment: Option<String>,

    /// Print data as JSON on standard output
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,

    /// When to use colour
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "WHEN",
        value_enum,
        default_value_t = Colour::Auto,
        hide_default_value = true
    )]
    pub color: Colour,

    /// Where images and servers are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "ANDON_DATA_DIR",
        default_value_os_t = crate::realm::data_dir(),
        hide = true
    )]
    pub data_dir: PathBuf,

    /// The package mirror that bases of images are made from
    #[arg(long, global = true, value_name = "URL", env = "ANDON_DEBIAN_MIRROR", hide = true)]
    pub mirror: Option<String>,

    /// Where Debian's security updates come from; none where it is empty
    #[arg(long, global = true, value_name = "URL", env = "ANDON_DEBIAN_SECURITY_MIRROR", hide = true)]
    pub security_mirror: Option<String>,

    /// The package mirror of Ubuntu
    #[arg(long, global = true, value_name = "URL", env = "ANDON_UBUNTU_MIRROR", hide = true)]
    pub ubuntu_mirror: Option<String>,

    /// Whether anything may be asked; scripts say `-input=false`
    #[arg(long, global = true, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub input: Option<bool>,

    /// Whether a change holds its environment's lock: it always does
    #[arg(long, global = true, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub lock: Option<bool>,

    /// Warnings are short as they are; scripts that say so are understood
    #[arg(long, global = true, hide = true)]
    pub compact_warnings: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make a project that works, in a new directory
    New(NewArguments),
    /// Install the modules and the provider plugins that the project needs
    Init(InitArguments),
    /// Install the modules: as `init` does
    #[command(hide = true)]
    Get(GetArguments),
    /// Write definition files in the one true format
    Fmt(FmtArguments),
    /// Check definitions: syntax, types, references, what is written out, lints
    #[command(alias = "validate")]
    Check(CheckArguments),
    /// Run the tests of stacks, and those of roles and images on throw-away servers
    Test(TestArguments),
    /// Show everything that a change would do
    Plan(PlanArguments),
    /// Make the world as the definitions say, or do what a saved plan says: `andon apply FILE`
    Apply(ApplyArguments),
    /// Record how the world differs from the state: as `apply -refresh-only -auto-approve` does
    #[command(hide = true)]
    Refresh(ApplyArguments),
    /// Delete everything of an environment, or of some of its stacks
    Destroy(ApplyArguments),
    /// Bring an environment up on this machine's lab, ready to use
    Up(UpArguments),
    /// Take an environment down; nothing of it is left
    Down(DownArguments),
    /// Show what differs from the definitions, in the platform and inside servers; exit 2 where anything does
    Drift(DriftArguments),
    /// Put right what differs from the definitions
    Sync(ApplyArguments),
    /// Bake images of the project, and write or push them
    Bake(BakeArguments),
    /// Look at images, compare and verify them, and remove those that are not needed
    Image(ImageArguments),
    /// Converge servers with a role, now
    Run(RunArguments),
    /// Run one command on servers, now
    Exec(ExecArguments),
    /// Put back the files that a run of a role replaced or removed on this machine
    Undo(UndoArguments),
    /// Show what there is
    Status(StatusArguments),
    /// Open a shell in a server, or run a command in it
    Ssh(SshArguments),
    /// Stop servers of the lab and containers and start them again, with their addresses and files
    Restart(RestartArguments),
    /// Evaluate expressions
    Console(ConsoleArguments),
    /// Draw the project: stacks, modules, resources, images, roles, and what reads what
    Graph(GraphArguments),
    /// Write the reference of the project: inputs, outputs, roles, images, and a picture
    Docs(DocsArguments),
    /// Show published outputs
    Output(OutputArguments),
    /// Show what happened
    Logs(LogsArguments),
    /// Show what there is, or what a saved plan would do
    Show(ShowArguments),
    /// Look at what the state says, and change it
    State {
        /// What is done
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Have an object that is there already be known here
    Import(ImportArguments),
    /// Have the next apply replace an object
    Taint(TaintArguments),
    /// Have an object be kept that would be replaced
    Untaint(TaintArguments),
    /// List, make, select and delete environments, by Terraform's word for them
    Workspace {
        /// What is done
        #[command(subcommand)]
        command: WorkspaceCommand,
    },
    /// Show which providers the project needs, what they offer, and lock or mirror their packages
    Providers {
        /// What is done; without it, the providers that each module needs are shown
        #[command(subcommand)]
        command: Option<ProvidersCommand>,
    },
    /// On a server: converge once, or keep in sync with definitions from elsewhere
    Agent(AgentArguments),
    /// Make the checks of a role on servers, and change nothing
    CheckServer(CheckServerArguments),
    /// Show what this machine says of itself: what roles read as `fact`
    Facts(FactsArguments),
    /// Keep the project's secrets, sealed in files that are shared like any other
    Secret(SecretArguments),
    /// Encrypt the ledger with another key, or leave it clear
    Rekey(RekeyArguments),
    /// Take an environment's lock from a holder of which nothing is left
    ForceUnlock(ForceUnlockArguments),
    /// Print the version, and that of Terraform whose language is understood
    Version,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// The values for input variables that it is given, where it evaluates anything.
    pub fn variables(&self) -> Option<&VariableArguments> {
        match self {
            Command::Check(arguments) => Some(&arguments.variables),
            Command::Test(arguments) => Some(&arguments.variables),
            Command::Plan(arguments) => Some(&arguments.variables),
            Command::Apply(arguments)
            | Command::Refresh(arguments)
            | Command::Destroy(arguments)
            | Command::Sync(arguments) => Some(&arguments.go.variables),
            Command::Up(arguments) => Some(&arguments.go.variables),
            Command::Down(arguments) => Some(&arguments.go.variables),
            Command::Drift(arguments) => Some(&arguments.variables),
            Command::Console(arguments) => Some(&arguments.variables),
            Command::Import(arguments) => Some(&arguments.variables),
            _ => None,
        }
    }

    /// The name of the directories that tests of stacks are in.
    pub fn tests(&self) -> &str {
        match self {
            Command::Test(arguments) => &arguments.test_directory,
            _ => "tests",
        }
    }

    /// The stacks that it plans, all where none is named; `None` where it plans nothing.
    pub fn plans(&self) -> Option<&[String]> {
        match self {
            Command::Plan(arguments) => Some(&arguments.stacks.stacks),
            Command::Apply(arguments) | Command::Refresh(arguments) | Command::Sync(arguments) => {
                Some(&arguments.stacks.stacks)
            }
            Command::Drift(arguments) => Some(&arguments.stacks.stacks),
            Command::Up(_) => Some(&[]),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct NewArguments {
    /// The directory to make; its last part is the project's name
    pub path: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    /// Take what there is now: the newest allowed versions, and what branches and tags name today
    #[arg(short, long, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value_t = false, default_missing_value = "true", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub upgrade: bool,
    /// What becomes of the lock file of providers; `readonly` leaves it as it is
    #[arg(long, value_name = "MODE", value_parser = ["readonly"])]
    pub lockfile: Option<String>,
    /// Take provider plugins from DIR alone; may be given several times
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Vec<PathBuf>,
    /// Whether modules are fetched
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value_t = true, default_missing_value = "true", hide_possible_values = true, hide_default_value = true)]
    pub get: bool,
    /// A backend is set up by the first plan; scripts that want none are understood
    #[arg(long, value_name = "BOOL", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub backend: Option<bool>,
    /// There is no backend to set up; scripts that say how are understood
    #[arg(long, hide = true, value_name = "FILE|NAME=VALUE")]
    pub backend_config: Vec<String>,
    /// As `backend_config`
    #[arg(long, hide = true)]
    pub reconfigure: bool,
    /// As `backend_config`
    #[arg(long, hide = true)]
    pub migrate_state: bool,
    /// As `backend_config`
    #[arg(long, hide = true)]
    pub force_copy: bool,
    #[command(flatten)]
    pub lock: NoLockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct GetArguments {
    /// Take what there is now: the newest allowed versions
    #[arg(long)]
    pub update: bool,
}

/// Of what waits for nobody.
#[derive(Debug, Clone, Default, Args)]
pub struct NoLockArguments {
    /// Nothing is locked; scripts that say so are understood
    #[arg(long, hide = true, value_name = "TIME", value_parser = duration)]
    pub lock_timeout: Option<Duration>,
}

#[derive(Debug, Clone, Args)]
pub struct FmtArguments {
    /// Files or directories; `-` for standard input; the project where none is given
    ///
    /// Of a directory, only the files directly in it are written, unless it is a project: it has andon.hcl, stacks/ or
    /// roles/.
    pub paths: Vec<PathBuf>,
    /// Write nothing; exit 3 where a file is not in the format
    #[arg(long, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value_t = false, default_missing_value = "true", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub check: bool,
    /// Show what differs
    #[arg(long, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value_t = false, default_missing_value = "true", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub diff: bool,
    /// Go into every directory below
    #[arg(long, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value_t = false, default_missing_value = "true", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub recursive: bool,
    /// Whether to print the names of files that change
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set, hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub list: bool,
    /// Whether to write files
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set, hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub write: bool,
}

#[derive(Debug, Clone, Args)]
pub struct TestArguments {
    /// Only the tests whose names, or of stacks whose files, contain this
    pub filter: Option<String>,
    /// Only the tests in FILE; may be given several times
    #[arg(id = "files", long = "filter", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the tests of a stack are, from the stack's directory; `tests` without it
    #[arg(long, value_name = "DIR", default_value = "tests", hide_default_value = true)]
    pub test_directory: String,
    /// Show the plan of each run of a stack's test
    #[arg(long)]
    pub verbose: bool,
    /// Write the results of tests of stacks to FILE, too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit_xml: Option<PathBuf>,
    /// Leave the servers of failed tests for a look; the next `andon test` deletes them
    #[arg(long)]
    pub keep: bool,
    #[command(flatten)]
    pub variables: VariableArguments,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct RekeyArguments {
    /// The file with the new key: an age identity, or a passphrase
    #[arg(long, value_name = "FILE", required_unless_present = "clear", conflicts_with = "clear")]
    pub key_file: Option<PathBuf>,
    /// Encrypt it no more
    #[arg(long)]
    pub clear: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ProvidersCommand {
    /// Print what every provider offers, as Terraform does; with -json
    Schema,
    /// Have the lock file know the packages for other platforms, too
    Lock(LockPackagesArguments),
    /// Keep the packages in a directory that others can install from
    Mirror(MirrorArguments),
}

#[derive(Debug, Clone, Args)]
pub struct LockPackagesArguments {
    /// Only these providers: `hashicorp/aws`, `registry.example.net/team/cloud`
    #[arg(value_name = "PROVIDER")]
    pub providers: Vec<String>,
    /// A platform, such as linux_amd64; may be given several times; this machine's without it
    #[arg(long, value_name = "OS_ARCH")]
    pub platform: Vec<Platform>,
    /// Look in this directory of packages, not in the providers' registries
    #[arg(long, value_name = "DIR", conflicts_with = "net_mirror")]
    pub fs_mirror: Option<PathBuf>,
    /// Ask this network mirror, not the providers' registries
    #[arg(long, value_name = "URL")]
    pub net_mirror: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct MirrorArguments {
    /// The directory; packages that it has are left as they are
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
    /// A platform, such as linux_amd64; may be given several times; this machine's without it
    #[arg(long, value_name = "OS_ARCH")]
    pub platform: Vec<Platform>,
    /// Whether the lock file settles the versions
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value_t = true, default_missing_value = "true", hide_possible_values = true, hide_default_value = true)]
    pub lock_file: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ImportArguments {
    /// The resource instance that takes the object over; it must be defined
    pub address: String,
    /// What the object's provider calls it
    pub id: String,
    #[command(flatten)]
    pub variables: VariableArguments,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct StacksArguments {
    /// The stacks; all where none is given
    #[arg(value_name = "STACK")]
    pub stacks: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// A directory to check instead, or stacks of this project; all of it where none is given
    #[arg(value_name = "DIR|STACK")]
    pub targets: Vec<String>,
    #[command(flatten)]
    pub variables: VariableArguments,
}

#[derive(Debug, Clone, Args)]
pub struct DriftArguments {
    #[command(flatten)]
    pub stacks: StacksArguments,
    /// Show everything that was found so far: when it was first seen, and what put it right
    #[arg(long)]
    pub history: bool,
    #[command(flatten)]
    pub variables: VariableArguments,
}

#[derive(Debug, Clone, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub stacks: StacksArguments,
    #[command(flatten)]
    pub variables: VariableArguments,
    /// Plan to delete everything
    #[arg(long)]
    pub destroy: bool,
    /// Save the plan in a sealed file, for `andon apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write definitions of what is imported and not defined to FILE, a new one of the stack, and plan with them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["destroy", "refresh_only"])]
    pub generate_config_out: Option<PathBuf>,
    /// Exit 2 where there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Show every instance by itself and every value whole, rather than what is alike together
    #[arg(long)]
    pub full: bool,
    /// Show only how the world differs from the state, and what outputs become of that
    #[arg(long, conflicts_with = "destroy")]
    pub refresh_only: bool,
    #[command(flatten)]
    pub scope: ScopeArguments,
    /// Ask at most so many things at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = count)]
    pub parallelism: usize,
    #[command(flatten)]
    pub lock: NoLockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct ApplyArguments {
    #[command(flatten)]
    pub stacks: StacksArguments,
    /// Delete everything, as `andon destroy` does
    #[arg(long)]
    pub destroy: bool,
    /// Only record how the world differs from the state, and publish what outputs become of that
    #[arg(long, conflicts_with = "destroy")]
    pub refresh_only: bool,
    #[command(flatten)]
    pub go: GoArguments,
}

#[derive(Debug, Clone, Args)]
pub struct UpArguments {
    #[command(flatten)]
    pub go: GoArguments,
}

#[derive(Debug, Clone, Args)]
pub struct DownArguments {
    #[command(flatten)]
    pub go: GoArguments,
    /// Delete the project's images and ledger, too
    #[arg(long)]
    pub purge: bool,
}

#[derive(Debug, Clone, Args)]
pub struct GoArguments {
    #[command(flatten)]
    pub variables: VariableArguments,
    #[command(flatten)]
    pub scope: ScopeArguments,
    /// Do not ask; `-auto-approve` will do
    #[arg(short = 'y', long, visible_alias = "auto-approve")]
    pub yes: bool,
    /// Show every instance by itself and every value whole, rather than what is alike together
    #[arg(long)]
    pub full: bool,
    /// Approve changes to this protected environment
    #[arg(long, value_name = "ENV")]
    pub approve: Option<String>,
    /// Do at most so many things at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = count)]
    pub parallelism: usize,
    #[command(flatten)]
    pub lock: LockArguments,
}

#[derive(Debug, Clone, Args)]
pub struct LockArguments {
    /// Wait so long for another run to end: `0`, `30s`, `5m`; without it, as long as it takes on a terminal, not at
    /// all elsewhere
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub lock_timeout: Option<Duration>,
}

#[derive(Debug, Clone, Args)]
pub struct ForceUnlockArguments {
    /// The lock: as the message names it that says who holds it
    pub id: String,
    /// Do not ask
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub force: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Expressions are read from standard input where none is given. What is open goes on in the next line: a bracket, a heredoc.
On a terminal, Tab completes names, and lines are kept in andon/console_history below $XDG_STATE_HOME or ~/.local/state,
a file that only you may read. Which lines hold a secret is not known: one that begins with a space is not kept.

`type(EXPRESSION)` gives the type of an expression. Where any expression is wrong, the exit code is 1.")]
pub struct ConsoleArguments {
    #[command(flatten)]
    pub variables: VariableArguments,
    /// The stack whose names expressions may use; the only one where there is one
    #[arg(long)]
    pub stack: Option<String>,
    /// Make a plan, and use the values that it would leave
    #[arg(long)]
    pub plan: bool,
    /// Evaluate this and end; may be given several times
    #[arg(long, short = 'c', value_name = "EXPRESSION", allow_hyphen_values = true)]
    pub evaluate: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct DocsArguments {
    /// A directory of `*.tf` files to write of; the project without it
    #[arg(value_name = "MODULE")]
    pub module: Option<PathBuf>,
    /// Write only of this stack; may be given several times
    #[arg(long, value_name = "STACK")]
    pub stack: Vec<String>,
    /// How to write it
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = DocsFormat::Markdown)]
    pub format: DocsFormat,
    /// Write to FILE instead of standard output
    #[arg(long, short, value_name = "FILE", conflicts_with = "inject")]
    pub output: Option<PathBuf>,
    /// Write between the lines `<!-- andon docs begin -->` and `<!-- andon docs end -->` of a Markdown file
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub inject: Option<PathBuf>,
    /// Add those two lines at the end of the file where it has none
    #[arg(long, requires = "inject")]
    pub add_markers: bool,
    /// Write nothing; exit 3 where the file of --inject or --output is out of date
    #[arg(long)]
    pub check: bool,
    /// Write of the functions of the language instead
    #[arg(long, conflicts_with_all = ["module", "stack", "language"])]
    pub functions: bool,
    /// Write of the definition files of the language instead: their blocks and arguments
    #[arg(long, conflicts_with_all = ["module", "stack"])]
    pub language: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DocsFormat {
    /// As forges show it
    Markdown,
    /// One page that needs nothing else
    Html,
    /// Data
    Json,
}

#[derive(Debug, Clone, Args)]
pub struct GraphArguments {
    #[command(flatten)]
    pub stacks: StacksArguments,
    /// What to draw it as
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = Picture::Dot)]
    pub format: Picture,
    /// Write to FILE instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Draw one node for each of these
    #[arg(long, value_name = "WHAT", value_enum)]
    pub collapse: Option<CollapseBy>,
    /// Draw only this stack and what it reads; the same as naming it
    #[arg(long = "stack", value_name = "STACK")]
    pub only: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Picture {
    /// Graphviz' language
    Dot,
    /// Mermaid's language, as Markdown files have it
    Mermaid,
    /// A picture, ready to look at
    Svg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CollapseBy {
    /// All resources of a type in a module
    Types,
    /// All that a module call makes
    Modules,
    /// All of a stack
    Stacks,
}

#[derive(Debug, Clone, Args)]
pub struct OutputArguments {
    /// The stack, or the only output to print, as NAME or STACK.NAME
    pub name: Option<String>,
    /// Print the one output's text as it is
    #[arg(long)]
    pub raw: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
With --json, it is Terraform's format of plans (1.2) or of states (1.0), in which secrets stand as they are.")]
pub struct ShowArguments {
    /// A plan that `andon plan --out` saved, or a state file of Terraform's; what there is now without it
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only this stack; needed with --json where there are several
    #[arg(long, value_name = "STACK")]
    pub stack: Option<String>,
    #[command(flatten)]
    pub variables: VariableArguments,
}

#[derive(Debug, Clone, Args)]
pub struct LogsArguments {
    /// Go on with new events as they come
    #[arg(short, long)]
    pub follow: bool,
    /// At most the last so many events
    #[arg(short = 'n', long, default_value_t = 200)]
    pub last: u32,
    /// Only this run
    #[arg(long)]
    pub run: Option<String>,
    /// Runs instead of events
    #[arg(long)]
    pub runs: bool,
    /// What a server of the lab, or a container, wrote to its console, instead of events
    #[arg(long, value_name = "SERVER", conflicts_with_all = ["follow", "run", "runs"])]
    pub console: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct StatusArguments {
    /// Show what passed through each balancer of the lab, too, and how its targets are; with --json that is always there
    #[arg(long)]
    pub traffic: bool,
}

#[derive(Debug, Clone, Args)]
pub struct RestartArguments {
    /// The servers: names, or terms as `--on` of `exec` has them
    #[arg(required = true)]
    pub servers: Vec<String>,
    #[command(flatten)]
    pub lock: LockArguments,
}

/// Reads a number of things that are done at once.
fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{text}` is no number of things; write a whole number from 1 up")),
    }
}

/// Reads `30s`, `5m`, `1h`, `30d`, `250ms` or seconds without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time; write one like `30s` or `5m`"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        "d" => Ok(Duration::from_secs(number.saturating_mul(86_400))),
        _ => Err(format!("`{text}` is no time; its unit is one of ms, s, m, h and d")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        for (text, expected) in
            [("0", 0), ("30s", 30_000), ("5m", 300_000), ("250ms", 250), ("1h", 3_600_000), ("5d", 432_000_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for text in ["", "s", "5y", "-1", "1.5s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
