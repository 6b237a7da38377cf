//! `workspace`: Terraform's word for what an environment is. Beside those that `andon.hcl` defines, environments are made
//! and deleted here; the one that is selected is used wherever none is named.

use std::path::Path;
use std::sync::Arc;

use andon_engine::workspaces::{WORKSPACE_VARIABLE, Workspaces, is_name, named_by_variable};
use andon_ledger::{EnvironmentState, Event};
use andon_schema::Failure;
use andon_text::{Diagnostic, nearest};
use serde_json::json;

use super::state::{Decided, record_in};
use super::state_file;
use crate::context::{Context, DEFAULT, Project, Stop};
use crate::state_args::{DeleteArguments, NewWorkspaceArguments, PushArguments, SelectArguments, WorkspaceCommand};
use crate::terminal::print_json;

/// How many objects a refusal names.
const NAMED: usize = 10;

/// `andon workspace …`
pub fn run(context: &Context, command: &WorkspaceCommand) -> Result<(), Stop> {
    match command {
        WorkspaceCommand::List => list(context),
        WorkspaceCommand::Show => show(context),
        WorkspaceCommand::New(arguments) => new(context, arguments),
        WorkspaceCommand::Select(arguments) => select(context, arguments),
        WorkspaceCommand::Delete(arguments) => delete(context, arguments),
    }
}

fn list(context: &Context) -> Result<(), Stop> {
    let project = context.open()?;
    let current = Arc::clone(&context.environment(&project)?.name);
    let all = all(&project);
    if context.arguments.json {
        let rows = all.iter().map(|name| json!({ "name": &**name, "current": *name == current }));
        print_json(&json!(rows.collect::<Vec<_>>()));
    } else {
        let line = |name: &Arc<str>| format!("{} {name}\n", if *name == current { '*' } else { ' ' });
        context.print(&all.iter().map(line).collect::<String>());
    }
    Ok(())
}

fn show(context: &Context) -> Result<(), Stop> {
    let project = context.open_definitions()?;
    let current = context.environment(&project)?;
    match context.arguments.json {
        true => print_json(&json!({ "environment": &*current.name })),
        false => context.print(&format!("{}\n", current.name)),
    }
    Ok(())
}

fn new(context: &Context, arguments: &NewWorkspaceArguments) -> Result<(), Stop> {
    let name = named(&arguments.name)?;
    if let Some(given) =
        context.arguments.environment.as_deref().filter(|given| arguments.state.is_some() && **given != *name)
    {
        let summary = format!("the state is for `{name}`, and -e or ANDON_ENVIRONMENT names `{given}`");
        return Err(Diagnostic::error(summary).help("Leave that out; nothing was done.").into());
    }
    let project = context.open()?;
    if let Some(other) = named_by_variable().filter(|other| *other != name) {
        return Err(overridden(&other));
    }
    let mut workspaces = project.session.workspaces().clone();
    // What Terraform's variable names is in use before it is made.
    if all(&project).contains(&name) && named_by_variable().is_none_or(|_| workspaces.made.contains(&name)) {
        return Err(Diagnostic::error(format!("there is an environment `{name}` already"))
            .help(format!("Use it with `andon workspace select {name}`."))
            .into());
    }
    workspaces.made.insert(Arc::clone(&name));
    drop(project);
    use_from_now_on(context, workspaces, &name)?;
    if let Some(file) = &arguments.state {
        let push = PushArguments { file: file.clone(), stack: None, force: false, lock: arguments.lock.clone() };
        state_file::push(context, &push)?;
    }
    tell(context, &name, true)
}

fn select(context: &Context, arguments: &SelectArguments) -> Result<(), Stop> {
    let name = named(&arguments.name)?;
    let project = context.open()?;
    if let Some(other) = named_by_variable() {
        return Err(overridden(&other));
    }
    let all = all(&project);
    let mut workspaces = project.session.workspaces().clone();
    let there = all.contains(&name);
    if !there && !arguments.or_create {
        let help = format!("Make it with `andon workspace new {name}`, or select it with -or-create.");
        return Err(unknown(&name, &all).help(help).into());
    }
    let defined = project.session.project().environments.get(&name).is_some_and(|it| it.span.is_some());
    if !defined && *name != *DEFAULT {
        workspaces.made.insert(Arc::clone(&name));
    }
    drop(project);
    use_from_now_on(context, workspaces, &name)?;
    tell(context, &name, !there)
}

