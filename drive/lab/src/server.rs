//! `lab_server`: a system container with its own files, processes, network and limits.
//!
//! What a server is, is its record, its address and its own layer of files. Its processes come and go: one that does
//! not run, as after a reboot, is started again with all of that.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use andon_schema::{Failure, Identity};
use andon_value::{Number, Type, Value};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::aside::aside;
use crate::attach::Attached;
use crate::cgroup::{Group, Hierarchies};
use crate::console;
use crate::failure::{OrFail, sentence};
use crate::kind::Kind;
use crate::lab::{Found, Made};
use crate::life;
use crate::names;
use crate::netlink::{self, Netlink};
use crate::network::{self, Range, interface};
use crate::plan::complete;
use crate::records::{Lock, Record, Records, absent_is_fine, make_private};
use crate::seed::Seed;
use crate::spawn::{self, Order, Spawner, Started};
use crate::spec::ServerSpec;
use crate::units::format_bytes;
use crate::vm::{self, Login, Size, Waiting};
use crate::{address, attach, machine, users};

/// How long an init may take until all of its units are up; on an idle machine it takes a fraction of a second, and a
/// hundred at once share the processors.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// How long a server may take to stop by itself.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How long the kernel may take to remove the interface of a server whose processes have ended, before it is asked to:
/// it removes many in the time of one, where asking takes its time for each.
const LINK_LIMIT: Duration = Duration::from_secs(2);

/// The file in a server's directory that names the layers which it was started from last.
const LAYERS: &str = "layers";
/// The file in a server's directory that says that it was started for the first time, and nobody has found yet that it is what
/// it must be.
const NEW: &str = "new";

/// A lab's records, its spawner, and the lock of the identity at hand.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub records: &'a Records,
    pub spawner: &'a Spawner,
    pub lock: &'a Lock,
    /// The image of a machine of its own, as a disk.
    pub disk: Option<&'a Path>,
    /// Whether the user asks for an end.
    pub interrupt: &'a AtomicBool,
}

pub(crate) fn create(
    ground: Ground<'_>,
    identity: &Identity,
    owner: &str,
    planned: &Value,
    lower: &[PathBuf],
) -> Result<Made, Failure> {
    let records = ground.records;
    let spec = ServerSpec::decode(planned)?;
    check_layers(lower)?;
    if let Some(machine) = spec.machine {
        vm::require(machine, lower)?;
    }
    let range = network::range(records, &spec.network)?;
    let nothing_yet = complete(planned, [("address", Value::null(Type::String)), ("connection", Value::NULL)]);
    records.write_soon(identity, &Record::new(Kind::Server, owner, nothing_yet))?;
    let address = take_address(records, identity, &spec, &range)?;
    let value = complete(
        planned,
        [
            ("id", Value::from(identity.as_str())),
            ("address", Value::from(address.to_string())),
            ("connection", connection(identity, address)),
            ("created", life::now()),
        ],
    );
    records.write_soon(identity, &Record::new(Kind::Server, owner, value.clone()))?;
    // What is known of it goes to the disk while it boots.
    let (notes, synced) = std::thread::scope(|scope| {
        let sync = std::thread::Builder::new().spawn_scoped(scope, || records.sync(identity));
        let notes = match spec.running {
            true => start(ground, identity, &spec, address, lower),
            false => attach::claim(records, identity, &spec.attached).map(|()| Vec::new()),
        };
        // Where there may be no more threads, it goes there now.
        let synced = sync.map_or_else(|_| records.sync(identity), |sync| sync.join().unwrap_or(Ok(())));
        (notes, synced)
    });
    synced?;
    Ok(Made { value, notes: notes? })
}

pub(crate) fn connection(identity: &Identity, address: Ipv4Addr) -> Value {
    Value::object([
        ("kind", Value::from("lab")),
        ("identity", Value::from(identity.as_str())),
        ("address", Value::from(address.to_string())),
    ])
}

