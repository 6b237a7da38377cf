use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Bytes, Look};
use andon_value::Type;

use super::content::{self, Wanted, text_looks, text_of};
use super::file::check_kept;
use super::lines::{self, bare, ending, pattern};
use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_path, optional};
use crate::formats;
use crate::world::World;

/// One line of a text file that others write too.
pub(super) const KIND: Kind = Kind { name: "line", schema, check, looks, decide };

fn schema() -> Block {
    let mut attributes = vec![
        ("path", optional(Type::String, "The absolute path of the file; without it, the label.").format(formats::PATH)),
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
            "every",
            optional(
                Type::Bool,
                "Every line that matches `match` is changed, not only the first, and none is added: in `line`, `$1` or \
                 `${name}` stands for a group of the pattern, and `$$` for `$`.",
            ),
        ),
        ("create", optional(Type::Bool, "Whether a missing file is made; it is, without it.")),
    ];
    attributes.extend(lines::schema());
    attributes.extend(content::schema());
    block(
        "One line of a file that others write too. The rest of the file is left alone. `absent` removes every line that \
         equals `line` or matches `match`.",
        &attributes,
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> =
        check_path(&args.subject("path")).into_iter().chain(check_kept(&args.subject("path"))).collect();
    match args.text("line") {
        Some(line) if line.contains(['\n', '\r']) => wrong.push("`line` holds more than one line".to_owned()),
        None if !args.absent => wrong.push("a line needs `line`, its text".to_owned()),
        None if !args.has("match") => wrong.push("an absent line needs `line` or `match`".to_owned()),
        _ => {}
    }
    if args.truth("every") == Some(true) && !args.has("match") {
        wrong.push("`every` is about the lines that match, and there is no `match`".to_owned());
    }
    wrong.extend(Meta::check(args));
    wrong.extend(lines::check(args));
    wrong
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    text_looks(&args.subject("path"), args, world)
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let old = text_of(&path, world)?;
    let adds = !args.absent && args.truth("every") != Some(true);
    if old.is_none() && !adds {
        return Ok(Decision::nothing());
    }
    if old.is_none() && args.truth("create") == Some(false) {
        return match world.loose {
            true => Ok(Decision::nothing()),
            false => Err(format!("there is no file {path}, and `create` says that none is made")),
        };
    }
    let new = edit(old.unwrap_or_default(), args);
    if edit(&new, args) != new {
        return Err(format!(
            "`line` would change {path} again and again: what it gives matches `match` and is changed"
        ));
    }
    if args.absent && Some(&*new) == old {
        return Ok(Decision::nothing());
    }
    Wanted::of(args, path, Bytes::from(Arc::<str>::from(new))).decide(args, world)
}

/// The text with the line in its place, or without it.
fn edit(text: &str, args: &Args) -> String {
    let (wanted, old) = (args.text("line"), pattern(args, "match"));
    let is_wanted = |line: &str| wanted.as_deref() == Some(bare(line));
    let is_old = |line: &str| old.as_ref().is_some_and(|pattern| pattern.is_match(bare(line)));
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let Some(wanted) = wanted.as_deref().filter(|_| !args.absent) else {
        return lines.into_iter().filter(|line| !is_wanted(line) && !is_old(line)).collect();
    };
    if let (Some(true), Some(pattern)) = (args.truth("every"), &old) {
        let change = |line: &&str| match pattern.captures(bare(line)) {
            Some(groups) => {
                let mut new = String::new();
                groups.expand(wanted, &mut new);
                new + line.strip_prefix(bare(line)).unwrap_or_default()
            }
            None => (*line).to_owned(),
        };
        return lines.iter().map(change).collect();
    }
    let ending = ending(text);
    let place = lines.iter().position(|line| is_wanted(line)).or_else(|| lines.iter().position(|line| is_old(line)));
    let mut edited: Vec<String> = Vec::with_capacity(lines.len() + 1);
    for (at, line) in lines.iter().enumerate() {
        if Some(at) == place {
            edited.push(if is_wanted(line) { (*line).to_owned() } else { format!("{wanted}{ending}") });
        } else if is_wanted(line) || !is_old(line) {
            edited.push((*line).to_owned());
        }
    }
    if place.is_none() {
        lines::insert(&mut edited, std::iter::once(wanted.to_owned()), args, ending);
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
            role: "".into(),
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
