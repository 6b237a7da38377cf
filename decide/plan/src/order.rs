//! In which order the parts of changes are done.
//!
//! What is made waits for the making of what it reads. What is removed waits for the removal of what used it. Where
//! nothing hangs on it, it waits too until whatever used it has been changed over: that is what lets a server go only
//! after the balancer has left it. Where something must be removed before something else is made, and the removal is on
//! the way to that, it comes early: it waits only for those that do not wait for it themselves. What no two objects can
//! have is taken after it was given up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use andon_ledger::EnvironmentState;
use andon_schema::ResourceAddress;
use andon_value::Value;

use crate::graph::{Graph, Map, NodeId};
use crate::plan::ReplaceOrder;
use crate::{PlanInput, PlannedAction, PlannedChange, Step, StepKind, exclusive};

/// Puts changes in order, and says what each part waits for. `nodes` are those of the changes that are made for a
/// definition.
pub(crate) fn arrange(
    graph: &Graph,
    mut changes: Vec<PlannedChange>,
    nodes: &Map<NodeId, usize>,
) -> (Vec<PlannedChange>, Vec<Step>) {
    loop {
        let mut draft = Draft::new(&changes);
        draft.after_reads(graph, nodes);
        let pressing = draft.removals(&changes, &graph.input().state);
        if pressing.is_empty() {
            draft.after_handovers(graph.input(), &changes);
            let order = draft.sort();
            return finish(changes, draft.steps, &order);
        }
        create_first_too(graph, &mut changes, nodes, &pressing);
    }
}

/// Has these changes, which are replacements that delete first, and all that they read, create first.
fn create_first_too(
    graph: &Graph,
    changes: &mut [PlannedChange],
    nodes: &Map<NodeId, usize>,
    pressing: &BTreeSet<usize>,
) {
    let seeds = nodes.iter().filter(|(_, change)| pressing.contains(*change)).map(|(node, _)| *node).collect();
    let members = nodes.iter().filter_map(|(node, change)| Some((*node, &changes.get(*change)?.address.resource)));
    let first = create_first(graph, seeds, members);
    for (_, change) in nodes.iter().filter(|(node, _)| first.contains(*node)) {
        if let Some(PlannedAction::Replace { order, .. }) = changes.get_mut(*change).map(|change| &mut change.action) {
            *order = ReplaceOrder::CreateFirst;
        }
    }
}

/// What creates first where these do: everything that they read, as that could not be deleted before they have changed
/// over. `members` are the nodes of instances: one order is that of all instances of a resource.
pub(crate) fn create_first<'a>(
    graph: &Graph,
    seeds: Vec<NodeId>,
    members: impl IntoIterator<Item = (NodeId, &'a ResourceAddress)>,
) -> BTreeSet<NodeId> {
    let mut instances: BTreeMap<&ResourceAddress, Vec<NodeId>> = BTreeMap::new();
    let mut resources = BTreeMap::new();
    for (node, resource) in members {
        instances.entry(resource).or_default().push(node);
        resources.insert(node, resource);
    }
    let mut open = seeds;
    let mut first: BTreeSet<NodeId> = open.iter().copied().collect();
    while let Some(node) = open.pop() {
        let siblings = resources.get(&node).and_then(|resource| instances.remove(resource)).unwrap_or_default();
        open.extend(siblings.into_iter().filter(|sibling| first.insert(*sibling)));
        open.extend(graph.reads(node).iter().copied().filter(|read| first.insert(*read)));
    }
    first
}

struct Draft {
    steps: Vec<Step>,
    /// The making of each change, where it has one.
    make: Vec<Option<usize>>,
    /// The removal of each change, where it has one.
    remove: Vec<Option<usize>>,
}

impl Draft {
    fn new(changes: &[PlannedChange]) -> Draft {
        let mut draft = Draft { steps: Vec::new(), make: Vec::new(), remove: Vec::new() };
        for (at, change) in changes.iter().enumerate() {
            let (makes, removes) = match change.action {
                PlannedAction::Create | PlannedAction::Update | PlannedAction::Read => (true, false),
                PlannedAction::Replace { .. } => (true, true),
                PlannedAction::Delete | PlannedAction::DeleteDeposed | PlannedAction::Forget => (false, true),
            };
            let make = makes.then(|| draft.push(StepKind::Make(at), Vec::new()));
            let remove = removes.then(|| draft.push(StepKind::Remove(at), Vec::new()));
            draft.make.push(make);
            draft.remove.push(remove);
        }
        draft
    }

