use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use andon_schema::Failure;
use serde_json::Value as Config;
use sha2::{Digest as _, Sha256};

use crate::bake::Held;
use crate::bootstrap::{bootstrap, follow};
use crate::cache::Sources;
use crate::clean::{self, Fate, Keys, Kind, clean, fate};
use crate::digest::hex;
use crate::host::{self, Extent, Taking};
use crate::images::{Stack, write_whole};
use crate::layer::{hash_file, read};
use crate::lock::Lock;
use crate::mirror::Mirrors;
use crate::oci::tarball::{self, Text};
use crate::oci::{NOT_THERE, Origin, shown};
use crate::owners::Owners;
use crate::patience::{Budget, output_of, stopped};
use crate::source::Distribution;
use crate::tree::Tree;
use crate::trouble::Trouble;
use crate::trust::Trust;
use crate::{Digest, Images, RecipeKey, Reference, Registries, Source};

/// Which files a base is cleaned of; another number where others are.
const CLEANING: &str = "4";

/// How a release's base is made; another number where it is made of other packages.
const RELEASE: &str = "2";

/// Where a root file system says where its packages come from.
const SOURCES_LIST: &str = "etc/apt/sources.list";

/// What images are made over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its name.
    pub digest: Digest,
    /// Its layers, topmost first.
    pub lower: Vec<PathBuf>,
    /// It was made just now; else it was there already.
    pub fetched: bool,
}

/// Which base it is to be, of those that a name could mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Preferences of apt: the versions of packages that a release's base is made of (apt_preferences(5)).
    pub pins: String,
    /// As it is to be had now, whatever is here already.
    pub afresh: bool,
    /// Of an image in a registry, the digest of its manifest, whatever the tag names now.
    pub manifest: Option<Digest>,
}

impl Images {
    /// The base, if it is here already. Changes nothing.
    pub fn known_base(&self, source: &Source) -> Result<Option<Base>, Failure> {
        self.pointed_at(&self.base_path(source)?).map(|digest| self.as_base(digest, false)).transpose()
    }

    /// The base, made first where it is not here. `log` gets lines about the progress.
    ///
    /// Two processes that need the same base at once make it once: the second waits for the first.
    pub fn base(&self, source: &Source, log: &dyn Fn(&str)) -> Result<Base, Failure> {
        self.base_with(source, &Choice::default(), log)
    }

