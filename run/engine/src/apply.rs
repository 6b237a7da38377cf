//! From a plan to a changed world: commands out, outcomes in, an intent before each effect and an outcome after it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use andon_ledger::{Event, Intent};
use andon_plan::{Applier, ApplyReport, ApplyStep, CommandId, Plan, PlanInput, QuestionId, Waiting, Work};
use andon_schema::{Answer, Command, Failure, Identity, Outcome};
use andon_text::Diagnostic;

use crate::planning::TICK;
use crate::{Completion, Job, Journal, JournalError, Sink, Ticket, World};

/// Applies a plan. An intent is written down once the world has room for its command, not before. An interrupt starts
/// nothing new and waits for what runs. `opening` is what the plan takes for granted
/// and the ledger does not say yet: it is appended with the first of what the plan itself has to say.
///
/// `Err` where the ledger can no longer be written: then nothing more is tried, what runs is not waited for, and the
/// intents that are open are resolved by the next run.
pub fn apply(
    plan: Plan,
    input: PlanInput,
    opening: Vec<Event>,
    identities: impl FnMut() -> Identity + Send + 'static,
    world: &mut dyn World,
    journal: &mut dyn Journal,
    sink: &mut dyn Sink,
) -> Result<ApplyReport, JournalError> {
    let applier = Applier::new(plan, input, identities);
    let (running, instant, held) = (BTreeMap::new(), Vec::new(), VecDeque::new());
    Apply { applier, events: opening, running, taken: 0, instant, held, next_ticket: 0, world, journal, sink }.run()
}

/// What a ticket stands for.
enum Running {
    Question(QuestionId),
    /// And whether it takes room.
    Command(CommandId, bool),
}

/// A command that has not begun.
type Open = (CommandId, Command, Option<Intent>);

struct Apply<'a> {
    applier: Applier,
    /// What is to be appended with whatever comes next.
    events: Vec<Event>,
    running: BTreeMap<Ticket, Running>,
    /// How many of those are commands that take room.
    taken: usize,
    /// Commands that only compute: they wait for no room.
    instant: Vec<Open>,
    /// Commands that the world has no room for yet.
    held: VecDeque<Open>,
    next_ticket: u64,
    world: &'a mut dyn World,
    journal: &'a mut dyn Journal,
    sink: &'a mut dyn Sink,
}

