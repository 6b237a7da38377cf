//! What the balancers that follow a pool say of its members.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use andon_schema::Identity;
use andon_value::Value;
use serde_json::Value as Json;

use super::member_identity;
use crate::balancer;
use crate::kind::Kind;
use crate::realm::started;
use crate::records::Records;
use crate::server;

/// The balancers that follow a pool.
pub(super) fn followers(records: &Records, pool: &Identity) -> Vec<(Identity, Value)> {
    let all = records.all().into_iter().filter_map(|(identity, record)| Some((identity, record?)));
    let following =
        all.filter(|(_, record)| record.kind == Kind::Balancer && record.value.get_str("pool") == Some(pool.as_str()));
    following.map(|(identity, record)| (identity, record.value)).collect()
}

/// For how long each of these members that a balancer asks has answered none of them, in milliseconds; `None` of one that
/// answers one of them. Those that do not run are left out.
pub(super) fn unwell_ms(
    records: &Records,
    pool: &Identity,
    serials: impl IntoIterator<Item = u64>,
) -> BTreeMap<u64, Option<u64>> {
    let statuses: Vec<Json> = followers(records, pool)
        .iter()
        .filter(|(identity, _)| balancer::runs(records, identity))
        .filter_map(|(identity, _)| balancer::status(records, identity))
        .collect();
    let by_address = by_address(&statuses);
    let one = |serial: u64| {
        let identity = member_identity(pool, serial);
        let age = age_ms(server::running_init(&identity)?)?;
        let record = records.read(identity.as_str())?;
        let address: Ipv4Addr = record.value.get_str("address")?.parse().ok()?;
        // One that was started again has its time anew.
        Some((serial, by_address.get(&address)?.map(|unwell| unwell.min(age))))
    };
    serials.into_iter().filter_map(one).collect()
}

/// For how long a process has been there. `None` where it has ended.
fn age_ms(process: i32) -> Option<u64> {
    /// Of the ticks that the kernel tells of: `USER_HZ`, a hundredth of a second on all architectures that this runs on.
    const TICK_MS: u64 = 10;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let now_s: f64 = uptime.split(' ').next()?.parse().ok()?;
    Some(((now_s * 1000.0) as u64).saturating_sub(started(process)? * TICK_MS))
}

/// The same, by the addresses of targets. What cannot be read was well.
fn by_address(statuses: &[Json]) -> BTreeMap<Ipv4Addr, Option<u64>> {
    let mut all = BTreeMap::new();
    let targets = statuses.iter().filter_map(|status| status.get("targets")?.as_array()).flatten();
    for target in targets {
        let Some(Ok(SocketAddr::V4(address))) = target.get("address").and_then(Json::as_str).map(str::parse) else {
            continue;
        };
        let is_healthy = target.get("healthy").and_then(Json::as_bool) != Some(false);
        let unwell = target.get("unwell_ms").and_then(Json::as_u64).filter(|_| !is_healthy);
        let entry = all.entry(*address.ip()).or_insert(unwell);
        *entry = entry.zip(unwell).map(|(one, other)| one.min(other));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_process_has_an_age() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = i32::try_from(child.id()).unwrap();
        let young = age_ms(process).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let older = age_ms(process).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!((280..60_000).contains(&(older - young)) && young < 60_000, "{young} {older}");
        assert_eq!(age_ms(process), None);
    }

    #[test]
    fn one_balancer_that_is_answered_is_enough() {
        let target = |address: &str, healthy: bool, unwell_ms: Json| json!({ "address": address, "healthy": healthy, "unwell_ms": unwell_ms });
        let one = [
            target("10.0.0.1:80", true, Json::Null),
            target("10.0.0.2:80", false, json!(7_000)),
            target("10.0.0.3:80", false, json!(7_000)),
            target("10.0.0.4:80", true, json!(900)),
            target("10.0.0.5:80", false, Json::Null),
        ];
        let other = [
            target("10.0.0.1:80", false, json!(9_000)),
            target("10.0.0.2:81", false, json!(5_000)),
            target("no address", false, json!(5_000)),
        ];
        let found = by_address(&[json!({ "targets": one }), json!({ "targets": other }), json!({})]);
        let expected = [(1, None), (2, Some(5_000)), (3, Some(7_000)), (4, None), (5, None)];
        assert_eq!(found, expected.map(|(last, ms)| (Ipv4Addr::new(10, 0, 0, last), ms)).into());
    }
}
