use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use dashu_base::{BitTest, Sign};
use dashu_int::{IBig, UBig};

/// Bits of mantissa: what the Terraform language keeps.
const PRECISION: usize = 512;

/// How many digits a number may have before its point, or zeroes after it. Beyond that it is only good for
/// exhausting memory.
const LARGEST_EXPONENT: i64 = 1 << 16;

/// The same in bits: there are fewer than four to a decimal digit.
const LARGEST_BINARY_EXPONENT: i64 = LARGEST_EXPONENT * 4;

/// A number of the language: 512 bits of binary mantissa, rounded half to even. Whole numbers of 64 bits are held
/// as such. As in the Terraform language there are two infinities, which dividing by zero gives, and a negative zero; an
/// operation without a result, or with one that is too large or too small to be held, gives `None`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number(Form);

/// One number has one form, so that equality and hashing may be derived.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    /// Every whole number that fits.
    Whole(i64),
    /// All others: `mantissa × 2^exponent`, with an odd mantissa of at most [`PRECISION`] bits.
    Wide(Arc<(IBig, i64)>),
    /// Zero with a minus sign: equal to zero, and told from it only where it is shown.
    NegativeZero,
    /// Beyond every number, on the negative side or on the other.
    Infinite {
        /// Which side.
        negative: bool,
    },
}

impl Number {
    /// Zero.
    pub const ZERO: Number = Number(Form::Whole(0));

