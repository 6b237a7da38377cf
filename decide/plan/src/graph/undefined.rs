//! Why no definition asks for an object.

use std::sync::Arc;

use andon_lang::definitions::ResourceKey;
use andon_schema::{InstanceAddress, ModuleStep, ResourceAddress};

use super::expand::Keys;
use super::{Content, Graph, Key, NodeId, State};
use crate::{PlanMode, Repetition, Undefined};

impl Graph {
    /// Why an object of the state is not, or not any more, what a definition asks for; `None` where one does.
    pub fn undefined(&self, address: &InstanceAddress) -> Option<Undefined> {
        if self.input().mode == PlanMode::Destroy {
            return Some(Undefined::Everything);
        }
        let ResourceAddress { stack, module, mode, kind, name } = address.resource.clone();
        let Some(mut at) = self.roots().get(&stack).copied() else { return Some(Undefined::Stack) };
        for (depth, step) in module.iter().enumerate() {
            let way = || -> Arc<[ModuleStep]> { module.iter().take(depth + 1).cloned().collect() };
            let instance = self.module(at)?;
            if !instance.module.calls.contains_key(&step.name) {
                return Some(Undefined::Call(way()));
            }
            match instance.children.get(&(Arc::clone(&step.name), step.key.clone())) {
                Some(child) => at = *child,
                None => {
                    let keys = self.find(&Key::CallKeys(at, Arc::clone(&step.name)))?;
                    return Some(Undefined::ModuleInstance(way(), self.repetition(keys)?));
                }
            }
        }
        let Some(resource) = self.module(at)?.resources.get(&ResourceKey { mode, kind, name }) else {
            return Some(Undefined::Resource);
        };
        let keys = self.find(&Key::Keys(*resource))?;
        if self.find(&Key::Instance(*resource, address.key.clone())).is_some() {
            return None;
        }
        Some(Undefined::Instance(self.repetition(keys)?))
    }

    /// Whether a resource loses an instance that there is: what reads the resource waits for that, too.
    pub(super) fn sheds(&self, key: &Key) -> bool {
        let Key::Resource(resource) = key else { return false };
        let keys = self.find(&Key::Keys(*resource)).and_then(|keys| self.node(keys));
        let (Some(State::Ready(Content::Keys(keys))), Some(resource)) =
            (keys.map(|keys| &keys.state), self.resources.get(*resource))
        else {
            return false;
        };
        let first = InstanceAddress { resource: resource.address.clone(), key: None };
        let instances = self.input.state.instances.range(first..);
        let mut own = instances.take_while(|(address, _)| address.resource == resource.address);
        own.any(|(address, instance)| instance.current.is_some() && keys.each(&address.key).is_none())
    }

    fn repetition(&self, keys: NodeId) -> Option<Repetition> {
        let State::Ready(Content::Keys(keys)) = &self.node(keys)?.state else { return None };
        match &**keys {
            Keys::One => Some(Repetition::One),
            Keys::Count(count) => Some(Repetition::Count(*count)),
            Keys::Each(entries) => Some(Repetition::Each(entries.len())),
            Keys::Unknown => None,
        }
    }
}
