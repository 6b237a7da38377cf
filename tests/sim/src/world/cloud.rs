//! The imaginary cloud's provider: it takes the calls that a plugin takes, from the same code that calls plugins, and
//! goes wrong as plugins do. What it makes is of the same earth as everything else.

use std::cell::RefCell;
use std::sync::Arc;

use andon_engine::provider::calls::{self, Asked, Calls, Offer};
use andon_provider::{
    ApplyAnswer, ApplyRequest, CallError, DataAnswer, DataRequest, IdentityAnswer, ImportAnswer, ImportBy,
    ImportRequest, Imported, MoveAnswer, MoveRequest, PlanAnswer, PlanRequest, PluginDiagnostic, PluginError,
    ReadAnswer, ReadRequest, StateAnswer, Stored, UpgradeIdentityRequest, UpgradeRequest,
};
use andon_schema::{
    Answer, Command, ConfiguredProvider, Failure, Identity, Mode, Outcome, ProviderAddress, ProviderSchema, Question,
    TypeSchema,
};
use andon_value::{Path, PathStep, Type, Value, convert, from_typed_json};

use super::{Extent, Fate, SimWorld};
use crate::Mistake;
use crate::kinds::{bare, plan, provider_schema, realise, with};

/// What a new object's plan has the apply give back.
const NEW: &str = "planned:new";

/// The plugin while it works on one question or command.
struct Plugin<'p, 'w> {
    world: RefCell<&'p mut SimWorld<'w>>,
    command: Option<&'p Command>,
    fate: Fate,
}

impl SimWorld<'_> {
    /// Has the plugin answer.
    pub(super) fn answer_by_plugin(&mut self, question: &Question, fate: Fate) -> Answer {
        calls::answer(&&Plugin { world: RefCell::new(self), command: None, fate }, question)
    }

    /// Has the plugin carry out what was begun.
    pub(super) fn execute_by_plugin(&mut self, command: &Command, fate: Fate) -> Outcome {
        let outcome =
            calls::execute(&&Plugin { world: RefCell::new(self), command: Some(command), fate }, command, &|_| {});
        if let Outcome::Lost(failure) = &outcome {
            if self.strikes(Mistake::CrashTakenForRefusal) {
                let prior = match command {
                    Command::Update { prior, .. } | Command::Delete { prior, .. } => Some(prior.clone()),
                    _ => None,
                };
                return Outcome::failed(failure.clone(), prior, None);
            }
            let mut trace = self.trace.borrow_mut();
            trace.stale = true;
            trace.lost.insert(command.identity().clone());
        }
        outcome
    }

    /// The effect of a command whose answer nobody hears.
    fn lose(&mut self, command: &Command, extent: Extent) {
        match command {
            Command::Create { address, identity, config, .. } => {
                let value = realise(&address.resource.kind, identity, None, config);
                match extent {
                    Extent::Nothing => self.earth.vanish(identity),
                    Extent::Half => {}
                    Extent::Whole => self.done_or_forbidden(identity, value),
                }
            }
            Command::Update { address, identity, prior, config, .. } => {
                let before = self.value(identity).unwrap_or_else(|| bare(prior));
                let after = realise(&address.resource.kind, identity, Some(&before), config);
                let value = match extent {
                    Extent::Nothing => return,
                    Extent::Half => self.halfway(&before, &after),
                    Extent::Whole => after,
                };
                self.done_or_forbidden(identity, value);
            }
            Command::Delete { identity, .. } => {
                if extent == Extent::Whole {
                    self.earth.vanish(identity);
                }
            }
            Command::Provision { .. } => {}
        }
    }

    fn done_or_forbidden(&mut self, identity: &Identity, value: Value) {
        if let Err(forbidden) = self.earth.complete(identity, value) {
            self.forbidden(forbidden);
        }
    }

    /// What the plugin keeps with an object: it must be given back as it is.
    fn private(&self, id: &str) -> Vec<u8> {
        format!("kept:{id}").into_bytes()
    }

    /// The object of a kind that has this name.
    fn named(&self, kind: &str, id: &str) -> Option<Value> {
        let is_it = |value: &Value| value.get_str("id") == Some(id);
        let mut things = self.earth.things.values().filter(|thing| thing.kind == kind && !thing.remains);
        things.find(|thing| is_it(&thing.value)).map(|thing| thing.value.clone())
    }

    fn check_private(&self, id: &str, given: &[u8], expected: &str) {
        if given != expected.as_bytes() {
            let given = String::from_utf8_lossy(given);
            self.violation(format!("{id}: the plugin is given back `{given}`, and not `{expected}`"));
        }
    }
}

