use std::path::{Path, PathBuf};
use std::time::Duration;

use andon_schema::{FunctionSchema, Mode, TypeSchema};
use andon_value::{Path as ValuePath, PathStep, Type, Value};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::error::{CallError, PluginError, StartFailure};
use crate::msgpack::{decode, encode};
use crate::process::Process;
use crate::schema::{Protocol, RawSchema};
use crate::tail::Tail;
use crate::wire::plugin as wire;

/// What a server of plugins may send; a large plugin's schemas are 5 MB today.
const LARGEST_ANSWER_BYTES: usize = 1 << 30;

/// A plugin that was asked to end is given so long.
const GRACE: Duration = Duration::from_secs(2);

/// How long a plugin may take.
#[derive(Debug, Clone, Copy)]
pub struct StartSettings {
    /// Until it says where it listens: a large program is read from the disk first.
    pub start_limit: Duration,
    /// For the answer to one call.
    pub call_limit: Duration,
}

impl Default for StartSettings {
    fn default() -> StartSettings {
        StartSettings { start_limit: Duration::from_secs(60), call_limit: Duration::from_secs(300) }
    }
}

/// A plugin that was started. It is not configured: it can say what it offers and what is wrong with a configuration,
/// and call its functions. Calls may come from many threads at once.
pub struct Plugin {
    path: PathBuf,
    settings: StartSettings,
    protocol: Protocol,
    channel: Channel,
    tail: Tail,
    /// Gone when it was shut down.
    process: Option<Process>,
    runtime: Option<Runtime>,
}

/// What a plugin says of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDiagnostic {
    /// Whether nothing may be done until it is mended.
    pub error: bool,
    /// What is wrong, in one line.
    pub summary: String,
    /// Why; may be empty.
    pub detail: String,
    /// What of the configuration it is about; empty for all of it.
    pub path: ValuePath,
}

/// Why a function of a plugin gave no result.
#[derive(Debug)]
pub enum FunctionFailure {
    /// It says why, and perhaps which argument it is, counted from 0.
    Refused(String, Option<usize>),
    /// The plugin failed.
    Plugin(PluginError),
}

