//! Text of templates: escapes, and the indentation of heredocs.

use andon_text::Diagnostic;

use super::Parser;
use crate::token::Token;

impl Parser<'_> {
    /// The text that a literal stands for.
    pub(super) fn literal(&mut self, token: Token, quoted: bool) -> String {
        let raw = token.text(self.text);
        if !raw.contains(['\\', '$', '%']) {
            return raw.to_owned();
        }
        let mut decoded = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find(['\\', '$', '%']) {
            let (before, from) = rest.split_at(at);
            decoded.push_str(before);
            rest = if from.starts_with("$${") || from.starts_with("%%{") {
                decoded.push_str(from.get(1..3).unwrap_or(""));
                from.get(3..).unwrap_or("")
            } else if quoted && from.starts_with('\\') {
                let start = token.end as usize - from.len();
                let length = self.escape(from, start, &mut decoded);
                from.get(length..).unwrap_or("")
            } else {
                decoded.push_str(from.get(..1).unwrap_or(""));
                from.get(1..).unwrap_or("")
            };
        }
        decoded.push_str(rest);
        decoded
    }

    /// Adds what an escape stands for, and gives its length. `start` is where it is in the whole text.
    fn escape(&mut self, from: &str, start: usize, decoded: &mut String) -> usize {
        let selector = from.chars().nth(1);
        let simple = match selector {
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('"') => Some('"'),
            Some('\\') => Some('\\'),
            _ => None,
        };
        if let Some(character) = simple {
            decoded.push(character);
            return 2;
        }
        let digits = match selector {
            Some('u') => 4,
            Some('U') => 8,
            _ => {
                let length = 1 + selector.map_or(0, char::len_utf8);
                let shown = from.get(..length).unwrap_or("\\");
                let help = format!(
                    "Known are \\n, \\r, \\t, \\\", \\\\, \\uNNNN and \\UNNNNNNNN. For the backslash itself write \\{shown}."
                );
                self.bad_escape(format!("unknown escape `{shown}`"), start, length, help);
                decoded.push_str(shown);
                return length;
            }
        };
        let found = from.bytes().skip(2).take(digits).take_while(u8::is_ascii_hexdigit).count();
        let number = from.get(2..2 + found).and_then(|text| u32::from_str_radix(text, 16).ok());
        match number.filter(|_| found == digits).and_then(char::from_u32) {
            Some(character) => decoded.push(character),
            None => {
                let shown = from.get(..2 + found).unwrap_or("\\u");
                let help = if found == digits {
                    "Write the code of a character: up to 10FFFF, and not from D800 to DFFF.".to_owned()
                } else {
                    format!("Write {digits} hexadecimal digits after it, with leading zeros.")
                };
                self.bad_escape(format!("escape `{shown}` stands for no character"), start, 2 + found, help);
            }
        }
        2 + found
    }

    fn bad_escape(&mut self, summary: String, start: usize, length: usize, help: String) {
        let span = andon_text::Span::new(self.source, start, start + length);
        // Each bad escape of a string is told: they share a token, so the rule of one report a token does not apply.
        if !self.is_damaged(span) {
            self.told.tell(|| Diagnostic::error(summary).at(span).help(help));
        }
    }
}
