//! Checks of what a server answers, and of whom it reaches.

use core::net::IpAddr;
use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Headers, HttpRequest, Look, Sight};
use andon_value::Type;

use super::{CheckKind, PAUSE_MS, TIMEOUT_MS, check_texts, failed, judge_text, name, of_text, quoted, timed};
use crate::args::{Args, optional, parse_duration_ms};
use crate::formats;
use crate::world::World;

pub(super) const KINDS: [CheckKind; 4] = [
    CheckKind {
        name: "address",
        schema: address_schema,
        check: address_check,
        looks: address_looks,
        judge: judge_address,
    },
    CheckKind { name: "dns", schema: dns_schema, check: |_| Vec::new(), looks: dns_looks, judge: judge_dns },
    CheckKind { name: "http", schema: http_schema, check: http_check, looks: http_looks, judge: judge_http },
    CheckKind { name: "port", schema: port_schema, check: port_check, looks: port_looks, judge: judge_port },
];

/// How long one request may take, at most.
const REQUEST_MS: u64 = 5_000;

/// How long one try may take.
fn try_ms(args: &Args) -> u64 {
    let asked = args.text("timeout").and_then(|text| parse_duration_ms(&text)).unwrap_or(TIMEOUT_MS);
    asked.clamp(PAUSE_MS, REQUEST_MS)
}

fn port_schema() -> Block {
    timed(
        "Whether anything listens on a port of the server. The label is `tcp/80`, `udp/53`, or a number alone for TCP.",
        &[
            ("listening", optional(Type::Bool, "Whether it should; true unless given.")),
            (
                "address",
                optional(
                    Type::String,
                    "The address that it listens at: `127.0.0.1`, `0.0.0.0`, `::`; without it, any.",
                ),
            ),
        ],
    )
}

fn port_of(args: &Args) -> Option<(bool, u16)> {
    let (protocol, port) = args.label().split_once('/').unwrap_or(("tcp", args.label()));
    let tcp = match protocol {
        "tcp" => true,
        "udp" => false,
        _ => return None,
    };
    port.parse().ok().filter(|port| *port != 0).map(|port| (tcp, port))
}

fn port_check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    if port_of(args).is_none() {
        wrong.push(format!("`{}` is not a port, such as `tcp/80`", args.label()));
    }
    if let Some(address) = args.text("address").filter(|address| address.parse::<IpAddr>().is_err()) {
        wrong.push(format!("`{address}` is not an address, such as `127.0.0.1`"));
    }
    wrong
}

fn port_looks(args: &Args) -> Vec<Look> {
    let address = args.text("address").and_then(|address| address.parse().ok());
    port_of(args).map(|(tcp, port)| Look::Port { tcp, port, address }).into_iter().collect()
}

fn judge_port(args: &Args, world: &World) -> Result<(), String> {
    let wanted = args.truth("listening").unwrap_or(true);
    let at = args.text("address").map(|address| format!(" at {address}")).unwrap_or_default();
    let look = port_looks(args).into_iter().next();
    match look.as_ref().and_then(|look| world.sight(look)) {
        Some(Sight::Port(true)) if !wanted => Err(format!("something listens on {}{at}", args.label())),
        Some(Sight::Port(false)) if wanted => Err(format!("nothing listens on {}{at}", args.label())),
        Some(Sight::Port(_)) => Ok(()),
        other => Err(failed(other)),
    }
}

fn http_schema() -> Block {
    timed(
        "The answer to an HTTP request from the server itself. The label is the address.",
        &[
            ("url", optional(Type::String, "The address, `http://` or `https://`; without it, the label.")),
            ("method", optional(Type::String, "The method; `GET` unless given.")),
            ("headers", optional(Type::Map(Type::String.into()), "Headers of the request, such as `Host`.")),
            ("send", optional(Type::String, "The body of the request.")),
            (
                "status",
                optional(Type::Number, "The status; without it and `statuses`, any from 200 to 399.")
                    .format(formats::STATUS),
            ),
            ("statuses", optional(Type::list(Type::Number), "The statuses, of which any will do.")),
            ("body", optional(Type::String, "All of the answer's body, blanks at its ends aside.")),
            ("answers", optional(Type::Map(Type::String.into()), "Headers of the answer, with text that each holds.")),
            (
                "redirects",
                optional(Type::Number, "How many redirects are followed; none unless given.").format(formats::COUNT),
            ),
            (
                "verify",
                optional(Type::Bool, "Whether the certificate of `https://` must be trusted; true unless given."),
            ),
        ]
        .into_iter()
        .chain(of_text("the body"))
        .collect::<Vec<_>>(),
    )
}

