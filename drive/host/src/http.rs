//! One HTTP request, and one connection. Names are looked up by hand; see [`names`].

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use andon_schema::host::{HttpAnswer, HttpRequest};

use crate::fetch::{Trust, agent};
use crate::names;

/// What is kept of a body, in bytes.
const KEPT: u64 = 1024 * 1024;

/// Asks. All of it must be done in the time limit.
pub(crate) fn ask(asked: &HttpRequest) -> Result<HttpAnswer, String> {
    let deadline = Instant::now() + Duration::from_millis(asked.timeout_ms);
    let trust = Trust { redirects: asked.redirects, verify: asked.verify };
    let mut request = ureq::http::Request::builder().method(&*asked.method).uri(&*asked.url);
    for (name, value) in &asked.headers.0 {
        request = request.header(&**name, &**value);
    }
    let wrong = |_| "this is no request that can be made".to_owned();
    let agent = agent(deadline, trust);
    let answer = match &asked.body {
        Some(body) => agent.run(request.body(body.0.to_vec()).map_err(wrong)?),
        None => agent.run(request.body(()).map_err(wrong)?),
    };
    let mut answer = answer.map_err(|error| in_words(&error))?;
    let mut body = Vec::new();
    let read = answer.body_mut().with_config().limit(u64::MAX).reader().take(KEPT).read_to_end(&mut body);
    read.map_err(|error| of_io(&error))?;
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.as_str().into(), text(value).into()));
    Ok(HttpAnswer { status: answer.status().as_u16(), headers: headers.collect(), body: body.into() })
}

fn in_words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "there is no such host; no answer".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Io(error) => of_io(error),
        error => format!("no whole answer ({error})"),
    }
}

fn of_io(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_owned(),
        ErrorKind::Other => format!("{error}; no answer"),
        _ => format!("no whole answer ({error})"),
    }
}

/// Whether a connection comes about, to any address of a host.
pub(crate) fn reach(host: &str, port: u16, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let mut last = format!("{host} has no address; no connection");
    for address in names::addresses(host, deadline)? {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), left) {
            Ok(_) => return Ok(()),
            Err(error) => {
                last = match error.kind() {
                    ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                    ErrorKind::TimedOut => "no connection in time".to_owned(),
                    _ => format!("no connection ({error})"),
                };
            }
        }
    }
    Err(last)
}
