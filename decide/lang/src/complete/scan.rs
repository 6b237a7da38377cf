//! What is open at the end of a text that is still being typed. Not a parser: it only knows what opens and closes.

/// Something that was opened and not closed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Open {
    /// `(`, the name of the function before it, and how many commas have come.
    Parenthesis { function: Option<String>, commas: usize },
    /// `[`
    Bracket,
    /// `{`
    Brace,
    /// `"`
    Quote,
    /// `${` or `%{`
    Interpolation,
    /// `<<MARK`
    Heredoc(String),
    /// `/*`
    Comment,
}

/// The text, looked at.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// What is open, from the outermost in.
    pub open: Vec<Open>,
    /// Something was closed that was not open: no more text mends that.
    pub broken: bool,
}

/// Looks at a text.
pub(super) fn scan(text: &str) -> Scan {
    let mut scan = Scan::default();
    let mut word = String::new();
    let mut rest = text;
    let mut line_start = true;
    while let Some(letter) = rest.chars().next() {
        let at_line_start = std::mem::replace(&mut line_start, letter == '\n');
        let taken = match scan.open.last() {
            Some(Open::Comment) => scan.comment(rest),
            Some(Open::Quote) => scan.quote(rest, letter),
            Some(Open::Heredoc(mark)) => {
                let line = rest.split('\n').next().unwrap_or_default();
                if at_line_start && line.trim() == mark {
                    scan.open.pop();
                    line.len()
                } else {
                    scan.template(rest, letter)
                }
            }
            _ => scan.code(rest, letter, &mut word),
        };
        let Some(next) = rest.get(taken.max(letter.len_utf8())..) else { break };
        rest = next;
    }
    scan
}

impl Scan {
    fn comment(&mut self, rest: &str) -> usize {
        match rest.find("*/") {
            Some(end) => {
                self.open.pop();
                end + 2
            }
            None => rest.len(),
        }
    }

    fn quote(&mut self, rest: &str, letter: char) -> usize {
        match letter {
            '"' => {
                self.open.pop();
                1
            }
            '\\' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            // A quoted string ends with its line; the parser says so.
            '\n' => {
                self.open.pop();
                self.broken = true;
                1
            }
            _ => self.template(rest, letter),
        }
    }

    fn template(&mut self, rest: &str, letter: char) -> usize {
        if rest.starts_with("$${") || rest.starts_with("%%{") {
            return 3;
        }
        if rest.starts_with("${") || rest.starts_with("%{") {
            self.open.push(Open::Interpolation);
            return 2;
        }
        letter.len_utf8()
    }

    fn code(&mut self, rest: &str, letter: char, word: &mut String) -> usize {
        if letter.is_alphanumeric() || matches!(letter, '_' | ':') || (letter == '-' && !word.is_empty()) {
            word.push(letter);
            return letter.len_utf8();
        }
        let name = std::mem::take(word);
        if letter == '#' || rest.starts_with("//") {
            return rest.find('\n').unwrap_or(rest.len());
        }
        if rest.starts_with("/*") {
            self.open.push(Open::Comment);
            return 2;
        }
        if let Some(after) = rest.strip_prefix("<<") {
            let marked = after.strip_prefix('-').unwrap_or(after);
            let line = marked.split('\n').next().unwrap_or_default().trim_end();
            let is_name = line.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'));
            if is_name && !line.is_empty() {
                self.open.push(Open::Heredoc(line.to_owned()));
                return rest.find('\n').unwrap_or(rest.len());
            }
        }
        match letter {
            '(' => {
                self.open.push(Open::Parenthesis { function: Some(name).filter(|name| !name.is_empty()), commas: 0 })
            }
            '[' => self.open.push(Open::Bracket),
            '{' => self.open.push(Open::Brace),
            '"' => self.open.push(Open::Quote),
            ')' => self.close(|open| matches!(open, Open::Parenthesis { .. })),
            ']' => self.close(|open| *open == Open::Bracket),
            '}' => self.close(|open| matches!(open, Open::Brace | Open::Interpolation)),
            ',' => {
                if let Some(Open::Parenthesis { commas, .. }) = self.open.last_mut() {
                    *commas += 1;
                }
            }
            _ => {}
        }
        letter.len_utf8()
    }

    fn close(&mut self, fits: impl Fn(&Open) -> bool) {
        match self.open.last() {
            Some(open) if fits(open) => drop(self.open.pop()),
            _ => self.broken = true,
        }
    }
}
