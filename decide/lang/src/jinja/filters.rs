//! The filters and tests that templates of configuration tools use beside Jinja's own.

use std::cmp::Ordering;

use andon_text::deeper;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use minijinja::value::{Kwargs, Rest, Value as Jinja, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use regex::{Captures, Regex};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{methods, of_jinja, text, to_jinja};
use crate::functions::{decode_json, decode_yaml, regex_of};

type Made = Result<Jinja, Error>;

/// Adds them all.
pub(super) fn add(to: &mut Environment<'static>) {
    to.add_filter("b64encode", |value: String| STANDARD.encode(value));
    to.add_filter("b64decode", b64decode);
    to.add_filter("basename", |path: String| path.rsplit('/').next().unwrap_or_default().to_owned());
    to.add_filter("dirname", |path: String| path.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned());
    to.add_filter("bool", truth);
    to.add_filter("capitalize", |value: String| methods::capitalized(&value));
    to.add_filter("checksum", |value: String| hex(Sha1::digest(value)));
    to.add_filter("combine", combine);
    to.add_filter("comment", comment);
    to.add_filter("dict2items", dict2items);
    to.add_filter("difference", |left: Jinja, right: Jinja| sets(&left, &right, |of, in_right| of && !in_right));
    to.add_filter("flatten", flatten);
    to.add_filter("from_json", |value: String| decoded(decode_json(&value)));
    to.add_filter("from_yaml", |value: String| decoded(decode_yaml(&value)));
    to.add_filter("hash", hash);
    to.add_filter("intersect", |left: Jinja, right: Jinja| sets(&left, &right, |of, in_right| of && in_right));
    to.add_filter("items2dict", items2dict);
    to.add_filter("mandatory", mandatory);
    to.add_filter("md5", |value: String| hex(Md5::digest(value)));
    to.add_filter("quote", quote);
    to.add_filter("regex_escape", |value: String| regex::escape(&value));
    to.add_filter("regex_findall", regex_findall);
    to.add_filter("regex_replace", regex_replace);
    to.add_filter("regex_search", regex_search);
    to.add_filter("sha1", |value: String| hex(Sha1::digest(value)));
    to.add_filter("ternary", ternary);
    to.add_filter("to_json", |value: Jinja, _: Kwargs| of_jinja(&value).map(|value| text::json(&value, None)));
    to.add_filter("to_nice_json", |value: Jinja, given: Kwargs| {
        let indent = given.get::<Option<usize>>("indent")?.unwrap_or(4).min(16);
        of_jinja(&value).map(|value| text::json(&value, Some(indent)))
    });
    to.add_filter("to_nice_yaml", |value: Jinja, given: Kwargs| {
        let indent = given.get::<Option<usize>>("indent")?.unwrap_or(4).clamp(2, 16);
        of_jinja(&value).map(|value| text::yaml(&value, indent))
    });
    to.add_filter("to_yaml", |value: Jinja, _: Kwargs| of_jinja(&value).map(|value| text::yaml_mixed(&value)));
    to.add_filter("union", union);
    to.add_filter("wordcount", |value: String| value.split_whitespace().count());
    to.add_filter("center", center);
    to.add_test("contains", |of: Jinja, wanted: Jinja| in_list(&of, &wanted));
    to.add_test("match", |value: String, pattern: String| {
        Ok::<_, Error>(compiled(&pattern)?.find(&value).is_some_and(|found| found.start() == 0))
    });
    to.add_test("search", |value: String, pattern: String| Ok::<_, Error>(compiled(&pattern)?.is_match(&value)));
    to.add_test("regex", |value: String, pattern: String| Ok::<_, Error>(compiled(&pattern)?.is_match(&value)));
    to.add_test("subset", |of: Jinja, all: Jinja| Ok::<_, Error>(of.try_iter()?.all(|one| in_list(&all, &one))));
    to.add_test("superset", |of: Jinja, all: Jinja| Ok::<_, Error>(all.try_iter()?.all(|one| in_list(&of, &one))));
    to.add_test("version", version);
    to.add_test("version_compare", version);
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Words are true where they say so.
fn truth(value: Jinja) -> bool {
    match value.as_str() {
        Some(word) => matches!(&*word.to_lowercase(), "yes" | "on" | "1" | "true" | "t" | "y"),
        None => value.is_true(),
    }
}

fn b64decode(value: String) -> Result<String, Error> {
    let bytes = STANDARD.decode(value.trim()).map_err(|_| wrong("this is not Base64"))?;
    String::from_utf8(bytes).map_err(|_| wrong("what the Base64 stands for is not text in UTF-8"))
}

fn decoded(value: Result<andon_value::Value, String>) -> Made {
    value.map(|value| to_jinja(&value)).map_err(wrong)
}

fn hash(value: String, kind: Option<String>) -> Result<String, Error> {
    match kind.as_deref().unwrap_or("sha1") {
        "sha1" => Ok(hex(Sha1::digest(value))),
        "md5" => Ok(hex(Md5::digest(value))),
        "sha256" => Ok(hex(Sha256::digest(value))),
        "sha512" => Ok(hex(Sha512::digest(value))),
        other => Err(wrong(format!("there is no hash {other}: sha1, md5, sha256 and sha512 are known"))),
    }
}

/// Maps laid over each other: a later one's values count. With `recursive`, maps in maps, too.
fn combine(first: Jinja, others: Rest<Jinja>, given: Kwargs) -> Made {
    let recursive = given.get::<Option<bool>>("recursive")?.unwrap_or(false);
    let mut all = first;
    for other in others.0 {
        let more = match other.kind() {
            ValueKind::Seq => other.try_iter()?.collect(),
            _ => vec![other],
        };
        for one in more {
            all = laid_over(&all, &one, recursive)?;
        }
    }
    Ok(all)
}

fn laid_over(below: &Jinja, above: &Jinja, recursive: bool) -> Made {
    if below.kind() != ValueKind::Map || above.kind() != ValueKind::Map {
        return Err(wrong("combine takes maps"));
    }
    let mut pairs: Vec<(Jinja, Jinja)> = Vec::new();
    for key in below.try_iter()? {
        pairs.push((key.clone(), below.get_item(&key)?));
    }
    for key in above.try_iter()? {
        let new = above.get_item(&key)?;
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) if recursive && old.kind() == ValueKind::Map && new.kind() == ValueKind::Map => {
                *old = deeper(|| laid_over(old, &new, true))?;
            }
            Some((_, old)) => *old = new,
            None => pairs.push((key, new)),
        }
    }
    Ok(Jinja::from_pairs(pairs))
}

