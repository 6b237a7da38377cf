//! Gets a piece of work to where it must run: into a running server, into a root file system that is not booted, or
//! onto this machine.
//!
//! The work itself is no part of this crate: it is a function of the caller's own program. [`run_agent`] starts that
//! program again as a fresh process of one thread, the *helper*, which enters the target's namespaces and then calls
//! the function, already loaded, through [`agent_main`]. Nothing is executed inside the target to begin with, so the
//! target needs neither this program nor its C library.
//!
//! However the caller ends, the helper and everything that it started ends:
//!
//! ```text
//! caller ── helper ─────────── supervisor ───────── agent ── apt, systemctl …
//!           is told when       in the target; a     dies with
//!           the caller ends,   pipe tells it of     the supervisor
//!           waits for the      the helper's end;
//!           supervisor         kills all below
//! ```
//!
//! This crate does not know what a role or a catalog is, and it never waits for a server to become reachable.

mod agent;
mod call;
mod cgroup;
mod descend;
mod error;
mod frame;
mod process;
mod root;
mod server;
mod target;
mod terminal;

pub use agent::{AGENT_ARGUMENT, agent_main};
pub use call::{exec, run_agent};
pub use error::ReachError;
pub use target::{Target, start_time};
