//! `apply`, `destroy`, `up`, `down` and `sync`: a plan, the user's yes, and the apply.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use andon_engine::phoenix::retire;
use andon_engine::provider::{delete_forgotten, sweep};
use andon_engine::{ChangeError, ChangeRequest, Changed, Machine, Recorder, RecoverError, SavedPlan, change};
use andon_fleet::phoenix::{Due, Living, next};
use andon_lab::Leftover;
use andon_lang::definitions::{Environment, Project as Definitions};
use andon_lang::{Outside, variable_values};
use andon_plan::{ApplyReport, Plan, PlanMode, Scope, SkipReason};
use andon_schema::{Failure, Identity};
use andon_text::{Diagnostic, Diagnostics};
use serde_json::json;

use super::left_by_terraform;
use crate::args::{ApplyArguments, DownArguments, GoArguments, UpArguments};
use crate::context::{Context, Project, Stop, interrupt};
use crate::terminal::{Follower, ask, print_json};
use crate::variables::VariableArguments;

/// What every sealed file begins with (<https://c2sp.org/age>).
const SEALED: &[u8] = b"age-encryption.org/";

/// `andon apply`
pub fn apply(context: &Context, arguments: &ApplyArguments) -> Result<(), Stop> {
    if let [name] = arguments.stacks.stacks.as_slice()
        && let Some(sealed) = saved_plan(Path::new(name))
    {
        return apply_saved(context, arguments, Path::new(name), &sealed);
    }
    if let [name] = arguments.stacks.stacks.as_slice() {
        refuse_no_plan(context, name)?;
    }
    let mode = super::plan::mode(arguments.destroy, arguments.refresh_only);
    super::plan::refuse_together(mode, &arguments.go.scope)?;
    run(context, "apply", mode, &arguments.stacks.stacks, &arguments.go)
}

/// `andon refresh`
pub fn refresh(context: &Context, arguments: &ApplyArguments) -> Result<(), Stop> {
    let go = GoArguments { yes: true, ..arguments.go.clone() };
    run(context, "refresh", PlanMode::RefreshOnly, &arguments.stacks.stacks, &go)
}

/// `andon sync`
pub fn sync(context: &Context, arguments: &ApplyArguments) -> Result<(), Stop> {
    run(context, "sync", PlanMode::Normal, &arguments.stacks.stacks, &arguments.go)?;
    replace_phoenixes(context, arguments)
}

/// Replaces the servers that are too old, or that are no longer what their images say, one after another. Each is
/// replaced once at most.
fn replace_phoenixes(context: &Context, arguments: &ApplyArguments) -> Result<(), Stop> {
    // Whoever asks for a part gets that part: a server outside of it could not be replaced.
    if !(arguments.go.scope.target.is_empty() && arguments.go.scope.exclude.is_empty()) {
        return Ok(());
    }
    let mut before: Option<BTreeSet<Identity>> = None;
    loop {
        let found = super::phoenix::find(context, &arguments.stacks.stacks)?;
        let before = before.get_or_insert_with(|| found.iter().map(|phoenix| phoenix.identity.clone()).collect());
        super::drift::record_files(context, &found)?;
        let living: Vec<Living> = found.iter().map(|phoenix| phoenix.living.clone()).collect();
        let Some((phoenix, due)) = next(&living).and_then(|(place, due)| Some((found.get(place)?, due))) else {
            return Ok(());
        };
        // One that was made meanwhile, or that should be gone.
        if !before.remove(&phoenix.identity) {
            return Err(Diagnostic::error(format!("{phoenix} was replaced, and is to be replaced again"))
                .detail(super::phoenix::why(&due))
                .help(match due {
                    Due::Drifted(_) => "Something changes files of the image as soon as the server runs: `andon drift` says which. Make them so in the image, or put them into /var.",
                    Due::TooOld { .. } => "Its `max_age` is less than it takes to make one.",
                })
                .into());
        }
        context.say(&format!("{phoenix} is replaced: {}", super::phoenix::why(&due)));
        super::phoenix::files(phoenix).for_each(|file| context.say(&format!("  {file}")));
        let mut go = arguments.go.clone();
        // What was to be replaced was replaced by the first run; and what is due is seen only by those who look.
        (go.scope.replace, go.scope.refresh, go.scope.no_refresh) = (Vec::new(), true, false);
        let Some(member) = &phoenix.member else {
            go.scope.replace = vec![phoenix.address.clone()];
            run(context, "sync", PlanMode::Normal, &arguments.stacks.stacks, &go)?;
            continue;
        };
        // The pool sees to it. Where that fails, only the next sync is to try it again.
        let session = context.open()?.session;
        let failed = |failure: Failure| Stop::from(Diagnostic::error(failure.summary).detail(failure.detail));
        retire(&session, member, true).map_err(failed)?;
        let done = run(context, "sync", PlanMode::Normal, &arguments.stacks.stacks, &go);
        let is_there = retire(&session, member, false).map_err(failed)?;
        done?;
        if is_there {
            return Err(Diagnostic::error(format!("{phoenix} was to be replaced, and is there still"))
                .detail("The plan says nothing of its pool.")
                .help("Look at `andon plan`: something keeps the pool from being changed.")
                .into());
        }
    }
}

