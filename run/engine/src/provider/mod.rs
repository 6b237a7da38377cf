//! The built-in providers: each joins one kind of resource to the drivers that make it real.

mod bootstrap;
pub mod calls;
mod data;
mod docker;
mod host;
mod image;
mod lab;
pub mod lab_place;
mod names;
mod newborn;
mod plugin;
mod pool;
mod published_value;
mod remote_state;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use andon_docker::Docker;
use andon_image::{Digest, Images};
use andon_lab::{Lab, LabSettings, Leftover, Missing};
use andon_lang::definitions::{Module, Project, Stack};
use andon_ledger::Intent;
use andon_schema::{
    Attribute, Block, EntryStatus, Failure, HostReport, Identity, InstanceAddress, Mode, Object, Outcome, Schemas,
    TypeSchema,
};
use andon_secret::Vault;
use andon_value::Value;

use crate::agent::schemas;
use crate::baking::Baker;
use crate::workspaces::WORKSPACE_VARIABLE;
use crate::{Found, Providers, Session, Settings};

pub(crate) use bootstrap::{BOOTSTRAP, read as read_bootstrap};
pub use data::{DataProvider, uuid};
pub use docker::DockerProvider;
pub use host::HostProvider;
pub use image::ImageProvider;
pub use lab::LabProvider;
pub use plugin::PluginHost;
pub(crate) use pool::retire;
pub use published_value::{Registry, ValueProvider};
pub use remote_state::Published;
pub(crate) use remote_state::read as read_remote_state;

/// What would become of an instance.
pub struct Planned {
    /// All its attributes; unknown where the apply decides.
    pub value: Value,
    /// The attributes whose change replaces the object.
    pub replace: Vec<String>,
    /// What would be done inside servers.
    pub report: Option<HostReport>,
}

/// One instance and what is asked of it.
pub struct Request<'a> {
    /// The instance.
    pub address: &'a InstanceAddress,
    /// Its planned name; `None` where there is none yet.
    pub identity: Option<&'a Identity>,
    /// The object as it is.
    pub prior: Option<&'a Value>,
    /// The configuration, of the schema's type.
    pub config: &'a Value,
    /// Says to whoever follows the run what the work is at.
    pub say: &'a dyn Fn(&str),
}

/// What makes resources of some types real. Calls come from many threads at once; each may block.
pub trait Provider: Send + Sync {
    /// The types, and their schemas.
    fn schemas(&self) -> BTreeMap<String, TypeSchema>;

    /// Whether it only computes: then its calls are made at once, as handing one to a thread takes longer than the call.
    fn only_computes(&self) -> bool {
        false
    }

