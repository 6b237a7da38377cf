//! The `andon` program.
fn main() {}
