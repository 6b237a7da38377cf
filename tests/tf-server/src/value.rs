//! Types and values of Terraform, and how they go over the wire (MessagePack) and into files (JSON). A value is read and
//! written by its type.

use serde_json::{Map, Value as Json, json};

/// A type of Terraform's type system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    String,
    Number,
    Bool,
    Dynamic,
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>),
    Object(Vec<(String, Type)>),
    Tuple(Vec<Type>),
}

/// A value of a type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Null,
    Unknown,
    Bool(bool),
    /// A number's digits, so that none is lost.
    Number(String),
    String(String),
    /// A list, a tuple, or a set, whose elements are sorted.
    Sequence(Vec<Value>),
    /// A map or an object, sorted by name.
    Mapping(Vec<(String, Value)>),
    /// A value of dynamic type, with its own type.
    Typed(Box<Type>, Box<Value>),
}

impl Type {
    pub fn json(&self) -> Json {
        match self {
            Type::String => json!("string"),
            Type::Number => json!("number"),
            Type::Bool => json!("bool"),
            Type::Dynamic => json!("dynamic"),
            Type::List(element) => json!(["list", element.json()]),
            Type::Set(element) => json!(["set", element.json()]),
            Type::Map(element) => json!(["map", element.json()]),
            Type::Object(entries) => {
                let entries: Map<String, Json> = entries.iter().map(|(name, it)| (name.clone(), it.json())).collect();
                json!(["object", entries])
            }
            Type::Tuple(elements) => json!(["tuple", elements.iter().map(Type::json).collect::<Vec<_>>()]),
        }
    }

    pub fn from_json(json: &Json) -> Option<Type> {
        if let Some(name) = json.as_str() {
            return match name {
                "string" => Some(Type::String),
                "number" => Some(Type::Number),
                "bool" => Some(Type::Bool),
                "dynamic" => Some(Type::Dynamic),
                _ => None,
            };
        }
        let (of, inner) = (json.get(0)?.as_str()?, json.get(1)?);
        let element = || Type::from_json(inner).map(Box::new);
        match of {
            "list" => element().map(Type::List),
            "set" => element().map(Type::Set),
            "map" => element().map(Type::Map),
            "tuple" => inner.as_array()?.iter().map(Type::from_json).collect::<Option<_>>().map(Type::Tuple),
            "object" => {
                let entries = inner.as_object()?.iter();
                let mut entries: Vec<(String, Type)> = entries
                    .map(|(name, it)| Type::from_json(it).map(|it| (name.clone(), it)))
                    .collect::<Option<_>>()?;
                entries.sort();
                Some(Type::Object(entries))
            }
            _ => None,
        }
    }
}

