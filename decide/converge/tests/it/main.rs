//! Converges of a simulated server: catalogs and sights in, acts and reports out.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may stop")]

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
