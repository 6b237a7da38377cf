//! Evaluation: from expressions and bodies of the syntax tree to values. What a reference means is asked of a
//! [`Scope`]; everything else about an expression is decided here. Unknown and sensitive values go through every
//! operation, and all independent errors of one expression are found in one go.

mod block;
mod call;
mod describe;
mod dynamic;
mod expression;
mod inputs;
mod json;
mod legacy;
mod operators;
mod repeat;
mod steps;
mod template;

use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_schema::{FunctionAnswer, FunctionSchema, ProviderAddress, Schemas};
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Number, Value};

use crate::definitions::Settings;

pub use block::{evaluate_block, implied_type};
pub(crate) use block::{evaluate_block_with_doubts, evaluate_given, nothing_given};
pub use describe::describe;
pub use inputs::{Inputs, Moment};
pub use json::resolved;
pub use steps::apply_step;

pub(crate) use call::Call;
pub(crate) use dynamic::iteration;
pub(crate) use expression::Evaluator;
pub(crate) use repeat::element_types;

/// The root name of a reference.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    /// The name.
    pub name: &'a Arc<str>,
    /// Where it is written.
    pub span: Span,
}

/// One step of a reference after its root name.
#[derive(Debug, Clone)]
pub enum Step {
    /// `.name`
    Attribute(Arc<str>, Span),
    /// `[key]`, evaluated: perhaps unknown or marked. The legacy `.0` is such a step too.
    Key(Value, Span),
}

impl Step {
    /// Where it is written.
    pub fn span(&self) -> Span {
        match self {
            Step::Attribute(_, span) | Step::Key(_, span) => *span,
        }
    }

    /// The step for `.name`: digits are an index.
    fn of_attribute(name: &Arc<str>, span: Span) -> Step {
        let digits = name.bytes().all(|byte| byte.is_ascii_digit());
        match Number::parse(name) {
            Some(index) if digits => Step::Key(Value::from(index), span),
            _ => Step::Attribute(name.clone(), span),
        }
    }
}

/// What a reference means.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The value.
    pub value: Value,
    /// How many of the steps the value already includes.
    pub used: usize,
}

/// What names mean where an expression stands.
pub trait Scope {
    /// What a reference means. `steps` are all steps after the root name, index keys already evaluated; the scope
    /// takes as many as it needs (so that `lab_server.web[count.index].id` reads one instance, never all) and says
    /// how many.
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic>;

    /// What functions may read.
    fn inputs(&self) -> Inputs<'_>;

    /// What `provider::NAME::FUNCTION` means here, where `place` calls it. Nowhere else than in a module are there providers.
    fn provider_function(&self, provider: &str, function: &str, place: Span) -> ProviderFunction {
        let _ = (provider, function, place);
        ProviderFunction::NoProvider
    }

    /// The result of a plugin's function, where someone has asked the plugin. Without an answer the result is unknown.
    fn ask_provider(&self, provider: &ProviderAddress, function: &str, arguments: &[Value]) -> Option<FunctionAnswer> {
        let _ = (provider, function, arguments);
        None
    }
}

/// What `provider::NAME::FUNCTION` means where an expression stands.
#[derive(Debug, Clone)]
pub enum ProviderFunction {
    /// The module has no provider of this local name among its required providers.
    NoProvider,
    /// The provider has no such function; these it has.
    NoFunction(Vec<Arc<str>>),
    /// The provider's functions are not known here, and need not be.
    Unknown,
    /// The provider is not at hand, and without it there is no result.
    Absent(ProviderAddress),
    /// A function of the provider that is built in, `terraform.io/builtin/terraform`.
    BuiltIn,
    /// A function of a plugin, and whose it is.
    Plugin(ProviderAddress, FunctionSchema),
}

impl ProviderFunction {
    /// What it means in a module, by what the module requires and by the schemas at hand.
    pub fn of(settings: &Settings, schemas: &Schemas, provider: &str, function: &str) -> ProviderFunction {
        let Some(required) = settings.required_providers.get(provider) else { return ProviderFunction::NoProvider };
        if required.address == ProviderAddress::implied("terraform") {
            return ProviderFunction::BuiltIn;
        }
        match schemas.providers.get(&required.address) {
            None => ProviderFunction::Unknown,
            Some(schema) => match schema.functions.get(function) {
                Some(signature) => ProviderFunction::Plugin(required.address.clone(), signature.clone()),
                None => {
                    ProviderFunction::NoFunction(schema.functions.keys().map(|name| name.as_str().into()).collect())
                }
            },
        }
    }
}

/// The references of an expression as they are written, and what each is, in a few words that never tell a secret.
pub fn values_in_play(expr: &Expr, scope: &dyn Scope) -> Vec<(String, String)> {
    Evaluator::new(scope).values_in_play(expr)
}

/// The value of an expression, or every error that was found on the way to it.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    let mut evaluator = Evaluator::new(scope);
    match evaluator.evaluate(expr) {
        Ok(value) => Ok(value),
        Err(expression::Failed) => Err(evaluator.into_diagnostics()),
    }
}

/// The same, and the errors in parts of it that may turn out not to be needed, such as one side of a conditional whose
/// condition is not known yet.
pub(crate) fn evaluate_with_doubts(expr: &Expr, scope: &dyn Scope) -> (Result<Value, Diagnostics>, Diagnostics) {
    let mut evaluator = Evaluator::new(scope);
    let result = evaluator.evaluate(expr);
    let (errors, doubts) = evaluator.into_errors_and_doubts();
    (result.map_err(|expression::Failed| errors), doubts)
}
