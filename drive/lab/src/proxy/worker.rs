//! The threads that serve clients: one for each processor, each with a loop of its own, so that a request and its
//! answer never change threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::listen::Arrival;
use super::target::set_shard;

/// More processors than these are left to the servers.
const MOST: usize = 16;

/// How often it is looked whether a client has left, where there are as many as may be.
const PAUSE: Duration = Duration::from_millis(5);

/// All threads.
pub(super) struct Workers {
    all: Vec<Worker>,
    /// More clients than these would find no descriptors: each has a connection of its own, and one to a target.
    most: usize,
}

struct Worker {
    arrivals: UnboundedSender<Arrival>,
    open: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts as many as this process has processors.
    pub fn start() -> io::Result<Workers> {
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
        Ok(Workers { all: (0..count).map(Worker::start).collect::<io::Result<_>>()?, most: descriptors() / 3 })
    }

    /// Gives a client to the thread that has the fewest.
    pub fn give(&self, arrival: Arrival) {
        if let Some(worker) = self.all.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed)) {
            worker.open.fetch_add(1, Ordering::Relaxed);
            let _ = worker.arrivals.send(arrival);
        }
    }

    /// Clients that are connected.
    pub fn open(&self) -> usize {
        self.all.iter().map(|worker| worker.open.load(Ordering::Relaxed)).sum()
    }

    /// Waits until another client may come. `limit`: what is asked for now.
    pub async fn has_room(&self, limit: impl Fn() -> Option<usize>) {
        while self.open() >= limit().unwrap_or(self.most) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// How many descriptors this process may have.
fn descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is that of `limit`.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    if known { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) } else { 1024 }
}

impl Worker {
    fn start(number: usize) -> io::Result<Worker> {
        let (arrivals, arriving) = unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let worker = Worker { arrivals, open: open.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(format!("clients-{number}"));
        thread.spawn(move || {
            set_shard(number);
            runtime.block_on(serve(arriving, open));
        })?;
        Ok(worker)
    }
}

async fn serve(mut arriving: UnboundedReceiver<Arrival>, open: Arc<AtomicUsize>) {
    while let Some(arrival) = arriving.recv().await {
        let open = open.clone();
        tokio::spawn(async move {
            arrival.serve().await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
