//! Templates: text with holes, from files or from strings.

use std::sync::Arc;

use andon_hcl::parse_template;
use andon_schema::{FunctionAnswer, ProviderAddress};
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span, nearest};
use andon_value::{Type, Value, convert, quote};

use super::files::text;
use super::{Fault, Function, row};
use crate::eval::{Call, Evaluator, Inputs, Name, Resolved, Scope, Step};
use crate::files::resolve;

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
    let templates = call.templates.iter().cloned().chain([path.to_owned()]).collect();
    let shown = resolve(call.inputs.base, path).unwrap_or_else(|| path.to_owned());
    fill(call, &shown, source, templates)
}

fn template_string(call: &Call<'_>) -> Result<Value, Fault> {
    let value = fill(call, "the template", call.text(0), call.templates.to_vec())?;
    convert(&value, &Type::String).map_err(|error| Fault::at(0, error.to_string()).safe())
}

fn fill(call: &Call<'_>, name: &str, source: &str, templates: Vec<String>) -> Result<Value, Fault> {
    let variables = call.value(1);
    if variables.as_entries().is_none() {
        return Err(Fault::at(1, "a map or object is required"));
    }
    let mut sources = SourceMap::new();
    let id = sources.add(name, source);
    let (template, errors) = parse_template(id, source);
    if errors.has_errors() {
        return Err(refuse(&sources, &errors));
    }
    let scope = Variables { values: variables, outer: call.scope };
    let mut evaluator = Evaluator::within(&scope, templates);
    match evaluator.template(&template) {
        Ok(value) => Ok(value.mark(variables.marks())),
        Err(_) => Err(refuse(&sources, &evaluator.into_diagnostics())),
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
