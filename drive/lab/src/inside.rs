//! What a server's first process does before it becomes the server's init.
//!
//! Everything here happens in the server's own namespaces, so the host's mount table and interfaces stay as they are,
//! and all of it is gone with the process.

use std::ffi::{CStr, c_char, c_ulong};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::attach;
use crate::cgroup::Hierarchies;
use crate::console::CONSOLE;
use crate::helper::{check, outlive_parent};
use crate::layers;
use crate::message;
use crate::netlink::{self, Netlink, mac};
use crate::spawn::Order;
use crate::supervisor;

/// What a server's root may do, by number (linux/capability.h): all that a system needs for itself, nothing that
/// reaches the machine's hardware, clock, modules or log. What this process lacks itself stays out.
const CAPABILITIES: &[u32] = &[
    0,  // CHOWN
    1,  // DAC_OVERRIDE
    2,  // DAC_READ_SEARCH
    3,  // FOWNER
    4,  // FSETID
    5,  // KILL
    6,  // SETGID
    7,  // SETUID
    8,  // SETPCAP
    10, // NET_BIND_SERVICE
    11, // NET_BROADCAST
    12, // NET_ADMIN, in the server's own network namespace
    13, // NET_RAW
    14, // IPC_LOCK
    15, // IPC_OWNER
    18, // SYS_CHROOT
    19, // SYS_PTRACE
    21, // SYS_ADMIN, without which no init can mount
    22, // SYS_BOOT, which in a process namespace ends only that
    23, // SYS_NICE
    24, // SYS_RESOURCE
    26, // SYS_TTY_CONFIG
    28, // LEASE
    29, // AUDIT_WRITE
    31, // SETFCAP
];
const LAST_CAPABILITY: u32 = 63;

const INITS: [&CStr; 4] = [c"/sbin/init", c"/lib/systemd/systemd", c"/usr/lib/systemd/systemd", c"/bin/init"];

pub(crate) const SEARCH_PATH: &CStr = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Devices that every system expects.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("pts/ptmx", "dev/ptmx"),
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
];

/// Units of systemd that would mount what belongs to the whole machine.
const MASKED_UNITS: [&str; 5] = [
    "dev-hugepages.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
];

/// A step that failed.
pub(crate) type Problem = io::Error;

/// Becomes the server's init, or gives the reason why not. Begins in the directory that is to be its root. What needs this machine's side to be ready waits for a
/// message through `go`.
pub(crate) fn run(order: &Order, go: &OwnedFd, answers: &OwnedFd) -> Problem {
    match set_up(order, go) {
        Err(problem) => problem,
        Ok(()) if order.supervised || INITS.iter().all(|init| !exists(init)) => supervisor::run(order, answers),
        Ok(()) => exec(answers),
    }
}

fn set_up(order: &Order, go: &OwnedFd) -> Result<(), Problem> {
    step("cannot be tied to its helper", die_with_parent)?;
    let log = Path::new("..").join(CONSOLE);
    let log = step("cannot open its log", || File::options().create(true).append(true).open(log))?;
    step("cannot set its name", || {
        // SAFETY: the pointer and the length are those of the name.
        check(unsafe { libc::sethostname(order.name.as_ptr().cast(), order.name.len()) }.into())
    })?;
    step("cannot keep its mounts to itself", || {
        layers::mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "")
    })?;
    let has_groups = Hierarchies::find().is_ok_and(|found| !found.group(&order.identity).is_listed());
    let message = wait(go)?;
    let mut files = message.files.into_iter();
    let tree = files.next().ok_or_else(|| Problem::from(ErrorKind::UnexpectedEof))?;
    let usr = if order.on_host { files.next() } else { None };
    let mounts: Vec<OwnedFd> = files.collect();
    // By its name, as what is now there lies over the directory that this process is in.
    let root = Path::new("../root");
    step("cannot have its root", || layers::put(tree.as_fd(), root))?;
    step("cannot enter its root", || std::env::set_current_dir(root))?;
    if let Some(usr) = usr {
        step("cannot have this machine's programs", || layers::put(usr.as_fd(), Path::new("usr")))?;
    }
    if order.users.is_some() {
        step("cannot be its own root", become_root)?;
        // That is undone by being another user.
        step("cannot be tied to its helper", die_with_parent)?;
    }
    furnish()?;
    wait(go)?;
    // SAFETY: touches no memory. Only now is this process in the control groups that shall be its root.
    step("cannot have control groups of its own", || check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into()))?;
    if has_groups {
        let quiet = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        step("cannot mount its control groups", || mount("cgroup2", "sys/fs/cgroup", "cgroup2", quiet, ""))?;
    }
    step("cannot connect to its network", || network(order))?;
    step("cannot protect the machine's settings", protect)?;
    let here = step("cannot open its root", || File::open("."))?;
    step("cannot make the directories of what is attached", || attach::make_places(&here, &order.places))?;
    if order.read_only_root {
        step("cannot make its root read-only", || make_root_read_only(order.on_host))?;
    }
    let mut attached = order.places.iter().zip(&mounts);
    step("cannot attach its volumes", || attached.try_for_each(|(path, mount)| attach::put(&here, mount, path)))?;
    step("cannot leave the machine's root", leave)?;
    if !has_groups && !order.supervised && is_systemd() {
        return Err(io::Error::other(
            "it cannot run systemd, which keeps what it starts in control groups: this user has none. Run this where the \
             user's own systemd gives one (`systemd-run --user --scope -p Delegate=yes andon …`), or give the server \
             `init = \"andon\"` or a `command`",
        ));
    }
    step("cannot give up privileges", drop_capabilities)?;
    step("cannot close what it inherited", || descriptors(&log))?;
    // SAFETY: touch no memory; the first fails only for a process that already leads a session.
    unsafe {
        libc::setsid();
        libc::umask(0o022);
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
    outlive_parent();
    Ok(())
}

