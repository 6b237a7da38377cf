//! The way outside of a user without root: slirp4netns, a program that takes the packets of a network namespace and
//! sends what is in them by its own sockets, as any program of the user's may.

use std::fs::File;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::note::started;
use crate::failure::sentence;

/// Where slirp4netns answers for names, slirp4netns(1).
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

const DEVICE: &str = "/dev/net/tun";

/// Connects the network namespace of a process, until nobody holds the other end of `life` any more. Gives the process that
/// is the way, and when it was started; the reason where there is none.
pub(super) fn connect(process: u32, life: OwnedFd, log: &Path) -> Result<(i32, u64), String> {
    if let Err(error) = File::options().read(true).write(true).open(DEVICE) {
        return Err(format!("{DEVICE} may not be used: {}", sentence(&error.to_string())));
    }
    let log = File::create(log).map_err(|error| error.to_string())?;
    let mut command = Command::new("slirp4netns");
    // Servers must not reach what listens on this machine's loopback alone.
    command.args(["--configure", "--disable-host-loopback", "--mtu=1500", "--exit-fd=0", "--ready-fd=1"]);
    command.args([&process.to_string(), "tap0"]);
    command.stdin(life).stdout(Stdio::piped()).stderr(log);
    // SAFETY: setsid is async-signal-safe. It outlives the terminal that the program was started from.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "slirp4netns is not installed".to_owned(),
        _ => format!("slirp4netns cannot be run: {}", sentence(&error.to_string())),
    })?;
    let mut ready = [0];
    let is_ready = child.stdout.take().is_some_and(|mut output| output.read_exact(&mut ready).is_ok());
    let number = child.id() as i32;
    if let Some(started) = started(number).filter(|_| is_ready) {
        return Ok((number, started));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err("slirp4netns ended before it was ready".to_owned())
}