    /// The same with a say in which one it is.
    pub fn base_with(&self, source: &Source, choice: &Choice, log: &dyn Fn(&str)) -> Result<Base, Failure> {
        let known = || match choice {
            Choice { afresh: true, .. } | Choice { manifest: Some(_), .. } => Ok(None),
            // What is made with other versions is another base.
            Choice { pins, .. } if !pins.is_empty() && matches!(source, Source::Release { .. }) => Ok(None),
            _ => self.known_base(source),
        };
        if let Some(base) = known()? {
            return Ok(base);
        }
        let pointer = self.base_path(source)?;
        let name = pointer.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = pointer.with_file_name(format!("{name}.lock"));
        let _lock = match Lock::attempt(&path).doing("lock", &path)? {
            Some(lock) => lock,
            None => {
                log("waiting for another process that makes the same base");
                Lock::wait_unless(&path, &self.interrupt).doing("lock", &path)?.ok_or_else(stopped)?
            }
        };
        if let Some(base) = known()? {
            return Ok(base);
        }
        let (clients, named);
        let origin = match source {
            Source::Registry(reference) => {
                clients = Registries::new().interrupted_by(Arc::clone(&self.interrupt));
                named = match &choice.manifest {
                    Some(manifest) => Reference { digest: Some(manifest.clone()), ..reference.clone() },
                    None => reference.clone(),
                };
                Some(Origin::Registry(&clients, &named))
            }
            Source::Layout { path, tag } => Some(Origin::Layout(path, tag.as_deref())),
            _ => None,
        };
        if let Some(origin) = origin {
            log(&format!("fetching {}", place(source)));
            let (manifest, manifest_digest) = origin.manifest().map_err(|failure| match &choice.manifest {
                Some(wanted) if failure.summary == NOT_THERE => no_longer(source, wanted),
                _ => failure,
            })?;
            let config = origin.config(&manifest)?;
            let held = self.hold_layers()?;
            let mut stack = self.unpack_layers(&origin, &manifest, &held, log)?;
            stack.push(self.without_traces(&stack, &name, &held)?);
            let digest = self.assemble(&stack)?;
            self.keep_config(&digest, source, &config)?;
            write_whole(&self.manifest_path(&digest, source)?, manifest_digest.as_str().as_bytes())?;
            // What the tag names now may be another one.
            if choice.manifest.is_none() {
                self.point(&pointer, &digest)?;
            }
            return self.as_base(digest, true);
        }
        let workplace = self.workplace(&format!("base-{name}"))?;
        let (upper, scratch) = (workplace.upper(), workplace.work());
        let mut sources = String::new();
        match source {
            Source::Release { distribution, release } => {
                let mirrors = Mirrors::choose(*distribution, &self.settings);
                sources = mirrors.sources(release);
                log(&format!("making the base of {} {release} from {}", distribution.name(), mirrors.main()));
                bootstrap(release, &mirrors, &choice.pins, (&upper, &scratch), &self.interrupt, log)?;
            }
            Source::Host => {
                log("copying what packages brought to this machine");
                self.taking(Extent::Whole).copy_to(&upper, log)?;
            }
            Source::HostSettings => {
                log("copying what packages brought to this machine beside /usr");
                self.taking(Extent::Settings).copy_to(&upper, log)?;
            }
            Source::Directory(path) => {
                log(&format!("copying {}", path.display()));
                if self.owners.are_hidden() {
                    self.owners.copy_all(path, &upper, &self.interrupt)?;
                } else {
                    let mut from = path.clone().into_os_string();
                    from.push("/.");
                    let mut cp = Command::new("cp");
                    fill(cp.args(["-a", "--reflink=auto", "--"]).arg(from).arg(&upper), path, &self.interrupt)?;
                }
            }
            Source::Archive(path) => {
                log(&format!("unpacking {}", path.display()));
                let mut tar = Command::new("tar");
                tar.args(["--extract", "--preserve-permissions", "--same-owner", "--numeric-owner"]);
                tar.args(["--xattrs", "--xattrs-include=*", "--directory"]).arg(&upper).arg("--file").arg(path);
                // Devices are not kept, and only this machine's root could make them.
                tar.args(["--anchored", "--exclude=./dev/*", "--exclude=dev/*"]);
                // A colon in a path is no name of another machine.
                fill(tar.arg("--force-local"), path, &self.interrupt)?;
            }
            Source::Image(_) | Source::Registry(_) | Source::Layout { .. } => return Err(unresolved()),
        }
        if !upper.join("usr").is_dir() && !upper.join("bin").is_dir() {
            return Err(Failure::new(
                "there is no root file system",
                format!("{} holds neither /usr nor /bin.", place(source)),
            )
            .help("Name the directory, or an archive of the directory, in which /usr is."));
        }
        let origin = match source {
            Source::Release { .. } => clean::Origin::Bake,
            _ => clean::Origin::Server,
        };
        clean(&upper, origin).doing("clean", &upper)?;
        let layer = self
            .keep(workplace, &Tree::default(), |_| Ok(()))?
            .ok_or_else(|| Failure::new("the image's base could not be made", "There is nothing in it.".to_owned()))?;
        let trust = match source {
            Source::Release { distribution, release } => Trust::of_release(*distribution, release),
            _ => Trust::Nobody,
        };
        if matches!(source, Source::Release { .. }) {
            self.keep_sources(&trust, &sources)?;
        }
        let digest = self.assemble(&Stack::new(vec![layer], trust))?;
        // What was made with chosen versions is found by its digest alone.
        if choice.pins.is_empty() {
            self.point(&pointer, &digest)?;
        }
        if matches!(source, Source::Release { .. }) {
            self.point(&self.locked_path(&self.lock_digest(source, &digest)?), &digest)?;
        }
        self.as_base(digest, true)
    }

