//! A world that is a function: providers without any effect, and a ledger that is a state.
#![allow(dead_code, reason = "each test binary that includes it uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use andon_lang::FileSet;
use andon_ledger::{Action, Entry, EnvironmentState, Event, OutcomeRecord, Result as Tried, RunId, Timestamp};
use andon_plan::{
    Applier, ApplyReport, ApplyStep, Plan, PlanInput, PlanMode, PlanStep, PlannedAction, Planner, ReplaceOrder, Scope,
    StepKind, Work,
};
use andon_schema::{
    Answer, Attribute, Block, CheckStatus, CheckedKind, Command, Exclusive, Extent, Failure, HostEntry, HostReport,
    Identity, InstanceAddress, ObjectStatus, Outcome, Planned, ProviderAddress, ProviderSchema, Question, Schemas,
    TypeSchema,
};
use andon_text::{Diagnostics, SourceMap};
use andon_value::{Type, Value};

/// What is simulated: objects by identity, and what goes wrong.
#[derive(Default)]
pub struct World {
    pub state: EnvironmentState,
    pub objects: BTreeMap<String, (InstanceAddress, Value)>,
    pub sequence: u64,
    pub next_identity: u64,
    pub entries: Vec<Entry>,
    pub sources: SourceMap,
    /// Commands that fail, as `create web/lab_server.web[0]`.
    pub failing: BTreeSet<String>,
    /// Servers whose role is not as it should be, by address.
    pub unclean: BTreeSet<String>,
    /// Takes one of the open answers or outcomes, from how many there are; the first where there is none.
    pub pick: Option<Box<dyn FnMut(usize) -> usize>>,
    /// What was done, in the order of the beginnings and ends.
    pub log: Vec<String>,
    /// The environment whose stacks are planned.
    pub environment: Option<&'static str>,
    /// The stacks that are planned; empty for all.
    pub stacks: Vec<&'static str>,
    /// How many questions were asked.
    pub questions: usize,
    /// Whether a plan refreshes.
    pub no_refresh: bool,
    /// What a plan is held to.
    pub scope: Scope,
    /// Nothing may be deleted that another object names.
    pub strict: bool,
    /// Whether that is to be asked at all.
    pub may_be_strict: bool,
    /// Cancel the apply after so many outcomes.
    pub cancel_after: Option<usize>,
}

type Shape = (&'static str, &'static [(&'static str, &'static str)]);

/// Types, and of each attribute: `r` required, `o` optional, `c` computed, `x` replaces, `s` secret; then its type.
const RESOURCES: &[Shape] = &[
    ("lab_network", &[("name", "rx string"), ("range", "o string"), ("id", "c string")]),
    (
        "lab_server",
        &[
            ("name", "o string"),
            ("image", "ox string"),
            ("network", "ox string"),
            ("memory", "o string"),
            ("tags", "o map"),
            ("password", "os string"),
            ("address", "c string"),
            ("connection", "c string"),
        ],
    ),
    ("lab_balancer", &[("listen", "ox string"), ("targets", "o list"), ("health", "o string"), ("id", "c string")]),
    (
        "lab_holder",
        &[
            ("name", "re string"),
            ("image", "ox string"),
            ("address", "ocxe string"),
            ("volumes", "oe map"),
            ("memory", "o string"),
        ],
    ),
    ("lab_ground", &[("name", "oh string"), ("place", "oc string"), ("image", "ox string"), ("range", "ocxE string")]),
    ("andon_host", &[("connection", "o string"), ("role", "o string"), ("params", "o any"), ("id", "c string")]),
    ("andon_image", &[("definition", "o string"), ("digest", "c string")]),
    ("terraform_data", &[("input", "o any"), ("triggers_replace", "ox any"), ("output", "c any"), ("id", "c string")]),
];
/// What a plugin offers; of an attribute, `w` is write-only.
const PLUGIN: &[Shape] = &[("toy_thing", &[("name", "o string"), ("password", "ow string"), ("id", "c string")])];
const EPHEMERAL: &[Shape] = &[("toy_secret", &[("name", "o string"), ("value", "cs string")])];
const CONFIG: Shape = ("toy", &[("token", "o string")]);
const DATA: &[Shape] = &[("lab_lookup", &[("name", "o string"), ("result", "c string")])];