    /// Reads a decimal number: digits with an optional sign, point and exponent, which is one of two after a `p`; or
    /// `Inf`. `None` where it is anything else, or too large or too small to be held.
    pub fn parse(text: &str) -> Option<Number> {
        if let (1..=18, true) = (text.len(), text.bytes().all(|byte| byte.is_ascii_digit())) {
            return text.parse().ok().map(|whole| Number(Form::Whole(whole)));
        }
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        if matches!(unsigned, "Inf" | "inf") {
            return Some(Number(Form::Infinite { negative }));
        }
        if let Some((mantissa, exponent)) = unsigned.split_once(['p', 'P']) {
            if mantissa.contains(['e', 'E', '-', '+', 'n']) {
                return None;
            }
            let (mantissa, own) = Number::parse(mantissa)?.parts();
            let exponent = exponent_of(exponent)?;
            if exponent.abs() > LARGEST_BINARY_EXPONENT {
                return None;
            }
            return rounded(if negative { -mantissa } else { mantissa }, own + exponent, false);
        }
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Number::zero(negative));
        }
        let magnitude = UBig::from_str_radix(digits, 10).ok()?;
        let sign = if negative { Sign::Negative } else { Sign::Positive };
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        from_decimal(IBig::from_parts(sign, magnitude), exponent)
    }

    /// The nearest number to a float, by its shortest decimal form; `None` for NaN.
    pub fn from_f64(float: f64) -> Option<Number> {
        if float.is_infinite() {
            return Some(Number(Form::Infinite { negative: float < 0.0 }));
        }
        Number::parse(&float.to_string())
    }

    /// The number, where it is whole and fits.
    pub fn to_i64(&self) -> Option<i64> {
        match self.0 {
            Form::Whole(whole) => Some(whole),
            Form::NegativeZero => Some(0),
            Form::Wide(_) | Form::Infinite { .. } => None,
        }
    }

    /// The number, where it is whole and fits.
    pub fn to_u64(&self) -> Option<u64> {
        match &self.0 {
            Form::Whole(whole) => u64::try_from(*whole).ok(),
            Form::NegativeZero => Some(0),
            Form::Infinite { .. } => None,
            Form::Wide(_) => u64::try_from(self.to_integer()?).ok(),
        }
    }

    /// The number, where it is whole and fits.
    pub fn to_usize(&self) -> Option<usize> {
        usize::try_from(self.to_u64()?).ok()
    }

    /// The nearest float; infinite where it is too large for one.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Form::Whole(whole) => *whole as f64,
            Form::NegativeZero => -0.0,
            Form::Infinite { negative: true } => f64::NEG_INFINITY,
            Form::Infinite { negative: false } => f64::INFINITY,
            Form::Wide(_) => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// Whether it has no fraction.
    pub fn is_integer(&self) -> bool {
        match &self.0 {
            Form::Whole(_) | Form::NegativeZero => true,
            Form::Wide(wide) => wide.1 >= 0,
            Form::Infinite { .. } => false,
        }
    }

    /// Whether it is an infinity, which has no form in JSON.
    pub fn is_infinite(&self) -> bool {
        matches!(self.0, Form::Infinite { .. })
    }

    /// Whether it is zero, of either sign.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Form::Whole(0) | Form::NegativeZero)
    }

    /// Whether it has a minus sign.
    pub fn is_negative(&self) -> bool {
        match &self.0 {
            Form::Whole(whole) => *whole < 0,
            Form::Wide(wide) => wide.0.sign() == Sign::Negative,
            Form::NegativeZero => true,
            Form::Infinite { negative } => *negative,
        }
    }

    fn zero(negative: bool) -> Number {
        Number(if negative { Form::NegativeZero } else { Form::Whole(0) })
    }

    /// Which is larger. Both zeroes are the same here; the order of [`Ord`] tells them apart.
    pub fn compare(&self, other: &Number) -> Ordering {
        if let (Form::Whole(left), Form::Whole(right)) = (&self.0, &other.0) {
            return left.cmp(right);
        }
        // Where it stands outside all finite numbers.
        let side = |number: &Number| match number.0 {
            Form::Infinite { negative: true } => -1,
            Form::Infinite { negative: false } => 1,
            _ => 0,
        };
        if self.is_infinite() || other.is_infinite() {
            return side(self).cmp(&side(other));
        }
        let ((left, left_exponent), (right, right_exponent)) = (self.parts(), other.parts());
        let exponent = left_exponent.min(right_exponent);
        (left << shift(left_exponent - exponent)).cmp(&(right << shift(right_exponent - exponent)))
    }

    /// The sum; `None` where it is too large, or of two opposite infinities.
    pub fn add(&self, other: &Number) -> Option<Number> {
        if let (Form::Whole(left), Form::Whole(right)) = (&self.0, &other.0)
            && let Some(sum) = left.checked_add(*right)
        {
            return Some(Number(Form::Whole(sum)));
        }
        match (&self.0, &other.0) {
            (Form::Infinite { negative }, Form::Infinite { negative: other }) if negative != other => return None,
            (Form::Infinite { .. }, _) => return Some(self.clone()),
            (_, Form::Infinite { .. }) => return Some(other.clone()),
            (Form::NegativeZero, Form::NegativeZero) => return Some(Number::zero(true)),
            _ => {}
        }
        let ((left, left_exponent), (right, right_exponent)) = (self.parts(), other.parts());
        let exponent = left_exponent.min(right_exponent);
        let at = |mantissa: IBig, own: i64| mantissa << shift(own - exponent);
        rounded(at(left, left_exponent) + at(right, right_exponent), exponent, false)
    }

    /// The difference; `None` where it is too large.
    pub fn sub(&self, other: &Number) -> Option<Number> {
        self.add(&other.neg())
    }

    /// The product; `None` where it is too large or too small, or of zero and an infinity.
    pub fn mul(&self, other: &Number) -> Option<Number> {
        if let (Form::Whole(left), Form::Whole(right)) = (&self.0, &other.0)
            && let Some(product @ (1.. | ..=-1)) = left.checked_mul(*right)
        {
            return Some(Number(Form::Whole(product)));
        }
        let negative = self.is_negative() != other.is_negative();
        match (self.is_infinite() || other.is_infinite(), self.is_zero() || other.is_zero()) {
            (true, true) => return None,
            (true, false) => return Some(Number(Form::Infinite { negative })),
            (false, true) => return Some(Number::zero(negative)),
            (false, false) => {}
        }
        let ((left, left_exponent), (right, right_exponent)) = (self.parts(), other.parts());
        rounded(left * right, left_exponent + right_exponent, false)
    }

    /// The quotient: an infinity where `other` is zero. `None` for zero by zero and infinity by infinity, or where the
    /// quotient is too large or too small.
    pub fn div(&self, other: &Number) -> Option<Number> {
        if let (Form::Whole(left), Form::Whole(right)) = (&self.0, &other.0)
            && *left != 0
            && left.checked_rem(*right) == Some(0)
        {
            return Some(Number(Form::Whole(left.checked_div(*right)?)));
        }
        let negative = self.is_negative() != other.is_negative();
        if self.is_zero() && other.is_zero() || self.is_infinite() && other.is_infinite() {
            return None;
        } else if self.is_infinite() || other.is_zero() {
            return Some(Number(Form::Infinite { negative }));
        } else if self.is_zero() || other.is_infinite() {
            return Some(Number::zero(negative));
        }
        let ((left, left_exponent), (right, right_exponent)) = (self.parts(), other.parts());
        quotient(left, right, left_exponent - right_exponent)
    }

    /// What is left of dividing towards zero: it has the sign of `self`. As in the Terraform language, dividing by
    /// zero leaves all of it. `None` where the quotient is too large, or one of the two infinite.
    pub fn rem(&self, other: &Number) -> Option<Number> {
        match (&self.0, &other.0) {
            (Form::Infinite { .. }, _) | (_, Form::Infinite { .. }) => None,
            (_, Form::Whole(0) | Form::NegativeZero) => Some(self.clone()),
            (Form::Whole(left), Form::Whole(right)) => Some(Number(Form::Whole(left.wrapping_rem(*right)))),
            _ => self.sub(&other.mul(&self.div(other)?.trunc())?),
        }
    }

    /// With the other sign.
    pub fn neg(&self) -> Number {
        match &self.0 {
            Form::Whole(0) => Number::zero(true),
            Form::NegativeZero => Number::ZERO,
            Form::Infinite { negative } => Number(Form::Infinite { negative: !negative }),
            Form::Whole(whole) => match whole.checked_neg() {
                Some(negated) => Number(Form::Whole(negated)),
                None => canonical(-IBig::from(*whole), 0),
            },
            Form::Wide(wide) => canonical(-wide.0.clone(), wide.1),
        }
    }

    /// Without its sign.
    pub fn abs(&self) -> Number {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// Without its fraction.
    pub fn trunc(&self) -> Number {
        match &self.0 {
            Form::Wide(wide) if wide.1 < 0 => {
                let (sign, magnitude) = wide.0.clone().into_parts();
                canonical(IBig::from_parts(sign, magnitude >> shift(-wide.1)), 0)
            }
            Form::NegativeZero => Number::ZERO,
            _ => self.clone(),
        }
    }

    /// The largest whole number that is not larger.
    pub fn floor(&self) -> Number {
        let truncated = self.trunc();
        if truncated.compare(self).is_gt() { truncated.sub(&Number::from(1)).unwrap_or(truncated) } else { truncated }
    }

    /// The smallest whole number that is not smaller.
    pub fn ceil(&self) -> Number {
        let ceiling = self.neg().floor().neg();
        if ceiling.is_zero() { Number::ZERO } else { ceiling }
    }

    /// The whole number, where it is one.
    fn to_integer(&self) -> Option<IBig> {
        let (mantissa, exponent) = self.parts();
        (exponent >= 0).then(|| mantissa << shift(exponent))
    }

    fn parts(&self) -> (IBig, i64) {
        match &self.0 {
            Form::Whole(whole) => (IBig::from(*whole), 0),
            Form::Wide(wide) => (wide.0.clone(), wide.1),
            // An infinity never comes here: every operation has decided before.
            Form::NegativeZero | Form::Infinite { .. } => (IBig::ZERO, 0),
        }
    }
}

