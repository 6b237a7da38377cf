//! JSON, Base64, URLs and CSV.

use andon_value::{Number, Type, Value, from_json_implied, quote, to_json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Fault, Function, foresight, row};
use crate::eval::Call;

/// How deep arrays and objects may be inside each other: what takes a value apart later need not be ready for any depth.
const DEEPEST: usize = 1000;

pub(super) fn table() -> Vec<Function> {
    use Type::String as S;
    vec![
        row("base64decode", S, base64_decode, "The text that a Base64 string stands for.").takes("str", S),
        row("base64encode", S, |call| Ok(STANDARD.encode(call.text(0)).into()), "A string in Base64.").takes("str", S),
        row("csvdecode", Type::Dynamic, csv_decode, "The rows of a CSV text, as objects named by its first row.")
            .takes("str", S),
        row("jsondecode", Type::Dynamic, json_decode, "The value that a JSON text stands for.")
            .takes("str", S)
            .nullable(),
        row("jsonencode", S, json_encode, "A value as JSON text.")
            .takes("val", Type::Dynamic)
            .nulls()
            .foresees(foresight::json),
        row("urlencode", S, url_encode, "A string as a part of a URL's query.").takes("str", S),
    ]
}

/// The bytes that Base64 stands for, in which line breaks do not count.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    match text.contains(['\r', '\n']) {
        true => STANDARD.decode(text.replace(['\r', '\n'], "")).ok(),
        false => STANDARD.decode(text).ok(),
    }
}

fn base64_decode(call: &Call<'_>) -> Result<Value, Fault> {
    let bytes = from_base64(call.text(0)).ok_or_else(|| Fault::at(0, "this is not Base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| Fault::at(0, "what it stands for is not text in UTF-8"))?;
    Ok(text.into())
}

fn json_decode(call: &Call<'_>) -> Result<Value, Fault> {
    from_json_text(call.text(0))
}

/// What JSON text says, or what is wrong with it.
pub(crate) fn decode_json(text: &str) -> Result<Value, String> {
    from_json_text(text).map_err(|fault| fault.message)
}

fn from_json_text(text: &str) -> Result<Value, Fault> {
    if json_depth(text) > DEEPEST {
        return Err(Fault::at(0, format!("in this JSON more than {DEEPEST} values are inside each other")));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let json = Json::deserialize(serde_stacker::Deserializer::new(&mut reader)).and_then(|json| {
        reader.end()?;
        Ok(json)
    });
    let json = json.map_err(|error| {
        Fault::at(0, format!("this is not JSON (line {}, column {})", error.line(), error.column()))
            .detail(format!("{error}."))
    })?;
    from_json_implied(&json).map_err(|error| Fault::at(0, "a number in it is out of range").detail(format!("{error}.")))
}

/// How many arrays and objects of a JSON text are inside each other at most.
fn json_depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// JSON in which `<`, `>` and `&` are escaped, as the Terraform language has it, so that it can stand in HTML.
fn json_encode(call: &Call<'_>) -> Result<Value, Fault> {
    let json = to_json(call.value(0)).map_err(|error| Fault::at(0, error.to_string()))?;
    let text = json.to_string();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => out.push(other),
        }
    }
    Ok(out.into())
}

fn url_encode(call: &Call<'_>) -> Result<Value, Fault> {
    let mut out = String::new();
    for byte in call.text(0).bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(out.into())
}

fn csv_decode(call: &Call<'_>) -> Result<Value, Fault> {
    let mut rows = csv_rows(call.text(0))?.into_iter();
    let Some(names) = rows.next() else { return Err(Fault::at(0, "the row of names is missing")) };
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|other| other == *name))
    {
        return Err(Fault::at(0, format!("two columns have the name {}", quote(twice.1))));
    }
    let ty = Type::object(names.iter().map(|name| (name.as_str(), Type::String)));
    let mut objects = Vec::new();
    for (at, row) in rows.enumerate() {
        if row.len() != names.len() {
            let (given, wanted) = (row.len(), names.len());
            return Err(Fault::at(0, format!("row {} has {given} columns and not {wanted}", Number::from(at + 2))));
        }
        objects.push(Value::object(names.iter().map(String::as_str).zip(row.into_iter().map(Value::from))));
    }
    Ok(Value::list(ty, objects))
}

/// The rows of a CSV text (RFC 4180); empty lines do not count.
fn csv_rows(text: &str) -> Result<Vec<Vec<String>>, Fault> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            '"' => {
                return Err(Fault::at(0, format!("row {} has a quote inside a field without quotes", rows.len() + 1)));
            }
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if !row.is_empty() || !field.is_empty() {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
            }
            other => field.push(other),
        }
    }
    if quoted {
        return Err(Fault::at(0, "a quote is not closed"));
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}
