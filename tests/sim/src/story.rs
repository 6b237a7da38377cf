//! One story: a project, what people do with it, what goes wrong, and what must hold all the while.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use andon_engine::saved::plan_and_save;
use andon_engine::{
    ChangeError, ChangeRequest, Changed, Journal, JournalError, RecoverError, Sink, adopt, change, plan, plan_input,
};
use andon_lang::Given;
use andon_lang::definitions::Project;
use andon_ledger::{EnvironmentState, Event, RunId, RunStatus, State};
use andon_plan::{ApplyReport, Plan, PlanMode, PlannedAction, Scope};
use andon_schema::{Identity, InstanceAddress};
use andon_text::Diagnostics;
use andon_value::Value;

use crate::dice::Dice;
use crate::earth::Earth;
use crate::faults::Faults;
use crate::journal::{Disk, SimJournal};
use crate::kinds::{BALANCER, DATA, NETWORK, SERVER, schemas, with};
use crate::model::Model;
use crate::trace::{Shared, Trace};
use crate::world::SimWorld;
use crate::{ENVIRONMENT, Mistake, agree};

mod by_hand;
mod part;

/// How much was simulated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs of the engine.
    pub runs: u64,
    /// Runs that did not end well.
    pub unfinished: u64,
    /// Times that an operator said what came of a lost creation.
    pub operations: u64,
    /// Entries of ledgers.
    pub entries: u64,
    /// Changes of the world.
    pub effects: u64,
    /// Simulated time, in milliseconds.
    pub time_ms: u64,
    /// Faults that struck, and what people did beside editing and applying, by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Takes another tally into this one.
    pub fn add(&mut self, other: Tally) {
        self.runs += other.runs;
        self.unfinished += other.unfinished;
        self.operations += other.operations;
        self.entries += other.entries;
        self.effects += other.effects;
        self.time_ms += other.time_ms;
        for (fault, times) in other.faults {
            *self.faults.entry(fault).or_default() += times;
        }
    }
}

/// A story in which something did not hold.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The seed, which tells the story again.
    pub seed: u64,
    /// What did not hold.
    pub problems: Vec<String>,
    /// What was done.
    pub script: Vec<String>,
    /// The project's files as they were at the end.
    pub project: String,
    /// The last that happened.
    pub trace: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "seed {} is broken:", self.seed)?;
        self.problems.iter().take(8).try_for_each(|problem| writeln!(to, "  {problem}"))?;
        writeln!(to, "\nthe story:")?;
        self.script.iter().try_for_each(|line| writeln!(to, "  {line}"))?;
        writeln!(to, "\nthe project:\n{}", self.project)?;
        writeln!(to, "the last that happened:")?;
        self.trace.iter().try_for_each(|line| writeln!(to, "  {line}"))?;
        write!(to, "\nagain: ANDON_SIM_SEED={} cargo test -p andon-sim", self.seed)
    }
}

/// Tells the story of a seed. `Err` where something did not hold.
pub fn simulate(seed: u64, mistake: Option<Mistake>) -> Result<Tally, Box<Broken>> {
    let mut dice = Dice::new(seed);
    let model = Model::generate(&mut dice);
    let mut story = Story {
        model,
        project: None,
        dice,
        earth: Earth::default(),
        disk: Disk::default(),
        trace: Trace::shared(),
        certain: false,
        tainted: None,
        script: Vec::new(),
        tally: Tally::default(),
    };
    story.trace.borrow_mut().mistake = mistake;
    match story.tell() {
        Ok(()) => {
            let mut tally = story.tally;
            tally.entries = story.disk.entries.len() as u64;
            tally.effects = story.earth.effects;
            let trace = story.trace.borrow();
            tally.time_ms = trace.now_ms;
            tally.faults.clone_from(&trace.faults);
            Ok(tally)
        }
        Err(problems) => Err(Box::new(Broken {
            seed,
            problems,
            script: story.script,
            project: story.model.text(),
            trace: story.trace.borrow().lines().cloned().collect(),
        })),
    }
}

