//! Places for ledgers: a directory of its own, and a project of its own in a PostgreSQL server that the tests start.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use andon_store::{Database, Key, Ledger, Place};
use tempfile::TempDir;

use crate::postgres_server::{Server, start};

/// A place for one ledger.
pub struct Spot {
    pub name: &'static str,
    pub place: Place,
    /// As [`read`] takes it.
    pub text: String,
    _directory: Option<TempDir>,
}

/// A new place of each kind that this machine has.
pub fn spots() -> Vec<Spot> {
    [Some(file()), database()].into_iter().flatten().collect()
}

/// A new place in a directory of its own.
pub fn file() -> Spot {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".andon/ledger");
    let text = path.to_str().unwrap().to_owned();
    Spot { name: "SQLite", place: Place::File(path), text, _directory: Some(directory) }
}

/// A new place in the database server, where there is one.
pub fn database() -> Option<Spot> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server()?;
    let project = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let text = format!("{}&project={project}", server.address());
    Some(Spot { name: "PostgreSQL", place: read(&text), text, _directory: None })
}

/// A place from its text, also in a child process.
pub fn read(text: &str) -> Place {
    match Database::is_address(text) {
        true => Place::Database(Database::new(text, "none", "here:/none", true).unwrap()),
        false => Place::File(PathBuf::from(text)),
    }
}

impl Spot {
    pub fn open(&self) -> Ledger {
        Ledger::open_at(&self.place, None).unwrap()
    }

    pub fn open_with(&self, key: &Key) -> Ledger {
        Ledger::open_at(&self.place, Some(key)).unwrap()
    }

    /// Every byte that is stored here: of the file and its log, or of the database's rows.
    pub fn bytes(&self) -> Vec<u8> {
        match &self.place {
            Place::File(path) => {
                let files = fs::read_dir(path.parent().unwrap()).unwrap();
                files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
            }
            Place::Database(_) => {
                let mut client = client();
                let mut all = Vec::new();
                for (table, columns) in [
                    ("andon_entries", "event"),
                    ("andon_snapshots", "state"),
                    ("andon_locks", "holder"),
                    ("andon_ledgers", "wrapped"),
                ] {
                    for row in client.query(&format!("SELECT {columns} FROM {table}"), &[]).unwrap() {
                        all.extend(row.get::<_, Vec<u8>>(0));
                    }
                }
                all
            }
        }
    }
}

/// A connection of one's own to the server.
pub fn client() -> postgres::Client {
    postgres::Client::connect(&server().unwrap().address(), postgres::NoTls).unwrap()
}

/// The server; started when it is first asked for. `None`, and a line that says why, where this machine has none.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| start(5432, &[]).map_err(|why| println!("skipped on PostgreSQL: {why}")).ok()).as_ref()
}
