//! From the files of a project to its definitions. Every file is read and every error of every file is reported;
//! what could not be understood leaves a hole, never a second complaint.

mod address;
mod called;
mod environment;
mod history;
mod hosts;
mod image;
mod literal;
mod module;
mod overrides;
mod resource;
mod role;
mod secrets;
pub(crate) mod settings;
mod stack_test;
mod test;
mod test_runs;
mod values;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Ident};
use andon_text::{Diagnostic, Diagnostics, SourceId, SourceMap, Span};
use andon_value::is_identifier;
use rustc_hash::FxHashMap;

use crate::definitions::{Environment, Project};
use crate::modules::{Call, Record};
use crate::shape::{Shape, check_file, twice};
use crate::{FileSet, lint};

pub(crate) use secrets::{Names as SecretNames, in_values as hide_in_values};
pub(crate) use values::read_values;

/// Reads a project. `directory_name` is the project's name where no `project` block gives one. The project holds all
/// that could be understood, whatever the diagnostics say.
pub fn load(files: Arc<FileSet>, directory_name: &str) -> (Project, Diagnostics) {
    load_with_tests(files, directory_name, "tests")
}

/// The same, with the tests of stacks in a directory of this name.
pub fn load_with_tests(files: Arc<FileSet>, directory_name: &str, tests: &str) -> (Project, Diagnostics) {
    let mut loader = Loader::new(&files);
    let mut project = Project { name: directory_name.into(), files: files.clone(), ..Project::default() };
    environment::load(&mut loader, &mut project);
    let mut modules = module::load_stacks(&mut loader, &mut project);
    for (path, body) in loader.matching("roles", ".role.hcl") {
        role::load(&mut loader, &mut project, &path, &body);
    }
    for (_, body) in loader.matching("images", ".image.hcl") {
        image::load(&mut loader, &mut project, &body);
    }
    for directory in ["", "hosts"] {
        for (_, body) in loader.matching(directory, ".hosts.hcl") {
            hosts::load(&mut loader, &mut project, &body);
        }
    }
    for (_, body) in loader.matching("tests", ".test.hcl") {
        test::load(&mut loader, &mut project, &body);
    }
    project.stack_tests = stack_test::load(&mut loader, &project, &mut modules, tests);
    if project.environments.is_empty() {
        let name: Arc<str> = "default".into();
        let environment = Environment { name: name.clone(), variables: None, protected: false, span: None };
        project.environments.insert(name, environment);
    }
    if loader.bodies.is_empty() && loader.out.is_empty() {
        loader.out.push(
            Diagnostic::error("this directory defines nothing")
                .detail("There is no andon.hcl, no *.tf file, no stacks/ and no roles/ in it.")
                .help("Make a project that works with `andon new`, or go to one with `andon -C DIR`."),
        );
    }
    loader.misplaced();
    secrets::hide(&mut loader, &project);
    project.calls = loader.calls;
    project.installed = loader.installed;
    project.unparsed = loader.unparsed;
    project.unclear = loader.unclear;
    project.sources = loader.sources;
    project.bodies = loader.bodies;
    let out = lint::kept(&project, in_order(loader.out, &project.sources));
    (project, out)
}

/// Reads the roles of these files and nothing else: every `*.role.hcl`, wherever it is.
pub fn load_roles(files: Arc<FileSet>) -> (Project, Diagnostics) {
    let mut loader = Loader::new(&files);
    let mut project = Project { files: files.clone(), ..Project::default() };
    let paths: Vec<Arc<str>> = files.paths().filter(|path| path.ends_with(".role.hcl")).cloned().collect();
    for path in paths {
        let body = loader.body(&path, &crate::shape::ROLE_FILE);
        role::load(&mut loader, &mut project, &path, &body);
    }
    secrets::hide(&mut loader, &project);
    project.unparsed = loader.unparsed;
    project.sources = loader.sources;
    let out = lint::kept(&project, in_order(loader.out, &project.sources));
    (project, out)
}

/// Reads the lists of hosts in these files and nothing else.
pub fn load_hosts(files: Arc<FileSet>) -> (Project, Diagnostics) {
    let mut loader = Loader::new(&files);
    let mut project = Project { files: files.clone(), ..Project::default() };
    for directory in ["", "hosts"] {
        for (_, body) in loader.matching(directory, ".hosts.hcl") {
            hosts::load(&mut loader, &mut project, &body);
        }
    }
    project.unparsed = loader.unparsed;
    project.sources = loader.sources;
    let out = in_order(loader.out, &project.sources);
    (project, out)
}

