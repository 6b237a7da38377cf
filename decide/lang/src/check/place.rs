//! What is checked of an expression where it stands.

use andon_hcl::ast::{Body, Expr, ExprKind};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Type, Value, convert};

use super::deep;
use super::scope::At;
use crate::definitions::Condition;
use crate::eval::evaluate;
use crate::reference::{Reference, StaticStep, as_reference, static_traversals};
use crate::role::for_each;
use crate::walk::references_of;

/// Why what is ephemeral says nothing of how many there are.
const NOT_KEPT: &str = "this is ephemeral, and how many there are is kept";

impl<'c, 'a> At<'c, 'a> {
    /// The same inside a block with this `count` and `for_each`, which are checked.
    pub fn repeated(&self, count: Option<&Expr>, keys: Option<&Expr>) -> At<'c, 'a> {
        if let Some(count) = count {
            let value = self.value(count);
            let error = |label: String| Diagnostic::error("\"count\" takes a whole number").at(count.span).label(label);
            match convert(&value, &Type::Number) {
                Err(problem) => self.checked.report([error(problem.to_string())]),
                Ok(value) if value.marks().sensitive => {
                    self.checked.report([error("this is a secret, and how many there are is shown".to_owned())]);
                }
                Ok(value) if value.marks().ephemeral => self.checked.report([error(NOT_KEPT.to_owned())]),
                Ok(value) if value.is_null() => self.checked.report([error("this is null".to_owned())]),
                Ok(value) => {
                    let number = value.as_number().filter(|number| number.to_usize().is_none());
                    self.checked.report(number.map(|number| error(format!("this is {number}"))));
                }
            }
        }
        let each = keys.map(|expr| {
            let value = self.value(expr);
            self.checked.report(for_each(&value, expr.span).err());
            if value.marks().ephemeral {
                let diagnostic = Diagnostic::error("\"for_each\" takes a map, or a set of strings").at(expr.span);
                self.checked.report([diagnostic.label(NOT_KEPT)]);
            }
            let (key, element) = deep::element_types(&value.ty());
            let key = if matches!(value.ty(), Type::Set(_)) { key } else { Type::String };
            (Value::unknown(key), Value::unknown(element))
        });
        At { count: count.is_some(), each, ..self.clone() }
    }

    /// Checks an expression; its value as far as it is known.
    pub fn value(&self, expr: &Expr) -> Value {
        self.written(expr);
        evaluate(expr, self).unwrap_or_else(|errors| {
            self.checked.report(errors);
            Value::UNKNOWN
        })
    }

    /// Checks what is written in an expression: names, and the bodies of `for`.
    pub fn written(&self, expr: &Expr) {
        static_traversals(expr).iter().for_each(|reference| self.look_up(reference));
        let mut found = Diagnostics::new();
        deep::check(expr, self, &mut found);
        self.checked.report(found);
    }

    /// Checks what is written in every expression of a body.
    pub fn written_in(&self, body: &Body) {
        references_of(body, &mut |reference| self.look_up(&reference));
        let mut found = Diagnostics::new();
        let mut bodies = vec![body];
        while let Some(body) = bodies.pop() {
            body.attributes().for_each(|attribute| deep::check(&attribute.value, self, &mut found));
            // What a `dynamic` block binds is not known here.
            bodies.extend(body.blocks().filter(|block| &*block.kind.name != "dynamic").map(|block| &block.body));
        }
        self.checked.report(found);
    }

    /// Checks a condition and its message.
    pub fn condition(&self, condition: &Condition) {
        let Condition { condition, error_message, .. } = condition;
        let value = self.value(condition);
        if let Err(problem) = convert(&value, &Type::Bool) {
            let diagnostic = Diagnostic::error("a condition must be true or false").at(condition.span);
            self.checked.report([diagnostic.label(problem.to_string())]);
        } else if value.is_null() {
            let diagnostic = Diagnostic::error("a condition must be true or false").at(condition.span);
            self.checked.report([diagnostic.label("this is null")]);
        } else if static_traversals(condition).is_empty() && condition.kind != ExprKind::Invalid {
            let diagnostic = Diagnostic::error("this condition depends on nothing").at(condition.span);
            let label = match value.as_bool() {
                Some(true) => "it always holds",
                Some(false) => "it never holds",
                None => "it is always the same",
            };
            self.checked.report([diagnostic.label(label).help("Refer to the value that is to be checked.")]);
        }
        let value = self.value(error_message);
        let wrong = |label: &str| {
            let diagnostic = Diagnostic::error("\"error_message\" must be text").at(error_message.span);
            self.checked.report([diagnostic.label(label)]);
        };
        match convert(&value, &Type::String) {
            Err(problem) => wrong(&problem.to_string()),
            Ok(value) if value.is_null() => wrong("this is null"),
            Ok(_) => {}
        }
    }

    /// Checks a reference to something as a whole.
    fn needed(&self, reference: &Reference<'_>) {
        self.look_up(reference);
        let names = match &**reference.root {
            "data" | "ephemeral" => 2,
            _ => 1,
        };
        let step = match reference.steps.get(names) {
            Some(StaticStep::Number(..) | StaticStep::Key(..) | StaticStep::Computed(_)) => names + 1,
            _ => names,
        };
        if let Some(StaticStep::Attribute(_, span)) = reference.steps.get(step) {
            let diagnostic = Diagnostic::error("\"depends_on\" lists resources and modules as a whole").at(*span);
            self.checked.report([diagnostic.label("this is a part of one").help("Take it out.")]);
        }
    }

    /// Checks a list of references to what must come first.
    pub fn depends_on(&self, list: &[Expr]) {
        for expr in list {
            match as_reference(expr) {
                Some(reference) => self.needed(&reference),
                None if expr.kind == andon_hcl::ast::ExprKind::Invalid => {}
                None => self.checked.report([Diagnostic::error("\"depends_on\" lists resources and modules")
                    .at(expr.span)
                    .help("Write it like: depends_on = [TYPE.NAME, module.NAME]")]),
            }
        }
    }
}
