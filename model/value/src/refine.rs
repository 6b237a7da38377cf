//! What is known of an unknown value beside its type. A refinement only ever narrows: whoever ignores one is still
//! right, and whoever looks at it may decide more. `x == null` is false where `x` is known not to be null, before `x`
//! is known.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use andon_text::deeper;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::{Kind, Number, Type, Value};

/// What is known of an unknown value beside its type. Nothing can be known of a value of unknown type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Refinement {
    /// It will not be null.
    pub not_null: bool,
    /// What it is between, in case that it is not null.
    pub range: Option<Arc<Range>>,
}

/// What an unknown value is between, in case that it is not null.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Range {
    /// A string starts with this text, which is not empty and in NFC. What follows it will not change it.
    Prefix(Arc<str>),
    /// A number is not beyond these bounds.
    Number {
        /// The lower one.
        least: Option<Bound>,
        /// The upper one.
        most: Option<Bound>,
    },
    /// A list, set or map has so many elements.
    Length {
        /// At least so many.
        least: usize,
        /// At most so many.
        most: Option<usize>,
    },
}

/// One end of a range of numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound {
    /// Where the range ends.
    pub number: Number,
    /// Whether the number itself is in the range.
    pub inclusive: bool,
}

impl Bound {
    /// A bound that is in the range itself.
    pub fn inclusive(number: impl Into<Number>) -> Bound {
        Bound { number: number.into(), inclusive: true }
    }
}

impl Refinement {
    /// Nothing is known.
    pub const NONE: Refinement = Refinement { not_null: false, range: None };
}

/// A [`Refinement`] as an unknown value holds it: one pointer wide, as most unknown values have none, and no value may
/// be larger for those that do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Known(Option<Arc<Refinement>>);

impl Known {
    /// Nothing is known.
    pub const NOTHING: Known = Known(None);
}

impl Deref for Known {
    type Target = Refinement;

    fn deref(&self) -> &Refinement {
        self.0.as_deref().unwrap_or(&Refinement::NONE)
    }
}

impl From<Refinement> for Known {
    fn from(refinement: Refinement) -> Known {
        static NOT_NULL: LazyLock<Arc<Refinement>> =
            LazyLock::new(|| Arc::new(Refinement { not_null: true, range: None }));
        match refinement {
            Refinement { not_null: false, range: None } => Known::NOTHING,
            Refinement { not_null: true, range: None } => Known(Some(NOT_NULL.clone())),
            refinement => Known(Some(Arc::new(refinement))),
        }
    }
}

impl Value {
    /// An unknown value of a type of which more is known. Where that is so much that only one value is left, it is
    /// that value; what does not suit the type is dropped.
    pub fn refined(ty: Type, refinement: Refinement) -> Value {
        let Refinement { not_null, range } = refinement;
        let range = range.filter(|range| match (&**range, &ty) {
            (Range::Prefix(prefix), Type::String) => !prefix.is_empty(),
            (Range::Number { least, most }, Type::Number) => least.is_some() || most.is_some(),
            (Range::Length { least, most }, Type::List(_) | Type::Set(_) | Type::Map(_)) => {
                *least > 0 || most.is_some()
            }
            _ => false,
        });
        let not_null = not_null && ty != Type::Dynamic;
        if not_null
            && let Some(range) = &range
            && let Some(only) = only_value(&ty, range)
        {
            return only;
        }
        Value::new(Kind::Unknown(ty, Refinement { not_null, range }.into()))
    }

    /// The same, not null: of a known value and of one of unknown type this says nothing.
    pub fn not_null(self) -> Value {
        self.narrowed(true, None)
    }

    /// The same string, not null, that starts with a text. What may still join with the characters that follow it is
    /// no part of what is known.
    pub fn with_prefix(self, prefix: &str) -> Value {
        let prefix = safe_prefix(prefix);
        let known = self.known_prefix();
        let longer = prefix.len() > known.len() && prefix.starts_with(known);
        let range = longer.then(|| Range::Prefix(prefix.into()));
        self.narrowed(true, range)
    }

