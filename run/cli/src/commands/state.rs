//! `state`, `taint` and `untaint`: what there is, and changes of what is said of it. Nothing is done to any object.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_engine::{Journal, Recorder, adopt};
use andon_ledger::{EnvironmentState, Event, RunStatus};
use andon_plan::{StateAddress, moved_by_hand};
use andon_schema::{InstanceAddress, Object, ObjectStatus, ProviderAddress, ProviderConfigAddress};
use andon_text::{Diagnostic, nearest};
use andon_value::Value;
use serde_json::json;

use crate::args::LockArguments;
use crate::context::{Context, Project, Stop};
use crate::state_args::{
    ForgetArguments, ListArguments, MoveArguments, ReplaceProviderArguments, ResolveArguments, ShowArguments,
    StateCommand, TaintArguments,
};
use crate::terminal::{ask, print_json};

/// `andon state …`
pub fn run(context: &Context, command: &StateCommand) -> Result<(), Stop> {
    match command {
        StateCommand::List(arguments) => list(context, arguments),
        StateCommand::Show(arguments) => show(context, arguments),
        StateCommand::Mv(arguments) => mv(context, arguments),
        StateCommand::Rm(arguments) => rm(context, arguments),
        StateCommand::ReplaceProvider(arguments) => replace_provider(context, arguments),
        StateCommand::Pull(arguments) => super::state_file::pull(context, arguments),
        StateCommand::Push(arguments) => super::state_file::push(context, arguments),
        StateCommand::Resolve(arguments) => resolve(context, arguments),
    }
}

fn list(context: &Context, arguments: &ListArguments) -> Result<(), Stop> {
    let project = context.open()?;
    let here = project.session.state().environment(&context.environment(&project)?.name);
    let wanted = addresses(&arguments.addresses)?;
    let objects = here.instances.iter().flat_map(|(address, instance)| {
        instance.current.iter().chain(instance.deposed.first()).take(1).map(move |object| (address, &object.value))
    });
    let mut all: Vec<(&InstanceAddress, &Value)> =
        objects.chain(here.data.iter().map(|(address, data)| (address, &data.value))).collect();
    all.retain(|(address, value)| {
        let named = wanted.is_empty() || wanted.iter().any(|wanted| wanted.covers(address));
        named && arguments.id.as_deref().is_none_or(|id| value.get_str("id") == Some(id))
    });
    all.sort_by_key(|(address, _)| *address);
    for (text, wanted) in arguments.addresses.iter().zip(&wanted) {
        let known: Vec<&InstanceAddress> = here.instances.keys().chain(here.data.keys()).collect();
        if !known.iter().any(|address| wanted.covers(address)) {
            return Err(nothing(text, &here));
        }
    }
    if context.arguments.json {
        let rows = all.iter().map(|(address, value)| {
            let id = value.get_str("id").filter(|_| !value.get("id").is_some_and(Value::is_sensitive));
            json!({ "address": address.to_string(), "id": id })
        });
        print_json(&json!(rows.collect::<Vec<_>>()));
    } else {
        context.print(&all.iter().map(|(address, _)| format!("{address}\n")).collect::<String>());
    }
    Ok(())
}