impl Value {
    pub fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    pub fn number(number: i64) -> Value {
        Value::Number(number.to_string())
    }

    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    pub fn is_known(&self) -> bool {
        match self {
            Value::Unknown => false,
            Value::Sequence(elements) => elements.iter().all(Value::is_known),
            Value::Mapping(entries) => entries.iter().all(|(_, value)| value.is_known()),
            Value::Typed(_, value) => value.is_known(),
            _ => true,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// An entry of a mapping; null where there is none.
    pub fn get(&self, name: &str) -> &Value {
        let Value::Mapping(entries) = self else { return &Value::Null };
        entries.iter().find(|(entry, _)| entry == name).map_or(&Value::Null, |(_, value)| value)
    }

    /// Puts an entry into a mapping.
    pub fn set(&mut self, name: &str, value: Value) {
        let Value::Mapping(entries) = self else { return };
        match entries.iter_mut().find(|(entry, _)| entry == name) {
            Some((_, old)) => *old = value,
            None => entries.push((name.to_owned(), value)),
        }
    }

    /// As it is kept in files. Unknown values are never kept.
    pub fn json(&self) -> Json {
        match self {
            Value::Null | Value::Unknown => Json::Null,
            Value::Bool(value) => json!(value),
            Value::Number(digits) => serde_json::from_str(digits).unwrap_or(Json::Null),
            Value::String(text) => json!(text),
            Value::Sequence(elements) => elements.iter().map(Value::json).collect(),
            Value::Mapping(entries) => entries.iter().map(|(name, it)| (name.clone(), it.json())).collect(),
            Value::Typed(of, value) => json!({ "type": of.json(), "value": value.json() }),
        }
    }

    pub fn from_json(json: &Json, of: &Type) -> Option<Value> {
        if json.is_null() {
            return Some(Value::Null);
        }
        let elements = |of: &Type| -> Option<Vec<Value>> {
            json.as_array()?.iter().map(|element| Value::from_json(element, of)).collect()
        };
        match of {
            Type::String => json.as_str().map(Value::text),
            Type::Number => json.is_number().then(|| Value::Number(json.to_string())),
            Type::Bool => json.as_bool().map(Value::Bool),
            Type::Dynamic => {
                let of = Type::from_json(json.get("type")?)?;
                let value = Value::from_json(json.get("value")?, &of)?;
                Some(Value::Typed(Box::new(of), Box::new(value)))
            }
            Type::List(of) => elements(of).map(Value::Sequence),
            Type::Set(of) => elements(of).map(sorted),
            Type::Map(of) => {
                let entries = json.as_object()?.iter();
                let entries = entries.map(|(name, it)| Value::from_json(it, of).map(|it| (name.clone(), it)));
                entries.collect::<Option<_>>().map(mapping)
            }
            Type::Object(of) => {
                let entries = of.iter().map(|(name, of)| {
                    let value = json.get(name).map_or(Some(Value::Null), |it| Value::from_json(it, of))?;
                    Some((name.clone(), value))
                });
                entries.collect::<Option<_>>().map(mapping)
            }
            Type::Tuple(of) => {
                let elements = json.as_array()?.iter().zip(of).map(|(it, of)| Value::from_json(it, of));
                elements.collect::<Option<_>>().map(Value::Sequence)
            }
        }
    }
}

/// A set: its elements in order.
pub fn sorted(mut elements: Vec<Value>) -> Value {
    elements.sort();
    Value::Sequence(elements)
}

/// A mapping: its entries in order.
pub fn mapping(mut entries: Vec<(String, Value)>) -> Value {
    entries.sort();
    Value::Mapping(entries)
}

/// Writes a value of a type as MessagePack.
pub fn pack(value: &Value, of: &Type, to: &mut Vec<u8>) {
    match (value, of) {
        (Value::Typed(own, value), Type::Dynamic) => {
            to.push(0x92);
            let text = own.json().to_string();
            to.extend([0xc6]);
            to.extend((text.len() as u32).to_be_bytes());
            to.extend(text.as_bytes());
            pack(value, own, to);
        }
        (Value::Null, _) => to.push(0xc0),
        (Value::Unknown, _) => to.extend([0xd4, 0, 0]),
        (Value::Bool(value), _) => to.push(if *value { 0xc3 } else { 0xc2 }),
        (Value::Number(digits), _) => pack_number(digits, to),
        (Value::String(text), _) => pack_text(text, to),
        (Value::Sequence(elements), of) => {
            to.push(0xdd);
            to.extend((elements.len() as u32).to_be_bytes());
            for (at, element) in elements.iter().enumerate() {
                let of = match of {
                    Type::List(of) | Type::Set(of) => of,
                    Type::Tuple(of) => of.get(at).unwrap_or(&Type::Dynamic),
                    _ => &Type::Dynamic,
                };
                pack(element, of, to);
            }
        }
        (Value::Mapping(entries), of) => {
            to.push(0xdf);
            to.extend((entries.len() as u32).to_be_bytes());
            for (name, value) in entries {
                pack_text(name, to);
                let of = match of {
                    Type::Map(of) => of,
                    Type::Object(of) => of.iter().find(|(it, _)| it == name).map_or(&Type::Dynamic, |(_, of)| of),
                    _ => &Type::Dynamic,
                };
                pack(value, of, to);
            }
        }
        (Value::Typed(_, value), of) => pack(value, of, to),
    }
}

fn pack_text(text: &str, to: &mut Vec<u8>) {
    to.push(0xdb);
    to.extend((text.len() as u32).to_be_bytes());
    to.extend(text.as_bytes());
}

fn pack_number(digits: &str, to: &mut Vec<u8>) {
    if let Ok(number) = digits.parse::<i64>() {
        to.push(0xd3);
        to.extend(number.to_be_bytes());
    } else if let Some(number) = digits.parse::<f64>().ok().filter(|number| number.to_string() == digits) {
        to.push(0xcb);
        to.extend(number.to_be_bytes());
    } else {
        pack_text(digits, to);
    }
}

/// Reads MessagePack.
pub struct Unpacker<'a>(pub &'a [u8]);

impl<'a> Unpacker<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// An unsigned number of so many bytes.
    fn unsigned(&mut self, length: usize) -> Option<u64> {
        self.take(length).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn texts(&mut self, length: usize) -> Option<String> {
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = match self.byte()? {
            fix @ 0xa0..=0xbf => usize::from(fix & 0x1f),
            0xc4 | 0xd9 => self.unsigned(1)? as usize,
            0xc5 | 0xda => self.unsigned(2)? as usize,
            0xc6 | 0xdb => self.unsigned(4)? as usize,
            _ => return None,
        };
        self.texts(length)
    }

    /// A value of a type.
    pub fn value(&mut self, of: &Type) -> Option<Value> {
        let first = *self.0.first()?;
        match first {
            0xc0 => {
                self.byte()?;
                return Some(Value::Null);
            }
            // What is said of an unknown value beside that it is one, is of no use here.
            0xd4..=0xd8 => {
                self.take(2 + (1 << (first - 0xd4)))?;
                return Some(Value::Unknown);
            }
            0xc7..=0xc9 => {
                self.byte()?;
                let length = self.unsigned(1 << (first - 0xc7))? as usize;
                self.take(1 + length)?;
                return Some(Value::Unknown);
            }
            _ => {}
        }
        match of {
            Type::Dynamic => {
                if self.length()? != 2 {
                    return None;
                }
                let own = Type::from_json(&serde_json::from_str(&self.text()?).ok()?)?;
                let value = self.value(&own)?;
                // A null has no type that matters.
                if value.is_null() {
                    return Some(value);
                }
                Some(Value::Typed(Box::new(own), Box::new(value)))
            }
            Type::String => self.text().map(Value::String),
            Type::Bool => match self.byte()? {
                0xc2 => Some(Value::Bool(false)),
                0xc3 => Some(Value::Bool(true)),
                _ => None,
            },
            Type::Number => self.number(),
            Type::List(of) => self.elements(|_| of).map(Value::Sequence),
            Type::Set(of) => self.elements(|_| of).map(sorted),
            Type::Tuple(of) => self.elements(|at| of.get(at).unwrap_or(&Type::Dynamic)).map(Value::Sequence),
            Type::Map(of) => self.entries(|_| Some(of)),
            Type::Object(of) => self.entries(|name| of.iter().find(|(entry, _)| entry == name).map(|(_, of)| of)),
        }
    }

    fn elements<'t>(&mut self, of: impl Fn(usize) -> &'t Type) -> Option<Vec<Value>> {
        let length = self.length()?;
        (0..length).map(|at| self.value(of(at))).collect()
    }

