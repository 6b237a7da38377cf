//! Starts servers: what happens around one. What happens inside it is in [`crate::inside`].
//!
//! A process of its own, with one thread, because a fork of a process with many may only do very little. Whoever has a
//! lab starts one at its first need, and sends it orders; it ends when nobody can send any more. With an order comes the
//! lock of the server's identity, which it holds until the order is done, and a way for the answer, which goes on to the
//! server's first process: that one says there what went wrong, hands over where it will say that it is up, and closes
//! it by becoming the init. Until that moment it is killed when this process is: so there is never half a server that
//! runs on, and never one that works on while its lock is free.

use std::ffi::c_long;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use andon_schema::Failure;
use serde_json::{Value as Json, json};

use crate::below::Below;
use crate::cgroup::{Group, Hierarchies};
use crate::devices;
use crate::failure::{OrFail, sentence};
use crate::helper::{self, check};
use crate::inside;
use crate::layers;
use crate::message::{self, Message};
use crate::names;
use crate::netlink::{Netlink, mac};
use crate::network::{self, interface};
use crate::realm;
use crate::records::Lock;
use crate::users;

/// A server to start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub identity: String,
    pub name: String,
    /// Where the server's own files are.
    pub directory: PathBuf,
    /// The image's layers, the topmost first.
    pub lower: Vec<PathBuf>,
    /// Whether it sees this machine's own `/usr` below a layer of its own.
    pub on_host: bool,
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
    /// The size of the network's packets.
    pub mtu: u32,
    pub memory: Option<u64>,
    pub cpus: Option<f64>,
    pub processes: Option<u64>,
    pub read_only_root: bool,
    /// Whether the supervisor is the init even where the image has one.
    pub supervised: bool,
    /// What the supervisor keeps running.
    pub command: Vec<String>,
    pub resolvers: String,
    /// The number that the kernel counts the server's root under; `None` where that is this machine's.
    pub users: Option<u32>,
    /// Whether this is in the realm of a user without root: then a server's users are those of the realm, in a user
    /// namespace of its own.
    pub in_realm: bool,
    /// Where what is attached to it is: a mount for each comes with the order.
    pub places: Vec<String>,
}

/// A server that was started.
#[derive(Debug)]
pub(crate) struct Started {
    /// Becomes readable when its init ends.
    pub end: OwnedFd,
    /// Where an init that says so says that it is up.
    pub notify: Option<OwnedFd>,
    /// What is to be said of how it was started.
    pub note: Option<String>,
}

/// The process that starts servers, as its owner sees it. Clones share one.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    /// This program, or another whose `main` begins with [`helper::helper_main`].
    program: PathBuf,
    process: Arc<Mutex<Option<Process>>>,
    /// Whether servers cannot have users of their own here.
    shares_users: Arc<AtomicBool>,
    /// Whether it was said that the kernel keeps no devices from servers.
    is_unconfined: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Process {
    orders: Option<Arc<OwnedFd>>,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders = None;
        // It ends by itself, as soon as it has done what it was told.
        let _ = self.child.wait();
    }
}

impl Spawner {
    /// One that is not started yet.
    pub fn new(program: PathBuf) -> Spawner {
        Spawner { program, process: Arc::default(), shares_users: Arc::default(), is_unconfined: Arc::default() }
    }

    /// Starts a server, and returns once its init runs. Where this machine lets it have no users of its own, it has none.
    /// `mounts` makes what is attached to it, anew for each attempt.
    pub fn start(
        &self,
        lock: &Lock,
        order: &Order,
        mounts: &dyn Fn() -> Result<Vec<OwnedFd>, Failure>,
    ) -> Result<Started, Failure> {
        let with_users = order.users.is_some() && !self.shares_users.load(Ordering::Relaxed);
        let first =
            self.attempt(lock, &Order { users: order.users.filter(|_| with_users), ..order.clone() }, mounts()?);
        let failure = match first {
            Ok(started) => return Ok(self.say_once(started)),
            // Whatever else went wrong is no reason to give a server more than it is to have.
            Err(NotStarted { failure, is_unmappable }) if !(with_users && is_unmappable) => return Err(failure),
            Err(NotStarted { failure, .. }) => failure,
        };
        let started = self.attempt(lock, &Order { users: None, ..order.clone() }, mounts()?);
        let started = self.say_once(started.map_err(|not_started| not_started.failure)?);
        let note = (!self.shares_users.swap(true, Ordering::Relaxed)).then(|| {
            format!(
                "Servers share the users of this machine: root of a server is root here, within its namespaces. With users of \
                 its own {failure}"
            )
        });
        let notes: Vec<String> = note.into_iter().chain(started.note).collect();
        Ok(Started { note: (!notes.is_empty()).then(|| notes.join(" ")), ..started })
    }

