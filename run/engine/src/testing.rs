//! Tests of roles and images: each test becomes a small project of its own, brought up in an environment of its own and
//! taken down again by the same engine as any other.

use std::fmt::Write as _;
use std::sync::Arc;

use andon_converge::{Converge, Mode};
use andon_hcl::ast::Expr;
use andon_lang::FileSet;
use andon_lang::definitions::{Project, Test};
use andon_lang::eval::{Inputs, Name, Resolved, Scope, Step, evaluate, evaluate_block};
use andon_schema::CheckResult;
use andon_schema::Schemas;
use andon_schema::host::{Assertion, Catalog, Check, Stage};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::Value;

use crate::agent::carry_out;

/// What the names of tests' environments begin with.
pub const ENVIRONMENT_PREFIX: &str = "test-";

/// The stack of a test's project.
const STACK: &str = "test";

/// The environment that a test runs in: `test-web-serves`.
pub fn environment(test: &Test) -> Arc<str> {
    let word = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let slug: String = test.name.name.chars().map(word).collect();
    format!("{ENVIRONMENT_PREFIX}{}", slug.trim_matches('-')).into()
}

/// The project that a test runs: the roles and images of its own project, and one stack with a throw-away server.
pub fn project(of: &Project, test: &Test) -> Result<Project, Diagnostics> {
    let mut stack = String::from("resource \"lab_network\" \"test\" {\n  name = \"test\"\n}\n\n");
    let mut server = String::new();
    let mut image = None;
    for attribute in test.server.attributes() {
        let text = of.sources.text(attribute.value.span);
        match &*attribute.name.name {
            "image" => image = Some(text),
            name => drop(writeln!(server, "  {name} = {text}")),
        }
    }
    let Some(image) = image else {
        return Err(Diagnostic::error("the test's server has no image")
            .at(test.span)
            .help("Say what it starts from: `server { image = \"NAME\" }`.")
            .into());
    };
    let _ = write!(
        stack,
        "resource \"andon_image\" \"test\" {{\n  definition = {image}\n}}\n\n\
         resource \"lab_server\" \"test\" {{\n  name = \"test\"\n  image = andon_image.test.digest\n  \
         network = lab_network.test.id\n{server}}}\n\noutput \"address\" {{\n  value = lab_server.test.address\n}}\n",
    );
    if let Some(role) = &test.role {
        let params = test.params.as_ref().map(|params| of.sources.text(params.span)).unwrap_or("{}");
        let _ = write!(
            stack,
            "\nresource \"andon_host\" \"test\" {{\n  connection = lab_server.test.connection\n  role = \"{}\"\n  \
             params = {params}\n}}\n",
            role.name
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
        for (path, content) in of.files.under(directory) {
            files.insert(Arc::clone(path), Arc::clone(content));
        }
    }
    let head = format!("project \"{}\" {{}}\n\nenvironment \"{environment}\" {{}}\n", of.name);
    files.insert("andon.hcl", head.into_bytes());
    if let Some(stack) = stack {
        files.insert(format!("stacks/{STACK}/main.tf"), stack.into_bytes());
    }
    let (project, diagnostics) = andon_lang::load(Arc::new(files), &of.name);
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(project) }
}

/// The number of host resources that a test lets its role change; `None` where it does not say.
pub fn expected_changes(project: &Project, test: &Test) -> Result<Option<usize>, Diagnostics> {
    let Some(expected) = &test.expect_changes else { return Ok(None) };
    let value = evaluate(expected, &TestScope { server: Value::object::<&str>([]), files: &project.files })?;
    match value.as_number().and_then(andon_value::Number::to_usize) {
        Some(count) => Ok(Some(count)),
        None => Err(Diagnostic::error("the number of changes is no whole number").at(expected.span).into()),
    }
}

/// Runs a test's checks from this machine. `server` is what they may read as `server`.
pub fn check(
    project: &Project,
    test: &Test,
    server: Value,
    schemas: &Schemas,
) -> Result<Vec<CheckResult>, Diagnostics> {
    let scope = TestScope { server, files: &project.files };
    let mut checks = Vec::new();
    for definition in &test.checks {
        if let Some(when) = &definition.when
            && evaluate(when, &scope)?.as_bool() == Some(false)
        {
            continue;
        }
        let mut assertions = Vec::new();
        for assertion in &definition.assertions {
            let Some(schema) = schemas.checks.get(&*assertion.kind.name) else { continue };
            assertions.push(Assertion {
                kind: Arc::clone(&assertion.kind.name),
                name: label(&assertion.label, &scope)?,
                attributes: evaluate_block(&assertion.body, schema, &scope)?,
                origin: origin(project, assertion.span).into(),
            });
        }
        checks.push(Check { name: Arc::clone(&definition.name.name), assertions });
    }
    let catalog = Catalog { checks, ..Catalog::default() };
    let converge = Converge::new(catalog, Mode::Apply);
    Ok(carry_out(converge, Stage::Live, &mut |_| {}).checks)
}

fn label(expression: &Expr, scope: &TestScope<'_>) -> Result<Arc<str>, Diagnostics> {
    let value = evaluate(expression, scope)?;
    match value.as_str() {
        Some(text) => Ok(Arc::clone(text)),
        None => Err(Diagnostic::error("a label must be a string").at(expression.span).into()),
    }
}

fn origin(project: &Project, span: andon_text::Span) -> String {
    let place = project.sources.locate(span);
    place.rsplit_once(':').map(|(line, _)| line.to_owned()).unwrap_or(place)
}

struct TestScope<'a> {
    server: Value,
    files: &'a FileSet,
}

impl Scope for TestScope<'_> {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        match &**root.name {
            "server" => Ok(Resolved { value: self.server.clone(), used: 0 }),
            other => Err(Diagnostic::error(format!("a test has no `{other}`"))
                .at(root.span)
                .help("Its expressions may read `server.name` and `server.address`.")),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs { files: self.files, base: "tests", project: "" }
    }
}