/// Has the file system keep servers apart from each other. Else ext4 puts the files of all into one group of blocks, and
/// each overlay that is mounted leaves inodes there which were in use in the last five seconds: whoever wants a new one
/// goes past all of them, so that a thousand servers would take four times what they take.
fn apart(directory: &Path) -> io::Result<()> {
    let Some(servers) = directory.parent().filter(|servers| !servers.exists()) else { return Ok(()) };
    fs::create_dir_all(servers)?;
    let opened = File::open(servers)?;
    // A file system of another kind has no such flag.
    let _ = ioctl_getflags(&opened).and_then(|flags| ioctl_setflags(&opened, flags | IFlags::TOPDIR));
    Ok(())
}

/// Starts a server that does not run, with its address and its own files, and waits until it is up.
fn start(
    ground: Ground<'_>,
    identity: &Identity,
    spec: &ServerSpec,
    address: Ipv4Addr,
    lower: &[PathBuf],
) -> Result<Vec<String>, Failure> {
    let records = ground.records;
    let directory = records.directory(Kind::Server, identity.as_str());
    let failed = || format!("cannot make {}", directory.display());
    apart(&directory).or_fail(failed)?;
    // Where its network has no names, nobody else does it.
    console::shorten_in(&directory);
    // What its users may not read of each other is nobody else's on this machine.
    make_private(&directory).or_fail(failed)?;
    let layers = directory.join(LAYERS);
    if !layers.exists() {
        fs::write(directory.join(NEW), "").or_fail(failed)?;
    }
    fs::write(&layers, serde_json::json!(lower).to_string())
        .or_fail(|| format!("cannot write {}", layers.display()))?;
    if spec.machine.is_some() {
        return vm::start(ground, identity, spec, address, take_users(records, identity)?);
    }
    let mut notes = machine::raise_limits();
    let range = network::range(records, &spec.network)?;
    let resolvers = names::resolvers(records, &spec.network, range.gateway);
    if resolvers.is_empty() {
        notes.push(format!(
            "This machine has no resolver that a server can reach: `{}` will not resolve names.",
            spec.name
        ));
    }
    if !directory.join("upper/etc/machine-id").exists() {
        let said = spec.seed.write(&directory, lower, identity.as_str(), &spec.name);
        notes.extend(said.or_fail(|| format!("cannot write into {}", directory.display()))?);
    }
    attach::claim(records, identity, &spec.attached)?;
    let in_realm = records.realm().is_some();
    let order = Order {
        identity: identity.to_string(),
        name: spec.name.clone(),
        directory: directory.clone(),
        lower: lower.to_vec(),
        on_host: spec.on_host,
        address,
        gateway: range.gateway,
        mtu: network::mtu(&spec.network),
        memory: spec.memory,
        cpus: spec.cpus,
        processes: spec.processes,
        read_only_root: spec.read_only_root,
        supervised: spec.supervised,
        command: spec.command.clone(),
        resolvers,
        users: Some(if in_realm { 0 } else { take_users(records, identity)? }),
        in_realm,
        places: spec.attached.iter().map(|attached| attached.path.clone()).collect(),
    };
    let started = ground.spawner.start(ground.lock, &order, &|| attach::mounts(records, &spec.attached))?;
    notes.extend(started.note.clone());
    if !wait_until_up(&started, &directory)? {
        let name = &spec.name;
        notes.push(format!("`{name}` runs, but not all of its units were up after {} s.", BOOT_LIMIT.as_secs()));
    }
    Ok(notes)
}

/// Whether it was never started, or was and nobody has accepted it yet.
pub(crate) fn is_new(records: &Records, identity: &Identity) -> bool {
    let directory = records.directory(Kind::Server, identity.as_str());
    !directory.join(LAYERS).exists() || directory.join(NEW).exists()
}

/// It is what it must be.
pub(crate) fn accept(records: &Records, identity: &Identity) -> Result<(), Failure> {
    let mark = records.directory(Kind::Server, identity.as_str()).join(NEW);
    absent_is_fine(fs::remove_file(&mark)).or_fail(|| format!("cannot remove {}", mark.display()))
}

