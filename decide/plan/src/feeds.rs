//! Why drift matters: which planned changes read what has drifted.

use std::collections::BTreeSet;

use andon_schema::{InstanceAddress, Mode};

use crate::graph::{Graph, Key, Map, NodeId};
use crate::{Drift, PlannedChange};

/// The most readers of one object that are named.
const MOST: usize = 20;

/// Says of each drifted object which planned changes read it, themselves or through anything that is no managed resource.
pub(crate) fn feeds(drift: &mut [Drift], graph: &Graph, changes: &[PlannedChange]) {
    if drift.is_empty() || changes.is_empty() {
        return;
    }
    let readers = graph.readers();
    let planned: BTreeSet<&InstanceAddress> = changes.iter().map(|change| &change.address).collect();
    for drift in drift {
        let Some(start) = graph.node_of(&drift.address) else { continue };
        let mut seen = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            for reader in readers.get(&node).into_iter().flatten() {
                if drift.feeds.len() == MOST {
                    break;
                }
                if !seen.insert(*reader) {
                    continue;
                }
                match graph.instance_of(*reader) {
                    Some(address) if address.resource.mode == Mode::Managed => {
                        let told = planned.contains(&address) && address != drift.address;
                        drift.feeds.extend(told.then_some(address));
                    }
                    _ => open.push(*reader),
                }
            }
        }
        drift.feeds.sort();
    }
}

impl Graph {
    /// Who reads each node.
    fn readers(&self) -> Map<NodeId, Vec<NodeId>> {
        let mut readers: Map<NodeId, Vec<NodeId>> = Map::default();
        for node in self.ids() {
            for read in self.reads(node) {
                readers.entry(*read).or_default().push(node);
            }
        }
        readers
    }

    fn node_of(&self, address: &InstanceAddress) -> Option<NodeId> {
        self.find(&Key::Instance(self.resource_id(&address.resource)?, address.key.clone()))
    }
}
