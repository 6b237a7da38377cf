use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Bytes, Look};
use andon_value::Type;

use super::content::{self, Wanted, text_looks, text_of};
use super::file::check_kept;
use super::lines::{self, bare, ending};
use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_path, optional};
use crate::formats;
use crate::world::World;

/// Lines of a text file that others write too, between two markers.
pub(super) const KIND: Kind = Kind { name: "block", schema, check, looks, decide };

fn schema() -> Block {
    let mut attributes = vec![
        ("path", optional(Type::String, "The absolute path of the file; without it, the label.").format(formats::PATH)),
        ("content", optional(Type::String, "The lines. Without any, the markers are removed with what is between.")),
        (
            "marker",
            optional(
                Type::String,
                "The line above and below, with `{mark}` for the words that tell them apart; without it, `# {mark} \
                 andon`, and a label that is no path behind it. Each block of a file needs its own.",
            )
            .format(formats::LINE),
        ),
        ("begin", optional(Type::String, "What `{mark}` is above; `BEGIN` without it.").format(formats::LINE)),
        ("end", optional(Type::String, "What `{mark}` is below; `END` without it.").format(formats::LINE)),
        ("create", optional(Type::Bool, "Whether a missing file is made; it is, without it.")),
    ];
    attributes.extend(lines::schema());
    attributes.extend(content::schema());
    block(
        "Lines of a file that others write too, between two markers. The rest of the file is left alone. `absent` \
         removes them with their markers.",
        &attributes,
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> =
        check_path(&args.subject("path")).into_iter().chain(check_kept(&args.subject("path"))).collect();
    wrong.extend(Meta::check(args));
    wrong.extend(lines::check(args));
    let [begin, end] = markers(args);
    if begin == end {
        wrong.push("both markers are the same line; `marker` needs `{mark}` in it".to_owned());
    }
    if !args.absent && !args.has("content") {
        wrong.push("a block needs `content`, its lines".to_owned());
    }
    let content = args.text("content").unwrap_or_default();
    if content.lines().any(|line| line == begin || line == end) && !args.is_secret("content") {
        wrong.push("`content` holds one of the block's own markers".to_owned());
    }
    wrong
}

/// The lines above and below.
fn markers(args: &Args) -> [String; 2] {
    let path = args.subject("path");
    let own = if *path == *args.label() { String::new() } else { format!(": {}", args.label()) };
    let marker = args.text("marker").unwrap_or_else(|| format!("# {{mark}} andon{own}").into());
    let word = |attribute: &str, other: &str| args.text(attribute).unwrap_or_else(|| other.into());
    [word("begin", "BEGIN"), word("end", "END")].map(|word| marker.replace("{mark}", &word))
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    text_looks(&args.subject("path"), args, world)
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let old = text_of(&path, world)?;
    if old.is_none() && (args.absent || args.text("content").is_none_or(|content| content.is_empty())) {
        return Ok(Decision::nothing());
    }
    if old.is_none() && args.truth("create") == Some(false) {
        return match world.loose {
            true => Ok(Decision::nothing()),
            false => Err(format!("there is no file {path}, and `create` says that none is made")),
        };
    }
    let new = edit(old.unwrap_or_default(), args).map_err(|why| format!("{path} {why}"))?;
    if args.absent && Some(&*new) == old {
        return Ok(Decision::nothing());
    }
    Wanted::of(args, path, Bytes::from(Arc::<str>::from(new))).decide(args, world)
}

/// The text with the block in its place, or without it.
fn edit(text: &str, args: &Args) -> Result<String, String> {
    let [begin, end] = markers(args);
    let content = args.text("content").filter(|content| !args.absent && !content.is_empty());
    let mut kept: Vec<String> = Vec::new();
    let (mut place, mut within) = (None, false);
    for line in text.split_inclusive('\n') {
        match bare(line) {
            line if line == begin && within => return Err(format!("has two lines `{begin}` without an end between")),
            line if line == begin => {
                place.get_or_insert(kept.len());
                within = true;
            }
            line if line == end && within => within = false,
            _ if !within => kept.push(line.to_owned()),
            _ => {}
        }
    }
    if within {
        return Err(format!("has the line `{begin}`, and no line `{end}` after it; what belongs to it cannot be told"));
    }
    let Some(content) = content else { return Ok(kept.concat()) };
    let ending = ending(text);
    let all = || std::iter::once(&*begin).chain(content.lines()).chain([&*end]).map(str::to_owned);
    match place {
        Some(at) => {
            let at = at.min(kept.len());
            let last = at == kept.len() && !text.ends_with('\n');
            let new = all().map(|line| line + ending);
            kept.splice(at..at, new);
            let text = kept.concat();
            Ok(if last { text.strip_suffix(ending).map_or(text.clone(), str::to_owned) } else { text })
        }
        None => {
            lines::insert(&mut kept, all(), args, ending);
            Ok(kept.concat())
        }
    }
}
