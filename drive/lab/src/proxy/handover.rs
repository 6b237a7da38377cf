//! How a balancer's process gives way to one of another version of this program, without a client noticing.
//!
//! The new process asks the old one, through its control socket, for the socket that clients come to and for what it does.
//! Once the new one serves, the old one takes no more clients, finishes what was begun, and ends. Until then it serves as
//! before: a new process that fails has changed nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use andon_schema::Failure;
use serde_json::{Value as Json, json};

use super::control::Settings;
use crate::balancer::{control, refused};
use crate::failure::OrFail;
use crate::message;

/// How long the old process may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// What the new process says once it serves.
pub(super) const SERVES: &str = "serves";

/// What a process has from the one before it.
pub(super) struct Inherited {
    pub listener: TcpListener,
    pub settings: Settings,
    /// The targets that were well.
    pub healthy: Vec<SocketAddr>,
    old: UnixStream,
}

impl Inherited {
    /// Asks the process whose control socket is in a directory.
    pub fn ask(directory: &Path) -> Result<Inherited, Failure> {
        let failed = || "the balancer's process does not give way".to_owned();
        let folder = File::open(directory).or_fail(failed)?;
        let mut old = UnixStream::connect(control(&folder)).or_fail(failed)?;
        old.set_read_timeout(Some(LIMIT)).or_fail(failed)?;
        old.write_all(format!("{}\n", json!({ "do": "hand_over" })).as_bytes()).or_fail(failed)?;
        let given = message::receive(&old).or_fail(failed)?.unwrap_or_default();
        let mut text = given.bytes;
        let listener = given.files.into_iter().next().map(TcpListener::from);
        BufReader::new(old.try_clone().or_fail(failed)?).read_until(b'\n', &mut text).or_fail(failed)?;
        let answer: Json = serde_json::from_slice(&text).map_err(io::Error::other).or_fail(failed)?;
        if let Some(failure) = refused(&answer) {
            return Err(failure);
        }
        let listener = listener.ok_or_else(|| io::Error::other("it gave no socket")).or_fail(failed)?;
        listener.set_nonblocking(true).or_fail(failed)?;
        let healthy = answer.get("healthy").and_then(Json::as_array).into_iter().flatten();
        Ok(Inherited {
            listener,
            settings: Settings::from_json(answer.get("settings").unwrap_or(&Json::Null))?,
            healthy: healthy.filter_map(|address| address.as_str()?.parse().ok()).collect(),
            old,
        })
    }

    /// Tells the old process that this one serves.
    pub fn serves(mut self) {
        // One that is gone takes no more clients, too.
        let _ = self.old.write_all(format!("{SERVES}\n").as_bytes());
    }
}
