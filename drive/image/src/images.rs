use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use andon_schema::Failure;

use crate::cache::Cache;
use crate::lock::Lock;
use crate::owners::{Owner, Owners};
use crate::tree::Tree;
use crate::trouble::Trouble;
use crate::trust::Trust;
use crate::{Digest, RecipeKey};

/// More are a mistake: an overlay takes no more than 500, and most tools for containers no more than 127.
const LAYERS_MAX: usize = 120;

/// The first line of every `meta` file.
const META_FORMAT: &str = "andon image 2";

/// What is written for a step that changed nothing.
const NOTHING: &str = "nothing";

/// What the user may set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where Debian's packages come from, such as `http://deb.debian.org/debian`; else as this machine's own apt is
    /// configured, if that is Debian's, and else Debian's own mirror.
    pub debian_mirror: Option<String>,
    /// Where Debian's security updates come from, such as `http://deb.debian.org/debian-security`; nowhere where it is
    /// empty. Else as this machine's own apt is configured, and Debian's own where `debian_mirror` is set.
    pub debian_security_mirror: Option<String>,
    /// Where Ubuntu's packages come from, and its security updates, such as `http://archive.ubuntu.com/ubuntu`; else as
    /// Debian's.
    pub ubuntu_mirror: Option<String>,
}

/// The images on this machine.
#[derive(Debug)]
pub struct Images {
    pub(crate) directory: PathBuf,
    pub(crate) settings: Settings,
    /// Set by whoever wants what lasts to end.
    pub(crate) interrupt: Arc<AtomicBool>,
    /// Whose the files of this machine are.
    pub(crate) owners: Owners,
}

/// One image, or base, that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name: the digest of all that it holds.
    pub digest: Digest,
    /// Its layers, the base first.
    pub layers: Vec<Digest>,
    /// The size of the files in its layers, in bytes.
    pub bytes: u64,
}

/// Layers over each other, the base first: an image, or as much of one as is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    layers: Vec<Digest>,
    /// What its packages are trusted by.
    pub(crate) trust: Trust,
}

impl Stack {
    pub(crate) fn new(layers: Vec<Digest>, trust: Trust) -> Stack {
        Stack { layers, trust }
    }

    /// The layers, the base first.
    pub fn layers(&self) -> &[Digest] {
        &self.layers
    }

    /// Lays another one over it, where there is one.
    pub fn push(&mut self, layer: Option<Digest>) {
        self.layers.extend(layer);
    }
}

impl Images {
    /// The images below `<data_dir>/images`. Makes nothing and removes nothing.
    pub fn open(data_dir: &Path, settings: Settings) -> Result<Images, Failure> {
        // Layers are named to the kernel from other working directories.
        let data_dir = std::path::absolute(data_dir).doing("find", data_dir)?;
        let directory = data_dir.join("images");
        Ok(Images { directory, settings, interrupt: Arc::default(), owners: Owners::default() })
    }

    /// The same, ending soon what lasts once this is set.
    #[must_use]
    pub fn interrupted_by(self, interrupt: Arc<AtomicBool>) -> Images {
        Images { interrupt, ..self }
    }

    /// The same where this process is root of no more than a user namespace, and files of this machine that are somebody's
    /// outside of it look like those of nobody: `ask` says whose each of them is to be in an image.
    #[must_use]
    pub fn owners_by(self, ask: impl Fn(&Path) -> io::Result<Owner> + Send + Sync + 'static) -> Images {
        Images { owners: Owners::asked_of(ask), ..self }
    }

    /// Whether the user has asked for an end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The same directory again, for a moment.
    pub(crate) fn at(directory: PathBuf, interrupt: Arc<AtomicBool>) -> Images {
        Images { directory, settings: Settings::default(), interrupt, owners: Owners::default() }
    }

    /// The image that was made here from these ingredients, if it is still there.
    pub fn known(&self, recipe: &RecipeKey) -> Option<Digest> {
        self.pointed_at(&self.recipe_path(recipe)).inspect(|digest| self.touch(digest))
    }

