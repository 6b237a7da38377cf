//! Places the nodes of a picture: each box of the picture is placed by itself, from the innermost out, and is then one
//! item of the box around it. An arrow that leaves a box goes through a port in its side; arrows to the same node share
//! their ports, so that many arrows become one.

use std::collections::{BTreeMap, BTreeSet};

use super::Picture;
use super::layered::{End, Item, Link, Wire, place};

/// The room between a box's side and what is in it.
pub(super) const PADDING: f64 = 18.0;
/// The room for a box's name.
pub(super) const HEAD: f64 = 26.0;
/// The room between the picture's side and what is in it.
const MARGIN: f64 = 16.0;

/// A rectangle: left, top, width, height.
pub(super) type Rectangle = (f64, f64, f64, f64);

/// Where everything is.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub nodes: Vec<Rectangle>,
    pub clusters: Vec<Rectangle>,
    pub links: Vec<Link>,
    pub width: f64,
    pub height: f64,
}

/// What is in a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Node(usize),
    Cluster(usize),
    /// Where arrows to a node outside leave.
    Out(usize),
    /// Where arrows to a node inside come in.
    In(usize),
}

/// One end of an arrow in a box, and the port where that end is a box.
type Tip = (Part, Option<Part>);

#[derive(Default)]
struct Level {
    parts: Vec<Part>,
    places: BTreeMap<Part, usize>,
    /// From, to, and the node that it is about.
    wires: BTreeSet<(Tip, Tip, usize)>,
}

impl Level {
    fn place(&mut self, part: Part) -> usize {
        *self.places.entry(part).or_insert_with(|| {
            self.parts.push(part);
            self.parts.len() - 1
        })
    }

    fn wire(&mut self, from: Tip, to: Tip, about: usize) {
        self.place(from.0);
        self.place(to.0);
        self.wires.insert((from, to, about));
    }
}

/// A box, placed.
#[derive(Default)]
struct Done {
    parts: Vec<(Part, f64, f64)>,
    links: Vec<Link>,
    width: f64,
    height: f64,
    ports: BTreeMap<Part, f64>,
}

/// Places a picture whose nodes have these widths and heights.
pub(super) fn layout(picture: &Picture, sizes: &[(f64, f64)]) -> Layout {
    let mut levels = levels(picture);
    let mut done: BTreeMap<Option<usize>, Done> = BTreeMap::new();
    // A box inside another comes after it.
    for cluster in (0..picture.clusters.len()).rev().map(Some).chain([None]) {
        let level = levels.remove(&cluster).unwrap_or_default();
        let placed = place_level(&level, cluster.is_some(), sizes, &done);
        done.insert(cluster, placed);
    }
    assemble(picture, sizes, &done)
}

fn levels(picture: &Picture) -> BTreeMap<Option<usize>, Level> {
    let mut levels: BTreeMap<Option<usize>, Level> = BTreeMap::new();
    for (at, node) in picture.nodes.iter().enumerate() {
        levels.entry(node.cluster).or_default().place(Part::Node(at));
    }
    for (at, cluster) in picture.clusters.iter().enumerate() {
        levels.entry(cluster.parent).or_default().place(Part::Cluster(at));
    }
    // The boxes around a node, from the innermost out.
    let around = |node: usize| -> Vec<usize> {
        let first = picture.nodes.get(node).and_then(|node| node.cluster);
        std::iter::successors(first, |at| picture.clusters.get(*at).and_then(|it| it.parent)).collect()
    };
    for (from, to) in &picture.edges {
        let (mut up, mut down) = (around(*from), around(*to));
        let mut common = None;
        while let (Some(one), Some(other)) = (up.last(), down.last()) {
            if one != other {
                break;
            }
            common = up.pop();
            down.pop();
        }
        let mut tip: Tip = (Part::Node(*from), None);
        for cluster in up {
            levels.entry(Some(cluster)).or_default().wire(tip, (Part::Out(*to), None), *to);
            tip = (Part::Cluster(cluster), Some(Part::Out(*to)));
        }
        let mut level = common;
        for cluster in down.into_iter().rev() {
            levels.entry(level).or_default().wire(tip, (Part::Cluster(cluster), Some(Part::In(*to))), *to);
            tip = (Part::In(*to), None);
            level = Some(cluster);
        }
        levels.entry(level).or_default().wire(tip, (Part::Node(*to), None), *to);
    }
    levels
}

