//! One call of a plugin, ready to be sent: whoever asks may wait for the answer, or be told of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::runtime::Handle;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::error::{CallError, PluginError};
use crate::output::Output;
use crate::runtime::wait;
use crate::schema::Protocol;

/// What a server of plugins may send; a large plugin's schemas are 5 MB today.
const LARGEST_ANSWER_BYTES: usize = 1 << 30;

/// The way to a plugin, shared by the calls that are under way.
#[derive(Clone)]
pub(crate) struct Connection {
    pub program: PathBuf,
    pub protocol: Protocol,
    pub channel: Channel,
    pub output: Output,
    pub runtime: Handle,
    /// Whether a call has found it gone.
    pub gone: Arc<AtomicBool>,
}

/// A call of a plugin that is not sent yet. Drop it, and nothing happened.
#[must_use = "a call is sent by `wait` or `then`"]
pub struct Call<A> {
    prepared: Result<Prepared<A>, PluginError>,
    runtime: Handle,
}

type Running<A> = std::pin::Pin<Box<dyn Future<Output = Result<A, PluginError>> + Send>>;

struct Prepared<A> {
    send: Box<dyn FnOnce() -> Running<A> + Send>,
}

impl<A: Send + 'static> Call<A> {
    /// Sends it and waits for the answer. May be called from any thread.
    pub fn wait(self) -> Result<A, PluginError> {
        let runtime = self.runtime.clone();
        wait(&runtime, self.run()).unwrap_or_else(|()| Err(PluginError::Lost))
    }

    /// Sends it, and has `done` told of the answer, on a thread of the event loop: `done` must not wait for anything.
    /// Thousands of calls may be under way so, with no thread of their own.
    pub fn then(self, done: impl FnOnce(Result<A, PluginError>) + Send + 'static) {
        let runtime = self.runtime.clone();
        runtime.spawn(async move { done(self.run().await) });
    }

    pub(crate) async fn run(self) -> Result<A, PluginError> {
        (self.prepared?.send)().await
    }
}

impl Connection {
    /// A call of the provider service. `request` is made first, `read` makes the answer of what came.
    pub fn call<Q, R, A>(
        &self,
        method: &'static str,
        limit: Option<Duration>,
        request: Result<Q, CallError>,
        read: impl FnOnce(R) -> Result<A, CallError> + Send + 'static,
    ) -> Call<A>
    where
        Q: Message + Default + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
        A: Send + 'static,
    {
        let package = self.either("/tfplugin5.Provider/", "/tfplugin6.Provider/");
        let path = format!("{package}{method}");
        let own = self.clone();
        let prepared = match request {
            Ok(request) => Ok(Prepared {
                send: Box::new(move || -> Running<A> {
                    Box::pin(async move {
                        match ask::<Q, R>(own.channel.clone(), &path, request, limit).await.and_then(read) {
                            Ok(answer) => Ok(answer),
                            Err(failure) => Err(own.failed(method, failure).await),
                        }
                    })
                }),
            }),
            Err(failure) => {
                Err(PluginError::Call { path: self.program.clone(), method, failure, output: String::new() })
            }
        };
        Call { prepared, runtime: self.runtime.clone() }
    }

    /// The word of the protocol that the plugin speaks.
    pub fn either(&self, five: &'static str, six: &'static str) -> &'static str {
        match self.protocol {
            Protocol::Five => five,
            Protocol::Six => six,
        }
    }

    async fn failed(&self, method: &'static str, failure: CallError) -> PluginError {
        let gone = matches!(failure, CallError::Gone);
        self.gone.fetch_or(gone, Ordering::Relaxed);
        let output = if gone { self.output.last_words().await } else { String::new() };
        PluginError::Call { path: self.program.clone(), method, failure, output }
    }
}

/// Sends a request to one service and waits for the answer.
pub(crate) async fn ask<Q, R>(channel: Channel, path: &str, request: Q, limit: Option<Duration>) -> Result<R, CallError>
where
    Q: Message + Default + Send + Sync + 'static,
    R: Message + Default + Send + Sync + 'static,
{
    let path = PathAndQuery::try_from(path).map_err(|error| CallError::Refused(error.to_string()))?;
    let mut client = grpc(channel);
    let call = async {
        client.ready().await.map_err(|_| CallError::Gone)?;
        let codec = ProstCodec::<Q, R>::default();
        client.unary(Request::new(request), path, codec).await.map_err(|status| failure(&status))
    };
    let answer = match limit {
        Some(limit) => tokio::time::timeout(limit, call).await.map_err(|_| CallError::Slow(limit))?,
        None => call.await,
    };
    answer.map(tonic::Response::into_inner)
}

/// A client without limits that a large answer could meet.
pub(crate) fn grpc(channel: Channel) -> Grpc<Channel> {
    Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER_BYTES).max_encoding_message_size(LARGEST_ANSWER_BYTES)
}

fn failure(status: &Status) -> CallError {
    match status.code() {
        Code::Unavailable => CallError::Gone,
        Code::Unimplemented => CallError::Unsupported,
        // A broken connection shows as an error of the transport, without a code of its own.
        Code::Unknown | Code::Internal | Code::Cancelled if std::error::Error::source(status).is_some() => {
            CallError::Gone
        }
        _ => CallError::Refused(status.message().to_owned()),
    }
}
