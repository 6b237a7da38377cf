//! From definitions to a picture: who refers to whom, through variables, local values and outputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use andon_hcl::ast::{Body, Expr, ExprKind};
use andon_lang::definitions::{Condition, Module, Project, ResourceDefinition, ResourceKey};
use andon_lang::{Reference, StaticStep, body_references, static_traversals, written_string};
use andon_schema::Mode;

use super::{Cluster, ClusterKind, Node, NodeKind, Picture};

/// A value that more than so many things read, and that itself reads more than so many, is shown: the arrows from each
/// of the one to each of the other would be far more.
const MANY: usize = 24;

/// Modules within modules are followed so far down.
const DEEPEST: usize = 64;

/// The picture of a project; of some of its stacks where any are named, with what those read of others.
pub fn picture(project: &Project, stacks: &[Arc<str>]) -> Picture {
    let mut collector = Collector::default();
    for (name, stack) in &project.stacks {
        let label = if name.is_empty() { project.name.to_string() } else { name.to_string() };
        let cluster = collector.cluster(label, ClusterKind::Stack, None);
        let place = Place { stack: name, prefix: prefix(name), cluster, caller: None, depth: 0 };
        collector.module(project, &place, &stack.module);
    }
    collector.images(project);
    collector.roles(project);
    let whole = collector.finish(project);
    if stacks.is_empty() { whole } else { only(&whole, stacks) }
}

/// What the names of a stack's things begin with.
fn prefix(stack: &str) -> String {
    if stack.is_empty() { String::new() } else { format!("{stack}/") }
}

/// The nodes of some stacks, and everything that those read, near or far. What other stacks hold is one node a stack.
fn only(whole: &Picture, stacks: &[Arc<str>]) -> Picture {
    let wanted = |cluster: usize| {
        whole
            .clusters
            .get(cluster)
            .is_some_and(|found| found.kind != ClusterKind::Stack || stacks.iter().any(|name| **name == *found.label))
    };
    let merged = super::collapse::other_stacks(whole, &|cluster| !wanted(cluster));
    let mut reads: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in &merged.edges {
        reads.entry(*from).or_default().push(*to);
    }
    let chosen = |node: &Node| {
        let outermost = std::iter::successors(node.cluster, |at| merged.clusters.get(*at).and_then(|it| it.parent));
        outermost.last().and_then(|at| merged.clusters.get(at)).is_some_and(|cluster| {
            cluster.kind == ClusterKind::Stack && stacks.iter().any(|name| **name == *cluster.label)
        })
    };
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    let mut open: Vec<usize> =
        merged.nodes.iter().enumerate().filter(|(_, node)| chosen(node)).map(|(at, _)| at).collect();
    while let Some(at) = open.pop() {
        if kept.insert(at) && merged.nodes.get(at).is_some_and(|node| node.kind != NodeKind::Stack) {
            open.extend(reads.get(&at).into_iter().flatten());
        }
    }
    super::collapse::keep(&merged, &|at| kept.contains(&at))
}

/// Where a module instance stands.
struct Place<'p> {
    stack: &'p str,
    prefix: String,
    cluster: usize,
    /// The name of its call, whose arguments about repetition and order hold for all in it.
    caller: Option<usize>,
    depth: usize,
}

/// Everything that has a name, and what it refers to.
#[derive(Default)]
struct Collector {
    clusters: Vec<Cluster>,
    names: HashMap<String, usize>,
    reads: Vec<BTreeSet<usize>>,
    /// What is shown of each name; `None` for values.
    shown: Vec<Option<Node>>,
    addresses: Vec<String>,
    /// Shown names in the order of the definitions.
    order: Vec<usize>,
}

impl Collector {
    fn cluster(&mut self, label: String, kind: ClusterKind, parent: Option<usize>) -> usize {
        self.clusters.push(Cluster { label, kind, parent });
        self.clusters.len() - 1
    }

    fn name(&mut self, address: String) -> usize {
        if let Some(id) = self.names.get(&address) {
            return *id;
        }
        let id = self.reads.len();
        self.reads.push(BTreeSet::new());
        self.shown.push(None);
        self.addresses.push(address.clone());
        self.names.insert(address, id);
        id
    }

