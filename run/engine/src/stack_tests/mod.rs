//! Runs of `*.tftest.hcl`: each plans, and perhaps applies, a stack or a module in its place, with a state that is there
//! only while its file runs; then the conditions of the run are judged. Everything that was made is deleted at the end of
//! the file, the last made first, whatever failed.

mod expected;
mod memory;
mod prepare;
mod scope;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use andon_hcl::ast::{Expr, ExprKind, Ident};
use andon_lang::definitions::{Condition, Module, Project, RunOptions, Stack, StackTest, Target, TestRun};
use andon_lang::{Reference, static_traversals};
use andon_ledger::Timestamp;
use andon_plan::{ApplyReport, Evaluation, EvaluationStep, Plan, PlanInput, PlanMode, PlannedAction, Scope};
use andon_schema::{CheckStatus, Checked, CheckedKind, Identity, ResourceAddress, TargetAddress, TargetResource};
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::Value;

use self::expected::{Expected, condition_of};
use self::memory::{Memory, Nobody};
use self::prepare::{Prepared, idle, prepare};
use self::scope::{TestScope, Variables, add, outer};
use self::world::{Rules, TestWorld};
use crate::{
    ChangeError, ChangeRequest, Changed, Journal as _, JournalError, Plugins, Providers, change, judge, plan,
    plan_input,
};

/// What runs of tests are made with.
pub struct Bench<'a> {
    /// What is the same in every run: the project, its schemas, the environment.
    pub request: ChangeRequest,
    /// The real providers, for what is not mocked.
    pub providers: &'a Providers,
    /// What answers calls of providers' functions in conditions.
    pub plugins: &'a Plugins,
    /// At most so many things are done at once.
    pub parallelism: usize,
    /// Set when the user asks for an end: no run begins any more, and what was made is deleted.
    pub interrupt: Arc<AtomicBool>,
}

/// How a run, or a file, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TestStatus {
    /// All of it holds.
    Pass,
    /// It was not tried.
    Skip,
    /// A condition of the test does not hold.
    Fail,
    /// It could not be carried out.
    Error,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// Its name.
    pub name: Arc<str>,
    /// How it ended.
    pub status: TestStatus,
    /// Why, and what it warns of.
    pub diagnostics: Diagnostics,
    /// How many of its conditions do not hold, and how many it has.
    pub broken: (usize, usize),
    /// When it began; `None` where it did not.
    pub began: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// What was planned.
    pub plan: Option<Plan>,
    /// Whether that was applied.
    pub applied: bool,
}

/// What came of a file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// The file.
    pub path: Arc<str>,
    /// How it ended: as its worst run.
    pub status: TestStatus,
    /// Its runs, in order.
    pub runs: Vec<RunReport>,
    /// What went wrong at the end, when what was made was deleted.
    pub diagnostics: Diagnostics,
    /// What is left in the world, and which run made it.
    pub left: Vec<(Arc<str>, String)>,
}

