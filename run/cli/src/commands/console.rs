//! `console`: expressions, where a stack's root module would evaluate them.

mod editor;
mod history;

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use andon_engine::Plugins;
use andon_engine::project::is_project;
use andon_hcl::ast::{Expr, ExprKind};
use andon_lang::complete::is_incomplete;
use andon_lang::definitions::{Environment, Module, Project as Definitions};
use andon_lang::eval::Moment;
use andon_ledger::EnvironmentState;
use andon_plan::{Evaluation, PlanInput, PlanMode, Scope};
use andon_schema::Schemas;
use andon_text::{Diagnostic, Diagnostics, SourceMap};
use serde_json::json;

use super::plan::{Asked, plan};
use crate::args::ConsoleArguments;
use crate::checking::Checking;
use crate::context::{Context, Project, Stop};
use crate::terminal::print_json;

/// `andon console`
pub fn run(context: &Context, arguments: &ConsoleArguments) -> Result<(), Stop> {
    let bare = !arguments.plan && arguments.stack.is_none() && context.arguments.environment.is_none();
    let directory = &context.arguments.directory;
    let mut console = match bare && directory.is_dir() && !is_project(directory) {
        true => Console::without_project(context),
        false => Console::of_project(context, arguments)?,
    };
    let sound = if !arguments.evaluate.is_empty() {
        // All of them, whatever became of the first.
        let wrong = arguments.evaluate.iter().filter(|text| !console.answer(text)).count();
        wrong == 0
    } else if std::io::stdin().is_terminal() {
        editor::run(&mut console)?;
        true
    } else {
        piped(&mut console)?
    };
    if sound { Ok(()) } else { Err(Stop::Code(1)) }
}

/// Answers every expression of standard input; whether all had a value.
fn piped(console: &mut Console<'_>) -> Result<bool, Stop> {
    let mut sound = true;
    let mut text = String::new();
    for line in std::io::stdin().lock().lines() {
        let line =
            line.map_err(|error| Diagnostic::error(format!("standard input cannot be read: {error}")).help(UTF8))?;
        if text.is_empty() && matches!(line.trim(), "exit" | "quit") {
            return Ok(sound);
        }
        text.push_str(&line);
        text.push('\n');
        if !is_incomplete(&text) {
            sound &= console.answer(&std::mem::take(&mut text));
        }
    }
    Ok(console.answer(&text) && sound)
}

const UTF8: &str = "Expressions are text in UTF-8.";

/// Expressions in, values out.
struct Console<'a> {
    context: &'a Context,
    evaluation: Evaluation,
    schemas: Arc<Schemas>,
    plugins: Arc<Plugins>,
    sources: SourceMap,
    /// What to add where a name is not known.
    hint: Option<String>,
}

