//! The public halves of keys: whom a secret is sealed for.

use std::str::FromStr;

use age::{Recipient, ssh, x25519};

/// Recipients, each of whom can open what is sealed for all.
pub struct Recipients(Vec<Box<dyn Recipient>>);

/// What is wrong with a list of recipients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// The list is empty.
    #[error("{0} names nobody: write a line for each, such as `age1…` or `ssh-ed25519 …`")]
    Empty(String),
    /// A line is no recipient.
    #[error("line {line} of {from} is no recipient: `age1…`, `ssh-ed25519 …` and `ssh-rsa …` are")]
    Line {
        /// Where the list is from.
        from: String,
        /// Which line, from 1.
        line: usize,
    },
    /// A line is the private half of a key.
    #[error("line {line} of {from} is an identity, the private half of a key: take it out, and make a new key")]
    Identity {
        /// Where the list is from.
        from: String,
        /// Which line, from 1.
        line: usize,
    },
}

impl Recipients {
    /// Reads lines of recipients, with comments. `from` says in messages where they are from.
    pub fn parse(text: &str, from: &str) -> Result<Recipients, RecipientError> {
        let mut all: Vec<Box<dyn Recipient>> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Ok(recipient) = x25519::Recipient::from_str(line) {
                all.push(Box::new(recipient));
            } else if let Ok(recipient) = ssh::Recipient::from_str(line) {
                all.push(Box::new(recipient));
            } else if line.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") || line.contains("PRIVATE KEY") {
                return Err(RecipientError::Identity { from: from.to_owned(), line: at + 1 });
            } else {
                return Err(RecipientError::Line { from: from.to_owned(), line: at + 1 });
            }
        }
        if all.is_empty() { Err(RecipientError::Empty(from.to_owned())) } else { Ok(Recipients(all)) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Recipient> {
        self.0.iter().map(|recipient| &**recipient)
    }
}
