//! What a user asks of a container, checked and typed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use andon_schema::units::{format_bytes, parse_bytes, parse_duration};
use andon_schema::{Failure, OpenPort};
use andon_value::Value;
use serde_json::{Value as Json, json};

use crate::schema::schema;

/// The label of a container that says which object it is.
pub(crate) const IDENTITY_LABEL: &str = "andon.identity";
/// Less than this an engine refuses.
const LEAST_MEMORY: u64 = 6 << 20;
/// The time in which a quota of processor time is counted, in microseconds: the kernel's own choice.
const PERIOD: i64 = 100_000;
/// What an engine does by itself with a container that ended.
pub(crate) const NO_RESTART: &str = "no";
const RESTARTS: [&str; 4] = [NO_RESTART, "on-failure", "always", "unless-stopped"];

/// How the values are written.
pub(crate) mod format {
    use andon_schema::{Failure, Format};
    use andon_value::Value;

    fn text<T>(value: &Value, check: impl FnOnce(&str) -> Result<T, Failure>) -> Result<(), Failure> {
        value.as_str().map_or(Ok(()), |text| check(text).map(drop))
    }

    fn number<T>(value: &Value, check: impl FnOnce(f64) -> Result<T, Failure>) -> Result<(), Failure> {
        value.as_number().map_or(Ok(()), |number| check(number.to_f64()).map(drop))
    }

    pub const NAME: Format =
        Format { name: "a container's name", example: "\"web-0\"", check: |it| text(it, super::name) };
    pub const IMAGE: Format = Format {
        name: "a reference of an image",
        example: "\"docker.io/library/debian:12\"",
        check: |it| text(it, super::image),
    };
    pub const HOST: Format = Format {
        name: "where an engine answers",
        example: "\"unix:///run/podman/podman.sock\"",
        check: |it| text(it, super::host),
    };
    pub const MEMORY: Format =
        Format { name: "an amount of memory", example: "\"256M\"", check: |it| text(it, super::memory) };
    pub const PROCESSORS: Format =
        Format { name: "a number of processors", example: "0.5", check: |it| number(it, super::cpus) };
    pub const PROCESSES: Format =
        Format { name: "a number of processes", example: "200", check: |it| number(it, super::processes) };
    pub const RESTART: Format = Format {
        name: "when the engine starts a server again",
        example: "\"unless-stopped\"",
        check: |it| text(it, super::restart),
    };
    pub const PORT: Format = Format {
        name: "ports that lead to the server's",
        example: "[\"127.0.0.1:8080:80\"]",
        check: |it| text(it, super::port),
    };
    pub const OPEN_PORT: Format =
        Format { name: "ports", example: "[\"80\", \"53/udp\"]", check: |it| text(it, super::open_port) };
    pub const DURATION: Format = Format { name: "a time", example: "\"30s\"", check: |it| text(it, super::duration) };
    pub const VOLUME: Format = Format {
        name: "what is where in the server",
        example: "[\"/srv/data:/data\"]",
        check: |it| text(it, super::volume),
    };
}

/// Judges all that is known of a configuration.
pub(crate) fn check(config: &Value) -> Result<(), Failure> {
    for (name, attribute) in &schema().block.attributes {
        let Some(value) = config.get(name).filter(|value| !value.is_null()) else {
            if attribute.required {
                return Err(Failure::new(format!("`{name}` is missing"), "A `docker_server` needs it."));
            }
            continue;
        };
        attribute.format.map_or(Ok(()), |format| format.judge_argument(name, value))?;
    }
    Ok(())
}

