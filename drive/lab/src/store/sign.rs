//! Signatures of requests: AWS Signature Version 4 in a header, in a query (presigned), and over the chunks of a body. URLs
//! of the version before it are [`presigned`]'s.
//!
//! After <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>.

use std::collections::BTreeMap;

use hyper::HeaderMap;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use ring::digest::{Context, SHA256};
use ring::hmac;

use super::failure::{Answer, Refusal};
use super::presigned;
use super::sums::{hex, sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a client's clock may be off, in seconds.
const SKEW_S: i64 = 15 * 60;
/// The longest time that a presigned request may be good for, in seconds.
const LONGEST_S: i64 = 7 * 24 * 3600;
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A request as it came, its query decoded.
pub(super) struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a [(String, String)],
    pub headers: &'a HeaderMap,
}

/// How a body is to be read, and what it must be.
#[derive(Debug)]
pub(super) enum Payload {
    /// As it is, and nothing is said of it.
    Plain,
    /// As it is; its SHA-256 in hexadecimal.
    Hash(String),
    /// In chunks; each signed, where there is a signer.
    Chunks(Option<Box<Signer>>),
}

/// Whose request it is, and how its body is to be read.
#[derive(Debug)]
pub(super) struct Verified {
    pub by: Credentials,
    pub payload: Payload,
}

/// An access key and its secret. While the secret of a key changes, from bucket to bucket, it has two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

/// Signs one chunk after another.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    key: hmac::Key,
    time: String,
    scope: String,
    previous: String,
}

