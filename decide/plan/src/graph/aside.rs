//! What is not planned: what nobody can plan yet, and what the user leaves out, with all that depends on either.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_lang::definitions::ResourceKey;
use andon_schema::{InstanceAddress, InstanceKey, ResourceAddress, TargetAddress};
use andon_value::Value;

use super::expand::Keys;
use super::{Content, Graph, Key, ModuleId, NodeId, ResourceId, State};
use crate::{DeferReason, Deferred, Note, Reason};

/// Why something is not planned. The first that is true of anything that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aside {
    /// It, or what it needs, is not known yet.
    Later,
    /// The user excludes it, or what it needs.
    Excluded,
    /// Nothing that the user wants needs it.
    Outside,
}

/// Something that is set aside.
#[derive(Debug)]
pub(crate) struct Left {
    node: NodeId,
    aside: Aside,
    /// `count` or `for_each`, and what it reads that is not known.
    unknown: Option<(&'static str, Vec<String>)>,
}

/// What the definitions have of an instance that a state knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is planned.
    Defined,
    /// It, or what it is in, is set aside.
    Aside(Aside),
    /// It is defined, and nothing wants it.
    Unseen,
    /// It is not defined any more.
    Gone,
}

impl Graph {
    /// Whether a node is set aside.
    pub fn is_aside(&self, id: NodeId) -> bool {
        self.aside(id).is_some()
    }

    /// Why a node is set aside.
    pub fn aside(&self, id: NodeId) -> Option<Aside> {
        self.node(id)?.aside
    }

