//! The plugins of one run: each started when it is first needed, one for all that want it configured in the same way.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use andon_schema::ProviderSchema;
use andon_value::Value;

use crate::attach::Attachment;
use crate::error::PluginError;
use crate::plugin::{Plugin, StartSettings};
use crate::values::PluginDiagnostic;

/// A plugin that crashes is started again so often in one run, in each configuration.
const RESTARTS: usize = 3;

/// How to come by a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// The program in this file is started.
    Program(PathBuf),
    /// It runs already.
    Attached(Attachment),
}

/// A plugin in one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    source: Source,
    config: Value,
}

impl Key {
    /// The configuration is an object of the implied type of the provider's schema, and may have unknown values in it.
    pub fn new(source: Source, config: &Value) -> Key {
        Key { source, config: config.unmark_deep().0 }
    }
}

/// A plugin that is ready for every call.
#[derive(Clone)]
pub struct Configured {
    /// The plugin. It runs for as long as the pool keeps it, or somebody holds this.
    pub plugin: Arc<Plugin>,
    /// What it said of its configuration, none of it an error. Said to everybody who asks.
    pub warnings: Arc<[PluginDiagnostic]>,
}

/// Why there is no plugin to ask.
#[derive(Debug, thiserror::Error)]
pub enum PoolFailure {
    /// It failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// It refuses its configuration; these are its words, at least one of them an error.
    #[error("the provider refuses its configuration")]
    Refused(Vec<PluginDiagnostic>),
    /// All plugins were ended.
    #[error("the run was broken off, and its provider plugins with it")]
    Ended,
}

type Ready<T> = Arc<OnceLock<Result<T, Arc<PoolFailure>>>>;

/// The plugins of one run. All that is asked may be asked from many threads at once. Dropped, it kills what still runs.
pub struct Pool {
    settings: StartSettings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    /// One process of each, for what needs no configuration.
    plain: HashMap<Source, Plain>,
    configured: HashMap<Key, Ready<Configured>>,
    /// How often one was started in the place of one that was gone.
    restarts: HashMap<Key, usize>,
    /// They were asked to stop: none takes the place of another any more.
    stopping: bool,
    /// Every process that was started here.
    all: Vec<Weak<Plugin>>,
}

#[derive(Default)]
struct Plain {
    ready: Ready<Arc<Plugin>>,
    /// Whether it is one of the configured ones by now.
    claimed: bool,
}

impl Pool {
    /// A pool that starts plugins so.
    pub fn new(settings: StartSettings) -> Pool {
        Pool { settings, state: Mutex::default() }
    }

    /// Takes in a plugin that was started for its schemas, so that it is not started again.
    pub fn adopt(&self, plugin: Plugin) {
        let plugin = Arc::new(plugin);
        let source = plugin.source().clone();
        let mut state = self.state();
        if state.ended {
            return;
        }
        state.all.push(Arc::downgrade(&plugin));
        let plain = state.plain.entry(source).or_default();
        // Where there is one already, this one ends here.
        let _ = plain.ready.set(Ok(plugin));
    }

    /// A plugin that may be asked what needs no configuration: what is wrong with configurations, and functions.
    pub fn unconfigured(&self, source: &Source, schema: &ProviderSchema) -> Result<Arc<Plugin>, Arc<PoolFailure>> {
        let ready = {
            let mut state = self.state();
            if state.ended {
                return Err(Arc::new(PoolFailure::Ended));
            }
            state.plain.entry(source.clone()).or_default().ready.clone()
        };
        let plugin = ready.get_or_init(|| self.start(source).map_err(Arc::new)).clone()?;
        prepare(&plugin, schema)?;
        Ok(plugin)
    }

    /// The plugin in one configuration. Started, prepared and configured where nobody asked for it before; whoever asks
    /// meanwhile waits for the same. One that has crashed since is started again, a few times: one that always crashes
    /// stays as it is, and whoever asks it hears its last words.
    pub fn configured(&self, key: &Key, schema: &ProviderSchema) -> Result<Configured, Arc<PoolFailure>> {
        let ready = {
            let mut state = self.state();
            if state.ended {
                return Err(Arc::new(PoolFailure::Ended));
            }
            state.forget_crashed(key);
            state.configured.entry(key.clone()).or_default().clone()
        };
        ready.get_or_init(|| self.configure(key, schema)).clone()
    }

