//! `rekey`: gives the ledger another key, or none.

use andon_store::{Key, LockError};
use andon_text::Diagnostic;
use serde_json::json;

use crate::args::RekeyArguments;
use crate::context::{Context, Stop, held, open_error};
use crate::terminal::print_json;

/// `andon rekey`
pub fn run(context: &Context, arguments: &RekeyArguments) -> Result<(), Stop> {
    let key = match &arguments.key_file {
        Some(path) => Some(Key::read(path).map_err(|error| {
            Stop::from(
                Diagnostic::error(error.to_string()).help("`age-keygen` writes a key; any other text is a passphrase."),
            )
        })?),
        None => None,
    };
    let failed = |error: LockError| -> Stop {
        match error {
            LockError::Held(other) => {
                Diagnostic::error(held(&other)).help("Wait for it to end; nothing was done.").into()
            }
            error => open_error(&error.into()),
        }
    };
    let project = context.open()?;
    let Some(ledger) = project.session.ledger().map_err(|error| failed(error.into()))? else {
        return Err(Diagnostic::error("there is no ledger yet")
            .help("The first run that changes something makes it, with the key that is given to it then.")
            .into());
    };
    ledger.rekey(key).map_err(failed)?;
    let sealed = ledger.is_sealed();
    if context.arguments.json {
        print_json(&json!({ "encrypted": sealed, "ledger": ledger.place() }));
    } else if let Some(path) = &arguments.key_file {
        context.print(&format!(
            "The ledger is encrypted with the key in `{}`: name it in ANDON_LEDGER_KEY_FILE from now on.\n",
            path.display()
        ));
    } else {
        context.print("The ledger is no longer encrypted: leave ANDON_LEDGER_KEY and ANDON_LEDGER_KEY_FILE unset.\n");
    }
    if ledger.is_file() {
        return Ok(());
    }
    context.say("note: the database's log and backups may hold what it was before");
    Ok(())
}