impl Plugin<'_, '_> {
    /// Whether this call goes wrong, and how: what only looks may fail at any call.
    fn trouble(&self, method: &'static str) -> Asked<Vec<PluginDiagnostic>> {
        if self.command.is_none() && matches!(self.fate, Fate::Lost(_)) {
            return Err(gone(method));
        }
        let mut world = self.world.borrow_mut();
        let odds = world.faults.silent;
        if !world.dice.chance(odds) {
            return Ok(Vec::new());
        }
        let crash = world.dice.chance(50);
        world.trace.borrow_mut().fault(if crash { "a call without an answer" } else { "a throttled call" });
        world.say(|| format!("FAULT   {method} goes wrong"));
        if crash { Err(gone(method)) } else { Ok(vec![error("too many requests")]) }
    }
}

impl<'p, 'q, 'w> Offer for &'p Plugin<'q, 'w> {
    type Calls = &'p Plugin<'q, 'w>;

    fn schema(&self, _: &ProviderAddress) -> Option<Arc<ProviderSchema>> {
        Some(provider_schema())
    }

    fn configured(&self, _: &ConfiguredProvider) -> Result<Self::Calls, Failure> {
        // A plugin that does not even start has done nothing.
        if self.fate == Fate::Refused && self.world.borrow_mut().dice.chance(30) {
            return Err(Failure::new("the provider does not start", "It is a fault of the simulation."));
        }
        Ok(self)
    }
}

impl Calls for &Plugin<'_, '_> {
    fn validate(&self, _: Mode, _: &str, _: &TypeSchema, config: &Value) -> Asked<Vec<PluginDiagnostic>> {
        if config.unmark_deep().0 != *config {
            self.world.borrow().violation("the plugin is shown a mark".to_owned());
        }
        self.trouble("ValidateResourceConfig")
    }

    fn upgrade(&self, request: &UpgradeRequest<'_>) -> Asked<StateAnswer> {
        let diagnostics = self.trouble("UpgradeResourceState")?;
        let ty = request.schema.block.implied_type();
        let Stored::Json(json) = request.stored else { return Err(gone("UpgradeResourceState")) };
        let state = from_typed_json(json, &ty).map_err(|_| gone("UpgradeResourceState"))?;
        Ok(StateAnswer { state, diagnostics })
    }

    fn upgrade_identity(&self, _: &UpgradeIdentityRequest<'_>) -> Asked<IdentityAnswer> {
        // No type here has a schema of that.
        Err(gone("UpgradeResourceIdentity"))
    }

    fn read(&self, request: &ReadRequest<'_>) -> Asked<ReadAnswer> {
        let diagnostics = self.trouble("ReadResource")?;
        let world = self.world.borrow();
        let id = request.state.get_str("id").unwrap_or_default();
        world.check_private(id, request.private, &format!("kept:{id}"));
        let found = world.named(request.kind, id);
        let state = typed(request.schema, found.unwrap_or(Value::NULL));
        Ok(ReadAnswer { state, private: world.private(id), identity: None, diagnostics, deferral: None })
    }

    fn plan(&self, request: &PlanRequest<'_>) -> Asked<PlanAnswer> {
        let diagnostics = self.trouble("PlanResourceChange")?;
        let prior = Some(request.prior).filter(|prior| !prior.is_null());
        let (mut value, replace) = plan(request.kind, prior, request.config);
        if replace.iter().any(|name| name == "health") {
            value = with(&value, &[("health", Value::unknown(Type::String))]);
        }
        let private = match prior.and_then(|prior| prior.get_str("id")) {
            Some(id) => {
                self.world.borrow().check_private(id, request.private, &format!("kept:{id}"));
                format!("planned:{id}")
            }
            None => NEW.to_owned(),
        };
        Ok(PlanAnswer {
            planned: typed(request.schema, value),
            requires_replace: replace.iter().map(|name| attribute(name)).collect(),
            private: private.into_bytes(),
            legacy: false,
            identity: None,
            diagnostics,
            deferral: None,
        })
    }

