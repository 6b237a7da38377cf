use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use andon_schema::Failure;

use crate::bake::Workplace;
use crate::lock::Lock;
use crate::trouble::Trouble;
use crate::{Digest, RecipeKey};

/// Chains longer than this are a mistake: an overlay takes no more layers than 500.
const LAYERS_MAX: usize = 100;

/// The first line of every `meta` file.
const META_FORMAT: &str = "andon image 1";

/// What the user may set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where Debian's packages come from, such as `http://deb.debian.org/debian`; else as this machine's own apt is
    /// configured, if that is Debian's, and else Debian's own mirror. Where it is set, security updates come only from
    /// `debian_security_mirror`.
    pub debian_mirror: Option<String>,
    /// Where Debian's security updates come from, such as `http://deb.debian.org/debian-security`.
    pub debian_security_mirror: Option<String>,
}

/// The images on this machine.
#[derive(Debug)]
pub struct Images {
    pub(crate) directory: PathBuf,
    pub(crate) settings: Settings,
}

/// One image, or base, that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub digest: Digest,
    /// The image that it is a layer over; `None` for a base.
    pub parent: Option<Digest>,
    /// The size of the files in its own layer, in bytes.
    pub bytes: u64,
}

impl Images {
    /// The images below `<data_dir>/images`. Makes nothing and removes nothing.
    pub fn open(data_dir: &Path, settings: Settings) -> Result<Images, Failure> {
        // Layers are named to the kernel from other working directories.
        let data_dir = std::path::absolute(data_dir).doing("find", data_dir)?;
        Ok(Images { directory: data_dir.join("images"), settings })
    }

    /// The image that was made here from these ingredients, if it is still there.
    pub fn known(&self, recipe: &RecipeKey) -> Option<Digest> {
        self.pointed_at(&self.recipe_path(recipe))
    }

    /// The layers of an image, topmost first, as an overlay takes them.
    pub fn lower_dirs(&self, digest: &Digest) -> Result<Vec<PathBuf>, Failure> {
        let mut layers = Vec::new();
        let mut next = Some(digest.clone());
        while let Some(digest) = next {
            let Some(kept) = self.look(&digest) else {
                return Err(Failure::new(
                    "the image is not there",
                    format!("The image {digest} is not on this machine."),
                )
                .help("Run `andon apply` again: it makes the image anew."));
            };
            layers.push(self.place(&digest).join("upper"));
            if layers.len() > LAYERS_MAX {
                return Err(Failure::new(
                    "the image has too many layers",
                    format!("The image {digest} has over {LAYERS_MAX} layers."),
                ));
            }
            next = kept.parent;
        }
        Ok(layers)
    }

    /// Whether an image and everything below it is there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.lower_dirs(digest).is_ok()
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

    /// Removes an image. Refuses while another is a layer over it; whether a server runs on it the caller must know.
    /// Succeeds where it is gone already.
    pub fn remove(&self, digest: &Digest) -> Result<(), Failure> {
        let trash = self.workplaces().join(format!("trash-{}", digest.directory_name()));
        {
            let _lock = self.lock()?;
            if let Some(over) = self.list()?.iter().find(|kept| kept.parent.as_ref() == Some(digest)) {
                return Err(Failure::new(
                    "the image is in use",
                    format!("The image {} is made over {digest}.", over.digest),
                )
                .help("Remove that image first."));
            }
            fs::create_dir_all(self.workplaces()).doing("make", &self.workplaces())?;
            remove_all(&trash)?;
            match fs::rename(self.place(digest), &trash) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                moved => moved.doing("remove", &self.place(digest))?,
            }
        }
        remove_all(&trash)
    }

    /// Removes what processes that were killed left behind, and what points to images that are gone. What another
    /// process works on now is left alone.
    pub fn sweep(&self) -> Result<(), Failure> {
        let _lock = match self.directory.is_dir() {
            true => self.lock()?,
            false => return Ok(()),
        };
        for name in names(&self.workplaces())? {
            Workplace::clear(&self.workplaces().join(name))?;
        }
        for pointers in [self.directory.join("recipes"), self.directory.join("bases")] {
            for name in names(&pointers)? {
                let pointer = pointers.join(&name);
                let is_draft = name.starts_with('.');
                if is_draft || (!name.ends_with(".lock") && self.pointed_at(&pointer).is_none()) {
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
            if !Workplace::clear(&self.workplaces().join(name))? {
                return Err(Failure::new("the images are in use", "Another process is making an image now.")
                    .help("Wait for it, or stop it, then run the same command again."));
            }
        }
        remove_all(&self.directory)
    }

    pub(crate) fn place(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.directory_name())
    }

    pub(crate) fn workplaces(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    pub(crate) fn recipe_path(&self, recipe: &RecipeKey) -> PathBuf {
        self.directory.join("recipes").join(recipe.as_str())
    }

    /// Held for moments, while directories come and go.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        let path = self.directory.join("lock");
        Lock::wait(&path).doing("lock", &path)
    }

    pub(crate) fn look(&self, digest: &Digest) -> Option<Kept> {
        let meta = fs::read_to_string(self.place(digest).join("meta")).ok()?;
        let mut lines = meta.lines();
        if lines.next() != Some(META_FORMAT) {
            return None;
        }
        let parent = match lines.next()?.strip_prefix("parent ")? {
            "none" => None,
            parent => Some(Digest::parse(parent)?),
        };
        let bytes = lines.next()?.strip_prefix("bytes ")?.parse().ok()?;
        Some(Kept { digest: digest.clone(), parent, bytes })
    }

    /// The image that a pointer file names, if all of it is there.
    pub(crate) fn pointed_at(&self, pointer: &Path) -> Option<Digest> {
        let digest = Digest::parse(fs::read_to_string(pointer).ok()?.trim_end())?;
        self.has(&digest).then_some(digest)
    }

    pub(crate) fn point(&self, pointer: &Path, digest: &Digest) -> Result<(), Failure> {
        let directory = pointer.parent().unwrap_or(&self.directory);
        let _lock = self.lock()?;
        fs::create_dir_all(directory).doing("make", directory)?;
        let draft = directory.join(".draft");
        fs::write(&draft, format!("{digest}\n")).doing("write", &draft)?;
        fs::rename(&draft, pointer).doing("write", pointer)
    }
}

impl Kept {
    pub(crate) fn meta(&self) -> String {
        let parent = self.parent.as_ref().map_or("none", Digest::as_str);
        format!("{META_FORMAT}\nparent {parent}\nbytes {}\n", self.bytes)
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