/// Whether the image's init is systemd.
fn is_systemd() -> bool {
    let program = INITS.iter().find_map(|init| fs::canonicalize(init.to_str().ok()?).ok());
    program.is_some_and(|program| program.file_name().is_some_and(|name| name == "systemd"))
}

fn die_with_parent() -> io::Result<()> {
    // SAFETY: touches no memory of ours.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }.into()).map(drop)
}

/// Waits for this machine's side. A helper that died closed the way.
fn wait(go: &OwnedFd) -> Result<message::Message, Problem> {
    step("was left by its helper", || message::receive(go)?.ok_or_else(|| ErrorKind::UnexpectedEof.into()))
}

/// Becomes user 0 of its user namespace, instead of one that has no number in it.
fn become_root() -> io::Result<()> {
    // SAFETY: take numbers, and an empty list.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()).into())?;
        check(libc::setresgid(0, 0, 0).into())?;
        check(libc::setresuid(0, 0, 0).into())?;
    }
    Ok(())
}

fn exists(path: &CStr) -> bool {
    Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())).symlink_metadata().is_ok()
}

/// Becomes the image's init. Systemd says when all its units are up; the others are taken to serve once they run.
fn exec(answers: &OwnedFd) -> Problem {
    let mut environment = vec![SEARCH_PATH, c"container=oci"];
    if is_systemd() {
        if let Err(problem) = step("cannot be told that it is up", || notify(answers)) {
            return problem;
        }
        environment.push(c"NOTIFY_SOCKET=/run/andon/notify");
    }
    let environment: Vec<*const c_char> =
        environment.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
    for init in INITS {
        let arguments = [init.as_ptr(), std::ptr::null()];
        // SAFETY: both arrays end with null and their strings live on.
        unsafe { libc::execve(init.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        let error = io::Error::last_os_error();
        if error.kind() != ErrorKind::NotFound {
            return named("cannot run the image's init", error);
        }
    }
    named("cannot run the image's init", io::Error::last_os_error())
}

/// Hands out the socket to which systemd writes that it is up: the protocol of sd_notify(3).
fn notify(answers: &OwnedFd) -> io::Result<()> {
    fs::create_dir_all("/run/andon")?;
    let socket = UnixDatagram::bind("/run/andon/notify")?;
    message::send(answers, br#"{"notify":true}"#, &[socket.as_fd()])
}

fn network(order: &Order) -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    netlink.set_loopback_up()?;
    let interface = netlink::index("eth0")?;
    netlink.add_address(interface, order.address)?;
    netlink.set_up(interface)?;
    netlink.add_neighbour(interface, order.gateway, mac(order.gateway))?;
    netlink.add_route(order.gateway, interface, None)?;
    netlink.add_default_route(order.gateway)
}

/// Gives the root file system in the current directory its devices and the kernel's file systems.
fn furnish() -> Result<(), Problem> {
    for name in ["proc", "sys", "dev", "run", "tmp"] {
        step("cannot make a directory", || fs::create_dir_all(name))?;
    }
    let quiet = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mounts: [(&str, &str, c_ulong, &str); 5] = [
        ("proc", "proc", quiet, ""),
        ("sysfs", "sys", quiet | libc::MS_RDONLY, ""),
        ("tmpfs", "dev", libc::MS_NOSUID, "mode=755,size=4m"),
        ("tmpfs", "run", libc::MS_NOSUID | libc::MS_NODEV, "mode=755,size=20%"),
        ("tmpfs", "dev/shm", libc::MS_NOSUID | libc::MS_NODEV, "mode=1777"),
    ];
    for (kind, path, flags, options) in mounts {
        if path == "dev/shm" {
            step("cannot make a directory", || fs::create_dir(path))?;
        }
        step(&format!("cannot mount {path}"), || mount(kind, path, kind, flags, options))?;
    }
    step("cannot make its devices", devices)?;
    step("cannot mask units", || {
        fs::create_dir_all("run/systemd/system")?;
        MASKED_UNITS.iter().try_for_each(|unit| symlink("/dev/null", format!("run/systemd/system/{unit}")))
    })
}

/// Makes everything of the root file system read-only but /var, which is where a server keeps what changes, and /tmp,
/// which is then in memory.
fn make_root_read_only(on_host: bool) -> io::Result<()> {
    for path in ["var", "tmp"] {
        fs::create_dir_all(path)?;
    }
    mount("var", "var", "", libc::MS_BIND, "")?;
    mount("tmpfs", "tmp", "tmpfs", libc::MS_NOSUID | libc::MS_NODEV, "mode=1777")?;
    let read_only =
        |path: &str| mount("none", path, "", libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | libc::MS_NODEV, "");
    if on_host {
        read_only("usr")?;
    }
    read_only(".")
}

fn leave() -> io::Result<()> {
    let here = c".".as_ptr();
    // SAFETY: the paths end with zero bytes.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) })?;
    // SAFETY: as above. The old root lies over the new one, and this takes it off.
    check(unsafe { libc::umount2(here, libc::MNT_DETACH) }.into())?;
    std::env::set_current_dir("/")
}

fn devices() -> io::Result<()> {
    for name in DEVICES {
        // Nobody but the machine's root makes a device; everybody has the machine's own.
        File::create(format!("dev/{name}"))?;
        mount(&format!("/dev/{name}"), &format!("dev/{name}"), "", libc::MS_BIND, "")?;
    }
    fs::create_dir("dev/pts")?;
    let options = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount("devpts", "dev/pts", "devpts", libc::MS_NOSUID | libc::MS_NOEXEC, options)?;
    LINKS.into_iter().try_for_each(|(target, path)| symlink(target, path))?;
    fs::set_permissions("dev", fs::Permissions::from_mode(0o755))
}

/// Makes read-only what belongs to the whole machine; the server's own network settings stay writable.
fn protect() -> io::Result<()> {
    let bind = |path: &str| mount(path, path, "", libc::MS_BIND | libc::MS_REC, "");
    let read_only = |path: &str| {
        let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
        mount("none", path, "", flags | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC, "")
    };
    bind("proc/sys")?;
    bind("proc/sys/net")?;
    read_only("proc/sys")?;
    for path in ["proc/sysrq-trigger", "proc/irq", "proc/bus"] {
        if Path::new(path).exists() {
            bind(path)?;
            read_only(path)?;
        }
    }
    for path in ["proc/kcore", "proc/keys", "proc/timer_list"] {
        if Path::new(path).exists() {
            mount("dev/null", path, "", libc::MS_BIND, "")?;
        }
    }
    Ok(())
}

/// Takes out of the bounding set what a server shall not have; becoming the init takes it out of the rest.
fn drop_capabilities() -> io::Result<()> {
    for capability in (0..=LAST_CAPABILITY).filter(|capability| !CAPABILITIES.contains(capability)) {
        // SAFETY: neither call touches memory.
        let known = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability as c_ulong) } == 1;
        if known {
            // SAFETY: as above.
            check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as c_ulong) }.into())?;
        }
    }
    Ok(())
}

/// Gives the init its log as output, no input, and nothing else.
fn descriptors(log: &File) -> io::Result<()> {
    let null = File::open("/dev/null")?;
    for (from, to) in [(null.as_raw_fd(), 0), (log.as_raw_fd(), 1), (log.as_raw_fd(), 2)] {
        // SAFETY: both descriptors are open or may be.
        check(unsafe { libc::dup2(from, to) }.into())?;
    }
    // SAFETY: touches no memory. The report must stay open until the very moment of becoming the init.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    Ok(())
}

fn mount(source: &str, target: &str, kind: &str, flags: c_ulong, options: &str) -> io::Result<()> {
    layers::mount(source, Path::new(target), kind, flags, options)
}

fn step<T>(what: &str, action: impl FnOnce() -> io::Result<T>) -> Result<T, Problem> {
    action().map_err(|error| named(what, error))
}

fn named(what: &str, error: io::Error) -> Problem {
    io::Error::new(error.kind(), format!("it {what}: {error}"))
}
