use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use andon_text::deeper;

use crate::{Kind, Marks, Number, Path, PathStep, Range, Refinement, Type, Value, unify};

/// Why a value cannot be of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertError {
    /// The part of the value that is at fault.
    pub path: Path,
    /// What is wrong with it, as a clause: `a number is required, but this is a bool`. Shows no secret.
    pub message: String,
}

impl ConvertError {
    fn new(message: impl Into<String>) -> ConvertError {
        ConvertError { path: Path::new(), message: message.into() }
    }

    fn within(self, step: PathStep) -> ConvertError {
        ConvertError { path: self.path.within(step), ..self }
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { out.write_str(&self.message) } else { write!(out, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for ConvertError {}

/// The value as one of the type, by the rules of the Terraform language
/// (<https://developer.hashicorp.com/terraform/language/expressions/types#type-conversion>). `any` in the type keeps
/// what the value has; as an element type, it is the type that all elements agree on. Marks and unknowns are kept.
pub fn convert(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
    deeper(|| convert_here(value, ty))
}

fn convert_here(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
    let marks = value.marks();
    if let Some(same) = unchanged(value, ty) {
        return Ok(same);
    }
    let converted = match (value.kind(), ty) {
        (_, Type::Dynamic) => Ok(value.clone()),
        (Kind::Null(from), _) => Ok(Value::null(convert_type(from, ty)?)),
        (Kind::Unknown(from, known), _) => unknown_as(value, from, known, ty),
        (Kind::String(text), Type::Number) => Number::parse(text)
            .map(Value::from)
            .ok_or_else(|| ConvertError::new(format!("a number is required, but {} is none", crate::quote(text)))),
        (Kind::String(text), Type::Bool) => match &**text {
            "true" | "1" => Ok(Value::from(true)),
            "false" | "0" => Ok(Value::from(false)),
            _ => {
                let text = crate::quote(text);
                Err(ConvertError::new(format!("a bool is required, but {text} is neither \"true\" nor \"false\"")))
            }
        },
        (Kind::Bool(truth), Type::String) => Ok(Value::string(if *truth { "true" } else { "false" })),
        (Kind::Number(number), Type::String) => Ok(Value::string(number.to_string())),
        (Kind::List(..) | Kind::Set(..) | Kind::Tuple(_), Type::List(element) | Type::Set(element)) => {
            to_sequence(value, element, ty)
        }
        (Kind::Map(..) | Kind::Object(_), Type::Map(element)) => to_map(value, element),
        (Kind::Tuple(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            let converted = elements.iter().zip(types.iter()).enumerate().map(|(index, (element, ty))| {
                convert(element, ty).map_err(|error| error.within(PathStep::Index(index)))
            });
            Ok(Value::new(Kind::Tuple(converted.collect::<Result<_, _>>()?)))
        }
        (Kind::Map(..) | Kind::Object(_), Type::Object { attributes, optional }) => {
            to_object(value, attributes, optional)
        }
        _ => Err(mismatch(&value.ty(), ty)),
    };
    match converted {
        Ok(converted) => Ok(converted.mark(marks)),
        // What is wrong with a part of a secret would tell of the secret.
        Err(_) if marks != Marks::NONE => {
            let which = if marks.sensitive { "sensitive" } else { "ephemeral" };
            Err(ConvertError::new(format!("{} is required, and this {which} value is none", ty.in_words())))
        }
        Err(error) => Err(error),
    }
}

/// An unknown value after conversion: it is as little null as before, has as many elements (fewer where equal ones
/// become one in a set), and starts as before where it stays a string.
fn unknown_as(value: &Value, from: &Type, known: &Refinement, ty: &Type) -> Result<Value, ConvertError> {
    let to = convert_type(from, ty)?;
    if to == *from {
        return Ok(value.clone().unmark().0);
    }
    let range = match (from, &to) {
        (Type::List(_) | Type::Set(_) | Type::Map(_) | Type::Tuple(_) | Type::Object { .. }, _)
            if to.element().is_some() =>
        {
            let (least, most) = value.length_bounds();
            let least = if matches!(to, Type::Set(_)) { least.min(1) } else { least };
            Some(Arc::new(Range::Length { least, most }))
        }
        _ => None,
    };
    Ok(Value::refined(to, Refinement { not_null: known.not_null, range }))
}

/// The type that a value of `from` has after conversion to `to`: `to` with its `any` filled in. An error where no
/// value of `from` can be converted.
pub fn convert_type(from: &Type, to: &Type) -> Result<Type, ConvertError> {
    deeper(|| convert_type_here(from, to))
}

fn convert_type_here(from: &Type, to: &Type) -> Result<Type, ConvertError> {
    match (from, to) {
        (_, Type::Dynamic) => Ok(from.clone()),
        (Type::Dynamic, _) => Ok(to.without_optional()),
        _ if from == to => Ok(to.without_optional()),
        (Type::String, Type::Number | Type::Bool) | (Type::Number | Type::Bool, Type::String) => Ok(to.clone()),
        (Type::List(own) | Type::Set(own), Type::List(element)) => Ok(Type::list(convert_type(own, element)?)),
        (Type::List(own) | Type::Set(own), Type::Set(element)) => Ok(Type::set(convert_type(own, element)?)),
        (Type::Tuple(own), Type::List(element)) => Ok(Type::list(element_type(own.iter(), element)?)),
        (Type::Tuple(own), Type::Set(element)) => Ok(Type::set(element_type(own.iter(), element)?)),
        (Type::Tuple(own), Type::Tuple(types)) if own.len() == types.len() => {
            let converted = own.iter().zip(types.iter()).map(|(own, ty)| convert_type(own, ty));
            Ok(Type::tuple(converted.collect::<Result<Vec<_>, _>>()?))
        }
        (Type::Map(own), Type::Map(element)) => Ok(Type::map(convert_type(own, element)?)),
        (Type::Object { attributes, .. }, Type::Map(element)) => {
            Ok(Type::map(element_type(attributes.values(), element)?))
        }
        (Type::Map(own), Type::Object { attributes, optional }) => {
            let converted = attributes.iter().map(|(name, ty)| match convert_type(own, ty) {
                // The map may have no such key.
                Err(_) if optional.contains(name) => Ok((name.clone(), ty.without_optional())),
                converted => Ok((name.clone(), converted?)),
            });
            Ok(Type::object(converted.collect::<Result<Vec<_>, ConvertError>>()?))
        }
        (Type::Object { attributes: own, .. }, Type::Object { attributes, optional }) => {
            let converted = attributes.iter().map(|(name, ty)| match own.get(name) {
                Some(own) => {
                    let step = || PathStep::Attribute(name.clone());
                    convert_type(own, ty).map(|ty| (name.clone(), ty)).map_err(|error| error.within(step()))
                }
                None if optional.contains(name) => Ok((name.clone(), ty.without_optional())),
                None => Err(missing(name)),
            });
            Ok(Type::object(converted.collect::<Result<Vec<_>, _>>()?))
        }
        _ => Err(mismatch(from, to)),
    }
}

/// The value itself where it plainly is of the type already: the common case, for which nothing is copied.
fn unchanged(value: &Value, ty: &Type) -> Option<Value> {
    let same = match (value.kind(), ty) {
        (Kind::Bool(_), Type::Bool) | (Kind::Number(_), Type::Number) | (Kind::String(_), Type::String) => true,
        (Kind::List(own, _), Type::List(element))
        | (Kind::Set(own, _), Type::Set(element))
        | (Kind::Map(own, _), Type::Map(element)) => *own == **element,
        _ => false,
    };
    same.then(|| value.clone())
}

fn to_sequence(value: &Value, element: &Type, ty: &Type) -> Result<Value, ConvertError> {
    let is_set = matches!(ty, Type::Set(_));
    // Where in the order an unknown element stands, and whether it is one of the others, is not known.
    if let (Kind::Set(own, _), false) = (value.kind(), is_set || value.is_wholly_known()) {
        let (least, most) = value.length_bounds();
        let open = Type::list(convert_type(own, element)?);
        return Ok(Value::unknown(open).with_length(least, most));
    }
    let own = match value.kind() {
        Kind::List(own, _) | Kind::Set(own, _) => Some(own),
        _ => None,
    };
    let step = |index: usize, child: &Value| match value.kind() {
        Kind::Set(..) => PathStep::Element(child.clone()),
        _ => PathStep::Index(index),
    };
    let children: Vec<&Value> = value.children().collect();
    let Some(element) = settle(own, &children, element)? else {
        let (least, most) = value.length_bounds();
        let element = element.without_optional();
        // Equal ones become one in a set.
        let (open, least) = if is_set { (Type::set(element), least.min(1)) } else { (Type::list(element), least) };
        return Ok(Value::unknown(open).not_null().with_length(least, most).mark(value.marks_within()));
    };
    let converted = children
        .into_iter()
        .enumerate()
        .map(|(index, child)| convert(child, &element).map_err(|error| error.within(step(index, child))));
    let converted = converted.collect::<Result<Vec<Value>, _>>()?;
    let (converted, own) = settled(converted, &element)?;
    Ok(if is_set { Value::set(own, converted) } else { Value::list(own, converted) })
}

fn to_map(value: &Value, element: &Type) -> Result<Value, ConvertError> {
    let Some(entries) = value.as_entries() else { return Err(mismatch(&value.ty(), &Type::map(element.clone()))) };
    let own = match value.kind() {
        Kind::Map(own, _) => Some(own),
        _ => None,
    };
    let children: Vec<&Value> = entries.values().collect();
    let Some(element) = settle(own, &children, element)? else {
        let (least, most) = value.length_bounds();
        let open = Value::unknown(Type::map(element.without_optional())).not_null();
        return Ok(open.with_length(least, most).mark(value.marks_within()));
    };
    let converted = entries.iter().map(|(name, child)| {
        let step = || match value.kind() {
            Kind::Map(..) => PathStep::Key(name.clone()),
            _ => PathStep::Attribute(name.clone()),
        };
        Ok((name.clone(), convert(child, &element).map_err(|error| error.within(step()))?))
    });
    let (keys, values): (Vec<Arc<str>>, Vec<Value>) =
        converted.collect::<Result<Vec<(Arc<str>, Value)>, ConvertError>>()?.into_iter().unzip();
    let (values, own) = settled(values, &element)?;
    Ok(Value::map(own, keys.into_iter().zip(values)))
}

fn to_object(
    value: &Value,
    attributes: &BTreeMap<Arc<str>, Type>,
    optional: &BTreeSet<Arc<str>>,
) -> Result<Value, ConvertError> {
    let Some(entries) = value.as_entries() else {
        return Err(mismatch(&value.ty(), &Type::object([("", Type::Dynamic)])));
    };
    let converted = attributes.iter().map(|(name, ty)| match entries.get(name) {
        Some(child) => {
            let step = || PathStep::Attribute(name.clone());
            Ok((name.clone(), convert(child, ty).map_err(|error| error.within(step()))?))
        }
        None if optional.contains(name) => Ok((name.clone(), Value::null(ty.without_optional()))),
        None => Err(missing(name)),
    });
    Ok(Value::object(converted.collect::<Result<Vec<_>, _>>()?))
}

/// The element type to convert each element to: `element`, with its `any` filled in by what all elements agree on.
/// `None` where an element of a type that is not known yet takes part in the agreement.
fn settle(own: Option<&Type>, children: &[&Value], element: &Type) -> Result<Option<Type>, ConvertError> {
    if !element.has_dynamic() {
        return Ok(Some(element.clone()));
    }
    if children.iter().any(|child| is_of_unknown_type(child)) {
        // Beside strings, whatever becomes known must become a string.
        let known = children.iter().map(|child| child.ty()).filter(|ty| *ty != Type::Dynamic);
        let string = *element == Type::Dynamic && unify(&known.collect::<Vec<_>>()) == Some(Type::String);
        return Ok(string.then_some(Type::String));
    }
    match own {
        Some(own) if *own != Type::Dynamic => convert_type(own, element).map(Some),
        _ => {
            let types: Vec<Type> = children.iter().map(|child| child.ty()).collect();
            let agreed = element_type(types.iter(), element)?;
            // Attributes that may be left out still may: conversion of each element fills them in.
            Ok(Some(if *element == Type::Dynamic { agreed } else { with_optional_of(&agreed, element) }))
        }
    }
}

/// `filled` with the optional attributes that `constraint` has in the same places.
fn with_optional_of(filled: &Type, constraint: &Type) -> Type {
    deeper(|| with_optional_here(filled, constraint))
}

fn with_optional_here(filled: &Type, constraint: &Type) -> Type {
    match (filled, constraint) {
        (Type::List(inner), Type::List(other)) => Type::list(with_optional_of(inner, other)),
        (Type::Set(inner), Type::Set(other)) => Type::set(with_optional_of(inner, other)),
        (Type::Map(inner), Type::Map(other)) => Type::map(with_optional_of(inner, other)),
        (Type::Tuple(inner), Type::Tuple(others)) => {
            Type::tuple(inner.iter().zip(others.iter()).map(|(inner, other)| with_optional_of(inner, other)))
        }
        (Type::Object { attributes, .. }, Type::Object { attributes: others, optional }) => {
            let attributes = attributes.iter().map(|(name, ty)| {
                (name.clone(), others.get(name).map_or_else(|| ty.clone(), |other| with_optional_of(ty, other)))
            });
            Type::object_with_optional(attributes, optional.iter().cloned())
        }
        _ => filled.clone(),
    }
}

/// Whether the value is, or has in it, something of which not even the type is known.
fn is_of_unknown_type(value: &Value) -> bool {
    match value.kind() {
        Kind::Unknown(ty, _) => ty.has_dynamic(),
        _ => value.children().any(|child| deeper(|| is_of_unknown_type(child))),
    }
}

/// Elements that were converted to `element`, all of one type, and that type. One whose type is still open, such as an
/// empty list, becomes of the type that the others have.
fn settled(converted: Vec<Value>, element: &Type) -> Result<(Vec<Value>, Type), ConvertError> {
    let mut types = converted.iter().map(Value::ty).filter(|ty| !ty.has_dynamic());
    let ty = match types.next() {
        Some(ty) if element.has_dynamic() => ty,
        _ => return Ok((converted, element.without_optional())),
    };
    let apart = || not_one_type(converted.iter().map(Value::ty));
    if types.any(|other| other != ty) {
        return Err(apart());
    }
    let converted = converted.iter().map(|value| convert(value, &ty).map_err(|_| apart()));
    Ok((converted.collect::<Result<_, _>>()?, ty))
}

/// What elements of these types become under an element constraint.
fn element_type<'a>(own: impl Iterator<Item = &'a Type>, element: &Type) -> Result<Type, ConvertError> {
    let converted = own.map(|own| convert_type(own, element)).collect::<Result<Vec<_>, _>>()?;
    if !element.has_dynamic() || converted.is_empty() {
        return Ok(element.without_optional());
    }
    // An untyped null beside a list, a map and their like leaves the type of the elements open.
    let agreed = unify(&converted).filter(|ty| *ty != Type::Dynamic || converted.iter().all(|ty| *ty == Type::Dynamic));
    agreed.ok_or_else(|| not_one_type(converted.iter().cloned()))
}

fn not_one_type(types: impl Iterator<Item = Type>) -> ConvertError {
    let mut kinds: Vec<String> = Vec::new();
    for kind in types.map(|ty| if ty == Type::Dynamic { "null".to_owned() } else { ty.in_words() }) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let kinds = match kinds.as_slice() {
        [only] => format!("{only} and others that differ inside"),
        _ => kinds.join(" and "),
    };
    ConvertError::new(format!("all elements must have the same type, but there are {kinds}"))
}

fn missing(name: &str) -> ConvertError {
    ConvertError::new(format!("the attribute {} is required", crate::quote(name)))
}

fn mismatch(from: &Type, to: &Type) -> ConvertError {
    match (from, to) {
        (Type::Tuple(own), Type::Tuple(types)) => {
            ConvertError::new(format!("{} elements are required, but there are {}", types.len(), own.len()))
        }
        _ => ConvertError::new(format!("{} is required, but this is {}", to.in_words(), from.in_words())),
    }
}
