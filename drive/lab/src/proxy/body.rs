//! Bodies that are passed on as they come, and counted.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, Sleep, sleep};

use super::access::Entry;
use super::table::Shared;
use super::target::OpenRequest;

/// A request's body on its way to a target.
pub(super) enum Outgoing {
    Empty,
    Sent(Sent),
}

/// An answer's body on its way to a client.
pub(super) struct Answer {
    body: Source,
    /// Whose it is; `None`: the balancer's own.
    target: Option<SocketAddr>,
    /// What is written down when it is over.
    entry: Option<Box<Entry>>,
}

/// Where an answer's body comes from.
enum Source {
    Own(Full<Bytes>),
    Passed(Passed),
}

/// How far a request's body has come.
#[derive(Default)]
pub(super) struct Progress {
    moved: AtomicBool,
    ended: AtomicBool,
}

/// A request's body that tells how far it has come.
pub(super) struct Sent {
    body: Incoming,
    progress: Arc<Progress>,
    shared: Arc<Shared>,
}

/// An answer's body that keeps its request open, and its connection, until it has ended.
pub(super) struct Passed {
    body: Incoming,
    request: Option<Request>,
    shared: Arc<Shared>,
    /// How long the target may say nothing.
    limit: Duration,
    /// Until when it may, where it was ever waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

/// The request that an answer belongs to.
pub(super) struct Request {
    pub open: OpenRequest,
    /// Of a connection that may have another request after this one.
    pub sender: Option<SendRequest<Outgoing>>,
}

impl Outgoing {
    /// A request's body, and how far it will have come.
    pub fn new(body: Incoming, shared: &Arc<Shared>) -> (Outgoing, Option<Arc<Progress>>) {
        if body.is_end_stream() {
            return (Outgoing::Empty, None);
        }
        let progress = Arc::new(Progress::default());
        (Outgoing::Sent(Sent { body, progress: progress.clone(), shared: shared.clone() }), Some(progress))
    }
}

impl Answer {
    /// An answer as it comes from a target.
    pub fn passed(body: Incoming, request: Request, shared: Arc<Shared>, limit: Duration) -> Answer {
        let target = Some(request.open.target().address);
        let mut passed = Passed { body, request: Some(request), shared, limit, silence: None };
        if passed.body.is_end_stream() {
            passed.end();
        }
        Answer { body: Source::Passed(passed), target, entry: None }
    }

    /// An answer of the balancer itself.
    pub fn own(text: Bytes) -> Answer {
        Answer { body: Source::Own(Full::new(text)), target: None, entry: None }
    }

    /// No body, after a target has answered.
    pub fn empty(target: SocketAddr) -> Answer {
        Answer { target: Some(target), ..Answer::own(Bytes::new()) }
    }

    /// The target that answers.
    pub fn target(&self) -> Option<SocketAddr> {
        self.target
    }

    /// Has a request be written down once this has gone out, or cannot.
    pub fn write_down(&mut self, entry: Entry) {
        self.entry = Some(Box::new(entry));
    }
}

impl Progress {
    /// Whether it has come further since this was last asked.
    pub fn moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    /// Whether all of it was sent.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Passed {
    /// The answer has been passed on whole: its connection can have another.
    fn end(&mut self) {
        if let Some(Request { open, sender: Some(sender) }) = self.request.take() {
            open.target().keep(sender);
        }
    }

    /// The next part of the body, or that the target has said nothing for too long.
    fn next_part(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            if let Some(silence) = &mut self.silence {
                silence.as_mut().reset(Instant::now() + self.limit);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        ready!(silence.as_mut().poll(context));
        Poll::Ready(Some(Err("the target did not go on with its answer".into())))
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;
type BoxError = Box<dyn Error + Send + Sync>;

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let Outgoing::Sent(sent) = &mut *self else { return Poll::Ready(None) };
        let frame = Pin::new(&mut sent.body).poll_frame(context);
        if let Poll::Ready(frame) = &frame {
            sent.progress.moved.store(true, Ordering::Relaxed);
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            sent.shared.counts.received(data.map_or(0, Bytes::len));
            if frame.is_none() || sent.body.is_end_stream() {
                sent.progress.ended.store(true, Ordering::Relaxed);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::Empty => true,
            Outgoing::Sent(sent) => sent.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Empty => SizeHint::with_exact(0),
            Outgoing::Sent(sent) => sent.body.size_hint(),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Answer { body, entry, .. } = &mut *self;
        let mut sent = |bytes: usize| {
            if let Some(entry) = entry {
                entry.sent(bytes);
            }
        };
        let passed = match body {
            Source::Own(body) => {
                let frame = Pin::new(body).poll_frame(context).map_err(|never| match never {});
                if let Poll::Ready(Some(Ok(frame))) = &frame {
                    sent(frame.data_ref().map_or(0, Bytes::len));
                }
                return frame;
            }
            Source::Passed(passed) => passed,
        };
        let frame = passed.next_part(context);
        match &frame {
            Poll::Pending => {}
            Poll::Ready(None) => passed.end(),
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                sent(bytes);
                passed.shared.counts.sent(bytes);
                if let Some(request) = &passed.request {
                    request.open.target().counts.sent(bytes);
                }
                if passed.body.is_end_stream() {
                    passed.end();
                }
            }
            Poll::Ready(Some(Err(_))) => {
                passed.shared.counts.error();
                if let Some(request) = passed.request.take() {
                    request.open.target().counts.error();
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Own(body) => body.is_end_stream(),
            Source::Passed(passed) => passed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Own(body) => body.size_hint(),
            Source::Passed(passed) => passed.body.size_hint(),
        }
    }
}
