//! Text for a terminal: no line longer than it is wide, and nothing in it that a terminal would obey but our own colours.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// How far a line that goes on is moved in, beyond where it began.
const HANG: usize = 4;

/// After every so many columns a tab ends.
const TAB: usize = 8;

/// The columns that text takes on a terminal. It has no colours.
pub(crate) fn columns(text: &str) -> usize {
    text.graphemes(true).map(of_grapheme).sum()
}

/// No terminal gives one letter more than two columns, whatever it is joined of.
fn of_grapheme(grapheme: &str) -> usize {
    grapheme.width().min(2)
}

/// Text of others as it may be shown: what a terminal would obey, what would have letters stand in another order than
/// they are written in, and what is not seen at all, is written as its number. Line breaks and tabs are left as they are.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    text.chars().for_each(|letter| put(&mut out, letter));
    Cow::Owned(out)
}

/// The same for what has its place in one line, such as a name.
pub fn inline(text: &str) -> Cow<'_, str> {
    match clean(text) {
        cleaned if cleaned.contains('\n') => Cow::Owned(cleaned.replace('\n', "\\n")),
        cleaned => cleaned,
    }
}

fn put(out: &mut String, letter: char) {
    match letter {
        '\r' => out.push_str("\\r"),
        obeyed if is_obeyed(obeyed) => {
            let _ = write!(out, "\\u{:04x}", u32::from(obeyed));
        }
        other => out.push(other),
    }
}

/// Controls, marks that turn the direction of text (Unicode Standard Annex 9), line breaks that few know of, and the
/// mark of the order of bytes.
fn is_obeyed(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\n' | '\t')
        || matches!(letter, '\u{61c}' | '\u{feff}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with lines of at most `width` columns; a line that is longer goes on in the next, moved in. Without a width,
/// lines stay as long as they are. Colours are kept where `colour` says that there may be any.
pub(crate) fn fold(text: &str, width: Option<usize>, colour: bool) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        let simple = body.is_ascii() && !body.bytes().any(|byte| byte.is_ascii_control());
        match width {
            Some(width) if !simple || body.len() > width => fold_line(&mut out, body, width, colour),
            None if !simple => fold_line(&mut out, body, usize::MAX, colour),
            _ => out.push_str(body),
        }
        out.push_str(end);
    }
    out
}

fn fold_line(out: &mut String, line: &str, width: usize, colour: bool) {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let hang = " ".repeat((indent + HANG).min(width / 2));
    let mut row = Row { text: String::new(), columns: 0, breaks: None, firm: false, filled: false };
    let mut code = "";
    let mut rest = line;
    while !rest.is_empty() {
        if let Some(found) = colour.then(|| colour_code(rest)).flatten() {
            row.text.push_str(found);
            code = if found == RESET { "" } else { found };
            rest = rest.get(found.len()..).unwrap_or_default();
            continue;
        }
        let Some(grapheme) = rest.graphemes(true).next() else { break };
        let shown = clean(grapheme);
        let wide = if shown == "\t" { TAB - row.columns % TAB } else { columns(&shown) };
        while row.columns + wide > width && row.filled {
            row.turn(out, &hang, code);
        }
        // What is beside a value, and what it becomes, stay together where they can.
        if rest.starts_with("# ") && row.text.ends_with("  ") || rest.starts_with("→ ") {
            row.may_break(true, code);
        }
        rest = rest.get(grapheme.len()..).unwrap_or_default();
        row.push(&shown, wide, code, rest);
    }
    out.push_str(&row.text);
}

const RESET: &str = "\x1b[0m";

/// The colour that text begins with, as `Paint` writes it.
fn colour_code(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("\x1b[")?;
    let end = digits.find(|letter: char| !letter.is_ascii_digit())?;
    if digits.as_bytes().get(end) == Some(&b'm') { text.get(..end + 3) } else { None }
}

/// The line that is being filled.
struct Row<'a> {
    text: String,
    columns: usize,
    /// After which byte it may best be broken, and the colour there.
    breaks: Option<(usize, &'a str)>,
    /// No other place is as good.
    firm: bool,
    /// It has more than what it is moved in by.
    filled: bool,
}

