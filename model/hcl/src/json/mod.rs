//! HCL's JSON form (<https://github.com/hashicorp/hcl/blob/main/json/spec.md>): a recovering JSON parser, and the two
//! steps that make of JSON the same tree as the native syntax gives.
//!
//! JSON alone does not tell a block from an argument, nor a reference from a text: that depends on what is expected.
//! So [`parse`] gives a [`Value`], and [`Value::to_body`] reads it by the [`Names`] that may be in it. What is open at
//! that time (the body of a resource, whose schema is known only later) stays an argument that remembers its JSON;
//! [`resolve`] reads it again when its names are known. After that nobody needs to know that a body was JSON.

mod interpret;
mod parser;
mod text;

use std::sync::Arc;

use andon_text::Span;

pub use interpret::resolve;
pub use parser::parse;

/// A JSON value with its place. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    content: Content,
    span: Span,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Null,
    Bool(bool),
    /// As written.
    Number(Arc<str>),
    String(Text),
    Array(Arc<Vec<Value>>),
    Object(Arc<Vec<Property>>),
    /// Text that could not be understood; a diagnostic says why.
    Invalid,
}

#[derive(Debug, Clone, PartialEq)]
struct Property {
    name: Text,
    value: Value,
}

/// A JSON string.
#[derive(Debug, Clone, PartialEq)]
struct Text {
    /// After escapes.
    text: Arc<str>,
    /// Where it is, quotes included.
    span: Span,
    /// Where places of the text are written, where it has escapes; else each byte is as written.
    places: Option<Arc<text::Places>>,
}

/// What a name in a body or an object means.
#[derive(Clone, Copy)]
pub enum Meaning<'a> {
    /// An argument.
    Argument(Strings),
    /// An argument whose value is an object, with names in it that have meanings of their own.
    Fields(&'a dyn Names),
    /// Blocks with so many labels.
    Block {
        /// How many names follow the kind.
        labels: usize,
        /// What is in them.
        inside: &'a dyn Names,
    },
    /// Not known yet. It is read as an argument with templates, until [`resolve`] is told.
    Open,
}

/// What the names in a body mean.
pub trait Names: Sync {
    /// What this name means; [`Meaning::Argument`] where there is no such name, so that whoever judges names finds it.
    fn meaning(&self, name: &str) -> Meaning<'_>;
}

/// What the strings of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strings {
    /// Templates, as most are. A whole `${…}` is its value.
    Template,
    /// Text as it is, where Terraform evaluates nothing: descriptions, versions, sources, variables' values.
    Text,
    /// Expressions, where Terraform wants a reference, a keyword or a type: `depends_on`, `provider`, `type`.
    Expression,
}

/// Every name is an argument with such strings. The names of a file of variables' values are [`Strings::Text`].
impl Names for Strings {
    fn meaning(&self, _: &str) -> Meaning<'_> {
        Meaning::Argument(*self)
    }
}

/// No name is known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

impl Names for Unknown {
    fn meaning(&self, _: &str) -> Meaning<'_> {
        Meaning::Open
    }
}

impl Value {
    /// Its place.
    pub fn span(&self) -> Span {
        self.span
    }
}
