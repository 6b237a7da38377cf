//! One round: every module that is lacking is looked up, located and fetched, all of them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use andon_lang::modules::{Call, Installed, choose, parse_source};
use andon_schema::source::{ModuleSource, Package, RegistryModule};
use andon_schema::{Version, VersionConstraint};
use andon_source::{FetchError, Fetched, Taken};
use andon_text::{Diagnostic, Span};

use super::{Event, InitError, Install, disk};
use crate::project::read_package;

/// How many things are fetched at once.
const AT_ONCE: usize = 8;

/// How often one page may lead to the next.
const LONGEST_WAY: usize = 10;

/// What one or more calls want.
pub(super) struct Want {
    pub key: String,
    pub source: ModuleSource,
    pub versions: VersionConstraint,
    pub name: String,
    pub span: Span,
    pub version_span: Option<Span>,
    pub others: Vec<Span>,
}

/// A package to fetch, and what it is to be recorded as.
struct Target {
    want: usize,
    source: String,
    version: Option<Version>,
    package: Package,
    inner: String,
    from: Option<String>,
}

impl Want {
    /// What a call wants; `None` where it is of the project itself.
    pub fn key(call: &Call) -> Option<String> {
        match call.source.as_ref()? {
            ModuleSource::Local(_) => None,
            ModuleSource::Registry { module, .. } => Some(format!("{module} {}", call.versions)),
            ModuleSource::Package { package, .. } => Some(package.to_string()),
        }
    }

    /// What calls want that lack a module, each want once, without what has failed.
    pub fn of<'c>(calls: impl Iterator<Item = &'c Call>, failed: &BTreeSet<String>) -> Vec<Want> {
        let mut wants: BTreeMap<String, Want> = BTreeMap::new();
        for call in calls {
            let (Some(key), Some(source)) = (Want::key(call), call.source.clone()) else { continue };
            if failed.contains(&key) {
                continue;
            }
            let want = Want {
                key: key.clone(),
                source,
                versions: call.versions.clone(),
                name: call.name.to_string(),
                span: call.span,
                version_span: call.version_span,
                others: Vec::new(),
            };
            wants.entry(key).and_modify(|first| first.others.push(call.span)).or_insert(want);
        }
        wants.into_values().collect()
    }

    fn complain(&self, error: &FetchError) -> Diagnostic {
        let diagnostic = Diagnostic::error(format!("module \"{}\" cannot be fetched", self.name)).at(self.span);
        let diagnostic = diagnostic.detail(format!("{}.", error.to_string().trim_end_matches('.')));
        let diagnostic = error.help().into_iter().fold(diagnostic, Diagnostic::help);
        self.others.iter().take(4).fold(diagnostic, |it, other| it.related(*other, "it is called here, too"))
    }
}

