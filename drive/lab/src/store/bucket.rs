//! Requests about a bucket: listings, deleting many, and its settings, most of which it has none of.

use hyper::{Method, Response, StatusCode};

use super::Bucket;
use super::body::{Reply, receive_text};
use super::disk::{Condition, Entry};
use super::failure::{Answer, Refusal};
use super::http::{Call, access, document, empty, iso, owner, set};
use super::multipart;
use super::object::unquoted;
use super::sign::encode;
use super::xml::{self, Writer};

/// Why a client makes and removes none.
pub(super) const MADE_BY: &str = "A bucket comes and goes with the `lab_bucket` that it is.";
/// The most that one page of a listing has, and the most that one request deletes.
const PAGE: usize = 1000;

/// Settings that a bucket never has, and what is said where one is asked for.
const NEVER_SET: &[(&str, &str)] = &[
    ("policy", "NoSuchBucketPolicy"),
    ("cors", "NoSuchCORSConfiguration"),
    ("website", "NoSuchWebsiteConfiguration"),
    ("lifecycle", "NoSuchLifecycleConfiguration"),
    ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
    ("object-lock", "ObjectLockConfigurationNotFoundError"),
    ("replication", "ReplicationConfigurationNotFoundError"),
    ("tagging", "NoSuchTagSet"),
    ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
    ("ownershipControls", "OwnershipControlsNotFoundError"),
];

/// What can be asked of a bucket elsewhere, and here is not there at all.
const UNKNOWN: &[&str] = &[
    "analytics",
    "intelligent-tiering",
    "inventory",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "policyStatus",
    "session",
];

/// Settings that are asked for and have an empty answer, by the root of its document.
const EMPTY: &[(&str, &str)] = &[
    ("logging", "BucketLoggingStatus"),
    ("notification", "NotificationConfiguration"),
    ("accelerate", "AccelerateConfiguration"),
];

pub(super) async fn answer(method: &Method, call: Call, bucket: &Bucket) -> Answer<Response<Reply>> {
    let asks = |name: &str| call.parameter(name).is_some();
    match *method {
        Method::HEAD => {
            let mut answer = empty(StatusCode::OK);
            set(answer.headers_mut(), "x-amz-bucket-region", "us-east-1");
            Ok(answer)
        }
        Method::GET if asks("location") => Ok(document(Writer::new("LocationConstraint").finish("LocationConstraint"))),
        Method::GET if asks("versioning") => {
            let mut writer = Writer::new("VersioningConfiguration");
            writer.maybe("Status", bucket.versioning.then_some("Enabled"));
            Ok(document(writer.finish("VersioningConfiguration")))
        }
        Method::GET if asks("requestPayment") => {
            let mut writer = Writer::new("RequestPaymentConfiguration");
            writer.text("Payer", "BucketOwner");
            Ok(document(writer.finish("RequestPaymentConfiguration")))
        }
        Method::GET if asks("acl") => Ok(access(&call)),
        Method::GET if asks("uploads") => uploads(&call, bucket),
        Method::GET if asks("versions") => versions(&call, bucket),
        Method::GET => {
            if let Some((_, code)) = NEVER_SET.iter().find(|(name, _)| asks(name)) {
                return Err(Refusal { code, ..Refusal::no_setting("The bucket has no such configuration.") });
            }
            if UNKNOWN.iter().any(|name| asks(name)) {
                return Err(Refusal::not_implemented("A bucket of the lab has no such setting."));
            }
            if let Some((_, root)) = EMPTY.iter().find(|(name, _)| asks(name)) {
                return Ok(document(Writer::new(root).finish(root)));
            }
            if call.parameter("list-type") == Some("2") { list_2(&call, bucket) } else { list_1(&call, bucket) }
        }
        Method::POST if asks("delete") => delete_many(call, bucket).await,
        Method::PUT if call.query.is_empty() => Err(Refusal::yours_already("The bucket is there, and yours.")),
        Method::PUT | Method::DELETE if call.query.is_empty() => Err(Refusal::access_denied(MADE_BY)),
        Method::PUT | Method::DELETE | Method::POST => {
            Err(Refusal::not_implemented("A bucket of the lab has no such setting."))
        }
        _ => Err(Refusal::method("The specified method is not allowed against this resource.")),
    }
}

