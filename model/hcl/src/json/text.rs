//! From places in the text that a JSON string stands for to places in the file.

use std::sync::Arc;

use andon_text::{Diagnostic, Diagnostics, Span, deeper};

use super::Text;
use crate::ast::{Expr, ExprKind, Ident, Template, TemplatePart};
use crate::parser::{parse_inner_expression, parse_inner_template};

/// Where the escapes of a string move its text: pairs of a place in the text and the place in the file from which on
/// both go byte by byte. In order; the first is the beginning.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Places(Vec<(u32, u32)>);

impl Places {
    /// From `decoded` on, the text is what the file has from `written` on.
    pub fn add(&mut self, decoded: usize, written: usize) {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        self.0.push((offset(decoded), offset(written)));
    }

    /// For a text without escapes that does not begin one byte into its place.
    pub fn from_here(written: usize) -> Option<Arc<Places>> {
        let mut places = Places::default();
        places.add(0, written);
        Some(Arc::new(places))
    }

    fn written(&self, decoded: u32) -> u32 {
        let after = self.0.partition_point(|(from, _)| *from <= decoded);
        let (from, to) = after.checked_sub(1).and_then(|index| self.0.get(index)).copied().unwrap_or_default();
        to.saturating_add(decoded - from)
    }
}

impl Text {
    /// As a template; a lone `${…}` in it is its value. `depth` is how deep the tree that it goes into is.
    pub fn to_template(&self, depth: u32, out: &mut Diagnostics) -> Expr {
        if !self.text.contains("${") && !self.text.contains("%{") {
            return self.to_literal();
        }
        let (template, errors) = parse_inner_template(self.span.source, &self.text, depth);
        let mut expr = Expr { kind: ExprKind::Template(template), span: self.span };
        self.move_parts(&mut expr);
        self.tell(errors, out);
        expr
    }

    /// As itself, whatever is in it.
    pub fn to_literal(&self) -> Expr {
        let inside =
            Span::new(self.span.source, self.span.start as usize + 1, self.span.end.saturating_sub(1) as usize);
        let parts = match &*self.text {
            "" => Vec::new(),
            _ => vec![TemplatePart::Literal(self.text.clone(), inside)],
        };
        Expr { kind: ExprKind::Template(Template { parts, heredoc: false }), span: self.span }
    }

    /// As an expression.
    pub fn to_expression(&self, depth: u32, out: &mut Diagnostics) -> Expr {
        let (mut expr, errors) = parse_inner_expression(self.span.source, &self.text, depth);
        self.move_expr(&mut expr);
        self.tell(errors, out);
        expr
    }

    /// As a name.
    pub fn to_ident(&self) -> Ident {
        Ident { name: self.text.clone(), span: self.span }
    }

    fn tell(&self, errors: Diagnostics, out: &mut Diagnostics) {
        out.extend(errors.into_iter().map(|mut error: Diagnostic| {
            error
                .span
                .iter_mut()
                .chain(error.related.iter_mut().map(|(span, _)| span))
                .for_each(|span| self.move_span(span));
            error
        }));
    }

    fn move_span(&self, span: &mut Span) {
        match &self.places {
            Some(places) => {
                span.start = places.written(span.start);
                span.end = places.written(span.end).max(span.start);
            }
            None => {
                let shift = self.span.start + 1;
                span.start = span.start.saturating_add(shift);
                span.end = span.end.saturating_add(shift);
            }
        }
    }

    fn move_expr(&self, expr: &mut Expr) {
        self.move_span(&mut expr.span);
        deeper(|| self.move_parts(expr));
    }

    /// Moves all in an expression whose own place is right.
    fn move_parts(&self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Number(_)
            | ExprKind::Variable(_)
            | ExprKind::SplatElement
            | ExprKind::Invalid => {}
            ExprKind::Template(template) => self.move_template(&mut template.parts),
            ExprKind::Attribute { target, name } => {
                self.move_expr(target);
                self.move_span(&mut name.span);
            }
            ExprKind::Index { target: one, key: other } | ExprKind::Splat { target: one, each: other, .. } => {
                self.move_expr(one);
                self.move_expr(other);
            }
            ExprKind::Call { name, arguments, .. } => {
                self.move_span(&mut name.span);
                arguments.iter_mut().for_each(|argument| self.move_expr(argument));
            }
            ExprKind::Tuple(elements) => elements.iter_mut().for_each(|element| self.move_expr(element)),
            ExprKind::Object(items) => items.iter_mut().for_each(|item| {
                self.move_expr(&mut item.key);
                self.move_expr(&mut item.value);
            }),
            ExprKind::For(parts) => {
                parts.key_name.iter_mut().for_each(|name| self.move_span(&mut name.span));
                self.move_span(&mut parts.value_name.span);
                self.move_expr(&mut parts.collection);
                parts.key.iter_mut().for_each(|key| self.move_expr(key));
                self.move_expr(&mut parts.value);
                parts.condition.iter_mut().for_each(|condition| self.move_expr(condition));
            }
            ExprKind::Unary { operand: inner, .. } | ExprKind::Parentheses(inner) => self.move_expr(inner),
            ExprKind::Binary { operator_span, left, right, .. } => {
                self.move_span(operator_span);
                self.move_expr(left);
                self.move_expr(right);
            }
            ExprKind::Conditional { condition, yes, no } => {
                [condition, yes, no].into_iter().for_each(|part| self.move_expr(part));
            }
        }
    }

    fn move_template(&self, parts: &mut [TemplatePart]) {
        for part in parts {
            match part {
                TemplatePart::Literal(_, span) => self.move_span(span),
                TemplatePart::Interpolation(expr) => self.move_expr(expr),
                TemplatePart::If { condition, yes, no, span } => {
                    self.move_span(span);
                    self.move_expr(condition);
                    self.move_template(yes);
                    self.move_template(no);
                }
                TemplatePart::For { key_name, value_name, collection, body, span } => {
                    self.move_span(span);
                    key_name.iter_mut().for_each(|name| self.move_span(&mut name.span));
                    self.move_span(&mut value_name.span);
                    self.move_expr(collection);
                    self.move_template(body);
                }
            }
        }
    }
}

impl From<Places> for Option<Arc<Places>> {
    fn from(places: Places) -> Self {
        (places.0.len() > 1).then(|| Arc::new(places))
    }
}