/// What those who follow are told.
#[derive(Debug)]
pub enum TestEvent<'a> {
    /// A file begins.
    FileBegan(&'a StackTest),
    /// A run begins.
    RunBegan(&'a StackTest, &'a TestRun),
    /// A run has ended.
    RunEnded(&'a StackTest, &'a RunReport),
    /// What the runs of a file made is being deleted.
    Clearing(&'a StackTest),
    /// What a run, the last of those that share a state, and those before it made is being deleted.
    ClearingRun(&'a StackTest, &'a str),
    /// A file has ended.
    FileEnded(&'a StackTest, &'a FileReport),
}

/// What runs that share a state have of it.
struct Slot {
    journal: Memory,
    /// The run that applied to it last, by its place among all, its name, and what it was made from.
    last: Option<(usize, Arc<str>, Prepared)>,
}

/// Runs a file of tests.
pub fn run_tests(bench: &Bench<'_>, test: &StackTest, follow: &mut dyn FnMut(TestEvent<'_>)) -> FileReport {
    follow(TestEvent::FileBegan(test));
    let interrupt = Arc::clone(&bench.interrupt);
    let mut file = File { bench, test, slots: BTreeMap::new(), outputs: BTreeMap::new(), interrupt };
    let mut runs: Vec<RunReport> = Vec::with_capacity(test.runs.len());
    while let Some(batch) = file.batch(runs.len()) {
        let stopped = runs.iter().any(|report| report.status == TestStatus::Error);
        let reports = if stopped || file.interrupt.load(Ordering::Relaxed) {
            batch.iter().map(|run| RunReport::skipped(run)).collect()
        } else {
            batch.iter().for_each(|run| follow(TestEvent::RunBegan(test, run)));
            file.run_batch(runs.len(), batch)
        };
        reports.iter().for_each(|report| follow(TestEvent::RunEnded(test, report)));
        runs.extend(reports);
    }
    follow(TestEvent::Clearing(test));
    let (diagnostics, left) = file.clear(&mut |run| follow(TestEvent::ClearingRun(test, run)));
    let worst = runs.iter().map(|run| run.status).max().unwrap_or(TestStatus::Pass);
    let status = if left.is_empty() && !diagnostics.has_errors() { worst } else { TestStatus::Error };
    let report = FileReport { path: Arc::clone(&test.path), status, runs, diagnostics, left };
    follow(TestEvent::FileEnded(test, &report));
    report
}

struct File<'a> {
    bench: &'a Bench<'a>,
    test: &'a StackTest,
    slots: BTreeMap<Arc<str>, Slot>,
    /// The outputs of the runs that have ended, by run.
    outputs: BTreeMap<Arc<str>, Value>,
    interrupt: Arc<AtomicBool>,
}

/// What a plan, and perhaps an apply, came to.
struct Outcome {
    plan: Option<Plan>,
    applied: bool,
    /// What was said by the plan, and by the apply.
    planning: Diagnostics,
    applying: Diagnostics,
    input: PlanInput,
}

