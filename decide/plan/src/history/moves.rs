//! Which objects of the state are known by another address from now on.
//!
//! This is settled before anything is read. First come the moves that `moved` blocks of all modules say, each after those
//! that may bring what it moves; then those that follow from a `count` that came or went, of resources that no block
//! is about. An object whose place is taken stays where it is, and that is said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_lang::definitions::{Module, ResourceKey};
use andon_ledger::EnvironmentState;
use andon_schema::{InstanceAddress, InstanceKey, Mode};
use andon_text::{Diagnostic, Diagnostics, Span};

use super::after_moves;
use super::statement::{Place, Statement, names, resource_name};
use crate::{PlanInput, PlannedChange};

/// What moves.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// From where to where, in an order in which each place is free when its turn comes.
    pub moves: Vec<(InstanceAddress, InstanceAddress)>,
    /// The state in which they are done; `None` where nothing moves.
    pub state: Option<EnvironmentState>,
    /// Circles are errors; objects whose place is taken, warnings.
    pub problems: Diagnostics,
    /// Single instances that a block moves away from, and its place: none may be defined any more.
    pub left: Vec<(InstanceAddress, InstanceAddress, Span)>,
}

/// Finds out what moves.
pub(crate) fn moves(input: &PlanInput) -> Moves {
    let mut found = Moves::default();
    let statements = written(input);
    for statement in statements.iter().filter(|statement| statement.within.is_empty()) {
        if let (Some(span), Some(from), Some(to)) =
            (statement.span, single(&statement.stack, &statement.from), single(&statement.stack, &statement.to))
        {
            found.left.push((from, to, span));
        }
    }
    let implied = implied(input, &statements);
    if statements.is_empty() && implied.is_empty() {
        return found;
    }
    let ordered = match in_order(statements) {
        Ok(ordered) => ordered,
        Err(problem) => {
            found.problems.push(problem);
            return found;
        }
    };
    let mut places = Places::new(&input.state);
    for statement in ordered.iter().chain(&implied) {
        places.follow(statement);
    }
    if let Some(problem) = places.blocked() {
        found.problems.push(problem);
    }
    found.moves = places.moves();
    found.problems.extend(left_out(input, &found.moves));
    if !found.moves.is_empty() {
        found.state = Some(after_moves(&input.state, &found.moves));
    }
    found
}

impl Moves {
    /// Complaints about single instances that a block moves away from, and that are defined still.
    pub fn still_defined(&self, is_defined: impl Fn(&InstanceAddress) -> bool) -> Diagnostics {
        let still = self.left.iter().filter(|(from, ..)| is_defined(from));
        let complaint = |(from, to, span): &(InstanceAddress, InstanceAddress, Span)| {
            Diagnostic::error(format!("{from} is moved away, and still defined"))
                .at(*span)
                .detail(format!("This block moves it to {to}, and the definitions still have an instance {from}."))
                .help("Change the definition so that it has the new instance in place of the old one, or take this block out.")
        };
        still.map(complaint).collect()
    }

    /// Says of each change which address its object had before it moved.
    pub fn name_previous(&self, changes: &mut [PlannedChange]) {
        let mut previous: BTreeMap<&InstanceAddress, &InstanceAddress> = BTreeMap::new();
        for (from, to) in &self.moves {
            let origin = previous.remove(from).unwrap_or(from);
            previous.insert(to, origin);
        }
        for change in changes {
            change.previous = previous.get(&change.address).map(|address| (*address).clone());
        }
    }
}

/// A complaint where targets leave out what moves: the state has no place for an object between two addresses.
fn left_out(input: &PlanInput, moves: &[(InstanceAddress, InstanceAddress)]) -> Option<Diagnostic> {
    let scope = &input.scope;
    let ends = moves.iter().flat_map(|(from, to)| [from, to]);
    let missing: Vec<String> = ends.filter(|end| !scope.targets(end)).map(|end| format!("-target='{end}'")).collect();
    // What the program looks at by itself moves nothing.
    if scope.unsaid || scope.targets.is_empty() || missing.is_empty() {
        return None;
    }
    let moved: Vec<String> = moves.iter().map(|(from, to)| format!("{from} is now {to}.")).collect();
    Some(
        Diagnostic::error("objects have moved that -target leaves out")
            .detail(moved.join("\n"))
            .help("Plan without -target first.")
            .help(format!("Or name both addresses of each, too: {}", missing.join(" "))),
    )
}

