use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use andon_image::{Bake, Base, Digest, Images, RecipeKey, Source};
use andon_lang::definitions::Project;
use andon_lang::{Recipe, bundle};
use andon_ledger::{Action, Intent};
use andon_reach::{Contact, Target, run_agent};
use andon_schema::{
    Attribute, Failure, HostReport, Identity, InstanceAddress, Object, Outcome, Schemas, Secrets, TypeSchema,
};
use andon_value::{Type, Value};

use super::{Planned, Provider, Request, one_type, what_failed};
use crate::Found;
use crate::agent::{AgentReply, AgentRequest, Task, lines};

/// `andon_image`: bakes an image of the project's definitions.
pub struct ImageProvider {
    /// Where images are kept.
    pub images: Arc<Images>,
    /// The definitions.
    pub project: Arc<Project>,
    /// The project's directory, which paths in `from` start at.
    pub directory: PathBuf,
    /// The kinds of host resource and check.
    pub schemas: Schemas,
    /// This program, as its own helper.
    pub helper: PathBuf,
}

/// What an image is made from, and how that is known again.
struct Prepared {
    recipe: Recipe,
    key: RecipeKey,
    parent: Parent,
}

enum Parent {
    Source(Source),
    Image(Box<Prepared>),
}

/// Why an image was not baked, and what was done until then.
type NotBaked = Box<(Failure, Option<HostReport>)>;

fn not_baked(failure: Failure) -> NotBaked {
    Box::new((failure, None))
}

impl ImageProvider {
    /// Evaluates an image's definition, and those of the images that it is made from.
    fn prepare(&self, name: &str) -> Result<Prepared, Failure> {
        let recipe = andon_lang::image_recipe(&self.project, name, &self.schemas).map_err(|diagnostics| {
            Failure::new(format!("the image `{name}` cannot be evaluated"), lines(&diagnostics, &self.project.sources))
        })?;
        let source = Source::parse(&recipe.from, &self.directory)?;
        let (parent, from) = match source {
            Source::Image(parent) => {
                let parent = self.prepare(&parent)?;
                let from = parent.key.as_str().to_owned();
                (Parent::Image(Box::new(parent)), from)
            }
            source => (Parent::Source(source), recipe.from.clone()),
        };
        let key = RecipeKey::of([from.as_bytes(), recipe.key.as_bytes()]);
        Ok(Prepared { recipe, key, parent })
    }

    /// The image of a recipe, baked where it is not there yet.
    fn bake(
        &self,
        prepared: &Prepared,
        identity: &Identity,
        say: &dyn Fn(&str),
    ) -> Result<(Digest, Option<HostReport>), NotBaked> {
        if let Some(digest) = self.images.known(&prepared.key) {
            return Ok((digest, None));
        }
        let parent = match &prepared.parent {
            Parent::Image(parent) => self.bake(parent, identity, say)?.0,
            Parent::Source(source) => {
                let Base { digest, .. } = self.images.base(source, say).map_err(not_baked)?;
                digest
            }
        };
        let bake = self.images.begin(identity, &parent).map_err(not_baked)?;
        let mut report = HostReport::default();
        for role in &prepared.recipe.roles {
            let reply = self.converge(&bake, role, &prepared.recipe, say).map_err(not_baked)?;
            let failed = reply.report.has_failed();
            report.entries.extend(reply.report.entries);
            if failed {
                report.stopped = reply.report.stopped;
                let reason = match &*what_failed(&report) {
                    "" => format!("Role `{role}` could not be applied."),
                    reason => reason.to_owned(),
                };
                let name = &prepared.recipe.name;
                let failure = Failure::new(format!("the image `{name}` was not baked"), reason);
                return Err(Box::new((failure, Some(report))));
            }
        }
        say("computing the image's digest");
        let digest = bake.commit(&prepared.key).map_err(|failure| Box::new((failure, Some(report.clone()))))?;
        Ok((digest, Some(report)))
    }

