//! What a file of tests of a stack defines, once its shape is known. What is wrong with it is said by [`super::stack_test`].

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Block, Body, ExprKind};
use andon_schema::Mode;
use andon_text::{Diagnostic, Severity};

use super::module::{self, Modules};
use super::{Loader, blocks, called, settings};
use crate::definitions::{
    Assignment, Mock, MockProvider, Module, Override, Project, ProviderDefinition, ProviderKey, RunOptions, Stack,
    StackTest, Target, TestProvider, TestRun,
};
use crate::files::resolve;
use crate::shape::{MOCK_FILE, PROVIDER};

/// The stack that a file tests: the one whose directory it belongs to; of those of the project's own directory, the stack
/// that its name is or begins with.
pub(super) fn owner<'p>(project: &'p Project, directory: &str, path: &str) -> Option<&'p Stack> {
    let beside = |stack: &&Stack| *stack.module.directory == *directory;
    if let Some(stack) = project.stacks.values().find(beside) {
        return Some(stack);
    }
    if let (1, Some(only)) = (project.stacks.len(), project.stacks.values().next()) {
        return Some(only);
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.strip_suffix(".tftest.hcl").or_else(|| file.strip_suffix(".tftest.json")).unwrap_or(file);
    let named = |stack: &&Stack| {
        let rest = stem.strip_prefix(&*stack.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_', '-']))
    };
    project.stacks.values().filter(named).max_by_key(|stack| stack.name.len())
}

/// What a file defines.
pub(super) fn read(
    loader: &mut Loader<'_>,
    stack: &Stack,
    modules: &mut Modules,
    path: &Arc<str>,
    body: &Body,
    assignments: &BTreeMap<Arc<str>, Assignment>,
) -> StackTest {
    let directory = Arc::clone(&stack.module.directory);
    let mut providers: BTreeMap<ProviderKey, TestProvider> = settings::providers(loader, body)
        .into_iter()
        .map(|(key, definition)| (key, TestProvider { definition, mock: None }))
        .collect();
    for block in blocks(body, "mock_provider", 1) {
        if let Some((key, provider)) = mock_provider(loader, &directory, block) {
            providers.entry(key).or_insert(provider);
        }
    }
    let settings = blocks(body, "test", 0).next();
    let parallel = settings.is_some_and(|block| loader.flag(&block.body, "parallel", false));
    let overrides = overrides(loader, body);
    let mut runs: Vec<Arc<TestRun>> = Vec::new();
    for block in blocks(body, "run", 1) {
        let Some(name) = block.labels.first() else { continue };
        if runs.iter().all(|run| run.name.name != name.name) {
            runs.push(Arc::new(run(loader, &directory, modules, block)));
        }
    }
    let (path, stack, variables) = (Arc::clone(path), Arc::clone(&stack.name), variables(body));
    let assignments = assignments.clone();
    StackTest { path, stack, variables, assignments, providers, overrides, runs, parallel }
}

fn run(loader: &mut Loader<'_>, directory: &Arc<str>, modules: &mut Modules, block: &Block) -> TestRun {
    let body = &block.body;
    let name = block.labels.first().cloned().unwrap_or_else(|| block.kind.clone());
    let options = blocks(body, "plan_options", 0).next().map(|options| &options.body);
    let targets = |loader: &mut Loader<'_>, name: &str| -> Vec<Target> {
        let all = options.map(|options| loader.references(options, name)).unwrap_or_default();
        all.iter().filter_map(|expr| loader.target(expr)).collect()
    };
    // What is no address is only told, as in Terraform: a plan that is not carried out need not know it.
    let before = std::mem::take(&mut loader.out);
    let (replace, target) = (targets(loader, "replace"), targets(loader, "target"));
    let told = std::mem::replace(&mut loader.out, before);
    loader.out.extend(told.into_iter().map(|it| Diagnostic { severity: Severity::Warning, ..it }));
    let options = RunOptions {
        refresh_only: options.is_some_and(|options| is_word(options, "mode", "refresh-only")),
        refresh: options.is_none_or(|options| loader.flag(options, "refresh", true)),
        replace,
        target,
    };
    let module = blocks(body, "module", 0).next().map(|module| other_module(loader, directory, modules, module, block));
    TestRun {
        applies: !is_word(body, "command", "plan"),
        options,
        variables: variables(body),
        module,
        providers: body.attribute("providers").is_some().then(|| settings::passed(loader, block)),
        asserts: module::conditions(body, "assert"),
        expected: loader.references(body, "expect_failures"),
        overrides: overrides(loader, body),
        state_key: loader.text(body, "state_key").map(|key| key.name),
        parallel: body.attribute("parallel").is_some().then(|| loader.flag(body, "parallel", false)),
        span: block.head,
        name,
    }
}

