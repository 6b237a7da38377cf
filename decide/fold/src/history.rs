use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{Action, Entry, Event, OutcomeRecord, Result as Tried, RunId, RunStatus, Timestamp};
use andon_schema::{HostReport, Identity, InstanceAddress};

/// One run, as people read about it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// Which.
    pub id: RunId,
    /// The environment.
    pub environment: Arc<str>,
    /// The command: `up`, `apply web`.
    pub command: String,
    /// `user@host`.
    pub who: String,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; of an interrupted run, when a later one found that out. `None` while it is open.
    pub ended: Option<Timestamp>,
    /// How it ended; `None` while it is open.
    pub status: Option<RunStatus>,
    /// Its last line; empty while it is open.
    pub summary: String,
    /// What was done.
    pub counts: Counts,
    /// What was tried, in the order in which it began.
    pub steps: Vec<StepView>,
}

/// One effect that was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct StepView {
    /// The instance.
    pub address: InstanceAddress,
    /// The object.
    pub identity: Identity,
    /// What was tried.
    pub action: Action,
    /// What came of it; `None` where that is not known yet.
    pub result: Option<Tried>,
    /// From intent to outcome; `None` where that is not known: a later run found out what came of it.
    pub duration_ms: Option<u64>,
    /// What was done inside servers.
    pub report: Option<HostReport>,
}

/// How many effects of each kind there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Objects made.
    pub created: usize,
    /// Objects changed in place.
    pub updated: usize,
    /// Objects removed.
    pub deleted: usize,
    /// Effects that failed.
    pub failed: usize,
    /// Effects of which nobody knows yet what came.
    pub unknown: usize,
}

/// The runs that began in some entries, in the order in which they began. What an interrupted run's intents came to
/// is told where they were tried, though a later run found it out.
pub fn runs<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<RunView> {
    let mut history = History::default();
    for entry in entries {
        history.add(entry);
    }
    history.runs
}

#[derive(Default)]
struct History {
    runs: Vec<RunView>,
    /// The places of the runs that are open.
    open: BTreeMap<RunId, usize>,
    /// The places of the steps whose outcome has not come: run, step, and when it was tried.
    pending: BTreeMap<Identity, (usize, usize, Timestamp)>,
}

impl History {
    fn add(&mut self, entry: &Entry) {
        match &entry.event {
            Event::RunBegan { command, who, .. } => {
                self.open.insert(entry.run.clone(), self.runs.len());
                self.runs.push(RunView {
                    id: entry.run.clone(),
                    environment: Arc::clone(&entry.environment),
                    command: command.clone(),
                    who: who.clone(),
                    began: entry.at,
                    ended: None,
                    status: None,
                    summary: String::new(),
                    counts: Counts::default(),
                    steps: Vec::new(),
                });
            }
            Event::RunEnded { status, summary } => {
                let place = self.open.remove(&entry.run);
                if let Some(run) = place.and_then(|place| self.runs.get_mut(place)) {
                    run.ended = Some(entry.at);
                    run.status = Some(*status);
                    run.summary.clone_from(summary);
                }
            }
            Event::Intent(intent) => {
                let Some(&place) = self.open.get(&entry.run) else { return };
                let Some(run) = self.runs.get_mut(place) else { return };
                self.pending.insert(intent.identity.clone(), (place, run.steps.len(), entry.at));
                run.counts.unknown += 1;
                run.steps.push(StepView {
                    address: intent.address.clone(),
                    identity: intent.identity.clone(),
                    action: intent.action,
                    result: None,
                    duration_ms: None,
                    report: None,
                });
            }
            Event::Outcome(outcome) => self.finish(entry, outcome),
            Event::Forgotten { identity, .. } => {
                self.pending.remove(identity);
            }
            _ => {}
        }
    }

    fn finish(&mut self, entry: &Entry, outcome: &OutcomeRecord) {
        let Some((place, step, tried)) = self.pending.remove(&outcome.identity) else { return };
        let Some(run) = self.runs.get_mut(place) else { return };
        run.counts.unknown -= 1;
        run.counts.add(outcome);
        let own = run.id == entry.run;
        let Some(step) = run.steps.get_mut(step) else { return };
        step.result = Some(outcome.result.clone());
        step.report.clone_from(&outcome.report);
        step.duration_ms = own.then(|| u64::try_from(entry.at.0.saturating_sub(tried.0)).unwrap_or(0));
    }
}

impl Counts {
    fn add(&mut self, outcome: &OutcomeRecord) {
        let happened = match outcome.result {
            Tried::Done => true,
            Tried::Failed(_) => {
                self.failed += 1;
                false
            }
            // What a later run found tells whether it happened; of an update, nobody can tell how far it went.
            Tried::Resolved => match outcome.action {
                Action::Create => outcome.object.is_some(),
                Action::Delete => outcome.object.is_none(),
                Action::Update => false,
            },
        };
        if happened {
            match outcome.action {
                Action::Create => self.created += 1,
                Action::Update => self.updated += 1,
                Action::Delete => self.deleted += 1,
            }
        }
    }
}
