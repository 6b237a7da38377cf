use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use andon_ledger::ReadData;
use andon_schema::{
    Checked, HostReport, Identity, ImportBy, InstanceAddress, Kept, ModuleStep, Object, ProviderConfigAddress,
    ResourceAddress,
};
use andon_text::{Diagnostics, Span};
use andon_value::{Path, Value};

use crate::PlanMode;
use crate::compare::{same, without_empty, written};

/// Everything that an apply will do, and what it will not do and why. Plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The environment.
    pub environment: Arc<str>,
    /// What it is for.
    pub mode: PlanMode,
    /// The stacks that it covers, sorted.
    pub stacks: Vec<Arc<str>>,
    /// Objects that are known by another address from now on: the old one and the new one, in an order in which each
    /// address is free when its turn comes. All else that the plan says is of the new addresses.
    pub moves: Vec<(InstanceAddress, InstanceAddress)>,
    /// Objects that become ours, or are known as ones of another type, by address. All else that the plan says is of the
    /// state with them.
    pub adopted: Vec<Adoption>,
    /// What will change, in an order in which it could be done one by one.
    pub changes: Vec<PlannedChange>,
    /// The parts of the changes and what each waits for: what an apply walks.
    pub steps: Vec<Step>,
    /// The outputs of the root modules, by stack and name.
    pub outputs: Vec<PlannedOutput>,
    /// Objects that are not as the state says. The plan is made against how they are.
    pub drift: Vec<Drift>,
    /// Objects of which only that differs which means the same: what is empty is there or not, or the provider keeps the
    /// same in another way than it did. An apply records how they are, and nobody is told.
    pub settled: Vec<Drift>,
    /// What objects that stay as they are depend on now, where the state says otherwise; by address. An apply records
    /// it.
    pub depends: Vec<Depends>,
    /// Data that was read while planning, by address.
    pub data: Vec<(InstanceAddress, ReadData)>,
    /// What it will not do, and why, by address.
    pub notes: Vec<Note>,
    /// What is not planned yet, and the reason, by stack and address: another plan, after this one is applied, knows more.
    pub deferred: Vec<Deferred>,
    /// What conditions came to, by stack.
    pub checks: BTreeMap<Arc<str>, Vec<Checked>>,
    /// How many objects stay as they are.
    pub unchanged: usize,
    /// Those of them that it is not about, as they are out of its scope.
    pub outside: BTreeSet<InstanceAddress>,
    /// Whether it is of a part of its stacks only.
    pub partial: bool,
    /// Objects in use of which nobody asked how they are, as the plan is not about them or their provider could not be
    /// asked: whatever is not known of them still is not.
    pub unasked: Vec<InstanceAddress>,
    /// What the user should know.
    pub warnings: Diagnostics,
    /// The ledger entry that it is based on; a plan is stale where the environment has later ones.
    pub based_on: u64,
}

/// An object that becomes ours, or is known as one of another type; nothing is done to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    /// The instance.
    pub address: InstanceAddress,
    /// The object. The name of one that is imported stands for it in this plan alone: the apply gives it one.
    pub object: Object,
    /// What names it in the world; `None` for one that has moved to another type.
    pub by: Option<ImportBy>,
    /// The block that imports it.
    pub span: Option<Span>,
}

