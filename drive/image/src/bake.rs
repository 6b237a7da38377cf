use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use andon_schema::{Failure, Identity};

use crate::clean::clean;
use crate::images::{Kept, remove_all};
use crate::layer::Layer;
use crate::lock::Lock;
use crate::trouble::Trouble;
use crate::{Digest, Images, RecipeKey};

/// An image in the making: a private writable layer over its parent. Dropped before it is committed, it leaves nothing.
#[derive(Debug)]
pub struct Bake {
    workplace: Workplace,
    images: PathBuf,
    parent: Digest,
    lower: Vec<PathBuf>,
}

impl Images {
    /// Starts an image over a base or another image. `identity` is its planned name: two processes cannot make the same
    /// image at once, and what an earlier one left of it is removed first.
    pub fn begin(&self, identity: &Identity, parent: &Digest) -> Result<Bake, Failure> {
        let lower = self.lower_dirs(parent)?;
        let workplace = self.workplace(&format!("bake-{identity}"))?;
        if let Some(below) = lower.first() {
            let metadata = fs::metadata(below).doing("read", below)?;
            let upper = workplace.upper();
            chown(&upper, Some(metadata.uid()), Some(metadata.gid())).doing("set the owner of", &upper)?;
            fs::set_permissions(&upper, Permissions::from_mode(metadata.mode())).doing("set the mode of", &upper)?;
        }
        Ok(Bake { workplace, images: self.directory.clone(), parent: parent.clone(), lower })
    }

    pub(crate) fn workplace(&self, name: &str) -> Result<Workplace, Failure> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Failure::new(
                "only root can do this",
                "An image holds files of many owners, which only root can make.",
            )
            .help("Run the same command as root."));
        }
        let directory = self.workplaces().join(name);
        let _lock = self.lock()?;
        if !Workplace::clear(&directory)? {
            return Err(Failure::new(
                "the image is being made",
                format!("Another process works in {} now.", directory.display()),
            )
            .help("Wait for it, or stop it, then run the same command again."));
        }
        let path = directory.join("lock");
        let lock = Lock::attempt(&path).doing("lock", &path)?;
        let workplace = Workplace { directory, _lock: lock, kept: false };
        for directory in [workplace.upper(), workplace.work()] {
            fs::create_dir_all(&directory).doing("make", &directory)?;
            fs::set_permissions(&directory, Permissions::from_mode(0o755)).doing("set the mode of", &directory)?;
        }
        Ok(workplace)
    }

    /// Brings a finished layer to its place under its digest.
    pub(crate) fn keep(
        &self,
        mut workplace: Workplace,
        parent: Option<Digest>,
        lower: &[PathBuf],
    ) -> Result<Digest, Failure> {
        let upper = workplace.upper();
        let layer = Layer::settle(&upper, lower).doing("read", &upper)?;
        let digest = layer.digest(parent.as_ref()).doing("read", &upper)?;
        let kept = Kept { digest: digest.clone(), parent, bytes: layer.bytes() };
        let meta = workplace.layer().join("meta");
        fs::write(&meta, kept.meta()).doing("write", &meta)?;
        // After a loss of power the image must be whole or not there: its files reach the disk before its name does.
        File::open(&meta).and_then(|file| Ok(nix::unistd::syncfs(file)?)).doing("sync", &meta)?;
        let place = self.place(&digest);
        let _lock = self.lock()?;
        if self.look(&digest).is_none() {
            remove_all(&place)?;
            fs::rename(workplace.layer(), &place).doing("make", &place)?;
            File::open(&self.directory).and_then(|file| file.sync_all()).doing("sync", &self.directory)?;
        }
        workplace.kept = true;
        remove_all(&workplace.directory)?;
        Ok(digest)
    }
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

    /// Finishes the image: removes what depends on the time, the machine and the run, brings it to its place, and
    /// remembers what it was made from. Nobody may be inside any more.
    pub fn commit(self, recipe: &RecipeKey) -> Result<Digest, Failure> {
        let upper = self.upper();
        clean(&upper).doing("clean", &upper)?;
        let images = Images { directory: self.images, settings: Default::default() };
        let digest = images.keep(self.workplace, Some(self.parent), &self.lower)?;
        images.point(&images.recipe_path(recipe), &digest)?;
        Ok(digest)
    }
}

/// A directory for work in progress, which nobody else enters or removes while its lock is held.
#[derive(Debug)]
pub(crate) struct Workplace {
    directory: PathBuf,
    _lock: Option<Lock>,
    /// What was made here has been brought elsewhere.
    kept: bool,
}

impl Workplace {
    fn layer(&self) -> PathBuf {
        self.directory.join("layer")
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.layer().join("upper")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// Removes a workplace that nobody holds. `false` where somebody does. The store's lock must be held.
    pub(crate) fn clear(directory: &Path) -> Result<bool, Failure> {
        let lock = directory.join("lock");
        if lock.exists() && Lock::attempt(&lock).doing("lock", &lock)?.is_none() {
            return Ok(false);
        }
        remove_all(directory)?;
        Ok(true)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.kept {
            let _ = remove_all(&self.directory);
        }
    }
}
