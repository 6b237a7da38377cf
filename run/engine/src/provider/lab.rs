use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use andon_image::{Digest, Source};
use andon_lab::{CreateExtra, Found as InLab, Lab, Made};
use andon_ledger::{Action, Intent};
use andon_schema::{Failure, Identity, InstanceAddress, Object, Outcome, TypeSchema};
use andon_value::Value;

use super::lab_place;
use super::names::Names;
use super::newborn::{Demands, Newborns, STOPPED_AGAIN, THROWN_AWAY, runs};
use super::pool::{Drive, with_fault};
use super::{Planned, Provider, Request, nameless, plain_outcome};
use crate::Found;
use crate::baking::Baker;

const SERVER: &str = "lab_server";

/// `lab_network`, `lab_server` and `lab_balancer`: infrastructure on this machine.
#[derive(Clone)]
pub struct LabProvider {
    /// The lab.
    pub lab: Lab,
    /// The images that servers start from, and how they were baked.
    pub baker: Arc<Baker>,
    /// Whose the objects are: the project's directory. What the lab holds of this owner and no ledger knows is swept.
    pub owner: String,
    /// The environment at work, whose names are its own; `None` where nothing is made or changed.
    pub environment: Option<Arc<str>>,
    /// Which names the servers of the environment have.
    pub names: Arc<Names>,
    /// Whether the user asks for an end.
    pub interrupt: Arc<AtomicBool>,
}

const POOL: &str = "lab_pool";

impl LabProvider {
    /// The same, at work in one environment.
    pub fn in_environment(&self, environment: &Arc<str>) -> LabProvider {
        LabProvider { environment: Some(Arc::clone(environment)), names: Arc::default(), ..self.clone() }
    }

    /// The layers of a server's image, the topmost first; none for what is no server.
    fn extra(&self, kind: &str, planned: &Value, is_new: bool) -> Result<CreateExtra, Failure> {
        let environment = self.environment.as_deref().map(str::to_owned);
        let mut extra = CreateExtra { owner: self.owner.clone(), environment, ..CreateExtra::default() };
        if kind == SERVER {
            let digest = image(planned.get_str("image").unwrap_or_default())?;
            extra.lower_dirs = self.baker.images.lower_dirs(&digest)?;
            if planned.get("vm").and_then(Value::as_bool) == Some(true) {
                // To write a disk takes a while.
                if is_new {
                    self.lab.check_image(planned, &extra.lower_dirs)?;
                }
                extra.disk = Some(self.baker.images.disk(&digest)?);
            }
        }
        Ok(extra)
    }
}

impl LabProvider {
    /// A planned server with the image that what is installed on this machine gives, where it is to be made of that.
    fn on_host(&self, kind: &str, planned: &Value, say: &dyn Fn(&str)) -> Result<Value, Failure> {
        let is_image_open = planned.get("image").is_some_and(|image| image.is_unknown() || image.is_null());
        if kind != SERVER || planned.get_str("on_host").is_none() || !is_image_open {
            return Ok(planned.clone());
        }
        let images = &self.baker.images;
        let base = images.base(&Source::HostSettings, say)?;
        // From before the lab's record says so, so that nothing removes it in between.
        images.refer(&self.baker.owner(), &base.digest)?;
        let mut attributes = planned.as_entries().map(|entries| (**entries).clone()).unwrap_or_default();
        attributes.insert("image".into(), base.digest.as_str().into());
        Ok(Value::object(attributes))
    }

    /// Takes a pool to what is planned, step by step.
    fn drive(
        &self,
        request: &Request<'_>,
        identity: &Identity,
        planned: &Value,
        is_new: bool,
    ) -> Result<Value, Failure> {
        let session = self.lab.pool(identity)?;
        Drive {
            session,
            images: &self.baker.images,
            newborns: self.newborns(),
            planned,
            say: request.say,
            interrupt: &self.interrupt,
            is_new,
        }
        .run()
    }

    fn create_pool(&self, request: &Request<'_>, identity: &Identity, planned: &Value) -> Outcome {
        let extra = CreateExtra { owner: self.owner.clone(), ..CreateExtra::default() };
        let made = self.lab.create(POOL, identity, planned, &extra);
        let made = made.and_then(|made| {
            self.drive(request, identity, planned, true).map_err(|failure| {
                let left = self.lab.delete(POOL, identity).err().map(|_| made.value);
                (failure, left)
            })
        });
        plain_outcome(made.map(Some))
    }

