//! The calls of the protocol.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::Value as Json;

use crate::cloud::{Cloud, Kept, finish, is_place};
use crate::planning::{derived, plan};
use crate::schema::{Attribute, Block, Kind, NestedBlock, Nesting, Of};
use crate::value::{Type, Unpacker, Value, mapping, pack};
use crate::wire::{self, AttributePath, Diagnostic, DynamicValue, Selector};
use crate::{kinds, planning};

/// The provider: what it offers, and where its cloud is once it is configured.
pub struct Sky {
    provider: Kind,
    resources: BTreeMap<&'static str, Kind>,
    data: BTreeMap<&'static str, Kind>,
    ephemeral: BTreeMap<&'static str, Kind>,
    cloud: Mutex<Option<PathBuf>>,
}

/// What a configuration is of.
#[derive(Clone, Copy)]
pub enum Sort {
    Resource,
    Data,
    Ephemeral,
}

impl Sky {
    /// The provider is of age 1 where its program lies in a directory that says so.
    pub fn new() -> Sky {
        let program = std::env::current_exe().unwrap_or_default();
        let age = if program.to_string_lossy().contains("/age-1/") { 1 } else { 2 };
        Sky {
            provider: kinds::provider(),
            resources: kinds::resources(age),
            data: kinds::data(),
            ephemeral: kinds::ephemeral(),
            cloud: Mutex::new(None),
        }
    }

    fn cloud(&self) -> Result<Cloud, Diagnostic> {
        let cloud = self.cloud.lock().ok().and_then(|cloud| cloud.clone());
        cloud.map(Cloud).ok_or_else(|| error("there is no cloud", "The provider was not configured.", &[]))
    }

    fn resource(&self, name: &str) -> Result<&Kind, Diagnostic> {
        self.resources.get(name).ok_or_else(|| error("there is no such kind", name, &[]))
    }

