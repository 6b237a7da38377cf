//! Starts a server: what happens around it. What happens inside it is in [`crate::inside`].
//!
//! This runs in a process of its own with one thread, because a fork of a process with many may only do very little. It
//! dies with whoever asked for it, and the server dies with it until the very last step, when all that is left to do is
//! to become the init: so there is never half a server that runs on.

use std::ffi::c_long;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use andon_schema::Failure;
use ipnet::Ipv4Net;
use serde_json::{Value as Json, json};

use crate::cgroup::Hierarchies;
use crate::failure::OrFail;
use crate::helper::{self, check, die_with};
use crate::inside;
use crate::machine;
use crate::netlink::{self, Netlink, mac};
use crate::network::interface;
use crate::records::Lock;

/// A server to start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub identity: String,
    pub name: String,
    /// Where the server's own files are.
    pub directory: PathBuf,
    /// The image's layers, the topmost first.
    pub lower: Vec<PathBuf>,
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
    pub net: Ipv4Net,
    pub bridge: String,
    pub memory: Option<u64>,
    pub cpus: Option<f64>,
    pub resolvers: String,
}

/// Runs the helper and gives the process id of the server's init. `program` is this program, or another whose `main`
/// begins with [`helper::helper_main`].
pub(crate) fn run(program: &Path, lock: &Lock, order: &Order) -> Result<i32, Failure> {
    let failed = || "cannot start the helper that starts servers".to_owned();
    let console = console(&order.directory);
    let log = File::options()
        .create(true)
        .append(true)
        .open(&console)
        .or_fail(|| format!("cannot write {}", console.display()))?;
    let mut command = Command::new(program);
    command.arg(helper::SPAWN).arg(order.to_json().to_string());
    // In a group of its own, so that an interrupt at the terminal reaches only the program, which decides.
    command.process_group(0).stdin(lock.share().or_fail(failed)?).stdout(Stdio::piped()).stderr(log);
    let output = command.spawn().and_then(|child| child.wait_with_output()).or_fail(failed)?;
    let answer: Json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(Json::as_str).map(str::to_owned);
    if let Some(process) = answer.get("process").and_then(Json::as_i64) {
        return Ok(process as i32);
    }
    let summary = text("summary").unwrap_or_else(|| "the helper that starts servers ended".to_owned());
    let detail = text("detail").unwrap_or_else(|| format!("It gave no answer; {}.", output.status));
    Err(Failure::new(summary, detail))
}

/// Where a server's init writes what it has to say before it has a journal.
pub(crate) fn console(directory: &Path) -> PathBuf {
    directory.join("console.log")
}

/// The hidden command. Its standard input is the identity's lock; its one answer goes to its standard output.
pub(crate) fn helper(order: &str) -> i32 {
    let order = serde_json::from_str(order).ok().and_then(|json: Json| {
        let parent = json.get("parent")?.as_i64()?;
        Some((parent as i32, Order::from_json(&json)?))
    });
    let Some((parent, order)) = order else { return 2 };
    if !die_with(parent) {
        return 1;
    }
    let answer = match start(&order) {
        Ok(process) => json!({ "process": process }),
        Err(failure) => json!({ "summary": failure.summary, "detail": failure.detail }),
    };
    i32::from(io::stdout().write_all(answer.to_string().as_bytes()).is_err())
}

fn start(order: &Order) -> Result<i32, Failure> {
    let group = Hierarchies::find()?.group(&order.identity);
    group.create()?;
    group.limit_memory(order.memory)?;
    if order.cpus.is_some() {
        group.limit_cpus(order.cpus)?;
    }
    write_files(order).or_fail(|| format!("cannot write into {}", order.directory.display()))?;
    let failed = || "cannot start the server's first process".to_owned();
    let directory = File::open(group.unified()).or_fail(failed)?;
    let (go_reader, go) = UnixStream::pair().or_fail(failed)?;
    let (report, report_writer) = UnixStream::pair().or_fail(failed)?;
    let process = clone_into(&directory).or_fail(failed)?;
    if process == 0 {
        drop((go, report));
        become_server(order, go_reader, report_writer);
    }
    drop((go_reader, report_writer));
    group.add_to_version_1(process).or_fail(failed)?;
    connect(order, process).or_fail(|| format!("cannot connect the server to the bridge {}", order.bridge))?;
    let_go(go).or_fail(failed)?;
    match said(report).as_str() {
        "" => Ok(process),
        problem => Err(Failure::new("the server could not be set up", crate::failure::sentence(problem))),
    }
}

