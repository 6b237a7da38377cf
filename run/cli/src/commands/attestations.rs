//! What goes with an image wherever it is written: its bills of materials, and where it comes from.

use std::path::{Path, PathBuf};

use andon_image::provenance::{SigningKey, add_byproduct, add_subject, sign, statement};
use andon_image::{Baked, Digest, Document, Images, sbom, write_document};
use andon_ledger::Timestamp;
use andon_schema::Failure;
use serde_json::Value as Json;

use crate::clock::rfc3339_seconds;
use crate::context::interrupt;

/// The types of a provenance: signed, and not.
pub const SIGNED: &str = "application/vnd.dsse.envelope.v1+json";
const UNSIGNED: &str = "application/vnd.in-toto+json";

/// The types of the bills of materials.
pub const SPDX: &str = "application/spdx+json";
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";

/// The end of the name of a provenance, and those of all that is said of an image.
pub const PROVENANCE: &str = "provenance.json";
const ENDS: [&str; 3] = ["spdx.json", "cdx.json", PROVENANCE];

/// What is said of one image.
pub struct Attestations {
    spdx: Json,
    cyclonedx: Json,
    /// `None` where it is not known how the image was made.
    statement: Option<Json>,
}

/// What is said of how an image was made, by a project where that made it; `None` where that is not known here.
pub fn statement_of(images: &Images, digest: &Digest, project: &Path) -> Result<Option<Json>, Failure> {
    let history = images.history();
    let project = project.display().to_string();
    let mut all = history.iter().rev().filter(|it| it.digest == *digest);
    let Some(baked) = all.clone().find(|it| it.project == project).or_else(|| all.next()) else { return Ok(None) };
    let packages = images.packages(digest)?;
    Ok(Some(said(baked, &packages)))
}

fn said(baked: &Baked, packages: &[andon_image::Package]) -> Json {
    statement(baked, &rfc3339_seconds(Timestamp(baked.time_ms)), packages)
}

impl Attestations {
    /// Of an image, by the name that it has in its project: what another project, or another name, had made of the same
    /// is not said of this one.
    pub fn of(images: &Images, project: &Path, name: &str, digest: &Digest) -> Result<Attestations, Failure> {
        let packages = images.packages(digest)?;
        let project = project.display().to_string();
        let history = images.history();
        let is_it = |it: &&Baked| it.digest == *digest && it.project == project && it.name == name;
        Ok(Attestations {
            spdx: sbom::spdx(name, digest, &packages),
            cyclonedx: sbom::cyclonedx(name, digest, &packages),
            statement: history.iter().rev().find(is_it).map(|baked| said(baked, &packages)),
        })
    }

    /// As documents, with the ends of their files' names. `also` are other names of the image: that of its manifest, and that of
    /// the file in which it is.
    pub fn documents(&self, key: Option<&SigningKey>, also: &[Digest]) -> Vec<(&'static str, Document)> {
        let document = |media_type: &str, json: &Json| {
            let bytes = format!("{json:#}\n").into_bytes();
            Document { media_type: media_type.to_owned(), bytes }
        };
        let mut all =
            vec![("spdx.json", document(SPDX, &self.spdx)), ("cdx.json", document(CYCLONEDX, &self.cyclonedx))];
        if let Some(statement) = &self.statement {
            let mut statement = statement.clone();
            also.iter().for_each(|digest| add_subject(&mut statement, digest));
            all.iter().for_each(|(end, document)| add_byproduct(&mut statement, end, document));
            let said = match key {
                Some(key) => document(SIGNED, &sign(&statement, key)),
                None => document(UNSIGNED, &statement),
            };
            all.push((PROVENANCE, said));
        }
        all
    }

    /// Writes them beside what was written at a path. What was there of an earlier image goes.
    pub fn write_beside(
        &self,
        path: &Path,
        key: Option<&SigningKey>,
        also: &[Digest],
    ) -> Result<Vec<PathBuf>, Failure> {
        remove_beside(path)?;
        let mut written = Vec::new();
        for (end, document) in self.documents(key, also) {
            let name = beside(path, end);
            write_document(&name, &document.bytes, &interrupt())?;
            written.push(name);
        }
        Ok(written)
    }
}

/// Where something that is said of what is at a path stands.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let path: PathBuf = path.components().collect();
    let mut name = path.into_os_string();
    name.push(format!(".{end}"));
    name.into()
}

/// What stands for the image of a tag in a layout, of which there may be several: what is said of it is beside that.
pub fn in_layout(layout: &Path, tag: &str) -> PathBuf {
    let path: PathBuf = layout.components().collect();
    match tag.is_empty() || path.file_name().is_some_and(|last| last == tag) {
        true => path,
        false => PathBuf::from(format!("{}.{tag}", path.display())),
    }
}

/// Removes what was said of an earlier image at a path: it is not true of what is there now.
pub fn remove_beside(path: &Path) -> Result<(), Failure> {
    for end in ENDS {
        let name = beside(path, end);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let detail = format!("{}: {error}.", name.display());
                return Err(Failure::new("what was said of an earlier image cannot be removed", detail));
            }
            _ => {}
        }
    }
    Ok(())
}