/// Diagnostics by file and place; what is said twice of a place counts once. Those without a place come last.
pub(crate) fn in_order(all: Diagnostics, sources: &SourceMap) -> Diagnostics {
    let path = |span: Span| sources.get(span.source).map(|source| source.path().clone());
    let mut sorted: Vec<Diagnostic> = all.into_iter().collect();
    sorted.sort_by_cached_key(|diagnostic| {
        (diagnostic.span.is_none(), diagnostic.span.map(|span| (path(span), span.start, span.end)))
    });
    let mut once: Vec<Diagnostic> = Vec::with_capacity(sorted.len());
    for diagnostic in sorted {
        let same_place = once.iter().rev().take_while(|other| other.span == diagnostic.span);
        let said = |other: &Diagnostic| match diagnostic.span {
            Some(_) => other.summary == diagnostic.summary,
            None => *other == diagnostic,
        };
        if !same_place.into_iter().any(said) {
            once.push(diagnostic);
        }
    }
    once.into_iter().collect()
}

/// What loading goes by.
struct Loader<'a> {
    files: &'a Arc<FileSet>,
    sources: SourceMap,
    out: Diagnostics,
    /// Bodies of the files read so far, by path.
    bodies: BTreeMap<Arc<str>, Arc<Body>>,
    ids: BTreeMap<Arc<str>, SourceId>,
    unparsed: BTreeSet<Arc<str>>,
    unclear: Vec<Span>,
    /// What was installed, and the calls of modules read so far.
    installed: Record,
    calls: Vec<Call>,
    /// Where each name was first defined.
    defined: FxHashMap<(&'static str, Arc<str>, Arc<str>), Span>,
}

impl<'a> Loader<'a> {
    fn new(files: &'a Arc<FileSet>) -> Loader<'a> {
        let mut loader = Loader {
            files,
            sources: SourceMap::new(),
            out: Diagnostics::new(),
            bodies: BTreeMap::new(),
            ids: BTreeMap::new(),
            unparsed: BTreeSet::new(),
            unclear: Vec::new(),
            installed: Record::default(),
            calls: Vec::new(),
            defined: FxHashMap::default(),
        };
        // All are added before any is read, so that ids have the order of the paths.
        loader.add_sources("", |_| true);
        loader.read_record();
        loader
    }

    /// Makes the texts of the definition files below a directory known.
    fn add_sources(&mut self, directory: &str, wanted: impl Fn(&str) -> bool) {
        for (path, content) in self.files.under(directory) {
            if is_definition_file(path) && wanted(path) && !self.ids.contains_key(path) {
                let text = String::from_utf8_lossy(content);
                self.ids.insert(path.clone(), self.sources.add(path.clone(), &*text));
            }
        }
    }

    /// The body of a file, held against its shape the first time.
    fn body(&mut self, path: &Arc<str>, shape: &Shape) -> Arc<Body> {
        self.read(path, shape, true)
    }

    /// The same of a file whose blocks may be parts of those in other files.
    fn part(&mut self, path: &Arc<str>, shape: &Shape) -> Arc<Body> {
        self.read(path, shape, false)
    }

    fn read(&mut self, path: &Arc<str>, shape: &Shape, whole: bool) -> Arc<Body> {
        if let Some(body) = self.bodies.get(path) {
            return body.clone();
        }
        let (Some(id), Some(content)) = (self.ids.get(path).copied(), self.files.read("", path)) else {
            return Arc::default();
        };
        if let Err(error) = std::str::from_utf8(content) {
            // Up to there the text that is shown has the same bytes.
            let at = error.valid_up_to();
            let diagnostic = Diagnostic::error(format!("{path} is not UTF-8 text")).at(Span::new(id, at, at));
            self.out.push(diagnostic.label("this byte is not").help("Save the file as UTF-8."));
            self.unparsed.insert(path.clone());
            self.bodies.insert(path.clone(), Arc::default());
            return Arc::default();
        }
        let text = self.sources.get(id).map(|source| source.text().clone()).unwrap_or_default();
        let (body, errors) = parse(path, id, &text, shape);
        let faults: Vec<Span> = errors.iter().filter_map(|error| error.span).collect();
        if errors.has_errors() {
            self.unparsed.insert(path.clone());
        }
        self.out.extend(errors);
        self.unclear.extend(check_file(&body, shape, whole, &faults, &mut self.out));
        let body = Arc::new(body);
        self.bodies.insert(path.clone(), body.clone());
        body
    }

    /// The files directly in a directory whose names end so, read.
    fn matching(&mut self, directory: &str, suffix: &str) -> Vec<(Arc<str>, Arc<Body>)> {
        let shape = match suffix {
            ".role.hcl" => &crate::shape::ROLE_FILE,
            ".image.hcl" => &crate::shape::IMAGE_FILE,
            ".test.hcl" => &crate::shape::TEST_FILE,
            ".hosts.hcl" => &crate::shape::HOSTS_FILE,
            _ => &crate::shape::STACK_FILE,
        };
        let paths = self.paths(directory, suffix);
        paths.into_iter().map(|path| (path.clone(), self.body(&path, shape))).collect()
    }

    /// Warns of what lies beside the directory that it would be read from.
    fn misplaced(&mut self) {
        for (directory, suffix, what) in
            [("roles", ".role.hcl", "Roles"), ("images", ".image.hcl", "Images"), ("tests", ".test.hcl", "Tests")]
        {
            for path in self.paths("", suffix) {
                let diagnostic = Diagnostic::warning(format!("{path} is not read"));
                let detail = format!("{what} of a project are in {directory}/.");
                self.out.push(diagnostic.detail(detail).help(format!("Move it to {directory}/{path}.")));
            }
        }
    }

    /// The paths directly in a directory that end so, without hidden files.
    fn paths(&self, directory: &str, suffix: &str) -> Vec<Arc<str>> {
        let inside = |path: &&Arc<str>| {
            let name = path.rsplit('/').next().unwrap_or(path);
            parent(path) == directory && name.ends_with(suffix) && !name.starts_with('.')
        };
        self.files.under(directory).map(|(path, _)| path).filter(inside).cloned().collect()
    }

    /// The same, and those in JSON; in order of name.
    fn paths_with_json(&self, directory: &str, suffix: &str) -> Vec<Arc<str>> {
        let mut paths = self.paths(directory, suffix);
        paths.extend(self.paths(directory, &format!("{suffix}.json")));
        paths.sort();
        paths
    }

    /// Whether this name is new among its kind in its scope; complains where it is not.
    fn define(&mut self, what: &'static str, scope: &Arc<str>, name: &Ident) -> bool {
        let key = (what, scope.clone(), name.name.clone());
        match self.defined.get(&key) {
            Some(first) => {
                self.out.push(twice(what, &name.name, name.span, *first));
                false
            }
            None => {
                self.defined.insert(key, name.span);
                true
            }
        }
    }

    /// The label that names a block, where it can be a name.
    fn named<'b>(&mut self, block: &'b Block, at: usize) -> Option<&'b Ident> {
        block.labels.get(at).filter(|name| self.can_be_a_name(name))
    }

    /// Whether a name can be one; complains where it cannot.
    fn can_be_a_name(&mut self, name: &Ident) -> bool {
        let fine = is_identifier(&name.name);
        if !fine {
            self.out.push(
                Diagnostic::error(format!("\"{}\" cannot be a name", name.name))
                    .at(name.span)
                    .help("A name begins with a letter or \"_\", and goes on with letters, digits, \"_\" and \"-\"."),
            );
        }
        fine
    }
}

