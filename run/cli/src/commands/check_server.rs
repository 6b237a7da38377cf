//! `check-server`: the checks of roles, alone.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use andon_engine::agent::Task;
use andon_engine::hosts::Host;
use andon_engine::project::read_files;
use andon_schema::{Failure, HostReport};
use andon_text::Diagnostic;
use andon_view::CheckOutcome;

use crate::commands::test::junit::{attribute, data};
use crate::context::{Context, Stop};
use crate::jobs::{Job, Roles};
use crate::look_args::CheckServerArguments;
use crate::servers::{Chosen, STOPPED, Work, on_all, refused, stopped_by_hand};
use crate::terminal::{print_json, write_file};

/// `andon check-server`
pub fn run(context: &Context, arguments: &CheckServerArguments) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &arguments.servers.on)?;
    // A server that has no role of its own is meant with the only one that there is.
    let roleless = arguments.role.is_none() && chosen.hosts.iter().any(|host| host.duties.is_empty());
    let role = if roleless { Some(the_role(context)?) } else { arguments.role.clone() };
    let mut roles = Roles::new(context, role.as_deref(), &arguments.params);
    let began = Instant::now();
    let jobs = chosen.hosts.iter().map(|host| roles.of(host)).collect::<Result<Vec<_>, Stop>>();
    let write = |outcomes: &[(Arc<str>, CheckOutcome)]| match &arguments.junit {
        Some(path) => write_file(&context.arguments.directory.join(path), &junit(outcomes, began.elapsed())),
        None => Ok(()),
    };
    let jobs = match jobs {
        Ok(jobs) => jobs,
        // Whoever reads the file alone must not take the one of before for this one.
        Err(stop) => {
            let failure = || CheckOutcome::Failed(Failure::new("the roles of the servers cannot be read", ""));
            write(&chosen.names().into_iter().map(|name| (name, failure())).collect::<Vec<_>>())?;
            return Err(stop);
        }
    };
    let check = |place: usize, say: &dyn Fn(&str)| match (chosen.hosts.get(place), jobs.get(place)) {
        (Some(host), Some(jobs)) => one(&chosen, host, jobs, say),
        _ => CheckOutcome::NotStarted(String::new()),
    };
    let work = Work {
        on: &check,
        has_failed: &|outcome: &CheckOutcome| !outcome.holds(),
        words: &|outcome: &CheckOutcome| andon_view::checked_words(outcome, context.err),
    };
    let names = chosen.names();
    let answers = on_all(context, &names, arguments.servers.strategy(), &work).into_iter();
    let answers = answers.map(|answer| answer.unwrap_or_else(CheckOutcome::NotStarted));
    let outcomes: Vec<(Arc<str>, CheckOutcome)> = names.into_iter().zip(answers).collect();
    write(&outcomes)?;
    show(context, arguments, &outcomes)?;
    match outcomes.iter().all(|(_, outcome)| outcome.holds()) {
        true => Ok(()),
        false if stopped_by_hand() => Err(Stop::Code(STOPPED)),
        false => Err(Stop::Code(1)),
    }
}

/// The checks of one server: those of each of its roles.
fn one(chosen: &Chosen, host: &Host, jobs: &[Job], say: &dyn Fn(&str)) -> CheckOutcome {
    let target = match chosen.target(host) {
        Ok(target) => target,
        Err(failure) => return CheckOutcome::Failed(failure),
    };
    let mut results = Vec::new();
    for job in jobs {
        match job.converge(&target, Task::Check, "", say) {
            Err(failure) => return CheckOutcome::Failed(failure),
            Ok(reply) => results.extend(reply.report.checks.into_iter().map(|check| (job.role.name.clone(), check))),
        }
    }
    CheckOutcome::Checked(results)
}

