//! What a plan is held to: only some things, all but some, or some anew.

use andon_schema::{InstanceAddress, ModuleStep, ResourceAddress, TargetAddress};

/// What a plan is held to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Only these and what they depend on; empty for everything.
    pub targets: Vec<TargetAddress>,
    /// Neither these nor what depends on them.
    pub excludes: Vec<TargetAddress>,
    /// Instances whose objects are replaced whatever their configuration comes to.
    pub replace: Vec<InstanceAddress>,
    /// Nobody asked for a part: it is the program's own way to look at one. So nothing is said of it.
    pub unsaid: bool,
}

impl Scope {
    /// Whether a plan may leave out something that is defined.
    pub fn is_partial(&self) -> bool {
        !self.targets.is_empty() || !self.excludes.is_empty()
    }

    /// Whether an instance is asked for by its own name.
    pub fn targets(&self, instance: &InstanceAddress) -> bool {
        self.targets.iter().any(|target| target.has(instance))
    }

    /// Whether some instance of a resource is.
    pub fn targets_of(&self, resource: &ResourceAddress) -> bool {
        self.targets.iter().any(|target| target.names(resource))
    }

    /// Whether something in a module that is called is.
    pub fn targets_call(&self, stack: &str, path: &[ModuleStep], name: &str) -> bool {
        self.targets.iter().any(|target| {
            target.has_module(stack, path)
                || target.is_within(stack, path)
                    && target.module.get(path.len()).is_some_and(|step| *step.name == *name)
        })
    }

    /// Whether an instance is left out by its own name.
    pub fn excludes(&self, instance: &InstanceAddress) -> bool {
        self.excludes.iter().any(|target| target.has(instance))
    }
}
