//! Arguments that must be written out, as they are needed before anything can be evaluated.

use andon_hcl::ast::{Body, Expr, ExprKind, Ident};
use andon_text::Diagnostic;

use super::Loader;
use crate::literal::string;

impl Loader<'_> {
    /// `name = true` or `name = false`; false where it is not there.
    pub(super) fn flag(&mut self, body: &Body, name: &str, default: bool) -> bool {
        let Some(attribute) = body.attribute(name) else { return default };
        match attribute.value.kind {
            ExprKind::Bool(truth) => truth,
            ExprKind::Invalid => default,
            _ => {
                let diagnostic = Diagnostic::error(format!("\"{name}\" must be written out as true or false"));
                self.out.push(diagnostic.at(attribute.value.span).label("an expression cannot be used here"));
                default
            }
        }
    }

    /// `name = "text"`.
    pub(super) fn text(&mut self, body: &Body, name: &str) -> Option<Ident> {
        let expr = &body.attribute(name)?.value;
        self.name(expr, name)
    }

    /// `name = ["text", …]`; empty where it is not there.
    pub(super) fn texts(&mut self, body: &Body, name: &str) -> Vec<Ident> {
        match body.attribute(name).map(|attribute| &attribute.value) {
            None => Vec::new(),
            Some(Expr { kind: ExprKind::Tuple(elements), .. }) => {
                elements.iter().filter_map(|element| self.name(element, name)).collect()
            }
            Some(Expr { kind: ExprKind::Invalid, .. }) => Vec::new(),
            Some(other) => {
                self.out.push(
                    Diagnostic::error(format!("\"{name}\" must be a list of names"))
                        .at(other.span)
                        .help(format!("Write it as: {name} = [\"NAME\"]")),
                );
                Vec::new()
            }
        }
    }

    /// `name = [reference, …]`; empty where it is not there.
    pub(super) fn list(&mut self, body: &Body, name: &str) -> Vec<Expr> {
        match body.attribute(name).map(|attribute| &attribute.value) {
            None => Vec::new(),
            Some(Expr { kind: ExprKind::Tuple(elements), .. }) => elements.clone(),
            Some(Expr { kind: ExprKind::Invalid, .. }) => Vec::new(),
            Some(other) => {
                self.out.push(
                    Diagnostic::error(format!("\"{name}\" must be a list"))
                        .at(other.span)
                        .help("Put what is listed between \"[\" and \"]\"."),
                );
                Vec::new()
            }
        }
    }

    fn name(&mut self, expr: &Expr, argument: &str) -> Option<Ident> {
        if expr.kind == ExprKind::Invalid {
            return None;
        }
        let text = string(expr).map(|name| Ident { name, span: expr.span });
        if text.is_none() {
            let diagnostic = Diagnostic::error(format!("\"{argument}\" must be written out as text"));
            self.out.push(diagnostic.at(expr.span).label("an expression cannot be used here"));
        }
        text
    }
}
