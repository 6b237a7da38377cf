use std::sync::Arc;

use andon_schema::Attribute;
use andon_schema::host::{Assertion, HostResource};
use andon_schema::{Block, host::Look};
use andon_value::{Marks, Type, Value};

/// The attributes of one host resource or assertion, read by name. What is null, or is not of the type asked for,
/// was not given.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a> {
    label: &'a str,
    origin: &'a str,
    attributes: &'a Value,
    pub absent: bool,
    /// Whether what it waits for has changed; `None` where it waits for nothing.
    pub due: Option<bool>,
}

impl<'a> Args<'a> {
    pub fn of_resource(resource: &'a HostResource) -> Args<'a> {
        let due = resource.only_on.as_ref().map(|_| false);
        let label = split_key(&resource.name).0;
        Args { label, origin: &resource.origin, attributes: &resource.attributes, absent: resource.absent, due }
    }

    pub fn of_assertion(assertion: &'a Assertion) -> Args<'a> {
        let Assertion { name, origin, attributes, .. } = assertion;
        Args { label: name, origin, attributes, absent: false, due: None }
    }

    pub fn with_due(self, due: Option<bool>) -> Args<'a> {
        Args { due, ..self }
    }

    /// What the resource is about: the attribute where it is given, else the label.
    pub fn subject(&self, attribute: &str) -> Arc<str> {
        self.text(attribute).unwrap_or_else(|| self.label().into())
    }

    /// The label, without the key of a `for_each`.
    pub fn label(&self) -> &'a str {
        self.label
    }

    /// The directory of the file that defines it: what paths of the project begin at.
    pub fn directory(&self) -> &'a str {
        let file = self.origin.rsplit_once(':').map_or(self.origin, |(file, _)| file);
        file.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    pub fn text(&self, attribute: &str) -> Option<Arc<str>> {
        self.attributes.get(attribute)?.as_str().cloned()
    }

    pub fn truth(&self, attribute: &str) -> Option<bool> {
        self.attributes.get(attribute)?.as_bool()
    }

    pub fn whole(&self, attribute: &str) -> Option<u64> {
        self.attributes.get(attribute)?.as_number()?.to_u64()
    }

    /// A whole number that may be negative.
    pub fn signed(&self, attribute: &str) -> Option<i64> {
        self.attributes.get(attribute)?.as_number()?.to_i64()
    }

    /// An attribute or block, of whatever type.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.attributes.get(name)
    }

    /// A number as it is written.
    pub fn number(&self, attribute: &str) -> Option<String> {
        self.attributes.get(attribute)?.as_number().map(ToString::to_string)
    }

    /// Whether the attribute is given, of whatever type.
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.get(attribute).is_some_and(|value| !value.is_null())
    }

    /// The strings of a set or list.
    pub fn texts(&self, attribute: &str) -> Vec<Arc<str>> {
        let children = self.attributes.get(attribute).into_iter().flat_map(Value::children);
        children.filter_map(|child| child.as_str().cloned()).collect()
    }

    /// How many elements a set, list or tuple has.
    pub fn count(&self, attribute: &str) -> usize {
        self.attributes.get(attribute).into_iter().flat_map(Value::children).count()
    }

    /// The whole numbers of a set or list.
    pub fn wholes(&self, attribute: &str) -> Vec<u64> {
        let children = self.attributes.get(attribute).into_iter().flat_map(Value::children);
        children.filter_map(|child| child.as_number()?.to_u64()).collect()
    }

    /// The strings of a map, by name.
    pub fn pairs(&self, attribute: &str) -> Vec<(Arc<str>, Arc<str>)> {
        let entries = self.attributes.get(attribute).and_then(Value::as_entries);
        let pairs = entries.into_iter().flat_map(|entries| entries.iter());
        pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.clone()))).collect()
    }

    /// Whether the attribute holds a secret.
    pub fn is_secret(&self, attribute: &str) -> bool {
        self.attributes.marks() != Marks::NONE || self.attributes.get(attribute).is_some_and(Value::is_secret)
    }

    /// Whether any attribute does.
    pub fn holds_secret(&self) -> bool {
        self.attributes.is_secret()
    }

    /// The line of a report that says how an attribute differs.
    pub fn difference(&self, attribute: &str, from: &str, to: &str) -> String {
        if self.is_secret(attribute) {
            return format!("{attribute} (sensitive value differs)");
        }
        if from.is_empty() && !to.is_empty() {
            return format!("{attribute} {to}");
        }
        let shown = |text: &str| if text.is_empty() { "(none)".to_owned() } else { text.to_owned() };
        format!("{attribute} {} → {}", shown(from), shown(to))
    }
}

/// The name of a resource as its label and the key of a `for_each`, which stands behind it in brackets.
pub(crate) fn split_key(name: &str) -> (&str, Option<&str>) {
    let inside = name.strip_suffix(']').and_then(|inside| inside.rsplit_once('['));
    inside.map_or((name, None), |(label, key)| (label, Some(key.trim_matches('"'))))
}

/// A body's shape.
pub(crate) fn block(description: &str, attributes: &[(&str, Attribute)]) -> Block {
    Block {
        attributes: attributes.iter().map(|(name, attribute)| ((*name).to_owned(), attribute.clone())).collect(),
        description: description.to_owned(),
        ..Block::default()
    }
}

pub(crate) fn optional(ty: Type, description: &str) -> Attribute {
    Attribute::optional(ty, description)
}

