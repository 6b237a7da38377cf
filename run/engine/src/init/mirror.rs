//! What `providers lock` and `providers mirror` do: packages of providers for any platforms are looked at, without being
//! installed. The one writes what they come to into the lock file, the other keeps the archives in a directory that is
//! a mirror of the file system, and, behind a web server, one of the network
//! (<https://developer.hashicorp.com/terraform/internals/provider-network-mirror-protocol>).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use andon_lang::definitions::Project;
use andon_provider::{
    HashCache, LockedProvider, Origin, PROVIDER_LOCK_FILE, Places, Platform, available, can_be_checked, digest_archive,
    hash_archive, package,
};
use andon_schema::{ProviderAddress, Version};
use andon_text::Diagnostic;
use serde_json::{Map, json};

use super::fetch::at_once;
use super::providers::{Failure, INSTALLED, Installer, broken, constraints, placed};
use super::{InitError, Outcome, Request, Sink, disk};
use crate::locks::{Locks, not_locked, stack_directories};
use crate::plugins::{Need, named, needs};

/// Which packages are looked at.
pub struct Packages<'r> {
    /// The project, and what is known of hosts.
    pub init: &'r Request,
    /// The platforms that they are for.
    pub platforms: Vec<Platform>,
    /// Only these providers, where there are any.
    pub only: Vec<ProviderAddress>,
    /// Where they are from.
    pub origin: Origin,
    /// Whether the lock file settles the versions.
    pub locked: bool,
}

/// What was done with the packages of one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The provider.
    pub address: ProviderAddress,
    /// The version.
    pub version: Version,
    /// Each platform, and whether the lock file had not known its package, or the archive was not there yet.
    pub platforms: Vec<(Platform, bool)>,
    /// The key that its checksums are signed with.
    pub signer: Option<String>,
}

/// What it came to: beside the packages, as of an `init`.
#[derive(Default)]
pub struct PackagesOutcome {
    /// The providers, in order of address.
    pub looked: Vec<Looked>,
    /// Of the lock file, of what went wrong, and of interruption.
    pub outcome: Outcome,
}

type Entry = (Looked, LockedProvider, Vec<Diagnostic>);

/// Writes what packages for some platforms come to into the lock file of a project.
///
/// # Errors
/// Where the lock file cannot be written.
pub fn lock_packages(packages: &Packages<'_>, project: &Project, sink: Sink<'_>) -> Result<PackagesOutcome, InitError> {
    let beside = packages.init.directory.join(INSTALLED).join(format!("looked-at-{}", std::process::id()));
    let looked = look(packages, project, sink, |_, _, platform| Ok(beside.join(format!("{platform}.zip"))));
    let _ = std::fs::remove_dir_all(&beside);
    let (mut done, locks, entries) = looked?;
    if done.outcome.diagnostics.has_errors() || done.outcome.interrupted {
        return Ok(done);
    }
    let mut lock = locks.own.clone();
    lock.providers.extend(entries);
    if lock != locks.own {
        done.outcome.locked = true;
        disk::replace(&packages.init.directory.join(PROVIDER_LOCK_FILE), lock.write().as_bytes())?;
    }
    Ok(done)
}

/// Keeps the archives of packages in a directory, with the pages of a network mirror beside them.
///
/// # Errors
/// Where the directory cannot be written.
pub fn mirror_packages(
    packages: &Packages<'_>,
    project: &Project,
    directory: &Path,
    sink: Sink<'_>,
) -> Result<PackagesOutcome, InitError> {
    let place = |address: &ProviderAddress, version: &Version, platform: &Platform| {
        let ProviderAddress { host, namespace, name } = address;
        let file = format!("terraform-provider-{name}_{version}_{platform}.zip");
        let place = directory.join(&**host).join(&**namespace).join(&**name);
        std::fs::create_dir_all(&place).map(|()| place.join(file)).map_err(|error| {
            Failure::from(
                Diagnostic::error(format!("`{}` cannot be written", place.display())).detail(error.to_string()),
            )
        })
    };
    let (done, ..) = look(packages, project, sink, place)?;
    for looked in &done.looked {
        write_pages(directory, &looked.address)?;
    }
    Ok(done)
}

