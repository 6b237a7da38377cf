//! Operators, terms, and the steps after a term.

use std::sync::Arc;

use andon_text::{Diagnostic, Span, deeper};

use super::{CHAIN_LIMIT, Parser, invalid, node};
use crate::ast::{BinaryOperator, Expr, ExprKind, Ident, UnaryOperator};
use crate::token::{Kind, Token};

impl Parser<'_> {
    /// Any expression: a conditional, or less.
    pub(super) fn expression(&mut self) -> Expr {
        let token = self.token();
        let start = self.span_of(token);
        self.nested(start, Self::conditional)
    }

    /// What follows the last `:` may be a conditional again, and so on for thousands: they are collected, not nested.
    fn conditional(&mut self) -> Expr {
        let mut sides: Vec<(Expr, Expr)> = Vec::new();
        let mut last = loop {
            let condition = self.operation();
            if self.take_if(Kind::Question).is_none() {
                break condition;
            }
            let yes = self.expression();
            if self.take_if(Kind::Colon).is_none() {
                self.no_colon();
                break invalid(self.since(condition.span));
            }
            if sides.len() >= CHAIN_LIMIT {
                return self.too_long(condition.span);
            }
            sides.push((condition, yes));
        };
        while let Some((condition, yes)) = sides.pop() {
            let span = condition.span.to(last.span);
            let kind = ExprKind::Conditional { condition: condition.into(), yes: yes.into(), no: last.into() };
            last = Expr { kind, span };
        }
        last
    }

    fn no_colon(&mut self) {
        let token = self.token();
        let diagnostic = Diagnostic::error("conditional has no `:`")
            .at(self.span_of(token))
            .label("expected `:` and the value for false")
            .help("Write condition ? value_if_true : value_if_false. To break the line, put all of it in parentheses.");
        self.report(diagnostic);
    }

    /// Terms joined by operators. A stack of what waits for its right side keeps precedence without recursion.
    fn operation(&mut self) -> Expr {
        let mut left = self.operand();
        let mut links = 0;
        let mut waiting: Vec<(Expr, BinaryOperator, Span)> = Vec::new();
        loop {
            let token = self.token();
            let operator = binary_operator(token.kind);
            let precedence = operator.map_or(0, precedence);
            while let Some((_, before, _)) = waiting.last()
                && self::precedence(*before) >= precedence
                && let Some((before_left, before, before_span)) = waiting.pop()
            {
                left = self.binary(before_left, before, before_span, left);
            }
            let Some(operator) = operator else { return left };
            links += 1;
            if links > CHAIN_LIMIT {
                return self.too_long(left.span);
            }
            self.take();
            let after = self.at;
            let right = self.operand();
            if self.at == after {
                // The right side is missing, which was said; what is here is not for this expression to read.
                return invalid(self.since(left.span));
            }
            waiting.push((std::mem::replace(&mut left, right), operator, self.span_of(token)));
        }
    }

    fn binary(&mut self, left: Expr, operator: BinaryOperator, operator_span: Span, right: Expr) -> Expr {
        let span = left.span.to(right.span);
        let (left, right) = (Box::new(left), Box::new(right));
        node(ExprKind::Binary { operator, operator_span, left, right }, span)
    }

    /// A term with the operators before it.
    fn operand(&mut self) -> Expr {
        let mut operators = Vec::new();
        loop {
            let token = self.token();
            let operator = match token.kind {
                Kind::Minus => UnaryOperator::Negate,
                Kind::Bang => UnaryOperator::Not,
                _ => break,
            };
            if operators.len() >= CHAIN_LIMIT {
                return self.too_long(self.span_of(token));
            }
            self.take();
            operators.push((operator, self.span_of(token)));
        }
        let mut operand = self.term_with_steps();
        for (operator, operator_span) in operators.into_iter().rev() {
            let span = operator_span.to(operand.span);
            let kind = ExprKind::Unary { operator, operand: Box::new(operand) };
            operand = node(kind, span);
        }
        operand
    }

    fn term_with_steps(&mut self) -> Expr {
        let term = self.term();
        self.steps(term)
    }

    fn term(&mut self) -> Expr {
        let token = self.token();
        let span = self.span_of(token);
        match token.kind {
            Kind::Number => {
                self.take();
                let digits = Arc::from(token.text(self.text));
                node(ExprKind::Number(digits), span)
            }
            Kind::Identifier => self.name_or_call(),
            Kind::OpenQuote => self.quoted(),
            Kind::OpenHeredoc => self.heredoc(),
            Kind::OpenParenthesis => self.parentheses(),
            Kind::OpenBracket => self.tuple(),
            Kind::OpenBrace => self.object(),
            Kind::Invalid => {
                self.take();
                self.reported_at = Some(self.at);
                invalid(span)
            }
            _ => self.no_value(),
        }
    }

    /// Reports that a value should be here. What is here stays, for the construct around it.
    fn no_value(&mut self) -> Expr {
        let token = self.token();
        let here = self.span_of(token);
        let before = self.previous();
        let before = if before.kind == Kind::Newline { token } else { before };
        let follows_operator = binary_operator(before.kind).is_some() || before.kind == Kind::Question;
        let diagnostic = match token.kind {
            Kind::Newline | Kind::End | Kind::CloseSequence if before.kind != Kind::Newline && before != token => {
                let shown = self.describe(before);
                let diagnostic = Diagnostic::error(format!("value is missing after {shown}"))
                    .at(self.span_of(before))
                    .label("expected a value after this");
                match (before.kind, token.kind) {
                    (Kind::Equal, _) => diagnostic.help("Write a value on the same line, or null for none."),
                    (Kind::OpenInterpolation, _) => diagnostic.help("Write an expression between the braces."),
                    (_, Kind::Newline) if follows_operator => {
                        diagnostic.help("To go on with an expression on the next line, put all of it in parentheses.")
                    }
                    _ => diagnostic.help("Write a value after it, or remove it."),
                }
            }
            _ => {
                let found = self.describe(token);
                Diagnostic::error(format!("expected a value, found {found}")).at(here).help(match token.kind {
                    Kind::Equal | Kind::EqualEqual => "Write a name or a value before it.",
                    Kind::Comma => "Write a value before the comma, or remove the comma.",
                    Kind::OpenDirective | Kind::OpenInterpolation => "Use this inside a string.",
                    _ => "Write a value before it, or remove what asks for one.",
                })
            }
        };
        self.report(diagnostic);
        if token.kind == Kind::Percent && self.ahead(1).kind == Kind::OpenBrace {
            // `%{…}` outside of a string.
            self.take();
            self.pass_over();
        }
        if follows_operator && token.kind == Kind::Newline {
            self.skip_continuation();
        }
        invalid(here.head())
    }

    /// Passes over the next line where it can only be the rest of the expression at hand.
    fn skip_continuation(&mut self) {
        let newline = self.at;
        self.at += 1;
        if self.item_begins() || matches!(self.peek(), Kind::CloseBrace | Kind::End | Kind::Newline) {
            self.at = newline;
        } else {
            self.skip_to(&[]);
        }
    }

    fn name_or_call(&mut self) -> Expr {
        let first = self.take();
        let start = self.span_of(first);
        let mut name = self.word(first.text(self.text));
        let qualified = self.peek() == Kind::DoubleColon;
        if qualified {
            let mut whole = first.text(self.text).to_owned();
            while self.take_if(Kind::DoubleColon).is_some() {
                let Some(part) = self.take_if(Kind::Identifier) else {
                    self.unexpected("expected a name after `::`", "Write provider::name::function(…).");
                    return invalid(self.since(start));
                };
                whole.push_str("::");
                whole.push_str(part.text(self.text));
            }
            name = Arc::from(whole);
        }
        if self.peek() == Kind::OpenParenthesis {
            let name = Ident { name, span: self.since(start) };
            return self.call(name);
        }
        if qualified {
            self.unexpected("`::` names a function, which is called with `(`", "Write provider::name::function(…).");
            return invalid(self.since(start));
        }
        let kind = match &*name {
            "null" => ExprKind::Null,
            "true" => ExprKind::Bool(true),
            "false" => ExprKind::Bool(false),
            _ => ExprKind::Variable(name),
        };
        node(kind, start)
    }

    fn parentheses(&mut self) -> Expr {
        let opener = self.take();
        let start = self.span_of(opener);
        let inner = self.with_newlines(true, |parser| {
            let inner = parser.inner_expression(opener);
            if parser.peek() != Kind::CloseParenthesis {
                parser.not_closed_or_joined(opener, "Join it with an operator, or remove it.");
            }
            parser.take_if(Kind::CloseParenthesis);
            inner
        });
        let span = self.since(start);
        node(ExprKind::Parentheses(Box::new(inner)), span)
    }

    /// The value in a bracket; where the next line begins an item of a body, the bracket is not closed.
    fn inner_expression(&mut self, opener: Token) -> Expr {
        let here = self.token();
        if self.item_begins() {
            self.close(opener, super::closer_of(opener.kind).unwrap_or(Kind::CloseParenthesis));
            return invalid(self.span_of(here).head());
        }
        self.expression()
    }

    /// Where one value should have been all of a bracket: reports what else is there, or that the bracket is not
    /// closed, and passes over to the closer.
    fn not_closed_or_joined(&mut self, opener: Token, help: &str) {
        let kind = self.peek();
        if super::is_closer(kind) || matches!(kind, Kind::End | Kind::Newline | Kind::Equal) || self.item_begins() {
            let closer = super::closer_of(opener.kind).unwrap_or(Kind::CloseParenthesis);
            return self.close(opener, closer);
        }
        self.unexpected("the value ends before this", help);
        self.skip_to(&[]);
    }

    /// `.name`, `[key]`, `.*` and `[*]` after a term.
    fn steps(&mut self, mut target: Expr) -> Expr {
        let mut links = 0;
        loop {
            links += 1;
            if links > CHAIN_LIMIT {
                return self.too_long(target.span);
            }
            target = match self.peek() {
                Kind::Dot if self.ahead(1).kind == Kind::Star => self.attribute_splat(target),
                Kind::Dot => match self.attribute_step(target) {
                    Ok(next) => next,
                    Err(target) => return target,
                },
                Kind::OpenBracket => {
                    let full = self.with_newlines(true, |parser| {
                        parser.ahead(1).kind == Kind::Star && parser.ahead(2).kind == Kind::CloseBracket
                    });
                    if full { self.full_splat(target) } else { self.index_step(target) }
                }
                _ => return target,
            };
        }
    }

    /// `.name` or `.0`; `Err` gives up on the steps after it.
    fn attribute_step(&mut self, target: Expr) -> Result<Expr, Expr> {
        let start = target.span;
        let dot = self.take();
        let token = self.token();
        let text = token.text(self.text);
        match token.kind {
            Kind::Identifier => {}
            Kind::Number if text.bytes().all(|byte| byte.is_ascii_digit()) => {}
            Kind::Number => {
                let steps: Vec<_> = text.split('.').map(|index| format!("[{index}]")).collect();
                let help = format!("Write {} instead.", steps.concat());
                self.unexpected("two indexes in a row are read as one number", &help);
                self.take();
                return Err(invalid(self.since(start)));
            }
            _ => {
                let diagnostic = Diagnostic::error("name is missing after `.`")
                    .at(self.span_of(dot))
                    .label("expected a name after this")
                    .help("Write the name of an attribute after the dot, or an index in brackets: [0].");
                self.report(diagnostic);
                return Err(invalid(self.since(start)));
            }
        }
        self.take();
        let name = Ident { name: self.word(text), span: self.span_of(token) };
        let span = start.to(name.span);
        Ok(node(ExprKind::Attribute { target: Box::new(target), name }, span))
    }

    fn index_step(&mut self, target: Expr) -> Expr {
        let start = target.span;
        let opener = self.take();
        let key = self.with_newlines(true, |parser| {
            if let Some(star) = parser.take_if(Kind::Star) {
                if parser.peek() == Kind::CloseBracket {
                    let diagnostic = Diagnostic::error("line break in `[*]`").at(parser.span_of(star));
                    parser.report(diagnostic.help("Write [*] on one line."));
                }
                parser.close(opener, Kind::CloseBracket);
                return invalid(parser.span_of(star));
            }
            let key = parser.inner_expression(opener);
            if parser.peek() != Kind::CloseBracket {
                parser.not_closed_or_joined(opener, "An index is one value: remove what follows it.");
            }
            parser.take_if(Kind::CloseBracket);
            key
        });
        let span = self.since(start);
        node(ExprKind::Index { target: Box::new(target), key: Box::new(key) }, span)
    }

    /// `.*` and the attributes after it.
    fn attribute_splat(&mut self, target: Expr) -> Expr {
        self.take();
        let star = self.take();
        let mut each = self.splat_element(star);
        while self.peek() == Kind::Dot {
            if self.ahead(1).kind == Kind::Star {
                self.unexpected("`.*` cannot be used after another `.*`", "Use [*], or a for expression.");
                self.take();
                self.take();
                continue;
            }
            each = match self.attribute_step(each) {
                Ok(next) => next,
                Err(each) => return self.splat(target, each, false),
            };
        }
        self.splat(target, each, false)
    }

    /// `[*]` and all steps after it.
    fn full_splat(&mut self, target: Expr) -> Expr {
        self.take();
        let star = self.with_newlines(true, |parser| {
            let star = parser.take();
            parser.take();
            star
        });
        let each = deeper(|| {
            let element = self.splat_element(star);
            self.steps(element)
        });
        self.splat(target, each, true)
    }

    fn splat_element(&mut self, star: Token) -> Expr {
        let span = self.span_of(star);
        node(ExprKind::SplatElement, span)
    }

    fn splat(&mut self, target: Expr, each: Expr, full: bool) -> Expr {
        let span = self.since(target.span);
        let kind = ExprKind::Splat { target: Box::new(target), each: Box::new(each), full };
        node(kind, span)
    }

    /// A name where only a name will do.
    pub(super) fn name(&mut self) -> Option<Ident> {
        let token = self.take_if(Kind::Identifier)?;
        Some(Ident { name: self.word(token.text(self.text)), span: self.span_of(token) })
    }

    /// A word, shared with all others of the same letters.
    pub(super) fn word(&mut self, text: &str) -> Arc<str> {
        match self.words.get(text) {
            Some(word) => word.clone(),
            None => {
                let word: Arc<str> = Arc::from(text);
                self.words.insert(word.clone());
                word
            }
        }
    }
}

