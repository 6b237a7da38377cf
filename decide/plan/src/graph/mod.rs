//! The graph of everything that the selected stacks define, evaluated on demand.
//!
//! A node is evaluated when something wants it. Where it refers to nodes that have no value yet, the result is thrown
//! away and the node waits for exactly those; it is evaluated again when all of them have come. Nothing recurses from
//! node to node, so that a chain of references may be of any length.
//!
//! What an instance comes to is not decided here: its configuration is handed out ([`Graph::advance`]), and whoever
//! took it says what its value is ([`Graph::finish`]).

mod alone;
mod aside;
mod blocked;
mod checks;
mod evaluate;
mod expand;
mod import;
mod modules;
mod provider;
mod provision;
mod resources;
mod settled;
mod target;
mod undefined;
mod variable;
mod view;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use andon_lang::definitions::ProviderKey;
use andon_schema::{
    ConfiguredProvider, FunctionAnswer, FunctionCall, InstanceAddress, InstanceKey, Object, ProvisionerRun,
};
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::Value;

use crate::{Plan, PlanInput};
pub(crate) use alone::Evaluated;
pub(crate) use aside::{Aside, Left, Standing};
pub(crate) use checks::{latest, warnings};
pub(crate) use evaluate::{Configured, Trigger};
pub(crate) use expand::Keys;
pub(crate) use import::Imported;
pub(crate) use modules::{ModuleId, ModuleInstance};
pub(crate) use provision::has_late_provisioners;
pub(crate) use resources::{Place, ResourceId, ResourceSet};
use settled::Settled;

/// A map whose hashes are the same in every run.
pub(crate) type Map<K, V> = rustc_hash::FxHashMap<K, V>;

/// Names a node of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

/// What a node stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A variable of a module instance.
    Variable(ModuleId, Arc<str>),
    /// A local value.
    Local(ModuleId, Arc<str>),
    /// An output.
    Output(ModuleId, Arc<str>),
    /// The instances that a module call has.
    CallKeys(ModuleId, Arc<str>),
    /// The value of all instances of a module call.
    Call(ModuleId, Arc<str>),
    /// The outputs of one module instance, as an object.
    Outputs(ModuleId),
    /// Everything in a module instance: what `depends_on = [module.x]` waits for.
    Contents(ModuleId),
    /// What everything in a module instance waits for: its call's `depends_on`, and those of the calls around it.
    Before(ModuleId),
    /// The instances that a resource has.
    Keys(ResourceId),
    /// The value of all instances of a resource.
    Resource(ResourceId),
    /// One instance.
    Instance(ResourceId, Option<InstanceKey>),
    /// The name of the stack that a `data "andon_stack"` reads.
    StackName(ResourceId, Option<InstanceKey>),
    /// The postconditions of an instance.
    Verified(ResourceId, Option<InstanceKey>),
    /// The provisioners of an instance: those that run before its object is deleted, or those that run once it is made.
    Provisioners(ResourceId, Option<InstanceKey>, bool),
    /// A `check` block.
    Check(ModuleId, Arc<str>),
    /// A configuration of a provider: the module that has its block, its name there, and which of a `for_each`.
    Provider(ModuleId, ProviderKey, Option<InstanceKey>),
    /// A call of a provider's function, whoever makes it.
    Function(Arc<FunctionCall>),
    /// What an `import` block of a root module imports.
    Import(ModuleId, usize),
}

/// What a node holds once it is ready.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A value.
    Value(Value),
    /// The instances of a resource or a module call.
    Keys(Arc<Keys>),
    /// What a provider's function gave.
    Function(FunctionAnswer),
    /// A configuration of a provider.
    Provider(Arc<ConfiguredProvider>),
    /// What is imported.
    Imports(Arc<Vec<Imported>>),
    /// Provisioners that are ready to be run.
    Provisioners(Arc<[ProvisionerRun]>),
}

#[derive(Debug)]
enum State {
    /// To be evaluated, or waiting for other nodes.
    Open,
    /// An instance whose configuration was handed out, or a call that was.
    Held,
    Ready(Content),
    Failed,
}

