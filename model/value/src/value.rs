use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use andon_text::deeper;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::{Elements, Known, Number, Type};

/// What a value is marked with. Marks pass through every operation that the value takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Marks {
    /// A secret: never shown, never compared aloud.
    pub sensitive: bool,
    /// Must not be stored in a plan or a state.
    pub ephemeral: bool,
}

impl Marks {
    /// No mark.
    pub const NONE: Marks = Marks { sensitive: false, ephemeral: false };
    /// Sensitive alone.
    pub const SENSITIVE: Marks = Marks { sensitive: true, ephemeral: false };

    /// The marks of either.
    pub fn union(self, other: Marks) -> Marks {
        Marks { sensitive: self.sensitive || other.sensitive, ephemeral: self.ephemeral || other.ephemeral }
    }
}

/// A value of the language, with its marks. The marks of a collection's elements are on the elements.
#[derive(Clone)]
pub struct Value {
    kind: Kind,
    marks: Marks,
}

/// What a value is, without its marks. Whoever builds one keeps its promise: elements of a list, set or map have
/// the element type. In the order of a set nulls come last, and unknown values after them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, NFC-normalised.
    String(Arc<str>),
    /// A list and its element type.
    List(Type, Arc<[Value]>),
    /// A set and its element type, in the order of the values.
    Set(Type, Arc<Elements>),
    /// A map and its element type.
    Map(Type, Arc<BTreeMap<Arc<str>, Value>>),
    /// A tuple.
    Tuple(Arc<[Value]>),
    /// An object.
    Object(Arc<BTreeMap<Arc<str>, Value>>),
    /// `null` of a type.
    Null(Type),
    /// A value of a type that will be known later, and what is known of it already.
    Unknown(Type, Known),
}

impl Value {
    /// `null` with no type of its own.
    pub const NULL: Value = Value { kind: Kind::Null(Type::Dynamic), marks: Marks::NONE };
    /// A value of which nothing is known.
    pub const UNKNOWN: Value = Value { kind: Kind::Unknown(Type::Dynamic, Known::NOTHING), marks: Marks::NONE };

    /// A value without marks.
    pub fn new(kind: Kind) -> Value {
        Value { kind, marks: Marks::NONE }
    }

    /// `null` of a type.
    pub fn null(ty: Type) -> Value {
        Value::new(Kind::Null(ty))
    }

    /// A value of a type that will be known later.
    pub fn unknown(ty: Type) -> Value {
        Value::new(Kind::Unknown(ty, Known::NOTHING))
    }

    /// A string; its text is put into NFC.
    pub fn string(text: impl Into<Arc<str>>) -> Value {
        let text = text.into();
        let text = if text.is_ascii() || is_nfc(&text) { text } else { text.nfc().collect::<String>().into() };
        Value::new(Kind::String(text))
    }

    /// A tuple.
    pub fn tuple(elements: impl IntoIterator<Item = Value>) -> Value {
        Value::new(Kind::Tuple(elements.into_iter().collect()))
    }

    /// A list of an element type.
    pub fn list(element: Type, elements: impl IntoIterator<Item = Value>) -> Value {
        Value::new(Kind::List(element, elements.into_iter().collect()))
    }

    /// A set of an element type. An element's place in a set is its value, so a mark on one is a mark on the set.
    pub fn set(element: Type, elements: impl IntoIterator<Item = Value>) -> Value {
        let mut marks = Marks::NONE;
        let unmarked = elements.into_iter().map(|element| {
            let (element, taken) = element.unmark_deep();
            marks = marks.union(taken);
            element
        });
        let set = Value::new(Kind::Set(element, Arc::new(unmarked.collect())));
        set.mark(marks)
    }

    /// A map of an element type.
    pub fn map<K: Into<Arc<str>>>(element: Type, entries: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::new(Kind::Map(element, Arc::new(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())))
    }

    /// An object.
    pub fn object<K: Into<Arc<str>>>(attributes: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::new(Kind::Object(Arc::new(attributes.into_iter().map(|(key, value)| (key.into(), value)).collect())))
    }

    /// Its type.
    pub fn ty(&self) -> Type {
        match self.kind() {
            Kind::Null(ty) | Kind::Unknown(ty, _) => ty.clone(),
            Kind::Bool(_) => Type::Bool,
            Kind::Number(_) => Type::Number,
            Kind::String(_) => Type::String,
            Kind::List(element, _) => Type::list(element.clone()),
            Kind::Set(element, _) => Type::set(element.clone()),
            Kind::Map(element, _) => Type::map(element.clone()),
            Kind::Tuple(elements) => Type::tuple(elements.iter().map(|child| deeper(|| child.ty()))),
            Kind::Object(entries) => {
                Type::object(entries.iter().map(|(name, value)| (name.clone(), deeper(|| value.ty()))))
            }
        }
    }

