use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{Event, Intent, OutcomeRecord, Outputs, Progress};
use andon_schema::{Answer, Command, Identity, InstanceAddress, Outcome, Question};
use andon_text::{Diagnostic, Diagnostics};

use crate::{Plan, PlanInput, PlannedAction, QuestionId};

/// Names one command of one applier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Carries out a plan: hands out commands, takes outcomes in any order.
pub struct Applier {
    plan: Plan,
    input: PlanInput,
    identities: Box<dyn FnMut() -> Identity + Send>,
}

/// What an applier wants next.
#[derive(Debug)]
pub enum ApplyStep {
    /// This work: all of it may be done at once, except that [`Work::Record`]s are appended in their order, and
    /// before the commands that come with them. Never empty.
    Run(Vec<Work>),
    /// Outcomes and answers.
    Wait,
    /// Nothing: it is done. Asked again, it is [`ApplyStep::Wait`].
    Done(ApplyReport),
}

/// Something that the engine does for an applier.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Answer a question.
    Ask(QuestionId, Question),
    /// Append the intent to the ledger, carry the command out, give the outcome to [`Applier::outcome`], and append
    /// the record that it returns before asking for the next step.
    Do(CommandId, Command, Intent),
    /// Append this to the ledger: an observation, published outputs, or their withdrawal.
    Record(Event),
    /// Show this to those who follow.
    Tell(Progress),
}

/// What came of an apply. Every change of the plan is in exactly one of its four lists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApplyReport {
    /// What was done, in the order in which it ended.
    pub done: Vec<Applied>,
    /// What was tried and failed, in the order in which it failed.
    pub failed: Vec<Failed>,
    /// What was not tried, in the order of the plan.
    pub skipped: Vec<Skipped>,
    /// What turned out to need no change.
    pub unneeded: Vec<Unneeded>,
    /// The outputs that were published, by stack.
    pub published: BTreeMap<Arc<str>, Outputs>,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Errors about no change, such as an output that cannot be evaluated, and warnings.
    pub diagnostics: Diagnostics,
}

/// A change that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The instance.
    pub address: InstanceAddress,
    /// What was done.
    pub action: PlannedAction,
}

/// A change that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// The instance.
    pub address: InstanceAddress,
    /// What was tried.
    pub action: PlannedAction,
    /// Why.
    pub diagnostics: Diagnostics,
}

/// A change that was not tried, or half of one: the deletion of a replaced object that something may still use.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// The instance.
    pub address: InstanceAddress,
    /// What was planned.
    pub action: PlannedAction,
    /// Why not.
    pub reason: SkipReason,
}

/// Why a change was not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// Something that it needs failed, or was skipped itself: the instances that failed.
    Needs(Vec<InstanceAddress>),
    /// The apply was cancelled before its turn.
    Cancelled,
}

/// A change that turned out to need nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Unneeded {
    /// The instance.
    pub address: InstanceAddress,
    /// What was planned.
    pub action: PlannedAction,
}

/// A change that has not begun, and what it waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The instance.
    pub address: InstanceAddress,
    /// What will be done.
    pub action: PlannedAction,
    /// The instances that it waits for, without those that they wait for in turn.
    pub on: Vec<InstanceAddress>,
}

impl Applier {
    /// An applier that has done nothing yet. `input` is what the plan was made from; `identities` gives names that
    /// no object ever had.
    pub fn new(plan: Plan, input: PlanInput, identities: impl FnMut() -> Identity + Send + 'static) -> Applier {
        Applier { plan, input, identities: Box::new(identities) }
    }

    /// What it wants next.
    pub fn next(&mut self) -> ApplyStep {
        let _ = (&self.input, &mut self.identities);
        ApplyStep::Wait
    }

    /// Takes the answer to a question.
    pub fn answer(&mut self, id: QuestionId, answer: Answer) {
        let _ = (id, answer);
    }

    /// Takes the outcome of a command. The record is to be appended to the ledger; `None` for a command that is not
    /// under way.
    pub fn outcome(&mut self, id: CommandId, outcome: Outcome) -> Option<OutcomeRecord> {
        let _ = (id, outcome);
        None
    }

    /// Starts nothing new, and ends when what runs has ended.
    pub fn cancel(&mut self) {}

    /// The changes that have not begun, in the order of the plan, and what each waits for.
    pub fn waiting(&self) -> Vec<Waiting> {
        let _ = (&self.plan, Diagnostic::error(""));
        Vec::new()
    }
}
