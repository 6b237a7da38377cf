use std::time::SystemTime;

use andon_schema::TypeSchema;
use andon_value::Value;

use crate::Plugin;
use crate::call::Call;
use crate::values::{CAPABILITIES, Deferral, PluginDiagnostic, deferral, diagnostics, from_wire, time, to_wire};
use crate::wire::plugin as wire;

/// Opens an ephemeral resource.
#[derive(Debug, Clone, Copy)]
pub struct EphemeralRequest<'a> {
    /// The type.
    pub kind: &'a str,
    /// Its schema.
    pub schema: &'a TypeSchema,
    /// The configuration, wholly known.
    pub config: &'a Value,
}

/// What is open of an ephemeral resource: what a renewal and the closing need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedEphemeral {
    /// The type.
    pub kind: String,
    /// What only the provider understands.
    pub private: Option<Vec<u8>>,
    /// When it must be renewed, where it must.
    pub renew_at: Option<SystemTime>,
}

/// An ephemeral resource that was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct EphemeralAnswer {
    /// Its value; null where nothing came.
    pub value: Value,
    /// To be renewed and closed, unless there are errors.
    pub opened: OpenedEphemeral,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
    /// Whether it puts off the answer.
    pub deferral: Option<Deferral>,
}

/// An ephemeral resource that was renewed.
#[derive(Debug, Clone, PartialEq)]
pub struct RenewedEphemeral {
    /// What is open now.
    pub opened: OpenedEphemeral,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
}

impl Plugin {
    /// Opens an ephemeral resource.
    pub fn open_ephemeral(&self, request: &EphemeralRequest<'_>) -> Call<EphemeralAnswer> {
        let ty = request.schema.block.implied_type();
        let kind = request.kind.to_owned();
        let sent = to_wire(request.config, &ty).map(|config| wire::OpenRequest {
            type_name: kind.clone(),
            config: Some(config),
            client_capabilities: Some(CAPABILITIES),
        });
        self.connection.call("OpenEphemeralResource", None, sent, move |answer: wire::OpenResponse| {
            Ok(EphemeralAnswer {
                value: from_wire(answer.result.as_ref(), &ty)?,
                opened: OpenedEphemeral {
                    kind,
                    private: answer.private.map(Into::into),
                    renew_at: time(answer.renew_at),
                },
                diagnostics: diagnostics(answer.diagnostics),
                deferral: deferral(answer.deferred),
            })
        })
    }

    /// Renews what is open.
    pub fn renew_ephemeral(&self, opened: &OpenedEphemeral) -> Call<RenewedEphemeral> {
        let opened = opened.clone();
        let sent = Ok(of_opened(&opened));
        self.connection.call("RenewEphemeralResource", None, sent, move |answer: wire::RenewResponse| {
            Ok(RenewedEphemeral {
                opened: OpenedEphemeral {
                    // One that says nothing of it keeps it.
                    private: answer.private.map(Into::into).or(opened.private),
                    renew_at: time(answer.renew_at),
                    kind: opened.kind,
                },
                diagnostics: diagnostics(answer.diagnostics),
            })
        })
    }

    /// Closes what is open.
    pub fn close_ephemeral(&self, opened: &OpenedEphemeral) -> Call<Vec<PluginDiagnostic>> {
        let sent = Ok(of_opened(opened));
        self.connection.call("CloseEphemeralResource", None, sent, |answer: wire::CloseResponse| {
            Ok(diagnostics(answer.diagnostics))
        })
    }
}

fn of_opened(opened: &OpenedEphemeral) -> wire::OpenedRequest {
    wire::OpenedRequest { type_name: opened.kind.clone(), private: opened.private.clone().map(Into::into) }
}
