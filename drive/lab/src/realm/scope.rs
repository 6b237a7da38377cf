//! A control group for a user's process, by the user's own systemd.
//!
//! Where a user logs in, processes are in a scope that is root's. The user's service manager has others to give, and moves a
//! process there that asks (`StartTransientUnit` of org.freedesktop.systemd1(5), as systemd-run(1) does it). They end with
//! the user's last session, unless the user lingers (loginctl(1)): so a realm is begun in one only where they stay.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::note::Note;
use crate::cgroup::own_group;

/// How long the service manager may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Where systemd-logind keeps the names of the users that linger.
const LINGERING: &str = "/var/lib/systemd/linger";

/// Whether a process that is in no group of its user's needs one: to come to a realm that has groups, or to begin one.
pub(super) fn is_needed(known: Option<&Note>, lingers: bool) -> bool {
    known.map_or(lingers, |note| note.group.is_some())
}

/// Whether the service manager of this process's user goes on when nobody is logged in.
pub(super) fn lingers() -> bool {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    user.is_some_and(|user| Path::new(LINGERING).join(user.name).exists())
}

/// Moves this process into a scope of its own; `None` where there is nobody to give one.
pub(super) fn enter() -> Option<PathBuf> {
    let process = std::process::id();
    let mut command = Command::new("busctl");
    command.args(["--user", "--quiet", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"]);
    command.args(["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))"]);
    // A realm's first one is there for longer than the process: another one of its number has another name.
    let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_micros();
    command.args([&format!("andon-{process}-{began}.scope"), "fail", "3", "Description", "s", "andon"]);
    command.args(["PIDs", "au", "1", &process.to_string(), "Delegate", "b", "true", "0"]);
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{}", nix::unistd::geteuid()));
    }
    let asked = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.ok().filter(std::process::ExitStatus::success)?;
    // It answers before it has done so.
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(group) = own_group() {
            return Some(group);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_asked_for_where_it_stays_or_all_is_in_one() {
        let with = Note { group: Some("/sys/fs/cgroup/user.slice/run.scope/andon-7".into()), ..Note::default() };
        let without = Note::default();
        for (known, lingers, expected) in [
            (None, false, false),
            (None, true, true),
            (Some(&with), false, true),
            (Some(&with), true, true),
            // Its servers are known by lists, whoever comes.
            (Some(&without), true, false),
        ] {
            assert_eq!(is_needed(known, lingers), expected, "{known:?} {lingers}");
        }
    }
}