/// Has a new server be as it was before it was started.
pub(crate) fn discard_start(records: &Records, identity: &Identity) -> Result<(), Failure> {
    let record = records.read(identity.as_str()).filter(|record| record.kind == Kind::Server);
    let Some(record) = record.filter(|_| is_new(records, identity)) else {
        return Err(Failure::new("the server is not new", "What it wrote is kept."));
    };
    // On record first: whoever is killed here leaves one that is still new, and is not to run.
    let stopped = complete(&record.value, [("running", Value::from(false))]);
    records.write(identity, &Record { value: stopped, ..record })?;
    group(identity)?.destroy()?;
    remove_link(identity)?;
    give_users_back(records, identity)?;
    let directory = records.directory(Kind::Server, identity.as_str());
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))
}

/// The range of user numbers that a server has, or takes now. Which one that is, is in a file of its own.
fn take_users(records: &Records, identity: &Identity) -> Result<u32, Failure> {
    let is_known = |holder: &str| Identity::parse(holder).is_some_and(|holder| records.exists(&holder));
    let path = records.directory(Kind::Server, identity.as_str()).join("users");
    let intend = |first: u32| fs::write(&path, first.to_string());
    users::take(&records.users(), identity.as_str(), is_known, intend)
        .or_fail(|| "cannot take a range of user numbers".into())
}

fn give_users_back(records: &Records, identity: &Identity) -> Result<(), Failure> {
    let path = records.directory(Kind::Server, identity.as_str()).join("users");
    let Some(first) = fs::read_to_string(path).ok().and_then(|text| text.parse().ok()) else { return Ok(()) };
    users::give_back(&records.users(), identity.as_str(), first)
        .or_fail(|| "cannot give a range of user numbers back".into())
}

/// In place change the limits, the name, and whether it runs.
pub(crate) fn update(
    ground: Ground<'_>,
    identity: &Identity,
    record: &Record,
    planned: &Value,
    lower: &[PathBuf],
) -> Result<Made, Failure> {
    let spec = ServerSpec::decode(planned)?;
    let address = spec.address.ok_or_else(|| Failure::new("the server has no address", "It was never made whole."))?;
    let value = complete(planned, [("connection", connection(identity, address))]);
    if spec.machine.is_some() {
        return update_machine(ground, identity, record, value, &spec, address, lower);
    }
    let group = group(identity)?;
    let mut notes = Vec::new();
    let running = init(&group);
    let is_renamed = record.value.get_str("name") != Some(&*spec.name);
    let before = attach::all(&record.value);
    attach::check(ground.records, identity, &spec.attached)?;
    let has_other_keys = Seed::decode(&record.value).keys != spec.seed.keys;
    if let (Some(init), true) = (running, spec.running) {
        attach::detach(ground.records, init, &before, &spec.attached)?;
    }
    let gone: Vec<Attached> = before.into_iter().filter(|attached| !spec.attached.contains(attached)).collect();
    // What the server shall be is on record before it is made so: a start that is cut short is repeated as it was meant.
    ground.records.write(identity, &Record { value: value.clone(), ..record.clone() })?;
    match (running, spec.running) {
        (Some(init), true) => {
            group.limit_memory(spec.memory)?;
            group.limit_cpus(spec.cpus)?;
            group.limit_processes(spec.processes)?;
            if is_renamed {
                rename(init, &spec.name, address).or_fail(|| "cannot rename the server".into())?;
            }
            if has_other_keys {
                spec.seed.give_keys(init).or_fail(|| "cannot change the keys of its root".into())?;
            }
            attach::release(ground.records, identity, &gone)?;
            attach::claim(ground.records, identity, &spec.attached)?;
            attach::attach(ground.records, init, &spec.attached)?;
        }
        (running, starts) => {
            if let Some(init) = running {
                stop(&group, init)?;
            }
            group.destroy()?;
            let directory = ground.records.directory(Kind::Server, identity.as_str());
            // One that was never started has no files yet: its first start writes them.
            let has_files = directory.join("upper/etc/machine-id").exists();
            if is_renamed && has_files {
                spawn::write_names(&directory, &spec.name, address).or_fail(|| "cannot rename the server".into())?;
            }
            if has_other_keys && has_files {
                spec.seed.write_keys(&directory, lower).or_fail(|| "cannot change the keys of its root".into())?;
            }
            attach::release(ground.records, identity, &gone)?;
            attach::claim(ground.records, identity, &spec.attached)?;
            if starts {
                check_layers(lower)?;
                notes = start(ground, identity, &spec, address, lower)?;
            }
        }
    }
    Ok(Made { value, notes })
}

