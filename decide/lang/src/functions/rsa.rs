//! Decryption with a private RSA key (PKCS #1 version 1.5, RFC 8017), as cloud platforms encrypt first passwords.

use andon_value::{Type, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dashu_int::UBig;
use dashu_int::fast_div::ConstDivisor;

use super::encodings::from_base64;
use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::String as S;
    vec![
        row("rsadecrypt", S, decrypt, "The text in a Base64 string that was encrypted for a private RSA key.")
            .takes("ciphertext", S)
            .takes("privatekey", S),
    ]
}

fn decrypt(call: &Call<'_>) -> Result<Value, Fault> {
    let cipher = from_base64(call.text(0)).ok_or_else(|| Fault::at(0, "this is not Base64"))?;
    let key = Key::parse(call.text(1))?;
    let refuse = || Fault::at(0, "it was not encrypted for this key");
    let length = key.modulus.to_be_bytes().len();
    let number = UBig::from_be_bytes(&cipher);
    if cipher.len() > length || number >= key.modulus {
        return Err(refuse());
    }
    let ring = ConstDivisor::new(key.modulus);
    let plain = ring.reduce(number).pow(&key.exponent).residue();
    // 00 02, at least eight bytes of padding, 00, and what was encrypted.
    let bytes = plain.to_be_bytes();
    let padded = match bytes.split_first() {
        Some((2, rest)) if bytes.len() + 1 == length => rest,
        _ => return Err(refuse()),
    };
    let end = padded.iter().position(|byte| *byte == 0).filter(|end| *end >= 8).ok_or_else(refuse)?;
    let text = padded.get(end + 1..).unwrap_or_default();
    let text = std::str::from_utf8(text).map_err(|_| Fault::at(0, "what was encrypted is not text in UTF-8"))?;
    Ok(text.into())
}

struct Key {
    modulus: UBig,
    exponent: UBig,
}

impl Key {
    fn parse(text: &str) -> Result<Key, Fault> {
        let refuse = |why: &str| Fault::at(1, why);
        let wanted = "a private RSA key in PEM form is required";
        let (_, after) = text.split_once("-----BEGIN ").ok_or_else(|| refuse(wanted))?;
        let (kind, after) = after.split_once("-----").ok_or_else(|| refuse(wanted))?;
        let (body, _) = after.split_once("-----END ").ok_or_else(|| refuse(wanted))?;
        if kind.contains("ENCRYPTED") || body.contains("ENCRYPTED") {
            return Err(refuse("the key is encrypted with a pass phrase"));
        }
        let encoded: String = body.split_whitespace().collect();
        let bytes = STANDARD.decode(encoded).map_err(|_| refuse(wanted))?;
        let key = match kind {
            "RSA PRIVATE KEY" => Key::pkcs1(&bytes),
            "PRIVATE KEY" => Key::pkcs8(&bytes),
            "OPENSSH PRIVATE KEY" => Key::openssh(&bytes),
            _ => None,
        };
        key.filter(|key| key.modulus > UBig::ONE).ok_or_else(|| refuse(wanted))
    }

    /// `SEQUENCE { version, modulus, public exponent, private exponent, … }`
    fn pkcs1(bytes: &[u8]) -> Option<Key> {
        let (sequence, _) = element(bytes, 0x30)?;
        let (_, rest) = element(sequence, 0x02)?;
        let (modulus, rest) = element(rest, 0x02)?;
        let (_, rest) = element(rest, 0x02)?;
        let (exponent, _) = element(rest, 0x02)?;
        Some(Key { modulus: UBig::from_be_bytes(modulus), exponent: UBig::from_be_bytes(exponent) })
    }

    /// `SEQUENCE { version, algorithm, OCTET STRING { a PKCS #1 key } }`
    fn pkcs8(bytes: &[u8]) -> Option<Key> {
        let (sequence, _) = element(bytes, 0x30)?;
        let (_, rest) = element(sequence, 0x02)?;
        let (_, rest) = element(rest, 0x30)?;
        let (inner, _) = element(rest, 0x04)?;
        Key::pkcs1(inner)
    }

    /// The form of `ssh-keygen` (its `PROTOCOL.key`), without a pass phrase.
    fn openssh(bytes: &[u8]) -> Option<Key> {
        let rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
        let (cipher, rest) = field(rest)?;
        let (_, rest) = field(rest)?;
        let (_, rest) = field(rest)?;
        let (_, rest) = field(rest.get(4..)?)?;
        let (private, _) = field(rest)?;
        if cipher != b"none" {
            return None;
        }
        // Two equal numbers to check the decryption by, then the key.
        let (name, rest) = field(private.get(8..)?)?;
        let (modulus, rest) = field(rest)?;
        let (_, rest) = field(rest)?;
        let (exponent, _) = field(rest)?;
        let key = Key { modulus: UBig::from_be_bytes(modulus), exponent: UBig::from_be_bytes(exponent) };
        (name == b"ssh-rsa").then_some(key)
    }
}

/// The content of a DER element of a tag, and what follows the element.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (*first == tag).then(|| rest.split_at_checked(length))?
}

/// A field of SSH: its length in four bytes, and its content.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    rest.split_at_checked(usize::try_from(length).ok()?)
}
