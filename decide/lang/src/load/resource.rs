//! `resource`, `data`, `ephemeral` and `check` blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Expr, ExprKind, Ident};
use andon_schema::Mode;
use andon_text::Diagnostic;

use super::module::{conditions, repetition};
use super::{Loader, blocks};
use crate::definitions::{
    IgnoreChanges, IgnoredPath, IgnoredStep, Lifecycle, Provisioner, ResourceDefinition, ResourceKey, StackCheck,
};
use crate::literal::string;
use crate::reference::{StaticStep, as_reference};
use crate::shape::{self, PROVISIONER, Shape};

const WORDS: [(&str, Mode, &Shape); 3] = [
    ("resource", Mode::Managed, &shape::RESOURCE),
    ("data", Mode::Data, &shape::DATA),
    ("ephemeral", Mode::Ephemeral, &shape::EPHEMERAL),
];

pub(super) fn resources(
    loader: &mut Loader<'_>,
    scope: &Arc<str>,
    body: &Body,
) -> BTreeMap<ResourceKey, Arc<ResourceDefinition>> {
    let mut resources = BTreeMap::new();
    for (word, mode, shape) in WORDS {
        for block in blocks(body, word, 2) {
            if let Some(definition) = resource(loader, scope, block, word, mode, shape) {
                resources.insert(definition.key.clone(), Arc::new(definition));
            }
        }
    }
    resources
}

fn resource(
    loader: &mut Loader<'_>,
    scope: &Arc<str>,
    block: &Block,
    word: &'static str,
    mode: Mode,
    shape: &Shape,
) -> Option<ResourceDefinition> {
    let (kind, name) = (loader.named(block, 0), loader.named(block, 1));
    let (kind, name) = (kind?, name?);
    let full = Ident { name: format!("{}.{}", kind.name, name.name).into(), span: block.head };
    if !loader.define(word, scope, &full) {
        return None;
    }
    let (count, for_each) = repetition(loader, &block.body);
    let provider = block.body.attribute("provider");
    Some(ResourceDefinition {
        key: ResourceKey { mode, kind: kind.name.clone(), name: name.name.clone() },
        body: shape.rest(block),
        count: count.map(Box::new),
        for_each: for_each.map(Box::new),
        depends_on: loader.references(&block.body, "depends_on"),
        provider: provider.and_then(|attribute| loader.provider_reference(&attribute.value)).map(Box::new),
        lifecycle: lifecycle(loader, &block.body),
        provisioners: if mode == Mode::Managed { provisioners(loader, &block.body) } else { Vec::new() },
        connection: if mode == Mode::Managed { connection(&block.body) } else { None },
        span: block.head,
    })
}

pub(super) fn checks(loader: &mut Loader<'_>, scope: &Arc<str>, body: &Body) -> BTreeMap<Arc<str>, Arc<StackCheck>> {
    let mut checks = BTreeMap::new();
    for block in blocks(body, "check", 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if !loader.define("check", scope, name) {
            continue;
        }
        let data = blocks(&block.body, "data", 2).next();
        for (data, word) in data.iter().flat_map(|data| [(data, "count"), (data, "for_each")]) {
            if let Some(attribute) = data.body.attribute(word) {
                let diagnostic = Diagnostic::error(format!("unsupported argument \"{word}\"")).at(attribute.name.span);
                let diagnostic = diagnostic.label("the data source of a check is one only");
                loader.out.push(diagnostic.help("Define it outside of the check."));
            }
        }
        let data = data.and_then(|data| resource(loader, scope, data, "data", Mode::Data, &shape::DATA));
        let asserts = conditions(&block.body, "assert");
        if blocks(&block.body, "assert", 0).next().is_none() {
            let diagnostic = Diagnostic::error(format!("check \"{}\" asserts nothing", name.name)).at(block.head);
            loader.out.push(diagnostic.help("Add: assert { … } with a condition and an error_message."));
        }
        let check = StackCheck { name: name.clone(), data: data.map(Arc::new), asserts, span: block.head };
        checks.insert(name.name.clone(), Arc::new(check));
    }
    checks
}

