use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;

/// As much of the end of a plugin's output is kept.
const KEPT_BYTES: usize = 64 << 10;

/// As many lines of it are shown.
const SHOWN_LINES: usize = 20;

/// A longer line is cut where it is shown.
const SHOWN_LINE_CHARACTERS: usize = 400;

/// The end of what a plugin wrote, for messages about its failure.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// Adds what was read, and forgets what is too long ago.
    pub fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes.iter().skip(bytes.len().saturating_sub(KEPT_BYTES)));
        let surplus = kept.len().saturating_sub(KEPT_BYTES);
        kept.drain(..surplus);
    }

    /// The last lines for a person: from the crash on, where it crashed; log records as their message alone, and only
    /// those of warnings and errors.
    pub fn shown(&self) -> String {
        let bytes: Vec<u8> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<String> = text.lines().filter_map(line).collect();
        let crash = lines.iter().position(|line| line.starts_with("panic: ") || line.starts_with("fatal error: "));
        let from = crash.unwrap_or_else(|| lines.len().saturating_sub(SHOWN_LINES));
        let shown: Vec<&str> = lines.iter().skip(from).take(SHOWN_LINES).map(String::as_str).collect();
        shown.join("\n")
    }
}

fn line(line: &str) -> Option<String> {
    let line = line.trim_end();
    let plain = match serde_json::from_str::<Json>(line) {
        Ok(record) if record.get("@message").is_some() => {
            let text = |name: &str| record.get(name).and_then(Json::as_str).unwrap_or_default();
            if !matches!(text("@level"), "warn" | "error") {
                return None;
            }
            text("@message").to_owned()
        }
        _ => line.to_owned(),
    };
    let printable: String = plain.chars().filter(|character| !character.is_control() || *character == '\t').collect();
    let cut: String = printable.chars().take(SHOWN_LINE_CHARACTERS).collect();
    (!cut.trim().is_empty()).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_says_why() {
        let record = |level: &str, text: &str| format!("{{\"@level\":\"{level}\",\"@message\":\"{text}\"}}\n");
        for (written, expected) in [
            (String::new(), ""),
            ("plain\n\n".to_owned(), "plain"),
            (record("debug", "noise") + &record("error", "it broke"), "it broke"),
            ("before\npanic: no luck\n\ngoroutine 1\n".to_owned(), "panic: no luck\ngoroutine 1"),
            ("\u{1b}[31mred\u{1b}[0m\u{fffd}".to_owned(), "[31mred[0m\u{fffd}"),
        ] {
            let tail = Tail::default();
            tail.push(written.as_bytes());
            assert_eq!(tail.shown(), expected);
        }
        let tail = Tail::default();
        (0..100_000).for_each(|number| tail.push(format!("line {number}\n").as_bytes()));
        let shown = tail.shown();
        assert_eq!(shown.lines().count(), SHOWN_LINES);
        assert!(shown.ends_with("line 99999"));
        tail.push(&vec![b'x'; 10 * KEPT_BYTES]);
        assert_eq!(tail.shown().len(), SHOWN_LINE_CHARACTERS);
    }
}
