//! Evaluation: from expressions and bodies of the syntax tree to values. What a reference means is asked of a
//! [`Scope`]; everything else about an expression is decided here. Unknown and sensitive values go through every
//! operation, and all independent errors of one expression are found in one go.

mod block;
mod call;
mod describe;
mod expression;
mod json;
mod legacy;
mod operators;
mod repeat;
mod steps;
mod template;

use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Number, Value};

use crate::FileSet;
use crate::files::{clean, resolve};

pub use block::{evaluate_block, implied_type};
pub use describe::describe;
pub use json::resolved;
pub use steps::apply_step;

pub(crate) use call::Call;
pub(crate) use expression::Evaluator;

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

/// What functions may read beside their arguments.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The project's files.
    pub files: &'a FileSet,
    /// The directory, relative to the project, that the paths of `file` and its like start from.
    pub base: &'a str,
    /// The absolute path of the project, for `abspath`; empty where it is not known, as on a server.
    pub project: &'a str,
}

impl Inputs<'_> {
    /// Where `path` leads in the project, as a path relative to the project; `None` where it leads out of it.
    pub(crate) fn locate(&self, path: &str) -> Option<String> {
        match path.strip_prefix(self.project).filter(|_| !self.project.is_empty()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => resolve("", rest.trim_start_matches('/')),
            _ => resolve(self.base, path),
        }
    }

    /// `path` from the root of the file system, with `.` and `..` followed; `None` where that is not known.
    pub fn absolute(&self, path: &str) -> Option<String> {
        match (path.starts_with('/'), self.project.is_empty()) {
            (true, _) => Some(clean(path)),
            (false, false) => Some(clean(&format!("{}/{}/{path}", self.project, self.base))),
            (false, true) => None,
        }
    }
}

/// What names mean where an expression stands.
pub trait Scope {
    /// What a reference means. `steps` are all steps after the root name, index keys already evaluated; the scope
    /// takes as many as it needs (so that `lab_server.web[count.index].id` reads one instance, never all) and says
    /// how many.
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic>;

    /// What functions may read.
    fn inputs(&self) -> Inputs<'_>;
}

/// The value of an expression, or every error that was found on the way to it.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    let mut evaluator = Evaluator::new(scope);
    match evaluator.evaluate(expr) {
        Ok(value) => Ok(value),
        Err(expression::Failed) => Err(evaluator.into_diagnostics()),
    }
}