pub(super) fn provisioners(loader: &mut Loader<'_>, body: &Body) -> Vec<Provisioner> {
    let mut provisioners = Vec::new();
    for block in blocks(body, "provisioner", 1) {
        let Some(kind) = block.labels.first() else { continue };
        provisioners.push(Provisioner {
            kind: kind.clone(),
            on_destroy: one_of(loader, &block.body, "when", "create", "destroy"),
            continues: one_of(loader, &block.body, "on_failure", "fail", "continue"),
            connection: connection(&block.body),
            body: PROVISIONER.rest(block),
            span: block.head,
        });
    }
    provisioners
}

/// Whether an argument is the second of two words, rather than the first or not there.
fn one_of(loader: &mut Loader<'_>, body: &Body, name: &str, first: &str, second: &str) -> bool {
    let Some(attribute) = body.attribute(name) else { return false };
    if attribute.value.kind == ExprKind::Invalid {
        return false;
    }
    let word = loader.keyword(&attribute.value);
    let word = word.as_ref().map(|word| &*word.name);
    if word != Some(first) && word != Some(second) {
        let diagnostic = Diagnostic::error(format!("\"{name}\" is either {first} or {second}"));
        let diagnostic = diagnostic.help(format!("Write one of them: {name} = {first}"));
        loader.out.push(diagnostic.at(attribute.value.span));
    }
    word == Some(second)
}

fn connection(body: &Body) -> Option<Body> {
    let block = blocks(body, "connection", 0).next()?;
    Some(Body { span: Some(block.head), ..block.body.clone() })
}

fn lifecycle(loader: &mut Loader<'_>, body: &Body) -> Lifecycle {
    let Some(block) = blocks(body, "lifecycle", 0).next() else { return Lifecycle::default() };
    let ignore_changes = match block.body.attribute("ignore_changes").map(|attribute| &attribute.value.kind) {
        None => IgnoreChanges::None,
        Some(ExprKind::Variable(word)) if &**word == "all" => IgnoreChanges::All,
        Some(_) => {
            let listed = loader.list(&block.body, "ignore_changes");
            IgnoreChanges::Attributes(listed.iter().filter_map(|expr| ignored(loader, expr)).collect())
        }
    };
    Lifecycle {
        create_before_destroy: loader.flag(&block.body, "create_before_destroy", false),
        prevent_destroy: loader.flag(&block.body, "prevent_destroy", false),
        ignore_changes,
        replace_triggered_by: loader.references(&block.body, "replace_triggered_by"),
        preconditions: conditions(&block.body, "precondition"),
        postconditions: conditions(&block.body, "postcondition"),
    }
}

/// One entry of `ignore_changes`.
fn ignored(loader: &mut Loader<'_>, expr: &Expr) -> Option<IgnoredPath> {
    if let Some(name) = string(expr) {
        if &*name == "*" {
            let diagnostic = Diagnostic::error("\"*\" is no argument").at(expr.span);
            loader.out.push(diagnostic.help("To ignore all of them, write: ignore_changes = all"));
            return None;
        }
        loader.quoted(expr, "reference");
        return Some(IgnoredPath { name: Ident { name, span: expr.span }, steps: Vec::new(), span: expr.span });
    }
    let steps = |reference: &crate::reference::Reference<'_>| -> Option<Vec<IgnoredStep>> {
        let step = |step: &StaticStep<'_>| match step {
            StaticStep::Attribute(name, span) => {
                Some(IgnoredStep::Attribute(Ident { name: (*name).clone(), span: *span }))
            }
            StaticStep::Key(key, _) => Some(IgnoredStep::Key(key.clone())),
            StaticStep::Number(number, _) => number.to_usize().map(|index| IgnoredStep::Index(index as u64)),
            StaticStep::Computed(_) => None,
        };
        reference.steps.iter().map(step).collect()
    };
    let path = as_reference(expr).and_then(|reference| {
        let name = Ident { name: reference.root.clone(), span: reference.root_span };
        Some(IgnoredPath { name, steps: steps(&reference)?, span: expr.span })
    });
    if path.is_none() && expr.kind != ExprKind::Invalid {
        let diagnostic = Diagnostic::error("\"ignore_changes\" lists names of arguments").at(expr.span);
        loader.out.push(diagnostic.help("Write each like: NAME, NAME.INNER or NAME[\"key\"]"));
    }
    path
}