    /// Leaves out what was said of a server before: it is this machine's.
    fn say_once(&self, started: Started) -> Started {
        let note = started.note.filter(|_| !self.is_unconfined.swap(true, Ordering::Relaxed));
        Started { note, ..started }
    }

    fn attempt(&self, lock: &Lock, order: &Order, mounts: Vec<OwnedFd>) -> Result<Started, NotStarted> {
        let failed = || "cannot start the process that starts servers".to_owned();
        let (answers, for_answers) = message::pair().or_fail(failed)?;
        let text = order.to_json().to_string();
        // One that was killed meanwhile took no order, and is replaced once.
        let send = || {
            let orders = self.orders().or_fail(failed)?;
            let files = [lock.as_fd(), for_answers.as_fd()].into_iter().chain(mounts.iter().map(AsFd::as_fd));
            Ok::<_, Failure>(message::send(&orders, text.as_bytes(), &files.collect::<Vec<_>>()))
        };
        if send()?.is_err() {
            self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
            send()?.or_fail(failed)?;
        }
        drop((for_answers, mounts));
        await_start(&answers)
    }

    fn orders(&self) -> io::Result<Arc<OwnedFd>> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = process.as_ref().and_then(|process| process.orders.clone()) {
            return Ok(orders);
        }
        let (orders, theirs) = message::pair()?;
        let mut command = Command::new(&self.program);
        // In a group of its own, so that an interrupt at the terminal reaches only the program, which decides.
        command.arg(helper::SPAWN).process_group(0);
        command.current_dir("/").stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let orders = Arc::new(orders);
        *process = Some(Process { orders: Some(Arc::clone(&orders)), child });
        Ok(orders)
    }
}

/// Why a server was not started.
struct NotStarted {
    failure: Failure,
    /// Whether it is that it cannot have users of its own here.
    is_unmappable: bool,
}

impl From<Failure> for NotStarted {
    fn from(failure: Failure) -> NotStarted {
        NotStarted { failure, is_unmappable: false }
    }
}

/// Waits until the server's first process has closed its end of the way by becoming the init.
fn await_start(answers: &OwnedFd) -> Result<Started, NotStarted> {
    let (mut process, mut end, mut notify, mut failure, mut note) = (None, None, None, None, None);
    let failed = || "the process that starts servers does not answer".to_owned();
    while let Some(Message { bytes, files }) = message::receive(answers).or_fail(failed)? {
        let answer: Json = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Json::as_str).map(str::to_owned);
        if let Some(summary) = text("summary") {
            // What was said first is the cause; the way stays open for as long as anybody is at work.
            let is_unmappable = answer.get("unmappable").and_then(Json::as_bool) == Some(true);
            let help = answer.get("help").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
            let said = help.fold(Failure::new(summary, text("detail").unwrap_or_default()), Failure::help);
            failure = failure.or(Some(NotStarted { failure: said, is_unmappable }));
        }
        note = text("unconfined").or(note);
        let file = files.into_iter().next();
        match answer.get("process").and_then(Json::as_i64) {
            Some(number) => (process, end) = (Some(number), file),
            None => notify = file.or(notify),
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    // It closes its end, too, where it is killed; then it has no program any more.
    let runs = process.is_some_and(|process| fs::read_link(format!("/proc/{process}/exe")).is_ok());
    let end = end.filter(|_| runs).ok_or_else(|| {
        Failure::new("the process that starts servers ended", "It was killed before the server's init ran.")
    })?;
    Ok(Started { end, notify, note })
}

/// The file of a server that says where it looks for names.
pub(crate) const RESOLVERS: &str = "etc/resolv.conf";

/// The hidden command. Its standard input is the way of its orders.
pub(crate) fn helper() -> i32 {
    // SAFETY: touches no memory. Servers are nobody's children for long, and none is waited for.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    if layers::part_from_the_machine().is_err() {
        return 1;
    }
    let orders = io::stdin();
    loop {
        let Ok(Some(Message { bytes, mut files })) = message::receive(&orders) else { return 0 };
        // The lock is held, as a file that is open, until the end of this turn.
        let [_lock, answers, mounts @ ..] = files.as_slice() else { return 2 };
        let order = serde_json::from_slice(&bytes).ok().and_then(|json: Json| Order::from_json(&json));
        let Some(order) = order else { return 2 };
        if let Err(NotStarted { failure, is_unmappable }) = start(&order, answers, mounts) {
            refuse(answers, &failure, is_unmappable);
        }
        // The lock goes last: who has it next finds no volume that is still mounted here.
        files.drain(1..);
    }
}