impl Plugin {
    /// Starts the plugin in this file.
    pub fn start(path: &Path, settings: StartSettings) -> Result<Plugin, PluginError> {
        let tail = Tail::default();
        let failed = |failure| PluginError::Start { path: path.to_owned(), failure, output: tail.shown() };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("plugin-calls")
            .enable_all()
            .build()
            .map_err(|error| failed(StartFailure::Io(error)))?;
        let process = Process::start(path, settings.start_limit, &tail).map_err(failed)?;
        let channel = runtime.block_on(connect(process.socket.clone()));
        let channel = channel.map_err(|error| failed(StartFailure::Connect(error)))?;
        process.connected();
        runtime.spawn(listen(channel.clone(), tail.clone()));
        let protocol = process.protocol;
        let path = path.to_owned();
        Ok(Plugin { path, settings, protocol, channel, tail, process: Some(process), runtime: Some(runtime) })
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// All that it offers.
    pub fn schema(&self) -> Result<RawSchema, PluginError> {
        let method = self.either("GetSchema", "GetProviderSchema");
        let answer: wire::GetProviderSchema = self.call(method, wire::Empty {})?;
        let is_error = |it: &&wire::Diagnostic| it.severity != i32::from(WARNING);
        if let Some(error) = answer.diagnostics.iter().find(is_error) {
            let words = [error.summary.as_str(), error.detail.as_str()];
            let words: Vec<&str> = words.into_iter().filter(|text| !text.is_empty()).collect();
            return Err(self.failed(method, CallError::Refused(words.join(": "))));
        }
        Ok(RawSchema::new(self.protocol, answer))
    }

    /// What is wrong with the configuration of the provider, an object of its schema's implied type.
    pub fn validate_provider(&self, schema: &TypeSchema, config: &Value) -> Result<Vec<PluginDiagnostic>, PluginError> {
        let method = self.either("PrepareProviderConfig", "ValidateProviderConfig");
        let config = Some(self.dynamic(method, config, &schema.block.implied_type())?);
        let answer: wire::ValidateProviderResponse = self.call(method, wire::ValidateProviderRequest { config })?;
        Ok(answer.diagnostics.into_iter().map(diagnostic).collect())
    }

    /// What is wrong with the configuration of a resource, a data source or an ephemeral resource, an object of the
    /// type's schema's implied type.
    pub fn validate_type(
        &self,
        mode: Mode,
        kind: &str,
        schema: &TypeSchema,
        config: &Value,
    ) -> Result<Vec<PluginDiagnostic>, PluginError> {
        let method = match mode {
            Mode::Managed => self.either("ValidateResourceTypeConfig", "ValidateResourceConfig"),
            Mode::Data => self.either("ValidateDataSourceConfig", "ValidateDataResourceConfig"),
            Mode::Ephemeral => "ValidateEphemeralResourceConfig",
        };
        let capabilities = wire::ClientCapabilities { deferral_allowed: false, write_only_attributes_allowed: true };
        let request = wire::ValidateTypeRequest {
            type_name: kind.to_owned(),
            config: Some(self.dynamic(method, config, &schema.block.implied_type())?),
            client_capabilities: (mode == Mode::Managed).then_some(capabilities),
        };
        let answer: wire::ValidateTypeResponse = self.call(method, request)?;
        Ok(answer.diagnostics.into_iter().map(diagnostic).collect())
    }

    /// The result of a function. Arguments are converted to the parameters' types and known, except where a parameter
    /// takes unknown ones.
    pub fn call_function(
        &self,
        name: &str,
        schema: &FunctionSchema,
        arguments: &[Value],
    ) -> Result<Value, FunctionFailure> {
        const METHOD: &str = "CallFunction";
        let mut sent = Vec::new();
        for (index, argument) in arguments.iter().enumerate() {
            let parameter = schema.parameters.get(index).or(schema.rest.as_ref());
            let ty = parameter.map_or(Type::Dynamic, |parameter| parameter.ty.clone());
            sent.push(self.dynamic(METHOD, argument, &ty).map_err(FunctionFailure::Plugin)?);
        }
        let request = wire::CallFunctionRequest { name: name.to_owned(), arguments: sent };
        let answer: wire::CallFunctionResponse = self.call(METHOD, request).map_err(FunctionFailure::Plugin)?;
        if let Some(error) = answer.error {
            let argument = error.function_argument.and_then(|index| usize::try_from(index).ok());
            return Err(FunctionFailure::Refused(error.text, argument));
        }
        let result = answer.result.unwrap_or_default();
        let bad = |error| FunctionFailure::Plugin(self.failed(METHOD, CallError::Value(error)));
        if result.msgpack.is_empty() {
            return Ok(Value::null(schema.returns.clone()));
        }
        decode(&result.msgpack, &schema.returns).map_err(bad)
    }

    /// Asks it to end, and ends it.
    pub fn shut_down(mut self) {
        if let Some(process) = self.process.take() {
            let asked: Result<wire::Empty, _> = self.ask("/plugin.GRPCController/Shutdown", wire::Empty {}, GRACE);
            // It may be gone before its answer is here: that is what was asked.
            drop(asked);
            process.end(GRACE);
        }
    }

    fn either(&self, five: &'static str, six: &'static str) -> &'static str {
        match self.protocol {
            Protocol::Five => five,
            Protocol::Six => six,
        }
    }

    fn dynamic(&self, method: &'static str, value: &Value, ty: &Type) -> Result<wire::DynamicValue, PluginError> {
        let bytes = encode(value, ty).map_err(|error| self.failed(method, CallError::Value(error)))?;
        Ok(wire::DynamicValue { msgpack: bytes.into(), json: Default::default() })
    }

    fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, PluginError>
    where
        Q: Message + Default + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let package = self.either("/tfplugin5.Provider/", "/tfplugin6.Provider/");
        let answer = self.ask(&format!("{package}{method}"), request, self.settings.call_limit);
        answer.map_err(|failure| self.failed(method, failure))
    }

    fn ask<Q, A>(&self, path: &str, request: Q, limit: Duration) -> Result<A, CallError>
    where
        Q: Message + Default + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let Some(runtime) = &self.runtime else { return Err(CallError::Gone) };
        let path = PathAndQuery::try_from(path).map_err(|error| CallError::Refused(error.to_string()))?;
        let mut client = grpc(self.channel.clone());
        runtime.block_on(async {
            let call = async {
                client.ready().await.map_err(|_| CallError::Gone)?;
                let codec = ProstCodec::<Q, A>::default();
                client.unary(Request::new(request), path, codec).await.map_err(|status| failure(&status))
            };
            tokio::time::timeout(limit, call)
                .await
                .map_err(|_| CallError::Slow(limit))?
                .map(tonic::Response::into_inner)
        })
    }

    fn failed(&self, method: &'static str, failure: CallError) -> PluginError {
        // What it says at its end is read by another thread.
        let output = if matches!(failure, CallError::Gone) {
            std::thread::sleep(Duration::from_millis(50));
            self.tail.shown()
        } else {
            String::new()
        };
        PluginError::Call { path: self.path.clone(), method, failure, output }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end(Duration::ZERO);
        }
        // Waiting for what is under way would wait for a plugin that is gone.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

const WARNING: wire::diagnostic::Severity = wire::diagnostic::Severity::Warning;

async fn connect(socket: PathBuf) -> Result<Channel, String> {
    // The address is not used: there is one way to the plugin.
    let endpoint = Endpoint::from_static("http://plugin.invalid");
    let open = move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    };
    endpoint.connect_with_connector(service_fn(open)).await.map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    })
}

fn grpc(channel: Channel) -> Grpc<Channel> {
    Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER_BYTES).max_encoding_message_size(LARGEST_ANSWER_BYTES)
}

/// Takes what the plugin writes on the streams that it moved into the connection, so that it never waits for a reader.
async fn listen(channel: Channel, tail: Tail) {
    let mut client = grpc(channel);
    if client.ready().await.is_err() {
        return;
    }
    let codec = ProstCodec::<wire::Empty, wire::StdioData>::default();
    let path = PathAndQuery::from_static("/plugin.GRPCStdio/StreamStdio");
    let Ok(answer) = client.server_streaming(Request::new(wire::Empty {}), path, codec).await else { return };
    let mut stream = answer.into_inner();
    while let Ok(Some(said)) = stream.message().await {
        tail.push(&said.data);
    }
}

fn failure(status: &Status) -> CallError {
    match status.code() {
        Code::Unavailable | Code::Cancelled => CallError::Gone,
        Code::Unimplemented => CallError::Unsupported,
        // A broken connection shows as an error of the transport, without a code of its own.
        Code::Unknown | Code::Internal if std::error::Error::source(status).is_some() => CallError::Gone,
        _ => CallError::Refused(status.message().to_owned()),
    }
}

fn diagnostic(said: wire::Diagnostic) -> PluginDiagnostic {
    let steps = said.attribute.into_iter().flat_map(|path| path.steps);
    let step = |step: wire::attribute_path::Step| match step.selector? {
        wire::attribute_path::step::Selector::AttributeName(name) => Some(PathStep::Attribute(name.into())),
        wire::attribute_path::step::Selector::ElementKeyString(key) => Some(PathStep::Key(key.into())),
        wire::attribute_path::step::Selector::ElementKeyInt(index) => usize::try_from(index).ok().map(PathStep::Index),
    };
    PluginDiagnostic {
        error: said.severity != i32::from(WARNING),
        summary: said.summary,
        detail: said.detail,
        // The rest of a path that makes no sense says nothing.
        path: steps.map_while(step).collect(),
    }
}
