use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_lang::definitions::{Module, ModuleCall, ResourceKey};
use andon_schema::{InstanceKey, Mode, ModuleStep, ResourceAddress};
use andon_text::Diagnostic;
use andon_value::Value;

use super::expand::{Each, Keys};
use super::{Graph, Key, Map, ResourceId, ResourceSet};
use crate::messages;

/// Names a module instance of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ModuleId(u32);

/// Every module instance that is known so far.
#[derive(Debug, Default)]
pub(super) struct Modules {
    all: Vec<ModuleInstance>,
    /// The root modules of the selected stacks.
    pub roots: BTreeMap<Arc<str>, ModuleId>,
    /// Empty ones, for stacks that the project does not have any more and whose objects need a provider.
    gone: BTreeMap<Arc<str>, ModuleId>,
    /// `variables` of the environment; `None` where they could not be evaluated.
    pub variables: Option<BTreeMap<Arc<str>, Value>>,
    /// The resources that stacks which are not selected have objects of, by stack.
    pub elsewhere: BTreeMap<Arc<str>, ResourceSet>,
}
use andon_lang::modules::way;

/// One instance of a module.
#[derive(Debug)]
pub(crate) struct ModuleInstance {
    pub stack: Arc<str>,
    pub path: Arc<[ModuleStep]>,
    pub module: Arc<Module>,
    pub parent: Option<Parent>,
    /// The directory of the stack's root module: where paths start from.
    pub base: Arc<str>,
    /// Whether its call, or one around it, has `depends_on`.
    pub waits: bool,
    pub resources: Map<ResourceKey, ResourceId>,
    pub children: Map<(Arc<str>, Option<InstanceKey>), ModuleId>,
}

/// Where a module instance is called.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub module: ModuleId,
    pub call: Arc<ModuleCall>,
    pub each: Each,
}

impl Modules {
    pub fn get(&self, id: ModuleId) -> Option<&ModuleInstance> {
        self.all.get(id.0 as usize)
    }
}

impl Graph {
    /// The root modules of the stacks that the graph covers, by stack.
    pub fn roots(&self) -> &BTreeMap<Arc<str>, ModuleId> {
        &self.modules.roots
    }

    /// The root module of a stack; an empty one for what is left of a stack that is gone.
    pub(super) fn root_or_remains(&mut self, stack: &str) -> Option<ModuleId> {
        if let Some(root) = self.modules.roots.get(stack).or_else(|| self.modules.gone.get(stack)) {
            return Some(*root);
        }
        if self.input.project.stacks.contains_key(stack) {
            return None;
        }
        let stack: Arc<str> = stack.into();
        let module = self.open_module(Arc::clone(&stack), [].into(), Arc::default(), None);
        self.modules.gone.insert(stack, module);
        Some(module)
    }

    /// How many module instances there are so far.
    pub fn modules_open(&self) -> usize {
        self.modules.all.len()
    }

    /// A module instance.
    pub fn module(&self, id: ModuleId) -> Option<&ModuleInstance> {
        self.modules.get(id)
    }

    /// Takes up the selected stacks, and complains about those that are nowhere.
    pub(super) fn open_stacks(&mut self) {
        let project = Arc::clone(&self.input.project);
        let selected: BTreeSet<Arc<str>> = match self.input.stacks.is_empty() {
            true => project.stacks.keys().cloned().collect(),
            false => self.input.stacks.iter().cloned().collect(),
        };
        let mut elsewhere: BTreeMap<Arc<str>, BTreeSet<&ResourceAddress>> = BTreeMap::new();
        let state = Arc::clone(&self.input.state);
        for address in state.instances.keys().map(|instance| &instance.resource) {
            if address.mode == Mode::Managed && !selected.contains(&address.stack) {
                elsewhere.entry(Arc::clone(&address.stack)).or_default().insert(address);
            }
        }
        for (stack, addresses) in elsewhere {
            let mut ids: Vec<ResourceId> =
                addresses.into_iter().map(|address| self.resources.intern(address, &self.input.state)).collect();
            ids.sort_unstable();
            self.modules.elsewhere.insert(stack, ResourceSet::of(ids));
        }
        self.modules.variables = self.environment_variables();
        for name in selected {
            match project.stacks.get(&name) {
                Some(stack) => {
                    let module = self.open_module(Arc::clone(&name), [].into(), Arc::clone(&stack.module), None);
                    self.modules.roots.insert(name, module);
                }
                None if crate::input::has_stack(&self.input.state, &name) => {}
                None => {
                    let known = project.stacks.keys().map(|name| &**name);
                    self.complain(messages::unknown(
                        Diagnostic::error(format!("there is no stack {name:?}")),
                        &name,
                        known,
                    ));
                }
            }
        }
    }

