//! The caller's side: starts a helper, talks with it, and sees it end.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

use crate::agent::AGENT_ARGUMENT;
use crate::frame::{Decoder, Frame};
use crate::ssh::{MISSING, OPENING};
use crate::terminal::RawTerminal;
use crate::{Contact, ReachError, Target};

/// How much of what a failed agent said is kept.
const SAID_BYTES: usize = 8 << 10;

/// How much of what comes before an agent's first word is kept.
const BEFORE_BYTES: usize = 64 << 10;

/// How long the way to another machine may stay open after the answer.
const LAST_WORDS_MS: u16 = 2000;

/// How often it is asked whether the work is awaited still.
const LOOK_UP_MS: u16 = 100;

/// How long work that may be cut has for what it is at, once it is not awaited any more.
const LAST_ACT: Duration = Duration::from_secs(2);

/// The search path of every agent: the one that Debian gives to root.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The time that work on an image takes for today, in seconds since 1970, where its tools honour `SOURCE_DATE_EPOCH`
/// (the days in `/etc/shadow`, the stamps in compiled Python): the content of an image must not tell when it was made.
const IMAGE_EPOCH: &str = "1704067200";

/// Runs the work that `helper`'s [`agent_main`](crate::agent_main) was given inside `target`, and returns its answer.
///
/// `helper` is this program's own file. Blocks until the work ends, which ends early once nobody awaits it; the thread that calls must live as long, since the helper dies with it.
pub fn run_agent(
    target: &Target,
    helper: &Path,
    request: &[u8],
    contact: &mut Contact<'_>,
) -> Result<Vec<u8>, ReachError> {
    if let Target::Ssh(ssh) = target {
        return crate::ssh::run_agent(ssh, helper, request, contact);
    }
    let child = command(target, helper, "agent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the caller to decide about.
        .process_group(0)
        .spawn()
        .map_err(|source| ReachError::Start { helper: helper.to_owned(), source })?;
    // What is half-made of an image is thrown away.
    let mut talk = Talk { may_be_cut: matches!(target, Target::Root { .. }), ..Talk::beside(Helper(child)) };
    let status = talk.hold(request, contact).map_err(|error| match error {
        TalkError::Broken(source) => ReachError::Talk { source },
        TalkError::Garbled => ReachError::Garbled { helper: helper.to_owned() },
    })?;
    match talk.answer {
        Some(Frame::Reply(reply)) => Ok(reply),
        Some(refused) => Err(refusal(refused, target)),
        None if talk.was_cut => Err(ReachError::Stopped),
        None => Err(ReachError::Died { how: how(status), said: String::from_utf8_lossy(&talk.said).into_owned() }),
    }
}

/// Runs a command inside `target` with this process's own standard input, output and error, and returns its exit
/// status: 128 and the signal's number for one that was killed, 126 and 127 for one that cannot be run, as a shell says.
///
/// Without words, root's shell. Where input and output are terminals, the command gets a terminal of its own inside
/// the target, of the same size, so that job control works there.
pub fn exec(target: &Target, helper: &Path, words: &[OsString]) -> Result<i32, ReachError> {
    if let Target::Ssh(ssh) = target {
        return crate::ssh::shell(ssh, words);
    }
    let start = |source| ReachError::Start { helper: helper.to_owned(), source };
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    let (report, report_to) = pipe2(OFlag::O_CLOEXEC).map_err(|error| start(error.into()))?;
    let number = report_to.as_raw_fd();
    let mut command = command(target, helper, if interactive { "terminal" } else { "exec" });
    command.arg(number.to_string()).args(words);
    // SAFETY: between fork and exec only fcntl is called, which is async-signal-safe, on a descriptor that is open.
    unsafe {
        command.pre_exec(move || {
            let fd = BorrowedFd::borrow_raw(number);
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        });
    }
    let raw = interactive.then(RawTerminal::set).transpose().map_err(start)?;
    let mut helper = Helper(command.spawn().map_err(start)?);
    drop((report_to, command));
    let status = helper.0.wait().map_err(|source| ReachError::Talk { source })?;
    drop(raw);
    let mut bytes = Vec::new();
    // What the command left running may hold nothing of this pipe: the helper closes it before the command starts.
    File::from(report).read_to_end(&mut bytes).map_err(|source| ReachError::Talk { source })?;
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    match decoder.next() {
        Ok(Some(refused)) => Err(refusal(refused, target)),
        _ => Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))),
    }
}

