//! The checker and the planner against each other, in a world that is a function.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may stop")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "what is measured is time, and how much is asked for"
)]

mod generated;
mod mutated;
mod size;
#[path = "../../../plan/tests/it/world.rs"]
mod world;
