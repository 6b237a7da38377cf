mod deleting;
mod deposed;
mod opening;
mod reading;
mod refusing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_lang::definitions::{IgnoreChanges, ResourceDefinition};
use andon_ledger::ReadData;
use andon_schema::{
    Answer, FoundObject, FunctionCall, FunctionFault, HostReport, Identity, InstanceAddress, Kept, Mode, Object,
    ObjectStatus, Planned, ProviderAddress, ProviderConfigAddress, Question, ResourceAddress, TypeSchema, Via,
};
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Path, Value};

use crate::compare::{foreseen, ignoring, same, with_marks_of, with_marks_of_schema, without_empty};
use crate::complaints;
use crate::duties::{self, Fault};
use crate::feeds::feeds;
use crate::graph::{Configured, Graph, Map, NodeId};
use crate::history;
use crate::removal::removals;
use crate::{
    Drift, Note, Plan, PlanInput, PlanMode, PlannedAction, PlannedChange, Reason, ReplaceReason, conclude, exclusive,
    order,
};

pub(crate) use deposed::Deposed;
pub(crate) use opening::ephemeral;

/// Names one question of one planner or applier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(pub u64);

/// Makes a plan: hands out questions, takes answers in any order.
#[derive(Debug)]
pub struct Planner {
    pub(crate) graph: Graph,
    begun: bool,
    /// What is deleted has been chosen, and how that is is asked.
    pub(crate) chosen: bool,
    done: bool,
    next_question: u64,
    /// What was asked and not yet answered.
    asked: BTreeMap<QuestionId, Asked>,
    /// What is to be asked next.
    questions: Vec<(QuestionId, Question)>,
    /// The objects in use, as they are.
    pub(crate) objects: BTreeMap<InstanceAddress, Found>,
    /// What plugins keep with the objects in use, as they said last.
    pub(crate) kept: BTreeMap<InstanceAddress, Kept>,
    /// Objects that are read once their provider's configuration is there.
    unread: BTreeMap<NodeId, Vec<InstanceAddress>>,
    /// Objects that are not read, and never will be.
    pub(crate) unasked: Vec<InstanceAddress>,
    /// Instances whose configuration is there, and whose object has not been read yet.
    pub(crate) parked: BTreeMap<InstanceAddress, Configured>,
    /// What each instance of the definitions comes to.
    pub(crate) verdicts: BTreeMap<InstanceAddress, Verdict>,
    pub(crate) by_node: Map<NodeId, InstanceAddress>,
    pub(crate) drift: Vec<Drift>,
    pub(crate) settled: Vec<Drift>,
    pub(crate) data: Vec<(InstanceAddress, ReadData)>,
    notes: Vec<Note>,
    pub(crate) problems: Diagnostics,
    /// What has moved; the state of the graph's input is that after it.
    pub(crate) moves: history::Moves,
    pub(crate) imports: history::Imports,
    deletions: deleting::Deletions,
    deposed: Deposed,
}

/// What a planner wants next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one comes once")]
pub enum PlanStep {
    /// These questions, all of which may be answered at once and in any order. Never empty.
    Ask(Vec<(QuestionId, Question)>),
    /// Answers to questions that it asked before.
    Wait,
    /// Nothing: it is done. Asked again, it is [`PlanStep::Wait`].
    Done(Result<Plan, Diagnostics>),
}

/// How an object in use is.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// It is being read, or will be once its provider is configured.
    Asked,
    /// It is read once the configuration of its instance is there: nothing else says by which provider.
    Later,
    /// As it is; `None` where it is gone.
    Known(Option<Value>),
}

#[derive(Debug)]
pub(crate) enum Asked {
    Object(InstanceAddress),
    Deposed(InstanceAddress, Identity),
    Data(Configured),
    Ephemeral(Configured),
    Change(Box<Proposal>),
    Deletion(InstanceAddress, Identity),
    Function(Arc<FunctionCall>),
    /// What is to become the object of an instance.
    Import(Box<Configured>),
}

