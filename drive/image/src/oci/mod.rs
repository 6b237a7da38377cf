//! Images in the form that containers' tools share: <https://github.com/opencontainers/image-spec>. Every layer of an image
//! is a layer there, so that what did not change is neither packed nor sent again. The bytes are a function of the
//! layers and of what the definition says.

mod layout;
mod login;
mod pull;
mod reference;
mod referrers;
mod registry;
pub(crate) mod tarball;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use andon_schema::Failure;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

pub(crate) use layout::layout_contents;
#[cfg(test)]
pub(crate) use pull::Frames;
pub(crate) use pull::{Origin, shown};
pub use reference::Reference;
pub use referrers::{Document, Referrer};
pub(crate) use registry::NOT_THERE;
pub use registry::Registries;

use crate::digest::hex;
use crate::draft::Draft;
use crate::images::write_whole;
use crate::layer::hash_file;
use crate::lock::Lock;
use crate::patience::{Watched, stopped};
use crate::trouble::Trouble;
use crate::{Digest, Images};

/// When every image is said to be made, so that its name does not change with the day.
const CREATED: &str = "2024-01-01T00:00:00Z";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The label by which an image is known again.
const OWN_LABEL: &str = "andon.image";

/// How a container of an image runs, as its definition says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// The command, to which arguments are added.
    pub entrypoint: Vec<String>,
    /// The command or its arguments; systemd where there is neither.
    pub command: Vec<String>,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// Who runs it.
    pub user: Option<String>,
    /// Where it runs.
    pub working_dir: Option<String>,
    /// What it listens on: `80/tcp`.
    pub ports: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Layers are not packed.
    pub plain: bool,
    /// What it takes for an orderly end: `SIGTERM`.
    pub stop_signal: Option<String>,
    /// Directories that are volumes of their own.
    pub volumes: Vec<String>,
}

/// The form of the packed layers that are kept; another one when what is packed changes.
pub(crate) const BLOB_FORM: &str = "2";

/// An image in this form.
#[derive(Debug)]
pub struct OciImage {
    /// The digest of its manifest: its name in registries.
    pub digest: Digest,
    manifest: Vec<u8>,
    config: Vec<u8>,
    layers: Vec<Blob>,
    interrupt: Arc<AtomicBool>,
}

/// A packed layer.
#[derive(Debug, Clone)]
struct Blob {
    digest: Digest,
    /// Of the archive before it was packed.
    plain: Digest,
    bytes: u64,
    path: PathBuf,
}

impl Images {
    /// An image in this form. Layers that were packed before are taken from where they are kept.
    pub fn oci(
        &self,
        image: &Digest,
        config: &ContainerConfig,
        log: &mut dyn FnMut(&str),
    ) -> Result<OciImage, Failure> {
        let stack = self.stack(image)?;
        let mut layers = Vec::new();
        for (number, layer) in stack.layers().iter().enumerate() {
            layers.push(match self.kept_blob(layer, config.plain) {
                Some(blob) => blob,
                None => {
                    log(&format!("packing layer {} of {}", number + 1, stack.layers().len()));
                    self.pack(layer, config.plain)?
                }
            });
        }
        let config_bytes = config.encode(image, &layers).to_string().into_bytes();
        let media_type = if config.plain { LAYER } else { LAYER_GZIP };
        let described = |media_type: &str, digest: &Digest, bytes: u64| json!({ "mediaType": media_type, "digest": digest.as_str(), "size": bytes });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(CONFIG, &digest_of(&config_bytes), length(&config_bytes)),
            "layers": layers.iter().map(|blob| described(media_type, &blob.digest, blob.bytes)).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let interrupt = Arc::clone(&self.interrupt);
        Ok(OciImage { digest: digest_of(&manifest), manifest, config: config_bytes, layers, interrupt })
    }

    /// Where a packed layer is kept, and what is known of it: beside it, in a line.
    fn blob_place(&self, layer: &Digest, plain: bool) -> (PathBuf, PathBuf) {
        let end = if plain { "tar" } else { "tar.gz" };
        let place = self.directory.join("blobs").join(format!("{}.{BLOB_FORM}.{end}", layer.directory_name()));
        let about = place.with_extension("about");
        (place, about)
    }

    fn kept_blob(&self, layer: &Digest, plain: bool) -> Option<Blob> {
        let (path, about) = self.blob_place(layer, plain);
        let about = fs::read_to_string(about).ok()?;
        let mut words = about.split_whitespace();
        let (digest, unpacked) = (Digest::parse(words.next()?)?, Digest::parse(words.next()?)?);
        let bytes = words.next()?.parse().ok()?;
        (fs::metadata(&path).ok()?.len() == bytes).then_some(Blob { digest, plain: unpacked, bytes, path })
    }

