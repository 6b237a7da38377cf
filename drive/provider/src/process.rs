//! A plugin's process: started, listened to, and ended whatever happens.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;

use crate::attach::Address;
use crate::error::StartFailure;
use crate::output::{Output, Stream};
use crate::schema::Protocol;
use crate::tls::certificate;

/// Tells the program that it was started as a plugin; it never changes.
const COOKIE: [(&str, &str); 1] =
    [("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")];

/// A handshake is one short line; of a program that writes something else no more than this is read.
const LONGEST_HANDSHAKE_BYTES: u64 = 8 << 10;

/// A running plugin. It is killed when this is dropped, and when this process dies.
pub(crate) struct Process {
    /// Where it listens.
    pub address: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// What it shows to prove that it is the one, where it encrypts.
    pub certificate: Option<CertificateDer<'static>>,
    keeper: Keeper,
    directory: SocketDirectory,
}

impl Process {
    /// Starts a program and waits until it says where it listens. With the certificate of a client, in PEM, it takes no
    /// other and encrypts.
    pub fn start(path: &Path, limit: Duration, client: Option<&str>, output: &Output) -> Result<Process, StartFailure> {
        let directory = SocketDirectory::new().map_err(StartFailure::Io)?;
        let (keeper, stdout, stderr) = Keeper::start(path, &directory.0, client).map_err(StartFailure::Io)?;
        let (said, line) = mpsc::channel();
        let threads = [
            named("plugin-stderr", {
                let stream = output.of_process();
                move || drain(stderr, stream)
            }),
            named("plugin-stdout", {
                let stream = output.of_process();
                move || {
                    let mut stdout = BufReader::new(stdout);
                    let mut line = Vec::new();
                    let read = stdout.by_ref().take(LONGEST_HANDSHAKE_BYTES).read_until(b'\n', &mut line);
                    let _ = said.send(read.map(|_| line));
                    drain(stdout, stream);
                }
            }),
        ];
        let threads = threads.into_iter().collect::<Result<Vec<_>, _>>().map_err(StartFailure::Io)?;
        let shaken = match line.recv_timeout(limit) {
            Ok(Ok(line)) if line.is_empty() => Err(StartFailure::Ended(None)),
            Ok(Ok(line)) => handshake(&line),
            Ok(Err(error)) => Err(StartFailure::Io(error)),
            Err(RecvTimeoutError::Timeout) => Err(StartFailure::Slow(limit)),
            Err(RecvTimeoutError::Disconnected) => Err(StartFailure::Ended(None)),
        };
        match shaken {
            Ok(Handshake { protocol, address, certificate }) => {
                Ok(Process { address, protocol, certificate, keeper, directory })
            }
            Err(failure) => {
                // What it says on its way out belongs to the message.
                let grace =
                    if matches!(failure, StartFailure::Ended(_)) { Duration::from_secs(1) } else { Duration::ZERO };
                let status = keeper.end(grace);
                threads.into_iter().for_each(|thread| drop(thread.join()));
                Err(if matches!(failure, StartFailure::Ended(_)) { StartFailure::Ended(status) } else { failure })
            }
        }
    }

    /// Once there is a connection, nobody else needs the way to the socket, and nothing is left behind by a kill.
    pub fn connected(&self) {
        self.directory.remove();
    }

    /// Gives it so long to end by itself, then kills it and whatever it started.
    pub fn end(self, grace: Duration) -> Option<ExitStatus> {
        self.keeper.end(grace)
    }
}

/// What a plugin says first.
struct Handshake {
    protocol: Protocol,
    address: Address,
    certificate: Option<CertificateDer<'static>>,
}

/// The line that a plugin writes first: `1|6|unix|/path|grpc|`, and its certificate where it encrypts.
fn handshake(line: &[u8]) -> Result<Handshake, StartFailure> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    let shown: String = text.chars().take(200).collect();
    let refuse = || StartFailure::Handshake(shown.clone());
    let parts: Vec<&str> = text.split('|').collect();
    let [core, version, network, address, transport, rest @ ..] = parts.as_slice() else { return Err(refuse()) };
    if *core != "1" || *transport != "grpc" {
        return Err(refuse());
    }
    let address = Address::parse(network, address).ok_or_else(refuse)?;
    let protocol = match *version {
        "5" => Protocol::Five,
        "6" => Protocol::Six,
        other => return Err(StartFailure::Protocol(other.to_owned())),
    };
    let certificate = rest.first().and_then(|text| certificate(text));
    Ok(Handshake { protocol, address, certificate })
}

