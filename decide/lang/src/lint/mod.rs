//! Lints: what is no mistake, and better written another way. Each has a name, by which a project switches it on or
//! off (`project { lint { … } }`) and a comment passes over one place (`# andon:ignore NAME`). All are warnings.
//!
//! They look at what is written, file by file, and at nothing that comes from elsewhere.

mod blocks;
mod expressions;
mod ignore;
mod provider;
mod table;
mod unused;

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Block, Body};
use andon_text::{Diagnostic, Diagnostics, Span};

use crate::definitions::{Module, Project};
use crate::files::is_foreign;
use crate::load::{in_order, parent};
use unused::Declarations;

pub(crate) use table::names;
pub use table::{Lint, lints};

/// The names of lints, where they are given.
pub(crate) mod name {
    pub(crate) const UNUSED_VARIABLE: &str = "unused-variable";
    pub(crate) const UNUSED_LOCAL: &str = "unused-local";
    pub(crate) const UNUSED_DATA: &str = "unused-data";
    pub(crate) const UNUSED_ALIAS: &str = "unused-provider-alias";
    pub(crate) const UNUSED_PROVIDER: &str = "unused-required-provider";
    pub(crate) const INTERPOLATION: &str = "interpolation-only";
    pub(crate) const QUOTES: &str = "deprecated-quotes";
    pub(crate) const BARE_TYPE: &str = "deprecated-type";
    pub(crate) const DOTTED_INDEX: &str = "deprecated-index";
    pub(crate) const LOOKUP: &str = "deprecated-lookup";
    pub(crate) const PROVIDER_VERSION: &str = "deprecated-provider-version";
    pub(crate) const DUPLICATE_KEY: &str = "duplicate-key";
    pub(crate) const EMPTY_COMPARISON: &str = "empty-comparison";
    pub(crate) const EMPTY_LIFECYCLE: &str = "empty-lifecycle";
    pub(crate) const UNPINNED_MODULE: &str = "unpinned-module";
    pub(crate) const UNREACHABLE_VALIDATION: &str = "unreachable-validation";
    pub(crate) const POSSIBLE_ERROR: &str = "possible-error";
    pub(crate) const UNKNOWN_LINT: &str = "unknown-lint";
    pub(crate) const NO_LANGUAGE_VERSION: &str = "missing-required-version";
    pub(crate) const NO_REQUIRED_PROVIDER: &str = "missing-required-provider";
    pub(crate) const NO_PROVIDER_VERSION: &str = "missing-provider-version";
    pub(crate) const UNTYPED: &str = "untyped-variable";
    pub(crate) const UNDOCUMENTED_VARIABLE: &str = "undocumented-variable";
    pub(crate) const UNDOCUMENTED_OUTPUT: &str = "undocumented-output";
    pub(crate) const CONSTANT_COUNT: &str = "constant-count";
}

/// What the lints say of a project, in the order of files and places. Modules are looked at once each, however often
/// they are called; those that were fetched from elsewhere are not looked at.
pub fn lint(project: &Project) -> Diagnostics {
    let mut out = Report { project, found: Diagnostics::new() };
    let mut modules: BTreeMap<&str, Vec<File<'_>>> = BTreeMap::new();
    let mut roles = Vec::new();
    let mut tests: BTreeMap<&str, Vec<File<'_>>> = BTreeMap::new();
    for (path, body) in project.bodies.iter().filter(|(path, _)| !is_foreign(path)) {
        ignore::check(path, &mut out);
        let file = File { body, json: path.ends_with(".json") };
        match () {
            () if path.ends_with(".tf") || path.ends_with(".tf.json") => {
                modules.entry(parent(path)).or_default().push(file);
            }
            () if path.ends_with(".role.hcl") => roles.push(file),
            () if path.ends_with(".tftest.hcl") || path.ends_with(".tftest.json") => {
                tests.entry(tested(path)).or_default().push(file);
            }
            () => expressions::check_body(body, file.json, &Declarations::default(), &mut out),
        }
    }
    let known = provider::modules(project);
    for (directory, files) in &modules {
        let tests = tests.remove(directory).unwrap_or_default();
        module(known.get(*directory), files, &tests, &mut out);
    }
    for test in tests.into_values().flatten() {
        expressions::check_body(test.body, test.json, &Declarations::default(), &mut out);
    }
    unused::roles(&roles, &mut out);
    in_order(kept(project, out.found), &project.sources)
}