/// Makes a machine run, or not, as it shall be: another number of processors or amount of memory has it start again.
fn update_machine(
    ground: Ground<'_>,
    identity: &Identity,
    record: &Record,
    value: Value,
    spec: &ServerSpec,
    address: Ipv4Addr,
    lower: &[PathBuf],
) -> Result<Made, Failure> {
    let group = group(identity)?;
    let directory = ground.records.directory(Kind::Server, identity.as_str());
    let before = attach::all(&record.value);
    let gone: Vec<Attached> = before.into_iter().filter(|attached| !spec.attached.contains(attached)).collect();
    attach::check(ground.records, identity, &spec.attached)?;
    let running = vm::running(&group);
    let staying = running.filter(|process| spec.running && Size::now(*process) == Some(Size::of(spec)));
    match staying {
        Some(_) => vm::detach_disks(&directory, address, &gone)?,
        // Its table of file systems is written anew when it is up next.
        None if !gone.is_empty() => vm::open(&directory)?,
        None => {}
    }
    ground.records.write(identity, &Record { value: value.clone(), ..record.clone() })?;
    if let Some(process) = running.filter(|_| staying.is_none()) {
        vm::stop(&group, process, &directory, address)?;
    }
    attach::release(ground.records, identity, &gone)?;
    attach::claim(ground.records, identity, &spec.attached)?;
    let disk = spec.machine.and_then(|machine| machine.disk);
    let mut notes = Vec::new();
    if let Some(process) = staying {
        vm::grow_own(&directory, disk)?;
        vm::attach_disks(ground.records, &directory, process, address, (&spec.attached, disk))?;
    } else if spec.running {
        group.destroy()?;
        if running.is_some() {
            notes.push(format!("`{}` was started again, as its memory or its processors have changed.", spec.name));
        }
        notes.extend(start(ground, identity, spec, address, lower)?);
    }
    // Also of one that stays: of a processor more than another it may have a part.
    if spec.running {
        group.limit_cpus(spec.cpus)?;
    }
    Ok(Made { value, notes })
}

/// How a machine of its own is logged in to, if it runs.
pub(crate) fn login(records: &Records, identity: &Identity) -> Option<Login> {
    let record = records.read(identity.as_str()).filter(|record| record.kind == Kind::Server)?;
    let address = record.value.get_str("address")?.parse().ok()?;
    let runs = vm::is_machine(&record.value) && vm::running(&group(identity).ok()?).is_some();
    runs.then(|| vm::login(&records.directory(Kind::Server, identity.as_str()), address))
}

/// Stops and starts a server.
pub(crate) fn restart(ground: Ground<'_>, identity: &Identity, record: &Record) -> Result<Vec<String>, Failure> {
    let spec = ServerSpec::decode(&record.value)?;
    if !spec.running {
        let summary = format!("`{}` is defined as stopped", spec.name);
        return Err(Failure::new(summary, "Its definition says `running = false`, and a restart would start it.")
            .help("Set `running = true`, or leave it out, and run `andon up`."));
    }
    let address = spec.address.ok_or_else(|| Failure::new("the server has no address", "It was never made whole."))?;
    let layers = fs::read(ground.records.directory(Kind::Server, identity.as_str()).join(LAYERS)).unwrap_or_default();
    let lower: Vec<PathBuf> = serde_json::from_slice(&layers).unwrap_or_default();
    if lower.is_empty() {
        let detail = "It is not known what its root file system is made of: it was made, and not started.";
        return Err(
            Failure::new(format!("`{}` has never run", spec.name), detail).help("Run `andon up`, which starts it.")
        );
    }
    check_layers(&lower)?;
    let group = group(identity)?;
    if let Some(process) = vm::running(&group).filter(|_| spec.machine.is_some()) {
        vm::stop(&group, process, &ground.records.directory(Kind::Server, identity.as_str()), address)?;
    } else if let Some(init) = init(&group) {
        stop(&group, init)?;
    }
    group.destroy()?;
    start(ground, identity, &spec, address, &lower)
}

