//! One request: from a client to a target and back, as it comes.
//!
//! Which headers belong to one connection only, and which requests may be sent twice, is RFC 9110 (sections 7.6.1 and
//! 9.2.2). Where a message ends is hyper's: a request whose end could be understood in two ways does not get here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::access::Entry;
use super::body::{self, Answer, Outgoing};
use super::sticky;
use super::stream::join;
use super::table::{Live, Shared, Wish};
use super::target::{OpenRequest, Target};
use crate::balancer::spec::Sticky;
use crate::units::format_duration;

/// Who sends requests on one connection.
pub(super) struct Client {
    pub address: SocketAddr,
    /// The IP address, as it is told to targets.
    name: HeaderValue,
    pub is_secure: bool,
}

/// How often one request is tried, on whatever targets.
const ATTEMPTS: usize = 8;

const OF_ONE_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Client {
    /// A client at an address, and whether it speaks TLS.
    pub fn new(address: SocketAddr, is_secure: bool) -> Client {
        let name = HeaderValue::from_str(&address.ip().to_canonical().to_string());
        Client { address, name: name.unwrap_or(HeaderValue::from_static("unknown")), is_secure }
    }
}

/// Passes a request on and gives the answer, or an answer of its own that says why there is none. It is written down where
/// that is asked for.
pub(super) async fn forward(shared: &Arc<Shared>, client: &Client, request: Request<Incoming>) -> Response<Answer> {
    let mut live = shared.live();
    let entry = live.access.as_ref().map(|log| Entry::new(log, client.address.ip(), &request));
    let mut answer = pass_on(shared, &mut live, client, request).await;
    if let Some(mut entry) = entry {
        entry.answered(answer.status(), answer.body().target());
        answer.body_mut().write_down(entry);
    }
    answer
}

async fn pass_on(
    shared: &Arc<Shared>,
    live: &mut Arc<Live>,
    client: &Client,
    request: Request<Incoming>,
) -> Response<Answer> {
    shared.counts.request();
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        return own_answer(
            StatusCode::NOT_IMPLEMENTED,
            "This is no proxy to the world outside: CONNECT is not offered.",
        );
    }
    if !names_one_host(&parts) {
        return own_answer(StatusCode::BAD_REQUEST, "A request names one host, and once.");
    }
    let client_side = parts.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade_of(&parts.headers);
    let wish = match live.sticky {
        Sticky::No => Wish::Nothing,
        Sticky::Cookie => sticky::take_cookie(&mut parts.headers),
        Sticky::Source => Wish::Source(client.address.ip()),
    };
    clean(&mut parts.headers);
    introduce(&mut parts, client, upgrade.as_ref());
    let (body, progress) = Outgoing::new(body, shared);
    // A target may hang up at any moment on a connection that waits, as when it is restarted. What cannot be sent again then
    // gets a connection of its own.
    let repeatable = progress.is_none() && upgrade.is_none() && parts.method.is_idempotent();
    if !repeatable && upgrade.is_none() {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let mut body = Some(body);
    let mut tried: Vec<SocketAddr> = Vec::new();
    let mut problems: Vec<String> = Vec::new();
    for attempt in 0..ATTEMPTS {
        let Some((target, open)) = shared.choose(live, &tried, wish) else { break };
        let Some(this_body) = body.take().or_else(|| repeatable.then_some(Outgoing::Empty)) else { break };
        if attempt > 0 {
            shared.counts.retry();
        }
        target.counts.request();
        let mut say = |problem: String| problems.push(format!("{}: {problem}", target.address));
        let (mut sender, is_new) = match target.connection(&live.limits, repeatable).await {
            Ok(connection) => connection,
            Err(problem) => {
                target.counts.error();
                say(problem);
                body = Some(this_body);
                tried.push(target.address);
                continue;
            }
        };
        let mut answer = std::pin::pin!(sender.try_send_request(address_to(&parts, &target, this_body)));
        let answer = loop {
            match timeout(live.limits.answer, answer.as_mut()).await {
                Ok(answer) => break answer,
                Err(_) if progress.as_ref().is_some_and(|progress| progress.moved()) => {}
                Err(_) => return too_late(shared, live, &target, progress.is_none_or(|progress| progress.ended())),
            }
        };
        match answer {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                return switch_protocols(answer, client_side, upgrade, open, shared, live.limits.quiet);
            }
            Ok(answer) => {
                if answer.status().is_server_error() {
                    target.counts.error();
                    shared.counts.error();
                }
                let cookie = (live.sticky == Sticky::Cookie && wish != Wish::Name(target.name))
                    .then(|| sticky::cookie(&target, client.is_secure));
                let request = body::Request { open, sender: repeatable.then_some(sender) };
                return pass_back(answer, request, shared, cookie, live.limits.answer);
            }
            Err(mut error) => {
                // What was never sent can be sent elsewhere, whatever it is.
                body = error.take_message().map(Request::into_body);
                say(error.into_error().to_string());
                if is_new {
                    target.counts.error();
                    tried.push(target.address);
                } else {
                    // It was closed while it waited, and so may the others be.
                    target.forget_idle();
                }
            }
        }
    }
    shared.counts.error();
    if problems.is_empty() {
        return own_answer(StatusCode::SERVICE_UNAVAILABLE, "This balancer has no targets.");
    }
    own_answer(StatusCode::BAD_GATEWAY, &format!("No target answered.\n{}", problems.join("\n")))
}

