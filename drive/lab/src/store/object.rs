//! Requests about one object.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::Bucket;
use super::body::{Reply, receive, receive_text};
use super::disk::{About, Condition, Staged, copy, now_ms};
use super::failure::{Answer, Refusal};
use super::http::{
    Call, access, document, empty, http_date, iso, owner, parse_http_date, set, tagging, tags, tags_of, version_header,
};
use super::multipart::{self, MOST_PARTS};
use super::sign;
use super::sums::{Algorithm, hex};
use super::xml::{self, Writer};

/// The most metadata that an object has, in bytes.
const METADATA_LIMIT: usize = 2048;
/// The most that a page of parts has.
const PARTS_PAGE: usize = 1000;
const OWNERS_ALONE: &str = "What is in a bucket of the lab belongs to its owner alone.";
/// Headers of an upload that come back with the object.
const KEPT: [&str; 6] =
    ["content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires"];

pub(super) async fn answer(method: &Method, call: Call, bucket: Arc<Bucket>, key: String) -> Answer<Response<Reply>> {
    let asks = |name: &str| call.parameter(name).is_some();
    match *method {
        Method::GET if asks("tagging") => {
            let (_, about) = bucket.disk.get(&key, call.parameter("versionId"))?;
            Ok(tagging(&about.tags))
        }
        Method::GET if asks("acl") => {
            bucket.disk.get(&key, call.parameter("versionId"))?;
            Ok(access(&call))
        }
        Method::GET if asks("uploadId") => parts(&call, &bucket, &key),
        Method::GET if asks("retention") || asks("legal-hold") => {
            bucket.disk.get(&key, call.parameter("versionId"))?;
            Err(Refusal { code: "NoSuchObjectLockConfiguration", ..Refusal::no_setting("The object is not locked.") })
        }
        Method::GET | Method::HEAD if !asks("torrent") && !asks("attributes") => {
            let (file, about) = bucket.disk.get(&key, call.parameter("versionId"))?;
            read(&call, &bucket, file, &about)
        }
        Method::PUT if asks("tagging") => {
            let version = call.parameter("versionId").map(str::to_owned);
            let text = receive_text(call.body, &call.headers, call.payload).await?;
            let tags = tags_of(&text)?;
            // It is written anew, and may be large.
            aside(move || bucket.disk.set_tags(&key, version.as_deref(), tags)).await?;
            Ok(empty(StatusCode::OK))
        }
        Method::DELETE if asks("tagging") => {
            let version = call.parameter("versionId").map(str::to_owned);
            aside(move || bucket.disk.set_tags(&key, version.as_deref(), BTreeMap::new())).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Method::PUT if asks("acl") => {
            stays_private(&call.headers)?;
            match call.headers.contains_key("x-amz-acl") {
                true => Ok(empty(StatusCode::OK)),
                false => Err(Refusal::no_access_lists(OWNERS_ALONE)),
            }
        }
        Method::PUT if asks("uploadId") => put_part(call, bucket, key).await,
        Method::PUT if call.headers.contains_key("x-amz-copy-source") => copied(call, bucket, key).await,
        Method::PUT if call.query.is_empty() => put(call, &bucket, key).await,
        Method::POST if asks("uploads") => {
            let about = described(&call, &key)?;
            let id = multipart::begin(&bucket.disk, about)?;
            let mut writer = Writer::new("InitiateMultipartUploadResult");
            writer.text("Bucket", &bucket.name).text("Key", &key).text("UploadId", id);
            Ok(document(writer.finish("InitiateMultipartUploadResult")))
        }
        Method::POST if asks("uploadId") => complete(call, bucket, key).await,
        Method::DELETE if asks("uploadId") => {
            multipart::abort(&multipart::find(&bucket.disk, call.parameter("uploadId").unwrap_or_default(), &key)?)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Method::DELETE => {
            let condition = condition(&call.headers)?;
            let gone = bucket.disk.delete(&key, call.parameter("versionId"), bucket.versioning, &condition)?;
            let mut answer = empty(StatusCode::NO_CONTENT);
            if let Some((version, marker)) = gone {
                version_header(&bucket, answer.headers_mut(), &version);
                if marker {
                    set(answer.headers_mut(), "x-amz-delete-marker", "true");
                }
            }
            Ok(answer)
        }
        Method::GET | Method::HEAD | Method::PUT | Method::POST => {
            Err(Refusal::not_implemented("A bucket of the lab cannot do this."))
        }
        _ => Err(Refusal::method("The specified method is not allowed against this resource.")),
    }
}

fn read(call: &Call, bucket: &Bucket, file: File, about: &About) -> Answer<Response<Reply>> {
    if let Some(refusal) = unmet(call, about, "if-") {
        return Err(refusal);
    }
    let range = call.header("range").map(|text| range(text, about.size)).transpose()?.flatten();
    let (offset, left) = range.unwrap_or((0, about.size));
    let mut answer = Response::new(Reply::File { file, offset, left });
    let headers = answer.headers_mut();
    for (name, value) in &about.headers {
        set(headers, name, value);
    }
    for name in KEPT {
        let asked = call.parameter(&format!("response-{name}"));
        if let Some(value) = asked {
            set(headers, name, value);
        }
    }
    if !headers.contains_key("content-type") {
        set(headers, "content-type", "binary/octet-stream");
    }
    set(headers, "etag", format!("\"{}\"", about.etag));
    set(headers, "last-modified", http_date(about.modified_ms));
    set(headers, "accept-ranges", "bytes");
    set(headers, "content-length", left.to_string());
    version_header(bucket, headers, &super::disk::Entry::of(about).version());
    if !about.tags.is_empty() {
        set(headers, "x-amz-tagging-count", about.tags.len().to_string());
    }
    match (&about.checksum, range) {
        (Some((name, sum)), None) if call.header("x-amz-checksum-mode") == Some("ENABLED") => {
            set(headers, name, sum);
            set(headers, "x-amz-checksum-type", "FULL_OBJECT");
        }
        _ => {}
    }
    if range.is_some() {
        set(headers, "content-range", format!("bytes {offset}-{}/{}", offset + left - 1, about.size));
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(answer)
}

/// The refusal that the conditions of a request ask for.
fn unmet(call: &Call, about: &About, prefix: &str) -> Option<Refusal> {
    let header = |name: &str| call.header(&format!("{prefix}{name}"));
    let seconds = about.modified_ms / 1000;
    let is_it = |list: &str| {
        list.split(',').any(|etag| matches!(unquoted(etag.trim()), "*") || unquoted(etag.trim()) == about.etag)
    };
    let failed = || Refusal::precondition("At least one of the preconditions you specified did not hold.");
    let unchanged = || {
        let refusal = failed();
        if prefix == "if-" { Refusal { status: StatusCode::NOT_MODIFIED, ..refusal } } else { refusal }
    };
    let time = |name: &str| header(name).and_then(parse_http_date);
    match (header("match"), time("unmodified-since")) {
        (Some(list), _) if !is_it(list) => return Some(failed()),
        (None, Some(time)) if seconds > time => return Some(failed()),
        _ => {}
    }
    match (header("none-match"), time("modified-since")) {
        (Some(list), _) if is_it(list) => Some(unchanged()),
        (None, Some(time)) if seconds <= time => Some(unchanged()),
        _ => None,
    }
}

/// An ETag as it is, without what headers write around it.
pub(super) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

/// Offset and length of one range of bytes (RFC 9110, 14.1.2); `None` for what is no such range, and is then ignored.
fn range(text: &str, size: u64) -> Answer<Option<(u64, u64)>> {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let unsatisfiable = || Refusal::range("The requested range is not satisfiable");
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Ok(None),
        (Some(first), last) if last.is_some() || last_is_open(text) => {
            if first >= size {
                return Err(unsatisfiable());
            }
            let last = last.unwrap_or(u64::MAX).min(size - 1);
            Ok(Some((first, last - first + 1)))
        }
        (None, Some(length)) if first.trim().is_empty() => {
            if length == 0 || size == 0 {
                return Err(unsatisfiable());
            }
            let length = length.min(size);
            Ok(Some((size - length, length)))
        }
        _ => Ok(None),
    }
}

/// The same of the source of a copy: it is a range, and all of it is there.
fn part_of(text: &str, size: u64) -> Answer<(u64, u64)> {
    let wrong = || Refusal::argument(format!("The range {text} is none of a source of {size} bytes."));
    let last = text.rsplit_once('-').and_then(|(_, last)| last.parse::<u64>().ok());
    let (offset, length) = range(text, size).ok().flatten().ok_or_else(wrong)?;
    if last.is_some_and(|last| last.checked_sub(offset).is_some_and(|last| last + 1 == length)) {
        Ok((offset, length))
    } else {
        Err(wrong())
    }
}

fn last_is_open(text: &str) -> bool {
    text.trim_end().ends_with('-')
}

/// What the headers of an upload say of the object.
fn described(call: &Call, key: &str) -> Answer<About> {
    let mut headers = BTreeMap::new();
    let mut size = 0;
    for (name, value) in &call.headers {
        let name = name.as_str();
        let Ok(value) = String::from_utf8(value.as_bytes().to_vec()) else { continue };
        if let Some(own) = name.strip_prefix("x-amz-meta-") {
            size += own.len() + value.len();
        } else if !KEPT.contains(&name) {
            continue;
        }
        // How the body comes is no property of the object.
        let codings = value.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked");
        let value = if name == "content-encoding" { codings.collect::<Vec<_>>().join(",") } else { value };
        if !value.is_empty() || name.starts_with("x-amz-meta-") {
            headers.insert(name.to_owned(), value);
        }
    }
    if size > METADATA_LIMIT {
        return Err(Refusal::metadata_too_large("Your metadata headers exceed the maximum allowed metadata size."));
    }
    stays_private(&call.headers)?;
    if call.headers.keys().any(|name| name.as_str().starts_with("x-amz-server-side-encryption-customer-")) {
        return Err(Refusal::not_implemented("A bucket of the lab keeps nothing under a key of its client's."));
    }
    let tags = tags(call.header("x-amz-tagging").map(sign::query).unwrap_or_default())?;
    Ok(About { key: key.to_owned(), headers, tags, modified_ms: now_ms(), ..About::default() })
}

/// Refuses to let others at an object, as a bucket does elsewhere whose owner has all that is in it.
fn stays_private(headers: &HeaderMap) -> Answer<()> {
    let list = headers.get("x-amz-acl").map(HeaderValue::as_bytes);
    let grants = headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"));
    match list {
        None | Some(b"private" | b"bucket-owner-full-control") if !grants => Ok(()),
        _ => Err(Refusal::no_access_lists(OWNERS_ALONE)),
    }
}

fn condition(headers: &HeaderMap) -> Answer<Condition> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let absent = match text("if-none-match") {
        None => false,
        Some("*") => true,
        Some(_) => return Err(Refusal::not_implemented("If-None-Match of an upload is `*`.")),
    };
    Ok(Condition { absent, etag: text("if-match").map(|etag| unquoted(etag).to_owned()) })
}

async fn put(call: Call, bucket: &Arc<Bucket>, key: String) -> Answer<Response<Reply>> {
    let (about, condition) = (described(&call, &key)?, condition(&call.headers)?);
    let mut staged = bucket.disk.stage()?;
    let (size, summed) = receive(call.body, &call.headers, call.payload, &mut staged.file).await?;
    let checksum = summed.checksum.map(|(algorithm, sum)| (algorithm.header().to_owned(), sum));
    let about = About { size, etag: hex(&summed.md5), checksum, modified_ms: now_ms(), ..about };
    let about = place(bucket, staged, about, condition).await?;
    let mut answer = empty(StatusCode::OK);
    set(answer.headers_mut(), "etag", format!("\"{}\"", about.etag));
    if let Some((name, sum)) = &about.checksum {
        set(answer.headers_mut(), name, sum);
    }
    version_header(bucket, answer.headers_mut(), &super::disk::Entry::of(&about).version());
    Ok(answer)
}

/// Makes a written file an object, aside from the requests of others: a disk may be waited for.
async fn place(bucket: &Arc<Bucket>, staged: Staged, about: About, condition: Condition) -> Answer<About> {
    let bucket = bucket.clone();
    aside(move || bucket.disk.place(staged, about, bucket.versioning, &condition)).await
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> Answer<T> + Send + 'static) -> Answer<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Refusal::internal("The work was cut off.")))
}

/// The object that a copy is of, if the request's access key opens its bucket.
fn source(call: &Call) -> Answer<(Arc<Bucket>, String, Option<String>)> {
    let text = call.header("x-amz-copy-source").unwrap_or_default();
    let (path, version) = match text.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version.to_owned())),
        None => (text, None),
    };
    let path =
        percent_decode_str(path).decode_utf8().map_err(|_| Refusal::argument("The copy source is not UTF-8."))?;
    let wrong = || Refusal::argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
    let (name, key) = path.trim_start_matches('/').split_once('/').ok_or_else(wrong)?;
    Ok((call.store.bucket(name, &call.by)?, key.to_owned(), version))
}

