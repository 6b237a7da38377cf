//! Values as text, in the forms that the filters of configuration tools give: JSON and YAML as Python writes them.

use andon_text::deeper;
use andon_value::{Kind, Value};

/// JSON: `{"a": [1, 2]}`, or over lines with so many blanks for each level.
pub(super) fn json(value: &Value, indent: Option<usize>) -> String {
    let mut out = String::new();
    write_json(&mut out, value, indent, 0);
    out
}

fn write_json(out: &mut String, value: &Value, indent: Option<usize>, level: usize) {
    let line = |out: &mut String, level: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * level));
        }
    };
    let between = |out: &mut String, at: usize| {
        if at > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        line(out, level + 1);
    };
    match value.kind() {
        Kind::Map(_, entries) | Kind::Object(entries) if !entries.is_empty() => {
            out.push('{');
            for (at, (name, value)) in entries.iter().enumerate() {
                between(out, at);
                string(out, name);
                out.push_str(": ");
                deeper(|| write_json(out, value, indent, level + 1));
            }
            line(out, level);
            out.push('}');
        }
        Kind::Map(..) | Kind::Object(_) => out.push_str("{}"),
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
            if value.children().next().is_none() {
                return out.push_str("[]");
            }
            out.push('[');
            for (at, value) in value.children().enumerate() {
                between(out, at);
                deeper(|| write_json(out, value, indent, level + 1));
            }
            line(out, level);
            out.push(']');
        }
        Kind::String(text) => string(out, text),
        _ => scalar(out, value),
    }
}

/// In double quotes, with what is not ASCII escaped.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(letter),
            other => {
                let mut units = [0; 2];
                other.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    out.push('"');
}

fn scalar(out: &mut String, value: &Value) {
    match value.kind() {
        Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => out.push_str(&number.to_string()),
        _ => out.push_str("null"),
    }
}

/// YAML in block style, with so many blanks for each level.
pub(super) fn yaml(value: &Value, indent: usize) -> String {
    let mut out = String::new();
    block(&mut out, value, indent, 0);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// YAML in which what holds no other collection stands on one line, as Python writes it unless it is told otherwise.
pub(super) fn yaml_mixed(value: &Value) -> String {
    let mut out = String::new();
    match is_leaf(value) {
        true => flow(&mut out, value),
        false => mixed(&mut out, value, 0),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn is_leaf(value: &Value) -> bool {
    let collection =
        |value: &Value| matches!(value.kind(), Kind::Map(..) | Kind::Object(_)) || value.elements().is_some();
    !value.children().any(collection)
}

fn flow(out: &mut String, value: &Value) {
    match value.kind() {
        Kind::Map(_, entries) | Kind::Object(entries) => {
            out.push('{');
            for (at, (name, value)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                plain(out, name, true);
                out.push_str(": ");
                deeper(|| flow(out, value));
            }
            out.push('}');
        }
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
            out.push('[');
            for (at, value) in value.children().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                deeper(|| flow(out, value));
            }
            out.push(']');
        }
        Kind::String(text) => plain(out, text, true),
        _ => scalar(out, value),
    }
}

fn mixed(out: &mut String, value: &Value, level: usize) {
    entries(out, value, level, 2, &|out, value, level| match is_leaf(value) {
        true => {
            out.push(' ');
            flow(out, value);
            out.push('\n');
        }
        false => nested(out, value, level, 2, &mixed),
    });
}

fn block(out: &mut String, value: &Value, indent: usize, level: usize) {
    let empty = value.children().next().is_none();
    match value.kind() {
        Kind::Map(..) | Kind::Object(_) | Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) if !empty => {
            entries(out, value, level, indent, &|out, value, level| {
                let empty = value.children().next().is_none();
                match value.kind() {
                    Kind::Map(..) | Kind::Object(_) | Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) if !empty => {
                        nested(out, value, level, indent, &|out, value, level| block(out, value, indent, level));
                    }
                    _ => {
                        out.push(' ');
                        flow(out, value);
                        out.push('\n');
                    }
                }
            });
        }
        _ => flow(out, value),
    }
}