impl<'a> File<'a> {
    /// The runs that are next: one, or several that may run side by side.
    fn batch(&self, from: usize) -> Option<&'a [Arc<TestRun>]> {
        let rest = self.test.runs.get(from..).filter(|rest| !rest.is_empty())?;
        let mut keys = BTreeSet::new();
        let mut beside = |run: &Arc<TestRun>| {
            run.parallel.unwrap_or(self.test.parallel) && !reads_runs(run) && keys.insert(state_key(run))
        };
        let count = rest.iter().take_while(|run| beside(run)).count().max(1);
        rest.get(..count)
    }

    fn run_batch(&mut self, first: usize, batch: &[Arc<TestRun>]) -> Vec<RunReport> {
        let slots: Vec<Slot> = batch.iter().map(|run| self.take_slot(run)).collect();
        let this = &*self;
        let work = |((at, run), mut slot): ((usize, &Arc<TestRun>), Slot)| {
            let (report, outputs) = this.run(first + at, run, &mut slot);
            (report, outputs, slot)
        };
        let work = &work;
        let jobs = batch.iter().enumerate().zip(slots);
        let done: Vec<(RunReport, Option<Value>, Slot)> = if let [_] = batch {
            jobs.map(work).collect()
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> = jobs.map(|job| scope.spawn(move || work(job))).collect();
                threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
            })
        };
        let mut reports = Vec::with_capacity(done.len());
        for (run, (report, outputs, slot)) in batch.iter().zip(done) {
            self.slots.insert(state_key(run), slot);
            if let Some(outputs) = outputs {
                self.outputs.insert(Arc::clone(&run.name.name), outputs);
            }
            reports.push(report);
        }
        reports
    }

    fn take_slot(&mut self, run: &TestRun) -> Slot {
        let new = || Slot { journal: Memory::new(Arc::clone(&self.bench.request.environment)), last: None };
        self.slots.remove(&state_key(run)).unwrap_or_else(new)
    }

    /// What came of a run, and its outputs where it came that far.
    fn run(&self, at: usize, run: &TestRun, slot: &mut Slot) -> (RunReport, Option<Value>) {
        let began = crate::now();
        let mut report = RunReport { status: TestStatus::Pass, began: Some(began), ..RunReport::skipped(run) };
        let outputs = self.try_run(at, run, slot, &mut report).unwrap_or_else(|diagnostics| {
            report.diagnostics.extend(diagnostics);
            report.status = TestStatus::Error;
            None
        });
        report.took_ms = crate::now().0 - began.0;
        (report, outputs)
    }

    fn try_run(
        &self,
        at: usize,
        run: &TestRun,
        slot: &mut Slot,
        report: &mut RunReport,
    ) -> Result<Option<Value>, Diagnostics> {
        let base = Arc::clone(&self.bench.request.project);
        let Some(stack) = base.stacks.get(&self.test.stack) else {
            return Err(Diagnostic::error(format!("there is no stack {:?}", &*self.test.stack)).at(run.span).into());
        };
        let mut stack = stack.clone();
        stack.assignments.extend(self.test.assignments.iter().map(|(name, it)| (Arc::clone(name), it.clone())));
        let stack = &stack;
        let module = Arc::clone(run.module.as_ref().unwrap_or(&stack.module));
        let runs = Value::object(self.outputs.iter().map(|(name, value)| (Arc::clone(name), value.clone())));
        let variables = self.variables(run, stack, &module, &runs, &mut report.diagnostics)?;
        let scope = TestScope { project: &base, base: &stack.module.directory, variables: &variables, runs: &runs };
        let prepared = prepare(&base, self.test, run, stack, variables.clone(), &scope)?;
        if run.module.is_none() {
            report.diagnostics.extend(idle(&prepared.rules, &module));
        }
        let mut expected = Expected::new(&run.expected, &base.sources);
        let mut world = self.world(prepared.rules.clone(), Arc::clone(&self.interrupt));
        let Outcome { plan, applied, planning, applying, input } =
            self.carry_out(at, run, prepared, slot, &mut world)?;
        (report.plan, report.applied) = (plan.clone(), applied);
        let before = planning.clone();
        let mut rest = expected.sift(planning);
        if plan.is_none() && run.applies && expected.any_seen() {
            // The apply that was asked for could not be tried: what was expected is no success.
            rest = before;
            report.diagnostics.push(
                Diagnostic::warning("what was expected to fail failed before the apply")
                    .at(run.span)
                    .detail("The plan was refused as expected, so that there was nothing to apply.")
                    .help("Say `command = plan` in this run."),
            );
        }
        // What a plan warns of, its apply may say again.
        let again = expected.sift(applying).into_iter();
        let new: Vec<Diagnostic> = again.filter(|said| rest.iter().all(|it| it != said)).collect();
        rest.extend(new);
        let rest: Diagnostics = rest.into_iter().map(as_error).collect();
        let failed = rest.has_errors();
        report.diagnostics.extend(rest);
        if !failed {
            report.diagnostics.extend(expected.missed());
        }
        if report.diagnostics.has_errors() {
            report.status = TestStatus::Error;
        }
        let Some(mut plan) = plan.filter(|_| !failed) else { return Ok(None) };
        if applied {
            settle(&mut plan, slot, &world);
        }
        Ok(Some(self.judge(run, &module, input, plan, report)))
    }

    /// The values of variables in a run.
    fn variables(
        &self,
        run: &TestRun,
        stack: &Stack,
        module: &Module,
        runs: &Value,
        out: &mut Diagnostics,
    ) -> Result<Variables, Diagnostics> {
        let base: &Project = &self.bench.request.project;
        let mut problems = Diagnostics::new();
        let outside = outer(base, &self.bench.request.environment, stack);
        let directory = &*stack.module.directory;
        let mut of_file = outside.clone();
        let scope = TestScope { project: base, base: directory, variables: &outside, runs };
        add(&mut of_file, &self.test.variables, module, &scope, &mut problems);
        let mut all = of_file.clone();
        let scope = TestScope { variables: &of_file, ..scope };
        add(&mut all, &run.variables, module, &scope, &mut problems);
        for assignment in run.variables.values().filter(|it| !module.variables.contains_key(&it.name.name)) {
            let name = &assignment.name.name;
            let diagnostic = Diagnostic::warning(format!("what is tested has no variable {name:?}"));
            out.push(diagnostic.at(assignment.name.span).label("this value is not used"));
        }
        // What the test does not give comes from where it does in any plan; a module has defaults of its own.
        let given = |name: &Arc<str>| self.test.variables.contains_key(name) || run.variables.contains_key(name);
        all.retain(|name, _| given(name) || !module.variables.contains_key(name));
        if problems.has_errors() { Err(problems) } else { Ok(all) }
    }

    fn world(&self, rules: Rules, interrupt: Arc<AtomicBool>) -> TestWorld {
        let Bench { request, providers, parallelism, .. } = self.bench;
        TestWorld::new(rules, Arc::clone(&request.schemas), (*providers).clone(), *parallelism, interrupt)
    }

    fn request(&self, project: &Arc<Project>, mode: PlanMode, refresh: bool) -> ChangeRequest {
        ChangeRequest {
            project: Arc::clone(project),
            stacks: vec![Arc::clone(&self.test.stack)],
            mode,
            refresh,
            ..self.bench.request.clone()
        }
    }

    /// What a plan is held to.
    fn scope(&self, options: &RunOptions) -> Scope {
        let stack = &self.test.stack;
        let target = |of: &Target| TargetAddress {
            stack: Some(Arc::clone(stack)),
            module: of.module.to_vec(),
            resource: of.resource.as_ref().map(|(resource, key)| TargetResource {
                mode: resource.mode,
                kind: Arc::clone(&resource.kind),
                name: Arc::clone(&resource.name),
                key: key.clone(),
            }),
        };
        let instance = |of: &Target| {
            let (resource, key) = of.resource.as_ref()?;
            let resource = ResourceAddress {
                stack: Arc::clone(stack),
                module: Arc::clone(&of.module),
                mode: resource.mode,
                kind: Arc::clone(&resource.kind),
                name: Arc::clone(&resource.name),
            };
            Some(resource.instance(key.clone()))
        };
        Scope {
            targets: options.target.iter().map(target).collect(),
            replace: options.replace.iter().filter_map(instance).collect(),
            ..Scope::default()
        }
    }

    fn carry_out(
        &self,
        at: usize,
        run: &TestRun,
        prepared: Prepared,
        slot: &mut Slot,
        world: &mut TestWorld,
    ) -> Result<Outcome, Diagnostics> {
        let mode = if run.options.refresh_only { PlanMode::RefreshOnly } else { PlanMode::Normal };
        let scope = self.scope(&run.options);
        let request = ChangeRequest { scope, ..self.request(&prepared.project, mode, run.options.refresh) };
        let broken = |error: JournalError| Diagnostics::from(Diagnostic::error(error.to_string()));
        slot.journal.publish(&prepared.published).map_err(broken)?;
        let input = plan_input(&request, &slot.journal);
        let mut outcome = Outcome {
            plan: None,
            applied: false,
            planning: Diagnostics::new(),
            applying: Diagnostics::new(),
            input: input.clone(),
        };
        if !run.applies {
            match plan(input.clone(), world, &mut Nobody) {
                Ok(planned) => {
                    judge(&planned, &input)?;
                    outcome.planning = planned.warnings.clone();
                    outcome.planning.extend(undecided(&planned, run));
                    outcome.plan = Some(planned);
                }
                Err(diagnostics) => outcome.planning = diagnostics,
            }
            return Ok(outcome);
        }
        let changed = change(&request, identities(), world, &mut slot.journal, &mut Nobody, &mut |_| true);
        match changed {
            Ok(Changed::Nothing(plan) | Changed::Declined(plan)) => {
                outcome.planning = plan.warnings.clone();
                outcome.plan = Some(plan);
                outcome.applied = true;
            }
            Ok(Changed::Applied(plan, report)) => {
                outcome.planning = plan.warnings.clone();
                outcome.applying = said(report);
                outcome.plan = Some(*plan);
                outcome.applied = true;
            }
            Err(ChangeError::Plan(diagnostics) | ChangeError::Buried(diagnostics)) => outcome.planning = diagnostics,
            Err(ChangeError::Journal(error)) => return Err(broken(error)),
            Err(ChangeError::Recover(_)) => {
                return Err(Diagnostic::error("what a run left open could not be resolved").at(run.span).into());
            }
        }
        if outcome.applied {
            slot.last = Some((at, Arc::clone(&run.name.name), prepared));
        }
        Ok(outcome)
    }

    /// Judges the conditions of a run. Its outputs come back.
    fn judge(&self, run: &TestRun, module: &Module, input: PlanInput, plan: Plan, report: &mut RunReport) -> Value {
        let mut evaluation = Evaluation::new(input, Some(&self.test.stack), Some(plan));
        let plugins = self.bench.plugins;
        let of = format!("run {:?}", &*run.name.name);
        let mut error = false;
        for assert in &run.asserts {
            match driven(plugins, &mut evaluation, &mut |it| it.check(assert, &of)) {
                Ok(value) if value.is_unknown() => {
                    error = true;
                    report.diagnostics.push(unknown(assert, run));
                }
                Ok(_) => {}
                Err(diagnostics) => {
                    let broken = diagnostics.iter().all(|it| it.summary.starts_with("a condition of run"));
                    error |= !broken;
                    report.broken.0 += 1;
                    report.diagnostics.extend(diagnostics);
                }
            }
        }
        let mut outputs: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for (name, output) in module.outputs.iter().filter(|(_, output)| !output.ephemeral) {
            let expr = output_expr(name, output.span);
            if let Ok(value) = driven(plugins, &mut evaluation, &mut |it| it.evaluate(&expr)) {
                outputs.insert(Arc::clone(name), value);
            }
        }
        let status = match (error, report.broken.0) {
            (true, _) => TestStatus::Error,
            (false, 0) => TestStatus::Pass,
            _ => TestStatus::Fail,
        };
        report.status = report.status.max(status);
        Value::object(outputs)
    }

    /// Deletes what was made, the last made first. What is left comes back, with why.
    fn clear(mut self, follow: &mut dyn FnMut(&str)) -> (Diagnostics, Vec<(Arc<str>, String)>) {
        let (mut problems, mut left) = (Diagnostics::new(), Vec::new());
        let mut slots: Vec<Slot> = std::mem::take(&mut self.slots).into_values().collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.last.as_ref().map(|(at, ..)| *at)));
        for mut slot in slots {
            let Some((_, name, prepared)) = slot.last.take() else { continue };
            if slot.journal.state().instances.is_empty() {
                continue;
            }
            follow(&name);
            let request = self.request(&prepared.project, PlanMode::Destroy, true);
            // An interrupt has ended the runs; what they made is deleted all the same.
            let mut world = self.world(prepared.rules, Arc::default());
            let changed = change(&request, identities(), &mut world, &mut slot.journal, &mut Nobody, &mut |_| true);
            problems.extend(match changed {
                Ok(Changed::Applied(_, report)) => said(report),
                Ok(Changed::Nothing(_) | Changed::Declined(_)) => Diagnostics::new(),
                Err(ChangeError::Plan(diagnostics) | ChangeError::Buried(diagnostics)) => diagnostics,
                Err(ChangeError::Journal(error)) => Diagnostic::error(error.to_string()).into(),
                Err(ChangeError::Recover(_)) => Diagnostic::error("what a run left open could not be resolved").into(),
            });
            let objects = slot.journal.state().objects();
            left.extend(objects.map(|(address, _)| (Arc::clone(&name), address.within_stack())));
        }
        (problems, left)
    }
}

