//! Drives a pool: looks, asks [`andon_flow`] for the next step, writes it down, takes it, until it is over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use andon_flow::{Command, Done, End, Goal, Member, Pool, Seen, Stage, Strategy, Unwell};
use andon_image::{Digest, Images};
use andon_lab::{Lab, Made, MemberNote, NONE_IS_WELL, PoolSession, PoolSpec, Standing};
use andon_schema::{Failure, Identity};
use andon_value::Value;

use super::newborn::{Newborns, THROWN_AWAY};

/// What one drive needs.
pub(super) struct Drive<'a> {
    pub session: PoolSession<'a>,
    pub images: &'a Images,
    pub newborns: Newborns<'a>,
    pub planned: &'a Value,
    pub say: &'a dyn Fn(&str),
    /// Whether the user asks for an end.
    pub interrupt: &'a AtomicBool,
    /// Whether the pool is being made: where that fails, nothing of it stays.
    pub is_new: bool,
}

/// Members that are made beside each other, at most.
const AT_ONCE: usize = 16;

/// What a thread that makes members has to tell.
enum Told {
    Said(String),
    Done(Done),
}

impl Drive<'_> {
    /// Brings the pool to what is planned. On failure it is what it was before, as far as that is possible; what it then
    /// is, the caller reads.
    pub fn run(&self) -> Result<Value, Failure> {
        let goal = self.goal()?;
        let before = self.session.state()?;
        let mut fault = self.session.standing().fault;
        let mut pool = match before.as_ref().and_then(Pool::from_json) {
            Some(pool) => pool.aim(goal),
            None if before.is_some() => {
                return Err(Failure::new("the pool's state cannot be read", "It was written by another Andon.")
                    .help("Replace the pool: `andon apply -replace=ADDRESS`."));
            }
            None => Pool::new(goal),
        };
        // After a reboot nothing runs, and that is no fault of the members. Where all have ended otherwise, they are brought
        // back as they were, and that counts as one death: whatever ended them, it was one thing.
        if self.session.machine_is_new() {
            self.revive(&pool);
        } else if let Some(ended_ms) = self.all_ended(&pool) {
            let again = pool.clone().all_died(ended_ms, now_ms());
            if let Some(again) = again {
                pool = again;
                self.write(&pool, fault.as_deref())?;
                self.revive(&pool);
            }
        }
        self.session.knows_machine()?;
        let (mut said, mut ill) = (None, Vec::new());
        loop {
            if self.is_stopped() {
                return Err(self.stopped());
            }
            let serials: Vec<u64> = pool.members().keys().copied().collect();
            let mut seen = self.look(&serials);
            if let Unwell::One(serial) = self.unwell(&pool, &seen)
                && let Some(seen) = seen.get_mut(&serial)
            {
                (self.say)(&format!("{} runs and does not answer its balancer", self.names(&pool, &[serial])));
                (seen.alive, seen.healthy) = (false, false);
            }
            let (next, commands) = pool.tick(now_ms(), &seen);
            pool = next;
            self.write(&pool, fault.as_deref())?;
            if let Some(why) = pool.returning().filter(|why| said.as_deref() != Some(*why)) {
                (self.say)(&format!("the old servers come back: {why}"));
                said = Some(why.to_owned());
            }
            ill.extend(self.complaints(&pool, &seen, &commands));
            if let [Command::Finish(end)] = commands.as_slice() {
                // One after another: the next one is looked for once the last one is replaced.
                if *end == End::Settled && matches!(self.unwell(&pool, &seen), Unwell::One(_)) {
                    continue;
                }
                fault = fault_after(fault, &pool, end);
                if *end != End::Settled {
                    // Who was to be replaced and could not be goes on; whoever asked for it asks again.
                    let serials: Vec<u64> = pool.members().keys().copied().collect();
                    pool = serials.into_iter().fold(pool, |pool, serial| pool.retire(serial, false));
                }
                self.write(&pool, fault.as_deref())?;
                return self.finish(&pool, end, &ill);
            }
            for done in self.take(&pool, &commands) {
                pool = pool.done(done);
                self.write(&pool, fault.as_deref())?;
            }
        }
    }

    /// What is amiss with members that run and are to go since they do not answer.
    fn complaints(&self, pool: &Pool, seen: &BTreeMap<u64, Seen>, commands: &[Command]) -> Vec<String> {
        let complaint = |command: &Command| {
            let Command::Remove(serial) = command else { return None };
            seen.get(serial).filter(|seen| seen.alive && !seen.healthy)?;
            let what = self.session.complaint(*serial, self.planned)?;
            Some(format!("{}: {what}.", self.names(pool, &[*serial])))
        };
        commands.iter().filter_map(complaint).collect()
    }

    fn write(&self, pool: &Pool, fault: Option<&str>) -> Result<(), Failure> {
        write(&self.session, pool, fault)
    }

    fn is_stopped(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The user asked for an end.
    fn stopped(&self) -> Failure {
        if self.is_new {
            return Failure::new("the pool was not made", "It was stopped by hand, and its members are removed again.")
                .help("The next apply makes it.");
        }
        Failure::new("the pool is not what it is to be yet", "It was stopped by hand.")
            .help("Members and requests are as the last step left them. The next apply goes on from there.")
    }

    fn goal(&self) -> Result<Goal, Failure> {
        let spec = self.session.spec(self.planned)?;
        Ok(Goal {
            size: spec.size,
            version: self.session.version(self.planned)?,
            strategy: strategy(&spec),
            healthy_for_ms: spec.healthy_for_ms,
            limit_ms: spec.wait_ms,
            tolerance: spec.tolerance,
            deaths: spec.deaths,
            window_ms: spec.window_ms,
        })
    }

    /// Whether balancers get no answer from members, all of which run.
    fn unwell(&self, pool: &Pool, seen: &BTreeMap<u64, Seen>) -> Unwell {
        let serials: Vec<u64> = pool.members().keys().copied().collect();
        // While something is under way, or one has ended, nobody is judged, and nobody need be asked.
        if !pool.is_at_rest() || !serials.iter().all(|serial| seen.get(serial).is_some_and(|seen| seen.alive)) {
            return Unwell::Nobody;
        }
        pool.unwell(&self.session.unwell_ms(&serials))
    }

    fn look(&self, serials: &[u64]) -> BTreeMap<u64, Seen> {
        let seen = self.session.look(serials, self.planned).into_iter();
        let told = seen.map(|(serial, seen)| {
            let (requests, errors) = (seen.requests, seen.errors);
            (serial, Seen { alive: seen.alive, ended_ms: seen.ended_ms, healthy: seen.healthy, requests, errors })
        });
        told.collect()
    }

    /// Does what is to be done. Members are made beside each other; all else is one after another.
    fn take(&self, pool: &Pool, commands: &[Command]) -> Vec<Done> {
        let serials = commands.iter().filter_map(|command| match command {
            Command::Make(serial) => Some(*serial),
            _ => None,
        });
        let makes: Vec<u64> = serials.collect();
        if !makes.is_empty() {
            (self.say)(&format!("making {}", self.names(pool, &makes)));
            return self.make(pool, &makes);
        }
        commands.iter().filter_map(|command| self.take_one(pool, command)).collect()
    }

    fn take_one(&self, pool: &Pool, command: &Command) -> Option<Done> {
        match command {
            Command::Share(table) => {
                let serials: Vec<u64> = table.keys().copied().collect();
                (self.say)(&format!("requests go to {}", self.names(pool, &serials)));
                match self.session.share(table, &|| self.is_stopped()) {
                    Ok(notes) => {
                        notes.iter().for_each(|note| (self.say)(note));
                        Some(Done::Shared(table.clone()))
                    }
                    // Nobody knows how far it came; whoever goes on shares anew.
                    Err(_) if self.is_stopped() => None,
                    Err(failure) => Some(Done::NotShared(failure.to_string())),
                }
            }
            Command::Remove(serial) => {
                (self.say)(&format!("removing {}", self.names(pool, &[*serial])));
                // What cannot be removed is tried again with the next step.
                match self.session.remove(*serial) {
                    Ok(()) => Some(Done::Removed(*serial)),
                    Err(failure) => Some(Done::NotRemoved(*serial, failure.to_string())),
                }
            }
            Command::Wait(millis) => {
                std::thread::sleep(Duration::from_millis(*millis));
                None
            }
            Command::Make(_) | Command::Finish(_) => None,
        }
    }

    /// Makes members, some beside each other. Each counts once it is what a new server must be.
    fn make(&self, pool: &Pool, serials: &[u64]) -> Vec<Done> {
        let (session, images, newborns) = (&self.session, self.images, self.newborns);
        let one = |serial: u64, say: &dyn Fn(&str)| -> Result<Made, (Failure, Option<Value>)> {
            let ordered = || {
                let member = pool.members().get(&serial);
                let gone = || Failure::new("the member is gone", "Nobody should have removed it.");
                let member = member.ok_or_else(gone)?;
                let layers = layers(session, images, &member.version)?;
                Ok((layers, session.order(&member.version, member.index)?))
            };
            let (layers, order) = ordered().map_err(|failure| (failure, None))?;
            let make = || session.make(serial, &order, layers.clone());
            let discard = || session.remove(serial);
            newborns.raise(&order, &make, &discard, THROWN_AWAY, say)
        };
        let waiting = Mutex::new(serials.iter());
        // Those that were not begun when it is stopped are made by whoever goes on.
        let interrupt = self.interrupt;
        let next = || match interrupt.load(Ordering::Relaxed) {
            true => None,
            false => waiting.lock().unwrap_or_else(PoisonError::into_inner).next().copied(),
        };
        let (told, telling) = channel();
        std::thread::scope(|scope| {
            for _ in 0..serials.len().min(AT_ONCE) {
                let told = told.clone();
                scope.spawn(|| {
                    let told = told;
                    while let Some(serial) = next() {
                        let say = |text: &str| drop(told.send(Told::Said(text.to_owned())));
                        let done = match one(serial, &say) {
                            Ok(made) => {
                                made.notes.iter().for_each(|note| say(note));
                                Done::Made(serial, now_ms())
                            }
                            Err((failure, None)) => Done::NotMade(serial, failure.to_string()),
                            Err((failure, Some(_))) => Done::Left(serial, failure.to_string()),
                        };
                        let _ = told.send(Told::Done(done));
                    }
                });
            }
            drop(told);
            let mut done = Vec::new();
            for told in telling {
                match told {
                    Told::Said(text) => (self.say)(&text),
                    Told::Done(it) => done.push(it),
                }
            }
            done
        })
    }

    /// When the last member ended, where none runs.
    fn all_ended(&self, pool: &Pool) -> Option<u64> {
        let serials: Vec<u64> = pool.members().keys().copied().collect();
        let seen = self.look(&serials);
        let nobody_runs = !seen.is_empty() && seen.values().all(|seen| !seen.alive);
        seen.values().map(|seen| seen.ended_ms.unwrap_or_else(now_ms)).max().filter(|_| nobody_runs)
    }

    fn revive(&self, pool: &Pool) {
        let seen = self.look(&pool.members().keys().copied().collect::<Vec<_>>());
        let stopped = pool.members().iter().filter(|(serial, _)| seen.get(serial).is_none_or(|seen| !seen.alive));
        for (serial, _) in stopped {
            let revived = self.session.revive(*serial);
            match revived {
                Ok(()) => (self.say)(&format!("{} runs again", self.names(pool, &[*serial]))),
                Err(failure) => (self.say)(&format!("{} does not run again: {failure}", self.names(pool, &[*serial]))),
            }
        }
    }

    fn names(&self, pool: &Pool, serials: &[u64]) -> String {
        let prefix = self.planned.get_str("name").unwrap_or_default();
        let members = serials.iter().filter_map(|serial| pool.members().get(serial));
        let names: Vec<String> = members.map(|member| format!("{prefix}-{}", member.index)).collect();
        if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
    }

    /// How it ended; `ill`: what was amiss with members that had to go.
    fn finish(&self, pool: &Pool, end: &End, ill: &[String]) -> Result<Value, Failure> {
        let with_ill = |why: &str| [&[sentence(why)], ill].concat().join("\n");
        match end {
            End::Settled => self.session.finish(self.planned).map(|made| made.value),
            End::Returned(why) => {
                Err(Failure::new("the new servers were not good enough, and the old ones are back", with_ill(why))
                    .help("Look into what new servers are made from, then apply again."))
            }
            End::GaveUp(deaths) => {
                Err(Failure::new(
                    "members of the pool die too fast, so no more are made",
                    format!("{} (`deaths`, `window`).", ended(pool, *deaths)),
                )
                .help("Find out why they end: their consoles and journals tell. A change to what they are made from lets the pool make members again."))
            }
            End::Failed(why) => Err(Failure::new("the pool could not be brought to what it should be", with_ill(why))),
        }
    }
}

