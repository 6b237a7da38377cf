//! What is the same, what differs, and which marks go where.

use std::sync::Arc;

use andon_lang::definitions::IgnoreChanges;
use andon_schema::{Block, Nesting};
use andon_value::{Kind, Marks, Value};

/// Whether two values are the same, whatever their marks. Nulls are, whatever their types; unknown is the same as
/// nothing.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one.kind(), other.kind()) {
        (Kind::Null(_), Kind::Null(_)) => true,
        (Kind::Unknown(..), _) | (_, Kind::Unknown(..)) => false,
        (Kind::List(_, one), Kind::List(_, other)) | (Kind::Tuple(one), Kind::Tuple(other)) => {
            Arc::ptr_eq(one, other) && one.iter().all(Value::is_wholly_known)
                || one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| same(one, other))
        }
        (Kind::Map(_, one), Kind::Map(_, other)) | (Kind::Object(one), Kind::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other.iter()).all(|((a, one), (b, other))| a == b && same(one, other))
        }
        (Kind::Set(_, one), Kind::Set(_, other)) => {
            // Marks take part in the order of a set's elements.
            let bare = |elements: &std::collections::BTreeSet<Value>| {
                let mut bare: Vec<Value> = elements.iter().map(|element| element.unmark_deep().0).collect();
                bare.sort();
                bare
            };
            one.len() == other.len() && bare(one).iter().zip(bare(other).iter()).all(|(one, other)| same(one, other))
        }
        (one, other) => one == other,
    }
}

/// Whether all that is known of `planned` is so in `found` too, as far as that is known: whether what was shown to
/// the user still holds. The first attribute in which it does not, else.
pub(crate) fn contradiction(planned: &Value, found: &Value) -> Option<Arc<str>> {
    let (Some(planned), Some(found)) = (planned.as_entries(), found.as_entries()) else { return None };
    let differs = planned.iter().find(|(name, value)| found.get(*name).is_some_and(|found| !agrees(value, found)));
    differs.map(|(name, _)| Arc::clone(name))
}

fn agrees(planned: &Value, found: &Value) -> bool {
    match (planned.kind(), found.kind()) {
        (Kind::Unknown(..), _) | (_, Kind::Unknown(..)) => true,
        (Kind::List(_, one), Kind::List(_, other)) | (Kind::Tuple(one), Kind::Tuple(other)) => {
            one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| agrees(one, other))
        }
        (Kind::Map(_, one), Kind::Map(_, other)) | (Kind::Object(one), Kind::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other.iter()).all(|((a, one), (b, other))| a == b && agrees(one, other))
        }
        _ => same(planned, found) || !planned.is_wholly_known() || !found.is_wholly_known(),
    }
}

/// The value with the marks that `from` has in the same places. Where the two have not the same shape, what is marked
/// inside `from` marks the whole.
pub(crate) fn with_marks_of(value: &Value, from: &Value) -> Value {
    if from.marks_within() == Marks::NONE {
        return value.clone();
    }
    let marks = from.marks();
    let marked = match (value.kind(), from.kind()) {
        (Kind::Object(entries), Kind::Object(others) | Kind::Map(_, others)) => {
            Value::new(Kind::Object(Arc::new(entries_with_marks(entries, others))))
        }
        (Kind::Map(ty, entries), Kind::Object(others) | Kind::Map(_, others)) => {
            Value::new(Kind::Map(ty.clone(), Arc::new(entries_with_marks(entries, others))))
        }
        (Kind::List(ty, elements), Kind::List(_, others) | Kind::Tuple(others)) if elements.len() == others.len() => {
            Value::new(Kind::List(ty.clone(), elements_with_marks(elements, others)))
        }
        (Kind::Tuple(elements), Kind::List(_, others) | Kind::Tuple(others)) if elements.len() == others.len() => {
            Value::new(Kind::Tuple(elements_with_marks(elements, others)))
        }
        _ => return value.clone().mark(from.marks_within()),
    };
    marked.mark(value.marks()).mark(marks)
}

type Entries = std::collections::BTreeMap<Arc<str>, Value>;

fn entries_with_marks(entries: &Entries, others: &Entries) -> Entries {
    let marked = entries.iter().map(|(name, value)| {
        let value = others.get(name).map_or_else(|| value.clone(), |other| with_marks_of(value, other));
        (Arc::clone(name), value)
    });
    marked.collect()
}

