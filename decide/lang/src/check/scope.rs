//! What names mean in a module before anything is known: unknown values of the types that they will have.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::{FunctionAnswer, FunctionCall, Mode, ProviderAddress, Schemas};
use andon_text::{Diagnostic, Diagnostics, Span, nearest};
use andon_value::{Marks, Type, Value};

use super::stack::Given;
use super::{Answers, EvaluatedBody, Found, doubt};
use crate::definitions::{Local, Module, Project, ResourceDefinition, ResourceKey, Stack, implied_name};
use crate::eval::{
    Inputs, Name, ProviderFunction, Resolved, Scope, Step, apply_step, evaluate_with_doubts, implied_type,
};
use crate::files::way;
use crate::literal;
use crate::order::sorted;
use crate::reference::{Reference, StaticStep, name_at, static_traversals};
use crate::role::no_each;
use crate::shape::{suggest, suggest_or_list};

/// The mark of what is not kept.
const EPHEMERAL: Marks = Marks { sensitive: false, ephemeral: true };

/// A module under check.
pub(super) struct Checked<'a> {
    pub project: &'a Project,
    pub schemas: &'a Schemas,
    pub stack: &'a Stack,
    pub module: &'a Module,
    /// An instance of each type that was read so far, of which nothing is known but the type.
    instances: RefCell<BTreeMap<(Mode, Arc<str>), Value>>,
    /// Values of locals so far.
    locals: RefCell<BTreeMap<Arc<str>, Value>>,
    out: RefCell<Diagnostics>,
    bodies: RefCell<Vec<EvaluatedBody>>,
    answers: &'a Answers,
    calls: RefCell<BTreeSet<FunctionCall>>,
    absent: RefCell<BTreeMap<ProviderAddress, Span>>,
}

/// A place in a module.
#[derive(Clone)]
pub(super) struct At<'c, 'a> {
    pub checked: &'c Checked<'a>,
    /// The block has `count`.
    pub count: bool,
    /// The block has `for_each`, and these are `each.key` and `each.value`.
    pub each: Option<(Value, Value)>,
    /// What `self` is, where it means something.
    pub this: Option<Value>,
    /// The data source that is there for this place alone: a check's own.
    pub own: Option<&'c ResourceDefinition>,
}

/// What a reference means as it is written, whatever the values are.
struct Meaning {
    resolved: Resolved,
    /// It is a resource or one of its instances: what is read of it is in its schema.
    instance: bool,
}

impl Meaning {
    fn of(value: Value, used: usize) -> Meaning {
        Meaning { resolved: Resolved { value, used }, instance: false }
    }
}

