//! Room on the stack for what goes down into trees.
//!
//! How deep constructs nest has a limit, but chains (`a + b + …`, `a ? b : c ? d : …`, `a.b.c…`) lean to one side of
//! the tree and have none, and what is dropped, compared or shown goes down by itself. So whatever calls itself for a
//! part of a tree does it through [`deeper`], and takes no more of a thread's own stack than it has.

/// How much of the stack is kept for what a step down needs by itself. In a debug build that is much.
const KEPT: usize = 256 * 1024;
/// How much is added where less than that is left.
const ADDED: usize = 2 * 1024 * 1024;

/// Does `work`, on a new piece of stack where little is left of the one at hand.
pub fn deeper<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(KEPT, ADDED, work)
}
