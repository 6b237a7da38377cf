use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::calls::OpenedEphemeral;
use crate::error::PluginError;
use crate::runtime::wait;
use crate::values::PluginDiagnostic;
use crate::{CallError, Plugin};

/// Closing may take so long, and so may a renewal that is under way then.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Renewals are at least so far apart, whatever the plugin asks for.
const RENEWAL_GAP: Duration = Duration::from_millis(100);

/// A clock that is set forward while one waits is noticed within this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// Keeps an open ephemeral resource alive: renews it whenever it must be, and closes it at the end. No thread waits
/// meanwhile. It has to be closed; what is only dropped is no longer renewed, and stays open.
#[must_use = "what is open has to be closed"]
pub struct EphemeralKeeper {
    plugin: Arc<Plugin>,
    opened: Arc<Mutex<OpenedEphemeral>>,
    finish: oneshot::Sender<()>,
    renewing: JoinHandle<EphemeralEnd>,
}

/// What became of an ephemeral resource while it was open, and at its closing.
#[derive(Debug, Default)]
pub struct EphemeralEnd {
    /// What the plugin said.
    pub diagnostics: Vec<PluginDiagnostic>,
    /// The calls that failed.
    pub failures: Vec<PluginError>,
}

impl EphemeralKeeper {
    /// Keeps what was opened.
    pub fn new(plugin: Arc<Plugin>, opened: OpenedEphemeral) -> EphemeralKeeper {
        let opened = Arc::new(Mutex::new(opened));
        let (finish, finished) = oneshot::channel();
        let renewing = plugin.connection.runtime.spawn(renew(plugin.clone(), opened.clone(), finished));
        EphemeralKeeper { plugin, opened, finish, renewing }
    }

    /// Ends the renewals and closes it.
    pub fn close(self) -> EphemeralEnd {
        let _ = self.finish.send(());
        let runtime = self.plugin.connection.runtime.clone();
        let plugin = self.plugin.clone();
        let closing = async move {
            let renewed = timeout(CLOSE_LIMIT, self.renewing).await;
            let mut end = renewed.ok().and_then(Result::ok).unwrap_or_default();
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match timeout(CLOSE_LIMIT, self.plugin.close_ephemeral(&opened).run()).await {
                Ok(Ok(said)) => end.diagnostics.extend(said),
                Ok(Err(error)) => end.failures.push(error),
                Err(_) => end.failures.push(slow(&self.plugin)),
            }
            end
        };
        wait(&runtime, closing)
            .unwrap_or_else(|()| EphemeralEnd { diagnostics: Vec::new(), failures: vec![slow(&plugin)] })
    }
}

fn slow(plugin: &Plugin) -> PluginError {
    PluginError::Call {
        path: plugin.program().to_owned(),
        method: "CloseEphemeralResource",
        failure: CallError::Slow(CLOSE_LIMIT),
        output: String::new(),
    }
}

/// Renews until told to finish, or until a renewal fails or asks for no other.
async fn renew(
    plugin: Arc<Plugin>,
    opened: Arc<Mutex<OpenedEphemeral>>,
    mut finished: oneshot::Receiver<()>,
) -> EphemeralEnd {
    let mut end = EphemeralEnd::default();
    loop {
        let current = opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::select! {
            _ = &mut finished => return end,
            () = until(current.renew_at) => {}
        }
        match plugin.renew_ephemeral(&current).run().await {
            Ok(renewed) => {
                let failed = renewed.diagnostics.iter().any(|said| said.error);
                end.diagnostics.extend(renewed.diagnostics);
                if failed {
                    return end;
                }
                *opened.lock().unwrap_or_else(PoisonError::into_inner) = renewed.opened;
            }
            Err(error) => {
                end.failures.push(error);
                return end;
            }
        }
    }
}

/// Waits until a time; for ever until none.
async fn until(time: Option<SystemTime>) {
    let Some(time) = time else { return std::future::pending().await };
    sleep(RENEWAL_GAP).await;
    while let Ok(left) = time.duration_since(SystemTime::now()) {
        sleep(left.min(LONGEST_SLEEP).max(Duration::from_millis(1))).await;
    }
}
