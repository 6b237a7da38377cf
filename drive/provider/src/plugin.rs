use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tonic::Request;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::attach::{Address, Attachment};
use crate::call::{Connection, ask, grpc};
use crate::error::{PluginError, StartFailure};
use crate::output::{Listener, Output};
use crate::pool::Source;
use crate::process::Process;
use crate::runtime;
use crate::schema::Protocol;
use crate::tls::{Connector, OneTime};
use crate::wire::plugin as wire;

/// A plugin that was asked to end is given so long.
const GRACE: Duration = Duration::from_secs(2);

/// How long a plugin may take, and who hears what it writes.
#[derive(Debug, Clone)]
pub struct StartSettings {
    /// Until it says where it listens: a large program is read from the disk first.
    pub start_limit: Duration,
    /// For the answer to a call that touches nothing in the world: schemas, validations, functions. What does touch
    /// something takes as long as it takes.
    pub call_limit: Duration,
    /// Told of every line that it writes.
    pub listener: Option<Listener>,
    /// Encrypt what is said to it, though nobody else can reach its socket.
    pub tls: bool,
}

impl Default for StartSettings {
    fn default() -> StartSettings {
        StartSettings {
            start_limit: Duration::from_secs(60),
            call_limit: Duration::from_secs(300),
            listener: None,
            tls: false,
        }
    }
}

/// A plugin that was started. Until it is configured, it can say what it offers and what is wrong with a configuration,
/// and call its functions. Calls may come from many threads at once. It is killed when this is dropped.
pub struct Plugin {
    source: Source,
    pub(crate) connection: Connection,
    pub(crate) settings: StartSettings,
    /// Whether it was asked for its schemas.
    pub(crate) asked: AtomicBool,
    /// Gone when it was shut down.
    process: Mutex<Option<Process>>,
}

impl Plugin {
    /// Comes by a plugin as its source says.
    pub fn open(source: &Source, settings: StartSettings) -> Result<Plugin, PluginError> {
        match source {
            Source::Program(path) => Plugin::start(path, settings),
            Source::Attached(attachment) => Plugin::attach(attachment, settings),
        }
    }

    /// Connects to a plugin that runs already. It is never ended from here.
    pub fn attach(attachment: &Attachment, settings: StartSettings) -> Result<Plugin, PluginError> {
        let path = match &attachment.address {
            Address::Unix(path) => path.clone(),
            Address::Tcp(address) => PathBuf::from(address.to_string()),
        };
        let output = Output::new(&path, settings.listener.clone());
        let failed = |failure| PluginError::Start { path: path.clone(), failure, output: String::new() };
        let runtime = runtime::shared().map_err(|error| failed(StartFailure::Io(error)))?;
        let channel = connect(runtime, &attachment.address, None, settings.start_limit).map_err(failed)?;
        let connection = Connection {
            program: path.clone(),
            protocol: attachment.protocol,
            channel,
            output,
            runtime: runtime.clone(),
            gone: Arc::default(),
        };
        let source = Source::Attached(attachment.clone());
        Ok(Plugin { source, connection, settings, asked: AtomicBool::new(false), process: Mutex::new(None) })
    }

    /// Starts the plugin in this file.
    pub fn start(path: &Path, settings: StartSettings) -> Result<Plugin, PluginError> {
        let output = Output::new(path, settings.listener.clone());
        let failed = |failure| PluginError::Start { path: path.to_owned(), failure, output: output.shown() };
        let runtime = runtime::shared().map_err(|error| failed(StartFailure::Io(error)))?;
        let broken = |error| failed(StartFailure::Connect(error));
        let own = settings.tls.then(OneTime::new).transpose().map_err(broken)?;
        let client = own.as_ref().map(|own| own.pem.as_str());
        let process = Process::start(path, settings.start_limit, client, &output).map_err(failed)?;
        let secret = match (&own, &process.certificate) {
            (Some(own), Some(theirs)) => Some(own.connector(theirs.clone()).map_err(broken)?),
            (Some(_), None) => return Err(failed(StartFailure::Plaintext)),
            (None, _) => None,
        };
        let channel = connect(runtime, &process.address, secret, settings.start_limit).map_err(failed)?;
        process.connected();
        runtime.spawn(listen(channel.clone(), output.clone()));
        let connection = Connection {
            program: path.to_owned(),
            protocol: process.protocol,
            channel,
            output,
            runtime: runtime.clone(),
            gone: Arc::default(),
        };
        let source = Source::Program(path.to_owned());
        Ok(Plugin { source, connection, settings, asked: AtomicBool::new(false), process: Mutex::new(Some(process)) })
    }

