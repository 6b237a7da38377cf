//! Putting back what a run changed: what it kept and what is there now in, acts out. What was changed since is left
//! alone, unless that is asked for. What was no change of a path cannot be put back, and is named.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Entry, Look, Node, Sight, Verb};
use andon_schema::{Change, EntryStatus, HostEntry, HostReport, KeptPath, KeptRun, KeptState};
use sha2::{Digest, Sha256};

use crate::text::show;
use crate::units::unit_of_file;
use crate::world::is_within;

/// What would put a run back, as a report of a plan, and the acts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Undo {
    /// A line for each path that is put back, or that is not and why.
    pub report: HostReport,
    /// What is done, in this order, each with the place of its line in the report.
    pub acts: Vec<(usize, Act)>,
    /// What that run did and no undo takes back, in words: `nginx was installed`.
    pub stays: Vec<Arc<str>>,
}

/// What must be seen to undo a run.
pub fn undo_looks(run: &KeptRun) -> Vec<Look> {
    let mut looks = Vec::new();
    for KeptPath { path, is, was, .. } in &run.paths {
        looks.push(Look::Path { path: path.clone(), content: true });
        if matches!((is, was), (KeptState::Directory { .. }, KeptState::Nothing)) {
            looks.push(Look::Listing(path.clone()));
        }
    }
    looks.extend(services(run).map(|(unit, _)| Look::Service(unit.clone())));
    looks
}

/// The services that the run had take up what changed, each once: one that was restarted is so again.
fn services(run: &KeptRun) -> impl Iterator<Item = (&Arc<str>, Verb)> {
    let mut found: BTreeMap<&Arc<str>, Verb> = BTreeMap::new();
    for (unit, verb) in run.deeds.iter().filter_map(|deed| deed.again.as_ref()) {
        let known = found.entry(unit).or_insert(*verb);
        if *verb == Verb::Restart {
            *known = Verb::Restart;
        }
    }
    found.into_iter()
}

/// The decision. `sights` answer [`undo_looks`]; `force` puts back what was changed since, too; `content` gives an old
/// content by its digest.
pub fn undo(
    run: &KeptRun,
    sights: Vec<Sight>,
    force: bool,
    content: &mut dyn FnMut(&str) -> Result<Option<Bytes>, String>,
) -> Undo {
    let seen: BTreeMap<Look, Sight> = undo_looks(run).into_iter().zip(sights).collect();
    let mut paths: Vec<&KeptPath> = run.paths.iter().collect();
    paths.sort_by(|one, other| one.path.cmp(&other.path));
    let (mut undo, mut emptied) = (Undo::default(), Vec::new());
    // Directories that the run made go after all that is in them; all else before, from the top down.
    let made = |path: &KeptPath| matches!((&path.was, &path.is), (KeptState::Nothing, KeptState::Directory { .. }));
    let (directories, others): (Vec<&KeptPath>, Vec<&KeptPath>) = paths.into_iter().partition(|path| made(path));
    for kept in others {
        let decision = back(kept, &seen, force, content);
        if decision.as_ref().is_ok_and(|back| matches!(&*back.acts, [Act::Remove { .. }])) {
            emptied.push(kept.path.clone());
        }
        undo.take(run, kept, decision);
    }
    for kept in directories.into_iter().rev() {
        let decision = back_directory(kept, &seen, &emptied);
        if decision.as_ref().is_ok_and(|back| !back.acts.is_empty()) {
            emptied.push(kept.path.clone());
        }
        undo.take(run, kept, decision);
    }
    undo.stays = run.deeds.iter().filter(|deed| deed.again.is_none()).map(|deed| deed.what.clone()).collect();
    if !undo.acts.is_empty() {
        undo.take_up(run, &seen);
    }
    undo
}

/// How one path is put back.
#[derive(Default)]
struct Back {
    change: Option<Change>,
    differences: Vec<String>,
    diff: Option<String>,
    acts: Vec<Act>,
}

impl Undo {
    /// The report of what came of the acts; they end with the first that failed.
    pub fn done(mut self, outcomes: Vec<Result<(), String>>) -> HostReport {
        let mut stopped = None;
        let mut outcomes = outcomes.into_iter();
        for (place, _) in &self.acts {
            let Some(entry) = self.report.entries.get_mut(*place) else { continue };
            let status = match (&stopped, outcomes.next()) {
                (None, Some(Ok(()))) if !matches!(entry.status, EntryStatus::Failed(_)) => EntryStatus::Done,
                (None, Some(Err(reason))) => {
                    stopped = Some(format!("{} failed", entry.address));
                    EntryStatus::Failed(reason)
                }
                (Some(_), _) if matches!(entry.status, EntryStatus::Failed(_)) => continue,
                _ => EntryStatus::Skipped("not reached".to_owned()),
            };
            entry.status = status;
        }
        self.report.stopped = stopped;
        self.report
    }