    /// Says that nobody will ask for this one again, and that no call of it is under way. It ends, unless somebody
    /// still holds it; nobody waits for that.
    pub fn finished(&self, key: &Key) {
        let mut state = self.state();
        let Some(Ok(configured)) = state.configured.remove(key).and_then(|ready| ready.get().cloned()) else { return };
        let is_plain = state
            .plain
            .get(&key.source)
            .and_then(|plain| plain.ready.get())
            .is_some_and(|plain| matches!(plain, Ok(plain) if Arc::ptr_eq(plain, &configured.plugin)));
        if is_plain {
            state.plain.remove(&key.source);
        }
        drop(state);
        let Configured { plugin, .. } = configured;
        if let Some(plugin) = Arc::into_inner(plugin) {
            // Where there is no thread for it, the drop ends it less politely.
            let _ = thread::Builder::new().name("plugin-end".to_owned()).spawn(move || plugin.shut_down());
        }
    }

    /// Asks every plugin to break off what it is doing. Returns at once; calls that are under way end as the plugins see
    /// fit, and have their answers.
    pub fn stop_all(&self) {
        self.state().stopping = true;
        for plugin in self.alive() {
            // One that does not want to stop goes on to its end.
            plugin.stop().then(drop);
        }
    }

    /// Kills every plugin. Calls that are under way fail, and nothing is started any more.
    pub fn kill_all(&self) {
        self.state().ended = true;
        self.alive().iter().for_each(|plugin| plugin.kill());
    }

    /// Asks every plugin to end, and ends it. Nothing is started any more.
    pub fn end(&self) {
        let (plain, configured) = {
            let mut state = self.state();
            state.ended = true;
            (std::mem::take(&mut state.plain), std::mem::take(&mut state.configured))
        };
        thread::scope(|scope| {
            for plugin in self.alive() {
                scope.spawn(move || plugin.shut_down());
            }
        });
        drop((plain, configured));
    }

    fn configure(&self, key: &Key, schema: &ProviderSchema) -> Result<Configured, Arc<PoolFailure>> {
        let plugin = match self.claim(&key.source) {
            Some(plugin) => plugin,
            None => self.start(&key.source).map_err(Arc::new)?,
        };
        prepare(&plugin, schema)?;
        let said = plugin.configure(&schema.config, &key.config).wait().map_err(|error| Arc::new(error.into()))?;
        if said.iter().any(|said| said.error) {
            return Err(Arc::new(PoolFailure::Refused(said)));
        }
        Ok(Configured { plugin, warnings: said.into() })
    }

    /// The process that needs no configuration, where it runs and nobody configured it yet.
    fn claim(&self, source: &Source) -> Option<Arc<Plugin>> {
        let mut state = self.state();
        let plain = state.plain.get_mut(source)?;
        let plugin = plain.ready.get()?.as_ref().ok()?.clone();
        let is_free = !plain.claimed && !plugin.is_gone();
        plain.claimed = true;
        is_free.then_some(plugin)
    }

    fn start(&self, source: &Source) -> Result<Arc<Plugin>, PoolFailure> {
        let plugin = Arc::new(Plugin::open(source, self.settings.clone())?);
        let mut state = self.state();
        if state.ended {
            return Err(PoolFailure::Ended);
        }
        state.all.retain(|plugin| plugin.strong_count() > 0);
        state.all.push(Arc::downgrade(&plugin));
        Ok(plugin)
    }

    fn alive(&self) -> Vec<Arc<Plugin>> {
        self.state().all.iter().filter_map(Weak::upgrade).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets a plugin that crashed, so that it is started again, unless that was done too often.
    fn forget_crashed(&mut self, key: &Key) {
        let known = self.configured.get(key).and_then(|ready| ready.get());
        let crashed = matches!(known, Some(Ok(known)) if known.plugin.is_gone());
        // One that somebody else keeps running is not ours to start.
        if !crashed || self.stopping || !matches!(key.source, Source::Program(_)) {
            return;
        }
        let restarts = self.restarts.entry(key.clone()).or_default();
        if *restarts < RESTARTS {
            *restarts += 1;
            self.configured.remove(key);
        }
    }
}

fn prepare(plugin: &Plugin, schema: &ProviderSchema) -> Result<(), Arc<PoolFailure>> {
    if schema.capabilities.schema_optional {
        return Ok(());
    }
    plugin.prepare().map_err(|error| Arc::new(error.into()))
}
