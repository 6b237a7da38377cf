//! Planning and applying: desired × prior × answers → plan; plan × outcomes → next commands.
//!
//! A project's selected stacks are one graph: root modules, modules, instances, data and outputs. Evaluation is per
//! instance, on demand and memoised; dependencies are the references that it really followed (invariant 5).
//! Neither [`Planner`] nor [`Applier`] asks the world anything (invariant 2): they hand out questions and commands,
//! take answers and outcomes in any order, and end in a [`Plan`] or an [`ApplyReport`].
//!
//! What this crate does not know: providers, hosts, the ledger's storage, the clock, and where randomness is from.

mod apply;
mod compare;
mod complaints;
mod conclude;
mod drifted;
pub mod duties;
mod evaluation;
mod exclusive;
mod feeds;
mod graph;
mod history;
mod input;
mod messages;
mod mock;
mod order;
mod plan;
mod planner;
mod prior;
mod records;
mod removal;
mod scope;
mod scoped;
mod stack;
mod triggers;

pub use apply::{
    Applied, Applier, ApplyReport, ApplyStep, CommandId, Failed, SkipReason, Skipped, Unneeded, Waiting, Work,
};
pub use complaints::unresolved;
pub use conclude::storable;
pub use drifted::{FilesOfServers, drifted, drifted_files};
pub use evaluation::{Evaluation, EvaluationStep};
pub use history::{
    Closure, HandError, StateAddress, TakeOverError, moved_by_hand, state_file, state_of_file, taken_over,
};
pub use input::{PlanInput, PlanMode};
pub use mock::{mock_import, mock_object, mock_plan};
pub use plan::{
    Adoption, DeferReason, Deferred, Depends, Drift, Note, Plan, PlannedAction, PlannedChange, PlannedOutput, Reason,
    Repetition, ReplaceOrder, ReplaceReason, Step, StepKind, Undefined,
};
pub use planner::{PlanStep, Planner, QuestionId};
pub use prior::prior_state;
pub use scope::Scope;
pub use stack::{STACK_DATA, VALUE, stack_schema};
