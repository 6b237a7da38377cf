//! What each kind of node comes to.

use std::sync::Arc;

use andon_lang::definitions::{Condition, ResourceDefinition};
use andon_lang::eval::{evaluate_block, values_in_play};
use andon_ledger::ReadData;
use andon_schema::{
    Block, CheckedKind, ConfiguredProvider, InstanceAddress, InstanceKey, Mode, ModuleStep, ProviderAddress, TypeSchema,
};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Kind, Marks, Path, Type, Value, convert};

use super::checks::{check_block, judge, warnings};
use super::expand::{Keys, keys, sentence};
use super::target::{depends_on, target};
use super::view::{Notes, View, evaluate};
use super::{Content, Graph, Key, ModuleId, NodeId, ResourceId, ResourceSet, State, provision, variable};
use crate::{PlanMode, STACK_DATA, VALUE, messages};

/// An instance whose configuration has been evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Configured {
    pub node: NodeId,
    pub address: InstanceAddress,
    pub definition: Arc<ResourceDefinition>,
    /// Of the schema's type.
    pub config: Value,
    /// What its `replace_triggered_by` names.
    pub triggers: Vec<Trigger>,
    /// A precondition hangs on something unknown.
    pub unchecked: bool,
    /// The provider, where it is a plugin, and `provider_meta` of the module.
    pub provider: Option<(Arc<ConfiguredProvider>, Option<Value>)>,
}

/// One entry of `replace_triggered_by`.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub node: NodeId,
    /// The attribute that counts; empty for all of them.
    pub path: Path,
    /// As written.
    pub text: String,
}

/// What an evaluation came to, before it is known whether it may be kept.
pub(super) enum Made {
    Content(Content),
    Instance(Box<Instance>),
}

/// What an instance is configured with.
pub(super) struct Instance {
    config: Value,
    triggers: Vec<(Key, Path, String)>,
    unchecked: bool,
    provider: Option<(Arc<ConfiguredProvider>, Option<Value>)>,
}

pub(super) type Result<T> = std::result::Result<T, Diagnostics>;

impl Graph {
    /// Evaluates a node, and keeps what comes of it unless something was missing.
    pub(super) fn visit(&mut self, id: NodeId) {
        let Some(node) = self.node(id).filter(|node| matches!(node.state, State::Open)) else { return };
        let key = node.key.clone();
        if let Key::Function(call) = &key {
            self.calls.push(Arc::clone(call));
            if let Some(node) = self.nodes.get_mut(id.0 as usize) {
                node.state = State::Held;
            }
            return;
        }
        if self.leave_out(id, &key) {
            return;
        }
        if let Some(value) = self.known_value(&key) {
            self.note_reads(id, Notes::default());
            self.finish(id, value, false);
            return;
        }
        let (made, mut notes) = self.evaluate_node(&key);
        if notes.failed {
            self.check_failed(&key);
            self.fail(id);
            return;
        }
        if !notes.missing.is_empty() {
            self.wait(id, notes.missing);
            return;
        }
        let unknown = notes.unknown.take();
        self.note_checked(&key, std::mem::take(&mut notes.judged));
        self.problems.extend(std::mem::take(&mut notes.warnings));
        self.note_reads(id, notes);
        self.set_aside(id, &key, unknown);
        match made {
            Ok(Made::Instance(_)) if self.is_aside(id) => self.leave(id, &key),
            Err(problems) => {
                // One block is many instances: whose problem is it?
                let many = match &key {
                    Key::Instance(_, Some(_)) => self.definition(&key).map(|(_, address)| address.to_string()),
                    _ => None,
                };
                let named = |problem: Diagnostic| match &many {
                    Some(address) if problem.subject.is_none() => problem.subject(address.clone()),
                    _ => problem,
                };
                let problems: Diagnostics = problems.into_iter().map(named).collect();
                let problems = if self.is_scoped(id) { warnings(problems) } else { problems };
                self.problems.extend(problems);
                self.fail(id);
            }
            Ok(Made::Content(content)) => {
                let touched = self.reads_touched(id) || self.sheds(&key);
                if let Some(node) = self.nodes.get_mut(id.0 as usize) {
                    node.touched = touched;
                }
                self.settle(id, State::Ready(content.clone()));
                self.follow_up(&key, &content);
            }
            Ok(Made::Instance(instance)) => self.hand_out(id, &key, *instance),
        }
    }

