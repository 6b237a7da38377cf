//! From a step that may begin to a command: what is asked, and what is held against the plan.

use std::sync::Arc;

use andon_ledger::{Action, Event, Intent};
use andon_schema::{
    Answer, Command, Failure, FunctionFault, HostReport, InstanceAddress, Kept, Planned, Question, ResourceAddress,
    TypeSchema, Via,
};
use andon_text::Diagnostics;
use andon_value::Value;

use super::outcome::Running;
use super::{Applier, CommandId, Work};
use crate::compare::{contradiction, ignoring, same, with_marks_of, with_marks_of_schema, written};
use crate::complaints;
use crate::conclude::storable;
use crate::duties::{self, Fault};
use crate::graph::{Configured, Place};
use crate::plan::ReplaceOrder;
use crate::{Drift, PlannedAction, PlannedChange, QuestionId, StepKind};

/// What will be done to make an instance what it should be.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    Create(Resolved),
    Update(Resolved),
    Read {
        config: Value,
    },
    /// It is as it should be.
    Nothing(Value),
}

/// What an object is made of, or changed to, now that everything is known.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub config: Value,
    pub planned: Value,
    /// What the plugin plans to keep.
    pub kept: Kept,
    pub legacy: bool,
}

/// A question about a change.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub change: usize,
    kind: InquiryKind,
    config: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InquiryKind {
    /// What would become of the object.
    Object,
    /// What a new object would be.
    New,
    /// What the data is.
    Data,
}

impl Applier {
    /// Takes the answer to a question. One to a question that it did not ask, or that was answered, is ignored.
    pub fn answer(&mut self, id: QuestionId, answer: Answer) {
        if let Some(call) = self.called.remove(&id) {
            let answer = match answer {
                Answer::Function(answer) => answer,
                other => Err(FunctionFault::of(other)),
            };
            return self.graph.called(&call, answer);
        }
        if let Some(configured) = self.beside.remove(&id) {
            return self.answered_beside(configured, answer);
        }
        let Some(inquiry) = self.asked.remove(&id) else { return };
        if self.cancelled {
            return;
        }
        let change = inquiry.change;
        match (inquiry.kind, answer) {
            (InquiryKind::Data, Answer::Object(Some(value))) => self.data_read(change, &value, &inquiry.config),
            (InquiryKind::New, Answer::Planned(planned)) => self.planned_new(inquiry, *planned),
            (InquiryKind::Object, Answer::Planned(planned)) => self.planned(inquiry, *planned),
            (_, Answer::Failed(failure)) => {
                let problems = self.refusal(change, &failure.without_secrets_of(&inquiry.config));
                self.refuse(change, problems);
            }
            _ => self.refuse(change, self.complaint(change, "the provider answered another question", "")),
        }
    }

    pub(super) fn begin_make(&mut self, change: usize, step: usize) {
        self.decide(change, step);
    }

    pub(super) fn begin_remove(&mut self, change: usize, step: usize) {
        if let Some((address, identity)) = self.forgotten(change) {
            self.work.push(Work::Record(Event::Forgotten { address, identity }));
            return self.step_done(change, step);
        }
        if self.must_confirm(change, step) {
            self.decide(change, step);
        } else {
            self.remove(change, step);
        }
    }

    /// Why a provider refused a change, at the places of its definition.
    pub(super) fn refusal(&self, change: usize, failure: &Failure) -> Diagnostics {
        let Some(planned) = self.change(change) else { return Diagnostics::new() };
        if let (Some(provider), false) = (&failure.of, failure.complaints.is_empty()) {
            let block = self.graph.input().provider_block(&planned.address.resource.stack, provider);
            return complaints::misconfigured(&failure.complaints, provider, block);
        }
        match self.graph.input().definition(&planned.address.resource) {
            Some(definition) => complaints::refusal(failure, &planned.address, definition),
            None if failure.complaints.is_empty() => failure.diagnostic(&planned.address).into(),
            None => failure.complaints.iter().map(|it| complaints::diagnostic(it, &planned.address)).collect(),
        }
    }

