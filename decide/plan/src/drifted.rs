use std::collections::BTreeSet;

use andon_ledger::{Difference, EnvironmentState, Event};
use andon_schema::InstanceAddress;

use crate::plan::{Drift, Plan};

/// What a look for drift adds to the ledger: what differs in another way than was known, and what no longer differs.
/// `covers` says whether the look went for an instance. What no definition speaks of is none.
pub fn drifted(plan: &Plan, known: &EnvironmentState, covers: impl Fn(&InstanceAddress) -> bool) -> Vec<Event> {
    let found: Vec<&Drift> = plan.drift.iter().filter(|drift| !drift.background).collect();
    let seen: BTreeSet<&InstanceAddress> = found.iter().map(|drift| &drift.address).collect();
    let gone = known.drifted.keys().filter(|address| !seen.contains(address) && covers(address));
    let gone = gone.map(|address| Event::Drifted { address: address.clone(), differences: Vec::new() });
    let new = found.iter().filter_map(|drift| {
        let differences = differences(drift);
        let is_known = known.drifted.get(&drift.address) == Some(&differences);
        (!is_known).then(|| Event::Drifted { address: drift.address.clone(), differences })
    });
    gone.chain(new).collect()
}

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
