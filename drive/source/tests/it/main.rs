//! Packages from servers, registries and repositories of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once"
)]

mod archives;
mod git;
mod server;
mod web;
