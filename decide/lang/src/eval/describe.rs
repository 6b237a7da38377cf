use andon_value::{Kind, Value, quote, render};

/// A value in a few words for a sentence: `"web"`, `a list of 3 elements`. Never a secret.
pub fn describe(value: &Value) -> String {
    if value.is_sensitive() {
        return "a sensitive value".to_owned();
    }
    if value.marks().ephemeral {
        return "an ephemeral value".to_owned();
    }
    let count = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    match value.kind() {
        Kind::Null(_) => "null".to_owned(),
        Kind::Unknown(..) => "known only after apply".to_owned(),
        Kind::Bool(_) | Kind::Number(_) => render(value, 0),
        Kind::String(text) => shortened(text),
        Kind::List(_, elements) => format!("a list of {}", count(elements.len(), "element")),
        Kind::Set(_, elements) => format!("a set of {}", count(elements.len(), "element")),
        Kind::Tuple(elements) => format!("a tuple of {}", count(elements.len(), "element")),
        Kind::Map(_, entries) => format!("a map with {}", keys(entries.keys())),
        Kind::Object(entries) => format!("an object with {}", keys(entries.keys())),
    }
}

const SHOWN_CHARACTERS: usize = 60;
const SHOWN_KEYS: usize = 8;

fn shortened(text: &str) -> String {
    let quoted = quote(text);
    if quoted.chars().count() <= SHOWN_CHARACTERS {
        return quoted;
    }
    let start: String = text.chars().take(SHOWN_CHARACTERS - 10).collect();
    format!("{}… ({} characters)", quote(&start), text.chars().count())
}

fn keys<'a>(keys: impl ExactSizeIterator<Item = &'a std::sync::Arc<str>>) -> String {
    let count = keys.len();
    let mut names: Vec<String> = keys.take(SHOWN_KEYS).map(|key| quote(key)).collect();
    match count {
        0 => return "no keys".to_owned(),
        1 => return format!("the key {}", names.join("")),
        _ if count > SHOWN_KEYS => names.push(format!("{} more", count - SHOWN_KEYS)),
        _ => {}
    }
    format!("the keys {}", names.join(", "))
}
