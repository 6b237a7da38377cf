//! What of a value is a secret. A provider is told and tells values without marks, so that they are put back by place.

use std::sync::Arc;

use andon_schema::{Attribute, Block, Nesting};
use andon_text::deeper;
use andon_value::{Kind, Marks, Path, PathStep, Value};

use super::shape::{Member, Shape, map_members, map_objects};

/// A provider's value with the marks that the configuration has in the same places, and with everything marked that the
/// schema calls a secret.
pub fn marked(schema: &Block, value: &Value, config: &Value) -> Value {
    with_marks_of_schema(&with_marks_of(value, config), schema)
}

fn without_ephemeral(value: &Value) -> Value {
    if !value.marks_within().ephemeral {
        return value.clone();
    }
    value.map_deep(&mut |value| {
        let (value, marks) = value.unmark();
        value.mark(Marks { ephemeral: false, ..marks })
    })
}

/// The value with the marks that `from` has in the same places. Where the two have not the same shape, what is marked
/// inside `from` marks the whole. An ephemeral value may only stand where nothing is stored, so that this mark is not put
/// back.
pub(crate) fn with_marks_of(value: &Value, from: &Value) -> Value {
    with_marks_within(value, &without_ephemeral(from))
}

/// Whether what is stored of an object is marked as what it is to be is, so that no secret is stored as something else,
/// and nothing as a secret that is none any more.
pub(crate) fn marks_agree(schema: Option<&Block>, stored: &Value, wanted: &Value) -> bool {
    let paths = |value: &Value| schema.map(|schema| sensitive_paths(schema, value));
    stored.marks_within() == wanted.marks_within()
        && with_marks_of(stored, wanted) == *stored
        && (!stored.marks_within().sensitive || paths(stored) == paths(wanted))
}

fn with_marks_within(value: &Value, from: &Value) -> Value {
    if from.marks_within() == Marks::NONE {
        return value.clone();
    }
    deeper(|| with_marks_here(value, from))
}

fn with_marks_here(value: &Value, from: &Value) -> Value {
    let elements = |elements: &[Value], others: &[Value]| -> Arc<[Value]> {
        elements.iter().zip(others).map(|(value, other)| with_marks_within(value, other)).collect()
    };
    let marked = match (value.kind(), from.kind()) {
        (Kind::Object(entries) | Kind::Map(_, entries), Kind::Object(others) | Kind::Map(_, others)) => {
            let entries = entries.iter().map(|(name, value)| {
                let value = others.get(name).map_or_else(|| value.clone(), |other| with_marks_within(value, other));
                (name.clone(), value)
            });
            let entries = Arc::new(entries.collect());
            match value.kind() {
                Kind::Map(ty, _) => Kind::Map(ty.clone(), entries),
                _ => Kind::Object(entries),
            }
        }
        (Kind::List(ty, own), Kind::List(_, others) | Kind::Tuple(others)) if own.len() == others.len() => {
            Kind::List(ty.clone(), elements(own, others))
        }
        (Kind::Tuple(own), Kind::List(_, others) | Kind::Tuple(others)) if own.len() == others.len() => {
            Kind::Tuple(elements(own, others))
        }
        _ => return value.clone().mark(from.marks_within()),
    };
    Value::new(marked).mark(value.marks()).mark(from.marks())
}

/// The value with everything marked that its schema calls a secret, be it null or not.
pub(crate) fn with_marks_of_schema(value: &Value, schema: &Block) -> Value {
    secrets_marked(Shape::from(schema), value)
}

fn secrets_marked(shape: Shape, value: &Value) -> Value {
    if !shape.any(is_sensitive) {
        return value.clone();
    }
    map_members(shape, value, |_, member, value| match member {
        Member::Attribute(attribute) => {
            let value = match attribute.nested.as_deref() {
                Some(nested) => map_objects(nested.nesting, value, |value| secrets_marked(Shape::from(nested), value)),
                None => value.clone(),
            };
            value.mark(Marks { sensitive: attribute.sensitive, ..Marks::NONE })
        }
        Member::Block(nested) => {
            map_objects(nested.nesting, value, |value| secrets_marked(Shape::from(&nested.block), value))
        }
    })
}

fn is_sensitive(attribute: &Attribute) -> bool {
    attribute.sensitive
}

/// The paths of all secrets of an object, sorted: of its marked parts, and of all that the schema calls one, null or
/// not. The elements of a set have no paths; a secret in one makes one of the set.
pub fn sensitive_paths(schema: &Block, value: &Value) -> Vec<Path> {
    let mut found = Vec::new();
    collect(Inside::Object(Shape::from(schema)), value, &mut Path::new(), &mut found);
    found.sort();
    found.dedup();
    found
}

/// What the schema says of what is inside a value.
#[derive(Clone, Copy)]
enum Inside<'s> {
    Nothing,
    Object(Shape<'s>),
    /// A collection of such objects.
    Objects(Shape<'s>),
}

impl<'s> Inside<'s> {
    fn of(nesting: Nesting, shape: Shape<'s>) -> Inside<'s> {
        match nesting {
            Nesting::Single | Nesting::Group => Inside::Object(shape),
            Nesting::List | Nesting::Set | Nesting::Map => Inside::Objects(shape),
        }
    }
}

fn collect(inside: Inside, value: &Value, path: &mut Path, found: &mut Vec<Path>) {
    if value.marks().sensitive {
        found.push(path.clone());
    }
    if let Kind::Set(_, elements) = value.kind() {
        let secret = matches!(inside, Inside::Objects(shape) if shape.any(is_sensitive)) && !elements.is_empty();
        if secret || value.is_sensitive() {
            found.push(path.clone());
        }
        return;
    }
    for (step, child) in value.steps() {
        let (secret, within) = match (inside, &step) {
            (Inside::Object(shape), PathStep::Attribute(name)) => match shape.member(name) {
                Some(Member::Attribute(attribute)) => {
                    let nested = attribute.nested.as_deref();
                    let within = nested.map(|nested| Inside::of(nested.nesting, Shape::from(nested)));
                    (attribute.sensitive, within.unwrap_or(Inside::Nothing))
                }
                Some(Member::Block(nested)) => (false, Inside::of(nested.nesting, Shape::from(&nested.block))),
                None => (false, Inside::Nothing),
            },
            (Inside::Objects(shape), _) => (false, Inside::Object(shape)),
            _ => (false, Inside::Nothing),
        };
        path.push(step);
        if secret {
            found.push(path.clone());
        }
        deeper(|| collect(within, child, path, found));
        path.pop();
    }
}
