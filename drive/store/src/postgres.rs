//! The storage in a PostgreSQL database, which several projects may share: each has a row in `andon_ledgers`, by its name.
//!
//! A transaction begins with the lock of that row, so that one writer of a ledger goes on at a time and numbers have no
//! gaps. A lost connection is made again. Where it was lost before the commit, nothing was written, and the work is done
//! anew; where the answer to the commit was lost, the work is told to look first.

mod address;
mod tables;
mod tls;

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ::postgres::error::SqlState;
use ::postgres::types::Type;
use ::postgres::{Client, Config};

use crate::StoreError;
use crate::backend::{Reader, Reads, Work, Writer};
use tables::Tables;
use tls::Security;

/// A project's ledger in a database.
#[derive(Clone)]
pub struct Database {
    config: Box<Config>,
    security: Security,
    /// The address, without its password.
    place: String,
    project: String,
    origin: String,
    declared: bool,
}

/// One connection, made when it is first needed, and again when it was lost.
pub(crate) struct Postgres {
    database: Database,
    ledger: i64,
    client: Option<Client>,
}

/// How long a lost connection is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of each session: nobody waits for a writer for ever, a writer that stops half-way does not hold off the others, and
/// what is committed is on the disk, whatever the server's default is.
const SESSION: &str = "
    SET lock_timeout = '30s';
    SET idle_in_transaction_session_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

/// Why a transaction came to no end.
enum Failure {
    /// Nothing of it was written.
    Refused(StoreError),
    /// The connection is lost, maybe after the commit was asked for.
    Lost { committing: bool, detail: String },
}

impl Postgres {
    /// Connects; one connection is for reading, one for writing. `None` where there is no such ledger, and none is to be
    /// made.
    pub(crate) fn open(database: &Database, make: bool) -> Result<Option<(Postgres, Postgres)>, StoreError> {
        let mut client = database.connect()?;
        let Some(ledger) = tables::find(&mut client, database, make)? else { return Ok(None) };
        let connection = |client| Postgres { database: database.clone(), ledger, client };
        Ok(Some((connection(Some(client)), connection(None))))
    }

    fn client(&mut self) -> Result<&mut Client, StoreError> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = Some(self.database.connect()?);
        }
        self.client.as_mut().ok_or(StoreError::Closed)
    }

    fn attempt(&mut self, work: &mut Work<'_>, again: bool) -> Result<(), Failure> {
        let (place, ledger) = (self.database.to_string(), self.ledger);
        let client = self.client().map_err(Failure::of)?;
        let told = |error: &::postgres::Error| Failure::of(failed(&place, error));
        let mut transaction = client.transaction().map_err(|error| told(&error))?;
        let lock = "SELECT ledger FROM andon_ledgers WHERE ledger = $1 FOR UPDATE";
        transaction.query_typed(lock, &[(&ledger, Type::INT8)]).map_err(|error| told(&error))?;
        work(&mut Tables { client: &mut transaction, ledger, place: &place }, again).map_err(Failure::of)?;
        transaction.commit().map_err(|error| match failed(&place, &error) {
            StoreError::Unreachable { detail, .. } => Failure::Lost { committing: true, detail },
            error => Failure::Refused(error),
        })
    }
}

impl Reader for Postgres {
    fn read(&mut self, work: &mut dyn FnMut(&mut dyn Reads) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let (place, ledger) = (self.database.to_string(), self.ledger);
        let mut attempt = || work(&mut Tables { client: self.client()?, ledger, place: &place });
        match attempt() {
            Err(StoreError::Unreachable { .. }) => {
                // The system may not have noticed that the connection is gone.
                self.client = None;
                work(&mut Tables { client: self.client()?, ledger, place: &place })
            }
            result => result,
        }
    }
}

impl Writer for Postgres {
    fn transact(&mut self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(20);
        let mut committing = false;
        loop {
            match self.attempt(work, committing) {
                Ok(()) => return Ok(()),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Lost { committing: now, detail }) => {
                    self.client = None;
                    committing |= now;
                    if Instant::now() >= deadline {
                        let place = self.database.to_string();
                        return Err(match committing {
                            true => StoreError::Unknown { place, detail },
                            false => StoreError::Unreachable { place, detail },
                        });
                    }
                    sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    fn scrub(&mut self) -> Result<(), StoreError> {
        // Only its owner may; whoever cares for the database does so sooner or later.
        let place = self.database.to_string();
        let _ = self.client()?.batch_execute("VACUUM andon_entries").map_err(|error| failed(&place, &error));
        Ok(())
    }
}

impl Failure {
    fn of(error: StoreError) -> Failure {
        match error {
            StoreError::Unreachable { detail, .. } => Failure::Lost { committing: false, detail },
            error => Failure::Refused(error),
        }
    }
}

impl Database {
    /// Connects, and settles what the session needs.
    fn connect(&self) -> Result<Client, StoreError> {
        let connect = || {
            let mut client = self.config.connect(self.security.connector())?;
            client.batch_execute(SESSION)?;
            Ok(client)
        };
        connect().map_err(|error: ::postgres::Error| match failed(&self.to_string(), &error) {
            // Whatever goes wrong before the server says a word is a matter of reaching it.
            StoreError::Refused { place, detail } if error.as_db_error().is_none() => {
                StoreError::Unreachable { place, detail }
            }
            error => error,
        })
    }
}

/// What went wrong, in the server's words where it said any.
fn failed(place: &str, error: &::postgres::Error) -> StoreError {
    let place = place.to_owned();
    let detail = match error.as_db_error() {
        Some(error) => {
            [Some(error.message()), error.detail(), error.hint()].into_iter().flatten().collect::<Vec<_>>().join("; ")
        }
        None => sources(error),
    };
    let lost = |code: &SqlState| {
        code.code().starts_with("08")
            || [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW].contains(&code)
            || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
    };
    match error.code() {
        Some(code) if lost(code) => StoreError::Unreachable { place, detail },
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => {
            let detail = "another process has been writing to it for more than 30 seconds. Try again".to_owned();
            StoreError::Refused { place, detail }
        }
        Some(_) => StoreError::Refused { place, detail },
        None if error.is_closed() || is_io(error) => StoreError::Unreachable { place, detail },
        None => StoreError::Refused { place, detail },
    }
}

fn is_io(error: &::postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<std::io::Error>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// An error and what it came from, once each.
fn sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

impl fmt::Display for Database {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} of project {}", self.place, self.project)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Database({self})")
    }
}