    fn update_pool(&self, request: &Request<'_>, identity: &Identity, prior: &Value, planned: &Value) -> Outcome {
        let driven = self.drive(request, identity, planned, false).map(Some);
        plain_outcome(driven.map_err(|failure| {
            let now = self.read_now(POOL, identity, prior);
            (failure, now.unwrap_or_else(|_| Some(prior.clone())))
        }))
    }
}

impl LabProvider {
    /// An object as it is; of a pool, what the lab cannot know of it included.
    fn read_now(&self, kind: &str, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        let now = self.lab.read(kind, identity, prior)?;
        Ok(if kind == POOL { now.map(|now| with_fault(&self.lab, identity, now)) } else { now })
    }

    /// Fails where an image is not on this machine.
    fn is_here(&self, digest: &Digest) -> Result<(), Failure> {
        let Err(Failure { summary, detail, .. }) = self.baker.images.stack(digest) else { return Ok(()) };
        Err(Failure::new(summary, detail)
            .help("Give it the `digest` of an `andon_image`, which makes its image anew where that is gone."))
    }

    /// What tests new servers.
    fn newborns(&self) -> Newborns<'_> {
        Newborns { lab: &self.lab, baker: &self.baker }
    }
}

impl Provider for LabProvider {
    fn schemas(&self) -> BTreeMap<String, TypeSchema> {
        Lab::schemas()
    }

    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure> {
        let kind = &request.address.resource.kind;
        let (value, replace) = self.lab.plan(kind, request.prior, request.config)?;
        self.names.take(request.address, &value)?;
        if [SERVER, POOL].contains(&&**kind) {
            let digest = value.get_str("image").map(image).transpose()?;
            let before = request.prior.and_then(|prior| prior.get_str("image"));
            // What there is would go, and nothing come.
            let other = digest.filter(|digest| before.is_some_and(|before| before != digest.as_str()));
            other.map_or(Ok(()), |digest| self.is_here(&digest))?;
        }
        let staying = request.prior.filter(|_| replace.is_empty());
        self.lab.check_here(kind, (&self.owner, self.environment.as_deref()), staying, &value)?;
        if let Some(prior) = request.prior.filter(|_| !replace.is_empty()) {
            let checked = self.lab.check_replacement(kind, prior);
            checked.map_err(|failure| replace.iter().take(1).fold(failure, |it, name| it.about(name)))?;
        }
        if &**kind == SERVER && value.get_str("on_host").is_some() && request.prior.is_none() {
            // A machine that cannot be a base says so before anything is made.
            self.baker.images.known_base(&Source::HostSettings).map_err(|failure| failure.about("on_host"))?;
        }
        if request.prior.is_none() || !replace.is_empty() {
            self.lab.check_machine(kind, &value)?;
        }
        Ok(Planned { value, replace, report: None })
    }

    fn read(&self, address: &InstanceAddress, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        self.read_now(&address.resource.kind, identity, prior)
    }

    fn create(&self, request: &Request<'_>, planned: &Value) -> Outcome {
        let kind = &*request.address.resource.kind;
        let Some(identity) = request.identity else { return nameless() };
        let remembered = lab_place::remember(Path::new(&self.owner), &self.lab);
        if let Err(failure) = self.names.take(request.address, planned).and(remembered) {
            return plain_outcome(Err((failure, None)));
        }
        self.names.made(request.address, identity);
        if kind == POOL {
            return self.create_pool(request, identity, planned);
        }
        let planned = match self.on_host(kind, planned, request.say) {
            Ok(planned) => planned,
            Err(failure) => return plain_outcome(Err((failure, None))),
        };
        let planned = &planned;
        let made = self.extra(kind, planned, true).map_err(|failure| (failure, None)).and_then(|extra| match kind {
            SERVER => {
                let make = || self.lab.create(SERVER, identity, planned, &extra);
                let discard = || self.lab.delete(SERVER, identity);
                self.newborns().raise(planned, &make, &discard, THROWN_AWAY, request.say)
            }
            kind => self.lab.create(kind, identity, planned, &extra),
        });
        finished(made, request)
    }

