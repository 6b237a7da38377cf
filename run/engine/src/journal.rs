use andon_ledger::{Entry, Event, RunId};
use andon_plan::Plan;

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

    /// The last entry that is folded into the state.
    fn sequence(&self) -> u64;

    /// Goes on under the name of a run that was cut short, if there is one, to resolve what it left. The name of one's
    /// own run is returned, for [`Journal::hand_back`].
    fn take_over(&mut self) -> Option<RunId>;

    /// Closes the run that was taken over, and goes on with one's own.
    fn hand_back(&mut self, own: RunId) -> Result<(), JournalError>;
}

/// Who follows a run: the terminal, a page, a file, a test. Gets every event, stored ones and progress alike.
pub trait Sink {
    /// Something happened.
    fn event(&mut self, event: &Event);

    /// This will be done.
    fn planned(&mut self, plan: &Plan) {
        let _ = plan;
    }

    /// Time passed and nothing happened: called about ten times a second while work runs.
    fn tick(&mut self) {}

    /// New work began; `view` tells what has not begun and what it waits for. Only who shows it need call it.
    fn waiting(&mut self, view: WaitingView<'_>) {
        let _ = view;
    }

    /// The user asked for an end: what runs is waited for, nothing new begins.
    fn interrupted(&mut self) {}
}
