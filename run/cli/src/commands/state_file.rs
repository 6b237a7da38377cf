//! `state pull` and `state push`: what a stack has as a state file of Terraform's, there and back.

use std::io::Read;
use std::sync::Arc;

use andon_ledger::state_file::StateFile;
use andon_ledger::{EnvironmentState, Event};
use andon_plan::{state_file, taken_over};
use andon_text::Diagnostic;
use serde_json::json;

use super::change::identities;
use super::state::{Decided, record};
use crate::context::{Context, Project, Stop};
use crate::state_args::{PullArguments, PushArguments};

/// `andon state pull`
pub fn pull(context: &Context, arguments: &PullArguments) -> Result<(), Stop> {
    let project = context.open_any_with_plugins()?;
    let stack = stack(context, &project, arguments.stack.as_ref())?;
    let environment = &context.environment(&project)?.name;
    let state = project.session.state();
    let definitions = project.session.project();
    let lineage = andon_engine::provider::uuid(&format!("{}\n{environment}\n{stack}", definitions.name));
    let here = state.environment(environment);
    context.print(&state_file(&here, &stack, &project.schemas, state.sequence, lineage).write());
    Ok(())
}

/// `andon state push`
pub fn push(context: &Context, arguments: &PushArguments) -> Result<(), Stop> {
    let path = &arguments.file;
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        _ => std::fs::read_to_string(path).map(|content| text = content),
    };
    read.map_err(|error| refused(&format!("`{}` cannot be read: {error}", path.display())))?;
    let file = StateFile::read(&text)
        .map_err(|error| refused(&format!("`{}` cannot be taken over: {error}", path.display())))?;
    let project = context.open_any_with_plugins()?;
    let stack = stack(context, &project, arguments.stack.as_ref())?;
    let schemas = Arc::clone(&project.schemas);
    drop(project);
    let decide = |state: &EnvironmentState| {
        let objects = state.objects().filter(|(address, _)| address.resource.stack == stack);
        let forgotten = objects
            .map(|(address, object)| Event::Forgotten { address: address.clone(), identity: object.identity.clone() });
        let mut events: Vec<Event> = forgotten.collect();
        if !arguments.force && !events.is_empty() {
            let summary = format!("{} there already, so that nothing is taken over", objects_are(events.len()));
            return Err(Diagnostic::error(summary).help(
                "-force has the objects that are there forgotten, without anything done to them; nothing was done.",
            ));
        }
        let data = state.data.keys().filter(|address| address.resource.stack == stack);
        events.extend(data.map(|address| Event::DataDropped { address: address.clone() }));
        let new = taken_over(&file, &stack, &schemas, identities())
            .map_err(|error| refused(&format!("`{}` cannot be taken over: {error}", path.display())))?;
        let count = new.iter().filter(|event| matches!(event, Event::Adopted { .. })).count();
        events.extend(new);
        let lines = vec![format!("{} known from now on, as `{}` has it.", objects_are(count), path.display())];
        Ok(Decided { events, lines, data: json!({ "objects": count, "stack": &*stack }) })
    };
    record(context, &format!("state push {}", path.display()), &arguments.lock, false, decide)
}

fn objects_are(count: usize) -> String {
    if count == 1 { "1 object is".to_owned() } else { format!("{count} objects are") }
}

fn refused(summary: &str) -> Diagnostic {
    Diagnostic::error(summary).help("Nothing was done.")
}

/// The stack that is named, or the only one.
fn stack(context: &Context, project: &Project, name: Option<&String>) -> Result<Arc<str>, Stop> {
    if let Some(name) = name {
        let found = context.stacks(project, std::slice::from_ref(name))?;
        return found.into_iter().next().ok_or(Stop::Code(1));
    }
    let stacks = &project.session.project().stacks;
    let mut names = stacks.keys();
    match (names.next(), names.next()) {
        (Some(only), None) => Ok(Arc::clone(only)),
        _ => {
            let all: Vec<&str> = stacks.keys().map(|name| &**name).collect();
            let help = format!("The project has {}: name one after the command.", all.join(", "));
            Err(Diagnostic::error("it is not said which stack is meant").help(help).into())
        }
    }
}
