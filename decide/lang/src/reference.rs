//! What an expression refers to, found in its syntax alone.

use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind, Template, TemplatePart};
use andon_text::{Span, deeper};
use andon_value::Number;

use crate::literal;

/// A reference as it is written: what static checks look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference<'a> {
    /// The root name.
    pub root: &'a Arc<str>,
    /// Where the root name is.
    pub root_span: Span,
    /// What follows, up to the first splat.
    pub steps: Vec<StaticStep<'a>>,
    /// The whole, as far as `steps` go.
    pub span: Span,
}

/// One step of a [`Reference`].
#[derive(Debug, Clone, PartialEq)]
pub enum StaticStep<'a> {
    /// `.name`
    Attribute(&'a Arc<str>, Span),
    /// `[0]`, or the legacy `.0`
    Number(Number, Span),
    /// `["key"]`
    Key(Arc<str>, Span),
    /// An index that is computed.
    Computed(Span),
}

/// Every reference in an expression that leaves it: not to the variables of its own `for` expressions. Those inside
/// index keys are included.
pub fn static_traversals(expr: &Expr) -> Vec<Reference<'_>> {
    let mut walk = Walk { bound: Vec::new(), found: Vec::new() };
    walk.expr(expr);
    walk.found
}

/// The reference that an expression is, where it is one and nothing else.
pub(crate) fn as_reference(expr: &Expr) -> Option<Reference<'_>> {
    deeper(|| reference_here(expr))
}

fn reference_here(expr: &Expr) -> Option<Reference<'_>> {
    match &expr.kind {
        ExprKind::Variable(root) => Some(Reference { root, root_span: expr.span, steps: Vec::new(), span: expr.span }),
        ExprKind::Attribute { target, name } => {
            let mut reference = as_reference(target)?;
            let digits = name.name.bytes().all(|byte| byte.is_ascii_digit());
            reference.steps.push(match Number::parse(&name.name) {
                Some(number) if digits => StaticStep::Number(number, name.span),
                _ => StaticStep::Attribute(&name.name, name.span),
            });
            reference.span = reference.root_span.to(name.span);
            Some(reference)
        }
        ExprKind::Index { target, key } => {
            let mut reference = as_reference(target)?;
            reference.steps.push(match (&key.kind, literal::string(key)) {
                (_, Some(text)) => StaticStep::Key(text, key.span),
                (ExprKind::Number(digits), _) => match Number::parse(digits) {
                    Some(number) => StaticStep::Number(number, key.span),
                    None => StaticStep::Computed(key.span),
                },
                _ => StaticStep::Computed(key.span),
            });
            reference.span = expr.span;
            Some(reference)
        }
        _ => None,
    }
}

/// The name at a place after the root of a reference.
pub(crate) fn name_at<'r>(reference: &'r Reference<'_>, at: usize) -> Option<(&'r str, Span)> {
    match reference.steps.get(at)? {
        StaticStep::Attribute(name, span) => Some((name, *span)),
        StaticStep::Key(name, span) => Some((name, *span)),
        _ => None,
    }
}

struct Walk<'a> {
    bound: Vec<&'a str>,
    found: Vec<Reference<'a>>,
}

impl<'a> Walk<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        deeper(|| self.within(expr));
    }

    fn within(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Null | ExprKind::Bool(_) | ExprKind::Number(_) | ExprKind::SplatElement | ExprKind::Invalid => {}
            ExprKind::Variable(_) | ExprKind::Attribute { .. } | ExprKind::Index { .. } => self.traversal(expr),
            ExprKind::Template(Template { parts, .. }) => self.parts(parts),
            ExprKind::Splat { target, each, .. } => self.all([&**target, &**each]),
            ExprKind::Call { arguments, .. } => self.all(arguments),
            ExprKind::Tuple(elements) => self.all(elements),
            ExprKind::Object(items) => {
                for item in items {
                    // A bare name is the key itself.
                    if !matches!(item.key.kind, ExprKind::Variable(_)) {
                        self.expr(&item.key);
                    }
                    self.expr(&item.value);
                }
            }
            ExprKind::For(each) => {
                self.expr(&each.collection);
                let depth = self.bound.len();
                self.bound.extend(each.key_name.iter().chain([&each.value_name]).map(|name| &*name.name));
                self.all(each.key.iter().chain([&each.value]).chain(&each.condition));
                self.bound.truncate(depth);
            }
            ExprKind::Unary { operand, .. } => self.expr(operand),
            ExprKind::Binary { left, right, .. } => self.all([&**left, &**right]),
            ExprKind::Conditional { condition, yes, no } => self.all([&**condition, &**yes, &**no]),
            ExprKind::Parentheses(inner) => self.expr(inner),
        }
    }

    fn all(&mut self, all: impl IntoIterator<Item = &'a Expr>) {
        all.into_iter().for_each(|expr| self.expr(expr));
    }

    fn traversal(&mut self, expr: &'a Expr) {
        let (mut root, mut keys) = (expr, Vec::new());
        loop {
            match &root.kind {
                ExprKind::Attribute { target, .. } => root = target,
                ExprKind::Index { target, key } => {
                    keys.push(&**key);
                    root = target;
                }
                _ => break,
            }
        }
        match as_reference(expr) {
            Some(reference) => {
                if !self.bound.contains(&&**reference.root) {
                    self.found.push(reference);
                }
            }
            None => self.expr(root),
        }
        self.all(keys.into_iter().rev());
    }

    fn parts(&mut self, parts: &'a [TemplatePart]) {
        for part in parts {
            match part {
                TemplatePart::Literal(..) => {}
                TemplatePart::Interpolation(expr) => self.expr(expr),
                TemplatePart::If { condition, yes, no, .. } => {
                    self.expr(condition);
                    self.parts(yes);
                    self.parts(no);
                }
                TemplatePart::For { key_name, value_name, collection, body, .. } => {
                    self.expr(collection);
                    let depth = self.bound.len();
                    self.bound.extend(key_name.iter().chain([value_name]).map(|name| &*name.name));
                    self.parts(body);
                    self.bound.truncate(depth);
                }
            }
        }
    }
}
