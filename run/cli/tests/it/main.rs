//! Tests of the whole: of the house itself, and of the real binary.

mod edges;
mod tidy;
