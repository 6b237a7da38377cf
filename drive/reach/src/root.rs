//! The way into a root file system that is not booted: an overlay, seen by nobody else, with just enough around it
//! that packages can be installed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root, sethostname};

use crate::Cover;
use crate::process::{Capabilities, Refusal, Step};

/// What the scripts of packages need, by number (capabilities(7)): chown, dac_override, fowner, fsetid, kill, setgid,
/// setuid, setpcap, net_bind_service, sys_chroot, mknod, audit_write, setfcap. Nothing by which they could change the
/// kernel, the network or the clock of this machine, which they share; nor dac_read_search, by which files are opened by
/// number, past all mounts, nor net_raw. Packages bring device files; that nobody opens one is the mounts' affair.
pub(crate) const CAPABILITIES: Capabilities = {
    let mut set = 0;
    let numbers = [0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 27, 29, 31];
    let mut at = 0;
    while at < numbers.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the bounds")]
        let number = numbers[at];
        set |= 1 << number;
        at += 1;
    }
    set
};

/// Debian's scripts ask this program before they start a service; 101 is its "no".
/// <https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt>
const POLICY_PATH: &str = "/usr/sbin/policy-rc.d";
const POLICY: &[u8] = b"#!/bin/sh\n# No service starts while an image is made.\nexit 101\n";

const RESOLVER_PATH: &str = "/etc/resolv.conf";

/// What was put into the writable layer only for the time of the work.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    policy: bool,
    resolver: bool,
}

/// The part that must be done before the fork.
pub(crate) fn unlock() -> Result<(), Refusal> {
    unshare(CloneFlags::CLONE_NEWPID).step(|| "make a PID namespace".into())
}

/// Makes the overlay this process's root directory. This process must be the first of its PID namespace.
pub(crate) fn pass(lower: &[PathBuf], upper: &Path, work: &Path, covers: &[Cover]) -> Result<Traces, Refusal> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)
        .step(|| "make a mount namespace".into())?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .step(|| "make the mounts private".into())?;
    sethostname("localhost").step(|| "set the host name".into())?;
    let resolver = fs::read("/etc/resolv.conf").unwrap_or_default();
    overlay(lower, upper, work, upper)?;
    for cover in covers {
        lay(cover, upper);
    }
    chdir(upper).step(|| "change to the root file system".into())?;
    furnish()?;
    let step = || "change the root directory".to_owned();
    // The new root is put over the old one, and the old one taken away from under it: pivot_root(2).
    pivot_root(".", ".").step(step)?;
    umount2(".", MntFlags::MNT_DETACH).step(step)?;
    chdir("/").step(step)?;
    // Only from here on can no link of the image lead out of it.
    Ok(Traces {
        resolver: resolve(&resolver).step(|| "put this machine's /etc/resolv.conf in place".into())?,
        policy: forbid_services().step(|| "keep services from starting".into())?,
    })
}

/// Lays a cover over its place, where that is a directory and no link leads to it. It only spares work: where the
/// kernel takes no more overlays over each other, the place is as it is in the image.
fn lay(cover: &Cover, root: &Path) {
    let mut place = root.to_owned();
    for part in &cover.at {
        place.push(part);
        if !fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_dir()) {
            return;
        }
    }
    let _ = overlay(&cover.lower, &cover.upper, &cover.work, &place);
}

/// Mounts an overlay: that of the root file system over its own upper directory, a place that surely exists and that
/// nobody else needs here.
fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, place: &Path) -> Result<(), Refusal> {
    // A mount that asks for no syncing, as the one below, leaves this behind, and the next mount refuses to go on from
    // it. A layer is synced, or thrown away, by whoever owns it.
    let _ = fs::remove_dir_all(work.join("work/incompat"));
    let open = |path: &PathBuf| {
        File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(path)
            .step(|| format!("open the layer {}", path.display()))
    };
    let files = lower.iter().map(open).collect::<Result<Vec<File>, Refusal>>()?;
    let (upper_file, work_file) = (open(&upper.to_owned())?, open(&work.to_owned())?);
    // Layers are named by descriptor: no character of a path can be mistaken for an option, and many fit on the one page
    // that mount(2) takes.
    let name = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
    let lower = files.iter().map(name).collect::<Vec<String>>().join(":");
    let (upper_name, work_name) = (name(&upper_file), name(&work_file));
    // A renamed directory is copied and a changed mode copies the file, so that each layer says by itself what it holds.
    let options = format!("lowerdir={lower},upperdir={upper_name},workdir={work_name},metacopy=off,index=off");
    // Root of a user namespace may set none but users' attributes.
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_whole = map.split_whitespace().nth(2).is_none_or(|count| count == u32::MAX.to_string());
    // With those, directories are never redirected.
    let options = options + if is_whole { ",redirect_dir=off" } else { ",userxattr" };
    // A device file that a layer holds, or that a script makes, opens nothing of this machine.
    let attempt = |options: &str| mount(Some("overlay"), place, Some("overlay"), MsFlags::MS_NODEV, Some(options));
    attempt(&format!("{options},volatile"))
        .or_else(|_| attempt(&options))
        .step(|| "mount the overlay of the root file system".into())
}

