//! Calls, tuples, objects and `for` expressions.

use andon_text::Diagnostic;

use super::{Parser, invalid, node};
use crate::ast::{Expr, ExprKind, ForExpr, Ident, ObjectItem};
use crate::token::{Kind, Token};

/// The names and the collection of a `for`.
pub(super) struct ForIntroduction {
    pub key_name: Option<Ident>,
    pub value_name: Ident,
    pub collection: Expr,
}

impl Parser<'_> {
    /// `(argument, …)` after a function's name.
    pub(super) fn call(&mut self, name: Ident) -> Expr {
        let start = name.span;
        let opener = self.take();
        let (arguments, expand_last) = self.with_newlines(true, |parser| {
            let found = parser.list(opener, true);
            parser.take_if(Kind::CloseParenthesis);
            found
        });
        let span = self.since(start);
        node(ExprKind::Call { name, arguments, expand_last }, span)
    }

    /// `[…]`: a tuple or a `for` expression.
    pub(super) fn tuple(&mut self) -> Expr {
        let opener = self.take();
        self.with_newlines(true, |parser| {
            if parser.at_word("for") {
                return parser.for_expression(opener);
            }
            let (elements, _) = parser.list(opener, false);
            parser.take_if(Kind::CloseBracket);
            let span = parser.since(parser.span_of(opener));
            node(ExprKind::Tuple(elements), span)
        })
    }

    /// Values with commas between them, up to the closer, which stays at hand; whether `...` follows the last one.
    fn list(&mut self, opener: Token, takes_ellipsis: bool) -> (Vec<Expr>, bool) {
        let closer = super::closer_of(opener.kind).unwrap_or(Kind::End);
        let mut values = Vec::new();
        loop {
            let kind = self.peek();
            if kind == closer {
                return (values, false);
            }
            if kind == Kind::End || super::is_closer(kind) || self.item_begins() {
                self.close(opener, closer);
                return (values, false);
            }
            values.push(self.expression());
            if takes_ellipsis && self.take_if(Kind::Ellipsis).is_some() {
                if self.peek() != closer {
                    self.unexpected("`...` is only for the last argument", "Remove what follows it, or the `...`.");
                    self.skip_to(&[]);
                    self.take_stray(closer);
                }
                return (values, true);
            }
            let kind = self.peek();
            if kind == Kind::Comma {
                self.take();
            } else if kind != closer && kind != Kind::End && !super::is_closer(kind) && !self.item_begins() {
                self.no_comma(opener);
            }
        }
    }

    /// Reports what stands where a comma should be. A value that can follow is then read as the next one.
    fn no_comma(&mut self, opener: Token) {
        let token = self.token();
        if self.at_word("for") {
            self.unexpected("`for` comes first in the brackets", "Write [for item in collection : value].");
            return self.skip_to(&[]);
        }
        if starts_value(token.kind) {
            let before = self.span_of(self.last_token()).tail();
            let label = if opener.kind == Kind::OpenBracket { "elements" } else { "arguments" };
            let diagnostic = Diagnostic::error("comma is missing")
                .at(before)
                .label("expected `,` here")
                .related(self.span_of(token), "before this value")
                .help(format!("Put a comma between {label}."));
            self.report(diagnostic);
            return;
        }
        self.unexpected("expected `,` or the end of the list", "Remove it, or put the text in a string.");
        self.skip_to(&[Kind::Comma]);
        self.take_if(Kind::Comma);
    }

    /// The last token taken that is no line break.
    fn last_token(&self) -> Token {
        let mut index = self.at;
        while index > 0 && self.token_at(index - 1).kind == Kind::Newline {
            index -= 1;
        }
        self.token_at(index.saturating_sub(1))
    }

    fn take_stray(&mut self, closer: Kind) {
        let kind = self.peek();
        if kind != closer && matches!(kind, Kind::CloseBracket | Kind::CloseParenthesis) {
            self.take();
        }
    }

    /// `{…}`: an object or a `for` expression.
    pub(super) fn object(&mut self) -> Expr {
        let opener = self.take();
        let is_for = self.with_newlines(true, |parser| parser.at_word("for"));
        if is_for {
            return self.with_newlines(true, |parser| parser.for_expression(opener));
        }
        self.with_newlines(false, |parser| {
            let mut items = Vec::new();
            parser.object_items(opener, &mut items);
            items.shrink_to_fit();
            parser.take_if(Kind::CloseBrace);
            let span = parser.since(parser.span_of(opener));
            node(ExprKind::Object(items), span)
        })
    }

    fn object_items(&mut self, opener: Token, items: &mut Vec<ObjectItem>) {
        let mut whole = true;
        loop {
            self.skip_newlines();
            let kind = self.peek();
            if kind == Kind::CloseBrace {
                return;
            }
            let first = self.at > 0 && self.token_at(self.at - 1).kind == Kind::Newline;
            if kind == Kind::End || super::is_closer(kind) || (first && self.block_begins()) {
                self.close(opener, Kind::CloseBrace);
                return;
            }
            let before = self.at;
            if let Some(item) = self.object_item(&mut whole) {
                items.push(item);
            } else {
                self.skip_to(&[Kind::Comma]);
            }
            match self.peek() {
                Kind::Comma => {
                    if self.at == before {
                        self.unexpected("an item is missing before this comma", "Remove the comma.");
                    }
                    self.take();
                }
                Kind::Newline | Kind::CloseBrace | Kind::End => {}
                kind if super::is_closer(kind) => {}
                _ => self.no_separator(),
            }
        }
    }

    /// `key = value`; `None` where there is no such thing, which is said of the first of an object that is not `whole`.
    fn object_item(&mut self, whole: &mut bool) -> Option<ObjectItem> {
        let token = self.token();
        let named = token.kind == Kind::Identifier && matches!(self.ahead(1).kind, Kind::Equal | Kind::Colon);
        let key = if named {
            self.take();
            let span = self.span_of(token);
            let name = self.word(token.text(self.text));
            node(ExprKind::Variable(name), span)
        } else if token.kind == Kind::Comma {
            return None;
        } else {
            self.expression()
        };
        if !matches!(self.peek(), Kind::Equal | Kind::Colon) {
            let found = self.token();
            let words = self.describe(found);
            let diagnostic = Diagnostic::error("item of an object has no value")
                .at(key.span)
                .label("this key")
                .related(self.span_of(found), format!("expected `=` and a value before this {words}"))
                .help("Write key = value. A list of values is written in [ and ].");
            if std::mem::replace(whole, false) {
                self.report(diagnostic);
            }
            self.reported_at = Some(self.at);
            return None;
        }
        self.take();
        let value = self.expression();
        Some(ObjectItem { key, value })
    }

    /// Reports what follows an item on its line. What can be the next item is then read as that.
    fn no_separator(&mut self) {
        let token = self.token();
        if starts_value(token.kind) && matches!(self.ahead(1).kind, Kind::Equal | Kind::Colon) {
            let before = self.span_of(self.last_token()).tail();
            let diagnostic = Diagnostic::error("comma is missing")
                .at(before)
                .label("expected `,` or the end of the line")
                .related(self.span_of(token), "before this item")
                .help("Put a comma between items on one line, or each item on a line of its own.");
            return self.report(diagnostic);
        }
        self.unexpected("the value of this item ends before this", "Remove it, or join it to the value.");
        self.skip_to(&[Kind::Comma]);
        self.take_if(Kind::Comma);
    }

    /// The rest of `[for …]` or `{for …}`, from the word `for`.
    fn for_expression(&mut self, opener: Token) -> Expr {
        let start = self.span_of(opener);
        let parsed = self.for_parts(opener);
        let closer = super::closer_of(opener.kind).unwrap_or(Kind::End);
        if self.peek() != closer {
            match parsed {
                Some(_) => self.not_closed_for(opener, closer),
                None => self.skip_to(&[]),
            }
        }
        self.take_if(closer);
        let span = self.since(start);
        match parsed {
            Some(parts) => node(ExprKind::For(Box::new(parts)), span),
            None => invalid(span),
        }
    }

    fn not_closed_for(&mut self, opener: Token, closer: Kind) {
        let kind = self.peek();
        if kind == Kind::End || super::is_closer(kind) || self.item_begins() {
            return self.close(opener, closer);
        }
        self.unexpected("the `for` expression ends before this", "Remove it. A condition begins with `if`.");
        self.skip_to(&[]);
    }

    fn for_parts(&mut self, opener: Token) -> Option<ForExpr> {
        let is_object = opener.kind == Kind::OpenBrace;
        self.take();
        let ForIntroduction { key_name, value_name, collection } = self.for_introduction()?;
        if self.take_if(Kind::Colon).is_none() {
            self.unexpected("expected `:` after the collection", "Write [for item in collection : value].");
            return None;
        }
        let mut value = self.expression();
        let mut key = None;
        if let Some(arrow) = self.take_if(Kind::Arrow) {
            if !is_object {
                let diagnostic = Diagnostic::error("`=>` in a `for` that gives a list")
                    .at(self.span_of(arrow))
                    .related(self.span_of(opener), "`[` makes a list, whose elements have no keys")
                    .help("Use { and } for keys with values, or remove the key and the `=>`.");
                self.report(diagnostic);
            }
            let result = self.expression();
            key = Some(std::mem::replace(&mut value, result)).filter(|_| is_object);
        } else if is_object {
            self.unexpected("expected `=>` and a value", "Write {for item in collection : key => value}.");
            return None;
        }
        let ellipsis = self.take_if(Kind::Ellipsis);
        if let (Some(ellipsis), false) = (ellipsis, is_object) {
            let diagnostic = Diagnostic::error("`...` in a `for` that gives a list")
                .at(self.span_of(ellipsis))
                .label("this groups values by key, and a list has no keys")
                .help("Remove it, or use { and } with key => value.");
            self.report(diagnostic);
        }
        let mut condition = None;
        if self.at_word("if") {
            self.take();
            condition = Some(self.expression());
        }
        let group = ellipsis.is_some() && is_object;
        Some(ForExpr { key_name, value_name, collection, key, value, condition, group })
    }

    /// `key, value in collection`, after the word `for`.
    pub(super) fn for_introduction(&mut self) -> Option<ForIntroduction> {
        const HELP: &str = "Write for value in collection, or for key, value in collection. \
                            A key that is the word `for` itself is written in quotes.";
        let Some(mut value_name) = self.name() else {
            self.unexpected("expected a name after `for`", HELP);
            return None;
        };
        let mut key_name = None;
        if self.take_if(Kind::Comma).is_some() {
            let Some(second) = self.name() else {
                self.unexpected("expected a second name after the comma", HELP);
                return None;
            };
            key_name = Some(std::mem::replace(&mut value_name, second));
        }
        if !self.at_word("in") {
            self.unexpected("expected `in` and a collection", HELP);
            return None;
        }
        self.take();
        let collection = self.expression();
        Some(ForIntroduction { key_name, value_name, collection })
    }
}

/// Whether a token can begin a value.
pub(super) fn starts_value(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Number
            | Kind::Identifier
            | Kind::OpenQuote
            | Kind::OpenHeredoc
            | Kind::OpenParenthesis
            | Kind::OpenBracket
            | Kind::OpenBrace
            | Kind::Bang
            | Kind::Invalid
    )
}
