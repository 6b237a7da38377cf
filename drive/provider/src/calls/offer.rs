use std::sync::atomic::Ordering;

use andon_schema::{Block, FunctionSchema, Mode, TypeSchema};
use andon_value::{Type, Value};

use crate::Plugin;
use crate::call::Call;
use crate::error::{CallError, PluginError};
use crate::schema::RawSchema;
use crate::values::{CAPABILITIES, PluginDiagnostic, diagnostics, from_wire, is_error, to_wire};
use crate::wire::plugin as wire;

/// Why a function of a plugin gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What it says.
    pub message: String,
    /// Which argument it is about, counted from 0.
    pub argument: Option<usize>,
}

impl Plugin {
    /// All that it offers.
    pub fn schema(&self) -> Result<RawSchema, PluginError> {
        let method = self.schema_method();
        let limit = Some(self.settings.call_limit);
        let refuse_errors = |said: &[wire::Diagnostic]| match said.iter().find(|it| is_error(it)) {
            None => Ok(()),
            Some(error) => {
                let words = [error.summary.as_str(), error.detail.as_str()];
                let words: Vec<&str> = words.into_iter().filter(|text| !text.is_empty()).collect();
                Err(CallError::Refused(words.join(": ")))
            }
        };
        let offer = self.connection.call(method, limit, Ok(wire::Empty {}), move |answer: wire::GetProviderSchema| {
            refuse_errors(&answer.diagnostics).map(|()| answer)
        });
        let offer = offer.wait()?;
        self.asked.store(true, Ordering::Relaxed);
        let read = move |answer: wire::IdentitySchemas| refuse_errors(&answer.diagnostics).map(|()| answer);
        let identities = self.connection.call("GetResourceIdentitySchemas", limit, Ok(wire::Empty {}), read).wait();
        let identities = match identities {
            Ok(answer) => answer.identity_schemas,
            // An older plugin knows of none.
            Err(PluginError::Call { failure: CallError::Unsupported, .. }) => Default::default(),
            Err(error) => return Err(error),
        };
        Ok(RawSchema::new(self.connection.protocol, offer, identities))
    }

    /// Asks for the schemas and forgets them, where nobody asked before: some plugins prepare themselves at this call,
    /// and refuse others until then. Not needed where [`andon_schema::Capabilities::schema_optional`] says so.
    pub fn prepare(&self) -> Result<(), PluginError> {
        if self.asked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let limit = Some(self.settings.call_limit);
        self.connection.call(self.schema_method(), limit, Ok(wire::Empty {}), |_: wire::Empty| Ok(())).wait()?;
        self.asked.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn schema_method(&self) -> &'static str {
        self.connection.either("GetSchema", "GetProviderSchema")
    }

    /// What is wrong with the configuration of the provider, an object of its schema's implied type.
    pub fn validate_provider(&self, schema: &Block, config: &Value) -> Call<Vec<PluginDiagnostic>> {
        let method = self.connection.either("PrepareProviderConfig", "ValidateProviderConfig");
        let request = to_wire(config, &schema.implied_type())
            .map(|config| wire::ValidateProviderRequest { config: Some(config) });
        let limit = Some(self.settings.call_limit);
        self.connection
            .call(method, limit, request, |answer: wire::ValidateProviderResponse| Ok(diagnostics(answer.diagnostics)))
    }

    /// What is wrong with the configuration of a resource, a data source or an ephemeral resource, an object of the
    /// type's schema's implied type.
    pub fn validate_type(
        &self,
        mode: Mode,
        kind: &str,
        schema: &TypeSchema,
        config: &Value,
    ) -> Call<Vec<PluginDiagnostic>> {
        let method = match mode {
            Mode::Managed => self.connection.either("ValidateResourceTypeConfig", "ValidateResourceConfig"),
            Mode::Data => self.connection.either("ValidateDataSourceConfig", "ValidateDataResourceConfig"),
            Mode::Ephemeral => "ValidateEphemeralResourceConfig",
        };
        let request = to_wire(config, &schema.block.implied_type()).map(|config| wire::ValidateTypeRequest {
            type_name: kind.to_owned(),
            config: Some(config),
            client_capabilities: (mode == Mode::Managed).then_some(CAPABILITIES),
        });
        let limit = Some(self.settings.call_limit);
        self.connection
            .call(method, limit, request, |answer: wire::ValidateTypeResponse| Ok(diagnostics(answer.diagnostics)))
    }

    /// The result of a function. Arguments are converted to the parameters' types and known, except where a parameter
    /// takes unknown ones.
    pub fn call_function(
        &self,
        name: &str,
        schema: &FunctionSchema,
        arguments: &[Value],
    ) -> Call<Result<Value, Refused>> {
        let returns = schema.returns.clone();
        let sent = arguments.iter().enumerate().map(|(index, argument)| {
            let parameter = schema.parameters.get(index).or(schema.rest.as_ref());
            to_wire(argument, parameter.map_or(&Type::Dynamic, |parameter| &parameter.ty))
        });
        let request = sent
            .collect::<Result<_, _>>()
            .map(|arguments| wire::CallFunctionRequest { name: name.to_owned(), arguments });
        let limit = Some(self.settings.call_limit);
        self.connection.call("CallFunction", limit, request, move |answer: wire::CallFunctionResponse| {
            if let Some(error) = answer.error {
                let argument = error.function_argument.and_then(|index| usize::try_from(index).ok());
                return Ok(Err(Refused { message: error.text, argument }));
            }
            from_wire(answer.result.as_ref(), &returns).map(Ok)
        })
    }
}