impl<'a> Row<'a> {
    fn push(&mut self, shown: &str, wide: usize, code: &'a str, rest: &str) {
        let after_word = !self.text.ends_with(|last: char| last.is_ascii_digit() || last == '.');
        let after_digit = self.text.ends_with(|last: char| last.is_ascii_digit());
        let in_number = shown == "," && after_digit && rest.starts_with(|next: char| next.is_ascii_digit());
        self.text.push_str(shown);
        self.columns += wide;
        self.filled |= shown != " ";
        if matches!(shown, " " | "," | "/") && !in_number || shown == "." && after_word {
            self.may_break(false, code);
        }
    }

    fn may_break(&mut self, firm: bool, code: &'a str) {
        if self.filled && (firm || !self.firm) {
            (self.breaks, self.firm) = (Some((self.text.len(), code)), firm);
        }
    }

    /// Ends the line where it may best be broken, and begins the next with what is left of it.
    fn turn(&mut self, out: &mut String, hang: &str, code: &str) {
        // A line that is hardly begun is better broken in a word than ended.
        let least = hang.len() + if self.firm { 0 } else { self.columns.saturating_sub(hang.len()) / 3 };
        let far = |at: usize| self.text.get(..at).is_some_and(|kept| columns(&plain(kept)) > least);
        let (at, active) = self.breaks.filter(|(at, _)| far(*at)).unwrap_or((self.text.len(), code));
        let (kept, left) = self.text.split_at(at);
        out.push_str(kept.trim_end_matches(' '));
        out.push_str(if active.is_empty() { "" } else { RESET });
        let next = format!("{hang}{active}{}", left.trim_start_matches(' '));
        self.columns = columns(&plain(&next));
        self.filled = self.columns > hang.len();
        self.text = next;
        (self.breaks, self.firm) = (None, false);
        out.push('\n');
    }
}

/// A text without its colours.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let code = rest.get(at..).and_then(colour_code).map_or(1, str::len);
        rest = rest.get(at + code..).unwrap_or_default();
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_broken_where_it_reads_best() {
        for (line, width, expected) in [
            ("short", 10, "short"),
            ("  one two three", 11, "  one two\n     three"),
            ("  name = \"aaaaaaaaaaaaaaaaaaaaaa\"", 20, "  name = \"aaaaaaaaaa\n      aaaaaaaaaaaa\""),
            ("  size = 10 → 20  # in 5 of them", 24, "  size = 10 → 20\n      # in 5 of them"),
            ("- delete module.shop[0..9].kind.name", 26, "- delete module.\n    shop[0..9].kind.name"),
            ("+ a.b[0..999] (1,000 instances)", 19, "+ a.b[0..999]\n    (1,000\n    instances)"),
            ("漢字漢字漢字", 5, "漢字\n  漢\n  字\n  漢\n  字"),
            ("e\u{301}e\u{301}e\u{301}e\u{301}", 4, "e\u{301}e\u{301}e\u{301}e\u{301}"),
            ("👩‍👩‍👧‍👦👩‍👩‍👧‍👦x", 5, "👩‍👩‍👧‍👦👩‍👩‍👧‍👦x"),
            ("fd00::7\trev", 80, "fd00::7\trev"),
            ("\u{feff}a\r", 80, "\\ufeffa\\r"),
            ("a\x1b[2Jb\u{202e}c\u{7}", 80, "a\\u001b[2Jb\\u202ec\\u0007"),
            ("\x1b[31mone two\x1b[0m", 5, "\x1b[31mone\x1b[0m\n  \x1b[31mtwo\x1b[0m"),
        ] {
            assert_eq!(fold(line, Some(width), true), expected, "{line}");
        }
        assert_eq!(fold("\x1b[31mred", None, false), "\\u001b[31mred");
    }

    proptest! {
        #[test]
        fn whatever_is_shown_fits_and_is_obeyed_by_no_terminal(text in "[ -~\u{0}-\u{8}\u{a}-\u{1f}漢é👍\u{301}\u{202e}\n]{0,200}", width in 20usize..60) {
            let folded = fold(&text, Some(width), false);
            for line in folded.lines() {
                prop_assert!(columns(line) <= width, "{line:?}");
            }
            prop_assert!(folded.chars().all(|letter| letter == '\n' || !is_obeyed(letter)));
        }
    }
}
