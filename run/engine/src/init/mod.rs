//! Installing the modules that a project takes from elsewhere, and the provider plugins that it needs.
//!
//! The project is loaded; what its calls lack is fetched, all of it at once; and again, as what was fetched may call
//! more, until nothing is lacking. A package is fetched beside its place and moved there when it is whole, and the
//! record that names it is replaced as a whole: whatever ends a run, each package is there or it is not. Which plugins
//! are needed is known once all modules are there.

mod disk;
mod fetch;
mod mirror;
mod providers;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use andon_lang::definitions::Project;
use andon_lang::modules::{Call, Installed, LOCK_FILE, Lock, Locked, RECORD, Record};
use andon_lang::{FileSet, load};
pub use andon_provider::{Origin, Platform};
use andon_schema::source::ModuleSource;
use andon_schema::{ProviderAddress, Version};
use andon_source::{Hosts, Settings as HostSettings, Web};
use andon_text::{Diagnostic, Diagnostics, Severity, SourceMap, Span};

use crate::project::{ReadError, read_own_files, read_package};
use disk::Store;
pub use disk::changed;
use fetch::Want;
pub use mirror::{Looked, Packages, PackagesOutcome, lock_packages, mirror_packages};

/// Modules that call modules that call modules: deeper than this, something makes them up.
const DEEPEST: usize = 64;

/// What to install.
pub struct Request {
    /// The project's directory.
    pub directory: PathBuf,
    /// Take what there is now, not what is locked or installed.
    pub upgrade: bool,
    /// Fetch modules. Without it, those that are there are taken.
    pub modules: bool,
    /// Leave the lock file of providers as it is: what would change it is an error.
    pub read_only_lock: bool,
    /// Take providers from these directories alone, where there are any.
    pub plugin_directories: Vec<PathBuf>,
    /// Where hashes of installed packages are kept.
    pub cache: Option<PathBuf>,
    /// Providers of objects that there are, needed whether anything defines them or not.
    pub kept: Vec<ProviderAddress>,
    /// What is known of hosts.
    pub hosts: HostSettings,
    /// Set when the user asks for an end.
    pub interrupt: Arc<AtomicBool>,
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another run installs the same; this one waits for it.
    Waiting,
    /// A registry is asked for the versions of a module or a provider.
    Asking(String),
    /// A package is being fetched.
    Fetching(String),
    /// So many bytes of it are here, of so many where that is known.
    Bytes(String, u64, Option<u64>),
    /// A package was fetched.
    Fetched(String),
}

/// Told what happens, by any thread.
pub type Sink<'s> = &'s (dyn Fn(Event) + Sync);

/// What a run came to.
#[derive(Default)]
pub struct Outcome {
    /// Every package that the project uses now, in order of source.
    pub modules: Vec<(Installed, Status)>,
    /// How many packages were removed, as nothing calls them any more.
    pub removed: usize,
    /// Every provider that the project needs, in order of address.
    pub providers: Vec<Provided>,
    /// The lock file of providers was written.
    pub locked: bool,
    /// What is wrong, and what should be known.
    pub diagnostics: Diagnostics,
    /// The texts that they point into.
    pub sources: SourceMap,
    /// The user asked for an end.
    pub interrupted: bool,
}

/// What became of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// The provider.
    pub address: ProviderAddress,
    /// Its version; none where it is under development.
    pub version: Option<Version>,
    /// What became of it.
    pub status: Status,
    /// Where its package comes from, or is: in words.
    pub origin: String,
    /// The id of the key that its checksums are signed with, where that was looked at.
    pub signer: Option<String>,
}

/// What became of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was there.
    Kept,
    /// It was installed.
    Installed,
    /// It runs already, and was installed nowhere.
    Attached,
}

/// Why nothing could be installed at all.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file of the project could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file of the project's records could not be written.
    #[error("{path}: {source}")]
    Write {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The user asked for an end.
    #[error("interrupted; nothing was changed")]
    Interrupted,
}

/// Installs what a project needs from elsewhere.
///
/// # Errors
/// Where the project cannot be read or its records cannot be written. What is wrong with a package is in the outcome.
pub fn init(request: &Request, sink: Sink<'_>) -> Result<Outcome, InitError> {
    let (mut outcome, project) = modules(request, sink)?;
    if !outcome.diagnostics.has_errors() && !outcome.interrupted {
        providers::install(request, &project, sink, &mut outcome)?;
    }
    // A plan refuses these: it is known before anything was waited for.
    let refused = andon_lang::not_carried_out(&project, &[]).into_iter();
    outcome.diagnostics.extend(refused.map(|it| Diagnostic { severity: Severity::Warning, ..it }));
    outcome.sources = project.sources;
    Ok(outcome)
}

