//! Many servers while they are worked on: a live table, pure.

use std::sync::Arc;

use andon_ledger::Timestamp;

use crate::{Paint, duration, inline};

/// So many servers are shown by themselves; the others are counted.
const ROWS: usize = 16;

/// How far the work on each server is.
#[derive(Debug, Clone)]
pub struct HostsBoard {
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    name: Arc<str>,
    stage: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    Waiting,
    Running { since: Timestamp, said: String },
    Ended { failed: bool },
}

impl HostsBoard {
    /// Nothing has begun.
    pub fn new(names: impl IntoIterator<Item = Arc<str>>) -> HostsBoard {
        HostsBoard { rows: names.into_iter().map(|name| Row { name, stage: Stage::Waiting }).collect() }
    }

    /// The work on a server begins.
    pub fn begun(&mut self, place: usize, now: Timestamp) {
        self.set(place, Stage::Running { since: now, said: String::new() });
    }

    /// It says a line.
    pub fn said(&mut self, place: usize, line: &str) {
        if let Some(Row { stage: Stage::Running { said, .. }, .. }) = self.rows.get_mut(place) {
            *said = inline(line).into_owned();
        }
    }

    /// It has ended.
    pub fn ended(&mut self, place: usize, failed: bool) {
        self.set(place, Stage::Ended { failed });
    }

    fn set(&mut self, place: usize, stage: Stage) {
        if let Some(row) = self.rows.get_mut(place) {
            row.stage = stage;
        }
    }

    /// The table now: those that run, and how many of all are done; none once all are.
    pub fn live(&self, now: Timestamp, width: usize, paint: Paint) -> Vec<String> {
        let running: Vec<(&Arc<str>, Timestamp, &str)> = self
            .rows
            .iter()
            .filter_map(|row| match &row.stage {
                Stage::Running { since, said } => Some((&row.name, *since, said.as_str())),
                _ => None,
            })
            .collect();
        let ended = self.rows.iter().filter(|row| matches!(row.stage, Stage::Ended { .. })).count();
        if ended == self.rows.len() {
            return Vec::new();
        }
        let failed = self.rows.iter().filter(|row| matches!(row.stage, Stage::Ended { failed: true })).count();
        let wide = running.iter().take(ROWS).map(|(name, ..)| name.chars().count()).max().unwrap_or(0).min(32);
        let mut lines: Vec<String> = running
            .iter()
            .take(ROWS)
            .map(|(name, since, said)| {
                let text = format!("  {name:wide$}  {:>6}  {said}", duration(now.0 - since.0));
                cut(&text, width)
            })
            .collect();
        let more = running.len().saturating_sub(ROWS);
        let others = if more > 0 { format!(", {more} more run") } else { String::new() };
        let waiting = self.rows.iter().filter(|row| matches!(row.stage, Stage::Waiting)).count();
        let waiting = if waiting > 0 && ended > 0 { format!(", {waiting} wait") } else { String::new() };
        let failures = if failed > 0 { paint.red(&format!(", {failed} failed")) } else { String::new() };
        lines.push(format!(
            "{}{failures}{others}{waiting}",
            paint.bold(&format!("{ended} of {} servers", self.rows.len()))
        ));
        lines
    }
}

fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_those_that_run() {
        let mut board = HostsBoard::new(["web-1", "web-10", "db"].map(Arc::from));
        let paint = Paint { colour: false };
        let at = |seconds: i64| Timestamp(seconds * 1000);
        assert_eq!(board.live(at(0), 80, paint), ["0 of 3 servers"]);
        board.begun(0, at(0));
        board.begun(1, at(1));
        board.said(1, "installing\x1b[2J nginx");
        let lines = board.live(at(3), 80, paint);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  web-1 ") && lines[1].contains("installing") && !lines[1].contains('\x1b'));
        assert_eq!(lines[2], "0 of 3 servers");
        board.ended(0, true);
        assert_eq!(board.live(at(3), 12, paint)[0].chars().count(), 12);
        assert_eq!(board.live(at(3), 80, paint).last().unwrap(), "1 of 3 servers, 1 failed, 1 wait");
        board.ended(1, false);
        board.ended(2, false);
        board.said(2, "late");
        board.begun(9, at(0));
        assert_eq!(board.live(at(9), 80, paint), Vec::<String>::new());
    }
}