/// Nothing came for too long: from the target, or from a client that has not sent its request whole.
fn too_late(shared: &Shared, live: &Live, target: &Target, was_sent: bool) -> Response<Answer> {
    shared.counts.error();
    let limit = format_duration(live.limits.answer);
    if !was_sent {
        return own_answer(StatusCode::REQUEST_TIMEOUT, &format!("Nothing more of the request came within {limit}."));
    }
    target.counts.error();
    let text = format!("{} did not begin to answer within {limit}.", target.address);
    own_answer(StatusCode::GATEWAY_TIMEOUT, &text)
}

/// Whether it is clear which host is meant (RFC 9112, section 3.2): of several, a target might take another one than whoever
/// stands before it.
fn names_one_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).into_iter();
    let sound = |host: &HeaderValue| {
        let name = uri::Authority::try_from(host.as_bytes());
        host.is_empty() || name.is_ok_and(|name| !name.as_str().contains('@'))
    };
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => sound(host),
        (None, _) => parts.version != Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// The protocol that a client asks to switch to.
fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = connection_tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    asks.then(|| headers.get(header::UPGRADE).cloned()).flatten()
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Takes out what belongs to the connection that a message came by.
fn clean(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_tokens(headers)
        .filter(|token| !token.eq_ignore_ascii_case("keep-alive") && !token.eq_ignore_ascii_case("close"))
        .filter_map(|token| token.parse().ok())
        .collect();
    for name in named.iter().chain(&OF_ONE_CONNECTION) {
        headers.remove(name);
    }
}

/// Tells the target who asks, for which host and by which way.
fn introduce(parts: &mut Parts, client: &Client, upgrade: Option<&HeaderValue>) {
    let headers = &mut parts.headers;
    // This side has said already that it may continue.
    headers.remove(header::EXPECT);
    if headers.contains_key(FORWARDED_FOR) {
        let before = headers.get_all(&FORWARDED_FOR).into_iter().map(HeaderValue::as_bytes);
        let chain: Vec<&[u8]> = before.chain([client.name.as_bytes()]).collect();
        if let Ok(chain) = HeaderValue::from_bytes(&chain.join(&b", "[..])) {
            headers.insert(FORWARDED_FOR, chain);
        }
    } else {
        headers.insert(FORWARDED_FOR, client.name.clone());
    }
    if parts.version == Version::HTTP_2 {
        sticky::join_cookies(headers);
    }
    // A client may name the host in the request line; then the header does not count (RFC 9112, section 3.2.2).
    if let Some(host) = parts.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        headers.insert(header::HOST, host);
    }
    match headers.get(header::HOST).cloned() {
        Some(host) => headers.insert(FORWARDED_HOST, host),
        None => headers.remove(FORWARDED_HOST),
    };
    let proto = if client.is_secure { "https" } else { "http" };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade.clone());
    }
    if parts.uri.authority().is_some() || parts.uri.path_and_query().is_none() {
        let mut path = uri::Parts::default();
        path.path_and_query = parts.uri.path_and_query().cloned().or_else(|| Some(uri::PathAndQuery::from_static("/")));
        parts.uri = Uri::from_parts(path).unwrap_or_default();
    }
}

fn address_to(parts: &Parts, target: &Target, body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    *request.uri_mut() = parts.uri.clone();
    if !request.headers().contains_key(header::HOST) {
        // A client of HTTP/1.0 need not name a host.
        if let Ok(host) = HeaderValue::from_str(&target.address.to_string()) {
            request.headers_mut().insert(header::HOST, host);
        }
    }
    request
}

fn pass_back(
    answer: Response<Incoming>,
    request: body::Request,
    shared: &Arc<Shared>,
    cookie: Option<HeaderValue>,
    silence: Duration,
) -> Response<Answer> {
    let (mut parts, body) = answer.into_parts();
    clean(&mut parts.headers);
    parts.version = Version::HTTP_11;
    if let Some(cookie) = cookie {
        parts.headers.append(header::SET_COOKIE, cookie);
    }
    Response::from_parts(parts, Answer::passed(body, request, shared.clone(), silence))
}

/// Joins both sides once each has switched; the request stays open for as long as they talk, and neither is `quiet` for
/// longer than it may.
fn switch_protocols(
    mut answer: Response<Incoming>,
    client_side: Option<OnUpgrade>,
    upgrade: Option<HeaderValue>,
    open: OpenRequest,
    shared: &Arc<Shared>,
    quiet: Duration,
) -> Response<Answer> {
    let (Some(client_side), Some(_)) = (client_side, upgrade) else {
        shared.counts.error();
        return own_answer(StatusCode::BAD_GATEWAY, "The target switched protocols, which nobody had asked for.");
    };
    let target_side = hyper::upgrade::on(&mut answer);
    let target = open.target().address;
    let shared = shared.clone();
    tokio::spawn(async move {
        if let (Ok(client), Ok(upstream)) = tokio::join!(client_side, target_side) {
            join(TokioIo::new(client), TokioIo::new(upstream), &shared, &open, quiet).await;
        }
    });
    let (parts, _) = answer.into_parts();
    Response::from_parts(parts, Answer::empty(target))
}

/// An answer of the balancer itself, in plain text.
fn own_answer(status: StatusCode, text: &str) -> Response<Answer> {
    let mut answer = Response::new(Answer::own(Bytes::from(format!("{text}\n"))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
