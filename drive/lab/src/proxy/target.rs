//! One target: its health, its connections and its open requests.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::body::Outgoing;
use super::counts::Counts;
use super::health;
use super::table::name_of;
use crate::balancer::spec::{Health, Limits};
use crate::units::format_duration;

/// Shorter than the time for which common servers keep an idle connection open.
const IDLE_LIMIT: Duration = Duration::from_secs(4);
/// Of each thread.
const IDLE_CONNECTIONS: usize = 256;
/// More threads than these share their idle connections.
const SHARDS: usize = 16;

/// A server that requests are passed to.
pub(super) struct Target {
    pub address: SocketAddr,
    /// What a client calls it that comes back.
    pub name: u64,
    pub counts: Counts,
    healthy: AtomicBool,
    last: Mutex<String>,
    /// Since when every check has failed.
    unwell: Mutex<Option<Instant>>,
    open: AtomicUsize,
    idle: [Mutex<Vec<Idle>>; SHARDS],
    leaving: AtomicBool,
    stage: watch::Sender<Stage>,
    health: Mutex<Health>,
    changes: watch::Sender<u64>,
}

/// A connection that waits for its next request.
struct Idle {
    since: Instant,
    sender: SendRequest<Outgoing>,
}

/// How far a target has gone on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Gets no new requests; open ones finish.
    Leaving,
    /// Open requests are cut.
    Cut,
}

/// A request that is open at a target until this is dropped.
pub(super) struct OpenRequest(Arc<Target>);

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(0) };
}

/// Gives the calling thread idle connections of its own.
pub(super) fn set_shard(thread: usize) {
    SHARD.set(thread % SHARDS);
}

impl Target {
    /// A target of whose health nothing is known yet, and that is asked from now on.
    pub fn new(address: SocketAddr, health: Health) -> Arc<Target> {
        let target = Arc::new(Target::of(address, health));
        tokio::spawn(health::watch(target.clone()));
        target
    }

    /// A healthy target that nobody asks.
    #[cfg(test)]
    pub fn unasked(address: SocketAddr) -> Arc<Target> {
        let health =
            Health { path: None, statuses: 100..=399, interval: IDLE_LIMIT, timeout: IDLE_LIMIT, rise: 1, fall: 1 };
        let target = Target::of(address, health);
        target.healthy.store(true, Ordering::Relaxed);
        Arc::new(target)
    }

    fn of(address: SocketAddr, health: Health) -> Target {
        Target {
            address,
            name: name_of(address),
            counts: Counts::default(),
            healthy: AtomicBool::new(false),
            last: Mutex::new("it was not asked yet".to_owned()),
            unwell: Mutex::new(None),
            open: AtomicUsize::new(0),
            idle: Default::default(),
            leaving: AtomicBool::new(false),
            stage: watch::Sender::new(Stage::Serving),
            health: Mutex::new(health),
            changes: watch::Sender::new(0),
        }
    }

    /// Whether requests should go to it.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// What it last answered when asked for its health.
    pub fn last_answer(&self) -> String {
        locked(&self.last).clone()
    }

    /// Takes down what was seen of its health.
    pub fn observed(&self, healthy: bool, what: String) {
        *locked(&self.last) = what;
        self.healthy.store(healthy, Ordering::Relaxed);
        self.announce();
    }

    /// Takes down how a check went.
    pub fn checked(&self, well: bool) {
        let mut unwell = locked(&self.unwell);
        *unwell = if well { None } else { unwell.or_else(|| Some(Instant::now())) };
    }

    /// For how long every check has failed; `None` where the last one went well, or there was none.
    pub fn unwell(&self) -> Option<Duration> {
        locked(&self.unwell).map(|since| since.elapsed())
    }

    /// Requests that it has not finished.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How its health is asked.
    pub fn health(&self) -> Health {
        locked(&self.health).clone()
    }

    /// Changes how its health is asked.
    pub fn set_health(&self, health: Health) {
        *locked(&self.health) = health;
    }

