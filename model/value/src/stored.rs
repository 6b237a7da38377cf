use std::sync::Arc;

use andon_text::deeper;
use serde_json::{Map, Value as Json, json};

use crate::json::{number_from_json, number_to_json};
use crate::{Bound, JsonError, Kind, Marks, Number, Range, Refinement, Type, Value, type_from_json, type_to_json};

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
    deeper(|| encode_here(value))
}

fn encode_here(value: &Value) -> Json {
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
        Kind::Unknown(ty, known) => encode_unknown(ty, known),
        Kind::Bool(truth) => Json::Bool(*truth),
        // JSON has no number for it.
        Kind::Number(number) if number.is_infinite() => json!({ TAG: "number", "in": number.to_string() }),
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
    deeper(|| decode_here(json))
}

fn decode_here(json: &Json) -> Result<Value, DecodeError> {
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

/// What is known of an unknown value stands beside its type, only where there is something. A program that does not
/// know these names reads a value of which less is known, which is right as well.
fn encode_unknown(ty: &Type, known: &Refinement) -> Json {
    let mut entries = Map::new();
    entries.insert(TAG.to_owned(), Json::from("unknown"));
    entries.insert("type".to_owned(), type_to_json(ty));
    if known.not_null {
        entries.insert("not_null".to_owned(), Json::Bool(true));
    }
    match known.range.as_deref() {
        None => {}
        Some(Range::Prefix(prefix)) => {
            entries.insert("prefix".to_owned(), Json::from(&**prefix));
        }
        Some(Range::Number { least, most }) => {
            for (name, bound) in [("least", least), ("most", most)] {
                let Some(Bound { number, inclusive }) = bound else { continue };
                entries.insert(name.to_owned(), json!([number_to_json(number), inclusive]));
            }
        }
        Some(Range::Length { least, most }) => {
            entries.insert("length".to_owned(), json!([least, most]));
        }
    }
    Json::Object(entries)
}

/// `None` where something is not what [`encode_unknown`] writes.
fn decode_refinement(entries: &Map<String, Json>) -> Option<Refinement> {
    let not_null = entries.get("not_null").is_some_and(|json| *json == Json::Bool(true));
    let bound = |name: &str| match entries.get(name).map(Json::as_array) {
        None => Some(None),
        Some(Some(pair)) => match pair.as_slice() {
            [Json::Number(number), Json::Bool(inclusive)] => {
                Some(Some(Bound { number: number_from_json(number).ok()?, inclusive: *inclusive }))
            }
            _ => None,
        },
        Some(None) => None,
    };
    let count = |json: &Json| match json {
        Json::Number(number) => Number::parse(number.as_str())?.to_usize(),
        _ => None,
    };
    let range = match (entries.get("prefix"), entries.get("length")) {
        (Some(prefix), _) => Some(Range::Prefix(prefix.as_str()?.into())),
        (None, Some(length)) => match length.as_array()?.as_slice() {
            [least, Json::Null] => Some(Range::Length { least: count(least)?, most: None }),
            [least, most] => Some(Range::Length { least: count(least)?, most: Some(count(most)?) }),
            _ => return None,
        },
        (None, None) => match (bound("least")?, bound("most")?) {
            (None, None) => None,
            (least, most) => Some(Range::Number { least, most }),
        },
    };
    Some(Refinement { not_null, range: range.map(std::sync::Arc::new) })
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
        "unknown" => Ok(Value::refined(ty("type")?, decode_refinement(entries).ok_or_else(refuse)?)),
        "number" => {
            let number = part("in")?.as_str().and_then(Number::parse);
            number.map(Value::from).ok_or_else(refuse)
        }
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