    /// The same number, not null, between two bounds.
    pub fn between(self, least: Option<Bound>, most: Option<Bound>) -> Value {
        self.narrowed(true, Some(Range::Number { least, most }))
    }

    /// The same list, set or map, not null, with at least and at most so many elements.
    pub fn with_length(self, least: usize, most: Option<usize>) -> Value {
        self.narrowed(true, Some(Range::Length { least, most }))
    }

    fn narrowed(self, not_null: bool, range: Option<Range>) -> Value {
        let (bare, marks) = self.unmark();
        match bare.kind() {
            Kind::Unknown(ty, own) => {
                let refinement = Refinement {
                    not_null: not_null || own.not_null,
                    range: range.map(Arc::new).or_else(|| own.range.clone()),
                };
                Value::refined(ty.clone(), refinement)
            }
            _ => bare,
        }
        .mark(marks)
    }

    /// What is known of an unknown value beside its type; nothing for a known one, of which everything is known.
    pub fn refinement(&self) -> &Refinement {
        match self.kind() {
            Kind::Unknown(_, refinement) => refinement,
            _ => &Refinement::NONE,
        }
    }

    /// Whether it is certain not to be null.
    pub fn is_never_null(&self) -> bool {
        match self.kind() {
            Kind::Null(_) => false,
            Kind::Unknown(_, refinement) => refinement.not_null,
            _ => true,
        }
    }

    /// The text that a string is known to start with: all of a known one.
    pub fn known_prefix(&self) -> &str {
        match self.kind() {
            Kind::String(text) => text,
            Kind::Unknown(_, refinement) => match refinement.range.as_deref() {
                Some(Range::Prefix(prefix)) => prefix,
                _ => "",
            },
            _ => "",
        }
    }

    /// The bounds of a number: of a known one, itself twice.
    pub fn number_bounds(&self) -> (Option<Bound>, Option<Bound>) {
        match self.kind() {
            Kind::Number(number) => {
                let bound = Bound { number: number.clone(), inclusive: true };
                (Some(bound.clone()), Some(bound))
            }
            Kind::Unknown(_, refinement) => match refinement.range.as_deref() {
                Some(Range::Number { least, most }) => (least.clone(), most.clone()),
                _ => (None, None),
            },
            _ => (None, None),
        }
    }

    /// How many elements or entries it has at least and at most. Unknown elements of a set may turn out to be one.
    pub fn length_bounds(&self) -> (usize, Option<usize>) {
        match self.kind() {
            Kind::List(_, elements) | Kind::Tuple(elements) => (elements.len(), Some(elements.len())),
            Kind::Map(_, entries) | Kind::Object(entries) => (entries.len(), Some(entries.len())),
            Kind::Set(_, elements) => {
                let known = elements.iter().filter(|element| element.is_wholly_known()).count();
                (known.max(usize::from(!elements.is_empty())), Some(elements.len()))
            }
            Kind::Unknown(Type::Tuple(types), _) => (types.len(), Some(types.len())),
            Kind::Unknown(Type::Object { attributes, .. }, _) => (attributes.len(), Some(attributes.len())),
            Kind::Unknown(_, refinement) => match refinement.range.as_deref() {
                Some(Range::Length { least, most }) => (*least, *most),
                _ => (0, None),
            },
            _ => (0, None),
        }
    }

    /// An unknown value of a type that may turn out to be either of two values of that type: known of it is what is
    /// known of both.
    pub fn either(ty: Type, one: &Value, other: &Value) -> Value {
        let not_null = one.is_never_null() && other.is_never_null();
        // A null says nothing about what the value is between in case that it is not null.
        let range = match (one.is_null(), other.is_null()) {
            (true, true) => None,
            (true, false) => range_of(other, &ty),
            (false, true) => range_of(one, &ty),
            (false, false) => common_range(one, other, &ty),
        };
        Value::refined(ty, Refinement { not_null, range: range.map(Arc::new) })
    }

