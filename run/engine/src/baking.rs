//! Bakes images: each role of an image is evaluated for what the layers below it hold, cut into parts, and each part is a
//! layer, which is made only where none was made of the same before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use andon_image::provenance::commit_of;
use andon_image::{Baked, Base, Choice, ContainerConfig, Digest, Fetching, Images, Package, RecipeKey, Source, Stack};
use andon_lang::definitions::Project;
use andon_lang::modules::{LOCK_FILE, Lock, LockedImage};
use andon_lang::{Bundle, Recipe, SecretsAtHand, Server, bundle};
use andon_ledger::State;
use andon_reach::{Contact, Cover, Target, run_agent};
use andon_schema::host::Catalog;
use andon_schema::{Failure, HostReport, Identity, Schemas, Secrets};
use andon_value::{Kind, Marks, Value};
use serde_json::Value as Json;

use crate::agent::{AgentReply, AgentRequest, BakePart, Task, Ways, lines};
use crate::errand::Errand;
use crate::provider::what_failed;
use crate::session::{now, who};

/// What images of a project are baked with.
pub struct Baker {
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
    /// What images are baked with, as the project's lock file has it.
    pub lock: Lock,
    /// Everything is taken as it is to be had now: neither what the lock file says, nor what was baked before.
    pub afresh: bool,
    /// When this run began: what was fetched since is as it is to be had now.
    pub began: SystemTime,
    /// What this run has made afresh: images and bases by what they are made from. Once is enough.
    pub made: Mutex<BTreeMap<String, Digest>>,
}

/// What an image is made from, and how that is known again.
pub struct Prepared {
    /// Its definition, evaluated.
    pub recipe: Recipe,
    /// All that it is made from.
    pub key: RecipeKey,
    /// What is below, by a name that changes with it.
    from: String,
    parent: Parent,
}

enum Parent {
    Source(Source),
    Image(Box<Prepared>),
}

impl Prepared {
    /// The lowest image of the project that it is made over, or itself.
    fn lowest(&self) -> &Prepared {
        match &self.parent {
            Parent::Source(_) => self,
            Parent::Image(parent) => parent.lowest(),
        }
    }

    /// What that is made over.
    fn source(&self) -> Option<&Source> {
        match &self.lowest().parent {
            Parent::Source(source) => Some(source),
            Parent::Image(_) => None,
        }
    }
}

/// Why an image was not baked, and what was done until then.
pub type NotBaked = Box<(Failure, Option<HostReport>)>;

/// Where nothing was done.
pub fn not_baked(failure: Failure) -> NotBaked {
    Box::new((failure, None))
}

/// What the layers of an image have in common.
struct Layers<'a> {
    recipe: &'a Recipe,
    identity: &'a Identity,
    locked: Option<&'a LockedImage>,
    fetching: Fetching<'a>,
}

/// What to do where the lock file cannot be kept to.
const UPDATE: &str = "Take what there is now: `andon bake --update`; or name a mirror that still has these versions, such as \
    one of snapshot.debian.org: set ANDON_DEBIAN_MIRROR.";

/// The same where the base is in a registry.
const UPDATE_TAG: &str = "Take what its tag names now: `andon bake --update`.";

/// One role of an image.
struct Part<'a> {
    role: &'a str,
    params: Value,
    facts: Value,
    /// The role's bundle, for the way.
    bytes: Arc<[u8]>,
}

impl Baker {
    /// Evaluates an image's definition, and those of the images that it is made from.
    pub fn prepare(&self, name: &str) -> Result<Prepared, Failure> {
        let recipe = andon_lang::image_recipe(&self.project, name, &self.schemas).map_err(|diagnostics| {
            Failure::new(format!("the image `{name}` cannot be evaluated"), lines(&diagnostics, &self.project.sources))
        })?;
        let here = |failure: Failure| match self.project.images.get(name) {
            Some(image) => {
                let place = self.project.sources.locate(image.from.span);
                Failure { detail: format!("{place}: {}", failure.detail), ..failure }
            }
            None => failure,
        };
        let source = Source::parse(&recipe.from, &self.directory).map_err(here)?;
        let (parent, from) = match source {
            Source::Image(parent) => {
                let parent = self.prepare(&parent)?;
                let from = parent.key.as_str().to_owned();
                (Parent::Image(Box::new(parent)), from)
            }
            source => {
                let key = self.images.source_key(&source).map_err(here)?;
                (Parent::Source(source), key)
            }
        };
        let key = recipe_key(&recipe, &from, self.locked(&recipe));
        Ok(Prepared { recipe, from, key, parent })
    }