/// How keys are written in an answer.
fn written(call: &Call) -> Answer<fn(&str) -> String> {
    match call.parameter("encoding-type") {
        None => Ok(str::to_owned),
        Some("url") => Ok(encode),
        Some(_) => Err(Refusal::argument("encoding-type is url.")),
    }
}

fn contents(writer: &mut Writer, key: &str, entry: &Entry, of: Option<&str>) {
    writer.element("Contents", |writer| {
        writer.text("Key", key).text("LastModified", iso(entry.modified_ms));
        writer.text("ETag", format!("\"{}\"", entry.etag)).text("Size", entry.size.to_string());
        if let Some(access_key) = of {
            owner(writer, "Owner", access_key);
        }
        writer.text("StorageClass", "STANDARD");
    });
}

fn prefixes(writer: &mut Writer, prefixes: &[String], written: fn(&str) -> String) {
    for prefix in prefixes {
        writer.element("CommonPrefixes", |writer| {
            writer.text("Prefix", written(prefix));
        });
    }
}

fn list_1(call: &Call, bucket: &Bucket) -> Answer<Response<Reply>> {
    let text = |name: &str| call.parameter(name).unwrap_or_default();
    let (written, most) = (written(call)?, call.number("max-keys", PAGE)?);
    let (prefix, delimiter, marker) = (text("prefix"), text("delimiter"), text("marker"));
    let page = bucket.disk.list(prefix, delimiter, marker, most);
    let mut writer = Writer::new("ListBucketResult");
    writer.text("Name", &bucket.name).text("Prefix", written(prefix)).text("Marker", written(marker));
    writer.text("MaxKeys", most.to_string()).maybe("EncodingType", call.parameter("encoding-type"));
    writer.maybe("Delimiter", call.parameter("delimiter").map(written));
    writer.text("IsTruncated", (page.next.is_some() && most > 0).to_string());
    writer.maybe("NextMarker", page.next.as_deref().map(written));
    for (key, entry) in &page.items {
        contents(&mut writer, &written(key), entry, Some(&call.by.access_key));
    }
    prefixes(&mut writer, &page.prefixes, written);
    Ok(document(writer.finish("ListBucketResult")))
}

fn list_2(call: &Call, bucket: &Bucket) -> Answer<Response<Reply>> {
    let text = |name: &str| call.parameter(name).unwrap_or_default();
    let (written, most) = (written(call)?, call.number("max-keys", PAGE)?);
    let (prefix, delimiter) = (text("prefix"), text("delimiter"));
    let token = call.parameter("continuation-token");
    let after = match token {
        // The token is the key itself, behind a letter: an empty one is none.
        Some(token) => token.strip_prefix('>').ok_or_else(|| Refusal::argument("The continuation token is none."))?,
        None => text("start-after"),
    };
    let page = bucket.disk.list(prefix, delimiter, after, most);
    let mut writer = Writer::new("ListBucketResult");
    writer.text("Name", &bucket.name).text("Prefix", written(prefix));
    writer.text("KeyCount", (page.items.len() + page.prefixes.len()).to_string());
    writer.text("MaxKeys", most.to_string()).maybe("EncodingType", call.parameter("encoding-type"));
    writer.maybe("Delimiter", call.parameter("delimiter").map(written));
    writer.maybe("StartAfter", call.parameter("start-after").map(written)).maybe("ContinuationToken", token);
    writer.text("IsTruncated", (page.next.is_some() && most > 0).to_string());
    writer.maybe("NextContinuationToken", page.next.as_ref().map(|next| format!(">{next}")));
    let of = (call.parameter("fetch-owner") == Some("true")).then_some(call.by.access_key.as_str());
    for (key, entry) in &page.items {
        contents(&mut writer, &written(key), entry, of);
    }
    prefixes(&mut writer, &page.prefixes, written);
    Ok(document(writer.finish("ListBucketResult")))
}

