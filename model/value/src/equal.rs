use andon_text::deeper;

use crate::refine::certainly_differ;
use crate::{Kind, Type, Value};

/// Whether two values are equal, as `==` of the language has it: values of different types are not, nulls are equal
/// whatever their types, and where it hangs on something unknown the answer is unknown. The answer has the marks of
/// both, and of all in them.
pub fn equals(left: &Value, right: &Value) -> Value {
    let marks = left.marks_within().union(right.marks_within());
    match decide(left, right) {
        Some(truth) => Value::from(truth),
        None => Value::unknown(Type::Bool).not_null(),
    }
    .mark(marks)
}

fn decide(left: &Value, right: &Value) -> Option<bool> {
    deeper(|| decide_here(left, right))
}

fn decide_here(left: &Value, right: &Value) -> Option<bool> {
    match (left.kind(), right.kind()) {
        (Kind::Unknown(_, known), Kind::Null(_)) | (Kind::Null(_), Kind::Unknown(_, known)) => {
            known.not_null.then_some(false)
        }
        (Kind::Unknown(..), _) | (_, Kind::Unknown(..)) => may_be_same(left, right),
        (Kind::Null(_), Kind::Null(_)) => Some(true),
        (Kind::Null(_), _) | (_, Kind::Null(_)) => Some(false),
        (Kind::List(one, left), Kind::List(other, right)) => all(one == other, left.iter(), right.iter()),
        (Kind::Tuple(left), Kind::Tuple(right)) => all(true, left.iter(), right.iter()),
        (Kind::Set(one, left), Kind::Set(other, right)) => {
            if one != other {
                return Some(false);
            }
            let known = left.iter().chain(right.iter()).all(Value::is_wholly_known);
            known.then(|| left == right)
        }
        (Kind::Map(one, left), Kind::Map(other, right)) => {
            all(one == other && left.keys().eq(right.keys()), left.values(), right.values())
        }
        (Kind::Object(left), Kind::Object(right)) => all(left.keys().eq(right.keys()), left.values(), right.values()),
        (Kind::Number(left), Kind::Number(right)) => Some(left.compare(right).is_eq()),
        (left, right) => Some(left == right),
    }
}

/// Two values, one of them unknown: they differ for certain where their types do, or where what is known of them
/// leaves no value to be both. Two nulls are equal, so one of the two must be known not to be one.
fn may_be_same(one: &Value, other: &Value) -> Option<bool> {
    let (one_type, other_type) = (one.ty(), other.ty());
    if one_type.has_dynamic() || other_type.has_dynamic() {
        return None;
    }
    let differ =
        one_type != other_type || (one.is_never_null() || other.is_never_null()) && certainly_differ(one, other);
    differ.then_some(false)
}

/// One certain difference decides; else one doubt leaves it open.
fn all<'a>(
    same_shape: bool,
    left: impl ExactSizeIterator<Item = &'a Value>,
    right: impl ExactSizeIterator<Item = &'a Value>,
) -> Option<bool> {
    if !same_shape || left.len() != right.len() {
        return Some(false);
    }
    let mut answer = Some(true);
    for (left, right) in left.zip(right) {
        match decide(left, right) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => answer = None,
        }
    }
    answer
}