    /// Has services take up what is put back, as that run had them take up what it changed.
    fn take_up(&mut self, run: &KeptRun, seen: &BTreeMap<Look, Sight>) {
        if let Some((place, _)) = self.acts.iter().rev().find(|(_, act)| unit_of_file(act).is_some()) {
            self.acts.push((*place, Act::ReadUnits));
        }
        for (unit, verb) in services(run) {
            // What does not run takes up its configuration when it starts.
            if !matches!(seen.get(&Look::Service(unit.clone())), Some(Sight::Service(Some(state))) if state.running) {
                continue;
            }
            let name = unit.strip_suffix(".service").unwrap_or(unit);
            self.report.entries.push(HostEntry {
                address: format!("service \"{name}\""),
                origin: format!("run {}", run.number),
                change: if verb == Verb::Restart { Change::Restart } else { Change::Reload },
                differences: Vec::new(),
                diff: None,
                status: EntryStatus::Planned,
            });
            self.acts.push((self.report.entries.len() - 1, Act::Service { unit: unit.clone(), verb }));
        }
    }

    fn take(&mut self, run: &KeptRun, kept: &KeptPath, decision: Result<Back, String>) {
        let kind = match (&kept.was, &kept.is) {
            (KeptState::Directory { .. }, _) | (KeptState::Nothing, KeptState::Directory { .. }) => "directory",
            (KeptState::Link(_), _) | (KeptState::Nothing, KeptState::Link(_)) => "link",
            _ => "file",
        };
        let (back, status) = match decision {
            Ok(back) if back.change.is_none() => return,
            Ok(back) => (back, EntryStatus::Planned),
            Err(reason) => (Back::default(), EntryStatus::Skipped(reason)),
        };
        self.report.entries.push(HostEntry {
            address: format!("{kind} \"{}\"", kept.path),
            origin: format!("run {}", run.number),
            change: back.change.unwrap_or(Change::None),
            differences: back.differences,
            diff: back.diff,
            status,
        });
        let place = self.report.entries.len() - 1;
        self.acts.extend(back.acts.into_iter().map(|act| (place, act)));
    }
}

fn entry<'s>(path: &Arc<str>, seen: &'s BTreeMap<Look, Sight>) -> Result<Option<&'s Entry>, String> {
    match seen.get(&Look::Path { path: path.clone(), content: true }) {
        Some(Sight::Path(entry)) => Ok(entry.as_ref()),
        Some(Sight::Failed(reason)) => Err(reason.clone()),
        _ => Err("the server did not answer a look".to_owned()),
    }
}

fn state(entry: Option<&Entry>) -> KeptState {
    let Some(entry) = entry else { return KeptState::Nothing };
    let (mode, uid, gid) = (entry.mode, entry.owner.id, entry.group.id);
    match &entry.node {
        Node::File(bytes) => {
            let digest = Sha256::digest(bytes.as_ref().map(|bytes| &*bytes.0).unwrap_or_default());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            KeptState::File { digest: digest.into(), mode, uid, gid }
        }
        Node::Directory => KeptState::Directory { mode, uid, gid },
        Node::Link(target) => KeptState::Link(target.clone()),
        Node::Other => KeptState::Other,
    }
}

/// Whether both are the same but for mode and owner.
fn is_alike(one: &KeptState, other: &KeptState) -> bool {
    match (one, other) {
        (KeptState::File { digest: one, .. }, KeptState::File { digest: other, .. }) => one == other,
        (KeptState::Directory { .. }, KeptState::Directory { .. }) => true,
        (one, other) => one == other,
    }
}

