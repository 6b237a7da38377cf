//! Arithmetic.

use std::cmp::Ordering;

use andon_value::{Number, Type, Value};

use super::{Fault, Function, foresight, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::Number as N;
    vec![
        row("abs", N, |call| Ok(call.number(0).abs().into()), "A number without its sign.")
            .takes("num", N)
            .foresees(foresight::not_negative),
        row("ceil", N, |call| Ok(call.number(0).ceil().into()), "The nearest whole number that is not smaller.")
            .takes("num", N),
        row("floor", N, |call| Ok(call.number(0).floor().into()), "The nearest whole number that is not larger.")
            .takes("num", N),
        row("log", N, log, "The logarithm of a number in a base.").takes("num", N).takes("base", N),
        row("max", N, |call| most(call, Ordering::Greater), "The largest of the numbers.")
            .takes_rest("numbers", N)
            .foresees(foresight::largest),
        row("min", N, |call| most(call, Ordering::Less), "The smallest of the numbers.")
            .takes_rest("numbers", N)
            .foresees(foresight::smallest),
        row("parseint", N, parse_int, "The whole number that a string is in a base from 2 to 62.")
            .takes("number", Type::Dynamic)
            .takes("base", N),
        row("pow", N, pow, "A number raised to a power.").takes("num", N).takes("power", N),
        row("signum", N, signum, "The sign of a number: -1, 0 or 1.").takes("num", N).foresees(foresight::sign),
        row("sum", N, sum, "The sum of a list of numbers.").takes("list", Type::Dynamic),
    ]
}

fn most(call: &Call<'_>, wanted: Ordering) -> Result<Value, Fault> {
    let numbers = call.arguments.iter().filter_map(Value::as_number);
    let best = numbers.reduce(|best, next| if next.compare(best) == wanted { next } else { best });
    best.cloned().map(Value::from).ok_or_else(|| Fault::new("at least one number is required"))
}

fn log(call: &Call<'_>) -> Result<Value, Fault> {
    float(as_float(call, 0)?.ln() / as_float(call, 1)?.ln())
}

fn pow(call: &Call<'_>) -> Result<Value, Fault> {
    float(power(as_float(call, 0)?, as_float(call, 1)?))
}

fn as_float(call: &Call<'_>, at: usize) -> Result<f64, Fault> {
    let float = call.number(at).to_f64();
    if float.is_finite() { Ok(float) } else { Err(Fault::at(at, "the number is too large for this")) }
}

/// A power by squaring mantissa and exponent apart, for each bit of the whole part, which is what the Terraform language
/// shows the last digits of; a root is what is left.
fn power(base: f64, power: f64) -> f64 {
    if base == 0.0 || base == 1.0 || power == 0.0 || power.abs() >= 9e18 || base < 0.0 && power.fract() != 0.0 {
        return base.powf(power);
    }
    if power.abs() == 0.5 {
        return if power > 0.0 { base.sqrt() } else { 1.0 / base.sqrt() };
    }
    let (mut whole, mut fraction) = (power.abs().trunc(), power.abs().fract());
    if fraction > 0.5 {
        fraction -= 1.0;
        whole += 1.0;
    }
    let (mut result, mut exponent) = (if fraction == 0.0 { 1.0 } else { (fraction * base.ln()).exp() }, 0i64);
    let (mut mantissa, mut step) = split(base);
    let mut bits = whole as u64;
    while bits != 0 {
        if step.abs() > 1 << 12 {
            // Beyond every float on one side or the other.
            exponent += step;
            break;
        }
        if bits & 1 == 1 {
            result *= mantissa;
            exponent += step;
        }
        mantissa *= mantissa;
        step <<= 1;
        if mantissa < 0.5 {
            mantissa += mantissa;
            step -= 1;
        }
        bits >>= 1;
    }
    if power < 0.0 {
        result = 1.0 / result;
        exponent = -exponent;
    }
    // In two steps, so that neither leaves the floats before the result does.
    let half = i32::try_from(exponent.clamp(-4000, 4000) / 2).unwrap_or(0);
    let rest = i32::try_from(exponent.clamp(-4000, 4000)).unwrap_or(0) - half;
    result * 2f64.powi(half) * 2f64.powi(rest)
}

/// A float as a mantissa from a half to one, and an exponent of two.
fn split(float: f64) -> (f64, i64) {
    const EXPONENT: u64 = 0x7ff;
    if float.is_subnormal() {
        let (mantissa, exponent) = split(float * 2f64.powi(64));
        return (mantissa, exponent - 64);
    }
    let exponent = i64::try_from(float.to_bits() >> 52 & EXPONENT).unwrap_or(0) - 1022;
    (f64::from_bits(float.to_bits() & !(EXPONENT << 52) | 1022 << 52), exponent)
}

fn float(result: f64) -> Result<Value, Fault> {
    Number::from_f64(result).map(Value::from).ok_or_else(|| Fault::new("the result is not a finite number"))
}

fn signum(call: &Call<'_>) -> Result<Value, Fault> {
    if call.number(0).to_i64().is_none() {
        return Err(Fault::at(0, "a whole number of at most 64 bits is required"));
    }
    Ok(Value::from(match call.number(0).compare(&Number::ZERO) {
        Ordering::Less => -1i64,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

fn sum(call: &Call<'_>) -> Result<Value, Fault> {
    let mut total: Option<Number> = None;
    for element in call.elements(0)? {
        let number = match andon_value::convert(element, &Type::Number) {
            Ok(number) if !number.is_null() => number,
            _ => return Err(Fault::at(0, "every element must be a number")),
        };
        let number = number.as_number().cloned().unwrap_or(Number::ZERO);
        total = Some(match total {
            None => number,
            Some(total) => total.add(&number).ok_or_else(|| Fault::new("the sum is out of range"))?,
        });
    }
    total.map(Value::from).ok_or_else(|| Fault::at(0, "an empty list has no sum"))
}

fn parse_int(call: &Call<'_>) -> Result<Value, Fault> {
    let base = call.whole(1)?;
    if !(2..=62).contains(&base) {
        return Err(Fault::at(1, "a base from 2 to 62 is required"));
    }
    let refuse = || Fault::at(0, format!("not a whole number in base {base}"));
    if call.value(0).ty() != Type::String {
        return Err(Fault::at(0, "a string is required"));
    }
    let text = call.text(0);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() {
        return Err(refuse());
    }
    let mut total = Number::ZERO;
    for character in digits.chars() {
        let digit = digit(character, base).ok_or_else(refuse)?;
        total = total.mul(&Number::from(base)).and_then(|total| total.add(&Number::from(digit))).ok_or_else(refuse)?;
    }
    Ok(Value::from(if text.starts_with('-') { total.neg() } else { total }))
}

/// Up to base 36 the case of a letter does not count; beyond it, capitals follow the small letters.
fn digit(character: char, base: i64) -> Option<i64> {
    let from = |first: char, value: i64| i64::from(u32::from(character)) - i64::from(u32::from(first)) + value;
    let digit = match character {
        '0'..='9' => from('0', 0),
        'a'..='z' => from('a', 10),
        'A'..='Z' if base <= 36 => from('A', 10),
        'A'..='Z' => from('A', 36),
        _ => return None,
    };
    (digit < base).then_some(digit)
}
