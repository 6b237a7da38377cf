//! The stored format of events and of states: compact JSON text, one record each, with the format's version in it.
//!
//! It is written by hand on purpose: what is stored must stay readable for years, whatever becomes of the types here
//! and of the libraries below. The files in `tests/golden` are its specification. Absent members are those that hold
//! nothing (null, false, an empty list or text). Sensitive values are stored, with their mark, as the state must hold
//! them: a ledger is as secret as what it describes.

mod answer;
mod packed;
mod read;
mod write;

use serde_json::{Map, Value as Json};

use andon_schema::{Answer, HostReport};

use crate::{Event, State};

pub use packed::{decode_snapshot, encode_snapshot};

/// The version of the format that this crate writes. It reads this one and all before it.
pub const VERSION: u64 = 2;

/// A record that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A later Andon wrote it.
    #[error(
        "the record has format {found}, and this version of Andon knows formats up to {VERSION}: use the version of \
         Andon that wrote it, or a later one"
    )]
    Newer {
        /// The record's version.
        found: u64,
    },
    /// It is not JSON.
    #[error("the record is damaged: {0}")]
    Syntax(String),
    /// It is JSON, and not what a record of its version holds.
    #[error("the record is damaged: `{member}` is not {expected}")]
    Shape {
        /// The member's name.
        member: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A value that must not be stored: an ephemeral one, or progress.
    #[error("{0} must not be stored")]
    NotStored(&'static str),
}

/// Writes an event as a record.
pub fn encode_event(event: &Event) -> Result<String, CodecError> {
    Ok(record(write::event(event)?))
}

/// Reads what [`encode_event`] wrote, in this version or in an earlier one.
pub fn decode_event(text: &str) -> Result<Event, CodecError> {
    read::event(&parse(text)?)
}

/// Writes a state as a record.
pub fn encode_state(state: &State) -> Result<String, CodecError> {
    Ok(record(write::state(state)?))
}

/// Reads what [`encode_state`] wrote, in this version or in an earlier one.
pub fn decode_state(text: &str) -> Result<State, CodecError> {
    read::state(&parse(text)?)
}

/// Writes an answer of the world as a record.
pub fn encode_answer(answer: &Answer) -> Result<String, CodecError> {
    Ok(record(answer::write(answer)?))
}

/// Reads what [`encode_answer`] wrote, in this version or in an earlier one.
pub fn decode_answer(text: &str) -> Result<Answer, CodecError> {
    answer::read(&parse(text)?)
}

/// Writes a report of a converge as a record.
pub fn encode_report(report: &HostReport) -> String {
    record(write::report(report))
}

/// Reads what [`encode_report`] wrote, in this version or in an earlier one.
pub fn decode_report(text: &str) -> Result<HostReport, CodecError> {
    read::report_record(&parse(text)?)
}

fn record(mut members: Map<String, Json>) -> String {
    members.insert("v".to_owned(), VERSION.into());
    let record = Json::Object(members);
    // The same text, without the detours of formatting.
    serde_json::to_string(&record).unwrap_or_else(|_| record.to_string())
}

fn json(text: &str) -> Result<Json, CodecError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    // What was stored was a value here before, however deep it is nested.
    reader.disable_recursion_limit();
    let mut values = reader.into_iter::<Json>();
    match (values.next(), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        (Some(Err(error)), _) | (_, Some(Err(error))) => Err(CodecError::Syntax(error.to_string())),
        (None, _) => Err(CodecError::Syntax("it is empty".to_owned())),
        (_, Some(Ok(_))) => Err(CodecError::Syntax("something follows it".to_owned())),
    }
}

fn parse(text: &str) -> Result<Json, CodecError> {
    let record = json(text)?;
    match record.get("v").and_then(Json::as_u64) {
        Some(found) if found > VERSION => Err(CodecError::Newer { found }),
        Some(1..) => Ok(record),
        _ => Err(CodecError::Shape { member: "v".to_owned(), expected: "a version" }),
    }
}
