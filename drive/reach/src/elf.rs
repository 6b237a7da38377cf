//! What a program asks of the C library of the machine that it runs on.

use std::io;
use std::path::Path;

/// The newest version of the GNU C library whose symbols a program asks for, as major and minor number; `None` for one
/// that asks for none. It is found as the linker writes it, `GLIBC_2.34`, among the program's strings.
pub(crate) fn needed_glibc(program: &Path) -> io::Result<Option<(u32, u32)>> {
    let bytes = std::fs::read(program)?;
    let word = concat!("GLI", "BC_").as_bytes();
    let mut newest = None;
    let mut rest = bytes.as_slice();
    while let Some(at) = find(rest, word) {
        rest = rest.get(at + word.len()..).unwrap_or_default();
        let end = rest.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.')).unwrap_or(rest.len());
        let ends = rest.get(end) == Some(&0);
        let text = rest.get(..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        newest = newest.max(version(text).filter(|_| ends));
    }
    Ok(newest)
}

/// `2.36` as two numbers; further ones do not count.
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    let first = *word.first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes.get(at..)?.starts_with(word) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_among_a_programs_strings() {
        let place = std::env::temp_dir().join(format!("andon-elf-{}", std::process::id()));
        let needs = |bytes: &[u8]| {
            std::fs::write(&place, bytes).unwrap();
            needed_glibc(&place).unwrap()
        };
        assert_eq!(needs(b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GGLIBC_2.17\0"), Some((2, 34)));
        assert_eq!(needs(b"\x7fELF\0GLIBC_PRIVATE\0GLIBC_9.9 is a text\0GLIBC_"), None);
        std::fs::remove_file(&place).unwrap();
        assert!(needed_glibc(&place).is_err());
    }
}
