//! The imaginary cloud: a directory with a file for each object.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::planning::derived;
use crate::schema::{Attribute, Kind, NestedBlock, Nesting, Of, Rule};
use crate::value::{Type, Value};

/// What the cloud holds of an object beside its attributes.
pub struct Kept {
    pub serial: i64,
    pub private: String,
    pub state: Json,
}

pub struct Cloud(pub PathBuf);

impl Cloud {
    fn place(&self, id: &str) -> PathBuf {
        self.0.join(format!("{}.json", id.replace('/', "_")))
    }

    pub fn get(&self, id: &str) -> Option<Kept> {
        let kept: Json = serde_json::from_str(&fs::read_to_string(self.place(id)).ok()?).ok()?;
        let private = kept.get("private")?.as_str()?.to_owned();
        Some(Kept { serial: kept.get("serial")?.as_i64()?, private, state: kept.get("state")?.clone() })
    }

    pub fn put(&self, id: &str, kept: &Kept, secret: Option<&Value>) -> std::io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let secret = secret.map_or(Json::Null, |secret| derived(secret).json());
        let kept = json!({
            "serial": kept.serial, "private": kept.private, "secret": secret, "state": kept.state,
        });
        fs::write(self.place(id), format!("{kept:#}\n"))
    }

    pub fn remove(&self, id: &str) -> std::io::Result<()> {
        match fs::remove_file(self.place(id)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The newest object of a name.
    pub fn find(&self, name: &str) -> Option<Json> {
        let files = fs::read_dir(&self.0).ok()?.flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
        files.sort();
        let states = files.iter().filter_map(|path| self.get(path.file_stem()?.to_str()?).map(|kept| kept.state));
        states.filter(|state| state.get("name").is_some_and(|it| it == name)).last()
    }

    /// An identity that no object had yet.
    pub fn identity(&self, kind: &str, name: &str) -> std::io::Result<String> {
        fs::create_dir_all(&self.0)?;
        let stem = format!("{}-{name}", kind.trim_start_matches("sky_"));
        let counter = self.0.join(format!("{}.count", stem.replace('/', "_")));
        let count = fs::read_to_string(&counter).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) + 1;
        fs::write(counter, count.to_string())?;
        Ok(format!("{stem}-{count}"))
    }
}

/// Whether a directory is there to make a cloud in.
pub fn is_place(path: &Path) -> bool {
    path.is_absolute()
}

/// Makes what was left unknown.
pub fn finish(kind: &Kind, planned: &Value, id: &str, serial: i64) -> Value {
    let maker = Maker { id, serial, legacy: kind.legacy };
    maker.object(&kind.block.attributes, &kind.block.blocks, planned)
}

struct Maker<'a> {
    id: &'a str,
    serial: i64,
    legacy: bool,
}

impl Maker<'_> {
    fn object(&self, attributes: &[Attribute], blocks: &[NestedBlock], planned: &Value) -> Value {
        let mut made = planned.clone();
        for attribute in attributes {
            let value = planned.get(attribute.name);
            made.set(attribute.name, self.attribute(attribute, value, planned));
        }
        for NestedBlock { name, nesting, block, .. } in blocks {
            made.set(name, self.nested(*nesting, &block.attributes, &block.blocks, planned.get(name)));
        }
        made
    }

    fn attribute(&self, attribute: &Attribute, value: &Value, planned: &Value) -> Value {
        match (value, &attribute.rule, &attribute.of) {
            (Value::Unknown, Rule::From(other) | Rule::Late(other), _) => derived(planned.get(other)),
            (Value::Unknown, Rule::Fresh, Of::Type(Type::Number)) => Value::number(self.serial),
            (Value::Unknown, Rule::Fresh, _) => Value::String(format!("fresh-{}", self.serial)),
            (Value::Unknown, _, _) if attribute.name == "id" => Value::text(self.id),
            (Value::Unknown, _, Of::Type(of)) => self.value(of, attribute.name),
            (Value::Unknown, _, Of::Nested(nesting, attributes)) => {
                let unknown = attributes.iter().map(|inner| {
                    let absent = !inner.computed;
                    (inner.name.to_owned(), if absent { Value::Null } else { Value::Unknown })
                });
                let element = self.object(attributes, &[], &crate::value::mapping(unknown.collect()));
                match nesting {
                    Nesting::Single | Nesting::Group => element,
                    Nesting::List | Nesting::Set => Value::Sequence(vec![element]),
                    Nesting::Map => Value::Mapping(vec![("made".to_owned(), element)]),
                }
            }
            (value, _, Of::Nested(nesting, attributes)) => self.nested(*nesting, attributes, &[], value),
            (Value::Null, _, Of::Type(of)) if self.legacy && attribute.optional => nothing(of),
            (Value::String(text), _, _) if self.legacy => Value::text(text.trim()),
            (value, _, _) => value.clone(),
        }
    }

    fn nested(&self, nesting: Nesting, attributes: &[Attribute], blocks: &[NestedBlock], value: &Value) -> Value {
        match (nesting, value) {
            (Nesting::Single | Nesting::Group, Value::Mapping(_)) => self.object(attributes, blocks, value),
            (Nesting::Map, Value::Mapping(entries)) => Value::Mapping(
                entries.iter().map(|(key, it)| (key.clone(), self.element(attributes, blocks, it))).collect(),
            ),
            (Nesting::List, Value::Sequence(elements)) => {
                Value::Sequence(elements.iter().map(|it| self.element(attributes, blocks, it)).collect())
            }
            (Nesting::Set, Value::Sequence(elements)) => {
                crate::value::sorted(elements.iter().map(|it| self.element(attributes, blocks, it)).collect())
            }
            _ => value.clone(),
        }
    }

    fn element(&self, attributes: &[Attribute], blocks: &[NestedBlock], value: &Value) -> Value {
        match value {
            Value::Mapping(_) => self.object(attributes, blocks, value),
            _ => value.clone(),
        }
    }

    /// A value of a type.
    fn value(&self, of: &Type, name: &str) -> Value {
        let inner = |of: &Type| self.value(of, name);
        match of {
            Type::String => Value::String(format!("{name} of {}", self.id)),
            Type::Number => Value::number(name.len() as i64),
            Type::Bool => Value::Bool(true),
            Type::Dynamic => Value::Typed(Box::new(Type::String), Box::new(inner(&Type::String))),
            Type::List(of) | Type::Set(of) => Value::Sequence(vec![inner(of)]),
            Type::Map(of) => Value::Mapping(vec![("made".to_owned(), inner(of))]),
            Type::Object(of) => Value::Mapping(of.iter().map(|(name, of)| (name.clone(), inner(of))).collect()),
            Type::Tuple(of) => Value::Sequence(of.iter().map(inner).collect()),
        }
    }
}

/// What the careless make of nothing.
fn nothing(of: &Type) -> Value {
    match of {
        Type::String => Value::text(""),
        Type::Number => Value::number(0),
        Type::Map(_) => Value::Mapping(Vec::new()),
        _ => Value::Null,
    }
}
