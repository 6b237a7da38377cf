//! What the world must be once a model has been applied, worked out from the model and the world alone: no expression
//! is evaluated for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_ledger::EnvironmentState;
use andon_schema::{InstanceAddress, InstanceKey, ObjectStatus};
use andon_value::{Value, to_json};
use serde_json::{Map, Value as Json};

use super::generate::is_secret;
use super::write::export_name;
use super::{Block, Model, Pick, Reference, Repeat, Term};
use crate::earth::Earth;
use crate::kinds::{DATA, HOST, NETWORK, SERVER};

/// A model beside what has become of it.
struct Found<'a> {
    model: &'a Model,
    state: &'a EnvironmentState,
    earth: &'a Earth,
}

impl Model {
    /// Everything in which the world or the state is not what the model says.
    pub fn differences(&self, state: &EnvironmentState, earth: &Earth) -> Vec<String> {
        let found = Found { model: self, state, earth };
        let mut problems = found.instances();
        for block in &self.blocks {
            for key in block.repeat.keys() {
                problems.extend(found.instance(block, &key));
            }
        }
        problems.extend(found.outputs());
        problems
    }
}

impl Found<'_> {
    /// Exactly the instances that are defined are there, each once and sound.
    fn instances(&self) -> Vec<String> {
        let wanted: BTreeSet<InstanceAddress> = self
            .model
            .blocks
            .iter()
            .flat_map(|block| block.repeat.keys().into_iter().map(|key| self.model.address(block, key)))
            .collect();
        let mut problems = Vec::new();
        for (address, instance) in &self.state.instances {
            match &instance.current {
                Some(object) if object.status == ObjectStatus::Tainted => {
                    problems.push(format!("{address} is tainted"))
                }
                Some(_) => {}
                None => problems.push(format!("{address} has no object in use")),
            }
            if !instance.deposed.is_empty() {
                problems.push(format!("{address} has {} replaced objects", instance.deposed.len()));
            }
            if !wanted.contains(address) {
                problems.push(format!("{address} is there, and is not defined"));
            }
        }
        let missing = wanted.iter().filter(|address| !self.state.instances.contains_key(address));
        problems.extend(missing.map(|address| format!("{address} is defined, and is not there")));
        problems
    }

    /// Every argument of an instance is as the model says.
    fn instance(&self, block: &Block, key: &Option<InstanceKey>) -> Vec<String> {
        let address = self.model.address(block, key.clone());
        let Some(object) = self.state.current(&address) else { return Vec::new() };
        let mut problems = Vec::new();
        for (name, term) in block.arguments.iter().filter(|(name, _)| block.ignored != Some(name)) {
            let wanted = self.term(key, term);
            let is = self.attribute(block, key, name);
            if wanted != is {
                problems.push(format!("{address}: {name} is {}, and must be {}", show(&is), show(&wanted)));
            }
            if is_secret(term) && !is_nothing(&wanted) && !object.value.get(name).is_some_and(Value::is_sensitive) {
                problems.push(format!("{address}: {name} is a secret, and the state does not say so"));
            }
        }
        if block.kind == SERVER && !object.value.get("password").is_some_and(Value::is_sensitive) {
            problems.push(format!("{address}: the password is no secret any more"));
        }
        if block.kind == DATA
            && object.value.get("output").map(|value| to_json(value).ok())
                != object.value.get("input").map(|value| to_json(value).ok())
        {
            problems.push(format!("{address}: the output is not the input"));
        }
        if block.kind == HOST {
            let id = object.value.get_str("server").unwrap_or_default();
            let role = object.value.get_str("role").unwrap_or_default();
            let inside = self.earth.find(SERVER, "id", id).and_then(|(_, server)| server.inside.get(role));
            if inside.map(String::as_str) != object.value.get_str("catalog") {
                problems.push(format!("{address}: the server holds {inside:?}, not what the state says"));
            }
        }
        problems
    }

    /// Exactly what other stacks read is published, as it is in the world.
    fn outputs(&self) -> Vec<String> {
        let mut wanted: BTreeMap<Arc<str>, BTreeMap<String, Json>> = BTreeMap::new();
        for user in &self.model.blocks {
            for (_, term) in &user.arguments {
                for (target, attribute) in self.reads(term) {
                    let Some(target) = self.model.block(target).filter(|target| target.home.stack != user.home.stack)
                    else {
                        continue;
                    };
                    let Some(stack) = self.model.stacks.get(target.home.stack) else { continue };
                    let outputs = wanted.entry(Arc::clone(stack)).or_default();
                    outputs.insert(export_name(target, attribute), self.whole(target, attribute));
                }
            }
        }
        let mut problems = Vec::new();
        for stack in &self.model.stacks {
            let wanted = wanted.remove(stack).unwrap_or_default();
            let published = self.state.published.get(stack).into_iter().flatten();
            let published: BTreeMap<String, Json> =
                published.map(|(name, value)| (name.to_string(), to_json(value).unwrap_or_default())).collect();
            if wanted != published {
                problems.push(format!("stack {stack} publishes {published:?}, and must publish {wanted:?}"));
            }
        }
        problems
    }

    fn reads<'t>(&self, term: &'t Term) -> Vec<(&'t str, &'static str)> {
        match term {
            Term::All(blocks, attribute) => blocks.iter().map(|block| (block.as_str(), *attribute)).collect(),
            term => term.references().iter().map(|reference| (reference.block.as_str(), reference.attribute)).collect(),
        }
    }

    fn whole(&self, target: &Block, attribute: &str) -> Json {
        let values = target.repeat.keys().into_iter().map(|key| (key.clone(), self.attribute(target, &key, attribute)));
        match target.repeat {
            Repeat::One => self.attribute(target, &None, attribute),
            Repeat::Count(_) => Json::Array(values.map(|(_, value)| value).collect()),
            Repeat::Each(_) => {
                let named = |(key, value)| match key {
                    Some(InstanceKey::Name(name)) => Some((String::from(&*name), value)),
                    _ => None,
                };
                Json::Object(values.filter_map(named).collect::<Map<String, Json>>())
            }
        }
    }

    fn term(&self, key: &Option<InstanceKey>, term: &Term) -> Json {
        match term {
            Term::Text(text) => text.as_str().into(),
            Term::Number(number) => (*number).into(),
            Term::PerInstance(text) => match key {
                None => text.as_str().into(),
                Some(InstanceKey::Index(index)) => format!("{text}-{index}").into(),
                Some(InstanceKey::Name(name)) => format!("{text}-{name}").into(),
            },
            Term::Secret => "hush".into(),
            Term::One(reference) => self.refer(key, reference, reference.attribute),
            Term::All(blocks, attribute) => {
                let targets = blocks.iter().filter_map(|name| self.model.block(name));
                let values = targets.flat_map(|target| {
                    target.repeat.keys().into_iter().map(|key| self.attribute(target, &key, attribute))
                });
                Json::Array(values.collect())
            }
            Term::Label(inner) => {
                let text = match self.term(key, inner) {
                    Json::String(text) => text,
                    other => other.to_string(),
                };
                Json::Object([("label".to_owned(), text.into())].into_iter().collect())
            }
            Term::Zone(reference) => {
                let id = self.refer(key, reference, "id");
                let network = self.earth.find(NETWORK, "id", id.as_str().unwrap_or_default());
                let cidr = network.and_then(|(_, thing)| thing.value.get_str("cidr")).unwrap_or_default();
                format!("zone of {cidr}").into()
            }
        }
    }

    fn refer(&self, key: &Option<InstanceKey>, reference: &Reference, attribute: &str) -> Json {
        let Some(target) = self.model.block(&reference.block) else { return Json::Null };
        let key = match reference.pick {
            Pick::Same => key.clone(),
            Pick::First => target.repeat.keys().into_iter().next().flatten(),
        };
        self.attribute(target, &key, attribute)
    }

    /// An attribute as the world has it; of what has no body in the world, as the state has it.
    fn attribute(&self, block: &Block, key: &Option<InstanceKey>, attribute: &str) -> Json {
        let Some(object) = self.state.current(&self.model.address(block, key.clone())) else { return Json::Null };
        let thing = self.earth.things.get(&object.identity);
        let value = thing.map_or(&object.value, |thing| &thing.value);
        value.get(attribute).and_then(|value| to_json(value).ok()).unwrap_or_default()
    }
}

/// A value, in short.
fn show(json: &Json) -> String {
    json.to_string()
}

/// Whether there is nothing in it that could be a secret.
fn is_nothing(json: &Json) -> bool {
    json.as_array().is_some_and(Vec::is_empty)
}
