use andon_schema::host::{Act, Bytes, Look, Node};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_path, look_at, optional, parent};
use crate::formats;
use crate::text::show;
use crate::world::{World, bytes_of};

/// A regular file. A link at its path is replaced, never written through: what is defined is this path, and a
/// file elsewhere must not change in its stead.
pub(super) const KIND: Kind = Kind { name: "file", schema, check, looks, decide };

fn schema() -> Block {
    let mut attributes = vec![
        ("path", optional(Type::String, "The absolute path; without it, the label.").format(formats::PATH)),
        (
            "content",
            optional(
                Type::String,
                "All of its content. Without it, the content is left alone, and a missing file is made empty.",
            ),
        ),
        (
            "validate",
            optional(
                Type::String,
                "A shell command that must succeed before new content replaces the old, such as `\"nginx -t\"`. It \
                 alone sees the new content in the place of the old one; where it holds `%s`, that is the path of a \
                 temporary file with the new content.",
            ),
        ),
    ];
    attributes.extend(Meta::schema("0644"));
    block("A regular file. A link at its path is replaced, not followed.", &attributes)
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Meta::check(args);
    wrong.extend(check_path(&args.subject("path")));
    if args.has("validate") && !args.has("content") {
        wrong.push("`validate` checks new content, and there is no `content`".to_owned());
    }
    wrong
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let path = args.subject("path");
    let content = args.has("content") || args.absent;
    let mut looks = vec![Look::Path { path: path.clone(), content }];
    if !args.absent {
        looks.extend(Meta::of(args).looks());
        if let Ok(None) = world.entry(&path) {
            looks.push(look_at(parent(&path)));
        }
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let entry = world.entry(&path)?;
    let secret = world.is_secret(&path);
    match entry.map(|entry| &entry.node) {
        Some(Node::Directory) => return Err(format!("{path} is a directory, not a file")),
        Some(Node::Other) => return Err(format!("{path} is a device, socket or pipe, not a file")),
        _ => {}
    }
    if args.absent {
        let Some(entry) = entry else { return Ok(Decision::nothing()) };
        let shown = show(bytes_of(Some(entry)).map(|bytes| &*bytes.0), None, secret);
        let acts = vec![Act::Remove { path }];
        return Ok(Decision { diff: shown.diff, ..Decision::new(Change::Remove, shown.differences, acts) });
    }
    let meta = Meta::of(args);
    let content = args.text("content").map(|text| Bytes::from(&*text));
    let content = match (content, entry.map(|entry| &entry.node)) {
        (Some(content), _) => content,
        (None, None) => Bytes::from(""),
        (None, Some(Node::Link(target))) => {
            return Err(format!("{path} is a link to {target}, and no content is given to replace it with"));
        }
        (None, Some(_)) => return update_meta(args, &meta, world),
    };
    let old = bytes_of(entry);
    if old == Some(&content) {
        return update_meta(args, &meta, world);
    }
    meta.check_known(world)?;
    check_parent(&path, world)?;
    let shown = show(old.map(|bytes| &*bytes.0), Some(&content.0), secret);
    let mut differences = Vec::new();
    match entry {
        Some(entry) => {
            if let Node::Link(target) = &entry.node {
                differences.push(format!("link to {target} → file"));
            }
            differences.extend(meta.decide(args, &path, entry).0);
        }
        None => differences.extend(meta.mode.map(|mode| args.difference("mode", "", &format!("{mode:04o}")))),
    }
    differences.extend(shown.differences);
    let validate = args.text("validate");
    let Meta { mode, owner, group } = meta;
    let acts = vec![Act::WriteFile { path, content, mode, owner, group, validate }];
    let change = if entry.is_none() { Change::Create } else { Change::Update };
    Ok(Decision { diff: shown.diff, ..Decision::new(change, differences, acts) })
}

fn update_meta(args: &Args, meta: &Meta, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let Some(entry) = world.entry(&path)? else { return Ok(Decision::nothing()) };
    let (differences, act) = meta.decide(args, &path, entry);
    if act.is_some() {
        meta.check_known(world)?;
    }
    Ok(Decision::update(differences, act.into_iter().collect()))
}

/// Whether there is a directory to put a new entry into.
pub(super) fn check_parent(path: &str, world: &World) -> Result<(), String> {
    if world.entry(path)?.is_some() || world.loose {
        return Ok(());
    }
    match world.entry(parent(path))?.map(|entry| &entry.node) {
        Some(Node::Directory | Node::Link(_)) => Ok(()),
        Some(_) => Err(format!("{} is not a directory", parent(path))),
        None => Err(format!("there is no directory {0}; define it with `directory \"{0}\" {{}}`", parent(path))),
    }
}
