use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use andon_fleet::phoenix::WRITTEN;
use andon_image::{Digest, Images};
use andon_lab::{FilesSeen, Lab};
use andon_lang::definitions::Project;
use andon_lang::{Bundle, Roles, bundle, predict};
use andon_ledger::{Action, Intent};
use andon_reach::{Contact, ReachError, Target, run_agent};
use andon_schema::{
    Attribute, Change, EntryStatus, Failure, HostEntry, HostReport, Identity, InstanceAddress, Object, Outcome,
    Schemas, Secrets, TypeSchema,
};
use andon_secret::Vault;
use andon_value::{Type, Value};

use super::{Planned, Provider, Request, one_type, what_failed};
use crate::agent::{AgentReply, AgentRequest, Task, lines, without_params};
use crate::roles::secrets_of;
use crate::{Found, connection};

/// How long a server may take until it answers for the first time, and how long is waited between two tries.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(2);

/// Why a converge did not take place.
struct NoConverge {
    /// There is no answer on the way: there may be one in a while.
    is_of_way: bool,
    failure: Failure,
}

impl From<Failure> for NoConverge {
    fn from(failure: Failure) -> NoConverge {
        NoConverge { is_of_way: false, failure }
    }
}

/// A server whose files are compared with those of its image.
struct Compared {
    server: Identity,
    layers: Vec<PathBuf>,
}

/// `andon_host`: a server that must have a role.
pub struct HostProvider {
    /// The lab, whose servers can be reached.
    pub lab: Lab,
    /// The images that such servers are of.
    pub images: Arc<Images>,
    /// The definitions.
    pub project: Arc<Project>,
    /// The kinds of host resource and check.
    pub schemas: Schemas,
    /// This program, as its own helper.
    pub helper: PathBuf,
    /// The project's secrets.
    pub vault: Arc<Vault>,
    /// What has been bundled, by role: the same for every server.
    pub bundles: Mutex<BTreeMap<String, Bundled>>,
}

/// A role's bundle, and its bytes.
#[derive(Clone)]
pub struct Bundled {
    bundle: Arc<Bundle>,
    bytes: Arc<[u8]>,
}

