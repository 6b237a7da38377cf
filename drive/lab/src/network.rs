//! `lab_network`: a range of addresses, a gateway, and a way outside.
//!
//! Packets are routed, as in a cloud: each server has one link to this machine and one route, and what goes from one
//! server to another goes by the gateway. So there is no bridge, no limit of its ports, and nobody asks for Ethernet
//! addresses. The network itself is an interface that leads nowhere and holds the gateway's address, a route that
//! closes the range but for the servers in it, and a table of the packet filter.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::path::Path;

use andon_schema::{Failure, Identity};
use andon_value::Value;
use ipnet::Ipv4Net;

use crate::address;
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::lab::{CreateExtra, Found, Made};
use crate::machine;
use crate::names;
use crate::netlink::{self, Netlink, mac};
use crate::nft;
use crate::plan::complete;
use crate::policy;
use crate::realm::Realm;
use crate::records::{Lock, Record, Records, absent_is_fine};
use crate::spec::NetworkSpec;

/// Keeps every process of this machine, whatever its data directory, from taking ranges and giving them back at the same
/// moment.
const MACHINE_LOCK: &str = "/run/lock/andon-lab";
/// The same in the realm of a user without root, which is one for each data directory.
const REALM_LOCK: &str = "network";

/// A network as its servers need it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub net: Ipv4Net,
    pub gateway: Ipv4Addr,
}

/// A name for a network interface of this machine that carries an identity: at most 15 bytes.
pub(crate) fn interface(prefix: &str, identity: &str) -> String {
    if identity.len() <= 13 {
        return format!("{prefix}{identity}");
    }
    // Of identities that do not fit.
    format!("{prefix}{:012x}", address::fnv(identity.as_bytes()) >> 16)
}

/// The range of a network that exists.
pub(crate) fn range(records: &Records, network: &str) -> Result<Range, Failure> {
    let record = Identity::parse(network).and_then(|_| records.read(network));
    let net = record
        .filter(|record| record.kind == Kind::Network)
        .and_then(|record| record.value.get_str("cidr").and_then(|cidr| cidr.parse::<Ipv4Net>().ok()));
    let net = net.ok_or_else(|| {
        Failure::new(format!("there is no network `{network}`"), "No network of this machine's lab has that id.")
            .help("Write `network = lab_network.NAME.id`.")
            .about("network")
    })?;
    Ok(Range { net, gateway: address::gateway(&net) })
}

fn lock_ranges(records: &Records) -> Result<Lock, Failure> {
    let path = match records.realm() {
        Some(_) => records.path_of_lock(REALM_LOCK),
        None => MACHINE_LOCK.into(),
    };
    Lock::take(&path).or_fail(|| format!("cannot lock {}", path.display()))
}

pub(crate) fn create(
    records: &Records,
    program: &Path,
    lock: &Lock,
    identity: &Identity,
    extra: &CreateExtra,
    planned: &Value,
) -> Result<Made, Failure> {
    let spec = NetworkSpec::decode(planned)?;
    let mut netlink = Netlink::open().or_fail(|| "cannot talk to the kernel about networks".into())?;
    let machine_lock = lock_ranges(records)?;
    clear(lock, &mut netlink)?;
    let net = choose(records, &mut netlink, spec.cidr)?;
    let range = Range { net, gateway: address::gateway(&net) };
    let value = complete(
        planned,
        [
            ("cidr", Value::from(net.to_string())),
            ("gateway", Value::from(range.gateway.to_string())),
            ("id", Value::from(identity.as_str())),
        ],
    );
    let record = Record::new(Kind::Network, &extra.owner, value.clone());
    records.write(identity, &Record { environment: extra.environment.clone(), ..record })?;
    set_up(&mut netlink, identity, &range)?;
    drop(machine_lock);
    let mut notes: Vec<String> = forward(records.realm(), spec.masquerade)?;
    let policy = policy::policy(records, &net, &value)?;
    notes.extend(nft::apply(lock, identity.as_str(), &net, spec.masquerade, policy.as_ref())?);
    notes.extend(names::start(records, program, identity, &range)?);
    Ok(Made { value, notes })
}

