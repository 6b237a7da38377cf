//! A pool: its members, where they go, and the next step.

use std::collections::{BTreeMap, BTreeSet};

use crate::Seen;
use crate::gate::{Gate, Verdict};

/// What a pool is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// How many members.
    pub size: usize,
    /// What they are to be made from: any text that is another where that is another.
    pub version: String,
    /// How members of another version are replaced.
    pub strategy: Strategy,
    /// For how long new members must be healthy before they count.
    pub healthy_for_ms: u64,
    /// How long a new member may take to become healthy.
    pub limit_ms: u64,
    /// By how many of a thousand requests new members may fail more than the others.
    pub tolerance: u64,
    /// So many deaths within the window, and no member is replaced any more.
    pub deaths: usize,
    /// The window.
    pub window_ms: u64,
}

/// How members are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// So many at a time, the new before the old.
    Rolling(usize),
    /// All new ones beside all old ones; then all requests at once.
    BlueGreen,
    /// A few new ones get a share of the requests, in thousandths; then all the others.
    Canary {
        /// How many.
        count: usize,
        /// What of all requests they get together, in thousandths, from 1 to 999.
        share: u32,
    },
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The number in its name, free again when it is gone.
    pub index: usize,
    /// What it is made from.
    pub version: String,
    /// How far it is.
    pub stage: Stage,
    /// To be replaced by one of the version that it has: it is too old, or no longer what it was made from.
    pub retired: bool,
}

/// How far a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Told to be made; perhaps half there.
    Making,
    /// Made at this time; not known to be good.
    New(u64),
    /// Good.
    Member,
    /// On its way out.
    Leaving,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make the member of this serial number. One that is half there already is made anew.
    Make(u64),
    /// Send requests to these alone, by weight; those that are left out finish what they began.
    Share(BTreeMap<u64, u32>),
    /// Remove the member, which gets no requests any more.
    Remove(u64),
    /// Look again after so many milliseconds.
    Wait(u64),
    /// It is over.
    Finish(End),
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// A member was made, at this time.
    Made(u64, u64),
    /// It could not be made, and nothing of it is left.
    NotMade(u64, String),
    /// Requests go where they were to go.
    Shared(BTreeMap<u64, u32>),
    /// They go where they went before, or it is not known where: they are shared anew before anybody is removed.
    NotShared(String),
    /// A member is gone.
    Removed(u64),
    /// A member could not be removed: it may be there still, and gets no requests.
    NotRemoved(u64, String),
    /// A member could not be made, and what is left of it could not be removed.
    Left(u64, String),
}

/// What balancers say of members that get requests and do not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwell {
    /// All answer, or it is too early to say.
    Nobody,
    /// This one has not answered for longer than a new one may take to; others do. Of several, the one that is so the longest.
    One(u64),
    /// None answers, and all have not for so long: what is amiss is not theirs alone.
    All,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As it was to be.
    Settled,
    /// New members were no good: the old ones are back, all of them.
    Returned(String),
    /// Members die faster than they are to be replaced: so many in the window.
    GaveUp(usize),
    /// It could not go on.
    Failed(String),
}

/// The weight of a member that has no particular share.
const WEIGHT: u32 = 1000;
/// The pause between two looks.
const PAUSE_MS: u64 = 100;
/// Attempts to go back, which nobody but this can do, before it is given up.
const ATTEMPTS: u32 = 3;

/// A pool and what is under way in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub(crate) goal: Goal,
    /// By serial number.
    pub(crate) members: BTreeMap<u64, Member>,
    pub(crate) next: u64,
    /// Where requests go.
    pub(crate) table: BTreeMap<u64, u32>,
    /// They were to go elsewhere, and whether they do is not known: the driver may have ended in between.
    pub(crate) unsure: bool,
    /// The version that all members had when it last was settled.
    pub(crate) settled: Option<String>,
    /// Why it goes back to the settled version.
    pub(crate) returning: Option<String>,
    pub(crate) gate: Option<Gate>,
    /// The first few new members were good.
    pub(crate) canary_passed: bool,
    /// When members died, the earliest first.
    pub(crate) deaths: Vec<u64>,
    /// Why something could not be done.
    pub(crate) trouble: Option<String>,
    /// Why it ends without its goal, once what is no good is gone.
    pub(crate) failed: Option<String>,
    pub(crate) attempts: u32,
}

