//! From what came of a command to the record of it, and to what goes on.

use andon_ledger::{Action, Intent, OutcomeRecord, Result as Tried};
use andon_schema::{Failure, HostReport, Object, ObjectStatus, Outcome};
use andon_text::Diagnostic;
use andon_value::Value;

use super::{Applier, CommandId};
use crate::graph::Key;

/// A command that is under way.
#[derive(Debug)]
pub(super) struct Running {
    pub change: usize,
    pub step: usize,
    pub intent: Intent,
    pub config: Option<Value>,
}

impl Applier {
    /// Takes the outcome of a command. The record is to be appended to the ledger; `None` for a command that is not
    /// under way.
    pub fn outcome(&mut self, id: CommandId, outcome: Outcome) -> Option<OutcomeRecord> {
        let running = self.running.remove(&id)?;
        let (mut result, value, report) = judge(running.intent.action, outcome);
        let config = running.config.clone().unwrap_or(Value::NULL);
        if let Tried::Failed(failure) = &mut result {
            *failure = failure.without_secrets_of(&config);
        }
        let value = value.map(|value| self.marked(running.change, &value, &config));
        let object = value.clone().map(|value| self.object_after(&running, &result, value));
        match &result {
            Tried::Failed(failure) => {
                let subject = &running.intent.address;
                let span = self.change(running.change).and_then(|change| change.span);
                let diagnostic = failure.diagnostic(subject);
                let diagnostic = Diagnostic { span: diagnostic.span.or(span), ..diagnostic };
                self.step_failed(running.change, running.step, diagnostic.into());
            }
            _ if running.intent.action == Action::Delete => {
                if let Some(state) = self.states.get_mut(running.change) {
                    state.removed = true;
                }
                self.step_done(running.change, running.step);
            }
            _ => {
                let node = self.states.get(running.change).and_then(|state| state.node);
                if let (Some(node), Some(value)) = (node, value) {
                    self.graph.finish(node, value, true);
                }
                self.verify(running.change, running.step);
            }
        }
        Some(record(running.intent, result, object, report))
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
    fn evaluate_quietly(&mut self) {
        let earlier = self.graph.take_problems();
        self.report.diagnostics.extend(earlier);
        let configured = self.graph.advance();
        self.graph.hand_back(configured);
    }

    fn object_after(&self, running: &Running, result: &Tried, value: Value) -> Object {
        let Intent { action, identity, mut dependencies, create_before_destroy, .. } = running.intent.clone();
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
        Object { identity, value, status, dependencies, create_before_destroy }
    }
}

/// An outcome, made sound: an object that is there is known, one that is deleted is none.
fn judge(action: Action, outcome: Outcome) -> (Tried, Option<Value>, Option<HostReport>) {
    let wrong = |detail: &str| Failure::new("the provider's answer makes no sense", detail);
    match outcome {
        Outcome::Done { value: Some(value), report } if action != Action::Delete => match value.is_wholly_known() {
            true => (Tried::Done, Some(value), report),
            false => {
                let failure = wrong("It left something of the object unknown after it was done.");
                (Tried::Failed(failure), Some(known(&value)), report)
            }
        },
        Outcome::Done { report, .. } if action == Action::Delete => (Tried::Done, None, report),
        Outcome::Done { report, .. } => (Tried::Failed(wrong("It was done, and there is no object.")), None, report),
        Outcome::Failed { failure, value, report } => (Tried::Failed(failure), value.as_ref().map(known), report),
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