fn drain(mut from: impl Read, mut into: Stream) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        into.push(buffer.get(..count).unwrap_or_default());
    }
}

fn named<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// The thread that started the program and reaps it. A program asks to be killed when the thread that started it ends,
/// so that thread must live as long; and as nobody else reaps the program, its number is its own until then.
struct Keeper {
    finish: Sender<Duration>,
    thread: JoinHandle<Option<ExitStatus>>,
}

impl Keeper {
    fn start(path: &Path, sockets: &Path, client: Option<&str>) -> io::Result<(Keeper, ChildStdout, ChildStderr)> {
        let mut command = Command::new(path);
        command
            .envs(COOKIE)
            .env("PLUGIN_PROTOCOL_VERSIONS", "5,6")
            .env("PLUGIN_UNIX_SOCKET_DIR", sockets)
            .env_remove("PLUGIN_CLIENT_CERT")
            .env_remove("PLUGIN_MULTIPLEX_GRPC")
            .envs(client.map(|client| ("PLUGIN_CLIENT_CERT", client)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // SAFETY: between fork and exec only one system call is made, which allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let (started, start) = mpsc::channel();
        let (finish, finished) = mpsc::channel();
        let thread = named("plugin-keeper", move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return None;
                }
            };
            let _ = match (child.stdout.take(), child.stderr.take()) {
                (Some(stdout), Some(stderr)) => started.send(Ok((stdout, stderr))),
                _ => started.send(Err(io::Error::other("it has no output"))),
            };
            keep(child, &finished)
        })?;
        let (stdout, stderr) = start.recv().map_err(io::Error::other)??;
        Ok((Keeper { finish, thread }, stdout, stderr))
    }

    fn end(self, grace: Duration) -> Option<ExitStatus> {
        let _ = self.finish.send(grace);
        self.thread.join().ok().flatten()
    }
}

/// Waits until the program shall end; that is also when nobody holds it any more.
fn keep(mut child: Child, finished: &Receiver<Duration>) -> Option<ExitStatus> {
    let grace = finished.recv().unwrap_or_default();
    let until = Instant::now() + grace;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= until {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    if let Ok(group) = i32::try_from(child.id()) {
        // SAFETY: the child is not reaped yet, so the number is still that of its own process group.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    child.wait().ok()
}

/// A directory for one socket that only this user can enter; removed when dropped.
struct SocketDirectory(PathBuf);

impl SocketDirectory {
    fn new() -> io::Result<SocketDirectory> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // The path of a socket may have 107 bytes, and the plugin adds up to 30.
        let base = std::env::temp_dir();
        let base = if base.as_os_str().len() > 50 { PathBuf::from("/tmp") } else { base };
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("andon-plugin-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(SocketDirectory(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn remove(&self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_are_read_or_refused() {
        for (line, expected) in [
            ("1|5|unix|/tmp/plugin1|grpc|\n", Some(Protocol::Five)),
            ("1|6|unix|/tmp/plugin1|grpc\r\n", Some(Protocol::Six)),
            ("1|6|unix|/tmp/plugin1|grpc|certificate|true\n", Some(Protocol::Six)),
            ("2|6|unix|/tmp/plugin1|grpc|\n", None),
            ("1|4|unix|/tmp/plugin1|grpc|\n", None),
            ("1|6|tcp|127.0.0.1:1|grpc|\n", Some(Protocol::Six)),
            ("1|6|tcp|localhost|grpc|\n", None),
            ("1|6|pipe|/x|grpc|\n", None),
            ("1|6|unix|plugin1|grpc|\n", None),
            ("1|6|unix|/tmp/plugin1|netrpc|\n", None),
            ("hello\n", None),
            ("\n", None),
        ] {
            assert_eq!(handshake(line.as_bytes()).ok().map(|said| said.protocol), expected, "{line}");
        }
        assert!(matches!(handshake(b"1|7|unix|/x|grpc|"), Err(StartFailure::Protocol(version)) if version == "7"));
    }
}
