use std::collections::BTreeSet;
use std::sync::Arc;

use andon_text::deeper;
use serde_json::Value as Json;

use crate::{ConvertError, Kind, Number, Path, PathStep, Type, Value, convert};

/// Why a value has no JSON form, or JSON no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A part that is not known yet cannot be written.
    #[error("{}is not known yet", .0.prefix())]
    Unknown(Path),
    /// An infinity, of which JSON has none.
    #[error("{}is infinite, and JSON has no such number", .0.prefix())]
    Infinite(Path),
    /// A number beyond what a [`Number`] holds.
    #[error("the number {0} is too large or too small")]
    Number(String),
    /// What was read is not of the type asked for.
    #[error(transparent)]
    Type(#[from] ConvertError),
    /// What was read has an attribute that its type has not.
    #[error("there is no {0:?} in it")]
    Surplus(String),
    /// What was read is not the JSON form of a type.
    #[error("{0} is not a type")]
    NotAType(String),
}

impl Path {
    fn prefix(&self) -> String {
        if self.is_empty() { "the value ".to_owned() } else { format!("{self} ") }
    }
}

/// What is wrong with a part, as seen from what holds it.
pub(crate) fn within(step: PathStep) -> impl FnOnce(JsonError) -> JsonError {
    |error| match error {
        JsonError::Unknown(path) => JsonError::Unknown(path.within(step)),
        JsonError::Infinite(path) => JsonError::Infinite(path.within(step)),
        other => other,
    }
}

/// The value in plain JSON, as `jsonencode` has it: types, marks and the difference between lists and sets are lost.
pub fn to_json(value: &Value) -> Result<Json, JsonError> {
    Ok(match value.kind() {
        Kind::Null(_) => Json::Null,
        Kind::Unknown(..) => return Err(JsonError::Unknown(Path::new())),
        Kind::Bool(truth) => Json::Bool(*truth),
        Kind::Number(number) if number.is_infinite() => return Err(JsonError::Infinite(Path::new())),
        Kind::Number(number) => Json::Number(number_to_json(number)),
        Kind::String(text) => Json::String(text.to_string()),
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
            let elements = value.steps().map(|(step, child)| deeper(|| to_json(child)).map_err(within(step)));
            Json::Array(elements.collect::<Result<_, _>>()?)
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let entries = entries.iter().zip(value.steps()).map(|((name, _), (step, child))| {
                deeper(|| to_json(child)).map(|json| (name.to_string(), json)).map_err(within(step))
            });
            Json::Object(entries.collect::<Result<_, _>>()?)
        }
    })
}

/// The value of a type that plain JSON stands for.
pub fn from_json(json: &Json, ty: &Type) -> Result<Value, JsonError> {
    Ok(convert(&from_json_implied(json)?, ty)?)
}

/// The value that plain JSON stands for by itself, as `jsondecode` has it: arrays are tuples, objects are objects.
pub fn from_json_implied(json: &Json) -> Result<Value, JsonError> {
    deeper(|| implied_here(json))
}

fn implied_here(json: &Json) -> Result<Value, JsonError> {
    Ok(match json {
        Json::Null => Value::NULL,
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => Value::from(number_from_json(number)?),
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(elements) => Value::tuple(elements.iter().map(from_json_implied).collect::<Result<Vec<_>, _>>()?),
        Json::Object(entries) => {
            let entries =
                entries.iter().map(|(name, json)| Ok((Arc::<str>::from(name.as_str()), from_json_implied(json)?)));
            Value::object(entries.collect::<Result<Vec<_>, JsonError>>()?)
        }
    })
}

/// A type in JSON: `"string"`, `["list","string"]`, `["object",{"a":"number"}]`, with a third element that lists
/// the optional attributes, if any. State files and provider schemas have it so.
pub fn type_to_json(ty: &Type) -> Json {
    deeper(|| type_to_json_here(ty))
}

fn type_to_json_here(ty: &Type) -> Json {
    let pair = |name: &str, inner: Json| Json::Array(vec![Json::from(name), inner]);
    match ty {
        Type::Dynamic => Json::from("dynamic"),
        Type::Bool => Json::from("bool"),
        Type::Number => Json::from("number"),
        Type::String => Json::from("string"),
        Type::List(element) => pair("list", type_to_json(element)),
        Type::Set(element) => pair("set", type_to_json(element)),
        Type::Map(element) => pair("map", type_to_json(element)),
        Type::Tuple(elements) => pair("tuple", elements.iter().map(type_to_json).collect()),
        Type::Object { attributes, optional } => {
            let types = attributes.iter().map(|(name, ty)| (name.to_string(), type_to_json(ty)));
            let mut parts = vec![Json::from("object"), Json::Object(types.collect())];
            if !optional.is_empty() {
                parts.push(optional.iter().map(|name| Json::from(&**name)).collect());
            }
            Json::Array(parts)
        }
    }
}

/// The type that [`type_to_json`] wrote.
pub fn type_from_json(json: &Json) -> Result<Type, JsonError> {
    deeper(|| type_from_json_here(json))
}

fn type_from_json_here(json: &Json) -> Result<Type, JsonError> {
    let refuse = || JsonError::NotAType(json.to_string());
    match json {
        Json::String(name) => match name.as_str() {
            "dynamic" => Ok(Type::Dynamic),
            "bool" => Ok(Type::Bool),
            "number" => Ok(Type::Number),
            "string" => Ok(Type::String),
            _ => Err(refuse()),
        },
        Json::Array(parts) => match (parts.first().and_then(Json::as_str), parts.get(1..).unwrap_or_default()) {
            (Some("list"), [element]) => Ok(Type::list(type_from_json(element)?)),
            (Some("set"), [element]) => Ok(Type::set(type_from_json(element)?)),
            (Some("map"), [element]) => Ok(Type::map(type_from_json(element)?)),
            (Some("tuple"), [Json::Array(elements)]) => {
                Ok(Type::tuple(elements.iter().map(type_from_json).collect::<Result<Vec<_>, _>>()?))
            }
            (Some("object"), [Json::Object(types)]) => object_type(types, BTreeSet::new()),
            (Some("object"), [Json::Object(types), Json::Array(optional)]) => {
                let names = optional.iter().map(|name| name.as_str().map(Arc::from).ok_or_else(refuse));
                object_type(types, names.collect::<Result<_, _>>()?)
            }
            _ => Err(refuse()),
        },
        _ => Err(refuse()),
    }
}

fn object_type(types: &serde_json::Map<String, Json>, optional: BTreeSet<Arc<str>>) -> Result<Type, JsonError> {
    let attributes = types.iter().map(|(name, json)| Ok((name.as_str(), type_from_json(json)?)));
    Ok(Type::object_with_optional(attributes.collect::<Result<Vec<_>, JsonError>>()?, optional))
}

pub(crate) fn number_to_json(number: &Number) -> serde_json::Number {
    match number.to_i64() {
        Some(whole) if whole != 0 || !number.is_negative() => whole.into(),
        _ => serde_json::Number::from_string_unchecked(number.to_string()),
    }
}

pub(crate) fn number_from_json(number: &serde_json::Number) -> Result<Number, JsonError> {
    Number::parse(number.as_str()).ok_or_else(|| JsonError::Number(number.to_string()))
}
