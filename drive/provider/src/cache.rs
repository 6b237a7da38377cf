//! What plugins offer, kept in files, so that a run that has nothing to ask starts no plugin.
//!
//! A file is for one plugin file as it is: its name is made of the path, size, inode and times of change. A digest of
//! the content would survive a copy, but reading some hundred megabytes takes as long as asking the plugin anew. A file
//! has the magic bytes with the version of the format, the length of the index (32 bits, little-endian), the SHA-256 of
//! the index, the index (`proto/cache.proto`), and then the schemas as the plugin gave them. A reader seeks: of a large
//! plugin only what is wanted is read. Whatever is not as it should be makes the file anew; it is replaced whole, so
//! that runs at the same time see one or the other. What is used is touched once a day, and what was not touched for 90
//! days is removed when something is added.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use andon_schema::{Capabilities, Mode, ProviderSchema, TypeSchema};
use prost::Message;
use prost::bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::PluginError;
use crate::find::program_in;
use crate::judged::Judged;
use crate::package;
use crate::schema::{Protocol, RawSchema, SchemaError, function_schema, identity_schema, type_schema};
use crate::wire::cache::{Entry, Index};
use crate::{Plugin, StartSettings};

const MAGIC: [u8; 8] = *b"andonps\x02";

/// Magic bytes, the index' length, the index' digest.
const HEAD_BYTES: usize = 8 + 4 + 32;

/// An index that claims to be longer is none.
const LONGEST_INDEX_BYTES: u32 = 64 << 20;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Which types' schemas are wanted. A provider's own schemas and those of its functions always come along, and the
/// names of all types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// These; what the provider does not offer is left out.
    Types(BTreeSet<(Mode, String)>),
}

impl Wanted {
    fn has(&self, mode: Mode, kind: &str) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Types(types) => types.contains(&(mode, kind.to_owned())),
        }
    }
}

/// Where schemas are kept.
#[derive(Debug, Clone)]
pub struct SchemaCache {
    directory: Option<PathBuf>,
}

impl SchemaCache {
    /// One in a directory, which is made where it is missing. Without a directory, or where it cannot be written,
    /// nothing is kept.
    pub fn new(directory: Option<PathBuf>) -> SchemaCache {
        SchemaCache { directory }
    }

    /// What the plugin in a file offers. The plugin is started only where that is not known yet; it is handed back
    /// then, for whatever else is to be asked.
    pub fn load(
        &self,
        plugin: &Path,
        wanted: &Wanted,
        settings: StartSettings,
    ) -> Result<(ProviderSchema, Option<Plugin>), PluginError> {
        let file = self.file(plugin);
        if let Some(kept) = file.as_deref().and_then(|file| read(file, wanted)) {
            file.as_deref().into_iter().for_each(touch);
            return Ok((kept, None));
        }
        let running = Plugin::start(plugin, settings)?;
        let raw = running.schema()?;
        if let Some(file) = &file {
            // A run without a cache is slower, and right.
            let _ = write(file, &raw);
        }
        let schema = provider_schema(&raw, wanted);
        let schema = schema.map_err(|source| PluginError::Schema { path: plugin.to_owned(), source })?;
        Ok((schema, Some(running)))
    }

    /// The configurations that the plugin in a file had nothing to say of.
    pub fn judged(&self, plugin: &Path) -> Judged {
        let Some(file) = self.file(plugin).map(|file| file.with_extension("judged")) else { return Judged::default() };
        touch(&file);
        Judged::read(file)
    }

    /// The program in an archive, unpacked beside what is kept of schemas; of an archive that was unpacked before, that.
    pub fn unpack(&self, archive: &Path, name: &str) -> io::Result<PathBuf> {
        let no_place = || io::Error::other("there is no cache directory to unpack it in");
        let place = self.file(archive).ok_or_else(no_place)?.with_extension("package");
        let no_program = || io::Error::other(format!("no program of {name} is in the archive"));
        if let Some(program) = program_in(&place, name) {
            touch(&place);
            return Ok(program);
        }
        let partial = place.with_extension(format!("package-{}", std::process::id()));
        let result = package::unpack(archive, &partial).and_then(|()| match fs::rename(&partial, &place) {
            // Another run was first.
            Err(_) if place.is_dir() => Ok(()),
            renamed => renamed,
        });
        let _ = fs::remove_dir_all(&partial);
        result.and_then(|()| program_in(&place, name).ok_or_else(no_program))
    }