    fn push(&mut self, kind: StepKind, after: Vec<usize>) -> usize {
        self.steps.push(Step { kind, after });
        self.steps.len() - 1
    }

    /// One step that stands for all of these.
    fn gather(&mut self, mut steps: Vec<usize>) -> Option<usize> {
        steps.sort_unstable();
        steps.dedup();
        match steps.as_slice() {
            [] => None,
            [one] => Some(*one),
            _ => Some(self.push(StepKind::Gather, steps)),
        }
    }

    fn wait(&mut self, step: Option<usize>, others: impl IntoIterator<Item = usize>) {
        if let Some(step) = step.and_then(|step| self.steps.get_mut(step)) {
            step.after.extend(others);
        }
    }

    fn after(&self, step: Option<usize>) -> Vec<usize> {
        step.and_then(|step| self.steps.get(step)).map(|step| step.after.clone()).unwrap_or_default()
    }

    /// What is made waits for what it reads, whatever lies between that does not change.
    fn after_reads(&mut self, graph: &Graph, nodes: &Map<NodeId, usize>) {
        let mut starts: Vec<(usize, NodeId)> = nodes.iter().map(|(node, change)| (*change, *node)).collect();
        starts.sort_unstable();
        // What stands for a node: the step that must be done before its value is there.
        let mut stands: Map<NodeId, Option<usize>> = Map::default();
        for node in reads_first(graph, starts.into_iter().map(|(_, node)| node)) {
            let reads = graph.reads(node).iter().filter_map(|read| stands.get(read).copied().flatten());
            let mut after: Vec<usize> = reads.collect();
            after.sort_unstable();
            after.dedup();
            let make = nodes.get(&node).and_then(|change| self.make.get(*change).copied().flatten());
            let stand = match make {
                Some(make) => {
                    self.wait(Some(make), after);
                    Some(make)
                }
                None => self.gather(after),
            };
            stands.insert(node, stand);
        }
    }

    /// Whatever takes what only one object can have waits for the one that gives it up, where that does not wait for it.
    fn after_handovers(&mut self, input: &PlanInput, changes: &[PlannedChange]) {
        for (giver, taker) in exclusive::handovers(input, changes) {
            let of = |steps: &[Option<usize>], change: usize| steps.get(change).copied().flatten();
            let Some(gives) = of(&self.remove, giver).or_else(|| of(&self.make, giver)) else { continue };
            let takes = of(&self.make, taker);
            if takes.is_some_and(|takes| !self.before(vec![gives]).contains(&takes)) {
                self.wait(takes, [gives]);
            }
        }
    }