fn refuse(answers: &OwnedFd, failure: &Failure, is_unmappable: bool) {
    let Failure { summary, detail, help, .. } = failure;
    let answer = json!({ "summary": summary, "detail": detail, "help": help, "unmappable": is_unmappable });
    // Whoever ordered it may be gone.
    let _ = message::send(answers, answer.to_string().as_bytes(), &[]);
}

fn start(order: &Order, answers: &OwnedFd, mounts: &[OwnedFd]) -> Result<(), NotStarted> {
    let group = Hierarchies::find()?.group(&order.identity);
    group.create()?;
    group.limit_memory(order.memory)?;
    group.limit_cpus(order.cpus)?;
    group.limit_processes(order.processes)?;
    write_files(order).or_fail(|| format!("cannot write into {}", order.directory.display()))?;
    let failed = || "cannot start the server's first process".to_owned();
    let directory = match group.is_listed() {
        true => None,
        false => Some(File::open(group.unified()).or_fail(failed)?),
    };
    // A user without root may not say which devices, and has none to give away.
    let confined = directory.as_ref().map_or(Ok(()), devices::confine);
    let unconfined = confined.err().filter(|_| !order.in_realm).map(|error| devices::unconfined(&error));
    let (go, for_go) = message::pair().or_fail(failed)?;
    // The child begins there: with users of its own it may not find its way through directories that are others'.
    std::env::set_current_dir(order.directory.join("root")).or_fail(failed)?;
    let cloned = clone_into(directory.as_ref(), order.users.is_some());
    if !matches!(cloned, Ok(None)) {
        std::env::set_current_dir("/").or_fail(failed)?;
    }
    let cloned = match cloned {
        Err(error) if order.users.is_some() && !order.in_realm => {
            let error = layers::unmappable(error);
            let is_unmappable = error.kind() == io::ErrorKind::Unsupported;
            return Err(NotStarted { failure: Failure::new(failed(), sentence(&error.to_string())), is_unmappable });
        }
        cloned => cloned.or_fail(failed)?,
    };
    let Some((process, end)) = cloned else {
        drop(for_go);
        become_server(order, &go, answers);
    };
    drop(go);
    if group.is_listed() {
        // Until it is told to go on, it ends with this process.
        group.list(process).or_fail(failed)?;
    }
    let started = json!({ "process": process, "unconfined": unconfined });
    // Whoever ordered it may be gone: then the server is found by its identity.
    let _ = message::send(answers, started.to_string().as_bytes(), &[end.as_fd()]);
    let prepared = give_root(order, &group, process, &for_go, mounts)
        .map_err(|error| ("cannot lay the server's files over its image", error))
        .and_then(|()| {
            let connected = group.add_to_version_1(process).and_then(|()| connect(order, process));
            connected.map_err(|error| ("cannot connect the server to its network", error))
        });
    match prepared {
        // One that has ended by now has said why.
        Ok(()) => drop(message::send(&for_go, b"!", &[])),
        Err(_) if has_ended(&end) => {}
        // Before the child learns that nothing comes of it.
        Err((what, error)) => {
            let is_unmappable = order.users.is_some() && !order.in_realm && error.kind() == io::ErrorKind::Unsupported;
            refuse(answers, &Failure::new(what, sentence(&error.to_string())), is_unmappable);
        }
    }
    Ok(())
}

