use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_ledger::{Difference, EnvironmentState, Event, Fault};
use andon_schema::InstanceAddress;

use crate::plan::{Drift, Plan};

/// What a look for drift adds to the ledger: what differs in another way than was known, and what no longer differs.
/// `covers` says whether the look went for an instance. What no definition speaks of is none. `files` are what in servers
/// is not as their images have it.
pub fn drifted(
    plan: &Plan,
    files: &FilesOfServers,
    known: &EnvironmentState,
    covers: impl Fn(&InstanceAddress) -> bool,
) -> Vec<Event> {
    let mut found: BTreeMap<&InstanceAddress, Vec<Difference>> = BTreeMap::new();
    for drift in plan.drift.iter().filter(|drift| !drift.background) {
        found.entry(&drift.address).or_default().extend(differences(drift));
    }
    for (address, files) in files.iter().filter(|(_, files)| !files.is_empty()) {
        found.entry(address).or_default().extend(files.iter().cloned());
    }
    let gone = known.drifted.keys().filter(|address| !found.contains_key(address) && covers(address));
    let gone = gone.map(|address| Event::Drifted { address: address.clone(), differences: Vec::new() });
    let gone: Vec<Event> = gone.collect();
    let new = found.into_iter().filter_map(|(address, differences)| {
        let is_known = known.drifted.get(address) == Some(&differences);
        (!is_known).then(|| Event::Drifted { address: address.clone(), differences })
    });
    gone.into_iter().chain(new).chain(faulted(plan, known, covers)).collect()
}

/// What a look for drift adds of what objects fail at: what was not known, and what is over.
fn faulted(plan: &Plan, known: &EnvironmentState, covers: impl Fn(&InstanceAddress) -> bool) -> Vec<Event> {
    // What no drift speaks of is as it was left.
    let seen = |address: &InstanceAddress| {
        let drift = plan.drift.iter().find(|drift| drift.address == *address);
        let now = match drift {
            Some(drift) => drift.after.as_ref(),
            None => known.current(address).map(|object| &object.value),
        };
        now.and_then(|now| Fault::told(address, now)).map(Arc::from)
    };
    let told = plan.drift.iter().map(|drift| &drift.address).chain(known.faults.keys());
    let told: BTreeSet<&InstanceAddress> = told.filter(|address| covers(address)).collect();
    let all = told.into_iter().map(|address| (address, seen(address)));
    let news = all.filter(|(address, fault)| fault.is_some() != known.faults.contains_key(*address));
    news.map(|(address, fault)| Event::Faulted { address: address.clone(), fault }).collect()
}

/// What a look at the files of servers alone adds to the ledger: what is not as their images have it, beside what else was
/// known of them.
pub fn drifted_files(files: &FilesOfServers, known: &EnvironmentState) -> Vec<Event> {
    let found = files.iter().filter_map(|(address, files)| {
        let before = known.drifted.get(address).cloned().unwrap_or_default();
        let other = before.iter().filter(|difference| !difference.what.starts_with('/')).cloned();
        let differences: Vec<Difference> = other.chain(files.iter().cloned()).collect();
        (differences != before).then(|| Event::Drifted { address: address.clone(), differences })
    });
    found.collect()
}

/// Of servers, the files that are not as their images have them: each by its path.
pub type FilesOfServers = BTreeMap<InstanceAddress, Vec<Difference>>;

fn differences(drift: &Drift) -> Vec<Difference> {
    let difference = |what: &str, how: &str| Difference { what: what.into(), how: how.into() };
    let Some(after) = drift.telling() else { return vec![difference("", "is gone")] };
    let inside = drift.report.iter().flat_map(|report| report.differences());
    let inside = inside.map(|(what, how)| difference(what, &how));
    let own = match drift.before.as_entries().zip(after.as_entries()) {
        Some((before, after)) => {
            let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
        }
        None if drift.before == after => Vec::new(),
        None => vec!["".into()],
    };
    own.iter().map(|name| difference(name, "differs")).chain(inside).collect()
}