/// In place change whether it masquerades, and its name; and what of it is gone, as after a reboot, comes back.
pub(crate) fn update(
    records: &Records,
    program: &Path,
    lock: &Lock,
    identity: &Identity,
    record: &Record,
    planned: &Value,
) -> Result<Made, Failure> {
    let spec = NetworkSpec::decode(planned)?;
    let range = range(records, identity.as_str())?;
    let mut netlink = Netlink::open().or_fail(|| "cannot talk to the kernel about networks".into())?;
    let machine_lock = lock_ranges(records)?;
    still_free(&mut netlink, identity, &range)?;
    set_up(&mut netlink, identity, &range)?;
    drop(machine_lock);
    let mut notes = forward(records.realm(), spec.masquerade)?;
    let policy = policy::policy(records, &range.net, planned)?;
    notes.extend(nft::apply(lock, identity.as_str(), &range.net, spec.masquerade, policy.as_ref())?);
    // With the gateway's address went the routes that came from it.
    for (address, server) in address::holders(&records.directory(Kind::Network, identity.as_str()).join("addresses")) {
        let name = interface("av", &server);
        if netlink.link(&name).is_ok_and(|link| link.is_some()) {
            connect(&mut netlink, &name, address, range.gateway)
                .or_fail(|| format!("cannot connect the server at {address}"))?;
        }
    }
    records.write(identity, &Record { value: planned.clone(), ..record.clone() })?;
    notes.extend(names::follow(records, identity.as_str(), record, range.gateway));
    notes.extend(names::start(records, program, identity, &range)?);
    Ok(Made { value: planned.clone(), notes })
}

/// Removes what is left of networks whose interface is gone: where somebody removed a data directory and the interfaces by
/// hand, no record tells of their routes and rules any more. A network has its interface before the others and until after
/// its rules are gone; one that lost it otherwise is down, and has all of it made again.
fn clear(lock: &Lock, netlink: &mut Netlink) -> Result<(), Failure> {
    let failed = || "cannot read what networks this machine has".to_owned();
    for net in left_over(netlink).or_fail(failed)? {
        netlink.open_range(&net).or_fail(|| format!("cannot remove the route to {net}"))?;
    }
    for identity in nft::identities()? {
        if netlink.link(&interface("an", &identity)).or_fail(failed)?.is_none() {
            nft::remove(lock, &identity)?;
        }
    }
    Ok(())
}

/// The ranges that are closed, and have no gateway any more.
pub(crate) fn left_over(netlink: &mut Netlink) -> io::Result<Vec<Ipv4Net>> {
    let addresses = netlink.addresses()?;
    let is_held = |gateway: Ipv4Addr| addresses.iter().any(|(_, net)| net.addr() == gateway);
    let closed = netlink.closed_ranges()?.into_iter();
    Ok(closed.filter(|net| !is_held(address::gateway(net))).collect())
}

/// Has packets be passed on between networks; gives what is to be said of it.
fn forward(realm: Option<&Realm>, masquerade: bool) -> Result<Vec<String>, Failure> {
    let changed = machine::enable_forwarding()?;
    let Some(realm) = realm else { return Ok(changed.into_iter().collect()) };
    // What was changed is the realm's own.
    Ok(match realm.outside() {
        Err(why) if masquerade => vec![format!("Servers of this network reach nothing outside of the lab: {why}")],
        _ => Vec::new(),
    })
}

/// Refuses to bring a network up of whose range others took addresses while it was down.
fn still_free(netlink: &mut Netlink, identity: &Identity, range: &Range) -> Result<(), Failure> {
    let failed = || "cannot read this machine's addresses".to_owned();
    let own = netlink.link(&interface("an", identity.as_str())).or_fail(failed)?.map(|link| link.index);
    let (own, others): (Vec<_>, Vec<_>) =
        netlink.addresses().or_fail(failed)?.into_iter().partition(|(link, _)| Some(*link) == own);
    let others: Vec<Ipv4Net> = others.into_iter().map(|(_, net)| net.trunc()).collect();
    if own.iter().any(|(_, net)| net.addr() == range.gateway) {
        return Ok(());
    }
    let Some(other) = address::overlapping(&range.net, &others) else { return Ok(()) };
    let detail = format!("While the network was down, this machine took an address of {other}.");
    Err(Failure::new(format!("the range {} is taken", range.net), detail)
        .help("Give that up, or have the network made anew: `andon apply -replace=ADDRESS`."))
}