    /// The directories of the layers of an image, topmost first, as an overlay takes them.
    pub fn lower_dirs(&self, digest: &Digest) -> Result<Vec<PathBuf>, Failure> {
        self.stack(digest).map(|stack| self.directories(&stack))
    }

    /// The layers of an image.
    pub fn stack(&self, digest: &Digest) -> Result<Stack, Failure> {
        let kept = self.look(digest).ok_or_else(|| {
            Failure::new("the image is not there", format!("The image {digest} is not on this machine."))
                .help("Run `andon apply` again: it makes the image anew.")
        })?;
        if kept.layers.len() > LAYERS_MAX {
            return Err(Failure::new(
                "the image has too many layers",
                format!("The image {digest} has over {LAYERS_MAX} layers."),
            ));
        }
        if let Some(lost) = kept.layers.iter().find(|layer| !self.layer_place(layer).is_dir()) {
            return Err(Failure::new(
                "the image is not whole",
                format!("The layer {lost} of the image {digest} is not on this machine."),
            )
            .help("Run `andon apply` again: it makes the image anew."));
        }
        Ok(Stack::new(kept.layers, self.trust_of(digest)))
    }

    /// The layer that was made here from these ingredients, if it is still there: `Some(None)` where they changed
    /// nothing.
    pub fn known_step(&self, key: &RecipeKey) -> Option<Option<Digest>> {
        match fs::read_to_string(self.step_path(key)).ok()?.trim_end() {
            NOTHING => Some(None),
            digest => Digest::parse(digest).filter(|layer| self.layer_place(layer).is_dir()).map(Some),
        }
    }

    /// Makes an image of layers that are there, and remembers what it was made from.
    pub fn finish(&self, stack: &Stack, recipe: &RecipeKey) -> Result<Digest, Failure> {
        let digest = self.assemble(stack)?;
        self.point(&self.recipe_path(recipe), &digest)?;
        self.touch(&digest);
        Ok(digest)
    }

    /// Makes an image of layers that are there. Its name says what it holds, however it is cut into layers: the first
    /// way counts, as servers may stand on its layers.
    pub(crate) fn assemble(&self, stack: &Stack) -> Result<Digest, Failure> {
        let digest = self.tree(stack)?.digest();
        let mut bytes = 0;
        for layer in stack.layers() {
            bytes += self.layer_tree(layer)?.bytes();
        }
        let kept = Kept { digest: digest.clone(), layers: stack.layers.clone(), bytes };
        let place = self.place(&digest);
        let _lock = self.lock()?;
        let is_whole = |kept: &Kept| kept.layers.iter().all(|layer| self.layer_place(layer).is_dir());
        if self.look(&digest).is_some_and(|before| is_whole(&before)) {
            self.say_trust(&digest, stack, false)?;
            return Ok(digest);
        }
        fs::create_dir_all(&place).doing("make", &place)?;
        self.say_trust(&digest, stack, true)?;
        write_whole(&place.join("meta"), kept.meta().as_bytes())?;
        Ok(digest)
    }

    pub(crate) fn directories(&self, stack: &Stack) -> Vec<PathBuf> {
        stack.layers.iter().rev().map(|layer| self.layer_place(layer).join("upper")).collect()
    }

    /// What all layers of a stack come to.
    pub(crate) fn tree(&self, stack: &Stack) -> Result<Tree, Failure> {
        let mut whole = Tree::default();
        for layer in stack.layers() {
            whole.cover(&self.layer_tree(layer)?);
        }
        Ok(whole)
    }

    pub(crate) fn layer_tree(&self, layer: &Digest) -> Result<Tree, Failure> {
        let path = self.layer_place(layer).join("tree");
        let text = fs::read(&path).doing("read", &path)?;
        Tree::decode(&text).ok_or_else(|| {
            Failure::new("a layer is damaged", format!("{} is not what this version wrote.", path.display()))
                .help("Remove that layer's directory; the next bake makes it anew.")
        })
    }

