//! The few calls of the Docker Engine API that are made here, over a socket or a connection. An answer is read as the JSON that
//! it is: engines differ in what they put beside what is asked for here, and each may add to it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long an engine may take until it answers.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it may say nothing in the middle of an answer that goes on: a large layer is unpacked without a word.
const SILENCE: Duration = Duration::from_secs(600);
/// How often it is asked whether such an answer is still wanted.
const TICK: Duration = Duration::from_millis(100);
/// The longest answer that is read.
const ANSWER_LIMIT: usize = 64 << 20;

/// An engine that answers.
pub(crate) struct Api {
    host: String,
    /// What it speaks at most: `1.41`.
    version: String,
}

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug)]
pub(crate) enum Error {
    /// This user may not speak to the engine.
    Denied(String),
    /// The engine cannot be reached, or went away. Whether it did what it was told is not known.
    Unreachable(String),
    /// It refuses.
    Refused(StatusCode, String),
    /// The user asked for an end meanwhile.
    Stopped,
}

impl Api {
    /// Asks an engine what it speaks. `host` is `unix://PATH` or `tcp://HOST:PORT`.
    pub async fn connect(host: &str) -> Result<Api, Error> {
        let unversioned = Api { host: host.to_owned(), version: String::new() };
        let version = unversioned.get("/version", &[]).await?;
        let version = version.get("ApiVersion").and_then(Json::as_str).unwrap_or("1.41").to_owned();
        Ok(Api { version, ..unversioned })
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Json, Error> {
        self.call(Method::GET, path, query, None).await
    }

    pub async fn post(&self, path: &str, query: &[(&str, &str)], body: Option<&Json>) -> Result<Json, Error> {
        self.call(Method::POST, path, query, body).await
    }

    pub async fn delete(&self, path: &str, query: &[(&str, &str)]) -> Result<Json, Error> {
        self.call(Method::DELETE, path, query, None).await
    }

    /// The answer as bytes.
    pub async fn bytes(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
        let answer = self.send(Method::GET, path, query, None).await?;
        whole(answer.into_body()).await
    }

    /// An order whose answer is many texts of JSON, a line each, as it goes on. It ends, as the engine sees that nobody
    /// listens any more, where `interrupt` is set.
    pub async fn follow(
        &self,
        path: &str,
        query: &[(&str, &str)],
        interrupt: &AtomicBool,
        mut each: impl FnMut(&Json),
    ) -> Result<(), Error> {
        let answer = wanted(self.send(Method::POST, path, query, None), interrupt, PATIENCE).await??;
        let mut body = answer.into_body();
        let mut rest = Vec::new();
        loop {
            let frame = wanted(body.frame(), interrupt, SILENCE).await?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| Error::Unreachable(error.to_string()))?;
            rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if let Ok(json) = serde_json::from_slice(&line) {
                    each(&json);
                }
            }
            if rest.len() > ANSWER_LIMIT {
                return Err(Error::Unreachable("it answers without an end".to_owned()));
            }
        }
        if let Ok(json) = serde_json::from_slice(&rest) {
            each(&json);
        }
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Json, Error> {
        let answer = self.send(method, path, query, body).await?;
        let text = whole(answer.into_body()).await?;
        if text.is_empty() {
            return Ok(Json::Null);
        }
        serde_json::from_slice(&text).map_err(|error| Error::Unreachable(format!("its answer is no JSON: {error}")))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Response<Incoming>, Error> {
        let version = if self.version.is_empty() { String::new() } else { format!("/v{}", self.version) };
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let text = body.map(Json::to_string).unwrap_or_default();
        let request = Request::builder().method(method).uri(format!("{version}{path}{query}")).header("host", "engine");
        let request = if body.is_some() { request.header("content-type", "application/json") } else { request };
        let request =
            request.body(Full::new(Bytes::from(text))).map_err(|error| Error::Unreachable(error.to_string()))?;
        let answer = async {
            match self.host.strip_prefix("unix://") {
                Some(path) => {
                    let stream = UnixStream::connect(path).await.map_err(Error::of_connecting)?;
                    exchange(stream, request).await
                }
                None => {
                    let (_, address) = self.host.split_once("://").unwrap_or(("", &self.host));
                    let address = address.trim_end_matches('/');
                    let stream = TcpStream::connect(address).await.map_err(Error::of_connecting)?;
                    exchange(stream, request).await
                }
            }
        };
        let answer = timeout(PATIENCE, answer).await.map_err(|_| Error::silent(PATIENCE))??;
        let status = answer.status();
        // What is as it should be already is answered with 304.
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let said = whole(answer.into_body()).await?;
        let message =
            serde_json::from_slice(&said).ok().and_then(|json: Json| Some(json.get("message")?.as_str()?.to_owned()));
        Err(Error::Refused(status, message.unwrap_or_else(|| String::from_utf8_lossy(&said).trim().to_owned())))
    }
}

impl Error {
    fn silent(limit: Duration) -> Error {
        Error::Unreachable(format!("it says nothing for {} s", limit.as_secs()))
    }

    fn of_connecting(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Error::Denied(error.to_string()),
            _ => Error::Unreachable(error.to_string()),
        }
    }

    /// Whether the engine has no such thing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Error::Refused(StatusCode::NOT_FOUND, _))
    }

    /// What was said, as a sentence.
    pub fn sentence(&self) -> String {
        let said = match self {
            Error::Denied(said) | Error::Unreachable(said) | Error::Refused(_, said) => said,
            Error::Stopped => "it was stopped",
        };
        let mut letters = said.trim().chars();
        let said: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        if said.ends_with(['.', '!', '?']) { said } else { format!("{said}.") }
    }
}

/// A text as part of a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Waits for something as long as it is wanted, and at most so long.
async fn wanted<T>(work: impl Future<Output = T>, interrupt: &AtomicBool, limit: Duration) -> Result<T, Error> {
    let stopped = async {
        while !interrupt.load(Ordering::Relaxed) {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::select! {
        done = timeout(limit, work) => done.map_err(|_| Error::silent(limit)),
        () = stopped => Err(Error::Stopped),
    }
}

async fn exchange(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Error> {
    let lost = |error: hyper::Error| Error::Unreachable(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(lost)
}

async fn whole(mut body: Incoming) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.map_err(|_| Error::silent(PATIENCE))? {
        let frame = frame.map_err(|error| Error::Unreachable(error.to_string()))?;
        all.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if all.len() > ANSWER_LIMIT {
            return Err(Error::Unreachable("its answer has no end".to_owned()));
        }
    }
    Ok(all)
}