    /// Its file.
    pub fn program(&self) -> &Path {
        &self.connection.program
    }

    /// How it was come by.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.connection.protocol
    }

    /// Whether a call has found it gone: it crashed, or was ended.
    pub fn is_gone(&self) -> bool {
        self.connection.gone.load(Ordering::Relaxed)
    }

    /// What it wrote from the first line of a crash on; `None` where it did not crash.
    pub fn crash(&self) -> Option<String> {
        self.connection.output.crash()
    }

    /// Asks it to end, and ends it. Calls that are under way fail.
    pub fn shut_down(&self) {
        if let Some(process) = self.take_process() {
            let asked = ask::<wire::Empty, wire::Empty>(
                self.connection.channel.clone(),
                "/plugin.GRPCController/Shutdown",
                wire::Empty {},
                Some(GRACE),
            );
            // It may be gone before its answer is here: that is what was asked.
            let _ = runtime::wait(&self.connection.runtime, asked);
            process.end(GRACE);
        }
    }

    /// Ends it at once. Calls that are under way fail.
    pub fn kill(&self) {
        if let Some(process) = self.take_process() {
            process.end(Duration::ZERO);
        }
    }

    fn take_process(&self) -> Option<Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.kill();
    }
}

fn connect(
    runtime: &Handle,
    address: &Address,
    secret: Option<Connector>,
    limit: Duration,
) -> Result<Channel, StartFailure> {
    // The name is not used: there is one way to the plugin.
    let endpoint = Endpoint::from_static("http://plugin.invalid");
    let address = address.clone();
    let open = move |_: Uri| {
        let (address, secret) = (address.clone(), secret.clone());
        async move {
            let stream = reach(&address).await?;
            Ok::<_, io::Error>(TokioIo::new(match secret {
                None => stream,
                Some(Connector { connector, name }) => Box::new(connector.connect(name, stream).await?),
            }))
        }
    };
    let connected =
        runtime::wait(runtime, async move { timeout(limit, endpoint.connect_with_connector(service_fn(open))).await });
    let Ok(Ok(connected)) = connected else { return Err(StartFailure::Slow(limit)) };
    connected.map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        StartFailure::Connect(format!("{error}{}", source.unwrap_or_default()))
    })
}

/// Whatever bytes travel on.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn reach(address: &Address) -> io::Result<Box<dyn Stream>> {
    Ok(match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
    })
}

/// Takes what the plugin writes on the streams that it moved into the connection, so that it never waits for a reader.
async fn listen(channel: Channel, output: Output) {
    let mut client = grpc(channel);
    if client.ready().await.is_err() {
        return;
    }
    let codec = ProstCodec::<wire::Empty, wire::StdioData>::default();
    let path = PathAndQuery::from_static("/plugin.GRPCStdio/StreamStdio");
    let Ok(answer) = client.server_streaming(Request::new(wire::Empty {}), path, codec).await else { return };
    let mut stream = answer.into_inner();
    // Its own two streams come mixed.
    let mut streams = [output.stream(), output.stream()];
    while let Ok(Some(said)) = stream.message().await {
        let [out, err] = &mut streams;
        if said.channel == 1 { out.push(&said.data) } else { err.push(&said.data) }
    }
}
