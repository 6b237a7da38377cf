//! Every expression of a body, and what it refers to, whatever it evaluates to.

use andon_hcl::ast::{Body, Expr, ExprKind, Item};

use crate::reference::{Reference, static_traversals};

/// Every reference in a body. The iterator of a `dynamic` block is no reference inside its content.
pub fn body_references(body: &Body) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    references_of(body, &mut |reference| found.push(reference));
    found
}

/// Shows `visit` every reference in a body. The iterator of a `dynamic` block is no reference inside its content.
pub(crate) fn references_of<'a>(body: &'a Body, visit: &mut dyn FnMut(Reference<'a>)) {
    go(body, &mut Vec::new(), visit);
}

/// Shows `visit` every expression in a body, from the outside in.
pub(crate) fn expressions<'a>(body: &'a Body, visit: &mut dyn FnMut(&'a Expr)) {
    for item in body.items.iter() {
        match item {
            Item::Attribute(attribute) => attribute.value.walk(visit),
            Item::Block(block) => expressions(&block.body, visit),
        }
    }
}

fn go<'a>(body: &'a Body, bound: &mut Vec<&'a str>, visit: &mut dyn FnMut(Reference<'a>)) {
    for item in body.items.iter() {
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
