//! The loop: takes decisions, calls drivers, appends events. The only crate that sees both sides.
//!
//! A run asks [`andon_plan`] what it must know, hands the questions to a [`World`], and gives the answers back until
//! there is a plan; an apply does the same with commands and outcomes, and appends an intent to the [`Journal`]
//! before each effect and its outcome after it. Everything that reaches the world goes through those two traits, so
//! that the same engine runs over a simulated world in tests.

pub mod adopt;
pub mod agent;
mod apply;
pub mod baking;
mod change;
mod check;
pub mod connection;
pub mod errand;
mod gated;
pub mod hosts;
pub mod init;
mod journal;
mod lock_file;
mod locks;
mod machine;
mod many;
pub mod phoenix;
mod planning;
mod plugins;
pub mod project;
pub mod provider;
mod recover;
pub mod roles;
pub mod saved;
mod session;
mod stack_tests;
pub mod testing;
pub mod undo;
pub mod upkeep;
pub mod workspaces;
mod world;

pub use apply::{WaitingView, apply};
pub use change::{ChangeError, ChangeRequest, Changed, change, judge, plan_input};
pub use check::check;
pub use gated::Gated;
pub use journal::{Journal, JournalError, Sink};
pub use locks::{Locks, Verifier};
pub use machine::{Machine, Providers};
pub use many::{Doing, Happening, on_many};
pub use planning::{evaluate, plan};
pub use plugins::{Plugins, REATTACH_VARIABLE, Requirements, built_in_used, kept_providers, named};
pub use recover::{RecoverError, Recovered, presumed, recover};
pub use saved::SavedPlan;
pub use session::{OpenError, Recorder, Session, Settings, now, random, records, who};
pub use stack_tests::{Bench, FileReport, RunReport, TestEvent, TestStatus, run_tests};
pub use world::{Completion, Found, Job, Ticket, World};