/// Gives the root file system in the current directory its devices and kernel file systems.
fn furnish() -> Result<(), Refusal> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    for name in ["proc", "sys", "dev", "run", "tmp"] {
        // A link here is refused, by its own error: it could lead to this machine's files.
        if !fs::symlink_metadata(name).is_ok_and(|metadata| metadata.is_dir()) {
            fs::create_dir(name).step(|| format!("make the directory /{name}"))?;
        }
    }
    let put = |kind: &str, at: &str, flags: MsFlags, options: &str| {
        mount(Some(kind), at, Some(kind), flags, Some(options)).step(|| format!("mount /{at}"))
    };
    put("proc", "proc", quiet, "")?;
    // The kernel's settings are this machine's.
    for name in ["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus"] {
        if Path::new(name).exists() {
            bind(name, name).step(|| format!("mount /{name}"))?;
            let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | quiet;
            mount(None::<&str>, name, None::<&str>, again, None::<&str>).step(|| format!("protect /{name}"))?;
        }
    }
    // Root of a user namespace sees nothing of the kernel's there, as the network is not its own; then it is empty.
    put("sysfs", "sys", quiet | MsFlags::MS_RDONLY, "")
        .or_else(|_| put("tmpfs", "sys", quiet | MsFlags::MS_RDONLY, "mode=555,size=4k"))?;
    // The devices that are bound into it are on a mount of their own, and open.
    put("tmpfs", "dev", quiet, "mode=755,size=64k")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let (own, theirs) = (format!("/dev/{name}"), format!("dev/{name}"));
        File::create(&theirs).step(|| format!("make /{theirs}"))?;
        bind(&own, &theirs).step(|| format!("mount /{theirs}"))?;
    }
    fs::create_dir("dev/pts").step(|| "make /dev/pts".into())?;
    put("devpts", "dev/pts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")?;
    fs::create_dir("dev/shm").step(|| "make /dev/shm".into())?;
    put("tmpfs", "dev/shm", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=1777")?;
    for (name, to) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, format!("dev/{name}")).step(|| format!("make /dev/{name}"))?;
    }
    put("tmpfs", "run", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=755")?;
    put("tmpfs", "tmp", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=1777")?;
    fs::create_dir("run/lock")
        .and_then(|()| fs::set_permissions("run/lock", Permissions::from_mode(0o1777)))
        .step(|| "make /run/lock".into())?;
    Ok(())
}

fn bind(from: &str, to: &str) -> nix::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
}

/// Lets names resolve as on this machine. Returns whether the layer got a file for that which it did not have.
fn resolve(resolver: &[u8]) -> io::Result<bool> {
    let place = Path::new(RESOLVER_PATH);
    let found = fs::symlink_metadata(place).map(|metadata| metadata.file_type());
    if let Ok(kind) = found
        && kind.is_symlink()
    {
        // Some daemon's file, below /run: it is not running, so its place is free.
        let to = Path::new("/etc").join(fs::read_link(place)?);
        let below = to.strip_prefix("/run").or_else(|_| to.strip_prefix("/etc/../run"));
        let Ok(below) = below else { return Ok(false) };
        let file = Path::new("/run").join(below);
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(file, resolver)?;
        return Ok(false);
    }
    let made = found.is_err();
    if made {
        if !Path::new("/etc").is_dir() {
            return Ok(false);
        }
        File::create(place)?;
    }
    let copy = "/run/resolv.conf.host";
    fs::write(copy, resolver)?;
    bind(copy, RESOLVER_PATH)?;
    Ok(made)
}

/// Returns whether the layer got a file for that which it did not have.
fn forbid_services() -> io::Result<bool> {
    let place = Path::new(POLICY_PATH);
    // An agent that died left its own; another's stays.
    if fs::read(place).is_ok_and(|content| content == POLICY) {
        return Ok(true);
    }
    if fs::symlink_metadata(place).is_ok() || !place.parent().is_some_and(Path::is_dir) {
        return Ok(false);
    }
    fs::write(place, POLICY)?;
    fs::set_permissions(place, Permissions::from_mode(0o755))?;
    Ok(true)
}

impl Traces {
    /// Takes away again what was there only for the work, from inside.
    pub(crate) fn remove(&self) {
        if self.policy && fs::read(POLICY_PATH).is_ok_and(|content| content == POLICY) {
            let _ = fs::remove_file(POLICY_PATH);
        }
        if self.resolver && umount2(RESOLVER_PATH, MntFlags::MNT_DETACH).is_ok() {
            let _ = fs::remove_file(RESOLVER_PATH);
        }
    }
}
