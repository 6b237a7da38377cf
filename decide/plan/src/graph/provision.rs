//! Provisioners: what they read, and what they come to for one object.

use std::sync::Arc;

use andon_hcl::ast::Body;
use andon_lang::definitions::{Provisioner, ResourceDefinition, ResourceKey};
use andon_lang::provisioner_run;
use andon_schema::{InstanceAddress, InstanceKey, ProvisionerRun, ResourceAddress};
use andon_text::Diagnostics;
use andon_value::Value;

use super::evaluate::{Made, Result, nothing};
use super::expand::Each;
use super::view::{Notes, View};
use super::{Content, Graph, Key, Map, ModuleInstance, NodeId, ResourceId, State};
use crate::PlanInput;

/// What has a definition that says what runs before an object is deleted.
struct Late<'a> {
    provisioners: &'a [Provisioner],
    connection: Option<&'a Body>,
    module: ModuleInstance,
}

impl Graph {
    /// The node of the provisioners of an instance, for whom `self` is its object: those that run before it is deleted
    /// (`late`), or those that run once it is made.
    pub fn want_provisioners(&mut self, address: &InstanceAddress, late: bool, object: Value) -> NodeId {
        let resource = self.resources.intern(&address.resource, &self.input.state);
        let key = Key::Provisioners(resource, address.key.clone(), late);
        self.provisioned.insert(key.clone(), object);
        self.want(key)
    }

    /// The provisioners that a node holds.
    pub fn provisioner_runs(&self, id: NodeId) -> Option<&Arc<[ProvisionerRun]>> {
        match &self.node(id)?.state {
            State::Ready(Content::Provisioners(runs)) => Some(runs),
            _ => None,
        }
    }

    /// Provisioners that run once an object is made. They may read whatever the resource may.
    pub(super) fn provisioners(
        &self,
        view: &mut View<'_>,
        resource: ResourceId,
        key: &Option<InstanceKey>,
    ) -> Result<Made> {
        let definition = self.defined(resource)?;
        if !self.enter(view, resource, key)? {
            return Ok(nothing());
        }
        let itself = Key::Provisioners(resource, key.clone(), false);
        view.set_self(self.provisioned.get(&itself).cloned().unwrap_or(Value::UNKNOWN));
        let early = definition.provisioners.iter().filter(|provisioner| !provisioner.on_destroy);
        runs(early, definition.connection.as_ref(), view)
    }

    /// Provisioners that run before an object is deleted. The instance, and the modules around it, may be gone from
    /// the definitions: nothing but the object and its key can be read.
    pub(super) fn late_provisioners(&self, resource: ResourceId, key: &Option<InstanceKey>) -> (Result<Made>, Notes) {
        let none = || (Ok(Made::Content(Content::Provisioners([].into()))), Notes::default());
        let Some(address) = self.resources.get(resource).map(|resource| &resource.address) else { return none() };
        let Some(root) = self.roots().get(&address.stack) else { return none() };
        let Some(late) = late(&self.input, address) else { return none() };
        let mut view = View::new(self, *root, &late.module);
        view.set_each(match key {
            None => Each::One,
            Some(InstanceKey::Index(index)) => Each::Index(*index),
            Some(InstanceKey::Name(name)) => Each::Entry(Arc::clone(name), Value::UNKNOWN),
        });
        let itself = Key::Provisioners(resource, key.clone(), true);
        view.set_self(self.provisioned.get(&itself).cloned().unwrap_or(Value::UNKNOWN));
        let provisioners = late.provisioners.iter().filter(|provisioner| provisioner.on_destroy);
        let made = runs(provisioners, late.connection, &view);
        (made, view.into_notes())
    }
}

/// Whether anything is to be run before an object of a resource is deleted.
pub(crate) fn has_late_provisioners(input: &PlanInput, resource: &ResourceAddress) -> bool {
    late(input, resource).is_some_and(|late| late.provisioners.iter().any(|provisioner| provisioner.on_destroy))
}

/// Follows what the provisioners of an instance read, so that it is there before the instance is made. What is wrong
/// with them may come right by then.
pub(super) fn follow(definition: &ResourceDefinition, view: &mut View<'_>) {
    let mut early = definition.provisioners.iter().filter(|provisioner| !provisioner.on_destroy).peekable();
    if early.peek().is_none() {
        return;
    }
    view.set_self(Value::UNKNOWN);
    for provisioner in early {
        let _ = provisioner_run(provisioner, definition.connection.as_ref(), &*view);
    }
}

fn runs<'a>(
    provisioners: impl Iterator<Item = &'a Provisioner>,
    connection: Option<&Body>,
    view: &View<'_>,
) -> Result<Made> {
    let (mut all, mut problems) = (Vec::new(), Diagnostics::new());
    for provisioner in provisioners {
        match provisioner_run(provisioner, connection, view) {
            Ok(run) => all.push(run),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(Made::Content(Content::Provisioners(all.into()))) } else { Err(problems) }
}

/// The definition of a resource, or the `removed` block that took its place.
fn late<'a>(input: &'a PlanInput, resource: &ResourceAddress) -> Option<Late<'a>> {
    let root = &input.project.stacks.get(&resource.stack)?.module;
    let ResourceAddress { mode, kind, name, .. } = resource.clone();
    let key = ResourceKey { mode, kind, name };
    let mut module = root;
    let mut rest = &resource.module[..];
    let mut found = None;
    loop {
        let names = |steps: &[andon_schema::ModuleStep]| {
            steps.len() == rest.len() && steps.iter().zip(rest).all(|(one, other)| one.name == other.name)
        };
        let removed = module.removed.iter().find(|removed| {
            let from = &removed.from;
            names(&from.module) && from.resource.as_ref().is_some_and(|(from, _)| *from == key)
        });
        found = found.or_else(|| removed.map(|removed| (&removed.provisioners[..], None, module)));
        let Some((step, inner)) = rest.split_first() else { break };
        rest = inner;
        match module.calls.get(&step.name) {
            Some(call) => module = &call.module,
            None => break,
        }
    }
    if let Some(definition) = input.definition(resource) {
        found = Some((&definition.provisioners[..], definition.connection.as_ref(), module));
    }
    let (provisioners, connection, module) = found?;
    let module = ModuleInstance {
        stack: Arc::clone(&resource.stack),
        path: Arc::clone(&resource.module),
        module: Arc::clone(module),
        parent: None,
        base: Arc::clone(&root.directory),
        waits: false,
        resources: Map::default(),
        children: Map::default(),
    };
    Some(Late { provisioners, connection, module })
}
