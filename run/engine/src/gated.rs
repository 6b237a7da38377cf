use std::time::Duration;

use andon_schema::Command;

use crate::{Completion, Job, Machine, Ticket, World};

/// A machine that asks nobody before it is known that the definitions, and with them the questions, make sense: what
/// needs but a computation goes on meanwhile.
pub struct Gated<'c> {
    machine: Machine,
    is_sound: &'c mut dyn FnMut() -> bool,
    shut: bool,
}

impl<'c> Gated<'c> {
    /// The machine behind a gate. `is_sound` waits until that is known; it is asked before every question to the
    /// world, and where it says no, the run is interrupted.
    pub fn new(machine: Machine, is_sound: &'c mut dyn FnMut() -> bool) -> Gated<'c> {
        Gated { machine, is_sound, shut: false }
    }
}

impl World for Gated<'_> {
    fn start(&mut self, ticket: Ticket, job: Job) {
        self.shut = self.shut || !self.machine.asks_nobody(&job) && !(self.is_sound)();
        if !self.shut {
            self.machine.start(ticket, job);
        }
    }

    fn wait(&mut self, at_most: Duration) -> Completion {
        if self.shut { Completion::Interrupted } else { self.machine.wait(at_most) }
    }

    fn parallelism(&self) -> usize {
        self.machine.parallelism()
    }

    fn only_computes(&self, command: &Command) -> bool {
        self.machine.only_computes(command)
    }
}
