//! A client of registries: <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md>. Who a user is comes
//! from the files that `docker login` and `podman login` write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use andon_schema::Failure;
use serde_json::Value as Json;
use ureq::http::{Response, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

use super::login::{Login, Logins, is_hub};
use super::{MANIFEST, OciImage, Reference, digest_of, length};
use crate::Digest;
use crate::patience::{Counting, Flowing, GaveUp, Patience, stopped};

/// The largest manifest or configuration: the most that registries take.
const LARGEST_PAGE: u64 = 4 << 20;

/// How long a registry may say nothing: some look through a large layer before they answer.
const SILENCE: Duration = Duration::from_secs(120);

/// How long to wait before a registry is asked again that is busy or lost what it was asked, where it does not say so.
const WAITS: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// The longest that a registry may have this client wait: past it, whoever bakes is told.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is said where a registry has no image of a name.
pub(crate) const NOT_THERE: &str = "the registry does not have it";

/// A client of registries.
#[derive(Debug)]
pub struct Registries {
    agent: Agent,
    /// By registry, name and whether something is written there: what the registry wants to see.
    passes: Mutex<BTreeMap<(String, String), String>>,
    logins: Logins,
    patience: Patience,
}

/// What is asked of a registry.
pub(super) enum Asked<'a> {
    Get(&'a str),
    /// What may be large: it is read as it comes.
    Blob,
    Head,
    Post,
    Put {
        media_type: &'a str,
        bytes: &'a [u8],
    },
    PutFile {
        path: &'a Path,
        bytes: u64,
    },
}

/// Why there is no answer.
enum Lost {
    /// The connection ended: another try may do.
    OnTheWay(Failure),
    Final(Failure),
}

impl Lost {
    fn failure(self) -> Failure {
        match self {
            Lost::OnTheWay(failure) | Lost::Final(failure) => failure,
        }
    }
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Lost {
        Lost::Final(failure)
    }
}

impl Registries {
    /// A client that trusts whom this machine trusts.
    pub fn new() -> Registries {
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<Certificate<'static>> =
            roots.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
        let roots = if roots.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&roots) };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_connect(Some(Duration::from_secs(10)))
            .user_agent(concat!("andon/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let patience = Patience { interrupt: Arc::default(), silence: SILENCE };
        Registries { agent, passes: Mutex::default(), logins: Logins::of_user(), patience }
    }

    /// The same, ending at once what goes on when this is set.
    #[must_use]
    pub fn interrupted_by(mut self, interrupt: Arc<AtomicBool>) -> Registries {
        self.patience.interrupt = interrupt;
        self
    }

    /// The same, giving up on a registry that says nothing for so long.
    #[must_use]
    pub fn giving_up_after(mut self, silence: Duration) -> Registries {
        self.patience.silence = silence;
        self
    }

    /// Sends an image: first what it lacks there, then its name.
    pub fn push(&self, image: &OciImage, to: &Reference, log: &mut dyn FnMut(&str)) -> Result<(), Failure> {
        for (number, blob) in image.layers.iter().enumerate() {
            if !self.has(to, &blob.digest)? {
                image.must_be_whole(blob)?;
                log(&format!("sending layer {} of {} to {}", number + 1, image.layers.len(), to.registry));
                self.upload(to, &blob.digest, &Asked::PutFile { path: &blob.path, bytes: blob.bytes })?;
            }
        }
        let config = digest_of(&image.config);
        if !self.has(to, &config)? {
            self.upload(to, &config, &Asked::Put { media_type: "application/octet-stream", bytes: &image.config })?;
        }
        let url = self.url(to, &format!("manifests/{}", to.tag));
        let answer = self.ask(to, &url, &Asked::Put { media_type: MANIFEST, bytes: &image.manifest })?;
        expect(to, answer, &[201]).map(drop)
    }

    /// A manifest or an index, with its media type and its digest.
    pub(crate) fn manifest(&self, from: &Reference, wanted: &str) -> Result<(String, Vec<u8>, Digest), Failure> {
        let accepted = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
            application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
        let url = self.url(from, &format!("manifests/{wanted}"));
        let mut answer = expect(from, self.ask(from, &url, &Asked::Get(accepted))?, &[200])?;
        let kind = text(&answer, header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let bytes = page(from, &mut answer)?;
        let digest = digest_of(&bytes);
        if wanted.starts_with("sha256:") && wanted != digest.as_str() {
            return Err(damaged(from, wanted));
        }
        Ok((kind.split(';').next().unwrap_or_default().trim().to_owned(), bytes, digest))
    }

    /// Reads a blob. What comes is not checked yet.
    pub(crate) fn blob(&self, from: &Reference, digest: &Digest) -> Result<impl Read + use<>, Failure> {
        let url = self.url(from, &format!("blobs/{digest}"));
        let answer = expect(from, self.ask(from, &url, &Asked::Blob)?, &[200])?;
        let body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        Flowing::new(body, self.patience.clone()).map_err(|error| unreachable(from, &error.to_string()))
    }

    pub(super) fn has(&self, there: &Reference, digest: &Digest) -> Result<bool, Failure> {
        let url = self.url(there, &format!("blobs/{digest}"));
        Ok(expect(there, self.ask(there, &url, &Asked::Head)?, &[200, 404])?.status() == 200)
    }

    pub(super) fn upload(&self, to: &Reference, digest: &Digest, what: &Asked<'_>) -> Result<(), Failure> {
        // A registry forgets what it was sent halfway: it is asked for another place.
        let answer = self.persistently(|| {
            let begun = expect(to, self.ask(to, &self.url(to, "blobs/uploads/"), &Asked::Post)?, &[202])?;
            let place = text(&begun, header::LOCATION.as_str()).ok_or_else(|| {
                Failure::new("the registry refused", format!("{} does not say where to send a layer.", to.registry))
            })?;
            let place = match place.starts_with('/') {
                true => format!("{}{place}", root(to)),
                false => place,
            };
            let mark = if place.contains('?') { '&' } else { '?' };
            self.ask_once(to, &format!("{place}{mark}digest={}", digest.as_str().replace(':', "%3A")), what)
        })?;
        expect(to, answer, &[201]).map(drop)
    }

    pub(super) fn url(&self, of: &Reference, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", root(of), path_of(of))
    }

    /// Asks, and again where the registry is busy.
    pub(super) fn ask(&self, of: &Reference, url: &str, asked: &Asked<'_>) -> Result<Response<Body>, Failure> {
        self.persistently(|| self.ask_once(of, url, asked))
    }

    /// Tries again what a registry that is busy, or a connection that ended, did not let be done.
    fn persistently(
        &self,
        mut attempt: impl FnMut() -> Result<Response<Body>, Lost>,
    ) -> Result<Response<Body>, Failure> {
        for wait in WAITS {
            let wait = match attempt() {
                Ok(answer) if [429, 500, 502, 503, 504].contains(&answer.status().as_u16()) => {
                    match retry_after(&answer).unwrap_or(wait) {
                        wait if wait > LONGEST_WAIT => return Ok(answer),
                        wait => wait,
                    }
                }
                Err(Lost::OnTheWay(_)) => wait,
                done => return done.map_err(Lost::failure),
            };
            self.patience.pause(wait)?;
        }
        attempt().map_err(Lost::failure)
    }

    /// Asks, and once more with what the registry says it wants to see.
    fn ask_once(&self, of: &Reference, url: &str, asked: &Asked<'_>) -> Result<Response<Body>, Lost> {
        let writes = !matches!(asked, Asked::Get(_) | Asked::Blob | Asked::Head);
        let key = (of.registry.clone(), format!("{}{}", of.name, if writes { " push" } else { "" }));
        let pass = self.passes.lock().ok().and_then(|passes| passes.get(&key).cloned());
        let answer = self.send(of, url, asked, pass.as_deref())?;
        if answer.status() != 401 {
            return Ok(answer);
        }
        let wants = text(&answer, header::WWW_AUTHENTICATE.as_str()).unwrap_or_default();
        let Some(pass) = self.pass(of, &wants, writes)? else { return Ok(answer) };
        if let Ok(mut passes) = self.passes.lock() {
            passes.insert(key, pass.clone());
        }
        self.send(of, url, asked, Some(&pass))
    }

    fn send(&self, of: &Reference, url: &str, asked: &Asked<'_>, pass: Option<&str>) -> Result<Response<Body>, Lost> {
        // A place that the registry names may be elsewhere: that is not told who asks.
        let pass = pass.filter(|_| url.starts_with(&format!("{}/", root(of))));
        let agent = &self.agent;
        match asked {
            Asked::Get(accepted) => {
                let request = with(agent.get(url).header("accept", *accepted), pass);
                self.patiently(of, move || whole(request.call()?))
            }
            Asked::Blob => {
                let request = with(agent.get(url).header("accept", "*/*"), pass);
                self.patiently(of, move || match request.call()? {
                    answer if answer.status() == 200 => Ok(answer),
                    answer => whole(answer),
                })
            }
            Asked::Head => {
                let request = with(agent.head(url), pass);
                self.patiently(of, move || request.call())
            }
            Asked::Post => {
                let request = with(agent.post(url).header("content-length", "0"), pass);
                self.patiently(of, move || whole(request.send_empty()?))
            }
            Asked::Put { media_type, bytes } => {
                let request = with(agent.put(url).header("content-type", *media_type), pass);
                let bytes = bytes.to_vec();
                self.patiently(of, move || whole(request.send(&*bytes)?))
            }
            Asked::PutFile { path, bytes } => {
                let file = File::open(path).map_err(|error| {
                    Failure::new("a layer cannot be read", format!("Cannot read {}: {error}.", path.display()))
                })?;
                let request = agent.put(url).header("content-type", "application/octet-stream");
                let request = with(request.header("content-length", bytes.to_string()), pass);
                let moved = Arc::new(AtomicU64::new(0));
                let body = Counting { from: file, moved: Arc::clone(&moved) };
                let sent = move || whole(request.send(SendBody::from_owned_reader(body))?);
                came(of, self.patience.wait(&moved, sent))
            }
        }
    }

    /// Waits for an answer no longer than somebody wants it.
    fn patiently(
        &self,
        of: &Reference,
        work: impl FnOnce() -> Result<Response<Body>, ureq::Error> + Send + 'static,
    ) -> Result<Response<Body>, Lost> {
        came(of, self.patience.wait(&AtomicU64::new(0), work))
    }

    /// What a registry wants to see: a token of the place that it names, or a name and a password.
    fn pass(&self, of: &Reference, wants: &str, writes: bool) -> Result<Option<String>, Failure> {
        let login = self.logins.find(&of.registry)?;
        let Some(parts) = wants.strip_prefix("Bearer ").or_else(|| wants.strip_prefix("bearer ")) else {
            return Ok(match login {
                Some(Login::Basic(login)) => Some(format!("Basic {login}")),
                Some(Login::Refresh(token)) => Some(format!("Bearer {token}")),
                None => None,
            });
        };
        let parts = parameters(parts);
        let Some(realm) = parts.get("realm") else { return Ok(None) };
        let scope = match parts.get("scope") {
            Some(scope) => scope.clone(),
            None => format!("repository:{}:{}", path_of(of), if writes { "pull,push" } else { "pull" }),
        };
        let service = parts.get("service").map(|service| ("service", service.as_str()));
        let answer = match login {
            // <https://distribution.github.io/distribution/spec/auth/oauth/>
            Some(Login::Refresh(token)) => {
                let form = [("grant_type", "refresh_token"), ("client_id", "andon"), ("scope", &scope)];
                let form = form.into_iter().chain([("refresh_token", token.as_str())]).chain(service);
                let form: Vec<(&str, String)> = form.map(|(name, value)| (name, value.to_owned())).collect();
                let request = self.agent.post(realm);
                self.patiently(of, move || whole(request.send_form(form)?))
            }
            login => {
                let request = self.agent.get(realm).query("scope", scope);
                let request = service.into_iter().fold(request, |it, (name, value)| it.query(name, value));
                let login = login.and_then(|login| match login {
                    Login::Basic(login) => Some(format!("Basic {login}")),
                    Login::Refresh(_) => None,
                });
                let request = with(request, login.as_deref());
                self.patiently(of, move || whole(request.call()?))
            }
        };
        let mut answer = expect(of, answer.map_err(Lost::failure)?, &[200])?;
        let json: Json = serde_json::from_slice(&page(of, &mut answer)?).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|name| json.get(*name)?.as_str());
        Ok(token.map(|token| format!("Bearer {token}")))
    }
}

impl Default for Registries {
    fn default() -> Registries {
        Registries::new()
    }
}

/// What came of a request.
fn came(of: &Reference, came: Result<Result<Response<Body>, ureq::Error>, GaveUp>) -> Result<Response<Body>, Lost> {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match came {
        Ok(answer) => answer.map_err(|error| {
            let failure = unreachable(of, &error.to_string());
            match error {
                ureq::Error::Io(error)
                    if [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind()) =>
                {
                    Lost::OnTheWay(failure)
                }
                _ => Lost::Final(failure),
            }
        }),
        Err(GaveUp::Stopped) => Err(stopped().into()),
        Err(why) => Err(unreachable(of, &why.to_string()).into()),
    }
}

/// How long a registry says to wait, where it says so in seconds.
fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    text(answer, header::RETRY_AFTER.as_str())?.trim().parse().ok().map(Duration::from_secs)
}