/// Installs what a project's modules need. The sources of what is said are the project's.
fn modules(request: &Request, sink: Sink<'_>) -> Result<(Outcome, Project), InitError> {
    let own = read_own_files(&request.directory)?;
    let before = request.directory.join(RECORD).exists();
    if !request.modules {
        let record = std::fs::read(request.directory.join(RECORD)).ok();
        let record = record.and_then(|text| Record::read(&text).ok()).unwrap_or_default();
        let mut files = own.clone();
        for root in record.modules.iter().map(|it| it.root.clone()).collect::<BTreeSet<_>>() {
            read_package(&request.directory, &root, &mut files)?;
        }
        let (project, diagnostics) = load(Arc::new(with_record(&files, &record)), "");
        return Ok((Outcome { diagnostics: complaints(&project, &diagnostics), ..Outcome::default() }, project));
    }
    let (project, diagnostics) = load(Arc::new(with_record(&own, &Record::default())), "");
    let remote = project.calls.iter().any(is_remote);
    if !remote && !before {
        return Ok((Outcome { diagnostics: complaints(&project, &diagnostics), ..Outcome::default() }, project));
    }
    let store = Store::open(request, sink)?;
    let mut install = Install::begin(request, &store, &own, sink)?;
    let project = install.run()?;
    install.end(project)
}

/// Whether a call names what must be fetched.
fn is_remote(call: &Call) -> bool {
    !matches!(call.source, None | Some(ModuleSource::Local(_)))
}

/// The project's files with a record.
fn with_record(files: &FileSet, record: &Record) -> FileSet {
    let mut files = files.clone();
    files.insert(RECORD, record.write().into_bytes());
    files
}

/// What is said of how modules are called, and of files that cannot be read: the rest is the business of `check`.
fn complaints(project: &Project, all: &Diagnostics) -> Diagnostics {
    let spans: BTreeSet<_> =
        (project.calls.iter()).flat_map(|call| [Some(call.span), call.version_span]).flatten().collect();
    let concerns = |it: &&Diagnostic| {
        let Some(span) = it.span else { return it.is_error() && project.calls.is_empty() };
        let path = project.sources.get(span.source).map(|source| source.path().clone());
        spans.contains(&span) || path.is_some_and(|path| project.unparsed.contains(&path))
    };
    all.iter().filter(concerns).cloned().collect()
}

/// Diagnostics that point into other sources, now that these hold the files.
fn moved(found: Diagnostics, from: &SourceMap, to: &SourceMap) -> Diagnostics {
    let place = |span: Span| {
        let source = from.get(span.source).and_then(|source| to.find(source.path()));
        Span { source: source.unwrap_or(span.source), ..span }
    };
    let moved = |mut it: Diagnostic| {
        it.span = it.span.map(place);
        it.related.iter_mut().for_each(|(span, _)| *span = place(*span));
        it
    };
    found.into_iter().map(moved).collect()
}

/// A run on its way.
struct Install<'r> {
    request: &'r Request,
    store: &'r Store,
    web: Web,
    sink: Sink<'r>,
    /// The project's files, and those of every package that is recorded.
    files: FileSet,
    record: Record,
    /// What was recorded before, as far as it is still whole.
    before: Record,
    lock: Lock,
    /// What failed, by what was wanted: it is not tried again.
    failed: BTreeSet<String>,
    found: Diagnostics,
    interrupted: bool,
}

