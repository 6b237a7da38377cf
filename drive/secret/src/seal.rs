//! Sealing for recipients, and opening with identities.

use std::io::{Read, Write};
use std::sync::Arc;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};
use andon_schema::Secrets;
use serde_json::{Map, Value as Json};

use crate::{Identities, Recipients};

/// What is read of a file, in bytes: a secret is no archive.
const LARGEST: u64 = 16 << 20;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed for others.
    #[error("it was sealed for other keys than {0}")]
    Other(String),
    /// It was sealed with a passphrase.
    #[error("it was sealed with a passphrase, which nobody is asked for: seal it for a key")]
    Passphrase,
    /// It is no age file.
    #[error("it is no age file, or a damaged one")]
    Damaged,
    /// It is larger than a secret is.
    #[error("it is larger than 16 MiB")]
    TooLarge,
    /// It could not be sealed.
    #[error("it cannot be sealed: {0}")]
    Sealing(String),
    /// What was in it are no secrets by name.
    #[error("what is sealed in it is not what it should be")]
    Content,
}

/// An armored age file that each recipient can open.
pub fn seal(bytes: &[u8], recipients: &Recipients) -> Result<Vec<u8>, SealError> {
    let sealing = |error: &dyn std::fmt::Display| SealError::Sealing(error.to_string());
    let encryptor = Encryptor::with_recipients(recipients.iter()).map_err(|error| sealing(&error))?;
    let mut sealed = Vec::with_capacity(bytes.len() * 3 / 2 + 1024);
    let armor = ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor).map_err(|error| sealing(&error))?;
    let mut writer = encryptor.wrap_output(armor).map_err(|error| sealing(&error))?;
    writer.write_all(bytes).map_err(|error| sealing(&error))?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(|error| sealing(&error))?;
    Ok(sealed)
}

/// What an age file holds, armored or not.
pub fn open(sealed: &[u8], identities: &Identities) -> Result<Vec<u8>, SealError> {
    let failed = |error: DecryptError| match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => {
            SealError::Other(identities.from().to_owned())
        }
        _ => SealError::Damaged,
    };
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(failed)?;
    if decryptor.is_scrypt() {
        return Err(SealError::Passphrase);
    }
    let reader = decryptor.decrypt(identities.iter()).map_err(failed)?;
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|_| SealError::Damaged)?;
    if bytes.len() as u64 > LARGEST { Err(SealError::TooLarge) } else { Ok(bytes) }
}

/// Secrets for one server, so that they can lie beside its bundle or travel with it in any way: whoever has no identity
/// of the recipients learns their number and size at most.
pub fn seal_secrets(secrets: &Secrets, recipients: &Recipients) -> Result<Vec<u8>, SealError> {
    let entry = |(name, value): (&Arc<str>, &Arc<str>)| (name.to_string(), Json::from(&**value));
    let json = Json::Object(secrets.iter().map(entry).collect::<Map<_, _>>());
    seal(json.to_string().as_bytes(), recipients)
}

/// What [`seal_secrets`] sealed.
pub fn open_secrets(sealed: &[u8], identities: &Identities) -> Result<Secrets, SealError> {
    let bytes = open(sealed, identities)?;
    let json: Map<String, Json> = serde_json::from_slice(&bytes).map_err(|_| SealError::Content)?;
    let entry = |(name, value): (String, Json)| Some((name.into(), value.as_str()?.into()));
    json.into_iter().map(entry).collect::<Option<Secrets>>().ok_or(SealError::Content)
}
