use std::sync::Arc;

use andon_schema::{Failure, HostReport};

/// What came of one server.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was looked at, or converged.
    Report {
        /// What changed, or would.
        report: HostReport,
        /// The digest of all that it must have.
        catalog: String,
    },
    /// It could not be asked, or did not answer.
    Failed(Failure),
    /// Nothing was tried, and why.
    NotStarted(String),
}

/// How a server stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It is as it must be, and nothing was to be done.
    Unchanged,
    /// Something changed, or would.
    Changed,
    /// Something went wrong.
    Failed,
    /// The work on it was stopped by hand before its end.
    CutShort,
    /// Nothing was tried.
    NotStarted,
}

impl Outcome {
    /// How the server stands.
    pub fn standing(&self) -> Standing {
        match self {
            Outcome::Report { report, .. } if report.is_cut_short() => Standing::CutShort,
            Outcome::Report { report, .. } if report.has_failed() => Standing::Failed,
            Outcome::Report { report, .. } if report.changes().next().is_some() => Standing::Changed,
            Outcome::Report { .. } => Standing::Unchanged,
            Outcome::Failed(_) => Standing::Failed,
            Outcome::NotStarted(_) => Standing::NotStarted,
        }
    }
}

/// Servers of which the same is to be said, in the order in which they were given.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a, T> {
    /// Their names.
    pub hosts: Vec<&'a Arc<str>>,
    /// What is to be said of each.
    pub said: &'a T,
}

/// Puts servers of which the same is to be said together, in the order of the first of each.
pub fn group<'a, T>(all: &'a [(Arc<str>, T)], same: impl Fn(&T, &T) -> bool) -> Vec<Group<'a, T>> {
    let mut groups: Vec<Group<'a, T>> = Vec::new();
    for (host, said) in all {
        match groups.iter_mut().find(|group| same(group.said, said)) {
            Some(group) => group.hosts.push(host),
            None => groups.push(Group { hosts: vec![host], said }),
        }
    }
    groups
}

/// How many servers stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// As they must be.
    pub unchanged: usize,
    /// Changed, or to be changed.
    pub changed: usize,
    /// Failed.
    pub failed: usize,
    /// Stopped by hand before the end.
    pub cut_short: usize,
    /// Not tried.
    pub not_started: usize,
}

/// Counts how servers stand.
pub fn tally<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Tally {
    let mut tally = Tally::default();
    for outcome in outcomes {
        *match outcome.standing() {
            Standing::Unchanged => &mut tally.unchanged,
            Standing::Changed => &mut tally.changed,
            Standing::Failed => &mut tally.failed,
            Standing::CutShort => &mut tally.cut_short,
            Standing::NotStarted => &mut tally.not_started,
        } += 1;
    }
    tally
}