fn comment(value: String, style: Option<String>) -> Result<String, Error> {
    let mark = match style.as_deref().unwrap_or("plain") {
        "plain" => "#",
        "erlang" => "%",
        "c" => "//",
        "cblock" => {
            let lines: String = value.lines().map(|line| format!(" * {line}").trim_end().to_owned() + "\n").collect();
            return Ok(format!("/*\n *\n{lines} *\n */"));
        }
        "xml" => {
            let lines: String = value.lines().map(|line| format!(" - {line}").trim_end().to_owned() + "\n").collect();
            return Ok(format!("<!--\n -\n{lines} -\n-->"));
        }
        other => return Err(wrong(format!("there is no style of comments {other}"))),
    };
    let lines: String = value.lines().map(|line| format!("{mark} {line}").trim_end().to_owned() + "\n").collect();
    Ok(format!("{mark}\n{lines}{mark}"))
}

fn dict2items(value: Jinja, given: Kwargs) -> Made {
    let named =
        |name: &str, usual: &str| Ok::<_, Error>(given.get::<Option<String>>(name)?.unwrap_or(usual.to_owned()));
    let (key_name, value_name) = (named("key_name", "key")?, named("value_name", "value")?);
    let item = |key: Jinja| {
        let inner = value.get_item(&key)?;
        Ok(Jinja::from_pairs([(Jinja::from(&*key_name), key), (Jinja::from(&*value_name), inner)]))
    };
    value.try_iter()?.map(item).collect()
}

fn items2dict(value: Jinja) -> Made {
    let mut pairs = Vec::new();
    for item in value.try_iter()? {
        pairs.push((item.get_attr("key")?, item.get_attr("value")?));
    }
    Ok(Jinja::from_pairs(pairs))
}

fn in_list(list: &Jinja, wanted: &Jinja) -> bool {
    match (list.as_str(), wanted.as_str()) {
        (Some(text), Some(part)) => text.contains(part),
        _ => list.try_iter().is_ok_and(|mut all| all.any(|one| one == *wanted)),
    }
}

