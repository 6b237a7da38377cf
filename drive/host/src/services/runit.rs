//! Services of runit (sv(8)): directories in `/etc/sv`, a link to each that is supervised, and the state that `runsv`
//! keeps in the directory itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use andon_schema::host::{Stage, Unit, Verb};

use super::{is_alive, must, state};

const SERVICES: &str = "/etc/sv";

/// How long is waited for `runsvdir` to see a new link: it looks every five seconds.
const SEEN: Duration = Duration::from_secs(15);

/// Where the links are; `runsvdir` is told when it is started.
fn links() -> &'static str {
    let known = ["/etc/service", "/etc/runit/runsvdir/default", "/var/service", "/service"];
    known.into_iter().find(|path| Path::new(path).is_dir()).unwrap_or("/etc/service")
}

fn link(name: &str) -> String {
    format!("{}/{name}", links())
}

/// The directory of a service; one that is only in the directory of links is its own.
fn directory(name: &str) -> Option<String> {
    [format!("{SERVICES}/{name}"), link(name)].into_iter().find(|path| Path::new(path).is_dir())
}

pub(super) fn look(name: &str, stage: Stage) -> Result<Option<Unit>, String> {
    let Some(directory) = directory(name) else { return Ok(None) };
    let enabled = fs::symlink_metadata(link(name)).is_ok() && !Path::new(&format!("{directory}/down")).exists();
    Ok(Some(state(stage == Stage::Live && is_up(&directory), enabled)))
}

fn is_up(directory: &str) -> bool {
    let told = fs::read_to_string(format!("{directory}/supervise/stat")).unwrap_or_default();
    told.starts_with("run") && is_alive(&format!("{directory}/supervise/pid"))
}

pub(super) fn act(name: &str, verb: Verb) -> Result<(), String> {
    let directory = directory(name).ok_or_else(|| format!("there is no service {SERVICES}/{name}"))?;
    let failed = |error: std::io::Error| format!("{} could not be changed: {error}", link(name));
    let word = match verb {
        Verb::Enable => {
            let _ = fs::remove_file(format!("{directory}/down"));
            return match symlink(&directory, link(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
                _ => Ok(()),
            };
        }
        Verb::Disable => {
            // A directory among the links is the service itself: it is kept, and not started.
            return match fs::symlink_metadata(link(name)) {
                Ok(entry) if entry.is_symlink() => fs::remove_file(link(name)).map_err(failed),
                Ok(_) => fs::write(format!("{directory}/down"), "").map_err(failed),
                Err(_) => Ok(()),
            };
        }
        Verb::Mask | Verb::Unmask => return Err("runit cannot mask a service".to_owned()),
        Verb::Start => "start",
        Verb::Stop if !is_supervised(&directory) => return Ok(()),
        Verb::Stop => "force-stop",
        Verb::Reload => "reload",
        Verb::Restart => "restart",
    };
    let deadline = Instant::now() + SEEN;
    while !is_supervised(&directory) {
        if fs::symlink_metadata(link(name)).is_err() {
            return Err(format!("runit runs only what is enabled, and `{name}` is not"));
        }
        if Instant::now() >= deadline {
            return Err(format!("no runsv came for {} within {} s", link(name), SEEN.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let process = || fs::read_to_string(format!("{directory}/supervise/pid")).unwrap_or_default();
    let before = process();
    must("sv", &["-w", "60", word, &directory])?;
    // What ended within a second is started again only after it; and sv, which counts in seconds, takes what was
    // started just before for what it started itself.
    let is_old = || verb == Verb::Restart && process() == before;
    let deadline = Instant::now() + SEEN;
    while verb != Verb::Stop && (!is_up(&directory) || is_old()) {
        if Instant::now() >= deadline {
            return Err(format!("`{name}` does not stay up after `sv {word}`"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Whether `runsv` is there to be told: somebody reads its pipe.
fn is_supervised(directory: &str) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    let mut open = fs::OpenOptions::new();
    open.write(true).custom_flags(libc::O_NONBLOCK).open(format!("{directory}/supervise/ok")).is_ok()
}
