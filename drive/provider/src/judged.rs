//! Which configurations a plugin had nothing to say of, kept in a file beside its schemas, so that a second run over
//! the same definitions asks nothing.
//!
//! The file is the magic bytes with the version of the format, and then 16 bytes of SHA-256 for each configuration:
//! of what it is the configuration of, and of its wire form. Runs at the same time append whole entries.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use andon_schema::{Block, Mode};
use andon_value::Value;
use sha2::{Digest, Sha256};

use crate::msgpack::encode;

const MAGIC: [u8; 16] = *b"andon judged v1\n";

/// A longer file is begun anew: most of what is in it is of definitions long gone.
const LARGEST_FILE_BYTES: usize = 4 << 20;

/// The configurations that one plugin had nothing to say of.
#[derive(Debug, Default)]
pub struct Judged {
    file: Option<PathBuf>,
    known: BTreeSet<[u8; 16]>,
}

impl Judged {
    pub(crate) fn read(file: PathBuf) -> Judged {
        let bytes = fs::read(&file).unwrap_or_default();
        let entries = bytes.strip_prefix(&MAGIC).filter(|rest| rest.len() <= LARGEST_FILE_BYTES);
        if entries.is_none() {
            let _ = fs::remove_file(&file);
        }
        // What is torn at the end is of a run that was cut short.
        let known = entries.unwrap_or_default().chunks_exact(16).filter_map(|entry| entry.try_into().ok()).collect();
        Judged { file: Some(file), known }
    }

    /// What a configuration is called here: of a type, or of the provider itself. `surroundings` are what the answer
    /// depends on beside the configuration. `None` where it has no wire form.
    pub fn key(of: Option<(Mode, &str)>, block: &Block, config: &Value, surroundings: &[String]) -> Option<[u8; 16]> {
        let bytes = encode(config, &block.implied_type()).ok()?;
        let mut hash = Sha256::new();
        hash.update(format!("{of:?}\n{surroundings:?}\n"));
        hash.update(bytes);
        hash.finalize().get(..16)?.try_into().ok()
    }

    /// Whether the plugin had nothing to say of it.
    pub fn is_sound(&self, key: &[u8; 16]) -> bool {
        self.known.contains(key)
    }

    /// Remembers configurations that the plugin had nothing to say of.
    pub fn learn(&mut self, keys: impl IntoIterator<Item = [u8; 16]>) {
        let mut fresh = Vec::new();
        for key in keys {
            if self.known.insert(key) {
                fresh.extend(key);
            }
        }
        let Some(file) = self.file.as_deref().filter(|_| !fresh.is_empty()) else { return };
        // A run that cannot remember asks again.
        let _ = append(file, &fresh);
    }
}

fn append(file: &Path, entries: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    let mut out = OpenOptions::new().append(true).create(true).open(file)?;
    let length = out.metadata()?.len();
    if length == 0 {
        return out.write_all(&[&MAGIC, entries].concat());
    }
    // Entries begin where entries begin, whatever a run that was cut short left.
    let padding = (0..length.wrapping_neg() % 16).map(|_| 0);
    out.write_all(&padding.chain(entries.iter().copied()).collect::<Vec<u8>>())
}
