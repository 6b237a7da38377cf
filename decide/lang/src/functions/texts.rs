//! Text in other encodings than UTF-8, and compressed.

use std::io::Write;

use andon_value::{Type, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;
use flate2::{Compression, GzBuilder};

use super::encodings::from_base64;
use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::String as S;
    vec![
        row("base64gzip", S, base64_gzip, "A string compressed with gzip, in Base64.").takes("str", S),
        row(
            "textdecodebase64",
            S,
            decode,
            "The text that a Base64 string stands for in an encoding, such as UTF-16LE.",
        )
        .takes("source", S)
        .takes("encoding", S),
        row("textencodebase64", S, encode, "A string in an encoding such as UTF-16LE, in Base64.")
            .takes("string", S)
            .takes("encoding", S),
    ]
}

fn base64_gzip(call: &Call<'_>) -> Result<Value, Fault> {
    // No time and no system in the header, so that the same text always gives the same.
    let mut writer = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::default());
    let written = writer.write_all(call.text(0).as_bytes()).and_then(|()| writer.finish());
    written.map(|bytes| STANDARD.encode(bytes).into()).map_err(|error| Fault::at(0, error.to_string()))
}

/// An encoding by its name in the registry of IANA.
enum Form {
    Utf16 {
        big: bool,
        mark: bool,
    },
    /// The first characters of Unicode, a byte each: 128 of them, or 256.
    Bytes {
        most: u32,
    },
    Other(&'static Encoding),
}

fn form(call: &Call<'_>) -> Result<Form, Fault> {
    let name = call.text(1).to_ascii_lowercase();
    let no_such = || {
        Fault::at(1, "there is no such encoding")
            .help("Encodings have the names of the IANA registry, such as UTF-16LE, ISO-8859-15 or Shift_JIS.")
    };
    Ok(match name.as_str() {
        "utf-16" | "csutf16" => Form::Utf16 { big: true, mark: true },
        "utf-16be" | "csutf16be" => Form::Utf16 { big: true, mark: false },
        "utf-16le" | "csutf16le" => Form::Utf16 { big: false, mark: false },
        "us-ascii" | "ascii" | "iso-ir-6" | "us" | "ibm367" | "cp367" | "csascii" | "iso646-us" => {
            Form::Bytes { most: 0x80 }
        }
        "iso-8859-1" | "iso_8859-1" | "iso_8859-1:1987" | "latin1" | "l1" | "ibm819" | "cp819" | "csisolatin1"
        | "iso-ir-100" => Form::Bytes { most: 0x100 },
        // The web has names of its own, which the registry has not.
        "utf8" | "sjis" | "ksc5601" | "dos-874" | "logical" | "visual" | "unicode" => return Err(no_such()),
        name => match Encoding::for_label(name.as_bytes()).filter(|_| !name.starts_with("x-")) {
            Some(encoding) => Form::Other(encoding),
            None => return Err(no_such()),
        },
    })
}

fn encode(call: &Call<'_>) -> Result<Value, Fault> {
    let text = call.text(0);
    let refuse = |character: char| Fault::at(0, format!("the encoding has no {:?}", character));
    let bytes = match form(call)? {
        Form::Utf16 { big, mark } => {
            let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
            units.flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        }
        Form::Bytes { most } => {
            let byte = |character: char| {
                u8::try_from(u32::from(character))
                    .ok()
                    .filter(|byte| u32::from(*byte) < most)
                    .ok_or_else(|| refuse(character))
            };
            text.chars().map(byte).collect::<Result<Vec<u8>, _>>()?
        }
        Form::Other(encoding) => {
            let (bytes, _, unmappable) = encoding.encode(text);
            if unmappable {
                let alone = |character: &char| encoding.encode(&character.to_string()).2;
                return Err(refuse(text.chars().find(alone).unwrap_or('?')));
            }
            bytes.into_owned()
        }
    };
    Ok(STANDARD.encode(bytes).into())
}

fn decode(call: &Call<'_>) -> Result<Value, Fault> {
    let form = form(call)?;
    let bytes = from_base64(call.text(0)).ok_or_else(|| Fault::at(0, "this is not Base64"))?;
    let refuse = || Fault::at(0, "what it stands for is not text in this encoding");
    let text = match form {
        Form::Utf16 { mut big, mark } => {
            let mut bytes = bytes.as_slice();
            if mark {
                big = !bytes.starts_with(&[0xff, 0xfe]);
                bytes = bytes.strip_prefix(&[0xff, 0xfe]).or(bytes.strip_prefix(&[0xfe, 0xff])).unwrap_or(bytes);
            }
            let unit = |pair: &[u8]| match pair {
                [one, other] if big => u16::from_be_bytes([*one, *other]),
                [one, other] => u16::from_le_bytes([*one, *other]),
                _ => 0xd800,
            };
            char::decode_utf16(bytes.chunks(2).map(unit)).collect::<Result<String, _>>().map_err(|_| refuse())?
        }
        Form::Bytes { most } if bytes.iter().any(|byte| u32::from(*byte) >= most) => return Err(refuse()),
        Form::Bytes { .. } => bytes.into_iter().map(char::from).collect(),
        Form::Other(encoding) => {
            let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
            text.ok_or_else(refuse)?.into_owned()
        }
    };
    Ok(text.into())
}
