//! Services of OpenRC (openrc-run(8)): scripts in `/etc/init.d`, links to them in `/etc/runlevels`, and what is started
//! in `/run/openrc`.

use std::fs;
use std::path::Path;

use andon_schema::host::{Stage, Unit, Verb};

use super::{is_alive, must, state};

const SCRIPTS: &str = "/etc/init.d";
const RUNLEVELS: &str = "/etc/runlevels";
const STATE: &str = "/run/openrc";

pub(super) fn look(name: &str, stage: Stage) -> Result<Option<Unit>, String> {
    if !Path::new(&format!("{SCRIPTS}/{name}")).exists() {
        return Ok(None);
    }
    let running = stage == Stage::Live && is_started(name) && !has_crashed(name);
    Ok(Some(state(running, !runlevels(name).is_empty())))
}

fn is_started(name: &str) -> bool {
    ["started", "starting", "inactive"]
        .iter()
        .any(|kind| fs::symlink_metadata(format!("{STATE}/{kind}/{name}")).is_ok())
}

/// Whether a daemon that was started is gone. OpenRC keeps where its number is: in a file for each daemon, or, where
/// another program started it, among what the script said.
fn has_crashed(name: &str) -> bool {
    let daemons = fs::read_dir(format!("{STATE}/daemons/{name}")).into_iter().flatten().flatten();
    let texts = daemons.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let files = texts.filter_map(|text| text.lines().find_map(|line| Some(line.strip_prefix("pidfile=")?.to_owned())));
    let said = fs::read_to_string(format!("{STATE}/options/{name}/pidfile")).ok();
    files.chain(said).any(|file| !file.trim().is_empty() && !is_alive(file.trim()))
}

fn runlevels(name: &str) -> Vec<String> {
    let levels = fs::read_dir(RUNLEVELS).into_iter().flatten().flatten();
    let has = |level: &fs::DirEntry| fs::symlink_metadata(level.path().join(name)).is_ok();
    levels.filter(has).map(|level| level.file_name().to_string_lossy().into_owned()).collect()
}

/// Whether a script knows a way to reload; what it says of that is one of two variables.
fn can_reload(script: &str) -> bool {
    let says = |line: &str| {
        let commands = ["extra_started_commands=", "extra_commands="].iter().find_map(|start| line.strip_prefix(start));
        commands.is_some_and(|commands| commands.split(['"', ' ', '\'', '}', '-']).any(|word| word == "reload"))
    };
    script.lines().any(|line| says(line.trim()))
}

pub(super) fn act(name: &str, verb: Verb) -> Result<(), String> {
    match verb {
        // What crashed counts as started until it is told otherwise; there is nothing to stop.
        Verb::Start | Verb::Restart if has_crashed(name) => {
            must("rc-service", &[name, "zap"])?;
            must("rc-service", &[name, "start"])
        }
        Verb::Stop if has_crashed(name) => must("rc-service", &[name, "zap"]),
        Verb::Start => must("rc-service", &[name, "start"]),
        Verb::Stop => must("rc-service", &[name, "stop"]),
        Verb::Reload => {
            let script = fs::read_to_string(format!("{SCRIPTS}/{name}")).unwrap_or_default();
            must("rc-service", &[name, if can_reload(&script) { "reload" } else { "restart" }])
        }
        Verb::Restart => must("rc-service", &[name, "restart"]),
        Verb::Enable => must("rc-update", &["--quiet", "add", name, "default"]),
        Verb::Disable => {
            runlevels(name).iter().try_for_each(|level| must("rc-update", &["--quiet", "del", name, level]))
        }
        Verb::Mask | Verb::Unmask => Err("OpenRC cannot mask a service".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_reloaded() {
        for (script, can) in [
            ("#!/sbin/openrc-run\nextra_started_commands=\"reload reopen upgrade\"\n", true),
            ("extra_commands='checkconfig'\nextra_started_commands=\"reload\"\n", true),
            ("extra_commands=\"checkconfig\"\n", false),
            ("# reload\ncommand=/usr/sbin/crond\n", false),
        ] {
            assert_eq!(can_reload(script), can, "{script}");
        }
    }
}
