//! Units of systemd. In an image nothing runs: whether a unit is enabled is read from its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use andon_schema::host::{Sight, Stage, Unit, Verb};

use super::{ACT, is_first_process, sysv};
use crate::run::{last_lines, must, run, run_for};

/// How long is waited for a server that is still starting.
const BOOT: Duration = Duration::from_secs(30);

/// How often, and with what pause, a reload is looked at until its new processes have taken over: at most 0.4 s.
const RELOAD_LOOKS: usize = 40;
const RELOAD_PAUSE: Duration = Duration::from_millis(10);

/// How long systemd may take to say how units are.
const LOOK: Duration = Duration::from_secs(30);

/// Where unit files are, the first counts (systemd.unit(5)).
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The server was seen to be up: it need not be asked again.
static BOOTED: AtomicBool = AtomicBool::new(false);

/// Looks at all units at once.
pub(crate) fn look(units: &[&Arc<str>], stage: Stage) -> BTreeMap<Arc<str>, Sight> {
    if stage == Stage::Image {
        return units.iter().map(|unit| ((*unit).clone(), Sight::Service(in_files(unit)))).collect();
    }
    let mut sights = BTreeMap::new();
    if let Err(reason) = wait_for_boot() {
        return units.iter().map(|unit| ((*unit).clone(), Sight::Failed(reason.clone()))).collect();
    }
    for some in units.chunks(200) {
        let mut arguments =
            vec!["show", "-p", "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,SourcePath", "--"];
        arguments.extend(some.iter().map(|unit| &***unit));
        let shown = run_for("systemctl", &arguments, LOOK).and_then(|output| {
            if output.success {
                Ok(output.text)
            } else {
                Err(format!("systemctl failed: {}", last_lines(&output.text, 3)))
            }
        });
        match shown {
            // The answers are in the order of the questions, a blank line between them.
            Ok(text) => {
                let mut blocks = text.split("\n\n");
                for unit in some {
                    let sight = match blocks.next() {
                        Some(block) => Sight::Service(parse(block)),
                        None => Sight::Failed(format!("systemd said nothing of {unit}")),
                    };
                    sights.insert((*unit).clone(), sight);
                }
            }
            Err(reason) => {
                sights.extend(some.iter().map(|unit| ((*unit).clone(), Sight::Failed(reason.clone()))));
            }
        }
    }
    sights
}

/// One block of `systemctl show`.
fn parse(block: &str) -> Option<Unit> {
    let field =
        |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
    let running = match field("ActiveState") {
        "active" | "reloading" | "refreshing" => true,
        // A unit that waits to be started again after it failed does not run.
        "activating" => !field("SubState").starts_with("auto-restart"),
        _ => false,
    };
    if field("LoadState") == "not-found" && !running {
        return None;
    }
    let enablement = match (field("UnitFileState"), script_of(field("SourcePath"))) {
        ("generated", Some(script)) => sysv::enablement(script),
        (state, _) => state,
    };
    Some(Unit { running, enablement: enablement.into(), stale: field("NeedDaemonReload") == "yes" })
}

/// The name of the script of System V that a unit is made from: its links say when it starts, not systemd's.
fn script_of(source: &str) -> Option<&str> {
    ["/etc/init.d/", "/etc/rc.d/init.d/"].iter().find_map(|scripts| source.strip_prefix(scripts))
}

fn in_files(unit: &str) -> Option<Unit> {
    let state = |enablement: &str| Some(Unit { running: false, enablement: enablement.into(), stale: false });
    let template = unit.split_once('@').zip(unit.rsplit_once('.'));
    let template = template.map(|((name, _), (_, suffix))| format!("{name}@.{suffix}"));
    let names = [Some(unit.to_owned()), template];
    let file = names.iter().flatten().find_map(|name| {
        DIRECTORIES
            .iter()
            .map(|directory| format!("{directory}/{name}"))
            .find(|path| fs::symlink_metadata(path).is_ok())
    });
    let Some(file) = file else {
        let script = unit.strip_suffix(".service");
        let script = script.filter(|name| Path::new(&format!("/etc/init.d/{name}")).exists());
        return script.and_then(|name| state(sysv::enablement(name)));
    };
    let target = fs::read_link(&file).unwrap_or_default();
    if target == Path::new("/dev/null") {
        return state("masked");
    }
    let wanted = fs::read_dir("/etc/systemd/system").into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        (name.ends_with(".wants") || name.ends_with(".requires"))
            && fs::symlink_metadata(entry.path().join(unit)).is_ok()
    });
    if wanted {
        return state("enabled");
    }
    let text = fs::read_to_string(&file).unwrap_or_default();
    let install = ["WantedBy=", "RequiredBy=", "UpheldBy=", "Alias=", "Also="];
    let can_be_enabled = text.lines().any(|line| install.iter().any(|start| line.trim_start().starts_with(start)));
    state(if can_be_enabled { "disabled" } else { "static" })
}