    /// The replacements that may not delete first, as changes: see [`Draft::pressing`].
    fn removals(&mut self, changes: &[PlannedChange], state: &EnvironmentState) -> BTreeSet<usize> {
        let users = self.users(changes, state);
        let mut gathered: BTreeMap<&ResourceAddress, (Option<usize>, Option<usize>)> = BTreeMap::new();
        for (resource, (removed, made)) in &users {
            let pair = (self.gather(removed.clone()), self.gather(made.clone()));
            gathered.insert(resource, pair);
        }
        for (at, change) in changes.iter().enumerate() {
            if let Some((removed, _)) = gathered.get(&change.address.resource) {
                self.wait(self.remove.get(at).copied().flatten(), *removed);
            }
        }
        let early = self.early(changes);
        for (at, change) in changes.iter().enumerate() {
            let (make, remove) = (self.make.get(at).copied().flatten(), self.remove.get(at).copied().flatten());
            let Some(step) = remove else { continue };
            let is_early = early.contains(&step);
            let made = gathered.get(&change.address.resource).and_then(|(_, made)| *made);
            match &change.action {
                PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, .. } => {
                    // Nothing is removed for a replacement that may turn out not to be needed.
                    if !is_early && !change.config.as_ref().is_none_or(Value::is_wholly_known) {
                        let others = self.after(make);
                        self.wait(remove, others);
                    }
                    self.wait(make, remove);
                }
                _ => {
                    self.wait(remove, make);
                    if !is_early {
                        self.wait(remove, made);
                    }
                }
            }
        }
        self.before_makings(changes, &users, early)
    }

    /// A removal that must come before a making still waits for whatever leaves the object, where that does not wait
    /// for any such removal: else there would be a circle.
    fn before_makings(
        &mut self,
        changes: &[PlannedChange],
        users: &BTreeMap<&ResourceAddress, (Vec<usize>, Vec<usize>)>,
        mut early: BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let mut pressing = BTreeSet::new();
        early.extend(self.delete_first(changes));
        if early.is_empty() {
            return pressing;
        }
        let late = self.behind(early.iter().copied(), |_| true);
        let mut gathered: BTreeMap<&ResourceAddress, Option<usize>> = BTreeMap::new();
        for (at, change) in changes.iter().enumerate() {
            let resource = &change.address.resource;
            let Some(remove) = self.remove.get(at).copied().flatten().filter(|step| early.contains(step)) else {
                continue;
            };
            let leave = match gathered.get(resource) {
                Some(leave) => *leave,
                None => {
                    let made = users.get(resource).map_or(&[][..], |(_, made)| made).iter().copied();
                    let (behind, free): (Vec<usize>, Vec<usize>) = made.partition(|step| late.contains(step));
                    if !behind.is_empty() && is_left_first(change) {
                        pressing.extend(self.pressing(changes, remove, behind));
                    }
                    let leave = self.gather(free);
                    gathered.insert(resource, leave);
                    leave
                }
            };
            self.wait(Some(remove), leave);
        }
        pressing
    }

    /// The replacements that delete first and have a removal come before what leaves the object. An object of which is
    /// said that it must be left first cannot be left then, as Terraform's "cycle" says, unless they create first.
    /// Those only whose own removal waits for it: on every way to what leaves it, the first making is of one of them.
    fn pressing(&self, changes: &[PlannedChange], removal: usize, leaving: Vec<usize>) -> Vec<usize> {
        let (behind, before) =
            (self.behind([removal], |kind| !matches!(kind, StepKind::Make(_))), self.before(leaving));
        let between = |remove: &usize| behind.contains(remove) && before.contains(remove);
        let removes = self.delete_first(changes).into_iter().filter(between);
        removes.filter_map(|remove| self.steps.get(remove)?.kind.change()).collect()
    }

    /// The removals of replacements that are removed first.
    fn delete_first(&self, changes: &[PlannedChange]) -> Vec<usize> {
        let removes = changes.iter().zip(&self.remove).filter(|(change, _)| {
            matches!(change.action, PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, .. })
        });
        removes.filter_map(|(_, remove)| *remove).collect()
    }

    /// Some steps, and all that wait for them by way of such.
    fn behind(&self, steps: impl IntoIterator<Item = usize>, by_way_of: impl Fn(StepKind) -> bool) -> BTreeSet<usize> {
        let followers = self.followers();
        let mut open: Vec<usize> = steps.into_iter().collect();
        let mut behind = BTreeSet::new();
        while let Some(step) = open.pop() {
            if behind.insert(step) && self.steps.get(step).is_some_and(|step| by_way_of(step.kind)) {
                open.extend(followers.get(step).into_iter().flatten());
            }
        }
        behind
    }

    /// For each resource of which something is removed: the removals and the makings of what uses it.
    fn users<'a>(
        &self,
        changes: &'a [PlannedChange],
        state: &'a EnvironmentState,
    ) -> BTreeMap<&'a ResourceAddress, (Vec<usize>, Vec<usize>)> {
        let removed = changes.iter().zip(&self.remove).filter(|(_, remove)| remove.is_some());
        let mut users: BTreeMap<&ResourceAddress, (Vec<usize>, Vec<usize>)> =
            removed.map(|(change, _)| (&change.address.resource, (Vec::new(), Vec::new()))).collect();
        for (at, change) in changes.iter().enumerate() {
            let stored: &[ResourceAddress] = match &change.action {
                action if action.is_removal() => &change.dependencies,
                _ => state.current(&change.address).map_or(&[], |object| &object.dependencies),
            };
            let (make, remove) = (self.make.get(at).copied().flatten(), self.remove.get(at).copied().flatten());
            // An order among the instances of one resource is not known of what is stored.
            let others = |resource: &&ResourceAddress| **resource != change.address.resource;
            for resource in stored.iter().filter(others) {
                if let Some((removes, makes)) = users.get_mut(resource) {
                    removes.extend(remove);
                    makes.extend(make);
                }
            }
            for resource in change.dependencies.iter().filter(others).filter(|_| make.is_some()) {
                if let Some((_, makes)) = users.get_mut(resource) {
                    makes.extend(make);
                }
            }
        }
        users
    }

    /// The removals on the way to one that must come before a making.
    fn early(&self, changes: &[PlannedChange]) -> BTreeSet<usize> {
        let delete_first = self.delete_first(changes).into_iter();
        self.before(delete_first.flat_map(|remove| self.after(Some(remove))).collect())
    }

    /// Some steps, and all that they wait for.
    fn before(&self, mut open: Vec<usize>) -> BTreeSet<usize> {
        let mut before = BTreeSet::new();
        while let Some(step) = open.pop() {
            if before.insert(step) {
                open.extend(self.after(Some(step)));
            }
        }
        before
    }

    /// The steps in an order that keeps what each waits for, the same in every run.
    fn sort(&mut self) -> Vec<usize> {
        for (at, step) in self.steps.iter_mut().enumerate() {
            step.after.sort_unstable();
            step.after.dedup();
            step.after.retain(|other| *other != at);
        }
        loop {
            let followers = self.followers();
            let order = self.sorted(&followers);
            if order.len() == self.steps.len() {
                return order;
            }
            let sorted: BTreeSet<usize> = order.iter().copied().collect();
            if !self.break_circle(&sorted, &followers) {
                return order;
            }
        }
    }

    fn followers(&self) -> Vec<Vec<usize>> {
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); self.steps.len()];
        for (at, step) in self.steps.iter().enumerate() {
            for other in &step.after {
                if let Some(followers) = followers.get_mut(*other) {
                    followers.push(at);
                }
            }
        }
        followers
    }

    /// As many of the steps as can be put in order: all, unless some wait for each other in a circle.
    fn sorted(&self, followers: &[Vec<usize>]) -> Vec<usize> {
        let mut missing: Vec<usize> = self.steps.iter().map(|step| step.after.len()).collect();
        let rank = |at: usize| Reverse((self.steps.get(at).and_then(|step| step.kind.change()), at));
        let free = missing.iter().enumerate().filter(|(_, missing)| **missing == 0);
        let mut ready: BinaryHeap<Reverse<(Option<usize>, usize)>> = free.map(|(at, _)| rank(at)).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(Reverse((_, at))) = ready.pop() {
            order.push(at);
            for follower in followers.get(at).into_iter().flatten() {
                if let Some(missing) = missing.get_mut(*follower) {
                    *missing = missing.saturating_sub(1);
                    if *missing == 0 {
                        ready.push(rank(*follower));
                    }
                }
            }
        }
        order
    }

    /// Has one removal no longer wait for what waits for it. What is stored of old objects is of different times, and
    /// may go round in a circle. Whether there was one.
    fn break_circle(&mut self, sorted: &BTreeSet<usize>, followers: &[Vec<usize>]) -> bool {
        let mut path = Vec::new();
        let mut next = (0..self.steps.len()).find(|at| !sorted.contains(at));
        while let Some(at) = next.filter(|at| !path.contains(at)) {
            path.push(at);
            next = self.after(Some(at)).into_iter().find(|other| !sorted.contains(other));
        }
        let from = path.iter().position(|at| Some(*at) == next).unwrap_or(0);
        let is_removal = |at: &usize| matches!(self.steps.get(*at).map(|step| step.kind), Some(StepKind::Remove(_)));
        let circle = path.split_off(from);
        let Some(freed) = circle.iter().copied().filter(is_removal).min().or(circle.first().copied()) else {
            return false;
        };
        let mut behind = BTreeSet::new();
        let mut open = vec![freed];
        while let Some(at) = open.pop() {
            open.extend(followers.get(at).into_iter().flatten().copied().filter(|follower| behind.insert(*follower)));
        }
        let mut kept = Vec::new();
        let mut open = self.after(Some(freed));
        while let Some(at) = open.pop() {
            if !behind.contains(&at) {
                kept.push(at);
            } else if self.steps.get(at).is_some_and(|step| step.kind == StepKind::Gather) {
                open.extend(self.after(Some(at)));
            }
        }
        kept.sort_unstable();
        kept.dedup();
        if let Some(step) = self.steps.get_mut(freed) {
            step.after = kept;
        }
        true
    }
}

