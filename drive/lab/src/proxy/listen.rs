//! Clients' connections on one address.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::timeout;

use super::forward::{Client, forward};
use super::place::share_address;
use super::stream;
use super::table::{Live, Shared};
use super::target::locked;
use super::worker::Workers;
use crate::balancer::spec::Mode;
use crate::message;

/// The pause after a client could not be accepted, as when descriptors run out.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a client may take to agree on TLS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How often a client of HTTP/2 is asked whether it is still there, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// Accepts clients until it is dropped; those who are connected then finish what they asked.
pub(super) struct Listening {
    pub address: SocketAddr,
    socket: TcpListener,
    stage: watch::Sender<Stage>,
    /// When the last client came.
    last: Arc<Mutex<Instant>>,
}

/// How far an address has gone on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stage {
    is_over: bool,
    /// Clients of an earlier number are to finish.
    generation: u64,
}

/// A client that has come.
pub(super) struct Arrival {
    stream: TcpStream,
    address: SocketAddr,
    shared: Arc<Shared>,
    stage: watch::Receiver<Stage>,
}

impl Listening {
    /// Begins to accept on a socket that does not block.
    pub fn start(listener: TcpListener, shared: Arc<Shared>, workers: Arc<Workers>) -> io::Result<Listening> {
        let address = listener.local_addr()?;
        let last = Arc::new(Mutex::new(Instant::now()));
        let (socket, stage) = (listener.try_clone()?, watch::Sender::new(Stage::default()));
        let listening = Listening { address, socket, stage, last: last.clone() };
        let watched = listening.stage.subscribe();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut until = watched.clone();
        tokio::spawn(async move {
            loop {
                // Where there is no room for more, they wait in the kernel's queue.
                tokio::select! {
                    () = workers.has_room(|| shared.live().limits.clients) => {}
                    _ = until.wait_for(|stage| stage.is_over) => break,
                }
                let accepted = tokio::select! {
                    accepted = accept(&listener) => accepted,
                    _ = until.wait_for(|stage| stage.is_over) => break,
                };
                match accepted {
                    Ok((stream, address)) => {
                        *locked(&last) = Instant::now();
                        workers.give(Arrival { stream, address, shared: shared.clone(), stage: watched.clone() });
                    }
                    Err(error) => {
                        eprintln!("cannot accept a client: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            // Those who have come already are not sent away.
            let Ok(listener) = listener.into_std() else { return };
            while let Ok((stream, address)) = listener.accept() {
                workers.give(Arrival { stream, address, shared: shared.clone(), stage: watched.clone() });
            }
        });
        Ok(listening)
    }

    /// Has the kernel let another socket of this user listen where this one does, or no longer so.
    pub fn make_room(&self, room: bool) {
        share_address(&self.socket, room);
    }

    /// Gives the socket to another process.
    pub fn give(&self, way: &impl AsFd) -> io::Result<()> {
        message::send(way, b" ", &[self.socket.as_fd()])
    }

    /// Accepts nobody any more, as another process does; those who are connected finish what they asked.
    pub fn end(&self) {
        self.stage.send_modify(|stage| *stage = Stage { is_over: true, generation: stage.generation + 1 });
    }

    /// For how long nobody has come.
    pub fn quiet(&self) -> Duration {
        locked(&self.last).elapsed()
    }

    /// Has clients who are connected finish what they asked; they may come again.
    pub fn dismiss(&self) {
        self.stage.send_modify(|stage| stage.generation += 1);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.end();
    }
}

/// A client, not yet of any thread.
async fn accept(listener: &tokio::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept().await?;
    Ok((stream.into_std()?, address))
}

impl Arrival {
    /// Serves the client for as long as it stays.
    pub async fn serve(self) {
        let live = self.shared.live();
        let Ok(stream) = prepared(self.stream, &live) else { return };
        let guest = |is_secure| Guest::new(Client::new(self.address, is_secure), self.shared.clone(), self.stage);
        let Some(tls) = &live.tls else {
            return match live.mode {
                Mode::Tcp => stream::pass(&self.shared, live, self.address, stream).await,
                Mode::Http => guest(false).serve_http1(TokioIo::new(stream), &live).await,
            };
        };
        let Ok(Ok(stream)) = timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await else { return };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        match live.mode {
            Mode::Tcp => stream::pass(&self.shared, live, self.address, stream).await,
            Mode::Http if is_http2 => guest(true).serve_http2(TokioIo::new(stream), &live).await,
            Mode::Http => guest(true).serve_http1(TokioIo::new(stream), &live).await,
        }
    }
}

/// A client that speaks HTTP.
struct Guest {
    client: Client,
    shared: Arc<Shared>,
    stage: watch::Receiver<Stage>,
    generation: u64,
}

impl Guest {
    fn new(client: Client, shared: Arc<Shared>, stage: watch::Receiver<Stage>) -> Arc<Guest> {
        let generation = stage.borrow().generation;
        Arc::new(Guest { client, shared, stage, generation })
    }

    /// Whether it is to finish.
    fn is_dismissed(&self) -> bool {
        let stage = self.stage.borrow();
        stage.is_over || stage.generation != self.generation
    }

    /// One that is dismissed is told so with its next answer. To hang up while it says nothing would lose a request
    /// that is on its way.
    async fn serve_http1<S: Read + Write + Unpin + Send + 'static>(self: Arc<Guest>, stream: S, live: &Live) {
        let service = service_fn(|request| {
            let guest = self.clone();
            async move {
                let mut answer = forward(&guest.shared, &guest.client, request).await;
                if guest.is_dismissed() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(live.limits.idle);
        builder.max_buf_size(live.limits.header_size).max_headers(200);
        let _ = builder.serve_connection(stream, service).with_upgrades().await;
    }

    async fn serve_http2<S: Read + Write + Unpin + Send + 'static>(self: Arc<Guest>, stream: S, live: &Live) {
        let mut stage = self.stage.clone();
        let generation = self.generation;
        // When the last request came, if one did.
        let last = Arc::new(Mutex::new(None));
        let seen = last.clone();
        let service = service_fn(move |request| {
            *locked(&seen) = Some(Instant::now());
            let guest = self.clone();
            async move { Ok::<_, Infallible>(forward(&guest.shared, &guest.client, request).await) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING.0).keep_alive_timeout(PING.1);
        builder.max_header_list_size(live.limits.header_size as u32);
        let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
        let idle = async {
            loop {
                let quiet = locked(&last).map_or(live.limits.idle, |last: Instant| last.elapsed());
                match live.limits.idle.checked_sub(quiet).filter(|rest| !rest.is_zero()) {
                    Some(rest) => tokio::time::sleep(rest).await,
                    None => return,
                }
            }
        };
        let idle = async {
            tokio::time::sleep(live.limits.idle).await;
            idle.await;
        };
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stage.wait_for(|stage| stage.generation != generation) => {}
            () = idle => {}
        }
        // One that never asked anything may not even have said what it speaks.
        if locked(&last).is_none() && stage.borrow().generation == generation {
            return;
        }
        // What it asked already is finished.
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// A client's connection whose writes go out at once, and that ends where the client takes nothing for too long.
fn prepared(stream: TcpStream, live: &Live) -> io::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let limit = live.limits.answer.as_millis().min(i32::MAX as u128) as libc::c_int;
    // SAFETY: the descriptor is open, and the pointer is that of `limit`, with its size.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_USER_TIMEOUT,
            (&raw const limit).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
    tokio::net::TcpStream::from_std(stream)
}
