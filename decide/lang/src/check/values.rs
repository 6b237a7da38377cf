//! What goes into a module and out of it: variables, arguments of calls, outputs.

use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_text::Diagnostic;
use andon_value::Value;

use super::scope::Checked;
use crate::definitions::{OutputDefinition, Variable};
use crate::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};
use crate::lint::name::UNREACHABLE_VALIDATION;
use crate::literal::first_call;
use crate::reference::{name_at, static_traversals};
use crate::role::refused;

/// Names that mean something in a `module` block.
const RESERVED: [&str; 9] =
    ["source", "version", "provider", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"];

/// A `variable` block.
pub(super) fn variable(checked: &Checked<'_>, variable: &Variable) {
    let name = &variable.name;
    if RESERVED.contains(&&*name.name) {
        let diagnostic = Diagnostic::error(format!("a variable cannot be called \"{}\"", name.name)).at(name.span);
        checked.report([diagnostic.label("this name has a meaning in module blocks").help("Give it another name.")]);
    }
    if let Some(default) = &variable.default {
        let error = |span| Diagnostic::error("a default must be written out").at(span);
        if let Some(call) = first_call(default) {
            let diagnostic = error(call).label("a function cannot be called here");
            checked.report([diagnostic.help("Give the default in a local: null here, and coalesce(…) there.")]);
        } else {
            match variable.value(None, "variable") {
                Err(errors) => checked.report(errors),
                Ok(value) if value.is_null() && !variable.nullable => {
                    let diagnostic =
                        Diagnostic::error("the default is null, and the variable must not be").at(default.span);
                    checked.report([diagnostic.help("Give another default, or take out: nullable = false")]);
                }
                Ok(_) => {}
            }
        }
    }
    let plain = checked.plain();
    for validation in &variable.validations {
        plain.condition(validation);
        let condition = &validation.condition;
        let found = static_traversals(condition);
        let own = found.iter().any(|reference| {
            &**reference.root == "var" && name_at(reference, 0).is_some_and(|(read, _)| *read == *name.name)
        });
        if !own && !found.is_empty() {
            let diagnostic = Diagnostic::error(format!("this validation does not look at var.{}", name.name));
            let diagnostic = diagnostic.at(condition.span).label("it never tells whether the value is right");
            checked.report([diagnostic.help(format!("Refer to var.{} in the condition.", name.name))]);
        } else if own {
            let held = evaluate(condition, &plain).ok().and_then(|value| value.as_bool());
            checked.report(held.map(|held| same_for_all(held, &name.name).at(condition.span)));
        }
    }
}

/// A validation that says the same of every value.
fn same_for_all(holds: bool, variable: &str) -> Diagnostic {
    if !holds {
        let diagnostic = Diagnostic::error(format!("no value of var.{variable} can pass this validation"));
        return diagnostic.label("this never holds, whatever the value is");
    }
    let diagnostic = Diagnostic::warning(format!("every value of var.{variable} passes this validation"));
    let diagnostic = diagnostic.label("this holds, whatever the value is").named(UNREACHABLE_VALIDATION);
    diagnostic.help("Say what is refused, or take the validation out.")
}

/// The value that a `module` block gives to a variable of the module.
pub(super) fn argument(checked: &Checked<'_>, variable: &Variable, expr: &Expr, given: Value) {
    let there = |diagnostic: Diagnostic| diagnostic.related(variable.span, "the variable is defined here");
    if given.marks_within().ephemeral && !variable.ephemeral {
        let words = format!("variable \"{}\" takes no ephemeral value", variable.name.name);
        let diagnostic = Diagnostic::error(words).at(expr.span).label("this is ephemeral");
        return checked.report([there(diagnostic).help("Add to the variable: ephemeral = true")]);
    }
    let value = match variable.value(Some(given), "variable") {
        Ok(value) => value,
        Err(errors) => {
            return checked.report(errors.into_iter().map(|error| match error.span {
                Some(_) => error,
                None => there(error.at(expr.span)),
            }));
        }
    };
    if value.is_null() && !variable.nullable {
        let diagnostic = Diagnostic::error(format!("variable \"{}\" must not be null", variable.name.name));
        return checked.report([there(diagnostic.at(expr.span).label("this is null"))]);
    }
    let scope = Given { checked, name: &variable.name.name, value: &value };
    for validation in &variable.validations {
        if evaluate(&validation.condition, &scope).is_ok_and(|held| held.as_bool() == Some(false)) {
            let refused = refused(validation, &scope);
            let diagnostic = Diagnostic::error(format!("variable \"{}\" refuses this value", variable.name.name));
            let diagnostic = diagnostic.at(expr.span).detail(refused.detail);
            checked.report([diagnostic.related(validation.condition.span, "this does not hold")]);
        }
    }
}

/// A called module, of which only one variable is known.
struct Given<'a> {
    checked: &'a Checked<'a>,
    name: &'a Arc<str>,
    value: &'a Value,
}

impl Scope for Given<'_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        Ok(match (&**root.name, steps) {
            ("var", [Step::Attribute(name, _), ..]) if name == self.name => {
                Resolved { value: self.value.clone(), used: 1 }
            }
            _ => Resolved { value: Value::UNKNOWN, used: steps.len() },
        })
    }

    fn inputs(&self) -> Inputs<'_> {
        self.checked.plain_inputs()
    }
}

/// An `output` block.
pub(super) fn output(checked: &Checked<'_>, output: &OutputDefinition) {
    let plain = checked.plain();
    let value = plain.value(&output.value);
    plain.depends_on(&output.depends_on);
    output.preconditions.iter().for_each(|condition| plain.condition(condition));
    let marks = value.marks_within();
    let name = &output.name.name;
    let is_root = checked.is_root();
    if output.ephemeral && is_root {
        let diagnostic = Diagnostic::error(format!("output \"{name}\" of a stack cannot be ephemeral")).at(output.span);
        let diagnostic = diagnostic.detail("A stack's outputs are kept, and an ephemeral value never is.");
        return checked.report([diagnostic.help("Take out: ephemeral = true")]);
    }
    match (output.ephemeral, marks.ephemeral) {
        (false, true) => {
            let diagnostic = Diagnostic::error(format!("output \"{name}\" gives out an ephemeral value"));
            let help =
                if is_root { "ephemeralasnull(…) makes it null." } else { "Add to the output: ephemeral = true" };
            checked.report([diagnostic.at(output.value.span).label("this is ephemeral").help(help)]);
        }
        (true, false) if is_said(&output.value) => {
            let diagnostic = Diagnostic::error(format!("output \"{name}\" gives out no ephemeral value"));
            let diagnostic = diagnostic.at(output.value.span).label("this is not ephemeral");
            checked.report([diagnostic.help("Take out: ephemeral = true")]);
        }
        _ => {}
    }
    if marks.sensitive && !output.sensitive && is_root {
        let diagnostic = Diagnostic::error(format!("output \"{name}\" gives out a secret")).at(output.value.span);
        let diagnostic = diagnostic.label("this is a secret, or has one in it");
        checked.report([diagnostic
            .help("To keep it one, add to the output: sensitive = true")
            .help("If it is no secret, say so: value = nonsensitive(…)")]);
    }
}

/// Whether anything could be made of an expression.
fn is_said(expr: &Expr) -> bool {
    expr.kind != andon_hcl::ast::ExprKind::Invalid
}
