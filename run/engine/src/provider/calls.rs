//! What a question or a command comes to as calls of a provider, whoever it is that takes the calls: a plugin, or an
//! imaginary provider in a simulation. What core owes around the calls is decided elsewhere (`andon_plan`).

use std::sync::Arc;

use andon_provider::{
    ApplyAnswer, ApplyRequest, CallError, DataAnswer, DataRequest, Deferral, IdentityAnswer, ImportAnswer,
    ImportRequest, Meta, MoveAnswer, MoveRequest, PlanAnswer, PlanRequest, PluginDiagnostic, PluginError, ReadAnswer,
    ReadRequest, StateAnswer, Stored, UpgradeIdentityRequest, UpgradeRequest,
};
use andon_schema::{
    Answer, Command, Complaint, ConfiguredProvider, Failure, FoundObject, ImportBy, InstanceAddress, Kept, Mode,
    Outcome, Planned, ProviderAddress, ProviderConfigAddress, ProviderSchema, Question, TypeSchema, Via,
};
use andon_value::{Value, to_json, to_typed_json};

/// The calls of a configured provider that questions and commands come to. Each waits for its answer.
pub trait Calls {
    /// What is wrong with the configuration of a resource or of a data source.
    fn validate(&self, mode: Mode, kind: &str, schema: &TypeSchema, config: &Value) -> Asked<Vec<PluginDiagnostic>>;

