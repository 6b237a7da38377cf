//! Ways through the tree, for readers that look for something in it.

use std::sync::Arc;

use andon_text::{Span, deeper};

use crate::ast::{Expr, ExprKind, Ident, Template, TemplatePart};

/// A reference: a name and the steps after it that are known from the text alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The name that it begins with.
    pub root: Ident,
    /// The steps, up to the first that has to be evaluated.
    pub steps: Vec<Step>,
    /// All of its text, as far as the steps go.
    pub span: Span,
}

/// A step of a reference.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `.name`
    Attribute(Ident),
    /// `[0]` or the legacy `.0`: the digits as written.
    Number(Arc<str>, Span),
    /// `["key"]`
    Key(Arc<str>, Span),
    /// `[expression]`, whose key is known only on evaluation.
    Unknown(Span),
    /// `.*` or `[*]`; what follows applies to each element.
    Splat(Span),
}

impl Step {
    /// Its text.
    pub fn span(&self) -> Span {
        match self {
            Step::Attribute(name) => name.span,
            Step::Number(_, span) | Step::Key(_, span) | Step::Unknown(span) | Step::Splat(span) => *span,
        }
    }

    /// The name of an attribute step.
    pub fn name(&self) -> Option<&str> {
        match self {
            Step::Attribute(name) => Some(&name.name),
            _ => None,
        }
    }
}

impl Reference {
    /// The root and the names of the attributes right after it, joined by dots: `var.name`.
    pub fn dotted(&self) -> String {
        let names = self.steps.iter().map_while(Step::name);
        std::iter::once(&*self.root.name).chain(names).collect::<Vec<_>>().join(".")
    }
}

impl Expr {
    /// Calls for this expression and all in it, from the outside in, in the order of the text.
    ///
    /// The key of an object's item is not walked where it is a bare name, as that is no expression.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        deeper(|| self.for_each_part(&mut |part| part.walk(visit)));
    }

    /// Calls for each expression directly in this one, in the order of the text.
    pub fn for_each_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Number(_)
            | ExprKind::Variable(_)
            | ExprKind::SplatElement
            | ExprKind::Invalid => {}
            ExprKind::Template(template) => template.for_each_part(visit),
            ExprKind::Attribute { target, .. } => visit(target),
            ExprKind::Index { target, key } => {
                visit(target);
                visit(key);
            }
            ExprKind::Splat { target, each, .. } => {
                visit(target);
                visit(each);
            }
            ExprKind::Call { arguments: parts, .. } | ExprKind::Tuple(parts) => parts.iter().for_each(visit),
            ExprKind::Object(items) => {
                for item in items {
                    if !matches!(item.key.kind, ExprKind::Variable(_)) {
                        visit(&item.key);
                    }
                    visit(&item.value);
                }
            }
            ExprKind::For(parts) => {
                visit(&parts.collection);
                parts.key.iter().for_each(&mut *visit);
                visit(&parts.value);
                parts.condition.iter().for_each(visit);
            }
            ExprKind::Unary { operand, .. } => visit(operand),
            ExprKind::Binary { left, right, .. } => {
                visit(left);
                visit(right);
            }
            ExprKind::Conditional { condition, yes, no } => {
                visit(condition);
                visit(yes);
                visit(no);
            }
            ExprKind::Parentheses(inner) => visit(inner),
        }
    }

    /// Every reference in it to a name from outside: the names of its own `for` expressions and directives are not
    /// among them, but references in index keys are. In the order of the text.
    pub fn references(&self) -> Vec<Reference> {
        let mut finder = Finder::default();
        finder.expression(self);
        finder.found
    }

    /// This expression as a reference, where it is nothing else.
    pub fn as_reference(&self) -> Option<Reference> {
        let mut steps = Vec::new();
        let root = collect_steps(self, &mut steps)?;
        Some(Reference { root, steps, span: self.span })
    }

    /// What a chain of steps begins with.
    fn root(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Attribute { target, .. } | ExprKind::Index { target, .. } | ExprKind::Splat { target, .. } =
            &expr.kind
        {
            expr = target;
        }
        expr
    }

    /// The text of a string without holes.
    pub fn as_literal_text(&self) -> Option<Arc<str>> {
        match &self.kind {
            ExprKind::Template(template) => template.as_literal_text(),
            _ => None,
        }
    }
}

impl Template {
    /// Its text, where it has no holes.
    pub fn as_literal_text(&self) -> Option<Arc<str>> {
        match self.parts.as_slice() {
            [] => Some(Arc::from("")),
            [TemplatePart::Literal(text, _)] => Some(text.clone()),
            _ => None,
        }
    }

    /// Calls for each expression directly in it, directives' contents included, in the order of the text.
    pub fn for_each_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        parts(&self.parts, visit);
    }

    /// Every reference in it to a name from outside, as [`Expr::references`].
    pub fn references(&self) -> Vec<Reference> {
        let mut finder = Finder::default();
        finder.template(&self.parts);
        finder.found
    }
}

