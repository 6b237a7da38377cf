use std::sync::Arc;

use andon_lang::definitions::{ResourceDefinition, ResourceKey};
use andon_ledger::EnvironmentState;
use andon_schema::{InstanceAddress, ResourceAddress};

use super::{Key, Map, ModuleId, NodeId};

/// Names a resource of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ResourceId(u32);

/// Resources by address: those defined, and those that only the state knows.
#[derive(Debug, Default)]
pub(super) struct Resources {
    all: Vec<Resource>,
    index: Map<ResourceAddress, ResourceId>,
}

#[derive(Debug)]
pub(super) struct Resource {
    pub address: ResourceAddress,
    pub defined: Option<(ModuleId, Arc<ResourceDefinition>)>,
    /// The set of it alone.
    pub itself: ResourceSet,
}

/// A set of resources, shared among those who have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResourceSet(Option<Arc<[ResourceId]>>);

impl Resources {
    /// Its number. What the state has of it is named with the same words in memory, so that comparing them is quick.
    pub fn intern(&mut self, address: &ResourceAddress, state: &EnvironmentState) -> ResourceId {
        if let Some(id) = self.index.get(address) {
            return *id;
        }
        let first = address.instance(None);
        let known = state.instances.range(first..).next().map(|(known, _)| &known.resource);
        let address = known.filter(|known| *known == address).unwrap_or(address);
        let id = ResourceId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let itself = ResourceSet(Some(Arc::new([id])));
        self.all.push(Resource { address: address.clone(), defined: None, itself });
        self.index.insert(address.clone(), id);
        id
    }

    pub fn define(&mut self, id: ResourceId, module: ModuleId, definition: Arc<ResourceDefinition>) {
        if let Some(resource) = self.all.get_mut(id.0 as usize) {
            resource.defined = Some((module, definition));
        }
    }

    pub fn find(&self, address: &ResourceAddress) -> Option<ResourceId> {
        self.index.get(address).copied()
    }

    /// Those that are defined.
    pub fn defined(&self) -> impl Iterator<Item = &ResourceAddress> {
        self.all.iter().filter(|resource| resource.defined.is_some()).map(|resource| &resource.address)
    }

    pub fn get(&self, id: ResourceId) -> Option<&Resource> {
        self.all.get(id.0 as usize)
    }
}

impl ResourceSet {
    pub fn iter(&self) -> impl Iterator<Item = ResourceId> + '_ {
        self.0.iter().flat_map(|ids| ids.iter().copied())
    }

    /// All that any has. Where that is what one of them has, it is shared with it.
    pub fn union<'a>(sets: impl IntoIterator<Item = &'a ResourceSet>) -> ResourceSet {
        let mut distinct: Vec<&Arc<[ResourceId]>> = Vec::new();
        for ids in sets.into_iter().filter_map(|set| set.0.as_ref()) {
            if !distinct.last().is_some_and(|last| Arc::ptr_eq(last, ids)) {
                distinct.push(ids);
            }
        }
        let Some(longest) = distinct.iter().max_by_key(|ids| ids.len()) else { return ResourceSet(None) };
        let mut all: Vec<ResourceId> = distinct.iter().flat_map(|ids| ids.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        if all.len() == longest.len() {
            return ResourceSet(Some(Arc::clone(longest)));
        }
        ResourceSet(Some(all.into()))
    }

    pub fn of(ids: Vec<ResourceId>) -> ResourceSet {
        if ids.is_empty() { ResourceSet(None) } else { ResourceSet(Some(ids.into())) }
    }
}

impl super::Graph {
    /// The addresses of resources, sorted.
    pub fn addresses(&self, set: ResourceSet) -> Vec<ResourceAddress> {
        let found = set.iter().filter_map(|id| self.resources.get(id));
        let mut addresses: Vec<ResourceAddress> = found.map(|resource| resource.address.clone()).collect();
        addresses.sort_unstable();
        addresses
    }

    /// The other resources that the definition of an instance reads, sorted.
    pub fn dependencies(&self, address: &InstanceAddress, node: NodeId) -> Vec<ResourceAddress> {
        let mut read = self.addresses(self.resources_read(node));
        read.retain(|resource| *resource != address.resource);
        read
    }

    /// Finds the node of an instance. The modules around it are opened on the way, where they are not yet.
    pub fn locate(&mut self, address: &InstanceAddress) -> Place {
        let ResourceAddress { stack, module, mode, kind, name } = address.resource.clone();
        let Some(mut at) = self.roots().get(&stack).copied() else { return Place::Nowhere };
        for step in module.iter() {
            let Some(instance) = self.module(at) else { return Place::Nowhere };
            match instance.children.get(&(Arc::clone(&step.name), step.key.clone())) {
                Some(child) => at = *child,
                None if instance.module.calls.contains_key(&step.name) => {
                    let call = self.want(Key::CallKeys(at, Arc::clone(&step.name)));
                    return if self.is_settled(call) { Place::Nowhere } else { Place::Behind };
                }
                None => return Place::Nowhere,
            }
        }
        let resource = self.module(at).and_then(|instance| instance.resources.get(&ResourceKey { mode, kind, name }));
        match resource.copied() {
            Some(resource) => Place::Node(self.want(Key::Instance(resource, address.key.clone()))),
            None => Place::Nowhere,
        }
    }
}

/// Where an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has this node.
    Node(NodeId),
    /// It is in a module that the next [`super::Graph::advance`] opens, unless that has to wait.
    Behind,
    /// The definitions do not have it.
    Nowhere,
}
