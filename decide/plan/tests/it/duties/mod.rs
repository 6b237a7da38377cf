//! Core's duties around the calls of a provider, as tables of cases and as properties.
//!
//! A schema is written `{ "name": "r string", "rule": { "list": { … } }, "disk": { "oc single": { … } } }`: attributes
//! with their flags (`r` required, `o` optional, `c` computed, `s` secret, `w` write-only) and type, kinds of block with
//! their nesting, and attributes whose objects the provider describes. A value is JSON of that shape in which `"?"` is
//! unknown, `{ "$": … }` is a secret, and what is left out is null, or no block.

mod completion;
mod generated;
mod ignore;
mod judged;
mod marks;
mod properties;
mod propose;
mod stored;

use std::sync::Arc;

use andon_plan::duties::Fault;
use andon_schema::{Attribute, Block, NestedAttributes, NestedBlock, Nesting};
use andon_value::{Kind, Marks, Path, PathStep, Type, Value, from_json_implied};
use serde_json::{Value as Json, json};

fn schema(json: &Json) -> Block {
    let mut block = Block::default();
    for (name, member) in json.as_object().unwrap() {
        match member {
            Json::String(text) => {
                let (flags, ty) = text.split_once(' ').unwrap();
                block.attributes.insert(name.clone(), attribute(flags, ty_of(ty)));
            }
            _ => {
                let (key, inner) = member.as_object().unwrap().iter().next().unwrap();
                let inner = schema(inner);
                match key.split_once(' ') {
                    Some((flags, nesting)) => {
                        let nested = NestedAttributes { nesting: nesting_of(nesting), attributes: inner.attributes };
                        let object = Type::object(nested.attributes.iter().map(|(n, a)| (n.as_str(), a.ty.clone())));
                        let ty = match nested.nesting {
                            Nesting::Single | Nesting::Group => object,
                            Nesting::List => Type::list(object),
                            Nesting::Set => Type::set(object),
                            Nesting::Map => Type::map(object),
                        };
                        let attribute = Attribute { nested: Some(Arc::new(nested)), ..attribute(flags, ty) };
                        block.attributes.insert(name.clone(), attribute);
                    }
                    None => {
                        let nested = NestedBlock { nesting: nesting_of(key), block: inner, min_items: 0, max_items: 0 };
                        block.blocks.insert(name.clone(), nested);
                    }
                }
            }
        }
    }
    block
}

fn attribute(flags: &str, ty: Type) -> Attribute {
    let has = |flag: char| flags.contains(flag);
    Attribute {
        required: has('r'),
        optional: has('o'),
        computed: has('c'),
        sensitive: has('s'),
        write_only: has('w'),
        ..Attribute::optional(ty, "")
    }
}

fn nesting_of(word: &str) -> Nesting {
    match word {
        "single" => Nesting::Single,
        "group" => Nesting::Group,
        "list" => Nesting::List,
        "set" => Nesting::Set,
        "map" => Nesting::Map,
        other => panic!("{other}"),
    }
}

fn ty_of(words: &str) -> Type {
    match words.split_once(' ') {
        Some(("list", inner)) => Type::list(ty_of(inner)),
        Some(("set", inner)) => Type::set(ty_of(inner)),
        Some(("map", inner)) => Type::map(ty_of(inner)),
        None if words == "string" => Type::String,
        None if words == "number" => Type::Number,
        None if words == "bool" => Type::Bool,
        None if words == "dynamic" => Type::Dynamic,
        _ => panic!("{words}"),
    }
}

/// The object of a schema that JSON stands for.
fn value(schema: &Block, json: &Json) -> Value {
    if let Some(value) = special(&schema.implied_type(), json) {
        return value;
    }
    let entries = json.as_object().unwrap();
    for name in entries.keys() {
        assert!(schema.attributes.contains_key(name) || schema.blocks.contains_key(name), "no {name}");
    }
    let attributes = schema
        .attributes
        .iter()
        .map(|(name, attribute)| (name.as_str(), typed(&attribute.ty, entries.get(name).unwrap_or(&Json::Null))));
    let blocks = schema.blocks.iter().map(|(name, nested)| (name.as_str(), blocks(nested, entries.get(name))));
    Value::object(attributes.chain(blocks))
}

