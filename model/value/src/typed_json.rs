use std::collections::BTreeMap;
use std::sync::Arc;

use andon_text::deeper;
use serde_json::{Map, Value as Json};

use crate::json::{number_to_json, within};
use crate::{JsonError, Kind, Path, Type, Value, convert, from_json_implied, type_from_json, type_to_json};

/// The value in JSON by a type, as state files and provider plugins have it: as [`crate::to_json`] does, but where the
/// type leaves something open, the value comes with its own type, as `{"value": …, "type": …}`. Marks are left out.
pub fn to_typed_json(value: &Value, ty: &Type) -> Result<Json, JsonError> {
    deeper(|| typed_here(value, ty))
}

fn typed_here(value: &Value, ty: &Type) -> Result<Json, JsonError> {
    if *ty == Type::Dynamic {
        let own = value.ty();
        if own != Type::Dynamic {
            let parts = [("type", type_to_json(&own)), ("value", to_typed_json(value, &own)?)];
            return Ok(Json::Object(parts.map(|(name, json)| (name.to_owned(), json)).into_iter().collect()));
        }
    }
    Ok(match value.kind() {
        Kind::Null(_) => Json::Null,
        Kind::Unknown(..) => return Err(JsonError::Unknown(Path::new())),
        Kind::Bool(truth) => Json::Bool(*truth),
        Kind::Number(number) if number.is_infinite() => return Err(JsonError::Infinite(Path::new())),
        Kind::Number(number) => Json::Number(number_to_json(number)),
        Kind::String(text) => Json::String(text.to_string()),
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
            let elements = value.steps().enumerate().map(|(index, (step, child))| {
                let ty = match ty {
                    Type::Tuple(types) => types.get(index),
                    other => other.element(),
                };
                // Of a value that is not of its type, its own type is as good.
                let json = ty.map_or_else(|| to_typed_json(child, &child.ty()), |ty| to_typed_json(child, ty));
                json.map_err(within(step))
            });
            Json::Array(elements.collect::<Result<_, _>>()?)
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let entries = entries.iter().zip(value.steps()).map(|((name, child), (step, _))| {
                let ty = ty.attribute(name).or_else(|| ty.element());
                let json = ty.map_or_else(|| to_typed_json(child, &child.ty()), |ty| to_typed_json(child, ty));
                Ok((name.to_string(), json.map_err(within(step))?))
            });
            Json::Object(entries.collect::<Result<Map<_, _>, JsonError>>()?)
        }
    })
}

/// The value of a type that [`to_typed_json`] wrote. What an object leaves out is null; what it has too much is an
/// error, and text is taken where it reads as the number or bool that is asked for.
pub fn from_typed_json(json: &Json, ty: &Type) -> Result<Value, JsonError> {
    deeper(|| read_here(json, ty))
}

fn read_here(json: &Json, ty: &Type) -> Result<Value, JsonError> {
    match (json, ty) {
        (Json::Null, _) => Ok(Value::null(ty.without_optional())),
        (Json::Object(parts), Type::Dynamic) => match (parts.get("type"), parts.get("value")) {
            (Some(own), Some(value)) if parts.len() == 2 => from_typed_json(value, &type_from_json(own)?),
            _ => Err(JsonError::NotAType(json.to_string())),
        },
        (_, Type::Dynamic) => Err(JsonError::NotAType(json.to_string())),
        (Json::Array(elements), Type::List(element)) => {
            Ok(Value::list(element.without_optional(), read_all(elements, element)?))
        }
        (Json::Array(elements), Type::Set(element)) => {
            Ok(Value::set(element.without_optional(), read_all(elements, element)?))
        }
        (Json::Array(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            let elements = elements.iter().zip(types.iter()).map(|(element, ty)| from_typed_json(element, ty));
            Ok(Value::tuple(elements.collect::<Result<Vec<_>, _>>()?))
        }
        (Json::Object(entries), Type::Map(element)) => {
            let entries = entries.iter().map(|(name, json)| Ok((name.as_str(), from_typed_json(json, element)?)));
            Ok(Value::map(element.without_optional(), entries.collect::<Result<Vec<_>, JsonError>>()?))
        }
        (Json::Object(entries), Type::Object { attributes, .. }) => {
            let mut values: BTreeMap<Arc<str>, Value> = BTreeMap::new();
            for (name, ty) in attributes.iter() {
                values.insert(name.clone(), from_typed_json(entries.get(&**name).unwrap_or(&Json::Null), ty)?);
            }
            match entries.keys().find(|name| !attributes.contains_key(name.as_str())) {
                Some(surplus) => Err(JsonError::Surplus(surplus.clone())),
                None => Ok(Value::object(values)),
            }
        }
        // The rest fits by conversion, or says why it does not.
        _ => Ok(convert(&from_json_implied(json)?, ty)?),
    }
}

fn read_all(elements: &[Json], ty: &Type) -> Result<Vec<Value>, JsonError> {
    elements.iter().map(|element| from_typed_json(element, ty)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod tests {
    use super::*;

    #[test]
    fn what_a_type_leaves_open_comes_with_its_type() {
        let ty = Type::object([("any", Type::Dynamic), ("list", Type::list(Type::Number)), ("text", Type::String)]);
        for (json, back) in [
            (r#"{"any":null,"list":[1,2.5],"text":"x"}"#, None),
            (r#"{"any":{"type":"string","value":"a"},"list":null,"text":null}"#, None),
            (r#"{"any":{"type":["list","bool"],"value":[true]},"list":[],"text":""}"#, None),
            (r#"{"any":{"type":["object",{"a":["tuple",["number"]]}],"value":{"a":[1]}},"list":[],"text":""}"#, None),
            (r#"{"any":{"type":"string","value":null},"list":[],"text":""}"#, None),
            (r#"{"any":{"value":"a","type":"string"},"list":["1"],"text":5}"#, Some("1")),
            (r#"{}"#, Some("null")),
        ] {
            let json: Json = serde_json::from_str(json).unwrap();
            let value = from_typed_json(&json, &ty).unwrap();
            let written = to_typed_json(&value, &ty).unwrap();
            match back {
                None => assert_eq!(written, json),
                Some(part) => assert!(written.to_string().contains(part), "{written}"),
            }
            assert_eq!(from_typed_json(&written, &ty).unwrap(), value);
        }
        for json in [r#"{"more":1}"#, r#"{"any":"x"}"#, r#"{"any":{"value":1}}"#, r#"{"list":{}}"#, r#"[]"#, "1"] {
            assert!(from_typed_json(&serde_json::from_str(json).unwrap(), &ty).is_err(), "{json}");
        }
        assert!(to_typed_json(&Value::object([("text", Value::UNKNOWN)]), &ty).is_err());
    }
}