struct Story {
    model: Model,
    /// What the model's files define; `None` where they were edited since.
    project: Option<Arc<Project>>,
    dice: Dice,
    earth: Earth,
    disk: Disk,
    trace: Shared,
    /// World and state agreed when last looked at, and nothing happened since.
    certain: bool,
    /// What somebody marked to be replaced.
    tainted: Option<(InstanceAddress, Identity)>,
    script: Vec<String>,
    tally: Tally,
}

type Problems = Vec<String>;

/// How one run of the engine came out.
enum Ended {
    Nothing,
    Declined,
    /// The plan was applied, and the report finds nothing wrong.
    Well,
    /// The plan was applied, not all of it.
    Badly(String),
    /// There was no plan, or what was left could not be resolved.
    NoPlan(String),
    /// Only somebody who looks at the cloud can say what came of this.
    Unknown(InstanceAddress),
    /// The ledger could not be written: the process is gone.
    Cut,
}

impl Story {
    fn tell(&mut self) -> Result<(), Problems> {
        self.bring(PlanMode::Normal)?;
        for _ in 0..self.dice.between(1, 4) {
            match self.dice.below(12) {
                0..=4 => {
                    self.edit();
                    self.bring(PlanMode::Normal)?;
                }
                5..=7 => {
                    self.damage_and_look()?;
                    if self.dice.chance(30) {
                        self.edit();
                    }
                    self.bring(PlanMode::Normal)?;
                }
                8 => {
                    self.edit();
                    self.decline()?;
                }
                9 | 10 => {
                    self.act_by_hand()?;
                    self.bring(PlanMode::Normal)?;
                }
                _ => {
                    self.bring(PlanMode::Destroy)?;
                    self.bring(PlanMode::Normal)?;
                }
            }
        }
        self.bring(PlanMode::Destroy)
    }

    /// Has the world become as the definitions say, or empty: first with faults, a few times or never, and then
    /// without.
    fn bring(&mut self, mode: PlanMode) -> Result<(), Problems> {
        let attempts = if self.dice.chance(70) { self.dice.between(1, 3) } else { 0 };
        for _ in 0..attempts {
            let mut faults = Faults::roll(&mut self.dice);
            let scope = self.roll_scope(mode)?;
            // Somebody may have edited what the part of a saved plan was of.
            faults.saved &= scope == Scope::default();
            let ended = self.run(mode, scope, faults, true)?;
            if matches!(ended, Ended::Nothing | Ended::Well) {
                continue;
            }
            self.tally.unfinished += 1;
            if let Ended::Unknown(address) = &ended
                && self.dice.chance(50)
            {
                self.operate(address)?;
            }
            if mode == PlanMode::Normal && self.dice.chance(25) {
                self.edit();
            }
        }
        loop {
            match self.run(mode, Scope::default(), Faults::default(), true)? {
                Ended::Well | Ended::Nothing => break,
                Ended::Unknown(address) => self.operate(&address)?,
                Ended::NoPlan(why) if self.gives_way(&why) => {}
                ended => return Err(vec![format!("a run without faults did not end well: {ended}")]),
            }
        }
        // What differs from the state and from no definition is for those to record who ask for it.
        let stale = std::mem::take(&mut self.trace.borrow_mut().stale);
        if stale && self.model.plugged && mode == PlanMode::Normal {
            match self.run(PlanMode::RefreshOnly, Scope::default(), Faults::default(), true)? {
                Ended::Well | Ended::Nothing => {}
                ended => return Err(vec![format!("a look without faults did not end well: {ended}")]),
            }
        }
        self.check_end(mode)?;
        let (entries, effects) = (self.disk.entries.len(), self.earth.effects);
        match self.run(mode, Scope::default(), Faults::default(), true)? {
            Ended::Nothing if self.disk.entries.len() == entries && self.earth.effects == effects => {
                // What has been taken over is as any other: people take the blocks out.
                if !std::mem::take(&mut self.model.imports).is_empty() {
                    self.project = None;
                }
                Ok(())
            }
            Ended::Nothing => Err(vec!["a run that had nothing to do did something".to_owned()]),
            ended => Err(vec![format!("a second run finds something to do: {ended}")]),
        }
    }

