//! What a user asks of a balancer, checked and typed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use andon_schema::{Failure, Identity};
use andon_value::{Path as ValuePath, PathStep, Value};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::spec::{duration, health, interval, listen, required, target};
use crate::units::parse_bytes;

/// A balancer that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct BalancerSpec {
    pub listen: SocketAddr,
    pub mode: Mode,
    /// Each with its weight, in thousandths.
    pub targets: BTreeMap<SocketAddr, u32>,
    pub sticky: Sticky,
    /// Empty where clients do not speak TLS.
    pub certificates: Vec<Arc<CertifiedKey>>,
    pub health: Health,
    pub wait: Duration,
    pub drain: Duration,
    pub limits: Limits,
    /// `None`: requests are not written down.
    pub access: Option<Access>,
}

/// Where requests are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// From the root directory.
    pub path: PathBuf,
    pub format: AccessFormat,
    /// Bytes, of each of two files.
    pub size: u64,
}

/// How a request is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessFormat {
    /// NCSA's common format with who referred and by what program: Apache's `combined`.
    Combined,
    /// An object of JSON in each line.
    Json,
}

/// What is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Requests.
    Http,
    /// Connections.
    Tcp,
}

/// How a client stays with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sticky {
    No,
    Cookie,
    Source,
}

/// How health is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// `None`: a target is healthy if it accepts connections.
    pub path: Option<String>,
    pub statuses: RangeInclusive<u16>,
    pub interval: Duration,
    pub timeout: Duration,
    /// Good answers in a row that make a target healthy.
    pub rise: u32,
    /// Bad answers in a row that end that.
    pub fall: u32,
}

/// How much a client or a target may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// Of a client that asks nothing.
    pub idle: Duration,
    /// Of a connection whose bytes are passed on as they come, while nobody says anything.
    pub quiet: Duration,
    pub answer: Duration,
    pub connect: Duration,
    /// Bytes.
    pub header_size: usize,
    /// That are connected at once; `None`: as many as there are descriptors for.
    pub clients: Option<usize>,
}

/// The weight of a target that is given none, in thousandths.
const PLAIN_WEIGHT: u32 = 1000;
/// The limits of one that is given none.
const IDLE: Duration = Duration::from_secs(75);
const QUIET: Duration = Duration::from_secs(3600);

impl BalancerSpec {
    /// Of a planned value.
    pub fn decode(value: &Value) -> Result<BalancerSpec, Failure> {
        agree(value)?;
        let time = |name: &str, default: u64| value.get_str(name).map_or(Ok(Duration::from_millis(default)), duration);
        let pause = |name: &str, default: u64| value.get_str(name).map_or(Ok(Duration::from_millis(default)), interval);
        let often = |name: &str, default: u32| {
            value.get(name).and_then(Value::as_number).map_or(default, |number| number.to_f64() as u32)
        };
        let health = Health {
            path: value.get_str("health").map(|path| health(path).map(str::to_owned)).transpose()?,
            statuses: value.get_str("health_status").map_or(Ok(100..=399), statuses)?,
            interval: pause("interval", 200)?,
            timeout: pause("timeout", 2000)?,
            rise: often("rise", 1),
            fall: often("fall", 2),
        };
        let mode = value.get_str("mode").map_or(Ok(Mode::Http), Mode::parse)?;
        // Those who have switched to another protocol, such as WebSocket, are quiet for longer than one who asks.
        let given = value.get_str("idle").map(interval).transpose()?;
        let quiet = match (given, mode) {
            (Some(idle), Mode::Tcp) => idle,
            (idle, _) => idle.unwrap_or_default().max(QUIET),
        };
        let limits = Limits {
            idle: given.unwrap_or(IDLE),
            quiet,
            answer: pause("answer", 300_000)?,
            connect: pause("connect", 1000)?,
            header_size: value.get_str("header_size").map_or(Ok(64 << 10), header_size)?,
            clients: value.get("clients").and_then(Value::as_number).map(|number| number.to_f64() as usize),
        };
        Ok(BalancerSpec {
            listen: listen(required(value, "listen")?)?,
            mode,
            targets: targets(value)?,
            sticky: value.get_str("sticky").map_or(Ok(Sticky::No), Sticky::parse)?,
            certificates: certificates(value)?,
            health,
            access: access(value)?,
            wait: time("wait", 30_000)?,
            drain: time("drain", 300_000)?,
            limits,
        })
    }
}