/// How many have ended, and within which time.
fn ended(pool: &Pool, deaths: usize) -> String {
    format!("{deaths} have ended within {} min", pool.goal().window_ms as f64 / 60_000.0)
}

/// What a pool fails at after a change has ended like this, where it failed at `before`. One that is stopped, or is killed,
/// has no end: it stays as it was.
fn fault_after(before: Option<String>, pool: &Pool, end: &End) -> Option<String> {
    match end {
        End::GaveUp(deaths) => Some(too_fast(pool, *deaths)),
        End::Settled | End::Returned(_) => None,
        End::Failed(_) => before,
    }
}

/// What such a pool fails at.
fn too_fast(pool: &Pool, deaths: usize) -> String {
    format!("members end too fast: {}", ended(pool, deaths))
}

fn write(session: &PoolSession<'_>, pool: &Pool, fault: Option<&str>) -> Result<(), Failure> {
    let note = |(serial, member): (&u64, &Member)| MemberNote {
        serial: *serial,
        version: member.version.clone(),
        good: member.stage == Stage::Member && !member.retired,
    };
    let members: Vec<MemberNote> = pool.members().iter().map(note).collect();
    let standing = Standing { fault: fault.map(str::to_owned), unfinished: !pool.is_at_rest() };
    session.write(&pool.to_json(), &members, &standing)
}