/// `andon destroy`
pub fn destroy(context: &Context, arguments: &ApplyArguments) -> Result<(), Stop> {
    super::plan::refuse_together(PlanMode::Destroy, &arguments.go.scope)?;
    run(context, "destroy", PlanMode::Destroy, &arguments.stacks.stacks, &arguments.go)
}

/// `andon up`
pub fn up(context: &Context, arguments: &UpArguments) -> Result<(), Stop> {
    run(context, "up", PlanMode::Normal, &[], &arguments.go)
}

/// `andon down`
pub fn down(context: &Context, arguments: &DownArguments) -> Result<(), Stop> {
    run(context, "down", PlanMode::Destroy, &[], &arguments.go)?;
    if arguments.purge { super::purge::run(context) } else { Ok(()) }
}

/// What is in a file that is a saved plan; `None` for any other name.
pub(super) fn saved_plan(path: &Path) -> Option<Vec<u8>> {
    let content = path.is_file().then(|| std::fs::read(path).ok())??;
    content.starts_with(SEALED).then_some(content)
}

/// A variable that is given another value than a saved plan has. Those that last only for a run are given anew.
fn given_otherwise(project: &Project, saved: &SavedPlan, again: &VariableArguments) -> Option<Arc<str>> {
    if again.is_empty() {
        return None;
    }
    let now = project.session.project();
    let mut before = Definitions { outside: Outside::default(), ..Definitions::clone(now) };
    andon_lang::give(&mut before, &saved.given);
    let of = |project: &Definitions, stack| variable_values(project, &saved.environment, stack);
    now.stacks.values().find_map(|stack| {
        let was = of(&before, stack);
        of(now, stack).into_iter().find(|(name, value)| was.get(name) != Some(value)).map(|(name, _)| name)
    })
}

/// Refuses what looks like the file of a plan and is none; a stack has no such name.
fn refuse_no_plan(context: &Context, name: &str) -> Result<(), Stop> {
    let stacks = context.arguments.directory.join("stacks");
    let is_stack = stacks.join(name).is_dir();
    let summary = match Path::new(name) {
        path if path.is_file() && !is_stack => format!("`{name}` is no plan that `andon plan -out` saved"),
        path if !path.exists() && (name.contains(['.', '/']) || !stacks.is_dir()) => {
            format!("there is no file `{name}`")
        }
        _ => return Ok(()),
    };
    Err(Diagnostic::error(summary).help("Save a plan with `andon plan -out FILE`; nothing was done.").into())
}

