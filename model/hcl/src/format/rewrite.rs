//! Old writing made new: bare labels, `"${value}"`, and quoted types.

use std::borrow::Cow;

use super::Piece;
use crate::ast::{Attribute, Block, Body, Expr, ExprKind, Ident, Item, TemplatePart};
use crate::token::{Kind, Token};

/// Changes to tokens, by their index.
struct Rewrite<'a> {
    text: &'a str,
    tokens: &'a [Token],
    changes: Vec<Change>,
}

enum Change {
    /// Tokens that go.
    Remove(std::ops::Range<usize>),
    /// A token that becomes another one.
    Replace(usize, Kind, String),
}

/// All tokens as pieces, with old writing made new.
pub(super) fn pieces<'a>(text: &'a str, tokens: &[Token], body: &Body) -> Vec<Piece<'a>> {
    let mut rewrite = Rewrite { text, tokens, changes: Vec::new() };
    rewrite.body(body, &[]);
    let changes = rewrite.changes;
    let mut removed = vec![false; tokens.len()];
    let mut replaced: Vec<Option<(Kind, String)>> = vec![None; tokens.len()];
    for change in changes {
        match change {
            Change::Remove(range) => removed.get_mut(range).unwrap_or_default().fill(true),
            Change::Replace(index, kind, new) => {
                if let Some(place) = replaced.get_mut(index) {
                    *place = Some((kind, new));
                }
            }
        }
    }
    let mut pieces = Vec::with_capacity(tokens.len());
    let mut end = 0;
    for (index, token) in tokens.iter().enumerate() {
        let spaces = token.start.saturating_sub(end) as usize;
        end = token.end;
        if removed.get(index) == Some(&true) {
            continue;
        }
        let new = replaced.get_mut(index).and_then(Option::take);
        let (kind, text) = match new {
            Some((kind, new)) => (kind, Cow::Owned(new)),
            None => (token.kind, Cow::Borrowed(token.text(text))),
        };
        pieces.push(Piece { kind, text, spaces });
    }
    pieces
}

