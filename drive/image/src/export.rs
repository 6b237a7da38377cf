//! An image's root file system as one archive, or in a directory: what its layers come to.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use andon_schema::Failure;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::draft::Draft;
use crate::images::remove_all;
use crate::oci::tarball;
use crate::patience::{Budget, Watched, stopped};
use crate::tree::Tree;
use crate::trouble::Trouble;
use crate::zstd::Zstd;
use crate::{Digest, Images, RecipeKey, Stack};

/// Of so many layers one is made: an overlay takes no more than 500, and servers stand on some more.
const DEEP: usize = 100;

impl Images {
    /// Writes the root file system as a tar archive, packed by gzip where the name ends with `.gz` or `.tgz`, by Zstandard where it
    /// ends with `.zst` or `.tzst`. The same image always gives the same bytes.
    pub fn write_root_archive(&self, image: &Digest, path: &Path) -> Result<(), Failure> {
        let (draft, file) = Draft::of_file(path, &self.interrupt)?;
        let file = BufWriter::new(file);
        let stack = &self.stack(image)?;
        let ends = |ends: &[&str]| ends.iter().any(|end| path.as_os_str().as_encoded_bytes().ends_with(end.as_bytes()));
        let written = if ends(&[".gz", ".tgz"]) {
            let mut packer = GzEncoder::new(file, Compression::default());
            self.write_tar(stack, &mut packer).and_then(|()| packer.finish()?.flush())
        } else if ends(&[".zst", ".tzst"]) {
            let mut packer = Zstd::new(file);
            self.write_tar(stack, &mut packer).and_then(|()| packer.finish())
        } else {
            let mut file = file;
            self.write_tar(stack, &mut file).and_then(|()| file.flush())
        };
        self.unless_stopped(written, path)?;
        draft.finish()
    }

    /// Writes the root file system to a directory, which may be there and empty, or be what an earlier call wrote there:
    /// that is replaced. A file beside it says so, `.NAME.andon-root`.
    pub fn write_root(&self, image: &Digest, path: &Path) -> Result<(), Failure> {
        let place = Place::of(path)?;
        let (path, mark) = (place.path.as_path(), place.beside("andon-root"));
        let draft = Draft::of_directory(path, &self.interrupt)?;
        place.is_free()?;
        self.copy_root(image, draft.path())?;
        // The mark says which directory it is about, and goes before what it was about does.
        let written = format!("{} {}\n", image.as_str(), node(draft.path()).doing("read", draft.path())?);
        remove_all(path)?;
        fs::write(&mark, written).doing("write", &mark)?;
        draft.finish()
    }

    /// Copies the root file system into a directory, which is empty.
    pub(crate) fn copy_root(&self, image: &Digest, to: &Path) -> Result<(), Failure> {
        self.copy_stack(&self.stack(image)?, to)
    }

    /// The same of layers over each other.
    fn copy_stack(&self, stack: &Stack, to: &Path) -> Result<(), Failure> {
        let (reader, writer) = nix::unistd::pipe().doing("write", to)?;
        let copied = std::thread::scope(|scope| {
            let packer = scope.spawn(move || self.write_tar(stack, &mut BufWriter::new(File::from(writer))));
            let mut reader = File::from(reader);
            let unpacked = tarball::unpack(&reader, to, &|_| None, &Budget::unbounded(&self.interrupt));
            // Nobody may hang up on the packer while it writes the padding after the archive's end.
            let unpacked = unpacked.and_then(|()| io::copy(&mut reader, &mut io::sink()).map(drop));
            drop(reader);
            let packed = packer.join().unwrap_or_else(|_| Err(io::Error::other("a writing thread ended")));
            unpacked.and(packed)
        });
        self.unless_stopped(copied, to)
    }

    fn unless_stopped(&self, written: io::Result<()>, path: &Path) -> Result<(), Failure> {
        match written {
            Err(_) if self.interrupt.load(Ordering::Relaxed) => Err(stopped()),
            written => written.doing("write", path),
        }
    }

