//! Old writing made new: bare labels, `"${value}"`, and quoted types.

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
    /// A token that gets another text.
    Replace(usize, String),
    /// A token put in before another.
    Insert(usize, Kind, &'static str),
}

/// All tokens as pieces, with old writing made new.
pub(super) fn pieces(text: &str, tokens: &[Token], body: &Body) -> Vec<Piece> {
    let mut rewrite = Rewrite { text, tokens, changes: Vec::new() };
    rewrite.body(body, &[]);
    let changes = rewrite.changes;
    let mut removed = vec![false; tokens.len()];
    let mut replaced: Vec<Option<String>> = vec![None; tokens.len()];
    let mut inserted: Vec<(usize, Kind, &str)> = Vec::new();
    for change in changes {
        match change {
            Change::Remove(range) => removed.get_mut(range).unwrap_or_default().fill(true),
            Change::Replace(index, new) => {
                if let Some(place) = replaced.get_mut(index) {
                    *place = Some(new);
                }
            }
            Change::Insert(index, kind, new) => inserted.push((index, kind, new)),
        }
    }
    inserted.sort_by_key(|(index, ..)| *index);
    let mut inserted = inserted.into_iter().peekable();
    let mut pieces = Vec::with_capacity(tokens.len());
    let mut end = tokens.first().map_or(0, |token| token.start);
    for (index, token) in tokens.iter().enumerate() {
        while let Some((_, kind, new)) = inserted.next_if(|(at, ..)| *at == index) {
            pieces.push(Piece { kind, text: new.to_owned(), spaces: 0 });
        }
        let spaces = token.start.saturating_sub(end) as usize;
        end = token.end;
        if removed.get(index) == Some(&true) || token.kind == Kind::End {
            continue;
        }
        let new = replaced.get_mut(index).and_then(Option::take);
        pieces.push(Piece { kind: token.kind, text: new.unwrap_or_else(|| token.text(text).to_owned()), spaces });
    }
    pieces
}

impl Rewrite<'_> {
    fn body(&mut self, body: &Body, blocks: &[&str]) {
        for item in &body.items {
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
            if matches!(block.label_templates.get(place), Some(Some(_))) {
                continue;
            }
            let start = self.index_of(label.span.start);
            let end = self.index_of(label.span.end);
            self.changes.push(Change::Remove(from..start));
            self.label(label, start, end);
            from = end;
        }
    }

    fn label(&mut self, label: &Ident, start: usize, end: usize) {
        let quoted = quote(&label.name);
        let now = self.text.get(label.span.start as usize..label.span.end as usize);
        if now != Some(quoted.as_str()) {
            self.changes.push(Change::Replace(start, quoted));
            self.changes.push(Change::Remove(start + 1..end));
        }
    }

    /// `"${value}"` is `value`.
    fn unwrap(&mut self, value: &Expr) {
        let ExprKind::Template(template) = &value.kind else { return };
        let ([TemplatePart::Interpolation(_)], false) = (template.parts.as_slice(), template.heredoc) else { return };
        let start = self.index_of(value.span.start);
        let end = self.index_of(value.span.end);
        let Some([_, open, inner @ .., close, _]) = self.tokens.get(start..end) else { return };
        if inner.is_empty() || open.end - open.start != 2 || close.end - close.start != 1 {
            return;
        }
        self.changes.push(Change::Remove(start..start + 2));
        self.changes.push(Change::Remove(end - 2..end));
        let leading = inner.iter().take_while(|token| token.kind == Kind::Newline).count();
        let trailing = inner.iter().rev().take_while(|token| token.kind == Kind::Newline).count();
        self.changes.push(Change::Remove(start + 2..start + 2 + leading));
        self.changes.push(Change::Remove(end - 2 - trailing..end - 2));
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
            _ => return self.unwrap(value),
        };
        self.changes.push(Change::Replace(start, new.to_owned()));
        self.changes.push(Change::Remove(start + 1..end));
    }

    /// The first token at or after a place.
    fn index_of(&self, offset: u32) -> usize {
        self.tokens.partition_point(|token| token.start < offset)
    }
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