/// Has the next change to a pool replace a member that serves, or no longer so. Says whether the member is there.
///
/// # Errors
/// Where there is no such pool.
pub fn retire(lab: &Lab, pool: &Identity, serial: u64, retired: bool) -> Result<bool, Failure> {
    let session = lab.pool(pool)?;
    match session.state()?.as_ref().and_then(Pool::from_json) {
        Some(pool) => {
            let is_there = pool.members().contains_key(&serial);
            write(&session, &pool.retire(serial, retired), session.standing().fault.as_deref())?;
            Ok(is_there)
        }
        None => Ok(false),
    }
}

/// A pool as it was read, with the fault that the next change to it will find: its members end too fast already, whether or
/// not somebody has tried to make them again since.
pub(super) fn with_fault(lab: &Lab, pool: &Identity, value: Value) -> Value {
    let is_known = value.get_str("fault").is_some();
    let Some(look) = (if is_known { None } else { lab.look_at_pool(pool) }) else { return value };
    // After a reboot nothing runs, and that is no fault of the members.
    let Some(known) = Pool::from_json(&look.state).filter(|_| !look.machine_is_new) else { return value };
    let seen = |(serial, ended_ms): (u64, Option<u64>)| {
        let alive = ended_ms.is_none();
        (serial, Seen { alive, ended_ms, healthy: alive, requests: 0, errors: 0 })
    };
    let has_ended = look.ended_ms.values().any(Option::is_some);
    let with = |fault: &str| {
        let mut attributes = value.as_entries().map(|entries| (**entries).clone()).unwrap_or_default();
        attributes.insert("fault".into(), fault.into());
        Value::object(attributes)
    };
    if let Some(deaths) = known.would_give_up(now_ms(), &look.ended_ms.into_iter().map(seen).collect()) {
        return with(&too_fast(&known, deaths));
    }
    match known.unwell(&look.unwell_ms) {
        Unwell::Nobody => value,
        // That comes first.
        _ if has_ended => value,
        Unwell::All => with(NONE_IS_WELL),
        Unwell::One(serial) => {
            let index = known.members().get(&serial).map(|member| member.index).unwrap_or_default();
            let name = format!("{}-{index}", value.get_str("name").unwrap_or_default());
            lab.without_member(pool, &value, serial, &format!("{name} runs and does not answer its balancer"))
        }
    }
}

