//! Files beside the ledger that hold secrets, such as saved plans. They are age files: sealed with the user's key where
//! one is given, else with a random one that stays in the project's `.andon` directory, for its owner's eyes only.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::seal::random;
use crate::{Key, KeyError};

/// The file of the random key.
const FILE: &str = "seal.key";

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It was sealed where another key, or none, was given.
    #[error("it was sealed with another key: {0}")]
    OtherKey(&'static str),
    /// The project's own key cannot be read or made.
    #[error("the key `{}` cannot be used: {detail}", .path.display())]
    Own {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

/// Seals bytes so that no secret in them can be read without the key. `records` is the project's `.andon` directory.
pub fn seal(key: Option<&Key>, records: &Path, bytes: &[u8]) -> Result<Vec<u8>, SealError> {
    match key {
        Some(key) => Ok(key.seal(bytes)?),
        None => Ok(own_key(records, true)?.seal(bytes)?),
    }
}

/// Opens what [`seal`] sealed.
pub fn open(key: Option<&Key>, records: &Path, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (key, help) = match key {
        Some(key) => (key, "give the one that it was made with in ANDON_LEDGER_KEY or ANDON_LEDGER_KEY_FILE"),
        None => (
            &own_key(records, false)?,
            "open it in the project's directory where it was made, or give the key that it was made with in \
             ANDON_LEDGER_KEY or ANDON_LEDGER_KEY_FILE",
        ),
    };
    key.open(sealed).map_err(|error| match error {
        KeyError::Other => SealError::OtherKey(help),
        error => SealError::Key(error),
    })
}

/// The random key of a project. Where there is none, one is made if that is wanted; else any will do, as it opens
/// nothing.
fn own_key(records: &Path, make: bool) -> Result<Key, SealError> {
    let path = records.join(FILE);
    let failed = |error: std::io::Error| SealError::Own { path: path.clone(), detail: error.to_string() };
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && make => {
            make_key(records, &path).and_then(|()| fs::read_to_string(&path)).map_err(failed)?
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Key::generate(),
        text => text.map_err(failed)?,
    };
    Ok(Key::parse(&text, &format!("`{}`", path.display()))?)
}

/// Makes the key's file. It appears whole or not at all, and never in place of another: two processes may want to make
/// it at once.
fn make_key(records: &Path, path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(records)?;
    let name = u64::from_ne_bytes(random().map_err(std::io::Error::other)?);
    let new = records.join(format!("{FILE}.{name:016x}"));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let made = file
        .write_all(Key::generate().as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&new, path));
    fs::remove_file(&new)?;
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
