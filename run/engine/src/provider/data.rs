use std::collections::BTreeMap;

use andon_ledger::{Action, Intent};
use andon_schema::{Attribute, Failure, Identity, InstanceAddress, Object, Outcome, TypeSchema};
use andon_value::{Type, Value};
use sha2::{Digest, Sha256};

use super::{Planned, Provider, Request, one_type, plain_outcome};
use crate::Found;

/// `terraform_data`: a value that is kept in the state
/// (<https://developer.hashicorp.com/terraform/language/resources/terraform-data>).
pub struct DataProvider;

/// The schema of `terraform_remote_state`: the outputs of a state that is kept elsewhere
/// (<https://developer.hashicorp.com/terraform/language/state/remote-state-data>).
pub fn remote_state_schema() -> BTreeMap<String, TypeSchema> {
    let attributes = [
        ("backend", Attribute::required(Type::String, "The kind of place that the state is in.")),
        ("config", Attribute::optional(Type::Dynamic, "Where it is there.")),
        ("defaults", Attribute::optional(Type::Dynamic, "Values of outputs that the state does not have.")),
        ("workspace", Attribute::optional(Type::String, "The workspace whose state it is.")),
        ("outputs", Attribute::computed(Type::Dynamic, "The outputs of the state's root module.")),
    ];
    one_type("terraform_remote_state", "Reads the outputs of a state that is kept elsewhere.", attributes)
}

/// The schemas of its resource types, by name.
pub fn schemas() -> BTreeMap<String, TypeSchema> {
    let attributes = [
        ("input", Attribute::optional(Type::Dynamic, "A value to keep.")),
        ("output", Attribute::computed(Type::Dynamic, "The value of `input` after the apply.")),
        ("triggers_replace", Attribute::optional(Type::Dynamic, "A value whose change replaces the resource.")),
        ("id", Attribute::computed(Type::String, "A name that no other has.")),
    ];
    one_type("terraform_data", "Keeps a value, and is replaced when another changes.", attributes)
}

impl Provider for DataProvider {
    fn schemas(&self) -> BTreeMap<String, TypeSchema> {
        schemas()
    }

    fn only_computes(&self) -> bool {
        true
    }

    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure> {
        let given = |name: &str| request.config.get(name).cloned().unwrap_or(Value::NULL);
        let before = |name: &str| request.prior.and_then(|prior| prior.get(name)).cloned().unwrap_or(Value::NULL);
        let (input, triggers) = (given("input"), given("triggers_replace"));
        // What is a secret now and was none, or is none any more, is the same for all that.
        let replaced = request.prior.is_some() && plain(&triggers) != plain(&before("triggers_replace"));
        let id = if request.prior.is_some() { before("id") } else { Value::unknown(Type::String).not_null() };
        // As with Terraform's own: what is kept is known once it is kept, and only nothing is nothing at once.
        let kept = request.prior.is_some() && !replaced && plain(&input) == plain(&before("input"));
        let output = match kept || input.is_null() {
            true => plain(&input),
            false => Value::unknown(input.ty()),
        };
        let value = Value::object([("input", input), ("output", output), ("triggers_replace", triggers), ("id", id)]);
        let replace = if replaced { vec!["triggers_replace".to_owned()] } else { Vec::new() };
        Ok(Planned { value, replace, report: None })
    }

    fn read(&self, _: &InstanceAddress, _: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        Ok(Some(prior.clone()))
    }

    fn create(&self, request: &Request<'_>, _: &Value) -> Outcome {
        let id = request.identity.map_or(Value::NULL, |identity| uuid(identity.as_str()).into());
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

/// A value without marks: as with Terraform's own, no secret is kept in `output`, only what it says.
fn plain(value: &Value) -> Value {
    value.unmark_deep().0
}

/// A name in the form of a version 4 UUID, as Terraform's are; the same text has the same.
pub fn uuid(of: &str) -> String {
    let digest = Sha256::digest(of);
    let mut text = String::with_capacity(36);
    for (at, byte) in digest.iter().take(16).enumerate() {
        let byte = match at {
            6 => 0x40 | byte & 0x0f,
            8 => 0xa0 | byte & 0x0f,
            _ => *byte,
        };
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let digits = [byte >> 4, byte & 0x0f].map(|digit| char::from_digit(u32::from(digit), 16));
        text.extend(digits.into_iter().flatten());
    }
    text
}

fn with_output(config: &Value, id: Value) -> Value {
    let given = |name: &str| config.get(name).cloned().unwrap_or(Value::NULL);
    let input = given("input");
    Value::object([
        ("output", plain(&input)),
        ("input", input),
        ("triggers_replace", given("triggers_replace")),
        ("id", id),
    ])
}