fn place_level(level: &Level, boxed: bool, sizes: &[(f64, f64)], done: &BTreeMap<Option<usize>, Done>) -> Done {
    let size = |part: Part| match part {
        Part::Node(at) => sizes.get(at).copied().unwrap_or_default(),
        Part::Cluster(at) => done.get(&Some(at)).map(|done| (done.width, done.height)).unwrap_or_default(),
        Part::Out(_) | Part::In(_) => (0.0, 0.0),
    };
    let items: Vec<Item> = (level.parts.iter())
        .map(|part| {
            let (width, height) = size(*part);
            let end = match part {
                Part::Out(_) => End::First,
                Part::In(_) => End::Last,
                _ => End::None,
            };
            Item { width, height, end }
        })
        .collect();
    let tip = |(part, port): Tip| {
        let y = match (part, port) {
            (Part::Cluster(at), Some(port)) => {
                done.get(&Some(at)).and_then(|done| done.ports.get(&port)).copied().unwrap_or_default()
            }
            (part, _) => size(part).1 / 2.0,
        };
        (level.places.get(&part).copied().unwrap_or_default(), y)
    };
    let wires: Vec<Wire> = (level.wires.iter())
        .map(|(from, to, about)| {
            let ((from, from_y), (end, to_y)) = (tip(*from), tip(*to));
            Wire { from, from_y, to: end, to_y, bundle: *about, head: matches!(to.0, Part::Node(_)) }
        })
        .collect();
    let placed = place(&items, &wires);
    let (left, top) = if boxed { (PADDING, HEAD + PADDING / 2.0) } else { (MARGIN, MARGIN) };
    let (width, height) = (placed.width + 2.0 * left, placed.height + top + left);
    let mut ports = BTreeMap::new();
    let mut parts = Vec::with_capacity(level.parts.len());
    for (part, (x, y)) in level.parts.iter().zip(&placed.corners) {
        match part {
            Part::Out(_) | Part::In(_) => drop(ports.insert(*part, y + top)),
            _ => parts.push((*part, x + left, y + top)),
        }
    }
    let links = placed.links.iter().map(|link| moved(link, left, top)).map(|link| Link {
        // Ports are in the side of the box.
        to: if boxed && link.to.1 <= left { (link.to.0, 0.0, link.to.2) } else { link.to },
        from: if boxed && link.from.0 >= width - left { (width, link.from.1, link.from.2) } else { link.from },
        ..link
    });
    Done { parts, links: links.collect(), width, height, ports }
}

fn moved(link: &Link, x: f64, y: f64) -> Link {
    let Link { from, to, heads } = *link;
    Link { from: (from.0 + x, from.1 + x, from.2 + y), to: (to.0 + x, to.1 + x, to.2 + y), heads }
}

fn assemble(picture: &Picture, sizes: &[(f64, f64)], done: &BTreeMap<Option<usize>, Done>) -> Layout {
    let mut layout = Layout {
        nodes: vec![Rectangle::default(); picture.nodes.len()],
        clusters: vec![Rectangle::default(); picture.clusters.len()],
        ..Layout::default()
    };
    let mut open: Vec<(Option<usize>, f64, f64)> = vec![(None, 0.0, 0.0)];
    while let Some((level, x, y)) = open.pop() {
        let Some(found) = done.get(&level) else { continue };
        layout.links.extend(found.links.iter().map(|link| moved(link, x, y)));
        match level.and_then(|at| layout.clusters.get_mut(at)) {
            Some(cluster) => *cluster = (x, y, found.width, found.height),
            None => (layout.width, layout.height) = (found.width, found.height),
        }
        for (part, left, top) in &found.parts {
            match part {
                Part::Node(at) => {
                    let (width, height) = sizes.get(*at).copied().unwrap_or_default();
                    if let Some(node) = layout.nodes.get_mut(*at) {
                        *node = (x + left, y + top, width, height);
                    }
                }
                Part::Cluster(at) => open.push((Some(*at), x + left, y + top)),
                Part::Out(_) | Part::In(_) => {}
            }
        }
    }
    layout
}
