//! What package managers fetch, kept for the next bake that has it from the same places by the same keys: apt holds a package
//! that is there already against its size alone, so that one image must not be given what another one, over a base of
//! somebody else, has fetched or made. A bake sees a copy of its own, and what it fetched anew is taken over when its layer is
//! sealed. None of it gets into a layer.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

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

/// What package managers of images fetched, below a directory.
#[derive(Debug)]
pub(crate) struct Cache {
    pub place: PathBuf,
    /// What the packages of the image are trusted by.
    pub trust: Trust,
}

impl Cache {
    /// What a bake over these files sees; `place` takes what it writes. Nothing where its package manager is another.
    /// `pins` are preferences of apt, which hold while the bake lasts.
    pub(crate) fn lay(&self, tree: &Tree, place: &Path, pins: &str) -> io::Result<Vec<Fetched>> {
        if tree.line(LISTS.as_bytes()).is_none() || tree.line(FETCHED.as_bytes()).is_none() {
            return Ok(Vec::new());
        }
        let packages = self.packages(tree);
        fs::create_dir_all(packages.join(ARCHIVES))?;
        let lists = self.lists(tree)?.unwrap_or_else(|| place.join("none"));
        let mut fetched = vec![lists.join("apt"), packages];
        if !pins.is_empty() {
            let pinned = place.join("pins");
            fs::create_dir_all(&pinned)?;
            fs::write(pinned.join(PINS), pins)?;
            fetched.insert(0, pinned);
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
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        // Its name makes it whole.
        let draft = all.join(format!(".draft-{}", std::process::id()));
        let _ = fs::remove_dir_all(&draft);
        merge(lists, &draft.join("lists"))?;
        merge(fetched, &draft.join("apt"))?;
        fs::rename(&draft, all.join(format!("{stamp:020}")))
    }

    /// Removes lists that newer ones have replaced, and packages that were not fetched for `unused`. Nobody may bake.
    pub(crate) fn tidy(&self, unused: std::time::Duration) -> io::Result<()> {
        for name in names(&self.place).unwrap_or_default() {
            let directory = self.place.join(&name);
            if name.starts_with("lists-") {
                let mut versions = names(&directory).unwrap_or_default();
                versions.sort();
                let newest = versions.iter().rfind(|name| !name.starts_with('.')).cloned();
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
            }
        }
        Ok(())
    }

    fn packages(&self, tree: &Tree) -> PathBuf {
        self.place.join(format!("packages-{}", self.key(tree)))
    }

    fn all_lists(&self, tree: &Tree) -> PathBuf {
        self.place.join(format!("lists-{}", self.key(tree)))
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

    fn lists(&self, tree: &Tree) -> io::Result<Option<PathBuf>> {
        let all = self.all_lists(tree);
        let mut versions = names(&all).unwrap_or_default();
        versions.retain(|name| !name.starts_with('.'));
        Ok(versions.into_iter().max().map(|newest| all.join(newest)))
    }
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
        if metadata.is_file() && entry.file_name() != "lock" && entry.file_name() != PINS {
            fs::rename(entry.path(), to.join(entry.file_name()))?;
        } else if !is_whiteout(&metadata) {
            continue;
        }
        seen.insert(entry.file_name());
    }
    for (name, path) in laid.lower.iter().map(|lower| files(lower)).collect::<io::Result<Vec<_>>>()?.concat() {
        if name != PINS && seen.insert(name.clone()) {
            fs::hard_link(path, to.join(name))?;
        }
    }
    Ok(())
}
