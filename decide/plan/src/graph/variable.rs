//! Input variables: where their values come from, and whether they may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_lang::definitions::Variable;
use andon_lang::{GivenValue, given_value};
use andon_schema::CheckedKind;
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::Value;

use super::Graph;
use super::checks::judge;
use super::evaluate::inside;
use super::view::{Constants, View, evaluate};
use crate::messages;

type Result<T> = std::result::Result<T, Diagnostics>;

/// The value of a variable of a module instance.
pub(super) fn variable(view: &mut View<'_>, name: &Arc<str>) -> Result<Value> {
    let (id, module) = (view.module_id(), view.module());
    let Some(variable) = module.module.variables.get(name) else { return Ok(Value::NULL) };
    let mut place = module
        .parent
        .as_ref()
        .map(|parent| parent.call.arguments.attribute(name).map_or(parent.call.span, |argument| argument.value.span));
    let given = match &module.parent {
        None => match view.graph().given(&module.stack, variable)? {
            Some(given) => {
                place = Some(given.span);
                Some(given.value)
            }
            None => None,
        },
        Some(parent) => match parent.call.arguments.attribute(name) {
            Some(argument) => {
                view.enter(parent.module, parent.each.clone());
                let value = evaluate(&argument.value, view)?;
                view.enter(id, super::expand::Each::One);
                if view.is_missing() {
                    return Ok(value);
                }
                Some(value)
            }
            None => None,
        },
    };
    let given = given.filter(|value| variable.nullable || !value.is_null());
    if given.is_none() && variable.default.is_none() {
        if view.graph().of_values && module.parent.is_none() && view.graph().modules.variables.is_some() {
            return Ok(Value::unknown(variable.ty.without_optional()).mark(variable.marks()));
        }
        // Without the environment's variables, which have been complained about, nothing can be said of this one.
        let unsaid = module.parent.is_none() && view.graph().modules.variables.is_none();
        return Err(if unsaid { Diagnostics::new() } else { missing(view, variable).into() });
    }
    let value = variable.value(given, "variable").map_err(|problems| placed(problems, place, variable))?;
    view.set_variable(Arc::clone(name), value.clone());
    let name = inside(view, &format!("var.{name}"));
    if let Err(problems) = judge(&variable.validations, CheckedKind::Variable, "validation", &name, view) {
        return Err(problems.into_iter().map(|problem| judged(problem, place, &name)).collect());
    }
    Ok(value)
}

/// Says where, where only the definition of the variable is known to be at fault or not at all.
fn placed(problems: Diagnostics, place: Option<Span>, variable: &Variable) -> Diagnostics {
    let placed = problems.into_iter().map(|problem| match (problem.span, place) {
        (Some(_), _) => problem,
        (None, Some(place)) => problem.at(place).related(variable.span, "the variable"),
        (None, None) => problem.at(variable.span),
    });
    placed.collect()
}

/// What does not hold of a value is told where the value is given, and points at the rule.
fn judged(problem: Diagnostic, place: Option<Span>, name: &str) -> Diagnostic {
    match (place, problem.span) {
        (Some(place), Some(rule)) if problem.subject.as_deref() == Some(name) => {
            let words = problem.label.clone();
            problem.at(place).label("this value is refused").related(rule, words)
        }
        _ => problem,
    }
}

fn missing(view: &View<'_>, variable: &Variable) -> Diagnostic {
    let name = &variable.name.name;
    match &view.module().parent {
        Some(parent) => Diagnostic::error(format!("missing argument {:?}", &**name))
            .at(parent.call.span)
            .detail("The module's variable has no default.")
            .related(variable.span, "the variable"),
        None => {
            let environment = &view.graph().input().environment;
            Diagnostic::error(format!("the variable {:?} has no value", &**name))
                .at(variable.span)
                .detail(format!("It has no default, and nothing gives it a value in the environment {environment:?}."))
                .help(format!("Give it one on the command line: -var {name}=…"))
                .help(format!(
                    "Or in terraform.tfvars, in `variables` of the environment {environment:?}, or as a default."
                ))
        }
    }
}

impl Graph {
    /// What a stack's variable is given, and where.
    fn given(&self, stack: &str, variable: &Variable) -> Result<Option<GivenValue>> {
        let project = &self.input.project;
        match project.stacks.get(stack) {
            // What is wrong with the environment's variables has been said.
            Some(stack) if self.modules.variables.is_some() => {
                given_value(project, &self.input.environment, stack, variable)
            }
            _ => Ok(None),
        }
    }

    /// `variables` of the environment, by name.
    pub(super) fn environment_variables(&mut self) -> Option<BTreeMap<Arc<str>, Value>> {
        let project = Arc::clone(&self.input.project);
        let Some(environment) = project.environments.get(&self.input.environment) else {
            let name = &self.input.environment;
            let diagnostic = Diagnostic::error(format!("there is no environment {name:?}"));
            let diagnostic = messages::unknown(diagnostic, name, project.environments.keys().map(|name| &**name));
            self.complain(diagnostic);
            return None;
        };
        let Some(expr) = &environment.variables else { return Some(BTreeMap::new()) };
        let value = match andon_lang::eval::evaluate(expr, &Constants(project.inputs(""))) {
            Ok(value) => value,
            Err(problems) => {
                self.problems.extend(problems);
                return None;
            }
        };
        let Some(entries) = value.as_entries() else {
            self.complain(Diagnostic::error("`variables` is a map of values by name").at(expr.span));
            return None;
        };
        Some((**entries).clone())
    }
}
