//! Which ranges of the sources hold secrets: what a sensitive or ephemeral variable is given, wherever that is written.
//! They are hidden in the sources, so that no message shows them. Where a file could not be parsed, more is hidden
//! than has to be.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::{Attribute, Block, Body, Expr, ExprKind, TemplatePart};
use andon_text::{SourceId, SourceMap, Span};

use super::{Loader, parent};
use crate::definitions::{Module, Project, Variable};
use crate::literal::string;
use crate::walk::expressions;

/// What is known of the names to which a file gives values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names<'a> {
    /// Variables that are secrets.
    secret: BTreeSet<&'a str>,
    /// Variables that are none, in no stack.
    open: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    /// Of variables; one that is a secret anywhere is a secret.
    pub fn of(variables: impl IntoIterator<Item = &'a Variable>) -> Names<'a> {
        let mut names = Names::default();
        for variable in variables {
            let kind = if variable.is_secret() { &mut names.secret } else { &mut names.open };
            kind.insert(&variable.name.name);
        }
        names.open.retain(|name| !names.secret.contains(name));
        names
    }

    /// Of the variables of every stack, and of the modules that tests have in their place.
    pub fn of_project(project: &'a Project) -> Names<'a> {
        let modules = project.stacks.values().map(|stack| &stack.module).chain(project.tested_modules());
        Names::of(modules.flat_map(|module| module.variables.values()))
    }

    /// Whether a variable has this name.
    fn knows(&self, name: &str) -> bool {
        self.secret.contains(name) || self.open.contains(name)
    }

    /// Whether what a name is given must not be shown. A name that no variable has may be a secret's, misspelt.
    pub fn hides(&self, name: &str) -> bool {
        !self.secret.is_empty() && !self.open.contains(name)
    }
}

/// Hides what the project's files give to secrets.
pub(super) fn hide(loader: &mut Loader<'_>, project: &Project) {
    let everywhere = Names::of_project(project);
    let params = Names::of(project.roles.values().flat_map(|role| role.params.values()));
    let mut modules: Vec<(&str, &Module)> = Vec::new();
    let mut open: Vec<&Arc<Module>> =
        project.stacks.values().map(|stack| &stack.module).chain(project.tested_modules()).collect();
    while let Some(module) = open.pop() {
        if !modules.iter().any(|(directory, _)| **directory == *module.directory) {
            modules.push((&module.directory, module));
            open.extend(module.calls.values().map(|call| &call.module));
        }
    }
    modules.iter().for_each(|(_, module)| in_module(&mut loader.sources, module));
    let paths: Vec<(Arc<str>, Arc<Body>)> =
        loader.bodies.iter().map(|(path, body)| (path.clone(), body.clone())).collect();
    for (path, body) in paths {
        let Some(id) = loader.ids.get(&path).copied() else { continue };
        let broken = loader.unparsed.contains(&path);
        let sources = &mut loader.sources;
        if is_values_file(&path) {
            let stack = project.stacks.values().find(|stack| *stack.module.directory == *parent(&path));
            let names = stack.map_or_else(|| everywhere.clone(), |stack| Names::of(stack.module.variables.values()));
            in_values(sources, id, &body, &names, broken);
            continue;
        }
        let text = sources.get(id).map(|source| source.text().clone()).unwrap_or_default();
        in_definitions(sources, &body, &text, &params);
        for attribute in body.blocks().filter_map(|block| block.body.attribute("variables")) {
            in_map(sources, &attribute.value, &everywhere);
        }
        if broken {
            by_chunks(sources, id, &text);
            if &*path == "andon.hcl" {
                by_lines(sources, id, &text, |name| Some(everywhere.secret.contains(name)));
            }
        }
    }
}

/// Hides what a file of values gives to secrets.
pub(crate) fn in_values(sources: &mut SourceMap, id: SourceId, body: &Body, names: &Names<'_>, broken: bool) {
    for attribute in body.attributes().filter(|attribute| names.hides(&attribute.name.name)) {
        sources.hide(attribute.value.span);
    }
    if names.secret.is_empty() {
        return;
    }
    // A block is a mistake here, for a value that is meant.
    for block in body.blocks() {
        let labels = block.labels.iter().filter(|label| !names.knows(&label.name));
        labels.for_each(|label| sources.hide(label.span));
        sources.hide(block.body.span.unwrap_or(block.span));
    }
    if broken {
        let text = sources.get(id).map(|source| source.text().clone()).unwrap_or_default();
        by_lines(sources, id, &text, |name| {
            if names.secret.contains(name) { Some(true) } else { names.open.contains(name).then_some(false) }
        });
    }
}

/// Whether a path is that of a file of values for variables.
fn is_values_file(path: &str) -> bool {
    [".tfvars", ".tfvars.json"].iter().any(|suffix| path.ends_with(suffix))
}

/// Hides what a module writes out for its own secrets and for those of the modules that it calls.
fn in_module(sources: &mut SourceMap, module: &Module) {
    for default in module.variables.values().filter(|variable| variable.is_secret()).filter_map(|v| v.default.as_ref())
    {
        sources.hide(default.span);
    }
    for output in module.outputs.values().filter(|output| output.sensitive || output.ephemeral) {
        literals(sources, &output.value);
    }
    for call in module.calls.values() {
        for (name, _) in call.module.variables.iter().filter(|(_, variable)| variable.is_secret()) {
            if let Some(argument) = call.arguments.attribute(name) {
                literals(sources, &argument.value);
            }
        }
    }
}

/// Hides what stands in any definitions: defaults of secrets, what `sensitive(…)` is called with, and what `params`
/// gives to secrets of roles.
fn in_definitions(sources: &mut SourceMap, body: &Body, text: &str, params: &Names<'_>) {
    fn blocks(sources: &mut SourceMap, body: &Body, params: &Names<'_>) {
        for block in body.blocks() {
            if matches!(&*block.kind.name, "variable" | "param")
                && says_secret(block)
                && let Some(Attribute { value, .. }) = block.body.attribute("default")
            {
                sources.hide(value.span);
            }
            if let Some(given) = block.body.attribute("params") {
                in_map(sources, &given.value, params);
            }
            blocks(sources, &block.body, params);
        }
    }
    blocks(sources, body, params);
    if text.contains("sensitive") {
        expressions(body, &mut |expr| match &expr.kind {
            ExprKind::Call { name, arguments, .. } if &*name.name == "sensitive" => {
                arguments.iter().for_each(|argument| literals(sources, argument));
            }
            _ => {}
        });
    }
}

/// Whether a block says that it is a secret, or cannot be understood in that.
fn says_secret(block: &Block) -> bool {
    let flag = |name: &str| block.body.attribute(name).is_some_and(|flag| flag.value.kind != ExprKind::Bool(false));
    flag("sensitive") || flag("ephemeral")
}

/// Hides what a map that is written out gives to secrets; all of it, where it is not written out.
fn in_map(sources: &mut SourceMap, expr: &Expr, names: &Names<'_>) {
    if names.secret.is_empty() {
        return;
    }
    let ExprKind::Object(items) = &expr.kind else { return literals(sources, expr) };
    for item in items {
        let name = match &item.key.kind {
            ExprKind::Variable(name) => Some(name.clone()),
            _ => string(&item.key),
        };
        if name.is_none_or(|name| names.hides(&name)) {
            literals(sources, &item.value);
        }
    }
}

/// Hides what is written out in an expression; all of it, where it refers to nothing.
fn literals(sources: &mut SourceMap, expr: &Expr) {
    if expr.references().is_empty() {
        return sources.hide(expr.span);
    }
    expr.walk(&mut |part| match &part.kind {
        ExprKind::Number(_) => sources.hide(part.span),
        ExprKind::Template(template) => template.parts.iter().for_each(|part| {
            if let TemplatePart::Literal(_, span) = part {
                sources.hide(*span);
            }
        }),
        _ => {}
    });
}

/// Hides, in the text of a file that could not be parsed, what may be given to secrets: from a name of which
/// `is_secret` says so, or which begins a line and of which it knows nothing, to the next line that begins with one
/// that is none.
fn by_lines(sources: &mut SourceMap, id: SourceId, text: &str, is_secret: impl Fn(&str) -> Option<bool>) {
    let (mut at, mut hiding) = (0, false);
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let mut from = hiding.then_some(0);
        let mut first = true;
        for (start, word) in words(content) {
            let begins = std::mem::take(&mut first)
                && content
                    .get(..start)
                    .is_some_and(|before| before.chars().all(|c| c.is_whitespace() || "{,\"".contains(c)));
            match is_secret(word) {
                Some(true) => from = from.or(Some(value_after(content, start + word.len()))),
                Some(false) if begins => from = None,
                None if begins && value_after(content, start + word.len()) > start + word.len() => {
                    from = from.or(Some(value_after(content, start + word.len())));
                }
                _ => {}
            }
        }
        hiding = from.is_some();
        if let Some(from) = from {
            sources.hide(Span::new(id, at + from, at + content.len()));
        }
        at += line.len();
    }
}

