//! Provisioners on this machine and on a real SSH server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod local;
mod server;
mod ssh;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use andon_provision::Place;
use andon_schema::{Failure, ProvisionerRun};
use andon_value::Value;

/// Runs one after the other; what came of it, and what was said.
fn run(directory: &Path, runs: &[ProvisionerRun]) -> (Result<(), Failure>, Vec<String>) {
    let said = Mutex::new(Vec::new());
    let say = |line: &str| said.lock().unwrap().push(line.to_owned());
    let place = Place { directory, interrupt: &AtomicBool::new(false), say: &say };
    let result = andon_provision::run(runs, &place);
    (result, said.into_inner().unwrap())
}

fn provisioner(kind: &str, config: Value, connection: Value) -> ProvisionerRun {
    ProvisionerRun { kind: kind.into(), config, connection, continues: false }
}

fn texts(texts: &[&str]) -> Value {
    Value::tuple(texts.iter().map(|text| Value::from(*text)))
}
