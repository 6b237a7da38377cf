//! Converges of a simulated server: catalogs and sights in, acts and reports out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the cases are files, and one that fails is named"
)]

mod cases;
mod catalog;
mod checks;
mod data;
mod failures;
mod host;
mod notices;
mod packages;
mod property;
mod schemas;
