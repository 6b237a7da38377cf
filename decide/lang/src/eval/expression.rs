use std::sync::Arc;

use andon_hcl::ast::{BinaryOperator, Expr, ExprKind, ObjectItem, TemplatePart, UnaryOperator};
use andon_hcl::{Reference, Step as StaticStep};
use andon_text::{Diagnostic, Diagnostics, Span, deeper};
use andon_value::{Marks, Number, Type, Value, convert, quote, unify};

use super::{Name, Resolved, Scope, Step, apply_step, describe};

/// Expressions of more bytes do not have their values shown beside an error.
const LONGEST_SHOWN: u32 = 2000;

/// The diagnostics say why.
#[derive(Debug)]
pub(crate) struct Failed;

/// One evaluation: the names that the expression itself binds, and the errors found so far.
pub(crate) struct Evaluator<'a> {
    pub(super) scope: &'a dyn Scope,
    /// Variables of the `for` expressions around the current place, the innermost last.
    pub(super) locals: Vec<(Arc<str>, Value)>,
    /// The elements that the splats around the current place are at, the innermost last.
    pub(super) splats: Vec<Value>,
    /// The template files around the current place, so that none is read inside itself.
    pub(super) templates: Vec<String>,
    diagnostics: Diagnostics,
    /// Errors of parts that may turn out not to be needed.
    doubts: Diagnostics,
    /// Whether errors are only looked at, not reported: then they need not show values.
    aside: bool,
    /// Whether only the types of what has failed are looked for.
    typing: bool,
    /// Whether a reference met something that is not known yet, since someone began to ask.
    met_unknown: bool,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(scope: &'a dyn Scope) -> Evaluator<'a> {
        Evaluator {
            scope,
            locals: Vec::new(),
            splats: Vec::new(),
            templates: Vec::new(),
            diagnostics: Diagnostics::new(),
            doubts: Diagnostics::new(),
            aside: false,
            typing: false,
            met_unknown: false,
        }
    }

    /// An evaluation inside template files.
    pub(crate) fn within(scope: &'a dyn Scope, templates: Vec<String>) -> Evaluator<'a> {
        Evaluator { templates, ..Evaluator::new(scope) }
    }

    pub(crate) fn into_diagnostics(self) -> Diagnostics {
        self.diagnostics
    }

    /// The errors, and those of parts that may turn out not to be needed.
    pub(crate) fn into_errors_and_doubts(self) -> (Diagnostics, Diagnostics) {
        (self.diagnostics, self.doubts)
    }

    pub(crate) fn fail(&mut self, diagnostic: Diagnostic) -> Failed {
        self.diagnostics.push(diagnostic);
        Failed
    }

    /// Evaluates on the side: its errors are handed back and not reported. The last answer is whether any reference
    /// in it met something that is not known yet.
    pub(super) fn aside<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (T, Diagnostics, bool) {
        let before = std::mem::take(&mut self.diagnostics);
        let doubts = std::mem::take(&mut self.doubts);
        let was_aside = std::mem::replace(&mut self.aside, true);
        let had_met = std::mem::take(&mut self.met_unknown);
        let depth = (self.locals.len(), self.splats.len());
        let result = work(self);
        // Work that failed midway may have left its names behind.
        self.locals.truncate(depth.0);
        self.splats.truncate(depth.1);
        self.aside = was_aside;
        self.doubts = doubts;
        let met = self.met_unknown;
        self.met_unknown |= had_met;
        (result, std::mem::replace(&mut self.diagnostics, before), met)
    }

    /// Evaluates what is only supposed: nothing that it meets counts as met.
    pub(super) fn supposing<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let met = self.met_unknown;
        let result = work(self);
        self.met_unknown = met;
        result
    }

    /// Evaluates what may turn out not to be needed: its errors are doubts.
    pub(super) fn in_doubt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Failed>) -> Option<T> {
        let before = std::mem::take(&mut self.diagnostics);
        let depth = (self.locals.len(), self.splats.len());
        let result = work(self);
        self.locals.truncate(depth.0);
        self.splats.truncate(depth.1);
        let found = std::mem::replace(&mut self.diagnostics, before);
        self.doubts.extend(found);
        result.ok()
    }

    pub(crate) fn evaluate(&mut self, expr: &Expr) -> Result<Value, Failed> {
        deeper(|| self.evaluate_here(expr))
    }

    // Each kind with a large frame is a function of its own, so that nesting costs little stack.
    fn evaluate_here(&mut self, expr: &Expr) -> Result<Value, Failed> {
        match &expr.kind {
            ExprKind::Null => Ok(Value::NULL),
            ExprKind::Bool(truth) => Ok(Value::from(*truth)),
            ExprKind::Number(digits) => self.number(digits, expr.span),
            ExprKind::Template(template) => self.template(template),
            ExprKind::Variable(_) | ExprKind::Attribute { .. } | ExprKind::Index { .. } => self.traversal(expr),
            ExprKind::Splat { target, each, .. } => self.splat(target, each),
            ExprKind::SplatElement => Ok(self.splats.last().cloned().unwrap_or(Value::UNKNOWN)),
            ExprKind::Call { name, arguments, expand_last } => self.call(expr, name, arguments, *expand_last),
            ExprKind::Tuple(elements) => self.tuple(elements),
            ExprKind::Object(items) => self.object(items),
            ExprKind::For(expression) => self.for_expression(expression),
            ExprKind::Unary { operator, operand } => self.unary(*operator, operand),
            ExprKind::Binary { .. } => self.binary(expr),
            ExprKind::Conditional { condition, yes, no } => self.conditional(expr.span, condition, yes, no),
            ExprKind::Parentheses(inner) => self.evaluate(inner),
            ExprKind::Invalid => Ok(Value::UNKNOWN),
        }
    }

    fn number(&mut self, digits: &str, span: Span) -> Result<Value, Failed> {
        Number::parse(digits).map(Value::from).ok_or_else(|| {
            self.fail(Diagnostic::error("number out of range").at(span).label("too large or too small to be held"))
        })
    }

    fn tuple(&mut self, elements: &[Expr]) -> Result<Value, Failed> {
        Ok(Value::tuple(self.all(elements)?))
    }

    /// Every one of them, so that the errors of all are found.
    pub(super) fn all(&mut self, expressions: &[Expr]) -> Result<Vec<Value>, Failed> {
        let results: Vec<_> = expressions.iter().map(|expr| self.evaluate(expr)).collect();
        results.into_iter().collect()
    }

    fn object(&mut self, items: &[ObjectItem]) -> Result<Value, Failed> {
        let mut attributes: Vec<(Arc<str>, Value)> = Vec::with_capacity(items.len());
        let (mut marks, mut unknown, mut failed) = (Marks::NONE, false, false);
        for item in items {
            let key = self.object_key(&item.key);
            let value = self.evaluate(&item.value);
            match (key, value) {
                (Ok(key), Ok(value)) => {
                    marks = marks.union(key.marks());
                    match key.as_str() {
                        Some(name) => attributes.push((name.clone(), value)),
                        None => unknown = true,
                    }
                }
                _ => failed = true,
            }
        }
        match (failed, unknown) {
            (true, _) => Err(Failed),
            (_, true) => Ok(Value::UNKNOWN.mark(marks)),
            _ => Ok(Value::object(attributes).mark(marks)),
        }
    }

    fn object_key(&mut self, key: &Expr) -> Result<Value, Failed> {
        if let ExprKind::Variable(name) = &key.kind {
            return Ok(Value::string(name.clone()));
        }
        let value = self.evaluate(key)?;
        self.as_key(value, key)
    }

    /// A key of an object: a string, perhaps unknown, never null.
    pub(super) fn as_key(&mut self, value: Value, expr: &Expr) -> Result<Value, Failed> {
        if value.is_null() {
            let error = Diagnostic::error("a key is null").at(expr.span).label("must not be null");
            return Err(self.fail_showing(error, &[expr]));
        }
        match convert(&value, &Type::String) {
            Ok(key) => Ok(key),
            Err(error) => {
                let error = Diagnostic::error("a key is not a string").at(expr.span).label(error.to_string());
                Err(self.fail_showing(error, &[expr]))
            }
        }
    }

    /// A reference, or steps into any other value. Chains of steps are walked, not recursed into.
    fn traversal(&mut self, expr: &Expr) -> Result<Value, Failed> {
        let mut chain = Vec::new();
        let mut root = expr;
        while let ExprKind::Attribute { target, .. } | ExprKind::Index { target, .. } = &root.kind {
            chain.push(root);
            root = target;
        }
        chain.reverse();
        let from_scope = match &root.kind {
            ExprKind::Variable(name) => match self.local(name) {
                Some(value) => Ok(value),
                None => Err(name),
            },
            _ => Ok(self.evaluate(root)?),
        };
        let steps: Vec<_> = chain.iter().map(|node| self.step(node)).collect();
        let steps = steps.into_iter().collect::<Result<Vec<Step>, Failed>>()?;
        let Resolved { value, used } = match from_scope {
            Ok(value) => Resolved { value, used: 0 },
            Err(name) => match self.scope.resolve(Name { name, span: root.span }, &steps) {
                Ok(resolved) => resolved,
                Err(error) => return Err(self.fail(error)),
            },
        };
        let mut rest = steps.iter().zip(&chain).skip(used);
        let value = rest.try_fold(value, |value, (step, node)| {
            apply_step(&value, step).map_err(|error| {
                let key = match &node.kind {
                    ExprKind::Index { target, key } => vec![&**target, &**key],
                    ExprKind::Attribute { target, .. } => vec![&**target],
                    _ => Vec::new(),
                };
                self.fail_showing(error, &key)
            })
        })?;
        self.met_unknown = self.met_unknown || self.aside && !value.is_wholly_known();
        Ok(value)
    }

    fn local(&self, name: &str) -> Option<Value> {
        self.locals.iter().rev().find(|(local, _)| &**local == name).map(|(_, value)| value.clone())
    }

    fn step(&mut self, node: &Expr) -> Result<Step, Failed> {
        match &node.kind {
            ExprKind::Index { key, .. } => Ok(Step::Key(self.evaluate(key)?, key.span)),
            ExprKind::Attribute { name, .. } => Ok(Step::of_attribute(&name.name, name.span)),
            _ => Err(Failed),
        }
    }

    fn conditional(&mut self, span: Span, condition: &Expr, yes: &Expr, no: &Expr) -> Result<Value, Failed> {
        let condition_value = self.evaluate(condition).and_then(|value| self.as_condition(value, condition));
        let taken = condition_value.as_ref().ok().and_then(Value::as_bool);
        // Both sides are evaluated, as the result has the type that both agree on, and the marks of both; but the
        // errors of the side that is not taken do not count, and those of a side that may not be taken are doubts.
        let open = condition_value.as_ref().is_ok_and(Value::is_unknown);
        let yes_value = if open { Ok(self.open_side(yes)) } else { self.side(yes, taken != Some(false)) };
        let no_value = if open { Ok(self.open_side(no)) } else { self.side(no, taken != Some(true)) };
        let condition_value = condition_value?;
        let (yes_value, no_value) = (yes_value?, no_value?);
        let marks = condition_value.marks().union(yes_value.marks()).union(no_value.marks());
        let ty = self.agreed_type(span, (yes, &yes_value), (no, &no_value))?;
        let (side, value) = match taken {
            Some(true) => (yes, yes_value),
            Some(false) => (no, no_value),
            None => {
                let marks = marks.union(yes_value.marks_within()).union(no_value.marks_within());
                return Ok(either(&ty, yes_value, no_value).mark(marks));
            }
        };
        match convert(&value, &ty) {
            Ok(value) => Ok(value.mark(marks)),
            Err(error) => {
                let error = Diagnostic::error("the two results of a conditional do not agree")
                    .at(side.span)
                    .label(error.to_string());
                Err(self.fail(error))
            }
        }
    }

    /// One side of a conditional. One that does not count and fails is a value of the type that it was to have.
    fn side(&mut self, expr: &Expr, counts: bool) -> Result<Value, Failed> {
        if counts {
            return self.evaluate(expr);
        }
        self.aside(|this| {
            let value = this.evaluate(expr);
            Ok(value.unwrap_or_else(|_| Value::unknown(this.type_of_failed(expr))))
        })
        .0
    }

    /// A side of a conditional whose condition is not known yet.
    fn open_side(&mut self, expr: &Expr) -> Value {
        let value = self.in_doubt(|this| this.evaluate(expr));
        value.unwrap_or_else(|| self.supposing(|this| this.aside(|this| Value::unknown(this.type_of_failed(expr))).0))
    }

    /// The type of an expression that cannot be evaluated, as far as the way it is written tells it.
    fn type_of_failed(&mut self, expr: &Expr) -> Type {
        // Parts are evaluated once more; parts of parts that failed are not, as that would be over and over.
        if std::mem::replace(&mut self.typing, true) {
            return Type::Dynamic;
        }
        let ty = self.written_type(expr);
        self.typing = false;
        ty
    }

    fn written_type(&mut self, expr: &Expr) -> Type {
        deeper(|| self.written_type_here(expr))
    }

    fn written_type_here(&mut self, expr: &Expr) -> Type {
        let part = |this: &mut Self, part: &Expr| match this.evaluate(part) {
            Ok(value) => value.ty(),
            Err(_) => this.written_type(part),
        };
        match &expr.kind {
            ExprKind::Parentheses(inner) => self.written_type(inner),
            ExprKind::Template(template) if !matches!(template.parts.as_slice(), [TemplatePart::Interpolation(_)]) => {
                Type::String
            }
            ExprKind::Unary { operator: UnaryOperator::Negate, .. } => Type::Number,
            ExprKind::Unary { operator: UnaryOperator::Not, .. } => Type::Bool,
            ExprKind::Binary { operator, .. } => match operator {
                BinaryOperator::Add
                | BinaryOperator::Subtract
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo => Type::Number,
                _ => Type::Bool,
            },
            ExprKind::Tuple(elements) => Type::tuple(elements.iter().map(|element| part(self, element))),
            ExprKind::Splat { target, .. } => match self.evaluate(target) {
                // What is no list is a tuple of itself.
                Ok(value) if !value.is_unknown() && !value.is_null() && value.as_elements().is_none() => {
                    Type::tuple([Type::Dynamic])
                }
                _ => Type::Dynamic,
            },
            // Its condition has failed, or the side that it takes.
            ExprKind::Conditional { yes, no, .. } => {
                let [yes_value, no_value] = [yes, no].map(|side| match self.evaluate(side) {
                    Ok(value) => value,
                    Err(_) => Value::unknown(self.written_type(side)),
                });
                self.agreed_type(expr.span, (yes, &yes_value), (no, &no_value)).unwrap_or(Type::Dynamic)
            }
            ExprKind::Object(items) => {
                let attribute = |item: &ObjectItem| {
                    let key = self.object_key(&item.key).ok()?.as_str()?.clone();
                    Some((key, part(self, &item.value)))
                };
                let attributes: Option<Vec<_>> = items.iter().map(attribute).collect();
                attributes.map_or(Type::Dynamic, Type::object)
            }
            _ => Type::Dynamic,
        }
    }

    /// The type that both sides of a conditional become. `any` where one is unknown altogether.
    fn agreed_type(&mut self, span: Span, yes: (&Expr, &Value), no: (&Expr, &Value)) -> Result<Type, Failed> {
        let types = [yes.1.ty(), no.1.ty()];
        if yes.1.is_unknown() && types.first() == Some(&Type::Dynamic)
            || no.1.is_unknown() && types.last() == Some(&Type::Dynamic)
        {
            return Ok(Type::Dynamic);
        }
        // A null takes the type of the other side, whatever it is.
        match (yes.1.is_null(), no.1.is_null(), &types) {
            (true, _, [Type::Dynamic, other]) | (_, true, [other, Type::Dynamic]) => return Ok(other.clone()),
            _ => {}
        }
        unify(&types).ok_or_else(|| {
            let [yes_type, no_type] = &types;
            let error = Diagnostic::error("the two results of a conditional do not agree")
                .at(span)
                .label("both must have one type")
                .related(yes.0.span, format!("this is {}", yes_type.in_words()))
                .related(no.0.span, format!("this is {}", no_type.in_words()))
                .help("Convert one of them, with `tostring`, `tolist` or `tomap` for example.");
            self.fail(error)
        })
    }

    /// A condition: true, false or unknown.
    pub(super) fn as_condition(&mut self, value: Value, expr: &Expr) -> Result<Value, Failed> {
        if value.is_null() {
            let error = Diagnostic::error("a condition is null").at(expr.span).label("must be true or false");
            return Err(self.fail_showing(error, &[expr]));
        }
        convert(&value, &Type::Bool).map_err(|error| {
            let error = Diagnostic::error("a condition is not true or false").at(expr.span).label(error.to_string());
            self.fail_showing(error, &[expr])
        })
    }

    /// Fails with an error that shows the values in play: those of the references in `expressions`.
    pub(super) fn fail_showing(&mut self, error: Diagnostic, expressions: &[&Expr]) -> Failed {
        let mut error = error;
        let mut lines: Vec<String> = if error.detail.is_empty() { Vec::new() } else { vec![error.detail.clone()] };
        for expr in expressions {
            // A very long expression has more values in play than anyone would read.
            if self.aside || expr.span.end - expr.span.start > LONGEST_SHOWN {
                continue;
            }
            for (text, described) in self.values_in_play(expr) {
                let line = format!("{text} is {described}.");
                if !lines.contains(&line) {
                    lines.push(line);
                    error.values.push((text, described));
                }
            }
        }
        self.fail(error.detail(lines.join("\n")))
    }

    /// The references of an expression as they are written, and what each is, in a few words.
    pub(super) fn values_in_play(&mut self, expr: &Expr) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for reference in expr.references() {
            if let Some((text, value)) = self.current_value(&reference)
                && !found.iter().any(|(other, _)| *other == text)
            {
                found.push((text, describe(&value)));
            }
        }
        found
    }

    /// A reference as it is written and what it means here, as far as its steps are known from the text.
    fn current_value(&mut self, reference: &Reference) -> Option<(String, Value)> {
        let mut text = reference.root.name.to_string();
        let mut steps = Vec::new();
        for step in &reference.steps {
            let (written, step) = match step {
                StaticStep::Attribute(name) => {
                    (format!(".{}", name.name), Step::Attribute(name.name.clone(), name.span))
                }
                StaticStep::Number(digits, span) => {
                    (format!("[{digits}]"), Step::Key(Value::from(Number::parse(digits)?), *span))
                }
                StaticStep::Key(key, span) => {
                    (format!("[{}]", quote(key)), Step::Key(Value::string(key.clone()), *span))
                }
                // The expression itself read all elements, so no more is read to show them.
                StaticStep::Splat(_) => break,
                StaticStep::Unknown(_) => return None,
            };
            text.push_str(&written);
            steps.push(step);
        }
        let Resolved { value, used } = match self.local(&reference.root.name) {
            Some(value) => Resolved { value, used: 0 },
            None => self.scope.resolve(Name { name: &reference.root.name, span: reference.root.span }, &steps).ok()?,
        };
        let value = steps.iter().skip(used).try_fold(value, |value, step| apply_step(&value, step)).ok()?;
        Some((text, value))
    }
}

/// An unknown value that will be one of two, which agree on a type.
fn either(ty: &Type, yes: Value, no: Value) -> Value {
    match (convert(&yes, ty), convert(&no, ty)) {
        (Ok(yes), Ok(no)) => Value::either(ty.clone(), &yes.unmark_deep().0, &no.unmark_deep().0),
        _ => Value::unknown(ty.clone()),
    }
}
