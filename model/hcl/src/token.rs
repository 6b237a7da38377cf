//! What the lexer cuts text into. Between two neighbouring tokens there is nothing but spaces and tabs.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `\n` or `\r\n`.
    Newline,
    /// `# …` or `// …`, without the line break that ends it.
    LineComment,
    /// `/* … */`
    InlineComment,
    Identifier,
    Number,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    OpenParenthesis,
    CloseParenthesis,
    Equal,
    Colon,
    DoubleColon,
    Comma,
    Dot,
    Ellipsis,
    Question,
    Arrow,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    EqualEqual,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Bang,
    OpenQuote,
    CloseQuote,
    /// `<<NAME` or `<<-NAME` with the line break after it.
    OpenHeredoc,
    /// The last line of a heredoc: its name and the blanks around it, without the line break.
    CloseHeredoc,
    /// Text of a template; never longer than a line, except that it takes the line break in.
    Literal,
    /// `${` or `${~`
    OpenInterpolation,
    /// `%{` or `%{~`
    OpenDirective,
    /// `}` or `~}` of an interpolation or a directive.
    CloseSequence,
    /// Text that can be no token. The lexer has said why.
    Invalid,
    /// The end of the text.
    End,
}

/// A token: a kind and the bytes that it covers. A closer that the text lacks is put in with no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
}

impl Token {
    /// Its text; empty for a token of another text.
    pub fn text(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}
