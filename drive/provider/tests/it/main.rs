//! The client of provider plugins against plugins of its own making, and against real ones where there are any.

mod aws;
mod generated;