    /// What only so many layers come to, where there are more than an overlay bears: as one layer, made once. `None` where
    /// there are not so many.
    pub fn shallow(&self, stack: &Stack) -> Result<Option<Stack>, Failure> {
        if stack.layers().len() < DEEP {
            return Ok(None);
        }
        let head: &[u8] = b"andon flat 1";
        let key =
            RecipeKey::of(std::iter::once(head).chain(stack.layers().iter().map(|layer| layer.as_str().as_bytes())));
        if let Some(Some(flat)) = self.known_step(&key) {
            return Ok(Some(Stack::new(vec![flat], stack.trust.clone())));
        }
        let workplace = self.workplace_in_turn(&format!("flat-{}", key.as_str()))?;
        workplace.say_over(stack.layers())?;
        self.copy_stack(stack, &workplace.upper())?;
        let flat = self.keep(workplace, &Tree::default(), |_| Ok(()))?;
        let flat =
            flat.ok_or_else(|| Failure::new("the image is empty", "None of its layers holds anything.".to_owned()))?;
        self.remember_step(&key, Some(&flat))?;
        Ok(Some(Stack::new(vec![flat], stack.trust.clone())))
    }

    fn write_tar(&self, stack: &Stack, to: &mut dyn Write) -> io::Result<()> {
        let words = |failure: Failure| io::Error::other(format!("{}: {}", failure.summary, failure.detail));
        let layers = stack.layers().iter().rev();
        let layers: Vec<_> = layers
            .map(|layer| Ok((self.layer_place(layer).join("upper"), self.layer_tree(layer)?)))
            .collect::<Result<_, Failure>>()
            .map_err(words)?;
        let whole = self.tree(stack).map_err(words)?;
        // What shows is what the topmost layer says that says anything.
        let entries = whole.iter().filter_map(|(path, line)| {
            let (root, _) = layers.iter().find(|(_, tree)| tree.line(path).is_some())?;
            Some((root.as_path(), path, line))
        });
        tarball::write(entries, Watched::new(to, &self.interrupt))
    }
}

/// Which directory this is, whatever its name is: the numbers of its file system and its node, and when that was made,
/// as numbers of nodes are given again.
fn node(directory: &Path) -> io::Result<String> {
    let metadata = fs::symlink_metadata(directory)?;
    let made = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(format!("{}:{}:{}", metadata.dev(), metadata.ino(), made.map_or(0, |time| time.as_nanos())))
}

/// Where something is written, and what is beside it.
pub(crate) struct Place {
    pub path: PathBuf,
    name: OsString,
}

impl Place {
    /// Of a path as it was given: `out/` is `out`. One without a name of its own, such as `.` or `/`, is refused.
    pub fn of(given: &Path) -> Result<Place, Failure> {
        let path: PathBuf = given.components().collect();
        let name = path.file_name().filter(|_| !given.as_os_str().is_empty()).map(ToOwned::to_owned);
        let name = name.ok_or_else(|| {
            Failure::new(
                "this directory cannot be replaced",
                format!("`{}` is no directory with a name of its own.", given.display()),
            )
            .help("Name one that is there for the image alone, such as `out/web`.")
        })?;
        Ok(Place { path, name })
    }

    /// Whether nobody else's files are there.
    pub fn is_free(&self) -> Result<(), Failure> {
        let path = self.path.as_path();
        if path.exists() && !path.is_dir() {
            let detail = format!("{} is no directory.", path.display());
            return Err(Failure::new("the directory cannot be written", detail)
                .help("Name a directory, or end the name of an archive with .tar, .tar.gz or .tar.zst."));
        }
        let is_empty = || fs::read_dir(path).map(|mut entries| entries.next().is_none());
        let mark = fs::read_to_string(self.beside("andon-root")).unwrap_or_default();
        let is_marked = || node(path).is_ok_and(|node| mark.trim_end().ends_with(&format!(" {node}")));
        if path.exists() && !is_marked() && !is_empty().doing("read", path)? {
            return Err(Failure::new(
                "the directory is not empty",
                format!("{} holds something that was not written there as an image.", path.display()),
            )
            .help("Name a directory that is not there, or remove that one first."));
        }
        Ok(())
    }

    fn beside(&self, what: &str) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(".");
        name.push(what);
        self.path.with_file_name(name)
    }
}