impl<'a> Checked<'a> {
    pub fn new((project, schemas, answers): Given<'a>, stack: &'a Stack, module: &'a Module) -> Checked<'a> {
        let (instances, locals, out, bodies) = Default::default();
        let (calls, absent) = Default::default();
        let checked =
            Checked { project, schemas, stack, module, instances, locals, out, bodies, answers, calls, absent };
        checked.evaluate_locals();
        checked
    }

    /// Evaluates the locals, each after those that it needs, so that a long chain of them is no deep recursion. Those
    /// of a circle stay unknown: circles are found elsewhere. What is wrong with one is reported once.
    fn evaluate_locals(&self) {
        let locals: Vec<&Local> = self.module.locals.values().collect();
        let index: BTreeMap<&str, usize> = locals.iter().zip(0..).map(|(local, at)| (&*local.name.name, at)).collect();
        let needs = |local: &&Local| {
            let found = static_traversals(&local.value);
            let read = found.iter().filter(|found| &**found.root == "local").filter_map(|found| name_at(found, 0));
            read.filter_map(|(name, _)| index.get(name).copied()).collect()
        };
        let needs: Vec<BTreeSet<usize>> = locals.iter().map(needs).collect();
        for local in sorted(&needs).into_iter().filter_map(|at| locals.get(at)) {
            let (value, doubts) = evaluate_with_doubts(&local.value, &self.plain());
            self.report(doubts.into_iter().map(doubt));
            let value = value.unwrap_or_else(|errors| {
                self.report(errors);
                Value::UNKNOWN
            });
            self.locals.borrow_mut().insert(local.name.name.clone(), value);
        }
    }

    /// A place outside of any block that repeats.
    pub fn plain(&self) -> At<'_, 'a> {
        At { checked: self, count: false, each: None, this: None, own: None }
    }

    /// What was found on the way.
    pub fn report(&self, more: impl IntoIterator<Item = Diagnostic>) {
        self.out.borrow_mut().extend(more);
    }

    /// Keeps a body that fits its schema.
    pub fn keep(&self, body: EvaluatedBody) {
        self.bodies.borrow_mut().push(body);
    }

    /// All that was found.
    pub fn into_found(self) -> Found {
        Found {
            diagnostics: self.out.into_inner(),
            bodies: self.bodies.into_inner(),
            calls: self.calls.into_inner(),
            absent: self.absent.into_inner(),
        }
    }

    /// Whether the module is the stack's own, called by no other.
    pub fn is_root(&self) -> bool {
        std::ptr::eq(self.module, &*self.stack.module)
    }

    /// What functions may read.
    pub fn plain_inputs(&self) -> Inputs<'_> {
        self.project.inputs(&self.stack.module.directory)
    }

    /// An instance of a resource, of which nothing is known but the type; `None` without a schema for that.
    pub fn instance(&self, definition: &ResourceDefinition) -> Option<Value> {
        let key = &definition.key;
        let known = (key.mode, key.kind.clone());
        let usual = definition.provider_name() == implied_name(&key.kind);
        if usual && let Some(value) = self.instances.borrow().get(&known) {
            return Some(value.clone());
        }
        let provider = self.module.provider_of(definition);
        let schema = self.schemas.type_of(&provider, key.mode, &key.kind).ok().flatten()?;
        let value = Value::unknown(implied_type(&schema.block));
        let value = if key.mode == Mode::Ephemeral { value.mark(EPHEMERAL) } else { value };
        if usual {
            self.instances.borrow_mut().insert(known, value.clone());
        }
        Some(value)
    }

    /// The value of a local, as far as it is known.
    fn local(&self, name: &str) -> Value {
        self.locals.borrow().get(name).cloned().unwrap_or(Value::UNKNOWN)
    }

    /// `path.module`: the way from the stack's directory to the module's.
    fn module_path(&self) -> String {
        way(&self.stack.module.directory, &self.module.directory)
    }
}

impl At<'_, '_> {
    /// What is wrong with a reference that cannot mean anything, whatever the values are. Evaluation says nothing of such
    /// references: functions that forgive errors, such as `try`, do not forgive these.
    pub fn look_up(&self, reference: &Reference<'_>) -> Option<Diagnostic> {
        let steps: Vec<Step> = (reference.steps.iter())
            .map(|step| match step {
                StaticStep::Attribute(name, span) => Step::Attribute((*name).clone(), *span),
                StaticStep::Number(number, span) => Step::Key(Value::from(number.clone()), *span),
                StaticStep::Key(key, span) => Step::Key(Value::string(key.clone()), *span),
                StaticStep::Computed(span) => Step::Key(Value::UNKNOWN, *span),
            })
            .collect();
        match self.meaning(Name { name: reference.root, span: reference.root_span }, &steps) {
            Err(error) => Some(error),
            Ok(Meaning { resolved: Resolved { value, used }, instance: true }) => {
                steps.iter().skip(used).try_fold(value, |value, step| apply_step(&value, step)).err()
            }
            Ok(_) => None,
        }
    }