/// Numbers from one to another, such as `10-19`.
const STRETCH: Exclusive = Exclusive {
    stays: false,
    takes: |text| {
        let (first, last) = text.split_once('-')?;
        Some(Extent { of: String::new(), first: first.parse().ok()?, last: last.parse().ok()? })
    },
    ..Exclusive::SAME
};

fn flags(kind: &str, attribute: &str) -> &'static str {
    let shapes = RESOURCES.iter().chain(DATA).chain(PLUGIN).chain(EPHEMERAL).find(|(name, _)| *name == kind).unwrap();
    shapes.1.iter().find(|(name, _)| *name == attribute).unwrap().1.split_once(' ').unwrap().0
}

fn schema(shape: &Shape) -> (String, TypeSchema) {
    let attributes = shape.1.iter().map(|(name, shape)| {
        let (flags, ty) = shape.split_once(' ').unwrap();
        let ty = match ty {
            "string" => Type::String,
            "list" => Type::list(Type::String),
            "map" => Type::map(Type::String),
            _ => Type::Dynamic,
        };
        let mut attribute = Attribute::optional(ty, "");
        attribute.required = flags.contains('r');
        attribute.optional = flags.contains('o');
        attribute.computed = flags.contains('c');
        attribute.sensitive = flags.contains('s');
        attribute.write_only = flags.contains('w');
        attribute.exclusive = match flags {
            _ if flags.contains('E') => Some(STRETCH),
            _ if flags.contains('h') => Some(Exclusive { within: Some("place"), ..Exclusive::SAME }),
            _ => flags.contains('e').then_some(Exclusive::SAME),
        };
        ((*name).to_owned(), attribute)
    });
    let block = Block { attributes: attributes.collect(), ..Block::default() };
    (shape.0.to_owned(), TypeSchema::of(block))
}

pub fn schemas() -> Arc<Schemas> {
    let mut schemas = Schemas {
        resources: RESOURCES.iter().map(schema).collect(),
        data: DATA.iter().map(schema).collect(),
        ..Schemas::default()
    };
    let toy = ProviderSchema {
        config: schema(&CONFIG).1.block,
        resources: PLUGIN.iter().map(schema).collect(),
        ephemeral: EPHEMERAL.iter().map(schema).collect(),
        ..ProviderSchema::default()
    };
    schemas.providers.insert(ProviderAddress::parse("toy/toy").unwrap(), Arc::new(toy));
    schemas.data.insert(andon_plan::STACK_DATA.to_owned(), andon_plan::stack_schema());
    Arc::new(schemas)
}

/// The answer of a provider: `known` is whether it must leave nothing unknown.
fn proposed(kind: &str, config: &Value, prior: Option<&Value>) -> (Value, Vec<String>) {
    let mut replace = Vec::new();
    let entries = config.as_entries().unwrap().iter().map(|(name, given)| {
        let flags = flags(kind, name);
        let old = prior.and_then(|prior| prior.get(name));
        let value = match old {
            _ if flags.contains('w') => Value::null(Type::String),
            _ if flags.contains('c') && given.is_null() => old.cloned().unwrap_or(Value::UNKNOWN),
            _ => given.clone(),
        };
        if flags.contains('x') && old.is_some_and(|old| old.unmark_deep().0 != value.unmark_deep().0) {
            replace.push(name.to_string());
        }
        (name.clone(), value)
    });
    let mut entries: Vec<_> = entries.collect();
    // As the real one has it: the output follows the input, and only the apply says so.
    let changed = prior.is_some_and(|prior| prior.get("input") != config.get("input"));
    if kind == "terraform_data" && changed {
        entries.iter_mut().filter(|(name, _)| &**name == "output").for_each(|(_, value)| *value = Value::UNKNOWN);
    }
    (Value::object(entries), replace)
}

fn made(kind: &str, planned: &Value, config: &Value, identity: &Identity) -> Value {
    let entries = planned.as_entries().unwrap().iter().map(|(name, value)| {
        let is_kept = !flags(kind, name).contains('w');
        let given = config.get(name).filter(|given| !given.is_null() && is_kept);
        let value = match given {
            Some(given) => given.clone(),
            None if !value.is_wholly_known() && kind == "terraform_data" && &**name == "output" => {
                config.get("input").cloned().unwrap()
            }
            None if !value.is_wholly_known() => Value::string(format!("{name}-{identity}")),
            None => value.clone(),
        };
        (name.clone(), value.unmark_deep().0)
    });
    Value::object(entries.collect::<Vec<_>>())
}

