//! Requests of the S3 protocol, by path: `/bucket/key`. After <https://docs.aws.amazon.com/AmazonS3/latest/API/>.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::Store;
use super::body::Reply;
use super::failure::{Answer, Refusal};
use super::sign::{self, Credentials, Payload, Signed};
use super::xml::Writer;
use super::{Bucket, bucket, object, presigned};

/// The longest key, in bytes.
const KEY_LIMIT: usize = 1024;

/// A request that is signed by somebody who may do it.
pub(super) struct Call {
    pub store: Arc<Store>,
    /// By whom it is signed.
    pub by: Credentials,
    /// What is asked for, without what signs it.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub payload: Payload,
    pub body: Incoming,
}

impl Call {
    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The same, as a number from 0 to `most`.
    pub fn number(&self, name: &str, most: usize) -> Answer<usize> {
        let text = self.parameter(name).filter(|text| !text.is_empty());
        let number = text.map_or(Ok(most), str::parse::<usize>);
        number.map(|number| number.min(most)).map_err(|_| Refusal::argument(format!("{name} is no number.")))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Answers a request.
pub(super) async fn answer(store: Arc<Store>, request: Request<Incoming>) -> Result<Response<Reply>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // No word of going on is said before an empty body. botocore, which asks for one, takes the next answer on that
    // connection for the rest of this one, and waits a minute for its end.
    let is_last = request.headers().contains_key(EXPECT) && request.body().is_end_stream();
    let mut answer = match dispatch(store, request).await {
        Ok(answer) => answer,
        Err(refusal) => refused(&refusal, &path),
    };
    if is_last {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(if method == Method::HEAD { without_body(answer) } else { answer })
}

async fn dispatch(store: Arc<Store>, request: Request<Incoming>) -> Answer<Response<Reply>> {
    let (mut parts, body) = request.into_parts();
    let mut query = sign::query(parts.uri.query().unwrap_or_default());
    presigned::take_headers(&mut query, &mut parts.headers)?;
    let signed =
        Signed { method: parts.method.as_str(), path: parts.uri.path(), query: &query, headers: &parts.headers };
    let verified = sign::verify(&signed, |access_key| store.secrets(access_key), Timestamp::now())?;
    sign::strip(&mut query);
    let path = parts.uri.path().trim_start_matches('/');
    let (name, key) = path.split_once('/').unwrap_or((path, ""));
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
        text.map_err(|_| Refusal::argument("The path is not UTF-8."))
    };
    let (name, key) = (decode(name)?, decode(key)?);
    let call = Call { store, by: verified.by, query, headers: parts.headers, payload: verified.payload, body };
    if name.is_empty() {
        return match parts.method {
            Method::GET => Ok(buckets(&call)),
            _ => Err(Refusal::method("The specified method is not allowed against this resource.")),
        };
    }
    let found = call.store.bucket(&name, &call.by);
    if found.is_err() && key.is_empty() && parts.method == Method::PUT && call.query.is_empty() {
        // Whoever makes a bucket is told how, not that there is none.
        return Err(Refusal::access_denied(bucket::MADE_BY));
    }
    let found = found?;
    if key.is_empty() {
        return bucket::answer(&parts.method, call, &found).await;
    }
    if key.len() > KEY_LIMIT {
        return Err(Refusal::key_too_long("Your key is too long: 1,024 bytes are the most."));
    }
    object::answer(&parts.method, call, found, key).await
}

/// The buckets that an access key opens.
fn buckets(call: &Call) -> Response<Reply> {
    let mut writer = Writer::new("ListAllMyBucketsResult");
    owner(&mut writer, "Owner", &call.by.access_key);
    writer.element("Buckets", |writer| {
        for bucket in call.store.buckets_of(&call.by) {
            writer.element("Bucket", |writer| {
                writer.text("Name", &bucket.name).text("CreationDate", iso(bucket.created_ms));
            });
        }
    });
    document(writer.finish("ListAllMyBucketsResult"))
}

/// Who owns whatever is told of.
pub(super) fn owner(writer: &mut Writer, name: &str, access_key: &str) {
    writer.element(name, |writer| {
        writer.text("ID", access_key).text("DisplayName", access_key);
    });
}

/// An access control list: its owner may do all.
pub(super) fn access(call: &Call) -> Response<Reply> {
    let mut writer = Writer::new("AccessControlPolicy");
    owner(&mut writer, "Owner", &call.by.access_key);
    writer.element("AccessControlList", |writer| {
        writer.element("Grant", |writer| {
            let grantee =
                "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">";
            writer
                .raw(grantee)
                .text("ID", &call.by.access_key)
                .text("DisplayName", &call.by.access_key)
                .raw("</Grantee>");
            writer.text("Permission", "FULL_CONTROL");
        });
    });
    document(writer.finish("AccessControlPolicy"))
}

/// Tags, as a document.
pub(super) fn tagging(tags: &BTreeMap<String, String>) -> Response<Reply> {
    let mut writer = Writer::new("Tagging");
    writer.element("TagSet", |writer| {
        for (key, value) in tags {
            writer.element("Tag", |writer| {
                writer.text("Key", key).text("Value", value);
            });
        }
    });
    document(writer.finish("Tagging"))
}

/// Tags of a document.
pub(super) fn tags_of(document: &str) -> Answer<BTreeMap<String, String>> {
    let root = super::xml::parse(document).ok_or_else(|| Refusal::xml("The XML you provided was not well-formed."))?;
    let sets = root.named("TagSet").flat_map(|set| set.named("Tag"));
    let tag =
        |tag: &super::xml::Element| Some((tag.child_text("Key")?.to_owned(), tag.child_text("Value")?.to_owned()));
    let all: Answer<Vec<_>> =
        sets.map(|element| tag(element).ok_or_else(|| Refusal::xml("A tag has a Key and a Value."))).collect();
    tags(all?)
}

/// Tags of an object, as many and as long as they may be.
pub(super) fn tags(given: Vec<(String, String)>) -> Answer<BTreeMap<String, String>> {
    let count = given.len();
    let is_long = |text: &str, most: usize| text.chars().count() > most;
    if count > 10 {
        return Err(Refusal::tag("An object has 10 tags at most."));
    }
    if given.iter().any(|(key, value)| key.is_empty() || is_long(key, 128) || is_long(value, 256)) {
        return Err(Refusal::tag("A tag's key has 1 to 128 letters, its value 256 at most."));
    }
    let tags: BTreeMap<String, String> = given.into_iter().collect();
    if tags.len() == count { Ok(tags) } else { Err(Refusal::tag("Cannot provide multiple Tags with the same key")) }
}

/// An answer that is a document.
pub(super) fn document(text: String) -> Response<Reply> {
    let mut answer = Response::new(Reply::text(text));
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/xml"));
    answer
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Reply> {
    let mut answer = Response::new(Reply::empty());
    *answer.status_mut() = status;
    answer
}

/// Sets a header, unless the value cannot be one.
pub(super) fn set(headers: &mut HeaderMap, name: &str, value: impl AsRef<str>) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_ref().as_bytes())) {
        headers.insert(name, value);
    }
}

