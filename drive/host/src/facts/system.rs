//! The operating system, its name and its place: names, init, virtualisation, cloud, time zone.

use std::collections::BTreeMap;

use andon_schema::host::Stage;
use andon_value::Value;
use serde_json::Value as Json;

use super::machine::Machine;
use super::text;

/// os-release(5). The family is the distribution that it is made from.
pub(super) fn os(machine: &Machine) -> Option<Value> {
    let release = machine.read("/etc/os-release").or_else(|| machine.read("/usr/lib/os-release")).unwrap_or_default();
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
    Some(Value::object([
        ("family", Value::from(family.map_or(&*name, |(_, family)| family))),
        ("name", Value::from(&*name)),
        ("version", Value::from(field("VERSION_ID"))),
        ("codename", Value::from(field("VERSION_CODENAME"))),
    ]))
}

fn name(machine: &Machine) -> Option<String> {
    machine.line(if machine.stage == Stage::Live { "/proc/sys/kernel/hostname" } else { "/etc/hostname" })
}

pub(super) fn hostname(machine: &Machine) -> Option<Value> {
    name(machine).map(Value::from)
}

/// The whole name, by the server's own files: no name server is asked.
fn whole_name(machine: &Machine) -> Option<String> {
    let short = name(machine)?;
    if short.contains('.') {
        return Some(short);
    }
    let hosts = machine.read("/etc/hosts").unwrap_or_default();
    let names = |line: &str| {
        line.split('#').next().unwrap_or_default().split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let found = hosts.lines().map(names).find(|names| names.contains(&short))?;
    found.into_iter().find(|name| name.strip_prefix(&short).is_some_and(|rest| rest.starts_with('.')))
}

pub(super) fn fqdn(machine: &Machine) -> Option<Value> {
    whole_name(machine).or_else(|| name(machine)).map(Value::from)
}

pub(super) fn domain(machine: &Machine) -> Option<Value> {
    whole_name(machine)?.split_once('.').map(|(_, domain)| Value::from(domain))
}

pub(super) fn init(machine: &Machine) -> Option<Value> {
    let known = [("/run/systemd/system", "systemd"), ("/run/openrc", "openrc")];
    if let Some((_, name)) = known.iter().find(|(path, _)| machine.exists(path)) {
        return Some(Value::from(*name));
    }
    let first = machine.line("/proc/1/comm").filter(|_| machine.stage == Stage::Live)?;
    match first.as_str() {
        "init" if machine.exists("/etc/inittab") => Some(Value::from("sysvinit")),
        _ => Some(Value::from(first)),
    }
}

pub(super) fn timezone(machine: &Machine) -> Option<Value> {
    let linked = || machine.link("/etc/localtime")?.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned());
    linked().or_else(|| machine.line("/etc/timezone")).map(Value::from)
}

pub(super) fn locale(machine: &Machine) -> Option<Value> {
    let files = ["/etc/default/locale", "/etc/locale.conf"];
    let text = files.iter().find_map(|path| machine.read(path))?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("LANG="))?;
    Some(Value::from(line.trim_matches(['"', '\''])))
}

/// The container that the server is, if it is one.
fn container(machine: &Machine) -> Option<String> {
    let told = machine.line("/run/systemd/container").or_else(|| {
        let environment = machine.read("/proc/1/environ")?;
        environment.split('\0').find_map(|entry| entry.trim().strip_prefix("container=")).map(str::to_owned)
    });
    let marks = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    told.or_else(|| marks.iter().find(|(path, _)| machine.exists(path)).map(|(_, name)| (*name).to_owned()))
}

fn dmi(machine: &Machine, name: &str) -> String {
    machine.line(&format!("/sys/class/dmi/id/{name}")).unwrap_or_default()
}

fn kind(machine: &Machine) -> String {
    if let Some(container) = container(machine) {
        return container;
    }
    let (vendor, product) = (dmi(machine, "sys_vendor"), dmi(machine, "product_name"));
    let said = format!("{vendor} {product} {}", dmi(machine, "bios_vendor")).to_lowercase();
    let known = [
        ("vmware", "vmware"),
        ("virtualbox", "virtualbox"),
        ("innotek", "virtualbox"),
        ("virtual machine", "hyperv"),
        ("parallels", "parallels"),
        ("bochs", "bochs"),
        ("amazon ec2", "kvm"),
        ("google compute engine", "kvm"),
        ("openstack", "kvm"),
        ("qemu", "kvm"),
        ("kvm", "kvm"),
        ("xen", "xen"),
    ];
    let hypervisor = || {
        let info = machine.read("/proc/cpuinfo").unwrap_or_default();
        info.lines().any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor"))
    };
    match known.iter().find(|(part, _)| said.contains(part)) {
        Some((_, name)) => (*name).to_owned(),
        None => match machine.line("/sys/hypervisor/type") {
            Some(kind) => kind,
            None if hypervisor() => "vm".to_owned(),
            None => "none".to_owned(),
        },
    }
}

/// What the server runs in: `container`, `vm` or `none`.
pub(super) fn virtualization(machine: &Machine) -> Option<Value> {
    if container(machine).is_some() {
        return Some(Value::from("container"));
    }
    Some(Value::from(if kind(machine) == "none" { "none" } else { "vm" }))
}

/// Which kind: `docker`, `lxc`, `kvm`, `vmware`, `none`.
pub(super) fn virtualization_kind(machine: &Machine) -> Option<Value> {
    Some(Value::from(kind(machine)))
}

/// What a cloud says of the server on the server itself: what cloud-init wrote down, or else the firmware's tables.
pub(super) fn cloud(machine: &Machine) -> Option<Value> {
    let data = machine.read("/run/cloud-init/instance-data.json");
    let json: Option<Json> = data.and_then(|text| serde_json::from_str(&text).ok());
    let field = |name: &str| json.as_ref()?.get("v1")?.get(name)?.as_str().map(str::to_owned);
    let vendor = format!("{} {}", dmi(machine, "sys_vendor"), dmi(machine, "chassis_asset_tag")).to_lowercase();
    let known = [
        ("amazon ec2", "aws"),
        ("google", "gcp"),
        // The tag of the chassis is the same for every machine of this cloud.
        ("7783-7084-3265-9085-8269-3286-77", "azure"),
        ("openstack", "openstack"),
        ("digitalocean", "digitalocean"),
        ("hetzner", "hetzner"),
    ];
    let by_firmware = known.iter().find(|(part, _)| vendor.contains(part)).map(|(_, name)| (*name).to_owned());
    let provider = field("cloud_name").filter(|name| name != "unknown" && name != "none").or(by_firmware)?;
    let tag = Some(dmi(machine, "board_asset_tag")).filter(|tag| provider == "aws" && tag.starts_with("i-"));
    let deep = |names: &[&str]| {
        let mut at = json.as_ref()?.get("ds")?.get("meta_data")?;
        for name in names {
            at = at.get(name)?;
        }
        at.as_str().map(str::to_owned)
    };
    Some(Value::object([
        ("provider", text(Some(provider))),
        ("instance", text(field("instance_id").or(tag))),
        ("region", text(field("region"))),
        ("zone", text(field("availability_zone"))),
        ("type", text(deep(&["instance-type"]).or_else(|| deep(&["instance_type"])))),
    ]))
}