/// Where the value begins that is given to the name which ends at `at`; there, where none seems to be given.
fn value_after(line: &str, at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    let given = rest.trim_start_matches(['"', ' ', '\t']).strip_prefix(['=', ':']);
    given.map_or(at, |given| line.len() - given.trim_start().len())
}

/// Hides, in the text of a file that could not be parsed, what follows the word `default` in each of its blocks that
/// speaks of a secret.
fn by_chunks(sources: &mut SourceMap, id: SourceId, text: &str) {
    let mut chunk = 0..0;
    let mut hide = |chunk: std::ops::Range<usize>| {
        let inside = text.get(chunk.clone()).unwrap_or_default();
        if (inside.contains("sensitive") || inside.contains("ephemeral"))
            && let Some(at) = inside.find("default")
        {
            sources.hide(Span::new(id, chunk.start + at + "default".len(), chunk.end));
        }
    };
    for line in text.split_inclusive('\n') {
        if ["variable", "param", "  param"].iter().any(|start| line.starts_with(start)) {
            let end = chunk.end;
            hide(std::mem::replace(&mut chunk, end..end));
        }
        chunk.end += line.len();
        if line.starts_with('}') {
            let end = chunk.end;
            hide(std::mem::replace(&mut chunk, end..end));
        }
    }
    hide(chunk);
}

/// The names in a line, and where they begin.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    line.split(move |character| !is_part(character))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - line.as_ptr() as usize, word))
}