fn unique(values: impl Iterator<Item = Jinja>) -> Vec<Jinja> {
    let mut found: Vec<Jinja> = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

fn sets(left: &Jinja, right: &Jinja, keep: fn(bool, bool) -> bool) -> Made {
    Ok(unique(left.try_iter()?).into_iter().filter(|one| keep(true, in_list(right, one))).collect())
}

fn union(left: Jinja, right: Jinja) -> Made {
    Ok(unique(left.try_iter()?.chain(right.try_iter()?)).into_iter().collect())
}

fn flatten(value: Jinja, levels: Option<usize>) -> Made {
    fn walk(value: &Jinja, levels: usize, out: &mut Vec<Jinja>) -> Result<(), Error> {
        for one in value.try_iter()? {
            match one.kind() == ValueKind::Seq && levels > 0 {
                true => deeper(|| walk(&one, levels - 1, out))?,
                false => out.push(one),
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    walk(&value, levels.unwrap_or(100), &mut out)?;
    Ok(out.into_iter().collect())
}

fn mandatory(value: Jinja) -> Made {
    if value.is_undefined() {
        Err(Error::new(ErrorKind::UndefinedError, "a mandatory value is not defined"))
    } else {
        Ok(value)
    }
}

/// For a shell: as it is where that is safe, else in single quotes.
fn quote(value: Jinja) -> String {
    let text = value.to_string();
    let safe = |letter: char| letter.is_ascii_alphanumeric() || "@%+=:,./-_".contains(letter);
    if !text.is_empty() && text.chars().all(safe) { text } else { format!("'{}'", text.replace('\'', "'\"'\"'")) }
}

fn ternary(value: Jinja, yes: Jinja, no: Jinja, null: Option<Jinja>) -> Jinja {
    match null {
        Some(null) if value.is_none() => null,
        _ if value.is_true() => yes,
        _ => no,
    }
}

fn compiled(pattern: &str) -> Result<Regex, Error> {
    regex_of(pattern).map_err(wrong)
}

fn with_flags(pattern: &str, given: &Kwargs) -> Result<Regex, Error> {
    let on = |name: &str| Ok::<_, Error>(given.get::<Option<bool>>(name)?.unwrap_or(false));
    let flags = format!("{}{}", if on("ignorecase")? { "i" } else { "" }, if on("multiline")? { "m" } else { "" });
    if flags.is_empty() { compiled(pattern) } else { compiled(&format!("(?{flags}){pattern}")) }
}

/// What takes a match's place, where `\1` and `\g<name>` are its groups.
fn expanded(replacement: &str, captures: &Captures<'_>) -> String {
    let group = |at: usize| captures.get(at).map_or("", |found| found.as_str());
    let mut out = String::new();
    let mut rest = replacement;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = after.len() - after.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        if digits > 0 {
            let (number, more) = after.split_at(digits.min(2));
            out.push_str(number.parse().map_or("", group));
            rest = more;
        } else if let Some((name, more)) = after.strip_prefix("g<").and_then(|after| after.split_once('>')) {
            let found = match name.parse::<usize>() {
                Ok(at) => group(at),
                Err(_) => captures.name(name).map_or("", |found| found.as_str()),
            };
            out.push_str(found);
            rest = more;
        } else {
            let mut letters = after.chars();
            match letters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            }
            rest = letters.as_str();
        }
    }
    out.push_str(rest);
    out
}

fn regex_replace(value: Jinja, pattern: String, replacement: Option<String>, given: Kwargs) -> Result<String, Error> {
    let (regex, replacement) = (with_flags(&pattern, &given)?, replacement.unwrap_or_default());
    let count = given.get::<Option<usize>>("count")?.unwrap_or(0);
    Ok(regex.replacen(&value.to_string(), count, |found: &Captures<'_>| expanded(&replacement, found)).into_owned())
}

fn regex_search(value: String, pattern: String, groups: Rest<String>, given: Kwargs) -> Made {
    let Some(found) = with_flags(&pattern, &given)?.captures(&value) else { return Ok(Jinja::from("")) };
    if groups.0.is_empty() {
        return Ok(Jinja::from(found.get(0).map_or("", |all| all.as_str())));
    }
    Ok(groups.0.iter().map(|group| Jinja::from(expanded(group, &found))).collect())
}

fn regex_findall(value: String, pattern: String, given: Kwargs) -> Made {
    let regex = with_flags(&pattern, &given)?;
    let one = |found: Captures<'_>| {
        let group = |at: usize| Jinja::from(found.get(at).map_or("", |it| it.as_str()));
        match found.len() {
            1 => group(0),
            2 => group(1),
            count => (1..count).map(group).collect(),
        }
    };
    Ok(regex.captures_iter(&value).map(one).collect())
}

fn center(value: String, width: Option<usize>) -> String {
    let missing = width.unwrap_or(80).min(10_000).saturating_sub(value.chars().count());
    let left = missing / 2;
    format!("{}{value}{}", " ".repeat(left), " ".repeat(missing - left))
}

/// Versions compared part by part: numbers as numbers, words as words.
fn version(value: String, other: String, operator: Option<String>) -> Result<bool, Error> {
    let order = compare_versions(&value, &other);
    Ok(match operator.as_deref().unwrap_or("eq") {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        other => return Err(wrong(format!("{other} is no comparison of versions"))),
    })
}

fn compare_versions(left: &str, right: &str) -> Ordering {
    fn parts(version: &str) -> Vec<(u64, String)> {
        let mut found: Vec<(u64, String)> = Vec::new();
        for part in version.split(['.', '-', '+', '_', '~']) {
            let end = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
            let (digits, word) = part.split_at(end);
            found.push((digits.parse().unwrap_or(0), word.to_owned()));
        }
        while found.last().is_some_and(|(number, word)| *number == 0 && word.is_empty()) {
            found.pop();
        }
        found
    }
    parts(left).cmp(&parts(right))
}
