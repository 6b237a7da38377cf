//! Many servers at once: what came of each, and which of them are alike. Pure decisions over names and reports; how a
//! server is reached is not known here.

mod outcome;

pub use outcome::{Group, Outcome, Standing, Tally, group, tally};
