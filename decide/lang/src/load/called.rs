//! Which directory a `module` block calls: one of the project, or one of an installed package.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::{Block, Ident};
use andon_schema::VersionConstraint;
use andon_schema::source::ModuleSource;
use andon_text::{Diagnostic, Span, nearest};

use super::{Loader, parent};
use crate::files::{is_foreign, resolve};
use crate::modules::{Call, Installed, RECORD, Record, TERRAFORM_RECORD, parse_source};

/// What to do about a module that is not there yet.
const INIT: &str = "Run `andon init`.";

/// The directory of the module that a block in the directory `from` calls, and where the block says so; `None`, with a
/// complaint, where there is none.
pub(super) fn directory(loader: &mut Loader<'_>, from: &Arc<str>, block: &Block) -> Option<(String, Span)> {
    let name = block.labels.first()?.name.clone();
    let version = loader.text(&block.body, "version");
    let source = loader.text(&block.body, "source")?;
    let parsed = parse_source(&source.name);
    let versions = version.as_ref().map(|version| VersionConstraint::of_module(&version.name));
    let place = loader.calls.len();
    loader.calls.push(Call {
        caller: from.clone(),
        name: name.clone(),
        source: parsed.as_ref().ok().cloned(),
        versions: versions.clone().and_then(Result::ok).unwrap_or_default(),
        installed: None,
        span: source.span,
        version_span: version.as_ref().map(|version| version.span),
    });
    if let (Some(Err(_)), Some(version)) = (&versions, &version) {
        loader.out.push(
            Diagnostic::error(format!("\"{}\" is not a version constraint", version.name))
                .at(version.span)
                .help("Write it like \"1.2.3\", \"~> 1.2\" or \">= 1.2, < 2.0\"."),
        );
        // Which version is meant is not known.
        if let Some(call) = loader.calls.get_mut(place) {
            call.source = None;
        }
        return None;
    }
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let diagnostic = Diagnostic::error("the module's source is not understood").at(source.span);
            loader.out.push(diagnostic.label(error.problem).help(error.help));
            return None;
        }
    };
    if let (Some(version), false) = (&version, matches!(parsed, ModuleSource::Registry { .. })) {
        let what = match parsed {
            ModuleSource::Local(_) => "a local path",
            _ => "no registry",
        };
        loader.out.push(
            Diagnostic::error("only a module of a registry has versions to choose from")
                .at(version.span)
                .related(source.span, format!("this is {what}"))
                .help("Leave \"version\" out; a git repository takes \"?ref=\" in its source."),
        );
    }
    let path = match &parsed {
        ModuleSource::Local(path) => local(loader, from, path, &source)?,
        ModuleSource::Registry { module, directory } => {
            let found = loader.installed.versions(module);
            let constraint = versions.and_then(Result::ok).unwrap_or_default();
            let met = |it: &&&Installed| it.version.as_ref().is_some_and(|version| constraint.allows(version));
            let Some(met) = found.iter().find(met).map(|it| (*it).clone()) else {
                let have = found.first().and_then(|it| it.version.as_ref());
                let diagnostic = match (have, &version) {
                    (Some(have), Some(version)) => Diagnostic::error(format!(
                        "module \"{name}\" is installed at version {have}, and \"{}\" is wanted",
                        version.name
                    ))
                    .at(version.span),
                    _ => missing(&name, &source),
                };
                loader.out.push(diagnostic.help(INIT));
                return None;
            };
            inside(loader, place, &name, &met, directory, &source)?
        }
        ModuleSource::Package { package, directory } => {
            let Some(met) = loader.installed.package(package).cloned() else {
                loader.out.push(missing(&name, &source).help(INIT));
                return None;
            };
            inside(loader, place, &name, &met, directory, &source)?
        }
    };
    Some((path, source.span))
}

fn missing(name: &str, source: &Ident) -> Diagnostic {
    Diagnostic::error(format!("module \"{name}\" is not installed")).at(source.span)
}

