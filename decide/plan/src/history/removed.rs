//! What `removed` blocks say of an object that no definition asks for any more.

use std::sync::Arc;

use andon_lang::definitions::{Module, Removed, ResourceKey};
use andon_schema::ResourceAddress;

use crate::PlanInput;

impl PlanInput {
    /// The `removed` block that a resource is under: the one that names it, or else the nearest module around it.
    pub(crate) fn removed(&self, resource: &ResourceAddress) -> Option<&Removed> {
        let ResourceAddress { mode, kind, name, .. } = resource.clone();
        let key = ResourceKey { mode, kind, name };
        let mut module: &Arc<Module> = &self.project.stacks.get(&resource.stack)?.module;
        let mut way = &*resource.module;
        let mut nearest: Option<(usize, &Removed)> = None;
        loop {
            for removed in &module.removed {
                let above =
                    way.iter().zip(removed.from.module.iter()).take_while(|(step, named)| step.name == named.name);
                if above.count() < removed.from.module.len() {
                    continue;
                }
                // How much of the way is left below what is named: nothing for the resource itself.
                let left = way.len() - removed.from.module.len();
                let left = match &removed.from.resource {
                    Some((named, _)) if left == 0 && *named == key => 0,
                    Some(_) => continue,
                    None => left + 1,
                };
                if nearest.is_none_or(|(known, _)| left < known) {
                    nearest = Some((left, removed));
                }
            }
            let Some((step, rest)) = way.split_first() else { break };
            let Some(call) = module.calls.get(&step.name) else { break };
            (module, way) = (&call.module, rest);
        }
        nearest.map(|(_, removed)| removed)
    }

    /// Whether an object is to be forgotten rather than deleted: it is defined no more, and a block says so.
    pub(crate) fn forgets(&self, resource: &ResourceAddress) -> bool {
        self.definition(resource).is_none() && self.removed(resource).is_some_and(|removed| !removed.destroy)
    }
}
