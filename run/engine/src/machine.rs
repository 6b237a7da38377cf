//! The real world: providers on this machine, called from a pool of threads.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use andon_ledger::Progress;
use andon_plan::VALUE;
use andon_schema::{Answer, Command, Failure, InstanceAddress, Outcome, Question, Schemas};
use andon_value::Value;

use crate::provider::{
    BOOTSTRAP, LabProvider, Planned, PluginHost, Provider, Published, Request, ValueProvider, read_bootstrap,
    read_remote_state,
};
use crate::{Completion, Job, Plugins, Ticket, World};

/// Providers by resource type.
#[derive(Clone, Default)]
pub struct Providers {
    by_type: BTreeMap<String, Arc<dyn Provider>>,
    schemas: Schemas,
    plugins: Arc<Plugins>,
    directories: BTreeMap<Arc<str>, PathBuf>,
    published: Published,
    values: ValueProvider,
    lab: Option<LabProvider>,
}

impl Providers {
    /// Adds a provider's types.
    pub fn add(&mut self, provider: Arc<dyn Provider>) {
        for (kind, schema) in provider.schemas() {
            self.by_type.insert(kind.clone(), Arc::clone(&provider));
            self.schemas.resources.insert(kind, schema);
        }
    }

    /// Has these plugins answer for what is theirs.
    pub fn set_plugins(&mut self, plugins: Arc<Plugins>) {
        self.plugins = plugins;
    }

    /// Has `terraform_remote_state` find this in the ledger.
    pub fn set_published(&mut self, published: Published) {
        self.published = published;
    }

    /// Has `andon_value` publish to, and find in, this registry.
    pub fn set_values(&mut self, values: ValueProvider) {
        self.add(Arc::new(values.clone()));
        self.values = values;
    }

    /// Has the lab make what is on this machine.
    pub fn set_lab(&mut self, lab: LabProvider) {
        self.add(Arc::new(lab.clone()));
        self.lab = Some(lab);
    }

    /// The same, at work in one environment: what is published is its, and so are servers' names.
    pub fn in_environment(mut self, environment: &Arc<str>) -> Providers {
        if let Some(lab) = self.lab.take() {
            self.set_lab(lab.in_environment(environment));
        }
        let values = ValueProvider { environment: Arc::clone(environment), ..self.values.clone() };
        self.set_values(values);
        self
    }

    /// What a data source gives that is built in.
    fn read_data(&self, address: &InstanceAddress, config: &Value) -> Result<Value, Failure> {
        match &*address.resource.kind {
            "terraform_remote_state" => read_remote_state(config, self.directory(address), &self.published),
            BOOTSTRAP => read_bootstrap(config),
            VALUE => self.values.registry.read(config, address, &self.values.environment, &self.published),
            kind => Err(Failure::new(format!("there is no data source {kind}"), "No provider at hand has it.")),
        }
    }

    /// The directory that the paths of a stack start from.
    fn directory(&self, address: &InstanceAddress) -> &Path {
        self.directories.get(&address.resource.stack).map_or(Path::new("."), |it| it)
    }

    /// Has the paths of each stack start from these directories.
    pub fn set_directories(&mut self, directories: BTreeMap<Arc<str>, PathBuf>) {
        self.directories = directories;
    }

    /// The schemas of all types.
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// Whether a job asks for nothing but a computation.
    fn only_compute(&self, job: &Job) -> bool {
        match job {
            Job::Ask(
                Question::PlanChange { address, via: None, .. } | Question::ReadObject { address, via: None, .. },
            ) => self.of(address).is_ok_and(|provider| provider.only_computes()),
            Job::Do(command) => self.only_computes(command),
            _ => false,
        }
    }

    /// Whether a command is only a computation.
    fn only_computes(&self, command: &Command) -> bool {
        let is_own = command.via().is_none() && !matches!(command, Command::Provision { .. });
        is_own && self.of(command.address()).is_ok_and(|provider| provider.only_computes())
    }

    fn of(&self, address: &InstanceAddress) -> Result<&Arc<dyn Provider>, Failure> {
        let kind = &*address.resource.kind;
        self.by_type.get(kind).ok_or_else(|| {
            Failure::new(format!("no provider for {kind}"), "No provider at hand has this resource type.")
        })
    }
}

