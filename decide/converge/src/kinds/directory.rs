use andon_schema::host::{Act, Look, Node};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_path, optional};
use crate::formats;
use crate::world::World;

/// A directory, made with all those above it.
pub(super) const KIND: Kind = Kind { name: "directory", schema, check, looks, decide };

fn schema() -> Block {
    let purge = "Remove what no resource of this role defines in it. A directory in it stays where something beneath \
                 is defined.";
    let mut attributes = vec![
        ("path", optional(Type::String, "The absolute path; without it, the label.").format(formats::PATH)),
        ("purge", optional(Type::Bool, purge)),
    ];
    attributes.extend(Meta::schema("0755"));
    block("A directory. Missing directories above it are made too. `absent` removes it with all in it.", &attributes)
}

fn check(args: &Args) -> Vec<String> {
    let path = args.subject("path");
    let mut wrong = Meta::check(args);
    wrong.extend(check_path(&path));
    let shallow = path.split('/').filter(|step| !step.is_empty()).count() < 2;
    if shallow && (args.absent || args.truth("purge") == Some(true)) {
        wrong.push(format!("`{path}` is too near the root to be emptied or removed"));
    }
    wrong
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let path = args.subject("path");
    let mut looks = vec![Look::Path { path: path.clone(), content: false }];
    if !args.absent {
        looks.extend(Meta::of(args).looks());
        let there = world.entry(&path).ok().flatten().is_some_and(|entry| entry.node == Node::Directory);
        if there && args.truth("purge") == Some(true) {
            looks.push(Look::Listing(path));
        }
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let entry = match world.entry(&path)? {
        Some(entry) if entry.node == Node::Directory => Some(entry),
        Some(_) => return Err(format!("{path} is there, and is not a directory")),
        None => None,
    };
    if args.absent {
        return Ok(match entry {
            Some(_) => Decision::new(Change::Remove, Vec::new(), vec![Act::Remove { path }]),
            None => Decision::nothing(),
        });
    }
    let meta = Meta::of(args);
    let Some(entry) = entry else {
        meta.check_known(world)?;
        let differences =
            meta.mode.map(|mode| args.difference("mode", "", &format!("{mode:04o}"))).into_iter().collect();
        let Meta { mode, owner, group } = meta;
        let acts = vec![Act::MakeDirectory { path, mode, owner, group }];
        return Ok(Decision::new(Change::Create, differences, acts));
    };
    let (mut differences, act) = meta.decide(args, &path, entry);
    if act.is_some() {
        meta.check_known(world)?;
    }
    let mut acts: Vec<Act> = act.into_iter().collect();
    if args.truth("purge") == Some(true) {
        for name in world.listing(&path)? {
            let inside = format!("{path}/{name}");
            // An earlier resource of a plan may have removed it already.
            let gone = matches!(world.entry(&inside), Ok(None));
            if !gone && !world.is_defined(&inside) {
                differences.push(format!("removes {inside}"));
                acts.push(Act::Remove { path: inside.into() });
            }
        }
    }
    Ok(Decision::update(differences, acts))
}
