//! What an agent remembers of its server: how it is, and what was put right. A file of one JSON object, and one with a
//! line for each time that anything differed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use andon_ledger::Timestamp;
use andon_schema::HostReport;
use serde_json::{Value as Json, json};

use super::{Synced, write_whole};

/// A history that is larger is cut to its newer half, in bytes.
const LARGEST_HISTORY: u64 = 1 << 20;

/// Why something differed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// This is asked of the server for the first time.
    Definition,
    /// The server was as it is asked to be, and somebody or something changed it.
    Drift,
}

/// One time that anything differed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub sort: Sort,
    /// When it was first seen, where it was only looked at before.
    pub first_seen: Timestamp,
    /// It was put right.
    pub mended: bool,
    /// The role.
    pub role: String,
    /// What differed: `file "/etc/motd": mode 0644 → 0600`.
    pub what: String,
}

/// All that is remembered.
#[derive(Debug)]
pub struct Records {
    place: PathBuf,
    status: Json,
    new: Vec<Record>,
}

impl Records {
    /// Reads what is remembered in a directory; nothing, where it cannot be read.
    pub fn read(directory: &Path) -> Records {
        let status = fs::read(directory.join("status.json")).ok();
        let status = status.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Json::Null);
        Records { place: directory.to_owned(), status, new: Vec::new() }
    }

    /// How the server was when it was last looked at, as data; null where it never was.
    pub fn status(&self) -> &Json {
        &self.status
    }

    /// Every time that anything differed, oldest first.
    pub fn history(&self) -> Vec<Record> {
        let text = fs::read_to_string(self.place.join("history.jsonl")).unwrap_or_default();
        // A line that was cut off by a loss of power says nothing.
        text.lines().filter_map(|line| Record::decode(&serde_json::from_str(line).ok()?)).collect()
    }

    /// Why what differs now does.
    pub(super) fn sort(&self, asked: &str) -> Sort {
        let was_so = self.status.get("settled").and_then(Json::as_str) == Some(asked);
        if was_so { Sort::Drift } else { Sort::Definition }
    }

    /// Takes what came of one time.
    pub(super) fn add(&mut self, at: Timestamp, asked: &str, synced: &Synced, looked_only: bool) {
        let seen_before = |what: &str| {
            let seen = self
                .status
                .get("differs")?
                .as_array()?
                .iter()
                .find(|one| one.get("what").and_then(Json::as_str) == Some(what))?;
            seen.get("first_seen").and_then(Json::as_i64).map(Timestamp)
        };
        let differences = synced.outcome.iter().flat_map(HostReport::differences);
        let found: Vec<Record> = differences
            .map(|(what, how)| format!("{what}: {how}"))
            .map(|what| Record {
                at,
                sort: synced.sort,
                first_seen: seen_before(&what).unwrap_or(at),
                mended: !looked_only && !synced.has_failed(),
                role: synced.role.clone(),
                what,
            })
            .collect();
        let differs: Vec<Json> = found.iter().filter(|record| !record.mended).map(Record::encode).collect();
        let result = match (synced.has_failed(), found.is_empty()) {
            (true, _) => "failed",
            (_, true) => "unchanged",
            _ if looked_only => "differs",
            _ => "changed",
        };
        let was_settled = self.status.get("settled").and_then(Json::as_str).map(str::to_owned);
        let settled = match result {
            "changed" | "unchanged" => Some(asked.to_owned()),
            _ => was_settled,
        };
        let errors = failures(&synced.role, &synced.outcome);
        self.status = json!({
            "format": 1, "at": at.0, "result": result, "stale": synced.stale, "asked": asked, "settled": settled,
            "role": synced.role, "differs": differs, "errors": errors,
        });
        // What was seen before and differs still is no news.
        self.new = found.into_iter().filter(|record| record.mended || record.first_seen == at).collect();
    }

    /// Writes what is new.
    pub(super) fn write(&mut self) -> std::io::Result<()> {
        let path = self.place.join("history.jsonl");
        if !self.new.is_empty() {
            shorten(&path)?;
            let text: String = self.new.drain(..).map(|record| format!("{}\n", record.encode())).collect();
            let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())?;
        }
        write_whole(&self.place.join("status.json"), format!("{}\n", self.status).as_bytes())
    }
}

impl Record {
    /// As data.
    pub fn encode(&self) -> Json {
        let sort = if self.sort == Sort::Drift { "drift" } else { "definition" };
        json!({
            "at": self.at.0, "sort": sort, "first_seen": self.first_seen.0, "mended": self.mended,
            "role": self.role, "what": self.what,
        })
    }

    fn decode(json: &Json) -> Option<Record> {
        let text = |name: &str| json.get(name)?.as_str();
        let time = |name: &str| json.get(name)?.as_i64().map(Timestamp);
        Some(Record {
            at: time("at")?,
            sort: if text("sort")? == "drift" { Sort::Drift } else { Sort::Definition },
            first_seen: time("first_seen")?,
            mended: json.get("mended")?.as_bool()?,
            role: text("role")?.to_owned(),
            what: text("what")?.to_owned(),
        })
    }
}

fn failures(role: &str, outcome: &Result<HostReport, String>) -> Vec<String> {
    match outcome {
        Err(reason) => vec![format!("role {role}: {reason}")],
        Ok(report) => {
            let entries = report.entries.iter().filter_map(|entry| match &entry.status {
                andon_schema::EntryStatus::Failed(reason) => Some(format!("{}: {reason}", entry.address)),
                _ => None,
            });
            let checks = report.checks.iter().filter_map(|check| {
                check
                    .failure
                    .as_ref()
                    .map(|failure| format!("check \"{}\": {}: {failure}", check.check, check.assertion))
            });
            entries.chain(checks).collect()
        }
    }
}

fn shorten(path: &Path) -> std::io::Result<()> {
    if fs::metadata(path).map_or(0, |metadata| metadata.len()) <= LARGEST_HISTORY {
        return Ok(());
    }
    let text = fs::read_to_string(path)?;
    let lines: Vec<&str> = text.lines().collect();
    let newer = lines.get(lines.len() / 2..).unwrap_or_default().join("\n");
    write_whole(path, format!("{newer}\n").as_bytes())
}
