//! What names mean in a module before anything is known: unknown values of the types that they will have.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::{Mode, Schemas};
use andon_text::{Diagnostic, Diagnostics, Span, nearest};
use andon_value::{Marks, Type, Value};

use crate::definitions::{Local, Module, Project, ResourceDefinition, ResourceKey, Stack};
use crate::eval::{Inputs, Name, Resolved, Scope, Step, evaluate, implied_type};
use crate::literal;
use crate::order::sorted;
use crate::reference::{Reference, StaticStep, name_at, static_traversals};
use crate::role::no_each;
use crate::shape::suggest;

/// A module under check.
pub(super) struct Checked<'a> {
    pub project: &'a Project,
    pub schemas: &'a Schemas,
    pub stack: &'a Stack,
    pub module: &'a Module,
    /// Values of locals so far.
    locals: RefCell<BTreeMap<Arc<str>, Value>>,
    out: RefCell<Diagnostics>,
}

/// A place in a module.
#[derive(Clone)]
pub(super) struct At<'c, 'a> {
    pub checked: &'c Checked<'a>,
    /// The block has `count`.
    pub count: bool,
    /// The block has `for_each`, and these are `each.key` and `each.value`.
    pub each: Option<(Value, Value)>,
    /// `self` means something here.
    pub this: bool,
    /// Only names count: whether there are instances to pick from is for evaluation, which `try` may catch.
    pub names_only: bool,
}

impl<'a> Checked<'a> {
    pub fn new(project: &'a Project, schemas: &'a Schemas, stack: &'a Stack, module: &'a Module) -> Checked<'a> {
        let checked = Checked { project, schemas, stack, module, locals: RefCell::default(), out: RefCell::default() };
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
            let value = evaluate(&local.value, &self.plain()).unwrap_or_else(|errors| {
                self.report(errors);
                Value::UNKNOWN
            });
            self.locals.borrow_mut().insert(local.name.name.clone(), value);
        }
    }

    /// A place outside of any block that repeats.
    pub fn plain(&self) -> At<'_, 'a> {
        At { checked: self, count: false, each: None, this: false, names_only: false }
    }

    /// What was found on the way.
    pub fn report(&self, more: impl IntoIterator<Item = Diagnostic>) {
        self.out.borrow_mut().extend(more);
    }

    /// All that was found.
    pub fn into_found(self) -> Diagnostics {
        self.out.into_inner()
    }

    /// The value of a local, as far as it is known.
    fn local(&self, name: &str) -> Value {
        self.locals.borrow().get(name).cloned().unwrap_or(Value::UNKNOWN)
    }

    /// `path.module`: the way from the stack's directory to the module's.
    fn module_path(&self) -> String {
        let mut base = self.stack.module.directory.split('/').filter(|part| !part.is_empty()).peekable();
        let mut own = self.module.directory.split('/').filter(|part| !part.is_empty()).peekable();
        while base.peek().is_some() && base.peek() == own.peek() {
            base.next();
            own.next();
        }
        let parts: Vec<&str> = base.map(|_| "..").chain(own).collect();
        if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
    }
}

impl At<'_, '_> {
    /// Reports the reference where it names nothing.
    pub fn look_up(&self, reference: &Reference<'_>) {
        let steps: Vec<Step> = (reference.steps.iter())
            .map(|step| match step {
                StaticStep::Attribute(name, span) => Step::Attribute((*name).clone(), *span),
                StaticStep::Number(number, span) => Step::Key(Value::from(number.clone()), *span),
                StaticStep::Key(key, span) => Step::Key(Value::string(key.clone()), *span),
                StaticStep::Computed(span) => Step::Key(Value::UNKNOWN, *span),
            })
            .collect();
        let at = At { names_only: true, ..self.clone() };
        let found = at.resolve(Name { name: reference.root, span: reference.root_span }, &steps);
        self.checked.report(found.err());
    }

