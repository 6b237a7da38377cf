//! URLs that are signed with version 2, which clients in `us-east-1` still make unless they are told otherwise: `aws s3
//! presign`, boto3. After <https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::hmac;

use super::failure::{Answer, Refusal};
use super::sign::{Credentials, Payload, Signed, Verified};

/// The parameters of a query that say what of an object is asked for, and so are signed.
const SIGNED: [&str; 21] = [
    "acl",
    "cors",
    "delete",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "restore",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
];

/// Checks the signature of a URL of version 2, where the request has one. `secrets` gives those of an access key.
pub(super) fn verify(
    request: &Signed<'_>,
    secrets: impl Fn(&str) -> Vec<String>,
    now: Timestamp,
) -> Option<Answer<Verified>> {
    let parameter = |name: &str| request.query.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
    let (access_key, signature) = (parameter("AWSAccessKeyId")?, parameter("Signature")?);
    Some(judge(request, access_key, signature, parameter("Expires"), secrets, now))
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
    // What is said there is said in headers otherwise, where it would be read.
    if let Some((name, _)) = request.query.iter().find(|(name, _)| name.to_ascii_lowercase().starts_with("x-amz-")) {
        return Err(Refusal::request(format!("A URL with {name} is to be signed with AWS4-HMAC-SHA256.")));
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
    let signed = to_sign(request, expires);
    let is_by = |secret: &String| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        hmac::verify(&key, signed.as_bytes(), &given).is_ok()
    };
    let secret_key = secrets.into_iter().find(is_by).ok_or_else(wrong)?;
    Ok(Verified { by: Credentials { access_key: access_key.to_owned(), secret_key }, payload: Payload::Plain })
}

/// What is signed of a request.
fn to_sign(request: &Signed<'_>, expires: &str) -> String {
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
    let (method, path) = (request.method, request.path);
    format!("{method}\n{}\n{}\n{expires}\n{amz}{path}{mark}{query}", header("content-md5"), header("content-type"))
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::super::sign::query;
    use super::*;

    /// The access key and the secret of the protocol's documentation, and its example of a signed URL.
    #[test]
    fn the_example_of_the_documentation() {
        let (key, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let check = |path: &str, rest: &str, at: i64, expected: &str| {
            let query = query(&format!("AWSAccessKeyId={key}&Expires=1175139620{rest}"));
            let headers = HeaderMap::new();
            let request = Signed { method: "GET", path, query: &query, headers: &headers };
            let secrets = |asked: &str| if asked == key { vec!["older".to_owned(), secret.to_owned()] } else { vec![] };
            let verified = verify(&request, secrets, Timestamp::from_second(at).unwrap());
            let told = match verified {
                None => "none",
                Some(Ok(_)) => "good",
                Some(Err(refusal)) => refusal.code,
            };
            assert_eq!(told, expected, "{path} {rest} {at}");
        };
        let signature = "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D";
        let path = "/johnsmith/photos/puppy.jpg";
        check(path, signature, 1_175_139_620, "good");
        check(path, signature, 1_175_139_621, "AccessDenied");
        check("/johnsmith/photos/kitten.jpg", signature, 1_175_139_620, "SignatureDoesNotMatch");
        check(path, &format!("{signature}&versionId=1"), 1_175_139_620, "SignatureDoesNotMatch");
        check(path, &format!("{signature}&x-amz-acl=private"), 1_175_139_620, "InvalidRequest");
        check(path, "&Signature=!", 1_175_139_620, "SignatureDoesNotMatch");
        check(path, "", 1_175_139_620, "none");
    }
}