    pub fn schemas(&self) -> wire::Schemas {
        let wire = |of: &BTreeMap<&'static str, Kind>| {
            of.iter().map(|(name, kind)| ((*name).to_owned(), kind.wire())).collect()
        };
        wire::Schemas {
            provider: Some(self.provider.wire()),
            resources: wire(&self.resources),
            data: wire(&self.data),
            ephemeral: wire(&self.ephemeral),
            capabilities: Some(wire::Capabilities {
                plan_destroy: true,
                get_provider_schema_optional: true,
                move_resource_state: true,
            }),
            functions: self.functions().functions,
        }
    }

    pub fn validate_provider(&self, asked: wire::ValidateProvider) -> wire::ValidatedProvider {
        let diagnostics = match config(&asked.config, &self.provider) {
            Ok(config) => match config.get("token").as_str() {
                Some("bad") => vec![error("that token is bad", "Another will do.", &name("token"))],
                _ => Vec::new(),
            },
            Err(wrong) => vec![wrong],
        };
        wire::ValidatedProvider { diagnostics }
    }

    pub fn configure(&self, asked: wire::Configure) -> wire::Said {
        let said = config(&asked.config, &self.provider).and_then(|config| {
            let place = config.get("cloud").as_str().map(PathBuf::from).filter(|place| is_place(place));
            let place = place.ok_or_else(|| {
                error("there is no such cloud", "The cloud is an absolute path that is known.", &name("cloud"))
            })?;
            *self.cloud.lock().map_err(|_| error("the cloud is locked", "", &[]))? = Some(place);
            Ok(())
        });
        wire::Said { diagnostics: said.err().into_iter().collect() }
    }

    pub fn validate(&self, asked: wire::Configured, sort: Sort) -> wire::Said {
        let kinds = match sort {
            Sort::Resource => &self.resources,
            Sort::Data => &self.data,
            Sort::Ephemeral => &self.ephemeral,
        };
        let Some(kind) = kinds.get(&*asked.type_name) else {
            return wire::Said { diagnostics: vec![error("there is no such kind", &asked.type_name, &[])] };
        };
        let mut diagnostics = Vec::new();
        match config(&asked.config, kind) {
            Ok(config) => {
                if config.get("fail").as_str() == Some("validate") {
                    diagnostics.push(error("not valid", "It asks for that.", &name("fail")));
                }
                validate(&kind.block, &config, &mut Vec::new(), &mut diagnostics);
            }
            Err(wrong) => diagnostics.push(wrong),
        }
        wire::Said { diagnostics }
    }

    pub fn upgrade(&self, asked: wire::Upgrade) -> wire::Answered {
        answered(self.resource(&asked.type_name).and_then(|kind| {
            let json = stored(asked.raw_state.as_ref())?;
            upgraded(kind, &json)
        }))
    }

    /// An object of one kind becomes one of another: what it is called is all that stays.
    pub fn take_over(&self, asked: wire::Move) -> wire::Answered {
        let mut answer = answered(self.resource(&asked.target_type).and_then(|kind| {
            let source = stored(asked.source.as_ref())?;
            if !asked.source_type.starts_with("sky_") {
                return Err(error("nothing moves here from there", &asked.source_type, &[]));
            }
            let mut target = empty(&kind.block);
            for name in ["id", "name"] {
                let text = source.get(name).and_then(Json::as_str).unwrap_or_default();
                target.set(name, Value::text(text));
            }
            Ok((target, kind))
        }));
        answer.private = asked.private;
        answer
    }

    pub fn read(&self, asked: wire::Read) -> wire::Answered {
        let mut private = asked.private.clone();
        let mut answer = answered(self.resource(&asked.type_name).and_then(|kind| {
            let current = config(&asked.current, kind)?;
            if current.get("fail").as_str() == Some("read") {
                return Err(error("it cannot be read", "It asks for that.", &name("fail")));
            }
            let Some(kept) = self.cloud()?.get(current.get("id").as_str().unwrap_or_default()) else {
                return Ok((Value::Null, kind));
            };
            if !asked.private.is_empty() && asked.private != kept.private.as_bytes() {
                return Err(error("private bytes were lost", &kept.private, &[]));
            }
            private = kept.private.clone().into_bytes();
            upgraded(kind, &kept.state)
        }));
        answer.private = private;
        answer
    }

    pub fn plan(&self, asked: wire::Plan) -> wire::Planned {
        self.planned(&asked).unwrap_or_else(|wrong| wire::Planned { diagnostics: vec![wrong], ..Default::default() })
    }

    fn planned(&self, asked: &wire::Plan) -> Result<wire::Planned, Diagnostic> {
        let kind = self.resource(&asked.type_name)?;
        let (prior, proposed) = (config(&asked.prior, kind)?, config(&asked.proposed, kind)?);
        let config = config(&asked.config, kind)?;
        let mut diagnostics = Vec::new();
        match config.get("fail").as_str() {
            Some("plan") => return Err(error("it cannot be planned", "It asks for that.", &name("fail"))),
            Some("warn") => diagnostics.push(Diagnostic { severity: 2, ..error("careful", "", &name("fail")) }),
            _ => {}
        }
        let planned = plan(kind, &prior, &proposed, &config);
        let requires_replace = planned.replace.into_iter().map(|steps| path(&steps)).collect();
        let private = match proposed {
            Value::Null => asked.private.clone(),
            _ => sealed(&planned.value),
        };
        let planned = Some(dynamic(&planned.value, kind));
        Ok(wire::Planned { planned, requires_replace, private, diagnostics, legacy: kind.legacy })
    }

    pub fn apply(&self, asked: wire::Apply) -> wire::Applied {
        let prior = asked.prior.clone();
        self.applied(&asked).unwrap_or_else(|wrong| {
            // Nothing was done: what was there still is.
            wire::Applied { new: prior, diagnostics: vec![wrong], private: asked.private, ..Default::default() }
        })
    }

    fn applied(&self, asked: &wire::Apply) -> Result<wire::Applied, Diagnostic> {
        let kind = self.resource(&asked.type_name)?;
        let (prior, planned) = (config(&asked.prior, kind)?, config(&asked.planned, kind)?);
        let config = config(&asked.config, kind)?;
        let cloud = self.cloud()?;
        let failed = |wrong: std::io::Error| error("the cloud failed", &wrong.to_string(), &[]);
        let refused = |what: &str| error(&format!("it cannot be {what}"), "It asks for that.", &name("fail"));
        let fail = if planned.is_null() { prior.get("fail") } else { planned.get("fail") };
        let fail = fail.as_str().unwrap_or_default();
        if planned.is_null() {
            if fail == "delete" {
                return Err(refused("deleted"));
            }
            cloud.remove(prior.get("id").as_str().unwrap_or_default()).map_err(failed)?;
            return Ok(wire::Applied { new: Some(dynamic(&Value::Null, kind)), ..Default::default() });
        }
        if asked.private != sealed(&planned) {
            return Err(error("private bytes of the plan were lost", "", &[]));
        }
        let creates = prior.is_null();
        match (fail, creates) {
            ("create", true) => return Err(refused("made")),
            ("update", false) => return Err(refused("changed")),
            _ => {}
        }
        let id = match prior.get("id").as_str() {
            Some(id) => id.to_owned(),
            None => {
                let name = planned.get("name").as_str().unwrap_or_default();
                cloud.identity(&asked.type_name, name).map_err(failed)?
            }
        };
        let serial = cloud.get(&id).map_or(0, |kept| kept.serial) + 1;
        let new = finish(kind, &planned, &id, serial);
        let private = format!("{id}:{serial}");
        let secret = Some(config.get("secret_wo")).filter(|secret| !secret.is_null());
        cloud.put(&id, &Kept { serial, private: private.clone(), state: new.json() }, secret).map_err(failed)?;
        let diagnostics = if fail == "partial" { vec![refused("finished")] } else { Vec::new() };
        let new = Some(dynamic(&new, kind));
        Ok(wire::Applied { new, private: private.into_bytes(), diagnostics, legacy: kind.legacy })
    }

    pub fn import(&self, asked: wire::Import) -> wire::Imported {
        let found = self.resource(&asked.type_name).and_then(|kind| {
            let mut stub = empty(&kind.block);
            stub.set("id", Value::text(&asked.id));
            if asked.id == "never" {
                return Err(error("nothing is called that", &asked.id, &[]));
            }
            Ok(wire::ImportedObject {
                type_name: asked.type_name.clone(),
                state: Some(dynamic(&stub, kind)),
                private: Vec::new(),
            })
        });
        match found {
            Ok(object) => wire::Imported { resources: vec![object], diagnostics: Vec::new() },
            Err(wrong) => wire::Imported { resources: Vec::new(), diagnostics: vec![wrong] },
        }
    }

    pub fn read_data(&self, asked: wire::Configured) -> wire::Answered {
        let read = || {
            let Some(kind) = self.data.get(&*asked.type_name) else {
                return Err(error("there is no such kind", &asked.type_name, &[]));
            };
            let config = config(&asked.config, kind)?;
            if asked.type_name == "sky_echo" {
                let planned = planning::plan(kind, &Value::Null, &config, &config).value;
                return Ok((finish(kind, &planned, "echo", 0), kind));
            }
            let wanted = config.get("name").as_str().unwrap_or_default();
            let found = self.cloud()?.find(wanted);
            if found.is_none() && *config.get("optional") != Value::Bool(true) {
                return Err(error("nothing is called that", wanted, &name("name")));
            }
            let of = |name: &str, of: &Type| {
                found.as_ref().and_then(|it| Value::from_json(it.get(name)?, of)).unwrap_or(Value::Null)
            };
            let mut answer = config.clone();
            answer.set("found", Value::Bool(found.is_some()));
            answer.set("id", of("id", &Type::String));
            answer.set("serial", of("serial", &Type::Number));
            Ok((answer, kind))
        };
        answered(read())
    }

    pub fn open(&self, asked: wire::Configured) -> wire::Opened {
        let opened = || {
            let Some(kind) = self.ephemeral.get(&*asked.type_name) else {
                return Err(error("there is no such kind", &asked.type_name, &[]));
            };
            let mut result = config(&asked.config, kind)?;
            let token = derived(result.get("name"));
            result.set("token", token);
            Ok(dynamic(&result, kind))
        };
        match opened() {
            Ok(result) => wire::Opened { diagnostics: Vec::new(), result: Some(result) },
            Err(wrong) => wire::Opened { diagnostics: vec![wrong], result: None },
        }
    }

    pub fn functions(&self) -> wire::Functions {
        let text = || Type::String.json().to_string().into_bytes();
        let shout = wire::Function {
            parameters: vec![wire::Parameter { name: "text".to_owned(), r#type: text() }],
            r#return: Some(wire::Return { r#type: text() }),
        };
        wire::Functions { functions: [("shout".to_owned(), shout)].into() }
    }

    pub fn call(&self, asked: wire::CallFunction) -> wire::Called {
        let argument = asked.arguments.first().and_then(|it| Unpacker(&it.msgpack).value(&Type::String));
        match argument.as_ref().and_then(Value::as_str) {
            Some("quiet") | None => {
                let error = wire::FunctionError { text: "that cannot be shouted".to_owned(), argument: Some(0) };
                wire::Called { result: None, error: Some(error) }
            }
            Some(text) => {
                let mut msgpack = Vec::new();
                pack(&Value::String(text.to_uppercase()), &Type::String, &mut msgpack);
                wire::Called { result: Some(DynamicValue { msgpack, json: Vec::new() }), error: None }
            }
        }
    }
}

fn error(summary: &str, detail: &str, at: &[Selector]) -> Diagnostic {
    let attribute = (!at.is_empty()).then(|| path(at));
    Diagnostic { severity: 1, summary: summary.to_owned(), detail: detail.to_owned(), attribute }
}

fn name(name: &str) -> [Selector; 1] {
    [Selector::Attribute(name.to_owned())]
}

fn path(steps: &[Selector]) -> AttributePath {
    AttributePath { steps: steps.iter().map(|step| wire::Step { selector: Some(step.clone()) }).collect() }
}

/// The value of a message by the type of a kind.
fn config(value: &Option<DynamicValue>, kind: &Kind) -> Result<Value, Diagnostic> {
    let Some(value) = value.as_ref().filter(|value| !value.msgpack.is_empty()) else { return Ok(Value::Null) };
    let mut unpacker = Unpacker(&value.msgpack);
    let read = unpacker.value(&kind.block.value_type()).filter(|_| unpacker.0.is_empty());
    read.ok_or_else(|| error("a value is not of its type", "", &[]))
}

fn dynamic(value: &Value, kind: &Kind) -> DynamicValue {
    let mut msgpack = Vec::new();
    pack(value, &kind.block.value_type(), &mut msgpack);
    DynamicValue { msgpack, json: Vec::new() }
}

fn answered(read: Result<(Value, &Kind), Diagnostic>) -> wire::Answered {
    match read {
        Ok((value, kind)) => wire::Answered { value: Some(dynamic(&value, kind)), ..Default::default() },
        Err(wrong) => wire::Answered { diagnostics: vec![wrong], ..Default::default() },
    }
}

fn stored(state: Option<&wire::RawState>) -> Result<Json, Diagnostic> {
    let json = state.map(|state| state.json.as_slice()).unwrap_or_default();
    serde_json::from_slice(json).map_err(|wrong| error("the stored state is no JSON", &wrong.to_string(), &[]))
}

/// What was stored, by today's kind: what was one label are labels.
fn upgraded<'a>(kind: &'a Kind, json: &Json) -> Result<(Value, &'a Kind), Diagnostic> {
    let of = kind.block.value_type();
    let mut value = Value::from_json(json, &of).ok_or_else(|| error("the stored state is of another type", "", &[]))?;
    let wants = matches!(&of, Type::Object(of) if of.iter().any(|(name, _)| name == "labels"));
    if let Some(label) = json.get("label").and_then(Json::as_str).filter(|_| wants) {
        value.set("labels", Value::Sequence(vec![Value::text(label)]));
    }
    Ok((value, kind))
}

