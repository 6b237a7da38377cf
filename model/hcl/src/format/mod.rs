//! The canonical layout of a file: what `terraform fmt` makes of it, byte for byte.
//!
//! It changes blanks between tokens, and three kinds of old writing: bare labels of blocks, `"${value}"` around a
//! whole value, and quoted types of variables. It never joins or breaks lines. Lines are split into cells (what leads,
//! from `=` on, the comment), and cells of neighbouring lines are set in columns.

mod layout;
mod rewrite;

use std::borrow::Cow;

use andon_text::{Diagnostics, SourceId, SourceMap};

use crate::ast::Body;
use crate::dialect::beyond_terraform;
use crate::lexer::{self, Lexed};
use crate::parser::parse_body;
use crate::token::Kind;

/// A token of the text to be.
#[derive(Debug, Clone)]
struct Piece<'a> {
    kind: Kind,
    text: Cow<'a, str>,
    /// Blanks before it.
    spaces: usize,
}

/// Lays a file out. A file with syntax errors comes back as it is.
///
/// Laying out what is laid out changes nothing, with one exception: of `"${"${value}"}"` each call takes one layer away.
pub fn format(text: &str) -> String {
    format_source(SourceMap::new().add("", ""), text).unwrap_or_else(|_| text.to_owned())
}

/// As [`format`]; gives the syntax errors, with their places in `source`, of a file that has any.
pub fn format_source(source: SourceId, text: &str) -> Result<String, Diagnostics> {
    let (body, diagnostics) = parse_body(source, text);
    lay_out(text, &body, diagnostics)
}

/// As [`format_source`], for a file of Terraform's: what Terraform refuses in one is an error.
pub fn format_terraform(source: SourceId, text: &str) -> Result<String, Diagnostics> {
    let (body, mut diagnostics) = parse_body(source, text);
    if !diagnostics.has_errors() {
        diagnostics.extend(beyond_terraform(&body, text));
    }
    lay_out(text, &body, diagnostics)
}

fn lay_out(text: &str, body: &Body, diagnostics: Diagnostics) -> Result<String, Diagnostics> {
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let Lexed { tokens, .. } = lexer::lex(text);
    let mut pieces = rewrite::pieces(text, &tokens, body);
    // Blanks before the end stay as they are.
    let end = pieces.pop().map_or(0, |end| end.spaces);
    layout::lay_out(&mut pieces);
    let mut result = String::with_capacity(text.len() + text.len() / 8);
    for piece in pieces {
        result.extend(std::iter::repeat_n(' ', piece.spaces));
        result.push_str(&piece.text);
    }
    result.extend(std::iter::repeat_n(' ', end));
    Ok(result)
}