/// A time as documents have it.
pub(super) fn iso(time_ms: i64) -> String {
    let time = Timestamp::from_millisecond(time_ms).unwrap_or_default();
    format!("{}.{:03}Z", time.strftime("%Y-%m-%dT%H:%M:%S"), time_ms.rem_euclid(1000))
}

/// A time as headers have it.
pub(super) fn http_date(time_ms: i64) -> String {
    Timestamp::from_millisecond(time_ms).unwrap_or_default().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A header's time, in seconds.
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let civil = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

fn refused(refusal: &Refusal, path: &str) -> Response<Reply> {
    if refusal.status == StatusCode::NOT_MODIFIED {
        return empty(refusal.status);
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    for (name, value) in [("Code", refusal.code), ("Message", &refusal.message), ("Resource", path)] {
        text += &format!("<{name}>{}</{name}>", quick_xml::escape::escape(value));
    }
    let mut answer = document(text + "</Error>");
    *answer.status_mut() = refusal.status;
    // What of the body was not read would be taken for the next request.
    answer.headers_mut().insert("connection", HeaderValue::from_static("close"));
    answer
}

/// The same answer for a request that wants only its head.
fn without_body(answer: Response<Reply>) -> Response<Reply> {
    let (mut parts, body) = answer.into_parts();
    let length = hyper::body::Body::size_hint(&body).exact().unwrap_or_default();
    if !parts.headers.contains_key("content-length") && parts.status.is_success() {
        set(&mut parts.headers, "content-length", length.to_string());
    }
    Response::from_parts(parts, Reply::empty())
}

/// Whether a bucket keeps versions: what an answer says of one.
pub(super) fn version_header(bucket: &Bucket, headers: &mut HeaderMap, version: &str) {
    if bucket.versioning || version != "null" {
        set(headers, "x-amz-version-id", version);
    }
}