/// Makes what of a network is not there.
fn set_up(netlink: &mut Netlink, identity: &Identity, range: &Range) -> Result<(), Failure> {
    let name = interface("an", identity.as_str());
    let failed = || format!("cannot set the network's interface {name} up");
    netlink.create_holder(&name, machine::outside_mtu()).or_fail(failed)?;
    let link = netlink.link(&name).or_fail(failed)?.ok_or_else(|| Failure::new(failed(), "It vanished."))?;
    netlink.add_address(link.index, range.gateway).or_fail(failed)?;
    netlink.set_up(link.index).or_fail(failed)?;
    netlink.close_range(&range.net).or_fail(|| format!("cannot route {}", range.net))
}

/// Leads packets to a server by its link, which must be there, and takes none from it that come from elsewhere.
pub(crate) fn connect(netlink: &mut Netlink, name: &str, address: Ipv4Addr, gateway: Ipv4Addr) -> std::io::Result<()> {
    let index = netlink::index(name)?;
    // Reverse path filter, strict: a server has its own address and no other.
    fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "1")?;
    netlink.set_group(index, nft::LINKS)?;
    netlink.set_up(index)?;
    netlink.add_neighbour(index, address, mac(address))?;
    match netlink.add_route(address, index, Some(gateway)) {
        // The gateway's address is gone, so nothing can come from it until the network is up again.
        Err(error) if error.kind() == ErrorKind::InvalidInput => netlink.add_route(address, index, None),
        added => added,
    }
}

/// The size of a network's packets.
pub(crate) fn mtu(network: &str) -> u32 {
    let path = format!("/sys/class/net/{}/mtu", interface("an", network));
    let mtu = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    mtu.unwrap_or_else(machine::outside_mtu)
}

pub(crate) fn delete(records: &Records, lock: &Lock, identity: &Identity) -> Result<(), Failure> {
    let folder = records.directory(Kind::Network, identity.as_str());
    let servers = address::holders(&folder.join("addresses"));
    let servers: Vec<String> = servers
        .into_iter()
        .filter_map(|(_, holder)| {
            let record = records.read(&holder)?;
            Some(record.value.get_str("name").unwrap_or(&holder).to_owned())
        })
        .collect();
    if !servers.is_empty() {
        let detail = format!("These servers are in it: {}.", servers.join(", "));
        return Err(Failure::new("the network is in use", detail).help("Remove them first."));
    }
    names::stop(records, identity)?;
    nft::remove(lock, identity.as_str())?;
    let mut netlink = Netlink::open().or_fail(|| "cannot talk to the kernel about networks".into())?;
    let name = interface("an", identity.as_str());
    let failed = || format!("cannot remove the interface {name}");
    let _machine_lock = lock_ranges(records)?;
    // Where the interface is gone, another lab may have taken the range since, and the route is its own.
    if let Ok(Range { net, .. }) = range(records, identity.as_str()) {
        let is_own = netlink.link(&name).or_fail(failed)?.is_some();
        if is_own || left_over(&mut netlink).or_fail(failed)?.contains(&net) {
            netlink.open_range(&net).or_fail(|| format!("cannot remove the route to {net}"))?;
        }
    }
    netlink.delete_link(&name).or_fail(failed)?;
    absent_is_fine(fs::remove_dir_all(&folder)).or_fail(|| format!("cannot remove {}", folder.display()))
}

/// The network as it is. Of one that is recorded, all else can be made again.
pub(crate) fn read(records: &Records, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
    if !records.exists(identity) {
        return Ok(None);
    }
    let state = nft::state(identity.as_str())?;
    let masquerade = state.as_ref().map(|state| state.masquerade);
    let policed = state.as_ref().map(|state| &state.policy) == Some(&wanted_chain(records, prior));
    let up = policed
        && state.is_some_and(|state| state.origin && state.passes)
        && is_up(identity, prior)?
        && names::are_sound(records, identity)?;
    // What is to be made again is said once.
    let masquerade = masquerade.filter(|_| up).map(Value::from);
    let masquerade = masquerade.or_else(|| prior.get("masquerade").cloned()).unwrap_or(Value::NULL);
    Ok(Some(complete(prior, [("masquerade", masquerade), ("up", Value::from(up))])))
}

