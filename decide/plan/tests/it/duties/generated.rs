//! Schemas and values out of thin air: what a shrinking test draws is a list of numbers, out of which all is made.

use std::sync::Arc;

use andon_schema::{Attribute, Block, NestedAttributes, NestedBlock, Nesting};
use andon_value::{Kind, Type, Value};

/// Numbers to choose by; nought once they are used up, which chooses what is simplest.
pub struct Choices {
    numbers: std::vec::IntoIter<u8>,
}

impl Choices {
    pub fn new(numbers: Vec<u8>) -> Choices {
        Choices { numbers: numbers.into_iter() }
    }

    pub fn below(&mut self, most: u8) -> u8 {
        self.numbers.next().unwrap_or(0) % most
    }

    pub fn one_in(&mut self, count: u8) -> bool {
        self.below(count) == count - 1
    }
}

/// A schema without what correlates in more than one way: in a set every object has one argument of its own, and all
/// that the provider gives is only the provider's to give.
pub fn schema(choices: &mut Choices, depth: u8, in_set: bool) -> Block {
    let mut block = Block::default();
    if in_set {
        block.attributes.insert("key".into(), Attribute::required(Type::String, ""));
    }
    for index in 0..choices.below(4) {
        let attribute = attribute(choices, depth, in_set);
        block.attributes.insert(format!("a{index}"), attribute);
    }
    if depth > 0 && !in_set {
        for index in 0..choices.below(3) {
            let nesting = nesting(choices);
            let block_schema = schema(choices, depth - 1, nesting == Nesting::Set);
            let nested = NestedBlock { nesting, block: block_schema, min_items: 0, max_items: 0 };
            block.blocks.insert(format!("b{index}"), nested);
        }
    }
    block
}

fn nesting(choices: &mut Choices) -> Nesting {
    [Nesting::List, Nesting::Single, Nesting::Group, Nesting::Set, Nesting::Map][usize::from(choices.below(5))]
}

fn attribute(choices: &mut Choices, depth: u8, in_set: bool) -> Attribute {
    let flags = choices.below(if in_set { 2 } else { 3 });
    let of = |ty: Type| match flags {
        0 => Attribute::optional(ty, ""),
        1 => Attribute::computed(ty, ""),
        _ => Attribute::optional_computed(ty, ""),
    };
    if depth > 0 && flags == 0 && !in_set && choices.one_in(3) {
        let nesting = match nesting(choices) {
            Nesting::Group => Nesting::Single,
            nesting => nesting,
        };
        let inner = schema(choices, depth - 1, nesting == Nesting::Set).attributes;
        let object = Type::object(inner.iter().map(|(name, attribute)| (name.as_str(), attribute.ty.clone())));
        let ty = match nesting {
            Nesting::Single | Nesting::Group => object,
            Nesting::List => Type::list(object),
            Nesting::Set => Type::set(object),
            Nesting::Map => Type::map(object),
        };
        return Attribute { nested: Some(Arc::new(NestedAttributes { nesting, attributes: inner })), ..of(ty) };
    }
    of(match choices.below(6) {
        0 => Type::String,
        1 => Type::Number,
        2 => Type::Bool,
        3 => Type::list(Type::String),
        4 => Type::map(Type::String),
        _ => Type::set(Type::String),
    })
}

/// What a user could write for a schema: nothing for what only the provider gives.
pub fn config(choices: &mut Choices, schema: &Block) -> Value {
    let attributes = schema.attributes.iter().map(|(name, attribute)| {
        let given = attribute.required || attribute.optional && choices.below(3) > 0;
        let value = match (&attribute.nested, given) {
            (_, false) => Value::null(attribute.ty.clone()),
            (Some(nested), true) => {
                let inner = Block { attributes: nested.attributes.clone(), ..Block::default() };
                objects(choices, nested.nesting, &inner)
            }
            (None, true) => any_value(choices, &attribute.ty),
        };
        (name.as_str(), value)
    });
    let attributes: Vec<_> = attributes.collect();
    let blocks =
        schema.blocks.iter().map(|(name, nested)| (name.as_str(), objects(choices, nested.nesting, &nested.block)));
    let blocks: Vec<_> = blocks.collect();
    Value::object(attributes.into_iter().chain(blocks))
}

