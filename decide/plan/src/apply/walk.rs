use std::collections::{BTreeMap, BTreeSet};

use crate::Step;

/// How far each step of a plan has come.
#[derive(Debug, Default)]
pub(super) struct Walk {
    status: Vec<Status>,
    missing: Vec<usize>,
    followers: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Something that it waits for is not done.
    Waiting,
    /// It is under way.
    Begun,
    Done,
    Failed,
    /// A step that it waits for failed: that one.
    Skipped(usize),
}

impl Walk {
    pub fn new(steps: &[Step]) -> Walk {
        let mut followers = vec![Vec::new(); steps.len()];
        for (at, step) in steps.iter().enumerate() {
            for before in &step.after {
                if let Some(followers) = followers.get_mut(*before) {
                    followers.push(at);
                }
            }
        }
        let missing: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
        let ready = (0..steps.len()).filter(|at| missing.get(*at) == Some(&0)).collect();
        Walk { status: vec![Status::Waiting; steps.len()], missing, followers, ready }
    }

    /// Takes the steps that may begin, in the order of the plan.
    pub fn take_ready(&mut self) -> BTreeSet<usize> {
        let ready = std::mem::take(&mut self.ready);
        ready.iter().for_each(|step| self.set(*step, Status::Begun));
        ready
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn status(&self, step: usize) -> Status {
        self.status.get(step).copied().unwrap_or(Status::Done)
    }

    /// Says that a step is done.
    pub fn done(&mut self, step: usize) {
        self.set(step, Status::Done);
        for follower in self.followers.get(step).into_iter().flatten() {
            if let Some(missing) = self.missing.get_mut(*follower) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 && self.status.get(*follower) == Some(&Status::Waiting) {
                    self.ready.insert(*follower);
                }
            }
        }
    }

    /// Says that a step failed: all that waits for it, and for that in turn, is skipped. Those that are.
    pub fn failed(&mut self, step: usize) -> Vec<usize> {
        self.set(step, Status::Failed);
        let mut skipped = Vec::new();
        let mut open = vec![step];
        while let Some(at) = open.pop() {
            for follower in self.followers.get(at).into_iter().flatten() {
                if let Some(status) = self.status.get_mut(*follower)
                    && *status == Status::Waiting
                {
                    *status = Status::Skipped(step);
                    skipped.push(*follower);
                    open.push(*follower);
                }
            }
        }
        skipped.sort_unstable();
        skipped
    }

    fn set(&mut self, step: usize, status: Status) {
        if let Some(place) = self.status.get_mut(step) {
            *place = status;
        }
    }
}

/// The steps of each change, by what they do.
pub(super) fn parts(steps: &[Step]) -> BTreeMap<usize, Vec<usize>> {
    let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        if let Some(change) = step.kind.change() {
            parts.entry(change).or_default().push(at);
        }
    }
    parts
}
