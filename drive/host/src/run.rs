//! Running the server's own tools: with a clean environment, without a terminal, never past the end of this process.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::places;

/// What is kept of a tool's output, in bytes from its end.
const KEPT: u64 = 64 * 1024;

/// How long a program may take.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// It ends by itself.
    None,
    /// From its start.
    Whole(Duration),
    /// Without a byte read or written by it or by what it started: a tool that hands its work to others may wait for
    /// ever where one of them is lost.
    Idle(Duration),
}

impl From<Option<Duration>> for Limit {
    fn from(limit: Option<Duration>) -> Limit {
        limit.map_or(Limit::None, Limit::Whole)
    }
}

/// What came of a tool.
pub(crate) struct Output {
    /// It ended with 0.
    pub success: bool,
    /// Its time was up.
    pub late: bool,
    /// What it wrote to standard output and standard error.
    pub text: String,
}

/// Runs a tool to its end.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<Output, String> {
    run_within(program, arguments, Limit::None)
}

/// Runs a tool that must come to its end within a time.
pub(crate) fn run_for(program: &str, arguments: &[&str], limit: Duration) -> Result<Output, String> {
    let output = run_within(program, arguments, Limit::Whole(limit))?;
    if output.late {
        let said = last_lines(&output.text, 3);
        return Err(format!("`{program} {}` hangs: {said}", arguments.first().unwrap_or(&"")));
    }
    Ok(output)
}

/// Runs a tool, and makes its words the error where it fails.
pub(crate) fn must(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = run(program, arguments)?;
    if output.success { Ok(()) } else { Err(format!("{program} failed: {}", last_lines(&output.text, 5))) }
}

/// Runs a tool within a limit; past it the output is `late`.
pub(crate) fn run_within(program: &str, arguments: &[&str], limit: Limit) -> Result<Output, String> {
    let mut command = Command::new(program);
    command.args(arguments);
    run_command(command, limit)
}

/// Runs a prepared command; past its limit it and what it started are killed.
pub(crate) fn run_command(mut command: Command, limit: Limit) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    clean(&mut command);
    let ended =
        finish(command, Streams::Together, None, limit, KEPT).map_err(|error| started(&program, None, &error))?;
    let mut text = String::from_utf8_lossy(&ended.output).into_owned();
    if ended.status.is_none() {
        text.push_str(&match limit {
            Limit::None => String::new(),
            Limit::Whole(limit) => format!("\nit was stopped after {} s", limit.as_secs()),
            Limit::Idle(limit) => format!("\nit was stopped, as nothing moved for {} s", limit.as_secs()),
        });
    }
    Ok(Output { success: ended.status.is_some_and(|status| status.success()), late: ended.status.is_none(), text })
}

/// Why a program could not be run.
pub(crate) fn started(program: &str, directory: Option<&str>, error: &std::io::Error) -> String {
    match (error.kind(), directory) {
        (std::io::ErrorKind::NotFound, None) => format!("this server has no `{program}`"),
        (std::io::ErrorKind::NotFound, Some(directory)) => format!("there is no directory {directory} on this server"),
        _ => format!("{program} could not be run: {error}"),
    }
}

/// What a tool is told where this process was told it: the proxy behind which the network is, and the time that it takes for
/// today, without which an image of tomorrow has other days in `/etc/shadow`.
const HANDED_ON: [&str; 4] = ["SOURCE_DATE_EPOCH", "http_proxy", "https_proxy", "no_proxy"];

/// Gives a command the environment that every tool has.
pub(crate) fn clean(command: &mut Command) {
    clean_with(command, |name| std::env::var_os(name));
}

fn clean_with(command: &mut Command, own: impl Fn(&str) -> Option<OsString>) {
    command.env_clear().envs([
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("DEBIAN_FRONTEND", "noninteractive"),
    ]);
    command.env("HOME", places::home());
    command.envs(HANDED_ON.into_iter().filter_map(|name| Some((name, own(name)?))));
}

/// Whether standard output and standard error are one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    Together,
    Apart,
}

/// How a command ended, and the last that it wrote.
pub(crate) struct Ended {
    /// `None` where its time was up.
    pub status: Option<ExitStatus>,
    pub output: Vec<u8>,
    pub errors: Vec<u8>,
}

