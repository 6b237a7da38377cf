//! What people do to a state by hand: addresses as they type them, and moves.

use std::fmt;
use std::sync::Arc;

use andon_lang::definitions::ResourceKey;
use andon_ledger::{EnvironmentState, Event};
use andon_schema::{AddressError, InstanceAddress, ResourceAddress};

use super::moved_state::redirected;
use super::moves::Places;
use super::statement::{Place, Statement};
use crate::Depends;

/// An address of a state, as people type it: an instance, a resource with all its instances, or a module with all that
/// is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct StateAddress {
    text: String,
    stack: Arc<str>,
    place: Place,
}

/// Why nothing is moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// There is nothing at the first address.
    #[error("there is no object at {0}")]
    Nothing(String),
    /// The two addresses are of two kinds.
    #[error("{from} cannot become {to}: {why}")]
    Unlike {
        /// The first address.
        from: String,
        /// The second.
        to: String,
        /// What differs.
        why: &'static str,
    },
    /// There is an object where one would go.
    #[error("there is an object at {0} already")]
    Taken(Box<InstanceAddress>),
}

impl StateAddress {
    /// Reads `[stack/]module.name[key].type.name[key]`, or a part of that which ends at a module.
    ///
    /// # Errors
    /// Where the text is no address.
    pub fn parse(text: &str) -> Result<StateAddress, AddressError> {
        // What ends at a module is one that a resource could follow.
        let module = || InstanceAddress::parse(&format!("{text}.x.y")).ok().filter(|it| !it.resource.module.is_empty());
        let (address, is_module) = match InstanceAddress::parse(text) {
            // `module.a` alone looks like a resource of the type `module`.
            Ok(address) if &*address.resource.kind != "module" => (address, false),
            found => match module() {
                Some(address) => (address, true),
                None => (found?, false),
            },
        };
        let InstanceAddress { resource: ResourceAddress { stack, module, mode, kind, name }, key } = address;
        let resource = (!is_module).then_some((ResourceKey { mode, kind, name }, key));
        Ok(StateAddress { text: text.to_owned(), stack, place: Place { module, resource } })
    }

    /// Whether an instance is meant: it is named, or is one of what is. Names without a key mean every instance.
    pub fn covers(&self, address: &InstanceAddress) -> bool {
        let (own, way) = (&self.place.module, &address.resource.module);
        let is_resource = self.place.resource.is_some();
        let below = own.len() <= way.len() && (own.len() == way.len() || !is_resource);
        let along = own.iter().zip(way.iter()).enumerate().all(|(at, (one, other))| {
            let open = !is_resource && at + 1 == own.len() && one.key.is_none();
            one.name == other.name && (open || one.key == other.key)
        });
        let resource = self.place.resource.as_ref().is_none_or(|(key, instance)| {
            let ResourceAddress { mode, kind, name, .. } = &address.resource;
            key.mode == *mode
                && key.kind == *kind
                && key.name == *name
                && (instance.is_none() || *instance == address.key)
        });
        self.stack == address.resource.stack && below && along && resource
    }
}

impl fmt::Display for StateAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.text)
    }
}

/// The moves that a user asks for, from where to where, and what the ledger is told of them.
///
/// # Errors
/// Where there is nothing to move, or something is in the way; then nothing is to be moved.
#[expect(clippy::type_complexity, reason = "two lists that belong together")]
pub fn moved_by_hand(
    state: &EnvironmentState,
    from: &StateAddress,
    to: &StateAddress,
) -> Result<(Vec<(InstanceAddress, InstanceAddress)>, Vec<Event>), HandError> {
    let unlike = |why| HandError::Unlike { from: from.to_string(), to: to.to_string(), why };
    match (&from.place.resource, &to.place.resource) {
        _ if from.stack != to.stack => return Err(unlike("they are of two stacks")),
        (Some((one, _)), Some((other, _))) if one.kind != other.kind || one.mode != other.mode => {
            return Err(unlike("they are of two types"));
        }
        (Some(_), None) | (None, Some(_)) => return Err(unlike("one is a module, the other a resource")),
        _ => {}
    }
    // As a whole nothing joins what is there: instances of two resources would be one's.
    let is_whole = |it: &StateAddress| match &it.place.resource {
        Some((_, key)) => key.is_none(),
        None => it.place.module.last().is_some_and(|step| step.key.is_none()),
    };
    let mut there = state.instances.keys().chain(state.data.keys());
    if is_whole(from)
        && is_whole(to)
        && let Some(taken) = there.find(|address| to.covers(address) && !from.covers(address))
    {
        return Err(HandError::Taken(Box::new(taken.clone())));
    }
    let (stack, within) = (Arc::clone(&from.stack), Vec::new());
    let statement = Statement { stack, within, from: from.place.clone(), to: to.place.clone(), span: None };
    let mut places = Places::new(state);
    places.follow(&statement);
    if let Some((_, goal, _)) = places.taken.first() {
        return Err(HandError::Taken(Box::new(goal.clone())));
    }
    let moves = places.moves();
    if moves.is_empty() {
        return Err(HandError::Nothing(from.to_string()));
    }
    let moved = moves.iter().map(|(from, to)| Event::Moved { from: from.clone(), to: to.clone() });
    let depends = redirected(state, &moves).into_iter().map(
        |Depends { address, identity, dependencies, create_before_destroy }| Event::Depends {
            address,
            identity,
            dependencies,
            create_before_destroy,
        },
    );
    let events = moved.chain(depends).collect();
    Ok((moves, events))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_mean_what_they_name() {
        for (text, covered, others) in [
            ("a.b", &["a.b", "a.b[0]", "a.b[\"x\"]"][..], &["a.c", "module.m.a.b", "data.a.b", "s/a.b"][..]),
            ("a.b[0]", &["a.b[0]"], &["a.b", "a.b[1]"]),
            ("module.m", &["module.m.a.b", "module.m[0].a.b[1]", "module.m.module.n.a.b"], &["a.b", "module.n.a.b"]),
            ("module.m[0]", &["module.m[0].a.b"], &["module.m.a.b", "module.m[1].a.b"]),
            ("module.m.module.n", &["module.m.module.n[\"k\"].a.b"], &["module.m.a.b", "module.m[0].module.n.a.b"]),
            ("s/module.m.data.a.b", &["s/module.m.data.a.b[3]"], &["module.m.data.a.b", "s/module.m.a.b"]),
        ] {
            let address = StateAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), text);
            for (instances, expected) in [(covered, true), (others, false)] {
                for instance in instances {
                    let found = address.covers(&InstanceAddress::parse(instance).unwrap());
                    assert_eq!(found, expected, "{text} covers {instance}");
                }
            }
        }
        for text in ["", "a", "module", "a.b.c", "a..b", "module.m.a"] {
            assert!(StateAddress::parse(text).is_err(), "{text}");
        }
    }
}
