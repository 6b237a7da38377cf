//! Templates: text, interpolations and directives.
//!
//! A template is read as a flat list of pieces. Then strip markers act on the literals beside them, the indentation
//! of a `<<-` heredoc is taken out, and directives are paired with their ends, in this order.

use std::sync::Arc;

use andon_text::{Diagnostic, Span};

use super::collection::ForIntroduction;
use super::{NESTING_LIMIT, Parser, node};
use crate::ast::{Expr, ExprKind, Ident, Template, TemplatePart};
use crate::token::{Kind, Token};

/// A piece of a template, before directives are paired.
enum Piece {
    Literal(String, Span),
    Interpolation(Expr),
    If(Expr, Span),
    Else(Span),
    EndIf(Span),
    For {
        key_name: Option<Ident>,
        value_name: Ident,
        collection: Expr,
        span: Span,
    },
    EndFor(Span),
    /// A directive that could not be understood.
    Invalid,
}

/// A directive whose end has not come yet, and the parts of it so far.
struct Open {
    directive: Directive,
    span: Span,
    parts: Vec<TemplatePart>,
}

enum Directive {
    If { condition: Expr, yes: Option<Vec<TemplatePart>> },
    For { key_name: Option<Ident>, value_name: Ident, collection: Expr },
}

impl Parser<'_> {
    /// `"…"`
    pub(super) fn quoted(&mut self) -> Expr {
        let opener = self.take();
        let start = self.span_of(opener);
        self.nested(start, |parser| {
            let pieces = parser.pieces(Kind::CloseQuote, true);
            let parts = parser.pair(pieces);
            let template = Template { parts, heredoc: false };
            let span = parser.since(start);
            node(ExprKind::Template(template), span)
        })
    }

    /// `<<NAME …` and `<<-NAME …`
    pub(super) fn heredoc(&mut self) -> Expr {
        let opener = self.take();
        let start = self.span_of(opener);
        let strips_indentation = opener.text(self.text).starts_with("<<-");
        self.nested(start, |parser| {
            let mut pieces = parser.pieces(Kind::CloseHeredoc, false);
            if strips_indentation {
                strip_indentation(&mut pieces);
            }
            let parts = parser.pair(pieces);
            let template = Template { parts, heredoc: true };
            let span = parser.since(start);
            node(ExprKind::Template(template), span)
        })
    }

    /// A text that is all template.
    pub(super) fn bare_template(&mut self) -> Template {
        let pieces = self.pieces(Kind::End, false);
        let parts = self.pair(pieces);
        Template { parts, heredoc: false }
    }

    /// All pieces up to the closer, which is taken.
    fn pieces(&mut self, closer: Kind, quoted: bool) -> Vec<Piece> {
        self.with_newlines(false, |parser| {
            let mut pieces: Vec<Piece> = Vec::new();
            let mut strip_next = false;
            loop {
                let token = parser.token();
                let strip = std::mem::take(&mut strip_next);
                match token.kind {
                    Kind::Literal => {
                        parser.take();
                        let text = parser.literal(token, quoted);
                        let text = if strip { text.trim_start().to_owned() } else { text };
                        pieces.push(Piece::Literal(text, parser.span_of(token)));
                    }
                    Kind::OpenInterpolation | Kind::OpenDirective => {
                        if let (true, Some(Piece::Literal(before, _))) =
                            (token.text(parser.text).ends_with('~'), pieces.last_mut())
                        {
                            before.truncate(before.trim_end().len());
                        }
                        let piece = parser.sequence(token);
                        pieces.push(piece);
                        strip_next = parser.previous().text(parser.text).starts_with('~');
                    }
                    kind => {
                        // The lexer closes every template, so this is the closer, or the end of a bare one.
                        if kind == closer {
                            parser.take();
                        }
                        return pieces;
                    }
                }
            }
        })
    }

    /// `${…}` or `%{…}`, closer included.
    fn sequence(&mut self, opener: Token) -> Piece {
        let start = self.span_of(opener);
        self.take();
        let mut piece = self.with_newlines(true, |parser| {
            let piece = if opener.kind == Kind::OpenInterpolation {
                Piece::Interpolation(parser.expression())
            } else {
                parser.directive(start)
            };
            if parser.peek() != Kind::CloseSequence {
                parser.unexpected("expected `}` here", "Remove it, or join it to what is before it with an operator.");
                parser.skip_sequence();
            }
            parser.take_if(Kind::CloseSequence);
            piece
        });
        let whole = self.since(start);
        match &mut piece {
            Piece::If(_, span) | Piece::Else(span) | Piece::EndIf(span) | Piece::EndFor(span) => *span = whole,
            Piece::For { span, .. } => *span = whole,
            Piece::Literal(..) | Piece::Interpolation(_) | Piece::Invalid => {}
        }
        piece
    }

    /// Passes over the rest of an interpolation or a directive, up to its closer.
    fn skip_sequence(&mut self) {
        let mut open = 0u32;
        loop {
            match self.peek() {
                Kind::End => return,
                Kind::OpenInterpolation | Kind::OpenDirective => open += 1,
                Kind::CloseSequence if open == 0 => return,
                Kind::CloseSequence => open -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// What is in `%{…}`.
    fn directive(&mut self, span: Span) -> Piece {
        let token = self.token();
        let word = if token.kind == Kind::Identifier { token.text(self.text) } else { "" };
        match word {
            "if" => {
                self.take();
                Piece::If(self.expression(), span)
            }
            "for" => {
                self.take();
                match self.for_introduction() {
                    Some(ForIntroduction { key_name, value_name, collection }) => {
                        Piece::For { key_name, value_name, collection, span }
                    }
                    None => {
                        self.skip_sequence();
                        // Its end still comes, so it is a directive all the same.
                        let name = Ident { name: Arc::from(""), span };
                        let collection = Expr { kind: ExprKind::Invalid, span };
                        Piece::For { key_name: None, value_name: name, collection, span }
                    }
                }
            }
            "else" => {
                self.take();
                if self.at_word("if") {
                    self.unexpected(
                        "`else` takes no condition",
                        "Nest an if in the else: %{ else }%{ if … }…%{ endif }%{ endif }.",
                    );
                    self.skip_sequence();
                }
                Piece::Else(span)
            }
            "endif" => {
                self.take();
                Piece::EndIf(span)
            }
            "endfor" => {
                self.take();
                Piece::EndFor(span)
            }
            _ => {
                self.unexpected(
                    "expected a directive",
                    "Directives are if, else, endif, for and endfor. For a value write ${…}; for the characters, %%{.",
                );
                self.skip_sequence();
                Piece::Invalid
            }
        }
    }

    /// Pairs directives with their ends.
    fn pair(&mut self, pieces: Vec<Piece>) -> Vec<TemplatePart> {
        let mut open: Vec<Open> = Vec::new();
        let mut parts: Vec<TemplatePart> = Vec::new();
        let mut text: Option<(String, Span)> = None;
        let some_text = pieces.iter().find_map(|piece| match piece {
            Piece::Literal(_, span) => Some(*span),
            _ => None,
        });
        // What was not understood may be the end or the beginning that another lacks.
        let sound = !pieces.iter().any(|piece| matches!(piece, Piece::Invalid));
        for piece in pieces {
            if !matches!(piece, Piece::Literal(..)) {
                push_text(&mut parts, &mut text);
            }
            match piece {
                // Lines of a heredoc that follow each other become one literal.
                Piece::Literal(line, span) => match &mut text {
                    Some((before, before_span)) => {
                        before.push_str(&line);
                        *before_span = before_span.to(span);
                    }
                    None => text = Some((line, span)),
                },
                Piece::Interpolation(expr) => parts.push(TemplatePart::Interpolation(expr)),
                Piece::Invalid => {}
                Piece::If(condition, span) => {
                    let directive = Directive::If { condition, yes: None };
                    open.push(Open { directive, span, parts: std::mem::take(&mut parts) });
                }
                Piece::For { key_name, value_name, collection, span } => {
                    let directive = Directive::For { key_name, value_name, collection };
                    open.push(Open { directive, span, parts: std::mem::take(&mut parts) });
                }
                Piece::Else(span) => match open.last_mut() {
                    Some(Open { directive: Directive::If { yes: yes @ None, .. }, .. }) => {
                        *yes = Some(std::mem::take(&mut parts));
                    }
                    innermost => {
                        let begun = innermost.map(|open| open.span);
                        self.stray_directive("else", "if", span, begun);
                    }
                },
                Piece::EndIf(span) | Piece::EndFor(span) => {
                    let ends_if = matches!(piece, Piece::EndIf(_));
                    let fits = |open: &Open| matches!(open.directive, Directive::If { .. }) == ends_if;
                    if !open.last().is_some_and(fits) {
                        let begun = open.last().map(|open| open.span);
                        let (word, opener) = if ends_if { ("endif", "if") } else { ("endfor", "for") };
                        if sound {
                            self.stray_directive(word, opener, span, begun);
                        }
                        continue;
                    }
                    if let Some(innermost) = open.pop() {
                        close_directive(innermost, span, &mut parts);
                    }
                }
            }
            if open.len() as u32 >= NESTING_LIMIT {
                if let Some(first) = open.first() {
                    self.say_too_deep(first.span);
                }
                return Vec::new();
            }
        }
        push_text(&mut parts, &mut text);
        while let Some(unclosed) = open.pop() {
            let (word, end) = match unclosed.directive {
                Directive::If { .. } => ("if", "endif"),
                Directive::For { .. } => ("for", "endfor"),
            };
            if sound && !self.is_damaged(unclosed.span) {
                let diagnostic = Diagnostic::error(format!("`{word}` directive has no `{end}`"))
                    .at(unclosed.span)
                    .help(format!("Add %{{ {end} }} where it ends."));
                self.told.tell(|| diagnostic);
            }
            let end = unclosed.span;
            close_directive(unclosed, end, &mut parts);
        }
        // Text that strip markers have emptied still makes the whole a text.
        if let ([TemplatePart::Interpolation(_)], Some(span)) = (parts.as_slice(), some_text) {
            parts.push(TemplatePart::Literal(Arc::from(""), span));
        }
        parts.shrink_to_fit();
        parts
    }

    fn stray_directive(&mut self, word: &str, opener: &str, span: Span, begun: Option<Span>) {
        if self.is_damaged(span) {
            return;
        }
        let mut diagnostic = Diagnostic::error(format!("`{word}` without `{opener}`"))
            .at(span)
            .help(format!("Remove it, or add %{{ {opener} … }} before it."));
        if let Some(begun) = begun {
            diagnostic = diagnostic.related(begun, "this directive is the one that is open here");
        }
        self.told.tell(|| diagnostic);
    }
}

/// Makes a part of a directive and `parts`, its last list; `parts` becomes the list that it is in.
fn close_directive(innermost: Open, end: Span, parts: &mut Vec<TemplatePart>) {
    let Open { directive, span, parts: outer } = innermost;
    let inner = std::mem::replace(parts, outer);
    let span = span.to(end);
    parts.push(match directive {
        Directive::If { condition, yes: Some(yes) } => {
            TemplatePart::If { condition: Box::new(condition), yes, no: inner, span }
        }
        Directive::If { condition, yes: None } => {
            TemplatePart::If { condition: Box::new(condition), yes: inner, no: Vec::new(), span }
        }
        Directive::For { key_name, value_name, collection } => {
            TemplatePart::For { key_name, value_name, collection: Box::new(collection), body: inner, span }
        }
    });
}

fn push_text(parts: &mut Vec<TemplatePart>, text: &mut Option<(String, Span)>) {
    if let Some((text, span)) = text.take().filter(|(text, _)| !text.is_empty()) {
        parts.push(TemplatePart::Literal(Arc::from(text), span));
    }
}

/// Takes the indentation of the least indented line from all lines. Lines of blanks alone neither count nor change.
fn strip_indentation(pieces: &mut [Piece]) {
    let mut least = usize::MAX;
    for_line_starts(pieces, |text| {
        let indentation = text.map_or(0, |text| text.chars().take_while(|c| c.is_whitespace()).count());
        least = least.min(indentation);
    });
    for_line_starts(pieces, |text| {
        if let Some(text) = text {
            let end = text.char_indices().nth(least).map_or(text.len(), |(end, _)| end);
            text.drain(..end);
        }
    });
}

/// Calls with the text that each line begins with; `None` where it begins with no text.
fn for_line_starts(pieces: &mut [Piece], mut act: impl FnMut(Option<&mut String>)) {
    let mut at_line_start = true;
    for piece in pieces {
        match piece {
            Piece::Literal(text, _) => {
                let ends_line = text.ends_with('\n');
                if at_line_start && !(ends_line && text.trim_start().is_empty()) {
                    act(Some(text));
                }
                at_line_start = ends_line;
            }
            _ => {
                if at_line_start {
                    act(None);
                }
                at_line_start = false;
            }
        }
    }
}
