//! One command in a target, with what it wrote.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};

use crate::call::{Helper, command, how, process_end, refusal, take};
use crate::frame::Decoder;
use crate::ssh::no_ssh;
use crate::{ReachError, Ssh, Target};

/// What is kept of each stream, in bytes from its beginning.
const KEPT_BYTES: usize = 16 << 20;

/// What `ssh` may take beyond the time that the command has.
const WAY: Duration = Duration::from_secs(20);

/// What `timeout` ends with when the time is over.
const TIMED_OUT: i32 = 124;

/// Runs `$1 /bin/sh -c "$2"`, and ends it where standard input ends before it does.
const WATCHED: &str = "exec 3<&0 </dev/null; setsid $1 /bin/sh -c \"$2\" 3<&- & c=$!; \
    { read -r x <&3; kill -TERM -$c && sleep 2; kill -KILL -$c; } >/dev/null 2>&1 & w=$!; \
    exec 3<&-; wait $c; r=$?; kill $w 2>/dev/null; exit $r";

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Its exit status: 128 and the signal's number for one that was killed. `None` for one that took too long.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub output: Vec<u8>,
    /// What it wrote to standard error.
    pub errors: Vec<u8>,
}

/// Runs a line of a shell inside `target`, as root where that is so without a question, with nothing to read. Past
/// `limit` it is ended. What it leaves running holds nobody up.
pub fn run_command(target: &Target, helper: &Path, line: &str, limit: Option<Duration>) -> Result<Answer, ReachError> {
    match target {
        Target::Ssh(ssh) => over_ssh(ssh, line, limit),
        Target::Local => {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(line).process_group(0);
            let (answer, _) = captured(&mut shell, Stdio::null(), limit, true)
                .map_err(|source| ReachError::Start { helper: "/bin/sh".into(), source })?;
            Ok(answer)
        }
        Target::Server { .. } | Target::Root { .. } => beside(target, helper, line, limit),
    }
}

/// In a target of this machine: the helper says on a pipe of its own where it could not enter.
fn beside(target: &Target, helper: &Path, line: &str, limit: Option<Duration>) -> Result<Answer, ReachError> {
    let start = |source: io::Error| ReachError::Start { helper: helper.to_owned(), source };
    let (report, report_to) = pipe2(OFlag::O_CLOEXEC).map_err(|error| start(error.into()))?;
    let number = report_to.as_raw_fd();
    let mut command = command(target, helper, "exec");
    command.arg(number.to_string()).args(["/bin/sh", "-c", line]);
    // SAFETY: between fork and exec only fcntl is called, which is async-signal-safe, on a descriptor that is open.
    unsafe {
        command.pre_exec(move || {
            let fd = BorrowedFd::borrow_raw(number);
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        });
    }
    let captured = captured(&mut command, Stdio::null(), limit, false);
    drop((report_to, command));
    let (answer, _) = captured.map_err(start)?;
    let mut bytes = Vec::new();
    File::from(report).read_to_end(&mut bytes).map_err(|source| ReachError::Talk { source })?;
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    match decoder.next() {
        Ok(Some(refused)) => Err(refusal(refused, target)),
        _ => Ok(answer),
    }
}

