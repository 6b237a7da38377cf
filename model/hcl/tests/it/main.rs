//! Tests of the parser and the formatter as others use them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod dump;
mod expressions;
mod format;
mod generate;
mod json;
mod limits;
mod mistakes;
mod print;
mod printer;
mod properties;
mod recovery;
mod references;
mod templates;
mod terraform;
mod validity;
