//! The parts of messages that many calls have, between their wire form and the project's own.

use std::time::{Duration, SystemTime};

use andon_schema::{IdentitySchema, TypeSchema};
use andon_value::{Path, PathStep, Type, Value, from_typed_json};

use crate::error::CallError;
use crate::msgpack::{CodecError, decode, encode};
use crate::wire::plugin as wire;

/// What a plugin says of a configuration, or of what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDiagnostic {
    /// Whether it is an error; else it is a warning.
    pub error: bool,
    /// What is wrong, in one line.
    pub summary: String,
    /// Why; may be empty.
    pub detail: String,
    /// What of the configuration it is about; empty for all of it.
    pub path: Path,
}

/// Why a plugin puts off an answer. Nobody asks it to: one that does so is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deferral {
    /// It does not say why.
    Unsaid,
    /// The resource's configuration is not known far enough.
    ConfigUnknown,
    /// The provider's configuration is not known far enough.
    ProviderConfigUnknown,
    /// Something that it needs is not there yet.
    PrerequisiteAbsent,
}

/// What this client can do beyond the first version of the protocol.
pub(crate) const CAPABILITIES: wire::ClientCapabilities =
    wire::ClientCapabilities { deferral_allowed: false, write_only_attributes_allowed: true };

/// A value to send. Marks do not travel: taking note of them, and putting them back, is the asker's.
pub(crate) fn to_wire(value: &Value, ty: &Type) -> Result<wire::DynamicValue, CallError> {
    let bytes = encode(value, ty).map_err(CallError::Value)?;
    Ok(wire::DynamicValue { msgpack: bytes.into(), json: Default::default() })
}

/// A value that came; null where none did.
pub(crate) fn from_wire(sent: Option<&wire::DynamicValue>, ty: &Type) -> Result<Value, CallError> {
    match sent {
        Some(sent) if !sent.msgpack.is_empty() => decode(&sent.msgpack, ty).map_err(CallError::Value),
        Some(sent) if !sent.json.is_empty() => {
            let form = |error: String| CallError::Value(CodecError::Form(error));
            let json = serde_json::from_slice(&sent.json).map_err(|error| form(error.to_string()))?;
            from_typed_json(&json, ty).map_err(|error| form(error.to_string()))
        }
        _ => Ok(Value::null(ty.without_optional())),
    }
}

/// The type of the identities of a resource type; none where its schema has none.
pub(crate) fn identity_type(schema: &TypeSchema) -> Option<Type> {
    schema.identity.as_deref().map(IdentitySchema::implied_type)
}

pub(crate) fn identity_to_wire(
    identity: Option<&Value>,
    ty: Option<&Type>,
) -> Result<Option<wire::Identity>, CallError> {
    let (Some(identity), Some(ty)) = (identity, ty) else { return Ok(None) };
    Ok(Some(wire::Identity { identity_data: Some(to_wire(identity, ty)?) }))
}

/// An identity that came; what comes without a schema for it makes no sense.
pub(crate) fn identity_from_wire(sent: Option<&wire::Identity>, ty: Option<&Type>) -> Result<Option<Value>, CallError> {
    match (sent.and_then(|sent| sent.identity_data.as_ref()), ty) {
        (None, _) => Ok(None),
        (Some(sent), Some(ty)) => from_wire(Some(sent), ty).map(Some),
        (Some(_), None) => {
            let why = "an identity came, and the resource type's schema has none".to_owned();
            Err(CallError::Value(CodecError::Form(why)))
        }
    }
}

pub(crate) fn diagnostics(said: Vec<wire::Diagnostic>) -> Vec<PluginDiagnostic> {
    said.into_iter().map(diagnostic).collect()
}

fn diagnostic(said: wire::Diagnostic) -> PluginDiagnostic {
    PluginDiagnostic {
        error: is_error(&said),
        summary: said.summary,
        detail: said.detail,
        path: said.attribute.map(path).unwrap_or_default(),
    }
}

/// Whether it is an error; what is of no known severity is one.
pub(crate) fn is_error(said: &wire::Diagnostic) -> bool {
    said.severity != i32::from(wire::diagnostic::Severity::Warning)
}

/// The rest of a path that makes no sense says nothing.
pub(crate) fn path(sent: wire::AttributePath) -> Path {
    let step = |step: wire::attribute_path::Step| match step.selector? {
        wire::attribute_path::step::Selector::AttributeName(name) => Some(PathStep::Attribute(name.into())),
        wire::attribute_path::step::Selector::ElementKeyString(key) => Some(PathStep::Key(key.into())),
        wire::attribute_path::step::Selector::ElementKeyInt(index) => usize::try_from(index).ok().map(PathStep::Index),
    };
    sent.steps.into_iter().map_while(step).collect()
}

pub(crate) fn deferral(sent: Option<wire::Deferred>) -> Option<Deferral> {
    sent.map(|sent| match sent.reason {
        1 => Deferral::ConfigUnknown,
        2 => Deferral::ProviderConfigUnknown,
        3 => Deferral::PrerequisiteAbsent,
        _ => Deferral::Unsaid,
    })
}

/// A point in time; what lies before 1970 or makes no sense is none.
pub(crate) fn time(sent: Option<wire::Timestamp>) -> Option<SystemTime> {
    let sent = sent?;
    let since = Duration::new(u64::try_from(sent.seconds).ok()?, u32::try_from(sent.nanos).ok()?.min(999_999_999));
    SystemTime::UNIX_EPOCH.checked_add(since)
}