/// A change that the world was asked about.
#[derive(Debug)]
pub(crate) struct Proposal {
    configured: Configured,
    /// The configuration with what `ignore_changes` leaves out of it: a new object has that, too.
    whole: Option<Value>,
    /// What is left out by that.
    ignored: Vec<String>,
    /// The object as it is; `None` where there is none.
    prior: Option<Value>,
    /// Why it is replaced; empty where that is not so, or not known yet.
    because: Vec<ReplaceReason>,
    /// What of it cannot change in place.
    replace: Vec<Path>,
    /// What the plugin kept with the object, or planned to keep when it was asked first.
    kept: Kept,
    /// It is asked what a new object would be.
    anew: bool,
}

/// What one instance of the definitions comes to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub node: NodeId,
    pub definition: Arc<ResourceDefinition>,
    /// `None` where nothing is done.
    pub change: Option<Change>,
}

/// A change, before its place in the plan is known.
#[derive(Debug)]
pub(crate) struct Change {
    pub kind: ChangeKind,
    pub config: Value,
    pub before: Option<Value>,
    pub after: Value,
    pub report: Option<HostReport>,
    pub provider: Option<Arc<ProviderConfigAddress>>,
    /// What the plugin plans to keep.
    pub kept: Kept,
    pub legacy: bool,
    /// What of it cannot change in place.
    pub replace: Vec<Path>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Create,
    Update,
    Replace(Vec<ReplaceReason>),
    Read,
}

impl Planner {
    /// A planner that has asked nothing yet.
    pub fn new(mut input: PlanInput) -> Planner {
        let mut moves = history::moves(&input);
        if let Some(state) = moves.state.take() {
            input.state = Arc::new(state);
        }
        let destroys = input.mode == PlanMode::Destroy;
        let mut graph = Graph::new(input, !destroys, false);
        if destroys {
            // Only the configurations of providers are evaluated, over what there is.
            graph.settle_by_state();
        }
        Planner {
            graph,
            begun: false,
            chosen: false,
            done: false,
            next_question: 0,
            asked: BTreeMap::new(),
            questions: Vec::new(),
            objects: BTreeMap::new(),
            kept: BTreeMap::new(),
            unread: BTreeMap::new(),
            unasked: Vec::new(),
            parked: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            by_node: Map::default(),
            drift: Vec::new(),
            settled: Vec::new(),
            data: Vec::new(),
            notes: Vec::new(),
            problems: std::mem::take(&mut moves.problems),
            imports: history::Imports::after(&moves),
            deletions: deleting::Deletions::default(),
            deposed: Deposed::default(),
            moves,
        }
    }

    /// What it wants next.
    #[expect(clippy::should_implement_trait, reason = "what it gives is no sequence of items")]
    pub fn next(&mut self) -> PlanStep {
        if self.done {
            return PlanStep::Wait;
        }
        if !self.begun {
            self.begun = true;
            self.begin();
        }
        loop {
            self.evaluate();
            if !self.questions.is_empty() {
                return PlanStep::Ask(std::mem::take(&mut self.questions));
            }
            if !self.asked.is_empty() {
                return PlanStep::Wait;
            }
            if !self.graph.unblock() && !self.go_further() && !self.ask_deletions() {
                self.done = true;
                return PlanStep::Done(self.conclude());
            }
        }
    }