/// A decimal exponent; one that no number can have is cut to one that is still refused.
fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX).min(i64::from(i32::MAX));
    Some(if text.starts_with('-') { -size } else { size })
}

/// `mantissa × 10^exponent`.
fn from_decimal(mantissa: IBig, exponent: i64) -> Option<Number> {
    let digits = i64::try_from(mantissa.bit_len() / 3).ok()?;
    if exponent.saturating_add(digits) > LARGEST_EXPONENT || exponent < -LARGEST_EXPONENT - digits {
        return None;
    }
    let power = IBig::from(UBig::from(10u8).pow(shift(exponent.abs())));
    if exponent >= 0 { rounded(mantissa * power, 0, false) } else { quotient(mantissa, power, 0) }
}

/// `left / right × 2^exponent`, rounded once; `None` where `right` is zero.
fn quotient(left: IBig, right: IBig, exponent: i64) -> Option<Number> {
    if right == IBig::ZERO {
        return None;
    }
    // Two bits more than are kept: one to round by, and one because a quotient may be a bit shorter than thought.
    let widen = (PRECISION + 2 + right.bit_len()).saturating_sub(left.bit_len());
    let (left_sign, left) = left.into_parts();
    let (right_sign, right) = right.into_parts();
    let widened = left << widen;
    let whole = &widened / &right;
    let inexact = &whole * &right != widened;
    let sign = if left_sign == right_sign { Sign::Positive } else { Sign::Negative };
    rounded(IBig::from_parts(sign, whole), exponent - i64::try_from(widen).ok()?, inexact)
}

