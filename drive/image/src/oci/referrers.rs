//! What is said of an image in a registry, beside it: each document is an artifact that names the image as its subject.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers>; registries that do not know that
//! have a list of them below a tag that is made of the image's digest.

use andon_schema::Failure;
use serde_json::{Value as Json, json};

use super::registry::{Asked, expect, page, text};
use super::{INDEX, MANIFEST, OciImage, Reference, Registries, digest_of, length};
use crate::Digest;

/// A configuration that says nothing, as artifacts have it.
const EMPTY: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// Something that is said of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is: `application/spdx+json`.
    pub media_type: String,
    /// Its text.
    pub bytes: Vec<u8>,
}

impl Document {
    /// What anybody gets who hashes it.
    pub fn digest(&self) -> Digest {
        digest_of(&self.bytes)
    }
}

impl Registries {
    /// Puts documents beside an image that was pushed. One that is there already is not put there again.
    pub fn attach(&self, image: &OciImage, to: &Reference, documents: &[Document]) -> Result<(), Failure> {
        let subject = json!({ "mediaType": MANIFEST, "digest": image.digest.as_str(), "size": image.manifest.len() });
        let mut unlisted = Vec::new();
        for document in documents {
            let described = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": digest_of(bytes).as_str(), "size": bytes.len() });
            for bytes in [EMPTY, &document.bytes] {
                let digest = digest_of(bytes);
                if !self.has(to, &digest)? {
                    self.upload(to, &digest, &Asked::Put { media_type: "application/octet-stream", bytes })?;
                }
            }
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "artifactType": document.media_type,
                "config": described(EMPTY_TYPE, EMPTY),
                "layers": [described(&document.media_type, &document.bytes)],
                "subject": subject,
            });
            let manifest = manifest.to_string().into_bytes();
            let url = self.url(to, &format!("manifests/{}", digest_of(&manifest)));
            let answer = self.ask(to, &url, &Asked::Put { media_type: MANIFEST, bytes: &manifest })?;
            let answer = expect(to, answer, &[201])?;
            if text(&answer, "oci-subject").is_none() {
                let mut entry = described(MANIFEST, &manifest);
                if let Some(entry) = entry.as_object_mut() {
                    entry.insert("artifactType".to_owned(), document.media_type.as_str().into());
                }
                unlisted.push(entry);
            }
        }
        if unlisted.is_empty() {
            return Ok(());
        }
        let mut entries = self.listed(to, &tag_of(&image.digest))?.unwrap_or_default();
        unlisted.retain(|entry| !entries.iter().any(|it| it.get("digest") == entry.get("digest")));
        if unlisted.is_empty() {
            return Ok(());
        }
        entries.extend(unlisted);
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string().into_bytes();
        let url = self.url(to, &format!("manifests/{}", tag_of(&image.digest)));
        let answer = self.ask(to, &url, &Asked::Put { media_type: INDEX, bytes: &index })?;
        expect(to, answer, &[201]).map(drop)
    }

    /// The digest of an image's manifest, and the documents of these types that are beside it. Nobody vouches for what they say.
    pub fn attached(&self, of: &Reference, media_types: &[&str]) -> Result<(Digest, Vec<Document>), Failure> {
        let (_, _, digest) = self.manifest(of, of.wanted())?;
        let entries = match self.listed_at(of, &format!("referrers/{digest}"))? {
            Some(entries) => entries,
            None => self.listed(of, &tag_of(&digest))?.unwrap_or_default(),
        };
        let mut documents = Vec::new();
        for entry in entries {
            let named = |name: &str| entry.get(name).and_then(Json::as_str);
            let Some(media_type) = named("artifactType").filter(|it| media_types.contains(it)) else { continue };
            let Some(wanted) = named("digest") else { continue };
            let (_, manifest, _) = self.manifest(of, wanted)?;
            let manifest: Json = serde_json::from_slice(&manifest).unwrap_or_default();
            let is_of_it = manifest.get("subject").and_then(|it| it.get("digest")?.as_str()) == Some(digest.as_str());
            let layer = manifest.get("layers").and_then(|layers| layers.get(0)?.get("digest")?.as_str());
            if let Some(layer) = layer.filter(|_| is_of_it).and_then(Digest::parse) {
                let url = self.url(of, &format!("blobs/{layer}"));
                let mut answer = expect(of, self.ask(of, &url, &Asked::Get("*/*"))?, &[200])?;
                let bytes = page(of, &mut answer)?;
                if digest_of(&bytes) == layer && length(&bytes) > 0 {
                    documents.push(Document { media_type: media_type.to_owned(), bytes });
                }
            }
        }
        Ok((digest, documents))
    }

    fn listed(&self, of: &Reference, tag: &str) -> Result<Option<Vec<Json>>, Failure> {
        self.listed_at(of, &format!("manifests/{tag}"))
    }

    /// The entries of an index; `None` where there is none.
    fn listed_at(&self, of: &Reference, path: &str) -> Result<Option<Vec<Json>>, Failure> {
        let mut answer = expect(of, self.ask(of, &self.url(of, path), &Asked::Get(INDEX))?, &[200, 404])?;
        if answer.status() == 404 {
            return Ok(None);
        }
        let index: Json = serde_json::from_slice(&page(of, &mut answer)?).unwrap_or_default();
        Ok(index.get("manifests").and_then(Json::as_array).cloned())
    }
}

fn tag_of(digest: &Digest) -> String {
    digest.as_str().replacen(':', "-", 1)
}
