//! Arguments that must be written out, as they are needed before anything can be evaluated. They may be computed from
//! constants, as `!false` is; nothing can be referred to and no function called.

use andon_hcl::ast::{Body, Expr, ExprKind, Ident};
use andon_text::{Diagnostic, Span};
use andon_value::{Type, Value, convert, is_identifier};

use super::Loader;
use crate::eval::evaluate;
use crate::lint;
use crate::literal::{first_call, string};
use crate::reference::static_traversals;
use crate::variable::Constants;

/// Why nothing can be computed yet, and what to do.
const EARLY: &str = "This is needed before any value is known: write it out.";

impl Loader<'_> {
    /// `name = true` or `name = false`; false where it is not there.
    pub(super) fn flag(&mut self, body: &Body, name: &str, default: bool) -> bool {
        let Some(attribute) = body.attribute(name) else { return default };
        let value = self.constant(&attribute.value, name, &Type::Bool, "true or false");
        value.and_then(|value| value.as_bool()).unwrap_or(default)
    }

    /// The same of a flag that makes a secret: one that cannot be understood is taken for set.
    pub(super) fn secret(&mut self, body: &Body, name: &str) -> bool {
        let Some(attribute) = body.attribute(name) else { return false };
        let value = self.constant(&attribute.value, name, &Type::Bool, "true or false");
        value.and_then(|value| value.as_bool()).unwrap_or(true)
    }

    /// `name = "text"`.
    pub(super) fn text(&mut self, body: &Body, name: &str) -> Option<Ident> {
        let expr = &body.attribute(name)?.value;
        self.name(expr, name)
    }

    /// A bare word, or the quoted form of older versions of the language, which is warned of.
    pub(super) fn keyword(&mut self, expr: &Expr) -> Option<Ident> {
        match &expr.kind {
            ExprKind::Variable(word) => Some(Ident { name: word.clone(), span: expr.span }),
            _ => {
                let name = string(expr)?;
                self.quoted(expr, "word");
                Some(Ident { name, span: expr.span })
            }
        }
    }

    /// Warns of quotes that older versions of the language needed.
    pub(super) fn quoted(&mut self, expr: &Expr, what: &str) {
        let diagnostic =
            Diagnostic::warning(format!("quoted {what}s are an old form")).at(expr.span).named(lint::name::QUOTES);
        self.out.push(diagnostic.help("Take the quotes away."));
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

    /// The same where the list is of references: those in quotes, as older versions of the language needed them, are
    /// read as if they had none.
    pub(super) fn references(&mut self, body: &Body, name: &str) -> Vec<Expr> {
        let listed = self.list(body, name);
        let unquoted = |expr: Expr| match string(&expr).and_then(|text| reference(&text, expr.span)) {
            Some(unquoted) => {
                self.quoted(&expr, "reference");
                unquoted
            }
            None => expr,
        };
        listed.into_iter().map(unquoted).collect()
    }

    /// Text that is written out.
    pub(super) fn name(&mut self, expr: &Expr, argument: &str) -> Option<Ident> {
        if let Some(name) = string(expr) {
            return Some(Ident { name, span: expr.span });
        }
        let value = self.constant(expr, argument, &Type::String, "text")?;
        value.as_str().map(|name| Ident { name: name.clone(), span: expr.span })
    }

    /// The value of an expression of constants, of a type.
    fn constant(&mut self, expr: &Expr, argument: &str, ty: &Type, words: &str) -> Option<Value> {
        let error = |span| Diagnostic::error(format!("\"{argument}\" must be written out as {words}")).at(span);
        let problem = match (&expr.kind, first_call(expr), static_traversals(expr).first()) {
            (ExprKind::Invalid, ..) => return None,
            (_, Some(call), _) => error(call).label("a function cannot be called here").help(EARLY),
            (_, _, Some(reference)) => error(reference.span).label("nothing can be referred to here").help(EARLY),
            _ => match evaluate(expr, &Constants(self.inputs())) {
                Err(errors) => {
                    self.out.extend(errors);
                    return None;
                }
                Ok(value) => match convert(&value, ty) {
                    Ok(value) if !value.is_null() => return Some(value),
                    Ok(_) => error(expr.span).label("this is null"),
                    Err(problem) => error(expr.span).label(problem.to_string()),
                },
            },
        };
        self.out.push(problem);
        None
    }

    fn inputs(&self) -> crate::eval::Inputs<'_> {
        crate::eval::Inputs::of_files(self.files, "", "")
    }
}

/// The reference that a text of names with dots between them is.
fn reference(text: &str, span: Span) -> Option<Expr> {
    let mut names = text.split('.');
    let root = names.next().filter(|name| is_identifier(name))?;
    let root = Expr { kind: ExprKind::Variable(root.into()), span };
    names.try_fold(root, |target, name| {
        let name = Ident { name: is_identifier(name).then_some(name)?.into(), span };
        Some(Expr { kind: ExprKind::Attribute { target: Box::new(target), name }, span })
    })
}