/// The warnings that the project wants to be given; errors pass.
pub(crate) fn kept(project: &Project, found: Diagnostics) -> Diagnostics {
    let wanted = |diagnostic: &Diagnostic| match diagnostic.name {
        Some(name) if !diagnostic.is_error() && table::find(name).is_some() => {
            is_on(project, name) && diagnostic.span.is_none_or(|span| !passed_over(project, name, span))
        }
        _ => true,
    };
    found.into_iter().filter(wanted).collect()
}

fn is_on(project: &Project, name: &str) -> bool {
    let usually = table::find(name).is_some_and(|lint| lint.on);
    (usually || project.wanted.contains(name)) && !project.silenced.contains(name)
}

/// Whether a comment says so, or the place is in a file from elsewhere.
fn passed_over(project: &Project, name: &str, span: Span) -> bool {
    let Some(source) = project.sources.get(span.source) else { return false };
    is_foreign(source.path()) || ignore::is_at(source, span, name)
}

/// Where lints say what they found.
struct Report<'a> {
    project: &'a Project,
    found: Diagnostics,
}

impl Report<'_> {
    /// Says something of a place, where the lint is on.
    fn say(&mut self, name: &'static str, span: Span, diagnostic: impl FnOnce() -> Diagnostic) {
        if is_on(self.project, name) {
            self.found.push(diagnostic().at(span).named(name));
        }
    }

    /// The text of a place.
    fn text(&self, span: Span) -> &str {
        self.project.sources.text(span)
    }

    /// Whether a file of these has a syntax error: what seems unused may be used in the part not understood.
    fn is_unclear(&self, files: &[File<'_>]) -> bool {
        let source = |file: &File<'_>| self.project.sources.get(file.body.span?.source);
        files.iter().filter_map(source).any(|source| self.project.unparsed.contains(source.path()))
    }
}

/// A definition file as it is written.
struct File<'a> {
    body: &'a Arc<Body>,
    /// It is in JSON, which has no other way to write some things.
    json: bool,
}

/// The directory of the module that a file of tests is about.
fn tested(path: &str) -> &str {
    let directory = parent(path);
    match directory.strip_suffix("tests") {
        Some("") => "",
        Some(module) => module.strip_suffix('/').unwrap_or(directory),
        None => directory,
    }
}

/// Looks at a module; its tests read what is in it, too.
fn module(module: Option<&Arc<Module>>, files: &[File<'_>], tests: &[File<'_>], out: &mut Report<'_>) {
    let mut declared = Declarations::default();
    for block in files.iter().flat_map(|file| file.body.blocks()) {
        declared.add(block);
    }
    for file in files {
        for block in file.body.blocks() {
            declared.enter(block);
            blocks::check(block, out);
            expressions::check(block, file.json, &declared, out);
        }
    }
    blocks::check_module(files, out);
    for test in tests {
        declared.leave();
        expressions::check_body(test.body, test.json, &declared, out);
    }
    if !out.is_unclear(files) && !out.is_unclear(tests) {
        declared.report(out);
        if let Some(module) = module {
            provider::unused(module, &declared, out);
        }
    }
}

/// The top-level blocks of a kind.
fn of_kind<'f>(files: &'f [File<'_>], kind: &'static str) -> impl Iterator<Item = &'f Block> {
    files.iter().flat_map(|file| file.body.blocks()).filter(move |block| &*block.kind.name == kind)
}
