//! A JSON parser that recovers: every mistake is told once, with its remedy, and what is around it is read all the same.
//!
//! It takes what JSON takes (<https://www.rfc-editor.org/rfc/rfc8259>). Names may be given twice in an object: whether
//! that is a mistake depends on what they mean.

use std::sync::Arc;

use andon_text::{Diagnostic, Diagnostics, SourceId, Span, deeper};

use super::text::Places;
use super::{Content, Property, Text, Value};
use crate::parser::NESTING_LIMIT;
use crate::parser::fault::Told;

/// Parses a file of JSON. Gives all that could be understood, and every syntax error in the order of the text.
pub fn parse(source: SourceId, text: &str) -> (Value, Diagnostics) {
    let mut parser = Parser {
        source,
        text,
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
        hopeless: false,
        looks: 0,
        mended_at: usize::MAX,
        out: Told::default(),
    };
    let value = parser.file();
    (value, parser.out.in_order())
}

struct Parser<'a> {
    source: SourceId,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    /// Whether it was said that what follows cannot be understood: the file has ended too early, or is too deep.
    hopeless: bool,
    /// How often the rest of the file was looked at for closers: each time costs its length.
    looks: u32,
    /// Where a mistake was told that leaves no comma behind: the lack of it is no second one.
    mended_at: usize,
    out: Told,
}

