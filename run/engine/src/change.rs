//! One run, from what was left by the last to a recorded end: resolve, plan, judge, agree, apply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_audit::{Finding, RunAudit};
use andon_lang::definitions::Project;
use andon_lang::eval::Moment;
use andon_ledger::{Entry, EnvironmentState, Event, RunId, RunStatus};
use andon_plan::{ApplyReport, Drift, Plan, PlanInput, PlanMode, Scope, SkipReason, Skipped};
use andon_schema::{Command, Identity, InstanceAddress, Outcome, Schemas};
use andon_text::{Diagnostic, Diagnostics};

use crate::planning::TICK;
use crate::{
    Completion, Job, Journal, JournalError, RecoverError, Recovered, SavedPlan, Sink, Ticket, World, apply, plan,
    recover, recover::presume,
};

/// What is to be changed.
#[derive(Debug, Clone)]
pub struct ChangeRequest {
    /// The definitions.
    pub project: Arc<Project>,
    /// Every schema at hand.
    pub schemas: Arc<Schemas>,
    /// The environment; its lock is held by whoever owns the journal.
    pub environment: Arc<str>,
    /// The stacks; empty for all.
    pub stacks: Vec<Arc<str>>,
    /// What is wanted.
    pub mode: PlanMode,
    /// Ask how each object is now.
    pub refresh: bool,
    /// What the change is held to.
    pub scope: Scope,
    /// The command, for the ledger: `up`.
    pub command: String,
    /// `user@host`, for the ledger.
    pub who: String,
    /// The time, in seconds since 1970: what `plantimestamp` says.
    pub planned: i64,
    /// What `uuid` and its like draw from at the apply. Nobody else may know it.
    pub seed: [u8; 32],
    /// The plan that was made and agreed to before; `None` to make one.
    pub saved: Option<Arc<SavedPlan>>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Changed {
    /// There was nothing to do.
    Nothing(Plan),
    /// Whoever was asked did not agree.
    Declined(Plan),
    /// The plan was applied, wholly or in part: the report says.
    Applied(Box<Plan>, ApplyReport),
}

/// Why a run did not come to an apply.
#[derive(Debug)]
pub enum ChangeError {
    /// What an earlier run left could not be resolved.
    Recover(RecoverError),
    /// There is no plan, or the checker refused it.
    Plan(Diagnostics),
    /// What is left of objects that are gone could not be removed; nothing else was tried.
    Buried(Diagnostics),
    /// The ledger cannot be written. What was being done is resolved by the next run.
    Journal(JournalError),
}

impl From<JournalError> for ChangeError {
    fn from(error: JournalError) -> ChangeError {
        ChangeError::Journal(error)
    }
}

/// What the input of a plan is for a request and a state.
pub fn plan_input(request: &ChangeRequest, journal: &dyn Journal) -> PlanInput {
    PlanInput {
        project: Arc::clone(&request.project),
        schemas: Arc::clone(&request.schemas),
        environment: Arc::clone(&request.environment),
        stacks: request.stacks.clone(),
        state: Arc::new(journal.state().clone()),
        sequence: journal.sequence(),
        mode: request.mode,
        refresh: request.refresh,
        scope: request.scope.clone(),
        moment: Arc::new(Moment::planning(request.planned)),
    }
}

/// Resolves what a run that was cut short has left, and closes that run. Does nothing where none was.
fn settle(world: &mut dyn World, journal: &mut dyn Journal, sink: &mut dyn Sink) -> Result<Recovered, ChangeError> {
    if let Some(own) = journal.take_over() {
        let recovered = recover(world, journal, sink).map_err(ChangeError::Recover)?;
        journal.hand_back(own)?;
        return Ok(recovered);
    }
    let state = journal.state();
    if state.pending.values().all(|it| it.provider.is_some() && state.object(&it.address, &it.identity).is_some()) {
        return recover(world, journal, sink).map_err(ChangeError::Recover);
    }
    // A run that came to its end did not get the answers to all that it did.
    let (command, version) = ("look for lost answers".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    journal.append(vec![Event::RunBegan { command, who: crate::who(), version }])?;
    let recovered = recover(world, journal, sink);
    let (status, summary) = match &recovered {
        Ok(recovered) if recovered.presumed.is_empty() => {
            (RunStatus::Succeeded, format!("{} found", recovered.resolved))
        }
        Ok(_) => (RunStatus::Interrupted, "the next plan looks at the rest".to_owned()),
        Err(_) => (RunStatus::Failed, "what became of something is still not known".to_owned()),
    };
    journal.append(vec![Event::RunEnded { status, summary }])?;
    recovered.map_err(ChangeError::Recover)
}

/// Refuses a plan that the checker finds fault with.
pub fn judge(plan: &Plan, input: &PlanInput) -> Result<(), Diagnostics> {
    let findings = andon_audit::audit(plan, input);
    if findings.is_empty() {
        return Ok(());
    }
    let diagnostic = |finding: &Finding| {
        let diagnostic = Diagnostic::error(format!("the plan breaks a rule ({:?})", finding.rule))
            .detail(&finding.message)
            .help("This is a fault of the planner, found before anything was touched: please report it.");
        about(finding, diagnostic)
    };
    Err(findings.iter().map(diagnostic).collect())
}

fn about(finding: &Finding, diagnostic: Diagnostic) -> Diagnostic {
    match &finding.address {
        Some(address) => diagnostic.subject(address.to_string()),
        None => diagnostic,
    }
}

/// A journal that the checker looks into.
struct Audited<'a> {
    journal: &'a mut dyn Journal,
    audit: RunAudit<'a>,
}

impl Journal for Audited<'_> {
    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Entry>, JournalError> {
        let entries = self.journal.append(events)?;
        entries.iter().for_each(|entry| self.audit.see(&entry.event));
        Ok(entries)
    }

