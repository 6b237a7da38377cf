//! The definitions that a run tests: the stack, or the module in its place, with what the test puts in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind, Ident};
use andon_lang::definitions::{
    Module, ModuleCall, OutputDefinition, Override, Project, ProviderKey, Stack, StackTest, Target, TestProvider,
    TestRun, Trial,
};
use andon_lang::eval::evaluate;
use andon_ledger::Outputs;
use andon_plan::STACK_DATA;
use andon_schema::Mode;
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::Value;

use super::scope::{TestScope, Variables};
use super::world::{Given, MockedProvider, Rules};

/// What a run is made from.
pub(super) struct Prepared {
    pub project: Arc<Project>,
    pub rules: Rules,
    /// What other stacks are said to have published.
    pub published: Vec<(Arc<str>, Outputs)>,
}

pub(super) fn prepare(
    base: &Project,
    test: &StackTest,
    run: &TestRun,
    stack: &Stack,
    variables: Variables,
    scope: &TestScope<'_>,
) -> Result<Prepared, Diagnostics> {
    let mut problems = Diagnostics::new();
    let place = |span: Option<Span>| Arc::from(span.map(|span| base.sources.locate(span)).unwrap_or_default());
    let mut module = Module::clone(run.module.as_ref().unwrap_or(&stack.module));
    let mut trial = Trial { variables, ..Trial::default() };
    trial.names.insert("run".into(), scope.runs.clone());
    let mut rules = Rules::default();
    let providers = chosen(test, run, &mut problems);
    for (key, provider) in &providers {
        let address = module.provider_address(&key.0);
        module.providers.insert(key.clone(), provider.definition.clone());
        let Some(mock) = &provider.mock else { continue };
        trial.mocked.insert(key.clone());
        let mut mocked = MockedProvider { during_plan: mock.during_plan, ..MockedProvider::default() };
        for (ty, found) in &mock.types {
            let values = values(found.values.as_ref(), scope, &mut problems);
            let during_plan = found.during_plan.unwrap_or(mock.during_plan);
            let place = place(found.values.as_ref().map(|expr| expr.span));
            mocked.types.insert(ty.clone(), Given { values, during_plan, place });
        }
        rules.mocked.insert((address, key.1.clone()), mocked);
    }
    let of_mocks = providers.values().filter_map(|provider| provider.mock.as_ref());
    let of_mocks = of_mocks.flat_map(|mock| mock.overrides.iter().map(|it| (it, mock.during_plan)));
    let all = run.overrides.iter().chain(&test.overrides).map(|it| (it, false)).chain(of_mocks);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut published = Vec::new();
    for (found, during) in all {
        let given = values(found.values.as_ref(), scope, &mut problems);
        if found.target.resource.is_some() {
            let during_plan = found.during_plan.unwrap_or(during);
            published.extend(other_stack(&module, &found.target, &given, scope));
            let place = place(Some(found.values.as_ref().map_or(found.span, |expr| expr.span)));
            rules.overrides.push((found.target.clone(), Given { values: given, during_plan, place }));
        } else if seen.insert(path(&found.target)) {
            replace_module(&mut module, found, given, &mut trial, &mut problems);
        }
    }
    let name = Arc::clone(&stack.name);
    let stack = Stack { module: Arc::new(module), ..stack.clone() };
    let mut project = Project {
        stacks: BTreeMap::from([(Arc::clone(&name), stack)]),
        trial: Some(Arc::new(trial)),
        bodies: BTreeMap::new(),
        ..base.clone()
    };
    for (other, stack) in &base.stacks {
        project.stacks.entry(Arc::clone(other)).or_insert_with(|| stack.clone());
    }
    if problems.has_errors() { Err(problems) } else { Ok(Prepared { project: Arc::new(project), rules, published }) }
}

/// The configurations of providers that a run gets from its file: those that it names, or else all.
fn chosen(test: &StackTest, run: &TestRun, problems: &mut Diagnostics) -> BTreeMap<ProviderKey, TestProvider> {
    let Some(passed) = &run.providers else { return test.providers.clone() };
    let mut chosen = BTreeMap::new();
    for (key, reference) in passed {
        match test.providers.get(&reference.block()) {
            Some(provider) => drop(chosen.insert(key.clone(), provider.clone())),
            None => problems.push(
                Diagnostic::error("the file has no such configuration of a provider")
                    .at(reference.span)
                    .help("Add a `provider` or `mock_provider` block of this name and alias to the file."),
            ),
        }
    }
    chosen
}