    /// What the lock file says of an image; nothing where it was locked over another base.
    fn locked(&self, recipe: &Recipe) -> Option<&LockedImage> {
        let locked = self.lock.images.get(&recipe.name).filter(|_| !self.afresh)?;
        (*locked.from == *recipe.from).then_some(locked)
    }

    /// Writes down in the lock file what an image was baked with, and those that it is made over, so that they are baked with
    /// the same next time. Whether the file says something else now.
    pub fn write_lock(&mut self, prepared: &Prepared, digest: &Digest) -> Result<bool, Failure> {
        let before = self.lock.images.clone();
        self.lock_images(prepared, digest)?;
        let own: Vec<_> = self.lock.images.iter().filter(|(name, image)| before.get(*name) != Some(image)).collect();
        if own.is_empty() {
            return Ok(false);
        }
        let (lock, is_changed) = crate::lock_file::change(&self.directory, |lock| {
            lock.images.extend(own.into_iter().map(|(name, image)| (Arc::clone(name), image.clone())));
        })?;
        self.lock = lock;
        Ok(is_changed)
    }

    /// Locks an image to what it was baked with. What it is found by next time.
    fn lock_images(&mut self, prepared: &Prepared, digest: &Digest) -> Result<RecipeKey, Failure> {
        let from = match &prepared.parent {
            Parent::Source(_) => prepared.from.clone(),
            Parent::Image(parent) => match self.images.known(&parent.key) {
                Some(digest) => self.lock_images(parent, &digest)?.as_str().to_owned(),
                None => prepared.from.clone(),
            },
        };
        let history = self.images.history();
        let baked = history.iter().rev().find(|it| it.digest == *digest && it.recipe == prepared.key.as_str());
        let Recipe { name, from: base, .. } = &prepared.recipe;
        let Some(baked) = baked else {
            // It was baked with what the lock file says already.
            return Ok(recipe_key(&prepared.recipe, &from, self.lock.images.get(name)));
        };
        let stack = self.images.stack(digest)?;
        // What this machine has is what it is made of next time, too, whatever that is then.
        let own = match prepared.source() {
            Some(Source::Host) => self.images.known_base(&Source::Host)?.map(|base| self.images.packages(&base.digest)),
            _ => None,
        };
        let own = own.transpose()?.unwrap_or_default();
        let manifest = match &prepared.parent {
            Parent::Source(source) => self.manifest(source, &baked.base),
            Parent::Image(_) => None,
        };
        let locked = LockedImage {
            from: base.as_str().into(),
            base: match prepared.source() {
                Some(source) => self.images.lock_digest(source, &baked.base)?.as_str().into(),
                None => baked.base.as_str().into(),
            },
            manifest: manifest.map(|manifest| manifest.as_str().into()),
            packages: versions(&self.images.packages_in(&stack)?, &own),
        };
        let key = recipe_key(&prepared.recipe, &from, Some(&locked));
        self.images.finish(&stack, &key)?;
        self.lock.images.insert(name.clone(), locked);
        Ok(key)
    }

    /// How containers of an image run, with what its definition does not say as the image from elsewhere does that it is made
    /// over.
    pub fn container(&self, prepared: &Prepared, own: &ContainerConfig) -> Result<ContainerConfig, Failure> {
        let lowest = prepared.lowest();
        let Parent::Source(source @ (Source::Registry(_) | Source::Layout { .. })) = &lowest.parent else {
            return Ok(own.clone());
        };
        let locked = self.locked(&lowest.recipe).and_then(|locked| Digest::parse(&locked.base));
        let base = match locked.and_then(|locked| self.images.locked_base(source, &locked)) {
            Some(base) => Some(base),
            None => self.images.known_base(source)?.map(|base| base.digest),
        };
        let config = base.and_then(|base| self.images.config_of(&base, source));
        Ok(config.map_or_else(|| own.clone(), |config| own.clone().over(&config)))
    }