    fn show(&mut self, id: usize, node: Node) {
        if let Some(shown) = self.shown.get_mut(id) {
            *shown = Some(node);
            self.order.push(id);
        }
    }

    fn read(&mut self, from: usize, to: usize) {
        if from != to
            && let Some(reads) = self.reads.get_mut(from)
        {
            reads.insert(to);
        }
    }

    fn module(&mut self, project: &Project, place: &Place<'_>, module: &Arc<Module>) {
        for (key, resource) in &module.resources {
            self.resource(project, place, module, key, resource);
        }
        for check in module.checks.values() {
            if let Some(data) = &check.data {
                self.resource(project, place, module, &data.key, data);
            }
        }
        for (name, local) in &module.locals {
            let id = self.name(format!("{}local.{name}", place.prefix));
            self.expressions(project, place, module, id, [&local.value]);
        }
        for (name, output) in &module.outputs {
            let id = self.name(format!("{}output.{name}", place.prefix));
            let expressions = [&output.value].into_iter().chain(&output.depends_on);
            self.expressions(project, place, module, id, expressions.chain(conditions(&output.preconditions)));
        }
        for (name, call) in &module.calls {
            let caller = self.name(format!("{}module.{name}", place.prefix));
            let expressions = call.count.iter().chain(&call.for_each).chain(&call.depends_on);
            self.expressions(project, place, module, caller, expressions);
            if let Some(outer) = place.caller {
                self.read(caller, outer);
            }
            let inner = format!("{}module.{name}.", place.prefix);
            for attribute in call.arguments.attributes() {
                let id = self.name(format!("{inner}var.{}", attribute.name.name));
                self.expressions(project, place, module, id, [&attribute.value]);
            }
            let cluster = self.cluster(format!("module.{name}"), ClusterKind::Module, Some(place.cluster));
            if place.depth < DEEPEST {
                let (stack, depth) = (place.stack, place.depth + 1);
                let place = Place { stack, prefix: inner, cluster, caller: Some(caller), depth };
                self.module(project, &place, &call.module);
            }
        }
    }

    fn resource(
        &mut self,
        project: &Project,
        place: &Place<'_>,
        module: &Arc<Module>,
        key: &ResourceKey,
        definition: &ResourceDefinition,
    ) {
        let address = format!("{}{}{}.{}", place.prefix, key.mode.prefix(), key.kind, key.name);
        let kind = match (key.mode, &*key.kind) {
            (Mode::Managed, "andon_host") => NodeKind::Host,
            (Mode::Managed, "andon_image") => NodeKind::Image,
            (Mode::Managed, _) => NodeKind::Resource,
            _ => NodeKind::Data,
        };
        let id = self.name(address.clone());
        let what = format!("{}{}", key.mode.prefix(), key.kind);
        self.show(id, Node { name: key.name.to_string(), what, address, kind, cluster: Some(place.cluster) });
        if let Some(caller) = place.caller {
            self.read(id, caller);
        }
        let lifecycle = &definition.lifecycle;
        let written =
            definition.count.as_deref().into_iter().chain(definition.for_each.as_deref()).chain(&definition.depends_on);
        let written = written.chain(&lifecycle.replace_triggered_by);
        let judged = conditions(&lifecycle.preconditions).chain(conditions(&lifecycle.postconditions));
        self.expressions(project, place, module, id, written.chain(judged));
        let provisioners = definition.provisioners.iter();
        let bodies = provisioners.flat_map(|provisioner| [Some(&provisioner.body), provisioner.connection.as_ref()]);
        for body in [Some(&definition.body), definition.connection.as_ref()].into_iter().chain(bodies).flatten() {
            self.body(project, place, module, id, body);
        }
        let named = |argument: &str| definition.body.attribute(argument).and_then(|it| written_string(&it.value));
        let several = |argument: &str| match definition.body.attribute(argument).map(|it| &it.value.kind) {
            Some(ExprKind::Tuple(items)) => items.iter().filter_map(written_string).collect(),
            _ => Vec::new(),
        };
        let behind: Vec<String> = match &*key.kind {
            "andon_host" => {
                named("role").into_iter().chain(several("roles")).map(|role| format!("role.{role}")).collect()
            }
            "andon_image" => named("definition").map(|image| format!("image.{image}")).into_iter().collect(),
            _ => Vec::new(),
        };
        for behind in behind {
            let to = self.name(format!("project:{behind}"));
            self.read(id, to);
        }
    }

