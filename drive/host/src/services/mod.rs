//! Services, by whatever init this server has. Where the init keeps its state in files, they are read; else its tool is
//! asked, within a time, once for all services where it can be.

mod openrc;
mod runit;
mod systemd;
mod sysv;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use andon_schema::host::{Init, Sight, Stage, Unit, Verb};

use crate::run::{last_lines, run_for};

pub(crate) use systemd::read_units;

/// How long a service may take to start, stop or reload.
const ACT: Duration = Duration::from_secs(300);

/// What starts and stops services here: live what runs, in an image what is installed to do so.
pub(crate) fn init(stage: Stage) -> Init {
    let any = |paths: &[&str]| paths.iter().any(|path| Path::new(path).exists());
    match stage {
        Stage::Live if systemd::runs() => Init::Systemd,
        Stage::Live if any(&["/run/openrc/softlevel", "/run/openrc/started"]) => Init::OpenRc,
        Stage::Live if is_first_process("runit") || any(&["/run/runit/runsvdir"]) => Init::Runit,
        Stage::Live => Init::SysV,
        Stage::Image if any(&["/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/usr/bin/systemctl"]) => {
            Init::Systemd
        }
        Stage::Image if any(&["/sbin/openrc-run", "/usr/sbin/openrc-run"]) => Init::OpenRc,
        Stage::Image if any(&["/etc/runit/1"]) => Init::Runit,
        Stage::Image => Init::SysV,
    }
}

fn is_first_process(name: &str) -> bool {
    fs::read_to_string("/proc/1/comm").is_ok_and(|comm| comm.trim() == name)
}

/// Looks at all services at once.
pub(crate) fn look(units: &[&Arc<str>], stage: Stage) -> BTreeMap<Arc<str>, Sight> {
    let by_name: fn(&str, Stage) -> Result<Option<Unit>, String> = match init(stage) {
        Init::Systemd => return systemd::look(units, stage),
        Init::OpenRc => openrc::look,
        Init::Runit => runit::look,
        Init::SysV => sysv::look,
    };
    let look = |unit: &str| match name_of(unit) {
        Some(name) => by_name(name, stage).map_or_else(Sight::Failed, Sight::Service),
        None => Sight::Service(None),
    };
    units.iter().map(|unit| ((*unit).clone(), look(unit))).collect()
}

/// Does something to a service.
pub(crate) fn act(unit: &str, verb: Verb, stage: Stage) -> Result<(), String> {
    let init = init(stage);
    if init == Init::Systemd {
        return systemd::act(unit, verb, stage);
    }
    let name = name_of(unit).ok_or_else(|| format!("only systemd knows units such as `{unit}`"))?;
    if matches!(verb, Verb::Mask | Verb::Unmask) {
        return Err(format!("only systemd can mask a service, and it does not run on this server: `{name}`"));
    }
    match init {
        Init::OpenRc => openrc::act(name, verb),
        Init::Runit => runit::act(name, verb),
        _ => sysv::act(name, verb),
    }
}

/// The name of a service without the suffix that systemd gives it; `None` for a unit of another kind.
fn name_of(unit: &str) -> Option<&str> {
    unit.strip_suffix(".service")
}

/// A service that is there.
fn state(running: bool, enabled: bool) -> Unit {
    Unit { running, enablement: if enabled { "enabled" } else { "disabled" }.into(), stale: false }
}

/// Whether the process whose number a file holds is there, and has not ended without anybody having looked.
fn is_alive(pid_file: &str) -> bool {
    let number = fs::read_to_string(pid_file).ok().and_then(|text| text.split_whitespace().next()?.parse::<u32>().ok());
    let stat = number.and_then(|number| fs::read_to_string(format!("/proc/{number}/stat")).ok());
    // The name stands in brackets, and may hold some (proc_pid_stat(5)).
    stat.is_some_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

/// Runs a tool that must end with 0, within its time.
fn must(tool: &str, arguments: &[&str]) -> Result<(), String> {
    let output = run_for(tool, arguments, ACT)?;
    if output.success {
        return Ok(());
    }
    Err(format!("{tool} {} failed: {}", arguments.join(" "), last_lines(&output.text, 8)))
}