    /// The image of a recipe, baked where it is not there yet, with what its host resources came to.
    pub fn bake(
        &self,
        prepared: &Prepared,
        identity: &Identity,
        ways: &mut Ways<'_>,
    ) -> Result<(Digest, Option<HostReport>), NotBaked> {
        let known = || match self.afresh {
            true => self.made(prepared.key.as_str()),
            false => self.images.known(&prepared.key),
        };
        let (mut found, mut turn) = (known(), None);
        if found.is_none() {
            let mut waits = || (ways.say)("waiting for another process that bakes the same");
            turn = Some(self.images.turn(&prepared.key, &mut waits).map_err(not_baked)?);
            found = known();
        }
        if let Some(digest) = found {
            self.adopt(prepared, &digest, ways).map_err(not_baked)?;
            return Ok((digest, None));
        }
        let _until_it_is_made = turn;
        let commit = self.commit_or_say(ways);
        let locked = self.locked(&prepared.recipe);
        let pins = pins(locked);
        let parent = match &prepared.parent {
            Parent::Image(parent) => self.bake(parent, identity, ways)?.0,
            Parent::Source(source) => {
                let say = std::cell::RefCell::new(&mut *ways.say);
                let say = |line: &str| (say.borrow_mut())(line);
                self.base(source, locked, &pins, &say).map_err(not_baked)?
            }
        };
        let since = Some(self.began);
        let mut fetching = Fetching { pins: &pins, lists_since: since.filter(|_| self.afresh) };
        let (stack, report) = loop {
            let mut stack = self.images.stack(&parent).map_err(not_baked)?;
            let mut report = HostReport::default();
            for role in &prepared.recipe.roles {
                let layers = Layers { recipe: &prepared.recipe, identity, locked, fetching };
                if let Err(failure) = self.role(&layers, role, &mut stack, &mut report, ways) {
                    let report = (!report.entries.is_empty()).then_some(report);
                    return Err(Box::new((failure, report)));
                }
            }
            match self.other_versions(&stack, locked, &prepared.recipe.name).map_err(not_baked)? {
                None => break (stack, report),
                // What is locked may be newer than the lists of packages that are here.
                Some(_) if fetching.lists_since.is_none() && !prepared.recipe.roles.is_empty() => {
                    (ways.say)("other versions than are locked; asking for newer lists of packages");
                    fetching.lists_since = since;
                }
                Some(failure) => return Err(Box::new((failure, Some(report)))),
            }
        };
        let digest = self.images.finish(&stack, &prepared.key);
        let digest = digest.map_err(|failure| Box::new((failure, Some(report.clone()))))?;
        self.remember(prepared, &parent, &digest, commit).map_err(not_baked)?;
        self.has_made(prepared.key.as_str(), &digest);
        Ok((digest, Some(report)))
    }

