//! Which objects a planner reads, and when.

use std::sync::Arc;

use andon_schema::{ConfiguredProvider, InstanceAddress, Question, Via};
use andon_value::Value;

use super::{Asked, Found, Planner};
use crate::graph::{Configured, NodeId};
use crate::{PlanMode, complaints, duties};

impl Planner {
    /// Asks how every object in use is.
    pub(super) fn begin(&mut self) {
        self.begin_imports();
        let input = self.input().clone();
        self.problems.extend(complaints::unresolved(&input.state));
        for (address, instance) in &input.state.instances {
            let covered = input.covers(&address.resource.stack);
            if !instance.deposed.is_empty() && covered && !input.forgets(&address.resource) {
                self.read_deposed(address);
            }
            let Some(object) = instance.current.as_ref() else { continue };
            if !covered {
                self.unasked.push(address.clone());
                continue;
            }
            // Nobody looks after what is to be forgotten.
            let is_left = input.scope.excludes(address) || input.forgets(&address.resource);
            let is_retyped = self.imports.retyped.contains_key(address);
            if self.is_read_at_once(address) && !is_left && !is_retyped {
                self.read(address);
                continue;
            }
            let found = match is_left {
                true => {
                    self.unasked.push(address.clone());
                    Found::Known(Some(object.value.clone()))
                }
                false => Found::Later,
            };
            self.objects.insert(address.clone(), found);
        }
    }

    /// Has an object in use be read, as soon as that can be.
    pub(crate) fn read(&mut self, address: &InstanceAddress) {
        let state = Arc::clone(&self.input().state);
        let Some(object) = state.current(address) else { return };
        let found = match &object.provider {
            Some(provider) => match self.graph.want_provider(&address.resource.stack, provider) {
                Some(node) => {
                    self.unread.entry(node).or_default().push(address.clone());
                    Found::Asked
                }
                None if self.input().definition(&address.resource).is_some() => Found::Later,
                None => {
                    self.problems.push(complaints::unconfigured(address, provider));
                    Found::Known(None)
                }
            },
            None if self.input().refresh => {
                self.ask_object(address, None);
                Found::Asked
            }
            None => Found::Known(Some(object.value.clone())),
        };
        self.objects.insert(address.clone(), found);
    }

    /// An object stays as it was last seen.
    fn not_asked(&mut self, address: &InstanceAddress) {
        self.unasked.push(address.clone());
        let value = self.object(address).map(|object| object.value.clone());
        self.objects.insert(address.clone(), Found::Known(value.clone()));
        if let Some(configured) = self.parked.remove(address) {
            self.propose(configured, value);
        }
    }

    /// Asks how an object in use is.
    pub(crate) fn ask_object(
        &mut self,
        address: &InstanceAddress,
        provider: Option<(Arc<ConfiguredProvider>, Option<Value>)>,
    ) {
        let Some(object) = self.object(address) else { return };
        let via = provider.map(|(provider, meta)| Box::new(Via { provider, kept: object.kept.clone(), meta }));
        let refresh = self.input().refresh;
        let (identity, prior) = (object.identity.clone(), object.value.clone());
        let question = Question::ReadObject { address: address.clone(), identity, via, prior, refresh };
        self.ask(Asked::Object(address.clone()), question);
    }

    /// What data gave when it was read last, where only looking can be done and it cannot be read now.
    pub(super) fn read_before(&self, configured: &Configured) -> Option<Value> {
        let read = self.input().state.data.get(&configured.address)?;
        let schema = self.graph.type_schema(configured)?;
        let looks = self.input().mode == PlanMode::RefreshOnly;
        (looks && duties::conforms(&read.value, &schema.block.implied_type()).is_ok()).then(|| read.value.clone())
    }

    /// Reads the objects whose provider's configuration has come.
    pub(super) fn read_configured(&mut self) {
        let settled: Vec<NodeId> = self.unread.keys().copied().filter(|node| self.graph.is_settled(*node)).collect();
        for node in settled {
            let provider = self.graph.configured_provider(node).cloned();
            for address in self.unread.remove(&node).unwrap_or_default() {
                match &provider {
                    // Nobody can ask a provider that is set aside.
                    _ if self.graph.is_aside(node) => self.not_asked(&address),
                    Some(provider) => self.ask_object(&address, Some((Arc::clone(provider), None))),
                    // It has been said why.
                    None => self.unreadable(&address),
                }
            }
        }
    }
}
