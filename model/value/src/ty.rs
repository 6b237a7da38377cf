use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use andon_text::deeper;

/// A type of the Terraform language (<https://developer.hashicorp.com/terraform/language/expressions/type-constraints>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// `any`: no constraint; as the type of a value, one that is not known yet.
    Dynamic,
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// `list(element)`
    List(Arc<Type>),
    /// `set(element)`
    Set(Arc<Type>),
    /// `map(element)`
    Map(Arc<Type>),
    /// `tuple([…])`
    Tuple(Arc<[Type]>),
    /// `object({…})`
    Object {
        /// The attributes and their types.
        attributes: Arc<BTreeMap<Arc<str>, Type>>,
        /// Those of the attributes that a given value may leave out (`optional(…)` in a constraint); empty for the
        /// type of a value.
        optional: Arc<BTreeSet<Arc<str>>>,
    },
}

impl Type {
    /// `list(element)`
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    /// `set(element)`
    pub fn set(element: Type) -> Type {
        Type::Set(Arc::new(element))
    }

    /// `map(element)`
    pub fn map(element: Type) -> Type {
        Type::Map(Arc::new(element))
    }

    /// `tuple([…])`
    pub fn tuple(elements: impl IntoIterator<Item = Type>) -> Type {
        Type::Tuple(elements.into_iter().collect())
    }

    /// `object({…})` with no optional attributes.
    pub fn object<K: Into<Arc<str>>>(attributes: impl IntoIterator<Item = (K, Type)>) -> Type {
        Type::object_with_optional(attributes, [])
    }

    /// `object({…})` in which the named attributes may be left out.
    pub fn object_with_optional<K: Into<Arc<str>>>(
        attributes: impl IntoIterator<Item = (K, Type)>,
        optional: impl IntoIterator<Item = Arc<str>>,
    ) -> Type {
        Type::Object {
            attributes: Arc::new(attributes.into_iter().map(|(name, ty)| (name.into(), ty)).collect()),
            optional: Arc::new(optional.into_iter().collect()),
        }
    }

    /// Whether it is `bool`, `number` or `string`.
    pub fn is_primitive(&self) -> bool {
        matches!(self, Type::Bool | Type::Number | Type::String)
    }

    /// Whether it leaves something open: it is `any`, or has `any` in it.
    pub fn has_dynamic(&self) -> bool {
        deeper(|| self.has_dynamic_here())
    }

    fn has_dynamic_here(&self) -> bool {
        match self {
            Type::Dynamic => true,
            Type::Bool | Type::Number | Type::String => false,
            Type::List(element) | Type::Set(element) | Type::Map(element) => element.has_dynamic(),
            Type::Tuple(elements) => elements.iter().any(Type::has_dynamic),
            Type::Object { attributes, .. } => attributes.values().any(Type::has_dynamic),
        }
    }

    /// The same with no attribute optional: what a value that was converted to it may have.
    pub fn without_optional(&self) -> Type {
        deeper(|| self.without_optional_here())
    }

    fn without_optional_here(&self) -> Type {
        match self {
            Type::Dynamic | Type::Bool | Type::Number | Type::String => self.clone(),
            Type::List(element) => Type::list(element.without_optional()),
            Type::Set(element) => Type::set(element.without_optional()),
            Type::Map(element) => Type::map(element.without_optional()),
            Type::Tuple(elements) => Type::tuple(elements.iter().map(Type::without_optional)),
            Type::Object { attributes, .. } => {
                Type::object(attributes.iter().map(|(name, ty)| (name.clone(), ty.without_optional())))
            }
        }
    }

    /// The element type of a list, set or map.
    pub fn element(&self) -> Option<&Type> {
        match self {
            Type::List(element) | Type::Set(element) | Type::Map(element) => Some(element),
            _ => None,
        }
    }

    /// The type of an object's attribute.
    pub fn attribute(&self, name: &str) -> Option<&Type> {
        match self {
            Type::Object { attributes, .. } => attributes.get(name),
            _ => None,
        }
    }

    /// What a value of it is called in a sentence: `a list of strings`, `an object`.
    pub fn in_words(&self) -> String {
        match self {
            Type::Dynamic => "a value of any type".to_owned(),
            Type::Bool => "a bool".to_owned(),
            Type::Number => "a number".to_owned(),
            Type::String => "a string".to_owned(),
            Type::List(element) => format!("a list{}", element.as_elements()),
            Type::Set(element) => format!("a set{}", element.as_elements()),
            Type::Map(element) => format!("a map{}", element.as_elements()),
            Type::Tuple(elements) => match elements.len() {
                0 => "an empty tuple".to_owned(),
                1 => "a tuple of 1 element".to_owned(),
                count => format!("a tuple of {count} elements"),
            },
            Type::Object { .. } => "an object".to_owned(),
        }
    }

    fn as_elements(&self) -> &'static str {
        match self {
            Type::Dynamic => "",
            Type::Bool => " of bools",
            Type::Number => " of numbers",
            Type::String => " of strings",
            Type::List(_) => " of lists",
            Type::Set(_) => " of sets",
            Type::Map(_) => " of maps",
            Type::Tuple(_) => " of tuples",
            Type::Object { .. } => " of objects",
        }
    }
}

/// As a type expression: `list(string)`, `object({a=number,b=optional(string)})`.
impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        deeper(|| self.write(out))
    }
}

impl Type {
    fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dynamic => out.write_str("any"),
            Type::Bool => out.write_str("bool"),
            Type::Number => out.write_str("number"),
            Type::String => out.write_str("string"),
            Type::List(element) => write!(out, "list({element})"),
            Type::Set(element) => write!(out, "set({element})"),
            Type::Map(element) => write!(out, "map({element})"),
            Type::Tuple(elements) => {
                out.write_str("tuple([")?;
                for (at, element) in elements.iter().enumerate() {
                    write!(out, "{}{element}", if at == 0 { "" } else { "," })?;
                }
                out.write_str("])")
            }
            Type::Object { attributes, optional } => {
                out.write_str("object({")?;
                for (at, (name, ty)) in attributes.iter().enumerate() {
                    out.write_str(if at == 0 { "" } else { "," })?;
                    if crate::is_identifier(name) {
                        write!(out, "{name}=")?;
                    } else {
                        write!(out, "{}=", crate::quote(name))?;
                    }
                    if optional.contains(name) {
                        write!(out, "optional({ty})")?;
                    } else {
                        write!(out, "{ty}")?;
                    }
                }
                out.write_str("})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_as_expressions() {
        for (ty, expected) in [
            (Type::Dynamic, "any"),
            (Type::list(Type::String), "list(string)"),
            (Type::set(Type::map(Type::Dynamic)), "set(map(any))"),
            (Type::tuple([Type::Bool, Type::Number]), "tuple([bool,number])"),
            (Type::object([("b", Type::Bool), ("a", Type::Number)]), "object({a=number,b=bool})"),
            (Type::object([("a b", Type::Bool)]), "object({\"a b\"=bool})"),
            (Type::object_with_optional([("a", Type::Bool)], ["a".into()]), "object({a=optional(bool)})"),
        ] {
            assert_eq!(ty.to_string(), expected);
        }
    }
}