    fn hand_out(&mut self, id: NodeId, key: &Key, instance: Instance) {
        let Instance { config, triggers, unchecked, provider } = instance;
        let Some((definition, address)) = self.definition(key) else { return };
        let triggers = triggers
            .into_iter()
            .filter_map(|(key, path, text)| self.find(&key).map(|node| Trigger { node, path, text }));
        let triggers = triggers.collect();
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.state = State::Held;
        }
        self.configured.push(Configured { node: id, address, definition, config, triggers, unchecked, provider });
    }

    /// The definition and the address of an instance.
    fn definition(&self, key: &Key) -> Option<(Arc<ResourceDefinition>, InstanceAddress)> {
        let Key::Instance(resource, instance) = key else { return None };
        let resource = self.resources.get(*resource)?;
        let (_, definition) = resource.defined.as_ref()?;
        Some((Arc::clone(definition), resource.address.instance(instance.clone())))
    }

    fn address(&self, resource: ResourceId, key: &Option<InstanceKey>) -> String {
        self.resources.get(resource).map_or_else(String::new, |found| found.address.instance(key.clone()).to_string())
    }

    /// What an instance is that the plan being applied does not change.
    fn known_value(&self, key: &Key) -> Option<Value> {
        let Key::Instance(resource, instance) = key else { return None };
        let settled = self.settled.as_ref()?;
        let address = self.resources.get(*resource)?.address.instance(instance.clone());
        let known = settled.value(&address, &self.input.state).cloned();
        known.or_else(|| self.unknown_instance(*resource).filter(|_| self.of_values))
    }

    /// Keeps what an evaluation followed, and the resources behind it.
    fn note_reads(&mut self, id: NodeId, notes: Notes) {
        let own = match self.key(id) {
            Some(Key::Instance(resource, _)) | Some(Key::Resource(resource)) => {
                self.resources.get(*resource).filter(|resource| resource.address.mode != Mode::Ephemeral)
            }
            _ => None,
        };
        let own = own.map(|resource| (resource.address.mode, resource.itself.clone()));
        let elsewhere = match self.key(id) {
            Some(Key::StackName(..)) => self.stack_elsewhere(id),
            _ => ResourceSet::default(),
        };
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.reads = notes.reads;
        }
        let managed = match own {
            // What data reads, whoever reads the data reads, too.
            Some((Mode::Data, own)) => ResourceSet::union([&own, &self.resources_read(id)]),
            Some((_, own)) => own,
            None => {
                let read = self.resources_read(id);
                ResourceSet::union([&read, &elsewhere])
            }
        };
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.managed = managed;
        }
    }

    /// Wants what an expansion made.
    fn follow_up(&mut self, key: &Key, content: &Content) {
        match (key, content) {
            (Key::CallKeys(module, name), Content::Keys(keys)) => {
                let keys = Arc::clone(keys);
                self.open_call(*module, name, &keys);
            }
            (Key::Keys(resource), Content::Keys(keys)) if self.eager => {
                let verified = self.resources.get(*resource).and_then(|resource| resource.defined.as_ref());
                let verified = verified.is_some_and(|(_, definition)| !definition.lifecycle.postconditions.is_empty());
                let keys = Arc::clone(keys);
                for (instance, _) in keys.iter() {
                    if !self.is_in_scope(*resource, &instance) {
                        continue;
                    }
                    self.want(Key::Instance(*resource, instance.clone()));
                    if verified {
                        self.want(Key::Verified(*resource, instance));
                    }
                }
            }
            _ => {}
        }
    }

    fn evaluate_node(&self, key: &Key) -> (Result<Made>, Notes) {
        let module = match key {
            Key::Keys(resource) | Key::Resource(resource) => self.module_of(*resource),
            Key::Instance(resource, _) | Key::StackName(resource, _) | Key::Verified(resource, _) => {
                self.module_of(*resource)
            }
            Key::Variable(module, _)
            | Key::Local(module, _)
            | Key::Output(module, _)
            | Key::CallKeys(module, _)
            | Key::Call(module, _)
            | Key::Outputs(module)
            | Key::Contents(module)
            | Key::Before(module)
            | Key::Import(module, _)
            | Key::Check(module, _)
            | Key::Provider(module, ..) => Some(*module),
            Key::Provisioners(resource, _, false) => self.module_of(*resource),
            Key::Provisioners(resource, key, true) => return self.late_provisioners(*resource, key),
            Key::Function(_) => None,
        };
        let Some((id, instance)) = module.and_then(|id| self.module(id).map(|module| (id, module))) else {
            let gone = Diagnostic::error("something is needed that the definitions do not have any more");
            return (Err(gone.into()), Notes::default());
        };
        let mut view = View::new(self, id, instance);
        let made = match key {
            Key::Variable(_, name) => variable::variable(&mut view, name).map(of_value),
            Key::Local(_, name) => local(&view, name),
            Key::Output(_, name) => output(&view, name),
            Key::CallKeys(_, name) => call_keys(&view, name),
            Key::Call(_, name) => Ok(call(&view, name)),
            Key::Outputs(_) => Ok(outputs(&view)),
            Key::Contents(_) => Ok(contents(&view)),
            Key::Before(_) => before(&mut view),
            Key::Check(_, name) => check_block(&view, name).map(of_value),
            Key::Keys(resource) => self.resource_keys(&view, *resource),
            Key::Resource(resource) => Ok(resource_value(&view, *resource)),
            Key::Instance(resource, key) => self.instance(&mut view, *resource, key),
            Key::Provider(_, block, key) => self.provider(&mut view, block, key).map(Made::Content),
            Key::Import(_, at) => self.imports(&mut view, *at).map(Made::Content),
            // It is nothing that is evaluated here.
            Key::Function(_) => Ok(nothing()),
            Key::StackName(resource, key) => self.stack_name(&mut view, *resource, key),
            Key::Verified(resource, key) => self.verified(&mut view, *resource, key),
            Key::Provisioners(resource, key, _) => self.provisioners(&mut view, *resource, key),
        };
        (made, view.into_notes())
    }

    fn module_of(&self, resource: ResourceId) -> Option<ModuleId> {
        self.resources.get(resource)?.defined.as_ref().map(|(module, _)| *module)
    }

    pub(super) fn defined(&self, resource: ResourceId) -> Result<&Arc<ResourceDefinition>> {
        let defined = self.resources.get(resource).and_then(|resource| resource.defined.as_ref());
        let gone = || Diagnostic::error("a resource is needed that the definitions do not have any more").into();
        defined.map(|(_, definition)| definition).ok_or_else(gone)
    }

    fn resource_keys(&self, view: &View<'_>, resource: ResourceId) -> Result<Made> {
        let definition = self.defined(resource)?;
        read_call(view);
        let keys = keys(definition.count.as_deref(), definition.for_each.as_deref(), view)?;
        Ok(Made::Content(Content::Keys(Arc::new(keys))))
    }

    /// Has `count` and `each` mean what they do in an instance. `false` where that is not known yet.
    pub(super) fn enter(&self, view: &mut View<'_>, resource: ResourceId, key: &Option<InstanceKey>) -> Result<bool> {
        let Some(keys) = view.keys(Key::Keys(resource), None) else { return Ok(false) };
        match keys.each(key) {
            Some(each) => {
                view.set_each(each);
                Ok(true)
            }
            None => Err(Diagnostic::error("an instance is needed that the definitions do not have any more").into()),
        }
    }

    fn instance(&self, view: &mut View<'_>, resource: ResourceId, key: &Option<InstanceKey>) -> Result<Made> {
        let definition = self.defined(resource)?;
        if !self.enter(view, resource, key)? {
            return Ok(nothing());
        }
        if view.module().waits {
            view.read(Key::Before(view.module_id()), None);
        }
        depends_on(&definition.depends_on, view)?;
        if definition.key.mode == Mode::Data && &*definition.key.kind == STACK_DATA {
            return Ok(stack_value(view, resource, key));
        }
        // A provider that is not there is said of at the definition.
        let provider = view.module().module.provider_of(definition);
        let schema = self.schema(definition, &provider)?;
        let provider = self.provider_of(view, definition, &provider)?;
        let conditions = &definition.lifecycle.preconditions;
        let unchecked = !conditions.is_empty()
            && judge(conditions, CheckedKind::Resource, "precondition", &self.address(resource, key), view)?;
        let mut triggers = Vec::new();
        for expr in &definition.lifecycle.replace_triggered_by {
            let target = target(expr, view)?;
            for key in target.keys {
                view.read(key.clone(), Some(expr.span));
                triggers.push((key, target.path.clone(), target.text.clone()));
            }
        }
        let config = evaluate_block(&definition.body, schema, view)?;
        if definition.key.mode == Mode::Data && &*definition.key.kind == VALUE {
            match self.published_here(&config, view) {
                Some((root, Some(output))) => return Ok(output_value(&config, root, output, view)),
                // All that may publish in this run what is read comes first.
                Some((root, None)) => drop(view.read(Key::Contents(root), None)),
                None => {}
            }
        }
        let provider = match provider {
            Some(provider) => {
                let meta = self.provider_meta(view, &provider.address.provider)?;
                Some((provider, meta))
            }
            None => None,
        };
        provision::follow(definition, view);
        Ok(Made::Instance(Box::new(Instance { config, triggers, unchecked, provider })))
    }

    /// The other stack of this graph that a `data "andon_value"` reads from, and the output that it reads, if it is one.
    fn published_here(&self, config: &Value, view: &View<'_>) -> Option<(ModuleId, Option<Arc<str>>)> {
        let elsewhere = config.get("environment").is_some_and(|environment| !environment.is_null());
        let stack = config.get_str("stack").filter(|stack| !elsewhere && **stack != *view.module().stack)?;
        let root = *self.roots().get(stack)?;
        let outputs = &self.module(root)?.module.outputs;
        let output = config.get_str("name").and_then(|name| outputs.get_key_value(name));
        Some((root, output.map(|(name, _)| Arc::clone(name))))
    }

    /// The schema of a resource, data source or ephemeral resource of a provider.
    fn schema(&self, definition: &ResourceDefinition, provider: &ProviderAddress) -> Result<&Block> {
        let schemas = &self.input.schemas;
        let mode = definition.key.mode;
        let kind = &*definition.key.kind;
        let known = match schemas.providers.get(provider) {
            Some(provider) => provider.types(mode),
            None if self.is_plugin(provider, definition) => {
                return Err(Diagnostic::error(format!("the provider {provider} is not installed"))
                    .at(definition.span)
                    .help("Run `andon init`, which installs what the definitions need.")
                    .into());
            }
            None => schemas.built_in(mode),
        };
        known.get(kind).map(|schema| &schema.block).ok_or_else(|| {
            let what = if mode == Mode::Managed { "resource type" } else { mode.noun() };
            let diagnostic = Diagnostic::error(format!("unknown {what} {kind:?}")).at(definition.span);
            messages::unknown(diagnostic, kind, known.keys().map(String::as_str)).into()
        })
    }

    /// What was read for an instance that was handed out.
    pub fn read_data(&self, configured: &Configured, value: Value) -> ReadData {
        let provider = configured.provider.as_ref().map(|(provider, _)| Arc::new(provider.address.clone()));
        ReadData { value, provider, schema_version: self.type_schema(configured).map_or(0, |schema| schema.version) }
    }

    /// The schema of the type of an instance that was handed out.
    pub fn type_schema(&self, configured: &Configured) -> Option<&TypeSchema> {
        let key = &configured.definition.key;
        let types = match &configured.provider {
            Some((provider, _)) => self.input.schemas.providers.get(&provider.address.provider)?.types(key.mode),
            None => self.input.schemas.built_in(key.mode),
        };
        types.get(&*key.kind)
    }

    fn stack_name(&self, view: &mut View<'_>, resource: ResourceId, key: &Option<InstanceKey>) -> Result<Made> {
        let definition = self.defined(resource)?;
        if !self.enter(view, resource, key)? {
            return Ok(nothing());
        }
        let Some(attribute) = definition.body.attribute("name") else {
            return Err(Diagnostic::error("missing argument \"name\"")
                .at(definition.span)
                .detail("It is the name of the stack whose outputs are read.")
                .into());
        };
        let value = evaluate(&attribute.value, view)?;
        if view.is_missing() {
            return Ok(nothing());
        }
        let wrong = |label: &str| {
            Diagnostic::error("this is no name of a stack")
                .at(attribute.value.span)
                .label(label)
                .detail("The name must be a string that is known before the apply.")
        };
        if value.is_sensitive() {
            return Err(wrong("a secret")
                .help("Take the secret out of it, or use `nonsensitive` on what is none.")
                .into());
        }
        let (value, _) = value.unmark();
        let value = convert(&value, &Type::String).map_err(|error| wrong(&error.to_string()))?;
        let Kind::String(name) = value.kind() else { return Err(wrong("not known, or null").into()) };
        if self.modules.roots.contains_key(name) || self.input.state.published.contains_key(name) {
            return Ok(of_value(value));
        }
        let project = &self.input.project;
        let diagnostic = match project.stacks.contains_key(name) {
            true => Diagnostic::error(format!("the stack {name:?} has published nothing yet"))
                .at(attribute.value.span)
                .help(format!("Apply the stack {name:?} first, or both together.")),
            false => {
                let diagnostic = Diagnostic::error(format!("there is no stack {name:?}")).at(attribute.value.span);
                messages::unknown(diagnostic, name, project.stacks.keys().map(|name| &**name))
            }
        };
        Err(diagnostic.into())
    }

    /// The resources of the stack that is read, where it is not in the graph: what reads it is deleted before them.
    fn stack_elsewhere(&self, id: NodeId) -> ResourceSet {
        let Some((made, _)) = self.key(id).map(|key| self.evaluate_node(key)) else { return ResourceSet::default() };
        let Ok(Made::Content(Content::Value(name))) = made else { return ResourceSet::default() };
        name.as_str().and_then(|name| self.modules.elsewhere.get(name)).cloned().unwrap_or_default()
    }

    fn verified(&self, view: &mut View<'_>, resource: ResourceId, key: &Option<InstanceKey>) -> Result<Made> {
        let definition = self.defined(resource)?;
        if !self.enter(view, resource, key)? {
            return Ok(nothing());
        }
        let (instance, address) = (Key::Instance(resource, key.clone()), self.address(resource, key));
        let Some(value) = view.value(instance.clone(), None) else { return Ok(nothing()) };
        let mut unchecked = false;
        if self.known_value(&instance).is_some() {
            // What stays as it is is not configured again.
            let conditions = &definition.lifecycle.preconditions;
            unchecked = judge(conditions, CheckedKind::Resource, "precondition", &address, view)?;
        }
        view.set_self(value.clone());
        let conditions = &definition.lifecycle.postconditions;
        unchecked |= judge(conditions, CheckedKind::Resource, "postcondition", &address, view)?;
        Ok(of_value(Value::from(!unchecked)))
    }
}

