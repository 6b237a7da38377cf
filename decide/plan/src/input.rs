use std::sync::Arc;

use andon_lang::definitions::Project;
use andon_ledger::EnvironmentState;
use andon_schema::Schemas;

/// What a plan is made from. The same input and answers give the same plan.
#[derive(Debug, Clone)]
pub struct PlanInput {
    /// The definitions.
    pub project: Arc<Project>,
    /// The schemas of everything that the definitions may use, [`crate::stack_schema`] among them.
    pub schemas: Arc<Schemas>,
    /// The environment.
    pub environment: Arc<str>,
    /// The stacks to plan; empty for all, those that the project no longer has included.
    pub stacks: Vec<Arc<str>>,
    /// What there is.
    pub state: Arc<EnvironmentState>,
    /// The ledger entry that `state` goes up to.
    pub sequence: u64,
    /// What is wanted.
    pub mode: PlanMode,
    /// Ask how each object is now, rather than trust the state.
    pub refresh: bool,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum PlanMode {
    /// To make the world as the definitions say.
    #[default]
    Normal,
    /// To delete everything of the selected stacks.
    Destroy,
    /// To see only how the world differs from the state, and servers from their roles.
    RefreshOnly,
}
