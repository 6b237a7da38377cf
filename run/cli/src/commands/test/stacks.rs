//! Tests of stacks: `*.tftest.hcl`.

use std::path::Path;
use std::sync::Arc;

use andon_engine::{Bench, FileReport, RunReport, TestEvent, TestStatus, run_tests};
use andon_lang::TERRAFORM_VERSION;
use andon_lang::definitions::{StackTest, TestRun};
use andon_plan::PlanMode;
use andon_text::{Diagnostic, Diagnostics, SourceMap};
use serde_json::{Value as Json, json};

use super::PARALLELISM;
use super::junit::junit;
use crate::args::TestArguments;
use crate::clock::rfc3339;
use crate::commands::change::request;
use crate::context::{Context, Project, Stop, interrupt};
use crate::terminal::print_json;

/// How many runs came to what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub errored: usize,
    pub skipped: usize,
    /// Files whose runs are fine, but what those made could not be deleted.
    pub unclean: usize,
}

/// The files of tests that are meant.
pub fn chosen(project: &Project, arguments: &TestArguments) -> Vec<Arc<StackTest>> {
    let named = |test: &&Arc<StackTest>| {
        let of_files = arguments.files.is_empty() || arguments.files.iter().any(|file| same(file, &test.path));
        of_files && arguments.filter.as_ref().is_none_or(|filter| test.path.contains(filter.as_str()))
    };
    project.session.project().stack_tests.iter().filter(named).cloned().collect()
}

/// Whether a path that the user wrote names a file of the project.
pub fn same(written: &Path, path: &str) -> bool {
    written.components().filter(|part| !matches!(part, std::path::Component::CurDir)).eq(Path::new(path).components())
}

/// Runs files of tests, one after the other, and tells of each.
pub fn run(
    context: &Context,
    project: &Project,
    arguments: &TestArguments,
    tests: &[Arc<StackTest>],
) -> Result<Tally, Stop> {
    let environment = context.environment(project)?;
    let request = request(project, &environment.name, Vec::new(), PlanMode::Normal, "test".to_owned());
    let bench = Bench {
        request,
        providers: &project.providers,
        plugins: &project.plugins,
        parallelism: PARALLELISM,
        interrupt: interrupt(),
    };
    let results = arguments.junit_xml.as_ref().map(|path| context.arguments.directory.join(path));
    let unwritable = |error: std::io::Error| {
        let path = results.as_deref().unwrap_or(Path::new("")).display();
        Diagnostic::error(format!("the results cannot be written to {path}")).detail(format!("{error}."))
    };
    // Found out before the runs, which may take long.
    if let Some(path) = &results {
        std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(unwritable)?;
    }
    if context.arguments.json {
        let files = tests.iter().map(|test| {
            let runs: Vec<&str> = test.runs.iter().map(|run| &*run.name.name).collect();
            (test.path.to_string(), json!(runs))
        });
        let files: serde_json::Map<String, Json> = files.collect();
        let words = format!("{} files of tests", files.len());
        print(json!({ "@level": "info", "@message": words, "type": "test_abstract", "test_abstract": files }));
    }
    let mut reports: Vec<FileReport> = Vec::with_capacity(tests.len());
    for test in tests {
        reports.push(run_tests(&bench, test, &mut |event| tell(context, project, arguments, &event)));
    }
    if let Some(path) = &results {
        std::fs::write(path, junit(&reports, project.sources())).map_err(unwritable)?;
    }
    let mut tally = Tally::default();
    for file in &reports {
        for run in &file.runs {
            match run.status {
                TestStatus::Pass => tally.passed += 1,
                TestStatus::Skip => tally.skipped += 1,
                TestStatus::Fail => tally.failed += 1,
                TestStatus::Error => tally.errored += 1,
            }
        }
        let of_runs = file.runs.iter().any(|run| run.status >= TestStatus::Fail);
        tally.unclean += usize::from(file.status == TestStatus::Error && !of_runs);
    }
    Ok(tally)
}

fn tell(context: &Context, project: &Project, arguments: &TestArguments, event: &TestEvent<'_>) {
    if context.arguments.json {
        return tell_data(project, event);
    }
    let paint = context.out;
    match event {
        TestEvent::FileBegan(test) => context.print(&format!("{}\n", paint.bold(&test.path))),
        TestEvent::RunBegan(..) | TestEvent::Clearing(_) | TestEvent::ClearingRun(..) => {}
        TestEvent::RunEnded(_, run) => {
            let word = match run.status {
                TestStatus::Pass => paint.green("ok  "),
                TestStatus::Skip => paint.dim("skip"),
                TestStatus::Fail | TestStatus::Error => paint.red("FAIL"),
            };
            let took =
                if run.began.is_some() { format!(" ({})", andon_view::duration(run.took_ms)) } else { String::new() };
            context.print(&format!("  {word} {}{took}\n", run.name));
            if let Some(plan) = run.plan.as_ref().filter(|_| arguments.verbose) {
                context.print(&andon_view::plan(plan, paint));
            }
            if !run.diagnostics.is_empty() {
                context.say_diagnostics(&run.diagnostics, project.sources());
            }
        }
        TestEvent::FileEnded(_, file) => {
            if !file.diagnostics.is_empty() {
                context.say_diagnostics(&file.diagnostics, project.sources());
            }
            for line in left(file) {
                context.say(&line);
            }
        }
    }
}

/// What could not be deleted.
fn left(file: &FileReport) -> Vec<String> {
    if file.left.is_empty() {
        return Vec::new();
    }
    let head =
        format!("{} could not delete all that it made. This is left, and nothing but you knows of it:", file.path);
    let lines = file.left.iter().map(|(run, address)| format!("  {address} (run \"{run}\")"));
    std::iter::once(head).chain(lines).collect()
}

