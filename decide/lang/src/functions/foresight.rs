//! What is known of the result of a function on collections while an argument is unknown: its type, where the types of
//! the arguments tell it, and how many elements it has.

use andon_value::{Bound, Kind, Type, Value, unify};

use crate::eval::Call;

/// A list, set or map of a type, with bounds to its length; a tuple or object with unknown parts. Nothing where the
/// type is not known.
fn open(ty: Type, least: usize, most: Option<usize>) -> Value {
    match &ty {
        Type::Dynamic => Value::UNKNOWN,
        Type::Tuple(types) => Value::tuple(types.iter().cloned().map(Value::unknown)),
        _ => Value::unknown(ty).with_length(least, most),
    }
}

/// As the first argument: of its type and length.
pub(super) fn as_long(call: &Call<'_>) -> Value {
    let (least, most) = call.value(0).length_bounds();
    open(call.value(0).ty(), least, most)
}

/// As the first argument, with some elements left out, but not all.
pub(super) fn distinct(call: &Call<'_>) -> Value {
    let (least, most) = call.value(0).length_bounds();
    open(call.value(0).ty(), least.min(1), most)
}

/// As the first argument, with any elements left out. Of a tuple, the type hangs on which.
pub(super) fn some(call: &Call<'_>) -> Value {
    match call.value(0).ty() {
        ty @ Type::List(_) => open(ty, 0, call.value(0).length_bounds().1),
        _ => Value::UNKNOWN,
    }
}

pub(super) fn chunks(call: &Call<'_>) -> Value {
    let (least, most) = call.value(0).length_bounds();
    open(Type::list(call.value(0).ty()), least.min(1), most)
}

pub(super) fn concat(call: &Call<'_>) -> Value {
    let types: Vec<Type> = call.arguments.iter().map(Value::ty).collect();
    let (least, most) =
        call.arguments.iter().map(Value::length_bounds).fold((0, Some(0)), |sum: (usize, Option<usize>), next| {
            (sum.0.saturating_add(next.0), sum.1.zip(next.1).map(|(one, other)| one.saturating_add(other)))
        });
    match unify(&types) {
        Some(ty @ Type::List(_)) if types.iter().all(|ty| matches!(ty, Type::List(_))) => open(ty, least, most),
        _ => Value::UNKNOWN,
    }
}

pub(super) fn element(call: &Call<'_>) -> Value {
    match (call.value(0).ty(), call.value(1).as_number().and_then(|at| at.to_usize())) {
        (Type::List(element), _) => Value::unknown((*element).clone()),
        (Type::Tuple(types), Some(at)) => {
            let ty = at.checked_rem(types.len()).and_then(|at| types.get(at));
            ty.cloned().map_or(Value::UNKNOWN, Value::unknown)
        }
        _ => Value::UNKNOWN,
    }
}

pub(super) fn keys(call: &Call<'_>) -> Value {
    let (least, most) = call.value(0).length_bounds();
    match call.value(0).ty() {
        Type::Object { attributes, .. } => Value::tuple(attributes.keys().map(|name| Value::string(name.clone()))),
        Type::Map(_) => open(Type::list(Type::String), least, most),
        _ => Value::UNKNOWN,
    }
}

pub(super) fn values(call: &Call<'_>) -> Value {
    let (least, most) = call.value(0).length_bounds();
    match call.value(0).ty() {
        Type::Object { attributes, .. } => Value::tuple(attributes.values().cloned().map(Value::unknown)),
        Type::Map(element) => open(Type::List(element), least, most),
        _ => Value::UNKNOWN,
    }
}

pub(super) fn lookup(call: &Call<'_>) -> Value {
    match call.value(0).ty() {
        Type::Map(element) => Value::unknown((*element).clone()),
        _ => Value::UNKNOWN,
    }
}

pub(super) fn merge(call: &Call<'_>) -> Value {
    let given = call.arguments.iter().filter(|argument| !argument.is_null());
    let types: Vec<Type> = given.clone().map(Value::ty).collect();
    let least = given.map(|argument| if argument.is_never_null() { argument.length_bounds().0 } else { 0 }).max();
    match types.first() {
        Some(ty @ Type::Map(_)) if types.iter().all(|other| other == ty) => open(ty.clone(), least.unwrap_or(0), None),
        _ => Value::UNKNOWN,
    }
}