fn over_ssh(ssh: &Ssh, line: &str, limit: Option<Duration>) -> Result<Answer, ReachError> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    // The server ends the command itself, as it would not hear of the end of the connection.
    let timeout = match limit {
        Some(limit) => {
            let seconds = limit.as_millis().div_ceil(1000).max(1);
            format!("t=; command -v timeout >/dev/null && t=\"timeout -k 5 {seconds}\"; ")
        }
        None => "t=; ".to_owned(),
    };
    // Nobody tells a command that its connection is gone. Beside it somebody reads what never comes: its end is that of
    // whoever asked, and then the command ends, too. Without setsid(1) it goes on.
    let script = format!(
        "{}{timeout}if command -v setsid >/dev/null; then exec $s /bin/sh -c '{WATCHED}' sh \"$t\" \"$1\"; fi; \
         exec $s $t /bin/sh -c \"$1\" </dev/null",
        ssh.root_words()
    );
    let mut command = ssh.command(&["-T", "-x"])?;
    command.arg(format!("exec /bin/sh -c {} sh {}", quoted(&script), quoted(line))).env("LC_ALL", "C");
    ssh.detach(&mut command);
    let (mut answer, status) =
        captured(&mut command, Stdio::piped(), limit.map(|limit| limit + WAY), false).map_err(no_ssh)?;
    let is_sudo = answer.output.is_empty()
        && match answer.status {
            Some(1) => answer.errors.starts_with(b"sudo: "),
            Some(127) => answer.errors.ends_with(b": sudo: not found\n"),
            _ => false,
        };
    match (answer.status, status) {
        (Some(255), Some(status)) => Err(ssh.refused(Some(255), how(status), &answer.errors)),
        (code, Some(status)) if is_sudo => Err(ssh.refused(code, how(status), &answer.errors)),
        (Some(TIMED_OUT), _) if limit.is_some() => {
            answer.status = None;
            Ok(answer)
        }
        _ => Ok(answer),
    }
}

/// Runs a prepared command to its end, or to the end of its time. `whole_group` where it leads a process group.
fn captured(
    command: &mut Command,
    input: Stdio,
    limit: Option<Duration>,
    whole_group: bool,
) -> io::Result<(Answer, Option<ExitStatus>)> {
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut helper = Helper(command.spawn()?);
    // Held open for as long as this process awaits the end.
    let _input = helper.0.stdin.take();
    let deadline = limit.map(|limit| Instant::now() + limit);
    let ended = process_end(helper.0.id())?;
    let (mut output, mut errors) = (helper.0.stdout.take(), helper.0.stderr.take());
    for fd in [output.as_ref().map(AsFd::as_fd), errors.as_ref().map(AsFd::as_fd)].into_iter().flatten() {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(io::Error::from)?;
    }
    let mut answer = Answer::default();
    loop {
        let mut fds = vec![PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        fds.extend(output.as_ref().map(|output| PollFd::new(output.as_fd(), PollFlags::POLLIN)));
        fds.extend(errors.as_ref().map(|errors| PollFd::new(errors.as_fd(), PollFlags::POLLIN)));
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wait = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left.min(Duration::from_secs(60))).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, wait) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let over = fds.first().and_then(PollFd::any).unwrap_or(false);
        if !take(&mut output, |bytes| keep_start(&mut answer.output, bytes))? {
            output = None;
        }
        if !take(&mut errors, |bytes| keep_start(&mut answer.errors, bytes))? {
            errors = None;
        }
        if over {
            let status = helper.0.wait()?;
            answer.status = Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
            return Ok((answer, Some(status)));
        }
        if left.is_some_and(|left| left.is_zero()) {
            if let (true, Ok(pid)) = (whole_group, i32::try_from(helper.0.id())) {
                let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            }
            // A helper ends all that it started, and then itself, when it is let go of.
            return Ok((answer, None));
        }
    }
}

fn keep_start(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT_BYTES.saturating_sub(kept.len());
    kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str, limit_ms: Option<u64>) -> Answer {
        run_command(&Target::Local, Path::new("none"), line, limit_ms.map(Duration::from_millis)).unwrap()
    }

    #[test]
    fn commands_of_this_machine() {
        let answer = run("cat; echo a; echo b >&2; exit 3", None);
        assert_eq!(answer, Answer { status: Some(3), output: b"a\n".to_vec(), errors: b"b\n".to_vec() });
        assert_eq!(run("kill -9 $$", None).status, Some(137));
        assert_eq!(run("no-such-tool-here", None).status, Some(127));
        // What is left running holds nobody up; nor does what takes too long.
        assert_eq!(run("sleep 300 & echo here", None).output, b"here\n");
        let late = run("echo early; sleep 300", Some(200));
        assert_eq!((late.status, late.output), (None, b"early\n".to_vec()));
        assert_eq!(run("seq 1 200000 | wc -l", None).output, b"200000\n");
    }
}