/// Applies a plan that was saved, and nothing else.
fn apply_saved(context: &Context, arguments: &ApplyArguments, path: &Path, sealed: &[u8]) -> Result<(), Stop> {
    let go = &arguments.go;
    let refuse = |failure: Failure| {
        let summary = format!("the plan in `{}` cannot be applied", path.display());
        let detail = format!("{}: {}", failure.summary, failure.detail);
        let diagnostic = Diagnostic::error(summary).detail(detail);
        Stop::from(failure.help.into_iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help)))
    };
    if arguments.destroy || arguments.refresh_only || go.scope.is_given() {
        let failure = Failure::new("it is what it is", "A saved plan is applied as it was made.");
        return Err(refuse(failure.help("Leave out the options that say what to plan, or plan again with them.")));
    }
    let bytes = context.settings(context.project_directory()?).unseal(sealed).map_err(refuse)?;
    let saved = SavedPlan::decode(&bytes).map_err(refuse)?;
    if let Some(named) = context.arguments.environment.as_deref().filter(|named| *named != &*saved.environment) {
        let detail = format!("It is of {}, and {named} was named.", saved.environment);
        return Err(refuse(Failure::new("it is of another environment", detail)));
    }
    let project = context.open_saved(&saved, &go.variables)?;
    if let Some(name) = given_otherwise(&project, &saved, &go.variables) {
        let failure = Failure::new("it has its own values", format!("The command line gives \"{name}\" another one."));
        return Err(refuse(failure.help("A saved plan is applied as it was made: plan again with the other value.")));
    }
    let environments = &project.session.project().environments;
    let Some(environment) = environments.get(&saved.environment) else {
        let detail = format!("The project has no environment {}.", saved.environment);
        return Err(refuse(Failure::new("its environment is gone", detail)));
    };
    if let Err(refusal) = refuse_unapproved(environment, go) {
        context.say_diagnostics(&refusal, project.sources());
        return Err(Stop::Code(1));
    }
    context.require_machine(&project)?;
    let command = format!("apply {}", path.display());
    let mut recorder = context.lock(&project, &saved.environment, &command, &go.lock)?;
    let request = ChangeRequest {
        scope: saved.scope.clone(),
        refresh: saved.refresh,
        planned: saved.planned,
        ..request(&project, &saved.environment, saved.stacks.clone(), saved.mode, command)
    };
    let request = ChangeRequest { saved: Some(Arc::new(saved)), ..request };
    let changed = carry_out(context, &project, &request, go, &mut recorder, &mut Vec::new());
    let told = tell(context, &project, "apply", changed);
    recorder.snapshot();
    told
}

fn run(context: &Context, verb: &str, mode: PlanMode, stacks: &[String], go: &GoArguments) -> Result<(), Stop> {
    context.project_directory()?;
    super::plan::refuse_undefined(context, mode)?;
    // To delete, definitions need not be sound: the state knows what there is.
    let project = match mode {
        PlanMode::Destroy => context.locked_providers(context.open_any_with_plugins()?)?,
        _ => context.open_sound_with_plugins()?,
    };
    let environment = context.environment(&project)?;
    let is_whole = stacks.is_empty();
    let stacks = context.stacks(&project, stacks)?;
    if let Err(refusal) = refuse_unapproved(environment, go) {
        context.say_diagnostics(&refusal, project.sources());
        return Err(Stop::Code(1));
    }
    left_by_terraform::refuse(context, &project, environment, &stacks)?;
    context.require_machine(&project)?;
    let command = std::iter::once(verb).chain(stacks.iter().map(|stack| &**stack)).collect::<Vec<_>>().join(" ");
    let mut recorder = context.lock(&project, &environment.name, &command, &go.lock)?;
    let ends = mode == PlanMode::Destroy && is_whole && !go.scope.is_given();
    let swept = sweep(&project.session, ends.then_some(&*environment.name))
        .map_err(|failure| Stop::from(Diagnostic::error(failure.summary).detail(failure.detail)))?;
    swept.told.iter().for_each(|line| context.say(line));
    let mut forgotten = swept.forgotten;
    let scope = go.scope.scope(&stacks);
    let request = ChangeRequest {
        scope,
        refresh: go.scope.refreshes(),
        ..request(&project, &environment.name, stacks, mode, command)
    };
    let changed = carry_out(context, &project, &request, go, &mut recorder, &mut forgotten);
    // Nobody was asked where the plan had nothing to do.
    let (goes_on, asks) = match &changed.0 {
        Ok(Changed::Applied(_, report)) => (!report.cancelled, false),
        Ok(Changed::Nothing(_)) => (true, true),
        Ok(Changed::Declined(_)) | Err(_) => (false, false),
    };
    let mut told = tell(context, &project, verb, changed);
    if goes_on && !forgotten.is_empty() {
        let gone = if asks && !agrees(context, go, true) {
            context.say("Nothing was done.");
            Err(Stop::Code(1))
        } else {
            delete_last(context, &project, &mut forgotten)
        };
        told = told.and(gone);
    }
    recorder.snapshot();
    told
}

