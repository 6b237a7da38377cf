//! Work that may be given up: because the user asks for an end, because the other side says nothing any more, or because it
//! comes to more than it may.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use andon_schema::Failure;
use andon_schema::units::{format_bytes, parse_bytes};

/// How often somebody who waits looks whether that is still wanted.
const TICK: Duration = Duration::from_millis(50);

/// How much of a file is handed on at once.
const CHUNK: usize = 256 << 10;

/// The most that an image may unpack to, where the user says nothing.
const BYTES_MAX: u64 = 64 << 30;
const ENTRIES_MAX: u64 = 8 << 20;

/// The most that a name and its extended attributes may take: they are read at once.
const HEAD_MAX: u64 = 16 << 20;

/// The variable that says how large an image from elsewhere may be.
const BYTES_VARIABLE: &str = "ANDON_IMAGE_MAX";

/// What is said where the user asked for an end.
pub(crate) fn stopped() -> Failure {
    Failure::new("it was stopped", "It was asked to end before it was done; nothing half made was kept.")
}

pub(crate) fn stopped_working() -> io::Error {
    io::Error::other("it was asked to end")
}

/// Runs a program to its end, or until an end is asked for: then it is killed. What it wrote.
pub(crate) fn output_of(command: &mut Command, interrupt: &AtomicBool) -> io::Result<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (status, stdout, stderr) = std::thread::scope(|scope| {
        let stdout = scope.spawn(|| all_of(stdout));
        let stderr = scope.spawn(|| all_of(stderr));
        let status = loop {
            if interrupt.load(Ordering::Relaxed) {
                let _ = child.kill();
            }
            match child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(error),
            }
        };
        (status, stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
    });
    let status = status?;
    match interrupt.load(Ordering::Relaxed) && !status.success() {
        true => Err(stopped_working()),
        false => Ok(Output { status, stdout, stderr }),
    }
}

fn all_of(from: Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    from.map(|mut from| from.read_to_end(&mut all));
    all
}

/// Fails soon after an end is asked for, in the middle of whatever goes through it.
pub(crate) struct Watched<'a, S> {
    inner: S,
    interrupt: &'a AtomicBool,
}

impl<'a, S> Watched<'a, S> {
    pub(crate) fn new(inner: S, interrupt: &'a AtomicBool) -> Watched<'a, S> {
        Watched { inner, interrupt }
    }

    fn look(&self) -> io::Result<()> {
        if self.interrupt.load(Ordering::Relaxed) { Err(stopped_working()) } else { Ok(()) }
    }
}

impl<S: Read> Read for Watched<'_, S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.look()?;
        self.inner.read(to)
    }
}

impl<S: Write> Write for Watched<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.look()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What may still be unpacked.
pub(crate) struct Budget<'a> {
    bytes: Cell<u64>,
    entries: Cell<u64>,
    /// What may still be read before the content of the next entry begins.
    head: Cell<u64>,
    most: u64,
    interrupt: &'a AtomicBool,
}

