//! `test`: stacks by their `*.tftest.hcl`; roles and images, proved on throw-away servers.

pub mod junit;
mod stacks;

use std::sync::Arc;

pub use stacks::print_diagnostics;

use andon_engine::{ChangeError, Changed, Journal as _, Machine, Recorder, RecoverError, Sink, change, now, testing};
use andon_lang::definitions::{Project as Definitions, Test};
use andon_lang::{TestCase, test_case};
use andon_ledger::{Event, Timestamp};
use andon_plan::PlanMode;
use andon_schema::HostReport;
use andon_text::{Diagnostic, Diagnostics};
use andon_value::Value;
use serde_json::json;

use super::change::{identities, request};
use crate::args::TestArguments;
use crate::context::{Context, Project, Stop, interrupt};
use crate::terminal::{Follower, print_json};

/// At most so many things are done at once.
const PARALLELISM: usize = 16;

/// `andon test`
pub fn run(context: &Context, arguments: &TestArguments) -> Result<(), Stop> {
    if context.arguments.json {
        stacks::version();
    }
    let project = context.open_sound_with_plugins()?;
    let of_stacks = stacks::chosen(&project, arguments);
    let in_file = |test: &Test| {
        let path = project.sources().get(test.span.source).map(|source| Arc::clone(source.path())).unwrap_or_default();
        arguments.files.is_empty() || arguments.files.iter().any(|file| stacks::same(file, &path))
    };
    let wanted = |test: &&Arc<Test>| {
        let named = arguments.filter.as_ref().is_none_or(|filter| test.name.name.contains(filter.as_str()));
        named && in_file(test)
    };
    let tests: Vec<_> = project.session.project().tests.iter().filter(wanted).cloned().collect();
    if tests.is_empty() && of_stacks.is_empty() {
        let what = match (&arguments.filter, arguments.files.as_slice()) {
            (Some(filter), _) => format!(" whose name contains `{filter}`"),
            (None, [first, ..]) => format!(" in {}", first.display()),
            _ => String::new(),
        };
        return Err(Diagnostic::error(format!("the project has no test{what}"))
            .help("Tests of stacks are in `*.tftest.hcl` beside a stack's files or in `tests/`.")
            .help("Tests of roles and images are in `tests/*.test.hcl`.")
            .into());
    }
    let mut tally = match of_stacks.is_empty() {
        true => stacks::Tally::default(),
        false => stacks::run(context, &project, arguments, &of_stacks)?,
    };
    let stopped = || interrupt().load(std::sync::atomic::Ordering::Relaxed);
    if !tests.is_empty() && !stopped() {
        context.require_machine(&project)?;
        clear(context, &project, arguments)?;
    }
    for test in &tests {
        if stopped() {
            break;
        }
        let began = now();
        let reasons = one(context, &project, test, arguments)?;
        tally.failed += usize::from(!reasons.is_empty());
        tally.passed += usize::from(reasons.is_empty());
        tell(context, &project, test, &reasons, began);
    }
    if stopped() {
        context.say("Stopped.");
        return Err(Stop::Code(1));
    }
    if !of_stacks.is_empty() || !context.arguments.json {
        stacks::summary(context, tally);
    }
    if tally.is_fine() { Ok(()) } else { Err(Stop::Code(1)) }
}

fn tell(context: &Context, project: &Project, test: &Test, reasons: &Diagnostics, began: Timestamp) {
    let took = andon_view::duration(now().0 - began.0);
    if context.arguments.json {
        print_json(&json!({
            "test": &*test.name.name, "passed": reasons.is_empty(), "milliseconds": now().0 - began.0,
            "diagnostics": andon_view::diagnostics_json(reasons, project.sources()),
        }));
    } else if reasons.is_empty() {
        context.print(&format!("{} {} ({took})\n", context.out.green("ok  "), test.name.name));
    } else {
        context.print(&format!("{} {} ({took})\n", context.out.red("FAIL"), test.name.name));
        context.say_diagnostics(reasons, project.sources());
    }
}

/// Follows a run and keeps what was done inside servers.
struct Watch<'a> {
    follower: Follower,
    reports: &'a mut Vec<HostReport>,
}

impl Sink for Watch<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Outcome(record) = event
            && &*record.address.resource.kind == "andon_host"
        {
            self.reports.extend(record.report.clone());
        }
        self.follower.event(event);
    }

    fn tick(&mut self) {
        self.follower.tick();
    }

    fn interrupted(&mut self) {
        self.follower.interrupted();
    }
}

/// Runs one test; why it failed, or nothing. An error is no verdict on the test.
fn one(context: &Context, project: &Project, test: &Test, arguments: &TestArguments) -> Result<Diagnostics, Stop> {
    let environment = testing::environment(test);
    let of = project.session.project();
    let prepared = test_case(of, test, &project.schemas).and_then(|case| {
        let definitions = Arc::new(testing::project(of, test, &case)?);
        Ok((case, definitions))
    });
    let (case, definitions) = match prepared {
        Ok(prepared) => prepared,
        Err(diagnostics) => return Ok(diagnostics),
    };
    let mut recorder = context.lock(project, &environment, "test", &arguments.lock)?;
    let mut reports = Vec::new();
    let told = |said| testing::relocate(said, &definitions.sources, &of.sources, test);
    let mut reasons = told(drive(context, project, &definitions, PlanMode::Normal, &mut recorder, &mut reports)?);
    if reasons.is_empty() {
        let verdict = judge(project, test, &case, &recorder, &reports);
        reasons.extend(verdict.unwrap_or_else(|diagnostics| diagnostics));
    }
    if arguments.keep && !reasons.is_empty() {
        context.say(&format!("The servers of `{}` are left for a look: `andon status`.", test.name.name));
        return Ok(reasons);
    }
    let mut ignored = Vec::new();
    reasons.extend(told(drive(context, project, &definitions, PlanMode::Destroy, &mut recorder, &mut ignored)?));
    Ok(reasons)
}