    fn taking(&self, extent: Extent) -> Taking<'_> {
        Taking { host: Path::new("/"), extent, owners: &self.owners, interrupt: &self.interrupt }
    }

    /// What a base is, by a text that changes with it. Of what is in the project's hands that is its content; of what is
    /// elsewhere its name.
    pub fn source_key(&self, source: &Source) -> Result<String, Failure> {
        Ok(match source {
            Source::Host | Source::HostSettings | Source::Directory(_) | Source::Archive(_) | Source::Layout { .. } => {
                let pointer = self.base_path(source)?;
                pointer.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Source::Release { distribution, release } => format!("{}:{release}", distribution.id()),
            Source::Registry(reference) => reference.to_string(),
            Source::Image(name) => format!("image.{name}"),
        })
    }

    /// The digest of a directory as an image. Its files are read again only where one of them looks different.
    fn tree_digest(&self, path: &Path) -> Result<Digest, Failure> {
        let key = appearance(path).doing("read", path)?;
        let known = key.as_ref().and_then(|key| Digest::parse(self.note(key)?.trim_end()));
        if let Some(known) = known {
            return Ok(known);
        }
        let mut whole = Tree::default();
        whole.cover(&read(path, &self.owners, &self.interrupt).doing("read", path)?);
        let digest = whole.digest();
        // Whoever may only look goes on without.
        if let Some(key) = key.filter(|_| self.directory.is_dir()) {
            let _ = self.write_note(&key, digest.as_str());
        }
        Ok(digest)
    }

    /// A layer over others that takes from them what made a server one of its own; `None` where there is no such thing.
    fn without_traces(&self, stack: &Stack, name: &str, held: &Held) -> Result<Option<Digest>, Failure> {
        let tree = self.tree(stack)?;
        let entries = traces(&tree);
        if entries.is_empty() {
            return Ok(None);
        }
        let workplace = self.workplace(&format!("traces-{name}"))?;
        let upper = workplace.upper();
        let layers = self.directories(stack);
        let below = |path: &Path| shown(&layers, &tree, path);
        let packed = tarball::of_texts(&entries).doing("write", &upper)?;
        tarball::unpack(&*packed, &upper, &below, &Budget::unbounded(&self.interrupt)).doing("write", &upper)?;
        if let Some(root) = layers.first() {
            tarball::alike(root, &upper, &Owners::default()).doing("write", &upper)?;
        }
        self.keep(workplace, &tree, |layer| held.add(&layer.digest()))
    }

    /// How containers of an image from elsewhere run, as whoever made it says. `None` where that is not known.
    pub fn config_of(&self, image: &Digest, source: &Source) -> Option<Config> {
        serde_json::from_slice(&fs::read(self.config_path(image, source).ok()?).ok()?).ok()
    }

    /// The digest of the manifest by which an image from elsewhere was fetched. `None` where that is not known.
    pub fn manifest_of(&self, image: &Digest, source: &Source) -> Option<Digest> {
        Digest::parse(&fs::read_to_string(self.manifest_path(image, source).ok()?).ok()?)
    }

    fn keep_config(&self, image: &Digest, source: &Source, config: &Config) -> Result<(), Failure> {
        write_whole(&self.config_path(image, source)?, config.to_string().as_bytes())
    }

    fn config_path(&self, image: &Digest, source: &Source) -> Result<PathBuf, Failure> {
        self.about(image, source, "config")
    }

    fn manifest_path(&self, image: &Digest, source: &Source) -> Result<PathBuf, Failure> {
        self.about(image, source, "manifest")
    }

    /// What is known of an image by where it came from: images of two names may hold the same, and run otherwise.
    fn about(&self, image: &Digest, source: &Source, what: &str) -> Result<PathBuf, Failure> {
        let key = match source {
            Source::Registry(reference) => reference.to_string(),
            source => self.source_key(source)?,
        };
        Ok(self.place(image).join(format!("{what}-{}", RecipeKey::of([key.as_bytes()]).as_str())))
    }

    /// What a lock file says of an image that was made over this: its digest; where that is a release, of all but the mirror
    /// that it names, so that any mirror gives the same. What else is on this machine says nothing in that.
    pub fn lock_digest(&self, source: &Source, image: &Digest) -> Result<Digest, Failure> {
        if !matches!(source, Source::Release { .. }) {
            return Ok(image.clone());
        }
        let mut tree = self.tree(&self.stack(image)?)?;
        tree.remove(SOURCES_LIST.as_bytes());
        Ok(tree.digest())
    }

    /// The base that a lock file says this of, if it is here: [`Images::lock_digest`].
    pub fn locked_base(&self, source: &Source, locked: &Digest) -> Option<Digest> {
        match source {
            _ if self.has(locked) => Some(locked.clone()),
            Source::Release { .. } => self.pointed_at(&self.locked_path(locked)),
            _ => None,
        }
    }

    fn locked_path(&self, locked: &Digest) -> PathBuf {
        self.directory.join("bases").join(format!("locked-{}", locked.directory_name()))
    }

    /// Where the packages of an image come from while it is baked, in place of the mirror that it names. Nothing where that is
    /// the same, where a role has said otherwise, or where somebody else made the image.
    pub(crate) fn sources(&self, stack: &Stack, tree: &Tree) -> Option<Sources> {
        let Trust::Release(name) = &stack.trust else { return None };
        let (id, release) = name.split_once(' ')?;
        let distribution = Distribution::of_id(id)?;
        let own = Mirrors::of_its_own(distribution).sources(release);
        let is_own = tree.line(SOURCES_LIST.as_bytes())?.contains(&hex(&Sha256::digest(&own)));
        let used = match Mirrors::named(distribution, &self.settings) {
            Some(mirrors) => mirrors.sources(release),
            None => fs::read_to_string(self.sources_path(&stack.trust)).ok()?,
        };
        (is_own && used != own).then_some(Sources { used, own })
    }

    /// Remembers where the packages of a release came from.
    fn keep_sources(&self, release: &Trust, sources: &str) -> Result<(), Failure> {
        let path = self.sources_path(release);
        let directory = path.parent().unwrap_or(&self.directory);
        fs::create_dir_all(directory).doing("make", directory)?;
        write_whole(&path, sources.as_bytes())
    }

    fn sources_path(&self, release: &Trust) -> PathBuf {
        self.directory.join("mirrors").join(release.text().replace(' ', "-"))
    }

    fn as_base(&self, digest: Digest, fetched: bool) -> Result<Base, Failure> {
        Ok(Base { lower: self.lower_dirs(&digest)?, digest, fetched })
    }

    /// The file that names the digest of a base.
    fn base_path(&self, source: &Source) -> Result<PathBuf, Failure> {
        let name = match source {
            Source::Release { distribution, release } => format!("{}-{release}-{RELEASE}", distribution.id()),
            Source::Host => format!("host-{CLEANING}-{}", host::key(Path::new("/"))?.as_str()),
            Source::HostSettings => format!("host-settings-{CLEANING}-{}", host::key(Path::new("/"))?.as_str()),
            Source::Archive(path) => {
                format!(
                    "archive-{CLEANING}-{}",
                    hex(&hash_file(path, &mut vec![0; 256 << 10], &self.interrupt).doing("read", path)?)
                )
            }
            Source::Directory(path) => format!("directory-{CLEANING}-{}", self.tree_digest(path)?.directory_name()),
            Source::Registry(reference) => {
                format!("registry-{CLEANING}-{}", RecipeKey::of([reference.to_string().as_bytes()]).as_str())
            }
            // A layout is what its index says.
            Source::Layout { path, tag } => {
                let index = path.join("index.json");
                let index = fs::read(&index).doing("read", &index)?;
                let tag = tag.as_deref().unwrap_or_default().as_bytes();
                format!("layout-{CLEANING}-{}", RecipeKey::of([&index, tag]).as_str())
            }
            Source::Image(_) => return Err(unresolved()),
        };
        Ok(self.directory.join("bases").join(name))
    }
}