    fn apply(&self, request: &ApplyRequest<'_>) -> Asked<ApplyAnswer> {
        let mut world = self.world.borrow_mut();
        let Some(command) = self.command else { return Err(gone("ApplyResourceChange")) };
        let identity = command.identity();
        let id = request.prior.get_str("id").unwrap_or_default().to_owned();
        let expected = match command {
            Command::Create { .. } => NEW.to_owned(),
            // The first half of a replacement is given what was planned of the whole, as Terraform does it.
            Command::Delete { .. } if request.private == NEW.as_bytes() => NEW.to_owned(),
            Command::Delete { .. } => format!("kept:{id}"),
            _ => format!("planned:{id}"),
        };
        world.check_private(&command.address().to_string(), request.private, &expected);
        let shape = (request.prior.is_null(), request.planned.is_null());
        let fits = match command {
            Command::Create { .. } => shape == (true, false),
            Command::Delete { .. } => shape == (false, true) && request.config.is_null(),
            _ => shape == (false, false),
        };
        if !fits {
            world.violation(format!("{} is not applied as what it is", command.address()));
        }
        if let Fate::Lost(extent) = self.fate {
            world.lose(command, extent);
            return Err(gone("ApplyResourceChange"));
        }
        if matches!(command, Command::Create { .. })
            && self.fate == Fate::Done
            && world.strikes(Mistake::HostCallsTwice)
            && let Command::Create { address, config, .. } = command
        {
            let twin = Identity::from_random(7);
            let kind = &address.resource.kind;
            let _ = world.earth.begin(kind, &address.to_string(), &twin, realise(kind, &twin, None, config));
        }
        let outcome = match command {
            Command::Create { address, config, .. } => {
                world.create(&address.resource.kind, identity, config, self.fate)
            }
            Command::Update { address, prior, config, .. } => {
                world.update(&address.resource.kind, identity, prior, config, self.fate)
            }
            Command::Delete { prior, .. } => world.delete(identity, prior, self.fate),
            Command::Provision { .. } => return Err(gone("ApplyResourceChange")),
        };
        let (value, diagnostics) = match outcome {
            Outcome::Done { value, .. } => (value, Vec::new()),
            Outcome::Failed { value, failure, .. } => (value, vec![error(&failure.summary)]),
            Outcome::Lost(failure) => (None, vec![error(&failure.summary)]),
        };
        // Where it fails, some say how the object is, and some say nothing at all.
        let silent = !diagnostics.is_empty() && !id.is_empty() && world.dice.chance(30);
        if !diagnostics.is_empty() && !id.is_empty() && (silent || value.is_none()) {
            let mut trace = world.trace.borrow_mut();
            (trace.unsure, trace.stale) = (true, true);
        }
        let value = value.filter(|_| !silent);
        let id = value.as_ref().and_then(|value| value.get_str("id")).unwrap_or_default().to_owned();
        Ok(ApplyAnswer {
            private: world.private(&id),
            state: typed(request.schema, value.unwrap_or(Value::NULL)),
            legacy: false,
            identity: None,
            diagnostics,
        })
    }

    fn read_data(&self, request: &DataRequest<'_>) -> Asked<DataAnswer> {
        let mut diagnostics = self.trouble("ReadDataSource")?;
        let state = match self.world.borrow().zone(request.config) {
            Answer::Object(Some(value)) => value,
            Answer::Failed(failure) => {
                diagnostics.push(error(&failure.summary));
                Value::NULL
            }
            _ => Value::NULL,
        };
        Ok(DataAnswer { state: typed(request.schema, state), diagnostics, deferral: None })
    }

    fn import(&self, request: &ImportRequest<'_>) -> Asked<ImportAnswer> {
        let diagnostics = self.trouble("ImportResourceState")?;
        let ImportBy::Id(id) = request.by else { return Err(gone("ImportResourceState")) };
        let world = self.world.borrow();
        // Only what it takes to read it.
        let stub = typed(request.schema, Value::object([("id", Value::from(id))]));
        let imported =
            Imported { kind: request.kind.to_owned(), state: Some(stub), private: world.private(id), identity: None };
        Ok(ImportAnswer { imported: vec![imported], diagnostics, deferral: None })
    }

    fn move_state(&self, _: &MoveRequest<'_>) -> Asked<MoveAnswer> {
        Err(gone("MoveResourceState"))
    }
}

/// The value as an object of a type: what it does not have is null.
fn typed(schema: &TypeSchema, value: Value) -> Value {
    let ty = schema.block.implied_type();
    if value.is_null() {
        return Value::null(ty);
    }
    let absent = schema.block.attributes.iter().filter(|(name, _)| value.get(name).is_none());
    let absent: Vec<(&str, Value)> =
        absent.map(|(name, attribute)| (name.as_str(), Value::null(attribute.ty.clone()))).collect();
    let whole = with(&value, &absent);
    convert(&whole, &ty).unwrap_or(whole)
}

fn attribute(name: &str) -> Path {
    Path::from_iter([PathStep::Attribute(name.into())])
}

fn error(summary: &str) -> PluginDiagnostic {
    PluginDiagnostic { error: true, summary: summary.to_owned(), detail: String::new(), path: Path::default() }
}

fn gone(method: &'static str) -> PluginError {
    PluginError::Call { path: "imaginary".into(), method, failure: CallError::Gone, output: String::new() }
}
