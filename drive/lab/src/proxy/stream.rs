//! Connections whose bytes are passed on as they come, whatever they mean.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep};

use super::table::{Live, Shared, Wish};
use super::target::OpenRequest;
use crate::balancer::spec::Sticky;

/// Of each direction of a connection.
const BUFFER: usize = 16 << 10;

/// Passes a client's connection on to a target. One that no target takes is closed.
pub(super) async fn pass(
    shared: &Shared,
    mut live: Arc<Live>,
    client: SocketAddr,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) {
    shared.counts.request();
    let wish = if live.sticky == Sticky::Source { Wish::Source(client.ip()) } else { Wish::Nothing };
    let mut tried: Vec<SocketAddr> = Vec::new();
    while let Some((target, open)) = shared.choose(&mut live, &tried, wish) {
        if !tried.is_empty() {
            shared.counts.retry();
        }
        target.counts.request();
        match target.connect(&live.limits).await {
            Ok(upstream) => return join(stream, upstream, shared, &open, live.limits.quiet).await,
            Err(_) => target.counts.error(),
        }
        tried.push(target.address);
    }
    shared.counts.error();
}

/// Joins both sides until both have ended, one fails, the target's time is over, or neither has said anything for as long as
/// they may.
pub(super) async fn join(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &Shared,
    open: &OpenRequest,
    quiet: Duration,
) {
    let target: &Arc<_> = open.target();
    let heard = Heard::now();
    let sent = |bytes: usize| {
        heard.again();
        shared.counts.sent(bytes);
        target.counts.sent(bytes);
    };
    let received = |bytes: usize| {
        heard.again();
        shared.counts.received(bytes);
    };
    let mut client = Counted { inner: client, count: received };
    let mut upstream = Counted { inner: upstream, count: sent };
    tokio::select! {
        _ = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER) => {}
        () = target.is_cut() => {}
        () = heard.nothing_for(quiet) => {}
    }
}

/// When somebody was last heard.
struct Heard {
    began: Instant,
    last_ms: AtomicU64,
}

impl Heard {
    fn now() -> Heard {
        Heard { began: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    fn again(&self) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(since, Ordering::Relaxed);
    }

    /// Waits until nobody was heard for so long.
    async fn nothing_for(&self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            match (last + limit).checked_sub(self.began.elapsed()).filter(|rest| !rest.is_zero()) {
                Some(rest) => sleep(rest).await,
                None => return,
            }
        }
    }
}

/// A side of which each byte that is read from it is counted.
struct Counted<S, F> {
    inner: S,
    count: F,
}

impl<S: AsyncRead + Unpin, F: Fn(usize) + Unpin> AsyncRead for Counted<S, F> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        match buffer.filled().len() - before {
            0 => {}
            bytes => (this.count)(bytes),
        }
        read
    }
}

impl<S: AsyncWrite + Unpin, F: Unpin> AsyncWrite for Counted<S, F> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}