    /// Whether an image and all of its layers are there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.stack(digest).is_ok()
    }

    /// All images and bases, by digest.
    pub fn list(&self) -> Result<Vec<Kept>, Failure> {
        let mut kept: Vec<Kept> = names(&self.directory)?
            .iter()
            .filter_map(|name| Digest::from_directory_name(name))
            .filter_map(|digest| self.look(&digest))
            .collect();
        kept.sort_by(|left, right| left.digest.cmp(&right.digest));
        Ok(kept)
    }

    /// The size of the files of all images, in bytes.
    pub fn usage(&self) -> Result<u64, Failure> {
        Ok(self.list()?.iter().map(|kept| kept.bytes).sum())
    }

    /// Removes an image, and the layers that no other one has. Whether a server runs on it the caller must know.
    /// Succeeds where it is gone already.
    pub fn remove(&self, digest: &Digest) -> Result<(), Failure> {
        remove_all(&self.place(digest))?;
        self.drop_layers(&BTreeSet::new()).map(drop)
    }

    /// Removes images, and the bases that only they are made over, but none of those that are in use; with them goes every
    /// layer that nothing is left of. The number of images and bases removed.
    pub fn remove_with_bases(&self, gone: &BTreeSet<Digest>, in_use: &BTreeSet<Digest>) -> Result<usize, Failure> {
        let all = self.list()?;
        let goes = |kept: &Kept| gone.contains(&kept.digest) && !in_use.contains(&kept.digest);
        let layers: BTreeSet<&Digest> = all.iter().filter(|kept| goes(kept)).flat_map(|kept| &kept.layers).collect();
        // A base is some of the layers of what is over it.
        let is_below = |kept: &Kept| kept.layers.iter().all(|layer| layers.contains(layer));
        let needed = |base: &Kept| {
            in_use.contains(&base.digest)
                || all
                    .iter()
                    .any(|kept| !goes(kept) && kept.digest != base.digest && kept.layers.starts_with(&base.layers))
        };
        let mut removed = 0;
        for kept in all.iter().filter(|kept| goes(kept) || (is_below(kept) && !needed(kept))) {
            remove_all(&self.place(&kept.digest))?;
            removed += 1;
        }
        self.drop_layers(&BTreeSet::new())?;
        Ok(removed)
    }

    /// What was written down of something, by a key of all that it depends on.
    pub fn note(&self, key: &RecipeKey) -> Option<String> {
        fs::read_to_string(self.directory.join("notes").join(key.as_str())).ok()
    }

    /// Writes down a line that can be found out again.
    pub fn write_note(&self, key: &RecipeKey, text: &str) -> Result<(), Failure> {
        self.write_down(&self.directory.join("notes").join(key.as_str()), text)
    }

    /// Removes the layers that no image has, and that are not among those to spare. The bytes that it freed.
    pub(crate) fn drop_layers(&self, spare: &BTreeSet<Digest>) -> Result<u64, Failure> {
        let layers = self.directory.join("layers");
        let mut freed = 0;
        let trash = {
            let _lock = match layers.is_dir() {
                true => self.lock()?,
                false => return Ok(0),
            };
            let trash = self.trash();
            let used: BTreeSet<Digest> = self.list()?.into_iter().flat_map(|kept| kept.layers).collect();
            let busy: BTreeSet<Digest> = self.under_work()?;
            for name in names(&layers)? {
                let Some(layer) = Digest::from_directory_name(&name) else { continue };
                if used.contains(&layer) || spare.contains(&layer) || busy.contains(&layer) {
                    continue;
                }
                freed += self.layer_tree(&layer).map_or(0, |tree| tree.bytes());
                fs::create_dir_all(&trash).doing("make", &trash)?;
                let place = self.layer_place(&layer);
                fs::rename(&place, trash.join(&name)).doing("remove", &place)?;
            }
            trash
        };
        remove_all(&trash)?;
        self.drop_disks()?;
        Ok(freed)
    }

    /// The layers over which somebody bakes now. The store's lock must be held.
    fn under_work(&self) -> Result<BTreeSet<Digest>, Failure> {
        let mut busy = BTreeSet::new();
        for name in names(&self.workplaces())? {
            let place = self.workplaces().join(name);
            let lock = place.join("lock");
            if Lock::is_held(&lock).doing("lock", &lock)? {
                let over = fs::read_to_string(place.join("over")).unwrap_or_default();
                busy.extend(over.lines().filter_map(Digest::parse));
            }
        }
        Ok(busy)
    }

    /// Removes what processes that were killed left behind, and what points to images that are gone. What another
    /// process works on now is left alone.
    pub fn sweep(&self) -> Result<(), Failure> {
        if !self.directory.is_dir() {
            return Ok(());
        }
        let left = {
            let _lock = self.lock()?;
            self.sweep_pointers()?;
            self.set_aside_dead()?
        };
        left.iter().try_for_each(|left| remove_all(left))
    }

    /// Gives another name to every workplace that no process holds any more, by which it can be removed without haste. The
    /// store's lock must be held.
    pub(crate) fn set_aside_dead(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut left = Vec::new();
        for name in names(&self.workplaces())? {
            let place = self.workplaces().join(name);
            let lock = place.join("lock");
            if !Lock::is_held(&lock).doing("lock", &lock)? {
                left.push(self.set_aside(&place)?);
            }
        }
        Ok(left)
    }

    /// The same with one of them, if it is there. The store's lock must be held.
    pub(crate) fn set_aside(&self, workplace: &Path) -> Result<PathBuf, Failure> {
        let trash = self.trash();
        match fs::rename(workplace, &trash) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).doing("remove", workplace),
            _ => Ok(trash),
        }
    }

    /// A name for what is to be removed, which nothing has. The store's lock must be held.
    fn trash(&self) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let place = self.workplaces().join(format!("trash-{}-{count}", std::process::id()));
            if fs::symlink_metadata(&place).is_err() {
                return place;
            }
        }
    }

    fn sweep_pointers(&self) -> Result<(), Failure> {
        for kind in ["recipes", "bases", "steps"] {
            let pointers = self.directory.join(kind);
            for name in names(&pointers)? {
                let pointer = pointers.join(&name);
                let points = match kind {
                    "steps" => RecipeKey::parse(&name).is_some_and(|key| self.known_step(&key).is_some()),
                    _ => name.ends_with(".lock") || self.pointed_at(&pointer).is_some(),
                };
                if name.starts_with('.') || !points {
                    let _ = fs::remove_file(pointer);
                }
            }
        }
        Ok(())
    }

    /// Removes all images and bases, and everything else of this store. Refuses while another process bakes.
    pub fn purge(&self) -> Result<(), Failure> {
        let _lock = match self.directory.is_dir() {
            true => self.lock()?,
            false => return Ok(()),
        };
        for name in names(&self.workplaces())? {
            let lock = self.workplaces().join(name).join("lock");
            if Lock::is_held(&lock).doing("lock", &lock)? {
                return Err(Failure::new("the images are in use", "Another process is making an image now.")
                    .help("Wait for it, or stop it, then run the same command again."));
            }
        }
        remove_all(&self.directory)
    }

    pub(crate) fn place(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.directory_name())
    }

    /// How much more may come here, in bytes: some of the disk stays free.
    pub(crate) fn room(&self) -> Result<u64, Failure> {
        let path = &self.directory;
        let disk = nix::sys::statvfs::statvfs(path).doing("look at", path)?;
        let free = disk.blocks_available().saturating_sub(disk.blocks() / 50);
        Ok(free.saturating_mul(disk.fragment_size()))
    }

    pub(crate) fn layer_place(&self, layer: &Digest) -> PathBuf {
        self.directory.join("layers").join(layer.directory_name())
    }

    /// What was fetched for images like this one.
    pub(crate) fn cache(&self, stack: &Stack, tree: &Tree) -> Cache {
        let sources = self.sources(stack, tree);
        Cache { place: self.directory.join("cache"), trust: stack.trust.clone(), sources }
    }

    pub(crate) fn step_path(&self, key: &RecipeKey) -> PathBuf {
        self.directory.join("steps").join(key.as_str())
    }

    pub(crate) fn workplaces(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    pub(crate) fn recipe_path(&self, recipe: &RecipeKey) -> PathBuf {
        self.directory.join("recipes").join(recipe.as_str())
    }

    /// Held for moments, while directories come and go.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        self.keep_private()?;
        let path = self.directory.join("lock");
        Lock::wait(&path).doing("lock", &path)
    }

    /// Layers hold programs that change their user and device files, of whatever image: nobody else of this machine gets
    /// at them.
    fn keep_private(&self) -> Result<(), Failure> {
        let path = &self.directory;
        fs::create_dir_all(path).doing("make", path)?;
        let mode = fs::metadata(path).doing("look at", path)?.permissions().mode();
        if mode & 0o077 == 0 {
            return Ok(());
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).doing("set the mode of", path)
    }

    pub(crate) fn look(&self, digest: &Digest) -> Option<Kept> {
        let meta = fs::read_to_string(self.place(digest).join("meta")).ok()?;
        let mut lines = meta.lines();
        if lines.next() != Some(META_FORMAT) {
            return None;
        }
        let bytes = lines.next()?.strip_prefix("bytes ")?.parse().ok()?;
        let layers = lines.map(|line| Digest::parse(line.strip_prefix("layer ")?)).collect::<Option<Vec<_>>>()?;
        Some(Kept { digest: digest.clone(), layers, bytes })
    }

    /// The image that a pointer file names, if all of it is there.
    pub(crate) fn pointed_at(&self, pointer: &Path) -> Option<Digest> {
        let digest = Digest::parse(fs::read_to_string(pointer).ok()?.trim_end())?;
        self.has(&digest).then_some(digest)
    }

    pub(crate) fn point(&self, pointer: &Path, digest: &Digest) -> Result<(), Failure> {
        self.write_down(pointer, digest.as_str())
    }

    /// Remembers what came of a step.
    pub(crate) fn remember_step(&self, key: &RecipeKey, layer: Option<&Digest>) -> Result<(), Failure> {
        self.write_down(&self.step_path(key), layer.map_or(NOTHING, Digest::as_str))
    }

    fn write_down(&self, place: &Path, text: &str) -> Result<(), Failure> {
        let directory = place.parent().unwrap_or(&self.directory);
        let _lock = self.lock()?;
        fs::create_dir_all(directory).doing("make", directory)?;
        let draft = directory.join(".draft");
        fs::write(&draft, format!("{text}\n")).doing("write", &draft)?;
        fs::rename(&draft, place).doing("write", place)
    }
}

/// Writes a file so that it is there as a whole, or not.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes).doing("write", &draft)?;
    File::open(&draft).and_then(|file| file.sync_all()).doing("sync", &draft)?;
    fs::rename(&draft, path).doing("write", path)?;
    let directory = path.parent().unwrap_or(path);
    File::open(directory).and_then(|file| file.sync_all()).doing("sync", directory)
}

impl Kept {
    pub(crate) fn meta(&self) -> String {
        let mut meta = format!("{META_FORMAT}\nbytes {}\n", self.bytes);
        self.layers.iter().for_each(|layer| meta.push_str(&format!("layer {layer}\n")));
        meta
    }
}

/// The names in a directory; none where there is no directory.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, Failure> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing("read", directory),
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Removes a directory and everything in it. The processes that wrote there may be dying at this moment.
pub(crate) fn remove_all(directory: &Path) -> Result<(), Failure> {
    let mut attempts = 0;
    loop {
        match fs::remove_dir_all(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.exists() => return Ok(()),
            Err(_) if attempts < 50 => std::thread::sleep(std::time::Duration::from_millis(20)),
            Err(error) => return Err(error).doing("remove", directory),
        }
        attempts += 1;
    }
}
