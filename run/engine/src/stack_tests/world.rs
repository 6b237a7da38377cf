//! The world of a test: what is mocked or overridden is answered here, at once and by nobody; everything else goes to
//! the real providers, which are started for the first such question.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use andon_lang::definitions::{Target, implied_name};
use andon_plan::{mock_import, mock_object, mock_plan};
use andon_schema::{
    Answer, Block, Command, Failure, FoundObject, InstanceAddress, Kept, Mode, Outcome, Planned, ProviderAddress,
    Question, Schemas, Via,
};
use andon_value::Value;

use crate::{Completion, Job, Machine, Providers, Ticket, World};

/// What a mocked provider, or an override, gives.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// The attributes that a provider would have decided, as an object.
    pub values: Value,
    /// Whether they are known to a plan already.
    pub during_plan: bool,
    /// Where the file says so: `path:line:column`.
    pub place: Arc<str>,
}

/// What a mocked provider gives by type, and whether a plan knows what nothing is said of.
#[derive(Debug, Clone, Default)]
pub(super) struct MockedProvider {
    pub types: BTreeMap<(Mode, Arc<str>), Given>,
    pub during_plan: bool,
}

/// What is not asked of the real world.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// By target; the first that fits counts.
    pub overrides: Vec<(Target, Given)>,
    /// By the root module's configuration of the provider.
    pub mocked: BTreeMap<(ProviderAddress, Option<Arc<str>>), MockedProvider>,
}

pub(super) struct TestWorld {
    rules: Rules,
    schemas: Arc<Schemas>,
    providers: Providers,
    parallelism: usize,
    machine: Option<Machine>,
    ready: VecDeque<Completion>,
    interrupt: Arc<AtomicBool>,
    told_of_interrupt: bool,
    /// What data sources gave.
    pub data: BTreeMap<InstanceAddress, Value>,
    asked: BTreeMap<Ticket, InstanceAddress>,
}

impl Rules {
    /// Whether an override names the instance.
    fn is_overridden(&self, address: &InstanceAddress) -> bool {
        self.overrides.iter().any(|(target, _)| covers(target, address))
    }

    /// What is given for an instance; `None` where the real world is asked.
    fn given(&self, address: &InstanceAddress, via: Option<&Via>) -> Option<Given> {
        if let Some((_, given)) = self.overrides.iter().find(|(target, _)| covers(target, address)) {
            return Some(given.clone());
        }
        let provider = match via {
            Some(via) => {
                let of = &via.provider.address;
                self.mocked.get(&(of.provider.clone(), of.alias.clone())).filter(|_| of.module.is_empty())
            }
            None => {
                let of = ProviderAddress::implied(implied_name(&address.resource.kind));
                self.mocked.get(&(of, None))
            }
        }?;
        let ty = (address.resource.mode, Arc::clone(&address.resource.kind));
        let given = provider.types.get(&ty).cloned();
        Some(given.unwrap_or(Given { values: Value::NULL, during_plan: provider.during_plan, place: "".into() }))
    }
}

/// Whether a target names an instance: one without keys names all instances.
fn covers(target: &Target, address: &InstanceAddress) -> bool {
    let Some((resource, key)) = &target.resource else { return false };
    let of = &address.resource;
    let steps = target.module.len() == of.module.len()
        && target
            .module
            .iter()
            .zip(of.module.iter())
            .all(|(step, of)| step.name == of.name && (step.key.is_none() || step.key == of.key));
    steps
        && resource.mode == of.mode
        && resource.kind == of.kind
        && resource.name == of.name
        && (key.is_none() || *key == address.key)
}

