//! The client of provider plugins against plugins of its own making, and against real ones where there are any.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once"
)]

mod aws;
mod calls;
mod codec;
mod find;
mod generated;
mod moto;
mod pool;
mod toy;