    /// Takes the answer to a question. An answer to a question that it did not ask, or that was answered, is
    /// ignored.
    pub fn answer(&mut self, id: QuestionId, answer: Answer) {
        match (self.asked.remove(&id), answer) {
            (None, _) => {}
            (Some(Asked::Object(address)), Answer::Object(value)) => self.observed(address, value, None),
            (Some(Asked::Object(address)), Answer::Found(found)) => self.found(address, *found),
            (Some(Asked::Deposed(address, identity)), Answer::Found(it)) => self.deposed_found(address, identity, *it),
            (Some(Asked::Import(configured)), Answer::Found(found)) => self.imported(*configured, *found),
            (Some(Asked::Data(configured)), Answer::Object(Some(value))) => self.data_read(&configured, value),
            (Some(Asked::Ephemeral(configured)), Answer::Object(Some(value))) => {
                self.graph.finish(configured.node, ephemeral(value), false);
            }
            (Some(Asked::Function(call)), Answer::Function(answer)) => self.graph.called(&call, answer),
            (Some(Asked::Function(call)), answer) => self.graph.called(&call, Err(FunctionFault::of(answer))),
            (Some(Asked::Change(proposal)), Answer::Planned(planned)) => self.planned(*proposal, *planned),
            (Some(Asked::Deletion(address, identity)), Answer::Planned(it)) => {
                self.deletion_planned(address, identity, *it)
            }
            (Some(asked), answer) => self.refused(&asked, answer),
        }
    }

    pub(crate) fn input(&self) -> &PlanInput {
        self.graph.input()
    }

    pub(crate) fn ask(&mut self, asked: Asked, question: Question) {
        let id = QuestionId(self.next_question);
        self.next_question += 1;
        self.asked.insert(id, asked);
        self.questions.push((id, question));
    }

    /// Evaluates all that can be, and asks about every instance that has a configuration.
    fn evaluate(&mut self) {
        loop {
            let configured = self.graph.advance();
            for call in self.graph.take_calls() {
                self.ask(Asked::Function(Arc::clone(&call)), Question::CallFunction(call));
            }
            self.read_configured();
            self.ask_deposed();
            self.take_imports();
            if configured.is_empty() {
                return;
            }
            for instance in configured {
                self.configured(instance);
            }
        }
    }

    pub(crate) fn configured(&mut self, configured: Configured) {
        self.by_node.insert(configured.node, configured.address.clone());
        if configured.address.resource.mode == Mode::Ephemeral {
            return self.open_ephemeral(configured);
        }
        match self.objects.get(&configured.address) {
            Some(Found::Asked) => drop(self.parked.insert(configured.address.clone(), configured)),
            Some(Found::Later) if self.imports.retyped.contains_key(&configured.address) => {
                self.move_object(configured)
            }
            Some(Found::Later) if configured.provider.is_none() && !self.input().refresh => {
                let prior = self.object(&configured.address).map(|object| object.value.clone());
                self.objects.insert(configured.address.clone(), Found::Known(prior.clone()));
                self.propose(configured, prior);
            }
            Some(Found::Later) => {
                self.objects.insert(configured.address.clone(), Found::Asked);
                self.ask_object(&configured.address, configured.provider.clone());
                self.parked.insert(configured.address.clone(), configured);
            }
            Some(Found::Known(value)) => {
                let prior = value.clone();
                self.propose(configured, prior);
            }
            None if configured.address.resource.mode == Mode::Data => self.propose_read(configured),
            None => {
                if let Some(configured) = self.import_first(configured) {
                    self.propose(configured, None);
                }
            }
        }
    }

    /// What a plugin said of an object that it was asked about.
    fn found(&mut self, address: InstanceAddress, found: FoundObject) {
        let FoundObject { stored, now, kept, warnings } = found;
        let span = self.span_of(&address.resource);
        self.warn(&address, span, &warnings);
        self.kept.insert(address.clone(), kept);
        let Some(provider) = self.object(&address).and_then(|object| object.provider.clone()) else {
            return self.unreadable(&address);
        };
        let mut read = |value| self.as_read(&address, &provider, value);
        let (Some(stored), Ok(now)) = (read(stored), now.map(|now| read(now).ok_or(())).transpose()) else {
            return self.unreadable(&address);
        };
        self.observed(address, now, Some(stored));
    }