    /// Takes up the instances of a module call.
    pub(super) fn open_call(&mut self, parent: ModuleId, name: &Arc<str>, keys: &Keys) {
        let Some(outer) = self.modules.get(parent) else { return };
        let Some(call) = outer.module.calls.get(name).cloned() else { return };
        let (stack, path) = (Arc::clone(&outer.stack), Arc::clone(&outer.path));
        for (key, each) in keys.iter() {
            let step = ModuleStep { name: Arc::clone(name), key: key.clone() };
            let inner: Arc<[ModuleStep]> = path.iter().cloned().chain([step]).collect();
            let place = Parent { module: parent, call: Arc::clone(&call), each };
            let child = self.open_module(Arc::clone(&stack), inner, Arc::clone(&call.module), Some(place));
            if let Some(outer) = self.modules.all.get_mut(parent.0 as usize) {
                outer.children.insert((Arc::clone(name), key), child);
            }
        }
    }

    pub(super) fn open_module(
        &mut self,
        stack: Arc<str>,
        path: Arc<[ModuleStep]>,
        module: Arc<Module>,
        parent: Option<Parent>,
    ) -> ModuleId {
        let id = ModuleId(u32::try_from(self.modules.all.len()).unwrap_or(u32::MAX));
        let outer = parent.as_ref().and_then(|parent| self.modules.get(parent.module));
        let base = outer.map_or_else(|| Arc::clone(&module.directory), |outer| Arc::clone(&outer.base));
        let waits = outer.is_some_and(|outer| outer.waits)
            || parent.as_ref().is_some_and(|parent| !parent.call.depends_on.is_empty());
        let mut resources = Map::default();
        for (key, definition) in &module.resources {
            let ResourceKey { mode, kind, name } = key.clone();
            let address = ResourceAddress { stack: Arc::clone(&stack), module: Arc::clone(&path), mode, kind, name };
            let resource = self.resources.intern(&address, &self.input.state);
            self.resources.define(resource, id, Arc::clone(definition));
            resources.insert(key.clone(), resource);
        }
        for data in module.checks.values().filter_map(|check| check.data.as_ref()) {
            let ResourceKey { mode, kind, name } = data.key.clone();
            let address = ResourceAddress { stack: Arc::clone(&stack), module: Arc::clone(&path), mode, kind, name };
            let resource = self.resources.intern(&address, &self.input.state);
            self.resources.define(resource, id, Arc::clone(data));
            self.add_scoped(resource);
            resources.insert(data.key.clone(), resource);
        }
        let children = Map::default();
        let instance = ModuleInstance { stack, path, module, parent, base, waits, resources, children };
        self.modules.all.push(instance);
        if self.eager && self.input.scope.targets.is_empty() {
            self.want_all(id);
        } else if self.eager {
            self.want_targets(id);
        }
        id
    }

    /// Wants everything that a module instance defines. What its calls and resources expand to follows.
    fn want_all(&mut self, id: ModuleId) {
        let Some(instance) = self.modules.get(id) else { return };
        let module = Arc::clone(&instance.module);
        // In the order of the definitions, so that questions come in the same order in every run.
        let resources: Vec<ResourceId> =
            module.resources.keys().filter_map(|key| instance.resources.get(key).copied()).collect();
        let keys = (module.variables.keys().map(|name| Key::Variable(id, Arc::clone(name))))
            .chain(module.locals.keys().map(|name| Key::Local(id, Arc::clone(name))))
            .chain(resources.into_iter().map(Key::Keys))
            .chain(module.calls.keys().map(|name| Key::CallKeys(id, Arc::clone(name))))
            .chain(module.outputs.keys().map(|name| Key::Output(id, Arc::clone(name))))
            .chain(module.checks.keys().map(|name| Key::Check(id, Arc::clone(name))));
        for key in keys {
            self.want(key);
        }
    }
}

impl ModuleInstance {
    /// The module's directory as `path.module` says it: from the root module's.
    pub fn directory(&self) -> String {
        way(&self.base, &self.module.directory)
    }
}