/// Whether an object may only go once whatever uses it has been changed over.
fn is_left_first(change: &PlannedChange) -> bool {
    match change.action {
        PlannedAction::Replace { order, .. } => order == ReplaceOrder::CreateFirst,
        _ => change.create_before_destroy,
    }
}

/// The nodes and all that they read, each after what it reads. No recursion, as the chains may be long.
fn reads_first(graph: &Graph, starts: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut order = Vec::new();
    let mut seen: Map<NodeId, ()> = Map::default();
    for start in starts {
        let mut path = vec![(start, 0)];
        if seen.insert(start, ()).is_some() {
            continue;
        }
        while let Some((node, at)) = path.last_mut() {
            match graph.reads(*node).get(*at) {
                Some(read) => {
                    *at += 1;
                    if seen.insert(*read, ()).is_none() {
                        path.push((*read, 0));
                    }
                }
                None => {
                    order.push(*node);
                    path.pop();
                }
            }
        }
    }
    order
}

/// Renumbers changes and steps by their order, without steps that nothing waits for.
fn finish(changes: Vec<PlannedChange>, steps: Vec<Step>, order: &[usize]) -> (Vec<PlannedChange>, Vec<Step>) {
    let mut used: Vec<bool> = steps.iter().map(|step| step.kind != StepKind::Gather).collect();
    for at in order.iter().rev().filter(|at| used.get(**at) == Some(&true)).copied().collect::<Vec<usize>>() {
        let mut open = vec![at];
        while let Some(step) = open.pop() {
            for other in steps.get(step).into_iter().flat_map(|step| step.after.iter().copied()) {
                if let Some(seen) = used.get_mut(other)
                    && !std::mem::replace(seen, true)
                {
                    open.push(other);
                }
            }
        }
    }
    let kept: Vec<usize> = order.iter().copied().filter(|at| used.get(*at) == Some(&true)).collect();
    let new_step: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    // A change has the place of its making; one that makes nothing, that of its removal.
    let mut new_change: BTreeMap<usize, usize> = BTreeMap::new();
    let mut change_order = Vec::new();
    for at in &kept {
        let Some(step) = steps.get(*at) else { continue };
        let is_main = match step.kind {
            StepKind::Make(_) => true,
            StepKind::Remove(change) => {
                !changes.get(change).is_some_and(|change| matches!(change.action, PlannedAction::Replace { .. }))
            }
            StepKind::Gather => false,
        };
        if let Some(change) = step.kind.change().filter(|_| is_main) {
            new_change.insert(change, change_order.len());
            change_order.push(change);
        }
    }
    let renumbered = |kind: StepKind| match kind {
        StepKind::Make(change) => StepKind::Make(new_change.get(&change).copied().unwrap_or(change)),
        StepKind::Remove(change) => StepKind::Remove(new_change.get(&change).copied().unwrap_or(change)),
        StepKind::Gather => StepKind::Gather,
    };
    let steps = kept.iter().filter_map(|at| steps.get(*at)).map(|step| {
        let mut after: Vec<usize> = step.after.iter().filter_map(|other| new_step.get(other).copied()).collect();
        after.sort_unstable();
        Step { kind: renumbered(step.kind), after }
    });
    let steps = steps.collect();
    let mut changes: Vec<Option<PlannedChange>> = changes.into_iter().map(Some).collect();
    let sorted = change_order.into_iter().filter_map(|at| changes.get_mut(at).and_then(Option::take));
    (sorted.collect(), steps)
}
