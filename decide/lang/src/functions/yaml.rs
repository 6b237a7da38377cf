//! Values as YAML, in the block style that the Terraform language has: every string is quoted, so that none is taken
//! for a number or a date, and text of several lines is a literal block.

use andon_text::deeper;
use andon_value::{Kind, Type, Value};

use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    vec![row("yamlencode", Type::String, yaml_encode, "A value as YAML text.").takes("value", Type::Dynamic).nulls()]
}

fn yaml_encode(call: &Call<'_>) -> Result<Value, Fault> {
    let mut out = String::new();
    let value = call.value(0);
    write(&mut out, value, 0, 2);
    out.push('\n');
    // A plain scalar that is a whole document has its end marked.
    if matches!(value.kind(), Kind::Null(_) | Kind::Bool(_) | Kind::Number(_)) {
        out.push_str("...\n");
    }
    Ok(out.into())
}

/// A quoted string is folded at its first space past this column.
const WIDEST_COLUMN: usize = 80;

/// Writes a value that starts where `out` ends; lines after the first are indented by `indent`, those of a
/// string by `text_indent`. The last line is left open.
fn write(out: &mut String, value: &Value, indent: usize, text_indent: usize) {
    let mut first = true;
    let mut line = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
        }
    };
    match value.kind() {
        Kind::Null(_) | Kind::Unknown(..) => out.push_str("null"),
        Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => out.push_str(&number.to_string()),
        Kind::String(text) if is_literal(text) => literal(out, text, text_indent),
        Kind::String(text) => quoted(out, text, Some(text_indent)),
        Kind::Map(_, entries) | Kind::Object(entries) if entries.is_empty() => out.push_str("{}"),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            for (key, value) in entries.iter() {
                line(out);
                quoted(out, key, None);
                out.push(':');
                let inner = match value.kind() {
                    _ if value.children().next().is_none() => None,
                    Kind::Map(..) | Kind::Object(_) => Some(indent + 2),
                    // The dashes of a list stand right below its key.
                    _ => Some(indent),
                };
                match inner {
                    Some(inner) => out.push_str(&format!("\n{}", " ".repeat(inner))),
                    None => out.push(' '),
                }
                deeper(|| write(out, value, inner.unwrap_or(indent), indent + 2));
            }
        }
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
            if value.children().next().is_none() {
                return out.push_str("[]");
            }
            for element in value.children() {
                line(out);
                out.push_str("- ");
                deeper(|| write(out, element, indent + 2, indent + 2));
            }
        }
    }
}

/// Whether a string reads back from a literal block as it is.
fn is_literal(text: &str) -> bool {
    text.contains('\n')
        && !text.contains(" \n")
        && !text.ends_with(' ')
        && text.chars().all(|character| character == '\n' || !is_special(character))
}

fn is_special(character: char) -> bool {
    character.is_control() || character > '\u{ffff}' || matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

fn literal(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    out.push('|');
    // Where the indentation cannot be told from the text, it is given.
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    out.push_str(match text.len() - body.len() {
        0 => "-",
        1 if !body.is_empty() => "",
        _ => "+",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
    }
}

/// In double quotes. Where `fold` is given, a space past the widest column becomes a line break with so much
/// indentation, which reads back as a space.
fn quoted(out: &mut String, text: &str, fold: Option<usize>) {
    out.push('"');
    let mut column = out.rsplit('\n').next().unwrap_or_default().chars().count();
    let mut after_space = false;
    let mut characters = text.chars().enumerate().peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        match (character, fold, next) {
            (' ', Some(indent), Some(next)) if !after_space && column > WIDEST_COLUMN && at > 0 => {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
                // A space at the start of a line would be lost.
                if next == ' ' {
                    out.push('\\');
                    column += 1;
                }
            }
            _ => {
                let before = out.len();
                escaped(out, character);
                column += out.get(before..).unwrap_or_default().chars().count();
            }
        }
        after_space = character == ' ';
    }
    out.push('"');
}

fn escaped(out: &mut String, character: char) {
    let short = match character {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        special if is_special(special) => {
            let code = u32::from(special);
            out.push_str(&match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            });
            return;
        }
        other => return out.push(other),
    };
    out.push('\\');
    out.push(short);
}
