//! Addresses, interfaces, routes and name servers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use andon_value::{Type, Value};

use super::machine::Machine;
use super::{list, map, number, text};

/// Every address of every network device, by the device.
fn all() -> Vec<(String, std::net::IpAddr)> {
    let found = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|address| address.ip().into());
        Some((interface.interface_name, four.or_else(|| Some(address.as_sockaddr_in6()?.ip().into()))?))
    });
    found.collect()
}

/// Every address that the server has.
pub(crate) fn own_addresses() -> Vec<Arc<str>> {
    all().into_iter().map(|(_, address)| address.to_string().into()).collect()
}

/// The addresses of the server's network devices, IPv4 first, without those that reach no further than the server or
/// its link.
fn reaching() -> Vec<String> {
    let (mut four, mut six) = (Vec::new(), Vec::new());
    for (_, address) in all() {
        match address {
            std::net::IpAddr::V4(address) if !address.is_loopback() && !address.is_link_local() => {
                four.push(address.to_string());
            }
            std::net::IpAddr::V6(address) if !address.is_loopback() && !address.is_unicast_link_local() => {
                six.push(address.to_string());
            }
            _ => {}
        }
    }
    four.extend(six);
    four
}

pub(super) fn addresses(_: &Machine) -> Option<Value> {
    list("addresses", reaching().iter().map(|address| Value::from(address.as_str())).collect::<Vec<_>>())
}

pub(super) fn address(_: &Machine) -> Option<Value> {
    reaching().into_iter().find(|address| !address.contains(':')).map(Value::from)
}

pub(super) fn address6(_: &Machine) -> Option<Value> {
    reaching().into_iter().find(|address| address.contains(':')).map(Value::from)
}

pub(super) fn interfaces(machine: &Machine) -> Option<Value> {
    let mut addresses: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, address) in all() {
        addresses.entry(name).or_default().push(Value::from(address.to_string()));
    }
    let names = machine.names("/sys/class/net").into_iter().filter(|name| name != "bonding_masters");
    let interface = |name: String| {
        let of = |file: &str| machine.line(&format!("/sys/class/net/{name}/{file}"));
        let up = of("operstate").map_or(Value::null(Type::Bool), |state| Value::from(state == "up" || name == "lo"));
        let found = addresses.remove(&name).unwrap_or_default();
        let interface = Value::object([
            ("mac", text(of("address"))),
            ("mtu", number(of("mtu").and_then(|text| text.parse().ok()))),
            ("up", up),
            ("addresses", Value::list(Type::String, found)),
        ]);
        (name, interface)
    };
    map("interfaces", names.map(interface).collect::<Vec<_>>())
}

struct Route {
    destination: String,
    gateway: Option<String>,
    interface: String,
    metric: Option<u64>,
}

/// The routes of IPv4, as the kernel writes them: addresses in hexadecimal, in the byte order of the machine.
fn table(machine: &Machine) -> Option<Vec<Route>> {
    let file = machine.read("/proc/net/route")?;
    let address = |digits: &str| Some(Ipv4Addr::from(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes()));
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, destination, gateway, _, _, _, metric, mask, ..] = fields.as_slice() else { return None };
        let bits = u32::from(address(mask)?).count_ones();
        let gateway = address(gateway).filter(|gateway| !gateway.is_unspecified());
        Some(Route {
            destination: format!("{}/{bits}", address(destination)?),
            gateway: gateway.map(|gateway| gateway.to_string()),
            interface: (*interface).to_owned(),
            metric: metric.parse().ok(),
        })
    };
    Some(file.lines().skip(1).filter_map(route).collect())
}

pub(super) fn routes(machine: &Machine) -> Option<Value> {
    let route = |route: Route| {
        Value::object([
            ("destination", text(Some(route.destination))),
            ("gateway", text(route.gateway)),
            ("interface", text(Some(route.interface))),
            ("metric", number(route.metric)),
        ])
    };
    list("routes", table(machine)?.into_iter().map(route).collect::<Vec<_>>())
}

pub(super) fn gateway(machine: &Machine) -> Option<Value> {
    let routes = table(machine)?.into_iter().filter(|route| route.destination == "0.0.0.0/0");
    routes.min_by_key(|route| route.metric)?.gateway.map(Value::from)
}

pub(super) fn nameservers(machine: &Machine) -> Option<Value> {
    let file = machine.read("/etc/resolv.conf")?;
    let server = |line: &str| line.strip_prefix("nameserver")?.split_whitespace().next().map(Value::from);
    list("nameservers", file.lines().filter_map(server).collect::<Vec<_>>())
}