/// `mantissa × 2^exponent` to [`PRECISION`] bits, half to even; `more` says that something below the mantissa's last
/// bit is not zero.
fn rounded(mantissa: IBig, exponent: i64, more: bool) -> Option<Number> {
    let (sign, magnitude) = mantissa.into_parts();
    let excess = magnitude.bit_len().saturating_sub(PRECISION);
    let (magnitude, exponent) = if excess == 0 {
        (magnitude, exponent)
    } else {
        let half = magnitude.bit(excess - 1);
        let below_half = more || magnitude.trailing_zeros().is_some_and(|zeros| zeros < excess - 1);
        let kept = magnitude >> excess;
        let up = half && (below_half || kept.bit(0));
        (if up { kept + UBig::ONE } else { kept }, exponent + i64::try_from(excess).ok()?)
    };
    let top = exponent.checked_add(i64::try_from(magnitude.bit_len()).ok()?)?;
    if !magnitude.is_zero() && !(-LARGEST_BINARY_EXPONENT..=LARGEST_BINARY_EXPONENT).contains(&top) {
        return None;
    }
    Some(canonical(IBig::from_parts(sign, magnitude), exponent))
}

/// The one form of `mantissa × 2^exponent`, which is exact.
fn canonical(mantissa: IBig, exponent: i64) -> Number {
    let Some(zeros) = mantissa.trailing_zeros() else {
        return Number::ZERO;
    };
    let top = exponent.saturating_add(i64::try_from(mantissa.bit_len()).unwrap_or(i64::MAX));
    let odd_exponent = exponent.saturating_add(i64::try_from(zeros).unwrap_or(i64::MAX));
    if odd_exponent >= 0
        && top <= 64
        && let Ok(whole) = i64::try_from(if exponent >= 0 {
            mantissa.clone() << shift(exponent)
        } else {
            mantissa.clone() >> shift(-exponent)
        })
    {
        return Number(Form::Whole(whole));
    }
    Number(Form::Wide(Arc::new((mantissa >> zeros, odd_exponent))))
}

/// A distance between two exponents, none of which passes a few times [`LARGEST_BINARY_EXPONENT`].
fn shift(distance: i64) -> usize {
    usize::try_from(distance).unwrap_or(0)
}

impl From<i64> for Number {
    fn from(whole: i64) -> Number {
        Number(Form::Whole(whole))
    }
}

impl From<i32> for Number {
    fn from(whole: i32) -> Number {
        Number(Form::Whole(i64::from(whole)))
    }
}

impl From<u64> for Number {
    fn from(whole: u64) -> Number {
        canonical(IBig::from(whole), 0)
    }
}

