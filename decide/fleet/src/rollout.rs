//! In which order servers are worked on, how many at once, and when no more are begun.

use std::collections::BTreeSet;

/// So many, or so much of a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A number of servers.
    Count(usize),
    /// A part of all of them, in percent.
    Percent(u8),
}

/// How many servers are worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy {
    /// The first so many are worked on before all others; one that fails ends it.
    pub canary: usize,
    /// The others are worked on in batches of this size, one after another; all in one where none is given.
    pub batch: Option<Amount>,
    /// Where more than this fail, no more are begun.
    pub max_fail: Option<Amount>,
    /// At most so many are worked on at the same time.
    pub parallelism: usize,
}

/// Many servers' work, as a state machine: it says which to begin, and is told how each ended.
#[derive(Debug, Clone)]
pub struct Rollout {
    strategy: Strategy,
    /// The ends of the batches: places of the first server after each.
    ends: Vec<usize>,
    total: usize,
    next: usize,
    running: BTreeSet<usize>,
    failed: usize,
    /// Those of the batch under way that ended well.
    well: usize,
    stopped: Option<String>,
}

impl Amount {
    /// `3` or `25%`.
    pub fn parse(text: &str) -> Option<Amount> {
        match text.trim().strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Amount::Percent),
            None => text.trim().parse().ok().map(Amount::Count),
        }
    }

    /// How many of so many it is, rounded down.
    pub fn of(self, total: usize) -> usize {
        match self {
            Amount::Count(count) => count,
            Amount::Percent(percent) => total * usize::from(percent) / 100,
        }
    }
}

impl Rollout {
    /// Work on so many servers that has not begun.
    pub fn new(total: usize, strategy: Strategy) -> Rollout {
        let canary = strategy.canary.min(total);
        let size = strategy.batch.map_or(total, |batch| batch.of(total)).max(1);
        let mut ends: Vec<usize> = Some(canary).filter(|canary| *canary > 0).into_iter().collect();
        ends.extend((canary..total).step_by(size).map(|from| (from + size).min(total)));
        Rollout { strategy, ends, total, next: 0, running: BTreeSet::new(), failed: 0, well: 0, stopped: None }
    }

    /// The servers to begin with now, by their places.
    pub fn begin(&mut self) -> Vec<usize> {
        let mut begun = Vec::new();
        while self.stopped.is_none() && self.next < self.end() && self.running.len() < self.strategy.parallelism.max(1)
        {
            begun.push(self.next);
            self.running.insert(self.next);
            self.next += 1;
        }
        begun
    }

    /// The work on a server has ended.
    pub fn ended(&mut self, place: usize, failed: bool) {
        if !self.running.remove(&place) {
            return;
        }
        if failed {
            self.failed += 1;
        } else {
            self.well += 1;
        }
        let limit = self.strategy.max_fail.map(|amount| amount.of(self.total));
        if let Some(limit) = limit.filter(|limit| self.failed > *limit) {
            let why = match limit {
                0 => "one failed".to_owned(),
                limit => format!("more than {limit} failed"),
            };
            self.stop(&why);
        }
        if failed && place < self.strategy.canary {
            self.stop("a canary failed");
        }
        if self.running.is_empty() && self.next == self.end() {
            if self.well == 0 && self.next < self.total {
                self.stop("all of a batch failed");
            }
            self.well = 0;
            if self.ends.len() > 1 {
                self.ends.remove(0);
            }
        }
    }

    /// Nothing more is begun.
    pub fn stop(&mut self, why: &str) {
        if self.next < self.total {
            self.stopped.get_or_insert_with(|| why.to_owned());
        }
    }

    /// Whether nothing runs and nothing will.
    pub fn is_over(&self) -> bool {
        self.running.is_empty() && (self.next == self.total || self.stopped.is_some())
    }

    /// The servers that were not begun, and why they will not be; none where all were.
    pub fn not_begun(&self) -> (std::ops::Range<usize>, &str) {
        (self.next..self.total, self.stopped.as_deref().unwrap_or_default())
    }

    fn end(&self) -> usize {
        self.ends.first().copied().unwrap_or(0)
    }
}
