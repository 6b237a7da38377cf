use andon_schema::TypeSchema;
use andon_value::Value;

use super::Stored;
use super::managed::{Types, version};
use crate::Plugin;
use crate::call::Call;
use crate::error::CallError;
use crate::values::{
    CAPABILITIES, Deferral, PluginDiagnostic, deferral, diagnostics, from_wire, identity_from_wire, identity_to_wire,
};
use crate::wire::plugin as wire;

/// Asks for an object that is there and that nobody knows of yet.
#[derive(Debug, Clone, Copy)]
pub struct ImportRequest<'a> {
    /// The type.
    pub kind: &'a str,
    /// Its schema.
    pub schema: &'a TypeSchema,
    /// Which object.
    pub by: ImportBy<'a>,
}

/// What names the object to import.
#[derive(Debug, Clone, Copy)]
pub enum ImportBy<'a> {
    /// Text of a form that only the provider knows.
    Id(&'a str),
    /// Its identity.
    Identity(&'a Value),
}

/// What was imported.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportAnswer {
    /// Usually one; more are parts of it.
    pub imported: Vec<Imported>,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
    /// Whether it puts off the answer.
    pub deferral: Option<Deferral>,
}

/// One object that was imported: often only what it takes to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Its type.
    pub kind: String,
    /// The object; none where it is of another type than was asked for, whose schema is not at hand.
    pub state: Option<Value>,
    /// To be handed to the read.
    pub private: Vec<u8>,
    /// What tells it from others.
    pub identity: Option<Value>,
}

/// Makes an object of one of another type or of another provider.
#[derive(Debug, Clone, Copy)]
pub struct MoveRequest<'a> {
    /// The provider that the object was of, such as `registry.terraform.io/hashicorp/null`.
    pub from_provider: &'a str,
    /// The type that it was of.
    pub from_kind: &'a str,
    /// The version of that type's schema that it was stored by.
    pub from_version: u64,
    /// The object.
    pub from_state: Stored<'a>,
    /// What only its provider understands; empty for nothing.
    pub from_private: &'a [u8],
    /// Its identity, with the version of the identity's schema.
    pub from_identity: Option<(Stored<'a>, u64)>,
    /// The type that it is to be of.
    pub kind: &'a str,
    /// That type's schema.
    pub schema: &'a TypeSchema,
}

/// An object that was made of another.
#[derive(Debug, Clone, PartialEq)]
pub struct MoveAnswer {
    /// Null where nothing came.
    pub state: Value,
    /// To be stored with it.
    pub private: Vec<u8>,
    /// What tells it from others.
    pub identity: Option<Value>,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
}

impl Plugin {
    /// Asks for an object that is there and that nobody knows of yet.
    pub fn import(&self, request: &ImportRequest<'_>) -> Call<ImportAnswer> {
        let types = Types::of(request.schema);
        let kind = request.kind.to_owned();
        let (id, identity) = match request.by {
            ImportBy::Id(id) => (id, None),
            ImportBy::Identity(identity) => ("", Some(identity)),
        };
        let sent = identity_to_wire(identity, types.identity.as_ref()).and_then(|sent| {
            if sent.is_none() && identity.is_some() {
                return Err(CallError::Refused(format!("objects of {kind} have no identity")));
            }
            Ok(wire::ImportRequest {
                type_name: kind.clone(),
                id: id.to_owned(),
                client_capabilities: Some(CAPABILITIES),
                identity: sent,
            })
        });
        self.connection.call("ImportResourceState", None, sent, move |answer: wire::ImportResponse| {
            let imported = answer.imported_resources.into_iter().map(|it| {
                let is_known = it.type_name == kind;
                Ok(Imported {
                    state: is_known.then(|| from_wire(it.state.as_ref(), &types.state)).transpose()?,
                    private: it.private.into(),
                    identity: match is_known {
                        true => identity_from_wire(it.identity.as_ref(), types.identity.as_ref())?,
                        false => None,
                    },
                    kind: it.type_name,
                })
            });
            Ok(ImportAnswer {
                imported: imported.collect::<Result<_, CallError>>()?,
                diagnostics: diagnostics(answer.diagnostics),
                deferral: deferral(answer.deferred),
            })
        })
    }

    /// Makes an object of one of another type or provider. Only a provider that says that it can is to be asked
    /// ([`andon_schema::Capabilities::move_state`]).
    pub fn move_state(&self, request: &MoveRequest<'_>) -> Call<MoveAnswer> {
        let types = Types::of(request.schema);
        let sent = (|| {
            let (identity, identity_version) = match request.from_identity {
                Some((identity, number)) => (Some(identity.to_wire(None)), version(number)?),
                None => (None, 0),
            };
            Ok(wire::MoveRequest {
                source_provider_address: request.from_provider.to_owned(),
                source_type_name: request.from_kind.to_owned(),
                source_schema_version: version(request.from_version)?,
                source_state: Some(request.from_state.to_wire(None)),
                target_type_name: request.kind.to_owned(),
                source_private: request.from_private.to_vec().into(),
                source_identity: identity,
                source_identity_schema_version: identity_version,
            })
        })();
        self.connection.call("MoveResourceState", None, sent, move |answer: wire::MoveResponse| {
            Ok(MoveAnswer {
                state: from_wire(answer.target_state.as_ref(), &types.state)?,
                private: answer.target_private.into(),
                identity: identity_from_wire(answer.target_identity.as_ref(), types.identity.as_ref())?,
                diagnostics: diagnostics(answer.diagnostics),
            })
        })
    }
}
