//! What a server says of itself: the `fact` of expressions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use andon_schema::host::Stage;
use andon_value::{Type, Value};

/// All facts. Those of the machine (`addresses`, `memory_mb`, `cpus`, `kernel`, `virtualization`) are those of the machine
/// that bakes where an image is made, and null or empty there: an image must not depend on them.
pub fn facts(stage: Stage) -> Value {
    let live = stage == Stage::Live;
    let release = read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default();
    let addresses = if live { addresses() } else { Vec::new() };
    let first = |wanted: fn(&str) -> bool| {
        let found = addresses.iter().find(|address| wanted(address));
        found.map_or(Value::null(Type::String), |address| Value::from(address.as_str()))
    };
    let number = |read: fn() -> Option<i64>| match live.then(read).flatten() {
        Some(number) => Value::from(number),
        None => Value::null(Type::Number),
    };
    let text = |text: Option<String>| text.map_or(Value::null(Type::String), Value::from);
    let in_life = |read: fn() -> Option<String>| text(live.then(read).flatten());
    Value::object([
        ("os", os(&release)),
        ("image", Value::from(!live)),
        ("hostname", text(if live { read("/proc/sys/kernel/hostname") } else { read("/etc/hostname") })),
        ("architecture", Value::from(std::env::consts::ARCH)),
        ("kernel", in_life(|| read("/proc/sys/kernel/osrelease"))),
        ("cpus", number(|| std::thread::available_parallelism().ok()?.get().try_into().ok())),
        ("memory_mb", number(memory_mb)),
        ("virtualization", in_life(|| Some(virtualization()))),
        ("address", first(|address| !address.contains(':'))),
        ("address6", first(|address| address.contains(':'))),
        ("addresses", Value::list(Type::String, addresses.iter().map(|address| Value::from(address.as_str())))),
    ])
}

/// os-release(5). The family is the distribution that it is made from.
fn os(release: &str) -> Value {
    let fields: BTreeMap<&str, String> = release
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name, value.trim_matches(['"', '\'']).to_owned()))
        .collect();
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let name = field("ID");
    let like = field("ID_LIKE");
    let all: Vec<&str> = [&*name].into_iter().chain(like.split(' ')).collect();
    let families = [("debian", "debian"), ("ubuntu", "debian"), ("rhel", "redhat"), ("fedora", "redhat")];
    let more = [("suse", "suse"), ("opensuse", "suse"), ("arch", "arch"), ("alpine", "alpine")];
    let family = families.iter().chain(&more).find(|(known, _)| all.contains(known));
    Value::object([
        ("family", Value::from(family.map_or(&*name, |(_, family)| family))),
        ("name", Value::from(&*name)),
        ("version", Value::from(field("VERSION_ID"))),
        ("codename", Value::from(field("VERSION_CODENAME"))),
    ])
}

fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim_end().to_owned())
}

/// The memory of the server: the limit of its control group, where that is less than the machine's.
fn memory_mb() -> Option<i64> {
    let text = read("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.split_whitespace().next()?.parse::<i64>().ok()? / 1024;
    let limit = read("/sys/fs/cgroup/memory.max").and_then(|text| text.parse::<i64>().ok());
    Some(limit.map_or(machine, |bytes| machine.min(bytes / 1024 / 1024)))
}

/// The addresses of the server's network devices, IPv4 first, without those that reach no further than the server or
/// its link.
fn addresses() -> Vec<String> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let (mut four, mut six) = (Vec::new(), Vec::new());
    for interface in interfaces {
        let Some(address) = interface.address else { continue };
        if let Some(address) = address.as_sockaddr_in().map(|address| address.ip()) {
            if !address.is_loopback() && !address.is_link_local() {
                four.push(address.to_string());
            }
        } else if let Some(address) = address.as_sockaddr_in6().map(|address| address.ip())
            && !address.is_loopback()
            && !address.is_unicast_link_local()
        {
            six.push(address.to_string());
        }
    }
    four.extend(six);
    four
}

/// What the server runs in: `container`, `vm` or `none`.
fn virtualization() -> String {
    let in_container = Path::new("/run/systemd/container").exists()
        || Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
        || fs::read("/proc/1/environ")
            .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|entry| entry.starts_with(b"container=")));
    if in_container {
        return "container".to_owned();
    }
    let hypervisor = read("/proc/cpuinfo").is_some_and(|text| {
        text.lines().any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor"))
    });
    if hypervisor || Path::new("/sys/hypervisor/type").exists() { "vm".to_owned() } else { "none".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        for (release, family, name, version) in [
            ("ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n", "debian", "debian", "12"),
            ("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n", "debian", "ubuntu", "24.04"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9.4'", "redhat", "rocky", "9.4"),
            ("ID=nixos\n", "nixos", "nixos", ""),
        ] {
            let os = os(release);
            let found = ["family", "name", "version"].map(|field| os.get_str(field).unwrap_or_default().to_owned());
            assert_eq!(found, [family, name, version]);
        }
    }

    #[test]
    fn this_machine_has_facts() {
        let facts = facts(Stage::Live);
        assert!(facts.is_wholly_known());
        assert_eq!(facts.ty(), andon_schema::host::fact_types());
        for name in ["hostname", "architecture", "kernel", "virtualization"] {
            assert!(facts.get_str(name).is_some_and(|text| !text.is_empty()), "{name}");
        }
        assert!(facts.get("memory_mb").and_then(Value::as_number).is_some());
        let image = super::facts(Stage::Image);
        assert!(image.get("cpus").is_some_and(Value::is_null) && image.get("address").is_some_and(Value::is_null));
    }
}
