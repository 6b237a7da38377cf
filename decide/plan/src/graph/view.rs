use std::cell::RefCell;
use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_lang::definitions::{ResourceKey, Trial};
use andon_lang::eval::{Inputs, Name, ProviderFunction, Resolved, Scope, Step};
use andon_schema::{FunctionAnswer, FunctionCall, FunctionFault, InstanceKey, Mode, ProviderAddress};
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Marks, Value};
use rustc_hash::FxHashSet;

use super::checks::Judged;
use super::expand::{Each, Keys};
use super::{Content, Graph, Key, ModuleId, ModuleInstance, NodeId, ResourceId, State};
use crate::{STACK_DATA, messages};

/// What names mean at one place of one module instance, and a note of all that was read through it.
///
/// A node that has no value yet reads as unknown, and is noted: what comes of the evaluation is then thrown away, and
/// the evaluation done again when every noted node has come.
pub(super) struct View<'g> {
    graph: &'g Graph,
    id: ModuleId,
    module: &'g ModuleInstance,
    each: Each,
    itself: Option<Value>,
    variable: Option<(Arc<str>, Value)>,
    notes: RefCell<Notes>,
}

/// What an evaluation read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Nodes that have a value, in the order first read.
    pub reads: Vec<NodeId>,
    /// Nodes that have none yet, in the order noted.
    pub missing: Vec<(Key, Option<Span>)>,
    /// Something that it read failed, and whoever failed has said why.
    pub failed: bool,
    /// `count` or `for_each`, where that is not known, and the names of what it reads that is not.
    pub unknown: Option<(&'static str, Vec<String>)>,
    /// What conditions came to.
    pub judged: Vec<Judged>,
    /// What to warn of.
    pub warnings: Diagnostics,
    seen: FxHashSet<NodeId>,
}