/// The name and value pairs of a query.
pub(super) fn query(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', "%20")).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Text as a part of a URL.
pub(super) fn encode(text: &str) -> String {
    percent_encode(text.as_bytes(), UNRESERVED).to_string()
}

/// Checks a request's signature. `secrets` gives those of an access key.
pub(super) fn verify(request: &Signed<'_>, secrets: impl Fn(&str) -> Vec<String>, now: Timestamp) -> Answer<Verified> {
    if let Some(verified) = presigned::verify(request, &secrets, now) {
        return verified;
    }
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let in_query: BTreeMap<&str, &str> = request
        .query
        .iter()
        .filter(|(name, _)| name.starts_with("X-Amz-"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let presigned = in_query.contains_key("X-Amz-Signature");
    let (credential, signed_headers, signature, time) = if presigned {
        let part = |name: &str| {
            in_query.get(name).copied().ok_or_else(|| Refusal::access_denied(format!("{name} is missing.")))
        };
        if part("X-Amz-Algorithm")? != ALGORITHM {
            return Err(Refusal::argument("Only AWS4-HMAC-SHA256 is known."));
        }
        (part("X-Amz-Credential")?, part("X-Amz-SignedHeaders")?, part("X-Amz-Signature")?, part("X-Amz-Date")?)
    } else {
        let Some(authorization) = header("authorization") else {
            return Err(Refusal::access_denied("The request is not signed."));
        };
        let parts = authorization.strip_prefix(ALGORITHM).ok_or_else(|| {
            Refusal::request(
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            )
        })?;
        let parts: BTreeMap<&str, &str> = parts.split(',').filter_map(|part| part.trim().split_once('=')).collect();
        let part = |name: &str| {
            parts.get(name).copied().ok_or_else(|| Refusal::argument(format!("{name} is missing in Authorization.")))
        };
        let time = header("x-amz-date").ok_or_else(|| Refusal::access_denied("x-amz-date is missing."))?;
        (part("Credential")?, part("SignedHeaders")?, part("Signature")?, time)
    };
    let at = when(time).ok_or_else(|| Refusal::access_denied("The date is not of the form YYYYMMDDTHHMMSSZ."))?;
    let age = now.as_second() - at.as_second();
    if presigned {
        let seconds = in_query.get("X-Amz-Expires").and_then(|text| text.parse::<i64>().ok());
        let seconds = seconds.filter(|seconds| (1..=LONGEST_S).contains(seconds));
        let seconds = seconds.ok_or_else(|| Refusal::argument("X-Amz-Expires is from 1 to 604800."))?;
        if age > seconds {
            return Err(Refusal::access_denied("Request has expired"));
        }
    }
    if age < -SKEW_S || (!presigned && age > SKEW_S) {
        return Err(Refusal::clock("The clocks of the client and of this machine differ by more than 15 minutes."));
    }
    let (access_key, scope) = credential.split_once('/').unwrap_or((credential, ""));
    let [day, region, service, end] = <[&str; 4]>::try_from(scope.split('/').collect::<Vec<_>>())
        .map_err(|_| Refusal::argument("The credential's scope is no date/region/s3/aws4_request."))?;
    if service != "s3" || end != "aws4_request" || !time.starts_with(day) || day.len() != 8 {
        return Err(Refusal::argument("The credential's scope is no date/region/s3/aws4_request."));
    }
    let secrets = secrets(access_key);
    if secrets.is_empty() {
        return Err(Refusal::unknown_key("No bucket of this endpoint has that access key."));
    }
    let names: Vec<&str> = signed_headers.split(';').collect();
    let unsigned = request
        .headers
        .keys()
        .map(|name| name.as_str())
        .find(|name| name.starts_with("x-amz-") && !names.contains(name));
    if !names.contains(&"host") || unsigned.is_some() {
        let name = unsigned.unwrap_or("host");
        return Err(Refusal::access_denied(format!(
            "There were headers present in the request which were not signed: {name}"
        )));
    }
    let said = header("x-amz-content-sha256");
    let hash = match said {
        Some(hash) => hash,
        None if presigned => in_query.get("X-Amz-Content-Sha256").copied().unwrap_or("UNSIGNED-PAYLOAD"),
        None => return Err(Refusal::request("x-amz-content-sha256 is missing.")),
    };
    let canonical = canonical(request, &names, presigned, hash);
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let given = from_hex(signature).ok_or_else(|| Refusal::wrong_signature("The signature is not hexadecimal."))?;
    let signed = secrets.into_iter().find_map(|secret_key| {
        let key = signing_key(&secret_key, day, region);
        hmac::verify(&key, to_sign.as_bytes(), &given).ok().map(|()| (key, secret_key))
    });
    let (key, secret_key) = signed.ok_or_else(|| {
        Refusal::wrong_signature("The request signature we calculated does not match the signature you provided. Check your key and signing method.")
    })?;
    let signer = Signer { key, time: time.to_owned(), scope: scope.to_owned(), previous: signature.to_owned() };
    let payload = match hash {
        "UNSIGNED-PAYLOAD" => Payload::Plain,
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Payload::Chunks(None),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
            Payload::Chunks(Some(Box::new(signer)))
        }
        hash if hash.len() == 64 && from_hex(hash).is_some() => Payload::Hash(hash.to_ascii_lowercase()),
        _ => return Err(Refusal::argument("x-amz-content-sha256 is no hash, and no way of signing that is known.")),
    };
    Ok(Verified { by: Credentials { access_key: access_key.to_owned(), secret_key }, payload })
}

/// Takes off a verified query what is of its signature, and `x-id`, by which clients name what they do: what remains is what
/// is asked for.
pub(super) fn strip(query: &mut Vec<(String, String)>) {
    presigned::strip(query);
    query.retain(|(name, _)| !name.starts_with("X-Amz-") && name != "x-id");
}

fn canonical(request: &Signed<'_>, names: &[&str], presigned: bool, hash: &str) -> String {
    let path: Vec<u8> = percent_decode_str(request.path).collect();
    let signed = request.query.iter().filter(|(name, _)| !(presigned && name == "X-Amz-Signature"));
    let mut query: Vec<(String, String)> = signed.map(|(name, value)| (encode(name), encode(value))).collect();
    // By name, then by value: `select` comes before `select-type`, which `select=` would not.
    query.sort();
    let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let header = |name: &&str| {
        let values = request.headers.get_all(*name).iter();
        let values = values.map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        });
        format!("{name}:{}\n", values.collect::<Vec<_>>().join(","))
    };
    let headers: String = names.iter().map(header).collect();
    let path = percent_encode(&path, PATH);
    format!("{}\n{path}\n{}\n{headers}\n{}\n{hash}", request.method, query.join("&"), names.join(";"))
}

fn signing_key(secret: &str, day: &str, region: &str) -> hmac::Key {
    let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    [day, region, "s3", "aws4_request"]
        .iter()
        .fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()))
}

