//! From what came of a command to the record of it, and to what goes on.

use andon_ledger::{Action, Intent, OutcomeRecord, Result as Tried};
use andon_schema::{Failure, HostReport, Kept, Object, ObjectStatus, Outcome};
use andon_value::Value;

use super::make::Resolved;
use super::{Applier, CommandId};
use crate::duties;
use crate::graph::Key;

/// A command that is under way.
#[derive(Debug)]
pub(super) struct Running {
    pub change: usize,
    pub step: usize,
    pub intent: Intent,
    /// What the object is made of; `None` for a delete.
    pub resolved: Option<Resolved>,
}

impl Applier {
    /// Takes the outcome of a command. The record is to be appended to the ledger; `None` for a command that is not
    /// under way, for provisioners, and where nobody knows what came of it: its intent stays open, and the next run
    /// looks.
    pub fn outcome(&mut self, id: CommandId, outcome: Outcome) -> Option<OutcomeRecord> {
        if self.provisioners_ended(id, &outcome) {
            return None;
        }
        let running = self.running.remove(&id)?;
        let outcome = match outcome {
            Outcome::Lost(failure) => {
                let config = running.resolved.as_ref().map_or(Value::NULL, |resolved| resolved.config.clone());
                let problems = self.refusal(running.change, &failure.without_secrets_of(&config));
                let help = "What it did is not known. The next run finds out, or asks you.";
                let problems = problems.into_iter().map(|problem| problem.help(help)).collect();
                self.step_failed(running.change, running.step, problems);
                return None;
            }
            outcome => self.held_to_plan(&running, outcome),
        };
        let (mut result, value, report, kept) = judge(running.intent.action, outcome);
        let config = running.resolved.as_ref().map_or(Value::NULL, |resolved| resolved.config.clone());
        if let Tried::Failed(failure) = &mut result {
            *failure = failure.without_secrets_of(&config);
        }
        let value = value.map(|value| self.marked(running.change, &value, &config));
        let mut object = value.clone().map(|value| self.object_after(&running, &result, value, kept));
        match &result {
            Tried::Failed(failure) => {
                let problems = self.refusal(running.change, failure);
                self.step_failed(running.change, running.step, problems);
            }
            _ if running.intent.action == Action::Delete => {
                if let Some(state) = self.states.get_mut(running.change) {
                    state.removed = true;
                }
                self.step_done(running.change, running.step);
            }
            _ if self.is_provisioned(running.change, running.intent.action) => {
                if let Some(object) = &mut object {
                    object.status = ObjectStatus::Tainted;
                }
                let identity = running.intent.identity.clone();
                self.provision(running.change, running.step, identity, value.unwrap_or(Value::NULL), false);
            }
            _ => self.made(running.change, running.step, value.unwrap_or(Value::NULL)),
        }
        Some(record(running.intent, result, object, report))
    }

    /// Takes back a command that was handed out and never begun, as the run was cancelled before its turn.
    pub fn withdraw(&mut self, id: CommandId) {
        self.running.remove(&id);
        self.withdraw_provisioners(id);
    }

    /// Holds what a plugin gave against its schema and the plan. What is wrong with it makes a failure of it.
    fn held_to_plan(&self, running: &Running, outcome: Outcome) -> Outcome {
        let schema = self.schema(running.change).filter(|_| self.is_plugins(running.change));
        let Some(schema) = schema.filter(|_| running.intent.action != Action::Delete) else { return outcome };
        let planned = running.resolved.as_ref();
        let legacy = planned.is_some_and(|planned| planned.legacy);
        match outcome {
            Outcome::Done { value: Some(value), report, kept } => {
                let planned = planned.map(|planned| planned.planned.unmark_deep().0);
                let stored = duties::check_applied(&schema.block, planned.as_ref(), &value, legacy);
                if stored.faults.is_empty() && stored.value.is_some() {
                    return Outcome::Done { value: stored.value, report, kept };
                }
                let faults: Vec<String> = stored.faults.iter().map(|fault| format!("{fault}.")).collect();
                let failure = Failure::new("the provider did not do what it planned", faults.join("\n"))
                    .help("This is a fault of the provider: report it to whoever makes it.");
                Outcome::Failed { failure, value: stored.value, report, kept: Some(kept) }
            }
            Outcome::Failed { failure, value: Some(value), report, kept } => {
                let value = duties::check_applied(&schema.block, None, &value, legacy).value;
                Outcome::Failed { failure, value, report, kept }
            }
            outcome => outcome,
        }
    }