    /// Somebody looks at the cloud, finds what came of a lost creation, and says so.
    fn operate(&mut self, address: &InstanceAddress) -> Result<(), Problems> {
        let project = self.project()?;
        self.tally.operations += 1;
        let run = RunId(format!("operator{}", self.tally.operations).into());
        self.trace.borrow_mut().restart();
        let mut dice = self.dice.fork();
        let journal = SimJournal::open(&mut self.disk, run, &self.trace, Faults::default(), &mut dice);
        let mut journal = journal.map_err(|error| vec![error])?;
        let pending: Vec<Identity> = journal
            .state()
            .pending
            .values()
            .filter(|it| it.address == *address)
            .map(|it| it.identity.clone())
            .collect();
        let thing = pending.iter().find_map(|identity| self.earth.things.get(identity));
        let id = thing.and_then(|thing| thing.value.get_str("id")).map(str::to_owned);
        let mut found = None;
        if let Some(id) = &id {
            let state = adopt::state_to_resolve(journal.state(), address);
            let environment = ENVIRONMENT.into();
            let sought = adopt::Sought {
                project: &project,
                schemas: &schemas(self.model.plugged),
                environment: &environment,
                state: &state,
                sequence: journal.sequence(),
                address,
                id,
                planned: 0,
            };
            let mut world = SimWorld::new(&mut self.earth, &self.trace, Faults::default(), dice.fork());
            found = adopt::find(&sought, &mut world, &mut Follower).ok();
        }
        let words = match (&found, &id) {
            (Some(_), Some(id)) => format!("is there, as {id}"),
            (None, Some(id)) => format!("is there, as {id}, and is removed by hand: nothing defines it"),
            _ => "is not there".to_owned(),
        };
        self.trace.borrow_mut().say(format!("OPERATOR {address} {words}"));
        self.script.push(format!("OPERATOR {address} {words}"));
        let events = adopt::resolutions(journal.state(), address, found.as_ref());
        let own = journal.take_over();
        let broken = |error: JournalError| vec![format!("what is resolved cannot be recorded: {error}")];
        match &own {
            Some(_) => drop(journal.append(events).map_err(broken)?),
            None => {
                let began = Event::RunBegan {
                    command: "state resolve".to_owned(),
                    who: "nobody@nowhere".to_owned(),
                    version: String::new(),
                };
                journal.append([vec![began], events].concat()).map_err(broken)?;
                let summary = String::new();
                journal.append(vec![Event::RunEnded { status: RunStatus::Cancelled, summary }]).map_err(broken)?;
            }
        }
        if let Some(own) = own.filter(|_| journal.state().pending.is_empty()) {
            journal.hand_back(own).map_err(broken)?;
        }
        if found.is_none() {
            pending.iter().for_each(|identity| self.earth.vanish(identity));
        }
        self.certain = false;
        Ok(())
    }

    fn edit(&mut self) {
        self.project = None;
        for _ in 0..self.dice.between(1, 3) {
            let before = (self.model.moved.len(), self.model.released.len());
            let words = self.model.edit(&mut self.dice);
            let mut trace = self.trace.borrow_mut();
            (self.model.moved.len() > before.0).then(|| trace.fault("a move"));
            (self.model.released.len() > before.1).then(|| trace.fault("a release"));
            drop(trace);
            self.say(format!("EDIT    {words}"));
        }
    }