/// Writes the entries of a collection, a line each, and hands what each holds to `inner`.
fn entries(out: &mut String, value: &Value, level: usize, indent: usize, inner: &dyn Fn(&mut String, &Value, usize)) {
    let blanks = " ".repeat(level * indent);
    match value.kind() {
        Kind::Map(_, entries) | Kind::Object(entries) => {
            for (name, value) in entries.iter() {
                out.push_str(&blanks);
                plain(out, name, false);
                out.push(':');
                deeper(|| inner(out, value, level));
            }
        }
        _ => {
            for value in value.children() {
                out.push_str(&blanks);
                out.push('-');
                deeper(|| inner(out, value, level));
            }
        }
    }
}

/// A collection inside another: a map in a list begins behind its dash, a list in a map stands right below its name.
fn nested(out: &mut String, value: &Value, level: usize, indent: usize, write: &dyn Fn(&mut String, &Value, usize)) {
    let in_list = out.ends_with('-');
    let mut text = String::new();
    match (in_list, value.elements().is_some()) {
        (false, true) => {
            out.push('\n');
            write(out, value, level);
        }
        (false, false) => {
            out.push('\n');
            write(out, value, level + 1);
        }
        (true, _) => {
            write(&mut text, value, level + 1);
            // The first line goes behind the dash, as far in as the others are.
            let width = (level + 1) * indent;
            out.push_str(&" ".repeat(indent.saturating_sub(1).max(1)));
            out.push_str(text.get(width..).unwrap_or(&text));
        }
    }
}

/// A string as it is where it reads back as one, else in quotes.
fn plain(out: &mut String, text: &str, in_flow: bool) {
    let special = |letter: char| ":#,[]{}&*!|>'\"%@`".contains(letter);
    let first = text.chars().next();
    let odd = text.is_empty()
        || text != text.trim()
        || first.is_some_and(|letter| special(letter) || "-?~=<.".contains(letter) && text.len() < 3)
        || text.starts_with("- ")
        || text.starts_with("? ")
        || text.starts_with("---")
        || text.contains(": ")
        || text.ends_with(':')
        || text.contains(" #")
        || in_flow && text.contains([',', '[', ']', '{', '}'])
        || is_other(text);
    if text.chars().any(char::is_control) {
        string(out, text);
    } else if odd {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        out.push_str(text);
    }
}

/// Whether a plain text would be read as something else than a string.
fn is_other(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let word = matches!(&*lower, "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "~");
    let numeric = text.starts_with(|letter: char| letter.is_ascii_digit() || "+-.".contains(letter))
        && text.chars().any(|letter| letter.is_ascii_digit())
        && text.chars().all(|letter| letter.is_ascii_hexdigit() || "+-._:xoTZ".contains(letter));
    word || numeric
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(entries: &[(&str, Value)]) -> Value {
        Value::object(entries.iter().map(|(name, value)| (*name, value.clone())))
    }

    #[test]
    fn forms() {
        let list = Value::tuple([Value::from(1), Value::from("a b"), Value::from(true), Value::NULL]);
        let value = object(&[("k", list), ("m", object(&[("n", Value::from("ü"))])), ("s", Value::from("yes"))]);
        assert_eq!(json(&value, None), r#"{"k": [1, "a b", true, null], "m": {"n": "\u00fc"}, "s": "yes"}"#);
        assert_eq!(
            json(&Value::tuple([value.get("m").unwrap().clone()]), Some(4)),
            "[\n    {\n        \"n\": \"\\u00fc\"\n    }\n]"
        );
        assert_eq!(yaml_mixed(&value), "k: [1, a b, true, null]\nm: {n: ü}\ns: 'yes'\n");
        assert_eq!(yaml(&value, 4), "k:\n- 1\n- a b\n- true\n- null\nm:\n    n: ü\ns: 'yes'\n");
        let hosts = object(&[("hosts", Value::tuple([object(&[("a", Value::from(1)), ("b", Value::from("x: y"))])]))]);
        assert_eq!(yaml(&hosts, 2), "hosts:\n- a: 1\n  b: 'x: y'\n");
        assert_eq!(yaml(&object(&[]), 4), "{}\n");
        for (text, expected) in [
            ("a", "a\n"),
            ("", "''\n"),
            ("1.5", "'1.5'\n"),
            ("a\nb", "\"a\\nb\"\n"),
            ("a: b", "'a: b'\n"),
            ("it's", "it's\n"),
            ("10.0.0.1", "'10.0.0.1'\n"),
            ("/etc/x", "/etc/x\n"),
            ("-", "'-'\n"),
        ] {
            assert_eq!(yaml(&Value::from(text), 2), expected);
        }
    }
}
