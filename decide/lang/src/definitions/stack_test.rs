//! Tests of stacks, in Terraform's test language (<https://developer.hashicorp.com/terraform/language/tests>).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Expr, Ident};
use andon_schema::Mode;
use andon_text::Span;
use andon_value::Value;

use super::{Assignment, Condition, Module, ProviderDefinition, ProviderKey, ProviderReference, Target};
use crate::GivenValue;

/// A `*.tftest.hcl` file.
#[derive(Debug, Clone)]
pub struct StackTest {
    /// The file.
    pub path: Arc<str>,
    /// The stack that it tests.
    pub stack: Arc<str>,
    /// Values of input variables in every run.
    pub variables: BTreeMap<Arc<str>, Assignment>,
    /// Values from the files of values beside it: stronger than those of the stack's.
    pub assignments: BTreeMap<Arc<str>, Assignment>,
    /// Configurations of providers that take the place of the stack's own, mocked ones among them.
    pub providers: BTreeMap<ProviderKey, TestProvider>,
    /// What is not made or read in any run.
    pub overrides: Vec<Override>,
    /// Its runs, in the order written.
    pub runs: Vec<Arc<TestRun>>,
    /// `test { parallel = true }`: what its runs say where they say nothing.
    pub parallel: bool,
}

/// `run "name" { … }`
#[derive(Debug, Clone)]
pub struct TestRun {
    /// Its name.
    pub name: Ident,
    /// Whether the plan is applied.
    pub applies: bool,
    /// How the plan is made.
    pub options: RunOptions,
    /// Values of input variables.
    pub variables: BTreeMap<Arc<str>, Assignment>,
    /// The module that takes the place of the stack.
    pub module: Option<Arc<Module>>,
    /// `providers`: for each configuration of the module, the one of the file that it is.
    pub providers: Option<BTreeMap<ProviderKey, ProviderReference>>,
    /// What must be true after it.
    pub asserts: Vec<Condition>,
    /// What must be refused: references to what has conditions.
    pub expected: Vec<Expr>,
    /// What is not made or read in this run.
    pub overrides: Vec<Override>,
    /// Runs of one key share their state.
    pub state_key: Option<Arc<str>>,
    /// Whether it may run beside its neighbours, where it says so.
    pub parallel: Option<bool>,
    /// The first line of its block.
    pub span: Span,
}

/// `plan_options { … }`
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// `mode = refresh-only`
    pub refresh_only: bool,
    /// `refresh`
    pub refresh: bool,
    /// `replace`
    pub replace: Vec<Target>,
    /// `target`
    pub target: Vec<Target>,
}

/// A configuration of a provider that a test gives.
#[derive(Debug, Clone)]
pub struct TestProvider {
    /// The configuration.
    pub definition: ProviderDefinition,
    /// What it gives, where nothing real is asked.
    pub mock: Option<MockProvider>,
}

/// `mock_provider "name" { … }`
#[derive(Debug, Clone, Default)]
pub struct MockProvider {
    /// Whether what is given is known to a plan already.
    pub during_plan: bool,
    /// What objects of a type are made to be.
    pub types: BTreeMap<(Mode, Arc<str>), Mock>,
    /// What is not made or read.
    pub overrides: Vec<Override>,
}

/// `mock_resource "type" { … }`, or `mock_data`.
#[derive(Debug, Clone)]
pub struct Mock {
    /// The attributes that the provider would have decided.
    pub values: Option<Expr>,
    /// Whether they are known to a plan already; `None` where the provider says.
    pub during_plan: Option<bool>,
}

/// `override_resource { … }`, `override_data` or `override_module`.
#[derive(Debug, Clone)]
pub struct Override {
    /// What is replaced.
    pub target: Target,
    /// The attributes that a provider would have decided, or a module's outputs.
    pub values: Option<Expr>,
    /// Whether they are known to a plan already, where it says so.
    pub during_plan: Option<bool>,
    /// The first line of its block.
    pub span: Span,
}

/// What a run of a test gives to definitions, beside what their files say.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// Values of the root module's input variables: stronger than any other.
    pub variables: BTreeMap<Arc<str>, GivenValue>,
    /// What names mean in every module that means nothing else there: `run`, and what modules are replaced with.
    pub names: BTreeMap<Arc<str>, Value>,
    /// The configurations of providers in the root module that nothing is asked of, and need no arguments.
    pub mocked: BTreeSet<ProviderKey>,
}
