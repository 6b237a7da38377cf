use andon_hcl::ast::{BinaryOperator, Expr, ExprKind, UnaryOperator};
use andon_text::Diagnostic;
use andon_value::{Bound, Number, Type, Value, convert, equals};

use super::describe;
use super::expression::{Evaluator, Failed};

impl Evaluator<'_> {
    pub(super) fn unary(&mut self, operator: UnaryOperator, operand: &Expr) -> Result<Value, Failed> {
        let value = self.evaluate(operand)?;
        let (ty, sign) = match operator {
            UnaryOperator::Negate => (Type::Number, "-"),
            UnaryOperator::Not => (Type::Bool, "!"),
        };
        let value = self.operand(value, &ty, sign, operand)?;
        let result = match operator {
            UnaryOperator::Negate if value.is_unknown() => {
                let negated = |bound: Option<Bound>| bound.map(|bound| Bound { number: bound.number.neg(), ..bound });
                let (least, most) = value.number_bounds();
                Value::unknown(ty).between(negated(most), negated(least))
            }
            UnaryOperator::Not if value.is_unknown() => Value::unknown(ty).not_null(),
            UnaryOperator::Negate => Value::from(value.as_number().map_or(Number::ZERO, Number::neg)),
            UnaryOperator::Not => Value::from(value.as_bool() == Some(false)),
        };
        Ok(result.mark(value.marks()))
    }

    /// A chain of operators such as `a + b + c + …` leans left and may be thousands long, so it is walked and not
    /// recursed into.
    pub(super) fn binary(&mut self, expr: &Expr) -> Result<Value, Failed> {
        let mut chain = Vec::new();
        let mut first = expr;
        while let ExprKind::Binary { operator, left, right, .. } = &first.kind {
            chain.push((*operator, first, &**left, &**right));
            first = left;
        }
        let mut result = self.evaluate(first);
        for (operator, whole, left, right) in chain.into_iter().rev() {
            result = match result {
                Ok(value) if decides(operator, &value) => {
                    // What the left side guards against may fail on the right; a right side that has a value must
                    // still be a bool.
                    match self.aside(|this| this.evaluate(right)).0 {
                        Ok(right_value) => self.apply(operator, whole, (left, value), (right, right_value)),
                        Err(Failed) => Ok(Value::from(operator == BinaryOperator::Or).mark(value.marks())),
                    }
                }
                // The right side is evaluated even where the left failed: its errors count too.
                left_result => match (left_result, self.evaluate(right)) {
                    (Ok(left_value), Ok(right_value)) => {
                        self.apply(operator, whole, (left, left_value), (right, right_value))
                    }
                    _ => Err(Failed),
                },
            };
        }
        result
    }

    fn apply(
        &mut self,
        operator: BinaryOperator,
        whole: &Expr,
        (left, left_value): (&Expr, Value),
        (right, right_value): (&Expr, Value),
    ) -> Result<Value, Failed> {
        use BinaryOperator as Op;
        let (operands, gives) = match operator {
            Op::Equal => return Ok(equals(&left_value, &right_value)),
            Op::NotEqual => {
                let (equal, marks) = equals(&left_value, &right_value).unmark();
                return Ok(equal.as_bool().map_or(equal, |equal| Value::from(!equal)).mark(marks));
            }
            Op::Or | Op::And => (Type::Bool, Type::Bool),
            Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => (Type::Number, Type::Bool),
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Modulo => (Type::Number, Type::Number),
        };
        let sign = sign(operator);
        let left_value = self.operand(left_value, &operands, sign, left);
        let right_value = self.operand(right_value, &operands, sign, right);
        let (left_value, right_value) = (left_value?, right_value?);
        let marks = left_value.marks().union(right_value.marks());
        let result = match (left_value.as_number(), right_value.as_number()) {
            (Some(one), Some(other)) => match operator {
                Op::Less => Some(Value::from(one.compare(other).is_lt())),
                Op::LessOrEqual => Some(Value::from(one.compare(other).is_le())),
                Op::Greater => Some(Value::from(one.compare(other).is_gt())),
                Op::GreaterOrEqual => Some(Value::from(one.compare(other).is_ge())),
                Op::Add => one.add(other).map(Value::from),
                Op::Subtract => one.sub(other).map(Value::from),
                Op::Multiply => one.mul(other).map(Value::from),
                Op::Divide => one.div(other).map(Value::from),
                _ => one.rem(other).map(Value::from),
            },
            _ => match (left_value.as_bool(), right_value.as_bool()) {
                (Some(one), Some(other)) => {
                    Some(Value::from(if operator == Op::And { one && other } else { one || other }))
                }
                (Some(known), None) | (None, Some(known)) if known == (operator == Op::Or) => Some(Value::from(known)),
                _ => Some(foreseen(operator, &left_value, &right_value).unwrap_or(Value::unknown(gives)).not_null()),
            },
        };
        match result {
            Some(result) => Ok(result.mark(marks)),
            None => {
                let is = |test: fn(&Number) -> bool| {
                    [&left_value, &right_value].map(|value| value.as_number().is_some_and(test))
                };
                let error = if operator == Op::Divide && is(Number::is_zero) == [true, true] {
                    Diagnostic::error("zero divided by zero").at(right.span).label("this is 0, as is what it divides")
                } else if is(Number::is_infinite) != [false, false] {
                    Diagnostic::error(format!("\"{sign}\" has no result"))
                        .at(whole.span)
                        .label("an operand is infinite")
                } else {
                    Diagnostic::error(format!("the result of \"{sign}\" is out of range")).at(whole.span)
                };
                Err(self.fail_showing(error, &[left, right]))
            }
        }
    }

    /// A value as the operand of an operator: of the type, perhaps unknown, never null.
    fn operand(&mut self, value: Value, ty: &Type, sign: &str, expr: &Expr) -> Result<Value, Failed> {
        let refused = if value.is_null() {
            format!("{} is required, but this is null", ty.in_words())
        } else {
            match convert(&value, ty) {
                Ok(value) => return Ok(value),
                Err(error) => error.to_string(),
            }
        };
        let error = Diagnostic::error(format!("unsuitable operand of \"{sign}\"")).at(expr.span).label(refused);
        let error = match expr.kind {
            // What is written needs no repeating.
            ExprKind::Null | ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Template(_) => error,
            _ => error.detail(format!("The operand is {}.", describe(&value))),
        };
        let error = match value.is_null() {
            true => error.help("Give it a value; coalesce(…, VALUE) takes VALUE in place of null."),
            false => error,
        };
        Err(self.fail_showing(error, &[expr]))
    }
}

