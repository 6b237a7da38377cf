//! Values that input variables of stacks are given, and which of them counts. From the weakest to the strongest:
//! `TF_VAR_*` of the process's environment, the stack's `terraform.tfvars` and `*.auto.tfvars`, `variables` of the
//! project's environment, what the command line says, and what a run of a test does, the later the stronger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind};
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span};
use andon_value::Value;

use crate::definitions::{Assignment, Project, Stack, Variable};
use crate::eval::evaluate;
use crate::load::{SecretNames, read_values};
use crate::shape::suggest;
use crate::variable::Constants;

/// Values from outside of the project's files, as they were given.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `TF_VAR_name` of the process's environment: names without the prefix, and texts.
    pub environment: Vec<(String, String)>,
    /// What the command line says, in its order.
    pub arguments: Vec<GivenArgument>,
    /// Whether they are for runs of tests, too: the modules that those have in a stack's place have variables of their own.
    pub to_tests: bool,
}

/// One argument of the command line that gives values.
#[derive(Debug, Clone)]
pub enum GivenArgument {
    /// `-var name=text`
    Text {
        /// The name.
        name: String,
        /// The text.
        text: String,
    },
    /// `-var-file path`
    File {
        /// The path, as the user wrote it.
        path: String,
        /// What is in the file.
        content: Arc<[u8]>,
    },
}

/// Values from outside of the project's files, by name.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    environment: BTreeMap<Arc<str>, OutsideValue>,
    arguments: BTreeMap<Arc<str>, OutsideValue>,
}

/// A value from outside.
#[derive(Debug, Clone)]
enum OutsideValue {
    /// Text, which is an expression where the variable's type is no text, number or truth.
    Text(Arc<str>, Span),
    /// From a file.
    Written(Assignment),
}

/// The value that a variable is given.
#[derive(Debug, Clone)]
pub struct GivenValue {
    /// The value, before it is converted to the variable's type.
    pub value: Value,
    /// Where it is given.
    pub span: Span,
}

/// At most so many values without a variable are each said of.
const SAID: usize = 2;

/// Adds values from outside to a project. Complains of values for variables that no stack has: those of the process's
/// environment alone may be for somebody else.
pub fn give(project: &mut Project, given: &Given) -> Diagnostics {
    let mut out = Diagnostics::new();
    let of_tests = project.tested_modules().filter(|_| given.to_tests);
    let of_tests: BTreeSet<Arc<str>> = of_tests.flat_map(|module| module.variables.keys().cloned()).collect();
    let of_stacks = project.stacks.values().flat_map(|stack| stack.module.variables.keys().cloned());
    let declared: BTreeSet<Arc<str>> = of_stacks.chain(of_tests.iter().cloned()).collect();
    let (mut sources, mut outside) = (std::mem::take(&mut project.sources), std::mem::take(&mut project.outside));
    let names = SecretNames::of_project(project);
    for (name, text) in given.environment.iter().filter(|(name, _)| declared.contains(name.as_str())) {
        let value = text_value(&mut sources, name, format!("TF_VAR_{name}"), text, &names);
        outside.environment.insert(name.as_str().into(), value);
    }
    for argument in &given.arguments {
        match argument {
            GivenArgument::Text { name, text } => {
                if !declared.contains(name.as_str()) {
                    let diagnostic = Diagnostic::error(format!("no stack has a variable \"{name}\""))
                        .detail(format!("-var gives \"{name}\" a value."));
                    out.push(suggest(diagnostic, name, declared.iter().map(|name| &**name)));
                    continue;
                }
                let value = text_value(&mut sources, name, format!("-var {name}"), text, &names);
                outside.arguments.insert(name.as_str().into(), value);
            }
            GivenArgument::File { path, content } => {
                let (values, problems) = read_values(&mut sources, path, content, &names);
                out.extend(problems);
                let mut unknown = values.clone();
                unknown.retain(|name, _| !of_tests.contains(name));
                out.extend(undeclared(&unknown, &project.stacks.values().collect::<Vec<_>>()));
                let values = values.into_iter().map(|(name, value)| (name, OutsideValue::Written(value)));
                outside.arguments.extend(values);
            }
        }
    }
    (project.sources, project.outside) = (sources, outside);
    out
}

/// The values that a project's stacks need and that nothing gives, in an environment: each variable once by name, with
/// the stacks' names.
pub fn missing_values<'p>(
    project: &'p Project,
    environment: &str,
    stacks: &[Arc<str>],
) -> BTreeMap<Arc<str>, Vec<(Arc<str>, &'p Variable)>> {
    let mut missing: BTreeMap<Arc<str>, Vec<(Arc<str>, &Variable)>> = BTreeMap::new();
    for stack in project.stacks.values().filter(|stack| stacks.is_empty() || stacks.contains(&stack.name)) {
        for (name, variable) in stack.module.variables.iter().filter(|(_, variable)| variable.default.is_none()) {
            // What is wrong with a value that is there is said elsewhere.
            if matches!(given_value(project, environment, stack, variable), Ok(None)) {
                missing.entry(name.clone()).or_default().push((stack.name.clone(), variable));
            }
        }
    }
    missing
}

/// What the input variables of a stack's root module come to in an environment, by name; without those that are there
/// only while a run lasts, and those with which something is wrong.
pub fn variable_values(project: &Project, environment: &str, stack: &Stack) -> BTreeMap<Arc<str>, Value> {
    let value = |variable: &Variable| {
        let given = given_value(project, environment, stack, variable).ok()?;
        // What is given must not last; a default is written down anyway.
        if variable.ephemeral && given.is_some() {
            return None;
        }
        variable.value(given.map(|given| given.value), "variable").ok()
    };
    let variables = stack.module.variables.iter();
    variables.filter_map(|(name, variable)| Some((Arc::clone(name), value(variable)?))).collect()
}