impl HostProvider {
    fn bundle(&self, role: &str) -> Bundled {
        let mut bundles = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let bundle = bundle(&self.project, [role]);
            Bundled { bytes: bundle.encode().into(), bundle: Arc::new(bundle) }
        };
        bundles.entry(role.to_owned()).or_insert_with(made).clone()
    }

    /// The secrets that a role reads with these parameters.
    fn secrets(&self, bundle: &Bundle, role: &str, params: &Value) -> Result<Secrets, Failure> {
        secrets_of(bundle, role, params, &self.vault).map_err(|diagnostics| {
            Failure::new(format!("role `{role}` cannot be evaluated"), lines(&diagnostics, bundle.sources()))
        })
    }

    fn converge(
        &self,
        task: Task,
        config: &Value,
        connection: &Value,
        say: &dyn Fn(&str),
    ) -> Result<AgentReply, NoConverge> {
        let target = connection::target(connection, Some(&self.lab), false)?;
        let role = role_of(config)?;
        let failed = |detail: String| Failure::new(format!("role `{role}` could not be converged"), detail);
        let (Bundled { bundle, bytes }, params) = (self.bundle(&role), params(config));
        let secrets = self.secrets(&bundle, &role, &params)?;
        let request =
            AgentRequest { task, bundle: bytes, params, role: role.clone(), secrets, run: String::new(), part: None };
        let reply =
            run_agent(&target, &self.helper, &request.encode(), &mut Contact::to_the_end(&mut |line| say(line)))
                .map_err(|error| match (&target, &error) {
                    (Target::Ssh(_), ReachError::Connect { said, .. }) => {
                        let is_of_way = ["refused", "timed out", "No route", "closed by", "reset by"]
                            .iter()
                            .any(|word| said.contains(word));
                        NoConverge { is_of_way, failure: error.failure() }
                    }
                    (Target::Ssh(_), _) => error.failure().into(),
                    _ => failed(error.to_string()).into(),
                })?;
        AgentReply::decode(&reply).map_err(|said| failed(said).into())
    }

    /// The converge, again and again while a server that may have just been made does not answer yet.
    fn converge_patiently(
        &self,
        config: &Value,
        connection: &Value,
        say: &dyn Fn(&str),
    ) -> Result<AgentReply, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = false;
        loop {
            match self.converge(Task::Apply, config, connection, say) {
                Err(failure) if failure.is_of_way && Instant::now() < deadline => {
                    if !std::mem::replace(&mut said, true) {
                        say("waiting for the server to answer");
                    }
                    std::thread::sleep(PAUSE);
                }
                other => return other.map_err(|failure| failure.failure),
            }
        }
    }

    /// Whether it is a server of the lab that does not run.
    fn is_stopped(&self, connection: &Value) -> bool {
        let identity = connection.get_str("identity").filter(|_| connection.get_str("kind") == Some("lab"));
        identity.and_then(Identity::parse).is_some_and(|identity| self.lab.is_stopped(&identity))
    }

    /// What the role would do on a server that is not there yet, as far as its parameters tell.
    fn foresee(&self, config: &Value) -> Result<HostReport, Failure> {
        let role = role_of(config)?;
        let roles = Roles::of(&self.project, &self.schemas);
        let params = params(config);
        let foreseen = predict(roles, &role, &params, &Value::UNKNOWN).map_err(|found| {
            let found = without_params(found, &self.bundle(&role).bundle, &role, &params);
            Failure::new(format!("role `{role}` cannot be evaluated"), lines(&found, roles.sources))
        })?;
        let planned = |address: String, origin: &str, status: EntryStatus| HostEntry {
            address,
            origin: origin.to_owned(),
            change: Change::Create,
            differences: Vec::new(),
            diff: None,
            status,
        };
        let sure = foreseen.catalog.resources.iter().filter(|resource| !resource.absent).map(|resource| {
            planned(format!("{} \"{}\"", resource.kind, resource.name), &resource.origin, EntryStatus::Planned)
        });
        let unsure = foreseen.undecided.iter().map(|undecided| {
            planned(undecided.address.clone(), &undecided.origin, EntryStatus::Skipped(undecided.reason.clone()))
        });
        Ok(HostReport { entries: sure.chain(unsure).collect(), ..HostReport::default() })
    }

    /// The server that a connection leads to, and the layers of its image, where files that are not as there are drift.
    fn compared(&self, connection: &Value) -> Option<Compared> {
        let identity = connection.get_str("identity").filter(|_| connection.get_str("kind") == Some("lab"));
        let server = identity.and_then(Identity::parse)?;
        let image = Digest::parse(&self.lab.compared_with(&server)?)?;
        // An image that was pruned cannot be compared with, now or later.
        let layers = self.images.lower_dirs(&image).ok()?;
        Some(Compared { server, layers })
    }

    /// Has what a converge changed count as the server's own: its role says what is drift there.
    fn adopt(&self, compared: &Compared, before: &FilesSeen, say: &dyn Fn(&str)) {
        if let Err(failure) = self.lab.adopt_files(&compared.server, &compared.layers, &WRITTEN, before) {
            say(&failure.to_string());
        }
    }

    fn make(&self, request: &Request<'_>) -> Outcome {
        let connection = request.config.get("connection").cloned().unwrap_or(Value::NULL);
        let before = self.compared(&connection).and_then(|compared| {
            let seen = self.lab.look_at_files(&compared.server, &compared.layers, &WRITTEN).ok()?;
            Some((compared, seen))
        });
        let converged = self.converge_patiently(request.config, &connection, request.say);
        // Also what a converge did that came to no good end.
        if let Some((compared, seen)) = before {
            self.adopt(&compared, &seen, request.say);
        }
        match converged {
            Err(failure) => Outcome::failed(failure, request.prior.cloned(), None),
            Ok(AgentReply { report, .. }) if report.has_failed() => {
                let role = role_of(request.config).unwrap_or_default();
                let failure = Failure::new(format!("role `{role}` did not come about"), what_failed(&report));
                // What was done stays done; the next plan looks at the server again.
                Outcome::failed(failure, request.prior.cloned(), Some(report))
            }
            Ok(AgentReply { report, catalog }) => {
                let value = described(request.config, catalog.into());
                Outcome::done(Some(value), Some(report))
            }
        }
    }
}