/// The blocks of a kind with so many labels, whatever else the body holds.
fn blocks<'b>(body: &'b Body, kind: &'static str, labels: usize) -> impl Iterator<Item = &'b Block> {
    body.blocks().filter(move |block| &*block.kind.name == kind && block.labels.len() == labels)
}

/// The directory of a path; `""` for the project's own.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The body of a file, in native syntax or in JSON, and what is wrong with its syntax.
fn parse(path: &str, id: SourceId, text: &str, shape: &Shape) -> (Body, Diagnostics) {
    if !path.ends_with(".json") {
        let (body, mut errors) = andon_hcl::parse_body(id, text);
        let own = [".role.hcl", ".image.hcl", ".hosts.hcl", ".test.hcl", "andon.hcl"]
            .iter()
            .any(|suffix| path.ends_with(suffix));
        if !own && !errors.has_errors() {
            errors.extend(andon_hcl::beyond_terraform(&body, text));
        }
        return (body, errors);
    }
    let (value, mut errors) = andon_hcl::json::parse(id, text);
    let (body, more) = value.to_body(shape);
    errors.extend(more);
    (body, errors)
}

fn is_definition_file(path: &str) -> bool {
    const SUFFIXES: [&str; 12] = [
        ".tf",
        ".tf.json",
        ".tfvars",
        ".tfvars.json",
        ".role.hcl",
        ".image.hcl",
        ".hosts.hcl",
        ".test.hcl",
        ".tftest.hcl",
        ".tftest.json",
        ".tfmock.hcl",
        ".tfmock.json",
    ];
    path == "andon.hcl" || SUFFIXES.iter().any(|suffix| path.ends_with(suffix))
}
