//! What tells one thing from every other: UUIDs, and hashes of passwords with a salt.

use andon_value::{Type, Value};
use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use sha1::{Digest, Sha1};

use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::{Number, String as S};
    vec![
        row("bcrypt", S, bcrypt, "A bcrypt hash of a string, with a new salt at each apply.")
            .takes("str", S)
            .takes_rest("cost", Number),
        row("uuid", S, uuid, "A random UUID, another one at each apply."),
        row("uuidv5", S, uuid_v5, "The UUID of a name in a namespace: `dns`, `url`, `oid`, `x500` or a UUID.")
            .takes("namespace", S)
            .takes("name", S),
    ]
}

/// The version of a UUID in its bits, and the variant that RFC 9562 has.
fn shown(mut bytes: [u8; 16], version: u8) -> String {
    let [_, _, _, _, _, _, six, _, eight, ..] = &mut bytes;
    *six = *six & 0x0f | version << 4;
    *eight = *eight & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn uuid(call: &Call<'_>) -> Result<Value, Fault> {
    Ok(match call.inputs.random() {
        Some(bytes) => shown(bytes, 4).into(),
        None => Value::unknown(Type::String),
    })
}

fn uuid_v5(call: &Call<'_>) -> Result<Value, Fault> {
    // The namespaces of RFC 9562 differ in one byte.
    let well_known =
        |fourth: u8| u128::from(0x6ba7_b800u32 + u32::from(fourth)) << 96 | 0x9dad_11d1_80b4_00c0_4fd4_30c8;
    let namespace = match call.text(0) {
        "dns" => well_known(0x10),
        "url" => well_known(0x11),
        "oid" => well_known(0x12),
        "x500" => well_known(0x14),
        other => parse(other).ok_or_else(|| Fault::at(0, "a namespace is `dns`, `url`, `oid`, `x500` or a UUID"))?,
    };
    let digest = Sha1::new().chain_update(namespace.to_be_bytes()).chain_update(call.text(1)).finalize();
    let bytes = digest.get(..16).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    Ok(shown(bytes, 5).into())
}

/// A UUID in hexadecimal: with dashes, perhaps in braces or after `urn:uuid:`, or without any.
fn parse(text: &str) -> Option<u128> {
    let bare = match text.len() {
        32 => return hex(text),
        36 => text,
        38 => text.strip_prefix('{')?.strip_suffix('}')?,
        45 => text.strip_prefix("urn:uuid:")?,
        _ => return None,
    };
    let dashes = [8, 13, 18, 23].iter().all(|at| bare.as_bytes().get(*at) == Some(&b'-'));
    let digits = bare.replace('-', "");
    (dashes && digits.len() == 32).then(|| hex(&digits))?
}

fn hex(digits: &str) -> Option<u128> {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u128::from_str_radix(digits, 16).ok())?
}

/// The longest password that the algorithm reads.
const LONGEST_PASSWORD: usize = 72;

/// The cost where none is given; the others that the algorithm knows are from 4 to 31, and each doubles the work.
const USUAL_COST: i64 = 10;

fn bcrypt(call: &Call<'_>) -> Result<Value, Fault> {
    let password = call.text(0).as_bytes();
    if call.arguments.len() > 2 {
        return Err(Fault::new("at most one cost may be given"));
    }
    let cost = if call.arguments.len() == 2 { call.whole(1)? } else { USUAL_COST };
    // Below the least that there is, the usual one is taken.
    let cost = if cost < 4 { USUAL_COST } else { cost };
    let cost = u32::try_from(cost).ok().filter(|cost| *cost <= 31).ok_or_else(|| Fault::at(1, "at most 31"))?;
    if password.len() > LONGEST_PASSWORD {
        return Err(Fault::at(0, format!("longer than the {LONGEST_PASSWORD} bytes that bcrypt reads")));
    }
    let Some(salt) = call.inputs.random() else { return Ok(Value::unknown(Type::String)) };
    let mut ended = [password, &[0]].concat();
    ended.truncate(LONGEST_PASSWORD);
    let hash = bcrypt::bcrypt(cost, salt, &ended);
    let base64 = GeneralPurpose::new(&BCRYPT, NO_PAD);
    let digest = base64.encode(hash.get(..23).unwrap_or_default());
    Ok(format!("$2a${cost:02}${}{digest}", base64.encode(salt)).into())
}