/// Removes what was only to be forgotten after all else that its environment had.
fn delete_last(context: &Context, project: &Project, forgotten: &mut Vec<Leftover>) -> Result<(), Stop> {
    let deleted = delete_forgotten(&project.session, forgotten, true).unwrap_or_else(|failure| vec![Err(failure)]);
    let (done, failed): (Vec<_>, Vec<_>) = deleted.into_iter().partition(Result::is_ok);
    done.into_iter().flatten().for_each(|line| context.say(&line));
    let failures = failed.into_iter().filter_map(Result::err).map(|failure| {
        let diagnostic = Diagnostic::error(failure.summary).detail(failure.detail);
        failure.help.into_iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help))
    });
    let failures: Diagnostics = failures.collect();
    if failures.is_empty() {
        return Ok(());
    }
    context.say_diagnostics(&failures, project.sources());
    Err(Stop::Code(1))
}

/// The request of a command that changes an environment.
pub fn request(
    project: &Project,
    environment: &Arc<str>,
    stacks: Vec<Arc<str>>,
    mode: PlanMode,
    command: String,
) -> ChangeRequest {
    ChangeRequest {
        project: Arc::clone(project.session.project()),
        schemas: Arc::clone(&project.schemas),
        environment: Arc::clone(environment),
        stacks,
        mode,
        refresh: true,
        scope: Scope::default(),
        command,
        who: andon_engine::who(),
        planned: andon_engine::now().0 / 1000,
        seed: seed(),
        saved: None,
    }
}

/// What nobody can guess.
pub fn seed() -> [u8; 32] {
    let words = [(); 4].map(|()| andon_engine::random().to_be_bytes());
    words.concat().try_into().unwrap_or_default()
}

/// Fresh planned names.
pub fn identities() -> impl FnMut() -> Identity + Send + 'static {
    || Identity::from_random(andon_engine::random())
}

/// Whether the user agrees, or did beforehand.
fn agrees(context: &Context, go: &GoArguments, deletes: bool) -> bool {
    let question = if deletes { "Delete all of this? Only `yes` goes on:" } else { "Go on? Only `yes` does:" };
    go.yes || go.approve.is_some() || ask(context, question, "yes")
}

/// Carries a request out; and how long that took since the first effect began, in milliseconds. What is `forgotten` goes
/// once that is agreed to, but for networks.
fn carry_out(
    context: &Context,
    project: &Project,
    request: &ChangeRequest,
    go: &GoArguments,
    recorder: &mut Recorder,
    forgotten: &mut Vec<Leftover>,
) -> (Result<Changed, ChangeError>, Option<i64>) {
    let mut machine =
        Machine::new(project.providers.clone().in_environment(&request.environment), go.parallelism, interrupt());
    let mut follower = Follower::new(context);
    let deletes = request.mode == PlanMode::Destroy;
    let mut approve = |plan: &Plan| {
        if context.arguments.json {
            print_json(&json!({ "type": "plan", "plan": andon_view::plan_json(plan) }));
        } else {
            context.print(&andon_view::plan(plan, context.look(go.full)));
            if !plan.warnings.is_empty() {
                context.say_diagnostics(&plan.warnings, project.sources());
            }
        }
        let agreed = agrees(context, go, deletes);
        // A network that goes may have servers in it that were forgotten. What fails now is tried again at the end.
        if agreed && let Ok(deleted) = delete_forgotten(&project.session, forgotten, false) {
            deleted.iter().flatten().for_each(|line| context.say(line));
        }
        agreed
    };
    let changed = change(request, identities(), &mut machine, recorder, &mut follower, &mut approve);
    (changed, follower.took_ms())
}