impl<'a> Budget<'a> {
    /// Of one's own archives: there is no bound but that somebody asks for an end.
    pub(crate) fn unbounded(interrupt: &'a AtomicBool) -> Budget<'a> {
        Budget::new(u64::MAX, u64::MAX, interrupt)
    }

    /// Of an image from elsewhere, on a disk with so much room: what the user allows, and no more than fits.
    pub(crate) fn of_image(room: u64, interrupt: &'a AtomicBool) -> Result<Budget<'a>, Failure> {
        let allowed = match std::env::var(BYTES_VARIABLE) {
            Ok(text) => parse_bytes(&text).ok_or_else(|| {
                Failure::new(
                    format!("`{text}` is no size"),
                    format!("{BYTES_VARIABLE} says how large an image may be."),
                )
                .help("Write one such as `100G`.")
            })?,
            Err(_) => BYTES_MAX,
        };
        Ok(Budget::new(allowed.min(room), ENTRIES_MAX, interrupt))
    }

    fn new(bytes: u64, entries: u64, interrupt: &'a AtomicBool) -> Budget<'a> {
        let left = |most: u64| Cell::new(most);
        Budget { bytes: left(bytes), entries: left(entries), head: left(HEAD_MAX), most: bytes, interrupt }
    }

    /// An entry begins, whose content comes to so many bytes, with or without holes.
    pub(crate) fn entry(&self, bytes: u64) -> io::Result<()> {
        self.head.set(u64::MAX);
        let left = self.entries.get().checked_sub(1);
        self.entries.set(left.ok_or_else(|| too_much("holds too many files"))?);
        self.fits(bytes)
    }

    /// Whether so many bytes may still come.
    pub(crate) fn fits(&self, bytes: u64) -> io::Result<()> {
        if bytes > self.bytes.get() { Err(self.too_large()) } else { Ok(()) }
    }

    /// Its content is read.
    pub(crate) fn end_of_entry(&self) {
        self.head.set(HEAD_MAX);
    }

    /// Holes of a file are written as bytes: they count like these.
    pub(crate) fn holes(&self, bytes: u64) -> io::Result<()> {
        self.bytes.set(self.bytes.get().checked_sub(bytes).ok_or_else(|| self.too_large())?);
        Ok(())
    }

    fn too_large(&self) -> io::Error {
        too_much(&format!(
            "unpacks to more than {}, which is what {BYTES_VARIABLE} or the disk allows",
            format_bytes(self.most)
        ))
    }
}

fn too_much(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the image {why}"))
}

/// A reader of what is unpacked.
pub(crate) struct Metered<'a, R> {
    pub from: R,
    pub budget: &'a Budget<'a>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let budget = self.budget;
        if budget.interrupt.load(Ordering::Relaxed) {
            return Err(stopped_working());
        }
        let count = self.from.read(to)?;
        let bytes = u64::try_from(count).unwrap_or(u64::MAX);
        budget.bytes.set(budget.bytes.get().checked_sub(bytes).ok_or_else(|| budget.too_large())?);
        let left = budget.head.get().checked_sub(bytes);
        budget.head.set(left.ok_or_else(|| too_much("has a name or attributes of many megabytes"))?);
        Ok(count)
    }
}

/// Who waits for somebody else, and how long without a word.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    pub interrupt: Arc<AtomicBool>,
    pub silence: Duration,
}

/// Why a wait has ended without what was waited for.
#[derive(Debug)]
pub(crate) enum GaveUp {
    /// The user asked for it.
    Stopped,
    /// Nothing came for so long.
    Silent(Duration),
    /// Whoever was to answer is gone.
    Gone,
}

impl std::fmt::Display for GaveUp {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GaveUp::Stopped => to.write_str("it was asked to end"),
            GaveUp::Silent(time) => write!(to, "nothing came for {} seconds", time.as_secs()),
            GaveUp::Gone => to.write_str("the connection ended"),
        }
    }
}

impl Patience {
    /// Does something that may never end on a thread of its own, which is left behind where that is given up. `moved` counts
    /// what goes on meanwhile.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        moved: &AtomicU64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GaveUp> {
        let (sender, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new().name("registry".to_owned());
        // Nobody may wait for it any more.
        thread.spawn(move || drop(sender.send(work()))).map_err(|_| GaveUp::Gone)?;
        self.receive(&receiver, moved)
    }

