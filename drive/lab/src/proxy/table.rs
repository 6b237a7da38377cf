//! Where requests go now: the targets with their weights, and whose turn it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio_rustls::TlsAcceptor;

use super::access::AccessLog;
use super::counts::Counts;
use super::target::{OpenRequest, Target, locked};
use crate::balancer::spec::{Limits, Mode, Sticky};

/// What all clients share.
pub(super) struct Shared {
    live: Mutex<Arc<Live>>,
    turn: AtomicUsize,
    /// Of all requests, whatever their target.
    pub counts: Counts,
}

/// A balancer's settings as its clients meet them. Replaced as a whole.
pub(super) struct Live {
    pub mode: Mode,
    pub sticky: Sticky,
    pub tls: Option<TlsAcceptor>,
    pub limits: Limits,
    /// Where requests are written down, if they are.
    pub access: Option<Arc<AccessLog>>,
    /// By weight, so that those of one weight stand together.
    entries: Vec<Entry>,
}

/// A target with its share.
#[derive(Clone)]
pub(super) struct Entry {
    pub target: Arc<Target>,
    /// In thousandths.
    pub weight: u32,
}

/// The target that a client had before, if it names one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wish {
    Nothing,
    /// The name of a target, from a cookie.
    Name(u64),
    Source(IpAddr),
}

/// 2⁶⁴ divided by the golden ratio: multiples of it, modulo 2⁶⁴, are spread evenly however many there are
/// (Weyl's sequence; Knuth, The Art of Computer Programming, 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Shared {
    /// What has these settings at first.
    pub fn new(live: Live) -> Shared {
        Shared { live: Mutex::new(Arc::new(live)), turn: AtomicUsize::new(0), counts: Counts::default() }
    }

    /// The settings of this moment.
    pub fn live(&self) -> Arc<Live> {
        locked(&self.live).clone()
    }

    /// Replaces all settings in one step.
    pub fn swap(&self, live: Live) {
        *locked(&self.live) = Arc::new(live);
    }

    /// The target for a request that some have not served. Where it has left since the settings were read, they are read
    /// anew: nobody waits for a request that begins there now, and its server may be gone.
    pub fn choose(&self, live: &mut Arc<Live>, tried: &[SocketAddr], wish: Wish) -> Option<(Arc<Target>, OpenRequest)> {
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let target = live.choose(turn, tried, wish)?;
            if let Some(open) = target.begin() {
                return Some((target.clone(), open));
            }
            // No target leaves before there are settings without it.
            *live = self.live();
        }
    }
}

impl Live {
    /// Settings with these targets.
    pub fn new(mode: Mode, sticky: Sticky, tls: Option<TlsAcceptor>, limits: Limits, mut entries: Vec<Entry>) -> Live {
        entries.sort_by_key(|entry| (entry.weight, entry.target.address));
        Live { mode, sticky, tls, limits, access: None, entries }
    }

    /// The same whose requests are written down, or not.
    pub fn with_access(self, access: Option<Arc<AccessLog>>) -> Live {
        Live { access, ..self }
    }

    /// The targets with their weights.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The target that a client wishes, if it is well; else one by weight, and of those of a weight the one with the
    /// fewest open requests, in turn among equals. One that is not healthy is tried last rather than not at all: its
    /// answer says more than ours would.
    fn choose(&self, turn: usize, tried: &[SocketAddr], wish: Wish) -> Option<&Arc<Target>> {
        let fresh = |entry: &&Entry| tried.is_empty() || !tried.contains(&entry.target.address);
        let well = |entry: &&Entry| fresh(entry) && entry.target.is_healthy();
        let wished = match wish {
            Wish::Nothing => None,
            Wish::Name(name) => self.entries.iter().filter(well).find(|entry| entry.target.name == name),
            Wish::Source(client) => {
                let shared = self.entries.iter().filter(well).filter(|entry| entry.weight > 0);
                shared.min_by(|one, other| distance(one, client).total_cmp(&distance(other, client)))
            }
        };
        if let Some(entry) = wished {
            return Some(&entry.target);
        }
        let group = self.group(turn, well).or_else(|| self.group(turn, fresh));
        let candidates = match group {
            Some(weight) => self.of_weight(weight),
            None => &self.entries,
        };
        // What is left has no weight, or is not healthy.
        let healthy_first = |entry: &&Entry| (!entry.target.is_healthy(), entry.target.open());
        let (before, after) = candidates.split_at(turn % candidates.len().max(1));
        let in_turn = after.iter().chain(before).filter(fresh);
        in_turn.min_by_key(healthy_first).map(|entry| &entry.target)
    }

    /// The weight whose turn it is, among those that some targets have.
    fn group(&self, turn: usize, condition: impl Fn(&&Entry) -> bool) -> Option<u32> {
        let (least, most) = (self.entries.first()?.weight, self.entries.last()?.weight);
        if least == most {
            let any = least > 0 && self.entries.iter().any(|entry| condition(&entry));
            return any.then_some(least);
        }
        let shares = || self.entries.iter().filter(|entry| condition(entry)).map(|entry| entry.weight);
        let total: u64 = shares().map(u64::from).sum();
        let position = (u128::from((turn as u64).wrapping_mul(GOLDEN)) * u128::from(total)) >> 64;
        let mut sum = 0;
        shares().find(|weight| {
            sum += u128::from(*weight);
            position < sum
        })
    }

    fn of_weight(&self, weight: u32) -> &[Entry] {
        let start = self.entries.partition_point(|entry| entry.weight < weight);
        let end = self.entries.partition_point(|entry| entry.weight <= weight);
        self.entries.get(start..end).unwrap_or_default()
    }
}