/// An answer with all of its page, so that nobody waits for that any more.
fn whole(answer: Response<Body>) -> Result<Response<Body>, ureq::Error> {
    let (parts, body) = answer.into_parts();
    let bytes = body.into_with_config().limit(LARGEST_PAGE).read_to_vec()?;
    Ok(Response::from_parts(parts, Body::builder().data(bytes)))
}

/// Where a registry answers: in the clear only on this machine.
fn root(of: &Reference) -> String {
    let host = of.registry.rsplit_once(':').map_or(&*of.registry, |(host, _)| host);
    let is_here = host == "localhost"
        || host == "[::1]"
        || (host.starts_with("127.") && host.parse::<std::net::Ipv4Addr>().is_ok());
    // The name that everybody writes answers browsers.
    let host = if is_hub(&of.registry) { "registry-1.docker.io" } else { &of.registry };
    format!("{}://{host}", if is_here { "http" } else { "https" })
}

/// The name that a registry knows an image by.
fn path_of(of: &Reference) -> String {
    match is_hub(&of.registry) && !of.name.contains('/') {
        true => format!("library/{}", of.name),
        false => of.name.clone(),
    }
}

fn with<B>(request: ureq::RequestBuilder<B>, pass: Option<&str>) -> ureq::RequestBuilder<B> {
    match pass {
        Some(pass) => request.header("authorization", pass),
        None => request,
    }
}

