//! Folds of the ledger: entries in, views out.
//!
//! [`apply`] makes the state and refuses an order of events that cannot have happened; [`runs`] makes the history of
//! runs, [`drifts`] that of what was other than defined; [`with_faults`] tells which events make or end a fault. Nothing
//! here reads a file or a clock: entries come in as arguments, and the same entries always give the same view.

mod drifts;
mod faults;
mod history;
mod replay;

pub use drifts::{DriftView, Righting, drifts};
pub use faults::with_faults;
pub use history::{Counts, RunView, StepView, runs};
pub use replay::{Illegal, ReplayError, apply, check, fold, legal, legal_in_order};