/// Gives the server's first process its users, its root file system, and what is attached to it.
fn give_root(order: &Order, group: &Group, process: i32, for_go: &OwnedFd, mounts: &[OwnedFd]) -> io::Result<()> {
    let users = order.users.map(|first| {
        for map in ["uid_map", "gid_map"] {
            let numbers = match order.in_realm {
                true => realm::same_as_here(&fs::read_to_string(Path::new("/proc/self").join(map))?),
                false => format!("0 {first} {}\n", users::COUNT),
            };
            fs::write(format!("/proc/{process}/{map}"), numbers)?;
        }
        if group.is_listed() {
            return Ok((File::open(format!("/proc/{process}/ns/user"))?, first));
        }
        // Its root may have groups below, as delegation has it: cgroups(7).
        let unified = group.unified();
        for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            chown(unified.join(file), Some(first), Some(first))?;
        }
        Ok::<_, io::Error>((File::open(format!("/proc/{process}/ns/user"))?, first))
    });
    // What is mapped already is seen as it is.
    let users = users.transpose()?.filter(|_| !order.in_realm);
    let users = users.as_ref().map(|(users, first)| (users, *first));
    let laid = |lower: &[PathBuf], own| layers::lay(order, lower, own, users);
    let usr = order.on_host.then(|| laid(&[PathBuf::from(HOST_USR)], layers::USR)).transpose()?;
    let root = laid(&order.lower, layers::ROOT).map_err(|error| {
        let hint = "is the data directory on a file system that cannot hold a layer, such as another overlay? Choose another with ANDON_DATA_DIR";
        io::Error::new(error.kind(), format!("{error} ({hint})"))
    })?;
    if let Some((users, _)) = users {
        mounts.iter().try_for_each(|mount| layers::map(mount, users))?;
    }
    let files: Vec<_> = std::iter::once(&root).chain(&usr).chain(mounts).map(AsFd::as_fd).collect();
    message::send(for_go, b"root", &files)
}

/// What of this machine a server sees that is `on_host`.
const HOST_USR: &str = "/usr";

fn has_ended(process: &OwnedFd) -> bool {
    let mut poll = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, which lives through the call.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
}

/// The last that a forked child does here: it becomes the server or says why it cannot.
fn become_server(order: &Order, go: &OwnedFd, answers: &OwnedFd) -> ! {
    let error = inside::run(order, go, answers);
    refuse(answers, &Failure::new("the server could not be set up", sentence(&error.to_string())), false);
    // SAFETY: ends this process without running what belongs to its parent.
    unsafe { libc::_exit(1) }
}

/// linux/sched.h; the `libc` crate's own does not fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks into a control group, where there is one, and new namespaces. `None` in the child; else its number, and a file of its end.
fn clone_into(group: Option<&File>, with_users: bool) -> io::Result<Option<(i32, OwnedFd)>> {
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_PIDFD;
    let users = if with_users { libc::CLONE_NEWUSER } else { 0 };
    let mut end = -1;
    // SAFETY: all zeros are a sound `clone_args`.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = (namespaces | users) as u64 | group.map_or(0, |_| CLONE_INTO_CGROUP);
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = group.map_or(0, |group| group.as_raw_fd() as u64);
    arguments.pidfd = &raw mut end as u64;
    // SAFETY: without a stack of its own the child goes on with a copy of this process, which has one thread.
    let process = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match check(process as c_long)? {
        0 => Ok(None),
        // SAFETY: the kernel has just opened it, for this process alone.
        process => Ok(Some((process as i32, unsafe { OwnedFd::from_raw_fd(end) }))),
    }
}

fn connect(order: &Order, process: i32) -> io::Result<()> {
    let name = interface("av", &order.identity);
    let mut netlink = Netlink::open()?;
    let mut make = || netlink.create_veth(&name, mac(order.gateway), process, mac(order.address), order.mtu);
    match make() {
        // One of this identity that ended just now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Netlink::open()?.delete_link(&name)?;
            make()?;
        }
        made => made?,
    }
    // A server says nothing by IPv6, so this end need not either; where there is none, nothing is to be turned off.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    // Both ends know each other. What else a server says of who has which address is nobody's concern.
    netlink.set_without_arp(crate::netlink::index(&name)?)?;
    network::connect(&mut netlink, &name, order.address, order.gateway)
}

/// Makes the server's own layer, with the files that say who it is. What is there already stays: it is the server's.
fn write_files(order: &Order) -> io::Result<()> {
    for name in [layers::ROOT.upper, layers::ROOT.work, "root"] {
        fs::create_dir_all(order.directory.join(name))?;
    }
    if order.on_host {
        let usr = order.directory.join(layers::USR.upper);
        fs::create_dir_all(&usr)?;
        fs::set_permissions(usr, fs::metadata(HOST_USR)?.permissions())?;
        fs::create_dir_all(order.directory.join(layers::USR.work))?;
    }
    let upper = order.directory.join("upper");
    let below = Below::layer(&upper)?;
    if below.has("etc/machine-id")? {
        // Its network may have another name since it ran last.
        let own = |text: &str| names::is_own(text, order.gateway);
        return below.rewrite(RESOLVERS, own, &order.resolvers).map(drop);
    }
    // A directory of this layer hides the attributes of those below, so it takes them over.
    let attributes = |path: &Path| order.lower.iter().find_map(|layer| fs::metadata(layer.join(path)).ok());
    if let Some(found) = attributes(Path::new("")) {
        chown(&upper, Some(found.uid()), Some(found.gid()))?;
        fs::set_permissions(&upper, found.permissions())?;
    }
    below.make_directory(Path::new("etc"), attributes, |_| 0o755)?;
    write_names(&order.directory, &order.name, order.address)?;
    below.replace(RESOLVERS, 0o644, order.resolvers.as_bytes())?;
    // Last, as it says that all the others are there. A server has its own for as long as it lives.
    below.replace("etc/machine-id", 0o644, machine_id()?.as_bytes())
}