fn http_check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_texts(args);
    let url = args.subject("url");
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) || url.contains(char::is_whitespace) {
        let shown = if args.is_secret("url") { "this" } else { &url };
        wrong.push(format!("`{shown}` is not an address, such as `http://127.0.0.1:80/healthz`"));
    }
    let statuses = args.wholes("statuses").into_iter().chain(args.whole("status"));
    let sound = |status: u64| (100..600).contains(&status);
    if args.has("status") && args.whole("status").is_none() || !statuses.into_iter().all(sound) {
        wrong.push("`status` is not one of HTTP, from 100 to 599".to_owned());
    }
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if args.text("method").is_some_and(|method| !word(&method)) {
        wrong.push("`method` is not one of HTTP, such as `GET` or `POST`".to_owned());
    }
    let broken = |(name, value): &(Arc<str>, Arc<str>)| {
        name.is_empty() || name.contains([':', ' ', '\r', '\n']) || value.contains(['\r', '\n'])
    };
    if args.pairs("headers").iter().any(broken) {
        wrong.push("`headers` holds one that HTTP does not allow".to_owned());
    }
    wrong
}

fn http_looks(args: &Args) -> Vec<Look> {
    vec![Look::Http(HttpRequest {
        method: args.text("method").map_or("GET".into(), |method| method.to_ascii_uppercase().into()),
        url: args.subject("url"),
        headers: Headers(args.pairs("headers")),
        body: args.text("send").map(|text| (&*text).into()),
        redirects: args.whole("redirects").and_then(|count| u32::try_from(count).ok()).unwrap_or(0).min(20),
        verify: args.truth("verify").unwrap_or(true),
        timeout_ms: try_ms(args),
    })]
}

fn judge_http(args: &Args, world: &World) -> Result<(), String> {
    let look = http_looks(args).into_iter().next();
    let url = if args.is_secret("url") { "(a sensitive address)".into() } else { args.subject("url") };
    let answer = match look.as_ref().and_then(|look| world.sight(look)) {
        Some(Sight::Http(Ok(answer))) => answer,
        Some(Sight::Http(Err(reason))) => return Err(format!("{reason} from {url}")),
        other => return Err(failed(other)),
    };
    let status = u64::from(answer.status);
    let wanted: Vec<u64> = args.wholes("statuses").into_iter().chain(args.whole("status")).collect();
    if !(wanted.contains(&status) || wanted.is_empty() && (200..400).contains(&status)) {
        let words: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let words = if words.is_empty() { "2xx or 3xx".to_owned() } else { words.join(" or ") };
        return Err(format!("HTTP {status} from {url}, not {words}"));
    }
    for (name, wanted) in args.pairs("answers") {
        let mut values = answer.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(&name));
        if !values.any(|(_, value)| value.contains(&*wanted)) {
            let wanted = quoted(args, "answers", &wanted);
            return Err(format!("the header {name} of the answer from {url} does not hold {wanted}"));
        }
    }
    let body = String::from_utf8_lossy(&answer.body.0);
    if let Some(wanted) = args.text("body")
        && body.trim() != wanted.trim()
    {
        return Err(format!("the answer from {url} is not {}", quoted(args, "body", &wanted)));
    }
    judge_text(args, &format!("the answer from {url}"), &body)
}

