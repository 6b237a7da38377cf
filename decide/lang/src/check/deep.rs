//! The bodies of `for` expressions over what is not known yet. Evaluation passes them over; here they are evaluated
//! with an unknown element of the right type.

use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind, ForExpr, TemplatePart};
use andon_text::{Diagnostic, Diagnostics, deeper};
use andon_value::{Type, Value, unify};

use andon_schema::{FunctionAnswer, ProviderAddress};
use andon_text::Span;

use crate::eval::{Inputs, Name, ProviderFunction, Resolved, Scope, Step, evaluate};

/// A scope with the names that a `for` binds.
struct Bound<'a> {
    outer: &'a dyn Scope,
    names: Vec<(Arc<str>, Value)>,
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
pub(super) fn check(expr: &Expr, scope: &dyn Scope, out: &mut Diagnostics) {
    deeper(|| look_into(expr, scope, out));
}

fn look_into(expr: &Expr, scope: &dyn Scope, out: &mut Diagnostics) {
    match &expr.kind {
        ExprKind::Null
        | ExprKind::Bool(_)
        | ExprKind::Number(_)
        | ExprKind::Variable(_)
        | ExprKind::SplatElement
        | ExprKind::Invalid => {}
        ExprKind::Template(template) => parts(&template.parts, scope, out),
        ExprKind::Attribute { target, .. } => check(target, scope, out),
        ExprKind::Index { target, key } => all([&**target, &**key], scope, out),
        ExprKind::Splat { target, .. } => check(target, scope, out),
        // What these are given may fail: that is what they are for.
        ExprKind::Call { name, .. } if matches!(&*name.name, "try" | "can") => {}
        ExprKind::Call { arguments, .. } => all(arguments, scope, out),
        ExprKind::Tuple(elements) => all(elements, scope, out),
        ExprKind::Object(items) => items.iter().for_each(|item| check(&item.value, scope, out)),
        ExprKind::For(each) => for_expr(each, scope, out),
        ExprKind::Unary { operand, .. } => check(operand, scope, out),
        ExprKind::Binary { left, right, .. } => all([&**left, &**right], scope, out),
        ExprKind::Conditional { condition, yes, no } => all([&**condition, &**yes, &**no], scope, out),
        ExprKind::Parentheses(inner) => check(inner, scope, out),
    }
}

fn all<'e>(all: impl IntoIterator<Item = &'e Expr>, scope: &dyn Scope, out: &mut Diagnostics) {
    all.into_iter().for_each(|expr| check(expr, scope, out));
}

fn for_expr(each: &ForExpr, scope: &dyn Scope, out: &mut Diagnostics) {
    check(&each.collection, scope, out);
    // What is wrong with the collection is said where the whole is evaluated.
    let Ok(collection) = evaluate(&each.collection, scope) else { return };
    let inner = bound(scope, &collection, each.key_name.as_ref(), &each.value_name);
    for expr in [each.key.as_ref(), Some(&each.value), each.condition.as_ref()].into_iter().flatten() {
        if collection.is_unknown() {
            out.extend(evaluate(expr, &inner).err().into_iter().flatten());
        }
        check(expr, &inner, out);
    }
}

fn parts(parts: &[TemplatePart], scope: &dyn Scope, out: &mut Diagnostics) {
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
    outer: &'a dyn Scope,
    collection: &Value,
    key: Option<&andon_hcl::ast::Ident>,
    value: &andon_hcl::ast::Ident,
) -> Bound<'a> {
    let (key_type, element) = element_types(&collection.ty());
    let key = key.map(|key| (key.name.clone(), Value::unknown(key_type)));
    Bound { outer, names: key.into_iter().chain([(value.name.clone(), Value::unknown(element))]).collect() }
}

/// The types of the keys and of the elements of a collection of a type.
pub(super) fn element_types(ty: &Type) -> (Type, Type) {
    let agreed = |types: Vec<Type>| unify(&types).unwrap_or(Type::Dynamic);
    match ty {
        Type::List(element) => (Type::Number, (**element).clone()),
        Type::Set(element) => ((**element).clone(), (**element).clone()),
        Type::Map(element) => (Type::String, (**element).clone()),
        Type::Tuple(elements) => (Type::Number, agreed(elements.to_vec())),
        Type::Object { attributes, .. } => (Type::String, agreed(attributes.values().cloned().collect())),
        _ => (Type::Dynamic, Type::Dynamic),
    }
}
