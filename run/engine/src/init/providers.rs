//! Installing provider plugins: which version, from where, into `.terraform/providers`, and into the lock file.
//!
//! A package is fetched and unpacked beside its place, held against the lock file, and moved to its place when it is
//! whole; one in a directory of packages, or in the directory that the user's projects share, is linked to. What is
//! installed and comes to what is locked is left alone, and nobody is asked.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use andon_lang::definitions::Project;
use andon_provider::package::{self, Turn, package_path};
use andon_provider::{
    HashCache, LockFile, LockedProvider, Origin, PROVIDER_LOCK_FILE, Places, Platform, available, can_be_checked,
    digest_archive, hash_directory, program_in,
};
use andon_schema::{ProviderAddress, Version};
use andon_source::{FetchError, Hosts, OfferedVersion, ProviderPackage, Web};
use andon_text::{Diagnostic, Span};

use super::fetch::at_once;
use super::{Event, InitError, Outcome, Provided, Request, Sink, Status, disk};
use crate::locks::{Locks, not_locked, stack_directories};
use crate::plugins::{Need, attached, capital, named, needs};

/// Where installed packages are, below the project's directory.
pub(super) const INSTALLED: &str = ".terraform/providers";

/// The protocols, by major version, that plugins may speak.
const PROTOCOLS: [&str; 2] = ["5", "6"];

/// Installs the providers that a project needs.
pub(super) fn install(
    request: &Request,
    project: &Project,
    sink: Sink<'_>,
    outcome: &mut Outcome,
) -> Result<(), InitError> {
    let attached = match attached() {
        Ok(attached) => attached,
        Err(wrong) => {
            outcome.diagnostics.push(*wrong);
            return Ok(());
        }
    };
    let mut needs = needs(project);
    for address in &request.kept {
        needs.entry(address.clone()).or_default();
    }
    let (attached, needs): (Vec<_>, Vec<_>) = needs.into_iter().partition(|(it, _)| attached.contains_key(it));
    outcome.providers.extend(attached.iter().map(|(address, _)| Provided {
        address: address.clone(),
        version: None,
        status: Status::Attached,
        origin: String::new(),
        signer: None,
    }));
    let path = request.directory.join(PROVIDER_LOCK_FILE);
    if needs.is_empty() && !path.exists() {
        return Ok(());
    }
    if request.read_only_lock && request.upgrade {
        outcome.diagnostics.push(
            Diagnostic::error("an upgrade would change the lock file, which is to stay as it is")
                .help("Leave out one of --upgrade and --lockfile=readonly."),
        );
        return Ok(());
    }
    let base = request.directory.join(INSTALLED);
    let _turn = match needs.is_empty() {
        true => None,
        false => Some(turn(&base.join("lock"), request, sink)?),
    };
    let mut directories = stack_directories(project, &request.directory);
    let (locks, wrong) = Locks::read(&request.directory, &directories);
    if wrong.has_errors() {
        outcome.diagnostics.extend(wrong);
        return Ok(());
    }
    directories.insert(0, request.directory.clone());
    directories.dedup();
    let directories: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
    let mut places = Places::new(&directories, |name| std::env::var_os(name));
    if !request.plugin_directories.is_empty() {
        places.only(&request.plugin_directories);
    }
    outcome.diagnostics.extend(places.unread.iter().map(|why| Diagnostic::warning(why.trim_end_matches('.'))));
    let hashes = HashCache::new(request.cache.clone());
    let platform = Platform::current();
    let installer = Installer { request, sink, base, places, hashes, platform, web: OnceLock::new(), locks: &locks };
    let mut lock = locks.own.clone();
    // Who attaches a provider needs no entry for it; whoever does not, does.
    lock.providers.retain(|address, _| attached.iter().any(|(it, _)| it == address));
    let results = at_once(&needs, |(address, need)| installer.provide(address, need));
    for ((address, need), result) in needs.iter().zip(results) {
        match result {
            Ok(done) => {
                outcome.diagnostics.extend(done.warnings);
                outcome.providers.push(done.provided);
                lock.providers.extend(done.locked.map(|entry| (address.clone(), entry)));
            }
            Err(Failure::Interrupted) => outcome.interrupted = true,
            Err(Failure::Said(diagnostic)) => outcome.diagnostics.push(placed(*diagnostic, need)),
        }
    }
    outcome.diagnostics.sort();
    if !outcome.diagnostics.has_errors() && !outcome.interrupted {
        write_lock(request, &path, &locks.own, &lock, outcome)?;
    }
    Ok(())
}

