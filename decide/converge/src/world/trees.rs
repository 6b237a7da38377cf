//! What is known of all that is beneath a directory, kept in step with what is known of each path.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::host::{Entry, Look, Sight};

use super::{World, is_within};

impl World {
    /// What is at a path, as a tree around it has it.
    pub(super) fn entry_in_trees(&self, path: &str) -> Option<&Entry> {
        let trees = self.sights.range(Look::Tree("".into())..).map_while(|(look, sight)| match (look, sight) {
            (Look::Tree(top), Sight::Tree(tree)) => Some((top, tree)),
            _ => None,
        });
        let mut trees = trees.filter(|(top, _)| is_within(path, top)).filter_map(|(_, tree)| tree.as_ref());
        trees.find_map(|tree| {
            let at = tree.binary_search_by(|(known, _)| (**known).cmp(path)).ok()?;
            tree.get(at).map(|(_, entry)| entry)
        })
    }

    /// The trees that a path is in.
    pub(super) fn forget_trees(&mut self, path: &str) {
        let from = Look::Tree("".into());
        let trees = self.sights.range(from..).map_while(|(look, _)| match look {
            Look::Tree(top) => Some(top.clone()),
            _ => None,
        });
        for top in trees.filter(|top| is_within(path, top)).collect::<Vec<_>>() {
            self.sights.remove(&Look::Tree(top));
        }
    }

    /// A tree that is seen now, with what is known of the paths in it already: in a plan, that is imagined.
    pub(super) fn as_imagined(&self, top: &str, tree: &[(Arc<str>, Entry)]) -> Vec<(Arc<str>, Entry)> {
        let mut entries: BTreeMap<Arc<str>, Entry> = tree.iter().cloned().collect();
        let beneath: Arc<str> = format!("{}/", top.trim_end_matches('/')).into();
        for (look, sight) in self.sights.range(Look::Path { path: beneath.clone(), content: false }..) {
            match (look, sight) {
                (Look::Path { path, .. }, Sight::Path(Some(entry))) if path.starts_with(&*beneath) => {
                    entries.insert(path.clone(), entry.clone());
                }
                (Look::Path { path, .. }, Sight::Path(None)) if path.starts_with(&*beneath) => {
                    entries.remove(path);
                }
                _ => break,
            }
        }
        entries.retain(|path, _| !self.is_gone(path));
        entries.into_iter().collect()
    }

    /// Changes the trees that a path is in.
    pub(super) fn in_trees_around(&mut self, path: &str, change: impl Fn(&mut Vec<(Arc<str>, Entry)>)) {
        for (look, sight) in self.sights.range_mut(Look::Tree("".into())..) {
            let Look::Tree(top) = look else { break };
            if let Sight::Tree(Some(tree)) = sight
                && **top != *path
                && is_within(path, top)
            {
                change(tree);
            }
        }
    }
}