/// The order to make a container: the body of `POST /containers/create`.
pub(crate) fn body(planned: &Value, identity: &str) -> Result<Json, Failure> {
    let limits = limits(planned)?;
    let mut bindings: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for text in texts(planned, "ports") {
        let port = port(&text)?;
        let address = port.address.map_or_else(String::new, |address| address.to_string());
        let binding = json!({ "HostIp": address, "HostPort": port.outside.to_string() });
        bindings.entry(port.inside).or_default().push(binding);
    }
    let exposed: BTreeMap<&String, Json> = bindings.keys().map(|port| (port, json!({}))).collect();
    let mut labels = pairs(planned, "labels");
    labels.insert(IDENTITY_LABEL.to_owned(), identity.to_owned());
    let environment: Vec<String> =
        pairs(planned, "environment").iter().map(|(name, value)| format!("{name}={value}")).collect();
    let truth = |name: &str| planned.get(name).and_then(Value::as_bool).unwrap_or(false);
    let mut body = json!({
        // A host name has no underscores, and a container's name may have.
        "Hostname": planned.get_str("name").map(|name| name.replace('_', "-")),
        "Image": planned.get_str("image"),
        "Env": environment,
        "Labels": labels,
        "ExposedPorts": exposed,
    });
    let mut host = json!({
        "Memory": limits.memory.unwrap_or(0),
        "MemorySwap": limits.memory.unwrap_or(0),
        "Binds": texts(planned, "volumes"),
        "PortBindings": bindings,
        "Privileged": truth("privileged"),
        "ReadonlyRootfs": truth("read_only_root"),
    });
    // Absent is the engine's own choice, which nothing else says.
    let own = |to: &mut Json, name: &str, value: Option<Json>| {
        if let (Some(object), Some(value)) = (to.as_object_mut(), value) {
            object.insert(name.to_owned(), value);
        }
    };
    own(&mut host, "PidsLimit", limits.processes.map(Json::from));
    // Not as `NanoCpus`, which Docker never lifts again, and which Podman passes over in a change.
    own(&mut host, "CpuPeriod", limits.quota.map(|_| Json::from(PERIOD)));
    own(&mut host, "CpuQuota", limits.quota.map(Json::from));
    own(&mut host, "RestartPolicy", planned.get_str("restart").map(restart_policy));
    own(&mut host, "NetworkMode", planned.get_str("network").map(Json::from));
    own(&mut body, "User", planned.get_str("user").map(Json::from));
    own(&mut body, "Cmd", Some(texts(planned, "command")).filter(|words| !words.is_empty()).map(Json::from));
    own(&mut body, "HostConfig", Some(host));
    Ok(body)
}

/// The order to change what of a container can change: the body of `POST /containers/{id}/update`, with nothing in it that
/// stays as it is. `None` where all does.
///
/// To Docker, zero says that nothing is to change, and less is refused for memory: so that limit cannot be lifted, and
/// [`lifts_memory`] has another container made. The others are lifted by -1.
pub(crate) fn update(prior: &Value, planned: &Value) -> Result<Option<Json>, Failure> {
    let limits = limits(planned)?;
    let changes = |name: &str| prior.get(name) != planned.get(name);
    let mut body = serde_json::Map::new();
    let mut set = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
    if let Some(memory) = limits.memory.filter(|_| changes("memory")) {
        set("Memory", memory.into());
        set("MemorySwap", memory.into());
    }
    if changes("cpus") {
        if limits.quota.is_some() {
            set("CpuPeriod", PERIOD.into());
        }
        set("CpuQuota", limits.quota.unwrap_or(-1).into());
    }
    if changes("processes") {
        set("PidsLimit", limits.processes.unwrap_or(-1).into());
    }
    if changes("restart") {
        set("RestartPolicy", restart_policy(planned.get_str("restart").unwrap_or(NO_RESTART)));
    }
    Ok((!body.is_empty()).then_some(Json::Object(body)))
}

/// Whether a container that has a limit of its memory is to have none.
pub(crate) fn lifts_memory(prior: &Value, config: &Value) -> bool {
    let is_given = |value: &Value| value.get("memory").is_some_and(|memory| !memory.is_null());
    is_given(prior) && !is_given(config)
}

fn restart_policy(name: &str) -> Json {
    json!({ "Name": name })
}

struct Limits {
    /// Bytes.
    memory: Option<i64>,
    /// Microseconds of processor time in each [`PERIOD`].
    quota: Option<i64>,
    processes: Option<i64>,
}

fn limits(planned: &Value) -> Result<Limits, Failure> {
    let number = |name: &str| planned.get(name).and_then(Value::as_number).map(|number| number.to_f64());
    Ok(Limits {
        memory: planned.get_str("memory").map(memory).transpose()?.map(|bytes| bytes as i64),
        quota: number("cpus").map(cpus).transpose()?,
        processes: number("processes").map(processes).transpose()?,
    })
}

pub(crate) fn texts(value: &Value, name: &str) -> Vec<String> {
    let elements = value.get(name).and_then(Value::as_elements);
    elements
        .iter()
        .flat_map(|elements| elements.iter())
        .filter_map(Value::as_str)
        .map(|text| text.to_string())
        .collect()
}

fn pairs(value: &Value, name: &str) -> BTreeMap<String, String> {
    let entries = value.get(name).and_then(Value::as_entries);
    let entries = entries.iter().flat_map(|entries| entries.iter());
    entries.filter_map(|(name, value)| Some((name.to_string(), value.as_str()?.to_string()))).collect()
}