/// What the finished run says of the test.
fn judge(
    project: &Project,
    test: &Test,
    case: &TestCase,
    recorder: &Recorder,
    reports: &[HostReport],
) -> Result<Diagnostics, Diagnostics> {
    let definitions = project.session.project();
    let mut reasons = Diagnostics::new();
    if let Some(expected) = case.changes {
        let changed: Vec<&str> =
            reports.iter().flat_map(HostReport::changes).map(|entry| entry.address.as_str()).collect();
        if changed.len() as u64 != expected {
            let place = test.expect_changes.as_ref().map_or(test.span, |expression| expression.span);
            let detail = if changed.is_empty() {
                "The role changed nothing on the server.".to_owned()
            } else {
                format!("The role changed {} on the server.", changed.join(", "))
            };
            let summary = format!("{expected} changes were expected, and there were {}", changed.len());
            reasons.push(Diagnostic::error(summary).at(place).detail(detail));
        }
    }
    let server = recorder.state().objects().find(|(address, _)| &*address.resource.kind == "lab_server");
    let server = server.map_or(Value::NULL, |(_, object)| object.value.clone());
    for result in testing::check(definitions, test, &server, &project.schemas)? {
        if let Some(reason) = result.failure {
            let summary = format!("check \"{}\" fails: {}", result.check, result.assertion);
            reasons.push(Diagnostic::error(summary).at(test.span).detail(format!("{}: {reason}", result.origin)));
        }
    }
    Ok(reasons)
}

/// Brings the test's environment up, or down; why that failed, or nothing.
fn drive(
    context: &Context,
    project: &Project,
    definitions: &Arc<Definitions>,
    mode: PlanMode,
    recorder: &mut Recorder,
    reports: &mut Vec<HostReport>,
) -> Result<Diagnostics, Stop> {
    let Some(environment) = definitions.environments.keys().next() else { return Ok(Diagnostics::new()) };
    let providers = andon_engine::provider::built_in_for(&project.session, definitions)
        .map_err(|failure| Stop::from(Diagnostic::error(failure.summary).detail(failure.detail)))?;
    let mut request = request(project, environment, Vec::new(), mode, "test".to_owned());
    request.project = Arc::clone(definitions);
    let mut machine = Machine::new(providers.in_environment(environment), PARALLELISM, interrupt());
    let mut watch = Watch { follower: Follower::new(context), reports };
    match change(&request, identities(), &mut machine, recorder, &mut watch, &mut |_| true) {
        Ok(Changed::Nothing(_) | Changed::Declined(_)) => Ok(Diagnostics::new()),
        Ok(Changed::Applied(_, report)) => {
            let failures = report.failed.into_iter().flat_map(|failed| failed.diagnostics);
            let mut reasons: Diagnostics = failures.chain(report.diagnostics).filter(Diagnostic::is_error).collect();
            if report.cancelled {
                reasons.push(Diagnostic::error("the test was stopped"));
            }
            Ok(reasons)
        }
        Err(ChangeError::Plan(diagnostics) | ChangeError::Buried(diagnostics)) => Ok(diagnostics),
        Err(ChangeError::Journal(error)) => Err(Diagnostic::error(error.to_string()).into()),
        Err(ChangeError::Recover(RecoverError::Unresolved(unresolved))) => {
            Err(unresolved.iter().map(|(address, failure)| failure.diagnostic(address)).collect::<Diagnostics>().into())
        }
        Err(ChangeError::Recover(RecoverError::Journal(error))) => Err(Diagnostic::error(error.to_string()).into()),
        Err(ChangeError::Recover(RecoverError::Interrupted)) => Err(Diagnostic::error("stopped").into()),
    }
}

/// Takes down what earlier tests have left: those that were killed, or whose servers were kept.
fn clear(context: &Context, project: &Project, arguments: &TestArguments) -> Result<(), Stop> {
    let state = project.session.state();
    let left = state
        .environments
        .iter()
        .filter(|(name, here)| name.starts_with(testing::ENVIRONMENT_PREFIX) && !here.is_empty());
    for (name, _) in left {
        context.say(&format!("Taking down what an earlier test left in {name}."));
        let definitions = testing::empty_project(project.session.project(), name)?;
        let mut recorder = context.lock(project, name, "test", &arguments.lock)?;
        let mut ignored = Vec::new();
        let reasons = drive(context, project, &Arc::new(definitions), PlanMode::Destroy, &mut recorder, &mut ignored)?;
        if !reasons.is_empty() {
            return Err(reasons.into());
        }
    }
    Ok(())
}
