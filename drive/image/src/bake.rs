use std::cell::RefCell;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use andon_schema::{Failure, Identity};

use crate::cache::{Cache, Fetched, Fetching};
use crate::clean::{self, clean};
use crate::images::{Stack, remove_all};
use crate::layer::settle;
use crate::lock::Lock;
use crate::patience::stopped;
use crate::tree::Tree;
use crate::trouble::Trouble;
use crate::{Digest, Images, RecipeKey};

/// A layer of at most so many entries is written to the disk file by file; of more, with all else that waits there.
const FEW: usize = 400;

/// An image in the making: a private writable layer over others. Dropped before it is sealed, it leaves nothing.
#[derive(Debug)]
pub struct Bake {
    workplace: Workplace,
    images: PathBuf,
    interrupt: Arc<AtomicBool>,
    stack: Stack,
    lower: Vec<PathBuf>,
    /// What is below.
    tree: Tree,
    fetched: Vec<Fetched>,
    cache: Cache,
}

impl Images {
    /// Starts an image over a base or another image. `identity` is its planned name: two processes cannot make the same
    /// image at once, and what an earlier one left of it is removed first.
    pub fn begin(&self, identity: &Identity, parent: &Digest) -> Result<Bake, Failure> {
        self.begin_over(identity, &self.stack(parent)?, Fetching::default())
    }

    /// Starts another layer over these.
    pub fn begin_over(&self, identity: &Identity, stack: &Stack, how: Fetching<'_>) -> Result<Bake, Failure> {
        let lower = self.directories(stack);
        let workplace = self.workplace(&format!("bake-{identity}"))?;
        workplace.say_over(stack.layers())?;
        if let Some(below) = lower.first() {
            let metadata = fs::metadata(below).doing("read", below)?;
            let upper = workplace.upper();
            chown(&upper, Some(metadata.uid()), Some(metadata.gid())).doing("set the owner of", &upper)?;
            fs::set_permissions(&upper, Permissions::from_mode(metadata.mode())).doing("set the mode of", &upper)?;
        }
        let tree = self.tree(stack)?;
        let place = workplace.directory.join("cache");
        let cache = self.cache(stack, &tree);
        let fetched = cache.lay(&tree, &place, how).doing("make", &place)?;
        let (images, interrupt) = (self.directory.clone(), Arc::clone(&self.interrupt));
        Ok(Bake { workplace, images, interrupt, stack: stack.clone(), lower, tree, fetched, cache })
    }

    pub(crate) fn workplace(&self, name: &str) -> Result<Workplace, Failure> {
        self.free_workplace(name)?.ok_or_else(|| {
            let directory = self.workplaces().join(name);
            Failure::new("the image is being made", format!("Another process works in {} now.", directory.display()))
                .help("Wait for it, or stop it, then run the same command again.")
        })
    }

    /// The same, once whoever does the same work is done with it.
    pub(crate) fn workplace_in_turn(&self, name: &str) -> Result<Workplace, Failure> {
        loop {
            if let Some(workplace) = self.free_workplace(name)? {
                return Ok(workplace);
            }
            if self.interrupt.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A turn at making what others may want at the same time: whoever comes later waits, and finds it made. `waits` is told
    /// where that is so.
    ///
    /// # Errors
    /// Where an end is asked for before.
    pub fn turn(&self, recipe: &RecipeKey, waits: &mut dyn FnMut()) -> Result<Turn, Failure> {
        let name = format!("turn-{}", recipe.as_str());
        if let Some(workplace) = self.free_workplace(&name)? {
            return Ok(Turn(workplace));
        }
        waits();
        self.workplace_in_turn(&name).map(Turn)
    }

    /// Keeps layers from being removed before there is an image of them.
    pub(crate) fn hold_layers(&self) -> Result<Held, Failure> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let workplace = self.workplace(&format!("held-{}-{count}", std::process::id()))?;
        Ok(Held { workplace, layers: RefCell::default() })
    }

    fn free_workplace(&self, name: &str) -> Result<Option<Workplace>, Failure> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Failure::new(
                "only root can do this",
                "An image holds files of many owners, which only root can make.",
            )
            .help("Run the same command as root."));
        }
        let directory = self.workplaces().join(name);
        let path = directory.join("lock");
        let (workplace, left) = {
            let _lock = self.lock()?;
            if Lock::is_held(&path).doing("lock", &path)? {
                return Ok(None);
            }
            let left = self.set_aside_dead()?;
            let lock = Lock::attempt(&path).doing("lock", &path)?;
            (Workplace { images: self.directory.clone(), directory, _lock: lock }, left)
        };
        // Of what others left, that which cannot go now goes next time.
        left.iter().for_each(|left| drop(remove_all(left)));
        for directory in [workplace.upper(), workplace.work()] {
            fs::create_dir_all(&directory).doing("make", &directory)?;
            fs::set_permissions(&directory, Permissions::from_mode(0o755)).doing("set the mode of", &directory)?;
        }
        Ok(Some(workplace))
    }

    /// Brings a finished layer to its place under its digest; `None` where it says nothing.
    pub(crate) fn keep(
        &self,
        workplace: Workplace,
        below: &Tree,
        settled: impl FnOnce(&Tree) -> Result<(), Failure>,
    ) -> Result<Option<Digest>, Failure> {
        let upper = workplace.upper();
        let layer = match settle(&upper, below, &self.interrupt) {
            Err(_) if self.interrupt.load(Ordering::Relaxed) => return Err(stopped()),
            settled => settled.doing("read", &upper)?,
        };
        settled(&layer)?;
        if layer.is_nothing(below) {
            return Ok(None);
        }
        let digest = layer.digest();
        let place = self.layer_place(&digest);
        if place.is_dir() {
            return Ok(Some(digest));
        }
        let list = workplace.layer().join("tree");
        fs::write(&list, layer.encode()).doing("write", &list)?;
        // After a loss of power the layer must be whole or not there: its files reach the disk before its name does.
        match layer.iter().count() > FEW {
            true => File::open(&list).and_then(|file| Ok(nix::unistd::syncfs(file)?)).doing("sync", &list)?,
            false => sync_each(&upper, &layer).and_then(|()| sync(&list)).doing("sync", &upper)?,
        }
        let layers = self.directory.join("layers");
        let _lock = self.lock()?;
        fs::create_dir_all(&layers).doing("make", &layers)?;
        match fs::rename(workplace.layer(), &place) {
            // Another process made the same meanwhile.
            Err(_) if place.is_dir() => return Ok(Some(digest)),
            renamed => renamed.doing("make", &place)?,
        }
        sync(&layers).doing("sync", &layers)?;
        Ok(Some(digest))
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes the files and directories of a layer to the disk.
fn sync_each(root: &Path, layer: &Tree) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    for (path, line) in layer.iter() {
        if line.starts_with(['f', 'd', 'o']) {
            sync(&root.join(std::ffi::OsStr::from_bytes(path)))?;
        }
    }
    Ok(())
}