/// Checks whether attributes fit each other, as far as they are known.
pub(crate) fn agree(value: &Value) -> Result<(), Failure> {
    let tcp = value.get_str("mode") == Some("tcp");
    if tcp && value.get_str("sticky") == Some("cookie") {
        return Err(Failure::new("a cookie needs requests", "`sticky = \"cookie\"` is for `mode = \"http\"`.")
            .help("Write `sticky = \"source\"`, or leave `mode` out.")
            .about("sticky"));
    }
    let has = |name: &str| value.get(name).is_some_and(|value| !value.is_null());
    if tcp && has("access_log") {
        return Err(Failure::new(
            "an access log is of requests",
            "In the mode `tcp` there are none, only connections.",
        )
        .help("`andon status --traffic` counts what passed.")
        .about("access_log"));
    }
    if let Some(name) =
        ["access_log_format", "access_log_size"].into_iter().find(|name| has(name) && !has("access_log"))
    {
        return Err(Failure::new(format!("`{name}` is nothing without `access_log`"), "No log is written.")
            .help("Give `access_log` a file.")
            .about(name));
    }
    if has("health_status") && !has("health") {
        return Err(Failure::new("`health_status` is nothing without `health`", "No request is made for health.")
            .help("Give `health` a path, such as `/healthz`.")
            .about("health_status"));
    }
    let listed = value.get("targets").and_then(Value::as_elements).is_some_and(|listed| !listed.is_empty());
    match (has("pool"), has("port")) {
        (true, _) if listed || has("weights") => {
            return Err(Failure::new(
                "targets come from the pool",
                "Beside `pool` there are no `targets` and no `weights`.",
            )
            .help("Leave either out.")
            .about(if listed { "targets" } else { "weights" }));
        }
        (true, false) => {
            let failure = Failure::new("`port` is missing", "It is the port at which the pool's members answer.");
            return Err(failure.about("pool"));
        }
        (false, true) => {
            let failure = Failure::new("`port` is nothing without `pool`", "Each of `targets` has a port of its own.");
            return Err(failure.about("port"));
        }
        _ => {}
    }
    if value.get("tls").is_some_and(Value::is_wholly_known) {
        certificates(value)?;
    }
    let (listed, weights) = (value.get("targets"), value.get("weights").and_then(Value::as_entries));
    let (Some(listed), Some(weights)) = (listed.filter(|listed| listed.is_wholly_known()), weights) else {
        return Ok(());
    };
    let listed: Vec<&str> = listed
        .as_elements()
        .map(|listed| listed.iter().filter_map(|one| one.as_str().map(|text| &**text)).collect())
        .unwrap_or_default();
    match weights.keys().find(|name| !listed.contains(&&***name)) {
        Some(stranger) => {
            let detail = format!("`weights` gives {stranger} one; `targets` has {}.", listed.join(", "));
            let path = [PathStep::Attribute("weights".into()), PathStep::Key(stranger.clone())];
            Err(Failure::new(format!("{stranger} is no target"), detail)
                .help("Write it as it is in `targets`.")
                .at(ValuePath::from_iter(path)))
        }
        None => Ok(()),
    }
}

fn access(value: &Value) -> Result<Option<Access>, Failure> {
    let Some(path) = value.get_str("access_log") else { return Ok(None) };
    Ok(Some(Access {
        path: log_path(path)?,
        format: value.get_str("access_log_format").map_or(Ok(AccessFormat::Combined), AccessFormat::parse)?,
        size: value.get_str("access_log_size").map_or(Ok(10 << 20), log_size)?,
    }))
}