/// A port of this machine that leads to one of the server's.
#[derive(Debug, PartialEq)]
struct Port {
    address: Option<IpAddr>,
    outside: u16,
    /// With its protocol: `80/tcp`.
    inside: String,
}

fn open_port(text: &str) -> Result<(), Failure> {
    OpenPort::parse(text).map(drop).ok_or_else(|| {
        Failure::new(
            format!("`{text}` is no port"),
            "It is a number from 1 to 65535, with `/udp` behind if it is one of UDP.",
        )
    })
}

fn duration(text: &str) -> Result<(), Failure> {
    parse_duration(text).map(drop).ok_or_else(|| {
        Failure::new(format!("`{text}` is no time"), "It is a number followed by `ms`, `s`, `m`, `h` or `d`.")
    })
}

/// Where this machine's TCP ports lead to a port of a container.
pub(crate) fn published(container: &Value, inside: u16) -> Vec<SocketAddr> {
    let inside = format!("{inside}/tcp");
    let ports = texts(container, "ports").into_iter().filter_map(|text| port(&text).ok());
    let here = |port: Port| {
        let address = port.address.filter(|address| !address.is_unspecified()).unwrap_or(Ipv4Addr::LOCALHOST.into());
        SocketAddr::new(address, port.outside)
    };
    ports.filter(|port| port.inside == inside).map(here).collect()
}

fn port(text: &str) -> Result<Port, Failure> {
    let read = || {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (rest, inside) = ports.rsplit_once(':')?;
        let (address, outside) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((address, outside)) => {
                (Some(address.trim_start_matches('[').trim_end_matches(']').parse().ok()?), outside)
            }
        };
        let inside: u16 = inside.parse().ok().filter(|port| *port > 0)?;
        let outside = outside.parse().ok().filter(|port| *port > 0)?;
        matches!(protocol, "tcp" | "udp" | "sctp").then(|| Port {
            address,
            outside,
            inside: format!("{inside}/{protocol}"),
        })
    };
    read().ok_or_else(|| {
        Failure::new(
            format!("`{text}` leads no port to another"),
            "It is a port of this machine, a colon and a port of the server, with an address before and a protocol behind if need be.",
        )
        .help("Write one such as `8080:80`, `127.0.0.1:8080:80` or `5353:53/udp`.")
    })
}

fn volume(text: &str) -> Result<(), Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let sound = match parts.as_slice() {
        [source, target] | [source, target, _] => !source.is_empty() && target.starts_with('/'),
        _ => false,
    };
    let options = parts.get(2).is_none_or(|options| {
        options.split(',').all(|it| {
            matches!(
                it,
                "ro" | "rw"
                    | "z"
                    | "Z"
                    | "shared"
                    | "slave"
                    | "private"
                    | "rshared"
                    | "rslave"
                    | "rprivate"
                    | "nocopy"
                    | "U"
            )
        })
    });
    if sound && options {
        return Ok(());
    }
    Err(Failure::new(
        format!("`{text}` puts nothing into a server"),
        "It is a directory of this machine or a volume's name, a colon and a path in the server, with `:ro` behind if need be.",
    )
    .help("Write one such as `/srv/data:/data` or `cache:/var/cache:ro`."))
}

fn name(text: &str) -> Result<(), Failure> {
    let mut letters = text.bytes();
    let sound = letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.len() <= 63
        && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if sound {
        return Ok(());
    }
    Err(Failure::new(
        format!("`{text}` is no name of a container"),
        "It begins with a letter or a digit and has letters, digits, `-`, `.` and `_`, 63 at most.",
    ))
}

fn image(text: &str) -> Result<(), Failure> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Failure::new(
        format!("`{text}` is no reference of an image"),
        "It is a name with a tag or a digest, without spaces.",
    )
    .help("Write one such as `docker.io/library/debian:12`."))
}

fn restart(text: &str) -> Result<(), Failure> {
    if RESTARTS.contains(&text) {
        return Ok(());
    }
    let known = RESTARTS.map(|known| format!("`{known}`")).join(", ");
    Err(Failure::new(
        format!("`{text}` is nothing that an engine does with a server that ended"),
        format!("There are {known}."),
    ))
}

