use std::collections::{BTreeMap, BTreeSet};

use andon_schema::{InstanceKey, Mode};
use andon_value::{Path, PathStep, from_typed_json, type_from_json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::raw::{depth, parsed};
use super::{Attributes, Check, CheckObject, Instance, Output, RawJson, Resource, StateFile, StateFileError};

type Read<T> = Result<T, StateFileError>;

/// Values nest a few levels, and whoever reads them goes down with them.
const DEEPEST: usize = 500;

pub(super) fn file(text: &str) -> Read<StateFile> {
    let text = text.trim_start_matches('\u{feff}');
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| StateFileError::Syntax(error.to_string()))?;
    if depth(text) > DEEPEST {
        return Err(StateFileError::TooDeep(DEEPEST));
    }
    let part = Part::new(String::new(), raw).map_err(|_| StateFileError::NoVersion)?;
    match part.optional_whole("version") {
        Ok(Some(4)) => {}
        Ok(Some(found @ 1..4)) => return Err(StateFileError::Older(found)),
        Ok(Some(found @ 5..)) => return Err(StateFileError::Newer(found)),
        _ => return Err(StateFileError::NoVersion),
    }
    let outputs = part.members("outputs")?.into_iter().map(|(name, part)| Ok((name, output(&part)?)));
    let resources = part.parts("resources")?.unwrap_or_default();
    let resources = resources.iter().map(resource).collect::<Read<Vec<_>>>()?;
    let mut seen = BTreeSet::new();
    if let Some(twice) = resources.iter().map(ToString::to_string).find(|address| !seen.insert(address.clone())) {
        return Err(StateFileError::Twice(twice));
    }
    Ok(StateFile {
        terraform_version: part.text("terraform_version")?.unwrap_or_default(),
        serial: part.optional_whole("serial")?.unwrap_or(0),
        lineage: part.text("lineage")?.unwrap_or_default(),
        outputs: outputs.collect::<Read<_>>()?,
        resources,
        checks: part.parts("check_results")?.map(|parts| parts.iter().map(check).collect()).transpose()?,
    })
}

fn output(part: &Part) -> Read<Output> {
    let ty = part.json("type").and_then(|json| type_from_json(&json).ok());
    let ty = ty.ok_or_else(|| part.refuse("type", "a type"))?;
    let value = part.json("value").unwrap_or(Json::Null);
    let value = from_typed_json(&value, &ty).map_err(|_| part.refuse("value", "of the output's type"))?;
    Ok(Output { value, sensitive: part.flag("sensitive")? })
}

fn resource(part: &Part) -> Read<Resource> {
    let mode = match part.text("mode")?.as_deref() {
        Some("managed") => Mode::Managed,
        Some("data") => Mode::Data,
        _ => return Err(part.refuse("mode", "\"managed\" or \"data\"")),
    };
    let parts = part.parts("instances")?.unwrap_or_default();
    // Some programs name the provider only beside each instance, where it is the same but for its own key.
    let provider = part.text("provider")?.map_or_else(
        || parts.iter().find_map(|part| part.text("provider").transpose()).transpose(),
        |text| Ok(Some(text)),
    )?;
    let resource = Resource {
        module: part.text("module")?.unwrap_or_default(),
        mode,
        kind: part.text("type")?.ok_or_else(|| part.refuse("type", "a text"))?,
        name: part.text("name")?.ok_or_else(|| part.refuse("name", "a text"))?,
        provider: provider.ok_or_else(|| part.refuse("provider", "a text"))?,
        instances: parts.iter().map(instance).collect::<Read<_>>()?,
    };
    resource.address("").map_err(|_| part.refuse("name", "a name, of a type, in a module"))?;
    let mut seen = BTreeSet::new();
    let twice = resource.instances.iter().find(|instance| !seen.insert((&instance.key, &instance.deposed)));
    if let Some(instance) = twice {
        let key = instance.key.as_ref().map(ToString::to_string).unwrap_or_default();
        return Err(StateFileError::Twice(format!("{resource}{key}")));
    }
    Ok(resource)
}

