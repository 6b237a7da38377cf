//! Whether the process that took a lock still lives, as far as this one can tell.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::backend::LockRow;

/// A process, known apart from every other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// The machine's name, its boot and the namespace of process numbers, as `name boot namespace`.
    pub(crate) machine: String,
    pub(crate) pid: i64,
    /// When it started, in ticks since the boot: tells it from a later one with its number.
    pub(crate) started: i64,
}

/// What has become of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Lives,
    Gone,
    /// It cannot be seen from here.
    Unknown,
}

impl Process {
    pub(crate) fn own() -> Process {
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let boot = read("/proc/sys/kernel/random/boot_id");
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let pid = std::process::id();
        Process {
            machine: format!("{host} {boot} {}", namespace.display()),
            pid: i64::from(pid),
            started: look(pid).map_or(0, |(started, _)| started),
        }
    }

    /// The one that took a lock.
    pub(crate) fn of(row: &LockRow) -> Process {
        Process { machine: row.machine.clone(), pid: row.pid, started: row.started }
    }

    /// `on_one_machine` says that no other machine can have taken the lock: then what another boot left is gone.
    pub(crate) fn fate(&self, on_one_machine: bool) -> Fate {
        let own = Process::own();
        if self.machine != own.machine {
            return match (parts(&self.machine), parts(&own.machine)) {
                (Some((host, boot)), Some((own_host, own_boot)))
                    if on_one_machine && host == own_host && boot != own_boot =>
                {
                    Fate::Gone
                }
                _ => Fate::Unknown,
            };
        }
        let Ok(pid) = u32::try_from(self.pid) else { return Fate::Gone };
        let signalled = i32::try_from(pid).map(|pid| kill(Pid::from_raw(pid), None));
        match (signalled, look(pid)) {
            (Ok(Err(Errno::ESRCH)) | Err(_), _) => Fate::Gone,
            (_, Some((started, dead))) if dead || started != self.started => Fate::Gone,
            // Where processes of others are hidden, this one is at least there.
            _ => Fate::Lives,
        }
    }
}

fn parts(machine: &str) -> Option<(&str, &str)> {
    let mut parts = machine.split(' ');
    Some((parts.next()?, parts.next()?))
}

/// When a process started, and whether it is dead and only waits for its parent to notice; from `/proc/PID/stat`
/// (proc_pid_stat(5)), whose second field may hold anything, and ends with the last `)`.
fn look(pid: u32) -> Option<(i64, bool)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let started = fields.get(19)?.parse().ok()?;
    Some((started, matches!(*fields.first()?, "Z" | "X" | "x")))
}
