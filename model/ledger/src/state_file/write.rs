use andon_schema::{InstanceKey, Mode};
use andon_value::{Path, PathStep, type_to_json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::raw::{indented, quoted};
use super::{Attributes, Check, Instance, Output, RawJson, Resource, StateFile};

pub(super) fn file(file: &StateFile) -> String {
    let mut resources: Vec<&Resource> = file.resources.iter().collect();
    resources.sort_by_key(|resource| (&resource.module, mode(resource.mode), &resource.kind, &resource.name));
    let text = object(|members| {
        members.raw("version", "4");
        members.text("terraform_version", &file.terraform_version);
        members.raw("serial", &file.serial.to_string());
        members.text("lineage", &file.lineage);
        members.raw(
            "outputs",
            &object(|members| file.outputs.iter().for_each(|(name, it)| members.raw(name, &output(it)))),
        );
        members.raw("resources", &list(resources.into_iter().map(resource)));
        members.raw("check_results", &file.checks.as_ref().map_or_else(null, |it| checks(it)));
    });
    format!("{}\n", indented(&text))
}

fn output(output: &Output) -> String {
    let ty = output.value.ty();
    // An output is published only once it is wholly known.
    let value = RawJson::encode(&output.value, &ty).map_or_else(|_| null(), |raw| raw.as_str().to_owned());
    object(|members| {
        members.raw("value", &value);
        members.raw("type", &type_to_json(&ty).to_string());
        members.flag("sensitive", output.sensitive);
    })
}

fn resource(resource: &Resource) -> String {
    let mut instances: Vec<&Instance> = resource.instances.iter().collect();
    instances.sort_by_key(|instance| (&instance.key, &instance.deposed));
    object(|members| {
        if !resource.module.is_empty() {
            members.text("module", &resource.module);
        }
        members.text("mode", mode(resource.mode));
        members.text("type", &resource.kind);
        members.text("name", &resource.name);
        members.text("provider", &resource.provider);
        members.raw("instances", &list(instances.into_iter().map(instance)));
    })
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Managed => "managed",
        Mode::Data => "data",
        Mode::Ephemeral => "ephemeral",
    }
}

fn instance(instance: &Instance) -> String {
    object(|members| {
        match &instance.key {
            Some(InstanceKey::Index(index)) => members.raw("index_key", &index.to_string()),
            Some(InstanceKey::Name(name)) => members.text("index_key", name),
            None => {}
        }
        if instance.tainted {
            members.text("status", "tainted");
        }
        if let Some(deposed) = &instance.deposed {
            members.text("deposed", deposed);
        }
        members.raw("schema_version", &instance.schema_version.to_string());
        match &instance.attributes {
            Attributes::Json(json) => members.raw("attributes", json.as_str()),
            Attributes::Flat(flat) => {
                let flat = object(|members| flat.iter().for_each(|(name, value)| members.text(name, value)));
                members.raw("attributes_flat", &flat);
            }
        }
        members.raw("sensitive_attributes", &list(instance.sensitive.iter().map(path)));
        if let Some(version) = instance.identity_schema_version {
            members.raw("identity_schema_version", &version.to_string());
        }
        if let Some(identity) = &instance.identity {
            members.raw("identity", identity.as_str());
        }
        if !instance.private.is_empty() {
            members.text("private", &STANDARD.encode(&instance.private));
        }
        if !instance.dependencies.is_empty() {
            members.raw("dependencies", &list(instance.dependencies.iter().map(|address| quoted(address))));
        }
        members.flag("create_before_destroy", instance.create_before_destroy);
    })
}

/// Elements of a set have no paths: the way ends at the set.
fn path(path: &Path) -> String {
    let steps = path.steps().iter().map_while(|step| match step {
        PathStep::Attribute(name) => Some(("get_attr", quoted(name))),
        PathStep::Index(index) => Some(("index", key(&index.to_string(), "number"))),
        PathStep::Key(name) => Some(("index", key(&quoted(name), "string"))),
        PathStep::Element(_) => None,
    });
    list(steps.map(|(kind, value)| {
        object(|members| {
            members.text("type", kind);
            members.raw("value", &value);
        })
    }))
}

fn key(value: &str, ty: &str) -> String {
    object(|members| {
        members.raw("value", value);
        members.text("type", ty);
    })
}

fn checks(checks: &[Check]) -> String {
    list(checks.iter().map(|check| {
        object(|members| {
            members.text("object_kind", &check.kind);
            members.text("config_addr", &check.address);
            members.text("status", &check.status);
            let objects = check.objects.as_ref().map_or_else(null, |objects| {
                list(objects.iter().map(|object_of| {
                    object(|members| {
                        members.text("object_addr", &object_of.address);
                        members.text("status", &object_of.status);
                        if !object_of.messages.is_empty() {
                            let messages = object_of.messages.iter().map(|message| quoted(message));
                            members.raw("failure_messages", &list(messages));
                        }
                    })
                }))
            });
            members.raw("objects", &objects);
        })
    }))
}

fn null() -> String {
    "null".to_owned()
}

/// The members of a JSON object, in the order in which they are given.
struct Members(String);

impl Members {
    fn raw(&mut self, name: &str, json: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(json);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.raw(name, &quoted(text));
    }

    /// Only where it is true.
    fn flag(&mut self, name: &str, truth: bool) {
        if truth {
            self.raw(name, "true");
        }
    }
}

fn object(write: impl FnOnce(&mut Members)) -> String {
    let mut members = Members(String::new());
    write(&mut members);
    format!("{{{}}}", members.0)
}

fn list(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.collect::<Vec<_>>().join(","))
}