fn targets(value: &Value) -> Result<BTreeMap<SocketAddr, u32>, Failure> {
    let mut targets = BTreeMap::new();
    let weights = value.get("weights").and_then(Value::as_entries);
    for text in value.get("targets").and_then(Value::as_elements).into_iter().flat_map(|all| all.iter()) {
        let Some(text) = text.as_str() else { continue };
        let weight = weights.and_then(|weights| weights.get(text)?.as_number());
        let weight = weight.map_or(PLAIN_WEIGHT, |weight| (weight.to_f64() * f64::from(PLAIN_WEIGHT)).round() as u32);
        targets.insert(target(text)?, weight);
    }
    Ok(targets)
}

/// The certificates with their keys, each pair checked.
fn certificates(value: &Value) -> Result<Vec<Arc<CertifiedKey>>, Failure> {
    let pairs = value.get("tls").and_then(Value::as_elements).into_iter().flat_map(|all| all.iter());
    let certified = |(number, pair): (usize, &Value)| {
        let wrong = |what: &str, detail: String| {
            Failure::new(format!("`tls[{number}].{what}` is not usable"), detail)
                .help("Both are PEM: `certificate = file(\"site.pem\")`, `key = file(\"site.key\")`.")
                .at(ValuePath::from_iter([
                    PathStep::Attribute("tls".into()),
                    PathStep::Index(number),
                    PathStep::Attribute(what.into()),
                ]))
        };
        let (certificate, key) =
            (pair.get_str("certificate").unwrap_or_default(), pair.get_str("key").unwrap_or_default());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let chain = chain.map_err(|error| wrong("certificate", format!("It cannot be read: {error}.")))?;
        if chain.is_empty() {
            return Err(wrong("certificate", "It has no `BEGIN CERTIFICATE`.".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| wrong("key", "It is no private key that can be read.".into()))?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        certified.map(Arc::new).map_err(|error| wrong("key", format!("It does not go with the certificate: {error}.")))
    };
    pairs.enumerate().map(certified).collect()
}

impl Mode {
    /// Of the word that a user writes.
    pub fn parse(text: &str) -> Result<Mode, Failure> {
        match text {
            "http" => Ok(Mode::Http),
            "tcp" => Ok(Mode::Tcp),
            _ => Err(Failure::new(format!("`{text}` is no mode"), "A balancer passes on `http` or `tcp`.")),
        }
    }
}

impl AccessFormat {
    /// Of the word that a user writes.
    pub fn parse(text: &str) -> Result<AccessFormat, Failure> {
        match text {
            "combined" => Ok(AccessFormat::Combined),
            "json" => Ok(AccessFormat::Json),
            _ => Err(Failure::new(
                format!("`{text}` is no format of an access log"),
                "Requests are written down as `combined` or as `json`.",
            )),
        }
    }
}

impl Sticky {
    /// Of the word that a user writes.
    pub fn parse(text: &str) -> Result<Sticky, Failure> {
        match text {
            "cookie" => Ok(Sticky::Cookie),
            "source" => Ok(Sticky::Source),
            _ => Err(Failure::new(
                format!("`{text}` keeps no client"),
                "A client stays with a target by `cookie` or by `source`.",
            )
            .help("Leave `sticky` out where it need not stay.")),
        }
    }
}

/// The path of a log.
pub(crate) fn log_path(text: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(text);
    let is_whole = path.is_absolute() && path.file_name().is_some() && !text.ends_with('/') && !text.contains('\0');
    if is_whole && !path.components().any(|part| part == Component::ParentDir) {
        return Ok(path.to_owned());
    }
    Err(Failure::new(format!("`{text}` is no file for a log"), "Its path begins at the root directory.")
        .help("Write one such as `/var/log/shop/access.log`."))
}

/// Bytes that a log may have.
pub(crate) fn log_size(text: &str) -> Result<u64, Failure> {
    parse_bytes(text).filter(|bytes| (64 << 10..=1 << 40).contains(bytes)).ok_or_else(|| {
        Failure::new(format!("`{text}` is no size for a log"), "It is from 64K to 1T.").help("Write one such as `10M`.")
    })
}

/// The statuses that `200` or `200-299` means.
pub(crate) fn statuses(text: &str) -> Result<RangeInclusive<u16>, Failure> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(Failure::new(format!("`{text}` is no status"), "A status is a number from 100 to 599.")
            .help("Write one such as `200`, or a range such as `200-299`.")),
    }
}