    fn meaning(&self, root: Name<'_>, steps: &[Step]) -> Result<Meaning, Diagnostic> {
        match (&**root.name, steps.first()) {
            ("var" | "local" | "count" | "each" | "path" | "terraform", Some(Step::Attribute(name, span))) => {
                self.named(root, name, *span).map(|value| Meaning::of(value, 1))
            }
            ("module", Some(Step::Attribute(name, span))) => self.module(name, root.span.to(*span), steps),
            ("var" | "local" | "count" | "each" | "path" | "terraform" | "module", _) => {
                let diagnostic = Diagnostic::error(format!("\"{}\" alone is no value", root.name)).at(root.span);
                Err(diagnostic.help(format!("Write {}.NAME.", root.name)))
            }
            ("self", _) => match &self.this {
                Some(this) => Ok(Meaning { instance: true, ..Meaning::of(this.clone(), 0) }),
                None => Err(Diagnostic::error("\"self\" means nothing here")
                    .at(root.span)
                    .help("It is there in postconditions and provisioners only. Write the reference out.")),
            },
            ("data", _) => self.resource(Mode::Data, root, steps),
            ("ephemeral", _) => self.resource(Mode::Ephemeral, root, steps),
            // `resource.TYPE.NAME` is TYPE.NAME, for types whose names mean something else.
            ("resource", Some(Step::Attribute(kind, span))) => {
                let rest = steps.get(1..).unwrap_or_default();
                let mut meaning = self.resource(Mode::Managed, Name { name: kind, span: *span }, rest)?;
                meaning.resolved.used += 1;
                Ok(meaning)
            }
            _ => self.resource(Mode::Managed, root, steps),
        }
    }

    fn named(&self, root: Name<'_>, name: &Arc<str>, span: Span) -> Result<Value, Diagnostic> {
        let module = self.checked.module;
        match &**root.name {
            "var" => match module.variables.get(name) {
                Some(variable) => {
                    let marks = Marks { sensitive: variable.sensitive, ephemeral: variable.ephemeral };
                    Ok(Value::unknown(variable.ty.without_optional()).mark(marks))
                }
                None => Err(undeclared("variable", name, root.span.to(span), module.variables.keys())),
            },
            "local" if module.locals.contains_key(name) => Ok(self.checked.local(name)),
            "local" => Err(undeclared("local", name, root.span.to(span), module.locals.keys())),
            "count" if self.count && &**name == "index" => Ok(Value::unknown(Type::Number)),
            "count" if self.count => Err(undeclared("count attribute", name, root.span.to(span), [&"index".into()])),
            "count" => Err(Diagnostic::error("\"count\" is only there in a block with \"count\"")
                .at(root.span.to(span))
                .help("Add count to this block, or take count.index out.")),
            "each" => match (&self.each, &**name) {
                (None, _) => Err(no_each(root.span.to(span))),
                (Some((key, _)), "key") => Ok(key.clone()),
                (Some((_, value)), "value") => Ok(value.clone()),
                _ => Err(undeclared("each attribute", name, root.span.to(span), [&"key".into(), &"value".into()])),
            },
            "path" => match &**name {
                "module" => Ok(Value::from(self.checked.module_path())),
                "root" => Ok(Value::from(".")),
                "cwd" => Ok(self.inputs().absolute(".").unwrap_or_else(|| ".".to_owned()).into()),
                _ => {
                    let known = ["module", "root", "cwd"].map(Arc::from);
                    Err(undeclared("path", name, root.span.to(span), &known))
                }
            },
            _ => match &**name {
                "workspace" => Ok(Value::unknown(Type::String)),
                "applying" => Ok(Value::unknown(Type::Bool).mark(Marks { ephemeral: true, ..Marks::NONE })),
                "env" => Err(undeclared("terraform attribute", name, root.span.to(span), [])
                    .help("Write terraform.workspace, which is what it is called now.")),
                _ => Err(undeclared("terraform attribute", name, root.span.to(span), [&"workspace".into()])),
            },
        }
    }

