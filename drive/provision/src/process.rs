//! Processes whose output is followed, and that end with this program.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};

/// How long the rest of the output is waited for once the command has ended: something that it left in the background
/// may hold it open for ever.
const AFTER_THE_END: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(50);

/// The longest line that is told as one, in bytes.
const LONGEST: u64 = 1 << 16;

/// Writes what a process reads.
pub(crate) type Feed = Box<dyn FnOnce(ChildStdin) -> io::Result<()> + Send>;

/// How a process ended.
pub(crate) enum End {
    Exited(ExitStatus),
    /// It was ended, as it took too long.
    TimedOut,
}

/// The last lines of an output.
#[derive(Default)]
pub(crate) struct Tail(VecDeque<String>);

impl Tail {
    const LINES: usize = 20;

    pub(crate) fn push(&mut self, line: &str) {
        if self.0.len() == Tail::LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    pub(crate) fn text(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Runs a command to its end in a group of its own, and tells what it writes, to standard output and to standard error,
/// line by line and in order.
pub(crate) fn run(
    mut command: Command,
    feed: Option<Feed>,
    deadline: Option<Instant>,
    line: &mut dyn FnMut(&str),
) -> io::Result<End> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
    let stdin = if feed.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(writing.try_clone()?).stderr(writing).process_group(0);
    let mut child = command.spawn()?;
    // The command holds the writing ends of the pipe; the output would never end.
    drop(command);
    let mut keeper = Keeper::of(&child)?;
    let feeder = match (feed, child.stdin.take()) {
        (Some(feed), Some(stdin)) => Some(std::thread::spawn(move || feed(stdin))),
        _ => None,
    };
    let (sender, lines) = channel();
    std::thread::spawn(move || each_line(reading, &mut |line| sender.send(line).is_ok()));
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let mut late = false;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none() {
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
        if ended.is_some_and(|(_, at)| at.elapsed() > AFTER_THE_END) {
            break;
        }
        if !late && ended.is_none() && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            late = true;
            keeper.kill();
        }
    }
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if !late && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            late = true;
            keeper.kill();
        }
        match deadline {
            Some(_) => std::thread::sleep(Duration::from_millis(5)),
            None => break child.wait()?,
        }
    };
    keeper.dismiss();
    if late {
        return Ok(End::TimedOut);
    }
    // A process that ended well has read what it wanted; one that did not says so by its status.
    let fed = feeder.and_then(|feeder| feeder.join().ok()).transpose();
    match fed {
        Err(error) if status.success() && error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(End::Exited(status)),
    }
}

/// What the exit of a process says.
pub(crate) fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}

fn each_line(from: OwnedFd, take: &mut dyn FnMut(String) -> bool) {
    let mut from = BufReader::new(std::fs::File::from(from));
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match io::Read::take(&mut from, LONGEST).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&bytes);
                let text = text.strip_suffix('\n').unwrap_or(&text);
                if !take(text.trim_end_matches('\r').to_owned()) {
                    return;
                }
            }
        }
    }
}

/// Ends the group of a process when this program ends, even where it is killed: a shell of its own waits for that.
struct Keeper {
    group: Pid,
    shell: Option<Child>,
}

impl Keeper {
    const SCRIPT: &'static str = "read -r end && exit 0; kill -9 -\"$1\"";

    fn of(child: &Child) -> io::Result<Keeper> {
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", Keeper::SCRIPT, "sh", &group.to_string()]).process_group(0);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let keeper = Keeper { group, shell: shell.ok() };
        if keeper.shell.is_none() {
            keeper.kill();
            return Err(io::Error::other("cannot start /bin/sh"));
        }
        Ok(keeper)
    }

    fn kill(&self) {
        // It may have ended by itself.
        let _ = killpg(self.group, Signal::SIGKILL);
    }

    /// The process has ended: what it left in the background stays.
    fn dismiss(&mut self) {
        let Some(mut shell) = self.shell.take() else { return };
        if let Some(mut stdin) = shell.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        let _ = shell.wait();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if self.shell.is_some() {
            self.kill();
            self.dismiss();
        }
    }
}
