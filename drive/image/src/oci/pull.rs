//! An image from a registry or a layout, as a base: each of its layers is one here.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use andon_schema::Failure;
use flate2::bufread::MultiGzDecoder;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::registry::{read_all, refuse};
use super::{Reference, Registries, architecture, digest_of, file_name, tarball};
use crate::bake::Held;
use crate::images::Stack;
use crate::patience::{Budget, Watched};
use crate::tree::{DIRECTORY, Tree};
use crate::trouble::Trouble;
use crate::trust::Trust;
use crate::{Digest, Images, RecipeKey};

/// Where an image of this form comes from.
pub(crate) enum Origin<'a> {
    Registry(&'a Registries, &'a Reference),
    /// A layout, and the tag in it; the only image in it where none is named.
    Layout(&'a Path, Option<&'a str>),
}

impl Origin<'_> {
    fn bytes(&self, wanted: &str) -> Result<(Vec<u8>, Digest), Failure> {
        match self {
            Origin::Registry(client, reference) => {
                client.manifest(reference, wanted).map(|(_, bytes, digest)| (bytes, digest))
            }
            Origin::Layout(directory, _) => {
                let path = blob_file(directory, wanted)?;
                let bytes = fs::read(&path).doing("read", &path)?;
                let digest = digest_of(&bytes);
                if digest.as_str() != wanted {
                    return Err(damaged(&path));
                }
                Ok((bytes, digest))
            }
        }
    }

    fn layer(&self, digest: &Digest) -> Result<Box<dyn Read>, Failure> {
        Ok(match self {
            Origin::Registry(client, reference) => Box::new(client.blob(reference, digest)?),
            Origin::Layout(directory, _) => {
                let path = blob_file(directory, digest.as_str())?;
                Box::new(File::open(&path).doing("read", &path)?)
            }
        })
    }

    /// How its containers run, as the image says.
    pub(crate) fn config(&self, manifest: &Json) -> Result<Json, Failure> {
        let digest = manifest.get("config").and_then(|it| Digest::parse(it.get("digest")?.as_str()?));
        let Some(digest) = digest else { return Ok(Json::Null) };
        let bytes = read_all(self.layer(&digest)?, 4 << 20);
        let bytes = bytes.map_err(|error| self.failed(&digest, &error))?;
        if digest_of(&bytes) != digest {
            return Err(self.refuse(&digest));
        }
        let json = parse(&bytes, "the configuration")?;
        Ok(json.get("config").cloned().unwrap_or_default())
    }

    fn failed(&self, digest: &Digest, error: &io::Error) -> Failure {
        let from = match self {
            Origin::Registry(_, reference) => reference.to_string(),
            Origin::Layout(directory, _) => directory.display().to_string(),
        };
        Failure::new("the image could not be fetched", format!("{digest} of {from}: {error}."))
    }

    fn refuse(&self, digest: &Digest) -> Failure {
        match self {
            Origin::Registry(_, reference) => refuse(reference, digest),
            Origin::Layout(directory, _) => damaged(&directory.join(file_name(digest))),
        }
    }

    /// The manifest for this machine's processor, and its digest.
    pub(crate) fn manifest(&self) -> Result<(Json, Digest), Failure> {
        let mut wanted = match self {
            Origin::Registry(_, reference) => reference.wanted().to_owned(),
            Origin::Layout(directory, tag) => {
                let index = index_of(directory)?;
                if tag.is_none() {
                    is_one_image(&index, directory)?;
                }
                return self.of_index(&index, *tag, 0);
            }
        };
        for _ in 0..3 {
            let (bytes, digest) = self.bytes(&wanted)?;
            let json = parse(&bytes, &wanted)?;
            match json.get("manifests") {
                None => return Ok((json, digest)),
                Some(_) => wanted = for_this_machine(&json, None, &wanted)?,
            }
        }
        Err(Failure::new("the image has no manifest", "One index leads to the next.".to_owned()))
    }

    fn of_index(&self, index: &Json, tag: Option<&str>, depth: u8) -> Result<(Json, Digest), Failure> {
        let wanted = for_this_machine(index, tag, "index.json")?;
        let (bytes, digest) = self.bytes(&wanted)?;
        let json = parse(&bytes, &wanted)?;
        match json.get("manifests") {
            Some(_) if depth < 2 => self.of_index(&json, None, depth + 1),
            _ => Ok((json, digest)),
        }
    }
}

