use andon_ledger::{Entry, Event};

use crate::apply::WaitingView;

/// Why an event could not be recorded. Nothing may be done to the world after this.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store refused.
    #[error("the ledger cannot be written: {0}")]
    Store(String),
    /// The event does not follow from those before it.
    #[error("the ledger refuses an event out of order: {0}")]
    Order(String),
    /// A simulated crash: the process is to be thought dead.
    #[error("crashed")]
    Crashed,
}

/// The ledger, as the engine sees it.
pub trait Journal {
    /// Appends events, folds them into the state, and returns when they will survive a power cut.
    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Entry>, JournalError>;

    /// The state of the run's environment, with everything appended folded in.
    fn state(&self) -> &andon_ledger::EnvironmentState;
}

/// Who follows a run: the terminal, a page, a file, a test. Gets every event, stored ones and progress alike.
pub trait Sink {
    /// Something happened.
    fn event(&mut self, event: &Event);

    /// Time passed and nothing happened: called about ten times a second while work runs.
    fn tick(&mut self) {}

    /// New work began; `view` tells what has not begun and what it waits for. Only who shows it need call it.
    fn waiting(&mut self, view: WaitingView<'_>) {
        let _ = view;
    }

    /// The user asked for an end: what runs is waited for, nothing new begins.
    fn interrupted(&mut self) {}
}