impl Apply<'_> {
    fn run(mut self) -> Result<ApplyReport, JournalError> {
        loop {
            match self.applier.next() {
                ApplyStep::Done(report) => {
                    self.record()?;
                    return Ok(report);
                }
                ApplyStep::Run(work) => self.begin(work)?,
                // What came of a command may be more work, which goes before what is held.
                ApplyStep::Wait if !self.events.is_empty() || self.room() > 0 => self.go_on(Vec::new())?,
                ApplyStep::Wait if self.running.is_empty() => {
                    let diagnostic = Diagnostic::error("the apply waits for outcomes of commands that it did not give")
                        .help("Run the command again: it goes on from what the ledger holds.");
                    return Ok(ApplyReport { diagnostics: diagnostic.into(), ..ApplyReport::default() });
                }
                ApplyStep::Wait => self.wait(),
            }
        }
    }

    /// Appends every record and intent of a batch in one commit, and only then starts its work.
    fn begin(&mut self, work: Vec<Work>) -> Result<(), JournalError> {
        let (mut jobs, mut tell) = (Vec::new(), Vec::new());
        for work in work {
            match work {
                Work::Ask(id, question) => jobs.push((Running::Question(id), Job::Ask(question))),
                Work::Do(id, command, intent) => {
                    // An object that is provisioned is under way until that is done.
                    let provisioned = intent.as_ref().is_some_and(|intent| intent.provisioned);
                    let computes = !provisioned && self.world.only_computes(&command);
                    // What is made is made ready before more is made.
                    let first = matches!(command, Command::Provision { .. });
                    let open = (id, command, intent);
                    match (computes, first) {
                        (true, _) => self.instant.push(open),
                        (false, true) => self.held.push_front(open),
                        (false, false) => self.held.push_back(open),
                    }
                }
                Work::Record(event) => self.events.push(event),
                Work::Tell(progress) => tell.push(Event::Progress(progress)),
            }
        }
        self.go_on(jobs)?;
        tell.iter().for_each(|progress| self.sink.event(progress));
        Ok(())
    }

    /// How many of the commands that are held the world has room for.
    fn room(&self) -> usize {
        self.world.parallelism().saturating_sub(self.taken).min(self.held.len())
    }

    /// Takes up commands as long as the world has room for them, and appends what there is to append and their intents.
    fn go_on(&mut self, mut jobs: Vec<(Running, Job)>) -> Result<(), JournalError> {
        let room = self.room();
        self.taken += room;
        let instant = std::mem::take(&mut self.instant).into_iter().map(|open| (false, open));
        for (takes_room, (id, command, intent)) in instant.chain(self.held.drain(..room).map(|open| (true, open))) {
            self.events.extend(intent.map(Event::Intent));
            jobs.push((Running::Command(id, takes_room), Job::Do(command)));
        }
        self.record()?;
        let begun = !jobs.is_empty();
        for (running, job) in jobs {
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            self.running.insert(ticket, running);
            self.world.start(ticket, job);
        }
        if begun {
            self.sink.waiting(&mut || self.applier.waiting(self.held.iter().map(|(id, ..)| *id)));
        }
        Ok(())
    }

    /// Waits for a completion, and takes all others that are there already: their outcomes go into one commit.
    fn wait(&mut self) {
        let mut completions = Vec::new();
        let mut at_most = TICK;
        loop {
            match self.world.wait(at_most) {
                Completion::Quiet => break,
                completion => completions.push(completion),
            }
            at_most = Duration::ZERO;
        }
        // What was heard together with the wish for an end begins nothing any more.
        if completions.contains(&Completion::Interrupted) {
            self.sink.interrupted();
            self.applier.cancel();
            for (id, ..) in std::mem::take(&mut self.held) {
                self.applier.withdraw(id);
            }
        }
        for completion in completions {
            self.take(completion);
        }
        if at_most == TICK {
            self.sink.tick();
        }
    }

    fn take(&mut self, completion: Completion) {
        let finished = match completion {
            Completion::Answered(ticket, answer) => match self.running.remove(&ticket) {
                Some(Running::Question(id)) => return self.applier.answer(id, answer),
                Some(Running::Command(id, takes_room)) => Some((id, takes_room, mistaken())),
                None => None,
            },
            Completion::Finished(ticket, outcome) => match self.running.remove(&ticket) {
                Some(Running::Command(id, takes_room)) => Some((id, takes_room, outcome)),
                Some(Running::Question(id)) => {
                    return self.applier.answer(id, Answer::Failed(mistaken_failure()));
                }
                None => None,
            },
            Completion::Progress(progress) => {
                self.sink.event(&Event::Progress(progress));
                None
            }
            Completion::Interrupted | Completion::Quiet | Completion::Resolved(..) => None,
        };
        let Some((id, takes_room, outcome)) = finished else { return };
        self.taken = self.taken.saturating_sub(usize::from(takes_room));
        self.events.extend(self.applier.outcome(id, outcome).map(Event::Outcome));
    }

    fn record(&mut self) -> Result<(), JournalError> {
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return Ok(());
        }
        // Followers see an event once it is certain.
        for entry in self.journal.append(events)? {
            self.sink.event(&entry.event);
        }
        Ok(())
    }
}

fn mistaken_failure() -> Failure {
    Failure::new("the world answered another question", "A driver is at fault.")
}

fn mistaken() -> Outcome {
    Outcome::failed(mistaken_failure(), None, None)
}

/// What followers may want to know of the changes that have not begun.
pub type WaitingView<'a> = &'a mut dyn FnMut() -> Vec<Waiting>;
