//! What an apply asks for no change of its plan: what ephemeral resources give, and data that a `check` alone reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::{Answer, CheckStatus, Checked, CheckedKind, InstanceAddress, Kept, Mode, Question, Via};
use andon_text::{Diagnostic, Diagnostics};

use super::{Applier, Work};
use crate::graph::{Configured, latest, warnings};
use crate::planner::ephemeral;
use crate::records::check_records;
use crate::{PlanMode, QuestionId, complaints};

impl Applier {
    pub(super) fn is_beside(&self, configured: &Configured) -> bool {
        configured.address.resource.mode == Mode::Ephemeral || self.graph.is_scoped(configured.node)
    }

    pub(super) fn ask_beside(&mut self, configured: Configured) {
        let (address, config) = (configured.address.clone(), configured.config.clone());
        let via = configured.provider.clone();
        let via = via.map(|(provider, meta)| Box::new(Via { provider, kept: Kept::default(), meta }));
        let question = match (address.resource.mode, via) {
            (Mode::Ephemeral, Some(via)) if config.is_wholly_known() => {
                Question::OpenEphemeral { address, via, config }
            }
            (Mode::Data, via) if config.is_wholly_known() => Question::ReadData { address, via, config },
            _ => {
                let problem = Diagnostic::error("its configuration is still not known").subject(address.to_string());
                return self.failed_beside(&configured, problem.at(configured.definition.span).into());
            }
        };
        let id = QuestionId(self.fresh());
        self.beside.insert(id, configured);
        self.work.push(Work::Ask(id, question));
    }

    pub(super) fn answered_beside(&mut self, configured: Configured, answer: Answer) {
        match answer {
            Answer::Object(Some(value)) if configured.address.resource.mode == Mode::Ephemeral => {
                self.graph.finish(configured.node, ephemeral(value), false);
            }
            Answer::Object(Some(value)) => self.graph.finish(configured.node, value, false),
            Answer::Failed(failure) => {
                let failure = failure.without_secrets_of(&configured.config);
                let refusal = complaints::refusal(&failure, &configured.address, &configured.definition);
                self.failed_beside(&configured, refusal);
            }
            _ => {
                let problem = Diagnostic::error("the provider answered another question");
                self.failed_beside(&configured, problem.subject(configured.address.to_string()).into());
            }
        }
    }

    fn failed_beside(&mut self, configured: &Configured, problems: Diagnostics) {
        let only_warned = self.graph.is_scoped(configured.node);
        self.report.diagnostics.extend(if only_warned { warnings(problems) } else { problems });
        self.graph.fail(configured.node);
    }

    /// Has the checks judged again that the plan did not find to hold: of what it could not judge, more may be known, and
    /// beside an assertion that does not hold may be such a one. So it has the conditions of what stays as it is that hang
    /// on what was not known. Whether there is anything to wait for.
    pub(super) fn want_checks(&mut self) -> bool {
        if self.plan.mode != PlanMode::Normal {
            return false;
        }
        let is_open = |checked: &&Checked| checked.kind == CheckedKind::Check && checked.status != CheckStatus::Pass;
        let hangs =
            |checked: &&Checked| checked.kind == CheckedKind::Resource && checked.status == CheckStatus::Unknown;
        let mut open: Vec<(Arc<str>, String)> = Vec::new();
        let mut instances: Vec<InstanceAddress> = Vec::new();
        for (stack, results) in &self.plan.checks {
            open.extend(results.iter().filter(is_open).map(|it| (Arc::clone(stack), it.object.clone())));
            let found = results.iter().filter(hangs).filter_map(|it| InstanceAddress::parse(&it.object).ok());
            instances.extend(found.map(|mut address| {
                address.resource.stack = Arc::clone(stack);
                address
            }));
        }
        loop {
            let modules = self.graph.modules_open();
            let mut waits = false;
            for (stack, object) in &open {
                let node = self.graph.want_check(stack, object);
                waits |= node.is_some_and(|node| !self.graph.is_settled(node));
            }
            for address in &instances {
                let node = self.graph.want_conditions(address);
                waits |= node.is_some_and(|node| !self.graph.is_settled(node));
            }
            self.evaluate();
            if !self.work.is_empty() || !self.beside.is_empty() || waits && self.graph.unblock() {
                return true;
            }
            // A module that was opened on the way to a check is gone into.
            if self.graph.modules_open() == modules {
                return false;
            }
        }
    }

    /// Records what conditions came to, where that is new.
    pub(super) fn record_checks(&mut self) {
        let mut results: BTreeMap<Arc<str>, Vec<Checked>> = self.plan.checks.clone();
        for (stack, found) in self.graph.checked().by_stack() {
            let known = results.entry(stack).or_default();
            *known = latest(std::mem::take(known), found);
        }
        let records = check_records(self.graph.input(), &self.plan, results);
        self.work.extend(records.into_iter().map(Work::Record));
    }
}
