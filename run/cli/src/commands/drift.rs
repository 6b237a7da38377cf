//! `drift`: what is other than defined, now and before.

use andon_engine::phoenix::Phoenix;
use andon_engine::{Journal, OpenError};
use andon_fleet::phoenix::due;
use andon_fold::{DriftView, Righting};
use andon_ledger::{Entry, EnvironmentState, Event, RunStatus};
use andon_plan::{PlanMode, Reason, drifted, drifted_files};
use andon_schema::InstanceAddress;
use andon_store::{LockError, Which};
use serde_json::{Value as Json, json};

use super::plan::{Asked, plan};
use crate::args::DriftArguments;
use crate::clock::{date_and_time, rfc3339};
use crate::context::{Context, Project, Stop, open_error};
use crate::terminal::print_json;

/// `andon drift`
pub fn run(context: &Context, arguments: &DriftArguments) -> Result<(), Stop> {
    if arguments.history {
        return history(context, arguments);
    }
    let project = context.open_any_with_plugins()?;
    let plan = context.while_checked(&project, |checking| {
        plan(checking, &project, &arguments.stacks.stacks, Asked::of(PlanMode::RefreshOnly))
    })?;
    // What was never made, or failed to be, cannot have drifted.
    let notes = plan.notes.iter().filter(|note| note.reason == Reason::NotCreated);
    let lacking: Vec<String> = notes.map(|note| note.address.to_string()).collect();
    let phoenixes = super::phoenix::find(context, &arguments.stacks.stacks)?;
    let of_images = super::phoenix::lines(&phoenixes);
    if context.arguments.json {
        let mut data = andon_view::plan_json(&plan);
        if let (Some(data), false) = (data.as_object_mut(), phoenixes.is_empty()) {
            data.insert("servers".to_owned(), phoenixes.iter().map(super::phoenix::data).collect());
        }
        print_json(&data);
    } else if plan.drift.is_empty() && !of_images.is_empty() {
        // Said below.
    } else if plan.drift.is_empty() {
        let verdict = if lacking.is_empty() { "everything is as defined" } else { "what is there is as defined" };
        context.print(&format!("No drift in {}: {verdict}.\n", plan.environment));
    } else {
        context.print(&andon_view::drift(&plan, context.look(false)));
        let count = plan.drift.len();
        let things = if count == 1 { "thing differs" } else { "things differ" };
        context.print(&format!("{count} {things} in {}. `andon sync` puts it right.\n", plan.environment));
    }
    if !of_images.is_empty() && !context.arguments.json {
        context.print(&format!("{}\n", of_images.join("\n")));
        let healed = phoenixes.iter().any(|phoenix| due(&phoenix.living).is_some());
        let what = if healed {
            "`andon sync` replaces what is to be replaced"
        } else if phoenixes.iter().all(|phoenix| phoenix.drift.is_empty() || phoenix.member.is_some()) {
            "With `on_drift = \"replace\"`, `andon sync` replaces such members"
        } else {
            "`andon apply -replace=ADDRESS` makes a server anew"
        };
        context.print(&format!("{what}.\n"));
    }
    if !lacking.is_empty() && !context.arguments.json {
        let lacking = lacking.join(", ");
        context.print(&format!("Defined, and not there yet: {lacking}. `andon plan` shows what would be made.\n"));
    }
    let covers = |address: &InstanceAddress| {
        let stacks = &arguments.stacks.stacks;
        stacks.is_empty() || stacks.iter().any(|it| **it == *address.resource.stack)
    };
    let known = project.session.state().environment(&plan.environment);
    let events = drifted(&plan, &super::phoenix::differences(&phoenixes), &known, covers);
    let files = phoenixes.iter().filter(|phoenix| !phoenix.drift.is_empty()).count();
    record(context, &project, &plan.environment, &known, events, plan.drift.len() + files);
    if plan.drift.is_empty() && of_images.is_empty() { Ok(()) } else { Err(Stop::Code(2)) }
}

/// Has the ledger know what in servers is not as in their images, where that is news: they may be replaced next.
pub fn record_files(context: &Context, found: &[Phoenix]) -> Result<(), Stop> {
    let files = found.iter().filter(|phoenix| !phoenix.drift.is_empty()).count();
    if files == 0 {
        return Ok(());
    }
    let project = context.open()?;
    let environment = context.environment(&project)?.name.clone();
    let known = project.session.state().environment(&environment);
    let events = drifted_files(&super::phoenix::differences(found), &known);
    record(context, &project, &environment, &known, events, files);
    Ok(())
}