/// Writes the lock file where it says something else.
fn write_lock(
    request: &Request,
    path: &Path,
    old: &LockFile,
    lock: &LockFile,
    outcome: &mut Outcome,
) -> Result<(), InitError> {
    let text = lock.write();
    if lock == old && (lock.providers.is_empty() || std::fs::read_to_string(path).is_ok_and(|there| there == text)) {
        return Ok(());
    }
    if !request.read_only_lock {
        outcome.locked = true;
        return disk::replace(path, text.as_bytes());
    }
    let changed: Vec<String> = lock
        .providers
        .iter()
        .filter(|(address, entry)| old.providers.get(*address).is_none_or(|old| old.version != entry.version))
        .map(|(address, entry)| format!("{} {}", named(address), entry.version))
        .chain(
            old.providers.keys().filter(|it| !lock.providers.contains_key(*it)).map(|it| format!("no {}", named(it))),
        )
        .collect();
    outcome.diagnostics.push(match changed.as_slice() {
        [] => Diagnostic::warning("the lock file of providers would say more, and was left as it is")
            .detail("Constraints or hashes are missing in it.")
            .help("Run `andon init` without --lockfile=readonly, and commit it."),
        changed => Diagnostic::error("the lock file of providers does not fit the definitions")
            .detail(format!("It should say {}.", changed.join(", ")))
            .help("Run `andon init` without --lockfile=readonly, and commit it."),
    });
    Ok(())
}

/// A diagnostic at the place where a provider is asked for.
pub(super) fn placed(diagnostic: Diagnostic, need: &Need) -> Diagnostic {
    let asked = need.asked.iter().filter(|(_, version)| version.is_some()).chain(&need.asked).map(|(span, _)| *span);
    match asked.chain(need.place).next() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}

