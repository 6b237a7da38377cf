//! What objects of the lab have for themselves: a server's name and address in its network, which are one server's, or one
//! pool's; a network's name; a server's volumes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use andon_schema::{Failure, Identity, InstanceAddress};
use andon_value::{Path, PathStep, Value};

/// Who has what, as far as it was planned or made.
///
/// A server that replaces another one has its address in the definitions, and so its name, too.
#[derive(Debug, Default)]
pub struct Names(Mutex<Taken>);

/// Who has which name, and the like.
#[derive(Debug, Default)]
struct Taken {
    of: BTreeMap<InstanceAddress, Vec<Own>>,
    servers: BTreeMap<Place, InstanceAddress>,
    pools: BTreeMap<Place, InstanceAddress>,
    others: BTreeMap<Own, InstanceAddress>,
    /// The objects that were made, as far as this run made them.
    made: BTreeMap<InstanceAddress, Identity>,
}

/// A network, and a name in it in lower case, as names do not differ by that; of a pool, what comes before the numbers of its
/// members.
type Place = (String, String);

/// What one object has, and no other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Own {
    /// The name of a server.
    Server(Place),
    /// The name of a pool.
    Pool(Place),
    /// A network, and an address in it.
    Address(Place),
    /// The name of a network.
    Network(String),
    /// The id of a volume.
    Volume(String),
}

impl Own {
    fn of(kind: &str, value: &Value) -> Vec<Own> {
        let name = || Some(value.get_str("name")?.to_ascii_lowercase());
        let in_network = |name: Option<String>| Some((value.get_str("network")?.to_owned(), name?));
        match kind {
            "lab_server" => {
                let address = value.get_str("address").map(str::to_owned);
                let volumes = value.get("volumes").and_then(Value::as_entries);
                let ids = volumes.iter().flat_map(|volumes| volumes.values());
                let ids = ids.filter_map(|id| id.as_str().map(|id| Own::Volume(id.to_string())));
                let own = [in_network(name()).map(Own::Server), in_network(address).map(Own::Address)];
                own.into_iter().flatten().chain(ids).collect()
            }
            "lab_pool" => in_network(name()).map(Own::Pool).into_iter().collect(),
            "lab_network" => name().map(Own::Network).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Where in the definition of an object it is.
    fn place(&self, of: &Value) -> Path {
        let argument = |name: &str| PathStep::Attribute(name.into());
        match self {
            Own::Server(_) | Own::Pool(_) | Own::Network(_) => Path::from_iter([argument("name")]),
            Own::Address(_) => Path::from_iter([argument("address")]),
            Own::Volume(id) => {
                let volumes = of.get("volumes").and_then(Value::as_entries);
                let at = volumes
                    .into_iter()
                    .flat_map(|all| all.iter())
                    .find(|(_, it)| it.as_str().is_some_and(|it| **it == **id));
                let key = at.map(|(path, _)| PathStep::Key(path.clone()));
                Path::from_iter([argument("volumes")].into_iter().chain(key))
            }
        }
    }

    /// Why another object cannot have it, too.
    fn refusal(&self, holder: &InstanceAddress) -> Failure {
        match self {
            Own::Server((_, name)) | Own::Pool((_, name)) => Failure::new(
                format!("the name `{name}` is taken"),
                format!(
                    "{holder} has it in the same network: whoever asked for it would be given the addresses of both."
                ),
            )
            .help("Give one of them another `name`, or another network."),
            Own::Address((_, address)) => {
                Failure::new(format!("the address {address} is taken"), format!("{holder} has it in the same network."))
                    .help("Give one of them another `address`, or leave it out to have a free one chosen.")
            }
            Own::Network(name) => Failure::new(
                format!("the name `{name}` is taken"),
                format!("{holder} has it: a server's name, such as `web.{name}.lab`, would mean two."),
            )
            .help("Give one of the networks another `name`."),
            Own::Volume(id) => {
                let detail = format!("{holder} has it, too. A volume has one server at a time.");
                Failure::new(format!("the volume `{id}` is given to two servers"), detail).help(
                    "Take it out of the `volumes` of one of them. What several servers are to have is a `lab_share`.",
                )
            }
        }
    }
}

/// What comes before the number of a member's name.
fn pool_of(name: &str) -> Option<&str> {
    let (pool, number) = name.rsplit_once('-')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(pool)
}

impl Taken {
    /// Who has the same, or a name that this one is, or may come to be.
    fn holder(&self, own: &Own) -> Option<&InstanceAddress> {
        match own {
            Own::Server(place) => {
                let of_pool = || self.pools.get(&(place.0.clone(), pool_of(&place.1)?.to_owned()));
                self.servers.get(place).or_else(of_pool)
            }
            Own::Pool(place) => {
                let (network, pool) = place;
                let from = self.servers.range((network.clone(), format!("{pool}-"))..);
                let mut near = from.take_while(|((of, name), _)| of == network && name.starts_with(&**pool));
                let member = || near.find(|((_, name), _)| pool_of(name) == Some(pool)).map(|(_, holder)| holder);
                self.pools.get(place).or_else(member)
            }
            other => self.others.get(other),
        }
    }

    fn forget(&mut self, address: &InstanceAddress) {
        for own in self.of.remove(address).unwrap_or_default() {
            match own {
                Own::Server(place) => self.servers.remove(&place),
                Own::Pool(place) => self.pools.remove(&place),
                other => self.others.remove(&other),
            };
        }
    }
}

impl Names {
    /// Takes what is planned or made has for itself, in place of what it had. What is not known is not taken.
    ///
    /// # Errors
    /// Where something else has it.
    pub fn take(&self, address: &InstanceAddress, value: &Value) -> Result<(), Failure> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.forget(address);
        let all = Own::of(&address.resource.kind, value);
        if let Some((own, holder)) = all.iter().find_map(|own| Some((own, taken.holder(own)?))) {
            return Err(own.refusal(holder).at(own.place(value)));
        }
        for own in &all {
            match own.clone() {
                Own::Server(place) => taken.servers.insert(place, address.clone()),
                Own::Pool(place) => taken.pools.insert(place, address.clone()),
                other => taken.others.insert(other, address.clone()),
            };
        }
        taken.of.insert(address.clone(), all);
        Ok(())
    }

    /// Knows which object it is that has what an address has taken.
    pub fn made(&self, address: &InstanceAddress, identity: &Identity) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.made.insert(address.clone(), identity.clone());
    }

