//! Provider plugins as drivers: each call goes to the plugin that it is for, which is started when it is first needed.

use std::sync::{Arc, Mutex, PoisonError};

use andon_provider::{
    ApplyAnswer, ApplyRequest, Configured, DataAnswer, DataRequest, EphemeralKeeper, EphemeralRequest, IdentityAnswer,
    ImportAnswer, ImportRequest, Key, MoveAnswer, MoveRequest, PlanAnswer, PlanRequest, PluginDiagnostic, Pool,
    PoolFailure, ReadAnswer, ReadRequest, StartSettings, StateAnswer, UpgradeIdentityRequest, UpgradeRequest,
};
use andon_schema::{
    Answer, Command, ConfiguredProvider, Failure, FunctionAnswer, FunctionCall, InstanceAddress, Mode, Outcome,
    ProviderAddress, ProviderSchema, Question, TypeSchema, Via,
};
use andon_value::Value;

use super::calls::{self, Asked, Calls, Offer, broken, sound};
use crate::Plugins;

/// The provider plugins of one run, started as they are needed.
pub struct PluginHost {
    plugins: Arc<Plugins>,
    pool: Pool,
    open: Mutex<Vec<EphemeralKeeper>>,
}

type Result<T> = std::result::Result<T, Failure>;

impl PluginHost {
    /// Starts none yet.
    pub fn new(plugins: Arc<Plugins>) -> PluginHost {
        PluginHost { plugins, pool: Pool::new(StartSettings::default()), open: Mutex::default() }
    }

    /// What a plugin's function gives.
    pub fn call(&self, call: &FunctionCall) -> FunctionAnswer {
        self.plugins.call(call)
    }

    /// Answers a question that a plugin has to answer.
    pub fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::OpenEphemeral { address, via, config } => {
                self.open(address, via, config).map_or_else(Answer::Failed, |value| Answer::Object(Some(value)))
            }
            question => calls::answer(self, question),
        }
    }

    /// Carries out a command that a plugin has to carry out.
    pub fn execute(&self, command: &Command, say: &dyn Fn(&str)) -> Outcome {
        calls::execute(self, command, say)
    }

    /// Asks the plugins to break off what they are doing; what is under way ends as they see fit.
    pub fn stop(&self) {
        self.pool.stop_all();
    }

    /// Closes what is open and ends the plugins. What could not be closed, a line each.
    pub fn end(&self) -> Vec<String> {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let mut said = Vec::new();
        for keeper in open {
            let end = keeper.close();
            said.extend(end.diagnostics.iter().map(|it| format!("{}: {}", it.summary, it.detail)));
            said.extend(end.failures.iter().map(ToString::to_string));
        }
        self.pool.end();
        said
    }

    fn open(&self, address: &InstanceAddress, via: &Via, config: &Value) -> Result<Value> {
        let ready = self.ready(address, via)?;
        let config = config.unmark_deep().0;
        ready.validated(address, &config)?;
        let request = EphemeralRequest { kind: ready.kind, schema: &ready.schema, config: &config };
        let answer = ready.calls.plugin.open_ephemeral(&request).wait().map_err(|error| ready.broken(&error))?;
        ready.not_deferred(answer.deferral)?;
        let opened = ready.sound(answer.diagnostics);
        if opened.is_ok() {
            let keeper = EphemeralKeeper::new(Arc::clone(&ready.calls.plugin), answer.opened);
            self.open.lock().unwrap_or_else(PoisonError::into_inner).push(keeper);
        }
        opened?;
        Ok(answer.value)
    }
}

impl Offer for PluginHost {
    type Calls = Configured;

    fn schema(&self, provider: &ProviderAddress) -> Option<Arc<ProviderSchema>> {
        self.plugins.source(provider).map(|(_, schema)| schema)
    }

    fn configured(&self, provider: &ConfiguredProvider) -> Result<Configured> {
        let name = &provider.address.provider;
        let Some((source, schema)) = self.plugins.source(name) else {
            return Err(Failure::new(format!("the provider {name} is not installed"), "It is needed to go on."));
        };
        // What was started to judge the definitions becomes the one that is configured.
        self.plugins.hand_over(name, |running| self.pool.adopt(running));
        let key = Key::new(source, &provider.config);
        self.pool.configured(&key, &schema).map_err(|failure| unconfigured(provider, &failure))
    }
}

impl Calls for Configured {
    fn validate(&self, mode: Mode, kind: &str, schema: &TypeSchema, config: &Value) -> Asked<Vec<PluginDiagnostic>> {
        self.plugin.validate_type(mode, kind, schema, config).wait()
    }

    fn upgrade(&self, request: &UpgradeRequest<'_>) -> Asked<StateAnswer> {
        self.plugin.upgrade(request).wait()
    }

    fn upgrade_identity(&self, request: &UpgradeIdentityRequest<'_>) -> Asked<IdentityAnswer> {
        self.plugin.upgrade_identity(request).wait()
    }

    fn read(&self, request: &ReadRequest<'_>) -> Asked<ReadAnswer> {
        self.plugin.read(request).wait()
    }

    fn plan(&self, request: &PlanRequest<'_>) -> Asked<PlanAnswer> {
        self.plugin.plan(request).wait()
    }

    fn apply(&self, request: &ApplyRequest<'_>) -> Asked<ApplyAnswer> {
        self.plugin.apply(request).wait()
    }

    fn read_data(&self, request: &DataRequest<'_>) -> Asked<DataAnswer> {
        self.plugin.read_data(request).wait()
    }

    fn import(&self, request: &ImportRequest<'_>) -> Asked<ImportAnswer> {
        self.plugin.import(request).wait()
    }

    fn move_state(&self, request: &MoveRequest<'_>) -> Asked<MoveAnswer> {
        self.plugin.move_state(request).wait()
    }
}

fn unconfigured(provider: &ConfiguredProvider, failure: &PoolFailure) -> Failure {
    let name = &provider.address.provider;
    match failure {
        PoolFailure::Plugin(error) => broken(name, error),
        PoolFailure::Refused(said) => match sound(said.clone()) {
            Ok(_) => Failure::new(format!("the provider {name} refuses its configuration"), ""),
            Err(refused) => {
                let detail = format!("{}\n{}", refused.summary, refused.detail);
                let summary = format!("the provider {name} refuses its configuration");
                let failure = Failure {
                    complaints: refused.complaints,
                    of: Some(Arc::new(provider.address.clone())),
                    ..Failure::new(summary, detail.trim())
                };
                failure.without_secrets_of(&provider.config)
            }
        },
        PoolFailure::Ended => Failure::new("the run was broken off", "The provider plugins are ended."),
    }
}
