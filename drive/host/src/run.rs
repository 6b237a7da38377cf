//! Running the server's own tools: with a clean environment, without a terminal, never past the end of this process.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// What is kept of a tool's output, in bytes from its end.
const KEPT: u64 = 64 * 1024;

/// What came of a tool.
pub(crate) struct Output {
    /// It ended with 0.
    pub success: bool,
    /// What it wrote to standard output and standard error.
    pub text: String,
}

/// Runs a tool to its end.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<Output, String> {
    let mut command = Command::new(program);
    command.args(arguments);
    run_command(command, None)
}

/// Runs a tool, and makes its words the error where it fails.
pub(crate) fn must(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = run(program, arguments)?;
    if output.success { Ok(()) } else { Err(format!("{program} failed: {}", last_lines(&output.text, 5))) }
}

/// Runs a prepared command; past the time limit it and what it started are killed.
pub(crate) fn run_command(mut command: Command, limit: Option<Duration>) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{program} could not be {what}: {error}");
    // A file in memory, not a pipe: nothing waits for a reader, and a daemon that keeps it open holds nobody up.
    let memory = memfd_create("output", MFdFlags::MFD_CLOEXEC).map_err(|error| failed("given an output", &error))?;
    let mut memory = File::from(memory);
    let handle = || memory.try_clone().map(Stdio::from).map_err(|error| failed("given an output", &error));
    command.stdin(Stdio::null()).stdout(handle()?).stderr(handle()?).process_group(0);
    command.env_clear().envs([
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("HOME", "/root"),
        ("DEBIAN_FRONTEND", "noninteractive"),
    ]);
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("this server has no `{program}`"),
        _ => failed("started", &error),
    })?;
    drop(command);
    let status = wait(&mut child, limit).map_err(|error| failed("waited for", &error))?;
    let length = memory.seek(SeekFrom::End(0)).map_err(|error| failed("read", &error))?;
    let mut bytes = Vec::new();
    memory
        .seek(SeekFrom::Start(length.saturating_sub(KEPT)))
        .and_then(|_| memory.read_to_end(&mut bytes))
        .map_err(|error| failed("read", &error))?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if status.is_none() {
        text.push_str(&format!("\nit was stopped after {} s", limit.unwrap_or_default().as_secs()));
    }
    Ok(Output { success: status.is_some_and(|status| status.success()), text })
}

fn wait(child: &mut Child, limit: Option<Duration>) -> std::io::Result<Option<ExitStatus>> {
    let Some(limit) = limit else {
        return child.wait().map(Some);
    };
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            let group = nix::unistd::Pid::from_raw(child.id() as libc::pid_t);
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last lines that say something.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_both_streams_in_order_and_no_hold_up() {
        let output = run("sh", &["-c", "echo a; echo b >&2; echo $HOME; sleep 30 & exit 3"]).unwrap();
        assert!(!output.success);
        assert_eq!(output.text, "a\nb\n/root\n");
        assert!(run("no-such-tool", &[]).is_err_and(|error| error.contains("no `no-such-tool`")));
    }

    #[test]
    fn much_output_keeps_its_end() {
        let output = run("sh", &["-c", "seq 1 200000"]).unwrap();
        assert!(output.success && output.text.ends_with("199999\n200000\n"));
        assert!(output.text.len() <= 64 * 1024);
    }

    #[test]
    fn a_limit_kills() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 60; echo ended"]);
        let output = run_command(command, Some(Duration::from_millis(100))).unwrap();
        assert!(!output.success && output.text.starts_with("begun\n") && output.text.contains("stopped after"));
    }

    #[test]
    fn last_lines_skip_blank_ones() {
        assert_eq!(last_lines("a\n\nb\n  \nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