async fn copied(call: Call, bucket: Arc<Bucket>, key: String) -> Answer<Response<Reply>> {
    let (from, from_key, version) = source(&call)?;
    let (file, old) = from.disk.get(&from_key, version.as_deref())?;
    if let Some(refusal) = unmet(&call, &old, "x-amz-copy-source-if-") {
        return Err(refusal);
    }
    let given = described(&call, &key)?;
    let replaces = |name: &str| call.header(name) == Some("REPLACE");
    let new_metadata = replaces("x-amz-metadata-directive");
    if !new_metadata && from.name == bucket.name && from_key == key && version.is_none() {
        return Err(Refusal::request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata.",
        ));
    }
    let headers = if new_metadata { given.headers } else { old.headers.clone() };
    let tags = if replaces("x-amz-tagging-directive") { given.tags } else { old.tags.clone() };
    let source_version = super::disk::Entry::of(&old).version();
    let about = About { key, headers, tags, modified_ms: now_ms(), ..old };
    let into = bucket.clone();
    let condition = condition(&call.headers)?;
    let about = aside(move || {
        let mut staged = into.disk.stage()?;
        copy(&file, &mut staged.file, 0, about.size)?;
        into.disk.place(staged, about, into.versioning, &condition)
    })
    .await?;
    let mut writer = Writer::new("CopyObjectResult");
    writer.text("LastModified", iso(about.modified_ms)).text("ETag", format!("\"{}\"", about.etag));
    let mut answer = document(writer.finish("CopyObjectResult"));
    version_header(&bucket, answer.headers_mut(), &super::disk::Entry::of(&about).version());
    if source_version != "null" {
        set(answer.headers_mut(), "x-amz-copy-source-version-id", source_version);
    }
    Ok(answer)
}

