use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::{Checked, Identity, InstanceAddress, Object};
use andon_value::Value;

use crate::{Difference, Intent, ReadData, RunId, Timestamp};

/// A stack's outputs by name.
pub type Outputs = BTreeMap<Arc<str>, Value>;

/// What the ledger says there is, in every environment. A fold: `andon_fold` makes it from entries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// The last entry that is folded in; 0 for none.
    pub sequence: u64,
    /// Environments by name.
    pub environments: BTreeMap<Arc<str>, EnvironmentState>,
    /// The name of every object and of every pending intent, in every environment. Derived from
    /// [`State::environments`]; it is what tells at once that a new object's name is new.
    pub identities: BTreeSet<Identity>,
}

/// What there is in one environment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EnvironmentState {
    /// Instances that have an object.
    pub instances: BTreeMap<InstanceAddress, InstanceState>,
    /// The registry: published outputs by stack.
    pub published: BTreeMap<Arc<str>, Outputs>,
    /// What data sources gave when they were last read.
    pub data: BTreeMap<InstanceAddress, ReadData>,
    /// What the conditions of each stack's definitions came to.
    pub checked: BTreeMap<Arc<str>, Vec<Checked>>,
    /// The state files of Terraform's that stacks went on from last.
    pub files: BTreeMap<Arc<str>, FileOrigin>,
    /// What was last found to be other than it is defined, by instance, and was not put right since.
    pub drifted: BTreeMap<InstanceAddress, Vec<Difference>>,
    /// What fails at what it is for, by instance.
    pub faults: BTreeMap<InstanceAddress, Fault>,
    /// Intents whose outcome is not known.
    pub pending: BTreeMap<Identity, Intent>,
    /// The run that began last and has not ended.
    pub open_run: Option<RunId>,
}

/// What an object fails at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In one line, as it was when it began.
    pub what: Arc<str>,
    /// When it was found.
    pub since: Timestamp,
}

/// The state file of Terraform's that a stack went on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOrigin {
    /// The file's text that all states of its history share.
    pub lineage: Arc<str>,
    /// The file's count of changes.
    pub serial: u64,
    /// The entry by which the file's stack was wholly recorded: what comes later changed it.
    pub through: u64,
}

/// What there is of one instance.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstanceState {
    /// The object in use.
    pub current: Option<Object>,
    /// Objects that were replaced and not yet deleted, oldest first.
    pub deposed: Vec<Object>,
}

impl Fault {
    /// What an object fails at by its own account; `None` where that is nothing, and where it is of a kind that does not
    /// tell. Pools do.
    pub fn told<'v>(address: &InstanceAddress, value: &'v Value) -> Option<&'v str> {
        let tells = &*address.resource.kind == "lab_pool";
        value.get_str("fault").filter(|fault| tells && !fault.is_empty())
    }
}

impl State {
    /// A state of some environments, up to an entry.
    pub fn new(sequence: u64, environments: BTreeMap<Arc<str>, EnvironmentState>) -> State {
        let mut identities = BTreeSet::new();
        for environment in environments.values() {
            identities.extend(environment.objects().map(|(_, object)| object.identity.clone()));
            identities.extend(environment.pending.keys().cloned());
        }
        State { sequence, environments, identities }
    }

    /// One environment; an empty one where nothing was ever done in it.
    pub fn environment(&self, name: &str) -> EnvironmentState {
        self.environments.get(name).cloned().unwrap_or_default()
    }
}

impl EnvironmentState {
    /// An object of an instance, in use or deposed.
    pub fn object(&self, address: &InstanceAddress, identity: &Identity) -> Option<&Object> {
        self.instances.get(address)?.objects().find(|object| object.identity == *identity)
    }

    /// The object in use of an instance.
    pub fn current(&self, address: &InstanceAddress) -> Option<&Object> {
        self.instances.get(address)?.current.as_ref()
    }

    /// Every object, in use or deposed.
    pub fn objects(&self) -> impl Iterator<Item = (&InstanceAddress, &Object)> {
        self.instances.iter().flat_map(|(address, instance)| instance.objects().map(move |object| (address, object)))
    }

    /// Whether nothing is there and nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.published.is_empty() && self.pending.is_empty()
    }
}

impl InstanceState {
    /// Its objects: the one in use, then the deposed ones.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.current.iter().chain(&self.deposed)
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.current.is_none() && self.deposed.is_empty()
    }
}
