//! When nothing is left to be done: what is published, and the report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_ledger::{Action, Event, Outputs, ReadData};
use andon_schema::{InstanceAddress, ResourceAddress};
use andon_value::Value;

use super::walk::Status;
use super::{Applier, SkipReason, Skipped, Work};
use crate::graph::Key;
use crate::records::data_records;
use crate::{Depends, PlanMode, PlannedAction, PlannedOutput, StepKind};

impl Applier {
    /// Ends the apply: what was not tried is said, and what stacks give is published.
    pub(super) fn close(&mut self) {
        self.asked.clear();
        self.give_up_provisioning();
        self.report.cancelled = self.cancelled;
        self.report_skipped();
        self.record_dependencies();
        self.record_data();
        self.publish();
        self.record_checks();
        let problems = self.graph.take_problems();
        // What the plan warned of is not said twice.
        let said = std::mem::take(&mut self.report.diagnostics).into_iter().chain(problems);
        self.report.diagnostics = said.filter(|it| self.plan.warnings.iter().all(|warned| warned != it)).collect();
    }

    /// Records what objects that stay as they are depend on now. Where something that one depends on was to be changed
    /// and was not, that may still depend on it, and the record would make a circle: a later apply writes it.
    fn record_dependencies(&mut self) {
        let failed = self.report.failed.iter().map(|failed| &failed.address.resource);
        let skipped = self.report.skipped.iter().map(|skipped| &skipped.address.resource);
        let open: BTreeSet<ResourceAddress> = failed.chain(skipped).cloned().collect();
        let unneeded = (0..self.plan.changes.len()).filter_map(|at| self.depends_unneeded(at));
        let depends = self.plan.depends.iter().cloned().chain(unneeded);
        let sound = depends.filter(|depends| !depends.dependencies.iter().any(|resource| open.contains(resource)));
        let records: Vec<Work> = sound
            .map(|Depends { address, identity, dependencies, create_before_destroy }| {
                Work::Record(Event::Depends { address, identity, dependencies, create_before_destroy })
            })
            .collect();
        self.work.extend(records);
    }

    /// Records what data sources gave, where that is new, and drops what no definition asks for any more.
    fn record_data(&mut self) {
        let input = self.graph.input().clone();
        let read = std::mem::take(&mut self.read);
        let read: BTreeMap<InstanceAddress, ReadData> = self.plan.data.iter().cloned().chain(read).collect();
        let skipped = self.report.skipped.iter().map(|it| &it.address);
        let open: BTreeSet<&InstanceAddress> = skipped.chain(self.report.failed.iter().map(|it| &it.address)).collect();
        let records = data_records(&input, &read, |address| open.contains(address));
        self.work.extend(records.into_iter().map(Work::Record));
    }

    /// What the object of a change that turned out to need nothing depends on, where that is new.
    fn depends_unneeded(&self, change: usize) -> Option<Depends> {
        self.states.get(change).filter(|state| state.unneeded && !state.failed)?;
        let planned = self.change(change)?;
        let object = self.object(planned)?;
        let (address, identity) = (planned.address.clone(), object.identity.clone());
        let (dependencies, create_before_destroy) =
            (self.dependencies(change, Action::Update), planned.create_before_destroy);
        let differs = object.dependencies != dependencies || object.create_before_destroy != create_before_destroy;
        differs.then_some(Depends { address, identity, dependencies, create_before_destroy })
    }

    fn report_skipped(&mut self) {
        for at in 0..self.plan.changes.len() {
            if self.states.get(at).is_some_and(|state| state.failed) {
                continue;
            }
            let parts = self.parts.get(&at).cloned().unwrap_or_default();
            let open = parts.iter().copied().find(|step| self.walk.status(*step) != Status::Done);
            let Some(open) = open else { continue };
            let reason = match self.walk.status(open) {
                Status::Skipped(step) => {
                    let cause = self.plan.steps.get(step).and_then(|step| step.kind.change());
                    let cause = cause.and_then(|change| self.change(change)).map(|change| change.address.clone());
                    SkipReason::Needs(cause.into_iter().collect())
                }
                _ => SkipReason::Cancelled,
            };
            if matches!(self.plan.steps.get(open).map(|step| step.kind), Some(StepKind::Make(_))) {
                self.fail_node(at);
            }
            let Some(change) = self.change(at) else { continue };
            let is_done = |step: &usize| self.walk.status(*step) == Status::Done;
            let half = parts.iter().any(is_done)
                && matches!(self.plan.steps.get(open).map(|step| step.kind), Some(StepKind::Remove(_)));
            let action = if half { PlannedAction::DeleteDeposed } else { change.action.clone() };
            let skipped = Skipped { address: change.address.clone(), action, reason };
            self.report.skipped.push(skipped);
        }
    }

