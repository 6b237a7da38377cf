use std::collections::BTreeMap;
use std::sync::Arc;

use andon_fold::{apply, fold, legal_in_order, runs};
use andon_ledger::codec::{decode_event, decode_state, encode_event, encode_state};
use andon_ledger::{
    Action, Entry, Event, Intent, OutcomeRecord, Outputs, Result as Tried, RunId, RunStatus, State, Timestamp,
};
use andon_schema::{Failure, Identity, InstanceAddress, Kept, Object, ObjectStatus};
use andon_value::Value;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A world that only does what can be done, and writes it down. It keeps what there is as plain lists, and shares
/// nothing with the fold.
#[derive(Debug, Default)]
struct World {
    entries: Vec<Entry>,
    environments: [Environment; 2],
    names: u64,
}

#[derive(Debug, Default)]
struct Environment {
    run: Option<RunId>,
    objects: Vec<(usize, Identity)>,
    pending: Vec<(usize, Identity, Action)>,
}

const PLACES: usize = 4;

fn place(at: usize) -> InstanceAddress {
    InstanceAddress::parse(&format!("lab_server.web[{at}]")).unwrap()
}

impl World {
    /// Does one of the things that can be done; choices that cannot be are left out.
    fn step(&mut self, here: usize, what: u8, pick: &Index, more: u8) {
        let at = usize::from(more) % PLACES;
        let environment = &mut self.environments[here];
        let Some(run) = environment.run.clone() else {
            self.names += 1;
            let run = RunId(format!("run{}", self.names).into());
            self.environments[here].run = Some(run);
            let began = Event::RunBegan { command: "up".into(), who: "ann@desk".into(), version: "0.1.0".into() };
            return self.write(here, began);
        };
        let free = |environment: &Environment, identity: &Identity| {
            !environment.pending.iter().any(|(_, pending, _)| pending == identity)
        };
        let objects: Vec<(usize, Identity)> =
            environment.objects.iter().filter(|(_, identity)| free(environment, identity)).cloned().collect();
        match what % 11 {
            0..=2 => {
                self.names += 1;
                let identity = Identity::from_random(self.names);
                self.try_to(here, Action::Create, at, identity);
            }
            3 | 4 if !objects.is_empty() => {
                let (at, identity) = pick.get(&objects).clone();
                self.try_to(here, if what % 11 == 3 { Action::Update } else { Action::Delete }, at, identity);
            }
            5 | 6 if !environment.pending.is_empty() => {
                let chosen = pick.index(environment.pending.len());
                let (at, identity, action) = environment.pending.remove(chosen);
                environment.objects.retain(|(_, there)| *there != identity);
                let (result, left) = match more % 3 {
                    0 => (Tried::Done, action != Action::Delete),
                    1 => (Tried::Failed(Failure::new("no", "no")), more % 2 == 0),
                    _ => (Tried::Resolved, more % 2 == 0),
                };
                if left {
                    environment.objects.push((at, identity.clone()));
                }
                let object = left.then(|| Object {
                    identity: identity.clone(),
                    value: Value::from(i64::from(more)),
                    status: ObjectStatus::Ready,
                    dependencies: vec![place(at).resource],
                    create_before_destroy: more % 2 == 0,
                    provider: None,
                    kept: Kept::default(),
                });
                let address = place(at);
                let record = OutcomeRecord { address, action, identity, result, object, report: None };
                self.write(here, Event::Outcome(record));
            }
            7 if !objects.is_empty() => {
                let (at, identity) = pick.get(&objects).clone();
                let stays = more % 2 == 0;
                if !stays {
                    environment.objects.retain(|(_, there)| *there != identity);
                }
                let value = stays.then(|| Value::from(i64::from(more)));
                self.write(here, Event::Observed { address: place(at), identity, value, kept: Kept::default() });
            }
            8 if !objects.is_empty() && more % 3 == 0 => {
                let (at, identity) = pick.get(&objects).clone();
                let (dependencies, create_before_destroy) = (vec![place(at).resource], more % 2 == 0);
                let address = place(at);
                self.write(here, Event::Depends { address, identity, dependencies, create_before_destroy });
            }
            8 if !objects.is_empty() => {
                let (at, identity) = pick.get(&objects).clone();
                environment.objects.retain(|(_, there)| *there != identity);
                self.write(here, Event::Forgotten { address: place(at), identity });
            }
            9 => {
                let stack: Arc<str> = format!("stack{}", more % 2).into();
                let outputs = Outputs::from([("x".into(), Value::from(i64::from(more)))]);
                let event = if more < 128 { Event::Published { stack, outputs } } else { Event::Withdrawn { stack } };
                self.write(here, event);
            }
            10 => {
                let status = match (more % 4, environment.pending.is_empty()) {
                    (0, true) => RunStatus::Succeeded,
                    (1, _) => RunStatus::Cancelled,
                    (2, _) => RunStatus::Interrupted,
                    _ => RunStatus::Failed,
                };
                self.write_as(here, run, Event::RunEnded { status, summary: String::new() });
                self.environments[here].run = None;
            }
            _ => self.move_somewhere(here, pick, at),
        }
    }