    fn state(&self) -> &EnvironmentState {
        self.journal.state()
    }

    fn sequence(&self) -> u64 {
        self.journal.sequence()
    }

    fn take_over(&mut self) -> Option<RunId> {
        self.journal.take_over()
    }

    fn hand_back(&mut self, own: RunId) -> Result<(), JournalError> {
        self.journal.hand_back(own)
    }
}

/// Runs. `approve` is shown the plan and says whether to go on; it is not asked where there is nothing to do.
pub fn change(
    request: &ChangeRequest,
    identities: impl FnMut() -> Identity + Send + 'static,
    world: &mut dyn World,
    journal: &mut dyn Journal,
    sink: &mut dyn Sink,
    approve: &mut dyn FnMut(&Plan) -> bool,
) -> Result<Changed, ChangeError> {
    let Recovered { resolved, mut presumed } = settle(world, journal, sink)?;
    let mut input = plan_input(request, journal);
    if !presumed.is_empty() {
        input.state = Arc::new(presume(&input.state, &presumed));
    }
    // What a run left that was cut short is looked at.
    input.refresh |= resolved > 0 || !presumed.is_empty();
    let planned = match &request.saved {
        Some(saved) => saved.replay(input.clone(), world, sink),
        None => plan(input.clone(), world, sink),
    };
    let planned = planned.map_err(ChangeError::Plan)?;
    judge(&planned, &input).map_err(ChangeError::Plan)?;
    if !presumed.is_empty() {
        let left = left_alone(&planned);
        presumed.retain(|outcome| !left.contains(&outcome.address));
    }
    let nothing = planned.is_empty();
    if nothing && !planned.has_records(&input) && presumed.is_empty() {
        return Ok(Changed::Nothing(planned));
    }
    if !nothing && request.saved.is_none() && !approve(&planned) {
        return Ok(Changed::Declined(planned));
    }
    sink.planned(&planned);
    let (command, who) = (request.command.clone(), request.who.clone());
    journal.append(vec![Event::RunBegan { command, who, version: env!("CARGO_PKG_VERSION").to_owned() }])?;
    match bury(&planned, &input, world, sink) {
        Ok(Buried::All) => {}
        Ok(Buried::Interrupted) => {
            let skipped = planned.changes.iter().map(|change| Skipped {
                address: change.address.clone(),
                action: change.action.clone(),
                reason: SkipReason::Cancelled,
            });
            let report = ApplyReport { cancelled: true, skipped: skipped.collect(), ..ApplyReport::default() };
            let (status, summary) = ending(&report);
            journal.append(vec![Event::RunEnded { status, summary }])?;
            return Ok(Changed::Applied(Box::new(planned), report));
        }
        Err(failures) => {
            let summary = "what is left of objects that are gone could not be removed".to_owned();
            journal.append(vec![Event::RunEnded { status: RunStatus::Failed, summary }])?;
            return Err(ChangeError::Buried(failures));
        }
    }
    let moment = Arc::new(Moment::applying(request.planned, crate::now().0 / 1000, request.seed));
    let input = PlanInput { moment, ..input };
    let opening = presumed.into_iter().map(Event::Outcome).collect();
    let mut audited = Audited { journal: &mut *journal, audit: RunAudit::new(&planned) };
    let mut report = apply(planned.clone(), input, opening, identities, world, &mut audited, sink)?;
    let Audited { journal, audit } = audited;
    let findings = audit.conclude(journal.state(), &report);
    report.diagnostics.extend(findings.iter().map(|finding| {
        let diagnostic = Diagnostic::error(format!("the run broke a rule ({:?})", finding.rule))
            .detail(&finding.message)
            .help("This is a fault of the engine: please report it, with what `andon logs --runs` says of this run.");
        about(finding, diagnostic)
    }));
    let (mut status, mut summary) = ending(&report);
    if status == RunStatus::Succeeded && !journal.state().pending.is_empty() {
        status = RunStatus::Interrupted;
        summary.push_str(", and what an earlier run left outside of this plan is still to be looked at");
    }
    journal.append(vec![Event::RunEnded { status, summary }])?;
    let is_quiet = nothing && report.failed.is_empty() && !report.diagnostics.has_errors();
    Ok(if is_quiet { Changed::Nothing(planned) } else { Changed::Applied(Box::new(planned), report) })
}

