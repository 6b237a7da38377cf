//! The init of a server whose image has none, or that shall have none of its own: a small supervisor.
//!
//! It is no program of the image: the process that set the server up goes on with the code that it has. It takes care of
//! orphans, keeps one command running if there is one, ends when it is told to, and answers on a TCP port of the server
//! how it is. One thread, which sleeps until something happens.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::json;

use crate::console;
use crate::inside::{Problem, SEARCH_PATH};
use crate::spawn::Order;

/// Where a supervisor answers, on every address of its server.
pub(crate) const PORT: u16 = 7780;
/// The most questions at once, how much of one is read, and how long one may take to be asked.
const MOST_QUESTIONS: usize = 64;
const LONGEST_QUESTION: usize = 4096;
const QUESTION_LIMIT: Duration = Duration::from_secs(5);
/// How long is waited before a command that ended is started again: at first, and at most. One that ran for as long as
/// the most is taken to be well again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long processes may take to end when the server does.
const STOP_LIMIT: Duration = Duration::from_secs(10);

struct Supervisor<'a> {
    name: &'a str,
    began: Instant,
    command: &'a [String],
    running: Option<Pid>,
    started: Instant,
    starts: u64,
    last_end: Option<String>,
    pause: Duration,
    again: Option<Instant>,
    /// When the log is looked at next, where a command writes to it.
    look: Option<Instant>,
    /// When the server ends at the latest, once it was told to.
    stop: Option<Instant>,
    questions: Vec<Question>,
}

struct Question {
    stream: TcpStream,
    said: Vec<u8>,
    until: Instant,
}

/// Is the server's init. Comes back only where it could not begin.
pub(crate) fn run(order: &Order, answers: &OwnedFd) -> Problem {
    match begin(order, answers) {
        Ok((mut supervisor, signals, listener)) => loop {
            supervisor.turn(&signals, &listener);
        },
        Err(problem) => problem,
    }
}

fn begin<'a>(order: &'a Order, answers: &OwnedFd) -> Result<(Supervisor<'a>, SignalFd, TcpListener), Problem> {
    let named = |what: &str, error: io::Error| io::Error::new(error.kind(), format!("it cannot {what}: {error}"));
    let mut wanted = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGPWR] {
        wanted.add(signal);
    }
    wanted.thread_block().map_err(|error| named("wait for signals", error.into()))?;
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|error| named("wait for signals", error.into()))?;
    let listener =
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).map_err(|error| named("listen on its port", error))?;
    listener.set_nonblocking(true).map_err(|error| named("listen on its port", error))?;
    let now = Instant::now();
    let mut supervisor = Supervisor {
        name: &order.name,
        began: now,
        command: &order.command,
        running: None,
        started: now,
        starts: 0,
        last_end: None,
        pause: FIRST_PAUSE,
        again: None,
        look: (!order.command.is_empty()).then(|| now + console::PAUSE),
        stop: None,
        questions: Vec::new(),
    };
    if let Some(program) = order.command.first() {
        supervisor.start().map_err(|error| named(&format!("run `{program}`"), error))?;
    }
    // SAFETY: the name ends with a zero byte.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"andon-init".as_ptr()) };
    close_all_but(&[signals.as_fd().as_raw_fd(), listener.as_raw_fd(), answers.as_raw_fd()]);
    // The end of what is awaited: it serves.
    // SAFETY: whoever owns the descriptor never uses it again, as this never returns.
    unsafe { libc::close(answers.as_raw_fd()) };
    Ok((supervisor, signals, listener))
}

/// Closes all that the process which set the server up had open, beyond the standard descriptors.
fn close_all_but(kept: &[i32]) {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let mut first = 3;
    for descriptor in kept.into_iter().chain([i32::MAX]) {
        if descriptor > first {
            // SAFETY: touches no memory, and nothing in this process uses what it closes.
            unsafe { libc::syscall(libc::SYS_close_range, first, descriptor - 1, 0) };
        }
        first = descriptor.saturating_add(1);
    }
}