/// Every `moved` block of the covered stacks, once for each way to its module.
fn written(input: &PlanInput) -> Vec<Statement> {
    let mut statements = Vec::new();
    for (name, stack) in input.project.stacks.iter().filter(|(name, _)| input.covers(name)) {
        let mut open: Vec<(Vec<Arc<str>>, &Arc<Module>)> = vec![(Vec::new(), &stack.module)];
        while let Some((way, module)) = open.pop() {
            statements.extend(module.moved.iter().map(|moved| Statement::of(name, &way, moved)));
            for (call, inner) in module.calls.iter().rev() {
                open.push((way.iter().chain([call]).cloned().collect(), &inner.module));
            }
        }
    }
    statements
}

/// The moves of instances whose resource got a `count`, or lost it, and that no block is about.
fn implied(input: &PlanInput, written: &[Statement]) -> Vec<Statement> {
    let mut mentioned: BTreeSet<Vec<Arc<str>>> = BTreeSet::new();
    for statement in written {
        mentioned.insert(names(&statement.stack, &statement.source_way()));
        mentioned.insert(names(&statement.stack, &statement.goal_way()));
    }
    let mut statements = Vec::new();
    for address in input.state.instances.keys().filter(|address| input.covers(&address.resource.stack)) {
        if !matches!(address.key, None | Some(InstanceKey::Index(0))) || address.resource.mode != Mode::Managed {
            continue;
        }
        let Some(definition) = input.definition(&address.resource) else { continue };
        let to = match (&address.key, &definition.count, &definition.for_each) {
            (None, Some(_), _) => Some(InstanceKey::Index(0)),
            (Some(_), None, None) => None,
            _ => continue,
        };
        let goal = address.resource.instance(to.clone());
        if mentioned.contains(&place(address)) || input.state.instances.contains_key(&goal) {
            continue;
        }
        let target = |key: &Option<InstanceKey>| {
            let (mode, kind) = (address.resource.mode, Arc::clone(&address.resource.kind));
            let resource = ResourceKey { mode, kind, name: Arc::clone(&address.resource.name) };
            let module = Arc::clone(&address.resource.module);
            Place { module, resource: Some((resource, key.clone())) }
        };
        let (stack, from, to) = (Arc::clone(&address.resource.stack), target(&address.key), target(&to));
        statements.push(Statement { stack, within: Vec::new(), from, to, span: None });
    }
    statements
}

/// The one instance of a root module's address, where it has a key or is that of a resource without one.
fn single(stack: &Arc<str>, target: &Place) -> Option<InstanceAddress> {
    let (key, instance) = target.resource.clone()?;
    let ResourceKey { mode, kind, name } = key;
    let (stack, module) = (Arc::clone(stack), Arc::clone(&target.module));
    Some(andon_schema::ResourceAddress { stack, module, mode, kind, name }.instance(instance))
}

/// A way and all that it begins with.
fn outward(path: &[Arc<str>]) -> impl Iterator<Item = &[Arc<str>]> {
    (1..=path.len()).filter_map(|end| path.get(..end))
}

/// Each after those that it waits for, and else as written.
fn in_order(statements: Vec<Statement>) -> Result<Vec<Statement>, Diagnostic> {
    let mut by_from: BTreeMap<Vec<Arc<str>>, Vec<usize>> = BTreeMap::new();
    let mut by_to: BTreeMap<Vec<Arc<str>>, Vec<usize>> = BTreeMap::new();
    for (at, statement) in statements.iter().enumerate() {
        by_from.entry(names(&statement.stack, &statement.source_way())).or_default().push(at);
        by_to.entry(names(&statement.stack, &statement.goal_way())).or_default().push(at);
    }
    let mut edges: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (at, statement) in statements.iter().enumerate() {
        let from = names(&statement.stack, &statement.source_way());
        let to = names(&statement.stack, &statement.goal_way());
        let others = outward(&from).chain(outward(&to));
        let others = others.flat_map(|way| [by_from.get(way), by_to.get(way)]).flatten().flatten();
        for other in others.copied().filter(|other| *other != at) {
            let Some(other_statement) = statements.get(other) else { continue };
            if statement.waits_for(other_statement) {
                edges.insert((other, at));
            }
            if other_statement.waits_for(statement) {
                edges.insert((at, other));
            }
        }
    }
    let mut waits = vec![0usize; statements.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); statements.len()];
    for (first, then) in edges {
        if let (Some(count), Some(followers)) = (waits.get_mut(then), followers.get_mut(first)) {
            *count += 1;
            followers.push(then);
        }
    }
    let mut ready: BTreeSet<usize> = (0..statements.len()).filter(|at| waits.get(*at) == Some(&0)).collect();
    let mut order = Vec::new();
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for then in followers.get(at).into_iter().flatten() {
            if let Some(count) = waits.get_mut(*then) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(*then);
                }
            }
        }
    }
    if order.len() == statements.len() {
        return Ok(order.into_iter().filter_map(|at| statements.get(at).cloned()).collect());
    }
    let done: BTreeSet<usize> = order.into_iter().collect();
    let stuck = statements.iter().enumerate().filter(|(at, _)| !done.contains(at)).map(|(_, statement)| statement);
    let spans: Vec<Span> = stuck.filter_map(|statement| statement.span).collect();
    let mut problem = Diagnostic::error("objects are moved in a circle")
        .detail("Each of these moves is to be followed only after another of them, so that none can be the first.")
        .help("Take one of these blocks out.");
    problem.span = spans.first().copied();
    for span in spans.into_iter().skip(1).take(9) {
        problem = problem.related(span, "this is one of them");
    }
    Err(problem)
}

