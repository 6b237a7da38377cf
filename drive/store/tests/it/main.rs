//! The ledger and its locks in real files and in a real database server, with real processes that are really killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once, and so may what helps it"
)]

mod appending;
mod files;
mod lock;
mod postgres_server;
mod processes;
mod sealing;
mod server;
mod snapshot;
mod spots;

use std::path::PathBuf;

use andon_ledger::{Event, Outputs, RunId, Timestamp};
use andon_store::Ledger;
use andon_value::Value;
use tempfile::TempDir;

/// A new ledger in a directory of its own.
fn ledger() -> (TempDir, PathBuf, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".andon/ledger");
    let ledger = Ledger::open(&path).unwrap();
    (directory, path, ledger)
}

/// An event that says something of its own.
fn event(text: &str) -> Event {
    Event::Published { stack: "web".into(), outputs: Outputs::from([("text".into(), Value::from(text))]) }
}

/// What [`event`] says.
fn text(event: &Event) -> &str {
    match event {
        Event::Published { outputs, .. } => outputs["text"].as_str().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn run() -> RunId {
    RunId("0000000000aa".into())
}

fn append(ledger: &Ledger, environment: &str, texts: &[&str]) -> Vec<u64> {
    let events = texts.iter().map(|text| event(text)).collect();
    let entries = ledger.append(Timestamp(5), &run(), environment, events).unwrap();
    entries.iter().map(|entry| entry.sequence).collect()
}
