//! The native syntax of HCL (<https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md>): a lexer, a parser that
//! recovers, a syntax tree with a span on every node, and the formatter; and HCL's JSON form.
//!
//! Parsing never fails: it gives a tree of all that could be understood, and every syntax error.

pub mod ast;
mod dialect;
mod format;
pub mod json;
mod lexer;
mod parser;
mod token;
mod walk;

pub use dialect::beyond_terraform;
pub use format::{format, format_source, format_terraform};
pub use parser::{CHAIN_LIMIT, NESTING_LIMIT, parse_body, parse_expression, parse_template};
pub use walk::{Reference, Step};

/// The places of all tokens of a text, for the fuzz target that holds the lexer to what [`token`] says of them.
#[cfg(feature = "fuzzing")]
pub fn tokens(text: &str) -> Vec<std::ops::Range<usize>> {
    let places = |lexed: lexer::Lexed| lexed.tokens.into_iter().map(|token| token.start as usize..token.end as usize);
    places(lexer::lex(text)).collect()
}