    /// Publishes the outputs of every stack of the plan, where they differ from those published before. An output
    /// that cannot be evaluated, as what it reads failed, is what the plan said, as far as that was all known, and stays
    /// as it was where it was not; so does one that was not planned.
    fn publish(&mut self) {
        let input = self.graph.input().clone();
        for stack in self.plan.stacks.clone() {
            let before = input.state.published.get(&stack);
            let planned: Vec<PlannedOutput> = self
                .plan
                .outputs
                .iter()
                .filter(|output| output.stack == stack && output.after.is_some())
                .cloned()
                .collect();
            let is_gone = self.plan.mode == PlanMode::Destroy || !self.graph.roots().contains_key(&stack);
            if is_gone {
                if before.is_some() && planned.is_empty() && !self.is_left(&stack) {
                    self.work.push(Work::Record(Event::Withdrawn { stack }));
                }
                continue;
            }
            let (changing, kept): (Vec<_>, Vec<_>) = planned.into_iter().partition(PlannedOutput::changes);
            let mut outputs: Outputs =
                kept.into_iter().filter_map(|output| Some((output.name, output.before?))).collect();
            let values = match self.plan.mode {
                PlanMode::Normal => self.output_values(&changing),
                _ => changing.iter().map(|output| output.after.clone()).collect(),
            };
            for (output, value) in changing.into_iter().zip(values) {
                let foreseen = output.after.filter(Value::is_wholly_known);
                outputs.extend(value.or(foreseen).or(output.before).map(|value| (output.name, value)));
            }
            if before.is_some_and(|before| *before == outputs) || before.is_none() && outputs.is_empty() {
                continue;
            }
            if outputs.is_empty() {
                self.work.push(Work::Record(Event::Withdrawn { stack }));
                continue;
            }
            self.report.published.insert(Arc::clone(&stack), outputs.clone());
            self.work.push(Work::Record(Event::Published { stack, outputs }));
        }
    }

    /// Evaluates the outputs as far as that goes without providers' functions; whether one is asked first.
    pub(super) fn want_outputs(&mut self) -> bool {
        if self.plan.mode != PlanMode::Normal {
            return false;
        }
        let changing: Vec<PlannedOutput> =
            self.plan.outputs.iter().filter(|output| output.changes() && output.after.is_some()).cloned().collect();
        self.output_values(&changing);
        self.ask_calls() || !self.work.is_empty()
    }

    fn output_values(&mut self, outputs: &[PlannedOutput]) -> Vec<Option<Value>> {
        let roots = self.graph.roots().clone();
        let mut nodes = Vec::with_capacity(outputs.len());
        for PlannedOutput { stack, name, .. } in outputs {
            let root = roots.get(stack);
            nodes.push(root.map(|root| self.graph.want(Key::Output(*root, Arc::clone(name)))));
        }
        loop {
            for configured in self.graph.advance() {
                match self.is_beside(&configured) {
                    true => self.ask_beside(configured),
                    // It is read by an output, and the plan did not get as far.
                    false => self.graph.fail(configured.node),
                }
            }
            let open = nodes.iter().flatten().any(|node| !self.graph.is_settled(*node));
            if !open || self.graph.has_calls() || !self.beside.is_empty() || !self.graph.unblock() {
                break;
            }
        }
        let known = |value: &&Value| value.is_wholly_known();
        nodes.into_iter().map(|node| self.graph.value(node?).filter(known).cloned()).collect()
    }

    /// Whether anything is left of a stack that was to be deleted.
    fn is_left(&self, stack: &str) -> bool {
        let mut failed = self.report.failed.iter().map(|failed| &failed.address);
        let mut skipped = self.report.skipped.iter().map(|skipped| &skipped.address);
        let is_of = |address: &InstanceAddress| &*address.resource.stack == stack;
        failed.any(is_of) || skipped.any(is_of)
    }
}