    /// From now on, instances that nothing has wanted yet are left out.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Leaves an instance out that the scope does not have. Whether it does so.
    pub(super) fn leave_out(&mut self, id: NodeId, key: &Key) -> bool {
        if self.applying || self.of_values {
            return false;
        }
        if self.closed && matches!(key, Key::Keys(_) | Key::CallKeys(..)) {
            if let Some(node) = self.nodes.get_mut(id.0 as usize) {
                node.aside = Some(Aside::Outside);
            }
            self.settle(id, State::Ready(Content::Keys(Arc::new(Keys::Unknown))));
            return true;
        }
        let Key::Instance(resource, instance) = key else { return false };
        let Some(found) = self.resources.get(*resource) else { return false };
        let aside = match self.closed {
            true => Aside::Outside,
            false if self.input.scope.excludes(&found.address.instance(instance.clone())) => Aside::Excluded,
            false => return false,
        };
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.aside = Some(aside);
        }
        self.leave(id, key);
        true
    }

    /// Passes on why what a node reads is set aside, or why it is itself.
    pub(super) fn set_aside(&mut self, id: NodeId, key: &Key, unknown: Option<(&'static str, Vec<String>)>) {
        let read = self.reads(id).iter().filter_map(|read| self.aside(*read)).min();
        let aside = read.or(unknown.as_ref().map(|_| Aside::Later));
        let Some(aside) = aside else { return };
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.aside = Some(aside);
        }
        let is_told = match key {
            Key::Keys(_) | Key::CallKeys(..) => unknown.is_some(),
            Key::Output(module, _) => self.module(*module).is_some_and(|module| module.parent.is_none()),
            _ => false,
        };
        if is_told {
            // What is behind something that is set aside is told of that, not of what it left unknown.
            self.left.push(Left { node: id, aside, unknown: unknown.filter(|_| read.is_none()) });
        }
    }

    /// Has an instance that is set aside be unknown.
    pub(super) fn leave(&mut self, id: NodeId, key: &Key) {
        let Key::Instance(resource, _) = key else { return };
        let value = self.unknown_instance(*resource).unwrap_or(Value::UNKNOWN);
        self.settle(id, State::Ready(Content::Value(value)));
        if let Some(aside) = self.aside(id) {
            self.left.push(Left { node: id, aside, unknown: None });
        }
    }

    /// Whether an instance is wanted for its own sake, or for that of something that reads others of its resource.
    pub(super) fn is_in_scope(&self, resource: ResourceId, key: &Option<InstanceKey>) -> bool {
        let scope = &self.input.scope;
        if scope.targets.is_empty() {
            return true;
        }
        let Some(resource) = self.resources.get(resource).filter(|_| !self.closed) else { return false };
        let is_dependency = !scope.targets_of(&resource.address);
        is_dependency || scope.targets(&resource.address.instance(key.clone()))
    }

    /// Wants what the scope names of a module instance.
    pub(super) fn want_targets(&mut self, id: ModuleId) {
        let Some(instance) = self.module(id) else { return };
        let (stack, path, scope) = (&instance.stack, &instance.path, &self.input.scope);
        let mut wanted = Vec::new();
        for key in instance.module.resources.keys() {
            let ResourceKey { mode, kind, name } = key.clone();
            let address = ResourceAddress { stack: Arc::clone(stack), module: Arc::clone(path), mode, kind, name };
            let resource = instance.resources.get(key).filter(|_| scope.targets_of(&address));
            wanted.extend(resource.map(|resource| Key::Keys(*resource)));
        }
        let calls = instance.module.calls.keys().filter(|name| scope.targets_call(stack, path, name));
        wanted.extend(calls.map(|name| Key::CallKeys(id, Arc::clone(name))));
        if instance.parent.is_none() {
            wanted.extend(instance.module.variables.keys().map(|name| Key::Variable(id, Arc::clone(name))));
        }
        for key in wanted {
            self.want(key);
        }
    }

    /// Wants the outputs of every root module.
    pub fn want_root_outputs(&mut self) {
        let roots: Vec<ModuleId> = self.roots().values().copied().collect();
        for root in roots {
            let module = self.module(root).map(|module| Arc::clone(&module.module));
            for name in module.iter().flat_map(|module| module.outputs.keys()) {
                self.want(Key::Output(root, Arc::clone(name)));
            }
        }
    }

    /// The resources that the modules define which are open.
    pub fn all_defined(&self) -> BTreeSet<ResourceAddress> {
        self.resources.defined().cloned().collect()
    }

    /// Whether a target is a module that there is, or in one that is not open: nobody can say what that has.
    pub fn may_have(&self, target: &TargetAddress) -> bool {
        self.roots().iter().filter(|(stack, _)| target.stack.as_ref().is_none_or(|own| own == *stack)).any(
            |(_, root)| {
                let mut at = *root;
                for step in &target.module {
                    let Some(instance) = self.module(at) else { return false };
                    if !instance.module.calls.contains_key(&step.name) {
                        return false;
                    }
                    match instance.children.get(&(Arc::clone(&step.name), step.key.clone())) {
                        Some(child) => at = *child,
                        None => {
                            let keys = self.find(&Key::CallKeys(at, Arc::clone(&step.name)));
                            return keys.is_none_or(|keys| self.is_aside(keys));
                        }
                    }
                }
                target.resource.is_none()
            },
        )
    }

    /// Whether something has asked which instances a resource has.
    pub fn is_reached(&self, address: &ResourceAddress) -> bool {
        let node = self.resources.find(address).and_then(|resource| self.find(&Key::Keys(resource)));
        node.is_some_and(|node| self.aside(node) != Some(Aside::Outside))
    }

    /// What the definitions have of an instance.
    pub fn standing(&self, address: &InstanceAddress) -> Standing {
        let ResourceAddress { stack, module, mode, kind, name } = address.resource.clone();
        let Some(mut at) = self.roots().get(&stack).copied() else { return Standing::Gone };
        for step in module.iter() {
            let Some(instance) = self.module(at) else { return Standing::Gone };
            if !instance.module.calls.contains_key(&step.name) {
                return Standing::Gone;
            }
            match instance.children.get(&(Arc::clone(&step.name), step.key.clone())) {
                Some(child) => at = *child,
                None => return self.standing_of_keys(&Key::CallKeys(at, Arc::clone(&step.name))),
            }
        }
        let resource = self.module(at).and_then(|module| module.resources.get(&ResourceKey { mode, kind, name }));
        let Some(resource) = resource else { return Standing::Gone };
        match self.find(&Key::Instance(*resource, address.key.clone())) {
            Some(node) => self.aside(node).map_or(Standing::Defined, Standing::Aside),
            None => {
                let keys = Key::Keys(*resource);
                match self.standing_of_keys(&keys) {
                    // There is such an instance, and nothing has wanted it.
                    Standing::Gone if self.has_key(&keys, &address.key) => Standing::Unseen,
                    standing => standing,
                }
            }
        }
    }

    fn standing_of_keys(&self, key: &Key) -> Standing {
        let Some(node) = self.find(key) else { return Standing::Unseen };
        match self.node(node).map(|node| (&node.state, node.aside)) {
            Some((State::Ready(Content::Keys(keys)), Some(aside))) if **keys == Keys::Unknown => Standing::Aside(aside),
            Some((State::Ready(_), _)) => Standing::Gone,
            _ => Standing::Unseen,
        }
    }

    fn has_key(&self, keys: &Key, key: &Option<InstanceKey>) -> bool {
        match self.find(keys).and_then(|node| self.node(node)).map(|node| &node.state) {
            Some(State::Ready(Content::Keys(keys))) => keys.each(key).is_some(),
            _ => false,
        }
    }

    /// Everything that is set aside and that the user hears of: what is deferred, and notes of what is excluded.
    pub fn take_left(&mut self) -> (Vec<Deferred>, Vec<Note>) {
        let (mut deferred, mut notes) = (Vec::new(), Vec::new());
        for Left { node, aside, unknown } in std::mem::take(&mut self.left) {
            let on = || {
                let mut on: Vec<String> = self.causes(node);
                on.truncate(3);
                on
            };
            match (aside, self.instance_of(node)) {
                (Aside::Later, address) => {
                    let Some(stack) = self.stack_of(node) else { continue };
                    let name = self.name(node);
                    let whole = format!("{stack}/");
                    let name = name.strip_prefix(&whole).filter(|_| !stack.is_empty()).unwrap_or(&name).to_owned();
                    let address = address.map_or(name, |address| address.within_stack());
                    let reason = match unknown {
                        Some((argument, reads)) => DeferReason::Unknown { argument, reads },
                        None => DeferReason::Needs { on: on() },
                    };
                    deferred.push(Deferred { stack, address, reason });
                }
                (Aside::Excluded, Some(address)) => notes.push(Note { address, reason: Reason::Excluded { on: on() } }),
                _ => {}
            }
        }
        deferred.sort();
        deferred.dedup();
        (deferred, notes)
    }

    /// The names of what a node needs that is set aside: of resources and calls, not of what is between.
    fn causes(&self, node: NodeId) -> Vec<String> {
        let mut names = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<NodeId> = self.reads(node).to_vec();
        open.reverse();
        while let Some(read) = open.pop() {
            if !self.is_aside(read) || !seen.insert(read) {
                continue;
            }
            match self.key(read) {
                Some(Key::Instance(..) | Key::Keys(_) | Key::CallKeys(..) | Key::Provider(..)) => {
                    let name = self.name(read);
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                _ => open.extend(self.reads(read).iter().rev()),
            }
        }
        names
    }

    /// The name of a resource within the graph.
    pub fn resource_id(&self, address: &ResourceAddress) -> Option<ResourceId> {
        self.resources.find(address)
    }

    /// The instance that a node stands for.
    pub fn instance_of(&self, node: NodeId) -> Option<InstanceAddress> {
        let Some(Key::Instance(resource, key)) = self.key(node) else { return None };
        Some(self.resources.get(*resource)?.address.instance(key.clone()))
    }

    fn stack_of(&self, node: NodeId) -> Option<Arc<str>> {
        match self.key(node)? {
            Key::Instance(resource, _) | Key::Keys(resource) => {
                Some(Arc::clone(&self.resources.get(*resource)?.address.stack))
            }
            Key::CallKeys(module, _) | Key::Output(module, _) => Some(Arc::clone(&self.module(*module)?.stack)),
            _ => None,
        }
    }
}
