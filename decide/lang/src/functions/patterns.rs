//! Regular expressions, in the syntax that the Terraform language documents (RE2's).

use andon_value::{Type, Value};
use regex::{Captures, Regex};

use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::String as S;
    vec![
        row("regex", Type::Dynamic, first, "What a regular expression matches first: the text, or its groups.")
            .takes("pattern", S)
            .takes("string", S),
        row("regexall", Type::Dynamic, all, "All that a regular expression matches, each as `regex` has it.")
            .takes("pattern", S)
            .takes("string", S),
        row("replace", S, replace, "A string with every part replaced; a part in slashes is a regular expression.")
            .takes("str", S)
            .takes("substr", S)
            .takes("replace", S),
    ]
}

fn first(call: &Call<'_>) -> Result<Value, Fault> {
    let regex = compile(call.text(0), 0)?;
    match regex.captures(call.text(1)) {
        Some(captures) => Ok(groups(&regex, &captures)?),
        None => {
            Err(Fault::at(1, "the pattern does not match").help("Where it need not match, use `regexall` or `try`."))
        }
    }
}

fn all(call: &Call<'_>) -> Result<Value, Fault> {
    let regex = compile(call.text(0), 0)?;
    let found = regex.captures_iter(call.text(1)).map(|captures| groups(&regex, &captures));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let ty = group_type(&regex)?;
    Ok(Value::list(ty, found))
}

fn replace(call: &Call<'_>) -> Result<Value, Fault> {
    let (text, part, replacement) = (call.text(0), call.text(1), call.text(2));
    match part.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(pattern) if !pattern.is_empty() => Ok(compile(pattern, 1)?.replace_all(text, replacement).as_ref().into()),
        _ => Ok(text.replace(part, replacement).into()),
    }
}

/// What matched: the text where the pattern has no groups, a tuple of them where they have no names, an object where
/// they have.
fn groups(regex: &Regex, captures: &Captures<'_>) -> Result<Value, Fault> {
    let text = |group: usize| match captures.get(group) {
        Some(found) => Value::from(found.as_str()),
        None => Value::null(Type::String),
    };
    Ok(match group_type(regex)? {
        Type::String => text(0),
        Type::Tuple(groups) => Value::tuple((1..=groups.len()).map(text)),
        _ => {
            let names = regex.capture_names().enumerate();
            Value::object(names.filter_map(|(at, name)| Some((name?.to_owned(), text(at)))))
        }
    })
}

fn group_type(regex: &Regex) -> Result<Type, Fault> {
    let named: Vec<&str> = regex.capture_names().flatten().collect();
    match (regex.captures_len() - 1, named.len()) {
        (0, _) => Ok(Type::String),
        (count, 0) => Ok(Type::tuple(vec![Type::String; count])),
        (count, names) if count == names => Ok(Type::object(named.into_iter().map(|name| (name, Type::String)))),
        _ => Err(Fault::at(0, "either all groups must have names, or none")),
    }
}

/// A pattern of a template's, in the same syntax.
pub(crate) fn regex_of(pattern: &str) -> Result<Regex, String> {
    compile(pattern, 0).map_err(|fault| fault.message)
}

fn compile(pattern: &str, argument: usize) -> Result<Regex, Fault> {
    Regex::new(&translate(pattern)).map_err(|error| {
        let reason = match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            // The last line of the error says what is wrong; those before it draw where.
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        };
        Fault::at(argument, format!("not a regular expression: {reason}"))
    })
}

/// The pattern as our engine has it: there `\d` and its like mean ASCII alone, `\Q…\E` is quoted by hand, and a
/// bracket or an operator inside a class stands for itself.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut class_start = None;
    while let Some(character) = rest.chars().next() {
        let (taken, after) = rest.split_at(character.len_utf8());
        rest = after;
        match character {
            '\\' => {
                let Some(escaped) = rest.chars().next() else {
                    out.push('\\');
                    break;
                };
                rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                match escaped {
                    'd' => out.push_str("[0-9]"),
                    'D' => out.push_str("[^0-9]"),
                    'w' => out.push_str("[0-9A-Za-z_]"),
                    'W' => out.push_str("[^0-9A-Za-z_]"),
                    's' => out.push_str("[\\t\\n\\x0C\\r ]"),
                    'S' => out.push_str("[^\\t\\n\\x0C\\r ]"),
                    'b' if class_start.is_none() => out.push_str("(?-u:\\b)"),
                    '<' | '>' => out.push(escaped),
                    'Q' => {
                        let (quoted, after) = rest.split_once("\\E").unwrap_or((rest, ""));
                        out.push_str(&regex::escape(quoted));
                        rest = after;
                    }
                    _ => {
                        out.push('\\');
                        out.push(escaped);
                    }
                }
            }
            '[' if class_start.is_none() => {
                out.push('[');
                class_start = Some(out.len());
                if let Some(after) = rest.strip_prefix('^') {
                    out.push('^');
                    class_start = Some(out.len());
                    rest = after;
                }
            }
            '[' if rest.starts_with(':') => match rest.split_once(":]") {
                Some((name, after)) => {
                    out.push_str(&format!("[{name}:]"));
                    rest = after;
                }
                None => out.push_str("\\["),
            },
            '[' | '&' | '~' if class_start.is_some() => {
                out.push('\\');
                out.push(character);
            }
            ']' if class_start == Some(out.len()) => out.push_str("\\]"),
            ']' => {
                class_start = None;
                out.push(']');
            }
            _ => out.push_str(taken),
        }
    }
    out
}