/// What a plan foresaw is now what came of it.
fn settle(plan: &mut Plan, slot: &Slot, world: &TestWorld) {
    let state = slot.journal.state();
    for change in plan.changes.iter_mut().filter(|change| change.action != PlannedAction::DeleteDeposed) {
        change.after = match change.action {
            PlannedAction::Read => world.data.get(&change.address).cloned().or_else(|| change.after.take()),
            _ => state.current(&change.address).map(|object| object.value.clone()),
        };
    }
}

impl RunReport {
    fn skipped(run: &TestRun) -> RunReport {
        RunReport {
            name: Arc::clone(&run.name.name),
            status: TestStatus::Skip,
            diagnostics: Diagnostics::new(),
            broken: (0, run.asserts.len()),
            began: None,
            took_ms: 0,
            plan: None,
            applied: false,
        }
    }
}

/// Whether a run reads what an earlier one gave.
fn reads_runs(run: &TestRun) -> bool {
    let in_variables = run.variables.values().map(|assignment| &assignment.value);
    let in_asserts = run.asserts.iter().flat_map(|assert| [&assert.condition, &assert.error_message]);
    let is_run = |reference: &Reference<'_>| &**reference.root == "run";
    in_variables.chain(in_asserts).any(|expr| static_traversals(expr).iter().any(is_run))
}

