//! What names mean in a role.

use std::sync::Arc;

use andon_schema::{FunctionAnswer, ProviderAddress};
use andon_text::{Diagnostic, Span};
use andon_value::Value;

use super::catalog::Evaluation;
use crate::eval::{Inputs, Name, Resolved, Scope, Step};
use crate::reference::{Reference, StaticStep};
use crate::shape::suggest;

/// A place in a role of a lineage.
pub(super) struct At<'e, 'a> {
    pub evaluation: &'e Evaluation<'a>,
    /// Which role of the lineage.
    pub role: usize,
    /// The key and value of the instance, in a block with `for_each`.
    pub each: Option<(Value, Value)>,
}

impl Scope for At<'_, '_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let step = steps.first().and_then(name_of);
        let one = |value: Value| Ok(Resolved { value, used: 1 });
        match (&**root.name, step) {
            ("fact", _) => Ok(Resolved { value: self.evaluation.facts.clone(), used: 0 }),
            ("param", Some((name, span))) => one(self.evaluation.param(self.role, &name, span)?),
            ("local", Some((name, span))) => one(self.evaluation.local(self.role, &name, span)?),
            ("each", Some((name, span))) => one(self.each(&name, span)?),
            ("path", Some((name, _))) if matches!(&*name, "module" | "root") => one(Value::from(".")),
            (kind, Some((name, span))) if self.evaluation.schemas.host.contains_key(kind) => {
                one(self.evaluation.resource(self.role, kind, &name, span)?)
            }
            (kind, None) if self.evaluation.schemas.host.contains_key(kind) => {
                Err(incomplete(root, &format!("{kind}.NAME or {kind}[\"NAME\"]")))
            }
            ("param" | "local" | "each" | "path", _) => Err(incomplete(root, &format!("{}.NAME", root.name))),
            _ => Err(self.unknown(root)),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        let base = self.evaluation.lineage.get(self.role).map_or("", |role| &*role.directory);
        Inputs { templates: Some(&self.evaluation.templates), ..Inputs::of_files(&self.evaluation.files, base, "") }
    }

    fn ask_provider(&self, _: &ProviderAddress, _: &str, arguments: &[Value]) -> Option<FunctionAnswer> {
        // A role has no providers: the only function that somebody is asked for is `secret`.
        self.evaluation.secret(arguments.first()?)
    }
}

impl At<'_, '_> {
    /// What is wrong with the first steps of a reference as it is written.
    pub fn undeclared(&self, reference: &Reference<'_>) -> Option<Diagnostic> {
        let first = reference.steps.first().and_then(|step| match step {
            StaticStep::Attribute(name, span) => Some(Step::Attribute((*name).clone(), *span)),
            StaticStep::Key(key, span) => Some(Step::Key(Value::string(key.clone()), *span)),
            _ => None,
        });
        let steps: Vec<Step> = first.into_iter().collect();
        self.resolve(Name { name: reference.root, span: reference.root_span }, &steps).err()
    }

    fn each(&self, name: &str, span: Span) -> Result<Value, Diagnostic> {
        match (&self.each, name) {
            (Some((key, _)), "key") => Ok(key.clone()),
            (Some((_, value)), "value") => Ok(value.clone()),
            (Some(_), _) => Err(Diagnostic::error(format!("there is no \"each.{name}\""))
                .at(span)
                .help("There are each.key and each.value.")),
            (None, _) => Err(no_each(span)),
        }
    }

    fn unknown(&self, root: Name<'_>) -> Diagnostic {
        let diagnostic = Diagnostic::error(format!("\"{}\" means nothing here", root.name)).at(root.span);
        let kinds = self.evaluation.schemas.host.keys().map(String::as_str);
        let diagnostic = suggest(diagnostic, root.name, ["param", "fact", "local", "each"].into_iter().chain(kinds));
        if &**root.name == "var" {
            return diagnostic.help("A role has parameters, not variables: write param.NAME.");
        }
        diagnostic.help("A role may read param.NAME, local.NAME, fact.NAME, each.key, and other host resources.")
    }
}

/// `each` outside of a block with `for_each`.
pub(crate) fn no_each(span: Span) -> Diagnostic {
    Diagnostic::error("\"each\" is only there in a block with \"for_each\"")
        .at(span)
        .help("Add for_each to this block, or take each out.")
}

fn incomplete(root: Name<'_>, form: &str) -> Diagnostic {
    Diagnostic::error(format!("\"{}\" alone is no value", root.name)).at(root.span).help(format!("Write {form}."))
}

/// The name that a step gives.
fn name_of(step: &Step) -> Option<(Arc<str>, Span)> {
    match step {
        Step::Attribute(name, span) => Some((name.clone(), *span)),
        Step::Key(key, span) => Some((key.as_str()?.clone(), *span)),
    }
}