/// Prints a line as `terraform test -json` does.
fn print(mut line: Json) {
    if let Some(line) = line.as_object_mut() {
        line.insert("@module".to_owned(), "terraform.ui".into());
        line.insert("@timestamp".to_owned(), rfc3339(andon_engine::now()).into());
    }
    print_json(&line);
}

/// The first line of all.
pub fn version() {
    let own = env!("CARGO_PKG_VERSION");
    print(json!({
        "@level": "info", "@message": format!("Andon {own}"), "type": "version",
        "terraform": TERRAFORM_VERSION, "andon": own, "ui": "1.2",
    }));
}

fn word(status: TestStatus) -> &'static str {
    match status {
        TestStatus::Pass => "pass",
        TestStatus::Skip => "skip",
        TestStatus::Fail => "fail",
        TestStatus::Error => "error",
    }
}

/// In what is for people, terraform makes no difference between the two.
fn word_for_people(status: TestStatus) -> &'static str {
    word(if status == TestStatus::Error { TestStatus::Fail } else { status })
}

/// Lines in the shape that `terraform test -json` gives.
fn tell_data(project: &Project, event: &TestEvent<'_>) {
    let of_file = |test: &StackTest, words: &str, rest: Json| {
        print(json!({
            "@level": "info", "@message": format!("{}... {words}", test.path), "@testfile": &*test.path,
            "type": "test_file", "test_file": rest,
        }));
    };
    let of_run = |test: &StackTest, name: &str, words: &str, rest: Json| {
        print(json!({
            "@level": "info", "@message": format!("  \"{name}\"... {words}"), "@testfile": &*test.path,
            "@testrun": name, "type": "test_run", "test_run": rest,
        }));
    };
    match event {
        TestEvent::FileBegan(test) => {
            of_file(test, "in progress", json!({ "path": &*test.path, "progress": "starting" }));
        }
        TestEvent::RunBegan(test, TestRun { name, .. }) => {
            let run = json!({ "path": &*test.path, "run": &*name.name, "progress": "starting", "elapsed": 0 });
            of_run(test, &name.name, "in progress", run);
        }
        TestEvent::RunEnded(test, report) => {
            let RunReport { name, status, took_ms, .. } = report;
            let run = json!({
                "path": &*test.path, "run": &**name, "progress": "complete", "status": word(*status), "elapsed": took_ms,
            });
            of_run(test, name, word_for_people(*status), run);
            print_diagnostics(&report.diagnostics, project.sources(), Some((&test.path, Some(name))));
        }
        TestEvent::Clearing(test) => {
            of_file(test, "tearing down", json!({ "path": &*test.path, "progress": "teardown" }));
        }
        TestEvent::ClearingRun(test, name) => {
            let run = json!({ "path": &*test.path, "run": name, "progress": "teardown", "elapsed": 0 });
            of_run(test, name, "tearing down", run);
        }
        TestEvent::FileEnded(test, file) => {
            print_diagnostics(&file.diagnostics, project.sources(), Some((&test.path, None)));
            if !file.left.is_empty() {
                let left = file.left.iter().map(|(run, address)| json!({ "run": &**run, "instance": address }));
                let left: Vec<Json> = left.collect();
                print(json!({
                    "@level": "error", "@message": format!("{} could not delete all that it made", test.path),
                    "@testfile": &*test.path, "type": "test_cleanup", "test_cleanup": { "failed_resources": left },
                }));
            }
            let rest = json!({ "path": &*test.path, "progress": "complete", "status": word(file.status) });
            of_file(test, word_for_people(file.status), rest);
        }
    }
}

/// Prints a line for each, with the file and the run that it is of.
pub fn print_diagnostics(all: &Diagnostics, sources: &SourceMap, of: Option<(&str, Option<&str>)>) {
    let Json::Array(data) = andon_view::diagnostics_json(all, sources) else { return };
    for (diagnostic, data) in all.iter().zip(data) {
        let (level, word) = if diagnostic.is_error() { ("error", "Error") } else { ("warn", "Warning") };
        let mut line = json!({
            "@level": level, "@message": format!("{word}: {}", diagnostic.summary),
            "type": "diagnostic", "diagnostic": data,
        });
        if let (Some((file, run)), Some(line)) = (of, line.as_object_mut()) {
            line.insert("@testfile".to_owned(), file.into());
            line.extend(run.map(|run| ("@testrun".to_owned(), run.into())));
        }
        print(line);
    }
}

impl Tally {
    /// Whether all is as it should be.
    pub fn is_fine(self) -> bool {
        self.failed + self.errored + self.unclean == 0
    }
}

/// The last line of all.
pub fn summary(context: &Context, tally: Tally) {
    let Tally { passed, failed, errored, skipped, unclean } = tally;
    let more = |count: usize, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    let (left_out, left_over) = (more(skipped, "skipped"), more(unclean, "not cleaned up"));
    let words = format!("{passed} passed, {} failed{left_out}{left_over}", failed + errored);
    if !context.arguments.json {
        return context.print(&format!("{words}\n"));
    }
    let status = match (errored + unclean, failed) {
        (1.., _) => "error",
        (0, 1..) => "fail",
        (0, 0) => "pass",
    };
    print(json!({
        "@level": "info", "@message": words, "type": "test_summary",
        "test_summary": {
            "status": status, "passed": passed, "failed": failed, "errored": errored, "skipped": skipped,
        },
    }));
}
