use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use andon_docker::{Docker, Found as InEngine};
use andon_fleet::smoke::unreached;
use andon_ledger::{Action, Intent};
use andon_reach::Target;
use andon_schema::{Failure, Identity, InstanceAddress, Object, Outcome, TypeSchema};
use andon_value::Value;

use super::newborn::Demands;
use super::{Planned, Provider, Request, nameless, plain_outcome};
use crate::Found;

/// How long a port may take to take a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// `docker_server`: a container of Docker or Podman as a server.
pub struct DockerProvider {
    /// The engines.
    pub docker: Docker,
    /// This program, as its own helper.
    pub helper: PathBuf,
}

impl DockerProvider {
    /// A container that is what its definition says of a new one; one that is not is removed.
    fn raise(
        &self,
        identity: &Identity,
        planned: &Value,
        say: &dyn Fn(&str),
    ) -> Result<Value, (Failure, Option<Value>)> {
        let made = self.docker.create(identity, planned, say)?;
        let name = planned.get_str("name").unwrap_or_default();
        let failure = match self.faults(&made, &Demands::of(planned), say) {
            Ok(faults) if faults.is_empty() => return Ok(made),
            Ok(faults) => Failure::new(format!("the new server `{name}` is not what it must be"), faults.join("\n"))
                .help(
                    "It was removed. To have a look at such a server, make it with `smoke_test { enabled = false }`.",
                ),
            Err(failure) => failure,
        };
        Err(match self.docker.delete(identity, &made) {
            Ok(()) => (failure, None),
            Err(other) => (failure.help(format!("What was made could not be removed: {other}")), Some(made)),
        })
    }

    /// What is wrong with a container that was just made, a sentence each.
    fn faults(&self, made: &Value, demands: &Demands, say: &dyn Fn(&str)) -> Result<Vec<String>, Failure> {
        let Some(expected) = demands.expected() else { return Ok(Vec::new()) };
        let Some(init) = self.docker.init_here(made.get("connection").unwrap_or(&Value::NULL))? else {
            say("not tested, as it runs on another machine");
            return Ok(Vec::new());
        };
        let target = Target::server(init)
            .map_err(|error| Failure::new("the new server cannot be reached", error.to_string()))?;
        let ports = expected.ports.iter().flatten().filter(|port| !port.udp && demands.is_to_answer());
        let ports: Vec<u16> = ports.map(|port| port.number).collect();
        let is_closed = |port: &&u16| {
            let ways = self.docker.published(made, **port);
            ways.iter().any(|way| TcpStream::connect_timeout(way, CONNECT).is_err())
        };
        let around = || Ok(unreached(true, &ports.iter().filter(is_closed).copied().collect::<Vec<_>>()));
        demands.smoke_test(&target, &self.helper, &around)
    }
}

impl Provider for DockerProvider {
    fn schemas(&self) -> BTreeMap<String, TypeSchema> {
        Docker::schemas()
    }

    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure> {
        let (value, replace) = self.docker.plan(request.prior, request.config)?;
        Ok(Planned { value, replace, report: None })
    }

    fn read(&self, _: &InstanceAddress, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        self.docker.read(identity, prior)
    }

    fn create(&self, request: &Request<'_>, planned: &Value) -> Outcome {
        let Some(identity) = request.identity else { return nameless() };
        plain_outcome(self.raise(identity, planned, request.say).map(Some))
    }

    fn update(&self, request: &Request<'_>, planned: &Value) -> Outcome {
        let (Some(identity), Some(prior)) = (request.identity, request.prior) else { return nameless() };
        plain_outcome(self.docker.update(identity, prior, planned).map(Some))
    }

    fn prepare(&self, planned: &Value, say: &dyn Fn(&str)) -> Result<(), Failure> {
        self.docker.fetch(planned, say)
    }

    fn delete(&self, _: &InstanceAddress, identity: &Identity, prior: &Value, _: &dyn Fn(&str)) -> Outcome {
        let deleted = self.docker.delete(identity, prior).map(|()| None);
        plain_outcome(deleted.map_err(|failure| (failure, Some(prior.clone()))))
    }

    fn resolve(&self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure> {
        let identity = &intent.identity;
        match (intent.action, object) {
            // One whose making was cut short may lack anything: it is made once more.
            (Action::Create, _) => {
                let asked = &intent.planned.clone().unwrap_or(Value::NULL);
                if self.docker.resolve(identity, asked)? == InEngine::Partial {
                    self.docker.delete(identity, asked)?;
                }
                Ok(Found::Absent)
            }
            // One that was to make way may be there because the next one's image was not to be had: it stays.
            (Action::Delete | Action::Update, Some(object)) => {
                Ok(self.docker.read(identity, &object.value)?.map_or(Found::Absent, Found::There))
            }
            (Action::Delete | Action::Update, None) => Ok(Found::Absent),
        }
    }
}
