//! Stacks and the modules that they call: directories of `*.tf` files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Expr, ExprKind, Ident};
use andon_text::{Diagnostic, Span};
use andon_value::Type;

use super::overrides::{Base, is_override};
use super::{Loader, blocks, called, history, parent, resource, settings, values};
use crate::constraint::{self, Defaults};
use crate::definitions::{Condition, Local, Module, ModuleCall, OutputDefinition, Project, Stack, Variable};
use crate::literal::string;
use crate::shape::{self, STACK_FILE};

/// Modules read so far, and the way to the one being read.
#[derive(Default)]
pub(super) struct Modules {
    done: BTreeMap<Arc<str>, Arc<Module>>,
    way: Vec<Arc<str>>,
}

/// Reads every stack; gives back the modules that were read.
pub(super) fn load_stacks(loader: &mut Loader<'_>, project: &mut Project) -> Modules {
    let mut modules = Modules::default();
    let directories: BTreeSet<Arc<str>> = (loader.files.paths())
        .filter(|path| path.starts_with("stacks/") && path.matches('/').count() == 2)
        .filter(|path| path.ends_with(".tf") || path.ends_with(".tf.json"))
        .map(|path| parent(path).into())
        .collect();
    let loose = loader.paths_with_json("", ".tf");
    if directories.is_empty() && !loose.is_empty() {
        add_stack(loader, project, &mut modules, "", "");
    } else if let Some(first) = loose.first().and_then(|path| loader.ids.get(path)) {
        loader.out.push(
            Diagnostic::warning("*.tf files beside stacks/ are not used")
                .at(Span::new(*first, 0, 0))
                .help("Move them into a directory of their own in stacks/."),
        );
    }
    for directory in &directories {
        let name = directory.strip_prefix("stacks/").unwrap_or(directory);
        add_stack(loader, project, &mut modules, name, directory);
    }
    modules
}

fn add_stack(loader: &mut Loader<'_>, project: &mut Project, modules: &mut Modules, name: &str, directory: &str) {
    let name: Arc<str> = name.into();
    let module = module(loader, modules, directory);
    let assignments = values::assignments(loader, directory);
    project.stacks.insert(name.clone(), Stack { name, module, assignments });
}

/// The module in a directory, read once.
fn module(loader: &mut Loader<'_>, modules: &mut Modules, directory: &str) -> Arc<Module> {
    if let Some(module) = modules.done.get(directory) {
        return module.clone();
    }
    let directory: Arc<str> = directory.into();
    modules.way.push(directory.clone());
    let body = contents(loader, &directory);
    let settings = settings::settings(loader, &body);
    settings::check_built_in(loader, &settings, &body);
    let module = Arc::new(Module {
        directory: directory.clone(),
        settings,
        providers: settings::providers(loader, &body),
        variables: variables(loader, &directory, &body, "variable"),
        locals: locals(loader, &directory, &body),
        outputs: outputs(loader, &directory, &body),
        resources: resource::resources(loader, &directory, &body),
        calls: calls(loader, modules, &directory, &body),
        checks: resource::checks(loader, &directory, &body),
        moved: history::moved(loader, &body),
        removed: history::removed(loader, &body),
        imports: history::imports(loader, &body),
    });
    modules.way.pop();
    modules.done.insert(directory, module.clone());
    module
}

/// The blocks of all files of a module, with those of override files laid over them.
fn contents(loader: &mut Loader<'_>, directory: &str) -> Body {
    let (over, own): (Vec<_>, Vec<_>) =
        loader.paths_with_json(directory, ".tf").into_iter().partition(|path| is_override(path));
    let bodies: Vec<Arc<Body>> = own.iter().map(|path| loader.body(path, &STACK_FILE)).collect();
    if let ([only], true) = (bodies.as_slice(), over.is_empty()) {
        return Body::clone(only);
    }
    let mut blocks: Vec<Block> = bodies.iter().flat_map(|body| body.blocks().cloned()).collect();
    if !over.is_empty() {
        let mut base = Base::new(blocks);
        for path in over {
            let body = loader.part(&path, &STACK_FILE);
            base.apply(&body, &mut loader.out);
        }
        blocks = base.into_blocks();
    }
    let items = blocks.into_iter().map(andon_hcl::ast::Item::Block).collect();
    Body { items: Arc::new(items), span: None }
}

/// The `variable` blocks of a module, or the `param` blocks of a role.
pub(super) fn variables(
    loader: &mut Loader<'_>,
    scope: &Arc<str>,
    body: &Body,
    kind: &'static str,
) -> BTreeMap<Arc<str>, Variable> {
    let mut variables = BTreeMap::new();
    for block in blocks(body, kind, 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if !loader.define(kind, scope, name) {
            continue;
        }
        let (ty, defaults) = match block.body.attribute("type") {
            Some(attribute) => constraint::parse(&attribute.value, &mut loader.out),
            None => (Type::Dynamic, Defaults::default()),
        };
        let variable = Variable {
            name: name.clone(),
            ty,
            typed: block.body.attribute("type").is_some(),
            defaults,
            default: block.body.attribute("default").map(|attribute| attribute.value.clone()),
            nullable: loader.flag(&block.body, "nullable", true),
            sensitive: loader.secret(&block.body, "sensitive"),
            ephemeral: loader.secret(&block.body, "ephemeral"),
            description: description(loader, block),
            validations: conditions(&block.body, "validation"),
            span: block.head,
        };
        variables.insert(name.name.clone(), variable);
    }
    variables
}

