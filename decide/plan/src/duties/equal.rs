//! When two values are the same, whatever their marks and whatever is known of what is unknown.

use andon_text::deeper;
use andon_value::{Kind, Type, Value};

/// Whether two values are the same. Nulls are, whatever their types; unknown is the same as nothing.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    alike(one, other, |_, _| false)
}

/// Whether two values are the same, or are unknown in the same places.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    alike(one, other, |one, other| one == other)
}

fn alike(one: &Value, other: &Value, unknowns: fn(&Type, &Type) -> bool) -> bool {
    deeper(|| alike_here(one, other, unknowns))
}

fn alike_here(one: &Value, other: &Value, unknowns: fn(&Type, &Type) -> bool) -> bool {
    match (one.kind(), other.kind()) {
        (Kind::Null(_), Kind::Null(_)) => true,
        (Kind::Unknown(one, _), Kind::Unknown(other, _)) => unknowns(one, other),
        (Kind::Unknown(..), _) | (_, Kind::Unknown(..)) => false,
        (Kind::List(_, left), Kind::List(_, right)) | (Kind::Tuple(left), Kind::Tuple(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(one, other)| alike(one, other, unknowns))
        }
        (Kind::Map(_, left), Kind::Map(_, right)) | (Kind::Object(left), Kind::Object(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|((a, one), (b, other))| a == b && alike(one, other, unknowns))
        }
        (Kind::Set(_, left), Kind::Set(_, right)) => {
            left.len() == right.len()
                && (left == right && one.is_wholly_known() || {
                    let (left, right) = (bare(one), bare(other));
                    left.iter().zip(&right).all(|(one, other)| alike(one, other, unknowns))
                })
        }
        (Kind::Number(one), Kind::Number(other)) => one.compare(other).is_eq(),
        (one, other) => one == other,
    }
}

/// The elements of a set in an order that neither marks nor what is known of the unknown takes part in.
fn bare(set: &Value) -> Vec<Value> {
    let mut bare: Vec<Value> = set.children().map(unrefined).collect();
    bare.sort();
    bare
}

/// The value without marks, and without what is known of unknown parts beside their types.
pub(super) fn unrefined(value: &Value) -> Value {
    value.map_deep(&mut |value| match value.kind() {
        Kind::Unknown(ty, _) => Value::unknown(ty.clone()),
        _ => value.unmark().0,
    })
}
