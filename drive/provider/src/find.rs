//! Finding a plugin's file: the newest version that will do, in the first place that has it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use andon_schema::{ProviderAddress, Version, VersionConstraint};

use crate::installation::Places;
use crate::platform::Platform;

/// Which plugin is looked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The provider.
    pub address: ProviderAddress,
    /// The versions that will do.
    pub constraint: VersionConstraint,
    /// The one version that will do, where a lock file names one.
    pub locked: Option<Version>,
}

/// Where a plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its version; none where it is under development.
    pub version: Option<Version>,
    /// Its program.
    pub program: Program,
}

/// The program of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Ready to be started.
    File(PathBuf),
    /// In an archive; see [`SchemaCache::unpack`](crate::SchemaCache::unpack).
    Packed(PathBuf),
}

/// Why a plugin is not at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// No version is installed anywhere.
    Nowhere,
    /// Other versions are installed.
    Version {
        /// Those, in order.
        have: Vec<Version>,
        /// What would do.
        want: String,
    },
    /// The version is installed without a program for this machine.
    NoProgram(PathBuf),
}

impl fmt::Display for NotFound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotFound::Nowhere => write!(out, "it is not installed"),
            NotFound::Version { have, want } => {
                let have: Vec<String> = have.iter().map(Version::to_string).collect();
                let verb = if have.len() == 1 { "is" } else { "are" };
                write!(out, "{} {verb} installed, and {want} is wanted", have.join(", "))
            }
            NotFound::NoProgram(path) => write!(out, "there is no program for it in {}", path.display()),
        }
    }
}

/// Finds a plugin.
pub fn find(request: &Request, places: &Places) -> Result<Found, NotFound> {
    let Request { address, constraint, locked } = request;
    if let Some((_, directory)) = places.overrides.iter().find(|(overridden, _)| overridden == address) {
        let program = program_in(directory, &address.name);
        let program = program.ok_or_else(|| NotFound::NoProgram(directory.clone()))?;
        return Ok(Found { version: None, program: Program::File(program) });
    }
    let mut installed: Vec<(Version, PathBuf)> = Vec::new();
    for installation in places.installations.iter().filter(|installation| installation.offers(address)) {
        for (version, directory) in versions_in(&installation.path, address) {
            // The first place that has a version is preferred.
            if !installed.iter().any(|(known, _)| *known == version) {
                installed.push((version, directory));
            }
        }
    }
    installed.sort();
    if installed.is_empty() {
        return Err(NotFound::Nowhere);
    }
    let will_do = |version: &Version| match locked {
        Some(locked) => version == locked,
        None => constraint.allows(version),
    };
    let Some((version, directory)) = installed.iter().rev().find(|(version, _)| will_do(version)) else {
        let want = locked.as_ref().map_or_else(|| constraint.to_string(), Version::to_string);
        return Err(NotFound::Version { have: installed.into_iter().map(|(version, _)| version).collect(), want });
    };
    let program = match directory.is_dir() {
        true => {
            Program::File(program_in(directory, &address.name).ok_or_else(|| NotFound::NoProgram(directory.clone()))?)
        }
        false => Program::Packed(directory.clone()),
    };
    Ok(Found { version: Some(version.clone()), program })
}

/// The versions of a provider in an installation that are there for this machine, each with its directory or archive.
fn versions_in(base: &Path, address: &ProviderAddress) -> Vec<(Version, PathBuf)> {
    let own = Platform::current();
    let all = available(base, address).into_iter();
    all.filter(|(_, platform, _)| *platform == own).map(|(version, _, path)| (version, path)).collect()
}

/// The packages of a provider in a directory of packages, for whatever machine: each is a directory or an archive.
pub fn available(base: &Path, address: &ProviderAddress) -> Vec<(Version, Platform, PathBuf)> {
    let directory = base.join(&*address.host).join(&*address.namespace).join(&*address.name);
    let before = format!("terraform-provider-{}_", address.name);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Some(name) = name.to_str() else { continue };
        if let Some(rest) = name.strip_prefix(&before).and_then(|rest| rest.strip_suffix(".zip")) {
            let parts = rest.split_once('_').and_then(|(version, platform)| {
                Some((version.parse().ok()?, platform.parse().ok()?, path.clone())).filter(|_| path.is_file())
            });
            found.extend(parts);
        } else if let Ok(version) = name.parse::<Version>() {
            let inner = fs::read_dir(&path).into_iter().flatten().flatten();
            found.extend(inner.filter_map(|entry| {
                let platform = entry.file_name().to_str()?.parse().ok()?;
                Some((version.clone(), platform, entry.path())).filter(|(.., path)| path.is_dir())
            }));
        }
    }
    found
}

/// The program of a package: the first file, in the order of names, that is called after the provider.
pub fn program_in(directory: &Path, name: &str) -> Option<PathBuf> {
    let stem = format!("terraform-provider-{name}");
    let mut names: Vec<_> = fs::read_dir(directory).ok()?.flatten().filter(|entry| entry.path().is_file()).collect();
    names.sort_by_key(fs::DirEntry::file_name);
    let is_program = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(&stem));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '.']))
    };
    names.iter().find(|entry| is_program(entry)).map(fs::DirEntry::path)
}