/// A [`World`] of providers. Dropping it lets running work end and starts none of what waits.
pub struct Machine {
    shared: Arc<Shared>,
    completions: Receiver<Completion>,
    interrupt: Arc<AtomicBool>,
    told_of_interrupt: bool,
}

struct Shared {
    providers: Providers,
    plugins: PluginHost,
    queue: Mutex<Queue>,
    work_came: Condvar,
    sender: Mutex<Sender<Completion>>,
    interrupt: Arc<AtomicBool>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Ticket, Job)>,
    threads: usize,
    idle: usize,
    limit: usize,
    closed: bool,
}

impl Machine {
    /// A machine that does at most `parallelism` things at once, and reports an interrupt once `interrupt` is true.
    pub fn new(providers: Providers, parallelism: usize, interrupt: Arc<AtomicBool>) -> Machine {
        let (sender, completions) = channel();
        let queue = Mutex::new(Queue { limit: parallelism.max(1), ..Queue::default() });
        let plugins = PluginHost::new(Arc::clone(&providers.plugins));
        let (work_came, sender) = (Condvar::new(), Mutex::new(sender));
        let shared = Shared { providers, plugins, queue, work_came, sender, interrupt: Arc::clone(&interrupt) };
        Machine { shared: Arc::new(shared), completions, interrupt, told_of_interrupt: false }
    }
}

impl Machine {
    /// Whether a job is done as soon as it is started, as it needs nothing but a computation.
    pub(crate) fn asks_nobody(&self, job: &Job) -> bool {
        self.shared.providers.only_compute(job)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.closed = true;
        queue.jobs.clear();
        self.shared.work_came.notify_all();
        drop(queue);
        self.shared.plugins.end();
    }
}

impl World for Machine {
    fn start(&mut self, ticket: Ticket, job: Job) {
        if self.shared.providers.only_compute(&job) {
            return self.shared.perform(ticket, job);
        }
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back((ticket, job));
        if queue.idle < queue.jobs.len() && queue.threads < queue.limit {
            queue.threads += 1;
            let shared = Arc::clone(&self.shared);
            let spawned = std::thread::Builder::new().name("driver".to_owned()).spawn(move || shared.work());
            if spawned.is_err() {
                // Those that run will take the work over; with none at all it is done here.
                queue.threads -= 1;
                let alone = queue.threads == 0;
                if alone && let Some((ticket, job)) = queue.jobs.pop_back() {
                    drop(queue);
                    self.shared.perform(ticket, job);
                }
                return;
            }
        }
        self.shared.work_came.notify_one();
    }

    fn wait(&mut self, at_most: Duration) -> Completion {
        if self.interrupt.load(Ordering::Relaxed) && !self.told_of_interrupt {
            self.told_of_interrupt = true;
            return Completion::Interrupted;
        }
        match self.completions.recv_timeout(at_most) {
            Ok(completion) => completion,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Completion::Quiet,
        }
    }

    fn parallelism(&self) -> usize {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).limit
    }

    fn only_computes(&self, command: &Command) -> bool {
        self.shared.providers.only_computes(command)
    }
}

