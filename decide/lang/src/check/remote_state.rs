//! What `terraform_remote_state` asks of its arguments beyond their types
//! (<https://developer.hashicorp.com/terraform/language/state/remote-state-data>).

use andon_text::Diagnostic;
use andon_value::{Type, Value, convert};

use super::item_span;
use super::scope::Checked;
use crate::definitions::ResourceDefinition;
use crate::shape::suggest;

/// The backends that there are, each with what its configuration must have.
const BACKENDS: [(&str, &[&str]); 14] = [
    // The outputs that a stack of this project has published in another environment.
    ("andon", &["environment"]),
    ("azurerm", &["container_name", "key"]),
    ("cloud", &[]),
    ("consul", &["path"]),
    ("cos", &["bucket"]),
    ("gcs", &["bucket"]),
    ("http", &[]),
    ("inmem", &[]),
    ("kubernetes", &["secret_suffix"]),
    ("local", &[]),
    ("oss", &["bucket"]),
    ("pg", &[]),
    ("remote", &["organization"]),
    ("s3", &["bucket", "key"]),
];

/// Those that older versions of the language had.
const GONE: [&str; 5] = ["artifactory", "etcd", "etcdv3", "manta", "swift"];

/// What the configuration of the local backend may have; all of it is text.
const LOCAL: [&str; 2] = ["path", "workspace_dir"];

/// Checks the evaluated body of one.
pub(super) fn check(checked: &Checked<'_>, definition: &ResourceDefinition, value: &Value) {
    let expr = |name: &str| definition.body.attribute(name).map(|attribute| &attribute.value);
    let argument = |name: &str| expr(name).zip(value.get(name).filter(|it| !it.is_unknown() && !it.is_null()));
    let holds_names = |value: &Value| matches!(value.ty(), Type::Object { .. } | Type::Map(_));
    if let Some((written, value)) = argument("defaults").filter(|(_, value)| !holds_names(value)) {
        let diagnostic = Diagnostic::error("\"defaults\" holds values by name").at(written.span);
        checked.report([diagnostic.label(format!("this is {}", value.ty().in_words()))]);
    }
    let Some((written, Some(backend))) = argument("backend").map(|(written, value)| (written, value.as_str())) else {
        return;
    };
    let Some((_, required)) = BACKENDS.iter().find(|(name, _)| *name == &**backend) else {
        let diagnostic = Diagnostic::error(format!("there is no backend \"{backend}\"")).at(written.span);
        checked.report([match GONE.contains(&&**backend) {
            true => diagnostic.label("newer versions of the language have it no longer"),
            false => suggest(diagnostic, backend, BACKENDS.iter().map(|(name, _)| *name)),
        }]);
        return;
    };
    let given = expr("config").zip(value.get("config"));
    match given {
        Some((written, value)) if !value.is_null() && !value.is_unknown() && !holds_names(value) => {
            let diagnostic = Diagnostic::error("\"config\" holds arguments of the backend by name").at(written.span);
            return checked.report([diagnostic.label(format!("this is {}", value.ty().in_words()))]);
        }
        Some((_, value)) if value.is_unknown() || matches!(value.ty(), Type::Map(_)) => return,
        _ => {}
    }
    let entries = given.as_ref().and_then(|(_, value)| value.as_entries());
    for name in *required {
        if entries.is_none_or(|entries| entries.get(*name).is_none_or(Value::is_null)) {
            let at = given.as_ref().map_or(written.span, |(written, _)| written.span);
            let diagnostic = Diagnostic::error(format!("the backend \"{backend}\" needs \"{name}\" in \"config\""));
            checked.report([diagnostic.at(at)]);
        }
    }
    let Some(((written, _), entries)) = given.as_ref().zip(entries).filter(|_| &**backend == "local") else { return };
    for (name, value) in entries.iter() {
        let at = item_span(written, name).unwrap_or(written.span);
        if !LOCAL.contains(&&**name) {
            let diagnostic = Diagnostic::error(format!("the local backend has no argument \"{name}\"")).at(at);
            checked.report([suggest(diagnostic, name, LOCAL)]);
        } else if let Err(problem) = convert(value, &Type::String)
            && value.is_wholly_known()
        {
            let diagnostic = Diagnostic::error(format!("argument \"{name}\" has the wrong type")).at(at);
            checked.report([diagnostic.label(problem.to_string())]);
        }
    }
}
