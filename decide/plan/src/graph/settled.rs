use std::collections::{BTreeMap, BTreeSet};

use andon_ledger::EnvironmentState;
use andon_schema::InstanceAddress;
use andon_value::Value;

use crate::{Plan, PlannedAction};

/// What a plan leaves as it is. Nothing is copied of the state: the cost is that of the change (invariant 5).
#[derive(Debug)]
pub(super) struct Settled {
    changing: BTreeSet<InstanceAddress>,
    observed: BTreeMap<InstanceAddress, Option<Value>>,
    data: BTreeMap<InstanceAddress, Value>,
}

impl Settled {
    pub fn new(plan: &Plan) -> Settled {
        let is_made = |action: &PlannedAction| !matches!(action, PlannedAction::DeleteDeposed | PlannedAction::Delete);
        let made = plan.changes.iter().filter(|change| is_made(&change.action));
        // What is deleted is there until then: the configuration of a provider may read it.
        let deleted = plan.changes.iter().filter(|change| change.action == PlannedAction::Delete);
        let deleted = deleted.map(|change| (change.address.clone(), change.before.clone()));
        let observed = plan.drift.iter().map(|drift| (drift.address.clone(), drift.after.clone()));
        Settled {
            changing: made.map(|change| change.address.clone()).collect(),
            observed: observed.chain(deleted).collect(),
            data: plan.data.iter().map(|(address, data)| (address.clone(), data.value.clone())).collect(),
        }
    }

    /// What a plan makes of everything, or without one what there is.
    pub fn after(plan: Option<&Plan>) -> Settled {
        let (mut observed, mut data) = (BTreeMap::new(), BTreeMap::new());
        if let Some(plan) = plan {
            // What is imported may need no change.
            observed.extend(plan.adopted.iter().map(|it| (it.address.clone(), Some(it.object.value.clone()))));
            observed.extend(plan.drift.iter().map(|drift| (drift.address.clone(), drift.after.clone())));
            let current = plan.changes.iter().filter(|change| change.action != PlannedAction::DeleteDeposed);
            observed.extend(current.map(|change| (change.address.clone(), change.after.clone())));
            data.extend(plan.data.iter().map(|(address, data)| (address.clone(), data.value.clone())));
        }
        Settled { changing: BTreeSet::new(), observed, data }
    }

    /// The value of an instance; `None` where it changes, or was never there.
    pub fn value<'a>(&'a self, address: &InstanceAddress, state: &'a EnvironmentState) -> Option<&'a Value> {
        if self.changing.contains(address) {
            return None;
        }
        if let Some(observed) = self.observed.get(address) {
            return observed.as_ref();
        }
        let known = self.data.get(address).or_else(|| state.current(address).map(|object| &object.value));
        known.or_else(|| state.data.get(address).map(|data| &data.value))
    }
}