/// What is in a module instance hangs on what the number of its instances hangs on.
fn read_call(view: &View<'_>) {
    if let Some(parent) = &view.module().parent {
        view.read(Key::CallKeys(parent.module, Arc::clone(&parent.call.name.name)), None);
    }
}

pub(super) fn nothing() -> Made {
    of_value(Value::NULL)
}

fn of_value(value: Value) -> Made {
    Made::Content(Content::Value(value))
}

fn local(view: &View<'_>, name: &Arc<str>) -> Result<Made> {
    let Some(local) = view.module().module.locals.get(name) else { return Ok(nothing()) };
    evaluate(&local.value, view).map(of_value)
}

fn output(view: &View<'_>, name: &Arc<str>) -> Result<Made> {
    let Some(output) = view.module().module.outputs.get(name) else { return Ok(nothing()) };
    depends_on(&output.depends_on, view)?;
    let of = inside(view, &format!("output.{name}"));
    judge(&output.preconditions, CheckedKind::Output, "precondition", &of, view)?;
    let value = evaluate(&output.value, view)?;
    if view.is_missing() {
        return Ok(nothing());
    }
    if is_infinite(&value) {
        let diagnostic = Diagnostic::error(format!("the output {name:?} is infinite")).at(output.value.span);
        let diagnostic =
            diagnostic.label("an infinite number, or one is in it").detail("No state and no JSON can hold it.");
        return Err(diagnostic.help("Look for a division by zero.").into());
    }
    if output.sensitive {
        return Ok(of_value(value.mark(Marks::SENSITIVE)));
    }
    if value.is_sensitive() && view.module().parent.is_none() {
        return Err(Diagnostic::error(format!("the output {name:?} shows a secret"))
            .at(output.value.span)
            .label("a sensitive value")
            .detail("Outputs of a stack are published and shown.")
            .help("Say `sensitive = true` in the output, or take the secret out of its value.")
            .into());
    }
    Ok(of_value(value))
}

