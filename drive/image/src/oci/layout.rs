//! What is in a layout already: <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use andon_schema::Failure;
use serde_json::Value as Json;

use super::file_name;
use crate::Digest;
use crate::trouble::Trouble;

/// No chain of indexes is longer.
const DEPTH_MAX: u8 = 4;

/// The entries of a layout's index: those of other tags, and those of this one.
pub(super) fn entries(directory: &Path, tag: &str) -> Result<(Vec<Json>, Vec<Json>), Failure> {
    let path = directory.join("index.json");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(error) => return Err(error).doing("read", &path),
    };
    let index: Option<Json> = serde_json::from_slice(&bytes).ok();
    let all = index.as_ref().and_then(|index| index.get("manifests")?.as_array());
    let all = all.ok_or_else(|| {
        Failure::new("the layout is damaged", format!("{} is no index of images.", path.display()))
            .help("Remove that directory, or name another one.")
    })?;
    let is_other = |entry: &Json| {
        let name = entry.get("annotations").and_then(|it| it.get("org.opencontainers.image.ref.name")?.as_str());
        name != Some(tag)
    };
    Ok(all.iter().cloned().partition(is_other))
}

/// The entries of the index of a layout, and the names of all files that they are made of.
pub(crate) fn layout_contents(directory: &Path) -> Result<(Vec<Json>, BTreeSet<String>), Failure> {
    let (mut all, own) = entries(directory, "")?;
    all.extend(own);
    let blobs = blobs_of(directory, &all);
    Ok((all, blobs))
}

/// The names of all files that these entries are made of, as far as they are there.
pub(super) fn blobs_of(directory: &Path, entries: &[Json]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<(Json, u8)> = entries.iter().map(|entry| (entry.clone(), 0)).collect();
    while let Some((entry, depth)) = open.pop() {
        let Some(digest) = entry.get("digest").and_then(Json::as_str).and_then(Digest::parse) else { continue };
        let name = file_name(&digest);
        let path = directory.join("blobs/sha256").join(&name);
        let is_new = found.insert(name);
        let kind = entry.get("mediaType").and_then(Json::as_str).unwrap_or_default();
        if !is_new || depth >= DEPTH_MAX || !["manifest", "index"].iter().any(|part| kind.contains(part)) {
            continue;
        }
        let json: Json = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let lists = ["layers", "manifests"].iter().filter_map(|name| json.get(*name)?.as_array()).flatten();
        let more = lists.chain(json.get("config"));
        open.extend(more.map(|entry| (entry.clone(), depth + 1)));
    }
    found
}