impl Shared {
    fn work(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((ticket, job)) = queue.jobs.pop_front() {
                drop(queue);
                self.perform(ticket, job);
                queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            } else if queue.closed {
                queue.threads -= 1;
                return;
            } else {
                queue.idle += 1;
                queue = self.work_came.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }

    fn send(&self, completion: Completion) {
        // Nobody listens any more once the run has ended.
        let _ = self.sender.lock().unwrap_or_else(PoisonError::into_inner).send(completion);
    }

    fn say(&self, address: &InstanceAddress, text: &str) {
        let progress = Progress::Note { address: address.clone(), text: text.to_owned() };
        self.send(Completion::Progress(progress));
    }

    fn perform(&self, ticket: Ticket, job: Job) {
        let address = match &job {
            Job::Ask(Question::CallFunction(call)) => {
                let answer = self.plugins.call(call);
                return self.send(Completion::Answered(ticket, Answer::Function(answer)));
            }
            Job::Ask(
                Question::PlanChange { address, .. }
                | Question::ReadObject { address, .. }
                | Question::ReadData { address, .. }
                | Question::Import { address, .. }
                | Question::MoveObject { address, .. }
                | Question::OpenEphemeral { address, .. },
            ) => address,
            Job::Do(command) => command.address(),
            Job::Resolve { intent, .. } => &intent.address,
        };
        let plugins = &self.plugins;
        match &job {
            Job::Ask(question) if question.via().is_some() => {
                return self.send(Completion::Answered(ticket, plugins.answer(question)));
            }
            Job::Do(command) if command.via().is_some() => {
                let say = |text: &str| self.say(address, text);
                return self.send(Completion::Finished(ticket, plugins.execute(command, &say)));
            }
            _ => {}
        }
        if let Job::Do(Command::Provision { runs, .. }) = &job {
            let directory = self.providers.directory(address);
            let say = |text: &str| self.say(address, text);
            let place = andon_provision::Place { directory, interrupt: &self.interrupt, say: &say };
            let outcome = match andon_provision::run(runs, &place) {
                Ok(()) => Outcome::done(None, None),
                Err(failure) => Outcome::failed(failure, None, None),
            };
            return self.send(Completion::Finished(ticket, outcome));
        }
        if let Job::Ask(Question::ReadData { config, .. }) = &job {
            let answer = self
                .providers
                .read_data(address, config)
                .map_or_else(Answer::Failed, |value| Answer::Object(Some(value)));
            return self.send(Completion::Answered(ticket, answer));
        }
        let provider = self.providers.of(address);
        let say = |text: &str| self.say(address, text);
        let work = || match (&job, provider) {
            (Job::Ask(question), Ok(provider)) => Completion::Answered(ticket, answer(&**provider, question, &say)),
            (Job::Do(command), Ok(provider)) => Completion::Finished(ticket, execute(&**provider, command, &say)),
            (Job::Resolve { intent, object }, Ok(provider)) => {
                Completion::Resolved(ticket, provider.resolve(intent, object.as_ref()))
            }
            (Job::Ask(_), Err(failure)) => Completion::Answered(ticket, Answer::Failed(failure)),
            (Job::Do(command), Err(failure)) => {
                let value = prior_of(command);
                Completion::Finished(ticket, Outcome::failed(failure, value, None))
            }
            (Job::Resolve { .. }, Err(failure)) => Completion::Resolved(ticket, Err(failure)),
        };
        // Whoever waits for a driver that broke off would wait for ever.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        self.send(done.unwrap_or_else(|_| broke_off(ticket, &job)));
    }
}

/// What is said for a driver that came to an end by itself.
fn broke_off(ticket: Ticket, job: &Job) -> Completion {
    let failure = Failure::new("the driver broke off", "It came to an end by itself, which is a fault of Andon.")
        .help("Run the command again: it goes on from what the ledger holds.");
    match job {
        Job::Ask(_) => Completion::Answered(ticket, Answer::Failed(failure)),
        Job::Do(_) => Completion::Finished(ticket, Outcome::Lost(failure)),
        Job::Resolve { .. } => Completion::Resolved(ticket, Err(failure)),
    }
}

fn prior_of(command: &Command) -> Option<andon_value::Value> {
    match command {
        Command::Create { .. } | Command::Provision { .. } => None,
        Command::Update { prior, .. } | Command::Delete { prior, .. } => Some(prior.clone()),
    }
}

fn answer(provider: &dyn Provider, question: &Question, say: &dyn Fn(&str)) -> Answer {
    match question {
        Question::PlanChange { address, identity, prior, config, .. } => {
            let request = Request { address, identity: identity.as_ref(), prior: prior.as_ref(), config, say };
            match provider.plan(&request) {
                Ok(Planned { value, replace, report }) => {
                    Answer::Planned(Box::new(andon_schema::Planned::new(value, &replace, report)))
                }
                Err(failure) => Answer::Failed(failure),
            }
        }
        Question::ReadObject { address, identity, prior, .. } => {
            provider.read(address, identity, prior).map_or_else(Answer::Failed, Answer::Object)
        }
        Question::CallFunction(_) => Answer::Failed(Failure::new("this provider has no functions", "A plugin has.")),
        Question::ReadData { address, .. }
        | Question::Import { address, .. }
        | Question::MoveObject { address, .. }
        | Question::OpenEphemeral { address, .. } => {
            let kind = &address.resource.kind;
            Answer::Failed(Failure::new(format!("{kind} cannot do that"), "Only what a plugin offers can."))
        }
    }
}

fn execute(provider: &dyn Provider, command: &Command, say: &dyn Fn(&str)) -> Outcome {
    match command {
        Command::Create { address, identity, config, planned, .. } => {
            let request = Request { address, identity: Some(identity), prior: None, config, say };
            provider.create(&request, planned)
        }
        Command::Update { address, identity, prior, config, planned, .. } => {
            let request = Request { address, identity: Some(identity), prior: Some(prior), config, say };
            provider.update(&request, planned)
        }
        Command::Delete { address, identity, prior, makes_way_for, .. } => {
            // What the next one needs and is not to be had is found out while this one is still there.
            match makes_way_for.as_ref().map_or(Ok(()), |planned| provider.prepare(planned, say)) {
                Ok(()) => provider.delete(address, identity, prior, say),
                Err(failure) => Outcome::failed(failure, Some(prior.clone()), None),
            }
        }
        Command::Provision { .. } => {
            let failure = Failure::new("no provider runs provisioners", "A driver is at fault.");
            Outcome::failed(failure, None, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use andon_ledger::Intent;
    use andon_schema::{Attribute, Block, Identity, Object, TypeSchema};
    use andon_value::Type;

    use super::*;
    use crate::Found;

    /// A driver that breaks off, and that can do without all images but one.
    struct Brittle;

    impl Provider for Brittle {
        fn schemas(&self) -> BTreeMap<String, TypeSchema> {
            let attributes = [("name".to_owned(), Attribute::required(Type::String, "Any."))].into();
            [("brittle".to_owned(), TypeSchema::of(Block { attributes, ..Block::default() }))].into()
        }

        fn plan(&self, _: &Request<'_>) -> Result<Planned, Failure> {
            std::panic::resume_unwind(Box::new("no more threads"))
        }

        fn read(&self, _: &InstanceAddress, _: &Identity, _: &Value) -> Result<Option<Value>, Failure> {
            Ok(None)
        }

        fn create(&self, _: &Request<'_>, _: &Value) -> Outcome {
            std::panic::resume_unwind(Box::new("no more threads"))
        }

        fn update(&self, _: &Request<'_>, _: &Value) -> Outcome {
            Outcome::done(None, None)
        }

        fn prepare(&self, planned: &Value, _: &dyn Fn(&str)) -> Result<(), Failure> {
            match planned.as_str().is_some_and(|image| &**image == "absent") {
                true => Err(Failure::new("there is no such image", "")),
                false => Ok(()),
            }
        }

        fn delete(&self, _: &InstanceAddress, _: &Identity, _: &Value, _: &dyn Fn(&str)) -> Outcome {
            Outcome::done(None, None)
        }

        fn resolve(&self, _: &Intent, _: Option<&Object>) -> Result<Found, Failure> {
            Ok(Found::Absent)
        }
    }

    fn done(job: Job) -> Completion {
        let mut providers = Providers::default();
        providers.add(Arc::new(Brittle));
        let mut machine = Machine::new(providers, 1, Arc::default());
        machine.start(Ticket(0), job);
        machine.wait(Duration::from_secs(60))
    }

    fn address() -> InstanceAddress {
        InstanceAddress::parse("stack/brittle.it").unwrap()
    }

    #[test]
    fn nobody_waits_for_a_driver_that_broke_off() {
        let (config, planned) = (Value::NULL, Value::NULL);
        let asked = done(Job::Ask(Question::PlanChange {
            address: address(),
            identity: None,
            via: None,
            prior: None,
            proposed: None,
            config: config.clone(),
            written: None,
        }));
        assert!(matches!(&asked, Completion::Answered(_, Answer::Failed(_))), "{asked:?}");
        let identity = Identity::from_random(7);
        let made = done(Job::Do(Command::Create { address: address(), identity, via: None, config, planned }));
        assert!(matches!(&made, Completion::Finished(_, Outcome::Lost(_))), "{made:?}");
    }

    #[test]
    fn what_makes_way_stays_where_nothing_can_take_its_place() {
        let check = |next: Option<&str>, stays: bool| {
            let made = done(Job::Do(Command::Delete {
                address: address(),
                identity: Identity::from_random(7),
                via: None,
                prior: Value::from("old"),
                asked: true,
                makes_way_for: next.map(Value::from),
            }));
            let kept = matches!(&made, Completion::Finished(_, Outcome::Failed { value: Some(_), .. }));
            assert_eq!(kept, stays, "{made:?}");
        };
        check(None, false);
        check(Some("there"), false);
        check(Some("absent"), true);
    }
}
