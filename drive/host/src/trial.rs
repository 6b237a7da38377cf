//! A command that judges new content before it replaces the old.
//!
//! The command is run in a mount namespace of its own, in which the new content is at the path already; nobody else
//! sees it. When the command ends, the namespace and its mounts are gone with it. In an image nobody else looks: there
//! the new file takes its place for the time of the trial.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use andon_schema::host::Stage;

use crate::run::{Limit, Output, last_lines, run_command};

/// How long the command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Lets the command judge the file at `temporary`, which is to be at `path`.
pub(crate) fn trial(path: &str, temporary: &str, command: &str, stage: Stage) -> Result<(), String> {
    let output = if command.contains("%s") {
        let quoted = format!("'{}'", temporary.replace('\'', r"'\''"));
        run_command(shell(&command.replace("%s", &quoted)), Limit::Whole(LIMIT))
    } else if stage == Stage::Image {
        in_its_place(path, temporary, command)
    } else {
        in_a_namespace(path, temporary, command)
    }?;
    if output.success {
        return Ok(());
    }
    // The first line of a script may say what it comes to.
    let told = command.lines().next().unwrap_or_default().trim_start_matches("# ");
    Err(format!("the new content of {path} is refused by `{told}`:\n{}", last_lines(&output.text, 12)))
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]);
    shell
}

fn in_its_place(path: &str, temporary: &str, command: &str) -> Result<Output, String> {
    let failed = |error: io::Error| format!("the new content of {path} could not be tried: {error}");
    let kept = format!("{temporary}-old");
    let had = match fs::rename(path, &kept) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(error)),
    };
    fs::rename(temporary, path).map_err(failed)?;
    let output = run_command(shell(command), Limit::Whole(LIMIT));
    fs::rename(path, temporary).map_err(failed)?;
    if had {
        fs::rename(&kept, path).map_err(failed)?;
    }
    output
}

fn in_a_namespace(path: &str, temporary: &str, command: &str) -> Result<Output, String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        format!("the new content of {path} could not be shown to `{command}` alone: {what}: {error}")
    };
    let mounts = plan_mounts(path, temporary).map_err(|error| failed("its directory could not be read", &error))?;
    let mut shell = shell(command);
    // SAFETY: the closure makes system calls on strings prepared above; it allocates only to report an error.
    unsafe {
        shell.pre_exec(move || mounts.iter().try_for_each(Step::take));
    }
    run_command(shell, Limit::Whole(LIMIT)).map_err(|error| {
        format!("{}; with `%s` in the command it is given a temporary file instead", failed("it needs mounts", &error))
    })
}

/// One system call of the way into the namespace.
enum Step {
    Unshare,
    Private,
    Tmpfs(CString),
    Bind {
        from: CString,
        to: CString,
    },
    Directory(CString),
    File(CString),
    Link {
        target: CString,
        at: CString,
    },
    /// What is in the working directory can be named even when something is mounted over it.
    Enter(CString),
}

/// Over a file, its successor is bound. Where there is no file, or a link that is to become one, its directory is
/// covered by an empty one into which all its other entries are bound, and the new file.
fn plan_mounts(path: &str, temporary: &str) -> io::Result<Vec<Step>> {
    let text = |text: &str| CString::new(text).map_err(io::Error::other);
    let mut steps = vec![Step::Unshare, Step::Private];
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        steps.push(Step::Bind { from: text(temporary)?, to: text(path)? });
        return Ok(steps);
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if parent.is_empty() {
        return Err(io::Error::other("the root directory cannot be covered"));
    }
    steps.push(Step::Enter(text(parent)?));
    steps.push(Step::Tmpfs(text(parent)?));
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let Some(known) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let (from, to) = (text(&known)?, text(&format!("{parent}/{known}"))?);
        let kind = entry.file_type()?;
        if known == name || format!("{parent}/{known}") == temporary {
            continue;
        }
        if kind.is_symlink() {
            let target = fs::read_link(entry.path())?;
            steps.push(Step::Link { target: text(&target.to_string_lossy())?, at: to });
            continue;
        }
        steps.push(if kind.is_dir() { Step::Directory(to.clone()) } else { Step::File(to.clone()) });
        steps.push(Step::Bind { from, to });
    }
    let (_, new) = temporary.rsplit_once('/').unwrap_or(("", temporary));
    steps.push(Step::File(text(path)?));
    steps.push(Step::Bind { from: text(new)?, to: text(path)? });
    steps.push(Step::Enter(text("/")?));
    Ok(steps)
}

impl Step {
    fn take(&self) -> io::Result<()> {
        // SAFETY: every pointer is to a string that ends with a null byte and lives as long as this step, or is null
        // where the call takes null.
        let outcome = unsafe {
            match self {
                Step::Unshare => libc::unshare(libc::CLONE_NEWNS),
                Step::Private => mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE),
                Step::Tmpfs(at) => mount(Some(c"tmpfs"), at, Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV),
                Step::Bind { from, to } => mount(Some(from), to, None, libc::MS_BIND | libc::MS_REC),
                Step::Directory(at) => libc::mkdir(at.as_ptr(), 0o755),
                Step::File(at) => {
                    match libc::open(at.as_ptr(), libc::O_CREAT | libc::O_CLOEXEC | libc::O_WRONLY, 0o600) {
                        -1 => -1,
                        file => libc::close(file),
                    }
                }
                Step::Link { target, at } => libc::symlink(target.as_ptr(), at.as_ptr()),
                Step::Enter(at) => libc::chdir(at.as_ptr()),
            }
        };
        if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// # Safety
/// As mount(2).
unsafe fn mount(from: Option<&CStr>, at: &CStr, kind: Option<&CStr>, flags: libc::c_ulong) -> libc::c_int {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the strings outlive the call; the data may be null for these kinds of mount.
    unsafe { libc::mount(pointer(from), at.as_ptr(), pointer(kind), flags, std::ptr::null()) }
}
