use andon_schema::TypeSchema;
use andon_value::{Path, Type, Value};

use super::{Meta, Stored, meta_to_wire};
use crate::Plugin;
use crate::call::Call;
use crate::error::CallError;
use crate::msgpack::CodecError;
use crate::values::{
    CAPABILITIES, Deferral, PluginDiagnostic, deferral, diagnostics, from_wire, identity_from_wire, identity_to_wire,
    identity_type, path, to_wire,
};
use crate::wire::plugin as wire;

/// Brings a stored object to the current version of its schema. To be asked of every stored object, whatever its
/// version: providers also mend here.
#[derive(Debug, Clone, Copy)]
pub struct UpgradeRequest<'a> {
    /// The type.
    pub kind: &'a str,
    /// Its current schema.
    pub schema: &'a TypeSchema,
    /// The version of the schema that the object was stored by.
    pub version: u64,
    /// The object.
    pub stored: Stored<'a>,
}

/// An object, and what the plugin says.
#[derive(Debug, Clone, PartialEq)]
pub struct StateAnswer {
    /// Null where nothing came.
    pub state: Value,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
}

/// Brings a stored identity to the current version of its schema.
#[derive(Debug, Clone, Copy)]
pub struct UpgradeIdentityRequest<'a> {
    /// The type.
    pub kind: &'a str,
    /// Its current schema, with that of its identities.
    pub schema: &'a TypeSchema,
    /// The version of the identity's schema that it was stored by.
    pub version: u64,
    /// The identity.
    pub stored: Stored<'a>,
}

/// An identity, and what the plugin says.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityAnswer {
    /// None where nothing came.
    pub identity: Option<Value>,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
}

/// Looks what an object is now.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest<'a> {
    /// The type.
    pub kind: &'a str,
    /// Its schema.
    pub schema: &'a TypeSchema,
    /// The object as it was last seen.
    pub state: &'a Value,
    /// What only the provider understands; empty for nothing.
    pub private: &'a [u8],
    /// What the module says to the provider.
    pub meta: Option<Meta<'a>>,
    /// What tells it from others.
    pub identity: Option<&'a Value>,
}

/// What an object is now.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadAnswer {
    /// Null where it is gone.
    pub state: Value,
    /// To be stored with it.
    pub private: Vec<u8>,
    /// What tells it from others.
    pub identity: Option<Value>,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
    /// Whether it puts off the answer.
    pub deferral: Option<Deferral>,
}

/// Asks what a change would make of an object.
#[derive(Debug, Clone, Copy)]
pub struct PlanRequest<'a> {
    /// The type.
    pub kind: &'a str,
    /// Its schema.
    pub schema: &'a TypeSchema,
    /// The object as it is; null to create one.
    pub prior: &'a Value,
    /// What the configuration alone would make of it; null to delete it.
    pub proposed: &'a Value,
    /// The configuration; null to delete it.
    pub config: &'a Value,
    /// What only the provider understands, of the object as it is; empty for nothing.
    pub private: &'a [u8],
    /// What the module says to the provider.
    pub meta: Option<Meta<'a>>,
    /// What tells the object as it is from others.
    pub identity: Option<&'a Value>,
}

/// What a change would make of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanAnswer {
    /// With unknown values for what only the change will tell.
    pub planned: Value,
    /// The parts that cannot be changed in place.
    pub requires_replace: Vec<Path>,
    /// To be handed to the apply.
    pub private: Vec<u8>,
    /// Its SDK is an old one, which breaks rules that cannot be held against it.
    pub legacy: bool,
    /// What tells the planned object from others.
    pub identity: Option<Value>,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
    /// Whether it puts off the answer.
    pub deferral: Option<Deferral>,
}

/// Makes a change.
#[derive(Debug, Clone, Copy)]
pub struct ApplyRequest<'a> {
    /// The type.
    pub kind: &'a str,
    /// Its schema.
    pub schema: &'a TypeSchema,
    /// The object as it is; null to create one.
    pub prior: &'a Value,
    /// What the plan promised; null to delete it.
    pub planned: &'a Value,
    /// The configuration; null to delete it.
    pub config: &'a Value,
    /// What the plan's answer had.
    pub private: &'a [u8],
    /// What the module says to the provider.
    pub meta: Option<Meta<'a>>,
    /// What tells the planned object from others.
    pub identity: Option<&'a Value>,
}

/// What a change made.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplyAnswer {
    /// What is there now, even where there are errors; null where nothing is, or where nothing came.
    pub state: Value,
    /// To be stored with it.
    pub private: Vec<u8>,
    /// Its SDK is an old one, which breaks rules that cannot be held against it.
    pub legacy: bool,
    /// What tells it from others.
    pub identity: Option<Value>,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
}

/// The configuration of an object that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigAnswer {
    /// Null where nothing came.
    pub config: Value,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
}

impl Plugin {
    /// Brings a stored object to the current version of its schema. Attributes that the schema does not have any more
    /// are left out where its version is still the same.
    pub fn upgrade(&self, request: &UpgradeRequest<'_>) -> Call<StateAnswer> {
        let ty = request.schema.block.implied_type();
        let known = (request.version == request.schema.version).then_some(&ty);
        let sent = version(request.version).map(|version| wire::UpgradeRequest {
            type_name: request.kind.to_owned(),
            version,
            raw_state: Some(request.stored.to_wire(known)),
        });
        self.connection.call("UpgradeResourceState", None, sent, move |answer: wire::UpgradeResponse| {
            let state = from_wire(answer.upgraded_state.as_ref(), &ty)?;
            Ok(StateAnswer { state, diagnostics: diagnostics(answer.diagnostics) })
        })
    }

