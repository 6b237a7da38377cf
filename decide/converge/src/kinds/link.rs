use andon_schema::host::{Act, Look, Node};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::content::check_parent;
use super::{Decision, Kind};
use crate::args::{Args, block, check_path, look_at, optional, parent};
use crate::formats;
use crate::world::World;

/// A symbolic link.
pub(super) const KIND: Kind = Kind { name: "link", schema, check, looks, decide };

fn schema() -> Block {
    block(
        "A symbolic link. A file or link at its path is replaced.",
        &[
            (
                "path",
                optional(Type::String, "The absolute path of the link; without it, the label.").format(formats::PATH),
            ),
            ("target", optional(Type::String, "What it points to, absolute or as seen from the link's directory.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_path(&args.subject("path")).into_iter().collect();
    if !args.absent && args.text("target").is_none_or(|target| target.is_empty()) {
        wrong.push("a link needs a `target`".to_owned());
    }
    wrong
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let path = args.subject("path");
    let above = matches!(world.entry(&path), Ok(None)) && !args.absent;
    let above = above.then(|| look_at(parent(&path)));
    [look_at(&path)].into_iter().chain(above).collect()
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let node = world.entry(&path)?.map(|entry| &entry.node);
    if args.absent {
        return match node {
            None => Ok(Decision::nothing()),
            Some(Node::Link(_)) => Ok(Decision::new(Change::Remove, Vec::new(), vec![Act::Remove { path }])),
            Some(_) => Err(format!("{path} is there, and is not a link")),
        };
    }
    let target = args.text("target").ok_or("a link needs a `target`")?;
    let (change, was) = match node {
        Some(Node::Link(now)) if *now == target => return Ok(Decision::nothing()),
        Some(Node::Link(now)) => (Change::Update, &**now),
        Some(Node::File(_)) => (Change::Update, "(a file)"),
        Some(_) => return Err(format!("{path} is there, and is neither a link nor a file")),
        None => (Change::Create, ""),
    };
    check_parent(&path, world)?;
    let differences = vec![args.difference("target", was, &target)];
    Ok(Decision::new(change, differences, vec![Act::MakeLink { path, target }]))
}