fn when(text: &str) -> Option<Timestamp> {
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() % 2 != 0 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

impl Signer {
    /// Checks the signature over something that follows what was signed before it.
    fn check(&mut self, kind: &str, hashes: &str, given: &str) -> Answer<()> {
        let to_sign = format!("{ALGORITHM}-{kind}\n{}\n{}\n{}\n{hashes}", self.time, self.scope, self.previous);
        let wrong = || Refusal::wrong_signature("A chunk of the body is not what was signed.");
        let given_bytes = from_hex(given).ok_or_else(wrong)?;
        hmac::verify(&self.key, to_sign.as_bytes(), &given_bytes).map_err(|_| wrong())?;
        self.previous = given.to_owned();
        Ok(())
    }
}

/// Takes the frames of the content coding `aws-chunked` off a body.
pub(super) struct Chunks {
    signer: Option<Box<Signer>>,
    state: State,
    line: Vec<u8>,
    hash: Context,
    signature: String,
    /// The headers that came after the body.
    pub trailers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Data(u64),
    /// The end of line after a chunk's data.
    Gap,
    Trailer,
    Done,
}

/// No line of a chunk's head or of a trailer is longer.
const LINE_LIMIT: usize = 8192;

impl Chunks {
    pub fn new(signer: Option<Box<Signer>>) -> Chunks {
        Chunks {
            signer,
            state: State::Head,
            line: Vec::new(),
            hash: Context::new(&SHA256),
            signature: String::new(),
            trailers: Vec::new(),
        }
    }

    /// Takes a piece of the body in and gives what of it is data, in pieces.
    pub fn push(&mut self, mut bytes: &[u8], mut data: impl FnMut(&[u8]) -> Answer<()>) -> Answer<()> {
        while !bytes.is_empty() {
            if let State::Data(left) = self.state {
                let (piece, rest) = bytes.split_at(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                if self.signer.is_some() {
                    self.hash.update(piece);
                }
                data(piece)?;
                bytes = rest;
                self.state = match left - piece.len() as u64 {
                    0 => State::Gap,
                    left => State::Data(left),
                };
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (piece, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            self.line.extend_from_slice(piece);
            bytes = rest;
            if self.line.len() > LINE_LIMIT {
                return Err(Refusal::incomplete("A line of the chunked body is too long."));
            }
            if end.is_some() {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_owned();
                self.state = self.line(&line)?;
            }
        }
        Ok(())
    }

    /// What follows a line.
    fn line(&mut self, line: &str) -> Answer<State> {
        let broken = || Refusal::incomplete("The chunked body is broken.");
        match self.state {
            State::Head => {
                let (size, extension) = line.split_once(';').unwrap_or((line, ""));
                let size = u64::from_str_radix(size.trim(), 16).map_err(|_| broken())?;
                self.signature = extension.strip_prefix("chunk-signature=").unwrap_or_default().to_owned();
                self.hash = Context::new(&SHA256);
                if size > 0 {
                    return Ok(State::Data(size));
                }
                self.check_chunk()?;
                Ok(State::Trailer)
            }
            State::Gap if line.is_empty() => {
                self.check_chunk()?;
                Ok(State::Head)
            }
            State::Trailer if line.is_empty() => {
                self.check_trailers()?;
                Ok(State::Done)
            }
            State::Trailer => {
                let (name, value) = line.split_once(':').ok_or_else(broken)?;
                self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                Ok(State::Trailer)
            }
            State::Gap | State::Data(_) | State::Done => Err(broken()),
        }
    }

    fn check_chunk(&mut self) -> Answer<()> {
        let hash = std::mem::replace(&mut self.hash, Context::new(&SHA256)).finish();
        match &mut self.signer {
            Some(signer) => {
                signer.check("PAYLOAD", &format!("{}\n{}", sha256(b""), hex(hash.as_ref())), &self.signature)
            }
            None => Ok(()),
        }
    }

    fn check_trailers(&mut self) -> Answer<()> {
        let signature =
            self.trailers.iter().find(|(name, _)| name == "x-amz-trailer-signature").map(|(_, value)| value.clone());
        self.trailers.retain(|(name, _)| name != "x-amz-trailer-signature");
        let Some(signer) = self.signer.as_mut().filter(|_| !self.trailers.is_empty()) else { return Ok(()) };
        let text: String = self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let given = signature.ok_or_else(|| Refusal::wrong_signature("The trailer is not signed."))?;
        signer.check("TRAILER", &sha256(text.as_bytes()), &given)
    }

    /// Whether the last chunk was there. Some clients leave out the empty line after it.
    pub fn is_complete(&mut self) -> Answer<bool> {
        if self.state == State::Trailer && self.line.is_empty() {
            self.check_trailers()?;
            self.state = State::Done;
        }
        Ok(self.state == State::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_signed_in_the_order_of_its_names() {
        let check = |given: &str, expected: &str| {
            let (query, headers) = (query(given), HeaderMap::new());
            let request = Signed { method: "GET", path: "/a b", query: &query, headers: &headers };
            let text = canonical(&request, &[], given.contains("X-Amz-Signature"), "hash");
            assert_eq!(text.lines().collect::<Vec<_>>(), ["GET", "/a%20b", expected, "", "", "hash"], "{given}");
        };
        check("select&select-type=2", "select=&select-type=2");
        check("select-type=2&select", "select=&select-type=2");
        check("b=2&a=%2F+x&b=1", "a=%2F%20x&b=1&b=2");
        check("X-Amz-Signature=0&X-Amz-Date=1", "X-Amz-Date=1");
    }
}
