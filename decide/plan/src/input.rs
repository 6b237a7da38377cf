use std::collections::BTreeSet;
use std::sync::Arc;

use andon_lang::definitions::{Project, ProviderDefinition, ResourceDefinition, ResourceKey};
use andon_lang::eval::Moment;
use andon_ledger::EnvironmentState;
use andon_schema::{ProviderConfigAddress, ResourceAddress, Schemas};

use crate::Scope;

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
    /// What the plan is held to.
    pub scope: Scope,
    /// When it is made, and at an apply the time and the randomness of that: what `timestamp` and its like read. One
    /// plan has one.
    pub moment: Arc<Moment>,
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

impl PlanInput {
    /// Whether a stack is among those to plan.
    pub(crate) fn covers(&self, stack: &Arc<str>) -> bool {
        self.stacks.is_empty() || self.stacks.contains(stack)
    }

    /// The stacks to plan: those named, or else all that are defined and all that have anything.
    pub(crate) fn covered(&self) -> Vec<Arc<str>> {
        let mut stacks: BTreeSet<Arc<str>> = self.stacks.iter().cloned().collect();
        if stacks.is_empty() {
            stacks.extend(self.project.stacks.keys().cloned());
            stacks.extend(self.state.published.keys().cloned());
            stacks.extend(self.state.instances.keys().map(|address| Arc::clone(&address.resource.stack)));
        }
        stacks.into_iter().collect()
    }

    /// The `provider` block of a provider configuration; `None` where it has none.
    pub(crate) fn provider_block(&self, stack: &str, provider: &ProviderConfigAddress) -> Option<&ProviderDefinition> {
        let mut module = &self.project.stacks.get(stack)?.module;
        for name in provider.module.iter() {
            module = &module.calls.get(name)?.module;
        }
        let mut blocks = module.providers.iter();
        let is_meant = |name: &str, alias: &Option<Arc<str>>| {
            *alias == provider.alias && module.provider_address(name) == provider.provider
        };
        blocks.find(|((name, alias), _)| is_meant(name, alias)).map(|(_, block)| block)
    }

    /// The definition of a resource; `None` where there is none any more. Nothing is evaluated for it.
    pub fn definition(&self, resource: &ResourceAddress) -> Option<&Arc<ResourceDefinition>> {
        let mut module = &self.project.stacks.get(&resource.stack)?.module;
        for step in resource.module.iter() {
            module = &module.calls.get(&step.name)?.module;
        }
        let ResourceAddress { mode, kind, name, .. } = resource.clone();
        module.resources.get(&ResourceKey { mode, kind, name })
    }
}

/// Whether the state has anything of a stack.
pub(crate) fn has_stack(state: &EnvironmentState, stack: &str) -> bool {
    state.published.contains_key(stack) || state.instances.keys().any(|address| &*address.resource.stack == stack)
}