    /// Waits for so long, unless an end is asked for.
    pub(crate) fn pause(&self, long: Duration) -> Result<(), Failure> {
        let end = Instant::now() + long;
        while Instant::now() < end {
            if self.interrupt.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            std::thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    fn receive<T>(&self, from: &Receiver<T>, moved: &AtomicU64) -> Result<T, GaveUp> {
        let (mut since, mut seen) = (Instant::now(), moved.load(Ordering::Relaxed));
        loop {
            if self.interrupt.load(Ordering::Relaxed) {
                return Err(GaveUp::Stopped);
            }
            match from.recv_timeout(TICK.min(self.silence)) {
                Ok(it) => return Ok(it),
                Err(RecvTimeoutError::Disconnected) => return Err(GaveUp::Gone),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = moved.load(Ordering::Relaxed);
            if now != seen {
                (since, seen) = (Instant::now(), now);
            } else if since.elapsed() > self.silence {
                return Err(GaveUp::Silent(self.silence));
            }
        }
    }
}

/// A reader of what another one gives on a thread of its own: it does not wait for ever.
pub(crate) struct Flowing {
    chunks: std::sync::Mutex<Receiver<io::Result<Vec<u8>>>>,
    chunk: io::Cursor<Vec<u8>>,
    patience: Patience,
}

impl Flowing {
    pub(crate) fn new(mut from: impl Read + Send + 'static, patience: Patience) -> io::Result<Flowing> {
        let (sender, receiver) = sync_channel(2);
        std::thread::Builder::new().name("registry".to_owned()).spawn(move || {
            loop {
                let mut chunk = vec![0; CHUNK];
                let read = from.read(&mut chunk);
                let is_last = !matches!(read, Ok(1..));
                let read = read.map(|count| {
                    chunk.truncate(count);
                    chunk
                });
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Flowing { chunks: receiver.into(), chunk: io::Cursor::default(), patience })
    }
}

impl Read for Flowing {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.chunk.read(to)?;
        if count > 0 || to.is_empty() {
            return Ok(count);
        }
        let chunks = self.chunks.get_mut().unwrap_or_else(PoisonError::into_inner);
        let chunk = self.patience.receive(chunks, &AtomicU64::new(0));
        self.chunk = io::Cursor::new(chunk.map_err(|why| io::Error::other(why.to_string()))??);
        self.chunk.read(to)
    }
}

/// Counts what is read of it.
pub(crate) struct Counting<R> {
    pub from: R,
    pub moved: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(to)?;
        self.moved.fetch_add(1, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says a little, and then nothing.
    struct Stalls(bool);

    impl Read for Stalls {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                std::thread::sleep(Duration::from_secs(3600));
            }
            to[0] = b'x';
            Ok(1)
        }
    }

    #[test]
    fn a_program_ends_when_that_is_asked_for() {
        let interrupt = AtomicBool::new(false);
        let script = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::null());
            output_of(&mut command, &interrupt)
        };
        let output = script("echo one; echo two >&2; exit 3").unwrap();
        assert_eq!((&*output.stdout, &*output.stderr, output.status.code()), (&b"one\n"[..], &b"two\n"[..], Some(3)));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| script("exec sleep 3600"));
            std::thread::sleep(Duration::from_millis(20));
            interrupt.store(true, Ordering::Relaxed);
            assert_eq!(waits.join().unwrap().unwrap_err().to_string(), "it was asked to end");
        });
    }

    #[test]
    fn silence_and_the_user_end_a_wait() {
        let patience = |is_stopped: bool, silence: u64| Patience {
            interrupt: Arc::new(AtomicBool::new(is_stopped)),
            silence: Duration::from_millis(silence),
        };
        let mut flowing = Flowing::new(Stalls(false), patience(false, 60)).unwrap();
        let mut bytes = Vec::new();
        let error = flowing.read_to_end(&mut bytes).unwrap_err();
        assert_eq!((bytes, error.to_string()), (b"x".to_vec(), "nothing came for 0 seconds".to_owned()));
        let stopped = patience(true, 60_000).wait(&AtomicU64::new(0), || std::thread::sleep(Duration::from_secs(3600)));
        assert!(matches!(stopped, Err(GaveUp::Stopped)));
        // What goes on is waited for.
        let moved = Arc::new(AtomicU64::new(0));
        let work = {
            let moved = Arc::clone(&moved);
            move || {
                for _ in 0..20 {
                    std::thread::sleep(Duration::from_millis(20));
                    moved.fetch_add(1, Ordering::Relaxed);
                }
                7
            }
        };
        assert_eq!(patience(false, 300).wait(&moved, work).unwrap(), 7);
        let text: Vec<u8> = (0..=255).cycle().take(CHUNK * 3 + 5).collect();
        let mut flowing = Flowing::new(io::Cursor::new(text.clone()), patience(false, 60_000)).unwrap();
        let mut read = Vec::new();
        flowing.read_to_end(&mut read).unwrap();
        assert!(read == text);
    }
}