/// Which state a run has: the one of its key, or else that of its module.
fn state_key(run: &TestRun) -> Arc<str> {
    match (&run.state_key, &run.module) {
        (Some(key), _) => format!("key {key}").into(),
        (None, Some(module)) => format!("module {}", module.directory).into(),
        (None, None) => "".into(),
    }
}

/// Planned names that no other object has.
fn identities() -> impl FnMut() -> Identity + Send + 'static {
    || Identity::from_random(crate::random())
}

/// All that an apply says.
fn said(report: ApplyReport) -> Diagnostics {
    let mut all: Diagnostics = report.failed.into_iter().flat_map(|failed| failed.diagnostics).collect();
    all.extend(report.diagnostics);
    if report.cancelled {
        all.push(Diagnostic::error("the run was stopped"));
    }
    all
}

/// The checks that a plan cannot judge: nothing comes after it in a run that only plans, so they do not hold.
fn undecided(plan: &Plan, run: &TestRun) -> Diagnostics {
    let is_open = |it: &&Checked| it.kind == CheckedKind::Check && it.status == CheckStatus::Unknown;
    let open = plan.checks.values().flatten().filter(is_open);
    let told = open.map(|Checked { object, .. }| {
        let diagnostic = Diagnostic::error(format!("an assertion of {object} is not known to hold")).subject(object);
        let diagnostic = diagnostic.at(run.span).label("it reads what only an apply decides");
        diagnostic.help("Leave `command = plan` out of this run, or name the check in expect_failures.")
    });
    told.collect()
}