/// A protected environment wants its name said.
fn refuse_unapproved(environment: &Environment, go: &GoArguments) -> Result<(), Box<Diagnostics>> {
    let name = &*environment.name;
    let approved = go.approve.as_deref() == Some(name);
    if environment.protected && !approved {
        let diagnostic = Diagnostic::error(format!("environment `{name}` is protected"))
            .detail("A change to it needs an approval; -y alone is none.")
            .help(format!("Look at it with `andon plan -e {name}`, then approve it with `--approve {name}`."));
        return Err(Box::new(Diagnostic { span: environment.span, ..diagnostic }.into()));
    }
    Ok(())
}

fn tell(
    context: &Context,
    project: &Project,
    verb: &str,
    (changed, took_ms): (Result<Changed, ChangeError>, Option<i64>),
) -> Result<(), Stop> {
    let sources = project.sources();
    match changed {
        Ok(Changed::Nothing(plan)) => {
            if context.arguments.json {
                print_json(&json!({ "type": "plan", "plan": andon_view::plan_json(&plan) }));
                print_json(&json!({ "type": "result", "status": "nothing_to_do" }));
            } else {
                context.print(&andon_view::plan(&plan, context.look(false)));
                if !plan.warnings.is_empty() {
                    context.say_diagnostics(&plan.warnings, sources);
                }
                print_outputs(context, &plan);
            }
            Ok(())
        }
        Ok(Changed::Declined(_)) => {
            context.say("Nothing was done.");
            Err(Stop::Code(1))
        }
        Ok(Changed::Applied(plan, report)) => tell_report(context, project, verb, &plan, &report, took_ms),
        Err(ChangeError::Buried(diagnostics)) => {
            context.say_diagnostics(&diagnostics, sources);
            context.say("Nothing else was done.");
            Err(Stop::Code(1))
        }
        Err(ChangeError::Plan(diagnostics)) => {
            context.say_diagnostics(&diagnostics, sources);
            context.say("Nothing was done.");
            Err(Stop::Code(1))
        }
        Err(ChangeError::Recover(error)) => Err(recover_error(error)),
        Err(ChangeError::Journal(error)) => Err(Diagnostic::error(error.to_string())
            .detail("What was being done when this happened has no recorded outcome.")
            .help("Mend the cause and run the command again: it looks at what came of it and goes on.")
            .into()),
    }
}

fn recover_error(error: RecoverError) -> Stop {
    match error {
        RecoverError::Journal(error) => Diagnostic::error(error.to_string()).into(),
        RecoverError::Interrupted => Diagnostic::error("stopped before what an earlier run left was resolved").into(),
        RecoverError::Unresolved(unresolved) => {
            let said = unresolved.iter().map(|(address, failure)| {
                let detail = format!("{}: {}", failure.summary, failure.detail);
                let summary = "what an earlier run left could not be resolved".to_owned();
                Diagnostic { summary, detail, ..failure.diagnostic(address) }
            });
            said.collect::<Diagnostics>().into()
        }
    }
}

