//! Services of System V's init: scripts in `/etc/init.d` with the words and exit codes of the Linux Standard Base, and
//! links to them by runlevel.

use std::fs;
use std::path::Path;
use std::time::Duration;

use andon_schema::host::{Stage, Unit, Verb};

use super::{is_alive, must, state};
use crate::processes;
use crate::run::run_for;

const SCRIPTS: &str = "/etc/init.d";

/// How long a script may take to say whether its service runs.
const STATUS: Duration = Duration::from_secs(10);

/// The directories of the runlevels in which services run, as Debian and Red Hat have them.
const LEVELS: [&str; 8] = [
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/rc4.d",
    "/etc/rc5.d",
    "/etc/rc.d/rc2.d",
    "/etc/rc.d/rc3.d",
    "/etc/rc.d/rc4.d",
    "/etc/rc.d/rc5.d",
];

pub(super) fn look(name: &str, stage: Stage) -> Result<Option<Unit>, String> {
    let script = format!("{SCRIPTS}/{name}");
    if !Path::new(&script).exists() {
        let has_systemd = Path::new("/usr/bin/systemctl").exists() && stage == Stage::Live;
        return if has_systemd { Err("systemd does not run on this server".to_owned()) } else { Ok(None) };
    }
    let running = stage == Stage::Live && runs(name, &script)?;
    Ok(Some(state(running, is_enabled(name))))
}

/// Whether a script is started at boot, in systemd's words.
pub(super) fn enablement(name: &str) -> &'static str {
    if is_enabled(name) { "enabled" } else { "disabled" }
}

fn is_enabled(name: &str) -> bool {
    let starts = |entry: fs::DirEntry| is_start_link(&entry.file_name().to_string_lossy(), name);
    LEVELS.iter().any(|level| fs::read_dir(level).into_iter().flatten().flatten().any(starts))
}

/// `S20nginx` starts `nginx`.
fn is_start_link(link: &str, name: &str) -> bool {
    let rest = link.strip_prefix('S').and_then(|rest| rest.get(2..).map(|last| (rest, last)));
    rest.is_some_and(|(rest, last)| last == name && rest.bytes().take(2).all(|byte| byte.is_ascii_digit()))
}

fn runs(name: &str, script: &str) -> Result<bool, String> {
    let text = fs::read_to_string(script).unwrap_or_default();
    if !text.contains("status") {
        // An old script that cannot say: the file with its number, or a process of its name.
        let files = [format!("/run/{name}.pid"), format!("/var/run/{name}.pid"), format!("/run/{name}/{name}.pid")];
        let known = files.iter().find(|file| Path::new(file).exists());
        return Ok(known.map_or_else(|| processes::count(name, None) > 0, |file| is_alive(file)));
    }
    run_for(script, &["status"], STATUS).map(|output| output.success)
}

pub(super) fn act(name: &str, verb: Verb) -> Result<(), String> {
    let script = format!("{SCRIPTS}/{name}");
    match verb {
        Verb::Start => must(&script, &["start"]),
        Verb::Stop => must(&script, &["stop"]),
        Verb::Restart => must(&script, &["restart"]),
        // Scripts need not know this word.
        Verb::Reload => must(&script, &["reload"]).or_else(|_| must(&script, &["restart"])),
        Verb::Enable | Verb::Disable => set_enabled(name, verb == Verb::Enable),
        Verb::Mask | Verb::Unmask => Err("System V's init cannot mask a service".to_owned()),
    }
}

fn set_enabled(name: &str, enabled: bool) -> Result<(), String> {
    let is_there = |tool: &str| ["/usr/sbin/", "/sbin/"].iter().any(|at| Path::new(&format!("{at}{tool}")).exists());
    if is_there("update-rc.d") {
        // The first makes the links of all runlevels where there are none, the second has them start or not.
        must("update-rc.d", &[name, "defaults"])?;
        must("update-rc.d", &[name, if enabled { "enable" } else { "disable" }])
    } else if is_there("chkconfig") {
        must("chkconfig", &["--add", name])?;
        must("chkconfig", &[name, if enabled { "on" } else { "off" }])
    } else {
        Err(format!("this server has neither update-rc.d nor chkconfig, by which `{name}` could be started at boot"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_start() {
        for (link, name, starts) in [
            ("S20nginx", "nginx", true),
            ("K20nginx", "nginx", false),
            ("S20nginx-debug", "nginx", false),
            ("S2", "nginx", false),
            ("Snginx", "nginx", false),
            ("S01öl", "öl", true),
        ] {
            assert_eq!(is_start_link(link, name), starts, "{link}");
        }
    }
}