impl World {
    pub fn input(&mut self, definitions: &str, mode: PlanMode) -> Result<PlanInput, Diagnostics> {
        let mut files = FileSet::new();
        for (path, text) in split(definitions) {
            files.insert(path, text.into_bytes());
        }
        let (mut project, problems) = andon_lang::load(Arc::new(files), "test");
        project.directory = "/projects/test".into();
        self.sources = project.sources.clone();
        if problems.has_errors() {
            return Err(problems);
        }
        Ok(PlanInput {
            project: Arc::new(project),
            schemas: schemas(),
            environment: self.environment.unwrap_or("default").into(),
            stacks: self.stacks.iter().map(|name| (*name).into()).collect(),
            state: Arc::new(self.state.clone()),
            sequence: self.sequence,
            mode,
            refresh: !self.no_refresh,
            scope: self.scope.clone(),
            moment: Arc::default(),
        })
    }

    fn pick(&mut self, count: usize) -> usize {
        self.pick.as_mut().map_or(0, |pick| pick(count) % count)
    }

    pub fn plan(&mut self, definitions: &str, mode: PlanMode) -> Result<Plan, Diagnostics> {
        let input = self.input(definitions, mode)?;
        self.plan_input(input)
    }

    pub fn plan_input(&mut self, input: PlanInput) -> Result<Plan, Diagnostics> {
        let mut planner = Planner::new(input);
        let mut open = Vec::new();
        loop {
            match planner.next() {
                PlanStep::Done(plan) => return plan,
                PlanStep::Ask(questions) => {
                    self.questions += questions.len();
                    open.extend(questions);
                }
                PlanStep::Wait => {
                    let at = self.pick(open.len());
                    let (id, question) = open.swap_remove(at);
                    let answer = self.answer(&question);
                    planner.answer(id, answer);
                }
            }
        }
    }

    pub fn answer(&self, question: &Question) -> Answer {
        let address = question.address().unwrap();
        let kind = &*address.resource.kind;
        if self.failing.contains(&format!("plan {address}")) {
            return Answer::Failed(Failure::new("the lab did not answer", "It is asleep."));
        }
        match question {
            Question::ReadObject { identity, .. } => {
                Answer::Object(self.objects.get(identity.as_str()).map(|(_, value)| value.clone()))
            }
            Question::ReadData { config, .. } => {
                let entries = config.as_entries().unwrap().iter().map(|(name, value)| match &**name {
                    "result" => {
                        (name.clone(), Value::string(format!("found-{}", config.get_str("name").unwrap_or("?"))))
                    }
                    _ => (name.clone(), value.clone()),
                });
                Answer::Object(Some(Value::object(entries.collect::<Vec<_>>())))
            }
            Question::PlanChange { config, prior, .. } => {
                let (value, replace) = proposed(kind, config, prior.as_ref());
                let report = (kind == "andon_host").then(|| self.report(address));
                Answer::Planned(Box::new(Planned::new(value, &replace, report)))
            }
            Question::OpenEphemeral { config, via, .. } => {
                let token = via.provider.config.get_str("token").unwrap_or("nothing").to_owned();
                let name = config.get_str("name").unwrap();
                let value = Value::from(format!("secret of {name}, by {token}"));
                Answer::Object(Some(Value::object([("name", Value::from(name)), ("value", value)])))
            }
            _ => panic!("no definition here asks this"),
        }
    }

    fn report(&self, address: &InstanceAddress) -> HostReport {
        let mut report = HostReport::default();
        if self.unclean.contains(&address.to_string()) {
            report.entries.push(HostEntry {
                address: "file \"/etc/motd\"".to_owned(),
                origin: String::new(),
                change: andon_schema::Change::Update,
                differences: vec!["mode 0600 → 0644".to_owned()],
                diff: None,
                status: andon_schema::EntryStatus::Planned,
            });
        }
        report
    }