impl Images {
    /// Brings the layers of an image here. `manifest` is as [`Origin::manifest`] gives it.
    pub(crate) fn unpack_layers(
        &self,
        origin: &Origin<'_>,
        manifest: &Json,
        held: &Held,
        log: &dyn Fn(&str),
    ) -> Result<Stack, Failure> {
        let budget = Budget::of_image(self.room()?, &self.interrupt)?;
        let unclear = |what: &str| Failure::new("the image's manifest is not one", what.to_owned());
        let layers = manifest.get("layers").and_then(Json::as_array).ok_or_else(|| unclear("It names no layers."))?;
        // By whom these are believed is said of what they come to.
        let mut stack = Stack::new(Vec::new(), Trust::Nobody);
        for (number, layer) in layers.iter().enumerate() {
            let digest = layer.get("digest").and_then(Json::as_str).and_then(Digest::parse);
            let digest = digest.ok_or_else(|| unclear("The digest of a layer is no sha256."))?;
            let size = layer.get("size").and_then(Json::as_u64).unwrap_or(0);
            if let Some(shallow) = self.shallow(&stack)? {
                shallow.layers().iter().try_for_each(|layer| held.add(layer))?;
                stack = shallow;
            }
            // The same over the same is the same layer.
            let head: &[u8] = b"andon pull 1";
            let below = stack.layers().iter().map(|layer| layer.as_str().as_bytes());
            let key = RecipeKey::of([head, digest.as_str().as_bytes()].into_iter().chain(below));
            let workplace = self.workplace_in_turn(&format!("pull-{}", key.as_str()))?;
            if let Some(known) = self.known_step(&key) {
                known.iter().try_for_each(|layer| held.add(layer))?;
                // Nobody may have removed it in between.
                if self.known_step(&key).is_some() {
                    stack.push(known);
                    continue;
                }
            }
            log(&format!("fetching layer {} of {} ({} MiB)", number + 1, layers.len(), size >> 20));
            let packed = workplace.work().join("layer");
            let mut from = origin.layer(&digest)?;
            let mut from = Watched::new(&mut from, &self.interrupt);
            let copied = copy_checked(&mut from, &packed, size, &digest);
            let copied = copied.map_err(|error| match error.raw_os_error() {
                Some(_) => error_of_disk(error, &packed),
                None => origin.failed(&digest, &error),
            })?;
            copied.ok_or_else(|| origin.refuse(&digest))?;
            let upper = workplace.upper();
            let below = self.tree(&stack)?;
            let layers = self.directories(&stack);
            let at = |path: &Path| shown(&layers, &below, path);
            let unpacked = open(&packed).and_then(|plain| tarball::unpack(plain, &upper, &at, &budget));
            unpacked.map_err(|error| match error.raw_os_error() {
                Some(_) => error_of_disk(error, &upper),
                None => origin.failed(&digest, &error),
            })?;
            fs::remove_file(&packed).doing("remove", &packed)?;
            let layer = self.keep(workplace, &below, |layer| held.add(&layer.digest()))?;
            self.remember_step(&key, layer.as_ref())?;
            stack.push(layer);
        }
        if self.tree(&stack)? == Tree::default() {
            return Err(Failure::new("the image is empty", "None of its layers holds anything.".to_owned()));
        }
        Ok(stack)
    }
}

fn error_of_disk(error: io::Error, place: &Path) -> Failure {
    let failed: Result<(), io::Error> = Err(error);
    match failed.doing("write", place) {
        Err(failure) => failure,
        Ok(()) => Failure::new("a layer could not be unpacked", place.display().to_string()),
    }
}