    fn update(&self, request: &Request<'_>, planned: &Value) -> Outcome {
        let (Some(identity), Some(prior)) = (request.identity, request.prior) else { return nameless() };
        let kind = &*request.address.resource.kind;
        if kind == POOL {
            return self.update_pool(request, identity, prior, planned);
        }
        let made =
            self.extra(kind, planned, false).map_err(|failure| (failure, Some(prior.clone()))).and_then(|extra| {
                let make = || self.lab.update(kind, identity, prior, planned, &extra);
                match kind {
                    // One that was made without being started is only now a new one.
                    SERVER if runs(planned) && self.lab.is_new(identity) => {
                        let discard = || self.lab.discard_start(identity);
                        let raised = self.newborns().raise(planned, &make, &discard, STOPPED_AGAIN, request.say);
                        raised.map_err(|(failure, left)| {
                            let now = || self.lab.read(SERVER, identity, prior).unwrap_or_else(|_| Some(prior.clone()));
                            (failure, left.or_else(now))
                        })
                    }
                    SERVER => make().map(|made| self.newborns().as_made(made)),
                    _ => make(),
                }
            });
        finished(made, request)
    }

    fn delete(&self, address: &InstanceAddress, identity: &Identity, prior: &Value, _: &dyn Fn(&str)) -> Outcome {
        let kind = &*address.resource.kind;
        let deleted = self.lab.delete(kind, identity).map(|()| None);
        if deleted.is_ok() {
            self.names.release(address, identity);
        }
        plain_outcome(deleted.map_err(|failure| {
            // What could not be removed wholly may be half there: it stays known, and is deleted by the next apply.
            (failure, Some(prior.clone()))
        }))
    }

    fn resolve(&self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure> {
        let (kind, identity) = (&*intent.address.resource.kind, &intent.identity);
        match (intent.action, object) {
            (Action::Create, _) => match self.lab.resolve(kind, identity)? {
                // Whoever was to test it did not come to its end.
                InLab::Complete(value)
                    if kind == SERVER && !matches!(self.newborns().faults(&value, &Demands::of(&value)), Ok(None)) =>
                {
                    self.lab.delete(kind, identity).map(|()| Found::Absent)
                }
                InLab::Complete(value) if kind == SERVER => {
                    Ok(Found::There(self.newborns().as_made(Made { value, notes: Vec::new() }).value))
                }
                InLab::Complete(value) => Ok(Found::There(value)),
                InLab::Partial => self.lab.delete(kind, identity).map(|()| Found::Absent),
                InLab::Absent => Ok(Found::Absent),
            },
            // A delete that began is brought to its end: what is left of the object may be of no use.
            (Action::Delete, _) => self.lab.delete(kind, identity).map(|()| Found::Absent),
            (Action::Update, Some(object)) => {
                let read = || self.read_now(kind, identity, &object.value);
                let now = match read()? {
                    // Whoever was to test it did not come to its end.
                    Some(now) if kind == SERVER && runs(&now) && self.lab.is_new(identity) => {
                        if matches!(self.newborns().faults(&now, &Demands::of(&now)), Ok(None)) {
                            Some(self.newborns().as_made(Made { value: now, notes: Vec::new() }).value)
                        } else {
                            self.lab.discard_start(identity)?;
                            read()?
                        }
                    }
                    now => now,
                };
                Ok(now.map_or(Found::Absent, Found::There))
            }
            (Action::Update, None) => Ok(Found::Absent),
        }
    }
}

fn finished(made: Result<Made, (Failure, Option<Value>)>, request: &Request<'_>) -> Outcome {
    plain_outcome(made.map(|made| {
        made.notes.iter().for_each(|note| (request.say)(note));
        Some(made.value)
    }))
}

/// The digest by which a server names its image.
fn image(text: &str) -> Result<Digest, Failure> {
    Digest::parse(text).ok_or_else(|| {
        Failure::new(format!("`{text}` is no image"), "A server's image is a digest such as sha256:….")
            .help("Give it the `digest` of an `andon_image`.")
            .about("image")
    })
}
