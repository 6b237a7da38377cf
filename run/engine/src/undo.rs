//! Putting back what a run changed on this machine, or wherever this process has gone, as far as it was kept and not
//! changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_converge::{Undo, undo_looks};
use andon_host::{Journal, act_while, kept_content, kept_run, kept_runs, observe};
use andon_schema::host::Stage;
use andon_schema::{HostReport, KeptPath, KeptRun};
use andon_value::SecretTexts;

/// The runs that can be undone, the last first.
///
/// # Errors
/// Where a journal cannot be read: in words for the user.
pub fn runs() -> Result<Vec<KeptRun>, String> {
    kept_runs()
}

/// The run that is meant by its number on this server, or by the beginning of its name. `None` where
/// nothing is known of it.
fn meant(run: &str) -> Result<Option<KeptRun>, String> {
    if let Ok(number) = run.parse()
        && let Some(found) = kept_run(number)?
    {
        return Ok(Some(found));
    }
    // Fewer letters would mean too many runs.
    let mut all = kept_runs()?;
    let names: BTreeSet<Arc<str>> =
        all.iter().filter(|it| run.len() >= 4 && it.name.starts_with(run)).map(|it| it.name.clone()).collect();
    let mut names = names.into_iter();
    let Some(name) = names.next() else { return Ok(None) };
    if let Some(other) = names.next() {
        return Err(format!("`{run}` is the beginning of several runs' names, such as {name} and {other}"));
    }
    // A server that has several roles has a journal of each.
    all.retain(|it| it.name == name);
    Ok(all.into_iter().rev().reduce(after))
}

/// Two runs, one after the other, as one.
fn after(mut first: KeptRun, then: KeptRun) -> KeptRun {
    let places: BTreeMap<Arc<str>, usize> = first.paths.iter().map(|it| it.path.clone()).zip(0..).collect();
    for path in then.paths {
        match places.get(&path.path).and_then(|place| first.paths.get_mut(*place)) {
            Some(known) => *known = KeptPath { was: known.was.clone(), secret: known.secret || path.secret, ..path },
            None => first.paths.push(path),
        }
    }
    first.deeds.extend(then.deeds);
    first
}

/// What would put a run back; `None` where nothing is known of it. `force` puts back what was changed since, too.
///
/// # Errors
/// Where its journal, or what it kept, cannot be read.
pub fn foresee(run: &str, force: bool) -> Result<Option<(KeptRun, Undo)>, String> {
    let Some(run) = meant(run)? else { return Ok(None) };
    let sights = observe(&undo_looks(&run), Stage::Live);
    let mut failed = None;
    let mut content = |digest: &str| kept_content(digest).inspect_err(|error| failed = Some(error.clone()));
    let undo = andon_converge::undo(&run, sights, force, &mut content);
    match failed {
        Some(error) => Err(error),
        None => Ok(Some((run, undo))),
    }
}

/// Puts it back, while `go_on`. This is a run, too, by this name, and can be undone.
pub fn undo(run: &KeptRun, undo: Undo, name: &str, go_on: &dyn Fn() -> bool) -> HostReport {
    let secret = run.paths.iter().filter(|path| path.secret).map(|path| path.path.clone()).collect();
    let of = if run.name.is_empty() { run.number.to_string() } else { run.name.to_string() };
    let mut journal = Journal::new(&format!("undo of {of}"), name, SecretTexts::default());
    journal.hide(&secret);
    let acts: Vec<_> = undo.acts.iter().map(|(_, act)| act.clone()).collect();
    let outcomes = act_while(&acts, Stage::Live, Some(&mut journal), &mut |_| go_on());
    undo.done(outcomes)
}
