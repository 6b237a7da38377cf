//! Planning and applying, in a world that is a function.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may stop")]
#![allow(clippy::disallowed_methods, reason = "the cases are files")]

mod cases;
mod duties;
mod mocks;
mod oracle;
mod records;
mod scope;
mod world;
