//! Fewer nodes: many things drawn as one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, ClusterKind, Node, NodeKind, Picture};

/// What is drawn as one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Collapse {
    /// Nothing.
    #[default]
    Nothing,
    /// The resources of one type in one module.
    Types,
    /// Each module that a stack calls, with all in it.
    Modules,
    /// Each stack.
    Stacks,
}

impl Picture {
    /// The same with many things drawn as one.
    pub fn collapsed(&self, collapse: Collapse) -> Picture {
        match collapse {
            Collapse::Nothing => self.clone(),
            Collapse::Types => self.by_type(),
            Collapse::Modules => self.folded(&|cluster| {
                let found = self.clusters.get(cluster);
                let parent = found.and_then(|cluster| cluster.parent).and_then(|parent| self.clusters.get(parent));
                parent.is_some_and(|parent| parent.kind == ClusterKind::Stack)
            }),
            Collapse::Stacks => other_stacks(self, &|_| true),
        }
    }

    /// Draws each of these boxes as one node. None of them is inside another.
    fn folded(&self, fold: &dyn Fn(usize) -> bool) -> Picture {
        let mut of: BTreeMap<usize, usize> = BTreeMap::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut places = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut around = std::iter::successors(node.cluster, |at| self.clusters.get(*at).and_then(|it| it.parent));
            let Some((at, cluster)) = around.find(|at| fold(*at)).and_then(|at| Some((at, self.clusters.get(at)?)))
            else {
                places.push(nodes.len());
                nodes.push(node.clone());
                continue;
            };
            let place = *of.entry(at).or_insert_with(|| {
                let (kind, what) = match cluster.kind {
                    ClusterKind::Stack => (NodeKind::Stack, "stack"),
                    _ => (NodeKind::Module, "module"),
                };
                let short = cluster.label.strip_prefix("module.").unwrap_or(&cluster.label);
                nodes.push(Node {
                    name: short.to_owned(),
                    what: what.to_owned(),
                    address: self.cluster_address(at),
                    kind,
                    cluster: cluster.parent,
                });
                nodes.len() - 1
            });
            places.push(place);
        }
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        places.iter().for_each(|place| *counts.entry(*place).or_default() += 1);
        for place in of.values() {
            if let (Some(node), Some(count)) = (nodes.get_mut(*place), counts.get(place)) {
                node.what = format!("{} of {count}", node.what);
            }
        }
        self.merged(nodes, &places)
    }

    fn by_type(&self) -> Picture {
        let mut of: BTreeMap<(Option<usize>, &str), usize> = BTreeMap::new();
        let mut counts: Vec<usize> = Vec::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut places = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let one = matches!(node.kind, NodeKind::Role | NodeKind::Stack | NodeKind::Module) || node.what == "image";
            let place = match one {
                true => None,
                false => of.get(&(node.cluster, node.what.as_str())).copied(),
            };
            let place = place.unwrap_or_else(|| {
                nodes.push(node.clone());
                counts.push(0);
                nodes.len() - 1
            });
            if !one {
                of.insert((node.cluster, &node.what), place);
            }
            if let Some(count) = counts.get_mut(place) {
                *count += 1;
            }
            places.push(place);
        }
        for (node, count) in nodes.iter_mut().zip(&counts).filter(|(_, count)| **count > 1) {
            let own = format!(".{}", node.name);
            node.address = node.address.strip_suffix(&own).unwrap_or(&node.address).to_owned();
            node.name = format!("{count} ×");
        }
        self.merged(nodes, &places)
    }

    /// These nodes instead of its own, each of which is now at a place among them.
    fn merged(&self, nodes: Vec<Node>, places: &[usize]) -> Picture {
        let pair = |(from, to): &(usize, usize)| Some((*places.get(*from)?, *places.get(*to)?));
        let edges: BTreeSet<(usize, usize)> =
            self.edges.iter().filter_map(pair).filter(|(from, to)| from != to).collect();
        let edges = edges.into_iter().collect();
        without_empty(&Picture { title: self.title.clone(), clusters: self.clusters.clone(), nodes, edges })
    }

    fn cluster_address(&self, at: usize) -> String {
        let around = std::iter::successors(Some(at), |at| self.clusters.get(*at).and_then(|it| it.parent));
        let mut labels: Vec<&Cluster> = around.filter_map(|at| self.clusters.get(at)).collect();
        labels.reverse();
        match labels.split_first() {
            Some((first, [])) => first.label.clone(),
            Some((first, rest)) => {
                let rest: Vec<&str> = rest.iter().map(|cluster| cluster.label.as_str()).collect();
                format!("{}/{}", first.label, rest.join("."))
            }
            None => String::new(),
        }
    }
}

/// Draws those stacks as one node each.
pub(super) fn other_stacks(picture: &Picture, other: &dyn Fn(usize) -> bool) -> Picture {
    picture.folded(&|cluster| {
        picture.clusters.get(cluster).is_some_and(|found| found.kind == ClusterKind::Stack) && other(cluster)
    })
}

/// Only these nodes.
pub(super) fn keep(picture: &Picture, kept: &dyn Fn(usize) -> bool) -> Picture {
    let mut places = BTreeMap::new();
    let mut nodes = Vec::new();
    for (at, node) in picture.nodes.iter().enumerate().filter(|(at, _)| kept(*at)) {
        places.insert(at, nodes.len());
        nodes.push(node.clone());
    }
    let pair = |(from, to): &(usize, usize)| Some((*places.get(from)?, *places.get(to)?));
    let edges = picture.edges.iter().filter_map(pair).collect();
    without_empty(&Picture { title: picture.title.clone(), clusters: picture.clusters.clone(), nodes, edges })
}

/// Without the boxes that nothing is in.
pub(super) fn without_empty(picture: &Picture) -> Picture {
    let mut used = BTreeSet::new();
    for node in &picture.nodes {
        let mut next = node.cluster;
        while let Some(at) = next {
            if !used.insert(at) {
                break;
            }
            next = picture.clusters.get(at).and_then(|cluster| cluster.parent);
        }
    }
    let places: BTreeMap<usize, usize> = used.iter().enumerate().map(|(place, at)| (*at, place)).collect();
    let place = |at: Option<usize>| at.and_then(|at| places.get(&at).copied());
    let clusters = used.iter().filter_map(|at| picture.clusters.get(*at));
    Picture {
        title: picture.title.clone(),
        clusters: clusters.map(|it| Cluster { parent: place(it.parent), ..it.clone() }).collect(),
        nodes: picture.nodes.iter().map(|node| Node { cluster: place(node.cluster), ..node.clone() }).collect(),
        edges: picture.edges.clone(),
    }
}
