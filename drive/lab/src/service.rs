//! What the processes of the lab that outlive their maker have in common: how one is started, and how one comes to stand
//! on its own.
//!
//! Whoever asks for a service waits for one answer: it serves, or why it cannot. Until then it dies with whoever asked.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use andon_schema::Failure;
use serde_json::{Value as Json, json};

use crate::balancer::{control, refusal, refused};
use crate::failure::OrFail;
use crate::helper::{check, die_with, outlive_parent};
use crate::records::absent_is_fine;

/// What a service does once it is set up, for as long as it lives.
pub(crate) type Work = Box<dyn FnOnce() -> io::Result<()>>;

/// Starts a service and waits until it serves. `what` is what it is, in words; `input` is held until then.
pub(crate) fn start(
    program: &Path,
    command: &str,
    order: &Json,
    what: &str,
    input: Stdio,
    log: &Path,
) -> Result<(), Failure> {
    let failed = || format!("cannot start {what}");
    let log = File::options().create(true).append(true).open(log).or_fail(|| format!("cannot write {}", log.display()));
    let mut order = order.clone();
    if let Some(order) = order.as_object_mut() {
        order.insert("parent".to_owned(), std::process::id().into());
    }
    let mut command_line = Command::new(program);
    command_line.arg(command).arg(order.to_string()).process_group(0);
    command_line.stdin(input).stdout(Stdio::piped()).stderr(log?);
    let output = command_line.spawn().and_then(|child| child.wait_with_output()).or_fail(failed)?;
    let answer: Json = serde_json::from_slice(&output.stdout)
        .map_err(|_| Failure::new(failed(), format!("It ended without an answer; {}.", output.status)))?;
    refused(&answer).map_or(Ok(()), Err)
}

/// The socket by which a service is asked and told, in its directory, in place of one that there was. Only its owner's user
/// may.
pub(crate) fn control_socket(directory: &Path) -> Result<UnixListener, Failure> {
    let failed = || format!("cannot make a socket in {}", directory.display());
    let directory = File::open(directory).or_fail(failed)?;
    let path = control(&directory);
    let unfinished = path.with_extension("new");
    absent_is_fine(fs::remove_file(&unfinished)).or_fail(failed)?;
    let listener = UnixListener::bind(&unfinished).or_fail(failed)?;
    listener.set_nonblocking(true).or_fail(failed)?;
    // Whoever asks meanwhile is answered by one of the two.
    fs::rename(&unfinished, &path).or_fail(failed)?;
    Ok(listener)
}

/// The hidden command of a service. Its standard input is held by whoever waits; its one answer goes to its standard
/// output; its standard error is the service's log. Returns once the service, a process of its own, serves or cannot.
pub(crate) fn helper(
    order: &str,
    name: &'static std::ffi::CStr,
    begin: impl FnOnce(&Json) -> Result<Work, Failure>,
) -> i32 {
    let Ok(order) = serde_json::from_str::<Json>(order) else { return 2 };
    let Some(parent) = order.get("parent").and_then(Json::as_i64).and_then(|parent| i32::try_from(parent).ok()) else {
        return 2;
    };
    // SAFETY: touches no memory; nothing of this process is open yet but its three standard streams.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    if !die_with(parent) {
        return 1;
    }
    let Ok((mut ready, ready_writer)) = UnixStream::pair() else { return 1 };
    let this = std::process::id() as i32;
    // SAFETY: this process has one thread, so the child may go on as it likes.
    match unsafe { libc::fork() } {
        -1 => 1,
        0 => {
            drop(ready);
            if !die_with(this) {
                return 1;
            }
            // SAFETY: touch no memory of ours.
            unsafe {
                libc::setsid();
                libc::umask(0o077);
                libc::prctl(libc::PR_SET_NAME, name.as_ptr());
            }
            serve(begin(&order), ready_writer)
        }
        _ => {
            drop(ready_writer);
            // Until the service stands on its own, or its end of the pipe closes with it.
            i32::from(ready.read_to_end(&mut Vec::new()).is_err())
        }
    }
}

fn serve(begun: Result<Work, Failure>, ready: UnixStream) -> i32 {
    let begun = begun.and_then(|work| {
        let failed = || "cannot leave the place where it was started".to_owned();
        std::env::set_current_dir("/").or_fail(failed)?;
        let null = File::open("/dev/null").or_fail(failed)?;
        // SAFETY: both descriptors are open. What whoever waits holds stays with them.
        check(unsafe { libc::dup2(null.as_raw_fd(), 0) }.into()).or_fail(failed)?;
        Ok(work)
    });
    match begun {
        Ok(work) => {
            outlive_parent();
            let answered = answer(&json!({ "ready": true }));
            drop(ready);
            i32::from(answered.is_err() || work().is_err())
        }
        Err(failure) => i32::from(answer(&refusal(&failure)).is_ok()),
    }
}

/// Gives the one answer and lets the log take the place of standard output, so that the reader sees its end.
fn answer(answer: &Json) -> io::Result<()> {
    let mut output = io::stdout();
    output.write_all(answer.to_string().as_bytes())?;
    output.flush()?;
    // SAFETY: both descriptors are open.
    check(unsafe { libc::dup2(2, 1) }.into()).map(drop)
}