fn blocks(nested: &NestedBlock, json: Option<&Json>) -> Value {
    let ty = nested.implied_type();
    let inner = nested.block.implied_type();
    let open = inner.has_dynamic();
    let json = match (json, nested.nesting) {
        (Some(json), _) => json.clone(),
        (None, Nesting::Single) => Json::Null,
        (None, Nesting::List | Nesting::Set) => json!([]),
        (None, Nesting::Group | Nesting::Map) => json!({}),
    };
    if let Some(value) = special(&ty, &json) {
        return value;
    }
    let elements = || json.as_array().unwrap().iter().map(|json| value(&nested.block, json));
    let entries = || json.as_object().unwrap().iter().map(|(key, json)| (key.as_str(), value(&nested.block, json)));
    match nested.nesting {
        Nesting::Single | Nesting::Group => value(&nested.block, &json),
        Nesting::List if open => Value::tuple(elements()),
        Nesting::List => Value::list(inner, elements()),
        Nesting::Set => Value::set(inner, elements()),
        Nesting::Map if open => Value::object(entries()),
        Nesting::Map => Value::map(inner, entries()),
    }
}

fn typed(ty: &Type, json: &Json) -> Value {
    if let Some(value) = special(ty, json) {
        return value;
    }
    match (ty, json) {
        (Type::List(inner), Json::Array(elements)) => {
            Value::list((**inner).clone(), elements.iter().map(|json| typed(inner, json)))
        }
        (Type::Set(inner), Json::Array(elements)) => {
            Value::set((**inner).clone(), elements.iter().map(|json| typed(inner, json)))
        }
        (Type::Map(inner), Json::Object(entries)) => {
            Value::map((**inner).clone(), entries.iter().map(|(key, json)| (key.as_str(), typed(inner, json))))
        }
        (Type::Object { attributes, .. }, Json::Object(entries)) => Value::object(
            attributes.iter().map(|(name, ty)| (name.clone(), typed(ty, entries.get(&**name).unwrap_or(&Json::Null)))),
        ),
        (Type::Dynamic, Json::Array(elements)) => Value::tuple(elements.iter().map(|json| typed(ty, json))),
        (Type::Dynamic, Json::Object(entries)) => {
            Value::object(entries.iter().map(|(key, json)| (key.as_str(), typed(ty, json))))
        }
        _ => from_json_implied(json).unwrap(),
    }
}

fn special(ty: &Type, json: &Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::null(ty.clone())),
        Json::String(text) if text == "?" => Some(Value::unknown(ty.clone())),
        Json::String(text) if text.starts_with("?!") => {
            Some(Value::unknown(ty.clone()).with_prefix(text.trim_start_matches("?!")))
        }
        Json::Object(entries) if entries.contains_key("$") => Some(typed(ty, &entries["$"]).mark(Marks::SENSITIVE)),
        _ => None,
    }
}

/// The value as it is written here.
fn show(value: &Value) -> Json {
    let shown = match value.kind() {
        Kind::Null(_) => Json::Null,
        Kind::Unknown(..) => json!("?"),
        Kind::Bool(truth) => json!(truth),
        Kind::String(text) => json!(**text),
        Kind::Number(number) => json!(number.to_string()),
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => value.children().map(show).collect(),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let given = entries.iter().filter(|(_, value)| !value.is_null());
            Json::Object(given.map(|(name, value)| (name.to_string(), show(value))).collect())
        }
    };
    if value.marks().sensitive { json!({ "$": shown }) } else { shown }
}

/// `.a[0]["k"]`
fn path(text: &str) -> Path {
    let mut path = Path::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            path.push(PathStep::Attribute(after[..end].into()));
            rest = &after[end..];
        } else {
            let (inside, after) = rest.strip_prefix('[').unwrap().split_once(']').unwrap();
            path.push(match inside.parse() {
                Ok(index) => PathStep::Index(index),
                Err(_) => PathStep::Key(inside.trim_matches('"').into()),
            });
            rest = after;
        }
    }
    path
}

fn texts(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}
