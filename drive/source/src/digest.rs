use std::fs::File;
use std::io::Read;
use std::path::Path;

use andon_schema::source::{Checksum, ChecksumKind};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::error::FetchError;

/// Holds a file against the checksum that it must have.
pub(crate) fn verify(path: &Path, what: &str, checksum: &Checksum) -> Result<(), FetchError> {
    let digits = match checksum.kind {
        ChecksumKind::Md5 => digits(&of::<Md5>(path)?),
        ChecksumKind::Sha1 => digits(&of::<Sha1>(path)?),
        ChecksumKind::Sha256 => digits(&of::<Sha256>(path)?),
        ChecksumKind::Sha512 => digits(&of::<Sha512>(path)?),
    };
    if *digits == *checksum.digits {
        return Ok(());
    }
    let named = |digits: &str| format!("{}:{digits}", checksum.kind.name());
    Err(FetchError::Checksum { what: what.to_owned(), wanted: named(&checksum.digits), found: named(&digits) })
}

/// The digest of a file's content.
pub(crate) fn of<D: Digest>(path: &Path) -> Result<Vec<u8>, FetchError> {
    let failed = FetchError::file(path);
    let mut file = File::open(path).map_err(&failed)?;
    let mut hasher = D::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(&failed)?;
        if read == 0 {
            return Ok(hasher.finalize().to_vec());
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