/// Has the ledger know what was found, `count` things in all. It is for the history alone: where another run holds the lock, or nothing may be
/// written, what was found was said all the same.
fn record(
    context: &Context,
    project: &Project,
    environment: &str,
    known: &EnvironmentState,
    events: Vec<Event>,
    count: usize,
) {
    // A run that was cut short has intents that only a change may close.
    if events.is_empty() || *known == Default::default() || known.open_run.is_some() || !known.pending.is_empty() {
        return;
    }
    let unsaid = |why: &str| context.say(&format!("note: this is not in the history of drift: {why}"));
    let mut recorder = match project.session.lock(environment, "drift", std::time::Duration::ZERO, |_| {}) {
        Ok(recorder) => recorder,
        Err(OpenError::Lock(LockError::Held(_))) => return unsaid("another run is at work"),
        Err(error) => return unsaid(&error.to_string()),
    };
    let began = Event::RunBegan {
        command: "drift".to_owned(),
        who: andon_engine::who(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let summary = match count {
        0 => "everything is as defined".to_owned(),
        1 => "1 thing differs".to_owned(),
        count => format!("{count} things differ"),
    };
    let ended = Event::RunEnded { status: RunStatus::Succeeded, summary };
    let all = std::iter::once(began).chain(events).chain([ended]).collect();
    if let Err(error) = recorder.append(all) {
        unsaid(&error.to_string());
    }
}

/// `andon drift --history`
fn history(context: &Context, arguments: &DriftArguments) -> Result<(), Stop> {
    let project = context.open()?;
    let environment = context.environment(&project)?;
    let failed = |error| open_error(&andon_engine::OpenError::Store(error));
    let ledger = project.session.ledger().map_err(failed)?;
    let which = Which::Environment(environment.name.clone());
    let entries = ledger.iter().flat_map(|ledger| ledger.stream(which.clone(), 1));
    let entries: Vec<Entry> = entries.collect::<Result<_, _>>().map_err(failed)?;
    let stacks = context.stacks(&project, &arguments.stacks.stacks)?;
    let mut drifts = andon_fold::drifts(&entries);
    drifts.retain(|drift| arguments.stacks.stacks.is_empty() || stacks.contains(&drift.address.resource.stack));
    if context.arguments.json {
        print_json(&Json::Array(drifts.iter().map(data).collect()));
        return Ok(());
    }
    if drifts.is_empty() {
        context.print(&format!("No drift was found in {} so far.\n", environment.name));
    }
    for drift in drifts {
        let when = context.out.dim(&date_and_time(drift.first_seen));
        let DriftView { address, what, ways, .. } = &drift;
        let what = if what.is_empty() { String::new() } else { format!(" {what}") };
        let how = ways.iter().map(|(at, how)| match *at == drift.first_seen {
            true => how.to_string(),
            false => format!("since {} {how}", date_and_time(*at)),
        });
        let how = how.collect::<Vec<_>>().join("; ");
        let fate = match &drift.righted {
            None => context.out.yellow("differs still"),
            Some((at, Righting::Run { run, command, who })) => {
                format!("put right {} by `{command}`, {who}, run {run}", date_and_time(*at))
            }
            Some((at, Righting::Elsewhere)) => format!("found as defined again {}", date_and_time(*at)),
        };
        context.print(&format!("{when} {address}{what}: {how}\n    {fate}\n"));
    }
    Ok(())
}

fn data(drift: &DriftView) -> Json {
    let righted = drift.righted.as_ref().map(|(at, how)| match how {
        Righting::Run { run, command, who } => {
            json!({ "at": rfc3339(*at), "run": run.to_string(), "command": command, "who": who })
        }
        Righting::Elsewhere => json!({ "at": rfc3339(*at) }),
    });
    let ways = drift.ways.iter().map(|(at, how)| json!({ "how": &**how, "first_seen": rfc3339(*at) }));
    json!({
        "environment": &*drift.environment, "address": drift.address.to_string(), "what": &*drift.what,
        "how": drift.how(), "ways": ways.collect::<Vec<_>>(), "first_seen": rfc3339(drift.first_seen), "seen_by": drift.seen_by.to_string(),
        "righted": righted,
    })
}