impl Pool {
    /// A pool without members.
    pub fn new(goal: Goal) -> Pool {
        Pool {
            goal,
            members: BTreeMap::new(),
            next: 0,
            table: BTreeMap::new(),
            unsure: false,
            settled: None,
            returning: None,
            gate: None,
            canary_passed: false,
            deaths: Vec::new(),
            trouble: None,
            failed: None,
            attempts: 0,
        }
    }

    /// The same pool with a goal, which may be the one that it has: then it goes on where it was.
    pub fn aim(self, goal: Goal) -> Pool {
        let anew = Pool { trouble: None, failed: None, attempts: 0, ..self };
        if goal == anew.goal {
            return anew;
        }
        let deaths = if goal.version == anew.goal.version { anew.deaths } else { Vec::new() };
        let mut members = anew.members;
        // What was never known to be good and is not wanted any more serves nobody.
        for member in members.values_mut().filter(|member| member.version != goal.version) {
            if member.stage != Stage::Member {
                member.stage = Stage::Leaving;
            }
            // It goes anyway; should it come back, whoever wanted it replaced asks again.
            member.retired = false;
        }
        Pool { goal, members, deaths, returning: None, gate: None, canary_passed: false, ..anew }
    }

    /// Has members replaced by new ones of the same version, one after another, or no longer so. Those that are not good
    /// yet, or on their way out, stay as they are.
    pub fn retire(mut self, serial: u64, retired: bool) -> Pool {
        if let Some(member) = self.members.get_mut(&serial).filter(|member| member.stage == Stage::Member) {
            member.retired = retired;
        }
        self
    }

    /// All members ended at this time, as they would not each by itself: one death. `None` where that is one too many, and
    /// they are not to be started again.
    pub fn all_died(mut self, ended_ms: u64, now_ms: u64) -> Option<Pool> {
        self.deaths.push(ended_ms);
        self.deaths.sort_unstable();
        self.deaths.retain(|death| now_ms.saturating_sub(*death) < self.goal.window_ms);
        (self.deaths.len() < self.goal.deaths.max(1)).then_some(self)
    }

    /// The goal.
    pub fn goal(&self) -> &Goal {
        &self.goal
    }

    /// The members by serial number, those that are half there included.
    pub fn members(&self) -> &BTreeMap<u64, Member> {
        &self.members
    }

    /// Where requests go.
    pub fn table(&self) -> &BTreeMap<u64, u32> {
        &self.table
    }

    /// Whether nothing is under way: all members are good, of the version that was settled on, and get requests alike. There
    /// may be fewer of them than there are to be.
    pub fn is_at_rest(&self) -> bool {
        let is_settled = |member: &Member| {
            member.stage == Stage::Member && !member.retired && self.settled.as_ref() == Some(&member.version)
        };
        let alike: BTreeMap<u64, u32> = self.members.keys().map(|serial| (*serial, WEIGHT)).collect();
        let is_quiet = !self.unsure && self.returning.is_none() && self.failed.is_none();
        is_quiet && self.members.values().all(is_settled) && self.table == alike
    }

    /// Why it goes back, where it does.
    pub fn returning(&self) -> Option<&str> {
        self.returning.as_deref()
    }

    /// Takes down what came of a command.
    pub fn done(mut self, done: Done) -> Pool {
        match done {
            Done::Made(serial, now_ms) => self.set_stage(serial, Stage::New(now_ms)),
            Done::NotMade(serial, why) => {
                self.members.remove(&serial);
                self.trouble = Some(why);
            }
            Done::Shared(table) => {
                self.table = table;
                self.unsure = false;
                self.gate = None;
            }
            Done::NotShared(why) | Done::NotRemoved(_, why) => self.trouble = Some(why),
            Done::Removed(serial) => drop(self.members.remove(&serial)),
            Done::Left(serial, why) => {
                self.set_stage(serial, Stage::Leaving);
                self.trouble = Some(why);
            }
        }
        self
    }

