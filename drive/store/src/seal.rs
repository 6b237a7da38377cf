//! Sealed records: what a ledger with a key stores in place of clear ones.
//!
//! Every ledger has a random key of its own for its records (ChaCha20-Poly1305, RFC 8439), which is stored encrypted for
//! the user's key. A sealed record is a byte that says so, a random nonce and the ciphertext. What it belongs to (the
//! ledger, the entry's number, time, run and environment) is authenticated with it, so that no record can be put in the
//! place of another.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::backend::{Head, Row};
use crate::{Key, KeyError, StoreError};

/// The first byte of a sealed record. No clear one begins so.
const SEALED: u8 = 1;

/// Bytes of a record's key.
const KEY_BYTES: usize = 32;

/// Seals and opens the records of one ledger.
pub(crate) struct Sealer {
    ledger: Vec<u8>,
    key: Option<DataKey>,
}

struct DataKey {
    id: Vec<u8>,
    key: LessSafeKey,
}

/// Why a record could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// It is sealed, and there is no key; or it is clear, and there is one.
    Otherwise,
    /// It was sealed with another key, for another place, or was changed.
    Foreign,
}

/// What a record belongs to.
pub(crate) enum Belongs<'a> {
    /// An entry, by its row; the row's own record does not count.
    Entry(&'a Row),
    /// The snapshot that ends with an entry.
    Snapshot(u64),
    /// A lock, by its id.
    Lock(&'a str),
}

impl Sealer {
    /// For a ledger as it is, with the user's key.
    pub(crate) fn new(head: &Head, key: Option<&Key>, place: &str) -> Result<Sealer, StoreError> {
        let ledger = head.id.clone();
        if head.key_id.is_empty() {
            return Ok(Sealer { ledger, key: None });
        }
        let Some(key) = key else {
            return Err(StoreError::NeedsKey { place: place.to_owned() });
        };
        let bytes = key.open(&head.wrapped).map_err(|error| match error {
            KeyError::Other => StoreError::WrongKey { place: place.to_owned() },
            error => StoreError::Key(error),
        })?;
        let key = data_key(&bytes).ok_or(StoreError::WrongKey { place: place.to_owned() })?;
        Ok(Sealer { ledger, key: Some(DataKey { id: head.key_id.clone(), key }) })
    }

    /// With a new key, which is encrypted for the user's; none where none is given. Beside it what the ledger has to say
    /// of it from then on.
    pub(crate) fn renewed(head: &Head, key: Option<&Key>) -> Result<(Sealer, Head), StoreError> {
        let mut head = Head { key_id: Vec::new(), wrapped: Vec::new(), ..head.clone() };
        let Some(key) = key else {
            return Ok((Sealer { ledger: head.id.clone(), key: None }, head));
        };
        let bytes: [u8; KEY_BYTES] = random()?;
        let id: [u8; 16] = random()?;
        head.key_id = id.to_vec();
        head.wrapped = key.seal(&bytes).map_err(StoreError::Key)?;
        let key = data_key(&bytes).ok_or(StoreError::Key(KeyError::NoRandomness))?;
        Ok((Sealer { ledger: head.id.clone(), key: Some(DataKey { id: head.key_id.clone(), key }) }, head))
    }

    /// Tells the key from others; empty where there is none.
    pub(crate) fn key_id(&self) -> &[u8] {
        self.key.as_ref().map_or(&[], |key| &key.id)
    }

    /// The record as it is stored.
    pub(crate) fn seal(&self, belongs: &Belongs<'_>, record: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let Some(DataKey { key, .. }) = &self.key else { return Ok(record) };
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut body = record;
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), self.aad(belongs), &mut body)
            .map_err(|_| StoreError::Key(KeyError::TooLarge))?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + body.len() + tag.as_ref().len());
        sealed.push(SEALED);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The record that was sealed.
    pub(crate) fn open(&self, belongs: &Belongs<'_>, mut stored: Vec<u8>) -> Result<Vec<u8>, Unopened> {
        let sealed = stored.first() == Some(&SEALED);
        let key = match &self.key {
            None if !sealed => return Ok(stored),
            Some(key) if sealed => &key.key,
            _ => return Err(Unopened::Otherwise),
        };
        let mut body = stored.split_off(1);
        let nonce = body.get(..NONCE_LEN).and_then(|nonce| Nonce::try_assume_unique_for_key(nonce).ok());
        let (Some(nonce), aad) = (nonce, self.aad(belongs)) else { return Err(Unopened::Foreign) };
        let text = key.open_within(nonce, aad, &mut body, NONCE_LEN..).map_err(|_| Unopened::Foreign)?;
        Ok(text.to_vec())
    }

    /// What is authenticated with a record: each part with its length, so that no two places look the same.
    fn aad(&self, belongs: &Belongs<'_>) -> Aad<Vec<u8>> {
        let mut bytes = Vec::with_capacity(128);
        let mut part = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        };
        part(&self.ledger);
        match belongs {
            Belongs::Entry(row) => {
                part(b"entry");
                part(&row.sequence.to_be_bytes());
                part(&row.at.to_be_bytes());
                part(row.run.as_bytes());
                part(row.environment.as_bytes());
            }
            Belongs::Snapshot(sequence) => {
                part(b"snapshot");
                part(&sequence.to_be_bytes());
            }
            Belongs::Lock(id) => {
                part(b"lock");
                part(id.as_bytes());
            }
        }
        Aad::from(bytes)
    }
}

fn data_key(bytes: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, bytes).ok().map(LessSafeKey::new)
}

/// Bytes that nobody can guess.
pub(crate) fn random<const COUNT: usize>() -> Result<[u8; COUNT], StoreError> {
    let mut bytes = [0; COUNT];
    SystemRandom::new().fill(&mut bytes).map_err(|_| StoreError::Key(KeyError::NoRandomness))?;
    Ok(bytes)
}
