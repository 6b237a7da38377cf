//! `force-unlock`: takes a lock from a holder of which nothing is left.

use andon_store::LockError;
use andon_text::Diagnostic;
use serde_json::json;

use crate::args::ForceUnlockArguments;
use crate::context::{Context, Stop, held, open_error};
use crate::terminal::{ask, print_json};

/// `andon force-unlock`
pub fn run(context: &Context, arguments: &ForceUnlockArguments) -> Result<(), Stop> {
    let failed = |error: LockError| -> Stop { open_error(&error.into()) };
    let project = context.open()?;
    let id = &arguments.id;
    let none = || Diagnostic::error(format!("there is no lock `{id}`: nothing is locked")).into();
    let Some(ledger) = project.session.ledger().map_err(|error| failed(error.into()))? else { return Err(none()) };
    let locks = ledger.locks().map_err(|error| failed(error.into()))?;
    let Some(lock) = locks.iter().find(|lock| lock.id == *id) else {
        if locks.is_empty() {
            return Err(none());
        }
        let there: Vec<String> = locks.iter().map(|lock| format!("`{}`: {}", lock.id, held(lock))).collect();
        return Err(Diagnostic::error(format!("there is no lock `{id}`"))
            .detail(format!("There is {}.", there.join("; ")))
            .help("Nothing was done.")
            .into());
    };
    if lock.here {
        context.say(&format!("Process {} of this machine still runs.", lock.holder.pid));
    }
    context.say(&format!("{}.", held(lock)));
    let question = "Its holder can record nothing more, whatever it still does. Take the lock away? Only `yes` does:";
    if !(arguments.force || ask(context, question, "yes")) {
        context.say("Nothing was done.");
        return Err(Stop::Code(1));
    }
    let taken = ledger.force_unlock(id).map_err(failed)?;
    if context.arguments.json {
        print_json(&json!({ "type": "unlocked", "id": taken.id, "environment": taken.environment }));
    } else {
        context.say(&format!("Environment `{}` is unlocked.", taken.environment));
    }
    Ok(())
}