/// The module that a run tests in place of the stack; an empty one where it is not there.
fn other_module(
    loader: &mut Loader<'_>,
    directory: &Arc<str>,
    modules: &mut Modules,
    module: &Block,
    run: &Block,
) -> Arc<Module> {
    // It is called as a `module` block of the run's name would call it.
    let call = Block { labels: run.labels.clone(), ..module.clone() };
    let found = called::directory(loader, directory, &call);
    found.and_then(|(path, at)| module::called(loader, modules, at, &path)).unwrap_or_default()
}

fn variables(body: &Body) -> BTreeMap<Arc<str>, Assignment> {
    let all = blocks(body, "variables", 0).flat_map(|block| block.body.attributes());
    all.map(|attribute| {
        let assignment = Assignment { name: attribute.name.clone(), value: attribute.value.clone() };
        (attribute.name.name.clone(), assignment)
    })
    .collect()
}

/// The `override_…` blocks of a body.
fn overrides(loader: &mut Loader<'_>, body: &Body) -> Vec<Override> {
    let mut all = Vec::new();
    for block in body.blocks().filter(|block| block.kind.name.starts_with("override_") && block.labels.is_empty()) {
        let Some(target) = block.body.attribute("target") else { continue };
        let Some(target) = loader.target(&target.value) else { continue };
        if target.resource.is_none() && target.module.iter().any(|step| step.key.is_some()) {
            let diagnostic = Diagnostic::error("a single instance of a module cannot be overridden").at(target.span);
            loader.out.push(diagnostic.help("Name the whole module, without a key in brackets."));
            continue;
        }
        let values = ["values", "outputs"].iter().find_map(|name| block.body.attribute(name));
        all.push(Override {
            target,
            values: values.map(|attribute| attribute.value.clone()),
            during_plan: during(&block.body),
            span: block.head,
        });
    }
    all
}

fn mock_provider(loader: &mut Loader<'_>, directory: &Arc<str>, block: &Block) -> Option<(ProviderKey, TestProvider)> {
    let name = block.labels.first()?.clone();
    let alias = loader.text(&block.body, "alias");
    let during_plan = during(&block.body) == Some(true);
    let mut mock = MockProvider { during_plan, ..MockProvider::default() };
    if let Some(source) = loader.text(&block.body, "source") {
        let folder = resolve(directory, &source.name).unwrap_or_default();
        let mut paths = loader.paths(&folder, ".tfmock.hcl");
        paths.extend(loader.paths(&folder, ".tfmock.json"));
        paths.sort();
        if paths.is_empty() {
            let diagnostic = Diagnostic::warning("there are no mocks in this directory").at(source.span);
            loader.out.push(diagnostic.help("Name a directory with *.tfmock.hcl files; the path starts at the stack."));
        }
        for path in paths {
            let body = loader.body(&path, &MOCK_FILE);
            mocks(loader, &body, &mut mock);
        }
    }
    mocks(loader, &block.body, &mut mock);
    let key = (name.name.clone(), alias.as_ref().map(|alias| alias.name.clone()));
    let definition = ProviderDefinition {
        name,
        alias,
        version: None,
        for_each: None,
        body: PROVIDER.rest(&Block { body: Body::default(), ..block.clone() }),
        span: block.head,
    };
    Some((key, TestProvider { definition, mock: Some(mock) }))
}

/// What a body says of mocks: over what was said before.
fn mocks(loader: &mut Loader<'_>, body: &Body, mock: &mut MockProvider) {
    for (kind, mode) in [("mock_resource", Mode::Managed), ("mock_data", Mode::Data)] {
        for block in blocks(body, kind, 1) {
            let Some(of) = block.labels.first() else { continue };
            let values = block.body.attribute("defaults").map(|attribute| attribute.value.clone());
            mock.types.insert((mode, of.name.clone()), Mock { values, during_plan: during(&block.body) });
        }
    }
    mock.overrides.extend(overrides(loader, body));
}

fn during(body: &Body) -> Option<bool> {
    body.attribute("override_during").map(|_| is_word(body, "override_during", "plan"))
}

/// Whether an argument is a word. Words with a hyphen are one name.
fn is_word(body: &Body, name: &str, word: &str) -> bool {
    let value = body.attribute(name).map(|attribute| &attribute.value.kind);
    match value {
        Some(ExprKind::Variable(name)) => **name == *word,
        Some(ExprKind::Template(_)) => body
            .attribute(name)
            .and_then(|attribute| crate::literal::string(&attribute.value))
            .is_some_and(|text| *text == *word),
        _ => false,
    }
}
