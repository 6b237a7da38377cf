use std::sync::Arc;

use andon_text::deeper;
use andon_value::{
    JsonError, Kind, Path, PathStep, Type, Value, from_json_implied, from_typed_json, in_written_order, type_to_json,
};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// JSON text, without white space between its parts: members in their order, numbers as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawJson(Arc<str>);

/// An object without members.
impl Default for RawJson {
    fn default() -> RawJson {
        RawJson("{}".into())
    }
}

impl RawJson {
    pub(super) fn of(raw: &RawValue) -> RawJson {
        RawJson(compact(raw.get()).into())
    }

    /// The value in JSON by a type, as a state file has it. Where the type leaves something open, the value comes with
    /// its own type, as `{"value": …, "type": …}`. Marks are left out.
    ///
    /// # Errors
    /// A part that is unknown, or an infinite number.
    pub fn encode(value: &Value, ty: &Type) -> Result<RawJson, JsonError> {
        let mut out = String::new();
        write(value, ty, &mut out)?;
        Ok(RawJson(out.into()))
    }

    /// The value of a type that [`RawJson::encode`] wrote. What an object leaves out is null.
    ///
    /// # Errors
    /// Another form than the type's, or a member that the type has not.
    pub fn decode(&self, ty: &Type) -> Result<Value, JsonError> {
        from_typed_json(&self.json(), ty)
    }

    /// The value where no type is at hand: arrays are tuples and objects are objects. What was written with its own
    /// type is an object with the members `value` and `type`.
    ///
    /// # Errors
    /// A number beyond what a value holds.
    pub fn decode_untyped(&self) -> Result<Value, JsonError> {
        from_json_implied(&self.json())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn json(&self) -> Json {
        // It was JSON when it was made.
        parsed(&self.0).unwrap_or(Json::Null)
    }
}

/// JSON text of any depth, on a stack that grows.
pub(super) fn parsed(text: &str) -> serde_json::Result<Json> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    Json::deserialize(serde_stacker::Deserializer::new(&mut reader))
}

fn write(value: &Value, ty: &Type, out: &mut String) -> Result<(), JsonError> {
    deeper(|| write_here(value, ty, out))
}

fn write_here(value: &Value, ty: &Type, out: &mut String) -> Result<(), JsonError> {
    if *ty == Type::Dynamic && value.ty() != Type::Dynamic {
        let own = value.ty();
        out.push_str("{\"value\":");
        write(value, &own, out)?;
        out.push_str(",\"type\":");
        out.push_str(&type_to_json(&own).to_string());
        out.push('}');
        return Ok(());
    }
    match value.kind() {
        Kind::Null(_) => out.push_str("null"),
        Kind::Unknown(..) => return Err(JsonError::Unknown(Path::new())),
        Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) if number.is_infinite() => return Err(JsonError::Infinite(Path::new())),
        Kind::Number(number) => out.push_str(&number.to_string()),
        Kind::String(text) => out.push_str(&quoted(text)),
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) | Kind::Map(..) | Kind::Object(_) => {
            let named = value.as_entries().is_some();
            out.push(if named { '{' } else { '[' });
            let mut children: Vec<_> = value.steps().collect();
            if matches!(value.kind(), Kind::Set(..)) {
                let elements = in_written_order(value).into_iter();
                children = elements.map(|child| (PathStep::Element(child.clone()), child)).collect();
            }
            for (index, (step, child)) in children.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                let name = match &step {
                    PathStep::Attribute(name) | PathStep::Key(name) if named => Some(name),
                    _ => None,
                };
                if let Some(name) = name {
                    out.push_str(&quoted(name));
                    out.push(':');
                }
                let inner = match ty {
                    Type::Tuple(types) => types.get(index),
                    Type::Object { attributes, .. } => name.and_then(|name| attributes.get(name)),
                    other => other.element(),
                };
                // Of a value that is not of its type, its own type is as good.
                let written = match inner {
                    Some(inner) => write(child, inner, out),
                    None => write(child, &child.ty(), out),
                };
                written.map_err(|error| match error {
                    JsonError::Unknown(path) => JsonError::Unknown(path.within(step)),
                    JsonError::Infinite(path) => JsonError::Infinite(path.within(step)),
                    other => other,
                })?;
            }
            out.push(if named { '}' } else { ']' });
        }
    }
    Ok(())
}

/// Text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// JSON text without the white space between its parts.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    scan(json, |character, in_string| {
        if in_string || !character.is_ascii_whitespace() {
            out.push(character);
        }
    });
    out
}

/// JSON text with its parts on lines of their own, two spaces further in for each level. As Terraform has it, what could
/// be markup inside a string is escaped.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut fresh = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    scan(json, |character, in_string| {
        if in_string {
            if std::mem::take(&mut fresh) {
                line(&mut out, depth);
            }
            match character {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    out.push_str(&format!("\\u{:04x}", u32::from(character)));
                }
                other => out.push(other),
            }
            return;
        }
        match character {
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                // An empty one stays on its line.
                if !std::mem::take(&mut fresh) {
                    line(&mut out, depth);
                }
                out.push(character);
            }
            blank if blank.is_ascii_whitespace() => {}
            other => {
                if std::mem::take(&mut fresh) {
                    line(&mut out, depth);
                }
                out.push(other);
                match other {
                    '{' | '[' => {
                        depth += 1;
                        fresh = true;
                    }
                    ',' => line(&mut out, depth),
                    ':' => out.push(' '),
                    _ => {}
                }
            }
        }
    });
    out
}

/// How many levels JSON text nests.
pub(super) fn depth(json: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    scan(json, |character, in_string| match character {
        '{' | '[' if !in_string => {
            depth += 1;
            most = most.max(depth);
        }
        '}' | ']' if !in_string => depth = depth.saturating_sub(1),
        _ => {}
    });
    most
}

/// Shows each character of JSON text, and whether it is of a string, its quotes included.
fn scan(json: &str, mut visit: impl FnMut(char, bool)) {
    let mut in_string = false;
    let mut escaped = false;
    for character in json.chars() {
        let quote = character == '"' && !escaped;
        visit(character, in_string || quote);
        escaped = in_string && character == '\\' && !escaped;
        in_string ^= quote;
    }
}