/// The processes of a unit of the system's own slice, by its control group; none where that cannot be read.
fn processes(unit: &str) -> BTreeSet<String> {
    let group = format!("/sys/fs/cgroup/system.slice/{unit}/cgroup.procs");
    fs::read_to_string(group).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Many services reload by a signal that systemctl(1) only sends: new workers take over from the old ones a moment
/// later. Waits until all but the first old process are gone and new ones are there. One that is busy ends its work in
/// its own time, and a service that reloads within its process shows no sign at all: neither is waited for long.
fn wait_for_new_processes(unit: &str, before: &BTreeSet<String>) {
    if before.len() < 2 {
        return;
    }
    for _ in 0..RELOAD_LOOKS {
        let now = processes(unit);
        if now.intersection(before).count() <= 1 && now.difference(before).next().is_some() {
            return;
        }
        std::thread::sleep(RELOAD_PAUSE);
    }
}

/// Does something to a unit.
pub(crate) fn act(unit: &str, verb: Verb, stage: Stage) -> Result<(), String> {
    let word = match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Reload => "reload-or-restart",
        Verb::Restart => "restart",
        Verb::Enable => "enable",
        Verb::Disable => "disable",
        Verb::Mask => "mask",
        Verb::Unmask => "unmask",
    };
    if stage == Stage::Live {
        wait_for_boot()?;
    }
    let before = processes(unit);
    let output = run_for("systemctl", &[word, "--", unit], ACT)?;
    if output.success {
        if verb == Verb::Reload {
            wait_for_new_processes(unit, &before);
        }
        return Ok(());
    }
    // Where to look for more is said by systemd; what is there follows at once.
    let told: Vec<&str> = output.text.lines().filter(|line| !line.starts_with("See \"")).collect();
    let mut reason = format!("systemctl {word} {unit} failed: {}", last_lines(&told.join("\n"), 3));
    if stage == Stage::Live && matches!(verb, Verb::Start | Verb::Reload | Verb::Restart) {
        let journal = run("journalctl", &["--no-pager", "-q", "-o", "cat", "-n", "10", "-u", unit]);
        let journal = journal.map(|output| last_attempt(&output.text)).unwrap_or_default();
        let said = match journal.is_empty() {
            true => run("systemctl", &["status", "--no-pager", "--full", "-n", "10", "--", unit])?.text,
            false => journal,
        };
        reason = format!("{reason}\n{}", last_lines(&said, 12));
    }
    Err(reason)
}

/// The lines of a journal since the last start.
fn last_attempt(journal: &str) -> String {
    let lines: Vec<&str> = journal.lines().collect();
    let from = lines.iter().rposition(|line| line.starts_with("Starting ") || line.starts_with("Started "));
    last_lines(&lines.get(from.unwrap_or(0)..).unwrap_or_default().join("\n"), 10)
}

/// Makes systemd read changed unit files.
pub(crate) fn read_units() -> Result<(), String> {
    if !runs() {
        // Whoever starts systemd here has it read all units.
        return Ok(());
    }
    wait_for_boot()?;
    must("systemctl", &["daemon-reload"])
}

/// Waits, within bounds, until a server that is starting is up: only then does what runs mean anything.
fn wait_for_boot() -> Result<(), String> {
    if BOOTED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let deadline = Instant::now() + BOOT;
    loop {
        // It ends with other than 0 while the server is not up, and where any unit failed.
        let output = run("systemctl", &["is-system-running"])?;
        let state = output.text.lines().last().unwrap_or_default().trim();
        let late = Instant::now() >= deadline;
        match state {
            "running" | "degraded" | "maintenance" | "stopping" => break,
            "initializing" | "starting" if late => break,
            _ if late => return Err(format!("systemd does not run on this server: {}", last_lines(&output.text, 2))),
            "offline" if !runs() => {
                return Err("systemd does not run on this server".to_owned());
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    BOOTED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Whether it runs here.
pub(super) fn runs() -> bool {
    // Early in its life it still has the name that it was started by.
    let is_program = || fs::read_link("/proc/1/exe").is_ok_and(|program| program.ends_with("systemd/systemd"));
    Path::new("/run/systemd/system").exists() || is_first_process("systemd") || is_program()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_attempt_is_told() {
        let journal = "Started a.\nold\nStopped a.\nStarting a...\nbad line 3\nFailed to start a.\n";
        assert_eq!(last_attempt(journal), "Starting a...\nbad line 3\nFailed to start a.");
        assert_eq!(last_attempt("one\ntwo"), "one\ntwo");
        assert_eq!(last_attempt(""), "");
    }

    #[test]
    fn states() {
        let block = |active: &str, sub: &str, load: &str| {
            format!(
                "LoadState={load}\nActiveState={active}\nSubState={sub}\nUnitFileState=enabled\nNeedDaemonReload=no"
            )
        };
        for (active, sub, load, running) in [
            ("active", "running", "loaded", Some(true)),
            ("active", "exited", "loaded", Some(true)),
            ("reloading", "reload", "loaded", Some(true)),
            ("activating", "start", "loaded", Some(true)),
            ("activating", "auto-restart", "loaded", Some(false)),
            ("deactivating", "stop-sigterm", "loaded", Some(false)),
            ("failed", "failed", "loaded", Some(false)),
            ("inactive", "dead", "masked", Some(false)),
            ("inactive", "dead", "not-found", None),
            ("active", "running", "not-found", Some(true)),
        ] {
            assert_eq!(parse(&block(active, sub, load)).map(|unit| unit.running), running, "{active} {sub} {load}");
        }
        assert!(parse("LoadState=loaded\nNeedDaemonReload=yes").is_some_and(|unit| unit.stale));
    }
}
