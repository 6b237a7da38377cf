//! A recovering recursive-descent parser.
//!
//! Every construct is parsed by a method of [`Parser`]; what it cannot understand it reports once, passes over, and
//! leaves in the tree as [`ExprKind::Invalid`](crate::ast::ExprKind::Invalid). Depth is bounded, both of recursion
//! here and of the trees handed out, so that no reader of a tree needs a guard of its own.

mod body;
mod collection;
mod expression;
pub(crate) mod fault;
mod literal;
mod template;

use std::sync::Arc;

use andon_text::{Diagnostic, Diagnostics, SourceId, Span, deeper};
use rustc_hash::FxHashSet;

use self::fault::Told;
use crate::ast::{Body, Expr, ExprKind, Template};
use crate::lexer::{self, FaultKind, Lexed};
use crate::token::{Kind, Token};

/// How deep constructs may be nested in each other: brackets, blocks, templates, directives, JSON. Chains of operators,
/// of conditionals and of steps nest nothing; see [`CHAIN_LIMIT`].
pub const NESTING_LIMIT: u32 = 1000;

/// How many links a chain may have: every reader of one takes room on the stack for each.
pub const CHAIN_LIMIT: usize = 100_000;

/// Parses a file of definitions. Gives all that could be understood, and every syntax error in the order of the text.
pub fn parse_body(source: SourceId, text: &str) -> (Body, Diagnostics) {
    let mut parser = Parser::new(source, text, lexer::lex(text));
    let body = parser.file();
    (body, parser.finish())
}

/// Parses one expression, which must be the whole text; line breaks around it are no matter, nor is the lack of one
/// after a heredoc.
pub fn parse_expression(source: SourceId, text: &str) -> (Expr, Diagnostics) {
    parse_inner_expression(source, text, 0)
}

/// Parses a whole text as one template: no quotes around it and no escapes but `$${` and `%%{`, as in a heredoc.
pub fn parse_template(source: SourceId, text: &str) -> (Template, Diagnostics) {
    let mut parser = Parser::new(source, text, lexer::lex_template(text));
    let template = parser.bare_template();
    (template, parser.finish())
}

/// Parses the text of a string that is `depth` levels deep in another tree as one expression. Its places are those in
/// `text`.
pub(crate) fn parse_inner_expression(source: SourceId, text: &str, depth: u32) -> (Expr, Diagnostics) {
    let mut lexed = lexer::lex(text);
    lexed.faults.retain(|fault| fault.kind != FaultKind::HeredocEnd);
    let parser = Parser::new(source, text, lexed);
    Parser { depth, ..parser }.whole_expression()
}

/// As [`parse_inner_expression`], for a template.
pub(crate) fn parse_inner_template(source: SourceId, text: &str, depth: u32) -> (Template, Diagnostics) {
    let parser = Parser::new(source, text, lexer::lex_template(text));
    let mut parser = Parser { depth, ..parser };
    let template = parser.bare_template();
    (template, parser.finish())
}

struct Parser<'a> {
    source: SourceId,
    text: &'a str,
    /// Without comments; the last one is [`Kind::End`].
    tokens: Vec<Token>,
    at: usize,
    /// Whether line breaks are blanks here, as they are inside `()` and `[]`.
    newlines_are_blank: bool,
    depth: u32,
    told: Told,
    /// Ranges in which the lexer found a fault, in order: a complaint about such a place is follow-on noise.
    damage: Vec<(u32, u32)>,
    /// The token at which something was last reported: a second report there is noise too.
    reported_at: Option<usize>,
    /// Whether the item at hand was already said to be too deep.
    too_deep: bool,
    /// Every word so far: files say the same few over and over, so each is kept once.
    words: FxHashSet<Arc<str>>,
}