    /// The next step, after a look at all members.
    pub fn tick(mut self, now_ms: u64, seen: &BTreeMap<u64, Seen>) -> (Pool, Vec<Command>) {
        let commands = self.next_step(now_ms, seen);
        (self, commands)
    }

    /// Who is to be taken for dead although it runs. `unwell_ms` has of members that balancers ask how long none of these
    /// could get an answer; `None` where one could. Nobody, where something is under way.
    pub fn unwell(&self, unwell_ms: &BTreeMap<u64, Option<u64>>) -> Unwell {
        if !self.is_at_rest() || self.settled.as_ref() != Some(&self.goal.version) {
            return Unwell::Nobody;
        }
        let of = |serial: &u64| unwell_ms.get(serial).copied();
        let is_long = |ms: &u64| *ms > self.goal.limit_ms;
        let long = self.members.keys().filter_map(|serial| Some((*serial, of(serial)??))).filter(|(_, ms)| is_long(ms));
        // Of those that are so for the same time, the oldest.
        let Some((serial, _)) = long.clone().min_by_key(|(serial, ms)| (u64::MAX - ms, *serial)) else {
            return Unwell::Nobody;
        };
        let somebody_is_well = self.members.keys().any(|serial| of(serial) == Some(None));
        match somebody_is_well {
            true => Unwell::One(serial),
            false if long.count() == self.members.len() => Unwell::All,
            false => Unwell::Nobody,
        }
    }

    /// How many have ended, where whoever goes on with the pool as it is would find that too many have: what
    /// [`Pool::all_died`] and [`Pool::tick`] will come to is told beforehand, and nothing is done. `None` where something is
    /// under way: then it is not known what comes of it.
    pub fn would_give_up(&self, now_ms: u64, seen: &BTreeMap<u64, Seen>) -> Option<usize> {
        if !self.is_at_rest() {
            return None;
        }
        let last = seen.values().map(|seen| seen.ended_ms.unwrap_or(now_ms)).max();
        let nobody_runs = seen.values().all(|seen| !seen.alive);
        if let Some(last) = last.filter(|_| nobody_runs)
            && self.clone().all_died(last, now_ms).is_some()
        {
            return None;
        }
        let mut pool = self.clone();
        // Each member is left out once, and removed once.
        for _ in 0..=2 * self.members.len() {
            let (next, commands) = pool.tick(now_ms, seen);
            pool = next;
            for command in commands {
                let done = match command {
                    Command::Share(table) => Done::Shared(table),
                    Command::Remove(serial) => Done::Removed(serial),
                    Command::Finish(End::GaveUp(deaths)) => return Some(deaths),
                    Command::Make(_) | Command::Wait(_) | Command::Finish(_) => return None,
                };
                pool = pool.done(done);
            }
        }
        None
    }

    /// The version that members are to have now.
    pub fn version(&self) -> &str {
        match (&self.returning, &self.settled) {
            (Some(_), Some(settled)) => settled,
            _ => &self.goal.version,
        }
    }

    fn next_step(&mut self, now_ms: u64, seen: &BTreeMap<u64, Seen>) -> Vec<Command> {
        // One that was being made when its driver ended is made again: half of it may be there.
        let unmade: Vec<Command> = self.of_stage(|stage| stage == Stage::Making).map(Command::Make).collect();
        if !unmade.is_empty() {
            return unmade;
        }
        if let Some(end) = self.bury(now_ms, seen).or_else(|| self.face_trouble()) {
            return vec![Command::Finish(end)];
        }
        let leaving: Vec<u64> = self.of_stage(|stage| stage == Stage::Leaving).collect();
        if !leaving.is_empty() {
            return self.without(&leaving);
        }
        if let Some(why) = self.failed.take() {
            return vec![Command::Finish(End::Failed(why))];
        }
        let missing = self.wanted().saturating_sub(self.of_version().len());
        if missing > 0 {
            return self.make(missing);
        }
        if let Some(commands) = self.await_health(now_ms, seen) {
            return commands;
        }
        let table = self.table_wanted();
        if table != self.table || self.unsure {
            return self.share(table);
        }
        match self.pass_gate(now_ms, seen) {
            Some(Verdict::Wait) => return vec![Command::Wait(PAUSE_MS)],
            Some(Verdict::Fail(why)) => return self.fail(why, now_ms, seen),
            Some(Verdict::Pass) | None => {}
        }
        if self.let_go() {
            return self.next_step(now_ms, seen);
        }
        let commands = vec![Command::Finish(match &self.returning {
            Some(why) => End::Returned(why.clone()),
            None => End::Settled,
        })];
        self.settled = Some(self.version().to_owned());
        self.returning = None;
        self.canary_passed = false;
        commands
    }

