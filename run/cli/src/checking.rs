//! The look at a project's definitions, while something that may turn out to be in vain is done already.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use andon_text::Diagnostics;

use crate::context::{Context, Project, Stop};

/// A check that is under way. What it finds is said before anything else is.
pub struct Checking<'a> {
    context: &'a Context,
    project: &'a Project,
    looking: Option<ScopedJoinHandle<'a, Diagnostics>>,
    refused: bool,
}

impl Context {
    /// Does something beside the check of the definitions, and comes to its end only where they are sound.
    pub fn while_checked<T>(
        &self,
        project: &Project,
        work: impl FnOnce(&mut Checking<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        std::thread::scope(|scope| {
            let looking = Some(scope.spawn(|| project.check()));
            let mut checking = Checking { context: self, project, looking, refused: false };
            // What could not even be read is no ground to work on.
            if project.session.diagnostics().has_errors() {
                checking.settle()?;
            }
            let done = work(&mut checking);
            checking.settle()?;
            done
        })
    }
}

impl<'a> Checking<'a> {
    /// The check of a project that was checked before.
    pub fn is_over(context: &'a Context, project: &'a Project) -> Checking<'a> {
        Checking { context, project, looking: None, refused: false }
    }

    /// What the command has at hand.
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// Waits for its end, and says what it found; refuses definitions that are not sound. To be called before anything
    /// is said or changed.
    pub fn settle(&mut self) -> Result<(), Stop> {
        if let Some(looking) = self.looking.take() {
            let found = looking.join().unwrap_or_else(|panic| resume_unwind(panic));
            let Checking { context, project, .. } = *self;
            let settled = context.say_unsound(project, &found).and_then(|()| context.refuse_unlocked(project));
            self.refused = settled.is_err();
        }
        if self.refused { Err(Stop::Code(1)) } else { Ok(()) }
    }
}
