//! What a user asks of an object, checked and typed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use andon_schema::{Exclusive, Extent, Failure};
use andon_value::Value;
use ipnet::Ipv4Net;

use crate::kind::Kind;
use crate::schema::schema;
use crate::seed::Seed;
use crate::units::{format_bytes, parse_bytes, parse_duration};
use crate::vm::MachineSpec;
use crate::{attach, balancer, vm};

/// The least memory that a server can boot with.
const LEAST_MEMORY: u64 = 16 << 20;

/// A network that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NetworkSpec {
    /// `None` where the lab chooses.
    pub cidr: Option<Ipv4Net>,
    pub masquerade: bool,
}

/// A server that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerSpec {
    pub name: String,
    pub network: String,
    /// Whether it sees this machine's own `/usr`.
    pub on_host: bool,
    /// Bytes.
    pub memory: Option<u64>,
    pub cpus: Option<f64>,
    pub processes: Option<u64>,
    /// Whether the lab's own supervisor is the init, whatever the image has.
    pub supervised: bool,
    /// What the supervisor runs; nothing where it is empty.
    pub command: Vec<String>,
    pub read_only_root: bool,
    pub running: bool,
    pub attached: Vec<attach::Attached>,
    pub seed: Seed,
    /// `None` where the lab chooses.
    pub address: Option<Ipv4Addr>,
    /// For a machine of its own; `None` for a container.
    pub machine: Option<MachineSpec>,
}

impl NetworkSpec {
    /// Of a planned value.
    pub fn decode(value: &Value) -> Result<NetworkSpec, Failure> {
        Ok(NetworkSpec {
            cidr: value.get_str("cidr").map(cidr).transpose()?,
            masquerade: value.get("masquerade").and_then(Value::as_bool).unwrap_or(true),
        })
    }
}

impl ServerSpec {
    /// Of a planned value.
    pub fn decode(value: &Value) -> Result<ServerSpec, Failure> {
        let words = value.get("command").and_then(Value::as_elements);
        let words = words.map(|words| words.iter().filter_map(|word| Some(word.as_str()?.to_string())).collect());
        let command: Vec<String> = words.unwrap_or_default();
        let is = |name: &str| value.get(name).and_then(Value::as_bool);
        Ok(ServerSpec {
            name: host_name(required(value, "name")?)?.to_owned(),
            network: required(value, "network")?.to_owned(),
            on_host: value.get_str("on_host").is_some(),
            memory: value.get_str("memory").map(memory).transpose()?,
            cpus: value.get("cpus").filter(|cpus| cpus.as_number().is_some()).map(cpus).transpose()?,
            processes: value.get("processes").filter(|it| it.as_number().is_some()).map(processes).transpose()?,
            supervised: value.get_str("init").is_some() || !command.is_empty(),
            command,
            read_only_root: is("read_only_root").unwrap_or(false),
            running: is("running").unwrap_or(true),
            attached: attach::all(value),
            seed: Seed::decode(value),
            address: value.get_str("address").map(address).transpose()?,
            machine: MachineSpec::decode(value),
        })
    }
}

/// How the values of the lab's resources are written.
pub(crate) mod format {
    use andon_schema::{Failure, Format};
    use andon_value::Value;

    /// Checks what is a text.
    pub fn text<T>(value: &Value, check: impl FnOnce(&str) -> Result<T, Failure>) -> Result<(), Failure> {
        value.as_str().map_or(Ok(()), |text| check(text).map(drop))
    }