/// A key of how everything in a directory is, without reading any file: it changes whenever one of them does. `None`
/// where something changed so lately that the clock could not tell another change of it.
fn appearance(path: &Path) -> io::Result<Option<RecipeKey>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut latest = 0;
    let mut open = vec![path.to_owned()];
    while let Some(place) = open.pop() {
        let metadata = fs::symlink_metadata(&place)?;
        let numbers = [
            i128::from(metadata.ino()),
            i128::from(metadata.mode()),
            i128::from(metadata.uid()),
            i128::from(metadata.gid()),
            i128::from(metadata.size()),
            i128::from(metadata.mtime()),
            i128::from(metadata.mtime_nsec()),
            i128::from(metadata.ctime()),
            i128::from(metadata.ctime_nsec()),
        ];
        latest = latest.max(metadata.ctime());
        lines.push([place.as_os_str().as_bytes(), format!(" {numbers:?}").as_bytes()].concat());
        if metadata.is_dir() {
            for entry in fs::read_dir(&place)? {
                open.push(entry?.path());
            }
        }
    }
    lines.sort();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let is_settled = u64::try_from(latest).is_ok_and(|latest| latest.saturating_add(2) < now);
    let head: &[u8] = b"andon appearance 1";
    Ok(is_settled.then(|| RecipeKey::of(std::iter::once(head).chain(lines.iter().map(|line| &**line)))))
}