/// Writes the pages that a network mirror has of a provider, of all archives that are there.
fn write_pages(directory: &Path, address: &ProviderAddress) -> Result<(), InitError> {
    let mut versions: BTreeMap<Version, Map<String, serde_json::Value>> = BTreeMap::new();
    let ProviderAddress { host, namespace, name } = address;
    let place = directory.join(&**host).join(&**namespace).join(&**name);
    for (version, platform, path) in available(directory, address).into_iter().filter(|(.., path)| path.is_file()) {
        let unread = |source| InitError::Write { path: path.clone(), source };
        let hashes = [hash_archive(&path).map_err(unread)?, digest_archive(&path).map_err(unread)?];
        let url = path.file_name().map(|name| name.to_string_lossy().into_owned());
        versions.entry(version).or_default().insert(platform.to_string(), json!({ "hashes": hashes, "url": url }));
    }
    let index: Map<_, _> = versions.keys().map(|version| (version.to_string(), json!({}))).collect();
    let write = |name: String, json: serde_json::Value| {
        let text = format!("{json:#}\n");
        disk::replace(&place.join(name), text.as_bytes())
    };
    for (version, archives) in versions {
        write(format!("{version}.json"), json!({ "archives": archives }))?;
    }
    write("index.json".to_owned(), json!({ "versions": index }))
}

type Looks = (PackagesOutcome, Locks, Vec<(ProviderAddress, LockedProvider)>);

/// Looks at every package that is asked for; `place` is where the archive of one goes.
fn look(
    packages: &Packages<'_>,
    project: &Project,
    sink: Sink<'_>,
    place: impl Fn(&ProviderAddress, &Version, &Platform) -> Result<PathBuf, Failure> + Sync,
) -> Result<Looks, InitError> {
    let mut done = PackagesOutcome::default();
    let request = packages.init;
    let (locks, wrong) = Locks::read(&request.directory, &stack_directories(project, &request.directory));
    done.outcome.diagnostics.extend(wrong);
    let mut all: Vec<(ProviderAddress, Need)> = needs(project).into_iter().collect();
    for only in packages.only.iter().filter(|only| !all.iter().any(|(address, _)| address == *only)) {
        let diagnostic = Diagnostic::error(format!("the project does not need the provider {}", named(only)));
        done.outcome.diagnostics.push(diagnostic.help("`andon providers` shows which it needs."));
    }
    if done.outcome.diagnostics.has_errors() {
        return Ok((done, locks, Vec::new()));
    }
    all.retain(|(address, _)| packages.only.is_empty() || packages.only.contains(address));
    let mut places = Places::default();
    places.only_from(packages.origin.clone());
    let installers: Vec<Installer<'_>> = packages
        .platforms
        .iter()
        .map(|platform| Installer {
            request,
            sink,
            base: request.directory.join(INSTALLED),
            places: places.clone(),
            hashes: HashCache::new(request.cache.clone()),
            platform: platform.clone(),
            web: OnceLock::new(),
            locks: &locks,
        })
        .collect();
    let results = at_once(&all, |(address, need)| {
        let known = locks.own.providers.get(address);
        look_at(&installers, address, need, known, packages.locked, &place)
    });
    let mut entries = Vec::new();
    for ((address, need), result) in all.iter().zip(results) {
        match result {
            Ok((looked, entry, warnings)) => {
                done.outcome.diagnostics.extend(warnings);
                done.looked.push(looked);
                entries.push((address.clone(), entry));
            }
            Err(Failure::Interrupted) => done.outcome.interrupted = true,
            Err(Failure::Said(diagnostic)) => done.outcome.diagnostics.push(placed(*diagnostic, need)),
        }
    }
    done.outcome.diagnostics.sort();
    Ok((done, locks, entries))
}