    fn file(&self, plugin: &Path) -> Option<PathBuf> {
        let path = plugin.canonicalize().ok()?;
        let metadata = path.metadata().ok()?;
        let numbers = [metadata.dev(), metadata.ino(), metadata.size()];
        let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        let key = format!("{}\n{numbers:?}\n{times:?}", path.display());
        let name: String = Sha256::digest(key).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Some(self.directory.as_ref()?.join(name))
    }
}

impl Plugin {
    /// What it offers, of all of it only what is wanted; asked for, and not kept.
    pub fn offer(&self, wanted: &Wanted) -> Result<ProviderSchema, PluginError> {
        let schema = provider_schema(&self.schema()?, wanted);
        schema.map_err(|source| PluginError::Schema { path: self.program().to_owned(), source })
    }
}

/// What a plugin offers, of all of it only what is wanted.
fn provider_schema(raw: &RawSchema, wanted: &Wanted) -> Result<ProviderSchema, SchemaError> {
    let blobs = entries(raw).map(|(kind, name, bytes)| (kind, name.to_owned(), || Ok(bytes.clone())));
    assemble(raw.protocol, raw.capabilities, blobs, wanted)
}

/// The parts of what a plugin offers, each with its number in an index.
fn entries(raw: &RawSchema) -> impl Iterator<Item = (u32, &str, &Bytes)> {
    let own = [(CONFIG, "", &raw.config), (META, "", &raw.meta)];
    let types = raw.types.iter().flat_map(|(mode, types)| types.iter().map(|(name, it)| (of_mode(*mode), name, it)));
    let functions = raw.functions.iter().map(|(name, it)| (FUNCTION, name, it));
    // After the types that they belong to.
    let identities = raw.identities.iter().map(|(name, it)| (IDENTITY, name, it));
    own.into_iter().chain(types.chain(functions).chain(identities).map(|(kind, name, it)| (kind, name.as_str(), it)))
}

const CONFIG: u32 = 0;
const META: u32 = 1;
const FUNCTION: u32 = 5;
const IDENTITY: u32 = 6;

fn of_mode(mode: Mode) -> u32 {
    match mode {
        Mode::Managed => 2,
        Mode::Data => 3,
        Mode::Ephemeral => 4,
    }
}

/// Reads what is wanted of parts that are read one by one.
fn assemble<F>(
    protocol: Protocol,
    capabilities: Capabilities,
    parts: impl Iterator<Item = (u32, String, F)>,
    wanted: &Wanted,
) -> Result<ProviderSchema, SchemaError>
where
    F: FnOnce() -> Result<Bytes, SchemaError>,
{
    let mut schema = ProviderSchema { capabilities, ..ProviderSchema::default() };
    let modes: BTreeMap<u32, Mode> =
        [Mode::Managed, Mode::Data, Mode::Ephemeral].map(|mode| (of_mode(mode), mode)).into();
    for (kind, name, bytes) in parts {
        match (kind, modes.get(&kind)) {
            (CONFIG, _) => schema.config = type_schema(protocol, "the provider's configuration", &bytes()?)?.block,
            (META, _) => schema.meta = type_schema(protocol, "provider_meta", &bytes()?)?.block,
            (FUNCTION, _) => drop(schema.functions.insert(name.clone(), function_schema(&name, &bytes()?)?)),
            (IDENTITY, _) => {
                if let Some(ty) = schema.resources.get_mut(&name) {
                    ty.identity = Some(Arc::new(identity_schema(&name, &bytes()?)?));
                }
            }
            (_, Some(mode)) => {
                let types = schema.types_mut(*mode);
                if wanted.has(*mode, &name) {
                    let read: TypeSchema = type_schema(protocol, &name, &bytes()?)?;
                    types.insert(name.clone(), read);
                }
                schema.offered.entry(*mode).or_default().insert(name);
            }
            _ => {}
        }
    }
    Ok(schema)
}

fn short_digest(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn write(file: &Path, raw: &RawSchema) -> io::Result<()> {
    let mut start = 0;
    let mut index = Index {
        protocol: if raw.protocol == Protocol::Five { 5 } else { 6 },
        entries: Vec::new(),
        plan_destroy: raw.capabilities.plan_destroy,
        schema_optional: raw.capabilities.schema_optional,
        move_state: raw.capabilities.move_state,
        generate_config: raw.capabilities.generate_config,
    };
    for (kind, name, bytes) in entries(raw) {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        index.entries.push(Entry { kind, name: name.to_owned(), start, length, digest: short_digest(bytes) });
        start += u64::from(length);
    }
    let index = index.encode_to_vec();
    let mut content = MAGIC.to_vec();
    content.extend(u32::try_from(index.len()).map_err(io::Error::other)?.to_le_bytes());
    content.extend(Sha256::digest(&index));
    content.extend(index);
    entries(raw).for_each(|(_, _, bytes)| content.extend_from_slice(bytes));
    replace(file, &content)
}

/// Keeps a file, whole or not at all, and removes what was not used for long.
pub(crate) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    prune(directory, SystemTime::now());
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let partial = PathBuf::from(name);
    let result = fs::write(&partial, content).and_then(|()| fs::rename(&partial, file));
    if result.is_err() {
        let _ = fs::remove_file(&partial);
    }
    result
}

