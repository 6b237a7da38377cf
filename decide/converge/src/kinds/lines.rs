//! Lines of a text that others write too, and where a new one goes.

use andon_schema::Attribute;
use andon_value::Type;
use regex_lite::Regex;

use crate::args::{Args, optional};
use crate::formats;

/// What a resource says of the place of what it adds.
pub(super) fn schema() -> [(&'static str, Attribute); 3] {
    let pattern = |description| optional(Type::String, description).format(formats::PATTERN);
    [
        ("insert_after", pattern("A regular expression. What is new goes after the last line that matches.")),
        ("insert_before", pattern("A regular expression. What is new goes before the first line that matches.")),
        (
            "position",
            optional(Type::String, "Where what is new goes else: to the `start` of the file, or to its `end`.")
                .format(formats::POSITION),
        ),
    ]
}

pub(super) fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> =
        ["insert_after", "insert_before", "match"].iter().filter_map(|name| check_pattern(args, name)).collect();
    if args.has("insert_after") && args.has("insert_before") {
        wrong.push("`insert_after` and `insert_before` both say where a new line goes".to_owned());
    }
    wrong
}

fn check_pattern(args: &Args, attribute: &str) -> Option<String> {
    let error = Regex::new(&args.text(attribute)?).err()?;
    Some(format!("`{attribute}` is not a regular expression: {error}"))
}

/// A pattern that an attribute gives.
pub(super) fn pattern(args: &Args, attribute: &str) -> Option<Regex> {
    args.text(attribute).and_then(|pattern| Regex::new(&pattern).ok())
}

/// A line without its end.
pub(super) fn bare(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// How the lines of a text end: as its first one does.
pub(super) fn ending(text: &str) -> &'static str {
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    if first.ends_with("\r\n") { "\r\n" } else { "\n" }
}

/// Puts lines, which have no ends, into others, which have theirs.
pub(super) fn insert(lines: &mut Vec<String>, new: impl Iterator<Item = String>, args: &Args, ending: &str) {
    let after = pattern(args, "insert_after")
        .and_then(|pattern| lines.iter().rposition(|line| pattern.is_match(bare(line))))
        .map(|at| at + 1);
    let before =
        pattern(args, "insert_before").and_then(|pattern| lines.iter().position(|line| pattern.is_match(bare(line))));
    let start = args.text("position").is_some_and(|position| &*position == "start");
    let at = after.or(before).unwrap_or(if start { 0 } else { lines.len() });
    if let Some(above) = at.checked_sub(1).and_then(|above| lines.get_mut(above))
        && !above.ends_with('\n')
    {
        above.push_str(ending);
    }
    lines.splice(at..at, new.map(|line| line + ending));
}
