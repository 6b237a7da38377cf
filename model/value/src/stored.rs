use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::json::{number_from_json, number_to_json};
use crate::{JsonError, Kind, Marks, Type, Value, type_from_json, type_to_json};

/// The name that tells a tagged form from an object. An object that has it among its own names is tagged itself.
const TAG: &str = "$";

/// Why stored JSON is no value. It was not written by [`encode`], or by a later one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A tagged form without the parts that its tag asks for, or with a tag that is not known.
    #[error("not a stored value: {0}")]
    Form(String),
    /// A number or a type in it cannot be read.
    #[error(transparent)]
    Part(#[from] JsonError),
}

/// The value in the JSON form that is stored: nothing is lost, neither types nor unknowns nor marks. Bools, numbers,
/// strings, tuples, objects and untyped nulls are themselves; everything else is an object tagged with `$`. The
/// ledger's record format names the version of this form.
pub fn encode(value: &Value) -> Json {
    let marks = value.marks();
    if marks != Marks::NONE {
        let (unmarked, _) = value.clone().unmark();
        let names = [("sensitive", marks.sensitive), ("ephemeral", marks.ephemeral)];
        let names: Vec<&str> = names.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        return json!({ TAG: "marked", "marks": names, "in": encode(&unmarked) });
    }
    match value.kind() {
        Kind::Null(Type::Dynamic) => Json::Null,
        Kind::Null(ty) => json!({ TAG: "null", "type": type_to_json(ty) }),
        Kind::Unknown(ty) => json!({ TAG: "unknown", "type": type_to_json(ty) }),
        Kind::Bool(truth) => Json::Bool(*truth),
        Kind::Number(number) => Json::Number(number_to_json(number)),
        Kind::String(text) => Json::String(text.to_string()),
        Kind::Tuple(elements) => elements.iter().map(encode).collect(),
        Kind::List(ty, elements) => tagged("list", ty, elements.iter().map(encode).collect()),
        Kind::Set(ty, elements) => tagged("set", ty, elements.iter().map(encode).collect()),
        Kind::Map(ty, _) => tagged("map", ty, encode_entries(value)),
        Kind::Object(entries) if entries.contains_key(TAG) => json!({ TAG: "object", "in": encode_entries(value) }),
        Kind::Object(_) => encode_entries(value),
    }
}

/// The value that [`encode`] wrote.
pub fn decode(json: &Json) -> Result<Value, DecodeError> {
    match json {
        Json::Null => Ok(Value::NULL),
        Json::Bool(truth) => Ok(Value::from(*truth)),
        Json::Number(number) => Ok(Value::from(number_from_json(number)?)),
        Json::String(text) => Ok(Value::new(Kind::String(Arc::from(text.as_str())))),
        Json::Array(elements) => Ok(Value::tuple(decode_all(elements)?)),
        Json::Object(entries) => match entries.get(TAG) {
            Some(tag) => decode_tagged(tag.as_str().unwrap_or_default(), entries),
            None => Ok(Value::object(decode_entries(entries)?)),
        },
    }
}

fn tagged(tag: &str, ty: &Type, inner: Json) -> Json {
    json!({ TAG: tag, "of": type_to_json(ty), "in": inner })
}

fn encode_entries(value: &Value) -> Json {
    let entries = value.as_entries().into_iter().flat_map(|entries| entries.iter());
    Json::Object(entries.map(|(name, value)| (name.to_string(), encode(value))).collect())
}

fn decode_tagged(tag: &str, entries: &Map<String, Json>) -> Result<Value, DecodeError> {
    let refuse = || DecodeError::Form(Json::Object(entries.clone()).to_string());
    let part = |name: &str| entries.get(name).ok_or_else(refuse);
    let ty = |name: &str| part(name).and_then(|json| Ok(type_from_json(json)?));
    let array = || part("in")?.as_array().ok_or_else(refuse);
    let object = || part("in")?.as_object().ok_or_else(refuse);
    match tag {
        "null" => Ok(Value::null(ty("type")?)),
        "unknown" => Ok(Value::unknown(ty("type")?)),
        "list" => Ok(Value::list(ty("of")?, decode_all(array()?)?)),
        "set" => Ok(Value::set(ty("of")?, decode_all(array()?)?)),
        "map" => Ok(Value::map(ty("of")?, decode_entries(object()?)?)),
        "object" => Ok(Value::object(decode_entries(object()?)?)),
        "marked" => {
            let names = part("marks")?.as_array().ok_or_else(refuse)?;
            let mut marks = Marks::NONE;
            for name in names {
                match name.as_str() {
                    Some("sensitive") => marks.sensitive = true,
                    Some("ephemeral") => marks.ephemeral = true,
                    _ => return Err(refuse()),
                }
            }
            Ok(decode(part("in")?)?.mark(marks))
        }
        _ => Err(refuse()),
    }
}

fn decode_all(elements: &[Json]) -> Result<Vec<Value>, DecodeError> {
    elements.iter().map(decode).collect()
}

fn decode_entries(entries: &Map<String, Json>) -> Result<Vec<(Arc<str>, Value)>, DecodeError> {
    entries.iter().map(|(name, json)| Ok((Arc::from(name.as_str()), decode(json)?))).collect()
}
