//! A value as `terraform console` prints it, and its type: typed, so that what is printed means the same when it is
//! read again.

use andon_text::deeper;
use andon_value::{Kind, Type, Value};

/// A value, over as many lines as it needs; no line break at its end. A secret prints as `(sensitive value)`
/// once it is known.
pub fn expression(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

/// A type as `type(…)` prints it, over as many lines as it needs.
pub fn type_lines(ty: &Type) -> String {
    let mut out = String::new();
    write_type(&mut out, ty, 0);
    out
}

const STEP: usize = 2;
const TYPE_STEP: usize = 4;

fn write(out: &mut String, value: &Value, indent: usize) {
    deeper(|| write_here(out, value, indent));
}

fn write_here(out: &mut String, value: &Value, indent: usize) {
    let marks = value.marks();
    if marks.sensitive && !value.is_unknown() {
        return out.push_str("(sensitive value)");
    }
    if marks.ephemeral {
        return out.push_str("(ephemeral value)");
    }
    match value.kind() {
        Kind::Null(ty) => out.push_str(&null(ty)),
        Kind::Unknown(..) => out.push_str("(known after apply)"),
        Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => out.push_str(&number.to_string()),
        Kind::String(text) => string(out, text, indent),
        Kind::List(_, elements) => wrapped(out, "tolist", |out| sequence(out, elements.iter(), indent)),
        Kind::Set(_, elements) => wrapped(out, "toset", |out| sequence(out, elements.iter(), indent)),
        Kind::Tuple(elements) => sequence(out, elements.iter(), indent),
        Kind::Map(_, entries) => wrapped(out, "tomap", |out| mapping(out, entries.iter(), indent)),
        Kind::Object(entries) => mapping(out, entries.iter(), indent),
    }
}

fn null(ty: &Type) -> String {
    match ty {
        Type::Dynamic => "null".to_owned(),
        Type::Bool => "tobool(null)".to_owned(),
        Type::Number => "tonumber(null)".to_owned(),
        Type::String => "tostring(null)".to_owned(),
        Type::List(element) => format!("tolist(null) /* of {} */", in_a_word(element)),
        Type::Set(element) => format!("toset(null) /* of {} */", in_a_word(element)),
        Type::Map(element) => format!("tomap(null) /* of {} */", in_a_word(element)),
        Type::Tuple(_) => "null /* tuple */".to_owned(),
        Type::Object { .. } => "null /* object */".to_owned(),
    }
}

fn in_a_word(ty: &Type) -> String {
    let in_a_word = |ty: &Type| deeper(|| in_a_word(ty));
    match ty {
        Type::Dynamic => "dynamic".to_owned(),
        Type::List(element) => format!("list of {}", in_a_word(element)),
        Type::Set(element) => format!("set of {}", in_a_word(element)),
        Type::Map(element) => format!("map of {}", in_a_word(element)),
        Type::Tuple(_) => "tuple".to_owned(),
        Type::Object { .. } => "object".to_owned(),
        simple => simple.to_string(),
    }
}

fn wrapped(out: &mut String, function: &str, inner: impl FnOnce(&mut String)) {
    out.push_str(function);
    out.push('(');
    inner(out);
    out.push(')');
}

fn sequence<'a>(out: &mut String, elements: impl ExactSizeIterator<Item = &'a Value>, indent: usize) {
    if elements.len() == 0 {
        return out.push_str("[]");
    }
    out.push_str("[\n");
    for element in elements {
        spaces(out, indent + STEP);
        write(out, element, indent + STEP);
        out.push_str(",\n");
    }
    spaces(out, indent);
    out.push(']');
}

fn mapping<'a, K: AsRef<str> + 'a>(
    out: &mut String,
    entries: impl ExactSizeIterator<Item = (&'a K, &'a Value)>,
    indent: usize,
) {
    if entries.len() == 0 {
        return out.push_str("{}");
    }
    out.push_str("{\n");
    for (name, value) in entries {
        spaces(out, indent + STEP);
        string(out, name.as_ref(), indent + STEP);
        out.push_str(" = ");
        write(out, value, indent + STEP);
        out.push('\n');
    }
    spaces(out, indent);
    out.push('}');
}

fn string(out: &mut String, text: &str, indent: usize) {
    if !text.contains('\n') {
        return quoted(out, text);
    }
    // A mark that is no line of the text.
    let mut mark = "EOT".to_owned();
    while text.split('\n').any(|line| line.trim() == mark) {
        mark.push('_');
    }
    out.push_str(if indent == 0 { "<<" } else { "<<-" });
    out.push_str(&mark);
    for line in text.split('\n') {
        out.push('\n');
        spaces(out, indent);
        out.push_str(line);
    }
    out.push('\n');
    spaces(out, indent);
    out.push_str(&mark);
}

/// In quotes. What does not print has an escape; `${` is left as it is.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            printed if prints(printed) => out.push(printed),
            low if u32::from(low) < 0x80 => out.push_str(&format!("\\x{:02x}", u32::from(low))),
            middle if u32::from(middle) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(middle))),
            high => out.push_str(&format!("\\U{:08x}", u32::from(high))),
        }
    }
    out.push('"');
}

/// Whether a character prints, on its own or on the one before it.
fn prints(character: char) -> bool {
    character == '\'' || format!("a{character}").escape_debug().count() == 2
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

fn write_type(out: &mut String, ty: &Type, indent: usize) {
    deeper(|| write_type_here(out, ty, indent));
}

fn write_type_here(out: &mut String, ty: &Type, indent: usize) {
    let inside = |out: &mut String, word: &str, element: &Type| {
        if is_short(element) {
            out.push_str(&format!("{word}("));
            write_type(out, element, indent);
            return out.push(')');
        }
        out.push_str(&format!("{word}(\n"));
        spaces(out, indent + TYPE_STEP);
        write_type(out, element, indent + TYPE_STEP);
        out.push_str(",\n");
        spaces(out, indent);
        out.push(')');
    };
    match ty {
        Type::Dynamic => out.push_str("dynamic"),
        Type::Bool | Type::Number | Type::String => out.push_str(&ty.to_string()),
        Type::List(element) => inside(out, "list", element),
        Type::Set(element) => inside(out, "set", element),
        Type::Map(element) => inside(out, "map", element),
        Type::Tuple(elements) if elements.is_empty() => out.push_str("tuple([])"),
        Type::Tuple(elements) => {
            out.push_str("tuple([\n");
            for element in elements.iter() {
                spaces(out, indent + TYPE_STEP);
                write_type(out, element, indent + TYPE_STEP);
                out.push_str(",\n");
            }
            spaces(out, indent);
            out.push_str("])");
        }
        Type::Object { attributes, .. } if attributes.is_empty() => out.push_str("object({})"),
        Type::Object { attributes, .. } => {
            out.push_str("object({\n");
            for (name, ty) in attributes.iter() {
                spaces(out, indent + TYPE_STEP);
                // The peer prints the name as it is, whatever is in it.
                out.push_str(name);
                out.push_str(": ");
                write_type(out, ty, indent + TYPE_STEP);
                out.push_str(",\n");
            }
            spaces(out, indent);
            out.push_str("})");
        }
    }
}

/// Whether a type has no parts that are listed line by line.
fn is_short(ty: &Type) -> bool {
    match ty {
        Type::Tuple(_) | Type::Object { .. } => false,
        other => other.element().is_none_or(|element| deeper(|| is_short(element))),
    }
}