fn parts<'a>(all: &'a [TemplatePart], visit: &mut dyn FnMut(&'a Expr)) {
    for part in all {
        match part {
            TemplatePart::Literal(..) => {}
            TemplatePart::Interpolation(expr) => visit(expr),
            TemplatePart::If { condition, yes, no, .. } => {
                visit(condition);
                parts(yes, visit);
                parts(no, visit);
            }
            TemplatePart::For { collection, body, .. } => {
                visit(collection);
                parts(body, visit);
            }
        }
    }
}

/// Collects the steps down to the root of a reference; `None` where it begins with something else.
fn collect_steps(expr: &Expr, steps: &mut Vec<Step>) -> Option<Ident> {
    deeper(|| match &expr.kind {
        ExprKind::Variable(name) => Some(Ident { name: name.clone(), span: expr.span }),
        ExprKind::Attribute { target, name } => {
            let root = collect_steps(target, steps)?;
            let digits = name.name.bytes().all(|byte| byte.is_ascii_digit());
            steps.push(if digits { Step::Number(name.name.clone(), name.span) } else { Step::Attribute(name.clone()) });
            Some(root)
        }
        ExprKind::Index { target, key } => {
            let root = collect_steps(target, steps)?;
            steps.push(match (&key.kind, key.as_literal_text()) {
                (ExprKind::Number(digits), _) => Step::Number(digits.clone(), key.span),
                (_, Some(text)) => Step::Key(text, key.span),
                _ => Step::Unknown(key.span),
            });
            Some(root)
        }
        ExprKind::Splat { target, each, .. } => {
            let root = collect_steps(target, steps)?;
            collect_element_steps(each, steps)?;
            Some(root)
        }
        _ => None,
    })
}

/// Collects the steps of a splat after its element.
fn collect_element_steps(expr: &Expr, steps: &mut Vec<Step>) -> Option<()> {
    deeper(|| {
        match &expr.kind {
            ExprKind::SplatElement => steps.push(Step::Splat(expr.span)),
            ExprKind::Attribute { target, name } => {
                collect_element_steps(target, steps)?;
                steps.push(Step::Attribute(name.clone()));
            }
            ExprKind::Index { target, key } => {
                collect_element_steps(target, steps)?;
                steps.push(Step::Unknown(key.span));
            }
            ExprKind::Splat { target, each, .. } => {
                collect_element_steps(target, steps)?;
                collect_element_steps(each, steps)?;
            }
            _ => return None,
        }
        Some(())
    })
}

/// Looks for references, and knows the names that are not from outside.
#[derive(Default)]
struct Finder<'a> {
    found: Vec<Reference>,
    /// Names of enclosing `for`s; a name may be in it once for each that gives it.
    inner: Vec<&'a str>,
}

impl<'a> Finder<'a> {
    fn expression(&mut self, expr: &'a Expr) {
        deeper(|| self.within(expr));
    }

    fn within(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Variable(_) | ExprKind::Attribute { .. } | ExprKind::Index { .. } | ExprKind::Splat { .. } => {
                match expr.as_reference() {
                    Some(reference) => {
                        if !self.inner.contains(&&*reference.root.name) {
                            self.found.push(reference);
                        }
                        self.keys(expr);
                    }
                    None => {
                        self.expression(expr.root());
                        self.keys(expr);
                    }
                }
            }
            ExprKind::For(parts) => {
                self.expression(&parts.collection);
                let names = parts.key_name.iter().chain([&parts.value_name]);
                self.with_names(names, |finder| {
                    parts.key.iter().for_each(|key| finder.expression(key));
                    finder.expression(&parts.value);
                    parts.condition.iter().for_each(|condition| finder.expression(condition));
                });
            }
            ExprKind::Template(template) => self.template(&template.parts),
            _ => expr.for_each_part(&mut |part| self.expression(part)),
        }
    }

    /// Looks in the keys of a reference's own steps.
    fn keys(&mut self, expr: &'a Expr) {
        deeper(|| match &expr.kind {
            ExprKind::Attribute { target, .. } => self.keys(target),
            ExprKind::Index { target, key } => {
                self.keys(target);
                self.expression(key);
            }
            ExprKind::Splat { target, each, .. } => {
                self.keys(target);
                self.keys(each);
            }
            _ => {}
        });
    }

    fn template(&mut self, parts: &'a [TemplatePart]) {
        for part in parts {
            match part {
                TemplatePart::Literal(..) => {}
                TemplatePart::Interpolation(expr) => self.expression(expr),
                TemplatePart::If { condition, yes, no, .. } => {
                    self.expression(condition);
                    self.template(yes);
                    self.template(no);
                }
                TemplatePart::For { key_name, value_name, collection, body, .. } => {
                    self.expression(collection);
                    self.with_names(key_name.iter().chain([value_name]), |finder| finder.template(body));
                }
            }
        }
    }

    fn with_names(&mut self, names: impl Iterator<Item = &'a Ident>, look: impl FnOnce(&mut Self)) {
        let before = self.inner.len();
        self.inner.extend(names.map(|name| &*name.name));
        look(self);
        self.inner.truncate(before);
    }
}
