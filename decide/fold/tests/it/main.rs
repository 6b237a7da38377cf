//! The rules of replay, case by case, and what holds of any order of entries.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once, and so may what helps it"
)]

mod drifts;
mod faults;
mod history;
mod properties;
mod rules;
mod story;