async fn put_part(call: Call, bucket: Arc<Bucket>, key: String) -> Answer<Response<Reply>> {
    let number = call.number("partNumber", usize::MAX)?;
    let number = u32::try_from(number).ok().filter(|number| (1..=MOST_PARTS).contains(number));
    let number =
        number.ok_or_else(|| Refusal::argument("Part number must be an integer between 1 and 10000, inclusive"))?;
    let upload = multipart::find(&bucket.disk, call.parameter("uploadId").unwrap_or_default(), &key)?;
    let mut staged = bucket.disk.stage()?;
    if call.headers.contains_key("x-amz-copy-source") {
        let (from, from_key, version) = source(&call)?;
        let (file, old) = from.disk.get(&from_key, version.as_deref())?;
        let asked = call.header("x-amz-copy-source-range").map(|text| part_of(text, old.size)).transpose()?;
        let (offset, length) = asked.unwrap_or((0, old.size));
        let etag = aside(move || {
            copy(&file, &mut staged.file, offset, length)?;
            let etag = hex(&md5_of(&staged.file, length)?);
            multipart::add(&upload, number, &etag, staged)?;
            Ok(etag)
        })
        .await?;
        let mut writer = Writer::new("CopyPartResult");
        writer.text("LastModified", iso(now_ms())).text("ETag", format!("\"{etag}\""));
        return Ok(document(writer.finish("CopyPartResult")));
    }
    let (_, summed) = receive(call.body, &call.headers, call.payload, &mut staged.file).await?;
    let etag = hex(&summed.md5);
    multipart::add(&upload, number, &etag, staged)?;
    let mut answer = empty(StatusCode::OK);
    set(answer.headers_mut(), "etag", format!("\"{etag}\""));
    if let Some((algorithm, sum)) = &summed.checksum {
        set(answer.headers_mut(), algorithm.header(), sum);
    }
    Ok(answer)
}

