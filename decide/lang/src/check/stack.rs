//! Stacks: every expression of every module.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::{Body, Expr, Item};
use andon_schema::Schemas;
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Type, Value, convert};

use super::scope::{At, Checked};
use super::{EvaluatedBody, deep, provider, resource};
use crate::definitions::{Condition, Module, ModuleCall, Project, Stack};
use crate::eval::evaluate;
use crate::reference::{Reference, StaticStep, as_reference, static_traversals};
use crate::role::for_each;
use crate::shape::{missing, suggest};
use crate::walk::references_of;

pub(super) fn check(
    project: &Project,
    stack: &Stack,
    schemas: &Schemas,
    out: &mut Diagnostics,
    bodies: &mut Vec<EvaluatedBody>,
) {
    let mut seen = BTreeSet::new();
    module(project, stack, &stack.module, schemas, &mut seen, out, bodies);
}

fn module(
    project: &Project,
    stack: &Stack,
    module_of: &Arc<Module>,
    schemas: &Schemas,
    seen: &mut BTreeSet<Arc<str>>,
    out: &mut Diagnostics,
    bodies: &mut Vec<EvaluatedBody>,
) {
    // A module that is called twice is checked once.
    if !seen.insert(module_of.directory.clone()) {
        return;
    }
    let checked = Checked::new(project, schemas, stack, module_of);
    let plain = checked.plain();
    for local in module_of.locals.values() {
        plain.written(&local.value);
    }
    for variable in module_of.variables.values() {
        // The root module's are checked with the environments.
        if !Arc::ptr_eq(module_of, &stack.module) && variable.default.is_some() {
            checked.report(variable.value(None, "variable").err().into_iter().flatten());
        }
        variable.validations.iter().for_each(|validation| plain.condition(validation));
    }
    for output in module_of.outputs.values() {
        plain.value(&output.value);
        plain.depends_on(&output.depends_on);
        output.preconditions.iter().for_each(|condition| plain.condition(condition));
    }
    for definition in module_of.providers.values() {
        provider::check(&checked, definition);
    }
    for definition in module_of.resources.values() {
        resource::check(&checked, definition);
    }
    for call in module_of.calls.values() {
        call_of(&checked, call);
    }
    let (found, evaluated) = checked.into_found();
    out.extend(found);
    bodies.extend(evaluated);
    for call in module_of.calls.values().filter(|call| call.found) {
        module(project, stack, &call.module, schemas, seen, out, bodies);
    }
}

fn call_of(checked: &Checked<'_>, call: &ModuleCall) {
    let at = checked.plain().repeated(call.count.as_ref(), call.for_each.as_ref());
    at.depends_on(&call.depends_on);
    for item in call.arguments.items.iter() {
        let (name, value) = match item {
            Item::Attribute(attribute) => (&attribute.name, Some(&attribute.value)),
            Item::Block(block) => (&block.kind, None),
        };
        let value = value.map(|expr| (expr, at.value(expr)));
        if !call.found {
            continue;
        }
        let Some(variable) = call.module.variables.get(&name.name) else {
            let diagnostic = Diagnostic::error(format!("unsupported argument \"{}\"", name.name)).at(name.span);
            let diagnostic = diagnostic.label("the module has no such variable");
            let names = call.module.variables.keys().map(|name| &**name);
            checked.report([suggest(
                diagnostic,
                &name.name,
                names.chain(["source", "count", "for_each", "depends_on"]),
            )]);
            continue;
        };
        if let Some((expr, value)) = value {
            let errors = variable.value(Some(value), "variable").err().into_iter().flatten();
            checked.report(errors.map(|error| match error.span {
                Some(_) => error,
                None => error.at(expr.span).related(variable.span, "the variable is defined here"),
            }));
        }
    }
    for (name, variable) in &call.module.variables {
        if variable.default.is_none() && call.arguments.attribute(name).is_none() {
            let diagnostic = missing("argument", name, Some(call.span));
            checked.report([diagnostic.related(variable.span, "the module's variable has no default")]);
        }
    }
}

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
        let value = self.value(&condition.condition);
        if let Err(problem) = convert(&value, &Type::Bool) {
            let diagnostic = Diagnostic::error("a condition must be true or false").at(condition.condition.span);
            self.checked.report([diagnostic.label(problem.to_string())]);
        }
        let value = self.value(&condition.error_message);
        if let Err(problem) = convert(&value, &Type::String) {
            let diagnostic = Diagnostic::error("\"error_message\" must be text").at(condition.error_message.span);
            self.checked.report([diagnostic.label(problem.to_string())]);
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
