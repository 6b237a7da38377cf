//! The way outside of a user without root: a program that takes the packets of a network namespace and sends what is in
//! them by its own sockets, as any program of the user's may. That is slirp4netns, or pasta where it is absent: one address,
//! one gateway and one resolver, the same with both.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::note::started;
use crate::failure::sentence;
use crate::helper::{self, die_with};

/// Where names are answered for: slirp4netns(1) does so by itself, and pasta is told to.
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

const DEVICE: &str = "/dev/net/tun";
const INTERFACE: &str = "tap0";
/// How long pasta may take until the namespace has a way outside.
const PASTA_LIMIT: Duration = Duration::from_secs(10);

/// The programs that are such a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Slirp,
    Pasta,
}

impl Way {
    fn program(self) -> &'static str {
        match self {
            Way::Slirp => "slirp4netns",
            Way::Pasta => "pasta",
        }
    }
}

/// Whether a namespace could be connected now.
pub(super) fn is_to_be_had() -> bool {
    device().and_then(|()| choose(&is_installed)).is_ok()
}

/// Connects the network namespace of a process, until nobody holds the other end of `life` any more. Gives the process that
/// is the way, and when it was started; the reason where there is none. It goes into the realm's control group, where there is
/// one: a group with groups below that are to be limited has no processes (cgroups(7), "no internal processes").
pub(super) fn connect(
    process: u32,
    life: OwnedFd,
    program: &Path,
    log: &Path,
    group: Option<&Path>,
) -> Result<(i32, u64), String> {
    device()?;
    let group = group.and_then(|realm| own_group(realm).ok());
    let way = choose(&is_installed)?;
    let log = File::create(log).map_err(|error| error.to_string())?;
    let mut command = match way {
        Way::Slirp => {
            let mut command = Command::new(way.program());
            // Servers must not reach what listens on this machine's loopback alone.
            command.args(["--configure", "--disable-host-loopback", "--mtu=1500", "--exit-fd=0", "--ready-fd=1"]);
            command.args([&process.to_string(), INTERFACE]);
            command
        }
        // It says neither that it is ready nor asks when to end: that is done for it.
        Way::Pasta => {
            let mut command = Command::new(program);
            command.args([helper::OUTSIDE, &process.to_string()]);
            command
        }
    };
    command.current_dir("/").stdin(life).stdout(Stdio::piped()).stderr(log);
    // SAFETY: setsid and write are async-signal-safe. It outlives the terminal that the program was started from.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            // It is as good elsewhere, where this process may not go there.
            let _ = group.as_ref().map(|mut group| group.write_all(b"0"));
            Ok(())
        });
    }
    let cannot_run = |error| format!("{} cannot be run: {}", way.program(), sentence(&io::Error::to_string(&error)));
    let mut child = command.spawn().map_err(cannot_run)?;
    let mut ready = [0];
    let is_ready = child.stdout.take().is_some_and(|mut output| output.read_exact(&mut ready).is_ok());
    let number = child.id() as i32;
    if let Some(started) = started(number).filter(|_| is_ready) {
        return Ok((number, started));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("{} ended before it was ready", way.program()))
}

/// Makes the group of the way outside below that of the realm, and opens where it is joined.
fn own_group(realm: &Path) -> io::Result<File> {
    let group = realm.join("outside");
    fs::create_dir_all(&group)?;
    File::options().write(true).open(group.join("cgroup.procs"))
}

/// The program to use, by which there are.
fn choose(is_there: &dyn Fn(&str) -> bool) -> Result<Way, String> {
    [Way::Slirp, Way::Pasta].into_iter().find(|way| is_there(way.program())).ok_or_else(|| {
        "neither slirp4netns nor pasta is installed; have root run `apt-get install slirp4netns`, or `apt-get install passt`, \
         which has pasta, and run `andon up` again"
            .to_owned()
    })
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Fails where this user may not make the interface of a way outside.
fn device() -> Result<(), String> {
    let opened = File::options().read(true).write(true).open(DEVICE);
    opened.map(drop).map_err(|error| {
        let why = sentence(&error.to_string());
        format!("{DEVICE} may not be used: {why} Have root run `modprobe tun` and `chmod 666 {DEVICE}`, and run `andon up` again")
    })
}

/// The hidden command. Its standard input ends when nobody needs the way any more; one byte on its standard output says
/// that it is there.
pub(crate) fn helper(process: &str) -> i32 {
    let Ok(mut child) = pasta(process) else { return 1 };
    let deadline = Instant::now() + PASTA_LIMIT;
    while !has_way(process) {
        if Instant::now() > deadline || !matches!(child.try_wait(), Ok(None)) {
            let _ = child.kill();
            let _ = child.wait();
            return 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let number = child.id() as i32;
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // SAFETY: touches no memory. It is a child of this process's, which ends with it.
        unsafe { libc::kill(number, libc::SIGKILL) };
    });
    let mut output = io::stdout();
    let told = output.write_all(b"1").and_then(|()| output.flush());
    if told.is_err() {
        let _ = child.kill();
    }
    // Whoever looks for the way looks for this process.
    let _ = child.wait();
    0
}

fn pasta(process: &str) -> io::Result<Child> {
    let mut command = Command::new(Way::Pasta.program());
    command.args(["--foreground", "--quiet", "--config-net", "--ipv4-only", "--ns-ifname", INTERFACE, "--mtu", "1500"]);
    command.args(["--address", "10.0.2.100", "--netmask", "24", "--gateway", "10.0.2.2"]);
    // What listens on this machine's loopback alone is not to be reached, nor what servers listen on from outside.
    command.args(["--no-map-gw", "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"]);
    command.args(["--dns-forward", &RESOLVER.to_string(), process]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let this = std::process::id() as i32;
    // SAFETY: prctl and getppid are async-signal-safe.
    unsafe {
        command.pre_exec(move || if die_with(this) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) });
    }
    command.spawn()
}

/// Whether a process has a route to everywhere: the last that is made.
fn has_way(process: &str) -> bool {
    is_everywhere(&fs::read_to_string(format!("/proc/{process}/net/route")).unwrap_or_default())
}

fn is_everywhere(routes: &str) -> bool {
    routes.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.first() == Some(&INTERFACE) && fields.get(1) == Some(&"00000000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_used() {
        let check = |there: &[&str], expected: Option<Way>| {
            assert_eq!(choose(&|program| there.contains(&program)).ok(), expected, "{there:?}");
        };
        check(&["slirp4netns", "pasta"], Some(Way::Slirp));
        check(&["pasta"], Some(Way::Pasta));
        check(&[], None);
        let said = choose(&|_| false).unwrap_err();
        assert!(said.contains("apt-get install slirp4netns") && said.contains("passt"), "{said}");
    }

    #[test]
    fn a_way_to_everywhere_is_seen() {
        let head = "Iface\tDestination\tGateway \tFlags\n";
        assert!(!is_everywhere(head));
        assert!(!is_everywhere(&format!("{head}tap0\t0002000A\t00000000\t0001\n")));
        assert!(!is_everywhere(&format!("{head}eth0\t00000000\t0202000A\t0003\n")));
        assert!(is_everywhere(&format!("{head}tap0\t0002000A\t00000000\t0001\ntap0\t00000000\t0202000A\t0003\n")));
    }
}