    /// What a plugin read, made sound; `None` where it cannot be: it is said why.
    fn as_read(&mut self, address: &InstanceAddress, provider: &ProviderConfigAddress, value: Value) -> Option<Value> {
        let schemas = self.input().schemas.providers.get(&provider.provider)?;
        let schema = schemas.types(address.resource.mode).get(&*address.resource.kind);
        let Some(schema) = schema else {
            let kind = &address.resource.kind;
            let diagnostic = Diagnostic::error(format!("the provider {} has no {kind} any more", provider.provider));
            self.problems.push(diagnostic.subject(address.to_string()).help("Install a version of it that has."));
            return None;
        };
        let read = duties::check_read(&schema.block, &value);
        if read.value.is_none() {
            let span = self.span_of(&address.resource);
            self.blame(address, span, &provider.provider, "read what makes no sense", &read.faults);
        }
        read.value
    }

    /// Complains about a provider's answer.
    pub(crate) fn blame(
        &mut self,
        address: &InstanceAddress,
        span: Option<Span>,
        provider: &ProviderAddress,
        what: &str,
        faults: &[Fault],
    ) {
        for fault in faults {
            let diagnostic = Diagnostic::error(format!("the provider {provider} {what}"))
                .subject(address.to_string())
                .detail(format!("{fault}."))
                .help("This is a fault of the provider: report it to whoever makes it.");
            self.problems.push(Diagnostic { span, ..diagnostic });
        }
    }

    /// `stored` is what the state says, as its provider reads that today.
    fn observed(&mut self, address: InstanceAddress, value: Option<Value>, stored: Option<Value>) {
        let state = Arc::clone(&self.input().state);
        let Some(object) = state.current(&address) else { return };
        let value = value.map(|value| with_marks_of(&value, &object.value));
        let before = stored.map_or_else(|| object.value.clone(), |stored| with_marks_of(&stored, &object.value));
        // Plugins are not of one mind whether what is empty is there.
        let plain = |value: &Value| if object.provider.is_some() { without_empty(value) } else { value.clone() };
        let differs = value.as_ref().is_none_or(|value| !same(&plain(value), &plain(&before)));
        let kept = self.kept.get(&address);
        let upgraded = kept.is_some_and(|kept| kept.schema_version != object.kept.schema_version);
        if differs || upgraded || value.as_ref().is_some_and(|value| !same(value, &before)) {
            let (identity, after) = (object.identity.clone(), value.clone());
            let kept = kept.cloned().unwrap_or_default();
            let list = if differs { &mut self.drift } else { &mut self.settled };
            list.push(Drift {
                address: address.clone(),
                identity,
                before,
                after,
                report: None,
                kept,
                provider: object.provider.clone(),
                background: !differs,
                feeds: Vec::new(),
            });
        }
        self.objects.insert(address.clone(), Found::Known(value.clone()));
        if let Some(configured) = self.parked.remove(&address) {
            self.propose(configured, value);
        }
    }

    fn propose_read(&mut self, configured: Configured) {
        let provider_known = configured.provider.as_ref().is_none_or(|(it, _)| it.config.is_wholly_known());
        let known = configured.config.is_wholly_known() && provider_known && !configured.unchecked;
        if known && !self.graph.reads_touched(configured.node) {
            let via = self.via(&configured, Kept::default());
            let question =
                Question::ReadData { address: configured.address.clone(), via, config: configured.config.clone() };
            self.ask(Asked::Data(configured), question);
            return;
        }
        let Some(after) = self.foreseen(&configured) else { return };
        // Such plans make nothing that a reading could wait for.
        if self.input().mode != PlanMode::Normal {
            let after = self.read_before(&configured).unwrap_or(after);
            return self.conclude_instance(configured, after, None);
        }
        // The apply reads it for its check, and nothing else hangs on it.
        if self.graph.is_scoped(configured.node) {
            return self.graph.finish(configured.node, after, true);
        }
        let address = configured.address.clone();
        self.note(&address, Reason::Deferred { on: self.graph.addresses(self.graph.resources_read(configured.node)) });
        self.graph.finish(configured.node, after.clone(), true);
        let kind = ChangeKind::Read;
        let provider = provider_address(&configured);
        let change = Change { provider, ..Change::plain(kind, configured.config, None, after, None) };
        let verdict = Verdict { node: configured.node, definition: configured.definition, change: Some(change) };
        self.verdicts.insert(address, verdict);
    }