fn description(loader: &mut Loader<'_>, block: &Block) -> String {
    loader.text(&block.body, "description").map(|text| text.name.to_string()).unwrap_or_default()
}

/// The entries of `locals` blocks.
pub(super) fn locals(loader: &mut Loader<'_>, scope: &Arc<str>, body: &Body) -> BTreeMap<Arc<str>, Local> {
    let mut locals = BTreeMap::new();
    for block in blocks(body, "locals", 0) {
        for inner in block.body.blocks() {
            let diagnostic = Diagnostic::error("\"locals\" holds no blocks").at(inner.head);
            loader.out.push(diagnostic.help(format!("Write it as: {} = {{ … }}", inner.kind.name)));
        }
        let mut within: BTreeSet<&str> = BTreeSet::new();
        for attribute in block.body.attributes() {
            // The same name twice in one block is the parser's to report.
            if within.insert(&attribute.name.name)
                && loader.can_be_a_name(&attribute.name)
                && loader.define("local", scope, &attribute.name)
            {
                let local = Local { name: attribute.name.clone(), value: attribute.value.clone() };
                locals.insert(attribute.name.name.clone(), local);
            }
        }
    }
    locals
}

fn outputs(loader: &mut Loader<'_>, scope: &Arc<str>, body: &Body) -> BTreeMap<Arc<str>, OutputDefinition> {
    let mut outputs = BTreeMap::new();
    for block in blocks(body, "output", 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if !loader.define("output", scope, name) {
            continue;
        }
        let invalid = || Expr { kind: ExprKind::Invalid, span: block.head };
        let output = OutputDefinition {
            name: name.clone(),
            // Without a value it is still there for those that read it; the shape has complained.
            value: block.body.attribute("value").map_or_else(invalid, |attribute| attribute.value.clone()),
            sensitive: loader.secret(&block.body, "sensitive"),
            ephemeral: loader.secret(&block.body, "ephemeral"),
            description: description(loader, block),
            depends_on: loader.references(&block.body, "depends_on"),
            preconditions: conditions(&block.body, "precondition"),
            span: block.head,
        };
        outputs.insert(name.name.clone(), output);
    }
    outputs
}

/// `count` and `for_each`, of which there may be one.
pub(super) fn repetition(loader: &mut Loader<'_>, body: &Body) -> (Option<Expr>, Option<Expr>) {
    let (count, for_each) = (body.attribute("count"), body.attribute("for_each"));
    if let (Some(count), Some(for_each)) = (count, for_each) {
        loader.out.push(
            Diagnostic::error("\"count\" and \"for_each\" cannot be used together")
                .at(for_each.name.span)
                .related(count.name.span, "\"count\" is here")
                .help("Keep the one that says how many there are."),
        );
    }
    let value = |attribute: Option<&andon_hcl::ast::Attribute>| attribute.map(|attribute| attribute.value.clone());
    (value(count), value(for_each))
}

/// The conditions of a kind in a body.
pub(super) fn conditions(body: &Body, kind: &'static str) -> Vec<Condition> {
    let condition = |block: &Block| {
        let value = |name: &str| block.body.attribute(name).map(|attribute| attribute.value.clone());
        Some(Condition { condition: value("condition")?, error_message: value("error_message")?, span: block.head })
    };
    blocks(body, kind, 0).filter_map(condition).collect()
}

fn calls(
    loader: &mut Loader<'_>,
    modules: &mut Modules,
    directory: &Arc<str>,
    body: &Body,
) -> BTreeMap<Arc<str>, Arc<ModuleCall>> {
    let mut calls = BTreeMap::new();
    for block in blocks(body, "module", 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if !loader.define("module", directory, name) {
            continue;
        }
        shape::only_blocks_of("module", &shape::MODULE, &block.body, &mut loader.out);
        let (count, for_each) = repetition(loader, &block.body);
        let depends_on = loader.references(&block.body, "depends_on");
        let found = called::directory(loader, directory, block);
        let called = found.and_then(|(path, at)| called(loader, modules, at, &path));
        let call = ModuleCall {
            name: name.clone(),
            found: called.is_some(),
            module: called.unwrap_or_default(),
            source: block.body.attribute("source").and_then(|attribute| {
                let name = string(&attribute.value)?;
                Some(Ident { name, span: attribute.value.span })
            }),
            version: loader.text(&block.body, "version"),
            providers: settings::passed(loader, block),
            arguments: shape::MODULE.rest(block),
            count,
            for_each,
            depends_on,
            span: block.head,
        };
        calls.insert(name.name.clone(), Arc::new(call));
    }
    calls
}

/// The module in a directory that is called, unless that closes a circle.
pub(super) fn called(loader: &mut Loader<'_>, modules: &mut Modules, at: Span, directory: &str) -> Option<Arc<Module>> {
    if let Some(from) = modules.way.iter().position(|way| **way == *directory) {
        let chain: Vec<&str> = modules.way.iter().skip(from).map(|way| &**way).chain([directory]).collect();
        loader.out.push(
            Diagnostic::error("modules call each other in a circle")
                .at(at)
                .label("the circle closes here")
                .detail(format!("{}.", chain.join(" → ")))
                .help("Take one of these calls out."),
        );
        return None;
    }
    Some(module(loader, modules, directory))
}
