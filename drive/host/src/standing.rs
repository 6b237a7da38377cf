//! How a server stands, whatever it is for, and how much it does in a second.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use andon_schema::{Performance, Standing};
use sha2::{Digest, Sha256};

use crate::processes::open_ports;

/// How long a processor is measured: over four of the periods, of 100 ms each, in which the kernel counts what a server's limit
/// lets it have (<https://docs.kernel.org/scheduler/sched-bwc.html>). In one of them alone it may have all that it wants.
const MOMENT: Duration = Duration::from_millis(400);
/// How much is written and sent.
const AMOUNT: usize = 32 << 20;
/// What is written or hashed at once.
const PIECE: usize = 1 << 20;
/// How long the machine may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Numbers of users who are people or programs of the server's own, and of `nobody`
/// (<https://www.debian.org/doc/debian-policy/ch-opersys.html#uid-and-gid-classes>).
const OWN_USERS: std::ops::Range<u32> = 1000..60_000;

/// Services that any server with systemd may have.
const ANYBODYS: [&str; 9] = [
    "systemd-",
    "dbus",
    "getty@",
    "console-getty",
    "container-getty@",
    "serial-getty@",
    "user@",
    "user-runtime-dir@",
    "emergency",
];

/// How this server stands now.
pub fn standing() -> Standing {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut standing = Standing { users: users(&passwd), ports: open_ports(), ..Standing::default() };
    // A server of the lab without an init of its own answers there how it is, as any such server does.
    if fs::read_to_string("/proc/1/comm").is_ok_and(|name| name.trim() == "andon-init") {
        standing.ports.retain(|port| port.number != 7780);
    }
    if !fs::exists("/run/systemd/system").unwrap_or(false) {
        return standing;
    }
    let units = |words: &[&str]| {
        let output = Command::new("systemctl").args(words).args(["--no-legend", "--plain", "--no-pager"]).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let state = units(&["is-system-running"]);
    standing.is_starting = matches!(state.trim(), "initializing" | "starting");
    standing.failed = first_words(&units(&["list-units", "--state=failed"]));
    let running = first_words(&units(&["list-units", "--type=service", "--state=running"]));
    standing.services = Some(services(&running));
    standing
}

fn first_words(lines: &str) -> Vec<Arc<str>> {
    let words: BTreeSet<&str> = lines.lines().filter_map(|line| line.split_whitespace().next()).collect();
    words.into_iter().map(Arc::from).collect()
}

fn services(running: &[Arc<str>]) -> Vec<Arc<str>> {
    let names = running.iter().map(|unit| unit.strip_suffix(".service").unwrap_or(unit));
    names.filter(|name| !ANYBODYS.iter().any(|any| name.starts_with(any))).map(Arc::from).collect()
}

fn users(passwd: &str) -> Vec<Arc<str>> {
    let own = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        OWN_USERS.contains(&number.parse().ok()?).then_some(name)
    });
    own.collect::<BTreeSet<&str>>().into_iter().map(Arc::from).collect()
}

/// Measures what of a server is asked for: `network` is where whoever reads on the machine listens. What could not be
/// measured is none.
pub fn performance(cpu: bool, disk: bool, network: Option<SocketAddr>) -> Performance {
    Performance {
        cpu: cpu.then(processor),
        disk: if disk { written().ok() } else { None },
        network: network.and_then(|to| sent(to).ok()),
    }
}

fn processor() -> u64 {
    let piece = vec![0x5a; PIECE];
    let piece = piece.get(..PIECE / 16).unwrap_or(&piece);
    let (begin, mut bytes) = (Instant::now(), 0_u64);
    let mut hash = Sha256::new();
    // All of the time counts, that in which it had to wait, too.
    while begin.elapsed() < MOMENT {
        hash.update(piece);
        bytes += piece.len() as u64;
    }
    std::hint::black_box(hash.finalize());
    per_second(bytes, begin)
}

/// Writes to where a server keeps its data, and waits until it is on the disk.
fn written() -> io::Result<u64> {
    let path = format!("/var/tmp/.andon-measure-{}", std::process::id());
    let measured = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let piece = vec![0x5a; PIECE];
        let begin = Instant::now();
        for _ in 0..AMOUNT / PIECE {
            file.write_all(&piece)?;
        }
        File::sync_data(&file)?;
        Ok(per_second(AMOUNT as u64, begin))
    };
    let measured = measured();
    let _ = fs::remove_file(&path);
    measured
}

fn sent(to: SocketAddr) -> io::Result<u64> {
    let mut stream = TcpStream::connect_timeout(&to, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let piece = vec![0x5a; PIECE];
    let begin = Instant::now();
    for _ in 0..AMOUNT / PIECE {
        stream.write_all(&piece)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // One byte comes back once all has arrived.
    stream.read_exact(&mut [0])?;
    Ok(per_second(AMOUNT as u64, begin))
}

fn per_second(bytes: u64, since: Instant) -> u64 {
    (bytes as f64 / since.elapsed().as_secs_f64().max(1e-6)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_services_of_a_servers_own() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nwww-data:x:33:33::/:/x\n\
                      shop:x:1001:1001::/home/shop:/bin/sh\ndeploy:x:1000:1000::/:/bin/sh\nbroken\n";
        assert_eq!(users(passwd), ["deploy", "shop"].map(Arc::from));
        let lines = "nginx.service loaded active running A web server\nsystemd-journald.service loaded active running J\n\
                     dbus.service x\ngetty@tty1.service x\nssh.service x\n";
        assert_eq!(services(&first_words(lines)), ["nginx", "ssh"].map(Arc::from));
        assert!(first_words("").is_empty());
    }

    #[test]
    fn a_processor_and_a_disk_are_measured() {
        let measured = performance(true, true, None);
        assert!(measured.cpu.unwrap() > 1 << 20 && measured.network.is_none());
        assert!(measured.disk.is_none_or(|disk| disk > 0));
    }

    #[test]
    fn a_network_is_measured_by_whoever_reads() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let reader = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let count = io::copy(&mut stream, &mut io::sink()).unwrap();
            stream.write_all(&[1]).unwrap();
            count
        });
        assert!(performance(false, false, Some(to)).network.unwrap() > 0);
        assert_eq!(reader.join().unwrap(), AMOUNT as u64);
        assert_eq!(performance(false, false, Some("127.0.0.1:1".parse().unwrap())).network, None);
    }
}