    pub const NETWORK: Format =
        Format { name: "a range of IPv4 addresses", example: "\"10.64.1.0/24\"", check: |it| text(it, super::cidr) };
    pub const NETWORK_NAME: Format =
        Format { name: "a network's name", example: "\"app\"", check: |it| text(it, super::network_name) };
    pub const HOST_NAME: Format = Format {
        name: "a host name",
        example: "\"web-0\"",
        check: |it| text(it, |it| super::server_name(it).map(drop)),
    };
    pub const MEMORY: Format =
        Format { name: "an amount of memory", example: "\"256M\"", check: |it| text(it, super::memory) };
    pub const PROCESSORS: Format = Format {
        name: "a number of processors",
        example: "0.5",
        check: |it| if it.as_number().is_some() { super::cpus(it).map(drop) } else { Ok(()) },
    };
    pub const PROCESSES: Format = Format {
        name: "a number of processes",
        example: "500",
        check: |it| if it.as_number().is_some() { super::processes(it).map(drop) } else { Ok(()) },
    };
    pub const INIT: Format = Format { name: "an init", example: "\"andon\"", check: |it| text(it, super::init) };
    pub const ON_HOST: Format = Format { name: "a place", example: "\"host\"", check: |it| text(it, super::on_host) };
    pub const COMMAND: Format = Format {
        name: "a program and its arguments",
        example: "[\"/usr/bin/python3\", \"-m\", \"http.server\", \"80\"]",
        check: |it| text(it, super::word),
    };
    pub const ADDRESS: Format =
        Format { name: "an IPv4 address", example: "\"10.64.1.7\"", check: |it| text(it, super::address) };
    pub const IMAGE: Format =
        Format { name: "an image's digest", example: "andon_image.web.digest", check: |it| text(it, super::something) };
    pub const NETWORK_ID: Format =
        Format { name: "a network's id", example: "lab_network.app.id", check: |it| text(it, super::something) };
    pub const LISTEN: Format =
        Format { name: "an IP address and a port", example: "\"127.0.0.1:8080\"", check: |it| text(it, super::listen) };
    pub const TARGET: Format =
        Format { name: "IP addresses with ports", example: "[\"10.64.1.7:80\"]", check: |it| text(it, super::target) };
    pub const PATH: Format = Format {
        name: "the path of a URL",
        example: "\"/healthz\"",
        check: |it| text(it, |it| super::health(it).map(drop)),
    };
    pub const DURATION: Format =
        Format { name: "a length of time", example: "\"30s\"", check: |it| text(it, super::duration) };
    pub const INTERVAL: Format =
        Format { name: "a length of time, from 10 ms", example: "\"200ms\"", check: |it| text(it, super::interval) };
}

/// The addresses of a network, which are no other's. What replaces one has others: only for that it is replaced.
pub(crate) const RANGE: Exclusive = Exclusive {
    stays: false,
    takes: |text| {
        let net = cidr(text).ok()?;
        let place = |address: Ipv4Addr| u128::from(address.to_bits());
        Some(Extent { of: String::new(), first: place(net.network()), last: place(net.broadcast()) })
    },
    ..Exclusive::SAME
};

/// A port of an address of this machine, or of all of them. Who listens at those of version 6 takes version 4, too, whose are
/// among them (RFC 4291, section 2.5.5.2).
pub(crate) const PLACE: Exclusive = Exclusive {
    takes: |text| {
        let place = listen(text).ok()?;
        let mapped = |address: Ipv4Addr| address.to_ipv6_mapped().to_bits();
        let (first, last) = match place.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => (mapped(Ipv4Addr::UNSPECIFIED), mapped(Ipv4Addr::BROADCAST)),
            IpAddr::V4(address) => (mapped(address), mapped(address)),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => (0, u128::MAX),
            IpAddr::V6(address) => (address.to_bits(), address.to_bits()),
        };
        Some(Extent { of: place.port().to_string(), first, last })
    },
    ..Exclusive::SAME
};

/// Checks one attribute on its own, as far as it is known.
pub(crate) fn check(kind: Kind, attribute: &str, value: &Value) -> Result<(), Failure> {
    let schema = schema(kind);
    let format = schema.block.attributes.get(attribute).and_then(|attribute| attribute.format);
    format.map_or(Ok(()), |format| format.judge_argument(attribute, value))
}

/// Checks whether attributes fit each other, as far as they are known.
pub(crate) fn check_together(kind: Kind, planned: &Value) -> Result<(), Failure> {
    match kind {
        Kind::Balancer => balancer::spec::agree(planned),
        Kind::Server => attach::agree(planned).and_then(|()| vm::agree(planned)),
        _ => Ok(()),
    }
}

pub(crate) fn required<'a>(value: &'a Value, name: &str) -> Result<&'a str, Failure> {
    value.get_str(name).ok_or_else(|| Failure::new(format!("`{name}` is missing"), "It must be known to make this."))
}

