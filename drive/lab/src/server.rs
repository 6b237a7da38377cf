//! `lab_server`: a system container with its own files, processes, network and limits.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use andon_schema::{Failure, Identity};
use andon_value::{Number, Type, Value};

use crate::cgroup::{Group, Hierarchies};
use crate::failure::{OrFail, sentence};
use crate::kind::Kind;
use crate::lab::{Found, Made};
use crate::netlink::Netlink;
use crate::network::{self, Range, interface};
use crate::plan::complete;
use crate::records::{Lock, Record, Records, absent_is_fine};
use crate::spawn::{self, Order};
use crate::spec::ServerSpec;
use crate::units::format_bytes;
use crate::{address, machine};

/// How long an init may take until it serves; on an idle machine it takes a fraction of a second.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn create(
    records: &Records,
    helper: &Path,
    lock: &Lock,
    identity: &Identity,
    owner: &str,
    planned: &Value,
    lower: &[PathBuf],
) -> Result<Made, Failure> {
    let spec = ServerSpec::decode(planned)?;
    check_layers(lower)?;
    let range = network::range(records, &spec.network)?;
    let nothing_yet = complete(planned, [("address", Value::null(Type::String)), ("connection", Value::NULL)]);
    records.write(identity, &Record { kind: Kind::Server, owner: owner.to_owned(), value: nothing_yet })?;
    let address = take_address(records, identity, &spec, &range)?;
    let connection = Value::object([
        ("kind", Value::from("lab")),
        ("identity", Value::from(identity.as_str())),
        ("address", Value::from(address.to_string())),
    ]);
    let value = complete(
        planned,
        [
            ("id", Value::from(identity.as_str())),
            ("address", Value::from(address.to_string())),
            ("connection", connection),
        ],
    );
    records.write(identity, &Record { kind: Kind::Server, owner: owner.to_owned(), value: value.clone() })?;
    let directory = records.directory(Kind::Server, identity.as_str());
    fs::create_dir_all(&directory).or_fail(|| format!("cannot make {}", directory.display()))?;
    let mut notes: Vec<String> = machine::raise_inotify_limit().into_iter().collect();
    let resolvers = machine::resolvers();
    if resolvers.is_empty() {
        notes.push(format!(
            "This machine has no resolver that a server can reach: `{}` will not resolve names.",
            spec.name
        ));
    }
    let order = Order {
        identity: identity.to_string(),
        name: spec.name,
        directory: directory.clone(),
        lower: lower.to_vec(),
        address,
        gateway: range.gateway,
        net: range.net,
        bridge: interface("an", &spec.network),
        memory: spec.memory,
        cpus: spec.cpus,
        resolvers,
    };
    let init = spawn::run(helper, lock, &order)?;
    wait_until_serving(init, &directory)?;
    Ok(Made { value, notes })
}

/// In place change the limits.
pub(crate) fn update(
    records: &Records,
    identity: &Identity,
    record: &Record,
    planned: &Value,
) -> Result<Made, Failure> {
    let spec = ServerSpec::decode(planned)?;
    let group = group(identity)?;
    if init(&group).is_none() {
        return Err(Failure::new("the server does not run", "It was killed, or its init ended."));
    }
    group.limit_memory(spec.memory)?;
    group.limit_cpus(spec.cpus)?;
    records.write(identity, &Record { value: planned.clone(), ..record.clone() })?;
    Ok(Made { value: planned.clone(), notes: Vec::new() })
}

/// Kills it: a server is replaced, not kept, so there is nothing in it to be shut down with care.
pub(crate) fn delete(records: &Records, identity: &Identity) -> Result<(), Failure> {
    group(identity)?.destroy()?;
    let interface = interface("av", identity.as_str());
    let mut netlink = Netlink::open().or_fail(|| "cannot talk to the kernel about networks".into())?;
    netlink.delete_link(&interface).or_fail(|| format!("cannot remove the interface {interface}"))?;
    let directory = records.directory(Kind::Server, identity.as_str());
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))?;
    let networks = records.directory(Kind::Network, "");
    for network in fs::read_dir(networks).into_iter().flatten().flatten() {
        let folder = network.path().join("addresses");
        address::give_back(&folder, identity.as_str())
            .or_fail(|| format!("cannot give back an address in {}", folder.display()))?;
    }
    Ok(())
}

/// The server as it is; `None` where its init no longer runs.
pub(crate) fn read(identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
    let group = group(identity)?;
    if init(&group).is_none() {
        return Ok(None);
    }
    let spec = ServerSpec::decode(prior)?;
    let unchanged = |name: &str| prior.get(name).cloned().unwrap_or(Value::NULL);
    let memory = match group.memory_limit() {
        limit if limit == spec.memory.map(whole_pages) => unchanged("memory"),
        limit => limit.map_or(Value::null(Type::String), |bytes| Value::from(format_bytes(bytes))),
    };
    let cpus = match (group.cpu_limit(), spec.cpus) {
        (None, None) => unchanged("cpus"),
        (Some(now), Some(asked)) if (now - asked).abs() < 0.011 => unchanged("cpus"),
        (now, _) => now.and_then(Number::from_f64).map_or(Value::null(Type::Number), Value::from),
    };
    Ok(Some(complete(prior, [("memory", memory), ("cpus", cpus)])))
}