impl TestWorld {
    pub fn new(
        rules: Rules,
        schemas: Arc<Schemas>,
        providers: Providers,
        parallelism: usize,
        interrupt: Arc<AtomicBool>,
    ) -> TestWorld {
        TestWorld {
            rules,
            schemas,
            providers,
            parallelism,
            machine: None,
            ready: VecDeque::new(),
            interrupt,
            told_of_interrupt: false,
            data: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    fn schema(&self, address: &InstanceAddress, via: Option<&Via>) -> Option<(&Block, u64)> {
        let (mode, kind) = (address.resource.mode, &*address.resource.kind);
        let types = match via {
            Some(via) => self.schemas.providers.get(&via.provider.address.provider)?.types(mode),
            None => self.schemas.built_in(mode),
        };
        types.get(kind).map(|schema| (&schema.block, schema.version))
    }

    fn answer(&self, question: &Question, given: &Given) -> Result<Answer, Failure> {
        let (Some(address), via) = (question.address(), question.via()) else { return Err(unmockable()) };
        let (schema, version) = self.schema(address, via).ok_or_else(unmockable)?;
        let kept = Kept { schema_version: version, ..Kept::default() };
        Ok(match question {
            Question::PlanChange { config, .. } if config.is_null() => {
                Answer::Planned(Box::new(Planned { kept, ..Planned::new(Value::NULL, &[], None) }))
            }
            Question::PlanChange { prior, config, .. } => {
                let prior = prior.clone().unwrap_or(Value::NULL);
                let mut value = mock_plan(schema, &prior, config);
                // What an apply decides must be unknown until then, but what is given now is known now.
                if given.during_plan && config.is_wholly_known() {
                    value = made(schema, &value, given, address)?;
                }
                Answer::Planned(Box::new(Planned { kept, ..Planned::new(value, &[], None) }))
            }
            Question::ReadObject { prior, via, .. } => {
                let now = Some(prior.clone());
                match via {
                    None => Answer::Object(now),
                    Some(via) => {
                        let kept = via.kept.clone();
                        Answer::Found(Box::new(FoundObject { stored: prior.clone(), now, kept, warnings: Vec::new() }))
                    }
                }
            }
            Question::ReadData { config, .. } | Question::OpenEphemeral { config, .. } => {
                let open = mock_plan(schema, &Value::NULL, config);
                Answer::Object(Some(made(schema, &open, given, address)?))
            }
            Question::Import { .. } if self.rules.is_overridden(address) => {
                let values = mock_import(schema, &given.values, &address.within_stack());
                let stored = values.map_err(|wrong| unfit(wrong, given))?;
                let now = Some(stored.clone());
                Answer::Found(Box::new(FoundObject { stored, now, kept, warnings: Vec::new() }))
            }
            Question::Import { .. } | Question::MoveObject { .. } | Question::CallFunction(_) => {
                return Err(unmockable());
            }
        })
    }

    fn carry_out(&self, command: &Command, given: &Given) -> Outcome {
        let Some((schema, version)) = self.schema(command.address(), command.via()) else {
            return Outcome::failed(unmockable(), None, None);
        };
        let kept = Kept { schema_version: version, ..Kept::default() };
        match command {
            Command::Create { address, planned, .. } => match made(schema, planned, given, address) {
                Ok(value) => Outcome::Done { value: Some(value), report: None, kept },
                Err(failure) => Outcome::failed(failure, None, None),
            },
            Command::Update { address, planned, prior, .. } => match made(schema, planned, given, address) {
                Ok(value) => Outcome::Done { value: Some(value), report: None, kept },
                Err(failure) => Outcome::failed(failure, Some(prior.clone()), None),
            },
            Command::Delete { .. } | Command::Provision { .. } => Outcome::Done { value: None, report: None, kept },
        }
    }

    fn machine(&mut self) -> &mut Machine {
        let (providers, interrupt) = (&self.providers, &self.interrupt);
        let parallelism = self.parallelism;
        self.machine.get_or_insert_with(|| Machine::new(providers.clone(), parallelism, Arc::clone(interrupt)))
    }
}

impl World for TestWorld {
    fn start(&mut self, ticket: Ticket, job: Job) {
        let (address, via) = match &job {
            Job::Ask(question) => (question.address(), question.via()),
            Job::Do(command) => (Some(command.address()), command.via()),
            Job::Resolve { intent, .. } => (Some(&intent.address), None),
        };
        let given = address.and_then(|address| self.rules.given(address, via));
        let completion = match (&job, given) {
            (Job::Ask(question), Some(given)) => {
                Some(Completion::Answered(ticket, self.answer(question, &given).unwrap_or_else(Answer::Failed)))
            }
            (Job::Do(command), Some(given)) => Some(Completion::Finished(ticket, self.carry_out(command, &given))),
            _ => None,
        };
        if let Job::Ask(Question::ReadData { address, .. }) = &job {
            self.asked.insert(ticket, address.clone());
        }
        match completion {
            Some(completion) => self.ready.push_back(completion),
            None => self.machine().start(ticket, job),
        }
    }

    fn wait(&mut self, at_most: Duration) -> Completion {
        if self.interrupt.load(Ordering::Relaxed) && !self.told_of_interrupt {
            self.told_of_interrupt = true;
            return Completion::Interrupted;
        }
        let completion = match (self.ready.pop_front(), &mut self.machine) {
            (Some(ready), _) => ready,
            (None, Some(machine)) => match machine.wait(at_most) {
                // It has been said.
                Completion::Interrupted => Completion::Quiet,
                completion => completion,
            },
            (None, None) => Completion::Quiet,
        };
        if let Completion::Answered(ticket, answer) = &completion
            && let Some(address) = self.asked.remove(ticket)
            && let Answer::Object(Some(value)) = answer
        {
            self.data.insert(address, value.clone());
        }
        completion
    }

    fn parallelism(&self) -> usize {
        self.parallelism
    }

    fn only_computes(&self, command: &Command) -> bool {
        self.rules.given(command.address(), command.via()).is_some()
    }
}

fn made(schema: &Block, planned: &Value, given: &Given, address: &InstanceAddress) -> Result<Value, Failure> {
    mock_object(schema, planned, &given.values, &address.within_stack()).map_err(|wrong| unfit(wrong, given))
}

fn unfit(wrong: String, given: &Given) -> Failure {
    let place = if given.place.is_empty() { String::new() } else { format!(" It is given at {}.", given.place) };
    Failure::new("what a test gives does not fit the schema", format!("{wrong}{place}"))
}

fn unmockable() -> Failure {
    Failure::new("a mocked provider cannot do that", "It only plans, makes, reads and deletes.")
        .help("Override what needs it, or use the real provider in this test.")
}