fn show(context: &Context, arguments: &ShowArguments) -> Result<(), Stop> {
    let project = context.open()?;
    let here = project.session.state().environment(&context.environment(&project)?.name);
    let address = instance(&arguments.address)?;
    let object = here.current(&address);
    let data = here.data.get(&address);
    let Some(value) = object.map(|object| &object.value).or(data.map(|data| &data.value)) else {
        return Err(nothing(&arguments.address, &here));
    };
    let value = &andon_view::without_echoes(value);
    let tainted = object.is_some_and(|object| object.status == ObjectStatus::Tainted);
    if context.arguments.json {
        let provider = object.and_then(|object| object.provider.as_ref()).map(ToString::to_string);
        print_json(&json!({
            "address": address.to_string(),
            "provider": provider,
            "tainted": tainted,
            "depends_on": object.map(|it| it.dependencies.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "attributes": andon_view::value_json(value),
        }));
        return Ok(());
    }
    let resource = &address.resource;
    let word = if data.is_some() { "data" } else { "resource" };
    let mut text = format!("# {address}:{}\n", if tainted { " (tainted)" } else { "" });
    text.push_str(&format!("{word} \"{}\" \"{}\" {{\n", resource.kind, resource.name));
    let entries = value.as_entries().cloned().unwrap_or_default();
    let shown: Vec<_> = entries.iter().filter(|(_, value)| !value.is_null()).collect();
    let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in shown {
        text.push_str(&format!("    {name:width$} = {}\n", andon_value::render(value, 4)));
    }
    context.print(&(text + "}\n"));
    Ok(())
}

fn mv(context: &Context, arguments: &MoveArguments) -> Result<(), Stop> {
    let (from, to) = (address(&arguments.source)?, address(&arguments.destination)?);
    let decide = |state: &EnvironmentState| -> Result<Decided, Diagnostic> {
        let (moves, events) = moved_by_hand(state, &from, &to).map_err(|error| {
            let diagnostic = Diagnostic::error(error.to_string());
            diagnostic.help("`andon state list` shows what there is; nothing was done.")
        })?;
        let word = if arguments.dry_run { "Would move" } else { "Move" };
        let mut lines: Vec<String> = moves.iter().map(|(from, to)| format!("{word} \"{from}\" to \"{to}\"")).collect();
        if !arguments.dry_run {
            lines.push(format!("Successfully moved {} object(s).", moves.len()));
        }
        let data = moves.iter().map(|(from, to)| json!({ "from": from.to_string(), "to": to.to_string() }));
        Ok(Decided { events, lines, data: json!({ "moved": data.collect::<Vec<_>>(), "dry_run": arguments.dry_run }) })
    };
    let command = format!("state mv {from} {to}");
    record(context, &command, &arguments.lock, arguments.dry_run, decide)
}

fn rm(context: &Context, arguments: &ForgetArguments) -> Result<(), Stop> {
    let wanted = addresses(&arguments.addresses)?;
    let decide = |state: &EnvironmentState| -> Result<Decided, Diagnostic> {
        for (text, wanted) in arguments.addresses.iter().zip(&wanted) {
            let mut known = state.instances.keys().chain(state.data.keys());
            if !known.any(|address| wanted.covers(address)) {
                return Err(unknown(text, state));
            }
        }
        let meant = |address: &InstanceAddress| wanted.iter().any(|wanted| wanted.covers(address));
        let objects = state.objects().filter(|(address, _)| meant(address));
        let mut events: Vec<Event> = objects
            .map(|(address, object)| Event::Forgotten { address: address.clone(), identity: object.identity.clone() })
            .collect();
        let data = state.data.keys().filter(|address| meant(address));
        events.extend(data.map(|address| Event::DataDropped { address: address.clone() }));
        let gone: Vec<&InstanceAddress> =
            state.instances.keys().chain(state.data.keys()).filter(|address| meant(address)).collect();
        let word = if arguments.dry_run { "Would remove" } else { "Removed" };
        let mut lines: Vec<String> = gone.iter().map(|address| format!("{word} {address}")).collect();
        if !arguments.dry_run {
            lines.push(format!("Successfully removed {} resource instance(s).", gone.len()));
        }
        let gone: Vec<String> = gone.iter().map(ToString::to_string).collect();
        Ok(Decided { events, lines, data: json!({ "removed": gone, "dry_run": arguments.dry_run }) })
    };
    let command = format!("state rm {}", arguments.addresses.join(" "));
    record(context, &command, &arguments.lock, arguments.dry_run, decide)
}

fn replace_provider(context: &Context, arguments: &ReplaceProviderArguments) -> Result<(), Stop> {
    let provider =
        |text: &str| ProviderAddress::parse(text).map_err(|error| Stop::from(Diagnostic::error(error.to_string())));
    let (from, to) = (provider(&arguments.from)?, provider(&arguments.to)?);
    let decide = |state: &EnvironmentState| -> Result<Decided, Diagnostic> {
        let of = |provider: &Arc<ProviderConfigAddress>| provider.provider == from;
        let mut events = Vec::new();
        let mut lines = Vec::new();
        for (address, instance) in &state.instances {
            let mut changed = false;
            for object in instance.objects().filter(|object| object.provider.as_ref().is_some_and(of)) {
                let Some(provider) = &object.provider else { continue };
                let provider = ProviderConfigAddress { provider: to.clone(), ..(**provider).clone() };
                let deposed = instance.current.as_ref() != Some(object);
                let object = Object { provider: Some(Arc::new(provider)), ..object.clone() };
                events.push(Event::Adopted { address: address.clone(), object, deposed });
                changed = true;
            }
            lines.extend(changed.then(|| address.to_string()));
        }
        if events.is_empty() {
            return Err(Diagnostic::error(format!("no object is of the provider {from}")).help("Nothing was done."));
        }
        let data = json!({ "replaced": lines, "from": from.to_string(), "to": to.to_string() });
        let count = lines.len();
        lines.push(format!("Successfully replaced provider for {count} resources."));
        Ok(Decided { events, lines, data })
    };
    let question = format!("Have all objects of {from} be objects of {to}? Only `yes` does:");
    if !(arguments.auto_approve || ask(context, &question, "yes")) {
        context.say("Nothing was done.");
        return Err(Stop::Code(1));
    }
    record(context, &format!("state replace-provider {from} {to}"), &arguments.lock, false, decide)
}

/// `andon taint`
pub fn taint(context: &Context, arguments: &TaintArguments) -> Result<(), Stop> {
    mark(context, arguments, ObjectStatus::Tainted)
}

/// `andon untaint`
pub fn untaint(context: &Context, arguments: &TaintArguments) -> Result<(), Stop> {
    mark(context, arguments, ObjectStatus::Ready)
}

fn mark(context: &Context, arguments: &TaintArguments, status: ObjectStatus) -> Result<(), Stop> {
    let address = instance(&arguments.address)?;
    let tainted = status == ObjectStatus::Tainted;
    let decide = |state: &EnvironmentState| -> Result<Decided, Diagnostic> {
        let data = json!({ "address": address.to_string(), "tainted": tainted });
        let Some(object) = state.current(&address) else {
            if arguments.allow_missing {
                let lines = vec![format!("There is no object at {address}, and none is needed.")];
                return Ok(Decided { events: Vec::new(), lines, data });
            }
            return Err(unknown(&arguments.address, state));
        };
        if object.status == status && !tainted {
            return Err(Diagnostic::error(format!("{address} is not tainted")).help("Nothing was done."));
        }
        let line = match tainted {
            true => format!("Resource instance {address} has been marked as tainted."),
            false => format!("Resource instance {address} has been successfully untainted."),
        };
        let (address, identity) = (address.clone(), object.identity.clone());
        let events =
            if object.status == status { Vec::new() } else { vec![Event::Marked { address, identity, status }] };
        Ok(Decided { events, lines: vec![line], data })
    };
    let verb = if tainted { "taint" } else { "untaint" };
    record(context, &format!("{verb} {address}"), &arguments.lock, false, decide)
}

/// Effects that a run was cut short in, of which only the user can find out what came.
fn resolve(context: &Context, arguments: &ResolveArguments) -> Result<(), Stop> {
    let addresses = arguments.addresses.iter().map(|text| instance(text)).collect::<Result<BTreeSet<_>, _>>()?;
    let asked = match (&arguments.id, addresses.first()) {
        (Some(_), _) if addresses.len() > 1 => {
            return Err(Diagnostic::error("an id is of one object").help("Name one address; nothing was done.").into());
        }
        (Some(id), Some(address)) => Some((context.open_sound_with_plugins()?, address, id)),
        _ => None,
    };
    let command = format!("state resolve {}", arguments.addresses.join(" "));
    let (_project, mut recorder) = locked(context, &command, &arguments.lock)?;
    let here = recorder.state();
    let open: BTreeSet<&InstanceAddress> = here.pending.values().map(|intent| &intent.address).collect();
    if let Some(address) = addresses.iter().find(|address| !open.contains(address)) {
        let diagnostic = Diagnostic::error(format!("nothing is unknown of {address}"));
        let open: Vec<String> = open.iter().map(ToString::to_string).collect();
        let help = match open.is_empty() {
            true => "No run was cut short in the middle of anything.".to_owned(),
            false => format!("It is of {}.", open.join(", ")),
        };
        return Err(diagnostic.help(help).into());
    }
    let found = match &asked {
        Some((project, address, id)) => {
            let state = adopt::state_to_resolve(here, address);
            Some(super::import::found(context, project, &state, address, id)?)
        }
        None => None,
    };
    let outcomes: Vec<Event> =
        addresses.iter().flat_map(|address| adopt::resolutions(here, address, found.as_ref())).collect();
    let is_rest = here.pending.len() > outcomes.len();
    match recorder.take_over() {
        Some(own) => {
            recorder.append(outcomes).map_err(unrecorded)?;
            if !is_rest {
                recorder.hand_back(own).map_err(unrecorded)?;
            }
        }
        // The run came to its end without the answer: what is known now is of a run of its own.
        None => {
            let (status, summary) = match is_rest {
                true => (RunStatus::Interrupted, "what became of something else is still not known".to_owned()),
                false => (RunStatus::Succeeded, String::new()),
            };
            let ended = Event::RunEnded { status, summary };
            recorder.append([vec![began(&command)], outcomes, vec![ended]].concat()).map_err(unrecorded)?;
        }
    }
    recorder.snapshot();
    let word = if found.is_some() { "there" } else { "absent" };
    for address in &addresses {
        if context.arguments.json {
            print_json(&json!({ "address": address.to_string(), "resolved": word }));
            continue;
        }
        context.print(&match word {
            "there" => format!("{address} is there: that is recorded.\n"),
            _ => format!("There is nothing of {address}: that is recorded.\n"),
        });
    }
    Ok(())
}

/// What is to be recorded, and what is said of it.
pub struct Decided {
    /// The events, in order.
    pub events: Vec<Event>,
    /// For people.
    pub lines: Vec<String>,
    /// For scripts.
    pub data: serde_json::Value,
}

/// As [`record`], in a certain environment, and without data for scripts.
pub fn record_in(
    context: &Context,
    environment: &str,
    command: &str,
    lock: &LockArguments,
    decide: impl FnOnce(&EnvironmentState) -> Result<Decided, Diagnostic>,
) -> Result<(), Stop> {
    let project = context.open()?;
    let mut recorder = context.lock(&project, environment, command, lock)?;
    let decided = record_under(&mut recorder, command, decide)?;
    if !context.arguments.json {
        context.print(&decided.lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    }
    Ok(())
}

/// Has a run record what is decided about the state, under the environment's lock.
pub fn record<E: Into<Stop>>(
    context: &Context,
    command: &str,
    lock: &LockArguments,
    dry_run: bool,
    decide: impl FnOnce(&EnvironmentState) -> Result<Decided, E>,
) -> Result<(), Stop> {
    let decided = if dry_run {
        let project = context.open()?;
        let here = project.session.state().environment(&context.environment(&project)?.name);
        decide(&here).map_err(Into::into)?
    } else {
        let (_project, mut recorder) = locked(context, command, lock)?;
        record_under(&mut recorder, command, decide)?
    };
    if context.arguments.json {
        print_json(&decided.data);
    } else {
        context.print(&decided.lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    }
    Ok(())
}

fn record_under<E: Into<Stop>>(
    recorder: &mut Recorder,
    command: &str,
    decide: impl FnOnce(&EnvironmentState) -> Result<Decided, E>,
) -> Result<Decided, Stop> {
    close_cut_short(recorder)?;
    let mut decided = decide(recorder.state()).map_err(Into::into)?;
    let events = std::mem::take(&mut decided.events);
    if !events.is_empty() {
        let summary = decided.lines.last().cloned().unwrap_or_default();
        let ended = Event::RunEnded { status: RunStatus::Succeeded, summary };
        let all = std::iter::once(began(command)).chain(events).chain([ended]).collect();
        // All of it or nothing, in one commit.
        recorder.append(all).map_err(unrecorded)?;
        recorder.snapshot();
    }
    Ok(decided)
}

pub fn began(command: &str) -> Event {
    let (command, who) = (command.to_owned(), andon_engine::who());
    Event::RunBegan { command, who, version: env!("CARGO_PKG_VERSION").to_owned() }
}

fn locked(context: &Context, command: &str, lock: &LockArguments) -> Result<(Project, Recorder), Stop> {
    let project = context.open()?;
    let environment = Arc::clone(&context.environment(&project)?.name);
    let recorder = context.lock(&project, &environment, command, lock)?;
    Ok((project, recorder))
}

/// Closes a run that was cut short with nothing open; refuses to go on where something is.
pub fn close_cut_short(recorder: &mut Recorder) -> Result<(), Stop> {
    if let Some(diagnostic) = andon_plan::unresolved(recorder.state()) {
        return Err(diagnostic.into());
    }
    match recorder.take_over() {
        Some(own) => recorder.hand_back(own).map_err(unrecorded),
        None => Ok(()),
    }
}

pub fn unrecorded(error: andon_engine::JournalError) -> Stop {
    Diagnostic::error(error.to_string()).help("Nothing was done.").into()
}

fn address(text: &str) -> Result<StateAddress, Stop> {
    StateAddress::parse(text).map_err(|error| Diagnostic::error(error.to_string()).into())
}

fn addresses(texts: &[String]) -> Result<Vec<StateAddress>, Stop> {
    texts.iter().map(|text| address(text)).collect()
}

pub fn instance(text: &str) -> Result<InstanceAddress, Stop> {
    InstanceAddress::parse(text).map_err(|error| Diagnostic::error(error.to_string()).into())
}

fn nothing(text: &str, state: &EnvironmentState) -> Stop {
    unknown(text, state).into()
}

/// So many instances are named to whoever named none.
const INSTANCES: usize = 8;

/// There is nothing at an address: what was meant?
fn unknown(text: &str, state: &EnvironmentState) -> Diagnostic {
    let known: Vec<String> = state.instances.keys().chain(state.data.keys()).map(ToString::to_string).collect();
    let diagnostic = Diagnostic::error(format!("there is no object at {text}"));
    let instances = || known.iter().filter(|known| known.strip_prefix(text).is_some_and(|key| key.starts_with('[')));
    if instances().next().is_some() {
        let count = instances().count();
        let more = if count > INSTANCES { format!(" and {} more", count - INSTANCES) } else { String::new() };
        let names: Vec<String> = instances().take(INSTANCES).map(|name| format!("`{name}`")).collect();
        return diagnostic.help(format!("It has instances: {}{more}.", names.join(", ")));
    }
    match nearest(text, known.iter().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("Did you mean `{near}`?")),
        None => diagnostic.help("`andon state list` shows what there is."),
    }
}
