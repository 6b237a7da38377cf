//! `state pull` and `state push`: what a stack has as a state file of Terraform's, there and back.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use andon_ledger::state_file::{Attributes, Instance, Resource, StateFile};
use andon_ledger::{EnvironmentState, Event};
use andon_plan::{state_file, taken_over};
use andon_schema::Mode;
use andon_store::{StoreError, Which};
use andon_text::Diagnostic;
use serde_json::json;

use super::state::{Decided, record};
use crate::context::{Context, Project, Stop, open_error};
use crate::state_args::{PullArguments, PushArguments};

/// `andon state pull`
pub fn pull(context: &Context, arguments: &PullArguments) -> Result<(), Stop> {
    let project = context.open_any_with_plugins()?;
    let stack = stack(context, &project, arguments.stack.as_ref())?;
    let environment = &context.environment(&project)?.name;
    let now = as_file(&project, environment, &project.session.state().environment(environment), &stack)?;
    context.print(&now.write());
    Ok(())
}

/// What a stack has, as a state file. Where the stack went on from one, its lineage is that file's and its serial counts
/// from there. Else its lineage is that of the stack in this environment of this ledger, which its first run tells from
/// all others; its serial counts what was recorded of the environment.
fn as_file(
    project: &Project,
    environment: &Arc<str>,
    here: &EnvironmentState,
    stack: &Arc<str>,
) -> Result<StateFile, Stop> {
    let failed = |error: StoreError| open_error(&error.into());
    let (first, last) = match project.session.ledger().map_err(failed)? {
        Some(ledger) => {
            let first = ledger.stream(Which::All, 1).next().transpose().map_err(failed)?;
            (first, ledger.last(&Which::Environment(Arc::clone(environment)), 1).map_err(failed)?)
        }
        None => (None, Vec::new()),
    };
    let run = first.map(|entry| entry.run.to_string()).unwrap_or_default();
    let lineage = format!("{}\n{environment}\n{stack}\n{run}", project.session.project().name);
    let last = last.last().map_or(0, |entry| entry.sequence);
    let (lineage, serial) = match here.files.get(stack) {
        // Each entry since counts as a change.
        Some(origin) => (origin.lineage.to_string(), origin.serial.saturating_add(last.saturating_sub(origin.through))),
        None => (andon_engine::provider::uuid(&lineage), last),
    };
    Ok(state_file(here, stack, &project.schemas, serial, lineage))
}

/// Whether a file may take the place of what is there, as Terraform judges it: it must go on from that.
fn goes_on(file: &StateFile, there: &StateFile, path: &Path) -> Result<(), Diagnostic> {
    let count = there.resources.iter().map(|resource| resource.instances.len()).sum();
    let refused = |why: String| {
        Diagnostic::error(format!("`{}` does not go on from what there is", path.display()))
            .detail(format!("{} there already. {why}", objects_are(count)))
            .help("`andon state pull` gives the state as it is now, to go on from.")
            .help("-force has the objects that are there forgotten, without anything done to them; nothing was done.")
    };
    if file.lineage != there.lineage {
        let theirs = if file.lineage.is_empty() { "none".to_owned() } else { file.lineage.clone() };
        return Err(refused(format!("The file is of another lineage: {theirs} instead of {}.", there.lineage)));
    }
    if file.serial < there.serial {
        return Err(refused(format!(
            "The file is older: its serial is {}, and {} is here.",
            file.serial, there.serial
        )));
    }
    if file.serial == there.serial && file.write() != there.write() {
        return Err(refused(format!("The file has the same serial, {}, and says something else.", file.serial)));
    }
    Ok(())
}

/// The objects that are here and not in a file, by their addresses: the file's history deleted or forgot them. One that
/// it gave another address is in the file under that.
fn not_in(file: &StateFile, there: &StateFile) -> Vec<String> {
    let managed = |state: &'_ StateFile| -> Vec<(String, Option<(String, String)>)> {
        let resources = state.resources.iter().filter(|resource| resource.mode == Mode::Managed);
        resources.flat_map(instances).collect()
    };
    let known = managed(file);
    let addresses: BTreeSet<&String> = known.iter().map(|(address, _)| address).collect();
    let objects: BTreeSet<_> = known.iter().filter_map(|(_, object)| object.as_ref()).collect();
    let is_known = |address: &String, object: &Option<(String, String)>| {
        addresses.contains(address) || object.as_ref().is_some_and(|object| objects.contains(object))
    };
    let missing = managed(there).into_iter().filter(|(address, object)| !is_known(address, object));
    missing.map(|(address, _)| address).collect()
}

/// The objects in use of a resource: their addresses, and their types and `id`s, as far as they have one.
fn instances(resource: &Resource) -> impl Iterator<Item = (String, Option<(String, String)>)> {
    let in_use = resource.instances.iter().filter(|instance| instance.deposed.is_none());
    in_use.map(move |it| {
        let key = it.key.as_ref().map(ToString::to_string).unwrap_or_default();
        (format!("{resource}{key}"), id(it).map(|id| (resource.kind.clone(), id)))
    })
}

fn id(instance: &Instance) -> Option<String> {
    let id = match &instance.attributes {
        Attributes::Json(json) => {
            let object: serde_json::Value = serde_json::from_str(json.as_str()).ok()?;
            object.get("id")?.as_str()?.to_owned()
        }
        Attributes::Flat(attributes) => attributes.get("id")?.clone(),
    };
    (!id.is_empty()).then_some(id)
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
    let environment = Arc::clone(&context.environment(&project)?.name);
    let schemas = Arc::clone(&project.schemas);
    let decide = |state: &EnvironmentState| -> Result<Decided, Stop> {
        let objects = state.objects().filter(|(address, _)| address.resource.stack == stack);
        let forgotten = objects
            .map(|(address, object)| Event::Forgotten { address: address.clone(), identity: object.identity.clone() });
        let mut events: Vec<Event> = forgotten.collect();
        let mut missing = Vec::new();
        if !events.is_empty() {
            let there = as_file(&project, &environment, state, &stack)?;
            if !arguments.force {
                goes_on(&file, &there, path)?;
                if file.serial == there.serial {
                    let lines = vec![format!("`{}` says what there is: nothing is to be done.", path.display())];
                    let data = json!({ "forgotten": [], "objects": 0, "stack": &*stack });
                    return Ok(Decided { events: Vec::new(), lines, data });
                }
            }
            missing = not_in(&file, &there);
        }
        let data = state.data.keys().filter(|address| address.resource.stack == stack);
        events.extend(data.map(|address| Event::DataDropped { address: address.clone() }));
        let new = taken_over(&file, &stack, &schemas, andon_engine::random)
            .map_err(|error| Stop::from(refused(&format!("`{}` cannot be taken over: {error}", path.display()))))?;
        let count = new.iter().filter(|event| matches!(event, Event::Adopted { .. })).count();
        events.extend(new);
        let forgotten = missing.iter().map(|it| format!("{it} is forgotten: `{}` does not know it.", path.display()));
        let mut lines: Vec<String> = forgotten.collect();
        lines.push(format!("{} known from now on, as `{}` has it.", objects_are(count), path.display()));
        Ok(Decided { events, lines, data: json!({ "forgotten": missing, "objects": count, "stack": &*stack }) })
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
