//! Every expression of a body, and what it refers to, whatever it evaluates to.

use andon_hcl::ast::{Body, Expr, ExprKind, Item};

use crate::eval::{Reference, StaticStep, static_traversals};

/// Shows `visit` every reference in a body. The iterator of a `dynamic` block is no reference inside its content.
pub(crate) fn references_of<'a>(body: &'a Body, visit: &mut dyn FnMut(Reference<'a>)) {
    go(body, &mut Vec::new(), visit);
}

fn go<'a>(body: &'a Body, bound: &mut Vec<&'a str>, visit: &mut dyn FnMut(Reference<'a>)) {
    for item in &body.items {
        match item {
            Item::Attribute(attribute) => expr(&attribute.value, bound, visit),
            Item::Block(block) if &*block.kind.name == "dynamic" => {
                let iterator = block.body.attribute("iterator").map(|attribute| &attribute.value.kind);
                let name = match iterator {
                    Some(ExprKind::Variable(name)) => Some(&**name),
                    _ => block.labels.first().map(|label| &*label.name),
                };
                let depth = bound.len();
                for attribute in block.body.attributes() {
                    match &*attribute.name.name {
                        "iterator" => {}
                        "labels" => {
                            bound.extend(name);
                            expr(&attribute.value, bound, visit);
                            bound.truncate(depth);
                        }
                        _ => expr(&attribute.value, bound, visit),
                    }
                }
                bound.extend(name);
                block.body.blocks().for_each(|content| go(&content.body, bound, visit));
                bound.truncate(depth);
            }
            Item::Block(block) => go(&block.body, bound, visit),
        }
    }
}

fn expr<'a>(expr: &'a Expr, bound: &[&'a str], visit: &mut dyn FnMut(Reference<'a>)) {
    for reference in static_traversals(expr).into_iter().filter(|found| !bound.contains(&&**found.root)) {
        visit(reference);
    }
}

/// The reference that an expression is, where it is one and nothing else.
pub(crate) fn as_reference(expr: &Expr) -> Option<Reference<'_>> {
    let mut node = expr;
    loop {
        match &node.kind {
            ExprKind::Variable(_) => break,
            ExprKind::Attribute { target, .. } | ExprKind::Index { target, .. } => node = target,
            _ => return None,
        }
    }
    static_traversals(expr).into_iter().next()
}

/// The name at a place after the root of a reference.
pub(crate) fn name_at<'a>(reference: &Reference<'a>, at: usize) -> Option<(&'a str, andon_text::Span)> {
    match reference.steps.get(at)? {
        StaticStep::Attribute(name, span) => Some((name, *span)),
        StaticStep::Key(name, span) => Some((name, *span)),
        _ => None,
    }
}