    fn of_stage(&self, condition: impl Fn(Stage) -> bool) -> impl Iterator<Item = u64> {
        self.members.iter().filter(move |(_, member)| condition(member.stage)).map(|(serial, _)| *serial)
    }

    fn staying(&self) -> impl Iterator<Item = (&u64, &Member)> {
        self.members.iter().filter(|(_, member)| member.stage != Stage::Leaving)
    }

    /// Those of the version that is wanted and that are to stay.
    fn of_version(&self) -> Vec<u64> {
        let version = self.version();
        self.staying()
            .filter(|(_, member)| member.version == version && !member.retired)
            .map(|(serial, _)| *serial)
            .collect()
    }

    /// Those of other versions, and those that are retired.
    fn others(&self) -> Vec<u64> {
        let version = self.version();
        self.staying()
            .filter(|(_, member)| member.version != version || member.retired)
            .map(|(serial, _)| *serial)
            .collect()
    }

    fn set_stage(&mut self, serial: u64, stage: Stage) {
        if let Some(member) = self.members.get_mut(&serial) {
            member.stage = stage;
        }
    }

    fn is_good(&self, serial: &u64) -> bool {
        self.members.get(serial).is_some_and(|member| member.stage == Stage::Member)
    }

    /// Takes note of members that have ended. In a replacement the end of a new one is a failed gate; else too many
    /// ends are too many.
    fn bury(&mut self, now_ms: u64, seen: &BTreeMap<u64, Seen>) -> Option<End> {
        let alive = |serial: &u64| seen.get(serial).is_some_and(|seen| seen.alive);
        let dead: Vec<u64> = self
            .of_stage(|stage| matches!(stage, Stage::New(_) | Stage::Member))
            .filter(|serial| !alive(serial))
            .collect();
        let replacing = self.is_replacing();
        let new = self.of_version();
        // However many of them ended at once.
        let is_gate = replacing && self.can_return();
        for serial in dead {
            self.set_stage(serial, Stage::Leaving);
            // The end of one that is on its way out is no loss.
            if !new.contains(&serial) {
                continue;
            }
            if is_gate {
                self.turn_back("a new server ended".to_owned());
            } else {
                self.deaths.push(seen.get(&serial).and_then(|seen| seen.ended_ms).unwrap_or(now_ms));
            }
        }
        self.deaths.sort_unstable();
        self.deaths.retain(|death| now_ms.saturating_sub(*death) < self.goal.window_ms);
        let too_many = self.deaths.len() >= self.goal.deaths.max(1);
        let is_short = self.of_version().len() < self.wanted();
        let is_clean = self.of_stage(|stage| stage == Stage::Leaving).next().is_none();
        let may_end = !(replacing && self.can_return());
        (too_many && is_short && is_clean && may_end).then_some(End::GaveUp(self.deaths.len()))
    }

    /// Whether members of other versions are being replaced.
    fn is_replacing(&self) -> bool {
        self.settled.is_some() && !self.others().is_empty()
    }

    /// How those of others are replaced. Where only some of the wanted version are to be made anew, all that differs
    /// is their age: they go one after another.
    fn strategy(&self) -> Strategy {
        let only_retired = self.staying().all(|(_, member)| member.version == self.goal.version);
        if only_retired { Strategy::Rolling(1) } else { self.goal.strategy }
    }

    /// Whether there is a version to go back to, and it does not do so already.
    fn can_return(&self) -> bool {
        self.returning.is_none() && self.settled.as_ref().is_some_and(|settled| *settled != self.goal.version)
    }

