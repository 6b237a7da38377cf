//! `check-server`: the checks of a role, alone.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use andon_engine::agent::{Task, Wanted, Ways, converge};
use andon_engine::project::read_files;
use andon_engine::roles::{FoundRole, find_role, secrets_of};
use andon_schema::{CheckResult, HostReport};
use andon_secret::Vault;
use andon_text::Diagnostic;

use crate::commands::facts::only_here;
use crate::commands::run::given;
use crate::commands::test::junit::{attribute, data};
use crate::context::{Context, Stop, interrupt};
use crate::look_args::CheckServerArguments;
use crate::servers::{unreadable, wrong};
use crate::terminal::{print_json, write_file};

/// `andon check-server`
pub fn run(context: &Context, arguments: &CheckServerArguments) -> Result<(), Stop> {
    only_here(&arguments.on)?;
    let role = match &arguments.role {
        Some(role) => role.clone(),
        None => the_role(context)?,
    };
    let FoundRole { name, mut bundle, directory } =
        find_role(&context.arguments.directory, &role).map_err(|no_role| unreadable(context, &no_role))?;
    let given = given(context, &arguments.params)?;
    let params = bundle.give(&name, &given).map_err(|found| wrong(context, &found, bundle.sources()))?;
    let secrets = secrets_of(&bundle, &name, &params, &Vault::at(&directory))
        .map_err(|found| wrong(context, &found, bundle.sources()))?;
    let wanted = Wanted { bundle: &bundle, role: &name, params: &params, secrets: &secrets };
    let interrupted = interrupt();
    let go_on = || !interrupted.load(Ordering::Relaxed);
    let mut say = |line: &str| context.say(line);
    let reply = converge(&wanted, Task::Check, &mut Ways { say: &mut say, go_on: &go_on });
    let report = reply.map_err(|found| wrong(context, &found, bundle.sources()))?.report;
    if let Some(path) = &arguments.junit {
        write_file(&context.arguments.directory.join(path), &junit(&name, &report.checks))?;
    }
    show(context, &report);
    match report.has_failed() {
        true => Err(Stop::Code(1)),
        false => Ok(()),
    }
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

fn show(context: &Context, report: &HostReport) {
    if context.arguments.json {
        return print_json(&andon_view::report_json(report));
    }
    for check in &report.checks {
        context.print(&format!("{}\n", andon_view::check_line(check, context.out)));
    }
    let failed = report.checks.iter().filter(|check| check.failure.is_some()).count();
    let all = report.checks.len();
    context.say(&match (all, failed) {
        (0, _) => "The role has no checks.".to_owned(),
        (all, 0) => format!("{all} of {all} hold."),
        (all, failed) => format!("{failed} of {all} do not hold."),
    });
}

/// The results as JUnit XML: a suite for each check, a case for each of its assertions.
fn junit(role: &str, results: &[CheckResult]) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><testsuites>\n".to_owned();
    for suite in results.chunk_by(|left, right| left.check == right.check) {
        let name = suite.first().map_or("", |result| &result.check);
        let failures = suite.iter().filter(|result| result.failure.is_some()).count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" skipped=\"0\" failures=\"{failures}\" errors=\"0\">",
            attribute(name),
            suite.len()
        );
        for result in suite {
            let (name, class) = (attribute(&result.assertion), attribute(&format!("{role}.{}", result.check)));
            let _ = write!(out, "    <testcase name=\"{name}\" classname=\"{class}\">");
            if let Some(reason) = &result.failure {
                let place = data(&result.origin);
                let _ = write!(out, "\n      <failure message=\"{}\">{place}</failure>\n    ", attribute(reason));
            }
            out.push_str("</testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}