    fn pack(&self, layer: &Digest, plain: bool) -> Result<Blob, Failure> {
        let (path, about) = self.blob_place(layer, plain);
        let directory = self.directory.join("blobs");
        fs::create_dir_all(&directory).doing("make", &directory)?;
        let draft = directory.join(format!(".draft-{}", std::process::id()));
        let tree = self.layer_tree(layer)?;
        let root = self.layer_place(layer).join("upper");
        let entries = || tree.iter().map(|(path, line)| (root.as_path(), path, line));
        let packed = (|| {
            let file = Counted::new(BufWriter::new(File::create(&draft)?));
            let (file, unpacked) = match plain {
                true => {
                    let mut counted = Counted::new(file);
                    tarball::write(entries(), Watched::new(&mut counted, &self.interrupt))?;
                    let (file, digest, _) = counted.end();
                    (file, digest)
                }
                false => {
                    let mut counted = Counted::new(GzEncoder::new(file, Compression::default()));
                    tarball::write(entries(), Watched::new(&mut counted, &self.interrupt))?;
                    let (packer, digest, _) = counted.end();
                    (packer.finish()?, digest)
                }
            };
            let (mut file, digest, bytes) = file.end();
            file.flush()?;
            io::Result::Ok(Blob { digest, plain: unpacked, bytes, path: path.clone() })
        })();
        let blob = packed.inspect_err(|_| drop(fs::remove_file(&draft))).doing("pack", &root)?;
        fs::rename(&draft, &path).doing("write", &path)?;
        write_whole(&about, format!("{} {} {}\n", blob.digest, blob.plain, blob.bytes).as_bytes())?;
        Ok(blob)
    }
}

impl ContainerConfig {
    /// The same, with what it does not say as the image says that it is made over, in the form of that image's configuration:
    /// its command only where no other one is given.
    #[must_use]
    pub fn over(mut self, below: &Json) -> ContainerConfig {
        let texts = |name: &str| -> Vec<String> {
            let all = below.get(name).and_then(Json::as_array).into_iter().flatten();
            all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let text = |name: &str| below.get(name).and_then(Json::as_str).filter(|it| !it.is_empty()).map(str::to_owned);
        let names =
            |name: &str| below.get(name).and_then(Json::as_object).into_iter().flatten().map(|(name, _)| name.clone());
        if self.entrypoint.is_empty() {
            self.entrypoint = texts("Entrypoint");
            if self.command.is_empty() {
                self.command = texts("Cmd");
                self.stop_signal = self.stop_signal.or_else(|| text("StopSignal"));
            }
        }
        for variable in texts("Env") {
            if let Some((name, value)) = variable.split_once('=') {
                self.environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        self.user = self.user.or_else(|| text("User"));
        self.working_dir = self.working_dir.or_else(|| text("WorkingDir"));
        let own: Vec<String> = self.ports.iter().map(|port| port_of(port)).collect();
        self.ports.extend(names("ExposedPorts").filter(|port| !own.contains(port)));
        let own = self.volumes.clone();
        self.volumes.extend(names("Volumes").filter(|volume| !own.contains(volume)));
        for (name, value) in below.get("Labels").and_then(Json::as_object).into_iter().flatten() {
            if let Some(value) = value.as_str().filter(|_| name != OWN_LABEL) {
                self.labels.entry(name.clone()).or_insert_with(|| value.to_owned());
            }
        }
        self
    }

    fn encode(&self, image: &Digest, layers: &[Blob]) -> Json {
        let mut config = Map::new();
        let mut put = |name: &str, value: Json| drop(config.insert(name.to_owned(), value));
        let mut environment = self.environment.clone();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        environment.entry("PATH".to_owned()).or_insert_with(|| path.to_owned());
        put("Env", environment.iter().map(|(name, value)| Json::from(format!("{name}={value}"))).collect());
        if self.entrypoint.is_empty() && self.command.is_empty() {
            put("Cmd", json!(["/sbin/init"]));
            // What systemd takes for an orderly end.
            put("StopSignal", "SIGRTMIN+3".into());
        }
        for (name, words) in [("Entrypoint", &self.entrypoint), ("Cmd", &self.command)] {
            if !words.is_empty() {
                put(name, words.iter().map(String::as_str).collect());
            }
        }
        for (name, text) in [("User", &self.user), ("WorkingDir", &self.working_dir)] {
            text.iter().for_each(|text| put(name, text.as_str().into()));
        }
        if !self.ports.is_empty() {
            put("ExposedPorts", Json::Object(self.ports.iter().map(|port| (port_of(port), json!({}))).collect()));
        }
        if !self.volumes.is_empty() {
            put("Volumes", Json::Object(self.volumes.iter().map(|place| (place.clone(), json!({}))).collect()));
        }
        if let Some(signal) = &self.stop_signal {
            put("StopSignal", signal.as_str().into());
        }
        // By this it is known again on a machine that has it from elsewhere.
        let own = (OWN_LABEL.to_owned(), Json::from(image.as_str()));
        let labels = self.labels.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str())));
        put("Labels", Json::Object(std::iter::once(own).chain(labels).collect()));
        json!({
            "created": CREATED,
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|blob| blob.plain.as_str()).collect::<Vec<_>>() },
            "history": layers.iter().map(|_| json!({ "created": CREATED, "created_by": "andon bake" })).collect::<Vec<_>>(),
        })
    }
}