    /// Goes back if that is possible and not under way.
    fn turn_back(&mut self, why: String) {
        if self.can_return() {
            self.returning = Some(why);
            self.gate = None;
            self.attempts = 0;
            self.trouble = None;
        }
    }

    /// What could not be done: goes back, tries again, or gives up.
    fn face_trouble(&mut self) -> Option<End> {
        let why = self.trouble.take()?;
        if self.returning.is_none() && self.is_replacing() {
            self.turn_back(why.clone());
            return if self.returning.is_some() { None } else { Some(End::Failed(why)) };
        }
        self.attempts += 1;
        (self.returning.is_none() || self.attempts >= ATTEMPTS).then_some(End::Failed(why))
    }

    /// Takes members out of the table, and away once they are not in it. What they got, others that are good take over; on
    /// the way back the old ones alone.
    fn without(&mut self, leaving: &[u64]) -> Vec<Command> {
        let mut table = self.table.clone();
        table.retain(|serial, _| !leaving.contains(serial));
        if self.returning.is_some() {
            let old = self.of_version().into_iter().filter(|serial| self.is_good(serial));
            table.extend(old.map(|serial| (serial, WEIGHT)));
        } else if table.len() < self.table.len() || self.unsure {
            for serial in self.of_stage(|stage| stage == Stage::Member) {
                table.entry(serial).or_insert(WEIGHT);
            }
        }
        if table == self.table && !self.unsure {
            return leaving.iter().map(|serial| Command::Remove(*serial)).collect();
        }
        self.share(table)
    }

    /// From now on it is known where requests go only once somebody has told it.
    fn share(&mut self, table: BTreeMap<u64, u32>) -> Vec<Command> {
        self.unsure = true;
        vec![Command::Share(table)]
    }

    /// How many of the wanted version there should be at this step.
    fn wanted(&self) -> usize {
        let size = self.goal.size;
        if self.returning.is_some() || !self.is_replacing() {
            return size;
        }
        match self.strategy() {
            Strategy::Rolling(batch) => {
                let good = self.of_version().iter().filter(|serial| self.is_good(serial)).count();
                size.min(good + batch.max(1))
            }
            Strategy::BlueGreen => size,
            Strategy::Canary { count, .. } if !self.canary_passed => size.min(count.max(1)),
            Strategy::Canary { .. } => size,
        }
    }

    fn make(&mut self, count: usize) -> Vec<Command> {
        let mut taken: BTreeSet<usize> = self.members.values().map(|member| member.index).collect();
        let version = self.version().to_owned();
        let mut commands = Vec::new();
        for _ in 0..count {
            let Some(index) = (0..).find(|index| !taken.contains(index)) else { break };
            taken.insert(index);
            let member = Member { index, version: version.clone(), stage: Stage::Making, retired: false };
            self.members.insert(self.next, member);
            commands.push(Command::Make(self.next));
            self.next += 1;
        }
        commands
    }

    /// Waits until those that are new and get no requests yet are healthy.
    fn await_health(&mut self, now_ms: u64, seen: &BTreeMap<u64, Seen>) -> Option<Vec<Command>> {
        let healthy = |serial: &u64| seen.get(serial).is_some_and(|seen| seen.healthy);
        let ill: Vec<u64> = self
            .of_version()
            .into_iter()
            .filter(|serial| !self.table.contains_key(serial) && !healthy(serial) && !self.is_good(serial))
            .collect();
        if ill.is_empty() {
            return None;
        }
        let late = ill.iter().any(|serial| match self.members.get(serial).map(|member| member.stage) {
            Some(Stage::New(made_ms)) => now_ms.saturating_sub(made_ms) > self.goal.limit_ms,
            _ => false,
        });
        if !late {
            return Some(vec![Command::Wait(PAUSE_MS)]);
        }
        Some(self.fail("new servers do not become healthy".to_owned(), now_ms, seen))
    }