/// The schemas of its resource types, by name.
pub fn schemas() -> BTreeMap<String, TypeSchema> {
    let attributes = [
        ("connection", Attribute::required(Type::Dynamic, "How the server is reached: a `connection` of a server.")),
        ("role", Attribute::optional(Type::String, "The role that it must have.")),
        (
            "roles",
            Attribute::optional(
                Type::list(Type::String),
                "The roles that it must have, in this order, instead of `role`: as one that inherits each of them.",
            ),
        ),
        ("params", Attribute::optional(Type::Dynamic, "Values of the parameters of its roles.")),
        ("catalog", Attribute::computed(Type::String, "A digest of all that the server must have.")),
    ];
    one_type("andon_host", "A server that must have a role: converged, and checked.", attributes)
}

impl Provider for HostProvider {
    fn schemas(&self) -> BTreeMap<String, TypeSchema> {
        schemas()
    }

    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure> {
        let config = request.config;
        let connection = config.get("connection").cloned().unwrap_or(Value::NULL);
        let is_known = |name: &str| config.get(name).is_none_or(Value::is_wholly_known);
        let undecided = Value::unknown(Type::String);
        if !is_known("role") || !is_known("roles") {
            return Ok(Planned { value: described(config, undecided), replace: Vec::new(), report: None });
        }
        if !is_known("connection") || !is_known("params") {
            let report = Some(self.foresee(config)?);
            return Ok(Planned { value: described(config, undecided), replace: Vec::new(), report });
        }
        if let Some(prior) = request.prior.filter(|_| self.is_stopped(&connection)) {
            // Nothing can be seen of it; that it does not run is the server's to say.
            return Ok(Planned { value: prior.clone(), replace: Vec::new(), report: None });
        }
        let AgentReply { report, catalog } =
            (self.converge(Task::Plan, config, &connection, request.say)).map_err(|no_converge| no_converge.failure)?;
        let as_it_was = request.prior.is_some_and(|prior| {
            ["connection", "role", "roles", "params"].iter().all(|name| same(prior.get(name), config.get(name)))
                && prior.get_str("catalog") == Some(&*catalog)
        });
        let value = match (as_it_was && report.is_clean(), request.prior) {
            (true, Some(prior)) => prior.clone(),
            _ => described(config, catalog.into()),
        };
        let report = (!report.is_clean()).then_some(report);
        Ok(Planned { value, replace: Vec::new(), report })
    }

    fn read(&self, _: &InstanceAddress, _: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        // What is inside the server is looked at when the change is planned.
        Ok(Some(prior.clone()))
    }

    fn create(&self, request: &Request<'_>, _: &Value) -> Outcome {
        self.make(request)
    }

    fn update(&self, request: &Request<'_>, _: &Value) -> Outcome {
        self.make(request)
    }

    fn delete(&self, _: &InstanceAddress, _: &Identity, _: &Value, _: &dyn Fn(&str)) -> Outcome {
        // What a role made stays in the server, as what a role does not mention is not touched.
        Outcome::done(None, None)
    }

    fn resolve(&self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure> {
        // A converge that was cut short is simply done again: it observes before it acts.
        Ok(match (intent.action, object) {
            (Action::Update, Some(object)) => Found::There(object.value.clone()),
            _ => Found::Absent,
        })
    }
}

fn params(config: &Value) -> Value {
    config.get("params").filter(|params| !params.is_null()).cloned().unwrap_or_else(|| Value::object::<&str>([]))
}

/// The role that a server must have, or all of them as one.
fn role_of(config: &Value) -> Result<String, Failure> {
    let name = crate::hosts::roles_of(config).filter(|name| !name.is_empty());
    name.ok_or_else(|| Failure::new("the server has no role", "Neither `role` nor `roles` names one."))
}

fn same(left: Option<&Value>, right: Option<&Value>) -> bool {
    left.unwrap_or(&Value::NULL) == right.unwrap_or(&Value::NULL)
}

fn described(config: &Value, catalog: Value) -> Value {
    let given = |name: &str| config.get(name).cloned().unwrap_or(Value::NULL);
    Value::object([
        ("connection", given("connection")),
        ("role", given("role")),
        ("roles", given("roles")),
        ("params", given("params")),
        ("catalog", catalog),
    ])
}
