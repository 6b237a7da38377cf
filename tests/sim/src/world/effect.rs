//! What commands do to the simulated world, and how they go wrong.

use andon_engine::{Found, Job};
use andon_ledger::{Action, Intent};
use andon_schema::{Command, EntryStatus, Failure, HostReport, Identity, Object, Outcome};
use andon_value::Value;

use super::answer::entry;
use super::{Fate, Landed, SimWorld, action, describe, extent};
use crate::Mistake;
use crate::kinds::{HOST, bare, catalog, realise, with};

impl SimWorld<'_> {
    pub(super) fn roll_fate(&mut self, command: &Command) -> Fate {
        if command.via().is_some() && self.dice.chance(self.faults.lose) {
            self.trace.borrow_mut().fault("a lost answer");
            return Fate::Lost(extent(&mut self.dice));
        }
        let odds = [
            (self.faults.refuse, Fate::Refused, "a refusal"),
            (self.faults.fail_after, Fate::FailedAfterwards, "a failure after the effect"),
            (self.faults.half, Fate::StoppedHalfway, "a failure half-way"),
        ];
        for (percent, fate, name) in odds {
            if self.dice.chance(percent) {
                self.trace.borrow_mut().fault(name);
                return fate;
            }
        }
        Fate::Done
    }

    /// An effect begins. Nature may forbid it; then nothing is done, and it counts as refused.
    pub(super) fn begin(&mut self, job: &Job, fate: Fate) -> Fate {
        let Job::Do(command) = job else { return fate };
        let intended = self.trace.borrow().intents.get(command.identity()) == Some(&action(command));
        // What is left of what is gone is nobody's, and may be swept away at any time.
        let sweeps = matches!(command, Command::Delete { identity, .. } if self.is_gone(identity));
        if !intended && !sweeps {
            self.violation(format!("{} begins, and no durable intent says so", describe(job)));
        }
        if fate == Fate::Refused {
            return fate;
        }
        self.say(|| format!("begins  {}", describe(job)));
        if let Command::Create { config, planned, .. } | Command::Update { config, planned, .. } = command {
            self.check_config(command, config, planned);
        }
        let allowed = match command {
            Command::Create { config, .. } | Command::Update { config, .. } if is_host(command) => {
                let server = config.get_str("server").unwrap_or_default();
                let reached = self.earth.server(server).is_some();
                if reached { Ok(()) } else { Err(format!("{} needs the server {server}", command.address())) }
            }
            Command::Delete { .. } if is_host(command) => Ok(()),
            Command::Create { address, identity, config, .. } => {
                let kind = &address.resource.kind;
                let value = realise(kind, identity, None, config);
                self.earth.begin(kind, &address.to_string(), identity, value)
            }
            Command::Update { address, identity, .. } => match self.earth.things.get(identity) {
                Some(thing) if thing.whole => Ok(()),
                Some(_) => Err(format!("{address} ({identity}) is updated, and is broken")),
                None => Err(format!("{address} ({identity}) is updated, and does not exist")),
            },
            Command::Delete { identity, .. } => self.earth.dismantle(identity),
            Command::Provision { address, .. } => Err(format!("{address} has no provisioners")),
        };
        match allowed {
            Ok(()) => fate,
            Err(forbidden) => {
                self.forbidden(forbidden);
                Fate::Refused
            }
        }
    }

    fn is_gone(&self, identity: &Identity) -> bool {
        self.earth.things.get(identity).is_none_or(|thing| thing.remains)
    }

    fn check_config(&self, command: &Command, config: &Value, planned: &Value) {
        if !config.is_wholly_known() {
            self.violation(format!("{} is given a configuration that is not known", command.address()));
        }
        let given = config.as_entries().into_iter().flat_map(|entries| entries.iter());
        for (name, value) in given.filter(|(_, value)| !value.is_null()) {
            if planned.get(name).is_none_or(|planned| bare(planned) != bare(value)) {
                self.violation(format!("{}: what is planned of {name} is not what is given", command.address()));
            }
        }
    }

    /// An effect comes to its end, and this is what is said of it.
    pub(super) fn land(&mut self, job: &Job, fate: Fate) -> Landed {
        self.say(|| format!("ends    {}: {fate:?}", describe(job)));
        match job {
            Job::Do(command) if command.via().is_some() => Landed::Finished(self.execute_by_plugin(command, fate)),
            Job::Do(command) if is_host(command) => Landed::Finished(self.converge(command, fate)),
            Job::Do(Command::Create { address, identity, config, .. }) => {
                Landed::Finished(self.create(&address.resource.kind, identity, config, fate))
            }
            Job::Do(Command::Update { address, identity, prior, config, .. }) => {
                Landed::Finished(self.update(&address.resource.kind, identity, prior, config, fate))
            }
            Job::Do(Command::Delete { identity, prior, .. }) => Landed::Finished(self.delete(identity, prior, fate)),
            Job::Resolve { intent, object } => Landed::Resolved(self.resolve(intent, object.as_ref())),
            Job::Ask(_) | Job::Do(Command::Provision { .. }) => Landed::Finished(failed(None)),
        }
    }

    pub(super) fn create(&mut self, kind: &str, identity: &Identity, config: &Value, fate: Fate) -> Outcome {
        if fate == Fate::Refused {
            return failed(None);
        }
        if fate == Fate::StoppedHalfway {
            // Some drivers clean up after themselves, some leave it to the next apply.
            if self.dice.chance(50) {
                self.earth.vanish(identity);
                return failed(None);
            }
            return failed(self.value(identity));
        }
        if let Err(forbidden) = self.earth.complete(identity, realise(kind, identity, None, config)) {
            self.forbidden(forbidden);
            return failed(self.value(identity));
        }
        let value = self.value(identity);
        if self.strikes(Mistake::WorldForgetsAnEffect) {
            self.earth.vanish(identity);
        }
        match fate {
            Fate::FailedAfterwards if self.strikes(Mistake::DriverLosesAnObject) => failed(None),
            Fate::FailedAfterwards => failed(value),
            _ => done(value),
        }
    }

    pub(super) fn update(
        &mut self,
        kind: &str,
        identity: &Identity,
        prior: &Value,
        config: &Value,
        fate: Fate,
    ) -> Outcome {
        if fate == Fate::Refused {
            return failed(self.value(identity));
        }
        let before = self.value(identity).unwrap_or_else(|| bare(prior));
        let mut value = realise(kind, identity, Some(&before), config);
        if fate == Fate::StoppedHalfway {
            value = self.halfway(&before, &value);
        }
        if let Err(forbidden) = self.earth.complete(identity, value) {
            self.forbidden(forbidden);
        }
        match fate {
            Fate::Done => done(self.value(identity)),
            _ => failed(self.value(identity)),
        }
    }

    /// Some attributes as they were, and some as they will be.
    pub(super) fn halfway(&mut self, before: &Value, after: &Value) -> Value {
        let entries = before.as_entries().into_iter().flat_map(|entries| entries.iter());
        let mut kept = Vec::new();
        for (name, value) in entries {
            if self.dice.chance(50) {
                kept.push((&**name, value.clone()));
            }
        }
        let value = with(after, &kept);
        // An attribute that follows another never falls behind it: nobody would ever see that it has.
        match (value.get("input").cloned(), value.get("output")) {
            (Some(input), Some(_)) => with(&value, &[("output", input)]),
            _ => value,
        }
    }

    pub(super) fn delete(&mut self, identity: &Identity, prior: &Value, fate: Fate) -> Outcome {
        match fate {
            Fate::Refused => failed(self.value(identity)),
            Fate::StoppedHalfway => failed(self.value(identity)),
            Fate::FailedAfterwards => {
                self.earth.vanish(identity);
                // Whoever is not sure says that something may be left.
                let value = self.dice.chance(50).then(|| bare(prior));
                self.trace.borrow_mut().unsure |= value.is_some();
                failed(value)
            }
            Fate::Done | Fate::Lost(_) => {
                self.earth.vanish(identity);
                done(None)
            }
        }
    }

    fn converge(&mut self, command: &Command, fate: Fate) -> Outcome {
        let (config, prior) = match command {
            Command::Create { config, .. } => (config, None),
            Command::Update { config, prior, .. } => (config, Some(bare(prior))),
            Command::Delete { .. } if fate == Fate::Done => return done(None),
            Command::Delete { prior, .. } => return failed(Some(bare(prior))),
            Command::Provision { .. } => return failed(None),
        };
        let role = config.get_str("role").unwrap_or_default();
        let report = |status| Some(HostReport { entries: vec![entry(role, status)], ..HostReport::default() });
        let failure = || Failure::new("the role did not come about", "It is a fault of the simulation.");
        let Some(server) = self.earth.server(config.get_str("server").unwrap_or_default()) else {
            return Outcome::failed(failure(), prior, None);
        };
        let wanted = catalog(config);
        let inside = match fate {
            Fate::Refused => server.inside.get(role).cloned().unwrap_or_default(),
            Fate::StoppedHalfway => "half of it".to_owned(),
            Fate::Done | Fate::FailedAfterwards | Fate::Lost(_) => wanted.clone(),
        };
        server.inside.insert(role.to_owned(), inside);
        self.earth.effects += 1;
        match fate {
            Fate::Done => {
                let value = with(&bare(config), &[("catalog", wanted.into())]);
                Outcome::done(Some(value), report(EntryStatus::Done))
            }
            _ => Outcome::failed(failure(), prior, report(EntryStatus::Failed("no".to_owned()))),
        }
    }

    /// Looks what came of an intent, and removes what was half made.
    fn resolve(&mut self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure> {
        if self.dice.chance(self.faults.silent) {
            self.trace.borrow_mut().fault("an intent that cannot be resolved");
            return Err(Failure::new("the world does not answer", "It is a fault of the simulation."));
        }
        if self.strikes(Mistake::RecoveryDoesNotLook) {
            return Ok(Found::Absent);
        }
        let identity = &intent.identity;
        if &*intent.address.resource.kind == HOST {
            // A converge that was cut short is simply done again.
            return Ok(match (intent.action, object) {
                (Action::Update, Some(object)) => Found::There(bare(&object.value)),
                _ => Found::Absent,
            });
        }
        let Some(thing) = self.earth.things.get(identity) else { return Ok(Found::Absent) };
        if thing.remains {
            self.earth.vanish(identity);
            return Ok(Found::Absent);
        }
        let (value, whole) = (thing.value.clone(), thing.whole);
        let spared = self.dice.chance(30);
        Ok(match (intent.action, whole) {
            (Action::Create | Action::Update, true) => Found::There(value),
            (Action::Create, false) if spared => Found::Broken(value),
            (Action::Update, false) => Found::Broken(value),
            (Action::Delete, true) if spared => Found::There(value),
            (Action::Delete, false) if spared => Found::Broken(value),
            (Action::Create, false) | (Action::Delete, _) => match self.earth.dismantle(identity) {
                Ok(()) => {
                    self.earth.vanish(identity);
                    Found::Absent
                }
                // Who asked for what nature forbids was told so when it began.
                Err(_) if whole => Found::There(value),
                Err(_) => Found::Broken(value),
            },
        })
    }

    pub(super) fn value(&self, identity: &Identity) -> Option<Value> {
        self.earth.things.get(identity).map(|thing| thing.value.clone())
    }

    pub(super) fn strikes(&self, mistake: Mistake) -> bool {
        self.trace.borrow_mut().strikes(mistake)
    }
}

fn is_host(command: &Command) -> bool {
    &*command.address().resource.kind == HOST
}

fn done(value: Option<Value>) -> Outcome {
    Outcome::done(value, None)
}

fn failed(value: Option<Value>) -> Outcome {
    let failure = Failure::new("it failed", "It is a fault of the simulation.");
    Outcome::failed(failure, value, None)
}
