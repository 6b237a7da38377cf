use std::fmt;
use std::sync::Arc;

use andon_schema::{
    Checked, Failure, HostReport, Identity, InstanceAddress, Kept, Object, ObjectStatus, ProviderConfigAddress,
    ResourceAddress,
};
use andon_value::Value;

use crate::Outputs;

/// A reading of the clock: milliseconds since 1970-01-01T00:00:00Z. It comes in as an argument, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// One run of a command that may change the world: 12 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub Arc<str>);

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place in the ledger, from 1, without gaps.
    pub sequence: u64,
    /// When it was appended.
    pub at: Timestamp,
    /// The run that appended it.
    pub run: RunId,
    /// The environment that it is about; `default` where the project names none.
    pub environment: Arc<str>,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A run began, holding the environment's lock.
    RunBegan {
        /// The command: `up`, `apply web`.
        command: String,
        /// `user@host`.
        who: String,
        /// Andon's version.
        version: String,
    },
    /// A run ended. A run without this entry was cut short.
    RunEnded {
        /// How.
        status: RunStatus,
        /// One line for people.
        summary: String,
    },
    /// An effect is about to be tried.
    Intent(Intent),
    /// What came of it.
    Outcome(OutcomeRecord),
    /// An object was found to be different from what the state said, or gone (`None`).
    Observed {
        /// The instance.
        address: InstanceAddress,
        /// The object.
        identity: Identity,
        /// Its attributes now.
        value: Option<Value>,
        /// What its provider keeps with it now.
        kept: Kept,
    },
    /// An object became ours, or what is known of one is set right: nothing was done to it.
    Adopted {
        /// The instance.
        address: InstanceAddress,
        /// The object; it takes the place of the one with the same name, if there is one.
        object: Object,
        /// Whether it is one that was replaced, rather than the one in use.
        deposed: bool,
    },
    /// Whether an object may be kept is judged anew.
    Marked {
        /// The instance.
        address: InstanceAddress,
        /// The object.
        identity: Identity,
        /// What it is from now on.
        status: ObjectStatus,
    },
    /// Data was read that a definition asks for.
    DataRead {
        /// The instance.
        address: InstanceAddress,
        /// What it gave.
        data: ReadData,
    },
    /// Data is no longer asked for by any definition.
    DataDropped {
        /// The instance.
        address: InstanceAddress,
    },
    /// What the conditions of a stack's definitions came to. It replaces what they came to before.
    Checked {
        /// The stack.
        stack: Arc<str>,
        /// What has conditions.
        results: Vec<Checked>,
    },
    /// An object is no longer ours; nothing was done to it.
    Forgotten {
        /// The instance.
        address: InstanceAddress,
        /// The object.
        identity: Identity,
    },
    /// The definition of an object that stays as it is reads other resources than before, or is replaced in another
    /// order.
    Depends {
        /// The instance.
        address: InstanceAddress,
        /// The object.
        identity: Identity,
        /// As [`andon_schema::Object::dependencies`], from now on.
        dependencies: Vec<ResourceAddress>,
        /// As [`andon_schema::Object::create_before_destroy`], from now on.
        create_before_destroy: bool,
    },
    /// An object is known by another address.
    Moved {
        /// Before.
        from: InstanceAddress,
        /// After.
        to: InstanceAddress,
    },
    /// A stack's outputs were published to the registry. They replace those published before.
    Published {
        /// The stack.
        stack: Arc<str>,
        /// Its outputs.
        outputs: Outputs,
    },
    /// A stack's outputs were withdrawn: nothing of it is left.
    Withdrawn {
        /// The stack.
        stack: Arc<str>,
    },
    /// What a stack has goes on from a state file of Terraform's. The run that records it ends with the next entry.
    WentOn {
        /// The stack.
        stack: Arc<str>,
        /// The file's text that all states of its history share.
        lineage: Arc<str>,
        /// The file's count of changes.
        serial: u64,
    },
    /// An object, or what is in its server, was found to be other than it is defined, and how. It replaces what was found
    /// of the instance before; without differences, all is as defined again.
    Drifted {
        /// The instance.
        address: InstanceAddress,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// An object that is there fails at what it is for, or no longer so: members of a pool end faster than they are to be
    /// made again. It is recorded when that begins and when it is over, not each time that somebody sees it.
    Faulted {
        /// The instance.
        address: InstanceAddress,
        /// What it fails at, in one line; `None`: nothing any more.
        fault: Option<Arc<str>>,
    },
    /// Something that people follow while it happens. Never stored.
    Progress(Progress),
}

/// One thing that is not as it is defined.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difference {
    /// What: a host resource in a server, `file "/etc/motd"`, or an attribute of an object; empty for an object itself.
    pub what: Arc<str>,
    /// How, in one line, without secrets: `mode 0644 → 0600`.
    pub how: Arc<str>,
}

/// What people follow while it happens. It is shown, written to `--json` streams, and not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Work on an instance says what it is at: `installing nginx`.
    Note {
        /// The instance.
        address: InstanceAddress,
        /// One line.
        text: String,
    },
    /// Planned work waits for other work.
    Waiting {
        /// The instance that waits.
        address: InstanceAddress,
        /// What for; all of them.
        on: Vec<InstanceAddress>,
    },
    /// What has no effect of its own to be recorded failed: the provisioners of an object.
    Failed {
        /// The instance.
        address: InstanceAddress,
        /// Why, in one line.
        reason: String,
    },
    /// Planned work will not be tried, as something that it needs failed or the run is ending.
    Skipped {
        /// The instance.
        address: InstanceAddress,
        /// Why.
        reason: String,
    },
}

/// What a data source gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadData {
    /// All its attributes.
    pub value: Value,
    /// The provider configuration that it was read with; `None` for what is built in and has none.
    pub provider: Option<Arc<ProviderConfigAddress>>,
    /// The version of the schema that it was read by.
    pub schema_version: u64,
}

/// An effect that is about to be tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// The instance.
    pub address: InstanceAddress,
    /// What will be tried.
    pub action: Action,
    /// The object: its planned name.
    pub identity: Identity,
    /// What its definition reads, as [`Object::dependencies`].
    pub dependencies: Vec<ResourceAddress>,
    /// As [`Object::create_before_destroy`].
    pub create_before_destroy: bool,
    /// As [`Object::provider`].
    pub provider: Option<Arc<ProviderConfigAddress>>,
    /// What a plugin is to make, as far as it is known: what tells people what to look for where a run was cut short.
    pub planned: Option<Value>,
    /// Whether what is made is to be provisioned: until that is done it is not as it should be.
    pub provisioned: bool,
}

/// What came of an intent.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeRecord {
    /// The instance.
    pub address: InstanceAddress,
    /// What was tried.
    pub action: Action,
    /// The object.
    pub identity: Identity,
    /// Whether it worked.
    pub result: Result,
    /// The object as it is now; `None` where there is none.
    pub object: Option<Object>,
    /// What was done inside servers.
    pub report: Option<HostReport>,
}

/// Whether an intent worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Result {
    /// It did.
    Done,
    /// It did not.
    Failed(Failure),
    /// The run was cut short; a later one looked, and this is what it found.
    Resolved,
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is removed.
    Delete,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunStatus {
    /// All of it was done.
    Succeeded,
    /// Something failed.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// It was cut short; written by a later run.
    Interrupted,
}

impl fmt::Display for RunId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}
