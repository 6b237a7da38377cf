//! `andon_value`: one value of the registry, published by a resource, and read by a data source.
//!
//! The registry is what the states say: beside the outputs of each stack, the objects of `andon_value`. What a run
//! publishes can be read within it, so that a data source that waits for a resource gives what that has published.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use andon_lang::definitions::Project;
use andon_ledger::{Action, Intent, State};
use andon_plan::VALUE;
use andon_schema::{Attribute, Failure, Identity, InstanceAddress, Object, Outcome, TypeSchema};
use andon_text::nearest;
use andon_value::{Marks, Type, Value};

use super::{Planned, Provider, Published, Request, one_type, plain_outcome};
use crate::Found;

/// What one stack has published by `andon_value`: by name, who did and what.
type Names = BTreeMap<Arc<str>, (InstanceAddress, Value)>;

/// An environment, and a stack in it.
type At = (Arc<str>, Arc<str>);

/// The registry, as this process knows it.
#[derive(Debug, Default)]
pub struct Registry {
    values: Mutex<BTreeMap<At, Names>>,
}

/// Publishes values.
#[derive(Clone, Default)]
pub struct ValueProvider {
    /// Where they are published.
    pub registry: Arc<Registry>,
    /// What has outputs, whose names are taken.
    pub project: Arc<Project>,
    /// The environment that it works in.
    pub environment: Arc<str>,
}

/// The schema of the resource that publishes a value.
pub fn schemas() -> BTreeMap<String, TypeSchema> {
    let attributes = [
        ("name", Attribute::required(Type::String, "What it is called among the values of its stack.")),
        ("value", Attribute::required(Type::Dynamic, "The value to publish.")),
        ("id", Attribute::computed(Type::String, "Where it is in the registry: environment, stack and name.")),
    ];
    one_type(VALUE, "Publishes one value to the registry, for other stacks and environments to read.", attributes)
}

/// The schema of the data source that reads one.
pub fn data_schemas() -> BTreeMap<String, TypeSchema> {
    let attributes = [
        ("name", Attribute::required(Type::String, "The name of the value, or of an output.")),
        ("stack", Attribute::optional(Type::String, "The stack that publishes it; this one without it.")),
        ("environment", Attribute::optional(Type::String, "The environment that it is of; this one without it.")),
        ("default", Attribute::optional(Type::Dynamic, "What to give where nothing is published by that name.")),
        ("value", Attribute::computed(Type::Dynamic, "The value that is published.")),
    ];
    let description = "Reads one value of the registry: what an `andon_value` or an output has published. Of another \
                       stack of the same environment, it is read once all that this run changes there is done.";
    one_type(VALUE, description, attributes)
}

impl Registry {
    /// The registry that a state amounts to.
    pub fn of(state: &State) -> Registry {
        let registry = Registry::default();
        for (environment, here) in &state.environments {
            let objects = here.instances.iter().filter(|(address, _)| &*address.resource.kind == VALUE);
            for (address, instance) in objects {
                if let Some(object) = &instance.current {
                    registry.put(environment, address, &object.value);
                }
            }
        }
        registry
    }

    fn put(&self, environment: &Arc<str>, address: &InstanceAddress, object: &Value) {
        let Some(name) = object.get_str("name") else { return };
        let value = object.get("value").cloned().unwrap_or(Value::NULL);
        let value = if object.marks() == Marks::NONE { value } else { value.mark(object.marks()) };
        let at = (Arc::clone(environment), Arc::clone(&address.resource.stack));
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.entry(at).or_default().insert(name.into(), (address.clone(), value));
    }

    /// Takes a value back, unless another has published by that name since.
    fn take(&self, environment: &Arc<str>, address: &InstanceAddress, object: &Value) {
        let Some(name) = object.get_str("name") else { return };
        let at = (Arc::clone(environment), Arc::clone(&address.resource.stack));
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = values.get_mut(&at)
            && names.get(name).is_some_and(|(holder, _)| holder == address)
        {
            names.remove(name);
        }
    }

    fn holder(&self, environment: &Arc<str>, stack: &Arc<str>, name: &str) -> Option<InstanceAddress> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let names = values.get(&(Arc::clone(environment), Arc::clone(stack)))?;
        names.get(name).map(|(holder, _)| holder.clone())
    }

    /// What a `data "andon_value"` asks for.
    pub fn read(
        &self,
        config: &Value,
        address: &InstanceAddress,
        environment: &Arc<str>,
        published: &Published,
    ) -> Result<Value, Failure> {
        let (plain, _) = config.unmark_deep();
        let given = |name: &str| plain.get_str(name).filter(|text| !text.is_empty()).map(Arc::<str>::from);
        let environment = given("environment").unwrap_or_else(|| Arc::clone(environment));
        let stack = given("stack").unwrap_or_else(|| Arc::clone(&address.resource.stack));
        let name = given("name").unwrap_or_default();
        let outputs = published.get(&environment).and_then(|stacks| stacks.get(&stack));
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let names = values.get(&(Arc::clone(&environment), Arc::clone(&stack)));
        let found = names.and_then(|names| names.get(&name)).map(|(_, value)| value);
        let default = config.get("default").filter(|default| !default.is_null());
        let Some(value) = found.or_else(|| outputs?.get(&name)).or(default).cloned() else {
            let known =
                names.into_iter().flat_map(|names| names.keys()).chain(outputs.into_iter().flat_map(|it| it.keys()));
            return Err(missing(&environment, &stack, &name, known.map(|name| &**name)));
        };
        let attribute = |name: &'static str| (name, config.get(name).cloned().unwrap_or(Value::NULL));
        let given = ["name", "stack", "environment", "default"].map(attribute);
        Ok(Value::object(given.into_iter().chain([("value", value)])))
    }
}