/// What no image has of what is in a container's: the paths that have to go, and the files that have to say something else.
fn traces(tree: &Tree) -> Vec<Text> {
    let mut found: Vec<Text> = Vec::new();
    let mut gone: BTreeSet<&[u8]> = BTreeSet::new();
    let mut keys = Vec::new();
    let to_snakeoil: Vec<String> = clean::TO_SNAKEOIL.iter().map(|target| hex(&Sha256::digest(target))).collect();
    for (path, line) in tree.iter() {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        if slashes.into_iter().any(|(at, _)| path.get(..at).is_some_and(|above| gone.contains(above))) {
            continue;
        }
        let kind = match line.get(..1) {
            Some("f") => Kind::File,
            Some("d") => Kind::Directory,
            Some("l") if to_snakeoil.iter().any(|target| line.contains(&**target)) => Kind::LinkToSnakeoil,
            _ => Kind::Other,
        };
        let content = match fate(clean::Origin::Container, path, kind) {
            Some(Fate::Gone) => None,
            Some(Fate::Holds(text)) if !line.contains(&hex(&Sha256::digest(text))) => Some(text),
            _ => continue,
        };
        if content.is_none() {
            gone.insert(path);
            Keys::note(&mut keys, path);
        }
        found.push(Text::over(path, line, content));
    }
    for (path, text) in keys.iter().flat_map(|keys| keys.makers()) {
        found.push(Text::over(path.as_bytes(), "f 644 0 0", Some(text)));
    }
    found
}

fn no_longer(source: &Source, wanted: &Digest) -> Failure {
    let detail = format!("It was locked as {wanted}; the registry of {} has that no longer.", place(source));
    Failure::new("the base of the image is gone from its registry", detail)
        .help("Take what its tag names now: `andon bake --update`; or have the registry keep what is locked.")
}

fn unresolved() -> Failure {
    Failure::new(
        "the image has no base of its own",
        "An image over another image of the project starts from that image's digest.",
    )
}

fn place(source: &Source) -> String {
    match source {
        Source::Directory(path) | Source::Archive(path) | Source::Layout { path, .. } => path.display().to_string(),
        Source::Release { release: name, .. } | Source::Image(name) => name.clone(),
        Source::Host | Source::HostSettings => "this machine".to_owned(),
        Source::Registry(reference) => reference.to_string(),
    }
}

fn fill(command: &mut Command, from: &Path, interrupt: &AtomicBool) -> Result<(), Failure> {
    follow(command);
    command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    let output = match output_of(command, interrupt) {
        Err(_) if interrupt.load(Ordering::Relaxed) => return Err(stopped()),
        output => output.doing("unpack", from)?,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().collect();
    let said = said.get(said.len().saturating_sub(5)..).unwrap_or_default().join("\n");
    let failure = Failure::new(
        "the image's base could not be made",
        format!("{} could not be taken over:\n{said}", from.display()),
    );
    Err(match said.contains("No space left") {
        true => failure.help(crate::trouble::FREE_SPACE),
        false => failure,
    })
}
