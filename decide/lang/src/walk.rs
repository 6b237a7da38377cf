//! Every expression of a body, and what it refers to, whatever it evaluates to.

use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Expr, ExprKind, Item, TemplatePart};
use andon_text::deeper;

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
            Item::Block(block) => deeper(|| expressions(&block.body, visit)),
        }
    }
}

/// What the elements of a `dynamic` block are called in its content. A name in quotes is wrong, but it is clear what it
/// stands for: that is complained about once, and not wherever it is used.
pub(crate) fn iterator(dynamic: &Block) -> Option<&Arc<str>> {
    match dynamic.body.attribute("iterator").map(|attribute| &attribute.value.kind) {
        Some(ExprKind::Variable(name)) => return Some(name),
        Some(ExprKind::Template(template)) => {
            if let [TemplatePart::Literal(name, _)] = &*template.parts {
                return Some(name);
            }
        }
        _ => {}
    }
    dynamic.labels.first().map(|label| &label.name)
}

fn go<'a>(body: &'a Body, bound: &mut Vec<&'a str>, visit: &mut dyn FnMut(Reference<'a>)) {
    for item in body.items.iter() {
        match item {
            Item::Attribute(attribute) => expr(&attribute.value, bound, visit),
            Item::Block(block) if &*block.kind.name == "dynamic" => {
                let name = iterator(block).map(|name| &**name);
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
                block.body.blocks().for_each(|content| deeper(|| go(&content.body, bound, visit)));
                bound.truncate(depth);
            }
            Item::Block(block) => deeper(|| go(&block.body, bound, visit)),
        }
    }
}

fn expr<'a>(expr: &'a Expr, bound: &[&'a str], visit: &mut dyn FnMut(Reference<'a>)) {
    for reference in static_traversals(expr).into_iter().filter(|found| !bound.contains(&&**found.root)) {
        visit(reference);
    }
}
