//! Type constraints (<https://developer.hashicorp.com/terraform/language/expressions/type-constraints>): from the
//! expression that writes one to a [`Type`], and the defaults that `optional(type, default)` gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind, Ident, ObjectItem};
use andon_text::{Diagnostic, Diagnostics, deeper, nearest};
use andon_value::{Type, convert};

use crate::FileSet;
use crate::eval::{Inputs, evaluate};
use crate::literal;
use crate::shape::{suggest, twice};
use crate::variable::Constants;

/// The defaults of the optional attributes in a type constraint, by where they are in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    /// Of the attributes of an object.
    pub(crate) values: BTreeMap<Arc<str>, Expr>,
    /// Those further inside.
    pub(crate) inside: BTreeMap<Inside, Defaults>,
}

/// One step into a type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Inside {
    /// Every element of a list, set or map.
    Element,
    /// One element of a tuple.
    Index(usize),
    /// An attribute of an object.
    Attribute(Arc<str>),
}

impl Defaults {
    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.inside.is_empty()
    }

    /// The default of an attribute of the object.
    pub fn of(&self, attribute: &str) -> Option<&Expr> {
        self.values.get(attribute)
    }

    /// The defaults inside the elements of a list, set or map.
    pub fn in_element(&self) -> Option<&Defaults> {
        self.inside.get(&Inside::Element)
    }

    /// The defaults inside an element of a tuple.
    pub fn in_index(&self, index: usize) -> Option<&Defaults> {
        self.inside.get(&Inside::Index(index))
    }

    /// The defaults inside an attribute of the object.
    pub fn in_attribute(&self, attribute: &str) -> Option<&Defaults> {
        self.inside.get(&Inside::Attribute(attribute.into()))
    }

    fn put(&mut self, step: Inside, defaults: Defaults) {
        if !defaults.is_empty() {
            self.inside.insert(step, defaults);
        }
    }
}

/// Reads a type constraint. What is wrong in it is any type, after a complaint.
pub(crate) fn parse(expr: &Expr, out: &mut Diagnostics) -> (Type, Defaults) {
    let mut defaults = Defaults::default();
    let ty = match &expr.kind {
        // Alone, a bare collection is one of anything, as in older versions of the language.
        ExprKind::Variable(word) if &**word == "list" => Type::list(Type::Dynamic),
        ExprKind::Variable(word) if &**word == "map" => Type::map(Type::Dynamic),
        _ => ty(expr, &mut defaults, out),
    };
    (ty, defaults)
}

const WORDS: [&str; 9] = ["any", "bool", "number", "string", "list", "set", "map", "object", "tuple"];

fn ty(expr: &Expr, defaults: &mut Defaults, out: &mut Diagnostics) -> Type {
    match &expr.kind {
        ExprKind::Variable(word) => keyword(word, expr, out),
        // The quoted form is from older versions of the language.
        ExprKind::Template(_) => match literal::string(expr).as_deref() {
            Some(word @ ("string" | "list" | "map")) => {
                let diagnostic = Diagnostic::error("a type is written without quotes").at(expr.span);
                let inside = if word == "string" { "" } else { "(string)" };
                out.push(diagnostic.help(format!("Write it as: {word}{inside}")));
                if word == "string" { Type::String } else { Type::Dynamic }
            }
            _ => refuse(expr, out),
        },
        ExprKind::Call { name, arguments, .. } => deeper(|| call(expr, name, arguments, defaults, out)),
        ExprKind::Invalid => Type::Dynamic,
        _ => refuse(expr, out),
    }
}

fn keyword(word: &str, expr: &Expr, out: &mut Diagnostics) -> Type {
    match word {
        "any" => Type::Dynamic,
        "bool" => Type::Bool,
        "number" => Type::Number,
        "string" => Type::String,
        "list" | "set" | "map" | "object" | "tuple" => {
            let inside = match word {
                "object" => "({ name = string })",
                "tuple" => "([string])",
                _ => "(string)",
            };
            out.push(
                Diagnostic::error(format!("the type {word} must say what is in it"))
                    .at(expr.span)
                    .help(format!("Write it like: {word}{inside}")),
            );
            Type::Dynamic
        }
        _ => {
            let diagnostic = Diagnostic::error(format!("\"{word}\" is not a type")).at(expr.span);
            out.push(suggest(diagnostic, word, WORDS));
            Type::Dynamic
        }
    }
}

