//! What a plugin writes on its streams: told line by line to whoever listens, and its end kept for messages about its
//! failure.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::watch;

/// As much of the end of a plugin's output is kept.
const KEPT_BYTES: usize = 64 << 10;

/// As much of a crash is kept, from its first line on.
const KEPT_CRASH_BYTES: usize = 256 << 10;

/// A longer line is told in pieces.
const LONGEST_LINE_BYTES: usize = 64 << 10;

/// As many lines of it are shown.
const SHOWN_LINES: usize = 20;

/// A longer line is cut where it is shown.
const SHOWN_LINE_CHARACTERS: usize = 400;

/// A plugin that is gone has its last words read within this time, unless something that it started still speaks.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One line that a plugin wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLine {
    /// The plugin's file.
    pub program: PathBuf,
    /// How much it matters, as the plugin says or as the line looks.
    pub level: LogLevel,
    /// The line, or the message of the log record that it is.
    pub message: String,
}

/// How much a line of a log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What is worth knowing.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
}

/// Whoever is told of what plugins write. Called on threads that read streams: it must not wait for the plugin.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(PluginLine) + Send + Sync>);

impl Listener {
    /// One that calls this.
    pub fn new(told: impl Fn(PluginLine) + Send + Sync + 'static) -> Listener {
        Listener(Arc::new(told))
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Listener")
    }
}

/// All that one plugin writes.
#[derive(Clone)]
pub(crate) struct Output(Arc<Shared>);

struct Shared {
    program: PathBuf,
    listener: Option<Listener>,
    kept: Mutex<Kept>,
    /// How many streams of the process are open.
    open: watch::Sender<usize>,
}

#[derive(Default)]
struct Kept {
    end: VecDeque<u8>,
    /// From the first line of a crash on.
    crash: Vec<u8>,
}

impl Output {
    pub fn new(program: &Path, listener: Option<Listener>) -> Output {
        let open = watch::Sender::new(0);
        Output(Arc::new(Shared { program: program.to_owned(), listener, kept: Mutex::default(), open }))
    }

    /// A stream of the process itself; the process has said its last word when all are gone.
    pub fn of_process(&self) -> Stream {
        self.0.open.send_modify(|open| *open += 1);
        Stream { output: self.clone(), line: Vec::new(), in_crash: false, counted: true }
    }

    /// A stream that comes another way.
    pub fn stream(&self) -> Stream {
        Stream { output: self.clone(), line: Vec::new(), in_crash: false, counted: false }
    }

    /// The last lines for a person: from the crash on, where it crashed; log records as their message alone, and only
    /// those of warnings and errors.
    pub fn shown(&self) -> String {
        let kept = self.kept();
        let crash = String::from_utf8_lossy(&kept.crash).into_owned();
        let end: Vec<u8> = kept.end.iter().copied().collect();
        drop(kept);
        let lines: Vec<String> = match crash.is_empty() {
            false => crash.lines().filter_map(shown_line).take(SHOWN_LINES).collect(),
            true => {
                let lines: Vec<String> = String::from_utf8_lossy(&end).lines().filter_map(shown_line).collect();
                let surplus = lines.len().saturating_sub(SHOWN_LINES);
                lines.into_iter().skip(surplus).collect()
            }
        };
        lines.join("\n")
    }

    /// What it wrote from the first line of a crash on; `None` where there was none.
    pub fn crash(&self) -> Option<String> {
        let kept = self.kept();
        (!kept.crash.is_empty()).then(|| String::from_utf8_lossy(&kept.crash).into_owned())
    }

    /// As [`Output::shown`], of a process that is gone: what it wrote last may not be read yet.
    pub async fn last_words(&self) -> String {
        let mut open = self.0.open.subscribe();
        let _ = tokio::time::timeout(LAST_WORDS, open.wait_for(|open| *open == 0)).await;
        self.shown()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream of a plugin.
pub(crate) struct Stream {
    output: Output,
    /// The begin of a line whose end is not read yet.
    line: Vec<u8>,
    in_crash: bool,
    counted: bool,
}

impl Stream {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        let output = self.output.clone();
        let mut kept = output.kept();
        kept.end.extend(bytes.iter().skip(bytes.len().saturating_sub(KEPT_BYTES)));
        let surplus = kept.end.len().saturating_sub(KEPT_BYTES);
        kept.end.drain(..surplus);
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend(piece);
            if self.line.ends_with(b"\n") || self.line.len() >= LONGEST_LINE_BYTES {
                lines.push(self.end_line(&mut kept));
            }
        }
        drop(kept);
        self.tell(lines);
    }

    /// The line that ends here, and whether it belongs to a crash.
    fn end_line(&mut self, kept: &mut Kept) -> (Vec<u8>, bool) {
        let line = std::mem::take(&mut self.line);
        self.in_crash |= line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ");
        if self.in_crash && kept.crash.len() < KEPT_CRASH_BYTES {
            kept.crash.extend(&line);
        }
        (line, self.in_crash)
    }

