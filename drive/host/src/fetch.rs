//! Bytes that a server gets itself: from a file of its own, or from a web server.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use andon_schema::host::Origin;
use sha2::{Digest, Sha256};
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::files::{hexadecimal, open};
use crate::names;

/// The largest file that is got from a web server.
const LARGEST_MEBIBYTES: u64 = 16 * 1024;

/// The waits before further tries.
const WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// Writes bytes to an empty file, from where they are.
pub(crate) fn fetch(from: &Origin, to: &mut File) -> Result<(), String> {
    match from {
        Origin::Bytes(bytes) => to.write_all(&bytes.0).map_err(|error| format!("a file could not be written: {error}")),
        Origin::Path(path) => {
            let mut file = open(path).map_err(|error| format!("{path} could not be read: {error}"))?;
            std::io::copy(&mut file, to).map_err(|error| format!("{path} could not be copied: {error}")).map(|_| ())
        }
        Origin::Url { url, headers, sha256, timeout_ms } => {
            let deadline = Instant::now() + Duration::from_millis(*timeout_ms);
            let mut asked = download(url, &headers.0, deadline, to);
            for wait in WAITS {
                if !matches!(asked, Err(Failure::Passing(_))) || Instant::now() + wait >= deadline {
                    break;
                }
                std::thread::sleep(wait);
                asked = download(url, &headers.0, deadline, to);
            }
            let digest = asked.map_err(|(Failure::Passing(why) | Failure::Final(why))| {
                format!("{} could not be fetched: {why}", public(url))
            })?;
            match sha256 {
                Some(wanted) if !wanted.eq_ignore_ascii_case(&digest) => {
                    Err(format!("what {} gives has the SHA-256 {digest}, and {wanted} was asked for", public(url)))
                }
                _ => Ok(()),
            }
        }
    }
}

/// An address without what may be secret of it: a user, and what is asked.
fn public(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let at = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(at);
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => bare.to_owned(),
    }
}

enum Failure {
    /// Another try may do.
    Passing(String),
    Final(String),
}

/// Writes what is at an address to a file from its beginning, and gives the SHA-256.
fn download(
    url: &str,
    headers: &[(std::sync::Arc<str>, std::sync::Arc<str>)],
    deadline: Instant,
    to: &mut File,
) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Final(error.to_string());
    to.set_len(0).and_then(|()| to.seek(SeekFrom::Start(0))).map_err(failed)?;
    let agent = agent(deadline, Trust::default());
    let mut request = agent.get(url);
    for (name, value) in headers {
        request = request.header(&**name, &**value);
    }
    let mut response = request.call().map_err(|error| match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::Final("this is no address to be asked".to_owned()),
        ureq::Error::HostNotFound => Failure::Passing("there is no such host".to_owned()),
        ureq::Error::Timeout(_) => Failure::Final("it took too long".to_owned()),
        error => distrust(&error).map_or_else(|| Failure::Passing(error.to_string()), Failure::Final),
    })?;
    let status = response.status().as_u16();
    if !(200..300).contains(&status) {
        let answer = format!("the server answers {status}");
        return Err(if status >= 500 || status == 429 { Failure::Passing(answer) } else { Failure::Final(answer) });
    }
    let length = response.body().content_length();
    let mut reader = response.body_mut().with_config().limit(LARGEST_MEBIBYTES << 20).reader();
    let mut hash = Sha256::new();
    let (mut buffer, mut copied) = ([0; 64 * 1024], 0_u64);
    loop {
        let read = reader.read(&mut buffer).map_err(|error| Failure::Passing(error.to_string()))?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        hash.update(piece);
        to.write_all(piece).map_err(failed)?;
        copied += read as u64;
    }
    if length.is_some_and(|length| length != copied) {
        return Err(Failure::Passing("the connection ended too early".to_owned()));
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// Why the certificate of the other side is not trusted; `None` where something else is wrong.
fn distrust(error: &ureq::Error) -> Option<String> {
    let said = format!("{error:?}");
    let reasons = [
        ("UnknownIssuer", "is of an authority that this server does not trust: add that to its own, in /etc/ssl/certs"),
        ("CaUsedAsEndEntity", "is that of an authority, and no server's"),
        ("Expired", "has expired"),
        ("NotValidYet", "is not valid yet; look at this server's clock"),
        ("NotValidForName", "is for another name"),
        ("InvalidCertificate", "cannot be trusted"),
    ];
    let (_, reason) = reasons.into_iter().find(|(word, _)| said.contains(word))?;
    Some(format!("the certificate that it shows {reason}"))
}

/// How far others are trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trust {
    /// How many redirects are followed.
    pub redirects: u32,
    /// The certificate of the other side must be trusted.
    pub verify: bool,
}

impl Default for Trust {
    fn default() -> Trust {
        Trust { redirects: 10, verify: true }
    }
}

/// A client that trusts what the server trusts, and what comes with the program where it trusts nobody.
pub(crate) fn agent(deadline: Instant, trust: Trust) -> ureq::Agent {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<Certificate<'static>> =
        roots.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    let roots = if roots.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&roots) };
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(trust.redirects)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).disable_verification(!trust.verify).build())
        .timeout_global(Some(left))
        .timeout_connect(Some(Duration::from_secs(20)))
        .user_agent(concat!("andon/", env!("CARGO_PKG_VERSION")))
        .build();
    ureq::Agent::with_parts(config, DefaultConnector::default(), Names { deadline })
}

/// Names are looked up by hand; see [`names`].
#[derive(Debug)]
struct Names {
    deadline: Instant,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let found =
            names::addresses(host, self.deadline).map_err(|reason| ureq::Error::Io(std::io::Error::other(reason)))?;
        let mut addresses = self.empty();
        found.into_iter().take(16).for_each(|address| addresses.push(SocketAddr::new(address, port)));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("https://me:pass@a.test/x?token=1", "https://a.test/x"),
            ("http://a.test#x", "http://a.test"),
            ("https://a.test/a@b", "https://a.test/a@b"),
        ] {
            assert_eq!(public(url), shown);
        }
    }
}