/// The value that a variable of a stack's root module is given in an environment; `None` where nothing gives one.
pub fn given_value(
    project: &Project,
    environment: &str,
    stack: &Stack,
    variable: &Variable,
) -> Result<Option<GivenValue>, Diagnostics> {
    let name = &variable.name.name;
    if let Some(value) = project.trial.as_ref().and_then(|trial| trial.variables.get(name)) {
        return Ok(Some(value.clone()));
    }
    if let Some(value) = project.outside.arguments.get(name) {
        return value.of(project, variable).map(Some);
    }
    let environment = project.environments.get(environment).and_then(|found| found.variables.as_ref());
    if let Some(found) = environment.map_or(Ok(None), |expr| item(project, expr, name))? {
        return Ok(Some(found));
    }
    if let Some(assignment) = stack.assignments.get(name) {
        let value = evaluate(&assignment.value, &Constants(project.inputs(&stack.module.directory)))?;
        return Ok(Some(GivenValue { value, span: assignment.value.span }));
    }
    project.outside.environment.get(name).map(|value| value.of(project, variable)).transpose()
}

impl Outside {
    /// Whether a variable of this name is given a value from outside.
    pub fn gives(&self, name: &str) -> bool {
        self.arguments.contains_key(name) || self.environment.contains_key(name)
    }
}

impl OutsideValue {
    fn of(&self, project: &Project, variable: &Variable) -> Result<GivenValue, Diagnostics> {
        let (text, span) = match self {
            OutsideValue::Written(assignment) => {
                let value = evaluate(&assignment.value, &Constants(project.inputs("")))?;
                return Ok(GivenValue { value, span: assignment.value.span });
            }
            OutsideValue::Text(text, span) => (text, *span),
        };
        if variable.takes_text() {
            return Ok(GivenValue { value: Value::string(text.clone()), span });
        }
        let (expr, problems) = andon_hcl::parse_expression(span.source, text);
        let value = match problems.has_errors() {
            true => Err(problems),
            false => evaluate(&expr, &Constants(project.inputs(""))),
        };
        let name = &variable.name.name;
        let help = format!("The type of \"{name}\" is {}: write the value as an expression.", variable.ty);
        let helped = |problems: Diagnostics| -> Diagnostics {
            problems.into_iter().map(|problem| problem.help(help.clone())).collect()
        };
        Ok(GivenValue { value: value.map_err(helped)?, span })
    }
}

/// What to say of values that no variable takes: of a few each by itself, then of how many more there are.
pub(crate) fn undeclared(values: &BTreeMap<Arc<str>, Assignment>, stacks: &[&Stack]) -> Diagnostics {
    let names = || stacks.iter().flat_map(|stack| stack.module.variables.keys());
    let mut unknown: Vec<&Assignment> = values.values().collect();
    unknown.retain(|assignment| !stacks.iter().any(|stack| stack.module.variables.contains_key(&assignment.name.name)));
    unknown.sort_by_key(|assignment| assignment.name.span);
    let who = if let [_] = stacks { "the stack has" } else { "no stack has" };
    let what = if let [_] = stacks { "no variable" } else { "a variable" };
    let mut out = Diagnostics::new();
    for assignment in unknown.iter().take(SAID) {
        let name = &assignment.name.name;
        let diagnostic = Diagnostic::warning(format!("{who} {what} \"{name}\"")).at(assignment.name.span);
        let diagnostic = diagnostic.named(Diagnostic::UNDECLARED);
        let diagnostic = diagnostic.label("this value is not used");
        out.push(suggest(diagnostic, name, names().map(|name| &**name)));
    }
    if let Some(first) = unknown.get(SAID) {
        let more = unknown.len() - SAID;
        let noun = if more == 1 { "value has" } else { "values have" };
        let diagnostic = Diagnostic::warning(format!("{more} more {noun} no variable")).at(first.name.span);
        out.push(diagnostic.help("Take them out, or define variables of these names."));
    }
    out
}

fn text_value(sources: &mut SourceMap, name: &str, path: String, text: &str, names: &SecretNames<'_>) -> OutsideValue {
    let id = sources.add(path, text);
    if names.hides(name) {
        sources.hide(Span::new(id, 0, text.len()));
    }
    OutsideValue::Text(text.into(), Span::new(id, 0, text.len()))
}

/// One entry of the environment's `variables`. Where those are written out, the others are not evaluated.
fn item(project: &Project, expr: &Expr, name: &str) -> Result<Option<GivenValue>, Diagnostics> {
    let scope = Constants(project.inputs(""));
    if let ExprKind::Object(items) = &expr.kind
        && items.iter().all(|item| key(&item.key).is_some())
    {
        let found = items.iter().rev().find(|item| key(&item.key).is_some_and(|key| *key == *name));
        let Some(found) = found else { return Ok(None) };
        let value = evaluate(&found.value, &scope)?;
        return Ok(Some(GivenValue { value, span: found.value.span }));
    }
    let value = evaluate(expr, &scope)?;
    Ok(value.get(name).map(|value| GivenValue { value: value.clone(), span: expr.span }))
}

fn key(expr: &Expr) -> Option<Arc<str>> {
    match &expr.kind {
        ExprKind::Variable(name) => Some(name.clone()),
        _ => crate::literal::string(expr),
    }
}
