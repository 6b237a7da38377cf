//! A provider plugin over an imaginary cloud, to hold clients of the protocol against each other. It speaks protocol 6,
//! in plain text over a Unix socket, and shares no code with Andon: whatever it does is a second reading of the protocol.

mod calls;
mod cloud;
mod kinds;
mod planning;
mod schema;
mod value;
mod wire;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost::Message;
use tokio::sync::Notify;
use tonic::body::BoxBody;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};

use calls::Sky;

const COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::var("TF_PLUGIN_MAGIC_COOKIE").as_deref() != Ok(COOKIE) {
        eprintln!("This is a provider plugin: something that knows how to talk to it has to start it.");
        return ExitCode::FAILURE;
    }
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::var_os("PLUGIN_UNIX_SOCKET_DIR").map_or_else(std::env::temp_dir, Into::into);
    let socket = directory.join(format!("sky-{}", std::process::id()));
    // One that was killed leaves its socket behind, and its number comes back.
    let _ = std::fs::remove_file(&socket);
    let listener = tokio::net::UnixListener::bind(&socket)?;
    println!("1|6|unix|{}|grpc|", socket.display());
    let end = Arc::new(Notify::new());
    let provider = Provider(Arc::new(Sky::new()));
    tonic::transport::Server::builder()
        .add_service(provider)
        .add_service(Controller(Arc::clone(&end)))
        .serve_with_incoming_shutdown(tokio_stream::wrappers::UnixListenerStream::new(listener), end.notified())
        .await?;
    let _ = std::fs::remove_file(socket);
    Ok(())
}

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<BoxBody>, Infallible>> + Send>>;

/// A function as a call with one question and one answer.
struct Unary<F>(F);

impl<Q, A, F: FnMut(Q) -> A> UnaryService<Q> for Unary<F> {
    type Response = A;
    type Future = Ready<Result<Response<A>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        ready(Ok(Response::new((self.0)(request.into_inner()))))
    }
}

fn unary<Q, A, F>(request: http::Request<BoxBody>, answer: F) -> Answering
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
    F: FnMut(Q) -> A + Send + 'static,
{
    const LARGEST: usize = 256 << 20;
    Box::pin(async move {
        let mut grpc = Grpc::new(tonic::codec::ProstCodec::<A, Q>::default())
            .max_decoding_message_size(LARGEST)
            .max_encoding_message_size(LARGEST);
        Ok(grpc.unary(Unary(answer), request).await)
    })
}

#[derive(Clone)]
struct Provider(Arc<Sky>);

impl NamedService for Provider {
    const NAME: &'static str = "tfplugin6.Provider";
}

impl Service<http::Request<BoxBody>> for Provider {
    type Response = http::Response<BoxBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<BoxBody>) -> Answering {
        let sky = Arc::clone(&self.0);
        let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        match &*name {
            "GetProviderSchema" => unary(request, move |_: wire::Empty| sky.schemas()),
            "ValidateProviderConfig" => unary(request, move |it| sky.validate_provider(it)),
            "ConfigureProvider" => unary(request, move |it| sky.configure(it)),
            "ValidateResourceConfig" => unary(request, move |it| sky.validate(it, calls::Sort::Resource)),
            "ValidateDataResourceConfig" => unary(request, move |it| sky.validate(it, calls::Sort::Data)),
            "ValidateEphemeralResourceConfig" => unary(request, move |it| sky.validate(it, calls::Sort::Ephemeral)),
            "UpgradeResourceState" => unary(request, move |it| sky.upgrade(it)),
            "MoveResourceState" => unary(request, move |it| sky.take_over(it)),
            "ReadResource" => unary(request, move |it| sky.read(it)),
            "PlanResourceChange" => unary(request, move |it| sky.plan(it)),
            "ApplyResourceChange" => unary(request, move |it| sky.apply(it)),
            "ImportResourceState" => unary(request, move |it| sky.import(it)),
            "ReadDataSource" => unary(request, move |it| sky.read_data(it)),
            "OpenEphemeralResource" => unary(request, move |it| sky.open(it)),
            "CloseEphemeralResource" => unary(request, move |_: wire::Configured| wire::Said::default()),
            "GetFunctions" => unary(request, move |_: wire::Empty| sky.functions()),
            "CallFunction" => unary(request, move |it| sky.call(it)),
            "StopProvider" => unary(request, move |_: wire::Empty| wire::Empty {}),
            _ => Box::pin(async { Ok(Status::unimplemented("not in this provider").into_http()) }),
        }
    }
}

/// The plugin's own service: its end.
#[derive(Clone)]
struct Controller(Arc<Notify>);

impl NamedService for Controller {
    const NAME: &'static str = "plugin.GRPCController";
}

impl Service<http::Request<BoxBody>> for Controller {
    type Response = http::Response<BoxBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<BoxBody>) -> Answering {
        let end = Arc::clone(&self.0);
        unary(request, move |_: wire::Empty| {
            end.notify_one();
            wire::Empty {}
        })
    }
}