    fn try_to(&mut self, here: usize, action: Action, at: usize, identity: Identity) {
        self.environments[here].pending.push((at, identity.clone(), action));
        let address = place(at);
        let intent = Intent {
            address,
            action,
            identity,
            dependencies: Vec::new(),
            create_before_destroy: false,
            provider: None,
            planned: None,
            provisioned: false,
        };
        self.write(here, Event::Intent(intent));
    }

    fn move_somewhere(&mut self, here: usize, pick: &Index, to: usize) {
        let environment = &mut self.environments[here];
        let from = pick.index(PLACES);
        let holds = |at: usize| environment.objects.iter().any(|(there, _)| *there == at);
        let tries = |at: usize| environment.pending.iter().any(|(there, _, _)| *there == at);
        if holds(from) && !holds(to) && !tries(from) && !tries(to) {
            for (at, _) in environment.objects.iter_mut().filter(|(at, _)| *at == from) {
                *at = to;
            }
            self.write(here, Event::Moved { from: place(from), to: place(to) });
        }
    }

    fn write(&mut self, here: usize, event: Event) {
        let run = self.environments[here].run.clone().unwrap();
        self.write_as(here, run, event);
    }

    fn write_as(&mut self, here: usize, run: RunId, event: Event) {
        let sequence = self.entries.len() as u64 + 1;
        let environment = ["dev", "production"][here].into();
        self.entries.push(Entry { sequence, at: Timestamp(sequence as i64), run, environment, event });
    }

    /// What there is: the place of each object, by environment.
    fn objects(&self) -> BTreeMap<(usize, Identity), InstanceAddress> {
        let each = self.environments.iter().enumerate();
        each.flat_map(|(here, environment)| {
            environment.objects.iter().map(move |(at, identity)| ((here, identity.clone()), place(*at)))
        })
        .collect()
    }
}

fn world() -> impl Strategy<Value = World> {
    vec((0..2_usize, any::<u8>(), any::<Index>(), any::<u8>()), 0..120).prop_map(|steps| {
        let mut world = World::default();
        for (here, what, pick, more) in steps {
            world.step(here, what, &pick, more);
        }
        world
    })
}

/// What holds of every state: no object twice, and what is derived is as it would be derived anew.
fn check_invariant(state: &State) -> Result<(), TestCaseError> {
    let mut seen = std::collections::BTreeSet::new();
    for environment in state.environments.values() {
        for (_, object) in environment.objects() {
            prop_assert!(seen.insert(object.identity.clone()), "{} is there twice", object.identity);
        }
        prop_assert!(environment.instances.values().all(|instance| !instance.is_empty()));
        prop_assert!(environment.pending.iter().all(|(identity, intent)| *identity == intent.identity));
    }
    prop_assert_eq!(&State::new(state.sequence, state.environments.clone()), state);
    Ok(())
}

