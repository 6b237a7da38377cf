//! The names that servers of the lab have in their networks: each is one server's, or one pool's.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use andon_schema::{Failure, InstanceAddress};
use andon_value::Value;

/// Which names there are, as far as they were planned or made.
///
/// A server that replaces another one has its address in the definitions, and so its name, too.
#[derive(Debug, Default)]
pub struct Names(Mutex<Taken>);

/// Who has which name.
#[derive(Debug, Default)]
struct Taken {
    of: BTreeMap<InstanceAddress, Name>,
    servers: BTreeMap<Place, InstanceAddress>,
    pools: BTreeMap<Place, InstanceAddress>,
}

/// A network, and a name in it in lower case, as names do not differ by that; of a pool, what comes before the numbers of its
/// members.
type Place = (String, String);

/// What something is called.
#[derive(Debug, Clone)]
enum Name {
    Server(Place),
    Pool(Place),
}

impl Name {
    fn of(kind: &str, value: &Value) -> Option<Name> {
        let place = || Some((value.get_str("network")?.to_owned(), value.get_str("name")?.to_ascii_lowercase()));
        match kind {
            "lab_server" => place().map(Name::Server),
            "lab_pool" => place().map(Name::Pool),
            _ => None,
        }
    }
}

/// What comes before the number of a member's name.
fn pool_of(name: &str) -> Option<&str> {
    let (pool, number) = name.rsplit_once('-')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(pool)
}

impl Taken {
    /// Who has a name that this one is, or may come to be.
    fn holder(&self, name: &Name) -> Option<&InstanceAddress> {
        match name {
            Name::Server(place) => {
                let of_pool = || self.pools.get(&(place.0.clone(), pool_of(&place.1)?.to_owned()));
                self.servers.get(place).or_else(of_pool)
            }
            Name::Pool(place) => {
                let (network, pool) = place;
                let from = self.servers.range((network.clone(), format!("{pool}-"))..);
                let mut near = from.take_while(|((of, name), _)| of == network && name.starts_with(&**pool));
                let member = || near.find(|((_, name), _)| pool_of(name) == Some(pool)).map(|(_, holder)| holder);
                self.pools.get(place).or_else(member)
            }
        }
    }

    fn forget(&mut self, address: &InstanceAddress) {
        match self.of.remove(address) {
            Some(Name::Server(place)) => self.servers.remove(&place),
            Some(Name::Pool(place)) => self.pools.remove(&place),
            None => None,
        };
    }
}

impl Names {
    /// Takes the name of what is planned or made, in place of the one that it had. What has none yet, or one that is not
    /// known, takes none.
    ///
    /// # Errors
    /// Where something else has it.
    pub fn take(&self, address: &InstanceAddress, value: &Value) -> Result<(), Failure> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.forget(address);
        let Some(name) = Name::of(&address.resource.kind, value) else { return Ok(()) };
        let (Name::Server(place) | Name::Pool(place)) = &name;
        if let Some(other) = taken.holder(&name) {
            let detail = format!(
                "{other} has it in the same network: whoever asked for it would be given the addresses of both."
            );
            return Err(Failure::new(format!("the name `{}` is taken", place.1), detail)
                .help("Give one of them another `name`, or another network."));
        }
        let places = match &name {
            Name::Server(_) => &mut taken.servers,
            Name::Pool(_) => &mut taken.pools,
        };
        places.insert(place.clone(), address.clone());
        taken.of.insert(address.clone(), name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> InstanceAddress {
        InstanceAddress::parse(text).unwrap()
    }

    fn value(network: &str, name: &str) -> Value {
        Value::object([("network", Value::from(network)), ("name", Value::from(name))])
    }

    #[test]
    fn a_name_is_taken_once_in_a_network() {
        let check = |taken: (&str, &str, &str), wanted: (&str, &str, &str), free: bool| {
            let names = Names::default();
            names.take(&address(taken.0), &value(taken.1, taken.2)).unwrap();
            let took = names.take(&address(wanted.0), &value(wanted.1, wanted.2));
            assert_eq!(took.is_ok(), free, "{taken:?} {wanted:?}: {took:?}");
        };
        let (web, other, pool) = ("app/lab_server.web", "app/lab_server.other", "app/lab_pool.pool");
        check((web, "n", "web"), (other, "n", "web"), false);
        check((web, "n", "web"), (other, "n", "WEB"), false);
        check((web, "n", "web"), ("other/lab_server.web", "n", "web"), false);
        check((web, "n", "web"), (other, "m", "web"), true);
        check((web, "n", "web"), (other, "n", "web-0"), true);
        check((web, "n", "web"), (web, "n", "web"), true);
        check((pool, "n", "web"), (other, "n", "web-0"), false);
        check((web, "n", "web-17"), (pool, "n", "web"), false);
        check((pool, "n", "web"), (other, "n", "web"), true);
        check((pool, "n", "web"), (other, "n", "web-a"), true);
        check((pool, "n", "web"), (other, "n", "web-"), true);
        check((pool, "n", "web"), ("app/lab_pool.two", "n", "web"), false);
        check((web, "n", "web"), ("app/lab_network.n", "n", "web"), true);
    }

    #[test]
    fn what_is_called_otherwise_gives_its_name_back() {
        let names = Names::default();
        let (web, other) = (address("app/lab_server.web"), address("app/lab_server.other"));
        names.take(&web, &value("n", "web")).unwrap();
        assert!(names.take(&other, &value("n", "web")).is_err());
        names.take(&web, &value("n", "shop")).unwrap();
        names.take(&other, &value("n", "web")).unwrap();
        let refused = names.take(&web, &value("n", "web")).unwrap_err();
        assert!(refused.detail.contains("app/lab_server.other"), "{refused}");
    }
}
