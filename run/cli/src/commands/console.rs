//! `console`: expressions, with the functions of the language and the values of an environment.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use andon_lang::definitions::{Environment, Project as Definitions, Stack};
use andon_lang::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};
use andon_lang::{FileSet, given_value};
use andon_ledger::EnvironmentState;
use andon_schema::{InstanceKey, Mode};
use andon_text::{Diagnostic, Diagnostics, SourceMap, nearest};
use andon_value::Value;
use serde_json::json;

use crate::args::ConsoleArguments;
use crate::context::{Context, Project, Stop};
use crate::terminal::print_json;

/// `andon console`
pub fn run(context: &Context, arguments: &ConsoleArguments) -> Result<(), Stop> {
    let project = context.open()?;
    let environment = context.environment(&project)?;
    let stacks = &project.session.project().stacks;
    let stack = match &arguments.stack {
        Some(name) => context.stacks(&project, std::slice::from_ref(name))?.first().and_then(|name| stacks.get(name)),
        None if stacks.len() == 1 => stacks.values().next(),
        None => None,
    };
    let state = project.session.state().environment(&environment.name);
    let files = Arc::clone(&project.session.project().files);
    let directory = project.session.settings().directory.canonicalize().unwrap_or_default();
    let definitions = project.session.project();
    let scope =
        ConsoleScope { definitions, environment, stack, state, files, directory: directory.display().to_string() };
    let mut console = Console { context, scope, project: &project };
    if let Some(expression) = &arguments.evaluate {
        return if console.answer(expression) { Ok(()) } else { Err(Stop::Code(1)) };
    }
    let interactive = std::io::stdin().is_terminal();
    let mut sound = true;
    loop {
        if interactive {
            let _ = write!(std::io::stderr(), "> ");
        }
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(0) => break,
            Ok(_) if matches!(line.trim(), "exit" | "quit") => break,
            Ok(_) if line.trim().is_empty() => {}
            Ok(_) => sound &= console.answer(line.trim()),
            Err(error) => return Err(Diagnostic::error(format!("standard input cannot be read: {error}")).into()),
        }
    }
    if sound || interactive { Ok(()) } else { Err(Stop::Code(1)) }
}

struct Console<'a> {
    context: &'a Context,
    scope: ConsoleScope<'a>,
    project: &'a Project,
}

impl Console<'_> {
    /// Evaluates one line and prints its value, or what is wrong with it.
    fn answer(&mut self, text: &str) -> bool {
        let mut sources: SourceMap = self.project.sources().clone();
        let id = sources.add("<console>", text);
        let (expression, errors) = andon_hcl::parse_expression(id, text);
        let value = if errors.has_errors() { Err(errors) } else { evaluate(&expression, &self.scope) };
        match value {
            Ok(value) if self.context.arguments.json => {
                print_json(&json!({ "type": value.ty().to_string(), "value": andon_view::value_json(&value) }));
                true
            }
            Ok(value) => {
                self.context.print(&format!("{}\n", andon_value::render(&value, 0)));
                true
            }
            Err(diagnostics) => {
                self.context.say_diagnostics(&diagnostics, &sources);
                false
            }
        }
    }
}

/// Names: `var` of the stack, `terraform.workspace`, published outputs as `stack.NAME`, and the objects of the state
/// by their addresses.
struct ConsoleScope<'a> {
    definitions: &'a Definitions,
    environment: &'a Environment,
    stack: Option<&'a Stack>,
    state: EnvironmentState,
    files: Arc<FileSet>,
    directory: String,
}

impl Scope for ConsoleScope<'_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let unknown = |what: String| Diagnostic::error(what).at(root.span);
        match &**root.name {
            "terraform" => {
                Ok(Resolved { value: Value::object([("workspace", Value::from(&*self.environment.name))]), used: 0 })
            }
            "var" => self.variables().map(|value| Resolved { value, used: 0 }).map_err(first),
            "stack" => {
                let stacks = self.state.published.iter().map(|(stack, outputs)| {
                    (
                        Arc::clone(stack),
                        Value::object(outputs.iter().map(|(name, value)| (Arc::clone(name), value.clone()))),
                    )
                });
                Ok(Resolved { value: Value::object(stacks), used: 0 })
            }
            kind => {
                let Some(Step::Attribute(name, _)) = steps.first() else {
                    return Err(unknown(format!("`{kind}` alone is no value"))
                        .help("Write var.NAME, stack.NAME.OUTPUT, terraform.workspace or TYPE.NAME of a resource."));
                };
                self.resource(kind, name).map(|value| Resolved { value, used: 1 }).ok_or_else(|| {
                    let known = self.state.instances.keys().map(|address| &*address.resource.kind);
                    let diagnostic = unknown(format!("there is no `{kind}.{name}` in the state"));
                    match nearest(kind, known) {
                        Some(near) if near != kind => diagnostic.help(format!("Did you mean `{near}`?")),
                        _ => diagnostic.help("`andon status` lists what there is."),
                    }
                })
            }
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        let base = self.stack.map_or("", |stack| &stack.module.directory);
        Inputs::of_files(&self.files, base, &self.directory)
    }
}

impl ConsoleScope<'_> {
    fn variables(&self) -> Result<Value, Diagnostics> {
        let Some(stack) = self.stack else {
            let given = self.environment.variables.as_ref();
            return given.map_or_else(|| Ok(Value::object::<&str>([])), |expression| evaluate(expression, self));
        };
        let mut values = Vec::new();
        for (name, variable) in &stack.module.variables {
            let value =
                match (given_value(self.definitions, &self.environment.name, stack, variable)?, &variable.default) {
                    (None, None) => Value::unknown(variable.ty.without_optional()),
                    (given, _) => variable.value(given.map(|given| given.value), "variable")?,
                };
            values.push((Arc::clone(name), value));
        }
        Ok(Value::object(values))
    }

    /// All instances of a resource of the root module: an object, a tuple by index, or an object by key.
    fn resource(&self, kind: &str, name: &str) -> Option<Value> {
        let mut by_index = Vec::new();
        let mut by_name = Vec::new();
        for (address, instance) in &self.state.instances {
            let resource = &address.resource;
            let meant = resource.mode == Mode::Managed && *resource.kind == *kind && *resource.name == *name;
            let stack_fits = self.stack.is_none_or(|stack| stack.name == resource.stack);
            let Some(object) = instance.current.as_ref().filter(|_| meant && stack_fits && resource.module.is_empty())
            else {
                continue;
            };
            match &address.key {
                None => return Some(object.value.clone()),
                Some(InstanceKey::Index(_)) => by_index.push(object.value.clone()),
                Some(InstanceKey::Name(key)) => by_name.push((Arc::clone(key), object.value.clone())),
            }
        }
        match (by_index.is_empty(), by_name.is_empty()) {
            (false, _) => Some(Value::tuple(by_index)),
            (true, false) => Some(Value::object(by_name)),
            (true, true) => None,
        }
    }
}

fn first(diagnostics: Diagnostics) -> Diagnostic {
    diagnostics.into_iter().next().unwrap_or_else(|| Diagnostic::error("it cannot be evaluated"))
}
