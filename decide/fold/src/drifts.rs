use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{Action, Difference, Entry, Event, OutcomeRecord, Result as Tried, RunId, Timestamp};
use andon_schema::InstanceAddress;

/// One thing that was found to be other than defined, from when it was seen until it was put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftView {
    /// The environment.
    pub environment: Arc<str>,
    /// The instance.
    pub address: InstanceAddress,
    /// What differed: see [`Difference::what`].
    pub what: Arc<str>,
    /// How it differed, each way with when it was first seen so: at least one, the last one last.
    pub ways: Vec<(Timestamp, Arc<str>)>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// The run that saw it first.
    pub seen_by: RunId,
    /// When and how it was put right; `None` where it differs still.
    pub righted: Option<(Timestamp, Righting)>,
}

impl DriftView {
    /// How it was last seen to differ.
    pub fn how(&self) -> &str {
        self.ways.last().map(|(_, how)| &**how).unwrap_or_default()
    }

    fn differs(&mut self, at: Timestamp, how: &Arc<str>) {
        if self.how() != &**how {
            self.ways.push((at, Arc::clone(how)));
        }
    }
}

/// What put something right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Righting {
    /// A run.
    Run {
        /// Which.
        run: RunId,
        /// Its command: `sync`.
        command: String,
        /// Who started it.
        who: String,
    },
    /// Nothing that the ledger knows of: it was as defined when somebody looked again.
    Elsewhere,
}

/// Everything that was found to be other than defined, in the order in which it was first seen. What a run put right
/// before anybody had looked counts, too, where what the server is to be was no other than before.
pub fn drifts<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<DriftView> {
    let mut fold = Fold::default();
    for entry in entries {
        fold.add(entry);
    }
    fold.drifts
}

type Place = (Arc<str>, InstanceAddress);

#[derive(Default)]
struct Fold {
    drifts: Vec<DriftView>,
    /// The places in `drifts` of what differs still.
    open: BTreeMap<Place, BTreeMap<Arc<str>, usize>>,
    /// The command of each run, and who started it.
    runs: BTreeMap<RunId, (String, String)>,
    /// What each server is to be.
    catalogs: BTreeMap<Place, Arc<str>>,
}

impl Fold {
    fn add(&mut self, entry: &Entry) {
        match &entry.event {
            Event::RunBegan { command, who, .. } => {
                self.runs.insert(entry.run.clone(), (command.clone(), who.clone()));
            }
            Event::Drifted { address, differences } => self.see(entry, address, differences),
            Event::Outcome(outcome) => self.finish(entry, outcome),
            Event::Moved { from, to } => {
                let (from, to) = (place(entry, from), place(entry, to));
                if let Some(open) = self.open.remove(&from) {
                    self.open.insert(to.clone(), open);
                }
                if let Some(catalog) = self.catalogs.remove(&from) {
                    self.catalogs.insert(to, catalog);
                }
            }
            Event::Forgotten { address, .. } => {
                self.open.remove(&place(entry, address));
            }
            _ => {}
        }
    }

    fn see(&mut self, entry: &Entry, address: &InstanceAddress, differences: &[Difference]) {
        let mut before = self.open.remove(&place(entry, address)).unwrap_or_default();
        let mut now = BTreeMap::new();
        for difference in differences {
            let at = match before.remove(&difference.what) {
                Some(at) => at,
                None => self.begin(entry, address, difference),
            };
            if let Some(drift) = self.drifts.get_mut(at) {
                drift.differs(entry.at, &difference.how);
            }
            now.insert(Arc::clone(&difference.what), at);
        }
        self.right(before.into_values(), entry.at, &Righting::Elsewhere);
        if !now.is_empty() {
            self.open.insert(place(entry, address), now);
        }
    }

    fn begin(&mut self, entry: &Entry, address: &InstanceAddress, difference: &Difference) -> usize {
        self.drifts.push(DriftView {
            environment: Arc::clone(&entry.environment),
            address: address.clone(),
            what: Arc::clone(&difference.what),
            ways: vec![(entry.at, Arc::clone(&difference.how))],
            first_seen: entry.at,
            seen_by: entry.run.clone(),
            righted: None,
        });
        self.drifts.len() - 1
    }

    fn finish(&mut self, entry: &Entry, outcome: &OutcomeRecord) {
        if outcome.result != Tried::Done {
            return;
        }
        let at = place(entry, &outcome.address);
        let catalog = outcome.object.as_ref().and_then(|object| object.value.get_str("catalog")).map(Arc::from);
        let is_as_before =
            outcome.action == Action::Update && catalog.is_some() && self.catalogs.get(&at) == catalog.as_ref();
        let mut open = self.open.remove(&at).unwrap_or_default();
        let report = outcome.report.as_ref().filter(|_| is_as_before);
        for (what, how) in report.into_iter().flat_map(|report| report.differences()) {
            let difference = Difference { what: what.into(), how: how.into() };
            open.entry(Arc::clone(&difference.what))
                .or_insert_with(|| self.begin(entry, &outcome.address, &difference));
        }
        let (command, who) = self.runs.get(&entry.run).cloned().unwrap_or_default();
        self.right(open.into_values(), entry.at, &Righting::Run { run: entry.run.clone(), command, who });
        match catalog {
            Some(catalog) => self.catalogs.insert(at, catalog),
            None => self.catalogs.remove(&at),
        };
    }

    fn right(&mut self, places: impl Iterator<Item = usize>, at: Timestamp, how: &Righting) {
        for place in places {
            if let Some(drift) = self.drifts.get_mut(place) {
                drift.righted = Some((at, how.clone()));
            }
        }
    }
}

fn place(entry: &Entry, address: &InstanceAddress) -> Place {
    (Arc::clone(&entry.environment), address.clone())
}
