//! What of a plan cannot be made, as this machine's records and routes already say: ids of something else, addresses that are
//! not in their network, ranges that are others'. What is not known yet is judged when it is made, as what changes until then.

use std::net::Ipv4Addr;
use std::path::Path;

use andon_schema::{Failure, Identity};
use andon_value::Value;
use ipnet::Ipv4Net;

use crate::attach;
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::netlink::Netlink;
use crate::records::Records;
use crate::{address, network, server, snapshot, volume};

/// Whose an object of a plan is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub owner: &'a str,
    pub environment: Option<&'a str>,
}

/// Refuses a planned object. `prior` is the object as it is, where it stays; `None` where it is made, or made anew.
pub(crate) fn check(
    records: &Records,
    kind: Kind,
    whose: Whose<'_>,
    prior: Option<&Value>,
    planned: &Value,
) -> Result<(), Failure> {
    let known =
        |name: &str| planned.get_str(name).filter(|now| prior.is_none_or(|prior| prior.get_str(name) != Some(now)));
    // What has no record is judged when it is made: what a test has in place of a real object has none.
    let recorded = |id: &&str| Identity::parse(id).is_some_and(|identity| records.exists(&identity));
    match kind {
        Kind::Server => {
            if let Some(range) = known("network").filter(recorded).map(|id| network::range(records, id)).transpose()? {
                let wanted = planned.get_str("address").and_then(|address| address.parse::<Ipv4Addr>().ok());
                wanted.map_or(Ok(()), |wanted| server::check_address(wanted, &range))?;
            }
            let before = prior.map(attach::all).unwrap_or_default();
            let all = attach::all(planned).into_iter().filter(|attached| !before.contains(attached));
            all.filter(|attached| recorded(&&*attached.id)).try_for_each(|attached| attach::exists(records, &attached))
        }
        Kind::Pool => known("network").filter(recorded).map_or(Ok(()), |id| network::range(records, id).map(drop)),
        Kind::Network => {
            known("cidr").and_then(|cidr| cidr.parse().ok()).map_or(Ok(()), |cidr| is_free(records, whose, &cidr))
        }
        Kind::Snapshot => {
            let found = known("volume").filter(recorded).map_or(Ok(()), |id| volume::directory(records, id).map(drop));
            found.map_err(|failure| failure.about("volume"))
        }
        Kind::Volume => {
            let begins = known("snapshot").filter(|_| prior.is_none());
            let all = [("snapshot", begins), ("restore", known("restore"))].into_iter();
            let mut all = all.filter_map(|(name, id)| Some((name, id.filter(recorded)?)));
            all.try_for_each(|(name, id)| snapshot::find(records, id).map(drop).map_err(|failure| failure.about(name)))
        }
        Kind::Balancer | Kind::Key | Kind::Bucket | Kind::Share => Ok(()),
    }
}

/// Whether a range is neither another one's in the lab nor one of this machine's own. The networks of the same environment
/// are the plan's: what has the range now may give it up.
fn is_free(records: &Records, whose: Whose<'_>, wanted: &Ipv4Net) -> Result<(), Failure> {
    let (own, others): (Vec<_>, Vec<_>) = network::all(records)
        .into_iter()
        .partition(|(record, _)| record.is_of(whose.owner, whose.environment) || may_have_moved(&record.owner));
    if let Some((record, net)) = others.iter().find(|(_, net)| address::overlapping(wanted, &[*net]).is_some()) {
        return Err(network::range_taken(wanted, &network::detail_of(record, net)));
    }
    // The network of a realm has no routes of this machine's.
    if records.realm().is_some() {
        return Ok(());
    }
    let failed = || "cannot read this machine's routes".to_owned();
    let mut netlink = Netlink::open().or_fail(failed)?;
    // What is left of a network that is no more goes when one is made.
    let left = network::left_over(&mut netlink).or_fail(failed)?;
    let is_known = |route: &Ipv4Net| own.iter().any(|(_, own)| own.contains(route)) || left.contains(route);
    let of_others: Vec<Ipv4Net> =
        netlink.routes().or_fail(failed)?.into_iter().filter(|route| !is_known(route)).collect();
    match address::overlapping(wanted, &of_others) {
        Some(other) => Err(network::range_taken(wanted, &format!("This machine already has a route to {other}."))),
        None => Ok(()),
    }
}

/// Whether a project is no longer where it was when it made something: it may be the one that plans, by another path.
fn may_have_moved(owner: &str) -> bool {
    let place = Path::new(owner);
    place.is_absolute() && !place.exists()
}
