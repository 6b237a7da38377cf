//! Digests.

use andon_value::{Type, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::files::content;
use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::String as S;
    let text = |name, run, description| row(name, S, run, description).takes("str", S);
    let file = |name, run, description| row(name, S, run, description).takes("path", S);
    vec![
        text("md5", |call| Ok(hex::<Md5>(bytes(call)).into()), "The MD5 digest of a string, in hexadecimal."),
        text("sha1", |call| Ok(hex::<Sha1>(bytes(call)).into()), "The SHA-1 digest of a string, in hexadecimal."),
        text("sha256", |call| Ok(hex::<Sha256>(bytes(call)).into()), "The SHA-256 digest of a string, in hexadecimal."),
        text("sha512", |call| Ok(hex::<Sha512>(bytes(call)).into()), "The SHA-512 digest of a string, in hexadecimal."),
        text(
            "base64sha256",
            |call| Ok(base64::<Sha256>(bytes(call)).into()),
            "The SHA-256 digest of a string, in Base64.",
        ),
        text(
            "base64sha512",
            |call| Ok(base64::<Sha512>(bytes(call)).into()),
            "The SHA-512 digest of a string, in Base64.",
        ),
        file("filemd5", |call| of_file(call, hex::<Md5>), "The MD5 digest of a file, in hexadecimal."),
        file("filesha1", |call| of_file(call, hex::<Sha1>), "The SHA-1 digest of a file, in hexadecimal."),
        file("filesha256", |call| of_file(call, hex::<Sha256>), "The SHA-256 digest of a file, in hexadecimal."),
        file("filesha512", |call| of_file(call, hex::<Sha512>), "The SHA-512 digest of a file, in hexadecimal."),
        file("filebase64sha256", |call| of_file(call, base64::<Sha256>), "The SHA-256 digest of a file, in Base64."),
        file("filebase64sha512", |call| of_file(call, base64::<Sha512>), "The SHA-512 digest of a file, in Base64."),
    ]
}

fn bytes<'a>(call: &'a Call<'_>) -> &'a [u8] {
    call.text(0).as_bytes()
}

fn of_file(call: &Call<'_>, digest: fn(&[u8]) -> String) -> Result<Value, Fault> {
    Ok(digest(content(call, 0)?).into())
}

fn hex<D: Digest>(content: &[u8]) -> String {
    D::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64<D: Digest>(content: &[u8]) -> String {
    STANDARD.encode(D::digest(content))
}