/// `realm="…",service="…"` as names and values.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name.trim_matches([' ', ',']).to_ascii_lowercase(), value.to_owned());
        rest = after;
    }
    found
}

pub(super) fn text(answer: &Response<Body>, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}

pub(super) fn page(of: &Reference, answer: &mut Response<Body>) -> Result<Vec<u8>, Failure> {
    answer
        .body_mut()
        .with_config()
        .limit(LARGEST_PAGE)
        .read_to_vec()
        .map_err(|error| unreachable(of, &error.to_string()))
}

/// The answer, if its status is one of these; else what the registry says.
pub(super) fn expect(of: &Reference, mut answer: Response<Body>, statuses: &[u16]) -> Result<Response<Body>, Failure> {
    let status = answer.status().as_u16();
    if statuses.contains(&status) {
        return Ok(answer);
    }
    let said = page(of, &mut answer).unwrap_or_default();
    let json: Json = serde_json::from_slice(&said).unwrap_or_default();
    let said = json.get("errors").and_then(|errors| errors.get(0)).and_then(|error| error.get("message"));
    let said = said.and_then(Json::as_str).map(|said| format!(": {said}")).unwrap_or_default();
    let Reference { registry, name, .. } = of;
    Err(match status {
        401 | 403 => {
            Failure::new("the registry does not let this user in", format!("{registry} refuses `{name}`{said}."))
                .help(format!("Log in: `podman login {registry}` or `docker login {registry}`."))
        }
        404 => Failure::new(NOT_THERE, format!("{registry} has no `{of}`{said}.")),
        status => Failure::new("the registry refused", format!("{registry} answers {status} of `{name}`{said}.")),
    })
}