/// An object with nothing in it.
fn empty(block: &Block) -> Value {
    let attributes = block.attributes.iter().map(|attribute| (attribute.name.to_owned(), Value::Null));
    let blocks = block.blocks.iter().map(|NestedBlock { name, nesting, block, .. }| {
        let none = match nesting {
            Nesting::Single => Value::Null,
            Nesting::Group => empty(block),
            Nesting::List | Nesting::Set => Value::Sequence(Vec::new()),
            Nesting::Map => Value::Mapping(Vec::new()),
        };
        ((*name).to_owned(), none)
    });
    mapping(attributes.chain(blocks).collect())
}

/// What a plan gives its apply to keep: it says what the object will be called.
fn sealed(planned: &Value) -> Vec<u8> {
    format!("planned {}", planned.get("name").as_str().unwrap_or_default()).into_bytes()
}

/// Complains of what is given that can only be computed, and of ports that are none.
fn validate(block: &Block, config: &Value, at: &mut Vec<Selector>, found: &mut Vec<Diagnostic>) {
    attributes(&block.attributes, config, at, found);
    for NestedBlock { name, block, .. } in &block.blocks {
        at.push(Selector::Attribute((*name).to_owned()));
        each(config.get(name), at, &mut |inner, at| validate(block, inner, at, found));
        at.pop();
    }
}

