//! Lints of what is written in expressions, and the one walk over every expression.

use std::collections::BTreeMap;

use andon_hcl::ast::{BinaryOperator, Block, Body, Expr, ExprKind, Item, ObjectItem, Template, TemplatePart};
use andon_text::{Diagnostic, Span, deeper};

use super::unused::{Declarations, text};
use super::{Report, name};

/// Functions whose result is a list, a set or a map, whatever they are given.
const GIVE_COLLECTIONS: [&str; 6] = ["tolist", "toset", "tomap", "split", "sort", "compact"];

/// Looks at every expression of a block, and notes what it reads. `json` says that it is written in JSON.
pub(super) fn check(block: &Block, json: bool, declared: &Declarations<'_>, out: &mut Report<'_>) {
    block
        .label_templates
        .iter()
        .flatten()
        .for_each(|label| parts(&label.parts, &mut |expr| one(expr, json, declared, out)));
    check_body(&block.body, json, declared, out);
}

/// The same of a body.
pub(super) fn check_body(body: &Body, json: bool, declared: &Declarations<'_>, out: &mut Report<'_>) {
    each(body, &mut |expr| one(expr, json, declared, out));
}

/// The same of a body's own arguments.
pub(super) fn check_attributes(body: &Body, json: bool, declared: &Declarations<'_>, out: &mut Report<'_>) {
    body.attributes().for_each(|attribute| walk(&attribute.value, &mut |expr| one(expr, json, declared, out)));
}

fn one(expr: &Expr, json: bool, declared: &Declarations<'_>, out: &mut Report<'_>) {
    declared.read(expr);
    match &expr.kind {
        ExprKind::Template(template) if !json => interpolation(template, expr.span, out),
        ExprKind::Attribute { target, name } => dotted_index(target, &name.name, expr.span, out),
        ExprKind::Call { name, arguments, expand_last: false } if &*name.name == "lookup" => {
            lookup(arguments, expr.span, out);
        }
        ExprKind::Binary { operator: BinaryOperator::Equal | BinaryOperator::NotEqual, left, right, .. } => {
            empty_comparison(expr, left, right, declared, out);
        }
        ExprKind::Object(items) if !json && items.len() > 1 => duplicate_keys(items, out),
        _ => {}
    }
}

fn interpolation(template: &Template, span: Span, out: &mut Report<'_>) {
    let [TemplatePart::Interpolation(inner)] = &*template.parts else { return };
    if template.heredoc {
        return;
    }
    let written = short(out.text(inner.span), "the value");
    out.say(name::INTERPOLATION, span, || {
        let diagnostic = Diagnostic::warning("this template is one value and no text");
        diagnostic.help(format!("Write it without quotes, as `andon fmt` does: {written}"))
    });
}

fn dotted_index(target: &Expr, digits: &str, span: Span, out: &mut Report<'_>) {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    let before = short(out.text(target.span), "…");
    out.say(name::DOTTED_INDEX, span, || {
        let diagnostic = Diagnostic::warning("an index after a dot is an old form");
        diagnostic.help(format!("Write it as: {before}[{digits}]"))
    });
}

fn lookup(arguments: &[Expr], span: Span, out: &mut Report<'_>) {
    let [map, key] = arguments else { return };
    let (map, key) = (short(out.text(map.span), "MAP"), short(out.text(key.span), "KEY"));
    out.say(name::LOOKUP, span, || {
        let diagnostic = Diagnostic::warning("\"lookup\" without a default is an old form");
        diagnostic.help(format!("Write it as: {map}[{key}]"))
    });
}

/// A collection is of another type than what `[]` and `{}` make, and values of different types are never equal.
fn empty_comparison(whole: &Expr, left: &Expr, right: &Expr, declared: &Declarations<'_>, out: &mut Report<'_>) {
    let is_empty = |expr: &Expr| match &unwrapped(expr).kind {
        ExprKind::Tuple(elements) => elements.is_empty(),
        ExprKind::Object(items) => items.is_empty(),
        _ => false,
    };
    let other = match (is_empty(left), is_empty(right)) {
        (true, false) => unwrapped(right),
        (false, true) => unwrapped(left),
        _ => return,
    };
    let collection = match &other.kind {
        ExprKind::Call { name, .. } => GIVE_COLLECTIONS.contains(&&*name.name),
        ExprKind::Attribute { target, name } => match &target.kind {
            ExprKind::Variable(root) => declared.is_collection(root, &name.name),
            _ => false,
        },
        _ => false,
    };
    if collection {
        let written = short(out.text(other.span), "…");
        out.say(name::EMPTY_COMPARISON, whole.span, || {
            Diagnostic::warning("a list, a set or a map never equals this")
                .label("the types differ, so the answer is always the same")
                .help(format!("Write it as: length({written}) == 0"))
        });
    }
}

