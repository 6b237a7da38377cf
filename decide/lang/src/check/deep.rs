//! The bodies of `for` expressions over what is not known yet. Evaluation passes them over; here they are evaluated
//! with an unknown element of the right type. There may be no element, so what is wrong in them is a doubt, unless they
//! go over instances of resources: what those have does not depend on how many there are.

use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind, ForExpr, TemplatePart};
use andon_schema::{FunctionAnswer, ProviderAddress};
use andon_text::{Diagnostic, Diagnostics, Span, deeper};
use andon_value::Value;

use super::doubt;
use crate::eval::{
    Inputs, Name, ProviderFunction, Resolved, Scope, Step, element_types, evaluate, evaluate_with_doubts,
};
use crate::reference::{Reference, static_traversals};

/// A scope with the names that a `for` or a `dynamic` block binds.
pub(super) struct Bound<'a> {
    outer: &'a dyn Scope,
    names: Vec<(Arc<str>, Value)>,
}

impl<'a> Bound<'a> {
    /// A scope in which nothing is bound yet.
    pub fn new(outer: &'a dyn Scope) -> Bound<'a> {
        Bound { outer, names: Vec::new() }
    }

    /// The same with more names, which hide others.
    pub fn with(&self, more: impl IntoIterator<Item = (Arc<str>, Value)>) -> Bound<'a> {
        Bound { outer: self.outer, names: self.names.iter().cloned().chain(more).collect() }
    }

    /// Whether it binds a name.
    pub fn binds(&self, name: &str) -> bool {
        self.names.iter().any(|(bound, _)| &**bound == name)
    }
}

impl Scope for Bound<'_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        match self.names.iter().rev().find(|(name, _)| name == root.name) {
            Some((_, value)) => Ok(Resolved { value: value.clone(), used: 0 }),
            None => self.outer.resolve(root, steps),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        self.outer.inputs()
    }

    fn provider_function(&self, provider: &str, function: &str, place: Span) -> ProviderFunction {
        self.outer.provider_function(provider, function, place)
    }

    fn ask_provider(&self, provider: &ProviderAddress, function: &str, arguments: &[Value]) -> Option<FunctionAnswer> {
        self.outer.ask_provider(provider, function, arguments)
    }
}

/// Adds what is wrong in such bodies, wherever in an expression they are.
pub(super) fn check(expr: &Expr, scope: &Bound<'_>, out: &mut Diagnostics) {
    deeper(|| look_into(expr, scope, out));
}

fn look_into(expr: &Expr, scope: &Bound<'_>, out: &mut Diagnostics) {
    match &expr.kind {
        ExprKind::Template(template) => parts(&template.parts, scope, out),
        ExprKind::Splat { target, .. } => check(target, scope, out),
        // What these are given may fail: that is what they are for.
        ExprKind::Call { name, .. } if matches!(&*name.name, "try" | "can") => {}
        ExprKind::For(each) => for_expr(each, scope, out),
        _ => expr.for_each_part(&mut |part| check(part, scope, out)),
    }
}

fn for_expr(each: &ForExpr, scope: &Bound<'_>, out: &mut Diagnostics) {
    check(&each.collection, scope, out);
    // What is wrong with the collection is said where the whole is evaluated.
    let Ok(collection) = evaluate(&each.collection, scope) else { return };
    let inner = bound(scope, &collection, each.key_name.as_ref(), &each.value_name);
    let of_resources = of_resources(&each.collection, scope);
    for expr in [each.key.as_ref(), Some(&each.value), each.condition.as_ref()].into_iter().flatten() {
        if collection.is_unknown() {
            let (result, doubts) = evaluate_with_doubts(expr, &inner);
            let errors = result.err().into_iter().flatten();
            out.extend(errors.map(|error| if of_resources { error } else { doubt(error) }));
            out.extend(doubts.into_iter().map(doubt));
        }
        check(expr, &inner, out);
    }
}

/// Whether all that is gone over are instances of resources.
fn of_resources(collection: &Expr, scope: &Bound<'_>) -> bool {
    let references = static_traversals(collection);
    let others = ["var", "local", "module", "each", "count", "path", "terraform", "self"];
    // The elements of an attribute are not those of its resource.
    let instances = |reference: &Reference<'_>| {
        let names = if matches!(&**reference.root, "data" | "ephemeral" | "resource") { 2 } else { 1 };
        !others.contains(&&**reference.root) && !scope.binds(reference.root) && reference.steps.len() == names
    };
    !references.is_empty() && references.iter().all(instances)
}

fn parts(parts: &[TemplatePart], scope: &Bound<'_>, out: &mut Diagnostics) {
    for part in parts {
        match part {
            TemplatePart::Literal(..) => {}
            TemplatePart::Interpolation(expr) => check(expr, scope, out),
            TemplatePart::If { condition, yes, no, .. } => {
                check(condition, scope, out);
                self::parts(yes, scope, out);
                self::parts(no, scope, out);
            }
            TemplatePart::For { key_name, value_name, collection, body, .. } => {
                check(collection, scope, out);
                let Ok(value) = evaluate(collection, scope) else { continue };
                self::parts(body, &bound(scope, &value, key_name.as_ref(), value_name), out);
            }
        }
    }
}

fn bound<'a>(
    outer: &Bound<'a>,
    collection: &Value,
    key: Option<&andon_hcl::ast::Ident>,
    value: &andon_hcl::ast::Ident,
) -> Bound<'a> {
    let (key_type, element) = element_types(&collection.ty());
    let key = key.map(|key| (key.name.clone(), Value::unknown(key_type)));
    outer.with(key.into_iter().chain([(value.name.clone(), Value::unknown(element))]))
}