impl<'g> View<'g> {
    pub fn new(graph: &'g Graph, id: ModuleId, module: &'g ModuleInstance) -> View<'g> {
        View { graph, id, module, each: Each::One, itself: None, variable: None, notes: RefCell::default() }
    }

    /// Has names mean what they do in another module instance.
    pub fn enter(&mut self, id: ModuleId, each: Each) {
        if let Some(module) = self.graph.module(id) {
            (self.id, self.module, self.each) = (id, module, each);
        }
    }

    /// Has `count` and `each` mean something.
    pub fn set_each(&mut self, each: Each) {
        self.each = each;
    }

    /// What `count` and `each` mean.
    pub fn each(&self) -> Each {
        self.each.clone()
    }

    /// Has `self` mean something.
    pub fn set_self(&mut self, value: Value) {
        self.itself = Some(value);
    }

    /// Has a variable mean this value while it is being judged.
    pub fn set_variable(&mut self, name: Arc<str>, value: Value) {
        self.variable = Some((name, value));
    }

    pub fn into_notes(self) -> Notes {
        self.notes.into_inner()
    }

    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    pub fn module_id(&self) -> ModuleId {
        self.id
    }

    pub fn module(&self) -> &'g ModuleInstance {
        self.module
    }

    /// Whether something that was read has no value yet.
    pub fn is_missing(&self) -> bool {
        !self.notes.borrow().missing.is_empty() || self.notes.borrow().failed
    }

    /// What a node holds, and a note that it was read.
    pub fn read(&self, key: Key, span: Option<Span>) -> Option<&'g Content> {
        let mut notes = self.notes.borrow_mut();
        let found = self.graph.find(&key).and_then(|id| self.graph.node(id).map(|node| (id, node)));
        match found.map(|(id, node)| (id, &node.state)) {
            Some((id, State::Ready(content))) => {
                if notes.seen.insert(id) {
                    notes.reads.push(id);
                }
                Some(content)
            }
            Some((_, State::Failed)) => {
                notes.failed = true;
                None
            }
            _ => {
                notes.missing.push((key, span));
                None
            }
        }
    }

    pub fn value(&self, key: Key, span: Option<Span>) -> Option<&'g Value> {
        match self.read(key, span) {
            Some(Content::Value(value)) => Some(value),
            _ => None,
        }
    }

    pub fn keys(&self, key: Key, span: Option<Span>) -> Option<&'g Arc<Keys>> {
        match self.read(key, span) {
            Some(Content::Keys(keys)) => Some(keys),
            _ => None,
        }
    }

    /// Says what conditions came to.
    pub fn note_judged(&self, judged: Judged) {
        self.notes.borrow_mut().judged.push(judged);
    }

    /// Warns of something.
    pub fn note_warnings(&self, warnings: Diagnostics) {
        self.notes.borrow_mut().warnings.extend(warnings);
    }

    /// Says that `count` or `for_each` is not known.
    pub fn note_unknown(&self, argument: &'static str) {
        let reads = self.unknown_reads();
        self.notes.borrow_mut().unknown = Some((argument, reads));
    }

    /// The names of what was read and is unknown.
    pub fn unknown_reads(&self) -> Vec<String> {
        let notes = self.notes.borrow();
        let unknown = notes.reads.iter().filter(|id| {
            let value = self.graph.value(**id);
            value.is_some_and(|value| !value.is_wholly_known())
        });
        unknown.take(3).map(|id| format!("`{}`", self.graph.name(*id))).collect()
    }

    /// The resource that a reference names, and how many of the steps name it. `None` for a name that is no
    /// resource of the module.
    pub fn resource(&self, root: &Arc<str>, steps: &[Step]) -> Option<(ResourceId, ResourceKey, usize)> {
        let (mode, kind, name, used) = match (&**root, steps) {
            ("data", [Step::Attribute(kind, _), Step::Attribute(name, _), ..]) => (Mode::Data, kind, name, 2),
            ("ephemeral", [Step::Attribute(kind, _), Step::Attribute(name, _), ..]) => (Mode::Ephemeral, kind, name, 2),
            (_, [Step::Attribute(name, _), ..]) => (Mode::Managed, root, name, 1),
            _ => return None,
        };
        let key = ResourceKey { mode, kind: Arc::clone(kind), name: Arc::clone(name) };
        self.module.resources.get(&key).map(|id| (*id, key, used))
    }

    fn answer(value: Option<&Value>, used: usize, steps: &[Step]) -> Resolved {
        match value {
            Some(value) => Resolved { value: value.clone(), used },
            None => missing(steps),
        }
    }

    fn resolve_resource(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let Some((resource, key, used)) = self.resource(root.name, steps) else {
            return Err(self.unknown_resource(root, steps));
        };
        let Some(keys) = self.keys(Key::Keys(resource), Some(root.span)) else { return Ok(missing(steps)) };
        let (instance, used) = match self.instance(keys, steps, used, root.span)? {
            Chosen::Instance(instance, used) => (instance, used),
            Chosen::All => {
                let value = self.value(Key::Resource(resource), Some(root.span));
                return Ok(View::answer(value, used, steps));
            }
            Chosen::Later => return Ok(missing(steps)),
        };
        if key.mode == Mode::Data && &*key.kind == STACK_DATA {
            return self.resolve_stack(resource, instance, used, steps, root.span);
        }
        Ok(View::answer(self.value(Key::Instance(resource, instance), Some(root.span)), used, steps))
    }

    /// One output of another stack is read without all its others.
    fn resolve_stack(
        &self,
        resource: ResourceId,
        instance: Option<InstanceKey>,
        used: usize,
        steps: &[Step],
        span: Span,
    ) -> Result<Resolved, Diagnostic> {
        let whole = Key::Instance(resource, instance.clone());
        let (Some(Step::Attribute(outputs, _)), Some(Step::Attribute(name, at))) =
            (steps.get(used), steps.get(used + 1))
        else {
            return Ok(View::answer(self.value(whole, Some(span)), used, steps));
        };
        if &**outputs != "outputs" {
            return Ok(View::answer(self.value(whole, Some(span)), used, steps));
        }
        let Some(stack) = self.value(Key::StackName(resource, instance), Some(span)).and_then(Value::as_str) else {
            return Ok(missing(steps));
        };
        if let Some(root) = self.graph.roots().get(stack) {
            let module = self.graph.module(*root).map(|module| &module.module);
            if module.is_some_and(|module| module.outputs.contains_key(name)) {
                let value = self.value(Key::Output(*root, Arc::clone(name)), Some(*at));
                return Ok(View::answer(value, used + 2, steps));
            }
            let known = module.into_iter().flat_map(|module| module.outputs.keys()).map(|name| &**name);
            return Err(messages::no_output(stack, name, *at, known));
        }
        let published = self.graph.input().state.published.get(stack);
        match published.and_then(|outputs| outputs.get(name)) {
            Some(value) => Ok(Resolved { value: value.clone(), used: used + 2 }),
            None => {
                let known = published.into_iter().flat_map(|outputs| outputs.keys()).map(|name| &**name);
                Err(messages::no_output(stack, name, *at, known))
            }
        }
    }

    /// Which instance the step after a resource or module call names.
    pub fn instance(&self, keys: &Keys, steps: &[Step], used: usize, span: Span) -> Result<Chosen, Diagnostic> {
        match (keys, steps.get(used)) {
            (Keys::One, _) => Ok(Chosen::Instance(None, used)),
            // Whichever is meant is unknown, as all are.
            (Keys::Unknown, _) => Ok(Chosen::All),
            (_, Some(Step::Key(key, at))) => {
                if key.is_unknown() {
                    // What the key is may hang on a node that has not come yet: wait for that, not for everything.
                    return Ok(if self.is_missing() { Chosen::Later } else { Chosen::All });
                }
                if key.marks() != Marks::NONE {
                    return Ok(Chosen::All);
                }
                match keys.named(key) {
                    Some(instance) => Ok(Chosen::Instance(Some(instance), used + 1)),
                    None => Err(messages::no_instance(keys, key, span.to(*at))),
                }
            }
            _ => Ok(Chosen::All),
        }
    }

    fn resolve_module(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let Some(Step::Attribute(name, at)) = steps.first() else {
            return Err(messages::incomplete(root, "module.NAME.OUTPUT"));
        };
        if !self.module.module.calls.contains_key(name) {
            let known = self.module.module.calls.keys().map(|name| &**name);
            let diagnostic = Diagnostic::error(format!("there is no module {name:?} here")).at(root.span.to(*at));
            return Err(messages::unknown(diagnostic, name, known));
        }
        let span = Some(root.span);
        let Some(keys) = self.keys(Key::CallKeys(self.id, Arc::clone(name)), span) else { return Ok(missing(steps)) };
        let (instance, used) = match self.instance(keys, steps, 1, root.span)? {
            Chosen::Instance(instance, used) => (instance, used),
            Chosen::All => {
                return Ok(View::answer(self.value(Key::Call(self.id, Arc::clone(name)), span), 1, steps));
            }
            Chosen::Later => return Ok(missing(steps)),
        };
        let Some(child) = self.module.children.get(&(Arc::clone(name), instance)) else { return Ok(missing(steps)) };
        let Some(Step::Attribute(output, at)) = steps.get(used) else {
            return Ok(View::answer(self.value(Key::Outputs(*child), span), used, steps));
        };
        let inner = self.graph.module(*child).map(|inner| &inner.module);
        if inner.is_some_and(|inner| inner.outputs.contains_key(output)) {
            return Ok(View::answer(self.value(Key::Output(*child, Arc::clone(output)), span), used + 1, steps));
        }
        let known = inner.into_iter().flat_map(|inner| inner.outputs.keys()).map(|name| &**name);
        let diagnostic = Diagnostic::error(format!("the module {name:?} has no output {output:?}")).at(*at);
        Err(messages::unknown(diagnostic, output, known))
    }

    fn resolve_each(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let Some(Step::Attribute(name, at)) = steps.first() else {
            let whole = if &**root.name == "count" { "count.index" } else { "each.key or each.value" };
            return Err(messages::incomplete(root, whole));
        };
        let value = match (&**root.name, &**name, &self.each) {
            ("count", "index", Each::Index(index)) => Value::from(i64::try_from(*index).unwrap_or(i64::MAX)),
            ("each", "key", Each::Entry(key, _)) => Value::string(Arc::clone(key)),
            ("each", "value", Each::Entry(_, value)) => value.clone(),
            (root_name, ..) => {
                let argument = if root_name == "count" { "count" } else { "for_each" };
                return Err(Diagnostic::error(format!("`{root_name}.{name}` means nothing here"))
                    .at(root.span.to(*at))
                    .detail(format!("`{root_name}` is there only in a block that has `{argument}`.")));
            }
        };
        Ok(Resolved { value, used: 1 })
    }

    fn resolve_path(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let Some(Step::Attribute(name, at)) = steps.first() else {
            return Err(messages::incomplete(root, &format!("{}.NAME", root.name)));
        };
        let value = match (&**root.name, &**name) {
            ("path", "module") => Value::string(self.module.directory()),
            ("path", "root") => Value::from("."),
            ("path", "cwd") => self.inputs().absolute(".").unwrap_or_else(|| ".".to_owned()).into(),
            ("terraform", "workspace") => Value::string(Arc::clone(&self.graph.input.environment)),
            ("terraform", "applying") => {
                Value::from(self.graph.applying).mark(Marks { ephemeral: true, ..Marks::NONE })
            }
            (root_name, _) => {
                let known = if root_name == "path" { ["module", "root", "cwd"] } else { ["workspace", "applying", ""] };
                let diagnostic = Diagnostic::error(format!("there is no `{root_name}.{name}`")).at(root.span.to(*at));
                if (root_name, &**name) == ("terraform", "env") {
                    return Err(diagnostic.help("Write terraform.workspace, which is what it is called now."));
                }
                return Err(messages::unknown(diagnostic, name, known.into_iter().filter(|name| !name.is_empty())));
            }
        };
        Ok(Resolved { value, used: 1 })
    }

    fn resolve_named(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let (is_variable, module) = (&**root.name == "var", &self.module.module);
        let Some(Step::Attribute(name, at)) = steps.first() else {
            return Err(messages::incomplete(root, &format!("{}.NAME", root.name)));
        };
        if let Some((judged, value)) = &self.variable
            && is_variable
            && judged == name
        {
            return Ok(Resolved { value: value.clone(), used: 1 });
        }
        let span = root.span.to(*at);
        // What a test gives may name variables of its own, too.
        let of_test = self.trial().and_then(|trial| trial.variables.get(name)).filter(|_| is_variable);
        if let Some(given) = of_test
            && !module.variables.contains_key(name)
            && self.module.parent.is_none()
        {
            return Ok(Resolved { value: given.value.clone(), used: 1 });
        }
        let (key, what) = if is_variable {
            (module.variables.contains_key(name).then(|| Key::Variable(self.id, Arc::clone(name))), "variable")
        } else {
            (module.locals.contains_key(name).then(|| Key::Local(self.id, Arc::clone(name))), "local value")
        };
        match key {
            Some(key) => Ok(View::answer(self.value(key, Some(span)), 1, steps)),
            None => {
                let diagnostic = Diagnostic::error(format!("there is no {what} {name:?}")).at(span);
                let known: Vec<&str> = match is_variable {
                    true => module.variables.keys().map(|name| &**name).collect(),
                    false => module.locals.keys().map(|name| &**name).collect(),
                };
                Err(messages::unknown(diagnostic, name, known))
            }
        }
    }

    /// What a run of a test gives.
    fn trial(&self) -> Option<&Trial> {
        self.graph.input.project.trial.as_deref()
    }

    /// An output of the module itself: what the conditions of a test may read.
    fn resolve_output(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let Some(Step::Attribute(name, at)) = steps.first() else {
            return Err(messages::incomplete(root, "output.NAME"));
        };
        if self.module.module.outputs.contains_key(name) {
            let value = self.value(Key::Output(self.id, Arc::clone(name)), Some(root.span.to(*at)));
            return Ok(View::answer(value, 1, steps));
        }
        let diagnostic = Diagnostic::error(format!("there is no output {name:?}")).at(root.span.to(*at));
        Err(messages::unknown(diagnostic, name, self.module.module.outputs.keys().map(|name| &**name)))
    }

    fn unknown_resource(&self, root: Name<'_>, steps: &[Step]) -> Diagnostic {
        let (mode, words, given): (Mode, &str, Vec<&Step>) = match &**root.name {
            "data" => (Mode::Data, "data source", steps.iter().take(2).collect()),
            _ => (Mode::Managed, "resource", steps.iter().take(1).collect()),
        };
        let mut written = root.name.to_string();
        let mut span = root.span;
        for step in given {
            let Step::Attribute(name, at) = step else { break };
            written = format!("{written}.{name}");
            span = span.to(*at);
        }
        if !written.contains('.') {
            return Diagnostic::error(format!("`{written}` means nothing here"))
                .at(span)
                .detail("A name alone is a variable of a `for` expression; everything else is named in two parts.");
        }
        let known: Vec<String> = self
            .module
            .module
            .resources
            .keys()
            .filter(|key| key.mode == mode)
            .map(|key| format!("{}{}.{}", mode.prefix(), key.kind, key.name))
            .collect();
        let diagnostic = Diagnostic::error(format!("there is no {words} `{written}`")).at(span);
        messages::unknown(diagnostic, &written, known.iter().map(String::as_str))
    }
}

