//! Runs that are held to a part of what is defined, and what definitions protect: nothing else may be touched.

use std::collections::BTreeSet;

use andon_ledger::{Action, EnvironmentState, Event, Intent, RunId};
use andon_plan::{PlanMode, Scope};
use andon_schema::{InstanceAddress, ResourceAddress, TargetAddress};

use super::{Problems, Story};
use crate::kinds::HOST;

impl Story {
    /// What a run is held to: mostly nothing.
    pub(super) fn roll_scope(&mut self, mode: PlanMode) -> Result<Scope, Problems> {
        let mut scope = Scope::default();
        if !self.dice.chance(25) {
            return Ok(scope);
        }
        let blocks: Vec<ResourceAddress> = self.model.blocks.iter().map(|block| self.model.resource(block)).collect();
        let some = self.dice.pick(&blocks).and_then(|resource| TargetAddress::parse(&resource.to_string()).ok());
        match self.dice.below(5) {
            0 | 1 => scope.targets.extend(some),
            2 | 3 => scope.excludes.extend(some),
            _ if mode == PlanMode::Normal => {
                let state = self.state()?;
                let is_there =
                    |address: &InstanceAddress| &*address.resource.kind != HOST && self.model.defines(address);
                let there: Vec<InstanceAddress> = state
                    .instances
                    .iter()
                    .filter(|(address, it)| it.current.is_some() && is_there(address))
                    .map(|(address, _)| address.clone())
                    .collect();
                scope.replace.extend(self.dice.pick(&there).cloned());
            }
            _ => {}
        }
        if scope != Scope::default() {
            self.trace.borrow_mut().fault(if scope.is_partial() { "a part alone" } else { "a replacement asked for" });
        }
        Ok(scope)
    }

    /// What a run did that its scope or a definition forbids, and what it did not that it was asked for.
    pub(super) fn trespasses(
        &self,
        before: &EnvironmentState,
        scope: &Scope,
        run: &RunId,
        mode: PlanMode,
        well: bool,
    ) -> Problems {
        let entries = self.disk.entries.iter().filter(|entry| entry.run == *run);
        let intents = entries.filter_map(|entry| match &entry.event {
            Event::Intent(intent) => Some(intent),
            _ => None,
        });
        let mut problems: Problems = intents.filter_map(|intent| self.trespass(before, scope, intent, mode)).collect();
        let kept = scope.replace.iter().filter(|_| well).filter(|address| {
            let identity = before.current(address).map(|object| &object.identity);
            identity.is_some_and(|identity| self.earth.things.contains_key(identity))
        });
        problems.extend(kept.map(|address| format!("{address} was to be replaced, and is still there")));
        problems
    }

    fn trespass(&self, before: &EnvironmentState, scope: &Scope, intent: &Intent, mode: PlanMode) -> Option<String> {
        let Intent { address, action, identity, .. } = intent;
        let why = if scope.excludes(address) {
            "is excluded"
        } else if *action != Action::Delete && self.uses_any(&address.resource, &scope.excludes) {
            "uses what is excluded"
        } else if mode == PlanMode::Normal
            && !scope.targets.is_empty()
            && !self.is_used_by_any(&address.resource, &scope.targets)
        {
            "is not targeted, nor used by what is"
        } else if *action == Action::Delete
            && self.model.defining(&address.resource).is_some_and(|block| block.protected)
            && before.current(address).is_some_and(|object| object.identity == *identity)
            // What was replaced before that was said goes once it is known that it was.
            && !before.pending.values().any(|open| open.address == *address)
        {
            "is protected"
        } else {
            return None;
        };
        Some(format!("{action:?} {address}, which {why}"))
    }

    /// Whether a resource reads one of these, by whatever way.
    fn uses_any(&self, resource: &ResourceAddress, others: &[TargetAddress]) -> bool {
        let used = self.used_by(self.model.defining(resource).map(|block| &*block.name));
        let mut names = used.into_iter().filter_map(|name| self.model.block(name));
        names.any(|block| others.iter().any(|other| other.names(&self.model.resource(block))))
    }

    /// Whether one of these reads a resource, or is it. Of what is not defined, the plan's own checker knows better.
    fn is_used_by_any(&self, resource: &ResourceAddress, others: &[TargetAddress]) -> bool {
        let Some(block) = self.model.defining(resource) else { return true };
        let named = self
            .model
            .blocks
            .iter()
            .filter(|block| others.iter().any(|other| other.names(&self.model.resource(block))));
        self.used_by(named.map(|block| &*block.name)).contains(&*block.name)
    }

    /// Some blocks, and all that they use.
    fn used_by<'a>(&'a self, names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let mut open: Vec<&str> = names.into_iter().collect();
        let mut used = BTreeSet::new();
        while let Some(name) = open.pop() {
            if used.insert(name) {
                open.extend(self.model.block(name).into_iter().flat_map(|block| block.uses()));
            }
        }
        used
    }

    /// Whether people change the definitions because of why there is no plan: they take a protection out, or a block
    /// that imports what is no more.
    pub(super) fn gives_way(&mut self, why: &str) -> bool {
        let gives_way = why.contains("prevent_destroy") && self.model.unprotect() || self.forget_lost_imports();
        if gives_way {
            self.project = None;
            self.trace.borrow_mut().fault("a definition in the way");
            self.say("EDIT    what stands in the way is taken out".to_owned());
        }
        gives_way
    }

    fn forget_lost_imports(&mut self) -> bool {
        let there = |id: &str| self.earth.things.values().any(|thing| thing.value.get_str("id") == Some(id));
        let before = self.model.imports.len();
        let mut imports = std::mem::take(&mut self.model.imports);
        imports.retain(|(address, id)| there(id) && self.model.defines(address));
        self.model.imports = imports;
        self.model.imports.len() < before
    }
}

/// A scope, for a reader.
pub(super) fn in_words(scope: &Scope) -> String {
    let targets = scope.targets.iter().map(|target| format!(" -target {target}"));
    let excludes = scope.excludes.iter().map(|target| format!(" -exclude {target}"));
    let replace = scope.replace.iter().map(|address| format!(" -replace {address}"));
    targets.chain(excludes).chain(replace).collect()
}
