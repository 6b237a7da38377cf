//! What an apply writes down that is no change: what data gave, and what conditions came to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_ledger::{Event, ReadData};
use andon_schema::{Checked, InstanceAddress, ResourceAddress};

use crate::{Drift, Plan, PlanInput, PlanMode};

impl Plan {
    /// Whether there is something to write down even where there is nothing to agree to: what objects depend on now,
    /// what data gave, what conditions came to, or that what was replaced is gone. `input` is what the plan was made from.
    pub fn has_records(&self, input: &PlanInput) -> bool {
        let read = self.data.iter().cloned().collect();
        let is_upgraded = |drift: &Drift| {
            let stored = input.state.current(&drift.address).filter(|object| object.identity == drift.identity);
            stored.is_some_and(|object| object.kept.schema_version != drift.kept.schema_version)
        };
        !self.depends.is_empty()
            || self.settled.iter().any(|drift| drift.after.is_none())
            || self.drift.iter().chain(&self.settled).any(is_upgraded)
            || !data_records(input, &read, |_| false).is_empty()
            || !check_records(input, self, self.checks.clone()).is_empty()
    }
}

/// What data sources gave, where that is new, and which of them no definition asks for any more. `open` says what was to
/// be read and was not.
pub(crate) fn data_records(
    input: &PlanInput,
    read: &BTreeMap<InstanceAddress, ReadData>,
    open: impl Fn(&InstanceAddress) -> bool,
) -> Vec<Event> {
    let dropped = input.state.data.keys().filter(|address| input.covers(&address.resource.stack));
    let dropped = dropped.filter(|address| !read.contains_key(address) && !open(address));
    // What a plan did not come to, as it is held to a part or puts something off, is as it was.
    let judged: BTreeSet<&ResourceAddress> = read.keys().map(|address| &address.resource).collect();
    let all = input.mode != PlanMode::Normal && !input.scope.is_partial();
    let dropped = dropped
        .filter(|address| all || judged.contains(&address.resource) || input.definition(&address.resource).is_none());
    let dropped = dropped.map(|address| Event::DataDropped { address: address.clone() });
    let storable = |data: &ReadData| !data.value.marks_within().ephemeral;
    let new = read.iter().filter(|(address, data)| input.state.data.get(*address) != Some(data) && storable(data));
    let new = new.map(|(address, data)| Event::DataRead { address: address.clone(), data: data.clone() });
    dropped.chain(new).collect()
}

/// What conditions came to, for each stack of which that is new.
pub(crate) fn check_records(
    input: &PlanInput,
    plan: &Plan,
    mut results: BTreeMap<Arc<str>, Vec<Checked>>,
) -> Vec<Event> {
    let mut records = Vec::new();
    for stack in &plan.stacks {
        let results = results.remove(stack).unwrap_or_default();
        if input.state.checked.get(stack).map_or(&[][..], Vec::as_slice) != results.as_slice() {
            records.push(Event::Checked { stack: Arc::clone(stack), results });
        }
    }
    records
}