    /// What it is, whatever its marks.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What it is marked with, itself; see [`Value::marks_within`] for what is marked inside it.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// The marks of it and of all inside it.
    pub fn marks_within(&self) -> Marks {
        let all = |marks: Marks, child: &Value| marks.union(deeper(|| child.marks_within()));
        match &self.kind {
            Kind::List(_, elements) | Kind::Tuple(elements) => elements.iter().fold(self.marks, all),
            Kind::Set(_, elements) => elements.iter().fold(self.marks, all),
            Kind::Map(_, entries) | Kind::Object(entries) => entries.values().fold(self.marks, all),
            _ => self.marks,
        }
    }

    /// The same with more marks.
    pub fn mark(mut self, marks: Marks) -> Value {
        self.marks = self.marks.union(marks);
        self
    }

    /// The same with no mark of its own (what is inside keeps its marks), and what was taken off.
    pub fn unmark(mut self) -> (Value, Marks) {
        let marks = std::mem::take(&mut self.marks);
        (self, marks)
    }

    /// Whether it is a secret, or holds one.
    pub fn is_sensitive(&self) -> bool {
        self.marks_within().sensitive
    }

    /// Whether it must not be shown, or a part of it: it is sensitive or ephemeral.
    pub fn is_secret(&self) -> bool {
        self.marks_within() != Marks::NONE
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null(_))
    }

    /// Whether it is unknown itself.
    pub fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Unknown(..))
    }

    /// Whether it and all inside it is known.
    pub fn is_wholly_known(&self) -> bool {
        !self.is_unknown() && self.children().all(|child| deeper(|| child.is_wholly_known()))
    }

    /// Elements of a list, set or tuple and the values of a map or object, in order; none for the rest.
    pub fn children(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match &self.kind {
            Kind::List(_, elements) | Kind::Tuple(elements) => Box::new(elements.iter()),
            Kind::Set(_, elements) => Box::new(elements.iter()),
            Kind::Map(_, entries) | Kind::Object(entries) => Box::new(entries.values()),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The text of a known string.
    pub fn as_str(&self) -> Option<&Arc<str>> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// A known bool.
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// A known number.
    pub fn as_number(&self) -> Option<&Number> {
        match &self.kind {
            Kind::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The entries of a known map or object.
    pub fn as_entries(&self) -> Option<&Arc<BTreeMap<Arc<str>, Value>>> {
        match &self.kind {
            Kind::Map(_, entries) | Kind::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a known list or tuple.
    pub fn as_elements(&self) -> Option<&Arc<[Value]>> {
        match &self.kind {
            Kind::List(_, elements) | Kind::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// The elements of a known list, set or tuple, in order.
    pub fn elements(&self) -> Option<Box<dyn ExactSizeIterator<Item = &Value> + '_>> {
        match self.kind() {
            Kind::List(_, elements) | Kind::Tuple(elements) => Some(Box::new(elements.iter())),
            Kind::Set(_, elements) => Some(Box::new(elements.iter())),
            _ => None,
        }
    }

    /// One entry of a known map or object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.as_entries()?.get(name)
    }

    /// The text of one entry that is a known string.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().map(|text| &**text)
    }
}

/// Values nest without a limit (`a[*][*]…`, locals that hold locals), so that none of these goes down by itself.
impl Drop for Value {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::List(..) | Kind::Set(..) | Kind::Map(..) | Kind::Tuple(_) | Kind::Object(_)) {
            let kind = std::mem::replace(&mut self.kind, Kind::Bool(false));
            deeper(|| drop(kind));
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.marks == other.marks && deeper(|| self.kind == other.kind)
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        deeper(|| self.kind.cmp(&other.kind)).then_with(|| self.marks.cmp(&other.marks))
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.marks.hash(state);
        deeper(|| self.kind.hash(state));
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        deeper(|| out.debug_struct("Value").field("kind", &self.kind).field("marks", &self.marks).finish())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::new(Kind::Bool(truth))
    }
}

impl From<i64> for Value {
    fn from(whole: i64) -> Value {
        Value::new(Kind::Number(Number::from(whole)))
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Value {
        Value::new(Kind::Number(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::string(text)
    }
}