impl Install<'_> {
    /// Fetches what is wanted, and records it. What fails is complained about and remembered.
    pub(super) fn take(&mut self, wants: Vec<Want>) -> Result<(), InitError> {
        let targets = self.locate(&wants);
        let mut groups: BTreeMap<String, Vec<Target>> = BTreeMap::new();
        for target in targets {
            groups.entry(target.package.to_string()).or_default().push(target);
        }
        let groups: Vec<Vec<Target>> = groups.into_values().collect();
        let fetched = at_once(&groups, |group| group.first().map(|target| self.fetch(target)));
        for (group, fetched) in groups.iter().zip(fetched) {
            match fetched {
                Some(Ok(package)) => self.keep(&wants, group, package)?,
                Some(Err(error)) => {
                    for want in group.iter().filter_map(|target| wants.get(target.want)) {
                        self.fail(want, &error);
                    }
                }
                None => {}
            }
        }
        self.check();
        Ok(())
    }

    fn fail(&mut self, want: &Want, error: &FetchError) {
        match error {
            FetchError::Interrupted => self.interrupted = true,
            error => self.found.push(want.complain(error)),
        }
        self.failed.insert(want.key.clone());
    }

    /// Chooses versions, and finds out where they are.
    fn locate(&mut self, wants: &[Want]) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut registry: BTreeMap<&RegistryModule, Vec<usize>> = BTreeMap::new();
        for (at, want) in wants.iter().enumerate() {
            match &want.source {
                ModuleSource::Local(_) => {}
                ModuleSource::Registry { module, .. } => registry.entry(module).or_default().push(at),
                ModuleSource::Package { package, .. } => targets.push(Target {
                    want: at,
                    source: package.to_string(),
                    version: None,
                    package: package.clone(),
                    inner: String::new(),
                    from: None,
                }),
            }
        }
        let modules: Vec<(&RegistryModule, Vec<usize>)> = registry.into_iter().collect();
        let listed = at_once(&modules, |(module, _)| {
            (self.sink)(Event::Asking(module.to_string()));
            self.web.versions(module)
        });
        let mut chosen: Vec<(usize, &RegistryModule, Version)> = Vec::new();
        for ((module, calls), listed) in modules.iter().zip(listed) {
            for want in calls.iter().filter_map(|at| wants.get(*at).map(|want| (*at, want))) {
                match &listed {
                    Err(error) => self.fail(want.1, error),
                    Ok(listed) => {
                        if let Some(version) = self.choose(want.1, module, listed) {
                            chosen.push((want.0, module, version));
                        }
                    }
                }
            }
        }
        let distinct: Vec<(&RegistryModule, &Version)> = {
            let all: BTreeSet<_> = chosen.iter().map(|(_, module, version)| (*module, version)).collect();
            all.into_iter().collect()
        };
        let located = at_once(&distinct, |(module, version)| self.web.location(module, &version.to_string()));
        for ((module, version), location) in distinct.iter().zip(located) {
            let wanted = chosen.iter().filter(|(_, other, chosen)| other == module && chosen == *version);
            for want in wanted.map(|(at, ..)| *at).collect::<Vec<_>>() {
                let target = location.as_ref().map_err(|error| format!("{error}")).and_then(|location| {
                    let parsed = parse_source(location).map_err(|error| error.problem);
                    match parsed.map_err(|why| format!("the registry says that it is at `{location}`: {why}"))? {
                        ModuleSource::Package { package, directory } => Ok((package, directory.to_string())),
                        other => Err(format!("the registry says that it is at `{other}`, which is no package")),
                    }
                });
                match (target, &location) {
                    (Ok((package, inner)), _) => targets.push(Target {
                        want,
                        source: module.to_string(),
                        version: Some((*version).clone()),
                        from: Some(package.to_string()),
                        package,
                        inner,
                    }),
                    (Err(_), Err(error)) => wants.get(want).into_iter().for_each(|want| self.fail(want, error)),
                    (Err(why), Ok(_)) => {
                        let Some(want) = wants.get(want) else { continue };
                        let host = module.host.to_string();
                        self.fail(want, &FetchError::Odd { url: host, why });
                    }
                }
            }
        }
        targets
    }

    /// The version to take; complains where there is none.
    fn choose(&mut self, want: &Want, module: &RegistryModule, listed: &[String]) -> Option<Version> {
        let parsed = |text: &String| text.strip_prefix('v').unwrap_or(text).parse::<Version>().ok();
        let mut there: Vec<Version> = listed.iter().filter_map(parsed).collect();
        there.sort();
        there.reverse();
        let locked = if self.request.upgrade { Vec::new() } else { self.lock.versions(&module.to_string()) };
        if let Some(version) = choose(&want.versions, &locked, &there) {
            return Some(version.clone());
        }
        let names: Vec<String> = there.iter().take(10).map(Version::to_string).collect();
        let more = there.len().saturating_sub(names.len());
        let diagnostic = match (names.is_empty(), want.version_span) {
            (true, _) => Diagnostic::error(format!("module \"{}\" has no versions", want.name))
                .detail(format!("{} lists none of {module}.", module.host)),
            (false, span) => {
                let what = match span {
                    Some(_) => format!("no version of module \"{}\" is allowed by \"{}\"", want.name, want.versions),
                    None => format!("module \"{}\" has only early versions", want.name),
                };
                let more = if more > 0 { format!(" and {more} older") } else { String::new() };
                let early = there.iter().any(|version| version.early.is_some());
                let diagnostic = Diagnostic::error(what).detail(format!("There are {}{more}.", names.join(", ")));
                if early {
                    diagnostic
                        .help("A version before a release, as 1.0.0-beta1, is taken only where it is named exactly.")
                } else {
                    diagnostic.help("Change the constraint so that one of them will do.")
                }
            }
        };
        self.found.push(diagnostic.at(want.version_span.unwrap_or(want.span)));
        self.failed.insert(want.key.clone());
        None
    }

    /// Fetches one package, wherever pages lead.
    fn fetch(&self, target: &Target) -> Result<Here, FetchError> {
        let place = self.store.unfinished();
        let outcome = self.follow(target, &place);
        if outcome.is_err() {
            let _ = std::fs::remove_dir_all(&place);
        }
        outcome
    }

    fn follow(&self, target: &Target, place: &Path) -> Result<Here, FetchError> {
        let label = match &target.version {
            Some(version) => format!("{} {version}", target.source),
            None => target.source.clone(),
        };
        (self.sink)(Event::Fetching(label.clone()));
        let locked = self.lock.find(&target.source, target.version.as_ref()).filter(|_| !self.request.upgrade);
        let commit = locked.and_then(|locked| locked.commit.as_deref());
        let (mut package, mut inner) = (target.package.clone(), target.inner.clone());
        for _ in 0..LONGEST_WAY {
            let progress = |bytes, total| (self.sink)(Event::Bytes(label.clone(), bytes, total));
            match self.web.fetch(&package, commit, place, &progress)? {
                Fetched::Here(taken) => {
                    let hash = disk::hash(place)?;
                    let inner = expand(place, &inner)?;
                    (self.sink)(Event::Fetched(label));
                    return Ok(Here { place: place.to_owned(), taken, hash, inner });
                }
                Fetched::Elsewhere(source) => {
                    let page = package.to_string();
                    let odd = |why: String| FetchError::Odd { url: page.clone(), why };
                    let shown = andon_schema::source::public_url(&source);
                    match parse_source(&source)
                        .map_err(|error| odd(format!("it leads to `{shown}`: {}", error.problem)))?
                    {
                        ModuleSource::Package { package: Package::Directory { .. } | Package::File { .. }, .. } => {
                            return Err(odd(format!("it leads to `{shown}`, a file of this machine")));
                        }
                        ModuleSource::Package { package: next, directory } => {
                            inner = [&*inner, &*directory]
                                .iter()
                                .rev()
                                .filter(|it| !it.is_empty())
                                .copied()
                                .collect::<Vec<_>>()
                                .join("/");
                            package = next;
                        }
                        _ => return Err(odd(format!("it leads to `{shown}`, which is no package"))),
                    }
                }
            }
        }
        Err(FetchError::Odd { url: target.package.to_string(), why: "it leads from one page to the next".to_owned() })
    }

    /// Puts a package in its place and records it, unless it is not the one that is locked.
    fn keep(&mut self, wants: &[Want], group: &[Target], here: Here) -> Result<(), InitError> {
        let mut placed: Option<String> = None;
        for target in group {
            let Some(want) = wants.get(target.want) else { continue };
            let locked = self.lock.find(&target.source, target.version.as_ref()).filter(|_| !self.request.upgrade);
            if let Some(locked) = locked.filter(|locked| locked.hash != here.hash) {
                self.found.push(
                    Diagnostic::error(format!("module \"{}\" is not what it was", want.name))
                        .at(want.span)
                        .label("its content has changed")
                        .detail(format!(
                            "{} has the digest {}, and the lock file says {}.",
                            target.source, here.hash, locked.hash
                        ))
                        .help("Find out why it changed. If that is as it should be, run `andon init --upgrade`."),
                );
                self.failed.insert(want.key.clone());
                continue;
            }
            if let (Some(now), Some(commit)) = (&here.taken.moved, &here.taken.commit) {
                self.found.push(
                    Diagnostic::warning(format!("the tag of module \"{}\" was moved", want.name))
                        .at(want.span)
                        .detail(format!("It is commit {now} now; {commit} is locked, and was taken again."))
                        .help("Find out why it was moved. To take what it is now, run `andon init --upgrade`."),
                );
            }
            let root = match &placed {
                Some(root) => root.clone(),
                None => {
                    let name = match (&want.source, &target.version) {
                        (ModuleSource::Registry { module, .. }, Some(version)) => format!("{}-{version}", module.name),
                        _ => target.package.name().to_owned(),
                    };
                    let root = self.store.place(&here.place, &name, &here.hash)?;
                    read_package(&self.request.directory, &root, &mut self.files)?;
                    placed.insert(root).clone()
                }
            };
            let same = |it: &Installed| *it.source == *target.source && it.version == target.version;
            if !self.record.modules.iter().any(same) {
                self.record.modules.push(Installed {
                    source: target.source.as_str().into(),
                    version: target.version.clone(),
                    root: root.into(),
                    inner: here.inner.as_str().into(),
                    from: target.from.clone(),
                    commit: here.taken.commit.clone(),
                    hash: here.hash.clone(),
                    calls: Vec::new(),
                });
            }
        }
        if placed.is_none() {
            disk::remove(&here.place)?;
        }
        Ok(())
    }
}

