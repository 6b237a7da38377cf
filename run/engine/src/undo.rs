//! Putting back what a run changed on this machine, as far as it was kept and not changed since.

use andon_converge::{Undo, undo_looks};
use andon_host::{Journal, act_while, kept_content, kept_run, kept_runs, observe};
use andon_schema::host::Stage;
use andon_schema::{HostReport, KeptRun};

/// The runs that can be undone, the last first.
///
/// # Errors
/// Where a journal cannot be read: in words for the user.
pub fn runs() -> Result<Vec<KeptRun>, String> {
    kept_runs()
}

/// What would put a run back; `None` where nothing is known of it.
///
/// # Errors
/// Where its journal, or what it kept, cannot be read.
pub fn foresee(run: u64) -> Result<Option<(KeptRun, Undo)>, String> {
    let Some(run) = kept_run(run)? else { return Ok(None) };
    let sights = observe(&undo_looks(&run), Stage::Live);
    let mut failed = None;
    let mut content = |digest: &str| kept_content(digest).inspect_err(|error| failed = Some(error.clone()));
    let undo = andon_converge::undo(&run, sights, &mut content);
    match failed {
        Some(error) => Err(error),
        None => Ok(Some((run, undo))),
    }
}

/// Puts it back. This is a run, too, and can be undone.
pub fn undo(run: &KeptRun, undo: Undo) -> HostReport {
    let secret = run.paths.iter().filter(|path| path.secret).map(|path| path.path.clone()).collect();
    let mut journal = Journal::new(&format!("undo of {}", run.number), secret);
    let acts: Vec<_> = undo.acts.iter().map(|(_, act)| act.clone()).collect();
    let outcomes = act_while(&acts, Stage::Live, Some(&mut journal), &mut |_| true);
    undo.done(outcomes)
}
