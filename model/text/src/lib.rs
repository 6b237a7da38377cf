//! Source files, spans and diagnostics, as data.
//!
//! What this crate is not: it reads no file and prints nothing. A shell adds the text of each file to a
//! [`SourceMap`]; every later ring points into it with [`Span`]s; `view` renders a [`Diagnostic`].

mod diagnostic;
mod hidden;
mod nearest;
mod source;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use hidden::Shown;
pub use nearest::nearest;
pub use source::{Position, Source, SourceId, SourceMap, Span};