fn objects(choices: &mut Choices, nesting: Nesting, schema: &Block) -> Value {
    let ty = schema.implied_type();
    let count = choices.below(3);
    match nesting {
        Nesting::Single if count == 0 => Value::null(ty),
        Nesting::Single | Nesting::Group => config(choices, schema),
        Nesting::List => Value::list(ty, (0..count).map(|_| config(choices, schema)).collect::<Vec<_>>()),
        Nesting::Map => {
            Value::map(ty, (0..count).map(|index| (format!("k{index}"), config(choices, schema))).collect::<Vec<_>>())
        }
        Nesting::Set => {
            let keyed = (0..count).map(|index| {
                let object = config(choices, schema);
                let entries = object.as_entries().unwrap().iter();
                Value::object(entries.map(|(name, value)| match &**name {
                    "key" => (name.clone(), Value::from(format!("key{index}"))),
                    _ => (name.clone(), value.clone()),
                }))
            });
            let keyed: Vec<Value> = keyed.collect();
            Value::set(ty, keyed)
        }
    }
}

fn any_value(choices: &mut Choices, ty: &Type) -> Value {
    match ty {
        Type::Bool => Value::from(choices.one_in(2)),
        Type::Number => Value::from(i64::from(choices.below(5))),
        Type::String => Value::from(format!("v{}", choices.below(5))),
        Type::List(inner) => {
            let count = choices.below(3);
            Value::list((**inner).clone(), (0..count).map(|_| any_value(choices, inner)).collect::<Vec<_>>())
        }
        Type::Set(inner) => {
            let count = choices.below(3);
            Value::set((**inner).clone(), (0..count).map(|_| any_value(choices, inner)).collect::<Vec<_>>())
        }
        Type::Map(inner) => {
            let count = choices.below(3);
            let entries = (0..count).map(|index| (format!("k{index}"), any_value(choices, inner)));
            Value::map((**inner).clone(), entries.collect::<Vec<_>>())
        }
        other => panic!("{other}"),
    }
}

/// The object that a provider could make of a configuration: what that leaves to it is as `given` says.
pub fn made(schema: &Block, config: &Value, given: &mut impl FnMut(&Type) -> Value) -> Value {
    let Kind::Object(entries) = config.kind() else { return config.clone() };
    Value::object(entries.iter().map(|(name, value)| {
        let value = match (schema.attributes.get(&**name), schema.blocks.get(&**name)) {
            (Some(attribute), _) if attribute.computed && value.is_null() => given(&attribute.ty),
            (Some(Attribute { nested: Some(nested), .. }), _) => {
                let inner = Block { attributes: nested.attributes.clone(), ..Block::default() };
                made_each(nested.nesting, &inner, value, given)
            }
            (_, Some(nested)) => made_each(nested.nesting, &nested.block, value, given),
            _ => value.clone(),
        };
        (name.clone(), value)
    }))
}

fn made_each(nesting: Nesting, schema: &Block, value: &Value, given: &mut impl FnMut(&Type) -> Value) -> Value {
    match (nesting, value.kind()) {
        (Nesting::Single | Nesting::Group, _) => made(schema, value, given),
        (_, Kind::List(ty, elements)) => {
            Value::list(ty.clone(), elements.iter().map(|element| made(schema, element, given)).collect::<Vec<_>>())
        }
        (_, Kind::Set(ty, elements)) => {
            Value::set(ty.clone(), elements.iter().map(|element| made(schema, element, given)).collect::<Vec<_>>())
        }
        (_, Kind::Map(ty, entries)) => {
            let entries = entries.iter().map(|(key, value)| (key.clone(), made(schema, value, given)));
            Value::map(ty.clone(), entries.collect::<Vec<_>>())
        }
        _ => value.clone(),
    }
}

/// A known value of a type, or unknown.
pub fn given(choices: &mut Choices, ty: &Type) -> Value {
    if choices.one_in(3) { Value::null(ty.clone()) } else { any_value(choices, ty) }
}
