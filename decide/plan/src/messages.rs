//! Complaints that several modules make.

use andon_lang::eval::Name;
use andon_text::{Diagnostic, Span, nearest};
use andon_value::{Kind, Value};

use crate::graph::Keys;

/// Adds what was probably meant, or what there is.
pub(crate) fn unknown<'a>(diagnostic: Diagnostic, given: &str, known: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(given, known.iter().copied()) {
        Some(meant) => diagnostic.help(format!("Is `{meant}` meant?")),
        None if known.is_empty() => diagnostic.detail("There are none."),
        None if known.len() <= 8 => diagnostic.detail(format!("There is: {}.", known.join(", "))),
        None => diagnostic,
    }
}

/// A reference that ends too early.
pub(crate) fn incomplete(root: Name<'_>, whole: &str) -> Diagnostic {
    Diagnostic::error(format!("`{}` alone is no value", root.name)).at(root.span).help(format!("Write `{whole}`."))
}

/// A key that no instance has.
pub(crate) fn no_instance(keys: &Keys, key: &Value, span: Span) -> Diagnostic {
    let shown = match key.kind() {
        Kind::String(name) => andon_value::quote(name),
        Kind::Number(number) => number.to_string(),
        _ => "of this key".to_owned(),
    };
    let diagnostic = Diagnostic::error(format!("there is no instance [{shown}]")).at(span);
    match keys {
        // Nothing is said of instances that nobody can count.
        Keys::Unknown => diagnostic,
        Keys::One => diagnostic.detail("There is one instance, without a key."),
        Keys::Count(0) => diagnostic.detail("Its `count` is 0: there are no instances."),
        Keys::Count(1) => diagnostic.detail("Its `count` is 1: there is [0] alone."),
        Keys::Count(count) => diagnostic.detail(format!("Its `count` is {count}: there are [0] to [{}].", count - 1)),
        Keys::Each(entries) => {
            let given = key.as_str().map_or("", |name| &**name);
            unknown(diagnostic, given, entries.keys().map(|name| &**name))
        }
    }
}

/// An output that a stack does not have.
pub(crate) fn no_output<'a>(
    stack: &str,
    name: &str,
    span: Span,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("the stack {stack:?} has no output {name:?}")).at(span);
    unknown(diagnostic, name, known)
}
