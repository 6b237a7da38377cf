//! The lock files of a project's providers, and the programs that they allow to be run.
//!
//! A project has one lock file, in its own directory, and all its stacks use one version of a provider. Lock files in the
//! directories of stacks are read for what the project's does not name, and left as they are.

use std::path::{Path, PathBuf};

use andon_lang::definitions::Project;
use andon_provider::{
    HashCache, LockFile, LockedProvider, NotFound, PROVIDER_LOCK_FILE, Places, Program, Request, SchemaCache,
    can_be_checked, digest_archive, find,
};
use andon_schema::{ProviderAddress, VersionConstraint};
use andon_text::{Diagnostic, Diagnostics};

use crate::plugins::named;

/// The lock files of a project.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    /// The project's own.
    pub own: LockFile,
    /// The same, with what only the stacks' have. The first one that names a provider counts.
    pub all: LockFile,
}

impl Locks {
    /// Reads the lock files of a project with stacks in these directories. What is wrong with one is an error: what it
    /// means to hold fast must not be passed over.
    pub fn read(directory: &Path, stacks: &[PathBuf]) -> (Locks, Diagnostics) {
        let mut found = Diagnostics::new();
        let mut read = |directory: &Path| {
            let path = directory.join(PROVIDER_LOCK_FILE);
            let text = std::fs::read_to_string(&path).ok()?;
            let lock = LockFile::read(&text);
            let complain = |why: &dyn std::fmt::Display| {
                Diagnostic::error(format!("{} is not understood", path.display()))
                    .detail(format!("{why}."))
                    .help("Restore it from version control, or delete it, and run `andon init`.")
            };
            lock.map_err(|error| found.push(complain(&error))).ok()
        };
        let own = read(directory).unwrap_or_default();
        let mut all = own.clone();
        for stack in stacks.iter().filter(|stack| *stack != directory) {
            for (address, entry) in read(stack).unwrap_or_default().providers {
                all.providers.entry(address).or_insert(entry);
            }
        }
        (Locks { own, all }, found)
    }
}

/// The directories of a project's stacks.
pub(crate) fn stack_directories(project: &Project, directory: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = project.stacks.values().map(|stack| directory.join(&*stack.module.directory)).collect();
    all.dedup();
    all
}

/// Finds the programs that the lock file allows to be run. A plan or an apply starts no others.
pub struct Verifier {
    places: Places,
    locks: Locks,
    hashes: HashCache,
    packages: SchemaCache,
}

impl Verifier {
    /// For a project in a directory; `cache` is where hashes of packages are kept, so that one is computed once.
    ///
    /// # Errors
    /// Where a lock file is not understood.
    pub fn open(project: &Project, directory: &Path, cache: Option<PathBuf>) -> Result<Verifier, Diagnostics> {
        let mut directories = stack_directories(project, directory);
        let (locks, found) = Locks::read(directory, &directories);
        if found.has_errors() {
            return Err(found);
        }
        directories.insert(0, directory.to_owned());
        let directories: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
        let places = Places::new(&directories, |name| std::env::var_os(name));
        Ok(Verifier { places, locks, hashes: HashCache::new(cache.clone()), packages: SchemaCache::new(cache) })
    }

    /// The program of a provider: the version that the lock file names, with a package that comes to what is locked.
    /// Of a provider under development it is whatever is there.
    ///
    /// # Errors
    /// What is not as it should be, and that `andon init` puts it right. The place is the caller's to add.
    pub fn program(&self, address: &ProviderAddress, wanted: &VersionConstraint) -> Result<PathBuf, Diagnostic> {
        let name = named(address);
        let wrong = |summary: String, detail: String| Diagnostic::error(summary).detail(detail).help(INSTALL);
        let entry = self.locks.all.providers.get(address);
        let developed = self.places.under_development(address).is_some();
        match entry {
            None if !developed => {
                return Err(wrong(
                    format!("the provider {name} is not installed"),
                    format!("{PROVIDER_LOCK_FILE} does not name it."),
                ));
            }
            Some(entry) if !developed && !wanted.allows(&entry.version) => {
                let summary = format!("the provider {name} is locked to a version that will not do");
                let detail = format!("{PROVIDER_LOCK_FILE} names {}, and {wanted} is wanted.", entry.version);
                return Err(wrong(summary, detail).help("`andon init --upgrade` takes another version."));
            }
            _ => {}
        }
        let locked = entry.map(|entry| entry.version.clone());
        let request = Request { address: address.clone(), constraint: wanted.clone(), locked };
        let found = find(&request, &self.places).map_err(|why| match why {
            NotFound::NoProgram(_) => wrong(format!("the provider {name} has no program"), format!("{why}.")),
            why => wrong(format!("the provider {name} is not installed"), format!("{why}.")),
        })?;
        let unreadable = |error: std::io::Error| {
            wrong(format!("the package of the provider {name} cannot be read"), format!("{error}."))
        };
        let (program, archive) = match found.program {
            Program::File(program) => (program, None),
            Program::Packed(archive) => {
                let program = self.packages.unpack(&archive, &address.name).map_err(unreadable)?;
                (program, Some(archive))
            }
        };
        match entry.filter(|_| found.version.is_some()) {
            Some(entry) => hold(address, entry, &program, archive.as_deref(), &self.hashes).map(|()| program),
            None => Ok(program),
        }
    }
}