fn cidr(text: &str) -> Result<Ipv4Net, Failure> {
    let wrong = |detail: String| Failure::new(format!("`{text}` is no range for a network"), detail);
    let Ok(net) = text.parse::<Ipv4Net>() else {
        return Err(wrong("An IPv4 range is written as an address and a prefix length.".into())
            .help("Write one such as `10.64.1.0/24`, or leave `cidr` out to have a free one chosen."));
    };
    if net.addr() != net.network() {
        return Err(wrong(format!("{} is an address inside a range, not its start.", net.addr()))
            .help(format!("Write `{}`.", net.trunc())));
    }
    if !(8..=29).contains(&net.prefix_len()) {
        return Err(wrong("Its prefix length must be from 8 to 29.".into()));
    }
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"];
    if !private.iter().filter_map(|range| range.parse::<Ipv4Net>().ok()).any(|range| range.contains(&net)) {
        return Err(wrong(
            "Its addresses belong to others on the Internet; this machine would no longer reach them.".into(),
        )
        .help(format!("Choose a range inside {}.", private.join(", "))));
    }
    Ok(net)
}

/// Whether a text can be one part of a name (RFC 1123, section 2.1).
pub(crate) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn network_name(text: &str) -> Result<(), Failure> {
    if is_label(text) {
        return Ok(());
    }
    let detail = "It is part of the names of the network's servers, such as `web-0.app.lab`: letters, digits and inner \
                  hyphens, at most 63 in all.";
    let mapped: String = text.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    let mapped = mapped.trim_matches('-');
    let failure = Failure::new(format!("`{text}` is no name for a network"), detail);
    Err(if is_label(mapped) { failure.help(format!("Write `{mapped}`.")) } else { failure })
}

/// What servers are chosen by elsewhere means all of them, and this machine.
const RESERVED_NAMES: [&str; 2] = ["all", "local"];

/// The name that a server is given: what earlier versions took is left as it is.
fn server_name(text: &str) -> Result<&str, Failure> {
    if RESERVED_NAMES.iter().any(|name| text.eq_ignore_ascii_case(name)) {
        let detail = "Where servers are chosen (`--on`), `all` means all of them, and `local` this machine.";
        return Err(Failure::new(format!("`{text}` is no name for a server"), detail).help("Give it another name."));
    }
    host_name(text)
}

fn host_name(text: &str) -> Result<&str, Failure> {
    if text.len() <= 64 && text.split('.').all(is_label) {
        return Ok(text);
    }
    Err(Failure::new(
        format!("`{text}` is no host name"),
        "A host name has letters, digits and inner hyphens, at most 64 in all; dots separate its parts.",
    ))
}

fn memory(text: &str) -> Result<u64, Failure> {
    let wrong = |detail: &str| {
        Failure::new(format!("`{text}` is no amount of memory"), detail).help("Write one such as `256M` or `1G`.")
    };
    let bytes = parse_bytes(text).ok_or_else(|| wrong("It is a number followed by K, M, G or T."))?;
    if bytes < LEAST_MEMORY {
        return Err(wrong(&format!("A server needs {} at least.", format_bytes(LEAST_MEMORY))));
    }
    Ok(bytes)
}

fn cpus(value: &Value) -> Result<f64, Failure> {
    let number = value.as_number().map(|number| number.to_f64()).unwrap_or_default();
    if (0.01..=4096.0).contains(&number) {
        return Ok(number);
    }
    Err(Failure::new(
        format!("`{number}` is no number of processors"),
        "It is from 0.01 to 4096; `0.5` is half of one.",
    ))
}

fn processes(value: &Value) -> Result<u64, Failure> {
    let number = value.as_number().and_then(|number| number.to_i64());
    number.and_then(|number| u64::try_from(number).ok()).filter(|number| (8..=4_194_304).contains(number)).ok_or_else(
        || {
            Failure::new(
                "this is no number of processes",
                "It is a whole number from 8, which an init needs, to 4194304.",
            )
        },
    )
}

fn init(text: &str) -> Result<(), Failure> {
    if text == "andon" {
        return Ok(());
    }
    Err(Failure::new(format!("there is no init `{text}`"), "It is `andon`, which needs nothing of the image.")
        .help("Leave `init` out to have the image's own."))
}

