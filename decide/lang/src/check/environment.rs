//! Environments against the variables that the stacks declare.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_text::{Diagnostic, Diagnostics};
use andon_value::Value;

use super::{item_span, key_span};
use crate::definitions::{Environment, Project, Stack, Variable};
use crate::eval::evaluate;
use crate::given::{given_value, undeclared};
use crate::shape::suggest;
use crate::variable::Constants;

pub(super) fn check(project: &Project, out: &mut Diagnostics) {
    let declared: BTreeSet<&Arc<str>> =
        project.stacks.values().flat_map(|stack| stack.module.variables.keys()).collect();
    let assigned = assigned(project, out);
    for environment in project.environments.values() {
        check_one(project, environment, &declared, &assigned, out);
    }
}

/// The stacks' variables that their own files give a value, by stack and name.
fn assigned(project: &Project, out: &mut Diagnostics) -> BTreeSet<(Arc<str>, Arc<str>)> {
    let mut assigned = BTreeSet::new();
    for stack in project.stacks.values() {
        let scope = Constants(project.inputs(&stack.module.directory));
        for (name, assignment) in &stack.assignments {
            assigned.insert((stack.name.clone(), name.clone()));
            let value = evaluate(&assignment.value, &scope);
            match (value, stack.module.variables.get(name)) {
                (Err(errors), _) => out.extend(errors),
                (Ok(value), Some(variable)) => {
                    let errors = variable.value(Some(value), "variable").err().into_iter().flatten();
                    out.extend(errors.map(|error| error.at(assignment.value.span)));
                }
                (Ok(_), None) => {}
            }
        }
        out.extend(undeclared(&stack.assignments, &[stack]));
        for (name, variable) in &stack.module.variables {
            if project.outside.gives(name) {
                assigned.insert((stack.name.clone(), name.clone()));
                out.extend(outside(project, stack, variable));
            }
        }
    }
    assigned
}

/// What is wrong with a value from outside of the project's files.
fn outside(project: &Project, stack: &Stack, variable: &Variable) -> Diagnostics {
    let given = match given_value(project, "", stack, variable) {
        Ok(given) => given,
        Err(errors) => return errors,
    };
    let Some(given) = given else { return Diagnostics::new() };
    let errors = variable.value(Some(given.value), "variable").err().into_iter().flatten();
    let placed = errors.map(|error| error.at(given.span).related(variable.span, "the variable is defined here"));
    placed.collect()
}

fn check_one(
    project: &Project,
    environment: &Environment,
    declared: &BTreeSet<&Arc<str>>,
    assigned: &BTreeSet<(Arc<str>, Arc<str>)>,
    out: &mut Diagnostics,
) {
    let scope = Constants(project.inputs(""));
    let value = environment.variables.as_ref().map_or(Ok(Value::NULL), |expr| evaluate(expr, &scope));
    let value = match value {
        Ok(value) => value,
        Err(errors) => return out.extend(errors),
    };
    let nothing = BTreeMap::new();
    let entries = value.as_entries().map_or(&nothing, |entries| &**entries);
    if let Some(expr) = &environment.variables
        && value.as_entries().is_none()
        && !value.is_unknown()
    {
        let diagnostic = Diagnostic::error("\"variables\" is an object of values by name").at(expr.span);
        return out.push(diagnostic.help("Write it as: variables = { NAME = VALUE }"));
    }
    for name in entries.keys().filter(|name| !declared.contains(name)) {
        let place = environment.variables.as_ref().and_then(|expr| key_span(expr, name)).or(environment.span);
        let diagnostic =
            Diagnostic::warning(format!("no stack has a variable \"{name}\"")).named(Diagnostic::UNDECLARED);
        out.push(suggest(Diagnostic { span: place, ..diagnostic }, name, declared.iter().map(|name| &***name)));
    }
    for stack in project.stacks.values() {
        for (name, variable) in &stack.module.variables {
            match entries.get(name) {
                Some(value) => {
                    let errors = variable.value(Some(value.clone()), "variable").err().into_iter().flatten();
                    out.extend(errors.map(|error| {
                        let written = environment.variables.as_ref();
                        let span =
                            error.span.or_else(|| written.map(|expr| item_span(expr, name).unwrap_or(expr.span)));
                        Diagnostic { span, ..error.related(variable.span, "the variable is defined here") }
                    }));
                }
                None if variable.default.is_some() || assigned.contains(&(stack.name.clone(), name.clone())) => {}
                None => {
                    // An environment that is there without a block may get its values on the command line.
                    let Some(span) = environment.span else { continue };
                    let of =
                        if stack.name.is_empty() { String::new() } else { format!(" of stack \"{}\"", stack.name) };
                    let summary =
                        format!("environment \"{}\" gives no value to the variable \"{name}\"{of}", environment.name);
                    let help = format!("Give it one: variables = {{ {name} = … }}, or a default where it is defined.");
                    let diagnostic = Diagnostic::error(summary).named(Diagnostic::MISSING_VALUE).help(help).at(span);
                    out.push(diagnostic.related(variable.span, "defined here without a default"));
                }
            }
        }
    }
}