pub(crate) fn required(ty: Type, description: &str) -> Attribute {
    Attribute::required(ty, description)
}

/// Permission bits as a definition writes them: three or four octal digits, with or without a leading 0, or who may do
/// what, as in chmod(1) with `=` alone: `u=rw,g=r,o=`. Who is not named may do nothing.
pub(crate) fn parse_mode(text: &str) -> Option<u32> {
    if text.contains('=') {
        return text.split(',').try_fold(0, |mode, clause| Some(mode | parse_clause(clause)?));
    }
    let sound = (3..=5).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    u32::from_str_radix(text, 8).ok().filter(|mode| sound && *mode <= 0o7777)
}

fn parse_clause(clause: &str) -> Option<u32> {
    let (who, what) = clause.split_once('=')?;
    let whole = |letter: char| match letter {
        'u' => Some((6, 0o4000)),
        'g' => Some((3, 0o2000)),
        'o' => Some((0, 0)),
        _ => None,
    };
    let who = if matches!(who, "" | "a") { "ugo" } else { who };
    who.chars().try_fold(0, |mode, letter| {
        let (shift, set) = whole(letter)?;
        what.chars().try_fold(mode, |mode, letter| {
            let bits = match letter {
                'r' => 0o4 << shift,
                'w' => 0o2 << shift,
                'x' => 0o1 << shift,
                's' => set,
                't' => 0o1000,
                _ => return None,
            };
            Some(mode | bits)
        })
    })
}

/// A span of time as a definition writes it: `500ms`, `10s`, `2m`, or a number of seconds. In milliseconds.
pub(crate) fn parse_duration_ms(text: &str) -> Option<u64> {
    let at = text.find(|letter: char| letter != '.' && !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "ms" => 1.0,
        "" | "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    (number * factor <= 86_400_000.0).then_some((number * factor) as u64)
}

/// What is wrong with permission bits, if anything is.
pub(crate) fn check_mode(text: &str) -> Option<String> {
    let wrong = parse_mode(text).is_none();
    wrong.then(|| {
        format!("`{text}` is not a mode: three or four octal digits, such as `\"0644\"`, or `\"u=rw,g=r,o=\"`")
    })
}

/// What is wrong with a span of time, if anything is.
pub(crate) fn check_duration(text: &str) -> Option<String> {
    let wrong = parse_duration_ms(text).is_none();
    wrong.then(|| format!("`{text}` is not a span of time, such as `\"500ms\"`, `\"10s\"` or `\"2m\"`"))
}

/// What is wrong with an absolute path, if anything is.
pub(crate) fn check_path(path: &str) -> Option<String> {
    let wrong = if !path.starts_with('/') {
        "is not absolute"
    } else if path.contains('\0') {
        "has a null character"
    } else if path.len() > 1 && (path.ends_with('/') || path.contains("//")) {
        "has a slash too many"
    } else if path.split('/').any(|step| step == "." || step == "..") {
        "has a step `.` or `..`"
    } else {
        return None;
    };
    Some(format!("the path `{path}` {wrong}"))
}

/// What is wrong with the name of a user or group, if anything is. The rule is that of Debian's `useradd`.
pub(crate) fn check_account(name: &str) -> Option<String> {
    let mut letters = name.bytes();
    let first = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let rest = letters.all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let sound = first && rest && name.len() <= 32;
    (!sound).then(|| {
        format!(
            "`{name}` is not a name for a user or group: letters, digits, `_`, `-` and `.`, beginning with a letter"
        )
    })
}

/// The directory that holds a path.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// Whether a name is like a pattern, in which `*` stands for anything.
pub(crate) fn is_like(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

/// A path of the project, taken from a directory of it, with `.` and `..` followed. `None` where it leads out.
pub(crate) fn resolve(directory: &str, path: &str) -> Option<String> {
    let mut steps: Vec<&str> = Vec::new();
    for step in directory.split('/').chain(path.split('/')) {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()?),
            step => steps.push(step),
        }
    }
    Some(steps.join("/"))
}

/// The look at a path without its content.
pub(crate) fn look_at(path: &str) -> Look {
    Look::Path { path: path.into(), content: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for (text, mode) in [
            ("0644", Some(0o644)),
            ("644", Some(0o644)),
            ("01777", Some(0o1777)),
            ("4755", Some(0o4755)),
            ("u=rw,go=r", Some(0o644)),
            ("a=rx,u=rwxs", Some(0o4755)),
            ("u=rwx,g=,o=t", Some(0o1700)),
            ("=r", Some(0o444)),
        ] {
            assert_eq!(parse_mode(text), mode, "{text}");
        }
        for text in ["", "64", "0888", "rw-r--r--", "77777", "+644", "0o644", "u+x", "u=rwz", "q=r"] {
            assert_eq!(parse_mode(text), None, "{text}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, like) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*.d", "a.d", true),
            ("a*c*e", "abcde", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(is_like(pattern, name), like, "{pattern} {name}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("3", 3000), ("0.5s", 500), ("0", 0)] {
            assert_eq!(parse_duration_ms(text), Some(ms), "{text}");
        }
        for text in ["", "s", "-1s", "1d", "ten", "1e3", "999h"] {
            assert_eq!(parse_duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn keys_come_off_labels() {
        for (name, split) in [
            ("/etc/motd", ("/etc/motd", None)),
            ("sites[a]", ("sites", Some("a"))),
            ("sites[\"a\"]", ("sites", Some("a"))),
        ] {
            assert_eq!(split_key(name), split);
        }
    }
}
