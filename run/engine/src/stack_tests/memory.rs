//! A ledger that is there only while a test runs.

use std::sync::Arc;

use andon_ledger::{Entry, EnvironmentState, Event, Outputs, RunId, RunStatus, State};

use crate::{Journal, JournalError, Sink};

/// The ledger of one state of one test.
#[derive(Debug, Default)]
pub(super) struct Memory {
    state: State,
    none: EnvironmentState,
    environment: Arc<str>,
    runs: u64,
}

/// Nobody follows what a test does to the world.
pub(super) struct Nobody;

impl Sink for Nobody {
    fn event(&mut self, _: &Event) {}
}

impl Memory {
    pub fn new(environment: Arc<str>) -> Memory {
        Memory { environment, ..Memory::default() }
    }

    /// Has other stacks be said to have published something.
    pub fn publish(&mut self, published: &[(Arc<str>, Outputs)]) -> Result<(), JournalError> {
        if published.is_empty() {
            return Ok(());
        }
        let (command, who, version) = ("test".to_owned(), String::new(), String::new());
        let said = published
            .iter()
            .map(|(stack, outputs)| Event::Published { stack: Arc::clone(stack), outputs: outputs.clone() });
        let end = Event::RunEnded { status: RunStatus::Succeeded, summary: String::new() };
        let events = std::iter::once(Event::RunBegan { command, who, version }).chain(said).chain([end]);
        self.append(events.collect()).map(drop)
    }
}

impl Journal for Memory {
    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Entry>, JournalError> {
        let mut entries = Vec::with_capacity(events.len());
        for event in events {
            self.runs += u64::from(matches!(event, Event::RunBegan { .. }));
            let entry = Entry {
                sequence: self.state.sequence + 1,
                at: crate::now(),
                run: RunId(format!("test-{}", self.runs).into()),
                environment: Arc::clone(&self.environment),
                event,
            };
            andon_fold::apply(&mut self.state, &entry).map_err(|error| JournalError::Order(error.to_string()))?;
            entries.push(entry);
        }
        Ok(entries)
    }

    fn state(&self) -> &EnvironmentState {
        self.state.environments.get(&self.environment).unwrap_or(&self.none)
    }

    fn sequence(&self) -> u64 {
        self.state.sequence
    }

    fn take_over(&mut self) -> Option<RunId> {
        None
    }

    fn hand_back(&mut self, _: RunId) -> Result<(), JournalError> {
        Ok(())
    }
}