/// What will be done to one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedChange {
    /// The instance.
    pub address: InstanceAddress,
    /// The address that its object had, where it moves.
    pub previous: Option<InstanceAddress>,
    /// What will be done.
    pub action: PlannedAction,
    /// The object that there is; `None` for a create or a read.
    pub identity: Option<Identity>,
    /// The configuration, of the schema's type, unknown where only the apply knows; `None` for a delete.
    pub config: Option<Value>,
    /// The object as it is; `None` for a create or a read.
    pub before: Option<Value>,
    /// The object as it will be, unknown where the apply decides; `None` for a delete.
    pub after: Option<Value>,
    /// What will be done inside servers.
    pub report: Option<HostReport>,
    /// The resources that the definition reads; of a delete, those that it read when it was last applied.
    pub dependencies: Vec<ResourceAddress>,
    /// Whether its replacement is made first, now or later: its own setting, or that of what depends on it.
    pub create_before_destroy: bool,
    /// Its block's first line; `None` where no definition is left.
    pub span: Option<Span>,
    /// The provider configuration that does it; `None` for what is built in and has none.
    pub provider: Option<Arc<ProviderConfigAddress>>,
    /// What its provider keeps with the object, or plans to keep.
    pub kept: Kept,
    /// Its provider does not hold to its own schema in all, and says so.
    pub legacy: bool,
    /// What of it cannot change in place.
    pub replace: Vec<Path>,
    /// Why no definition asks for the object that is deleted or forgotten; `None` of any other change, and of what was
    /// replaced before.
    pub undefined: Option<Undefined>,
}

/// What will be done to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedAction {
    /// An object is made.
    Create,
    /// The object is changed in place.
    Update,
    /// The object is deleted and another is made.
    Replace {
        /// Which comes first.
        order: ReplaceOrder,
        /// Why; never empty.
        because: Vec<ReplaceReason>,
    },
    /// The object is deleted.
    Delete,
    /// An object that was replaced before, and is still there, is deleted.
    DeleteDeposed,
    /// An object, in use or replaced before, is no longer ours. Nothing is done to it.
    Forget,
    /// A data source is read, as only the apply knows what to ask for.
    Read,
}

impl PlannedAction {
    /// Whether an object is there no more for Andon when it is done, and no other in its place.
    pub fn is_removal(&self) -> bool {
        matches!(self, PlannedAction::Delete | PlannedAction::DeleteDeposed | PlannedAction::Forget)
    }
}

/// Why an object is replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplaceReason {
    /// This of it cannot change in place.
    Fixed(Path),
    /// The run that made it could not finish it, or the user says that it is not to be kept.
    Tainted,
    /// The plan was asked to.
    Requested,
    /// What `replace_triggered_by` names changes: as it is written there.
    Triggered(String),
}

/// Why no definition asks for an object that is deleted or forgotten. The first of these that is so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Undefined {
    /// Everything is to go.
    Everything,
    /// Its stack is defined no more.
    Stack,
    /// The module that it is in is called no more: the way to that.
    Call(Arc<[ModuleStep]>),
    /// The module that it is in is called, and has no such instance any more: the way to that, and what the call has.
    ModuleInstance(Arc<[ModuleStep]>, Repetition),
    /// There is no block of it.
    Resource,
    /// There is a block of it, and no such instance any more: what the block has.
    Instance(Repetition),
}

/// Which instances a resource or a module call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repetition {
    /// One, without a key.
    One,
    /// As many as `count` says.
    Count(u64),
    /// One for each entry of `for_each`: so many.
    Each(usize),
}

/// Which part of a replacement comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplaceOrder {
    /// The new object is made, everything that uses the old one changes over, then the old one is deleted.
    CreateFirst,
    /// The old object is deleted, then the new one is made.
    DeleteFirst,
}

/// A part of a change, and the parts that must be done before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// Indexes of earlier steps; where one of them fails, this one is not tried.
    pub after: Vec<usize>,
}

/// What a step does. The numbers are indexes of [`Plan::changes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// Creates, updates or reads.
    Make(usize),
    /// Deletes the object that there is.
    Remove(usize),
    /// Nothing: it stands for all that it waits for, so that a thousand readers of a thousand instances cost two
    /// thousand references and not a million.
    Gather,
}

/// An output of a stack's root module.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedOutput {
    /// The stack.
    pub stack: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// As published; `None` where it was not.
    pub before: Option<Value>,
    /// As it will be; `None` where it is withdrawn.
    pub after: Option<Value>,
    /// Whether it is defined as a secret.
    pub sensitive: bool,
    /// The plan is of a part of its stack, to which it does not belong: it stays as it is.
    pub outside: bool,
}