#[derive(Debug)]
pub(crate) struct Node {
    key: Key,
    state: State,
    /// What its evaluation followed, in the order of the first time; final once it is ready or held.
    reads: Vec<NodeId>,
    /// What it waits for and where it refers to that, in the order noted. All before the first is certain to be
    /// needed; the rest may turn out not to be.
    waits: Vec<(NodeId, Option<Span>)>,
    missing: usize,
    /// Who waits for it, and in which round of theirs.
    waiters: Vec<(NodeId, u32)>,
    round: u32,
    /// Whether it, or something that it reads short of another unchanged resource, changes.
    touched: bool,
    /// Why it, or something that it reads, is not planned.
    aside: Option<Aside>,
    /// The managed resources that who reads it reads.
    managed: ResourceSet,
}

/// The graph.
#[derive(Debug)]
pub(crate) struct Graph {
    input: PlanInput,
    /// Evaluate everything that is defined, rather than only what is wanted.
    eager: bool,
    /// `terraform.applying`
    applying: bool,
    modules: modules::Modules,
    resources: resources::Resources,
    nodes: Vec<Node>,
    index: Map<Key, NodeId>,
    queue: VecDeque<NodeId>,
    configured: Vec<Configured>,
    calls: Vec<Arc<FunctionCall>>,
    settled: Option<Settled>,
    /// What `self` is for provisioners, by their node's key.
    provisioned: Map<Key, Value>,
    /// Nothing is configured: what is not settled is unknown.
    of_values: bool,
    /// What the scope leaves out is wanted by nothing but what may do without.
    closed: bool,
    left: Vec<Left>,
    results: checks::Results,
    /// Data sources that are there for a `check` block alone.
    scoped: BTreeSet<ResourceId>,
    problems: Diagnostics,
}

impl Graph {
    /// A graph in which nothing is evaluated yet. An eager one evaluates everything that is defined.
    pub fn new(input: PlanInput, eager: bool, applying: bool) -> Graph {
        let mut graph = Graph {
            input,
            eager,
            applying,
            modules: modules::Modules::default(),
            resources: resources::Resources::default(),
            nodes: Vec::new(),
            index: Map::default(),
            queue: VecDeque::new(),
            configured: Vec::new(),
            calls: Vec::new(),
            settled: None,
            provisioned: Map::default(),
            of_values: false,
            closed: false,
            left: Vec::new(),
            results: checks::Results::default(),
            scoped: BTreeSet::new(),
            problems: Diagnostics::new(),
        };
        graph.open_stacks();
        graph
    }

    /// What it was made from.
    pub fn input(&self) -> &PlanInput {
        &self.input
    }

    /// Has the state have an object.
    pub fn put(&mut self, address: &InstanceAddress, object: Object) {
        let state = Arc::make_mut(&mut self.input.state);
        state.instances.entry(address.clone()).or_default().current = Some(object);
    }

    /// Has instances that a plan does not change be what they are: their configuration is not evaluated.
    pub fn settle_by(&mut self, plan: &Plan) {
        self.settled = Some(Settled::new(plan));
    }

    /// Has every instance be what the state says that it is.
    pub fn settle_by_state(&mut self) {
        self.settled = Some(Settled::after(None));
    }

    /// The node of a key; it is evaluated by the next [`Graph::advance`] where it is new.
    pub fn want(&mut self, key: Key) -> NodeId {
        if let Some(id) = self.index.get(&key) {
            return *id;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node {
            key: key.clone(),
            state: State::Open,
            reads: Vec::new(),
            waits: Vec::new(),
            missing: 0,
            waiters: Vec::new(),
            round: 0,
            touched: false,
            aside: None,
            managed: ResourceSet::default(),
        });
        self.index.insert(key, id);
        self.queue.push_back(id);
        id
    }

    /// Evaluates all that can be, and hands out the instances whose configuration is new.
    pub fn advance(&mut self) -> Vec<Configured> {
        while let Some(id) = self.queue.pop_front() {
            self.visit(id);
        }
        std::mem::take(&mut self.configured)
    }

    /// Calls of providers' functions that something waits for, each handed out once.
    pub fn take_calls(&mut self) -> Vec<Arc<FunctionCall>> {
        std::mem::take(&mut self.calls)
    }

