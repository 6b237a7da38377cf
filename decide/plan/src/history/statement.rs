//! One move, as a `moved` block says it or as a change of `count` implies it, and what it does to an address.

use std::sync::Arc;

use andon_lang::definitions::{Moved, ResourceKey, Target};
use andon_schema::{InstanceAddress, InstanceKey, ModuleStep, ResourceAddress};
use andon_text::Span;

/// A move of what is in one place of a stack's modules, in every instance of the module that says it.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub stack: Arc<str>,
    /// The names of the calls that lead to the module of its block.
    pub within: Vec<Arc<str>>,
    pub from: Place,
    pub to: Place,
    /// Its block; `None` for one that is implied.
    pub span: Option<Span>,
}

/// What an address names in a state: a module, a resource, or one instance of either.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// The way into modules.
    pub module: Arc<[ModuleStep]>,
    /// The resource, and perhaps one instance of it; `None` where the address ends at a module.
    pub resource: Option<(ResourceKey, Option<InstanceKey>)>,
}

impl From<&Target> for Place {
    fn from(target: &Target) -> Place {
        Place { module: Arc::clone(&target.module), resource: target.resource.clone() }
    }
}

/// A way through modules to a resource or a module: a name, and which instances are meant.
pub(super) type Way = Vec<(Arc<str>, Which)>;

/// Which instances a step of a way means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    All,
    One(Option<InstanceKey>),
}

impl Which {
    fn meets(&self, other: &Which) -> bool {
        *self == Which::All || *other == Which::All || self == other
    }
}

impl Statement {
    pub fn of(stack: &Arc<str>, within: &[Arc<str>], moved: &Moved) -> Statement {
        let (from, to, span) = (Place::from(&moved.from), Place::from(&moved.to), Some(moved.span));
        Statement { stack: Arc::clone(stack), within: within.to_vec(), from, to, span }
    }

    /// Whether it moves all instances, which keep their keys: neither address ends in a key.
    fn is_whole(&self) -> bool {
        last_key(&self.from).is_none() && last_key(&self.to).is_none()
    }

    pub fn source_way(&self) -> Way {
        self.way(&self.from)
    }

    pub fn goal_way(&self) -> Way {
        self.way(&self.to)
    }

    fn way(&self, target: &Place) -> Way {
        let mut way: Way = self.within.iter().map(|name| (Arc::clone(name), Which::All)).collect();
        way.extend(target.module.iter().map(|step| (Arc::clone(&step.name), Which::One(step.key.clone()))));
        if let Some((key, instance)) = &target.resource {
            way.push((resource_name(key.mode, &key.kind, &key.name), Which::One(instance.clone())));
        }
        if let Some((_, which)) = way.last_mut().filter(|_| self.is_whole()) {
            *which = Which::All;
        }
        way
    }

    /// Where an instance of the stack goes; `None` for one that it is not about.
    pub fn apply(&self, address: &InstanceAddress) -> Option<InstanceAddress> {
        let InstanceAddress { resource, key } = address;
        let (outer, inner) = resource.module.split_at_checked(self.within.len())?;
        if outer.iter().zip(&self.within).any(|(step, name)| step.name != *name) {
            return None;
        }
        match (&self.from.resource, &self.to.resource) {
            (Some((from, from_key)), Some((to, to_key))) => {
                let same = resource.mode == from.mode && resource.kind == from.kind && resource.name == from.name;
                if !same || *inner != *self.from.module || !self.is_whole() && key != from_key {
                    return None;
                }
                let module = outer.iter().chain(self.to.module.iter()).cloned().collect();
                let (stack, kind, name) = (Arc::clone(&resource.stack), Arc::clone(&to.kind), Arc::clone(&to.name));
                let key = if self.is_whole() { key.clone() } else { to_key.clone() };
                Some(ResourceAddress { stack, module, mode: to.mode, kind, name }.instance(key))
            }
            (None, None) => {
                let (last, way) = self.from.module.split_last()?;
                let (new_last, new_way) = self.to.module.split_last()?;
                let (found, rest) = inner.split_at_checked(way.len())?;
                let (step, rest) = rest.split_first()?;
                if *found != *way || step.name != last.name || !self.is_whole() && step.key != last.key {
                    return None;
                }
                let key = if self.is_whole() { step.key.clone() } else { new_last.key.clone() };
                let step = ModuleStep { name: Arc::clone(&new_last.name), key };
                let module = outer.iter().chain(new_way).chain([&step]).chain(rest).cloned().collect();
                Some(ResourceAddress { module, ..resource.clone() }.instance(key_of(address)))
            }
            _ => None,
        }
    }

    /// Whether `first` must be followed before this: what it moves may be what this moves, or this is about what
    /// is inside of what it moves to, or what it moves is inside of what this moves.
    pub fn waits_for(&self, first: &Statement) -> bool {
        let (from, to, first_from, first_to) =
            (self.source_way(), self.goal_way(), first.source_way(), first.goal_way());
        meets(&from, &first_to)
            || within(&from, &first_to)
            || within(&to, &first_to)
            || within(&first_from, &from)
            || within(&first_to, &from)
    }
}

fn key_of(address: &InstanceAddress) -> Option<InstanceKey> {
    address.key.clone()
}

fn last_key(target: &Place) -> Option<&InstanceKey> {
    match &target.resource {
        Some((_, key)) => key.as_ref(),
        None => target.module.last().and_then(|step| step.key.as_ref()),
    }
}

/// Whether two ways may lead to the same.
fn meets(one: &Way, other: &Way) -> bool {
    one.len() == other.len() && along(one, other)
}

/// Whether one way goes on where another ends.
fn within(inner: &Way, outer: &Way) -> bool {
    inner.len() > outer.len() && along(inner, outer)
}

fn along(one: &Way, other: &Way) -> bool {
    one.iter().zip(other).all(|((name, which), (other, others))| name == other && which.meets(others))
}

/// How a resource is named in a way: no module has such a name.
pub(super) fn resource_name(mode: andon_schema::Mode, kind: &str, name: &str) -> Arc<str> {
    format!("{}{kind}.{name}", mode.prefix()).into()
}

/// The names of the steps of a way, which is what ways are looked up by.
pub(super) fn names(stack: &Arc<str>, way: &Way) -> Vec<Arc<str>> {
    std::iter::once(Arc::clone(stack)).chain(way.iter().map(|(name, _)| Arc::clone(name))).collect()
}
