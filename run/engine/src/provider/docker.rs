use std::collections::BTreeMap;

use andon_docker::{Docker, Found as InEngine};
use andon_ledger::{Action, Intent};
use andon_schema::{Failure, Identity, InstanceAddress, Object, Outcome, TypeSchema};
use andon_value::Value;

use super::{Planned, Provider, Request, nameless, plain_outcome};
use crate::Found;

/// `docker_server`: a container of Docker or Podman as a server.
pub struct DockerProvider(pub Docker);

impl Provider for DockerProvider {
    fn schemas(&self) -> BTreeMap<String, TypeSchema> {
        Docker::schemas()
    }

    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure> {
        let (value, replace) = self.0.plan(request.prior, request.config)?;
        Ok(Planned { value, replace, report: None })
    }

    fn read(&self, _: &InstanceAddress, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        self.0.read(identity, prior)
    }

    fn create(&self, request: &Request<'_>, planned: &Value) -> Outcome {
        let Some(identity) = request.identity else { return nameless() };
        plain_outcome(self.0.create(identity, planned, request.say).map(Some))
    }

    fn update(&self, request: &Request<'_>, planned: &Value) -> Outcome {
        let (Some(identity), Some(prior)) = (request.identity, request.prior) else { return nameless() };
        plain_outcome(self.0.update(identity, prior, planned).map(Some))
    }

    fn delete(&self, _: &InstanceAddress, identity: &Identity, prior: &Value, _: &dyn Fn(&str)) -> Outcome {
        let deleted = self.0.delete(identity, prior).map(|()| None);
        plain_outcome(deleted.map_err(|failure| (failure, Some(prior.clone()))))
    }

    fn resolve(&self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure> {
        let identity = &intent.identity;
        match (intent.action, object) {
            // One whose making was cut short may lack anything: it is made once more.
            (Action::Create, _) => {
                let asked = &intent.planned.clone().unwrap_or(Value::NULL);
                if self.0.resolve(identity, asked)? == InEngine::Partial {
                    self.0.delete(identity, asked)?;
                }
                Ok(Found::Absent)
            }
            (Action::Delete, Some(object)) => self.0.delete(identity, &object.value).map(|()| Found::Absent),
            (Action::Update, Some(object)) => {
                Ok(self.0.read(identity, &object.value)?.map_or(Found::Absent, Found::There))
            }
            (Action::Delete | Action::Update, None) => Ok(Found::Absent),
        }
    }
}