fn dns_schema() -> Block {
    timed(
        "What a name is looked up to on the server: by its `/etc/hosts`, or else by its name servers.",
        &[
            ("name", name("name")),
            ("resolves", optional(Type::Bool, "Whether it has an address; true unless given.")),
            ("addresses", optional(Type::Set(Type::String.into()), "Addresses that it has.")),
            ("only", optional(Type::Bool, "Whether `addresses` are all that it has.")),
        ],
    )
}

fn dns_looks(args: &Args) -> Vec<Look> {
    vec![Look::Addresses { name: args.subject("name"), timeout_ms: try_ms(args) }]
}

fn judge_dns(args: &Args, world: &World) -> Result<(), String> {
    let name = args.subject("name");
    let look = dns_looks(args).into_iter().next();
    let found = match look.as_ref().and_then(|look| world.sight(look)) {
        Some(Sight::Addresses(found)) => found,
        other => return Err(failed(other)),
    };
    let wanted = args.texts("addresses");
    match (found, args.truth("resolves").unwrap_or(true)) {
        (Ok(found), false) if !found.is_empty() => return Err(format!("{name} has the address {}", found.join(", "))),
        (_, false) => return Ok(()),
        (Err(reason), true) => return Err(reason.clone()),
        (Ok(found), true) if found.is_empty() => return Err(format!("{name} has no address")),
        _ => {}
    }
    let found = found.as_deref().unwrap_or_default();
    let same = |left: &str, right: &str| match (left.parse::<IpAddr>(), right.parse::<IpAddr>()) {
        (Ok(left), Ok(right)) => left == right,
        _ => left == right,
    };
    let missing = wanted.iter().find(|wanted| !found.iter().any(|found| same(found, wanted)));
    let other = found.iter().find(|found| !wanted.iter().any(|wanted| same(found, wanted)));
    match (missing, other.filter(|_| args.truth("only") == Some(true))) {
        (Some(missing), _) => Err(format!("{name} is {}, not {missing}", found.join(", "))),
        (None, Some(other)) => Err(format!("{name} is {other}, too")),
        _ => Ok(()),
    }
}

fn address_schema() -> Block {
    timed(
        "Whether the server reaches somebody: the label is `tcp://HOST:PORT`. Where the label is an address alone, \
         whether the server has it.",
        &[("reachable", optional(Type::Bool, "Whether it does; true unless given."))],
    )
}

fn address_check(args: &Args) -> Vec<String> {
    let sound = !address_looks(args).is_empty();
    let words = format!("`{}` is neither an address nor like `tcp://db.internal:5432`", args.label());
    (!sound).then_some(words).into_iter().collect()
}

fn address_looks(args: &Args) -> Vec<Look> {
    if args.label().parse::<IpAddr>().is_ok() {
        return vec![Look::OwnAddresses];
    }
    let parts = args.label().strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':'));
    let port = |port: &str| port.parse::<u16>().ok().filter(|port| *port != 0);
    let found = parts.filter(|(host, _)| !host.is_empty()).and_then(|(host, text)| Some((host, port(text)?)));
    found.map(|(host, port)| Look::Reach { host: host.into(), port, timeout_ms: try_ms(args) }).into_iter().collect()
}

fn judge_address(args: &Args, world: &World) -> Result<(), String> {
    let wanted = args.truth("reachable").unwrap_or(true);
    let look = address_looks(args).into_iter().next();
    match look.as_ref().and_then(|look| world.sight(look)) {
        Some(Sight::Reach(Ok(()))) if !wanted => Err(format!("{} is reached", args.label())),
        Some(Sight::Reach(Err(reason))) if wanted => Err(format!("{reason} to {}", args.label())),
        Some(Sight::Reach(_)) => Ok(()),
        Some(Sight::Addresses(Ok(own))) => {
            let address = args.label().parse::<IpAddr>().ok();
            match (own.iter().any(|own| own.parse().ok() == address), wanted) {
                (true, false) => Err(format!("the server has the address {}", args.label())),
                (false, true) => Err(format!("the server does not have the address {}", args.label())),
                _ => Ok(()),
            }
        }
        other => Err(failed(other)),
    }
}
