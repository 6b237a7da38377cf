use std::collections::BTreeMap;
use std::sync::Arc;

use andon_image::{Digest, RecipeKey};
use andon_ledger::{Action, Intent};
use andon_schema::{Attribute, Failure, Identity, InstanceAddress, Object, Outcome, TypeSchema};
use andon_value::{Type, Value};

use super::{Planned, Provider, Request, one_type};
use crate::Found;
use crate::agent::Ways;
use crate::baking::{Baker, not_baked};

/// `andon_image`: bakes an image of the project's definitions.
pub struct ImageProvider(pub Arc<Baker>);

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
        let prepared = self.0.prepare(name).map_err(|failure| failure.about("definition"))?;
        let prior = |attribute| request.prior.and_then(|prior| prior.get_str(attribute));
        let same = prior("recipe") == Some(prepared.key.as_str());
        let digest = match self.0.images.known(&prepared.key) {
            Some(digest) => Value::from(digest.as_str()),
            // The image was deleted from the cache and another may be baked in its place.
            None if same => prior("digest").map_or(Value::unknown(Type::String), Value::from),
            None => Value::unknown(Type::String),
        };
        Ok(Planned { value: described(name, &prepared.key, digest), replace: Vec::new(), report: None })
    }

    fn read(&self, _: &InstanceAddress, _: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        let digest = prior.get_str("digest").and_then(Digest::parse);
        Ok(digest.is_some_and(|digest| self.0.images.has(&digest)).then(|| prior.clone()))
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
        self.0.images.sweep()?;
        Ok(match (intent.action, object) {
            (Action::Update, Some(object)) => Found::There(object.value.clone()),
            _ => Found::Absent,
        })
    }
}

impl ImageProvider {
    fn make(&self, request: &Request<'_>, prior: Option<Value>) -> Outcome {
        let name = request.config.get_str("definition").unwrap_or_default();
        let made = self.0.prepare(name).map_err(not_baked).and_then(|prepared| {
            let Some(identity) = request.identity else {
                return Err(not_baked(Failure::new("the image has no identity", "The ledger must name it first.")));
            };
            let (digest, report) = self.0.bake(
                &prepared,
                identity,
                &mut Ways { say: &mut |line| (request.say)(line), go_on: &|| !self.0.images.is_interrupted() },
            )?;
            // From before the ledger says so, so that nothing removes it in between.
            self.0.images.refer(&self.0.owner(), &digest).map_err(not_baked)?;
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