    fn data_read(&mut self, configured: &Configured, value: Value) {
        let mut value = value;
        if let (Some((provider, _)), Some(schema)) = (&configured.provider, self.graph.type_schema(configured)) {
            let read = duties::check_read(&schema.block, &value);
            let name = provider.address.provider.clone();
            match read.value.filter(|_| read.faults.is_empty()) {
                Some(read) => value = read,
                None => {
                    let span = Some(configured.definition.span);
                    self.blame(&configured.address, span, &name, "read what makes no sense", &read.faults);
                    return self.graph.fail(configured.node);
                }
            }
        }
        let value = self.marked(configured, &value);
        self.data.push((configured.address.clone(), self.graph.read_data(configured, value.clone())));
        self.graph.finish(configured.node, value, false);
    }

    /// Asks what would become of an instance, now that its configuration and its object are known.
    pub(crate) fn propose(&mut self, mut configured: Configured, prior: Option<Value>) {
        if self.input().mode == PlanMode::Destroy {
            // It is only read: by the configuration of a provider.
            if let Some(value) = prior.or_else(|| self.foreseen(&configured)) {
                self.conclude_instance(configured, value, None);
            }
            return;
        }
        if configured.unchecked {
            self.note(&configured.address, Reason::Unchecked);
        }
        if prior.is_none() && self.input().mode == PlanMode::RefreshOnly {
            if !self.objects.contains_key(&configured.address) {
                self.note(&configured.address, Reason::NotCreated);
            }
            // Nothing is made that anybody could know.
            if let Some(after) = self.foreseen(&configured) {
                self.conclude_instance(configured, Value::unknown(after.ty()), None);
            }
            return;
        }
        let tainted = self.object(&configured.address).is_some_and(|object| object.status == ObjectStatus::Tainted);
        let mut because = Vec::new();
        if prior.is_some() && self.input().mode == PlanMode::Normal {
            because.extend(tainted.then_some(ReplaceReason::Tainted));
            let requested = self.input().scope.replace.contains(&configured.address);
            because.extend(requested.then_some(ReplaceReason::Requested));
            because.extend(
                configured
                    .triggers
                    .iter()
                    .filter(|trigger| self.fires(trigger))
                    .map(|trigger| ReplaceReason::Triggered(trigger.text.to_string())),
            );
        }
        let (mut whole, mut ignored) = (None, Vec::new());
        if let Some(prior) = &prior
            && !because.contains(&ReplaceReason::Tainted)
            && configured.definition.lifecycle.ignore_changes != IgnoreChanges::None
            && let Some(schema) = self.graph.type_schema(&configured)
        {
            let unwanted = &configured.definition.lifecycle.ignore_changes;
            let (config, attributes) = ignoring(&configured.config, prior, unwanted, &schema.block);
            whole = Some(std::mem::replace(&mut configured.config, config));
            ignored = attributes;
        }
        // What of it could not change in place is asked, too, save of what is as good as gone.
        let anew = prior.is_none() || because.contains(&ReplaceReason::Tainted);
        let kept = self.kept.get(&configured.address).cloned().unwrap_or_default();
        self.ask_change(Proposal { configured, whole, ignored, prior, because, replace: Vec::new(), kept, anew });
    }

    /// By which plugin an instance is made, and what that is given back.
    pub(crate) fn via(&self, configured: &Configured, kept: Kept) -> Option<Box<Via>> {
        let (provider, meta) = configured.provider.clone()?;
        Some(Box::new(Via { provider, kept, meta }))
    }

