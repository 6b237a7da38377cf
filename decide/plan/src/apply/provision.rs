//! What runs for an object once it is made, or before it is deleted.
//!
//! An object that is not ready before its provisioners have run is recorded as tainted until then: a run that is cut
//! short in between leaves an object that the next plan replaces. Provisioners have no intent of their own, as nobody
//! can look what came of them.

use andon_ledger::{Action, Event, Progress};
use andon_schema::{Command, Identity, ObjectStatus, Outcome, ProvisionerRun};
use andon_text::Diagnostics;
use andon_value::Value;

use super::{Applier, CommandId, Work};
use crate::PlannedAction;
use crate::graph::{NodeId, has_late_provisioners};
use crate::plan::ReplaceOrder;

/// Provisioners that are to be run for one object, or run.
#[derive(Debug)]
pub(super) struct Provisioning {
    change: usize,
    step: usize,
    identity: Identity,
    object: Value,
    /// Before the object is deleted.
    late: bool,
    /// What they come to.
    node: NodeId,
}

impl Applier {
    /// Whether an object that was made is ready only once provisioners have run.
    pub(super) fn is_provisioned(&self, change: usize, action: Action) -> bool {
        let definition = self.states.get(change).and_then(|state| state.configured.as_ref());
        let mut provisioners = definition.iter().flat_map(|configured| &configured.definition.provisioners);
        action == Action::Create && provisioners.any(|provisioner| !provisioner.on_destroy)
    }

    /// Whether something is to be run before the object of a change is deleted, and was not yet. An object that is not
    /// whole, or that another has taken the place of, goes without.
    pub(super) fn takes_leave(&self, change: usize) -> bool {
        let Some(planned) = self.change(change) else { return false };
        let deleted = match &planned.action {
            PlannedAction::Delete => true,
            PlannedAction::Replace { order, .. } => *order == ReplaceOrder::DeleteFirst,
            _ => false,
        };
        let whole = self.object(planned).is_some_and(|object| object.status != ObjectStatus::Tainted);
        let left = self.states.get(change).is_some_and(|state| state.left);
        deleted && whole && !left && has_late_provisioners(self.graph.input(), &planned.address.resource)
    }

    /// Runs the provisioners of a change for an object, once what they read is known.
    pub(super) fn provision(&mut self, change: usize, step: usize, identity: Identity, object: Value, late: bool) {
        let Some(address) = self.change(change).map(|change| change.address.clone()) else { return };
        let node = self.graph.want_provisioners(&address, late, object.clone());
        self.provisioning.push(Provisioning { change, step, identity, object, late, node });
        self.evaluate_quietly();
        self.provision_known();
    }

    /// Starts the provisioners whose arguments have come.
    pub(super) fn provision_known(&mut self) {
        let all = std::mem::take(&mut self.provisioning);
        let (settled, open): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| self.graph.is_settled(it.node));
        self.provisioning = open;
        for it in settled {
            let runs = self.graph.provisioner_runs(it.node).map(|runs| runs.to_vec());
            match runs {
                Some(runs) => self.run_provisioners(it, runs),
                None => {
                    let mut problems = self.graph.take_problems();
                    if problems.is_empty() {
                        let detail = "Something that its provisioners read failed.";
                        problems = self.complaint(it.change, "its provisioners cannot be run", detail);
                    }
                    self.not_provisioned(&it, problems);
                }
            }
        }
    }

    fn run_provisioners(&mut self, it: Provisioning, runs: Vec<ProvisionerRun>) {
        let known = |run: &ProvisionerRun| run.config.is_wholly_known() && run.connection.is_wholly_known();
        if !runs.iter().all(known) {
            let detail = "What a provisioner is given is still not known. A provider left something unknown.";
            let complaint = self.complaint(it.change, "its provisioners cannot be run", detail);
            return self.not_provisioned(&it, complaint);
        }
        if runs.is_empty() {
            return self.provisioned(it);
        }
        let Some(address) = self.change(it.change).map(|change| change.address.clone()) else { return };
        let id = CommandId(self.fresh());
        let command = Command::Provision { address, identity: it.identity.clone(), runs: runs.clone() };
        self.running_provisioners.insert(id, (it, runs));
        self.work.push(Work::Do(id, command, None));
    }

    /// Takes the outcome of provisioners; whether the command was one of them.
    pub(super) fn provisioners_ended(&mut self, id: CommandId, outcome: &Outcome) -> bool {
        let Some((it, runs)) = self.running_provisioners.remove(&id) else { return false };
        match outcome {
            Outcome::Done { .. } => self.provisioned(it),
            Outcome::Failed { failure, .. } | Outcome::Lost(failure) => {
                let open = failure.clone();
                let failure = runs.iter().fold(open, |failure, run| {
                    failure.without_secrets_of(&run.config).without_secrets_of(&run.connection)
                });
                let problems = self.refusal(it.change, &failure);
                self.not_provisioned(&it, problems);
            }
        }
        true
    }

    fn provisioned(&mut self, it: Provisioning) {
        let Provisioning { change, step, identity, object, late, .. } = it;
        if late {
            if let Some(state) = self.states.get_mut(change) {
                state.left = true;
            }
            if !self.cancelled {
                self.remove(change, step);
            }
            return;
        }
        let Some(address) = self.change(change).map(|change| change.address.clone()) else { return };
        self.work.push(Work::Record(Event::Marked { address, identity, status: ObjectStatus::Ready }));
        self.made(change, step, object);
    }

    fn not_provisioned(&mut self, it: &Provisioning, problems: Diagnostics) {
        let help = match it.late {
            true => "The object was not deleted. Whatever deletes it next runs this again.",
            false => "The object was made and is marked as tainted: the next apply replaces it.",
        };
        if let (Some(planned), Some(problem)) = (self.change(it.change), problems.iter().next()) {
            let (address, reason) = (planned.address.clone(), problem.summary.clone());
            self.work.push(Work::Tell(Progress::Failed { address, reason }));
        }
        self.step_failed(it.change, it.step, problems.into_iter().map(|problem| problem.help(help)).collect());
    }

    /// Gives up provisioners that were handed out and never begun.
    pub(super) fn withdraw_provisioners(&mut self, id: CommandId) {
        let Some((it, _)) = self.running_provisioners.remove(&id) else { return };
        let complaint = self.complaint(it.change, "its provisioners were not run", "The run was stopped before.");
        self.not_provisioned(&it, complaint);
    }

    /// Gives up the provisioners that what they read will never come for.
    pub(super) fn give_up_provisioning(&mut self) {
        for it in std::mem::take(&mut self.provisioning) {
            let detail = match self.cancelled {
                true => "The run was stopped before.",
                false => "They read something that the plan does everything else before.",
            };
            let complaint = self.complaint(it.change, "its provisioners were not run", detail);
            self.not_provisioned(&it, complaint);
        }
    }
}