fn instance(part: &Part) -> Read<Instance> {
    let key = match part.json("index_key") {
        None => None,
        Some(Json::String(name)) => Some(InstanceKey::Name(name.into())),
        Some(json) => {
            let index = json.as_u64().ok_or_else(|| part.refuse("index_key", "a text or a whole number"))?;
            Some(InstanceKey::Index(index))
        }
    };
    let tainted = match part.text("status")?.as_deref() {
        None | Some("") => false,
        Some("tainted") => true,
        Some(_) => return Err(part.refuse("status", "\"tainted\" or left out")),
    };
    let attributes = match (part.raw("attributes"), part.raw("attributes_flat")) {
        (None, Some(_)) => {
            let flat = part.json("attributes_flat").unwrap_or(Json::Null);
            let entries = flat.as_object().ok_or_else(|| part.refuse("attributes_flat", "an object"))?;
            let texts = entries.iter().map(|(name, json)| Some((name.clone(), json.as_str()?.to_owned())));
            let texts = texts.collect::<Option<BTreeMap<_, _>>>();
            Attributes::Flat(texts.ok_or_else(|| part.refuse("attributes_flat", "an object of texts"))?)
        }
        (Some(raw), _) if raw.get().starts_with('{') => Attributes::Json(RawJson::of(raw)),
        (None, None) => Attributes::Json(RawJson::default()),
        _ => return Err(part.refuse("attributes", "an object")),
    };
    let private = part.text("private")?.unwrap_or_default();
    let private = STANDARD.decode(private).map_err(|_| part.refuse("private", "base64"))?;
    let paths = part.raws("sensitive_attributes")?.unwrap_or_default();
    let paths = paths.iter().map(|raw| path(raw).ok_or_else(|| part.refuse("sensitive_attributes", "a list of paths")));
    Ok(Instance {
        key,
        deposed: part.text("deposed")?.filter(|text| !text.is_empty()),
        tainted,
        schema_version: part.optional_whole("schema_version")?.unwrap_or(0),
        attributes,
        sensitive: paths.collect::<Read<_>>()?,
        identity_schema_version: part.optional_whole("identity_schema_version")?,
        identity: part.raw("identity").map(RawJson::of),
        private,
        dependencies: part.texts("dependencies")?,
        create_before_destroy: part.flag("create_before_destroy")?,
    })
}

/// `None` where it is no path.
fn path(raw: &RawValue) -> Option<Path> {
    let Json::Array(steps) = serde_json::from_str(raw.get()).ok()? else { return None };
    let steps = steps.iter().map(|step| {
        let value = step.get("value")?;
        match step.get("type")?.as_str()? {
            "get_attr" => Some(PathStep::Attribute(value.as_str()?.into())),
            "index" => match value.get("value")? {
                Json::String(key) => Some(PathStep::Key(key.as_str().into())),
                index => Some(PathStep::Index(usize::try_from(index.as_u64()?).ok()?)),
            },
            _ => None,
        }
    });
    steps.collect()
}

fn check(part: &Part) -> Read<Check> {
    let objects = part.parts("objects")?.map(|parts| {
        let objects = parts.iter().map(|part| {
            Ok(CheckObject {
                address: part.text("object_addr")?.unwrap_or_default(),
                status: part.text("status")?.unwrap_or_default(),
                messages: part.texts("failure_messages")?,
            })
        });
        objects.collect::<Read<_>>()
    });
    Ok(Check {
        kind: part.text("object_kind")?.unwrap_or_default(),
        address: part.text("config_addr")?.unwrap_or_default(),
        status: part.text("status")?.unwrap_or_default(),
        objects: objects.transpose()?,
    })
}

/// One object of the file, whose members are read only where they are asked for. A null is as good as none.
struct Part<'t> {
    place: String,
    entries: BTreeMap<String, &'t RawValue>,
}

impl<'t> Part<'t> {
    fn new(place: String, raw: &'t RawValue) -> Read<Part<'t>> {
        match serde_json::from_str(raw.get()) {
            Ok(entries) => Ok(Part { place, entries }),
            Err(_) => Err(StateFileError::Shape { place, expected: "an object" }),
        }
    }

    fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    fn refuse(&self, name: &str, expected: &'static str) -> StateFileError {
        StateFileError::Shape { place: self.at(name), expected }
    }

    fn raw(&self, name: &str) -> Option<&'t RawValue> {
        self.entries.get(name).copied().filter(|raw| raw.get() != "null")
    }

    fn json(&self, name: &str) -> Option<Json> {
        parsed(self.raw(name)?.get()).ok()
    }

    fn parsed<T: Deserialize<'t>>(&self, name: &str, expected: &'static str) -> Read<Option<T>> {
        let read = |raw: &'t RawValue| serde_json::from_str(raw.get()).map_err(|_| self.refuse(name, expected));
        self.raw(name).map(read).transpose()
    }

    fn text(&self, name: &str) -> Read<Option<String>> {
        self.parsed(name, "a text")
    }

    fn optional_whole(&self, name: &str) -> Read<Option<u64>> {
        self.parsed(name, "a whole number")
    }

    fn flag(&self, name: &str) -> Read<bool> {
        Ok(self.parsed(name, "true or false")?.unwrap_or(false))
    }

    fn texts(&self, name: &str) -> Read<Vec<String>> {
        Ok(self.parsed(name, "a list of texts")?.unwrap_or_default())
    }

    fn raws(&self, name: &str) -> Read<Option<Vec<&'t RawValue>>> {
        self.parsed(name, "a list")
    }

    fn parts(&self, name: &str) -> Read<Option<Vec<Part<'t>>>> {
        let Some(raws) = self.raws(name)? else { return Ok(None) };
        let parts =
            raws.into_iter().enumerate().map(|(index, raw)| Part::new(format!("{}[{index}]", self.at(name)), raw));
        parts.collect::<Read<_>>().map(Some)
    }

    fn members(&self, name: &str) -> Read<Vec<(String, Part<'t>)>> {
        let Some(raw) = self.raw(name) else { return Ok(Vec::new()) };
        let whole = Part::new(self.at(name), raw)?;
        let members = whole.entries.iter().map(|(name, raw)| Ok((name.clone(), Part::new(whole.at(name), raw)?)));
        members.collect()
    }
}