    fn ask_change(&mut self, proposal: Proposal) {
        let address = proposal.configured.address.clone();
        let config = proposal.configured.config.clone();
        let (identity, prior) = match proposal.anew {
            true => (None, None),
            false => (self.object(&address).map(|object| object.identity.clone()), proposal.prior.clone()),
        };
        let via = self.via(&proposal.configured, proposal.kept.clone());
        let proposed = match (&via, self.graph.type_schema(&proposal.configured)) {
            (Some(_), Some(schema)) => {
                let prior = prior.as_ref().map_or_else(|| Value::null(config.ty()), |prior| prior.unmark_deep().0);
                Some(duties::proposed(&schema.block, &prior, &config.unmark_deep().0))
            }
            _ => None,
        };
        let written = proposal.whole.clone();
        let question = Question::PlanChange { address, identity, via, prior, proposed, config, written };
        self.ask(Asked::Change(Box::new(proposal)), question);
    }

    /// Holds a plugin's answer against what it was asked. `false` where it is refused; it is said why.
    fn sound(&mut self, proposal: &Proposal, planned: &mut Planned) -> bool {
        let Some((provider, _)) = &proposal.configured.provider else { return true };
        let Some(schema) = self.graph.type_schema(&proposal.configured) else { return true };
        let block = &schema.block;
        let config = proposal.configured.config.unmark_deep().0;
        let none = Value::null(config.ty());
        let prior = proposal.prior.as_ref().filter(|_| !proposal.anew).map_or(none, |prior| prior.unmark_deep().0);
        let mut faults = match planned.legacy {
            true => duties::check_planned_type(block, &planned.value),
            // Nothing was asked of a new object but what it would be: its type alone is judged.
            false if proposal.anew && proposal.prior.is_some() => duties::check_planned_type(block, &planned.value),
            false => duties::check_planned(block, &prior, &config, &planned.value),
        };
        if planned.legacy && !prior.is_null() {
            planned.value = match &proposal.configured.definition.lifecycle.ignore_changes {
                // Of an object that is planned, what only the provider gives is a part, too.
                IgnoreChanges::All => prior.clone(),
                some => ignoring(&planned.value, &prior, some, block).0,
            };
        }
        if prior.is_null() {
            planned.replace.clear();
        } else {
            match duties::replaces(block, &planned.replace, &prior, &planned.value) {
                Ok(replace) => planned.replace = replace,
                Err(fault) => faults.push(fault),
            }
        }
        let address = proposal.configured.address.clone();
        let span = proposal.configured.definition.span;
        let name = provider.address.provider.clone();
        self.blame(&address, Some(span), &name, "made a plan that makes no sense", &faults);
        self.warn(&address, Some(span), &planned.warnings);
        faults.is_empty()
    }

    fn planned(&mut self, mut proposal: Proposal, mut planned: Planned) {
        if !self.sound(&proposal, &mut planned) {
            return self.graph.fail(proposal.configured.node);
        }
        let Planned { value, replace, report, kept, legacy, .. } = planned;
        let after = self.marked(&proposal.configured, &value);
        let config = proposal.configured.config.clone();
        // A new object has what is left out of a change.
        let stays = replace.is_empty() || self.input().mode == PlanMode::RefreshOnly;
        if stays && !proposal.ignored.is_empty() {
            let attributes = std::mem::take(&mut proposal.ignored);
            self.note(&proposal.configured.address, Reason::Ignored { attributes });
        }
        let (kind, before) = match proposal.prior.take() {
            None => (ChangeKind::Create, None),
            Some(before) if self.input().mode == PlanMode::RefreshOnly => {
                // Where the definition waits for something that is gone, that is the drift, and what is foreseen of
                // its successor is not.
                let report = report.filter(|_| config.is_wholly_known());
                self.host_drift(&proposal.configured.address, &before, report);
                return self.conclude_instance(proposal.configured, before, None);
            }
            Some(before) if proposal.anew => (ChangeKind::Replace(proposal.because), Some(before)),
            Some(before) if !replace.is_empty() || !proposal.because.is_empty() => {
                let mut because = std::mem::take(&mut proposal.because);
                because.extend(replace.iter().cloned().map(ReplaceReason::Fixed));
                if let Some(whole) = proposal.whole.take() {
                    proposal.configured.config = whole;
                    proposal.ignored.clear();
                }
                // What was planned to be kept is given back when it is asked what a new object would be.
                return self.ask_change(Proposal {
                    prior: Some(before),
                    because,
                    replace,
                    kept,
                    anew: true,
                    ..proposal
                });
            }
            Some(before) => {
                let clean = report.as_ref().is_none_or(HostReport::is_clean);
                let schema = self.graph.type_schema(&proposal.configured).map(|schema| &schema.block);
                let agree = duties::marks_agree(schema, &before, &after);
                if clean && same(&before, &after) && agree {
                    return self.conclude_instance(proposal.configured, after, None);
                }
                (ChangeKind::Update, Some(before))
            }
        };
        let provider = provider_address(&proposal.configured);
        let change = Change {
            provider,
            kept,
            legacy,
            replace: proposal.replace,
            ..Change::plain(kind, config, before, after.clone(), report)
        };
        self.conclude_instance(proposal.configured, after, Some(change));
    }

