//! Values from YAML text, with the scalars that the Terraform language knows: those of YAML 1.2, with `yes`, `no`, `on`
//! and `off` as in 1.1, merge keys (`<<`), and times as text.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use andon_value::{Number, Type, Value, convert, quote};
use jiff::civil::Date;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    vec![
        row("yamldecode", Type::Dynamic, yaml_decode, "The value that a YAML text stands for.")
            .nullable()
            .takes("src", Type::String),
    ]
}

/// How deep values may be inside each other. Of those in brackets the parser itself takes 255.
const DEEPEST: usize = 1000;

/// How many values there may be once every alias is followed.
const MOST_VALUES: usize = 1 << 20;

fn yaml_decode(call: &Call<'_>) -> Result<Value, Fault> {
    from_yaml_text(call.text(0))
}

/// What YAML text says, or what is wrong with it.
pub(crate) fn decode_yaml(text: &str) -> Result<Value, String> {
    from_yaml_text(text).map_err(|fault| fault.message)
}

fn from_yaml_text(text: &str) -> Result<Value, Fault> {
    let mut reader = Reader { anchors: HashMap::new(), open: Vec::new(), count: 0 };
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, place) = event.map_err(|error| {
            let at = error.marker();
            refuse(at.line(), at.col(), error.info())
        })?;
        let at = place.start;
        let fault = |words: String| refuse(at.line(), at.col(), &words);
        if let (Event::DocumentStart(_), Some(_)) = (&event, &document) {
            return Err(fault("only one document is allowed".to_owned()));
        }
        // A text that ends within a block ends without the line break that the block would have.
        let event = match event {
            Event::Scalar(block, style @ (ScalarStyle::Literal | ScalarStyle::Folded), anchor, tag)
                if !text.ends_with('\n') && place.end.index() >= text.chars().count() =>
            {
                Event::Scalar(block.strip_suffix('\n').unwrap_or(&block).to_owned().into(), style, anchor, tag)
            }
            event => event,
        };
        if let Some(value) = reader.take(event).map_err(fault)? {
            document = Some(value);
        }
    }
    document.ok_or_else(|| Fault::at(0, "there is no value in it"))
}

fn refuse(line: usize, column: usize, words: &str) -> Fault {
    Fault::at(0, format!("this is not YAML (line {line}, column {})", column + 1)).detail(format!("{words}."))
}

struct Reader {
    anchors: HashMap<usize, (Value, usize)>,
    /// The lists and maps around the current place, the innermost last.
    open: Vec<Open>,
    /// How many values there are, aliases followed.
    count: usize,
}

struct Open {
    anchor: usize,
    /// How many values there were before it.
    before: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Value>),
    Map { entries: BTreeMap<Arc<str>, Value>, key: Option<Key> },
}

enum Key {
    Name(Arc<str>),
    /// `<<`: the entries of the value become entries here.
    Merge,
}

impl Reader {
    /// Goes one event further; gives the document's value at its end.
    fn take(&mut self, event: Event<'_>) -> Result<Option<Value>, String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(name_of).unwrap_or_default();
                if let Some(Open { parts: Parts::Map { key: key @ None, .. }, .. }) = self.open.last_mut() {
                    let plain = style == ScalarStyle::Plain;
                    *key = Some(if &*text == "<<" && plain && tag.is_empty() || tag == "merge" {
                        Key::Merge
                    } else {
                        Key::Name(as_key(scalar(&text, style, &tag)?)?)
                    });
                    return Ok(None);
                }
                self.count(1)?;
                self.give(scalar(&text, style, &tag)?, anchor, 1)
            }
            Event::Alias(anchor) => {
                let Some((value, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err("an alias stands for nothing before it, or for what it is inside of".to_owned());
                };
                self.count(size)?;
                if let Some(Open { parts: Parts::Map { key: None, .. }, .. }) = self.open.last() {
                    return Err("a key cannot be an alias".to_owned());
                }
                self.give(value, 0, size)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(anchor, tag.as_deref(), "seq", Parts::List(Vec::new()))?;
                Ok(None)
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(anchor, tag.as_deref(), "map", Parts::Map { entries: BTreeMap::new(), key: None })?;
                Ok(None)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, before, parts }) = self.open.pop() else { return Ok(None) };
                let value = match parts {
                    Parts::List(elements) => Value::tuple(elements),
                    Parts::Map { entries, .. } => Value::object(entries),
                };
                self.give(value, anchor, self.count - before)
            }
            _ => Ok(None),
        }
    }

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.count += values;
        if self.count > MOST_VALUES { Err(format!("there are more than {MOST_VALUES} values")) } else { Ok(()) }
    }

    fn begin(&mut self, anchor: usize, tag: Option<&Tag>, wanted: &str, parts: Parts) -> Result<(), String> {
        if let Some(Open { parts: Parts::Map { key: None, .. }, .. }) = self.open.last() {
            return Err("a key must be a string".to_owned());
        }
        match tag.map(name_of) {
            Some(tag) if tag != wanted => return Err(format!("{} is no tag for this", quote(&tag))),
            _ => {}
        }
        if self.open.len() >= DEEPEST {
            return Err(format!("more than {DEEPEST} values are inside each other"));
        }
        let before = self.count;
        self.count(1)?;
        self.open.push(Open { anchor, before, parts });
        Ok(())
    }

    /// Puts a value where it belongs.
    fn give(&mut self, value: Value, anchor: usize, size: usize) -> Result<Option<Value>, String> {
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => return Ok(Some(value)),
            Some(Parts::List(elements)) => elements.push(value),
            Some(Parts::Map { entries, key }) => match key.take() {
                Some(Key::Name(name)) => {
                    entries.insert(name, value);
                }
                Some(Key::Merge) => merge(entries, &value)?,
                None => return Err("a key must be a string".to_owned()),
            },
        }
        Ok(None)
    }
}