/// Where a plan neither found out how the objects are nor deals with them: they stay as unknown as they were.
fn left_alone(plan: &Plan) -> BTreeSet<&InstanceAddress> {
    let mut left: BTreeSet<&InstanceAddress> = plan.unasked.iter().collect();
    let moved = plan.moves.iter().map(|(from, _)| from);
    for dealt_with in moved.chain(plan.changes.iter().map(|change| &change.address)) {
        left.remove(dealt_with);
    }
    left
}

/// How the removal of what is left of objects that are gone ended.
enum Buried {
    All,
    Interrupted,
}

/// Removes what is left of objects that were found gone, before the ledger forgets their names: of a server that was
/// killed there may still be a directory.
fn bury(plan: &Plan, input: &PlanInput, world: &mut dyn World, sink: &mut dyn Sink) -> Result<Buried, Diagnostics> {
    // A plugin's object that is gone has left nothing here.
    let origins: BTreeMap<_, _> = plan.moves.iter().map(|(from, to)| (to, from)).collect();
    let is_ours = |drift: &&Drift| {
        let origin = origins.get(&drift.address).copied().unwrap_or(&drift.address);
        input.state.current(origin).is_some_and(|it| it.provider.is_none())
    };
    let mut gone = plan.drift.iter().filter(|drift| drift.after.is_none()).filter(is_ours).enumerate();
    let mut open: BTreeMap<Ticket, InstanceAddress> = BTreeMap::new();
    let mut failures = Diagnostics::new();
    let mut buried = Buried::All;
    loop {
        while matches!(buried, Buried::All)
            && failures.is_empty()
            && open.len() < world.parallelism()
            && let Some((number, drift)) = gone.next()
        {
            let (address, identity, prior) = (drift.address.clone(), drift.identity.clone(), drift.before.clone());
            let ticket = Ticket(number as u64);
            open.insert(ticket, address.clone());
            world.start(
                ticket,
                Job::Do(Command::Delete { address, identity, via: None, prior, asked: false, makes_way_for: None }),
            );
        }
        if open.is_empty() {
            break;
        }
        match world.wait(TICK) {
            Completion::Finished(ticket, outcome) => {
                let address = open.remove(&ticket);
                if let (Outcome::Failed { failure, .. }, Some(address)) = (outcome, address) {
                    failures.push(failure.diagnostic(&address));
                }
            }
            Completion::Progress(progress) => sink.event(&Event::Progress(progress)),
            Completion::Quiet => sink.tick(),
            Completion::Interrupted => buried = Buried::Interrupted,
            Completion::Answered(..) | Completion::Resolved(..) => {}
        }
    }
    if failures.is_empty() { Ok(buried) } else { Err(failures) }
}

/// How a run is recorded to have ended.
fn ending(report: &ApplyReport) -> (RunStatus, String) {
    let status = if report.cancelled {
        RunStatus::Cancelled
    } else if !report.failed.is_empty() || report.diagnostics.has_errors() {
        RunStatus::Failed
    } else {
        RunStatus::Succeeded
    };
    let counts = [(report.done.len(), "done"), (report.failed.len(), "failed"), (report.skipped.len(), "not done")];
    let parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}")).collect();
    (status, if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") })
}