/// Checks the identity of a pool.
pub(crate) fn pool(text: &str) -> Result<(), Failure> {
    match Identity::parse(text) {
        Some(_) => Ok(()),
        None => {
            Err(Failure::new(format!("`{text}` is no pool"), "A pool's `id` is meant.")
                .help("Write `lab_pool.NAME.id`."))
        }
    }
}

/// Checks a port.
pub(crate) fn port(value: &Value) -> Result<(), Failure> {
    in_range(value, 1.0, 65535.0, true, "port", "A port is a whole number from 1 to 65535.")
}

/// Checks a target's weight.
pub(crate) fn weight(value: &Value) -> Result<(), Failure> {
    in_range(value, 0.0, 1000.0, false, "weight", "A weight is from 0 to 1000; 1 is what a target has without one.")
}

/// Checks how often health must be good or bad.
pub(crate) fn times(value: &Value) -> Result<(), Failure> {
    in_range(value, 1.0, 100.0, true, "number of times", "It is a whole number from 1 to 100.")
}

/// Checks how many clients there may be.
pub(crate) fn clients(value: &Value) -> Result<(), Failure> {
    in_range(value, 1.0, 10_000_000.0, true, "number of clients", "It is a whole number, and not 0.")
}

fn in_range(value: &Value, least: f64, most: f64, whole: bool, what: &str, detail: &str) -> Result<(), Failure> {
    let Some(number) = value.as_number().map(|number| number.to_f64()) else { return Ok(()) };
    if (least..=most).contains(&number) && !(whole && number.fract() != 0.0) {
        return Ok(());
    }
    Err(Failure::new(format!("`{number}` is no {what}"), detail))
}

