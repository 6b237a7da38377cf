//! What the simulated world and the simulated ledger tell each other and the reader: the clock, what is certain,
//! what was done against the rules, and the last that happened.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use andon_ledger::Action;
use andon_schema::Identity;

use crate::Mistake;

/// Lines of the past that are kept for a reader.
const KEPT: usize = 120;

/// One trace, held by everything that takes part.
pub(crate) type Shared = Rc<RefCell<Trace>>;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The simulated clock.
    pub now_ms: u64,
    /// Intents that would survive a power cut, and have no outcome yet.
    pub intents: BTreeMap<Identity, Action>,
    /// The process is to be thought dead: nothing that it does counts any more.
    pub dead: bool,
    /// The ledger refused an entry: nothing may be begun any more.
    pub refused: bool,
    /// The world told of an interrupt: nothing may be begun any more.
    pub interrupted: bool,
    /// The state may be wrong, as somebody damaged the world, or a driver said that something may be left which is
    /// not so: only the next look tells.
    pub unsure: bool,
    /// What a plugin took the answers about along: their intents may stay open when a run ends.
    pub lost: BTreeSet<Identity>,
    /// The state may be behind the world where no definition says that this matters: only a look for its own sake
    /// records it.
    pub stale: bool,
    /// A mistake that is planted, and has not been made yet.
    pub mistake: Option<Mistake>,
    /// What was done that must not be.
    pub violations: Vec<String>,
    /// The faults that really struck and what people did, for the tally.
    pub faults: BTreeMap<&'static str, u64>,
    /// What the ledger was told of whose an object is, and the earth was not yet.
    pub owned: Vec<Owned>,
    /// Nature may be asked for what it forbids: who plans a part leaves other parts as they are.
    pub partial: bool,
    lines: VecDeque<String>,
}

/// Whose an object is from now on.
#[derive(Debug)]
pub(crate) enum Owned {
    /// Nobody's that the ledger knows.
    Free(Identity),
    /// The ledger's, under this identity: the object of a kind that its provider calls so.
    Known { kind: Arc<str>, id: String, identity: Identity },
}

impl Trace {
    pub fn shared() -> Shared {
        Rc::new(RefCell::new(Trace::default()))
    }

    pub fn say(&mut self, line: impl Into<String>) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>8} ms  {}", self.now_ms, line.into()));
    }

    /// Nature forbids something. Who asked is at fault, unless for a part alone.
    pub fn forbidden(&mut self, what: String) {
        if self.partial {
            return self.say(format!("FORBIDDEN {what}"));
        }
        self.violation(what);
    }

    pub fn violation(&mut self, what: String) {
        self.say(format!("AGAINST THE RULES: {what}"));
        self.violations.push(what);
    }

    /// Counts a fault that struck, or what somebody did.
    pub fn fault(&mut self, what: &'static str) {
        *self.faults.entry(what).or_default() += 1;
    }

    /// Whether a planted mistake is made now: each is made once.
    pub fn strikes(&mut self, mistake: Mistake) -> bool {
        let strikes = self.mistake == Some(mistake);
        if strikes {
            self.mistake = None;
            self.say(format!("PLANTED {mistake:?}"));
        }
        strikes
    }

    /// A new process begins: what the last one was told is forgotten.
    pub fn restart(&mut self) {
        self.dead = false;
        self.refused = false;
        self.interrupted = false;
    }

    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.lines.iter()
    }
}
