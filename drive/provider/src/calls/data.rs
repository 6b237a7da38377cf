use andon_schema::TypeSchema;
use andon_value::Value;

use super::{Meta, meta_to_wire};
use crate::Plugin;
use crate::call::Call;
use crate::values::{CAPABILITIES, Deferral, PluginDiagnostic, deferral, diagnostics, from_wire, to_wire};
use crate::wire::plugin as wire;

/// Asks for the values of a data source.
#[derive(Debug, Clone, Copy)]
pub struct DataRequest<'a> {
    /// The type.
    pub kind: &'a str,
    /// Its schema.
    pub schema: &'a TypeSchema,
    /// The configuration, wholly known.
    pub config: &'a Value,
    /// What the module says to the provider.
    pub meta: Option<Meta<'a>>,
}

/// The values of a data source.
#[derive(Debug, Clone, PartialEq)]
pub struct DataAnswer {
    /// Null where nothing came.
    pub state: Value,
    /// What the plugin says.
    pub diagnostics: Vec<PluginDiagnostic>,
    /// Whether it puts off the answer.
    pub deferral: Option<Deferral>,
}

impl Plugin {
    /// Reads a data source.
    pub fn read_data(&self, request: &DataRequest<'_>) -> Call<DataAnswer> {
        let ty = request.schema.block.implied_type();
        let sent = to_wire(request.config, &ty).and_then(|config| {
            Ok(wire::ReadDataRequest {
                type_name: request.kind.to_owned(),
                config: Some(config),
                provider_meta: meta_to_wire(request.meta)?,
                client_capabilities: Some(CAPABILITIES),
            })
        });
        self.connection.call("ReadDataSource", None, sent, move |answer: wire::ReadDataResponse| {
            Ok(DataAnswer {
                state: from_wire(answer.state.as_ref(), &ty)?,
                diagnostics: diagnostics(answer.diagnostics),
                deferral: deferral(answer.deferred),
            })
        })
    }
}