impl Bake {
    /// The layers below, topmost first.
    pub fn lower(&self) -> &[PathBuf] {
        &self.lower
    }

    /// The writable layer.
    pub fn upper(&self) -> PathBuf {
        self.workplace.upper()
    }

    /// The directory that the overlay needs for itself.
    pub fn work(&self) -> PathBuf {
        self.workplace.work()
    }

    /// What earlier bakes fetched: directories to lay over those of the root file system.
    pub fn fetched(&self) -> &[Fetched] {
        &self.fetched
    }

    /// Finishes the layer: removes what depends on the time, the machine and the run, brings it to its place, and
    /// remembers what it was made from. `None` where it says nothing. Nobody may be inside any more.
    pub fn seal(self, step: &RecipeKey) -> Result<Option<Digest>, Failure> {
        let upper = self.upper();
        clean(&upper, clean::Origin::Bake).doing("clean", &upper)?;
        let images = Images::at(self.images, self.interrupt);
        let cache = self.cache;
        let mut after = self.tree.clone();
        let layer = images.keep(self.workplace, &self.tree, |layer| {
            after.cover(layer);
            cache.harvest(&self.fetched, &after).doing("keep what was fetched in", &cache.place)
        })?;
        images.remember_step(step, layer.as_ref())?;
        Ok(layer)
    }

    /// Finishes an image of which this is the last layer.
    pub fn commit(self, recipe: &RecipeKey) -> Result<Digest, Failure> {
        let images = Images::at(self.images.clone(), Arc::clone(&self.interrupt));
        let mut stack = self.stack.clone();
        stack.push(self.seal(recipe)?);
        images.finish(&stack, recipe)
    }
}

/// A directory for work in progress, which nobody else enters or removes while its lock is held. Nothing may drop it while
/// it holds the store's lock.
#[derive(Debug)]
pub(crate) struct Workplace {
    /// The store's directory.
    images: PathBuf,
    directory: PathBuf,
    _lock: Option<Lock>,
}

/// A turn at making something, until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its end")] Workplace);

/// Layers of which there is to be an image: nobody removes them meanwhile.
#[derive(Debug)]
pub(crate) struct Held {
    workplace: Workplace,
    layers: RefCell<Vec<Digest>>,
}

impl Held {
    /// From now on this one, too.
    pub(crate) fn add(&self, layer: &Digest) -> Result<(), Failure> {
        self.layers.borrow_mut().push(layer.clone());
        self.workplace.say_over(&self.layers.borrow())
    }
}

impl Workplace {
    /// Says over which layers work goes on: whoever removes layers leaves these alone.
    pub(crate) fn say_over(&self, layers: &[Digest]) -> Result<(), Failure> {
        let over: String = layers.iter().map(|layer| format!("{layer}\n")).collect();
        let path = self.directory.join("over");
        let draft = self.directory.join("over.draft");
        fs::write(&draft, over).and_then(|()| fs::rename(&draft, &path)).doing("write", &path)
    }

    fn layer(&self) -> PathBuf {
        self.directory.join("layer")
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.layer().join("upper")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// Removes it, after it has given up its name: whoever takes that next has it alone.
    fn remove(&self) -> Result<(), Failure> {
        let images = Images::at(self.images.clone(), Arc::default());
        let aside = {
            let _lock = images.lock()?;
            images.set_aside(&self.directory)?
        };
        remove_all(&aside)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if self.directory.exists() {
            // What is left of it goes with the next sweep.
            let _ = self.remove();
        }
    }
}
