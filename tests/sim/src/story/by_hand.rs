//! What people do to the ledger by hand: they taint and untaint, have objects forgotten, and take them over again.

use andon_engine::{Journal, adopt};
use andon_ledger::{EnvironmentState, Event, RunId, RunStatus};
use andon_schema::{Identity, InstanceAddress, Object, ObjectStatus};

use super::{Follower, Problems, Story};
use crate::ENVIRONMENT;
use crate::faults::Faults;
use crate::journal::SimJournal;
use crate::kinds::{HOST, schemas};
use crate::world::SimWorld;

impl Story {
    /// One thing, while world and ledger agree.
    pub(super) fn act_by_hand(&mut self) -> Result<(), Problems> {
        self.certain = false;
        let state = self.state()?;
        let objects: Vec<(&InstanceAddress, &Object)> = state
            .objects()
            .filter(|(address, _)| &*address.resource.kind != HOST && self.model.defines(address))
            .collect();
        let Some((address, object)) = self.dice.pick(&objects).copied() else { return Ok(()) };
        if object.provider.is_some() && self.dice.chance(60) {
            // Only its definition tells what an imported object uses: nobody takes one over who has edited that since.
            match self.model.differences(&state, &self.earth).is_empty() {
                true => self.forget_and_import(address, object),
                false => Ok(()),
            }
        } else {
            self.taint(address, object)
        }
    }

    fn taint(&mut self, address: &InstanceAddress, object: &Object) -> Result<(), Problems> {
        let mark = |status| Event::Marked { address: address.clone(), identity: object.identity.clone(), status };
        self.record("taint", vec![mark(ObjectStatus::Tainted)])?;
        self.hand("a taint", format!("{address} is tainted"));
        if self.dice.chance(30) {
            self.hand("a taint taken back", format!("{address} is untainted"));
            return self.record("untaint", vec![mark(ObjectStatus::Ready)]);
        }
        self.tainted = Some((address.clone(), object.identity.clone()));
        Ok(())
    }

    /// `state rm`, and then `import`: by the command, or by a block.
    fn forget_and_import(&mut self, address: &InstanceAddress, object: &Object) -> Result<(), Problems> {
        let id = object.value.get_str("id").unwrap_or_default().to_owned();
        self.hand("an object forgotten by hand", format!("{address} is forgotten"));
        let forgotten = Event::Forgotten { address: address.clone(), identity: object.identity.clone() };
        self.record("state rm", vec![forgotten])?;
        if self.dice.chance(50) {
            self.hand("an import by a block", format!("{address} is imported by a block, as {id}"));
            self.model.imports.push((address.clone(), id));
            self.project = None;
            return Ok(());
        }
        self.hand("an import", format!("{address} is imported, as {id}"));
        let project = self.project()?;
        let state = self.state()?;
        let sought = adopt::Sought {
            project: &project,
            schemas: &schemas(self.model.plugged),
            environment: &ENVIRONMENT.into(),
            state: &state,
            sequence: self.disk.entries.len() as u64,
            address,
            id: &id,
            planned: 0,
        };
        let mut world = SimWorld::new(&mut self.earth, &self.trace, Faults::default(), self.dice.fork());
        let found = adopt::find(&sought, &mut world, &mut Follower);
        let found =
            found.map_err(|error| vec![format!("{address} is not found: {}", super::in_words(&error.diagnostics))])?;
        let identity = Identity::from_random(self.dice.roll());
        let object = Object { identity, ..found };
        self.record("import", vec![Event::Adopted { address: address.clone(), object, deposed: false }])
    }

    fn hand(&mut self, what: &'static str, words: String) {
        self.trace.borrow_mut().fault(what);
        self.say(format!("HAND    {words}"));
    }

    /// Writes down what somebody decided.
    fn record(&mut self, command: &str, events: Vec<Event>) -> Result<(), Problems> {
        self.trace.borrow_mut().restart();
        let run = RunId(format!("hand{}", self.disk.entries.len()).into());
        let mut dice = self.dice.fork();
        let journal = SimJournal::open(&mut self.disk, run, &self.trace, Faults::default(), &mut dice);
        let mut journal = journal.map_err(|error| vec![error])?;
        let (command, who, version) = (command.to_owned(), "nobody@nowhere".to_owned(), String::new());
        let ended = Event::RunEnded { status: RunStatus::Succeeded, summary: String::new() };
        let all = [vec![Event::RunBegan { command, who, version }], events, vec![ended]].concat();
        journal.append(all).map_err(|error| vec![format!("what was done by hand cannot be recorded: {error}")])?;
        self.earth.follow(&self.trace);
        Ok(())
    }

    /// What should have been replaced, and was not.
    pub(super) fn kept_though_tainted(&mut self, state: &EnvironmentState) -> Problems {
        let tainted = self.tainted.take();
        let kept = tainted.filter(|(address, identity)| state.object(address, identity).is_some());
        kept.map(|(address, _)| format!("{address} was tainted, and is still there")).into_iter().collect()
    }

    pub(super) fn state(&self) -> Result<EnvironmentState, Problems> {
        Ok(self.disk.fold().map_err(|error| vec![error])?.environment(ENVIRONMENT))
    }
}