/// Where the layers have what shows at a path, if anything does. `tree` is what they come to. Of several the topmost one that
/// has the path shows.
pub(crate) fn shown(layers: &[PathBuf], tree: &Tree, path: &Path) -> Option<PathBuf> {
    let line = tree.line(path.as_os_str().as_bytes())?;
    let is_it = |place: &PathBuf| {
        fs::symlink_metadata(place).is_ok_and(|metadata| match line.get(..1) {
            Some(DIRECTORY) => metadata.is_dir(),
            Some("l") => metadata.is_symlink(),
            Some("f") => metadata.is_file(),
            _ => false,
        })
    };
    layers.iter().map(|layer| layer.join(path)).find(is_it)
}

/// `None` where what came is not what the digest names.
fn copy_checked(from: &mut dyn Read, to: &Path, size: u64, digest: &Digest) -> io::Result<Option<()>> {
    let mut file = File::create(to)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0_u64;
    loop {
        let count = from.read(&mut buffer)?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else { break };
        bytes += super::length(part);
        if bytes > size {
            return Ok(None);
        }
        hash.update(part);
        io::Write::write_all(&mut file, part)?;
    }
    Ok((Digest::of(hash) == *digest).then_some(()))
}

/// A layer without its packing, which its first bytes tell.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut first = [0; 4];
    let count = File::open(path)?.read(&mut first)?;
    let file = BufReader::with_capacity(256 << 10, File::open(path)?);
    Ok(match first.get(..count) {
        Some([0x1f, 0x8b, ..]) => Box::new(MultiGzDecoder::new(file)),
        Some([0x28, 0xb5, 0x2f, 0xfd]) => Box::new(Frames::new(file)),
        _ => Box::new(file),
    })
}

/// Zstandard: a file may hold several frames.
pub(crate) struct Frames<R: Read> {
    from: R,
    frame: Option<Box<ruzstd::decoding::FrameDecoder>>,
}

impl<R: io::BufRead> Frames<R> {
    pub(crate) fn new(from: R) -> Frames<R> {
        Frames { from, frame: None }
    }
}

impl<R: io::BufRead> Read for Frames<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let trouble = |error: ruzstd::decoding::errors::FrameDecoderError| {
            io::Error::new(io::ErrorKind::InvalidData, error.to_string())
        };
        loop {
            if self.frame.is_none() {
                if self.from.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                let mut frame = ruzstd::decoding::FrameDecoder::new();
                match frame.init(&mut self.from) {
                    Err(ruzstd::decoding::errors::FrameDecoderError::ReadFrameHeaderError(
                        ruzstd::decoding::errors::ReadFrameHeaderError::SkipFrame { length, .. },
                    )) => {
                        io::copy(&mut self.from.by_ref().take(length.into()), &mut io::sink())?;
                        continue;
                    }
                    begun => begun.map_err(trouble)?,
                }
                self.frame = Some(Box::new(frame));
            }
            let Some(frame) = &mut self.frame else { continue };
            if frame.can_collect() == 0 && !frame.is_finished() {
                let most = ruzstd::decoding::BlockDecodingStrategy::UptoBytes(to.len().max(64 << 10));
                frame.decode_blocks(&mut self.from, most).map_err(trouble)?;
            }
            let count = frame.read(to)?;
            if count > 0 {
                return Ok(count);
            }
            if frame.is_finished() {
                self.frame = None;
            }
        }
    }
}

fn index_of(directory: &Path) -> Result<Json, Failure> {
    let path = directory.join("index.json");
    let file = File::open(&path).doing("read", &path)?;
    parse(&read_all(file, 4 << 20).doing("read", &path)?, "index.json")
}

fn parse(bytes: &[u8], what: &str) -> Result<Json, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::new("the image's manifest is not one", format!("{what} is no JSON: {error}.")))
}

/// The tag of an entry of a layout.
fn name_of(entry: &Json) -> Option<&str> {
    entry.get("annotations")?.get("org.opencontainers.image.ref.name")?.as_str()
}

/// Whether an entry of an index may be an image for this machine: what else there is, such as a bill of materials, says what
/// it is or is for no processor.
fn fits(entry: &Json) -> bool {
    let is_artifact = entry.get("artifactType").is_some();
    !is_artifact
        && entry.get("platform").is_none_or(|platform| {
            let is = |name: &str, value: &str| platform.get(name).and_then(Json::as_str) == Some(value);
            is("os", "linux") && is("architecture", architecture())
        })
}