    /// Brings a stored object to the schema of today.
    fn upgrade(&self, request: &UpgradeRequest<'_>) -> Asked<StateAnswer>;

    /// Brings what identifies a stored object to the schema of today.
    fn upgrade_identity(&self, request: &UpgradeIdentityRequest<'_>) -> Asked<IdentityAnswer>;

    /// Looks how an object is.
    fn read(&self, request: &ReadRequest<'_>) -> Asked<ReadAnswer>;

    /// Plans a change of an object.
    fn plan(&self, request: &PlanRequest<'_>) -> Asked<PlanAnswer>;

    /// Makes, changes or removes an object. Where it is an error, nobody knows what came of it.
    fn apply(&self, request: &ApplyRequest<'_>) -> Asked<ApplyAnswer>;

    /// Reads a data source.
    fn read_data(&self, request: &DataRequest<'_>) -> Asked<DataAnswer>;

    /// Finds an object by a name of its own.
    fn import(&self, request: &ImportRequest<'_>) -> Asked<ImportAnswer>;

    /// Makes an object of one of another type.
    fn move_state(&self, request: &MoveRequest<'_>) -> Asked<MoveAnswer>;
}

/// What a call gives: an answer, or that there is none to be had.
pub type Asked<T> = std::result::Result<T, PluginError>;

/// The providers at hand, and the way to each of them.
pub trait Offer {
    /// Takes the calls.
    type Calls: Calls;

    /// What a provider offers; `None` where it is not at hand.
    fn schema(&self, provider: &ProviderAddress) -> Option<Arc<ProviderSchema>>;

    /// A provider with its configuration, which may have to be started for it.
    fn configured(&self, provider: &ConfiguredProvider) -> Result<Self::Calls>;

    /// The provider that an instance belongs to, ready to be asked about its type.
    fn ready<'a>(&self, address: &'a InstanceAddress, via: &'a Via) -> Result<Ready<'a, Self::Calls>> {
        let name = &via.provider.address.provider;
        let Some(provider) = self.schema(name) else {
            return Err(Failure::new(format!("the provider {name} is not installed"), "It is needed to go on.")
                .help("Run `andon init`, which installs what the definitions need."));
        };
        let kind = &*address.resource.kind;
        let schema = provider.types(address.resource.mode).get(kind).cloned();
        let schema = schema.ok_or_else(|| {
            Failure::new(format!("the provider {name} has no {} {kind}", address.resource.mode.noun()), "")
                .help("Install a version of it that has.")
        })?;
        let calls = self.configured(&via.provider)?;
        Ok(Ready { calls, provider, schema, kind, via })
    }
}

/// Answers a question that a provider has to answer. Ephemeral resources are not among them: who opens them must close
/// them.
pub fn answer<O: Offer>(offer: &O, question: &Question) -> Answer {
    Host { offer }.answer(question)
}

/// Carries out a command that a provider has to carry out.
pub fn execute<O: Offer>(offer: &O, command: &Command, say: &dyn Fn(&str)) -> Outcome {
    Host { offer }.execute(command, say)
}

/// A provider that is ready to be asked about one type.
pub struct Ready<'a, C> {
    pub(super) calls: C,
    provider: Arc<ProviderSchema>,
    pub(super) schema: TypeSchema,
    pub(super) kind: &'a str,
    via: &'a Via,
}

struct Host<'o, O> {
    offer: &'o O,
}

type Result<T> = std::result::Result<T, Failure>;

/// What is to become of an object.
enum Wanted<'a> {
    /// It is made, or changed.
    Made { planned: &'a Value, config: &'a Value },
    /// It is deleted; the plugin may have been asked when that was planned.
    Gone { asked: bool },
}

impl<O: Offer> Host<'_, O> {
    fn answer(&self, question: &Question) -> Answer {
        let answer = match question {
            Question::PlanChange { address, via: Some(via), prior: Some(prior), config, .. } if config.is_null() => {
                self.plan_deletion(address, via, prior).map(Answer::from)
            }
            Question::PlanChange { address, via: Some(via), prior, proposed, config, written, .. } => {
                let written = written.as_ref().unwrap_or(config);
                self.plan(address, via, prior.as_ref(), proposed.as_ref(), (config, written)).map(Answer::from)
            }
            Question::ReadObject { address, via: Some(via), prior, refresh, .. } => {
                self.read(address, via, prior, *refresh).map(|found| Answer::Found(Box::new(found)))
            }
            Question::ReadData { address, via: Some(via), config } => {
                self.read_data(address, via, config).map(|value| Answer::Object(Some(value)))
            }
            Question::Import { address, via, by } => {
                self.import(address, via, by).map(|found| Answer::Found(Box::new(found)))
            }
            Question::MoveObject { address, via, from, kind, prior } => {
                self.move_object(address, via, from, kind, prior).map(|found| Answer::Found(Box::new(found)))
            }
            _ => Err(Failure::new("no plugin answers this", "It is a question about what is built in.")),
        };
        answer.unwrap_or_else(Answer::Failed)
    }

    fn execute(&self, command: &Command, say: &dyn Fn(&str)) -> Outcome {
        match command {
            Command::Create { address, via: Some(via), config, planned, .. } => {
                self.apply(address, via, None, Wanted::Made { planned, config }, say)
            }
            Command::Update { address, via: Some(via), prior, config, planned, .. } => {
                self.apply(address, via, Some(prior), Wanted::Made { planned, config }, say)
            }
            Command::Delete { address, via: Some(via), prior, asked, .. } => {
                self.apply(address, via, Some(prior), Wanted::Gone { asked: *asked }, say)
            }
            _ => Outcome::failed(Failure::new("no plugin does this", "It is for what is built in."), None, None),
        }
    }

    fn plan(
        &self,
        address: &InstanceAddress,
        via: &Via,
        prior: Option<&Value>,
        proposed: Option<&Value>,
        (config, written): (&Value, &Value),
    ) -> Result<Planned> {
        let ready = self.offer.ready(address, via)?;
        let config = config.unmark_deep().0;
        let mut warnings = ready.validated(address, &written.unmark_deep().0)?;
        let prior = prior.map_or_else(|| ready.nothing(), |prior| prior.unmark_deep().0);
        let request = PlanRequest {
            kind: ready.kind,
            schema: &ready.schema,
            prior: &prior,
            proposed: proposed.unwrap_or(&config),
            config: &config,
            private: &via.kept.private,
            meta: ready.meta(),
            identity: via.kept.identity.as_ref(),
        };
        let answer = ready.calls.plan(&request).map_err(|error| ready.broken(&error))?;
        ready.not_deferred(answer.deferral)?;
        warnings.extend(ready.sound(answer.diagnostics)?);
        Ok(Planned {
            value: answer.planned,
            replace: answer.requires_replace,
            report: None,
            kept: ready.kept(answer.private, answer.identity),
            legacy: answer.legacy,
            warnings,
        })
    }

    /// What the plugin plans for the deletion of an object.
    fn plan_deletion(&self, address: &InstanceAddress, via: &Via, prior: &Value) -> Result<Planned> {
        let ready = self.offer.ready(address, via)?;
        let (prior, before) = ready.brought(prior)?;
        let answer = ready.deletion(&prior, &before)?;
        let warnings = ready.sound(answer.diagnostics)?;
        if !answer.planned.is_null() {
            return Err(ready.senseless("It does not plan to delete what is to be deleted."));
        }
        let kept = ready.kept(answer.private, answer.identity.or(before.identity));
        Ok(Planned { kept, warnings, ..Planned::new(answer.planned, &[], None) })
    }

    fn read(&self, address: &InstanceAddress, via: &Via, prior: &Value, refresh: bool) -> Result<FoundObject> {
        let ready = self.offer.ready(address, via)?;
        let (stored, mut warnings) = ready.upgraded(prior)?;
        let kept = Kept { schema_version: ready.schema.version, ..ready.identified()? };
        if !refresh {
            return Ok(FoundObject { now: Some(stored.clone()), stored, kept, warnings });
        }
        let (now, kept, more) = ready.read(&stored, &kept)?;
        warnings.extend(more);
        Ok(FoundObject { stored, now, kept, warnings })
    }

    fn read_data(&self, address: &InstanceAddress, via: &Via, config: &Value) -> Result<Value> {
        let ready = self.offer.ready(address, via)?;
        let config = config.unmark_deep().0;
        ready.validated(address, &config)?;
        let (kind, schema, meta) = (ready.kind, &ready.schema, ready.meta());
        let answer = ready.calls.read_data(&DataRequest { kind, schema, config: &config, meta });
        let answer = answer.map_err(|error| ready.broken(&error))?;
        ready.not_deferred(answer.deferral)?;
        ready.sound(answer.diagnostics)?;
        if answer.state.is_null() {
            return Err(ready.senseless("It read nothing, and did not say why."));
        }
        Ok(answer.state)
    }

    fn import(&self, address: &InstanceAddress, via: &Via, by: &ImportBy) -> Result<FoundObject> {
        let ready = self.offer.ready(address, via)?;
        let unmarked;
        let by = match by {
            ImportBy::Id(id) => andon_provider::ImportBy::Id(id),
            ImportBy::Identity(identity) => {
                unmarked = identity.unmark_deep().0;
                andon_provider::ImportBy::Identity(&unmarked)
            }
        };
        let answer = ready.calls.import(&ImportRequest { kind: ready.kind, schema: &ready.schema, by });
        let answer = answer.map_err(|error| ready.broken(&error))?;
        ready.not_deferred(answer.deferral)?;
        let mut warnings = ready.sound(answer.diagnostics)?;
        let mut imported = answer.imported.into_iter();
        let (Some(imported), None) = (imported.next(), imported.next()) else {
            return Err(ready.senseless("It imported no object, or more than one."));
        };
        if imported.kind != ready.kind {
            return Err(ready.senseless(&format!("It imported an object of the type {}.", imported.kind)));
        }
        let Some(state) = imported.state.filter(|state| !state.is_null()) else {
            return Err(ready.senseless("It imported nothing, and did not say why."));
        };
        let kept = ready.kept(imported.private, imported.identity);
        let (now, kept, more) = ready.read(&state, &kept)?;
        warnings.extend(more);
        let Some(now) = now else {
            let detail = format!("The provider {} has no object of this name.", ready.name());
            return Err(Failure::new("there is nothing to import", detail).help("Check the name."));
        };
        Ok(FoundObject { stored: now.clone(), now: Some(now), kept, warnings })
    }

    fn move_object(
        &self,
        address: &InstanceAddress,
        via: &Via,
        from: &ProviderConfigAddress,
        from_kind: &str,
        prior: &Value,
    ) -> Result<FoundObject> {
        let ready = self.offer.ready(address, via)?;
        let json = self.stored_json(&from.provider, from_kind, prior)?;
        let from_provider = from.provider.to_string();
        let request = MoveRequest {
            from_provider: &from_provider,
            from_kind,
            from_version: via.kept.schema_version,
            from_state: Stored::Json(&json),
            from_private: &via.kept.private,
            from_identity: None,
            kind: ready.kind,
            schema: &ready.schema,
        };
        let answer = ready.calls.move_state(&request).map_err(|error| ready.broken(&error))?;
        let warnings = ready.sound(answer.diagnostics)?;
        if answer.state.is_null() {
            return Err(ready.senseless("It moved nothing, and did not say why."));
        }
        let kept = ready.kept(answer.private, answer.identity);
        Ok(FoundObject { stored: answer.state.clone(), now: Some(answer.state), kept, warnings })
    }

    fn stored_json(&self, provider: &ProviderAddress, kind: &str, value: &Value) -> Result<serde_json::Value> {
        let schema = self.offer.schema(provider).and_then(|schema| schema.resources.get(kind).cloned());
        stored_json(schema.as_ref(), value)
    }

    fn apply(
        &self,
        address: &InstanceAddress,
        via: &Via,
        prior: Option<&Value>,
        wanted: Wanted<'_>,
        say: &dyn Fn(&str),
    ) -> Outcome {
        let before = prior.map(|prior| prior.unmark_deep().0);
        match self.try_apply(address, via, prior, wanted, say) {
            Ok(outcome) => outcome,
            // Nothing was asked of the world yet.
            Err(failure) => Outcome::failed(failure, before, None),
        }
    }

    fn try_apply(
        &self,
        address: &InstanceAddress,
        via: &Via,
        prior: Option<&Value>,
        wanted: Wanted<'_>,
        say: &dyn Fn(&str),
    ) -> Result<Outcome> {
        let ready = self.offer.ready(address, via)?;
        let nothing = ready.nothing();
        let (prior, kept) = match prior {
            Some(prior) => ready.brought(prior)?,
            None => (nothing.clone(), via.kept.clone()),
        };
        let mut private = kept.private.to_vec();
        let (planned, config) = match wanted {
            Wanted::Made { planned, config } => (planned.unmark_deep().0, config.unmark_deep().0),
            Wanted::Gone { asked } => {
                if !asked && ready.provider.capabilities.plan_destroy {
                    private = ready.deletion(&prior, &kept)?.private;
                }
                (nothing.clone(), nothing.clone())
            }
        };
        let request = ApplyRequest {
            kind: ready.kind,
            schema: &ready.schema,
            prior: &prior,
            planned: &planned,
            config: &config,
            private: &private,
            meta: ready.meta(),
            identity: kept.identity.as_ref(),
        };
        let answer = match ready.calls.apply(&request) {
            Ok(answer) => answer,
            // It was asked, and its answer cannot be had: what it did, nobody knows.
            Err(error) => return Ok(Outcome::Lost(ready.broken(&error))),
        };
        let kept = ready.kept(answer.private, answer.identity);
        let value = (!answer.state.is_null()).then_some(answer.state);
        Ok(match ready.sound(answer.diagnostics) {
            Ok(warnings) => {
                warnings.iter().for_each(|it| say(&format!("warning: {}. {}", it.summary, it.detail)));
                Outcome::Done { value, report: None, kept }
            }
            Err(failure) => {
                // Where it says nothing of the object, that is as it was, as far as anybody knows: the next plan looks.
                match value {
                    None => Outcome::failed(failure, (!prior.is_null()).then_some(prior), None),
                    value => Outcome::Failed { failure, value, report: None, kept: Some(kept) },
                }
            }
        })
    }
}

impl<C: Calls> Ready<'_, C> {
    fn name(&self) -> &ProviderAddress {
        &self.via.provider.address.provider
    }

    fn nothing(&self) -> Value {
        Value::null(self.schema.block.implied_type())
    }

    fn meta(&self) -> Option<Meta<'_>> {
        self.via.meta.as_ref().map(|value| Meta { schema: &self.provider.meta, value })
    }

    /// What the plugin says of deleting an object; it is an error where it refuses.
    fn deletion(&self, prior: &Value, kept: &Kept) -> Result<PlanAnswer> {
        let nothing = self.nothing();
        let request = PlanRequest {
            kind: self.kind,
            schema: &self.schema,
            prior,
            proposed: &nothing,
            config: &nothing,
            private: &kept.private,
            meta: self.meta(),
            identity: kept.identity.as_ref(),
        };
        let mut answer = self.calls.plan(&request).map_err(|error| self.broken(&error))?;
        self.not_deferred(answer.deferral.take())?;
        self.sound(answer.diagnostics.clone())?;
        Ok(answer)
    }

    fn kept(&self, private: Vec<u8>, identity: Option<Value>) -> Kept {
        let version = self.schema.identity.as_ref().map(|schema| schema.version);
        let identity_version = identity.as_ref().and(version);
        Kept { schema_version: self.schema.version, private: private.into(), identity, identity_version }
    }

    /// What the plugin has to say of a configuration: an error, or warnings.
    pub(super) fn validated(&self, address: &InstanceAddress, config: &Value) -> Result<Vec<Complaint>> {
        let mode = address.resource.mode;
        let said = self.calls.validate(mode, self.kind, &self.schema, config);
        self.sound(said.map_err(|error| self.broken(&error))?)
    }

    /// What is given of an object, and what is kept with it, by the schemas of today. An object that was replaced long ago
    /// may be as older ones had it.
    fn brought(&self, prior: &Value) -> Result<(Value, Kept)> {
        let prior = match self.via.kept.schema_version < self.schema.version {
            true => self.upgraded(prior)?.0,
            false => prior.unmark_deep().0,
        };
        Ok((prior, self.identified()?))
    }

    /// What is kept with an object, with what identifies it by the schema of today.
    fn identified(&self) -> Result<Kept> {
        let kept = self.via.kept.clone();
        let (Some(schema), Some(identity), Some(version)) =
            (&self.schema.identity, &kept.identity, kept.identity_version)
        else {
            return Ok(kept);
        };
        if version > schema.version {
            return Err(self.newer("what identifies the type", version, schema.version));
        }
        if version == schema.version {
            return Ok(kept);
        }
        let json = to_json(identity)
            .map_err(|error| Failure::new("what identifies the object cannot be read", error.to_string()))?;
        let request =
            UpgradeIdentityRequest { kind: self.kind, schema: &self.schema, version, stored: Stored::Json(&json) };
        let answer = self.calls.upgrade_identity(&request).map_err(|error| self.broken(&error))?;
        self.sound(answer.diagnostics)?;
        match answer.identity {
            Some(identity) => Ok(Kept { identity: Some(identity), identity_version: Some(schema.version), ..kept }),
            None => Err(self.senseless("It could make nothing of what identifies the object, and did not say why.")),
        }
    }

    fn newer(&self, what: &str, found: u64, known: u64) -> Failure {
        let detail = format!(
            "It was written by version {found} of the schema for {what}; the provider {} that is installed knows versions up \
             to {known}.",
            self.name(),
        );
        Failure::new("a newer provider wrote what is stored", detail).help("Install the newer provider.")
    }

    /// What is stored, as an object of today's schema.
    fn upgraded(&self, stored: &Value) -> Result<(Value, Vec<Complaint>)> {
        let version = self.via.kept.schema_version;
        if version > self.schema.version {
            return Err(self.newer("the type", version, self.schema.version));
        }
        let json = stored_json(Some(&self.schema), stored)?;
        let request = UpgradeRequest { kind: self.kind, schema: &self.schema, version, stored: Stored::Json(&json) };
        let answer = self.calls.upgrade(&request).map_err(|error| self.broken(&error))?;
        let warnings = self.sound(answer.diagnostics)?;
        if answer.state.is_null() {
            return Err(self.senseless("It could make nothing of what is stored, and did not say why."));
        }
        Ok((answer.state, warnings))
    }

    fn read(&self, state: &Value, kept: &Kept) -> Result<(Option<Value>, Kept, Vec<Complaint>)> {
        let request = ReadRequest {
            kind: self.kind,
            schema: &self.schema,
            state,
            private: &kept.private,
            meta: self.meta(),
            identity: kept.identity.as_ref(),
        };
        let answer = self.calls.read(&request).map_err(|error| self.broken(&error))?;
        self.not_deferred(answer.deferral)?;
        let warnings = self.sound(answer.diagnostics)?;
        let now = (!answer.state.is_null()).then_some(answer.state);
        let identity = answer.identity.or_else(|| kept.identity.clone());
        Ok((now, self.kept(answer.private, identity), warnings))
    }

    /// The warnings, unless there is an error among what it said.
    pub(super) fn sound(&self, said: Vec<PluginDiagnostic>) -> Result<Vec<Complaint>> {
        sound(said)
    }

    pub(super) fn not_deferred(&self, deferral: Option<Deferral>) -> Result<()> {
        match deferral {
            None => Ok(()),
            Some(_) => Err(self.senseless("It put the question off, though it was told that this cannot be done.")),
        }
    }

    fn senseless(&self, detail: &str) -> Failure {
        Failure::new(format!("the provider {} gave an answer that makes no sense", self.name()), detail)
            .help("This is a fault of the provider: report it to whoever makes it.")
    }

    pub(super) fn broken(&self, error: &PluginError) -> Failure {
        broken(self.name(), error)
    }
}

/// What is stored of an object, as JSON: by the schema where it fits, and as it is where it does not.
fn stored_json(schema: Option<&TypeSchema>, value: &Value) -> Result<serde_json::Value> {
    let value = value.unmark_deep().0;
    let typed = schema.and_then(|schema| to_typed_json(&value, &schema.block.implied_type()).ok());
    let json = typed.map_or_else(|| to_json(&value), Ok);
    json.map_err(|error| Failure::new("what is stored of the object cannot be read", error.to_string()))
}

pub(super) fn sound(said: Vec<PluginDiagnostic>) -> Result<Vec<Complaint>> {
    let complaints: Vec<Complaint> = said.into_iter().map(complaint).collect();
    let Some(first) = complaints.iter().find(|complaint| complaint.error) else { return Ok(complaints) };
    let failure = Failure::new(first.summary.clone(), first.detail.clone());
    Err(Failure { complaints, ..failure })
}

fn complaint(said: PluginDiagnostic) -> Complaint {
    let PluginDiagnostic { error, summary, detail, path } = said;
    Complaint { error, summary, detail, path }
}

pub(super) fn broken(name: &ProviderAddress, error: &PluginError) -> Failure {
    let summary = match error {
        PluginError::Call { failure: CallError::Gone, .. } => format!("the provider {name} has crashed"),
        _ => format!("the provider {name} cannot be asked"),
    };
    Failure::new(summary, error.to_string())
}