/// An object that is not as the state says.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The instance.
    pub address: InstanceAddress,
    /// The object.
    pub identity: Identity,
    /// As the state says.
    pub before: Value,
    /// As it is; `None` where it is gone.
    pub after: Option<Value>,
    /// How a server differs from its role: only in a plan to see drift, as any other plan puts it right.
    pub report: Option<HostReport>,
    /// What its provider keeps with it now.
    pub kept: Kept,
    /// The provider configuration that it is of; `None` for what is built in.
    pub provider: Option<Arc<ProviderConfigAddress>>,
    /// No definition speaks of what differs, and nothing is planned for the object: the difference is recorded by the
    /// next apply that has something to do, and is no reason for one.
    pub background: bool,
    /// The instances that something is planned for and whose definitions read this one; some of them, where they are many.
    pub feeds: Vec<InstanceAddress>,
}

impl Drift {
    /// The object as it is, as far as that is another thing to a reader: an attribute that is empty now and was left out
    /// before, or the other way round, is as it was.
    pub fn telling(&self) -> Option<Value> {
        let after = self.after.as_ref()?;
        let Some((was, now)) = self.before.as_entries().zip(after.as_entries()) else { return Some(after.clone()) };
        let entries = now.iter().map(|(name, now)| {
            let before = was.get(name).filter(|was| same(&without_empty(was), &without_empty(now)));
            (Arc::clone(name), before.unwrap_or(now).clone())
        });
        let telling = Value::object(entries.collect::<Vec<_>>()).mark(after.marks());
        Some(if telling == self.before { after.clone() } else { telling })
    }

    /// Whether the object itself differs, not only what is inside its server.
    pub fn is_of_object(&self) -> bool {
        self.after.as_ref() != Some(&self.before)
    }
}

/// An object that stays as it is, and whose definition reads other resources than the state says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depends {
    /// The instance.
    pub address: InstanceAddress,
    /// The object.
    pub identity: Identity,
    /// The resources that its definition reads.
    pub dependencies: Vec<ResourceAddress>,
    /// As [`PlannedChange::create_before_destroy`].
    pub create_before_destroy: bool,
}

/// Something that the plan does not do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The instance.
    pub address: InstanceAddress,
    /// What, and why.
    pub reason: Reason,
}

/// Something that is not planned yet. Objects that there are of it stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deferred {
    /// The stack.
    pub stack: Arc<str>,
    /// What it is, within the stack: a resource, an instance, a module call, or an output as `output.name`.
    pub address: String,
    /// Why.
    pub reason: DeferReason,
}

/// Why something is not planned yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeferReason {
    /// Which instances there will be is not known.
    Unknown {
        /// `count` or `for_each`.
        argument: &'static str,
        /// What it reads that is not known; some of it, where it is much.
        reads: Vec<String>,
    },
    /// It needs something that is not planned yet.
    Needs {
        /// That; some of it, where it is much.
        on: Vec<String>,
    },
}

/// What a plan does not do, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The data is read only by the apply, as what it reads is known, or done, only then.
    Deferred {
        /// The resources that it waits for.
        on: Vec<ResourceAddress>,
    },
    /// The definition differs from the object, and `ignore_changes` says to leave that.
    Ignored {
        /// The attributes.
        attributes: Vec<String>,
    },
    /// A condition is checked only by the apply, as what it reads is known only then.
    Unchecked,
    /// There is nothing left to delete: the object is gone already.
    AlreadyGone,
    /// The instance is defined, and a plan to see drift does not create it.
    NotCreated,
    /// It is left out, as the user says so of it or of something that it needs.
    Excluded {
        /// What it needs of that; empty where it is named itself.
        on: Vec<String>,
    },
    /// Its object is defined no more, and is kept for one that is not planned.
    StillNeeded {
        /// That.
        by: InstanceAddress,
    },
}