    /// What this run has made of something.
    fn made(&self, of: &str) -> Option<Digest> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(of).filter(|digest| self.images.has(digest)).cloned()
    }

    fn has_made(&self, of: &str, digest: &Digest) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(of.to_owned(), digest.clone());
    }

    /// The base, as the lock file names it.
    fn base(
        &self,
        source: &Source,
        locked: Option<&LockedImage>,
        pins: &str,
        say: &dyn Fn(&str),
    ) -> Result<Digest, Failure> {
        // What is in the project's own hands is what it is now.
        let is_elsewhere = matches!(source, Source::Release { .. } | Source::Registry(_));
        let wanted = locked.filter(|_| is_elsewhere).and_then(|locked| Digest::parse(&locked.base));
        if let Some(known) = wanted.as_ref().and_then(|wanted| self.images.locked_base(source, wanted)) {
            return Ok(known);
        }
        let key = format!("base {}", self.images.source_key(source)?);
        if let Some(made) = self.made(&key).filter(|_| self.afresh) {
            return Ok(made);
        }
        let manifest = locked.filter(|_| is_elsewhere).and_then(|locked| Digest::parse(locked.manifest.as_deref()?));
        // What is here may be what is wanted; else it is made with the versions that are.
        let choices = [
            Choice { afresh: self.afresh, ..Choice::default() },
            Choice { afresh: true, pins: pins.to_owned(), manifest },
        ];
        let known = self.images.known_base(source)?.filter(|_| !self.afresh);
        let is_known = match (&wanted, &known) {
            (Some(wanted), Some(known)) => self.images.lock_digest(source, &known.digest)? == *wanted,
            (wanted, _) => wanted.is_none(),
        };
        let choice = if is_known { 0 } else { 1 };
        let choice = choices.into_iter().nth(choice).unwrap_or_default();
        let Base { digest, .. } = self.images.base_with(source, &choice, say)?;
        self.has_made(&key, &digest);
        match wanted {
            Some(wanted) if wanted != digest && wanted != self.images.lock_digest(source, &digest)? => {
                let stack = self.images.stack(&digest)?;
                let differ = differing(&self.images.packages_in(&stack)?, locked);
                let detail = match &*differ {
                    [] => format!("It is {digest}; {LOCK_FILE} names {wanted}."),
                    differ => format!("These are not what {LOCK_FILE} names: {}.", differ.join(", ")),
                };
                let help = if matches!(source, Source::Registry(_)) { UPDATE_TAG } else { UPDATE };
                Err(Failure::new("the base of the image is not the one that is locked", detail).help(help))
            }
            _ => Ok(digest),
        }
    }

    /// Why layers are not what the lock file says.
    fn other_versions(
        &self,
        stack: &Stack,
        locked: Option<&LockedImage>,
        name: &str,
    ) -> Result<Option<Failure>, Failure> {
        if locked.is_none() {
            return Ok(None);
        }
        let differ = differing(&self.images.packages_in(stack)?, locked);
        let detail = || format!("{LOCK_FILE} names other versions than could be had: {}.", differ.join(", "));
        let failure = || Failure::new(format!("the image `{name}` is not as it is locked"), detail()).help(UPDATE);
        Ok((!differ.is_empty()).then(failure))
    }

    /// Writes down that an image is this project's, too, where another one had it made from the same.
    fn adopt(&self, prepared: &Prepared, digest: &Digest, ways: &mut Ways<'_>) -> Result<(), Failure> {
        let history = self.images.history();
        let owner = self.owner().display().to_string();
        let mut same = history.iter().rev().filter(|it| it.digest == *digest);
        let is_own = |it: &&Baked| it.project == owner && it.name == *prepared.recipe.name;
        match (same.clone().find(is_own), same.next()) {
            (None, Some(other)) => self.remember(prepared, &other.base, digest, self.commit_or_say(ways)),
            _ => Ok(()),
        }
    }

    /// The commit of the project now, and whether anything but what images are written to differs from that.
    fn commit(&self) -> Result<Option<(String, bool)>, Failure> {
        let outputs = self.project.images.keys().filter_map(|name| andon_lang::image_outputs(&self.project, name).ok());
        let written: Vec<String> =
            outputs.flatten().filter_map(|output| output.text("path").map(str::to_owned)).collect();
        commit_of(&self.directory, &written)
    }

    /// The same. Where it cannot be known, the user is told so: the image will be of no commit.
    fn commit_or_say(&self, ways: &mut Ways<'_>) -> Option<(String, bool)> {
        self.commit().unwrap_or_else(|failure| {
            (ways.say)(&format!("{}: {}", failure.summary, failure.detail));
            None
        })
    }

    /// The manifest that a base is of, where that is an image of a registry.
    fn manifest(&self, source: &Source, base: &Digest) -> Option<Digest> {
        matches!(source, Source::Registry(_)).then(|| self.images.manifest_of(base, source)).flatten()
    }

    /// Writes down what came of a recipe, and who made it of what: of the commit at its beginning, and where that is
    /// not what was there at its end, of something that differs from it.
    fn remember(
        &self,
        prepared: &Prepared,
        base: &Digest,
        digest: &Digest,
        began: Option<(String, bool)>,
    ) -> Result<(), Failure> {
        let Recipe { name, from, roles, .. } = &prepared.recipe;
        let is_same = self.commit().is_ok_and(|now| now == began);
        let commit = began.map(|(commit, changed)| (commit, changed || !is_same));
        self.images.remember(&Baked {
            time_ms: now().0,
            name: name.to_string(),
            project: self.owner().display().to_string(),
            digest: digest.clone(),
            recipe: prepared.key.as_str().to_owned(),
            from: from.clone(),
            base: base.clone(),
            roles: roles.iter().map(ToString::to_string).collect(),
            params: without_secrets(&prepared.recipe.all_params()),
            manifest: prepared.source().and_then(|source| self.manifest(source, base)),
            by: who(),
            changed: commit.as_ref().is_some_and(|(_, changed)| *changed),
            commit: commit.map(|(commit, _)| commit),
        })
    }

    /// The project's directory, by the name that it has from everywhere.
    pub fn owner(&self) -> PathBuf {
        self.directory.canonicalize().unwrap_or_else(|_| self.directory.clone())
    }

    /// Lays a role's layers over a stack.
    fn role(
        &self,
        layers: &Layers<'_>,
        role: &str,
        stack: &mut Stack,
        report: &mut HostReport,
        ways: &mut Ways<'_>,
    ) -> Result<(), Failure> {
        let Layers { recipe, identity, locked, fetching } = *layers;
        let bundle = bundle(&self.project, [role]);
        let params = recipe.params_of(role);
        let facts = self.facts(&bundle, role, identity, stack, ways)?;
        let server = Server { params: &params, facts: &facts, secrets: SecretsAtHand::Image };
        let failed = |detail: String| Failure::new(format!("role `{role}` could not be baked"), detail);
        let catalog = bundle
            .catalog(role, server, &self.schemas)
            .map_err(|diagnostics| failed(lines(&diagnostics, bundle.sources())))?;
        let part = Part { role, params, facts, bytes: bundle.encode().into() };
        for range in andon_converge::parts(&catalog) {
            if let Some(shallow) = self.images.shallow(stack)? {
                *stack = shallow;
            }
            let key = step_key(stack, &catalog, range.clone());
            if let Some(layer) = self.images.known_step(&key).filter(|_| !self.afresh) {
                let mut with = stack.clone();
                with.push(layer);
                if locked.is_none() || differing(&self.images.packages_in(&with)?, locked).is_empty() {
                    *stack = with;
                    continue;
                }
            }
            (ways.say)(&format!("baking {}", andon_converge::part_name(&catalog, &range)));
            let (reply, bake) = {
                let bake = self.images.begin_over(identity, stack, fetching)?;
                (self.converge(&bake, &part, range, ways).map_err(failed)?, bake)
            };
            let failed = reply.report.has_failed();
            report.entries.extend(reply.report.entries);
            if failed || reply.report.stopped.is_some() {
                report.stopped = reply.report.stopped;
                let reason = match &*what_failed(report) {
                    "" => format!("Role `{role}` could not be applied."),
                    reason => reason.to_owned(),
                };
                return Err(Failure::new(format!("the image `{}` was not baked", recipe.name), reason));
            }
            stack.push(bake.seal(&key)?);
        }
        Ok(())
    }

    /// What the layers say of themselves, as far as the role reads it. Asked once of the same layers.
    fn facts(
        &self,
        bundle: &Bundle,
        role: &str,
        identity: &Identity,
        stack: &Stack,
        ways: &mut Ways<'_>,
    ) -> Result<Value, Failure> {
        let wanted = bundle.facts(role);
        if wanted.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(andon_host::facts(andon_schema::host::Stage::Image, wanted.as_ref()));
        }
        let names: Vec<Arc<str>> = wanted.into_iter().flatten().collect();
        let layers = stack.layers().iter().map(|layer| layer.as_str().as_bytes());
        let key = RecipeKey::of(
            [b"andon facts 1", env!("CARGO_PKG_VERSION").as_bytes()]
                .into_iter()
                .chain(layers)
                .chain(names.iter().map(|name| name.as_bytes())),
        );
        let decoded = |text: String| andon_value::decode(&serde_json::from_str(&text).ok()?).ok();
        if let Some(facts) = self.images.note(&key).and_then(decoded) {
            return Ok(facts);
        }
        let bake = self.images.begin_over(identity, stack, Fetching::default())?;
        let answer = Errand::ImageFacts(names).ask(&target(&bake), &self.helper, ways.say, ways.go_on)?;
        let facts = andon_value::decode(&answer)
            .map_err(|_| Failure::new("the image's facts cannot be read", "The helper's answer is not one."))?;
        self.images.write_note(&key, &answer.to_string())?;
        Ok(facts)
    }

    fn converge(
        &self,
        bake: &andon_image::Bake,
        part: &Part<'_>,
        range: std::ops::Range<usize>,
        ways: &mut Ways<'_>,
    ) -> Result<AgentReply, String> {
        let request = AgentRequest {
            task: Task::Bake,
            role: part.role.to_owned(),
            params: part.params.clone(),
            bundle: Arc::clone(&part.bytes),
            secrets: Secrets::new(),
            run: String::new(),
            part: Some(BakePart { facts: part.facts.clone(), range }),
        };
        let contact = &mut Contact { say: ways.say, is_awaited: ways.go_on };
        let reply = run_agent(&target(bake), &self.helper, &request.encode(), contact);
        AgentReply::decode(&reply.map_err(|error| error.to_string())?)
    }
}

