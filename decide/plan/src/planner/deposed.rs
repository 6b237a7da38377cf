//! How the objects of plugins are that were replaced and are still there. One that is gone is not deleted; nobody is told,
//! as nobody asks for it.

use std::collections::BTreeMap;

use andon_schema::{FoundObject, Identity, InstanceAddress, Kept, Object, Question, Via};
use andon_value::Value;

use super::{Asked, Planner};
use crate::Drift;
use crate::compare::with_marks_of;
use crate::graph::NodeId;

/// The objects that were replaced.
#[derive(Debug, Default)]
pub(crate) struct Deposed {
    /// Those that are read once their provider's configuration is there.
    unread: BTreeMap<NodeId, Vec<(InstanceAddress, Identity)>>,
    /// Those that were read; `None` where one is gone.
    found: BTreeMap<Identity, Option<(Value, Kept)>>,
}

impl Deposed {
    /// How one is, and what is kept with it; `None` where it is gone.
    pub(crate) fn now(&self, object: &Object) -> Option<(Value, Kept)> {
        let unread = || Some((object.value.clone(), object.kept.clone()));
        self.found.get(&object.identity).cloned().unwrap_or_else(unread)
    }
}

impl Planner {
    /// Has those of an instance be read, as soon as that can be. What is built in goes without a look.
    pub(super) fn read_deposed(&mut self, address: &InstanceAddress) {
        let input = self.input().clone();
        if !input.refresh || !self.is_read_at_once(address) {
            return;
        }
        for object in input.state.instances.get(address).into_iter().flat_map(|it| &it.deposed) {
            let Some(provider) = &object.provider else { continue };
            if let Some(node) = self.graph.want_provider(&address.resource.stack, provider) {
                self.deposed.unread.entry(node).or_default().push((address.clone(), object.identity.clone()));
            }
        }
    }

    /// Asks about those whose provider's configuration has come.
    pub(super) fn ask_deposed(&mut self) {
        let settled: Vec<NodeId> =
            self.deposed.unread.keys().copied().filter(|node| self.graph.is_settled(*node)).collect();
        for node in settled {
            let waiting = self.deposed.unread.remove(&node).unwrap_or_default();
            // Nobody can ask a provider that is set aside, or has no configuration, which has been said.
            let provider = self.graph.configured_provider(node).filter(|_| !self.graph.is_aside(node)).cloned();
            for (address, identity) in waiting {
                let (Some(provider), Some(object)) = (&provider, self.input().state.object(&address, &identity)) else {
                    continue;
                };
                let (prior, kept) = (object.value.clone(), object.kept.clone());
                let via = Some(Box::new(Via { provider: provider.clone(), kept, meta: None }));
                let asked = Asked::Deposed(address.clone(), identity.clone());
                self.ask(asked, Question::ReadObject { address, identity, via, prior, refresh: true });
            }
        }
    }

    /// What a plugin said of one.
    pub(super) fn deposed_found(&mut self, address: InstanceAddress, identity: Identity, found: FoundObject) {
        let FoundObject { now, kept, warnings, .. } = found;
        let span = self.span_of(&address.resource);
        self.warn(&address, span, &warnings);
        let Some(object) = self.input().state.object(&address, &identity).cloned() else { return };
        let Some(value) = now else {
            self.settled.push(Drift {
                address,
                identity: identity.clone(),
                before: object.value,
                after: None,
                report: None,
                kept,
                provider: object.provider,
                background: true,
                feeds: Vec::new(),
            });
            self.deposed.found.insert(identity, None);
            return;
        };
        // Where it makes no sense, that has been said.
        if let Some(value) = object.provider.and_then(|provider| self.as_read(&address, &provider, value)) {
            self.deposed.found.insert(identity, Some((with_marks_of(&value, &object.value), kept)));
        }
    }
}