/// Waits until it is this run's turn.
fn turn(lock: &Path, request: &Request, sink: Sink<'_>) -> Result<Turn, InitError> {
    let mut told = false;
    loop {
        match Turn::take(lock) {
            Ok(Some(turn)) => return Ok(turn),
            Ok(None) => {}
            Err(source) => return Err(InitError::Write { path: lock.to_owned(), source }),
        }
        if !std::mem::replace(&mut told, true) {
            sink(Event::Waiting);
        }
        if request.interrupt.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(InitError::Interrupted);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Why a provider is not installed.
pub(super) enum Failure {
    Interrupted,
    Said(Box<Diagnostic>),
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Failure {
        Failure::Said(Box::new(diagnostic))
    }
}

/// What became of a provider, and what the lock file says of it then.
struct Done {
    provided: Provided,
    locked: Option<LockedProvider>,
    warnings: Vec<Diagnostic>,
}

/// Finds and brings packages.
pub(super) struct Installer<'r> {
    pub request: &'r Request,
    pub sink: Sink<'r>,
    pub base: PathBuf,
    pub places: Places,
    pub hashes: HashCache,
    pub platform: Platform,
    /// Made when somebody is to be asked.
    pub web: OnceLock<Web>,
    pub locks: &'r Locks,
}

/// A package that was brought to the disk.
pub(super) struct Brought {
    /// Where it is now: its place, or beside it.
    unpacked: PathBuf,
    /// What it comes to.
    pub hashes: BTreeSet<String>,
    /// What may go into the lock file besides.
    pub signed: BTreeSet<String>,
    pub signer: Option<String>,
    origin: String,
}

impl Installer<'_> {
    fn provide(&self, address: &ProviderAddress, need: &Need) -> Result<Done, Failure> {
        let name = named(address);
        if let Some(directory) = self.places.under_development(address) {
            if program_in(directory, &address.name).is_none() {
                let summary = format!("the provider {name} under development has no program");
                let detail = format!("`dev_overrides` names {}.", directory.display());
                return Err(Diagnostic::error(summary).detail(detail).help("Build it there.").into());
            }
            let origin = directory.display().to_string();
            let provided =
                Provided { address: address.clone(), version: None, status: Status::Kept, origin, signer: None };
            // The entry of whoever has no override stays.
            return Ok(Done { provided, locked: self.locks.own.providers.get(address).cloned(), warnings: Vec::new() });
        }
        let locked = self.locks.all.providers.get(address);
        let held = locked.filter(|_| !self.request.upgrade);
        if let Some(held) = held {
            if !need.constraint.allows(&held.version) {
                let summary = format!("the provider {name} is locked to a version that will not do");
                let detail = format!("{PROVIDER_LOCK_FILE} names {}, and {} is wanted.", held.version, wanted(need));
                let help = "`andon init --upgrade` takes another version.";
                return Err(related(Diagnostic::error(summary).detail(detail).help(help), need).into());
            }
            if let Some(done) = self.is_there(address, need, held) {
                return Ok(done);
            }
        }
        let (version, origins, warnings) = self.choose(address, need, held)?;
        let same = locked.filter(|locked| locked.version == version);
        if let Some(mut done) = same.and_then(|locked| self.is_there(address, need, locked)) {
            done.warnings = warnings;
            return Ok(done);
        }
        let (brought, hash) = self.bring(address, &version, &origins, same)?;
        let mut hashes: BTreeSet<String> = same.map(|locked| locked.hashes.clone()).unwrap_or_default();
        hashes.insert(hash);
        hashes.extend(brought.signed);
        let Brought { signer, origin, .. } = brought;
        Ok(Done {
            locked: Some(LockedProvider { version: version.clone(), constraints: constraints(need), hashes }),
            provided: Provided {
                address: address.clone(),
                version: Some(version),
                status: Status::Installed,
                origin,
                signer,
            },
            warnings,
        })
    }

    /// A provider that is installed as it is locked.
    fn is_there(&self, address: &ProviderAddress, need: &Need, locked: &LockedProvider) -> Option<Done> {
        let place = package_path(&self.base, address, &locked.version, &self.platform);
        program_in(&place, &address.name)?;
        let hash = self.hashes.hash(&place).ok()?;
        if can_be_checked(&locked.hashes) && !locked.hashes.contains(&hash) {
            return None;
        }
        let mut entry = LockedProvider { constraints: constraints(need), ..locked.clone() };
        entry.hashes.insert(hash);
        let provided = Provided {
            address: address.clone(),
            version: Some(locked.version.clone()),
            status: Status::Kept,
            origin: format!("{INSTALLED} in the project"),
            signer: None,
        };
        Some(Done { provided, locked: Some(entry), warnings: Vec::new() })
    }

    /// The newest version that will do, or the one that is locked, and the origins that have it.
    pub fn choose(
        &self,
        address: &ProviderAddress,
        need: &Need,
        held: Option<&LockedProvider>,
    ) -> Result<(Version, Vec<&Origin>, Vec<Diagnostic>), Failure> {
        let name = named(address);
        (self.sink)(Event::Asking(name.clone()));
        let origins = self.places.origins(address);
        let mut offered: Vec<(OfferedVersion, &Origin)> = Vec::new();
        let mut warnings = Vec::new();
        let mut nowhere: Vec<FetchError> = Vec::new();
        for origin in &origins {
            let versions = match self.versions(origin, address) {
                Ok((versions, said)) => {
                    warnings.extend(said.iter().map(|text| {
                        let text = text.trim().trim_end_matches('.');
                        Diagnostic::warning(format!("the registry says of {name}: {text}"))
                    }));
                    versions
                }
                Err(error @ (FetchError::NoProvider { .. } | FetchError::NoRegistry { .. })) => {
                    nowhere.push(error);
                    continue;
                }
                Err(error) => return Err(unfetched(&format!("the versions of the provider {name}"), &error)),
            };
            offered.extend(versions.into_iter().map(|version| (version, *origin)));
        }
        let will_do = |version: &Version| match held {
            Some(held) => held.version == *version,
            None => need.constraint.allows(version),
        };
        let best = offered.iter().filter(|(it, _)| will_do(&it.version)).map(|(it, _)| it).max_by_key(|it| &it.version);
        let Some(best) = best.cloned() else {
            let all: BTreeSet<&Version> = offered.iter().map(|(it, _)| &it.version).collect();
            return Err(none_will_do(address, need, held, &all, &origins, &nowhere).into());
        };
        let speaks = |it: &OfferedVersion| {
            it.protocols.is_empty()
                || it.protocols.iter().any(|it| PROTOCOLS.contains(&it.split('.').next().unwrap_or_default()))
        };
        if !speaks(&best) {
            let others = offered.iter().map(|(it, _)| it).filter(|it| speaks(it) && it.version.early.is_none());
            let other = others.map(|it| &it.version).max();
            let summary = format!("the provider {name} {} speaks a protocol that andon does not", best.version);
            let detail = format!("It speaks {}; andon speaks 5 and 6.", best.protocols.join(" and "));
            let help = other.map(|version| format!("{version} speaks one that it does: require that."));
            let help = help.unwrap_or_else(|| "Ask whoever makes it for a newer version.".to_owned());
            return Err(Diagnostic::error(summary).detail(detail).help(help).into());
        }
        let having = offered.iter().filter(|(it, _)| it.version == best.version).map(|(_, origin)| *origin);
        let mut origins: Vec<&Origin> = Vec::new();
        having.for_each(|origin| {
            if !origins.contains(&origin) {
                origins.push(origin)
            }
        });
        Ok((best.version, origins, warnings))
    }

    fn versions(
        &self,
        origin: &Origin,
        address: &ProviderAddress,
    ) -> Result<(Vec<OfferedVersion>, Vec<String>), FetchError> {
        let found = match origin {
            Origin::Directory(path) => {
                let all = available(path, address).into_iter();
                let all = all.map(|(version, ..)| OfferedVersion { version, protocols: Vec::new() });
                return Ok((all.collect(), Vec::new()));
            }
            Origin::Mirror(url) => self.web().mirrored_versions(url, address),
            Origin::Registry => self.web().provider_versions(address),
        }?;
        Ok((found.versions, found.warnings))
    }

    /// Brings a package to its place, and says what it comes to.
    fn bring(
        &self,
        address: &ProviderAddress,
        version: &Version,
        origins: &[&Origin],
        locked: Option<&LockedProvider>,
    ) -> Result<(Brought, String), Failure> {
        let name = format!("{} {version}", named(address));
        let place = package_path(&self.base, address, version, &self.platform);
        let failed = |error: io::Error| broken(&name, &error.to_string());
        let locked = locked.map(|locked| &locked.hashes).filter(|hashes| can_be_checked(hashes));
        // A mirror directory needs no second copy.
        if let Some(Origin::Directory(path)) = origins.first() {
            let packages = available(path, address);
            let mut own = packages.iter().filter(|(its, platform, _)| its == version && *platform == self.platform);
            if let Some((.., directory)) = own.clone().find(|(.., path)| path.is_dir()) {
                let origin = path.display().to_string();
                let hash = self.hashes.hash(directory).map_err(failed)?;
                self.check(&name, address, directory, &BTreeSet::from([hash.clone()]), locked, &BTreeSet::new())?;
                package::link(directory, &place).map_err(failed)?;
                let (signed, hashes) = (BTreeSet::new(), BTreeSet::new());
                return Ok((Brought { unpacked: place, hashes, signed, signer: None, origin }, hash));
            }
            if own.next().is_none() {
                let others: BTreeSet<String> = packages
                    .iter()
                    .filter(|(its, ..)| its == version)
                    .map(|(_, platform, _)| platform.to_string())
                    .collect();
                let others: Vec<String> = others.into_iter().collect();
                let summary = format!("the provider {name} has no package for {}", self.platform);
                let detail = format!("{} has it for {}.", path.display(), others.join(", "));
                return Err(Diagnostic::error(summary)
                    .detail(detail)
                    .help("Require a version that is there for it.")
                    .into());
            }
        }
        let shared = self.places.cache.as_ref().map(|cache| package_path(cache, address, version, &self.platform));
        let target = shared.as_ref().unwrap_or(&place);
        // Whoever else fetches the same into the shared directory is waited for.
        let _turn = match &shared {
            None => None,
            Some(shared) => Some(turn(&shared.with_extension("lock"), self.request, self.sink).map_err(|error| {
                if let InitError::Interrupted = error {
                    Failure::Interrupted
                } else {
                    broken(&name, &error.to_string())
                }
            })?),
        };
        if let (Some(shared), Some(locked)) = (&shared, locked) {
            // Only what is locked says that what is there is what it should be.
            let hash = program_in(shared, &address.name).and_then(|_| self.hashes.hash(shared).ok());
            if let Some(hash) = hash.filter(|hash| locked.contains(hash)) {
                package::link(shared, &place).map_err(failed)?;
                let (signed, hashes) = (BTreeSet::new(), BTreeSet::new());
                let origin = "the shared cache".to_owned();
                return Ok((Brought { unpacked: place, hashes, signed, signer: None, origin }, hash));
            }
        }
        let (archive, unpacked) = (target.with_extension("zip.tmp"), target.with_extension("tmp"));
        let brought = self.fetch(address, version, origins, locked, (&archive, &unpacked));
        let finished = brought.and_then(|brought| {
            let hash = brought.hashes.iter().find(|hash| hash.starts_with("h1:")).cloned().unwrap_or_default();
            if program_in(&brought.unpacked, &address.name).is_none() {
                let why = format!("it has no file that is called terraform-provider-{}", address.name);
                return Err(broken(&name, &why));
            }
            package::place(&brought.unpacked, target).map_err(failed)?;
            self.hashes.keep(target, &hash);
            if target != &place {
                package::link(target, &place).map_err(failed)?;
            }
            Ok((brought, hash))
        });
        let _ = std::fs::remove_file(&archive);
        let _ = package::clear(&unpacked);
        finished
    }

    /// Brings a package from the first origin that has it, unpacked into a directory.
    pub fn fetch(
        &self,
        address: &ProviderAddress,
        version: &Version,
        origins: &[&Origin],
        locked: Option<&BTreeSet<String>>,
        (archive, unpacked): (&Path, &Path),
    ) -> Result<Brought, Failure> {
        let name = format!("{} {version}", named(address));
        let failed = |error: io::Error| broken(&name, &error.to_string());
        std::fs::create_dir_all(unpacked.parent().unwrap_or(unpacked)).map_err(failed)?;
        package::clear(unpacked).map_err(failed)?;
        let origin = origins.first().copied().unwrap_or(&Origin::Registry);
        let mut allowed = BTreeSet::new();
        let (mut signed, mut signer) = (BTreeSet::new(), None);
        let words;
        let packed = match origin {
            Origin::Directory(path) => {
                words = path.display().to_string();
                let own = |(its, platform, path): &(Version, Platform, PathBuf)| {
                    its == version && *platform == self.platform && path.is_file()
                };
                let found = available(path, address).into_iter().find(own);
                found.map(|(.., path)| path).ok_or_else(|| broken(&name, "its archive is gone"))?
            }
            Origin::Mirror(_) | Origin::Registry => {
                let package = match origin {
                    Origin::Mirror(url) => {
                        words = andon_schema::source::public_url(url);
                        self.web().mirrored_package(url, address, version, &self.platform.to_string())
                    }
                    _ => {
                        words = address.host.to_string();
                        self.web().provider_package(address, version, (&self.platform.os, &self.platform.architecture))
                    }
                };
                let package = package.map_err(|error| unfetched(&format!("the provider {name}"), &error))?;
                self.download(&name, &package, archive)?;
                match origin {
                    Origin::Mirror(_) => allowed = package.hashes,
                    _ => signed = package.hashes,
                }
                signer = package.signer;
                archive.to_owned()
            }
        };
        let digest = digest_archive(&packed).map_err(failed)?;
        package::unpack(&packed, unpacked).map_err(|error| {
            let help = "Look whether the archive is whole; if so, tell whoever makes the provider.";
            Diagnostic::error(format!("the package of the provider {name} cannot be unpacked"))
                .detail(format!("{}.", capital(&error.to_string())))
                .help(help)
        })?;
        let hashes = BTreeSet::from([hash_directory(unpacked).map_err(failed)?, digest]);
        self.check(&name, address, &packed, &hashes, locked, &allowed)?;
        Ok(Brought { unpacked: unpacked.to_owned(), hashes, signed, signer, origin: words })
    }

    fn download(&self, name: &str, package: &ProviderPackage, to: &Path) -> Result<(), Failure> {
        (self.sink)(Event::Fetching(name.to_owned()));
        let progress = |bytes, total| (self.sink)(Event::Bytes(name.to_owned(), bytes, total));
        let fetched = self.web().fetch_package(package, to, &progress);
        (self.sink)(Event::Fetched(name.to_owned()));
        fetched.map_err(|error| unfetched(&format!("the provider {name}"), &error))
    }

    /// Holds what a package comes to against the lock file and against what its mirror says.
    fn check(
        &self,
        name: &str,
        address: &ProviderAddress,
        package: &Path,
        hashes: &BTreeSet<String>,
        locked: Option<&BTreeSet<String>>,
        allowed: &BTreeSet<String>,
    ) -> Result<(), Failure> {
        let found: Vec<&str> = hashes.iter().map(String::as_str).collect();
        let file = package.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let what = if file.ends_with(".tmp") { "What was fetched".to_owned() } else { package.display().to_string() };
        if let Some(locked) = locked.filter(|locked| locked.is_disjoint(hashes)) {
            let summary = format!("the package of the provider {name} is not the one that was locked");
            let help = format!(
                "If you trust what is there now, take the entry of {address} out of {PROVIDER_LOCK_FILE} and run \
                 `andon init` again. Where the entry was made on another platform, it may lack the hashes of this one."
            );
            return Err(Diagnostic::error(summary).detail(not_locked(&what, &found, locked)).help(help).into());
        }
        if can_be_checked(allowed) && allowed.is_disjoint(hashes) {
            let summary = format!("the package of the provider {name} is not the one that its mirror announces");
            let announced: Vec<&str> = allowed.iter().map(String::as_str).collect();
            let detail = format!("{what} comes to {}; announced is {}.", found.join(" and "), announced.join(" or "));
            return Err(Diagnostic::error(summary).detail(detail).help("Tell whoever keeps the mirror.").into());
        }
        Ok(())
    }

    fn web(&self) -> &Web {
        self.web.get_or_init(|| {
            let (hosts, ..) = Hosts::read(&self.request.hosts);
            Web::new(hosts, Arc::clone(&self.request.interrupt))
        })
    }
}