/// What is known of the result for numbers of which at least one is unknown: from their bounds, a comparison may be
/// decided, and a sum or product has bounds itself.
fn foreseen(operator: BinaryOperator, left: &Value, right: &Value) -> Option<Value> {
    use BinaryOperator as Op;
    if left.ty() != Type::Number {
        return None;
    }
    let ((left_least, left_most), (right_least, right_most)) = (left.number_bounds(), right.number_bounds());
    // Whether every number from a bound on is beyond, or at least not below, every number up to another.
    let beyond = |least: &Option<Bound>, most: &Option<Bound>| match (least, most) {
        (Some(least), Some(most)) => {
            least.number > most.number || least.number == most.number && !(least.inclusive && most.inclusive)
        }
        _ => false,
    };
    let reaches = |least: &Option<Bound>, most: &Option<Bound>| match (least, most) {
        (Some(least), Some(most)) => least.number >= most.number,
        _ => false,
    };
    let decided = |yes: bool, no: bool| if yes { Some(true) } else { no.then_some(false) }.map(Value::from);
    match operator {
        Op::Less => decided(beyond(&right_least, &left_most), reaches(&left_least, &right_most)),
        Op::GreaterOrEqual => decided(reaches(&left_least, &right_most), beyond(&right_least, &left_most)),
        Op::Greater => decided(beyond(&left_least, &right_most), reaches(&right_least, &left_most)),
        Op::LessOrEqual => decided(reaches(&right_least, &left_most), beyond(&left_least, &right_most)),
        Op::Add => {
            let sum = |one: Option<Bound>, other: Option<Bound>| both(one, other, Number::add);
            Some(Value::unknown(Type::Number).between(sum(left_least, right_least), sum(left_most, right_most)))
        }
        Op::Subtract => {
            let difference = |one: Option<Bound>, other: Option<Bound>| both(one, other, Number::sub);
            let least = difference(left_least, right_most);
            Some(Value::unknown(Type::Number).between(least, difference(left_most, right_least)))
        }
        Op::Multiply => {
            // Of all the products of ends, the least and the most are those of the range.
            let ends = [left_least?, left_most?, right_least?, right_most?].map(|bound| bound.number);
            let [a, b, c, d] = &ends;
            let products: Option<Vec<Number>> = [a.mul(c), a.mul(d), b.mul(c), b.mul(d)].into_iter().collect();
            let products = products?;
            let end = |number: Option<&Number>| number.cloned().map(Bound::inclusive);
            Some(Value::unknown(Type::Number).between(end(products.iter().min()), end(products.iter().max())))
        }
        _ => None,
    }
}

/// What an operation makes of two bounds on the same side.
fn both(one: Option<Bound>, other: Option<Bound>, operation: fn(&Number, &Number) -> Option<Number>) -> Option<Bound> {
    let (one, other) = one.zip(other)?;
    Some(Bound { number: operation(&one.number, &other.number)?, inclusive: one.inclusive && other.inclusive })
}

/// Whether the left side alone gives the result, so that the right need not even be valid.
fn decides(operator: BinaryOperator, left: &Value) -> bool {
    match operator {
        BinaryOperator::And => left.as_bool() == Some(false),
        BinaryOperator::Or => left.as_bool() == Some(true),
        _ => false,
    }
}

fn sign(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "||",
        BinaryOperator::And => "&&",
        BinaryOperator::Equal => "==",
        BinaryOperator::NotEqual => "!=",
        BinaryOperator::Less => "<",
        BinaryOperator::LessOrEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterOrEqual => ">=",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Modulo => "%",
    }
}