    /// Whether an unknown value, or one with unknown parts, may turn out to be `known`.
    pub fn allows(&self, known: &Value) -> bool {
        deeper(|| self.allows_here(known))
    }

    fn allows_here(&self, known: &Value) -> bool {
        match (self.kind(), known.kind()) {
            (Kind::Unknown(ty, refinement), _) => {
                suits(&known.ty(), ty)
                    && !(refinement.not_null && known.is_null())
                    && (known.is_null() || refinement.range.as_deref().is_none_or(|range| range.holds(known)))
            }
            (Kind::List(one, left), Kind::List(other, right)) => {
                suits(other, one) && pairwise(left.iter(), right.iter())
            }
            (Kind::Tuple(left), Kind::Tuple(right)) => pairwise(left.iter(), right.iter()),
            (Kind::Set(one, left), Kind::Set(other, right)) => {
                // Each element of either side has one on the other that it may be.
                suits(other, one)
                    && left.iter().all(|element| right.iter().any(|found| element.allows(found)))
                    && right.iter().all(|found| left.iter().any(|element| element.allows(found)))
            }
            (Kind::Map(one, left), Kind::Map(other, right)) => {
                suits(other, one) && left.keys().eq(right.keys()) && pairwise(left.values(), right.values())
            }
            (Kind::Object(left), Kind::Object(right)) => {
                left.keys().eq(right.keys()) && pairwise(left.values(), right.values())
            }
            (Kind::Null(one), Kind::Null(other)) => suits(other, one),
            (left, right) => left == right,
        }
    }
}

impl Range {
    /// Whether a known value that is not null is in the range. Of an unknown one, whether it may be.
    fn holds(&self, value: &Value) -> bool {
        match self {
            Range::Prefix(prefix) => {
                let known = value.known_prefix();
                known.starts_with(&**prefix) || value.is_unknown() && prefix.starts_with(known)
            }
            Range::Number { least, most } => {
                let (own_least, own_most) = value.number_bounds();
                !apart(least.as_ref(), own_most.as_ref()) && !apart(own_least.as_ref(), most.as_ref())
            }
            Range::Length { least, most } => {
                let (own_least, own_most) = value.length_bounds();
                own_most.is_none_or(|own| own >= *least) && most.is_none_or(|most| own_least <= most)
            }
        }
    }
}

/// Whether two values, at least one of them not null, differ for certain by what is known of them.
pub(crate) fn certainly_differ(one: &Value, other: &Value) -> bool {
    let range = |value: &Value| range_of(value, &value.ty());
    range(one).is_some_and(|range| !range.holds(other)) || range(other).is_some_and(|range| !range.holds(one))
}

/// Whether every number from a lower bound on is above an upper bound.
pub(crate) fn apart(least: Option<&Bound>, most: Option<&Bound>) -> bool {
    match (least, most) {
        (Some(least), Some(most)) => {
            least.number > most.number || least.number == most.number && !(least.inclusive && most.inclusive)
        }
        _ => false,
    }
}

/// The one value of a type that is left by a range, if only one is, or one with fewer unknown parts.
fn only_value(ty: &Type, range: &Range) -> Option<Value> {
    /// As many unknown elements of a list are written out.
    const LONGEST_LIST: usize = 1024;
    match (range, ty) {
        (Range::Number { least: Some(least), most: Some(most) }, _) => {
            (least.inclusive && most.inclusive && least.number == most.number).then(|| least.number.clone().into())
        }
        (Range::Length { least, most: Some(most) }, _) if least == most => match ty {
            Type::List(element) if *least <= LONGEST_LIST => {
                Some(Value::list((**element).clone(), vec![Value::unknown((**element).clone()); *least]))
            }
            Type::Set(element) if *least <= 1 => {
                Some(Value::set((**element).clone(), vec![Value::unknown((**element).clone()); *least]))
            }
            Type::Map(element) if *least == 0 => Some(Value::map((**element).clone(), Vec::<(Arc<str>, Value)>::new())),
            _ => None,
        },
        _ => None,
    }
}