impl From<usize> for Number {
    fn from(whole: usize) -> Number {
        canonical(IBig::from(whole), 0)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let is_below = |number: &Number| matches!(number.0, Form::NegativeZero);
        self.compare(other).then(is_below(other).cmp(&is_below(self)))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The shortest decimal that reads back as the same number, without an exponent.
impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = match &self.0 {
            Form::Whole(whole) => return out.pad_integral(*whole >= 0, "", &whole.unsigned_abs().to_string()),
            Form::NegativeZero => return out.write_str("-0"),
            Form::Infinite { negative: true } => return out.write_str("-Inf"),
            Form::Infinite { negative: false } => return out.write_str("+Inf"),
            Form::Wide(wide) => wide,
        };
        let sign = if wide.0.sign() == Sign::Negative { "-" } else { "" };
        let (digits, point) = shortest(&self.abs(), &exact(&wide.0, wide.1));
        let text = match usize::try_from(point) {
            Err(_) => format!("0.{}{digits}", "0".repeat(shift(-point))),
            Ok(0) => format!("0.{digits}"),
            Ok(point) if point >= digits.len() => format!("{digits}{}", "0".repeat(point - digits.len())),
            Ok(point) => {
                let (whole, fraction) = digits.split_at(point);
                format!("{whole}.{fraction}")
            }
        };
        write!(out, "{sign}{text}")
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Every decimal digit of the magnitude, and how many of them are before the point (negative: zeroes after it).
fn exact(mantissa: &IBig, exponent: i64) -> (String, i64) {
    let (_, magnitude) = mantissa.clone().into_parts();
    let (digits, after) = if exponent >= 0 {
        ((magnitude << shift(exponent)).to_string(), 0)
    } else {
        ((magnitude * UBig::from(5u8).pow(shift(-exponent))).to_string(), -exponent)
    };
    let point = i64::try_from(digits.len()).unwrap_or(i64::MAX) - after;
    (digits.trim_end_matches('0').to_owned(), point)
}

/// The fewest digits that read back as `number`, whose exact digits are given. A longer decimal is never further
/// away than a shorter one, so the least length that reads back is found by halving.
fn shortest(number: &Number, (digits, point): &(String, i64)) -> (String, i64) {
    // 512 bits are told apart by 156 digits, whatever the exponent.
    let (mut too_few, mut enough) = (0, digits.len().min(156));
    if digits.len() > 156 {
        while enough - too_few > 1 {
            let middle = too_few + (enough - too_few) / 2;
            let (shorter, shorter_point) = cut(digits, *point, middle);
            if decimal(&shorter, shorter_point).as_ref() == Some(number) {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
    }
    let (digits, point) = cut(digits, *point, enough);
    (digits.trim_end_matches('0').to_owned(), point)
}

/// The first `count` digits, rounded half to even.
fn cut(digits: &str, point: i64, count: usize) -> (String, i64) {
    let (kept, rest) = digits.split_at(count.min(digits.len()));
    let odd = kept.bytes().last().is_some_and(|byte| byte % 2 == 1);
    let up = match rest.bytes().next() {
        Some(b'5') => odd || rest.len() > 1,
        Some(byte) => byte > b'5',
        None => false,
    };
    if !up {
        return (kept.to_owned(), point);
    }
    let raised = UBig::from_str_radix(kept, 10).unwrap_or_default() + UBig::ONE;
    let raised = raised.to_string();
    let carry = i64::from(raised.len() > kept.len());
    (raised, point + carry)
}

fn decimal(digits: &str, point: i64) -> Option<Number> {
    let length = i64::try_from(digits.len()).ok()?;
    from_decimal(IBig::from(UBig::from_str_radix(digits, 10).ok()?), point - length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_are_read_and_printed() {
        for (given, expected) in [
            ("0", "0"),
            ("-0", "-0"),
            ("Inf", "+Inf"),
            ("-inf", "-Inf"),
            ("1p4", "16"),
            ("-1.5P-1", "-0.75"),
            ("0.0", "0"),
            ("007", "7"),
            ("1.50", "1.5"),
            ("+5", "5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("1e-7", "0.0000001"),
            ("1.5e-30", "0.0000000000000000000000000000015"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775808", "9223372036854775808"),
            ("100000000000000000000000000000001", "100000000000000000000000000000001"),
            ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
            ("-0.1", "-0.1"),
            ("0.3", "0.3"),
            ("12.345e1", "123.45"),
        ] {
            assert_eq!(number(given).to_string(), expected, "{given}");
        }
        assert_eq!(number("1e400").to_string(), format!("1{}", "0".repeat(400)));
        assert_eq!(number("1e-400").to_string(), format!("0.{}1", "0".repeat(399)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "0x10",
            " 1",
            "1 ",
            "1_000",
            "infinity",
            "1e5p3",
            "p3",
            "nan",
            "--1",
            "1.2.3",
            "1e1e1",
            "٣",
            "1e99999999",
            "1e-99999999",
            "1e99999999999999999999999",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse("0e99999999"), Some(Number::ZERO));
    }

    #[test]
    fn arithmetic_keeps_512_bits() {
        let third = Number::from(1).div(&Number::from(3)).unwrap();
        assert_eq!(third.to_string(), format!("0.{}5", "3".repeat(154)));
        let ten_thirds = Number::from(10).div(&Number::from(3)).unwrap();
        assert_eq!(ten_thirds.to_string(), format!("3.{}2", "3".repeat(153)));
        assert_eq!(third.mul(&Number::from(3)), Some(Number::from(1)));
        assert_eq!(number("0.1").add(&number("0.2")), Some(number("0.3")));
        assert_eq!(number("10").rem(&number("0.3")).unwrap().to_string(), format!("0.0{}28", "9".repeat(152)));
        assert_eq!(
            number("1e200").div(&Number::from(3)).unwrap().to_string(),
            format!("{}4{}", "3".repeat(154), "0".repeat(45))
        );
    }

    #[test]
    fn what_has_no_finite_result_has_none() {
        let huge = number("1e60000");
        assert_eq!(Number::ZERO.div(&Number::ZERO), None);
        assert_eq!(huge.mul(&huge), None);
        assert_eq!(Number::from(1).div(&huge).and_then(|tiny| tiny.mul(&tiny)), None);
        assert_eq!(Number::from(i64::MIN).neg().to_string(), "9223372036854775808");
    }

    #[test]
    fn infinities_and_negative_zero_are_as_in_the_language() {
        let (one, infinite, zero) = (Number::from(1), number("Inf"), number("-0"));
        assert_eq!(one.div(&Number::ZERO), Some(infinite.clone()));
        assert_eq!(one.div(&zero), Some(infinite.neg()));
        assert_eq!(infinite.add(&infinite.neg()), None);
        assert_eq!(infinite.mul(&zero), None);
        assert_eq!(infinite.add(&one), Some(infinite.clone()));
        assert_eq!(one.div(&infinite), Some(Number::ZERO));
        assert_eq!(Number::from(-1).mul(&Number::ZERO), Some(zero.clone()));
        assert_eq!(zero.add(&Number::ZERO), Some(Number::ZERO));
        assert_eq!(zero.compare(&Number::ZERO), Ordering::Equal);
        assert_eq!(infinite.compare(&number("1e400")), Ordering::Greater);
        assert_eq!(infinite.rem(&one), None);
        assert_eq!(number("-0.5").ceil(), Number::ZERO);
    }

    #[test]
    fn remainders_have_the_sign_of_what_is_divided() {
        for (left, right, expected) in [
            ("7", "3", "1"),
            ("-7", "3", "-1"),
            ("5", "-3", "2"),
            ("7.5", "2", "1.5"),
            ("-7.5", "-2", "-1.5"),
            ("5", "0", "5"),
            ("1e30", "7", "1"),
        ] {
            assert_eq!(number(left).rem(&number(right)), Some(number(expected)), "{left} % {right}");
        }
    }

    #[test]
    fn fractions_are_taken_off() {
        for (given, trunc, floor, ceil) in
            [("1.5", "1", "1", "2"), ("-1.5", "-1", "-2", "-1"), ("3", "3", "3", "3"), ("1e-9", "0", "0", "1")]
        {
            let given = number(given);
            assert_eq!((given.trunc(), given.floor(), given.ceil()), (number(trunc), number(floor), number(ceil)));
        }
    }

    #[test]
    fn floats_keep_their_short_form() {
        assert_eq!(Number::from_f64(2f64.sqrt()).unwrap().to_string(), "1.4142135623730951");
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(number("1.5").to_f64(), 1.5);
        assert_eq!(number("1e400").to_f64(), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn whole_numbers_agree_with_128_bits(left: i64, right: i64) {
            let (a, b) = (Number::from(left), Number::from(right));
            let (left, right) = (i128::from(left), i128::from(right));
            let is = |number: Option<Number>, expected: i128| number.unwrap().to_string() == expected.to_string();
            prop_assert!(is(a.add(&b), left + right));
            prop_assert!(is(a.sub(&b), left - right));
            prop_assert!(is(a.mul(&b), left * right));
            if right != 0 {
                prop_assert!(is(a.rem(&b), left % right));
                prop_assert_eq!(a.mul(&b).unwrap().div(&b), Some(a.clone()));
            }
            prop_assert_eq!(a.cmp(&b), left.cmp(&right));
        }

        #[test]
        fn printing_loses_nothing(mantissa: i128, divisor in 1u64.., exponent in -300i32..300) {
            let power = number(&format!("1e{exponent}"));
            let value = number(&mantissa.to_string()).div(&Number::from(divisor)).unwrap().mul(&power).unwrap();
            prop_assert_eq!(Number::parse(&value.to_string()), Some(value));
        }

        #[test]
        fn order_is_that_of_differences(left in "-?[0-9]{1,30}(\\.[0-9]{1,9})?", right in "-?[0-9]{1,30}") {
            let (left, right) = (number(&left), number(&right));
            prop_assert_eq!(left.cmp(&right), left.sub(&right).unwrap().cmp(&Number::ZERO));
        }
    }
}