pub(crate) fn host(text: &str) -> Result<(), Failure> {
    let path = text.strip_prefix("unix://").is_some_and(|path| path.starts_with('/'));
    let address =
        ["tcp://", "http://"].iter().any(|start| text.strip_prefix(start).is_some_and(|rest| !rest.is_empty()));
    if path || address {
        return Ok(());
    }
    Err(Failure::new(
        format!("`{text}` is nowhere an engine answers"),
        "It is `unix://` and the path of a socket, or `tcp://` with a host and a port.",
    )
    .help("Write one such as `unix:///run/podman/podman.sock`. An engine of another machine is reached through a tunnel: `ssh -L`."))
}

fn memory(text: &str) -> Result<u64, Failure> {
    let wrong = |detail: String| {
        Failure::new(format!("`{text}` is no amount of memory"), detail).help("Write one such as `256M` or `1G`.")
    };
    let bytes = parse_bytes(text).ok_or_else(|| wrong("It is a number followed by K, M, G or T.".to_owned()))?;
    if bytes < LEAST_MEMORY {
        return Err(wrong(format!("A container needs {} at least.", format_bytes(LEAST_MEMORY))));
    }
    Ok(bytes)
}

fn cpus(number: f64) -> Result<i64, Failure> {
    if (0.01..=4096.0).contains(&number) {
        return Ok((number * PERIOD as f64).round() as i64);
    }
    Err(Failure::new(
        format!("`{number}` is no number of processors"),
        "It is from 0.01 to 4096; `0.5` is half of one.",
    ))
}

fn processes(number: f64) -> Result<i64, Failure> {
    if (1.0..=4_194_304.0).contains(&number) && number.fract() == 0.0 {
        return Ok(number as i64);
    }
    Err(Failure::new(format!("`{number}` is no number of processes"), "It is a whole number from 1."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        let check = |text: &str, expected: Option<(Option<&str>, u16, &str)>| {
            let found = port(text).ok();
            let expected = expected.map(|(address, outside, inside)| Port {
                address: address.map(|address| address.parse().unwrap()),
                outside,
                inside: inside.to_owned(),
            });
            assert_eq!(found, expected, "{text}");
        };
        check("8080:80", Some((None, 8080, "80/tcp")));
        check("127.0.0.1:8080:80", Some((Some("127.0.0.1"), 8080, "80/tcp")));
        check("[::1]:8080:80", Some((Some("::1"), 8080, "80/tcp")));
        check("5353:53/udp", Some((None, 5353, "53/udp")));
        for wrong in ["", "80", "0:80", "80:0", "a:80", "1:2:3:4", "80:80/icmp", "70000:80", "localhost:80:80"] {
            check(wrong, None);
        }
    }

    #[test]
    fn ways_to_a_port_are_known() {
        let ports =
            ["8080:80", "127.0.0.2:81:80", "[::1]:82:80", "0.0.0.0:83:80", "84:80/udp", "85:443"].map(Value::from);
        let container = Value::object([("ports", Value::list(andon_value::Type::String, ports))]);
        let ways = |port| published(&container, port).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ways(80), ["127.0.0.1:8080", "127.0.0.2:81", "[::1]:82", "127.0.0.1:83"]);
        assert_eq!(ways(443), ["127.0.0.1:85"]);
        assert!(ways(22).is_empty());
    }

    #[test]
    fn values_are_judged() {
        for sound in ["/srv:/data", "cache:/var/cache:ro", "a:/b:rw,z"] {
            assert!(volume(sound).is_ok(), "{sound}");
        }
        for wrong in ["", "/srv", "/srv:data", ":/data", "/a:/b:ro:x", "/a:/b:read-only"] {
            assert!(volume(wrong).is_err(), "{wrong}");
        }
        for sound in ["unix:///run/docker.sock", "tcp://127.0.0.1:2375", "http://localhost:2375"] {
            assert!(host(sound).is_ok(), "{sound}");
        }
        for wrong in ["", "/run/docker.sock", "unix://run", "tcp://", "ssh://web"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
        assert!(name("web_0.a-b").is_ok() && name("-web").is_err() && name("").is_err() && name("a b").is_err());
        assert!(image("nginx").is_ok() && image("").is_err() && image("a b").is_err());
        assert!(memory("64M").is_ok() && memory("1M").is_err() && memory("lots").is_err());
        assert!(processes(1.5).is_err() && processes(0.0).is_err() && processes(100.0).is_ok());
        assert_eq!((cpus(0.5).unwrap(), cpus(0.01).unwrap()), (50_000, 1_000));
        assert!(restart("always").is_ok() && restart("sometimes").is_err());
    }
}