fn attributes(all: &[Attribute], config: &Value, at: &mut Vec<Selector>, found: &mut Vec<Diagnostic>) {
    if !matches!(config, Value::Mapping(_)) {
        return;
    }
    for attribute in all {
        let value = config.get(attribute.name);
        at.push(Selector::Attribute(attribute.name.to_owned()));
        if attribute.computed && !attribute.optional && !value.is_null() {
            found.push(error("that is not for you to say", attribute.name, at));
        }
        let port = match value {
            Value::Number(digits) if attribute.name == "port" => digits.parse::<u32>().ok(),
            _ => None,
        };
        if port.is_some_and(|port| port > 65535) {
            found.push(error("there is no such port", "They end at 65535.", at));
        }
        if let Of::Nested(_, inner) = &attribute.of {
            each(value, at, &mut |value, at| attributes(inner, value, at, found));
        }
        at.pop();
    }
}

/// Each object in a value of nested attributes or blocks. Sets have no places.
fn each(value: &Value, at: &mut Vec<Selector>, with: &mut dyn FnMut(&Value, &mut Vec<Selector>)) {
    match value {
        Value::Sequence(elements) => {
            for (index, element) in elements.iter().enumerate() {
                at.push(Selector::Index(index as i64));
                with(element, at);
                at.pop();
            }
        }
        Value::Mapping(entries) if entries.iter().all(|(_, it)| matches!(it, Value::Mapping(_))) => {
            for (key, element) in entries {
                at.push(Selector::Key(key.clone()));
                with(element, at);
                at.pop();
            }
        }
        Value::Mapping(_) => with(value, at),
        _ => {}
    }
}
