use std::sync::Arc;

use andon_schema::Change;
use andon_schema::host::{Act, Bytes, Look, Node};

use sha2::{Digest, Sha256};

use super::Decision;
use crate::args::{look_at, parent};
use crate::text::show;
use crate::world::{World, bytes_of};

/// A file that is wholly a resource's own, beside what else it is about: a unit of systemd, a source of packages.
pub(super) struct OwnFile {
    pub path: Arc<str>,
    /// `None` where it must not be there.
    pub content: Option<String>,
    /// What is in it is a secret: nobody but root reads it, and it is not shown.
    pub secret: bool,
    pub validate: Option<Arc<str>>,
}

impl OwnFile {
    pub fn looks(&self) -> Vec<Look> {
        vec![Look::Path { path: self.path.clone(), content: true }, look_at(parent(&self.path))]
    }

    /// What has to change of it; its directory is made where it is missing.
    pub fn decide(&self, world: &World) -> Result<Decision, String> {
        let path = self.path.clone();
        let entry = world.entry(&path)?;
        if let Some(Node::Directory | Node::Other) = entry.map(|entry| &entry.node) {
            return Err(format!("{path} is not a file"));
        }
        let old = bytes_of(entry).map(|bytes| &*bytes.0);
        let Some(content) = &self.content else {
            if entry.is_none() {
                return Ok(Decision::nothing());
            }
            let shown = show(old, None, self.secret);
            let removal = Decision::new(Change::Remove, shown.differences, vec![Act::Remove { path }]);
            return Ok(Decision { diff: shown.diff, ..removal });
        };
        let mode = if self.secret { 0o600 } else { 0o644 };
        if old == Some(content.as_bytes()) {
            let open = self.secret && entry.is_some_and(|entry| entry.mode & 0o077 != 0);
            let acts = open.then_some(Act::SetMeta { path, mode: Some(mode), owner: None, group: None });
            return Ok(Decision::update(acts.iter().map(|_| "mode".to_owned()).collect(), acts.into_iter().collect()));
        }
        let mut acts = Vec::new();
        if entry.is_none() && world.entry(parent(&path))?.is_none() {
            acts.push(Act::MakeDirectory { path: parent(&path).into(), mode: None, owner: None, group: None });
        }
        let shown = show(old, Some(content.as_bytes()), self.secret);
        let (content, validate) = (Bytes::from(&**content), self.validate.clone());
        acts.push(Act::WriteFile { path, content, mode: Some(mode), owner: None, group: None, validate });
        let change = if entry.is_none() { Change::Create } else { Change::Update };
        Ok(Decision { diff: shown.diff, ..Decision::new(change, shown.differences, acts) })
    }
}

/// A few digits that stand for a text in the name of a file.
pub(super) fn short_digest(text: &str) -> String {
    content_digest(text.as_bytes()).chars().take(10).collect()
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub(super) fn content_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Several files of one resource, in one decision: what each differs in is said under its path.
pub(super) fn decide_all(files: &[OwnFile], world: &World) -> Result<Decision, String> {
    let mut all = Decision::nothing();
    let mut diffs = String::new();
    let mut changes = Vec::new();
    for file in files {
        let Decision { change, differences, diff, acts, .. } = file.decide(world)?;
        changes.push(change);
        all.differences.extend(differences.into_iter().map(|line| format!("{}: {line}", file.path)));
        diffs.extend(diff.map(|diff| format!("--- {0}\n+++ {0}\n{diff}", file.path)));
        // They share a directory.
        let new: Vec<Act> = acts.into_iter().filter(|act| !all.acts.contains(act)).collect();
        all.acts.extend(new);
    }
    all.diff = (!diffs.is_empty()).then_some(diffs);
    let first = changes.first().copied().unwrap_or(Change::None);
    all.change = if changes.iter().all(|change| *change == first) { first } else { Change::Update };
    Ok(all)
}