fn values(expr: Option<&Expr>, scope: &TestScope<'_>, problems: &mut Diagnostics) -> Value {
    let Some(expr) = expr else { return Value::NULL };
    match evaluate(expr, scope) {
        Ok(value) if value.is_null() || value.as_entries().is_some() => value,
        Ok(_) => {
            problems.push(Diagnostic::error("values are given as an object").at(expr.span));
            Value::NULL
        }
        Err(errors) => {
            problems.extend(errors);
            Value::NULL
        }
    }
}

/// What another stack published, by the override of the `data "andon_stack"` that reads it: no provider is asked for that.
fn other_stack(module: &Module, target: &Target, given: &Value, scope: &TestScope<'_>) -> Option<(Arc<str>, Outputs)> {
    let (key, _) = target.resource.as_ref().filter(|(key, _)| key.mode == Mode::Data && *key.kind == *STACK_DATA)?;
    let mut at = module;
    for step in target.module.iter() {
        at = &at.calls.get(&step.name)?.module;
    }
    let name = at.resources.get(key)?.body.attribute("name")?;
    let name = evaluate(&name.value, scope).ok()?;
    let outputs = given.get("outputs")?.as_entries()?;
    Some((Arc::clone(name.as_str()?), (**outputs).clone()))
}

fn path(target: &Target) -> String {
    target.module.iter().map(|step| &*step.name).collect::<Vec<_>>().join(".")
}

/// Puts a module in a called one's place that has nothing but outputs, of the given values; null where none is given.
fn replace_module(root: &mut Module, found: &Override, given: Value, trial: &mut Trial, problems: &mut Diagnostics) {
    // No source can write a name with a space in it.
    let name: Arc<str> = format!("module {}", path(&found.target)).into();
    let steps: Vec<&str> = found.target.module.iter().map(|step| &*step.name).collect();
    let mut outputs = BTreeMap::new();
    let done = change(root, &steps, &mut |call: &mut ModuleCall| {
        let mut hollow = Module {
            directory: Arc::clone(&call.module.directory),
            settings: call.module.settings.clone(),
            variables: call.module.variables.clone(),
            ..Module::default()
        };
        for (output, definition) in &call.module.outputs {
            outputs.insert(Arc::clone(output), given.get(output).cloned().unwrap_or(Value::NULL));
            let place = Expr { kind: ExprKind::Variable(Arc::clone(&name)), span: definition.value.span };
            let member = Ident { name: Arc::clone(output), span: definition.value.span };
            let kind = ExprKind::Attribute { target: Box::new(place), name: member };
            let value = Expr { kind, span: definition.value.span };
            let definition =
                OutputDefinition { value, depends_on: Vec::new(), preconditions: Vec::new(), ..definition.clone() };
            hollow.outputs.insert(Arc::clone(output), definition);
        }
        call.module = Arc::new(hollow);
    });
    trial.names.insert(name, Value::object(outputs));
    if !done {
        let diagnostic = Diagnostic::error("there is no such module to override").at(found.target.span);
        problems.push(diagnostic.help("Name a `module` block of what is tested."));
    }
}

/// Changes the call that a way leads to; false where there is none.
fn change(module: &mut Module, way: &[&str], work: &mut dyn FnMut(&mut ModuleCall)) -> bool {
    let Some((first, rest)) = way.split_first() else { return false };
    let Some(call) = module.calls.get_mut(*first) else { return false };
    let call = Arc::make_mut(call);
    if rest.is_empty() {
        work(call);
        return true;
    }
    andon_text::deeper(|| change(Arc::make_mut(&mut call.module), rest, work))
}

/// The resources that overrides of a run name and that what is tested does not have: said as a warning.
pub(super) fn idle(rules: &Rules, module: &Module) -> Diagnostics {
    let missing = rules.overrides.iter().filter(|(target, _)| {
        let mut at = module;
        for step in target.module.iter() {
            match at.calls.get(&step.name) {
                Some(call) => at = &call.module,
                None => return true,
            }
        }
        target.resource.as_ref().is_some_and(|(key, _)| !at.resources.contains_key(key))
    });
    let told = missing.map(|(target, _)| {
        let what = target.resource.as_ref().map_or(Mode::Managed, |(key, _)| key.mode).noun();
        Diagnostic::warning(format!("what is tested has no such {what}")).at(target.span).label("nothing is overridden")
    });
    told.collect()
}
