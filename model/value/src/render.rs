use std::fmt::Write;

use andon_text::deeper;
use unicode_normalization::UnicodeNormalization;

use crate::{Kind, Value};

/// The value as people read it, in the syntax that they would write it in. Lines after the first are indented by
/// `indent` spaces. A secret prints as `(sensitive value)`, what is not known yet as `(known after apply)`.
pub fn render(value: &Value, indent: usize) -> String {
    let mut out = String::new();
    write(&mut out, value, indent);
    out
}

/// A string as it would be written: in quotes, with its escapes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if characters.peek() == Some(&'{') => {
                out.push(character);
                out.push(character);
            }
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Whether a name may be written without quotes.
pub fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|next| next.is_alphanumeric() || matches!(next, '_' | '-'))
        && (name.is_ascii() || name.nfc().eq(name.chars()))
}

fn write(out: &mut String, value: &Value, indent: usize) {
    deeper(|| write_here(out, value, indent));
}

fn write_here(out: &mut String, value: &Value, indent: usize) {
    if value.marks().sensitive {
        return out.push_str("(sensitive value)");
    }
    match value.kind() {
        Kind::Null(_) => out.push_str("null"),
        Kind::Unknown(..) => out.push_str("(known after apply)"),
        Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => out.push_str(&number.to_string()),
        Kind::String(text) if is_text_of_lines(text) => heredoc(out, text, indent),
        Kind::String(text) => out.push_str(&quote(text)),
        Kind::List(_, elements) | Kind::Tuple(elements) => sequence(out, elements.iter(), indent),
        Kind::Set(_, elements) => sequence(out, elements.iter(), indent),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            if entries.is_empty() {
                return out.push_str("{}");
            }
            let names: Vec<String> =
                entries.keys().map(|name| if is_identifier(name) { name.to_string() } else { quote(name) }).collect();
            let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
            out.push_str("{\n");
            for (name, value) in names.iter().zip(entries.values()) {
                let _ = write!(out, "{:1$}{name:width$} = ", "", indent + 2);
                write(out, value, indent + 2);
                out.push('\n');
            }
            let _ = write!(out, "{:1$}}}", "", indent);
        }
    }
}

fn sequence<'a>(out: &mut String, elements: impl ExactSizeIterator<Item = &'a Value>, indent: usize) {
    if elements.len() == 0 {
        return out.push_str("[]");
    }
    out.push_str("[\n");
    for element in elements {
        let _ = write!(out, "{:1$}", "", indent + 2);
        write(out, element, indent + 2);
        out.push_str(",\n");
    }
    let _ = write!(out, "{:1$}]", "", indent);
}

/// Text that reads better line by line than with its line breaks escaped.
fn is_text_of_lines(text: &str) -> bool {
    let plain = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    text.ends_with('\n') && text.trim_end_matches('\n').contains('\n') && text.chars().all(plain)
}

fn heredoc(out: &mut String, text: &str, indent: usize) {
    // A mark that is no line of the text.
    let mut mark = "EOT".to_owned();
    while text.lines().any(|line| line.trim() == mark) {
        mark.push('T');
    }
    let _ = writeln!(out, "<<-{mark}");
    for line in text.lines() {
        if line.is_empty() {
            out.push('\n');
        } else {
            let escaped = line.replace("${", "$${").replace("%{", "%%{");
            let _ = writeln!(out, "{:1$}{escaped}", "", indent + 2);
        }
    }
    let _ = write!(out, "{:1$}{mark}", "", indent);
}
