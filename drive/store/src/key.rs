//! The user's key: an age identity or a passphrase, from the process's environment or a file.
//!
//! What it seals are age files (<https://age-encryption.org/v1>), which `age --decrypt` opens, too.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{env, fmt, fs};

use age::secrecy::{ExposeSecret, SecretString};
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt, x25519};

/// The variable that holds the key.
pub const KEY_VARIABLE: &str = "ANDON_LEDGER_KEY";

/// The variable that names the file with the key.
pub const KEY_FILE_VARIABLE: &str = "ANDON_LEDGER_KEY_FILE";

/// The cost of trying a passphrase, as the logarithm of scrypt's N: about a tenth of a second, as every command pays it.
const PASSPHRASE_WORK: u8 = 15;

/// The highest cost that is accepted from what is stored: some seconds.
const PASSPHRASE_WORK_LIMIT: u8 = 20;

/// The user's key.
pub struct Key(Kind);

enum Kind {
    Identities(Vec<x25519::Identity>),
    Passphrase(SecretString),
}

/// What is wrong with a key. No message holds anything of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The variable is there, and empty.
    #[error("{0} is empty: give a key in it, or unset it")]
    Empty(String),
    /// Both variables are there.
    #[error("both {KEY_VARIABLE} and {KEY_FILE_VARIABLE} are set: keep one of them")]
    Twice,
    /// The variable's text is not Unicode.
    #[error("{0} is not Unicode text")]
    NotText(String),
    /// The file cannot be read.
    #[error("the key file `{}` cannot be read: {detail}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// It begins as an age identity does, and is none.
    #[error(
        "{0} begins as an age identity and is none that Andon knows: a line of `age-keygen` begins `AGE-SECRET-KEY-1`"
    )]
    NotAnIdentity(String),
    /// It is the public half.
    #[error("{0} is an age recipient, the public half of a key: give the identity, which begins `AGE-SECRET-KEY-1`")]
    Recipient(String),
    /// What is to be opened was sealed with another key.
    #[error("it was sealed with another key")]
    Other,
    /// What is to be opened is no age file, or a damaged one.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It could not be sealed.
    #[error("it cannot be sealed: {0}")]
    Sealing(String),
    /// More than one sealed record can hold.
    #[error("it is too large to be sealed")]
    TooLarge,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

impl Key {
    /// The key that the process's environment gives, if it gives one.
    pub fn from_environment() -> Result<Option<Key>, KeyError> {
        let given = |name: &str| match env::var_os(name) {
            Some(text) if text.is_empty() => Err(KeyError::Empty(name.to_owned())),
            text => Ok(text),
        };
        match (given(KEY_VARIABLE)?, given(KEY_FILE_VARIABLE)?) {
            (Some(_), Some(_)) => Err(KeyError::Twice),
            (Some(text), None) => {
                let text = text.into_string().map_err(|_| KeyError::NotText(KEY_VARIABLE.to_owned()))?;
                Key::parse(&text, KEY_VARIABLE).map(Some)
            }
            (None, Some(path)) => Key::read(Path::new(&path)).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The key in a file: one that `age-keygen` wrote, or a passphrase.
    pub fn read(path: &Path) -> Result<Key, KeyError> {
        let text = fs::read_to_string(path)
            .map_err(|error| KeyError::File { path: path.to_owned(), detail: error.to_string() })?;
        Key::parse(&text, &format!("the key file `{}`", path.display()))
    }

    /// Reads a key: lines of age identities, with comments; or any other text, which is a passphrase. `name` says in
    /// messages where it is from.
    pub fn parse(text: &str, name: &str) -> Result<Key, KeyError> {
        let passphrase = text.trim_end_matches(['\n', '\r']);
        let mut lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
        let begins = |line: &&str, with: &str| line.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with));
        match lines.peek() {
            None => Err(KeyError::Empty(name.to_owned())),
            Some(line) if begins(line, "AGE-SECRET-KEY-") => lines
                .map(|line| x25519::Identity::from_str(line).map_err(|_| KeyError::NotAnIdentity(name.to_owned())))
                .collect::<Result<_, _>>()
                .map(|identities| Key(Kind::Identities(identities))),
            Some(line) if begins(line, "age1") && x25519::Recipient::from_str(line).is_ok() => {
                Err(KeyError::Recipient(name.to_owned()))
            }
            Some(_) => Ok(Key(Kind::Passphrase(SecretString::from(passphrase.to_owned())))),
        }
    }

    /// A new identity, as a line of text.
    pub fn generate() -> String {
        x25519::Identity::generate().to_string().expose_secret().to_owned()
    }

    /// An age file that this key opens.
    pub fn seal(&self, bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
        let recipients: Vec<Box<dyn Recipient>> = match &self.0 {
            Kind::Identities(identities) => {
                identities.iter().map(|identity| Box::new(identity.to_public()) as Box<dyn Recipient>).collect()
            }
            Kind::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(PASSPHRASE_WORK);
                vec![Box::new(recipient)]
            }
        };
        let sealing = |error: &dyn fmt::Display| KeyError::Sealing(error.to_string());
        let encryptor = Encryptor::with_recipients(recipients.iter().map(|recipient| &**recipient))
            .map_err(|error| sealing(&error))?;
        let mut sealed = Vec::with_capacity(bytes.len() + 512);
        let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| sealing(&error))?;
        writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).map_err(|error| sealing(&error))?;
        Ok(sealed)
    }

    /// What [`Key::seal`] sealed.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |error: DecryptError| match error {
            DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
                KeyError::Other
            }
            error => KeyError::Damaged(error.to_string()),
        };
        let decryptor = Decryptor::new(sealed).map_err(failed)?;
        let identities: Vec<Box<dyn Identity>> = match &self.0 {
            Kind::Identities(identities) => {
                identities.iter().map(|identity| Box::new(identity.clone()) as Box<dyn Identity>).collect()
            }
            Kind::Passphrase(passphrase) => {
                let mut identity = scrypt::Identity::new(passphrase.clone());
                identity.set_max_work_factor(PASSPHRASE_WORK_LIMIT);
                vec![Box::new(identity)]
            }
        };
        let mut reader = decryptor.decrypt(identities.iter().map(|identity| &**identity)).map_err(failed)?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|error| KeyError::Damaged(error.to_string()))?;
        Ok(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self.0 {
            Kind::Identities(_) => "Key(identity)",
            Kind::Passphrase(_) => "Key(passphrase)",
        })
    }
}
