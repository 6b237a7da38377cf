//! The simulated world, as one process of the engine sees it: work goes in, and comes back in an order, after a time
//! and with an end that the dice decide.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::time::Duration;

use andon_engine::{Completion, Job, Ticket, World};
use andon_ledger::{Action, Progress};
use andon_schema::{Answer, Command, Failure, Outcome};

use crate::dice::Dice;
use crate::earth::Earth;
use crate::faults::Faults;
use crate::trace::Shared;

mod answer;
mod cloud;
mod effect;

/// Times that the engine may wait with nothing under way before it is taken to have stuck.
const PATIENCE: usize = 1000;

/// One process's way to the world.
pub(crate) struct SimWorld<'a> {
    earth: &'a mut Earth,
    dice: Dice,
    faults: Faults,
    trace: Shared,
    /// How much may be under way at once.
    parallelism: usize,
    flights: BTreeMap<Ticket, Flight>,
    /// When something comes next: time, a number that decides among equals, the ticket.
    clock: BinaryHeap<Reverse<(u64, u64, Ticket)>>,
    steps: usize,
    idle: usize,
}

/// A piece of work under way.
struct Flight {
    job: Job,
    fate: Fate,
    stage: Stage,
}

#[expect(clippy::large_enum_variant, reason = "few jobs are under way at a time")]
enum Stage {
    /// It was taken on, and nothing has been done.
    Taken,
    /// Its effect has begun.
    Begun,
    /// Its effect is over; nobody has heard of it.
    Over(Completion),
}

/// How a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    FailedAfterwards,
    StoppedHalfway,
    /// The plugin dies, and nobody hears what it did.
    Lost(Extent),
}

/// How much was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Nothing,
    Half,
    Whole,
}

impl<'a> SimWorld<'a> {
    pub fn new(earth: &'a mut Earth, trace: &Shared, faults: Faults, mut dice: Dice) -> SimWorld<'a> {
        let parallelism = if dice.chance(50) { dice.between(1, 4) } else { usize::MAX };
        SimWorld {
            earth,
            dice,
            parallelism,
            faults,
            trace: Rc::clone(trace),
            flights: BTreeMap::new(),
            clock: BinaryHeap::new(),
            steps: 0,
            idle: 0,
        }
    }

    /// The process is gone: what had not begun never does; of what had begun, some comes to its end and some stays
    /// as it is.
    pub fn settle(mut self) {
        for (_, flight) in std::mem::take(&mut self.flights) {
            if matches!(flight.stage, Stage::Begun) && !matches!(flight.job, Job::Ask(_)) {
                let comes_to_its_end = self.dice.chance(50);
                let word = if comes_to_its_end { "goes on to its end" } else { "stays as it is" };
                self.say(|| format!("left    {} {word}", describe(&flight.job)));
                if comes_to_its_end {
                    self.land(&flight.job, flight.fate);
                }
            }
        }
    }

    fn say(&self, line: impl FnOnce() -> String) {
        self.trace.borrow_mut().say(line());
    }

    fn forbidden(&self, what: String) {
        self.trace.borrow_mut().forbidden(what);
    }

    fn violation(&self, what: String) {
        self.trace.borrow_mut().violation(what);
    }

    fn schedule(&mut self, ticket: Ticket, in_ms: usize) {
        let at = self.trace.borrow().now_ms + in_ms as u64;
        self.clock.push(Reverse((at, self.dice.roll(), ticket)));
    }

    /// What the process may not do to the world any more, it is told here.
    fn check_start(&self, job: &Job) {
        let Job::Do(command) = job else { return };
        let trace = self.trace.borrow();
        let running = self.flights.values().filter(|flight| matches!(flight.job, Job::Do(_))).count();
        let why = match () {
            () if running >= self.parallelism => "as much is under way as may be",
            () if trace.refused || trace.dead => "the ledger had refused",
            () if trace.interrupted => "the user had asked for an end",
            () => return,
        };
        drop(trace);
        self.violation(format!("{} is begun after {why}", command.address()));
    }

    /// One thing happens to one piece of work.
    fn step(&mut self, ticket: Ticket) -> Option<Completion> {
        let mut flight = self.flights.remove(&ticket)?;
        match flight.stage {
            Stage::Taken => {
                flight.fate = self.begin(&flight.job, flight.fate);
                flight.stage = Stage::Begun;
                let takes = self.dice.between(1, 200);
                let slow = self.dice.chance(self.faults.slow);
                let late = if slow { self.dice.between(5_000, 60_000) } else { 0 };
                if slow {
                    self.trace.borrow_mut().fault("a slow answer");
                    if let (Job::Do(_), Fate::Done) = (&flight.job, flight.fate)
                        && self.dice.chance(50)
                    {
                        flight.fate = Fate::FailedAfterwards;
                    }
                }
                self.schedule(ticket, takes + late);
            }
            Stage::Begun => {
                let completion = match &flight.job {
                    Job::Ask(question) if question.via().is_some() => {
                        Completion::Answered(ticket, self.answer_by_plugin(question, flight.fate))
                    }
                    Job::Ask(question) => Completion::Answered(ticket, self.answer(question)),
                    job => self.land(job, flight.fate).under(ticket),
                };
                flight.stage = Stage::Over(completion);
                let takes = self.dice.between(0, 30);
                self.schedule(ticket, takes);
            }
            Stage::Over(completion) => return Some(completion),
        }
        let note = match &flight.job {
            Job::Do(command) if self.dice.chance(10) => Some(command.address().clone()),
            _ => None,
        };
        self.flights.insert(ticket, flight);
        note.map(|address| Completion::Progress(Progress::Note { address, text: "working".to_owned() }))
    }

    /// The plugin dies: nobody hears what came of what it was told. It is started again for what comes next.
    fn crash_plugin(&mut self) {
        self.trace.borrow_mut().fault("a crash of the plugin");
        self.say(|| "CRASH   of the plugin".to_owned());
        for flight in self.flights.values_mut().filter(|flight| matches!(flight.stage, Stage::Begun)) {
            let (told, begun) = match &flight.job {
                Job::Do(command) => (command.via().is_some(), flight.fate != Fate::Refused),
                Job::Ask(question) => (question.via().is_some(), false),
                Job::Resolve { .. } => (false, false),
            };
            if told {
                let extent = extent(&mut self.dice);
                flight.fate = Fate::Lost(if begun { extent } else { Extent::Nothing });
            }
        }
    }

    /// The process is dead. What still turns its wheels only needs to come to its end, so everything fails.
    fn beyond(&mut self) -> Completion {
        let failure = || Failure::new("the process is dead", "Nothing that it hears is true.");
        match self.flights.pop_first() {
            None => Completion::Quiet,
            Some((ticket, flight)) => {
                let completion = match &flight.job {
                    Job::Ask(_) => Completion::Answered(ticket, Answer::Failed(failure())),
                    Job::Do(_) => Completion::Finished(ticket, Outcome::failed(failure(), None, None)),
                    Job::Resolve { .. } => Completion::Resolved(ticket, Err(failure())),
                };
                if matches!(flight.stage, Stage::Begun) && self.dice.chance(50) {
                    self.say(|| format!("left    {} goes on to its end", describe(&flight.job)));
                    self.land(&flight.job, flight.fate);
                }
                completion
            }
        }
    }
}

/// What comes of an effect, before it is known who hears of it.
#[expect(clippy::large_enum_variant, reason = "it is taken apart as soon as it is made")]
enum Landed {
    Finished(Outcome),
    Resolved(Result<andon_engine::Found, Failure>),
}

impl Landed {
    fn under(self, ticket: Ticket) -> Completion {
        match self {
            Landed::Finished(outcome) => Completion::Finished(ticket, outcome),
            Landed::Resolved(found) => Completion::Resolved(ticket, found),
        }
    }
}

impl World for SimWorld<'_> {
    fn parallelism(&self) -> usize {
        self.parallelism
    }

