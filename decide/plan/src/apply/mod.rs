//! Carrying out a plan.

mod beside;
mod end;
mod make;
mod outcome;
mod provision;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use andon_ledger::{Event, Intent, Outputs, Progress, ReadData};
use andon_schema::{Command, FunctionCall, Identity, InstanceAddress, ProvisionerRun, Question};
use andon_text::{Diagnostic, Diagnostics};

use crate::graph::{Configured, Graph, Map, NodeId, Place};
use crate::history;
use crate::{Plan, PlanInput, PlannedAction, PlannedChange, QuestionId, StepKind};
use make::{Decision, Inquiry};
use outcome::Running;
use provision::Provisioning;
use walk::{Status, Walk};

/// Names one command of one applier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Carries out a plan: hands out commands, takes outcomes in any order.
///
/// The configuration is evaluated again, with the values that are known by now. Where the plan had to leave something
/// unknown, the world is asked once more what would become of the instance, and what the user agreed to is held
/// against the answer: more than that is not done.
pub struct Applier {
    plan: Plan,
    graph: Graph,
    identities: Box<dyn FnMut() -> Identity + Send>,
    stage: Stage,
    cancelled: bool,
    walk: Walk,
    /// The steps of each change.
    parts: BTreeMap<usize, Vec<usize>>,
    states: Vec<ChangeState>,
    by_address: Map<InstanceAddress, usize>,
    /// Changes whose configuration is waited for.
    awaiting: BTreeSet<usize>,
    /// Those of them whose module is not open yet.
    unplaced: BTreeSet<usize>,
    /// Removals, change and step, that wait for the configuration of their provider.
    removing: BTreeSet<(usize, usize)>,
    next_id: u64,
    asked: BTreeMap<QuestionId, Inquiry>,
    called: BTreeMap<QuestionId, Arc<FunctionCall>>,
    /// What is asked for no change: ephemeral resources, and data that is there for a check alone.
    beside: BTreeMap<QuestionId, Configured>,
    running: BTreeMap<CommandId, Running>,
    /// Provisioners whose arguments are waited for.
    provisioning: Vec<Provisioning>,
    running_provisioners: BTreeMap<CommandId, (Provisioning, Vec<ProvisionerRun>)>,
    work: Vec<Work>,
    /// Data that was read while applying.
    read: Vec<(InstanceAddress, ReadData)>,
    report: ApplyReport,
}

/// How far an apply has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Under,
    /// All is done or given up; what is published was handed out.
    Closing,
    Over,
}

/// How far a change has come.
#[derive(Debug, Default)]
struct ChangeState {
    node: Option<NodeId>,
    configured: Option<Configured>,
    /// The configuration of the provider that deletes what no definition configures any more.
    provider: Option<NodeId>,
    /// The step that waits for the decision.
    step: Option<usize>,
    decision: Option<Decision>,
    /// The old object is gone.
    removed: bool,
    /// What runs before the old object is deleted has run.
    left: bool,
    unneeded: bool,
    failed: bool,
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
    /// the record that it returns before asking for the next step. Provisioners come without an intent: what they do
    /// is not known to the state.
    Do(CommandId, Command, Option<Intent>),
    /// Append this to the ledger: an observation, what an object depends on, published outputs, or their withdrawal.
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

/// A change that was not tried. Of a replacement whose new object was made, this is the rest: the old object, which
/// something may still use, is to be deleted.
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
    pub fn new(
        mut plan: Plan,
        mut input: PlanInput,
        mut identities: impl FnMut() -> Identity + Send + 'static,
    ) -> Applier {
        history::name_adopted(&mut plan, &mut identities);
        let work = history::records(&input.state, &plan);
        input.state = history::settled(&input.state, &plan);
        let mut graph = Graph::new(input, false, true);
        graph.settle_by(&plan);
        let current =
            plan.changes.iter().enumerate().filter(|(_, change)| change.action != PlannedAction::DeleteDeposed);
        let current = current.map(|(at, change)| (change.address.clone(), at));
        Applier {
            walk: Walk::new(&plan.steps),
            parts: walk::parts(&plan.steps),
            states: plan.changes.iter().map(|_| ChangeState::default()).collect(),
            by_address: current.collect(),
            plan,
            graph,
            identities: Box::new(identities),
            stage: Stage::New,
            cancelled: false,
            awaiting: BTreeSet::new(),
            unplaced: BTreeSet::new(),
            removing: BTreeSet::new(),
            next_id: 0,
            asked: BTreeMap::new(),
            called: BTreeMap::new(),
            beside: BTreeMap::new(),
            running: BTreeMap::new(),
            provisioning: Vec::new(),
            running_provisioners: BTreeMap::new(),
            work: work.into_iter().map(Work::Record).collect(),
            read: Vec::new(),
            report: ApplyReport::default(),
        }
    }

