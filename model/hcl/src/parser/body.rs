//! Bodies: arguments and blocks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use andon_text::{Diagnostic, Span, deeper};

use super::{NESTING_LIMIT, Parser};
use crate::ast::{Attribute, Block, Body, ExprKind, Ident, Item, Template, TemplatePart};
use crate::token::{Kind, Token};

impl Parser<'_> {
    /// A whole file.
    pub(super) fn file(&mut self) -> Body {
        let mut items = Vec::new();
        loop {
            self.items(&mut items);
            // What stopped it closes nothing here; only the end of the file ends a file.
            if self.peek() == Kind::End {
                break;
            }
            self.unexpected("there is nothing open that this closes", "Remove it.");
            self.take();
        }
        self.duplicates(&items);
        Body {
            items: Self::shared(items),
            span: Some(self.span(0, u32::try_from(self.text.len()).unwrap_or(u32::MAX))),
        }
    }

    fn shared(mut items: Vec<Item>) -> Arc<Vec<Item>> {
        items.shrink_to_fit();
        Arc::new(items)
    }

    /// Items up to a `}` or the end of the file.
    fn items(&mut self, items: &mut Vec<Item>) {
        loop {
            self.skip_newlines();
            match self.peek() {
                Kind::End | Kind::CloseBrace => return,
                _ => {
                    let item = self.item();
                    items.extend(item);
                    self.line_end();
                }
            }
        }
    }

    fn item(&mut self) -> Option<Item> {
        self.too_deep = false;
        let token = self.token();
        match token.kind {
            Kind::Identifier => {}
            Kind::OpenQuote => return self.quoted_name(token),
            Kind::Invalid => {
                self.reported_at = Some(self.at);
                self.skip_line();
                return None;
            }
            _ => {
                self.unexpected("expected the name of an argument or a block", "Remove it, or put a name before it.");
                self.skip_line();
                return None;
            }
        }
        let name = self.name()?;
        match self.peek() {
            Kind::Equal => {
                self.take();
                Some(self.attribute(name))
            }
            Kind::OpenBrace | Kind::OpenQuote | Kind::Identifier => self.block(name),
            Kind::Newline if self.ahead(1).kind == Kind::OpenBrace => self.block(name),
            Kind::Colon => {
                let help = format!("Write {} = value.", name.name);
                self.unexpected("an argument's value comes after `=`", &help);
                self.take();
                self.take_if(Kind::Equal);
                Some(self.attribute(name))
            }
            kind => {
                self.no_equal(&name, kind);
                None
            }
        }
    }

    /// `"name" = value`, as in JSON.
    fn quoted_name(&mut self, token: Token) -> Option<Item> {
        let (name, _) = self.label(token)?;
        let diagnostic = Diagnostic::error("quotes around a name").at(name.span);
        if matches!(self.peek(), Kind::Equal | Kind::Colon) {
            self.report(diagnostic.help(format!("Write {} = value, without quotes.", name.name)));
            self.take();
            return Some(self.attribute(name));
        }
        self.report(diagnostic.label("expected the name of an argument or a block").help("Write it without quotes."));
        self.skip_line();
        None
    }

    fn attribute(&mut self, name: Ident) -> Item {
        let value = self.expression();
        let span = self.since(name.span);
        Item::Attribute(Attribute { name, value, span, json: None })
    }

    /// Reports a name that no `=` and no block follow.
    fn no_equal(&mut self, name: &Ident, kind: Kind) {
        let shown = &name.name;
        let here = self.token();
        let diagnostic = match kind {
            Kind::Newline | Kind::End | Kind::CloseBrace => Diagnostic::error(format!("`{shown}` has no value"))
                .at(name.span)
                .label("expected `=` or `{` after this name")
                .help(format!("Write {shown} = value for an argument, or {shown} {{ … }} for a block.")),
            Kind::Dot | Kind::OpenBracket => Diagnostic::error("expected the name of an argument")
                .at(self.span_of(here))
                .label("a name has no dots and no brackets")
                .help("Write a plain name, then `=` and the value. For a part of an object, write the whole object."),
            Kind::EqualEqual => Diagnostic::error("`==` compares; it gives no value to a name")
                .at(self.span_of(here))
                .help(format!("Write {shown} = value.")),
            _ => Diagnostic::error(format!("`=` is missing after `{shown}`"))
                .at(name.span.tail())
                .label("expected `=` here")
                .help(format!("Write {shown} = value.")),
        };
        self.report(diagnostic);
        self.skip_line();
    }

    /// The labels and the body after a block's kind.
    fn block(&mut self, kind: Ident) -> Option<Item> {
        let mut labels = Vec::new();
        let mut label_templates = Vec::new();
        // The `{` of a line whose last label lacks its quote is in that label.
        let mut inside_label = None;
        let head = loop {
            let token = self.token();
            match token.kind {
                Kind::OpenBrace => break self.since(kind.span),
                Kind::Identifier => {
                    labels.extend(self.name());
                    label_templates.push(None);
                }
                Kind::OpenQuote => {
                    let (label, template) = self.label(token)?;
                    if self.is_damaged(label.span) && label.name.trim_end().ends_with('{') {
                        inside_label = Some(Token { kind: Kind::OpenBrace, ..self.previous() });
                    }
                    labels.push(label);
                    label_templates.push(template);
                    if inside_label.is_some() {
                        break self.since(kind.span);
                    }
                }
                _ => {
                    let head = self.since(kind.span);
                    if !self.brace_on_next_line() {
                        self.no_brace(&kind, &labels, head);
                        return None;
                    }
                    break head;
                }
            }
        };
        if label_templates.iter().all(Option::is_none) {
            label_templates = Vec::new();
        }
        labels.shrink_to_fit();
        let opener = inside_label.unwrap_or_else(|| self.take());
        let inside = self.span(opener.end, opener.end);
        if self.depth >= NESTING_LIMIT {
            self.block_too_deep(head);
            return None;
        }
        self.depth += 1;
        let items = deeper(|| self.block_items(opener, head));
        self.depth -= 1;
        let inside = Span { end: self.token_at(self.at).start.max(inside.end), ..inside };
        self.duplicates(&items);
        self.take_if(Kind::CloseBrace);
        let body = Body { items: Self::shared(items), span: Some(inside) };
        let span = self.since(head);
        Some(Item::Block(Block { kind, labels, label_templates, body, span, head }))
    }

    /// Reports a `{` that is on the line after its block's head, and goes to it.
    fn brace_on_next_line(&mut self) -> bool {
        if self.peek() != Kind::Newline || self.ahead(1).kind != Kind::OpenBrace {
            return false;
        }
        self.take();
        let brace = self.token();
        let diagnostic = Diagnostic::error("`{` is not on the line of its block")
            .at(self.span_of(brace))
            .help("Put it at the end of the line before.");
        self.report(diagnostic);
        true
    }

    /// Reports a block's head with no `{`.
    fn no_brace(&mut self, kind: &Ident, labels: &[Ident], head: Span) {
        let here = self.token();
        let name = &kind.name;
        let diagnostic = match (labels, here.kind) {
            ([.., label], Kind::OpenParenthesis | Kind::OpenBracket) if self.is_quoted(label) => {
                let diagnostic = Diagnostic::error("a block's content is between { and }");
                let opener = here.text(self.text);
                let diagnostic = diagnostic.at(self.span_of(here)).label(format!("this is `{opener}`"));
                self.report(diagnostic.help(format!("Write {{ in place of {opener}, and }} at its end.")));
                return self.skip_brackets();
            }
            // `name "text"` and `name word` at the end of a line are arguments that lack their `=`.
            ([value], Kind::Newline | Kind::End | Kind::CloseBrace) if !self.is_damaged(value.span) => {
                Diagnostic::error(format!("`=` or `{{` is missing after `{name}`"))
                    .at(head)
                    .label("neither an argument nor a block")
                    .help(format!("Write {name} = value for an argument. A block's line ends in {{."))
            }
            ([_, ..], Kind::Dot | Kind::OpenParenthesis | Kind::OpenBracket) => {
                Diagnostic::error(format!("`=` is missing after `{name}`"))
                    .at(kind.span.tail())
                    .label("expected `=` here")
                    .help(format!("Write {name} = value."))
            }
            ([], Kind::Newline | Kind::End) => Diagnostic::error(format!("`{name}` has no value")).at(kind.span),
            ([.., last], Kind::Equal) => {
                let diagnostic = Diagnostic::error("expected `{` of a block, found `=`").at(self.span_of(here));
                diagnostic.help(format!("Remove `=` for a block, or write {} = value on a line of its own.", last.name))
            }
            _ => {
                let found = self.describe(here);
                Diagnostic::error(format!("block `{name}` has no `{{`"))
                    .at(self.span_of(here))
                    .label(format!("expected `{{` before this {found}"))
                    .help("A block is written name \"label\" { … }, with the { on the line of the name.")
            }
        };
        self.report(diagnostic);
        self.skip_line();
    }

    fn is_quoted(&self, label: &Ident) -> bool {
        self.text.get(label.span.start as usize..).is_some_and(|text| text.starts_with('"'))
    }

    /// Passes over a bracket with what only a block can hold in it, and then over the rest of the line.
    fn skip_brackets(&mut self) {
        /// Further away its end is not looked for.
        const FAR: usize = 2000;
        let mut open = 0u32;
        let end = (self.at..self.at + FAR).find(|index| {
            let kind = self.token_at(*index).kind;
            if super::closer_of(kind).is_some() {
                open += 1;
            } else if super::is_closer(kind) {
                open = open.saturating_sub(1);
            }
            open == 0
        });
        self.at = end.map_or(self.at, |end| (end + 1).min(self.tokens.len().saturating_sub(1)));
        self.skip_line();
    }

    fn block_too_deep(&mut self, head: Span) {
        let diagnostic = Diagnostic::error("blocks are nested too deeply")
            .at(head)
            .detail(format!("At most {NESTING_LIMIT} levels may be nested."))
            .help("Remove levels.");
        self.report(diagnostic);
        self.at = self.at.saturating_sub(1);
        self.pass_over();
    }

    /// What is between the braces; the closing one stays at hand.
    fn block_items(&mut self, opener: Token, head: Span) -> Vec<Item> {
        let mut items = Vec::new();
        let kind = self.peek();
        if kind != Kind::Newline && kind != Kind::CloseBrace && kind != Kind::End {
            self.one_line_items(&mut items);
        } else {
            self.items(&mut items);
        }
        if self.peek() == Kind::End {
            self.not_closed(opener, head);
        }
        items
    }

    /// Items after a `{` on its line. There may be one, and the `}` after it; more are reported, and read all the same.
    fn one_line_items(&mut self, items: &mut Vec<Item>) {
        let first = self.token();
        let item = self.item();
        items.extend(item);
        let next = self.token();
        match next.kind {
            Kind::CloseBrace | Kind::End => return,
            Kind::Newline => {
                let diagnostic = Diagnostic::error("block begins on one line and goes on over several")
                    .at(self.span_of(first))
                    .label("this follows `{` on its line")
                    .help("Put each argument on a line of its own, or the closing } on this line.");
                self.report(diagnostic);
            }
            Kind::Comma | Kind::Identifier => {
                let diagnostic = Diagnostic::error("several arguments in a block on one line")
                    .at(self.span_of(next))
                    .label("a block on one line holds at most one argument")
                    .help("Put each argument on a line of its own, without commas.");
                self.report(diagnostic);
                while matches!(self.peek(), Kind::Comma | Kind::Identifier) {
                    self.take_if(Kind::Comma);
                    if self.peek() == Kind::Identifier {
                        let item = self.item();
                        items.extend(item);
                    }
                }
            }
            _ => {
                self.unexpected("expected `}` here", "Put each argument on a line of its own.");
                self.skip_line();
            }
        }
        self.items(items);
    }

    /// Reports a block that the file ends in. The brace that is missing may be that of another block: one whose
    /// closing brace is indented less than the block is.
    fn not_closed(&mut self, opener: Token, head: Span) {
        // Of blocks in each other only the innermost is told; looking for the culprit takes the whole file.
        if self.reported_at == Some(self.at) {
            return;
        }
        let culprit = self.indentation_culprit();
        let start = culprit.map_or(opener, |(begun, _)| begun);
        let place = if culprit.is_some() { self.span_of(start) } else { head };
        let mut diagnostic = Diagnostic::error("`{` is not closed")
            .at(place)
            .label("the file ends before a `}` closes this")
            .help("Add the missing } at its end.");
        if let Some((_, closer)) = culprit {
            diagnostic =
                diagnostic.related(self.span_of(closer), "this `}`, by its indentation, closes something outside it");
        }
        // What swallowed the rest of the file took the closing brace with it.
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let swallowed = self.damage.last().is_some_and(|(start, damage_end)| {
            let range = *start as usize..*damage_end as usize;
            *damage_end == end && self.text.get(range).is_some_and(|text| text.trim_end().contains('\n'))
        });
        if swallowed {
            self.reported_at = Some(self.at);
            return;
        }
        self.report(diagnostic);
        self.reported_at = Some(self.at);
    }

    /// The first brace whose closer is indented less than the line that it is on, and that closer.
    fn indentation_culprit(&self) -> Option<(Token, Token)> {
        let mut open: Vec<(Token, u32)> = Vec::new();
        let (mut indentation, mut line_start, mut first) = (0, 0, true);
        for token in &self.tokens {
            if first {
                indentation = token.start.saturating_sub(line_start);
            }
            match token.kind {
                Kind::OpenBrace => open.push((*token, indentation)),
                Kind::CloseBrace => {
                    if let Some((opener, opener_indentation)) = open.pop()
                        && first
                        && indentation < opener_indentation
                    {
                        return Some((opener, *token));
                    }
                }
                _ => {}
            }
            first = matches!(token.kind, Kind::Newline);
            if first {
                line_start = token.end;
            }
        }
        None
    }

    /// A quoted label, and its template where it holds more than text.
    fn label(&mut self, token: Token) -> Option<(Ident, Option<Template>)> {
        if let Some(plain) = self.plain_label() {
            return Some((plain, None));
        }
        let expr = self.quoted();
        let span = expr.span;
        let ExprKind::Template(template) = &expr.kind else { return None };
        let name = match template.parts.as_slice() {
            [] => Arc::from(""),
            [TemplatePart::Literal(text, _)] => self.word(text),
            _ => {
                let raw = self.text.get(token.end as usize..span.end.saturating_sub(1) as usize).unwrap_or("");
                return Some((Ident { name: Arc::from(raw), span }, Some(template.clone())));
            }
        };
        Some((Ident { name, span }, None))
    }

    /// A label that is what is written, as nearly all are.
    fn plain_label(&mut self) -> Option<Ident> {
        let [opener, text, closer] = *self.tokens.get(self.at..self.at.checked_add(3)?)? else { return None };
        let written = text.text(self.text);
        let is_plain = (opener.kind, text.kind, closer.kind) == (Kind::OpenQuote, Kind::Literal, Kind::CloseQuote)
            && !written.contains(['\\', '$', '%']);
        if !is_plain {
            return None;
        }
        let start = self.span_of(opener);
        for _ in 0..3 {
            self.take();
        }
        Some(Ident { name: self.word(written), span: self.since(start) })
    }

    /// After an item: the line ends, or what else is there is reported and passed over.
    fn line_end(&mut self) {
        let kind = self.peek();
        let at_start = self.at > 0 && self.token_at(self.at - 1).kind == Kind::Newline;
        match kind {
            Kind::Newline | Kind::End => {}
            _ if at_start => {}
            Kind::CloseBrace if self.depth > 0 => {
                let help = "Put the } on a line of its own. Only a block written on one line has it on the line of its argument.";
                self.unexpected("this is on the line of an argument", help);
            }
            _ => {
                self.unexpected("expected the end of the line here", "Remove it, or put it on a line of its own.");
                self.skip_line();
            }
        }
    }

    /// Passes over the rest of a line, with all brackets that it opens.
    fn skip_line(&mut self) {
        loop {
            self.skip_to(&[]);
            match self.peek() {
                Kind::CloseBrace if self.depth > 0 => return,
                kind if super::is_closer(kind) => self.at += 1,
                _ => return,
            }
        }
    }

    /// Reports names that are given a value more than once.
    fn duplicates(&mut self, items: &[Item]) {
        let mut seen = Names::default();
        for item in items {
            let Item::Attribute(Attribute { name, .. }) = item else { continue };
            match seen.add(name) {
                None => {}
                Some(first) => {
                    let diagnostic = Diagnostic::error(format!("`{}` is set twice", name.name))
                        .at(name.span)
                        .label("set again here")
                        .related(first, "set here first")
                        .help("Keep one of them.");
                    self.told.tell(|| diagnostic);
                }
            }
        }
    }
}

/// Names seen so far: a list while they are few, as they mostly are.
#[derive(Default)]
struct Names<'a> {
    few: Vec<&'a Ident>,
    many: HashMap<&'a str, Span>,
}

impl<'a> Names<'a> {
    /// Adds a name; gives where it was seen first, where it was.
    fn add(&mut self, name: &'a Ident) -> Option<Span> {
        const FEW: usize = 16;
        if let Some(first) = self.few.iter().find(|other| other.name == name.name) {
            return Some(first.span);
        }
        if self.few.len() < FEW {
            self.few.push(name);
            return None;
        }
        match self.many.entry(&*name.name) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(place) => {
                place.insert(name.span);
                None
            }
        }
    }
}