fn md5_of(file: &File, length: u64) -> Answer<[u8; 16]> {
    use std::os::unix::fs::FileExt;
    let mut sums = super::sums::Sums::new(false, None::<Algorithm>);
    let (mut offset, mut piece) = (0, vec![0; 256 << 10]);
    while offset < length {
        let read = file.read_at(&mut piece, offset)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        sums.update(bytes);
        offset += read as u64;
    }
    Ok(sums.finish().md5)
}

async fn complete(call: Call, bucket: Arc<Bucket>, key: String) -> Answer<Response<Reply>> {
    let upload = multipart::find(&bucket.disk, call.parameter("uploadId").unwrap_or_default(), &key)?;
    let condition = condition(&call.headers)?;
    // The checksum among these headers is that of the object, not that of this document.
    let mut headers = call.headers.clone();
    Algorithm::headers().for_each(|name| drop(headers.remove(name)));
    let text = receive_text(call.body, &headers, call.payload).await?;
    let root = xml::parse(&text).filter(|root| root.name == "CompleteMultipartUpload");
    let root = root.ok_or_else(|| Refusal::xml("The XML you provided was not well-formed."))?;
    let part = |part: &xml::Element| {
        Some((part.child_text("PartNumber")?.parse().ok()?, unquoted(part.child_text("ETag")?).to_owned()))
    };
    let parts: Option<Vec<(u32, String)>> = root.named("Part").map(part).collect();
    let parts = parts.ok_or_else(|| Refusal::xml("A part has a PartNumber and an ETag."))?;
    let into = bucket.clone();
    let about = aside(move || multipart::complete(&into.disk, &upload, &parts, into.versioning, &condition)).await?;
    let mut writer = Writer::new("CompleteMultipartUploadResult");
    let host = call.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    writer.text("Location", format!("http://{host}/{}/{}", bucket.name, sign::encode(&key)));
    writer.text("Bucket", &bucket.name).text("Key", &key).text("ETag", format!("\"{}\"", about.etag));
    let mut answer = document(writer.finish("CompleteMultipartUploadResult"));
    version_header(&bucket, answer.headers_mut(), &super::disk::Entry::of(&about).version());
    Ok(answer)
}

