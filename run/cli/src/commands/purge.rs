//! `down --purge`: the project's images and ledger go, too.

use std::collections::BTreeSet;

use andon_engine::{provider, records};
use andon_ledger::Event;
use andon_store::Which;
use andon_text::Diagnostic;

use crate::context::{Context, Stop, open_error};

/// Removes what is left of a project on this machine. Refused while another of its environments is up.
pub fn run(context: &Context) -> Result<(), Stop> {
    let project = context.open()?;
    let session = &project.session;
    let up: Vec<&str> = session
        .state()
        .environments
        .iter()
        .filter(|(_, here)| !here.instances.is_empty() || !here.pending.is_empty())
        .map(|(name, _)| &**name)
        .collect();
    if !up.is_empty() {
        return Err(Diagnostic::error(format!("the ledger is still needed by {}", up.join(", ")))
            .help("Take these environments down first, with `andon down -e ENV`.")
            .into());
    }
    let mut digests = BTreeSet::new();
    let unread = |error| open_error(&andon_engine::OpenError::Store(error));
    let ledger = session.ledger().map_err(unread)?;
    for entry in ledger.iter().flat_map(|ledger| ledger.stream(Which::All, 1)) {
        let entry = entry.map_err(unread)?;
        if let Event::Outcome(record) = entry.event
            && let Some(name) = names_an_image(&record.address.resource.kind)
            && let Some(digest) = record.object.as_ref().and_then(|object| object.value.get_str(name))
        {
            digests.insert(digest.to_owned());
        }
    }
    let freed = provider::purge(session.settings(), &digests)
        .map_err(|failure| Stop::from(Diagnostic::error(failure.summary).detail(failure.detail)))?;
    let elsewhere = ledger.as_ref().is_some_and(|ledger| !ledger.is_file());
    if let Some(ledger) = ledger {
        ledger.close();
    }
    let place = records(&session.settings().directory);
    match std::fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Diagnostic::error(format!("`{}` cannot be removed: {error}", place.display())).into());
        }
        _ => {}
    }
    let ledger = if elsewhere { "; the ledger stays in its database" } else { " and the ledger" };
    context.say(&format!("Purged: {freed} image{}{ledger}.", if freed == 1 { "" } else { "s" }));
    Ok(())
}

/// The attribute by which a resource type names an image that was made for it.
fn names_an_image(kind: &str) -> Option<&'static str> {
    match kind {
        "andon_image" => Some("digest"),
        // What was taken of this machine for a server that is `on_host`.
        "lab_server" => Some("image"),
        _ => None,
    }
}
