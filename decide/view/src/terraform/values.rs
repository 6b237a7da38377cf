//! Values, and what is to be known of them, in plain JSON of one shape.

use andon_text::deeper;
use andon_value::{Kind, PathStep, Type, Value, in_written_order, to_json};
use serde_json::{Map, Value as Json, json};

/// What is known of a value: unknown parts of objects and maps are left out, unknown elements are null.
pub(super) fn known(value: &Value) -> Json {
    deeper(|| match value.kind() {
        Kind::Unknown(..) => Json::Null,
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => in_written_order(value).into_iter().map(known).collect(),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let known_entries = entries.iter().filter(|(_, value)| !value.is_unknown());
            Json::Object(known_entries.map(|(name, value)| (name.to_string(), known(value))).collect())
        }
        // An infinite number has no JSON.
        _ => to_json(value).unwrap_or(Json::Null),
    })
}

/// `true` for each unknown part.
pub(super) fn unknown(value: &Value) -> Json {
    deeper(|| match value.kind() {
        Kind::Unknown(..) => Json::Bool(true),
        _ => parts(value, unknown),
    })
}

/// `true` for each secret part.
pub(super) fn sensitive(value: &Value) -> Json {
    deeper(|| match value.kind() {
        _ if value.marks().sensitive => Json::Bool(true),
        Kind::Unknown(Type::List(_) | Type::Set(_) | Type::Tuple(_), _) => json!([]),
        Kind::Unknown(Type::Map(_) | Type::Object { .. }, _) => json!({}),
        _ => parts(value, sensitive),
    })
}

/// What is said of each part: all elements have their place, and of what has a name only what is not `false` is there.
fn parts(value: &Value, say: fn(&Value) -> Json) -> Json {
    match value.kind() {
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => in_written_order(value).into_iter().map(say).collect(),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let said = entries.iter().map(|(name, value)| (name.to_string(), say(value)));
            Json::Object(said.filter(|(_, said)| *said != Json::Bool(false)).collect())
        }
        _ => Json::Bool(false),
    }
}

/// A path as a list of names and numbers; it ends at a set.
pub(super) fn path(steps: &[PathStep]) -> Json {
    let steps = steps.iter().map_while(|step| match step {
        PathStep::Attribute(name) | PathStep::Key(name) => Some(json!(&**name)),
        PathStep::Index(index) => Some(json!(index)),
        PathStep::Element(_) => None,
    });
    steps.collect()
}

/// An object's members in which those that say nothing are left out.
#[derive(Default)]
pub(super) struct Members(Map<String, Json>);

impl Members {
    pub(super) fn put(mut self, name: &str, json: impl Into<Json>) -> Members {
        self.0.insert(name.to_owned(), json.into());
        self
    }

    /// Only where there is something to say.
    pub(super) fn some(self, name: &str, json: Option<impl Into<Json>>) -> Members {
        match json {
            Some(json) => self.put(name, json),
            None => self,
        }
    }

    /// Only where it is neither false, empty, nor null.
    pub(super) fn unless_empty(self, name: &str, json: impl Into<Json>) -> Members {
        let json = json.into();
        let empty = match &json {
            Json::Null | Json::Bool(false) => true,
            Json::String(text) => text.is_empty(),
            Json::Array(elements) => elements.is_empty(),
            Json::Object(entries) => entries.is_empty(),
            Json::Bool(true) | Json::Number(_) => false,
        };
        if empty { self } else { self.put(name, json) }
    }

    pub(super) fn json(self) -> Json {
        Json::Object(self.0)
    }
}