pub(super) fn constraints(need: &Need) -> String {
    need.constraint.clone().sorted().to_string()
}

/// What is asked for, in words.
fn wanted(need: &Need) -> String {
    if need.constraint.is_empty() { "any version".to_owned() } else { constraints(need) }
}

/// Shows each place that asks for versions, where there are several.
fn related(diagnostic: Diagnostic, need: &Need) -> Diagnostic {
    let asked: Vec<&(Span, _)> = need.asked.iter().filter(|(_, version)| version.is_some()).collect();
    let rest = asked.iter().skip(1).take(4);
    rest.fold(diagnostic, |diagnostic, (span, _)| diagnostic.related(*span, "another constraint is here"))
}

fn none_will_do(
    address: &ProviderAddress,
    need: &Need,
    held: Option<&LockedProvider>,
    all: &BTreeSet<&Version>,
    origins: &[&Origin],
    nowhere: &[FetchError],
) -> Diagnostic {
    let name = named(address);
    let newest: Vec<String> = all.iter().rev().take(5).map(|version| version.to_string()).collect();
    if all.is_empty() {
        // Most implied directories are not there.
        let is_there = |origin: &&&Origin| !matches!(origin, Origin::Directory(path) if !path.is_dir());
        let looked: Vec<String> = origins
            .iter()
            .filter(is_there)
            .map(|origin| match origin {
                Origin::Directory(path) => path.display().to_string(),
                Origin::Mirror(url) => andon_schema::source::public_url(url),
                Origin::Registry => format!("the registry of {}", address.host),
            })
            .collect();
        let looked = match (nowhere, looked.as_slice()) {
            ([only], [_]) => format!("{}.", capital(&only.to_string())),
            (_, []) => "No method of `provider_installation` is for it.".to_owned(),
            (_, looked) => format!("It was looked for in {}.", looked.join(", ")),
        };
        let help = nowhere.first().and_then(FetchError::help).unwrap_or_else(|| {
            "Look whether \"source\" in required_providers is right, and the settings of `provider_installation`."
                .to_owned()
        });
        return Diagnostic::error(format!("there is no provider {name}")).detail(looked).help(help);
    }
    let first = if newest.len() == all.len() { "" } else { ", newest first" };
    let there = format!("Offered{first}: {}.", newest.join(", "));
    match held {
        Some(held) => Diagnostic::error(format!("the provider {name} {} is locked, and cannot be had", held.version))
            .detail(there)
            .help("`andon init --upgrade` takes another version."),
        None => {
            let summary = format!("no version of the provider {name} will do");
            let help = "Ask for one that there is. An early version (with a `-`) must be asked for exactly.";
            let detail = format!("{} is wanted. {there}", wanted(need));
            related(Diagnostic::error(summary).detail(detail).help(help), need)
        }
    }
}

pub(super) fn broken(name: &str, why: &str) -> Failure {
    Diagnostic::error(format!("the provider {name} cannot be installed")).detail(format!("{}.", capital(why))).into()
}

fn unfetched(what: &str, error: &FetchError) -> Failure {
    if let FetchError::Interrupted = error {
        return Failure::Interrupted;
    }
    let diagnostic =
        Diagnostic::error(format!("cannot fetch {what}")).detail(format!("{}.", capital(&error.to_string())));
    error.help().map_or(diagnostic.clone(), |help| diagnostic.help(help)).into()
}
