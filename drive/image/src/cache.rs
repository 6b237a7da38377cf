//! What package managers fetch, kept for the next bake that has it from the same places by the same keys: apt holds a package
//! that is there already against its size alone, so that one image must not be given what another one, over a base of
//! somebody else, has fetched or made. A bake sees a copy of its own, and what it fetched anew is taken over when its layer is
//! sealed. None of it gets into a layer.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::digest::{count, hex};
use crate::images::names;
use crate::layer::is_whiteout;
use crate::tree::Tree;
use crate::trust::Trust;

/// Where apt keeps its lists, and what it fetched.
const LISTS: &str = "var/lib/apt/lists";
const FETCHED: &str = "var/cache/apt";
const ARCHIVES: &str = "archives";

/// The file of preferences that apt is told of during a bake, by whoever runs it there.
const PINS: &str = "andon-pins";
/// The same for where packages come from, in place of what the image says.
const SOURCES: &str = "andon-sources";
const OWN_SOURCES: &str = "andon-own-sources";

/// A directory of the root file system over which another one is laid during a bake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where: below the root, without a leading slash.
    pub at: PathBuf,
    /// What is seen there, topmost first.
    pub lower: Vec<PathBuf>,
    /// Where what is written there lands.
    pub upper: PathBuf,
    /// The directory that the overlay needs for itself.
    pub work: PathBuf,
}

/// How packages are fetched while a layer is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetching<'a> {
    /// Preferences of apt (apt_preferences(5)).
    pub pins: &'a str,
    /// Lists of packages that were fetched before this are not seen, so that the mirror is asked again.
    pub lists_since: Option<SystemTime>,
}

/// What package managers of images fetched, below a directory.
#[derive(Debug)]
pub(crate) struct Cache {
    pub place: PathBuf,
    /// What the packages of the image are trusted by.
    pub trust: Trust,
    /// Where packages come from, where that is not what the image says.
    pub sources: Option<Sources>,
}

/// Lists of sources, as apt has them in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Where packages come from while an image is baked.
    pub used: String,
    /// What the image says.
    pub own: String,
}

impl Cache {
    /// What a bake over these files sees; `place` takes what it writes. Nothing where its package manager is another.
    pub(crate) fn lay(&self, tree: &Tree, place: &Path, how: Fetching<'_>) -> io::Result<Vec<Fetched>> {
        let Fetching { pins, lists_since } = how;
        if tree.line(LISTS.as_bytes()).is_none() || tree.line(FETCHED.as_bytes()).is_none() {
            return Ok(Vec::new());
        }
        let packages = self.packages(tree);
        fs::create_dir_all(packages.join(ARCHIVES))?;
        let lists = self.lists(tree, lists_since)?.unwrap_or_else(|| place.join("none"));
        let mut fetched = vec![lists.join("apt"), packages];
        let sources = self.sources.as_ref();
        let said = [
            (PINS, Some(pins).filter(|pins| !pins.is_empty())),
            (SOURCES, sources.map(|sources| &*sources.used)),
            (OWN_SOURCES, sources.map(|sources| &*sources.own)),
        ];
        if said.iter().any(|(_, text)| text.is_some()) {
            let directory = place.join("said");
            fs::create_dir_all(&directory)?;
            for (name, text) in said {
                text.map_or(Ok(()), |text| fs::write(directory.join(name), text))?;
            }
            fetched.insert(0, directory);
        }
        let layers = [(LISTS, "lists", vec![lists.join("lists")]), (FETCHED, "apt", fetched)];
        let mut laid = Vec::new();
        for (at, name, lower) in layers {
            let (upper, work) = (place.join(name).join("upper"), place.join(name).join("work"));
            for directory in lower.iter().chain([&upper, &work]) {
                fs::create_dir_all(directory)?;
            }
            laid.push(Fetched { at: at.into(), lower, upper, work });
        }
        Ok(laid)
    }

    /// Takes over what a bake fetched, after which there are these files.
    pub(crate) fn harvest(&self, laid: &[Fetched], after: &Tree) -> io::Result<()> {
        let Some(fetched) = laid.iter().find(|it| it.at == Path::new(FETCHED)) else { return Ok(()) };
        let archives = self.packages(after).join(ARCHIVES);
        fs::create_dir_all(&archives)?;
        for (name, path) in files(&fetched.upper.join(ARCHIVES))? {
            let to = archives.join(&name);
            if Path::new(&name).extension().is_some_and(|end| end == "deb") && !to.exists() {
                fs::rename(path, to)?;
            }
        }
        let Some(lists) = laid.iter().find(|it| it.at == Path::new(LISTS)) else { return Ok(()) };
        if files(&lists.upper)?.iter().all(|(name, _)| name == "lock") {
            return Ok(());
        }
        let all = self.all_lists(after);
        // Its name makes it whole; where this process ends before that, it is part of its workplace, which is swept.
        let draft = lists.work.with_file_name("kept");
        fs::create_dir_all(&all)?;
        merge(lists, &draft.join("lists"))?;
        merge(fetched, &draft.join("apt"))?;
        fs::rename(&draft, all.join(stamp(SystemTime::now())))
    }