/// The last that a forked child does here: it becomes the server or says why it cannot.
fn become_server(order: &Order, go: UnixStream, mut report: UnixStream) -> ! {
    let error = inside::run(order, go);
    let _ = report.write_all(error.to_string().as_bytes());
    // SAFETY: ends this process without running what belongs to its parent.
    unsafe { libc::_exit(1) }
}

fn let_go(mut go: UnixStream) -> io::Result<()> {
    go.write_all(b"!")
}

/// What the child says before it becomes the init, at which moment its end of the pipe closes.
fn said(mut report: UnixStream) -> String {
    let mut said = String::new();
    match report.read_to_string(&mut said) {
        Ok(_) => said,
        Err(error) => error.to_string(),
    }
}

/// linux/sched.h; the `libc` crate's own does not fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks into a control group and new namespaces. 0 in the child.
fn clone_into(group: &File) -> io::Result<i32> {
    let namespaces =
        libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    // SAFETY: all zeros are a sound `clone_args`.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = namespaces as u64 | CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = group.as_raw_fd() as u64;
    // SAFETY: without a stack of its own the child goes on with a copy of this process, which has one thread.
    let process = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    check(process as c_long).map(|process| process as i32)
}

fn connect(order: &Order, process: i32) -> io::Result<()> {
    let name = interface("av", &order.identity);
    let mut netlink = Netlink::open()?;
    netlink.delete_link(&name)?;
    netlink.create_veth(&name, netlink::index(&order.bridge)?, process, mac(order.address), machine::outside_mtu())
}

/// Makes the server's own layer, with the files that say who it is.
fn write_files(order: &Order) -> io::Result<()> {
    for name in ["upper", "work", "root"] {
        fs::create_dir_all(order.directory.join(name))?;
    }
    let etc = order.directory.join("upper/etc");
    fs::create_dir_all(&etc)?;
    // A directory of this layer hides the attributes of those below, so it takes them over.
    for (own, below) in [(order.directory.join("upper"), ""), (etc.clone(), "etc")] {
        if let Some(found) = order.lower.iter().find_map(|layer| fs::metadata(layer.join(below)).ok()) {
            chown(&own, Some(found.uid()), Some(found.gid()))?;
            fs::set_permissions(&own, found.permissions())?;
        }
    }
    let short = order.name.split('.').next().unwrap_or(&order.name);
    let names = if short == order.name { short.to_owned() } else { format!("{} {short}", order.name) };
    fs::write(etc.join("hostname"), format!("{}\n", order.name))?;
    fs::write(
        etc.join("hosts"),
        format!("127.0.0.1 localhost\n{} {names}\n::1 localhost ip6-localhost ip6-loopback\n", order.address),
    )?;
    fs::write(etc.join("resolv.conf"), &order.resolvers)?;
    // Empty: the init makes one, without taking this for a first boot, at which it would enable every service.
    fs::write(etc.join("machine-id"), "")
}

impl Order {
    fn to_json(&self) -> Json {
        json!({
            "parent": std::process::id(),
            "identity": self.identity,
            "name": self.name,
            "directory": self.directory,
            "lower": self.lower,
            "address": self.address.to_string(),
            "gateway": self.gateway.to_string(),
            "net": self.net.to_string(),
            "bridge": self.bridge,
            "memory": self.memory,
            "cpus": self.cpus.map(|cpus| cpus.to_string()),
            "resolvers": self.resolvers,
        })
    }

    fn from_json(json: &Json) -> Option<Order> {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let lower = json.get("lower")?.as_array()?;
        Some(Order {
            identity: text("identity")?.to_owned(),
            name: text("name")?.to_owned(),
            directory: text("directory")?.into(),
            lower: lower.iter().filter_map(Json::as_str).map(PathBuf::from).collect(),
            address: text("address")?.parse().ok()?,
            gateway: text("gateway")?.parse().ok()?,
            net: text("net")?.parse().ok()?,
            bridge: text("bridge")?.to_owned(),
            memory: json.get("memory")?.as_u64(),
            cpus: text("cpus").and_then(|cpus| cpus.parse().ok()),
            resolvers: text("resolvers")?.to_owned(),
        })
    }
}