fn look_at(
    installers: &[Installer<'_>],
    address: &ProviderAddress,
    need: &Need,
    known: Option<&LockedProvider>,
    locked: bool,
    place: &(impl Fn(&ProviderAddress, &Version, &Platform) -> Result<PathBuf, Failure> + Sync),
) -> Result<Entry, Failure> {
    let held = known.filter(|_| locked);
    let first = installers.first().ok_or_else(|| broken(&named(address), "no platform is named"))?;
    if let Some(held) = held.filter(|held| !need.constraint.allows(&held.version)) {
        let summary = format!("the provider {} is locked to a version that will not do", named(address));
        let detail = format!("{PROVIDER_LOCK_FILE} names {}, and {} is wanted.", held.version, constraints(need));
        let help = "`andon init --upgrade` takes another version.";
        return Err(Diagnostic::error(summary).detail(detail).help(help).into());
    }
    let (version, origins, warnings) = first.choose(address, need, held)?;
    let same = known.filter(|known| known.version == version);
    let mut hashes: BTreeSet<String> = same.map(|same| same.hashes.clone()).unwrap_or_default();
    let mut looked = Looked { address: address.clone(), version: version.clone(), platforms: Vec::new(), signer: None };
    for installer in installers {
        let archive = place(address, &version, &installer.platform)?;
        let (found, signer, was_there) = installer.look(address, &version, &origins, &archive)?;
        // Of other platforms, what is locked may say nothing yet.
        if locked && installer.platform == Platform::current() {
            held_against((address, &version), &archive, &found, same)?;
        }
        let new = !found.iter().any(|hash| hashes.contains(hash)) && !was_there;
        looked.platforms.push((installer.platform.clone(), new));
        looked.signer = looked.signer.or(signer);
        hashes.extend(found);
    }
    let entry = LockedProvider { version, constraints: constraints(need), hashes };
    Ok((looked, entry, warnings))
}

/// What this machine could not install, as it is not what was locked, is not kept, either.
fn held_against(
    (address, version): (&ProviderAddress, &Version),
    archive: &Path,
    found: &BTreeSet<String>,
    known: Option<&LockedProvider>,
) -> Result<(), Failure> {
    match known.filter(|known| can_be_checked(&known.hashes) && known.hashes.is_disjoint(found)) {
        None => Ok(()),
        Some(known) => {
            let _ = std::fs::remove_file(archive);
            let name = named(address);
            let summary = format!("the package of the provider {name} {version} is not the one that was locked");
            let found: Vec<&str> = found.iter().map(String::as_str).collect();
            let detail = not_locked("It", &found, &known.hashes);
            Err(Diagnostic::error(summary).detail(detail).help("Tell whoever keeps the registry.").into())
        }
    }
}

impl Installer<'_> {
    /// What a package comes to, with the key that it is signed with, and whether its archive was there already. An
    /// archive that is fetched is left in its place.
    fn look(
        &self,
        address: &ProviderAddress,
        version: &Version,
        origins: &[&Origin],
        archive: &Path,
    ) -> Result<(BTreeSet<String>, Option<String>, bool), Failure> {
        let name = format!("{} {version} for {}", named(address), self.platform);
        let failed = |error: std::io::Error| broken(&name, &error.to_string());
        if let Some(Origin::Directory(path)) = origins.first() {
            let packages = available(path, address);
            let own = packages.iter().find(|(its, platform, _)| its == version && *platform == self.platform);
            return match own {
                Some((.., package)) if package.is_dir() => {
                    Ok((BTreeSet::from([self.hashes.hash(package).map_err(failed)?]), None, false))
                }
                Some((.., package)) => Ok((of_archive(package).map_err(failed)?, None, false)),
                None => {
                    let summary = format!("there is no package of the provider {name}");
                    let detail = format!("{} has none.", path.display());
                    Err(Diagnostic::error(summary).detail(detail).help("Name platforms that are there for it.").into())
                }
            };
        }
        if archive.is_file() {
            return Ok((of_archive(archive).map_err(failed)?, None, true));
        }
        let (partial, unpacked) = (archive.with_extension("zip.tmp"), archive.with_extension("tmp"));
        let fetched = self.fetch(address, version, origins, None, (&partial, &unpacked));
        let _ = package::clear(&unpacked);
        let kept = fetched.and_then(|brought| std::fs::rename(&partial, archive).map_err(failed).map(|()| brought));
        let _ = std::fs::remove_file(&partial);
        let brought = kept?;
        Ok((brought.hashes.into_iter().chain(brought.signed).collect(), brought.signer, false))
    }
}

fn of_archive(archive: &Path) -> std::io::Result<BTreeSet<String>> {
    Ok(BTreeSet::from([hash_archive(archive)?, digest_archive(archive)?]))
}
