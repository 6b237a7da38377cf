//! What an expression says without being evaluated.

use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind, TemplatePart};

/// The text of a string that is written out, without holes.
pub(crate) fn string(expr: &Expr) -> Option<Arc<str>> {
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