    pub fn apply(&mut self, plan: Plan, definitions: &str) -> ApplyReport {
        let mode = plan.mode;
        let input = self.input(definitions, mode).unwrap();
        self.apply_input(plan, input)
    }

    pub fn apply_input(&mut self, plan: Plan, input: PlanInput) -> ApplyReport {
        let first = self.next_identity;
        let mut given = first;
        let mut applier = Applier::new(plan, input, move || {
            given += 1;
            Identity::from_random(given)
        });
        // More than any apply takes.
        self.next_identity += 1 << 24;
        let mut open = Vec::new();
        let mut outcomes = 0;
        loop {
            match applier.next() {
                ApplyStep::Done(report) => return report,
                ApplyStep::Run(work) => {
                    for work in work {
                        match work {
                            Work::Record(event) => self.append(event),
                            Work::Tell(_) => {}
                            Work::Do(id, command, Some(intent)) => {
                                self.log.push(format!("begin {} {}", verb(intent.action), intent.address));
                                self.append(Event::Intent(intent));
                                open.push(Open::Command(id, command));
                            }
                            Work::Do(id, command, None) => open.push(Open::Command(id, command)),
                            Work::Ask(id, question) => open.push(Open::Question(id, question)),
                        }
                    }
                }
                ApplyStep::Wait => {
                    assert!(!open.is_empty(), "the applier waits for nothing");
                    let at = self.pick(open.len());
                    match open.swap_remove(at) {
                        Open::Question(id, question) => {
                            let answer = self.answer(&question);
                            applier.answer(id, answer);
                        }
                        Open::Command(id, command) => {
                            let outcome = self.perform(&command);
                            let Some(record) = applier.outcome(id, outcome) else { continue };
                            self.log.push(format!("end {} {}", verb(record.action), record.address));
                            self.append(Event::Outcome(record));
                            outcomes += 1;
                            if self.cancel_after == Some(outcomes) {
                                applier.cancel();
                            }
                        }
                    }
                }
            }
        }
    }

    /// Plans and applies, and expects both to go well.
    pub fn up(&mut self, definitions: &str) {
        let plan = self.plan(definitions, PlanMode::Normal);
        let plan = plan.unwrap_or_else(|problems| panic!("{}", self.complaints(&problems)));
        let report = self.apply(plan, definitions);
        assert!(report.is_success(), "{report:#?}");
    }

    fn perform(&mut self, command: &Command) -> Outcome {
        let address = command.address().clone();
        let name = match command {
            Command::Create { .. } => "create",
            Command::Update { .. } => "update",
            Command::Delete { .. } => "delete",
            Command::Provision { .. } => "provision",
        };
        let kind = Arc::clone(&address.resource.kind);
        let identity = command.identity().to_string();
        let fails = self.failing.contains(&format!("{name} {address}"));
        let half = self.failing.contains(&format!("half {name} {address}"));
        let failed = |value| Outcome::failed(Failure::new("it broke", "It was made to."), value, None);
        match command {
            _ if fails => failed(self.objects.get(&identity).map(|(_, value)| value.clone())),
            Command::Create { identity, config, planned, .. } | Command::Update { identity, config, planned, .. } => {
                let value = made(&kind, planned, config, identity);
                self.objects.insert(identity.to_string(), (address.clone(), value.clone()));
                if kind.as_ref() == "andon_host" {
                    self.unclean.remove(&address.to_string());
                }
                if half { failed(Some(value)) } else { Outcome::done(Some(value), None) }
            }
            Command::Provision { runs, .. } => {
                for run in runs {
                    let command = run.config.get("command").map(|it| andon_value::render(it, 0)).unwrap_or_default();
                    self.log.push(format!("run {} of {address}: {command}", run.kind));
                    if command.contains("fail") && !run.continues {
                        return failed(None);
                    }
                }
                Outcome::done(None, None)
            }
            Command::Delete { .. } => {
                assert!(self.objects.remove(&identity).is_some(), "{address} {identity} is not there to delete");
                let users = self.objects.values().filter(|_| self.strict);
                for (user, value) in users.filter(|(user, _)| user.resource != address.resource) {
                    let shown = andon_value::render(value, 0);
                    assert!(!shown.contains(&identity), "{address} {identity} is deleted, and {user} uses it: {shown}");
                }
                Outcome::done(None, None)
            }
        }
    }

