//! What must hold of a run's entries in the ledger.

use std::collections::{BTreeMap, BTreeSet};

use andon_ledger::{Action, Entry, EnvironmentState, Event, Result as Tried};
use andon_plan::{ApplyReport, Plan, PlannedAction, StepKind};
use andon_schema::{Identity, InstanceAddress};
use andon_value::Value;

use crate::{Finding, Rule};

/// Checks the entries that a run appended while it applied a plan. None is right.
pub fn audit_run<'a>(plan: &Plan, entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Finding> {
    let mut audit = RunAudit::new(plan);
    entries.into_iter().for_each(|entry| audit.see(&entry.event));
    audit.run.findings
}

/// The checker at a run that applies a plan: it is shown each event once that is stored.
pub struct RunAudit<'a> {
    run: Run<'a>,
    /// What the run last said of each object that it touched, by instance: its attributes, if it is there at all.
    said: BTreeMap<InstanceAddress, BTreeMap<Identity, Option<Value>>>,
}

impl<'a> RunAudit<'a> {
    /// A checker that has seen nothing yet.
    pub fn new(plan: &'a Plan) -> RunAudit<'a> {
        RunAudit { run: Run::new(plan), said: BTreeMap::new() }
    }

    /// Takes note of an event.
    pub fn see(&mut self, event: &Event) {
        let (address, identity, value) = match event {
            Event::Intent(intent) => return self.run.intent(&intent.address, intent.action, &intent.identity),
            Event::Adopted { address, object, .. } => {
                self.run.named(address, &object.identity);
                (address, &object.identity, Some(&object.value))
            }
            Event::Outcome(outcome) => {
                // What an earlier run was cut short in, and this one found out, has no intent here.
                if outcome.result != Tried::Resolved {
                    let good = matches!(outcome.result, Tried::Done);
                    self.run.outcome(&outcome.address, outcome.action, &outcome.identity, good);
                }
                (&outcome.address, &outcome.identity, outcome.object.as_ref().map(|object| &object.value))
            }
            Event::Observed { address, identity, value, .. } => (address, identity, value.as_ref()),
            Event::Forgotten { address, identity } => (address, identity, None),
            Event::Moved { from, to } => {
                let objects = self.said.remove(from).unwrap_or_default();
                return self.said.entry(to.clone()).or_default().extend(objects);
            }
            _ => return,
        };
        self.said.entry(address.clone()).or_default().insert(identity.clone(), value.cloned());
    }

    /// Holds the state after the run, and what the user is told of it, against what the run recorded. None is right.
    pub fn conclude(mut self, state: &EnvironmentState, report: &ApplyReport) -> Vec<Finding> {
        let said = self.said.iter().flat_map(|(address, objects)| objects.iter().map(move |it| (address, it)));
        for (address, (identity, value)) in said {
            let there = state.object(address, identity).map(|object| &object.value);
            if there != value.as_ref() {
                self.run.say(address, Rule::Agreed, "the state is not what the run recorded of its object");
            }
        }
        for identity in self.run.open.keys() {
            if !state.pending.contains_key(identity) {
                let message = format!("what was tried on the object {identity} has no outcome, and nobody is to look");
                self.run.findings.push(Finding::general(Rule::Agreed, message));
            }
        }
        // An instance may be changed while an object that it had before is deleted.
        let mut ends: BTreeMap<(&InstanceAddress, bool), Vec<Status>> = BTreeMap::new();
        let deposed = |action: &PlannedAction| *action == PlannedAction::DeleteDeposed;
        for (at, status) in &self.run.status {
            let change = self.run.plan.steps.get(*at).and_then(|step| step.kind.change());
            if let Some(change) = change.and_then(|change| self.run.plan.changes.get(change)) {
                ends.entry((&change.address, deposed(&change.action))).or_default().push(*status);
            }
        }
        let effects = |action: &PlannedAction| !matches!(action, PlannedAction::Read | PlannedAction::Forget);
        for applied in report.done.iter().filter(|applied| effects(&applied.action)) {
            let deposed = deposed(&applied.action);
            let ends = ends.get(&(&applied.address, deposed)).map_or(&[][..], Vec::as_slice);
            let is_open = ends.iter().any(|end| matches!(end, Status::Failed | Status::Begun));
            if !ends.contains(&Status::Done) || is_open && !deposed {
                let message = "the report says that it was done, and the ledger does not";
                self.run.findings.push(Finding::about(&applied.address, Rule::Agreed, message));
            }
        }
        self.run.findings
    }
}

struct Run<'a> {
    plan: &'a Plan,
    /// The names that stand in the plan for those of imported objects.
    adopted: BTreeMap<&'a InstanceAddress, &'a Identity>,
    /// The step of each part of a change: by its address, and for what is removed, the object.
    steps: BTreeMap<(InstanceAddress, Option<Identity>), usize>,
    open: BTreeMap<Identity, Action>,
    tried: BTreeSet<(Identity, Action)>,
    status: BTreeMap<usize, Status>,
    findings: Vec<Finding>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// It was tried, and nothing is known of how it ended.
    Begun,
    Done,
    Failed,
    /// It was not tried, and what waits for it was: it was not needed, and must not be tried any more.
    Passed,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Run<'a> {
        let mut steps = BTreeMap::new();
        for (at, step) in plan.steps.iter().enumerate() {
            let Some(change) = step.kind.change().and_then(|change| plan.changes.get(change)) else { continue };
            let removed = change.identity.clone().filter(|_| matches!(step.kind, StepKind::Remove(_)));
            steps.insert((change.address.clone(), removed), at);
        }
        let adopted = plan.adopted.iter().map(|it| (&it.address, &it.object.identity)).collect();
        let (open, tried, status) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Run { plan, adopted, steps, open, tried, status, findings: Vec::new() }
    }

    fn step(&self, address: &InstanceAddress, action: Action, identity: &Identity) -> Option<usize> {
        let removed = (action == Action::Delete).then(|| identity.clone());
        self.steps.get(&(address.clone(), removed)).copied()
    }

    /// What is imported has a name from now on; the plan had one to stand for it.
    fn named(&mut self, address: &InstanceAddress, identity: &Identity) {
        let Some(stands) = self.adopted.get(address) else { return };
        if let Some(step) = self.steps.remove(&(address.clone(), Some(Identity::clone(stands)))) {
            self.steps.insert((address.clone(), Some(identity.clone())), step);
        }
    }

    fn say(&mut self, address: &InstanceAddress, rule: Rule, message: &str) {
        self.findings.push(Finding::about(address, rule, message));
    }

    fn intent(&mut self, address: &InstanceAddress, action: Action, identity: &Identity) {
        if self.open.insert(identity.clone(), action).is_some() {
            self.say(address, Rule::Recorded, "something is tried on its object before the last outcome is known");
        }
        if !self.tried.insert((identity.clone(), action)) {
            self.say(address, Rule::Recorded, "the same is tried twice on its object");
        }
        let Some(step) = self.step(address, action, identity) else {
            return self.say(address, Rule::RunOrder, "the plan does not have what is tried");
        };
        if self.status.insert(step, Status::Begun) == Some(Status::Passed) {
            self.say(address, Rule::RunOrder, "something that waits for it was tried first");
        }
        match self.before(step) {
            Some(Status::Failed) => self.say(address, Rule::RunOrder, "something that it waits for failed"),
            Some(Status::Begun) => self.say(address, Rule::RunOrder, "something that it waits for is not done"),
            _ => {}
        }
    }

    fn outcome(&mut self, address: &InstanceAddress, action: Action, identity: &Identity, good: bool) {
        if self.open.remove(identity) != Some(action) {
            self.say(address, Rule::Recorded, "an outcome comes without its intent");
        }
        if let Some(step) = self.step(address, action, identity)
            && self.status.get(&step) == Some(&Status::Begun)
        {
            self.status.insert(step, if good { Status::Done } else { Status::Failed });
        }
    }

    /// What is wrong with the steps that a step waits for; `None` where nothing is. A gathering that was found to be
    /// done is not looked into again.
    fn before(&mut self, step: usize) -> Option<Status> {
        let mut open = vec![step];
        let mut gathers = Vec::new();
        while let Some(at) = open.pop() {
            let after = self.plan.steps.get(at).map_or(&[][..], |step| step.after.as_slice());
            for before in after {
                let is_gather = self.plan.steps.get(*before).is_some_and(|step| step.kind == StepKind::Gather);
                match self.status.get(before) {
                    Some(wrong @ (Status::Begun | Status::Failed)) => return Some(*wrong),
                    Some(_) => {}
                    None if is_gather => {
                        gathers.push(*before);
                        open.push(*before);
                    }
                    None => drop(self.status.insert(*before, Status::Passed)),
                }
            }
        }
        self.status.extend(gathers.into_iter().map(|gather| (gather, Status::Done)));
        None
    }
}