fn duplicate_keys(items: &[ObjectItem], out: &mut Report<'_>) {
    let key = |item: &ObjectItem| match &item.key.kind {
        ExprKind::Variable(word) => Some(word.to_string()),
        ExprKind::Number(digits) => Some(digits.to_string()),
        _ => text(&item.key).map(str::to_owned),
    };
    let mut first: BTreeMap<String, Span> = BTreeMap::new();
    for item in items {
        let Some(written) = key(item) else { continue };
        match first.get(&written) {
            None => drop(first.insert(written, item.key.span)),
            Some(earlier) => out.say(name::DUPLICATE_KEY, item.key.span, || {
                Diagnostic::warning(format!("the key {} is there twice", andon_value::quote(&written)))
                    .related(*earlier, "the value that is given here is lost")
                    .help("Take one of them out.")
            }),
        }
    }
}

fn unwrapped(expr: &Expr) -> &Expr {
    let mut expr = expr;
    while let ExprKind::Parentheses(inner) = &expr.kind {
        expr = inner;
    }
    expr
}

/// What is written, where it is short enough to be said again.
fn short(written: &str, otherwise: &str) -> String {
    let fits = !written.is_empty() && written.len() <= 60 && !written.contains('\n');
    if fits { written } else { otherwise }.to_owned()
}

/// Shows `visit` every expression of a body and of the blocks in it, each before what is in it. A key of an object that
/// is text is none: what stands in its holes is.
pub(super) fn each<'e>(body: &'e Body, visit: &mut dyn FnMut(&'e Expr)) {
    for item in body.items.iter() {
        match item {
            Item::Attribute(attribute) => walk(&attribute.value, visit),
            Item::Block(block) => {
                block.label_templates.iter().flatten().for_each(|label| parts(&label.parts, visit));
                deeper(|| each(&block.body, visit));
            }
        }
    }
}

fn walk<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    visit(expr);
    deeper(|| walk_parts(expr, visit));
}

fn walk_parts<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    match &expr.kind {
        ExprKind::Null | ExprKind::Bool(_) | ExprKind::Number(_) | ExprKind::SplatElement | ExprKind::Invalid => {}
        ExprKind::Variable(_) => {}
        ExprKind::Template(template) => parts(&template.parts, visit),
        ExprKind::Attribute { target, .. } => walk(target, visit),
        ExprKind::Index { target, key } => [target, key].into_iter().for_each(|expr| walk(expr, visit)),
        ExprKind::Splat { target, each, .. } => [target, each].into_iter().for_each(|expr| walk(expr, visit)),
        ExprKind::Call { arguments, .. } => arguments.iter().for_each(|expr| walk(expr, visit)),
        ExprKind::Tuple(elements) => elements.iter().for_each(|expr| walk(expr, visit)),
        ExprKind::Object(items) => {
            for item in items {
                match &item.key.kind {
                    // A bare name is the key itself.
                    ExprKind::Variable(_) => {}
                    ExprKind::Template(template) => parts(&template.parts, visit),
                    _ => walk(&item.key, visit),
                }
                walk(&item.value, visit);
            }
        }
        ExprKind::For(each) => {
            let inside = each.key.iter().chain([&each.collection, &each.value]).chain(&each.condition);
            inside.for_each(|expr| walk(expr, visit));
        }
        ExprKind::Unary { operand, .. } => walk(operand, visit),
        ExprKind::Binary { left, right, .. } => [left, right].into_iter().for_each(|expr| walk(expr, visit)),
        ExprKind::Conditional { condition, yes, no } => {
            [condition, yes, no].into_iter().for_each(|expr| walk(expr, visit));
        }
        ExprKind::Parentheses(inner) => walk(inner, visit),
    }
}

fn parts<'e>(all: &'e [TemplatePart], visit: &mut dyn FnMut(&'e Expr)) {
    for part in all {
        match part {
            TemplatePart::Literal(..) => {}
            TemplatePart::Interpolation(expr) => walk(expr, visit),
            TemplatePart::If { condition, yes, no, .. } => {
                walk(condition, visit);
                parts(yes, visit);
                parts(no, visit);
            }
            TemplatePart::For { collection, body, .. } => {
                walk(collection, visit);
                parts(body, visit);
            }
        }
    }
}
