//! Whether new members are good enough to go on with.

use std::collections::BTreeMap;

use crate::Goal;

/// What was seen of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// It runs.
    pub alive: bool,
    /// When it ended, in milliseconds, where that is known and it does not run.
    pub ended_ms: Option<u64>,
    /// It answers as it should.
    pub healthy: bool,
    /// Requests that it got, as a balancer counts them.
    pub requests: u64,
    /// Those of them that went wrong.
    pub errors: u64,
}

/// New members in front of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    /// Since when they are looked at, in milliseconds of the driver's clock.
    pub began_ms: u64,
    /// Since when all of them are healthy.
    pub healthy_since_ms: Option<u64>,
    /// Requests and errors of every member when it began.
    pub base: BTreeMap<u64, (u64, u64)>,
}

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wait,
    Pass,
    Fail(String),
}

/// Fewer requests say nothing of a rate of errors, until the gate's time is over.
const ENOUGH: u64 = 20;

impl Gate {
    /// A gate that opens in a while.
    pub fn new(now_ms: u64, seen: &BTreeMap<u64, Seen>) -> Gate {
        let base = seen.iter().map(|(serial, seen)| (*serial, (seen.requests, seen.errors))).collect();
        Gate { began_ms: now_ms, healthy_since_ms: None, base }
    }

    /// Judges the new members by what is seen of them and of the others.
    pub fn judge(
        &mut self,
        goal: &Goal,
        now_ms: u64,
        new: &[u64],
        others: &[u64],
        seen: &BTreeMap<u64, Seen>,
    ) -> Verdict {
        let state = |serial: &u64| seen.get(serial).copied().unwrap_or_default();
        if new.iter().any(|serial| !state(serial).alive) {
            return Verdict::Fail("a new server ended".to_owned());
        }
        let passed = match self.healthy_since_ms {
            _ if !new.iter().all(|serial| state(serial).healthy) => {
                self.healthy_since_ms = None;
                if now_ms.saturating_sub(self.began_ms) > goal.limit_ms {
                    return Verdict::Fail("new servers are not healthy for long enough".to_owned());
                }
                false
            }
            Some(since) => now_ms.saturating_sub(since) >= goal.healthy_for_ms,
            None => {
                self.healthy_since_ms = Some(now_ms);
                goal.healthy_for_ms == 0
            }
        };
        let (requests, errors) = self.passed(new, seen);
        if requests >= ENOUGH || passed {
            let (others_requests, others_errors) = self.passed(others, seen);
            // Thousandths; one error of few requests is more than any tolerance.
            let rate = |errors: u64, requests: u64| errors.saturating_mul(1000) / requests.max(1);
            let allowed = rate(others_errors, others_requests).saturating_add(goal.tolerance);
            if errors > 0 && rate(errors, requests) > allowed {
                return Verdict::Fail(format!("{errors} of {requests} requests to new servers went wrong"));
            }
        }
        if passed { Verdict::Pass } else { Verdict::Wait }
    }

    /// Requests and errors since it began.
    fn passed(&self, of: &[u64], seen: &BTreeMap<u64, Seen>) -> (u64, u64) {
        let counts = of.iter().filter_map(|serial| {
            let seen = seen.get(serial)?;
            let (requests, errors) = self.base.get(serial).copied().unwrap_or_default();
            // Where the counts began anew they are all of this time.
            let since = |now: u64, base: u64| if now >= base { now - base } else { now };
            let requests = since(seen.requests, requests);
            // The two are not counted at one moment.
            Some((requests, since(seen.errors, errors).min(requests)))
        });
        counts.fold((0, 0), |(requests, errors), (more, worse)| (requests + more, errors + worse))
    }
}
