use std::sync::Arc;

use andon_schema::host::{Act, Command, CommandOutput, Look, Node, Sight};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::content::{check_parent, update_meta};
use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_path, look_at, optional, parent};
use crate::formats;
use crate::world::World;

/// A symbolic link, or another name of a file.
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
            ("hard", optional(Type::Bool, "Make it another name of the file `target`, which must be there.")),
            ("owner", optional(Type::String, "The user that owns a symbolic link itself.").format(formats::OWNER)),
            ("group", optional(Type::String, "The group of a symbolic link itself.").format(formats::OWNER)),
            ("force", optional(Type::Bool, "Replace a directory at its path, too, with all that is in it.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let path = args.subject("path");
    let mut wrong: Vec<String> = check_path(&path).into_iter().collect();
    let target = args.text("target");
    if !args.absent && target.as_ref().is_none_or(|target| target.is_empty()) {
        wrong.push("a link needs a `target`".to_owned());
    }
    wrong.extend(Meta::check(args));
    if args.truth("hard") == Some(true) {
        if args.has("owner") || args.has("group") {
            wrong.push("a hard link is the file itself, with the owner and the group of that".to_owned());
        }
        wrong.extend(target.and_then(|target| check_path(&target)));
    }
    let shallow = path.split('/').filter(|step| !step.is_empty()).count() < 2;
    if shallow && args.truth("force") == Some(true) {
        wrong.push(format!("`{path}` is too near the root to be removed"));
    }
    wrong
}

/// Whether both are one file.
fn same_file(path: &str, target: &str) -> Command {
    Command::new(["test", path, "-ef", target])
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let path = args.subject("path");
    let above = matches!(world.entry(&path), Ok(None)) && !args.absent;
    let above = above.then(|| look_at(parent(&path)));
    let mut looks: Vec<Look> = [look_at(&path)].into_iter().chain(above).collect();
    looks.extend(Meta::of(args).looks());
    let is_directory = matches!(world.entry(&path), Ok(Some(entry)) if entry.node == Node::Directory);
    if is_directory && args.truth("force") == Some(true) && !args.absent {
        looks.push(Look::Tree(path.clone()));
    }
    if let (Some(true), Some(target)) = (args.truth("hard"), args.text("target")) {
        looks.push(look_at(&target));
        if !args.absent && matches!(world.entry(&path), Ok(Some(_))) {
            looks.push(Look::Command(same_file(&path, &target)));
        }
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let node = world.entry(&path)?.map(|entry| &entry.node);
    let hard = args.truth("hard") == Some(true);
    if args.absent {
        let is_link = matches!(node, Some(Node::Link(_))) || hard && matches!(node, Some(Node::File(_)));
        return match node {
            None => Ok(Decision::nothing()),
            Some(_) if is_link => Ok(Decision::new(Change::Remove, Vec::new(), vec![Act::Remove { path }])),
            Some(_) => Err(format!("{path} is there, and is not a link")),
        };
    }
    let target = args.text("target").ok_or("a link needs a `target`")?;
    if hard && node.is_some() && world.command(&same_file(&path, &target))?.succeeded() {
        return Ok(Decision::nothing());
    }
    let meta = Meta::of(args);
    let (mut acts, mut differences) = (Vec::new(), Vec::new());
    let (change, was) = match node {
        Some(Node::Link(now)) if *now == target && !hard => return update_meta(args, &path, &meta, world),
        Some(Node::Link(now)) => (Change::Update, &**now),
        Some(Node::File(_)) => (Change::Update, "(a file)"),
        Some(Node::Directory) if args.truth("force") == Some(true) => {
            acts.push(Act::Remove { path: path.clone() });
            differences = removed(&path, world)?;
            (Change::Update, "(a directory)")
        }
        Some(Node::Directory) => {
            return Err(format!("{path} is a directory; `force` says that a link takes its place"));
        }
        Some(_) => return Err(format!("{path} is there, and is neither a link nor a file")),
        None => (Change::Create, ""),
    };
    check_parent(&path, world)?;
    let kind = if hard { ", as a hard link" } else { "" };
    differences.insert(0, format!("{}{kind}", args.difference("target", was, &target)));
    meta.check_known(world)?;
    differences.extend(meta.of_new(args));
    let owned = (meta.owner.is_some() || meta.group.is_some()).then(|| Act::SetMeta {
        path: path.clone(),
        mode: None,
        owner: meta.owner,
        group: meta.group,
    });
    acts.push(if hard { another_name(&path, &target, world)? } else { Act::MakeLink { path, target } });
    acts.extend(owned);
    Ok(Decision::new(change, differences, acts))
}

/// What is lost with a directory: the first of it, and how much more there is.
fn removed(path: &str, world: &World) -> Result<Vec<String>, String> {
    const SHOWN: usize = 10;
    let tree = world.tree(path)?;
    let mut lines: Vec<String> = tree.iter().take(SHOWN).map(|(inside, _)| format!("removes {inside}")).collect();
    if let more @ 1.. = tree.len().saturating_sub(SHOWN) {
        lines.push(format!("removes {more} more in {path}"));
    }
    Ok(lines)
}

/// The act that makes a path another name of a file: beside it first, so that there is no moment without one.
fn another_name(path: &Arc<str>, target: &Arc<str>, world: &World) -> Result<Act, String> {
    let entry = match world.entry(target)? {
        Some(entry) if matches!(entry.node, Node::File(_)) => Some(entry.clone()),
        Some(_) => return Err(format!("{target} is not a file, and only a file has more than one name")),
        None if world.loose => None,
        None => return Err(format!("there is no file {target} on this server")),
    };
    let beside = format!("{path}.andon-link");
    let script = "ln -f \"$1\" \"$2\" && mv -f \"$2\" \"$3\"";
    let same = CommandOutput { status: Some(0), ..CommandOutput::default() };
    Ok(Act::Run {
        command: Command::new(["/bin/sh", "-c", script, "sh", target, &beside, path]),
        doing: None,
        makes: vec![
            (look_at(path), Sight::Path(entry)),
            (Look::Command(same_file(path, target)), Sight::Command(same)),
        ],
        only: true,
    })
}
