//! Processors, memory, disks and what is mounted of them.

use std::collections::BTreeSet;

use andon_value::{Type, Value};

use super::machine::Machine;
use super::{list, number, text};

pub(super) fn cpus(_: &Machine) -> Option<Value> {
    Some(number(u64::try_from(std::thread::available_parallelism().ok()?.get()).ok()))
}

pub(super) fn cpu(machine: &Machine) -> Option<Value> {
    let info = machine.read("/proc/cpuinfo")?;
    let fields =
        || info.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()));
    let field = |wanted: &str| fields().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let threads = fields().filter(|(name, _)| *name == "processor").count();
    let mut cores = BTreeSet::new();
    let mut package = "";
    for (name, value) in fields() {
        match name {
            "physical id" => package = value,
            "core id" => drop(cores.insert((package, value))),
            _ => {}
        }
    }
    let cores = if cores.is_empty() { threads } else { cores.len() };
    Some(Value::object([
        ("model", text(field("model name").or_else(|| field("Model")))),
        ("vendor", text(field("vendor_id").or_else(|| field("CPU implementer")))),
        ("cores", number(u64::try_from(cores).ok())),
        ("threads", number(u64::try_from(threads).ok())),
    ]))
}

fn kilobytes(machine: &Machine, name: &str) -> Option<u64> {
    let info = machine.read("/proc/meminfo")?;
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The memory of the server: the limit of its control group, of either version, where that is less than the machine's.
pub(super) fn memory_mb(machine: &Machine) -> Option<Value> {
    let whole = kilobytes(machine, "MemTotal")? / 1024;
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().find_map(|path| machine.line(path)?.parse::<u64>().ok());
    Some(number(Some(limit.map_or(whole, |bytes| whole.min(bytes >> 20)))))
}

pub(super) fn swap_mb(machine: &Machine) -> Option<Value> {
    Some(number(Some(kilobytes(machine, "SwapTotal")? / 1024)))
}

pub(super) fn disks(machine: &Machine) -> Option<Value> {
    // What is made of memory, files or other disks is no disk.
    let made = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"];
    let names = machine.names("/sys/block").into_iter().filter(|name| !made.iter().any(|made| name.starts_with(made)));
    let disk = |name: String| {
        let of = |file: &str| machine.line(&format!("/sys/block/{name}/{file}"));
        let truth = |file: &str| of(file).map_or(Value::null(Type::Bool), |text| Value::from(text == "1"));
        Value::object([
            // The kernel counts in sectors of 512 bytes, whatever the disk does.
            ("size_mb", number(of("size").and_then(|text| Some(text.parse::<u64>().ok()? / 2048)))),
            ("model", text(of("device/model"))),
            ("rotational", truth("queue/rotational")),
            ("removable", truth("removable")),
            ("name", text(Some(name.clone()))),
        ])
    };
    list("disks", names.map(disk).collect::<Vec<_>>())
}

/// File systems that live in the kernel alone.
const VIRTUAL: [&str; 17] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "proc",
    "pstore",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// File systems whose server may be gone: asking how large they are may hang.
fn is_remote(kind: &str) -> bool {
    kind.starts_with("nfs")
        || kind.starts_with("fuse")
        || matches!(kind, "cifs" | "smb3" | "9p" | "ceph" | "afs" | "glusterfs")
}

pub(super) fn mounts(machine: &Machine) -> Option<Value> {
    let table = machine.read("/proc/self/mounts")?;
    // Blanks are written in octal.
    let plain = |field: &str| field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    let mount = |line: &str| {
        let fields: Vec<String> = line.split(' ').map(plain).collect();
        let [source, path, kind, options, ..] = fields.as_slice() else { return None };
        if VIRTUAL.contains(&&**kind) {
            return None;
        }
        let room = (machine.is_here() && !is_remote(kind)).then(|| nix::sys::statvfs::statvfs(&**path).ok()).flatten();
        let mb = |blocks: fn(&nix::sys::statvfs::Statvfs) -> u64| {
            number(room.as_ref().map(|room| blocks(room).saturating_mul(room.fragment_size()) >> 20))
        };
        Some(Value::object([
            ("path", text(Some(&**path))),
            ("source", text(Some(&**source))),
            ("type", text(Some(&**kind))),
            ("options", Value::list(Type::String, options.split(',').map(Value::from).collect::<Vec<_>>())),
            ("size_mb", mb(|room| room.blocks())),
            ("available_mb", mb(|room| room.blocks_available())),
        ]))
    };
    list("mounts", table.lines().filter_map(mount).collect::<Vec<_>>())
}
