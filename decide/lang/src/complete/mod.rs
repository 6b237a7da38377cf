//! Help with an expression while it is typed: whether more must come, what a name may become, and what the function
//! that is being called takes.

mod names;
mod scan;

use crate::functions::{Function, function};
use scan::{Open, scan};

pub use names::{Candidate, Completion, complete};

/// Whether a text is the beginning of an expression, and more lines must come: something is open that only a later
/// line can close. A heredoc counts until its mark has come on a line of its own.
pub fn is_incomplete(text: &str) -> bool {
    let scan = scan(text);
    !scan.broken && !matches!(scan.open.last(), None | Some(Open::Quote))
}

/// Whether a text ends inside a heredoc, where every line counts, an empty one too.
pub fn is_in_heredoc(text: &str) -> bool {
    scan(text).open.iter().any(|open| matches!(open, Open::Heredoc(_)))
}

/// The function whose arguments are being typed at the end of a text, and which argument it is, from 0.
pub fn called(text: &str) -> Option<(&'static Function, usize)> {
    let scan = scan(text);
    let open = scan.open.iter().rev().find_map(|open| match open {
        Open::Parenthesis { function: Some(name), commas } => Some((name, *commas)),
        _ => None,
    });
    let (name, argument) = open?;
    function(name.strip_prefix("core::").unwrap_or(name)).map(|function| (function, argument))
}
