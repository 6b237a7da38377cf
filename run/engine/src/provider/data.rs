use std::collections::BTreeMap;

use andon_ledger::{Action, Intent};
use andon_schema::{Attribute, Block, Failure, Identity, InstanceAddress, Object, Outcome, TypeSchema};
use andon_value::{Type, Value};

use super::{Planned, Provider, Request, plain_outcome};
use crate::Found;

/// `terraform_data`: a value that is kept in the state
/// (<https://developer.hashicorp.com/terraform/language/resources/terraform-data>).
pub struct DataProvider;

/// The schema of `terraform_remote_state`: the outputs of a state that is kept elsewhere
/// (<https://developer.hashicorp.com/terraform/language/state/remote-state-data>).
pub fn remote_state_schema() -> TypeSchema {
    let attributes = [
        ("backend", Attribute::required(Type::String, "The kind of place that the state is in.")),
        ("config", Attribute::optional(Type::Dynamic, "Where it is there.")),
        ("defaults", Attribute::optional(Type::Dynamic, "Values of outputs that the state does not have.")),
        ("workspace", Attribute::optional(Type::String, "The workspace whose state it is.")),
        ("outputs", Attribute::computed(Type::Dynamic, "The outputs of the state's root module.")),
    ];
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    let description = "Reads the outputs of a state that is kept elsewhere.".to_owned();
    TypeSchema { block: Block { attributes, description, ..Block::default() }, version: 0 }
}

/// The schemas of its resource types, by name.
pub fn schemas() -> BTreeMap<String, TypeSchema> {
    let attributes = [
        ("input", Attribute::optional(Type::Dynamic, "A value to keep.")),
        ("output", Attribute::computed(Type::Dynamic, "The value of `input` after the apply.")),
        ("triggers_replace", Attribute::optional(Type::Dynamic, "A value whose change replaces the resource.")),
        ("id", Attribute::computed(Type::String, "A name that no other has.")),
    ];
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    let description = "Keeps a value, and is replaced when another changes.".to_owned();
    let block = Block { attributes, description, ..Block::default() };
    [("terraform_data".to_owned(), TypeSchema { block, version: 0 })].into()
}

impl Provider for DataProvider {
    fn schemas(&self) -> BTreeMap<String, TypeSchema> {
        schemas()
    }

    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure> {
        let given = |name: &str| request.config.get(name).cloned().unwrap_or(Value::NULL);
        let before = |name: &str| request.prior.and_then(|prior| prior.get(name)).cloned().unwrap_or(Value::NULL);
        let (input, triggers) = (given("input"), given("triggers_replace"));
        let replaced = request.prior.is_some() && triggers != before("triggers_replace");
        let id = if request.prior.is_some() { before("id") } else { Value::unknown(Type::String).not_null() };
        // An output that is known may be read by others in the same plan.
        let output = input.clone();
        let value = Value::object([("input", input), ("output", output), ("triggers_replace", triggers), ("id", id)]);
        let replace = if replaced { vec!["triggers_replace".to_owned()] } else { Vec::new() };
        Ok(Planned { value, replace, report: None })
    }

    fn read(&self, _: &InstanceAddress, _: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        Ok(Some(prior.clone()))
    }

    fn create(&self, request: &Request<'_>, _: &Value) -> Outcome {
        let id = request.identity.map_or(Value::NULL, |identity| Value::from(identity.as_str()));
        plain_outcome(Ok(Some(with_output(request.config, id))))
    }

    fn update(&self, request: &Request<'_>, _: &Value) -> Outcome {
        let id = request.prior.and_then(|prior| prior.get("id")).cloned().unwrap_or(Value::NULL);
        plain_outcome(Ok(Some(with_output(request.config, id))))
    }

    fn delete(&self, _: &InstanceAddress, _: &Identity, _: &Value, _: &dyn Fn(&str)) -> Outcome {
        plain_outcome(Ok(None))
    }

    fn resolve(&self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure> {
        // The state is the only place where the object lives, and the state did not get it.
        Ok(match (intent.action, object) {
            (Action::Update, Some(object)) => Found::There(object.value.clone()),
            _ => Found::Absent,
        })
    }
}

fn with_output(config: &Value, id: Value) -> Value {
    let given = |name: &str| config.get(name).cloned().unwrap_or(Value::NULL);
    let input = given("input");
    Value::object([
        ("output", input.clone()),
        ("input", input),
        ("triggers_replace", given("triggers_replace")),
        ("id", id),
    ])
}
