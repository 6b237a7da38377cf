//! What is said of an image in a registry, beside it: each document is an artifact that names the image as its subject.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers>; registries that do not know that
//! have a list of them below a tag that is made of the image's digest.

use andon_schema::Failure;
use serde_json::{Value as Json, json};

use super::registry::{Asked, expect, page, refuse, text};
use super::{INDEX, MANIFEST, OciImage, Reference, Registries, digest_of};
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

/// A document that is beside an image in a registry, before it is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// What it is said to be.
    pub media_type: String,
    /// The digest of its text, or why that is not known.
    pub document: Result<Digest, Failure>,
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

    /// The digest of an image's manifest, and which documents of these types are beside it.
    pub fn referrers(&self, of: &Reference, media_types: &[&str]) -> Result<(Digest, Vec<Referrer>), Failure> {
        let (_, _, digest) = self.manifest(of, of.wanted())?;
        let entries = match self.listed_at(of, &format!("referrers/{digest}"))? {
            Some(entries) => entries,
            None => self.listed(of, &tag_of(&digest))?.unwrap_or_default(),
        };
        let mut referrers = Vec::new();
        for entry in entries {
            let named = |name: &str| entry.get(name).and_then(Json::as_str);
            let Some(media_type) = named("artifactType").filter(|it| media_types.contains(it)) else { continue };
            let Some(wanted) = named("digest") else { continue };
            let document = match self.manifest(of, wanted) {
                Ok((_, manifest, _)) => {
                    let manifest: Json = serde_json::from_slice(&manifest).unwrap_or_default();
                    let is_of_it =
                        manifest.get("subject").and_then(|it| it.get("digest")?.as_str()) == Some(digest.as_str());
                    let layer = manifest.get("layers").and_then(|layers| layers.get(0)?.get("digest")?.as_str());
                    let Some(layer) = layer.filter(|_| is_of_it).and_then(Digest::parse) else { continue };
                    Ok(layer)
                }
                // It may be somebody else's: the others count nevertheless.
                Err(failure) => Err(failure),
            };
            referrers.push(Referrer { media_type: media_type.to_owned(), document });
        }
        Ok((digest, referrers))
    }

    /// A document that is beside an image. Nobody vouches for what it says.
    ///
    /// # Errors
    /// Also where it is larger than what registries take for a manifest.
    pub fn document(&self, of: &Reference, referrer: &Referrer) -> Result<Document, Failure> {
        let digest = referrer.document.clone()?;
        let url = self.url(of, &format!("blobs/{digest}"));
        let mut answer = expect(of, self.ask(of, &url, &Asked::Get("*/*"))?, &[200])?;
        let bytes = page(of, &mut answer)?;
        match digest_of(&bytes) == digest {
            true => Ok(Document { media_type: referrer.media_type.clone(), bytes }),
            false => Err(refuse(of, &digest)),
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers by path, and each path that is not known with 404.
    fn serve(pages: BTreeMap<String, Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines: Vec<String> =
                    BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
                let (status, bytes) = match pages.get(path) {
                    Some(bytes) => ("200 OK", bytes.as_slice()),
                    None => ("404 Not Found", &b"{}"[..]),
                };
                let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", bytes.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes));
            }
        });
        address
    }

    #[test]
    fn what_others_put_beside_an_image_keeps_nobody_from_the_rest() {
        let image = br#"{"schemaVersion":2}"#.to_vec();
        let subject = digest_of(&image);
        let (signed, large) = (b"signed".to_vec(), vec![b'x'; 5 << 20]);
        let mut pages = BTreeMap::new();
        let mut entries = Vec::new();
        for (media_type, bytes, of, is_there) in [
            ("a/bill", &large, &subject, true),
            ("a/bill", &b"gone".to_vec(), &subject, false),
            ("a/signed", &large, &subject, true),
            ("a/signed", &signed, &subject, true),
            ("a/signed", &b"of another".to_vec(), &digest_of(b"another"), true),
            ("a/other", &b"other".to_vec(), &subject, true),
        ] {
            let layer = json!({ "digest": digest_of(bytes).as_str() });
            let manifest = json!({ "type": media_type, "layers": [layer], "subject": { "digest": of.as_str() } });
            let manifest = manifest.to_string().into_bytes();
            entries.push(json!({ "artifactType": media_type, "digest": digest_of(&manifest).as_str() }));
            if is_there {
                pages.insert(format!("/v2/web/manifests/{}", digest_of(&manifest)), manifest);
                pages.insert(format!("/v2/web/blobs/{}", digest_of(bytes)), bytes.clone());
            }
        }
        pages.insert("/v2/web/manifests/1".to_owned(), image);
        pages.insert(format!("/v2/web/referrers/{subject}"), json!({ "manifests": entries }).to_string().into_bytes());
        let of = Reference::parse(&format!("{}/web:1", serve(pages))).unwrap();
        let registries = Registries::new();
        let (digest, found) = registries.referrers(&of, &["a/bill", "a/signed"]).unwrap();
        assert_eq!(digest, subject);
        let named: Vec<_> = found.iter().map(|it| (&*it.media_type, it.document.as_ref().ok().cloned())).collect();
        let (large, whole) = (Some(digest_of(&large)), Some(digest_of(&signed)));
        assert_eq!(named, [("a/bill", large.clone()), ("a/bill", None), ("a/signed", large), ("a/signed", whole)]);
        let read: Vec<_> = found.iter().map(|it| registries.document(&of, it).map(|it| it.bytes).ok()).collect();
        assert_eq!(read, [None, None, None, Some(signed)]);
    }
}
