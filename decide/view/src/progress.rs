use std::collections::BTreeMap;

use andon_ledger::{Action, Event, Progress, Result as Tried, Timestamp};
use andon_schema::InstanceAddress;

use crate::{Paint, report};

/// What is running, for how long, and what waits for what: folded from events as they come.
#[derive(Debug, Clone, Default)]
pub struct Board {
    running: BTreeMap<InstanceAddress, Running>,
    waiting: Vec<(InstanceAddress, Vec<InstanceAddress>)>,
    done: usize,
    total: usize,
}

#[derive(Debug, Clone)]
struct Running {
    action: Action,
    since: Timestamp,
    note: String,
}

/// A line for a terminal that is no terminal, or above the live lines of one that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(pub String);

/// At most so many waiting changes are shown; the rest is counted.
const WAITING_SHOWN: usize = 6;

impl Board {
    /// What waits now, and for what.
    pub fn set_waiting(&mut self, waiting: Vec<(InstanceAddress, Vec<InstanceAddress>)>) {
        self.total = self.total.max(self.done + self.running.len() + waiting.len());
        self.waiting = waiting;
    }

    /// Takes an event in; the lines that it is worth.
    pub fn event(&mut self, event: &Event, now: Timestamp, paint: Paint) -> Vec<Line> {
        match event {
            Event::Intent(intent) => {
                let running = Running { action: intent.action, since: now, note: String::new() };
                self.running.insert(intent.address.clone(), running);
                self.waiting.retain(|(address, _)| *address != intent.address);
                vec![Line(format!("  {} {}", doing(intent.action), intent.address))]
            }
            Event::Progress(Progress::Note { address, text }) => {
                if let Some(running) = self.running.get_mut(address) {
                    running.note.clone_from(text);
                }
                vec![Line(paint.dim(&format!("  {address}: {text}")))]
            }
            // What was not done is told at the end, once for all steps of a change.
            Event::Progress(Progress::Waiting { .. } | Progress::Skipped { .. }) => Vec::new(),
            Event::Outcome(record) => {
                let since = self.running.remove(&record.address).map(|running| running.since);
                self.done += 1;
                let took = since.map(|since| format!(" ({})", duration(now.0 - since.0))).unwrap_or_default();
                let address = &record.address;
                let line = match &record.result {
                    Tried::Done => format!("{} {} {address}{took}", paint.green("✓"), did(record.action)),
                    Tried::Resolved => {
                        let found = if record.object.is_some() { "is there" } else { "is not there" };
                        format!("{} {address} {found}, after a run that was cut short", paint.yellow("✓"))
                    }
                    Tried::Failed(failure) => {
                        let word = doing(record.action);
                        format!("{} {word} {address} failed{took}: {}", paint.red("✗"), failure.summary)
                    }
                };
                let inside = record.report.as_ref().map(|inside| report(inside, paint, 4)).unwrap_or_default();
                std::iter::once(line).chain(inside.lines().map(str::to_owned)).map(Line).collect()
            }
            Event::Published { stack, outputs } if !outputs.is_empty() => {
                let stack = if stack.is_empty() { "outputs".to_owned() } else { format!("outputs of {stack}") };
                vec![Line(format!("{} published the {stack}", paint.green("✓")))]
            }
            _ => Vec::new(),
        }
    }

    /// The live lines of a terminal: what runs and for how long, then what waits and for what.
    pub fn live(&self, now: Timestamp, width: usize, paint: Paint) -> Vec<String> {
        let mut lines = Vec::new();
        for (address, running) in &self.running {
            let note = if running.note.is_empty() { String::new() } else { format!("  {}", running.note) };
            let time = duration(now.0 - running.since.0);
            lines.push(cut(&format!("  {} {address}  {time}{note}", doing(running.action)), width));
        }
        for (address, on) in self.waiting.iter().take(WAITING_SHOWN) {
            let on: Vec<String> = on.iter().take(3).map(ToString::to_string).collect();
            lines.push(paint.dim(&cut(&format!("  waiting   {address}  for {}", on.join(", ")), width)));
        }
        if self.waiting.len() > WAITING_SHOWN {
            let more = self.waiting.len() - WAITING_SHOWN;
            lines.push(paint.dim(&format!("  and {more} more that wait")));
        }
        if self.total > 0 && !lines.is_empty() {
            lines.push(paint.dim(&format!("  {} of {} done", self.done.min(self.total), self.total)));
        }
        lines
    }
}

fn doing(action: Action) -> &'static str {
    match action {
        Action::Create => "creating ",
        Action::Update => "updating ",
        Action::Delete => "deleting ",
    }
    .trim_end()
}

fn did(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Delete => "deleted",
    }
}

/// Milliseconds as people say them: `840 ms`, `3.2 s`, `2 min 05 s`.
pub fn duration(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!("{} min {:02} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
    }
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}