    fn conclude_instance(&mut self, configured: Configured, value: Value, change: Option<Change>) {
        self.graph.finish(configured.node, value, change.is_some());
        let verdict = Verdict { node: configured.node, definition: configured.definition, change };
        self.verdicts.insert(configured.address, verdict);
    }

    fn host_drift(&mut self, address: &InstanceAddress, now: &Value, report: Option<HostReport>) {
        let Some(report) = report.filter(|report| !report.is_clean()) else { return };
        match self.drift.iter_mut().find(|drift| drift.address == *address) {
            Some(drift) => drift.report = Some(report),
            None => {
                let Some(object) = self.object(address).cloned() else { return };
                let (before, after) = (object.value, Some(now.clone()));
                let (address, identity, kept) = (address.clone(), object.identity, object.kept);
                let (report, background, feeds) = (Some(report), false, Vec::new());
                let provider = object.provider;
                self.drift.push(Drift { address, identity, before, after, report, kept, provider, background, feeds });
            }
        }
    }

    fn object(&self, address: &InstanceAddress) -> Option<&Object> {
        self.input().state.current(address)
    }

    fn note(&mut self, address: &InstanceAddress, reason: Reason) {
        self.notes.push(Note { address: address.clone(), reason });
    }

    fn foreseen(&mut self, configured: &Configured) -> Option<Value> {
        let Some(TypeSchema { block, .. }) = self.graph.type_schema(configured) else {
            self.graph.fail(configured.node);
            return None;
        };
        Some(with_marks_of_schema(&foreseen(&configured.config, block), block))
    }

    /// A provider's value with the marks of the configuration and the schema.
    fn marked(&self, configured: &Configured, value: &Value) -> Value {
        let value = with_marks_of(value, &configured.config);
        match self.graph.type_schema(configured) {
            Some(schema) => with_marks_of_schema(&value, &schema.block),
            None => value,
        }
    }

    fn span_of(&self, resource: &ResourceAddress) -> Option<Span> {
        self.input().definition(resource).map(|definition| definition.span)
    }
}