impl<'a> Console<'a> {
    /// Functions and what is written out, but no names.
    fn without_project(context: &'a Context) -> Console<'a> {
        let directory = context.arguments.directory.canonicalize().unwrap_or_default();
        let environment: Arc<str> = "default".into();
        let default = Environment { name: environment.clone(), variables: None, protected: false, span: None };
        let project = Definitions {
            directory: directory.display().to_string().into(),
            environments: [(environment.clone(), default)].into(),
            ..Definitions::default()
        };
        let input = PlanInput {
            project: Arc::new(project),
            schemas: Arc::default(),
            environment,
            stacks: Vec::new(),
            state: Arc::default(),
            sequence: 0,
            mode: PlanMode::Normal,
            refresh: false,
            scope: Scope::default(),
            moment: moment(),
        };
        Console {
            context,
            schemas: Arc::clone(&input.schemas),
            plugins: Arc::default(),
            evaluation: Evaluation::new(input, None, None),
            sources: SourceMap::new(),
            hint: Some("This directory holds no project: only functions have a meaning here.".to_owned()),
        }
    }

    fn of_project(context: &'a Context, arguments: &ConsoleArguments) -> Result<Console<'a>, Stop> {
        let project = context.open_to_read(arguments.plan)?;
        let environment = context.environment(&project)?;
        let stacks = &project.session.project().stacks;
        let mut hint = None;
        let stack = match &arguments.stack {
            Some(name) => context.stacks(&project, std::slice::from_ref(name))?.into_iter().next(),
            None if stacks.len() == 1 => stacks.keys().next().cloned(),
            None => {
                let names: Vec<&str> = stacks.keys().map(|name| &**name).collect();
                let one = names.first().copied().unwrap_or("NAME");
                hint = (!names.is_empty()).then(|| {
                    format!("The stacks are {}: say whose names are meant, as in --stack {one}.", names.join(", "))
                });
                None
            }
        };
        let plan = match arguments.plan {
            true => Some(plan(&mut Checking::is_over(context, &project), &project, &[], Asked::of(PlanMode::Normal))?),
            false => None,
        };
        let input = input(&project, environment);
        Ok(Console {
            context,
            schemas: Arc::clone(&input.schemas),
            plugins: Arc::clone(&project.plugins),
            evaluation: Evaluation::new(input, stack.as_deref(), plan),
            sources: project.sources().clone(),
            hint,
        })
    }

    /// The module whose names expressions may use.
    fn module(&self) -> Option<&Module> {
        self.evaluation.module()
    }

    /// Evaluates an expression and prints its value, or what is wrong with it. Nothing at all is well, too.
    fn answer(&mut self, text: &str) -> bool {
        let text = text.strip_suffix('\n').unwrap_or(text);
        if is_blank(text) {
            return true;
        }
        let mut sources = self.sources.clone();
        let id = sources.add("<console>", text);
        let (expression, errors) = andon_hcl::parse_expression(id, text);
        if errors.has_errors() {
            self.context.say_diagnostics(&errors, &sources);
            return false;
        }
        let (expression, only_type) = match asks_type(&expression) {
            Some(inner) => (inner, true),
            None => (&expression, false),
        };
        let json = self.context.arguments.json;
        match andon_engine::evaluate(&mut self.evaluation, expression, &self.plugins) {
            Ok(value) if only_type && json => {
                print_json(&json!({ "type": "type", "value": value.ty().to_string() }));
            }
            Ok(value) if only_type => self.context.print(&format!("{}\n", andon_view::type_lines(&value.ty()))),
            Ok(value) if json => {
                print_json(&json!({
                    "type": value.ty().to_string(),
                    "value": andon_view::value_json(&value),
                    "sensitive": value.is_sensitive(),
                    "sensitive_paths": andon_view::sensitive_paths(&value),
                }));
            }
            Ok(value) => self.context.print(&format!("{}\n", andon_view::expression(&value))),
            Err(diagnostics) => {
                self.context.say_diagnostics(&self.with_hint(diagnostics), &sources);
                return false;
            }
        }
        true
    }

    fn with_hint(&self, diagnostics: Diagnostics) -> Diagnostics {
        let Some(hint) = &self.hint else { return diagnostics };
        let hinted = |diagnostic: Diagnostic| {
            let is_name =
                diagnostic.summary.starts_with("there is no ") || diagnostic.summary.contains("means nothing");
            if is_name { diagnostic.help(hint) } else { diagnostic }
        };
        diagnostics.into_iter().map(hinted).collect()
    }
}

fn input(project: &Project, environment: &Environment) -> PlanInput {
    let state = project.session.state();
    let here: EnvironmentState = state.environments.get(&environment.name).cloned().unwrap_or_default();
    PlanInput {
        project: Arc::clone(project.session.project()),
        schemas: Arc::clone(&project.schemas),
        environment: Arc::clone(&environment.name),
        stacks: Vec::new(),
        state: Arc::new(here),
        sequence: state.sequence,
        mode: PlanMode::Normal,
        refresh: false,
        scope: Scope::default(),
        moment: moment(),
    }
}

/// Now: at the console everything is known.
fn moment() -> Arc<Moment> {
    let now = andon_engine::now().0 / 1000;
    Arc::new(Moment::applying(now, now, super::change::seed()))
}

/// Whether there is nothing in a text but space and comments of a line.
fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line.starts_with("//"))
}

/// The argument of `type(…)`, which only a console knows: its answer is no value.
fn asks_type(expression: &Expr) -> Option<&Expr> {
    match &expression.kind {
        ExprKind::Call { name, arguments, expand_last: false } if &*name.name == "type" => match arguments.as_slice() {
            [one] => Some(one),
            _ => None,
        },
        _ => None,
    }
}