    fn body(&mut self, project: &Project, place: &Place<'_>, module: &Arc<Module>, id: usize, body: &Body) {
        for reference in body_references(body) {
            self.reference(project, place, module, id, &reference);
        }
    }

    fn expressions<'e>(
        &mut self,
        project: &Project,
        place: &Place<'_>,
        module: &Arc<Module>,
        id: usize,
        all: impl IntoIterator<Item = &'e Expr>,
    ) {
        for reference in all.into_iter().flat_map(static_traversals) {
            self.reference(project, place, module, id, &reference);
        }
    }

    fn reference(
        &mut self,
        project: &Project,
        place: &Place<'_>,
        module: &Arc<Module>,
        from: usize,
        found: &Reference<'_>,
    ) {
        // Indexes between names say which instance; the picture has one node for all.
        let names: Vec<&str> = found.steps.iter().filter_map(attribute).collect();
        let prefix = &place.prefix;
        match (&**found.root, names.as_slice()) {
            ("var" | "local", [name, ..]) => {
                let to = self.name(format!("{prefix}{}.{name}", found.root));
                self.read(from, to);
            }
            ("module", [call, rest @ ..]) => {
                let Some(called) = module.calls.get(*call) else { return };
                for output in called.module.outputs.keys() {
                    if rest.first().is_none_or(|name| *name == &**output) {
                        let to = self.name(format!("{prefix}module.{call}.output.{output}"));
                        self.read(from, to);
                    }
                }
                if called.module.outputs.is_empty() {
                    let to = self.name(format!("{prefix}module.{call}"));
                    self.read(from, to);
                }
            }
            ("data", ["andon_stack", name, rest @ ..]) => {
                let to = self.name(format!("{prefix}data.andon_stack.{name}"));
                self.read(from, to);
                self.stack_outputs(project, module, name, to, rest);
            }
            (mode @ ("data" | "ephemeral"), [kind, name, ..]) => {
                let to = self.name(format!("{prefix}{mode}.{kind}.{name}"));
                self.read(from, to);
            }
            ("each" | "count" | "path" | "terraform" | "self" | "provider", _) | (_, []) => {}
            (kind, [name, ..]) => {
                let to = self.name(format!("{prefix}{kind}.{name}"));
                self.read(from, to);
            }
        }
    }

    /// What is read of another stack through a `data "andon_stack"`.
    fn stack_outputs(&mut self, project: &Project, module: &Module, name: &str, from: usize, rest: &[&str]) {
        let key = ResourceKey { mode: Mode::Data, kind: "andon_stack".into(), name: name.into() };
        let written = module.resources.get(&key).and_then(|found| found.body.attribute("name"));
        let Some(other) = written.and_then(|attribute| written_string(&attribute.value)) else { return };
        let Some(stack) = project.stacks.get(&other) else { return };
        let outputs = stack.module.outputs.keys().filter(|output| match rest {
            ["outputs", name, ..] => *name == &***output,
            _ => true,
        });
        for output in outputs {
            let to = self.name(format!("{}output.{output}", prefix(&other)));
            self.read(from, to);
        }
    }

    fn images(&mut self, project: &Project) {
        if project.images.is_empty() {
            return;
        }
        let cluster = self.cluster("images".to_owned(), ClusterKind::Group, None);
        for (name, image) in &project.images {
            let id = self.name(format!("project:image.{name}"));
            let (address, what) = (format!("image.{name}"), "image".to_owned());
            let kind = NodeKind::Image;
            self.show(id, Node { name: name.to_string(), what, address, kind, cluster: Some(cluster) });
            for role in &image.roles {
                let to = self.name(format!("project:role.{}", role.name));
                self.read(id, to);
            }
            for reference in static_traversals(&image.from) {
                if let ("image", Some(base)) = (&**reference.root, reference.steps.first().and_then(attribute)) {
                    let to = self.name(format!("project:image.{base}"));
                    self.read(id, to);
                }
            }
        }
    }

    fn roles(&mut self, project: &Project) {
        if project.roles.is_empty() {
            return;
        }
        let cluster = self.cluster("roles".to_owned(), ClusterKind::Group, None);
        for (name, role) in &project.roles {
            let id = self.name(format!("project:role.{name}"));
            let (address, what) = (format!("role.{name}"), "role".to_owned());
            let kind = NodeKind::Role;
            self.show(id, Node { name: name.to_string(), what, address, kind, cluster: Some(cluster) });
            for parent in &role.inherits {
                let to = self.name(format!("project:role.{}", parent.name));
                self.read(id, to);
            }
        }
    }

    /// The picture: values are seen through, except where that would make more arrows than anybody can follow.
    fn finish(mut self, project: &Project) -> Picture {
        self.show_junctions();
        let mut place = vec![usize::MAX; self.reads.len()];
        for (at, id) in self.order.iter().enumerate() {
            if let Some(place) = place.get_mut(*id) {
                *place = at;
            }
        }
        let mut edges = BTreeSet::new();
        let mut seen = vec![usize::MAX; self.reads.len()];
        for (from, id) in self.order.iter().enumerate() {
            let mut open: Vec<usize> = self.reads.get(*id).into_iter().flatten().copied().collect();
            while let Some(next) = open.pop() {
                let Some(seen) = seen.get_mut(next).filter(|seen| **seen != from) else { continue };
                *seen = from;
                match place.get(next) {
                    Some(to) if *to != usize::MAX => {
                        if *to != from {
                            edges.insert((from, *to));
                        }
                    }
                    _ => open.extend(self.reads.get(next).into_iter().flatten()),
                }
            }
        }
        let nodes = self.order.iter().filter_map(|id| self.shown.get_mut(*id).and_then(Option::take)).collect();
        let title = project.name.to_string();
        let picture = Picture { title, clusters: self.clusters, nodes, edges: edges.into_iter().collect() };
        super::collapse::without_empty(&picture)
    }

    fn show_junctions(&mut self) {
        let mut readers = vec![0usize; self.reads.len()];
        for to in self.reads.iter().flatten() {
            if let Some(count) = readers.get_mut(*to) {
                *count += 1;
            }
        }
        let clusters: BTreeMap<String, usize> = self
            .shown
            .iter()
            .flatten()
            .filter_map(|node| {
                let own = format!("{}.{}", node.what, node.name);
                Some((node.address.strip_suffix(&own)?.to_owned(), node.cluster?))
            })
            .collect();
        for id in 0..self.reads.len() {
            let many = self.reads.get(id).is_some_and(|reads| reads.len() > MANY)
                && readers.get(id).is_some_and(|readers| *readers > MANY);
            let Some(address) = self.addresses.get(id).filter(|_| many && self.shown.get(id) == Some(&None)) else {
                continue;
            };
            let start = ["local.", "output.", "var."].iter().find_map(|word| address.rfind(word)).unwrap_or(0);
            let (place, own) = address.split_at(start);
            let (what, name) = own.split_once('.').unwrap_or(("", own));
            let (cluster, kind) = (clusters.get(place).copied(), NodeKind::Value);
            let node = Node { name: name.to_owned(), what: what.to_owned(), address: address.clone(), kind, cluster };
            self.show(id, node);
        }
    }
}

fn attribute<'s>(step: &'s StaticStep<'_>) -> Option<&'s str> {
    match step {
        StaticStep::Attribute(name, _) => Some(name),
        _ => None,
    }
}

fn conditions(all: &[Condition]) -> impl Iterator<Item = &Expr> {
    all.iter().flat_map(|condition| [&condition.condition, &condition.error_message])
}