    /// Has everything that reads an instance read what was made.
    pub(super) fn made(&mut self, change: usize, step: usize, value: Value) {
        if let Some(node) = self.states.get(change).and_then(|state| state.node) {
            self.graph.finish(node, value, true);
        }
        self.verify(change, step);
    }

    /// Checks what must hold of an instance that was made, and is done with the step unless it does not.
    pub(super) fn verify(&mut self, change: usize, step: usize) {
        let definition = self.states.get(change).and_then(|state| state.configured.as_ref());
        let conditions =
            definition.is_some_and(|configured| !configured.definition.lifecycle.postconditions.is_empty());
        let node = self.states.get(change).and_then(|state| state.node);
        if let (true, Some(Key::Instance(resource, key))) = (conditions, node.and_then(|node| self.graph.key(node))) {
            let key = Key::Verified(*resource, key.clone());
            let verified = self.graph.want(key);
            self.evaluate_quietly();
            if self.graph.has_failed(verified) {
                let problems = self.graph.take_problems();
                return self.step_failed(change, step, problems);
            }
        }
        self.step_done(change, step);
    }

    /// Evaluates what can be; what comes of it is kept for the next turn.
    pub(super) fn evaluate_quietly(&mut self) {
        let earlier = self.graph.take_problems();
        self.report.diagnostics.extend(earlier);
        let configured = self.graph.advance();
        self.graph.hand_back(configured);
    }

    fn object_after(&self, running: &Running, result: &Tried, value: Value, kept: Option<Kept>) -> Object {
        let Intent { action, identity, mut dependencies, create_before_destroy, provider, .. } = running.intent.clone();
        let before = self.change(running.change).and_then(|change| self.object(change));
        if let (Action::Update, Tried::Failed(_), Some(before)) = (action, result, before) {
            // It may use what it used before, what it was to use now, or both.
            dependencies.extend(before.dependencies.iter().cloned());
            dependencies.sort_unstable();
            dependencies.dedup();
        }
        let status = match (action, result, before) {
            (Action::Create, Tried::Failed(_), _) => ObjectStatus::Tainted,
            (Action::Delete, _, Some(before)) => before.status,
            _ => ObjectStatus::Ready,
        };
        let kept = kept.or_else(|| before.map(|before| before.kept.clone())).unwrap_or_default();
        Object { identity, value, status, dependencies, create_before_destroy, provider, kept }
    }
}

/// An outcome, made sound: an object that is there is known, one that is deleted is none.
fn judge(action: Action, outcome: Outcome) -> (Tried, Option<Value>, Option<HostReport>, Option<Kept>) {
    let wrong = |detail: &str| Failure::new("the provider's answer makes no sense", detail);
    match outcome {
        Outcome::Done { value: Some(value), report, kept } if action != Action::Delete => {
            match value.is_wholly_known() {
                true => (Tried::Done, Some(value), report, Some(kept)),
                false => {
                    let failure = wrong("It left something of the object unknown after it was done.");
                    (Tried::Failed(failure), Some(known(&value)), report, Some(kept))
                }
            }
        }
        Outcome::Done { report, .. } if action == Action::Delete => (Tried::Done, None, report, None),
        Outcome::Done { report, .. } => {
            (Tried::Failed(wrong("It was done, and there is no object.")), None, report, None)
        }
        Outcome::Failed { failure, value, report, kept } => {
            (Tried::Failed(failure), value.as_ref().map(known), report, kept)
        }
        Outcome::Lost(failure) => (Tried::Failed(failure), None, None, None),
    }
}

/// The value with null for what is unknown.
fn known(value: &Value) -> Value {
    if value.is_wholly_known() {
        return value.clone();
    }
    value.map_deep(&mut |part| if part.is_unknown() { Value::null(part.ty()).mark(part.marks()) } else { part })
}

fn record(intent: Intent, result: Tried, object: Option<Object>, report: Option<HostReport>) -> OutcomeRecord {
    let Intent { address, action, identity, .. } = intent;
    OutcomeRecord { address, action, identity, result, object, report }
}