    fn module(&self, name: &Arc<str>, span: Span, steps: &[Step]) -> Result<Meaning, Diagnostic> {
        let Some(call) = self.checked.module.calls.get(name) else {
            return Err(undeclared("module", name, span, self.checked.module.calls.keys()));
        };
        if !call.found {
            return Ok(Meaning::of(Value::UNKNOWN, steps.len()));
        }
        let outputs = call.module.outputs.iter().map(|(name, output)| {
            let marks = Marks { sensitive: output.sensitive, ephemeral: output.ephemeral };
            (name.clone(), Value::UNKNOWN.mark(marks))
        });
        let one = Value::object(outputs);
        let many = match (&call.count, &call.for_each) {
            (Some(_), _) => Value::unknown(Type::list(one.ty())),
            (_, Some(_)) => Value::unknown(Type::map(one.ty())),
            _ => one,
        };
        Ok(Meaning::of(many, 1))
    }

    /// What a reference to a module or to another stack reads and is not there. Evaluation says it, and `try` forgives
    /// it.
    fn outputs(&self, root: Name<'_>, steps: &[Step]) -> Result<(), Diagnostic> {
        match (&**root.name, steps) {
            ("module", [Step::Attribute(name, _), rest @ ..]) => {
                let Some(call) = self.checked.module.calls.get(name).filter(|call| call.found) else { return Ok(()) };
                let repeated = call.count.is_some() || call.for_each.is_some();
                match rest.get(usize::from(repeated)) {
                    Some(Step::Attribute(output, at)) if !call.module.outputs.contains_key(output) => {
                        let words = format!("there is no output \"{output}\" in module \"{name}\"");
                        let names = call.module.outputs.keys().map(|name| &**name);
                        let diagnostic = Diagnostic::error(words).at(*at).named(Diagnostic::UNDECLARED);
                        let diagnostic = diagnostic.label("the module has no output of this name");
                        Err(suggest_or_list(diagnostic.related(call.span, "the module is called here"), output, names))
                    }
                    Some(Step::Key(key, span)) if !repeated && key.as_number().is_some() => {
                        Err(no_instances(&format!("module.{name}"), *span))
                    }
                    _ => Ok(()),
                }
            }
            ("data", [Step::Attribute(kind, _), Step::Attribute(name, _), ..]) => {
                let key = ResourceKey { mode: Mode::Data, kind: kind.clone(), name: name.clone() };
                match self.checked.module.resources.get(&key) {
                    Some(definition) => self.stack_output(definition, steps),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn resource(&self, mode: Mode, root: Name<'_>, steps: &[Step]) -> Result<Meaning, Diagnostic> {
        let used = if mode == Mode::Managed { 1 } else { 2 };
        let names: Vec<(&Arc<str>, Span)> = (steps.iter().take(used))
            .map_while(|step| match step {
                Step::Attribute(name, span) => Some((name, *span)),
                Step::Key(..) => None,
            })
            .collect();
        let (kind, name, span) = match (mode, names.as_slice()) {
            (Mode::Managed, [(name, span)]) => (root.name, *name, root.span.to(*span)),
            (Mode::Data | Mode::Ephemeral, [(kind, _), (name, span)]) => (*kind, *name, root.span.to(*span)),
            (Mode::Managed, _) => return Err(self.meaningless(root)),
            (Mode::Data | Mode::Ephemeral, _) => {
                let diagnostic = Diagnostic::error(format!("\"{}\" alone is no value", root.name)).at(root.span);
                return Err(diagnostic.help(format!("Write {}TYPE.NAME.", mode.prefix())));
            }
        };
        let written = format!("{}{kind}.{name}", mode.prefix());
        let resources = &self.checked.module.resources;
        let key = ResourceKey { mode, kind: kind.clone(), name: name.clone() };
        let schemas = self.checked.schemas;
        let kinds = schemas.built_in(mode);
        let own = self.own.filter(|own| own.key == key);
        let Some(definition) = own.or_else(|| resources.get(&key).map(|definition| &**definition)) else {
            // Where the type is misspelt in the definition, that is said there.
            let meant = |other: &ResourceKey| {
                let known = kinds.keys().map(String::as_str);
                !kinds.contains_key(&*other.kind) && nearest(&other.kind, known) == Some(&**kind)
            };
            if resources.keys().any(|other| other.mode == mode && other.name == *name && meant(other)) {
                return Ok(Meaning::of(Value::UNKNOWN, steps.len()));
            }
            if mode == Mode::Managed && !kind.contains('_') && !resources.keys().any(|other| other.kind == *kind) {
                return Err(self.meaningless(root));
            }
            let word = mode.noun();
            let declared: Vec<String> = (resources.keys())
                .filter(|other| other.mode == mode)
                .map(|other| format!("{}{}.{}", mode.prefix(), other.kind, other.name))
                .collect();
            let diagnostic =
                Diagnostic::error(format!("there is no {word} \"{written}\"")).at(span).named(Diagnostic::UNDECLARED);
            let diagnostic = diagnostic.label("nothing of this name is defined in this module");
            let diagnostic = suggest(diagnostic, &written, declared.iter().map(String::as_str));
            return Err(match diagnostic.help.is_empty() {
                true => diagnostic.help(format!("Define it: {} \"{kind}\" \"{name}\" {{ … }}", block_word(mode))),
                false => diagnostic,
            });
        };
        let value = self.checked.instance(definition).unwrap_or(Value::UNKNOWN);
        let repeated = definition.count.is_some() || definition.for_each.is_some();
        match (repeated, steps.get(used)) {
            (false, Some(Step::Key(_, span))) => Err(no_instances(&written, *span)),
            (true, Some(Step::Attribute(_, span))) => Err(many_instances(&written, definition, *span)),
            _ => {
                let value = match (&definition.count, &definition.for_each) {
                    (Some(_), _) => Value::unknown(Type::list(value.ty())),
                    (_, Some(_)) => Value::unknown(Type::map(value.ty())),
                    _ => value,
                };
                Ok(Meaning { instance: true, ..Meaning::of(value, used) })
            }
        }
    }

    /// `data.andon_stack.x.outputs.name`: the stack and its outputs are in the project.
    fn stack_output(&self, definition: &ResourceDefinition, steps: &[Step]) -> Result<(), Diagnostic> {
        if &*definition.key.kind != "andon_stack" {
            return Ok(());
        }
        let [_, _, Step::Attribute(outputs, _), output, ..] = steps else { return Ok(()) };
        let (name, span) = match output {
            Step::Attribute(name, span) => (name, *span),
            Step::Key(key, span) => match key.as_str() {
                Some(name) => (name, *span),
                None => return Ok(()),
            },
        };
        let stack = definition.body.attribute("name").and_then(|attribute| literal::string(&attribute.value));
        let stack = stack.and_then(|stack| self.checked.project.stacks.get(&stack));
        match stack {
            Some(stack) if &**outputs == "outputs" && !stack.module.outputs.contains_key(name) => {
                let words = format!("there is no output \"{name}\" in stack \"{}\"", stack.name);
                let names = stack.module.outputs.keys().map(|name| &**name);
                Err(suggest(Diagnostic::error(words).at(span).named(Diagnostic::UNDECLARED), name, names))
            }
            _ => Ok(()),
        }
    }

    fn meaningless(&self, root: Name<'_>) -> Diagnostic {
        let diagnostic = Diagnostic::error(format!("\"{}\" means nothing here", root.name)).at(root.span);
        let module = self.checked.module;
        let meant = match root.name.to_lowercase().as_str() {
            "true" | "yes" | "on" => Some("true".to_owned()),
            "false" | "no" | "off" => Some("false".to_owned()),
            "null" | "none" | "nil" | "undefined" => Some("null".to_owned()),
            "variable" | "variables" | "vars" | "input" => Some("var".to_owned()),
            "locals" => Some("local".to_owned()),
            _ if module.variables.contains_key(root.name) => Some(format!("var.{}", root.name)),
            _ if module.locals.contains_key(root.name) => Some(format!("local.{}", root.name)),
            _ => None,
        };
        if let Some(meant) = meant {
            return diagnostic.help(format!("Write {meant}; text goes in quotes."));
        }
        let words = ["var", "local", "module", "data", "each", "count", "path", "terraform"];
        let kinds = self.checked.module.resources.keys().map(|key| &*key.kind);
        suggest(diagnostic, root.name, words.into_iter().chain(kinds))
            .help("Text goes in quotes; a reference is written like var.NAME, local.NAME or TYPE.NAME.")
    }
}

impl Scope for At<'_, '_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        match self.meaning(root, steps) {
            // That is reported where the reference is looked at as it is written.
            Err(_) => Ok(Resolved { value: Value::UNKNOWN, used: steps.len() }),
            Ok(meaning) => self.outputs(root, steps).map(|()| meaning.resolved),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        self.checked.plain_inputs()
    }

    fn provider_function(&self, provider: &str, function: &str, place: Span) -> ProviderFunction {
        let settings = &self.checked.module.settings;
        let found = ProviderFunction::of(settings, self.checked.schemas, provider, function);
        if let (ProviderFunction::Unknown, Some(required)) = (&found, settings.required_providers.get(provider)) {
            self.checked.absent.borrow_mut().entry(required.address.clone()).or_insert(place);
        }
        found
    }

    fn ask_provider(&self, provider: &ProviderAddress, function: &str, arguments: &[Value]) -> Option<FunctionAnswer> {
        if *provider == ProviderAddress::of_secrets() {
            // Whoever checks definitions need not be able to open what they read.
            return None;
        }
        let (provider, arguments) = (provider.clone(), arguments.to_vec());
        let call = FunctionCall { provider, function: function.into(), arguments };
        let answer = self.checked.answers.get(&call).cloned();
        if answer.is_none() {
            self.checked.calls.borrow_mut().insert(call);
        }
        answer
    }
}

fn undeclared<'n>(what: &str, name: &str, span: Span, declared: impl IntoIterator<Item = &'n Arc<str>>) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("there is no {what} \"{name}\"")).at(span).named(Diagnostic::UNDECLARED);
    let diagnostic = suggest(diagnostic, name, declared.into_iter().map(|name| &**name));
    let define = match what {
        _ if !diagnostic.help.is_empty() => return diagnostic,
        "variable" => format!("Define it: variable \"{name}\" {{ … }}"),
        "local" => format!("Define it: locals {{ {name} = … }}"),
        "module" => format!("Define it: module \"{name}\" {{ … }}"),
        _ => return diagnostic,
    };
    diagnostic.help(define)
}

/// The word that a block of a mode begins with.
fn block_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Managed => "resource",
        Mode::Data => "data",
        Mode::Ephemeral => "ephemeral",
    }
}

fn no_instances(written: &str, span: Span) -> Diagnostic {
    Diagnostic::error(format!("{written} has no instances to pick from"))
        .at(span)
        .label("it has neither \"count\" nor \"for_each\"")
        .help(format!("Write {written} alone."))
}

fn many_instances(written: &str, definition: &ResourceDefinition, span: Span) -> Diagnostic {
    let (word, key) = if definition.count.is_some() { ("count", "[0]") } else { ("for_each", "[\"KEY\"]") };
    Diagnostic::error(format!("{written} has many instances, and this reads of one"))
        .at(span)
        .label(format!("it has \"{word}\""))
        .help(format!("Pick one with {written}{key}; all are read with a `for` expression."))
}