fn call(expr: &Expr, name: &Ident, arguments: &[Expr], defaults: &mut Defaults, out: &mut Diagnostics) -> Type {
    match (&*name.name, arguments) {
        (word @ ("list" | "set" | "map"), [element]) => {
            let mut inside = Defaults::default();
            let element = ty(element, &mut inside, out);
            defaults.put(Inside::Element, inside);
            match word {
                "list" => Type::list(element),
                "set" => Type::set(element),
                _ => Type::map(element),
            }
        }
        ("tuple", [Expr { kind: ExprKind::Tuple(elements), .. }]) => {
            let element = |(index, element): (usize, &Expr)| {
                let mut inside = Defaults::default();
                let ty = ty(element, &mut inside, out);
                defaults.put(Inside::Index(index), inside);
                ty
            };
            Type::tuple(elements.iter().enumerate().map(element).collect::<Vec<_>>())
        }
        ("object", [Expr { kind: ExprKind::Object(items), .. }]) => object(items, defaults, out),
        ("optional", _) => {
            let diagnostic = Diagnostic::error("\"optional\" may stand only for the type of an object's attribute");
            out.push(diagnostic.at(expr.span));
            Type::Dynamic
        }
        (word @ ("list" | "set" | "map" | "tuple" | "object"), _) => {
            let example = match word {
                "tuple" => "tuple([string, number])".to_owned(),
                "object" => "object({ name = string })".to_owned(),
                word => format!("{word}(string)"),
            };
            let diagnostic = Diagnostic::error(format!("the type {word} must say what is in it")).at(expr.span);
            out.push(diagnostic.help(format!("Write it like: {example}")));
            Type::Dynamic
        }
        (word, _) => {
            let diagnostic = Diagnostic::error(format!("\"{word}\" is not a type")).at(name.span);
            out.push(suggest(diagnostic, word, WORDS));
            Type::Dynamic
        }
    }
}

fn object(items: &[ObjectItem], defaults: &mut Defaults, out: &mut Diagnostics) -> Type {
    let mut attributes: BTreeMap<Arc<str>, (Type, andon_text::Span)> = BTreeMap::new();
    let mut optional = BTreeSet::new();
    for item in items {
        let name = match &item.key.kind {
            ExprKind::Variable(name) => Some(name.clone()),
            _ => None,
        };
        let Some(name) = name else {
            if item.key.kind != ExprKind::Invalid {
                let diagnostic = Diagnostic::error("the name of an attribute must be written out").at(item.key.span);
                out.push(diagnostic.help("Write a bare name, without quotes."));
            }
            continue;
        };
        if let Some((_, first)) = attributes.get(&name) {
            out.push(twice("attribute", &name, item.key.span, *first));
            continue;
        }
        let mut inside = Defaults::default();
        let ty = match &item.value.kind {
            ExprKind::Call { name: word, arguments, .. } if &*word.name == "optional" => {
                optional.insert(name.clone());
                attribute(&item.value, arguments, &name, defaults, &mut inside, out)
            }
            _ => ty(&item.value, &mut inside, out),
        };
        defaults.put(Inside::Attribute(name.clone()), inside);
        attributes.insert(name, (ty, item.key.span));
    }
    Type::object_with_optional(attributes.into_iter().map(|(name, (ty, _))| (name, ty)), optional)
}

/// `optional(type)` or `optional(type, default)`.
fn attribute(
    expr: &Expr,
    arguments: &[Expr],
    name: &Arc<str>,
    defaults: &mut Defaults,
    inside: &mut Defaults,
    out: &mut Diagnostics,
) -> Type {
    match arguments {
        [given] => ty(given, inside, out),
        [given, default] => {
            defaults.values.insert(name.clone(), default.clone());
            let ty = ty(given, inside, out);
            out.extend(unfit(default, &ty));
            ty
        }
        _ => {
            let diagnostic = Diagnostic::error("\"optional\" takes a type, and perhaps a default").at(expr.span);
            out.push(diagnostic.help("Write it like: optional(number, 80)"));
            Type::Dynamic
        }
    }
}

/// What is wrong with the default of an attribute of a type.
fn unfit(default: &Expr, ty: &Type) -> Diagnostics {
    if let Some(call) = literal::first_call(default) {
        let diagnostic = Diagnostic::error("a default must be written out").at(call);
        return diagnostic.label("a function cannot be called here").help("Write the value out.").into();
    }
    let files = FileSet::new();
    let value = match evaluate(default, &Constants(Inputs::of_files(&files, "", ""))) {
        Ok(value) => value,
        Err(errors) => return errors,
    };
    let error = Diagnostic::error("the default has the wrong type").at(default.span);
    convert(&value, ty).err().map(|problem| error.label(problem.to_string())).into_iter().collect()
}

fn refuse(expr: &Expr, out: &mut Diagnostics) -> Type {
    let word = match &expr.kind {
        ExprKind::Variable(name) => Some(name.clone()),
        _ => literal::string(expr),
    };
    let words = ["string", "number", "bool", "any", "list", "set", "map", "object", "tuple"];
    let meant = match word.as_deref() {
        Some("str" | "text") => Some("string"),
        Some("int" | "integer" | "float") => Some("number"),
        Some("boolean") => Some("bool"),
        Some("array") => Some("list(any)"),
        Some(word) => nearest(word, words),
        None => None,
    };
    let diagnostic = Diagnostic::error("this is not a type").at(expr.span);
    let diagnostic = match meant {
        Some(meant) => diagnostic.help(format!("Did you mean {meant}?")),
        None => diagnostic,
    };
    out.push(
        diagnostic.help("Types are written like: string, number, bool, any, list(string), object({ name = string })"),
    );
    Type::Dynamic
}