    /// Whether an object is deleted first, for a replacement of which only now it can be known whether it is needed.
    fn must_confirm(&self, change: usize, step: usize) -> bool {
        let Some(planned) = self.change(change) else { return false };
        let open = planned.config.as_ref().is_some_and(|config| !config.is_wholly_known());
        let first = matches!(planned.action, PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, .. });
        if !open || !first || is_forced(planned) {
            return false;
        }
        let after = |at: usize| self.plan.steps.get(at).map_or(&[][..], |step| step.after.as_slice());
        let make = self.parts.get(&change).into_iter().flatten().copied();
        let mut make =
            make.filter(|at| self.plan.steps.get(*at).is_some_and(|step| step.kind == StepKind::Make(change)));
        make.next().is_some_and(|make| after(make).iter().all(|other| *other == step || after(step).contains(other)))
    }

    /// Finds out what is to be done, and goes on with the step once that is known.
    fn decide(&mut self, change: usize, step: usize) {
        let Some(state) = self.states.get_mut(change) else { return };
        state.step = Some(step);
        if state.decision.is_some() {
            return self.decided(change);
        }
        if state.configured.is_some() {
            return self.inquire(change);
        }
        self.awaiting.insert(change);
        self.place(change);
    }

    /// Wants the configuration of a change, once its module is open.
    fn place(&mut self, change: usize) {
        let Some(address) = self.change(change).map(|change| change.address.clone()) else { return };
        self.unplaced.remove(&change);
        match self.graph.locate(&address) {
            Place::Node(node) => {
                if let Some(state) = self.states.get_mut(change) {
                    state.node = Some(node);
                }
            }
            Place::Behind => drop(self.unplaced.insert(change)),
            Place::Nowhere => {
                self.awaiting.remove(&change);
                let summary = "the definitions are not those that the plan was made from";
                self.refuse(change, self.complaint(change, summary, "They do not have this instance any more."));
            }
        }
    }

    /// Evaluates all that can be, and goes on with the changes whose configuration came.
    pub(super) fn evaluate(&mut self) {
        loop {
            let configured = self.graph.advance();
            let idle = configured.is_empty();
            self.ask_calls();
            for instance in configured {
                self.configured(instance);
            }
            let unplaced = self.unplaced.clone();
            unplaced.iter().for_each(|change| self.place(*change));
            self.take_failures();
            self.remove_configured();
            self.provision_known();
            if idle && (unplaced.is_empty() || unplaced == self.unplaced) {
                return;
            }
        }
    }

    /// Asks for what providers' functions give; whether there was anything to ask.
    pub(super) fn ask_calls(&mut self) -> bool {
        let calls = self.graph.take_calls();
        let any = !calls.is_empty();
        for call in calls {
            let id = QuestionId(self.fresh());
            self.work.push(Work::Ask(id, Question::CallFunction(Arc::clone(&call))));
            self.called.insert(id, call);
        }
        any
    }

    fn configured(&mut self, configured: Configured) {
        if self.is_beside(&configured) {
            return self.ask_beside(configured);
        }
        let at = self.by_address.get(&configured.address).copied();
        let state = at.and_then(|at| self.states.get_mut(at));
        let (Some(at), Some(state)) = (at, state) else {
            // Something reads an instance that the plan does not have.
            self.graph.fail(configured.node);
            return;
        };
        state.node = Some(configured.node);
        state.configured = Some(configured);
        if self.awaiting.remove(&at) {
            self.inquire(at);
        }
    }

    /// Gives up the changes whose configuration cannot be evaluated.
    fn take_failures(&mut self) {
        let has_failed = |change: &usize| {
            let node = self.states.get(*change).and_then(|state| state.node);
            node.is_some_and(|node| self.graph.has_failed(node))
        };
        let failed: Vec<usize> = self.awaiting.iter().copied().filter(has_failed).collect();
        let mut problems = self.graph.take_problems();
        for change in failed {
            self.awaiting.remove(&change);
            let mut own = std::mem::take(&mut problems);
            if own.is_empty() {
                own = self.complaint(change, "what it reads has no value", "Something that it reads failed.");
            }
            self.refuse(change, own);
        }
        self.report.diagnostics.extend(problems);
    }

    /// Gives up the changes whose configuration will never come.
    pub(super) fn give_up_awaiting(&mut self) {
        for change in std::mem::take(&mut self.awaiting) {
            let complaint = self.complaint(
                change,
                "the definitions are not those that the plan was made from",
                "It reads something that the plan does everything else before.",
            );
            self.refuse(change, complaint);
        }
    }

    /// Asks what would become of an instance, unless all was known when it was planned.
    fn inquire(&mut self, change: usize) {
        let Some(configured) = self.states.get(change).and_then(|state| state.configured.clone()) else { return };
        let Some(planned) = self.change(change).cloned() else { return };
        let removed = self.states.get(change).is_some_and(|state| state.removed);
        let replaces = matches!(planned.action, PlannedAction::Replace { .. });
        let whole = configured.config.clone();
        let config = match (&planned.before, self.graph.type_schema(&configured)) {
            (Some(before), Some(schema)) => {
                ignoring(&configured.config, before, &configured.definition.lifecycle.ignore_changes, &schema.block).0
            }
            _ => configured.config,
        };
        if !config.is_wholly_known() {
            let detail = "A provider left something unknown that it reads.";
            return self.refuse(change, self.complaint(change, "its configuration is still not known", detail));
        }
        // A new object has what `ignore_changes` leaves out of an old one, too.
        let made = if replaces { &whole } else { &config };
        let as_planned = planned.config.as_ref().is_some_and(|known| same(known, &storable(made)));
        if planned.action == PlannedAction::Read {
            return self.decision(change, Decision::Read { config });
        }
        if let Some(after) = planned.after.clone().filter(|_| as_planned) {
            let config = made.clone();
            let resolved = Resolved { config, planned: after, kept: planned.kept.clone(), legacy: planned.legacy };
            let decision = match planned.action {
                PlannedAction::Update => Decision::Update(resolved),
                _ => Decision::Create(resolved),
            };
            return self.decision(change, decision);
        }
        let kind = match planned.before {
            Some(_) if !removed && !is_forced(&planned) => InquiryKind::Object,
            _ => InquiryKind::New,
        };
        let config = if kind == InquiryKind::New { whole } else { config };
        self.ask(change, kind, config);
    }

    fn ask(&mut self, change: usize, kind: InquiryKind, config: Value) {
        let Some(planned) = self.change(change) else { return };
        let address = planned.address.clone();
        let (identity, prior) = match kind {
            InquiryKind::Object => (planned.identity.clone(), planned.before.clone()),
            InquiryKind::New | InquiryKind::Data => (None, None),
        };
        let kept = match kind {
            InquiryKind::Data => Kept::default(),
            InquiryKind::Object => self.object(planned).map(|object| object.kept.clone()).unwrap_or_default(),
            InquiryKind::New => planned.kept.clone(),
        };
        let via = self.via(change, kept);
        let question = match kind {
            InquiryKind::Data => Question::ReadData { address, via, config: config.clone() },
            InquiryKind::New | InquiryKind::Object => {
                let schema = self.schema(change).filter(|_| via.is_some());
                let proposed = schema.map(|schema| {
                    let before = prior.as_ref().map_or_else(|| Value::null(config.ty()), |it| it.unmark_deep().0);
                    duties::proposed(&schema.block, &before, &config.unmark_deep().0)
                });
                let configured = self.states.get(change).and_then(|state| state.configured.as_ref());
                let written = configured.map(|configured| &configured.config).filter(|it| **it != config).cloned();
                Question::PlanChange { address, identity, via, prior, proposed, config: config.clone(), written }
            }
        };
        let id = QuestionId(self.fresh());
        self.asked.insert(id, Inquiry { change, kind, config });
        self.work.push(Work::Ask(id, question));
    }

    fn planned_new(&mut self, inquiry: Inquiry, planned: Planned) {
        let none = Value::null(inquiry.config.ty());
        if let Some(fault) = self.first_fault(&inquiry, &none, &planned) {
            return self.senseless(inquiry.change, &fault);
        }
        let Planned { value, kept, legacy, .. } = planned;
        match self.contradicted(inquiry.change, &value) {
            Some(detail) => self.contradicts(inquiry.change, &detail),
            None => {
                let resolved = Resolved { config: inquiry.config, planned: value, kept, legacy };
                self.decision(inquiry.change, Decision::Create(resolved));
            }
        }
    }

    /// How an answer differs from what was planned and agreed to.
    fn contradicted(&self, change: usize, value: &Value) -> Option<String> {
        let after = self.change(change)?.after.as_ref()?;
        match self.schema(change).filter(|_| self.is_plugins(change)) {
            Some(schema) => duties::check_completion(&schema.block, after, value).first().map(|it| format!("{it}.")),
            None => contradiction(after, value).map(|attribute| format!("Its {attribute} would be another one.")),
        }
    }

    /// What makes no sense in a plugin's answer.
    fn first_fault(&self, inquiry: &Inquiry, prior: &Value, planned: &Planned) -> Option<Fault> {
        let schema = self.schema(inquiry.change).filter(|_| self.is_plugins(inquiry.change))?;
        let faults = match planned.legacy {
            true => duties::check_planned_type(&schema.block, &planned.value),
            false => duties::check_planned(&schema.block, prior, &inquiry.config, &planned.value),
        };
        faults.into_iter().next()
    }

    fn senseless(&mut self, change: usize, fault: &Fault) {
        let complaint = self.complaint(change, "the provider made a plan that makes no sense", format!("{fault}."));
        let help = "This is a fault of the provider: report it to whoever makes it.";
        self.refuse(change, complaint.into_iter().map(|diagnostic| diagnostic.help(help)).collect());
    }

    /// Holds what would become of an object against what was planned of it.
    fn planned(&mut self, inquiry: Inquiry, mut answer: Planned) {
        let change = inquiry.change;
        let before = self.change(change).and_then(|planned| planned.before.clone()).unwrap_or(Value::NULL);
        if let Some(fault) = self.first_fault(&inquiry, &before, &answer) {
            return self.senseless(change, &fault);
        }
        if let Some(schema) = self.schema(change).filter(|_| self.is_plugins(change)) {
            match duties::replaces(&schema.block, &answer.replace, &before, &answer.value) {
                Ok(replace) => answer.replace = replace,
                Err(fault) => return self.senseless(change, &fault),
            }
        }
        let Planned { value, replace, report, kept, legacy, .. } = answer;
        let Some(planned) = self.change(change) else { return };
        let is_update = planned.action == PlannedAction::Update;
        let before = planned.before.clone().unwrap_or(Value::NULL);
        let after = self.marked(change, &value, &inquiry.config);
        if !replace.is_empty() {
            return match is_update {
                true => {
                    let because: Vec<String> = replace.iter().map(written).collect();
                    let detail = format!("It would be replaced, because of: {}.", because.join(", "));
                    self.contradicts(change, &detail)
                }
                false => {
                    let state = self.states.get(change).and_then(|state| state.configured.as_ref());
                    let whole = state.map_or(inquiry.config, |configured| configured.config.clone());
                    self.ask(change, InquiryKind::New, whole);
                }
            };
        }
        let clean = report.as_ref().is_none_or(HostReport::is_clean);
        let schema = self.schema(change).map(|schema| &schema.block);
        if clean && same(&before, &after) && duties::marks_agree(schema, &before, &after) {
            return self.decision(change, Decision::Nothing(after));
        }
        if let Some(detail) = self.contradicted(change, &value).filter(|_| is_update) {
            return self.contradicts(change, &detail);
        }
        // A replacement of which an update is left: less than was agreed to.
        self.decision(change, Decision::Update(Resolved { config: inquiry.config, planned: value, kept, legacy }));
    }

    /// Whether a plugin would be asked to make an object what it is.
    fn keeps_its_value(&self, change: usize, resolved: &Resolved) -> bool {
        let before = self.change(change).and_then(|change| change.before.as_ref());
        self.is_plugins(change) && before.is_some_and(|before| same(before, &resolved.planned))
    }

    /// Writes down what an object is, to which nothing was done.
    fn observe(&mut self, change: usize, value: &Value) {
        let Some(object) = self.change(change).and_then(|change| self.object(change)).cloned() else { return };
        let Some(address) = self.change(change).map(|change| change.address.clone()) else { return };
        let (identity, value, kept) = (object.identity, Some(storable(value)), object.kept);
        self.work.push(Work::Record(Event::Observed { address, identity, value, kept }));
    }

    fn contradicts(&mut self, change: usize, detail: &str) {
        let complaint = self.complaint(change, "what would be done now is not what was planned", detail);
        let help = "Nothing was done to it. Plan again, to see what would be done now.";
        self.refuse(change, complaint.into_iter().map(|diagnostic| diagnostic.help(help)).collect());
    }

    fn refuse_step(&mut self, change: usize, step: usize, diagnostics: Diagnostics) {
        self.step_failed(change, step, diagnostics);
    }

    /// Nothing is done for a change.
    fn refuse(&mut self, change: usize, diagnostics: Diagnostics) {
        if let Some(step) = self.states.get(change).and_then(|state| state.step) {
            self.step_failed(change, step, diagnostics);
        }
    }

    fn decision(&mut self, change: usize, decision: Decision) {
        let decision = match decision {
            // What is a secret now and was none, or is none any more, is no provider's business.
            Decision::Update(resolved) if self.keeps_its_value(change, &resolved) => {
                let value = self.marked(change, &resolved.planned, &resolved.config);
                self.observe(change, &value);
                Decision::Nothing(value)
            }
            decision => decision,
        };
        if let Some(state) = self.states.get_mut(change) {
            state.decision = Some(decision);
        }
        self.decided(change);
    }

    /// Goes on with the step that waited for the decision.
    fn decided(&mut self, change: usize) {
        let Some(state) = self.states.get(change) else { return };
        let (Some(step), Some(decision)) = (state.step, state.decision.clone()) else { return };
        let removing = matches!(self.plan.steps.get(step).map(|step| step.kind), Some(StepKind::Remove(_)));
        match decision {
            Decision::Create(_) if removing => self.remove(change, step),
            _ if removing => self.step_done(change, step),
            Decision::Create(resolved) => self.create(change, step, resolved),
            Decision::Update(resolved) => self.update(change, step, resolved),
            Decision::Read { config } => self.ask(change, InquiryKind::Data, config),
            Decision::Nothing(value) => {
                let state = self.states.get_mut(change);
                let node = state.and_then(|state| {
                    state.unneeded = true;
                    state.node
                });
                if let Some(node) = node {
                    self.graph.finish(node, value, false);
                }
                // What must hold of it may not have been known while planning.
                self.verify(change, step);
            }
        }
    }

    fn data_read(&mut self, change: usize, value: &Value, config: &Value) {
        let value = self.marked(change, value, config);
        let Some(state) = self.states.get(change) else { return };
        let (node, step) = (state.node, state.step);
        if let Some(configured) = &state.configured {
            let read = self.graph.read_data(configured, value.clone());
            self.read.push((configured.address.clone(), read));
        }
        if let Some(node) = node {
            self.graph.finish(node, value, true);
        }
        if let Some(step) = step {
            self.verify(change, step);
        }
    }

    /// A provider's value with the marks of the configuration and the schema.
    pub(super) fn marked(&self, change: usize, value: &Value, config: &Value) -> Value {
        let value = with_marks_of(value, config);
        match self.schema(change) {
            Some(schema) => with_marks_of_schema(&value, &schema.block),
            None => value,
        }
    }

    /// The schema of the type of a change whose configuration has come.
    pub(super) fn schema(&self, change: usize) -> Option<&TypeSchema> {
        self.graph.type_schema(self.states.get(change)?.configured.as_ref()?)
    }

    /// Whether the planned name alone does not find the object: its type says what tells one of its objects from all others.
    fn is_elsewhere(&self, change: usize) -> bool {
        self.schema(change).is_some_and(|schema| schema.identity.is_some())
    }

    /// Whether a plugin makes what a change is about.
    pub(super) fn is_plugins(&self, change: usize) -> bool {
        self.change(change).is_some_and(|change| change.provider.is_some())
    }

    /// By which plugin a change is made, once its configuration, or that of its provider, has come.
    fn via(&self, change: usize, kept: Kept) -> Option<Box<Via>> {
        let state = self.states.get(change)?;
        let configured = state.configured.as_ref().and_then(|configured| configured.provider.clone());
        let (provider, meta) = match configured {
            Some(configured) => configured,
            None => (self.graph.configured_provider(state.provider?)?.clone(), None),
        };
        Some(Box::new(Via { provider, kept, meta }))
    }

    fn create(&mut self, change: usize, step: usize, resolved: Resolved) {
        let Some(address) = self.change(change).map(|change| change.address.clone()) else { return };
        let identity = (self.identities)();
        let via = self.via(change, resolved.kept.clone());
        let Resolved { config, planned, .. } = resolved.clone();
        let command = Command::Create { address, identity, via, config, planned };
        self.run(change, step, Action::Create, command, Some(resolved));
    }

    fn update(&mut self, change: usize, step: usize, resolved: Resolved) {
        let Some((address, identity, prior)) = self.object_of(change) else { return };
        let via = self.via(change, resolved.kept.clone());
        let Resolved { config, planned, .. } = resolved.clone();
        let command = Command::Update { address, identity, via, prior, config, planned };
        self.run(change, step, Action::Update, command, Some(resolved));
    }

    /// Removes the objects whose provider's configuration has come.
    fn remove_configured(&mut self) {
        let settled = |(change, _): &(usize, usize)| {
            let node = self.states.get(*change).and_then(|state| state.provider);
            node.is_none_or(|node| self.graph.is_settled(node))
        };
        let settled: Vec<(usize, usize)> = self.removing.iter().copied().filter(settled).collect();
        for (change, step) in settled {
            self.removing.remove(&(change, step));
            self.remove(change, step);
        }
    }

    pub(super) fn remove(&mut self, change: usize, step: usize) {
        // Where a replacement turned out not to be needed, or to be an update, the object stays.
        let kept = self.states.get(change).and_then(|state| state.decision.as_ref());
        if matches!(kept, Some(Decision::Nothing(_) | Decision::Update(_))) {
            return self.step_done(change, step);
        }
        let Some(planned) = self.change(change) else { return };
        let (stack, provider) = (Arc::clone(&planned.address.resource.stack), planned.provider.clone());
        let (kept, asked) = self.kept_until_deleted(planned);
        let via = match provider {
            Some(provider) => {
                if self.states.get(change).is_some_and(|state| state.provider.is_none()) {
                    let node = self.graph.want_provider(&stack, &provider);
                    if let Some(state) = self.states.get_mut(change) {
                        state.provider = node;
                    }
                }
                let Some(node) = self.states.get(change).and_then(|state| state.provider) else {
                    let summary = "the definitions are not those that the plan was made from";
                    let detail = format!("They do not have {provider} any more.");
                    return self.refuse_step(change, step, self.complaint(change, summary, detail));
                };
                if !self.graph.is_settled(node) {
                    self.removing.insert((change, step));
                    return;
                }
                let via = self.via(change, kept);
                if via.is_none() {
                    let problems = self.graph.take_problems();
                    let complaint = || self.complaint(change, "its provider could not be configured", "");
                    let problems = if problems.is_empty() { complaint() } else { problems };
                    return self.refuse_step(change, step, problems);
                }
                via
            }
            None => None,
        };
        let Some((address, identity, prior)) = self.object_of(change) else { return };
        if self.takes_leave(change) {
            return self.provision(change, step, identity, prior, true);
        }
        let makes_way_for = self.successor(change);
        let command = Command::Delete { address, identity, via, prior, asked, makes_way_for };
        self.run(change, step, Action::Delete, command, None);
    }

    /// What is to take the place of an object that is deleted first.
    fn successor(&self, change: usize) -> Option<Value> {
        let planned = self.change(change)?;
        let PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, .. } = planned.action else { return None };
        match self.states.get(change).and_then(|state| state.decision.as_ref()) {
            Some(Decision::Create(resolved)) => Some(resolved.planned.clone()),
            _ => planned.after.clone(),
        }
    }

    /// What is given back to the plugin that deletes an object, and whether it was asked about that. As in Terraform, one
    /// that makes way for its replacement goes with what was planned of that; one that its replacement took the place of is
    /// deleted on its own, and the plugin is asked now.
    fn kept_until_deleted(&self, planned: &PlannedChange) -> (Kept, bool) {
        let kept = planned.kept.clone();
        if !matches!(planned.action, PlannedAction::Replace { order: ReplaceOrder::CreateFirst, .. }) {
            return (kept, true);
        }
        let found =
            [&self.plan.drift, &self.plan.settled].into_iter().flat_map(|list| found_at(list, &planned.address));
        let mut found = found.filter(|drift| Some(&drift.identity) == planned.identity.as_ref());
        let found = found.next().map(|drift| &drift.kept);
        let own = found.or_else(|| Some(&self.object(planned)?.kept));
        // The object was read by the schema of today.
        (own.map_or_else(|| kept.clone(), |own| Kept { schema_version: kept.schema_version, ..own.clone() }), false)
    }

    /// The object that a change has forgotten.
    fn forgotten(&self, change: usize) -> Option<(andon_schema::InstanceAddress, andon_schema::Identity)> {
        let planned = self.change(change).filter(|change| change.action == PlannedAction::Forget)?;
        Some((planned.address.clone(), planned.identity.clone()?))
    }

    fn object_of(&self, change: usize) -> Option<(andon_schema::InstanceAddress, andon_schema::Identity, Value)> {
        let planned = self.change(change)?;
        Some((planned.address.clone(), planned.identity.clone()?, planned.before.clone()?))
    }

    fn run(&mut self, change: usize, step: usize, action: Action, command: Command, resolved: Option<Resolved>) {
        let Some(planned) = self.change(change) else { return };
        let identity = command.identity().clone();
        let intent = Intent {
            address: planned.address.clone(),
            action,
            identity: identity.clone(),
            dependencies: self.dependencies(change, action),
            create_before_destroy: planned.create_before_destroy,
            provider: planned.provider.clone(),
            // What is made on this machine is found by its planned name; anything else only by whoever knows where to look,
            // and for what.
            planned: resolved
                .as_ref()
                .filter(|_| action == Action::Create && (planned.provider.is_some() || self.is_elsewhere(change)))
                .map(|resolved| storable(&resolved.planned)),
            provisioned: self.is_provisioned(change, action),
        };
        let id = CommandId(self.fresh());
        self.running.insert(id, Running { change, step, intent: intent.clone(), resolved });
        self.work.push(Work::Do(id, command, Some(intent)));
    }

    /// What the definition reads, by the plan and by what is known now.
    pub(super) fn dependencies(&self, change: usize, action: Action) -> Vec<ResourceAddress> {
        let Some(planned) = self.change(change) else { return Vec::new() };
        if action == Action::Delete {
            let object = self.object(planned);
            return object.map_or_else(|| planned.dependencies.clone(), |object| object.dependencies.clone());
        }
        let mut all = planned.dependencies.clone();
        if let Some(node) = self.states.get(change).and_then(|state| state.node) {
            all.extend(self.graph.addresses(self.graph.resources_read(node)));
        }
        all.retain(|resource| *resource != planned.address.resource);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The object that a change is about, as the state has it.
    pub(super) fn object(&self, planned: &PlannedChange) -> Option<&andon_schema::Object> {
        let instance = self.graph.input().state.instances.get(&planned.address)?;
        let mut objects = instance.current.iter().chain(&instance.deposed);
        objects.find(|object| Some(&object.identity) == planned.identity.as_ref())
    }
}

/// Whether an object is replaced whatever its configuration comes to.
fn is_forced(planned: &PlannedChange) -> bool {
    match &planned.action {
        PlannedAction::Replace { because, .. } => {
            because.iter().any(|why| !matches!(why, crate::ReplaceReason::Fixed(_)))
        }
        _ => false,
    }
}

/// What was found of the objects of an instance, of a list that is in the order of the addresses.
fn found_at<'d>(found: &'d [Drift], address: &InstanceAddress) -> impl Iterator<Item = &'d Drift> {
    let from = found.partition_point(|drift| drift.address < *address);
    found.iter().skip(from).take_while(move |drift| drift.address == *address)
}