    /// What would become of an instance. Changes nothing.
    fn plan(&self, request: &Request<'_>) -> Result<Planned, Failure>;

    /// How an object is now; `None` where it is gone. Changes nothing.
    fn read(&self, address: &InstanceAddress, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure>;

    /// Makes the object under the request's identity.
    fn create(&self, request: &Request<'_>, planned: &Value) -> Outcome;

    /// Changes the object in place.
    fn update(&self, request: &Request<'_>, planned: &Value) -> Outcome;

    /// Gets ready what a new object needs, so far as that can be done beside the old one, which goes first. Where it fails,
    /// the old one stays. `planned` may have unknown parts.
    fn prepare(&self, planned: &Value, say: &dyn Fn(&str)) -> Result<(), Failure> {
        let _ = (planned, say);
        Ok(())
    }

    /// Removes the object; one that is gone already is no failure.
    fn delete(&self, address: &InstanceAddress, identity: &Identity, prior: &Value, say: &dyn Fn(&str)) -> Outcome;

    /// Looks what came of an intent whose outcome nobody wrote down; removes what was half made.
    fn resolve(&self, intent: &Intent, object: Option<&Object>) -> Result<Found, Failure>;
}

/// An outcome without anything to say about servers' insides.
fn plain_outcome(result: Result<Option<Value>, (Failure, Option<Value>)>) -> Outcome {
    match result {
        Ok(value) => Outcome::done(value, None),
        Err((failure, value)) => Outcome::failed(failure, value, None),
    }
}

fn nameless() -> Outcome {
    let failure = Failure::new("the object has no identity", "Nothing may be made that the ledger has no name for.");
    plain_outcome(Err((failure, None)))
}

/// The failures of a report, a line each.
pub(crate) fn what_failed(report: &HostReport) -> String {
    let entries = report.entries.iter().filter_map(|entry| match &entry.status {
        EntryStatus::Failed(reason) => Some(format!("{}: {}: {reason}", entry.origin, entry.address)),
        _ => None,
    });
    let checks = report.checks.iter().filter_map(|check| {
        let reason = check.failure.as_ref()?;
        Some(format!("{}: check \"{}\": {}: {reason}", check.origin, check.check, check.assertion))
    });
    let lines: Vec<String> = entries.chain(checks).collect();
    if lines.is_empty() { report.stopped.clone().unwrap_or_default() } else { lines.join("\n") }
}

/// The built-in providers of a project.
pub fn built_in(session: &Session) -> Result<Providers, Failure> {
    built_in_for(session, session.project())
}

/// The built-in providers, for other definitions than the session's own: those of a test.
pub fn built_in_for(session: &Session, project: &Arc<Project>) -> Result<Providers, Failure> {
    let settings = session.settings();
    let baker = Arc::new(baker(settings, project)?);
    let lab = lab(settings)?.heeding(Arc::clone(&settings.interrupt));
    let mut providers = Providers::default();
    let directory = |stack: &Stack| settings.directory.join(&*stack.module.directory);
    let environments = session.state().environments.iter();
    let published = environments.map(|(name, it)| (Arc::clone(name), it.published.clone()));
    providers.set_published(published.filter(|(_, published)| !published.is_empty()).collect());
    providers.set_directories(project.stacks.iter().map(|(name, it)| (Arc::clone(name), directory(it))).collect());
    let registry = Arc::new(Registry::of(session.state()));
    providers.set_values(ValueProvider { registry, project: Arc::clone(project), environment: Arc::default() });
    providers.add(Arc::new(DataProvider));
    providers.set_lab(LabProvider {
        lab: lab.clone(),
        baker: Arc::clone(&baker),
        owner: owner(settings),
        environment: None,
        names: Arc::default(),
        interrupt: Arc::clone(&settings.interrupt),
    });
    let docker = Docker::interrupted_by(Arc::clone(&settings.interrupt));
    providers.add(Arc::new(DockerProvider { docker, helper: settings.helper.clone() }));
    let images = Arc::clone(&baker.images);
    providers.add(Arc::new(ImageProvider(baker)));
    let helper = settings.helper.clone();
    providers.add(Arc::new(HostProvider {
        lab,
        images,
        project: Arc::clone(project),
        schemas: schemas(),
        helper,
        vault: Arc::new(Vault::at(&settings.directory)),
        bundles: Mutex::default(),
    }));
    Ok(providers)
}

/// The images on this machine.
pub fn images(settings: &Settings) -> Result<Images, Failure> {
    let mirrors = andon_image::Settings {
        debian_mirror: settings.mirror.clone(),
        debian_security_mirror: settings.security_mirror.clone(),
        ubuntu_mirror: settings.ubuntu_mirror.clone(),
    };
    let images = Images::open(&settings.data_dir, mirrors)?.interrupted_by(Arc::clone(&settings.interrupt));
    Ok(if andon_lab::is_in_realm() { images.owners_by(owner_of) } else { images })
}

/// Whose a file of this machine's is, which nobody in the realm of a user without root can see.
fn owner_of(path: &Path) -> io::Result<andon_image::Owner> {
    let unseen = || io::Error::other("nobody can say whose it is");
    let andon_lab::SeenOutside { user, group, capabilities } = andon_lab::seen_outside(path).ok_or_else(unseen)??;
    Ok(andon_image::Owner { user, group, capabilities })
}

/// What a project's images are baked with.
pub fn baker(settings: &Settings, project: &Arc<Project>) -> Result<Baker, Failure> {
    Ok(Baker {
        lock: crate::lock_file::read(&settings.directory)?,
        afresh: false,
        began: std::time::SystemTime::now(),
        made: Default::default(),
        images: Arc::new(images(settings)?),
        project: Arc::clone(project),
        directory: settings.directory.clone(),
        schemas: schemas(),
        helper: settings.helper.clone(),
    })
}

/// What this machine lacks for a project's resources, where it has any that are made on this machine.
pub fn missing(project: &Project) -> Vec<Missing> {
    fn is_local(module: &Module) -> bool {
        let kinds = module.resources.keys().filter(|key| key.mode == Mode::Managed).map(|key| &*key.kind);
        let mut local = kinds.filter(|kind| kind.starts_with("lab_") || *kind == "andon_image");
        local.next().is_some() || module.calls.values().any(|call| is_local(&call.module))
    }
    let local = project.stacks.values().any(|stack| is_local(&stack.module));
    if local { Lab::requirements() } else { Vec::new() }
}

/// Whose the lab's objects are: the project in this directory.
fn owner(settings: &Settings) -> String {
    settings.directory.canonicalize().unwrap_or_else(|_| settings.directory.clone()).display().to_string()
}

/// What is never removed for the only reason that no ledger knows of it.
const HOLD_DATA: [&str; 5] = ["lab_volume", "lab_snapshot", "lab_share", "lab_bucket", "lab_key"];

/// What a look at the lab, and at what no ledger knows of there, came to.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was removed and what was kept, a sentence each.
    pub told: Vec<String>,
    /// What was only to be forgotten and is of the environment that is to go, in the order in which it can be deleted.
    /// It is there still.
    pub forgotten: Vec<Leftover>,
}

/// Removes what the lab holds of this project and no ledger entry names, as after the ledger was deleted by hand. What
/// somebody had forgotten, without anything done to it, stays; where it is of the environment that is to go wholly,
/// `ends`, it is [`delete_forgotten`] that removes it.
///
/// The lab is looked at first and the ledger after it: whatever another run makes meanwhile is named in the ledger
/// before it exists.
pub fn sweep(session: &Session, ends: Option<&str>) -> Result<Swept, Failure> {
    let lab = lab(session.settings())?;
    let owner = owner(session.settings());
    let there = lab.leftovers(&BTreeSet::new(), &owner);
    let mut swept = Swept::default();
    if there.is_empty() {
        return Ok(swept);
    }
    let unreadable = |error: crate::OpenError| Failure::new("the ledger cannot be read", error.to_string());
    let known = session.identities().map_err(unreadable)?;
    let unknown: Vec<_> = there.into_iter().filter(|leftover| !known.contains(&leftover.identity)).collect();
    let forgotten = match unknown.is_empty() {
        true => BTreeMap::new(),
        false => session.forgotten().map_err(unreadable)?,
    };
    for leftover in unknown {
        // What has no readable record may be another project's: it is left to whoever knows.
        let Some(kind) = &leftover.kind else { continue };
        let what = named(&leftover);
        if HOLD_DATA.contains(&kind.as_str()) {
            swept.told.push(format!("{what} is kept, though the ledger does not know of it: it may hold data"));
            continue;
        }
        match forgotten.get(&leftover.identity) {
            Some(environment) if ends == Some(&**environment) => {
                swept.told.push(format!("{what} was only to be forgotten, and goes with its environment"));
                swept.forgotten.push(leftover);
            }
            Some(environment) => {
                // One that exists no longer is there for a command that Terraform's variable names it to.
                let is_there = session.project().environments.contains_key(environment);
                let variable = if is_there { String::new() } else { format!("{WORKSPACE_VARIABLE}={environment} ") };
                swept.told.push(format!(
                    "{what} is kept, as it was only to be forgotten: `{variable}andon down -e {environment}` removes it"
                ));
            }
            None => {
                lab.delete(kind, &leftover.identity)?;
                swept.told.push(format!("removed {what}, of which the ledger does not know"));
            }
        }
    }
    Ok(swept)
}

/// Removes what was only to be forgotten, and says of each that it is gone, or why it is not: that one stays in the list.
/// Networks wait for the last time, as servers that are to go may be in them.
pub fn delete_forgotten(
    session: &Session,
    forgotten: &mut Vec<Leftover>,
    last: bool,
) -> Result<Vec<Result<String, Failure>>, Failure> {
    let lab = lab(session.settings())?;
    let mut told = Vec::new();
    forgotten.retain(|leftover| {
        let Some(kind) = leftover.kind.as_deref().filter(|kind| last || *kind != "lab_network") else { return true };
        let deleted = lab.delete(kind, &leftover.identity);
        let is_left = deleted.is_err();
        let what = named(leftover);
        told.push(match deleted {
            Ok(()) => Ok(format!("removed {what}, which was only to be forgotten")),
            Err(failure) => Err(Failure { summary: format!("{what} is still there: {}", failure.summary), ..failure }),
        });
        is_left
    });
    Ok(told)
}

/// What a leftover is: its type, its name and its identity.
fn named(leftover: &Leftover) -> String {
    let kind = leftover.kind.as_deref().unwrap_or("something");
    let name = leftover.name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default();
    format!("{kind}{name} ({})", leftover.identity)
}

/// The lab of a project's settings.
pub fn lab(settings: &Settings) -> Result<Lab, Failure> {
    Lab::open(LabSettings { data_dir: settings.data_dir.clone(), helper: settings.helper.clone() })
}

/// The schemas of all that is built in, whatever the project.
pub fn built_in_schemas() -> Schemas {
    let mut all = schemas();
    let own = [
        Lab::schemas(),
        Docker::schemas(),
        data::schemas(),
        host::schemas(),
        image::schemas(),
        published_value::schemas(),
    ];
    all.resources = own.into_iter().flatten().collect();
    add_data(&mut all);
    all
}

/// The schema of a type that has attributes alone, by the type's name.
fn one_type(
    name: &str,
    description: &str,
    attributes: impl IntoIterator<Item = (&'static str, Attribute)>,
) -> BTreeMap<String, TypeSchema> {
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    let block = Block { attributes, description: description.to_owned(), ..Block::default() };
    [(name.to_owned(), TypeSchema::of(block))].into()
}

fn add_data(all: &mut Schemas) {
    all.data.insert("andon_stack".to_owned(), andon_plan::stack_schema());
    all.data.extend(data::remote_state_schema());
    all.data.extend(bootstrap::schemas());
    all.data.extend(published_value::data_schemas());
}

/// Every schema at hand: of the providers, of stacks' outputs, of host resources and checks.
pub fn all_schemas(providers: &Providers) -> Schemas {
    let mut all = schemas();
    all.resources = providers.schemas().resources.clone();
    add_data(&mut all);
    all
}

/// The images that servers of any project run on.
pub fn images_in_use(settings: &Settings) -> Result<BTreeSet<Digest>, Failure> {
    let servers = lab(settings)?.servers();
    Ok(servers.iter().filter_map(|server| Digest::parse(server.get_str("image")?)).collect())
}

/// Removes images of these digests, what they were made over, and what was half baked; keeps what a server of any
/// project starts from and what other images are made over. The number of images removed.
pub fn purge(settings: &Settings, digests: &BTreeSet<String>) -> Result<usize, Failure> {
    let images = images(settings)?;
    let in_use = images_in_use(settings)?;
    images.sweep()?;
    images.forget_project(std::path::Path::new(&owner(settings)))?;
    let gone = digests.iter().filter_map(|digest| Digest::parse(digest)).collect();
    let removed = images.remove_with_bases(&gone, &in_use)?;
    images.sweep()?;
    if images.list()?.is_empty() {
        images.purge()?;
    }
    lab(settings)?.tidy();
    // The last to leave takes the directory along.
    let _ = std::fs::remove_dir(&settings.data_dir);
    Ok(removed)
}