    fn named(&self, root: Name<'_>, name: &Arc<str>, span: Span) -> Result<Value, Diagnostic> {
        let module = self.checked.module;
        match &**root.name {
            "var" => match module.variables.get(name) {
                Some(variable) => {
                    let value = Value::unknown(variable.ty.without_optional());
                    Ok(if variable.sensitive { value.mark(Marks::SENSITIVE) } else { value })
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
                "applying" => Ok(Value::unknown(Type::Bool)),
                _ => Err(undeclared("terraform attribute", name, root.span.to(span), [&"workspace".into()])),
            },
        }
    }

    fn module(&self, name: &Arc<str>, span: Span, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let Some(call) = self.checked.module.calls.get(name) else {
            return Err(undeclared("module", name, span, self.checked.module.calls.keys()));
        };
        if !call.found {
            return Ok(Resolved { value: Value::UNKNOWN, used: steps.len() });
        }
        let output = steps.iter().skip(1).find_map(|step| match step {
            Step::Attribute(name, span) => Some((name, *span)),
            Step::Key(..) => None,
        });
        if let Some((output, at)) = output
            && !call.module.outputs.contains_key(output)
        {
            let diagnostic = Diagnostic::error(format!("there is no output \"{output}\" in module \"{name}\"")).at(at);
            return Err(suggest(diagnostic, output, call.module.outputs.keys().map(|name| &**name)));
        }
        let outputs = call.module.outputs.iter().map(|(name, output)| {
            let value = Value::UNKNOWN;
            (name.clone(), if output.sensitive { value.mark(Marks::SENSITIVE) } else { value })
        });
        let one = Value::object(outputs);
        self.instances(&format!("module.{name}"), one, call.count.is_some(), call.for_each.is_some(), steps, 1)
    }

    fn resource(&self, mode: Mode, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
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
        let Some(definition) = resources.get(&key) else {
            // Where the type is misspelt in the definition, that is said there.
            let meant = |other: &ResourceKey| {
                let known = kinds.keys().map(String::as_str);
                !kinds.contains_key(&*other.kind) && nearest(&other.kind, known) == Some(&**kind)
            };
            if resources.keys().any(|other| other.mode == mode && other.name == *name && meant(other)) {
                return Ok(Resolved { value: Value::UNKNOWN, used: steps.len() });
            }
            if mode == Mode::Managed && !kind.contains('_') && !resources.keys().any(|other| other.kind == *kind) {
                return Err(self.meaningless(root));
            }
            let word = mode.noun();
            let declared: Vec<String> = (resources.keys())
                .filter(|other| other.mode == mode)
                .map(|other| format!("{}{}.{}", mode.prefix(), other.kind, other.name))
                .collect();
            let diagnostic = Diagnostic::error(format!("there is no {word} \"{written}\"")).at(span);
            return Err(suggest(diagnostic, &written, declared.iter().map(String::as_str)));
        };
        let Some(schema) = kinds.get(&**kind) else { return Ok(Resolved { value: Value::UNKNOWN, used: steps.len() }) };
        if let Some(outputs) = self.stack_outputs(definition, steps)? {
            return Ok(outputs);
        }
        let one = Value::unknown(implied_type(&schema.block));
        self.instances(&written, one, definition.count.is_some(), definition.for_each.is_some(), steps, used)
    }

    /// `data.andon_stack.x.outputs.name`: the stack and its outputs are in the project.
    fn stack_outputs(&self, definition: &ResourceDefinition, steps: &[Step]) -> Result<Option<Resolved>, Diagnostic> {
        if definition.key.mode != Mode::Data || &*definition.key.kind != "andon_stack" {
            return Ok(None);
        }
        let [_, _, Step::Attribute(outputs, _), output, ..] = steps else { return Ok(None) };
        let (name, span) = match output {
            Step::Attribute(name, span) => (name, *span),
            Step::Key(key, span) => match key.as_str() {
                Some(name) => (name, *span),
                None => return Ok(None),
            },
        };
        let stack = definition.body.attribute("name").and_then(|attribute| literal::string(&attribute.value));
        let stack = stack.and_then(|stack| self.checked.project.stacks.get(&stack));
        match stack {
            Some(stack) if &**outputs == "outputs" && !stack.module.outputs.contains_key(name) => {
                let diagnostic =
                    Diagnostic::error(format!("there is no output \"{name}\" in stack \"{}\"", stack.name)).at(span);
                Err(suggest(diagnostic, name, stack.module.outputs.keys().map(|name| &**name)))
            }
            Some(_) if &**outputs == "outputs" => Ok(Some(Resolved { value: Value::UNKNOWN, used: 4 })),
            _ => Ok(None),
        }
    }

    /// One instance, or as many as the block will have.
    fn instances(
        &self,
        written: &str,
        one: Value,
        count: bool,
        for_each: bool,
        steps: &[Step],
        used: usize,
    ) -> Result<Resolved, Diagnostic> {
        if count {
            return Ok(Resolved { value: Value::unknown(Type::list(one.ty())), used });
        }
        if for_each {
            return Ok(Resolved { value: Value::unknown(Type::map(one.ty())), used });
        }
        match steps.get(used) {
            Some(Step::Key(key, span)) if key.as_number().is_some() && !self.names_only => {
                Err(Diagnostic::error(format!("{written} has no instances to pick from"))
                    .at(*span)
                    .label("it has neither \"count\" nor \"for_each\"")
                    .help(format!("Write {written} alone.")))
            }
            _ => Ok(Resolved { value: one, used }),
        }
    }

    fn meaningless(&self, root: Name<'_>) -> Diagnostic {
        let diagnostic = Diagnostic::error(format!("\"{}\" means nothing here", root.name)).at(root.span);
        let words = ["var", "local", "module", "data", "each", "count", "path", "terraform"];
        let kinds = self.checked.module.resources.keys().map(|key| &*key.kind);
        suggest(diagnostic, root.name, words.into_iter().chain(kinds))
            .help("Text goes in quotes; a reference is written like var.NAME, local.NAME or TYPE.NAME.")
    }
}

impl Scope for At<'_, '_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        match (&**root.name, steps.first()) {
            ("var" | "local" | "count" | "each" | "path" | "terraform", Some(Step::Attribute(name, span))) => {
                self.named(root, name, *span).map(|value| Resolved { value, used: 1 })
            }
            ("module", Some(Step::Attribute(name, span))) => self.module(name, root.span.to(*span), steps),
            ("var" | "local" | "count" | "each" | "path" | "terraform" | "module", _) => {
                let diagnostic = Diagnostic::error(format!("\"{}\" alone is no value", root.name)).at(root.span);
                Err(diagnostic.help(format!("Write {}.NAME.", root.name)))
            }
            ("self", _) if self.this => Ok(Resolved { value: Value::UNKNOWN, used: steps.len() }),
            ("self", _) => Err(Diagnostic::error("\"self\" means nothing here")
                .at(root.span)
                .help("It is there in postconditions only. Write the reference out.")),
            ("data", _) => self.resource(Mode::Data, root, steps),
            _ => self.resource(Mode::Managed, root, steps),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        self.checked.project.inputs(&self.checked.stack.module.directory)
    }
}

fn undeclared<'n>(what: &str, name: &str, span: Span, declared: impl IntoIterator<Item = &'n Arc<str>>) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("there is no {what} \"{name}\"")).at(span);
    suggest(diagnostic, name, declared.into_iter().map(|name| &**name))
}
