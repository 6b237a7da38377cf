//! Tests of the whole: of the house itself, and of the real binary.

#[macro_use]
mod support;

mod days;
mod edges;
mod tidy;