/// The name of the chain that a network of this value has.
fn wanted_chain(records: &Records, value: &Value) -> Option<String> {
    let net = value.get_str("cidr").and_then(|cidr| cidr.parse::<Ipv4Net>().ok())?;
    // Where one of the networks that it lets in is gone, no chain is the right one.
    policy::policy(records, &net, value)
        .map_or_else(|_| Some(String::new()), |policy| policy.map(|policy| policy.chain))
}

/// Whether packets find their way: the interface is up and has the gateway's address, and the range is closed.
fn is_up(identity: &Identity, prior: &Value) -> Result<bool, Failure> {
    let name = interface("an", identity.as_str());
    let mut netlink = Netlink::open().or_fail(|| "cannot talk to the kernel about networks".into())?;
    let failed = || format!("cannot read the interface {name}");
    let Some(link) = netlink.link(&name).or_fail(failed)?.filter(|link| link.up) else { return Ok(false) };
    let gateway = prior.get_str("gateway").unwrap_or_default();
    let net = prior.get_str("cidr").and_then(|cidr| cidr.parse::<Ipv4Net>().ok());
    let mut addresses = netlink.addresses().or_fail(failed)?.into_iter();
    Ok(addresses.any(|(index, net)| index == link.index && net.addr().to_string() == gateway)
        && netlink.routes().or_fail(failed)?.into_iter().any(|route| Some(route) == net))
}

pub(crate) fn resolve(records: &Records, identity: &Identity, record: &Record) -> Result<Found, Failure> {
    let asked = NetworkSpec::decode(&record.value)?;
    let is = |value: &Value, name: &str| value.get(name).and_then(Value::as_bool);
    let found = read(records, identity, &record.value)?
        .filter(|value| is(value, "up") == Some(true) && is(value, "masquerade") == Some(asked.masquerade));
    Ok(found.map_or(Found::Partial, Found::Complete))
}

/// The wanted range if it is free, else a free one.
fn choose(records: &Records, netlink: &mut Netlink, wanted: Option<Ipv4Net>) -> Result<Ipv4Net, Failure> {
    let failed = || "cannot read this machine's routes".to_owned();
    let mut taken: Vec<Ipv4Net> = netlink.routes().or_fail(failed)?;
    taken.extend(netlink.addresses().or_fail(failed)?.into_iter().map(|(_, net)| net.trunc()));
    let networks = all(records);
    let Some(wanted) = wanted else {
        taken.extend(networks.iter().map(|(_, cidr)| cidr));
        return address::free_range(&taken, records.data()).ok_or_else(|| {
            Failure::new("no range is free for the network", "This machine has routes into every /24 of 10.64.0.0/12.")
                .help("Give the network a `cidr` of your own.")
        });
    };
    let conflict =
        networks.iter().find(|(_, cidr)| address::overlapping(&wanted, std::slice::from_ref(cidr)).is_some());
    let detail = match conflict {
        Some((record, cidr)) => detail_of(record, cidr),
        None => match address::overlapping(&wanted, &taken) {
            Some(other) => format!("This machine already has a route to {other}."),
            None => return Ok(wanted),
        },
    };
    Err(range_taken(&wanted, &detail))
}

/// The networks of the lab with their ranges, whoever's they are.
pub(crate) fn all(records: &Records) -> Vec<(Record, Ipv4Net)> {
    let networks = records.all().into_iter().filter_map(|(_, record)| record);
    networks
        .filter_map(|record| {
            let cidr = record.value.get_str("cidr")?.parse().ok()?;
            Some((record, cidr))
        })
        .collect()
}

/// Which network has a range.
pub(crate) fn detail_of(record: &Record, cidr: &Ipv4Net) -> String {
    let name = record.value.get_str("name").or(record.value.get_str("id")).unwrap_or_default();
    format!("The lab's network `{name}` has {cidr}.")
}

/// Why a network cannot have a range.
pub(crate) fn range_taken(wanted: &Ipv4Net, detail: &str) -> Failure {
    Failure::new(format!("the range {wanted} is taken"), detail)
        .help("Choose another `cidr`, or leave it out to have a free one chosen.")
        .about("cidr")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_fit() {
        assert_eq!(interface("an", "0123456789ab"), "an0123456789ab");
        assert_eq!(interface("an", "0123456789abc"), "an0123456789abc");
        let long = interface("an", "01234567-89ab-cdef-0123-456789ab");
        assert_eq!(long.len(), 14);
        assert_ne!(long, interface("an", "01234567-89ab-cdef-0123-456789ac"));
    }
}