/// A package that was fetched, not in its place yet.
struct Here {
    place: std::path::PathBuf,
    taken: Taken,
    hash: String,
    inner: String,
}

/// A directory of a package, of which each part that is `*` stands for the only directory that there is.
fn expand(root: &Path, pattern: &str) -> Result<String, FetchError> {
    let mut found: Vec<String> = Vec::new();
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !part.contains('*') {
            found.push(part.to_owned());
            continue;
        }
        let (before, after) = part.split_once('*').unwrap_or((part, ""));
        let place = root.join(found.join("/"));
        let names = std::fs::read_dir(&place).into_iter().flatten().flatten();
        let names =
            names.filter(|entry| entry.path().is_dir()).filter_map(|entry| entry.file_name().into_string().ok());
        let met = |name: &String| {
            name.len() + 1 >= part.len() && name.starts_with(before) && name.ends_with(after.trim_start_matches('*'))
        };
        let mut names: Vec<String> = names.filter(met).collect();
        match (names.pop(), names.is_empty()) {
            (Some(name), true) => found.push(name),
            (None, _) => return Err(FetchError::Archive(format!("no directory in it is `{pattern}`"))),
            _ => return Err(FetchError::Archive(format!("more than one directory in it is `{pattern}`"))),
        }
    }
    Ok(found.join("/"))
}

