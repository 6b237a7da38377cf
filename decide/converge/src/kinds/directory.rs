use std::collections::BTreeSet;
use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Look, Node};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::content::{Wanted, kept_for};
use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_mode, check_path, is_like, look_at, optional, parent, parse_mode};
use crate::formats;
use crate::world::World;

/// A directory, made with all those above it.
pub(super) const KIND: Kind = Kind { name: "directory", schema, check, looks, decide };

fn schema() -> Block {
    let purge = "Remove what no resource of this role defines in it, and with `source` what is not there. A directory \
                 in it stays where something beneath is defined.";
    let mut attributes = vec![
        ("path", optional(Type::String, "The absolute path; without it, the label.").format(formats::PATH)),
        ("purge", optional(Type::Bool, purge)),
        (
            "keep",
            optional(Type::list(Type::String), "Names in it, or patterns of them with `*`, that `purge` leaves alone."),
        ),
        (
            "recurse",
            optional(
                Type::Bool,
                "Give what is beneath it the same owner and group, directories the same mode, and files `file_mode`; \
                 but not what another resource of this role defines.",
            ),
        ),
        (
            "file_mode",
            optional(Type::String, "The permission bits of files, with `recurse` or `source`.").format(formats::MODE),
        ),
        (
            "source",
            optional(
                Type::String,
                "A directory of the project, by its path from the role's directory: all files beneath it are beneath \
                 this one, too. One that may be executed there may be here, unless `file_mode` says otherwise; of a \
                 link in it, what it leads to is copied, and one that leads out of the project is left out.",
            ),
        ),
    ];
    attributes.extend(Meta::schema("0755"));
    block("A directory. Missing directories above it are made too. `absent` removes it with all in it.", &attributes)
}

fn check(args: &Args) -> Vec<String> {
    let path = args.subject("path");
    let mut wrong = Meta::check(args);
    wrong.extend(check_path(&path));
    wrong.extend(args.text("file_mode").and_then(|mode| check_mode(&mode)));
    let shallow = path.split('/').filter(|step| !step.is_empty()).count() < 2;
    if shallow && (args.absent || ["purge", "recurse"].iter().any(|it| args.truth(it) == Some(true))) {
        wrong.push(format!("`{path}` is too near the root to be emptied, removed or given away"));
    }
    if args.has("keep") && args.truth("purge") != Some(true) {
        wrong.push("`keep` is about what `purge` removes, and nothing is".to_owned());
    }
    if args.has("file_mode") && args.truth("recurse") != Some(true) && !args.has("source") {
        wrong.push("`file_mode` is about files beneath it, with `recurse` or `source`".to_owned());
    }
    wrong
}

/// The files beneath it that come from the project, and the directories that they are in, each after its own.
struct Tree {
    files: Vec<Wanted>,
    directories: BTreeSet<Arc<str>>,
}

impl Tree {
    fn of(args: &Args, world: &World) -> Tree {
        let mut tree = Tree { files: Vec::new(), directories: BTreeSet::new() };
        let Some(source) = args.text("source") else { return tree };
        let path = args.subject("path");
        let meta = Meta { mode: file_mode(args), ..Meta::of(args) };
        for (inside, content, is_executable) in world.files_below(args, &source) {
            let place: Arc<str> = format!("{path}/{inside}").into();
            let mut above = parent(&place);
            while *above != *path && tree.directories.insert(above.into()) {
                above = parent(above);
            }
            let wanted = Wanted::plain(&place, "", None);
            let mode = meta.mode.or(is_executable.then_some(0o755));
            tree.files.push(Wanted { content: Bytes::clone(content), meta: Meta { mode, ..meta.clone() }, ..wanted });
        }
        tree
    }

    fn has(&self, path: &str) -> bool {
        self.directories.contains(path) || self.files.iter().any(|file| *file.path == *path)
    }
}

