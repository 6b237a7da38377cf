use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::msgpack::CodecError;
use crate::schema::SchemaError;

/// Why a plugin could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It does not start.
    #[error("the provider plugin {} does not start: {failure}{}", .path.display(), said(.output))]
    Start {
        /// Its file.
        path: PathBuf,
        /// Why.
        failure: StartFailure,
        /// The end of what it wrote; may be empty.
        output: String,
    },
    /// A call failed; a crash shows as such.
    #[error("the provider plugin {} failed at {method}: {failure}{}", .path.display(), said(.output))]
    Call {
        /// Its file.
        path: PathBuf,
        /// What was called.
        method: &'static str,
        /// Why.
        failure: CallError,
        /// The end of what it wrote, where it is gone; may be empty.
        output: String,
    },
    /// The thread that waited for an answer is gone.
    #[error("the answer of a provider plugin was lost")]
    Lost,
    /// It answered what makes no sense.
    #[error("the provider plugin {} gave a schema that cannot be read: {source}", .path.display())]
    Schema {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: SchemaError,
    },
}

/// Why a plugin does not start.
#[derive(Debug)]
pub enum StartFailure {
    /// The operating system does not run it.
    Io(io::Error),
    /// It ended before it was ready.
    Ended(Option<ExitStatus>),
    /// It was not ready in time.
    Slow(Duration),
    /// What it wrote first is no handshake.
    Handshake(String),
    /// It speaks another version of the protocol.
    Protocol(String),
    /// It does not encrypt, and was asked to.
    Plaintext,
    /// Its socket does not answer.
    Connect(String),
}

/// Why a call of a plugin failed.
#[derive(Debug)]
pub enum CallError {
    /// The plugin is gone.
    Gone,
    /// It did not answer in time.
    Slow(Duration),
    /// It knows of no such call.
    Unsupported,
    /// It, or the transport, says why.
    Refused(String),
    /// A value could not be sent, or what came is no value.
    Value(CodecError),
}

impl fmt::Display for StartFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartFailure::Io(error) => write!(out, "{error}"),
            StartFailure::Ended(Some(status)) => write!(out, "it ended at once ({status})"),
            StartFailure::Ended(None) => write!(out, "it ended at once"),
            StartFailure::Slow(limit) => write!(out, "it was not ready within {}", seconds(*limit)),
            StartFailure::Handshake(line) if line.is_empty() => write!(out, "its first line is empty"),
            StartFailure::Handshake(line) => write!(out, "its first line is no handshake: {line:?}"),
            StartFailure::Protocol(version) => {
                write!(out, "it speaks version {version} of the plugin protocol, and 5 and 6 are understood")
            }
            StartFailure::Plaintext => {
                write!(out, "it does not encrypt what is said to it, as it was asked to: start it without TLS")
            }
            StartFailure::Connect(error) => write!(out, "its socket does not answer: {error}"),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Gone => write!(out, "it crashed or was stopped"),
            CallError::Slow(limit) => write!(out, "it did not answer within {}", seconds(*limit)),
            CallError::Unsupported => write!(out, "it has no such call"),
            CallError::Refused(message) => write!(out, "{message}"),
            CallError::Value(error) => write!(out, "{error}"),
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f32())
}

fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!("\nIts output ends with:\n{output}") }
}