/// Writes the files that say a server's name into its own layer. Nobody may have that mounted.
pub(crate) fn write_names(directory: &Path, name: &str, address: Ipv4Addr) -> io::Result<()> {
    let below = Below::layer(&directory.join("upper"))?;
    names(name, address).into_iter().try_for_each(|(path, text)| below.replace(path, 0o644, text.as_bytes()))
}

/// The files that say a server's name.
pub(crate) fn names(name: &str, address: Ipv4Addr) -> [(&'static str, String); 2] {
    let short = name.split('.').next().unwrap_or(name);
    let names = if short == name { short.to_owned() } else { format!("{name} {short}") };
    let hosts = format!("127.0.0.1 localhost\n{address} {names}\n::1 localhost ip6-localhost ip6-loopback\n");
    [("etc/hostname", format!("{name}\n")), ("etc/hosts", hosts)]
}

/// A machine's identity as machine-id(5) has it: random, and marked as a random UUID.
fn machine_id() -> io::Result<String> {
    use std::io::Read;
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let number = u128::from_be_bytes(bytes) & !(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    Ok(format!("{number:032x}\n"))
}

impl Order {
    fn to_json(&self) -> Json {
        json!({
            "identity": self.identity,
            "name": self.name,
            "directory": self.directory,
            "lower": self.lower,
            "on_host": self.on_host,
            "address": self.address.to_string(),
            "gateway": self.gateway.to_string(),
            "mtu": self.mtu,
            "memory": self.memory,
            "cpus": self.cpus.map(|cpus| cpus.to_string()),
            "processes": self.processes,
            "read_only_root": self.read_only_root,
            "supervised": self.supervised,
            "command": self.command,
            "resolvers": self.resolvers,
            "users": self.users,
            "in_realm": self.in_realm,
            "places": self.places,
        })
    }

    fn from_json(json: &Json) -> Option<Order> {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let texts = |name: &str| Some(json.get(name)?.as_array()?.iter().filter_map(Json::as_str));
        let number = |name: &str| json.get(name).and_then(Json::as_u64);
        Some(Order {
            identity: text("identity")?.to_owned(),
            name: text("name")?.to_owned(),
            directory: text("directory")?.into(),
            lower: texts("lower")?.map(PathBuf::from).collect(),
            on_host: json.get("on_host")?.as_bool()?,
            address: text("address")?.parse().ok()?,
            gateway: text("gateway")?.parse().ok()?,
            mtu: number("mtu")? as u32,
            memory: number("memory"),
            cpus: text("cpus").and_then(|cpus| cpus.parse().ok()),
            processes: number("processes"),
            read_only_root: json.get("read_only_root")?.as_bool()?,
            supervised: json.get("supervised")?.as_bool()?,
            command: texts("command")?.map(str::to_owned).collect(),
            resolvers: text("resolvers")?.to_owned(),
            users: number("users").map(|first| first as u32),
            in_realm: json.get("in_realm")?.as_bool()?,
            places: texts("places")?.map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_a_server_may_open_are_said_once() {
        let spawner = Spawner::new("/nowhere".into());
        let error = io::Error::from_raw_os_error(libc::EINVAL);
        // A server that was started here, as its starter tells of it.
        let told = |unconfined: Option<String>| {
            let (answers, theirs) = message::pair().unwrap();
            let (end, notify) = (File::open("/dev/null").unwrap(), File::open("/dev/null").unwrap());
            let started = json!({ "process": std::process::id(), "unconfined": unconfined });
            message::send(&theirs, started.to_string().as_bytes(), &[end.as_fd()]).unwrap();
            message::send(&theirs, b"{}", &[notify.as_fd()]).unwrap();
            drop(theirs);
            spawner.say_once(await_start(&answers).map_err(|not| not.failure).unwrap()).note
        };
        assert_eq!(told(None), None);
        let said = told(Some(devices::unconfined(&error))).unwrap();
        assert!(said.contains("CONFIG_CGROUP_BPF") && said.contains("Invalid argument"), "{said}");
        assert_eq!(told(Some(devices::unconfined(&error))), None);
    }
}
