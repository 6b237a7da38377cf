//! What there is in the simulated world, and the rules that nature checks.

use std::collections::{BTreeMap, BTreeSet};

use andon_schema::Identity;
use andon_value::Value;

use crate::kinds::{BALANCER, BROKEN, DISK, NETWORK, SERVER, WHOLE, is_physical, with};
use crate::trace::{Owned, Shared};

/// Everything that exists, whether a ledger knows of it or not.
#[derive(Debug, Default)]
pub(crate) struct Earth {
    pub things: BTreeMap<Identity, Thing>,
    /// Every identity that something was ever made under.
    ever: BTreeSet<Identity>,
    /// How often anything was changed.
    pub effects: u64,
}

/// Something that exists.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
    pub kind: String,
    /// As its maker called it; for readers.
    pub address: String,
    /// Its attributes, without marks.
    pub value: Value,
    /// Whether it is all there.
    pub whole: bool,
    /// It was killed, and only something that is of no use to anybody is left of it.
    pub remains: bool,
    /// No ledger knows of it any more, as somebody said so.
    pub free: bool,
    /// Of a server: what is in it, by role.
    pub inside: BTreeMap<String, String>,
}

/// What nature forbids: it is not done, and whoever tried is at fault.
pub(crate) type Forbidden = String;

impl Earth {
    /// The one thing of a kind that has this text in an attribute, and is all there.
    pub fn find(&self, kind: &str, attribute: &str, text: &str) -> Option<(&Identity, &Thing)> {
        self.things
            .iter()
            .find(|(_, thing)| thing.kind == kind && thing.whole && thing.value.get_str(attribute) == Some(text))
    }

    /// Takes up whose things are.
    pub fn follow(&mut self, trace: &Shared) {
        for owned in std::mem::take(&mut trace.borrow_mut().owned) {
            match owned {
                Owned::Free(identity) => self.things.get_mut(&identity).into_iter().for_each(|thing| thing.free = true),
                Owned::Known { identity, .. } if self.things.contains_key(&identity) => {}
                Owned::Known { kind, id, identity } => {
                    let is_it =
                        |thing: &Thing| thing.free && thing.kind == *kind && thing.value.get_str("id") == Some(&id);
                    let known = self.things.iter().find(|(_, thing)| is_it(thing)).map(|(known, _)| known.clone());
                    if let Some(thing) = known.and_then(|known| self.things.remove(&known)) {
                        self.ever.insert(identity.clone());
                        self.things.insert(identity, Thing { free: false, ..thing });
                    }
                }
            }
        }
    }

    /// A server that can be reached.
    pub fn server(&mut self, id: &str) -> Option<&mut Thing> {
        let alive = |thing: &&mut Thing| thing.kind == SERVER && thing.whole && thing.value.get_str("id") == Some(id);
        self.things.values_mut().find(alive)
    }

    /// Begins to make something: from now on there is half of it.
    pub fn begin(&mut self, kind: &str, address: &str, identity: &Identity, value: Value) -> Result<(), Forbidden> {
        if !self.ever.insert(identity.clone()) {
            return Err(format!("{address} is made twice under the identity {identity}"));
        }
        self.may_be(kind, address, identity, None, &value)?;
        let value = if is_physical(kind) { with(&value, &[("health", BROKEN.into())]) } else { value };
        let thing = Thing {
            kind: kind.to_owned(),
            address: address.to_owned(),
            value,
            whole: false,
            remains: false,
            free: false,
            inside: BTreeMap::new(),
        };
        self.things.insert(identity.clone(), thing);
        self.effects += 1;
        Ok(())
    }

    /// Gives something these attributes, and makes it whole.
    pub fn complete(&mut self, identity: &Identity, value: Value) -> Result<(), Forbidden> {
        let Some(thing) = self.things.get(identity) else {
            return Err(format!("{identity} is changed, and does not exist"));
        };
        self.may_be(&thing.kind, &thing.address, identity, Some(thing).filter(|thing| thing.whole), &value)?;
        if let Some(thing) = self.things.get_mut(identity) {
            thing.value = if is_physical(&thing.kind) { with(&value, &[("health", WHOLE.into())]) } else { value };
            thing.whole = true;
        }
        self.effects += 1;
        Ok(())
    }

