//! Messages as they are on the wire, generated from `proto/`. Nothing outside this crate sees them.

#![allow(missing_docs, reason = "generated code")]

#[rustfmt::skip]
pub mod cache;
#[rustfmt::skip]
pub mod plugin;
#[rustfmt::skip]
pub mod schema5;
#[rustfmt::skip]
pub mod schema6;
