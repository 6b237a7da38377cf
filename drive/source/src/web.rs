use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use andon_schema::source::public_url;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::FetchError;
use crate::host::Hosts;
use crate::url;

/// The largest archive that is fetched.
const LARGEST_DOWNLOAD_MEBIBYTES: u64 = 1024;

/// The largest answer of a registry or a page.
const LARGEST_PAGE_MEBIBYTES: u64 = 16;

/// Waits before the second and the third try.
const WAITS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1500)];

/// Told how far a download is: bytes so far, and in all where that is known.
pub type Progress<'p> = &'p (dyn Fn(u64, Option<u64>) + Sync);

/// Where services of hosts are, by host and name of the service.
type Discovered = Mutex<BTreeMap<(String, &'static str), Arc<OnceLock<String>>>>;

/// A client of web servers and registries, for any number of threads.
pub struct Web {
    agent: ureq::Agent,
    pub(crate) hosts: Hosts,
    pub(crate) interrupt: Arc<AtomicBool>,
    pub(crate) discovered: Discovered,
}

/// A whole answer.
pub(crate) struct Answer {
    pub status: u16,
    /// The address that answered, after redirects.
    pub url: String,
    /// What `X-Terraform-Get` says.
    pub elsewhere: Option<String>,
    pub body: Vec<u8>,
}

impl Web {
    /// A client that takes proxies from the environment, and roots of trust from the machine: from `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` where they are set. It gives up soon after `interrupt` is set.
    pub fn new(hosts: Hosts, interrupt: Arc<AtomicBool>) -> Web {
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<Certificate<'static>> =
            roots.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
        // A machine without any has those that come with the program.
        let roots = if roots.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&roots) };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(30)))
            .user_agent(concat!("andon/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Web { agent, hosts, interrupt, discovered: Mutex::default() }
    }

    /// Reads a page. A status of 400 and more is an error, save those in `allowed`.
    pub(crate) fn page(
        &self,
        address: &str,
        authorization: Option<&str>,
        allowed: &[u16],
    ) -> Result<Answer, FetchError> {
        self.tried(|| {
            let mut response = self.ask(address, authorization, None)?;
            let status = response.status().as_u16();
            if status >= 400 && !allowed.contains(&status) {
                return Err(FetchError::Refused { url: public_url(address), status });
            }
            let url = ureq::ResponseExt::get_uri(&response).to_string();
            let elsewhere = response.headers().get("x-terraform-get").and_then(|it| it.to_str().ok());
            let elsewhere = elsewhere.filter(|it| !it.trim().is_empty()).map(|it| it.trim().to_owned());
            let mut body = Vec::new();
            let reader = response.body_mut().with_config().limit(u64::MAX).reader();
            self.copy(address, reader, &mut body, LARGEST_PAGE_MEBIBYTES, &|_| {})?;
            Ok(Answer { status, url, elsewhere, body })
        })
    }

    /// Writes what is at an address to a file.
    pub(crate) fn download(&self, address: &str, to: &Path, progress: Progress<'_>) -> Result<(), FetchError> {
        let (address, user) = url::take_user(address);
        let user = user.or_else(|| crate::netrc::user_of(url::host(&address)).map(|user| url::basic(&user)));
        self.download_as(&address, user, to, progress)
    }

    /// Writes what is at an address to a file, as somebody.
    pub(crate) fn download_as(
        &self,
        address: &str,
        authorization: Option<String>,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<(), FetchError> {
        self.write(address, authorization.as_deref(), None, to, progress).map(drop)
    }

    /// Writes what is at an address to a file, unless it is still what `mark` was given for, and gives the mark of what
    /// it is now: an entity tag or a date; empty where the server says neither.
    pub(crate) fn download_newer(
        &self,
        address: &str,
        mark: Option<&str>,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<Option<String>, FetchError> {
        let (address, user) = url::take_user(address);
        let user = user.or_else(|| crate::netrc::user_of(url::host(&address)).map(|user| url::basic(&user)));
        self.write(&address, user.as_deref(), mark, to, progress)
    }

    fn write(
        &self,
        address: &str,
        authorization: Option<&str>,
        mark: Option<&str>,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<Option<String>, FetchError> {
        self.tried(|| {
            let mut response = self.ask(address, authorization, mark)?;
            let status = response.status().as_u16();
            if status == 304 && mark.is_some() {
                return Ok(None);
            }
            if !(200..300).contains(&status) {
                return Err(FetchError::Refused { url: public_url(address), status });
            }
            let said =
                |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let found = said("etag").or_else(|| said("last-modified")).unwrap_or_default();
            let length = response.body().content_length();
            let mut file = File::create(to).map_err(FetchError::file(to))?;
            let reader = response.body_mut().with_config().limit(u64::MAX).reader();
            let told = |bytes: u64| progress(bytes, length);
            let copied = self.copy(address, reader, &mut file, LARGEST_DOWNLOAD_MEBIBYTES, &told)?;
            if length.is_some_and(|length| length != copied) {
                let why = "the connection ended too early".to_owned();
                return Err(FetchError::Unreachable { url: public_url(address), why });
            }
            Ok(Some(found))
        })
    }

    /// Asks for what is at an address; with a mark, only for what is newer: an entity tag has quotes, a date has none.
    fn ask(
        &self,
        address: &str,
        authorization: Option<&str>,
        mark: Option<&str>,
    ) -> Result<ureq::http::Response<ureq::Body>, FetchError> {
        let mut request = self.agent.get(address);
        if let Some(mark) = mark.filter(|mark| !mark.starts_with("sha256:")) {
            let name = if mark.ends_with('"') { "if-none-match" } else { "if-modified-since" };
            request = request.header(name, mark);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request.call().map_err(|error| unreachable(address, &error))
    }

    fn copy(
        &self,
        address: &str,
        mut from: impl Read,
        to: &mut impl Write,
        limit_mebibytes: u64,
        progress: &dyn Fn(u64),
    ) -> Result<u64, FetchError> {
        let broken =
            |error: std::io::Error| FetchError::Unreachable { url: public_url(address), why: error.to_string() };
        let mut buffer = vec![0; 64 << 10];
        let mut copied = 0u64;
        loop {
            self.check()?;
            let read = from.read(&mut buffer).map_err(broken)?;
            if read == 0 {
                return Ok(copied);
            }
            copied += read as u64;
            if copied > limit_mebibytes << 20 {
                return Err(FetchError::TooLarge { what: public_url(address), limit_mebibytes });
            }
            to.write_all(buffer.get(..read).unwrap_or_default()).map_err(broken)?;
            progress(copied);
        }
    }

    /// Tries up to three times, where trying again may help.
    fn tried<T>(&self, once: impl Fn() -> Result<T, FetchError>) -> Result<T, FetchError> {
        for wait in WAITS {
            self.check()?;
            match once() {
                Err(error) if error.is_passing() => self.wait(wait)?,
                outcome => return outcome,
            }
        }
        self.check()?;
        once()
    }

    fn wait(&self, time: Duration) -> Result<(), FetchError> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.check()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), FetchError> {
        if self.interrupt.load(Ordering::Relaxed) { Err(FetchError::Interrupted) } else { Ok(()) }
    }
}

fn unreachable(address: &str, error: &ureq::Error) -> FetchError {
    let url = public_url(address);
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            FetchError::Odd { url, why: "this is no URL that can be asked for".to_owned() }
        }
        ureq::Error::TooManyRedirects => {
            FetchError::Odd { url, why: "it leads from one address to the next".to_owned() }
        }
        ureq::Error::Io(error) if error.to_string().contains("certificate") => {
            FetchError::Untrusted { url, why: error.to_string() }
        }
        ureq::Error::Io(error) => FetchError::Unreachable { url, why: error.to_string() },
        ureq::Error::HostNotFound => FetchError::Unreachable { url, why: "there is no such host".to_owned() },
        error => FetchError::Unreachable { url, why: error.to_string() },
    }
}