/// The range of a value of a type: of a known value, one around it.
fn range_of(value: &Value, ty: &Type) -> Option<Range> {
    match ty {
        Type::String => {
            let prefix = value.known_prefix();
            (!prefix.is_empty()).then(|| Range::Prefix(prefix.into()))
        }
        Type::Number => match value.number_bounds() {
            (None, None) => None,
            (least, most) => Some(Range::Number { least, most }),
        },
        Type::List(_) | Type::Set(_) | Type::Map(_) => match value.length_bounds() {
            (0, None) => None,
            (least, most) => Some(Range::Length { least, most }),
        },
        _ => None,
    }
}

/// What holds for both of two values.
fn common_range(one: &Value, other: &Value, ty: &Type) -> Option<Range> {
    match (range_of(one, ty)?, range_of(other, ty)?) {
        (Range::Prefix(one), Range::Prefix(other)) => {
            let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other);
            let length: usize = same.map(|(character, _)| character.len_utf8()).sum();
            let prefix = safe_prefix(one.get(..length)?);
            (!prefix.is_empty()).then(|| Range::Prefix(prefix.into()))
        }
        (Range::Number { least, most }, Range::Number { least: other_least, most: other_most }) => {
            Some(Range::Number { least: lower(least, other_least), most: upper(most, other_most) })
        }
        (Range::Length { least, most }, Range::Length { least: other_least, most: other_most }) => {
            let most = most.zip(other_most).map(|(one, other)| one.max(other));
            Some(Range::Length { least: least.min(other_least), most })
        }
        _ => None,
    }
}

fn lower(one: Option<Bound>, other: Option<Bound>) -> Option<Bound> {
    let (one, other) = one.zip(other)?;
    let inclusive = one.inclusive || other.inclusive;
    Some(match one.number.cmp(&other.number) {
        std::cmp::Ordering::Less => one,
        std::cmp::Ordering::Greater => other,
        std::cmp::Ordering::Equal => Bound { inclusive, ..one },
    })
}

fn upper(one: Option<Bound>, other: Option<Bound>) -> Option<Bound> {
    let (one, other) = one.zip(other)?;
    let inclusive = one.inclusive || other.inclusive;
    Some(match one.number.cmp(&other.number) {
        std::cmp::Ordering::Greater => one,
        std::cmp::Ordering::Less => other,
        std::cmp::Ordering::Equal => Bound { inclusive, ..one },
    })
}

/// Whether a value of a type may be one of another, in which `any` stands for types not known yet.
fn suits(own: &Type, wanted: &Type) -> bool {
    deeper(|| suits_here(own, wanted))
}

fn suits_here(own: &Type, wanted: &Type) -> bool {
    match (own, wanted) {
        (Type::Dynamic, _) | (_, Type::Dynamic) => true,
        (Type::List(own), Type::List(wanted))
        | (Type::Set(own), Type::Set(wanted))
        | (Type::Map(own), Type::Map(wanted)) => suits(own, wanted),
        (Type::Tuple(own), Type::Tuple(wanted)) => {
            own.len() == wanted.len() && own.iter().zip(wanted.iter()).all(|(own, wanted)| suits(own, wanted))
        }
        (Type::Object { attributes: own, .. }, Type::Object { attributes: wanted, .. }) => {
            own.keys().eq(wanted.keys()) && own.values().zip(wanted.values()).all(|(own, wanted)| suits(own, wanted))
        }
        (own, wanted) => own == wanted,
    }
}

fn pairwise<'a>(
    left: impl ExactSizeIterator<Item = &'a Value>,
    right: impl ExactSizeIterator<Item = &'a Value>,
) -> bool {
    left.len() == right.len() && left.zip(right).all(|(left, right)| left.allows(right))
}

