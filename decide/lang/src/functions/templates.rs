//! Templates: text with holes, from files or from strings.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use andon_hcl::ast::Template;
use andon_hcl::parse_template;
use andon_schema::{FunctionAnswer, ProviderAddress};
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span, nearest};
use andon_value::{Type, Value, convert, quote};

use super::files::text;
use super::{Fault, Function, row};
use crate::eval::{Call, Evaluator, Inputs, Name, Resolved, Scope, Step};
use crate::jinja::{Templates as Jinja, Wrong};

pub(super) fn table() -> Vec<Function> {
    use Type::{Dynamic, String as S};
    vec![
        row(
            "templatefile",
            Dynamic,
            template_file,
            "The text of a template file, with its holes filled from an object.",
        )
        .takes("path", S)
        .takes("vars", Dynamic)
        .unknown_inside()
        .marks()
        .nullable(),
        row("templatestring", S, template_string, "The text of a template, with its holes filled from an object.")
            .takes("template", S)
            .takes("vars", Dynamic)
            .unknown_inside()
            .marks()
            .nullable(),
    ]
}

fn template_file(call: &Call<'_>) -> Result<Value, Fault> {
    let path = call.text(0);
    if call.templates.iter().any(|outer| outer == path) {
        return Err(
            Fault::at(0, "this file is inside itself").detail(format!("{} is being filled already.", quote(path)))
        );
    }
    let source = text(call, 0)?;
    let shown = call.inputs.locate(path).unwrap_or_else(|| path.to_owned());
    if shown.ends_with(".j2") {
        return fill_jinja(call, &shown);
    }
    let inside = call.templates.iter().cloned().chain([path.to_owned()]).collect();
    match call.inputs.templates {
        Some(templates) => fill(call, &templates.parsed(&shown, source), inside),
        None => fill(call, &Parsed::of(&shown, source), inside),
    }
}

/// A template in Jinja, by its path in the project.
fn fill_jinja(call: &Call<'_>, path: &str) -> Result<Value, Fault> {
    let variables = call.value(1);
    if variables.as_entries().is_none() {
        return Err(Fault::at(1, "a map or object is required"));
    }
    let (found, base) = (call.inputs.templates, call.inputs.base);
    let filled = match found {
        Some(templates) => templates.jinja.get_or_init(|| Jinja::of(call.inputs.files)).fill(path, base, variables),
        None => Jinja::of(call.inputs.files).fill(path, base, variables),
    };
    match filled {
        Ok(value) => Ok(value.mark(variables.marks())),
        Err(Wrong { place, message, line }) => {
            // What the engine says may quote a value; where it is, is no secret.
            let message =
                if variables.is_secret() { "what is wrong may hold a secret, and is not said" } else { &message };
            let line = if line.is_empty() { line } else { format!("\n  | {line}") };
            Err(Fault::new("the template has an error").detail(format!("{place}: {message}{line}")).safe())
        }
    }
}

/// A template of the language's own, parsed.
#[derive(Debug)]
struct Parsed {
    sources: SourceMap,
    template: Template,
    errors: Diagnostics,
}

impl Parsed {
    fn of(name: &str, source: &str) -> Parsed {
        let mut sources = SourceMap::new();
        let id = sources.add(name, source);
        let (template, errors) = parse_template(id, source);
        Parsed { sources, template, errors }
    }
}

/// The template files of one evaluation, each parsed once.
#[derive(Debug, Default)]
pub struct Templates {
    parsed: RefCell<HashMap<Box<str>, Rc<Parsed>>>,
    jinja: OnceCell<Jinja>,
}

impl Templates {
    fn parsed(&self, path: &str, source: &str) -> Rc<Parsed> {
        if let Some(found) = self.parsed.borrow().get(path) {
            return Rc::clone(found);
        }
        let parsed = Rc::new(Parsed::of(path, source));
        self.parsed.borrow_mut().insert(path.into(), Rc::clone(&parsed));
        parsed
    }
}