/// What came of a create: a server whose init serves is complete, because the init is the last that is started.
pub(crate) fn resolve(records: &Records, identity: &Identity, record: &Record) -> Result<Found, Failure> {
    let directory = records.directory(Kind::Server, identity.as_str());
    let Some(init) = init(&group(identity)?) else { return Ok(Found::Partial) };
    if wait_until_serving(init, &directory).is_err() {
        return Ok(Found::Partial);
    }
    Ok(read(identity, &record.value)?.map_or(Found::Partial, Found::Complete))
}

fn group(identity: &Identity) -> Result<Group, Failure> {
    Ok(Hierarchies::find()?.group(identity.as_str()))
}

/// Limits are kept in whole pages.
fn whole_pages(bytes: u64) -> u64 {
    bytes / 4096 * 4096
}

fn check_layers(lower: &[PathBuf]) -> Result<(), Failure> {
    if lower.is_empty() {
        return Err(Failure::new("the server has no root file system", "Its image has no layer."));
    }
    match lower.iter().find(|layer| !layer.is_dir()) {
        Some(layer) => Err(Failure::new("the server's image is gone", format!("{} is no directory.", layer.display()))
            .help("Bake the image again.")),
        None => Ok(()),
    }
}

fn take_address(records: &Records, identity: &Identity, spec: &ServerSpec, range: &Range) -> Result<Ipv4Addr, Failure> {
    let net = range.net;
    if let Some(wanted) = spec.address {
        if !net.hosts().any(|host| host == wanted) {
            return Err(Failure::new(
                format!("the address {wanted} is not in the network"),
                format!("The network has {net}."),
            ));
        }
        if wanted == range.gateway {
            return Err(Failure::new(
                format!("the address {wanted} is taken"),
                "It is the network's gateway: this machine.",
            ));
        }
    }
    let folder = records.directory(Kind::Network, &spec.network).join("addresses");
    let taken = address::take(&folder, &net, spec.address, identity.as_str());
    let taken = taken.or_fail(|| format!("cannot take an address in {}", folder.display()))?;
    taken.ok_or_else(|| match spec.address {
        Some(wanted) => {
            let holders = address::holders(&folder);
            let holder =
                holders.iter().find(|(address, _)| *address == wanted).map_or("another server", |(_, name)| name);
            let name = records.read(holder).and_then(|record| Some(record.value.get_str("name")?.to_owned()));
            let detail = format!("The server `{}` has it.", name.as_deref().unwrap_or(holder));
            Failure::new(format!("the address {wanted} is taken"), detail)
        }
        None => Failure::new("the network has no address left", format!("All of {net} are taken."))
            .help("Give the network a larger `cidr`, or make another network."),
    })
}

/// The first process of a server of this identity, if it runs.
pub(crate) fn running_init(identity: &Identity) -> Option<i32> {
    init(&group(identity).ok()?)
}

fn init(group: &Group) -> Option<i32> {
    group.find(|process| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        numbers.is_some_and(|numbers| {
            let numbers: Vec<&str> = numbers.split_whitespace().collect();
            numbers.len() > 1 && numbers.last() == Some(&"1") && has_namespaces(process)
        })
    })
}

/// Whether a process still lives in its namespaces: one that is ending has left them before it is gone.
fn has_namespaces(process: i32) -> bool {
    fs::read_link(format!("/proc/{process}/ns/mnt")).is_ok()
}

/// Waits until the init can be asked to do things. For systemd that is when it answers on its own socket; others are
/// taken to serve as soon as they run.
fn wait_until_serving(init: i32, directory: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(500);
    while start.elapsed() < BOOT_LIMIT {
        match serves(init) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(_) => return Err(Failure::new("the server's init ended", last_words(directory))),
        }
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(5));
    }
    let summary = format!("the server's init does not serve after {} s", BOOT_LIMIT.as_secs());
    Err(Failure::new(summary, last_words(directory)))
}

/// An error where the process is gone.
fn serves(init: i32) -> io::Result<bool> {
    let process = PathBuf::from(format!("/proc/{init}"));
    let environment = fs::read(process.join("environ"))?;
    if !environment.split(|byte| *byte == 0).any(|variable| variable == b"container=oci") {
        return Ok(false);
    }
    let program = fs::read_link(process.join("exe"))?;
    if program.file_name().is_none_or(|name| name != "systemd") {
        return Ok(true);
    }
    Ok(UnixStream::connect(process.join("root/run/systemd/private")).is_ok())
}

/// What a server's init had to say, as the end of a message.
fn last_words(directory: &Path) -> String {
    let said = fs::read_to_string(spawn::console(directory)).unwrap_or_default();
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.get(lines.len().saturating_sub(10)..) {
        Some(last) if !last.is_empty() => sentence(&format!("It said at last: {}", last.join("\n"))),
        _ => "It said nothing.".to_owned(),
    }
}
