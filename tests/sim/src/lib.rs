//! The whole-system simulator: the real engine, planner, fold and codec over a simulated world, where everything that
//! can go wrong does, by seed.
//!
//! In two stories of three, what is physical is made by a plugin: an imaginary cloud takes the calls that plugins take,
//! from the code that calls plugins. It loses answers after the effect, half-way and before, is throttled, crashes with
//! everything under way, and wants back what it had the ledger keep. Of what it made nobody knows the name where the
//! answer was lost: then an operator looks at the cloud, and says what is there.
//!
//! A seed gives a project, a story (bring it up, edit it, damage the world, take it down) and the faults that strike
//! while it is told: refusals, failures after the effect, failures half-way, time-outs, silence, a full disk, an
//! interrupt, and crashes at any append and at any step of the world. After each fault the story goes on without
//! faults until the run ends well, and then world, ledger and definitions must agree.
//!
//! A part of the runs is held to a part of the project, and people move, release, protect, taint, forget and import
//! between them: nothing out of a run's scope may be touched.
//!
//! `ANDON_SIM_SEEDS=10000 ./test every_fault` tells ten thousand stories, and
//! `ANDON_SIM_SEED=7 cargo test -p andon-sim` one again.

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