/// A value as a provenance has it: whatever is secret in it is said to be so, and not even digested, since of a short one that
/// could be guessed.
fn without_secrets(value: &Value) -> Json {
    let (value, marks) = value.clone().unmark();
    if marks != Marks::NONE {
        return Json::from("(sensitive)");
    }
    match value.kind() {
        Kind::Object(entries) | Kind::Map(_, entries) => {
            entries.iter().map(|(name, value)| (name.to_string(), without_secrets(value))).collect()
        }
        Kind::Tuple(elements) => elements.iter().map(without_secrets).collect(),
        Kind::List(_, elements) => elements.iter().map(without_secrets).collect(),
        Kind::Set(_, elements) => elements.iter().map(without_secrets).collect(),
        Kind::Null(_) => Json::Null,
        Kind::Unknown(..) => Json::from("(not known)"),
        Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => andon_value::encode(&value),
    }
}

/// All that an image is made from.
fn recipe_key(recipe: &Recipe, from: &str, locked: Option<&LockedImage>) -> RecipeKey {
    let locked = locked.map(LockedImage::key).unwrap_or_default();
    RecipeKey::of([from.as_bytes(), recipe.key.as_bytes(), locked.as_bytes()])
}

/// The versions of packages, by name and architecture, without those that are the base's own affair.
fn versions(packages: &[Package], own: &[Package]) -> BTreeMap<Arc<str>, Arc<str>> {
    let name = |it: &Package| format!("{}:{}", it.name, it.architecture);
    let own: BTreeSet<String> = own.iter().map(name).collect();
    let others = packages.iter().filter(|it| !own.contains(&name(it)));
    others.map(|it| (name(it).into(), it.version.as_str().into())).collect()
}