fn template_string(call: &Call<'_>) -> Result<Value, Fault> {
    let value = fill(call, &Parsed::of("the template", call.text(0)), call.templates.to_vec())?;
    convert(&value, &Type::String).map_err(|error| Fault::at(0, error.to_string()).safe())
}

fn fill(call: &Call<'_>, parsed: &Parsed, templates: Vec<String>) -> Result<Value, Fault> {
    let variables = call.value(1);
    if variables.as_entries().is_none() {
        return Err(Fault::at(1, "a map or object is required"));
    }
    let Parsed { sources, template, errors } = parsed;
    if errors.has_errors() {
        return Err(refuse(sources, errors));
    }
    let scope = Variables { values: variables, outer: call.scope };
    let mut evaluator = Evaluator::within(&scope, templates);
    match evaluator.template(template) {
        Ok(value) => Ok(value.mark(variables.marks())),
        Err(_) => Err(refuse(sources, &evaluator.into_diagnostics())),
    }
}

/// The errors of a template, each with its place and line in the template: the call is somewhere else. A template that is
/// a secret itself is a marked argument, of which nothing is said at all.
fn refuse(sources: &SourceMap, errors: &Diagnostics) -> Fault {
    let one = |error: &Diagnostic| {
        let place = error.span.map(|span| format!("{}: ", sources.locate(span))).unwrap_or_default();
        let label = if error.label.is_empty() { String::new() } else { format!(": {}", error.label) };
        let line = error.span.map(|span| excerpt(sources, span)).unwrap_or_default();
        let more: String = line
            .lines()
            .chain(error.detail.lines())
            .chain(error.help.iter().map(String::as_str))
            .map(|line| format!("\n  {line}"))
            .collect();
        format!("{place}{}{label}{more}", error.summary)
    };
    let lines: Vec<String> = errors.iter().map(one).collect();
    let count = if lines.len() == 1 { "an error".to_owned() } else { format!("{} errors", lines.len()) };
    Fault::new(format!("the template has {count}")).detail(lines.join("\n")).safe()
}

/// The line in which a span begins, and below it what the span covers there. Empty for a line too long to look at.
fn excerpt(sources: &SourceMap, span: Span) -> String {
    let Some(source) = sources.get(span.source) else { return String::new() };
    let position = source.position(span.start);
    let line = source.line(position.line).trim_end();
    let column = position.column.saturating_sub(1) as usize;
    if line.chars().count() > LONGEST_EXCERPT || column > line.chars().count() {
        return String::new();
    }
    // Tabs stay tabs, so that the marks stand below what they mean.
    let before: String = line.chars().take(column).map(|c| if c == '\t' { c } else { ' ' }).collect();
    let covered = sources.text(span).lines().next().map_or(0, |text| text.trim_end().chars().count());
    format!("| {line}\n| {before}{}", "^".repeat(covered.max(1)))
}

/// In characters.
const LONGEST_EXCERPT: usize = 160;

/// What names mean inside a template: the variables given to it, and nothing else.
struct Variables<'a> {
    values: &'a Value,
    /// Where the template is filled.
    outer: &'a dyn Scope,
}

impl Scope for Variables<'_> {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        if let Some(value) = self.values.get(root.name) {
            return Ok(Resolved { value: value.clone(), used: 0 });
        }
        let names: Vec<&Arc<str>> = self.values.as_entries().into_iter().flat_map(|entries| entries.keys()).collect();
        let error = Diagnostic::error(format!("no variable {}", quote(root.name)))
            .at(root.span)
            .label("the template was not given a variable of this name");
        Err(match nearest(root.name, names.iter().map(|name| &***name)) {
            Some(near) => error.help(format!("Did you mean {}?", quote(near))),
            None => error,
        })
    }

    fn inputs(&self) -> Inputs<'_> {
        self.outer.inputs()
    }

    fn ask_provider(&self, provider: &ProviderAddress, function: &str, arguments: &[Value]) -> Option<FunctionAnswer> {
        self.outer.ask_provider(provider, function, arguments)
    }
}