/// Notes that something kept was used, by its time of change.
pub(crate) fn touch(path: &Path) {
    let now = SystemTime::now();
    let Ok(file) = File::open(path) else { return };
    if age(&file.metadata(), now).is_some_and(|age| age > DAY) {
        // Where that may not be done, it is made anew after 90 days.
        let _ = file.set_modified(now);
    }
}

/// Removes what was not used for 90 days. Names that are none of the cache's stay.
fn prune(directory: &Path, now: SystemTime) {
    let is_ours = |name: &str| name.get(..32).is_some_and(|stem| stem.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let metadata = entry.metadata();
        let is_old = age(&metadata, now).is_some_and(|age| age > 90 * DAY);
        if is_old && is_ours(&entry.file_name().to_string_lossy()) {
            let is_directory = metadata.is_ok_and(|metadata| metadata.is_dir());
            let _ = if is_directory { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        }
    }
}

fn age(metadata: &io::Result<fs::Metadata>, now: SystemTime) -> Option<Duration> {
    now.duration_since(metadata.as_ref().ok()?.modified().ok()?).ok()
}

/// What is wanted of a kept file; `None` where there is none or it is not whole.
fn read(path: &Path, wanted: &Wanted) -> Option<ProviderSchema> {
    let mut file = File::open(path).ok()?;
    let mut head = [0; HEAD_BYTES];
    file.read_exact(&mut head).ok()?;
    let (magic, rest) = head.split_at(8);
    let (length, digest) = rest.split_at(4);
    let length = u32::from_le_bytes(length.try_into().ok()?);
    if magic != MAGIC || length > LONGEST_INDEX_BYTES {
        return None;
    }
    let mut index = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut index).ok()?;
    if *Sha256::digest(&index) != *digest {
        return None;
    }
    let index = Index::decode(index.as_slice()).ok()?;
    let protocol = match index.protocol {
        5 => Protocol::Five,
        6 => Protocol::Six,
        _ => return None,
    };
    let capabilities = Capabilities {
        plan_destroy: index.plan_destroy,
        schema_optional: index.schema_optional,
        move_state: index.move_state,
        generate_config: index.generate_config,
    };
    let begin = u64::try_from(HEAD_BYTES).ok()? + u64::from(length);
    let end = file.metadata().ok()?.len();
    let file = &file;
    let parts = index.entries.into_iter().map(|entry| {
        let read = move || {
            let torn = || SchemaError::Content { what: "the cache".to_owned(), why: "it is torn".to_owned() };
            let at = begin.checked_add(entry.start).ok_or_else(torn)?;
            if at.checked_add(u64::from(entry.length)).is_none_or(|last| last > end) {
                return Err(torn());
            }
            let mut bytes = vec![0; usize::try_from(entry.length).map_err(|_| torn())?];
            file.read_exact_at(&mut bytes, at).map_err(|_| torn())?;
            if short_digest(&bytes) == entry.digest { Ok(Bytes::from(bytes)) } else { Err(torn()) }
        };
        (entry.kind, entry.name, read)
    });
    assemble(protocol, capabilities, parts, wanted).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_for_long_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let stem = |digit: &str| digit.repeat(32);
        let make = |name: &str, days: u32| {
            let path = directory.path().join(name);
            if name.ends_with("package") { fs::create_dir(&path) } else { fs::write(&path, "x") }.unwrap();
            File::open(&path).unwrap().set_modified(now - days * DAY).unwrap();
        };
        for (name, days) in [
            (stem("a"), 91),
            (stem("b"), 89),
            (format!("{}.judged", stem("a")), 100),
            (format!("{}.package", stem("c")), 91),
            (format!("{}.package", stem("d")), 91),
            ("notes".to_owned(), 1000),
        ] {
            make(&name, days);
        }
        touch(&directory.path().join(format!("{}.package", stem("d"))));
        prune(directory.path(), now);
        let mut left: Vec<String> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [stem("b"), format!("{}.package", stem("d")), "notes".to_owned()]);
    }
}