/// Preferences of apt that choose the locked versions, also where that is an older one (apt_preferences(5)).
fn pins(locked: Option<&LockedImage>) -> String {
    let packages = locked.into_iter().flat_map(|locked| &locked.packages);
    let pin = |(name, version): (&Arc<str>, &Arc<str>)| {
        let (name, _) = name.rsplit_once(':')?;
        // A name or a version is one word.
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        (is_word(name) && is_word(version))
            .then(|| format!("Package: {name}\nPin: version {version}\nPin-Priority: 1001\n\n"))
    };
    packages.filter_map(pin).collect()
}

/// The packages that are there in another version than the locked one. What is not locked is new, and what is not there
/// is no longer asked for.
fn differing(packages: &[Package], locked: Option<&LockedImage>) -> Vec<String> {
    let Some(locked) = locked else { return Vec::new() };
    let differs = |package: &&Package| {
        let name = format!("{}:{}", package.name, package.architecture);
        locked.packages.get(&*name).is_some_and(|version| **version != *package.version)
    };
    packages.iter().filter(differs).map(|package| format!("{} {}", package.name, package.version)).collect()
}

/// Where a bake takes place.
fn target(bake: &andon_image::Bake) -> Target {
    let covers = bake.fetched().iter().cloned().map(|andon_image::Fetched { at, lower, upper, work }| Cover {
        at,
        lower,
        upper,
        work,
    });
    Target::Root { lower: bake.lower().to_vec(), upper: bake.upper(), work: bake.work(), covers: covers.collect() }
}

/// All that a layer is made from: what is below it, what its resources ask and read, and how this version does that.
fn step_key(stack: &Stack, catalog: &Catalog, range: std::ops::Range<usize>) -> RecipeKey {
    let ingredients = andon_converge::ingredients(catalog, range);
    let layers = stack.layers().iter().map(|layer| layer.as_str().as_bytes());
    let fixed: [&[u8]; 3] = [b"andon step 3", env!("CARGO_PKG_VERSION").as_bytes(), &ingredients];
    RecipeKey::of(fixed.into_iter().chain(layers))
}

