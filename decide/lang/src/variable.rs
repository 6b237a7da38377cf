//! What a variable, or a role's parameter, makes of the value that is given for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::{FunctionAnswer, FunctionFault, ProviderAddress};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Kind, Marks, Type, Value, convert};

use crate::FileSet;
use crate::constraint::{Defaults, Inside};
use crate::definitions::Variable;
use crate::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};

/// A scope in which there is nothing to refer to.
pub(crate) struct Constants<'a>(pub Inputs<'a>);

impl Scope for Constants<'_> {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        Err(Diagnostic::error(format!("nothing can be referred to here, and \"{}\" is a reference", root.name))
            .at(root.span)
            .help("Write the value out; text goes in quotes."))
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

impl Variable {
    /// Whether what it is given must not be shown.
    pub fn is_secret(&self) -> bool {
        self.sensitive || self.ephemeral
    }

    /// The marks that its value has.
    pub fn marks(&self) -> Marks {
        Marks { sensitive: self.sensitive, ephemeral: self.ephemeral }
    }

    /// Whether text from a command line is its value as it is, rather than an expression.
    pub(crate) fn takes_text(&self) -> bool {
        !self.typed || matches!(self.ty, Type::String | Type::Number | Type::Bool)
    }

    /// The value that it has where `given` is given, or its default where nothing is: of its type, with the defaults
    /// of optional attributes filled in, and marked if it is a secret. `noun` is what messages call it: `variable`.
    /// The diagnostics have a place only where the definition is at fault.
    pub fn value(&self, given: Option<Value>, noun: &str) -> Result<Value, Diagnostics> {
        let name = &self.name.name;
        let given = given.filter(|value| self.nullable || !value.is_null());
        let (value, place) = match (given, &self.default) {
            (Some(value), _) => (value, None),
            (None, Some(default)) => (self.constant(default)?, Some(default.span)),
            (None, None) => {
                let diagnostic = Diagnostic::error(format!("{noun} \"{name}\" has no value"));
                return Err(diagnostic.help(format!("Give {name} a value, or a default where it is defined.")).into());
            }
        };
        let value = self.filled(&self.defaults, &value)?;
        // Marked before it is converted, so that no complaint shows it.
        let value = value.mark(self.marks());
        match convert(&value, &self.ty) {
            Ok(value) => Ok(value),
            Err(error) => {
                let diagnostic = Diagnostic::error(format!("{noun} \"{name}\" has a value of the wrong type"))
                    .label(error.to_string())
                    .help(format!("Its type is {}: give it a value of that type.", self.ty));
                Err(Diagnostic { span: place, ..diagnostic }.into())
            }
        }
    }

    fn constant(&self, expr: &andon_hcl::ast::Expr) -> Result<Value, Diagnostics> {
        let files = FileSet::new();
        evaluate(expr, &Constants(Inputs::of_files(&files, "", "")))
    }

    /// The value with the defaults of optional attributes where those are missing or null.
    fn filled(&self, defaults: &Defaults, value: &Value) -> Result<Value, Diagnostics> {
        if defaults.is_empty() {
            return Ok(value.clone());
        }
        let marks = value.marks();
        let inside = |step: Inside, value: &Value| match defaults.inside.get(&step) {
            Some(defaults) => self.filled(defaults, value),
            None => Ok(value.clone()),
        };
        let filled = match value.kind() {
            // With attributes named, the type is an object's.
            Kind::Object(entries) | Kind::Map(_, entries) if !defaults.inside.contains_key(&Inside::Element) => {
                let mut all: BTreeMap<Arc<str>, Value> = (**entries).clone();
                for (name, default) in &defaults.values {
                    if all.get(name).is_none_or(Value::is_null) {
                        all.insert(name.clone(), self.constant(default)?);
                    }
                }
                let all = all.into_iter().map(|(name, value)| {
                    let value = inside(Inside::Attribute(name.clone()), &value)?;
                    Ok((name, value))
                });
                Value::object(all.collect::<Result<Vec<_>, Diagnostics>>()?)
            }
            Kind::Object(entries) | Kind::Map(_, entries) => {
                let all = entries.iter().map(|(name, value)| Ok((name.clone(), inside(Inside::Element, value)?)));
                Value::object(all.collect::<Result<Vec<_>, Diagnostics>>()?)
            }
            Kind::List(..) | Kind::Tuple(_) | Kind::Set(..) => {
                let each = |(index, element): (usize, &Value)| match defaults.inside.contains_key(&Inside::Element) {
                    true => inside(Inside::Element, element),
                    false => inside(Inside::Index(index), element),
                };
                let elements = value.children().enumerate().map(each).collect::<Result<Vec<_>, Diagnostics>>()?;
                Value::tuple(elements)
            }
            _ => return Ok(value.clone()),
        };
        Ok(filled.mark(marks))
    }
}