impl<'r> Install<'r> {
    fn begin(request: &'r Request, store: &'r Store, own: &FileSet, sink: Sink<'r>) -> Result<Install<'r>, InitError> {
        let (hosts, odd, places) = Hosts::read(&request.hosts);
        let web = Web::new(hosts, Arc::clone(&request.interrupt));
        let mut found = Diagnostics::new();
        // The settings are none of the project's sources: the place is said in words.
        found.extend(odd.iter().map(|error| {
            let place = error.span.map(|span| format!("{}: ", places.locate(span))).unwrap_or_default();
            Diagnostic::warning(format!("{place}{}", error.summary)).detail("Tokens and hosts after it may be missing.")
        }));
        // The lock file is none of the project's sources: its place is said in words.
        let lock = crate::lock_file::read(&request.directory).unwrap_or_else(|failure| {
            let diagnostic = Diagnostic::error(failure.summary).detail(failure.detail);
            found.push(failure.help.into_iter().fold(diagnostic, Diagnostic::help));
            Lock::default()
        });
        let before = store.whole(&mut found);
        let is_local = |it: &Installed| it.source.starts_with("file://");
        // What is on this machine may have changed, and is quickly taken again.
        let kept = before.modules.iter().filter(|it| !request.upgrade && !is_local(it)).cloned().collect();
        let mut install = Install {
            request,
            store,
            web,
            sink,
            files: own.clone(),
            record: Record { modules: kept },
            before,
            lock,
            failed: BTreeSet::new(),
            found,
            interrupted: false,
        };
        for root in install.record.modules.iter().map(|it| it.root.clone()).collect::<BTreeSet<_>>() {
            read_package(&request.directory, &root, &mut install.files)?;
        }
        Ok(install)
    }

    /// Fetches until nothing is lacking that can be had.
    fn run(&mut self) -> Result<(Project, Diagnostics), InitError> {
        let mut sources = SourceMap::new();
        for _ in 0..DEEPEST {
            let (project, diagnostics) = load(Arc::new(with_record(&self.files, &self.record)), "");
            // The same files have other ids where more files were read.
            self.found = moved(std::mem::take(&mut self.found), &sources, &project.sources);
            let lacking = project.calls.iter().filter(|call| is_remote(call) && call.installed.is_none());
            let wants: Vec<Want> = Want::of(lacking, &self.failed);
            if wants.is_empty() || self.interrupted {
                return Ok((project, diagnostics));
            }
            self.take(wants)?;
            sources = project.sources;
        }
        let (project, diagnostics) = load(Arc::new(with_record(&self.files, &self.record)), "");
        self.found = moved(std::mem::take(&mut self.found), &sources, &project.sources);
        self.found.push(
            Diagnostic::error(format!("modules call modules that are not installed yet, {DEEPEST} deep"))
                .help("Look at the innermost of them: it may call a new version of itself each time."),
        );
        Ok((project, diagnostics))
    }

    /// Writes down what there is, and removes what nothing needs any more.
    fn end(mut self, (project, loaded): (Project, Diagnostics)) -> Result<(Outcome, Project), InitError> {
        let mut said: BTreeSet<_> = self.found.iter().filter_map(|it| it.span).collect();
        // What could not be fetched has been said, and better.
        said.extend(project.calls.iter().filter(|call| is_remote(call) && self.has_failed(call)).map(|call| call.span));
        let rest = complaints(&project, &loaded);
        self.found.extend(rest.into_iter().filter(|it| it.span.is_none_or(|span| !said.contains(&span))));
        let sound = !self.found.has_errors() && !self.interrupted;
        let mut modules: Vec<Installed> = Vec::new();
        for (at, module) in self.record.modules.iter().enumerate() {
            let mut calls: Vec<String> =
                project.calls.iter().filter(|call| call.installed == Some(at)).map(Call::address).collect();
            calls.sort();
            if !calls.is_empty() || !sound {
                modules.push(Installed { calls, ..module.clone() });
            }
        }
        if !sound {
            // What was there stays, so that a run that failed takes nothing away.
            let new = |old: &&Installed| !modules.iter().any(|it| it.source == old.source && it.version == old.version);
            let kept: Vec<Installed> = self.before.modules.iter().filter(new).cloned().collect();
            modules.extend(kept);
        }
        modules.sort_by(|one, other| (&one.source, &one.version).cmp(&(&other.source, &other.version)));
        let record = Record { modules };
        self.store.write_record(&record)?;
        let mut removed = 0;
        if sound {
            removed = self.store.remove_all_but(&record)?;
            self.write_lock(&record)?;
        }
        let status = |it: &Installed| match self.before.modules.iter().any(|old| old.root == it.root) {
            true => Status::Kept,
            false => Status::Installed,
        };
        let modules = record.modules.iter().map(|it| (it.clone(), status(it))).collect();
        let Install { mut found, interrupted, .. } = self;
        found.sort();
        Ok((Outcome { modules, removed, diagnostics: found, interrupted, ..Outcome::default() }, project))
    }

    fn has_failed(&self, call: &Call) -> bool {
        Want::key(call).is_some_and(|key| self.failed.contains(&key))
    }

    /// Writes the lock file where it says something else, or where there is none and something to say.
    fn write_lock(&self, record: &Record) -> Result<(), InitError> {
        let locked = |it: &Installed| Locked {
            source: it.source.clone(),
            version: it.version.clone(),
            commit: it.commit.clone(),
            hash: it.hash.clone(),
        };
        // What is on this machine is nobody else's.
        let elsewhere = record.modules.iter().filter(|it| !it.source.starts_with("file://"));
        let mut modules: Vec<Locked> = elsewhere.map(locked).collect();
        modules.sort();
        modules.dedup();
        let mut old = self.lock.modules.clone();
        old.sort();
        if modules == old {
            return Ok(());
        }
        // What images are baked with may have been written meanwhile.
        let changed = crate::lock_file::change(&self.request.directory, |lock| lock.modules = modules);
        changed.map(drop).map_err(|failure| InitError::Write {
            path: self.request.directory.join(LOCK_FILE),
            source: std::io::Error::other(format!("{}: {}", failure.summary, failure.detail)),
        })
    }

    fn check(&mut self) {
        self.interrupted |= self.request.interrupt.load(Ordering::Relaxed);
    }
}
