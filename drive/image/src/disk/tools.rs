//! The programs of this machine that make parts of a disk.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use andon_schema::Failure;

use crate::patience::{output_of, stopped};

/// The time of all files, as for archives: 2024-01-01.
pub(super) const TIME: u64 = 1_704_067_200;

const PLACES: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/bin"];

/// Where a program is.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| PathBuf::from(place).join(program)).find(|path| path.is_file())
}

/// Stops where one of these programs is not there.
pub(super) fn require(programs: &[&str], package: &str) -> Result<(), Failure> {
    match programs.iter().find(|program| find(program).is_none()) {
        None => Ok(()),
        Some(program) => Err(missing(program, package)),
    }
}

/// What is said of a program that is not there.
pub(super) fn missing(what: &str, package: &str) -> Failure {
    Failure::new(format!("{what} missing"), format!("A disk is made with {what}, which is not installed."))
        .help(format!("Install it: `apt-get install {package}`."))
}

/// Runs a program, with nothing of this process's environment, to its end, or until an end is asked for. What it wrote.
pub(super) fn run<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
    input: Option<std::fs::File>,
    interrupt: &AtomicBool,
) -> Result<String, Failure> {
    let failed = |detail: String| Failure::new("the disk could not be made", detail);
    let path = find(program).ok_or_else(|| missing(program, program))?;
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    // What the file system's tools take for now, and no settings of this machine.
    command.env("E2FSPROGS_FAKE_TIME", TIME.to_string()).env("SOURCE_DATE_EPOCH", TIME.to_string());
    command.env("MKE2FS_CONFIG", "/dev/null");
    command.stdin(input.map_or_else(Stdio::null, Stdio::from));
    crate::bootstrap::follow(&mut command);
    let output = match output_of(&mut command, interrupt) {
        Err(_) if interrupt.load(Ordering::Relaxed) => return Err(stopped()),
        output => output.map_err(|error| failed(format!("Cannot run {program}: {error}.")))?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let failure = failed(format!("{program} ended with {}:\n{said}", output.status));
    match said.contains("No space left on device") {
        true => Err(failure.help(crate::trouble::FREE_SPACE)),
        false => Err(failure),
    }
}
