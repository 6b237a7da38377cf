//! Cuts text into tokens, in time linear in its length, and says what can be no token.
//!
//! Templates hold expressions and expressions hold templates, so the lexer keeps a stack of modes. Where a string
//! or an interpolation is not closed, it puts the missing closers in, so that the parser sees balanced text, and
//! marks the damage, so that the parser does not complain about the same place again.

use crate::token::{Kind, Token};

/// What the lexer found.
pub(crate) struct Lexed {
    /// All tokens, comments included; the last one is [`Kind::End`].
    pub tokens: Vec<Token>,
    /// What can be no token, in the order found.
    pub faults: Vec<Fault>,
}

/// Text that can be no token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// What to point at: bytes.
    pub start: u32,
    /// Just past it.
    pub end: u32,
    /// How far text cannot be trusted, from `start`: complaints about places in it are follow-on noise.
    pub damage_end: u32,
}

/// Why text can be no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Characters that the language does not use.
    Character,
    /// `'text'`, or the same in backticks
    SingleQuotes,
    /// `“` and its like.
    CurlyQuotes,
    /// A quoted string that its line does not close.
    OpenString,
    /// `${` in a quoted string, not closed before the string or the text ends.
    OpenSequence,
    /// `/*` without `*/`.
    OpenComment,
    /// `<<NAME` whose closing line never comes.
    OpenHeredoc,
    /// A heredoc whose closing line the file ends with, without a line break.
    HeredocEnd,
    /// A line that version control left where two changes meet.
    Conflict,
    /// `<<` with no name, or with more than a name on its line.
    HeredocStart,
}

/// What the text at hand is.
#[derive(Clone, Copy)]
enum Mode {
    /// Expressions and bodies; `base` is how many brackets were open when it began.
    Code { base: usize, opener: Option<Opener> },
    /// Between quotes, the first of which is at `start`.
    Quoted { start: usize },
    /// In a heredoc that began at `start`, whose name is the range.
    Heredoc { start: usize, name: (usize, usize) },
    /// A file that is all template.
    Bare,
}

/// What began an interpolation or a directive.
#[derive(Clone, Copy)]
struct Opener {
    start: usize,
    end: usize,
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    modes: Vec<Mode>,
    /// Open brackets of all modes, innermost last.
    brackets: Vec<u8>,
    tokens: Vec<Token>,
    faults: Vec<Fault>,
    /// Whether a line break ends an interpolation in a quoted string. Set when the text turned out to have one that
    /// nothing closes: the lexer goes back to it, at most once.
    strict: bool,
    /// Whether a merge conflict has begun whose second side has not.
    in_conflict: bool,
    /// Whether the end of a merge conflict may still come: it is not looked for again where there was none.
    conflicts_end: bool,
}

/// Tokens of bodies and expressions.
pub(crate) fn lex(text: &str) -> Lexed {
    run(text, Mode::Code { base: 0, opener: None })
}

/// Tokens of a file that is all template.
pub(crate) fn lex_template(text: &str) -> Lexed {
    run(text, Mode::Bare)
}

fn run(text: &str, mode: Mode) -> Lexed {
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        at: 0,
        modes: vec![mode],
        brackets: Vec::new(),
        tokens: Vec::with_capacity(text.len() / 4 + 1),
        faults: Vec::new(),
        strict: false,
        in_conflict: false,
        conflicts_end: true,
    };
    // A byte-order mark says nothing: the text is UTF-8.
    if text.starts_with('\u{FEFF}') {
        lexer.at = '\u{FEFF}'.len_utf8();
    }
    lexer.all();
    Lexed { tokens: lexer.tokens, faults: lexer.faults }
}

