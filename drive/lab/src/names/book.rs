//! Which names there are, and what they mean: read from the lab's records, and again where those have changed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use ipnet::Ipv4Net;

use crate::kind::Kind;
use crate::records::{Record, Records};
use crate::spec::is_label;

/// The names that servers of one network can ask for.
#[derive(Debug)]
pub(super) struct Book {
    records: Records,
    /// The network whose servers ask.
    network: String,
    read: Option<SystemTime>,
    addresses: BTreeMap<String, Vec<Ipv4Addr>>,
    names: BTreeMap<Ipv4Addr, String>,
    ranges: Vec<Ipv4Net>,
}

/// What a name comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning<T> {
    /// This.
    Is(T),
    /// It is one of the lab's, and there is no such.
    Nobodys,
    /// It is for others to know.
    Foreign,
}

impl Book {
    pub fn new(records: Records, network: &str) -> Book {
        let (addresses, names) = (BTreeMap::new(), BTreeMap::new());
        Book { records, network: network.to_owned(), read: None, addresses, names, ranges: Vec::new() }
    }

    /// The addresses of a name, in lower case.
    pub fn addresses(&mut self, name: &str) -> Meaning<&[Ipv4Addr]> {
        if name != "lab" && !name.ends_with(".lab") {
            return Meaning::Foreign;
        }
        self.refresh();
        self.addresses.get(name).map_or(Meaning::Nobodys, |addresses| Meaning::Is(addresses))
    }

    /// The name of an address.
    pub fn name(&mut self, address: Ipv4Addr) -> Meaning<&str> {
        self.refresh();
        if !self.ranges.iter().any(|range| range.contains(&address)) {
            return Meaning::Foreign;
        }
        self.names.get(&address).map_or(Meaning::Nobodys, |name| Meaning::Is(name))
    }

    /// Every record is replaced by a rename, which its directory tells of.
    fn refresh(&mut self) {
        let changed = self.records.changed();
        // What changed just now may change again within the same tick of the clock.
        let is_settled = |at: SystemTime| at.elapsed().is_ok_and(|age| age.as_millis() > 50);
        if changed.is_some() && changed == self.read {
            return;
        }
        self.read = changed.filter(|at| is_settled(*at));
        let records: Vec<(String, Record)> = self
            .records
            .all()
            .into_iter()
            .filter_map(|(identity, record)| Some((identity.as_str().to_owned(), record?)))
            .collect();
        let own = records.iter().find(|(identity, _)| *identity == self.network).map(|(_, record)| record);
        let is_beside = |record: &Record| own.is_some_and(|own| record.is_of(&own.owner, own.environment.as_deref()));
        let networks: BTreeMap<&str, String> = records
            .iter()
            .filter(|(_, record)| record.kind == Kind::Network && is_beside(record))
            .map(|(identity, record)| (identity.as_str(), network_label(identity, record)))
            .collect();
        (self.addresses, self.names, self.ranges) = Default::default();
        // Of two networks of one name, the one that asks means its own.
        let own_label = networks.get(&*self.network).cloned();
        let speaks_for = |network: &str, label: &String| network == self.network || own_label.as_ref() != Some(label);
        for (identity, record) in &records {
            let text = |name: &str| record.value.get_str(name);
            if let (Some(label), Some(net)) = (networks.get(&**identity), text("cidr").and_then(|net| net.parse().ok()))
            {
                let net: Ipv4Net = net;
                self.ranges.push(net);
                let gateway = crate::address::gateway(&net);
                self.names.insert(gateway, format!("gateway.{label}.lab"));
                if speaks_for(identity, label) {
                    self.addresses.entry(format!("gateway.{label}.lab")).or_default().push(gateway);
                }
            }
            let (Kind::Server, Some(network)) = (record.kind, text("network")) else { continue };
            let Some(label) = networks.get(network) else { continue };
            let Some(address) = text("address").and_then(|address| address.parse::<Ipv4Addr>().ok()) else { continue };
            let name = format!("{}.{label}.lab", text("name").unwrap_or(identity).to_ascii_lowercase());
            self.names.insert(address, name.clone());
            if speaks_for(network, label) {
                self.addresses.entry(name).or_default().push(address);
            }
        }
        self.addresses.values_mut().for_each(|addresses| addresses.sort());
    }
}

/// What a network is called in names: as its user calls it; where he does not, by its identity. So is one of before names
/// that can be no part of one were refused.
pub(crate) fn network_label(identity: &str, record: &Record) -> String {
    let name = record.value.get_str("name").map(str::to_ascii_lowercase).unwrap_or_default();
    if is_label(&name) { name } else { identity.to_owned() }
}
