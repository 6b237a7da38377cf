//! The ledger's nouns: entries, events, and the state that they fold into.
//!
//! The ledger is the only truth (invariant 4). An apply appends an [`Event::Intent`] before each effect and an
//! [`Event::Outcome`] after it. What is stored is written on purpose: see [`codec`].

pub mod codec;
mod event;
mod state;
pub mod state_file;

pub use event::{
    Action, Difference, Entry, Event, Intent, OutcomeRecord, Progress, ReadData, Result, RunId, RunStatus, Timestamp,
};
pub use state::{EnvironmentState, Fault, FileOrigin, InstanceState, Outputs, State};
