//! The native syntax of HCL (<https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md>): a lexer, a parser that
//! recovers, a syntax tree with a span on every node, and the formatter; and HCL's JSON form.
//!
//! Parsing never fails: it gives a tree of all that could be understood, and every syntax error.

pub mod ast;
mod format;
pub mod json;
mod lexer;
mod parser;
mod token;
mod walk;

pub use format::{format, format_source};
pub use parser::{NESTING_LIMIT, parse_body, parse_expression, parse_template};
pub use walk::{Reference, Step};
