use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};

/// The threads of the event loop that all plugins of this process share. They only move bytes: however many calls are
/// under way, nobody waits on them.
const THREADS: usize = 2;

/// The event loop; made when the first plugin is started, and there until this process ends.
pub(crate) fn shared() -> io::Result<&'static Handle> {
    static SHARED: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = SHARED.get_or_init(|| {
        let made = Builder::new_multi_thread().worker_threads(THREADS).thread_name("plugin-calls").enable_all().build();
        made.map_err(|error| error.to_string())
    });
    made.as_ref().map(Runtime::handle).map_err(|why| io::Error::other(why.as_str()))
}

/// Waits for what is under way. On a thread of an event loop, which must not be held up, another one waits.
pub(crate) fn wait<T: Send>(loop_: &Handle, work: impl Future<Output = T> + Send) -> Result<T, ()> {
    if Handle::try_current().is_err() {
        return Ok(loop_.block_on(work));
    }
    thread::scope(|scope| scope.spawn(|| loop_.block_on(work)).join()).map_err(drop)
}