/// Has a server end all that it does, and what does not end is killed.
fn stop(group: &Group, init: i32) -> Result<(), Failure> {
    let systemd = fs::read_link(format!("/proc/{init}/exe"))
        .is_ok_and(|program| program.file_name().is_some_and(|name| name == "systemd"));
    // What systemd takes as "halt", systemd(1); any other init is told to end.
    let signal = if systemd { libc::SIGRTMIN() + 3 } else { libc::SIGTERM };
    // SAFETY: touches no memory.
    unsafe { libc::kill(init, signal) };
    let deadline = Instant::now() + STOP_LIMIT;
    while Instant::now() < deadline && has_namespaces(init) {
        std::thread::sleep(Duration::from_millis(5));
    }
    group.destroy()
}

/// Gives a server that runs another name: at once, and in the files that say so.
fn rename(init: i32, name: &str, address: Ipv4Addr) -> io::Result<()> {
    let names = File::open(format!("/proc/{init}/ns/uts"))?;
    // A thread can have a name of its machine of its own.
    aside(|| {
        nix::sched::setns(names, nix::sched::CloneFlags::CLONE_NEWUTS)?;
        Ok(nix::unistd::sethostname(name)?)
    })?;
    let root = File::options().read(true).open(format!("/proc/{init}/root"))?;
    for (path, text) in spawn::names(name, address) {
        // No link of the server's leads out of its root file system.
        let how = OpenHow::new()
            // A pipe of the server's that nobody reads is not waited for.
            .flags(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
            .mode(Mode::from_bits_truncate(0o644))
            .resolve(ResolveFlag::RESOLVE_IN_ROOT);
        File::from(openat2(root.as_fd(), path, how)?).write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Kills it: what is deleted need not be shut down with care.
pub(crate) fn delete(records: &Records, identity: &Identity) -> Result<(), Failure> {
    group(identity)?.destroy()?;
    if let Some(record) = records.read(identity.as_str()).filter(|record| record.kind == Kind::Server) {
        attach::release(records, identity, &attach::all(&record.value))?;
    }
    remove_link(identity)?;
    give_users_back(records, identity)?;
    let directory = records.directory(Kind::Server, identity.as_str());
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))?;
    give_address_back(records, identity)
}

/// The kernel removes the interface when the server's network has nobody left in it.
fn remove_link(identity: &Identity) -> Result<(), Failure> {
    let interface = interface("av", identity.as_str());
    let deadline = Instant::now() + LINK_LIMIT;
    while Instant::now() < deadline {
        if netlink::index(&interface).is_err() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut netlink = Netlink::open().or_fail(|| "cannot talk to the kernel about networks".into())?;
    netlink.delete_link(&interface).map(drop).or_fail(|| format!("cannot remove the interface {interface}"))
}

fn give_address_back(records: &Records, identity: &Identity) -> Result<(), Failure> {
    let folder = |network: &str| records.directory(Kind::Network, network).join("addresses");
    let failed = |folder: &Path| format!("cannot give back an address in {}", folder.display());
    let known = records.read(identity.as_str()).and_then(|record| {
        let address = record.value.get_str("address")?.parse().ok()?;
        Some((folder(record.value.get_str("network")?), address))
    });
    if let Some((folder, address)) = known {
        return address::give_one_back(&folder, address, identity.as_str()).or_fail(|| failed(&folder));
    }
    // One that was cut off before its address was on record.
    for network in fs::read_dir(records.directory(Kind::Network, "")).into_iter().flatten().flatten() {
        let folder = network.path().join("addresses");
        address::give_back(&folder, identity.as_str()).or_fail(|| failed(&folder))?;
    }
    Ok(())
}

/// The server as it is; `None` where nothing is known of it.
pub(crate) fn read(records: &Records, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
    if records.read(identity.as_str()).is_none() {
        return Ok(None);
    }
    let group = group(identity)?;
    if vm::is_machine(prior) {
        let process = vm::running(&group);
        let asked = Size::of(&ServerSpec::decode(prior)?);
        let directory = records.directory(Kind::Server, identity.as_str());
        // One that is of another size than it was last known to be was cut off on its way there.
        let other = |is_other: fn(Size, Size) -> bool| process.and_then(Size::now).filter(|now| is_other(*now, asked));
        let as_it_was = |name: &str| prior.get(name).cloned().unwrap_or(Value::NULL);
        let memory = other(|now, asked| now.memory_mib != asked.memory_mib);
        let memory = memory.map_or_else(|| as_it_was("memory"), |now| Value::from(format_bytes(now.memory_mib << 20)));
        let cpus = other(|now, asked| now.processors != asked.processors);
        let cpus = match (cpus, process) {
            (Some(now), _) => Value::from(now.processors as i64),
            // How many processors it sees says nothing of parts of one.
            (None, Some(_)) => cpus_now(&group, prior, ServerSpec::decode(prior)?.cpus),
            (None, None) => as_it_was("cpus"),
        };
        let running = Value::from(process.is_some());
        let bytes = vm::grown(&directory);
        let disk = match ServerSpec::decode(prior)?.machine.and_then(|machine| machine.disk) {
            Some(asked) if bytes != Some(asked) && process.is_some() => {
                bytes.map_or(Value::null(Type::String), |bytes| Value::from(format_bytes(bytes)))
            }
            _ => as_it_was("disk"),
        };
        let now = complete(prior, [("memory", memory), ("cpus", cpus), ("disk", disk), ("running", running)]);
        let has = |process| attach::only(now.clone(), |it| vm::has_disk(records, &directory, process, it));
        return Ok(Some(process.map_or(now.clone(), has)));
    }
    if init(&group).is_none() {
        return Ok(Some(complete(prior, [("running", Value::from(false))])));
    }
    let spec = ServerSpec::decode(prior)?;
    let unchanged = |name: &str| prior.get(name).cloned().unwrap_or(Value::NULL);
    let memory = match group.memory_limit() {
        limit if limit == spec.memory.map(whole_pages) => unchanged("memory"),
        limit => limit.map_or(Value::null(Type::String), |bytes| Value::from(format_bytes(bytes))),
    };
    let cpus = cpus_now(&group, prior, spec.cpus);
    let processes = match group.process_limit() {
        limit if limit == spec.processes => unchanged("processes"),
        limit => limit.map_or(Value::null(Type::Number), |count| Value::from(count as i64)),
    };
    let running = Value::from(true);
    let prior = &attach::read(records, init(&group), prior.clone());
    Ok(Some(complete(prior, [("memory", memory), ("cpus", cpus), ("processes", processes), ("running", running)])))
}

/// How much of processors a group may have, as it is known where that is what was asked for.
fn cpus_now(group: &Group, prior: &Value, asked: Option<f64>) -> Value {
    match (group.cpu_limit(), asked) {
        (None, None) => prior.get("cpus").cloned().unwrap_or(Value::NULL),
        (Some(now), Some(asked)) if (now - asked).abs() < 0.011 => prior.get("cpus").cloned().unwrap_or(Value::NULL),
        (now, _) => now.and_then(Number::from_f64).map_or(Value::null(Type::Number), Value::from),
    }
}

/// What came of a create: a server whose init serves is complete, because the init is the last that is started.
pub(crate) fn resolve(
    records: &Records,
    interrupt: &AtomicBool,
    identity: &Identity,
    record: &Record,
) -> Result<Found, Failure> {
    let directory = records.directory(Kind::Server, identity.as_str());
    if record.value.get_str("address").is_none() {
        return Ok(Found::Partial);
    }
    let spec = ServerSpec::decode(&record.value)?;
    if let (Some(_), Some(address), true) = (spec.machine, spec.address, spec.running) {
        let Some(process) = vm::running(&group(identity)?) else { return Ok(Found::Partial) };
        let waiting = Waiting { directory: &directory, interrupt };
        match vm::wait_until_serving(waiting, process, address) {
            Err(failure) if interrupt.load(Ordering::Relaxed) => return Err(failure),
            Err(_) => return Ok(Found::Partial),
            Ok(()) => {}
        }
    } else if spec.running {
        let Some(init) = init(&group(identity)?) else { return Ok(Found::Partial) };
        if wait_until_serving(init, &directory).is_err() {
            return Ok(Found::Partial);
        }
    }
    Ok(read(records, identity, &record.value)?.map_or(Found::Partial, Found::Complete))
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

/// Whether a server can have an address in a network at all.
pub(crate) fn check_address(wanted: Ipv4Addr, range: &Range) -> Result<(), Failure> {
    let wrong = |what: &str, why: String| {
        Err(Failure::new(format!("the address {wanted} {what}"), why)
            .help("Choose another one, or leave `address` out to have a free one chosen.")
            .about("address"))
    };
    if !range.net.contains(&wanted) || [range.net.network(), range.net.broadcast()].contains(&wanted) {
        return wrong("is not in the network", format!("The network has {}.", range.net));
    }
    if wanted == range.gateway {
        return wrong("is taken", "It is the network's gateway: this machine.".to_owned());
    }
    Ok(())
}

fn take_address(records: &Records, identity: &Identity, spec: &ServerSpec, range: &Range) -> Result<Ipv4Addr, Failure> {
    let net = range.net;
    spec.address.map_or(Ok(()), |wanted| check_address(wanted, range))?;
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
            Failure::new(format!("the address {wanted} is taken"), detail).about("address")
        }
        None => Failure::new("the network has no address left", format!("All of {net} are taken."))
            .help("Give the network a larger `cidr`, or make another network.")
            .about("network"),
    })
}

