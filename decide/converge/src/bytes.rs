//! Text and bytes: how the content of a file is written in a definition.

use andon_schema::host::Bytes;

/// The encodings that a file's content may have, as a definition names them.
pub(crate) const ENCODINGS: [&str; 6] = ["utf-8", "utf-8-bom", "utf-16le", "utf-16be", "iso-8859-1", "ascii"];

/// Text in one of the [`ENCODINGS`]. Those of UTF-16 begin with a byte order mark. The error is the first letter that
/// cannot be written.
pub(crate) fn encode(text: &str, encoding: &str) -> Result<Bytes, char> {
    let bytes: Vec<u8> = match encoding {
        "utf-8-bom" => [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
        "utf-16le" => std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect(),
        "iso-8859-1" => {
            text.chars().map(|letter| u8::try_from(letter).map_err(|_| letter)).collect::<Result<_, _>>()?
        }
        "ascii" => match text.chars().find(|letter| !letter.is_ascii()) {
            Some(letter) => return Err(letter),
            None => text.into(),
        },
        _ => text.into(),
    };
    Ok(bytes.into())
}

/// The text that [`encode`] makes these bytes of, without a byte order mark; `None` where there is none.
pub(crate) fn decode(bytes: &[u8], encoding: &str) -> Option<String> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units: Option<Vec<u16>> = bytes.chunks(2).map(|two| Some(unit(two.try_into().ok()?))).collect();
        let text = String::from_utf16(&units?).ok()?;
        Some(text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text))
    };
    match encoding {
        "utf-16le" => wide(u16::from_le_bytes),
        "utf-16be" => wide(u16::from_be_bytes),
        "iso-8859-1" => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        _ => String::from_utf8(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).to_vec()).ok(),
    }
}

/// The bytes that Base64 (RFC 4648, padded) stands for; white space counts for nothing.
pub(crate) fn decode_base64(text: &str) -> Option<Bytes> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let groups = digits.chunks(4);
    let last = groups.len().checked_sub(1);
    for (at, group) in groups.enumerate() {
        let padding = group.iter().rev().take_while(|digit| **digit == b'=').count();
        if group.len() != 4 || padding > 2 || (padding > 0 && Some(at) != last) {
            return None;
        }
        let number = group
            .iter()
            .take(4 - padding)
            .try_fold(0_u32, |number, digit| Some(number << 6 | base64_digit(*digit)?))?;
        let number = number << (6 * padding);
        let [_, whole @ ..] = number.to_be_bytes();
        bytes.extend(whole.iter().take(3 - padding));
    }
    Some(bytes.into())
}

/// The number of a digit of Base64.
pub(crate) fn base64_digit(digit: u8) -> Option<u32> {
    let number = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v\nYg==", Some(b"foob")),
            ("/+8A", Some(b"\xff\xef\0")),
        ] {
            assert_eq!(decode_base64(text).map(|bytes| bytes.0.to_vec()), bytes.map(<[u8]>::to_vec), "{text}");
        }
        for text in ["Z", "Zg", "Zg=", "Z===", "Zg==Zg==", "Zm9*", "===="] {
            assert_eq!(decode_base64(text), None, "{text}");
        }
    }

    #[test]
    fn encodings() {
        for (text, encoding, bytes) in [
            ("ä", "utf-8", Ok(&b"\xC3\xA4"[..])),
            ("ä", "iso-8859-1", Ok(b"\xE4")),
            ("a", "utf-16le", Ok(b"\xFF\xFEa\0")),
            ("a", "utf-16be", Ok(b"\xFE\xFF\0a")),
            ("a", "utf-8-bom", Ok(b"\xEF\xBB\xBFa")),
            ("a€", "iso-8859-1", Err('€')),
            ("ä", "ascii", Err('ä')),
        ] {
            assert_eq!(encode(text, encoding).map(|bytes| bytes.0.to_vec()), bytes.map(<[u8]>::to_vec), "{text}");
            if let Ok(bytes) = bytes {
                assert_eq!(decode(bytes, encoding).as_deref(), Some(text), "{encoding}");
            }
        }
    }
}