    /// Removes lists that newer ones have replaced, and lists and packages that were not fetched for `unused`. Nobody may bake.
    pub(crate) fn tidy(&self, unused: Duration) -> io::Result<()> {
        for name in names(&self.place).unwrap_or_default() {
            let directory = self.place.join(&name);
            if name.starts_with("lists-") {
                let mut versions = names(&directory).unwrap_or_default();
                versions.sort();
                let newest = versions.iter().rfind(|name| !name.starts_with('.') && !is_older(name, unused)).cloned();
                for version in versions.iter().filter(|name| Some(*name) != newest.as_ref()) {
                    fs::remove_dir_all(directory.join(version))?;
                }
            } else {
                for (_, path) in files(&directory.join(ARCHIVES))? {
                    let age = fs::metadata(&path)?.modified()?.elapsed().unwrap_or_default();
                    if age > unused {
                        fs::remove_file(path)?;
                    }
                }
                let _ = fs::remove_dir(directory.join(ARCHIVES));
            }
            // Unless there is something left in it.
            let _ = fs::remove_dir(directory);
        }
        Ok(())
    }

    fn packages(&self, tree: &Tree) -> PathBuf {
        self.place.join(format!("packages-{}", self.key(tree)))
    }

    fn all_lists(&self, tree: &Tree) -> PathBuf {
        // Lists are named after their mirror: those of one say nothing of another.
        let mirror = self.sources.iter().map(|sources| format!("-{}", hex(&Sha256::digest(&sources.used))));
        let mirror: String = mirror.flat_map(|name| name.chars().take(17).collect::<Vec<_>>()).collect();
        self.place.join(format!("lists-{}{mirror}", self.key(tree)))
    }

    /// A name for where packages come from, and what they are trusted by.
    fn key(&self, tree: &Tree) -> String {
        let mut hash = Sha256::new();
        count(&mut hash, self.trust.text().as_bytes());
        let about = [&b"etc/apt/"[..], b"usr/share/keyrings/", b"etc/os-release", b"usr/lib/os-release"];
        for (path, line) in tree.iter().filter(|(path, _)| about.iter().any(|start| path.starts_with(start))) {
            count(&mut hash, path);
            count(&mut hash, line.as_bytes());
        }
        hex(&hash.finalize()).chars().take(32).collect()
    }

    fn lists(&self, tree: &Tree, since: Option<SystemTime>) -> io::Result<Option<PathBuf>> {
        let all = self.all_lists(tree);
        let mut versions = names(&all).unwrap_or_default();
        let since = since.map(stamp);
        versions.retain(|name| !name.starts_with('.') && since.as_ref().is_none_or(|since| name >= since));
        Ok(versions.into_iter().max().map(|newest| all.join(newest)))
    }
}

/// Whether a file is one that only says something while a bake lasts.
fn is_said(name: &OsStr) -> bool {
    [PINS, SOURCES, OWN_SOURCES].iter().any(|said| name == *said)
}

/// A name by which lists are sorted after when they were fetched: microseconds since 1970.
fn stamp(time: SystemTime) -> String {
    format!("{:020}", time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros())
}

/// Whether lists were fetched longer ago than this, by their name: microseconds since 1970.
fn is_older(name: &str, than: Duration) -> bool {
    let then = name.parse().map(Duration::from_micros).unwrap_or_default();
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(then) > than
}

/// The plain files in a directory, if there is one. A link in its place may be an image's, and lead to this machine's files.
fn files(directory: &Path) -> io::Result<Vec<(OsString, PathBuf)>> {
    match fs::symlink_metadata(directory) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            found.push((entry.file_name(), entry.path()));
        }
    }
    Ok(found)
}

/// The plain files that were seen at a place in the end, as a directory of their own.
fn merge(laid: &Fetched, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut seen: BTreeSet<OsString> = BTreeSet::new();
    for entry in fs::read_dir(&laid.upper)? {
        let entry = entry?;
        let metadata = fs::symlink_metadata(entry.path())?;
        if metadata.is_file() && entry.file_name() != "lock" && !is_said(&entry.file_name()) {
            fs::rename(entry.path(), to.join(entry.file_name()))?;
        } else if !is_whiteout(&metadata) {
            continue;
        }
        seen.insert(entry.file_name());
    }
    for (name, path) in laid.lower.iter().map(|lower| files(lower)).collect::<io::Result<Vec<_>>>()?.concat() {
        if !is_said(&name) && seen.insert(name.clone()) {
            fs::hard_link(path, to.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_nobody_asks_for_any_more_go() {
        let place = std::env::temp_dir().join(format!("andon-cache-{}", std::process::id()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let (old, older) = (now - 40 * 86_400_000_000, now - 50 * 86_400_000_000);
        let name = |directory: &str, stamp: u128| place.join(directory).join(format!("{stamp:020}"));
        let directories = [
            name("lists-a", old),
            name("lists-b", old),
            name("lists-b", now),
            name("lists-c", old),
            name("lists-c", older),
        ];
        for directory in &directories {
            fs::create_dir_all(directory.join("lists")).unwrap();
        }
        fs::create_dir_all(place.join("lists-d/.draft-1/lists")).unwrap();
        fs::create_dir_all(place.join("packages-a").join(ARCHIVES)).unwrap();
        fs::create_dir_all(place.join("packages-b").join(ARCHIVES)).unwrap();
        fs::write(place.join("packages-b").join(ARCHIVES).join("x.deb"), "x").unwrap();
        let cache = Cache { place: place.clone(), trust: Trust::Nobody, sources: None };
        cache.tidy(Duration::from_secs(30 * 86_400)).unwrap();
        let mut left = names(&place).unwrap();
        left.sort();
        assert_eq!(left, ["lists-b", "packages-b"]);
        assert_eq!(names(&place.join("lists-b")).unwrap(), [format!("{now:020}")]);
        fs::remove_dir_all(place).unwrap();
    }
}