impl Plan {
    /// Whether there is nothing to agree to: no move, no change, no drift to record, no output to publish. An apply may still
    /// have something to record: [`Plan::has_records`].
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
            && self.adopted.is_empty()
            && self.changes.is_empty()
            && self.drift.iter().all(|drift| drift.background)
            && self.outputs.iter().all(|output| !output.changes())
    }

    /// The changes that must be done before one may begin, by index, without those that wait for each other only
    /// through it.
    pub fn depends_on(&self, change: usize) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let parts = self.steps.iter().filter(|step| step.kind.change() == Some(change));
        let mut open: Vec<usize> = parts.flat_map(|step| step.after.iter().copied()).collect();
        while let Some(step) = open.pop() {
            let Some(found_step) = self.steps.get(step).filter(|_| seen.insert(step)) else { continue };
            match found_step.kind.change() {
                Some(other) if other != change => drop(found.insert(other)),
                Some(_) => {}
                None => open.extend(&found_step.after),
            }
        }
        found.into_iter().collect()
    }
}

impl StepKind {
    /// The change that it is a part of.
    pub fn change(self) -> Option<usize> {
        match self {
            StepKind::Make(change) | StepKind::Remove(change) => Some(change),
            StepKind::Gather => None,
        }
    }
}

impl PlannedOutput {
    /// Whether what is published changes. An output that is null is none.
    pub fn changes(&self) -> bool {
        let given = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null());
        (given(&self.before) || given(&self.after)) && self.before != self.after
    }
}

impl fmt::Display for PlannedAction {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            PlannedAction::Create => "create",
            PlannedAction::Update => "update",
            PlannedAction::Replace { .. } => "replace",
            PlannedAction::Delete => "delete",
            PlannedAction::DeleteDeposed => "delete the replaced object of",
            PlannedAction::Forget => "forget",
            PlannedAction::Read => "read",
        })
    }
}

impl fmt::Display for ReplaceReason {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplaceReason::Fixed(path) => to.write_str(&written(path)),
            ReplaceReason::Tainted => to.write_str("tainted"),
            ReplaceReason::Requested => to.write_str("requested"),
            ReplaceReason::Triggered(by) => write!(to, "replace_triggered_by {by}"),
        }
    }
}

impl fmt::Display for Deferred {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.stack.is_empty() {
            write!(to, "{}/", self.stack)?;
        }
        write!(to, "{} is not planned yet: ", self.address)?;
        match &self.reason {
            DeferReason::Unknown { argument, reads } if reads.is_empty() => {
                write!(to, "its `{argument}` is not known before the apply")
            }
            DeferReason::Unknown { argument, reads } => {
                write!(to, "its `{argument}` reads {}, not known before the apply", reads.join(", "))
            }
            DeferReason::Needs { on } => write!(to, "it needs {}", on.join(", ")),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Note { address, reason } = self;
        match reason {
            Reason::Deferred { on } if on.is_empty() => write!(to, "{address} is read while applying"),
            Reason::Deferred { on } => {
                let on: Vec<String> = on.iter().map(ToString::to_string).collect();
                write!(to, "{address} is read while applying, as it waits for {}", on.join(", "))
            }
            Reason::Ignored { attributes } => {
                write!(to, "{address} differs in {}, which ignore_changes leaves as it is", attributes.join(", "))
            }
            Reason::Unchecked => write!(to, "a condition of {address} is checked while applying"),
            Reason::AlreadyGone => write!(to, "{address} is gone already, so there is nothing to delete"),
            Reason::Excluded { on } if on.is_empty() => write!(to, "{address} is left out, as the command says"),
            Reason::Excluded { on } => write!(to, "{address} is left out, as it needs {}", on.join(", ")),
            Reason::StillNeeded { by } => write!(to, "{address} is kept, as {by} is, which uses it"),
            Reason::NotCreated => write!(to, "{address} is defined but was not created yet"),
        }
    }
}
