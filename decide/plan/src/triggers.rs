//! `replace_triggered_by`

use crate::compare::same;
use crate::graph::{Key, NodeId, Trigger};
use crate::planner::{ChangeKind, Planner};

impl Planner {
    /// Whether what a trigger names is updated or replaced.
    pub(crate) fn fires(&self, trigger: &Trigger) -> bool {
        let changes = |node: &NodeId| {
            let address = self.by_node.get(node)?;
            let change = self.verdicts.get(address)?.change.as_ref()?;
            let before = change.before.as_ref().filter(|_| change.kind != ChangeKind::Read)?;
            if trigger.path.is_empty() {
                return Some(true);
            }
            Some(match (before.at(&trigger.path), change.after.at(&trigger.path)) {
                (Some(before), Some(after)) => !same(before, after),
                (None, None) => false,
                _ => true,
            })
        };
        match self.graph.key(trigger.node) {
            Some(Key::Instance(..)) => changes(&trigger.node) == Some(true),
            Some(Key::Resource(_)) => self.graph.reads(trigger.node).iter().any(|node| changes(node) == Some(true)),
            _ => false,
        }
    }
}