/// Bytes that a header may have.
pub(crate) fn header_size(text: &str) -> Result<usize, Failure> {
    let bytes = parse_bytes(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.filter(|bytes| (8 << 10..=1 << 20).contains(bytes)).ok_or_else(|| {
        Failure::new(format!("`{text}` is no size for a header"), "It is from 8K to 1M.")
            .help("Write one such as `64K`.")
    })
}

#[cfg(test)]
mod tests {
    use andon_value::{Number, Type};

    use super::*;

    fn number(text: &str) -> Value {
        Value::from(Number::parse(text).unwrap())
    }

    fn check(given: &[(&str, Value)], expected: Result<(), &str>) {
        let base = [("listen", Value::from("127.0.0.1:8080"))];
        let value = Value::object(base.iter().chain(given).cloned());
        let result = BalancerSpec::decode(&value).map(drop).map_err(|failure| failure.summary);
        assert_eq!(result, expected.map_err(str::to_owned), "{given:?}");
    }

    #[test]
    fn attributes_agree() {
        let targets = || Value::list(Type::String, ["10.0.0.1:80".into(), "10.0.0.2:80".into()]);
        let weights = |name: &str, weight| ("weights", Value::object([(name, number(weight))]));
        check(&[], Ok(()));
        check(&[("mode", "tcp".into()), ("sticky", "source".into())], Ok(()));
        check(&[("mode", "tcp".into()), ("sticky", "cookie".into())], Err("a cookie needs requests"));
        check(&[("health_status", "200".into())], Err("`health_status` is nothing without `health`"));
        let log = || ("access_log", Value::from("/var/log/access.log"));
        check(&[log(), ("access_log_format", "json".into()), ("access_log_size", "1M".into())], Ok(()));
        check(&[log(), ("mode", "tcp".into())], Err("an access log is of requests"));
        check(&[("access_log_size", "1M".into())], Err("`access_log_size` is nothing without `access_log`"));
        check(&[("targets", targets()), weights("10.0.0.2:80", "3")], Ok(()));
        check(&[("targets", targets()), weights("10.0.0.3:80", "3")], Err("10.0.0.3:80 is no target"));
        let pair = |certificate: &str| Value::object([("certificate", Value::from(certificate)), ("key", "".into())]);
        check(&[("tls", Value::tuple([pair("")]))], Err("`tls[0].certificate` is not usable"));
        // Before anything is touched, as far as they are known.
        let agreed = |value: Value| agree(&Value::object([("tls", value)])).map_err(|failure| failure.summary);
        assert_eq!(agreed(Value::tuple([pair("x")])), Err("`tls[0].certificate` is not usable".into()));
        assert_eq!(agreed(Value::unknown(Type::Dynamic)), Ok(()));
    }

    #[test]
    fn weights_are_thousandths() {
        let value = Value::object([
            ("listen", Value::from("127.0.0.1:8080")),
            ("targets", Value::list(Type::String, ["10.0.0.1:80".into(), "10.0.0.2:80".into()])),
            ("weights", Value::object([("10.0.0.1:80", number("0.05"))])),
        ]);
        let weights: Vec<u32> = BalancerSpec::decode(&value).unwrap().targets.into_values().collect();
        assert_eq!(weights, [50, 1000]);
    }

    #[test]
    fn who_switched_protocols_may_be_silent_for_longer() {
        let of = |mode: &str, idle: Option<&str>| {
            let given = [("listen", "127.0.0.1:8080".into()), ("mode", mode.into())];
            let value = Value::object(given.into_iter().chain(idle.map(|idle| ("idle", idle.into()))));
            let limits = BalancerSpec::decode(&value).unwrap().limits;
            (limits.idle.as_secs(), limits.quiet.as_secs())
        };
        assert_eq!(of("http", None), (75, 3600));
        assert_eq!(of("http", Some("10s")), (10, 3600));
        assert_eq!(of("http", Some("2h")), (7200, 7200));
        assert_eq!(of("tcp", None).1, 3600);
        assert_eq!(of("tcp", Some("10s")).1, 10);
    }

    #[test]
    fn words_are_checked() {
        assert_eq!(statuses("200-299").ok(), Some(200..=299));
        assert_eq!(statuses("204").ok(), Some(204..=204));
        for wrong in ["", "299-200", "20", "ok", "200-", "200-999"] {
            assert!(statuses(wrong).is_err(), "{wrong}");
        }
        for (text, sound) in [("0", true), ("0.5", true), ("1000", true), ("1001", false), ("-1", false)] {
            assert_eq!(weight(&number(text)).is_ok(), sound, "{text}");
        }
        for (text, sound) in [("1", true), ("100", true), ("0", false), ("1.5", false)] {
            assert_eq!(times(&number(text)).is_ok(), sound, "{text}");
        }
        for (text, sound) in [
            ("/var/log/a.log", true),
            ("a.log", false),
            ("/", false),
            ("/var/log/", false),
            ("/var/../etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(log_path(text).is_ok(), sound, "{text}");
        }
        for (text, sound) in [("64K", true), ("1G", true), ("1K", false), ("2000G", false), ("much", false)] {
            assert_eq!(log_size(text).is_ok(), sound, "{text}");
        }
        assert!(AccessFormat::parse("combined").is_ok() && AccessFormat::parse("apache").is_err());
        for (text, sound) in [("64K", true), ("4K", false), ("2M", false), ("much", false)] {
            assert_eq!(header_size(text).is_ok(), sound, "{text}");
        }
    }
}
