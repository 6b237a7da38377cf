use std::collections::{BTreeMap, BTreeSet};

use andon_ledger::{Action, Event, Progress, Result as Tried, Timestamp};
use andon_plan::{Plan, PlannedAction};
use andon_schema::{Identity, InstanceAddress, ObjectStatus};
use serde_json::{Value as Json, json};
use unicode_segmentation::UnicodeSegmentation;

use crate::events::action_word;
use crate::fold::{clean, columns, inline};
use crate::plan::{listed, name};
use crate::{Paint, report};

/// What is running, for how long, and what waits for what: folded from events as they come.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// Objects that were replaced before and are still there.
    replaced: BTreeSet<Identity>,
    /// An instance may have several objects: one is made while what it replaces is deleted.
    running: BTreeMap<(InstanceAddress, Identity), Running>,
    waiting: BTreeMap<InstanceAddress, Vec<InstanceAddress>>,
    done: usize,
    total: usize,
}

#[derive(Debug, Clone)]
struct Running {
    action: Action,
    since: Timestamp,
    /// When it was last said that it still runs.
    said: Timestamp,
    note: String,
    /// The object is made, and what is defined to run for it runs.
    provisioning: bool,
}

/// A line for a terminal that is no terminal, or above the live lines of one that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(pub String);

/// Work that has been running for long, and still does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// The instance.
    pub address: InstanceAddress,
    /// What is done to it.
    pub action: Action,
    /// Since when, in milliseconds; whole intervals.
    pub elapsed_ms: i64,
    /// What it is at, as it said last; may be empty.
    pub note: String,
}

/// So often it is said that something still runs.
const STILL_MS: i64 = 10_000;

/// At most so many waiting changes are shown; the rest is counted.
const WAITING_SHOWN: usize = 6;

impl Board {
    /// Takes in what is planned, so that what is deleted of a replaced object is not taken for the one in use.
    pub fn set_plan(&mut self, plan: &Plan) {
        let deposed = plan.changes.iter().filter(|change| change.action == PlannedAction::DeleteDeposed);
        self.replaced = deposed.filter_map(|change| change.identity.clone()).collect();
    }

    fn name_of(&self, address: &InstanceAddress, identity: &Identity) -> String {
        let of = if self.replaced.contains(identity) { "the replaced object of " } else { "" };
        format!("{of}{}", name(address))
    }

    /// What waits now, and for what.
    pub fn set_waiting(&mut self, waiting: BTreeMap<InstanceAddress, Vec<InstanceAddress>>) {
        self.total = self.total.max(self.done + self.running.len() + waiting.len());
        self.waiting = waiting;
    }

    /// Takes an event in; the lines that it is worth.
    pub fn event(&mut self, event: &Event, now: Timestamp, paint: Paint) -> Vec<Line> {
        match event {
            Event::Intent(intent) => {
                let (action, note) = (intent.action, String::new());
                let running = Running { action, since: now, said: now, note, provisioning: false };
                self.running.insert((intent.address.clone(), intent.identity.clone()), running);
                self.waiting.remove(&intent.address);
                vec![Line(format!("  {} {}", doing(intent.action), self.name_of(&intent.address, &intent.identity)))]
            }
            Event::Progress(Progress::Note { address, text }) => {
                let text = inline(text).into_owned();
                for (_, running) in self.running.iter_mut().filter(|((at, _), _)| at == address) {
                    running.note.clone_from(&text);
                }
                vec![Line(paint.dim(&format!("  {}: {text}", name(address))))]
            }
            Event::Progress(Progress::Failed { address, reason }) => {
                let provisioned = |((at, _), running): &(&(InstanceAddress, Identity), &Running)| {
                    at == address && running.provisioning
                };
                let key = self.running.iter().find(provisioned).map(|(key, _)| key.clone());
                let running = key.and_then(|key| self.running.remove(&key));
                self.done += 1;
                let took = running.as_ref().map(|running| took(running, now)).unwrap_or_default();
                let word = running.map_or("deleting", |running| doing(running.action));
                let (address, reason) = (name(address), inline(reason));
                vec![Line(format!("{} {word} {address} failed{took}: {reason}", paint.red("✗")))]
            }
            // What a run marks that made the object is that all has run that is defined to run for it.
            Event::Marked { address, identity, status: ObjectStatus::Ready } => {
                let key = (address.clone(), identity.clone());
                let running = self.running.get(&key).filter(|running| running.provisioning).cloned();
                let Some(running) = running else { return Vec::new() };
                self.running.remove(&key);
                self.done += 1;
                vec![Line(format!("{} created {}{}", paint.green("✓"), name(address), took(&running, now)))]
            }
            // What was not done is told at the end, once for all steps of a change.
            Event::Progress(Progress::Waiting { .. } | Progress::Skipped { .. }) => Vec::new(),
            Event::Outcome(record) => {
                let inside = record.report.as_ref().map(|inside| report(inside, paint, 4)).unwrap_or_default();
                let inside = inside.lines().map(|line| clean(line).into_owned());
                let address = self.name_of(&record.address, &record.identity);
                let tainted = record.object.as_ref().is_some_and(|it| it.status == ObjectStatus::Tainted);
                let key = (record.address.clone(), record.identity.clone());
                if let (Tried::Done, true, Some(running)) = (&record.result, tainted, self.running.get_mut(&key)) {
                    running.provisioning = true;
                    running.note = "running its provisioners".to_owned();
                    let line = format!("  made {address}{}; its provisioners run", took(running, now));
                    return std::iter::once(line).chain(inside).map(Line).collect();
                }
                let took = self.running.remove(&key).map(|running| took(&running, now)).unwrap_or_default();
                self.done += 1;
                let line = match &record.result {
                    Tried::Done => format!("{} {} {address}{took}", paint.green("✓"), did(record.action)),
                    Tried::Resolved => {
                        let found = if record.object.is_some() { "is there" } else { "is not there" };
                        format!("{} {address} {found}, after a run that was cut short", paint.yellow("✓"))
                    }
                    Tried::Failed(failure) => {
                        let (word, summary) = (doing(record.action), inline(&failure.summary));
                        format!("{} {word} {address} failed{took}: {summary}", paint.red("✗"))
                    }
                };
                std::iter::once(line).chain(inside).map(Line).collect()
            }
            Event::Published { stack, outputs } if !outputs.is_empty() => {
                let stack = if stack.is_empty() { "outputs".to_owned() } else { format!("outputs of {stack}") };
                vec![Line(format!("{} published the {stack}", paint.green("✓")))]
            }
            _ => Vec::new(),
        }
    }