/// Starts a command, and waits for its end.
pub(crate) fn finish(
    mut command: Command,
    streams: Streams,
    input: Option<&[u8]>,
    limit: Limit,
    kept: u64,
) -> std::io::Result<Ended> {
    // Files in memory, not pipes: nothing waits for a reader, and a daemon that keeps one open holds nobody up.
    let memory = || memfd_create("output", MFdFlags::MFD_CLOEXEC).map(File::from);
    let (mut output, mut errors) = (memory()?, memory()?);
    let stdin = match input {
        Some(bytes) => {
            let mut file = memory()?;
            file.write_all(bytes)?;
            file.seek(SeekFrom::Start(0))?;
            Stdio::from(file)
        }
        None => Stdio::null(),
    };
    let stderr = if streams == Streams::Together { &output } else { &errors };
    command.stdin(stdin).stdout(output.try_clone()?).stderr(stderr.try_clone()?).process_group(0);
    // SAFETY: the closure makes one system call and allocates nothing. It comes last, as a change of user undoes it.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut child = command.spawn()?;
    drop(command);
    let status = wait(&mut child, limit)?;
    Ok(Ended { status, output: end_of(&mut output, kept)?, errors: end_of(&mut errors, kept)? })
}

fn end_of(memory: &mut File, kept: u64) -> std::io::Result<Vec<u8>> {
    let length = memory.seek(SeekFrom::End(0))?;
    memory.seek(SeekFrom::Start(length.saturating_sub(kept)))?;
    let mut bytes = Vec::new();
    memory.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn wait(child: &mut Child, limit: Limit) -> std::io::Result<Option<ExitStatus>> {
    let (limit, is_idle) = match limit {
        Limit::None => return child.wait().map(Some),
        Limit::Whole(limit) => (limit, false),
        Limit::Idle(limit) => (limit, true),
    };
    let group = nix::unistd::Pid::from_raw(child.id() as libc::pid_t);
    let mut deadline = Instant::now() + limit;
    let mut moved = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            // It is looked only now, at the end of a time: whether anything moved within it.
            let now = is_idle.then(|| bytes_moved(group));
            if now == moved {
                let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
                child.wait()?;
                return Ok(None);
            }
            moved = now;
            deadline = Instant::now() + limit;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the processes of a group have read and written by now, in bytes (proc_pid_io(5)): of each.
fn bytes_moved(group: nix::unistd::Pid) -> Vec<(i32, u64)> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let is_in = |process: &i32| {
        nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(*process))).is_ok_and(|found| found == group)
    };
    let moved = |process: i32| {
        let text = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix("rchar: ").or(line.strip_prefix("wchar: ")));
        (process, lines.filter_map(|bytes| bytes.parse::<u64>().ok()).sum())
    };
    let mut all: Vec<(i32, u64)> = processes.filter_map(process).filter(is_in).map(moved).collect();
    all.sort_unstable();
    all
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
    fn a_tool_has_the_proxy_and_the_day_that_this_process_was_given_and_nothing_else_of_it() {
        let mut command = Command::new("env");
        command.env("STRAY", "1");
        clean_with(&mut command, |name| (name != "no_proxy").then(|| format!("of {name}").into()));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("HOME=")).collect();
        lines.sort_unstable();
        let expected = [
            "DEBIAN_FRONTEND=noninteractive",
            "LANG=C.UTF-8",
            "LC_ALL=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SOURCE_DATE_EPOCH=of SOURCE_DATE_EPOCH",
            "http_proxy=of http_proxy",
            "https_proxy=of https_proxy",
        ];
        assert_eq!(lines, expected);
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
        let output = run_command(command, Limit::Whole(Duration::from_millis(100))).unwrap();
        assert!(!output.success && output.text.starts_with("begun\n") && output.text.contains("stopped after"));
    }

    #[test]
    fn what_does_not_move_is_stopped() {
        let idle = Limit::Idle(Duration::from_millis(300));
        let stuck = run_within("sh", &["-c", "echo begun; sleep 60; echo ended"], idle).unwrap();
        assert!(stuck.late && stuck.text.starts_with("begun\n"), "{}", stuck.text);
        // What another does for it counts.
        let busy = "(for each in $(seq 12); do sleep 0.1; cat /proc/self/stat > /dev/null; done) & wait; echo ended";
        let busy = run_within("sh", &["-c", busy], idle).unwrap();
        assert!(busy.success && !busy.late && busy.text == "ended\n", "{}", busy.text);
    }

    #[test]
    fn last_lines_skip_blank_ones() {
        assert_eq!(last_lines("a\n\nb\n  \nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