fn elements_with_marks(elements: &[Value], others: &[Value]) -> Arc<[Value]> {
    elements.iter().zip(others).map(|(value, other)| with_marks_of(value, other)).collect()
}

/// The value with everything marked that its schema calls a secret.
pub(crate) fn with_marks_of_schema(value: &Value, schema: &Block) -> Value {
    let has_secret = |schema: &Block| schema.attributes.values().any(|attribute| attribute.sensitive);
    if !has_secret(schema) && schema.blocks.is_empty() {
        return value.clone();
    }
    let Kind::Object(entries) = value.kind() else { return value.clone() };
    let marked = entries.iter().map(|(name, value)| {
        let marked = match (schema.attributes.get(&**name), schema.blocks.get(&**name)) {
            (Some(attribute), _) if attribute.sensitive && !value.is_null() => value.clone().mark(Marks::SENSITIVE),
            (_, Some(nested)) => nested_with_marks(value, &nested.block, nested.nesting),
            _ => value.clone(),
        };
        (Arc::clone(name), marked)
    });
    Value::new(Kind::Object(Arc::new(marked.collect()))).mark(value.marks())
}

fn nested_with_marks(value: &Value, schema: &Block, nesting: Nesting) -> Value {
    let inner = |value: &Value| with_marks_of_schema(value, schema);
    let marked = match (nesting, value.kind()) {
        (Nesting::Single | Nesting::Group, _) => return inner(value),
        (_, Kind::List(ty, elements)) => Kind::List(ty.clone(), elements.iter().map(inner).collect()),
        (_, Kind::Tuple(elements)) => Kind::Tuple(elements.iter().map(inner).collect()),
        (_, Kind::Set(ty, elements)) => Kind::Set(ty.clone(), Arc::new(elements.iter().map(inner).collect())),
        (_, Kind::Map(ty, entries)) => {
            let entries = entries.iter().map(|(name, value)| (Arc::clone(name), inner(value)));
            Kind::Map(ty.clone(), Arc::new(entries.collect()))
        }
        (_, Kind::Object(entries)) => {
            let entries = entries.iter().map(|(name, value)| (Arc::clone(name), inner(value)));
            Kind::Object(Arc::new(entries.collect()))
        }
        _ => return value.clone(),
    };
    Value::new(marked).mark(value.marks())
}

/// The configuration in which what `ignore_changes` names is as the object has it, and the attributes in which the
/// two differed.
pub(crate) fn ignoring(config: &Value, prior: &Value, ignored: &IgnoreChanges, schema: &Block) -> (Value, Vec<String>) {
    let Kind::Object(entries) = config.kind() else { return (config.clone(), Vec::new()) };
    let names = |name: &str| match ignored {
        IgnoreChanges::None => false,
        IgnoreChanges::All => {
            schema.attributes.get(name).is_none_or(|attribute| attribute.required || attribute.optional)
        }
        IgnoreChanges::Attributes(paths) => paths.iter().any(|path| &*path.name.name == name),
    };
    if *ignored == IgnoreChanges::None {
        return (config.clone(), Vec::new());
    }
    let mut differing = Vec::new();
    let kept = entries.iter().map(|(name, value)| match prior.get(name).filter(|_| names(name)) {
        Some(old) => {
            let computed = schema.attributes.get(&**name).is_some_and(|attribute| attribute.computed);
            let left_out = computed && value.is_null();
            if !left_out && !same(value, old) {
                differing.push(name.to_string());
            }
            (Arc::clone(name), old.clone())
        }
        None => (Arc::clone(name), value.clone()),
    });
    let kept = Value::new(Kind::Object(Arc::new(kept.collect()))).mark(config.marks());
    (kept, differing)
}

/// What is known of an object, or of data, that only an apply makes or reads: its configuration, and unknown where
/// the provider decides.
pub(crate) fn foreseen(config: &Value, schema: &Block) -> Value {
    let Kind::Object(entries) = config.kind() else { return config.clone() };
    let foreseen = entries.iter().map(|(name, value)| {
        let computed = schema.attributes.get(&**name).filter(|attribute| attribute.computed && value.is_null());
        let ty = computed.map(|attribute| attribute.ty.without_optional());
        (Arc::clone(name), ty.map_or_else(|| value.clone(), Value::unknown))
    });
    Value::new(Kind::Object(Arc::new(foreseen.collect()))).mark(config.marks())
}