/// In a test, a check that fails is a failure.
fn as_error(diagnostic: Diagnostic) -> Diagnostic {
    match condition_of(&diagnostic) {
        Some(_) => Diagnostic { severity: andon_text::Severity::Error, ..diagnostic },
        None => diagnostic,
    }
}

fn unknown(assert: &Condition, run: &TestRun) -> Diagnostic {
    let diagnostic = Diagnostic::error("whether this holds is not known").at(assert.condition.span);
    let diagnostic = diagnostic.label("it reads what only an apply decides");
    if run.applies {
        return diagnostic;
    }
    diagnostic
        .help("Take `command = plan` out of the run, or read something else.")
        .help("What is mocked or overridden is known to a plan where that says `override_during = plan`.")
}

/// `output.NAME`
fn output_expr(name: &Arc<str>, span: Span) -> Expr {
    let target = Box::new(Expr { kind: ExprKind::Variable("output".into()), span });
    Expr { kind: ExprKind::Attribute { target, name: Ident { name: Arc::clone(name), span } }, span }
}

/// Evaluates, and has providers' functions called where that needs it.
fn driven(
    plugins: &Plugins,
    evaluation: &mut Evaluation,
    step: &mut dyn FnMut(&mut Evaluation) -> EvaluationStep,
) -> Result<Value, Diagnostics> {
    loop {
        match step(evaluation) {
            EvaluationStep::Done(result) => return result,
            EvaluationStep::Ask(calls) => {
                for call in calls {
                    evaluation.called(&call, plugins.call(&call));
                }
            }
        }
    }
}
