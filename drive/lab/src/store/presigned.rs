//! URLs that are signed with version 2, which clients in `us-east-1` still make unless they are told otherwise: `aws s3
//! presign`, boto3. After <https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use ring::hmac;

use super::failure::{Answer, Refusal};
use super::sign::{Credentials, Payload, Signed, Verified};

/// The parameters of a query that say what of an object is asked for, and so are signed.
const SIGNED: [&str; 28] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];
const ACCESS_KEY: &str = "AWSAccessKeyId";
const SIGNATURE: &str = "Signature";
const EXPIRES: &str = "Expires";

/// Whether a query has the signature of a URL of version 2.
fn is_in(query: &[(String, String)]) -> bool {
    [ACCESS_KEY, SIGNATURE].iter().all(|name| query.iter().any(|(it, _)| it == name))
}

/// Whether a parameter of a signed query is what a header would say otherwise.
fn is_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-amz-") || name == "content-type" || name == "content-md5"
}

/// Makes headers of what the query of a URL of version 2 says in place of them: clients write there what is signed of the
/// headers, and whoever has the URL need not send it again. A header that is sent is the one that counts, and is what must
/// have been signed.
pub(super) fn take_headers(query: &mut Vec<(String, String)>, headers: &mut HeaderMap) -> Answer<()> {
    if !is_in(query) {
        return Ok(());
    }
    let given = std::mem::take(query);
    let (taken, rest): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| is_header(name));
    *query = rest;
    for (name, value) in taken {
        let unfit = || Refusal::request(format!("{name} in the query is no header."));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unfit())?;
        headers.entry(header).or_insert(value);
    }
    Ok(())
}

/// Takes off a query that was verified what is there of a signature of version 2 alone.
pub(super) fn strip(query: &mut Vec<(String, String)>) {
    if is_in(query) {
        query.retain(|(name, _)| ![ACCESS_KEY, SIGNATURE, EXPIRES].contains(&name.as_str()));
    }
}

/// Checks the signature of a URL of version 2, where the request has one. `secrets` gives those of an access key.
pub(super) fn verify(
    request: &Signed<'_>,
    secrets: impl Fn(&str) -> Vec<String>,
    now: Timestamp,
) -> Option<Answer<Verified>> {
    let parameter = |name: &str| request.query.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
    let (access_key, signature) = (parameter(ACCESS_KEY)?, parameter(SIGNATURE)?);
    Some(judge(request, access_key, signature, parameter(EXPIRES), secrets, now))
}

fn judge(
    request: &Signed<'_>,
    access_key: &str,
    signature: &str,
    expires: Option<&str>,
    secrets: impl Fn(&str) -> Vec<String>,
    now: Timestamp,
) -> Answer<Verified> {
    let expires = expires.and_then(|text| Some((text, text.parse::<i64>().ok()?)));
    let (expires, until) = expires.ok_or_else(|| Refusal::access_denied("Expires is no time in seconds."))?;
    if now.as_second() > until {
        return Err(Refusal::access_denied("Request has expired"));
    }
    let secrets = secrets(access_key);
    if secrets.is_empty() {
        return Err(Refusal::unknown_key("No bucket of this endpoint has that access key."));
    }
    let wrong = || {
        Refusal::wrong_signature(
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        )
    };
    let given = STANDARD.decode(signature).map_err(|_| wrong())?;
    // botocore signs the path of a bucket with a slash at its end, which its URL has not.
    let is_bucket = !request.path.get(1..).unwrap_or_default().contains('/');
    let ends: &[&str] = if is_bucket { &["", "/"] } else { &[""] };
    let signed: Vec<String> =
        ends.iter().map(|end| to_sign(request, &format!("{}{end}", request.path), expires)).collect();
    let is_by = |secret: &String| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        signed.iter().any(|signed| hmac::verify(&key, signed.as_bytes(), &given).is_ok())
    };
    let secret_key = secrets.into_iter().find(is_by).ok_or_else(wrong)?;
    Ok(Verified { by: Credentials { access_key: access_key.to_owned(), secret_key }, payload: Payload::Plain })
}

/// What is signed of a request for a path.
fn to_sign(request: &Signed<'_>, path: &str, expires: &str) -> String {
    let header = |name: &str| {
        let values = request.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.map(|value| value.trim().to_owned()).collect::<Vec<_>>().join(",")
    };
    let mut names: Vec<&str> = request.headers.keys().map(hyper::header::HeaderName::as_str).collect();
    names.retain(|name| name.starts_with("x-amz-"));
    names.sort_unstable();
    let amz: String = names.iter().map(|name| format!("{name}:{}\n", header(name))).collect();
    let is_signed = |name: &str| SIGNED.contains(&name) || name.starts_with("response-");
    let mut query: Vec<&(String, String)> = request.query.iter().filter(|(name, _)| is_signed(name)).collect();
    query.sort();
    let part = |(name, value): &&(String, String)| match value.as_str() {
        "" => name.clone(),
        value => format!("{name}={value}"),
    };
    let query = query.iter().map(part).collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    let method = request.method;
    format!("{method}\n{}\n{}\n{expires}\n{amz}{path}{mark}{query}", header("content-md5"), header("content-type"))
}