/// How far a client is from a target: the nearest is its own, and when one goes, only its clients move (weighted
/// rendezvous hashing; Schindelhauer and Schomaker, Weighted Distributed Hash Tables, 2005).
fn distance(entry: &Entry, client: IpAddr) -> f64 {
    let client = match client.to_canonical() {
        IpAddr::V4(client) => u128::from(u32::from(client)),
        IpAddr::V6(client) => u128::from(client),
    };
    let hash = mix(mix(client as u64 ^ (client >> 64) as u64) ^ entry.target.name);
    let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -unit.ln() / f64::from(entry.weight)
}

/// The finisher of SplitMix64 (Steele, Lea, Flood, 2014).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// A target's name for clients that come back to it.
pub(super) fn name_of(address: SocketAddr) -> u64 {
    let ip = match address.ip() {
        IpAddr::V4(ip) => u128::from(ip.to_ipv6_mapped()),
        IpAddr::V6(ip) => u128::from(ip),
    };
    mix(mix(ip as u64).wrapping_add((ip >> 64) as u64) ^ u64::from(address.port()).wrapping_mul(GOLDEN))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn live(weights: &[u32]) -> Live {
        let entry = |(number, weight): (usize, &u32)| {
            let target = Target::unasked(SocketAddr::from(([10, 0, 0, number as u8], 80)));
            Entry { target, weight: *weight }
        };
        let limits = Limits {
            idle: Duration::ZERO,
            quiet: Duration::ZERO,
            answer: Duration::ZERO,
            connect: Duration::ZERO,
            header_size: 0,
            clients: None,
        };
        Live::new(Mode::Http, Sticky::No, None, limits, weights.iter().enumerate().map(entry).collect())
    }

    fn shares(live: &Live, requests: usize) -> BTreeMap<u8, usize> {
        let mut shares = BTreeMap::new();
        for turn in 0..requests {
            let target = live.choose(turn, &[], Wish::Nothing).unwrap();
            let SocketAddr::V4(address) = target.address else { continue };
            *shares.entry(address.ip().octets()[3]).or_default() += 1;
        }
        shares
    }

    #[test]
    fn requests_are_shared_by_weight() {
        let even = live(&[1000, 1000, 1000]);
        assert_eq!(shares(&even, 300), [(0, 100), (1, 100), (2, 100)].into());
        let uneven = shares(&live(&[3000, 1000]), 400);
        assert!((299..=301).contains(&uneven[&0]), "{uneven:?}");
        let canary = shares(&live(&[1000, 1000, 1000, 50]), 3050);
        assert!((48..=52).contains(&canary[&3]), "{canary:?}");
        let drained = shares(&live(&[1000, 0]), 100);
        assert_eq!(drained, [(0, 100)].into());
        assert_eq!(shares(&live(&[0, 0]), 100).len(), 2, "better than no answer");
    }

    #[tokio::test]
    async fn a_request_that_comes_late_is_not_begun_where_one_has_left() {
        let (old, new) = (live(&[1000]), live(&[1000]));
        let (leaves, comes) = (old.entries[0].target.clone(), new.entries[0].target.clone());
        let shared = Shared::new(old);
        let mut read = shared.live();
        let before = leaves.begin().unwrap();
        shared.swap(new);
        let left = tokio::spawn({
            let leaves = leaves.clone();
            async move { leaves.leave(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        // It leaves, and one request is still open there: the next one goes where it is wanted.
        let (target, _open) = shared.choose(&mut read, &[], Wish::Nothing).unwrap();
        assert!(Arc::ptr_eq(&target, &comes));
        assert!(Arc::ptr_eq(&read, &shared.live()));
        drop(before);
        assert_eq!(left.await.unwrap(), 0, "nothing was cut");
        assert!(leaves.begin().is_none());
        shared.swap(live(&[]));
        assert!(shared.choose(&mut shared.live(), &[], Wish::Nothing).is_none());
    }

    #[test]
    fn those_with_few_open_requests_are_next() {
        let live = live(&[1000, 1000, 1000]);
        let busy: Vec<_> = live.entries.iter().take(2).map(|entry| entry.target.begin().unwrap()).collect();
        for turn in 0..10 {
            assert_eq!(
                live.choose(turn, &[], Wish::Nothing).map(|target| target.address),
                live.entries.get(2).map(|entry| entry.target.address)
            );
        }
        drop(busy);
    }

    #[test]
    fn a_client_stays_and_moves_only_when_it_must() {
        let whole = live(&[1000, 1000, 1000, 2000]);
        let client = |number: u32| Wish::Source(IpAddr::from(number.to_be_bytes()));
        let own = |live: &Live, number| live.choose(number as usize, &[], client(number)).unwrap().address;
        let mut of_each: BTreeMap<SocketAddr, u32> = BTreeMap::new();
        for number in 0..5000 {
            assert_eq!(own(&whole, number), own(&whole, number));
            *of_each.entry(own(&whole, number)).or_default() += 1;
        }
        let fewer = live(&[1000, 1000, 1000]);
        let heavy = whole.entries.last().unwrap().target.address;
        for number in 0..5000 {
            assert!(own(&whole, number) == own(&fewer, number) || own(&whole, number) == heavy);
        }
        assert!((1800..2200).contains(&of_each[&heavy]), "{of_each:?}");
        let name = whole.entries[1].target.name;
        for turn in 0..10 {
            assert_eq!(whole.choose(turn, &[], Wish::Name(name)).unwrap().name, name);
            assert_ne!(whole.choose(turn, &[whole.entries[1].target.address], Wish::Name(name)).unwrap().name, name);
        }
    }
}