    /// Begins to remove something: what is left of it is of no use.
    pub fn dismantle(&mut self, identity: &Identity) -> Result<(), Forbidden> {
        let Some(thing) = self.things.get(identity) else { return Ok(()) };
        if !thing.remains
            && let Some(user) = self.user_of(thing)
        {
            return Err(format!("{} ({identity}) is removed while {user} uses it", thing.address));
        }
        // What nobody could see to be broken is there or is not.
        if is_physical(&thing.kind) {
            self.damage(identity);
        }
        Ok(())
    }

    /// Breaks something, without asking.
    pub fn damage(&mut self, identity: &Identity) {
        if let Some(thing) = self.things.get_mut(identity) {
            thing.whole = false;
            if is_physical(&thing.kind) {
                thing.value = with(&thing.value, &[("health", BROKEN.into())]);
            }
            self.effects += 1;
        }
    }

    /// Kills something: whoever looks for it finds nothing, and yet something is left.
    pub fn kill(&mut self, identity: &Identity) {
        if let Some(thing) = self.things.get_mut(identity) {
            (thing.whole, thing.remains) = (false, true);
            self.effects += 1;
        }
    }

    /// Removes what is left of something, without asking.
    pub fn vanish(&mut self, identity: &Identity) {
        if self.things.remove(identity).is_some() {
            self.effects += 1;
        }
    }

    /// Whether something may take this form, given everything else. What it was before may have come to be wrong;
    /// only what it takes up now is looked at.
    fn may_be(
        &self,
        kind: &str,
        address: &str,
        identity: &Identity,
        before: Option<&Thing>,
        value: &Value,
    ) -> Result<(), Forbidden> {
        let text = |name: &str| value.get_str(name).unwrap_or_default();
        let used = match kind {
            SERVER => "network",
            DISK => "server",
            BALANCER => "targets",
            _ => return Ok(()),
        };
        if before.is_some_and(|before| before.value.get(used) == value.get(used)) {
            return Ok(());
        }
        match kind {
            SERVER if self.find(NETWORK, "id", text("network")).is_none() => {
                Err(format!("{address} is made in the network {}, which is not there", text("network")))
            }
            DISK if self.find(SERVER, "id", text("server")).is_none() => {
                Err(format!("{address} is made for the server {}, which is not there", text("server")))
            }
            BALANCER => {
                let listens = |(other, thing): (&Identity, &Thing)| {
                    other != identity
                        && thing.kind == BALANCER
                        && !thing.remains
                        && thing.value.get_str("listen") == Some(text("listen"))
                };
                if self.things.iter().any(listens) {
                    return Err(format!("{address} listens on {}, where another does", text("listen")));
                }
                let dead = targets(value).find(|target| self.find(SERVER, "address", target).is_none());
                dead.map_or(Ok(()), |target| Err(format!("{address} is switched to {target}, where no server answers")))
            }
            _ => Ok(()),
        }
    }

    /// Something that physically needs a thing.
    fn user_of(&self, used: &Thing) -> Option<&str> {
        let (id, address) = (used.value.get_str("id"), used.value.get_str("address"));
        let uses = |user: &&Thing| match (&*used.kind, &*user.kind) {
            (NETWORK, SERVER) => user.value.get_str("network") == id,
            (SERVER, DISK) => user.value.get_str("server") == id,
            (SERVER, BALANCER) => targets(&user.value).any(|target| Some(target) == address),
            _ => false,
        };
        self.things.values().filter(|user| !user.remains && !user.free).find(uses).map(|user| &*user.address)
    }
}

/// The addresses that a balancer sends requests to.
fn targets(value: &Value) -> impl Iterator<Item = &str> {
    let targets = value.get("targets").and_then(Value::elements);
    targets.into_iter().flatten().filter_map(|target| target.as_str().map(|text| &**text))
}
