//! What must hold of a run's entries in the ledger.

use std::collections::{BTreeMap, BTreeSet};

use andon_ledger::{Action, Entry, Event, Result as Tried};
use andon_plan::{Plan, StepKind};
use andon_schema::{Identity, InstanceAddress};

use crate::{Finding, Rule};

/// Checks the entries that a run appended while it applied a plan. None is right.
pub fn audit_run<'a>(plan: &Plan, entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Finding> {
    let mut run = Run::new(plan);
    for entry in entries {
        match &entry.event {
            Event::Adopted { address, object, .. } => run.named(address, &object.identity),
            Event::Intent(intent) => run.intent(&intent.address, intent.action, &intent.identity),
            // What an earlier run was cut short in, and this one found out.
            Event::Outcome(outcome) if outcome.result == Tried::Resolved => {}
            Event::Outcome(outcome) => {
                let good = matches!(outcome.result, Tried::Done);
                run.outcome(&outcome.address, outcome.action, &outcome.identity, good);
            }
            _ => {}
        }
    }
    run.findings
}

struct Run<'a> {
    plan: &'a Plan,
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
        let (open, tried, status) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Run { plan, steps, open, tried, status, findings: Vec::new() }
    }

    fn step(&self, address: &InstanceAddress, action: Action, identity: &Identity) -> Option<usize> {
        let removed = (action == Action::Delete).then(|| identity.clone());
        self.steps.get(&(address.clone(), removed)).copied()
    }

    /// What is imported has a name from now on; the plan had one to stand for it.
    fn named(&mut self, address: &InstanceAddress, identity: &Identity) {
        let adopted = self.plan.adopted.iter().find(|adoption| adoption.address == *address);
        let Some(stands) = adopted.map(|adoption| &adoption.object.identity) else { return };
        if let Some(step) = self.steps.remove(&(address.clone(), Some(stands.clone()))) {
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
