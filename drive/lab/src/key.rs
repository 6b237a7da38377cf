//! `lab_key`: a pair of keys as OpenSSH writes them, made here or, its public half, given.
//!
//! A key is its record and nothing else: it is whole as soon as it is written, and gone with it.

use andon_schema::{Attribute, Failure, Format, Identity};
use andon_value::{Type, Value};
use ring::rand::{SecureRandom, SystemRandom};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey};

use crate::failure::{OrFail, sentence};
use crate::kind::Kind;
use crate::lab::Made;
use crate::plan::complete;
use crate::records::{Record, Records};

/// The attributes that cannot change in place.
pub(crate) const REPLACING: &[&str] = &["public_key"];

/// A public key, as `authorized_keys` has it.
pub(crate) const PUBLIC_KEY: Format = Format {
    name: "a public key of OpenSSH",
    example: "\"ssh-ed25519 AAAA…\"",
    check: |it| it.as_str().map_or(Ok(()), |text| public_key(text).map(drop)),
};

/// A key's name: a part of the one line that its public key is.
const NAME: Format = Format {
    name: "a name in one line",
    example: "\"admin\"",
    check: |it| match it.as_str() {
        Some(name) if name.contains(char::is_control) => {
            Err(Failure::new("this is no name for a key", "It has a line break, or another control character."))
        }
        _ => Ok(()),
    },
};

/// What it is for, and its attributes.
pub(crate) fn schema() -> (&'static str, Vec<(&'static str, Attribute)>) {
    let attributes = vec![
        (
            "name",
            Attribute::optional(Type::String, "A name for people. It is the comment of a key that is made here.")
                .format(NAME),
        ),
        (
            "public_key",
            Attribute::optional_computed(
                Type::String,
                "A public key that is already somebody's, as OpenSSH writes it. Without it, a pair of Ed25519 keys is \
                 made. A change replaces the key.",
            )
            .format(PUBLIC_KEY),
        ),
        (
            "private_key",
            Attribute {
                sensitive: true,
                ..Attribute::computed(
                    Type::String,
                    "The private key as OpenSSH writes it; null where the public key was given.",
                )
            },
        ),
        ("algorithm", Attribute::computed(Type::String, "Such as `ssh-ed25519`.")),
        ("fingerprint", Attribute::computed(Type::String, "As `ssh-keygen -l` shows it: `SHA256:…`.")),
        ("id", Attribute::computed(Type::String, "The key's identity.")),
    ];
    ("A pair of keys, made here or imported.", attributes)
}

pub(crate) fn create(records: &Records, identity: &Identity, owner: &str, planned: &Value) -> Result<Made, Failure> {
    let given = planned.get_str("public_key");
    let (public, private) = match given {
        Some(text) => (public_key(text)?, Value::null(Type::String)),
        None => {
            let pair = generate(planned.get_str("name").unwrap_or_default())?;
            let text = pair.to_openssh(LineEnding::LF).or_fail(|| "cannot write the private key".into())?;
            (pair.public_key().clone(), Value::from(text.as_str()))
        }
    };
    let text = match given {
        Some(text) => text.to_owned(),
        None => public.to_openssh().or_fail(|| "cannot write the public key".into())?,
    };
    let value = complete(
        planned,
        [
            ("public_key", Value::from(text)),
            ("private_key", private),
            ("algorithm", Value::from(public.algorithm().as_str())),
            ("fingerprint", Value::from(public.fingerprint(HashAlg::Sha256).to_string())),
            ("id", Value::from(identity.as_str())),
        ],
    );
    records.write(identity, &Record::new(Kind::Key, owner, value.clone()))?;
    Ok(Made { value, notes: Vec::new() })
}

/// In place changes its name.
pub(crate) fn update(
    records: &Records,
    identity: &Identity,
    record: &Record,
    planned: &Value,
) -> Result<Made, Failure> {
    records.write(identity, &Record { value: planned.clone(), ..record.clone() })?;
    Ok(Made { value: planned.clone(), notes: Vec::new() })
}

/// Reads a public key with or without a comment.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, Failure> {
    let wrong = |detail: &str| {
        Failure::new("this is no public key", sentence(detail))
            .help("Write the one line of a file such as `~/.ssh/id_ed25519.pub`.")
    };
    if text.contains("PRIVATE KEY") {
        return Err(wrong("It is a private key"));
    }
    if text.trim_end_matches('\n').contains('\n') {
        return Err(wrong("It has more than one line"));
    }
    PublicKey::from_openssh(text).map_err(|_| wrong("It is an algorithm, a space, and the key in base64"))
}

/// A new pair of Ed25519 keys.
pub(crate) fn generate(comment: &str) -> Result<PrivateKey, Failure> {
    let mut seed = [0; 32];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| Failure::new("cannot make a key", "The kernel gives no randomness."))?;
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    PrivateKey::new(pair, comment).or_fail(|| "cannot make a key".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_told_from_others() {
        let pair = generate("me").unwrap();
        let public = pair.public_key().to_openssh().unwrap();
        let private = pair.to_openssh(LineEnding::LF).unwrap();
        let check = |text: &str, sound: bool| assert_eq!(public_key(text).is_ok(), sound, "{text}");
        check(&public, true);
        check(&format!("{public}\n"), true);
        check(public.trim_end_matches(" me"), true);
        check(
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDVSoclZMTaICzyv6UmFsUJKJIUR7lDOEkkkvOk9T7fwqQB5dHiaIJBNzCDFBVHxEhSLPRLKKUjJVBgZbmEzMxc= x",
            true,
        );
        check("", false);
        check("ssh-ed25519", false);
        check("ssh-ed25519 AAAA", false);
        check(&private, false);
        check(&format!("{public}\n{public}"), false);
    }

    #[test]
    fn a_name_is_of_one_line() {
        let check = |name: &str, sound: bool| assert_eq!(NAME.judge(&name.into()).is_ok(), sound, "{name:?}");
        check("admin of the shop", true);
        check("", true);
        check("a\nssh-ed25519 AAAA", false);
        check("a\r", false);
    }
}