    /// Says no to a plan: nothing is done.
    fn decline(&mut self) -> Result<(), Problems> {
        let (entries, effects) = (self.disk.entries.len(), self.earth.effects);
        let ended = self.run(PlanMode::Normal, Scope::default(), Faults::default(), false)?;
        // Nobody is asked about what only the ledger must know: the order in which objects may go has changed.
        let told = self.disk.entries.iter().skip(entries).map(|entry| &entry.event);
        let only_order = told
            .into_iter()
            .all(|event| matches!(event, Event::RunBegan { .. } | Event::Depends { .. } | Event::RunEnded { .. }));
        let as_asked = matches!(ended, Ended::Nothing) && only_order || self.disk.entries.len() == entries;
        if !as_asked || self.earth.effects != effects {
            return Err(vec!["a plan was declined, and something was done".to_owned()]);
        }
        match ended {
            Ended::Nothing | Ended::Declined => Ok(()),
            Ended::NoPlan(why) if self.gives_way(&why) => Ok(()),
            ended => Err(vec![format!("a plan that was declined ended: {ended}")]),
        }
    }

    /// Somebody damages the world by hand, and somebody looks what differs: exactly that, and nothing changes.
    fn damage_and_look(&mut self) -> Result<(), Problems> {
        let mut damaged = Vec::new();
        self.certain = false;
        let mut trace = self.trace.borrow_mut();
        (trace.unsure, trace.stale) = (true, true);
        drop(trace);
        for _ in 0..self.dice.between(1, 3) {
            // Nobody looks after what is to be forgotten.
            let state = self.state()?;
            let kept = state.objects().filter(|(address, _)| !self.model.released.contains(&address.resource));
            let all: Vec<Identity> = kept.map(|(_, object)| object.identity.clone()).collect();
            let Some(identity) = self.dice.pick(&all).cloned() else { continue };
            if let Some(words) = self.damage(&identity) {
                self.say(format!("DAMAGE  {words}"));
                damaged.push(identity);
            }
        }
        let (entries, effects) = (self.disk.entries.len(), self.earth.effects);
        let found = self.look()?;
        if self.disk.entries.len() != entries || self.earth.effects != effects {
            return Err(vec!["a look at the world changed something".to_owned()]);
        }
        damaged.sort();
        damaged.dedup();
        let mut problems = Vec::new();
        problems.extend(
            damaged.iter().filter(|it| !found.contains(it)).map(|it| format!("the damage to {it} is not seen")),
        );
        problems.extend(found.iter().filter(|it| !damaged.contains(it)).map(|it| format!("{it} is no drift")));
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Does one thing to one object, and says what.
    fn damage(&mut self, identity: &Identity) -> Option<String> {
        let thing = self.earth.things.get_mut(identity)?;
        let address = thing.address.clone();
        if self.dice.chance(40) {
            let words = format!("{address} ({identity}) is killed");
            // What a plugin made leaves nothing behind.
            if !self.model.plugged && self.dice.chance(50) {
                self.earth.kill(identity);
                return Some(format!("{words}, and something is left of it"));
            }
            self.earth.vanish(identity);
            return Some(words);
        }
        let change: (&str, Value) = match &*thing.kind {
            SERVER if self.dice.chance(40) => ("health", crate::kinds::BROKEN.into()),
            SERVER => ("memory", Value::from(self.dice.between(100, 999) as i64)),
            NETWORK if thing.value.get_str("cidr").is_some_and(|cidr| cidr.starts_with("10.0.")) => {
                ("cidr", format!("changed by hand {}", self.dice.below(1000)).into())
            }
            BALANCER => ("targets", Value::list(andon_value::Type::String, [])),
            DATA => ("input", format!("changed by hand {}", self.dice.below(1000)).into()),
            _ => return None,
        };
        if thing.value.get(change.0) == Some(&change.1) {
            return None;
        }
        let words = format!("{address} ({identity}): {} is changed", change.0);
        thing.whole &= change.0 != "health";
        thing.value = with(&thing.value, &[change]);
        self.earth.effects += 1;
        Some(words)
    }

    /// The objects that a plan to see drift finds to be different.
    fn look(&mut self) -> Result<Vec<Identity>, Problems> {
        let project = self.project()?;
        let request = self.request(project, PlanMode::RefreshOnly);
        self.trace.borrow_mut().restart();
        let mut dice = self.dice.fork();
        let run = RunId("look".into());
        let journal = SimJournal::open(&mut self.disk, run, &self.trace, Faults::default(), &mut dice);
        let journal = journal.map_err(|error| vec![error])?;
        let mut world = SimWorld::new(&mut self.earth, &self.trace, Faults::default(), dice);
        let planned = plan(plan_input(&request, &journal), &mut world, &mut Follower);
        let planned = planned.map_err(|errors| vec![format!("no look at the drift: {}", in_words(&errors))])?;
        let real = |drift: &andon_plan::Drift| drift.after.as_ref() != Some(&drift.before);
        Ok(planned.drift.iter().filter(|drift| real(drift)).map(|drift| drift.identity.clone()).collect())
    }

    /// One process: opens the ledger, changes the world, and dies or ends.
    fn run(&mut self, mode: PlanMode, scope: Scope, faults: Faults, agrees: bool) -> Result<Ended, Problems> {
        self.tally.runs += 1;
        let number = self.tally.runs;
        let word = match mode {
            PlanMode::Normal => "up",
            PlanMode::Destroy => "down",
            PlanMode::RefreshOnly => "refresh",
        };
        self.say(format!("RUN {number}   {word}{}{}", part::in_words(&scope), faults.in_words()));
        let project = self.project()?;
        let mut request = self.request(project, mode);
        request.scope = scope.clone();
        self.trace.borrow_mut().partial = scope.is_partial();
        let before = self.disk.fold().map_err(|error| vec![error])?.environment(ENVIRONMENT);
        self.trace.borrow_mut().restart();
        let mut dice = self.dice.fork();
        // Trusting the state instead of looking is for those who know that nobody else touched the world.
        request.refresh = !(std::mem::take(&mut self.certain) && dice.chance(30));
        if faults.saved && mode == PlanMode::Normal {
            request = self.save(request, &mut dice)?;
        }
        let run = RunId(format!("run{number}").into());
        let journal = SimJournal::open(&mut self.disk, run.clone(), &self.trace, faults, &mut dice);
        let mut journal = journal.map_err(|error| vec![format!("the ledger cannot be opened: {error}")])?;
        let mut world = SimWorld::new(&mut self.earth, &self.trace, faults, dice.fork());
        let mut names = 0u64;
        let identities = move || {
            names += 1;
            Identity::parse(&format!("r{number}-{names}")).unwrap_or_else(|| Identity::from_random(names))
        };
        let mut agreed = None;
        let mut approve = |plan: &Plan| {
            agreed = Some(plan.clone());
            agrees
        };
        let result = change(&request, identities, &mut world, &mut journal, &mut Follower, &mut approve);
        world.settle();
        let live = journal.into_state();
        self.earth.follow(&self.trace);
        let mut problems = std::mem::take(&mut self.trace.borrow_mut().violations);
        if let Some(plan) = agreed.filter(|_| agrees) {
            let entries = self.disk.entries.iter().filter(|entry| entry.run == run);
            let findings = andon_audit::audit_run(&plan, entries);
            problems.extend(findings.iter().map(|finding| format!("the run breaks {:?}: {finding}", finding.rule)));
        }
        let ended = ended(result, &mut problems);
        problems.extend(self.trespasses(&before, &scope, &run, mode, matches!(ended, Ended::Well)));
        self.say(format!("        ended: {ended}"));
        self.check_always(&ended, &before, &live, &mut problems)?;
        if problems.is_empty() { Ok(ended) } else { Err(problems) }
    }

    /// Makes the plan and saves it; there may be none. Sometimes the definitions are edited before it is applied.
    fn save(&mut self, mut request: ChangeRequest, dice: &mut Dice) -> Result<ChangeRequest, Problems> {
        let run = RunId("save".into());
        let journal = SimJournal::open(&mut self.disk, run, &self.trace, Faults::default(), dice);
        let journal = journal.map_err(|error| vec![error])?;
        let input = plan_input(&request, &journal);
        let mut world = SimWorld::new(&mut self.earth, &self.trace, Faults::default(), dice.fork());
        let saved = plan_and_save(input, Given::default(), request.planned, &mut world, &mut Follower);
        request.saved = saved.ok().map(|(_, saved)| Arc::new(saved));
        if dice.chance(20) {
            self.edit();
            request.project = self.project()?;
        }
        Ok(request)
    }

    /// What holds after every run, however it ended.
    fn check_always(
        &mut self,
        ended: &Ended,
        before: &EnvironmentState,
        live: &State,
        problems: &mut Problems,
    ) -> Result<(), Problems> {
        let folded = self.disk.fold().map_err(|error| vec![format!("the ledger cannot be folded: {error}")])?;
        let here = folded.environment(ENVIRONMENT);
        problems.extend(agree::lost(&here, &self.earth));
        if !matches!(ended, Ended::Cut) && *live != folded {
            problems.push("the state is not what the ledger folds into".to_owned());
        }
        let applied = matches!(ended, Ended::Well | Ended::Badly(_));
        let dead = self.trace.borrow().dead;
        if applied && !dead {
            problems.extend(here.open_run.iter().map(|run| format!("{run} ended, and is open")));
            let trace = self.trace.borrow();
            // A plan of a part does not look into what is out of it.
            let is_left = |identity: &&Identity| trace.partial && before.pending.contains_key(*identity);
            let pending = here.pending.keys().filter(|it| !trace.lost.contains(*it) && !is_left(it));
            problems.extend(pending.map(|identity| format!("the run ended, and {identity} is pending")));
            // Who is told a half truth by the world can only repeat it.
            if !self.trace.borrow().unsure && self.trace.borrow().mistake != Some(Mistake::StrangerInTheWorld) {
                problems.extend(agree::differences(&here, &self.earth));
            }
        }
        Ok(())
    }

    /// World and ledger agree, wholly; and the files, too.
    fn check_end(&mut self, mode: PlanMode) -> Result<(), Problems> {
        if self.trace.borrow_mut().strikes(Mistake::StrangerInTheWorld) {
            let stranger = Identity::from_random(0);
            let _ = self.earth.begin(DATA, "a stranger", &stranger, Value::object::<&str>([]));
        }
        let state = self.disk.fold().map_err(|error| vec![error])?.environment(ENVIRONMENT);
        let mut problems = agree::differences(&state, &self.earth);
        problems.extend(state.pending.keys().map(|identity| format!("{identity} is pending")));
        problems.extend(state.open_run.iter().map(|run| format!("{run} is open")));
        if mode == PlanMode::Normal {
            problems.extend(self.model.differences(&state, &self.earth));
            problems.extend(self.kept_though_tainted(&state));
        } else if !state.is_empty() || self.earth.things.values().any(|thing| !thing.free) {
            problems.push(format!("something is left: {:?}, {state:?}", self.earth.things));
        }
        self.certain = problems.is_empty();
        self.trace.borrow_mut().unsure = false;
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn project(&mut self) -> Result<Arc<Project>, Problems> {
        if let Some(project) = &self.project {
            return Ok(Arc::clone(project));
        }
        let (project, diagnostics) = andon_lang::load(Arc::new(self.model.files()), "sim");
        if diagnostics.has_errors() {
            return Err(vec![format!("the project does not stand: {}", in_words(&diagnostics))]);
        }
        Ok(Arc::clone(self.project.insert(Arc::new(project))))
    }

    fn request(&self, project: Arc<Project>, mode: PlanMode) -> ChangeRequest {
        ChangeRequest {
            project,
            schemas: schemas(self.model.plugged),
            environment: ENVIRONMENT.into(),
            stacks: Vec::new(),
            mode,
            refresh: true,
            scope: Scope::default(),
            command: "sim".to_owned(),
            who: "nobody@nowhere".to_owned(),
            planned: 0,
            seed: [0; 32],
            saved: None,
        }
    }

    fn say(&mut self, line: String) {
        self.trace.borrow_mut().say(line.clone());
        self.script.push(line);
    }
}

/// What a run's result says; what it must not say goes to the problems.
fn ended(result: Result<Changed, ChangeError>, problems: &mut Problems) -> Ended {
    match result {
        Ok(Changed::Nothing(_)) => Ended::Nothing,
        Ok(Changed::Declined(_)) => Ended::Declined,
        Ok(Changed::Applied(plan, report)) => {
            problems.extend(unaccounted(&plan, &report));
            let sound = report.failed.is_empty() && report.skipped.is_empty();
            if sound && !report.diagnostics.has_errors() && !report.cancelled {
                return Ended::Well;
            }
            let failed: Vec<String> = report
                .failed
                .iter()
                .map(|failed| format!("{} {}: {}", failed.action, failed.address, in_words(&failed.diagnostics)))
                .collect();
            let skipped = report.skipped.len();
            let errors = in_words(&report.diagnostics);
            Ended::Badly(format!("{skipped} skipped; failed: {}; {errors}", failed.join("; ")))
        }
        Err(ChangeError::Plan(errors) | ChangeError::Buried(errors)) => Ended::NoPlan(in_words(&errors)),
        Err(ChangeError::Recover(RecoverError::Unresolved(unresolved))) => {
            // What only the operator can find out comes first.
            match unresolved.into_iter().next() {
                Some((address, why)) if why.help.iter().any(|help| help.contains("andon state resolve")) => {
                    Ended::Unknown(address)
                }
                Some((address, why)) => Ended::NoPlan(format!("{address} is not resolved: {why}")),
                None => Ended::NoPlan("nothing is unresolved".to_owned()),
            }
        }
        Err(ChangeError::Recover(RecoverError::Interrupted)) => Ended::NoPlan("interrupted".to_owned()),
        Err(ChangeError::Recover(RecoverError::Journal(error)) | ChangeError::Journal(error)) => {
            if let JournalError::Order(reason) = error {
                problems.push(format!("the engine appends out of order: {reason}"));
            }
            Ended::Cut
        }
    }
}

/// The changes of a plan that are not in exactly one list of the report.
fn unaccounted(plan: &Plan, report: &ApplyReport) -> Problems {
    let mut told: BTreeMap<String, i64> = BTreeMap::new();
    let done = report.done.iter().map(|it| (&it.address, &it.action));
    let failed = report.failed.iter().map(|it| (&it.address, &it.action));
    let skipped = report.skipped.iter().map(|it| (&it.address, &it.action));
    let unneeded = report.unneeded.iter().map(|it| (&it.address, &it.action));
    let name = |address: &InstanceAddress, action: &PlannedAction| match action {
        // The rest of a replacement is told as the deletion of the replaced object.
        PlannedAction::DeleteDeposed | PlannedAction::Replace { .. } => format!("replace {address}"),
        action => format!("{action} {address}"),
    };
    for (address, action) in done.chain(failed).chain(skipped).chain(unneeded) {
        *told.entry(name(address, action)).or_default() += 1;
    }
    for change in &plan.changes {
        *told.entry(name(&change.address, &change.action)).or_default() -= 1;
    }
    let wrong = told.into_iter().filter(|(_, times)| *times != 0);
    wrong.map(|(what, times)| format!("the report tells of \"{what}\" {times:+} times too often")).collect()
}

fn in_words(diagnostics: &Diagnostics) -> String {
    let words = diagnostics.iter().map(|diagnostic| {
        let subject = diagnostic.subject.clone().map(|subject| format!("{subject}: ")).unwrap_or_default();
        let detail = diagnostic.detail.clone();
        format!("{subject}{} ({detail:?})", diagnostic.summary)
    });
    words.collect::<Vec<String>>().join("; ")
}

impl fmt::Display for Ended {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Nothing => to.write_str("nothing to do"),
            Ended::Declined => to.write_str("declined"),
            Ended::Well => to.write_str("well"),
            Ended::Badly(why) => write!(to, "not all was done: {why}"),
            Ended::Unknown(address) => write!(to, "only the operator knows what came of {address}"),
            Ended::NoPlan(why) => write!(to, "no plan: {why}"),
            Ended::Cut => to.write_str("the ledger could not be written"),
        }
    }
}

/// Follows a run, and needs nothing of it.
struct Follower;

impl Sink for Follower {
    fn event(&mut self, _: &Event) {}
}
