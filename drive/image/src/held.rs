//! What was written as a directory, as a provenance names it: a root file system by the digest of all its files, a layout by
//! the digests of its manifests.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use andon_schema::Failure;
use serde_json::Value as Json;

use crate::Digest;
use crate::layer::read;
use crate::oci::layout_contents;
use crate::owners::Owners;
use crate::provenance::digest_of_file;
use crate::trouble::Trouble;

/// The digest of the root file system in a directory: that of the image of which nothing was changed there.
pub fn digest_of_root(directory: &Path, interrupt: &AtomicBool) -> Result<Digest, Failure> {
    Ok(read(directory, &Owners::default(), interrupt).doing("read", directory)?.digest())
}

/// Whether a directory is a layout of the Open Container Initiative.
pub fn is_layout(directory: &Path) -> bool {
    directory.join("oci-layout").is_file() && directory.join("index.json").is_file()
}

/// The images in a layout: the tag of each, where it has one, and the digest of its manifest. Every file that they are
/// made of is there, and is what its name says.
///
/// # Errors
/// Where a file is missing or differs, or there is no image.
pub fn images_of_layout(directory: &Path, interrupt: &AtomicBool) -> Result<Vec<(Option<String>, Digest)>, Failure> {
    let damaged = |detail: String| Failure::new("the layout is damaged", detail);
    let (entries, blobs) = layout_contents(directory)?;
    for name in blobs {
        let path = directory.join("blobs/sha256").join(&name);
        if fs::symlink_metadata(&path).is_err() {
            return Err(damaged(format!("{} is missing.", path.display())));
        }
        let found = digest_of_file(&path, interrupt)?;
        if found.as_str() != format!("sha256:{name}") {
            return Err(damaged(format!("{} is {found}.", path.display())));
        }
    }
    let one = |entry: &Json| {
        let tag = entry.pointer("/annotations/org.opencontainers.image.ref.name").and_then(Json::as_str);
        Some((tag.map(str::to_owned), Digest::parse(entry.get("digest")?.as_str()?)?))
    };
    let images: Vec<_> = entries.iter().filter_map(one).collect();
    match images.is_empty() {
        true => Err(damaged(format!("{} names no image.", directory.join("index.json").display()))),
        false => Ok(images),
    }
}
