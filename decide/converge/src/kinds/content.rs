//! What the kinds share that make the content of a file so: whole, or by an edit.

use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Look, Node, Origin};
use andon_schema::{Attribute, Change};
use andon_value::Type;

use super::{Decision, Meta};
use crate::args::{Args, look_at, optional, parent};
use crate::bytes::decode;
use crate::formats;
use crate::text::{LARGE, Shown, show};
use crate::world::{World, bytes_of};

/// A file as it is to be.
pub(super) struct Wanted {
    pub path: Arc<str>,
    pub content: Bytes,
    pub meta: Meta,
    /// A shell command that must have nothing against new content.
    pub validate: Option<Arc<str>>,
    /// How many of its predecessors are kept beside it.
    pub backups: u64,
    /// The act that makes its directory, where that is missing and comes with the file.
    pub above: Option<Act>,
}

/// What a resource says of a file beside its content.
pub(super) fn schema() -> Vec<(&'static str, Attribute)> {
    let validate = "A shell command that must succeed before new content replaces the old, such as `\"nginx -t\"`. It \
                    alone sees the new content in the place of the old one; where it holds `%s`, that is the path of \
                    a temporary file with the new content.";
    let backup = "How many of the contents that are replaced are kept beside the file, as `NAME.~1~`, `NAME.~2~` and \
                  so on; without it, none. `andon undo` does not need them.";
    let mut attributes = vec![
        ("validate", optional(Type::String, validate)),
        ("backup", optional(Type::Number, backup).format(formats::COUNT)),
    ];
    attributes.extend(Meta::schema("0644"));
    attributes
}

impl Wanted {
    /// The content, and what the resource says of the file beside it.
    pub fn of(args: &Args, path: Arc<str>, content: Bytes) -> Wanted {
        let (meta, validate) = (Meta::of(args), args.text("validate"));
        Wanted { path, content, meta, validate, backups: args.whole("backup").unwrap_or(0), above: None }
    }

    /// A file that nothing is asked of but its content; a new one has this mode.
    pub fn plain(path: &str, content: &str, mode: Option<u32>) -> Wanted {
        let meta = Meta { mode, ..Meta::default() };
        Wanted { path: path.into(), content: Bytes::from(content), meta, validate: None, backups: 0, above: None }
    }

    /// The same, which nobody but root owns: those who read it pass over one that another could write.
    pub fn of_root(self) -> Wanted {
        let root = || Some("root".into());
        Wanted { meta: Meta { owner: root(), group: root(), ..self.meta }, ..self }
    }

    /// The same, in a directory that comes with it.
    pub fn in_directory(self, directory: &str, mode: u32, world: &World) -> Result<Wanted, String> {
        let missing = world.entry(directory)?.is_none();
        let mode = Some(mode);
        let make = || Act::MakeDirectory { path: directory.into(), mode, owner: None, group: None };
        Ok(Wanted { above: missing.then(make), ..self })
    }

    /// What must be seen. A file that differs is read where its difference can be shown.
    pub fn looks(&self, world: &World) -> Vec<Look> {
        let Wanted { path, content, meta, .. } = self;
        let mut looks = vec![Look::Same { path: path.clone(), content: content.clone() }];
        looks.extend(meta.looks());
        match world.entry(path) {
            Ok(None) => looks.push(look_at(parent(path))),
            Ok(Some(entry)) if matches!(entry.node, Node::File(_)) => {
                let length = world.length(path, content);
                let large = length.unwrap_or(0).max(content.0.len() as u64) > LARGE as u64;
                if length.is_some() && !large && !world.is_secret(path) {
                    looks.push(Look::Path { path: path.clone(), content: true });
                }
                if self.backups > 0 && bytes_of(Some(entry)) != Some(content) {
                    looks.push(Look::Listing(parent(path).into()));
                }
            }
            _ => {}
        }
        looks
    }

    /// What has to change.
    pub fn decide(self, args: &Args, world: &World) -> Result<Decision, String> {
        let Wanted { path, content, meta, validate, backups, above } = self;
        let entry = world.entry(&path)?;
        check_file(&path, entry.map(|entry| &entry.node))?;
        let old = bytes_of(entry);
        if old == Some(&content) {
            return update_meta(args, &path, &meta, world);
        }
        meta.check_known(world)?;
        if above.is_none() {
            check_parent(&path, world)?;
        }
        let mut differences = Vec::new();
        let mut acts: Vec<Act> = above.into_iter().collect();
        match entry {
            Some(entry) => {
                if let Node::Link(target) = &entry.node {
                    differences.push(format!("link to {target} → file"));
                }
                differences.extend(meta.decide(args, &path, entry).0);
            }
            None => differences.extend(meta.of_new(args)),
        }
        let secret = world.is_secret(&path);
        let shown = match (world.length(&path, &content), old) {
            // It was too large to be read.
            (Some(length), None) if entry.is_some_and(|entry| matches!(entry.node, Node::File(_))) && !secret => {
                show(None, Some(&content.0), secret).instead_of(length)
            }
            // A secret that differs is not read to be told so.
            (Some(_), None) if secret => show(None, Some(&content.0), secret),
            _ => as_text(args, old, &content)
                .filter(|_| !secret)
                .unwrap_or_else(|| show(old.map(|bytes| &*bytes.0), Some(&content.0), secret)),
        };
        differences.extend(shown.differences);
        if backups > 0 && entry.is_some_and(|entry| matches!(entry.node, Node::File(_))) {
            acts.extend(back_up(&path, backups, world)?);
        }
        let Meta { mode, owner, group } = meta;
        acts.push(Act::WriteFile { path, content, mode, owner, group, validate });
        let change = if entry.is_none() { Change::Create } else { Change::Update };
        Ok(Decision { diff: shown.diff, ..Decision::new(change, differences, acts) })
    }
}