    /// What it wants next.
    #[expect(clippy::should_implement_trait, reason = "what it gives is no sequence of items")]
    pub fn next(&mut self) -> ApplyStep {
        match self.stage {
            Stage::New => {
                self.stage = Stage::Under;
                self.record_drift();
            }
            Stage::Under => {}
            Stage::Closing => {
                self.stage = Stage::Over;
                return ApplyStep::Done(std::mem::take(&mut self.report));
            }
            Stage::Over => return ApplyStep::Wait,
        }
        loop {
            if !self.cancelled {
                for step in self.walk.take_ready() {
                    self.begin(step);
                }
                self.evaluate();
            }
            if !self.work.is_empty() {
                return ApplyStep::Run(std::mem::take(&mut self.work));
            }
            if !self.cancelled && self.walk.has_ready() {
                continue;
            }
            let open = !self.asked.is_empty() || !self.called.is_empty() || !self.beside.is_empty();
            if !self.running.is_empty() || !self.running_provisioners.is_empty() || open && !self.cancelled {
                return ApplyStep::Wait;
            }
            let waits = !self.awaiting.is_empty() || !self.removing.is_empty() || !self.provisioning.is_empty();
            if !self.cancelled && waits {
                if !self.graph.unblock() {
                    self.give_up_awaiting();
                    self.give_up_provisioning();
                }
                continue;
            }
            if !self.cancelled && (self.want_outputs() || self.want_checks()) {
                continue;
            }
            self.close();
            self.stage = Stage::Closing;
            if !self.work.is_empty() {
                return ApplyStep::Run(std::mem::take(&mut self.work));
            }
            self.stage = Stage::Over;
            return ApplyStep::Done(std::mem::take(&mut self.report));
        }
    }

    /// Starts nothing new, and ends when what runs has ended.
    pub fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// The changes that have not begun, in the order of the plan, and what each waits for; `held` are commands that were
    /// handed out and whose turn has not come: they wait for nothing else.
    pub fn waiting(&self, held: impl Iterator<Item = CommandId>) -> Vec<Waiting> {
        if self.stage == Stage::Over {
            return Vec::new();
        }
        let held: BTreeSet<usize> = held.filter_map(|id| Some(self.running.get(&id)?.change)).collect();
        let mut waiting = Vec::new();
        for (at, change) in self.plan.changes.iter().enumerate() {
            let parts = self.parts.get(&at).map_or(&[][..], Vec::as_slice);
            let begun = !parts.iter().all(|step| self.walk.status(*step) == Status::Waiting);
            if begun && !held.contains(&at) {
                continue;
            }
            let on = parts.first().filter(|_| !begun).map(|step| self.open_before(*step)).unwrap_or_default();
            waiting.push(Waiting { address: change.address.clone(), action: change.action.clone(), on });
        }
        waiting
    }

