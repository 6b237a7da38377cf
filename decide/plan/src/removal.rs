//! Which objects a plan deletes that no definition keeps: of all of them, those that its scope has, without those that
//! something needs which is not planned.

use std::collections::{BTreeMap, BTreeSet};

use andon_schema::{InstanceAddress, Mode, ResourceAddress};

use crate::graph::{Aside, Graph, Standing};
use crate::{Note, PlanMode, Reason};

/// What is deleted.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    /// Instances whose object in use is.
    pub current: BTreeSet<InstanceAddress>,
    /// Instances of which what was replaced is.
    pub deposed: BTreeSet<InstanceAddress>,
    /// What is kept though no definition has it.
    pub notes: Vec<Note>,
}

/// Chooses. `has_verdict` is whether an instance is planned as defined.
pub(crate) fn removals(graph: &Graph, has_verdict: impl Fn(&InstanceAddress) -> bool) -> Removals {
    let input = graph.input();
    let scope = &input.scope;
    let mut removals = Removals::default();
    let mut kept: Vec<&InstanceAddress> = Vec::new();
    for (address, instance) in input.state.instances.iter().filter(|(address, _)| input.covers(&address.resource.stack))
    {
        let planned = has_verdict(address);
        let standing = match input.mode {
            PlanMode::Destroy => Standing::Gone,
            _ if planned => Standing::Defined,
            _ => graph.standing(address),
        };
        if scope.excludes(address) || matches!(standing, Standing::Aside(Aside::Later | Aside::Excluded)) {
            kept.push(address);
            if scope.excludes(address) && standing == Standing::Gone {
                removals.notes.push(Note { address: address.clone(), reason: Reason::Excluded { on: Vec::new() } });
            }
            continue;
        }
        let wanted = scope.targets.is_empty()
            || scope.targets(address)
            || input.mode != PlanMode::Destroy && graph.is_dependency(&address.resource);
        if standing == Standing::Gone && instance.current.is_some() && wanted {
            removals.current.insert(address.clone());
        }
        if !instance.deposed.is_empty() && (wanted || planned) {
            removals.deposed.insert(address.clone());
        }
    }
    if !scope.targets.is_empty() {
        removals.add_users(graph);
    }
    removals.keep_needed(graph, kept);
    removals
}

impl Removals {
    /// What uses something that is deleted, and is defined no more, goes before it.
    fn add_users(&mut self, graph: &Graph) {
        let input = graph.input();
        let mut users: BTreeMap<&ResourceAddress, Vec<&InstanceAddress>> = BTreeMap::new();
        for (address, instance) in &input.state.instances {
            for resource in instance.current.iter().flat_map(|object| &object.dependencies) {
                users.entry(resource).or_default().push(address);
            }
        }
        let mut open: Vec<InstanceAddress> = self.current.iter().cloned().collect();
        while let Some(address) = open.pop() {
            for user in users.get(&address.resource).into_iter().flatten() {
                let is_gone = input.mode == PlanMode::Destroy || graph.standing(user) == Standing::Gone;
                let fits = is_gone && input.covers(&user.resource.stack) && !input.scope.excludes(user);
                if fits && self.current.insert((*user).clone()) {
                    self.deposed.insert((*user).clone());
                    open.push((*user).clone());
                }
            }
        }
    }

    /// What something uses that stays as it is, stays, too.
    fn keep_needed<'a>(&mut self, graph: &'a Graph, mut kept: Vec<&'a InstanceAddress>) {
        if kept.is_empty() || self.current.is_empty() {
            return;
        }
        let state = &graph.input().state;
        let mut by_resource: BTreeMap<&ResourceAddress, Vec<&InstanceAddress>> = BTreeMap::new();
        for address in state.instances.keys().filter(|address| self.current.contains(*address)) {
            by_resource.entry(&address.resource).or_default().push(address);
        }
        while let Some(user) = kept.pop() {
            let needs = state.current(user).map(|object| object.dependencies.as_slice()).unwrap_or_default();
            for needed in needs.iter().filter_map(|resource| by_resource.remove(resource)).flatten() {
                self.current.remove(needed);
                self.deposed.remove(needed);
                let reason = Reason::StillNeeded { by: user.clone() };
                self.notes.push(Note { address: needed.clone(), reason });
                kept.push(needed);
            }
        }
    }
}

impl Graph {
    /// Whether a resource is in the plan only for something that needs it.
    fn is_dependency(&self, resource: &ResourceAddress) -> bool {
        resource.mode == Mode::Managed && !self.input().scope.targets_of(resource) && self.is_reached(resource)
    }
}