#[cfg(test)]
mod tests {
    use super::super::sign::{self, query};
    use super::*;

    const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

    /// What is told of a request at a time, and the headers and the query that remain of it.
    fn judged(method: &str, path: &str, rest: &str, given: &[(&str, &str)], at: i64) -> (String, String, String) {
        let mut query = query(&format!("AWSAccessKeyId={KEY}&Expires=1175139620{rest}"));
        let header = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let mut headers: HeaderMap = given.iter().map(header).collect();
        let taken = take_headers(&mut query, &mut headers);
        let secrets = |asked: &str| match asked == KEY {
            true => vec!["older".to_owned(), "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()],
            false => vec![],
        };
        let request = Signed { method, path, query: &query, headers: &headers };
        let told = match taken.map(|()| verify(&request, secrets, Timestamp::from_second(at).unwrap())) {
            Ok(None) => "none",
            Ok(Some(Ok(_))) => "good",
            Ok(Some(Err(refusal))) | Err(refusal) => refusal.code,
        };
        sign::strip(&mut query);
        let said = |(name, value): (&str, &str)| format!("{name}={value}");
        let headers = headers.iter().map(|(name, value)| said((name.as_str(), value.to_str().unwrap())));
        let mut headers: Vec<String> = headers.collect();
        headers.sort();
        let query: Vec<String> = query.iter().map(|(name, value)| said((name, value))).collect();
        (told.to_owned(), headers.join(" "), query.join(" "))
    }

    /// The access key and the secret of the protocol's documentation, and its example of a signed URL.
    #[test]
    fn the_example_of_the_documentation() {
        let check = |path: &str, rest: &str, at: i64, expected: &str| {
            assert_eq!(judged("GET", path, rest, &[], at).0, expected, "{path} {rest} {at}");
        };
        let signature = "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D";
        let path = "/johnsmith/photos/puppy.jpg";
        check(path, signature, 1_175_139_620, "good");
        check(path, signature, 1_175_139_621, "AccessDenied");
        check("/johnsmith/photos/kitten.jpg", signature, 1_175_139_620, "SignatureDoesNotMatch");
        check(path, &format!("{signature}&versionId=1"), 1_175_139_620, "SignatureDoesNotMatch");
        check(path, &format!("{signature}&website"), 1_175_139_620, "SignatureDoesNotMatch");
        check(path, &format!("{signature}&x-amz-acl=private"), 1_175_139_620, "SignatureDoesNotMatch");
        check(path, &format!("{signature}&x-amz-%0A=private"), 1_175_139_620, "InvalidRequest");
        check(path, &format!("{signature}&content-type=%0A"), 1_175_139_620, "InvalidRequest");
        check(path, "&Signature=!", 1_175_139_620, "SignatureDoesNotMatch");
        check(path, "", 1_175_139_620, "none");
    }

    /// URLs as botocore signs them, with the same key and time.
    #[test]
    fn what_a_query_says_in_place_of_headers() {
        let check = |method: &str, path: &str, rest: &str, given: &[(&str, &str)], expected: [&str; 3]| {
            let (told, headers, query) = judged(method, path, rest, given, 1_175_139_620);
            assert_eq!([told.as_str(), &headers, &query], expected, "{method} {path} {rest} {given:?}");
        };
        let path = "/johnsmith/photos/puppy.jpg";
        check("PUT", path, "&Signature=VTxwcN%2BooA8GAQWgxB1nZX6%2FPgw%3D", &[], ["good", "", ""]);
        let upload = "&uploadId=u&partNumber=1&Signature=AanPa5u0xEXkidLguFvMwavSMu0%3D";
        check("PUT", path, upload, &[], ["good", "", "uploadId=u partNumber=1"]);
        let site = "&website&Signature=g2c91SlYLj0tJGdOySAwEd8phMA%3D";
        check("GET", "/johnsmith", site, &[], ["good", "", "website="]);
        check("GET", "/johnsmith/", site, &[], ["good", "", "website="]);
        let signature = "&Signature=bttswjTjTQFUr4Uzmul3hJUwOCc%3D";
        let said = "&content-type=text%2Fplain&content-md5=XUFAKrxLKna5cZ2REBfFkg%3D%3D&x-amz-meta-who=me";
        let rest = format!("{signature}{said}");
        let all = "content-md5=XUFAKrxLKna5cZ2REBfFkg== content-type=text/plain x-amz-meta-who=me";
        check("PUT", path, &rest, &[], ["good", all, ""]);
        check("PUT", path, &rest, &[("content-type", "text/plain"), ("x-amz-meta-who", "me")], ["good", all, ""]);
        // A header counts before what the query says, and both are of the signature.
        let other = all.replace("=me", "=you");
        check("PUT", path, &rest, &[("x-amz-meta-who", "you")], ["SignatureDoesNotMatch", &other, ""]);
        let changed = rest.replace("=me", "=you");
        check("PUT", path, &changed, &[], ["SignatureDoesNotMatch", &other, ""]);
        // What is no URL of version 2 keeps what it has.
        let kept = format!("AWSAccessKeyId={KEY} Expires=1175139620 x-amz-meta-who=me");
        check("PUT", path, "&x-amz-meta-who=me&X-Amz-Date=1&x-id=PutObject", &[], ["none", "", &kept]);
    }
}