fn on_host(text: &str) -> Result<(), Failure> {
    if text == "host" {
        return Ok(());
    }
    Err(Failure::new(format!("no server is on `{text}`"), "It is `host`, which is this machine.")
        .help("Leave `on_host` out to have a server of an image."))
}

/// Checks what a server is made of. `config` is what its user gave.
pub(crate) fn origin(config: &Value) -> Result<(), Failure> {
    let given = |name: &str| config.get(name).is_some_and(|value| !value.is_null());
    match (given("image"), given("on_host")) {
        (true, false) => return Ok(()),
        (false, true) => {}
        (true, true) => {
            return Err(Failure::new("`image` and `on_host` exclude each other", "A server has one root file system.")
                .help("Leave one of them out: with `on_host`, the server is made of what is installed on this machine.")
                .about("on_host"));
        }
        (false, false) => {
            return Err(Failure::new("`image` is missing", "A `lab_server` needs it.")
                .help("Give it the `digest` of an `andon_image`, or have `on_host = \"host\"` for a server of what is installed on this machine."));
        }
    }
    if vm::is_machine(config) {
        return Err(Failure::new(
            "`vm` and `on_host` exclude each other",
            "A machine has a kernel and a disk of its own.",
        )
        .help("Make an `andon_image` with `from = \"host\"`, and give the server its `digest` as `image`.")
        .about("vm"));
    }
    let because = [
        ("cloud_init", "No service of this machine starts by itself in such a server, and so cloud-init does not."),
        ("on_drift", "Such a server has no image to compare it with: it sees this machine's own programs."),
    ];
    match because.into_iter().find(|(name, _)| given(name)) {
        Some((name, why)) => Err(Failure::new(format!("`{name}` and `on_host` exclude each other"), why)
            .help("Make an `andon_image` with `from = \"host\"`, and give the server its `digest` as `image`.")
            .about(name)),
        None => Ok(()),
    }
}

fn word(text: &str) -> Result<(), Failure> {
    if text.contains('\0') {
        return Err(Failure::new("this is no word of a command", "No program takes a zero byte."));
    }
    Ok(())
}

fn address(text: &str) -> Result<Ipv4Addr, Failure> {
    text.parse().map_err(|_| {
        Failure::new(format!("`{text}` is no IPv4 address"), "A server's address looks like `10.64.1.7`.")
            .help("Leave `address` out to have a free one chosen.")
    })
}

pub(crate) fn listen(text: &str) -> Result<SocketAddr, Failure> {
    let wrong = |detail: &str| {
        Failure::new(format!("`{text}` is nothing to listen on"), detail).help(
            "Write an address of this machine and a port, such as `127.0.0.1:8080`; `0.0.0.0:8080` is all of them.",
        )
    };
    let listen: SocketAddr = text.parse().map_err(|_| wrong("It is an IP address, a colon and a port."))?;
    if listen.port() == 0 { Err(wrong("Port 0 is no port.")) } else { Ok(listen) }
}

pub(crate) fn target(text: &str) -> Result<SocketAddr, Failure> {
    let target = text.parse::<SocketAddr>().ok().filter(|target| target.port() != 0);
    target.ok_or_else(|| {
        Failure::new(format!("`{text}` is no target"), "A target is an IP address, a colon and a port.")
            .help("Write it as `${lab_server.NAME.address}:80`.")
    })
}

pub(crate) fn health(path: &str) -> Result<&str, Failure> {
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(path);
    }
    Err(Failure::new(format!("`{path}` is no path to ask for health"), "A path begins with `/` and has no spaces.")
        .help("Write one such as `/healthz`."))
}

fn something(text: &str) -> Result<(), Failure> {
    match text {
        "" => Err(Failure::new("this is empty", "A server needs an image and a network to stand on.")),
        _ => Ok(()),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).ok_or_else(|| no_duration(text, "It is a number followed by ms, s, m or h."))
}

pub(crate) fn interval(text: &str) -> Result<Duration, Failure> {
    let duration = duration(text)?;
    if duration < Duration::from_millis(10) {
        return Err(no_duration(text, "Health is asked every 10 ms at most."));
    }
    Ok(duration)
}

