//! A run, as it happens: live lines on a terminal, plain lines elsewhere, JSON lines where data is wanted.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use andon_engine::{Sink, WaitingView, now};
use andon_ledger::{Event, Timestamp};
use andon_plan::Plan;
use andon_schema::Identity;
use andon_text::Diagnostic;
use andon_view::{Board, Paint};
use serde_json::Value as Json;

use crate::context::{Context, Stop};

/// How many live lines are on the terminal.
static DRAWN: AtomicUsize = AtomicUsize::new(0);

/// Of how many effects no outcome is recorded yet.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Says that the program ends at once. Called in a signal handler: it only writes.
pub fn say_stopped_at_once() {
    let say = |text: &[u8]| {
        // SAFETY: the bytes are there, and write is safe to call in a signal handler.
        let _ = unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
    };
    for _ in 0..DRAWN.load(Ordering::Relaxed) {
        say(b"\x1b[A\x1b[2K");
    }
    say(b"Stopped at once.");
    if UNDER_WAY.load(Ordering::Relaxed) > 0 {
        say(b" What was under way has no recorded outcome: the next `andon apply` looks at what came of it, or says what to do.");
    }
    say(b"\n");
}

/// Follows a run.
pub struct Follower {
    open: BTreeSet<Identity>,
    board: Board,
    paint: Paint,
    width: usize,
    live: bool,
    json: bool,
    drawn: usize,
    began: Option<Timestamp>,
    /// What waits is not counted again before.
    recount: Instant,
}

impl Follower {
    /// A follower of a run that has not begun.
    pub fn new(context: &Context) -> Follower {
        let json = context.arguments.json;
        let live = context.live && !json;
        Follower {
            open: BTreeSet::new(),
            board: Board::default(),
            paint: context.err,
            width: context.width,
            live,
            json,
            drawn: 0,
            began: None,
            recount: Instant::now(),
        }
    }

    /// How long it is since the first effect began, in milliseconds; `None` where none did.
    pub fn took_ms(&self) -> Option<i64> {
        self.began.map(|began| now().0 - began.0)
    }

    /// Says something between the lines of the run.
    fn say(&mut self, lines: impl IntoIterator<Item = String>) {
        let mut text = self.erase();
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str(&self.draw());
        let _ = std::io::stderr().write_all(text.as_bytes());
        DRAWN.store(self.drawn, Ordering::Relaxed);
    }

    fn erase(&mut self) -> String {
        DRAWN.store(0, Ordering::Relaxed);
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }

    fn draw(&mut self) -> String {
        if !self.live {
            return String::new();
        }
        let lines = self.board.live(now(), self.width, self.paint);
        self.drawn = lines.len();
        lines.into_iter().map(|line| line + "\n").collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let text = self.erase();
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

impl Sink for Follower {
    fn event(&mut self, event: &Event) {
        let now = now();
        match event {
            Event::Intent(intent) => {
                self.began.get_or_insert(now);
                self.open.insert(intent.identity.clone());
            }
            Event::Outcome(record) => {
                self.open.remove(&record.identity);
            }
            _ => {}
        }
        UNDER_WAY.store(self.open.len(), Ordering::Relaxed);
        if self.json {
            let mut json = andon_view::event_json(event);
            let elapsed = match event {
                Event::Outcome(record) => self.board.elapsed_ms(&record.address, &record.identity, now),
                Event::Marked { address, identity, .. } => self.board.elapsed_ms(address, identity, now),
                _ => None,
            };
            if let (Some(elapsed), Some(json)) = (elapsed, json.as_object_mut()) {
                json.insert("elapsed_ms".to_owned(), elapsed.into());
            }
            self.board.event(event, now, self.paint);
            print_json(&json);
            return;
        }
        let lines = self.board.event(event, now, self.paint);
        // What only lasts while it runs is in the live lines already.
        let passing =
            self.live && matches!(event, Event::Intent(_) | Event::Progress(andon_ledger::Progress::Note { .. }));
        self.say(lines.into_iter().filter(|_| !passing).map(|line| line.0));
    }

    fn planned(&mut self, plan: &Plan) {
        self.board.set_plan(plan);
    }

    fn tick(&mut self) {
        if self.live {
            return self.say(Vec::new());
        }
        for still in self.board.still(now()) {
            match self.json {
                true => print_json(&still.json()),
                false => self.say([still.line(self.paint).0]),
            }
        }
    }

    fn waiting(&mut self, view: WaitingView<'_>) {
        let began = Instant::now();
        if self.live && began >= self.recount {
            let waiting = view().into_iter().map(|waiting| (waiting.address, waiting.on)).collect();
            self.board.set_waiting(waiting);
            // It takes as long as there are changes, and is done for each batch of them.
            self.recount = began + began.elapsed() * 10;
        }
    }

    fn interrupted(&mut self) {
        self.say(["Stopping: what runs is finished, nothing new begins. Ctrl-C again ends at once.".to_owned()]);
    }
}

/// One line of JSON on standard output.
pub fn print_json(json: &Json) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{json}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Asks a question that is answered with one word; true where that word is given. The answer is a line of standard
/// input. Where there is none, or nothing may be asked, it is no, and that is said.
pub fn ask(context: &Context, question: &str, word: &str) -> bool {
    if context.arguments.input == Some(false) {
        context.say("Nothing may be asked, by -input=false: run it with -y to go on without a question.");
        return false;
    }
    let mut error = std::io::stderr();
    let _ = write!(error, "{question} ");
    let _ = error.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if !std::io::stdin().is_terminal() {
        let _ = writeln!(error);
        if !matches!(read, Ok(length) if length > 0) {
            context.say("There is nobody to ask: run it with -y to go on without a question.");
        }
    }
    read.is_ok() && answer.trim() == word
}

/// Writes a file whole, or leaves it as it was; keeps its mode. What is no plain file is written into.
pub fn write_file(path: &Path, text: &str) -> Result<(), Stop> {
    let failed = |error: std::io::Error| {
        let diagnostic = Diagnostic::error(format!("`{}` cannot be written: {error}", path.display()));
        Stop::from(match error.kind() {
            std::io::ErrorKind::NotFound => diagnostic.help("Make the directory first."),
            _ => diagnostic.help("Name a file in a directory that you may write to."),
        })
    };
    let present = fs::metadata(path).ok();
    if present.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        return fs::write(path, text).map_err(failed);
    }
    // A link stays a link.
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = directory.join(format!(".{name}.andon-{}", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        if let Some(metadata) = &present {
            file.set_permissions(metadata.permissions())?;
        }
        fs::rename(&temporary, &place)
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(error)
    })
}
