//! `*.tftest.hcl` and `*.tftest.json`: tests of stacks in Terraform's test language, beside a stack's files or in its
//! `tests` directory, or in the project's. Here is what is wrong with them; what they define is read by
//! [`super::test_runs`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Expr, ExprKind};
use andon_schema::Mode;
use andon_text::{Diagnostic, SourceId, Span};

use super::module::Modules;
use super::{Loader, blocks, test_runs, values};
use crate::definitions::{Project, StackTest};
use crate::files::resolve;
use crate::reference::{name_at, static_traversals};
use crate::shape::{STACK_TEST_FILE, twice};

pub(super) fn load(
    loader: &mut Loader<'_>,
    project: &Project,
    modules: &mut Modules,
    tests: &str,
) -> Vec<Arc<StackTest>> {
    let directories: BTreeSet<Arc<str>> =
        project.stacks.values().map(|stack| stack.module.directory.clone()).chain(["".into()]).collect();
    let mut all = Vec::new();
    for directory in directories {
        let tests = resolve(&directory, tests).unwrap_or_default();
        let folders: BTreeSet<&str> = [&*directory, &tests].into();
        for folder in folders {
            let mut paths = loader.paths(folder, ".tftest.hcl");
            paths.extend(loader.paths(folder, ".tftest.json"));
            paths.sort();
            // Beside the stack they are the stack's.
            let assignments = match paths.is_empty() || *folder == *directory {
                true => BTreeMap::new(),
                false => values::assignments(loader, folder),
            };
            for path in paths {
                let body = loader.body(&path, &STACK_TEST_FILE);
                file(loader, &path, &body);
                match test_runs::owner(project, &directory, &path) {
                    Some(stack) => {
                        all.push(Arc::new(test_runs::read(loader, stack, modules, &path, &body, &assignments)))
                    }
                    None => loader.out.extend(ownerless(loader.ids.get(&path).copied(), project)),
                }
            }
        }
    }
    all
}

/// A file whose stack is not known.
fn ownerless(source: Option<SourceId>, project: &Project) -> Option<Diagnostic> {
    let diagnostic = Diagnostic::error("it is not known which stack this file tests").at(Span::new(source?, 0, 0));
    let names: Vec<&str> = project.stacks.keys().map(|name| &**name).collect();
    Some(match names.first() {
        Some(first) => diagnostic.detail(format!("The project has the stacks {}.", names.join(", "))).help(format!(
            "Put it into stacks/{first}/tests, or have its name begin with the stack's: tests/{first}.tftest.hcl"
        )),
        None => diagnostic.help("Define a stack: a directory of *.tf files in stacks/."),
    })
}

fn file(loader: &mut Loader<'_>, path: &Arc<str>, body: &Body) {
    for block in blocks(body, "run", 1) {
        if let Some(name) = loader.named(block, 0) {
            loader.define("run", path, name);
        }
        run(loader, &block.body);
    }
    overrides(loader, body);
    values_only(loader, body);
    let mut providers: BTreeMap<String, (Span, bool)> = BTreeMap::new();
    for block in body.blocks().filter(|block| matches!(&*block.kind.name, "provider" | "mock_provider")) {
        let [name] = block.labels.as_slice() else { continue };
        let alias = loader.text(&block.body, "alias");
        let name = alias.map_or(name.name.to_string(), |alias| format!("{}.{}", name.name, alias.name));
        match providers.get(&name) {
            // Two `provider` blocks are complained of as in any other file.
            Some((first, mocked)) if *mocked || &*block.kind.name == "mock_provider" => {
                loader.out.push(twice("provider", &name, block.head, *first));
            }
            Some(_) => {}
            None => drop(providers.insert(name, (block.head, &*block.kind.name == "mock_provider"))),
        }
        if &*block.kind.name == "mock_provider" {
            mock_provider(loader, &block.body);
        }
    }
}

fn run(loader: &mut Loader<'_>, body: &Body) {
    one_of(loader, body, "command", &["apply", "plan"]);
    for options in blocks(body, "plan_options", 0) {
        plan_options(loader, &options.body);
    }
    if let Some(Block { body: module, .. }) = blocks(body, "module", 0).next() {
        loader.text(module, "source");
        loader.text(module, "version");
    }
    for expected in loader.references(body, "expect_failures") {
        expected_failure(loader, &expected);
    }
    for assert in blocks(body, "assert", 0) {
        let Some(condition) = assert.body.attribute("condition").map(|attribute| &attribute.value) else { continue };
        if static_traversals(condition).is_empty() && condition.kind != ExprKind::Invalid {
            let diagnostic = Diagnostic::error("this condition refers to nothing").at(condition.span);
            let diagnostic = diagnostic.label("it is always the same, whatever the stack does");
            loader.out.push(diagnostic.help("Refer to an output, a resource or a variable of the stack."));
        }
    }
    overrides(loader, body);
    values_only(loader, body);
}

fn plan_options(loader: &mut Loader<'_>, body: &Body) {
    one_of(loader, body, "mode", &["normal", "refresh-only"]);
    let refresh = loader.flag(body, "refresh", true);
    // `refresh-only` is read as one name.
    let only = body.attribute("mode").is_some_and(|mode| is_word(&mode.value, "refresh-only"));
    if let (true, false, Some(attribute)) = (only, refresh, body.attribute("refresh")) {
        let diagnostic = Diagnostic::error("a plan that only refreshes cannot leave that out").at(attribute.span);
        loader.out.push(diagnostic.help("Remove refresh = false, or mode = refresh-only."));
    }
    for name in ["replace", "target"] {
        loader.references(body, name);
    }
}