/// Whether there is no question which image of a layout is meant where none is named. One may have several names.
fn is_one_image(index: &Json, directory: &Path) -> Result<(), Failure> {
    let all = index.get("manifests").and_then(Json::as_array).into_iter().flatten();
    let fitting: Vec<&Json> = all.filter(|entry| fits(entry)).collect();
    let digests: BTreeSet<&str> = fitting.iter().filter_map(|entry| entry.get("digest")?.as_str()).collect();
    if digests.len() < 2 {
        return Ok(());
    }
    let names: Vec<&str> = fitting.iter().filter_map(|entry| name_of(entry)).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let which = match &*quoted {
        [] => "none of which has a tag".to_owned(),
        all => format!("with the tags {}", all.join(", ")),
    };
    let detail = format!("{} holds {} images for this machine, {which}.", directory.display(), digests.len());
    Err(Failure::new("the layout holds several images", detail).help(match names.first() {
        Some(name) => format!("Say which one: `oci:{}:{name}`.", directory.display()),
        None => "Take a layout of one image, or give them tags: `skopeo copy`, `umoci tag`.".to_owned(),
    }))
}

/// The digest of an index's entry of this name and for this processor.
fn for_this_machine(index: &Json, tag: Option<&str>, what: &str) -> Result<String, Failure> {
    let all = index.get("manifests").and_then(Json::as_array).into_iter().flatten();
    let named = |entry: &&Json| tag.is_none_or(|tag| name_of(entry) == Some(tag));
    let mut found = all.filter(named).filter(|entry| fits(entry)).filter_map(|entry| entry.get("digest")?.as_str());
    let first = found.next().ok_or_else(|| {
        let of = tag.map(|tag| format!(" of the name `{tag}`")).unwrap_or_default();
        Failure::new(
            "the image is not for this machine",
            format!("{what} names no image{of} for linux on {}.", architecture()),
        )
    })?;
    Ok(first.to_owned())
}

fn blob_file(directory: &Path, digest: &str) -> Result<PathBuf, Failure> {
    let digest = Digest::parse(digest)
        .ok_or_else(|| Failure::new("the image's manifest is not one", format!("`{digest}` is no sha256.")))?;
    Ok(directory.join("blobs/sha256").join(file_name(&digest)))
}

fn damaged(path: &Path) -> Failure {
    Failure::new("the image is damaged", format!("{} is not what its name says.", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_without_a_tag_is_the_only_one() {
        let entry = |digest: &str, tag: &str| json!({ "digest": digest, "annotations": { "org.opencontainers.image.ref.name": tag } });
        let for_processor =
            |digest: &str, name: &str| json!({ "digest": digest, "platform": { "os": "linux", "architecture": name } });
        let artifact = json!({ "digest": "s", "artifactType": "application/spdx+json" });
        let check = |entries: Json, expected: Result<&str, &str>| {
            let index = json!({ "manifests": entries });
            let chosen = is_one_image(&index, Path::new("out/web"))
                .and_then(|()| for_this_machine(&index, None, "index.json"))
                .map_err(|failure| format!("{} {}", failure.detail, failure.help.join(" ")));
            assert_eq!(chosen.as_deref().map_err(String::as_str), expected, "{entries}");
        };
        let own = architecture();
        let other = if own == "amd64" { "arm64" } else { "amd64" };
        check(json!([entry("a", "1")]), Ok("a"));
        check(json!([entry("a", "1"), entry("a", "latest")]), Ok("a"));
        check(json!([for_processor("a", other), for_processor("b", own), for_processor("c", "unknown")]), Ok("b"));
        check(json!([artifact, entry("a", "1")]), Ok("a"));
        check(
            json!([entry("a", "db"), entry("b", "web")]),
            Err("out/web holds 2 images for this machine, with the tags `db`, `web`. Say which one: `oci:out/web:db`."),
        );
        check(
            json!([for_processor("a", own), for_processor("b", own)]),
            Err(
                "out/web holds 2 images for this machine, none of which has a tag. Take a layout of one image, or give them tags: `skopeo copy`, `umoci tag`.",
            ),
        );
    }
}