/// The only role of the project that no other one inherits.
fn the_role(context: &Context) -> Result<String, Stop> {
    let files = read_files(context.project_directory()?)
        .map_err(|error| Diagnostic::error(error.to_string()).help("Have it be one that you may read."))?;
    let (project, _) = andon_lang::load(std::sync::Arc::new(files), "");
    let inherited = |name: &str| project.roles.values().any(|role| role.inherits.iter().any(|it| *it.name == *name));
    let names: Vec<&str> = project.roles.keys().map(|name| &**name).filter(|name| !inherited(name)).collect();
    match names.as_slice() {
        [name] => Ok((*name).to_owned()),
        [] => Err(Diagnostic::error("there is no role here").help("Name one, or the path of its file.").into()),
        names => Err(Diagnostic::error("there are several roles, and none is named")
            .help(format!("Name one of them: {}.", names.join(", ")))
            .into()),
    }
}

fn show(
    context: &Context,
    arguments: &CheckServerArguments,
    outcomes: &[(Arc<str>, CheckOutcome)],
) -> Result<(), Stop> {
    match outcomes {
        [(_, CheckOutcome::Checked(results))] if arguments.servers.is_local() && context.arguments.json => {
            let checks = results.iter().map(|(_, result)| result.clone()).collect();
            print_json(&andon_view::report_json(&HostReport { checks, ..HostReport::default() }));
        }
        _ if context.arguments.json => {
            outcomes.iter().for_each(|outcome| print_json(&andon_view::checked_json(outcome)));
        }
        // Of one server each check is told.
        [(_, outcome @ CheckOutcome::Checked(results))] => {
            for (_, result) in results {
                context.print(&format!("{}\n", andon_view::check_line(result, context.out)));
            }
            let words = andon_view::checked_words(outcome, context.err);
            context.say(&if results.is_empty() { "The role has no checks.".to_owned() } else { format!("{words}.") });
        }
        [(_, CheckOutcome::Failed(failure))] => return Err(refused(failure)),
        _ => context.print(&andon_view::checked(outcomes, context.look(false))),
    }
    Ok(())
}

/// The results as JUnit XML: a suite for each server, a case for each assertion of each check.
fn junit(outcomes: &[(Arc<str>, CheckOutcome)], took: Duration) -> String {
    let counts = |outcome: &CheckOutcome| match outcome {
        CheckOutcome::Checked(results) => {
            (results.len(), results.iter().filter(|(_, result)| result.failure.is_some()).count(), 0)
        }
        CheckOutcome::Failed(_) | CheckOutcome::NotStarted(_) => (1, 0, 1),
    };
    let (tests, failures, errors) = outcomes
        .iter()
        .map(|(_, outcome)| counts(outcome))
        .fold((0, 0, 0), |all, one| (all.0 + one.0, all.1 + one.1, all.2 + one.2));
    let time = took.as_secs_f64();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><testsuites tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" time=\"{time:.3}\">\n"
    );
    for (server, outcome) in outcomes {
        let (tests, failures, errors) = counts(outcome);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{tests}\" skipped=\"0\" failures=\"{failures}\" errors=\"{errors}\">",
            attribute(server),
        );
        match outcome {
            CheckOutcome::Checked(results) => {
                for (role, result) in results {
                    let (name, class) = (attribute(&result.assertion), attribute(&format!("{role}.{}", result.check)));
                    let _ = write!(out, "    <testcase name=\"{name}\" classname=\"{class}\">");
                    if let Some(reason) = &result.failure {
                        let (reason, place) = (attribute(reason), data(&result.origin));
                        let _ = write!(out, "\n      <failure message=\"{reason}\">{place}</failure>\n    ");
                    }
                    out.push_str("</testcase>\n");
                }
            }
            CheckOutcome::Failed(failure) => out.push_str(&unreached(&failure.summary, &failure.detail)),
            CheckOutcome::NotStarted(reason) => out.push_str(&unreached("it was not tried", reason)),
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// A case for a server on which no check was made.
fn unreached(what: &str, why: &str) -> String {
    let (what, why) = (attribute(what), data(why));
    format!(
        "    <testcase name=\"the checks are made\" classname=\"server\">\n      <error message=\"{what}\">{why}</error>\n    </testcase>\n"
    )
}