/// As much of a text, in NFC, as stays what it is whatever follows: not its last grapheme cluster, with which what
/// follows might join, unless that is a mark which nothing joins with in practice.
fn safe_prefix(text: &str) -> String {
    const JOINED_BY_NOTHING: &str = "-_:;/\\,.(){}[]|?!~ \t@#$%^&*+\"'";
    let mut prefix: String = text.nfc().collect();
    let last = prefix.graphemes(true).next_back().unwrap_or_default();
    let mut characters = last.chars();
    let ends = characters.next().is_some_and(|only| JOINED_BY_NOTHING.contains(only)) && characters.next().is_none();
    if !ends {
        prefix.truncate(prefix.len() - last.len());
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode, encode, equals};

    fn text(prefix: &str) -> Value {
        Value::unknown(Type::String).with_prefix(prefix)
    }

    #[test]
    fn a_value_stays_small() {
        assert!(size_of::<Value>() <= 56, "{}", size_of::<Value>());
    }

    #[test]
    fn a_prefix_ends_where_nothing_can_join_it() {
        for (given, kept) in [("ami-", "ami-"), ("ami", "am"), ("e", ""), ("a e\u{301}", "a "), ("👩\u{200d}", "")] {
            assert_eq!(text(given).known_prefix(), kept, "{given}");
        }
    }

    #[test]
    fn what_leaves_one_value_is_that_value() {
        let number = |least: i64, most: i64| {
            Value::unknown(Type::Number).between(Some(Bound::inclusive(least)), Some(Bound::inclusive(most)))
        };
        let list = |ty: Type, least, most| Value::unknown(ty).with_length(least, Some(most));
        assert_eq!(number(2, 2), Value::from(2i64));
        assert!(number(1, 2).is_unknown());
        assert_eq!(list(Type::list(Type::Bool), 0, 0), Value::list(Type::Bool, []));
        assert_eq!(list(Type::list(Type::Bool), 1, 1), Value::list(Type::Bool, [Value::unknown(Type::Bool)]));
        assert!(list(Type::set(Type::Bool), 2, 2).is_unknown());
        assert_eq!(Value::UNKNOWN.not_null(), Value::UNKNOWN);
    }

    #[test]
    fn what_is_known_decides_equality() {
        let never = Value::unknown(Type::String).not_null();
        for (one, other, expected) in [
            (never.clone(), Value::NULL, Some(false)),
            (Value::unknown(Type::String), Value::NULL, None),
            (text("ami-"), Value::from("ami-1"), None),
            (text("ami-"), Value::from("vpc-1"), Some(false)),
            (text("ami-"), Value::from("am"), Some(false)),
            (text("ami-"), text("ami-1-"), None),
            (text("ami-"), text("vpc-"), Some(false)),
            (never, Value::from("a"), None),
        ] {
            assert_eq!(equals(&one, &other).as_bool(), expected, "{one:?} == {other:?}");
            assert_eq!(equals(&other, &one).as_bool(), expected, "{other:?} == {one:?}");
        }
    }

    #[test]
    fn what_is_known_is_stored() {
        let bound = |number: i64, inclusive| Some(Bound { number: number.into(), inclusive });
        for (value, json) in [
            (Value::unknown(Type::String), r#"{"$":"unknown","type":"string"}"#),
            (Value::unknown(Type::Bool).not_null(), r#"{"$":"unknown","not_null":true,"type":"bool"}"#),
            (text("ami-"), r#"{"$":"unknown","not_null":true,"prefix":"ami-","type":"string"}"#),
            (
                Value::unknown(Type::Number).between(bound(0, true), bound(9, false)),
                r#"{"$":"unknown","least":[0,true],"most":[9,false],"not_null":true,"type":"number"}"#,
            ),
            (
                Value::unknown(Type::map(Type::Bool)).with_length(1, None),
                r#"{"$":"unknown","length":[1,null],"not_null":true,"type":["map","bool"]}"#,
            ),
        ] {
            assert_eq!(encode(&value).to_string(), json);
            assert_eq!(decode(&encode(&value)), Ok(value));
        }
    }
}
