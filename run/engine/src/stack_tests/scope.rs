//! What the expressions of a test file that stand in no module may read: variables, and what earlier runs gave.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_lang::GivenValue;
use andon_lang::definitions::{Assignment, Module, Project, Stack};
use andon_lang::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};
use andon_lang::given_value;
use andon_text::{Diagnostic, Diagnostics, nearest};
use andon_value::{Value, convert};

/// Values of variables by name, and where each is given.
pub(super) type Variables = BTreeMap<Arc<str>, GivenValue>;

/// Names and what they mean.
pub(super) struct TestScope<'a> {
    pub project: &'a Project,
    /// The directory that paths start from.
    pub base: &'a str,
    pub variables: &'a Variables,
    /// What each finished run gave, as an object.
    pub runs: &'a Value,
}

impl Scope for TestScope<'_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let unknown = |diagnostic: Diagnostic, name: &str, known: Vec<&str>| match nearest(name, known.iter().copied())
        {
            Some(near) => diagnostic.help(format!("Did you mean \"{near}\"?")),
            None => diagnostic,
        };
        match (&**root.name, steps.first()) {
            ("var", Some(Step::Attribute(name, at))) => match self.variables.get(name) {
                Some(given) => Ok(Resolved { value: given.value.clone(), used: 1 }),
                None => {
                    let diagnostic = Diagnostic::error(format!("there is no value of a variable {name:?} here"));
                    let known = self.variables.keys().map(|name| &**name).collect();
                    Err(unknown(diagnostic.at(root.span.to(*at)), name, known))
                }
            },
            ("run", Some(Step::Attribute(name, at))) => match self.runs.get(name) {
                Some(value) => Ok(Resolved { value: value.clone(), used: 1 }),
                None => {
                    let diagnostic = Diagnostic::error(format!("no run {name:?} has ended before this one"));
                    let known = self.runs.as_entries().map(|runs| runs.keys().map(|name| &**name).collect());
                    let diagnostic = diagnostic.at(root.span.to(*at));
                    let diagnostic = diagnostic.help("Name a run further up in the file, one that was not skipped.");
                    Err(unknown(diagnostic, name, known.unwrap_or_default()))
                }
            },
            (name, _) => Err(Diagnostic::error(format!("`{name}` cannot be read here"))
                .at(root.span)
                .help("Read `var.NAME`, or what an earlier run gave: `run.NAME.OUTPUT`.")),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        self.project.inputs(self.base)
    }
}

/// What the variables of a stack are given from outside of the test, and their defaults.
pub(super) fn outer(project: &Project, environment: &str, stack: &Stack) -> Variables {
    let mut all = Variables::new();
    // Of the variables that only a module in the stack's place has, those that are given a value.
    let of_tests = project.tested_modules().flat_map(|module| &module.variables);
    for (name, variable) in of_tests.filter(|(name, _)| !stack.module.variables.contains_key(*name)) {
        if let Ok(Some(given)) = given_value(project, environment, stack, variable) {
            all.entry(Arc::clone(name)).or_insert(given);
        }
    }
    for (name, variable) in &stack.module.variables {
        // What is wrong with a value is said by the run that uses it.
        let Ok(given) = given_value(project, environment, stack, variable) else { continue };
        let span = given.as_ref().map_or(variable.span, |given| given.span);
        if let Ok(value) = variable.value(given.map(|given| given.value), "variable") {
            all.insert(Arc::clone(name), GivenValue { value, span });
        }
    }
    all
}

/// Adds the values of a `variables` block, converted where the module has such a variable.
pub(super) fn add(
    to: &mut Variables,
    written: &BTreeMap<Arc<str>, Assignment>,
    module: &Module,
    scope: &TestScope<'_>,
    problems: &mut Diagnostics,
) {
    for (name, assignment) in written {
        let span = assignment.value.span;
        match evaluate(&assignment.value, scope) {
            Ok(value) if !value.is_wholly_known() => problems.push(
                Diagnostic::error(format!("the value of {name:?} is not known"))
                    .at(span)
                    .detail("It reads what a run gave that only planned, and did not apply.")
                    .help("Take `command = plan` out of that run, or read something else."),
            ),
            Ok(value) => {
                let ty = module.variables.get(name).map(|variable| &variable.ty);
                // What does not fit is complained of where the variable takes it.
                let value = ty.and_then(|ty| convert(&value, ty).ok()).unwrap_or(value);
                to.insert(Arc::clone(name), GivenValue { value, span });
            }
            Err(errors) => problems.extend(errors),
        }
    }
}