fn merge(entries: &mut BTreeMap<Arc<str>, Value>, value: &Value) -> Result<(), String> {
    let more = value.as_entries().ok_or("`<<` takes a map")?;
    entries.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(())
}

/// The name of a tag that YAML itself has; all of another one, which is refused.
fn name_of(tag: &Tag) -> String {
    match tag.handle.as_str() {
        "tag:yaml.org,2002:" | "!!" => tag.suffix.clone(),
        "" | "!" if tag.suffix.is_empty() => "str".to_owned(),
        handle => format!("{handle}{}", tag.suffix),
    }
}

fn as_key(value: Value) -> Result<Arc<str>, String> {
    match convert(&value, &Type::String) {
        Ok(key) if !key.is_null() => key.as_str().cloned().ok_or_else(String::new),
        _ => Err("a key must not be null".to_owned()),
    }
}

/// The value of a scalar. A tag that forces no type still lets the text say one.
fn scalar(text: &str, style: ScalarStyle, tag: &str) -> Result<Value, String> {
    let refuse = || format!("{} is no {tag}", quote(text));
    match tag {
        "str" => return Ok(text.into()),
        "binary" => {
            let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
            return bytes.map(|_| text.into()).map_err(|_| refuse());
        }
        "" | "bool" | "int" | "float" | "null" | "timestamp" => {}
        other => return Err(format!("{} is no tag that is known", quote(other))),
    }
    let quoted = style != ScalarStyle::Plain;
    if quoted && (text.is_empty() || text.starts_with(|first: char| "+-.~yYnNtTfFoO0123456789".contains(first))) {
        return Ok(text.into());
    }
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" if !quoted => {
            return Ok(true.into());
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" if !quoted => {
            return Ok(false.into());
        }
        "" | "~" | "null" | "Null" | "NULL" if !quoted => return Ok(Value::NULL),
        ".nan" | ".NaN" | ".NAN" if tag.is_empty() => return Err("there is no such number as NaN".to_owned()),
        _ => {}
    }
    let infinite = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(infinite, ".inf" | ".Inf" | ".INF") && !quoted {
        let number = Number::parse(if text.starts_with('-') { "-Inf" } else { "Inf" });
        return number.map(Value::from).ok_or_else(refuse);
    }
    if matches!(tag, "" | "timestamp")
        && let Some(time) = time(text)
    {
        return Ok(time.into());
    }
    match tag {
        "" if !quoted => Ok(number(text, false).map_or_else(|| text.into(), Value::from)),
        "int" | "float" => number(text, true).map(Value::from).ok_or_else(refuse),
        "bool" | "timestamp" => Err(refuse()),
        "null" => Ok(Value::NULL),
        _ => Ok(text.into()),
    }
}

/// A number in one of the forms of YAML 1.2: decimal, or whole in octal after `0o` or hexadecimal after `0x`.
fn number(text: &str, tagged: bool) -> Option<Number> {
    let plain = if tagged { text.replace('_', "") } else { text.to_owned() };
    let whole = |digits: &str, base: u32| i64::from_str_radix(digits, base).ok().map(Number::from);
    if let Some(digits) = plain.strip_prefix("0o") {
        return whole(digits, 8);
    }
    if let Some(digits) = plain.strip_prefix("0x") {
        return whole(digits, 16);
    }
    let shape = plain.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let starts = plain.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit() || first == '.');
    (shape && starts).then(|| Number::parse(&plain))?
}

/// A time in one of the forms of YAML, as RFC 3339 has it.
fn time(text: &str) -> Option<String> {
    let (year, rest) = text.split_at_checked(4)?;
    if !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let one_or_two = |text: &str| {
        (matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<i8>().ok())?
    };
    let day_end = rest.find(['T', 't', ' ']).unwrap_or(rest.len());
    let (day, clock) = rest.split_at(day_end);
    let (month, day) = day.strip_prefix('-')?.split_once('-')?;
    let date = Date::new(year.parse().ok()?, one_or_two(month)?, one_or_two(day)?).ok()?;
    if clock.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let (separator, clock) = clock.split_at(1);
    let zone_at = clock.find(['Z', '+', '-']);
    let (clock, zone) = clock.split_at(zone_at.unwrap_or(clock.len()));
    // After a space no zone may be given, after a `T` one must be.
    let zone = match (separator, zone, zone.as_bytes()) {
        (" ", "", _) => "Z".to_owned(),
        ("T" | "t", "Z", _) => "Z".to_owned(),
        ("T" | "t", _, [b'+' | b'-', a, b, b':', c, d]) if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()) => {
            if matches!(zone, "+00:00" | "-00:00") {
                "Z".to_owned()
            } else {
                zone.to_owned()
            }
        }
        _ => return None,
    };
    let clock = clock.split_once('.').map_or(clock, |(clock, _)| clock);
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>().try_into().ok()?;
    let (hour, minute, second) = (one_or_two(hour)?, one_or_two(minute)?, one_or_two(second)?);
    (hour < 24 && minute < 60 && second < 60).then(|| format!("{date}T{hour:02}:{minute:02}:{second:02}{zone}"))
}
