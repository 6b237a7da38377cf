/// Whether text may carry colour. Everything makes sense without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// ANSI colours are wanted.
    pub colour: bool,
}

impl Paint {
    /// No colour.
    pub const PLAIN: Paint = Paint { colour: false };

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Stands out.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Steps back.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Something new, or well.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Something that changes, or wants attention.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Something that goes, or failed.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// A name.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// A line of a unified diff, by its first letter.
    pub fn diff_line(self, line: &str) -> String {
        match line.as_bytes().first() {
            Some(b'+') => self.green(line),
            Some(b'-') => self.red(line),
            Some(b'@') => self.cyan(line),
            _ => line.to_owned(),
        }
    }
}
