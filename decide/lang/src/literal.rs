//! What an expression says without being evaluated.

use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind, TemplatePart};
use andon_text::{Span, deeper};

/// The text of a string that is written out, without holes.
pub fn string(expr: &Expr) -> Option<Arc<str>> {
    let ExprKind::Template(template) = &expr.kind else { return None };
    let mut text = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Literal(literal, _) => text.push_str(literal),
            _ => return None,
        }
    }
    Some(text.into())
}

/// Where an expression first calls a function.
pub(crate) fn first_call(expr: &Expr) -> Option<Span> {
    deeper(|| first_call_in(expr))
}

fn first_call_in(expr: &Expr) -> Option<Span> {
    let first = |all: &[&Expr]| all.iter().find_map(|expr| first_call(expr));
    match &expr.kind {
        ExprKind::Call { .. } => Some(expr.span),
        ExprKind::Template(template) => template.parts.iter().find_map(|part| match part {
            TemplatePart::Interpolation(inner) => first_call(inner),
            TemplatePart::If { condition, .. } => first_call(condition),
            TemplatePart::For { collection, .. } => first_call(collection),
            TemplatePart::Literal(..) => None,
        }),
        ExprKind::Attribute { target, .. } => first_call(target),
        ExprKind::Index { target, key } => first(&[target, key]),
        ExprKind::Splat { target, each, .. } => first(&[target, each]),
        ExprKind::Tuple(elements) => elements.iter().find_map(first_call),
        ExprKind::Object(items) => items.iter().find_map(|item| first(&[&item.key, &item.value])),
        ExprKind::For(each) => first(&[&each.collection, &each.value]),
        ExprKind::Unary { operand, .. } => first_call(operand),
        ExprKind::Binary { left, right, .. } => first(&[left, right]),
        ExprKind::Conditional { condition, yes, no } => first(&[condition, yes, no]),
        ExprKind::Parentheses(inner) => first_call(inner),
        ExprKind::Null | ExprKind::Bool(_) | ExprKind::Number(_) | ExprKind::Variable(_) => None,
        ExprKind::SplatElement | ExprKind::Invalid => None,
    }
}