/// Where a value is in the registry. A project of one stack has no name for it.
fn place(environment: &str, stack: &str, name: &str) -> String {
    [environment, stack, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn missing<'n>(environment: &str, stack: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Failure {
    let known: Vec<&str> = known.collect();
    let detail = match (nearest(name, known.iter().copied()), known.is_empty()) {
        (Some(near), _) => format!("Something is published there as {near:?}."),
        (None, true) => "Nothing is published there yet.".to_owned(),
        (None, false) => format!("These are published there: {}.", known.join(", ")),
    };
    Failure::new(format!("nothing is published as {}", place(environment, stack, name)), detail)
        .help("Apply first what publishes it, or say with `default` what to take until then.")
}

impl ValueProvider {
    fn object(&self, request: &Request<'_>) -> Value {
        let given = |name: &'static str| (name, request.config.get(name).cloned().unwrap_or(Value::NULL));
        let name = request.config.get("name").cloned().unwrap_or(Value::NULL);
        let (plain, marks) = name.unmark();
        let id = match plain.as_str() {
            Some(name) => Value::from(place(&self.environment, &request.address.resource.stack, name)),
            None => Value::unknown(Type::String).not_null(),
        };
        let id = if marks == Marks::NONE { id } else { id.mark(marks) };
        Value::object([given("name"), given("value"), ("id", id)])
    }

    /// A name of a stack stands for one value.
    fn free(&self, request: &Request<'_>) -> Result<(), Failure> {
        let Some(name) = request.config.get_str("name") else { return Ok(()) };
        let stack = &request.address.resource.stack;
        let taken = |by: String| {
            let detail = format!("{by} publishes a value by that name.");
            let place = place(&self.environment, stack, name);
            Err(Failure::new(format!("{place} is published by something else"), detail)
                .help("Give one of them another name."))
        };
        let outputs = self.project.stacks.get(stack).map(|stack| &stack.module.outputs);
        if outputs.is_some_and(|outputs| outputs.contains_key(name)) {
            return taken(format!("The output {name:?}"));
        }
        match self.registry.holder(&self.environment, stack, name) {
            Some(holder) if holder != *request.address => taken(holder.within_stack()),
            _ => Ok(()),
        }
    }

    fn publish(&self, request: &Request<'_>) -> Outcome {
        if let Err(failure) = self.free(request) {
            return Outcome::failed(failure, request.prior.cloned(), None);
        }
        let object = self.object(request);
        self.registry.put(&self.environment, request.address, &object);
        plain_outcome(Ok(Some(object)))
    }
}

impl Provider for ValueProvider {
    fn schemas(&self) -> BTreeMap<String, TypeSchema> {
        schemas()
    }

    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure> {
        let name = request.config.get("name").cloned().unwrap_or(Value::NULL);
        if let Some(text) = name.as_str() {
            if text.is_empty() {
                return Err(Failure::new("a published value has a name", "This one is empty.").help("Give it a name."));
            }
            let outputs = self.project.stacks.get(&request.address.resource.stack).map(|stack| &stack.module.outputs);
            if outputs.is_some_and(|outputs| outputs.contains_key(&**text)) {
                self.free(request)?;
            }
        }
        let renamed = request.prior.is_some_and(|prior| prior.get("name") != Some(&name));
        let replace = if renamed { vec!["name".to_owned()] } else { Vec::new() };
        Ok(Planned { value: self.object(request), replace, report: None })
    }

    fn read(&self, _: &InstanceAddress, _: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        Ok(Some(prior.clone()))
    }

    fn create(&self, request: &Request<'_>, _: &Value) -> Outcome {
        self.publish(request)
    }

    fn update(&self, request: &Request<'_>, _: &Value) -> Outcome {
        self.publish(request)
    }

    fn delete(&self, address: &InstanceAddress, _: &Identity, prior: &Value, _: &dyn Fn(&str)) -> Outcome {
        self.registry.take(&self.environment, address, prior);
        plain_outcome(Ok(None))
    }

    fn resolve(&self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure> {
        // The state is the registry, and the state did not get it.
        Ok(match (intent.action, object) {
            (Action::Update, Some(object)) => Found::There(object.value.clone()),
            _ => Found::Absent,
        })
    }
}