    fn entries<'t>(&mut self, of: impl Fn(&str) -> Option<&'t Type>) -> Option<Value> {
        let length = self.length()?;
        let entries = (0..length).map(|_| {
            let name = self.text()?;
            let value = self.value(of(&name)?)?;
            Some((name, value))
        });
        entries.collect::<Option<_>>().map(mapping)
    }

    /// How many elements an array or a map has.
    fn length(&mut self) -> Option<usize> {
        match self.byte()? {
            fix @ (0x80..=0x8f | 0x90..=0x9f) => Some(usize::from(fix & 0x0f)),
            0xdc | 0xde => self.unsigned(2).map(|it| it as usize),
            0xdd | 0xdf => self.unsigned(4).map(|it| it as usize),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let first = *self.0.first()?;
        let digits = match first {
            0x00..=0x7f => self.byte()?.to_string(),
            0xe0..=0xff => (self.byte()? as i8).to_string(),
            0xca => {
                self.byte()?;
                f32::from_bits(self.unsigned(4)? as u32).to_string()
            }
            0xcb => {
                self.byte()?;
                f64::from_bits(self.unsigned(8)?).to_string()
            }
            0xcc..=0xcf => {
                self.byte()?;
                self.unsigned(1 << (first - 0xcc))?.to_string()
            }
            0xd0..=0xd3 => {
                self.byte()?;
                let bits = 8 << (first - 0xd0);
                let number = self.unsigned(bits / 8)?;
                ((number << (64 - bits)) as i64 >> (64 - bits)).to_string()
            }
            _ => self.text()?,
        };
        Some(Value::Number(digits))
    }
}
