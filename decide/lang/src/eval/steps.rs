use std::sync::Arc;

use andon_text::{Diagnostic, Span, nearest};
use andon_value::{Kind, Marks, Number, Type, Value, convert, quote};

use super::Step;

/// One step into a value: `.name` or `[key]`. The result has the marks of the value and of the key as well.
pub fn apply_step(value: &Value, step: &Step) -> Result<Value, Diagnostic> {
    match step {
        Step::Attribute(name, span) => Ok(attribute(value, name, *span)?.mark(value.marks())),
        Step::Key(key, span) => Ok(index(value, key, *span)?.mark(value.marks().union(key.marks()))),
    }
}

fn attribute(value: &Value, name: &Arc<str>, span: Span) -> Result<Value, Diagnostic> {
    let error = |summary: String| Diagnostic::error(summary).at(span);
    let no_attribute = || format!("no attribute {}", quote(name));
    match value.kind() {
        Kind::Null(_) => Err(error(no_attribute()).label("this is read from null, which has no attributes")),
        Kind::Unknown(Type::Dynamic, _) => Ok(Value::UNKNOWN),
        Kind::Unknown(Type::Map(element), _) => Ok(Value::unknown((**element).clone())),
        Kind::Unknown(Type::Object { attributes, .. }, _) => match attributes.get(name) {
            Some(ty) => Ok(Value::unknown(ty.clone())),
            None => Err(missing(value, name, span, attributes.keys())),
        },
        Kind::Map(_, entries) | Kind::Object(entries) => match entries.get(name) {
            Some(found) => Ok(found.clone()),
            None => Err(missing(value, name, span, entries.keys())),
        },
        _ => {
            let ty = value.ty();
            let error =
                error(no_attribute()).label(format!("this is read from {}, which has no attributes", ty.in_words()));
            let of_elements = match &ty {
                Type::List(element) | Type::Set(element) => matches!(**element, Type::Object { .. } | Type::Map(_)),
                Type::Tuple(elements) => elements.iter().any(|ty| matches!(ty, Type::Object { .. } | Type::Map(_))),
                _ => false,
            };
            Err(if of_elements {
                error.help(format!("For that of every element write `[*].{name}`; for that of one, `[0].{name}`."))
            } else {
                error
            })
        }
    }
}

fn missing<'a>(
    value: &Value,
    name: &str,
    span: Span,
    names: impl ExactSizeIterator<Item = &'a Arc<str>> + Clone,
) -> Diagnostic {
    let what = if matches!(value.ty(), Type::Map(_)) { "key" } else { "attribute" };
    let error = Diagnostic::error(format!("no {what} {}", quote(name))).at(span);
    // The names inside a secret are secret too.
    if value.marks() != Marks::NONE {
        return error.label(format!("this value has no such {what}"));
    }
    let error = match nearest(name, names.clone().map(|name| &**name)) {
        Some(near) => error.help(format!("Did you mean {}?", quote(near))),
        None => error,
    };
    let shown: Vec<String> = names.clone().take(20).map(|name| quote(name)).collect();
    let more =
        if names.len() > shown.len() { format!(" and {} more", names.len() - shown.len()) } else { String::new() };
    error.label(match names.len() {
        0 => "this value is empty".to_owned(),
        _ => format!("this value has {}{more}", shown.join(", ")),
    })
}

fn index(value: &Value, key: &Value, span: Span) -> Result<Value, Diagnostic> {
    let error = |label: String| Diagnostic::error("invalid index").at(span).label(label);
    if value.is_null() {
        return Err(error("null has no elements".to_owned()));
    }
    if key.is_null() {
        return Err(error("the index is null".to_owned()));
    }
    match value.ty() {
        Type::Dynamic => Ok(Value::UNKNOWN),
        Type::List(_) | Type::Tuple(_) => {
            let key = convert(key, &Type::Number).map_err(|reason| error(reason.to_string()))?;
            match key.as_number() {
                Some(number) => element(value, number, span, key.marks().union(value.marks()) != Marks::NONE),
                None => Ok(any_element(value)),
            }
        }
        Type::Map(_) | Type::Object { .. } => {
            let key = convert(key, &Type::String).map_err(|reason| error(reason.to_string()))?;
            match key.as_str() {
                Some(name) if key.marks() != Marks::NONE => attribute(value, name, span)
                    .map_err(|_| error("this value has no such key; the key is sensitive".to_owned())),
                Some(name) => attribute(value, name, span),
                None => Ok(any_element(value)),
            }
        }
        Type::Set(_) => Err(error("a set has no order, so its elements have no index".to_owned())
            .help("Convert the set with `tolist`, or take its only element with `one`.")),
        ty => Err(error(format!("{} has no elements", ty.in_words()))),
    }
}

/// Element `at` of a list or tuple, perhaps an unknown one.
fn element(value: &Value, at: &Number, span: Span, secret: bool) -> Result<Value, Diagnostic> {
    let error = |label: String| {
        let label =
            if secret { "there is no such element, and the list or the index is sensitive".to_owned() } else { label };
        Diagnostic::error("invalid index").at(span).label(label)
    };
    if !at.is_integer() {
        return Err(error(format!("{at} is not a whole number")));
    }
    if *at < Number::ZERO {
        return Err(error(format!("{at} is negative")).help("To count from the end, use `element` or `length`."));
    }
    let found = match value.kind() {
        Kind::Unknown(Type::List(element), _) => return Ok(Value::unknown((**element).clone())),
        Kind::Unknown(Type::Tuple(types), _) => at.to_usize().and_then(|at| types.get(at)).cloned().map(Value::unknown),
        Kind::List(_, elements) | Kind::Tuple(elements) => at.to_usize().and_then(|at| elements.get(at)).cloned(),
        _ => None,
    };
    found.ok_or_else(|| {
        let length = match value.kind() {
            Kind::Unknown(Type::Tuple(types), _) => types.len(),
            _ => value.elements().map_or(0, |elements| elements.len()),
        };
        error(match length {
            0 => format!("there is no element {at}: the list is empty"),
            1 => format!("there is no element {at}: the only element is 0"),
            _ => format!("there is no element {at}: the last is {}", length - 1),
        })
    })
}

/// An element, it is not known which.
fn any_element(value: &Value) -> Value {
    Value::unknown(value.ty().element().cloned().unwrap_or(Type::Dynamic))
}