    /// Whether there are calls to be handed out.
    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Says what a call came to.
    pub fn called(&mut self, call: &Arc<FunctionCall>, answer: FunctionAnswer) {
        let id = self.want(Key::Function(Arc::clone(call)));
        self.settle(id, State::Ready(Content::Function(answer)));
    }

    /// Has the next [`Graph::advance`] hand these out again.
    pub fn hand_back(&mut self, configured: Vec<Configured>) {
        self.configured.extend(configured);
    }

    /// Says what an instance comes to.
    pub fn finish(&mut self, id: NodeId, value: Value, touched: bool) {
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.touched = touched;
        }
        self.settle(id, State::Ready(Content::Value(value)));
    }

    /// Says that an instance comes to nothing: what reads it fails with it.
    pub fn fail(&mut self, id: NodeId) {
        self.settle(id, State::Failed);
    }

    /// Adds a complaint.
    pub fn complain(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    /// Takes the complaints so far.
    pub fn take_problems(&mut self) -> Diagnostics {
        std::mem::take(&mut self.problems)
    }

    /// The node of a key, where there is one.
    pub fn find(&self, key: &Key) -> Option<NodeId> {
        self.index.get(key).copied()
    }

    /// What a node stands for.
    pub fn key(&self, id: NodeId) -> Option<&Key> {
        self.node(id).map(|node| &node.key)
    }

    /// The value of a node that is ready.
    pub fn value(&self, id: NodeId) -> Option<&Value> {
        match &self.node(id)?.state {
            State::Ready(Content::Value(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether a node has come to an end, good or bad.
    pub fn is_settled(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| matches!(node.state, State::Ready(_) | State::Failed))
    }

    /// Whether a node has failed.
    pub fn has_failed(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| matches!(node.state, State::Failed))
    }

    /// Every node.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    /// What a node's evaluation followed.
    pub fn reads(&self, id: NodeId) -> &[NodeId] {
        self.node(id).map_or(&[], |node| &node.reads)
    }

    /// Whether something that a node reads changes.
    pub fn reads_touched(&self, id: NodeId) -> bool {
        self.reads(id).iter().any(|read| self.node(*read).is_some_and(|node| node.touched))
    }

    /// The managed resources that a node reads, directly or through anything that is no managed resource.
    pub fn resources_read(&self, id: NodeId) -> ResourceSet {
        ResourceSet::union(self.reads(id).iter().filter_map(|read| self.node(*read)).map(|node| &node.managed))
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    fn settle(&mut self, id: NodeId, state: State) {
        let Some(node) = self.nodes.get_mut(id.0 as usize) else { return };
        if matches!(node.state, State::Ready(_) | State::Failed) {
            return;
        }
        node.state = state;
        node.waits = Vec::new();
        for (waiter, round) in std::mem::take(&mut node.waiters) {
            let Some(waiting) = self.nodes.get_mut(waiter.0 as usize) else { continue };
            if waiting.round == round && matches!(waiting.state, State::Open) {
                waiting.missing = waiting.missing.saturating_sub(1);
                if waiting.missing == 0 {
                    self.queue.push_back(waiter);
                }
            }
        }
    }

    /// Has a node wait for others.
    fn wait(&mut self, id: NodeId, wanted: Vec<(Key, Option<Span>)>) {
        let mut waits = Vec::with_capacity(wanted.len());
        for (key, span) in wanted {
            waits.push((self.want(key), span));
        }
        let Some(node) = self.nodes.get_mut(id.0 as usize) else { return };
        node.round += 1;
        let round = node.round;
        let mut missing = 0;
        for (other, _) in &waits {
            // A node that waits for itself waits for ever, and is found as a cycle of one.
            if let Some(other) = self.nodes.get_mut(other.0 as usize)
                && matches!(other.state, State::Open | State::Held)
            {
                other.waiters.push((id, round));
                missing += 1;
            }
        }
        let Some(node) = self.nodes.get_mut(id.0 as usize) else { return };
        node.waits = waits;
        node.missing = missing;
        if missing == 0 {
            self.queue.push_back(id);
        }
    }
}