/// The directory of a local path, which stays in the package that it is written in.
fn local(loader: &mut Loader<'_>, from: &str, path: &str, source: &Ident) -> Option<String> {
    let called = resolve(from, path)?;
    if let Some(package) = package_of(from).filter(|package| package_of(&called) != Some(package)) {
        loader.out.push(
            Diagnostic::error("a local path leads out of the module's package")
                .at(source.span)
                .label(format!("the package is {package}"))
                .help(
                    "A module that is installed can call what is in its package, and what it names by its own source.",
                ),
        );
        return None;
    }
    if is_foreign(&called) {
        loader.add_sources(&called, |path| parent(path) == called);
    }
    if !has_module(loader, &called) {
        let place = if called.is_empty() { "the project's own directory" } else { &called };
        let diagnostic = Diagnostic::error(format!("there is no module in \"{}\"", source.name))
            .at(source.span)
            .label(format!("{place} has no *.tf files"));
        let around = if is_foreign(&called) { package_of(&called).unwrap_or(parent(&called)) } else { "" };
        loader.out.push(near(loader, &called, around, diagnostic));
        return None;
    }
    Some(called)
}

/// The directory of an installed package that a call names.
fn inside(
    loader: &mut Loader<'_>,
    call: usize,
    name: &str,
    installed: &Installed,
    directory: &str,
    source: &Ident,
) -> Option<String> {
    let at = loader.installed.modules.iter().position(|it| it == installed);
    let start = resolve(&installed.root, &installed.inner)?;
    let called = resolve(&start, directory)?;
    if loader.files.under(&installed.root).next().is_none() {
        let diagnostic = missing(name, source).detail(format!("It was, but {} is empty or gone.", installed.root));
        loader.out.push(diagnostic.help(INIT));
        return None;
    }
    if let Some(call) = loader.calls.get_mut(call) {
        call.installed = at;
    }
    loader.add_sources(&called, |path| parent(path) == called);
    if !has_module(loader, &called) {
        let place = if directory.is_empty() { "the package" } else { directory };
        let diagnostic = Diagnostic::error(format!("the package has no module in \"{directory}\""))
            .at(source.span)
            .label(format!("{place} has no *.tf files"))
            .detail(format!("The package is in {}.", installed.root));
        loader.out.push(near(loader, &called, &installed.root, diagnostic));
        return None;
    }
    Some(called)
}

fn has_module(loader: &Loader<'_>, directory: &str) -> bool {
    [".tf", ".tf.json"].iter().any(|suffix| !loader.paths(directory, suffix).is_empty())
}

/// Adds the nearest directory below `around` that has a module.
fn near(loader: &Loader<'_>, wanted: &str, around: &str, diagnostic: Diagnostic) -> Diagnostic {
    let files = loader.files.under(around).map(|(path, _)| path);
    let directories: BTreeSet<&str> =
        files.filter(|path| path.ends_with(".tf") || path.ends_with(".tf.json")).map(|path| parent(path)).collect();
    match nearest(wanted, directories.iter().copied()) {
        Some(near) => diagnostic.help(format!("There is one in {near}.")),
        None => diagnostic.help("Name a directory with *.tf files in it; the path starts where this file is."),
    }
}

/// The root of the installed package that a directory is in.
fn package_of(directory: &str) -> Option<&str> {
    let installed = [".andon/modules/", ".terraform/modules/"].iter().find_map(|place| {
        let at = directory.find(place)? + place.len();
        Some((at, directory.get(at..)?))
    });
    let (at, rest) = installed?;
    directory.get(..at + rest.find('/').unwrap_or(rest.len()))
}

impl Loader<'_> {
    /// Reads the record of installed packages; without one, what Terraform recorded for each stack.
    pub(super) fn read_record(&mut self) {
        if let Some(text) = self.files.read("", RECORD) {
            match Record::read(text) {
                Ok(record) => self.installed = record,
                Err(why) => self.out.push(
                    Diagnostic::warning(format!("{RECORD} is not understood"))
                        .detail(format!("The record of installed modules cannot be read: {why}."))
                        .help(INIT),
                ),
            }
            return;
        }
        let stacks: BTreeSet<&str> = (self.files.paths())
            .filter(|path| path.starts_with("stacks/"))
            .filter_map(|path| path.match_indices('/').nth(1).and_then(|(at, _)| path.get(..at)))
            .chain([""])
            .collect();
        for stack in stacks {
            if let Some(text) = self.files.read(stack, TERRAFORM_RECORD) {
                self.installed.modules.extend(Record::read_terraform(text, stack).modules);
            }
        }
    }
}
