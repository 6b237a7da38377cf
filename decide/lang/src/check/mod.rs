//! What can be said of a project without asking the world anything: names, shapes, types, circles.
//!
//! Expressions are evaluated with everything that a provider or a server will tell as unknown values of known types,
//! so that what cannot work whatever they tell is found before anything is touched.

mod body;
mod circles;
mod deep;
mod environment;
mod history;
mod host;
mod place;
mod providers;
mod provisioner;
mod remote_state;
mod resource;
mod scope;
mod stack;
mod test;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind};
use andon_schema::host::fact_types;
use andon_schema::{FunctionAnswer, FunctionCall, ProviderAddress, Schemas};
use andon_text::{Diagnostic, Diagnostics, Severity, Span};
use andon_value::Value;

use crate::definitions::{Project, Role};
use crate::image::check_image;
use crate::lint::kept;
use crate::literal;
use crate::load::in_order;
use crate::role::{Evaluation, Roles, SecretsAtHand, Server, lineage};

pub use body::{EvaluatedBody, place_in};

/// Every complaint about a project's definitions, in the order of files and places, beside those of loading it.
pub fn check(project: &Project, schemas: &Schemas) -> Diagnostics {
    check_and_ask(project, schemas, &Answers::new()).diagnostics
}

/// What providers' functions gave so far.
pub type Answers = BTreeMap<FunctionCall, FunctionAnswer>;

/// What a check found, and what the providers of stacks may have more to say of.
#[derive(Debug, Default)]
pub struct Found {
    /// Every complaint.
    pub diagnostics: Diagnostics,
    /// The bodies that fit their schemas.
    pub bodies: Vec<EvaluatedBody>,
    /// Calls of providers' functions without an answer: with it, there may be more to find.
    pub calls: BTreeSet<FunctionCall>,
    /// Providers whose functions are called and that are not at hand, each with the first such place.
    pub absent: BTreeMap<ProviderAddress, Span>,
}

impl Found {
    fn extend(&mut self, more: Found) {
        self.diagnostics.extend(more.diagnostics);
        self.bodies.extend(more.bodies);
        self.calls.extend(more.calls);
        for (provider, place) in more.absent {
            self.absent.entry(provider).or_insert(place);
        }
    }
}

/// The same, and what the providers of stacks may have more to say of.
pub fn check_and_ask(project: &Project, schemas: &Schemas, answers: &Answers) -> Found {
    let mut found = Found::default();
    let mut out = Diagnostics::new();
    environment::check(project, &mut out);
    for stack in project.stacks.values() {
        found.extend(stack::check((project, schemas, answers), stack));
    }
    circles::check(project, &mut out);
    for role in project.roles.values() {
        roles(project, role, schemas, &mut out);
    }
    for image in project.images.values() {
        check_image(project, image, &mut out);
    }
    crate::image_output::check_places(project, &mut out);
    crate::hosts::check_hosts(project, &mut out);
    for test in &project.tests {
        test::check(project, test, schemas, &mut out);
    }
    // Where a file has syntax errors, what seems to be missing may be in the part not understood.
    out.extend(std::mem::take(&mut found.diagnostics));
    let in_order = in_order(out, &project.sources).into_iter();
    found.diagnostics = kept(project, together(in_order.filter(|diagnostic| !is_noise(project, diagnostic))));
    found
}

/// What nothing defines is said once, with every place that names it.
fn together(all: impl Iterator<Item = Diagnostic>) -> Diagnostics {
    let mut said: Vec<Diagnostic> = Vec::new();
    let mut first: BTreeMap<(Severity, String), usize> = BTreeMap::new();
    let said_as = |diagnostic: &Diagnostic| (diagnostic.severity, diagnostic.summary.clone());
    for diagnostic in all {
        let earlier = match diagnostic.name {
            Some(Diagnostic::UNDECLARED) => first.get(&said_as(&diagnostic)).and_then(|at| said.get_mut(*at)),
            _ => None,
        };
        match (earlier, diagnostic.span) {
            (Some(earlier), Some(span)) => earlier.related.push((span, "and here".to_owned())),
            _ => {
                if diagnostic.name == Some(Diagnostic::UNDECLARED) {
                    first.insert(said_as(&diagnostic), said.len());
                }
                said.push(diagnostic);
            }
        }
    }
    said.into_iter().collect()
}

/// An error in a part that may turn out not to be needed: a reason to warn, and none to refuse.
pub(super) fn doubt(error: Diagnostic) -> Diagnostic {
    // What is not declared keeps its name: it is said once, and not where a file was not understood.
    let name = error.name.or(Some(crate::lint::name::POSSIBLE_ERROR));
    let diagnostic = Diagnostic { severity: Severity::Warning, name, ..error };
    diagnostic.help("This part is needed only for some values. Where it is, this is an error.")
}

fn roles(project: &Project, role: &Arc<Role>, schemas: &Schemas, out: &mut Diagnostics) {
    for param in role.params.values().filter(|param| param.default.is_some()) {
        out.extend(param.value(None, "parameter").err().into_iter().flatten());
    }
    // Once with every parameter unknown, so that nothing is passed over; once with the defaults that there are.
    let facts = Value::unknown(fact_types());
    for given in [Value::UNKNOWN, required_params(project, role)] {
        let server = Server { params: &given, facts: &facts, secrets: SecretsAtHand::Unknown };
        match Evaluation::new(Roles::of(project, schemas), &role.name.name, server) {
            Ok(evaluation) => {
                out.extend(evaluation.undeclared());
                out.extend(evaluation.finish(true).err().into_iter().flatten());
            }
            Err(errors) => out.extend(errors),
        }
    }
}

/// An unknown value for each parameter that has no default.
fn required_params(project: &Project, role: &Arc<Role>) -> Value {
    let lineage = lineage(&project.roles, role).unwrap_or_default();
    let params = lineage.iter().flat_map(|role| role.params.values());
    // Where a child gives a default to what its parent requires, an unknown value serves as well.
    let required = params.filter(|param| param.default.is_none());
    Value::object(required.map(|param| (param.name.name.clone(), Value::unknown(param.ty.without_optional()))))
}

fn is_noise(project: &Project, diagnostic: &Diagnostic) -> bool {
    let Some(span) = diagnostic.span else { return false };
    let inside = |other: &Span| other.source == span.source && other.start <= span.start && span.end <= other.end;
    if project.unclear.iter().any(inside) {
        return true;
    }
    diagnostic.name == Some(Diagnostic::UNDECLARED) && !project.unparsed.is_empty()
}

/// The place of an item's value in an expression that writes an object out.
pub(crate) fn item_span(expr: &Expr, name: &str) -> Option<Span> {
    let items = match &expr.kind {
        ExprKind::Object(items) => items,
        ExprKind::Parentheses(inner) => return item_span(inner, name),
        _ => return None,
    };
    let named = |key: &Expr| match &key.kind {
        ExprKind::Variable(word) => &**word == name,
        _ => literal::string(key).as_deref() == Some(name),
    };
    items.iter().find(|item| named(&item.key)).map(|item| item.value.span)
}

/// The place of an item's key in an expression that writes an object out.
pub(crate) fn key_span(expr: &Expr, name: &str) -> Option<Span> {
    let value = item_span(expr, name)?;
    match &expr.kind {
        ExprKind::Object(items) => items.iter().find(|item| item.value.span == value).map(|item| item.key.span),
        ExprKind::Parentheses(inner) => key_span(inner, name),
        _ => None,
    }
}
