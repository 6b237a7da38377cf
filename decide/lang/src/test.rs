//! Tests of roles and images: from a definition to what is made, asked and expected.

use std::sync::Arc;

use andon_schema::host::Check;
use andon_schema::{Block, Schemas};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Type, Value, convert};

use crate::definitions::{Project, Test};
use crate::eval::{Inputs, Name, Resolved, Scope, Step, evaluate, evaluate_block};
use crate::role::evaluate_assertion;
use crate::variable::Constants;

/// What a test is about.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// Its name.
    pub name: Arc<str>,
    /// The arguments of its server: those of `lab_server`, none of them required, and its `image` is the name of one
    /// of the project's.
    pub server: Value,
    /// The role that is converged on it.
    pub role: Option<Arc<str>>,
    /// The role's parameters: an object, or null.
    pub params: Value,
    /// How many host resources the role may change.
    pub changes: Option<u64>,
}

/// What a test is about; its checks come later, when there is a server: [`test_checks`].
pub fn test_case(project: &Project, test: &Test, schemas: &Schemas) -> Result<TestCase, Diagnostics> {
    let scope = Constants(inputs(project));
    let mut out = Diagnostics::new();
    let mut note = |result: Result<Value, Diagnostics>| {
        result.unwrap_or_else(|errors| {
            out.extend(errors);
            Value::NULL
        })
    };
    let server = note(evaluate_block(&test.server, &server_schema(schemas), &scope));
    let params = note(test.params.as_ref().map_or(Ok(Value::NULL), |expr| evaluate(expr, &scope)));
    let changes = note(test.expect_changes.as_ref().map_or(Ok(Value::NULL), |expr| evaluate(expr, &scope)));
    let number = convert(&changes, &Type::Number).ok();
    let count = number.as_ref().and_then(|number| number.as_number()).and_then(|number| number.to_u64());
    if let (Some(expr), None, false) = (&test.expect_changes, count, changes.is_null()) {
        out.push(Diagnostic::error("\"changes\" takes a whole number").at(expr.span));
    }
    if !out.is_empty() {
        return Err(out);
    }
    let role = test.role.as_ref().map(|role| role.name.clone());
    Ok(TestCase { name: test.name.name.clone(), server, role, params, changes: count })
}

/// The checks of a test, made from this machine. `server` is what `server` means in them: an object with `address`,
/// and whatever else there is to know of it. Where it is unknown, checks that need more are left out.
pub fn test_checks(
    project: &Project,
    test: &Test,
    server: &Value,
    schemas: &Schemas,
) -> Result<Vec<Check>, Diagnostics> {
    let scope = Server { inputs: inputs(project), server };
    let (mut out, mut checks) = (Diagnostics::new(), Vec::new());
    for check in &test.checks {
        let when = check.when.as_ref().map_or(Ok(Value::from(true)), |when| evaluate(when, &scope));
        let when = when.map(|when| convert(&when, &Type::Bool).ok().and_then(|when| when.as_bool()));
        let mut assertions = Vec::new();
        for assertion in &check.assertions {
            match evaluate_assertion(assertion, &scope, schemas, &project.sources) {
                Ok(assertion) => assertions.extend(assertion),
                Err(errors) => out.extend(errors),
            }
        }
        match when {
            Ok(Some(true)) => checks.push(Check { name: check.name.name.clone(), assertions }),
            Ok(_) => {}
            Err(errors) => out.extend(errors),
        }
    }
    if out.is_empty() { Ok(checks) } else { Err(out) }
}

fn inputs(project: &Project) -> Inputs<'_> {
    project.inputs("tests")
}

/// A test's server is made for it: what it does not say, the test gives.
fn server_schema(schemas: &Schemas) -> Block {
    let mut block = schemas.resources.get("lab_server").map(|schema| schema.block.clone()).unwrap_or_default();
    block.attributes.retain(|_, attribute| attribute.optional || attribute.required);
    block.attributes.values_mut().for_each(|attribute| (attribute.required, attribute.optional) = (false, true));
    block
}

struct Server<'a> {
    inputs: Inputs<'a>,
    server: &'a Value,
}

impl Scope for Server<'_> {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        if &**root.name == "server" {
            return Ok(Resolved { value: self.server.clone(), used: 0 });
        }
        Err(Diagnostic::error(format!("\"{}\" means nothing here", root.name))
            .at(root.span)
            .help("The checks of a test may read server.address."))
    }

    fn inputs(&self) -> Inputs<'_> {
        self.inputs
    }
}