/// Where the objects are, while moves are followed.
pub(super) struct Places {
    /// Instances by the names that lead to their resource: what is below a module lies together.
    there: BTreeMap<Vec<Arc<str>>, BTreeSet<InstanceAddress>>,
    /// Where what has moved comes from.
    origins: BTreeMap<InstanceAddress, InstanceAddress>,
    /// The single moves, in order.
    hops: Vec<(InstanceAddress, InstanceAddress)>,
    pub taken: Vec<(InstanceAddress, InstanceAddress, Option<Span>)>,
}

impl Places {
    pub fn new(state: &EnvironmentState) -> Places {
        let mut there: BTreeMap<Vec<Arc<str>>, BTreeSet<InstanceAddress>> = BTreeMap::new();
        for address in state.instances.keys() {
            there.entry(place(address)).or_default().insert(address.clone());
        }
        Places { there, origins: BTreeMap::new(), hops: Vec::new(), taken: Vec::new() }
    }

    pub fn follow(&mut self, statement: &Statement) {
        let from = names(&statement.stack, &statement.source_way());
        let below = self.there.range(from.clone()..).take_while(|(way, _)| way.starts_with(&from));
        let met: Vec<InstanceAddress> = below.flat_map(|(_, addresses)| addresses.iter().cloned()).collect();
        for address in met {
            let Some(goal) = statement.apply(&address).filter(|goal| *goal != address) else { continue };
            if self.there.get(&place(&goal)).is_some_and(|there| there.contains(&goal)) {
                self.taken.push((address, goal, statement.span));
                continue;
            }
            if let Some(there) = self.there.get_mut(&place(&address)) {
                there.remove(&address);
            }
            self.there.entry(place(&goal)).or_default().insert(goal.clone());
            let origin = self.origins.remove(&address).unwrap_or_else(|| address.clone());
            if origin != goal {
                self.origins.insert(goal.clone(), origin);
            }
            self.hops.push((address, goal));
        }
    }

    /// What could not move, as its place is taken.
    fn blocked(&self) -> Option<Diagnostic> {
        let written: Vec<_> = self.taken.iter().filter(|(_, _, span)| span.is_some()).collect();
        let (_, _, span) = written.first()?;
        let mut text = String::from("At each of these addresses there is an object already:\n");
        for (from, to, _) in written.iter().take(10) {
            text.push_str(&format!("  {from} could not move to {to}\n"));
        }
        if written.len() > 10 {
            text.push_str(&format!("  and {} more\n", written.len() - 10));
        }
        text.push_str("Such an object keeps its address, and is deleted where nothing is defined there.");
        let warning = Diagnostic::warning("some objects cannot move where they should").detail(text);
        let warning = warning.help("Move or remove what is there with `andon state mv` or `andon state rm` first.");
        Some(Diagnostic { span: *span, ..warning })
    }

    /// From where to where in the end, in an order in which each place is free when its turn comes; step by step where
    /// there is no such order, as objects change places.
    pub fn moves(self) -> Vec<(InstanceAddress, InstanceAddress)> {
        let mut to_of: BTreeMap<&InstanceAddress, &InstanceAddress> =
            self.origins.iter().map(|(to, from)| (from, to)).collect();
        let mut moves = Vec::with_capacity(to_of.len());
        let starts: Vec<&InstanceAddress> = to_of.keys().copied().collect();
        for start in starts {
            // What is in the way goes first.
            let mut way = Vec::new();
            let mut next = start;
            while let Some(to) = to_of.remove(next) {
                way.push((next.clone(), to.clone()));
                next = to;
            }
            if way.len() > 1 && next == start {
                return self.hops;
            }
            moves.extend(way.into_iter().rev());
        }
        moves
    }
}

/// The names that lead to the resource of an instance.
fn place(address: &InstanceAddress) -> Vec<Arc<str>> {
    let resource = &address.resource;
    let modules = resource.module.iter().map(|step| Arc::clone(&step.name));
    let last = resource_name(resource.mode, &resource.kind, &resource.name);
    std::iter::once(Arc::clone(&resource.stack)).chain(modules).chain([last]).collect()
}