fn versions(call: &Call, bucket: &Bucket) -> Answer<Response<Reply>> {
    let text = |name: &str| call.parameter(name).unwrap_or_default();
    let (written, most) = (written(call)?, call.number("max-keys", PAGE)?);
    let (prefix, delimiter, marker) = (text("prefix"), text("delimiter"), text("key-marker"));
    // A page ends with the last version of a key, so that a key alone says where the next one begins.
    let page = bucket.disk.list_versions(prefix, delimiter, marker, most);
    let mut writer = Writer::new("ListVersionsResult");
    writer.text("Name", &bucket.name).text("Prefix", written(prefix)).text("KeyMarker", written(marker));
    writer.text("VersionIdMarker", "").text("MaxKeys", most.to_string());
    writer.maybe("EncodingType", call.parameter("encoding-type"));
    writer.maybe("Delimiter", call.parameter("delimiter").map(written));
    writer.text("IsTruncated", (page.next.is_some() && most > 0).to_string());
    writer.maybe("NextKeyMarker", page.next.as_deref().map(written));
    for (key, entry, newest) in &page.items {
        writer.element(if entry.marker { "DeleteMarker" } else { "Version" }, |writer| {
            writer.text("Key", written(key)).text("VersionId", entry.version());
            writer.text("IsLatest", newest.to_string()).text("LastModified", iso(entry.modified_ms));
            if !entry.marker {
                writer.text("ETag", format!("\"{}\"", entry.etag)).text("Size", entry.size.to_string());
                writer.text("StorageClass", "STANDARD");
            }
            owner(writer, "Owner", &call.by.access_key);
        });
    }
    prefixes(&mut writer, &page.prefixes, written);
    Ok(document(writer.finish("ListVersionsResult")))
}

fn uploads(call: &Call, bucket: &Bucket) -> Answer<Response<Reply>> {
    let written = written(call)?;
    let prefix = call.parameter("prefix").unwrap_or_default();
    let mut writer = Writer::new("ListMultipartUploadsResult");
    writer.text("Bucket", &bucket.name).text("Prefix", written(prefix)).text("IsTruncated", "false");
    for upload in multipart::all(&bucket.disk).iter().filter(|upload| upload.key.starts_with(prefix)) {
        writer.element("Upload", |writer| {
            writer.text("Key", written(&upload.key)).text("UploadId", &upload.id);
            owner(writer, "Initiator", &call.by.access_key);
            owner(writer, "Owner", &call.by.access_key);
            writer.text("StorageClass", "STANDARD").text("Initiated", iso(upload.begun_ms));
        });
    }
    Ok(document(writer.finish("ListMultipartUploadsResult")))
}

async fn delete_many(call: Call, bucket: &Bucket) -> Answer<Response<Reply>> {
    let text = receive_text(call.body, &call.headers, call.payload).await?;
    let root = xml::parse(&text).filter(|root| root.name == "Delete");
    let root = root.ok_or_else(|| Refusal::xml("The XML you provided was not well-formed."))?;
    let quiet = root.child_text("Quiet") == Some("true");
    if root.named("Object").count() > PAGE {
        return Err(Refusal::xml("One request deletes 1,000 objects at most."));
    }
    let mut writer = Writer::new("DeleteResult");
    for object in root.named("Object") {
        // Keys may begin or end with spaces.
        let key = object.named("Key").next().map(|key| key.text.as_str()).unwrap_or_default();
        let version = object.child_text("VersionId");
        let etag = object.child_text("ETag").map(|etag| unquoted(etag).to_owned());
        match bucket.disk.delete(key, version, bucket.versioning, &Condition { absent: false, etag }) {
            Ok(_) if quiet => {}
            Ok(gone) => {
                writer.element("Deleted", |writer| {
                    writer.text("Key", key).maybe("VersionId", version);
                    if let Some((marker, true)) = gone {
                        writer.text("DeleteMarker", "true").text("DeleteMarkerVersionId", marker);
                    }
                });
            }
            Err(refusal) => {
                writer.element("Error", |writer| {
                    writer.text("Key", key).text("Code", refusal.code).text("Message", refusal.message);
                });
            }
        }
    }
    Ok(document(writer.finish("DeleteResult")))
}