/// What can be made to fail: something whose checks a run evaluates.
fn expected_failure(loader: &mut Loader<'_>, expr: &Expr) {
    let found = static_traversals(expr);
    let root = found.first().map(|reference| &**reference.root);
    let refused = match (root, found.first().and_then(|reference| name_at(reference, 0))) {
        (Some("local" | "path" | "terraform" | "each" | "count" | "self" | "module" | "run"), _) => true,
        (Some(_), None) => true,
        (None, _) => expr.kind != ExprKind::Invalid,
        _ => false,
    };
    if refused {
        let diagnostic = Diagnostic::error("nothing here can be expected to fail").at(expr.span);
        let diagnostic = diagnostic.label("this has no conditions");
        loader.out.push(diagnostic.help("Name a variable, an output, a check block, a resource or a data source."));
    }
}

/// The `override_…` blocks of a file, a run or a mocked provider.
fn overrides(loader: &mut Loader<'_>, body: &Body) {
    let mut seen: BTreeMap<(String, String), Span> = BTreeMap::new();
    for block in body.blocks() {
        let kind = &*block.kind.name;
        let (wanted, values) = match kind {
            "override_resource" => ("a resource", "values"),
            "override_data" => ("a data source", "values"),
            "override_module" => ("a module", "outputs"),
            _ => continue,
        };
        one_of(loader, &block.body, "override_during", &["apply", "plan"]);
        object(loader, &block.body, values);
        let Some(attribute) = block.body.attribute("target") else { continue };
        let Some(target) = loader.target(&attribute.value) else { continue };
        let fits = match (&target.resource, kind) {
            (None, kind) => kind == "override_module",
            (Some((resource, _)), "override_resource") => resource.mode == Mode::Managed,
            (Some((resource, _)), "override_data") => resource.mode == Mode::Data,
            _ => false,
        };
        if !fits {
            let diagnostic = Diagnostic::error(format!("the target of {kind} is {wanted}")).at(attribute.value.span);
            loader.out.push(diagnostic.label(format!("this is not the address of {wanted}")));
            continue;
        }
        let written = loader.sources.text(attribute.value.span).to_owned();
        match seen.get(&(kind.to_owned(), written.clone())) {
            Some(first) => loader.out.push(twice(kind, &written, block.head, *first)),
            None => drop(seen.insert((kind.to_owned(), written), block.head)),
        }
    }
}

fn mock_provider(loader: &mut Loader<'_>, body: &Body) {
    one_of(loader, body, "override_during", &["apply", "plan"]);
    loader.text(body, "source");
    overrides(loader, body);
    let mut seen: BTreeMap<(&str, &str), Span> = BTreeMap::new();
    for block in body.blocks().filter(|block| matches!(&*block.kind.name, "mock_resource" | "mock_data")) {
        one_of(loader, &block.body, "override_during", &["apply", "plan"]);
        let [of] = block.labels.as_slice() else { continue };
        match seen.get(&(&*block.kind.name, &*of.name)) {
            Some(first) => loader.out.push(twice(&block.kind.name, &of.name, block.head, *first)),
            None => drop(seen.insert((&block.kind.name, &of.name), block.head)),
        }
    }
}

/// A block `variables` gives values; there are no blocks in it.
fn values_only(loader: &mut Loader<'_>, body: &Body) {
    for inner in blocks(body, "variables", 0).flat_map(|variables| variables.body.blocks()) {
        let name = &inner.kind.name;
        let diagnostic = Diagnostic::error(format!("unexpected block \"{name}\"")).at(inner.head);
        loader.out.push(diagnostic.help(format!("Write {name} = {{ … }}.")));
    }
}

/// An argument that is one of a few words, without quotes.
fn one_of(loader: &mut Loader<'_>, body: &Body, name: &str, words: &[&str]) {
    let Some(attribute) = body.attribute(name) else { return };
    let expr = &attribute.value;
    if expr.kind != ExprKind::Invalid && !words.iter().any(|word| is_word(expr, word)) {
        let diagnostic = Diagnostic::error(format!("\"{name}\" is one of the words {}", words.join(" and ")));
        let help = format!("Write {name} = {}, without quotes.", words.join(&format!(" or {name} = ")));
        loader.out.push(diagnostic.at(expr.span).help(help));
    }
}

fn is_word(expr: &Expr, word: &str) -> bool {
    matches!(&expr.kind, ExprKind::Variable(name) if &**name == word)
}

/// An argument whose value is an object, where that can be seen.
fn object(loader: &mut Loader<'_>, body: &Body, name: &str) {
    let Some(attribute) = body.attribute(name) else { return };
    let plain = matches!(
        attribute.value.kind,
        ExprKind::Null | ExprKind::Bool(_) | ExprKind::Number(_) | ExprKind::Template(_) | ExprKind::Tuple(_)
    );
    if plain {
        let diagnostic = Diagnostic::error(format!("\"{name}\" is an object")).at(attribute.value.span);
        loader.out.push(diagnostic.help(format!("Write {name} = {{ NAME = VALUE }}.")));
    }
}