impl OciImage {
    /// Writes it as a layout: `oci:DIRECTORY:TAG` for other tools. Images of other tags in it stay, and one of this tag goes,
    /// with what only it was made of. Where this fails, or an end is asked for, the directory is as it was.
    pub fn write_layout(&self, directory: &Path, tag: &str) -> Result<(), Failure> {
        can_be_layout(directory)?;
        let made: Vec<&Path> = directory.ancestors().take_while(|above| fs::symlink_metadata(above).is_err()).collect();
        // Who writes another image there at the same time reads the index after this one.
        let open = || fs::create_dir_all(directory).and_then(|()| File::open(directory));
        let lock = Lock::of_what_is_at(directory, open, &self.interrupt).doing("lock", directory)?;
        let _lock = lock.ok_or_else(stopped)?;
        let mut new = Vec::new();
        self.fill_layout(directory, tag, &mut new).inspect_err(|_| {
            new.iter().for_each(|path| drop(fs::remove_file(path)));
            // Those that are empty now, unless somebody had made them before.
            if !directory.join("index.json").exists() {
                drop(fs::remove_file(directory.join("oci-layout")));
            }
            ["blobs/sha256", "blobs"].iter().for_each(|inner| drop(fs::remove_dir(directory.join(inner))));
            made.iter().filter(|above| !above.as_os_str().is_empty()).for_each(|above| drop(fs::remove_dir(above)));
        })
    }

    /// `new` takes the blobs that were not there.
    fn fill_layout(&self, directory: &Path, tag: &str, new: &mut Vec<PathBuf>) -> Result<(), Failure> {
        // First, so that what is cut short is known for what it is.
        write_whole(&directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).doing("make", &blobs)?;
        let (others, replaced) = layout::entries(directory, tag)?;
        for blob in &self.layers {
            let name = file_name(&blob.digest);
            let to = blobs.join(&name);
            if !self.is_at(blob, &to)? {
                self.must_be_whole(blob)?;
                let draft = blobs.join(format!(".{name}"));
                new.push(draft.clone());
                let copied = File::open(&blob.path)
                    .and_then(|from| io::copy(&mut Watched::new(from, &self.interrupt), &mut File::create(&draft)?));
                self.unless_stopped(copied, &draft)?;
                new.push(to.clone());
                fs::rename(&draft, &to).doing("write", &to)?;
            }
        }
        for bytes in [&self.config, &self.manifest] {
            let to = blobs.join(file_name(&digest_of(bytes)));
            if !to.exists() {
                new.push(to.clone());
            }
            write_whole(&to, bytes)?;
        }
        let own = self.entry(tag);
        let named: Vec<Json> = others.into_iter().chain([own]).collect();
        let kept = layout::blobs_of(directory, &named);
        write_whole(&directory.join("index.json"), index_of(named).to_string().as_bytes())?;
        new.clear();
        for name in layout::blobs_of(directory, &replaced).difference(&kept) {
            let path = blobs.join(name);
            fs::remove_file(&path).or_else(gone_is_fine).doing("remove", &path)?;
        }
        Ok(())
    }

    /// Whether a packed layer is at a path, as it is to be: what is there by its name may be damaged.
    fn is_at(&self, blob: &Blob, path: &Path) -> Result<bool, Failure> {
        if !fs::metadata(path).is_ok_and(|metadata| metadata.len() == blob.bytes) {
            return Ok(false);
        }
        let hash = hash_file(path, &mut vec![0; 256 << 10], &self.interrupt);
        Ok(hex(&self.unless_stopped(hash, path)?) == file_name(&blob.digest))
    }