    /// The instances whose steps are not done and that a step waits for.
    fn open_before(&self, step: usize) -> Vec<InstanceAddress> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![step];
        while let Some(at) = open.pop() {
            for before in self.plan.steps.get(at).into_iter().flat_map(|step| &step.after) {
                if self.walk.status(*before) == Status::Done || !seen.insert(*before) {
                    continue;
                }
                match self.plan.steps.get(*before).and_then(|step| step.kind.change()) {
                    Some(change) => {
                        found.extend(self.plan.changes.get(change).map(|change| change.address.clone()));
                    }
                    None => open.push(*before),
                }
            }
        }
        found.into_iter().collect()
    }

    /// What was found while planning is written down before anything is done on the strength of it.
    fn record_drift(&mut self) {
        let drift = self.plan.drift.iter().filter(|drift| drift.is_of_object());
        for drift in drift.chain(&self.plan.settled) {
            let (address, identity) = (drift.address.clone(), drift.identity.clone());
            self.work.push(Work::Record(Event::Observed {
                address,
                identity,
                value: drift.after.clone(),
                kept: drift.kept.clone(),
            }));
        }
    }

    fn begin(&mut self, step: usize) {
        match self.plan.steps.get(step).map(|step| step.kind) {
            Some(StepKind::Make(change)) => self.begin_make(change, step),
            Some(StepKind::Remove(change)) => self.begin_remove(change, step),
            Some(StepKind::Gather) | None => self.walk.done(step),
        }
    }

    fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn change(&self, at: usize) -> Option<&PlannedChange> {
        self.plan.changes.get(at)
    }

    /// A step is done. Where it was the last of its change, so is the change.
    fn step_done(&mut self, change: usize, step: usize) {
        self.walk.done(step);
        let parts = self.parts.get(&change).map_or(&[][..], Vec::as_slice);
        if !parts.iter().all(|step| self.walk.status(*step) == Status::Done) {
            return;
        }
        let Some(planned) = self.plan.changes.get(change) else { return };
        let (address, action) = (planned.address.clone(), planned.action.clone());
        match self.states.get(change).is_some_and(|state| state.unneeded) {
            true => self.report.unneeded.push(Unneeded { address, action }),
            false => self.report.done.push(Applied { address, action }),
        }
    }

    /// A step has failed: what waits for it is not tried.
    fn step_failed(&mut self, change: usize, step: usize, diagnostics: Diagnostics) {
        let Some(planned) = self.plan.changes.get(change) else { return };
        let (address, action) = (planned.address.clone(), planned.action.clone());
        if let Some(state) = self.states.get_mut(change) {
            if state.failed {
                return;
            }
            state.failed = true;
        }
        self.report.failed.push(Failed { address: address.clone(), action, diagnostics });
        self.fail_node(change);
        for skipped in self.walk.failed(step) {
            let Some(StepKind::Make(other) | StepKind::Remove(other)) =
                self.plan.steps.get(skipped).map(|step| step.kind)
            else {
                continue;
            };
            if matches!(self.plan.steps.get(skipped).map(|step| step.kind), Some(StepKind::Make(_))) {
                self.fail_node(other);
            }
            if other != change
                && let Some(planned) = self.plan.changes.get(other)
            {
                let reason = SkipReason::Needs(vec![address.clone()]).to_string();
                self.work.push(Work::Tell(Progress::Skipped { address: planned.address.clone(), reason }));
            }
        }
    }

    /// Has everything fail that reads an instance which is not what it was planned to be.
    fn fail_node(&mut self, change: usize) {
        let Some(planned) = self.plan.changes.get(change).filter(|change| !change.action.is_removal()) else {
            return;
        };
        // In a module that is not open yet, nothing has read it; whoever does is failed when it asks.
        if let Place::Node(node) = self.graph.locate(&planned.address) {
            self.graph.fail(node);
        }
    }

    /// A complaint about a change, at its block.
    fn complaint(&self, change: usize, summary: impl Into<String>, detail: impl Into<String>) -> Diagnostics {
        let diagnostic = Diagnostic::error(summary).detail(detail);
        let Some(planned) = self.plan.changes.get(change) else { return diagnostic.into() };
        let diagnostic = Diagnostic { span: planned.span, ..diagnostic };
        diagnostic.subject(planned.address.to_string()).into()
    }
}

impl ApplyReport {
    /// Whether all of the plan was done, or turned out not to be needed.
    pub fn is_success(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty() && !self.cancelled && !self.diagnostics.has_errors()
    }
}

impl fmt::Debug for Applier {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Applier").field("stage", &self.stage).field("running", &self.running).finish_non_exhaustive()
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::Needs(failed) => {
                let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
                write!(to, "it needs {}, which failed", failed.join(", "))
            }
            SkipReason::Cancelled => to.write_str("the run was stopped before its turn"),
        }
    }
}
