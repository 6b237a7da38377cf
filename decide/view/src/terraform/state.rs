//! What there is of a stack.

use std::collections::BTreeMap;

use andon_ledger::{EnvironmentState, ReadData};
use andon_plan::Closure;
use andon_schema::{InstanceAddress, InstanceKey, Object, ObjectStatus, ProviderAddress, ProviderConfigAddress};
use andon_value::{Value, type_to_json};
use serde_json::{Map, Value as Json, json};

use super::checks_json;
use super::configuration::mode;
use super::values::{Members, known, sensitive};

/// The state of a stack, in format 1.0. An empty one has no values.
pub fn terraform_state_json(state: &EnvironmentState, stack: &str, terraform_version: &str) -> Json {
    let objects = state.instances.iter().filter(|(address, _)| *address.resource.stack == *stack);
    let mut resources = Vec::new();
    let reads = Closure::of(state, stack);
    for (address, instance) in objects {
        let current = instance.current.iter();
        resources.extend(current.map(|object| (address.clone(), managed(address, object, &reads, None))));
        for object in &instance.deposed {
            let key = object.identity.deposed_key();
            resources.push((address.clone(), managed(address, object, &reads, Some(&key))));
        }
    }
    let read = state.data.iter().filter(|(address, _)| *address.resource.stack == *stack);
    resources.extend(read.map(|(address, read)| (address.clone(), data(address, read))));
    let outputs = state.published.get(stack).into_iter().flat_map(|outputs| outputs.iter());
    let outputs: Map<String, Json> = outputs
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_string(), output(value, value.is_sensitive())))
        .collect();
    let checks = state.checked.get(stack).map(|results| checks_json(results)).unwrap_or_default();
    let nothing = resources.is_empty() && outputs.is_empty();
    let values = (!nothing).then(|| values(outputs, resources));
    let is_written = values.is_some() || !checks.is_null();
    Members::default()
        .put("format_version", "1.0")
        // A state of nothing is none, and nobody wrote it.
        .some("terraform_version", is_written.then_some(terraform_version))
        .some("values", values)
        .unless_empty("checks", checks)
        .json()
}

/// Outputs and resources, the resources in the tree of their modules.
pub(super) fn values(outputs: Map<String, Json>, resources: Vec<(InstanceAddress, Json)>) -> Json {
    let mut root = Tree::default();
    for (address, json) in resources {
        let module = address.resource.module.iter().fold(&mut root, |tree, step| {
            let key = step.key.as_ref().map(ToString::to_string).unwrap_or_default();
            let dot = if tree.address.is_empty() { "" } else { "." };
            let text = format!("{}{dot}module.{}{key}", tree.address, step.name);
            tree.children
                .entry((step.name.to_string(), step.key.clone()))
                .or_insert_with(|| Tree { address: text, ..Tree::default() })
        });
        module.resources.push(json);
    }
    Members::default().unless_empty("outputs", outputs).put("root_module", root.json()).json()
}

/// A module's resources and the modules in it.
#[derive(Default)]
struct Tree {
    address: String,
    resources: Vec<Json>,
    children: BTreeMap<(String, Option<InstanceKey>), Tree>,
}

impl Tree {
    fn json(self) -> Json {
        let children: Vec<Json> = self.children.into_values().map(|tree| andon_text::deeper(|| tree.json())).collect();
        Members::default()
            .unless_empty("resources", self.resources)
            .unless_empty("address", self.address)
            .unless_empty("child_modules", children)
            .json()
    }
}

pub(super) fn output(value: &Value, secret: bool) -> Json {
    json!({ "sensitive": secret, "type": type_to_json(&value.ty()), "value": known(value) })
}

/// What names an instance, in states as in plans.
pub(super) fn named(address: &InstanceAddress, provider: Option<&ProviderConfigAddress>) -> Members {
    let resource = &address.resource;
    let index = address.key.as_ref().map(|key| match key {
        InstanceKey::Index(index) => json!(index),
        InstanceKey::Name(name) => json!(&**name),
    });
    Members::default()
        .put("address", address.within_stack())
        .put("mode", mode(resource.mode))
        .put("type", &*resource.kind)
        .put("name", &*resource.name)
        .some("index", index)
        .put("provider_name", provider_name(address, provider))
}

/// What is built in is configured by nothing.
fn provider_name(address: &InstanceAddress, provider: Option<&ProviderConfigAddress>) -> String {
    let implied = || ProviderAddress::implied(andon_lang::definitions::implied_name(&address.resource.kind));
    provider.map_or_else(implied, |provider| provider.provider.clone()).to_string()
}

fn managed<'s>(address: &InstanceAddress, object: &'s Object, reads: &Closure<'s>, deposed: Option<&str>) -> Json {
    named(address, object.provider.as_deref())
        .put("schema_version", object.kept.schema_version)
        .put("values", known(&object.value))
        .put("sensitive_values", sensitive(&object.value))
        .unless_empty("depends_on", reads.names(&object.dependencies))
        .unless_empty("tainted", object.status == ObjectStatus::Tainted)
        .some("deposed_key", deposed)
        .json()
}

fn data(address: &InstanceAddress, read: &ReadData) -> Json {
    named(address, read.provider.as_deref())
        .put("schema_version", read.schema_version)
        .put("values", known(&read.value))
        .put("sensitive_values", sensitive(&read.value))
        .json()
}