proptest! {
    #[test]
    fn what_can_happen_folds_into_what_there_is(world in world()) {
        let state = fold(&world.entries).map_err(|error| TestCaseError::fail(error.to_string()))?;
        check_invariant(&state)?;
        let mut objects = BTreeMap::new();
        for (here, name) in ["dev", "production"].into_iter().enumerate() {
            for (address, object) in state.environment(name).objects() {
                objects.insert((here, object.identity.clone()), address.clone());
            }
            let pending: Vec<Identity> = state.environment(name).pending.into_keys().collect();
            let mut tried: Vec<Identity> =
                world.environments[here].pending.iter().map(|(_, identity, _)| identity.clone()).collect();
            tried.sort();
            prop_assert_eq!(pending, tried);
        }
        prop_assert_eq!(objects, world.objects());
    }

    #[test]
    fn a_snapshot_and_the_rest_give_what_all_entries_give(world in world(), cut in any::<Index>()) {
        let (before, after) = world.entries.split_at(cut.index(world.entries.len() + 1));
        let snapshot = encode_state(&fold(before).unwrap()).unwrap();
        let mut state = decode_state(&snapshot).unwrap();
        for entry in after {
            let event = decode_event(&encode_event(&entry.event).unwrap()).unwrap();
            apply(&mut state, &Entry { event, ..entry.clone() }).unwrap();
        }
        prop_assert_eq!(state, fold(&world.entries).unwrap());
    }

    #[test]
    fn no_order_of_entries_breaks_the_state(
        world in world(),
        changes in vec((any::<Index>(), any::<Index>(), 0..3_u8), 1..20),
    ) {
        let mut entries = world.entries;
        for (one, other, change) in changes {
            if entries.is_empty() {
                break;
            }
            let (one, other) = (one.index(entries.len()), other.index(entries.len()));
            match change {
                0 => entries.swap(one, other),
                1 => drop(entries.remove(one)),
                _ => entries.insert(one, entries[other].clone()),
            }
        }
        let mut state = State::default();
        for mut entry in entries.iter().cloned() {
            entry.sequence = state.sequence + 1;
            let before = state.clone();
            if apply(&mut state, &entry).is_err() {
                prop_assert_eq!(&state, &before);
            }
            check_invariant(&state)?;
        }
        // History is told of any entries.
        let _ = runs(&entries);
    }

    #[test]
    fn several_events_are_judged_as_they_would_fold(
        world in world(),
        cut in any::<Index>(),
        count in 1..8_usize,
        picks in vec(any::<Index>(), 0..4),
    ) {
        let (before, after) = world.entries.split_at(cut.index(world.entries.len() + 1));
        let state = fold(before).unwrap();
        let Some(first) = after.first() else { return Ok(()) };
        let mut events: Vec<Event> = after
            .iter()
            .filter(|entry| entry.environment == first.environment)
            .take(count)
            .map(|entry| entry.event.clone())
            .collect();
        for pick in picks {
            let place = pick.index(events.len());
            events.insert(place, world.entries[pick.index(world.entries.len())].event.clone());
        }
        let mut folded = state.clone();
        let expected = events.iter().try_for_each(|event| {
            let entry = Entry { sequence: folded.sequence + 1, event: event.clone(), ..first.clone() };
            apply(&mut folded, &entry)
        });
        prop_assert_eq!(legal_in_order(&state, &first.environment, &first.run, &events), expected);
    }

    #[test]
    fn history_accounts_for_every_intent(world in world()) {
        let intents = world.entries.iter().filter(|entry| matches!(entry.event, Event::Intent(_))).count();
        let history = runs(&world.entries);
        let steps: usize = history.iter().map(|run| run.steps.len()).sum();
        prop_assert_eq!(steps, intents);
        let unknown: usize = history.iter().map(|run| run.counts.unknown).sum();
        let pending: usize = world.environments.iter().map(|environment| environment.pending.len()).sum();
        prop_assert_eq!(unknown, pending);
    }
}