    /// Refuses to hand on a packed layer that was damaged where it is kept.
    fn must_be_whole(&self, blob: &Blob) -> Result<(), Failure> {
        if self.is_at(blob, &blob.path)? {
            return Ok(());
        }
        fs::remove_file(&blob.path).or_else(gone_is_fine).doing("remove", &blob.path)?;
        let detail = format!("{} was not what {} names.", blob.path.display(), blob.digest);
        Err(Failure::new("a packed layer was damaged", detail).help("Run the same command again: it is packed anew."))
    }

    /// Writes the layout as one archive: `oci-archive:FILE:TAG` for other tools.
    pub fn write_archive(&self, path: &Path, tag: &str) -> Result<(), Failure> {
        self.layers.iter().try_for_each(|blob| self.must_be_whole(blob))?;
        let (draft, file) = Draft::of_file(path, &self.interrupt)?;
        let written = (|| {
            let mut archive = tar::Builder::new(BufWriter::new(file));
            let mut add = |name: &str, bytes: u64, from: &mut dyn io::Read| {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(0o644);
                header.set_uid(0);
                header.set_gid(0);
                header.set_mtime(0);
                header.set_size(bytes);
                archive.append_data(&mut header, name, from)
            };
            let index = index_of(vec![self.entry(tag)]).to_string().into_bytes();
            let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
            add("oci-layout", length(layout), &mut &layout[..])?;
            add("index.json", length(&index), &mut &*index)?;
            for bytes in [&self.config, &self.manifest] {
                let name = format!("blobs/sha256/{}", file_name(&digest_of(bytes)));
                add(&name, length(bytes), &mut &**bytes)?;
            }
            let mut seen = std::collections::BTreeSet::new();
            for blob in self.layers.iter().filter(|blob| seen.insert(&blob.digest)) {
                let name = format!("blobs/sha256/{}", file_name(&blob.digest));
                let from = BufReader::with_capacity(256 << 10, File::open(&blob.path)?);
                add(&name, blob.bytes, &mut Watched::new(from, &self.interrupt))?;
            }
            archive.into_inner()?.flush()
        })();
        self.unless_stopped(written, path)?;
        draft.finish()
    }

    fn unless_stopped<T>(&self, written: io::Result<T>, path: &Path) -> Result<T, Failure> {
        match written {
            Err(_) if self.interrupt.load(Ordering::Relaxed) => Err(stopped()),
            written => written.doing("write", path),
        }
    }

    /// What an index says of it.
    fn entry(&self, tag: &str) -> Json {
        json!({
            "mediaType": MANIFEST,
            "digest": self.digest.as_str(),
            "size": self.manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": tag },
            "platform": { "architecture": architecture(), "os": "linux" },
        })
    }
}

/// Whether a directory is a layout, is one that was cut short, or can become one.
pub(crate) fn can_be_layout(directory: &Path) -> Result<(), Failure> {
    if directory.exists() && !directory.is_dir() {
        let detail = format!("{} is no directory.", directory.display());
        return Err(Failure::new("the layout cannot be written", detail)
            .help("Name a directory, or let the name end with .tar."));
    }
    let names = match fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).doing("read", directory),
    };
    let is_own = |name: &std::ffi::OsString| ["blobs", "index.draft", "oci-layout.draft"].iter().any(|own| name == own);
    if names.iter().any(|name| name == "oci-layout") || names.iter().all(is_own) {
        return layout::entries(directory, "").map(drop);
    }
    Err(Failure::new(
        "the directory is no layout",
        format!("{} holds something else than images in this form.", directory.display()),
    )
    .help("Name a directory that is not there, is empty, or is a layout."))
}

/// A port with its protocol.
fn port_of(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

fn index_of(entries: Vec<Json>) -> Json {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

fn gone_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The processor, by Go's name for it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(bytes);
    Digest::of(hash)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn file_name(digest: &Digest) -> String {
    digest.as_str().trim_start_matches("sha256:").to_owned()
}

/// Hashes and counts what goes through.
struct Counted<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Counted<W> {
    fn new(to: W) -> Counted<W> {
        Counted { to, hash: Sha256::new(), bytes: 0 }
    }

    fn end(self) -> (W, Digest, u64) {
        (self.to, Digest::of(self.hash), self.bytes)
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        let written = bytes.get(..count).unwrap_or_default();
        self.hash.update(written);
        self.bytes += length(written);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
