//! What is checked of an expression where it stands.

use andon_hcl::ast::{self, Body, Expr, ExprKind, Item};
use andon_schema::Block;
use andon_text::{Diagnostic, Diagnostics, deeper};
use andon_value::{Marks, Type, Value, convert};

use super::deep::{self, Bound};
use super::doubt;
use super::scope::At;
use crate::definitions::Condition;
use crate::eval::{
    Evaluator, Scope, element_types, evaluate, evaluate_block_with_doubts, evaluate_with_doubts, iteration,
};
use crate::reference::{Reference, StaticStep, as_reference, static_traversals};
use crate::role::for_each;
use crate::walk::iterator;

/// Why what is ephemeral says nothing of how many there are.
const NOT_KEPT: &str = "this is ephemeral, and how many there are is kept";

/// Where an expression is written.
struct Writing<'s> {
    /// What names mean there, with the iterators of the `dynamic` blocks around it.
    scope: Bound<'s>,
    /// Whether it will be evaluated, whatever the values are.
    needed: bool,
}

/// What a `dynamic` block goes over.
struct Elements {
    /// Whether there are any, whatever the values are.
    any: bool,
    /// What its iterator is, for one of them.
    one: Value,
}

impl Default for Elements {
    fn default() -> Elements {
        Elements { any: false, one: Value::UNKNOWN }
    }
}

fn elements(for_each: &Expr, scope: &dyn Scope) -> Option<Elements> {
    let collection = evaluate(for_each, scope).ok()?;
    let first = Evaluator::new(scope).pairs(&collection, for_each).ok()?.and_then(|pairs| pairs.into_iter().next());
    let any = first.is_some();
    let (key, value) = first.unwrap_or_else(|| {
        let (key, element) = element_types(&collection.ty());
        (Value::unknown(key), Value::unknown(element))
    });
    Some(Elements { any, one: iteration(key, value) })
}

impl<'c, 'a> At<'c, 'a> {
    /// The same inside a block with this `count` and `for_each`, which are checked.
    pub fn repeated(&self, count: Option<&Expr>, keys: Option<&Expr>) -> At<'c, 'a> {
        if let Some(count) = count {
            let value = self.value(count);
            let error = |label: String| Diagnostic::error("\"count\" takes a whole number").at(count.span).label(label);
            match convert(&value, &Type::Number) {
                Err(problem) => self.checked.report([error(problem.to_string())]),
                Ok(value) if value.marks().ephemeral => self.checked.report([error(NOT_KEPT.to_owned())]),
                Ok(value) if value.is_null() => self.checked.report([error("this is null".to_owned())]),
                Ok(value) => {
                    let number = value.as_number().filter(|number| number.to_usize().is_none());
                    self.checked.report(number.map(|number| match value.marks().sensitive {
                        true => error("this is a secret number that is none".to_owned()),
                        false => error(format!("this is {number}")),
                    }));
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
            let (key, element) = element_types(&value.ty());
            let key = if matches!(value.ty(), Type::Set(_)) { key } else { Type::String };
            (Value::unknown(key), Value::unknown(element))
        });
        At { count: count.is_some(), each, ..self.clone() }
    }

    /// Checks an expression; its value as far as it is known.
    pub fn value(&self, expr: &Expr) -> Value {
        self.written(expr);
        self.judged(evaluate_with_doubts(expr, self))
    }

    /// Checks a body that has a schema; its value as far as it is known.
    pub fn body_value(&self, body: &Body, schema: &Block) -> Value {
        self.judged(evaluate_block_with_doubts(body, schema, self))
    }

    fn judged(&self, (result, doubts): (Result<Value, Diagnostics>, Diagnostics)) -> Value {
        self.checked.report(doubts.into_iter().map(doubt));
        result.unwrap_or_else(|errors| {
            self.checked.report(errors);
            Value::UNKNOWN
        })
    }

    /// Checks what is written in an expression: names, and the bodies of `for`.
    pub fn written(&self, expr: &Expr) {
        self.written_by(&Writing { scope: Bound::new(self), needed: true }, expr);
    }

    /// Checks what is written in every expression of a body.
    pub fn written_in(&self, body: &Body) {
        self.body_written_by(&Writing { scope: Bound::new(self), needed: true }, body);
    }

    fn written_by(&self, writing: &Writing<'_>, expr: &Expr) {
        let references = static_traversals(expr);
        let references = references.iter().filter(|found| !writing.scope.binds(found.root));
        let wrong = references.filter_map(|reference| self.look_up(reference));
        self.checked.report(wrong.map(|error| if writing.needed { error } else { doubt(error) }));
        let mut found = Diagnostics::new();
        deep::check(expr, &writing.scope, &mut found);
        self.checked.report(found);
    }

    fn body_written_by(&self, writing: &Writing<'_>, body: &Body) {
        for item in body.items.iter() {
            match item {
                Item::Attribute(attribute) => self.written_by(writing, &attribute.value),
                Item::Block(block) if &*block.kind.name == "dynamic" => self.dynamic_written_by(writing, block),
                Item::Block(block) => deeper(|| self.body_written_by(writing, &block.body)),
            }
        }
    }

    /// A `dynamic` block may make no block, and then its content is not needed.
    fn dynamic_written_by(&self, writing: &Writing<'_>, block: &ast::Block) {
        let argument = |name: &str| block.body.attribute(name).map(|attribute| &attribute.value);
        let iterator = iterator(block).cloned();
        let elements = argument("for_each").and_then(|expr| elements(expr, &writing.scope)).unwrap_or_default();
        let scope = writing.scope.with(iterator.map(|name| (name, elements.one)));
        let inside = Writing { scope, needed: writing.needed && elements.any };
        for item in block.body.items.iter() {
            match item {
                Item::Attribute(attribute) => match &*attribute.name.name {
                    "iterator" => {}
                    "labels" => self.written_by(&inside, &attribute.value),
                    _ => self.written_by(writing, &attribute.value),
                },
                Item::Block(content) => deeper(|| self.body_written_by(&inside, &content.body)),
            }
        }
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
            Ok(value) => {
                self.checked.report(hidden_message(value.marks()).map(|diagnostic| diagnostic.at(error_message.span)))
            }
        }
    }

    /// Checks a reference to something as a whole.
    fn needed(&self, reference: &Reference<'_>) {
        self.checked.report(self.look_up(reference));
        let names = match &**reference.root {
            "data" | "ephemeral" => 2,
            _ => 1,
        };
        let step = match reference.steps.get(names) {
            Some(StaticStep::Number(..) | StaticStep::Key(..) | StaticStep::Computed(_)) => names + 1,
            _ => names,
        };
        // An output stands for all that it comes from.
        let step = if &**reference.root == "module" { step + 1 } else { step };
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

/// What to say of a message with these marks, which nobody will see.
fn hidden_message(marks: Marks) -> Option<Diagnostic> {
    let (what, help) = match (marks.sensitive, marks.ephemeral) {
        (true, _) => ("a secret", "Take the secret out, or use nonsensitive(…) on what is none."),
        (_, true) => ("an ephemeral value", "Take it out: ephemeralasnull(…) makes it null."),
        _ => return None,
    };
    let diagnostic = Diagnostic::warning("this message will not be shown").label(format!("it holds {what}"));
    Some(diagnostic.help(help))
}
