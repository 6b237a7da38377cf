//! Text.

use andon_value::{Type, Value};
use unicode_segmentation::UnicodeSegmentation;

use super::{Fault, Function, foresight, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::{Bool, Number, String as S};
    vec![
        row("chomp", S, chomp, "A string without the line breaks at its end.").takes("str", S),
        row(
            "endswith",
            Bool,
            |call| Ok(call.text(0).ends_with(call.text(1)).into()),
            "Whether a string ends with another.",
        )
        .takes("str", S)
        .takes("suffix", S),
        row("indent", S, indent, "A string with spaces before every line but the first.")
            .takes("spaces", Number)
            .takes("str", S),
        row("join", S, join, "The strings of lists, with a separator between them.")
            .takes("separator", S)
            .takes_rest("lists", Type::list(S)),
        row("lower", S, |call| Ok(each(call.text(0), lower).into()), "A string in small letters.").takes("str", S),
        row("split", Type::list(S), split, "The parts of a string between separators.")
            .takes("separator", S)
            .takes("str", S),
        row(
            "startswith",
            Bool,
            |call| Ok(call.text(0).starts_with(call.text(1)).into()),
            "Whether a string starts with another.",
        )
        .takes("str", S)
        .takes("prefix", S)
        .foresees(foresight::starts_with),
        row(
            "strcontains",
            Bool,
            |call| Ok(call.text(0).contains(call.text(1)).into()),
            "Whether a string contains another.",
        )
        .takes("str", S)
        .takes("substr", S),
        row(
            "strrev",
            S,
            |call| Ok(call.text(0).graphemes(true).rev().collect::<String>().into()),
            "A string backwards.",
        )
        .takes("str", S),
        row("substr", S, substr, "A part of a string; a negative length takes all that is left.")
            .takes("str", S)
            .takes("offset", Number)
            .takes("length", Number),
        row("title", S, title, "A string with a capital at the start of each word.").takes("str", S),
        row("trim", S, trim, "A string without the given characters at its start and end.")
            .takes("str", S)
            .takes("cutset", S),
        row(
            "trimprefix",
            S,
            |call| Ok(call.text(0).strip_prefix(call.text(1)).unwrap_or(call.text(0)).into()),
            "A string without a prefix, if it has it.",
        )
        .takes("str", S)
        .takes("prefix", S),
        row(
            "trimspace",
            S,
            |call| Ok(call.text(0).trim().into()),
            "A string without white space at its start and end.",
        )
        .takes("str", S),
        row(
            "trimsuffix",
            S,
            |call| Ok(call.text(0).strip_suffix(call.text(1)).unwrap_or(call.text(0)).into()),
            "A string without a suffix, if it has it.",
        )
        .takes("str", S)
        .takes("suffix", S),
        row("upper", S, |call| Ok(each(call.text(0), upper).into()), "A string in capitals.").takes("str", S),
    ]
}

fn each(text: &str, change: fn(char) -> char) -> String {
    text.chars().map(change).collect()
}

/// A character's small form, where that is one character: only so does the language change case.
fn lower(character: char) -> char {
    let mut small = character.to_lowercase();
    match (character, small.next(), small.next()) {
        ('İ', ..) => 'i',
        (_, Some(only), None) => only,
        _ => character,
    }
}

/// A character's capital, where that is one character.
fn upper(character: char) -> char {
    let mut capital = character.to_uppercase();
    match (capital.next(), capital.next()) {
        (Some(only), None) => only,
        _ => character,
    }
}

fn chomp(call: &Call<'_>) -> Result<Value, Fault> {
    Ok(call.text(0).trim_end_matches(['\n', '\r']).into())
}

fn indent(call: &Call<'_>) -> Result<Value, Fault> {
    let spaces = " ".repeat(call.count(0)?.min(10_000));
    Ok(call.text(1).replace('\n', &format!("\n{spaces}")).into())
}

fn join(call: &Call<'_>) -> Result<Value, Fault> {
    if call.arguments.len() < 2 {
        return Err(Fault::new("at least one list is required"));
    }
    let mut parts = Vec::new();
    for at in 1..call.arguments.len() {
        parts.extend(call.texts(at)?.into_iter().map(|text| &**text));
    }
    Ok(parts.join(call.text(0)).into())
}

fn split(call: &Call<'_>) -> Result<Value, Fault> {
    let (separator, text) = (call.text(0), call.text(1));
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().map(|character| Value::from(character.to_string())).collect()
    } else {
        text.split(separator).map(Value::from).collect()
    };
    Ok(Value::list(Type::String, parts))
}

fn substr(call: &Call<'_>) -> Result<Value, Fault> {
    let (offset, length) = (call.whole(1)?, call.whole(2)?);
    let parts: Vec<&str> = call.text(0).graphemes(true).collect();
    let total = i64::try_from(parts.len()).unwrap_or(i64::MAX);
    let start = if offset < 0 { (offset + total).max(0) } else { offset };
    let take = if length < 0 { total } else { length };
    let at = |count: i64| usize::try_from(count).unwrap_or(0);
    Ok(parts.into_iter().skip(at(start)).take(at(take)).collect::<String>().into())
}

fn title(call: &Call<'_>) -> Result<Value, Fault> {
    let mut inside = false;
    let mut out = String::new();
    for character in call.text(0).chars() {
        if inside {
            out.push(character);
        } else {
            out.push(upper(character));
        }
        inside = character.is_alphanumeric() || character == '_' || !character.is_ascii() && !character.is_whitespace();
    }
    Ok(out.into())
}

fn trim(call: &Call<'_>) -> Result<Value, Fault> {
    let characters = call.text(1);
    Ok(call.text(0).trim_matches(|character| characters.contains(character)).into())
}
