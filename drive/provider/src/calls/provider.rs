use andon_schema::Block;
use andon_value::Value;

use crate::call::Call;
use crate::values::{CAPABILITIES, PluginDiagnostic, diagnostics, to_wire};
use crate::wire::plugin as wire;
use crate::{CallError, Plugin};

/// The version of Terraform that providers are told they serve: some refuse what does not look like one, and some
/// offer more to a newer one. It is the one that this client behaves as, and is tested against.
pub const TERRAFORM_VERSION: &str = "1.11.4";

impl Plugin {
    /// Configures it, once: an object of the implied type of the provider's schema, with unknown values in it only
    /// while planning. It is configured unless the answer has an error.
    pub fn configure(&self, schema: &Block, config: &Value) -> Call<Vec<PluginDiagnostic>> {
        let request = to_wire(config, &schema.implied_type()).map(|config| wire::ConfigureRequest {
            terraform_version: TERRAFORM_VERSION.to_owned(),
            config: Some(config),
            client_capabilities: Some(CAPABILITIES),
        });
        let method = self.connection.either("Configure", "ConfigureProvider");
        self.connection
            .call(method, None, request, |answer: wire::ConfigureResponse| Ok(diagnostics(answer.diagnostics)))
    }

    /// Asks it to break off what it is doing; calls that are under way then end early, as they see fit.
    pub fn stop(&self) -> Call<()> {
        let method = self.connection.either("Stop", "StopProvider");
        let limit = Some(self.settings.call_limit);
        self.connection.call(method, limit, Ok(wire::Empty {}), |answer: wire::StopResponse| {
            if answer.error.is_empty() { Ok(()) } else { Err(CallError::Refused(answer.error)) }
        })
    }
}