fn call_keys(view: &View<'_>, name: &Arc<str>) -> Result<Made> {
    let Some(call) = view.module().module.calls.get(name) else { return Ok(nothing()) };
    read_call(view);
    let mut problems = Diagnostics::new();
    for argument in call.arguments.attributes() {
        let given = &argument.name;
        if !call.module.variables.contains_key(&given.name) {
            let known = call.module.variables.keys().map(|name| &**name);
            let diagnostic = Diagnostic::error(format!("the module {name:?} has no variable {:?}", &*given.name));
            problems.push(messages::unknown(diagnostic.at(given.span), &given.name, known));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let keys = keys(call.count.as_ref(), call.for_each.as_ref(), view)?;
    Ok(Made::Content(Content::Keys(Arc::new(keys))))
}

fn call(view: &View<'_>, name: &Arc<str>) -> Made {
    let Some(keys) = view.keys(Key::CallKeys(view.module_id(), Arc::clone(name)), None) else { return nothing() };
    let children = &view.module().children;
    gather(keys, |key| view.value(Key::Outputs(*children.get(&(Arc::clone(name), key))?), None))
}

fn outputs(view: &View<'_>) -> Made {
    let outputs = view.module().module.outputs.keys();
    let values: Vec<(Arc<str>, Value)> = outputs
        .filter_map(|name| {
            let value = view.value(Key::Output(view.module_id(), Arc::clone(name)), None)?;
            Some((Arc::clone(name), value.clone()))
        })
        .collect();
    of_value(Value::object(values))
}

fn contents(view: &View<'_>) -> Made {
    let module = view.module();
    for key in module.module.resources.keys() {
        if let Some(resource) = module.resources.get(key) {
            view.read(Key::Resource(*resource), None);
        }
    }
    for name in module.module.calls.keys() {
        let Some(keys) = view.keys(Key::CallKeys(view.module_id(), Arc::clone(name)), None) else { continue };
        for (key, _) in keys.iter() {
            if let Some(child) = module.children.get(&(Arc::clone(name), key)) {
                view.read(Key::Contents(*child), None);
            }
        }
    }
    nothing()
}

fn before(view: &mut View<'_>) -> Result<Made> {
    if let Some(parent) = view.module().parent.clone() {
        view.enter(parent.module, parent.each);
        if view.module().waits {
            view.read(Key::Before(parent.module), None);
        }
        depends_on(&parent.call.depends_on, view)?;
    }
    Ok(nothing())
}

fn resource_value(view: &View<'_>, resource: ResourceId) -> Made {
    let Some(keys) = view.keys(Key::Keys(resource), None) else { return nothing() };
    let made = gather(keys, |key| view.value(Key::Instance(resource, key), None));
    match made {
        Made::Content(Content::Value(value)) if view.graph().input().mode == PlanMode::RefreshOnly => {
            of_value(with_left(view, resource, keys, &value))
        }
        made => made,
    }
}

/// The value of a resource with those instances that are defined no more: a look at the world removes none of them.
fn with_left(view: &View<'_>, resource: ResourceId, keys: &Keys, value: &Value) -> Value {
    let Some(resource) = view.graph().resources.get(resource) else { return value.clone() };
    let first = InstanceAddress { resource: resource.address.clone(), key: None };
    let instances = view.graph().input().state.instances.range(first..);
    let stored = instances.take_while(|(address, _)| address.resource == resource.address);
    let left = stored.filter_map(|(address, instance)| {
        let key = address.key.clone()?;
        keys.each(&Some(key.clone())).is_none().then_some((key, instance.current.as_ref()?.value.clone()))
    });
    match value.kind() {
        Kind::Tuple(defined) => {
            let left = left.filter(|(key, _)| matches!(key, InstanceKey::Index(_))).map(|(_, value)| value);
            Value::tuple(defined.iter().cloned().chain(left))
        }
        Kind::Object(defined) if matches!(keys, Keys::Each(_)) => {
            let left = left.filter_map(|(key, value)| match key {
                InstanceKey::Name(name) => Some((name, value)),
                InstanceKey::Index(_) => None,
            });
            Value::object(defined.iter().map(|(name, value)| (Arc::clone(name), value.clone())).chain(left))
        }
        _ => value.clone(),
    }
}

/// The instances' values as one: itself, a tuple, or an object.
fn gather<'v>(keys: &Keys, mut value: impl FnMut(Option<InstanceKey>) -> Option<&'v Value>) -> Made {
    let all: Vec<(Option<InstanceKey>, Option<&Value>)> =
        keys.iter().map(|(key, _)| (key.clone(), value(key))).collect();
    let each = all.into_iter().filter_map(|(key, value)| Some((key, value?.clone())));
    of_value(match keys {
        Keys::Unknown => Value::UNKNOWN,
        Keys::One => each.map(|(_, value)| value).next().unwrap_or(Value::NULL),
        Keys::Count(_) => Value::tuple(each.map(|(_, value)| value)),
        Keys::Each(_) => Value::object(each.filter_map(|(key, value)| match key? {
            InstanceKey::Name(name) => Some((name, value)),
            InstanceKey::Index(_) => None,
        })),
    })
}

/// `data "andon_stack"`: the outputs of another stack, of this graph or as they were published.
fn stack_value(view: &View<'_>, resource: ResourceId, key: &Option<InstanceKey>) -> Made {
    let name = view.value(Key::StackName(resource, key.clone()), None).and_then(Value::as_str);
    let Some(name) = name else { return nothing() };
    let outputs = match view.graph().roots().get(name) {
        Some(root) => view.value(Key::Outputs(*root), None).cloned(),
        None => {
            let published = view.graph().input().state.published.get(name);
            published
                .map(|outputs| Value::object(outputs.iter().map(|(name, value)| (Arc::clone(name), value.clone()))))
        }
    };
    let outputs = outputs.unwrap_or(Value::NULL);
    of_value(Value::object([("name", Value::string(Arc::clone(name))), ("outputs", outputs)]))
}

/// `data "andon_value"` that reads an output of another stack of this graph.
fn output_value(config: &Value, root: ModuleId, output: Arc<str>, view: &View<'_>) -> Made {
    let Some(value) = view.value(Key::Output(root, output), None).cloned() else { return nothing() };
    let given = |name: &'static str| (name, config.get(name).cloned().unwrap_or(Value::NULL));
    let given = ["name", "stack", "environment", "default"].map(given);
    of_value(Value::object(given.into_iter().chain([("value", value)])))
}

/// Whether a value has an infinite number in it.
fn is_infinite(value: &Value) -> bool {
    // Values may be deeper than a stack is.
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        if value.as_number().is_some_and(|number| number.is_infinite()) {
            return true;
        }
        open.extend(value.children());
    }
    false
}