    /// What has been running for another ten seconds.
    pub fn still(&mut self, now: Timestamp) -> Vec<Still> {
        let late = self.running.iter_mut().filter(|(_, running)| now.0 - running.said.0 >= STILL_MS);
        late.map(|((address, _), running)| {
            let elapsed_ms = (now.0 - running.since.0) / STILL_MS * STILL_MS;
            running.said = Timestamp(running.since.0 + elapsed_ms);
            Still { address: address.clone(), action: running.action, elapsed_ms, note: running.note.clone() }
        })
        .collect()
    }

    /// How long something has been running, in milliseconds; `None` where it does not run.
    pub fn elapsed_ms(&self, address: &InstanceAddress, identity: &Identity, now: Timestamp) -> Option<i64> {
        let running = self.running.get(&(address.clone(), identity.clone()));
        running.map(|running| now.0 - running.since.0)
    }

    /// The live lines of a terminal: what runs and for how long, then what waits and for what.
    pub fn live(&self, now: Timestamp, width: usize, paint: Paint) -> Vec<String> {
        let mut lines = Vec::new();
        for ((address, identity), running) in &self.running {
            let note = if running.note.is_empty() { String::new() } else { format!("  {}", running.note) };
            let time = duration(now.0 - running.since.0);
            lines.push(cut(
                &format!("  {} {}  {time}{note}", doing(running.action), self.name_of(address, identity)),
                width,
            ));
        }
        // What waits for nothing but its turn is counted alone.
        let blocked = self.waiting.iter().filter(|(_, on)| !on.is_empty());
        let shown = blocked.clone().count().min(WAITING_SHOWN);
        for (address, on) in blocked.take(WAITING_SHOWN) {
            let on = listed(on.iter().map(name), on.len(), 2);
            lines.push(paint.dim(&cut(&format!("  waiting   {}  for {on}", name(address)), width)));
        }
        let more = self.waiting.len() - shown;
        match (more, shown) {
            (0, _) => {}
            (1, 0) => lines.push(paint.dim("  1 waits for its turn")),
            (more, 0) => lines.push(paint.dim(&format!("  {more} wait for their turn"))),
            (more, _) => lines.push(paint.dim(&format!("  and {more} more that wait"))),
        }
        if self.total > 0 && !lines.is_empty() {
            lines.push(paint.dim(&format!("  {} of {} done", self.done.min(self.total), self.total)));
        }
        lines
    }
}

impl Still {
    /// As a line.
    pub fn line(&self, paint: Paint) -> Line {
        let note = if self.note.is_empty() { String::new() } else { format!(": {}", self.note) };
        let time = duration(self.elapsed_ms);
        Line(paint.dim(&format!("  still {} {} ({time}){note}", doing(self.action), name(&self.address))))
    }

    /// As data.
    pub fn json(&self) -> Json {
        json!({
            "type": "still", "address": self.address.to_string(), "action": action_word(self.action),
            "elapsed_ms": self.elapsed_ms, "note": self.note,
        })
    }
}

fn took(running: &Running, now: Timestamp) -> String {
    format!(" ({})", duration(now.0 - running.since.0))
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

/// The beginning of a line that is too long.
fn cut(line: &str, width: usize) -> String {
    if columns(line) <= width {
        return line.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for grapheme in line.graphemes(true) {
        used += columns(grapheme);
        if used > width {
            break;
        }
        kept.push_str(grapheme);
    }
    kept + "…"
}
