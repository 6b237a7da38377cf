//! The access log: a line for each request, once it has been answered.
//!
//! Whoever serves never waits for the disk: lines go to a thread that writes them, and what it cannot keep up with is
//! counted and lost. The file and the one before it are all that is kept.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{self, HeaderName};
use hyper::{Method, Request, StatusCode, Uri, Version};
use serde_json::json;

use crate::balancer::spec::{Access, AccessFormat};

/// Lines that wait to be written, at most.
const WAITING: usize = 8192;
/// How much is written at a time, in bytes, where there is so much.
const BATCH: usize = 64 << 10;
/// How often it is looked whether the file is still where it was.
const LOOK: Duration = Duration::from_secs(1);
/// What an answer counts as whose client was gone before it began (nginx's word for it).
const GONE: u16 = 499;

/// Where lines go.
pub(super) struct AccessLog {
    pub access: Access,
    lines: SyncSender<String>,
    lost: Arc<AtomicU64>,
}

/// One request, which is written down when this is dropped.
pub(super) struct Entry {
    log: Arc<AccessLog>,
    began: Instant,
    at: jiff::Timestamp,
    client: IpAddr,
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<String>,
    referer: Option<String>,
    agent: Option<String>,
    status: Option<StatusCode>,
    /// Of the answer's body.
    bytes: u64,
    target: Option<SocketAddr>,
}

impl AccessLog {
    /// Opens the file, which is made where it is absent.
    pub fn open(access: &Access) -> io::Result<AccessLog> {
        let mut file = Rotated::open(&access.path, access.size)?;
        let (lines, written) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let cannot = lost.clone();
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            while let Some((batch, count)) = batch_of(&written) {
                if let Err(error) = file.write(batch.as_bytes()) {
                    if cannot.fetch_add(count, Ordering::Relaxed) == 0 {
                        eprintln!("cannot write the access log {}: {error}", file.path.display());
                    }
                }
            }
        })?;
        Ok(AccessLog { access: access.clone(), lines, lost })
    }

    /// Lines that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn write(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Lines that are there, as many as are written at a time, and their number. `None` where nobody will give any more.
fn batch_of(lines: &Receiver<String>) -> Option<(String, u64)> {
    let (mut batch, mut count) = (lines.recv().ok()?, 1);
    while batch.len() < BATCH {
        let Ok(line) = lines.try_recv() else { break };
        batch.push_str(&line);
        count += 1;
    }
    Some((batch, count))
}

impl Entry {
    /// A request that has come.
    pub fn new(log: &Arc<AccessLog>, client: IpAddr, request: &Request<Incoming>) -> Entry {
        let text = |name: HeaderName| {
            request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Entry {
            log: log.clone(),
            began: Instant::now(),
            at: jiff::Timestamp::now(),
            client: client.to_canonical(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: request.uri().host().map(str::to_owned).or_else(|| text(header::HOST)),
            referer: text(header::REFERER),
            agent: text(header::USER_AGENT),
            status: None,
            bytes: 0,
            target: None,
        }
    }

    /// It is answered like this, by a target or by the balancer itself.
    pub fn answered(&mut self, status: StatusCode, target: Option<SocketAddr>) {
        (self.status, self.target) = (Some(status), target);
    }

    /// So much more of the answer went out.
    pub fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    fn line(&self, took: Duration) -> String {
        let status = self.status.map_or(GONE, |status| status.as_u16());
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        match self.log.access.format {
            AccessFormat::Combined => {
                let given = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), escaped);
                let bytes = if self.bytes == 0 { "-".to_owned() } else { self.bytes.to_string() };
                format!(
                    "{} - - [{}] \"{} {} {:?}\" {status} {bytes} \"{}\" \"{}\"\n",
                    self.client,
                    self.at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
                    self.method,
                    escaped(path),
                    self.version,
                    given(&self.referer),
                    given(&self.agent),
                )
            }
            AccessFormat::Json => {
                let line = json!({
                    "time": self.at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
                    "client": self.client.to_string(),
                    "method": self.method.as_str(),
                    "host": self.host,
                    "path": path,
                    "protocol": format!("{:?}", self.version),
                    "status": status,
                    "bytes": self.bytes,
                    "seconds": (took.as_secs_f64() * 1e6).round() / 1e6,
                    "target": self.target.map(|target| target.to_string()),
                    "referer": self.referer,
                    "user_agent": self.agent,
                });
                format!("{line}\n")
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let line = self.line(self.began.elapsed());
        self.log.write(line);
    }
}

/// A text that cannot end its quotes or its line, as Apache writes it (mod_log_config).
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                safe.push('\\');
                safe.push(byte.into());
            }
            b' '..=b'~' => safe.push(byte.into()),
            byte => {
                let _ = write!(safe, "\\x{byte:02x}");
            }
        }
    }
    safe
}

/// A file that is put aside when it is full; the one that was put aside before is gone then.
struct Rotated {
    path: PathBuf,
    file: File,
    /// Bytes that are in it.
    length: u64,
    most: u64,
    looked: Instant,
}

impl Rotated {
    fn open(path: &Path, most: u64) -> io::Result<Rotated> {
        let file = opened(path)?;
        let length = file.metadata()?.len();
        Ok(Rotated { path: path.to_owned(), file, length, most, looked: Instant::now() })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            // Somebody may have put it aside by other means.
            let own = self.file.metadata()?;
            let is_here = fs::metadata(&self.path).is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino()));
            if !is_here {
                (self.file, self.length) = (opened(&self.path)?, 0);
            }
        }
        if self.length > 0 && self.length + bytes.len() as u64 > self.most {
            let mut before = self.path.clone().into_os_string();
            before.push(".1");
            fs::rename(&self.path, before)?;
            (self.file, self.length) = (opened(&self.path)?, 0);
        }
        self.length += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

/// A file to write to the end of. Who may read it is for its owner to say: a log tells who asked for what.
fn opened(path: &Path) -> io::Result<File> {
    let file = File::options().append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_stays_in_its_quotes() {
        for (text, expected) in [
            ("Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)"),
            ("a\" 200 \"b", "a\\\" 200 \\\"b"),
            ("a\nb", "a\\x0ab"),
            ("back\\slash", "back\\\\slash"),
            ("ü", "\\xc3\\xbc"),
            ("", ""),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn two_files_of_a_size_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mut file = Rotated::open(&path, 100).unwrap();
        for number in 0..100 {
            file.write(format!("line {number:02}\n").as_bytes()).unwrap();
        }
        let text = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(text("access.log").len() <= 100 && text("access.log.1").len() <= 100);
        assert!(text("access.log").ends_with("line 99\n"));
        let both = text("access.log.1") + &text("access.log");
        let numbers: Vec<usize> = both.lines().map(|line| line[5..].parse().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        // Another process goes on with what is there, and one that was put aside is begun anew.
        let mut file = Rotated::open(&path, 1000).unwrap();
        file.write(b"more\n").unwrap();
        assert!(text("access.log").ends_with("line 99\nmore\n"));
        fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        file.looked -= LOOK;
        file.write(b"anew\n").unwrap();
        assert_eq!(text("access.log"), "anew\n");
    }

    #[test]
    fn only_files_are_written() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Rotated::open(directory.path(), 100).is_err());
        assert!(Rotated::open(Path::new("/dev/null"), 100).is_err());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(Rotated::open(&link, 100).is_err(), "it could lead anywhere");
    }
}