fn parts(call: &Call, bucket: &Bucket, key: &str) -> Answer<Response<Reply>> {
    let upload = multipart::find(&bucket.disk, call.parameter("uploadId").unwrap_or_default(), key)?;
    let most = call.number("max-parts", PARTS_PAGE)?;
    let after = call.number("part-number-marker", MOST_PARTS as usize)?;
    let after = if call.parameter("part-number-marker").is_some() { after } else { 0 };
    let all = multipart::parts(&upload)?;
    let rest: Vec<_> = all.iter().filter(|part| part.number as usize > after).collect();
    let shown: Vec<_> = rest.iter().take(most).collect();
    let mut writer = Writer::new("ListPartsResult");
    writer.text("Bucket", &bucket.name).text("Key", key).text("UploadId", &upload.id);
    owner(&mut writer, "Initiator", &call.by.access_key);
    owner(&mut writer, "Owner", &call.by.access_key);
    writer.text("StorageClass", "STANDARD").text("PartNumberMarker", after.to_string());
    writer.maybe("NextPartNumberMarker", shown.last().map(|part| part.number.to_string()));
    writer.text("MaxParts", most.to_string()).text("IsTruncated", (shown.len() < rest.len()).to_string());
    for part in shown {
        writer.element("Part", |writer| {
            writer.text("PartNumber", part.number.to_string()).text("LastModified", iso(part.modified_ms));
            writer.text("ETag", format!("\"{}\"", part.etag)).text("Size", part.size.to_string());
        });
    }
    Ok(document(writer.finish("ListPartsResult")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |text: &str, size: u64, expected: Result<Option<(u64, u64)>, &str>| {
            assert_eq!(range(text, size).map_err(|refusal| refusal.code), expected, "{text} of {size}");
        };
        check("bytes=0-9", 100, Ok(Some((0, 10))));
        check("bytes=90-", 100, Ok(Some((90, 10))));
        check("bytes=90-1000", 100, Ok(Some((90, 10))));
        check("bytes=-10", 100, Ok(Some((90, 10))));
        check("bytes=-1000", 100, Ok(Some((0, 100))));
        check("bytes=100-", 100, Err("InvalidRange"));
        check("bytes=-0", 100, Err("InvalidRange"));
        check("bytes=0-0", 0, Err("InvalidRange"));
        for ignored in ["bytes=9-0", "lines=1-2", "bytes=a-b", "bytes=1-x", "bytes=0-1,3-4", ""] {
            check(ignored, 100, Ok(None));
        }
        for (text, expected) in [
            ("bytes=0-9", Ok((0, 10))),
            ("bytes=0-99", Ok((0, 100))),
            ("bytes=0-100", Err("InvalidArgument")),
            ("bytes=100-100", Err("InvalidArgument")),
            ("bytes=90-", Err("InvalidArgument")),
            ("bytes=-10", Err("InvalidArgument")),
            ("0-9", Err("InvalidArgument")),
        ] {
            assert_eq!(part_of(text, 100).map_err(|refusal| refusal.code), expected, "{text}");
        }
    }

    #[test]
    fn what_is_in_a_bucket_is_its_owners() {
        for (name, value, stays) in [
            ("x-amz-acl", "private", true),
            ("x-amz-acl", "bucket-owner-full-control", true),
            ("x-amz-acl", "public-read", false),
            ("x-amz-grant-read", "id=1", false),
            ("x-amz-meta-acl", "public-read", true),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
            let code = stays_private(&headers).err().map(|refusal| refusal.code);
            assert_eq!(code, (!stays).then_some("AccessControlListNotSupported"), "{name}: {value}");
        }
    }

    #[test]
    fn tags_are_few_and_short() {
        let many = |count: usize| (0..count).map(|number| (format!("k{number}"), "v".to_owned())).collect();
        let one = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let check = |given: Vec<(String, String)>, good: bool| {
            let text = format!("{given:?}");
            assert_eq!(tags(given).err().map(|refusal| refusal.code), (!good).then_some("InvalidTag"), "{text}");
        };
        check(many(10), true);
        check(many(11), false);
        check(one("ä".repeat(128).as_str(), ""), true);
        check(one("k".repeat(129).as_str(), ""), false);
        check(one("", "v"), false);
        check(one("k", "v".repeat(257).as_str()), false);
        check([one("k", "a"), one("k", "b")].concat(), false);
    }
}
