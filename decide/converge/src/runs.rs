use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::host::{Act, Catalog, Due, HostResource};

use crate::converge::address_of;

/// The kind and the name of a resource.
type Named = (Arc<str>, Arc<str>);

/// The commands that run only on a change of something else, by their addresses.
#[derive(Default)]
pub(crate) struct Runs {
    /// What waits for a resource, by its kind and name.
    waiting: BTreeMap<Named, Vec<Arc<str>>>,
    due: BTreeSet<Arc<str>>,
}

impl Runs {
    pub fn of(catalog: &Catalog) -> Runs {
        let mut runs = Runs::default();
        for resource in &catalog.resources {
            for named in resource.only_on.iter().flatten() {
                runs.waiting.entry(named.clone()).or_default().push(address(resource));
            }
        }
        runs
    }

    /// Takes up what an earlier run left.
    pub fn recall(&mut self, address: Arc<str>) {
        self.due.insert(address);
    }

    /// Takes up what a changed resource makes due, and gives what the server does not remember yet.
    pub fn owe(&mut self, resource: &HostResource) -> Vec<Due> {
        let key = (resource.kind.clone(), resource.name.clone());
        let waiting = self.waiting.get(&key).into_iter().flatten();
        waiting.filter(|address| self.due.insert((*address).clone())).cloned().map(Due::Run).collect()
    }

    /// Whether its time has come; `None` for what waits for nothing.
    pub fn is_due(&self, resource: &HostResource) -> Option<bool> {
        resource.only_on.as_ref().map(|_| self.due.contains(&address(resource)))
    }

    /// The act that forgets that a resource is due, where it is.
    pub fn settle(&mut self, resource: &HostResource) -> Option<Act> {
        let address = address(resource);
        let due = resource.only_on.is_some() && self.due.remove(&address);
        due.then(|| Act::Settle(vec![Due::Run(address)]))
    }
}

fn address(resource: &HostResource) -> Arc<str> {
    address_of(&resource.kind, &resource.name).into()
}