/// The change of a text that is not in UTF-8, shown as people read it; `None` where there is no other encoding, or no
/// difference in what they read.
fn as_text(args: &Args, old: Option<&Bytes>, new: &Bytes) -> Option<Shown> {
    let encoding = args.text("encoding")?;
    let read = |bytes: &Bytes| decode(&bytes.0, &encoding);
    let old = match old {
        Some(old) => Some(read(old)?),
        None => None,
    };
    let shown = show(old.as_ref().map(String::as_bytes), Some(read(new)?.as_bytes()), false);
    shown.diff.is_some().then_some(shown)
}

/// What must be seen of a file whose text is edited.
pub(super) fn text_looks(path: &Arc<str>, args: &Args, world: &World) -> Vec<Look> {
    let mut looks = vec![Look::Path { path: path.clone(), content: true }];
    if args.absent {
        return looks;
    }
    looks.extend(Meta::of(args).looks());
    match world.entry(path) {
        Ok(None) => looks.push(look_at(parent(path))),
        Ok(Some(_)) if args.has("backup") => looks.push(Look::Listing(parent(path).into())),
        _ => {}
    }
    looks
}

/// The text of a file that is edited; `None` where there is none.
pub(super) fn text_of<'w>(path: &str, world: &'w World) -> Result<Option<&'w str>, String> {
    match world.entry(path)?.map(|entry| &entry.node) {
        None => Ok(None),
        Some(Node::File(bytes)) => {
            let bytes = bytes.as_ref().map(|bytes| &*bytes.0).unwrap_or_default();
            std::str::from_utf8(bytes).map(Some).map_err(|_| format!("{path} is not text in UTF-8"))
        }
        Some(Node::Link(target)) => Err(format!("{path} is a link to {target}; give the path of the file itself")),
        Some(_) => Err(format!("{path} is not a file")),
    }
}

/// The removal of a file that a resource made.
pub(super) fn remove_file(path: Arc<str>, world: &World) -> Result<Decision, String> {
    let entry = world.entry(&path)?;
    check_file(&path, entry.map(|entry| &entry.node))?;
    let Some(entry) = entry else { return Ok(Decision::nothing()) };
    let shown = show(bytes_of(Some(entry)).map(|bytes| &*bytes.0), None, world.is_secret(&path));
    let acts = vec![Act::Remove { path }];
    Ok(Decision { diff: shown.diff, ..Decision::new(Change::Remove, shown.differences, acts) })
}

/// Whether what is at a path can be a file: a link is replaced, what is more is not.
pub(super) fn check_file(path: &str, node: Option<&Node>) -> Result<(), String> {
    match node {
        Some(Node::Directory) => Err(format!("{path} is a directory, not a file")),
        Some(Node::Other) => Err(format!("{path} is a device, socket or pipe, not a file")),
        _ => Ok(()),
    }
}

/// The mode, owner and group of what is as it should be otherwise.
pub(super) fn update_meta(args: &Args, path: &Arc<str>, meta: &Meta, world: &World) -> Result<Decision, String> {
    let Some(entry) = world.entry(path)? else { return Ok(Decision::nothing()) };
    let (differences, act) = meta.decide(args, path, entry);
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

/// The acts that keep a file beside itself, and no more of its predecessors than asked for.
pub(super) fn back_up(path: &Arc<str>, backups: u64, world: &World) -> Result<Vec<Act>, String> {
    let Some(entry) = world.entry(path)? else { return Ok(Vec::new()) };
    let mut numbers: Vec<u64> =
        world.listing(parent(path))?.iter().filter_map(|name| backup_number(path, name)).collect();
    numbers.sort_unstable();
    let place = |number: u64| Arc::<str>::from(format!("{path}.~{number}~"));
    let next = numbers.last().map_or(1, |last| last + 1);
    let from = Origin::Path(path.clone());
    let (owner, group) = (Some(entry.owner.id.to_string().into()), Some(entry.group.id.to_string().into()));
    let mut acts =
        vec![Act::FetchFile { from, path: place(next), mode: Some(entry.mode), owner, group, validate: None }];
    let too_many = (numbers.len() as u64 + 1).saturating_sub(backups);
    let oldest = numbers.into_iter().take(usize::try_from(too_many).unwrap_or(usize::MAX));
    acts.extend(oldest.map(|number| Act::Remove { path: place(number) }));
    Ok(acts)
}

/// Which of the predecessors of a file a name beside it is.
fn backup_number(path: &str, name: &str) -> Option<u64> {
    let own = path.rsplit_once('/').map_or(path, |(_, own)| own);
    name.strip_prefix(own)?.strip_prefix(".~")?.strip_suffix('~')?.parse().ok()
}

/// The file that a path is a kept predecessor of: `/etc/a` of `/etc/a.~2~`.
pub(crate) fn kept_for(path: &str) -> Option<&str> {
    let (file, number) = path.strip_suffix('~')?.rsplit_once(".~")?;
    number.parse::<u64>().ok().map(|_| file)
}