fn unreachable(of: &Reference, why: &str) -> Failure {
    Failure::new("the registry cannot be reached", format!("{}: {why}.", root(of)))
        .help("Check its name and the network; a registry on this machine is asked by http, others by https.")
}

fn damaged(of: &Reference, digest: &str) -> Failure {
    Failure::new("what the registry sent is damaged", format!("{of} is not what the digest {digest} names."))
}

/// Says that what was read is not what was asked for.
pub(crate) fn refuse(of: &Reference, digest: &Digest) -> Failure {
    damaged(of, digest.as_str())
}

/// Bytes of a blob, up to the size that its manifest says.
pub(crate) fn read_all(mut from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.by_ref().take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match length(&bytes) > most {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "more came than was announced")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_wants_is_read() {
        let found = parameters(r#"realm="https://a/token",service="r.example", scope="repository:a/b:pull,push""#);
        assert_eq!(found["realm"], "https://a/token");
        assert_eq!(found["scope"], "repository:a/b:pull,push");
        assert_eq!(parameters("realm=x")["realm"], "x");
        assert!(parameters("nonsense").is_empty());
    }

    #[test]
    fn only_this_machine_is_asked_in_the_clear() {
        let root = |text: &str| super::root(&Reference::parse(text).unwrap());
        assert_eq!(root("127.0.0.1:5000/a"), "http://127.0.0.1:5000");
        assert_eq!(root("localhost:5000/a"), "http://localhost:5000");
        assert_eq!(root("127.evil.example/a"), "https://127.evil.example");
        assert_eq!(root("r.example/a"), "https://r.example");
        assert_eq!(root("docker.io/library/alpine"), "https://registry-1.docker.io");
        let path = |text: &str| path_of(&Reference::parse(text).unwrap());
        assert_eq!((path("docker.io/alpine"), path("r.example/alpine")), ("library/alpine".into(), "alpine".into()));
    }
}
