//! What plugins say of the deletions that a plan comes to, before it is one: some refuse what cannot be deleted, and
//! plan what to keep until it is.

use std::collections::BTreeMap;

use andon_schema::{Identity, InstanceAddress, Kept, Planned, Question, Via};
use andon_value::Value;

use super::{Asked, Found, Planner};
use crate::graph::NodeId;
use crate::removal::removals;
use crate::{PlanMode, PlannedAction, PlannedChange};

/// The deletions that plugins are asked about.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    /// Found once all else is planned.
    open: Option<Vec<(InstanceAddress, Identity, NodeId)>>,
    /// What a plugin plans to keep until it deletes an object.
    kept: BTreeMap<(InstanceAddress, Identity), Kept>,
}

impl Deletions {
    /// Has the deletions of a plan go with what was planned of them.
    pub(super) fn add_to(&mut self, changes: &mut [PlannedChange]) {
        for change in changes {
            let Some(identity) = &change.identity else { continue };
            let Some(kept) = self.kept.remove(&(change.address.clone(), identity.clone())) else { continue };
            // What was replaced is brought to the schema of today when it is deleted.
            let schema_version = match change.action {
                PlannedAction::DeleteDeposed => change.kept.schema_version,
                _ => kept.schema_version,
            };
            change.kept = Kept { schema_version, ..kept };
        }
    }
}

impl Planner {
    /// All else is planned: asks about deletions, once their providers are configured. Whether there is anything more
    /// to come.
    pub(super) fn ask_deletions(&mut self) -> bool {
        let Some(open) = self.deletions.open.take() else {
            let open = self.find_deletions();
            let any = !open.is_empty();
            self.deletions.open = Some(open);
            return any;
        };
        self.deletions.open = Some(Vec::new());
        let any = !open.is_empty();
        for (address, identity, node) in open {
            self.ask_deletion(address, identity, node);
        }
        any
    }

    /// What is deleted of plugins that want to be asked.
    fn find_deletions(&mut self) -> Vec<(InstanceAddress, Identity, NodeId)> {
        let input = self.input().clone();
        let asks = input.schemas.providers.values().any(|schema| schema.capabilities.plan_destroy);
        if !asks || input.mode == PlanMode::RefreshOnly || self.problems.has_errors() {
            return Vec::new();
        }
        let chosen = removals(&self.graph, |address| self.verdicts.contains_key(address));
        let mut found = Vec::new();
        for (address, instance) in input.state.instances.iter().filter(|(it, _)| !input.forgets(&it.resource)) {
            let current = instance.current.as_ref().filter(|_| chosen.current.contains(address));
            let deposed = instance.deposed.iter().filter(|_| chosen.deposed.contains(address));
            for object in current.into_iter().chain(deposed) {
                let Some(provider) = &object.provider else { continue };
                let schema = input.schemas.providers.get(&provider.provider);
                if schema.is_some_and(|schema| schema.capabilities.plan_destroy)
                    && let Some(node) = self.graph.want_provider(&address.resource.stack, provider)
                {
                    found.push((address.clone(), object.identity.clone(), node));
                }
            }
        }
        found
    }

    fn ask_deletion(&mut self, address: InstanceAddress, identity: Identity, node: NodeId) {
        // Nobody can ask a provider that is set aside.
        let Some(provider) = self.graph.configured_provider(node).filter(|_| !self.graph.is_aside(node)).cloned()
        else {
            return;
        };
        let Some(object) = self
            .input()
            .state
            .instances
            .get(&address)
            .and_then(|it| it.objects().find(|object| object.identity == identity).cloned())
        else {
            return;
        };
        let is_current = self.object(&address).is_some_and(|current| current.identity == identity);
        let (prior, kept) = match self.objects.get(&address).filter(|_| is_current) {
            Some(Found::Known(None)) => return,
            Some(Found::Known(Some(now))) => {
                (now.clone(), self.kept.get(&address).cloned().unwrap_or_else(|| object.kept.clone()))
            }
            _ => match self.deposed.now(&object) {
                Some(now) => now,
                None => return,
            },
        };
        let via = Some(Box::new(Via { provider, kept, meta: None }));
        let question = Question::PlanChange {
            address: address.clone(),
            identity: Some(identity.clone()),
            via,
            prior: Some(prior),
            proposed: None,
            config: Value::NULL,
            written: None,
        };
        self.ask(Asked::Deletion(address, identity), question);
    }

    /// What a plugin plans for a deletion.
    pub(super) fn deletion_planned(&mut self, address: InstanceAddress, identity: Identity, planned: Planned) {
        let span = self.span_of(&address.resource);
        self.warn(&address, span, &planned.warnings);
        self.deletions.kept.insert((address, identity), planned.kept);
    }
}