impl Parser<'_> {
    fn file(&mut self) -> Value {
        if self.text.starts_with('\u{FEFF}') {
            self.at = '\u{FEFF}'.len_utf8();
            let mark = self.span(0, self.at);
            self.report(
                Diagnostic::error("JSON begins with a byte-order mark")
                    .at(mark)
                    .help("Save the file as UTF-8 without a BOM."),
            );
        }
        self.blanks();
        if self.at == self.bytes.len() {
            self.report(
                Diagnostic::error("file holds no JSON")
                    .at(self.span(self.at, self.at))
                    .help("Write {} where nothing is to be defined, or remove the file."),
            );
            return self.invalid(self.at);
        }
        let start = self.at;
        let Some(value) = self.value() else { return self.invalid(start) };
        self.blanks();
        if self.at < self.bytes.len() && !self.hopeless {
            let end = self.line_end(self.at);
            let diagnostic = Diagnostic::error("the JSON ends before this").at(self.span(self.at, end));
            self.report(diagnostic.help("Remove what follows the end of the first value, or what ends it too early."));
        }
        value
    }

    /// A value; `None` where there is none, which has been said.
    fn value(&mut self) -> Option<Value> {
        let start = self.at;
        let content = match self.peek()? {
            b'{' => return self.nested(Parser::object),
            b'[' => return self.nested(Parser::array),
            b'"' => Content::String(self.string()),
            b'0'..=b'9' | b'-' | b'+' | b'.' => self.number(),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => self.word(),
            b'\'' => Content::String(self.wrong_quotes('\'')),
            _ => match self.character() {
                '“' | '”' | '„' | '‘' | '’' => Content::String(self.wrong_quotes('”')),
                '`' => Content::String(self.wrong_quotes('`')),
                other => {
                    let shown = other.escape_debug();
                    let diagnostic = Diagnostic::error(format!("expected a value, found `{shown}`"));
                    let diagnostic = diagnostic.at(self.span(start, start + other.len_utf8()));
                    self.report(
                        diagnostic.help("A value is an object, a list, a number, a string, true, false or null."),
                    );
                    return None;
                }
            },
        };
        Some(Value { content, span: self.span(start, self.at) })
    }

    /// A value, or what there is in its place, passed over.
    fn value_or_skip(&mut self) -> Value {
        let start = self.at;
        self.value().unwrap_or_else(|| {
            self.skip();
            self.invalid(start)
        })
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Content) -> Option<Value> {
        let start = self.at;
        if self.depth >= NESTING_LIMIT {
            let diagnostic = Diagnostic::error("values are nested too deeply").at(self.span(start, start + 1));
            self.report(
                diagnostic.detail(format!("At most {NESTING_LIMIT} levels may be nested.")).help("Remove levels."),
            );
            self.give_up();
            return None;
        }
        self.depth += 1;
        let content = deeper(|| parse(self));
        self.depth -= 1;
        Some(Value { content, span: self.span(start, self.at) })
    }

    /// `{ "name": value, … }`
    fn object(&mut self) -> Content {
        let opener = self.at;
        self.at += 1;
        let mut properties = Vec::new();
        loop {
            if self.next_or_close(opener, b'}', "property", properties.is_empty()) {
                return Content::Object(Arc::new(properties));
            }
            let Some(name) = self.name().filter(|name| self.colon(name)) else {
                self.skip();
                if self.peek() == Some(b',') {
                    self.at += 1;
                }
                continue;
            };
            let start = self.at;
            let value = match self.peek() {
                Some(b',' | b'}' | b']') | None => {
                    self.no_value(&name);
                    self.invalid(start)
                }
                Some(_) => self.value_or_skip(),
            };
            properties.push(Property { name, value });
            self.separator(b'}');
        }
    }

    /// `[ value, … ]`
    fn array(&mut self) -> Content {
        let opener = self.at;
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            if self.next_or_close(opener, b']', "element", elements.is_empty()) {
                return Content::Array(Arc::new(elements));
            }
            elements.push(self.value_or_skip());
            self.separator(b']');
        }
    }

    /// Goes to the next item of a bracket. `true` where there is none: its closer was taken, or the lack of it told.
    fn next_or_close(&mut self, opener: usize, closer: u8, what: &str, first: bool) -> bool {
        loop {
            self.blanks();
            let here = self.span(self.at, self.at + 1);
            match self.peek() {
                Some(byte) if byte == closer => {
                    self.at += 1;
                    return true;
                }
                Some(b',') => {
                    let before = if first { "before" } else { "between these commas" };
                    let diagnostic = Diagnostic::error(format!("comma without {what}")).at(here);
                    self.report(diagnostic.label(format!("expected {what} {before}")).help("Remove the comma."));
                    self.at += 1;
                }
                // The closer of what is around closes this too, unless it was written in place of this one's.
                Some(b'}' | b']') if self.depth > 1 && !self.closes_enough() => {
                    self.not_closed(opener, closer);
                    return true;
                }
                Some(byte @ (b'}' | b']' | b')')) => {
                    let found = char::from(byte);
                    let diagnostic = Diagnostic::error(format!("unexpected `{found}`")).at(here);
                    let diagnostic = diagnostic.related(self.span(opener, opener + 1), "this is open here");
                    self.report(diagnostic.help(format!("Write `{}` here, or remove it.", char::from(closer))));
                    self.at += 1;
                    if byte != b')' {
                        return true;
                    }
                }
                // A name: the brace around is meant to go on.
                Some(b'"') if closer == b']' && self.depth > 1 && self.at_property() => {
                    self.not_closed(opener, closer);
                    self.mended_at = self.at;
                    return true;
                }
                Some(_) => return false,
                None => {
                    if !self.hopeless {
                        self.not_closed(opener, closer);
                        self.hopeless = true;
                    }
                    return true;
                }
            }
        }
    }

    /// Whether a string with a colon after it is at hand.
    fn at_property(&self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let after = rest.get(string_length(rest)..).unwrap_or_default();
        after.trim_ascii_start().first() == Some(&b':')
    }

    /// Whether what follows the closer at hand closes all that is open around the innermost bracket.
    fn closes_enough(&mut self) -> bool {
        const LOOKS: u32 = 16;
        self.looks += 1;
        if self.looks > LOOKS {
            return false;
        }
        let mut open = i64::from(self.depth) - 1;
        let mut at = self.at + 1;
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                b'"' => at += string_length(self.bytes.get(at..).unwrap_or_default()) - 1,
                _ => {}
            }
            at += 1;
        }
        open <= 0
    }

    fn not_closed(&mut self, opener: usize, closer: u8) {
        let (open, close) = (if closer == b'}' { '{' } else { '[' }, char::from(closer));
        let found = match self.peek() {
            Some(b'"') => format!("expected `{close}` before this name"),
            Some(byte) => format!("expected `{close}` before this `{}`", char::from(byte)),
            None => format!("the file ends before a `{close}` closes it"),
        };
        let here = self.span(self.at, self.at + 1);
        let diagnostic = Diagnostic::error(format!("`{open}` is not closed")).at(self.span(opener, opener + 1));
        let diagnostic = match self.peek() {
            Some(_) => diagnostic.label(format!("this `{open}`")).related(here, found),
            None => diagnostic.label(found),
        };
        self.report(diagnostic.help(format!("Add the missing `{close}`.")));
    }

    /// After an item: takes the comma where another item follows, and tells what is wrong about it.
    fn separator(&mut self, closer: u8) {
        let end = self.at;
        self.blanks();
        match self.peek() {
            Some(b'"' | b'{' | b'[') if self.mended_at == end => {}
            Some(b',') => {
                let comma = self.at;
                self.at += 1;
                self.blanks();
                if self.peek() == Some(closer) {
                    let diagnostic = Diagnostic::error("comma after the last one").at(self.span(comma, comma + 1));
                    self.report(
                        diagnostic.label("nothing follows this").help("JSON has no trailing commas: remove it."),
                    );
                }
            }
            Some(b'}' | b']') | None => {}
            Some(b'"' | b'{' | b'[' | b'0'..=b'9' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'\'') => {
                let diagnostic = Diagnostic::error("comma is missing")
                    .at(self.span(end, end))
                    .label("expected `,` here")
                    .related(self.span(self.at, self.at + 1), "before this")
                    .help("Put a comma between neighbours.");
                self.report(diagnostic);
            }
            Some(_) => {
                let start = self.at;
                let shown = self.character();
                let help = match shown {
                    ';' => "Separate with a comma.",
                    _ => "Remove it, or put the text in double quotes.",
                };
                let diagnostic = Diagnostic::error(format!("unexpected `{}`", shown.escape_debug()));
                let diagnostic = diagnostic.at(self.span(start, start + shown.len_utf8()));
                self.report(diagnostic.label("expected `,` or the end").help(help));
                self.at += shown.len_utf8();
                if !(shown == ';'
                    && matches!(
                        {
                            self.blanks();
                            self.peek()
                        },
                        Some(b'"')
                    ))
                {
                    self.skip();
                }
                if self.peek() == Some(b',') {
                    self.at += 1;
                }
            }
        }
    }

    /// The name of a property.
    fn name(&mut self) -> Option<Text> {
        let start = self.at;
        match self.peek()? {
            b'"' => Some(self.string()),
            b'\'' => Some(self.wrong_quotes('\'')),
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') => {
                let word = self.word_length();
                self.at += word;
                let text: Arc<str> = Arc::from(self.text.get(start..self.at).unwrap_or(""));
                let span = self.span(start, self.at);
                let diagnostic = Diagnostic::error(format!("name `{text}` is not in quotes")).at(span);
                self.report(diagnostic.help(format!("Write \"{text}\".")));
                Some(Text { text, span, places: Places::from_here(start) })
            }
            b'{' | b'[' => {
                let diagnostic = Diagnostic::error("expected the name of a property");
                let diagnostic = diagnostic.at(self.span(start, start + 1)).label("this has no name");
                self.report(
                    diagnostic.help("Write \"name\": before the value. A list of values is written in [ and ]."),
                );
                None
            }
            _ => {
                let found = self.character();
                if matches!(found, '“' | '”' | '„' | '‘' | '’' | '`') {
                    return Some(self.wrong_quotes(found));
                }
                let diagnostic =
                    Diagnostic::error(format!("expected the name of a property, found `{}`", found.escape_debug()));
                let diagnostic = diagnostic.at(self.span(start, start + found.len_utf8()));
                self.report(diagnostic.help("Write \"name\": value, or remove this."));
                None
            }
        }
    }

    /// The colon after a name; `false` where what follows is no value of this name.
    fn colon(&mut self, name: &Text) -> bool {
        let shown = shorten(&name.text);
        if self.at == self.mended_at {
            return false;
        }
        self.blanks();
        let start = self.at;
        if self.at == self.bytes.len() {
            self.hopeless = true;
        }
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(b'=') => {
                self.at += 1;
                if self.peek() == Some(b'>') {
                    self.at += 1;
                }
                let diagnostic = Diagnostic::error("`:` comes before a value in JSON").at(self.span(start, self.at));
                self.report(diagnostic.help(format!("Write \"{shown}\": value.")));
            }
            Some(b',' | b'}' | b']' | b')') | None => {
                let diagnostic = Diagnostic::error(format!("property \"{shown}\" has no value")).at(name.span);
                self.report(diagnostic.help(format!("Write \"{shown}\": value. A list is written in [ and ].")));
                return false;
            }
            Some(_) => {
                let diagnostic = Diagnostic::error(format!("`:` is missing after \"{shown}\"")).at(name.span.tail());
                self.report(diagnostic.label("expected `:` here").help(format!("Write \"{shown}\": value.")));
            }
        }
        self.blanks();
        true
    }

    fn no_value(&mut self, name: &Text) {
        if self.peek().is_none() {
            self.hopeless = true;
        }
        let shown = shorten(&name.text);
        let diagnostic = Diagnostic::error(format!("value of \"{shown}\" is missing")).at(name.span);
        self.report(diagnostic.label("this name").help("Write a value after the colon, or null for none."));
    }

    /// `"text"`
    fn string(&mut self) -> Text {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        let mut places = Places::default();
        places.add(0, self.at);
        loop {
            let from = self.at;
            let plain = self.bytes.get(from..).unwrap_or_default();
            let length = plain.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..32)).unwrap_or(plain.len());
            text.push_str(self.text.get(from..from + length).unwrap_or(""));
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') if !matches!(self.byte(1), Some(b'\n' | b'\r') | None) => {
                    places.add(text.len(), self.at);
                    self.escape(&mut text);
                    places.add(text.len(), self.at);
                }
                Some(byte) if !matches!(byte, b'\n' | b'\r' | b'\\') => {
                    let escape = if byte == b'\t' { "\\t".to_owned() } else { format!("\\u{byte:04x}") };
                    let diagnostic = Diagnostic::error("control character in a string");
                    let diagnostic = diagnostic.at(self.span(self.at, self.at + 1));
                    self.report(diagnostic.help(format!("Write it as {escape}.")));
                    text.push(char::from(byte));
                    self.at += 1;
                }
                _ => {
                    let end = self.line_end(self.at);
                    self.at = end;
                    self.mended_at = end;
                    self.hopeless |= end == self.bytes.len();
                    let diagnostic = Diagnostic::error("string is not closed").at(self.span(start, end));
                    let diagnostic = diagnostic.label("this string reaches the end of its line");
                    self.report(diagnostic.help("Add the missing \" at its end. A line break in it is written \\n."));
                    break;
                }
            }
        }
        Text { text: Arc::from(text), span: self.span(start, self.at), places: places.into() }
    }

    fn escape(&mut self, text: &mut String) {
        let start = self.at;
        let simple = match self.byte(1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => Some(char::from(byte)),
            Some(b'b') => Some('\u{8}'),
            Some(b'f') => Some('\u{c}'),
            Some(b'n') => Some('\n'),
            Some(b'r') => Some('\r'),
            Some(b't') => Some('\t'),
            Some(b'u') => None,
            _ => {
                let other = self.text.get(start + 1..).and_then(|rest| rest.chars().next());
                self.at += 1 + other.map_or(0, char::len_utf8);
                let shown = self.text.get(start..self.at).unwrap_or("\\").to_owned();
                let diagnostic = Diagnostic::error(format!(
                    "unknown escape `{}`",
                    shown.escape_debug().to_string().replace("\\\\", "\\")
                ));
                let known = "Known are \\\", \\\\, \\/, \\b, \\f, \\n, \\r, \\t and \\uNNNN.";
                let help = format!("{known} For the backslash itself write \\\\.");
                self.report(diagnostic.at(self.span(start, self.at)).help(help));
                text.push_str(&shown);
                return;
            }
        };
        if let Some(character) = simple {
            text.push(character);
            self.at += 2;
            return;
        }
        let Some(first) = self.unit(start) else {
            let digits = self.bytes.get(start + 2..).unwrap_or_default();
            self.at += 2 + digits.iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let shown = self.text.get(start..self.at).unwrap_or("\\u");
            let diagnostic = Diagnostic::error(format!("escape `{shown}` stands for no character"));
            let diagnostic = diagnostic.at(self.span(start, self.at));
            self.report(diagnostic.help("Write 4 hexadecimal digits after it, with leading zeros."));
            return;
        };
        self.at += 6;
        // Characters outside the first plane are two units. Half of one stands for nothing, and is shown as such.
        let second = self.unit(self.at).filter(|unit| (0xDC00..0xE000).contains(unit));
        match (first, second) {
            (0xD800..0xDC00, Some(second)) => {
                self.at += 6;
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => text.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    /// The number of a `\uNNNN` at a place.
    fn unit(&self, at: usize) -> Option<u32> {
        let escape = self.bytes.get(at..at + 6)?;
        let digits = escape.strip_prefix(b"\\u").filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    /// A string in quotes that JSON does not know, up to their like on the same line.
    fn wrong_quotes(&mut self, quote: char) -> Text {
        let start = self.at;
        let line = self.text.get(start..).unwrap_or("");
        let closes = |other: char| match quote {
            '\'' | '`' => other == quote,
            _ => matches!(other, '“' | '”' | '„' | '‘' | '’' | '"'),
        };
        let ends = |(_, other): &(usize, char)| closes(*other) || *other == '\n';
        let closing = line.char_indices().skip(1).find(ends).filter(|(_, other)| *other != '\n');
        let first = line.chars().next().map_or(0, char::len_utf8);
        let inner_end = closing.map_or(first, |(at, _)| at);
        let length = closing.map_or(first, |(at, other)| at + other.len_utf8());
        self.at += length;
        let span = self.span(start, self.at);
        let name = match quote {
            '\'' => "single quotes do",
            '`' => "backticks do",
            _ => "curly quotes do",
        };
        let diagnostic = Diagnostic::error(format!("{name} not make a string")).at(span);
        self.report(diagnostic.help("Replace them with straight double quotes: \"."));
        Text {
            text: Arc::from(line.get(first..inner_end).unwrap_or("")),
            span,
            places: Places::from_here(start + first),
        }
    }

    fn number(&mut self) -> Content {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_')))
            .unwrap_or(rest.len());
        self.at += length;
        let text = self.text.get(start..self.at).unwrap_or("");
        if is_number(text) {
            return Content::Number(Arc::from(text));
        }
        let digits = text.trim_start_matches(['-', '+']);
        let help = if text.starts_with('+') {
            "Remove the +."
        } else if digits.starts_with('.') {
            "Write a 0 before the point."
        } else if digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
            "Remove the leading zeros, or put it in double quotes if it is a text."
        } else if digits.ends_with('.') {
            "Write digits after the point, or remove it."
        } else {
            "Write a decimal number, such as 1, -2.5 or 1e6, or put it in double quotes if it is a text."
        };
        let diagnostic = Diagnostic::error(format!("`{}` is no number of JSON", shorten(text)));
        self.report(diagnostic.at(self.span(start, self.at)).help(help));
        Content::Invalid
    }

    fn word(&mut self) -> Content {
        let start = self.at;
        self.at += self.word_length();
        let word = self.text.get(start..self.at).unwrap_or("");
        let help = match word {
            "true" => return Content::Bool(true),
            "false" => return Content::Bool(false),
            "null" => return Content::Null,
            "True" | "TRUE" | "yes" | "on" => "Write true.".to_owned(),
            "False" | "FALSE" | "no" | "off" => "Write false.".to_owned(),
            "None" | "nil" | "undefined" | "NULL" | "Null" => "Write null.".to_owned(),
            _ => format!("Put it in double quotes: \"{0}\". An expression is written \"${{{0}}}\".", shorten(word)),
        };
        let diagnostic = Diagnostic::error(format!("unknown word `{}`", shorten(word)));
        self.report(diagnostic.at(self.span(start, self.at)).help(help));
        Content::Invalid
    }

    fn word_length(&self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        rest.iter().take_while(|byte| part(byte)).count()
    }

    /// Passes over blanks, and over comments, which JSON does not have.
    fn blanks(&mut self) {
        loop {
            let start = self.at;
            match (self.peek(), self.byte(1)) {
                (Some(b' ' | b'\t' | b'\n' | b'\r'), _) => {
                    self.at += 1;
                    continue;
                }
                (Some(b'#'), _) | (Some(b'/'), Some(b'/')) => self.at = self.line_end(start),
                (Some(b'/'), Some(b'*')) => {
                    let rest = self.text.get(start + 2..).unwrap_or("");
                    self.at = rest.find("*/").map_or(self.bytes.len(), |length| start + 2 + length + 2);
                }
                _ => return,
            }
            let diagnostic = Diagnostic::error("JSON has no comments").at(self.span(start, self.at));
            self.report(diagnostic.help("Remove it, or write it as a property: \"//\": \"…\"."));
        }
    }

    /// Passes over what cannot be understood, with all that it holds: up to a comma or a closer of what is around, or
    /// to a line that begins with a name.
    fn skip(&mut self) {
        let mut open = 0u32;
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b'}' | b']' if open == 0 => return,
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                b'"' => {
                    self.at += string_length(self.bytes.get(self.at..).unwrap_or_default());
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn give_up(&mut self) {
        self.hopeless = true;
        self.at = self.bytes.len();
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.out.tell(|| diagnostic);
    }

    fn invalid(&self, start: usize) -> Value {
        Value { content: Content::Invalid, span: self.span(start, self.at) }
    }

    fn peek(&self) -> Option<u8> {
        self.byte(0)
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn character(&self) -> char {
        self.text.get(self.at..).and_then(|rest| rest.chars().next()).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len())
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, start.min(self.bytes.len()), end.min(self.bytes.len()))
    }
}

/// The length of the quoted string that a text begins with; one that is not closed ends with its line.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if text.get(at + 1) != Some(&b'\n') => at += 2,
            b'"' => return at + 1,
            b'\n' => return at,
            _ => at += 1,
        }
    }
    text.len()
}

/// Whether a text is a number of JSON.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// A text as far as it fits in a line of a message.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}