/// What a reference to a resource or module call means.
pub(super) enum Chosen {
    /// One instance, and how many steps name it.
    Instance(Option<InstanceKey>, usize),
    /// All instances.
    All,
    /// It cannot be said before what the key reads has come.
    Later,
}

impl Scope for View<'_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        match &**root.name {
            "var" | "local" => self.resolve_named(root, steps),
            "module" => self.resolve_module(root, steps),
            "count" | "each" => self.resolve_each(root, steps),
            "path" | "terraform" => self.resolve_path(root, steps),
            "self" => match &self.itself {
                Some(value) => Ok(Resolved { value: value.clone(), used: 0 }),
                None => Err(Diagnostic::error("`self` means nothing here")
                    .at(root.span)
                    .detail("It is there only in a postcondition, and means the instance.")),
            },
            // `resource.TYPE.NAME` is TYPE.NAME, for types whose names mean something else.
            "resource" => match steps {
                [Step::Attribute(kind, span), rest @ ..] => {
                    let found = self.resolve_resource(Name { name: kind, span: *span }, rest)?;
                    Ok(Resolved { used: found.used + 1, ..found })
                }
                _ => Err(messages::incomplete(root, "resource.TYPE.NAME")),
            },
            "output" if self.graph.of_values && self.trial().is_some() => self.resolve_output(root, steps),
            name => match self.trial().and_then(|trial| trial.names.get(name)) {
                Some(value) => Ok(Resolved { value: value.clone(), used: 0 }),
                None => self.resolve_resource(root, steps),
            },
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        let files = self.graph.input.project.inputs(&self.module.base);
        Inputs { moment: Some(&self.graph.input.moment), ..files }
    }

    fn provider_function(&self, provider: &str, function: &str, _: Span) -> ProviderFunction {
        let settings = &self.module.module.settings;
        match ProviderFunction::of(settings, &self.graph.input.schemas, provider, function) {
            ProviderFunction::Unknown => match settings.required_providers.get(provider) {
                Some(required) => ProviderFunction::Absent(required.address.clone()),
                None => ProviderFunction::NoProvider,
            },
            found => found,
        }
    }

    fn ask_provider(&self, provider: &ProviderAddress, function: &str, arguments: &[Value]) -> Option<FunctionAnswer> {
        if *provider == ProviderAddress::of_secrets() && !arguments.iter().all(Value::is_wholly_known) {
            return None;
        }
        let (provider, arguments) = (provider.clone(), arguments.to_vec());
        let call = FunctionCall { provider, function: function.into(), arguments };
        match self.read(Key::Function(Arc::new(call)), None) {
            Some(Content::Function(answer)) => Some(answer.clone()),
            _ => None,
        }
    }
}

fn missing(steps: &[Step]) -> Resolved {
    Resolved { value: Value::UNKNOWN, used: steps.len() }
}

/// No names at all: what values that files give to variables may read.
pub(super) struct Constants<'a>(pub Inputs<'a>);

impl Scope for Constants<'_> {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        Err(Diagnostic::error(format!("`{}` cannot be read here", root.name))
            .at(root.span)
            .detail("Values given here are known before anything else is: they may use functions, and no names."))
    }

    fn inputs(&self) -> Inputs<'_> {
        self.0
    }

    fn ask_provider(&self, _: &ProviderAddress, _: &str, _: &[Value]) -> Option<FunctionAnswer> {
        // What stands here is known before anything is asked of anyone.
        let message = "Values written here are known before any secret is: read it in a stack or a role.".to_owned();
        Some(Err(FunctionFault { message, argument: None }))
    }
}

/// Evaluates in a view.
pub(super) fn evaluate(expr: &Expr, view: &View<'_>) -> Result<Value, andon_text::Diagnostics> {
    andon_lang::eval::evaluate(expr, view)
}