    /// Gives back what an object had that is no more. What was made before it went, in its place, keeps it.
    pub fn release(&self, address: &InstanceAddress, gone: &Identity) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.made.get(address).is_none_or(|made| made == gone) {
            taken.forget(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use andon_value::Type;

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
        check(("net/lab_network.n", "-", "app"), ("net/lab_network.m", "-", "App"), false);
        check(("net/lab_network.n", "-", "app"), ("net/lab_network.m", "-", "back"), true);
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

    #[test]
    fn an_address_and_a_volume_are_one_servers() {
        let given = |name: &str, more: &[(&'static str, Value)]| {
            Value::object([&[("network", Value::from("n")), ("name", name.into())], more].concat())
        };
        let volume = |id: &str| ("volumes", Value::map(Type::String, [("/srv", Value::from(id))]));
        let names = Names::default();
        let (web, other) = (address("app/lab_server.web"), address("app/lab_server.other"));
        names.take(&web, &given("web", &[("address", "10.64.0.7".into()), volume("v1")])).unwrap();
        let refused = |more: &[(&'static str, Value)]| names.take(&other, &given("other", more)).unwrap_err().summary;
        assert_eq!(refused(&[("address", "10.64.0.7".into())]), "the address 10.64.0.7 is taken");
        assert_eq!(refused(&[volume("v1")]), "the volume `v1` is given to two servers");
        let unknown = ("address", Value::unknown(Type::String));
        names.take(&other, &given("other", &[unknown.clone(), volume("v2")])).unwrap();
        // What one gives up another may have, in the same plan.
        names.take(&web, &given("web", &[unknown])).unwrap();
        names.take(&other, &given("other", &[("address", "10.64.0.7".into()), volume("v1")])).unwrap();
        // So may others what something had that is no more.
        assert!(names.take(&web, &given("other", &[])).is_err());
        let [before, after] = [1, 2].map(Identity::from_random);
        names.made(&other, &after);
        names.release(&other, &before);
        assert!(names.take(&web, &given("other", &[])).is_err(), "one was made in its place");
        names.release(&other, &after);
        names.take(&web, &given("other", &[volume("v1")])).unwrap();
    }
}