fn tell_report(
    context: &Context,
    project: &Project,
    verb: &str,
    plan: &Plan,
    report: &ApplyReport,
    took_ms: Option<i64>,
) -> Result<(), Stop> {
    let took = took_ms.map(andon_view::duration);
    let failures = report.failed.iter().flat_map(|failed| &failed.diagnostics).chain(&report.diagnostics);
    // What is wrong with a provider's configuration fails all that is made with it.
    let mut said = BTreeSet::new();
    let new = failures.filter(|it| said.insert((it.span, &it.subject, &it.summary, &it.detail)));
    let diagnostics: Diagnostics = new.cloned().collect();
    let sound = report.failed.is_empty() && !report.cancelled && !diagnostics.has_errors();
    if context.arguments.json {
        let skipped: Vec<_> = report
            .skipped
            .iter()
            .map(|skipped| json!({ "address": skipped.address.to_string(), "reason": reason(&skipped.reason) }))
            .collect();
        let status = if report.cancelled {
            "stopped"
        } else if sound {
            "succeeded"
        } else {
            "failed"
        };
        print_json(&json!({
            "type": "result", "status": status, "elapsed_ms": took_ms,
            "done": report.done.iter().map(|done| done.address.to_string()).collect::<Vec<_>>(),
            "failed": report.failed.iter().map(|failed| failed.address.to_string()).collect::<Vec<_>>(),
            "not_done": skipped,
            "deferred": plan.deferred.iter().map(andon_view::deferred_json).collect::<Vec<_>>(),
            "unneeded": report.unneeded.iter().map(|unneeded| unneeded.address.to_string()).collect::<Vec<_>>(),
            "diagnostics": andon_view::diagnostics_json(&diagnostics, project.sources()),
        }));
        return if sound { Ok(()) } else { Err(Stop::Code(1)) };
    }
    if !diagnostics.is_empty() {
        context.say("");
        context.say_diagnostics(&diagnostics, project.sources());
    }
    for unneeded in &report.unneeded {
        context.say(&format!("{} needed nothing after all: what was not known turned out the same", unneeded.address));
    }
    let counts = format!("{} done", report.done.len());
    if sound {
        let word = if matches!(verb, "down" | "destroy") { "Gone" } else { "Done" };
        let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
        context.say(&context.err.bold(&format!("{word}: {}{took}.", andon_view::done(plan, report))));
        say_deferred(context, plan);
        print_outputs(context, plan_with_published(plan, report).as_ref().unwrap_or(plan));
        return Ok(());
    }
    andon_view::not_done(report).iter().for_each(|line| context.say(line));
    let stopped = if report.cancelled { "Stopped" } else { "Failed" };
    let took = took.map(|took| format!(" after {took}")).unwrap_or_default();
    context.say(&context.err.bold(&format!(
        "{stopped}{took}: {counts}, {} failed, {} not done. Run it again to go on from here.",
        report.failed.len(),
        report.skipped.len()
    )));
    Err(Stop::Code(1))
}

/// What another plan takes up, now that more is known.
fn say_deferred(context: &Context, plan: &Plan) {
    if !plan.deferred.is_empty() {
        let count = plan.deferred.len();
        let things = if count == 1 { "thing was" } else { "things were" };
        context
            .say(&format!("{count} {things} not planned yet: another `andon apply` goes on with what is known now."));
    }
}

fn reason(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Cancelled => "it was stopped".to_owned(),
        SkipReason::Needs(failed) => {
            let names: Vec<String> = failed.iter().map(ToString::to_string).collect();
            format!("it needs {}", names.join(", "))
        }
    }
}

/// The plan's outputs with what the apply made of them.
fn plan_with_published(plan: &Plan, report: &ApplyReport) -> Option<Plan> {
    let mut told = plan.clone();
    for output in &mut told.outputs {
        if let Some(value) = report.published.get(&output.stack).and_then(|outputs| outputs.get(&output.name)) {
            output.after = Some(value.clone());
        }
    }
    Some(told)
}

/// The outputs of root modules, on standard output; an output named `url` comes last, alone on its line.
fn print_outputs(context: &Context, plan: &Plan) {
    let mut text = String::new();
    let mut url = None;
    for output in &plan.outputs {
        let Some(value) = &output.after else { continue };
        if &*output.name == "url" && !output.sensitive {
            url = value.as_str().cloned().or(url);
        }
        let name =
            if output.stack.is_empty() { output.name.to_string() } else { format!("{}.{}", output.stack, output.name) };
        let shown = if output.sensitive { "(sensitive value)".to_owned() } else { andon_value::render(value, 0) };
        text.push_str(&format!("{name} = {shown}\n"));
    }
    text.extend(url.map(|url| format!("{}\n", andon_view::inline(&url))));
    context.print(&text);
}