fn delete(context: &Context, arguments: &DeleteArguments) -> Result<(), Stop> {
    let name = named(&arguments.name)?;
    let project = context.open()?;
    let all = all(&project);
    if !all.contains(&name) {
        return Err(unknown(&name, &all).into());
    }
    let refused = |why: String| Diagnostic::error(format!("the environment `{name}` cannot be deleted")).detail(why);
    let defined = project.session.project().environments.get(&name).and_then(|it| it.span);
    if let Some(span) = defined {
        let found = refused("It is defined in andon.hcl.".to_owned()).at(span);
        let found = found.help("Delete what it has with `andon destroy -e`, then take its block out.");
        context.say_diagnostics(&found.into(), project.sources());
        return Err(Stop::Code(1));
    }
    if *name == *DEFAULT {
        return Err(refused("It is the one that every project has.".to_owned()).into());
    }
    // Where nothing sound is in use, this one is not, either.
    if context.environment(&project).is_ok_and(|current| current.name == name) {
        let why = "It is the one in use.".to_owned();
        return Err(refused(why).help("Use another one first: `andon workspace select NAME`.").into());
    }
    let state = project.session.state().environment(&name);
    let mut workspaces = project.session.workspaces().clone();
    drop(project);
    if !state.is_empty() || !state.data.is_empty() || !state.checked.is_empty() {
        let decide = |state: &EnvironmentState| forget_all(state, &name, arguments.force);
        record_in(context, &name, &format!("workspace delete {name}"), &arguments.lock, decide)?;
    }
    workspaces.made.remove(&name);
    write(context, &workspaces)?;
    match context.arguments.json {
        true => print_json(&json!({ "environment": &*name, "deleted": true })),
        false => context.print(&format!("Deleted the environment `{name}`.\n")),
    }
    Ok(())
}

/// Has everything of an environment forgotten; refused where that would lose sight of something.
fn forget_all(state: &EnvironmentState, name: &str, force: bool) -> Result<Decided, Diagnostic> {
    let objects: Vec<_> = state.objects().collect();
    if !objects.is_empty() && !force {
        let mut names: Vec<String> = objects.iter().take(NAMED).map(|(address, _)| address.to_string()).collect();
        names.extend((objects.len() > NAMED).then(|| format!("{} more", objects.len().saturating_sub(NAMED))));
        return Err(Diagnostic::error(format!("the environment `{name}` has objects"))
            .detail(format!("It has {}.", names.join(", ")))
            .help(format!("Delete them first: `andon destroy -e {name}`."))
            .help("-force has them forgotten, without anything done to them; nothing was done."));
    }
    let forgotten = objects
        .iter()
        .map(|(address, it)| Event::Forgotten { address: (*address).clone(), identity: it.identity.clone() });
    let mut events: Vec<Event> = forgotten.collect();
    events.extend(state.data.keys().map(|address| Event::DataDropped { address: address.clone() }));
    events.extend(state.published.keys().map(|stack| Event::Withdrawn { stack: Arc::clone(stack) }));
    let stacks = state.checked.iter().filter(|(_, results)| !results.is_empty()).map(|(stack, _)| stack);
    events.extend(stacks.map(|stack| Event::Checked { stack: Arc::clone(stack), results: Vec::new() }));
    let line = |address: &_| format!("Forgot {address}; nothing was done to it.");
    let lines = objects.iter().map(|(address, _)| line(address)).collect();
    let told: Vec<String> = objects.iter().map(|(address, _)| address.to_string()).collect();
    Ok(Decided { events, lines, data: json!({ "forgotten": told }) })
}

/// The environments that are defined, those that were made, and those that something is in.
fn all(project: &Project) -> Vec<Arc<str>> {
    let state = &project.session.state().environments;
    let used = state.iter().filter(|(_, state)| !state.is_empty()).map(|(name, _)| name);
    let mut all: Vec<Arc<str>> = project.session.project().environments.keys().chain(used).cloned().collect();
    all.sort();
    all.dedup();
    all
}

fn use_from_now_on(context: &Context, mut workspaces: Workspaces, name: &Arc<str>) -> Result<(), Stop> {
    workspaces.selected = Some(Arc::clone(name));
    write(context, &workspaces)
}

fn write(context: &Context, workspaces: &Workspaces) -> Result<(), Stop> {
    let directory: &Path = context.project_directory()?;
    let stop = |failure: Failure| Stop::from(Diagnostic::error(failure.summary).detail(failure.detail));
    workspaces.write(directory).map_err(stop)
}

fn tell(context: &Context, name: &str, made: bool) -> Result<(), Stop> {
    if context.arguments.json {
        print_json(&json!({ "environment": name, "made": made }));
    } else if made {
        context.print(&format!("Made the environment `{name}`, which is in use from now on. Nothing is in it yet.\n"));
    } else {
        context.print(&format!("The environment `{name}` is in use from now on.\n"));
    }
    if let Some(given) = context.arguments.environment.as_deref().filter(|given| *given != name) {
        context.say(&format!("note: -e or ANDON_ENVIRONMENT names `{given}`, and goes before it"));
    }
    Ok(())
}

fn named(name: &str) -> Result<Arc<str>, Stop> {
    match is_name(name) {
        true => Ok(name.into()),
        false => Err(Diagnostic::error(format!("an environment cannot be called {name:?}"))
            .detail("Letters of ASCII, digits and -_.~$&+=:@ make a name.")
            .into()),
    }
}

fn overridden(other: &str) -> Stop {
    Diagnostic::error(format!("{WORKSPACE_VARIABLE} says that the environment `{other}` is in use"))
        .help(format!("Unset {WORKSPACE_VARIABLE} first, or have it name the other one; nothing was done."))
        .into()
}

fn unknown(name: &str, all: &[Arc<str>]) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("there is no environment `{name}`"));
    match nearest(name, all.iter().map(|name| &**name)) {
        Some(near) => diagnostic.help(format!("Did you mean `{near}`?")),
        None => diagnostic,
    }
}
