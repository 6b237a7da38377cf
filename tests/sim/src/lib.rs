//! The whole-system simulator: the real engine, planner, fold and codec over a simulated world, where everything that
//! can go wrong does, by seed.
//!
//! A seed gives a project, a story (bring it up, edit it, damage the world, take it down) and the faults that strike
//! while it is told: refusals, failures after the effect, failures half-way, time-outs, silence, a full disk, an
//! interrupt, and crashes at any append and at any step of the world. After each fault the story goes on without
//! faults until the run ends well, and then world, ledger and definitions must agree.
//!
//! `ANDON_SIM_SEEDS=100000 cargo test -p andon-sim` tells more stories; `ANDON_SIM_SEED=7 cargo test -p andon-sim`
//! tells one again.

mod agree;
mod dice;
mod earth;
mod faults;
mod journal;
mod kinds;
mod model;
mod story;
mod trace;
mod world;

pub use story::{Broken, Tally, simulate};

/// The one environment of every story.
const ENVIRONMENT: &str = "sim";

/// A mistake that can be planted in a story, to show that the simulator finds such mistakes. Each is made once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The world says that it made an object, and there is none.
    WorldForgetsAnEffect,
    /// A driver says that nothing is left of a failed creation, and something is.
    DriverLosesAnObject,
    /// What came of an intent is taken to be nothing, without a look.
    RecoveryDoesNotLook,
    /// The ledger says that it stored an outcome, and did not.
    LedgerDropsAnOutcome,
    /// An effect begins with no intent in the ledger.
    EngineSkipsAnIntent,
    /// What an object depends on is not recorded.
    LedgerForgetsDependencies,
    /// An object that nobody knows of appears in the world.
    StrangerInTheWorld,
    /// A plugin that crashed in the middle of an effect is taken to have done nothing.
    CrashTakenForRefusal,
    /// A plugin is told to make one object twice.
    HostCallsTwice,
    /// What a plugin keeps with an object is not stored.
    LedgerForgetsWhatIsKept,
    /// A lost creation is taken to have made nothing, and nobody is asked.
    LostCreationIsForgotten,
}