    /// Counts a request as open; `None` where it takes no new ones, as it leaves or has left.
    pub fn begin(self: &Arc<Target>) -> Option<OpenRequest> {
        // In this order, and [`Target::leave`] in the other: one of both sees the other.
        self.open.fetch_add(1, Ordering::SeqCst);
        let open = OpenRequest(self.clone());
        (!self.leaving.load(Ordering::SeqCst)).then_some(open)
    }

    /// Waits until it is healthy.
    pub async fn becomes_healthy(&self) {
        self.until(|target| target.is_healthy()).await;
    }

    /// Takes no new requests, lets open ones finish within a time, and cuts the rest. Gives the number that was cut.
    pub async fn leave(&self, limit: Duration) -> usize {
        self.leaving.store(true, Ordering::SeqCst);
        self.stage.send_replace(Stage::Leaving);
        self.forget_idle();
        let finished = timeout(limit, self.until(|target| target.open.load(Ordering::SeqCst) == 0)).await;
        let cut = if finished.is_ok() { 0 } else { self.open() };
        self.discard();
        cut
    }

    /// Ends its health checks and connections at once.
    pub fn discard(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        self.stage.send_replace(Stage::Cut);
        self.forget_idle();
    }

    /// Waits until its open requests are to be cut.
    pub async fn is_cut(&self) {
        let mut stage = self.stage.subscribe();
        let _ = stage.wait_for(|stage| *stage == Stage::Cut).await;
    }

    /// A connection for one request, and whether it is new. One that has waited is taken only where it `may_wait`.
    pub async fn connection(
        self: &Arc<Target>,
        limits: &Limits,
        may_wait: bool,
    ) -> Result<(SendRequest<Outgoing>, bool), String> {
        if may_wait && let Some(sender) = self.idle_connection().await {
            return Ok((sender, false));
        }
        let stream = self.connect(limits).await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(limits.header_size).max_headers(200);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let target = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = connection.with_upgrades() => {}
                () = target.is_cut() => {}
            }
        });
        Ok((sender, true))
    }

    /// A new connection. Where there is none the target is not healthy, until it is asked again.
    pub async fn connect(&self, limits: &Limits) -> Result<TcpStream, String> {
        match timeout(limits.connect, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
            Ok(Err(error)) => Err(self.refused(error.to_string())),
            Err(_) => Err(self.refused(format!("no connection within {}", format_duration(limits.connect)))),
        }
    }

    fn refused(&self, problem: String) -> String {
        self.observed(false, problem.clone());
        problem
    }

    /// Keeps a connection for another request, once the answer on it has been passed on whole.
    pub fn keep(&self, sender: SendRequest<Outgoing>) {
        if sender.is_closed() || self.leaving.load(Ordering::SeqCst) {
            return;
        }
        let Some(idle) = self.idle.get(SHARD.get()) else { return };
        let mut idle = locked(idle);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { since: Instant::now(), sender });
        }
        drop(idle);
        // One that left meanwhile has forgotten its connections before this one was among them.
        if self.leaving.load(Ordering::SeqCst) {
            self.forget_idle();
        }
    }

    async fn idle_connection(&self) -> Option<SendRequest<Outgoing>> {
        loop {
            let mut sender = self.youngest_idle()?;
            // At most the end of the last answer is still to be taken note of.
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn youngest_idle(&self) -> Option<SendRequest<Outgoing>> {
        let mut idle = locked(self.idle.get(SHARD.get())?);
        let youngest = idle.pop()?;
        if youngest.since.elapsed() > IDLE_LIMIT {
            // All others are older still.
            idle.clear();
            return None;
        }
        Some(youngest.sender)
    }

    /// Closes the connections that wait for a request.
    pub fn forget_idle(&self) {
        self.idle.iter().for_each(|idle| locked(idle).clear());
    }

    async fn until(&self, condition: impl Fn(&Target) -> bool) {
        let mut changes = self.changes.subscribe();
        while !condition(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn announce(&self) {
        self.changes.send_modify(|number| *number += 1);
    }
}

impl OpenRequest {
    /// Whose it is.
    pub fn target(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        // Nobody waits for the requests of one that stays.
        if self.0.leaving.load(Ordering::SeqCst) {
            self.0.announce();
        }
    }
}

/// A lock whose holder cannot have left anything half done.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