/// A name in the module instance of a view.
pub(super) fn inside(view: &View<'_>, name: &str) -> String {
    let step = |step: &ModuleStep| {
        format!("module.{}{}.", step.name, step.key.as_ref().map_or_else(String::new, InstanceKey::to_string))
    };
    view.module().path.iter().map(step).chain([name.to_owned()]).collect()
}

/// Checks the conditions of something. `true` where one hangs on something unknown.
pub(super) fn check(conditions: &[Condition], what: &str, of: &str, view: &View<'_>) -> Result<bool> {
    let mut problems = Diagnostics::new();
    let mut unchecked = false;
    let article = if what == "assertion" { "an" } else { "a" };
    for condition in conditions {
        match holds(condition, view) {
            Ok(Some(true)) => {}
            Ok(None) => unchecked = true,
            Ok(Some(false)) => {
                let message = evaluate(&condition.error_message, view).ok();
                let message = match message {
                    Some(value) if value.marks() != Marks::NONE => {
                        "Its message holds a secret and is not shown.".into()
                    }
                    Some(value) => value.as_str().map_or_else(String::new, |text| text.trim_end().to_owned()),
                    None => String::new(),
                };
                let values = values_in_play(&condition.condition, view);
                let lines = values.iter().map(|(text, value)| format!("{text} is {value}."));
                let lines: Vec<String> = [message].into_iter().filter(|line| !line.is_empty()).chain(lines).collect();
                let diagnostic = Diagnostic::error(format!("{article} {what} of {of} does not hold")).subject(of);
                let mut diagnostic =
                    diagnostic.at(condition.condition.span).label("this is false").detail(lines.join("\n"));
                diagnostic.values = values;
                problems.push(diagnostic.help(match what {
                    "validation" => "Give the variable a value for which it holds.",
                    _ => "Change what the condition reads, or the condition.",
                }));
            }
            Err(errors) => problems.extend(errors),
        }
    }
    if problems.is_empty() { Ok(unchecked) } else { Err(problems) }
}

fn holds(condition: &Condition, view: &View<'_>) -> Result<Option<bool>> {
    let value = evaluate(&condition.condition, view)?;
    if value.is_unknown() {
        return Ok(None);
    }
    let wrong =
        |detail: String| Diagnostic::error("a condition is true or false").at(condition.condition.span).detail(detail);
    let value = convert(&value, &Type::Bool).map_err(|error| wrong(sentence(&error.to_string())))?;
    value.as_bool().map(Some).ok_or_else(|| wrong("This is null.".to_owned()).into())
}