    fn start(&mut self, ticket: Ticket, job: Job) {
        self.earth.follow(&self.trace);
        self.check_start(&job);
        let fate = match &job {
            Job::Do(command) => self.roll_fate(command),
            _ => Fate::Done,
        };
        self.flights.insert(ticket, Flight { job, fate, stage: Stage::Taken });
        let after = if self.dice.chance(50) { 0 } else { self.dice.between(0, 20) };
        self.schedule(ticket, after);
    }

    fn wait(&mut self, at_most: Duration) -> Completion {
        let until = self.trace.borrow().now_ms + u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
        loop {
            if self.trace.borrow().dead {
                return self.beyond();
            }
            let next = self.clock.peek().map(|Reverse((at, _, ticket))| (*at, *ticket));
            let Some((at, ticket)) = next.filter(|(at, _)| *at <= until) else {
                self.trace.borrow_mut().now_ms = until;
                self.idle = if self.flights.is_empty() { self.idle + 1 } else { 0 };
                assert!(self.idle < PATIENCE, "the engine waits, and nothing is under way");
                return Completion::Quiet;
            };
            self.steps += 1;
            if self.faults.interrupt_at_step == Some(self.steps) {
                let mut trace = self.trace.borrow_mut();
                trace.interrupted = true;
                trace.fault("an interrupt");
                trace.say("FAULT   the user asks for an end");
                return Completion::Interrupted;
            }
            if self.faults.plugin_crash_at_step == Some(self.steps) {
                self.crash_plugin();
            }
            if self.faults.crash_at_step == Some(self.steps) {
                let mut trace = self.trace.borrow_mut();
                trace.dead = true;
                trace.fault("a crash while the world works");
                trace.say("CRASH   while the world works");
                continue;
            }
            self.clock.pop();
            let mut trace = self.trace.borrow_mut();
            trace.now_ms = trace.now_ms.max(at);
            drop(trace);
            if let Some(completion) = self.step(ticket) {
                return completion;
            }
        }
    }
}

fn extent(dice: &mut Dice) -> Extent {
    match dice.below(3) {
        0 => Extent::Nothing,
        1 => Extent::Half,
        _ => Extent::Whole,
    }
}

/// Work in a few words, for a reader.
fn describe(job: &Job) -> String {
    match job {
        Job::Ask(question) => match question.address() {
            Some(address) => format!("question about {address}"),
            None => format!("{question:?}"),
        },
        Job::Do(command) => {
            format!("{:?} {} {}", action(command), command.address(), command.identity())
        }
        Job::Resolve { intent, .. } => format!("resolve {:?} {} {}", intent.action, intent.address, intent.identity),
    }
}

fn action(command: &Command) -> Action {
    match command {
        Command::Create { .. } => Action::Create,
        Command::Update { .. } | Command::Provision { .. } => Action::Update,
        Command::Delete { .. } => Action::Delete,
    }
}
