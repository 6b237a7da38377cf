//! What goes on for a while, as steps: state and event in, state and commands out.
//!
//! A [`Pool`] is a number of alike servers that are made, replaced and taken away. It knows neither servers nor
//! balancers, no clock and no disk: whoever drives it looks, tells what was seen, writes the state down, and does what
//! it is told. A driver that ends at any moment is followed by one that reads the state and goes on:
//!
//! 1. look, and give a [`Pool::tick`] what was seen;
//! 2. write the state down; only then do the commands;
//! 3. tell what came of each ([`Pool::done`]); begin again, until the command is to finish.

mod gate;
mod pool;
mod stored;

pub use gate::Seen;
pub use pool::{Command, Done, End, Goal, Member, Pool, Stage, Strategy, Unwell};
