use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

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

/// Waits for what is under way. A thread of an event loop hands its other work over before it waits.
pub(crate) fn wait<T: Send>(event_loop: &Handle, work: impl Future<Output = T> + Send) -> Result<T, ()> {
    match Handle::try_current().map(|own| own.runtime_flavor()) {
        Err(_) => Ok(event_loop.block_on(work)),
        Ok(RuntimeFlavor::MultiThread) => Ok(tokio::task::block_in_place(|| event_loop.block_on(work))),
        // A loop of one thread has nobody to hand its work to.
        Ok(_) => thread::scope(|scope| scope.spawn(|| event_loop.block_on(work)).join()).map_err(drop),
    }
}