/// Whether a server of this identity runs, as a container or as a machine of its own.
pub(crate) fn runs(identity: &Identity) -> bool {
    group(identity).is_ok_and(|group| init(&group).is_some() || vm::running(&group).is_some())
}

/// The first process of a server of this identity, if it runs and is a container.
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

/// Waits until a server that was started is up: systemd says when all its units are; others are taken to be up once
/// they run. False where the time is over and it runs nevertheless.
fn wait_until_up(started: &Started, directory: &Path) -> Result<bool, Failure> {
    let ended = || Failure::new("the server's init ended", last_words(directory));
    let end = started.end.as_fd();
    let Some(notify) = &started.notify else {
        return if is_readable(&[end], Duration::ZERO).is_some() { Err(ended()) } else { Ok(true) };
    };
    let notify = notify.try_clone().map(UnixDatagram::from).or_fail(|| "cannot listen to the server's init".into())?;
    let begin = Instant::now();
    let mut words = [0; 4096];
    while let Some(left) = BOOT_LIMIT.checked_sub(begin.elapsed()) {
        match is_readable(&[end, notify.as_fd()], left) {
            Some(0) => return Err(ended()),
            Some(_) => {
                let count = notify.recv(&mut words).or_fail(|| "cannot listen to the server's init".into())?;
                let words = words.get(..count).unwrap_or_default();
                if words.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                    return Ok(true);
                }
            }
            None => {}
        }
    }
    Ok(false)
}

/// The first of these that can be read, once one can be or the time is over.
fn is_readable(files: &[BorrowedFd<'_>], limit: Duration) -> Option<usize> {
    let mut fds: Vec<PollFd<'_>> = files.iter().map(|file| PollFd::new(*file, PollFlags::POLLIN)).collect();
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, limit) {
        Ok(0) | Err(Errno::EINTR) => None,
        _ => fds.iter().position(|fd| fd.any().unwrap_or(true)),
    }
}

/// Waits until an init that somebody else started can be asked to do things. For systemd that is when it answers on its
/// own socket.
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
    if fs::read_to_string(process.join("comm"))? == "andon-init\n" {
        return Ok(true);
    }
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

/// What a server's init and what it started wrote to the console, since the server was made.
pub(crate) fn console(records: &Records, identity: &Identity) -> io::Result<Vec<u8>> {
    console::read(&records.directory(Kind::Server, identity.as_str()))
}

/// What a server's init had to say, as the end of a message.
fn last_words(directory: &Path) -> String {
    let said = console::read(directory).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.get(lines.len().saturating_sub(10)..) {
        Some(last) if !last.is_empty() => sentence(&format!("It said at last: {}", last.join("\n"))),
        _ => "It said nothing.".to_owned(),
    }
}