pub(crate) fn command(target: &Target, helper: &Path, mode: &str) -> Command {
    let mut command = Command::new(helper);
    command.arg(AGENT_ARGUMENT).arg(std::process::id().to_string()).arg(mode).args(target.words());
    command.env_clear().env("PATH", SEARCH_PATH).env("HOME", "/root").env("LANG", "C.UTF-8");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let mut passed: Vec<&OsStr> = Vec::new();
    if mode != "agent" {
        command.env_remove("DEBIAN_FRONTEND");
        passed.push(OsStr::new("TERM"));
    }
    match target {
        // It uses this machine's network, and so this machine's way out.
        Target::Root { .. } => {
            command.env("SOURCE_DATE_EPOCH", IMAGE_EPOCH);
            passed.extend(["http_proxy", "https_proxy", "no_proxy"].map(OsStr::new));
        }
        Target::Local => {
            passed.extend(["http_proxy", "https_proxy", "no_proxy", "ANDON_DATA_DIR"].map(OsStr::new));
        }
        Target::Server { .. } | Target::Ssh(_) => {}
    }
    for name in passed {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

pub(crate) fn refusal(frame: Frame, target: &Target) -> ReachError {
    match (frame, target) {
        (Frame::Refused(step, cause), _) => ReachError::Enter { step, cause },
        (_, Target::Server { init, .. }) => ReachError::Gone { init: *init },
        _ => ReachError::Enter { step: "enter the target".to_owned(), cause: "it is gone".to_owned() },
    }
}

pub(crate) fn how(status: ExitStatus) -> String {
    // The helper hands on its agent's end as a shell does: above 128 it was a signal.
    match (status.code(), status.signal()) {
        (Some(code), _) if code > 128 => format!("killed by signal {}", code - 128),
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "for no known reason".to_owned(),
    }
}

/// A child that is never left behind.
pub(crate) struct Helper(pub(crate) Child);

impl Drop for Helper {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.ask_to_end();
            let _ = self.0.wait();
        }
    }
}

pub(crate) enum TalkError {
    Broken(io::Error),
    Garbled,
}

impl From<io::Error> for TalkError {
    fn from(error: io::Error) -> TalkError {
        TalkError::Broken(error)
    }
}

pub(crate) struct Talk {
    helper: Helper,
    decoder: Decoder,
    pub(crate) answer: Option<Frame>,
    /// The end of what was written to standard error.
    pub(crate) said: Vec<u8>,
    /// Over a distance: what came before the agent's first word, which is awaited.
    before: Option<Vec<u8>>,
    is_distant: bool,
    /// Work that nobody awaits any more is ended after a moment, whatever it is at; and that it was.
    may_be_cut: bool,
    was_cut: bool,
}

impl Talk {
    /// A talk with a helper of this machine.
    pub(crate) fn beside(helper: Helper) -> Talk {
        let decoder = Decoder::default();
        Talk {
            helper,
            decoder,
            answer: None,
            said: Vec::new(),
            before: None,
            is_distant: false,
            may_be_cut: false,
            was_cut: false,
        }
    }

    /// A talk with an agent on another machine: the way there may say things of its own before, and by the end of its
    /// input the agent knows that nobody listens any more.
    pub(crate) fn over_a_distance(helper: Helper) -> Talk {
        Talk { before: Some(Vec::new()), is_distant: true, ..Talk::beside(helper) }
    }

    /// Whether the agent took the work up.
    pub(crate) fn has_begun(&self) -> bool {
        self.before.is_none()
    }