fn no_duration(text: &str, detail: &str) -> Failure {
    Failure::new(format!("`{text}` is no length of time here"), detail)
        .help("Write one such as `200ms`, `30s` or `5m`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_places_are_in_each_others_way() {
        let check = |exclusive: Exclusive, one: &str, other: &str, expected: bool| {
            let [one, other] = [one, other].map(|text| (exclusive.takes)(text).unwrap());
            let found = one.of == other.of && one.first <= other.last && other.first <= one.last;
            assert_eq!(found, expected, "{one:?} {other:?}");
        };
        for (one, other, expected) in [
            ("10.64.0.0/24", "10.64.0.0/24", true),
            ("10.64.0.0/24", "10.64.0.128/25", true),
            ("10.64.0.0/16", "10.64.255.0/24", true),
            ("10.64.0.0/24", "10.64.1.0/24", false),
        ] {
            check(RANGE, one, other, expected);
        }
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "0.0.0.0:81", false),
            ("127.0.0.1:80", "[::]:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "[::1]:80", true),
        ] {
            check(PLACE, one, other, expected);
        }
        assert_eq!((RANGE.takes)("10.64.0.7/24"), None);
        assert_eq!((PLACE.takes)("localhost:80"), None);
    }

    #[test]
    fn values_are_checked() {
        let check = |kind, attribute: &str, text: &str, sound: bool| {
            let result = super::check(kind, attribute, &Value::from(text));
            assert_eq!(result.is_ok(), sound, "{attribute} = {text}: {result:?}");
        };
        for sound in ["10.64.1.0/24", "192.168.5.0/29", "172.16.0.0/12", "100.64.0.0/10"] {
            check(Kind::Network, "cidr", sound, true);
        }
        for wrong in
            ["", "10.64.1.0", "10.64.1.1/24", "10.64.1.0/30", "8.8.8.0/24", "10.0.0.0/7", "fd00::/64", "10.0.0.0/33"]
        {
            check(Kind::Network, "cidr", wrong, false);
        }
        for sound in ["app", "App-2", "1", &"a".repeat(63)] {
            check(Kind::Network, "name", sound, true);
        }
        for wrong in ["", "my_app", "app.two", "-app", "app-", "my app", "ä", &"a".repeat(64), "a\nb"] {
            check(Kind::Network, "name", wrong, false);
        }
        let refused = super::check(Kind::Network, "name", &Value::from("_my_app")).unwrap_err();
        assert_eq!(refused.help, ["Write `my-app`."]);
        for sound in ["web-0", "a", "WEB", "web.example", &"a".repeat(63)] {
            check(Kind::Server, "name", sound, true);
        }
        for wrong in ["", "-web", "web-", "web_0", "web 0", "a..b", "a/b", "ä", &"a".repeat(64), "../x", "a\nb"] {
            check(Kind::Server, "name", wrong, false);
        }
        check(Kind::Server, "memory", "256M", true);
        for wrong in ["256", "lots", "1M", "-256M"] {
            check(Kind::Server, "memory", wrong, false);
        }
        check(Kind::Server, "address", "10.64.1.7", true);
        check(Kind::Server, "address", "10.64.1.300", false);
        check(Kind::Server, "init", "andon", true);
        check(Kind::Server, "init", "systemd", false);
        for (number, sound) in [(8, true), (7, false), (-1, false), (1 << 40, false)] {
            assert_eq!(super::check(Kind::Server, "processes", &Value::from(number)).is_ok(), sound, "{number}");
        }
        check(Kind::Balancer, "listen", "127.0.0.1:8080", true);
        check(Kind::Balancer, "listen", "[::1]:8080", true);
        for wrong in ["8080", ":8080", "localhost:8080", "127.0.0.1:0", "127.0.0.1:99999"] {
            check(Kind::Balancer, "listen", wrong, false);
        }
        check(Kind::Balancer, "health", "/healthz?x=1", true);
        check(Kind::Balancer, "health", "healthz", false);
        check(Kind::Balancer, "health", "/a b", false);
        check(Kind::Balancer, "interval", "1ms", false);
        check(Kind::Balancer, "wait", "soon", false);
        let targets = |text: &str| super::check(Kind::Balancer, "targets", &Value::tuple([Value::from(text)])).is_ok();
        assert!(targets("10.64.0.2:80"));
        assert!(!targets("10.64.0.2"));
        assert!(!targets("web-0:80"));
    }
}