/// The layers of the image of members of a version.
fn layers(session: &PoolSession<'_>, images: &Images, version: &str) -> Result<Vec<PathBuf>, Failure> {
    let image = session.image(version)?;
    let digest = Digest::parse(&image).ok_or_else(|| {
        Failure::new(format!("`{image}` is no image"), "A pool's image is a digest such as sha256:….")
            .help("Give it the `digest` of an `andon_image`.")
    })?;
    images.lower_dirs(&digest)
}

fn strategy(spec: &PoolSpec) -> Strategy {
    match spec.strategy.as_str() {
        "blue_green" => Strategy::BlueGreen,
        "canary" => Strategy::Canary { count: spec.canaries, share: spec.share },
        _ => Strategy::Rolling(spec.batch),
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let text = format!("{first}{}", letters.as_str());
    if text.ends_with('.') { text } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_stays_until_members_are_as_they_are_to_be() {
        let goal = Goal {
            size: 1,
            version: "a".to_owned(),
            strategy: Strategy::Rolling(1),
            healthy_for_ms: 0,
            limit_ms: 0,
            tolerance: 0,
            deaths: 3,
            window_ms: 90_000,
        };
        let pool = Pool::new(goal);
        let told = "members end too fast: 3 have ended within 1.5 min";
        for (end, before, expected) in [
            (End::GaveUp(3), None, Some(told)),
            (End::GaveUp(3), Some("old"), Some(told)),
            (End::Settled, Some("old"), None),
            (End::Returned("no good".to_owned()), Some("old"), None),
            (End::Failed("no such image".to_owned()), Some("old"), Some("old")),
            (End::Failed("no such image".to_owned()), None, None),
        ] {
            let after = fault_after(before.map(str::to_owned), &pool, &end);
            assert_eq!(after.as_deref(), expected, "{end:?} after {before:?}");
        }
    }
}
