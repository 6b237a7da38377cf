//! Tests of roles and images: each test becomes a small project of its own, brought up in an environment of its own and
//! taken down again by the same engine as any other.

use std::fmt::Write as _;
use std::sync::Arc;

use andon_lang::definitions::{Project, Test};
use andon_lang::{FileSet, TestCase, test_checks};
use andon_schema::host::Catalog;
use andon_schema::{CheckResult, Schemas};
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span};
use andon_value::{Value, render};

use crate::agent;

/// What the names of tests' environments begin with.
pub const ENVIRONMENT_PREFIX: &str = "test-";

/// The environment that a test runs in: `test-web-serves`.
pub fn environment(test: &Test) -> Arc<str> {
    let word = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let slug: String = test.name.name.chars().map(word).collect();
    format!("{ENVIRONMENT_PREFIX}{}", slug.trim_matches('-')).into()
}

/// The project that a test runs: the roles and images of its own project, and one stack with a throw-away server.
pub fn project(of: &Project, test: &Test, case: &TestCase) -> Result<Project, Diagnostics> {
    let given = case.server.as_entries().cloned().unwrap_or_default();
    let Some(image) = given.get("image").filter(|image| !image.is_null()) else {
        return Err(Diagnostic::error("the test's server has no image")
            .at(test.span)
            .help("Say what it starts from: `server { image = \"NAME\" }`.")
            .into());
    };
    let mut server = String::new();
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        if !matches!(&**name, "image" | "name" | "network") {
            let _ = writeln!(server, "  {name} = {}", render(value, 2));
        }
    }
    let mut stack = format!(
        "resource \"lab_network\" \"test\" {{\n  name = \"test\"\n}}\n\n\
         resource \"andon_image\" \"test\" {{\n  definition = {}\n}}\n\n\
         resource \"lab_server\" \"test\" {{\n  name = \"test\"\n  image = andon_image.test.digest\n  \
         network = lab_network.test.id\n{server}}}\n",
        render(image, 2)
    );
    if let Some(role) = &case.role {
        let params = if case.params.is_null() { "{}".to_owned() } else { render(&case.params, 2) };
        let _ = write!(
            stack,
            "\nresource \"andon_host\" \"test\" {{\n  connection = lab_server.test.connection\n  role = \"{role}\"\n  \
             params = {params}\n}}\n",
        );
    }
    load(of, &environment(test), Some(stack))
}

/// A project with nothing in it but an environment of this name: to take down what a test has left there.
pub fn empty_project(of: &Project, environment: &str) -> Result<Project, Diagnostics> {
    load(of, environment, None)
}

fn load(of: &Project, environment: &str, stack: Option<String>) -> Result<Project, Diagnostics> {
    let mut files = FileSet::new();
    for directory in ["roles", "images"] {
        of.files.under(directory).for_each(|(path, _)| files.copy(&of.files, path));
    }
    let head = format!("project \"{}\" {{}}\n\nenvironment \"{environment}\" {{}}\n", of.name);
    files.insert("andon.hcl", head.into_bytes());
    if let Some(stack) = stack {
        files.insert("stacks/test/main.tf", stack.into_bytes());
    }
    let (mut project, diagnostics) = andon_lang::load(Arc::new(files), &of.name);
    project.directory = Arc::clone(&of.directory);
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(project) }
}

/// What was said of a test's project, told of the definitions that its author wrote: what is in a file of both keeps
/// its place, and what is in the project's generated stack is about the test.
pub fn relocate(said: Diagnostics, made: &SourceMap, of: &SourceMap, test: &Test) -> Diagnostics {
    let place = |span: Span| {
        let source = of.find(made.get(span.source)?.path())?;
        Some(Span { source, ..span })
    };
    let told = |mut diagnostic: Diagnostic| {
        diagnostic.related =
            diagnostic.related.into_iter().filter_map(|(span, words)| Some((place(span)?, words))).collect();
        diagnostic.span = Some(diagnostic.span.and_then(place).unwrap_or(test.span));
        diagnostic
    };
    said.into_iter().map(told).collect()
}

/// Makes a test's checks from this machine. `server` is what they may read as `server`.
pub fn check(
    project: &Project,
    test: &Test,
    server: &Value,
    schemas: &Schemas,
) -> Result<Vec<CheckResult>, Diagnostics> {
    let catalog = Catalog { checks: test_checks(project, test, server, schemas)?, ..Catalog::default() };
    Ok(agent::check(catalog))
}