fn file_mode(args: &Args) -> Option<u32> {
    args.text("file_mode").and_then(|text| parse_mode(&text))
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let path = args.subject("path");
    let mut looks = vec![look_at(&path)];
    if args.absent {
        return looks;
    }
    looks.extend(Meta::of(args).looks());
    let tree = Tree::of(args, world);
    looks.extend(tree.directories.iter().map(|directory| look_at(directory)));
    looks.extend(tree.files.iter().flat_map(|file| file.looks(world)));
    if world.entry(&path).ok().flatten().is_some_and(|entry| entry.node == Node::Directory) {
        let purge = args.truth("purge") == Some(true);
        if args.truth("recurse") == Some(true) || purge && args.has("source") {
            looks.push(Look::Tree(path));
        } else if purge {
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
    let (mut differences, mut acts) = (Vec::new(), Vec::new());
    match entry {
        Some(entry) => {
            let (differs, act) = meta.decide(args, &path, entry);
            if act.is_some() {
                meta.check_known(world)?;
            }
            differences.extend(differs);
            acts.extend(act);
        }
        None => {
            meta.check_known(world)?;
            differences.extend(meta.of_new(args));
            acts.push(make(&path, &meta));
        }
    }
    let tree = Tree::of(args, world);
    if entry.is_some() {
        let removed = if args.truth("purge") == Some(true) { purge(args, world, &tree)? } else { BTreeSet::new() };
        if args.truth("recurse") == Some(true) {
            recurse(args, world, &tree, &removed, &mut differences, &mut acts)?;
        }
        differences.extend(removed.iter().map(|path| format!("removes {path}")));
        acts.extend(removed.into_iter().map(|path| Act::Remove { path }));
    }
    let diff = copy(args, world, tree, &mut differences, &mut acts)?;
    let change = if entry.is_none() { Change::Create } else { Change::Update };
    match acts.is_empty() {
        true => Ok(Decision::nothing()),
        false => Ok(Decision { diff, ..Decision::new(change, differences, acts) }),
    }
}

fn make(path: &Arc<str>, meta: &Meta) -> Act {
    let Meta { mode, owner, group } = meta.clone();
    Act::MakeDirectory { path: path.clone(), mode, owner, group }
}

/// Makes the files of the project so, and gives the diffs of those that differ.
fn copy(
    args: &Args,
    world: &World,
    tree: Tree,
    differences: &mut Vec<String>,
    acts: &mut Vec<Act>,
) -> Result<Option<String>, String> {
    let meta = Meta::of(args);
    for directory in &tree.directories {
        match world.entry(directory)?.map(|entry| &entry.node) {
            None => {
                differences.push(format!("adds {directory}"));
                acts.push(make(directory, &meta));
            }
            Some(Node::Directory) => {}
            Some(_) => return Err(format!("{directory} is there, and is not a directory")),
        }
    }
    let mut diffs = String::new();
    for file in tree.files {
        let path = file.path.clone();
        // The directories are made by now, where they were missing.
        let above = Some(make(&parent(&path).into(), &meta));
        let decision = Wanted { above, ..file }.decide(args, world)?;
        match decision.change {
            Change::None => continue,
            Change::Create => differences.push(format!("adds {path}")),
            _ => {
                let details = decision.differences.join(", ");
                let details = if details.is_empty() { details } else { format!(": {details}") };
                differences.push(format!("changes {path}{details}"));
                diffs.extend(decision.diff.map(|diff| format!("--- {path}\n+++ {path}\n{diff}")));
            }
        }
        acts.extend(decision.acts.into_iter().filter(|act| !matches!(act, Act::MakeDirectory { .. })));
    }
    Ok((!diffs.is_empty()).then_some(diffs))
}

/// The owner, group and mode of all that is beneath and stays.
fn recurse(
    args: &Args,
    world: &World,
    tree: &Tree,
    removed: &BTreeSet<Arc<str>>,
    differences: &mut Vec<String>,
    acts: &mut Vec<Act>,
) -> Result<(), String> {
    let of_directories = Meta::of(args);
    let of_files = Meta { mode: file_mode(args), ..of_directories.clone() };
    for (path, entry) in world.tree(&args.subject("path"))? {
        let meta = match entry.node {
            Node::File(_) if !tree.has(path) => &of_files,
            Node::Directory => &of_directories,
            _ => continue,
        };
        let goes = std::iter::successors(Some(&**path), |path| Some(parent(path)).filter(|above| *above != "/"))
            .any(|above| removed.contains(above));
        if world.defines(path) || goes {
            continue;
        }
        let (differs, act) = meta.decide(args, path, entry);
        if let Some(act) = act {
            meta.check_known(world)?;
            differences.push(format!("{path}: {}", differs.join(", ")));
            acts.push(act);
        }
    }
    Ok(())
}

/// What nobody defines, and no file of the project is.
fn purge(args: &Args, world: &World, tree: &Tree) -> Result<BTreeSet<Arc<str>>, String> {
    let path = args.subject("path");
    let keep = args.texts("keep");
    let names = || world.listing(&path).map(|names| names.iter().map(|name| format!("{path}/{name}").into()).collect());
    let beneath: Vec<Arc<str>> = match world.tree(&path) {
        Ok(entries) => entries.iter().map(|(inside, _)| inside.clone()).collect(),
        Err(_) => names()?,
    };
    let deep = args.has("source");
    let mut all = BTreeSet::new();
    let mut removed: Option<Arc<str>> = None;
    for inside in beneath {
        let is_top = parent(&inside) == &*path;
        let within = removed
            .as_ref()
            .is_some_and(|removed| inside.strip_prefix(&**removed).is_some_and(|it| it.starts_with('/')));
        if within || !is_top && !deep {
            continue;
        }
        // An earlier resource of a plan may have removed it already.
        let gone = matches!(world.entry(&inside), Ok(None));
        let rest = inside.strip_prefix(&*path).unwrap_or(&inside).trim_start_matches('/');
        let kept = keep
            .iter()
            .any(|pattern| is_like(pattern, rest) || is_like(pattern, rest.split('/').next().unwrap_or(rest)));
        let predecessor = kept_for(&inside).is_some_and(|file| world.is_defined(file));
        if !gone && !kept && !predecessor && !tree.has(&inside) && !world.is_defined(&inside) {
            all.insert(inside.clone());
            removed = Some(inside);
        }
    }
    Ok(all)
}