impl Planner {
    fn conclude(&mut self) -> Result<Plan, Diagnostics> {
        self.conclude_imports();
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(self.graph.take_problems());
        problems.extend(self.say_scope());
        self.forget_drift();
        let verdicts = std::mem::take(&mut self.verdicts);
        problems.extend(self.moves.still_defined(|address| verdicts.contains_key(address)));
        let mut notes = std::mem::take(&mut self.notes);
        let (deferred, left_out) = self.graph.take_left();
        let input = self.graph.input().clone();
        let found = |address: &InstanceAddress| match self.objects.get(address) {
            Some(Found::Known(value)) => value.clone(),
            _ => None,
        };
        let mut changes: Vec<(Option<NodeId>, PlannedChange)> = Vec::new();
        let mut depends = Vec::new();
        // What a plan of a part says nothing of is counted apart.
        let looked_at: Option<BTreeSet<InstanceAddress>> =
            input.scope.is_partial().then(|| verdicts.keys().cloned().collect());
        if !problems.has_errors() {
            let chosen = removals(&self.graph, |address| verdicts.contains_key(address));
            let mut removals = conclude::removals(&self.graph, &chosen, found, &self.deposed, &mut notes);
            self.deletions.add_to(&mut removals);
            notes.extend(chosen.notes);
            notes.extend(left_out);
            changes.extend(removals.into_iter().map(|change| (None, change)));
            let (makings, unchanged) = conclude::makings(&self.graph, verdicts);
            depends = unchanged;
            changes.extend(makings.into_iter().map(|(node, change)| (Some(node), change)));
            problems.extend(conclude::protected(&input, changes.iter().map(|(_, change)| change)));
            problems.extend(exclusive::unreplaceable(&input, changes.iter().map(|(_, change)| change)));
            let is_gone = |address: &InstanceAddress| matches!(self.objects.get(address), Some(Found::Known(None)));
            problems.extend(exclusive::clashes(&input, changes.iter().map(|(_, change)| change), is_gone));
            problems.extend(conclude::still_used(&input, changes.iter().map(|(_, change)| change)));
        }
        let problems = complaints::in_order(problems);
        if problems.has_errors() {
            return Err(problems);
        }
        changes.sort_by(|(_, one), (_, other)| {
            (&one.address, &one.identity, &one.before).cmp(&(&other.address, &other.identity, &other.before))
        });
        let nodes: Map<NodeId, usize> =
            changes.iter().enumerate().filter_map(|(at, (node, _))| Some(((*node)?, at))).collect();
        let mut changes: Vec<PlannedChange> = changes.into_iter().map(|(_, change)| change).collect();
        self.moves.name_previous(&mut changes);
        let touched: BTreeSet<&InstanceAddress> = changes
            .iter()
            .filter(|change| change.action != PlannedAction::DeleteDeposed)
            .map(|change| &change.address)
            .collect();
        let kept = self
            .objects
            .iter()
            .filter(|(address, found)| !matches!(found, Found::Known(None)) && !touched.contains(address));
        let (mut unchanged, mut outside) = (0, BTreeSet::new());
        for (address, _) in kept {
            unchanged += 1;
            if looked_at.as_ref().is_some_and(|seen| !seen.contains(address)) {
                outside.insert(address.clone());
            }
        }
        let (changes, steps) = order::arrange(&self.graph, changes, &nodes);
        let mut drift = std::mem::take(&mut self.drift);
        drift.sort_by(|one, other| one.address.cmp(&other.address));
        let mut settled = std::mem::take(&mut self.settled);
        settled.sort_by(|one, other| one.address.cmp(&other.address));
        feeds(&mut drift, &self.graph, &changes);
        conclude::background(&mut drift, &changes, &input);
        let mut data = std::mem::take(&mut self.data);
        data.sort_by(|(one, _), (other, _)| one.cmp(other));
        notes.sort();
        Ok(Plan {
            environment: Arc::clone(&input.environment),
            mode: input.mode,
            stacks: input.covered(),
            moves: std::mem::take(&mut self.moves.moves),
            adopted: self.imports.take_adopted(),
            changes,
            steps,
            outputs: conclude::outputs(&self.graph),
            drift,
            settled,
            depends,
            data,
            notes,
            deferred,
            checks: conclude::checks(&self.graph),
            unchanged,
            outside,
            partial: input.scope.is_partial(),
            unasked: self.unasked(),
            warnings: problems,
            based_on: input.sequence,
        })
    }
}

impl Change {
    /// A change by what is built in.
    fn plain(
        kind: ChangeKind,
        config: Value,
        before: Option<Value>,
        after: Value,
        report: Option<HostReport>,
    ) -> Change {
        let (kept, replace) = (Kept::default(), Vec::new());
        Change { kind, config, before, after, report, provider: None, kept, legacy: false, replace }
    }
}

fn provider_address(configured: &Configured) -> Option<Arc<ProviderConfigAddress>> {
    configured.provider.as_ref().map(|(provider, _)| Arc::new(provider.address.clone()))
}