    fn converge(&self, bake: &Bake, role: &str, recipe: &Recipe, say: &dyn Fn(&str)) -> Result<AgentReply, Failure> {
        let target = Target::Root { lower: bake.lower().to_vec(), upper: bake.upper(), work: bake.work() };
        let params = recipe.params_of(role);
        let bundle = bundle(&self.project, [role]).encode().into();
        let secrets = Secrets::new();
        let request =
            AgentRequest { task: Task::Bake, role: role.to_owned(), params, bundle, secrets, run: String::new() };
        let failed = |detail: String| Failure::new(format!("role `{role}` could not be baked"), detail);
        let reply =
            run_agent(&target, &self.helper, &request.encode(), &mut Contact::to_the_end(&mut |line| say(line)))
                .map_err(|error| failed(error.to_string()))?;
        AgentReply::decode(&reply).map_err(failed)
    }
}

/// The schemas of its resource types, by name.
pub fn schemas() -> BTreeMap<String, TypeSchema> {
    let attributes = [
        ("definition", Attribute::required(Type::String, "The name of an `image` of the project.")),
        ("recipe", Attribute::computed(Type::String, "A digest of all that the image is made from.")),
        ("digest", Attribute::computed(Type::String, "A digest of the image's content, which changes when that does.")),
    ];
    one_type("andon_image", "Bakes an image: a root file system with its roles applied.", attributes)
}

impl Provider for ImageProvider {
    fn schemas(&self) -> BTreeMap<String, TypeSchema> {
        schemas()
    }

    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure> {
        let definition = request.config.get("definition").cloned().unwrap_or(Value::NULL);
        let Some(name) = definition.as_str() else {
            let unknown = || Value::unknown(Type::String);
            let value = Value::object([("definition", definition), ("recipe", unknown()), ("digest", unknown())]);
            return Ok(Planned { value, replace: Vec::new(), report: None });
        };
        let prepared = self.prepare(name)?;
        let prior = |attribute| request.prior.and_then(|prior| prior.get_str(attribute));
        let same = prior("recipe") == Some(prepared.key.as_str());
        let digest = match self.images.known(&prepared.key) {
            Some(digest) => Value::from(digest.as_str()),
            // The image was deleted from the cache and another may be baked in its place.
            None if same => prior("digest").map_or(Value::unknown(Type::String), Value::from),
            None => Value::unknown(Type::String),
        };
        Ok(Planned { value: described(name, &prepared.key, digest), replace: Vec::new(), report: None })
    }

    fn read(&self, _: &InstanceAddress, _: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        let digest = prior.get_str("digest").and_then(Digest::parse);
        Ok(digest.is_some_and(|digest| self.images.has(&digest)).then(|| prior.clone()))
    }

    fn create(&self, request: &Request<'_>, _: &Value) -> Outcome {
        self.make(request, None)
    }

    fn update(&self, request: &Request<'_>, _: &Value) -> Outcome {
        self.make(request, request.prior.cloned())
    }

    fn delete(&self, _: &InstanceAddress, _: &Identity, _: &Value, _: &dyn Fn(&str)) -> Outcome {
        // The image stays in the cache, where the next bake of the same recipe finds it; `andon down --purge` empties it.
        Outcome::done(None, None)
    }

    fn resolve(&self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure> {
        // A bake that was cut short has left nothing but a directory that its lock names as dead.
        self.images.sweep()?;
        Ok(match (intent.action, object) {
            (Action::Update, Some(object)) => Found::There(object.value.clone()),
            _ => Found::Absent,
        })
    }
}

impl ImageProvider {
    fn make(&self, request: &Request<'_>, prior: Option<Value>) -> Outcome {
        let name = request.config.get_str("definition").unwrap_or_default();
        let made = self.prepare(name).map_err(not_baked).and_then(|prepared| {
            let Some(identity) = request.identity else {
                return Err(not_baked(Failure::new("the image has no identity", "The ledger must name it first.")));
            };
            let (digest, report) = self.bake(&prepared, identity, request.say)?;
            Ok((described(name, &prepared.key, digest.as_str().into()), report))
        });
        match made {
            Ok((value, report)) => Outcome::done(Some(value), report),
            Err(reasons) => {
                let (failure, report) = *reasons;
                Outcome::failed(failure, prior, report)
            }
        }
    }
}

fn described(name: &str, key: &RecipeKey, digest: Value) -> Value {
    Value::object([("definition", name.into()), ("recipe", key.as_str().into()), ("digest", digest)])
}