fn binary_operator(kind: Kind) -> Option<BinaryOperator> {
    Some(match kind {
        Kind::Or => BinaryOperator::Or,
        Kind::And => BinaryOperator::And,
        Kind::EqualEqual => BinaryOperator::Equal,
        Kind::NotEqual => BinaryOperator::NotEqual,
        Kind::Less => BinaryOperator::Less,
        Kind::LessOrEqual => BinaryOperator::LessOrEqual,
        Kind::Greater => BinaryOperator::Greater,
        Kind::GreaterOrEqual => BinaryOperator::GreaterOrEqual,
        Kind::Plus => BinaryOperator::Add,
        Kind::Minus => BinaryOperator::Subtract,
        Kind::Star => BinaryOperator::Multiply,
        Kind::Slash => BinaryOperator::Divide,
        Kind::Percent => BinaryOperator::Modulo,
        _ => return None,
    })
}

/// How tightly an operator binds, from 1; operators of one level go from left to right.
fn precedence(operator: BinaryOperator) -> u8 {
    use BinaryOperator::*;
    match operator {
        Or => 1,
        And => 2,
        Equal | NotEqual => 3,
        Less | LessOrEqual | Greater | GreaterOrEqual => 4,
        Add | Subtract => 5,
        Multiply | Divide | Modulo => 6,
    }
}