/// The images that a state refers to, in whatever object.
pub fn referred(state: &State) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    for environment in state.environments.values() {
        let objects = environment.objects().map(|(_, object)| &object.value);
        let published = environment.published.values().flat_map(|outputs| outputs.values());
        for text in objects.chain(published).map(|value| andon_value::encode(value).to_string()) {
            for (at, word) in text.match_indices("sha256:") {
                found.extend(text.get(at..at + word.len() + 64).and_then(Digest::parse));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, version: &str) -> Package {
        let text = String::new;
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            kind: "deb",
            distribution: text(),
            release: text(),
            maintainer: text(),
            licence: text(),
        }
    }

    #[test]
    fn a_secret_is_in_no_provenance() {
        let secret = Value::from("x").mark(Marks { sensitive: true, ..Marks::NONE });
        let list = Value::list(andon_value::Type::String, [Value::from("a"), secret.clone()]);
        for (value, expected) in [
            (Value::from(80), json!(80)),
            (secret.clone(), json!("(sensitive)")),
            (Value::object([("key", secret), ("name", Value::from("a"))]), json!({"key": "(sensitive)", "name": "a"})),
            (list, json!(["a", "(sensitive)"])),
            (Value::NULL, json!(null)),
            (Value::UNKNOWN, json!("(not known)")),
        ] {
            assert_eq!(without_secrets(&value), expected);
        }
    }

    #[test]
    fn what_this_machine_has_is_not_locked() {
        let all = [package("libc6", "2.36-9"), package("nginx", "1.22.1-9")];
        assert_eq!(versions(&all, &[]).len(), 2);
        // It was another version when the base was made: the role has brought a newer one.
        let locked = versions(&all, &[package("libc6", "2.36-8"), package("vim", "9")]);
        assert_eq!(locked, BTreeMap::from([("nginx:amd64".into(), "1.22.1-9".into())]));
    }

    /// What apt would install of a repository that has 1.0 and 2.0; `None` where there is no apt.
    fn chosen(pins: &str) -> Option<String> {
        let folder = std::env::temp_dir().join(format!("andon-pins-{}", std::process::id()));
        let at = |name: &str| folder.join(name);
        for directory in ["repo", "state/lists/partial", "cache/archives/partial", "preferences"] {
            std::fs::create_dir_all(at(directory)).ok()?;
        }
        let entry = |version: &str| {
            format!(
                "Package: tool\nVersion: {version}\nArchitecture: all\nFilename: ./tool_{version}_all.deb\nSize: 1\nSHA256: {}\n\n",
                "0".repeat(64)
            )
        };
        let source = format!("deb [trusted=yes] file:{} ./\n", at("repo").display());
        for (name, text) in [
            ("repo/Packages", &*(entry("1.0") + &entry("2.0"))),
            ("sources.list", &*source),
            ("status", ""),
            ("preferences/pins", pins),
        ] {
            std::fs::write(at(name), text).ok()?;
        }
        let apt = |words: &[&str]| {
            let mut apt = std::process::Command::new("apt-get");
            for (option, place) in [
                ("Dir::State", "state"),
                ("Dir::State::status", "status"),
                ("Dir::Cache", "cache"),
                ("Dir::Etc::sourcelist", "sources.list"),
                ("Dir::Etc::preferencesparts", "preferences"),
            ] {
                apt.arg("-o").arg(format!("{option}={}", at(place).display()));
            }
            let fixed = ["Dir::Etc::sourceparts=-", "Dir::Etc::preferences=-", "APT::Sandbox::User=root"];
            apt.args(fixed.iter().flat_map(|option| ["-o", option])).args(words).env("LC_ALL", "C").output().ok()
        };
        let told = apt(&["update"]).and_then(|_| apt(&["--simulate", "install", "tool"]));
        std::fs::remove_dir_all(&folder).ok()?;
        Some(String::from_utf8_lossy(&told?.stdout).into_owned())
    }

    #[test]
    fn apt_chooses_the_locked_version_also_where_it_is_older() {
        let locked = |packages: &[(&str, &str)]| LockedImage {
            from: "debian:bookworm".into(),
            base: "sha256:0".into(),
            manifest: None,
            packages: packages.iter().map(|(name, version)| ((*name).into(), (*version).into())).collect(),
        };
        for (packages, expected) in [
            (&[("tool:all", "1.0")][..], "Inst tool (1.0 "),
            (&[("tool:all", "2.0"), ("other:amd64", "1:3-4~a+b")], "Inst tool (2.0 "),
            (&[("other:all", "1.0")], "Inst tool (2.0 "),
            (&[], "Inst tool (2.0 "),
            // What is no word is in no preferences: it would end them.
            (&[("tool:all", "1.0\n\nPackage: *")], "Inst tool (2.0 "),
        ] {
            let Some(said) = chosen(&pins(Some(&locked(packages)))) else {
                println!("skipped: apt is not installed");
                return;
            };
            assert!(said.contains(expected), "{packages:?}: {said}");
        }
    }
}