    /// Sends the request and takes frames until the helper has ended. The end of its output is no sign of that: a
    /// service that it started may hold the other side of a pipe for ever.
    ///
    /// The end of its input tells the agent that it is not awaited any more.
    pub(crate) fn hold(&mut self, request: &[u8], contact: &mut Contact<'_>) -> Result<ExitStatus, TalkError> {
        let ended = process_end(self.helper.0.id())?;
        let mut input = self.helper.0.stdin.take();
        let mut output = self.helper.0.stdout.take();
        let mut errors = self.helper.0.stderr.take();
        for fd in [input.as_ref().map(AsFd::as_fd), output.as_ref().map(AsFd::as_fd), errors.as_ref().map(AsFd::as_fd)]
            .into_iter()
            .flatten()
        {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(io::Error::from)?;
        }
        let mut message = u64::try_from(request.len()).unwrap_or(u64::MAX).to_le_bytes().to_vec();
        message.extend_from_slice(request);
        let mut sent = 0;
        let mut unawaited: Option<Instant> = None;
        loop {
            let mut fds = vec![PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
            let writes = if sent < message.len() { PollFlags::POLLOUT } else { PollFlags::empty() };
            fds.extend(input.as_ref().map(|input| PollFd::new(input.as_fd(), writes)));
            fds.extend(output.as_ref().map(|output| PollFd::new(output.as_fd(), PollFlags::POLLIN)));
            fds.extend(errors.as_ref().map(|errors| PollFd::new(errors.as_fd(), PollFlags::POLLIN)));
            let last_words = self.is_distant && self.answer.is_some();
            let patience = match (last_words, &input) {
                (true, _) => PollTimeout::from(LAST_WORDS_MS),
                (false, Some(_)) => PollTimeout::from(LOOK_UP_MS),
                (false, None) if unawaited.is_some() => PollTimeout::from(LOOK_UP_MS),
                (false, None) => PollTimeout::NONE,
            };
            match poll(&mut fds, patience) {
                // The way may be held open by what the server left running.
                Ok(0) if last_words => return self.helper.end().map_err(TalkError::Broken),
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            let over = fds.first().and_then(PollFd::any).unwrap_or(false);
            if let Some(pipe) = input.as_mut().filter(|_| sent < message.len()) {
                match pipe.write(message.get(sent..).unwrap_or_default()) {
                    Ok(count) => sent += count,
                    Err(error) if waits(&error) => {}
                    // It ended, or does not want the request; its end says why.
                    Err(_) => sent = message.len(),
                }
            }
            if sent >= message.len() && (self.answer.is_some() || !(contact.is_awaited)()) {
                input = None;
                unawaited = unawaited.or(Some(Instant::now())).filter(|_| self.may_be_cut && self.answer.is_none());
            }
            if !self.was_cut && unawaited.is_some_and(|since| since.elapsed() >= LAST_ACT) {
                self.was_cut = true;
                self.helper.ask_to_end();
            }
            let mut heard = Vec::new();
            if !take(&mut output, |bytes| heard.extend_from_slice(bytes))? {
                output = None;
            }
            self.hear(&heard);
            while let Some(frame) = self.decoder.next().map_err(|_| TalkError::Garbled)? {
                match frame {
                    Frame::Line(line) => (contact.say)(&line),
                    frame => self.answer = Some(frame),
                }
            }
            let said = &mut self.said;
            if !take(&mut errors, |bytes| keep_end(said, bytes))? {
                errors = None;
            }
            if over {
                return Ok(self.helper.0.wait()?);
            }
        }
    }
}

impl Talk {
    /// Takes bytes of the agent's, after what may come before its first word.
    fn hear(&mut self, bytes: &[u8]) {
        let Some(before) = &mut self.before else { return self.decoder.push(bytes) };
        before.extend_from_slice(bytes);
        let starts = |at: &usize| *at == 0 || before.get(at - 1) == Some(&b'\n');
        let rest = |at: usize| before.get(at..).unwrap_or_default();
        for at in (0..before.len()).filter(starts) {
            if let Some(frames) = rest(at).strip_prefix(OPENING) {
                self.decoder.push(frames);
                self.before = None;
                return;
            }
            let machine = rest(at).strip_prefix(MISSING).and_then(|rest| rest.split(|byte| *byte == b'\n').next());
            if let Some(machine) = machine.filter(|_| before.ends_with(b"\n")) {
                self.answer = Some(Frame::Missing(String::from_utf8_lossy(machine).into_owned()));
                return;
            }
        }
        let surplus = before.len().saturating_sub(BEFORE_BYTES);
        before.drain(..surplus);
    }
}

impl Helper {
    /// It ends all that it started, and then itself.
    fn ask_to_end(&self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// Ends it at once.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let _ = self.0.kill();
        self.0.wait()
    }
}

/// Reads all that is there. `false` when nothing more will come.
pub(crate) fn take(pipe: &mut Option<impl Read>, mut with: impl FnMut(&[u8])) -> io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    let mut buffer = vec![0; 64 << 10];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => with(buffer.get(..count).unwrap_or_default()),
            Err(error) if waits(&error) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn keep_end(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    kept.drain(..kept.len().saturating_sub(SAID_BYTES));
}

/// A descriptor that becomes readable when the process ends, pidfd_open(2).
pub(crate) fn process_end(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers; what it returns is a new descriptor that nothing else owns.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    match i32::try_from(fd) {
        // SAFETY: see above.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
