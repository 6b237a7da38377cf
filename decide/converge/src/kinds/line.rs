use andon_schema::host::{Act, Bytes, Look, Node};
use andon_schema::{Block, Change};
use andon_value::Type;
use regex_lite::Regex;

use super::content::check_parent;
use super::{Decision, Kind};
use crate::args::{Args, block, check_path, look_at, optional, parent};
use crate::formats;
use crate::text::show;
use crate::world::World;

/// One line of a text file that others write too.
pub(super) const KIND: Kind = Kind { name: "line", schema, check, looks, decide };

fn schema() -> Block {
    block(
        "One line of a file that others write too. The rest of the file is left alone; a missing file is made. \
         `absent` removes every line that equals `line` or matches `match`.",
        &[
            (
                "path",
                optional(Type::String, "The absolute path of the file; without it, the label.").format(formats::PATH),
            ),
            ("line", optional(Type::String, "The line, without its end.").format(formats::LINE)),
            (
                "match",
                optional(
                    Type::String,
                    "A regular expression. The line takes the place of the first line that matches; others that match \
                     are removed.",
                )
                .format(formats::PATTERN),
            ),
            (
                "insert_after",
                optional(
                    Type::String,
                    "A regular expression. A new line goes after the last line that matches, else to the end.",
                )
                .format(formats::PATTERN),
            ),
            (
                "insert_before",
                optional(
                    Type::String,
                    "A regular expression. A new line goes before the first line that matches, else to the end.",
                )
                .format(formats::PATTERN),
            ),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_path(&args.subject("path")).into_iter().collect();
    match args.text("line") {
        Some(line) if line.contains(['\n', '\r']) => wrong.push("`line` holds more than one line".to_owned()),
        None if !args.absent => wrong.push("a line needs `line`, its text".to_owned()),
        None if !args.has("match") => wrong.push("an absent line needs `line` or `match`".to_owned()),
        _ => {}
    }
    for attribute in ["match", "insert_after", "insert_before"] {
        if let Some(pattern) = args.text(attribute)
            && let Err(error) = Regex::new(&pattern)
        {
            wrong.push(format!("`{attribute}` is not a regular expression: {error}"));
        }
    }
    if args.has("insert_after") && args.has("insert_before") {
        wrong.push("`insert_after` and `insert_before` both say where a new line goes".to_owned());
    }
    wrong
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let path = args.subject("path");
    let above = (!args.absent && matches!(world.entry(&path), Ok(None))).then(|| look_at(parent(&path)));
    [Look::Path { path, content: true }].into_iter().chain(above).collect()
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let entry = world.entry(&path)?;
    let old = match entry.map(|entry| &entry.node) {
        None => None,
        Some(Node::File(bytes)) => {
            let bytes = bytes.as_ref().map(|bytes| &*bytes.0).unwrap_or_default();
            Some(std::str::from_utf8(bytes).map_err(|_| format!("{path} is not text in UTF-8"))?)
        }
        Some(Node::Link(target)) => {
            return Err(format!("{path} is a link to {target}; give the path of the file itself"));
        }
        Some(_) => return Err(format!("{path} is not a file")),
    };
    let new = edit(old.unwrap_or_default(), args);
    if new == old.unwrap_or_default() {
        return Ok(Decision::nothing());
    }
    check_parent(&path, world)?;
    let shown = show(old.map(str::as_bytes), Some(new.as_bytes()), world.is_secret(&path));
    let change = if old.is_none() { Change::Create } else { Change::Update };
    let content = Bytes::from(&*new);
    let acts = vec![Act::WriteFile { path, content, mode: None, owner: None, group: None, validate: None }];
    Ok(Decision { diff: shown.diff, ..Decision::new(change, shown.differences, acts) })
}

/// The text with the line in its place, or without it.
fn edit(text: &str, args: &Args) -> String {
    let pattern = |attribute: &str| args.text(attribute).and_then(|pattern| Regex::new(&pattern).ok());
    let (wanted, pattern_of_old) = (args.text("line"), pattern("match"));
    let bare = |line: &str| line.strip_suffix('\n').unwrap_or(line).to_owned();
    let is_wanted = |line: &str| wanted.as_deref() == Some(&bare(line));
    let is_old = |line: &str| pattern_of_old.as_ref().is_some_and(|pattern| pattern.is_match(&bare(line)));
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let Some(wanted) = wanted.as_deref().filter(|_| !args.absent) else {
        return lines.into_iter().filter(|line| !is_wanted(line) && !is_old(line)).collect();
    };
    let place = lines.iter().position(|line| is_wanted(line)).or_else(|| lines.iter().position(|line| is_old(line)));
    let mut edited: Vec<String> = Vec::with_capacity(lines.len() + 1);
    for (at, line) in lines.iter().enumerate() {
        if Some(at) == place {
            edited.push(if is_wanted(line) { (*line).to_owned() } else { format!("{wanted}\n") });
        } else if is_wanted(line) || !is_old(line) {
            edited.push((*line).to_owned());
        }
    }
    if place.is_none() {
        let after = pattern("insert_after")
            .and_then(|pattern| edited.iter().rposition(|line| pattern.is_match(&bare(line))))
            .map(|at| at + 1);
        let before =
            pattern("insert_before").and_then(|pattern| edited.iter().position(|line| pattern.is_match(&bare(line))));
        let at = after.or(before).unwrap_or(edited.len());
        if let Some(above) = at.checked_sub(1).and_then(|above| edited.get_mut(above))
            && !above.ends_with('\n')
        {
            above.push('\n');
        }
        edited.insert(at, format!("{wanted}\n"));
    }
    edited.concat()
}

#[cfg(test)]
mod tests {
    use andon_schema::host::HostResource;
    use andon_value::Value;

    use super::*;

    fn check_edit(before: &str, attributes: &[(&str, &str)], absent: bool, after: &str) {
        let attributes = Value::object(attributes.iter().map(|(name, text)| (*name, Value::from(*text))));
        let resource = HostResource {
            kind: "line".into(),
            name: "/f".into(),
            attributes,
            absent,
            notifies: Vec::new(),
            only_on: None,
            origin: "".into(),
        };
        let args = Args::of_resource(&resource);
        let once = edit(before, &args);
        assert_eq!(once, after);
        assert_eq!(edit(&once, &args), once, "a second edit changes something");
    }

    #[test]
    fn edits() {
        let line = ("line", "Port 22");
        check_edit("", &[line], false, "Port 22\n");
        check_edit("a", &[line], false, "a\nPort 22\n");
        check_edit("a\nPort 22\nb\n", &[line], false, "a\nPort 22\nb\n");
        check_edit("Port 22", &[line], false, "Port 22");
        check_edit("#Port 1\nx\nPort 2\n", &[line, ("match", "^#?Port ")], false, "Port 22\nx\n");
        check_edit("Port 1\nPort 22\n", &[line, ("match", "^Port ")], false, "Port 22\n");
        check_edit("x\n", &[line, ("match", "^Port ")], false, "x\nPort 22\n");
        check_edit("foo=1\n", &[("line", "bar=1"), ("match", "^foo=")], false, "bar=1\n");
        check_edit("a\nb\nc", &[line, ("insert_after", "^[ab]$")], false, "a\nb\nPort 22\nc");
        check_edit("a\nb\nc", &[line, ("insert_after", "^c$")], false, "a\nb\nc\nPort 22\n");
        check_edit("a\nb\n", &[line, ("insert_before", "^a$")], false, "Port 22\na\nb\n");
        check_edit("a\n", &[line, ("insert_before", "^z$")], false, "a\nPort 22\n");
        check_edit("a\nPort 22\nb\nPort 22", &[line], true, "a\nb\n");
        check_edit("a\nPort 1\n", &[("match", "^Port")], true, "a\n");
    }
}