impl Rewrite<'_> {
    fn body(&mut self, body: &Body, blocks: &[&str]) {
        for item in body.items.iter() {
            match item {
                Item::Attribute(attribute) => self.attribute(attribute, blocks),
                Item::Block(block) => {
                    self.labels(block);
                    let inner: Vec<&str> = blocks.iter().copied().chain([&*block.kind.name]).collect();
                    self.body(&block.body, &inner);
                }
            }
        }
    }

    fn attribute(&mut self, attribute: &Attribute, blocks: &[&str]) {
        if blocks == ["variable"] && &*attribute.name.name == "type" {
            self.variable_type(&attribute.value);
        } else {
            self.unwrap(&attribute.value);
        }
    }

    /// Labels are quoted.
    fn labels(&mut self, block: &Block) {
        let mut from = self.index_of(block.kind.span.start) + 1;
        for (place, label) in block.labels.iter().enumerate() {
            let start = self.index_of(label.span.start);
            let end = self.index_of(label.span.end);
            if matches!(block.label_templates.get(place), Some(Some(_))) {
                from = end;
                continue;
            }
            self.changes.push(Change::Remove(from..start));
            self.label(label, start, end);
            from = end;
        }
    }

    fn label(&mut self, label: &Ident, start: usize, end: usize) {
        let quoted = quote(&label.name);
        let now = self.text.get(label.span.start as usize..label.span.end as usize);
        if now != Some(quoted.as_str()) {
            self.changes.push(Change::Replace(start, Kind::Identifier, quoted));
            self.changes.push(Change::Remove(start + 1..end));
        }
    }

    /// `"${value}"` is `value`, in parentheses where it goes over several lines.
    fn unwrap(&mut self, value: &Expr) {
        let ExprKind::Template(template) = &value.kind else { return };
        let ([TemplatePart::Interpolation(_)], false) = (template.parts.as_slice(), template.heredoc) else { return };
        let start = self.index_of(value.span.start);
        let end = self.index_of(value.span.end);
        let Some([_, _, tokens @ .., _, _]) = self.tokens.get(start..end) else { return };
        if has_heredoc_template(tokens) {
            return;
        }
        let breaks = |index: usize| {
            let of_comment = index > 0 && tokens.get(index - 1).is_some_and(|token| token.kind == Kind::LineComment);
            !of_comment && tokens.get(index).is_some_and(|token| token.kind == Kind::Newline)
        };
        let leading = (0..tokens.len()).take_while(|index| breaks(*index)).count();
        let trailing = (leading..tokens.len()).rev().take_while(|index| breaks(*index)).count();
        let inner = tokens.get(leading..tokens.len() - trailing).unwrap_or_default();
        let kept = start + 2 + leading..end - 2 - trailing;
        let has_breaks = (leading..tokens.len() - trailing).any(breaks);
        let in_parentheses = matches!(inner, [first, .., last]
            if first.kind == Kind::OpenParenthesis && last.kind == Kind::CloseParenthesis);
        if has_breaks && !in_parentheses || ends_early(inner) {
            self.changes.push(Change::Replace(start, Kind::OpenParenthesis, "(".to_owned()));
            self.changes.push(Change::Remove(start + 1..kept.start));
            self.changes.push(Change::Remove(kept.end..end - 1));
            self.changes.push(Change::Replace(end - 1, Kind::CloseParenthesis, ")".to_owned()));
        } else {
            self.changes.push(Change::Remove(start..kept.start));
            self.changes.push(Change::Remove(kept.end..end));
        }
    }

    /// `"string"` is `string`; `list` alone is a list of anything.
    fn variable_type(&mut self, value: &Expr) {
        let start = self.index_of(value.span.start);
        let end = self.index_of(value.span.end);
        let new = match (&value.kind, value.as_literal_text().as_deref()) {
            (ExprKind::Variable(name), _) => match &**name {
                "list" => "list(any)",
                "map" => "map(any)",
                "set" => "set(any)",
                _ => return,
            },
            (_, Some("string")) => "string",
            (_, Some("list")) => "list(string)",
            (_, Some("map")) => "map(string)",
            _ => return,
        };
        self.changes.push(Change::Replace(start, Kind::Identifier, new.to_owned()));
        self.changes.push(Change::Remove(start + 1..end));
    }

    /// The first token at or after a place.
    fn index_of(&self, offset: u32) -> usize {
        self.tokens.partition_point(|token| token.start < offset)
    }
}

/// Whether an expression would end at one of its line breaks, were it not in parentheses.
fn ends_early(tokens: &[Token]) -> bool {
    let comment = |token: &Token| matches!(token.kind, Kind::LineComment | Kind::InlineComment | Kind::Newline);
    let last = tokens.iter().rposition(|token| !comment(token)).unwrap_or(0);
    let mut depth = 0;
    tokens.iter().take(last).any(|token| {
        depth += super::layout::bracket(token.kind);
        token.kind == Kind::Newline && depth == 0
    })
}

/// Whether a heredoc with interpolations or directives is in it, outside of all quotes.
fn has_heredoc_template(tokens: &[Token]) -> bool {
    let mut quotes = 0;
    tokens.iter().any(|token| {
        match token.kind {
            Kind::OpenQuote => quotes += 1,
            Kind::CloseQuote => quotes -= 1,
            _ => {}
        }
        quotes == 0 && matches!(token.kind, Kind::OpenInterpolation | Kind::OpenDirective)
    })
}

/// A label between quotes, with the escapes that it needs.
fn quote(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '$' | '%' => {
                quoted.push(character);
                if characters.peek() == Some(&'{') {
                    quoted.push(character);
                }
            }
            other if other.is_control() => quoted.push_str(&format!("\\u{:04x}", other as u32)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