impl Supervisor<'_> {
    /// Waits for one thing to happen, and does what it asks for.
    fn turn(&mut self, signals: &SignalFd, listener: &TcpListener) {
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if self.questions.len() < MOST_QUESTIONS {
            fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        fds.extend(self.questions.iter().map(|question| PollFd::new(question.stream.as_fd(), PollFlags::POLLIN)));
        let now = Instant::now();
        let next = self.questions.iter().map(|question| question.until).chain(self.again).chain(self.stop);
        let next = next.chain(self.look).min();
        let timeout = next.map_or(PollTimeout::NONE, |next| {
            // Rounded up, so that it is time when it comes back.
            let millis = next.saturating_duration_since(now).as_millis() as u64 + 1;
            PollTimeout::try_from(millis.min(60_000) as u32).unwrap_or(PollTimeout::ZERO)
        });
        let _ = poll(&mut fds, timeout);
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo as i32 != libc::SIGCHLD && self.stop.is_none() {
                self.stop = Some(Instant::now() + STOP_LIMIT);
                let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
            }
        }
        self.reap();
        while self.questions.len() < MOST_QUESTIONS
            && let Ok((stream, _)) = listener.accept()
        {
            if stream.set_nonblocking(true).is_ok() {
                self.questions.push(Question { stream, said: Vec::new(), until: Instant::now() + QUESTION_LIMIT });
            }
        }
        self.answer();
        let now = Instant::now();
        if self.stop.is_some_and(|stop| stop <= now) {
            end();
        }
        if self.look.is_some_and(|look| look <= now) {
            self.look = Some(now + console::PAUSE);
            console::shorten(&io::stdout());
        }
        if self.again.is_some_and(|again| again <= now) && self.stop.is_none() {
            self.again = None;
            if let Err(error) = self.start() {
                self.ended(error.to_string());
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let Some((program, arguments)) = self.command.split_first() else { return Ok(()) };
        self.starts += 1;
        self.started = Instant::now();
        let path = SEARCH_PATH.to_str().ok().and_then(|path| path.split_once('=')).unwrap_or_default();
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs([path, ("container", "oci"), ("HOME", "/root")]);
        let child = command.current_dir("/").stdin(Stdio::null()).process_group(0).spawn()?;
        self.running = Some(Pid::from_raw(child.id() as i32));
        Ok(())
    }

    /// Takes note of all that have ended, whoever's children they were.
    fn reap(&mut self) {
        loop {
            let (process, how) = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(process, status)) => (process, format!("exit status {status}")),
                Ok(WaitStatus::Signaled(process, signal, _)) => (process, format!("killed by {signal}")),
                Ok(WaitStatus::StillAlive) => return,
                Err(nix::errno::Errno::ECHILD) if self.stop.is_some() => end(),
                Ok(_) => continue,
                Err(_) => return,
            };
            if self.running == Some(process) {
                self.ended(how);
            }
        }
    }

    fn ended(&mut self, how: String) {
        if self.started.elapsed() >= LONGEST_PAUSE {
            self.pause = FIRST_PAUSE;
        }
        self.running = None;
        self.last_end = Some(how);
        self.again = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Answers every question that has been asked to its end.
    fn answer(&mut self) {
        let report = self.report();
        let now = Instant::now();
        self.questions.retain_mut(|question| {
            let mut bytes = [0; LONGEST_QUESTION];
            match question.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => question.said.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return question.until > now,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
                Err(_) => return false,
            }
            let asked = question.said.windows(4).any(|end| end == b"\r\n\r\n");
            if asked {
                // It fits into the empty buffer of any socket.
                let _ = question.stream.write_all(report.as_bytes());
                let _ = question.stream.shutdown(std::net::Shutdown::Write);
            }
            !asked && question.said.len() < LONGEST_QUESTION
        });
    }

    /// How the server is, as an HTTP answer: healthy where the command runs, or there is none.
    fn report(&self) -> String {
        let command = (!self.command.is_empty())
            .then(|| json!({ "running": self.running.is_some(), "starts": self.starts, "last_end": self.last_end }));
        let status =
            if self.running.is_some() || self.command.is_empty() { "200 OK" } else { "503 Service Unavailable" };
        let up = self.began.elapsed().as_secs_f64();
        let body = json!({ "name": self.name, "up_seconds": up, "stopping": self.stop.is_some(), "command": command });
        let body = format!("{body}\n");
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Ends the server: with its first process the kernel ends all others.
fn end() -> ! {
    // SAFETY: ends this process at once; what it was copied from has nothing to be tidied up here.
    unsafe { libc::_exit(0) }
}