impl<'a> Parser<'a> {
    fn new(source: SourceId, text: &'a str, lexed: Lexed) -> Parser<'a> {
        let Lexed { mut tokens, mut faults } = lexed;
        tokens.retain(|token| !matches!(token.kind, Kind::LineComment | Kind::InlineComment));
        faults.sort_by_key(|fault| fault.start);
        let mut parser = Parser {
            source,
            text,
            tokens,
            at: 0,
            newlines_are_blank: false,
            depth: 0,
            told: Told::default(),
            damage: Vec::new(),
            reported_at: None,
            too_deep: false,
            words: FxHashSet::default(),
        };
        // Where a quote is missing, what is text and what is not has changed places on the whole line.
        let mut confused: Vec<(u32, u32)> = Vec::new();
        let (mut seen, mut line_start) = (0, 0);
        for fault in faults.iter().filter(|fault| fault.kind == FaultKind::OpenString) {
            let between = text.get(seen as usize..fault.start as usize).unwrap_or("");
            if let Some(at) = between.rfind('\n') {
                line_start = seen + u32::try_from(at).unwrap_or(0) + 1;
            }
            seen = fault.start;
            confused.push((line_start, fault.damage_end));
        }
        for fault in faults {
            let line = confused.partition_point(|(start, _)| *start <= fault.start);
            let line = line.checked_sub(1).and_then(|index| confused.get(index).copied());
            let line = line.filter(|(_, end)| fault.start < *end);
            let follows = line.is_some() && fault.kind != FaultKind::OpenString;
            if !follows && parser.damage.last().is_none_or(|(_, end)| fault.start >= *end) {
                let span = parser.span(fault.start, fault.end);
                parser.told.tell(|| fault::explain(fault, span, text));
                parser.damage.push((line.map_or(fault.start, |(start, _)| start), fault.damage_end));
            }
        }
        parser
    }

    fn whole_expression(mut self) -> (Expr, Diagnostics) {
        self.skip_newlines();
        let expression = self.expression();
        self.skip_newlines();
        if self.peek() != Kind::End {
            self.unexpected("the expression ends before this", "Remove it, or join it to the expression.");
        }
        (expression, self.finish())
    }

    fn finish(self) -> Diagnostics {
        self.told.in_order()
    }

    /// The token at hand, past line breaks where they are blank.
    fn token(&mut self) -> Token {
        if self.newlines_are_blank {
            self.skip_newlines();
        }
        self.token_at(self.at)
    }

    fn peek(&mut self) -> Kind {
        self.token().kind
    }

    /// The token some places after the one at hand, line breaks counted.
    fn ahead(&mut self, places: usize) -> Token {
        self.token();
        self.token_at(self.at + places)
    }

    fn token_at(&self, index: usize) -> Token {
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.tokens.get(index).or(self.tokens.last()).copied().unwrap_or(Token { kind: Kind::End, start: end, end })
    }

    fn previous(&self) -> Token {
        self.token_at(self.at.saturating_sub(1))
    }

    /// Takes the token at hand. The end stays at hand for ever.
    fn take(&mut self) -> Token {
        let token = self.token();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn take_if(&mut self, kind: Kind) -> Option<Token> {
        (self.peek() == kind).then(|| self.take())
    }

    /// Whether the token at hand is a certain word.
    fn at_word(&mut self, word: &str) -> bool {
        let token = self.token();
        token.kind == Kind::Identifier && token.text(self.text) == word
    }

    fn skip_newlines(&mut self) {
        while self.token_at(self.at).kind == Kind::Newline {
            self.at += 1;
        }
    }

    /// Runs a parse in which line breaks are blank or not, and goes back to how it was.
    fn with_newlines<T>(&mut self, blank: bool, parse: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.newlines_are_blank, blank);
        let result = parse(self);
        self.newlines_are_blank = before;
        result
    }

    fn span(&self, start: u32, end: u32) -> Span {
        Span::new(self.source, start as usize, end as usize)
    }

    fn span_of(&self, token: Token) -> Span {
        self.span(token.start, token.end)
    }

    /// From the start of a span to the end of the last token taken.
    fn since(&self, start: Span) -> Span {
        let mut index = self.at;
        // A line break passed over on the way to the next token is no part of what was parsed.
        while index > 0 && self.token_at(index - 1).kind == Kind::Newline {
            index -= 1;
        }
        let end = if index == 0 { start.end } else { self.token_at(index - 1).end };
        Span { end: end.max(start.end), ..start }
    }

    /// Reports an error about the token at hand, unless it only follows from what was already reported.
    fn report(&mut self, diagnostic: Diagnostic) {
        let here = Some(self.at);
        if self.too_deep || self.reported_at == here || diagnostic.span.is_some_and(|span| self.is_damaged(span)) {
            self.reported_at = here;
            return;
        }
        let token = self.token_at(self.at);
        if self.is_damaged(self.span_of(token)) && token.kind != Kind::End {
            self.reported_at = here;
            return;
        }
        self.reported_at = here;
        // A line break is nothing to underline: the place is before it.
        let at_break =
            |span: &Span| self.text.get(span.start as usize..).is_some_and(|rest| rest.starts_with(['\n', '\r']));
        let span = diagnostic.span.map(|span| if at_break(&span) { span.head() } else { span });
        self.told.tell(|| Diagnostic { span, ..diagnostic });
    }

    fn is_damaged(&self, span: Span) -> bool {
        let index = self.damage.partition_point(|(start, _)| *start <= span.start);
        index.checked_sub(1).and_then(|index| self.damage.get(index)).is_some_and(|(_, end)| span.start <= *end)
    }

    /// Reports the token at hand as one that does not belong there.
    fn unexpected(&mut self, label: &str, help: &str) {
        let token = self.token();
        let diagnostic = Diagnostic::error(format!("unexpected {}", self.describe(token)));
        self.report(diagnostic.at(self.span_of(token)).label(label).help(help));
    }

    /// A token in the words of a message.
    fn describe(&self, token: Token) -> String {
        match token.kind {
            Kind::Newline => "end of the line".to_owned(),
            Kind::End => "end of the file".to_owned(),
            Kind::OpenQuote | Kind::Literal => "string".to_owned(),
            Kind::OpenHeredoc => "heredoc".to_owned(),
            Kind::CloseQuote => "end of the string".to_owned(),
            Kind::CloseHeredoc => "end of the heredoc".to_owned(),
            _ => {
                let text = token.text(self.text);
                let short = text.char_indices().nth(40).map_or(text, |(end, _)| text.get(..end).unwrap_or(text));
                format!("`{short}`")
            }
        }
    }

    /// Goes one level deeper, and does not come back with more than the limit allows.
    fn nested(&mut self, start: Span, parse: impl FnOnce(&mut Self) -> Expr) -> Expr {
        if self.depth >= NESTING_LIMIT {
            return self.give_up_nesting(start);
        }
        self.depth += 1;
        let result = deeper(|| parse(self));
        self.depth -= 1;
        result
    }

    fn give_up_nesting(&mut self, start: Span) -> Expr {
        self.say_too_deep(start);
        if self.token_at(self.at).kind != Kind::End {
            self.pass_over();
            self.skip_to(&[Kind::Comma]);
        }
        invalid(self.since(start))
    }

    /// Gives up a chain of too many links, with what is left of it.
    fn too_long(&mut self, start: Span) -> Expr {
        if !std::mem::replace(&mut self.too_deep, true) {
            let diagnostic = Diagnostic::error("expression is too long").at(start.head());
            let diagnostic =
                diagnostic.detail(format!("At most {CHAIN_LIMIT} operators or steps may follow each other."));
            self.told.tell(|| diagnostic.help("Give parts of it names of their own, for example as local values."));
        }
        self.skip_to(&[Kind::Comma]);
        invalid(self.since(start))
    }

    fn say_too_deep(&mut self, span: Span) {
        if !std::mem::replace(&mut self.too_deep, true) {
            let diagnostic = Diagnostic::error("expressions are nested too deeply")
                .at(span.head())
                .detail(format!("At most {NESTING_LIMIT} levels may be nested."))
                .help("Give parts of it names of their own, for example as local values.");
            self.told.tell(|| diagnostic);
        }
    }

    /// Passes over one token, or over a bracket or template with all that is in it.
    fn pass_over(&mut self) {
        let mut open: Vec<Kind> = Vec::new();
        loop {
            let kind = self.token_at(self.at).kind;
            if kind == Kind::End || (!open.is_empty() && self.item_begins() && open.last() != Some(&Kind::CloseBrace)) {
                return;
            }
            if let Some(closer) = closer_of(kind) {
                open.push(closer);
            } else if is_closer(kind) {
                match open.iter().rposition(|closer| *closer == kind) {
                    Some(index) => open.truncate(index),
                    None if open.is_empty() => {}
                    None => return,
                }
            }
            self.at += 1;
            if open.is_empty() {
                return;
            }
        }
    }

    /// Passes over what cannot be understood, up to a token of a kind, a closer of something begun before, the end
    /// of the line where that matters, or the start of an item of a body.
    fn skip_to(&mut self, kinds: &[Kind]) {
        loop {
            let kind = self.peek();
            let stops = kind == Kind::End || kind == Kind::Newline || is_closer(kind) || kinds.contains(&kind);
            if stops || self.item_begins() {
                return;
            }
            self.pass_over();
        }
    }

    /// Whether the token at hand is first on its line and begins what only a body can hold: `name =`, or a block.
    fn item_begins(&self) -> bool {
        let first = self.at > 0 && self.token_at(self.at - 1).kind == Kind::Newline;
        first
            && self.token_at(self.at).kind == Kind::Identifier
            && (self.token_at(self.at + 1).kind == Kind::Equal || self.block_begins())
    }

    /// Whether a block's head is at hand: a name, labels, and `{`.
    fn block_begins(&self) -> bool {
        let mut index = self.at;
        if self.token_at(index).kind != Kind::Identifier {
            return false;
        }
        loop {
            index += 1;
            match self.token_at(index).kind {
                Kind::Identifier | Kind::Literal | Kind::CloseQuote | Kind::OpenQuote => {}
                Kind::OpenBrace => return true,
                _ => return false,
            }
        }
    }

    /// Takes the closer of a bracket; reports the bracket as not closed where something else is at hand.
    fn close(&mut self, opener: Token, closer: Kind) {
        if self.take_if(closer).is_some() {
            return;
        }
        let here = self.token();
        let (open, close) = (opener.text(self.text), closer_text(closer));
        let found = self.describe(here);
        let diagnostic = Diagnostic::error(format!("`{open}` is not closed"))
            .at(self.span_of(opener))
            .label(format!("this `{open}`"))
            .related(self.span_of(here), format!("expected `{close}` before this {found}"))
            .help(format!("Add the missing `{close}`."));
        self.report(diagnostic);
    }
}

fn node(kind: ExprKind, span: Span) -> Expr {
    Expr { kind, span }
}

fn invalid(span: Span) -> Expr {
    node(ExprKind::Invalid, span)
}

fn closer_of(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::OpenBrace => Some(Kind::CloseBrace),
        Kind::OpenBracket => Some(Kind::CloseBracket),
        Kind::OpenParenthesis => Some(Kind::CloseParenthesis),
        Kind::OpenQuote => Some(Kind::CloseQuote),
        Kind::OpenHeredoc => Some(Kind::CloseHeredoc),
        Kind::OpenInterpolation | Kind::OpenDirective => Some(Kind::CloseSequence),
        _ => None,
    }
}

fn is_closer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::CloseBrace
            | Kind::CloseBracket
            | Kind::CloseParenthesis
            | Kind::CloseQuote
            | Kind::CloseHeredoc
            | Kind::CloseSequence
    )
}

fn closer_text(kind: Kind) -> &'static str {
    match kind {
        Kind::CloseBracket => "]",
        Kind::CloseParenthesis => ")",
        _ => "}",
    }
}