/// Holds the package of a program against what is locked; `archive` is what it was unpacked from, if anything.
///
/// # Errors
/// Where it is another package, or cannot be read.
pub(crate) fn hold(
    address: &ProviderAddress,
    entry: &LockedProvider,
    program: &Path,
    archive: Option<&Path>,
    hashes: &HashCache,
) -> Result<(), Diagnostic> {
    if !can_be_checked(&entry.hashes) {
        return Ok(());
    }
    let name = named(address);
    let package = program.parent().unwrap_or(program);
    let hash = hashes.hash(package).map_err(|error| {
        let summary = format!("the package of the provider {name} cannot be read");
        Diagnostic::error(summary).detail(format!("{error}.")).help(INSTALL)
    })?;
    let digest = || archive.and_then(|archive| digest_archive(archive).ok());
    if entry.hashes.contains(&hash) || digest().is_some_and(|digest| entry.hashes.contains(&digest)) {
        return Ok(());
    }
    let summary = format!("the package of the provider {name} {} is not the one that was locked", entry.version);
    let detail = not_locked(&package.display().to_string(), &[&hash], &entry.hashes);
    Err(Diagnostic::error(summary).detail(detail).help(INSTALL))
}

const INSTALL: &str = "Run `andon init`.";

/// Which hashes a package has, and which it should have.
pub(crate) fn not_locked<'h>(
    package: &str,
    found: &[&str],
    locked: impl IntoIterator<Item = &'h String, IntoIter: Clone>,
) -> String {
    let locked = locked.into_iter();
    // Those of the kinds that the package has say most.
    let of_kind = |hash: &&String| found.iter().any(|found| found.get(..3) == hash.get(..3));
    let mut shown: Vec<&str> = locked.clone().filter(of_kind).map(String::as_str).collect();
    if shown.is_empty() {
        shown = locked.map(String::as_str).collect();
    }
    let more = shown.len().saturating_sub(4);
    shown.truncate(4);
    let more = if more > 0 { format!(" or one of {more} more") } else { String::new() };
    format!("{package} comes to {}; {PROVIDER_LOCK_FILE} has {}{more}.", found.join(" and "), shown.join(" or "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use andon_lang::FileSet;
    use andon_provider::{Platform, hash_directory};

    use super::*;

    #[test]
    fn only_what_is_locked_may_be_run() {
        let root = std::env::temp_dir().join(format!("andon-locks-{}", std::process::id()));
        let package = root.join(".terraform/providers/a.example/b/c/1.0.0").join(Platform::current().to_string());
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("terraform-provider-c"), "#!/bin/sh\n").unwrap();
        let hash = hash_directory(&package).unwrap();
        let entry = |version: &str, hashes: &str| {
            format!("provider \"a.example/b/c\" {{\n  version = \"{version}\"\n  hashes = [{hashes}]\n}}\n")
        };
        let project = andon_lang::load(Arc::new(FileSet::default()), "").0;
        let address = ProviderAddress::parse("a.example/b/c").unwrap();
        let other = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        for (lock, wanted, expected) in [
            (entry("1.0.0", &format!("\"{hash}\", \"{other}\"")), "~> 1.0", Ok(())),
            (entry("1.0.0", ""), "", Ok(())),
            (entry("1.0.0", "\"zz:1\""), "", Ok(())),
            (String::new(), "", Err("the provider a.example/b/c is not installed")),
            (entry("1.1.0", ""), "", Err("the provider a.example/b/c is not installed")),
            (entry("1.0.0", ""), "> 1", Err("the provider a.example/b/c is locked to a version that will not do")),
            (
                entry("1.0.0", &format!("\"{other}\", \"zh:00\"")),
                "",
                Err("the package of the provider a.example/b/c 1.0.0 is not the one that was locked"),
            ),
            ("provider {".to_owned(), "", Err("is not understood")),
        ] {
            fs::write(root.join(PROVIDER_LOCK_FILE), &lock).unwrap();
            let program = Verifier::open(&project, &root, Some(root.join("cache")))
                .map_err(|found| found.iter().next().unwrap().clone())
                .and_then(|verifier| verifier.program(&address, &wanted.parse().unwrap()));
            match (program, expected) {
                (Ok(program), Ok(())) => assert_eq!(program, package.join("terraform-provider-c")),
                (Err(error), Err(part)) => {
                    assert!(error.summary.contains(part), "{lock}: {error:?}");
                    assert!(format!("{error:?}").contains("andon init"), "{error:?}");
                }
                (program, expected) => assert_eq!(program.is_ok(), expected.is_ok(), "{lock}: {program:?}"),
            }
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
