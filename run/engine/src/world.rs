use std::time::Duration;

use andon_ledger::{Intent, Progress};
use andon_schema::{Answer, Command, Object, Outcome, Question};

/// Names one piece of work between its start and its completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Work for the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// Look, and change nothing.
    Ask(Question),
    /// Change something.
    Do(Command),
    /// A run was cut short between this intent and its outcome: look what came of it. What was half made is removed.
    Resolve {
        /// The intent.
        intent: Intent,
        /// The object as the state has it; `None` for an intent to create.
        object: Option<Object>,
    },
}

/// What came of an intent whose outcome nobody wrote down.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The object is there, whole: its attributes now.
    There(andon_value::Value),
    /// The object is there, but its creation did not end well; it must be replaced.
    Broken(andon_value::Value),
    /// There is nothing of it, or nothing any more.
    Absent,
}

/// What comes back from the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    /// A question was answered.
    Answered(Ticket, Answer),
    /// A command came to its end.
    Finished(Ticket, Outcome),
    /// A crash was looked into.
    Resolved(Ticket, Result<Found, andon_schema::Failure>),
    /// Work in progress says what it is at.
    Progress(Progress),
    /// The user asked for an end: start nothing new.
    Interrupted,
    /// Nothing came within the time given.
    Quiet,
}

/// The world, as the engine sees it: work goes in, completions come out in any order.
pub trait World {
    /// Starts work and returns at once.
    fn start(&mut self, ticket: Ticket, job: Job);

    /// Waits for the next completion, at most as long as given.
    fn wait(&mut self, at_most: Duration) -> Completion;

    /// How many commands it carries out at once. More are kept from it, and have no intent yet: what a run that is cut
    /// short leaves open is no more than what was under way.
    fn parallelism(&self) -> usize {
        usize::MAX
    }

    /// Whether a command is done as soon as it is started, as it only computes: such do not count.
    fn only_computes(&self, _: &Command) -> bool {
        false
    }
}