    fn tell(&self, lines: Vec<(Vec<u8>, bool)>) {
        let Some(Listener(told)) = &self.output.0.listener else { return };
        for (line, in_crash) in lines {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            if text.is_empty() {
                continue;
            }
            let (level, message) = match record(text) {
                Some(record) => record,
                None if in_crash => (LogLevel::Error, text.to_owned()),
                None => (plain_level(text), text.to_owned()),
            };
            told(PluginLine { program: self.output.0.program.clone(), level, message });
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let output = self.output.clone();
        let last = (!self.line.is_empty()).then(|| self.end_line(&mut output.kept()));
        self.tell(last.into_iter().collect());
        if self.counted {
            output.0.open.send_modify(|open| *open = open.saturating_sub(1));
        }
    }
}

/// A line that is a log record in JSON, as `hclog` writes them.
fn record(line: &str) -> Option<(LogLevel, String)> {
    if !line.starts_with('{') {
        return None;
    }
    let record: Json = serde_json::from_str(line).ok()?;
    let text = |name: &str| record.get(name).and_then(Json::as_str);
    let level = match text("@level") {
        Some("trace") => LogLevel::Trace,
        Some("debug") => LogLevel::Debug,
        Some("warn") => LogLevel::Warn,
        Some("error") => LogLevel::Error,
        _ => LogLevel::Info,
    };
    Some((level, text("@message")?.to_owned()))
}

/// What a plain line says of itself near its begin, such as `[WARN]`.
fn plain_level(line: &str) -> LogLevel {
    let begin: String = line.chars().take(64).collect();
    let named = [
        ("[TRACE]", LogLevel::Trace),
        ("[DEBUG]", LogLevel::Debug),
        ("[INFO]", LogLevel::Info),
        ("[WARN]", LogLevel::Warn),
        ("[ERROR]", LogLevel::Error),
    ];
    named.into_iter().find(|(name, _)| begin.contains(name)).map_or(LogLevel::Info, |(_, level)| level)
}

fn shown_line(line: &str) -> Option<String> {
    let line = line.trim_end();
    let plain = match record(line) {
        Some((level, _)) if level < LogLevel::Warn => return None,
        Some((_, message)) => message,
        None => line.to_owned(),
    };
    let printable: String = plain.chars().filter(|character| !character.is_control() || *character == '\t').collect();
    let cut: String = printable.chars().take(SHOWN_LINE_CHARACTERS).collect();
    (!cut.trim().is_empty()).then_some(cut)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod tests {
    use super::*;

    fn record(level: &str, text: &str) -> String {
        format!("{{\"@level\":\"{level}\",\"@message\":\"{text}\"}}\n")
    }

    #[test]
    fn what_is_shown_is_short_and_says_why() {
        let long_crash = "panic: early\n".to_owned() + &"goroutine with a long stack\n".repeat(20_000);
        for (written, expected) in [
            (String::new(), ""),
            ("plain\n\n".to_owned(), "plain"),
            ("no end of line".to_owned(), "no end of line"),
            (record("debug", "noise") + &record("error", "it broke"), "it broke"),
            ("before\npanic: no luck\n\ngoroutine 1\n".to_owned(), "panic: no luck\ngoroutine 1"),
            ("\u{1b}[31mred\u{1b}[0m\u{fffd}".to_owned(), "[31mred[0m\u{fffd}"),
        ] {
            let output = Output::new(Path::new("x"), None);
            output.stream().push(written.as_bytes());
            assert_eq!(output.shown(), expected);
        }
        let output = Output::new(Path::new("x"), None);
        let mut stream = output.stream();
        long_crash.as_bytes().chunks(1000).for_each(|part| stream.push(part));
        assert!(output.shown().starts_with("panic: early\n"));
        assert!(output.crash().unwrap().len() > 100_000);
        let output = Output::new(Path::new("x"), None);
        let mut stream = output.stream();
        (0..100_000).for_each(|number| stream.push(format!("line {number}\n").as_bytes()));
        let shown = output.shown();
        assert_eq!(shown.lines().count(), SHOWN_LINES);
        assert!(shown.ends_with("line 99999"));
        stream.push(&vec![b'x'; 10 * KEPT_BYTES]);
        assert_eq!(output.shown().len(), SHOWN_LINE_CHARACTERS);
        assert_eq!(output.crash(), None);
    }

    #[test]
    fn every_line_is_told_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Listener::new({
            let told = told.clone();
            move |line| told.lock().unwrap().push((line.level, line.message))
        });
        let text = record("warn", "careful")
            + "2026/11/21 12:00:00 [DEBUG] a step\nplain\r\n\n{\"other\":1}\n"
            + &record("trace", "tiny")
            + "panic: lost\ngoroutine 1 [running]:\nthe end";
        for size in [1, 7, 1000] {
            let mut stream = Output::new(Path::new("x"), Some(listener.clone())).stream();
            text.as_bytes().chunks(size).for_each(|part| stream.push(part));
            drop(stream);
            let told: Vec<(LogLevel, String)> = told.lock().unwrap().drain(..).collect();
            let told: Vec<(LogLevel, &str)> = told.iter().map(|(level, text)| (*level, text.as_str())).collect();
            assert_eq!(
                told,
                [
                    (LogLevel::Warn, "careful"),
                    (LogLevel::Debug, "2026/11/21 12:00:00 [DEBUG] a step"),
                    (LogLevel::Info, "plain"),
                    (LogLevel::Info, "{\"other\":1}"),
                    (LogLevel::Trace, "tiny"),
                    (LogLevel::Error, "panic: lost"),
                    (LogLevel::Error, "goroutine 1 [running]:"),
                    (LogLevel::Error, "the end"),
                ],
                "in pieces of {size}"
            );
        }
        let mut stream = Output::new(Path::new("x"), Some(listener)).stream();
        stream.push(&vec![b'x'; 3 * LONGEST_LINE_BYTES]);
        drop(stream);
        assert_eq!(told.lock().unwrap().iter().map(|(_, text)| text.len()).sum::<usize>(), 3 * LONGEST_LINE_BYTES);
    }
}
