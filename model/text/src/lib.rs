//! Source files, spans and diagnostics, as data; and room on the stack for what nests.
//!
//! What this crate is not: it reads no file and prints nothing. A shell adds the text of each file to a
//! [`SourceMap`]; every later ring points into it with [`Span`]s; `view` renders a [`Diagnostic`].

mod diagnostic;
mod hidden;
mod nearest;
mod source;
mod stack;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use hidden::Shown;
pub use nearest::nearest;
pub use source::{Position, Source, SourceId, SourceMap, Span};
pub use stack::deeper;