    /// Where requests should go at this step.
    fn table_wanted(&self) -> BTreeMap<u64, u32> {
        let (new, mut others) = (self.of_version(), self.others());
        others.retain(|serial| self.is_good(serial));
        let all =
            |serials: &[u64], weight: u32| serials.iter().map(|serial| (*serial, weight)).collect::<BTreeMap<_, _>>();
        let new_alone = all(&new, WEIGHT);
        if self.returning.is_some() || !self.is_replacing() {
            return new_alone;
        }
        match self.strategy() {
            Strategy::Rolling(_) => {
                let mut table = all(&others, WEIGHT);
                table.extend(new_alone);
                table
            }
            Strategy::Canary { share, .. } if !self.canary_passed && new.len() < self.goal.size => {
                // weight × new ÷ (weight × new + plain × others) = share
                let share = u64::from(share.clamp(1, 999));
                let weight =
                    u64::from(WEIGHT) * others.len() as u64 * share / ((1000 - share) * new.len().max(1) as u64);
                let mut table = all(&others, WEIGHT);
                table.extend(all(&new, u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, 1_000_000)));
                table
            }
            Strategy::BlueGreen | Strategy::Canary { .. } => new_alone,
        }
    }

    /// Judges those that get requests and are not known to be good. `None` where there are none.
    fn pass_gate(&mut self, now_ms: u64, seen: &BTreeMap<u64, Seen>) -> Option<Verdict> {
        let (new, others) = (self.of_version(), self.others());
        let unproven: Vec<u64> = new.iter().copied().filter(|serial| !self.is_good(serial)).collect();
        let is_cut_over = !others.is_empty() && !others.iter().any(|other| self.table.contains_key(other));
        if unproven.is_empty() && !is_cut_over {
            // Those that are known to be good, as of the version that there was before, need no trial.
            self.canary_passed = true;
            return None;
        }
        if !self.is_replacing() || self.returning.is_some() {
            unproven.iter().for_each(|serial| self.set_stage(*serial, Stage::Member));
            return Some(Verdict::Pass);
        }
        // After a cut-over all of them carry more than they did before.
        let judged = if is_cut_over { new } else { unproven };
        let gate = self.gate.get_or_insert_with(|| Gate::new(now_ms, seen));
        let verdict = gate.judge(&self.goal, now_ms, &judged, &others, seen);
        if verdict == Verdict::Pass {
            self.gate = None;
            judged.iter().for_each(|serial| self.set_stage(*serial, Stage::Member));
            if let Strategy::Canary { .. } = self.strategy() {
                self.canary_passed = true;
            }
        }
        Some(verdict)
    }

    /// New members are no good: they go, and the old ones stay or come back.
    fn fail(&mut self, why: String, now_ms: u64, seen: &BTreeMap<u64, Seen>) -> Vec<Command> {
        let unproven: Vec<u64> = self.of_version().into_iter().filter(|serial| !self.is_good(serial)).collect();
        if self.returning.is_some() {
            self.attempts += 1;
        } else if self.is_replacing() {
            self.turn_back(why.clone());
        }
        unproven.iter().for_each(|serial| self.set_stage(*serial, Stage::Leaving));
        if self.returning.is_none() || self.attempts >= ATTEMPTS {
            self.failed = Some(why);
        }
        self.next_step(now_ms, seen)
    }

    /// Lets those go that are no longer needed; says whether there are any.
    fn let_go(&mut self) -> bool {
        let (new, mut others) = (self.of_version(), self.others());
        let mut going: Vec<u64> = Vec::new();
        if new.len() >= self.goal.size {
            going.append(&mut others);
            // The last ones, by name.
            let mut by_index: Vec<(usize, u64)> =
                new.iter().filter_map(|serial| Some((self.members.get(serial)?.index, *serial))).collect();
            by_index.sort_unstable();
            going.extend(by_index.iter().skip(self.goal.size).map(|(_, serial)| *serial));
        } else if matches!(self.strategy(), Strategy::Rolling(_)) && self.returning.is_none() {
            let surplus = (new.len() + others.len()).saturating_sub(self.goal.size);
            going.extend(others.iter().take(surplus));
        }
        going.iter().for_each(|serial| self.set_stage(*serial, Stage::Leaving));
        // The canary passed, or a batch is through: there is more to make.
        !going.is_empty() || new.len() < self.goal.size
    }
}