/// Does something with each of many things, a few at once, and gives what came of each in their order.
pub(super) fn at_once<T: Sync, R: Send>(all: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(all.len()));
    std::thread::scope(|scope| {
        for _ in 0..all.len().min(AT_ONCE) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = all.get(at) else { return };
                    let result = each(item);
                    if let Ok(mut done) = done.lock() {
                        done.push((at, result));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_only_directory() {
        let root = std::env::temp_dir().join(format!("andon-expand-{}", std::process::id()));
        for path in ["net-1/modules/a", "net-1/modules/b"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        std::fs::write(root.join("net-file"), "").unwrap();
        for (pattern, expected) in [
            ("", Ok("")),
            ("x", Ok("x")),
            ("*", Ok("net-1")),
            ("net*/modules/a", Ok("net-1/modules/a")),
            ("*/modules/*b", Ok("net-1/modules/b")),
            ("*/modules/*", Err("more than one directory in it is `*/modules/*`")),
            ("y*", Err("no directory in it is `y*`")),
        ] {
            let got = expand(&root, pattern).map_err(|error| error.to_string());
            match expected {
                Ok(path) => assert_eq!(got.as_deref(), Ok(path), "{pattern}"),
                Err(part) => assert!(got.as_ref().is_err_and(|error| error.contains(part)), "{pattern}: {got:?}"),
            }
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn many_things_are_done_in_their_order() {
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(at_once(&all, |number| number * 2), all.iter().map(|number| number * 2).collect::<Vec<_>>());
    }
}