fn back(
    kept: &KeptPath,
    seen: &BTreeMap<Look, Sight>,
    force: bool,
    content: &mut dyn FnMut(&str) -> Result<Option<Bytes>, String>,
) -> Result<Back, String> {
    let there = entry(&kept.path, seen)?;
    let now = state(there);
    if now == kept.was {
        return Ok(Back::default());
    }
    if !force && !is_alike(&now, &kept.is) {
        return Err("it was changed since that run, and is left alone".to_owned());
    }
    let path = kept.path.clone();
    let bytes = |entry: Option<&Entry>| match entry.map(|entry| &entry.node) {
        Some(Node::File(bytes)) => bytes.clone(),
        _ => None,
    };
    let old = bytes(there);
    let shown = |new: Option<&Bytes>| show(old.as_ref().map(|old| &*old.0), new.map(|new| &*new.0), kept.secret);
    let owners = |uid: u32, gid: u32| (Some(Arc::from(uid.to_string())), Some(Arc::from(gid.to_string())));
    let mut acts = Vec::new();
    if there.is_some_and(|entry| entry.node == Node::Directory) && !matches!(kept.was, KeptState::Directory { .. }) {
        return Err("a directory is in its place, and is left alone".to_owned());
    }
    match &kept.was {
        KeptState::Nothing => {
            let shown = shown(None);
            acts.push(Act::Remove { path });
            Ok(Back { change: Some(Change::Remove), differences: shown.differences, diff: shown.diff, acts })
        }
        KeptState::File { digest, mode, uid, gid } => {
            let (owner, group) = owners(*uid, *gid);
            let change = Some(if there.is_none() { Change::Create } else { Change::Update });
            let mut differences = Vec::new();
            if let Some(entry) = there.filter(|entry| matches!(entry.node, Node::File(_))) {
                let differ = [("mode", format!("{:04o}", entry.mode), format!("{mode:04o}"))];
                let ids = [("owner", entry.owner.id, *uid), ("group", entry.group.id, *gid)];
                let ids = ids.map(|(what, from, to)| (what, from.to_string(), to.to_string()));
                let differ = differ.into_iter().chain(ids).filter(|(_, from, to)| from != to);
                differences.extend(differ.map(|(what, from, to)| format!("{what} {from} → {to}")));
            }
            if is_alike(&now, &kept.was) {
                acts.push(Act::SetMeta { path, mode: Some(*mode), owner, group });
                return Ok(Back { change, differences, diff: None, acts });
            }
            let Some(content) = content(digest)? else {
                return Err("its old content is not kept any more".to_owned());
            };
            let shown = shown(Some(&content));
            differences.extend(shown.differences);
            acts.push(Act::WriteFile { path, content, mode: Some(*mode), owner, group, validate: None });
            Ok(Back { change, differences, diff: shown.diff, acts })
        }
        KeptState::Directory { mode, uid, gid } => {
            let (owner, group) = owners(*uid, *gid);
            let change = if there.is_none() { Change::Create } else { Change::Update };
            if there.is_some_and(|entry| entry.node != Node::Directory) {
                acts.push(Act::Remove { path: path.clone() });
            }
            acts.push(Act::MakeDirectory { path, mode: Some(*mode), owner, group });
            Ok(Back { change: Some(change), acts, ..Back::default() })
        }
        KeptState::Link(target) => {
            let change = if there.is_none() { Change::Create } else { Change::Update };
            let differences = vec![format!("target {target}")];
            acts.push(Act::MakeLink { path, target: target.clone() });
            Ok(Back { change: Some(change), differences, diff: None, acts })
        }
        KeptState::Other => Err("what was there before could not be kept".to_owned()),
    }
}

/// A directory that the run made goes where nothing is left in it.
fn back_directory(kept: &KeptPath, seen: &BTreeMap<Look, Sight>, emptied: &[Arc<str>]) -> Result<Back, String> {
    match entry(&kept.path, seen)?.map(|entry| &entry.node) {
        None => return Ok(Back::default()),
        Some(Node::Directory) => {}
        Some(_) => return Err("it was changed since that run, and is left alone".to_owned()),
    }
    let names = match seen.get(&Look::Listing(kept.path.clone())) {
        Some(Sight::Listing(names)) => names.as_deref().unwrap_or_default(),
        _ => return Err("the server did not answer a look".to_owned()),
    };
    let left = names.iter().find(|name| {
        let inside = format!("{}/{name}", kept.path);
        !emptied.iter().any(|path| **path == *inside && is_within(path, &kept.path))
    });
    match left {
        Some(name) => Err(format!("it holds {name}, which that run did not make, and is left alone")),
        None => {
            let acts = vec![Act::Remove { path: kept.path.clone() }];
            Ok(Back { change: Some(Change::Remove), acts, ..Back::default() })
        }
    }
}