    pub fn append(&mut self, event: Event) {
        self.sequence += 1;
        self.entries.push(Entry {
            sequence: self.sequence,
            at: Timestamp(0),
            run: RunId("r".into()),
            environment: "default".into(),
            event: event.clone(),
        });
        let state = &mut self.state;
        match event {
            Event::Intent(intent) => drop(state.pending.insert(intent.identity.clone(), intent)),
            Event::Outcome(OutcomeRecord { address, action, identity, result, object, .. }) => {
                assert!(state.pending.remove(&identity).is_some());
                let instance = state.instances.entry(address.clone()).or_default();
                instance.deposed.retain(|object| object.identity != identity || action != Action::Delete);
                let is_current = instance.current.as_ref().is_some_and(|current| current.identity == identity);
                match object {
                    Some(object) if is_current => instance.current = Some(object),
                    Some(object) if action == Action::Delete => instance.deposed.push(object),
                    Some(object) => {
                        assert!(object.status == ObjectStatus::Tainted || !matches!(result, Tried::Failed(_)));
                        instance.deposed.extend(instance.current.replace(object));
                    }
                    None if is_current => instance.current = None,
                    None => {}
                }
                if instance.current.is_none() && instance.deposed.is_empty() {
                    state.instances.remove(&address);
                }
            }
            Event::Observed { address, value, .. } => {
                let instance = state.instances.get_mut(&address).unwrap();
                match value {
                    Some(value) => instance.current.as_mut().unwrap().value = value,
                    None => instance.current = None,
                }
                if instance.current.is_none() && instance.deposed.is_empty() {
                    state.instances.remove(&address);
                }
            }
            Event::Depends { address, identity, dependencies, create_before_destroy } => {
                let object = state.instances.get_mut(&address).unwrap().current.as_mut().unwrap();
                assert_eq!(object.identity, identity);
                (object.dependencies, object.create_before_destroy) = (dependencies, create_before_destroy);
            }
            Event::Marked { address, identity, status } => {
                let object = state.instances.get_mut(&address).unwrap().current.as_mut().unwrap();
                assert_eq!(object.identity, identity);
                assert_ne!(object.status, status);
                self.log.push(format!("{address} is {status:?}"));
                object.status = status;
            }
            Event::Checked { stack, results } => drop(state.checked.insert(stack, results)),
            Event::Published { stack, outputs } => drop(state.published.insert(stack, outputs)),
            Event::Withdrawn { stack } => drop(state.published.remove(&stack)),
            Event::Moved { from, to } => {
                let instance = state.instances.remove(&from).expect("what moves is there");
                assert!(state.instances.insert(to, instance).is_none(), "where it goes is free");
            }
            Event::Adopted { address, object, deposed: false } => {
                self.objects.insert(object.identity.to_string(), (address.clone(), object.value.clone()));
                state.instances.entry(address).or_default().current = Some(object);
            }
            Event::Forgotten { address, identity } => {
                let instance = state.instances.get_mut(&address).unwrap();
                let count = instance.objects().count();
                instance.current.take_if(|object| object.identity == identity);
                instance.deposed.retain(|object| object.identity != identity);
                assert_eq!(instance.objects().count() + 1, count);
                if instance.is_empty() {
                    state.instances.remove(&address);
                }
            }
            Event::DataRead { address, data } => drop(state.data.insert(address, data)),
            Event::DataDropped { address } => drop(state.data.remove(&address)),
            other => panic!("{other:?}"),
        }
    }

    /// The identities of all objects of the state.
    pub fn known(&self) -> BTreeSet<String> {
        self.state.objects().map(|(_, object)| object.identity.to_string()).collect()
    }

    pub fn complaints(&self, problems: &Diagnostics) -> String {
        let mut text = String::new();
        for problem in problems {
            let place = problem.span.map(|span| self.sources.locate(span)).unwrap_or_default();
            let _ = writeln!(text, "{}: {}", place, problem.summary);
        }
        text
    }
}

enum Open {
    Question(andon_plan::QuestionId, Question),
    Command(andon_plan::CommandId, Command),
}