pub(super) fn one(call: &Call<'_>) -> Value {
    match call.value(0).ty() {
        Type::List(element) | Type::Set(element) => Value::unknown((*element).clone()),
        Type::Tuple(types) => types.first().cloned().map_or(Value::UNKNOWN, Value::unknown),
        _ => Value::UNKNOWN,
    }
}

pub(super) fn reverse(call: &Call<'_>) -> Value {
    let (least, most) = call.value(0).length_bounds();
    match call.value(0).ty() {
        ty @ Type::List(_) => open(ty, least, most),
        Type::Set(element) => open(Type::List(element), least, most),
        Type::Tuple(types) => open(Type::tuple(types.iter().rev().cloned()), least, most),
        _ => Value::UNKNOWN,
    }
}

pub(super) fn zip_map(call: &Call<'_>) -> Value {
    match call.value(1).ty() {
        Type::List(element) => open(Type::Map(element), 0, call.value(1).length_bounds().1),
        _ => Value::UNKNOWN,
    }
}

/// A set of what the arguments agree on.
pub(super) fn set(call: &Call<'_>) -> Value {
    let types: Vec<Type> = call.arguments.iter().map(Value::ty).collect();
    // One whose elements are of a type not known yet may change what all become.
    let settled = call.arguments.iter().all(|argument| !argument.is_unknown() || !argument.ty().has_dynamic());
    match unify(&types).filter(|_| settled) {
        Some(ty @ Type::Set(_)) => open(ty, 0, None),
        _ => Value::unknown(Type::set(Type::Dynamic)),
    }
}

/// Lists that an argument is the pattern of: as many as its lists are long.
pub(super) fn format_list(call: &Call<'_>) -> Value {
    let lists = call.from(1).iter().filter(|argument| matches!(argument.ty(), Type::List(_) | Type::Tuple(_)));
    let lengths: Vec<(usize, Option<usize>)> = lists.map(Value::length_bounds).collect();
    let least = lengths.iter().map(|(least, _)| *least).max().unwrap_or(0);
    Value::unknown(Type::list(Type::String)).with_length(least, lengths.iter().filter_map(|(_, most)| *most).min())
}

/// The start of the text that a pattern makes: what is before its first verb.
pub(super) fn format(call: &Call<'_>) -> Value {
    let unknown = Value::unknown(Type::String);
    match call.value(0).as_str().map(|pattern| pattern.split('%').next().unwrap_or_default()) {
        Some(start) => unknown.with_prefix(start),
        None => unknown,
    }
}

/// The first character of the JSON text of a value of a type that is not null.
pub(super) fn json(call: &Call<'_>) -> Value {
    let value = call.value(0);
    let unknown = Value::unknown(Type::String);
    if !value.is_never_null() {
        return unknown;
    }
    match value.ty() {
        Type::List(_) | Type::Set(_) | Type::Tuple(_) => unknown.with_prefix("["),
        Type::Map(_) | Type::Object { .. } => unknown.with_prefix("{"),
        Type::String => unknown.with_prefix("\""),
        _ => unknown,
    }
}

/// Whether a text of which only the start is known starts with another.
pub(super) fn starts_with(call: &Call<'_>) -> Value {
    let (known, prefix) = (call.value(0).known_prefix(), call.value(1));
    match prefix.kind() {
        Kind::String(prefix) if known.starts_with(&**prefix) => Value::from(true),
        Kind::String(prefix) if !prefix.starts_with(known) => Value::from(false),
        _ => Value::unknown(Type::Bool),
    }
}

/// Not below zero.
pub(super) fn not_negative(_: &Call<'_>) -> Value {
    Value::unknown(Type::Number).between(Some(Bound::inclusive(0i64)), None)
}

/// -1, 0 or 1.
pub(super) fn sign(_: &Call<'_>) -> Value {
    Value::unknown(Type::Number).between(Some(Bound::inclusive(-1i64)), Some(Bound::inclusive(1i64)))
}

/// Not below the largest of what the numbers are not below.
pub(super) fn largest(call: &Call<'_>) -> Value {
    let least = call.arguments.iter().filter_map(|number| number.number_bounds().0).map(|bound| bound.number).max();
    Value::unknown(Type::Number).between(least.map(Bound::inclusive), None)
}

/// Not above the smallest of what the numbers are not above.
pub(super) fn smallest(call: &Call<'_>) -> Value {
    let most = call.arguments.iter().filter_map(|number| number.number_bounds().1).map(|bound| bound.number).min();
    Value::unknown(Type::Number).between(None, most.map(Bound::inclusive))
}
