//! The methods of Python's strings, maps and lists that templates call.

use minijinja::value::{Value as Jinja, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Calls a method that the engine does not know.
pub(super) fn call(_: &mut State, on: &Jinja, method: &str, arguments: &[Jinja]) -> Result<Jinja, Error> {
    match on.kind() {
        ValueKind::String => of_string(on.as_str().unwrap_or_default(), method, arguments),
        ValueKind::Map => of_map(on, method, arguments),
        ValueKind::Seq | ValueKind::Iterable => of_list(on, method, arguments),
        _ => Err(unknown(on, method)),
    }
}

fn unknown(on: &Jinja, method: &str) -> Error {
    Error::new(ErrorKind::UnknownMethod, format!("{} has no method named {method}", on.kind()))
}

fn text(arguments: &[Jinja], at: usize) -> Option<&str> {
    arguments.get(at).and_then(Jinja::as_str)
}

fn of_string(on: &str, method: &str, arguments: &[Jinja]) -> Result<Jinja, Error> {
    let first = text(arguments, 0);
    let needed = || first.ok_or_else(|| Error::new(ErrorKind::MissingArgument, format!("{method} takes a string")));
    let letters = |letter: char| first.map_or(letter.is_whitespace(), |letters| letters.contains(letter));
    let any_of = |fits: &dyn Fn(&str) -> bool| match arguments.first() {
        Some(many) if many.kind() == ValueKind::Seq => {
            many.try_iter().is_ok_and(|mut all| all.any(|one| one.as_str().is_some_and(fits)))
        }
        _ => first.is_some_and(fits),
    };
    let list = |parts: Vec<&str>| parts.into_iter().map(Jinja::from).collect::<Jinja>();
    Ok(match method {
        "upper" => on.to_uppercase().into(),
        "lower" => on.to_lowercase().into(),
        "capitalize" => capitalized(on).into(),
        "title" => {
            on.split_inclusive(|letter: char| !letter.is_alphanumeric()).map(capitalized).collect::<String>().into()
        }
        "strip" => on.trim_matches(letters).into(),
        "lstrip" => on.trim_start_matches(letters).into(),
        "rstrip" => on.trim_end_matches(letters).into(),
        "startswith" => any_of(&|prefix| on.starts_with(prefix)).into(),
        "endswith" => any_of(&|suffix| on.ends_with(suffix)).into(),
        "replace" => {
            let to = text(arguments, 1)
                .ok_or_else(|| Error::new(ErrorKind::MissingArgument, "replace takes two strings"))?;
            on.replace(needed()?, to).into()
        }
        "split" => match (first, arguments.get(1).and_then(Jinja::as_usize)) {
            (Some(by), Some(most)) if !by.is_empty() => list(on.splitn(most.saturating_add(1), by).collect()),
            (Some(by), None) if !by.is_empty() => list(on.split(by).collect()),
            _ => list(on.split_whitespace().collect()),
        },
        "splitlines" => list(on.lines().collect()),
        "join" => {
            let parts = arguments.first().map(Jinja::try_iter).transpose()?;
            let parts: Vec<String> = parts.into_iter().flatten().map(|part| part.to_string()).collect();
            parts.join(on).into()
        }
        "count" => on.matches(needed()?).count().into(),
        "find" => {
            on.find(needed()?).map_or(Jinja::from(-1), |at| on.get(..at).unwrap_or_default().chars().count().into())
        }
        "isdigit" => (!on.is_empty() && on.chars().all(|letter| letter.is_ascii_digit())).into(),
        "isalpha" => (!on.is_empty() && on.chars().all(char::is_alphabetic)).into(),
        "isalnum" => (!on.is_empty() && on.chars().all(char::is_alphanumeric)).into(),
        "zfill" => {
            let width = arguments.first().and_then(Jinja::as_usize).unwrap_or(0).min(1000);
            format!("{}{on}", "0".repeat(width.saturating_sub(on.chars().count()))).into()
        }
        _ => return Err(unknown(&Jinja::from(on), method)),
    })
}

pub(super) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect())
}

fn of_map(on: &Jinja, method: &str, arguments: &[Jinja]) -> Result<Jinja, Error> {
    let keys = || on.try_iter().map(|keys| keys.collect::<Vec<Jinja>>());
    Ok(match method {
        "keys" => keys()?.into_iter().collect(),
        "values" => keys()?.iter().map(|key| on.get_item(key)).collect::<Result<Jinja, Error>>()?,
        "items" => {
            let pair = |key: &Jinja| Ok(Jinja::from(vec![key.clone(), on.get_item(key)?]));
            keys()?.iter().map(pair).collect::<Result<Jinja, Error>>()?
        }
        "get" => {
            let key = arguments.first().ok_or_else(|| Error::new(ErrorKind::MissingArgument, "get takes a key"))?;
            let found = on.get_item(key)?;
            match found.is_undefined() {
                true => arguments.get(1).cloned().unwrap_or(Jinja::from(())),
                false => found,
            }
        }
        _ => return Err(unknown(on, method)),
    })
}

fn of_list(on: &Jinja, method: &str, arguments: &[Jinja]) -> Result<Jinja, Error> {
    let wanted =
        arguments.first().ok_or_else(|| Error::new(ErrorKind::MissingArgument, format!("{method} takes a value")));
    match method {
        "index" => {
            let wanted = wanted?;
            let found = on.try_iter()?.position(|one| one == *wanted);
            found.map(Jinja::from).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "it is not in the list"))
        }
        "count" => {
            let wanted = wanted?;
            Ok(on.try_iter()?.filter(|one| one == wanted).count().into())
        }
        _ => Err(unknown(on, method)),
    }
}