/// Files from one text: `== path` begins each; without that, it is one `main.tf`.
fn split(text: &str) -> Vec<(String, String)> {
    let mut files = vec![("main.tf".to_owned(), String::new())];
    for line in text.lines() {
        match line.trim().strip_prefix("== ") {
            Some(path) => files.push((path.to_owned(), String::new())),
            None => {
                let content = &mut files.last_mut().unwrap().1;
                content.push_str(line);
                content.push('\n');
            }
        }
    }
    files.retain(|(_, content)| !content.trim().is_empty());
    files
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
    }
}

/// A plan as text: every change with what it sets, every step with what it waits for.
pub fn render(plan: &Plan) -> String {
    let mut text = String::new();
    for (from, to) in &plan.moves {
        let _ = writeln!(text, "move {from} to {to}");
    }
    for adoption in &plan.adopted {
        let _ = writeln!(text, "import {}", adoption.address);
    }
    for change in &plan.changes {
        let action = match &change.action {
            PlannedAction::Replace { order, because } => {
                let order = if *order == ReplaceOrder::CreateFirst { "create first" } else { "delete first" };
                let because: Vec<String> = because.iter().map(ToString::to_string).collect();
                format!("replace ({order}; {})", because.join(", "))
            }
            PlannedAction::Delete => "delete".to_owned(),
            PlannedAction::DeleteDeposed => "delete deposed".to_owned(),
            other => other.to_string(),
        };
        let was = change.previous.as_ref().map(|from| format!(", which was {from}")).unwrap_or_default();
        let _ = writeln!(text, "{action} {}{was}", change.address);
    }
    for step in &plan.steps {
        let after: Vec<String> = step.after.iter().map(|at| name(plan, *at)).collect();
        if !after.is_empty() && step.kind != StepKind::Gather {
            let _ = writeln!(text, "{} after {}", name_of(plan, step.kind), after.join(" and "));
        }
    }
    for output in plan.outputs.iter().filter(|output| output.changes()) {
        let after = output.after.as_ref().map_or("gone".to_owned(), shown);
        let stack = if output.stack.is_empty() { String::new() } else { format!("{}/", output.stack) };
        let _ = writeln!(text, "output {stack}{} = {after}", output.name);
    }
    for drift in &plan.drift {
        let how = match (&drift.after, &drift.report) {
            (None, _) => "gone",
            (Some(_), Some(_)) => "unlike its role",
            (Some(_), None) => "changed",
        };
        let _ = writeln!(text, "drift {} {how}", drift.address);
    }
    for depends in &plan.depends {
        let names: Vec<String> = depends.dependencies.iter().map(ToString::to_string).collect();
        let first = if depends.create_before_destroy { " (create first)" } else { "" };
        let _ = writeln!(text, "{} now depends on [{}]{first}", depends.address, names.join(", "));
    }
    for note in &plan.notes {
        let _ = writeln!(text, "note {note}");
    }
    for results in plan.checks.values() {
        for it in results.iter().filter(|it| it.kind == CheckedKind::Check || it.status != CheckStatus::Pass) {
            let _ = writeln!(text, "{} {}: {} {:?}", it.kind, it.object, it.status, it.problems);
        }
    }
    for deferred in &plan.deferred {
        let _ = writeln!(text, "deferred {deferred}");
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning {}", warning.summary);
    }
    if text.is_empty() { format!("no changes; {} unchanged\n", plan.unchanged) } else { text }
}

fn name(plan: &Plan, step: usize) -> String {
    let step = &plan.steps[step];
    if step.kind == StepKind::Gather {
        let all: Vec<String> = step.after.iter().map(|at| name(plan, *at)).collect();
        return format!("[{}]", all.join(" and "));
    }
    name_of(plan, step.kind)
}

fn name_of(plan: &Plan, kind: StepKind) -> String {
    match kind {
        StepKind::Make(change) => format!("make {}", plan.changes[change].address),
        StepKind::Remove(change) => format!("remove {}", plan.changes[change].address),
        StepKind::Gather => "gather".to_owned(),
    }
}

pub fn shown(value: &Value) -> String {
    if value.is_sensitive() {
        return "(sensitive)".to_owned();
    }
    if value.is_unknown() {
        return "(unknown)".to_owned();
    }
    andon_value::render(value, 0)
}