impl Lexer<'_> {
    fn all(&mut self) {
        loop {
            while self.at < self.bytes.len() {
                match self.modes.last().copied() {
                    Some(Mode::Quoted { start }) => self.quoted(start),
                    Some(Mode::Heredoc { name, .. }) => self.heredoc(name),
                    Some(Mode::Bare) => self.template_line(),
                    Some(Mode::Code { .. }) | None => self.code(),
                }
            }
            if !self.finish() {
                break;
            }
        }
        let end = self.bytes.len();
        self.push(Kind::End, end, end);
    }

    /// Closes what is open at the end of the text; `true` where it went back to read some of it again.
    fn finish(&mut self) -> bool {
        let end = self.bytes.len();
        // An interpolation that a quoted string began and nothing closed has swallowed the rest of the text: go back
        // to the end of its line, once for a whole text.
        let last_line = self.text.rfind('\n').unwrap_or(0);
        let swallowed = self.modes.windows(2).position(|pair| {
            matches!(pair, [Mode::Quoted { .. }, Mode::Code { opener: Some(opener), .. }] if opener.end <= last_line)
        });
        if let (Some(index), false) = (swallowed, self.strict)
            && let Some(Mode::Code { base, opener: Some(opener) }) = self.modes.get(index + 1).copied()
        {
            self.strict = true;
            let line_end = self.line_end(opener.end);
            let kept = self
                .tokens
                .partition_point(|token| (token.end as usize) <= line_end && (token.start as usize) < line_end);
            self.tokens.truncate(kept);
            self.faults.retain(|fault| (fault.start as usize) < opener.start);
            self.modes.truncate(index + 2);
            self.brackets.truncate(base);
            self.at = line_end;
            self.abandon_line(line_end);
            return true;
        }
        if let Some(index) =
            self.modes.iter().position(|mode| !matches!(mode, Mode::Bare | Mode::Code { opener: None, .. }))
        {
            self.abandon(index, end);
        }
        false
    }

    /// Gives up the modes that were begun on the line that ends at `end`, and puts their closers in.
    fn abandon_line(&mut self, end: usize) {
        let line_start = self.text.get(..end).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        // The innermost string is what the line break ends, wherever it began.
        let mut given_up = None;
        for (index, mode) in self.modes.iter().enumerate().rev() {
            let start = match mode {
                Mode::Quoted { start } | Mode::Heredoc { start, .. } => *start,
                Mode::Code { opener: Some(opener), .. } => opener.start,
                Mode::Code { opener: None, .. } | Mode::Bare => break,
            };
            if given_up.is_some() && start < line_start {
                break;
            }
            // An interpolation of this line that a broken string is in is as broken, whatever it is in itself.
            let begun_here = matches!(mode, Mode::Code { .. }) && start >= line_start;
            if matches!(mode, Mode::Quoted { .. }) || begun_here {
                given_up = Some(index);
            }
        }
        if let Some(index) = given_up {
            self.abandon(index, end);
        }
    }

    /// Gives up all modes from `index` on, says so once, and puts their closers in.
    fn abandon(&mut self, index: usize, end: usize) {
        let fault = match (self.modes.get(index).copied(), self.modes.get(index + 1).copied()) {
            (_, Some(Mode::Code { opener: Some(opener), .. })) => (FaultKind::OpenSequence, opener.start, opener.end),
            (Some(Mode::Code { opener: Some(opener), .. }), _) => (FaultKind::OpenSequence, opener.start, opener.end),
            (Some(Mode::Heredoc { start, name }), _) => (FaultKind::OpenHeredoc, start, name.1),
            (Some(Mode::Quoted { start }), _) => (FaultKind::OpenString, start, end),
            _ => return,
        };
        let (kind, start, shown_end) = fault;
        self.fault(kind, start, shown_end, end);
        while self.modes.len() > index {
            match self.modes.pop() {
                Some(Mode::Quoted { .. }) => self.push(Kind::CloseQuote, end, end),
                Some(Mode::Heredoc { .. }) => self.push(Kind::CloseHeredoc, end, end),
                Some(Mode::Code { base, opener }) => {
                    self.brackets.truncate(base);
                    if opener.is_some() {
                        self.push(Kind::CloseSequence, end, end);
                    }
                }
                Some(Mode::Bare) | None => {}
            }
        }
    }

    /// One token of an expression or a body, or blanks.
    fn code(&mut self) {
        let start = self.at;
        let Some(&byte) = self.bytes.get(start) else { return };
        match byte {
            b'<' | b'=' | b'>' | b'|' if self.at_conflict(byte) => self.conflict(byte),
            b' ' | b'\t' => self.at += 1,
            b'\n' => self.line_break(start, start + 1),
            b'\r' if self.byte(start + 1) == Some(b'\n') => self.line_break(start, start + 2),
            b'#' => self.line_comment(),
            b'/' if self.byte(start + 1) == Some(b'/') => self.line_comment(),
            b'/' if self.byte(start + 1) == Some(b'*') => self.inline_comment(),
            b'0'..=b'9' => self.number(),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => self.identifier(),
            b'"' => {
                self.take(Kind::OpenQuote, 1);
                self.modes.push(Mode::Quoted { start });
            }
            b'\'' | b'`' => self.other_quotes(byte),
            b'<' if self.byte(start + 1) == Some(b'<') => self.heredoc_start(),
            b'{' | b'[' | b'(' => {
                self.brackets.push(byte);
                self.take(
                    match byte {
                        b'{' => Kind::OpenBrace,
                        b'[' => Kind::OpenBracket,
                        _ => Kind::OpenParenthesis,
                    },
                    1,
                );
            }
            b'}' | b']' | b')' => self.close_bracket(byte),
            b'~' if self.byte(start + 1) == Some(b'}') && self.at_sequence_end() => self.close_sequence(2),
            128.. => self.wide(),
            _ => match self.punctuation() {
                Some((kind, length)) => self.take(kind, length),
                None => self.invalid(1),
            },
        }
    }

    /// Whether a line of a merge conflict is at hand: seven of a kind at the start of a line.
    fn at_conflict(&self, byte: u8) -> bool {
        const LENGTH: usize = 7;
        let at_start = self.at == 0 || self.byte(self.at - 1) == Some(b'\n');
        let marks = self.bytes.get(self.at..self.at + LENGTH);
        at_start
            && marks.is_some_and(|marks| marks.iter().all(|other| *other == byte))
            && matches!(self.byte(self.at + LENGTH), Some(b' ' | b'\n' | b'\r') | None)
    }

    /// A conflict is told once, where it begins. Of its two sides the first is read, so that nothing is there twice.
    fn conflict(&mut self, byte: u8) {
        let start = self.at;
        let mut end = self.line_end(start);
        if byte == b'<' || !self.in_conflict {
            self.fault(FaultKind::Conflict, start, end, end);
        }
        self.in_conflict = byte == b'<';
        if (byte == b'=' || byte == b'|') && self.conflicts_end {
            match self.text.get(end..).and_then(|rest| rest.find("\n>>>>>>>")) {
                Some(length) => end = self.line_end(end + length + 1),
                None => self.conflicts_end = false,
            }
        }
        self.push(Kind::LineComment, start, end);
        self.at = end;
    }

    fn punctuation(&self) -> Option<(Kind, usize)> {
        let first = self.byte(self.at)?;
        let second = self.byte(self.at + 1);
        let third = self.byte(self.at + 2);
        Some(match (first, second, third) {
            (b'.', Some(b'.'), Some(b'.')) => (Kind::Ellipsis, 3),
            (b':', Some(b':'), _) => (Kind::DoubleColon, 2),
            (b'=', Some(b'='), _) => (Kind::EqualEqual, 2),
            (b'=', Some(b'>'), _) => (Kind::Arrow, 2),
            (b'!', Some(b'='), _) => (Kind::NotEqual, 2),
            (b'<', Some(b'='), _) => (Kind::LessOrEqual, 2),
            (b'>', Some(b'='), _) => (Kind::GreaterOrEqual, 2),
            (b'&', Some(b'&'), _) => (Kind::And, 2),
            (b'|', Some(b'|'), _) => (Kind::Or, 2),
            (b'=', ..) => (Kind::Equal, 1),
            (b':', ..) => (Kind::Colon, 1),
            (b',', ..) => (Kind::Comma, 1),
            (b'.', ..) => (Kind::Dot, 1),
            (b'?', ..) => (Kind::Question, 1),
            (b'+', ..) => (Kind::Plus, 1),
            (b'-', ..) => (Kind::Minus, 1),
            (b'*', ..) => (Kind::Star, 1),
            (b'/', ..) => (Kind::Slash, 1),
            (b'%', ..) => (Kind::Percent, 1),
            (b'<', ..) => (Kind::Less, 1),
            (b'>', ..) => (Kind::Greater, 1),
            (b'!', ..) => (Kind::Bang, 1),
            _ => return None,
        })
    }

    /// A line break between tokens. Inside an interpolation of a quoted string it may show that the `}` is missing:
    /// when the next line can only be an item of a body.
    fn line_break(&mut self, start: usize, end: usize) {
        let in_string = matches!(self.modes.as_slice(), [.., Mode::Quoted { .. }, Mode::Code { opener: Some(_), .. }]);
        if in_string && (self.strict || (self.innermost_bracket() != Some(b'{') && self.item_begins(end))) {
            self.abandon_line(start);
            return;
        }
        self.push(Kind::Newline, start, end);
        self.at = end;
    }

    /// Whether an item of a body begins on the line at `at`: `name =` or `name {`.
    fn item_begins(&self, at: usize) -> bool {
        let rest = self.text.get(at..).unwrap_or("").trim_start_matches([' ', '\t']);
        let name = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
        let mut after = rest.get(name..).unwrap_or("").trim_start_matches([' ', '\t']).bytes();
        name > 0 && matches!((after.next(), after.next()), (Some(b'='), Some(b' ' | b'\t' | b'"')) | (Some(b'{'), _))
    }

    fn innermost_bracket(&self) -> Option<u8> {
        self.brackets.get(self.base()..).and_then(<[u8]>::last).copied()
    }

    fn base(&self) -> usize {
        match self.modes.last() {
            Some(Mode::Code { base, .. }) => *base,
            _ => 0,
        }
    }

    /// Whether the brace at hand closes the interpolation or directive rather than a brace in it. A brace also closes
    /// what was left open inside it, which the parser tells.
    fn at_sequence_end(&mut self) -> bool {
        while self.innermost_bracket().is_some_and(|innermost| innermost != b'{') {
            self.brackets.pop();
        }
        matches!(self.modes.last(), Some(Mode::Code { base, opener: Some(_) }) if self.brackets.len() == *base)
    }

    fn close_bracket(&mut self, byte: u8) {
        let (kind, opener) = match byte {
            b'}' => (Kind::CloseBrace, b'{'),
            b']' => (Kind::CloseBracket, b'['),
            _ => (Kind::CloseParenthesis, b'('),
        };
        if byte == b'}' && self.at_sequence_end() {
            return self.close_sequence(1);
        }
        if self.innermost_bracket() == Some(opener) {
            self.brackets.pop();
        }
        self.take(kind, 1);
    }

    fn close_sequence(&mut self, length: usize) {
        let base = self.base();
        self.brackets.truncate(base);
        self.modes.pop();
        self.take(Kind::CloseSequence, length);
    }

    fn line_comment(&mut self) {
        let start = self.at;
        let end = self.line_end(start);
        self.push(Kind::LineComment, start, end);
        self.at = end;
    }

    fn inline_comment(&mut self) {
        let start = self.at;
        match self.text.get(start + 2..).and_then(|rest| rest.find("*/")) {
            Some(length) => self.take(Kind::InlineComment, length + 4),
            None => {
                self.fault(FaultKind::OpenComment, start, start + 2, self.bytes.len());
                self.take(Kind::Invalid, self.bytes.len() - start);
            }
        }
    }

    fn number(&mut self) {
        let digits = |from: usize| {
            from + self.bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let start = self.at;
        let mut end = digits(start);
        if self.byte(end) == Some(b'.') && digits(end + 1) > end + 1 {
            end = digits(end + 1);
        }
        if matches!(self.byte(end), Some(b'e' | b'E')) {
            let exponent = end + 1 + usize::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            if digits(exponent) > exponent {
                end = digits(exponent);
            }
        }
        self.push(Kind::Number, start, end);
        self.at = end;
    }

    fn identifier(&mut self) {
        let start = self.at;
        let end = start + identifier_length(self.text.get(start..).unwrap_or(""));
        self.push(Kind::Identifier, start, end);
        self.at = end;
    }

    /// A character outside ASCII: a name, or something that the language does not use.
    fn wide(&mut self) {
        let Some(character) = self.text.get(self.at..).and_then(|rest| rest.chars().next()) else { return };
        if unicode_ident::is_xid_start(character) {
            return self.identifier();
        }
        if matches!(character, '“' | '”' | '„' | '‘' | '’') {
            let rest = self.text.get(self.at..).unwrap_or("");
            let line = rest.char_indices().skip(1).take_while(|(_, other)| *other != '\n');
            let closing = { line }.find(|(_, other)| matches!(other, '“' | '”' | '„' | '‘' | '’'));
            let length = closing.map_or(character.len_utf8(), |(at, other)| at + other.len_utf8());
            return self.faulty(FaultKind::CurlyQuotes, length);
        }
        self.invalid(character.len_utf8());
    }

    /// `'text'`, or the same in backticks: taken whole, so that its content makes no noise.
    fn other_quotes(&mut self, quote: u8) {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == quote || *byte == b'\n') {
            Some(length) if rest.get(length) == Some(&quote) => self.faulty(FaultKind::SingleQuotes, length + 2),
            _ => self.faulty(FaultKind::SingleQuotes, 1),
        }
    }

    /// A character that the language does not use. Neighbours of its kind are one fault.
    fn invalid(&mut self, length: usize) {
        let start = self.at;
        let joins =
            self.faults.last().is_some_and(|fault| fault.kind == FaultKind::Character && fault.end as usize == start);
        if let (true, Some(fault), Some(token)) = (joins, self.faults.last_mut(), self.tokens.last_mut()) {
            let end = offset(start + length);
            (fault.end, fault.damage_end, token.end) = (end, end, end);
            self.at = start + length;
            return;
        }
        self.faulty(FaultKind::Character, length);
    }

    fn faulty(&mut self, kind: FaultKind, length: usize) {
        self.fault(kind, self.at, self.at + length, self.at + length);
        self.take(Kind::Invalid, length);
    }

    /// `<<NAME` or `<<-NAME`, alone at the end of its line.
    fn heredoc_start(&mut self) {
        let start = self.at;
        let mut name_start = start + 2 + usize::from(self.byte(start + 2) == Some(b'-'));
        let blanks = self.misplaced_name(name_start);
        name_start += blanks;
        let name_end = name_start + identifier_length(self.text.get(name_start..).unwrap_or(""));
        if name_end == name_start {
            return self.faulty(FaultKind::HeredocStart, name_start - start);
        }
        let line_end = self.line_end(name_end);
        let begins_line = match self.byte(line_end) {
            Some(b'\r') => line_end + 2,
            Some(_) => line_end + 1,
            None => line_end,
        };
        if name_end != line_end || blanks > 0 {
            // What follows the name is told and passed over, so that the heredoc's text is still read as such.
            self.fault(FaultKind::HeredocStart, start, line_end, line_end);
        }
        self.push(Kind::OpenHeredoc, start, begins_line);
        self.at = begins_line;
        self.modes.push(Mode::Heredoc { start, name: (name_start, name_end) });
    }

    /// How many blanks and quotes are before the name of a heredoc: none, unless a line soon after holds only that name.
    fn misplaced_name(&self, at: usize) -> usize {
        const SOON: usize = 2000;
        let rest = self.text.get(at..).unwrap_or("");
        let name = rest.trim_start_matches([' ', '\t', '\'', '"']);
        let word = name.get(..identifier_length(name)).unwrap_or("");
        let blanks = rest.len() - name.len();
        let closes = |line: &str| line.trim_matches([' ', '\t', '\r']) == word;
        let near = name.lines().skip(1).scan(0, |far, line| {
            *far += line.len() + 1;
            (*far < SOON).then_some(line)
        });
        if blanks == 0 || word.is_empty() || !{ near }.any(closes) { 0 } else { blanks }
    }

    /// A line of a heredoc, or what is left of one after an interpolation.
    fn heredoc(&mut self, name: (usize, usize)) {
        if self.byte(self.at.wrapping_sub(1)) == Some(b'\n') {
            let end = self.line_end(self.at);
            let line = self.text.get(self.at..end).unwrap_or("");
            if Some(line.trim_matches([' ', '\t'])) == self.text.get(name.0..name.1) {
                self.push(Kind::CloseHeredoc, self.at, end);
                if end == self.bytes.len() {
                    self.fault(FaultKind::HeredocEnd, self.at, end, end);
                }
                self.at = end;
                self.modes.pop();
                return;
            }
        }
        self.template_line();
    }

    /// Text up to the end of its line, or to the interpolation or directive that it then begins.
    fn template_line(&mut self) {
        let start = self.at;
        let mut at = start;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'\n' => {
                    at += 1;
                    break;
                }
                b'$' | b'%' if self.byte(at + 1) == Some(b'{') => return self.open_sequence(start, at, byte),
                b'$' | b'%' if self.byte(at + 1) == Some(byte) && self.byte(at + 2) == Some(b'{') => at += 3,
                _ => at += 1,
            }
        }
        self.push(Kind::Literal, start, at);
        self.at = at;
    }

    /// Text between quotes, up to the closing quote or to the interpolation or directive that it then begins.
    fn quoted(&mut self, opening: usize) {
        let start = self.at;
        let mut at = start;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'"' => {
                    self.literal(start, at);
                    self.modes.pop();
                    return self.take(Kind::CloseQuote, 1);
                }
                b'\\' if !matches!(self.byte(at + 1), Some(b'\n' | b'\r') | None) => {
                    at += 1 + self.text.get(at + 1..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
                }
                b'$' | b'%' if self.byte(at + 1) == Some(b'{') => return self.open_sequence(start, at, byte),
                b'$' | b'%' if self.byte(at + 1) == Some(byte) && self.byte(at + 2) == Some(b'{') => at += 3,
                b'\n' => break,
                _ => at += 1,
            }
        }
        let end =
            if self.byte(at) == Some(b'\n') && at > opening && self.byte(at - 1) == Some(b'\r') { at - 1 } else { at };
        self.literal(start, end.max(start));
        self.at = end.max(start);
        self.abandon_line(self.at);
    }

    fn open_sequence(&mut self, literal_start: usize, at: usize, byte: u8) {
        self.literal(literal_start, at);
        let length = 2 + usize::from(self.byte(at + 2) == Some(b'~'));
        let kind = if byte == b'$' { Kind::OpenInterpolation } else { Kind::OpenDirective };
        self.take(kind, length);
        let opener = Opener { start: at, end: at + length };
        self.modes.push(Mode::Code { base: self.brackets.len(), opener: Some(opener) });
    }

    fn literal(&mut self, start: usize, end: usize) {
        if end > start {
            self.push(Kind::Literal, start, end);
        }
        self.at = end;
    }

    /// Where the line of `from` ends, before its line break.
    fn line_end(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(length) if length > 0 && self.byte(from + length - 1) == Some(b'\r') => from + length - 1,
            Some(length) => from + length,
            None => self.bytes.len(),
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn take(&mut self, kind: Kind, length: usize) {
        self.push(kind, self.at, self.at + length);
        self.at += length;
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        self.tokens.push(Token { kind, start: offset(start), end: offset(end) });
    }

    fn fault(&mut self, kind: FaultKind, start: usize, end: usize, damage_end: usize) {
        self.faults.push(Fault { kind, start: offset(start), end: offset(end), damage_end: offset(damage_end) });
    }
}

/// The length of the name that a text begins with: Unicode's `XID_Start XID_Continue*`, with `_` and `-` as well.
pub(crate) fn identifier_length(text: &str) -> usize {
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let fits = match character {
            'a'..='z' | 'A'..='Z' | '_' => true,
            '0'..='9' | '-' => at > 0,
            _ if at == 0 => unicode_ident::is_xid_start(character),
            _ => unicode_ident::is_xid_continue(character),
        };
        if !fits {
            break;
        }
        end = at + character.len_utf8();
    }
    end
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
