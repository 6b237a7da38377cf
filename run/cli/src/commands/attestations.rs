//! What goes with an image wherever it is written: its bills of materials, and where it comes from.

use std::path::{Path, PathBuf};

use andon_image::provenance::{SigningKey, add_subject, sign, statement};
use andon_image::{Baked, Digest, Document, Images, sbom};
use andon_ledger::Timestamp;
use andon_schema::Failure;
use serde_json::Value as Json;

use crate::clock::rfc3339_seconds;

/// The types of a provenance: signed, and not.
pub const SIGNED: &str = "application/vnd.dsse.envelope.v1+json";
const UNSIGNED: &str = "application/vnd.in-toto+json";

/// What is said of one image.
pub struct Attestations {
    spdx: Json,
    cyclonedx: Json,
    /// `None` where it is not known how the image was made.
    statement: Option<Json>,
}

/// What is said of how an image was made; `None` where that is not known here.
pub fn statement_of(images: &Images, digest: &Digest) -> Result<Option<Json>, Failure> {
    let history = images.history();
    let Some(baked) = history.iter().rev().find(|it| it.digest == *digest) else { return Ok(None) };
    let packages = images.packages(digest)?;
    Ok(Some(said(baked, &packages)))
}

fn said(baked: &Baked, packages: &[andon_image::Package]) -> Json {
    statement(baked, &rfc3339_seconds(Timestamp(baked.time_ms)), packages)
}

impl Attestations {
    /// Of an image, by the name that it has in its project.
    pub fn of(images: &Images, name: &str, digest: &Digest) -> Result<Attestations, Failure> {
        let packages = images.packages(digest)?;
        Ok(Attestations {
            spdx: sbom::spdx(name, digest, &packages),
            cyclonedx: sbom::cyclonedx(name, digest, &packages),
            statement: statement_of(images, digest)?,
        })
    }

    /// As documents, with the ends of their files' names. `also` is another name of the image: that of its manifest.
    pub fn documents(&self, key: Option<&SigningKey>, also: Option<&Digest>) -> Vec<(&'static str, Document)> {
        let document = |media_type: &str, json: &Json| {
            let bytes = format!("{json:#}\n").into_bytes();
            Document { media_type: media_type.to_owned(), bytes }
        };
        let mut all = vec![
            ("spdx.json", document("application/spdx+json", &self.spdx)),
            ("cdx.json", document("application/vnd.cyclonedx+json", &self.cyclonedx)),
        ];
        if let Some(statement) = &self.statement {
            let mut statement = statement.clone();
            also.iter().for_each(|digest| add_subject(&mut statement, digest));
            let said = match key {
                Some(key) => document(SIGNED, &sign(&statement, key)),
                None => document(UNSIGNED, &statement),
            };
            all.push(("provenance.json", said));
        }
        all
    }

    /// Writes them beside what was written at a path.
    pub fn write_beside(
        &self,
        path: &Path,
        key: Option<&SigningKey>,
        also: Option<&Digest>,
    ) -> Result<Vec<PathBuf>, Failure> {
        let mut written = Vec::new();
        for (end, document) in self.documents(key, also) {
            let path: PathBuf = path.components().collect();
            let mut name = path.into_os_string();
            name.push(format!(".{end}"));
            let draft = PathBuf::from(&name).with_extension("draft");
            let done = std::fs::write(&draft, &document.bytes).and_then(|()| std::fs::rename(&draft, &name));
            done.map_err(|error| {
                let detail = format!("{}: {error}.", Path::new(&name).display());
                Failure::new("what is said of the image cannot be written", detail)
            })?;
            written.push(name.into());
        }
        Ok(written)
    }
}
