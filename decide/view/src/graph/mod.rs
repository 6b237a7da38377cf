//! Pictures of a project: its stacks and what they read from each other, modules, resources, servers, images and
//! roles; as DOT, Mermaid, SVG and JSON. An arrow goes from what reads to what it reads.

mod collapse;
mod collect;
mod dot;
mod layered;
mod layout;
mod mermaid;
mod svg;

use serde_json::{Value as Json, json};

pub use collapse::Collapse;
pub use collect::picture;
pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

/// What a picture shows, before anybody thought of where to put it. The order of everything in it follows from the
/// definitions alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// The project's name.
    pub title: String,
    /// The boxes around nodes. One that is inside another comes after it.
    pub clusters: Vec<Cluster>,
    /// What there is.
    pub nodes: Vec<Node>,
    /// From what reads to what it reads, by their places in `nodes`; each once.
    pub edges: Vec<(usize, usize)>,
}

/// A box around nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// What it is called.
    pub label: String,
    /// What it is.
    pub kind: ClusterKind,
    /// The box that it is in, by its place.
    pub parent: Option<usize>,
}

/// What a box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterKind {
    /// A stack.
    Stack,
    /// A call of a module.
    Module,
    /// The images, or the roles, of the project.
    Group,
}

/// One thing of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name: `web`.
    pub name: String,
    /// What it is: `lab_server`.
    pub what: String,
    /// Its whole address: `web/module.app.lab_server.web`.
    pub address: String,
    /// The kind of thing.
    pub kind: NodeKind,
    /// The box that it is in, by its place.
    pub cluster: Option<usize>,
}

/// The kinds of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKind {
    /// A resource.
    Resource,
    /// A data source, or an ephemeral resource.
    Data,
    /// A server with a role.
    Host,
    /// An image, or a resource that is baked from one.
    Image,
    /// A role.
    Role,
    /// A value that many read, of many.
    Value,
    /// A whole module.
    Module,
    /// A whole stack.
    Stack,
}

impl NodeKind {
    /// All of them, in the order of a legend.
    pub const ALL: [NodeKind; 8] = [
        NodeKind::Stack,
        NodeKind::Module,
        NodeKind::Resource,
        NodeKind::Data,
        NodeKind::Host,
        NodeKind::Image,
        NodeKind::Role,
        NodeKind::Value,
    ];

    /// Its name in a picture's source and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            NodeKind::Resource => "resource",
            NodeKind::Data => "data",
            NodeKind::Host => "host",
            NodeKind::Image => "image",
            NodeKind::Role => "role",
            NodeKind::Value => "value",
            NodeKind::Module => "module",
            NodeKind::Stack => "stack",
        }
    }

    /// What a legend calls it.
    fn legend(self) -> &'static str {
        match self {
            NodeKind::Data => "data source",
            other => other.word(),
        }
    }
}

/// What is directly in each box, and last in none: its nodes and its boxes.
fn contents(picture: &Picture) -> Vec<(Vec<usize>, Vec<usize>)> {
    let none = picture.clusters.len();
    let mut contents = vec![(Vec::new(), Vec::new()); none + 1];
    for (at, node) in picture.nodes.iter().enumerate() {
        if let Some((nodes, _)) = contents.get_mut(node.cluster.unwrap_or(none)) {
            nodes.push(at);
        }
    }
    for (at, cluster) in picture.clusters.iter().enumerate() {
        if let Some((_, clusters)) = contents.get_mut(cluster.parent.unwrap_or(none)) {
            clusters.push(at);
        }
    }
    contents
}

impl Cluster {
    /// What is written on it.
    fn caption(&self) -> String {
        match self.kind {
            ClusterKind::Stack => format!("stack {}", self.label),
            _ => self.label.clone(),
        }
    }
}

/// A picture as data: `nodes`, each with its address, kind and boxes, and `edges` by address.
pub fn graph_json(picture: &Picture) -> Json {
    let address = |at: usize| picture.nodes.get(at).map_or("", |node| node.address.as_str());
    let nodes: Vec<Json> = picture
        .nodes
        .iter()
        .map(|node| {
            let mut within = Vec::new();
            let mut next = node.cluster;
            while let Some(cluster) = next.and_then(|at| picture.clusters.get(at)) {
                within.push(cluster.label.as_str());
                next = cluster.parent;
            }
            within.reverse();
            json!({ "address": node.address, "kind": node.kind.word(), "type": node.what, "name": node.name, "within": within })
        })
        .collect();
    let edges: Vec<Json> =
        picture.edges.iter().map(|(from, to)| json!({ "from": address(*from), "to": address(*to) })).collect();
    json!({ "format_version": "1.0", "project": picture.title, "nodes": nodes, "edges": edges })
}
