//! The syntax tree. Every node carries the span of its text.

use std::fmt;
use std::sync::Arc;

use andon_text::{Span, deeper};

/// A body: the content of a file or of a block, in the order written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Body {
    /// `name = value` lines and blocks, in the order written; shared, so that a body is cheap to clone.
    pub items: Arc<Vec<Item>>,
    /// Everything between the braces, or the whole file; `None` for a body that no file holds.
    pub span: Option<Span>,
}

/// One item of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `name = value`
    Attribute(Attribute),
    /// `kind "label" { … }`
    Block(Block),
}

/// `name = value`
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// The name.
    pub name: Ident,
    /// The value.
    pub value: Expr,
    /// From the name to the end of the value.
    pub span: Span,
    /// The JSON that it was read from, where it is not known yet whether its name is an argument's or a block's:
    /// [`crate::json::resolve`] reads it again.
    pub json: Option<crate::json::Value>,
}

/// `kind "label" { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The word that it begins with.
    pub kind: Ident,
    /// Labels, quoted or bare.
    pub labels: Vec<Ident>,
    /// For each label, its template where it holds interpolations or directives; such a label's name is its text as
    /// written. Empty where no label holds any. Terraform's own blocks never may: who reads one says so.
    pub label_templates: Vec<Option<Template>>,
    /// What is between the braces.
    pub body: Body,
    /// From the kind to the closing brace.
    pub span: Span,
    /// From the kind to the last label: what to point at.
    pub head: Span,
}

/// A name, or a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Ident {
    /// The name; of a quoted label, its text after escapes.
    pub name: Arc<str>,
    /// Where it is, quotes included.
    pub span: Span,
}

/// An expression. However tall its tree is, it can be cloned, compared, shown and dropped on any stack.
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// All of its text.
    pub span: Span,
}

impl Drop for Expr {
    fn drop(&mut self) {
        if !self.is_leaf() {
            let kind = std::mem::replace(&mut self.kind, ExprKind::Invalid);
            deeper(|| drop(kind));
        }
    }
}

impl Clone for Expr {
    fn clone(&self) -> Expr {
        Expr { kind: deeper(|| self.kind.clone()), span: self.span }
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.span == other.span && deeper(|| self.kind == other.kind)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        deeper(|| out.debug_struct("Expr").field("kind", &self.kind).field("span", &self.span).finish())
    }
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `null`, `true`, `false` or a number. Numbers keep their text, as precision is the evaluator's business.
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The digits as written.
    Number(Arc<str>),
    /// `"…"` or a heredoc, after escapes and indentation are taken out.
    Template(Template),
    /// `name`: the root of a reference.
    Variable(Arc<str>),
    /// `target.name`, or the legacy `target.0` with digits as its name.
    Attribute {
        /// What it is read from.
        target: Box<Expr>,
        /// The name, or digits.
        name: Ident,
    },
    /// `target[key]`
    Index {
        /// What it is read from.
        target: Box<Expr>,
        /// The key.
        key: Box<Expr>,
    },
    /// `target.*` or `target[*]`. `each` is what follows, applied to each element, with
    /// [`ExprKind::SplatElement`] standing for the element.
    Splat {
        /// What it goes over.
        target: Box<Expr>,
        /// What is done with each element.
        each: Box<Expr>,
        /// `[*]`, which takes indexes too, rather than `.*`.
        full: bool,
    },
    /// The element that the innermost splat is at.
    SplatElement,
    /// `name(argument, …)`
    Call {
        /// The name; parts of `provider::name::function` are joined by `::`.
        name: Ident,
        /// The arguments.
        arguments: Vec<Expr>,
        /// `...` after the last argument: it is spread.
        expand_last: bool,
    },
    /// `[a, b]`
    Tuple(Vec<Expr>),
    /// `{ key = value }`
    Object(Vec<ObjectItem>),
    /// `[for …]` or `{for …}`
    For(Box<ForExpr>),
    /// `operator operand`
    Unary {
        /// The operator.
        operator: UnaryOperator,
        /// What it applies to.
        operand: Box<Expr>,
    },
    /// `left operator right`
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// Where the operator is written.
        operator_span: Span,
        /// Left.
        left: Box<Expr>,
        /// Right.
        right: Box<Expr>,
    },
    /// `condition ? yes : no`
    Conditional {
        /// The condition.
        condition: Box<Expr>,
        /// Where it is true.
        yes: Box<Expr>,
        /// Where it is false.
        no: Box<Expr>,
    },
    /// `(inner)`
    Parentheses(Box<Expr>),
    /// Text that could not be understood; a diagnostic says why. Evaluating it gives an unknown value and no
    /// further complaint.
    Invalid,
}

/// One `key = value` of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectItem {
    /// The key. A bare name ([`ExprKind::Variable`] that is not in parentheses) is the name itself.
    pub key: Expr,
    /// The value.
    pub value: Expr,
}

/// `[for key, value in collection : result if condition]` and its object form.
#[derive(Debug, Clone, PartialEq)]
pub struct ForExpr {
    /// The name of the key or index, where two names are given.
    pub key_name: Option<Ident>,
    /// The name of the value.
    pub value_name: Ident,
    /// What it goes over.
    pub collection: Expr,
    /// The key of each result, for the object form.
    pub key: Option<Expr>,
    /// Each result.
    pub value: Expr,
    /// `if …`
    pub condition: Option<Expr>,
    /// `...` after the value: results are grouped by key.
    pub group: bool,
}

/// A template: text with holes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    /// The parts in order. One lone interpolation is not text: it passes its value through. Where strip markers took
    /// away all the text around it, an empty literal follows it.
    pub parts: Vec<TemplatePart>,
    /// Whether it was written as a heredoc.
    pub heredoc: bool,
}

/// A part of a template. Strip markers (`~`) have been applied to the neighbouring literals.
#[derive(Debug, Clone, PartialEq)]
pub enum TemplatePart {
    /// Text, after escapes.
    Literal(Arc<str>, Span),
    /// `${ value }`
    Interpolation(Expr),
    /// `%{ if condition }yes%{ else }no%{ endif }`
    If {
        /// The condition.
        condition: Box<Expr>,
        /// Where it is true.
        yes: Vec<TemplatePart>,
        /// Where it is false.
        no: Vec<TemplatePart>,
        /// The whole.
        span: Span,
    },
    /// `%{ for key, value in collection }body%{ endfor }`
    For {
        /// The name of the key or index, where two names are given.
        key_name: Option<Ident>,
        /// The name of the value.
        value_name: Ident,
        /// What it goes over.
        collection: Box<Expr>,
        /// What is repeated.
        body: Vec<TemplatePart>,
        /// The whole.
        span: Span,
    },
}

/// An operator before its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `-`
    Negate,
    /// `!`
    Not,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
}

impl Expr {
    /// Whether no other expression is in it.
    fn is_leaf(&self) -> bool {
        let mut leaf = true;
        self.for_each_part(&mut |_| leaf = false);
        leaf
    }
}

impl Body {
    /// The attributes, in order.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.items.iter().filter_map(|item| match item {
            Item::Attribute(attribute) => Some(attribute),
            Item::Block(_) => None,
        })
    }

    /// The first attribute of a name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes().find(|attribute| &*attribute.name.name == name)
    }

    /// The blocks, in order.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.items.iter().filter_map(|item| match item {
            Item::Block(block) => Some(block),
            Item::Attribute(_) => None,
        })
    }
}