    /// Brings a stored identity to the current version of its schema.
    pub fn upgrade_identity(&self, request: &UpgradeIdentityRequest<'_>) -> Call<IdentityAnswer> {
        let ty = identity_type(request.schema);
        let current = request.schema.identity.as_deref().map(|schema| schema.version);
        let known = ty.as_ref().filter(|_| current == Some(request.version));
        let sent = version(request.version).map(|version| wire::UpgradeRequest {
            type_name: request.kind.to_owned(),
            version,
            raw_state: Some(request.stored.to_wire(known)),
        });
        let read = move |answer: wire::UpgradeIdentityResponse| {
            let identity = identity_from_wire(answer.upgraded_identity.as_ref(), ty.as_ref())?;
            Ok(IdentityAnswer { identity, diagnostics: diagnostics(answer.diagnostics) })
        };
        self.connection.call("UpgradeResourceIdentity", None, sent, read)
    }

    /// Looks what an object is now.
    pub fn read(&self, request: &ReadRequest<'_>) -> Call<ReadAnswer> {
        let types = Types::of(request.schema);
        let sent = (|| {
            Ok(wire::ReadRequest {
                type_name: request.kind.to_owned(),
                current_state: Some(to_wire(request.state, &types.state)?),
                private: request.private.to_vec().into(),
                provider_meta: meta_to_wire(request.meta)?,
                client_capabilities: Some(CAPABILITIES),
                current_identity: identity_to_wire(request.identity, types.identity.as_ref())?,
            })
        })();
        self.connection.call("ReadResource", None, sent, move |answer: wire::ReadResponse| {
            Ok(ReadAnswer {
                state: from_wire(answer.new_state.as_ref(), &types.state)?,
                private: answer.private.into(),
                identity: identity_from_wire(answer.new_identity.as_ref(), types.identity.as_ref())?,
                diagnostics: diagnostics(answer.diagnostics),
                deferral: deferral(answer.deferred),
            })
        })
    }

    /// Asks what a change would make of an object.
    pub fn plan(&self, request: &PlanRequest<'_>) -> Call<PlanAnswer> {
        let types = Types::of(request.schema);
        let sent = (|| {
            Ok(wire::PlanRequest {
                type_name: request.kind.to_owned(),
                prior_state: Some(to_wire(request.prior, &types.state)?),
                proposed_new_state: Some(to_wire(request.proposed, &types.state)?),
                config: Some(to_wire(request.config, &types.state)?),
                prior_private: request.private.to_vec().into(),
                provider_meta: meta_to_wire(request.meta)?,
                client_capabilities: Some(CAPABILITIES),
                prior_identity: identity_to_wire(request.identity, types.identity.as_ref())?,
            })
        })();
        self.connection.call("PlanResourceChange", None, sent, move |answer: wire::PlanResponse| {
            Ok(PlanAnswer {
                planned: from_wire(answer.planned_state.as_ref(), &types.state)?,
                requires_replace: answer.requires_replace.into_iter().map(path).collect(),
                private: answer.planned_private.into(),
                legacy: answer.legacy_type_system,
                identity: identity_from_wire(answer.planned_identity.as_ref(), types.identity.as_ref())?,
                diagnostics: diagnostics(answer.diagnostics),
                deferral: deferral(answer.deferred),
            })
        })
    }

    /// Makes a change. Where the call fails, what it did is not known.
    pub fn apply(&self, request: &ApplyRequest<'_>) -> Call<ApplyAnswer> {
        let types = Types::of(request.schema);
        let sent = (|| {
            Ok(wire::ApplyRequest {
                type_name: request.kind.to_owned(),
                prior_state: Some(to_wire(request.prior, &types.state)?),
                planned_state: Some(to_wire(request.planned, &types.state)?),
                config: Some(to_wire(request.config, &types.state)?),
                planned_private: request.private.to_vec().into(),
                provider_meta: meta_to_wire(request.meta)?,
                planned_identity: identity_to_wire(request.identity, types.identity.as_ref())?,
            })
        })();
        self.connection.call("ApplyResourceChange", None, sent, move |answer: wire::ApplyResponse| {
            Ok(ApplyAnswer {
                state: from_wire(answer.new_state.as_ref(), &types.state)?,
                private: answer.private.into(),
                legacy: answer.legacy_type_system,
                identity: identity_from_wire(answer.new_identity.as_ref(), types.identity.as_ref())?,
                diagnostics: diagnostics(answer.diagnostics),
            })
        })
    }

    /// The configuration that would describe an object as it is. Only a provider that says that it can is to be asked
    /// ([`andon_schema::Capabilities::generate_config`]).
    pub fn generate_config(&self, kind: &str, schema: &TypeSchema, state: &Value) -> Call<ConfigAnswer> {
        let ty = schema.block.implied_type();
        let sent = to_wire(state, &ty)
            .map(|state| wire::GenerateConfigRequest { type_name: kind.to_owned(), state: Some(state) });
        self.connection.call("GenerateResourceConfig", None, sent, move |answer: wire::GenerateConfigResponse| {
            let config = from_wire(answer.config.as_ref(), &ty)?;
            Ok(ConfigAnswer { config, diagnostics: diagnostics(answer.diagnostics) })
        })
    }
}

/// What the objects of a resource type and their identities are.
pub(super) struct Types {
    pub state: Type,
    pub identity: Option<Type>,
}

impl Types {
    pub fn of(schema: &TypeSchema) -> Types {
        Types { state: schema.block.implied_type(), identity: identity_type(schema) }
    }
}

/// The number of a version on the wire.
pub(super) fn version(version: u64) -> Result<i64, CallError> {
    i64::try_from(version).map_err(|_| CallError::Value(CodecError::Form(format!("{version} is no version"))))
}
